/* Masked prediction: which patches are hidden, and pixels as patches. */
#include "../base/rng.h"
#include "../model/model.h"
#include "../vit_tasks.h"

#include <math.h>
#include <string.h>

int vit_visible_patches(int n, double ratio) {
    const int visible = (int)(n * (1 - ratio));
    return visible < 0 ? 0 : visible > n ? n : visible;
}

void vit_patch_noise(uint64_t seed, float *noise, int n) {
    const uint64_t key = vit_random_key(seed, vit_random_stream("patches"));
    for (int i = 0; i < n; i++)
        noise[i] = vit_random_unit(key, (uint64_t)i);
}

/* Bits that are in the order of the numbers. */
static uint32_t ordered(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static int count_below(const float *noise, int n, uint32_t limit) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += ordered(noise[i]) < limit;
    return count;
}

void vit_hide_by_noise(const float *noise, int n, int visible, uint8_t *hidden) {
    uint32_t last = 0; /* the greatest number that fewer than `visible` are below: of the last one that stays */
    for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
        if (count_below(noise, n, last | bit) < visible)
            last |= bit;
    int equals = visible - count_below(noise, n, last);
    for (int i = 0; i < n; i++) {
        const uint32_t own = ordered(noise[i]);
        hidden[i] = visible < 1 || own > last || (own == last && equals-- <= 0);
    }
}

/* Each pixel of the patches, and its place in one. */
static void move_pixels(const vit_config *c, const float *from, int height, int width, float *to, int to_patches) {
    const int ph = c->patch_height, pw = c->patch_width, columns = width / pw;
    const int planes = c->decoder.kind == VIT_DECODER_SIMMIM;
    for (int y = 0; y < height / ph * ph; y++)
        for (int x = 0; x < columns * pw; x++)
            for (int channel = 0; channel < 3; channel++) {
                const size_t patch = (size_t)(y / ph) * (size_t)columns + (size_t)(x / pw);
                const int at = y % ph * pw + x % pw, within = planes ? channel * ph * pw + at : 3 * at + channel;
                const size_t in_patches = patch * (size_t)(3 * ph * pw) + (size_t)within;
                const size_t in_pixels = ((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)channel;
                to[to_patches ? in_patches : in_pixels] = from[to_patches ? in_pixels : in_patches];
            }
}

void vit_patch_pixels(const vit_config *config, const float *pixels, int height, int width, float *patches) {
    move_pixels(config, pixels, height, width, patches, 1);
}

void vit_unpatch_pixels(const vit_config *config, const float *patches, int height, int width, float *pixels) {
    move_pixels(config, patches, height, width, pixels, 0);
}

void vit_normalize_patches(float *patches, int count, int n) {
    for (int p = 0; p < count; p++, patches += n) {
        double sum = 0, squares = 0;
        for (int i = 0; i < n; i++)
            sum += patches[i];
        const double mean = sum / n;
        for (int i = 0; i < n; i++)
            squares += (patches[i] - mean) * (patches[i] - mean);
        const double scale = 1 / sqrt(squares / (n - 1) + 1e-6);
        for (int i = 0; i < n; i++)
            patches[i] = (float)((patches[i] - mean) * scale);
    }
}

void vit_colors_from_pixels(const vit_preprocess *preprocess, const float *pixels, size_t count, uint8_t *rgb) {
    for (size_t i = 0; i < count; i++) {
        const float value = (pixels[i] * preprocess->std[i % 3] + preprocess->mean[i % 3]) * 255 + 0.5f;
        rgb[i] = (uint8_t)(value > 0 ? value < 255 ? value : 255 : 0);
    }
}

int vit_color_label(const double rgb[3]) {
    int label = 0;
    for (int channel = 0; channel < 3; channel++) {
        const double bin = floor((rgb[channel] + 1e-3) / 32);
        label = 8 * label + (bin > 7 ? 7 : bin > 0 ? (int)bin : 0);
    }
    return label;
}

void vit_patch_colors(const vit_config *c, const uint8_t *rgb, int height, int width, int cells, int32_t *labels) {
    const int ph = c->patch_height / cells, pw = c->patch_width / cells, columns = width / c->patch_width;
    for (int y = 0; y < height / c->patch_height * cells; y++)
        for (int x = 0; x < columns * cells; x++) {
            int64_t sums[3] = {0};
            for (int i = 0; i < 3 * ph * pw; i++)
                sums[i % 3] += rgb[((size_t)(y * ph + i / 3 / pw) * (size_t)width + (size_t)(x * pw + i / 3 % pw)) * 3 +
                                   (size_t)(i % 3)];
            int label = 0;
            for (int channel = 0; channel < 3; channel++)
                label = 8 * label + (int)(sums[channel] / (32 * (int64_t)(ph * pw)));
            const int patch = y / cells * columns + x / cells;
            labels[(patch * cells + y % cells) * cells + x % cells] = label;
        }
}
