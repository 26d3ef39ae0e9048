/* Models that come from no file: planned, without weights; initialised, with random ones. */
#include "convert.h"
#include "convolution.h"
#include "model.h"

#include "../base/rng.h"

#include <string.h>

/* ---- How weights begin: as in the paper's code (vit_jax models_vit.py, models_resnet.py), but for the last norm of a
 * hybrid's residual unit. It begins with 1 and not with 0, with which short trainings end much lower: with SGD on CIFAR-10
 * 780 updates at 49.7 %, where 637 from 1 end at 55.0 %. ---- */

enum rule {
    ZEROS,
    ONES,
    SMALL,    /* layer scale: 1e-5, as DINOv2 has it */
    NORMAL,   /* of deviation 0.02: positions and tokens */
    TINY,     /* of deviation 1e-6: biases of the MLP */
    XAVIER,   /* uniform, of variance 2 / (inputs + outputs) */
    LECUN     /* normal cut off at twice its deviation, of variance 1 / inputs */
};

/* The first part that a name has decides. */
static const struct {
    const char *part;
    enum rule rule;
} rules[] = {{"cls_token", ZEROS},     {"head", ZEROS},        {"gamma", SMALL},      {"token", NORMAL},
             {"pos", NORMAL},          {"rel_embed", NORMAL},  {"mlp.fc1.bias", TINY}, {"mlp.fc2.bias", TINY},
             {".bias", ZEROS},         {"norm", ONES},         {"attn", XAVIER},      {"mlp.", XAVIER},
             {"", LECUN}};

static enum rule rule_of(const char *name) {
    int i = 0;
    while (!strstr(name, rules[i].part))
        i++;
    return rules[i].rule;
}

/* Layers that one weight holds above each other: q, k and v; a gate and what it is for. */
static size_t stacked(const vit_config *c, const char *name) {
    return strstr(name, "qkv") ? 3 : strstr(name, ".kv.") || (c->mlp == VIT_MLP_SWIGLU && strstr(name, "fc1")) ? 2 : 1;
}

/* Values begin..begin+count-1 of a slot, into out [count]. */
static void draw(const vit_config *c, const vit_slot *slot, uint64_t key, size_t begin, size_t count, float *out) {
    const enum rule rule = rule_of(slot->name);
    const double inputs = (double)vit_slot_row(slot), outputs = (double)slot->shape[0] / (double)stacked(c, slot->name);
    const float limit = (float)__builtin_sqrt(6 / (inputs + outputs));
    const float deviation = (float)(__builtin_sqrt(1 / inputs) / 0.87962566103423978); /* before it was cut off */
    for (size_t i = 0; i < count; i++) {
        const uint64_t at = begin + i;
        switch (rule) {
        case ZEROS: out[i] = 0; break;
        case ONES: out[i] = 1; break;
        case SMALL: out[i] = 1e-5f; break;
        case NORMAL: out[i] = 0.02f * vit_random_normal(key, at); break;
        case TINY: out[i] = 1e-6f * vit_random_normal(key, at); break;
        case XAVIER: out[i] = limit * (2 * vit_random_unit(key, at) - 1); break;
        case LECUN: out[i] = deviation * vit_random_truncated(key, at); break;
        }
    }
}

/* Integers are made row by row. */
static vit_status fill_slot(const vit_model *model, vit_slot *slot, uint64_t seed, vit_error *error) {
    const uint64_t key = vit_random_key(seed, vit_random_stream(slot->name));
    slot->arrived = slot->count;
    slot->stored = VIT_F32;
    if (slot->held.f32) {
        draw(&model->config, slot, key, 0, slot->count, slot->held.f32);
        vit_standardize_slot(model, slot);
        return VIT_OK;
    }
    const size_t k = vit_slot_row(slot), columns = vit_int8_columns(k);
    float *row;
    VIT_TRY(vit_alloc_for((void **)&row, &model->options.allocator, k * sizeof *row, "a row of weights", error));
    for (size_t i = 0; i < (size_t)slot->shape[0]; i++) {
        draw(&model->config, slot, key, i * k, k, row);
        vit_quantize_row(row, k, slot->held.int8 + i * columns, &slot->held.scale[i], &slot->held.sum[i]);
    }
    vit_release(&model->options.allocator, row);
    return VIT_OK;
}

/* ---- Making models ---- */

/* A configuration of the caller's may hold anything; what does not fit together is found by vit_config_check. */
static vit_status check_numbers(const vit_config *c, vit_error *error) {
    const vit_field *whole = vit_fields;
    for (const vit_field *field = vit_fields; field < vit_fields + vit_field_count; field++) {
        const int value = *vit_field_at(c, field->config);
        if (field->kind != VIT_FIELD_REST)
            whole = field;
        if (value < 0 || (whole->kind == VIT_FIELD_WORD ? !vit_word_of(whole->words, value) : value > whole->most))
            return vit_fail(error, VIT_ERR_CONFIG, "%s: %s: %d is out of range", c->architecture, whole->key, value);
    }
    if (c->patch_height < 1 || c->patch_width < 1)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: patch %dx%d: expected at least 1x1", c->architecture,
                        c->patch_height, c->patch_width);
    return VIT_OK;
}

vit_status vit_model_plan(vit_model **out, const vit_config *config, const vit_options *options, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_model *model;
    *out = NULL;
    VIT_TRY(check_numbers(config, error));
    VIT_TRY(vit_config_check(config, &chosen.limits, config->architecture, error));
    VIT_TRY(vit_alloc_for((void **)&model, &chosen.allocator, sizeof *model, "the model", error));
    *model = (vit_model){.options = chosen, .config = *config, .source = "initialised"};
    model->container.allocator = &model->options.allocator;
    vit_status status = vit_model_make_slots(model, error);
    if (status != VIT_OK) {
        vit_model_close(model);
        return status;
    }
    *out = model;
    return VIT_OK;
}

static vit_status fill(vit_model *model, uint64_t seed, vit_error *error) {
    VIT_TRY(vit_model_alloc_weights(model, error));
    for (int i = 0; i < model->slot_count; i++)
        VIT_TRY(fill_slot(model, &model->slots[i], seed, error));
    model->ready_slots = model->slot_count;
    return VIT_OK;
}

vit_status vit_model_init(vit_model **out, const vit_config *config, uint64_t seed, const vit_options *options,
                          vit_error *error) {
    VIT_TRY(vit_model_plan(out, config, options, error));
    vit_status status = fill(*out, seed, error);
    if (status != VIT_OK) {
        vit_model_close(*out);
        *out = NULL;
    }
    return status;
}
