/* Networks by name: the paper's (arXiv 2010.11929, table 1, figures 4 and 5, table 6) and timm's, by timm's names where
 * timm has them. */
#include "resnet.h"

#include <stdio.h>
#include <string.h>

/* What a family has beyond a plain ViT of timm's is in its case below. */
enum family {
    VIT, AXIAL, BIT, DEIT, DISTILLED, DEIT3, DINOV2, DINOV2_REG, DINOV2_GIANT, DINOV2_REG_GIANT, CLIP, CLIP_QUICK,
    SIGLIP, SIGLIP2, MAE
};

/* L, D, H, F */
#define TINY 12, 192, 3, 768
#define SMALL 12, 384, 6, 1536
#define HALF SMALL /* all widths of BASE halved: ViT-b of figure 4 */
#define MEDIUM 12, 512, 8, 2048
#define BASE 12, 768, 12, 3072
#define LARGE 24, 1024, 16, 4096
#define HUGE_ 32, 1280, 16, 5120
#define SO400M 27, 1152, 16, 4304
#define GIANT 40, 1408, 16, 6144
#define GIANT2 40, 1536, 24, 4096 /* DINOv2's */
#define GIGANTIC 48, 1664, 16, 8192
#define NO_LAYERS 0, 0, 0, 0

/* Width factor, units of each stage. */
#define NO_RESNET {0, {0}}
#define ROOT {1, {0}}
#define R26 {1, {2, 2, 2, 2}}
#define R50_3 {1, {3, 4, 9}} /* R50 with the units of its fourth stage in the third */
#define R50(factor) {factor, {3, 4, 6, 3}}
#define R101(factor) {factor, {3, 4, 23, 3}}
#define R152(factor) {factor, {3, 8, 36, 3}}
#define R200(factor) {factor, {3, 24, 36, 3}}

static const struct architecture {
    const char *name;
    enum family family;
    short layers, width, heads, mlp_width;
    short patch, image; /* pixels; behind a ResNet the patch is of its last map */
    short classes;
    struct {
        unsigned char factor, units[4];
    } resnet;
} architectures[] = {
    /* The paper's, and timm's of the same kind (augreg) */
    {"vit_tiny_patch16_224", VIT, TINY, 16, 224, 1000, NO_RESNET},
    {"vit_tiny_patch16_384", VIT, TINY, 16, 384, 1000, NO_RESNET},
    {"vit_small_patch32_224", VIT, SMALL, 32, 224, 1000, NO_RESNET},
    {"vit_small_patch32_384", VIT, SMALL, 32, 384, 1000, NO_RESNET},
    {"vit_small_patch16_224", VIT, SMALL, 16, 224, 1000, NO_RESNET},
    {"vit_small_patch16_384", VIT, SMALL, 16, 384, 1000, NO_RESNET},
    {"vit_small_patch8_224", VIT, SMALL, 8, 224, 1000, NO_RESNET},
    {"vit_half_patch32_224", VIT, HALF, 32, 224, 1000, NO_RESNET},
    {"vit_half_patch16_224", VIT, HALF, 16, 224, 1000, NO_RESNET},
    {"vit_base_patch32_224", VIT, BASE, 32, 224, 1000, NO_RESNET},
    {"vit_base_patch32_384", VIT, BASE, 32, 384, 1000, NO_RESNET},
    {"vit_base_patch16_224", VIT, BASE, 16, 224, 1000, NO_RESNET},
    {"vit_base_patch16_384", VIT, BASE, 16, 384, 1000, NO_RESNET},
    {"vit_base_patch8_224", VIT, BASE, 8, 224, 1000, NO_RESNET},
    {"vit_large_patch32_224", VIT, LARGE, 32, 224, 1000, NO_RESNET},
    {"vit_large_patch32_384", VIT, LARGE, 32, 384, 1000, NO_RESNET},
    {"vit_large_patch16_224", VIT, LARGE, 16, 224, 1000, NO_RESNET},
    {"vit_large_patch16_384", VIT, LARGE, 16, 384, 1000, NO_RESNET},
    {"vit_large_patch14_224", VIT, LARGE, 14, 224, 1000, NO_RESNET},
    {"vit_huge_patch14_224", VIT, HUGE_, 14, 224, 1000, NO_RESNET},
    {"vit_giant_patch14_224", VIT, GIANT, 14, 224, 1000, NO_RESNET},
    {"vit_gigantic_patch14_224", VIT, GIGANTIC, 14, 224, 1000, NO_RESNET},

    /* The paper's with axial attention (appendix D.6) */
    {"axial_vit_b_32", AXIAL, BASE, 32, 224, 1000, NO_RESNET},
    {"axial_vit_b_16", AXIAL, BASE, 16, 224, 1000, NO_RESNET},

    /* The paper's hybrids, and timm's: the patch is of the last map */
    {"vit_tiny_r_s16_p8_224", VIT, TINY, 8, 224, 1000, ROOT},
    {"vit_tiny_r_s16_p8_384", VIT, TINY, 8, 384, 1000, ROOT},
    {"vit_small_r26_s32_224", VIT, SMALL, 1, 224, 1000, R26},
    {"vit_small_r26_s32_384", VIT, SMALL, 1, 384, 1000, R26},
    {"vit_base_r26_s32_224", VIT, BASE, 1, 224, 1000, R26},
    {"vit_base_r50_s16_224", VIT, BASE, 1, 224, 1000, R50_3},
    {"vit_base_r50_s16_384", VIT, BASE, 1, 384, 1000, R50_3},
    {"vit_large_r50_s32_224", VIT, LARGE, 1, 224, 1000, R50(1)},
    {"vit_large_r50_s32_384", VIT, LARGE, 1, 384, 1000, R50(1)},
    {"r50_vit_b_32", VIT, BASE, 1, 224, 1000, R50(1)},
    {"r50_vit_b_16", VIT, BASE, 1, 224, 1000, R50_3},
    {"r50_vit_l_32", VIT, LARGE, 1, 224, 1000, R50(1)},
    {"r50_vit_l_16", VIT, LARGE, 1, 224, 1000, R50_3},

    /* The paper's ResNets (BiT), and timm's */
    {"bit_r50x1", BIT, NO_LAYERS, 1, 224, 1000, R50(1)},
    {"bit_r50x2", BIT, NO_LAYERS, 1, 224, 1000, R50(2)},
    {"bit_r50x3", BIT, NO_LAYERS, 1, 224, 1000, R50(3)},
    {"bit_r101x1", BIT, NO_LAYERS, 1, 224, 1000, R101(1)},
    {"bit_r101x3", BIT, NO_LAYERS, 1, 224, 1000, R101(3)},
    {"bit_r152x1", BIT, NO_LAYERS, 1, 224, 1000, R152(1)},
    {"bit_r152x2", BIT, NO_LAYERS, 1, 224, 1000, R152(2)},
    {"bit_r152x4", BIT, NO_LAYERS, 1, 224, 1000, R152(4)},
    {"bit_r200x3", BIT, NO_LAYERS, 1, 224, 1000, R200(3)},
    {"resnetv2_50x1_bit", BIT, NO_LAYERS, 1, 224, 1000, R50(1)},
    {"resnetv2_50x3_bit", BIT, NO_LAYERS, 1, 448, 1000, R50(3)},
    {"resnetv2_101x1_bit", BIT, NO_LAYERS, 1, 448, 1000, R101(1)},
    {"resnetv2_101x3_bit", BIT, NO_LAYERS, 1, 448, 1000, R101(3)},
    {"resnetv2_152x2_bit", BIT, NO_LAYERS, 1, 224, 1000, R152(2)},
    {"resnetv2_152x4_bit", BIT, NO_LAYERS, 1, 480, 1000, R152(4)},

    /* DeiT, with and without a distillation token, and DeiT III */
    {"deit_tiny_patch16_224", DEIT, TINY, 16, 224, 1000, NO_RESNET},
    {"deit_small_patch16_224", DEIT, SMALL, 16, 224, 1000, NO_RESNET},
    {"deit_base_patch16_224", DEIT, BASE, 16, 224, 1000, NO_RESNET},
    {"deit_base_patch16_384", DEIT, BASE, 16, 384, 1000, NO_RESNET},
    {"deit_tiny_distilled_patch16_224", DISTILLED, TINY, 16, 224, 1000, NO_RESNET},
    {"deit_small_distilled_patch16_224", DISTILLED, SMALL, 16, 224, 1000, NO_RESNET},
    {"deit_base_distilled_patch16_224", DISTILLED, BASE, 16, 224, 1000, NO_RESNET},
    {"deit_base_distilled_patch16_384", DISTILLED, BASE, 16, 384, 1000, NO_RESNET},
    {"deit3_small_patch16_224", DEIT3, SMALL, 16, 224, 1000, NO_RESNET},
    {"deit3_small_patch16_384", DEIT3, SMALL, 16, 384, 1000, NO_RESNET},
    {"deit3_medium_patch16_224", DEIT3, MEDIUM, 16, 224, 1000, NO_RESNET},
    {"deit3_base_patch16_224", DEIT3, BASE, 16, 224, 1000, NO_RESNET},
    {"deit3_base_patch16_384", DEIT3, BASE, 16, 384, 1000, NO_RESNET},
    {"deit3_large_patch16_224", DEIT3, LARGE, 16, 224, 1000, NO_RESNET},
    {"deit3_large_patch16_384", DEIT3, LARGE, 16, 384, 1000, NO_RESNET},
    {"deit3_huge_patch14_224", DEIT3, HUGE_, 14, 224, 1000, NO_RESNET},

    /* DINOv2, for features */
    {"vit_small_patch14_dinov2", DINOV2, SMALL, 14, 518, 0, NO_RESNET},
    {"vit_base_patch14_dinov2", DINOV2, BASE, 14, 518, 0, NO_RESNET},
    {"vit_large_patch14_dinov2", DINOV2, LARGE, 14, 518, 0, NO_RESNET},
    {"vit_giant_patch14_dinov2", DINOV2_GIANT, GIANT2, 14, 518, 0, NO_RESNET},
    {"vit_small_patch14_reg4_dinov2", DINOV2_REG, SMALL, 14, 518, 0, NO_RESNET},
    {"vit_base_patch14_reg4_dinov2", DINOV2_REG, BASE, 14, 518, 0, NO_RESNET},
    {"vit_large_patch14_reg4_dinov2", DINOV2_REG, LARGE, 14, 518, 0, NO_RESNET},
    {"vit_giant_patch14_reg4_dinov2", DINOV2_REG_GIANT, GIANT2, 14, 518, 0, NO_RESNET},

    /* CLIP's image towers; where the classes are no 1000 they are what pictures and texts are compared in */
    {"vit_base_patch32_clip_224", CLIP, BASE, 32, 224, 1000, NO_RESNET},
    {"vit_base_patch16_clip_224", CLIP, BASE, 16, 224, 1000, NO_RESNET},
    {"vit_large_patch14_clip_224", CLIP, LARGE, 14, 224, 1000, NO_RESNET},
    {"vit_large_patch14_clip_336", CLIP, LARGE, 14, 336, 1000, NO_RESNET},
    {"vit_huge_patch14_clip_224", CLIP, HUGE_, 14, 224, 1000, NO_RESNET},
    {"vit_giant_patch14_clip_224", CLIP, GIANT, 14, 224, 1024, NO_RESNET},
    {"vit_base_patch32_clip_quickgelu_224", CLIP_QUICK, BASE, 32, 224, 512, NO_RESNET},
    {"vit_base_patch16_clip_quickgelu_224", CLIP_QUICK, BASE, 16, 224, 512, NO_RESNET},
    {"vit_large_patch14_clip_quickgelu_224", CLIP_QUICK, LARGE, 14, 224, 768, NO_RESNET},
    {"vit_large_patch14_clip_quickgelu_336", CLIP_QUICK, LARGE, 14, 336, 768, NO_RESNET},
    {"vit_huge_patch14_clip_quickgelu_224", CLIP_QUICK, HUGE_, 14, 224, 1024, NO_RESNET},

    /* SigLIP's, for features; the later ones with the other GELU */
    {"vit_base_patch32_siglip_256", SIGLIP2, BASE, 32, 256, 0, NO_RESNET},
    {"vit_base_patch16_siglip_224", SIGLIP, BASE, 16, 224, 0, NO_RESNET},
    {"vit_base_patch16_siglip_256", SIGLIP, BASE, 16, 256, 0, NO_RESNET},
    {"vit_base_patch16_siglip_384", SIGLIP, BASE, 16, 384, 0, NO_RESNET},
    {"vit_base_patch16_siglip_512", SIGLIP, BASE, 16, 512, 0, NO_RESNET},
    {"vit_large_patch16_siglip_256", SIGLIP, LARGE, 16, 256, 0, NO_RESNET},
    {"vit_large_patch16_siglip_384", SIGLIP, LARGE, 16, 384, 0, NO_RESNET},
    {"vit_large_patch16_siglip_512", SIGLIP2, LARGE, 16, 512, 0, NO_RESNET},
    {"vit_so400m_patch14_siglip_224", SIGLIP, SO400M, 14, 224, 0, NO_RESNET},
    {"vit_so400m_patch14_siglip_384", SIGLIP, SO400M, 14, 384, 0, NO_RESNET},
    {"vit_so400m_patch16_siglip_256", SIGLIP2, SO400M, 16, 256, 0, NO_RESNET},
    {"vit_so400m_patch16_siglip_384", SIGLIP2, SO400M, 16, 384, 0, NO_RESNET},
    {"vit_so400m_patch16_siglip_512", SIGLIP2, SO400M, 16, 512, 0, NO_RESNET},

    /* Masked autoencoders, with their decoder */
    {"mae_vit_base_patch16", MAE, BASE, 16, 224, 0, NO_RESNET},
    {"mae_vit_large_patch16", MAE, LARGE, 16, 224, 0, NO_RESNET},
    {"mae_vit_huge_patch14", MAE, HUGE_, 14, 224, 0, NO_RESNET},
};

enum { ARCHITECTURES = sizeof architectures / sizeof *architectures };

static const vit_preprocess halves = {
    .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}, .filter = VIT_FILTER_BICUBIC, .crop_pct = 0.9};
static const vit_preprocess imagenet = {.mean = {0.485f, 0.456f, 0.406f},
                                        .std = {0.229f, 0.224f, 0.225f},
                                        .filter = VIT_FILTER_BICUBIC,
                                        .crop_pct = 0.9};
static const vit_preprocess openai = {.mean = {0.48145466f, 0.4578275f, 0.40821073f},
                                      .std = {0.26862954f, 0.26130258f, 0.27577711f},
                                      .filter = VIT_FILTER_BICUBIC,
                                      .crop_pct = 1};

static void apply_family(vit_config *c, enum family family) {
    c->preprocess = halves;
    switch (family) {
    case VIT:
        break;
    case AXIAL:
        c->axial = 1;
        break;
    case BIT:
        c->network = VIT_NETWORK_BIT;
        c->resnet.kind = VIT_BIT_TIMM;
        c->width = vit_resnet_channels(&c->resnet);
        c->class_token = c->pos_class = c->patch_bias = c->qkv_bias = 0;
        c->pos_kind = VIT_POS_NONE;
        c->pool = VIT_POOL_MEAN;
        c->norm_eps = 1e-5f;
        c->preprocess.filter = VIT_FILTER_BILINEAR;
        c->preprocess.crop_pct = 0.875;
        break;
    case DISTILLED:
        c->dist_token = c->head_dist = 1;
        /* fall through */
    case DEIT:
        c->preprocess = imagenet;
        break;
    case DEIT3:
        c->preprocess = imagenet;
        c->layer_scale = 1;
        c->pos_class = 0;
        break;
    case DINOV2_GIANT:
    case DINOV2_REG_GIANT:
        c->mlp = VIT_MLP_SWIGLU;
        /* fall through */
    case DINOV2:
    case DINOV2_REG:
        c->preprocess = imagenet;
        c->layer_scale = 1;
        if (family == DINOV2_REG || family == DINOV2_REG_GIANT) {
            c->registers = 4;
            c->pos_class = 0;
        }
        break;
    case CLIP_QUICK:
        c->activation = VIT_GELU_QUICK;
        /* fall through */
    case CLIP:
        c->preprocess = openai;
        c->norm_eps = 1e-5f;
        c->pre_norm = 1;
        c->patch_bias = 0;
        break;
    case SIGLIP2:
        c->activation = VIT_GELU_TANH;
        /* fall through */
    case SIGLIP:
        c->class_token = c->pos_class = 0;
        c->pool = VIT_POOL_MAP;
        break;
    case MAE:
        c->preprocess = imagenet;
        c->decoder = (vit_decoder){.kind = VIT_DECODER_MAE, .layers = 8, .width = 512, .heads = 16, .mlp_width = 2048};
        break;
    }
}

static vit_config configuration(const struct architecture *a) {
    vit_config c = {
        .layers = a->layers,
        .width = a->width,
        .heads = a->heads,
        .mlp_width = a->mlp_width,
        .classes = a->classes,
        .patch_height = a->patch,
        .patch_width = a->patch,
        .image_height = a->image,
        .image_width = a->image,
        .norm_eps = 1e-6f,
        .class_token = 1,
        .pos_class = 1,
        .pos_kind = VIT_POS_1D,
        .patch_bias = 1,
        .qkv_bias = 1,
        .final_norm = 1,
        .resnet.kind = VIT_RESNET_HYBRID_TIMM,
        .resnet.width = 64 * a->resnet.factor,
        .resnet.stem_width = 64 * a->resnet.factor,
    };
    for (int i = 0; i < 4 && a->resnet.units[i]; i++)
        c.resnet.units[c.resnet.stages++] = a->resnet.units[i];
    apply_family(&c, a->family);
    if (a->image > 256 && a->family != SIGLIP && a->family != SIGLIP2)
        c.preprocess.crop_pct = 1;
    c.preprocess.height = c.preprocess.width = a->image;
    snprintf(c.architecture, sizeof c.architecture, "%s", a->name);
    return c;
}

const char *vit_architecture_name(int index) {
    return index >= 0 && index < ARCHITECTURES ? architectures[index].name : NULL;
}

vit_status vit_architecture_config(vit_config *out, const char *name, vit_error *error) {
    *out = (vit_config){0};
    for (int i = 0; i < ARCHITECTURES; i++)
        if (strcmp(architectures[i].name, name) == 0) {
            *out = configuration(&architectures[i]);
            return VIT_OK;
        }
    return vit_fail(error, VIT_ERR_ARGUMENT, "architecture \"%.60s\": no network of this name is known", name);
}

/* Whether networks are built the same, whatever they were trained for and with. */
static int same_network(const vit_config *a, vit_config b, int same_size) {
    b.classes = a->classes;
    b.multi_label = a->multi_label;
    b.known_percent = a->known_percent;
    b.pre_logits = a->pre_logits;
    b.projection = a->projection;
    b.activation = a->activation;
    b.pos_resample = a->pos_resample;
    b.resnet.kind = a->resnet.kind;
    b.preprocess = a->preprocess;
    if (!same_size) {
        b.image_height = a->image_height;
        b.image_width = a->image_width;
    }
    for (int i = 0; i < vit_field_count; i++)
        if (*vit_field_at(a, vit_fields[i].config) != *vit_field_at(&b, vit_fields[i].config))
            return 0;
    return a->network == b.network;
}

const char *vit_architecture_of(const vit_config *config) {
    for (int same_size = 1; same_size >= 0; same_size--)
        for (int i = 0; i < ARCHITECTURES; i++)
            if (same_network(config, configuration(&architectures[i]), same_size))
                return architectures[i].name;
    return NULL;
}
