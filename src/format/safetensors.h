/* safetensors writing; container.h reads it. */
#ifndef VIT_FORMAT_SAFETENSORS_H
#define VIT_FORMAT_SAFETENSORS_H

#include "../base/file.h"

/* All descriptions first, then the header, then the data in the same order. */
typedef struct vit_safetensors_writer vit_safetensors_writer;
struct vit_safetensors_writer {
    /* a pointer, so that a module without files needs none of their functions */
    vit_status (*write)(vit_safetensors_writer *writer, const void *data, size_t bytes, vit_error *error);
    vit_writer file;
    vit_buffer *memory; /* what is written to instead of a file, or NULL */
    vit_buffer header;
    uint64_t next_offset;
};

vit_status vit_safetensors_open(vit_safetensors_writer *writer, const char *path, const vit_allocator *allocator,
                                vit_error *error);
/* The same to the end of a buffer, which is the caller's; ended by vit_safetensors_end instead of commit and cancel. */
void vit_safetensors_begin(vit_safetensors_writer *writer, vit_buffer *memory);
/* Pairs of key and text, before the first tensor. */
vit_status vit_safetensors_metadata(vit_safetensors_writer *writer, int count, const char *const (*pairs)[2],
                                    vit_error *error);
/* type: "F32", "U8", "I32"...; bytes: of the data. Names are escaped as JSON. */
vit_status vit_safetensors_tensor(vit_safetensors_writer *writer, const char *name, const char *type, int rank,
                                  const int64_t *shape, uint64_t bytes, vit_error *error);
vit_status vit_safetensors_header(vit_safetensors_writer *writer, vit_error *error);
vit_status vit_safetensors_data(vit_safetensors_writer *writer, const void *data, size_t bytes, vit_error *error);
vit_status vit_safetensors_commit(vit_safetensors_writer *writer, vit_error *error);
void vit_safetensors_end(vit_safetensors_writer *writer);
void vit_safetensors_cancel(vit_safetensors_writer *writer); /* always safe */

#endif
