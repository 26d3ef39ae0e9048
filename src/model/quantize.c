/* Weights as integers: symmetric, one scale for each output channel. */
#include "model.h"

#include <math.h>

void vit_quantize_row(const float *row, size_t k, int8_t *q, float *scale, int32_t *sum) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, to even */
    float most = 0;
    for (size_t i = 0; i < k; i++)
        most = fabsf(row[i]) > most ? fabsf(row[i]) : most;
    const float inverse = most > 0 ? 127 / most : 0;
    int32_t total = 0;
    for (size_t i = 0; i < k; i++) {
        int32_t value = (int32_t)((row[i] * inverse + shift) - shift);
        q[i] = (int8_t)value;
        total += value;
    }
    for (size_t i = k; i % 4; i++)
        q[i] = 0;
    *scale = most / 127;
    *sum = total;
}
