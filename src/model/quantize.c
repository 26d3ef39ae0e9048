/* A block is an f16 scale d and 32 integers q; its values are d * q. */
#include "quantize.h"

#include "convert.h"
#include "../base/half.h"

#include <math.h>

enum { BLOCK = 32, STEPS = 24 };

typedef struct block {
    uint16_t scale; /* f16 */
    int q[BLOCK];
} block;

static int clamp(float value, int low, int high) { /* NaN: low */
    return value >= (float)high ? high : value > (float)low ? (int)value : low;
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
        out.q[i] = clamp(x[i] * inverse + 8.5f, 0, 15) - 8;
    return out;
}

/* ---- The scale with the least squared error ---- */

/* Rounds to the nearest integers for the block's scale; the sum of squared errors. */
static float fit(block *b, const float *x, int low, int high) {
    const float scale = vit_f32_from_f16(b->scale), inverse = scale != 0 ? 1 / scale : 0;
    float error = 0;
    for (int i = 0; i < BLOCK; i++) {
        b->q[i] = clamp(floorf(x[i] * inverse + 0.5f), low, high);
        const float off = x[i] - scale * (float)b->q[i];
        error += off * off;
    }
    return error;
}

/* The scale that fits the integers best: sum(x q) / sum(q q). */
static uint16_t best_scale(const block *b, const float *x) {
    float product = 0, square = 0;
    for (int i = 0; i < BLOCK; i++) {
        product += x[i] * (float)b->q[i];
        square += (float)(b->q[i] * b->q[i]);
    }
    return vit_f16_from_f32(square > 0 ? product / square : 0);
}

/* Begins with what plain rounding gives; tries scales of both signs that put the largest value from a little outside of
 * the integers to well inside, each moved to where it fits its integers. */
static block search(block best, const float *x, int low, int high) {
    float most = 0, least_error = fit(&best, x, low, high);
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    for (int sign = 0; sign < 2 && isfinite(least_error); sign++)
        for (int step = 0; step < STEPS; step++) {
            block b;
            const float reach = (float)(sign ? high : low) * (0.8f + 0.5f * (float)step / STEPS);
            b.scale = vit_f16_from_f32(most / reach);
            fit(&b, x, low, high);
            b.scale = best_scale(&b, x);
            const float error = fit(&b, x, low, high);
            if (error < least_error) {
                least_error = error;
                best = b;
            }
        }
    return best;
}

/* ---- Bytes ---- */

void vit_quantize_blocks(unsigned char *out, const float *values, size_t count, vit_dtype type, vit_rounding rounding) {
    const size_t bytes = vit_block_bytes(type);
    for (const float *x = values; x < values + count; x += BLOCK, out += bytes) {
        const int low = type == VIT_Q4_0 ? -8 : -127, high = type == VIT_Q4_0 ? 7 : 127;
        block b = type == VIT_Q4_0 ? plain_q4_0(x) : plain_q8_0(x);
        if (rounding == VIT_ROUNDING_SEARCH)
            b = search(b, x, low, high);
        out[0] = (unsigned char)b.scale;
        out[1] = (unsigned char)(b.scale >> 8);
        for (int i = 0; i < BLOCK && type == VIT_Q8_0; i++)
            out[2 + i] = (unsigned char)b.q[i];
        for (int i = 0; i < BLOCK / 2 && type == VIT_Q4_0; i++)
            out[2 + i] = (unsigned char)((b.q[i] + 8) | (b.q[i + BLOCK / 2] + 8) << 4);
    }
}
