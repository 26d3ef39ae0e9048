#include "text_out.h"

#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int vit_cli_flush(void) {
    static int has_failed;
    errno = 0;
    if (!has_failed && (fflush(stdout) != 0 || ferror(stdout))) {
        has_failed = 1;
        if (errno)
            vit_cli_complain("cannot write to standard output: %s", strerror(errno));
        else
            vit_cli_complain("cannot write to standard output");
    }
    return !has_failed;
}
