/* The commands: each in a file of its own, each returns the exit status. argv[0] is the command's name. */
#ifndef VIT_CLI_COMMANDS_H
#define VIT_CLI_COMMANDS_H

#include "options.h"

/* In the order of the overview. */
#define VIT_CLI_COMMANDS(X)                                                                                  \
    X(classify) X(features) X(search) X(attention) X(masked) X(fewshot) X(eval) X(train) X(pretrain) X(finetune) X(plot) \
    X(trace) X(init) X(info) X(convert) X(inspect) X(bench)

#define VIT_CLI_DECLARE(name)                            \
    extern const vit_cli_command vit_cli_##name##_command; \
    int vit_cli_##name(int argc, char **argv);
VIT_CLI_COMMANDS(VIT_CLI_DECLARE)
#undef VIT_CLI_DECLARE

#endif
