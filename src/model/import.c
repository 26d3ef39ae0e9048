/* From a container of foreign tensors to slots of our own: names, layouts, and what only shapes tell. */
#include "convert.h"
#include "model.h"
#include "names.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- What shapes tell ---- */

/* A tensor of the file under our name and in our axes, that of layers left out. */
typedef struct own_tensor {
    vit_name name;
    int rank;
    int64_t shape[8];
} own_tensor;

/* The tensors of a file, and what is claimed of them. */
typedef struct import {
    vit_model *model;
    const char *file;
    vit_claims *claims;
    own_tensor *own;          /* [tensor_count] */
    const vit_family *family; /* of the first that has one */
    vit_error *error;
} import;

static void swap(int64_t *a, int64_t *b) {
    const int64_t kept = *a;
    *a = *b;
    *b = kept;
}

static void see_own(const vit_tensor_info *tensor, own_tensor *own) {
    own->name = vit_translate(tensor->name);
    const int skip = own->name.stacked && tensor->rank;
    int64_t *const shape = own->shape;
    own->rank = tensor->rank - skip;
    memcpy(shape, tensor->shape + skip, (size_t)own->rank * sizeof *shape);
    if (own->name.kernel && own->rank == 4) { /* [H,W,I,O] -> [O,I,H,W] */
        swap(&shape[0], &shape[3]);
        swap(&shape[1], &shape[2]);
        swap(&shape[2], &shape[3]);
    } else if (own->name.kernel && own->rank == 2) {
        swap(&shape[0], &shape[1]);
    }
}

static const own_tensor *find(const import *in, const char *own) {
    for (int i = 0; i < in->model->container.tensor_count; i++)
        if (strcmp(in->own[i].name.own, own) == 0)
            return &in->own[i];
    return NULL;
}

/* The same for a name in two pieces. */
static const own_tensor *find_in(const import *in, const char *prefix, const char *rest) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, rest);
    return find(in, name);
}

static int count_layers(const import *in, const char *prefix) {
    int layers = 0, layer;
    for (int i = 0; i < in->model->container.tensor_count; i++) {
        const vit_tensor_info *tensor = &in->model->container.tensors[i];
        if (!vit_after_layer(in->own[i].name.own, prefix, &layer))
            continue;
        if (in->own[i].name.stacked && tensor->rank && tensor->shape[0] > 0 && tensor->shape[0] < 1 << 24)
            layer = (int)tensor->shape[0] - 1;
        layers = layer >= layers ? layer + 1 : layers;
    }
    return layers;
}

/* Dimension of a tensor as an int; 0 where there is none or it is not sane. */
static int dimension(const own_tensor *tensor, int rank, int index) {
    if (!tensor || tensor->rank != rank || tensor->shape[index] < 1 || tensor->shape[index] > 1 << 24)
        return 0;
    return (int)tensor->shape[index];
}

/* Outputs of a linear layer: by its bias, whose shape cannot be transposed, or else by its weight. */
static int outputs(const import *in, const char *prefix, const char *layer) {
    char name[64];
    snprintf(name, sizeof name, "%s.bias", layer);
    int count = dimension(find_in(in, prefix, name), 1, 0);
    snprintf(name, sizeof name, "%s.weight", layer);
    return count ? count : dimension(find_in(in, prefix, name), 2, 0);
}

/* Inputs of a linear layer whose weight is [outputs,inputs]; 0 where it is laid out otherwise. */
static int columns(const own_tensor *weight) {
    return weight && !weight->name.kernel ? dimension(weight, 2, 1) : 0;
}

static void settle(int *claim, int value) {
    if (*claim == VIT_UNSET)
        *claim = value;
}

/* 0 where that is no picture. */
static int grid_pixels(int cells, int patch) {
    const int64_t pixels = (int64_t)cells * patch;
    return pixels <= 65535 ? (int)pixels : 0;
}

/* Whether the file is vit_jax's or big_vision's, and no config says that it is meant for timm or Hugging Face's code. */
static int speaks_jax(const import *in) {
    return vit_family_is_jax(in->family) && in->claims->source != VIT_SOURCE_TIMM && in->claims->source != VIT_SOURCE_HF;
}

/* ---- Convolutions ---- */

/* Channels of a group norm, which some files keep as [1,1,1,C]; 0 where there is none. */
static int norm_channels(const import *in, const char *name) {
    const own_tensor *tensor = find(in, name);
    return tensor ? dimension(tensor, tensor->rank, tensor->rank - 1) : 0;
}

/* The convolutional part of a network whose units are called PREFIXstages.S.blocks.B. */
static void settle_resnet(const import *in, const char *prefix, const char *stem_norm) {
    vit_claims *c = in->claims;
    int *const units[] = {&c->resnet_units_1, &c->resnet_units_2, &c->resnet_units_3, &c->resnet_units_4};
    int stages = 0, counts[4] = {0}, stage, block;
    char name[64];
    snprintf(name, sizeof name, "%sstages.", prefix);
    for (int i = 0; i < in->model->container.tensor_count; i++) {
        const char *rest = vit_after_layer(in->own[i].name.own, name, &stage);
        if (!rest || stage > 3 || !vit_after_layer(rest, "blocks.", &block))
            continue;
        stages = stage >= stages ? stage + 1 : stages;
        counts[stage] = block >= counts[stage] ? block + 1 : counts[stage];
    }
    settle(&c->resnet_stages, stages);
    for (int i = 0; i < 4; i++)
        settle(units[i], counts[i]);
    snprintf(name, sizeof name, "%sstages.0.blocks.0.norm2.weight", prefix);
    settle(&c->resnet_width, norm_channels(in, name));
    snprintf(name, sizeof name, "%s%s", prefix, stem_norm);
    settle(&c->resnet_stem_width, norm_channels(in, name));
}

static void settle_backbone(const import *in) {
    const int has_stem = find(in, "patch_embed.backbone.stem.conv.weight") != NULL;
    if (!has_stem && !find(in, "patch_embed.backbone.conv.weight"))
        return;
    settle_resnet(in, "patch_embed.backbone.", has_stem ? "stem.norm.weight" : "norm.weight");
    settle(&in->claims->resnet_kind, speaks_jax(in) ? VIT_RESNET_HYBRID_JAX : VIT_RESNET_HYBRID_TIMM);
}

/* JAX's names of convolutions are the same in a hybrid and in BiT; ours are timm's, which says where they belong. */
static void place_convolutions(const import *in) {
    const int count = in->model->container.tensor_count;
    const int is_hybrid = find(in, "patch_embed.proj.weight") != NULL, has_stages = find(in, "stages.0.blocks.0.conv1.weight") != NULL;
    if (!in->family || !find(in, "stem.conv.weight"))
        return;
    for (own_tensor *own = in->own; own < in->own + count; own++) {
        char name[sizeof own->name.own], *const old = own->name.own;
        const int is_stem = strncmp(old, "stem.", 5) == 0, is_head = strncmp(old, "head.", 5) == 0;
        snprintf(name, sizeof name, "%s", old);
        if (is_hybrid && (is_stem || strncmp(old, "stages.", 7) == 0))
            snprintf(old, sizeof name, "patch_embed.backbone.%.40s", name + (is_stem && !has_stages ? 5 : 0));
        else if (!is_hybrid && is_head)
            snprintf(old, sizeof name, "head.fc.%.20s", name + 5);
    }
}

static void settle_preprocess(const import *in) {
    vit_claims *c = in->claims;
    const int hf = c->source == VIT_SOURCE_HF, jax = speaks_jax(in);
    for (int i = 0; i < 3; i++) {
        c->mean[i] = c->has_mean ? c->mean[i] : 0.5f;
        c->std[i] = c->has_std ? c->std[i] : 0.5f;
    }
    settle(&c->filter, jax ? VIT_FILTER_TF_BILINEAR : hf ? VIT_FILTER_BILINEAR : VIT_FILTER_BICUBIC);
    settle(&c->crop, hf || jax ? VIT_CROP_SQUASH : VIT_CROP_CENTER);
    c->crop_pct = c->crop_pct > 0 ? c->crop_pct : hf || jax ? 1 : 0.9;
    settle(&c->input_height, c->image_height);
    settle(&c->input_width, c->image_width);
}

static int side_of(int cells) {
    return cells > 0 ? (int)lround(sqrt(cells)) : 0;
}

/* Pixels of the picture that one of the last map stands for along each side; 1 where there are no convolutions. */
static int claimed_stride(const vit_claims *c) {
    const vit_resnet resnet = {.stages = c->resnet_stages, .stem_width = c->resnet_stem_width > 0};
    return vit_resnet_stride(&resnet);
}

/* For which of the tokens before the patches a 1-D table has rows: those that are left when the patches of the claimed
 * picture, or of a square one, have theirs. */
static void settle_prefix_rows(vit_claims *c, int rows) {
    const int tokens = c->class_token + c->dist_token, all = tokens + c->registers, candidates[] = {0, all, tokens};
    const int is_known = c->image_height > 0 && c->patch_height > 0 && c->patch_width > 0, stride = claimed_stride(c);
    const int patches = !is_known ? 0
                                  : (c->image_height + stride - 1) / stride / c->patch_height *
                                        ((c->image_width + stride - 1) / stride / c->patch_width);
    int has = tokens;
    for (int i = 0; i < 3; i++) {
        const int left = rows - candidates[i];
        if (patches ? left == patches : left > 0 && side_of(left) * side_of(left) == left)
            has = candidates[i];
    }
    settle(&c->pos_class, tokens && has >= tokens);
    settle(&c->pos_registers, c->registers && has == all);
}

/* Heads of [D,H,K]. */
static int kernel_heads(const import *in) {
    const own_tensor *query = find(in, "blocks.0.attn.qkv.weight");
    return query && query->name.kernel ? dimension(query, 3, 1) : 0;
}

/* What position embeddings there are, and for how large a picture: tables tell. */
static void settle_positions(const import *in) {
    vit_claims *c = in->claims;
    const char *const before = find(in, "pos_embed") || find(in, "pos_x") ? "" : c->axial ? "blocks.0.row." : "blocks.0.";
    const own_tensor *table = find_in(in, before, "pos_embed"), *x = find_in(in, before, "pos_x"),
                     *y = find_in(in, before, "pos_y"), *distances = find_in(in, before, "attn.rel_embed");
    settle(&c->pos_kind, x                     ? VIT_POS_2D
                         : distances           ? VIT_POS_RELATIVE
                         : !table && speaks_jax(in) ? VIT_POS_SINCOS2D
                                               : VIT_POS_1D);
    settle(&c->pos_placement, (table || x) && *before ? VIT_POS_LAYERS : VIT_POS_INPUT);
    if (table)
        settle_prefix_rows(c, dimension(table, 3, 1));
    settle(&c->pos_class, c->pos_kind == VIT_POS_2D ? find_in(in, before, "pos_cls") != NULL : c->pos_kind == VIT_POS_1D);
    c->pos_class &= c->class_token;
    settle(&c->pos_registers, 0);
    /* Tables of the paper's other variants are interpolated linearly along their own axes. */
    const int own_axes = c->pos_kind == VIT_POS_2D || c->pos_kind == VIT_POS_RELATIVE || c->pos_placement != VIT_POS_INPUT;
    settle(&c->pos_resample, own_axes || speaks_jax(in)          ? VIT_RESAMPLE_JAX
                             : vit_family_is_jax(in->family)      ? VIT_RESAMPLE_BILINEAR
                             : c->source == VIT_SOURCE_HF ? VIT_RESAMPLE_HF
                                                           : VIT_RESAMPLE_TIMM);
    /* A square grid of as many patches as the table has rows, 224 pixels where there is no table. */
    const int prefix = c->pos_class * (c->class_token + c->dist_token) + c->pos_registers * c->registers;
    const int tokens = c->class_token + c->dist_token + c->registers;
    const int side = side_of(distances ? (dimension(distances, 2, 0) + 1) / 2 - tokens : dimension(table, 3, 1) - prefix);
    const int cell = claimed_stride(c), pixels = table || x || distances || c->pos_kind == VIT_POS_1D ? 0 : 224;
    settle(&c->image_height, pixels ? pixels : grid_pixels(x ? cell * dimension(y, 2, 0) : cell * side, c->patch_height));
    settle(&c->image_width, pixels ? pixels : grid_pixels(x ? cell * dimension(x, 2, 0) : cell * side, c->patch_width));
}

static void settle_classes(const import *in, const char *head) {
    vit_claims *c = in->claims;
    const int classes = outputs(in, "", head);
    if (classes)
        settle(&c->classes, classes);
    else if (c->classes <= 0) /* if they are claimed, their absence will be an error */
        c->classes = c->has_head == 1 ? c->label_count + !c->label_count : 0;
}

static void settle_bit(const import *in) {
    vit_claims *c = in->claims;
    settle_resnet(in, "", "stages.0.blocks.0.norm1.weight");
    settle(&c->resnet_kind, c->source == VIT_SOURCE_TIMM              ? VIT_BIT_TIMM
                            : vit_family_is_transfer(in->family) ? VIT_BIT_TRANSFER
                            : vit_family_is_jax(in->family)      ? VIT_BIT_VISION
                                                                 : VIT_BIT_TIMM);
    settle(&c->width, norm_channels(in, "norm.weight"));
    settle_classes(in, "head.fc");
    c->layers = c->heads = c->mlp_width = c->class_token = c->pos_class = 0;
    c->patch_height = c->patch_width = 1;
    c->pool = VIT_POOL_MEAN;
    c->pos_kind = VIT_POS_NONE;
    c->norm_eps = vit_resnet_rules_of((vit_resnet_kind)c->resnet_kind)->norm_eps;
    settle(&c->image_height, 224);
    settle(&c->image_width, 224);
    settle(&c->filter, VIT_FILTER_BILINEAR);
    settle_preprocess(in);
}

/* A decoder of pixels. What is claimed of one that the file does not have is dropped. */
static void settle_decoder(const import *in) {
    vit_claims *c = in->claims;
    const int has_layers = find(in, "decoder_embed.weight") != NULL;
    settle(&c->decoder_kind, !find(in, "decoder_pred.weight") ? VIT_DECODER_NONE
                             : has_layers                     ? VIT_DECODER_MAE
                                                              : VIT_DECODER_SIMMIM);
    if (c->decoder_kind != VIT_DECODER_MAE) {
        c->decoder_layers = c->decoder_width = c->decoder_heads = c->decoder_mlp_width = 0;
        return;
    }
    settle(&c->decoder_layers, count_layers(in, "decoder_blocks."));
    settle(&c->decoder_width, outputs(in, "", "decoder_embed"));
    settle(&c->decoder_mlp_width, outputs(in, "decoder_blocks.0.", "mlp.fc1"));
}

/* What tensors and their shapes tell, where nobody has claimed anything; then the default of the source's own code. */
static vit_status settle_claims(const import *in) {
    vit_claims *c = in->claims;
    const own_tensor *patch = find(in, "patch_embed.proj.weight");
    if (find(in, "stem.conv.weight"))
        c->network = VIT_NETWORK_BIT;
    if (c->network == VIT_NETWORK_BIT) {
        settle_bit(in);
        return VIT_OK;
    }
    if (!patch && !find(in, "blocks.0.norm1.weight") && !find(in, "blocks.0.row.norm1.weight"))
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                        "%s: not a Vision Transformer: it has neither patch_embed.proj.weight (timm) nor "
                        "vit.embeddings.patch_embeddings.projection.weight (Hugging Face)",
                        in->file);
    settle(&c->axial, find(in, "blocks.0.row.norm1.weight") != NULL);
    const char *const block = c->axial ? "blocks.0.row." : "blocks.0.";
    const int jax = speaks_jax(in), width = outputs(in, block, "norm1");
    settle_backbone(in);
    settle(&c->width, width ? width : dimension(patch, 4, 0));
    settle(&c->patch_height, dimension(patch, 4, 2));
    settle(&c->patch_width, dimension(patch, 4, 3));
    settle(&c->layers, count_layers(in, "blocks."));
    const int heads = kernel_heads(in);
    if (heads)
        settle(&c->heads, heads);
    if (heads && c->heads != heads)
        return vit_fail(in->error, VIT_ERR_CONFIG, "%s: the configuration says %d attention heads, the shapes of the file %d",
                        in->file, c->heads, heads);
    const int fc1 = outputs(in, block, "mlp.fc1"), hidden = columns(find_in(in, block, "mlp.fc2.weight"));
    settle(&c->mlp, hidden && fc1 == 2 * hidden ? VIT_MLP_SWIGLU : VIT_MLP_PLAIN);
    settle(&c->mlp_width, c->mlp == VIT_MLP_SWIGLU ? fc1 / 2 : fc1);
    settle_classes(in, "head");
    settle(&c->class_token, find(in, "cls_token") != NULL);
    settle(&c->dist_token, find(in, "dist_token") != NULL);
    settle(&c->registers, dimension(find(in, "reg_token"), 3, 1));
    settle_positions(in);
    settle(&c->head_dist, outputs(in, "", "head_dist") > 0);
    settle(&c->pre_norm, find(in, "norm_pre.weight") != NULL);
    settle(&c->patch_bias, !c->pre_norm || find(in, "patch_embed.proj.bias") != NULL);
    settle(&c->qkv_bias, find_in(in, block, "attn.qkv.bias") != NULL);
    settle(&c->layer_scale, find_in(in, block, "ls1.gamma") != NULL);
    settle(&c->pool_norm, find(in, "fc_norm.weight") != NULL);
    settle(&c->final_norm, find(in, "norm.weight") != NULL || !c->pool_norm);
    settle(&c->pre_logits, c->source == VIT_SOURCE_HF && c->classes ? 0 : outputs(in, "", "pre_logits.fc"));
    settle(&c->projection, dimension(find(in, "projection.weight"), 2, 0));
    settle_decoder(in);
    settle(&c->activation, jax ? VIT_GELU_TANH : VIT_GELU_ERF);
    const int concatenated = c->classes && columns(find(in, "head.weight")) == 2 * c->width;
    settle(&c->pool, find(in, "attn_pool.latent") ? VIT_POOL_MAP
                     : !c->class_token            ? VIT_POOL_MEAN
                     : concatenated               ? VIT_POOL_CLASS_MEAN
                                                  : VIT_POOL_CLASS);
    c->norm_eps = c->norm_eps >= 0 ? c->norm_eps : 1e-6;
    settle_preprocess(in);
    return VIT_OK;
}

/* Numbers and words that still nobody has claimed are 0: such a part is not there. */
static void fill_config(vit_config *config, const vit_claims *claims) {
    vit_preprocess *p = &config->preprocess;
    for (int i = 0; i < vit_field_count; i++) {
        const int claim = *vit_field_at(claims, vit_fields[i].claim);
        *vit_field_at(config, vit_fields[i].config) = claim != VIT_UNSET ? claim : 0;
    }
    config->network = claims->network;
    config->norm_eps = (float)claims->norm_eps;
    memcpy(p->mean, claims->mean, sizeof p->mean);
    memcpy(p->std, claims->std, sizeof p->std);
    p->crop_pct = claims->crop_pct;
    snprintf(config->architecture, sizeof config->architecture, "%s", claims->architecture);
    snprintf(config->label_set, sizeof config->label_set, "%s", config->classes == 1000 ? claims->label_set : "");
}

static vit_status check_resnet(const vit_config *c, const vit_limits *limits, const char *name, vit_error *error) {
    const vit_resnet *r = &c->resnet;
    const int is_bit = c->network == VIT_NETWORK_BIT, units = vit_unit_count(r);
    if ((r->kind >= VIT_BIT_TRANSFER) != is_bit)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: convolutions of kind %s do not belong to this network", name,
                        vit_word_of(vit_resnet_words, r->kind));
    if (units > (int)limits->layers)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %d residual units, the limit is %u (limit layers)", name, units,
                        limits->layers);
    if (is_bit && (!r->stages || c->width != vit_resnet_channels(r)))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: features of %d channels: expected 1 to 4 stages, whose last has %d",
                        name, c->width, vit_resnet_channels(r));
    for (int i = 0; i < r->stages; i++)
        if (r->units[i] < 1)
            return vit_fail(error, VIT_ERR_CONFIG, "%s: stage %d of %d has no residual unit", name, i + 1, r->stages);
    if (r->stem_width < 1 || (r->stages && r->width < 1) || r->stem_width % VIT_NORM_GROUPS || r->width % VIT_NORM_GROUPS)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: %d channels of the stem and %d of the first stage: expected multiples of %d", name,
                        r->stem_width, r->width, VIT_NORM_GROUPS);
    return VIT_OK;
}

static vit_status check_encoder(const vit_config *c, const vit_limits *limits, const char *name, vit_error *error) {
    if (!c->heads)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: the number of attention heads is in no tensor's shape: a config.json is needed beside the "
                        "file, or given with it",
                        name);
    if (c->layers < 1 || c->width < 1 || c->mlp_width < 1 || c->patch_height < 1 || c->patch_width < 1)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: layers %d, width %d, MLP width %d, patch %dx%d: each must be at least 1", name, c->layers,
                        c->width, c->mlp_width, c->patch_height, c->patch_width);
    if ((uint32_t)c->layers > limits->layers)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %d layers, the limit is %u (limit layers)", name, c->layers,
                        limits->layers);
    if (c->heads < 1 || c->width % c->heads)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: width %d is not divisible by %d heads", name, c->width, c->heads);
    if (!vit_grid_side(c, c->image_height, c->patch_height) || !vit_grid_side(c, c->image_width, c->patch_width))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: image %dx%d is smaller than a patch of %dx%d", name,
                        c->image_height, c->image_width, c->patch_height, c->patch_width);
    if (vit_pos_rows(c) > limits->tokens)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %lld tokens, the limit is %u (limit tokens)", name,
                        (long long)vit_pos_rows(c), limits->tokens);
    if (vit_rel_rows(c) > 1 << 24)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %d tokens before the patches: too many", name, vit_prefix_tokens(c));
    if ((c->pos_kind == VIT_POS_2D && c->width % 2) || (c->pos_kind == VIT_POS_SINCOS2D && c->width % 4))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: width %d cannot be split into %d for positions of two axes", name, c->width,
                        c->pos_kind == VIT_POS_2D ? 2 : 4);
    if ((c->pool == VIT_POOL_CLASS || c->pool == VIT_POOL_CLASS_MEAN) && !c->class_token)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: pooling takes the class token, but there is none", name);
    if (c->head_dist && (!c->dist_token || c->pool != VIT_POOL_CLASS || vit_feature_width(c) != c->width))
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: a distillation head: expected a distillation token, and the class token as features", name);
    if (c->pre_logits && c->projection)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: both a hidden layer before the head and a projection: expected one",
                        name);
    return VIT_OK;
}

static vit_status check_decoder(const vit_config *c, const vit_limits *limits, const char *name, vit_error *error) {
    const vit_decoder *d = &c->decoder;
    if (c->network != VIT_NETWORK_VIT || c->resnet.stem_width || c->axial || c->pos_placement != VIT_POS_INPUT ||
        c->pos_kind == VIT_POS_RELATIVE)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: a decoder of pixels: expected an encoder of patches of pixels with positions at its input",
                        name);
    if (d->kind == VIT_DECODER_SIMMIM)
        return VIT_OK;
    if (c->mlp != VIT_MLP_PLAIN || c->dist_token || c->registers)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: a masked autoencoder with SwiGLU, a distillation token or registers is not supported", name);
    if (d->layers < 1 || d->width < 1 || d->mlp_width < 1 || d->heads < 1 || d->width % d->heads)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: decoder of %d layers, width %d, MLP width %d, %d heads: each must be at least 1, and the "
                        "width divisible by the heads",
                        name, d->layers, d->width, d->mlp_width, d->heads);
    if ((uint32_t)d->layers > limits->layers)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %d layers of the decoder, the limit is %u (limit layers)", name,
                        d->layers, limits->layers);
    return VIT_OK;
}

vit_status vit_config_check(const vit_config *c, const vit_limits *limits, const char *name, vit_error *error) {
    const vit_preprocess *p = &c->preprocess;
    if (c->resnet.stem_width || c->network == VIT_NETWORK_BIT)
        VIT_TRY(check_resnet(c, limits, name, error));
    if (c->network == VIT_NETWORK_VIT)
        VIT_TRY(check_encoder(c, limits, name, error));
    if (c->decoder.kind != VIT_DECODER_NONE)
        VIT_TRY(check_decoder(c, limits, name, error));
    const uint64_t rows = (uint64_t)vit_grid_side(c, p->height, c->patch_height),
                   columns = (uint64_t)vit_grid_side(c, p->width, c->patch_width);
    if (!rows || !columns || rows * columns >= limits->tokens)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: input of %dx%d pixels: expected at least one patch of %dx%d and fewer than %u patches",
                        name, p->height, p->width, c->patch_height, c->patch_width, limits->tokens);
    if (!(p->crop_pct > 0 && p->crop_pct <= 1))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: crop_pct %g: expected more than 0 and at most 1", name,
                        p->crop_pct);
    for (int i = 0; i < 3; i++)
        if (!(fabsf(c->preprocess.std[i]) > 0) || !isfinite(c->preprocess.mean[i]) || !isfinite(c->preprocess.std[i]))
            return vit_fail(error, VIT_ERR_CONFIG, "%s: pixel mean %g and standard deviation %g cannot be used", name,
                            c->preprocess.mean[i], c->preprocess.std[i]);
    return VIT_OK;
}

/* ---- Tensors to slots ---- */

static void shape_text(int rank, const int64_t *shape, char *out, size_t size) {
    int used = snprintf(out, size, "[");
    for (int i = 0; i < rank && used < (int)size - 24; i++)
        used += snprintf(out + used, size - (size_t)used, i ? ",%lld" : "%lld", (long long)shape[i]);
    snprintf(out + used, size - (size_t)used, "]");
}

/* Equal but for leading dimensions of 1, which GGUF writers may drop. */
static int same_shape(int rank, const int64_t *shape, int other_rank, const int64_t *other) {
    while (rank && shape[0] == 1)
        shape++, rank--;
    while (other_rank && other[0] == 1)
        other++, other_rank--;
    return rank == other_rank && memcmp(shape, other, (size_t)rank * sizeof *shape) == 0;
}

/* Where one tensor's axes go in a slot of the shape [rank]; 0 if they do not fit. */
static int place_axes(const own_tensor *own, const vit_tensor_info *tensor, int rank, const int64_t *shape, size_t *stride) {
    const int skip = own->name.stacked, count = tensor->rank - skip;
    const int64_t *dims = tensor->shape + skip;
    int64_t outputs = rank ? shape[0] : 1, inputs = 1, step = 1;
    if (rank == 4 && count == 4 && own->name.kernel) {
        const size_t steps[] = {(size_t)shape[3], 1, (size_t)(shape[2] * shape[3]),
                                (size_t)(shape[1] * shape[2] * shape[3])};
        memcpy(stride + skip, steps, sizeof steps);
        return same_shape(own->rank, own->shape, rank, shape);
    }
    for (int i = 1; i < rank; i++)
        inputs *= shape[i];
    if (!own->name.kernel) {
        for (int i = count; i-- > 0; step *= dims[i])
            stride[skip + i] = (size_t)step;
        return rank == 1 && vit_family_is_jax(own->name.family) ? step == outputs : same_shape(count, dims, rank, shape);
    }
    /* From the last axis on, so many as make up the outputs; then the inputs. */
    int axis = count;
    for (; axis > 0 && step < outputs; step *= dims[axis])
        stride[skip + --axis] = (size_t)(step * inputs);
    if (step != outputs)
        return 0;
    for (step = 1; axis-- > 0; step *= dims[axis])
        stride[skip + axis] = (size_t)step;
    return step == inputs;
}

static vit_status wrong_shape(const import *in, const own_tensor *own, const vit_tensor_info *tensor, int rank,
                              const int64_t *shape) {
    char expected[100], found[160];
    int64_t foreign[4];
    for (int i = 0; i < rank; i++)
        foreign[i] = shape[own->name.kernel ? (i + (rank == 4 ? 2 : 1)) % rank : i];
    if (own->name.kernel && rank == 4)
        swap(&foreign[2], &foreign[3]);
    shape_text(rank, foreign, expected, sizeof expected);
    shape_text(tensor->rank, tensor->shape, found, sizeof found);
    return vit_fail(in->error, VIT_ERR_SHAPE, "%s: tensor \"%.120s\": expected shape %s%s, found %s", in->file, tensor->name,
                    expected, own->name.stacked ? " for each layer" : "", found);
}

/* Slots of as many layers as a tensor's first axis counts; `step` from one to the next. */
static vit_status stack_slots(const import *in, const own_tensor *own, const vit_tensor_info *tensor, int *step) {
    const int layers = in->model->config.layers;
    char second[sizeof own->name.own];
    int first;
    const char *rest = vit_after_layer(own->name.own, "blocks.", &first);
    *step = 1;
    if (!rest || !tensor->rank || tensor->shape[0] != layers)
        return vit_fail(in->error, VIT_ERR_SHAPE, "%s: tensor \"%.120s\": expected a first axis of %d layers, found %lld",
                        in->file, tensor->name, layers, tensor->rank ? (long long)tensor->shape[0] : 0);
    snprintf(second, sizeof second, "blocks.1.%s", rest);
    if (layers > 1)
        *step = (int)(vit_model_slot(in->model, second) - vit_model_slot(in->model, own->name.own));
    return VIT_OK;
}

static vit_status bind_tensor(const import *in, int index, vit_target *target) {
    vit_tensor_info *tensor = &in->model->container.tensors[index];
    const own_tensor *own = &in->own[index];
    vit_slot *slot = vit_model_slot(in->model, own->name.own);
    *target = (vit_target){0};
    if (!slot) {
        const char *what = vit_foreign_network(tensor->name);
        if (what)
            return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                            "%s: tensor \"%.120s\": networks with %s are not supported", in->file, tensor->name, what);
        return VIT_OK;
    }
    if (own->name.stacked)
        VIT_TRY(stack_slots(in, own, tensor, &target->layer_slots));
    int64_t shape[4];
    memcpy(shape, slot->shape, sizeof shape);
    shape[0] /= own->name.parts;
    target->rest = own->name.rest ? vit_model_slot(in->model, own->name.rest) : NULL;
    if (target->rest)
        shape[0] += target->rest->shape[0];
    if (!place_axes(own, tensor, slot->rank, shape, target->stride))
        return wrong_shape(in, own, tensor, slot->rank, shape);
    if (tensor->dtype == VIT_DTYPE_OTHER)
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                        "%s: tensor \"%.120s\": type %s is not supported (F32, F16, BF16, Q8_0 and Q4_0 are)",
                        in->file, tensor->name, tensor->type);
    target->scattered = own->name.kernel || own->name.stacked;
    if (target->scattered && vit_block_values(tensor->dtype) > 1)
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED, "%s: tensor \"%.120s\": blocks of type %s cannot be transposed",
                        in->file, tensor->name, tensor->type);
    target->slot = slot;
    target->count = slot->count / (size_t)own->name.parts;
    target->offset = (size_t)own->name.part * target->count;
    tensor->used = 1;
    if (target->rest) {
        target->rest->stored = tensor->dtype;
        target->rest->bound += target->rest->count;
    }
    const unsigned parts = own->name.parts > 1 ? 1u << own->name.part : ~0u;
    for (int layer = 0; layer < (own->name.stacked ? in->model->config.layers : 1); layer++, slot += target->layer_slots) {
        if (slot->parts & parts)
            return vit_fail(in->error, VIT_ERR_FORMAT,
                            "%s: tensor \"%.120s\": the same weight is there under another name", in->file, tensor->name);
        slot->parts |= parts;
        slot->stored = tensor->dtype;
        slot->bound += target->count;
    }
    return VIT_OK;
}

static vit_status check_complete(const import *in) {
    for (int i = 0; i < in->model->slot_count; i++) {
        const vit_slot *slot = &in->model->slots[i];
        if (slot->bound == slot->count)
            continue;
        char missing[120], shape[100];
        int part = 0;
        while (slot->parts >> part & 1)
            part++;
        vit_foreign_name(in->family, slot->name, part, missing, sizeof missing);
        shape_text(slot->rank, slot->shape, shape, sizeof shape);
        return vit_fail(in->error, VIT_ERR_MISSING_TENSOR, "%s: tensor \"%s\" is missing (%s %s)", in->file, missing,
                        slot->name, shape);
    }
    return VIT_OK;
}

static vit_status take_labels(vit_model *model, const char *name, vit_claims *claims, vit_error *error) {
    if (!claims->label_count || !model->config.classes)
        return VIT_OK;
    if (claims->label_count != model->config.classes)
        return vit_model_warn(model, error, "%s: %d class names for %d classes: not used", name, claims->label_count,
                              model->config.classes);
    model->labels = claims->labels;
    claims->labels = NULL;
    claims->label_count = 0;
    return VIT_OK;
}

/* What a config given beside a GGUF claims overrides the file's own claims. */
static vit_status take_metadata(vit_model *model, const char *name, vit_claims *claims, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    vit_claims given = *claims;
    vit_claims_init(claims);
    vit_status status = vit_claims_from_gguf(claims, name, &model->container, allocator, error);
    if (status == VIT_OK)
        vit_claims_override(claims, &given, allocator);
    vit_claims_release(&given, allocator);
    return status;
}

static vit_status import_named(import *in, vit_target *targets) {
    vit_model *model = in->model;
    for (int i = 0; i < model->container.tensor_count; i++) {
        see_own(&model->container.tensors[i], &in->own[i]);
        in->family = in->family ? in->family : in->own[i].name.family;
    }
    place_convolutions(in);
    VIT_TRY(settle_claims(in));
    fill_config(&model->config, in->claims);
    VIT_TRY(vit_config_check(&model->config, &model->options.limits, in->file, in->error));
    VIT_TRY(vit_model_make_slots(model, in->error));
    import one = *in; /* of several files */
    for (int i = 0; i < model->container.tensor_count; i++) {
        one.file = vit_container_file(&model->container, i, in->file);
        VIT_TRY(bind_tensor(&one, i, &targets[i]));
    }
    return check_complete(in);
}

vit_status vit_import(vit_model *model, const char *name, vit_claims *claims, vit_target *targets, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    import in = {.model = model, .file = name, .claims = claims, .error = error};
    if (strcmp(model->container.format, "GGUF") == 0)
        VIT_TRY(take_metadata(model, name, claims, error));
    const size_t bytes = vit_size_mul((size_t)model->container.tensor_count, sizeof *in.own);
    VIT_TRY(vit_alloc_for((void **)&in.own, allocator, bytes, "the names of tensors", error));
    vit_status status = import_named(&in, targets);
    vit_release(allocator, in.own);
    const char *convention = claims->source == VIT_SOURCE_TIMM ? ", timm"
                             : claims->source == VIT_SOURCE_HF ? ", Hugging Face"
                             : speaks_jax(&in)                 ? ", JAX"
                                                               : "";
    snprintf(model->source, sizeof model->source, "%s%s", model->container.format, convention);
    return status == VIT_OK ? take_labels(model, name, claims, error) : status;
}
