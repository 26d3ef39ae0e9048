/* Text of files: UTF-8 checked, and made fit for an error message. */
#ifndef VIT_FORMAT_TEXT_H
#define VIT_FORMAT_TEXT_H

#include "../base/utf8.h"

#include <stdint.h>

/* 1 if the text is UTF-8 without U+0000: fit to be a NUL-terminated name. */
int vit_utf8_name(const void *text, size_t length);

/* How many of the first `most` bytes, up to a U+0000, are whole characters of UTF-8. */
size_t vit_utf8_prefix(const void *text, size_t most);

/* A hostile string for a message: at most 80 bytes, cut between characters, control characters and what is not UTF-8
 * as '?'. */
typedef struct vit_shown {
    char text[88];
} vit_shown;
vit_shown vit_show(const void *text, size_t length);

/* "[197,192]" */
typedef struct vit_shown_shape {
    char text[8 * 21 + 3];
} vit_shown_shape;
vit_shown_shape vit_show_shape(int rank, const int64_t *shape);

/* As few digits, 6 at least, as give the number back: as a float, where it is one. Whole numbers are written out. */
typedef struct vit_shown_number {
    char text[32];
} vit_shown_number;
vit_shown_number vit_show_number(double number);

#endif
