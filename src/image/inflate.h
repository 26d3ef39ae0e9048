/* zlib streams, as PNG has them. */
#ifndef VIT_IMAGE_INFLATE_H
#define VIT_IMAGE_INFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Unpacks as much as there is room for; *made: how much that is. 0: the stream is damaged, or ends too early. Its checksum
 * is not looked at. */
int vit_inflate(const uint8_t *data, size_t bytes, uint8_t *out, size_t room, size_t *made);

#endif
