/* Position embeddings on another grid than they were trained on, and those that are no parameters. */
#ifndef VIT_MODEL_POSEMB_H
#define VIT_MODEL_POSEMB_H

#include "../base/memory.h"

/* How a grid is resampled, along each axis. vit_resample in vit.h names the four that checkpoints mean. */
typedef struct vit_interpolation {
    double cubic;      /* a of the cubic convolution kernel, negative; 0: linear */
    int antialias;     /* the kernel widens when shrinking, and is cut off and normalised at the edges, as in Pillow */
    int corners;       /* first and last cell stay where they are, instead of cell borders */
} vit_interpolation;

vit_interpolation vit_interpolation_of(vit_resample rule);

/* Bytes that the interpolation works in. */
size_t vit_posemb_bytes(int rows, int columns, int width, vit_interpolation how, int out_rows, int out_columns);
/* Those for all stored positions of a network, on a grid of rows x columns; of relative ones for so many distances. 0: there is
 * nothing to resample. */
size_t vit_resample_bytes(const vit_config *config, int rows, int columns, int distances);
/* table [rows,columns,width] -> out [out_rows,out_columns,width] (paper section 3.2), all at least 1. Without the class
 * token's row, which is never resampled. room: vit_posemb_bytes of the caller's, aligned as malloc does. */
void vit_posemb_interpolate(const float *table, int rows, int columns, int width, vit_interpolation how, int out_rows,
                            int out_columns, float *out, void *room);

/* big_vision's posemb_sincos_2d, out [rows,columns,width]: frequencies are 10000^(-k / (width/4 - 1)). The same bits on
 * every host. */
void vit_posemb_sincos(int rows, int columns, int width, float *out);

#endif
