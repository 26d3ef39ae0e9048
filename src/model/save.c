/* A model as GGUF or safetensors: configuration, preprocessing and labels as metadata, tensors in forward order under timm's
 * names. */
#include "convert.h"
#include "model.h"
#include "quantize.h"

#include "../base/file.h"
#include "../base/half.h"
#include "../format/gguf.h"
#include "../format/safetensors.h"
#include "../format/text.h"

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

/* ---- Metadata: the same keys in a GGUF and, as text, in the metadata of safetensors ---- */

typedef enum number_kind { INTEGER, FLOAT, DOUBLE } number_kind;

/* Where keys and their values go. */
typedef struct sink {
    void *to;
    vit_status (*flag)(void *to, const char *key, int value, vit_error *error);
    vit_status (*text)(void *to, const char *key, const char *value, vit_error *error);
    vit_status (*texts)(void *to, const char *key, const char *const *values, size_t count, vit_error *error);
    vit_status (*numbers)(void *to, const char *key, const double *values, int count, number_kind kind, vit_error *error);
} sink;

static vit_status put_field(const sink *s, const vit_config *c, const vit_field *field, vit_error *error) {
    char key[64];
    double values[4];
    const int value = *vit_field_at(c, field->config), count = vit_field_length(field);
    int equal = 1;
    for (int i = 0; i < count; i++) {
        values[i] = *vit_field_at(c, field[i].config);
        equal = equal && values[i] == values[0];
    }
    snprintf(key, sizeof key, "vit.%s", field->key);
    switch (field->kind) {
    case VIT_FIELD_NUMBER: return value ? s->numbers(s->to, key, values, 1, INTEGER, error) : VIT_OK;
    case VIT_FIELD_FLAG: return s->flag(s->to, key, value, error);
    case VIT_FIELD_WORD: return s->text(s->to, key, vit_word_of(field->words, value), error);
    case VIT_FIELD_SIDES: return s->numbers(s->to, key, values, equal ? 1 : count, INTEGER, error);
    case VIT_FIELD_LIST: return s->numbers(s->to, key, values, count, INTEGER, error);
    case VIT_FIELD_REST: break;
    }
    return VIT_OK;
}

static vit_status put_metadata(const sink *s, const vit_model *model, vit_error *error) {
    const vit_config *c = &model->config;
    const vit_preprocess *p = &c->preprocess;
    const double mean[3] = {p->mean[0], p->mean[1], p->mean[2]}, std[3] = {p->std[0], p->std[1], p->std[2]};
    const double eps = c->norm_eps;
    VIT_TRY(s->text(s->to, "general.architecture", network_name(c), error));
    VIT_TRY(s->text(s->to, "general.name", c->architecture, error));
    for (const vit_field *f = vit_fields; f < vit_fields + vit_field_count; f++)
        if (has_field(c, f))
            VIT_TRY(put_field(s, c, f, error));
    VIT_TRY(s->numbers(s->to, "vit.attention.layer_norm_epsilon", &eps, 1, FLOAT, error));
    VIT_TRY(s->numbers(s->to, "vit.preprocess.mean", mean, 3, FLOAT, error));
    VIT_TRY(s->numbers(s->to, "vit.preprocess.std", std, 3, FLOAT, error));
    VIT_TRY(s->numbers(s->to, "vit.preprocess.crop_pct", &p->crop_pct, 1, DOUBLE, error));
    if (*c->label_set)
        VIT_TRY(s->text(s->to, "vit.label_set", c->label_set, error));
    return model->labels
               ? s->texts(s->to, "vit.labels", (const char *const *)model->labels, (size_t)c->classes, error)
               : VIT_OK;
}

static vit_status gguf_flag(void *to, const char *key, int value, vit_error *error) {
    return vit_gguf_bool(to, key, value, error);
}

static vit_status gguf_text(void *to, const char *key, const char *value, vit_error *error) {
    return vit_gguf_string(to, key, value, error);
}

static vit_status gguf_texts(void *to, const char *key, const char *const *values, size_t count, vit_error *error) {
    return vit_gguf_strings(to, key, values, count, error);
}

static vit_status gguf_numbers(void *to, const char *key, const double *values, int count, number_kind kind,
                               vit_error *error) {
    uint32_t whole[4];
    float floats[4];
    for (int i = 0; i < count; i++) {
        whole[i] = kind == INTEGER ? (uint32_t)values[i] : 0;
        floats[i] = (float)values[i];
    }
    if (kind == INTEGER)
        return count == 1 ? vit_gguf_uint(to, key, *whole, error) : vit_gguf_uints(to, key, whole, (size_t)count, error);
    if (kind == DOUBLE)
        return vit_gguf_double(to, key, *values, error);
    return count == 1 ? vit_gguf_float(to, key, *floats, error) : vit_gguf_floats(to, key, floats, (size_t)count, error);
}

static vit_status write_metadata(vit_gguf_writer *w, const vit_model *model, vit_error *error) {
    return put_metadata(&(sink){w, gguf_flag, gguf_text, gguf_texts, gguf_numbers}, model, error);
}

static vit_status add(vit_buffer *out, const char *text, vit_error *error) {
    return vit_buffer_append(out, text, strlen(text), "metadata", error);
}

/* A key of the object. */
static vit_status json_key(vit_buffer *out, const char *key, vit_error *error) {
    VIT_TRY(add(out, out->size ? "," : "{", error));
    VIT_TRY(vit_json_put_string(out, key, error));
    return add(out, ":", error);
}

static vit_status json_flag(void *to, const char *key, int value, vit_error *error) {
    VIT_TRY(json_key(to, key, error));
    return add(to, value ? "true" : "false", error);
}

static vit_status json_text(void *to, const char *key, const char *value, vit_error *error) {
    VIT_TRY(json_key(to, key, error));
    return vit_json_put_string(to, value, error);
}

static vit_status json_texts(void *to, const char *key, const char *const *values, size_t count, vit_error *error) {
    VIT_TRY(json_key(to, key, error));
    for (size_t i = 0; i < count; i++) {
        VIT_TRY(add(to, i ? "," : "[", error));
        VIT_TRY(vit_json_put_string(to, values[i] ? values[i] : "", error));
    }
    return add(to, "]", error);
}

static vit_status json_numbers(void *to, const char *key, const double *values, int count, number_kind kind,
                               vit_error *error) {
    (void)kind;
    VIT_TRY(json_key(to, key, error));
    for (int i = 0; i < count; i++) {
        VIT_TRY(add(to, count == 1 ? "" : i ? "," : "[", error));
        VIT_TRY(add(to, vit_show_number(values[i]).text, error));
    }
    return add(to, count == 1 ? "" : "]", error);
}

/* The object's text, with its end. */
static vit_status write_metadata_text(vit_buffer *out, const vit_model *model, vit_error *error) {
    VIT_TRY(put_metadata(&(sink){out, json_flag, json_text, json_texts, json_numbers}, model, error));
    return vit_buffer_append(out, "}", 2, "metadata", error);
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
    vit_status status = write_metadata_text(&text, s->model, error);
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
    if (model->ready_slots < model->slot_count)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the model's weights are not all there", name);
    if (model->options.compute != VIT_COMPUTE_F32)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the model is held as int8: load it as f32 to save it", name);
    if (model->config.resnet.stem_width && !model->options.raw_weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the convolutions are held standardised: load them as stored "
                        "(raw_weights) to save them", name);
    return VIT_OK;
}

vit_status vit_model_save(const vit_model *model, const char *path, const vit_save_options *options, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    saver s = {.model = model, .options = options, .is_gguf = !vit_has_ending(path, ".safetensors")};
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
