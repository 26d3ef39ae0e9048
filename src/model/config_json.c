/* Claims in JSON: reading members, and telling whose a text is. */
#include "config_json.h"

#include "../format/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const vit_json *vit_member(const vit_json_reader *r, const char *key) {
    const vit_json *value = vit_json_get(r->object, key);
    return value && value->type != VIT_JSON_NULL ? value : NULL;
}

vit_status vit_wrong(const vit_json_reader *r, const char *key, const char *expected, const vit_json *found) {
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

vit_status vit_check_integer(const vit_json_reader *r, const char *key, const vit_json *value, int low, int high,
                             int *out) {
    char expected[64];
    snprintf(expected, sizeof expected, "an integer from %d to %d", low, high);
    if (value->type != VIT_JSON_NUMBER || value->number != floor(value->number) || value->number < low ||
        value->number > high)
        return vit_wrong(r, key, expected, value);
    *out = (int)value->number;
    return VIT_OK;
}

vit_status vit_read_integer(const vit_json_reader *r, const char *key, int low, int high, int *out) {
    const vit_json *value = vit_member(r, key);
    return value ? vit_check_integer(r, key, value, low, high, out) : VIT_OK;
}

vit_status vit_read_real(const vit_json_reader *r, const char *key, double low, double high, double *out) {
    const vit_json *value = vit_member(r, key);
    char expected[64];
    snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_NUMBER || !(value->number >= low && value->number <= high))
        return vit_wrong(r, key, expected, value);
    *out = value->number;
    return VIT_OK;
}

vit_status vit_read_bool(const vit_json_reader *r, const char *key, int *out) {
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_TRUE && value->type != VIT_JSON_FALSE)
        return vit_wrong(r, key, "true or false", value);
    *out = value->type == VIT_JSON_TRUE;
    return VIT_OK;
}

vit_status vit_read_object(const vit_json_reader *r, const char *key, const vit_json **out) {
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_JSON_OBJECT)
        return vit_wrong(r, key, "an object", value);
    *out = value;
    return VIT_OK;
}

vit_status vit_read_word(const vit_json_reader *r, const char *key, const vit_word *words, int *out) {
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    int found = value->type == VIT_JSON_STRING ? vit_word_find(words, value->string) : VIT_UNSET;
    if (found == VIT_UNSET) {
        char expected[160] = "one of";
        for (const vit_word *w = words; w->word; w++)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), " %s", w->word);
        return vit_wrong(r, key, expected, value);
    }
    *out = found;
    return VIT_OK;
}

/* An integer for both, or [height, width]. */
vit_status vit_read_pair(const vit_json_reader *r, const char *key, int low, int high, int *height, int *width) {
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    if (value->type == VIT_JSON_ARRAY && value->length == 2) {
        VIT_TRY(vit_check_integer(r, key, value->child, low, high, height));
        return vit_check_integer(r, key, value->child->next, low, high, width);
    }
    VIT_TRY(vit_check_integer(r, key, value, low, high, height));
    *width = *height;
    return VIT_OK;
}

/* Three numbers, or one for all three. */
vit_status vit_read_channels(const vit_json_reader *r, const char *key, float out[3], int *has) {
    const vit_json *value = vit_member(r, key);
    if (!value)
        return VIT_OK;
    int is_array = value->type == VIT_JSON_ARRAY && value->length == 3;
    const vit_json *channel = is_array ? value->child : value;
    for (int i = 0; i < 3; i++) {
        if (channel->type != VIT_JSON_NUMBER)
            return vit_wrong(r, key, "three numbers", value);
        out[i] = (float)channel->number;
        if (is_array)
            channel = channel->next;
    }
    *has = 1;
    return VIT_OK;
}

void vit_read_text(const vit_json_reader *r, const char *key, char *out, size_t size) {
    const vit_json *value = vit_member(r, key);
    if (value && value->type == VIT_JSON_STRING)
        snprintf(out, size, "%.*s", (int)vit_utf8_prefix(value->string, size - 1), value->string);
}

/* id2label: {"0": "tench", ...}; label_names: ["tench", ...]. */
static vit_status read_labels(const vit_json_reader *r, const char *key, vit_claims *claims, const vit_allocator *allocator) {
    const vit_json *labels = vit_member(r, key);
    if (!labels)
        return VIT_OK;
    if (labels->type != VIT_JSON_OBJECT && labels->type != VIT_JSON_ARRAY)
        return vit_wrong(r, key, "class names", labels);
    VIT_TRY(vit_claims_alloc_labels(claims, labels->length, allocator, r->error));
    int position = 0;
    for (const vit_json *label = labels->child; label; label = label->next, position++) {
        int index = position;
        if (label->type != VIT_JSON_STRING)
            return vit_wrong(r, key, "class names", label);
        const char *rest = labels->type == VIT_JSON_OBJECT ? vit_read_number(label->key, &index) : "";
        if (!rest || *rest || index >= claims->label_count || claims->labels[index])
            return vit_fail(r->error, VIT_ERR_CONFIG,
                            "%s: %s: expected the keys \"0\" to \"%d\" once each, found \"%.40s\"", r->name, key,
                            claims->label_count - 1, label->key);
        VIT_TRY(vit_claims_set_label(claims, index, label->string, allocator, r->error));
    }
    return VIT_OK;
}

vit_status vit_read_labels(const vit_json_reader *r, const char *key, vit_claims *claims,
                           const vit_allocator *allocator) {
    vit_error fault;
    vit_json_reader names = *r;
    names.error = &fault;
    const vit_status status = read_labels(&names, key, claims, allocator);
    if (status == VIT_ERR_CONFIG) { /* the model is none the worse without */
        vit_claims_drop_labels(claims, allocator);
        snprintf(claims->labels_fault, sizeof claims->labels_fault, "%.*s",
                 (int)vit_utf8_prefix(fault.text, sizeof claims->labels_fault - 1), fault.text);
        return VIT_OK;
    }
    if (status != VIT_OK && r->error)
        *r->error = fault;
    return status;
}

vit_status vit_unsupported(const vit_json_reader *r, const char *key, const char *found) {
    return vit_fail(r->error, VIT_ERR_UNSUPPORTED, "%s: %s \"%.60s\" is not supported", r->name, key, found);
}

/* ---- golden case.json ---- */

/* Position embeddings of the paper's appendix D.4. */
static vit_status case_variant(const vit_json_reader *r, vit_claims *claims) {
    static const struct {
        const char *name;
        vit_pos_kind kind;
        vit_pos_placement placement;
    } variants[] = {{"none", VIT_POS_NONE, VIT_POS_INPUT},
                    {"1d", VIT_POS_1D, VIT_POS_INPUT},
                    {"2d", VIT_POS_2D, VIT_POS_INPUT},
                    {"relative", VIT_POS_RELATIVE, VIT_POS_INPUT},
                    {"every_layer", VIT_POS_1D, VIT_POS_LAYERS},
                    {"every_layer_shared", VIT_POS_1D, VIT_POS_SHARED}};
    char variant[32] = "";
    vit_read_text(r, "variant", variant, sizeof variant);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (strcmp(variant, variants[i].name) == 0) {
            claims->pos_kind = variants[i].kind;
            claims->pos_placement = variants[i].placement;
            return VIT_OK;
        }
    return *variant ? vit_unsupported(r, "variant", variant) : VIT_OK;
}

static vit_status claims_from_case(vit_claims *claims, const vit_json_reader *r) {
    static const vit_word gelus[] = {{"erf", VIT_GELU_ERF}, {"tanh", VIT_GELU_TANH}, {0}};
    VIT_TRY(vit_read_integer(r, "depth", 1, 1000000, &claims->layers));
    VIT_TRY(vit_read_integer(r, "width", 1, 65536, &claims->width));
    VIT_TRY(vit_read_integer(r, "heads", 1, 65536, &claims->heads));
    VIT_TRY(vit_read_integer(r, "mlp", 1, 1 << 20, &claims->mlp_width));
    VIT_TRY(vit_read_integer(r, "classes", 0, 10000000, &claims->classes));
    VIT_TRY(vit_read_pair(r, "patch", 1, 1024, &claims->patch_height, &claims->patch_width));
    VIT_TRY(vit_read_real(r, "ln_eps", 0, 1, &claims->norm_eps));
    VIT_TRY(vit_read_word(r, "gelu", gelus, &claims->activation));
    VIT_TRY(vit_read_word(r, "classifier", vit_pool_words, &claims->pool));
    VIT_TRY(vit_read_word(r, "pool", vit_pool_words, &claims->pool));
    VIT_TRY(vit_read_pair(r, "image", 1, 65535, &claims->image_height, &claims->image_width));
    int rows = 0, columns = 0;
    VIT_TRY(vit_read_pair(r, "grid", 1, 65535, &rows, &columns));
    if (rows && claims->patch_height > 0) {
        claims->image_height = rows * claims->patch_height;
        claims->image_width = columns * claims->patch_width;
    }
    VIT_TRY(vit_read_bool(r, "axial", &claims->axial));
    return case_variant(r, claims);
}

vit_status vit_claims_from_json(vit_claims *claims, const char *name, const vit_json *root,
                                const vit_allocator *allocator, vit_error *error) {
    vit_json_reader r = {.name = name, .error = error, .object = root};
    if (root->type != VIT_JSON_OBJECT)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: expected a JSON object", name);
    if (vit_member(&r, "image_processor_type") || vit_member(&r, "feature_extractor_type") ||
        vit_member(&r, "image_mean"))
        return vit_claims_from_preprocessor(claims, &r);
    if (vit_member(&r, "processor_class") || vit_member(&r, "image_processor")) { /* processor_config.json */
        const vit_json *image = NULL;
        VIT_TRY(vit_read_object(&r, "image_processor", &image));
        r.object = image;
        return image ? vit_claims_from_preprocessor(claims, &r) : VIT_OK;
    }
    if (vit_member(&r, "architecture") || vit_member(&r, "pretrained_cfg"))
        return vit_claims_from_timm(claims, &r, allocator);
    if (vit_member(&r, "model_type") || vit_member(&r, "hidden_size"))
        return vit_claims_from_hf(claims, &r, allocator);
    if (vit_member(&r, "ln_eps") || vit_member(&r, "gelu") || vit_member(&r, "variant") || vit_member(&r, "heads") ||
        vit_member(&r, "gn_eps"))
        return claims_from_case(claims, &r);
    return vit_fail(error, VIT_ERR_CONFIG,
                    "%s: not a model configuration: expected timm's (architecture), Hugging Face's (model_type) or a "
                    "preprocessor's (image_mean)",
                    name);
}
