/* model.h - bytes of configuration and weights into a model, and the model run where it is small. */
#ifndef VIT_TESTS_FUZZ_MODEL_H
#define VIT_TESTS_FUZZ_MODEL_H

#include "fuzz.h"

static inline void fuzz_run(const vit_model *model, int batch) {
    vit_session_options options = {.batch = batch};
    vit_session *session;
    vit_error error;
    const vit_config *c = vit_model_config(model);
    if (vit_session_bytes(model, &options) > 8 << 20 || vit_model_flops(model, c->preprocess.height, c->preprocess.width) > 1e7)
        return;
    if (vit_session_open(&session, model, &options, &error) != VIT_OK)
        return;
    const size_t values = (size_t)c->preprocess.height * (size_t)c->preprocess.width * 3;
    for (int b = 0; b < batch; b++)
        for (size_t i = 0; i < values; i++)
            vit_session_input(session, b)[i] = (float)(i % 7) - 3;
    vit_status status = vit_session_run(session, &error);
    fuzz_check_error(status, &error);
    vit_session_close(session);
}

/* json may be NULL. way: 0 pushes pieces, 1 writes into space, 2 reads anywhere. */
static inline void fuzz_load(const void *json, size_t json_bytes, const uint8_t *data, size_t size, size_t piece, int way,
                             const vit_options *options) {
    vit_loader *loader;
    vit_model *model = NULL;
    vit_error error = {0};
    const char *file;
    uint64_t offset;
    if (vit_loader_open(&loader, "input", options, &error) != VIT_OK)
        return;
    vit_status status = VIT_OK;
    if (json)
        status = vit_loader_config(loader, "config.json", json, json_bytes, &error);
    if (way)
        vit_loader_source(loader, size, way == 2);
    size_t at = 0;
    for (int turn = 0; status == VIT_OK && vit_loader_next(loader, &file, &offset); turn++) {
        fuzz_expect(turn < 1000000); /* or it wants the same for ever */
        if (way == 2)
            at = offset < size ? (size_t)offset : size;
        size_t count = size - at < piece ? size - at : piece;
        if (!count)
            break; /* the stream ends */
        if (way == 0) {
            status = vit_loader_push(loader, data + at, count, &error);
        } else {
            void *space;
            size_t room;
            status = vit_loader_space(loader, &space, &room, &error);
            if (status == VIT_OK) {
                fuzz_expect(room > 0);
                count = count < room ? count : room;
                memcpy(space, data + at, count);
                status = vit_loader_commit(loader, count, &error);
            }
        }
        at += count;
    }
    if (status == VIT_OK)
        status = vit_loader_finish(loader, &model, &error);
    vit_loader_close(loader);
    fuzz_check_error(status, &error);
    fuzz_expect((status == VIT_OK) == (model != NULL));
    if (model)
        fuzz_run(model, 1 + (int)(piece & 1));
    vit_model_close(model);
}

#endif
