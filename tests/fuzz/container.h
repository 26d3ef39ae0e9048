/* container.h - a weight file's bytes through every reader: at once, in pieces, at random places, into a model. */
#ifndef VIT_TESTS_FUZZ_CONTAINER_H
#define VIT_TESTS_FUZZ_CONTAINER_H

#include "fuzz.h"
#include "model.h"

#include "../../src/format/container.h"

/* Everything a container says can be read and lies in the file, if its size was known. */
static inline void fuzz_walk(const vit_container *c, uint64_t size) {
    size_t seen = 0;
    for (int i = 0; i < c->tensor_count; i++) {
        const vit_tensor_info *t = &c->tensors[i];
        seen += strlen(t->name) + strlen(t->type);
        fuzz_expect(t->rank >= 0 && t->rank <= 8);
        const uint64_t stored = c->places ? c->places[i].stored : t->bytes;
        fuzz_expect(t->offset <= size && stored <= size - t->offset);
        for (int d = 0; d < t->rank; d++)
            fuzz_expect(t->shape[d] >= 0);
    }
    for (int i = 0; i < c->metadata_count; i++) {
        const vit_metadata *m = &c->metadata[i];
        seen += strlen(m->key);
        if (m->type == VIT_VALUE_STRING)
            seen += strlen(m->string);
        for (size_t j = 0; m->type == VIT_VALUE_ARRAY && j < m->count; j++)
            seen += m->element == VIT_VALUE_STRING ? strlen(m->strings[j]) : m->numbers[j] != 0;
    }
    fuzz_expect(seen < SIZE_MAX);
}

/* The header as it asks for it, after the `first` bytes. */
static inline vit_status fuzz_header(vit_container *out, const uint8_t *data, size_t size, size_t first, int sized,
                                     int anywhere, const vit_options *options, vit_error *error) {
    vit_header header = {.name = "input", .file_bytes = sized ? size : UINT64_MAX, .anywhere = anywhere,
                         .limits = &options->limits, .allocator = &options->allocator};
    vit_status status = VIT_OK;
    *out = (vit_container){.allocator = &options->allocator};
    vit_header_begin(&header, first);
    while (header.wanted && status == VIT_OK) {
        const uint64_t at = header.offset + header.bytes.size, left = at < size ? size - at : 0,
                       want = header.wanted - header.bytes.size;
        if (want > left && header.file_bytes != UINT64_MAX)
            status = vit_fail(error, VIT_ERR_TRUNCATED, "input: ends within its header");
        else if (want > left) /* the stream has ended: now its size is known */
            header.file_bytes = size;
        if (status == VIT_OK)
            status = vit_buffer_append(&header.bytes, data + at, (size_t)(want < left ? want : left), "input", error);
        if (status == VIT_OK)
            status = vit_header_read(&header, out, error);
    }
    if (status != VIT_OK)
        vit_container_release(out);
    vit_header_release(&header);
    return status;
}

static inline int fuzz_container(const uint8_t *data, size_t size) {
    const vit_options options = fuzz_options();
    if (!size)
        return 0;
    uint32_t state = fuzz_hash(data, size);
    vit_container whole = {0}, other;
    vit_error error = {0};
    uint64_t need = 0;
    vit_status status =
        vit_container_parse(&whole, "input", data, size, size, &need, &options.limits, &options.allocator, &error);
    fuzz_check_error(status, &error);
    const int is_whole = status == VIT_OK && !need;
    if (is_whole)
        fuzz_walk(&whole, size);
    const size_t first = 1 + fuzz_choose(&state, (uint32_t)(size < 64 ? size : 64));
    const int sized = (int)fuzz_choose(&state, 2), anywhere = sized && fuzz_choose(&state, 2);
    vit_status again = fuzz_header(&other, data, size, first, sized, anywhere, &options, &error);
    if (again == VIT_OK) {
        fuzz_walk(&other, sized ? size : UINT64_MAX);
        fuzz_expect(!is_whole || (other.tensor_count == whole.tensor_count && other.metadata_count == whole.metadata_count));
        vit_container_release(&other);
    }
    fuzz_expect(!is_whole || again == VIT_OK);
    vit_container_release(&whole);
    fuzz_load(NULL, 0, data, size, 1 + fuzz_choose(&state, 4096), (int)fuzz_choose(&state, 3), &options);
    return fuzz_end();
}

#endif
