/* GGUF (version 2 and 3, little-endian) writing; container.h reads it. */
#ifndef VIT_FORMAT_GGUF_H
#define VIT_FORMAT_GGUF_H

#include "../base/file.h"

/* Collects metadata and tensor descriptions, then writes the header; the caller then writes the data of every tensor in
 * the same order with vit_gguf_data, which pads. */
typedef struct vit_gguf_writer vit_gguf_writer;
struct vit_gguf_writer {
    /* where bytes go: programs that write no files link none of those that do */
    vit_status (*write)(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error);
    vit_writer file;
    vit_buffer *memory;
    vit_buffer metadata, tensors;
    uint64_t metadata_count, tensor_count, next_offset, written;
};

vit_status vit_gguf_open(vit_gguf_writer *writer, const char *path, const vit_allocator *allocator, vit_error *error);
/* Into memory instead, which is complete once all data are there; vit_gguf_end frees what is held besides. */
void vit_gguf_begin(vit_gguf_writer *writer, vit_buffer *memory);
void vit_gguf_end(vit_gguf_writer *writer);
vit_status vit_gguf_string(vit_gguf_writer *writer, const char *key, const char *value, vit_error *error);
vit_status vit_gguf_uint(vit_gguf_writer *writer, const char *key, uint32_t value, vit_error *error);
vit_status vit_gguf_float(vit_gguf_writer *writer, const char *key, float value, vit_error *error);
vit_status vit_gguf_double(vit_gguf_writer *writer, const char *key, double value, vit_error *error);
vit_status vit_gguf_bool(vit_gguf_writer *writer, const char *key, int value, vit_error *error);
vit_status vit_gguf_floats(vit_gguf_writer *writer, const char *key, const float *values, size_t count,
                           vit_error *error);
vit_status vit_gguf_uints(vit_gguf_writer *writer, const char *key, const uint32_t *values, size_t count,
                          vit_error *error);
vit_status vit_gguf_strings(vit_gguf_writer *writer, const char *key, const char *const *values, size_t count,
                            vit_error *error);
/* shape: slowest dimension first (the file stores it the other way round). type: VIT_F32, VIT_F16, VIT_BF16, VIT_Q8_0
 * or VIT_Q4_0. */
vit_status vit_gguf_tensor(vit_gguf_writer *writer, const char *name, vit_dtype type, int rank, const int64_t *shape,
                           vit_error *error);
vit_status vit_gguf_header(vit_gguf_writer *writer, vit_error *error);
/* Data of the next tensor, in one or more pieces; after the last piece call with data NULL to pad to the alignment. */
vit_status vit_gguf_data(vit_gguf_writer *writer, const void *data, size_t bytes, vit_error *error);
vit_status vit_gguf_commit(vit_gguf_writer *writer, vit_error *error);
void vit_gguf_cancel(vit_gguf_writer *writer); /* always safe, also after commit: frees what is held */

#endif
