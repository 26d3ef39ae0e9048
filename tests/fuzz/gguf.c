/* gguf.c - GGUF files: metadata that says what a network is, and its tensors. */
#include "container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_container(data, size);
}
