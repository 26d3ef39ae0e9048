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
    fuzz_expect(image.width > 0 && image.height > 0 && (int64_t)image.width * image.height <= 1 << 20);
    vit_image copy;
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
    status = vit_image_preprocess(&image, &rules, height, width, out, &options, &error);
    fuzz_check_error(status, &error);
    for (int i = 0; status == VIT_OK && i < height * width * 3; i++)
        fuzz_expect(out[i] >= -0.001f && out[i] <= 2.001f && (sum || out[i] < 0.001f));
    vit_image_close(&image);
    return fuzz_end();
}
