/* vec_scalar.h - the vector vocabulary in plain C: one lane. The other vec_<isa>.h have the same words with the same
 * meaning:
 *     LANES           floats in a vec
 *     ROW_GROUP       rows of weights that share a pointer in a tile: 3 where addresses may be base + {0,1,2} * index
 *     load, store     LANES floats, any alignment
 *     load_first      the first `count` lanes (0..LANES or more), zero in the others whatever memory holds there
 *     madd(a,b,c)     a*b + c, rounded once where the machine can; here twice
 *     max, min        a > b ? a : b and a < b ? a : b: NaN in b comes out
 *     zero_below      a, but 0 where x < limit; NaN in x keeps a
 *     power_of_2(n)   2^k where n is k + 1.5 * 2^23, -126 <= k <= 127: k sits in the low bits of n
 *     sum             of the lanes, in an order of its own */
#ifndef VIT_KERNELS_VEC_SCALAR_H
#define VIT_KERNELS_VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 1
#define ROW_GROUP 3

typedef float vec;

static inline vec vec_load(const float *p) { return *p; }
static inline vec vec_load_first(const float *p, int count) { return count > 0 ? *p : 0; }
static inline void vec_store(float *p, vec a) { *p = a; }
static inline vec vec_splat(float a) { return a; }
static inline vec vec_add(vec a, vec b) { return a + b; }
static inline vec vec_sub(vec a, vec b) { return a - b; }
static inline vec vec_mul(vec a, vec b) { return a * b; }
static inline vec vec_div(vec a, vec b) { return a / b; }
static inline vec vec_madd(vec a, vec b, vec c) { return a * b + c; }
static inline vec vec_sqrt(vec a) { return sqrtf(a); }
static inline vec vec_abs(vec a) { return fabsf(a); }
static inline vec vec_max(vec a, vec b) { return a > b ? a : b; }
static inline vec vec_min(vec a, vec b) { return a < b ? a : b; }
static inline vec vec_zero_below(vec a, vec x, vec limit) { return x < limit ? 0 : a; }
static inline float vec_sum(vec a) { return a; }

static inline vec vec_power_of_2(vec n) {
    uint32_t bits;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits << 23) + 0x3f800000;
    memcpy(&n, &bits, sizeof n);
    return n;
}

#endif
