/* A weight file seen without its format: tensors, metadata, and where the data lies. GGUF, safetensors and npz parse
 * into it. */
#ifndef VIT_FORMAT_CONTAINER_H
#define VIT_FORMAT_CONTAINER_H

#include "../base/memory.h"
#include "json.h"

typedef enum vit_value_type {
    VIT_VALUE_STRING,
    VIT_VALUE_INTEGER,
    VIT_VALUE_FLOAT,
    VIT_VALUE_BOOL,
    VIT_VALUE_ARRAY
} vit_value_type;

typedef struct vit_metadata {
    const char *key;
    vit_value_type type;
    const char *string;       /* VIT_VALUE_STRING, NUL-terminated */
    int64_t integer;          /* VIT_VALUE_INTEGER, VIT_VALUE_BOOL. A u64 over INT64_MAX becomes VIT_VALUE_FLOAT and
                               * leaves its bits here, a negative number; other floats leave 0 */
    double number;            /* VIT_VALUE_FLOAT, and integers as well */
    /* VIT_VALUE_ARRAY */
    vit_value_type element;
    size_t count;
    const char *const *strings; /* element == VIT_VALUE_STRING */
    const double *numbers;      /* all other elements */
} vit_metadata;

/* How a tensor's values are stored, besides what vit_tensor_info says. */
typedef struct vit_storage {
    uint64_t stored;          /* bytes in the file: all of them values, but in an npz */
    uint32_t header;          /* npz: bytes before the values, unpacked */
    uint32_t crc;             /* npz: CRC-32 of header and values */
    int deflated;
    int fortran;              /* the first dimension is the fastest */
} vit_storage;

/* One of several files, as shards.h joins them. */
typedef struct vit_shard {
    const char *file;
    int tensors;              /* how many, after those of the files before it */
    uint64_t data_begin, file_bytes;
} vit_shard;

typedef struct vit_container {
    const char *format;       /* "GGUF", "safetensors", "npz" */
    vit_tensor_info *tensors; /* in the order of their data */
    vit_storage *places;        /* of npz; of others NULL */
    int tensor_count;
    vit_shard *shards;
    int shard_count;          /* 0: all is in one file */
    vit_metadata *metadata;
    int metadata_count;
    uint64_t data_begin;      /* file offset where tensor data starts */
    uint64_t file_bytes;      /* end of the last tensor */
    uint64_t padding;         /* bytes that may follow: GGUF may pad the last tensor to the alignment */
    vit_arena memory;         /* what it owns */
    const vit_allocator *allocator;
} vit_container;

/* Parses the header in the first `bytes` of a file whose whole size is file_bytes, or UINT64_MAX where that is not
 * known yet (a stream). Chooses the format by its first bytes. *need: 0 when the header was complete, else how many
 * bytes from the start of the file are wanted before trying again (never more than a limit allows, always more than
 * `bytes`); *out is then empty. With the size known, a header that does not fit is VIT_ERR_TRUNCATED. Once complete,
 * `bytes` is at least data_begin. Everything is checked: names unique, offsets aligned and inside the file, types known
 * or VIT_DTYPE_OTHER (types whose size is not known are refused), shapes against bytes, limits. */
vit_status vit_container_parse(vit_container *out, const char *name, const void *head, size_t bytes,
                               uint64_t file_bytes, uint64_t *need, const vit_limits *limits,
                               const vit_allocator *allocator, vit_error *error);
void vit_container_release(vit_container *container);
/* The file that has a tensor; otherwise `only`, where all are in one. */
const char *vit_container_file(const vit_container *container, int tensor, const char *only);
/* Bytes of the file that hold a tensor. */
uint64_t vit_container_stored(const vit_container *container, int tensor);

/* Reading a header that may stand anywhere in its file: it says which bytes it wants, and goes on when they are there. */
typedef struct vit_header {
    const char *name;
    uint64_t file_bytes;      /* UINT64_MAX: not known yet */
    int anywhere;             /* the file can be read anywhere, file_bytes is known; else from first to last byte */
    const vit_limits *limits;
    const vit_allocator *allocator;
    uint64_t offset, wanted;  /* the range that is wanted. All to the end, of an npz that cannot be read anywhere */
    vit_buffer bytes;         /* of that range, those that have come: to be appended to */
    struct vit_npz *npz;
} vit_header;

/* The others are set by the caller; then `wanted` first bytes, at least 1, are waited for. */
void vit_header_begin(vit_header *header, uint64_t wanted);
/* When the wanted bytes have come: wants others, or has filled *out, and wants 0. */
vit_status vit_header_read(vit_header *header, vit_container *out, vit_error *error);
void vit_header_release(vit_header *header);
const vit_metadata *vit_container_get(const vit_container *container, const char *key);

#endif
