/* FNV-1a of 64 bits. */
#ifndef VIT_BASE_HASH_H
#define VIT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define VIT_HASH_BEGIN 0xcbf29ce484222325u

/* Goes on with more bytes from `hash`, which begins as VIT_HASH_BEGIN. */
static inline uint64_t vit_hash(uint64_t hash, const void *data, size_t bytes) {
    for (const unsigned char *at = (const unsigned char *)data, *end = at + bytes; at < end; at++)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

#endif
