/* dispatch.c - which kernel tables this program has and this host can run. */
#include "kernels.h"

#include "../base/clock.h"
#include "../vit_tasks.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* Compilers do not ask for this yet. */
static int vit_has_avxvnni(void) {
    unsigned a = 0, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

static int vit_has_neondot(void) {
    return getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP */
}
#endif

#define INT8(symbol, supported) extern const vit_int8_kernels symbol;
#define F32(symbol, supported) extern const vit_kernels symbol;
#define TRAIN(symbol, supported)
#define BF16(symbol, supported)
#include "kernels.def"
#undef F32
#undef INT8

#define TAKE(symbol, supported)      \
    if ((supported) && index-- == 0) \
        return &symbol;
#define SKIP(symbol, supported)

const vit_kernels *vit_kernels_at(int index) {
#define F32 TAKE
#define INT8 SKIP
#include "kernels.def"
#undef F32
#undef INT8
    return NULL;
}

const vit_int8_kernels *vit_int8_kernels_at(int index) {
#define F32 SKIP
#define INT8 TAKE
#include "kernels.def"
#undef F32
#undef INT8
    return NULL;
}

/* Whether wanted, which ends before any of `ends`, names table's first part up to a ':' or more. */
static int matches(const char *table, const char *wanted, const char *ends) {
    size_t length = strcspn(wanted, ends);
    return strncmp(table, wanted, length) == 0 && (!table[length] || table[length] == ':' || table[length] == ',');
}

int vit_kernels_same_isa(const char *a, const char *b) {
    const size_t length = strcspn(a, ":,");
    return strncmp(a, b, length) == 0 && strcspn(b, ":,") == length;
}

const vit_kernels *vit_kernels_find(const char *name) {
    const vit_kernels *kernels;
    for (int i = 0; (kernels = vit_kernels_at(i)) != NULL; i++)
        if (!name || (*name && matches(kernels->name, name, ",")))
            break;
    const char *int8 = name ? strchr(name, ',') : NULL;
    return int8 && !vit_int8_kernels_find(name) ? NULL : kernels;
}

const vit_int8_kernels *vit_int8_kernels_find(const char *name) {
    const vit_int8_kernels *kernels;
    const char *isa = name ? name : vit_kernels_at(0)->name;
    const char *variant = name ? strchr(name, ',') : NULL;
    for (int i = 0; (kernels = vit_int8_kernels_at(i)) != NULL; i++)
        if (vit_kernels_same_isa(kernels->name, isa) &&
            (!variant || (variant[1] && matches(strchr(kernels->name, ',') + 1, variant + 1, ""))))
            break;
    return kernels;
}

int vit_kernels_allows(const char *name, const char *table) {
    const char *variant = strchr(name, ',');
    const char *part = strchr(table, ',');
    if (!*name || (part && !variant))
        return !*name || vit_kernels_same_isa(name, table);
    return part ? matches(part + 1, variant + 1, "") : matches(table, name, ",");
}

const char *vit_kernels_name(int index) {
    int count = 0;
    while (vit_kernels_at(count))
        count++;
    if (index < count)
        return vit_kernels_at(index)->name;
    const vit_int8_kernels *kernels = vit_int8_kernels_at(index - count);
    return kernels ? kernels->name : NULL;
}

int vit_kernels_known(const char *name) {
    return vit_kernels_find(name) != NULL;
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
