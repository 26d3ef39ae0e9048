/* What timm's config.json claims. */
#include "config_json.h"

#include <stdio.h>
#include <string.h>

static vit_status timm_pool(const vit_json_reader *r, vit_claims *claims) {
    const vit_json *value = vit_member(r, "global_pool");
    if (value && value->type == VIT_JSON_STRING && vit_word_find(vit_pool_words, value->string) == VIT_UNSET)
        return vit_unsupported(r, "global_pool", value->string);
    return vit_read_word(r, "global_pool", vit_pool_words, &claims->pool);
}

/* Read, or known to change nothing that the tensors do not tell; of BiT, and of all others. */
static const char *const bit_arguments[] = {"in_chans",  "num_classes", "global_pool", "stem_type",      "layers",
                                            "channels",  "stem_chs",    "drop_rate",   "drop_path_rate", "zero_init_last",
                                            NULL};
static const char *const vit_arguments[] = {
    "img_size",      "patch_size",     "embed_dim",      "depth",          "num_heads",        "mlp_ratio",
    "num_classes",   "global_pool",    "class_token",    "no_embed_class", "qkv_bias",         "in_chans",
    "act_layer",     "stem_type",      "final_norm",     "reg_tokens",     "pre_norm",         "init_values",
    "pos_embed",     "fc_norm",        "drop_rate",      "pos_drop_rate",  "patch_drop_rate",  "proj_drop_rate",
    "attn_drop_rate", "drop_path_rate", "weight_init",   "fix_init",       "dynamic_img_size", "strict_img_size",
    "resnet_layers", "resnet_stem_chs", NULL};

/* An argument of another name could change the network. */
static vit_status timm_model_args(const vit_json_reader *r, vit_claims *claims) {
    const char *const *const names = claims->network == VIT_NETWORK_BIT ? bit_arguments : vit_arguments;
    for (const vit_json *argument = r->object ? r->object->child : NULL; argument; argument = argument->next) {
        int known = argument->type == VIT_JSON_NULL || argument->type == VIT_JSON_FALSE;
        for (int i = 0; names[i]; i++)
            known |= strcmp(argument->key, names[i]) == 0;
        if (!known)
            return vit_unsupported(r, "model_args", argument->key);
    }
    char stem[16] = "fixed";
    vit_read_text(r, "stem_type", stem, sizeof stem);
    if (strcmp(stem, "fixed") != 0) /* of BiT; with others it would be another network */
        return vit_unsupported(r, "stem_type", stem);
    char positions[16] = "learn";
    vit_read_text(r, "pos_embed", positions, sizeof positions);
    if (!*positions || strcmp(positions, "none") == 0)
        claims->pos_kind = VIT_POS_NONE;
    else if (strcmp(positions, "learn") != 0)
        return vit_unsupported(r, "pos_embed", positions);
    int channels = 3, no_embed_class = VIT_UNSET, final_norm = VIT_UNSET;
    double mlp_ratio = 4, scale = VIT_UNSET;
    VIT_TRY(vit_read_integer(r, "in_chans", 3, 3, &channels));
    VIT_TRY(vit_read_pair(r, "img_size", 1, 65535, &claims->image_height, &claims->image_width));
    VIT_TRY(vit_read_pair(r, "patch_size", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(vit_read_integer(r, "embed_dim", 1, 65536, &claims->width));
    VIT_TRY(vit_read_integer(r, "depth", 1, 1000000, &claims->layers));
    VIT_TRY(vit_read_integer(r, "num_heads", 1, 65536, &claims->heads));
    VIT_TRY(vit_read_real(r, "mlp_ratio", 1e-3, 1e3, &mlp_ratio)); /* the width itself is in fc1's shape */
    VIT_TRY(vit_read_integer(r, "num_classes", 0, 10000000, &claims->classes));
    VIT_TRY(vit_read_bool(r, "class_token", &claims->class_token));
    VIT_TRY(vit_read_bool(r, "no_embed_class", &no_embed_class));
    VIT_TRY(vit_read_bool(r, "qkv_bias", &claims->qkv_bias));
    VIT_TRY(vit_read_word(r, "act_layer", vit_activation_words, &claims->activation));
    VIT_TRY(vit_read_real(r, "init_values", 0, 1e6, &scale)); /* of LayerScale, whose values are in the file */
    if (scale >= 0)
        claims->layer_scale = 1;
    VIT_TRY(vit_read_integer(r, "reg_tokens", 0, 65536, &claims->registers));
    VIT_TRY(vit_read_bool(r, "pre_norm", &claims->pre_norm));
    VIT_TRY(vit_read_bool(r, "final_norm", &final_norm));
    if (no_embed_class != VIT_UNSET)
        claims->pos_class = claims->pos_registers = !no_embed_class;
    if (final_norm == 0)
        claims->final_norm = claims->pool_norm = 0;
    return timm_pool(r, claims);
}

static int begins(const char *name, const char *part) {
    return strncmp(name, part, strlen(part)) == 0;
}

/* What no tensor tells of the networks in timm's vision_transformer.py and deit.py. The first that a name begins with
 * counts. */
static const struct timm_heads {
    const char *part;
    int heads;
} timm_heads[] = {{"vit_tiny_", 3},
                  {"vit_wee_", 4},
                  {"vit_xsmall_", 4},
                  {"vit_little_", 5},
                  {"vit_small_", 6},
                  {"vit_half_", 6},
                  {"vit_medium", 8},
                  {"vit_betwixt_", 10},
                  {"vit_base_patch16_gap_224", 16},
                  {"vit_base_patch16_plus_", 14},
                  {"vit_base_patch32_plus_", 14},
                  {"vit_base_", 12},
                  {"vit_so150m2_", 13},
                  {"vit_so150m_", 14},
                  {"vit_so400m_", 16},
                  {"vit_intern300m_", 16},
                  {"vit_large_", 16},
                  {"vit_huge_", 16},
                  {"vit_giant_patch14_dinov2", 24},
                  {"vit_giant_patch14_reg", 24},
                  {"vit_giant_patch16_radio", 24},
                  {"vit_giant", 16},
                  {"vit_gigantic_", 16},
                  {"deit_tiny_", 3},
                  {"deit_small_", 6},
                  {"deit_base_", 12},
                  {"deit3_small_", 6},
                  {"deit3_medium_", 8},
                  {"deit3_base_", 12},
                  {"deit3_", 16},
                  {"flexivit_small", 6},
                  {"flexivit_base", 12},
                  {"flexivit_large", 16},
                  {"eva_large_", 16},
                  {"test_vit", 2},
                  {0}};
static const char *const timm_tanh[] = {"vit_giantopt_patch16_siglip_", "vit_so400m_patch16_siglip_",
                                        "vit_base_patch32_siglip_", "vit_large_patch16_siglip_512",
                                        "vit_large_patch16_siglip_gap_512"};
static const char *const timm_no_qkv_bias[] = {"vit_base_patch16_224_miil", "vit_medium_patch16_gap_",
                                               "vit_betwixt_patch16_gap_", "vit_so150m2_"};
/* Of the same class, or of one that has the same names of tensors, but other networks. */
static const char *const timm_other[] = {"_rope", "_xp_", "_rpn_", "_18x2_", "_mci_", "vit_pwee_", "vit_dpwee_",
                                         "vit_dwee_", "vit_dlittle_", "vit_relpos_", "vit_srelpos_", "test_vit3",
                                         "test_vit4"};

static vit_status timm_architecture(const vit_json_reader *r, vit_claims *claims) {
    const char *name = claims->architecture;
    if (begins(name, "resnetv2_") && strstr(name, "_bit")) {
        claims->network = VIT_NETWORK_BIT;
        return VIT_OK;
    }
    static const char *const classes[] = {"vit_", "deit_", "deit3_", "flexivit_", "eva_large_", "test_vit"};
    int is_known = !*name;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        is_known |= begins(name, classes[i]);
    if (!is_known)
        return vit_unsupported(r, "architecture", name);
    for (size_t i = 0; i < sizeof timm_other / sizeof *timm_other; i++)
        if (strstr(name, timm_other[i]))
            return vit_unsupported(r, "architecture", name);
    for (const struct timm_heads *h = timm_heads; h->part && claims->heads == VIT_UNSET; h++)
        if (begins(name, h->part))
            claims->heads = h->heads;
    for (size_t i = 0; i < sizeof timm_no_qkv_bias / sizeof *timm_no_qkv_bias; i++)
        if (begins(name, timm_no_qkv_bias[i]))
            claims->qkv_bias = 0;
    for (size_t i = 0; i < sizeof timm_tanh / sizeof *timm_tanh; i++)
        if (begins(name, timm_tanh[i]))
            claims->activation = VIT_GELU_TANH;
    if (strstr(name, "_quickgelu_"))
        claims->activation = VIT_GELU_QUICK;
    if (strstr(name, "_clip_"))
        claims->norm_eps = 1e-5;
    if (strstr(name, "_distilled_"))
        claims->dist_token = claims->head_dist = 1;
    if (strstr(name, "_radio_") || begins(name, "vit_intern300m_"))
        claims->final_norm = claims->pool_norm = 0;
    return VIT_OK;
}

/* timm's config.json: model_args override what the architecture's name says; the input's statistics, crop and filter
 * are in pretrained_cfg, in old files at the top. */
vit_status vit_claims_from_timm(vit_claims *claims, const vit_json_reader *root, const vit_allocator *allocator) {
    vit_json_reader cfg = *root, arguments = *root;
    claims->source = VIT_SOURCE_TIMM;
    claims->qkv_bias = 1;
    claims->norm_eps = 1e-6;
    claims->activation = VIT_GELU_ERF;
    VIT_TRY(vit_read_object(root, "pretrained_cfg", &cfg.object));
    arguments.object = NULL;
    VIT_TRY(vit_read_object(root, "model_args", &arguments.object));

    vit_read_text(root, "architecture", claims->architecture, sizeof claims->architecture);
    VIT_TRY(timm_architecture(root, claims));
    VIT_TRY(vit_read_integer(root, "num_classes", 0, 10000000, &claims->classes));
    VIT_TRY(timm_pool(root, claims));

    const vit_json *size = vit_member(&cfg, "input_size");
    if (size) {
        if (size->type != VIT_JSON_ARRAY || size->length != 3)
            return vit_wrong(&cfg, "input_size", "[3, height, width]", size);
        VIT_TRY(vit_check_integer(&cfg, "input_size", size->child->next, 1, 65535, &claims->input_height));
        VIT_TRY(vit_check_integer(&cfg, "input_size", size->child->next->next, 1, 65535, &claims->input_width));
        claims->image_height = claims->input_height;
        claims->image_width = claims->input_width;
    }
    VIT_TRY(vit_read_channels(&cfg, "mean", claims->mean, &claims->has_mean));
    VIT_TRY(vit_read_channels(&cfg, "std", claims->std, &claims->has_std));
    VIT_TRY(vit_read_word(&cfg, "interpolation", vit_filter_words, &claims->filter));
    VIT_TRY(vit_read_word(&cfg, "crop_mode", vit_crop_words, &claims->crop));
    VIT_TRY(vit_read_real(&cfg, "crop_pct", 1e-3, 1, &claims->crop_pct));
    VIT_TRY(vit_read_labels(&cfg, "label_names", claims, allocator));
    VIT_TRY(vit_read_labels(root, "label_names", claims, allocator));

    char tag[64] = "";
    vit_read_text(&cfg, "tag", tag, sizeof tag);
    size_t length = strlen(tag);
    if (length >= 4 && strcmp(tag + length - 4, "in1k") == 0)
        snprintf(claims->label_set, sizeof claims->label_set, "imagenet-1k");
    VIT_TRY(timm_model_args(&arguments, claims));
    if (claims->pool == VIT_POOL_CLASS && claims->class_token == VIT_UNSET)
        claims->class_token = 1;
    return VIT_OK;
}
