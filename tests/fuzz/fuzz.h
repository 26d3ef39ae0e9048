/* fuzz.h - what the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; libFuzzer drives it
 * (`./build.sh fuzz`), replay.c replays its corpus with any compiler. Whatever the input, a target must not crash,
 * leak, or hold on to memory; what it finds otherwise wrong it says by fuzz_fail. */
#ifndef VIT_TESTS_FUZZ_H
#define VIT_TESTS_FUZZ_H

#include "../../src/base/file.h"
#include "../../src/vit_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program with a sentence: a defect was found. */
#define fuzz_fail(...) (fprintf(stderr, "fuzz: " __VA_ARGS__), fputc('\n', stderr), abort())
#define fuzz_expect(condition) ((condition) ? (void)0 : fuzz_fail("%s:%d: %s", __FILE__, __LINE__, #condition))

/* ---- Memory: at most so much, every block given back ---- */

enum { FUZZ_HEAD = 16 };

typedef struct fuzz_heap {
    size_t most, held, blocks;
} fuzz_heap;

static fuzz_heap fuzz_memory;

static void *fuzz_alloc(void *context, size_t bytes) {
    fuzz_heap *heap = context;
    if (bytes > heap->most - heap->held)
        return NULL;
    unsigned char *block = malloc(bytes + FUZZ_HEAD);
    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof bytes);
    heap->held += bytes;
    heap->blocks++;
    return block + FUZZ_HEAD;
}

static void fuzz_release(void *context, void *block) {
    fuzz_heap *heap = context;
    size_t bytes;
    memcpy(&bytes, (unsigned char *)block - FUZZ_HEAD, sizeof bytes);
    heap->held -= bytes;
    heap->blocks--;
    free((unsigned char *)block - FUZZ_HEAD);
}

/* Limits that keep one input short, and at most 64 MiB. */
static inline vit_options fuzz_options(void) {
    vit_options options = vit_default_options();
    fuzz_memory = (fuzz_heap){.most = 64 << 20};
    options.limits.image_pixels = 1 << 20;
    options.limits.tokens = 300;
    options.limits.layers = 12;
    options.allocator = (vit_allocator){fuzz_alloc, fuzz_release, &fuzz_memory};
    return options;
}

static inline int fuzz_end(void) {
    if (fuzz_memory.blocks)
        fuzz_fail("%zu blocks of %zu bytes were not released", fuzz_memory.blocks, fuzz_memory.held);
    return 0;
}

/* A failure has a sentence, success has VIT_OK. */
static inline void fuzz_check_error(vit_status status, const vit_error *error) {
    if (status != VIT_OK)
        fuzz_expect(error->status == status && error->text[0] && strlen(error->text) < sizeof error->text);
}

/* ---- Choices that follow from the input ---- */

static inline uint32_t fuzz_hash(const uint8_t *data, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 16777619u;
    return hash;
}

/* 0..count-1, another one each time. */
static inline uint32_t fuzz_choose(uint32_t *state, uint32_t count) {
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*state * count >> 32);
}

/* ---- Files, for what reads none but files ---- */

/* A path in memory, of this process; the same for every input. */
static inline const char *fuzz_path(const char *ending) {
    static char path[64];
    snprintf(path, sizeof path, "%s/vit-fuzz-%ld%s", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid(),
             ending);
    return path;
}

static inline void fuzz_write(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    fuzz_expect(file);
    fuzz_expect(fwrite(data, 1, size, file) == size);
    fuzz_expect(fclose(file) == 0);
}

#endif
