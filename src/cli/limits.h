/* What a hostile file may cost: --limits, which every command has. */
#ifndef VIT_CLI_LIMITS_H
#define VIT_CLI_LIMITS_H

#include "../vit.h"

/* The library's defaults with what --limits said. */
const vit_options *vit_cli_options(void);
/* Takes "NAME=N[,NAME=N...]". NULL, or where it cannot be understood the rest of it. */
const char *vit_cli_read_limits(const char *text);
/* The names, for people. */
#define VIT_CLI_LIMITS \
    "file_bytes, header_bytes, config_bytes, image_pixels, image_side, tensors, json_depth, tokens, layers"

#endif
