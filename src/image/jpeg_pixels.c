/* Sums of hostile coefficients overflow here: compiled with -fwrapv. The arithmetic is that of stb_image 2.30, to the bit. */
#include "jpeg_pixels.h"

#include <string.h>

/* ---- Bits ---- */

typedef struct reader {
    const uint8_t *at, *end;
    uint32_t bits; /* the next ones, from the top */
    int count;
    int end_of_band; /* blocks that have nothing more in this band, progressive */
} reader;

/* At least 25 bits; after the last byte before a marker come zeros. */
static void fill(reader *r) {
    for (; r->count <= 24; r->count += 8) {
        uint32_t byte = 0;
        if (r->at < r->end) {
            byte = *r->at++;
            if (byte == 0xff && r->at < r->end && *r->at == 0) {
                r->at++; /* a stuffed zero */
            } else if (byte == 0xff) {
                r->end = --r->at;
                byte = 0;
            }
        }
        r->bits |= byte << (24 - r->count);
    }
}

static int take(reader *r, int count) {
    if (!count)
        return 0;
    if (r->count < count)
        fill(r);
    int value = (int)(r->bits >> (32 - count));
    r->bits <<= count;
    r->count -= count;
    return value;
}

/* -1 where there is no such code. */
static int take_symbol(reader *r, const vit_huffman *code) {
    int symbol;
    if (r->count < 16)
        fill(r);
    int length = vit_huffman_find(code, r->bits >> 16, &symbol);
    r->bits <<= length;
    r->count -= length;
    return length ? symbol : -1;
}

/* A number of so many bits: its first bit is its sign. */
static int take_signed(reader *r, int count) {
    int value = take(r, count);
    return count && value < 1 << (count - 1) ? value - (1 << count) + 1 : value;
}

/* ---- Blocks ---- */

static const uint8_t zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* Runs may lead past the end. */
int vit_jpeg_place(int i) {
    return zigzag[i < 63 ? i : 63];
}

static int take_dc(reader *r, const vit_huffman *code, vit_jpeg_component *c) {
    int bits = take_symbol(r, code);
    if (bits < 0 || bits > 15)
        return 0;
    c->dc += take_signed(r, bits);
    return 1;
}

static int take_block(reader *r, const vit_huffman *dc, const vit_huffman *ac, vit_jpeg_component *c,
                      const uint16_t *quantizer, int16_t *block) {
    memset(block, 0, 64 * sizeof *block);
    if (!take_dc(r, dc, c))
        return 0;
    block[0] = (int16_t)(c->dc * quantizer[0]);
    for (int k = 1; k < 64; k++) {
        int symbol = take_symbol(r, ac), bits = symbol & 15;
        if (symbol < 0)
            return 0;
        if (!bits && symbol != 0xf0)
            break;
        k += symbol >> 4;
        if (bits) {
            int place = vit_jpeg_place(k);
            block[place] = (int16_t)(take_signed(r, bits) * quantizer[place]);
        }
    }
    return 1;
}

static int take_first_band(reader *r, const vit_huffman *ac, const vit_jpeg_scan *scan, int16_t *block) {
    if (r->end_of_band) {
        r->end_of_band--;
        return 1;
    }
    for (int k = scan->first; k <= scan->last; k++) {
        int symbol = take_symbol(r, ac), bits = symbol & 15, run = symbol >> 4;
        if (symbol < 0)
            return 0;
        if (!bits && run < 15) {
            r->end_of_band = (1 << run) + take(r, run) - 1;
            break;
        }
        k += run;
        if (bits)
            block[vit_jpeg_place(k)] = (int16_t)(take_signed(r, bits) * (1 << scan->low));
    }
    return 1;
}

/* One more bit of a coefficient that is not zero. */
static void refine(reader *r, int16_t *value, int bit) {
    if (take(r, 1) && !(*value & bit))
        *value = (int16_t)(*value > 0 ? *value + bit : *value - bit);
}

static int take_next_band(reader *r, const vit_huffman *ac, const vit_jpeg_scan *scan, int16_t *block) {
    int bit = 1 << scan->low, k = scan->first;
    while (k <= scan->last) {
        int run = 64, value = 0;
        if (!r->end_of_band) {
            int symbol = take_symbol(r, ac), bits = symbol & 15;
            run = symbol >> 4;
            if (symbol < 0 || bits > 1)
                return 0;
            if (bits) {
                value = take(r, 1) ? bit : -bit;
            } else if (run < 15) {
                r->end_of_band = (1 << run) + take(r, run);
                run = 64;
            }
        }
        while (k <= scan->last) {
            int16_t *coefficient = &block[zigzag[k++]];
            if (*coefficient) {
                refine(r, coefficient, bit);
            } else if (run-- == 0) {
                *coefficient = (int16_t)value;
                break;
            }
        }
    }
    r->end_of_band -= r->end_of_band > 0;
    return 1;
}

/* ---- The inverse cosine transform, after libjpeg's jidctint ---- */

#define FIXED(x) ((int)((x) * 4096 + 0.5))

/* Eight values a step apart: the even half into x, the odd half into t. */
static void transform(const int *in, int step, int x[4], int t[4]) {
    int p2 = in[2 * step], p3 = in[6 * step], p1 = (p2 + p3) * FIXED(0.5411961f);
    int t2 = p1 + p3 * FIXED(-1.847759065f), t3 = p1 + p2 * FIXED(0.765366865f);
    int t0 = (in[0] + in[4 * step]) * 4096, t1 = (in[0] - in[4 * step]) * 4096;
    x[0] = t0 + t3;
    x[1] = t1 + t2;
    x[2] = t1 - t2;
    x[3] = t0 - t3;
    t0 = in[7 * step], t1 = in[5 * step], t2 = in[3 * step], t3 = in[step];
    p3 = t0 + t2;
    int p4 = t1 + t3, p5 = (p3 + p4) * FIXED(1.175875602f);
    p1 = p5 + (t0 + t3) * FIXED(-0.899976223f);
    p2 = p5 + (t1 + t2) * FIXED(-2.562915447f);
    p3 *= FIXED(-1.961570560f);
    p4 *= FIXED(-0.390180644f);
    t[0] = t3 * FIXED(1.501321110f) + p1 + p4;
    t[1] = t2 * FIXED(3.072711026f) + p2 + p3;
    t[2] = t1 * FIXED(2.053119869f) + p2 + p4;
    t[3] = t0 * FIXED(0.298631336f) + p1 + p3;
}

static uint8_t clamp(int value) {
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

static void inverse(const int16_t *block, uint8_t *out, size_t stride) {
    int in[64], x[4], t[4];
    for (int i = 0; i < 64; i++)
        in[i] = block[i];
    for (int i = 0; i < 8; i++) { /* columns, with two bits more of precision */
        transform(in + i, 8, x, t);
        for (int k = 0; k < 4; k++) {
            in[i + 8 * k] = (x[k] + 512 + t[k]) >> 10;
            in[i + 8 * (7 - k)] = (x[k] + 512 - t[k]) >> 10;
        }
    }
    for (int i = 0; i < 8; i++, out += stride) { /* rows; 128 is added */
        transform(in + 8 * i, 1, x, t);
        for (int k = 0; k < 4; k++) {
            int middle = x[k] + 65536 + (128 << 17);
            out[k] = clamp((middle + t[k]) >> 17);
            out[7 - k] = clamp((middle - t[k]) >> 17);
        }
    }
}

/* ---- Scans ---- */

vit_status vit_jpeg_begin(vit_jpeg_pixels *j, const vit_allocator *allocator, const char *what, vit_error *error) {
    for (int pass = 0; pass < 2; pass++) { /* measures, then takes */
        for (int i = 0; i < j->components; i++) {
            vit_jpeg_component *c = &j->component[i];
            c->width = (j->width * c->h + j->h_max - 1) / j->h_max;
            c->height = (j->height * c->v + j->v_max - 1) / j->v_max;
            c->columns = (j->width + 8 * j->h_max - 1) / (8 * j->h_max) * c->h;
            c->rows = (j->height + 8 * j->v_max - 1) / (8 * j->v_max) * c->v;
            size_t samples = vit_size_mul(64 * (size_t)c->columns, (size_t)c->rows);
            c->samples = vit_arena_take(&j->memory, samples);
            if (j->progressive)
                c->coefficients = vit_arena_take(&j->memory, vit_size_mul(samples, sizeof *c->coefficients));
        }
        if (pass == 0)
            VIT_TRY(vit_arena_commit(&j->memory, allocator, what, error));
    }
    memset(j->memory.base, 0, j->memory.size);
    return VIT_OK;
}

static uint8_t *samples_of(const vit_jpeg_component *c, int column, int row) {
    return c->samples + 8 * ((size_t)row * 8 * (size_t)c->columns + (size_t)column);
}

static int16_t *coefficients_of(const vit_jpeg_component *c, int column, int row) {
    return c->coefficients + 64 * ((size_t)row * (size_t)c->columns + (size_t)column);
}

static int decode_block(vit_jpeg_pixels *j, const vit_jpeg_scan *scan, int part, int column, int row, reader *r) {
    vit_jpeg_component *c = scan->part[part].component;
    const vit_huffman *dc = &j->code[0][scan->part[part].dc], *ac = &j->code[1][scan->part[part].ac];
    if (!j->progressive) {
        int16_t block[64];
        int good = take_block(r, dc, ac, c, j->quantizer[c->quantizer], block);
        inverse(block, samples_of(c, column, row), 8 * (size_t)c->columns);
        return good;
    }
    int16_t *block = coefficients_of(c, column, row);
    if (scan->first)
        return scan->high ? take_next_band(r, ac, scan, block) : take_first_band(r, ac, scan, block);
    if (scan->high) {
        block[0] = (int16_t)(block[0] + take(r, 1) * (1 << scan->low));
        return 1;
    }
    if (!take_dc(r, dc, c))
        return 0;
    block[0] = (int16_t)(c->dc * (1 << scan->low));
    return 1;
}

/* Behind the next restart marker. */
static void restart(vit_jpeg_pixels *j, reader *r, const uint8_t *end) {
    const uint8_t *at = r->at;
    while (at + 1 < end && !(at[0] == 0xff && at[1] && at[1] != 0xff))
        at++;
    *r = (reader){.at = at + 2 < end ? at + 2 : end, .end = end};
    for (int i = 0; i < j->components; i++)
        j->component[i].dc = 0;
}

int vit_jpeg_decode_scan(vit_jpeg_pixels *j, const vit_jpeg_scan *scan, const uint8_t *data, const uint8_t *end) {
    reader r = {.at = data, .end = end};
    uint32_t left = scan->restart_interval;
    for (int i = 0; i < j->components; i++)
        j->component[i].dc = 0;
    for (int down = 0; down < scan->units_down; down++)
        for (int across = 0; across < scan->units_across; across++) {
            if (scan->restart_interval && left-- == 0) {
                restart(j, &r, end);
                left = scan->restart_interval - 1;
            }
            for (int i = 0; i < scan->components; i++) {
                const vit_jpeg_component *c = scan->part[i].component;
                int h = scan->components > 1 ? c->h : 1, v = scan->components > 1 ? c->v : 1;
                for (int k = 0; k < h * v; k++)
                    if (!decode_block(j, scan, i, across * h + k % h, down * v + k / h, &r))
                        return 0;
            }
        }
    return 1;
}

/* ---- From planes to pixels ---- */

static void finish_blocks(vit_jpeg_pixels *j, vit_jpeg_component *c) {
    for (int row = 0; row < (c->height + 7) / 8; row++)
        for (int column = 0; column < (c->width + 7) / 8; column++) {
            int16_t *block = coefficients_of(c, column, row);
            for (int i = 0; i < 64; i++)
                block[i] = (int16_t)(block[i] * j->quantizer[c->quantizer][i]);
            inverse(block, samples_of(c, column, row), 8 * (size_t)c->columns);
        }
}

/* A row of the picture out of a component's rows: the one that it lies in, and the nearer neighbour of that. w: samples. */
static void widen(uint8_t *out, const uint8_t *near, const uint8_t *far, int w, int h, int v) {
    if (h == 2 && v == 1) {
        out[0] = near[0];
        out[2 * w - 1] = near[w - 1];
        for (int i = 1; i < w; i++) {
            out[2 * i - 1] = (uint8_t)((3 * near[i - 1] + near[i] + 2) >> 2);
            out[2 * i] = (uint8_t)(((i < w - 1 ? 3 * near[i] + near[i - 1] : 3 * near[i - 1] + near[i]) + 2) >> 2);
        }
    } else if (h == 2 && v == 2) {
        int left, here = 3 * near[0] + far[0];
        out[0] = (uint8_t)((here + 2) >> 2);
        for (int i = 1; i < w; i++) {
            left = here;
            here = 3 * near[i] + far[i];
            out[2 * i - 1] = (uint8_t)((3 * left + here + 8) >> 4);
            out[2 * i] = (uint8_t)((3 * here + left + 8) >> 4);
        }
        out[2 * w - 1] = (uint8_t)((here + 2) >> 2);
    } else if (h == 1 && v == 2) {
        for (int i = 0; i < w; i++)
            out[i] = (uint8_t)((3 * near[i] + far[i] + 2) >> 2);
    } else {
        for (int i = 0; i < w; i++)
            for (int k = 0; k < h; k++)
                *out++ = near[i];
    }
}

static uint8_t part_of_255(int x, int y) {
    int product = x * y + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

#define COLOR(x) (((int)((x) * 4096.0f + 0.5f)) << 8)

static void color_row(const vit_jpeg_pixels *j, uint8_t *const line[4], uint8_t *out) {
    const vit_jpeg_component *c = j->component;
    int is_rgb = j->components == 3 && ((c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B') ||
                                        (j->transform == 0 && !j->is_jfif));
    int is_cmyk = j->components == 4 && j->transform == 0, is_ycck = j->components == 4 && j->transform == 2;
    for (int i = 0; i < j->width; i++, out += 3) {
        if (j->components == 1 || is_rgb || is_cmyk) {
            for (int k = 0; k < 3; k++)
                out[k] = line[j->components == 1 ? 0 : k][i];
        } else {
            int y = (line[0][i] << 20) + (1 << 19), cb = line[1][i] - 128, cr = line[2][i] - 128;
            out[0] = clamp((y + cr * COLOR(1.40200f)) >> 20);
            out[1] = clamp((int)((uint32_t)(y - cr * COLOR(0.71414f)) + ((uint32_t)(cb * -COLOR(0.34414f)) & 0xffff0000)) >> 20);
            out[2] = clamp((y + cb * COLOR(1.77200f)) >> 20);
        }
        for (int k = 0; k < 3 && (is_cmyk || is_ycck); k++)
            out[k] = part_of_255(is_ycck ? 255 - out[k] : out[k], line[3][i]);
    }
}

void vit_jpeg_finish(vit_jpeg_pixels *j, uint8_t *rgb, uint8_t *line) {
    uint8_t *lines[4] = {line};
    for (int i = 0; i < j->components; i++) {
        lines[i] = line + (size_t)i * ((size_t)j->width + 3);
        if (j->progressive)
            finish_blocks(j, &j->component[i]);
    }
    for (int y = 0; y < j->height; y++) {
        for (int i = 0; i < j->components; i++) {
            const vit_jpeg_component *c = &j->component[i];
            int h = j->h_max / c->h, v = j->v_max / c->v, row = y / v, far = y % v < v / 2 ? row - 1 : row + 1;
            far = far < 0 ? 0 : far < c->height ? far : c->height - 1;
            size_t stride = 8 * (size_t)c->columns;
            widen(lines[i], c->samples + (size_t)row * stride, c->samples + (size_t)far * stride,
                  (j->width + h - 1) / h, h, v);
        }
        color_row(j, lines, rgb + 3 * (size_t)j->width * (size_t)y);
    }
}
