/* Prefix codes as JPEG and deflate define them: by how many codes there are of each length. */
#ifndef VIT_IMAGE_HUFFMAN_H
#define VIT_IMAGE_HUFFMAN_H

#include <stdint.h>

enum { VIT_HUFFMAN_FAST = 9 }; /* bits of the codes that are found at once */

typedef struct vit_huffman {
    uint16_t fast[1 << VIT_HUFFMAN_FAST]; /* length << 9 | symbol; 0 for longer codes */
    uint16_t symbols[288];
    uint32_t end[17]; /* [length]: the first 16 bits that begin no code of this length or a shorter one */
    int first[17];    /* [length]: what to add to a code for its place in symbols */
} vit_huffman;

/* counts[1..16]: codes of each length, 288 at most, whose symbols are in symbols already. 0: too many codes. */
int vit_huffman_build(vit_huffman *h, const int *counts);
/* The code that 16 bits, the first one highest, begin with: its length, and its symbol in *symbol. 0: there is none. */
int vit_huffman_find(const vit_huffman *h, uint32_t bits, int *symbol);

#endif
