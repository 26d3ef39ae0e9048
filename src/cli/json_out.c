#include "json_out.h"

#include <math.h>
#include <stdlib.h>

/* Length of the UTF-8 sequence at text, 0 if it is none (RFC 3629: no surrogates, nothing longer than it must be). */
static int utf8_length(const unsigned char *text) {
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

void vit_cli_json_string(FILE *out, const char *text) {
    if (!text) {
        fputs("null", out);
        return;
    }
    putc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int length = utf8_length(at);
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
            fwrite(at, 1, (size_t)length, out);
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

void vit_cli_json_number(double value) {
    if (isfinite(value))
        printf("%.6g", value);
    else
        fputs("null", stdout);
}
