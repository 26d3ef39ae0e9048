#include "text_out.h"

#include <stdlib.h>

/* C0, DEL, and C1 in UTF-8 (C2 80 to C2 9F), which is shown by its code point: the second byte. */
static void put_text(FILE *out, const unsigned char *at) {
    for (; *at; at++) {
        int c1 = at[0] == 0xc2 && (at[1] & 0xe0) == 0x80;
        at += c1;
        if (c1 || *at < 0x20 || *at == 0x7f)
            fprintf(out, "\\x%02x", *at);
        else
            putc(*at, out);
    }
    putc('\n', out);
}

void vit_cli_line_list(FILE *out, const char *format, va_list arguments) {
    char *text;
    if (vasprintf(&text, format, arguments) < 0) {
        fputs("(out of memory)\n", out);
        return;
    }
    put_text(out, (const unsigned char *)text);
    free(text);
}

void vit_cli_line(FILE *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vit_cli_line_list(out, format, arguments);
    va_end(arguments);
}

int vit_cli_utf8(const unsigned char *text) {
    if (text[0] < 0x80)
        return 1;
    int length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    unsigned pair = (unsigned)text[0] << 8 | text[1];
    if ((pair >= 0xe000 && pair < 0xe0a0) || (pair >= 0xeda0 && pair < 0xee00) || (pair >= 0xf000 && pair < 0xf090) ||
        pair >= 0xf490)
        return 0;
    return length;
}
