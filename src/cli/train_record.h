/* What a run was begun with: run.json in its folder, for people, and to tell what differs where it cannot go on. */
#ifndef VIT_CLI_TRAIN_RECORD_H
#define VIT_CLI_TRAIN_RECORD_H

#include "options.h"

#include <stdio.h>

#define VIT_CLI_RECORD "run.json"

typedef struct vit_cli_record {
    const char *command;
    const vit_cli_option *options; /* a table; what each came to, whether from a recipe or the command line */
    const char *const *data;       /* [data_count] the arguments that are no options */
    int data_count;
} vit_cli_record;

/* {"version", "command", "data": [...], "options": {name: value}}; null is what was not said. Choices and sizes are words as
 * on the command line; what may be given several times is an array. */
void vit_cli_record_write(FILE *out, const vit_cli_record *record);
/* The same to the file; exit status. */
int vit_cli_record_save(const char *path, const vit_cli_record *record);
/* Complains of the options that change a run and differ from those in the file, if there is one. */
void vit_cli_record_compare(const char *path, const vit_cli_record *record);

#endif
