/* safetensors.c - safetensors files, and the configuration in their metadata. */
#include "container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_container(data, size);
}
