/* Loading from a stream: header first, then every tensor's bytes go straight to their place, converted on the way. */
#include "convert.h"
#include "convolution.h"
#include "model.h"

#include "../format/shards.h"
#include "../format/unpack.h"

#include <stdio.h>
#include <string.h>

enum {
    PIECE = 1 << 18, /* bytes in place at a time: still in the cache when they are checked */
    STAGING = 1 << 16,
    CHUNK = 1 << 20 /* of a file that is held */
};

struct vit_loader {
    vit_options options;
    char name[256];
    vit_claims claims;
    vit_shards shards;      /* count 0: there is one file */
    int file;               /* whose bytes come next; its name, for errors: */
    char file_name[512];
    int anywhere;           /* the files can be read anywhere */
    uint64_t file_bytes;    /* UINT64_MAX: not known yet */
    vit_header header;
    vit_buffer held;        /* of a whole file that comes as a stream, but is read from its end: pointers to its chunks; */
    uint64_t held_bytes;    /* so many of it */
    vit_model *model;       /* NULL until the header is complete */
    vit_target *targets;    /* [tensor_count] */
    uint64_t position;      /* in the file, of the next byte */
    int file_end;           /* behind the file's last tensor */
    int tensor;             /* the one position is in, or before; of it: */
    uint64_t taken;         /* bytes of values, those in staging not counted */
    vit_scatter scatter;    /* where the next value goes */
    float *layers;          /* values in order that were scattered in the file, where they cannot go to their place at once */
    unsigned char *staging; /* [STAGING]: what cannot go to its place as it is */
    size_t staged;          /* the front of a block that was cut between two pieces */
    vit_unpacker *unpacker; /* of npz */
    unsigned char *packed;  /* [STAGING]: what is deflated */
    float *row;             /* of the weight that is being turned into integers */
};

/* The name of one of several files, in the folder of their index. */
static void name_file(vit_loader *loader) {
    const char *slash = strrchr(loader->name, '/');
    if (loader->shards.count)
        snprintf(loader->file_name, sizeof loader->file_name, "%.*s%s", slash ? (int)(slash + 1 - loader->name) : 0,
                 loader->name, loader->shards.files[loader->file]);
    else
        snprintf(loader->file_name, sizeof loader->file_name, "%s", loader->name);
}

static void begin_header(vit_loader *loader) {
    name_file(loader);
    loader->header = (vit_header){.name = loader->file_name,
                                  .file_bytes = loader->file_bytes,
                                  .anywhere = loader->anywhere,
                                  .limits = &loader->options.limits,
                                  .allocator = &loader->options.allocator};
    vit_header_begin(&loader->header, 1);
}

vit_status vit_loader_open(vit_loader **out, const char *name, const vit_options *options, vit_error *error) {
    vit_options defaults = vit_default_options();
    if (!options)
        options = &defaults;
    VIT_TRY(vit_alloc_for((void **)out, &options->allocator, sizeof **out, "the loader", error));
    vit_loader *loader = *out;
    *loader = (vit_loader){.options = *options, .file_bytes = UINT64_MAX};
    loader->held.allocator = &loader->options.allocator;
    size_t length = strlen(name), room = sizeof loader->name - 1;
    snprintf(loader->name, sizeof loader->name, "%s", length > room ? name + length - room : name);
    vit_claims_init(&loader->claims);
    begin_header(loader);
    return VIT_OK;
}

void vit_loader_close(vit_loader *loader) {
    if (!loader)
        return;
    vit_allocator allocator = loader->options.allocator;
    vit_claims_release(&loader->claims, &allocator);
    vit_header_release(&loader->header);
    vit_shards_release(&loader->shards);
    for (size_t i = 0; i < loader->held.size / sizeof(void *); i++)
        vit_release(&allocator, ((void **)(void *)loader->held.data)[i]);
    vit_buffer_release(&loader->held);
    vit_release(&allocator, loader->targets);
    vit_release(&allocator, loader->layers);
    vit_release(&allocator, loader->unpacker);
    vit_release(&allocator, loader->packed);
    vit_release(&allocator, loader->staging);
    vit_release(&allocator, loader->row);
    vit_model_close(loader->model);
    vit_release(&allocator, loader);
}

static vit_status check_config_bytes(const vit_loader *loader, const char *name, size_t bytes, vit_error *error) {
    if (bytes > loader->options.limits.config_bytes)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %zu bytes, the limit is %llu (limit config_bytes)", name, bytes,
                        (unsigned long long)loader->options.limits.config_bytes);
    return VIT_OK;
}

vit_status vit_loader_config(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error) {
    const vit_limits *limits = &loader->options.limits;
    const vit_allocator *allocator = &loader->options.allocator;
    VIT_TRY(check_config_bytes(loader, name, bytes, error));
    vit_json_document document;
    VIT_TRY(vit_json_parse(&document, name, json, bytes, limits, allocator, error));
    vit_status status = vit_claims_from_json(&loader->claims, name, document.root, allocator, error);
    vit_json_release(&document);
    return status;
}

vit_status vit_loader_index(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error) {
    const vit_limits *limits = &loader->options.limits;
    VIT_TRY(check_config_bytes(loader, name, bytes, error));
    VIT_TRY(vit_shards_open(&loader->shards, loader->name, json, bytes, limits, &loader->options.allocator, error));
    begin_header(loader);
    return VIT_OK;
}

void vit_loader_source(vit_loader *loader, uint64_t file_bytes, int anywhere) {
    if (loader->model)
        return;
    loader->file_bytes = file_bytes;
    loader->anywhere = anywhere;
    begin_header(loader);
}

/* ---- The header ---- */

static int is_fortran(const vit_loader *loader, int tensor) {
    const vit_storage *places = loader->model->container.places;
    return places && places[tensor].fortran;
}

/* Whether values of a tensor that is scattered are put into order first: integers are made of whole rows, and the layers
 * of a tensor in Fortran's order come all at once. */
static int needs_layers(const vit_loader *loader, int tensor) {
    const vit_target *target = &loader->targets[tensor];
    return target->scattered && (!target->slot->held.f32 || (target->layer_slots && is_fortran(loader, tensor)));
}

/* Values that `layers` holds at a time. */
static size_t layer_values(const vit_loader *loader, int tensor) {
    const vit_target *target = &loader->targets[tensor];
    int all = target->layer_slots && is_fortran(loader, tensor);
    return all ? vit_size_mul(target->count, (size_t)loader->model->container.tensors[tensor].shape[0]) : target->count;
}

/* What loading of the model's tensors needs besides their places. */
static vit_status alloc_work(vit_loader *loader, vit_error *error) {
    const vit_allocator *allocator = &loader->options.allocator;
    const vit_model *model = loader->model;
    const vit_container *container = &model->container;
    size_t longest = 0, most = 0;
    for (int i = 0; i < model->slot_count; i++)
        if (model->slots[i].is_matrix && vit_slot_row(&model->slots[i]) > longest)
            longest = vit_slot_row(&model->slots[i]);
    if (model->options.compute == VIT_COMPUTE_INT8)
        VIT_TRY(vit_alloc_for((void **)&loader->row, allocator, vit_size_mul(longest, sizeof(float)), "loading", error));
    for (int i = 0; i < container->tensor_count; i++)
        if (loader->targets[i].slot && needs_layers(loader, i) && layer_values(loader, i) > most)
            most = layer_values(loader, i);
    if (most)
        VIT_TRY(vit_alloc_for((void **)&loader->layers, allocator, vit_size_mul(most, sizeof(float)), "loading", error));
    if (!container->places)
        return VIT_OK;
    VIT_TRY(vit_alloc_for((void **)&loader->unpacker, allocator, sizeof *loader->unpacker, "loading", error));
    vit_unpack_init(loader->unpacker);
    return vit_alloc_for((void **)&loader->packed, allocator, STAGING, "loading", error);
}

/* A tensor in Fortran's order is scattered. */
static void scatter_fortran(vit_loader *loader) {
    const vit_container *container = &loader->model->container;
    for (int i = 0; i < container->tensor_count; i++) {
        const vit_tensor_info *tensor = &container->tensors[i];
        vit_target *target = &loader->targets[i];
        if (!is_fortran(loader, i) || target->scattered)
            continue;
        target->scattered = 1;
        size_t stride = 1;
        for (int d = tensor->rank; d-- > 0; stride *= (size_t)tensor->shape[d])
            target->stride[d] = stride;
    }
}

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
    VIT_TRY(vit_model_alloc_weights(model, error));
    scatter_fortran(loader);
    return alloc_work(loader, error);
}

/* The header of the current file is complete: the next file's is wanted, or there is a model. */
static vit_status take_header(vit_loader *loader, vit_container *container, vit_error *error) {
    if (!loader->shards.count)
        return start_model(loader, container, error);
    loader->shards.parts[loader->file] = *container;
    if (++loader->file < loader->shards.count) {
        loader->file_bytes = UINT64_MAX;
        begin_header(loader);
        return VIT_OK;
    }
    vit_container joined;
    VIT_TRY(vit_shards_join(&joined, &loader->shards, &loader->options.limits, error));
    return start_model(loader, &joined, error);
}

static void enter_file(vit_loader *loader);
static void begin_tensor(vit_loader *loader);

/* Whether what comes is held until the file is whole. */
static int is_held(const vit_loader *loader) {
    return !loader->model && loader->header.wanted == UINT64_MAX;
}

/* Goes on with the header. What has come of the data behind it is kept, where the file cannot be read again. */
static vit_status read_header(vit_loader *loader, vit_error *error) {
    vit_container container = {0};
    vit_header *header = &loader->header;
    VIT_TRY(vit_header_read(header, &container, error));
    if (is_held(loader)) {
        vit_buffer first = header->bytes;
        header->bytes = (vit_buffer){0};
        vit_status status = vit_loader_push(loader, first.data, first.size, error);
        vit_buffer_release(&first);
        return status;
    }
    if (header->wanted)
        return VIT_OK;
    vit_buffer rest = header->bytes;
    header->bytes = (vit_buffer){0};
    vit_header_release(header);
    vit_status status = take_header(loader, &container, error);
    if (status == VIT_OK && loader->model) {
        loader->file = 0;
        enter_file(loader);
        begin_tensor(loader);
        if (!loader->anywhere && !loader->shards.count)
            status = vit_loader_push(loader, rest.data + loader->position, rest.size - (size_t)loader->position, error);
    }
    vit_buffer_release(&rest);
    return status;
}

/* ---- Data ---- */

/* Of the current file: where it ends, if it has no padding. */
static uint64_t file_end(const vit_loader *loader) {
    const vit_container *container = &loader->model->container;
    return container->shard_count ? container->shards[loader->file].file_bytes : container->file_bytes;
}

static const vit_tensor_info *tensor_info(const vit_loader *loader) {
    return &loader->model->container.tensors[loader->tensor];
}

static int is_deflated(const vit_loader *loader) {
    const vit_storage *places = loader->model->container.places;
    return places && places[loader->tensor].deflated;
}

/* Where the values of the current tensor go from one of them on, where they are not scattered. */
typedef struct place {
    vit_slot *slot;
    size_t at, left; /* from which of the slot's values on, and how many more of it */
} place;

static place place_of(const vit_loader *loader, size_t value) {
    const vit_target *target = &loader->targets[loader->tensor];
    if (value < target->count)
        return (place){target->slot, target->offset + value, target->count - value};
    return (place){target->rest, value - target->count, target->rest ? target->rest->count + target->count - value : 0};
}

/* Whether the current tensor's bytes are what its slot holds. */
static int goes_in_place(const vit_loader *loader) {
    const vit_target *target = &loader->targets[loader->tensor];
    return tensor_info(loader)->dtype == VIT_F32 && target->slot->held.f32 && !target->scattered && !is_deflated(loader);
}

/* Dimensions in the order of the file; those of one layer, if layers are scattered one after another. */
static void begin_scatter(vit_loader *loader) {
    const vit_tensor_info *tensor = tensor_info(loader);
    const vit_target *target = &loader->targets[loader->tensor];
    const int fortran = is_fortran(loader, loader->tensor), first = target->layer_slots && !fortran;
    vit_scatter *s = &loader->scatter;
    memset(s, 0, sizeof *s);
    for (int i = first; i < tensor->rank; i++) {
        const int from = fortran ? tensor->rank - 1 - i : i;
        s->size[s->rank] = (size_t)tensor->shape[from];
        s->stride[s->rank++] = from == 0 && target->layer_slots ? target->count : target->stride[from];
    }
    if (!s->rank) /* a single value */
        s->size[s->rank++] = 1;
}

/* Goes to the data of the current file. */
static void enter_file(vit_loader *loader) {
    const vit_container *container = &loader->model->container;
    const vit_shard *shard = container->shard_count ? &container->shards[loader->file] : NULL;
    name_file(loader);
    loader->position = shard ? shard->data_begin : container->data_begin;
    loader->file_end = shard ? loader->tensor + shard->tensors : container->tensor_count;
}

/* Whether the current tensor still wants bytes; of a file that can be read anywhere, the next byte is then one of its own. */
static int wants_bytes(vit_loader *loader) {
    const vit_tensor_info *tensor = tensor_info(loader);
    if (loader->anywhere && !loader->targets[loader->tensor].slot)
        return 0;
    if (loader->anywhere && loader->position < tensor->offset)
        loader->position = tensor->offset;
    return tensor->offset + vit_container_stored(&loader->model->container, loader->tensor) > loader->position;
}

/* Goes to the next tensor that wants bytes, or stands behind the last one. */
static void begin_tensor(vit_loader *loader) {
    const vit_container *container = &loader->model->container;
    while (loader->tensor == loader->file_end || !wants_bytes(loader)) {
        if (loader->tensor < loader->file_end) {
            loader->tensor++;
        } else if (loader->file + 1 < container->shard_count) {
            loader->file++;
            enter_file(loader);
        } else {
            return;
        }
    }
    loader->taken = 0;
    loader->staged = 0;
    if (container->places)
        vit_unpack_begin(loader->unpacker, loader->name, tensor_info(loader), &container->places[loader->tensor]);
    if (loader->targets[loader->tensor].scattered)
        begin_scatter(loader);
}

/* The tensor at the loader's position; NULL between tensors and in one that the model does not take. `left`: bytes until
 * that changes, at least 1. */
static const vit_tensor_info *current_tensor(const vit_loader *loader, uint64_t *left) {
    const vit_container *container = &loader->model->container;
    const uint64_t position = loader->position, end = file_end(loader) + container->padding;
    if (loader->tensor == container->tensor_count) {
        *left = position < end ? end - position : 1;
        return NULL;
    }
    const vit_tensor_info *tensor = tensor_info(loader);
    int before = position < tensor->offset;
    *left = (before ? tensor->offset : tensor->offset + vit_container_stored(container, loader->tensor)) - position;
    return before || !loader->targets[loader->tensor].slot ? NULL : tensor;
}

static void *data_space(vit_loader *loader, size_t *bytes) {
    uint64_t left;
    const vit_tensor_info *tensor = current_tensor(loader, &left);
    if (tensor && is_deflated(loader)) {
        *bytes = left < STAGING ? (size_t)left : STAGING;
        return loader->packed;
    }
    const vit_storage *places = loader->model->container.places;
    if (tensor && places && loader->unpacker->unpacked < places[loader->tensor].header) {
        left = places[loader->tensor].header - loader->unpacker->unpacked;
    } else if (tensor && goes_in_place(loader)) {
        const place p = place_of(loader, (size_t)(loader->taken / sizeof(float)));
        const size_t within = (size_t)(loader->taken % sizeof(float)), room = p.left * sizeof(float) - within;
        *bytes = left < PIECE ? (size_t)left : PIECE;
        *bytes = *bytes < room ? *bytes : room;
        return (char *)(p.slot->held.f32 + p.at) + within;
    }
    *bytes = left < STAGING - loader->staged ? (size_t)left : STAGING - loader->staged;
    return loader->staging + loader->staged;
}

/* count values have come to a slot. */
static void arrive(vit_model *model, vit_slot *slot, size_t count) {
    slot->arrived += count;
    if (slot->arrived == slot->count)
        vit_standardize_slot(model, slot);
    while (model->ready_slots < model->slot_count &&
           model->slots[model->ready_slots].arrived == model->slots[model->ready_slots].count)
        model->ready_slots++;
}

/* count values from data to a slot of integers, from `at` on: by way of a row of floats. */
static void quantize(vit_loader *loader, vit_slot *slot, size_t at, const unsigned char *data, size_t count,
                     vit_dtype dtype) {
    const size_t k = vit_slot_row(slot), columns = vit_int8_columns(k);
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

/* Layers that are in order go to their slots. */
static void deliver_layers(vit_loader *loader, vit_slot *slot, size_t values) {
    const vit_target *target = &loader->targets[loader->tensor];
    for (size_t begin = 0; begin < values; begin += target->count, slot += target->layer_slots) {
        const float *from = loader->layers + begin;
        if (!slot->held.f32) {
            quantize(loader, slot, target->offset, (const unsigned char *)from, target->count, VIT_F32);
        } else {
            memcpy(slot->held.f32 + target->offset, from, target->count * sizeof *from);
            slot->nonfinite |= vit_has_nonfinite(from, target->count);
        }
        arrive(loader->model, slot, target->count);
    }
}

/* The values from `from` to `to` of the current tensor, in staging, go where its target scatters them. */
static void scatter(vit_loader *loader, size_t from, size_t to) {
    float values[1024];
    const vit_target *target = &loader->targets[loader->tensor];
    const vit_dtype dtype = tensor_info(loader)->dtype;
    const int held_back = needs_layers(loader, loader->tensor);
    const size_t most = sizeof values / sizeof *values;
    const size_t part = held_back ? layer_values(loader, loader->tensor) : target->count; /* of one slot, or in layers */
    for (size_t at = from, count; at < to; at += count) {
        const size_t done = at % part;
        vit_slot *slot = target->slot + at / part * (size_t)target->layer_slots;
        count = to - at < most ? to - at : most;
        if (count > part - done)
            count = part - done;
        vit_values_to_f32(values, loader->staging + (at - from) / vit_block_values(dtype) * vit_block_bytes(dtype), count,
                          dtype);
        vit_scatter_values(&loader->scatter, held_back ? loader->layers : slot->held.f32 + target->offset, values, count);
        if (!held_back) {
            slot->nonfinite |= vit_has_nonfinite(values, count);
            arrive(loader->model, slot, count);
        } else if (done + count == part) {
            deliver_layers(loader, slot, part);
        }
    }
}

/* Bytes of values that have come to their place or to staging. */
static void take_values(vit_loader *loader, size_t bytes) {
    const vit_target *target = &loader->targets[loader->tensor];
    const vit_dtype dtype = tensor_info(loader)->dtype;
    const size_t size = vit_block_bytes(dtype), values = vit_block_values(dtype), come = loader->staged + bytes;
    const size_t from = (size_t)(loader->taken / size * values), count = come / size * values;
    if (goes_in_place(loader)) {
        const size_t end = (size_t)((loader->taken + bytes) / size);
        const place p = place_of(loader, from);
        p.slot->nonfinite |= vit_has_nonfinite(p.slot->held.f32 + p.at, end - from);
        arrive(loader->model, p.slot, end - from);
        loader->taken += bytes;
        return;
    }
    if (target->scattered)
        scatter(loader, from, from + count);
    for (size_t done = 0, piece; done < count && !target->scattered; done += piece) {
        const place p = place_of(loader, from + done);
        const unsigned char *data = loader->staging + done / values * size;
        piece = count - done < p.left ? count - done : p.left;
        if (p.slot->held.f32) {
            vit_values_to_f32(p.slot->held.f32 + p.at, data, piece, dtype);
            p.slot->nonfinite |= vit_has_nonfinite(p.slot->held.f32 + p.at, piece);
        } else {
            quantize(loader, p.slot, p.at, data, piece, dtype);
        }
        arrive(loader->model, p.slot, piece);
    }
    const size_t whole = come / size * size;
    memmove(loader->staging, loader->staging + whole, come - whole);
    loader->staged = come - whole;
    loader->taken += whole;
}

/* What is stored of a tensor of an npz, in its place or elsewhere. */
static vit_status unpack(vit_loader *loader, const unsigned char *data, size_t bytes, vit_error *error) {
    const int deflated = is_deflated(loader);
    const unsigned char *values;
    size_t count, piece;
    int more;
    do {
        VIT_TRY(vit_unpack_take(loader->unpacker, &data, &bytes, &values, &count, &more, error));
        for (; count; values += piece, count -= piece) {
            piece = count;
            if (deflated) {
                piece = piece < STAGING - loader->staged ? piece : STAGING - loader->staged;
                memcpy(loader->staging + loader->staged, values, piece);
            }
            take_values(loader, piece);
        }
    } while (more);
    return VIT_OK;
}

static vit_status commit_data(vit_loader *loader, const unsigned char *data, size_t bytes, vit_error *error) {
    const vit_container *container = &loader->model->container;
    if (bytes > file_end(loader) + container->padding - loader->position)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: goes on after its last tensor: expected %llu bytes", loader->file_name,
                        (unsigned long long)file_end(loader));
    uint64_t left;
    const vit_tensor_info *tensor = current_tensor(loader, &left);
    loader->position += bytes;
    if (tensor && container->places)
        VIT_TRY(unpack(loader, data, bytes, error));
    else if (tensor)
        take_values(loader, bytes);
    if (bytes < left)
        return VIT_OK;
    if (tensor && container->places)
        VIT_TRY(vit_unpack_end(loader->unpacker, error));
    begin_tensor(loader);
    return VIT_OK;
}

/* ---- Bytes ---- */

static unsigned char *chunk_at(const vit_loader *loader, uint64_t offset) {
    return ((unsigned char **)(void *)loader->held.data)[offset / CHUNK] + offset % CHUNK;
}

/* In the last chunk, or a new one. */
static vit_status held_space(vit_loader *loader, void **space, size_t *bytes, vit_error *error) {
    void *chunk;
    if (loader->held.size / sizeof chunk * CHUNK == loader->held_bytes) {
        VIT_TRY(vit_buffer_reserve(&loader->held, sizeof chunk, loader->name, error));
        VIT_TRY(vit_alloc_for(&chunk, &loader->options.allocator, CHUNK, loader->name, error));
        VIT_TRY(vit_buffer_append(&loader->held, &chunk, sizeof chunk, loader->name, error));
    }
    *space = chunk_at(loader, loader->held_bytes);
    *bytes = CHUNK - (size_t)(loader->held_bytes % CHUNK);
    return VIT_OK;
}

int vit_loader_next(const vit_loader *loader, const char **file, uint64_t *offset) {
    *file = loader->shards.count ? loader->shards.files[loader->file] : NULL;
    *offset = loader->model     ? loader->position
              : is_held(loader) ? loader->held_bytes
                                : loader->header.offset + loader->header.bytes.size;
    return !loader->model || loader->tensor < loader->model->container.tensor_count;
}

vit_status vit_loader_space(vit_loader *loader, void **space, size_t *bytes, vit_error *error) {
    *space = NULL;
    if (loader->model) {
        *space = data_space(loader, bytes);
        return VIT_OK;
    }
    if (is_held(loader))
        return held_space(loader, space, bytes, error);
    vit_header *header = &loader->header;
    uint64_t wanted = header->wanted - header->bytes.size;
    *bytes = wanted < STAGING ? (size_t)wanted : STAGING;
    VIT_TRY(vit_buffer_reserve(&header->bytes, *bytes, loader->name, error));
    *space = header->bytes.data + header->bytes.size;
    return VIT_OK;
}

vit_status vit_loader_commit(vit_loader *loader, size_t bytes, vit_error *error) {
    if (loader->model) {
        size_t room;
        return commit_data(loader, data_space(loader, &room), bytes, error);
    }
    vit_header *header = &loader->header;
    const int held = is_held(loader);
    if (held)
        loader->held_bytes += bytes;
    else
        header->bytes.size += bytes;
    if (loader->held_bytes > loader->options.limits.file_bytes)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: more than %llu bytes (limit file_bytes)", loader->name,
                        (unsigned long long)loader->options.limits.file_bytes);
    return held || header->bytes.size < header->wanted ? VIT_OK : read_header(loader, error);
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

/* The whole of a file that must be read from its end is here. */
static vit_status read_held(vit_loader *loader, vit_error *error) {
    const char *file;
    uint64_t offset;
    vit_loader_source(loader, loader->held_bytes, 1);
    while (vit_loader_next(loader, &file, &offset) && offset < loader->held_bytes) {
        void *space;
        size_t room;
        const uint64_t left = loader->held_bytes - offset;
        const size_t chunk = CHUNK - (size_t)(offset % CHUNK);
        VIT_TRY(vit_loader_space(loader, &space, &room, error));
        room = room < chunk ? room : chunk;
        room = room < left ? room : (size_t)left;
        memcpy(space, chunk_at(loader, offset), room);
        VIT_TRY(vit_loader_commit(loader, room, error));
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
    const char *file;
    uint64_t offset;
    *out = NULL;
    if (is_held(loader))
        VIT_TRY(read_held(loader, error));
    if (!loader->model) { /* the whole file is here, and its header still wants more: this says why */
        loader->file_bytes = loader->header.file_bytes = loader->header.bytes.size;
        VIT_TRY(read_header(loader, error));
        if (!loader->model)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends inside its header, after %zu bytes", loader->file_name,
                            loader->header.bytes.size);
    }
    if (vit_loader_next(loader, &file, &offset))
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends after %llu bytes, expected %llu", loader->file_name,
                        (unsigned long long)offset, (unsigned long long)file_end(loader));
    VIT_TRY(warn_nonfinite(loader->model, error));
    *out = loader->model;
    loader->model = NULL;
    return VIT_OK;
}
