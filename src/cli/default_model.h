/* The models that are in the program itself, for commands that are given none. */
#ifndef VIT_CLI_DEFAULT_MODEL_H
#define VIT_CLI_DEFAULT_MODEL_H

#include "../vit.h"

typedef enum vit_cli_default { VIT_CLI_CLASSIFY, VIT_CLI_MASKED } vit_cli_default;

/* The same as vit_model_open, of wasm/models/classify.gguf or masked.gguf as they were when this was built. */
vit_status vit_cli_default_open(vit_model **out, vit_cli_default which, const vit_options *options, vit_error *error);

#endif
