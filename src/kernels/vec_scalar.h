/* vec_scalar.h - the vector vocabulary in plain C: one lane. Its madd rounds twice. */
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
