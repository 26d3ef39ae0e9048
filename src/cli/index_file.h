/* Feature vectors of pictures by path, in a file that grows by whole records: a program that is stopped at any time
 * leaves all but the last picture, and goes on where it was. */
#ifndef VIT_CLI_INDEX_FILE_H
#define VIT_CLI_INDEX_FILE_H

#include "engine.h"

#include <stdio.h>

typedef struct vit_cli_entry {
    char *path;
    long long bytes, seconds; /* of the picture's file: its size and time of change */
    long long at;             /* where its record begins in the file */
} vit_cli_entry;

typedef struct vit_cli_index {
    const char *path;       /* of the file; NULL: in memory only */
    FILE *file;             /* open to append to, or NULL */
    long long end;          /* of the records that were wholly written */
    char backbone[32];      /* vit_model_backbone of the features, but for size and crop_pct */
    uint32_t arithmetic;    /* compute and types of weights; 0 where any will do */
    int size[2];            /* height, width of the network's input, in pixels */
    double crop_pct;
    int width;
    vit_cli_entry *entries; /* [count] */
    float *vectors;         /* [count,width]; NULL where they stay in the file */
    int in_file;
    int count, room;
    int *slots;             /* hash table of entries by path: their number + 1, or 0 */
    int slot_count;         /* a power of 2 */
} vit_cli_index;

enum {
    VIT_CLI_INDEX_WRITE = 1,   /* made where it is missing; a record that was not wholly written is cut off */
    VIT_CLI_INDEX_IN_FILE = 2  /* vectors stay there, for vit_cli_index_read(); a file of others is begun anew */
};
/* Whether the file begins as one that was written with such flags. */
int vit_cli_is_index(const char *path, int flags);
/* Reads the file at path, where there is one; NULL: starts empty. Its features must be those that the engine makes. 0
 * and a complaint on failure; close in any case. */
int vit_cli_index_open(vit_cli_index *index, const char *path, const vit_cli_engine *engine, vit_feature feature,
                       int flags);
void vit_cli_index_close(vit_cli_index *index);
/* Number of the entry of that path; -1 where there is none. */
int vit_cli_index_find(const vit_cli_index *index, const char *path);
/* Whether there is one, of the picture as its file is now: of this size and time. */
int vit_cli_index_knows(const vit_cli_index *index, const char *path, long long bytes, long long seconds);
/* Adds an entry, or replaces that of its path; in the file too, where it is open. vector [width]. 0 and a complaint on
 * failure. */
int vit_cli_index_put(vit_cli_index *index, const char *path, long long bytes, long long seconds, const float *vector);
/* The vector of an entry, from the file, which was opened to be written: vector [width]. 0 and a complaint where it is no longer what was written. */
int vit_cli_index_read(vit_cli_index *index, int entry, float *vector);

#endif
