/* All state of a trainer in one safetensors file: parameters, moments, averages, and where it stands. */
#include "trainer.h"

#include "../base/hash.h"
#include "../format/container.h"
#include "../format/safetensors.h"

#include <string.h>

#define NOTES 8

/* Counters and what the network is, so that a state is not taken for another's. */
typedef struct standing {
    int64_t batches, updates, network, seed, note[NOTES];
} standing;

enum { STANDING = sizeof(standing) / sizeof(int64_t) };

/* Of all names, shapes and the optimiser. */
static int64_t network_of(const vit_trainer *t) {
    uint64_t hash = VIT_HASH_BEGIN ^ (uint64_t)t->options.optimizer;
    for (int i = 0; i < t->model->slot_count; i++) {
        const vit_slot *slot = &t->model->slots[i];
        hash = vit_hash(hash, slot->name, strlen(slot->name));
        hash = vit_hash(hash, slot->shape, (size_t)slot->rank * sizeof *slot->shape);
    }
    return (int64_t)hash;
}

/* The arrays of a trainer; how many. */
static int arrays_of(const vit_trainer *t, const char *names[4], float *data[4]) {
    int count = 0;
    names[count] = "parameters", data[count++] = t->parameters;
    names[count] = "first_moments", data[count++] = t->first;
    if (t->second)
        names[count] = "second_moments", data[count++] = t->second;
    if (t->average)
        names[count] = "average", data[count++] = t->average->slots[0].held.f32;
    return count;
}

static vit_status write_state(vit_safetensors_writer *w, const vit_trainer *t, const standing *s, vit_error *error) {
    const char *names[4];
    float *data[4];
    const int count = arrays_of(t, names, data);
    const int64_t values = (int64_t)t->parameter_count, integers = STANDING;
    const size_t bytes = t->parameter_count * sizeof(float);
    VIT_TRY(vit_safetensors_tensor(w, "standing", "I64", 1, &integers, sizeof *s, error));
    for (int i = 0; i < count; i++)
        VIT_TRY(vit_safetensors_tensor(w, names[i], "F32", 1, &values, bytes, error));
    VIT_TRY(vit_safetensors_header(w, error));
    VIT_TRY(vit_safetensors_data(w, s, sizeof *s, error));
    for (int i = 0; i < count; i++)
        VIT_TRY(vit_safetensors_data(w, data[i], bytes, error));
    return vit_safetensors_commit(w, error);
}

vit_status vit_trainer_save(const vit_trainer *t, const char *path, const int64_t *note, vit_error *error) {
    const int64_t batches = t->updates * t->options.accumulate; /* what came after the last update is done again */
    standing s = {batches, t->updates, network_of(t), (int64_t)t->options.seed, {0}};
    vit_safetensors_writer writer;
    if (note)
        memcpy(s.note, note, sizeof s.note);
    VIT_TRY(vit_safetensors_open(&writer, path, &t->allocator, error));
    const vit_status status = write_state(&writer, t, &s, error);
    vit_safetensors_cancel(&writer);
    return status;
}

static vit_status read_exactly(vit_reader *file, uint64_t offset, void *out, size_t bytes, vit_error *error) {
    size_t got;
    VIT_TRY(vit_reader_at(file, offset, out, bytes, &got, error));
    if (got != bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: expected %zu bytes at %llu, found %zu", file->name, bytes,
                        (unsigned long long)offset, got);
    return VIT_OK;
}

static vit_status find(const vit_container *c, const vit_reader *file, const char *name, size_t bytes, uint64_t *offset,
                       vit_error *error) {
    for (int i = 0; i < c->tensor_count; i++)
        if (strcmp(c->tensors[i].name, name) == 0 && c->tensors[i].bytes == bytes) {
            *offset = c->tensors[i].offset;
            return VIT_OK;
        }
    return vit_fail(error, VIT_ERR_SHAPE, "%s: no %s of %zu bytes: it is not the state of such a trainer", file->name,
                    name, bytes);
}

/* Opens the file, whatever comes of it, and reads its header and where its trainer stands. */
static vit_status open_state(vit_reader *file, vit_container *c, standing *s, const char *path, const vit_options *options,
                             vit_error *error) {
    unsigned char head[4096]; /* this program's headers are far shorter */
    uint64_t need = 0, at;
    size_t got;
    *file = (vit_reader){0};
    *c = (vit_container){0};
    VIT_TRY(vit_reader_open(file, path, options->limits.file_bytes, error));
    VIT_TRY(vit_reader_read(file, head, sizeof head, &got, error));
    VIT_TRY(vit_container_parse(c, file->name, head, got, file->size, &need, &options->limits, &options->allocator, error));
    if (need)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: not the state of a trainer", file->name);
    VIT_TRY(find(c, file, "standing", sizeof *s, &at, error));
    return read_exactly(file, at, s, sizeof *s, error);
}

static vit_status read_state(vit_trainer *t, vit_reader *file, const vit_container *c, const standing *s, vit_error *error) {
    const char *names[4];
    float *data[4];
    uint64_t offset[4];
    const int count = arrays_of(t, names, data);
    const size_t bytes = t->parameter_count * sizeof(float);
    if (s->network != network_of(t))
        return vit_fail(error, VIT_ERR_SHAPE, "%s: the state of another network or optimiser", file->name);
    if (s->seed != (int64_t)t->options.seed)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: its seed is %lld, not %lld", file->name, (long long)s->seed,
                        (long long)t->options.seed);
    if (s->updates < 0 || s->updates > INT64_MAX / t->options.accumulate || s->batches < s->updates * t->options.accumulate ||
        s->batches - s->updates * t->options.accumulate >= t->options.accumulate)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: %lld batches for %lld updates of %d", file->name, (long long)s->batches,
                        (long long)s->updates, t->options.accumulate);
    for (int i = 0; i < count; i++)
        VIT_TRY(find(c, file, names[i], bytes, &offset[i], error));
    for (int i = 0; i < count; i++)
        VIT_TRY(read_exactly(file, offset[i], data[i], bytes, error));
    t->batches = s->batches;
    t->updates = s->updates;
    return VIT_OK;
}

vit_status vit_trainer_load(vit_trainer *t, const char *path, int64_t *note, vit_error *error) {
    vit_reader file;
    vit_container container;
    standing s;
    vit_status status = open_state(&file, &container, &s, path, &t->model->options, error);
    if (status == VIT_OK)
        status = read_state(t, &file, &container, &s, error);
    if (status == VIT_OK && note)
        memcpy(note, s.note, sizeof s.note);
    vit_container_release(&container);
    vit_reader_close(&file);
    return status;
}

vit_status vit_trainer_note(const char *path, const vit_options *options, int64_t *note, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_reader file;
    vit_container container;
    standing s;
    const vit_status status = open_state(&file, &container, &s, path, &chosen, error);
    if (status == VIT_OK)
        memcpy(note, s.note, sizeof s.note);
    vit_container_release(&container);
    vit_reader_close(&file);
    return status;
}
