/* Position embeddings (appendix D.4) and what else a token has of its own: for an input or a layer, a table [T,D] is
 * made of the parameters and added to every image's tokens; its gradient, summed over the images, is theirs. Relative
 * positions are attention's (attention.c). */
#include "trainer.h"

#include "../model/posemb.h"

#include <string.h>

int vit_has_table(const vit_config *c) {
    return c->pos_kind != VIT_POS_NONE && c->pos_kind != VIT_POS_RELATIVE;
}

/* Of a layer with tables of its own, else of the network. */
static vit_tables tables_of(const vit_trainer *t, int layer) {
    return vit_tables_of(&t->model->weights, t->model->config.pos_placement == VIT_POS_LAYERS ? layer : -1);
}

void vit_make_positions(vit_trainer *t, int layer) {
    const vit_config *c = &t->model->config;
    const vit_tables from = tables_of(t, layer);
    const size_t width = (size_t)c->width, half = width / 2;
    const int first = vit_pos_prefix(c);
    memset(t->positions, 0, (size_t)t->tokens * width * sizeof(float));
    if (c->pos_kind == VIT_POS_SINCOS2D) {
        vit_posemb_sincos(t->patches / t->columns, t->columns, c->width, t->positions + (size_t)t->prefix * width);
        return;
    }
    if (first)
        memcpy(t->positions, c->pos_kind == VIT_POS_1D ? from.embed : from.cls, (size_t)first * width * sizeof(float));
    for (int patch = 0; patch < t->patches; patch++) {
        float *out = t->positions + (size_t)(t->prefix + patch) * width;
        const int row = patch / t->columns, column = patch % t->columns;
        if (c->pos_kind == VIT_POS_1D) {
            memcpy(out, from.embed + (size_t)(first + patch) * width, width * sizeof *out);
        } else {
            memcpy(out, from.x + (size_t)column * half, half * sizeof *out);
            memcpy(out + half, from.y + (size_t)row * half, half * sizeof *out);
        }
    }
}

void vit_add_positions(const vit_trainer *t, vit_span s, float *x) {
    const int r = t->kernels->panel, width = t->model->config.width;
    for (int p = 0; p < s.count; p++)
        for (int lane = 0; lane < r && (s.begin + p) * r + lane < t->lanes; lane++) {
            const float *position = t->positions + (size_t)(((s.begin + p) * r + lane) % t->tokens) * (size_t)width;
            float *at = vit_panel(t, x, width, p) + lane;
            for (int d = 0; d < width; d++, at += r)
                *at += position[d];
        }
}

/* ---- Gradients ---- */

struct sum_job {
    const vit_trainer *trainer;
    const float *dx;
};

/* Channels [begin,end) of dpositions: tokens of all images added up. */
static void sum_channels(void *context, int begin, int end, int thread) {
    const struct sum_job *job = context;
    const vit_trainer *t = job->trainer;
    const int r = t->kernels->panel, channels = end - begin, width = t->model->config.width;
    const size_t count = (size_t)t->tokens * (size_t)channels;
    float *sum = vit_scratch(t, thread), *rows = sum + count;
    memset(sum, 0, count * sizeof *sum);
    for (int image = 0; image < t->options.batch; image++) {
        const int lane = image * t->tokens;
        const vit_transfer part = {.panels = vit_panel(t, (float *)job->dx, width, lane / r) + begin * r,
                                   .stride = (ptrdiff_t)width * r, .rows = rows, .row_stride = channels,
                                   .first = lane % r, .tokens = t->tokens, .channels = channels};
        t->train->to_rows(&part);
        for (size_t i = 0; i < count; i++)
            sum[i] += rows[i];
    }
    for (int token = 0; token < t->tokens; token++)
        memcpy(t->dpositions + (size_t)token * (size_t)width + begin, sum + (size_t)token * (size_t)channels,
               (size_t)channels * sizeof *sum);
}

static void accumulate(const vit_trainer *t, const float *parameter, size_t row, const float *from, size_t count) {
    float *gradient = vit_gradient(t, parameter) + row * count;
    for (size_t i = 0; i < count; i++)
        gradient[i] += from[i];
}

/* dpositions to the tables. */
static void add_to_tables(const vit_trainer *t, int layer) {
    const vit_config *c = &t->model->config;
    const vit_tables to = tables_of(t, layer);
    const size_t width = (size_t)c->width, half = width / 2;
    const int first = vit_pos_prefix(c);
    if (c->pos_kind == VIT_POS_SINCOS2D)
        return;
    for (int token = 0; token < first; token++)
        accumulate(t, c->pos_kind == VIT_POS_1D ? to.embed : to.cls, (size_t)token,
                   t->dpositions + (size_t)token * width, width);
    for (int patch = 0; patch < t->patches; patch++) {
        const float *from = t->dpositions + (size_t)(t->prefix + patch) * width;
        if (c->pos_kind == VIT_POS_1D) {
            accumulate(t, to.embed, (size_t)(first + patch), from, width);
        } else {
            accumulate(t, to.x, (size_t)(patch % t->columns), from, half);
            accumulate(t, to.y, (size_t)(patch / t->columns), from + half, half);
        }
    }
}

static void sum_images(vit_trainer *t, const float *dx) {
    struct sum_job job = {t, dx};
    vit_team_run(t->team, t->model->config.width, t->kernels->panel, sum_channels, &job);
}

void vit_positions_backward(vit_trainer *t, int layer, const float *dx) {
    sum_images(t, dx);
    add_to_tables(t, layer);
}

void vit_tokens_backward(vit_trainer *t, const float *dx) {
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    const size_t width = (size_t)c->width;
    sum_images(t, dx);
    for (int token = 0; token < t->tokens; token++) {
        const float *from = t->dpositions + (size_t)token * width;
        if (token < c->class_token)
            accumulate(t, w->class_token, 0, from, width);
        else if (token < t->prefix)
            accumulate(t, w->registers, (size_t)(token - c->class_token), from, width);
        else if (w->patch_bias)
            accumulate(t, w->patch_bias, 0, from, width);
    }
    if (vit_has_table(c) && c->pos_placement == VIT_POS_INPUT)
        add_to_tables(t, 0);
}
