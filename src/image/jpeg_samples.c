#include "jpeg_samples.h"

#include <string.h>

static inline uint8_t clamp(int16_t value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Along the columns of in [8][8]; sums are rounded by `shift` bits, 13 of which the constants have. Products are of 16 bits, for
 * vectors of them; so the steps of the transform are multiplied out. */
static inline void transform(const int16_t in[8][8], int shift, int16_t out[8][8]) {
    const int32_t half = 1 << (shift - 1);
    for (int i = 0; i < 8; i++) {
        const int16_t x0 = in[0][i], x1 = in[1][i], x2 = in[2][i], x3 = in[3][i], x4 = in[4][i], x5 = in[5][i], x6 = in[6][i],
                      x7 = in[7][i];
        const int32_t low = x2 * 10703 + x6 * 4433, high = x2 * 4433 - x6 * 10704;
        const int32_t sum = x0 * 8192 + x4 * 8192 + half, difference = x0 * 8192 - x4 * 8192 + half;
        const int32_t odd0 = x1 * 11363 + x3 * 9633 + x5 * 6437 + x7 * 2260, odd1 = x1 * 9633 - x3 * 2259 - x5 * 11362 - x7 * 6436,
                      odd2 = x1 * 6437 - x3 * 11362 + x5 * 2261 + x7 * 9633, odd3 = x1 * 2260 - x3 * 6436 + x5 * 9633 - x7 * 11363;
        out[0][i] = (int16_t)((sum + low + odd0) >> shift);
        out[1][i] = (int16_t)((difference + high + odd1) >> shift);
        out[2][i] = (int16_t)((difference - high + odd2) >> shift);
        out[3][i] = (int16_t)((sum - low + odd3) >> shift);
        out[4][i] = (int16_t)((sum - low - odd3) >> shift);
        out[5][i] = (int16_t)((difference - high - odd2) >> shift);
        out[6][i] = (int16_t)((difference + high - odd1) >> shift);
        out[7][i] = (int16_t)((sum + low - odd0) >> shift);
    }
}

static inline void turn(const int16_t in[8][8], int16_t out[8][8]) {
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 8; k++)
            out[k][i] = in[i][k];
}

/* Whether but for the first all coefficients are 0, as of most blocks. */
static int is_flat(const int16_t data[64]) {
    int16_t any = 0;
    for (int i = 1; i < 64; i++)
        any |= data[i];
    return !any;
}

void vit_jpeg_block(uint8_t *out, int stride, short data[64]) {
    enum { CONSTANT = 13, KEPT = 2, SIZE = 3 }; /* bits: of the constants, of fractions between the passes, of the block's side */
    int16_t rows[8][8], columns[8][8];
    if (is_flat(data)) {
        const uint8_t sample = clamp((int16_t)(((data[0] * (1 << KEPT) + (1 << (KEPT + SIZE - 1))) >> (KEPT + SIZE)) + 128));
        for (int y = 0; y < 8; y++)
            memset(out + y * stride, sample, 8);
        return;
    }
    memcpy(rows, data, sizeof rows);
    transform(rows, CONSTANT - KEPT, columns);
    turn(columns, rows);
    transform(rows, CONSTANT + KEPT + SIZE, columns);
    turn(columns, rows);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++)
            out[y * stride + x] = clamp((int16_t)(rows[y][x] + 128));
}

enum { NARROW = 2, SOME = 64 }; /* rows of so few samples are repeated; samples or pixels at a time */

/* A row of samples for twice as many pixels. */
uint8_t *vit_jpeg_wider(uint8_t *out, uint8_t *row, uint8_t *far, int width, int times) {
    (void)far, (void)times;
    for (int i = 0; i < width; i++) {
        const int left = width > NARROW && i ? row[i - 1] : row[i];
        const int right = width > NARROW && i + 1 < width ? row[i + 1] : row[i];
        out[2 * i] = (uint8_t)((3 * row[i] + left + 1) >> 2);
        out[2 * i + 1] = (uint8_t)((3 * row[i] + right + 2) >> 2);
    }
    return out;
}

/* One of two rows of pixels for each row of samples; far: the next row of samples, above or below. */
uint8_t *vit_jpeg_taller(uint8_t *out, uint8_t *near, uint8_t *far, int width, int times) {
    const int bias = far < near ? 1 : 2;
    (void)times;
    for (int i = 0; i < width; i++)
        out[i] = (uint8_t)((3 * near[i] + far[i] + bias) >> 2);
    return out;
}

uint8_t *vit_jpeg_wider_taller(uint8_t *out, uint8_t *near, uint8_t *far, int width, int times) {
    int16_t sums[SOME + 2]; /* of both rows, with a neighbour on each side */
    if (width <= NARROW)
        return vit_jpeg_wider(out, near, far, width, times);
    for (int begin = 0; begin < width; begin += SOME) {
        const int some = width - begin < SOME ? width - begin : SOME, last = begin + some < width;
        for (int i = 0; i < some; i++)
            sums[i + 1] = (int16_t)(3 * near[begin + i] + far[begin + i]);
        sums[0] = begin ? (int16_t)(3 * near[begin - 1] + far[begin - 1]) : sums[1];
        sums[some + 1] = last ? (int16_t)(3 * near[begin + some] + far[begin + some]) : sums[some];
        for (int i = 0; i < some; i++) {
            out[2 * (begin + i)] = (uint8_t)((3 * sums[i + 1] + sums[i] + 8) >> 4);
            out[2 * (begin + i) + 1] = (uint8_t)((3 * sums[i + 1] + sums[i + 2] + 7) >> 4);
        }
    }
    return out;
}

void vit_jpeg_colors(uint8_t *out, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int count, int step) {
    enum { HALF = 1 << 15 }; /* of 16 bits, as the factors 1.402, 0.34414, 0.71414 and 1.772 are, whose whole parts stand apart */
    uint8_t rgb[3][SOME];
    for (int begin = 0; begin < count; begin += SOME, y += SOME, cb += SOME, cr += SOME) {
        const int some = count - begin < SOME ? count - begin : SOME;
        for (int i = 0; i < some; i++) {
            const int16_t blue = (int16_t)(cb[i] - 128), red = (int16_t)(cr[i] - 128);
            rgb[0][i] = clamp((int16_t)(y[i] + red + ((red * 26345 + HALF) >> 16)));
            rgb[1][i] = clamp((int16_t)(y[i] - red + ((blue * -22554 + red * 18734 + HALF) >> 16)));
            rgb[2][i] = clamp((int16_t)(y[i] + 2 * blue + ((blue * -14942 + HALF) >> 16)));
        }
        for (int i = 0; i < some; i++, out += step) {
            out[0] = rgb[0][i];
            out[1] = rgb[1][i];
            out[2] = rgb[2][i];
            if (step == 4)
                out[3] = 255;
        }
    }
}
