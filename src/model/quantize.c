/* A block is an f16 scale d and 32 integers q; its values are d * q. */
#include "quantize.h"

#include "convert.h"
#include "../base/half.h"

#include <math.h>

enum { BLOCK = 32, STEPS = 24 };

typedef struct block {
    uint16_t scale; /* f16 */
    float q[BLOCK]; /* whole numbers */
} block;

static float clamp(float value, float low, float high) { /* NaN: low */
    const float above = value > low ? value : low;
    return above < high ? above : high;
}

/* ---- As ggml and its Python package round ---- */

static block plain_q8_0(const float *x) {
    block out;
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float scale = most / 127, inverse = scale != 0 ? 1 / scale : 0;
    out.scale = vit_f16_from_f32(scale);
    for (int i = 0; i < BLOCK; i++)
        out.q[i] = clamp(roundf(x[i] * inverse), -127, 127);
    return out;
}

/* The value farthest from 0, the first of equals, is -8: the side that has one integer more. */
static block plain_q4_0(const float *x) {
    block out;
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    const float scale = most / -8, inverse = scale != 0 ? 1 / scale : 0;
    out.scale = vit_f16_from_f32(scale);
    for (int i = 0; i < BLOCK; i++)
        out.q[i] = truncf(clamp(x[i] * inverse + 8.5f, 0, 15)) - 8;
    return out;
}

/* ---- The scale with the least squared error ---- */

static float squared_error(const block *b, const float *x) {
    const float scale = vit_f32_from_f16(b->scale);
    float sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += (x[i] - scale * b->q[i]) * (x[i] - scale * b->q[i]);
    return sum;
}

/* Rounds to the nearest integers for the block's scale. */
static void fit(block *b, const float *x, float low, float high) {
    const float scale = vit_f32_from_f16(b->scale), inverse = scale != 0 ? 1 / scale : 0;
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    for (int i = 0; i < BLOCK; i++)
        b->q[i] = (clamp(x[i] * inverse, low, high) + shift) - shift;
}

static float product(const float *a, const float *b) {
    float sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Begins with what plain rounding gives; tries scales that put the largest value from a little outside of the integers to well
 * inside, on either side of them, each moved to where it fits its integers best: sum(x q) / sum(q q). Of the best integers
 * the scale is then sum(x x) / sum(x q): the other one makes all blocks a little smaller than they were, layer after layer. */
static block search(block best, const float *x, float low, float high) {
    float most = 0, least_error = squared_error(&best, x);
    const float plain_error = least_error;
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    for (int sign = low == -high; sign < 2 && isfinite(least_error); sign++)
        for (int step = 0; step < STEPS; step++) {
            block b;
            b.scale = vit_f16_from_f32(most / ((sign ? high : low) * (0.8f + 0.5f * (float)step / STEPS)));
            fit(&b, x, low, high);
            const float square = product(b.q, b.q);
            b.scale = vit_f16_from_f32(square > 0 ? product(x, b.q) / square : 0);
            fit(&b, x, low, high);
            const float error = squared_error(&b, x);
            if (error < least_error) {
                least_error = error;
                best = b;
            }
        }
    block whole = best;
    const float along = product(x, best.q);
    whole.scale = vit_f16_from_f32(along != 0 ? product(x, x) / along : 0);
    return squared_error(&whole, x) <= plain_error ? whole : best;
}

/* ---- Bytes ---- */

void vit_quantize_blocks(unsigned char *out, const float *values, size_t count, vit_dtype type, vit_rounding rounding) {
    const size_t bytes = vit_block_bytes(type);
    for (const float *x = values; x < values + count; x += BLOCK, out += bytes) {
        const float low = type == VIT_Q4_0 ? -8 : -127, high = type == VIT_Q4_0 ? 7 : 127;
        block b = type == VIT_Q4_0 ? plain_q4_0(x) : plain_q8_0(x);
        if (rounding == VIT_ROUNDING_SEARCH)
            b = search(b, x, low, high);
        out[0] = (unsigned char)b.scale;
        out[1] = (unsigned char)(b.scale >> 8);
        for (int i = 0; i < BLOCK && type == VIT_Q8_0; i++)
            out[2 + i] = (unsigned char)(int)b.q[i];
        for (int i = 0; i < BLOCK / 2 && type == VIT_Q4_0; i++)
            out[2 + i] = (unsigned char)((int)(b.q[i] + 8) | (int)(b.q[i + BLOCK / 2] + 8) << 4);
    }
}
