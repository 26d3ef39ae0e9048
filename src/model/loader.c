/* Loading from a stream: header first, then every tensor's bytes go straight to their place, converted on the way. */
#include "convert.h"
#include "model.h"

#include "../base/file.h"

#include <stdio.h>
#include <string.h>

enum {
    PIECE = 1 << 18, /* bytes in place at a time: still in the cache when they are checked */
    STAGING = 1 << 16
};

struct vit_loader {
    vit_options options;
    char name[256];
    vit_claims claims;
    vit_buffer head;        /* the file's first bytes until the header is complete */
    uint64_t need;          /* bytes wanted before the header is tried again */
    uint64_t file_bytes;    /* UINT64_MAX: not known yet */
    uint64_t position;      /* bytes of the file consumed, once the header is complete */
    vit_model *model;       /* NULL until then */
    vit_target *targets;    /* [tensor_count] */
    int tensor;             /* the one position is in, or before */
    unsigned char *staging; /* [STAGING]: what cannot go to its place as it is */
    size_t staged;          /* the front of a block that was cut between two pieces */
    float *row;             /* of the weight that is being turned into integers */
};

vit_status vit_loader_open(vit_loader **out, const char *name, const vit_options *options, vit_error *error) {
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    VIT_TRY(vit_alloc_for((void **)out, &options->allocator, sizeof **out, "the loader", error));
    vit_loader *loader = *out;
    *loader = (vit_loader){.options = *options, .need = 1, .file_bytes = UINT64_MAX};
    loader->head.allocator = &loader->options.allocator;
    size_t length = strlen(name), room = sizeof loader->name - 1;
    snprintf(loader->name, sizeof loader->name, "%s", length > room ? name + length - room : name);
    vit_claims_init(&loader->claims);
    return VIT_OK;
}

void vit_loader_close(vit_loader *loader) {
    if (!loader)
        return;
    vit_allocator allocator = loader->options.allocator;
    vit_claims_release(&loader->claims, &allocator);
    vit_buffer_release(&loader->head);
    vit_release(&allocator, loader->targets);
    vit_release(&allocator, loader->staging);
    vit_release(&allocator, loader->row);
    vit_model_close(loader->model);
    vit_release(&allocator, loader);
}

vit_status vit_loader_config(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error) {
    const vit_limits *limits = &loader->options.limits;
    const vit_allocator *allocator = &loader->options.allocator;
    if (bytes > limits->config_bytes)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %zu bytes, the limit is %llu (limit config_bytes)", name, bytes,
                        (unsigned long long)limits->config_bytes);
    vit_json_document document;
    VIT_TRY(vit_json_parse(&document, name, json, bytes, (int)limits->json_depth, allocator, error));
    vit_status status = vit_claims_from_json(&loader->claims, name, document.root, allocator, error);
    vit_json_release(&document);
    return status;
}

/* ---- The header ---- */

static vit_status start_model(vit_loader *loader, vit_container *container, vit_error *error) {
    const vit_allocator *allocator = &loader->options.allocator;
    vit_model *model;
    vit_status status = vit_alloc_for((void **)&model, allocator, sizeof *model, "the model", error);
    if (status != VIT_OK) {
        vit_container_release(container);
        return status;
    }
    *model = (vit_model){.options = loader->options, .container = *container};
    model->container.allocator = &model->options.allocator;
    loader->model = model;
    size_t bytes = vit_size_mul((size_t)container->tensor_count, sizeof *loader->targets);
    VIT_TRY(vit_alloc_for((void **)&loader->targets, allocator, bytes, "the tensor list", error));
    VIT_TRY(vit_alloc_for((void **)&loader->staging, allocator, STAGING, "loading", error));
    VIT_TRY(vit_import(model, loader->name, &loader->claims, loader->targets, error));
    size_t longest = 0;
    for (int i = 0; i < model->slot_count; i++)
        if (model->slots[i].is_matrix && vit_slot_row(&model->slots[i]) > longest)
            longest = vit_slot_row(&model->slots[i]);
    if (model->options.compute == VIT_COMPUTE_INT8)
        VIT_TRY(vit_alloc_for((void **)&loader->row, allocator, vit_size_mul(longest, sizeof(float)), "loading", error));
    return vit_model_alloc_weights(model, error);
}

/* Tries to read the header from what is there. */
static vit_status parse_head(vit_loader *loader, vit_error *error) {
    vit_container container;
    VIT_TRY(vit_container_parse(&container, loader->name, loader->head.data, loader->head.size, loader->file_bytes,
                                &loader->need, &loader->options.limits, &loader->options.allocator, error));
    return loader->need ? VIT_OK : start_model(loader, &container, error);
}

/* The head may hold the beginning of the data. */
static vit_status push_rest_of_head(vit_loader *loader, vit_error *error) {
    const size_t begin = (size_t)loader->model->container.data_begin;
    loader->position = begin;
    VIT_TRY(vit_loader_push(loader, loader->head.data + begin, loader->head.size - begin, error));
    vit_buffer_release(&loader->head);
    return VIT_OK;
}

/* ---- Data ---- */

/* Whether a tensor's bytes are what its slot holds. */
static int goes_in_place(const vit_tensor_info *tensor, const vit_slot *slot) {
    return tensor->dtype == VIT_F32 && slot->held.f32;
}

/* count values have come to a slot. */
static void arrive(vit_model *model, vit_slot *slot, size_t count) {
    slot->arrived += count;
    while (model->ready_slots < model->slot_count &&
           model->slots[model->ready_slots].arrived == model->slots[model->ready_slots].count)
        model->ready_slots++;
}

/* count values from data to a slot of integers, from `at` on: by way of a row of floats. */
static void quantize(vit_loader *loader, vit_slot *slot, size_t at, const unsigned char *data, size_t count,
                     vit_dtype dtype) {
    const size_t k = vit_slot_row(slot), columns = (k + 3) / 4 * 4;
    while (count) {
        const size_t row = at / k, column = at % k, piece = count < k - column ? count : k - column;
        vit_values_to_f32(loader->row + column, data, piece, dtype);
        data += piece / vit_block_values(dtype) * vit_block_bytes(dtype);
        at += piece;
        count -= piece;
        if (at % k)
            break;
        slot->nonfinite |= vit_has_nonfinite(loader->row, k);
        vit_quantize_row(loader->row, k, slot->held.int8 + row * columns, &slot->held.scale[row], &slot->held.sum[row]);
    }
}

/* The tensor at the loader's position; NULL between tensors and in one that the model does not take. `left`: bytes until
 * that changes, at least 1. */
static const vit_tensor_info *current_tensor(vit_loader *loader, uint64_t *left) {
    const vit_container *container = &loader->model->container;
    const uint64_t position = loader->position, end = container->file_bytes + container->padding;
    const vit_tensor_info *tensor = &container->tensors[loader->tensor];
    for (; loader->tensor < container->tensor_count && tensor->offset + tensor->bytes <= position; tensor++)
        loader->tensor++;
    if (loader->tensor == container->tensor_count) {
        *left = position < end ? end - position : 1;
        return NULL;
    }
    int before = position < tensor->offset;
    *left = (before ? tensor->offset : tensor->offset + tensor->bytes) - position;
    return before || !loader->targets[loader->tensor].slot ? NULL : tensor;
}

static void *data_space(vit_loader *loader, size_t *bytes) {
    uint64_t left;
    const vit_tensor_info *tensor = current_tensor(loader, &left);
    const vit_target *target = &loader->targets[loader->tensor];
    if (tensor && goes_in_place(tensor, target->slot)) {
        *bytes = left < PIECE ? (size_t)left : PIECE;
        return (char *)(target->slot->held.f32 + target->offset) + (loader->position - tensor->offset);
    }
    *bytes = left < STAGING - loader->staged ? (size_t)left : STAGING - loader->staged;
    return loader->staging + loader->staged;
}

static vit_status commit_data(vit_loader *loader, size_t bytes, vit_error *error) {
    const vit_container *container = &loader->model->container;
    if (bytes > container->file_bytes + container->padding - loader->position)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: goes on after its last tensor: expected %llu bytes", loader->name,
                        (unsigned long long)container->file_bytes);
    uint64_t left;
    const vit_tensor_info *tensor = current_tensor(loader, &left);
    uint64_t before = loader->position;
    loader->position += bytes;
    if (!tensor)
        return VIT_OK;
    const vit_target *target = &loader->targets[loader->tensor];
    vit_slot *slot = target->slot;
    const vit_dtype dtype = tensor->dtype;
    const size_t size = vit_block_bytes(dtype), values = vit_block_values(dtype);
    const size_t from = (size_t)((before - tensor->offset) / size), to = (size_t)((loader->position - tensor->offset) / size);
    const size_t at = target->offset + from * values, count = (to - from) * values;
    if (!goes_in_place(tensor, slot)) {
        const size_t whole = (to - from) * size, rest = loader->staged + bytes - whole;
        if (slot->held.f32)
            vit_values_to_f32(slot->held.f32 + at, loader->staging, count, dtype);
        else
            quantize(loader, slot, at, loader->staging, count, dtype);
        memmove(loader->staging, loader->staging + whole, rest);
        loader->staged = rest;
    }
    if (slot->held.f32)
        slot->nonfinite |= vit_has_nonfinite(slot->held.f32 + at, count);
    arrive(loader->model, slot, count);
    return VIT_OK;
}

/* ---- Bytes ---- */

vit_status vit_loader_space(vit_loader *loader, void **space, size_t *bytes, vit_error *error) {
    *space = NULL;
    if (loader->model) {
        *space = data_space(loader, bytes);
        return VIT_OK;
    }
    uint64_t wanted = loader->need - loader->head.size;
    *bytes = wanted < STAGING ? (size_t)wanted : STAGING;
    VIT_TRY(vit_buffer_reserve(&loader->head, *bytes, loader->name, error));
    *space = loader->head.data + loader->head.size;
    return VIT_OK;
}

vit_status vit_loader_commit(vit_loader *loader, size_t bytes, vit_error *error) {
    if (loader->model)
        return commit_data(loader, bytes, error);
    loader->head.size += bytes;
    if (loader->head.size < loader->need)
        return VIT_OK;
    VIT_TRY(parse_head(loader, error));
    return loader->model ? push_rest_of_head(loader, error) : VIT_OK;
}

vit_status vit_loader_push(vit_loader *loader, const void *data, size_t bytes, vit_error *error) {
    while (bytes) {
        void *space;
        size_t room;
        VIT_TRY(vit_loader_space(loader, &space, &room, error));
        size_t piece = bytes < room ? bytes : room;
        memcpy(space, data, piece);
        VIT_TRY(vit_loader_commit(loader, piece, error));
        data = (const char *)data + piece;
        bytes -= piece;
    }
    return VIT_OK;
}

const vit_model *vit_loader_model(const vit_loader *loader) {
    return loader->model;
}

static vit_status warn_nonfinite(vit_model *model, vit_error *error) {
    for (int i = 0; i < model->slot_count; i++)
        if (model->slots[i].nonfinite)
            VIT_TRY(vit_model_warn(model, error, "%s holds NaN or infinity", model->slots[i].name));
    return VIT_OK;
}

vit_status vit_loader_finish(vit_loader *loader, vit_model **out, vit_error *error) {
    *out = NULL;
    if (!loader->model) { /* the whole file is here, and its header still wants more: this says why */
        loader->file_bytes = loader->head.size;
        VIT_TRY(parse_head(loader, error));
        if (!loader->model)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends inside its header, after %zu bytes", loader->name,
                            loader->head.size);
        VIT_TRY(push_rest_of_head(loader, error));
    }
    if (loader->position < loader->model->container.file_bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends after %llu bytes, expected %llu", loader->name,
                        (unsigned long long)loader->position, (unsigned long long)loader->model->container.file_bytes);
    VIT_TRY(warn_nonfinite(loader->model, error));
    *out = loader->model;
    loader->model = NULL;
    return VIT_OK;
}

/* ---- From files ---- */

static vit_status config_file(vit_loader *loader, const char *path, vit_error *error) {
    vit_buffer text = {.allocator = &loader->options.allocator};
    vit_status status = vit_read_file(&text, path, loader->options.limits.config_bytes, error);
    if (status == VIT_OK)
        status = vit_loader_config(loader, path, text.data, text.size, error);
    vit_buffer_release(&text);
    return status;
}

static vit_status weight_file(vit_loader *loader, const char *path, vit_error *error) {
    vit_reader reader;
    void *space;
    size_t room, got = 1;
    vit_status status = vit_reader_open(&reader, path, loader->options.limits.file_bytes, error);
    loader->file_bytes = reader.size;
    while (status == VIT_OK && got) {
        status = vit_loader_space(loader, &space, &room, error);
        if (status == VIT_OK)
            status = vit_reader_read(&reader, space, room, &got, error);
        if (status == VIT_OK && got)
            status = vit_loader_commit(loader, got, error);
    }
    vit_reader_close(&reader);
    return status;
}

/* folder/name into out, or VIT_ERR_ARGUMENT if it does not fit. */
static vit_status join(char *out, size_t size, const char *folder, const char *name, vit_error *error) {
    if (snprintf(out, size, "%s/%s", folder, name) >= (int)size)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%.100s...: the path is too long", folder);
    return VIT_OK;
}

/* The weight file of a folder, or the folder of a weight file. */
static vit_status locate(const char *path, char weights[4096], char folder[4096], vit_error *error) {
    static const char *const names[] = {"model.gguf", "model.safetensors"};
    if (!vit_is_folder(path)) {
        const char *slash = strrchr(path, '/');
        if (snprintf(weights, 4096, "%s", path) >= 4096)
            return vit_fail(error, VIT_ERR_ARGUMENT, "%.100s...: the path is too long", path);
        snprintf(folder, 4096, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        return VIT_OK;
    }
    snprintf(folder, 4096, "%s", path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        VIT_TRY(join(weights, 4096, path, names[i], error));
        if (vit_file_exists(weights))
            return VIT_OK;
    }
    VIT_TRY(join(weights, 4096, path, "model.safetensors.index.json", error));
    if (vit_file_exists(weights))
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: weights in several files are not supported", weights);
    return vit_fail(error, VIT_ERR_IO, "%s: the folder has no model.gguf and no model.safetensors", path);
}

/* A GGUF says everything itself; what lies beside it may belong to another file. */
static int is_gguf(const char *path) {
    char magic[4] = {0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t got = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return got == sizeof magic && memcmp(magic, "GGUF", 4) == 0;
}

static vit_status load_all(vit_loader *loader, const char *weights, const char *folder, const char *config_path,
                           vit_model **out, vit_error *error) {
    char beside[4096 + 32];
    static const char *const configs[] = {"config.json", "preprocessor_config.json"};
    int alone = is_gguf(weights);
    for (int i = 0; i < 2; i++) {
        VIT_TRY(join(beside, sizeof beside, folder, configs[i], error));
        if (i == 0 && config_path)
            VIT_TRY(config_file(loader, config_path, error));
        else if (!alone && vit_file_exists(beside))
            VIT_TRY(config_file(loader, beside, error));
    }
    VIT_TRY(weight_file(loader, weights, error));
    return vit_loader_finish(loader, out, error);
}

vit_status vit_model_open(vit_model **out, const char *path, const char *config_path, const vit_options *options,
                          vit_error *error) {
    *out = NULL;
    char weights[4096], folder[4096];
    VIT_TRY(locate(path, weights, folder, error));
    vit_loader *loader;
    VIT_TRY(vit_loader_open(&loader, weights, options, error));
    vit_status status = load_all(loader, weights, folder, config_path, out, error);
    vit_loader_close(loader);
    return status;
}
