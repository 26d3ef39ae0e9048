#include "status.h"

#include <stdarg.h>
#include <stdio.h>

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

vit_status vit_fail(vit_error *error, vit_status status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return status;
}
