/* RandAugment's operations as torchvision has them on 8-bit tensors: nearest pixels, black where there is none, results
 * cut off at whole numbers. */
#include "augment.h"

#include <math.h>
#include <string.h>

#define LEVELS 30

/* 0 to `most` in steps, rounded as torch.linspace rounds. */
static float part_of(double most, int level) {
    const float end = (float)most, step = end / LEVELS;
    return level <= LEVELS / 2 ? step * (float)level : end - step * (float)(LEVELS - level);
}

double vit_op_magnitude(vit_op op, int level, int height, int width, int *is_signed) {
    *is_signed = op >= VIT_OP_SHEAR_X && op <= VIT_OP_SHARPNESS;
    switch (op) {
    case VIT_OP_SHEAR_X:
    case VIT_OP_SHEAR_Y: return part_of(0.3, level);
    case VIT_OP_TRANSLATE_X: return part_of(150.0 / 331.0 * width, level);
    case VIT_OP_TRANSLATE_Y: return part_of(150.0 / 331.0 * height, level);
    case VIT_OP_ROTATE: return level;
    case VIT_OP_BRIGHTNESS:
    case VIT_OP_COLOR:
    case VIT_OP_CONTRAST:
    case VIT_OP_SHARPNESS: return part_of(0.9, level);
    case VIT_OP_POSTERIZE: return 8 - rint(4.0 * level / LEVELS);
    case VIT_OP_SOLARIZE: return 255 - part_of(255, level);
    default: return 0;
    }
}

/* Pixel (x, y), both from the middle, comes from (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]). */
static void move(const double m[6], uint8_t *pixels, int height, int width, uint8_t *scratch) {
    memcpy(scratch, pixels, (size_t)height * (size_t)width * 3);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixels += 3) {
            const double cx = x + 0.5 - 0.5 * width, cy = y + 0.5 - 0.5 * height;
            const double from_x = rint(m[0] * cx + m[1] * cy + m[2] + 0.5 * width - 0.5);
            const double from_y = rint(m[3] * cx + m[4] * cy + m[5] + 0.5 * height - 0.5);
            if (from_x < 0 || from_y < 0 || from_x >= width || from_y >= height)
                memset(pixels, 0, 3);
            else
                memcpy(pixels, scratch + ((size_t)from_y * (size_t)width + (size_t)from_x) * 3, 3);
        }
}

static uint8_t cut(float value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static uint8_t blend(float a, float b, double ratio) {
    return cut((float)ratio * a + (float)(1 - ratio) * b);
}

static uint8_t grey(const uint8_t *p) {
    return (uint8_t)(0.2989f * p[0] + 0.587f * p[1] + 0.114f * p[2]);
}

static void sharpen(double ratio, uint8_t *pixels, int height, int width, uint8_t *scratch) {
    if (height <= 2 || width <= 2)
        return;
    const ptrdiff_t row = (ptrdiff_t)width * 3;
    memcpy(scratch, pixels, (size_t)height * (size_t)row);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                const uint8_t *at = scratch + y * row + x * 3 + c;
                float blurred = *at;
                if (y > 0 && x > 0 && y < height - 1 && x < width - 1) {
                    const int around = at[-row - 3] + at[-row] + at[-row + 3] + at[-3] + at[3] + at[row - 3] + at[row] +
                                       at[row + 3];
                    blurred = rintf((float)(around + 5 * *at) / 13);
                }
                pixels[y * row + x * 3 + c] = blend(*at, blurred, ratio);
            }
}

static void auto_contrast(uint8_t *pixels, size_t count) {
    for (int c = 0; c < 3; c++) {
        int low = 255, high = 0;
        for (size_t i = 0; i < count; i++) {
            low = pixels[3 * i + c] < low ? pixels[3 * i + c] : low;
            high = pixels[3 * i + c] > high ? pixels[3 * i + c] : high;
        }
        if (low == high)
            continue;
        const float scale = 255.0f / (float)(high - low);
        for (size_t i = 0; i < count; i++)
            pixels[3 * i + c] = cut((float)(pixels[3 * i + c] - low) * scale);
    }
}

static void equalize(uint8_t *pixels, size_t count) {
    for (int c = 0; c < 3; c++) {
        size_t histogram[256] = {0}, before = 0;
        uint8_t table[256];
        int last = 255;
        for (size_t i = 0; i < count; i++)
            histogram[pixels[3 * i + c]]++;
        while (!histogram[last])
            last--;
        const size_t step = (count - histogram[last]) / 255;
        if (!step)
            continue;
        for (int v = 0; v < 256; v++) {
            const size_t to = (before + step / 2) / step;
            table[v] = (uint8_t)(v == 0 ? 0 : to > 255 ? 255 : to);
            before += histogram[v];
        }
        for (size_t i = 0; i < count; i++)
            pixels[3 * i + c] = table[pixels[3 * i + c]];
    }
}

void vit_op_apply(vit_op op, double magnitude, uint8_t *pixels, int height, int width, uint8_t *scratch) {
    const size_t count = (size_t)height * (size_t)width, bytes = 3 * count;
    const double ratio = 1 + magnitude;
    const double angle = magnitude * 3.14159265358979323846 / 180;
    switch (op) {
    case VIT_OP_SHEAR_X: /* about the upper left corner */
        move((double[]){1, magnitude, magnitude * 0.5 * height, 0, 1, 0}, pixels, height, width, scratch);
        break;
    case VIT_OP_SHEAR_Y:
        move((double[]){1, 0, 0, magnitude, 1, magnitude * 0.5 * width}, pixels, height, width, scratch);
        break;
    case VIT_OP_TRANSLATE_X:
        move((double[]){1, 0, -trunc(magnitude), 0, 1, 0}, pixels, height, width, scratch);
        break;
    case VIT_OP_TRANSLATE_Y:
        move((double[]){1, 0, 0, 0, 1, -trunc(magnitude)}, pixels, height, width, scratch);
        break;
    case VIT_OP_ROTATE:
        move((double[]){cos(angle), -sin(angle), 0, sin(angle), cos(angle), 0}, pixels, height, width, scratch);
        break;
    case VIT_OP_BRIGHTNESS:
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = blend(pixels[i], 0, ratio);
        break;
    case VIT_OP_COLOR:
        for (size_t i = 0; i < count; i++) {
            const uint8_t mean = grey(pixels + 3 * i);
            for (int c = 0; c < 3; c++)
                pixels[3 * i + c] = blend(pixels[3 * i + c], mean, ratio);
        }
        break;
    case VIT_OP_CONTRAST: {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += grey(pixels + 3 * i);
        const float mean = (float)(sum / (double)count);
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = blend(pixels[i], mean, ratio);
        break;
    }
    case VIT_OP_SHARPNESS: sharpen(ratio, pixels, height, width, scratch); break;
    case VIT_OP_POSTERIZE:
        for (size_t i = 0; i < bytes; i++)
            pixels[i] &= (uint8_t)(0xff << (8 - (int)magnitude));
        break;
    case VIT_OP_SOLARIZE:
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = pixels[i] >= magnitude ? (uint8_t)(255 - pixels[i]) : pixels[i];
        break;
    case VIT_OP_AUTO_CONTRAST: auto_contrast(pixels, count); break;
    case VIT_OP_EQUALIZE: equalize(pixels, count); break;
    default: break;
    }
}
