/* exports.h - the engine, which is what one JavaScript ViT owns: a loader or a model, one session, one decoded picture, the
 * last error; or what one Trainer does: a loader, then a trainer.
 *
 * Functions that can fail return a vit_status, and vit_js_error the sentence. Pointers into the engine's memory are valid
 * until its next call. All memory goes through vit_js_alloc's counter, so a test can see that none is kept. */
#ifndef VIT_WASM_EXPORTS_H
#define VIT_WASM_EXPORTS_H

#include "../src/vit_tasks.h"

#include <emscripten.h>

typedef struct engine {
    _Alignas(16) void *space;   /* module.mjs reads these: where the next bytes of a weight file may be put, */
    size_t room;                /* how many, */
    const vit_model *model;     /* whether there is a model: from its header's arrival on, */
    int wanted;                 /* whether more bytes are wanted, */
    const char *file;           /* and of which of several files */
    vit_options options;
    vit_error error;
    vit_loader *loader;         /* has the model until it is whole */
    vit_model *loaded;
    vit_session *session;
    vit_session_options opened; /* what session was opened with; kernels is kept in kernels[] */
    char kernels[64];
    char tuned[64];             /* kernels of the last session */
    vit_preprocess rules;
    vit_image image;
    vit_attention *attention;
    int blocks;                 /* allocated and not yet released */
    char text[2048];
    struct training *training;  /* exports_train.c's */
} engine;

/* What vit_js_free gives back; module.mjs reads it. */
typedef struct engine_bytes {
    void *bytes;
    size_t size;
} engine_bytes;

/* exports_load.c, beside what it exports: */
vit_status engine_fail(engine *e, vit_status status, const char *text);
/* Gives back what loading took; returns how many blocks are still held. */
int engine_reset(engine *e);
/* The lines of a text, which is cut there, [count]: released by vit_js_free. NULL when the memory cannot grow. */
const char **engine_lines(engine *e, char *text, int count);

/* NULL when the memory cannot grow. Released by vit_js_free. */
void *vit_js_alloc(engine *e, size_t bytes);
void vit_js_free(engine *e, void *block);

#endif
