/* json.c - JSON: the tree, the configurations that are read of it, the index of several files. */
#include "fuzz.h"

#include "../../src/format/json.h"

#include <math.h>

static size_t walk(const vit_json *node, int depth) {
    size_t nodes = 1, children = 0;
    fuzz_expect(depth <= 64);
    if (node->type == VIT_JSON_NUMBER)
        fuzz_expect(isfinite(node->number));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const vit_options options = fuzz_options();
    vit_json_document document;
    vit_loader *loader;
    vit_error error = {0};
    vit_status status = vit_json_parse(&document, "input.json", data, size, options.limits.json_depth,
                                       &options.allocator, &error);
    fuzz_check_error(status, &error);
    if (status == VIT_OK && size < 4096)
        fuzz_expect(walk(document.root, 0) <= size);
    vit_json_release(&document);
    for (int index = 0; index < 2; index++) {
        if (vit_loader_open(&loader, "input", &options, &error) != VIT_OK)
            continue;
        status = index ? vit_loader_index(loader, "model.safetensors.index.json", data, size, &error)
                       : vit_loader_config(loader, "config.json", data, size, &error);
        fuzz_check_error(status, &error);
        vit_loader_close(loader);
    }
    return fuzz_end();
}
