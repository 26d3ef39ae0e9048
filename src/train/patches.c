/* Masked patch prediction (appendix B.1.2): which patches are corrupted and how, the head over their tokens, its loss and
 * its gradients. A patch that gets another's embedding takes its pixels, which is the same, so the gradient flows to
 * them. The head works on `chunk` tokens at a time, since there may be 8192 scores of each. */
#include "trainer.h"

#include "../base/rng.h"

#include <math.h>
#include <string.h>

/* ---- Corruption ---- */

/* Another patch of 0..count-1 than `patch`; the same one where there is no other. */
static int another(uint64_t key, int patch, int count) {
    return count > 1 ? (patch + 1 + (int)vit_random_below(key, (uint64_t)patch, (uint32_t)(count - 1))) % count : patch;
}

static void corrupt_images(void *context, int begin, int end, int thread) {
    const vit_trainer *t = context;
    const vit_train_options *o = &t->options;
    const vit_config *c = &t->model->config;
    const int n = t->patches, visible = vit_visible_patches(n, o->corrupt);
    const size_t pixels = (size_t)c->image_height * (size_t)c->image_width * 3;
    float *noise = vit_scratch(t, thread);
    for (int image = begin; image < end; image++) {
        const uint64_t batch = vit_random_key(vit_random_key(o->seed, vit_random_stream("corruption")), (uint64_t)t->batches),
                       key = vit_random_key(batch, (uint64_t)image), others = vit_random_key(key, 1);
        uint8_t *kinds = t->kinds + (size_t)image * (size_t)n;
        vit_colors_from_pixels(&c->preprocess, t->input + (size_t)image * pixels, pixels, t->rgb + (size_t)image * pixels);
        if (vit_color_cells(c))
            vit_patch_colors(c, t->rgb + (size_t)image * pixels, c->image_height, c->image_width, vit_color_cells(c),
                             t->labels + (size_t)image * (size_t)n * (size_t)t->cells);
        if (t->corruption_is_given)
            continue;
        vit_patch_noise(key, noise, n);
        vit_hide_by_noise(noise, n, visible, kinds);
        for (int patch = 0; patch < n; patch++) {
            const float chance = vit_random_unit(key, (uint64_t)(n + patch));
            t->sources[(size_t)image * (size_t)n + (size_t)patch] = another(others, patch, n);
            if (kinds[patch])
                kinds[patch] = chance < o->corrupt_masked                         ? VIT_PATCH_MASKED
                               : chance < o->corrupt_masked + o->corrupt_swapped ? VIT_PATCH_SWAPPED
                                                                                 : VIT_PATCH_KEPT;
        }
    }
}

void vit_corrupt(vit_trainer *t) {
    vit_team_run(t->team, t->options.batch, 1, corrupt_images, t);
    t->chosen_count = 0;
    for (int i = 0; i < t->options.batch * t->patches; i++)
        if (t->kinds[i])
            t->chosen[t->chosen_count++] = i;
}

int vit_patch_source(const vit_trainer *t, int lane) {
    const int patch = lane % t->tokens - t->prefix, at = lane / t->tokens * t->patches + patch;
    if (!t->kinds || patch < 0 || t->kinds[at] == VIT_PATCH_WHOLE || t->kinds[at] == VIT_PATCH_KEPT)
        return patch;
    return t->kinds[at] == VIT_PATCH_SWAPPED ? t->sources[at] : -1;
}

/* Channels: what has gone to the patches' bias for tokens that are the mask token is the mask token's. */
static void mask_channels(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_weights *w = &t->model->weights;
    const int r = t->kernels->panel, width = t->model->config.width;
    for (int d = begin; d < end; d++) {
        double sum = 0;
        for (int i = 0; i < t->chosen_count; i++) {
            const int lane = t->chosen[i] / t->patches * t->tokens + t->prefix + t->chosen[i] % t->patches;
            if (t->kinds[t->chosen[i]] == VIT_PATCH_MASKED)
                sum += vit_panel(t, t->dx[0], width, lane / r)[d * r + lane % r];
        }
        vit_gradient(t, w->mask_token)[d] += (float)sum;
        if (w->patch_bias)
            vit_gradient(t, w->patch_bias)[d] -= (float)sum;
    }
}

void vit_mask_token_backward(vit_trainer *t) {
    vit_team_run(t->team, t->model->config.width, 16, mask_channels, t);
}

/* ---- The head ---- */

int vit_patch_chunk(const vit_config *c, int panel) {
    const int lanes = vit_prediction_values(c) > 2048 ? 512 : 2048;
    return lanes / panel;
}

/* Chosen patches from `first` on, in panels of their own. */
struct head_job {
    vit_trainer *trainer;
    const float *tokens; /* panels of D: of all tokens */
    float *dtokens;      /* the same */
    int first, count;
    double scale;
};

/* Cross-entropies with the labels of one lane, of probabilities p [cells * 512] at a stride of r, which become gradients.
 * scores: highest [cells] and true [cells] ones before softmax. Returns their sum. */
static double color_loss(float *p, int r, int cells, const int32_t *labels, const float *highest, const float *actual,
                         double scale, int *right) {
    double loss = 0;
    for (int cell = 0; cell < cells; cell++, p += VIT_COLORS * r) {
        int best = 0;
        for (int i = 1; i < VIT_COLORS; i++)
            best = p[i * r] > p[best * r] ? i : best;
        loss += highest[cell] - actual[cell] - log((double)p[best * r]);
        *right += best == labels[cell];
        for (int i = 0; i < VIT_COLORS; i++)
            p[i * r] = (float)(scale * (p[i * r] - (i == labels[cell])));
    }
    return loss;
}

/* Squared differences to the pixels of a patch, row, column, channel; y, at a stride of r, becomes their gradient. */
static double pixel_loss(const vit_trainer *t, float *y, int r, int chosen, double scale, int *right) {
    const vit_config *c = &t->model->config;
    const int patch = chosen % t->patches, row = 3 * c->patch_width;
    const size_t stride = (size_t)c->image_width * 3;
    const size_t corner = (size_t)(chosen / t->patches) * (size_t)c->image_height * stride +
                          (size_t)(patch / t->columns * c->patch_height) * stride +
                          (size_t)(patch % t->columns * row);
    double loss = 0, found[3] = {0}, actual[3] = {0};
    for (int i = 0; i < row * c->patch_height; i++, y += r) {
        const float *pixel = t->input + corner + (size_t)(i / row) * stride + (size_t)(i % row);
        const double difference = (double)*y - *pixel;
        found[i % 3] += *y;
        actual[i % 3] += *pixel;
        loss += difference * difference;
        *y = (float)(2 * scale * difference);
    }
    for (int channel = 0; channel < 3; channel++) {
        const double scale_back = (double)c->preprocess.std[channel] / (c->patch_height * c->patch_width),
                     mean = c->preprocess.mean[channel];
        found[channel] = (found[channel] * scale_back + mean) * 255;
        actual[channel] = (actual[channel] * scale_back + mean) * 255;
    }
    *right += vit_color_label(found) == vit_color_label(actual);
    return loss;
}

/* A panel of predictions of chosen patches becomes their gradient; losses [patch] are stored. */
static void panel_loss(const struct head_job *job, int panel, float *y, float *scores) {
    vit_trainer *t = job->trainer;
    const int r = t->kernels->panel, cells = vit_color_cells(&t->model->config) ? t->cells : 0;
    for (int lane = 0; lane < r && cells; lane++) {
        const int i = job->first + panel * r + lane;
        const int32_t *labels = t->labels + (size_t)(i < t->chosen_count ? t->chosen[i] : 0) * (size_t)cells;
        for (int cell = 0; cell < cells; cell++) {
            const float *z = y + (size_t)(cell * VIT_COLORS * r) + lane;
            float *highest = scores + (size_t)(2 * lane * cells + cell);
            highest[0] = z[0];
            for (int k = 1; k < VIT_COLORS; k++)
                highest[0] = z[k * r] > highest[0] ? z[k * r] : highest[0];
            highest[cells] = z[labels[cell] * r];
        }
    }
    for (int cell = 0; cell < cells; cell++)
        t->train->softmax(y + (size_t)(cell * VIT_COLORS * r), VIT_COLORS, 1);
    for (int lane = 0; lane < r; lane++) {
        const int i = job->first + panel * r + lane, values = vit_prediction_values(&t->model->config);
        if (i >= job->first + job->count) {
            for (int k = 0; k < values; k++)
                y[k * r + lane] = 0;
            continue;
        }
        const float *highest = scores + (size_t)(2 * lane * cells);
        const int32_t *labels = t->labels + (size_t)t->chosen[i] * (size_t)cells;
        t->patch_right[i] = 0;
        t->patch_loss[i] = cells ? color_loss(y + lane, r, cells, labels, highest, highest + cells, job->scale, &t->patch_right[i])
                                 : pixel_loss(t, y + lane, r, t->chosen[i], job->scale, &t->patch_right[i]);
    }
}

/* Lanes of the chosen patches: to panels of their own, or back. */
static void move_lanes(const struct head_job *job, int panel, int back) {
    const vit_trainer *t = job->trainer;
    const int r = t->kernels->panel, width = t->model->config.width;
    for (int lane = 0; lane < r; lane++) {
        const int i = job->first + panel * r + lane, exists = i < job->first + job->count;
        const int token = exists ? t->chosen[i] / t->patches * t->tokens + t->prefix + t->chosen[i] % t->patches : 0;
        const float *from = vit_panel(t, (float *)job->tokens, width, token / r) + token % r;
        float *own = vit_panel(t, back ? t->chunk_dx : t->chunk_x, width, panel) + lane;
        float *to = vit_panel(t, job->dtokens, width, token / r) + token % r;
        for (int d = 0; d < width; d++)
            if (!back)
                own[d * r] = exists ? from[d * r] : 0;
            else if (exists)
                to[d * r] = own[d * r];
    }
}

static void head_panels(void *context, int begin, int end, int thread) {
    const struct head_job *job = context;
    vit_trainer *t = job->trainer;
    const vit_weights *w = &t->model->weights;
    const int width = t->model->config.width, values = vit_prediction_values(&t->model->config);
    float *y = vit_panel(t, t->chunk_y, values, begin);
    for (int p = begin; p < end; p++)
        move_lanes(job, p, 0);
    vit_train_linear(t, vit_panel(t, t->chunk_x, width, begin), width, w->prediction_weight, w->prediction_bias, width,
                     values, end - begin, VIT_EPILOGUE_STORE, y);
    for (int p = begin; p < end; p++)
        panel_loss(job, p, vit_panel(t, t->chunk_y, values, p), vit_scratch(t, thread));
    vit_train_linear_backward(t, y, w->prediction_weight, width, values, end - begin, width,
                              vit_panel(t, t->chunk_dx, width, begin));
    for (int p = begin; p < end; p++)
        move_lanes(job, p, 1);
}

double vit_patch_loss_backward(vit_trainer *t, double scale, vit_train_result *result) {
    enum { TOGETHER = 4 }; /* panels, whose weights are read once */
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    const int r = t->kernels->panel, chunk = vit_patch_chunk(c, r) * r, values = vit_prediction_values(c);
    const double terms = (double)t->chosen_count * (vit_color_cells(c) ? t->cells : values);
    struct head_job job = {t, vit_final_norm(t), c->final_norm ? t->dx[1] : t->dx[0], 0, 0, scale / terms};
    double loss = 0;
    memset(job.dtokens, 0, vit_panel_bytes(t, c->width, t->panels));
    for (; job.first < t->chosen_count; job.first += job.count) {
        job.count = t->chosen_count - job.first < chunk ? t->chosen_count - job.first : chunk;
        const int panels = (job.count + r - 1) / r;
        vit_team_run(t->team, panels, TOGETHER, head_panels, &job);
        const vit_product product = {t->chunk_y, t->chunk_x, vit_gradient(t, w->prediction_weight), values, c->width,
                                     job.count, 0};
        vit_products(t, &product, 1);
        t->train->sum_tokens(t->chunk_y, values, vit_gradient(t, w->prediction_bias), 0, panels);
    }
    vit_final_norm_backward(t);
    for (int i = 0; i < t->chosen_count; i++) {
        loss += t->patch_loss[i];
        result->correct += t->patch_right[i];
    }
    result->predictions = t->chosen_count * (vit_color_cells(c) ? t->cells : 1);
    return t->chosen_count ? loss / terms : 0;
}
