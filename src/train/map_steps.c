/* Gradients of group norm and pooling. */
#include "convnet.h"

#include <math.h>
#include <string.h>

struct step_job {
    vit_trainer *trainer;
    const vit_map_step *step;
};

/* ---- Group norm ---- */

/* Work items: image, group. */
static void normalize_items(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct step_job *job = context;
    vit_trainer *t = job->trainer;
    const vit_map_step *step = job->step;
    const vit_map *maps = t->convnet->maps, *x = &maps[step->x], *y = &maps[step->y];
    const int groups = vit_norm_groups(&t->model->config.resnet);
    for (int item = begin; item < end; item++) {
        const size_t image = (size_t)(item / groups), at = image * vit_map_floats(t, x);
        const vit_group_backward b = {
            .x = x->value + at,
            .y = step->relu ? y->value + at : NULL,
            .gain = step->gain,
            .dy = y->gradient + at,
            .dx = x->gradient + at,
            .dresidual = step->residual < 0 ? NULL : maps[step->residual].gradient + at,
            .sums = t->convnet->norm_sums + image * 2 * (size_t)x->channels,
            .channels = x->channels,
            .groups = groups,
            .tokens = x->height * x->width,
            .eps = vit_resnet_rules_of(t->model->config.resnet.kind)->norm_eps,
            .adds = step->adds,
            .residual_adds = step->residual_adds,
        };
        t->train->groupnorm_backward(&b, item % groups, item % groups + 1);
    }
}

void vit_normalize_backward(vit_trainer *t, const vit_map_step *step) {
    struct step_job job = {t, step};
    const int channels = t->convnet->maps[step->x].channels;
    float *dgain = vit_gradient(t, step->gain), *dbias = vit_gradient(t, step->bias);
    vit_team_run(t->team, t->options.batch * vit_norm_groups(&t->model->config.resnet), 4, normalize_items, &job);
    for (int image = 0; image < t->options.batch; image++) {
        const float *sums = t->convnet->norm_sums + (size_t)image * 2 * (size_t)channels;
        for (int c = 0; c < channels; c++) {
            dgain[c] += sums[c];
            dbias[c] += sums[channels + c];
        }
    }
}

/* ---- Max-pool: the gradient goes to the first pixel of a window that is its largest ---- */

/* Work items: images. */
static void pool_images(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct step_job *job = context;
    vit_trainer *t = job->trainer;
    const vit_windows *w = &job->step->windows;
    const vit_map *x = &t->convnet->maps[job->step->x], *y = &t->convnet->maps[job->step->y];
    const int r = t->kernels->panel, windows = w->out_height * w->out_width;
    const float outside = vit_resnet_rules_of(t->model->config.resnet.kind)->pool_outside;
    for (int image = begin; image < end; image++) {
        const float *values = x->value + (size_t)image * vit_map_floats(t, x);
        const float *dy = y->gradient + (size_t)image * vit_map_floats(t, y);
        float *dx = x->gradient + (size_t)image * vit_map_floats(t, x);
        memset(dx, 0, vit_map_floats(t, x) * sizeof *dx);
        for (int p = 0; p * r < windows; p++) {
            vit_place places[VIT_MOST_TAPS];
            const int taps = vit_find_places(w, x->channels, p, r, places);
            for (int c = 0; c < x->channels; c++, dy += r)
                for (int lane = 0; lane < r && p * r + lane < windows; lane++) {
                    const float *from = values + c * r;
                    float most = -INFINITY;
                    ptrdiff_t chosen = -1;
                    for (int tap = 0; tap < taps; tap++) {
                        const int is_missing = (int)(places[tap].missing >> lane & 1);
                        const float value = is_missing ? outside : from[places[tap].at[lane]];
                        if (value > most) {
                            most = value;
                            chosen = is_missing ? -1 : places[tap].at[lane];
                        }
                    }
                    if (chosen >= 0)
                        dx[c * r + chosen] += dy[lane];
                }
        }
    }
}

void vit_pool_backward(vit_trainer *t, const vit_map_step *step) {
    struct step_job job = {t, step};
    vit_team_run(t->team, t->options.batch, 1, pool_images, &job);
}
