/* The public calls for named f32 tensors in safetensors files. */
#include "../vit_tasks.h"
#include "container.h"
#include "safetensors.h"
#include "../base/half.h"

#include <stdio.h>
#include <string.h>

struct vit_tensors {
    vit_options options;
    vit_container container;
    float **data; /* [container.tensor_count]; NULL where the type is none of ours */
};

static vit_status parse_whole(vit_tensors *tensors, const char *path, const vit_buffer *file, vit_error *error) {
    uint64_t need;
    VIT_TRY(vit_container_parse(&tensors->container, path, file->data, file->size, file->size, &need,
                                &tensors->options.limits, &tensors->options.allocator, error));
    if (need)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the header needs %llu bytes, the file has %zu", path,
                        (unsigned long long)need, file->size);
    if (strcmp(tensors->container.format, "safetensors") != 0)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: expected safetensors, found %s", path, tensors->container.format);
    return VIT_OK;
}

/* Little-endian, at any address: offsets in a file need not be aligned. */
static void widen(float *out, const unsigned char *data, size_t count, vit_dtype dtype) {
    if (dtype == VIT_F32) {
        memcpy(out, data, count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t half = (uint16_t)(data[2 * i] | data[2 * i + 1] << 8);
        out[i] = dtype == VIT_F16 ? vit_f32_from_f16(half) : vit_f32_from_bf16(half);
    }
}

static vit_status read_tensors(vit_tensors *tensors, const char *path, vit_buffer *file, vit_error *error) {
    const vit_allocator *allocator = &tensors->options.allocator;
    VIT_TRY(vit_read_file(file, path, tensors->options.limits.file_bytes, error));
    VIT_TRY(parse_whole(tensors, path, file, error));
    size_t count = (size_t)tensors->container.tensor_count, table = vit_size_mul(count, sizeof *tensors->data);
    VIT_TRY(vit_alloc_for((void **)&tensors->data, allocator, table, path, error));
    memset(tensors->data, 0, table);
    for (size_t i = 0; i < count; i++) {
        const vit_tensor_info *tensor = &tensors->container.tensors[i];
        if (tensor->dtype == VIT_DTYPE_OTHER)
            continue;
        size_t values = (size_t)tensor->bytes / (tensor->dtype == VIT_F32 ? 4 : 2);
        VIT_TRY(vit_alloc_for((void **)&tensors->data[i], allocator, vit_size_mul(values, sizeof(float)), tensor->name,
                              error));
        widen(tensors->data[i], file->data + tensor->offset, values, tensor->dtype);
    }
    return VIT_OK;
}

vit_status vit_tensors_read(vit_tensors **out, const char *path, const vit_options *options, vit_error *error) {
    vit_options chosen = options ? *options : vit_default_options();
    vit_tensors *tensors;
    *out = NULL;
    VIT_TRY(vit_alloc_for((void **)&tensors, &chosen.allocator, sizeof *tensors, path, error));
    *tensors = (vit_tensors){.options = chosen};
    vit_buffer file = {.allocator = &tensors->options.allocator};
    vit_status status = read_tensors(tensors, path, &file, error);
    vit_buffer_release(&file);
    if (status == VIT_OK)
        *out = tensors;
    else
        vit_tensors_close(tensors);
    return status;
}

void vit_tensors_close(vit_tensors *tensors) {
    if (!tensors)
        return;
    vit_allocator allocator = tensors->options.allocator;
    for (int i = 0; tensors->data && i < tensors->container.tensor_count; i++)
        vit_release(&allocator, tensors->data[i]);
    vit_release(&allocator, tensors->data);
    vit_container_release(&tensors->container);
    vit_release(&allocator, tensors);
}

int vit_tensors_count(const vit_tensors *tensors) {
    return tensors->container.tensor_count;
}

const vit_tensor_info *vit_tensors_info(const vit_tensors *tensors, int index) {
    return index >= 0 && index < tensors->container.tensor_count ? &tensors->container.tensors[index] : NULL;
}

const float *vit_tensors_data(const vit_tensors *tensors, int index) {
    return index >= 0 && index < tensors->container.tensor_count ? tensors->data[index] : NULL;
}

/* The header comes first in the file and needs every shape, so tensors wait here. */
struct kept {
    struct kept *next;
    char *name;
    float *data;
    int rank;
    int64_t shape[8];
    size_t bytes;
};

struct vit_tensors_writer {
    vit_allocator allocator;
    struct kept *first, **last;
};

vit_status vit_tensors_writer_open(vit_tensors_writer **out, const vit_options *options, vit_error *error) {
    vit_allocator allocator = (options ? *options : vit_default_options()).allocator;
    VIT_TRY(vit_alloc_for((void **)out, &allocator, sizeof **out, "tensor writer", error));
    **out = (vit_tensors_writer){.allocator = allocator};
    (*out)->last = &(*out)->first;
    return VIT_OK;
}

static void release_kept(const vit_allocator *allocator, struct kept *kept) {
    vit_release(allocator, kept->data);
    vit_release(allocator, kept->name);
    vit_release(allocator, kept);
}

void vit_tensors_writer_close(vit_tensors_writer *writer) {
    if (!writer)
        return;
    vit_allocator allocator = writer->allocator;
    for (struct kept *kept = writer->first, *next; kept; kept = next) {
        next = kept->next;
        release_kept(&allocator, kept);
    }
    vit_release(&allocator, writer);
}

static vit_status copy_into(struct kept *kept, const vit_allocator *allocator, const char *name, const float *data,
                            vit_error *error) {
    size_t length = strlen(name) + 1;
    VIT_TRY(vit_alloc_for((void **)&kept->name, allocator, length, name, error));
    memcpy(kept->name, name, length);
    VIT_TRY(vit_alloc_for((void **)&kept->data, allocator, kept->bytes, name, error));
    if (kept->bytes)
        memcpy(kept->data, data, kept->bytes);
    return VIT_OK;
}

vit_status vit_tensors_writer_add(vit_tensors_writer *writer, const char *name, int rank, const int64_t *shape,
                                  const float *data, vit_error *error) {
    struct kept *kept;
    if (rank < 0 || rank > 8)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%s: rank %d, expected 0 to 8", name, rank);
    for (kept = writer->first; kept; kept = kept->next)
        if (strcmp(kept->name, name) == 0)
            return vit_fail(error, VIT_ERR_ARGUMENT, "%s: a tensor of this name is there already", name);
    size_t bytes = sizeof *data;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return vit_fail(error, VIT_ERR_ARGUMENT, "%s: dimension %d is negative", name, i);
        bytes = vit_size_mul(bytes, (uint64_t)shape[i] > SIZE_MAX ? SIZE_MAX : (size_t)shape[i]);
    }
    VIT_TRY(vit_alloc_for((void **)&kept, &writer->allocator, sizeof *kept, name, error));
    *kept = (struct kept){.rank = rank, .bytes = bytes};
    if (rank)
        memcpy(kept->shape, shape, (size_t)rank * sizeof *shape);
    vit_status status = copy_into(kept, &writer->allocator, name, data, error);
    if (status != VIT_OK) {
        release_kept(&writer->allocator, kept);
        return status;
    }
    *writer->last = kept;
    writer->last = &kept->next;
    return VIT_OK;
}

static vit_status write_kept(const vit_tensors_writer *writer, vit_safetensors_writer *file, vit_error *error) {
    const struct kept *kept;
    for (kept = writer->first; kept; kept = kept->next)
        VIT_TRY(vit_safetensors_tensor(file, kept->name, "F32", kept->rank, kept->shape, kept->bytes, error));
    VIT_TRY(vit_safetensors_header(file, error));
    for (kept = writer->first; kept; kept = kept->next)
        VIT_TRY(vit_safetensors_data(file, kept->data, kept->bytes, error));
    return vit_safetensors_commit(file, error);
}

vit_status vit_tensors_writer_commit(vit_tensors_writer *writer, const char *path, vit_error *error) {
    vit_safetensors_writer file;
    vit_status status = vit_safetensors_open(&file, path, &writer->allocator, error);
    if (status == VIT_OK)
        status = write_kept(writer, &file, error);
    vit_safetensors_cancel(&file);
    return status;
}
