#include "json_out.h"

#include "../base/utf8.h"

#include <math.h>
#include <stdlib.h>

void vit_cli_json_string(FILE *out, const char *text) {
    if (!text) {
        fputs("null", out);
        return;
    }
    putc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        size_t length = vit_utf8_sequence(at, 4);
        if (length == 0) {
            fputs("\\ufffd", out);
            length = 1;
        } else if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at == '\n') {
            fputs("\\n", out);
        } else if (*at == '\t') {
            fputs("\\t", out);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(out, "\\u%04x", *at);
        } else if (*at == 0xc2 && at[1] < 0xa0) { /* C1: terminals obey it */
            fprintf(out, "\\u%04x", at[1]);
        } else {
            fwrite(at, 1, length, out);
        }
        at += length;
    }
    putc('"', out);
}

void vit_cli_json_float(float value) {
    char text[32] = "null";
    for (int digits = 6; isfinite(value) && digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    fputs(text, stdout);
}

void vit_cli_json_floats(const float *values, size_t count) {
    putchar('[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            putchar(',');
        vit_cli_json_float(values[i]);
    }
    putchar(']');
}

void vit_cli_json_number(double value) {
    if (isfinite(value))
        printf("%.6g", value);
    else
        fputs("null", stdout);
}
