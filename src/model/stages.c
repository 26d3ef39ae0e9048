/* The forward pass of a ViT (paper section 3.1) as a list of stages. */
#include "stages.h"

#include <stdio.h>
#include <string.h>

struct stage_list {
    const vit_model *model;
    vit_stage *stages; /* NULL: counting */
    int count;
    int slots; /* read by the stages so far */
    double images, flops;
};

/* layer -1: a stage that is there once, and whose name has no number. multiply_adds: of one image. */
static void add_stage(struct stage_list *list, const char *name, int layer, void (*run)(vit_session *, int),
                      double multiply_adds, vit_view view) {
    for (const vit_slot *slot; list->slots < list->model->slot_count; list->slots++) {
        slot = &list->model->slots[list->slots];
        if (strcmp(slot->stage, name) != 0 || slot->layer != layer)
            break;
    }
    const double flops = 2 * list->images * multiply_adds;
    list->flops += flops;
    if (list->stages) {
        vit_stage *stage = &list->stages[list->count];
        *stage = (vit_stage){.run = run, .layer = layer, .slots = list->slots, .flops = flops, .view = view};
        if (layer < 0)
            snprintf(stage->name, sizeof stage->name, "%s", name);
        else
            snprintf(stage->name, sizeof stage->name, "%s.%d", name, layer);
    }
    list->count++;
}

int vit_stages_make(vit_session *s, vit_stage *stages) {
    const vit_config *c = &s->model->config;
    const double t = s->tokens, d = c->width, f = c->mlp_width, hidden = c->pre_logits, pooled = vit_pooled_width(c);
    const double map = c->pool == VIT_POOL_MAP ? 2 * t * d * d + d * d + 2 * t * d : 0;
    const vit_view none = {0}, tokens = {VIT_VIEW_TOKENS, s->x, 0, s->tokens, c->width};
    const vit_view patches = {VIT_VIEW_TOKENS, s->x, s->prefix, s->patches, c->width};
    const vit_view attention = {s->attention ? VIT_VIEW_ATTENTION : VIT_VIEW_NONE, s->attention, 0, s->tokens, 0};
    const vit_view normed = {VIT_VIEW_TOKENS, vit_final_tokens(s), 0, s->tokens, c->width};
    struct stage_list list = {.model = s->model, .stages = stages, .images = s->batch};

    add_stage(&list, "patch_embed", -1, vit_run_patch_embed, s->patches * d * 3 * c->patch_height * c->patch_width,
              patches);
    if (vit_positions_before_layers(c)) {
        const int first = s->prefix - vit_pos_prefix(c);
        add_stage(&list, "pos_embedding", -1, vit_run_positions, 0,
                  (vit_view){VIT_VIEW_TABLE, s->positions ? s->positions + (size_t)first * (size_t)c->width : NULL, 0, s->tokens - first, c->width});
    }
    add_stage(&list, "embed", -1, vit_run_embed, 0, tokens);
    for (int layer = 0; layer < vit_block_count(c); layer++) {
        const double keys = !c->axial ? t : s->prefix + (layer % 2 ? s->rows : s->columns);
        add_stage(&list, "qkv", layer, vit_run_qkv, t * d * 3 * d, none);
        add_stage(&list, "attn", layer, vit_run_attention, 2 * (s->patches * keys + s->prefix * t) * d, attention);
        add_stage(&list, "proj", layer, vit_run_proj, t * d * d, none);
        add_stage(&list, "fc1", layer, vit_run_fc1, t * d * f, none);
        add_stage(&list, "block", layer, vit_run_fc2, t * d * f, tokens);
    }
    add_stage(&list, "norm", -1, vit_run_norm, 0, normed);
    if (map)
        add_stage(&list, "map_attn", -1, vit_run_map_attention, map, (vit_view){VIT_VIEW_ATTENTION, s->map.attention, 0, 1, 0});
    add_stage(&list, "head_input", -1, vit_run_head_input, map ? d * d + 2 * d * f : 0,
              (vit_view){hidden ? VIT_VIEW_ROWS : VIT_VIEW_NONE, s->features, 0, 0, (int)pooled});
    if (c->pre_logits)
        add_stage(&list, "pre_logits_before_tanh", -1, vit_run_pre_logits, pooled * hidden,
                  (vit_view){VIT_VIEW_ROWS, s->features, 0, 0, c->pre_logits});
    add_stage(&list, "features", -1, vit_run_features, 0, (vit_view){VIT_VIEW_ROWS, s->features, 0, 0, vit_feature_width(c)});
    if (c->classes)
        add_stage(&list, "logits", -1, vit_run_logits, (double)vit_feature_width(c) * c->classes,
                  (vit_view){VIT_VIEW_ROWS, s->logits, 0, 0, c->classes});
    s->flops = list.flops;
    return list.count;
}
