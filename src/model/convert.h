/* Loops over every value of a weight file: to floats, to integers, and whether they are finite. */
#ifndef VIT_MODEL_CONVERT_H
#define VIT_MODEL_CONVERT_H

#include "../vit.h"

/* Values come in blocks: of one, or of 32 with an f16 scale before them. Not for VIT_DTYPE_OTHER. */
size_t vit_block_values(vit_dtype dtype);
size_t vit_block_bytes(vit_dtype dtype);

/* count values, whole blocks of them, into out [count]. */
void vit_values_to_f32(float *out, const unsigned char *data, size_t count, vit_dtype dtype);
/* Whether NaN or infinity is among data [count]. */
int vit_has_nonfinite(const float *data, size_t count);
/* row [k] as integers q [ceil(k/4) * 4] and their scale and sum, as int8 kernels take them: symmetric. */
void vit_quantize_row(const float *row, size_t k, int8_t *q, float *scale, int32_t *sum);

/* Where values go that stand in another order in memory than in the file. Dimensions in the order of the file, slowest
 * first; the value at index i goes to the sum of i * stride. */
typedef struct vit_scatter {
    int rank;
    size_t size[8], stride[8], index[8]; /* index: of the next value */
} vit_scatter;
/* The next count values. */
void vit_scatter_values(vit_scatter *scatter, float *out, const float *values, size_t count);

#endif
