#include "train_record.h"

#include "../base/file.h"
#include "../format/json.h"
#include "json_out.h"
#include "limits.h"

#include <stdlib.h>
#include <string.h>

/* These may change from one part of a run to the next. */
static const char *const harmless[] = {"recipe", "out", "resume", "show", "eval-epochs", "save-minutes",
                                       "recompute", "loaders", "threads", "kernels", "model"};

/* An option's value in words, NULL where there is none; text: room for those that are numbers. */
static const char *words_of(const vit_cli_option *option, char *text, size_t size) {
    const int *integers = option->value;
    const char *choice = option->argument;
    switch (option->kind) {
    case VIT_CLI_TEXT:
        return *(const char *const *)option->value;
    case VIT_CLI_FLAG:
        return *integers ? "true" : "false";
    case VIT_CLI_INT:
        snprintf(text, size, "%d", *integers);
        return *integers >= option->min ? text : NULL; /* less: not said */
    case VIT_CLI_NUMBER:
        snprintf(text, size, "%.9g", *(const double *)option->value);
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

void vit_cli_record_write(FILE *out, const vit_cli_record *record) {
    char text[64];
    fprintf(out, "{\"version\":\"" VIT_VERSION "\",\"command\":\"%s\",\"data\":[", record->command);
    for (int i = 0; i < record->data_count; i++) {
        fputs(i ? "," : "", out);
        vit_cli_json_string(out, record->data[i]);
    }
    fputs("],\n \"options\":{", out);
    for (const vit_cli_option *option = record->options; option->name; option++) {
        const char *words = words_of(option, text, sizeof text);
        fprintf(out, "%s\n  \"%s\":", option == record->options ? "" : ",", option->name);
        if (words && is_bare(option))
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

static const char *words_in(const vit_json *value, char *text, size_t size) {
    switch (value->type) {
    case VIT_JSON_STRING:
        return value->string;
    case VIT_JSON_NUMBER:
        snprintf(text, size, "%.9g", value->number);
        return text;
    case VIT_JSON_NULL:
        return NULL;
    default:
        return value->type == VIT_JSON_TRUE ? "true" : "false";
    }
}

static void compare(const char *path, const vit_json *begun, const vit_cli_record *record) {
    for (const vit_cli_option *option = record->options; option->name; option++) {
        const vit_json *value = vit_json_get(begun, option->name);
        char now[64], then[64];
        int matters = value != NULL;
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
            matters &= strcmp(option->name, harmless[i]) != 0;
        if (!matters)
            continue;
        const char *is = words_of(option, now, sizeof now), *was = words_in(value, then, sizeof then);
        if (is == was || (is && was && strcmp(is, was) == 0))
            continue;
        if (was && is)
            vit_cli_complain("%s: begun with --%s %s, not %s", path, option->name, was, is);
        else
            vit_cli_complain("%s: begun with%s --%s %s", path, is ? "out" : "", option->name, is ? is : was);
    }
}

void vit_cli_record_compare(const char *path, const vit_cli_record *record) {
    const vit_options *o = vit_cli_options();
    vit_buffer text = {.allocator = &o->allocator};
    vit_json_document document = {0};
    vit_error error;
    if (vit_read_config(&text, path, o->limits.config_bytes, &error) == VIT_OK &&
        vit_json_parse(&document, path, text.data, text.size, &o->limits, &o->allocator, &error) == VIT_OK)
        compare(path, vit_json_get(document.root, "options"), record);
    vit_json_release(&document);
    vit_buffer_release(&text);
}
