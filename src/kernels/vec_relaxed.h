/* vec_relaxed.h - the vector vocabulary for WebAssembly's relaxed SIMD: that of simd128 with a madd which rounds once
 * where the machine can, and twice elsewhere. */
#ifndef VIT_KERNELS_VEC_RELAXED_H
#define VIT_KERNELS_VEC_RELAXED_H

#include "vec_simd128.h"

static inline vec vec_relaxed_madd(vec a, vec b, vec c) { return wasm_f32x4_relaxed_madd(a, b, c); }
#define vec_madd vec_relaxed_madd

#endif
