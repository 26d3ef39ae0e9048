/* A file that is written under a temporary name, and gets its own when it is complete. */
#ifndef VIT_CLI_REPLACE_H
#define VIT_CLI_REPLACE_H

#include <stdio.h>

typedef struct vit_cli_replace {
    const char *path;
    char *temporary;
    FILE *file;
} vit_cli_replace;

/* 0 and a complaint where that cannot be. Close in any case. */
int vit_cli_replace_open(vit_cli_replace *replace, const char *path);
/* Gives the file its name if `keep` and all that was written went well, else removes it. 1, or 0 (with a complaint where
 * it was to be kept). */
int vit_cli_replace_close(vit_cli_replace *replace, int keep);

#endif
