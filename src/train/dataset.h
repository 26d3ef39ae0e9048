/* Pictures to train on, inside the library: where each lies, and of what class it is. */
#ifndef VIT_TRAIN_DATASET_H
#define VIT_TRAIN_DATASET_H

#include "../base/memory.h"
#include "../vit_train.h"

typedef struct vit_entry {
    uint64_t offset, bytes; /* offset: in a tar */
    uint32_t path;          /* of the picture, in texts */
    int32_t archive;        /* -1: none, a file of that path */
    int32_t class_index;
} vit_entry;

struct vit_dataset {
    vit_options options;
    vit_buffer entries;  /* vit_entry [count] */
    vit_buffer texts;    /* paths, each with its 0 */
    vit_buffer archives; /* uint32_t: their paths, in texts */
    vit_buffer classes;  /* uint32_t: their names, in texts */
    int count, archive_count, class_count;
    int32_t *slots;      /* hash table of classes by name: their number + 1, or 0 */
    int slot_count;      /* a power of 2 */
    int unlabelled;      /* pictures in no folder that names a class are of the class "" */
    int passed_over, empty; /* files that are not taken; folders that name a class and have no picture */
    uint32_t passed_first, empty_first; /* the first of them, in texts */
};

static inline const vit_entry *vit_dataset_entry(const vit_dataset *d, int index) {
    return (const vit_entry *)(const void *)d->entries.data + index;
}

static inline const char *vit_dataset_text(const vit_dataset *d, uint32_t at) {
    return (const char *)d->texts.data + at;
}

/* A picture's bytes, appended to buffer. */
vit_status vit_dataset_read(const vit_dataset *d, int index, vit_buffer *buffer, vit_error *error);
/* "train.tar: airplane/0001.jpg", for errors. */
void vit_dataset_name(const vit_dataset *d, int index, char *out, size_t size);

#endif
