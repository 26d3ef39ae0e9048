#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int64_t vit_pos_rows(const vit_config *c) {
    return (int64_t)(c->image_height / c->patch_height) * (c->image_width / c->patch_width) + c->pos_class;
}

/* ---- weights.def unrolled: rules, and their shapes for a configuration ---- */

enum part { INPUT, BLOCK, OUTPUT };
enum kind { FLOATS, MATRIX };

enum {
#define VIT_WEIGHT(part, stage, kind, field, name, condition, ...) RULE_##field,
#include "weights.def"
#undef VIT_WEIGHT
    RULE_COUNT
};

#define OFFSET_INPUT(field) offsetof(vit_weights, field)
#define OFFSET_BLOCK(field) offsetof(vit_block, field)
#define OFFSET_OUTPUT(field) offsetof(vit_weights, field)

static const struct rule {
    enum part part;
    const char *stage;
    enum kind kind;   /* of the field: a float pointer or a vit_matrix */
    size_t offset;    /* in vit_weights, or in vit_block */
    const char *name; /* with %d for the layer */
} rules[RULE_COUNT] = {
#define VIT_WEIGHT(part, stage, kind, field, name, condition, ...) {part, #stage, kind, OFFSET_##part(field), name},
#include "weights.def"
#undef VIT_WEIGHT
};

/* The rank, with the shape written; 0 if the network has no such weight. */
static int rule_shape(const vit_config *c, int rule, int64_t shape[4]) {
    switch (rule) {
#define VIT_WEIGHT(part, stage, kind, field, name, condition, ...)              \
    case RULE_##field: {                                                        \
        int64_t dimensions[] = {__VA_ARGS__};                                   \
        memcpy(shape, dimensions, sizeof dimensions);                           \
        return (condition) ? (int)(sizeof dimensions / sizeof *dimensions) : 0; \
    }
#include "weights.def"
#undef VIT_WEIGHT
    }
    return 0;
}

/* Rule and layer of the next weight in forward order; starts at (-1, 0); 0 after the last. */
static int next_weight(int layers, int *rule, int *layer) {
    int next = *rule + 1;
    int block_ends = *rule >= 0 && rules[*rule].part == BLOCK && (next == RULE_COUNT || rules[next].part != BLOCK);
    if (block_ends && *layer + 1 < layers) {
        ++*layer;
        for (next = 0; rules[next].part != BLOCK; next++)
            ;
    }
    *rule = next;
    return next < RULE_COUNT;
}

static vit_status add_slot(vit_model *model, int rule, int layer, vit_error *error) {
    int64_t shape[4];
    int rank = rule_shape(&model->config, rule, shape);
    if (!rank)
        return VIT_OK;
    vit_slot *slot = &model->slots[model->slot_count++];
    snprintf(slot->name, sizeof slot->name, rules[rule].name, layer);
    slot->stage = rules[rule].stage;
    slot->is_matrix = rules[rule].kind == MATRIX;
    slot->rank = rank;
    slot->count = 1;
    for (int i = 0; i < rank; i++) {
        slot->shape[i] = shape[i];
        slot->count = vit_size_mul(slot->count, (size_t)shape[i]);
    }
    if (slot->count > SIZE_MAX / sizeof(float))
        return vit_fail(error, VIT_ERR_LIMIT, "%s: too large for this host's memory", slot->name);
    return VIT_OK;
}

vit_status vit_model_make_slots(vit_model *model, vit_error *error) {
    int layers = model->config.layers, rule = -1, layer = 0;
    size_t most = vit_size_mul((size_t)layers, RULE_COUNT);
    vit_arena_take(&model->slot_arena, vit_size_mul(most, sizeof(vit_slot)));
    vit_arena_take(&model->slot_arena, vit_size_mul((size_t)layers, sizeof(vit_block)));
    VIT_TRY(vit_arena_commit(&model->slot_arena, &model->options.allocator, "the table of weights", error));
    memset(model->slot_arena.base, 0, model->slot_arena.size);
    model->slots = vit_arena_take(&model->slot_arena, most * sizeof(vit_slot));
    model->weights.blocks = vit_arena_take(&model->slot_arena, (size_t)layers * sizeof(vit_block));
    while (next_weight(layers, &rule, &layer)) {
        int before = model->slot_count;
        VIT_TRY(add_slot(model, rule, layer, error));
        if (rules[rule].part == INPUT)
            model->input_slots = model->slot_count;
        else if (rules[rule].part == BLOCK && layer == 0)
            model->block_slots += model->slot_count - before;
    }
    return VIT_OK;
}

/* A slot's memory: first to measure, then for real. */
static void take_slot(vit_model *model, vit_slot *slot) {
    vit_arena *arena = &model->weight_arena;
    if (!slot->is_matrix || model->options.compute == VIT_COMPUTE_F32) {
        slot->held.f32 = vit_arena_take(arena, vit_size_mul(slot->count, sizeof(float)));
        return;
    }
    const size_t rows = (size_t)slot->shape[0], columns = vit_size_mul(vit_size_add(vit_slot_row(slot), 3) / 4, 4);
    slot->held.int8 = vit_arena_take(arena, vit_size_mul(rows, columns));
    slot->held.scale = vit_arena_take(arena, vit_size_mul(rows, sizeof(float)));
    slot->held.sum = vit_arena_take(arena, vit_size_mul(rows, sizeof(int32_t)));
}

vit_status vit_model_alloc_weights(vit_model *model, vit_error *error) {
    for (int i = 0; i < model->slot_count; i++)
        take_slot(model, &model->slots[i]);
    VIT_TRY(vit_arena_commit(&model->weight_arena, &model->options.allocator, "the weights", error));
    int rule = -1, layer = 0;
    vit_slot *slot = model->slots;
    while (next_weight(model->config.layers, &rule, &layer)) {
        int64_t shape[4];
        if (!rule_shape(&model->config, rule, shape))
            continue;
        take_slot(model, slot);
        char *base = rules[rule].part == BLOCK ? (char *)&model->weights.blocks[layer] : (char *)&model->weights;
        if (rules[rule].kind == MATRIX)
            *(vit_matrix *)(base + rules[rule].offset) = slot->held;
        else
            *(float **)(base + rules[rule].offset) = slot->held.f32;
        slot++;
    }
    return VIT_OK;
}

const char *vit_after_layer(const char *name, const char *prefix, int *layer) {
    size_t length = strlen(prefix);
    const char *rest = strncmp(name, prefix, length) == 0 ? vit_read_number(name + length, layer) : NULL;
    return rest && *rest == '.' ? rest + 1 : NULL;
}

static vit_slot *slot_between(vit_model *model, int begin, int end, const char *name) {
    for (int i = begin; i < end; i++)
        if (strcmp(model->slots[i].name, name) == 0)
            return &model->slots[i];
    return NULL;
}

/* A block's weights are looked for in that block only: a file may hold 100,000 names. */
vit_slot *vit_model_slot(vit_model *model, const char *name) {
    int layer, first = model->input_slots, outputs = first + model->config.layers * model->block_slots;
    if (vit_after_layer(name, "blocks.", &layer)) {
        if (layer >= model->config.layers)
            return NULL;
        first += layer * model->block_slots;
        return slot_between(model, first, first + model->block_slots, name);
    }
    vit_slot *slot = slot_between(model, 0, first, name);
    return slot ? slot : slot_between(model, outputs, model->slot_count, name);
}

/* ---- The public side ---- */

vit_status vit_model_warn(vit_model *model, vit_error *error, const char *format, ...) {
    const vit_allocator *allocator = &model->options.allocator;
    char text[300], **grown;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t count = (size_t)model->warning_count;
    VIT_TRY(vit_alloc_for((void **)&grown, allocator, (count + 1) * sizeof *grown, "warnings", error));
    if (count)
        memcpy(grown, model->warnings, count * sizeof *grown);
    vit_release(allocator, model->warnings);
    model->warnings = grown;
    VIT_TRY(vit_alloc_for((void **)&grown[count], allocator, strlen(text) + 1, "warnings", error));
    strcpy(grown[count], text);
    model->warning_count++;
    return VIT_OK;
}

static void release_strings(char **strings, int count, const vit_allocator *allocator) {
    for (int i = 0; i < count; i++)
        vit_release(allocator, strings[i]);
    vit_release(allocator, strings);
}

void vit_model_close(vit_model *model) {
    if (!model)
        return;
    vit_allocator allocator = model->options.allocator;
    if (model->labels)
        release_strings(model->labels, model->config.classes, &allocator);
    release_strings(model->warnings, model->warning_count, &allocator);
    vit_container_release(&model->container);
    vit_arena_release(&model->weight_arena, &allocator);
    vit_arena_release(&model->slot_arena, &allocator);
    vit_release(&allocator, model);
}

vit_compute vit_model_compute(const vit_model *model) {
    return model->options.compute;
}

const vit_config *vit_model_config(const vit_model *model) {
    return &model->config;
}

int64_t vit_model_parameters(const vit_model *model) {
    int64_t parameters = 0;
    for (int i = 0; i < model->slot_count; i++)
        parameters += (int64_t)model->slots[i].count;
    return parameters;
}

uint64_t vit_model_bytes(const vit_model *model) {
    return model->weight_arena.size;
}

const char *vit_model_label(const vit_model *model, int class_index) {
    return model->labels && class_index >= 0 && class_index < model->config.classes ? model->labels[class_index] : NULL;
}

int vit_model_tensor_count(const vit_model *model) {
    return model->container.tensor_count;
}

const vit_tensor_info *vit_model_tensor(const vit_model *model, int index) {
    return index >= 0 && index < model->container.tensor_count ? &model->container.tensors[index] : NULL;
}

int vit_model_warning_count(const vit_model *model) {
    return model->warning_count;
}

const char *vit_model_warning(const vit_model *model, int index) {
    return index >= 0 && index < model->warning_count ? model->warnings[index] : NULL;
}

vit_status vit_model_set_labels(vit_model *model, const char *const *labels, int count, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    if (count != model->config.classes)
        return vit_fail(error, VIT_ERR_ARGUMENT, "labels: expected one name for each of the %d classes, found %d names",
                        model->config.classes, count);
    char **copy;
    VIT_TRY(vit_alloc_for((void **)&copy, allocator, (size_t)count * sizeof *copy, "labels", error));
    memset(copy, 0, (size_t)count * sizeof *copy);
    for (int i = 0; i < count; i++) {
        size_t bytes = strlen(labels[i]) + 1;
        vit_status status = vit_alloc_for((void **)&copy[i], allocator, bytes, "labels", error);
        if (status != VIT_OK) {
            release_strings(copy, count, allocator);
            return status;
        }
        memcpy(copy[i], labels[i], bytes);
    }
    if (model->labels)
        release_strings(model->labels, count, allocator);
    model->labels = copy;
    return VIT_OK;
}

double vit_model_flops(const vit_model *model, int height, int width) {
    const vit_config *c = &model->config;
    double patches = (double)(height / c->patch_height) * (width / c->patch_width), tokens = patches + c->class_token;
    double d = c->width, f = c->mlp_width, head_in = c->pre_logits ? c->pre_logits : d;
    double layer = tokens * d * (3 * d + d + 2 * f) + 2 * tokens * tokens * d;
    return 2 * (patches * d * 3 * c->patch_height * c->patch_width + c->layers * layer + d * c->pre_logits +
                head_in * c->classes);
}
