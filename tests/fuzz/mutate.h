/* mutate.h - for targets that make checksums right after libFuzzer has mutated what they are of. */
#ifndef VIT_TESTS_FUZZ_MUTATE_H
#define VIT_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

static inline void fuzz_store32(uint8_t *at, uint32_t value, int big_endian) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * (big_endian ? 3 - i : i));
}

#endif
