/* vec_avx2.h - the vector vocabulary for AVX2 with FMA: 8 lanes. */
#ifndef VIT_KERNELS_VEC_AVX2_H
#define VIT_KERNELS_VEC_AVX2_H

#include <immintrin.h>

#define LANES 8
#define ROW_GROUP 3

typedef __m256 vec;

static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vec_store(float *p, vec a) { _mm256_storeu_ps(p, a); }
static inline vec vec_splat(float a) { return _mm256_set1_ps(a); }
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_madd(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_sqrt(vec a) { return _mm256_sqrt_ps(a); }
static inline vec vec_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }

static inline vec vec_zero_below(vec a, vec x, vec limit) {
    return _mm256_andnot_ps(_mm256_cmp_ps(x, limit, _CMP_LT_OQ), a);
}

static inline vec vec_power_of_2(vec n) {
    __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
}

static inline vec vec_scale(vec a, vec n) {
    __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), exponent));
}

static inline void vec_transpose(vec *r) {
    vec a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0x44);
            b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0xee);
        }
    for (int j = 0; j < 4; j++) {
        r[j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x20);
        r[4 + j] = _mm256_permute2f128_ps(b[j], b[4 + j], 0x31);
    }
}

static inline float vec_sum(vec a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

typedef __m256i ivec;

static inline ivec ivec_load(const void *p) { return _mm256_loadu_si256(p); }
static inline void ivec_store(void *p, ivec a) { _mm256_storeu_si256(p, a); }
static inline ivec ivec_splat(int32_t a) { return _mm256_set1_epi32(a); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
static inline ivec ivec_sub(ivec a, ivec b) { return _mm256_sub_epi32(a, b); }
static inline ivec ivec_mul(ivec a, ivec b) { return _mm256_mullo_epi32(a, b); }
static inline ivec ivec_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
static inline ivec ivec_shl(ivec a, int n) { return _mm256_slli_epi32(a, n); }
static inline ivec vec_bits(vec a) { return _mm256_castps_si256(a); }
static inline vec vec_of_ints(ivec a) { return _mm256_cvtepi32_ps(a); }

/* Pairs of products fit 16 bits: 2 * 127 * 127. */
static inline ivec ivec_dot4(ivec a, ivec x, ivec sum) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(sum, x, a);
#else
    return _mm256_add_epi32(_mm256_madd_epi16(_mm256_maddubs_epi16(x, a), _mm256_set1_epi16(1)), sum);
#endif
}

#endif
