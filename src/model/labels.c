/* Class names from a file. */
#include "../vit_tasks.h"
#include "../base/file.h"
#include "../format/json.h"

#include <string.h>

static vit_status set_labels(vit_model *model, const char *path, const char *const *names, int count, vit_error *error) {
    vit_error inner;
    vit_status status = vit_model_set_labels(model, names, count, &inner);
    return status == VIT_OK ? VIT_OK : vit_fail(error, status, "%s: %s", path, inner.text);
}

static vit_status labels_from_json(vit_model *model, const char *path, const vit_json *root, const char **names,
                                   vit_error *error) {
    int count = 0;
    for (const vit_json *item = root->child; item; item = item->next, count++) {
        if (item->type != VIT_JSON_STRING)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: item %d of the labels is not a string", path, count);
        names[count] = item->string;
    }
    return set_labels(model, path, names, count, error);
}

static vit_status read_json(vit_model *model, const char *path, const vit_buffer *file, const vit_options *options,
                            vit_error *error) {
    vit_json_document document = {0};
    VIT_TRY(vit_json_parse(&document, path, file->data, file->size, &options->limits, &options->allocator,
                           error));
    const char **names = NULL;
    vit_status status = vit_alloc_for((void **)&names, &options->allocator,
                                      vit_size_mul(document.root->length, sizeof *names), path, error);
    if (status == VIT_OK)
        status = labels_from_json(model, path, document.root, names, error);
    vit_release(&options->allocator, names);
    vit_json_release(&document);
    return status;
}

/* Cuts the text at its line ends, in place; a last empty line does not count. */
static vit_status read_lines(vit_model *model, const char *path, vit_buffer *file, const vit_options *options,
                             vit_error *error) {
    size_t lines = 1;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    const char **names;
    VIT_TRY(vit_alloc_for((void **)&names, &options->allocator, vit_size_mul(lines, sizeof *names), path, error));
    char *text = (char *)file->data, *end = text + file->size;
    int count = 0;
    while (text < end) {
        char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop)
            stop = end;
        char *next = stop + 1;
        if (stop > text && stop[-1] == '\r')
            stop--;
        *stop = 0; /* a buffer has a zero byte after its end */
        names[count++] = text;
        text = next;
    }
    vit_status status = set_labels(model, path, names, count, error);
    vit_release(&options->allocator, names);
    return status;
}

vit_status vit_model_read_labels(vit_model *model, const char *path, const vit_options *options, vit_error *error) {
    vit_options chosen = options ? *options : vit_default_options();
    vit_buffer file = {.allocator = &chosen.allocator};
    vit_status status = vit_read_config(&file, path, chosen.limits.config_bytes, error);
    if (status == VIT_OK) {
        static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as some editors write it */
        if (file.size >= 3 && memcmp(file.data, mark, 3) == 0) {
            file.size -= 3;
            memmove(file.data, file.data + 3, file.size + 1); /* and the zero byte */
        }
        const char *text = (const char *)file.data;
        int json = text[strspn(text, " \t\r\n")] == '[';
        status = json ? read_json(model, path, &file, &chosen, error) : read_lines(model, path, &file, &chosen, error);
    }
    vit_buffer_release(&file);
    return status;
}
