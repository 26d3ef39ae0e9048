#include "convert.h"

#include "../base/half.h"

#include <math.h>
#include <string.h>

static const struct {
    size_t values, bytes;
} blocks[] = {[VIT_F32] = {1, 4}, [VIT_F16] = {1, 2},    [VIT_BF16] = {1, 2},
              [VIT_F64] = {1, 8}, [VIT_Q8_0] = {32, 34}, [VIT_Q4_0] = {32, 18}};

size_t vit_block_values(vit_dtype dtype) {
    return blocks[dtype].values;
}

size_t vit_block_bytes(vit_dtype dtype) {
    return blocks[dtype].bytes;
}

void vit_values_to_f32(float *out, const unsigned char *data, size_t count, vit_dtype dtype) {
    uint16_t half;
    if (dtype == VIT_F32)
        memcpy(out, data, count * sizeof *out);
    for (size_t i = 0; i < count && dtype == VIT_F16; i++) {
        memcpy(&half, data + 2 * i, 2);
        out[i] = vit_f32_from_f16(half);
    }
    for (size_t i = 0; i < count && dtype == VIT_BF16; i++) {
        memcpy(&half, data + 2 * i, 2);
        out[i] = vit_f32_from_bf16(half);
    }
    for (size_t i = 0; i < count && dtype == VIT_F64; i++) {
        double value;
        memcpy(&value, data + 8 * i, 8);
        out[i] = (float)value;
    }
    for (size_t i = 0; i < count && dtype == VIT_Q8_0; i += 32, data += 34) {
        memcpy(&half, data, 2);
        const float scale = vit_f32_from_f16(half);
        for (int j = 0; j < 32; j++)
            out[i + j] = scale * (float)(int8_t)data[2 + j];
    }
    for (size_t i = 0; i < count && dtype == VIT_Q4_0; i += 32, data += 18) {
        memcpy(&half, data, 2);
        const float scale = vit_f32_from_f16(half);
        for (int j = 0; j < 16; j++) {
            out[i + j] = scale * (float)((data[2 + j] & 15) - 8);
            out[i + 16 + j] = scale * (float)((data[2 + j] >> 4) - 8);
        }
    }
}

/* All exponent bits set means NaN or infinity: adding one to the exponent then carries into the sign bit. */
int vit_has_nonfinite(const float *data, size_t count) {
    uint32_t carries = 0, bits;
    for (size_t i = 0; i < count; i++) {
        memcpy(&bits, &data[i], sizeof bits);
        carries |= (bits & 0x7fffffff) + 0x00800000;
    }
    return carries >> 31;
}

void vit_quantize_row(const float *row, size_t k, int8_t *q, float *scale, int32_t *sum) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, to even */
    float most = 0;
    for (size_t i = 0; i < k; i++)
        most = fabsf(row[i]) > most ? fabsf(row[i]) : most;
    const float inverse = most > 0 ? 127 / most : 0;
    int32_t total = 0;
    for (size_t i = 0; i < k; i++) {
        const float scaled = row[i] * inverse;
        int32_t value = (int32_t)(((fabsf(scaled) < 128 ? scaled : 0) + shift) - shift); /* NaN: 0 */
        q[i] = (int8_t)value;
        total += value;
    }
    for (size_t i = k; i % 4; i++)
        q[i] = 0;
    *scale = most / 127;
    *sum = total;
}

void vit_scatter_values(vit_scatter *s, float *out, const float *values, size_t count) {
    const int last = s->rank - 1;
    const size_t size = s->size[last], stride = s->stride[last];
    while (count) {
        size_t run = size - s->index[last], place = 0;
        if (run > count)
            run = count;
        for (int i = 0; i < s->rank; i++)
            place += s->index[i] * s->stride[i];
        for (size_t i = 0; i < run; i++)
            out[place + i * stride] = values[i];
        values += run;
        count -= run;
        s->index[last] += run;
        for (int i = last; i >= 0 && s->index[i] == s->size[i]; i--) {
            s->index[i] = 0;
            if (i)
                s->index[i - 1]++;
        }
    }
}
