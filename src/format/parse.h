/* The formats behind container.h. */
#ifndef VIT_FORMAT_PARSE_H
#define VIT_FORMAT_PARSE_H

#include "container.h"

/* What is known of a file: its first bytes, and its size or UINT64_MAX. */
typedef struct vit_head {
    const char *name;
    const unsigned char *data;
    size_t bytes;
    uint64_t file_bytes;
    const vit_limits *limits;
    vit_error *error;
} vit_head;

/* Fill *out (its allocator is set), or only *need. On failure the caller releases *out. */
vit_status vit_safetensors_parse(vit_container *out, const vit_head *head, uint64_t *need);
vit_status vit_gguf_parse(vit_container *out, const vit_head *head, uint64_t *need);

/* The same for what begins like a ZIP archive: goes on with header->bytes, as vit_header_read does. */
int vit_npz_begins(const void *data, size_t bytes);
vit_status vit_npz_read(vit_header *header, vit_container *out, vit_error *error);
void vit_npz_release(vit_header *header);

/* What a container holds in its one block of memory, counted before it is taken. */
typedef struct vit_container_sizes {
    size_t tensors, metadata;
    size_t places;           /* as many as tensors, or none */
    size_t shards;
    size_t strings, numbers; /* elements of metadata arrays */
    size_t text;             /* bytes of all names and strings with their NULs */
} vit_container_sizes;
typedef struct vit_container_room {
    const char **strings;
    double *numbers;
    char *text;
} vit_container_room;
vit_status vit_container_allocate(vit_container *out, const vit_container_sizes *sizes, vit_container_room *room,
                                  const vit_head *head);
/* Copies a string into the room for text, NUL-terminated. */
const char *vit_container_copy(vit_container_room *room, const void *string, size_t length);

/* tensors and metadata against the limit, which is never over INT_MAX. */
vit_status vit_check_count(const vit_head *head, uint64_t count, const char *what);
/* Product of a shape. 0 is returned if a dimension is negative or the product without zero dimensions does not fit in
 * an int64_t: whoever multiplies some of the dimensions later need not check again. */
int vit_shape_elements(int rank, const int64_t *shape, uint64_t *count);
/* out->file_bytes against its limit and the size of the file. */
vit_status vit_check_file_bytes(const vit_container *out, const vit_head *head);
/* Into the order of their data. */
void vit_sort_tensors(vit_container *container);

static inline uint32_t vit_load_u16(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t vit_load_u32(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t vit_load_u64(const unsigned char *at) {
    return vit_load_u32(at) | (uint64_t)vit_load_u32(at + 4) << 32;
}

#endif
