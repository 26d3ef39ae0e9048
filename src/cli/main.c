/* vit: the command line of the library, native and WASI. */
#include "../vit_tasks.h"
#include "commands.h"
#include "text_out.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const vit_cli_command *command;
    int (*run)(int argc, char **argv);
} commands[] = {
#define VIT_CLI_ROW(name) {&vit_cli_##name##_command, vit_cli_##name},
    VIT_CLI_COMMANDS(VIT_CLI_ROW)
#undef VIT_CLI_ROW
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_overview(FILE *out) {
    fprintf(out, "vit " VIT_VERSION ": Vision Transformers\n\nUsage: vit COMMAND [options] ...\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].command->name, commands[i].command->summary);
    fprintf(out, "  %-10s %s\n  %-10s %s\n\n", "help", "help on a command: vit help classify", "version",
            "version and kernels");
    fprintf(out, "Examples:\n"
                 "  vit classify --model vit_tiny/ photo.jpg\n"
                 "  vit convert vit_tiny/ vit_tiny.gguf\n\n"
                 "Exit status: 0, or 1 where something failed, be it one picture of many, 2 where the command line is wrong; "
                 "a training run that\nCtrl-C stops saves itself and ends with 130.\n");
}

static int version(void) {
    int i = 0;
    printf("vit " VIT_VERSION "\nkernels:");
    for (; vit_kernels_name(i) && !strchr(vit_kernels_name(i), ','); i++)
        printf(" %s", vit_kernels_name(i));
    printf("\nint8 kernels:");
    for (; vit_kernels_name(i); i++)
        printf(" %s", vit_kernels_name(i));
    printf("\n");
    return VIT_CLI_OK;
}

static int unknown_command(const char *name) {
    vit_cli_guess guess = {.name = name, .within = 3};
    for (int i = 0; i < COMMANDS; i++)
        vit_cli_guess_try(&guess, commands[i].command->name);
    if (guess.nearest)
        vit_cli_complain("unknown command '%s'; did you mean '%s'?", name, guess.nearest);
    else
        vit_cli_complain("unknown command '%s'", name);
    fprintf(stderr, "Commands:");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stderr, " %s", commands[i].command->name);
    fprintf(stderr, " help version\n");
    return VIT_CLI_USAGE;
}

/* The command of this name, COMMANDS if there is none. */
static int find(const char *name) {
    int i = 0;
    while (i < COMMANDS && strcmp(name, commands[i].command->name) != 0)
        i++;
    return i;
}

static int is_help(const char *name) {
    return strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
}

static int is_version(const char *name) {
    return strcmp(name, "version") == 0 || strcmp(name, "--version") == 0;
}

/* argv[0] is "help". */
static int help(int argc, char **argv) {
    if (argc == 1 || is_help(argv[1]) || is_version(argv[1])) {
        print_overview(stdout);
        return VIT_CLI_OK;
    }
    int i = find(argv[1]);
    char *arguments[] = {argv[1], argc > 2 ? argv[2] : "--help", "--help", NULL}; /* 'help inspect cost' is of two words */
    return i < COMMANDS ? commands[i].run(3, arguments) : unknown_command(argv[1]);
}

/* argv[0] is the command. */
static int run(int argc, char **argv) {
    int i = find(argv[0]);
    if (i < COMMANDS)
        return commands[i].run(argc, argv);
    if (is_help(argv[0]))
        return help(argc, argv);
    return is_version(argv[0]) ? version() : unknown_command(argv[0]);
}

/* A standard stream that is closed stays one that cannot be used: the next file to be opened would be written to by its
 * name. */
static void hold_standard_streams(void) {
    for (int stream = 0; stream < 3; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            return;
}

int main(int argc, char **argv) {
    hold_standard_streams();
    if (argc < 2) {
        print_overview(stderr);
        return VIT_CLI_USAGE;
    }
    int status = run(argc - 1, argv + 1);
    return vit_cli_flush() ? status : VIT_CLI_FAILED;
}
