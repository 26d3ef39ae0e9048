#include "inflate.h"

#include "huffman.h"

#include <string.h>

typedef struct stream {
    const uint8_t *at, *end;
    uint32_t bits; /* the next ones, from the bottom */
    int count, missing; /* bytes that were read behind the end */
    uint8_t *out;
    size_t made, room;
    vit_huffman literals, distances;
} stream;

static void fill(stream *s) {
    for (; s->count <= 24; s->count += 8) {
        if (s->at < s->end)
            s->bits |= (uint32_t)*s->at++ << s->count;
        else
            s->missing++;
    }
}

static int take(stream *s, int count) {
    if (s->count < count)
        fill(s);
    int value = (int)(s->bits & ((1u << count) - 1));
    s->bits >>= count;
    s->count -= count;
    return value;
}

/* -1 where there is no such code. Codes come with their first bit lowest. */
static int take_symbol(stream *s, const vit_huffman *code) {
    int symbol;
    if (s->count < 16)
        fill(s);
    uint32_t b = s->bits & 0xffff;
    b = (b & 0xaaaa) >> 1 | (b & 0x5555) << 1;
    b = (b & 0xcccc) >> 2 | (b & 0x3333) << 2;
    b = (b & 0xf0f0) >> 4 | (b & 0x0f0f) << 4;
    int length = vit_huffman_find(code, (b >> 8 | b << 8) & 0xffff, &symbol);
    s->bits >>= length;
    s->count -= length;
    return length && s->missing <= 4 ? symbol : -1;
}

static int build(vit_huffman *h, const uint8_t *lengths, int symbols) {
    int counts[17] = {0}, place[17] = {0};
    for (int i = 0; i < symbols; i++)
        counts[lengths[i]]++;
    counts[0] = 0;
    for (int length = 1; length < 16; length++)
        place[length + 1] = place[length] + counts[length];
    for (int i = 0; i < symbols; i++)
        if (lengths[i])
            h->symbols[place[lengths[i]]++] = (uint16_t)i;
    return vit_huffman_build(h, counts);
}

static int read_codes(stream *s) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[19] = {0}, all[286 + 32 + 138];
    int literals = take(s, 5) + 257, distances = take(s, 5) + 1, count = take(s, 4) + 4, total = literals + distances;
    for (int i = 0; i < count; i++)
        lengths[order[i]] = (uint8_t)take(s, 3);
    if (literals > 286 || !build(&s->literals, lengths, 19))
        return 0;
    for (int i = 0; i < total;) {
        int symbol = take_symbol(s, &s->literals);
        if (symbol < 0 || (symbol == 16 && !i))
            return 0;
        int repeat = symbol < 16 ? 1 : symbol == 16 ? 3 + take(s, 2) : symbol == 17 ? 3 + take(s, 3) : 11 + take(s, 7);
        memset(all + i, symbol < 16 ? symbol : symbol == 16 ? all[i - 1] : 0, (size_t)repeat);
        i += repeat;
        if (i > total)
            return 0;
    }
    return build(&s->literals, all, literals) && build(&s->distances, all + literals, distances);
}

static int fixed_codes(stream *s) {
    uint8_t lengths[288];
    memset(lengths, 8, 288);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    build(&s->literals, lengths, 288);
    memset(lengths, 5, 30);
    return build(&s->distances, lengths, 30);
}

static int unpack_block(stream *s) {
    while (s->made < s->room) {
        int symbol = take_symbol(s, &s->literals);
        if (symbol < 0 || symbol > 285)
            return 0;
        if (symbol == 256)
            break;
        if (symbol < 256) {
            s->out[s->made++] = (uint8_t)symbol;
            continue;
        }
        int i = symbol - 257, extra = i < 8 || i == 28 ? 0 : i / 4 - 1;
        size_t length = i == 28 ? 258 : i < 8 ? (size_t)i + 3 : (size_t)((4 + (i & 3)) << extra) + 3;
        length += (size_t)take(s, extra);
        int d = take_symbol(s, &s->distances);
        if (d < 0 || d > 29)
            return 0;
        extra = d < 4 ? 0 : d / 2 - 1;
        size_t distance = (size_t)(d < 4 ? d + 1 : ((2 + (d & 1)) << extra) + 1) + (size_t)take(s, extra);
        if (distance > s->made)
            return 0;
        for (; length && s->made < s->room; length--, s->made++)
            s->out[s->made] = s->out[s->made - distance];
    }
    return 1;
}

static int copy_block(stream *s) {
    take(s, s->count & 7);
    size_t length = (size_t)take(s, 16), check = (size_t)take(s, 16);
    s->at -= s->count / 8 - (s->missing < s->count / 8 ? s->missing : s->count / 8); /* what was read ahead */
    s->bits = 0;
    s->count = 0;
    if (length != (check ^ 0xffff) || length > (size_t)(s->end - s->at))
        return 0;
    size_t fits = length < s->room - s->made ? length : s->room - s->made;
    memcpy(s->out + s->made, s->at, fits);
    s->made += fits;
    s->at += length;
    return 1;
}

int vit_inflate(const uint8_t *data, size_t bytes, uint8_t *out, size_t room, size_t *made) {
    stream s = {.at = data + 2, .end = data + bytes, .out = out, .room = room};
    int good = bytes > 2 && (data[0] & 15) == 8 && !(data[1] & 32) && (data[0] << 8 | data[1]) % 31 == 0, last = 0;
    while (good && !last && s.made < room) {
        last = take(&s, 1);
        int type = take(&s, 2);
        if (type == 0)
            good = copy_block(&s);
        else
            good = type < 3 && (type == 1 ? fixed_codes(&s) : read_codes(&s)) && unpack_block(&s);
    }
    *made = s.made;
    return good;
}
