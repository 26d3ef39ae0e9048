/* vec_scalar.h - the vector vocabulary in plain C: one lane. The other vec_<isa>.h have the same words with the same
 * meaning:
 *     LANES           floats in a vec
 *     ROW_GROUP       rows of weights that share a pointer in a tile: 3 where addresses may be base + {0,1,2} * index
 *     load, store     LANES floats, any alignment
 *     madd(a,b,c)     a*b + c, rounded once where the machine can; here twice
 *     max, min        a > b ? a : b and a < b ? a : b: NaN in b comes out
 *     zero_below      a, but 0 where x < limit; NaN in x keeps a
 *     power_of_2(n)   2^k where n is k + 1.5 * 2^23, -126 <= k <= 127: k sits in the low bits of n
 *     scale(a,n)      a * 2^k for the same n and k, where a and the result are normal numbers
 *     sum             of the lanes, in an order of its own
 *     transpose       LANES vectors, the rows of a square, become its columns
 * and for 32-bit integers in the lanes of an ivec, which wrap around:
 *     load, store     any alignment
 *     shl(a,n)        a * 2^n
 *     vec_bits        a float's bits as an integer
 *     vec_of_ints     the nearest floats
 *     ivec_dot<n>(a,x,sum)  sum + the dot product of a's n signed and x's n unsigned integers of 32/n bits in each lane,
 *                     x < 128 */
#ifndef VIT_KERNELS_VEC_SCALAR_H
#define VIT_KERNELS_VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 1
#define ROW_GROUP 3

typedef float vec;

static inline vec vec_load(const float *p) { return *p; }
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
static inline void vec_transpose(vec *r) { (void)r; }
static inline float vec_sum(vec a) { return a; }

static inline vec vec_power_of_2(vec n) {
    uint32_t bits;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits << 23) + 0x3f800000;
    memcpy(&n, &bits, sizeof n);
    return n;
}

static inline vec vec_scale(vec a, vec n) {
    uint32_t bits, exponent;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&exponent, &n, sizeof exponent);
    bits += exponent << 23;
    memcpy(&a, &bits, sizeof a);
    return a;
}

typedef int32_t ivec;

static inline ivec ivec_load(const void *p) {
    ivec a;
    memcpy(&a, p, sizeof a);
    return a;
}

static inline void ivec_store(void *p, ivec a) { memcpy(p, &a, sizeof a); }
static inline ivec ivec_splat(int32_t a) { return a; }
static inline ivec ivec_add(ivec a, ivec b) { return (ivec)((uint32_t)a + (uint32_t)b); }
static inline ivec ivec_sub(ivec a, ivec b) { return (ivec)((uint32_t)a - (uint32_t)b); }
static inline ivec ivec_mul(ivec a, ivec b) { return (ivec)((uint32_t)a * (uint32_t)b); }
static inline ivec ivec_and(ivec a, ivec b) { return a & b; }
static inline ivec ivec_or(ivec a, ivec b) { return a | b; }
static inline ivec ivec_shl(ivec a, int n) { return (ivec)((uint32_t)a << n); }
static inline ivec vec_bits(vec a) { return ivec_load(&a); }
static inline vec vec_of_ints(ivec a) { return (float)a; }

static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) {
    for (int i = 0; i < 32; i += 8)
        sum += (int8_t)((uint32_t)a >> i) * (int)((uint32_t)x >> i & 255);
    return sum;
}

#endif
