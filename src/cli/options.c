#include "options.h"

#include "limits.h"
#include "text_out.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONGEST_WORD = 40, /* that is worth a suggestion */
    HELP_WIDTH = 79,
    HELP_COLUMN = 25   /* where the help of options begins */
};

void vit_cli_complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("vit: ", stderr);
    vit_cli_line_list(stderr, format, arguments);
    va_end(arguments);
}

int vit_cli_failed(const vit_error *error) {
    vit_cli_complain("%s", error->text);
    return VIT_CLI_FAILED;
}

int vit_cli_usage(const vit_cli_command *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "vit %s: ", command->name);
    vit_cli_line_list(stderr, format, arguments);
    fprintf(stderr, "Try 'vit %s --help'.\n", command->name);
    va_end(arguments);
    return VIT_CLI_USAGE;
}

static int least(int a, int b) {
    return a < b ? a : b;
}

/* At most 99. */
static int distance(const char *a, const char *b) {
    int d[LONGEST_WORD + 1][LONGEST_WORD + 1];
    int m = (int)strnlen(a, LONGEST_WORD + 1), n = (int)strnlen(b, LONGEST_WORD + 1);
    if (m > LONGEST_WORD || n > LONGEST_WORD)
        return 99;
    for (int i = 0; i <= m; i++)
        for (int j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[m][n];
}

void vit_cli_guess_try(vit_cli_guess *guess, const char *known) {
    const int letters = distance(guess->name, known);
    if (letters < guess->within) {
        guess->within = letters;
        guess->nearest = known;
    }
}

/* Begins at `column` of a line; further lines, which '\n' begins too, are indented by `indent`. */
static void print_wrapped(const char *text, int column, int indent) {
    for (int first = 1; *text; first = 0) {
        const int breaks = *text == '\n';
        text += breaks;
        int word = (int)strcspn(text, " \n");
        if (breaks || (!first && column + 1 + word > HELP_WIDTH)) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", word, text);
        column += word;
        text += word + strspn(text + word, " ");
    }
    putchar('\n');
}

static void print_option(const char *name, const char *argument, const char *help) {
    char left[64];
    int length = snprintf(left, sizeof left, "  --%s%s%s", name, argument ? " " : "", argument ? argument : "");
    if (length + 2 > HELP_COLUMN)
        printf("%s\n%*s", left, HELP_COLUMN, "");
    else
        printf("%-*s", HELP_COLUMN, left);
    print_wrapped(help, HELP_COLUMN, HELP_COLUMN);
}

/* Which every command has. */
static const char *limits;
static const vit_cli_option limits_option = {
    "limits", "NAME=N[,...]", VIT_CLI_TEXT, &limits, 0, 0,
    "what files and pictures may cost at most; the message of what was refused names its limit: " VIT_CLI_LIMITS};

static void print_help(const vit_cli_command *command, const vit_cli_option *options) {
    printf("vit %s: %s\n\nUsage: vit %s %s\n", command->name, command->summary, command->name, command->arguments);
    putchar('\n');
    print_wrapped(command->details, 0, 0);
    printf("\nOptions:\n");
    for (const vit_cli_option *option = options; option->name; option++)
        print_option(option->name, option->argument, option->help);
    print_option(limits_option.name, limits_option.argument, limits_option.help);
    print_option("help", NULL, "this text");
    printf("\nExamples:\n%s", command->examples);
}

static int unknown_option(const vit_cli_command *command, const vit_cli_option *options, const char *name) {
    vit_cli_guess guess = {.name = name, .within = 3};
    for (; options->name; options++)
        vit_cli_guess_try(&guess, options->name);
    if (guess.nearest)
        return vit_cli_usage(command, "unknown option --%s; did you mean --%s?", name, guess.nearest);
    return vit_cli_usage(command, "unknown option --%s", name);
}

/* A whole number up to INT_MAX; the end of it, or NULL. */
static const char *read_int(const char *text, int *value) {
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || errno || number > INT_MAX || number < INT_MIN)
        return NULL;
    *value = (int)number;
    return end;
}

int vit_cli_integers(const char *text, int min, int max, int *out, int most) {
    for (int count = 0; count < most; text++) {
        text = read_int(text, &out[count]);
        if (!text || out[count] < min || out[count] > max || (*text && *text != ','))
            return 0;
        count++;
        if (!*text)
            return count;
    }
    return 0;
}

int vit_cli_numbers(const char *text, double min, double max, double *out, int most) {
    for (int count = 0; count < most; text++) {
        char *end;
        out[count] = strtod(text, &end);
        if (end == text || !(out[count] >= min && out[count] <= max) || (*end && *end != ','))
            return 0;
        text = end;
        count++;
        if (!*text)
            return count;
    }
    return 0;
}

static int read_size(const char *text, int size[2]) {
    const char *end = read_int(text, &size[0]);
    if (end && *end == 0)
        size[1] = size[0];
    else if (!end || *end != 'x' || !(end = read_int(end + 1, &size[1])) || *end)
        return 0;
    return size[0] > 0 && size[1] > 0 && size[0] <= 65535 && size[1] <= 65535;
}

/* Position of a word in "a|b|c", or -1. */
static int read_choice(const char *text, const char *choices) {
    size_t length = strlen(text);
    for (int index = 0;; index++) {
        size_t word = strcspn(choices, "|");
        if (word == length && memcmp(choices, text, length) == 0)
            return index;
        if (!choices[word])
            return -1;
        choices += word + 1;
    }
}

static int add_text(const vit_cli_command *command, const vit_cli_option *option, const char *text) {
    vit_cli_texts *texts = option->value;
    if (texts->count == VIT_CLI_MOST_TEXTS)
        return vit_cli_usage(command, "--%s is there more than %d times", option->name, VIT_CLI_MOST_TEXTS);
    texts->items[texts->count++] = text;
    return -1;
}

static int store(const vit_cli_command *command, const vit_cli_option *option, const char *text) {
    int number;
    int size[2];
    char *end;
    switch (option->kind) {
    case VIT_CLI_FLAG:
        *(int *)option->value = 1;
        break;
    case VIT_CLI_TEXT:
    case VIT_CLI_TEXTS:
        if (!*text)
            return vit_cli_usage(command, "--%s is empty, expected %s", option->name, option->argument);
        if (option->kind == VIT_CLI_TEXTS)
            return add_text(command, option, text);
        *(const char **)option->value = text;
        break;
    case VIT_CLI_INT: {
        const char *rest = read_int(text, &number);
        if (!rest || *rest || number < option->min || number > option->max)
            return vit_cli_usage(command, "--%s '%s': expected a whole number from %.0f to %.0f", option->name, text,
                                 option->min, option->max);
        *(int *)option->value = number;
        break;
    }
    case VIT_CLI_NUMBER: {
        double real = strtod(text, &end);
        if (end == text || *end || !(real >= option->min && real <= option->max))
            return vit_cli_usage(command, "--%s '%s': expected a number from %g to %.9g", option->name, text, option->min,
                                 option->max);
        *(double *)option->value = real;
        break;
    }
    case VIT_CLI_SIZE:
        if (!read_size(text, size))
            return vit_cli_usage(command, "--%s '%s': expected pixels, as in 224 or 160x320 (height x width)",
                                 option->name, text);
        memcpy(option->value, size, sizeof size);
        break;
    case VIT_CLI_CHOICE:
        number = read_choice(text, option->argument);
        if (number < 0)
            return vit_cli_usage(command, "--%s '%s': expected one of %s", option->name, text, option->argument);
        *(int *)option->value = number;
        break;
    }
    return -1;
}

/* One "--name", "--name=value" or "--name value" at argv[*index]. *list: its name where more of it may be meant by what follows. */
static int parse_option(const vit_cli_command *command, const vit_cli_option *options, int argc, char **argv,
                        int *index, const char **list) {
    char name[64];
    const char *text = argv[*index] + 2, *equals = strchr(text, '=');
    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - text) : (int)sizeof name - 1, text);
    const vit_cli_option *option = options;
    while (option->name && strcmp(option->name, name) != 0)
        option++;
    if (!option->name && strcmp(name, limits_option.name) == 0)
        option = &limits_option;
    if (!option->name)
        return unknown_option(command, options, name);
    if (option->kind == VIT_CLI_FLAG) {
        if (equals)
            return vit_cli_usage(command, "--%s takes no value", name);
        return store(command, option, "");
    }
    if (!equals && *index + 1 == argc)
        return vit_cli_usage(command, "--%s needs a value: %s", name, option->argument);
    if (option->kind == VIT_CLI_TEXTS && !equals)
        *list = option->name;
    const int status = store(command, option, equals ? equals + 1 : argv[++*index]);
    const char *wrong = status < 0 && option == &limits_option ? vit_cli_read_limits(limits) : NULL;
    if (wrong)
        return vit_cli_usage(command, "--limits '%s': expected NAME=N with N below 10^18, or up to 4294967295 where it counts other things "
                                      "than bytes or pixels, and as names " VIT_CLI_LIMITS, wrong);
    return status;
}

int vit_cli_parse(const vit_cli_command *command, const vit_cli_option *options, int argc, char **argv, int *count) {
    int others = 0, ended = 0, last = 0;     /* last: where the argument before stood */
    const char *list = NULL, *listed = NULL; /* listed: the option that some arguments stand right behind */
    for (int i = 1; i < argc; i++) {
        if (!ended && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help(command, options);
            return VIT_CLI_OK;
        }
        if (ended || argv[i][0] != '-' || !argv[i][1]) {
            listed = list ? list : listed;
            if (listed && others && last != i - 1) /* as the shell writes --val val-*.tar */
                return vit_cli_usage(command, "arguments stand behind --%s and elsewhere ('%s'): expected --%s before each that is its own, "
                                     "and the others together", listed, argv[i], listed);
            list = NULL;
            last = i;
            argv[others++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            ended = 1;
        } else if (argv[i][1] != '-') {
            return vit_cli_usage(command, "unknown option %s; options begin with --", argv[i]);
        } else {
            list = NULL;
            int status = parse_option(command, options, argc, argv, &i, &list);
            if (status >= 0)
                return status;
        }
    }
    *count = others;
    if (others < command->least)
        return vit_cli_usage(command, "expected %s", command->arguments);
    if (command->most >= 0 && others > command->most)
        return vit_cli_usage(command, "'%s' is one argument too many", argv[command->most]);
    return -1;
}

/* "a, b or c" */
static void list_kinds(const vit_cli_subcommand *kinds, char *out, size_t size) {
    size_t used = 0;
    for (const vit_cli_subcommand *kind = kinds; kind->name && used < size; kind++)
        used += (size_t)snprintf(out + used, size - used, "%s%s",
                                 kind == kinds ? "" : kind[1].name ? ", " : " or ", kind->name);
}

int vit_cli_run_kind(const vit_cli_command *command, const vit_cli_subcommand *kinds, int argc, char **argv) {
    static const vit_cli_option none[] = {{0}};
    int count;
    for (const vit_cli_subcommand *kind = kinds; kind->name && argc > 1; kind++)
        if (strcmp(argv[1], kind->name) == 0)
            return kind->run(argc - 1, argv + 1);
    const int status = vit_cli_parse(command, none, argc, argv, &count);
    if (status >= 0)
        return status;
    char expected[80];
    for (const vit_cli_subcommand *kind = kinds; kind->name; kind++)
        if (strcmp(argv[0], kind->name) == 0)
            return vit_cli_usage(command, "'%s' comes before all options", kind->name);
    list_kinds(kinds, expected, sizeof expected);
    return vit_cli_usage(command, "'%s': expected %s", argv[0], expected);
}
