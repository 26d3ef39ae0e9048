/* Random numbers by counting: number i of a key is a function of both, the same on every host, in any order, by any
 * thread. */
#ifndef VIT_BASE_RNG_H
#define VIT_BASE_RNG_H

#include "hash.h"

#include <string.h>

/* 64 random bits: SplitMix64 (Steele, Lea, Flood 2014), its state reached by multiplication. */
static inline uint64_t vit_random_bits(uint64_t key, uint64_t index) {
    uint64_t z = key + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The key of one of many streams of numbers: a use, a weight, a step. Keys of keys are keys. */
static inline uint64_t vit_random_key(uint64_t key, uint64_t stream) {
    return vit_random_bits(vit_random_bits(key, stream), stream);
}

/* A stream's number by its name. */
static inline uint64_t vit_random_stream(const char *name) {
    return vit_hash(VIT_HASH_BEGIN, name, strlen(name));
}

/* Uniform in [0,1), of 24 bits: exact as a float. */
static inline float vit_random_unit(uint64_t key, uint64_t index) {
    return (float)(vit_random_bits(key, index) >> 40) * 0x1p-24f;
}

/* Uniform in 0..count-1, count at least 1: what 64 bits leave of bias is below count / 2^32. */
static inline uint32_t vit_random_below(uint64_t key, uint64_t index, uint32_t count) {
    return (uint32_t)((vit_random_bits(key, index) >> 32) * count >> 32);
}

/* Normal of mean 0 and deviation 1; at most 6.3 from 0. */
float vit_random_normal(uint64_t key, uint64_t index);
/* The same cut off at 2 on either side: its deviation is 0.8796. */
float vit_random_truncated(uint64_t key, uint64_t index);

#endif
