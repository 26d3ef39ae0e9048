/* Which configurations can be made and run. */
#include "model.h"

#include <limits.h>
#include <math.h>

static vit_status check_resnet(const vit_config *c, const vit_limits *limits, const char *name, vit_error *error) {
    const vit_resnet *r = &c->resnet;
    const int is_bit = c->network == VIT_NETWORK_BIT;
    int64_t units = 0;
    for (int stage = 0; stage < r->stages; stage++)
        units += r->units[stage];
    if ((r->kind >= VIT_BIT_TRANSFER) != is_bit)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: convolutions of kind %s do not belong to this network", name,
                        vit_word_of(vit_resnet_words, r->kind));
    if (units > limits->layers || units > INT_MAX)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %lld residual units, the limit is %u (limit layers)", name,
                        (long long)units, limits->layers);
    if (is_bit && (!r->stages || c->width != vit_resnet_channels(r)))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: features of %d channels: expected 1 to 4 stages, whose last has %d",
                        name, c->width, vit_resnet_channels(r));
    const int has_tokens = c->layers || c->heads || c->mlp_width || c->class_token || c->dist_token || c->registers ||
                           c->pos_kind != VIT_POS_NONE || c->axial || c->patch_height != 1 || c->patch_width != 1,
              has_head = c->pool != VIT_POOL_MEAN || c->pool_norm || c->pre_logits || c->head_dist || c->projection;
    if (is_bit && (has_tokens || has_head))
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: a BiT with layers, tokens, positions or features of a Vision Transformer", name);
    for (int i = 0; i < r->stages; i++)
        if (r->units[i] < 1)
            return vit_fail(error, VIT_ERR_CONFIG, "%s: stage %d of %d has no residual unit", name, i + 1, r->stages);
    if (vit_root_size(r) < 2)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: a stem with windows of %d pixel: expected 2 to 7", name,
                        vit_root_size(r));
    const int groups = vit_norm_groups(r);
    if (r->stem_width < 1 || (r->stages && r->width < 1) || r->stem_width % groups || r->width % groups)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: %d channels of the stem and %d of the first stage: expected multiples of %d", name,
                        r->stem_width, r->width, groups);
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
    if ((int64_t)vit_resnet_channels(&c->resnet) * c->patch_height * c->patch_width > INT_MAX)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: patches of %dx%d: more values than can be counted", name, c->patch_height,
                        c->patch_width);
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
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: %d tokens before the patches: too many", name, vit_prefix_tokens(c));
    if ((c->pos_kind == VIT_POS_2D && c->width % 2) || (c->pos_kind == VIT_POS_SINCOS2D && c->width % 4))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: width %d cannot be split into %d for positions of two axes", name,
                        c->width, c->pos_kind == VIT_POS_2D ? 2 : 4);
    if ((c->pool == VIT_POOL_CLASS || c->pool == VIT_POOL_CLASS_MEAN) && !c->class_token)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: pooling takes the class token, but there is none", name);
    if (c->head_dist && (!c->dist_token || c->pool != VIT_POOL_CLASS || vit_feature_width(c) != c->width))
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: a distillation head: expected a distillation token, and the class token as features",
                        name);
    if (c->axial && c->pos_kind == VIT_POS_RELATIVE)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: axial attention with relative positions is not supported", name);
    if (c->pos_registers && !c->pos_class && c->class_token + c->dist_token)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: position embeddings of the registers, and none of the tokens before them, are not supported", name);
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
    if (d->kind == VIT_DECODER_DOWN4X4 && (c->patch_height % 4 || c->patch_width % 4))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: patches of %dx%d cannot be made 4x4: expected multiples of 4", name,
                        c->patch_height, c->patch_width);
    if (d->kind != VIT_DECODER_MAE)
        return VIT_OK;
    if (c->mlp != VIT_MLP_PLAIN || c->dist_token || c->registers)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: a masked autoencoder with SwiGLU, a distillation token or registers is not supported",
                        name);
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
    if (c->network != VIT_NETWORK_VIT && c->network != VIT_NETWORK_BIT)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: network %d: expected a Vision Transformer or a BiT", name, (int)c->network);
    if (c->resnet.stem_width || c->network == VIT_NETWORK_BIT)
        VIT_TRY(check_resnet(c, limits, name, error));
    else if (c->resnet.stages || c->resnet.width || c->resnet.root_size || c->resnet.root_stride || c->resnet.norm_groups)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: what belongs to convolutions (units, their width or groups, a stem's size or stride), and no "
                        "stem: expected its width",
                        name);
    if (c->network == VIT_NETWORK_VIT)
        VIT_TRY(check_encoder(c, limits, name, error));
    if (c->decoder.kind != VIT_DECODER_NONE)
        VIT_TRY(check_decoder(c, limits, name, error));
    const uint64_t rows = (uint64_t)vit_grid_side(c, p->height, c->patch_height),
                   columns = (uint64_t)vit_grid_side(c, p->width, c->patch_width);
    if (!rows || !columns)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: input of %dx%d pixels: expected at least one patch of %dx%d", name,
                        p->height, p->width, c->patch_height, c->patch_width);
    if (rows * columns >= limits->tokens)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: input of %dx%d pixels: %llu patches, the limit is %u (limit tokens)",
                        name, p->height, p->width, (unsigned long long)(rows * columns), limits->tokens);
    if (!(p->crop_pct > 0 && p->crop_pct <= 1))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: crop_pct %g: expected more than 0 and at most 1", name,
                        p->crop_pct);
    for (int i = 0; i < 3; i++)
        if (!(fabsf(c->preprocess.std[i]) >= 1e-6f && fabsf(c->preprocess.std[i]) <= 1e6f && fabsf(c->preprocess.mean[i]) <= 1e6f))
            return vit_fail(error, VIT_ERR_CONFIG, "%s: pixel mean %g and standard deviation %g cannot be used", name,
                            c->preprocess.mean[i], c->preprocess.std[i]);
    return VIT_OK;
}
