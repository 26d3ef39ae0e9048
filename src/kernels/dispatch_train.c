/* dispatch_train.c - the tables for training, apart: programs that do not train have none of it. */
#include "kernels.h"

#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux lets a process, all its threads to come included, use the registers once it has asked. */
static int vit_has_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d = 0, a1 = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
           __get_cpuid_count(7, 1, &a1, &b, &c, &d) && (a1 >> 5 & 1) && __builtin_cpu_supports("avx512bw") &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

#define F32(symbol, supported)
#define INT8(symbol, supported)
#define TRAIN(symbol, supported) extern const vit_train_kernels symbol;
#define BF16(symbol, supported) extern const vit_bf16_kernels symbol;
#include "kernels.def"
#undef TRAIN
#undef BF16

#define TAKE(symbol, supported)      \
    if ((supported) && index-- == 0) \
        return &symbol;
#define SKIP(symbol, supported)

const vit_bf16_kernels *vit_bf16_kernels_at(int index) {
#define TRAIN SKIP
#define BF16 TAKE
#include "kernels.def"
#undef TRAIN
#undef BF16
    (void)index;
    return NULL;
}

const vit_train_kernels *vit_train_kernels_at(int index) {
#define TRAIN TAKE
#define BF16 SKIP
#include "kernels.def"
    return NULL;
}

const vit_train_kernels *vit_train_kernels_for(const vit_kernels *kernels) {
    const vit_train_kernels *train;
    for (int i = 0; (train = vit_train_kernels_at(i)) != NULL; i++)
        if (strncmp(train->name, kernels->name, strlen(train->name)) == 0 && kernels->name[strlen(train->name)] == ':')
            break;
    return train;
}
