/* `vit inspect KIND`: each kind is a command of its own; argv[0] is its name. */
#ifndef VIT_CLI_INSPECT_H
#define VIT_CLI_INSPECT_H

int vit_cli_inspect_filters(int argc, char **argv);
int vit_cli_inspect_positions(int argc, char **argv);
int vit_cli_inspect_distance(int argc, char **argv);
int vit_cli_inspect_cost(int argc, char **argv);

#endif
