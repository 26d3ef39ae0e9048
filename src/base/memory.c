#include "memory.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *context, size_t bytes) {
    (void)context;
    return malloc(bytes);
}

static void default_release(void *context, void *block) {
    (void)context;
    free(block);
}

vit_options vit_default_options(void) {
    return (vit_options){
        .limits = {.file_bytes = (uint64_t)8 << 30,
                   .header_bytes = 32u << 20,
                   .config_bytes = 8u << 20,
                   .image_pixels = 100000000,
                   .image_side = 65535,
                   .tensors = 100000,
                   .json_depth = 64,
                   .tokens = 65536,
                   .layers = 1024},
        .allocator = {.alloc = default_alloc, .release = default_release},
    };
}

void *vit_alloc(const vit_allocator *allocator, size_t bytes) {
    if (bytes > SIZE_MAX - 2 * VIT_ALIGN)
        return NULL;
    return allocator->alloc(allocator->context, bytes ? bytes : 1);
}

void vit_release(const vit_allocator *allocator, void *block) {
    if (block)
        allocator->release(allocator->context, block);
}

vit_status vit_alloc_for(void **out, const vit_allocator *allocator, size_t bytes, const char *what, vit_error *error) {
    *out = vit_alloc(allocator, bytes);
    if (!*out)
        return vit_fail(error, VIT_ERR_OUT_OF_MEMORY, "out of memory: %s needs %zu bytes", what, bytes);
    return VIT_OK;
}

size_t vit_size_mul(size_t a, size_t b) {
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

size_t vit_size_add(size_t a, size_t b) {
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

float *vit_arena_floats(vit_arena *arena, size_t a, size_t b, size_t c) {
    return vit_arena_take(arena, vit_size_mul(vit_size_mul(vit_size_mul(a, b), c), sizeof(float)));
}

void *vit_arena_take(vit_arena *arena, size_t bytes) {
    size_t begin = arena->used;
    size_t rounded = bytes > SIZE_MAX - VIT_ALIGN ? SIZE_MAX : (bytes + VIT_ALIGN - 1) & ~(size_t)(VIT_ALIGN - 1);
    size_t end = vit_size_add(begin, rounded);
    if (!arena->base) {
        arena->used = end;
        return NULL;
    }
    if (end > arena->size)
        return NULL;
    arena->used = end;
    return arena->base + begin;
}

vit_status vit_arena_commit(vit_arena *arena, const vit_allocator *allocator, const char *what, vit_error *error) {
    size_t size = arena->used;
    VIT_TRY(vit_alloc_for(&arena->block, allocator, vit_size_add(size, VIT_ALIGN), what, error));
    arena->base = (unsigned char *)(((uintptr_t)arena->block + VIT_ALIGN - 1) & ~(uintptr_t)(VIT_ALIGN - 1));
    arena->size = size;
    arena->used = 0;
    return VIT_OK;
}

void vit_arena_release(vit_arena *arena, const vit_allocator *allocator) {
    vit_release(allocator, arena->block);
    *arena = (vit_arena){0};
}

vit_status vit_buffer_reserve(vit_buffer *buffer, size_t bytes, const char *what, vit_error *error) {
    size_t need = vit_size_add(vit_size_add(buffer->size, bytes), 1);
    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity > SIZE_MAX / 2 ? need : buffer->capacity * 2;
        if (capacity < need)
            capacity = need;
        void *grown;
        VIT_TRY(vit_alloc_for(&grown, buffer->allocator, capacity, what, error));
        if (buffer->size)
            memcpy(grown, buffer->data, buffer->size);
        vit_release(buffer->allocator, buffer->data);
        buffer->data = grown;
        buffer->capacity = capacity;
    }
    return VIT_OK;
}

vit_status vit_buffer_append(vit_buffer *buffer, const void *data, size_t bytes, const char *what, vit_error *error) {
    VIT_TRY(vit_buffer_reserve(buffer, bytes, what, error));
    if (bytes)
        memcpy(buffer->data + buffer->size, data, bytes);
    buffer->size += bytes;
    buffer->data[buffer->size] = 0;
    return VIT_OK;
}

void vit_buffer_release(vit_buffer *buffer) {
    vit_release(buffer->allocator, buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}
