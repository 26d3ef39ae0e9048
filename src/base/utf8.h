#ifndef VIT_BASE_UTF8_H
#define VIT_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the UTF-8 sequence that text begins with (1 to 4), 0 if there is none in `left` bytes: overlong forms,
 * surrogates and values over U+10FFFF are none (RFC 3629). Nothing behind a NUL is looked at. */
size_t vit_utf8_sequence(const unsigned char *text, size_t left);

#endif
