/* Writing PNG: 8-bit RGB, the row filter that leaves least, LZ77 with one candidate a place, fixed Huffman codes. */
#include "check.h"
#include "image.h"

#include "../base/file.h"

#include <stdlib.h>
#include <string.h>

/* ---- Deflate (RFC 1951) ---- */

enum { WINDOW = 32768, SHORTEST = 3, LONGEST = 258, HASHES = 1 << 15 };

struct deflater {
    vit_buffer *out;
    uint32_t bits;    /* not yet written, the next one lowest */
    int count;        /* of them */
};

/* There is room: the buffer was reserved for the worst case. */
static void put_byte(vit_buffer *out, unsigned byte) {
    out->data[out->size++] = (unsigned char)byte;
}

static void put_bits(struct deflater *d, uint32_t value, int count) {
    d->bits |= value << d->count;
    for (d->count += count; d->count >= 8; d->count -= 8, d->bits >>= 8)
        put_byte(d->out, d->bits & 255);
}

/* Huffman codes begin with their highest bit. */
static void put_code(struct deflater *d, uint32_t code, int length) {
    uint32_t reversed = 0;
    for (int i = 0; i < length; i++)
        reversed |= (code >> i & 1) << (length - 1 - i);
    put_bits(d, reversed, length);
}

/* Literals 0..255, the end 256, lengths from 257 on. */
static void put_symbol(struct deflater *d, int symbol) {
    if (symbol < 144)
        put_code(d, 0x30u + (uint32_t)symbol, 8);
    else if (symbol < 256)
        put_code(d, 0x190u + (uint32_t)symbol - 144, 9);
    else if (symbol < 280)
        put_code(d, (uint32_t)symbol - 256, 7);
    else
        put_code(d, 0xc0u + (uint32_t)symbol - 280, 8);
}

/* Codes of lengths and distances: `each` of them for every number of extra bits, twice as many for none. Returns that of
 * a value, its extra bits and what they say. */
static int group_of(int value, int each, int *extra, int *rest) {
    int code = 0, begin = 0, bits = 0, left = 2 * each;
    for (;; code++) {
        if (left == 0) {
            bits++;
            left = each;
        }
        if (value < begin + (1 << bits))
            break;
        begin += 1 << bits;
        left--;
    }
    *extra = bits;
    *rest = value - begin;
    return code;
}

static void put_match(struct deflater *d, int length, int distance) {
    int extra = 0, rest = 0;
    if (length == LONGEST) { /* has a code of its own */
        put_symbol(d, 285);
    } else {
        put_symbol(d, 257 + group_of(length - SHORTEST, 4, &extra, &rest));
        put_bits(d, (uint32_t)rest, extra);
    }
    put_code(d, (uint32_t)group_of(distance - 1, 2, &extra, &rest), 5);
    put_bits(d, (uint32_t)rest, extra);
}

static int match_length(const unsigned char *a, const unsigned char *b, size_t most) {
    int length = 0, limit = most < LONGEST ? (int)most : LONGEST;
    while (length < limit && a[length] == b[length])
        length++;
    return length;
}

static size_t hash_of(const unsigned char *at) {
    return ((at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16) * 2654435761u) >> 17;
}

/* places [HASHES]: where three bytes were last seen, plus 1 */
static void deflate(vit_buffer *out, const unsigned char *data, size_t size, uint32_t *places) {
    struct deflater d = {.out = out};
    memset(places, 0, HASHES * sizeof *places);
    put_bits(&d, 1, 1); /* the last block */
    put_bits(&d, 1, 2); /* fixed codes */
    for (size_t at = 0; at < size;) {
        int length = 0;
        size_t seen = 0;
        if (size - at >= SHORTEST) {
            uint32_t *place = &places[hash_of(data + at)];
            seen = *place;
            *place = (uint32_t)at + 1;
            if (seen && at + 1 - seen <= WINDOW)
                length = match_length(data + seen - 1, data + at, size - at);
        }
        if (length >= SHORTEST) {
            put_match(&d, length, (int)(at + 1 - seen));
            for (size_t end = at++ + (size_t)length; at < end; at++)
                if (size - at >= SHORTEST)
                    places[hash_of(data + at)] = (uint32_t)at + 1;
        } else {
            put_symbol(&d, data[at++]);
        }
    }
    put_symbol(&d, 256);
    put_bits(&d, 0, 7); /* to the end of a byte */
}

/* ---- PNG ---- */

static void put_u32(vit_buffer *out, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        put_byte(out, value >> shift & 255);
}

static uint32_t adler32(const unsigned char *data, size_t size) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* Begins a chunk; its length is written by end_chunk. Returns where its kind stands. */
static size_t begin_chunk(vit_buffer *out, const char *kind) {
    put_u32(out, 0);
    for (int i = 0; i < 4; i++)
        put_byte(out, (unsigned char)kind[i]);
    return out->size - 4;
}

static void end_chunk(vit_buffer *out, size_t kind) {
    uint32_t length = (uint32_t)(out->size - kind - 4);
    for (int i = 0; i < 4; i++)
        out->data[kind - 4 + (size_t)i] = (unsigned char)(length >> (24 - 8 * i));
    put_u32(out, vit_png_crc(out->data + kind, out->size - kind));
}

static int paeth(int left, int up, int corner) {
    const int l = abs(up - corner), u = abs(left - corner), c = abs(left + up - 2 * corner);
    return l <= u && l <= c ? left : u <= c ? up : corner;
}

/* One row by a filter: 0 none, 1 left, 2 up, 4 Paeth; returns what it leaves. up: the row above, or NULL */
static long filter_row(int filter, const uint8_t *row, const uint8_t *up, size_t bytes, unsigned char *out) {
    long sum = 0;
    *out++ = (unsigned char)filter;
    for (size_t i = 0; i < bytes; i++) {
        const int left = i < 3 ? 0 : row[i - 3], above = up ? up[i] : 0, corner = up && i >= 3 ? up[i - 3] : 0;
        const int guess = filter == 0   ? 0
                          : filter == 1 ? left
                          : filter == 2 ? above
                                        : paeth(left, above, corner);
        out[i] = (unsigned char)(row[i] - guess);
        sum += out[i] < 128 ? out[i] : 256 - out[i];
    }
    return sum;
}

static void filter_rows(const vit_image *image, unsigned char *out) {
    static const int filters[] = {0, 1, 2, 4};
    const size_t bytes = (size_t)image->width * 3;
    for (int y = 0; y < image->height; y++, out += bytes + 1) {
        const uint8_t *row = image->rgb + (size_t)y * bytes, *up = y ? row - bytes : NULL;
        int best = 0;
        long least = filter_row(0, row, up, bytes, out);
        for (int f = 1; f < 4; f++) {
            long sum = filter_row(filters[f], row, up, bytes, out);
            if (sum < least) {
                least = sum;
                best = filters[f];
            }
        }
        filter_row(best, row, up, bytes, out);
    }
}

static void encode(vit_buffer *out, const vit_image *image, const unsigned char *rows, size_t size, uint32_t *places) {
    for (int i = 0; i < 8; i++)
        put_byte(out, "\x89PNG\r\n\x1a\n"[i] & 255u);
    size_t chunk = begin_chunk(out, "IHDR");
    put_u32(out, (uint32_t)image->width);
    put_u32(out, (uint32_t)image->height);
    for (int i = 0; i < 5; i++)
        put_byte(out, "\x08\x02\0\0\0"[i] & 255u); /* 8 bits, RGB */
    end_chunk(out, chunk);
    chunk = begin_chunk(out, "IDAT");
    put_byte(out, 0x78);
    put_byte(out, 0x01);
    deflate(out, rows, size, places);
    put_u32(out, adler32(rows, size));
    end_chunk(out, chunk);
    end_chunk(out, begin_chunk(out, "IEND"));
}

static vit_status encode_file(vit_buffer *out, unsigned char **rows, uint32_t **places, const vit_image *image,
                              const char *path, vit_error *error) {
    const size_t size = vit_size_mul(vit_size_add(vit_size_mul((size_t)image->width, 3), 1), (size_t)image->height);
    if (image->width < 1 || image->height < 1 || size > INT32_MAX / 2)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: a picture of %dx%d cannot be written", path, image->width,
                        image->height);
    VIT_TRY(vit_alloc_for((void **)rows, out->allocator, size, path, error));
    VIT_TRY(vit_alloc_for((void **)places, out->allocator, HASHES * sizeof **places, path, error));
    VIT_TRY(vit_buffer_reserve(out, size + size / 3 + 100, path, error)); /* at most 31 bits for three bytes */
    filter_rows(image, *rows);
    encode(out, image, *rows, size, *places);
    return VIT_OK;
}

vit_status vit_image_save(const vit_image *image, const char *path, const vit_options *options, vit_error *error) {
    const vit_allocator allocator = options ? options->allocator : vit_default_options().allocator;
    vit_buffer out = {.allocator = &allocator};
    unsigned char *rows = NULL;
    uint32_t *places = NULL;
    vit_writer writer;
    vit_status status = encode_file(&out, &rows, &places, image, path, error);
    if (status == VIT_OK)
        status = vit_writer_open(&writer, path, &allocator, error);
    if (status == VIT_OK) {
        status = vit_writer_write(&writer, out.data, out.size, error);
        if (status == VIT_OK)
            status = vit_writer_commit(&writer, error);
        vit_writer_cancel(&writer);
    }
    vit_buffer_release(&out);
    vit_release(&allocator, rows);
    vit_release(&allocator, places);
    return status;
}
