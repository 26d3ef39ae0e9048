#include "../base/file.h"
#include "check.h"
#include "image.h"
#include "jpeg_samples.h"

#include <limits.h>
#include <string.h>

/* The decoder allocates through these. Its calls carry no context, so that of the running call is kept per thread. */
typedef struct decoder_memory {
    const vit_allocator *allocator;
    size_t most_bytes;
    int exhausted; /* the allocator refused */
    int excessive; /* a block was larger than the picture explains */
} decoder_memory;

static _Thread_local decoder_memory *decoder;

static void *decoder_alloc(size_t bytes) {
    if (bytes > decoder->most_bytes) {
        decoder->excessive = 1;
        return NULL;
    }
    void *block = vit_alloc(decoder->allocator, bytes);
    decoder->exhausted |= !block;
    return block;
}

static void decoder_release(void *block) {
    vit_release(decoder->allocator, block);
}

static void *decoder_resize(void *block, size_t old_bytes, size_t bytes) {
    void *moved = decoder_alloc(bytes);
    if (moved && block) {
        memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
        decoder_release(block);
    }
    return moved;
}

/* What stands behind the names of functions that stb_image chooses; its own get others. */
static void (*const stbi__idct_block)(uint8_t *, int, short *) = vit_jpeg_block;
static uint8_t *(*const stbi__resample_row_h_2)(uint8_t *, uint8_t *, uint8_t *, int, int) = vit_jpeg_wider;
static uint8_t *(*const stbi__resample_row_v_2)(uint8_t *, uint8_t *, uint8_t *, int, int) = vit_jpeg_taller;
static uint8_t *(*const stbi__resample_row_hv_2)(uint8_t *, uint8_t *, uint8_t *, int, int) = vit_jpeg_wider_taller;
static void (*const stbi__YCbCr_to_RGB_row)(uint8_t *, const uint8_t *, const uint8_t *, const uint8_t *, int, int) = vit_jpeg_colors;
#define stbi__idct_block(...) stb_idct_block(__VA_ARGS__)
#define stbi__resample_row_h_2(...) stb_resample_row_h_2(__VA_ARGS__)
#define stbi__resample_row_v_2(...) stb_resample_row_v_2(__VA_ARGS__)
#define stbi__resample_row_hv_2(...) stb_resample_row_hv_2(__VA_ARGS__)
#define stbi__YCbCr_to_RGB_row(...) stb_YCbCr_to_RGB_row(__VA_ARGS__)

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_GIF
#define STBI_NO_STDIO
#define STBI_NO_SIMD
#define STBI_NO_LINEAR
#define STBI_ASSERT(condition) ((void)0)
#define STBI_MAX_DIMENSIONS (1 << 24)
#define STBI_MALLOC(bytes) decoder_alloc(bytes)
#define STBI_REALLOC_SIZED(block, old_bytes, bytes) decoder_resize(block, old_bytes, bytes)
#define STBI_FREE(block) decoder_release(block)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#endif
#include "stb_image.h"
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

enum { BOX_TYPE_AT = 4 };

/* A signature at an offset and what it means to people. */
static const struct signature {
    size_t at;
    const char *bytes, *format;
} signatures[] = {
    {0, "GIF8", "a GIF picture"},
    {0, "BM", "a BMP picture"},
    {8, "WEBP", "a WebP picture"},
    {BOX_TYPE_AT, "ftypavif", "an AVIF picture"},
    {BOX_TYPE_AT, "ftypavis", "an AVIF picture"},
    {BOX_TYPE_AT, "ftyphei", "a HEIC picture"},
    {BOX_TYPE_AT, "ftyphev", "a HEIC picture"},
    {BOX_TYPE_AT, "ftypmif1", "a HEIC or AVIF picture"},
    {BOX_TYPE_AT, "ftyp", "an MP4 video"},
    {BOX_TYPE_AT, "JXL ", "a JPEG XL picture"},
    {0, "\xff\x0a", "a JPEG XL picture"},
    {BOX_TYPE_AT, "jP  ", "a JPEG 2000 picture"},
    {0, "\xff\x4f\xff\x51", "a JPEG 2000 picture"},
    {0, "II*", "a TIFF picture"},
    {0, "MM\0*", "a TIFF picture"},
    {0, "8BPS", "a Photoshop file"},
    {0, "%PDF", "a PDF document"},
    {0, "PK\x03\x04", "a ZIP archive"},
    {0, "\x1f\x8b", "a gzip file"},
    {0, "GGUF", "a GGUF weight file"},
};

static int starts_with(const uint8_t *data, size_t bytes, size_t at, const char *what, size_t length) {
    return bytes >= at + length && memcmp(data + at, what, length) == 0;
}

static int starts_as_png(const uint8_t *data, size_t bytes) {
    return starts_with(data, bytes, 0, "\x89PNG\r\n\x1a\n", 8);
}

static int starts_as_jpeg(const uint8_t *data, size_t bytes) {
    return starts_with(data, bytes, 0, "\xff\xd8", 2);
}

/* Letter case is ignored; what is in lower case. */
static int contains_word(const uint8_t *data, size_t bytes, const char *what) {
    size_t length = strlen(what);
    for (size_t at = 0; at + length <= bytes; at++) {
        size_t i = 0;
        while (i < length && (data[at + i] >= 'A' && data[at + i] <= 'Z' ? data[at + i] + 32 : data[at + i]) == what[i])
            i++;
        if (i == length)
            return 1;
    }
    return 0;
}

/* Text, and which kind; NULL for binary data. */
static const char *text_format(const uint8_t *data, size_t bytes) {
    size_t head = bytes < 1024 ? bytes : 1024;
    for (size_t i = 0; i < head; i++)
        if (data[i] < 9 || (data[i] > 13 && data[i] < 32 && data[i] != 27))
            return NULL;
    if (contains_word(data, head, "<svg"))
        return "an SVG drawing";
    if (contains_word(data, head, "<!doctype html") || contains_word(data, head, "<html"))
        return "an HTML page";
    return "a text file";
}

static vit_status fail_format(const char *name, const uint8_t *data, size_t bytes, vit_error *error) {
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        size_t length = strcmp(s->format, "a TIFF picture") == 0 ? 4 : strlen(s->bytes);
        if (starts_with(data, bytes, s->at, s->bytes, length))
            return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: is %s, expected JPEG or PNG", name, s->format);
    }
    const char *text = text_format(data, bytes);
    if (text)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: is %s, expected a JPEG or PNG picture", name, text);
    return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: is not a JPEG or PNG picture (it starts with the byte 0x%02x)", name,
                    data[0]);
}

vit_status vit_picture_start_check(const char *name, const void *head, size_t bytes, vit_error *error) {
    if (!bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the file is empty", name);
    return starts_as_png(head, bytes) || starts_as_jpeg(head, bytes) ? VIT_OK : fail_format(name, head, bytes, error);
}

vit_status vit_picture_bytes_check(const char *name, uint64_t bytes, const vit_limits *limits, vit_error *error) {
    if (bytes > limits->file_bytes)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %llu bytes, the limit is %llu (limit file_bytes)", name,
                        (unsigned long long)bytes, (unsigned long long)limits->file_bytes);
    if (bytes > INT_MAX)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: %llu bytes, expected a picture of at most %d", name,
                        (unsigned long long)bytes, INT_MAX);
    return VIT_OK;
}

vit_status vit_picture_size_check(const char *name, uint32_t width, uint32_t height, const vit_limits *limits,
                                  vit_error *error) {
    if (!width || !height)
        return vit_fail(error, VIT_ERR_IMAGE, "%s: damaged picture: it is %u x %u pixels", name, width, height);
    if (width > limits->image_side || height > limits->image_side)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %u x %u pixels, the limit is %u a side (limit image_side)", name,
                        width, height, limits->image_side);
    if ((uint64_t)width * height > limits->image_pixels)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %u x %u pixels, the limit is %llu pixels (limit image_pixels)", name,
                        width, height, (unsigned long long)limits->image_pixels);
    return VIT_OK;
}

/* The decoder's palette is uninitialised memory beyond the entries a file has: a copy of the file with black ones
 * instead. */
static vit_status pad_palette(uint8_t **out, const uint8_t *data, size_t *bytes, const vit_picture *picture,
                              const vit_allocator *allocator, vit_error *error) {
    enum { FULL = 768, HEAD = 8, CRC = 4 };
    size_t begin = picture->palette_at, end = begin + HEAD + picture->palette_bytes + CRC, tail = *bytes - end;
    VIT_TRY(vit_alloc_for((void **)out, allocator, *bytes + FULL - picture->palette_bytes, "a PNG with a short palette",
                          error));
    uint8_t *p = *out;
    memcpy(p, data, begin + HEAD + picture->palette_bytes);
    p[begin + 2] = FULL >> 8;
    p[begin + 3] = FULL & 255;
    memset(p + begin + HEAD + picture->palette_bytes, 0, FULL - picture->palette_bytes + CRC);
    memcpy(p + begin + HEAD + FULL + CRC, data + end, tail);
    *bytes += FULL - picture->palette_bytes;
    return VIT_OK;
}

/* The high bytes of 16-bit samples. */
static uint8_t *high_bytes(uint16_t *samples, size_t count) {
    uint8_t *bytes = decoder_alloc(count);
    for (size_t i = 0; bytes && i < count; i++)
        bytes[i] = (uint8_t)(samples[i] >> 8);
    decoder_release(samples);
    return bytes;
}

/* The decoder proper. It reports some failures in a JPEG only by setting its reason while it returns pixels. */
static vit_status decode(uint8_t **rgb, const char *name, const uint8_t *data, size_t bytes, const vit_picture *picture,
                         int is_png, const vit_allocator *allocator, vit_error *error) {
    decoder_memory memory = {.allocator = allocator, .most_bytes = picture->most_bytes}, *outer = decoder;
    decoder = &memory;
    int width = 0, height = 0, channels;
    stbi__context context;
    stbi__result_info info = {.bits_per_channel = 8};
    stbi__start_mem(&context, data, (int)bytes);
    stbi__g_failure_reason = NULL;
    /* direct calls: compilers leave out what three channels do not need */
    *rgb = is_png ? stbi__png_load(&context, &width, &height, &channels, 3, &info)
                  : stbi__jpeg_load(&context, &width, &height, &channels, 3, &info);
    if (*rgb && !is_png && stbi__g_failure_reason) {
        decoder_release(*rgb);
        *rgb = NULL;
    }
    if (*rgb && info.bits_per_channel == 16)
        *rgb = high_bytes((uint16_t *)(void *)*rgb, (size_t)width * (size_t)height * 3);
    const char *reason = stbi__g_failure_reason;
    int right_size = (uint32_t)width == picture->width && (uint32_t)height == picture->height;
    if (*rgb && !right_size) {
        decoder_release(*rgb);
        *rgb = NULL;
        reason = "contradicting sizes";
    }
    decoder = outer;
    if (*rgb)
        return VIT_OK;
    if (memory.exhausted)
        return vit_fail(error, VIT_ERR_OUT_OF_MEMORY, "out of memory: decoding %s, %u x %u pixels", name,
                        picture->width, picture->height);
    if (memory.excessive)
        return vit_fail(error, VIT_ERR_IMAGE, "%s: damaged %s: it unpacks to more data than %u x %u pixels need", name,
                        is_png ? "PNG" : "JPEG", picture->width, picture->height);
    if (is_png && reason && strcmp(reason, "not enough pixels") == 0)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the PNG holds fewer pixels than its header says", name);
    return vit_fail(error, VIT_ERR_IMAGE, "%s: damaged %s: %s", name, is_png ? "PNG" : "JPEG",
                    reason && *reason ? reason : "its compressed data cannot be decoded");
}

/* What the EXIF orientation asks for, as steps through the stored pixels. In tiles: a turned picture is read down its
 * columns. */
static void orient(uint8_t *out, const uint8_t *in, int stored_width, int stored_height, int orientation) {
    enum { TILE = 32 };
    ptrdiff_t w = stored_width, h = stored_height, begin, down, right;
    switch (orientation) {
    case 2: begin = w - 1, down = w, right = -1; break;
    case 3: begin = w * h - 1, down = -w, right = -1; break;
    case 4: begin = w * (h - 1), down = -w, right = 1; break;
    case 5: begin = 0, down = 1, right = w; break;
    case 6: begin = w * (h - 1), down = 1, right = -w; break;
    case 7: begin = w * h - 1, down = -1, right = -w; break;
    case 8: begin = w - 1, down = -1, right = w; break;
    default: begin = 0, down = w, right = 1; break;
    }
    ptrdiff_t columns = orientation >= 5 ? h : w, rows = orientation >= 5 ? w : h;
    for (ptrdiff_t y0 = 0; y0 < rows; y0 += TILE)
        for (ptrdiff_t x0 = 0; x0 < columns; x0 += TILE)
            for (ptrdiff_t y = y0; y < rows && y < y0 + TILE; y++)
                for (ptrdiff_t x = x0; x < columns && x < x0 + TILE; x++) {
                    const uint8_t *from = in + 3 * (begin + y * down + x * right);
                    uint8_t *to = out + 3 * (y * columns + x);
                    to[0] = from[0];
                    to[1] = from[1];
                    to[2] = from[2];
                }
}

vit_status vit_image_decode_stored(vit_image *out, int *orientation, const char *name, const void *data, size_t bytes,
                                   const vit_options *options, vit_error *error) {
    *out = (vit_image){0};
    *orientation = 1;
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    const uint8_t *file = data;
    VIT_TRY(vit_picture_bytes_check(name, bytes, &options->limits, error));
    VIT_TRY(vit_picture_start_check(name, file, bytes, error));
    vit_picture picture;
    const int is_png = starts_as_png(file, bytes);
    VIT_TRY((is_png ? vit_png_check : vit_jpeg_check)(&picture, name, file, bytes, &options->limits, error));

    uint8_t *padded = NULL, *rgb = NULL;
    if (picture.palette_at) {
        VIT_TRY(pad_palette(&padded, file, &bytes, &picture, &options->allocator, error));
        file = padded;
    }
    vit_status status = decode(&rgb, name, file, bytes, &picture, is_png, &options->allocator, error);
    vit_release(&options->allocator, padded);
    if (status != VIT_OK)
        return status;
    *out = (vit_image){(int)picture.width, (int)picture.height, rgb, options->allocator};
    *orientation = picture.orientation;
    return VIT_OK;
}

vit_status vit_image_decode(vit_image *out, const char *name, const void *data, size_t bytes,
                            const vit_options *options, vit_error *error) {
    int orientation;
    VIT_TRY(vit_image_decode_stored(out, &orientation, name, data, bytes, options, error));
    if (orientation == 1)
        return VIT_OK;
    uint8_t *turned;
    size_t size = (size_t)out->width * (size_t)out->height * 3;
    vit_status status = vit_alloc_for((void **)&turned, &out->allocator, size, name, error);
    if (status != VIT_OK) {
        vit_image_close(out);
        return status;
    }
    orient(turned, out->rgb, out->width, out->height, orientation);
    vit_release(&out->allocator, out->rgb);
    out->rgb = turned;
    if (orientation >= 5) {
        int width = out->width;
        out->width = out->height;
        out->height = width;
    }
    return VIT_OK;
}

vit_status vit_image_open(vit_image *out, const char *path, const vit_options *options, vit_error *error) {
    *out = (vit_image){0};
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    uint8_t head[1024];
    size_t got;
    vit_reader reader;
    vit_status status = vit_reader_open(&reader, path, options->limits.file_bytes, error);
    if (status == VIT_OK)
        status = vit_reader_read(&reader, head, sizeof head, &got, error);
    if (status == VIT_OK) /* of what may be gigabytes */
        status = vit_picture_start_check(path, head, got, error);
    if (status == VIT_OK)
        status = vit_picture_bytes_check(path, reader.size, &options->limits, error);
    vit_buffer buffer = {.allocator = &options->allocator};
    if (status == VIT_OK)
        status = vit_buffer_append(&buffer, head, got, path, error);
    if (status == VIT_OK)
        status = vit_reader_rest(&reader, &buffer, path, error);
    vit_reader_close(&reader);
    if (status == VIT_OK)
        status = vit_image_decode(out, path, buffer.data, buffer.size, options, error);
    vit_buffer_release(&buffer);
    return status;
}

vit_status vit_image_check_size(int width, int height, const vit_options *options, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    if (width < 1 || height < 1)
        return vit_fail(error, VIT_ERR_ARGUMENT, "pixels: %d x %d, expected at least 1 x 1", width, height);
    return vit_picture_size_check("pixels", (uint32_t)width, (uint32_t)height, &chosen.limits, error);
}

vit_status vit_image_from_pixels(vit_image *out, const uint8_t *pixels, int width, int height, int channels,
                                 const vit_options *options, vit_error *error) {
    *out = (vit_image){0};
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    if (!pixels || width < 1 || height < 1 || (channels != 3 && channels != 4))
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "pixels: %d x %d with %d channels, expected at least 1 x 1 with 3 or 4", width, height,
                        channels);
    VIT_TRY(vit_picture_size_check("pixels", (uint32_t)width, (uint32_t)height, &options->limits, error));
    size_t count = vit_size_mul((size_t)width, (size_t)height);
    uint8_t *rgb;
    VIT_TRY(vit_alloc_for((void **)&rgb, &options->allocator, vit_size_mul(count, 3), "pixels", error));
    for (size_t i = 0; i < count; i++)
        memcpy(rgb + 3 * i, pixels + (size_t)channels * i, 3);
    *out = (vit_image){width, height, rgb, options->allocator};
    return VIT_OK;
}

void vit_image_close(vit_image *image) {
    if (image && image->rgb)
        vit_release(&image->allocator, image->rgb);
    if (image)
        *image = (vit_image){0};
}
