#include "check.h"
#include "image.h"
#include "inflate.h"

#include <string.h>

static uint32_t read32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t vit_png_crc(const uint8_t *data, size_t bytes) {
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] & 1 ? 0xedb88320 ^ table[i] >> 1 : table[i] >> 1;
    }
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++)
        crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
    return ~crc;
}

typedef struct png_state {
    const char *name;
    vit_picture *picture;
    const vit_limits *limits;
    vit_error *error;
    int depth, color, interlaced;
    int has_header;
    const uint8_t *palette;
    uint32_t colors; /* in it */
    uint64_t image_data; /* bytes of all IDAT chunks */
    uint8_t *packed; /* in the second walk, where they are put together */
} png_state;

/* Samples of a pixel; 0 for a colour type that does not exist. */
static int channels_of(int color) {
    static const int channels[] = {1, 0, 3, 1, 2, 0, 4};
    return color <= 6 ? channels[color] : 0;
}

static int depth_allowed(int color, int depth) {
    if (depth == 8)
        return 1;
    if (depth == 16)
        return color != 3;
    return (depth == 1 || depth == 2 || depth == 4) && (color == 0 || color == 3);
}

static vit_status read_header(png_state *s, const uint8_t *chunk, uint32_t length) {
    if (s->has_header || length != 13)
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: %s", s->name,
                        s->has_header ? "a second IHDR chunk" : "the IHDR chunk is not 13 bytes long");
    s->has_header = 1;
    s->picture->width = read32(chunk);
    s->picture->height = read32(chunk + 4);
    s->depth = chunk[8];
    s->color = chunk[9];
    s->interlaced = chunk[12];
    if (!channels_of(s->color) || !depth_allowed(s->color, s->depth))
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: colour type %d with bit depth %d does not exist",
                        s->name, s->color, s->depth);
    if (chunk[10] || chunk[11] || s->interlaced > 1)
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: compression %d, filter %d, interlace %d, expected "
                        "0, 0, and 0 or 1", s->name, chunk[10], chunk[11], s->interlaced);
    return vit_picture_size_check(s->name, s->picture->width, s->picture->height, s->limits, s->error);
}

static vit_status read_chunk(png_state *s, const char *type, const uint8_t *chunk, uint32_t length) {
    if (memcmp(type, "CgBI", 4) == 0)
        return vit_fail(s->error, VIT_ERR_UNSUPPORTED, "%s: is a PNG in Apple's CgBI variant, expected standard PNG",
                        s->name);
    if (memcmp(type, "IHDR", 4) == 0)
        return read_header(s, chunk, length);
    if (!s->has_header)
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: starts with a chunk %s, expected IHDR", s->name,
                        type);
    if (memcmp(type, "PLTE", 4) == 0) {
        if (length == 0 || length > 768 || length % 3)
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: a palette of %u bytes, expected 3 to 768 in "
                            "threes", s->name, length);
        s->palette = chunk;
        s->colors = length / 3;
    } else if (memcmp(type, "IDAT", 4) == 0) {
        if (s->color == 3 && !s->palette)
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: no palette before the image data", s->name);
        if (s->packed)
            memcpy(s->packed + s->image_data, chunk, length);
        s->image_data += length;
    } else if (memcmp(type, "eXIf", 4) == 0) {
        s->picture->orientation = vit_exif_orientation(chunk, length);
    } else if (!(type[0] & 0x20) && memcmp(type, "IEND", 4) != 0) {
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: unknown chunk %s", s->name, type);
    }
    return VIT_OK;
}

/* ---- From packed rows to pixels ---- */

/* The pixels of a pass: every dx-th from x0 on in every dy-th row from y0 on. */
typedef struct png_pass {
    uint32_t x0, y0, dx, dy, columns, rows;
    size_t row_bytes; /* without the filter byte */
} png_pass;

/* Pass 0 to 6 of an interlaced picture; of others, 6 is all. No rows where a pass is empty. */
static png_pass pass_of(const png_state *s, int index) {
    static const uint8_t passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                         {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    const uint8_t *p = passes[index];
    png_pass pass = {p[0], p[1], p[2], p[3], 0, 0, 0};
    uint32_t width = s->picture->width, height = s->picture->height;
    if (!s->interlaced)
        pass = (png_pass){0, 0, 1, 1, 0, 0, 0};
    if (!s->interlaced && index < 6)
        return pass;
    pass.columns = width > pass.x0 ? (width - pass.x0 + pass.dx - 1) / pass.dx : 0;
    pass.rows = pass.columns && height > pass.y0 ? (height - pass.y0 + pass.dy - 1) / pass.dy : 0;
    pass.row_bytes = (size_t)(((uint64_t)pass.columns * (uint64_t)(s->depth * channels_of(s->color)) + 7) / 8);
    return pass;
}

/* Bytes of the unpacked image data: each row of each pass has a filter byte. */
static uint64_t raw_bytes(const png_state *s) {
    uint64_t total = 0;
    for (int i = 0; i < 7; i++) {
        png_pass pass = pass_of(s, i);
        total += (uint64_t)pass.rows * (1 + (uint64_t)pass.row_bytes);
    }
    return total;
}

/* Paeth's: of left, above and above left, what is nearest to left + above - above left. */
static int nearest(int a, int b, int c) {
    int pa = b > c ? b - c : c - b, pb = a > c ? a - c : c - a, pc = a + b - 2 * c;
    pc = pc < 0 ? -pc : pc;
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

/* Undoes a row's filter. above: NULL for the first row. step: bytes of a pixel. */
static int unfilter(int filter, uint8_t *row, const uint8_t *above, size_t bytes, size_t step) {
    if (filter > 4)
        return 0;
    for (size_t i = 0; i < bytes && filter; i++) {
        int a = i < step ? 0 : row[i - step], b = above ? above[i] : 0, c = above && i >= step ? above[i - step] : 0;
        row[i] += (uint8_t)(filter == 1 ? a : filter == 2 ? b : filter == 3 ? (a + b) / 2 : nearest(a, b, c));
    }
    return 1;
}

/* Pixel x of a row as 8-bit RGB: alpha is dropped, of 16 bits the high ones count. */
static void put_pixel(const png_state *s, const uint8_t *row, size_t x, uint8_t *out) {
    size_t depth = (size_t)s->depth, channels = (size_t)channels_of(s->color), bit = x * depth * channels;
    const uint8_t *p = row + bit / 8;
    int value = *p, is_color = s->color == 2 || s->color == 6;
    if (depth < 8) {
        int most = (1 << depth) - 1;
        value = value >> (8 - depth - bit % 8) & most;
        if (s->color == 0)
            value *= 255 / most;
    }
    for (size_t k = 0; k < 3; k++)
        out[k] = s->color == 3 ? (uint32_t)value < s->colors ? s->palette[3 * value + (int)k] : 0
                 : is_color    ? p[k * depth / 8]
                               : (uint8_t)value;
}

static int put_pixels(const png_state *s, uint8_t *raw, uint8_t *rgb) {
    size_t step = (size_t)(s->depth * channels_of(s->color) + 7) / 8;
    for (int i = 0; i < 7; i++) {
        png_pass pass = pass_of(s, i);
        const uint8_t *above = NULL;
        for (uint32_t y = 0; y < pass.rows; y++, above = raw + 1, raw += 1 + pass.row_bytes) {
            uint8_t *out = rgb + 3 * ((size_t)(pass.y0 + y * pass.dy) * s->picture->width + pass.x0);
            if (!unfilter(raw[0], raw + 1, above, pass.row_bytes, step))
                return 0;
            for (uint32_t x = 0; x < pass.columns; x++, out += 3 * (size_t)pass.dx)
                put_pixel(s, raw + 1, x, out);
        }
    }
    return 1;
}

/* ---- The file ---- */

static vit_status walk(png_state *s, const uint8_t *data, size_t bytes) {
    size_t at = 8;
    char type[5] = "";
    s->image_data = 0;
    while (memcmp(type, "IEND", 4) != 0) {
        if (bytes < at || bytes - at < 12)
            return vit_fail(s->error, VIT_ERR_TRUNCATED, "%s: the PNG ends after %zu bytes without its last chunk", s->name,
                            bytes);
        uint32_t length = read32(data + at);
        for (int i = 0; i < 4; i++) {
            uint8_t letter = data[at + 4 + (size_t)i];
            if (!((letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z')))
                return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: no chunk at byte %zu", s->name, at);
            type[i] = (char)letter;
        }
        if (bytes - at - 12 < length)
            return vit_fail(s->error, VIT_ERR_TRUNCATED, "%s: the PNG ends after %zu bytes inside a chunk %s of %u bytes",
                            s->name, bytes, type, length);
        if (!s->packed && !(type[0] & 0x20) && vit_png_crc(data + at + 4, (size_t)length + 4) != read32(data + at + 8 + length))
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: the checksum of the chunk %s at byte %zu is wrong",
                            s->name, type, at);
        VIT_TRY(read_chunk(s, type, data + at + 8, length));
        at += (size_t)length + 12;
    }
    return VIT_OK;
}

vit_status vit_png_decode(uint8_t **rgb, vit_picture *picture, const char *name, const uint8_t *data, size_t bytes,
                          const vit_options *options, vit_error *error) {
    *picture = (vit_picture){.orientation = 1};
    png_state s = {.name = name, .picture = picture, .limits = &options->limits, .error = error};
    VIT_TRY(walk(&s, data, bytes));
    uint64_t raw = raw_bytes(&s);
    if (s.image_data * 1032 < raw) /* deflate never packs tighter */
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: %llu bytes of image data cannot hold %u x %u pixels", name,
                        (unsigned long long)s.image_data, picture->width, picture->height);
    uint8_t *unpacked;
    size_t made = 0, room = raw < SIZE_MAX ? (size_t)raw : SIZE_MAX, packed = (size_t)s.image_data;
    vit_arena arena = {0};
    for (int pass = 0; pass < 2; pass++) { /* measures, then takes */
        s.packed = vit_arena_take(&arena, packed);
        unpacked = vit_arena_take(&arena, room);
        if (pass == 0)
            VIT_TRY(vit_arena_commit(&arena, &options->allocator, name, error));
    }
    s.has_header = 0;
    vit_status status = walk(&s, data, bytes);
    int good = status == VIT_OK && vit_inflate(s.packed, packed, unpacked, room, &made);
    if (good && made < room)
        status = vit_fail(error, VIT_ERR_TRUNCATED, "%s: the PNG holds fewer pixels than its header says", name);
    size_t size = vit_size_mul(3, vit_size_mul(picture->width, picture->height));
    if (status == VIT_OK)
        status = vit_alloc_for((void **)rgb, &options->allocator, size, name, error);
    if (status == VIT_OK && (!good || !put_pixels(&s, unpacked, *rgb))) {
        vit_release(&options->allocator, *rgb);
        status = vit_fail(error, VIT_ERR_IMAGE, "%s: damaged PNG: its compressed data cannot be decoded", name);
    }
    vit_arena_release(&arena, &options->allocator);
    return status;
}
