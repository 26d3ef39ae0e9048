/* vec_simd128.h - the vector vocabulary for WebAssembly SIMD: 4 lanes. Its madd rounds twice. */
#ifndef VIT_KERNELS_VEC_SIMD128_H
#define VIT_KERNELS_VEC_SIMD128_H

#include <wasm_simd128.h>

#define LANES 4
#define ROW_GROUP 1

typedef v128_t vec;

static inline vec vec_load(const float *p) { return wasm_v128_load(p); }
static inline void vec_store(float *p, vec a) { wasm_v128_store(p, a); }
static inline vec vec_splat(float a) { return wasm_f32x4_splat(a); }
static inline vec vec_add(vec a, vec b) { return wasm_f32x4_add(a, b); }
static inline vec vec_sub(vec a, vec b) { return wasm_f32x4_sub(a, b); }
static inline vec vec_mul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
static inline vec vec_div(vec a, vec b) { return wasm_f32x4_div(a, b); }
static inline vec vec_madd(vec a, vec b, vec c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
static inline vec vec_sqrt(vec a) { return wasm_f32x4_sqrt(a); }
static inline vec vec_abs(vec a) { return wasm_f32x4_abs(a); }
static inline vec vec_max(vec a, vec b) { return wasm_f32x4_pmax(b, a); } /* pmax(b, a) is b < a ? a : b */
static inline vec vec_min(vec a, vec b) { return wasm_f32x4_pmin(b, a); }
static inline vec vec_zero_below(vec a, vec x, vec limit) { return wasm_v128_andnot(a, wasm_f32x4_lt(x, limit)); }

static inline vec vec_power_of_2(vec n) {
    return wasm_i32x4_add(wasm_i32x4_shl(n, 23), wasm_i32x4_splat(0x3f800000));
}

static inline vec vec_scale(vec a, vec n) { return wasm_i32x4_add(a, wasm_i32x4_shl(n, 23)); }

static inline void vec_transpose(vec *r) {
    vec a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 1, 5), b = wasm_i32x4_shuffle(r[0], r[1], 2, 6, 3, 7);
    vec c = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 1, 5), d = wasm_i32x4_shuffle(r[2], r[3], 2, 6, 3, 7);
    r[0] = wasm_i64x2_shuffle(a, c, 0, 2);
    r[1] = wasm_i64x2_shuffle(a, c, 1, 3);
    r[2] = wasm_i64x2_shuffle(b, d, 0, 2);
    r[3] = wasm_i64x2_shuffle(b, d, 1, 3);
}

static inline float vec_sum(vec a) {
    return (wasm_f32x4_extract_lane(a, 0) + wasm_f32x4_extract_lane(a, 2)) +
           (wasm_f32x4_extract_lane(a, 1) + wasm_f32x4_extract_lane(a, 3));
}

typedef v128_t ivec;

static inline ivec ivec_load(const void *p) { return wasm_v128_load(p); }
static inline void ivec_store(void *p, ivec a) { wasm_v128_store(p, a); }
static inline ivec ivec_splat(int32_t a) { return wasm_i32x4_splat(a); }
static inline ivec ivec_add(ivec a, ivec b) { return wasm_i32x4_add(a, b); }
static inline ivec ivec_sub(ivec a, ivec b) { return wasm_i32x4_sub(a, b); }
static inline ivec ivec_mul(ivec a, ivec b) { return wasm_i32x4_mul(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return wasm_v128_and(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return wasm_v128_or(a, b); }
static inline ivec ivec_shl(ivec a, int n) { return wasm_i32x4_shl(a, (uint32_t)n); }
static inline ivec vec_bits(vec a) { return a; }
static inline vec vec_of_ints(ivec a) { return wasm_f32x4_convert_i32x4(a); }
static inline ivec ivec_dot2(ivec a, ivec x, ivec sum) { return wasm_i32x4_add(wasm_i32x4_dot_i16x8(a, x), sum); }

#endif
