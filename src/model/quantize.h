/* Floats to the blocks of 32 that GGUF stores: Q8_0 and Q4_0. */
#ifndef VIT_MODEL_QUANTIZE_H
#define VIT_MODEL_QUANTIZE_H

#include "../vit_tasks.h"

/* values [count], whole blocks of them, to type's blocks. */
void vit_quantize_blocks(unsigned char *out, const float *values, size_t count, vit_dtype type, vit_rounding rounding);

#endif
