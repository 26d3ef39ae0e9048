/* Position embeddings on another grid than they were trained on. */
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

/* table [rows,columns,width] -> out [out_rows,out_columns,width] (paper section 3.2). Without the class token's row,
 * which is never resampled. */
vit_status vit_posemb_interpolate(const float *table, int rows, int columns, int width, vit_interpolation how,
                                  int out_rows, int out_columns, float *out, const vit_allocator *allocator,
                                  vit_error *error);
/* The same by the rule of the checkpoint's source. */
vit_status vit_posemb_resample(const float *table, int rows, int columns, int width, vit_resample rule, int out_rows,
                               int out_columns, float *out, const vit_allocator *allocator, vit_error *error);

#endif
