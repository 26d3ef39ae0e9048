#include "huffman.h"

#include <string.h>

int vit_huffman_build(vit_huffman *h, const int *counts) {
    uint32_t code = 0;
    int place = 0;
    memset(h->fast, 0, sizeof h->fast);
    for (int length = 1; length <= 16; length++, code <<= 1) {
        int spare = VIT_HUFFMAN_FAST - length;
        h->first[length] = place - (int)code;
        for (int i = 0; i < counts[length]; i++, code++, place++)
            if (spare >= 0 && code < 1u << length)
                for (uint32_t k = 0; k < 1u << spare; k++)
                    h->fast[(code << spare) + k] = (uint16_t)(length << 9 | h->symbols[place]);
        if (code > 1u << length)
            return 0;
        h->end[length] = code << (16 - length);
    }
    return 1;
}

int vit_huffman_find(const vit_huffman *h, uint32_t bits, int *symbol) {
    int fast = h->fast[bits >> (16 - VIT_HUFFMAN_FAST)];
    *symbol = fast & 511;
    if (fast)
        return fast >> 9;
    for (int length = VIT_HUFFMAN_FAST + 1; length <= 16; length++)
        if (bits < h->end[length]) {
            *symbol = h->symbols[(int)(bits >> (16 - length)) + h->first[length]];
            return length;
        }
    return 0;
}
