/* image.c - pictures: decoding, EXIF, resizing and cropping to a network's input by rules that follow from the bytes.
 * Checksums of a mutated PNG's chunks are made right most times. */
#include "fuzz.h"
#include "mutate.h"

#include "../../src/image/check.h"
#include "../../src/image/image.h"

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    for (size_t at = 8; seed % 8 && size > 12 && data[0] == 0x89 && at < size - 12;) {
        const size_t length = big_endian(data + at);
        if (length > size - at - 12)
            break;
        fuzz_store32(data + at + 8 + length, vit_png_crc(data + at + 4, length + 4), 1);
        at += 12 + length;
    }
    return size;
}

/* Resized and cropped by one call is resized, then cropped; sides and rules that make no picture are refused. */
static void crop(const vit_image *image, vit_filter filter, int width, int height, const vit_options *options) {
    enum { SIDE = 64 };
    static const uint8_t grey[3] = {127, 127, 127};
    static uint8_t whole[SIDE * SIDE * 3], framed[SIDE * SIDE * 3], part[SIDE * SIDE * 3];
    const vit_allocator *allocator = &options->allocator;
    const vit_resize_window window = {width, height, width / 3, height / 3, (width + 1) / 2, (height + 1) / 2};
    vit_error error;
    fuzz_expect(vit_resize_u8(image->rgb, image->width, image->height, filter, width, 0, whole, allocator, &error) ==
                VIT_ERR_ARGUMENT);
    vit_preprocess rules = {.std = {1, 1, 1}};
    vit_placement place;
    fuzz_expect(vit_place(&place, image->width, image->height, &rules, height, width, &error) == VIT_ERR_ARGUMENT);
    rules.crop_pct = 1;
    fuzz_expect(vit_place(&place, image->width, image->height, &rules, 0, width, &error) == VIT_ERR_ARGUMENT);
    if (vit_resize_u8(image->rgb, image->width, image->height, filter, width, height, whole, allocator, &error) != VIT_OK ||
        vit_resize_u8_window(image->rgb, image->width, image->height, filter, &window, part, 3 * (size_t)window.columns,
                             allocator, &error) != VIT_OK)
        return;
    for (int y = 0; y < window.rows; y++)
        fuzz_expect(memcmp(part + 3 * y * window.columns, whole + 3 * ((y + window.top) * width + window.left),
                           3 * (size_t)window.columns) == 0);
    vit_center_crop(whole, width, height, SIDE, SIDE, grey, framed);
    for (int y = 0; y < height; y++)
        fuzz_expect(memcmp(framed + 3 * (((SIDE - height) / 2 + y) * SIDE + (SIDE - width) / 2), whole + 3 * y * width,
                           3 * (size_t)width) == 0);
    fuzz_expect(height > SIDE - 2 || memcmp(framed, grey, sizeof grey) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float out[64 * 64 * 3];
    const vit_options options = fuzz_options();
    uint32_t state = fuzz_hash(data, size);
    vit_image image;
    vit_error error = {0};
    const int orientation = vit_exif_orientation(data, size);
    fuzz_expect(orientation >= 1 && orientation <= 8);
    vit_status status = vit_image_decode(&image, "input", data, size, &options, &error);
    fuzz_check_error(status, &error);
    if (status != VIT_OK) {
        fuzz_expect(!image.rgb);
        return fuzz_end();
    }
    vit_options least = options;
    least.limits.file_bytes = size - 1;
    vit_image copy;
    fuzz_expect(vit_image_decode(&copy, "input", data, size, &least, &error) == VIT_ERR_LIMIT);
    fuzz_expect(image.width > 0 && image.height > 0 && (int64_t)image.width * image.height <= 1 << 20);
    if (fuzz_choose(&state, 8) == 0) {
        const size_t most = fuzz_memory.most;
        fuzz_memory.most = fuzz_memory.held + fuzz_choose(&state, 6 * (uint32_t)(image.width * image.height));
        status = vit_image_decode(&copy, "input", data, size, &options, &error);
        fuzz_expect(status == VIT_OK || (status == VIT_ERR_OUT_OF_MEMORY && !copy.rgb));
        vit_image_close(&copy);
        fuzz_memory.most = most;
    }
    fuzz_expect(vit_image_from_pixels(&copy, image.rgb, image.width, image.height, 2, &options, &error) == VIT_ERR_ARGUMENT);
    if (fuzz_choose(&state, 8) == 0 &&
        vit_image_from_pixels(&copy, image.rgb, image.width, image.height, 3, &options, &error) == VIT_OK) {
        fuzz_expect(memcmp(copy.rgb, image.rgb, (size_t)image.width * (size_t)image.height * 3) == 0);
        vit_image_close(&copy);
    }
    if (fuzz_choose(&state, 8) == 0) {
        const char *path = fuzz_path(".picture");
        fuzz_write(path, data, size);
        if (vit_image_open(&copy, path, &options, &error) == VIT_OK)
            fuzz_expect(copy.width == image.width && copy.height == image.height);
        vit_image_close(&copy);
        remove(path);
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * 3; i++)
        sum += image.rgb[i]; /* a sanitizer of memory sees what was never written */
    vit_preprocess rules = {.std = {0.5f, 0.5f, 0.5f}, .crop_pct = 1 - 0.1 * fuzz_choose(&state, 9)};
    rules.filter = (vit_filter)fuzz_choose(&state, 7);
    rules.crop = (vit_crop)fuzz_choose(&state, 5);
    const int height = 1 + (int)fuzz_choose(&state, 64), width = 1 + (int)fuzz_choose(&state, 64);
    if (fuzz_choose(&state, 8) == 0)
        crop(&image, (vit_filter)fuzz_choose(&state, VIT_FILTER_TF_BILINEAR), width, height, &options);
    status = vit_image_preprocess(&image, &rules, height, width, out, &options, &error);
    fuzz_check_error(status, &error);
    for (int i = 0; status == VIT_OK && i < height * width * 3; i++)
        fuzz_expect(out[i] >= -0.001f && out[i] <= 2.001f && (sum || out[i] < 0.001f));
    vit_image_close(&image);
    return fuzz_end();
}
