/* vec_relaxed.h - the vector vocabulary for WebAssembly's relaxed SIMD: that of simd128 with a madd which rounds once
 * where the machine can, and twice elsewhere. */
#ifndef VIT_KERNELS_VEC_RELAXED_H
#define VIT_KERNELS_VEC_RELAXED_H

#include "vec_simd128.h"

static inline vec vec_relaxed_madd(vec a, vec b, vec c) { return wasm_f32x4_relaxed_madd(a, b, c); }
#define vec_madd vec_relaxed_madd

static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(a, x, sum); }

/* Pairs of products fit 16 bits: 2 * 127 * 127. Faster than ivec_dot4 where engines have no instruction for that. */
static inline ivec ivec_dot4_pairs(ivec a, ivec x, ivec sum) {
    ivec pairs = wasm_i16x8_relaxed_dot_i8x16_i7x16(a, x);
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(pairs, wasm_i16x8_splat(1)), sum);
}

#endif
