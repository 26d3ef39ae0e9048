/* options.c - the command line's options: an input is its words, a line each. */
#include "fuzz.h"

#include "../../src/cli/options.h"

static int run_nothing(int argc, char **argv) {
    fuzz_expect(argc > 0 && argv[0]);
    return VIT_CLI_OK;
}

/* Each word as a list of numbers; the first as what kind of a command is meant. */
static void read_words(const vit_cli_command *command, int given, char **arguments) {
    static const vit_cli_subcommand kinds[] = {{"fit", run_nothing}, {"predict", run_nothing}, {"add", run_nothing}, {0}};
    for (int i = 1; i < given; i++) {
        int whole[4];
        double numbers[4];
        const int count = vit_cli_integers(arguments[i], -3, 1000, whole, 4),
                  others = vit_cli_numbers(arguments[i], 0, 1, numbers, 4);
        for (int k = 0; k < count; k++)
            fuzz_expect(whole[k] >= -3 && whole[k] <= 1000);
        for (int k = 0; k < others; k++)
            fuzz_expect(numbers[k] >= 0 && numbers[k] <= 1);
    }
    const int status = vit_cli_run_kind(command, kinds, given, arguments);
    fuzz_expect(status == VIT_CLI_OK || status == VIT_CLI_USAGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const vit_cli_command command = {
        .name = "fuzz", .summary = "tries", .arguments = "[options] FILE...", .details = "Details.",
        .examples = "  vit fuzz\n", .least = 1, .most = 3};
    int flag = 0, whole = 5, choice = 0, pixels[2] = {0}, count = -1;
    double number = 0.5;
    const char *text = NULL;
    const vit_cli_option options[] = {
        {"flag", NULL, VIT_CLI_FLAG, &flag, 0, 0, "a flag"},
        {"whole", "N", VIT_CLI_INT, &whole, -3, 1000, "a number"},
        {"number", "F", VIT_CLI_NUMBER, &number, -1, 1e9, "a number"},
        {"text", "TEXT", VIT_CLI_TEXT, &text, 0, 0, "text"},
        {"size", "N|HxW", VIT_CLI_SIZE, pixels, 0, 0, "pixels"},
        {"choice", "f32|int8|a-longer-word", VIT_CLI_CHOICE, &choice, 0, 0, "a word"},
        {0}};
    enum { WORDS = 64 };
    char *arguments[WORDS + 1] = {"fuzz"}, *words = malloc(size + 1);
    fuzz_expect(words);
    if (size)
        memcpy(words, data, size);
    words[size] = 0;
    int given = 1;
    for (char *at = words; at < words + size && given < WORDS;) {
        arguments[given++] = at;
        at += strcspn(at, "\n");
        *at++ = 0;
    }
    read_words(&command, given, arguments);
    const int status = vit_cli_parse(&command, options, given, arguments, &count);
    fuzz_expect(status == -1 || status == VIT_CLI_OK || status == VIT_CLI_USAGE);
    fuzz_expect(whole >= -3 && whole <= 1000 && number >= -1 && number <= 1e9 && choice >= 0 && choice < 3);
    fuzz_expect(pixels[0] >= 0 && pixels[0] <= 65535 && pixels[1] >= 0 && pixels[1] <= 65535 && (!text || *text));
    if (status == -1)
        fuzz_expect(count >= 1 && count <= 3);
    free(words);
    return 0;
}
