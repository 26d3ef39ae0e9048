/* What names and shapes of tensors tell of a network, where nobody has claimed anything. */
#include "import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const vit_own_tensor *find(const vit_import_job *in, const char *own) {
    for (int i = 0; i < in->model->container.tensor_count; i++)
        if (strcmp(in->own[i].name.own, own) == 0)
            return &in->own[i];
    return NULL;
}

/* The same for a name in two pieces. */
static const vit_own_tensor *find_in(const vit_import_job *in, const char *prefix, const char *rest) {
    char name[64];
    snprintf(name, sizeof name, "%s%s", prefix, rest);
    return find(in, name);
}

static int count_layers(const vit_import_job *in, const char *prefix) {
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
static int dimension(const vit_own_tensor *tensor, int rank, int index) {
    if (!tensor || tensor->rank != rank || tensor->shape[index] < 1 || tensor->shape[index] > 1 << 24)
        return 0;
    return (int)tensor->shape[index];
}

/* Outputs of a linear layer: by its bias, whose shape cannot be transposed, or else by its weight. */
static int outputs(const vit_import_job *in, const char *prefix, const char *layer) {
    char name[64];
    snprintf(name, sizeof name, "%s.bias", layer);
    int count = dimension(find_in(in, prefix, name), 1, 0);
    snprintf(name, sizeof name, "%s.weight", layer);
    return count ? count : dimension(find_in(in, prefix, name), 2, 0);
}

/* Inputs of a linear layer whose weight is [outputs,inputs]; 0 where it is laid out otherwise. */
static int columns(const vit_own_tensor *weight) {
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

int vit_speaks_jax(const vit_import_job *in) {
    return vit_family_is_jax(in->family) && in->claims->source != VIT_SOURCE_TIMM &&
           in->claims->source != VIT_SOURCE_HF;
}

/* ---- Convolutions ---- */

/* Channels of a group norm, which some files keep as [1,1,1,C]; 0 where there is none. */
static int norm_channels(const vit_import_job *in, const char *name) {
    const vit_own_tensor *tensor = find(in, name);
    return tensor ? dimension(tensor, tensor->rank, tensor->rank - 1) : 0;
}

/* The convolutional part of a network whose units are called PREFIXstages.S.blocks.B. */
static void settle_resnet(const vit_import_job *in, const char *prefix, const char *stem_norm) {
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

static void settle_backbone(const vit_import_job *in) {
    const int has_stem = find(in, "patch_embed.backbone.stem.conv.weight") != NULL;
    if (!has_stem && !find(in, "patch_embed.backbone.conv.weight"))
        return;
    settle_resnet(in, "patch_embed.backbone.", has_stem ? "stem.norm.weight" : "norm.weight");
    settle(&in->claims->resnet_kind, vit_speaks_jax(in) ? VIT_RESNET_HYBRID_JAX : VIT_RESNET_HYBRID_TIMM);
}

/* JAX's names of convolutions are the same in a hybrid and in BiT; ours are timm's, which says where they belong. */
void vit_place_convolutions(const vit_import_job *in) {
    const int count = in->model->container.tensor_count;
    const int is_hybrid = find(in, "patch_embed.proj.weight") != NULL,
              has_stages = find(in, "stages.0.blocks.0.conv1.weight") != NULL;
    if (!in->family || !find(in, "stem.conv.weight"))
        return;
    for (vit_own_tensor *own = in->own; own < in->own + count; own++) {
        char name[sizeof own->name.own], *const old = own->name.own;
        const int is_stem = strncmp(old, "stem.", 5) == 0, is_head = strncmp(old, "head.", 5) == 0;
        snprintf(name, sizeof name, "%s", old);
        if (is_hybrid && (is_stem || strncmp(old, "stages.", 7) == 0))
            snprintf(old, sizeof name, "patch_embed.backbone.%.40s", name + (is_stem && !has_stages ? 5 : 0));
        else if (!is_hybrid && is_head)
            snprintf(old, sizeof name, "head.fc.%.20s", name + 5);
    }
}

static vit_status settle_preprocess(const vit_import_job *in) {
    static const float imagenet_mean[] = {0.485f, 0.456f, 0.406f}, imagenet_std[] = {0.229f, 0.224f, 0.225f};
    vit_claims *c = in->claims;
    const int timm = c->source == VIT_SOURCE_TIMM, jax = vit_speaks_jax(in); /* timm: PretrainedCfg's defaults */
    settle(&c->input_height, c->image_height);
    settle(&c->input_width, c->image_width);
    if (c->processor && c->filter == VIT_UNSET) {
        vit_claims_assume_processor(c);
        return vit_model_warn(in->model, in->error,
                              "%s: no preprocessor_config.json: pictures are fed as %s does by default", in->file,
                              c->processor);
    }
    for (int i = 0; i < 3; i++) {
        c->mean[i] = c->has_mean ? c->mean[i] : timm ? imagenet_mean[i] : 0.5f;
        c->std[i] = c->has_std ? c->std[i] : timm ? imagenet_std[i] : 0.5f;
    }
    settle(&c->filter, jax ? VIT_FILTER_TF_BILINEAR : VIT_FILTER_BICUBIC);
    settle(&c->crop, jax ? VIT_CROP_SQUASH : VIT_CROP_CENTER);
    c->crop_pct = c->crop_pct > 0 ? c->crop_pct : jax ? 1 : timm ? 0.875 : 0.9;
    return VIT_OK;
}

static int side_of(int cells) {
    return cells > 0 ? (int)lround(sqrt(cells)) : 0;
}

/* Pixels of the picture that one of the last map stands for along each side; 1 where there are no convolutions. */
static int claimed_stride(const vit_claims *c) {
    const vit_resnet resnet = {.stages = c->resnet_stages, .stem_width = c->resnet_stem_width > 0,
                               .root_stride = c->resnet_root_stride > 0 ? c->resnet_root_stride : 0};
    return vit_resnet_stride(&resnet);
}

/* For which of the tokens before the patches a 1-D table has rows: those that are left when the patches of the claimed
 * picture, or of a square one, have theirs. */
static void settle_prefix_rows(vit_claims *c, int rows) {
    const int tokens = c->class_token + c->dist_token, all = tokens + c->registers, candidates[] = {0, all, tokens};
    const int is_known = c->image_height > 0 && c->patch_height > 0 && c->patch_width > 0, stride = claimed_stride(c);
    const int64_t patches = !is_known ? 0
                                      : (int64_t)((c->image_height + stride - 1) / stride / c->patch_height) *
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
static int kernel_heads(const vit_import_job *in) {
    const vit_own_tensor *query = find(in, "blocks.0.attn.qkv.weight");
    return query && query->name.kernel ? dimension(query, 3, 1) : 0;
}

/* What position embeddings there are, and for how large a picture: tables tell. */
static void settle_positions(const vit_import_job *in) {
    vit_claims *c = in->claims;
    const char *const before = find(in, "pos_embed") || find(in, "pos_x") ? ""
                               : c->axial                                 ? "blocks.0.row."
                                                                          : "blocks.0.";
    const vit_own_tensor *table = find_in(in, before, "pos_embed"), *x = find_in(in, before, "pos_x"),
                         *y = find_in(in, before, "pos_y"), *distances = find_in(in, before, "attn.rel_embed");
    settle(&c->pos_kind, x                              ? VIT_POS_2D
                         : distances                    ? VIT_POS_RELATIVE
                         : !table && vit_speaks_jax(in) ? VIT_POS_SINCOS2D
                                                        : VIT_POS_1D);
    settle(&c->pos_placement, (table || x) && *before ? VIT_POS_LAYERS : VIT_POS_INPUT);
    if (table)
        settle_prefix_rows(c, dimension(table, 3, 1));
    settle(&c->pos_class,
           c->pos_kind == VIT_POS_2D ? find_in(in, before, "pos_cls") != NULL : c->pos_kind == VIT_POS_1D);
    c->pos_class &= c->class_token;
    settle(&c->pos_registers, 0);
    /* Tables of the paper's other variants are interpolated linearly along their own axes. */
    const int own_axes =
        c->pos_kind == VIT_POS_2D || c->pos_kind == VIT_POS_RELATIVE || c->pos_placement != VIT_POS_INPUT;
    settle(&c->pos_resample, own_axes || vit_speaks_jax(in)  ? VIT_RESAMPLE_JAX
                             : vit_family_is_jax(in->family) ? VIT_RESAMPLE_BILINEAR
                             : c->source == VIT_SOURCE_HF    ? VIT_RESAMPLE_HF
                                                             : VIT_RESAMPLE_TIMM);
    /* A square grid of as many patches as the table has rows, 224 pixels where there is no table. */
    const int prefix = c->pos_class * (c->class_token + c->dist_token) + c->pos_registers * c->registers;
    const int tokens = c->class_token + c->dist_token + c->registers;
    const int side =
        side_of(distances ? (dimension(distances, 2, 0) + 1) / 2 - tokens : dimension(table, 3, 1) - prefix);
    const int cell = claimed_stride(c), pixels = table || x || distances || c->pos_kind == VIT_POS_1D ? 0 : 224;
    settle(&c->image_height,
           pixels ? pixels : grid_pixels(x ? cell * dimension(y, 2, 0) : cell * side, c->patch_height));
    settle(&c->image_width, pixels ? pixels : grid_pixels(x ? cell * dimension(x, 2, 0) : cell * side, c->patch_width));
}

static void settle_classes(const vit_import_job *in, const char *head) {
    vit_claims *c = in->claims;
    const int classes = outputs(in, "", head);
    if (classes)
        settle(&c->classes, classes);
    else if (c->classes <= 0) /* if they are claimed, their absence will be an error */
        c->classes = c->has_head == 1 ? c->label_count + !c->label_count : 0;
    settle(&c->multi_label, c->classes == 1); /* of softmax the only class would always have 1 */
}

static vit_status settle_bit(const vit_import_job *in) {
    vit_claims *c = in->claims;
    settle_resnet(in, "", "stages.0.blocks.0.norm1.weight");
    settle(&c->resnet_kind, c->source == VIT_SOURCE_TIMM         ? VIT_BIT_TIMM
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
    return settle_preprocess(in);
}

/* A decoder of pixels. What is claimed of one that the file does not have is dropped. */
static void settle_decoder(const vit_import_job *in) {
    vit_claims *c = in->claims;
    const int has_layers = find(in, "decoder_embed.weight") != NULL, colors = outputs(in, "", "mpp_head");
    settle(&c->decoder_kind, colors == VIT_COLORS                    ? VIT_DECODER_MEAN3BIT
                             : colors == 16 * VIT_COLORS             ? VIT_DECODER_DOWN4X4
                             : colors                                ? VIT_DECODER_REGRESSION
                             : !find(in, "decoder_pred.weight")      ? VIT_DECODER_NONE
                             : has_layers                            ? VIT_DECODER_MAE
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
vit_status vit_settle_claims(const vit_import_job *in) {
    vit_claims *c = in->claims;
    const vit_own_tensor *patch = find(in, "patch_embed.proj.weight");
    if (find(in, "stem.conv.weight"))
        c->network = VIT_NETWORK_BIT;
    if (c->network == VIT_NETWORK_BIT)
        return settle_bit(in);
    if (!patch && !find(in, "blocks.0.norm1.weight") && !find(in, "blocks.0.row.norm1.weight"))
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                        "%s: not a Vision Transformer: it has neither patch_embed.proj.weight (timm) nor "
                        "vit.embeddings.patch_embeddings.projection.weight (Hugging Face)",
                        in->file);
    settle(&c->axial, find(in, "blocks.0.row.norm1.weight") != NULL);
    const char *const block = c->axial ? "blocks.0.row." : "blocks.0.";
    const int jax = vit_speaks_jax(in), width = outputs(in, block, "norm1");
    settle_backbone(in);
    settle(&c->width, width ? width : dimension(patch, 4, 0));
    settle(&c->patch_height, dimension(patch, 4, 2));
    settle(&c->patch_width, dimension(patch, 4, 3));
    settle(&c->layers, count_layers(in, "blocks."));
    const int heads = kernel_heads(in);
    if (heads)
        settle(&c->heads, heads);
    if (heads && c->heads != heads)
        return vit_fail(in->error, VIT_ERR_CONFIG,
                        "%s: the configuration says %d attention heads, the shapes of the file %d", in->file, c->heads,
                        heads);
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
    return settle_preprocess(in);
}
