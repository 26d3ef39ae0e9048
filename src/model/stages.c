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
    vit_stage counted;
};

/* The next stage reads the weights of this one. */
static void read_slots(struct stage_list *list, const char *stage, int layer) {
    for (const vit_slot *slot; list->slots < list->model->slot_count; list->slots++) {
        slot = &list->model->slots[list->slots];
        if (strcmp(slot->stage, stage) != 0 || slot->layer != layer)
            break;
    }
}

/* A stage that reads the slots of `reads` of this index, -1 where it is there once, which is its name as well.
 * multiply_adds: of one image. */
static vit_stage *put_stage(struct stage_list *list, const char *reads, int index, void (*run)(vit_session *, int),
                            double multiply_adds, vit_view view) {
    static const char *const names[] = {"%s", "%s.%d"};
    read_slots(list, reads, index);
    const double flops = 2 * list->images * multiply_adds;
    vit_stage *stage = list->stages ? &list->stages[list->count] : &list->counted;
    *stage = (vit_stage){.run = run, .index = index, .layer = -1, .slots = list->slots, .flops = flops, .view = view};
    snprintf(stage->name, sizeof stage->name, names[index >= 0], reads, index);
    list->flops += flops;
    list->count++;
    return stage;
}

/* layer -1: none. */
static void add_stage(struct stage_list *list, const char *name, int layer, void (*run)(vit_session *, int),
                      double multiply_adds, vit_view view) {
    put_stage(list, name, layer, run, multiply_adds, view)->layer = layer;
}

/* Stages of maps are called stage.N in hybrids and blockN in BiT, as in their sources; N counts from 1. */
static void add_resnet(struct stage_list *list, const vit_session *s) {
    const vit_config *c = &s->model->config;
    const vit_resnet *r = &c->resnet;
    const int is_bit = c->network == VIT_NETWORK_BIT, units = vit_unit_count(r);
    vit_stage *stage =
        put_stage(list, "conv_root", 0, vit_run_conv_root, vit_stem_multiply_adds(c, s->height, s->width),
                  vit_map_view(s, s->maps.side, -1, r->stem_width));
    strcpy(stage->name, "conv_root");
    stage = put_stage(list, "stem", 0, vit_run_stem, 0, vit_map_view(s, s->maps.main, 0, r->stem_width));
    strcpy(stage->name, is_bit ? "root" : "stem");
    for (int i = 0; i < units; i++) {
        const vit_unit_shape u = vit_unit_at(r, i);
        const int ends = i + 1 == units || vit_unit_at(r, i + 1).stage > u.stage;
        stage = put_stage(list, "unit", i, is_bit ? vit_run_unit_v2 : vit_run_unit,
                          vit_unit_multiply_adds(c, i, s->height, s->width),
                          ends ? vit_map_view(s, s->maps.main, u.stage, 4 * u.middle) : (vit_view){0});
        if (ends)
            snprintf(stage->name, sizeof stage->name, is_bit ? "block%d" : "stage.%d", u.stage + 1);
    }
}

/* From patches to normed tokens. */
static void add_encoder(struct stage_list *list, const vit_session *s) {
    const vit_config *c = &s->model->config;
    const int seen = s->prefix + s->visible;
    const double t = seen, d = c->width, f = c->mlp_width;
    const vit_view none = {0}, tokens = {VIT_VIEW_TOKENS, s->x, 0, seen, c->width};
    const vit_view patches = {VIT_VIEW_TOKENS, s->x, s->prefix, s->patches, c->width};
    const vit_view attention = {s->attention ? VIT_VIEW_ATTENTION : VIT_VIEW_NONE, s->attention, 0, seen, seen};
    const vit_view normed = {VIT_VIEW_TOKENS, vit_final_tokens(s), 0, seen, c->width};
    add_stage(list, "patch_embed", -1, vit_run_patch_embed,
              s->patches * d * vit_resnet_channels(&c->resnet) * c->patch_height * c->patch_width, patches);
    if (vit_positions_before_layers(c)) {
        const int first = vit_pos_prefix(c) ? 0 : s->prefix;
        add_stage(list, "pos_embedding", -1, vit_run_positions, 0,
                  (vit_view){VIT_VIEW_TABLE, s->positions ? s->positions + (size_t)first * (size_t)c->width : NULL, 0,
                             s->prefix + s->patches - first, c->width});
    }
    add_stage(list, "embed", -1, vit_run_embed, 0, tokens);
    const double products = c->pos_kind == VIT_POS_RELATIVE ? 3 : 2; /* of queries with distances, too */
    for (int layer = 0; layer < vit_block_count(c); layer++) {
        const double keys = !c->axial ? t : s->prefix + (layer % 2 ? s->rows : s->columns);
        add_stage(list, "qkv", layer, vit_run_qkv, t * d * 3 * d, none);
        add_stage(list, "attn", layer, vit_run_attention, products * (s->visible * keys + s->prefix * t) * d,
                  attention);
        add_stage(list, "proj", layer, vit_run_proj, t * d * d, none);
        add_stage(list, "fc1", layer, vit_run_fc1, t * d * (double)vit_fc1_rows(c), none);
        add_stage(list, "block", layer, vit_run_fc2, t * d * f, tokens);
    }
    add_stage(list, "norm", -1, vit_run_norm, 0, normed);
}

/* From normed tokens to what is predicted of all patches. */
static void add_decoder(struct stage_list *list, const vit_session *s) {
    const vit_config *c = &s->model->config, own = vit_decoder_config(c);
    const double t = s->prefix + s->patches, d = own.width, f = own.mlp_width, values = vit_prediction_values(c);
    const vit_view none = {0}, tokens = {VIT_VIEW_TOKENS, s->x, 0, (int)t, own.width};
    const char *const first = c->decoder.kind == VIT_DECODER_MAE ? "decoder_embed" : "prediction";
    while (list->slots < list->model->slot_count && strcmp(list->model->slots[list->slots].stage, first) != 0)
        list->slots++;
    if (c->decoder.kind == VIT_DECODER_MAE)
        put_stage(list, "decoder_embed", -1, vit_run_decoder_embed, (s->prefix + s->visible) * d * c->width, tokens);
    for (int layer = 0; layer < own.layers; layer++) {
        const struct {
            const char *name;
            void (*run)(vit_session *, int);
            double multiply_adds;
            vit_view view;
        } parts[] = {{"qkv", vit_run_qkv, t * d * 3 * d, none},
                     {"attn", vit_run_attention, 2 * t * t * d, none},
                     {"proj", vit_run_proj, t * d * d, none},
                     {"fc1", vit_run_fc1, t * d * f, none},
                     {"block", vit_run_fc2, t * d * f, tokens}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            vit_stage *stage =
                put_stage(list, parts[i].name, layer, parts[i].run, parts[i].multiply_adds, parts[i].view);
            snprintf(stage->name, sizeof stage->name, "decoder_%s.%d", parts[i].name, layer);
        }
    }
    if (c->decoder.kind == VIT_DECODER_MAE)
        put_stage(list, "decoder_norm", -1, vit_run_decoder_norm, 0,
                  (vit_view){VIT_VIEW_TOKENS, s->normed, 0, (int)t, own.width});
    put_stage(list, "prediction", -1, vit_run_prediction,
              t * values * (c->decoder.kind == VIT_DECODER_MAE ? d : c->width),
              (vit_view){VIT_VIEW_TOKENS, s->wide, s->prefix, s->patches, (int)values});
}

int vit_stages_make(vit_session *s, vit_stage *stages) {
    const vit_config *c = &s->model->config;
    const double t = s->tokens, d = c->width, f = c->mlp_width, hidden = c->pre_logits, pooled = vit_pooled_width(c);
    const double map = c->pool == VIT_POOL_MAP ? 2 * t * d * d + d * d + 2 * s->patches * d : 0;
    struct stage_list list = {.model = s->model, .stages = stages, .images = s->batch};
    if (c->resnet.stem_width)
        add_resnet(&list, s);
    if (c->network == VIT_NETWORK_BIT)
        add_stage(&list, "norm", -1, vit_run_map_norm, 0,
                  vit_map_view(s, s->maps.side, c->resnet.stages - 1, c->width));
    else
        add_encoder(&list, s);
    if (s->masked) {
        add_decoder(&list, s);
        s->flops = list.flops;
        return list.count;
    }
    if (map)
        add_stage(&list, "map_attn", -1, vit_run_map_attention, map,
                  (vit_view){VIT_VIEW_ATTENTION, s->map.attention, 0, 1, s->patches});
    add_stage(&list, "head_input", -1, vit_run_head_input, map ? d * d + 2 * d * f : 0,
              (vit_view){VIT_VIEW_ROWS, s->features, 0, 0, (int)pooled});
    if (c->pre_logits)
        add_stage(&list, "pre_logits_before_tanh", -1, vit_run_pre_logits, pooled * hidden,
                  (vit_view){VIT_VIEW_ROWS, s->features, 0, 0, c->pre_logits});
    add_stage(&list, "features", -1, vit_run_features, pooled * c->projection,
              (vit_view){VIT_VIEW_ROWS, s->features, 0, 0, vit_feature_width(c)});
    const vit_view logits = {VIT_VIEW_ROWS, s->logits, 0, 0, c->classes};
    const double head = (double)vit_feature_width(c) * c->classes;
    read_slots(&list, "logits", -1);
    if (c->classes && c->head_dist) {
        add_stage(&list, "cls_logits", -1, vit_run_class_logits, head, logits);
        add_stage(&list, "distillation_logits", -1, vit_run_dist_logits, head,
                  (vit_view){VIT_VIEW_ROWS, s->dist_logits, 0, 0, c->classes});
        add_stage(&list, "logits", -1, vit_run_mean_logits, 0, logits);
    } else if (c->classes) {
        add_stage(&list, "logits", -1, vit_run_class_logits, head, logits);
    }
    s->flops = list.flops;
    return list.count;
}
