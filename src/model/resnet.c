#include "resnet.h"

#include <math.h>

int vit_unit_count(const vit_resnet *r) {
    int count = 0;
    for (int stage = 0; stage < r->stages; stage++)
        count += r->units[stage];
    return count;
}

vit_unit_shape vit_unit_at(const vit_resnet *r, int unit) {
    vit_unit_shape u = {.block = unit};
    while (u.stage < r->stages - 1 && u.block >= r->units[u.stage])
        u.block -= r->units[u.stage++];
    u.middle = r->width << u.stage;
    u.stride = u.stage && !u.block ? 2 : 1;
    u.channels = u.block ? 4 * u.middle : u.stage ? 2 * u.middle : r->stem_width;
    u.projects = !u.block;
    return u;
}

int vit_resnet_channels(const vit_resnet *r) {
    return r->stages ? 4 * r->width << (r->stages - 1) : r->stem_width ? r->stem_width : 3;
}

int vit_root_size(const vit_resnet *r) {
    return r->root_size ? r->root_size : 7;
}

int vit_root_stride(const vit_resnet *r) {
    return r->root_stride ? r->root_stride : 2;
}

int vit_norm_groups(const vit_resnet *r) {
    return r->norm_groups ? r->norm_groups : 32;
}

int vit_resnet_stride(const vit_resnet *r) {
    return !r->stem_width ? 1 : 2 * vit_root_stride(r) << (r->stages > 1 ? r->stages - 1 : 0);
}

const char *vit_units_name(const vit_config *c) {
    return c->network == VIT_NETWORK_BIT ? "" : "patch_embed.backbone.";
}

const char *vit_stem_name(const vit_config *c) {
    if (c->network == VIT_NETWORK_BIT)
        return "stem.";
    return c->resnet.stages ? "patch_embed.backbone.stem." : vit_units_name(c);
}

const vit_resnet_rules *vit_resnet_rules_of(vit_resnet_kind kind) {
    static const vit_resnet_rules rules[] = {
        [VIT_RESNET_HYBRID_JAX] = {{0, 1e-5}, 1e-6f, 1, -INFINITY}, /* vit_jax models_resnet.py */
        [VIT_RESNET_HYBRID_TIMM] = {{1e-8, 0}, 1e-5f, 1, -INFINITY}, /* timm StdConv2dSame, stem "same" */
        [VIT_BIT_TRANSFER] = {{1e-10, 0}, 1e-5f, 0, 0},              /* big_transfer models.py */
        [VIT_BIT_TIMM] = {{1e-8, 0}, 1e-5f, 0, 0},                   /* timm StdConv2d, stem "fixed" */
        [VIT_BIT_VISION] = {{1e-10, 0}, 1e-5f, 0, -INFINITY},        /* big_vision bit_paper.py */
    };
    return &rules[kind];
}

int vit_grid_side(const vit_config *c, int pixels, int patch) {
    const int stride = vit_resnet_stride(&c->resnet);
    return (pixels + stride - 1) / stride / patch;
}

int vit_map_side(const vit_resnet *r, int pixels, int stage) {
    const int root = vit_root_stride(r), stride = stage < -1 ? 1 : stage < 0 ? root : 2 * root << stage;
    return (pixels + stride - 1) / stride;
}

static double map_pixels(const vit_resnet *r, int height, int width, int stage) {
    return (double)vit_map_side(r, height, stage) * vit_map_side(r, width, stage);
}

double vit_stem_multiply_adds(const vit_config *c, int height, int width) {
    const vit_resnet *r = &c->resnet;
    return map_pixels(r, height, width, -1) * r->stem_width * 3 * vit_root_size(r) * vit_root_size(r);
}

double vit_unit_multiply_adds(const vit_config *c, int unit, int height, int width) {
    const vit_unit_shape u = vit_unit_at(&c->resnet, unit);
    const double middle = u.middle, in = map_pixels(&c->resnet, height, width, u.stride > 1 ? u.stage - 1 : u.stage),
                 out = map_pixels(&c->resnet, height, width, u.stage);
    return in * u.channels * middle + out * middle * (9 * middle + 4 * middle) +
           (u.projects ? out * u.channels * 4 * middle : 0);
}
