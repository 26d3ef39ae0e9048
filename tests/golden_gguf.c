/* golden/gguf: values of tensors in blocks, and blocks of values. Types that models cannot have are left out. */
#include "golden.h"

#include "../src/model/convert.h"
#include "../src/model/quantize.h"

#include <stdlib.h>
#include <string.h>

void golden_gguf_types(golden *g) {
    tensors file;
    tensors_open(&file, path_in(g->folder, "model.gguf"), g);
    for (int i = 0; i < file.header.tensor_count; i++) {
        const vit_tensor_info *tensor = &file.header.tensors[i];
        if (tensor->dtype == VIT_DTYPE_OTHER)
            continue;
        size_t count = 1;
        for (int d = 0; d < tensor->rank; d++)
            count *= (size_t)tensor->shape[d];
        float *out = golden_result(g, golden_find(g, tensor->name), "F32", tensor->rank, tensor->shape);
        vit_values_to_f32(out, tensors_data(&file, tensor), count, tensor->dtype);
    }
    tensors_close(&file);
}

void golden_gguf_quantise(golden *g) {
    static const struct {
        const char *name;
        vit_dtype type;
    } types[] = {{"Q8_0", VIT_Q8_0}, {"Q4_0", VIT_Q4_0}};
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *x = tensors_find(&input, "x");
    if (!x || x->dtype != VIT_F32 || x->rank != 2)
        die("%s: expected f32 x [rows,columns]", g->folder);
    const size_t count = (size_t)(x->shape[0] * x->shape[1]);
    float *values = must_alloc(count * sizeof *values); /* aligned */
    memcpy(values, tensors_data(&input, x), count * sizeof *values);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const int64_t bytes = x->shape[1] / (int64_t)vit_block_values(types[i].type) * (int64_t)vit_block_bytes(types[i].type);
        unsigned char *out =
            golden_result(g, golden_find(g, types[i].name), "U8", 2, (const int64_t[]){x->shape[0], bytes});
        vit_quantize_blocks(out, values, count, types[i].type, VIT_ROUNDING_PLAIN);
    }
    free(values);
    tensors_close(&input);
}
