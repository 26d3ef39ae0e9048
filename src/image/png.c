#include "check.h"
#include "image.h"

#include <string.h>

static uint32_t read32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint32_t vit_png_crc(const uint8_t *data, size_t bytes) {
    static const uint32_t half_byte[16] = { /* the polynomial 0xedb88320 divides */
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        crc = half_byte[crc & 15] ^ crc >> 4;
        crc = half_byte[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

typedef struct png_state {
    const char *name;
    vit_picture *picture;
    const vit_limits *limits;
    vit_error *error;
    int depth, color, interlaced;
    int has_header, has_palette, data_ended;
    uint64_t image_data; /* bytes of all IDAT chunks */
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
    VIT_TRY(vit_picture_size_check(s->name, s->picture->width, s->picture->height, s->limits, s->error));
    if (s->depth == 16 && (uint64_t)s->picture->width * s->picture->height > s->limits->image_pixels / 2)
        return vit_fail(s->error, VIT_ERR_LIMIT, "%s: %u x %u pixels of 16 bits, the limit is %llu such pixels (half of limit "
                        "image_pixels)", s->name, s->picture->width, s->picture->height,
                        (unsigned long long)s->limits->image_pixels / 2);
    return VIT_OK;
}

static vit_status read_chunk(png_state *s, const char *type, const uint8_t *data, size_t at, uint32_t length) {
    const uint8_t *chunk = data + at + 8;
    if (memcmp(type, "CgBI", 4) == 0)
        return vit_fail(s->error, VIT_ERR_UNSUPPORTED, "%s: is a PNG in Apple's CgBI variant, expected standard PNG",
                        s->name);
    if (memcmp(type, "IHDR", 4) == 0)
        return read_header(s, chunk, length);
    if (!s->has_header)
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: starts with a chunk %s, expected IHDR", s->name,
                        type);
    if (memcmp(type, "IDAT", 4) == 0 ? s->data_ended : s->image_data && memcmp(type, "PLTE", 4) == 0)
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: a chunk %s behind the image data", s->name, type);
    s->data_ended |= s->image_data && memcmp(type, "IDAT", 4) != 0;
    if (memcmp(type, "PLTE", 4) == 0) {
        if (s->has_palette)
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: a second palette", s->name);
        if (length == 0 || length > 768 || length % 3)
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: a palette of %u bytes, expected 3 to 768 in "
                            "threes", s->name, length);
        s->has_palette = 1;
        if (s->color == 3 && length / 3 < 1u << s->depth) {
            s->picture->palette_at = at;
            s->picture->palette_bytes = length;
        }
    } else if (memcmp(type, "IDAT", 4) == 0) {
        if (s->color == 3 && !s->has_palette)
            return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: no palette before the image data", s->name);
        s->image_data += length;
    } else if (memcmp(type, "eXIf", 4) == 0) {
        s->picture->orientation = vit_exif_orientation(chunk, length);
    } else if (!(type[0] & 0x20) && memcmp(type, "IEND", 4) != 0) {
        return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged PNG: unknown chunk %s", s->name, type);
    }
    return VIT_OK;
}

/* Bytes of the unpacked image data: each row of each pass has a filter byte. */
static uint64_t raw_bytes(const png_state *s) {
    static const uint8_t x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1};
    static const uint8_t dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
    uint64_t bits = (uint64_t)s->depth * (uint64_t)channels_of(s->color), total = 0;
    uint64_t width = s->picture->width, height = s->picture->height;
    if (!s->interlaced)
        return height * (1 + (width * bits + 7) / 8);
    for (int pass = 0; pass < 7; pass++) {
        uint64_t columns = (width + dx[pass] - 1 - x0[pass]) / dx[pass];
        uint64_t rows = (height + dy[pass] - 1 - y0[pass]) / dy[pass];
        if (columns && rows)
            total += rows * (1 + (columns * bits + 7) / 8);
    }
    return total;
}

vit_status vit_png_check(vit_picture *out, const char *name, const uint8_t *data, size_t bytes,
                         const vit_limits *limits, vit_error *error) {
    *out = (vit_picture){.orientation = 1};
    png_state s = {.name = name, .picture = out, .limits = limits, .error = error};
    size_t at = 8;
    char type[5] = "";
    while (memcmp(type, "IEND", 4) != 0) {
        if (bytes < at || bytes - at < 12)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the PNG ends after %zu bytes without its last chunk", name,
                            bytes);
        uint32_t length = read32(data + at);
        for (int i = 0; i < 4; i++) {
            uint8_t letter = data[at + 4 + (size_t)i];
            if (!((letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z')))
                return vit_fail(error, VIT_ERR_IMAGE, "%s: damaged PNG: no chunk at byte %zu", name, at);
            type[i] = (char)letter;
        }
        if (bytes - at - 12 < length)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the PNG ends after %zu bytes inside a chunk %s of %u bytes",
                            name, bytes, type, length);
        if (!(type[0] & 0x20) && vit_png_crc(data + at + 4, (size_t)length + 4) != read32(data + at + 8 + length))
            return vit_fail(error, VIT_ERR_IMAGE, "%s: damaged PNG: the checksum of the chunk %s at byte %zu is wrong",
                            name, type, at);
        VIT_TRY(read_chunk(&s, type, data, at, length));
        at += (size_t)length + 12;
    }
    uint64_t raw = raw_bytes(&s);
    if (s.image_data * 1032 < raw) /* deflate never packs tighter */
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: %llu bytes of image data cannot hold %u x %u pixels", name,
                        (unsigned long long)s.image_data, out->width, out->height);
    /* Twice the raw data, for files with something behind it; the file in one piece; RGBA of 16 bits. */
    uint64_t most = 2 * raw, pixels = (uint64_t)out->width * out->height * 8;
    most = most > pixels ? most : pixels;
    most = most > 2 * (uint64_t)bytes ? most : 2 * (uint64_t)bytes;
    most += 65536;
    out->most_bytes = most < SIZE_MAX ? (size_t)most : SIZE_MAX;
    return VIT_OK;
}
