#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *vit_status_name(vit_status status) {
    switch (status) {
#define VIT_STATUS_CASE(name, value, code) \
    case VIT_##name:                       \
        return code;
        VIT_STATUS_LIST(VIT_STATUS_CASE)
#undef VIT_STATUS_CASE
    }
    return "unknown";
}

static int is_inside(char byte) { /* a character of UTF-8 */
    return ((unsigned char)byte & 0xc0) == 0x80;
}

static void shorten(char *out, size_t size, const char *whole) {
    static const char gap[] = "...";
    const size_t length = strlen(whole);
    size_t head = size / 3, tail = length - (size - 1 - head - (sizeof gap - 1));
    if (length < size) {
        memcpy(out, whole, length + 1);
        return;
    }
    while (head && is_inside(whole[head]))
        head--;
    while (is_inside(whole[tail]))
        tail++;
    memcpy(out, whole, head);
    memcpy(out + head, gap, sizeof gap - 1);
    memcpy(out + head + sizeof gap - 1, whole + tail, length - tail + 1);
}

vit_status vit_fail(vit_error *error, vit_status status, const char *format, ...) {
    if (error) {
        char whole[5000]; /* whose middle is left out where it is long: of names that fill it, what happened is at the end */
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(whole, sizeof whole, format, arguments);
        va_end(arguments);
        shorten(error->text, sizeof error->text, whole);
        error->status = status;
    }
    return status;
}
