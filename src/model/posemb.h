/* Position embeddings on another grid than they were trained on. */
#ifndef VIT_MODEL_POSEMB_H
#define VIT_MODEL_POSEMB_H

#include "../base/memory.h"

/* table [rows,columns,width] -> out [out_rows,out_columns,width] by the rule of the checkpoint's source (paper section 3.2;
 * the rules: vit_resample in vit.h). Without the class token's row, which is never resampled. */
vit_status vit_posemb_resample(const float *table, int rows, int columns, int width, vit_resample rule, int out_rows,
                               int out_columns, float *out, const vit_allocator *allocator, vit_error *error);

#endif
