/* Regularised least squares to -1 and 1 on standardised features, as big_vision's few-shot evaluator has it, in f64. */
#ifndef VIT_TASKS_LEAST_SQUARES_H
#define VIT_TASKS_LEAST_SQUARES_H

#include "../base/memory.h"

/* Added to a feature's deviation, which divides it: constant ones have none. */
#define VIT_LEAST_DEVIATION 1e-5

#define VIT_L2_LEAST 0x1p-10 /* what is tried where none is given: powers of 4 up to the most */
#define VIT_L2_MOST 0x1p14
#define VIT_L2_BLIND 0x1p10 /* where a class has one example, without which nothing is known of it: big_vision's own */

/* score [K] = weights [K,D] ((x - mean) / scale) + bias. The pieces are the caller's. */
typedef struct vit_classifier {
    double *mean, *scale;   /* [D] */
    double *weights, *bias; /* [K,D], [K] */
    double l2;
    int right;              /* examples whose class the others say, mean and scale as with all */
} vit_classifier;

/* x [N,D], classes [N] in 0..K-1. mean and population standard deviation + 1e-5 of x standardise it, a constant
 * feature of 100 is appended, and (ZT Z + l2 I) W = ZT Y is solved, or its dual where N < D + 1. l2 0: the one with
 * the least squared error when each example is left out, VIT_L2_BLIND where a class has a single one. */
vit_status vit_least_squares(vit_classifier *out, const float *x, const int32_t *classes, int examples, int width,
                             int classes_count, double l2, const vit_allocator *allocator, vit_error *error);
void vit_classifier_score(const vit_classifier *classifier, const float *x, int width, int classes_count,
                          float *scores);

#endif
