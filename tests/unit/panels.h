/* panels.h - noise, buffers between fences, and panel matrices, for the tests of kernels. */
#ifndef VIT_TESTS_UNIT_PANELS_H
#define VIT_TESTS_UNIT_PANELS_H

#include "test.h"

#include "../../src/kernels/kernels.h"

#include <stdint.h>

#define FENCE 40 /* floats on each side of a buffer */
#define JUNK 3e38f
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static uint32_t noise_state = 1;

/* Uniform in [-1,1), with 24 bits. */
static inline float noise(void) {
    noise_state ^= noise_state << 13;
    noise_state ^= noise_state >> 17;
    noise_state ^= noise_state << 5;
    return (float)(int32_t)(noise_state >> 8) * 0x1p-23f - 1;
}

typedef struct buffer {
    float *data, *block;
    size_t count;
} buffer;

static inline int is_nan_fill(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == 0x7fc01234;
}

static inline float nan_fill(void) {
    const uint32_t bits = 0x7fc01234;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline buffer buffer_make(size_t count) {
    buffer b = {.count = count};
    b.block = malloc((count + 2 * FENCE) * sizeof(float));
    if (!b.block || count > SIZE_MAX / 8)
        exit(2);
    b.data = b.block + FENCE;
    for (size_t i = 0; i < count + 2 * FENCE; i++)
        b.block[i] = nan_fill();
    return b;
}

static inline buffer buffer_noise(size_t count) {
    buffer b = buffer_make(count);
    for (size_t i = 0; i < count; i++)
        b.data[i] = noise();
    return b;
}

static inline buffer buffer_copy(const buffer *from) {
    buffer b = buffer_make(from->count);
    memcpy(b.data, from->data, from->count * sizeof(float));
    return b;
}

static inline int same_bits(const buffer *a, const buffer *b) {
    return a->count == b->count && memcmp(a->data, b->data, a->count * sizeof(float)) == 0;
}

static inline void buffer_free(buffer *b) {
    int whole = 1;
    for (int i = 0; i < FENCE; i++)
        whole = whole && is_nan_fill(b->block[i]) && is_nan_fill(b->data[b->count + i]);
    CHECK(whole && "the fence stands");
    free(b->block);
}

/* A panel matrix, [panels][stride], with `gap` unused floats after the channels of each panel. */
typedef struct matrix {
    buffer memory;
    ptrdiff_t stride;
    int panel, panels, tokens, channels;
} matrix;

static inline float *at(const matrix *m, int token, int channel) {
    return m->memory.data + token / m->panel * m->stride + (ptrdiff_t)channel * m->panel + token % m->panel;
}

/* Noise in the tokens, junk in the pad lanes; tokens of each image of a batch start at a panel. */
static inline matrix matrix_make(int panel, int tokens, int channels, int gap) {
    matrix m = {.panel = panel, .panels = (tokens + panel - 1) / panel, .tokens = tokens, .channels = channels};
    m.stride = (ptrdiff_t)channels * panel + gap;
    m.memory = buffer_make((size_t)(m.panels * m.stride - gap));
    for (int t = 0; t < m.panels * panel; t++)
        for (int c = 0; c < channels; c++)
            *at(&m, t, c) = t < tokens ? noise() : c % 2 ? JUNK : -JUNK;
    return m;
}

/* The result of a function that must not read it: all NaN. */
static inline matrix matrix_result(int panel, int tokens, int channels, int gap) {
    matrix m = matrix_make(panel, tokens, channels, gap);
    for (size_t i = 0; i < m.memory.count; i++)
        m.memory.data[i] = nan_fill();
    return m;
}

/* Nothing was written to the gaps and to channels outside [begin,end). */
static inline int untouched_outside(const matrix *m, int begin, int end) {
    int good = 1;
    for (size_t i = 0; i < m->memory.count; i++) {
        int channel = (int)((ptrdiff_t)i % m->stride / m->panel);
        if (channel < begin || channel >= end)
            good = good && is_nan_fill(m->memory.data[i]);
    }
    return good;
}

static inline void matrix_free(matrix *m) {
    buffer_free(&m->memory);
}

#endif
