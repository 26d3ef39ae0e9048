/* What GGUF metadata claims, or the same in the metadata of a safetensors file of ours, as JSON; save.c writes both. */
#include "config_json.h"

#include "../format/text.h"

#include <stdio.h>
#include <string.h>

typedef struct gguf_reader {
    const char *name;
    const vit_container *container;
    const vit_json *text; /* not NULL: instead of the container's metadata */
    double *numbers;      /* [4]: of an array in text */
    vit_error *error;
} gguf_reader;

/* The value of a key, its own key NULL where there is none. */
static vit_metadata get(const gguf_reader *g, const char *key) {
    const vit_metadata *found = g->text ? NULL : vit_container_get(g->container, key);
    const vit_json *value = g->text ? vit_json_get(g->text, key) : NULL;
    vit_metadata out = {0};
    if (!value)
        return found ? *found : out;
    out = (vit_metadata){.key = key, .number = value->number, .integer = (int64_t)(value->type == VIT_JSON_TRUE),
                         .string = value->string, .element = VIT_VALUE_FLOAT};
    switch (value->type) {
    case VIT_JSON_STRING: out.type = VIT_VALUE_STRING; break;
    case VIT_JSON_TRUE:
    case VIT_JSON_FALSE: out.type = VIT_VALUE_BOOL; break;
    case VIT_JSON_NUMBER:
        out.type = value->is_integer && value->magnitude < INT32_MAX ? VIT_VALUE_INTEGER : VIT_VALUE_FLOAT;
        out.integer = out.type == VIT_VALUE_INTEGER ? (int64_t)value->number : 0;
        break;
    default:
        out.type = VIT_VALUE_ARRAY;
        out.numbers = g->numbers;
        for (const vit_json *item = value->child; item && out.count < 4; item = item->next)
            g->numbers[out.count++] = item->type == VIT_JSON_NUMBER ? item->number : -1e300;
    }
    return out;
}

/* What was found, for a message. */
typedef struct shown_value {
    char text[100];
} shown_value;

static shown_value show(const vit_metadata *value) {
    shown_value shown;
    switch (value->type) {
    case VIT_VALUE_STRING:
        snprintf(shown.text, sizeof shown.text, "\"%s\"", vit_show(value->string, strlen(value->string)).text);
        break;
    case VIT_VALUE_BOOL: snprintf(shown.text, sizeof shown.text, "%s", value->integer ? "true" : "false"); break;
    case VIT_VALUE_ARRAY: snprintf(shown.text, sizeof shown.text, "an array of %zu", value->count); break;
    default: snprintf(shown.text, sizeof shown.text, "%.9g", value->number);
    }
    return shown;
}

static vit_status gguf_integer(const gguf_reader *g, const char *key, int low, int high, int *out) {
    const vit_metadata value = get(g, key);
    if (!value.key)
        return VIT_OK;
    if (value.type != VIT_VALUE_INTEGER || value.integer < low || value.integer > high)
        return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected an integer from %d to %d, found %s", g->name, key, low, high,
                        show(&value).text);
    *out = (int)value.integer;
    return VIT_OK;
}

static vit_status gguf_number(const gguf_reader *g, const char *key, double low, double high, double *out) {
    const vit_metadata value = get(g, key);
    if (!value.key)
        return VIT_OK;
    if ((value.type != VIT_VALUE_FLOAT && value.type != VIT_VALUE_INTEGER) ||
        !(value.number >= low && value.number <= high))
        return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected a number from %g to %g, found %s", g->name, key, low, high,
                        show(&value).text);
    *out = value.number;
    return VIT_OK;
}

static vit_status gguf_word(const gguf_reader *g, const char *key, const vit_word *words, int *out) {
    const vit_metadata value = get(g, key);
    if (!value.key)
        return VIT_OK;
    int found = value.type == VIT_VALUE_STRING ? vit_word_find(words, value.string) : VIT_UNSET;
    if (found == VIT_UNSET)
        return vit_fail(g->error, VIT_ERR_UNSUPPORTED, "%s: %s: %s is not supported", g->name, key, show(&value).text);
    *out = found;
    return VIT_OK;
}

/* `count` numbers, or one for all of them. */
static vit_status gguf_numbers(const gguf_reader *g, const char *key, double low, double high, int count, double *out,
                               int *has) {
    const vit_metadata value = get(g, key);
    if (!value.key)
        return VIT_OK;
    int is_array =
        value.type == VIT_VALUE_ARRAY && value.element != VIT_VALUE_STRING && value.count == (size_t)count;
    int is_number = value.type == VIT_VALUE_INTEGER || value.type == VIT_VALUE_FLOAT;
    for (int i = 0; i < count; i++) {
        double number = is_array ? value.numbers[i] : value.number;
        if ((!is_array && !is_number) || !(number >= low && number <= high))
            return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected %d numbers from %g to %g, found %s", g->name, key, count,
                            low, high, show(&value).text);
        out[i] = number;
    }
    *has = 1;
    return VIT_OK;
}

static vit_status gguf_flag(const gguf_reader *g, const char *key, int *out) {
    const vit_metadata value = get(g, key);
    if (value.key && value.type != VIT_VALUE_BOOL)
        return vit_fail(g->error, VIT_ERR_CONFIG, "%s: %s: expected true or false, found %s", g->name, key,
                        show(&value).text);
    if (value.key)
        *out = (int)value.integer;
    return VIT_OK;
}

static vit_status gguf_list(const gguf_reader *g, const char *key, const vit_field *field, vit_claims *claims) {
    double numbers[4];
    int has = 0, count = vit_field_length(field);
    VIT_TRY(gguf_numbers(g, key, field->least, field->most, count, numbers, &has));
    for (int i = 0; i < count && has; i++)
        *vit_field_at(claims, field[i].claim) = (int)numbers[i];
    return VIT_OK;
}

static vit_status gguf_field(const gguf_reader *g, const vit_field *field, vit_claims *claims) {
    char key[64];
    int *claim = vit_field_at(claims, field->claim);
    snprintf(key, sizeof key, "vit.%s", field->key);
    switch (field->kind) {
    case VIT_FIELD_NUMBER: return gguf_integer(g, key, field->least, field->most, claim);
    case VIT_FIELD_FLAG: return gguf_flag(g, key, claim);
    case VIT_FIELD_WORD: return gguf_word(g, key, field->words, claim);
    case VIT_FIELD_LIST:
    case VIT_FIELD_SIDES: return gguf_list(g, key, field, claims);
    case VIT_FIELD_REST: break;
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
    const vit_metadata value = get(g, key);
    if (value.key && value.type == VIT_VALUE_STRING)
        snprintf(out, size, "%.*s", (int)vit_utf8_prefix(value.string, size - 1), value.string);
}

static vit_status read_labels(const gguf_reader *g, vit_claims *claims, const vit_allocator *allocator) {
    const vit_metadata *labels = g->text ? NULL : vit_container_get(g->container, "vit.labels");
    if (g->text) {
        const vit_json_reader r = {.name = g->name, .object = g->text, .error = g->error};
        return vit_read_labels(&r, "vit.labels", claims, allocator);
    }
    if (!labels || labels->type != VIT_VALUE_ARRAY || labels->element != VIT_VALUE_STRING)
        return VIT_OK;
    VIT_TRY(vit_claims_alloc_labels(claims, labels->count, allocator, g->error));
    for (size_t i = 0; i < labels->count; i++)
        VIT_TRY(vit_claims_set_label(claims, (int)i, labels->strings[i], allocator, g->error));
    return VIT_OK;
}

static vit_status read_claims(const gguf_reader *reader, vit_claims *claims, const vit_allocator *allocator) {
    const gguf_reader g = *reader;
    const char *name = g.name;
    vit_error *error = g.error;
    static const vit_word networks[] = {{"vit", VIT_NETWORK_VIT}, {"bit", VIT_NETWORK_BIT}, {0}};
    char architecture[64] = "";
    gguf_text(&g, "general.architecture", architecture, sizeof architecture);
    int network = vit_word_find(networks, architecture);
    if (network == VIT_UNSET)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: general.architecture: expected \"vit\" or \"bit\", found \"%s\"", name, architecture);
    claims->network = (vit_network)network;
    gguf_text(&g, "general.name", claims->architecture, sizeof claims->architecture);
    gguf_text(&g, "vit.label_set", claims->label_set, sizeof claims->label_set);
    for (int i = 0; i < vit_field_count; i++)
        VIT_TRY(gguf_field(&g, &vit_fields[i], claims));
    VIT_TRY(gguf_number(&g, "vit.attention.layer_norm_epsilon", 0, 1, &claims->norm_eps));
    VIT_TRY(gguf_channels(&g, "vit.preprocess.mean", claims->mean, &claims->has_mean));
    VIT_TRY(gguf_channels(&g, "vit.preprocess.std", claims->std, &claims->has_std));
    VIT_TRY(gguf_number(&g, "vit.preprocess.crop_pct", 1e-3, 1, &claims->crop_pct));
    return read_labels(&g, claims, allocator);
}

int vit_has_own_config(const vit_container *container) {
    return strcmp(container->format, "GGUF") == 0 || vit_container_get(container, VIT_CONFIG_METADATA);
}

vit_status vit_claims_from_metadata(vit_claims *claims, const char *name, const vit_container *container,
                                    const vit_options *options, vit_error *error) {
    const vit_allocator *allocator = &options->allocator;
    double numbers[4];
    gguf_reader g = {.name = name, .container = container, .numbers = numbers, .error = error};
    const vit_metadata *text = vit_container_get(container, VIT_CONFIG_METADATA);
    if (strcmp(container->format, "GGUF") == 0)
        return read_claims(&g, claims, allocator);
    char in[300];
    vit_json_document document;
    snprintf(in, sizeof in, "%.250s (metadata)", name);
    VIT_TRY(vit_json_parse(&document, in, text->string, strlen(text->string), &options->limits, allocator,
                           error));
    g.text = document.root;
    vit_status status = read_claims(&g, claims, allocator);
    vit_json_release(&document);
    return status;
}
