/* safetensors: u64 length of the header, the header as JSON, the data. Each tensor is a member of the header,
 * {"dtype": "F32", "shape": [D,D], "data_offsets": [begin, end]}, counted from the end of the header; the tensors tile
 * the data without holes. https://huggingface.co/docs/safetensors/index#format */
#include "safetensors.h"

#include "parse.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct element {
    const char *name;
    unsigned bits;
    vit_dtype dtype;
};

static const struct element elements[] = {
    {"F32", 32, VIT_F32},
    {"F16", 16, VIT_F16},
    {"BF16", 16, VIT_BF16},
    {"F64", 64, VIT_DTYPE_OTHER},
    {"I8", 8, VIT_DTYPE_OTHER},
    {"I16", 16, VIT_DTYPE_OTHER},
    {"I32", 32, VIT_DTYPE_OTHER},
    {"I64", 64, VIT_DTYPE_OTHER},
    {"U8", 8, VIT_DTYPE_OTHER},
    {"U16", 16, VIT_DTYPE_OTHER},
    {"U32", 32, VIT_DTYPE_OTHER},
    {"U64", 64, VIT_DTYPE_OTHER},
    {"BOOL", 8, VIT_DTYPE_OTHER},
    {"C64", 64, VIT_DTYPE_OTHER},
    {"F8_E4M3", 8, VIT_DTYPE_OTHER},
    {"F8_E5M2", 8, VIT_DTYPE_OTHER},
    {"F8_E8M0", 8, VIT_DTYPE_OTHER},
    {"F8_E4M3FNUZ", 8, VIT_DTYPE_OTHER},
    {"F8_E5M2FNUZ", 8, VIT_DTYPE_OTHER},
    {"F6_E2M3", 6, VIT_DTYPE_OTHER},
    {"F6_E3M2", 6, VIT_DTYPE_OTHER},
    {"F4", 4, VIT_DTYPE_OTHER},
};

static const struct element *find_element(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (strlen(elements[i].name) == length && memcmp(elements[i].name, name, length) == 0)
            return &elements[i];
    return NULL;
}

/* `file: tensor "name": ` comes before every complaint about one. */
static vit_status fail_tensor(const vit_head *head, vit_status status, const vit_json *entry, const char *what) {
    return vit_fail(head->error, status, "%s: tensor \"%s\": %s", head->name,
                    vit_show(entry->key, entry->key_length).text, what);
}

static int is_count(const vit_json *value) {
    return value->type == VIT_JSON_NUMBER && value->is_integer && !signbit(value->number);
}

static vit_status read_shape(const vit_head *head, const vit_json *entry, vit_tensor_info *tensor) {
    char what[200];
    const vit_json *shape = vit_json_get(entry, "shape");
    if (!shape || shape->type != VIT_JSON_ARRAY)
        return fail_tensor(head, VIT_ERR_FORMAT, entry, "\"shape\" must be an array of integers");
    int most = sizeof tensor->shape / sizeof *tensor->shape;
    if (shape->length > (size_t)most) {
        snprintf(what, sizeof what, "%zu dimensions, at most %d are supported", shape->length, most);
        return fail_tensor(head, VIT_ERR_UNSUPPORTED, entry, what);
    }
    for (const vit_json *side = shape->child; side; side = side->next) {
        if (!is_count(side) || side->magnitude > INT64_MAX) {
            snprintf(what, sizeof what, "dimension %d must be an integer, 0 or more", tensor->rank);
            if (side->type == VIT_JSON_NUMBER)
                snprintf(what + strlen(what), sizeof what - strlen(what), ", found %.9g", side->number);
            return fail_tensor(head, VIT_ERR_FORMAT, entry, what);
        }
        tensor->shape[tensor->rank++] = (int64_t)side->magnitude;
    }
    return VIT_OK;
}

static vit_status read_offsets(const vit_head *head, const vit_json *entry, uint64_t *begin, uint64_t *end) {
    const vit_json *offsets = vit_json_get(entry, "data_offsets");
    if (!offsets || offsets->type != VIT_JSON_ARRAY || offsets->length != 2 || !is_count(offsets->child) ||
        !is_count(offsets->child->next))
        return fail_tensor(head, VIT_ERR_FORMAT, entry, "\"data_offsets\" must be two integers, 0 or more");
    *begin = offsets->child->magnitude;
    *end = offsets->child->next->magnitude;
    if (*begin > *end) {
        char what[100];
        snprintf(what, sizeof what, "the data begins at %llu and ends before that, at %llu", (unsigned long long)*begin,
                 (unsigned long long)*end);
        return fail_tensor(head, VIT_ERR_FORMAT, entry, what);
    }
    return VIT_OK;
}

/* tensor->offset counts from the start of the data until all tensors are known to tile it. */
static vit_status read_tensor(const vit_head *head, const vit_json *entry, vit_tensor_info *tensor) {
    char what[320];
    if (entry->type != VIT_JSON_OBJECT)
        return fail_tensor(head, VIT_ERR_FORMAT, entry, "expected an object");
    const vit_json *type = vit_json_get(entry, "dtype");
    if (!type || type->type != VIT_JSON_STRING)
        return fail_tensor(head, VIT_ERR_FORMAT, entry, "\"dtype\" must be a string");
    const struct element *element = find_element(type->string, type->length);
    if (!element) {
        snprintf(what, sizeof what, "unknown dtype \"%s\"", vit_show(type->string, type->length).text);
        return fail_tensor(head, VIT_ERR_UNSUPPORTED, entry, what);
    }
    *tensor = (vit_tensor_info){.type = element->name, .dtype = element->dtype};
    VIT_TRY(read_shape(head, entry, tensor));
    uint64_t begin = 0, end = 0, count = 0;
    VIT_TRY(read_offsets(head, entry, &begin, &end));
    vit_shown_shape shape = vit_show_shape(tensor->rank, tensor->shape);
    if (!vit_shape_elements(tensor->rank, tensor->shape, &count) || count > UINT64_MAX / element->bits) {
        snprintf(what, sizeof what, "shape %s is too large", shape.text);
        return fail_tensor(head, VIT_ERR_FORMAT, entry, what);
    }
    uint64_t bits = count * element->bits;
    if (bits % 8 || bits / 8 != end - begin) {
        snprintf(what, sizeof what, "shape %s of %s needs %llu %s, the offsets give %llu bytes", shape.text,
                 element->name, (unsigned long long)(bits % 8 ? bits : bits / 8), bits % 8 ? "bits" : "bytes",
                 (unsigned long long)(end - begin));
        return fail_tensor(head, VIT_ERR_FORMAT, entry, what);
    }
    tensor->offset = begin;
    tensor->bytes = end - begin;
    return VIT_OK;
}

static vit_status check_names(const vit_head *head, const vit_json *header, vit_container_sizes *sizes) {
    for (const vit_json *entry = header->child; entry; entry = entry->next) {
        if (!vit_utf8_name(entry->key, entry->key_length))
            return fail_tensor(head, VIT_ERR_FORMAT, entry, "U+0000 in a name");
        sizes->text += entry->key_length + 1;
        sizes->tensors++;
    }
    const vit_json *metadata = vit_json_get(header, "__metadata__");
    if (!metadata)
        return VIT_OK;
    sizes->tensors--;
    if (metadata->type != VIT_JSON_OBJECT)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: \"__metadata__\" must be an object", head->name);
    for (const vit_json *value = metadata->child; value; value = value->next) {
        if (value->type != VIT_JSON_STRING || !vit_utf8_name(value->key, value->key_length) ||
            !vit_utf8_name(value->string, value->length))
            return vit_fail(head->error, VIT_ERR_FORMAT,
                            "%s: metadata \"%s\": expected a string, and no U+0000 in key or value", head->name,
                            vit_show(value->key, value->key_length).text);
        sizes->text += value->key_length + 1 + value->length + 1;
        sizes->metadata++;
    }
    return VIT_OK;
}

static vit_status check_tiling(vit_container *out, const vit_head *head) {
    uint64_t end = 0;
    vit_sort_tensors(out);
    for (int i = 0; i < out->tensor_count; i++) {
        vit_tensor_info *tensor = &out->tensors[i];
        if (tensor->offset != end)
            return vit_fail(
                head->error, VIT_ERR_FORMAT,
                "%s: tensor \"%s\": its data begins at %llu, expected %llu where the one before it ends (%s)",
                head->name, vit_show(tensor->name, strlen(tensor->name)).text, (unsigned long long)tensor->offset,
                (unsigned long long)end, tensor->offset < end ? "they overlap" : "there is a hole");
        end += tensor->bytes;
        tensor->offset += out->data_begin;
    }
    if (end > UINT64_MAX - out->data_begin)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: %llu bytes of data are too many", head->name,
                        (unsigned long long)end);
    out->file_bytes = out->data_begin + end;
    return vit_check_file_bytes(out, head);
}

static vit_status read_header(vit_container *out, const vit_head *head, const vit_json *header) {
    vit_container_sizes sizes = {0};
    vit_container_room room;
    if (header->type != VIT_JSON_OBJECT)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: the header must be a JSON object", head->name);
    VIT_TRY(check_names(head, header, &sizes));
    VIT_TRY(vit_check_count(head, sizes.tensors, "tensors"));
    VIT_TRY(vit_check_count(head, sizes.metadata, "metadata entries"));
    VIT_TRY(vit_container_allocate(out, &sizes, &room, head));
    vit_tensor_info *tensor = out->tensors;
    vit_metadata *metadata = out->metadata;
    for (const vit_json *entry = header->child; entry; entry = entry->next) {
        if (strcmp(entry->key, "__metadata__") != 0) {
            VIT_TRY(read_tensor(head, entry, tensor));
            tensor++->name = vit_container_copy(&room, entry->key, entry->key_length);
            continue;
        }
        for (const vit_json *value = entry->child; value; value = value->next, metadata++) {
            *metadata = (vit_metadata){.type = VIT_VALUE_STRING};
            metadata->key = vit_container_copy(&room, value->key, value->key_length);
            metadata->string = vit_container_copy(&room, value->string, value->length);
        }
    }
    return check_tiling(out, head);
}

vit_status vit_safetensors_parse(vit_container *out, const vit_head *head, uint64_t *need) {
    uint64_t length = vit_load_u64(head->data);
    if (length > head->limits->header_bytes)
        return vit_fail(head->error, VIT_ERR_LIMIT,
                        "%s: a header of %llu bytes, the limit is %llu (limit header_bytes)", head->name,
                        (unsigned long long)length, (unsigned long long)head->limits->header_bytes);
    if (length > head->file_bytes - 8)
        return vit_fail(head->error, VIT_ERR_TRUNCATED,
                        "%s: a header of %llu bytes, the file has only %llu after byte 8", head->name,
                        (unsigned long long)length, (unsigned long long)(head->file_bytes - 8));
    if (length > head->bytes - 8) {
        *need = 8 + length;
        return VIT_OK;
    }
    out->format = "safetensors";
    out->data_begin = 8 + length;
    char name[300];
    snprintf(name, sizeof name, "%.250s (header)", head->name);
    vit_json_document document;
    VIT_TRY(vit_json_parse(&document, name, head->data + 8, (size_t)length, head->limits,
                           out->allocator, head->error));
    vit_status status = read_header(out, head, document.root);
    vit_json_release(&document);
    return status;
}

/* ---- writing ---- */

#define HEADER_ALIGN 64 /* of the data: as wide as the widest vector; the format asks for 8 */

static vit_status put(vit_safetensors_writer *writer, const char *text, vit_error *error) {
    return vit_buffer_append(&writer->header, text, strlen(text), "safetensors header", error);
}

static vit_status write_file(vit_safetensors_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return vit_writer_write(&writer->file, data, bytes, error);
}

static vit_status write_memory(vit_safetensors_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return vit_buffer_append(writer->memory, data, bytes, "safetensors", error);
}

vit_status vit_safetensors_open(vit_safetensors_writer *writer, const char *path, const vit_allocator *allocator,
                                vit_error *error) {
    *writer = (vit_safetensors_writer){.write = write_file};
    VIT_TRY(vit_writer_open(&writer->file, path, allocator, error));
    writer->header.allocator = &writer->file.allocator;
    return VIT_OK;
}

void vit_safetensors_begin(vit_safetensors_writer *writer, vit_buffer *memory) {
    *writer = (vit_safetensors_writer){.write = write_memory, .memory = memory,
                                       .header = {.allocator = memory->allocator}};
}

vit_status vit_safetensors_metadata(vit_safetensors_writer *writer, int count, const char *const (*pairs)[2],
                                    vit_error *error) {
    for (int i = 0; i < count; i++) {
        VIT_TRY(put(writer, i ? "," : "{\"__metadata__\":{", error));
        VIT_TRY(vit_json_put_string(&writer->header, pairs[i][0], error));
        VIT_TRY(put(writer, ":", error));
        VIT_TRY(vit_json_put_string(&writer->header, pairs[i][1], error));
    }
    return put(writer, count ? "}" : "", error);
}

vit_status vit_safetensors_tensor(vit_safetensors_writer *writer, const char *name, const char *type, int rank,
                                  const int64_t *shape, uint64_t bytes, vit_error *error) {
    char rest[120];
    if (rank < 0 || rank > 8)
        return vit_fail(error, VIT_ERR_ARGUMENT, "tensor \"%s\": rank %d, expected 0 to 8", name, rank);
    if (!vit_utf8_name(name, strlen(name)))
        return vit_fail(error, VIT_ERR_ARGUMENT, "tensor \"%s\": the name is not UTF-8",
                        vit_show(name, strlen(name)).text);
    VIT_TRY(put(writer, writer->header.size ? "," : "{", error));
    VIT_TRY(vit_json_put_string(&writer->header, name, error));
    VIT_TRY(put(writer, ":{\"dtype\":", error));
    VIT_TRY(vit_json_put_string(&writer->header, type, error));
    VIT_TRY(put(writer, ",\"shape\":", error));
    VIT_TRY(put(writer, vit_show_shape(rank, shape).text, error));
    snprintf(rest, sizeof rest, ",\"data_offsets\":[%llu,%llu]}", (unsigned long long)writer->next_offset,
             (unsigned long long)(writer->next_offset + bytes));
    writer->next_offset += bytes;
    return put(writer, rest, error);
}

vit_status vit_safetensors_header(vit_safetensors_writer *writer, vit_error *error) {
    VIT_TRY(put(writer, writer->header.size ? "}" : "{}", error));
    while ((8 + writer->header.size) % HEADER_ALIGN)
        VIT_TRY(put(writer, " ", error));
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)writer->header.size >> 8 * i);
    VIT_TRY(writer->write(writer, length, 8, error));
    return writer->write(writer, writer->header.data, writer->header.size, error);
}

vit_status vit_safetensors_data(vit_safetensors_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return writer->write(writer, data, bytes, error);
}

vit_status vit_safetensors_commit(vit_safetensors_writer *writer, vit_error *error) {
    uint64_t size = 8 + writer->header.size + writer->next_offset;
    if (writer->file.size != size)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the header announces %llu bytes, %llu were written",
                        writer->file.path, (unsigned long long)size, (unsigned long long)writer->file.size);
    return vit_writer_commit(&writer->file, error);
}

void vit_safetensors_end(vit_safetensors_writer *writer) {
    vit_buffer_release(&writer->header);
}

void vit_safetensors_cancel(vit_safetensors_writer *writer) {
    vit_buffer_release(&writer->header);
    vit_writer_cancel(&writer->file);
}
