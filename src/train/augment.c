/* What happens to pictures before they are trained on: crops as torchvision takes them, mirror images, RandAugment,
 * erasing; mixup and cutmix of a batch. */
#include "augment.h"

#include "../base/rng.h"
#include "../image/image.h"

#include <math.h>
#include <string.h>

vit_augment vit_default_augment(void) {
    return (vit_augment){.filter = VIT_FILTER_BILINEAR,
                         .crop_ratio = {3.0 / 4, 4.0 / 3},
                         .erase_scale = {0.02, 0.33},
                         .erase_ratio = {0.3, 3.3}};
}

/* ---- Dice ---- */

double vit_dice_unit(vit_dice *dice) {
    return (double)(vit_random_bits(dice->key, dice->next++) >> 11) * 0x1p-53;
}

uint32_t vit_dice_below(vit_dice *dice, uint32_t count) {
    return vit_random_below(dice->key, dice->next++, count);
}

static double between(vit_dice *dice, double low, double high) {
    return low + (high - low) * vit_dice_unit(dice);
}

/* Marsaglia and Tsang (2000), for shape + 1, times u^(1/shape). */
static double gamma_of(vit_dice *dice, double shape) {
    const double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = vit_random_normal(dice->key, dice->next++), v = pow(1 + c * x, 3);
        const double u = vit_dice_unit(dice), w = vit_dice_unit(dice);
        if (v > 0 && log(u + 1e-300) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v * pow(w + 1e-300, 1 / shape);
    }
}

double vit_dice_beta(vit_dice *dice, double alpha) {
    const double a = gamma_of(dice, alpha), b = gamma_of(dice, alpha);
    return a + b > 0 ? a / (a + b) : rint(vit_dice_unit(dice)); /* so small an alpha that all of it is at 0 and 1 */
}

/* ---- Crops ---- */

typedef struct box {
    int left, top, width, height;
} box;

/* torchvision's RandomResizedCrop.get_params. */
static box choose_crop(const vit_augment *a, int width, int height, vit_dice *dice) {
    const double area = (double)width * height;
    for (int attempt = 0; attempt < 10; attempt++) {
        const double target = area * between(dice, a->crop_scale[0], a->crop_scale[1]);
        const double ratio = exp(between(dice, log(a->crop_ratio[0]), log(a->crop_ratio[1])));
        const double w = rint(sqrt(target * ratio)), h = rint(sqrt(target / ratio));
        if (w >= 1 && h >= 1 && w <= width && h <= height)
            return (box){(int)vit_dice_below(dice, (uint32_t)(width - (int)w) + 1),
                         (int)vit_dice_below(dice, (uint32_t)(height - (int)h) + 1), (int)w, (int)h};
    }
    const double ratio = (double)width / height;
    box b = {.width = width, .height = height};
    if (ratio < a->crop_ratio[0])
        b.height = (int)fmin(height, fmax(1, rint(width / a->crop_ratio[0])));
    else if (ratio > a->crop_ratio[1])
        b.width = (int)fmin(width, fmax(1, rint(height * a->crop_ratio[1])));
    b.left = (width - b.width) / 2;
    b.top = (height - b.height) / 2;
    return b;
}

/* A part of a picture, resized: out [height,width,3]. */
static vit_status resize_part(const vit_image *image, box b, vit_filter filter, int height, int width, uint8_t *out,
                              const vit_options *options, vit_error *error) {
    const size_t row = (size_t)b.width * 3;
    uint8_t *part;
    if (b.width == image->width && b.height == image->height)
        return vit_resize_u8(image->rgb, b.width, b.height, filter, width, height, out, &options->allocator, error);
    VIT_TRY(vit_alloc_for((void **)&part, &options->allocator, vit_size_mul(row, (size_t)b.height), "a crop", error));
    for (int y = 0; y < b.height; y++)
        memcpy(part + (size_t)y * row,
               image->rgb + ((size_t)(b.top + y) * (size_t)image->width + (size_t)b.left) * 3, row);
    const vit_status status =
        vit_resize_u8(part, b.width, b.height, filter, width, height, out, &options->allocator, error);
    vit_release(&options->allocator, part);
    return status;
}

/* The pixel that a mirror at the first or last of `count` shows at `at`. */
static int mirrored(int at, int count) {
    const int there_and_back = count > 1 ? 2 * (count - 1) : 1;
    at = (at < 0 ? -at : at) % there_and_back;
    return at < count ? at : there_and_back - at;
}

/* Moves a picture within its frame; what comes in is its mirror image, as black would change the statistics that group
 * norms see, and pictures without it would then be recognised less well. */
static void shift(uint8_t *pixels, int height, int width, int down, int right, uint8_t *scratch) {
    memcpy(scratch, pixels, (size_t)height * (size_t)width * 3);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, pixels += 3)
            memcpy(pixels, scratch + ((size_t)mirrored(y - down, height) * (size_t)width +
                                      (size_t)mirrored(x - right, width)) * 3, 3);
}

static void mirror(uint8_t *pixels, int height, int width) {
    for (int y = 0; y < height; y++, pixels += (size_t)width * 3)
        for (int x = 0; x < width / 2; x++) {
            uint8_t *left = pixels + 3 * x, *right = pixels + 3 * (width - 1 - x), kept[3];
            memcpy(kept, left, 3);
            memcpy(left, right, 3);
            memcpy(right, kept, 3);
        }
}

/* torchvision's RandomErasing, with value 0 behind normalisation. */
static void erase(const vit_augment *a, int height, int width, vit_dice *dice, float *out) {
    for (int attempt = 0; attempt < 10; attempt++) {
        const double area = (double)width * height * between(dice, a->erase_scale[0], a->erase_scale[1]);
        const double ratio = exp(between(dice, log(a->erase_ratio[0]), log(a->erase_ratio[1])));
        const double h = rint(sqrt(area * ratio)), w = rint(sqrt(area / ratio));
        if (!(w >= 1 && h >= 1 && w < width && h < height))
            continue;
        const int top = (int)vit_dice_below(dice, (uint32_t)(height - (int)h) + 1);
        const int left = (int)vit_dice_below(dice, (uint32_t)(width - (int)w) + 1);
        for (int y = top; y < top + (int)h; y++)
            memset(out + ((size_t)y * (size_t)width + (size_t)left) * 3, 0, (size_t)w * 3 * sizeof *out);
        return;
    }
}

static void operate(const vit_augment *a, uint8_t *pixels, int height, int width, vit_dice *dice, uint8_t *scratch) {
    if (a->pad) {
        const uint32_t places = 2 * (uint32_t)a->pad + 1;
        const int down = (int)vit_dice_below(dice, places) - a->pad, right = (int)vit_dice_below(dice, places) - a->pad;
        shift(pixels, height, width, down, right, scratch);
    }
    if (vit_dice_unit(dice) < a->flip)
        mirror(pixels, height, width);
    for (int i = 0; i < a->random_ops; i++) {
        int is_signed;
        const vit_op op = (vit_op)vit_dice_below(dice, VIT_OPS);
        const double magnitude = vit_op_magnitude(op, a->random_magnitude, height, width, &is_signed);
        const int negative = is_signed && vit_dice_below(dice, 2);
        vit_op_apply(op, negative ? -magnitude : magnitude, pixels, height, width, scratch);
    }
}

static int is_plain(const vit_augment *a) {
    return !(a->crop_scale[1] > 0) && !a->pad && !(a->flip > 0) && !a->random_ops;
}

vit_status vit_augment_picture(const vit_feed_options *o, const vit_image *image, uint64_t key, float *out,
                               const vit_options *options, vit_error *error) {
    const vit_augment *a = &o->augment;
    const size_t bytes = (size_t)o->height * (size_t)o->width * 3;
    vit_dice dice = {.key = key};
    vit_status status;
    if (is_plain(a)) {
        status = vit_image_preprocess(image, &o->preprocess, o->height, o->width, out, options, error);
    } else {
        uint8_t *pixels;
        VIT_TRY(vit_alloc_for((void **)&pixels, &options->allocator, 2 * bytes, "a picture", error));
        status = a->crop_scale[1] > 0
            ? resize_part(image, choose_crop(a, image->width, image->height, &dice), a->filter, o->height, o->width, pixels,
                          options, error)
            : vit_frame_u8(image, &o->preprocess, o->height, o->width, pixels, &options->allocator, error);
        if (status == VIT_OK) {
            operate(a, pixels, o->height, o->width, &dice, pixels + bytes);
            vit_normalize_u8(pixels, bytes / 3, o->preprocess.mean, o->preprocess.std, out);
        }
        vit_release(&options->allocator, pixels);
    }
    if (status == VIT_OK && vit_dice_unit(&dice) < a->erase)
        erase(a, o->height, o->width, &dice, out);
    return status;
}

vit_status vit_feed_picture(const vit_feed_options *feed, const vit_image *image, uint64_t number, float *out,
                            const vit_options *options, vit_error *error) {
    return vit_augment_picture(feed, image, vit_random_key(feed->seed, number), out, options, error);
}

/* ---- Batches ---- */

static void mix(float *a, float *b, size_t count, float keep) {
    for (size_t i = 0; i < count; i++) {
        const float x = a[i], y = b[i];
        a[i] = keep * x + (1 - keep) * y;
        b[i] = keep * y + (1 - keep) * x;
    }
}

static void exchange(const vit_feed_options *o, box b, float *one, float *other) {
    for (int y = b.top; y < b.top + b.height; y++) {
        const size_t at = ((size_t)y * (size_t)o->width + (size_t)b.left) * 3;
        for (size_t i = at; i < at + 3 * (size_t)b.width; i++) {
            const float kept = one[i];
            one[i] = other[i];
            other[i] = kept;
        }
    }
}

static int clamp(double value, int most) {
    return value < 0 ? 0 : value > most ? most : (int)value;
}

void vit_mix_batch(const vit_feed_options *o, uint64_t key, float *input, float *targets) {
    const vit_augment *a = &o->augment;
    const size_t pixels = (size_t)o->height * (size_t)o->width * 3, classes = (size_t)o->classes;
    vit_dice dice = {.key = key};
    if (!(a->mixup > 0) && !(a->cutmix > 0))
        return;
    const int cuts = a->cutmix > 0 && (!(a->mixup > 0) || vit_dice_below(&dice, 2));
    double keep = vit_dice_beta(&dice, cuts ? a->cutmix : a->mixup);
    box b = {0};
    if (cuts) { /* the box of the paper of cutmix: its share is counted after it was cut off at the edges */
        const double side = sqrt(1 - keep), x = (double)vit_dice_below(&dice, (uint32_t)o->width),
                     y = (double)vit_dice_below(&dice, (uint32_t)o->height);
        const double half_width = floor(o->width * side) / 2, half_height = floor(o->height * side) / 2;
        b.left = clamp(x - half_width, o->width);
        b.top = clamp(y - half_height, o->height);
        b.width = clamp(x + half_width, o->width) - b.left;
        b.height = clamp(y + half_height, o->height) - b.top;
        keep = 1 - (double)b.width * b.height / ((double)o->width * o->height);
    }
    for (int i = 0; i < o->batch / 2; i++) {
        const size_t j = (size_t)(o->batch - 1 - i);
        if (cuts)
            exchange(o, b, input + (size_t)i * pixels, input + j * pixels);
        else
            mix(input + (size_t)i * pixels, input + j * pixels, pixels, (float)keep);
        mix(targets + (size_t)i * classes, targets + j * classes, classes, (float)keep);
    }
}
