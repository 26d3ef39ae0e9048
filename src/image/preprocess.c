#include "image.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* ---- Cropping ---- */

/* One axis of a centre crop: `taken` pixels from `source` on go to `target` on. */
typedef struct crop_axis {
    int source, target, taken;
} crop_axis;

/* torchvision's, with Python's round (half to even), or half down; a smaller picture is padded (out - in) / 2 before. */
static crop_axis center(int in, int out, int down) {
    if (in < out)
        return (crop_axis){0, (out - in + down) / 2, in};
    return (crop_axis){down ? (in - out) / 2 : (int)rint((in - out) / 2.0), 0, out};
}

static void fill_pixels(uint8_t *out, size_t count, const uint8_t fill[3]) {
    for (size_t i = 0; i < count; i++)
        memcpy(out + 3 * i, fill, 3);
}

void vit_center_crop(const uint8_t *rgb, int width, int height, int out_width, int out_height, const uint8_t fill[3],
                     uint8_t *out) {
    crop_axis h = center(width, out_width, 0), v = center(height, out_height, 0);
    fill_pixels(out, (size_t)out_width * (size_t)out_height, fill);
    for (int y = 0; y < v.taken; y++)
        memcpy(out + 3 * ((size_t)(v.target + y) * (size_t)out_width + (size_t)h.target),
               rgb + 3 * ((size_t)(v.source + y) * (size_t)width + (size_t)h.source), 3 * (size_t)h.taken);
}

/* ---- Normalising ---- */

void vit_normalize_u8(const uint8_t *pixels, size_t count, const float mean[3], const float std[3], float *out) {
    float table[3][256];
    for (int c = 0; c < 3; c++)
        for (int value = 0; value < 256; value++)
            table[c][value] = ((float)value / 255.0f - mean[c]) / std[c];
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++)
            out[3 * i + c] = table[c][pixels[3 * i + c]];
}

/* ---- Placing ---- */

/* timm's ResizeKeepRatio: both sides divided by the smaller (longest 0) or the larger (longest 1) of the two ratios. */
static void keep_ratio(double *width, double *height, double target_width, double target_height, int longest) {
    double across = *width / target_width, down = *height / target_height;
    double ratio = (across > down) == (longest != 0) ? across : down;
    *width = rint(*width / ratio);
    *height = rint(*height / ratio);
}

vit_status vit_place(vit_placement *out, int width, int height, const vit_preprocess *rules, int out_height,
                     int out_width, vit_error *error) {
    *out = (vit_placement){0};
    if (width < 1 || height < 1 || out_height < 1 || out_width < 1)
        return vit_fail(error, VIT_ERR_ARGUMENT, "preprocess: %d x %d pixels to %d x %d, expected at least 1 x 1",
                        width, height, out_width, out_height);
    if (!(rules->crop_pct > 0 && rules->crop_pct <= 1))
        return vit_fail(error, VIT_ERR_ARGUMENT, "preprocess: crop_pct is %g, expected more than 0 and at most 1",
                        rules->crop_pct);
    double scaled_width = floor(out_width / rules->crop_pct); /* timm */
    double scaled_height = floor(out_height / rules->crop_pct);
    double w = width, h = height;
    const int half_down = rules->crop >= VIT_CROP_SHORT_FLOOR;
    if (rules->crop == VIT_CROP_SHORT_FLOOR)
        scaled_width = scaled_height = scaled_width < scaled_height ? scaled_width : scaled_height;
    if (rules->crop == VIT_CROP_SQUASH || rules->crop == VIT_CROP_SQUASH_FLOOR) {
        w = scaled_width;
        h = scaled_height;
    } else if (rules->crop == VIT_CROP_BORDER) {
        keep_ratio(&w, &h, scaled_width, scaled_height, 1);
    } else if (scaled_width != scaled_height) {
        keep_ratio(&w, &h, scaled_width, scaled_height, 0);
    } else { /* torchvision: the long side is truncated */
        w = width <= height ? scaled_width : floor(scaled_width * width / height);
        h = height <= width ? scaled_width : floor(scaled_width * height / width);
    }
    w = w < 1 ? 1 : w;
    h = h < 1 ? 1 : h;
    if (w > INT_MAX || h > INT_MAX)
        return vit_fail(error, VIT_ERR_LIMIT, "preprocess: %d x %d pixels would be resized to %.0f x %.0f", width,
                        height, w, h);
    crop_axis across = center((int)w, out_width, half_down), down = center((int)h, out_height, half_down);
    *out = (vit_placement){{(int)w, (int)h, across.source, down.source, across.taken, down.taken}, across.target,
                           down.target};
    return VIT_OK;
}

/* ---- All of it ---- */

vit_status vit_frame_u8(const vit_image *image, const vit_preprocess *rules, int height, int width, uint8_t *out,
                        const vit_allocator *allocator, vit_error *error) {
    const vit_filter filter = rules->filter == VIT_FILTER_TF_BILINEAR ? VIT_FILTER_BILINEAR : rules->filter;
    uint8_t fill[3] = {0, 0, 0};
    vit_placement place;
    VIT_TRY(vit_place(&place, image->width, image->height, rules, height, width, error));
    if (rules->crop == VIT_CROP_BORDER)
        for (int c = 0; c < 3; c++) {
            double value = rint(255 * (double)rules->mean[c]);
            fill[c] = value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
        }
    fill_pixels(out, (size_t)width * (size_t)height, fill);
    uint8_t *begin = out + 3 * ((size_t)place.out_top * (size_t)width + (size_t)place.out_left);
    return vit_resize_u8_window(image->rgb, image->width, image->height, filter, &place.window, begin, 3 * (size_t)width,
                                allocator, error);
}

static vit_status preprocess_u8(const vit_image *image, const vit_preprocess *rules, int height, int width, float *out,
                                const vit_allocator *allocator, vit_error *error) {
    size_t count = (size_t)width * (size_t)height;
    uint8_t *pixels;
    VIT_TRY(vit_alloc_for((void **)&pixels, allocator, vit_size_mul(count, 3), "the resized picture", error));
    vit_status status = vit_frame_u8(image, rules, height, width, pixels, allocator, error);
    if (status == VIT_OK)
        vit_normalize_u8(pixels, count, rules->mean, rules->std, out);
    vit_release(allocator, pixels);
    return status;
}

/* vit_jax's way stays in f32 between resizing and normalising. */
static void preprocess_tf(const vit_image *image, const vit_preprocess *rules, const vit_placement *place, int height,
                          int width, float *out) {
    size_t count = (size_t)width * (size_t)height;
    for (size_t i = 0; i < 3 * count; i++)
        out[i] = rules->crop == VIT_CROP_BORDER ? 255 * rules->mean[i % 3] : 0;
    vit_resize_tf_window(image->rgb, image->width, image->height, &place->window,
                         out + 3 * ((size_t)place->out_top * (size_t)width + (size_t)place->out_left),
                         3 * (size_t)width);
    for (size_t i = 0; i < 3 * count; i++)
        out[i] = (out[i] / 255.0f - rules->mean[i % 3]) / rules->std[i % 3];
}

vit_status vit_image_preprocess(const vit_image *image, const vit_preprocess *rules, int height, int width,
                                float *out, const vit_options *options, vit_error *error) {
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    if (!image || !image->rgb)
        return vit_fail(error, VIT_ERR_ARGUMENT, "preprocess: the image is empty");
    if (rules->filter != VIT_FILTER_TF_BILINEAR)
        return preprocess_u8(image, rules, height, width, out, &options->allocator, error);
    vit_placement place;
    VIT_TRY(vit_place(&place, image->width, image->height, rules, height, width, error));
    preprocess_tf(image, rules, &place, height, width, out);
    return VIT_OK;
}
