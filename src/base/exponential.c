#include "exponential.h"

#include <math.h>
#include <stdint.h>

/* In double: a remainder within half of log 2, its Taylor series, a power of two. */
float vit_expf(float x) {
    static const double c[] = {1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320};
    if (isnan(x))
        return x;
    const double within = x > 200 ? 200 : x < -200 ? -200 : x, k = rint(within * 1.4426950408889634),
                 rest = within - k * 0.6931471805599453;
    union {
        uint64_t bits;
        double number;
    } power = {(uint64_t)(1023 + (int64_t)k) << 52};
    double sum = 0;
    for (int i = sizeof c / sizeof *c; i-- > 0;)
        sum = sum * rest + c[i];
    return (float)(sum * power.number);
}
