/* What `vit fewshot fit|predict|eval` share: each is a command of its own; argv[0] is its name. */
#ifndef VIT_CLI_FEWSHOT_H
#define VIT_CLI_FEWSHOT_H

#include "engine.h"

int vit_cli_fewshot_eval(int argc, char **argv);

/* A probe of these features; 0, or the exit status after a complaint. */
int vit_cli_probe_open(vit_probe **out, const vit_cli_command *command, const vit_cli_engine *engine,
                       vit_feature feature);
/* Adds every picture below the folder, in the order of their paths: its label is the name of the folder right below
 * `folder` in which it lies. What cannot be read or has no such folder is named on stderr; returns how many such there
 * were. */
int vit_cli_probe_add_folder(vit_probe *probe, vit_cli_engine *engine, vit_feature feature, const char *folder);

#endif
