#include "text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t vit_utf8_prefix(const void *text, size_t most) {
    const unsigned char *at = text;
    size_t used = 0;
    for (size_t step; used < most && at[used] && (step = vit_utf8_sequence(at + used, most - used)); used += step)
        continue;
    return used;
}

int vit_utf8_name(const void *text, size_t length) {
    return vit_utf8_prefix(text, length) == length;
}

vit_shown vit_show(const void *text, size_t length) {
    vit_shown out;
    const unsigned char *at = text;
    size_t used = 0;
    while (length) {
        size_t step = vit_utf8_sequence(at, length);
        int plain = step && *at >= 0x20 && *at != 0x7f && !(step == 2 && at[0] == 0xc2 && at[1] < 0xa0);
        if (!step)
            step = 1;
        if (used + (plain ? step : 1) > 80) {
            memcpy(out.text + used, "...", 3);
            used += 3;
            break;
        }
        if (plain) {
            memcpy(out.text + used, at, step);
            used += step;
        } else {
            out.text[used++] = '?';
        }
        at += step;
        length -= step;
    }
    out.text[used] = 0;
    return out;
}

vit_shown_shape vit_show_shape(int rank, const int64_t *shape) {
    vit_shown_shape out = {"["};
    size_t used = 1;
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(out.text + used, sizeof out.text - used, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(out.text + used, sizeof out.text - used, "]");
    return out;
}

vit_shown_number vit_show_number(double number) {
    vit_shown_number shown;
    const int is_float = fabs(number) < FLT_MAX && (double)(float)number == number;
    if (number == floor(number) && fabs(number) < 1e20)
        snprintf(shown.text, sizeof shown.text, "%.0f", number);
    else
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(shown.text, sizeof shown.text, "%.*g", digits, number);
            if (is_float ? strtof(shown.text, NULL) == (float)number : strtod(shown.text, NULL) == number)
                break;
        }
    return shown;
}
