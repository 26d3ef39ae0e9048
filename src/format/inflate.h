/* DEFLATE (RFC 1951) unpacked piece by piece, and the CRC-32 of ZIP. */
#ifndef VIT_FORMAT_INFLATE_H
#define VIT_FORMAT_INFLATE_H

#include <stddef.h>
#include <stdint.h>

#define VIT_INFLATE_WINDOW 32768
#define VIT_INFLATE_FAST 10 /* bits of code that one look into a table decodes */

typedef struct vit_huffman {
    uint16_t fast[1 << VIT_INFLATE_FAST]; /* symbol * 16 + length of its code; 0: the code is longer, or none */
    uint16_t count[16], symbols[288];     /* codes of each length; symbols in the order of their codes */
} vit_huffman;

typedef struct vit_inflate {
    uint64_t bits;                /* not yet decoded, the next one lowest; */
    unsigned bit_count;           /* so many */
    int state, last;
    unsigned run, distance;       /* what is left of a stored block, or of a copy */
    unsigned lengths_wanted, literals, lengths_read;
    uint8_t lengths[320];         /* of codes: literals, then distances */
    vit_huffman literal, other;   /* other: of lengths, then of distances */
    uint64_t made;                /* bytes */
    size_t at;                    /* in window */
    unsigned char window[VIT_INFLATE_WINDOW]; /* the last that were made */
} vit_inflate;

typedef enum vit_inflate_status { VIT_INFLATE_INPUT, VIT_INFLATE_OUTPUT, VIT_INFLATE_END, VIT_INFLATE_BROKEN } vit_inflate_status;

void vit_inflate_begin(vit_inflate *z);
/* Decodes data [bytes], *used of it, until it wants more input, a piece of output is complete (call again), the stream
 * ends, or it is none. out [count]: what was made, inside z, valid until the next call. */
vit_inflate_status vit_inflate_run(vit_inflate *z, const unsigned char *data, size_t bytes, size_t *used,
                                   const unsigned char **out, size_t *count);

/* Tables for eight bytes at a time. */
typedef struct vit_crc {
    uint32_t table[8][256];
} vit_crc;
void vit_crc_begin(vit_crc *crc);
/* Goes on from the value of what came before; 0 at first. */
uint32_t vit_crc_add(const vit_crc *crc, uint32_t value, const unsigned char *data, size_t bytes);

#endif
