#include "top.h"

#include <math.h>

void vit_make_unit(float *x, int width) {
    double square = 0;
    for (int i = 0; i < width; i++)
        square += (double)x[i] * x[i];
    for (int i = 0; i < width && square > 0; i++)
        x[i] = (float)(x[i] / sqrt(square));
}

/* Lanes are summed apart, so that they become vectors. */
static float product(const float *a, const float *b, int width) {
    enum { LANES = 16 };
    float sums[LANES] = {0};
    int i = 0;
    for (; i + LANES <= width; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (; i < width; i++)
        sums[0] += a[i] * b[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++)
            sums[lane] += sums[lane + half];
    return sums[0];
}

int vit_nearest(const float *vectors, int count, int width, const float *query, int k, vit_score *top) {
    int found = 0;
    for (int i = 0; i < count; i++, vectors += width) {
        const float score = product(vectors, query, width);
        found = vit_top_add(top, found, k, (vit_score){i, isnan(score) ? -INFINITY : score});
    }
    vit_top_sort(top, found);
    return found;
}
