/* Optimisers and schedules. Parameters are one array, cut into pieces that threads share. */
#include "trainer.h"

#include "../base/half.h"

#include <math.h>
#include <string.h>

#define PIECE 32768 /* parameters */

/* A weight of a linear layer or convolution: what weight decay is meant for. */
static int is_kernel(const vit_slot *slot) {
    const size_t length = strlen(slot->name);
    return slot->rank >= 2 && length > 7 && strcmp(slot->name + length - 7, ".weight") == 0;
}

/* Up to the end of a part of the name: blocks.1 is not blocks.10. */
static int begins_with(const char *name, const char *beginning, size_t length) {
    return strncmp(name, beginning, length) == 0 && (strchr("._", name[length]) || (length && strchr("._", beginning[length - 1])));
}

static int is_frozen(const char *freeze, const char *name) {
    while (freeze && *freeze) {
        const size_t length = strcspn(freeze, ",");
        if (length && begins_with(name, freeze, length))
            return 1;
        freeze += length + (freeze[length] == ',');
    }
    return 0;
}

vit_status vit_train_check_freeze(const vit_model *model, const char *freeze, vit_error *error) {
    for (const char *rest = freeze; rest && *rest;) {
        const size_t length = strcspn(rest, ",");
        int i = 0;
        while (i < model->slot_count && !begins_with(model->slots[i].name, rest, length))
            i++;
        if (length && i == model->slot_count)
            return vit_fail(error, VIT_ERR_ARGUMENT, "freeze: no weight's name begins with \"%.*s\"",
                            (int)(length < 100 ? length : 100), rest);
        rest += length + (rest[length] == ',');
    }
    int frozen = 0, is_zero_head = 0;
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        size_t zeros = 0;
        if (!is_frozen(freeze, slot->name))
            continue;
        frozen++;
        while (slot->held.f32 == model->weights.head_weight && zeros < slot->count && slot->held.f32[zeros] == 0)
            zeros++;
        is_zero_head |= zeros == slot->count;
    }
    if (frozen == model->slot_count)
        return vit_fail(error, VIT_ERR_ARGUMENT, "freeze: nothing is left to train");
    if (is_zero_head)
        return vit_fail(error, VIT_ERR_ARGUMENT, "freeze: the head is new: all of its weights are 0, and nothing would learn through it");
    return VIT_OK;
}

void vit_make_pieces(vit_trainer *t) {
    t->piece_count = 0;
    for (int i = 0; i < t->model->slot_count; i++) {
        const vit_slot *slot = &t->model->slots[i];
        for (size_t begin = 0; begin < slot->count; begin += PIECE, t->piece_count++)
            if (t->pieces)
                t->pieces[t->piece_count] = (vit_piece){
                    .begin = (size_t)(slot->held.f32 - t->parameters) + begin,
                    .count = slot->count - begin < PIECE ? slot->count - begin : PIECE,
                    .decays = !t->options.decay_matrices || is_kernel(slot),
                    .frozen = is_frozen(t->options.freeze, slot->name),
                };
    }
}

int vit_first_trained(const vit_trainer *t) {
    const int layers = t->model->config.layers;
    int layer = -1;
    for (int i = 0; i < t->model->slot_count; i++) {
        const vit_slot *slot = &t->model->slots[i];
        if (strncmp(slot->name, "blocks.", 7) == 0) {
            layer = 0;
            for (const char *digit = slot->name + 7; *digit != '.'; digit++)
                layer = 10 * layer + *digit - '0';
        } else if (layer >= 0) { /* what follows the layers */
            return layers;
        }
        if (!is_frozen(t->options.freeze, slot->name))
            return layer;
    }
    return layers;
}

static void square_pieces(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_trainer *t = context;
    for (int i = begin; i < end; i++) {
        vit_piece *piece = &t->pieces[i];
        const float *g = t->gradients + piece->begin;
        double sum[4] = {0};
        for (size_t j = 0; j < piece->count; j++)
            sum[j % 4] += (double)g[j] * g[j];
        piece->squares = piece->frozen ? 0 : sum[0] + sum[1] + sum[2] + sum[3];
    }
}

double vit_gradient_norm(vit_trainer *t) {
    double sum = 0;
    vit_team_run(t->team, t->piece_count, 1, square_pieces, t);
    for (int i = 0; i < t->piece_count; i++)
        sum += t->pieces[i].squares;
    return sqrt(sum);
}

/* 0 to 1. The first update has 0 where there is a warm-up, as optax counts. */
static double schedule(const vit_train_options *o, int64_t update) {
    const double warm = o->warmup && update < o->warmup ? (double)update / (double)o->warmup : 1;
    double progress = o->updates > o->warmup ? (double)(update - o->warmup) / (double)(o->updates - o->warmup) : 0;
    progress = progress < 0 ? 0 : progress > 1 ? 1 : progress;
    const double end = o->rate > 0 ? o->final_rate / o->rate : 0;
    switch (o->schedule) {
    case VIT_SCHEDULE_LINEAR: return warm * (end + (1 - end) * (1 - progress));
    case VIT_SCHEDULE_COSINE: return warm * (end + (1 - end) * 0.5 * (1 + cos(3.14159265358979323846 * progress)));
    default: return warm;
    }
}

double vit_train_rate(const vit_train_options *options, int64_t update) {
    return options->rate * schedule(options, update);
}

struct update_job {
    vit_trainer *trainer;
    float gradient_scale, gradient_decay; /* of clipping; of parameters into the gradient */
    float rate, decay;                    /* of the direction; of the parameters */
    float correction1, correction2;       /* of Adam's moments */
};

static void adam(const struct update_job *job, const vit_piece *piece) {
    const vit_trainer *t = job->trainer;
    const vit_train_options *o = &t->options;
    float *restrict p = t->parameters + piece->begin, *restrict m = t->first + piece->begin;
    float *restrict v = t->second + piece->begin;
    const float *restrict g = t->gradients + piece->begin;
    const float decay = piece->decays ? job->decay : 0, coupled = piece->decays ? job->gradient_decay : 0;
    for (size_t i = 0; i < piece->count; i++) {
        const float gradient = g[i] * job->gradient_scale + coupled * p[i];
        m[i] = o->beta1 * m[i] + (1 - o->beta1) * gradient;
        v[i] = o->beta2 * v[i] + (1 - o->beta2) * gradient * gradient;
        p[i] = p[i] - decay * p[i] -
               job->rate * (m[i] * job->correction1 / (sqrtf(v[i] * job->correction2) + o->epsilon));
    }
}

static float bf16(float value) {
    return vit_f32_from_bf16(vit_bf16_from_f32(value));
}

/* With momentum in bfloat16 the product is rounded to it as well (optax.trace). */
static void sgd(const struct update_job *job, const vit_piece *piece) {
    const vit_trainer *t = job->trainer;
    float *restrict p = t->parameters + piece->begin, *restrict v = t->first + piece->begin;
    const float *restrict g = t->gradients + piece->begin;
    const float decay = piece->decays ? job->decay : 0, coupled = piece->decays ? job->gradient_decay : 0;
    const float momentum = t->options.momentum_bf16 ? bf16(t->options.momentum) : t->options.momentum;
    for (size_t i = 0; i < piece->count; i++) {
        const float product = momentum * v[i];
        const float velocity = g[i] * job->gradient_scale + coupled * p[i] +
                               (t->options.momentum_bf16 ? bf16(product) : product);
        p[i] = p[i] - decay * p[i] - job->rate * velocity;
        v[i] = t->options.momentum_bf16 ? bf16(velocity) : velocity;
    }
}

static void update_pieces(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct update_job *job = context;
    const vit_trainer *t = job->trainer;
    for (int i = begin; i < end; i++) {
        const vit_piece *piece = &t->pieces[i];
        if (piece->frozen)
            continue;
        (t->options.optimizer == VIT_OPTIMIZER_ADAM ? adam : sgd)(job, piece);
        if (!t->average)
            continue;
        const float *p = t->parameters + piece->begin, keep = (float)t->options.polyak,
                    take = 1 - keep; /* exactly: or the average of what stays would not */
        float *average = t->average->slots[0].held.f32 + piece->begin;
        for (size_t j = 0; j < piece->count; j++)
            average[j] = keep * average[j] + take * p[j];
    }
}

void vit_update(vit_trainer *t, double norm) {
    const vit_train_options *o = &t->options;
    const double part = schedule(o, t->updates), rate = o->rate * part, count = (double)t->updates + 1;
    struct update_job job = {
        .trainer = t,
        .gradient_scale = o->clip_norm > 0 && norm >= o->clip_norm ? (float)(o->clip_norm / norm) : 1,
        .gradient_decay = o->decay == VIT_DECAY_GRADIENT ? o->weight_decay : 0,
        .rate = (float)rate,
        .decay = o->decay == VIT_DECAY_RATE       ? (float)(rate * o->weight_decay)
                 : o->decay == VIT_DECAY_SCHEDULE ? (float)(part * o->weight_decay)
                                                  : 0,
        .correction1 = (float)(1 / (1 - pow(o->beta1, count))),
        .correction2 = (float)(1 / (1 - pow(o->beta2, count))),
    };
    vit_team_run(t->team, t->piece_count, 1, update_pieces, &job);
    t->updates++;
}
