/* Unit feature vectors of pictures by path, in memory and in a file that grows by whole records: a program that is
 * stopped at any time leaves all but the last picture, and goes on where it was. */
#ifndef VIT_CLI_INDEX_FILE_H
#define VIT_CLI_INDEX_FILE_H

#include "../vit_tasks.h"

#include <stdio.h>

typedef struct vit_cli_entry {
    char *path;
    long long bytes, seconds; /* of the picture's file: its size and time of change */
} vit_cli_entry;

typedef struct vit_cli_index {
    const char *path;       /* of the file; NULL: in memory only */
    FILE *file;             /* open to append to, or NULL */
    char backbone[32];      /* vit_model_backbone of the features */
    int width;
    vit_cli_entry *entries; /* [count] */
    float *vectors;         /* [count,width] */
    int count, room;
    int *slots;             /* hash table of entries by path: their number + 1, or 0 */
    int slot_count;         /* a power of 2 */
} vit_cli_index;

/* Whether the file begins as an index. */
int vit_cli_is_index(const char *path);
/* Reads the file at path, where there is one; NULL: starts empty. It must be of this backbone and width. With
 * `writable`, it is made where it is missing, and a record that was not wholly written is cut off. 0 and a complaint
 * on failure; close in any case. */
int vit_cli_index_open(vit_cli_index *index, const char *path, const char *backbone, int width, int writable);
void vit_cli_index_close(vit_cli_index *index);
/* Number of the entry of that path; -1 where there is none. */
int vit_cli_index_find(const vit_cli_index *index, const char *path);
/* Adds an entry, or replaces that of its path; in the file too, where it is open. vector [width]. 0 and a complaint on
 * failure. */
int vit_cli_index_put(vit_cli_index *index, const char *path, long long bytes, long long seconds, const float *vector);

#endif
