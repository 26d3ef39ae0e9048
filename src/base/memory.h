/* Memory: the caller's allocator, and arenas that are sized before anything is allocated. */
#ifndef VIT_BASE_MEMORY_H
#define VIT_BASE_MEMORY_H

#include "status.h"

#define VIT_ALIGN 64 /* of arena pieces: a cache line, and the widest vector */

/* NULL on failure; zero bytes give a block as well. */
void *vit_alloc(const vit_allocator *allocator, size_t bytes);
void vit_release(const vit_allocator *allocator, void *block);
/* The allocation or VIT_ERR_OUT_OF_MEMORY that says how many bytes were wanted for what. */
vit_status vit_alloc_for(void **out, const vit_allocator *allocator, size_t bytes, const char *what,
                         vit_error *error);

/* a*b and a+b, or SIZE_MAX where they overflow: sizes of hostile files are computed with these, and SIZE_MAX can
 * never be allocated. */
size_t vit_size_mul(size_t a, size_t b);
size_t vit_size_add(size_t a, size_t b);

/* One block, cut from the front. The same code that takes pieces measures them first: on an arena that has no block yet
 * (base NULL), vit_arena_take returns NULL and only counts. */
typedef struct vit_arena {
    unsigned char *base;
    size_t size, used;
    void *block; /* what the allocator returned; base is this, aligned */
} vit_arena;

/* bytes, aligned to VIT_ALIGN. NULL while measuring, or if the arena was measured too small (a bug). */
void *vit_arena_take(vit_arena *arena, size_t bytes);
/* A row-major [a,b,c] of floats, in the same way. */
float *vit_arena_floats(vit_arena *arena, size_t a, size_t b, size_t c);
/* Allocates what was measured (arena->used) and starts again at the front. */
vit_status vit_arena_commit(vit_arena *arena, const vit_allocator *allocator, const char *what, vit_error *error);
void vit_arena_release(vit_arena *arena, const vit_allocator *allocator);

/* A byte buffer that grows by doubling; a zero byte follows its data, for text. */
typedef struct vit_buffer {
    unsigned char *data;
    size_t size, capacity;
    const vit_allocator *allocator;
} vit_buffer;

/* Room for bytes more, and the zero. */
vit_status vit_buffer_reserve(vit_buffer *buffer, size_t bytes, const char *what, vit_error *error);
vit_status vit_buffer_append(vit_buffer *buffer, const void *data, size_t bytes, const char *what,
                             vit_error *error);
void vit_buffer_release(vit_buffer *buffer);

#endif
