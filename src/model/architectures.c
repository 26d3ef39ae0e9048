/* Networks by name: the paper's (arXiv 2010.11929, table 1, figures 4 and 5, table 6) and timm's, by timm's names where timm
 * has them. */
#include "model.h"

#include <stdio.h>
#include <string.h>

enum family { VIT, DEIT };

/* L, D, H, F */
#define TINY 12, 192, 3, 768
#define SMALL 12, 384, 6, 1536
#define HALF SMALL /* all widths of BASE halved: ViT-b of figure 4 */
#define BASE 12, 768, 12, 3072
#define LARGE 24, 1024, 16, 4096
#define HUGE_ 32, 1280, 16, 5120
#define GIANT 40, 1408, 16, 6144
#define GIGANTIC 48, 1664, 16, 8192

static const struct architecture {
    const char *name;
    enum family family;
    short layers, width, heads, mlp_width;
    short patch, image; /* pixels */
    short classes;
} architectures[] = {
    /* The paper's, and timm's of the same kind (augreg) */
    {"vit_tiny_patch16_224", VIT, TINY, 16, 224, 1000},
    {"vit_tiny_patch16_384", VIT, TINY, 16, 384, 1000},
    {"vit_small_patch32_224", VIT, SMALL, 32, 224, 1000},
    {"vit_small_patch32_384", VIT, SMALL, 32, 384, 1000},
    {"vit_small_patch16_224", VIT, SMALL, 16, 224, 1000},
    {"vit_small_patch16_384", VIT, SMALL, 16, 384, 1000},
    {"vit_small_patch8_224", VIT, SMALL, 8, 224, 1000},
    {"vit_half_patch32_224", VIT, HALF, 32, 224, 1000},
    {"vit_half_patch16_224", VIT, HALF, 16, 224, 1000},
    {"vit_base_patch32_224", VIT, BASE, 32, 224, 1000},
    {"vit_base_patch32_384", VIT, BASE, 32, 384, 1000},
    {"vit_base_patch16_224", VIT, BASE, 16, 224, 1000},
    {"vit_base_patch16_384", VIT, BASE, 16, 384, 1000},
    {"vit_base_patch8_224", VIT, BASE, 8, 224, 1000},
    {"vit_large_patch32_224", VIT, LARGE, 32, 224, 1000},
    {"vit_large_patch32_384", VIT, LARGE, 32, 384, 1000},
    {"vit_large_patch16_224", VIT, LARGE, 16, 224, 1000},
    {"vit_large_patch16_384", VIT, LARGE, 16, 384, 1000},
    {"vit_large_patch14_224", VIT, LARGE, 14, 224, 1000},
    {"vit_huge_patch14_224", VIT, HUGE_, 14, 224, 1000},
    {"vit_giant_patch14_224", VIT, GIANT, 14, 224, 1000},
    {"vit_gigantic_patch14_224", VIT, GIGANTIC, 14, 224, 1000},

    /* DeiT without a distillation token */
    {"deit_tiny_patch16_224", DEIT, TINY, 16, 224, 1000},
    {"deit_small_patch16_224", DEIT, SMALL, 16, 224, 1000},
    {"deit_base_patch16_224", DEIT, BASE, 16, 224, 1000},
    {"deit_base_patch16_384", DEIT, BASE, 16, 384, 1000},
};

enum { ARCHITECTURES = sizeof architectures / sizeof *architectures };

static const vit_preprocess halves = {.mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}};
static const vit_preprocess imagenet = {.mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};

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
        .preprocess = a->family == DEIT ? imagenet : halves,
    };
    c.preprocess.filter = VIT_FILTER_BICUBIC;
    c.preprocess.crop_pct = a->image > 256 ? 1 : 0.9;
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
