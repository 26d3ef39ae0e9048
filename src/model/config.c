#include "config.h"

#include "../vit_tasks.h"

#include <stdio.h>
#include <string.h>

/* The first word of each value is the one that is written. */
const vit_word vit_activation_words[] = {{"gelu", VIT_GELU_ERF},        {"gelu_erf", VIT_GELU_ERF},
                                         {"gelu_python", VIT_GELU_ERF}, {"gelu_tanh", VIT_GELU_TANH},
                                         {"gelu_new", VIT_GELU_TANH},   {"gelu_pytorch_tanh", VIT_GELU_TANH},
                                         {"gelu_fast", VIT_GELU_TANH},  {"quick_gelu", VIT_GELU_QUICK},
                                         {0}};
const vit_word vit_pool_words[] = {{"cls", VIT_POOL_CLASS},
                                   {"token", VIT_POOL_CLASS},
                                   {"tok", VIT_POOL_CLASS},
                                   {"mean", VIT_POOL_MEAN},
                                   {"avg", VIT_POOL_MEAN},
                                   {"gap", VIT_POOL_MEAN},
                                   {"map", VIT_POOL_MAP},
                                   {"cls_mean", VIT_POOL_CLASS_MEAN},
                                   {0}};
const vit_word vit_mlp_words[] = {{"plain", VIT_MLP_PLAIN}, {"swiglu", VIT_MLP_SWIGLU}, {0}};
const vit_word vit_pos_kind_words[] = {{"none", VIT_POS_NONE},         {"1d", VIT_POS_1D},
                                       {"2d", VIT_POS_2D},             {"relative", VIT_POS_RELATIVE},
                                       {"sincos2d", VIT_POS_SINCOS2D}, {0}};
const vit_word vit_pos_placement_words[] = {
    {"input", VIT_POS_INPUT}, {"layers", VIT_POS_LAYERS}, {"shared", VIT_POS_SHARED}, {0}};
const vit_word vit_resnet_words[] = {{"hybrid_jax", VIT_RESNET_HYBRID_JAX}, {"hybrid_timm", VIT_RESNET_HYBRID_TIMM},
                                     {"big_transfer", VIT_BIT_TRANSFER},    {"bit_timm", VIT_BIT_TIMM},
                                     {"big_vision", VIT_BIT_VISION},        {0}};
const vit_word vit_decoder_words[] = {
    {"none", VIT_DECODER_NONE},         {"mae", VIT_DECODER_MAE},         {"simmim", VIT_DECODER_SIMMIM},
    {"mean3bit", VIT_DECODER_MEAN3BIT}, {"down4x4", VIT_DECODER_DOWN4X4}, {"regression", VIT_DECODER_REGRESSION},
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
    {"center", VIT_CROP_CENTER},           {"squash", VIT_CROP_SQUASH},
    {"border", VIT_CROP_BORDER},           {"short_floor", VIT_CROP_SHORT_FLOOR},
    {"squash_floor", VIT_CROP_SQUASH_FLOOR}, {0}};

const char *vit_word_of(const vit_word *words, int value) {
    for (; words->word; words++)
        if (words->value == value)
            return words->word;
    return NULL;
}

const char *vit_activation_name(vit_activation activation) {
    return vit_word_of(vit_activation_words, activation);
}

const char *vit_pool_name(vit_pool pool) {
    return vit_word_of(vit_pool_words, pool);
}

const char *vit_resample_name(vit_resample resample) {
    return vit_word_of(vit_resample_words, resample);
}

const char *vit_filter_name(vit_filter filter) {
    return vit_word_of(vit_filter_words, filter);
}

const char *vit_network_name(const vit_config *c) {
    return c->network == VIT_NETWORK_BIT ? "resnet" : c->resnet.stem_width ? "hybrid" : "vit";
}

const char *vit_resnet_name(vit_resnet_kind kind) {
    return vit_word_of(vit_resnet_words, kind);
}

const char *vit_decoder_name(vit_decoder_kind kind) {
    return vit_word_of(vit_decoder_words, kind);
}

const char *vit_crop_name(vit_crop crop) {
    return vit_word_of(vit_crop_words, crop);
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

const vit_field vit_fields[] = {
#define VIT_FIELD(name, member, key, kind, least, most, words) \
    {offsetof(vit_claims, name), offsetof(vit_config, member), key, VIT_FIELD_##kind, least, most, words},
#include "fields.def"
#undef VIT_FIELD
};
const int vit_field_count = sizeof vit_fields / sizeof *vit_fields;

int vit_field_length(const vit_field *field) {
    int length = 1;
    while (field + length < vit_fields + vit_field_count && field[length].kind == VIT_FIELD_REST)
        length++;
    return length;
}

void vit_claims_init(vit_claims *claims) {
    *claims = (vit_claims){.has_head = VIT_UNSET, .norm_eps = VIT_UNSET, .crop_pct = VIT_UNSET};
    for (int i = 0; i < vit_field_count; i++)
        *vit_field_at(claims, vit_fields[i].claim) = VIT_UNSET;
}

void vit_claims_drop_labels(vit_claims *claims, const vit_allocator *allocator) {
    for (int i = 0; i < claims->label_count; i++)
        vit_release(allocator, claims->labels[i]);
    vit_release(allocator, claims->labels);
    claims->labels = NULL;
    claims->label_count = 0;
    *claims->labels_fault = 0;
}

void vit_claims_release(vit_claims *claims, const vit_allocator *allocator) {
    vit_claims_drop_labels(claims, allocator);
}

void vit_claims_override(vit_claims *claims, vit_claims *later, const vit_allocator *allocator) {
    for (int i = 0; i < vit_field_count; i++)
        if (*vit_field_at(later, vit_fields[i].claim) != VIT_UNSET)
            *vit_field_at(claims, vit_fields[i].claim) = *vit_field_at(later, vit_fields[i].claim);
    if (later->has_head != VIT_UNSET)
        claims->has_head = later->has_head;
    if (later->processor)
        claims->processor = later->processor;
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
    if (later->label_count || *later->labels_fault) {
        vit_claims_drop_labels(claims, allocator);
        memcpy(claims->labels_fault, later->labels_fault, sizeof claims->labels_fault);
        claims->labels = later->labels;
        claims->label_count = later->label_count;
        later->labels = NULL;
        later->label_count = 0;
    }
}

vit_status vit_claims_alloc_labels(vit_claims *claims, size_t count, const vit_allocator *allocator, vit_error *error) {
    vit_claims_drop_labels(claims, allocator);
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

int vit_config_entry(const vit_config *config, int index, const char **key, char value[VIT_CONFIG_VALUE]) {
    const vit_field *field = vit_fields;
    while (field < vit_fields + vit_field_count && (field->kind == VIT_FIELD_REST || index-- > 0))
        field++;
    if (index >= 0 || field == vit_fields + vit_field_count)
        return 0;
    const int first = *vit_field_at(config, field->config), count = vit_field_length(field);
    int used = 0;
    *key = field->key;
    switch (field->kind) {
    case VIT_FIELD_FLAG: snprintf(value, VIT_CONFIG_VALUE, first ? "true" : "false"); break;
    case VIT_FIELD_WORD: snprintf(value, VIT_CONFIG_VALUE, "\"%s\"", vit_word_of(field->words, first)); break;
    case VIT_FIELD_NUMBER: snprintf(value, VIT_CONFIG_VALUE, "%d", first); break;
    default:
        for (int i = 0; i < count; i++)
            used += snprintf(value + used, VIT_CONFIG_VALUE - (size_t)used, "%s%d", i ? "," : "[",
                             *vit_field_at(config, field[i].config));
        snprintf(value + used, VIT_CONFIG_VALUE - (size_t)used, "]");
    }
    return 1;
}
