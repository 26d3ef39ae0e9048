/* import.c - configurations x tensors. An input is text: a config.json, a line "--", then a tensor a line,
 *     name:2,3,4:F32
 * of which a safetensors file is made, with numbers of its own and no mistakes, so that what is mutated is what the
 * import sees: names, shapes, types and settings. */
#include "fuzz.h"
#include "model.h"

#include "../../src/format/safetensors.h"

enum { TENSORS = 400, NAME = 120, VALUES = 1 << 18 };

typedef struct tensor {
    char name[NAME], type[8];
    int rank;
    int64_t shape[8];
    size_t bytes;
} tensor;

static int read_tensor(tensor *t, const char *line, const char *end) {
    const char *shape = memchr(line, ':', (size_t)(end - line)), *type = NULL;
    for (const char *at = shape; at && at < end; at++)
        type = *at == ':' ? at : type;
    if (!shape || !type || type == shape || shape - line >= NAME || shape == line || end - type > 5)
        return 0;
    snprintf(t->name, sizeof t->name, "%.*s", (int)(shape - line), line);
    snprintf(t->type, sizeof t->type, "%.*s", (int)(end - type - 1), type + 1);
    for (const char *c = t->name; *c; c++)
        if ((unsigned char)*c < 32 || (unsigned char)*c > 126 || *c == '"' || *c == '\\')
            return 0;
    const size_t width = strcmp(t->type, "F32") == 0 ? 4 : strcmp(t->type, "F16") == 0 || strcmp(t->type, "BF16") == 0 ? 2 : 0;
    size_t count = 1;
    t->rank = 0;
    for (const char *at = shape + 1; at < type && t->rank < 8; at++) {
        int64_t side = 0;
        for (; at < type && *at >= '0' && *at <= '9' && side < VALUES; at++)
            side = side * 10 + (*at - '0');
        if (side > VALUES || (count *= (size_t)side) > VALUES)
            return 0;
        t->shape[t->rank++] = side;
    }
    t->bytes = count * width;
    return width != 0;
}

static vit_status put(vit_safetensors_writer *w, const tensor *tensors, int count, vit_error *error) {
    static uint8_t values[4 * VALUES];
    if (!values[0])
        for (size_t i = 0; i < sizeof values; i++) /* of any type small numbers */
            values[i] = i % 2 ? (uint8_t)(0x38 + (i * 7 >> 4) % 3) : (uint8_t)(i * 37 | 1);
    for (int i = 0; i < count; i++)
        VIT_TRY(vit_safetensors_tensor(w, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].shape,
                                       tensors[i].bytes, error));
    VIT_TRY(vit_safetensors_header(w, error));
    for (int i = 0; i < count; i++)
        VIT_TRY(vit_safetensors_data(w, values, tensors[i].bytes, error));
    return VIT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tensor tensors[TENSORS];
    const char *text = (const char *)data, *end = text + size, *at = text;
    while (at < end && !(end - at >= 4 && memcmp(at, "\n--\n", 4) == 0))
        at++;
    const size_t json_bytes = (size_t)(at - text);
    at = end - at < 4 ? end : at + 4;
    int count = 0;
    size_t bytes = 0;
    while (at < end && count < TENSORS) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (read_tensor(&tensors[count], at, stop) && bytes + tensors[count].bytes <= 4 * VALUES)
            bytes += tensors[count++].bytes;
        at = stop + 1;
    }
    const vit_options options = fuzz_options();
    vit_buffer file = {.allocator = &options.allocator};
    vit_safetensors_writer writer;
    vit_error error;
    vit_safetensors_begin(&writer, &file);
    vit_status status = put(&writer, tensors, count, &error);
    vit_safetensors_end(&writer);
    uint32_t state = fuzz_hash(data, size);
    vit_options loading = options;
    loading.compute = fuzz_choose(&state, 4) ? VIT_COMPUTE_F32 : VIT_COMPUTE_INT8;
    if (status == VIT_OK)
        fuzz_load(json_bytes ? text : NULL, json_bytes, file.data, file.size, 1 + fuzz_choose(&state, 65536),
                  (int)fuzz_choose(&state, 3), &loading);
    vit_buffer_release(&file);
    return fuzz_end();
}
