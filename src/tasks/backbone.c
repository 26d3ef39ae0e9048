/* What features come of, in a few letters. */
#include "../base/hash.h"
#include "../model/model.h"
#include "../vit_tasks.h"

#include <stdio.h>
#include <string.h>

static uint64_t hash_of(const vit_model *model, const vit_preprocess *rules) {
    const vit_config *c = &model->config;
    const int shape[] = {c->network, c->layers, c->width, c->heads, c->mlp_width, c->patch_height, c->patch_width,
                         c->activation, c->pool, c->class_token, c->dist_token, c->registers, c->projection};
    uint64_t hash = vit_hash(VIT_HASH_BEGIN, shape, sizeof shape);
    const int feeding[] = {rules->filter, rules->crop, rules->height, rules->width};
    hash = vit_hash(hash, feeding, sizeof feeding);
    hash = vit_hash(hash, &rules->crop_pct, sizeof rules->crop_pct);
    hash = vit_hash(hash, rules->mean, sizeof rules->mean);
    hash = vit_hash(hash, rules->std, sizeof rules->std);
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        const int is_head = strcmp(slot->stage, "logits") == 0 || strcmp(slot->stage, "pre_logits") == 0;
        if (slot->rank == 1 && !is_head)
            hash = vit_hash(hash, slot->held.f32, slot->count * sizeof(float));
    }
    return hash;
}

void vit_model_backbone(const vit_model *model, const vit_preprocess *rules, vit_feature feature, char out[32]) {
    static const char *const words[] = {[VIT_FEATURE_HEAD] = "head", [VIT_FEATURE_CLASS] = "cls",
                                        [VIT_FEATURE_MEAN] = "mean"};
    snprintf(out, 32, "%016llx-%s", (unsigned long long)hash_of(model, rules), words[feature]);
}

int vit_model_feature_width(const vit_model *model, vit_feature feature) {
    return feature == VIT_FEATURE_HEAD ? vit_feature_width(&model->config) : model->config.width;
}

vit_status vit_probe_feature(const vit_probe *probe, const vit_model *model, const vit_preprocess *rules, const char *name,
                             vit_feature *out, vit_error *error) {
    const vit_probe_info info = vit_probe_get_info(probe);
    char backbone[32];
    for (*out = VIT_FEATURE_HEAD; *out <= VIT_FEATURE_MEAN; ++*out) {
        vit_model_backbone(model, rules, *out, backbone);
        if (strcmp(backbone, info.backbone) == 0 && info.width == vit_model_feature_width(model, *out))
            return VIT_OK;
    }
    return vit_fail(error, VIT_ERR_ARGUMENT, "%s: was made with another network, or pictures fed otherwise (size, crop, mean): "
                    "%.16s, this one is %.16s", name, info.backbone, backbone);
}
