/* weights.def unrolled: the slots of a configuration, and their memory. */
#include "model.h"

#include "../format/sort.h"

#include <stdio.h>
#include <string.h>

/* ---- The table ---- */

enum rows { STEM, UNIT, INPUT, BLOCK, OUTPUT, BIT_OUTPUT, DECODER_INPUT, DECODER_OUTPUT, SIMMIM_OUTPUT,
            PATCH_OUTPUT };
#define OFFSET_STEM(field) offsetof(vit_stem, field)
#define OFFSET_UNIT(field) offsetof(vit_unit, field)
#define OFFSET_INPUT(field) offsetof(vit_weights, field)
#define OFFSET_BLOCK(field) offsetof(vit_block, field)
#define OFFSET_OUTPUT(field) offsetof(vit_weights, field)
#define OFFSET_BIT_OUTPUT(field) offsetof(vit_weights, field)
#define OFFSET_DECODER_INPUT(field) offsetof(vit_weights, field)
#define OFFSET_DECODER_OUTPUT(field) offsetof(vit_weights, field)
#define OFFSET_SIMMIM_OUTPUT(field) offsetof(vit_weights, field)
#define OFFSET_PATCH_OUTPUT(field) offsetof(vit_weights, field)

enum kind { FLOATS, MATRIX, KERNEL };

enum {
#define VIT_ONCE(rows, condition) PART_##rows,
#define VIT_REPEATED(rows, structure, field, ...) PART_##field,
#include "weights.def"
#undef VIT_ONCE
#undef VIT_REPEATED
    PART_COUNT
};

static const struct part {
    enum rows rows;
    size_t structure,
        field; /* bytes of each; offset in vit_weights of the pointer to them. 0: the vit_weights itself */
} parts[PART_COUNT] = {
#define VIT_ONCE(rows, condition) {rows, 0, 0},
#define VIT_REPEATED(rows, structure, field, ...) {rows, sizeof(structure), offsetof(vit_weights, field)},
#include "weights.def"
#undef VIT_ONCE
#undef VIT_REPEATED
};

/* How often a part is there, and the configuration that its rows see. */
static int part_count(const vit_config *c, int part, vit_config *own) {
    *own = *c;
    switch (part) {
#define VIT_ONCE(rows, condition) \
    case PART_##rows: return (condition);
#define VIT_REPEATED(rows, structure, field, count, config, ...) \
    case PART_##field:                                           \
        *own = (config);                                         \
        return (count);
#include "weights.def"
#undef VIT_ONCE
#undef VIT_REPEATED
    }
    return 0;
}

/* Writes what the names of the i-th of a part begin with. */
static void part_name(const vit_config *c, int part, int i, char *out, size_t size) {
    (void)c;
    *out = 0;
    switch (part) {
#define VIT_ONCE(rows, condition)
#define VIT_REPEATED(rows, structure, field, count, config, ...) \
    case PART_##field: snprintf(out, size, __VA_ARGS__); break;
#include "weights.def"
#undef VIT_ONCE
#undef VIT_REPEATED
    }
}

enum {
#define VIT_WEIGHT(rows, stage, kind, field, ...) RULE_##rows##_##field,
#include "weights.def"
#undef VIT_WEIGHT
    RULE_COUNT
};

static const struct rule {
    enum rows rows;
    const char *stage;
    enum kind kind; /* of the field: a float pointer or a vit_matrix */
    size_t offset;  /* in the part's structure */
    const char *name;
} rules[RULE_COUNT] = {
#define VIT_WEIGHT(rows, stage, kind, field, name, ...) {rows, #stage, kind, OFFSET_##rows(field), name},
#include "weights.def"
#undef VIT_WEIGHT
};

/* The rank, with the shape written, of a rule in the i-th of a part; 0 if that has no such weight. */
static int rule_shape(const vit_config *c, int i, int rule, int64_t shape[4]) {
    const vit_unit_shape unit = vit_unit_at(&c->resnet, i);
    switch (rule) {
#define VIT_WEIGHT(rows, stage, kind, field, name, condition, ...)              \
    case RULE_##rows##_##field:                                      \
        if (condition) {                                             \
            const int64_t dimensions[] = {__VA_ARGS__};              \
            memcpy(shape, dimensions, sizeof dimensions);            \
            return (int)(sizeof dimensions / sizeof *dimensions);    \
        }                                                            \
        break;
#include "weights.def"
#undef VIT_WEIGHT
    }
    return 0;
}

/* ---- Slots ---- */

static vit_status add_slot(vit_model *model, const vit_config *c, int part, int i, int rule, vit_error *error) {
    int64_t shape[4];
    int rank = rule_shape(c, i, rule, shape);
    if (!rank)
        return VIT_OK;
    vit_slot *slot = &model->slots[model->slot_count++];
    const struct part *p = &parts[part];
    char *base = (char *)&model->weights;
    if (p->structure)
        base = *(char **)(base + p->field) + (size_t)i * p->structure;
    part_name(&model->config, part, i, slot->name, sizeof slot->name);
    size_t length = strlen(slot->name);
    snprintf(slot->name + length, sizeof slot->name - length, "%s", rules[rule].name);
    slot->field = base + rules[rule].offset;
    slot->stage = rules[rule].stage;
    slot->layer = p->structure ? i : -1;
    slot->is_matrix = rules[rule].kind == MATRIX;
    slot->is_kernel = rules[rule].kind == KERNEL;
    slot->rank = rank;
    slot->count = 1;
    for (int d = 0; d < rank; d++) {
        slot->shape[d] = shape[d];
        slot->count = vit_size_mul(slot->count, (size_t)shape[d]);
    }
    if (slot->count > SIZE_MAX / sizeof(float))
        return vit_fail(error, VIT_ERR_LIMIT, "%s: too large for this host's memory", slot->name);
    return VIT_OK;
}

/* The table of slots, and the structures with the pointers: first to measure, then for real. */
static void take_tables(vit_model *model, size_t slots) {
    vit_arena *arena = &model->slot_arena;
    vit_config own;
    model->slots = vit_arena_take(arena, vit_size_mul(slots, sizeof(vit_slot)));
    model->slots_by_name = vit_arena_take(arena, vit_size_mul(slots, sizeof(vit_slot *)));
    for (int part = 0; part < PART_COUNT; part++)
        if (parts[part].structure)
            *(void **)((char *)&model->weights + parts[part].field) = vit_arena_take(
                arena, vit_size_mul((size_t)part_count(&model->config, part, &own), parts[part].structure));
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

static int by_name(const void *a, const void *b) {
    return strcmp((*(vit_slot *const *)a)->name, (*(vit_slot *const *)b)->name);
}

vit_status vit_model_make_slots(vit_model *model, vit_error *error) {
    vit_config own;
    size_t most = 0;
    for (int part = 0; part < PART_COUNT; part++)
        most = vit_size_add(most, vit_size_mul((size_t)part_count(&model->config, part, &own), RULE_COUNT));
    take_tables(model, most);
    VIT_TRY(vit_arena_commit(&model->slot_arena, &model->options.allocator, "the table of weights", error));
    memset(model->slot_arena.base, 0, model->slot_arena.size);
    take_tables(model, most);
    for (int part = 0; part < PART_COUNT; part++) {
        const int count = part_count(&model->config, part, &own);
        for (int i = 0; i < count; i++)
            for (int rule = 0; rule < RULE_COUNT; rule++)
                if (rules[rule].rows == parts[part].rows)
                    VIT_TRY(add_slot(model, &own, part, i, rule, error));
    }
    for (int i = 0; i < model->slot_count; i++)
        model->slots_by_name[i] = &model->slots[i];
    vit_sort(model->slots_by_name, (size_t)model->slot_count, sizeof *model->slots_by_name, by_name);
    for (int i = 0; i < model->slot_count; i++)
        take_slot(model, &model->slots[i]);
    return VIT_OK;
}

vit_slot *vit_model_slot(vit_model *model, const char *name) {
    int low = 0, high = model->slot_count;
    while (low < high) {
        int middle = low + (high - low) / 2, order = strcmp(name, model->slots_by_name[middle]->name);
        if (!order)
            return model->slots_by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

vit_status vit_model_alloc_weights(vit_model *model, vit_error *error) {
    VIT_TRY(vit_arena_commit(&model->weight_arena, &model->options.allocator, "the weights", error));
    for (vit_slot *slot = model->slots; slot < model->slots + model->slot_count; slot++) {
        take_slot(model, slot);
        if (slot->is_matrix)
            *(vit_matrix *)slot->field = slot->held;
        else
            *(float **)slot->field = slot->held.f32;
    }
    return VIT_OK;
}
