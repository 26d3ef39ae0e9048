/* Gradients of group norm and pooling. */
#include "convnet.h"

#include <string.h>

struct step_job {
    const vit_images *images;
    const vit_map_step *step;
};

/* ---- Group norm ---- */

/* Work items: image, group. */
static void normalize_items(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct step_job *job = context;
    const vit_trainer *t = job->images->trainer;
    const vit_map_step *step = job->step;
    const vit_map *maps = t->convnet->maps, *x = &maps[step->x], *y = &maps[step->y];
    const int groups = vit_norm_groups(&t->model->config.resnet);
    for (int item = begin; item < end; item++) {
        const size_t image = (size_t)(job->images->begin + item / groups), at = image * vit_map_floats(t, x);
        const vit_group_backward b = {
            .x = x->value + at,
            .y = step->relu ? y->value + at : NULL,
            .statistics = step->statistics + 2 * image * (size_t)groups,
            .gain = step->gain,
            .dy = y->gradient + at,
            .dx = x->gradient + at,
            .dresidual = step->residual < 0 ? NULL : maps[step->residual].gradient + at,
            .sums = t->convnet->image_sums + image * t->convnet->image_sums_stride,
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

void vit_normalize_backward(const vit_images *images, const vit_map_step *step) {
    struct step_job job = {images, step};
    const vit_trainer *t = images->trainer;
    const size_t count = 2 * (size_t)t->convnet->maps[step->x].channels;
    float *sums = step->sums + (size_t)images->group * count;
    vit_team_run(images->team, (images->end - images->begin) * vit_norm_groups(&t->model->config.resnet), 4,
                 normalize_items, &job);
    if (!images->adds)
        memset(sums, 0, count * sizeof *sums);
    for (int image = images->begin; image < images->end; image++)
        for (size_t i = 0; i < count; i++)
            sums[i] += t->convnet->image_sums[(size_t)image * t->convnet->image_sums_stride + i];
}

void vit_normalize_gradients(vit_trainer *t, const vit_map_step *step) {
    const int channels = t->convnet->maps[step->x].channels;
    float *dgain = vit_gradient(t, step->gain), *dbias = vit_gradient(t, step->bias);
    const float *sums = step->sums;
    for (int group = 0; group < t->convnet->groups; group++, sums += 2 * channels)
        for (int c = 0; c < channels; c++) {
            dgain[c] += sums[c];
            dbias[c] += sums[channels + c];
        }
}

/* ---- Max-pool: the gradient goes to the first pixel of a window that is its largest ---- */

/* Work items: images. */
static void pool_images(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct step_job *job = context;
    const vit_trainer *t = job->images->trainer;
    const vit_windows *w = &job->step->windows;
    const vit_map *x = &t->convnet->maps[job->step->x], *y = &t->convnet->maps[job->step->y];
    const int r = t->kernels->panel, windows = w->out_height * w->out_width;
    const float outside = vit_resnet_rules_of(t->model->config.resnet.kind)->pool_outside;
    for (int image = job->images->begin + begin; image < job->images->begin + end; image++) {
        const float *values = x->value + (size_t)image * vit_map_floats(t, x);
        const float *most = y->value + (size_t)image * vit_map_floats(t, y);
        const float *dy = y->gradient + (size_t)image * vit_map_floats(t, y);
        float *dx = x->gradient + (size_t)image * vit_map_floats(t, x);
        memset(dx, 0, vit_map_floats(t, x) * sizeof *dx);
        for (int p = 0; p * r < windows; p++) {
            vit_place places[VIT_MOST_TAPS];
            const int taps = vit_find_places(w, x->channels, p, r, places);
            for (int c = 0; c < x->channels; c++, dy += r, most += r)
                for (int lane = 0; lane < r && p * r + lane < windows; lane++)
                    for (int tap = 0; tap < taps; tap++) {
                        const ptrdiff_t at = c * r + places[tap].at[lane];
                        const int is_missing = (int)(places[tap].missing >> lane & 1);
                        if ((is_missing ? outside : values[at]) != most[lane])
                            continue;
                        if (!is_missing)
                            dx[at] += dy[lane];
                        break;
                    }
        }
    }
}

void vit_pool_backward(const vit_images *images, const vit_map_step *step) {
    struct step_job job = {images, step};
    vit_team_run(images->team, images->end - images->begin, 1, pool_images, &job);
}
