/* json.c - JSON: the tree, the configurations that are read of it and what is checked of them, the index of several files and
 * the files that it names. */
#include "fuzz.h"

#include "../../src/format/json.h"
#include "../../src/format/safetensors.h"
#include "../../src/format/text.h"

#include <math.h>

static size_t walk(const vit_json *node, int depth) {
    size_t nodes = 1, children = 0;
    fuzz_expect(depth <= 64);
    if (node->type == VIT_JSON_NUMBER) {
        const double shown = strtod(vit_show_number(node->number).text, NULL);
        fuzz_expect(isfinite(node->number));
        fuzz_expect(shown == node->number || (float)shown == (float)node->number);
    }
    if (node->type == VIT_JSON_STRING)
        fuzz_expect(node->string[node->length] == 0);
    for (const vit_json *child = node->child; child; child = child->next, children++) {
        if (node->type == VIT_JSON_OBJECT)
            fuzz_expect(child->key[child->key_length] == 0 && vit_json_get(node, child->key));
        nodes += walk(child, depth + 1);
    }
    if (node->type == VIT_JSON_ARRAY || node->type == VIT_JSON_OBJECT)
        fuzz_expect(children == node->length);
    return nodes;
}

/* The header of a file as the index says it is, or nearly: `change` 0 leaves its first tensor out, 1 adds another file's, 2
 * is a GGUF. */
static vit_status push_file(vit_loader *loader, const vit_json *map, const char *file, uint32_t change,
                            const vit_options *options) {
    vit_buffer bytes = {.allocator = &options->allocator};
    vit_safetensors_writer writer;
    vit_error error;
    const int64_t side = 4;
    vit_status status = VIT_OK;
    vit_safetensors_begin(&writer, &bytes);
    for (const vit_json *entry = map->child; entry && status == VIT_OK; entry = entry->next)
        if ((strcmp(entry->string, file) == 0) != (change == 1 && !entry->next) && (change || entry != map->child))
            status = vit_safetensors_tensor(&writer, entry->key, "F32", 1, &side, 4 * sizeof(float), &error);
    if (status == VIT_OK)
        status = vit_safetensors_header(&writer, &error);
    vit_safetensors_end(&writer);
    if (status == VIT_OK && change == 2)
        memcpy(bytes.data, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", bytes.size < 24 ? bytes.size : 24);
    if (status == VIT_OK)
        status = vit_loader_push(loader, bytes.data, bytes.size, &error);
    fuzz_check_error(status, &error);
    vit_buffer_release(&bytes);
    return status;
}

static void push_files(vit_loader *loader, const vit_json *root, uint32_t state, const vit_options *options) {
    const vit_json *map = vit_json_get(root, "weight_map");
    const char *file;
    uint64_t offset;
    char before[200] = "";
    vit_status status = VIT_OK;
    while (status == VIT_OK && vit_loader_next(loader, &file, &offset) && strcmp(file, before) != 0) {
        snprintf(before, sizeof before, "%s", file);
        status = push_file(loader, map, before, fuzz_choose(&state, 12), options);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const vit_options options = fuzz_options();
    vit_json_document document;
    vit_loader *loader;
    vit_error error = {0};
    vit_status status = vit_json_parse(&document, "input.json", data, size, &options.limits,
                                       &options.allocator, &error);
    fuzz_check_error(status, &error);
    if (status == VIT_OK && size < 4096)
        fuzz_expect(walk(document.root, 0) <= size);
    for (int index = 0; index < 2; index++) {
        if (vit_loader_open(&loader, "input", &options, &error) != VIT_OK)
            continue;
        status = index ? vit_loader_index(loader, "model.safetensors.index.json", data, size, &error)
                       : vit_loader_config(loader, "config.json", data, size, &error);
        fuzz_check_error(status, &error);
        if (index && status == VIT_OK)
            push_files(loader, document.root, fuzz_hash(data, size), &options);
        vit_loader_close(loader);
    }
    vit_json_release(&document);
    return fuzz_end();
}
