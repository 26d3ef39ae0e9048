/* What Hugging Face's config.json claims. */
#include "config_json.h"

#include <stdio.h>
#include <string.h>

/* Configuration classes: their defaults stand where a file leaves something out. */
static const struct hf_family {
    const char *type;
    int patch, class_token, dist_token, registers, activation, pos_resample;
    double eps;
    int has_mlp_ratio; /* instead of intermediate_size */
    const char *processor;
} hf_families[] = {
    {"vit", 16, 1, 0, 0, VIT_GELU_ERF, VIT_RESAMPLE_HF, 1e-12, 0, "ViTImageProcessor"},
    {"deit", 16, 1, 1, 0, VIT_GELU_ERF, VIT_RESAMPLE_HF, 1e-12, 0, "DeiTImageProcessor"},
    {"vit_mae", 16, 1, 0, 0, VIT_GELU_ERF, VIT_RESAMPLE_HF, 1e-12, 0, "ViTImageProcessor"},
    {"vit_msn", 16, 1, 0, 0, VIT_GELU_ERF, VIT_RESAMPLE_HF, 1e-6, 0, "ViTImageProcessor"},
    {"dinov2", 14, 1, 0, 0, VIT_GELU_ERF, VIT_RESAMPLE_HF, 1e-6, 1, "BitImageProcessor"},
    {"dinov2_with_registers", 16, 1, 0, 4, VIT_GELU_ERF, VIT_RESAMPLE_TIMM, 1e-6, 1, "BitImageProcessor"}, /* with antialias */
    {"clip_vision_model", 32, 1, 0, 0, VIT_GELU_QUICK, VIT_RESAMPLE_HF, 1e-5, 0, "CLIPImageProcessor"},
    {"siglip_vision_model", 16, 0, 0, 0, VIT_GELU_TANH, VIT_RESAMPLE_HF, 1e-6, 0, "SiglipImageProcessor"}};

static const struct hf_family *hf_family(const char *type) {
    for (size_t i = 0; i < sizeof hf_families / sizeof *hf_families; i++)
        if (strcmp(hf_families[i].type, type) == 0)
            return &hf_families[i];
    return NULL;
}

static vit_status hf_sizes(const vit_json_reader *r, const struct hf_family *family, vit_claims *claims) {
    int channels = 3;
    claims->image_height = claims->image_width = 224;
    claims->patch_height = claims->patch_width = family->patch;
    claims->width = 768;
    claims->layers = claims->heads = 12;
    claims->mlp_width = 3072;
    claims->mlp = VIT_MLP_PLAIN;
    VIT_TRY(vit_read_pair(r, "image_size", 1, 65535, &claims->image_height, &claims->image_width));
    VIT_TRY(vit_read_pair(r, "patch_size", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(vit_read_integer(r, "num_channels", 3, 3, &channels));
    VIT_TRY(vit_read_integer(r, "hidden_size", 1, 65536, &claims->width));
    VIT_TRY(vit_read_integer(r, "num_hidden_layers", 1, 1000000, &claims->layers));
    VIT_TRY(vit_read_integer(r, "num_attention_heads", 1, 65536, &claims->heads));
    if (!family->has_mlp_ratio)
        return vit_read_integer(r, "intermediate_size", 1, 1 << 20, &claims->mlp_width);
    double ratio = 4;
    int swiglu = 0;
    VIT_TRY(vit_read_real(r, "mlp_ratio", 1e-3, 16, &ratio));
    VIT_TRY(vit_read_bool(r, "use_swiglu_ffn", &swiglu));
    claims->mlp_width = (int)(claims->width * ratio);
    if (swiglu) { /* two thirds, to a multiple of 8 */
        claims->mlp = VIT_MLP_SWIGLU;
        claims->mlp_width = ((int)(claims->mlp_width * 2.0 / 3) + 7) / 8 * 8;
    }
    return VIT_OK;
}

static vit_status hf_words(const vit_json_reader *r, const struct hf_family *family, vit_claims *claims) {
    const vit_json *act = vit_member(r, "hidden_act");
    char pooler[32] = "tanh";
    claims->activation = family->activation;
    if (act && act->type == VIT_JSON_STRING && vit_word_find(vit_activation_words, act->string) == VIT_UNSET)
        return vit_unsupported(r, "hidden_act", act->string);
    VIT_TRY(vit_read_word(r, "hidden_act", vit_activation_words, &claims->activation));
    vit_read_text(r, "pooler_act", pooler, sizeof pooler);
    if (strcmp(pooler, "tanh") != 0)
        return vit_unsupported(r, "pooler_act", pooler);
    claims->norm_eps = family->eps;
    VIT_TRY(vit_read_real(r, "layer_norm_eps", 0, 1, &claims->norm_eps));
    claims->qkv_bias = 1;
    return vit_read_bool(r, "qkv_bias", &claims->qkv_bias);
}

/* How transformers' pipelines make scores of logits. */
static vit_status hf_problem(const vit_json_reader *root, vit_claims *claims) {
    char problem[64] = "";
    vit_read_text(root, "problem_type", problem, sizeof problem);
    if (strcmp(problem, "multi_label_classification") == 0)
        claims->multi_label = 1;
    else if (*problem && strcmp(problem, "single_label_classification") != 0)
        return vit_unsupported(root, "problem_type", problem);
    return VIT_OK;
}

/* What follows from the class of the model: root's "architectures". */
static vit_status hf_class(const vit_json_reader *root, const vit_json_reader *r, const char *type,
                           vit_claims *claims) {
    const vit_json *classes = vit_member(root, "architectures");
    const char *class_name = "";
    if (classes && classes->type == VIT_JSON_ARRAY && classes->child && classes->child->type == VIT_JSON_STRING) {
        class_name = classes->child->string;
        claims->has_head = strstr(class_name, "ForImageClassification") != NULL;
    }
    const int classifies = claims->has_head == 1;
    if (strcmp(type, "clip_vision_model") == 0) {
        claims->pre_norm = 1;
        claims->patch_bias = 0;
        claims->pool = classifies ? VIT_POOL_MEAN : VIT_POOL_CLASS; /* of tokens that are not normed */
        claims->final_norm = !classifies;
        if (classifies)
            claims->projection = 0;
    } else if (strcmp(type, "siglip_vision_model") == 0) {
        int use_head = 1;
        VIT_TRY(vit_read_bool(r, "vision_use_head", &use_head));
        claims->pool = classifies || !use_head ? VIT_POOL_MEAN : VIT_POOL_MAP;
    } else if (strncmp(type, "dinov2", 6) == 0) {
        claims->layer_scale = 1;
        if (claims->has_head != VIT_UNSET) /* else the classifier's width tells */
            claims->pool = classifies ? VIT_POOL_CLASS_MEAN : VIT_POOL_CLASS;
    } else {
        claims->pool = VIT_POOL_CLASS;
    }
    if (classifies && strcmp(type, "deit") == 0)
        claims->head_dist = strstr(class_name, "WithTeacher") != NULL;
    if (strstr(class_name, "ForMaskedImageModeling")) {
        int stride = 16;
        VIT_TRY(vit_read_integer(r, "encoder_stride", 1, 1024, &stride));
        if (strcmp(type, "vit") != 0) /* DeiT's leaves out another token than its distillation token */
            return vit_unsupported(root, "architectures", class_name);
        if (stride != claims->patch_height || stride != claims->patch_width)
            return vit_unsupported(root, "encoder_stride", "other than patch_size");
        claims->decoder_kind = VIT_DECODER_SIMMIM;
    } else if (strcmp(class_name, "ViTMAEForPreTraining") == 0) {
        claims->decoder_kind = VIT_DECODER_MAE;
    } else if (*class_name) {
        claims->decoder_kind = VIT_DECODER_NONE;
    }
    return VIT_OK;
}

static vit_status hf_decoder(const vit_json_reader *r, vit_claims *claims) {
    claims->decoder_width = 512;
    claims->decoder_layers = 8;
    claims->decoder_heads = 16;
    claims->decoder_mlp_width = 2048;
    claims->decoder_norm_pixels = 0;
    VIT_TRY(vit_read_integer(r, "decoder_hidden_size", 1, 65536, &claims->decoder_width));
    VIT_TRY(vit_read_integer(r, "decoder_num_hidden_layers", 1, 1000000, &claims->decoder_layers));
    VIT_TRY(vit_read_integer(r, "decoder_num_attention_heads", 1, 65536, &claims->decoder_heads));
    VIT_TRY(vit_read_integer(r, "decoder_intermediate_size", 1, 1 << 20, &claims->decoder_mlp_width));
    return vit_read_bool(r, "norm_pix_loss", &claims->decoder_norm_pixels);
}

vit_status vit_claims_from_hf(vit_claims *claims, const vit_json_reader *root, const vit_allocator *allocator) {
    char type[64] = "vit";
    vit_json_reader r = *root;
    vit_read_text(root, "model_type", type, sizeof type);
    if (strcmp(type, "clip") == 0 || strcmp(type, "siglip") == 0) { /* a text tower as well */
        static const vit_json defaults = {.type = VIT_JSON_OBJECT};
        r.object = &defaults;
        VIT_TRY(vit_read_object(root, "vision_config", &r.object));
        if (strcmp(type, "clip") == 0) /* CLIPConfig takes all of it, where a file has both */
            VIT_TRY(vit_read_object(root, "vision_config_dict", &r.object));
        strcat(type, "_vision_model");
    }
    const struct hf_family *family = hf_family(type);
    if (!family)
        return vit_unsupported(root, "model_type", type);
    claims->source = VIT_SOURCE_HF;
    claims->processor = family->processor;
    snprintf(claims->architecture, sizeof claims->architecture, "%s", type);
    vit_read_text(root, "_name_or_path", claims->architecture, sizeof claims->architecture);
    VIT_TRY(hf_sizes(&r, family, claims));
    VIT_TRY(hf_words(&r, family, claims));
    claims->class_token = claims->pos_class = family->class_token;
    claims->dist_token = family->dist_token;
    claims->registers = family->registers;
    claims->pos_registers = 0;
    claims->pos_resample = family->pos_resample;
    if (family->registers)
        VIT_TRY(vit_read_integer(&r, "num_register_tokens", 0, 65536, &claims->registers));
    if (strcmp(type, "vit_mae") == 0)
        VIT_TRY(hf_decoder(&r, claims));
    VIT_TRY(hf_class(root, &r, type, claims));
    VIT_TRY(hf_problem(root, claims));
    claims->input_height = claims->image_height;
    claims->input_width = claims->image_width;
    return vit_read_labels(root, "id2label", claims, allocator);
}
