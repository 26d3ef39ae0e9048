#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/container.h"
#include "../../src/image/check.h"
#include "../../src/image/image.h"

#include <pthread.h>

#define DECODE "tests/golden/preprocess/decode/"
#define ERRORS "tests/golden/errors/"

/* ---- an allocator that counts, and fails when told ---- */

typedef struct ledger {
    int live, calls, fail_at; /* fail_at: the call that fails, counted from 1; 0: none */
    int fill;                 /* what fresh memory holds */
    size_t held, peak;
} ledger;

static void *ledger_alloc(void *context, size_t bytes) {
    ledger *l = context;
    if (++l->calls == l->fail_at)
        return NULL;
    size_t *block = malloc(bytes + 16);
    memset(block, l->fill, bytes + 16);
    block[0] = bytes;
    l->live++;
    l->held += bytes;
    l->peak = l->held > l->peak ? l->held : l->peak;
    return block + 2;
}

static void ledger_release(void *context, void *block) {
    ledger *l = context;
    size_t *begin = (size_t *)block - 2;
    l->live--;
    l->held -= begin[0];
    free(begin);
}

static vit_options counted(ledger *l) {
    vit_options options = vit_default_options();
    *l = (ledger){0};
    options.allocator = (vit_allocator){ledger_alloc, ledger_release, l};
    return options;
}

/* ---- files ---- */

static vit_buffer read_file(const char *path) {
    static const vit_allocator *allocator;
    static vit_options defaults;
    defaults = vit_default_options();
    allocator = &defaults.allocator;
    vit_buffer file = {.allocator = allocator};
    vit_error error;
    if (!CHECK(vit_read_file(&file, path, 1u << 30, &error) == VIT_OK))
        puts(error.text);
    return file;
}

static uint32_t read32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- malformed pictures ---- */

static void test_malformed(void) {
    ledger l;
    vit_options options = counted(&l), plain = vit_default_options();
    vit_buffer text = read_file(ERRORS "images.json");
    vit_json_document list;
    vit_error error;
    if (!CHECK_STATUS(VIT_OK, vit_json_parse(&list, "images.json", text.data, text.size, &plain.limits, &plain.allocator, &error)))
        return;
    for (const vit_json *row = list.root->child; row; row = row->next) {
        char path[300];
        const char *file = vit_json_get(row, "file")->string, *expect = vit_json_get(row, "expect")->string;
        vit_image image;
        error = (vit_error){0};
        snprintf(path, sizeof path, ERRORS "%s", file);
        vit_status status = vit_image_open(&image, path, &options, &error);
        int right = strcmp(expect, "either") == 0 || (status == VIT_OK) == (strcmp(expect, "accept") == 0);
        if (!CHECK(right))
            printf("  %s: %s, found %s: %s\n", file, expect, vit_status_name(status), error.text);
        if (status != VIT_OK) {
            CHECK(image.rgb == NULL && error.status == status);
            CHECK_MENTIONS(error.text, strrchr(file, '/') + 1);
        }
        vit_image_close(&image);
        CHECK(l.live == 0);
        CHECK(l.peak < 4u << 20);
    }
    vit_json_release(&list);
    vit_buffer_release(&text);
}

static void test_named_formats(void) {
    static const struct {
        const char *bytes;
        size_t length;
        const char *named;
    } files[] = {
        {"GIF89a......", 12, "GIF"}, {"BM..........", 12, "BMP"}, {"RIFF....WEBPVP8 ", 16, "WebP"},
        {"\0\0\0 ftypavif....", 16, "AVIF"}, {"\0\0\0\30ftypheic....", 16, "HEIC"}, {"II*\0........", 12, "TIFF"},
        {"MM\0*........", 12, "TIFF"}, {"8BPS........", 12, "Photoshop"}, {"%PDF-1.7....", 12, "PDF"},
        {"<?xml version=\"1.0\"?><SVG>", 26, "SVG"}, {"\n<!DOCTYPE HTML><p>", 19, "HTML"}, {"hello, world", 12, "text"},
        {"\0\0\0\14JXL ....", 12, "JPEG XL"}, {"\x01\x02\x03", 3, "0x01"},
        /* what stb_image knows besides: HDR, PNM, PIC, TGA */
        {"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 1\n", 45, "text"}, {"P6 1 1 255\n\x01\x02\x03", 14, "is not a JPEG or PNG"},
        {"\x53\x80\xf6\x34....", 8, "text"}, {"\0\0\x02\0\0\0\0\0\0\0\0\0\x01\0\x01\0\x18\0abc", 21, "is not a JPEG or PNG"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vit_error error;
        vit_image image;
        CHECK_STATUS(VIT_ERR_UNSUPPORTED,
                     vit_image_decode(&image, "a.jpg", files[i].bytes, files[i].length, NULL, &error));
        CHECK_MENTIONS(error.text, files[i].named);
        CHECK_MENTIONS(error.text, "a.jpg");
    }
    vit_error error;
    vit_image image;
    CHECK_STATUS(VIT_ERR_TRUNCATED, vit_image_decode(&image, "empty", "", 0, NULL, &error));
    CHECK_STATUS(VIT_ERR_IO, vit_image_open(&image, "tests", NULL, &error));
    CHECK_MENTIONS(error.text, "folder");
    CHECK_STATUS(VIT_ERR_IO, vit_image_open(&image, "tests/no such file", NULL, &error));
}

static void test_limits(void) {
    vit_error error;
    vit_image image;
    vit_options options = vit_default_options();
    options.limits.image_side = 30;
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_open(&image, DECODE "rgb.png", &options, &error));
    CHECK_MENTIONS(error.text, "image_side");
    options = vit_default_options();
    options.limits.image_pixels = 1000;
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_open(&image, DECODE "jpeg_420.jpg", &options, &error));
    CHECK_MENTIONS(error.text, "image_pixels");
    uint8_t pixels[4 * 6] = {1, 2, 3, 4, 5, 6, 7, 8};
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_image_from_pixels(&image, pixels, 2, 3, 1, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_image_from_pixels(&image, pixels, 0, 3, 4, NULL, &error));
    options.limits.image_pixels = 5;
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_from_pixels(&image, pixels, 2, 3, 4, &options, &error));
    CHECK_STATUS(VIT_OK, vit_image_from_pixels(&image, pixels, 2, 3, 4, NULL, &error));
    CHECK(image.width == 2 && image.height == 3 && image.rgb[3] == 5 && image.rgb[5] == 7);
    vit_image_close(&image);
    vit_image_close(&image);
    vit_image_close(NULL);
}

/* ---- EXIF ---- */

static void put16(uint8_t *p, int big, int value) {
    p[big ? 0 : 1] = (uint8_t)(value >> 8);
    p[big ? 1 : 0] = (uint8_t)value;
}

static void put32(uint8_t *p, int big, int value) {
    put16(p + (big ? 0 : 2), big, value >> 16);
    put16(p + (big ? 2 : 0), big, value & 0xffff);
}

enum { EXIF_BYTES = 8 + 2 + 2 * 12 + 4 };

/* A TIFF block whose directory holds a width and an orientation. */
static void make_exif(uint8_t out[EXIF_BYTES], int big, int type, int count, int value) {
    memset(out, 0, EXIF_BYTES);
    memcpy(out, big ? "MM\0*" : "II*\0", 4);
    put32(out + 4, big, 8);
    put16(out + 8, big, 2);
    put16(out + 10, big, 0x0100);
    put16(out + 12, big, 4);
    put32(out + 14, big, 1);
    put16(out + 22, big, 0x0112);
    put16(out + 24, big, type);
    put32(out + 26, big, count);
    put16(out + 30, big, value);
    put32(out + 34, big, 8); /* the next directory is this one */
}

/* The parser sees a block of exactly that size, so a sanitizer sees what lies behind. */
static int orientation_of(const uint8_t *exif, size_t bytes) {
    uint8_t *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, exif, bytes);
    int orientation = vit_exif_orientation(copy, bytes);
    free(copy);
    return orientation;
}

static void test_exif(void) {
    uint8_t exif[EXIF_BYTES], prefixed[6 + EXIF_BYTES] = "Exif";
    for (int big = 0; big < 2; big++) {
        for (int value = 0; value <= 9; value++) {
            make_exif(exif, big, 3, 1, value);
            int expected = value >= 1 && value <= 8 ? value : 1;
            CHECK(orientation_of(exif, sizeof exif) == expected);
            memcpy(prefixed + 6, exif, sizeof exif);
            CHECK(orientation_of(prefixed, sizeof prefixed) == expected);
        }
        make_exif(exif, big, 3, 1, 6);
        for (size_t bytes = 0; bytes < sizeof exif; bytes++)
            CHECK(orientation_of(exif, bytes) == (bytes >= 34 ? 6 : 1));
        for (size_t at = 0; at < sizeof exif; at++)
            for (int bit = 0; bit < 8; bit++) {
                exif[at] ^= (uint8_t)(1 << bit);
                int orientation = orientation_of(exif, sizeof exif);
                CHECK(orientation >= 1 && orientation <= 8);
                exif[at] ^= (uint8_t)(1 << bit);
            }
        make_exif(exif, big, 4, 1, 6);
        CHECK(orientation_of(exif, sizeof exif) == 1);
        make_exif(exif, big, 3, 0x7fffffff, 6);
        CHECK(orientation_of(exif, sizeof exif) == 1);
        make_exif(exif, big, 3, 1, 6);
        put16(exif + 8, big, 65535);
        put16(exif + 22, big, 0x0111);
        CHECK(orientation_of(exif, sizeof exif) == 1);
        make_exif(exif, big, 3, 1, 6);
        put32(exif + 4, big, -1);
        CHECK(orientation_of(exif, sizeof exif) == 1);
    }
}

/* The eight files hold one picture, stored in eight ways that are not undone by chance. */
static void test_orientation(void) {
    vit_image upright, turned;
    vit_error error;
    CHECK_STATUS(VIT_OK, vit_image_open(&upright, DECODE "exif_1.jpg", NULL, &error));
    int w = upright.width, h = upright.height;
    for (int orientation = 2; orientation <= 8; orientation++) {
        char path[100];
        snprintf(path, sizeof path, DECODE "exif_%d.jpg", orientation);
        if (!CHECK_STATUS(VIT_OK, vit_image_open(&turned, path, NULL, &error)))
            continue;
        int swapped = orientation >= 5, wrong = 0;
        CHECK(turned.width == (swapped ? h : w) && turned.height == (swapped ? w : h));
        for (int y = 0; y < turned.height; y++)
            for (int x = 0; x < turned.width; x++) {
                int from_x = swapped ? y : x, from_y = swapped ? x : y;
                if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
                    from_x = w - 1 - from_x;
                if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
                    from_y = h - 1 - from_y;
                wrong +=
                    memcmp(turned.rgb + 3 * (y * turned.width + x), upright.rgb + 3 * (from_y * w + from_x), 3) != 0;
            }
        CHECK(wrong == 0);
        vit_image_close(&turned);
    }
    vit_image_close(&upright);
}

/* PNG: the chunk eXIf before IDAT. */
static void test_exif_in_png(void) {
    uint8_t exif[EXIF_BYTES], chunk[12 + EXIF_BYTES] = {0, 0, 0, EXIF_BYTES, 'e', 'X', 'I', 'f'};
    vit_buffer file = read_file(DECODE "rgb.png"), made = {.allocator = file.allocator};
    vit_error error;
    vit_image image;
    make_exif(exif, 1, 3, 1, 6);
    memcpy(chunk + 8, exif, sizeof exif);
    vit_buffer_append(&made, file.data, 33, "", &error);
    vit_buffer_append(&made, chunk, sizeof chunk, "", &error);
    vit_buffer_append(&made, file.data + 33, file.size - 33, "", &error);
    CHECK_STATUS(VIT_OK, vit_image_decode(&image, "made.png", made.data, made.size, NULL, &error));
    CHECK(image.width == 29 && image.height == 37);
    vit_image_close(&image);
    vit_buffer_release(&made);
    vit_buffer_release(&file);
}

/* ---- damaged files: nothing crashes, hangs, leaks, or is read or written out of bounds ---- */

static const char *const files[] = {
    DECODE "jpeg_420.jpg",     DECODE "jpeg_422.jpg",   DECODE "jpeg_progressive.jpg",
    DECODE "jpeg_restart.jpg", DECODE "jpeg_cmyk.jpg",  DECODE "jpeg_gray.jpg",
    DECODE "exif_6.jpg",       DECODE "one_pixel.jpg",  DECODE "rgb.png",
    DECODE "palette_trns.png", DECODE "interlaced.png", DECODE "gray16.png",
    DECODE "gray_alpha.png",   DECODE "bilevel.png",    ERRORS "images/png_index_past_plte.png",
};
enum { FILES = sizeof files / sizeof *files };

/* Decodes a block of exactly that size. *sum: a checksum of the pixels, 0 for none. */
static vit_status decode_summed(const uint8_t *data, size_t bytes, const vit_options *options, uint32_t *sum,
                                vit_error *error) {
    uint8_t *copy = malloc(bytes);
    vit_image image;
    memcpy(copy, data, bytes);
    vit_status status = vit_image_decode(&image, "damaged", copy, bytes, options, error);
    free(copy);
    *sum = status == VIT_OK ? vit_png_crc(image.rgb, (size_t)image.width * (size_t)image.height * 3) : 0;
    vit_image_close(&image);
    return status;
}

static vit_status decode_copy(const uint8_t *data, size_t bytes, const vit_options *options, vit_error *error) {
    uint32_t sum;
    return decode_summed(data, bytes, options, &sum, error);
}

static int is_png(const vit_buffer *file) {
    return file->data[0] == 0x89;
}

/* Puts the right checksum behind every chunk, so that damage reaches the decoder. */
static void repair_checksums(vit_buffer *file) {
    for (size_t at = 8; file->size - at >= 12;) {
        uint32_t length = read32(file->data + at);
        if (length > file->size - at - 12)
            return;
        put32(file->data + at + 8 + length, 1, (int)vit_png_crc(file->data + at + 4, (size_t)length + 4));
        at += (size_t)length + 12;
    }
}

static void test_truncated(void) {
    ledger l;
    vit_options options = counted(&l);
    for (int f = 0; f < FILES; f++) {
        vit_buffer file = read_file(files[f]);
        vit_error error;
        int wrong = 0;
        for (size_t bytes = 8; bytes < file.size; bytes++)
            wrong += decode_copy(file.data, bytes, &options, &error) != VIT_ERR_TRUNCATED;
        if (!CHECK(wrong == 0))
            printf("  %s\n", files[f]);
        CHECK_STATUS(VIT_OK, decode_copy(file.data, file.size, &options, &error));
        vit_buffer_append(&file, "behind the end", 14, "", &error);
        CHECK_STATUS(VIT_OK, decode_copy(file.data, file.size, &options, &error));
        CHECK(l.live == 0);
        vit_buffer_release(&file);
    }
}

/* Twice each, in memory that held different things before: no pixel may depend on that. */
static void test_mutated(void) {
    static const uint8_t patterns[] = {0x01, 0x10, 0x80, 0xff};
    ledger l;
    vit_options options = counted(&l);
    options.limits.image_pixels = 1 << 20;
    for (int f = 0; f < FILES; f++) {
        vit_buffer file = read_file(files[f]), damaged = {.allocator = file.allocator};
        vit_error error;
        int silent = 0, unwritten = 0;
        for (size_t at = 0; at < file.size; at++)
            for (size_t p = 0; p < sizeof patterns; p++)
                for (int repair = 0; repair <= is_png(&file); repair++) {
                    damaged.size = 0;
                    vit_buffer_append(&damaged, file.data, file.size, "", &error);
                    damaged.data[at] ^= patterns[p];
                    if (repair)
                        repair_checksums(&damaged);
                    error.text[0] = 0;
                    uint32_t sum, again;
                    l.fill = 0;
                    vit_status status = decode_summed(damaged.data, damaged.size, &options, &sum, &error);
                    silent += status != VIT_OK && (!error.text[0] || error.status != status);
                    l.fill = 0xa5;
                    decode_summed(damaged.data, damaged.size, &options, &again, &error);
                    unwritten += sum != again;
                }
        CHECK(silent == 0);
        if (!CHECK(unwritten == 0))
            printf("  %s: %d times\n", files[f], unwritten);
        CHECK(l.live == 0);
        vit_buffer_release(&damaged);
        vit_buffer_release(&file);
    }
    CHECK(l.peak < 64u << 20);
}

/* A restart marker that is gone, and data that ends before the picture does. */
static void test_incomplete_scans(void) {
    vit_buffer file = read_file(DECODE "jpeg_restart.jpg");
    vit_error error;
    vit_options options = vit_default_options();
    size_t restart = 0;
    for (size_t i = 0; i + 1 < file.size && !restart; i++)
        if (file.data[i] == 0xff && file.data[i + 1] == 0xd1)
            restart = i;
    if (!CHECK(restart > 0))
        return;
    vit_buffer made = {.allocator = file.allocator};
    vit_buffer_append(&made, file.data, restart, "", &error);
    vit_buffer_append(&made, file.data + restart + 2, file.size - restart - 2, "", &error);
    CHECK_STATUS(VIT_ERR_TRUNCATED, decode_copy(made.data, made.size, &options, &error));
    made.size = 0;
    vit_buffer_append(&made, file.data, restart, "", &error);
    vit_buffer_append(&made, "\xff\xd9", 2, "", &error);
    CHECK_STATUS(VIT_ERR_TRUNCATED, decode_copy(made.data, made.size, &options, &error));
    vit_buffer_release(&made);
    vit_buffer_release(&file);
}

/* EXIF of more than a segment: the first has the directory, and counts. */
static void test_long_exif(void) {
    enum { SEGMENT = 4 + 6 + EXIF_BYTES };
    vit_buffer file = read_file(DECODE "jpeg_420.jpg");
    vit_options options = vit_default_options();
    vit_error error;
    vit_image plain, turned;
    CHECK_STATUS(VIT_OK, vit_image_decode(&plain, "plain", file.data, file.size, &options, &error));
    uint8_t *longer = malloc(file.size + 2 * SEGMENT);
    memcpy(longer, file.data, 2);
    for (int i = 0; i < 2; i++) {
        uint8_t *at = longer + 2 + i * SEGMENT;
        memcpy(at, (const uint8_t[]){0xff, 0xe1, 0, SEGMENT - 2, 'E', 'x', 'i', 'f', 0, 0}, 10);
        if (i == 0)
            make_exif(at + 10, 1, 3, 1, 6); /* a quarter turn */
        else
            memset(at + 10, 'x', EXIF_BYTES);
    }
    memcpy(longer + 2 + 2 * SEGMENT, file.data + 2, file.size - 2);
    CHECK_STATUS(VIT_OK, vit_image_decode(&turned, "turned", longer, file.size + 2 * SEGMENT, &options, &error));
    CHECK(turned.width == plain.height && turned.height == plain.width && plain.width != plain.height);
    free(longer);
    vit_image_close(&plain);
    vit_image_close(&turned);
    CHECK(turned.rgb == NULL && turned.width == 0);
    vit_buffer_release(&file);
}

/* Codes of more than 15 bits, tables of more than 256 codes, steps and differences as large as they go: what weaknesses of
 * earlier decoders were reached by. */
static void test_hostile_tables(void) {
    static const char *const files[] = {DECODE "jpeg_420.jpg", DECODE "jpeg_progressive.jpg", DECODE "jpeg_restart.jpg"};
    enum { HUFFMAN = 0xc4, QUANTIZATION = 0xdb, SCAN = 0xda, COUNTS = 16 };
    vit_options options = vit_default_options();
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        vit_buffer file = read_file(files[f]);
        vit_error error;
        size_t at = 2, length;
        for (int scans = 0; at + 4 < file.size && file.data[at] == 0xff && !scans; at += 2 + length) {
            const int marker = file.data[at + 1];
            uint8_t *body = file.data + at + 4, kept[65536];
            length = (size_t)file.data[at + 2] << 8 | file.data[at + 3];
            scans = marker == SCAN;
            if (marker != HUFFMAN && marker != QUANTIZATION)
                continue;
            memcpy(kept, body, length - 2);
            if (marker == QUANTIZATION) {
                memset(body + 1, 0xff, 64);
                decode_copy(file.data, file.size, &options, &error); /* dark or not: it ends */
            } else {
                const int is_dc = body[0] < 16;
                memset(body + 1 + COUNTS, 0x10, length - 2 - 1 - COUNTS); /* as differences, of 16 bits */
                const vit_status status = decode_copy(file.data, file.size, &options, &error);
                CHECK(!is_dc || status == VIT_ERR_IMAGE || status == VIT_ERR_TRUNCATED);
                memcpy(body, kept, length - 2);
                memset(body + 1, 0xff, COUNTS);
                CHECK(decode_copy(file.data, file.size, &options, &error) != VIT_OK);
            }
            memcpy(body, kept, length - 2);
        }
        CHECK_STATUS(VIT_OK, decode_copy(file.data, file.size, &options, &error));
        vit_buffer_release(&file);
    }
}

/* ---- memory ---- */

static vit_status use_everything(const vit_options *options, const vit_buffer *file, vit_error *error) {
    vit_image image;
    vit_preprocess rules = {.std = {1, 1, 1}, .filter = VIT_FILTER_BICUBIC, .crop_pct = 0.9};
    float out[16 * 12 * 3];
    VIT_TRY(vit_image_decode(&image, "file", file->data, file->size, options, error));
    vit_status status = vit_image_preprocess(&image, &rules, 16, 12, out, options, error);
    vit_image_close(&image);
    VIT_TRY(status);
    VIT_TRY(vit_image_from_pixels(&image, file->data, 2, 2, 4, options, error));
    vit_image_close(&image);
    return VIT_OK;
}

static void test_out_of_memory(void) {
    for (int f = 0; f < FILES; f++) {
        vit_buffer file = read_file(files[f]);
        ledger l;
        vit_error error;
        vit_options options = counted(&l);
        if (!CHECK_STATUS(VIT_OK, use_everything(&options, &file, &error)))
            printf("  %s: %s\n", files[f], error.text);
        CHECK(l.live == 0);
        int calls = l.calls;
        for (int n = 1; n <= calls; n++) {
            options = counted(&l);
            l.fail_at = n;
            if (!CHECK_STATUS(VIT_ERR_OUT_OF_MEMORY, use_everything(&options, &file, &error)))
                printf("  %s, allocation %d: %s\n", files[f], n, error.text);
            CHECK(l.live == 0);
        }
        vit_buffer_release(&file);
    }
}

static void *decode_often(void *context) {
    ledger *l = context;
    vit_options options = counted(l);
    vit_error error;
    for (int i = 0; i < 40; i++)
        for (int f = 0; f < 4; f++) {
            vit_image image;
            if (vit_image_open(&image, files[(f + i) % FILES], &options, &error) != VIT_OK)
                l->fail_at = -1;
            vit_image_close(&image);
        }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[3];
    ledger ledgers[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, decode_often, &ledgers[i]) == 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        CHECK(ledgers[i].live == 0 && ledgers[i].fail_at == 0 && ledgers[i].calls > 100);
    }
}

/* ---- preprocessing ---- */

/* All tensors FILTER.WxH of a case. */
static void test_resize(void) {
    static const char *const filters[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    vit_options options = vit_default_options();
    vit_buffer file = read_file("tests/golden/preprocess/resize_synth1/expected.safetensors");
    vit_container header;
    vit_error error;
    vit_image image;
    uint64_t need;
    CHECK_STATUS(VIT_OK, vit_image_open(&image, "tests/golden/preprocess/resize_synth1/input.png", NULL, &error));
    if (!CHECK_STATUS(VIT_OK, vit_container_parse(&header, "expected", file.data, file.size, file.size, &need,
                                                  &options.limits, &options.allocator, &error)))
        return;
    for (int t = 0; t < header.tensor_count; t++) {
        const vit_tensor_info *tensor = &header.tensors[t];
        int filter = 0, height = (int)tensor->shape[0], width = (int)tensor->shape[1];
        while (strncmp(tensor->name, filters[filter], strlen(filters[filter])) != 0)
            filter++;
        uint8_t *out = malloc(tensor->bytes);
        CHECK_STATUS(VIT_OK, vit_resize_u8(image.rgb, image.width, image.height, (vit_filter)filter, width, height, out,
                                           &options.allocator, &error));
        if (!CHECK(memcmp(out, file.data + tensor->offset, tensor->bytes) == 0))
            printf("  %s\n", tensor->name);
        free(out);
    }
    vit_container_release(&header);
    vit_buffer_release(&file);
    vit_image_close(&image);
}

/* A window of a resized picture is that part of the whole: both orders of passes, all filters. */
static void test_resize_window(void) {
    enum { WIDTH = 31, HEIGHT = 90 };
    static uint8_t rgb[HEIGHT * WIDTH * 3], whole[80 * 80 * 3], part[20 * 20 * 3];
    vit_options options = vit_default_options();
    vit_error error;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i % 251);
    for (int filter = VIT_FILTER_NEAREST; filter < VIT_FILTER_TF_BILINEAR; filter++)
        for (int size = 0; size < 3; size++) {
            vit_resize_window w = {(int[]){17, 70, 31}[size], (int[]){75, 40, 20}[size], 3, 7, 11, 9};
            CHECK_STATUS(VIT_OK, vit_resize_u8(rgb, WIDTH, HEIGHT, (vit_filter)filter, w.width, w.height, whole,
                                               &options.allocator, &error));
            CHECK_STATUS(VIT_OK, vit_resize_u8_window(rgb, WIDTH, HEIGHT, (vit_filter)filter, &w, part, 60,
                                                      &options.allocator, &error));
            int wrong = 0;
            for (int y = 0; y < w.rows; y++)
                wrong +=
                    memcmp(part + 60 * y, whole + 3 * ((w.top + y) * w.width + w.left), 3 * (size_t)w.columns) != 0;
            CHECK(wrong == 0);
        }
    vit_resize_window outside = {10, 10, 5, 5, 6, 5};
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_resize_u8_window(rgb, WIDTH, HEIGHT, VIT_FILTER_BOX, &outside, part, 60,
                                                        &options.allocator, &error));
}

/* Rows [in_h, in_w, size, out_h, out_w] of torchvision's Resize(size). */
static void test_short_side(void) {
    vit_options options = vit_default_options();
    vit_buffer text = read_file("tests/golden/preprocess/resize_short_side/table.json");
    vit_json_document table;
    vit_error error;
    if (!CHECK_STATUS(VIT_OK,
                      vit_json_parse(&table, "table.json", text.data, text.size, &options.limits, &options.allocator, &error)))
        return;
    for (const vit_json *row = vit_json_get(table.root, "rows")->child; row; row = row->next) {
        int v[5], count = 0;
        for (const vit_json *value = row->child; value && count < 5; value = value->next)
            v[count++] = (int)value->number;
        vit_preprocess rules = {.crop_pct = 1};
        vit_placement place;
        CHECK_STATUS(VIT_OK, vit_place(&place, v[1], v[0], &rules, v[2], v[2], &error));
        CHECK(place.window.height == v[3] && place.window.width == v[4]);
    }
    vit_json_release(&table);
    vit_buffer_release(&text);
}

/* The longest and thinnest pictures cost no more than what is made of them. */
static void test_extreme_sizes(void) {
    static uint8_t line[65535 * 3];
    static float out[224 * 224 * 3];
    static const int sizes[][2] = {{65535, 1}, {1, 65535}, {1, 1}, {2, 32767}, {65535, 1}};
    ledger l;
    vit_options options = counted(&l);
    vit_error error;
    for (size_t i = 0; i < sizeof line; i++)
        line[i] = (uint8_t)(i * 7);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int crop = VIT_CROP_CENTER; crop <= VIT_CROP_SQUASH_FLOOR; crop++)
            for (int filter = VIT_FILTER_NEAREST; filter <= VIT_FILTER_TF_BILINEAR; filter++) {
                vit_image image = {.width = sizes[s][0], .height = sizes[s][1], .rgb = line};
                vit_preprocess rules = {.mean = {0.5f, 0.5f, 0.5f},
                                        .std = {0.5f, 0.5f, 0.5f},
                                        .filter = (vit_filter)filter,
                                        .crop = (vit_crop)crop,
                                        .crop_pct = 0.9};
                CHECK_STATUS(VIT_OK, vit_image_preprocess(&image, &rules, 224, 224, out, &options, &error));
                int wrong = 0;
                for (size_t i = 0; i < 224 * 224 * 3; i++)
                    wrong += !(out[i] >= -1 && out[i] <= 1.01f);
                CHECK(wrong == 0);
                CHECK(l.live == 0);
            }
    CHECK(l.peak < 8u << 20);
    vit_image image = {.width = 65535, .height = 1, .rgb = line};
    vit_preprocess rules = {.std = {1, 1, 1}, .crop_pct = 0.001};
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_preprocess(&image, &rules, 224, 224, out, &options, &error));
    rules.crop_pct = 0;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_image_preprocess(&image, &rules, 224, 224, out, &options, &error));
    rules.crop_pct = NAN;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_image_preprocess(&image, &rules, 224, 224, out, &options, &error));
    rules.crop_pct = 1;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_image_preprocess(&image, &rules, 0, 224, out, &options, &error));
}

/* A JPEG of 15 x 8 pixels, 4:2:2: grey but for a slope of blue, a cosine over eight samples that stand for two pixels each. */
static void test_doubled_samples(void) {
    enum { WIDTH = 15, SAMPLES = 8, STEP = 6, LEVEL = 100 };
    static const uint8_t tables[] = {0xff, 0xc4, 0, 20, 0x00, 1, [4 + 17] = 0,            /* DC: no difference */
                                     0xff, 0xc4, 0, 21, 0x10, 1, 1, [22 + 5 + 16] = 0, 7}; /* AC: the end; one of 7 bits */
    static const uint8_t frame[] = {0xff, 0xc0, 0, 17, 8, 0, 8, 0, WIDTH, 3, 1, 0x21, 0, 2, 0x11, 0, 3, 0x11, 0};
    static const uint8_t scan[] = {0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0};
    static const uint8_t codes[] = {0x05, 0x90, 0x7f, 0xff, 0xd9}; /* 0 0 0 0, 0 10 1100100 0, 0 0 */
    uint8_t file[300] = {0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
    size_t bytes = 7;
    memset(file + bytes, STEP, 64);
    bytes += 64;
    memcpy(file + bytes, tables, sizeof tables);
    bytes += sizeof tables;
    memcpy(file + bytes, frame, sizeof frame);
    bytes += sizeof frame;
    memcpy(file + bytes, scan, sizeof scan);
    bytes += sizeof scan;
    memcpy(file + bytes, codes, sizeof codes);
    bytes += sizeof codes;
    vit_image image;
    vit_error error;
    if (!CHECK_STATUS(VIT_OK, vit_image_decode(&image, "slope.jpg", file, bytes, NULL, &error))) {
        puts(error.text);
        return;
    }
    double blue[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        blue[i] = sqrt(0.5) / 4 * STEP * LEVEL * cos((2 * i + 1) * acos(-1) / 16);
    for (int x = 0; x < WIDTH; x++) {
        const int i = x / 2, beside = x % 2 ? i + 1 : i - 1;
        const double cb = beside < 0 || beside == SAMPLES ? blue[i] : 0.75 * blue[i] + 0.25 * blue[beside];
        const double expected = fmin(fmax(128 + 1.772 * cb, 0), 255);
        CHECK_CLOSE(image.rgb[3 * x + 2], expected, 3);
    }
    vit_image_close(&image);
}

/* A progressive JPEG of 400 x 400 pixels whose coefficients are refined again and again, with hardly a byte for each time. */
static vit_status decode_refined(int times, vit_error *error) {
    static const uint8_t frame[] = {0xff, 0xd8, 0xff, 0xc2, 0, 11, 8, 400 >> 8, 400 & 255, 400 >> 8, 400 & 255, 1, 1, 0x11, 0};
    static const uint8_t codes[][22] = {{0xff, 0xc4, 0, 20, 0x00, 1, [21] = 0}, {0xff, 0xc4, 0, 20, 0x10, 1, [21] = 0xe0}};
    static const uint8_t scans[][10] = {{0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0x00}, {0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0x01},
                                        {0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0x10}};
    enum { DC_BYTES = 320, AC_BYTES = 16, ROOM = 65536 };
    static uint8_t file[ROOM];
    size_t at = 0;
    memset(file, 0, sizeof file);
    memcpy(file, frame, at = sizeof frame);
    memcpy(file + at, (uint8_t[]){0xff, 0xdb, 0, 67, 0}, 5);
    memset(file + at + 5, 1, 64);
    at += 69;
    for (int i = 0; i < 2; i++, at += sizeof codes[0])
        memcpy(file + at, codes[i], sizeof codes[0]);
    for (int i = 0; i < 2 + times; i++) {
        memcpy(file + at, scans[i < 2 ? i : 2], sizeof scans[0]);
        at += sizeof scans[0] + (i ? AC_BYTES : DC_BYTES);
    }
    memcpy(file + at, (uint8_t[]){0xff, 0xd9}, 2);
    vit_options options = vit_default_options();
    options.limits.image_pixels = 400 * 400;
    return decode_copy(file, at + 2, &options, error);
}

static void test_refined_again(void) {
    vit_error error;
    CHECK_STATUS(VIT_OK, decode_refined(20, &error));
    CHECK_STATUS(VIT_ERR_LIMIT, decode_refined(460, &error));
    CHECK(strstr(error.text, "(limit image_pixels)"));
}

TEST_MAIN(TEST(test_malformed), TEST(test_named_formats), TEST(test_doubled_samples), TEST(test_refined_again), TEST(test_long_exif), TEST(test_hostile_tables), TEST(test_limits), TEST(test_exif), TEST(test_orientation),
          TEST(test_exif_in_png), TEST(test_truncated), TEST(test_mutated), TEST(test_incomplete_scans),
          TEST(test_out_of_memory), TEST(test_threads), TEST(test_resize), TEST(test_resize_window),
          TEST(test_short_side), TEST(test_extreme_sizes))
