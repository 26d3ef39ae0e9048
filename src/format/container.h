/* A weight file seen without its format: tensors, metadata, and where the data lies. GGUF and safetensors parse into
 * it. */
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

typedef struct vit_container {
    const char *format;       /* "GGUF", "safetensors" */
    vit_tensor_info *tensors; /* in the order of their data */
    int tensor_count;
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
const vit_metadata *vit_container_get(const vit_container *container, const char *key);

#endif
