/* What Hugging Face's config.json and preprocessor_config.json claim. */
#include "config_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

vit_status vit_claims_from_hf(vit_claims *claims, const vit_json_reader *r, const vit_allocator *allocator) {
    char type[64] = "vit";
    int channels = 3;
    vit_read_text(r, "model_type", type, sizeof type);
    if (strcmp(type, "vit") != 0)
        return vit_unsupported(r, "model_type", type);
    claims->source = VIT_SOURCE_HF;
    snprintf(claims->architecture, sizeof claims->architecture, "vit");
    vit_read_text(r, "_name_or_path", claims->architecture, sizeof claims->architecture);
    /* ViTConfig's defaults stand where a file leaves them out. */
    claims->image_height = claims->image_width = 224;
    claims->patch_height = claims->patch_width = 16;
    claims->width = 768;
    claims->layers = claims->heads = 12;
    claims->mlp_width = 3072;
    claims->norm_eps = 1e-12;
    claims->activation = VIT_GELU_ERF;
    claims->qkv_bias = 1;
    VIT_TRY(vit_read_pair(r, "image_size", 1, 65535, &claims->image_height, &claims->image_width));
    VIT_TRY(vit_read_pair(r, "patch_size", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(vit_read_integer(r, "num_channels", 3, 3, &channels));
    VIT_TRY(vit_read_integer(r, "hidden_size", 1, 65536, &claims->width));
    VIT_TRY(vit_read_integer(r, "num_hidden_layers", 1, 1000000, &claims->layers));
    VIT_TRY(vit_read_integer(r, "num_attention_heads", 1, 65536, &claims->heads));
    VIT_TRY(vit_read_integer(r, "intermediate_size", 1, 1 << 20, &claims->mlp_width));
    VIT_TRY(vit_read_real(r, "layer_norm_eps", 0, 1, &claims->norm_eps));
    VIT_TRY(vit_read_bool(r, "qkv_bias", &claims->qkv_bias));
    const vit_json *act = vit_member(r, "hidden_act");
    if (act && act->type == VIT_JSON_STRING && vit_word_find(vit_activation_words, act->string) == VIT_UNSET)
        return vit_unsupported(r, "hidden_act", act->string);
    VIT_TRY(vit_read_word(r, "hidden_act", vit_activation_words, &claims->activation));
    claims->class_token = claims->pos_class = 1;
    claims->pool = VIT_POOL_CLASS;
    const vit_json *classes = vit_member(r, "architectures");
    if (classes && classes->type == VIT_JSON_ARRAY && classes->child && classes->child->type == VIT_JSON_STRING)
        claims->has_head = strstr(classes->child->string, "ForImageClassification") != NULL;
    claims->input_height = claims->image_height;
    claims->input_width = claims->image_width;
    return vit_read_labels(r, "id2label", claims, allocator);
}

typedef struct hf_size {
    int height, width, shortest; /* 0: not given */
} hf_size;

/* {"height": h, "width": w}, {"shortest_edge": n}, or an integer for both sides. */
static vit_status read_size(const vit_json_reader *r, const char *key, hf_size *out) {
    vit_json_reader size = {.name = r->name, .error = r->error};
    *out = (hf_size){0};
    if (!vit_member(r, key) || vit_member(r, key)->type != VIT_JSON_OBJECT)
        return vit_read_pair(r, key, 1, 65535, &out->height, &out->width);
    VIT_TRY(vit_read_object(r, key, &size.object));
    for (const vit_json *side = size.object->child; side; side = side->next)
        if (strcmp(side->key, "height") != 0 && strcmp(side->key, "width") != 0 &&
            strcmp(side->key, "shortest_edge") != 0 && side->type != VIT_JSON_NULL)
            return vit_unsupported(r, key, side->key);
    VIT_TRY(vit_read_integer(&size, "shortest_edge", 1, 65535, &out->shortest));
    VIT_TRY(vit_read_integer(&size, "height", 1, 65535, &out->height));
    VIT_TRY(vit_read_integer(&size, "width", 1, 65535, &out->width));
    if (!out->height != !out->width)
        return vit_wrong(r, key, "both height and width", size.object);
    return VIT_OK;
}

/* Resizing to size, then perhaps the middle of crop, as crop mode, crop_pct and input size. */
static vit_status hf_resize_and_crop(vit_claims *claims, const vit_json_reader *r, int center_crop, hf_size size, hf_size crop) {
    if (!center_crop && size.shortest)
        return vit_unsupported(r, "size", "shortest_edge without do_center_crop");
    claims->crop = size.shortest ? VIT_CROP_CENTER : VIT_CROP_SQUASH;
    claims->crop_pct = 1;
    if (!center_crop) {
        if (size.height) {
            claims->input_height = size.height;
            claims->input_width = size.width;
        }
        return VIT_OK;
    }
    if (!crop.height)
        return vit_unsupported(r, "do_center_crop", "true without the height and width of crop_size");
    if (!size.shortest && !size.height)
        size = crop;
    int edge = size.shortest ? size.shortest : size.height;
    if (!size.shortest && (int64_t)size.width * crop.height != (int64_t)size.height * crop.width)
        return vit_unsupported(r, "do_center_crop", "true with a crop_size of other proportions than size");
    if (size.shortest && crop.height != crop.width)
        return vit_unsupported(r, "crop_size", "other than a square, with size.shortest_edge");
    if (crop.height > edge)
        return vit_unsupported(r, "crop_size", "larger than size");
    claims->input_height = crop.height;
    claims->input_width = crop.width;
    if (crop.height < edge) /* rounded towards zero, so that floor(crop / crop_pct) is the edge again */
        claims->crop_pct = nextafter((double)crop.height / edge, 0);
    return VIT_OK;
}

/* preprocessor_config.json of an image processor (transformers image_processing_*.py). */
vit_status vit_claims_from_preprocessor(vit_claims *claims, const vit_json_reader *r) {
    static const int pillow[] = {VIT_FILTER_NEAREST, VIT_FILTER_LANCZOS, VIT_FILTER_BILINEAR,
                                 VIT_FILTER_BICUBIC, VIT_FILTER_BOX,     VIT_FILTER_HAMMING};
    int resample = 2, resize = 1, center_crop = 0, normalize = 1, rescale = 1;
    hf_size size, crop;
    double factor = 1.0 / 255;
    VIT_TRY(vit_read_integer(r, "resample", 0, 5, &resample));
    VIT_TRY(vit_read_bool(r, "do_resize", &resize));
    VIT_TRY(vit_read_bool(r, "do_center_crop", &center_crop));
    VIT_TRY(vit_read_bool(r, "do_normalize", &normalize));
    VIT_TRY(vit_read_bool(r, "do_rescale", &rescale));
    VIT_TRY(vit_read_real(r, "rescale_factor", 1e-6, 1, &factor));
    VIT_TRY(read_size(r, "size", &size));
    VIT_TRY(read_size(r, "crop_size", &crop));
    if (!resize)
        return vit_unsupported(r, "do_resize", "false");
    claims->filter = pillow[resample];
    VIT_TRY(hf_resize_and_crop(claims, r, center_crop, size, crop));
    VIT_TRY(vit_read_channels(r, "image_mean", claims->mean, &claims->has_mean));
    VIT_TRY(vit_read_channels(r, "image_std", claims->std, &claims->has_std));
    if (!claims->has_mean)
        claims->mean[0] = claims->mean[1] = claims->mean[2] = 0.5f;
    if (!claims->has_std)
        claims->std[0] = claims->std[1] = claims->std[2] = 0.5f;
    /* Folded into mean and std of pixels in 0..1: (x f - mean) / std = (x / 255 - mean / 255f) / (std / 255f). */
    double unit = rescale ? factor * 255 : 255;
    for (int i = 0; i < 3 && (!normalize || fabs(unit - 1) > 1e-6); i++) {
        claims->mean[i] = (float)(normalize ? claims->mean[i] / unit : 0);
        claims->std[i] = (float)(normalize ? claims->std[i] / unit : 1 / unit);
    }
    claims->has_mean = claims->has_std = 1;
    return VIT_OK;
}
