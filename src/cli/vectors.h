/* A file with one f32 array [rows,width], written row by row: NumPy's .npy, or .safetensors (tensor "features"). */
#ifndef VIT_CLI_VECTORS_H
#define VIT_CLI_VECTORS_H

#include "../base/file.h"

typedef struct vit_cli_vectors {
    vit_writer out;
    size_t width, rows;
} vit_cli_vectors;

/* Whether the name ends in .npy or .safetensors. */
int vit_cli_vectors_known(const char *path);
/* Begins under a temporary name; 0 and a complaint where that cannot be. Close in any case. */
int vit_cli_vectors_open(vit_cli_vectors *vectors, const char *path, size_t width);
void vit_cli_vectors_add(vit_cli_vectors *vectors, const float *row);
/* Gives the file its name if `keep`, which what was not opened cannot be, and all went well; else removes it. 1, or 0 (with
 * a complaint where it was to be kept). */
int vit_cli_vectors_close(vit_cli_vectors *vectors, int keep);

#endif
