/* A model as GGUF: configuration, preprocessing and labels as metadata, tensors in forward order under timm's names. */
#include "model.h"

#include "../base/half.h"
#include "../format/gguf.h"

#include <stdio.h>
#include <string.h>

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
    VIT_TRY(vit_gguf_string(w, "general.architecture", c->network == VIT_NETWORK_BIT ? "bit" : "vit", error));
    VIT_TRY(vit_gguf_string(w, "general.name", c->architecture, error));
    for (const vit_field *f = vit_fields; f < vit_fields + vit_field_count; f++)
        if ((c->resnet.stem_width || strncmp(f->key, "resnet.", 7) != 0) &&
            (c->decoder.kind || strncmp(f->key, "decoder.", 8) != 0))
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

/* Vectors are small and sensitive: they stay f32 unless they were stored narrower and nothing else is asked for. */
static vit_dtype stored_type(const vit_slot *slot, vit_dtype type) {
    if (type == VIT_DTYPE_OTHER)
        return slot->stored == VIT_F16 || slot->stored == VIT_BF16 ? slot->stored : VIT_F32;
    return slot->rank == 1 ? VIT_F32 : type;
}

static vit_status write_slot(vit_gguf_writer *w, const vit_slot *slot, vit_dtype type, vit_error *error) {
    uint16_t piece[4096];
    if (type == VIT_F32)
        return vit_gguf_data(w, slot->held.f32, slot->count * sizeof(float), error);
    for (size_t begin = 0; begin < slot->count; begin += 4096) {
        size_t count = slot->count - begin < 4096 ? slot->count - begin : 4096;
        for (size_t i = 0; i < count; i++)
            piece[i] = type == VIT_F16 ? vit_f16_from_f32(slot->held.f32[begin + i])
                                       : vit_bf16_from_f32(slot->held.f32[begin + i]);
        VIT_TRY(vit_gguf_data(w, piece, count * sizeof *piece, error));
    }
    return VIT_OK;
}

static vit_status write_model(vit_gguf_writer *w, const vit_model *model, vit_dtype type, vit_progress progress,
                              void *context, vit_error *error) {
    uint64_t done = 0, total = 0;
    VIT_TRY(write_metadata(w, model, error));
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        VIT_TRY(vit_gguf_tensor(w, slot->name, stored_type(slot, type), slot->rank, slot->shape, error));
        total += slot->count;
    }
    VIT_TRY(vit_gguf_header(w, error));
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        VIT_TRY(write_slot(w, slot, stored_type(slot, type), error));
        VIT_TRY(vit_gguf_data(w, NULL, 0, error));
        done += slot->count;
        if (progress && progress(context, done, total))
            return vit_fail(error, VIT_ERR_CANCELLED, "saving was cancelled");
    }
    return vit_gguf_commit(w, error);
}

vit_status vit_model_save(const vit_model *model, const char *path, vit_dtype type, vit_progress progress,
                          void *context, vit_error *error) {
    vit_gguf_writer writer;
    if (model->options.compute != VIT_COMPUTE_F32)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the model is held as int8: load it as f32 to save it", path);
    if (model->config.resnet.stem_width && !model->options.raw_weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: the convolutions are held standardised: load them as stored "
                        "(raw_weights) to save them", path);
    VIT_TRY(vit_gguf_open(&writer, path, &model->options.allocator, error));
    vit_status status = write_model(&writer, model, type, progress, context, error);
    vit_gguf_cancel(&writer);
    return status;
}
