/* Small trainers for tests: random weights, pictures of waves, gradients of whole networks. */
#ifndef TEST_TRAINERS_H
#define TEST_TRAINERS_H

#include "test.h"

#include "../../src/train/trainer.h"

#include <math.h>

static vit_error error;

/* Random weights everywhere: init leaves the head 0, which would hide errors before it. */
static vit_model *model_of(const vit_config *c) {
    vit_model *model = NULL;
    if (!CHECK_STATUS(VIT_OK, vit_model_init(&model, c, 7, NULL, &error)))
        puts(error.text);
    for (int i = 0; model && i < model->slot_count; i++)
        for (size_t j = 0; j < model->slots[i].count; j++)
            model->slots[i].held.f32[j] += 0.2f * sinf((float)(j * 7919 % 1009 + (size_t)i));
    return model;
}

static void feed(vit_trainer *t, int turn) {
    const vit_config *c = &t->model->config;
    const int pixels = c->image_height * c->image_width * 3;
    for (int i = 0; i < t->options.batch; i++) {
        for (int j = 0; j < pixels; j++)
            vit_trainer_input(t, i)[j] = cosf((float)(j * (i + 3) % 977 + turn * 13));
        if (c->classes)
            CHECK_STATUS(VIT_OK, vit_trainer_set_class(t, i, (i + turn) % c->classes, &error));
    }
}

static vit_trainer *trainer_of(const vit_model *model, vit_train_options options) {
    vit_trainer *t = NULL;
    if (!CHECK_STATUS(VIT_OK, vit_trainer_open(&t, model, &options, &error)))
        puts(error.text);
    return t;
}

static vit_train_options options_of(int batch) {
    vit_train_options o = vit_default_train_options();
    o.batch = batch;
    o.updates = 10;
    o.schedule = VIT_SCHEDULE_CONSTANT;
    return o;
}

static vit_train_result step(vit_trainer *t, int turn) {
    vit_train_result r = {0};
    feed(t, turn);
    if (!CHECK_STATUS(VIT_OK, vit_trainer_step(t, &r, &error)))
        puts(error.text);
    return r;
}

/* Moves every weight of one slot along its gradient, and compares the change of the loss with what the gradient says. */
static void check_slots(const vit_config *c, vit_train_options o, const char *what) {
    vit_model *model = model_of(c);
    o.rate = 0;
    vit_trainer *t = trainer_of(model, o);
    step(t, 0);
    for (int i = 0; i < t->model->slot_count; i++) {
        const vit_slot *slot = &t->model->slots[i];
        float *p = slot->held.f32, *copy = malloc(2 * slot->count * sizeof *copy), *direction = copy + slot->count;
        double squares = 0;
        memcpy(copy, p, slot->count * sizeof *p);
        for (size_t j = 0; j < slot->count; j++) {
            direction[j] = vit_gradient(t, p)[j];
            squares += (double)direction[j] * direction[j];
        }
        double loss[2];
        const double h = 4e-3 / sqrt(squares + 1e-12);
        for (int side = 0; side < 2; side++) {
            for (size_t j = 0; j < slot->count; j++)
                p[j] = copy[j] + (float)((side ? h : -h) * direction[j]);
            t->batches = 0; /* the same dropout, the same corruption */
            loss[side] = step(t, 0).loss;
        }
        memcpy(p, copy, slot->count * sizeof *p);
        t->batches = 0;
        step(t, 0);
        const double slope = (loss[1] - loss[0]) / (2 * h);
        if (!CHECK(fabs(slope - squares) <= 2e-2 * squares + 2e-4 * sqrt(squares)))
            printf("%s: %s: the loss moves by %g, its gradient says %g\n", what, slot->name, slope, squares);
        free(copy);
    }
    vit_trainer_close(t);
    vit_model_close(model);
}

#endif
