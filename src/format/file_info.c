/* The public calls that list what a weight file holds: only its header is read, of an npz all. */
#include "../vit_tasks.h"
#include "container.h"
#include "text.h"
#include "unpack.h"
#include "../base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 65536 /* the header of most files, and enough to say what another file looks like */
#define SHOWN_STRINGS 3   /* of an array */
#define SHOWN_NUMBERS 8

struct vit_file {
    vit_options options;
    vit_container container;
    vit_buffer text;   /* values that are no strings, each with its NUL */
    size_t *text_at;   /* [container.metadata_count], where in text */
};

static vit_status read_wanted(vit_reader *reader, vit_header *header, vit_error *error) {
    unsigned char piece[4096];
    while (header->bytes.size < header->wanted) {
        const uint64_t left = header->wanted - header->bytes.size;
        size_t got, wanted = left < sizeof piece ? (size_t)left : sizeof piece;
        VIT_TRY(vit_reader_at(reader, header->offset + header->bytes.size, piece, wanted, &got, error));
        if (!got)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends before its %llu bytes", reader->name,
                            (unsigned long long)reader->size);
        VIT_TRY(vit_buffer_append(&header->bytes, piece, got, "header", error));
    }
    return VIT_OK;
}

static vit_status read_header(vit_file *file, vit_reader *reader, vit_error *error) {
    vit_status status = VIT_OK;
    vit_header header = {.name = reader->name,
                         .file_bytes = reader->size,
                         .anywhere = 1,
                         .limits = &file->options.limits,
                         .allocator = &file->options.allocator};
    vit_header_begin(&header, reader->size < FIRST_BYTES ? reader->size : FIRST_BYTES);
    while (status == VIT_OK && header.wanted) {
        status = read_wanted(reader, &header, error);
        if (status == VIT_OK)
            status = vit_header_read(&header, &file->container, error);
    }
    vit_header_release(&header);
    return status;
}

/* An npz has checksums: its values are read through. */
static vit_status check_values(const vit_file *file, vit_reader *reader, vit_error *error) {
    const vit_container *container = &file->container;
    unsigned char piece[4096];
    vit_unpacker *u;
    if (!container->places)
        return VIT_OK;
    VIT_TRY(vit_alloc_for((void **)&u, &file->options.allocator, sizeof *u, reader->name, error));
    vit_unpack_init(u);
    vit_status status = VIT_OK;
    for (int i = 0; i < container->tensor_count && status == VIT_OK; i++) {
        const vit_storage *storage = &container->places[i];
        size_t got = 1;
        vit_unpack_begin(u, reader->name, &container->tensors[i], storage);
        for (uint64_t at = 0; at < storage->stored && got && status == VIT_OK; at += got) {
            size_t bytes = storage->stored - at < sizeof piece ? (size_t)(storage->stored - at) : sizeof piece;
            status = vit_reader_at(reader, container->tensors[i].offset + at, piece, bytes, &got, error);
            const unsigned char *data = piece, *values;
            size_t left = got, count;
            for (int more = 1; more && status == VIT_OK;)
                status = vit_unpack_take(u, &data, &left, &values, &count, &more, error);
        }
        if (status == VIT_OK)
            status = vit_unpack_end(u, error);
    }
    vit_release(&file->options.allocator, u);
    return status;
}

static vit_status add_text(vit_file *file, const char *text, vit_error *error) {
    return vit_buffer_append(&file->text, text, strlen(text), "metadata", error);
}

/* Whole numbers in full, others with as few digits as give them back: as a float if it is one, 1e-06 and not
 * 9.99999997e-07. */
static vit_status add_number(vit_file *file, double number, vit_value_type type, vit_error *error) {
    if (type == VIT_VALUE_BOOL)
        return add_text(file, number != 0 ? "true" : "false", error);
    return add_text(file, vit_show_number(number).text, error);
}

static vit_status add_array(vit_file *file, const vit_metadata *entry, vit_error *error) {
    char count[32];
    snprintf(count, sizeof count, "[%zu]", entry->count);
    VIT_TRY(add_text(file, count, error));
    size_t shown = entry->element == VIT_VALUE_STRING ? SHOWN_STRINGS : SHOWN_NUMBERS;
    for (size_t i = 0; i < entry->count && i < shown; i++) {
        VIT_TRY(add_text(file, i ? ", " : " ", error));
        if (entry->element == VIT_VALUE_STRING)
            VIT_TRY(add_text(file, vit_show(entry->strings[i], strlen(entry->strings[i])).text, error));
        else
            VIT_TRY(add_number(file, entry->numbers[i], entry->element, error));
    }
    return entry->count > shown ? add_text(file, ", ...", error) : VIT_OK;
}

static vit_status add_value(vit_file *file, const vit_metadata *entry, vit_error *error) {
    char text[32];
    switch (entry->type) {
    case VIT_VALUE_STRING:
        return VIT_OK;
    case VIT_VALUE_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)entry->integer);
        VIT_TRY(add_text(file, text, error));
        break;
    case VIT_VALUE_ARRAY:
        VIT_TRY(add_array(file, entry, error));
        break;
    default:
        if (entry->integer < 0) {
            snprintf(text, sizeof text, "%llu", (unsigned long long)entry->integer);
            VIT_TRY(add_text(file, text, error));
        } else {
            VIT_TRY(add_number(file, entry->number, entry->type, error));
        }
    }
    return vit_buffer_append(&file->text, "", 1, "metadata", error);
}

static vit_status describe(vit_file *file, vit_error *error) {
    size_t count = (size_t)file->container.metadata_count;
    VIT_TRY(vit_alloc_for((void **)&file->text_at, &file->options.allocator, vit_size_mul(count, sizeof *file->text_at),
                          "metadata", error));
    for (size_t i = 0; i < count; i++) {
        file->text_at[i] = file->text.size;
        VIT_TRY(add_value(file, &file->container.metadata[i], error));
    }
    return VIT_OK;
}

vit_status vit_file_open(vit_file **out, const char *path, const vit_options *options, vit_error *error) {
    vit_options chosen = options ? *options : vit_default_options();
    vit_file *file;
    vit_reader reader;
    *out = NULL;
    VIT_TRY(vit_alloc_for((void **)&file, &chosen.allocator, sizeof *file, path, error));
    *file = (vit_file){.options = chosen};
    file->text.allocator = &file->options.allocator;
    vit_status status = vit_reader_open(&reader, path, chosen.limits.file_bytes, error);
    if (status == VIT_OK)
        status = read_header(file, &reader, error);
    if (status == VIT_OK)
        status = check_values(file, &reader, error);
    vit_reader_close(&reader);
    if (status == VIT_OK)
        status = describe(file, error);
    if (status == VIT_OK)
        *out = file;
    else
        vit_file_close(file);
    return status;
}

void vit_file_close(vit_file *file) {
    if (!file)
        return;
    vit_allocator allocator = file->options.allocator;
    vit_release(&allocator, file->text_at);
    vit_buffer_release(&file->text);
    vit_container_release(&file->container);
    vit_release(&allocator, file);
}

const char *vit_file_format(const vit_file *file) {
    return file->container.format;
}

int vit_file_tensor_count(const vit_file *file) {
    return file->container.tensor_count;
}

const vit_tensor_info *vit_file_tensor(const vit_file *file, int index) {
    return index >= 0 && index < file->container.tensor_count ? &file->container.tensors[index] : NULL;
}

int vit_file_metadata_count(const vit_file *file) {
    return file->container.metadata_count;
}

void vit_file_metadata(const vit_file *file, int index, const char **key, const char **value) {
    *key = *value = NULL;
    if (index < 0 || index >= file->container.metadata_count)
        return;
    const vit_metadata *entry = &file->container.metadata[index];
    *key = entry->key;
    *value = entry->type == VIT_VALUE_STRING ? entry->string : (const char *)file->text.data + file->text_at[index];
}
