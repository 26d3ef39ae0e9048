/* Models made from others: for fine-tuning, and the trainer's own. */
#include "trainer.h"

#include "../model/convolution.h"
#include "../model/posemb.h"

#include <string.h>

vit_status vit_model_empty(vit_model **out, const vit_config *config, const vit_options *options, vit_error *error) {
    vit_model *model;
    *out = NULL;
    VIT_TRY(vit_alloc_for((void **)&model, &options->allocator, sizeof *model, "the model", error));
    *model = (vit_model){.options = *options, .config = *config};
    vit_status status = vit_model_make_slots(model, error);
    if (status == VIT_OK)
        status = vit_model_alloc_weights(model, error);
    if (status != VIT_OK) {
        vit_model_close(model);
        return status;
    }
    memset(model->weight_arena.base, 0, model->weight_arena.size);
    model->ready_slots = model->slot_count;
    *out = model;
    return VIT_OK;
}

static vit_status check_weights(const vit_model *from, vit_error *error) {
    return from->ready_slots == from->slot_count
               ? VIT_OK
               : vit_fail(error, VIT_ERR_ARGUMENT, "the model's weights are not all there: nothing can be trained from them");
}

vit_status vit_model_copy(vit_model **out, const vit_model *from, const vit_options *options, vit_error *error) {
    vit_model *model;
    *out = NULL;
    VIT_TRY(check_weights(from, error));
    VIT_TRY(vit_model_empty(&model, &from->config, options, error));
    for (int i = 0; i < from->slot_count; i++) {
        memcpy(model->slots[i].held.f32, from->slots[i].held.f32, from->slots[i].count * sizeof(float));
        if (from->options.raw_weights)
            vit_standardize_slot(model, &model->slots[i]);
    }
    const vit_status status =
        from->labels ? vit_model_set_labels(model, (const char *const *)from->labels, from->config.classes, error)
                     : VIT_OK;
    if (status != VIT_OK) {
        vit_model_close(model);
        return status;
    }
    *out = model;
    return VIT_OK;
}

vit_status vit_trainer_snapshot(vit_model **out, const vit_trainer *t, vit_error *error) {
    const vit_model *model = t->average ? t->average : t->model;
    vit_options options = model->options;
    options.raw_weights = 0;
    return vit_model_copy(out, model, &options, error);
}

/* Positions of another grid; the rows before the patches' are copied. */
static vit_status resample(const vit_model *from, vit_model *to, vit_error *error) {
    const vit_config *a = &from->config, *b = &to->config;
    const int rows = vit_stored_rows(a), columns = vit_stored_columns(a), new_rows = vit_stored_rows(b),
              new_columns = vit_stored_columns(b), half = a->width / 2;
    const int distances = (int)vit_rel_rows(a), new_distances = (int)vit_rel_rows(b);
    const size_t first = (size_t)vit_pos_prefix(a) * (size_t)a->width;
    const vit_interpolation rule = vit_interpolation_of(a->pos_resample);
    const size_t bytes = vit_resample_bytes(a, new_rows, new_columns, new_distances);
    void *room;
    if (!bytes)
        return VIT_OK;
    VIT_TRY(vit_alloc_for(&room, &to->options.allocator, bytes, "interpolating positions", error));
    for (int layer = -1; layer < vit_block_count(a); layer++) {
        const vit_tables old = vit_tables_of(&from->weights, layer), new = vit_tables_of(&to->weights, layer);
        if (old.embed) {
            memcpy(new.embed, old.embed, first * sizeof(float));
            vit_posemb_interpolate(old.embed + first, rows, columns, a->width, rule, new_rows, new_columns,
                                   new.embed + first, room);
        } else if (old.x) {
            vit_posemb_interpolate(old.x, 1, columns, half, rule, 1, new_columns, new.x, room);
            vit_posemb_interpolate(old.y, 1, rows, half, rule, 1, new_rows, new.y, room);
        } else if (layer >= 0 && a->pos_kind == VIT_POS_RELATIVE) {
            vit_posemb_interpolate(from->weights.blocks[layer].rel_embed, 1, distances, a->width / a->heads, rule, 1,
                                   new_distances, to->weights.blocks[layer].rel_embed, room);
        }
    }
    vit_release(&to->options.allocator, room);
    return VIT_OK;
}

static vit_status fill(vit_model *model, const vit_model *from, const char *const *labels, vit_error *error) {
    for (int i = 0; i < model->slot_count; i++) {
        vit_slot *slot = &model->slots[i];
        const vit_slot *source = vit_model_slot((vit_model *)from, slot->name);
        const int is_head = slot->held.f32 == model->weights.head_weight || slot->held.f32 == model->weights.head_bias;
        if (!is_head && source && source->count == slot->count)
            memcpy(slot->held.f32, source->held.f32, slot->count * sizeof(float));
    }
    const vit_config *c = &model->config;
    if (c->image_height != from->config.image_height || c->image_width != from->config.image_width)
        VIT_TRY(resample(from, model, error));
    return labels ? vit_model_set_labels(model, labels, model->config.classes, error) : VIT_OK;
}

vit_status vit_model_adapt(vit_model **out, const vit_model *from, int classes, int height, int width,
                           const char *const *labels, vit_error *error) {
    vit_config c = from->config;
    vit_model *model;
    *out = NULL;
    if (from->options.compute != VIT_COMPUTE_F32)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "the model is held as int8: load it as f32 to fine-tune it");
    VIT_TRY(check_weights(from, error));
    if (classes < 1)
        return vit_fail(error, VIT_ERR_ARGUMENT, "a head for %d classes", classes);
    c.classes = classes;
    c.pre_logits = 0;
    c.decoder = (vit_decoder){0};
    c.label_set[0] = 0;
    c.known_percent = 0; /* it was measured with the old head */
    if (height || width) {
        c.preprocess.height = height;
        c.preprocess.width = width;
    }
    c.image_height = c.preprocess.height; /* positions may be of another size than what the network is fed */
    c.image_width = c.preprocess.width;
    vit_error wrong;
    const vit_status fits = vit_config_check(&c, &from->options.limits, c.architecture, &wrong);
    if (fits != VIT_OK) /* from was right, so it is the size that was asked for */
        return vit_fail(error, fits == VIT_ERR_CONFIG ? VIT_ERR_ARGUMENT : fits, "%s", wrong.text);
    VIT_TRY(vit_model_empty(&model, &c, &from->options, error));
    const vit_status status = fill(model, from, labels, error);
    if (status != VIT_OK) {
        vit_model_close(model);
        return status;
    }
    *out = model;
    return VIT_OK;
}
