/* A model in several safetensors files, and the index that names them: model.safetensors.index.json,
 * {"weight_map": {"blocks.0.norm1.weight": "model-00001-of-00002.safetensors", ...}}. */
#ifndef VIT_FORMAT_SHARDS_H
#define VIT_FORMAT_SHARDS_H

#include "container.h"

typedef struct vit_shards {
    const char *name;         /* of the index, for errors */
    vit_json_document index;
    const char **files;       /* [count], sorted: plain names, fit to be put behind a folder's */
    vit_container *parts;     /* [count]: what the files hold, as their headers come */
    int count;
    const vit_allocator *allocator;
} vit_shards;

/* name and allocator must live on. Refuses names of files that could lead elsewhere. */
vit_status vit_shards_open(vit_shards *out, const char *name, const void *json, size_t bytes, const vit_limits *limits,
                           const vit_allocator *allocator, vit_error *error);
/* All parts as one container, in their order; each tensor where the index says it is, and none twice. */
vit_status vit_shards_join(vit_container *out, const vit_shards *shards, const vit_limits *limits, vit_error *error);
void vit_shards_release(vit_shards *shards);

#endif
