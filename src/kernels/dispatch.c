/* dispatch.c - which kernel tables this program has and this host can run. */
#include "kernels.h"

#include "../base/clock.h"
#include "../vit.h"

#include <string.h>

#define KERNELS(symbol, supported) extern const vit_kernels symbol;
#include "kernels.def"
#undef KERNELS

const vit_kernels *vit_kernels_at(int index) {
#define KERNELS(symbol, supported)       \
    if ((supported) && index-- == 0)     \
        return &symbol;
#include "kernels.def"
#undef KERNELS
    return NULL;
}

const vit_kernels *vit_kernels_find(const char *name) {
    const vit_kernels *kernels;
    for (int i = 0; (kernels = vit_kernels_at(i)) != NULL; i++) {
        size_t length = name ? strlen(name) : 0;
        if (!name || strcmp(kernels->name, name) == 0 ||
            (strncmp(kernels->name, name, length) == 0 && kernels->name[length] == ':'))
            break;
    }
    return kernels;
}

const char *vit_kernels_name(int index) {
    const vit_kernels *kernels = vit_kernels_at(index);
    return kernels ? kernels->name : NULL;
}

/* The best of several short runs: other work on the machine only ever makes a run longer. */
double vit_kernels_peak(const char *name) {
    const vit_kernels *kernels = vit_kernels_find(name);
    double best = 0;
    for (int run = 0; kernels && run < 20; run++) {
        float sink;
        double start = vit_now_ms(), flops = kernels->peak(100000, &sink), elapsed = vit_now_ms() - start;
        if (elapsed > 0 && flops / elapsed > best)
            best = flops / elapsed;
    }
    return best * 1e-6;
}
