/* vec_neon.h - the vector vocabulary for 64-bit Arm: 4 lanes. */
#ifndef VIT_KERNELS_VEC_NEON_H
#define VIT_KERNELS_VEC_NEON_H

#include <arm_neon.h>

#define LANES 4
#define ROW_GROUP 1

typedef float32x4_t vec;

static inline vec vec_load(const float *p) { return vld1q_f32(p); }
static inline void vec_store(float *p, vec a) { vst1q_f32(p, a); }
static inline vec vec_splat(float a) { return vdupq_n_f32(a); }
static inline vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec vec_madd(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vec_sqrt(vec a) { return vsqrtq_f32(a); }
static inline vec vec_abs(vec a) { return vabsq_f32(a); }
/* vmaxq_f32 and vminq_f32 let NaN in a come out as well. */
static inline vec vec_max(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vec vec_min(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float vec_sum(vec a) { return vaddvq_f32(a); }

static inline vec vec_zero_below(vec a, vec x, vec limit) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), vcltq_f32(x, limit)));
}

static inline vec vec_power_of_2(vec n) {
    uint32x4_t bits = vshlq_n_u32(vreinterpretq_u32_f32(n), 23);
    return vreinterpretq_f32_u32(vaddq_u32(bits, vdupq_n_u32(0x3f800000)));
}

static inline vec vec_scale(vec a, vec n) {
    uint32x4_t exponent = vshlq_n_u32(vreinterpretq_u32_f32(n), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(a), exponent));
}

static inline void vec_transpose(vec *r) {
    float32x4x2_t a = vzipq_f32(r[0], r[2]), b = vzipq_f32(r[1], r[3]);
    float32x4x2_t c = vzipq_f32(a.val[0], b.val[0]), d = vzipq_f32(a.val[1], b.val[1]);
    r[0] = c.val[0];
    r[1] = c.val[1];
    r[2] = d.val[0];
    r[3] = d.val[1];
}

typedef int32x4_t ivec;

static inline ivec ivec_load(const void *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
static inline void ivec_store(void *p, ivec a) { vst1q_u8(p, vreinterpretq_u8_s32(a)); }
static inline ivec ivec_splat(int32_t a) { return vdupq_n_s32(a); }
static inline ivec ivec_add(ivec a, ivec b) { return vaddq_s32(a, b); }
static inline ivec ivec_sub(ivec a, ivec b) { return vsubq_s32(a, b); }
static inline ivec ivec_mul(ivec a, ivec b) { return vmulq_s32(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return vandq_s32(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return vorrq_s32(a, b); }
static inline ivec ivec_shl(ivec a, int n) { return vshlq_s32(a, vdupq_n_s32(n)); }
static inline ivec vec_bits(vec a) { return vreinterpretq_s32_f32(a); }
static inline vec vec_of_ints(ivec a) { return vcvtq_f32_s32(a); }

static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) {
    int8x16_t p = vreinterpretq_s8_s32(a), q = vreinterpretq_s8_s32(x);
#ifdef __ARM_FEATURE_DOTPROD
    return vdotq_s32(sum, p, q);
#else /* pairs of products fit 16 bits: 2 * 127 * 127 */
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(p), vget_low_s8(q)));
    int32x4_t high = vpaddlq_s16(vmull_high_s8(p, q));
    return vaddq_s32(sum, vpaddq_s32(low, high));
#endif
}

#endif
