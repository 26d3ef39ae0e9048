#include "gguf.h"

#include "text.h"

#include <string.h>

#define ALIGNMENT 32 /* of tensor data, GGUF's default */

/* Numbers of the format. */
enum { TYPE_U32 = 4, TYPE_F32 = 6, TYPE_BOOL = 7, TYPE_STRING = 8, TYPE_ARRAY = 9, TYPE_F64 = 12 };
enum { TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q4_0 = 2, TENSOR_Q8_0 = 8, TENSOR_BF16 = 30 };

static vit_status put(vit_buffer *buffer, const void *data, size_t bytes, vit_error *error) {
    return vit_buffer_append(buffer, data, bytes, "GGUF header", error);
}

static vit_status put_integer(vit_buffer *buffer, uint64_t value, int bytes, vit_error *error) {
    unsigned char little[8];
    for (int i = 0; i < bytes; i++)
        little[i] = (unsigned char)(value >> 8 * i);
    return put(buffer, little, (size_t)bytes, error);
}

static vit_status put_float(vit_buffer *buffer, float value, vit_error *error) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put_integer(buffer, bits, 4, error);
}

static vit_status put_string(vit_buffer *buffer, const char *string, vit_error *error) {
    size_t length = strlen(string);
    if (!vit_utf8_name(string, length))
        return vit_fail(error, VIT_ERR_ARGUMENT, "\"%s\" is not UTF-8", vit_show(string, length).text);
    VIT_TRY(put_integer(buffer, length, 8, error));
    return put(buffer, string, length, error);
}

static vit_status put_key(vit_gguf_writer *writer, const char *key, uint32_t type, vit_error *error) {
    VIT_TRY(put_string(&writer->metadata, key, error));
    writer->metadata_count++;
    return put_integer(&writer->metadata, type, 4, error);
}

static vit_status put_array(vit_gguf_writer *writer, const char *key, uint32_t type, size_t count, vit_error *error) {
    VIT_TRY(put_key(writer, key, TYPE_ARRAY, error));
    VIT_TRY(put_integer(&writer->metadata, type, 4, error));
    return put_integer(&writer->metadata, count, 8, error);
}

static vit_status write_file(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return vit_writer_write(&writer->file, data, bytes, error);
}

static vit_status write_memory(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return vit_buffer_append(writer->memory, data, bytes, "GGUF", error);
}

vit_status vit_gguf_open(vit_gguf_writer *writer, const char *path, const vit_allocator *allocator, vit_error *error) {
    *writer = (vit_gguf_writer){.write = write_file};
    VIT_TRY(vit_writer_open(&writer->file, path, allocator, error));
    writer->metadata.allocator = writer->tensors.allocator = &writer->file.allocator;
    return VIT_OK;
}

void vit_gguf_begin(vit_gguf_writer *writer, vit_buffer *memory) {
    *writer = (vit_gguf_writer){.write = write_memory, .memory = memory, .metadata = {.allocator = memory->allocator},
                                .tensors = {.allocator = memory->allocator}};
}

vit_status vit_gguf_string(vit_gguf_writer *writer, const char *key, const char *value, vit_error *error) {
    VIT_TRY(put_key(writer, key, TYPE_STRING, error));
    return put_string(&writer->metadata, value, error);
}

vit_status vit_gguf_uint(vit_gguf_writer *writer, const char *key, uint32_t value, vit_error *error) {
    VIT_TRY(put_key(writer, key, TYPE_U32, error));
    return put_integer(&writer->metadata, value, 4, error);
}

vit_status vit_gguf_float(vit_gguf_writer *writer, const char *key, float value, vit_error *error) {
    VIT_TRY(put_key(writer, key, TYPE_F32, error));
    return put_float(&writer->metadata, value, error);
}

vit_status vit_gguf_double(vit_gguf_writer *writer, const char *key, double value, vit_error *error) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    VIT_TRY(put_key(writer, key, TYPE_F64, error));
    return put_integer(&writer->metadata, bits, 8, error);
}

vit_status vit_gguf_bool(vit_gguf_writer *writer, const char *key, int value, vit_error *error) {
    VIT_TRY(put_key(writer, key, TYPE_BOOL, error));
    return put_integer(&writer->metadata, value != 0, 1, error);
}

vit_status vit_gguf_floats(vit_gguf_writer *writer, const char *key, const float *values, size_t count,
                           vit_error *error) {
    VIT_TRY(put_array(writer, key, TYPE_F32, count, error));
    for (size_t i = 0; i < count; i++)
        VIT_TRY(put_float(&writer->metadata, values[i], error));
    return VIT_OK;
}

vit_status vit_gguf_uints(vit_gguf_writer *writer, const char *key, const uint32_t *values, size_t count,
                          vit_error *error) {
    VIT_TRY(put_array(writer, key, TYPE_U32, count, error));
    for (size_t i = 0; i < count; i++)
        VIT_TRY(put_integer(&writer->metadata, values[i], 4, error));
    return VIT_OK;
}

vit_status vit_gguf_strings(vit_gguf_writer *writer, const char *key, const char *const *values, size_t count,
                            vit_error *error) {
    VIT_TRY(put_array(writer, key, TYPE_STRING, count, error));
    for (size_t i = 0; i < count; i++)
        VIT_TRY(put_string(&writer->metadata, values[i], error));
    return VIT_OK;
}

static uint64_t aligned(uint64_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

vit_status vit_gguf_tensor(vit_gguf_writer *writer, const char *name, vit_dtype type, int rank, const int64_t *shape,
                           vit_error *error) {
    static const struct {
        uint32_t id, values, bytes; /* of a block; 0 values: not written */
    } types[] = {[VIT_F32] = {TENSOR_F32, 1, 4},      [VIT_F16] = {TENSOR_F16, 1, 2}, [VIT_BF16] = {TENSOR_BF16, 1, 2},
                 [VIT_Q8_0] = {TENSOR_Q8_0, 32, 34}, [VIT_Q4_0] = {TENSOR_Q4_0, 32, 18}, [VIT_DTYPE_OTHER] = {0, 0, 0}};
    uint64_t values = 1;
    if (rank < 0 || rank > 4 || !types[type].values)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "tensor \"%s\": expected at most 4 dimensions of F32, F16, BF16, Q8_0 or Q4_0", name);
    if (types[type].values > 1 && (!rank || shape[rank - 1] % types[type].values))
        return vit_fail(error, VIT_ERR_ARGUMENT, "tensor \"%s\": its rows are not whole blocks of %u", name,
                        types[type].values);
    VIT_TRY(put_string(&writer->tensors, name, error));
    VIT_TRY(put_integer(&writer->tensors, (uint64_t)rank, 4, error));
    for (int i = rank; i-- > 0;) {
        VIT_TRY(put_integer(&writer->tensors, (uint64_t)shape[i], 8, error));
        values *= (uint64_t)shape[i];
    }
    VIT_TRY(put_integer(&writer->tensors, types[type].id, 4, error));
    VIT_TRY(put_integer(&writer->tensors, writer->next_offset, 8, error));
    writer->next_offset += aligned(values / types[type].values * types[type].bytes);
    writer->tensor_count++;
    return VIT_OK;
}

static vit_status write(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error) {
    writer->written += bytes;
    return writer->write(writer, data, bytes, error);
}

static vit_status pad(vit_gguf_writer *writer, vit_error *error) {
    static const unsigned char zeros[ALIGNMENT];
    return write(writer, zeros, (size_t)(aligned(writer->written) - writer->written), error);
}

static uint64_t size_of(const vit_gguf_writer *writer) {
    return aligned(24 + writer->metadata.size + writer->tensors.size) + writer->next_offset;
}

vit_status vit_gguf_header(vit_gguf_writer *writer, vit_error *error) {
    vit_buffer counts = {.allocator = writer->metadata.allocator};
    vit_status status = writer->memory ? vit_buffer_reserve(writer->memory, (size_t)size_of(writer), "GGUF", error) : VIT_OK;
    if (status == VIT_OK)
        status = put(&counts, "GGUF\3\0\0\0", 8, error);
    if (status == VIT_OK)
        status = put_integer(&counts, writer->tensor_count, 8, error);
    if (status == VIT_OK)
        status = put_integer(&counts, writer->metadata_count, 8, error);
    if (status == VIT_OK)
        status = write(writer, counts.data, counts.size, error);
    vit_buffer_release(&counts);
    VIT_TRY(status);
    if (writer->metadata.size)
        VIT_TRY(write(writer, writer->metadata.data, writer->metadata.size, error));
    if (writer->tensors.size)
        VIT_TRY(write(writer, writer->tensors.data, writer->tensors.size, error));
    return pad(writer, error);
}

vit_status vit_gguf_data(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error) {
    return data ? write(writer, data, bytes, error) : pad(writer, error);
}

vit_status vit_gguf_commit(vit_gguf_writer *writer, vit_error *error) {
    const uint64_t size = size_of(writer);
    if (writer->written != size)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the header announces %llu bytes, %llu were written",
                        writer->file.path, (unsigned long long)size, (unsigned long long)writer->written);
    return vit_writer_commit(&writer->file, error);
}

void vit_gguf_end(vit_gguf_writer *writer) {
    vit_buffer_release(&writer->metadata);
    vit_buffer_release(&writer->tensors);
}

void vit_gguf_cancel(vit_gguf_writer *writer) {
    vit_gguf_end(writer);
    vit_writer_cancel(&writer->file);
}
