/* npz.c - npz archives, their npy arrays and DEFLATE. The checksums of a mutated archive are made right most times, so
 * that what lies behind them is reached. */
#include "container.h"
#include "mutate.h"

#include "../../src/format/inflate.h"
#include "../../src/format/parse.h"

/* Stored members whose data lies where the local header says. */
static void mend(uint8_t *data, size_t size) {
    static vit_crc crc;
    vit_crc_begin(&crc);
    for (size_t at = 0; at + 46 <= size; at++) {
        if (memcmp(data + at, "PK\1\2", 4) != 0)
            continue;
        const uint64_t local = vit_load_u32(data + at + 42), bytes = vit_load_u32(data + at + 20);
        if (local > size || size - local < 30)
            continue;
        const uint64_t begin = local + 30 + vit_load_u16(data + local + 26) + vit_load_u16(data + local + 28);
        if (vit_load_u16(data + at + 10) != 0 || begin > size || bytes > size - begin)
            continue;
        fuzz_store32(data + at + 16, vit_crc_add(&crc, 0, data + begin, (size_t)bytes), 0);
        memcpy(data + local + 14, data + at + 16, 4);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    if (seed % 8)
        mend(data, size);
    return size;
}

/* The input as a stream of its own, in pieces: at most 1032 bytes come of each. */
static void inflate(const uint8_t *data, size_t size) {
    static vit_inflate z;
    vit_inflate_status status = VIT_INFLATE_INPUT;
    uint64_t made = 0;
    vit_inflate_begin(&z);
    for (size_t at = 0; at < size;) {
        const size_t piece = size - at < 7 ? size - at : 7;
        const unsigned char *out;
        size_t used, count;
        status = vit_inflate_run(&z, data + at, piece, &used, &out, &count);
        at += used;
        made += count;
        if (status == VIT_INFLATE_END || status == VIT_INFLATE_BROKEN)
            break;
        fuzz_expect(used || count || status == VIT_INFLATE_OUTPUT);
    }
    fuzz_expect(made <= 1032 * (uint64_t)size + 32768);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    inflate(data, size);
    return fuzz_container(data, size);
}
