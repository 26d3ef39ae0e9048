/* Command-line options: a table for each command, from which parsing and help are made. */
#ifndef VIT_CLI_OPTIONS_H
#define VIT_CLI_OPTIONS_H

#include "../vit.h"

enum { VIT_CLI_OK = 0, VIT_CLI_FAILED = 1, VIT_CLI_USAGE = 2 }; /* exit status */

typedef enum vit_cli_kind {
    VIT_CLI_FLAG,   /* int: 1 if given */
    VIT_CLI_INT,    /* int within min..max */
    VIT_CLI_NUMBER, /* double within min..max */
    VIT_CLI_TEXT,   /* const char * */
    VIT_CLI_TEXTS,  /* vit_cli_texts: another one each time it is given */
    VIT_CLI_SIZE,   /* int[2]: height, width; "224" or "160x320" */
    VIT_CLI_CHOICE  /* int: which word of `argument`, "f32|f16|bf16" */
} vit_cli_kind;

enum { VIT_CLI_MOST_TEXTS = 256 };

typedef struct vit_cli_texts {
    const char *items[VIT_CLI_MOST_TEXTS];
    int count;
} vit_cli_texts;

typedef struct vit_cli_option {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *argument; /* what help calls the value */
    vit_cli_kind kind;
    void *value;          /* where it goes; holds the default before parsing */
    double min, max;
    const char *help;     /* of any length; '\n' begins a line */
} vit_cli_option;

typedef struct vit_cli_command {
    const char *name, *summary;
    const char *arguments; /* what follows "vit NAME" in the usage line */
    const char *details;   /* one paragraph; help breaks its lines */
    const char *examples;  /* lines */
    int least, most;       /* how many arguments that are no options; most < 0: any number */
} vit_cli_command;

/* argv[0] is the command's name. Options go where the table says; other arguments are moved to the front of argv,
 * *count of them. Returns -1 to go on, or the exit status: help was printed (0) or an error was (2). */
int vit_cli_parse(const vit_cli_command *command, const vit_cli_option *options, int argc, char **argv, int *count);

/* "1,5,10": how many numbers go to out; 0 if they are more than `most`, not within min..max, or something else. */
int vit_cli_integers(const char *text, int min, int max, int *out, int most);
int vit_cli_numbers(const char *text, double min, double max, double *out, int most);

/* A command of several kinds, each with options of its own: runs the one that argv[1] names. The table ends with NULL. */
typedef struct vit_cli_subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
} vit_cli_subcommand;
int vit_cli_run_kind(const vit_cli_command *command, const vit_cli_subcommand *kinds, int argc, char **argv);

/* "vit NAME: ..." and where to find help, on stderr; returns VIT_CLI_USAGE. */
int vit_cli_usage(const vit_cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "vit: ...", one line on stderr. */
void vit_cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same of an error's sentence; returns VIT_CLI_FAILED. */
int vit_cli_failed(const vit_error *error);

/* What was meant by a name that is none: the nearest of those that are tried, by how many letters must be added, dropped,
 * changed or swapped. */
typedef struct vit_cli_guess {
    const char *name;
    int within;          /* fewer letters than these */
    const char *nearest; /* NULL: none */
} vit_cli_guess;
void vit_cli_guess_try(vit_cli_guess *guess, const char *known);

#endif
