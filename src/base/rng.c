#include "rng.h"

#include <string.h>

/* Natural logarithm of a positive normal number to 1e-9, of nothing but operations that IEEE 754 rounds exactly: C libraries
 * differ in theirs. x = m 2^e, m within sqrt(2) of 1; log m = 2 atanh((m - 1) / (m + 1)). */
static double natural_log(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t shifted = bits - 0x3fe6a09e667f3bcdu; /* of sqrt(0.5) */
    const int exponent = (int)((int64_t)shifted >> 52);
    bits -= (uint64_t)exponent << 52;
    memcpy(&x, &bits, sizeof x);
    const double s = (x - 1) / (x + 1), t = s * s;
    return exponent * 0.69314718055994531 +
           2 * s * (1 + t * (1.0 / 3 + t * (1.0 / 5 + t * (1.0 / 7 + t * (1.0 / 9 + t / 11)))));
}

/* The number below which a normal variable stays with probability p, 1e-11 < p < 1 - 1e-11, to 7 digits: Wichura's
 * algorithm AS 241 (1988), PPND7, without its farthest tails. */
static double normal_quantile(double p) {
    const double q = p - 0.5;
    if (q < 0.425 && q > -0.425) {
        const double r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
               (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1);
    }
    const double r = __builtin_sqrt(-natural_log(q < 0 ? p : 1 - p)) - 1.6;
    const double size = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
                        ((0.12021132975 * r + 0.73700164250) * r + 1);
    return q < 0 ? -size : size;
}

/* The middle of one of 2^32 equal parts of (0,1). */
static double middle(uint64_t key, uint64_t index) {
    return ((double)(uint32_t)(vit_random_bits(key, index) >> 32) + 0.5) * 0x1p-32;
}

float vit_random_normal(uint64_t key, uint64_t index) {
    return (float)normal_quantile(middle(key, index));
}

float vit_random_truncated(uint64_t key, uint64_t index) {
    const double below = 0.022750131948179207; /* probability of less than -2 */
    return (float)normal_quantile(below + middle(key, index) * (1 - 2 * below));
}
