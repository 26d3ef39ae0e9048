/* A model as GGUF or safetensors: configuration, preprocessing and labels as metadata, tensors in forward order under timm's
 * names. */
#include "convert.h"
#include "model.h"
#include "quantize.h"

#include "../base/half.h"
#include "../format/gguf.h"
#include "../format/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *network_name(const vit_config *c) {
    return c->network == VIT_NETWORK_BIT ? "bit" : "vit";
}

/* Fields of parts that a network does not have are not written. */
static int has_field(const vit_config *c, const vit_field *field) {
    return (c->resnet.stem_width || strncmp(field->key, "resnet.", 7) != 0) &&
           (c->decoder.kind || strncmp(field->key, "decoder.", 8) != 0);
}

static vit_status write_field(vit_gguf_writer *w, const vit_config *c, const vit_field *field, vit_error *error) {
    char key[64];
    uint32_t values[4];
    const int value = *vit_field_at(c, field->config), count = vit_field_length(field);
    int equal = 1;
    for (int i = 0; i < count; i++) {
        values[i] = (uint32_t)*vit_field_at(c, field[i].config);
        equal = equal && values[i] == values[0];
    }
    snprintf(key, sizeof key, "vit.%s", field->key);
    switch (field->kind) {
    case VIT_FIELD_NUMBER: return value ? vit_gguf_uint(w, key, values[0], error) : VIT_OK;
    case VIT_FIELD_FLAG: return vit_gguf_bool(w, key, value, error);
    case VIT_FIELD_WORD: return vit_gguf_string(w, key, vit_word_of(field->words, value), error);
    case VIT_FIELD_SIDES:
        if (equal)
            return vit_gguf_uint(w, key, values[0], error);
        return vit_gguf_uints(w, key, values, (size_t)count, error);
    case VIT_FIELD_LIST: return vit_gguf_uints(w, key, values, (size_t)count, error);
    case VIT_FIELD_REST: break;
    }
    return VIT_OK;
}

static vit_status write_metadata(vit_gguf_writer *w, const vit_model *model, vit_error *error) {
    const vit_config *c = &model->config;
    const vit_preprocess *p = &c->preprocess;
    VIT_TRY(vit_gguf_string(w, "general.architecture", network_name(c), error));
    VIT_TRY(vit_gguf_string(w, "general.name", c->architecture, error));
    for (const vit_field *f = vit_fields; f < vit_fields + vit_field_count; f++)
        if (has_field(c, f))
            VIT_TRY(write_field(w, c, f, error));
    VIT_TRY(vit_gguf_float(w, "vit.attention.layer_norm_epsilon", c->norm_eps, error));
    VIT_TRY(vit_gguf_floats(w, "vit.preprocess.mean", p->mean, 3, error));
    VIT_TRY(vit_gguf_floats(w, "vit.preprocess.std", p->std, 3, error));
    VIT_TRY(vit_gguf_double(w, "vit.preprocess.crop_pct", p->crop_pct, error));
    if (*c->label_set)
        VIT_TRY(vit_gguf_string(w, "vit.label_set", c->label_set, error));
    if (model->labels)
        VIT_TRY(vit_gguf_strings(w, "vit.labels", (const char *const *)model->labels, (size_t)c->classes, error));
    return VIT_OK;
}

/* ---- The same as text, in the metadata of safetensors ---- */

static vit_status put(vit_buffer *out, const char *text, vit_error *error) {
    return vit_buffer_append(out, text, strlen(text), "metadata", error);
}

/* A key of the object. */
static vit_status put_key(vit_buffer *out, const char *key, vit_error *error) {
    VIT_TRY(put(out, out->size ? "," : "{", error));
    VIT_TRY(vit_json_put_string(out, key, error));
    return put(out, ":", error);
}

static vit_status put_text(vit_buffer *out, const char *key, const char *text, vit_error *error) {
    VIT_TRY(put_key(out, key, error));
    return vit_json_put_string(out, text, error);
}

/* As few digits as give the numbers back; as floats, where they are. */
static vit_status put_reals(vit_buffer *out, const char *key, const double *values, int count, vit_error *error) {
    char text[32];
    VIT_TRY(put_key(out, key, error));
    for (int i = 0; i < count; i++) {
        const int is_float = (double)(float)values[i] == values[i];
        int digits = 6;
        do
            snprintf(text, sizeof text, "%.*g", digits, values[i]);
        while (++digits <= 17 && (is_float ? strtof(text, NULL) != (float)values[i] : strtod(text, NULL) != values[i]));
        VIT_TRY(put(out, count == 1 ? "" : i ? "," : "[", error));
        VIT_TRY(put(out, text, error));
    }
    return put(out, count == 1 ? "" : "]", error);
}

static vit_status put_field(vit_buffer *out, const vit_config *c, const vit_field *field, vit_error *error) {
    char key[64];
    double values[4];
    const int value = *vit_field_at(c, field->config), count = vit_field_length(field);
    for (int i = 0; i < count; i++)
        values[i] = *vit_field_at(c, field[i].config);
    snprintf(key, sizeof key, "vit.%s", field->key);
    switch (field->kind) {
    case VIT_FIELD_NUMBER: return value ? put_reals(out, key, values, 1, error) : VIT_OK;
    case VIT_FIELD_FLAG:
        VIT_TRY(put_key(out, key, error));
        return put(out, value ? "true" : "false", error);
    case VIT_FIELD_WORD: return put_text(out, key, vit_word_of(field->words, value), error);
    case VIT_FIELD_SIDES:
    case VIT_FIELD_LIST: return put_reals(out, key, values, count, error);
    case VIT_FIELD_REST: break;
    }
    return VIT_OK;
}

static vit_status put_metadata(vit_buffer *out, const vit_model *model, vit_error *error) {
    const vit_config *c = &model->config;
    const vit_preprocess *p = &c->preprocess;
    const double mean[3] = {p->mean[0], p->mean[1], p->mean[2]}, std[3] = {p->std[0], p->std[1], p->std[2]};
    const double eps = c->norm_eps;
    VIT_TRY(put_text(out, "general.architecture", network_name(c), error));
    VIT_TRY(put_text(out, "general.name", c->architecture, error));
    for (const vit_field *f = vit_fields; f < vit_fields + vit_field_count; f++)
        if (has_field(c, f))
            VIT_TRY(put_field(out, c, f, error));
    VIT_TRY(put_reals(out, "vit.attention.layer_norm_epsilon", &eps, 1, error));
    VIT_TRY(put_reals(out, "vit.preprocess.mean", mean, 3, error));
    VIT_TRY(put_reals(out, "vit.preprocess.std", std, 3, error));
    VIT_TRY(put_reals(out, "vit.preprocess.crop_pct", &p->crop_pct, 1, error));
    if (*c->label_set)
        VIT_TRY(put_text(out, "vit.label_set", c->label_set, error));
    if (model->labels) {
        VIT_TRY(put_key(out, "vit.labels", error));
        for (int i = 0; i < c->classes; i++) {
            VIT_TRY(put(out, i ? "," : "[", error));
            VIT_TRY(vit_json_put_string(out, model->labels[i] ? model->labels[i] : "", error));
        }
        VIT_TRY(put(out, "]", error));
    }
    return put(out, "}", error);
}

/* ---- Tensors ---- */

typedef struct saver {
    const vit_model *model;
    const vit_save_options *options;
    int is_gguf;
    vit_gguf_writer gguf;
    vit_safetensors_writer safetensors;
} saver;

static int is_block(vit_dtype type) {
    return type == VIT_Q8_0 || type == VIT_Q4_0;
}

/* A weight in the file. Vectors are small and sensitive: they stay f32 unless they were stored narrower and nothing else is
 * asked for. Of blocks are linear layers, and convolutions behind a stem, which then are matrices [O,I*h*w]. */
typedef struct stored {
    vit_dtype type;
    int rank;
    int64_t shape[4];
} stored;

static stored stored_as(const vit_model *model, const vit_slot *slot, vit_dtype type) {
    stored s = {.type = type, .rank = slot->rank};
    memcpy(s.shape, slot->shape, sizeof s.shape);
    if (type == VIT_DTYPE_OTHER)
        s.type = slot->stored == VIT_F16 || slot->stored == VIT_BF16 ? slot->stored : VIT_F32;
    else if (!is_block(type))
        s.type = slot->rank == 1 ? VIT_F32 : type;
    else {
        const size_t length = strlen(slot->name);
        const int is_map = slot->rank == 4 && model->config.resnet.stem_width;
        const int64_t row = slot->rank == 2 ? slot->shape[1] : slot->shape[1] * slot->shape[2] * slot->shape[3];
        if ((slot->rank != 2 && !is_map) || length <= 7 || strcmp(slot->name + length - 7, ".weight") != 0 ||
            row % (int64_t)vit_block_values(type) != 0)
            s.type = VIT_F32;
        else {
            s.rank = 2;
            s.shape[1] = row;
        }
    }
    return s;
}

static vit_status write_bytes(saver *s, const void *data, size_t bytes, vit_error *error) {
    return s->is_gguf ? vit_gguf_data(&s->gguf, data, bytes, error) : vit_safetensors_data(&s->safetensors, data, bytes, error);
}

static vit_status write_slot(saver *s, const vit_slot *slot, vit_error *error) {
    enum { PIECE = 4096 };
    unsigned char bytes[PIECE * sizeof(float)];
    const vit_dtype type = stored_as(s->model, slot, s->options->type).type;
    if (type == VIT_F32)
        return write_bytes(s, slot->held.f32, slot->count * sizeof(float), error);
    for (size_t begin = 0; begin < slot->count; begin += PIECE) {
        const float *values = slot->held.f32 + begin;
        const size_t count = slot->count - begin < PIECE ? slot->count - begin : PIECE;
        if (is_block(type))
            vit_quantize_blocks(bytes, values, count, type, s->options->rounding);
        for (size_t i = 0; i < count && !is_block(type); i++) {
            const uint16_t half = type == VIT_F16 ? vit_f16_from_f32(values[i]) : vit_bf16_from_f32(values[i]);
            memcpy(bytes + 2 * i, &half, 2);
        }
        VIT_TRY(write_bytes(s, bytes, count / vit_block_values(type) * vit_block_bytes(type), error));
    }
    return VIT_OK;
}

static vit_status describe_gguf(saver *s, vit_error *error) {
    VIT_TRY(write_metadata(&s->gguf, s->model, error));
    for (int i = 0; i < s->model->slot_count; i++) {
        const vit_slot *slot = &s->model->slots[i];
        const stored as = stored_as(s->model, slot, s->options->type);
        VIT_TRY(vit_gguf_tensor(&s->gguf, slot->name, as.type, as.rank, as.shape, error));
    }
    return vit_gguf_header(&s->gguf, error);
}

static vit_status describe_safetensors(saver *s, vit_error *error) {
    static const char *const words[] = {[VIT_F32] = "F32", [VIT_F16] = "F16", [VIT_BF16] = "BF16"};
    vit_buffer text = {.allocator = &s->model->options.allocator};
    vit_status status = put_metadata(&text, s->model, error);
    if (status == VIT_OK) {
        const char *const pairs[][2] = {{"format", "pt"}, {VIT_CONFIG_METADATA, (const char *)text.data}};
        status = vit_safetensors_metadata(&s->safetensors, 2, pairs, error);
    }
    vit_buffer_release(&text);
    VIT_TRY(status);
    for (int i = 0; i < s->model->slot_count; i++) {
        const vit_slot *slot = &s->model->slots[i];
        const vit_dtype type = stored_as(s->model, slot, s->options->type).type;
        VIT_TRY(vit_safetensors_tensor(&s->safetensors, slot->name, words[type], slot->rank, slot->shape,
                                       (uint64_t)slot->count * vit_block_bytes(type), error));
    }
    return vit_safetensors_header(&s->safetensors, error);
}

static vit_status write_tensors(saver *s, vit_error *error) {
    const vit_save_options *o = s->options;
    uint64_t done = 0, total = 0;
    for (int i = 0; i < s->model->slot_count; i++)
        total += s->model->slots[i].count;
    for (int i = 0; i < s->model->slot_count; i++) {
        VIT_TRY(write_slot(s, &s->model->slots[i], error));
        if (s->is_gguf)
            VIT_TRY(vit_gguf_data(&s->gguf, NULL, 0, error));
        done += s->model->slots[i].count;
        if (o->progress && o->progress(o->context, done, total))
            return vit_fail(error, VIT_ERR_CANCELLED, "saving was cancelled");
    }
    return VIT_OK;
}

static vit_status check_savable(const vit_model *model, const char *name, vit_error *error) {
    if (model->options.compute != VIT_COMPUTE_F32)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the model is held as int8: load it as f32 to save it", name);
    if (model->config.resnet.stem_width && !model->options.raw_weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the convolutions are held standardised: load them as stored "
                        "(raw_weights) to save them", name);
    return VIT_OK;
}

static int ends_in(const char *path, const char *ending) {
    const size_t length = strlen(path), least = strlen(ending);
    return length >= least && strcmp(path + length - least, ending) == 0;
}

vit_status vit_model_save(const vit_model *model, const char *path, const vit_save_options *options, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    saver s = {.model = model, .options = options, .is_gguf = !ends_in(path, ".safetensors")};
    VIT_TRY(check_savable(model, path, error));
    if (options->type == VIT_F64 || (is_block(options->type) && !s.is_gguf))
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: a file of this kind does not hold that type", path);
    VIT_TRY(s.is_gguf ? vit_gguf_open(&s.gguf, path, allocator, error)
                      : vit_safetensors_open(&s.safetensors, path, allocator, error));
    vit_status status = s.is_gguf ? describe_gguf(&s, error) : describe_safetensors(&s, error);
    if (status == VIT_OK)
        status = write_tensors(&s, error);
    if (status == VIT_OK)
        status = s.is_gguf ? vit_gguf_commit(&s.gguf, error) : vit_safetensors_commit(&s.safetensors, error);
    if (s.is_gguf)
        vit_gguf_cancel(&s.gguf);
    else
        vit_safetensors_cancel(&s.safetensors);
    return status;
}

vit_status vit_model_encode(const vit_model *model, const vit_save_options *options, void **bytes, size_t *size,
                            vit_error *error) {
    vit_buffer out = {.allocator = &model->options.allocator};
    saver s = {.model = model, .options = options, .is_gguf = 1};
    *bytes = NULL;
    *size = 0;
    VIT_TRY(check_savable(model, "model", error));
    vit_gguf_begin(&s.gguf, &out);
    vit_status status = describe_gguf(&s, error);
    if (status == VIT_OK)
        status = write_tensors(&s, error);
    vit_gguf_end(&s.gguf);
    if (status != VIT_OK) {
        vit_buffer_release(&out);
        return status;
    }
    *bytes = out.data;
    *size = out.size;
    return VIT_OK;
}
