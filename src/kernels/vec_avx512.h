/* vec_avx512.h - the vector vocabulary for AVX-512F: 16 lanes. */
#ifndef VIT_KERNELS_VEC_AVX512_H
#define VIT_KERNELS_VEC_AVX512_H

#include <immintrin.h>

#define LANES 16
#define ROW_GROUP 3

typedef __m512 vec;

static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm512_storeu_ps(p, a); }
static inline vec vec_splat(float a) { return _mm512_set1_ps(a); }
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_madd(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec vec_sqrt(vec a) { return _mm512_sqrt_ps(a); }
static inline vec vec_abs(vec a) { return _mm512_abs_ps(a); }
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline float vec_sum(vec a) { return _mm512_reduce_add_ps(a); }

static inline vec vec_zero_below(vec a, vec x, vec limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), a);
}

static inline vec vec_power_of_2(vec n) {
    __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
}

static inline vec vec_scale(vec a, vec n) {
    __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), exponent));
}

/* Rows of 16 become columns: pairs, fours, then blocks of 128 bits. */
static inline void vec_transpose(vec *r) {
    vec a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            __m512d low = _mm512_castps_pd(a[i + j]), high = _mm512_castps_pd(a[i + 2 + j]);
            b[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            b[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    for (int j = 0; j < 4; j++) {
        vec even = _mm512_shuffle_f32x4(b[j], b[4 + j], 0x88), odd = _mm512_shuffle_f32x4(b[j], b[4 + j], 0xdd);
        vec even2 = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0x88), odd2 = _mm512_shuffle_f32x4(b[8 + j], b[12 + j], 0xdd);
        r[j] = _mm512_shuffle_f32x4(even, even2, 0x88);
        r[4 + j] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        r[12 + j] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
}

/* The lower half alone, at twice the rate on Zen 4. The upper half becomes 0. */
#define HALVES

static inline vec vec_low_load(const float *p) { return _mm512_zextps256_ps512(_mm256_loadu_ps(p)); }
static inline vec vec_low_splat(float a) { return _mm512_zextps256_ps512(_mm256_set1_ps(a)); }
static inline vec vec_low_madd(vec a, vec b, vec c) {
    return _mm512_zextps256_ps512(
        _mm256_fmadd_ps(_mm512_castps512_ps256(a), _mm512_castps512_ps256(b), _mm512_castps512_ps256(c)));
}

typedef __m512i ivec;

static inline ivec ivec_load(const void *p) { return _mm512_loadu_si512(p); }
static inline void ivec_store(void *p, ivec a) { _mm512_storeu_si512(p, a); }
static inline ivec ivec_splat(int32_t a) { return _mm512_set1_epi32(a); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
static inline ivec ivec_sub(ivec a, ivec b) { return _mm512_sub_epi32(a, b); }
static inline ivec ivec_mul(ivec a, ivec b) { return _mm512_mullo_epi32(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
static inline ivec ivec_shl(ivec a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
static inline ivec vec_bits(vec a) { return _mm512_castps_si512(a); }
static inline vec vec_of_ints(ivec a) { return _mm512_cvtepi32_ps(a); }

#if defined(__AVX512VNNI__)
static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) { return _mm512_dpbusd_epi32(sum, x, a); }
#elif defined(__AVX512BW__)
/* Pairs of products fit 16 bits: 2 * 127 * 127. */
static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) {
    return _mm512_add_epi32(_mm512_madd_epi16(_mm512_maddubs_epi16(x, a), _mm512_set1_epi16(1)), sum);
}
#endif

#endif
