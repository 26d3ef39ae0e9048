/* exports_load.c - flat functions of all modules: the engine, its memory and errors, loading, decoding pictures. */
#include "exports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELPER_STACK 131072 /* bytes */

static void *counted_alloc(void *context, size_t bytes) {
    void *block = malloc(bytes);
    if (block)
        ((engine *)context)->blocks++;
    return block;
}

static void counted_release(void *context, void *block) {
    ((engine *)context)->blocks--;
    free(block);
}

vit_status engine_fail(engine *e, vit_status status, const char *text) {
    e->error.status = status;
    snprintf(e->error.text, sizeof e->error.text, "%s", text);
    return status;
}

/* ---- The engine ---- */

/* With room behind it for the stacks of so many helper threads. */
EMSCRIPTEN_KEEPALIVE engine *vit_js_open(int helpers) {
    engine *e = calloc(1, sizeof *e + (size_t)helpers * HELPER_STACK);
    if (!e)
        return NULL;
    e->options = vit_default_options();
    e->options.allocator = (vit_allocator){.alloc = counted_alloc, .release = counted_release, .context = e};
    return e;
}

/* Where the stack of a helper begins, 0 and up; stacks grow downwards. */
EMSCRIPTEN_KEEPALIVE void *vit_js_stack(engine *e, int helper) {
    return (char *)(e + 1) + (size_t)(helper + 1) * HELPER_STACK;
}

int engine_reset(engine *e) {
    vit_image_close(&e->image);
    vit_model_close(e->loaded);
    vit_loader_close(e->loader);
    e->model = e->loaded = NULL;
    e->loader = NULL;
    return e->blocks;
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_error(const engine *e) {
    return e->error.text;
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_status_name(int status) {
    return vit_status_name((vit_status)status);
}

EMSCRIPTEN_KEEPALIVE void *vit_js_alloc(engine *e, size_t bytes) {
    return counted_alloc(e, bytes ? bytes : 1);
}

EMSCRIPTEN_KEEPALIVE void vit_js_free(engine *e, void *block) {
    if (block)
        counted_release(e, block);
}

const char **engine_lines(engine *e, char *text, int count) {
    const char **lines = vit_js_alloc(e, (size_t)count * sizeof *lines);
    for (int i = 0; lines && i < count; i++) {
        char *end = strchr(text, '\n');
        lines[i] = text;
        if (end)
            *end = 0;
        text = end ? end + 1 : text + strlen(text);
    }
    return lines;
}

/* ---- Loading ---- */

/* One of vit_limits, in their order, for what comes afterwards. */
EMSCRIPTEN_KEEPALIVE void vit_js_limit(engine *e, int which, double value) {
    vit_limits *l = &e->options.limits;
    uint64_t *const wide[] = {&l->file_bytes, &l->header_bytes, &l->config_bytes, &l->image_pixels};
    uint32_t *const narrow[] = {&l->image_side, &l->tensors, &l->json_depth, &l->tokens, &l->layers};
    if (which < 4)
        *wide[which] = (uint64_t)value;
    else
        *narrow[which - 4] = (uint32_t)value;
}

/* raw: as they are stored, to train them. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_load(engine *e, const char *name, int int8, int raw) {
    e->options.compute = int8 ? VIT_COMPUTE_INT8 : VIT_COMPUTE_F32;
    e->options.raw_weights = raw;
    return vit_loader_open(&e->loader, name, &e->options, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_load_config(engine *e, const char *name, const void *json, size_t bytes) {
    return vit_loader_config(e->loader, name, json, bytes, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_load_index(engine *e, const char *name, const void *json, size_t bytes) {
    return vit_loader_index(e->loader, name, json, bytes, &e->error);
}

/* Fills space, room, wanted and file. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_load_space(engine *e) {
    uint64_t offset;
    e->wanted = vit_loader_next(e->loader, &e->file, &offset);
    return vit_loader_space(e->loader, &e->space, &e->room, &e->error);
}

static void take_model(engine *e, const vit_model *model) {
    if (model && !e->model)
        e->rules = vit_model_config(model)->preprocess;
    e->model = model;
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_load_commit(engine *e, size_t bytes) {
    vit_status status = vit_loader_commit(e->loader, bytes, &e->error);
    take_model(e, vit_loader_model(e->loader));
    return status;
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_load_finish(engine *e) {
    vit_status status = vit_loader_finish(e->loader, &e->loaded, &e->error);
    if (status != VIT_OK)
        return status;
    take_model(e, e->loaded);
    vit_loader_close(e->loader);
    e->loader = NULL;
    return VIT_OK;
}

/* ---- Pictures: decoded one at a time, then put into an input ---- */

EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_decode(engine *e, const char *name, const void *data, size_t bytes) {
    return vit_image_decode(&e->image, name, data, bytes, &e->options, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_size(engine *e, int width, int height) {
    return vit_image_check_size(width, height, &e->options, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_pixels(engine *e, const uint8_t *rgba, int width, int height) {
    return vit_image_from_pixels(&e->image, rgba, width, height, 4, &e->options, &e->error);
}
