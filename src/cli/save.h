/* Writing a model: what convert and init share. */
#ifndef VIT_CLI_SAVE_H
#define VIT_CLI_SAVE_H

#include "../vit_tasks.h"
#include "options.h"

/* A row of an option table: which of vit_cli_types, KEEP being none of them. */
#define VIT_CLI_TYPE_OPTION(type, help) {"type", "f32|f16|bf16|q8_0|q4_0", VIT_CLI_CHOICE, &(type), 0, 0, help}
enum { VIT_CLI_KEEP_TYPE = 5 };
extern const vit_dtype vit_cli_types[];

/* Whether a model of that type can be written to a file of that name. -1 to go on, or the exit status. */
int vit_cli_check_output(const vit_cli_command *command, const char *out, vit_dtype type);
/* Writes it with a progress bar and says so on stdout; what --type could not be done to, on stderr. The exit status. */
int vit_cli_save(const vit_model *model, const char *out, vit_dtype type, vit_rounding rounding);

#endif
