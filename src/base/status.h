/* Errors inside the library: every function that can fail returns vit_status and fills a caller-owned vit_error. */
#ifndef VIT_BASE_STATUS_H
#define VIT_BASE_STATUS_H

#include "../vit.h"

#if defined(__GNUC__)
#define VIT_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define VIT_PRINTF(format_index, first_argument)
#endif

/* Writes status and text into *error (which may be NULL) and returns status. */
vit_status vit_fail(vit_error *error, vit_status status, const char *format, ...) VIT_PRINTF(3, 4);

/* Passes a failure on. */
#define VIT_TRY(expression)                          \
    do {                                             \
        vit_status vit_try_status = (expression);    \
        if (vit_try_status != VIT_OK)                \
            return vit_try_status;                   \
    } while (0)

#endif
