#include "train_record.h"

#include "../base/file.h"
#include "json_out.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

/* These may change from one part of a run to the next. */
static const char *const harmless[] = {"recipe", "out", "resume", "show", "eval-epochs", "save-minutes",
                                       "recompute", "loaders", "threads", "kernels"};

/* An option's value in words, NULL where there is none; text: room for those that are numbers. */
static const char *words_of(const vit_cli_option *option, char *text, size_t size) {
    const int *integers = option->value;
    const char *choice = option->argument;
    switch (option->kind) {
    case VIT_CLI_TEXT:
        return *(const char *const *)option->value;
    case VIT_CLI_TEXTS:
        return NULL;
    case VIT_CLI_FLAG:
        return *integers ? "true" : "false";
    case VIT_CLI_INT:
        snprintf(text, size, "%d", *integers);
        return *integers >= option->min ? text : NULL; /* less: not said */
    case VIT_CLI_NUMBER:
        snprintf(text, size, "%.7g", *(const double *)option->value);
        return text;
    case VIT_CLI_SIZE:
        snprintf(text, size, "%dx%d", integers[0], integers[1]);
        return integers[0] ? text : NULL;
    case VIT_CLI_CHOICE:
        for (int i = 0; i < *integers; i++)
            choice += strcspn(choice, "|") + 1;
        snprintf(text, size, "%.*s", (int)strcspn(choice, "|"), choice);
        return text;
    }
    return NULL;
}

static int is_bare(const vit_cli_option *option) {
    return option->kind == VIT_CLI_FLAG || option->kind == VIT_CLI_INT || option->kind == VIT_CLI_NUMBER;
}

static void write_texts(FILE *out, const char *const *texts, int count) {
    fputc('[', out);
    for (int i = 0; i < count; i++) {
        fputs(i ? "," : "", out);
        vit_cli_json_string(out, texts[i]);
    }
    fputc(']', out);
}

void vit_cli_record_write(FILE *out, const vit_cli_record *record) {
    char text[64];
    fprintf(out, "{\"version\":\"" VIT_VERSION "\",\"command\":\"%s\",\"data\":", record->command);
    write_texts(out, record->data, record->data_count);
    fputs(",\n \"options\":{", out);
    for (const vit_cli_option *option = record->options; option->name; option++) {
        const char *words = words_of(option, text, sizeof text);
        const vit_cli_texts *texts = option->value;
        fprintf(out, "%s\n  \"%s\":", option == record->options ? "" : ",", option->name);
        if (option->kind == VIT_CLI_TEXTS && texts->count)
            write_texts(out, texts->items, texts->count);
        else if (words && is_bare(option))
            fputs(words, out);
        else
            vit_cli_json_string(out, words);
    }
    fputs("}}\n", out);
}

int vit_cli_record_save(const char *path, const vit_cli_record *record) {
    vit_error error;
    vit_writer writer;
    if (vit_writer_open(&writer, path, &vit_cli_options()->allocator, &error) != VIT_OK)
        return vit_cli_failed(&error);
    vit_cli_record_write(writer.stream, record);
    if (vit_writer_commit(&writer, &error) == VIT_OK)
        return VIT_CLI_OK;
    vit_writer_cancel(&writer);
    return vit_cli_failed(&error);
}

/* The value of an option in a record's text, as it is written there; its length to *length, 0 where there is none. */
static const char *find(const char *text, const char *name, int *length) {
    char key[64];
    snprintf(key, sizeof key, "\n  \"%s\":", name);
    const char *value = strstr(text, key);
    value = value ? value + strlen(key) : "";
    *length = (int)strcspn(value, "\n");
    while (*length && strchr(",}", value[*length - 1]))
        --*length;
    return value;
}

static void compare(const char *path, const char *begun, const char *now, const vit_cli_option *options) {
    for (const vit_cli_option *option = options; option->name; option++) {
        int before, after, matters = 1;
        const char *was = find(begun, option->name, &before), *is = find(now, option->name, &after);
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
            matters &= strcmp(option->name, harmless[i]) != 0;
        if (matters && before && (before != after || memcmp(was, is, (size_t)before) != 0))
            vit_cli_complain("%s: begun with --%s %.*s, not %.*s", path, option->name, before, was, after, is);
    }
}

void vit_cli_record_compare(const char *path, const vit_cli_record *record) {
    vit_buffer begun = {.allocator = &vit_cli_options()->allocator};
    vit_error error;
    char *text = NULL;
    size_t size;
    FILE *now = open_memstream(&text, &size);
    if (now) {
        vit_cli_record_write(now, record);
        if (fclose(now) == 0 && vit_read_config(&begun, path, vit_cli_options()->limits.config_bytes, &error) == VIT_OK)
            compare(path, (const char *)begun.data, text, record->options);
    }
    free(text);
    vit_buffer_release(&begun);
}
