/* Wall time for stage times. */
#ifndef VIT_BASE_CLOCK_H
#define VIT_BASE_CLOCK_H

#ifdef __EMSCRIPTEN__
__attribute__((import_module("env"), import_name("now"))) double vit_now_ms(void);
#else
#include <time.h> /* POSIX clocks: built with -D_GNU_SOURCE */

static inline double vit_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
#endif

#endif
