/* Every step of the decoder reads its bits whole or not at all, so input may end anywhere and go on later. */
#include "inflate.h"

#include <string.h>

enum { BLOCK, STORED, CODES, LENGTHS, SYMBOLS, COPY, END };
enum { DONE, SHORT, BROKEN }; /* how a step ended; SHORT: for want of bits, and nothing was read */

/* ---- Huffman codes ---- */

static unsigned reversed(unsigned code, unsigned length) {
    unsigned out = 0;
    for (; length; length--, code >>= 1)
        out = out << 1 | (code & 1);
    return out;
}

/* 0 if lengths [count] are no prefix code. It may lack words only if it has one of one bit, or none at all. */
static int make_code(vit_huffman *h, const uint8_t *lengths, unsigned count) {
    unsigned next[16], place[16], code = 0, at = 0, used = 0;
    int left = 1;
    memset(h, 0, sizeof *h);
    for (unsigned i = 0; i < count; i++)
        h->count[lengths[i]]++;
    h->count[0] = 0;
    for (unsigned length = 1; length < 16; length++) {
        left = 2 * left - h->count[length];
        if (left < 0)
            return 0;
        code = (code + h->count[length - 1]) << 1;
        next[length] = code;
        place[length] = at;
        at += h->count[length];
        used += h->count[length];
    }
    if (left > 0 && !(used == 0 || (used == 1 && h->count[1] == 1)))
        return 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned length = lengths[i];
        if (!length)
            continue;
        h->symbols[place[length]++] = (uint16_t)i;
        code = reversed(next[length]++, length);
        if (length <= VIT_INFLATE_FAST)
            for (; code < 1 << VIT_INFLATE_FAST; code += 1u << length)
                h->fast[code] = (uint16_t)(i << 4 | length);
    }
    return 1;
}

/* Reading ahead of what is consumed. */
typedef struct reader {
    uint64_t bits;
    unsigned count;
} reader;

static int take(reader *r, unsigned count, unsigned *value) {
    if (r->count < count)
        return SHORT;
    *value = (unsigned)(r->bits & ((1u << count) - 1));
    r->bits >>= count;
    r->count -= count;
    return DONE;
}

static int decode(reader *r, const vit_huffman *h, unsigned *symbol) {
    unsigned entry = h->fast[r->bits & ((1 << VIT_INFLATE_FAST) - 1)], length = entry & 15, ignored;
    *symbol = entry >> 4;
    if (length)
        return take(r, length, &ignored);
    int code = 0, first = 0, index = 0;
    for (length = 1; length < 16 && length <= r->count; length++) {
        code |= (int)(r->bits >> (length - 1) & 1);
        int count = h->count[length];
        if (code - count < first) {
            *symbol = h->symbols[index + code - first];
            return take(r, length, &ignored);
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return length == 16 ? BROKEN : SHORT;
}

/* ---- Steps ---- */

static int begin_block(vit_inflate *z, reader *r) {
    unsigned header, stored[2], literals, distances, lengths;
    if (take(r, 3, &header))
        return SHORT;
    z->last = header & 1;
    switch (header >> 1) {
    case 0:
        take(r, r->count & 7, &header);
        if (r->count < 32)
            return SHORT;
        take(r, 16, &stored[0]);
        take(r, 16, &stored[1]);
        z->run = stored[0];
        z->state = STORED;
        return stored[0] == (~stored[1] & 0xffff) ? DONE : BROKEN;
    case 1:
        memset(z->lengths, 8, 288);
        memset(z->lengths + 144, 9, 112);
        memset(z->lengths + 256, 7, 24);
        memset(z->lengths + 288, 5, 32);
        z->state = SYMBOLS;
        make_code(&z->literal, z->lengths, 288);
        make_code(&z->other, z->lengths + 288, 32);
        return DONE;
    case 2:
        if (take(r, 5, &literals) || take(r, 5, &distances) || take(r, 4, &lengths))
            return SHORT;
        z->literals = literals + 257;
        z->lengths_wanted = z->literals + distances + 1;
        z->run = lengths + 4;
        z->lengths_read = 0;
        memset(z->lengths, 0, sizeof z->lengths);
        z->state = CODES;
        return z->literals <= 286 && distances < 30 ? DONE : BROKEN;
    }
    return BROKEN;
}

/* The next length of a code of lengths. */
static int read_code(vit_inflate *z, reader *r) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned length;
    if (take(r, 3, &length))
        return SHORT;
    z->lengths[order[z->lengths_read++]] = (uint8_t)length;
    if (z->lengths_read < z->run)
        return DONE;
    z->state = LENGTHS;
    z->lengths_read = 0;
    int good = make_code(&z->other, z->lengths, 19);
    memset(z->lengths, 0, sizeof z->lengths);
    return good ? DONE : BROKEN;
}

/* The next length of a literal's or distance's code, or several. */
static int read_length(vit_inflate *z, reader *r) {
    unsigned symbol, times = 0, value = 0;
    int status = decode(r, &z->other, &symbol);
    if (status)
        return status;
    if (symbol < 16) {
        value = symbol;
        times = 1;
    } else {
        if (take(r, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &times))
            return SHORT;
        times += symbol == 18 ? 11 : 3;
        if (symbol == 16 && !z->lengths_read)
            return BROKEN;
        if (symbol == 16)
            value = z->lengths[z->lengths_read - 1];
    }
    if (times > z->lengths_wanted - z->lengths_read)
        return BROKEN;
    memset(z->lengths + z->lengths_read, (int)value, times);
    z->lengths_read += times;
    if (z->lengths_read < z->lengths_wanted)
        return DONE;
    z->state = SYMBOLS;
    return z->lengths[256] && make_code(&z->literal, z->lengths, z->literals) &&
                   make_code(&z->other, z->lengths + z->literals, z->lengths_wanted - z->literals)
               ? DONE
               : BROKEN;
}

/* The next literal, copy, or end of the block. */
static int read_symbol(vit_inflate *z, reader *r) {
    static const uint16_t lengths[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    unsigned symbol, extra, more;
    int status = decode(r, &z->literal, &symbol);
    if (status)
        return status;
    if (symbol < 256) {
        z->window[z->at++] = (unsigned char)symbol;
        z->made++;
        return DONE;
    }
    if (symbol == 256) {
        z->state = z->last ? END : BLOCK;
        return DONE;
    }
    if (symbol > 285)
        return BROKEN;
    symbol -= 257;
    extra = symbol < 8 || symbol == 28 ? 0 : symbol / 4 - 1;
    if (take(r, extra, &more))
        return SHORT;
    const unsigned length = lengths[symbol] + more;
    if ((status = decode(r, &z->other, &symbol)))
        return status;
    if (symbol > 29) /* words without a meaning */
        return BROKEN;
    extra = symbol < 4 ? 0 : symbol / 2 - 1;
    if (take(r, extra, &more))
        return SHORT;
    z->distance = (symbol < 4 ? symbol : (2 + (symbol & 1)) << extra) + more + 1;
    z->run = length;
    z->state = COPY;
    return z->distance <= z->made ? DONE : BROKEN;
}

/* As much of a copy as the window has room for. */
static void copy(vit_inflate *z) {
    size_t from = (z->at - z->distance) & (VIT_INFLATE_WINDOW - 1);
    for (; z->run && z->at < VIT_INFLATE_WINDOW; z->run--, z->made++) {
        z->window[z->at++] = z->window[from];
        from = (from + 1) & (VIT_INFLATE_WINDOW - 1);
    }
    if (!z->run)
        z->state = SYMBOLS;
}

static int store(vit_inflate *z, reader *r) {
    unsigned byte;
    if (z->run) {
        if (take(r, 8, &byte))
            return SHORT;
        z->window[z->at++] = (unsigned char)byte;
        z->made++;
        z->run--;
    }
    if (!z->run)
        z->state = z->last ? END : BLOCK;
    return DONE;
}

static int step(vit_inflate *z, reader *r) {
    switch (z->state) {
    case BLOCK:
        return begin_block(z, r);
    case STORED:
        return store(z, r);
    case CODES:
        return read_code(z, r);
    case LENGTHS:
        return read_length(z, r);
    case SYMBOLS:
        return read_symbol(z, r);
    default:
        copy(z);
        return DONE;
    }
}

void vit_inflate_begin(vit_inflate *z) {
    memset(z, 0, offsetof(vit_inflate, window));
}

vit_inflate_status vit_inflate_run(vit_inflate *z, const unsigned char *data, size_t bytes, size_t *used,
                                   const unsigned char **out, size_t *count) {
    if (z->at == VIT_INFLATE_WINDOW)
        z->at = 0;
    const size_t begin = z->at;
    vit_inflate_status status = VIT_INFLATE_OUTPUT;
    *used = 0;
    while (z->at < VIT_INFLATE_WINDOW) {
        if (z->state == END) {
            status = VIT_INFLATE_END;
            break;
        }
        while (z->bit_count <= 56 && *used < bytes) {
            z->bits |= (uint64_t)data[(*used)++] << z->bit_count;
            z->bit_count += 8;
        }
        reader r = {z->bits, z->bit_count};
        int end = step(z, &r);
        if (end != DONE) {
            status = end == SHORT ? VIT_INFLATE_INPUT : VIT_INFLATE_BROKEN;
            break;
        }
        z->bits = r.bits;
        z->bit_count = r.count;
    }
    *out = z->window + begin;
    *count = z->at - begin;
    return status;
}

/* ---- CRC-32 ---- */

void vit_crc_begin(vit_crc *crc) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
        crc->table[0][i] = value;
    }
    for (int i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc->table[t][i] = crc->table[t - 1][i] >> 8 ^ crc->table[0][crc->table[t - 1][i] & 255];
}

uint32_t vit_crc_add(const vit_crc *crc, uint32_t value, const unsigned char *data, size_t bytes) {
    value = ~value;
    for (; bytes >= 8; data += 8, bytes -= 8) {
        value ^= data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        value = crc->table[7][value & 255] ^ crc->table[6][value >> 8 & 255] ^ crc->table[5][value >> 16 & 255] ^
                crc->table[4][value >> 24] ^ crc->table[3][data[4]] ^ crc->table[2][data[5]] ^ crc->table[1][data[6]] ^
                crc->table[0][data[7]];
    }
    for (; bytes; bytes--)
        value = value >> 8 ^ crc->table[0][(value ^ *data++) & 255];
    return ~value;
}
