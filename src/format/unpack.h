/* The bytes of one tensor of an npz, out of its archive and checked. */
#ifndef VIT_FORMAT_UNPACK_H
#define VIT_FORMAT_UNPACK_H

#include "container.h"
#include "inflate.h"

typedef struct vit_unpacker {
    vit_crc crc;
    vit_inflate inflate;
    vit_inflate_status status;
    const char *file;
    const vit_tensor_info *tensor;
    const vit_storage *storage;
    uint64_t unpacked; /* bytes, those before the values too */
    uint32_t sum;
} vit_unpacker;

/* Once. */
void vit_unpack_init(vit_unpacker *u);
/* For every tensor; all three must live on. */
void vit_unpack_begin(vit_unpacker *u, const char *file, const vit_tensor_info *tensor, const vit_storage *storage);
/* Takes some of data [bytes], what is stored of the tensor, in order, and moves both on; values [count]: what of its
 * values came of that, in data or in u, valid until the next call. *more: to be called again with the rest. */
vit_status vit_unpack_take(vit_unpacker *u, const unsigned char **data, size_t *bytes, const unsigned char **values,
                           size_t *count, int *more, vit_error *error);
/* After all of it: whether that was whole. */
vit_status vit_unpack_end(const vit_unpacker *u, vit_error *error);

#endif
