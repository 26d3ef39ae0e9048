/* exports_train.c - training as flat functions, over vit_train.h: with exports_load.c what the modules for training have. */
#include "exports.h"

#include "../src/vit_train.h"

#include <stdio.h>
#include <string.h>

typedef struct training {
    vit_trainer *trainer;
    vit_feed_options feed; /* what is done to pictures */
    int batch;
    int is_taken;          /* whether the inputs are of a step that was taken */
} training;

/* Of a trainer, as train.mjs sends them. */
typedef struct settings {
    double batch, threads, recompute, seed;
    double label_smoothing, dropout, drop_path;
    double optimizer; /* 0: SGD; Adam with decay by the schedule (1), by the rate (2), in the gradient (3) */
    double weight_decay, decays_all, clip;
    double schedule, rate, warmup, updates;
    double layers;    /* the last so many, and what follows them, are trained; -1: all of the network */
    double crop, flip;
} settings;

static void close_training(engine *e) {
    if (e->training)
        vit_trainer_close(e->training->trainer);
    vit_js_free(e, e->training);
    e->training = NULL;
}

/* Gives back all but the engine itself, and returns how many blocks are still held: 0 unless something leaks. */
EMSCRIPTEN_KEEPALIVE int vit_js_reset(engine *e) {
    close_training(e);
    return engine_reset(e);
}

/* Of the loaded model one with a new head for `classes` classes, whose labels are lines of text, for pictures of that size
 * (0: as it is); 0 classes: as it is. shape: classes, height, width. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_train_adapt(engine *e, char *text, int shape[3], int classes, int height, int width) {
    if (!classes && !vit_model_config(e->loaded)->classes)
        return engine_fail(e, VIT_ERR_ARGUMENT, "train: the model has no classes: the option classes says which it is to learn");
    if (classes) {
        vit_model *adapted;
        const char **labels = engine_lines(e, text, classes);
        if (!labels)
            return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: labels");
        const vit_status status = vit_model_adapt(&adapted, e->loaded, classes, height, width, labels, &e->error);
        vit_js_free(e, labels);
        if (status != VIT_OK)
            return status;
        vit_model_close(e->loaded);
        e->model = e->loaded = adapted;
    }
    const vit_config *c = vit_model_config(e->model);
    shape[0] = c->classes;
    shape[1] = c->image_height;
    shape[2] = c->image_width;
    return VIT_OK;
}

/* Beginnings of the names of what stays as it is; NULL where that is nothing. Released by vit_js_free. */
static char *frozen_names(engine *e, int layers, int trained) {
    static const char before[] = "patch_embed,stem,stages,pos_,cls_token,reg_token,norm_pre,mask_token", behind[] = ",norm,fc_norm,pre_logits";
    const size_t room = sizeof before + sizeof behind + 16 * (size_t)layers;
    char *names = vit_js_alloc(e, room);
    size_t length = names ? (size_t)snprintf(names, room, "%s", before) : 0;
    for (int i = 0; names && i < layers - trained; i++)
        length += (size_t)snprintf(names + length, room - length, ",blocks.%d.", i);
    if (names && !trained)
        snprintf(names + length, room - length, "%s", behind);
    return names;
}

/* A trainer of that model, in the place of one that has not taken a step. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_train_open(engine *e, const settings *s) {
    const vit_config *c = vit_model_config(e->model);
    vit_train_options o = vit_default_train_options();
    close_training(e);
    if (s->layers > c->layers) {
        snprintf(e->error.text, sizeof e->error.text, "train: layers is %g, the network has %d", s->layers, c->layers);
        return e->error.status = VIT_ERR_ARGUMENT;
    }
    training *t = vit_js_alloc(e, sizeof *t);
    if (!t)
        return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: a trainer");
    *t = (training){.batch = (int)s->batch};
    t->feed = (vit_feed_options){.augment = vit_default_augment(), .preprocess = c->preprocess, .height = c->image_height,
                                 .width = c->image_width, .seed = (uint64_t)s->seed};
    t->feed.augment.crop_scale[0] = s->crop;
    t->feed.augment.crop_scale[1] = s->crop > 0;
    t->feed.augment.flip = (float)s->flip;
    e->training = t;
    o.batch = (int)s->batch;
    o.threads = (int)s->threads;
    o.recompute = (int)s->recompute;
    o.seed = (uint64_t)s->seed;
    o.label_smoothing = (float)s->label_smoothing;
    o.dropout = (float)s->dropout;
    o.drop_path = (float)s->drop_path;
    o.optimizer = s->optimizer > 0 ? VIT_OPTIMIZER_ADAM : VIT_OPTIMIZER_SGD;
    o.decay = s->optimizer == 1 ? VIT_DECAY_SCHEDULE : s->optimizer == 2 ? VIT_DECAY_RATE : VIT_DECAY_GRADIENT;
    o.weight_decay = (float)s->weight_decay;
    o.decay_matrices = !s->decays_all;
    o.clip_norm = (float)s->clip;
    o.schedule = (vit_schedule)s->schedule;
    o.rate = s->rate;
    o.warmup = (int64_t)s->warmup;
    o.updates = (int64_t)s->updates;
    char *frozen = s->layers < 0 ? NULL : frozen_names(e, c->layers, (int)s->layers);
    if (s->layers >= 0 && !frozen)
        return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: names");
    o.freeze = frozen;
    const vit_status status = vit_trainer_open(&t->trainer, e->model, &o, &e->error);
    vit_js_free(e, frozen);
    return status;
}

EMSCRIPTEN_KEEPALIVE float *vit_js_input(engine *e, int index) {
    e->training->is_taken = 0;
    return vit_trainer_input(e->training->trainer, index);
}

/* Closes the picture, whatever comes of it. What is done to it depends on the seed and on how many came before, by steps. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_preprocess(engine *e, int index) {
    const training *t = e->training;
    const uint64_t number = (uint64_t)vit_trainer_updates(t->trainer) * (uint64_t)t->batch + (uint64_t)index;
    const vit_status status = vit_feed_picture(&t->feed, &e->image, number, vit_js_input(e, index), &e->options, &e->error);
    vit_image_close(&e->image);
    return status;
}

/* One step. labels: [batch]. result: loss, rate, pictures that were right, steps so far. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_train_step(engine *e, const int *labels, double result[4]) {
    training *t = e->training;
    vit_train_result r;
    vit_status status = VIT_OK;
    for (int i = 0; i < t->batch && status == VIT_OK; i++)
        status = vit_trainer_set_class(t->trainer, i, labels[i], &e->error);
    if (status == VIT_OK)
        status = vit_trainer_step(t->trainer, &r, &e->error);
    if (status != VIT_OK)
        return status;
    t->is_taken = 1;
    vit_model_close(e->loaded); /* of which no other trainer will be made */
    e->loaded = NULL;
    e->model = vit_trainer_model(t->trainer);
    result[0] = r.loss;
    result[1] = r.rate;
    result[2] = r.correct;
    result[3] = (double)r.update;
    return VIT_OK;
}

/* Inputs of a step that was refused may be what no network has an answer for: they say nothing of this one. */
static void forget_refused(engine *e) {
    const training *t = e->training;
    const vit_config *c = vit_model_config(e->model);
    const size_t pixels = (size_t)t->batch * (size_t)c->image_height * (size_t)c->image_width;
    if (!t->is_taken)
        memset(vit_trainer_input(t->trainer, 0), 0, 3 * pixels * sizeof(float));
}

/* The model as it is now. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_train_encode(engine *e, int type, engine_bytes *out) {
    const vit_save_options options = {.type = (vit_dtype)type};
    vit_trainer *trainer = e->training ? e->training->trainer : NULL;
    const vit_model *model = trainer ? vit_trainer_model(trainer) : e->model;
    if (trainer)
        forget_refused(e);
    if (trainer && vit_trainer_check(trainer, &e->error) != VIT_OK)
        return e->error.status;
    return vit_model_encode(model, &options, &out->bytes, &out->size, &e->error);
}
