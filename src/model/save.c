/* A model as GGUF: configuration, preprocessing and labels as metadata, tensors in forward order under timm's names. */
#include "model.h"

#include "../base/half.h"
#include "../format/gguf.h"

#include <string.h>

static vit_status write_metadata(vit_gguf_writer *w, const vit_model *model, vit_error *error) {
    const vit_config *c = &model->config;
    const vit_preprocess *p = &c->preprocess;
    const uint32_t patch[2] = {(uint32_t)c->patch_height, (uint32_t)c->patch_width};
    const uint32_t image[2] = {(uint32_t)c->image_height, (uint32_t)c->image_width};
    const uint32_t input[2] = {(uint32_t)p->height, (uint32_t)p->width};
    VIT_TRY(vit_gguf_string(w, "general.architecture", "vit", error));
    VIT_TRY(vit_gguf_string(w, "general.name", c->architecture, error));
    VIT_TRY(vit_gguf_uint(w, "vit.block_count", (uint32_t)c->layers, error));
    VIT_TRY(vit_gguf_uint(w, "vit.embedding_length", (uint32_t)c->width, error));
    VIT_TRY(vit_gguf_uint(w, "vit.feed_forward_length", (uint32_t)c->mlp_width, error));
    VIT_TRY(vit_gguf_uint(w, "vit.attention.head_count", (uint32_t)c->heads, error));
    VIT_TRY(vit_gguf_float(w, "vit.attention.layer_norm_epsilon", c->norm_eps, error));
    if (patch[0] == patch[1])
        VIT_TRY(vit_gguf_uint(w, "vit.patch_size", patch[0], error));
    else
        VIT_TRY(vit_gguf_uints(w, "vit.patch_size", patch, 2, error));
    VIT_TRY(vit_gguf_uints(w, "vit.image_size", image, 2, error));
    VIT_TRY(vit_gguf_string(w, "vit.activation", vit_activation_name(c->activation), error));
    VIT_TRY(vit_gguf_string(w, "vit.pool", vit_pool_name(c->pool), error));
    VIT_TRY(vit_gguf_string(w, "vit.pos_embed.kind", "1d", error));
    VIT_TRY(vit_gguf_string(w, "vit.pos_embed.placement", "input", error));
    VIT_TRY(vit_gguf_string(w, "vit.pos_embed.resample", vit_resample_name(c->pos_resample), error));
    VIT_TRY(vit_gguf_bool(w, "vit.pos_embed.class_row", c->pos_class, error));
    VIT_TRY(vit_gguf_floats(w, "vit.preprocess.mean", p->mean, 3, error));
    VIT_TRY(vit_gguf_floats(w, "vit.preprocess.std", p->std, 3, error));
    VIT_TRY(vit_gguf_string(w, "vit.preprocess.filter", vit_filter_name(p->filter), error));
    VIT_TRY(vit_gguf_string(w, "vit.preprocess.crop_mode", vit_crop_name(p->crop), error));
    VIT_TRY(vit_gguf_double(w, "vit.preprocess.crop_pct", p->crop_pct, error));
    VIT_TRY(vit_gguf_uints(w, "vit.preprocess.size", input, 2, error));
    if (*c->label_set)
        VIT_TRY(vit_gguf_string(w, "vit.label_set", c->label_set, error));
    if (model->labels)
        VIT_TRY(vit_gguf_strings(w, "vit.labels", (const char *const *)model->labels, (size_t)c->classes, error));
    return VIT_OK;
}

/* Vectors are small and sensitive: they stay f32 unless they were stored narrower and nothing else is asked for. */
static vit_dtype stored_type(const vit_slot *slot, vit_dtype type) {
    if (type == VIT_DTYPE_OTHER)
        return slot->stored == VIT_Q8_0 ? VIT_F32 : slot->stored;
    return slot->rank == 1 ? VIT_F32 : type;
}

static vit_status write_slot(vit_gguf_writer *w, const vit_slot *slot, vit_dtype type, vit_error *error) {
    uint16_t piece[4096];
    if (type == VIT_F32)
        return vit_gguf_data(w, slot->held.f32, slot->count * sizeof(float), error);
    for (size_t begin = 0; begin < slot->count; begin += 4096) {
        size_t count = slot->count - begin < 4096 ? slot->count - begin : 4096;
        for (size_t i = 0; i < count; i++)
            piece[i] =
                type == VIT_F16 ? vit_f16_from_f32(slot->held.f32[begin + i]) : vit_bf16_from_f32(slot->held.f32[begin + i]);
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
    VIT_TRY(vit_gguf_open(&writer, path, &model->options.allocator, error));
    vit_status status = write_model(&writer, model, type, progress, context, error);
    vit_gguf_cancel(&writer);
    return status;
}
