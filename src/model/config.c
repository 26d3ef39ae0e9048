#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The first word of each value is the one that is written. */
const vit_word vit_activation_words[] = {{"gelu", VIT_GELU_ERF},         {"gelu_erf", VIT_GELU_ERF},
                                         {"erf", VIT_GELU_ERF},          {"gelu_tanh", VIT_GELU_TANH},
                                         {"gelu_new", VIT_GELU_TANH},    {"gelu_pytorch_tanh", VIT_GELU_TANH},
                                         {"gelu_fast", VIT_GELU_TANH},   {"tanh", VIT_GELU_TANH},
                                         {"quick_gelu", VIT_GELU_QUICK}, {0}};
const vit_word vit_pool_words[] = {{"cls", VIT_POOL_CLASS},
                                   {"token", VIT_POOL_CLASS},
                                   {"tok", VIT_POOL_CLASS},
                                   {"mean", VIT_POOL_MEAN},
                                   {"avg", VIT_POOL_MEAN},
                                   {"gap", VIT_POOL_MEAN},
                                   {0}};
const vit_word vit_resample_words[] = {{"timm", VIT_RESAMPLE_TIMM},
                                       {"hf", VIT_RESAMPLE_HF},
                                       {"bilinear", VIT_RESAMPLE_BILINEAR},
                                       {"jax", VIT_RESAMPLE_JAX},
                                       {0}};
const vit_word vit_filter_words[] = {{"nearest", VIT_FILTER_NEAREST},         {"box", VIT_FILTER_BOX},
                                     {"bilinear", VIT_FILTER_BILINEAR},       {"hamming", VIT_FILTER_HAMMING},
                                     {"bicubic", VIT_FILTER_BICUBIC},         {"lanczos", VIT_FILTER_LANCZOS},
                                     {"tf_bilinear", VIT_FILTER_TF_BILINEAR}, {0}};
const vit_word vit_crop_words[] = {
    {"center", VIT_CROP_CENTER}, {"squash", VIT_CROP_SQUASH}, {"border", VIT_CROP_BORDER}, {0}};

static const char *word_of(const vit_word *words, int value) {
    for (; words->word; words++)
        if (words->value == value)
            return words->word;
    return NULL;
}

const char *vit_activation_name(vit_activation activation) {
    return word_of(vit_activation_words, activation);
}

const char *vit_pool_name(vit_pool pool) {
    return word_of(vit_pool_words, pool);
}

const char *vit_resample_name(vit_resample resample) {
    return word_of(vit_resample_words, resample);
}

const char *vit_filter_name(vit_filter filter) {
    return word_of(vit_filter_words, filter);
}

const char *vit_crop_name(vit_crop crop) {
    return word_of(vit_crop_words, crop);
}

int vit_word_find(const vit_word *words, const char *word) {
    for (; words->word; words++)
        if (strcmp(words->word, word) == 0)
            return words->value;
    return VIT_UNSET;
}

const char *vit_read_number(const char *text, int *number) {
    int digits = 0;
    for (*number = 0; digits < 9 && text[digits] >= '0' && text[digits] <= '9'; digits++)
        *number = 10 * *number + (text[digits] - '0');
    return digits ? text + digits : NULL;
}

void vit_claims_init(vit_claims *claims) {
    *claims = (vit_claims){0};
    claims->layers = claims->width = claims->heads = claims->mlp_width = claims->classes = VIT_UNSET;
    claims->patch_height = claims->patch_width = claims->image_height = claims->image_width = VIT_UNSET;
    claims->activation = claims->pool = claims->class_token = claims->pos_class = VIT_UNSET;
    claims->qkv_bias = claims->pos_resample = claims->has_head = claims->filter = claims->crop = VIT_UNSET;
    claims->input_height = claims->input_width = VIT_UNSET;
    claims->norm_eps = claims->crop_pct = VIT_UNSET;
}

static void release_labels(vit_claims *claims, const vit_allocator *allocator) {
    for (int i = 0; i < claims->label_count; i++)
        vit_release(allocator, claims->labels[i]);
    vit_release(allocator, claims->labels);
    claims->labels = NULL;
    claims->label_count = 0;
}

void vit_claims_release(vit_claims *claims, const vit_allocator *allocator) {
    release_labels(claims, allocator);
}

/* ---- Reading members of an object: an absent (or null) member leaves *out alone, a wrong one is an error ---- */

typedef struct reader {
    const char *name;
    vit_error *error;
    const vit_json *object;
} reader;

static const vit_json *member(const reader *r, const char *key) {
    const vit_json *value = vit_json_get(r->object, key);
    return value && value->type != VIT_JSON_NULL ? value : NULL;
}

static vit_status wrong(const reader *r, const char *key, const char *expected, const vit_json *found) {
    static const char *const types[] = {"null", "false", "true", "a number", "a string", "an array", "an object"};
    if (found->type == VIT_JSON_STRING)
        return vit_fail(r->error, VIT_ERR_CONFIG, "%s: %s: expected %s, found \"%.60s\"", r->name, key, expected,
                        found->string);
    if (found->type == VIT_JSON_NUMBER)
        return vit_fail(r->error, VIT_ERR_CONFIG, "%s: %s: expected %s, found %g", r->name, key, expected,
                        found->number);
    return vit_fail(r->error, VIT_ERR_CONFIG, "%s: %s: expected %s, found %s", r->name, key, expected,
                    types[found->type]);
}

static vit_status check_integer(const reader *r, const char *key, const vit_json *value, int low, int high, int *out) {
    char expected[64];
    snprintf(expected, sizeof expected, "an integer from %d to %d", low, high);
    if (value->type != VIT_JSON_NUMBER || value->number != floor(value->number) || value->number < low ||
        value->number > high)
        return wrong(r, key, expected, value);
    *out = (int)value->number;
    return VIT_OK;
}

static vit_status read_integer(const reader *r, const char *key, int low, int high, int *out) {
    const vit_json *value = member(r, key);
    return value ? check_integer(r, key, value, low, high, out) : VIT_OK;
}

static vit_status read_number(const reader *r, const char *key, double low, double high, double *out) {
    const vit_json *value = member(r, key);
    char expected[64];
    snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_NUMBER || !(value->number >= low && value->number <= high))
        return wrong(r, key, expected, value);
    *out = value->number;
    return VIT_OK;
}

static vit_status read_bool(const reader *r, const char *key, int *out) {
    const vit_json *value = member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_TRUE && value->type != VIT_JSON_FALSE)
        return wrong(r, key, "true or false", value);
    *out = value->type == VIT_JSON_TRUE;
    return VIT_OK;
}

static vit_status read_object(const reader *r, const char *key, const vit_json **out) {
    const vit_json *value = member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_OBJECT)
        return wrong(r, key, "an object", value);
    *out = value;
    return VIT_OK;
}

static vit_status read_word(const reader *r, const char *key, const vit_word *words, int *out) {
    const vit_json *value = member(r, key);
    if (!value)
        return VIT_OK;
    int found = value->type == VIT_JSON_STRING ? vit_word_find(words, value->string) : VIT_UNSET;
    if (found == VIT_UNSET) {
        char expected[160] = "one of";
        for (const vit_word *w = words; w->word; w++)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), " %s", w->word);
        return wrong(r, key, expected, value);
    }
    *out = found;
    return VIT_OK;
}

/* An integer for both, or [height, width]. */
static vit_status read_pair(const reader *r, const char *key, int low, int high, int *height, int *width) {
    const vit_json *value = member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type == VIT_JSON_ARRAY && value->length == 2) {
        VIT_TRY(check_integer(r, key, value->child, low, high, height));
        return check_integer(r, key, value->child->next, low, high, width);
    }
    VIT_TRY(check_integer(r, key, value, low, high, height));
    *width = *height;
    return VIT_OK;
}

/* Three numbers, or one for all three. */
static vit_status read_channels(const reader *r, const char *key, float out[3], int *has) {
    const vit_json *value = member(r, key);
    if (!value)
        return VIT_OK;
    int is_array = value->type == VIT_JSON_ARRAY && value->length == 3;
    const vit_json *channel = is_array ? value->child : value;
    for (int i = 0; i < 3; i++) {
        if (channel->type != VIT_JSON_NUMBER)
            return wrong(r, key, "three numbers", value);
        out[i] = (float)channel->number;
        if (is_array)
            channel = channel->next;
    }
    *has = 1;
    return VIT_OK;
}

static void read_text(const reader *r, const char *key, char *out, size_t size) {
    const vit_json *value = member(r, key);
    if (value && value->type == VIT_JSON_STRING)
        snprintf(out, size, "%s", value->string);
}

/* ---- Labels ---- */

vit_status vit_claims_alloc_labels(vit_claims *claims, size_t count, const vit_allocator *allocator, vit_error *error) {
    release_labels(claims, allocator);
    VIT_TRY(vit_alloc_for((void **)&claims->labels, allocator, vit_size_mul(count, sizeof(char *)), "labels", error));
    memset(claims->labels, 0, count * sizeof(char *));
    claims->label_count = (int)count;
    return VIT_OK;
}

vit_status vit_claims_set_label(vit_claims *claims, int index, const char *text, const vit_allocator *allocator,
                                vit_error *error) {
    size_t length = strlen(text);
    vit_release(allocator, claims->labels[index]);
    claims->labels[index] = NULL;
    VIT_TRY(vit_alloc_for((void **)&claims->labels[index], allocator, length + 1, "labels", error));
    memcpy(claims->labels[index], text, length + 1);
    return VIT_OK;
}

/* id2label: {"0": "tench", ...}; label_names: ["tench", ...]. */
static vit_status read_labels(const reader *r, const char *key, vit_claims *claims, const vit_allocator *allocator) {
    const vit_json *labels = member(r, key);
    if (!labels)
        return VIT_OK;
    if (labels->type != VIT_JSON_OBJECT && labels->type != VIT_JSON_ARRAY)
        return wrong(r, key, "class names", labels);
    VIT_TRY(vit_claims_alloc_labels(claims, labels->length, allocator, r->error));
    int position = 0;
    for (const vit_json *label = labels->child; label; label = label->next, position++) {
        int index = position;
        if (label->type != VIT_JSON_STRING)
            return wrong(r, key, "class names", label);
        const char *rest = labels->type == VIT_JSON_OBJECT ? vit_read_number(label->key, &index) : "";
        if (!rest || *rest || index >= claims->label_count || claims->labels[index])
            return vit_fail(r->error, VIT_ERR_CONFIG,
                            "%s: %s: expected the keys \"0\" to \"%d\" once each, found \"%.40s\"", r->name, key,
                            claims->label_count - 1, label->key);
        VIT_TRY(vit_claims_set_label(claims, index, label->string, allocator, r->error));
    }
    return VIT_OK;
}

/* ---- timm ---- */

static vit_status unsupported(const reader *r, const char *key, const char *found) {
    return vit_fail(r->error, VIT_ERR_UNSUPPORTED, "%s: %s \"%.60s\" is not supported", r->name, key, found);
}

static vit_status timm_pool(const reader *r, vit_claims *claims) {
    const vit_json *value = member(r, "global_pool");
    if (value && value->type == VIT_JSON_STRING && vit_word_find(vit_pool_words, value->string) == VIT_UNSET)
        return unsupported(r, "global_pool", value->string);
    return read_word(r, "global_pool", vit_pool_words, &claims->pool);
}

/* Every argument is read or known to change nothing: one that is neither could change the network. */
static vit_status timm_model_args(const reader *r, vit_claims *claims) {
    static const char *const read[] = {"img_size",  "patch_size",  "embed_dim",   "depth",       "num_heads",
                                       "mlp_ratio", "num_classes", "global_pool", "class_token", "no_embed_class",
                                       "qkv_bias",  "in_chans",    "act_layer"};
    static const char *const harmless[] = {"fc_norm",         "final_norm",     "drop_rate",        "pos_drop_rate",
                                           "patch_drop_rate", "proj_drop_rate", "attn_drop_rate",   "drop_path_rate",
                                           "weight_init",     "fix_init",       "dynamic_img_size", "dynamic_img_pad",
                                           "strict_img_size"};
    for (const vit_json *argument = r->object ? r->object->child : NULL; argument; argument = argument->next) {
        int known = argument->type == VIT_JSON_NULL || argument->type == VIT_JSON_FALSE;
        for (size_t i = 0; i < sizeof read / sizeof *read; i++)
            known |= strcmp(argument->key, read[i]) == 0;
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
            known |= strcmp(argument->key, harmless[i]) == 0;
        if (!known)
            return unsupported(r, "model_args", argument->key);
    }
    int channels = 3, no_embed_class = VIT_UNSET;
    double mlp_ratio = 4;
    VIT_TRY(read_integer(r, "in_chans", 3, 3, &channels));
    VIT_TRY(read_pair(r, "img_size", 1, 65535, &claims->image_height, &claims->image_width));
    VIT_TRY(read_pair(r, "patch_size", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(read_integer(r, "embed_dim", 1, 65536, &claims->width));
    VIT_TRY(read_integer(r, "depth", 1, 1000000, &claims->layers));
    VIT_TRY(read_integer(r, "num_heads", 1, 65536, &claims->heads));
    VIT_TRY(read_number(r, "mlp_ratio", 1e-3, 1e3, &mlp_ratio)); /* the width itself is in fc1's shape */
    VIT_TRY(read_integer(r, "num_classes", 0, 10000000, &claims->classes));
    VIT_TRY(read_bool(r, "class_token", &claims->class_token));
    VIT_TRY(read_bool(r, "no_embed_class", &no_embed_class));
    VIT_TRY(read_bool(r, "qkv_bias", &claims->qkv_bias));
    VIT_TRY(read_word(r, "act_layer", vit_activation_words, &claims->activation));
    if (no_embed_class != VIT_UNSET)
        claims->pos_class = !no_embed_class;
    return timm_pool(r, claims);
}

/* Heads by architecture: the one number that no tensor's shape tells (timm vision_transformer.py). */
static vit_status timm_architecture(const reader *r, vit_claims *claims) {
    static const struct {
        const char *prefix;
        int heads;
    } known[] = {{"vit_tiny_", 3},  {"vit_small_", 6},  {"vit_base_", 12},  {"vit_large_", 16}, {"vit_huge_", 16},
                 {"deit_tiny_", 3}, {"deit_small_", 6}, {"deit_base_", 12}, {"vit_half_", 6},   {0}};
    if (!*claims->architecture || strncmp(claims->architecture, "vit_", 4) == 0 ||
        strncmp(claims->architecture, "deit_", 5) == 0) {
        for (int i = 0; known[i].prefix; i++)
            if (strncmp(claims->architecture, known[i].prefix, strlen(known[i].prefix)) == 0)
                claims->heads = known[i].heads;
        return VIT_OK;
    }
    return unsupported(r, "architecture", claims->architecture);
}

/* timm's config.json: model_args override what the architecture's name says; the input's statistics, crop and filter
 * are in pretrained_cfg, in old files at the top. */
static vit_status claims_from_timm(vit_claims *claims, const reader *root, const vit_allocator *allocator) {
    reader cfg = *root, arguments = *root;
    claims->source = VIT_SOURCE_TIMM;
    claims->qkv_bias = 1;
    claims->norm_eps = 1e-6;
    claims->activation = VIT_GELU_ERF;
    VIT_TRY(read_object(root, "pretrained_cfg", &cfg.object));
    arguments.object = NULL;
    VIT_TRY(read_object(root, "model_args", &arguments.object));

    read_text(root, "architecture", claims->architecture, sizeof claims->architecture);
    VIT_TRY(timm_architecture(root, claims));
    VIT_TRY(read_integer(root, "num_classes", 0, 10000000, &claims->classes));
    VIT_TRY(timm_pool(root, claims));

    const vit_json *size = member(&cfg, "input_size");
    if (size) {
        if (size->type != VIT_JSON_ARRAY || size->length != 3)
            return wrong(&cfg, "input_size", "[3, height, width]", size);
        VIT_TRY(check_integer(&cfg, "input_size", size->child->next, 1, 65535, &claims->input_height));
        VIT_TRY(check_integer(&cfg, "input_size", size->child->next->next, 1, 65535, &claims->input_width));
        claims->image_height = claims->input_height;
        claims->image_width = claims->input_width;
    }
    VIT_TRY(read_channels(&cfg, "mean", claims->mean, &claims->has_mean));
    VIT_TRY(read_channels(&cfg, "std", claims->std, &claims->has_std));
    VIT_TRY(read_word(&cfg, "interpolation", vit_filter_words, &claims->filter));
    VIT_TRY(read_word(&cfg, "crop_mode", vit_crop_words, &claims->crop));
    VIT_TRY(read_number(&cfg, "crop_pct", 1e-3, 1, &claims->crop_pct));
    VIT_TRY(read_labels(&cfg, "label_names", claims, allocator));
    VIT_TRY(read_labels(root, "label_names", claims, allocator));

    char tag[64] = "";
    read_text(&cfg, "tag", tag, sizeof tag);
    size_t length = strlen(tag);
    if (length >= 4 && strcmp(tag + length - 4, "in1k") == 0)
        snprintf(claims->label_set, sizeof claims->label_set, "imagenet-1k");
    VIT_TRY(timm_model_args(&arguments, claims));
    if (claims->pool == VIT_POOL_CLASS && claims->class_token == VIT_UNSET)
        claims->class_token = 1;
    return VIT_OK;
}

/* ---- Hugging Face ---- */

static vit_status claims_from_hf(vit_claims *claims, const reader *r, const vit_allocator *allocator) {
    char type[64] = "vit";
    int channels = 3;
    read_text(r, "model_type", type, sizeof type);
    if (strcmp(type, "vit") != 0)
        return unsupported(r, "model_type", type);
    claims->source = VIT_SOURCE_HF;
    snprintf(claims->architecture, sizeof claims->architecture, "vit");
    read_text(r, "_name_or_path", claims->architecture, sizeof claims->architecture);
    /* ViTConfig's defaults stand where a file leaves them out. */
    claims->image_height = claims->image_width = 224;
    claims->patch_height = claims->patch_width = 16;
    claims->width = 768;
    claims->layers = claims->heads = 12;
    claims->mlp_width = 3072;
    claims->norm_eps = 1e-12;
    claims->activation = VIT_GELU_ERF;
    claims->qkv_bias = 1;
    VIT_TRY(read_pair(r, "image_size", 1, 65535, &claims->image_height, &claims->image_width));
    VIT_TRY(read_pair(r, "patch_size", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(read_integer(r, "num_channels", 3, 3, &channels));
    VIT_TRY(read_integer(r, "hidden_size", 1, 65536, &claims->width));
    VIT_TRY(read_integer(r, "num_hidden_layers", 1, 1000000, &claims->layers));
    VIT_TRY(read_integer(r, "num_attention_heads", 1, 65536, &claims->heads));
    VIT_TRY(read_integer(r, "intermediate_size", 1, 1 << 20, &claims->mlp_width));
    VIT_TRY(read_number(r, "layer_norm_eps", 0, 1, &claims->norm_eps));
    VIT_TRY(read_bool(r, "qkv_bias", &claims->qkv_bias));
    const vit_json *act = member(r, "hidden_act");
    if (act && act->type == VIT_JSON_STRING && vit_word_find(vit_activation_words, act->string) == VIT_UNSET)
        return unsupported(r, "hidden_act", act->string);
    VIT_TRY(read_word(r, "hidden_act", vit_activation_words, &claims->activation));
    claims->class_token = claims->pos_class = 1;
    claims->pool = VIT_POOL_CLASS;
    const vit_json *classes = member(r, "architectures");
    if (classes && classes->type == VIT_JSON_ARRAY && classes->child && classes->child->type == VIT_JSON_STRING)
        claims->has_head = strstr(classes->child->string, "ForImageClassification") != NULL;
    claims->input_height = claims->image_height;
    claims->input_width = claims->image_width;
    return read_labels(r, "id2label", claims, allocator);
}

typedef struct hf_size {
    int height, width, shortest; /* 0: not given */
} hf_size;

/* {"height": h, "width": w}, {"shortest_edge": n}, or an integer for both sides. */
static vit_status read_size(const reader *r, const char *key, hf_size *out) {
    reader size = {.name = r->name, .error = r->error};
    *out = (hf_size){0};
    if (!member(r, key) || member(r, key)->type != VIT_JSON_OBJECT)
        return read_pair(r, key, 1, 65535, &out->height, &out->width);
    VIT_TRY(read_object(r, key, &size.object));
    for (const vit_json *side = size.object->child; side; side = side->next)
        if (strcmp(side->key, "height") != 0 && strcmp(side->key, "width") != 0 &&
            strcmp(side->key, "shortest_edge") != 0 && side->type != VIT_JSON_NULL)
            return unsupported(r, key, side->key);
    VIT_TRY(read_integer(&size, "shortest_edge", 1, 65535, &out->shortest));
    VIT_TRY(read_integer(&size, "height", 1, 65535, &out->height));
    VIT_TRY(read_integer(&size, "width", 1, 65535, &out->width));
    if (!out->height != !out->width)
        return wrong(r, key, "both height and width", size.object);
    return VIT_OK;
}

/* Resizing to size, then perhaps the middle of crop, as crop mode, crop_pct and input size. */
static vit_status hf_resize_and_crop(vit_claims *claims, const reader *r, int center_crop, hf_size size, hf_size crop) {
    if (!center_crop && size.shortest)
        return unsupported(r, "size", "shortest_edge without do_center_crop");
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
        return unsupported(r, "do_center_crop", "true without the height and width of crop_size");
    if (!size.shortest && !size.height)
        size = crop;
    int edge = size.shortest ? size.shortest : size.height;
    if (!size.shortest && (int64_t)size.width * crop.height != (int64_t)size.height * crop.width)
        return unsupported(r, "do_center_crop", "true with a crop_size of other proportions than size");
    if (size.shortest && crop.height != crop.width)
        return unsupported(r, "crop_size", "other than a square, with size.shortest_edge");
    if (crop.height > edge)
        return unsupported(r, "crop_size", "larger than size");
    claims->input_height = crop.height;
    claims->input_width = crop.width;
    if (crop.height < edge) /* rounded towards zero, so that floor(crop / crop_pct) is the edge again */
        claims->crop_pct = nextafter((double)crop.height / edge, 0);
    return VIT_OK;
}

/* preprocessor_config.json of an image processor (transformers image_processing_*.py). */
static vit_status claims_from_preprocessor(vit_claims *claims, const reader *r) {
    static const int pillow[] = {VIT_FILTER_NEAREST, VIT_FILTER_LANCZOS, VIT_FILTER_BILINEAR,
                                 VIT_FILTER_BICUBIC, VIT_FILTER_BOX,     VIT_FILTER_HAMMING};
    int resample = 2, resize = 1, center_crop = 0, normalize = 1, rescale = 1;
    hf_size size, crop;
    double factor = 1.0 / 255;
    VIT_TRY(read_integer(r, "resample", 0, 5, &resample));
    VIT_TRY(read_bool(r, "do_resize", &resize));
    VIT_TRY(read_bool(r, "do_center_crop", &center_crop));
    VIT_TRY(read_bool(r, "do_normalize", &normalize));
    VIT_TRY(read_bool(r, "do_rescale", &rescale));
    VIT_TRY(read_number(r, "rescale_factor", 1e-6, 1, &factor));
    VIT_TRY(read_size(r, "size", &size));
    VIT_TRY(read_size(r, "crop_size", &crop));
    if (!resize)
        return unsupported(r, "do_resize", "false");
    claims->filter = pillow[resample];
    VIT_TRY(hf_resize_and_crop(claims, r, center_crop, size, crop));
    VIT_TRY(read_channels(r, "image_mean", claims->mean, &claims->has_mean));
    VIT_TRY(read_channels(r, "image_std", claims->std, &claims->has_std));
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

/* ---- golden case.json ---- */

static vit_status claims_from_case(vit_claims *claims, const reader *r) {
    if (claims->source == VIT_SOURCE_NONE)
        claims->source = VIT_SOURCE_CASE;
    VIT_TRY(read_integer(r, "depth", 1, 1000000, &claims->layers));
    VIT_TRY(read_integer(r, "width", 1, 65536, &claims->width));
    VIT_TRY(read_integer(r, "heads", 1, 65536, &claims->heads));
    VIT_TRY(read_integer(r, "mlp", 1, 1 << 20, &claims->mlp_width));
    VIT_TRY(read_integer(r, "classes", 0, 10000000, &claims->classes));
    VIT_TRY(read_pair(r, "patch", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(read_number(r, "ln_eps", 0, 1, &claims->norm_eps));
    VIT_TRY(read_word(r, "gelu", vit_activation_words, &claims->activation));
    VIT_TRY(read_word(r, "pool", vit_pool_words, &claims->pool));
    int rows = 0, columns = 0;
    VIT_TRY(read_pair(r, "grid", 1, 65535, &rows, &columns));
    if (rows && claims->patch_height > 0) {
        claims->image_height = rows * claims->patch_height;
        claims->image_width = columns * claims->patch_width;
    }
    char variant[32] = "1d";
    read_text(r, "variant", variant, sizeof variant);
    return strcmp(variant, "1d") == 0 ? VIT_OK : unsupported(r, "variant", variant);
}

vit_status vit_claims_from_json(vit_claims *claims, const char *name, const vit_json *root,
                                const vit_allocator *allocator, vit_error *error) {
    reader r = {.name = name, .error = error, .object = root};
    if (root->type != VIT_JSON_OBJECT)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: expected a JSON object", name);
    if (member(&r, "image_processor_type") || member(&r, "feature_extractor_type") || member(&r, "image_mean"))
        return claims_from_preprocessor(claims, &r);
    if (member(&r, "architecture") || member(&r, "pretrained_cfg"))
        return claims_from_timm(claims, &r, allocator);
    if (member(&r, "model_type") || member(&r, "hidden_size"))
        return claims_from_hf(claims, &r, allocator);
    if (member(&r, "ln_eps") || member(&r, "gelu") || member(&r, "variant") || member(&r, "heads"))
        return claims_from_case(claims, &r);
    return vit_fail(error, VIT_ERR_CONFIG,
                    "%s: not a model configuration: expected timm's (architecture), Hugging Face's (model_type) or a "
                    "preprocessor's (image_mean)",
                    name);
}

void vit_claims_override(vit_claims *claims, vit_claims *later, const vit_allocator *allocator) {
    int *const fields[][2] = {{&claims->layers, &later->layers},
                              {&claims->width, &later->width},
                              {&claims->heads, &later->heads},
                              {&claims->mlp_width, &later->mlp_width},
                              {&claims->classes, &later->classes},
                              {&claims->patch_height, &later->patch_height},
                              {&claims->patch_width, &later->patch_width},
                              {&claims->image_height, &later->image_height},
                              {&claims->image_width, &later->image_width},
                              {&claims->activation, &later->activation},
                              {&claims->pool, &later->pool},
                              {&claims->class_token, &later->class_token},
                              {&claims->pos_class, &later->pos_class},
                              {&claims->qkv_bias, &later->qkv_bias},
                              {&claims->pos_resample, &later->pos_resample},
                              {&claims->has_head, &later->has_head},
                              {&claims->filter, &later->filter},
                              {&claims->crop, &later->crop},
                              {&claims->input_height, &later->input_height},
                              {&claims->input_width, &later->input_width}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (*fields[i][1] != VIT_UNSET)
            *fields[i][0] = *fields[i][1];
    if (later->norm_eps >= 0)
        claims->norm_eps = later->norm_eps;
    if (later->crop_pct > 0)
        claims->crop_pct = later->crop_pct;
    if (later->has_mean)
        memcpy(claims->mean, later->mean, sizeof claims->mean);
    if (later->has_std)
        memcpy(claims->std, later->std, sizeof claims->std);
    if (*later->architecture)
        memcpy(claims->architecture, later->architecture, sizeof claims->architecture);
    if (*later->label_set)
        memcpy(claims->label_set, later->label_set, sizeof claims->label_set);
    if (later->label_count) {
        release_labels(claims, allocator);
        claims->labels = later->labels;
        claims->label_count = later->label_count;
        later->labels = NULL;
        later->label_count = 0;
    }
}
