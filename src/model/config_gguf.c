/* What GGUF metadata claims; save.c writes the same keys. */
#include "config.h"

#include <stdio.h>
#include <string.h>

typedef struct gguf_reader {
    const char *name;
    const vit_container *container;
    vit_error *error;
} gguf_reader;

static vit_status gguf_integer(const gguf_reader *g, const char *key, int low, int high, int *out) {
    const vit_metadata *value = vit_container_get(g->container, key);
    if (!value)
        return VIT_OK;
    if (value->type != VIT_VALUE_INTEGER || value->integer < low || value->integer > high)
        return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected an integer from %d to %d", g->name, key, low, high);
    *out = (int)value->integer;
    return VIT_OK;
}

static vit_status gguf_number(const gguf_reader *g, const char *key, double low, double high, double *out) {
    const vit_metadata *value = vit_container_get(g->container, key);
    if (!value)
        return VIT_OK;
    if ((value->type != VIT_VALUE_FLOAT && value->type != VIT_VALUE_INTEGER) ||
        !(value->number >= low && value->number <= high))
        return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected a number from %g to %g", g->name, key, low, high);
    *out = value->number;
    return VIT_OK;
}

static vit_status gguf_word(const gguf_reader *g, const char *key, const vit_word *words, int *out) {
    const vit_metadata *value = vit_container_get(g->container, key);
    if (!value)
        return VIT_OK;
    int found = value->type == VIT_VALUE_STRING ? vit_word_find(words, value->string) : VIT_UNSET;
    if (found == VIT_UNSET)
        return vit_fail(g->error, VIT_ERR_UNSUPPORTED, "%s: %s: \"%.60s\" is not supported", g->name, key,
                        value->type == VIT_VALUE_STRING ? value->string : "a value that is no string");
    *out = found;
    return VIT_OK;
}

/* `count` numbers, or one for all of them. */
static vit_status gguf_numbers(const gguf_reader *g, const char *key, double low, double high, int count, double *out,
                               int *has) {
    const vit_metadata *value = vit_container_get(g->container, key);
    if (!value)
        return VIT_OK;
    int is_array =
        value->type == VIT_VALUE_ARRAY && value->element != VIT_VALUE_STRING && value->count == (size_t)count;
    int is_number = value->type == VIT_VALUE_INTEGER || value->type == VIT_VALUE_FLOAT;
    for (int i = 0; i < count; i++) {
        double number = is_array ? value->numbers[i] : value->number;
        if ((!is_array && !is_number) || !(number >= low && number <= high))
            return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected %d numbers from %g to %g", g->name, key, count,
                            low, high);
        out[i] = number;
    }
    *has = 1;
    return VIT_OK;
}

static vit_status gguf_pair(const gguf_reader *g, const char *key, int *height, int *width) {
    double pair[2];
    int has = 0;
    VIT_TRY(gguf_numbers(g, key, 1, 65535, 2, pair, &has));
    if (has) {
        *height = (int)pair[0];
        *width = (int)pair[1];
    }
    return VIT_OK;
}

static vit_status gguf_channels(const gguf_reader *g, const char *key, float out[3], int *has) {
    double channels[3];
    int found = 0;
    VIT_TRY(gguf_numbers(g, key, -1e6, 1e6, 3, channels, &found));
    for (int i = 0; i < 3 && found; i++)
        out[i] = (float)channels[i];
    *has |= found;
    return VIT_OK;
}

static void gguf_text(const gguf_reader *g, const char *key, char *out, size_t size) {
    const vit_metadata *value = vit_container_get(g->container, key);
    if (value && value->type == VIT_VALUE_STRING)
        snprintf(out, size, "%s", value->string);
}

vit_status vit_claims_from_gguf(vit_claims *claims, const char *name, const vit_container *container,
                                const vit_allocator *allocator, vit_error *error) {
    gguf_reader g = {.name = name, .container = container, .error = error};
    static const vit_word kinds[] = {{"1d", 1}, {0}}, placements[] = {{"input", 1}, {0}};
    char architecture[64] = "";
    int ignored, pos_class = VIT_UNSET;
    gguf_text(&g, "general.architecture", architecture, sizeof architecture);
    if (strcmp(architecture, "vit") != 0)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: general.architecture: expected \"vit\", found \"%s\"", name,
                        architecture);
    claims->source = VIT_SOURCE_GGUF;
    gguf_text(&g, "general.name", claims->architecture, sizeof claims->architecture);
    gguf_text(&g, "vit.label_set", claims->label_set, sizeof claims->label_set);
    VIT_TRY(gguf_integer(&g, "vit.block_count", 1, 1000000, &claims->layers));
    VIT_TRY(gguf_integer(&g, "vit.embedding_length", 1, 65536, &claims->width));
    VIT_TRY(gguf_integer(&g, "vit.feed_forward_length", 1, 1 << 20, &claims->mlp_width));
    VIT_TRY(gguf_integer(&g, "vit.attention.head_count", 1, 65536, &claims->heads));
    VIT_TRY(gguf_number(&g, "vit.attention.layer_norm_epsilon", 0, 1, &claims->norm_eps));
    VIT_TRY(gguf_pair(&g, "vit.patch_size", &claims->patch_height, &claims->patch_width));
    VIT_TRY(gguf_pair(&g, "vit.image_size", &claims->image_height, &claims->image_width));
    VIT_TRY(gguf_word(&g, "vit.activation", vit_activation_words, &claims->activation));
    VIT_TRY(gguf_word(&g, "vit.pool", vit_pool_words, &claims->pool));
    VIT_TRY(gguf_word(&g, "vit.pos_embed.kind", kinds, &ignored));
    VIT_TRY(gguf_word(&g, "vit.pos_embed.placement", placements, &ignored));
    VIT_TRY(gguf_word(&g, "vit.pos_embed.resample", vit_resample_words, &claims->pos_resample));
    const vit_metadata *has_class_row = vit_container_get(container, "vit.pos_embed.class_row");
    if (has_class_row && has_class_row->type == VIT_VALUE_BOOL)
        pos_class = (int)has_class_row->integer;
    claims->pos_class = pos_class;
    VIT_TRY(gguf_channels(&g, "vit.preprocess.mean", claims->mean, &claims->has_mean));
    VIT_TRY(gguf_channels(&g, "vit.preprocess.std", claims->std, &claims->has_std));
    VIT_TRY(gguf_word(&g, "vit.preprocess.filter", vit_filter_words, &claims->filter));
    VIT_TRY(gguf_word(&g, "vit.preprocess.crop_mode", vit_crop_words, &claims->crop));
    VIT_TRY(gguf_number(&g, "vit.preprocess.crop_pct", 1e-3, 1, &claims->crop_pct));
    VIT_TRY(gguf_pair(&g, "vit.preprocess.size", &claims->input_height, &claims->input_width));
    const vit_metadata *labels = vit_container_get(container, "vit.labels");
    if (labels && labels->type == VIT_VALUE_ARRAY && labels->element == VIT_VALUE_STRING) {
        VIT_TRY(vit_claims_alloc_labels(claims, labels->count, allocator, error));
        for (size_t i = 0; i < labels->count; i++)
            VIT_TRY(vit_claims_set_label(claims, (int)i, labels->strings[i], allocator, error));
    }
    return VIT_OK;
}
