/* 16-bit floating point: IEEE half and bfloat16, to and from f32. */
#ifndef VIT_BASE_HALF_H
#define VIT_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float vit_f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t vit_bits_from_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Exact, subnormals, infinities and NaN included. The multiplication moves the exponent's bias. */
static inline float vit_f32_from_f16(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    if ((half & 0x7c00) == 0x7c00)
        return vit_f32_from_bits(sign | 0x7f800000 | magnitude);
    return vit_f32_from_bits(sign | vit_bits_from_f32(vit_f32_from_bits(magnitude) * 0x1p112f));
}

static inline float vit_f32_from_bf16(uint16_t half) {
    return vit_f32_from_bits((uint32_t)half << 16);
}

/* Round to nearest even, as numpy and PyTorch do. */
static inline uint16_t vit_f16_from_f32(float value) {
    uint32_t bits = vit_bits_from_f32(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* subnormal: adding 0.5 leaves the rounded mantissa in the low bits */
        float shifted = vit_f32_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (vit_bits_from_f32(shifted) - 0x3f000000));
    }
    uint32_t rebased = magnitude - 0x38000000;
    return (uint16_t)(sign | (rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
}

static inline uint16_t vit_bf16_from_f32(float value) {
    uint32_t bits = vit_bits_from_f32(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
