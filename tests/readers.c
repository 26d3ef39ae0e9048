/* readers.c - what weight files hold, for readers.py: paths on the input, a line each. Of a file, `refused SENTENCE`, or
 * its format, for each tensor `tensor RANK SHAPE... FORTRAN BYTES NAME_BYTES TYPE`, its name and its values as they are
 * stored, and `end`. */
#include "../src/base/file.h"
#include "../src/format/container.h"
#include "../src/format/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vit_allocator *allocator;
static vit_limits limits;

static vit_status read_header(vit_container *out, const vit_buffer *file, vit_error *error) {
    vit_header header = {.name = "file", .file_bytes = file->size, .anywhere = 1, .limits = &limits, .allocator = allocator};
    vit_status status = VIT_OK;
    *out = (vit_container){.allocator = allocator};
    vit_header_begin(&header, 1);
    while (header.wanted && status == VIT_OK) {
        const uint64_t at = header.offset + header.bytes.size, count = header.wanted - header.bytes.size;
        if (at > file->size || count > file->size - at)
            status = vit_fail(error, VIT_ERR_TRUNCATED, "file: ends within its header");
        else
            status = vit_buffer_append(&header.bytes, file->data + at, (size_t)count, "file", error);
        if (status == VIT_OK)
            status = vit_header_read(&header, out, error);
    }
    vit_header_release(&header);
    return status;
}

/* values [bytes]: of an npz unpacked, of others what the file has. */
static vit_status read_values(unsigned char *values, const vit_container *c, int index, const vit_buffer *file, vit_error *error) {
    static vit_unpacker unpacker;
    const vit_tensor_info *tensor = &c->tensors[index];
    const unsigned char *data = file->data + tensor->offset, *some;
    if (!c->places) {
        memcpy(values, data, (size_t)tensor->bytes);
        return VIT_OK;
    }
    size_t left = (size_t)c->places[index].stored, count;
    vit_unpack_init(&unpacker);
    vit_unpack_begin(&unpacker, "file", tensor, &c->places[index]);
    for (int more = 1; more; values += count) {
        VIT_TRY(vit_unpack_take(&unpacker, &data, &left, &some, &count, &more, error));
        memcpy(values, some, count);
    }
    return vit_unpack_end(&unpacker, error);
}

static vit_status read_file(vit_container *c, unsigned char ***values, const char *path, vit_buffer *file, vit_error *error) {
    VIT_TRY(vit_read_file(file, path, limits.file_bytes, error));
    VIT_TRY(read_header(c, file, error));
    *values = calloc((size_t)c->tensor_count + 1, sizeof **values);
    for (int i = 0; i < c->tensor_count; i++) {
        VIT_TRY(vit_alloc_for((void **)&(*values)[i], allocator, (size_t)c->tensors[i].bytes, "file", error));
        VIT_TRY(read_values((*values)[i], c, i, file, error));
    }
    return VIT_OK;
}

int main(void) {
    char path[1024];
    const vit_options options = vit_default_options();
    allocator = &options.allocator;
    limits = options.limits;
    while (fgets(path, sizeof path, stdin)) {
        vit_buffer file = {.allocator = allocator};
        vit_container c = {.allocator = allocator};
        vit_error error;
        unsigned char **values = NULL;
        path[strcspn(path, "\n")] = 0;
        const vit_status status = read_file(&c, &values, path, &file, &error);
        if (status != VIT_OK)
            printf("refused %s\n", error.text);
        else
            puts(c.format);
        for (int i = 0; i < c.tensor_count && status == VIT_OK; i++) {
            const vit_tensor_info *t = &c.tensors[i];
            printf("tensor %d", t->rank);
            for (int d = 0; d < t->rank; d++)
                printf(" %lld", (long long)t->shape[d]);
            printf(" %d %llu %zu %s\n%s", c.places && c.places[i].fortran, (unsigned long long)t->bytes, strlen(t->name), t->type,
                   t->name);
            fwrite(values[i], 1, (size_t)t->bytes, stdout);
        }
        if (status == VIT_OK)
            puts("end");
        for (int i = 0; values && i < c.tensor_count; i++)
            vit_release(allocator, values[i]);
        free(values);
        vit_container_release(&c);
        vit_buffer_release(&file);
    }
    return 0;
}
