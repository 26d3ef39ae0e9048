/* The ends of the network and their gradients: pixels to tokens with positions; tokens to one feature vector an image,
 * and to logits. */
#include "convnet.h"

#include <string.h>

/* ---- Input ---- */

/* The pixels of each patch in the order of the convolution's weight [3,P,P], 0 in lanes that are none. */
static void patch_panel(const vit_trainer *t, int panel, float *out) {
    const vit_config *c = &t->model->config;
    const int r = t->kernels->panel;
    const size_t image_pixels = (size_t)c->image_height * (size_t)c->image_width * 3;
    for (int lane = 0; lane < r; lane++) {
        const int token = panel * r + lane, patch = token < t->lanes ? vit_patch_source(t, token) : -1;
        float *at = out + lane;
        if (patch < 0) {
            for (int i = 0; i < 3 * c->patch_height * c->patch_width; i++, at += r)
                *at = 0;
            continue;
        }
        const float *corner = t->input + (size_t)(token / t->tokens) * image_pixels +
                              ((size_t)(patch / t->columns * c->patch_height) * (size_t)c->image_width +
                               (size_t)(patch % t->columns * c->patch_width)) * 3;
        for (int channel = 0; channel < 3; channel++)
            for (int y = 0; y < c->patch_height; y++) {
                const float *row = corner + (size_t)y * (size_t)c->image_width * 3 + channel;
                for (int x = 0; x < c->patch_width; x++, at += r)
                    *at = row[3 * x];
            }
    }
}

/* Where pixel i of a patch is in the first channel of the last map. */
static ptrdiff_t map_lane(const vit_trainer *t, int patch, int i) {
    const vit_config *c = &t->model->config;
    const vit_map_shape map = vit_convnet_shape(t);
    const int row = patch / t->columns * c->patch_height + i / c->patch_width, r = t->kernels->panel;
    const int pixel = row * map.width + patch % t->columns * c->patch_width + i % c->patch_width;
    return (ptrdiff_t)(pixel / r) * map.channels * r + pixel % r;
}

/* The same of the last map, with the weight [C,P,P]. */
static void map_patch_panel(const vit_trainer *t, int panel, float *out) {
    const vit_config *c = &t->model->config;
    const vit_map_shape map = vit_convnet_shape(t);
    const int r = t->kernels->panel, area = c->patch_height * c->patch_width;
    memset(out, 0, vit_panel_bytes(t, map.channels * area, 1));
    for (int lane = 0; lane < r; lane++) {
        const int token = panel * r + lane, patch = token < t->lanes ? vit_patch_source(t, token) : -1;
        for (int i = 0; i < area && patch >= 0; i++) {
            const float *from = vit_convnet_map(t, token / t->tokens) + map_lane(t, patch, i);
            float *to = out + i * r + lane;
            for (int channel = 0; channel < map.channels; channel++, from += r, to += area * r)
                *to = *from;
        }
    }
}

/* Work items: images. Gradients of patches to those of the map, whose pixels beyond the last patch get none. */
static void map_patches_backward(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_config *c = &t->model->config;
    const vit_map_shape map = vit_convnet_shape(t);
    const int r = t->kernels->panel, area = c->patch_height * c->patch_width;
    for (int image = begin; image < end; image++) {
        float *gradient = vit_convnet_gradient(t, image);
        memset(gradient, 0, map.floats * sizeof *gradient);
        for (int patch = 0; patch < t->patches; patch++) {
            const int token = image * t->tokens + t->prefix + patch;
            const float *panel = vit_panel(t, t->pixels, map.channels * area, token / r) + token % r;
            for (int i = 0; i < area; i++) {
                float *to = gradient + map_lane(t, patch, i);
                const float *from = panel + i * r;
                for (int channel = 0; channel < map.channels; channel++, to += r, from += area * r)
                    *to = *from;
            }
        }
    }
}

/* Tokens before the patches are put in their places; pad lanes become 0. */
static void put_tokens(const vit_trainer *t, int panel, float *x) {
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    const int r = t->kernels->panel;
    for (int lane = 0; lane < r; lane++) {
        const int token = (panel * r + lane) % t->tokens, is_pad = panel * r + lane >= t->lanes;
        const float *own = token < c->class_token ? w->class_token
                           : token < t->prefix    ? w->registers + (size_t)(token - c->class_token) * (size_t)c->width
                           : !is_pad && vit_patch_source(t, panel * r + lane) < 0 ? w->mask_token
                                                                                  : NULL;
        float *at = x + lane;
        for (int d = 0; d < c->width && (own || is_pad); d++, at += r)
            *at = is_pad ? 0 : own[d];
    }
}

static int patch_pixels(const vit_config *c) {
    return vit_resnet_channels(&c->resnet) * c->patch_height * c->patch_width;
}

/* Where tokens begin: before their norm, where there is one before the layers. */
static float *first_tokens(const vit_trainer *t) {
    return t->embedded ? t->embedded : t->kept[0].x;
}

static void input_blocks(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        float *pixels = vit_panel(t, t->pixels, patch_pixels(c), s.begin);
        float *x = vit_panel(t, first_tokens(t), c->width, s.begin);
        for (int p = 0; p < s.count; p++)
            (t->convnet ? map_patch_panel : patch_panel)(t, s.begin + p, vit_panel(t, pixels, patch_pixels(c), p));
        vit_train_linear(t, pixels, patch_pixels(c), w->patch_weight.f32, w->patch_bias, patch_pixels(c), c->width,
                         s.count, VIT_EPILOGUE_STORE, x);
        for (int p = 0; p < s.count; p++)
            put_tokens(t, s.begin + p, vit_panel(t, x, c->width, p));
        if (vit_has_table(c) && c->pos_placement == VIT_POS_INPUT)
            vit_add_positions(t, s, x);
        if (t->options.dropout > 0)
            vit_drop(t, VIT_SITE_POSITIONS, 0, x, c->width, s.begin, s.count);
        if (t->embedded)
            t->kernels->layernorm(x, w->pre_norm_weight, w->pre_norm_bias, c->norm_eps, c->width,
                                  vit_panel(t, t->kept[0].x, c->width, s.begin), 0, s.count);
    }
}

void vit_forward_input(vit_trainer *t) {
    if (t->model->config.network == VIT_NETWORK_BIT)
        return;
    if (vit_has_table(&t->model->config))
        vit_make_positions(t, 0);
    if (t->kinds)
        vit_corrupt(t);
    vit_team_run(t->team, t->blocks, 1, input_blocks, t);
}

/* Of the patches, over what they were. */
static void pixel_blocks_backward(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_config *c = &t->model->config;
    const int pixels = patch_pixels(c);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        vit_train_linear_backward(t, vit_panel(t, t->dx[0], c->width, s.begin), t->model->weights.patch_weight.f32,
                                  pixels, c->width, s.count, pixels, vit_panel(t, t->pixels, pixels, s.begin));
    }
}

static void drop_blocks(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const int width = t->model->config.width;
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        vit_drop(t, VIT_SITE_POSITIONS, 0, vit_panel(t, t->dx[0], width, s.begin), width, s.begin, s.count);
    }
}

/* dx = the gradient of LayerNorm(x)'s input, dnormed its output's. */
struct norm_job {
    const vit_trainer *trainer;
    const float *x, *gain;
    const float *dnormed;
    float *dx;
};

static void norm_backward_blocks(void *context, int begin, int end, int thread) {
    const struct norm_job *job = context;
    const vit_trainer *t = job->trainer;
    const int width = t->model->config.width;
    const vit_sums at = vit_sums_of(&t->model->config);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        float *sums = t->sums + (size_t)b * (size_t)at.count + at.norm1, *dx = vit_panel(t, job->dx, width, s.begin);
        memset(sums, 0, 2 * (size_t)width * sizeof *sums);
        memset(dx, 0, vit_panel_bytes(t, width, s.count));
        vit_norm_backward_panels(t, vit_panel(t, (float *)job->x, width, s.begin), job->gain,
                                 vit_panel(t, (float *)job->dnormed, width, s.begin), s.count, dx, sums,
                                 vit_scratch(t, thread), dx);
    }
}

/* Of a norm of all tokens that is not a layer's. */
static void norm_backward(vit_trainer *t, const float *x, const float *gain, const float *bias, const float *dnormed,
                          float *dx) {
    const int width = t->model->config.width, at = vit_sums_of(&t->model->config).norm1;
    struct norm_job job = {t, x, gain, dnormed, dx};
    vit_team_run(t->team, t->blocks, 1, norm_backward_blocks, &job);
    vit_add_sums(t, at, width, gain);
    vit_add_sums(t, at + width, width, bias);
}

void vit_backward_input(vit_trainer *t) {
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    if (c->network == VIT_NETWORK_BIT)
        return;
    if (t->embedded) {
        float *after = t->dx[0];
        norm_backward(t, t->embedded, w->pre_norm_weight, w->pre_norm_bias, after, t->dx[1]);
        t->dx[0] = t->dx[1];
        t->dx[1] = after;
    }
    if (t->options.dropout > 0)
        vit_team_run(t->team, t->blocks, 1, drop_blocks, t);
    const vit_product product = {t->dx[0], t->pixels, vit_gradient(t, w->patch_weight.f32), c->width,
                                 patch_pixels(c), t->lanes, 0};
    vit_products(t, &product, 1);
    vit_tokens_backward(t, t->dx[0]);
    if (t->kinds)
        vit_mask_token_backward(t);
    if (t->convnet) {
        vit_team_run(t->team, t->blocks, 1, pixel_blocks_backward, t);
        vit_team_run(t->team, t->options.batch, 1, map_patches_backward, t);
    }
}

/* ---- Pooling ---- */

static int is_bit(const vit_trainer *t) {
    return t->model->config.network == VIT_NETWORK_BIT;
}

/* Mean pooling takes the final norm of every token, class pooling only that of the class token, once it is apart. */
static int norms_tokens(const vit_trainer *t) {
    return !is_bit(t) && t->model->config.final_norm && t->model->config.pool != VIT_POOL_CLASS;
}

static int norms_class(const vit_trainer *t) {
    return !is_bit(t) && t->model->config.final_norm && t->model->config.pool == VIT_POOL_CLASS;
}

static void final_norm_blocks(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        t->kernels->layernorm(vit_panel(t, t->x, c->width, s.begin), w->norm_weight, w->norm_bias, c->norm_eps,
                              c->width, vit_panel(t, t->normed[0], c->width, s.begin), 0, s.count);
    }
}

/* Tokens of an image that pooling takes the mean of, as rows: the class token, or the patches. */
static vit_transfer pooled_tokens(const vit_trainer *t, int image, int is_class, float *panels, float *rows) {
    const vit_config *c = &t->model->config;
    const int r = t->kernels->panel;
    const int lane = image * t->tokens + (is_class ? 0 : t->prefix);
    return (vit_transfer){.panels = vit_panel(t, panels, c->width, lane / r), .stride = (ptrdiff_t)c->width * r,
                          .rows = rows, .row_stride = c->width, .first = lane % r,
                          .tokens = is_class ? 1 : t->patches, .channels = c->width};
}

static int pools(const vit_trainer *t, int is_class) {
    const vit_pool pool = t->model->config.pool;
    return pool == VIT_POOL_CLASS_MEAN || pool == (is_class ? VIT_POOL_CLASS : VIT_POOL_MEAN);
}

/* Of a BiT, whose last map is normed already. */
static void pool_maps(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_map_shape map = vit_convnet_shape(t);
    const vit_session workers = {.kernels = t->kernels};
    for (int image = begin; image < end; image++)
        vit_average_pool(&workers, vit_convnet_map(t, image), map.height * map.width, map.channels,
                         t->pooled_rows + (size_t)image * (size_t)map.channels, 1);
}

static void spread_maps(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_trainer *t = context;
    const vit_map_shape map = vit_convnet_shape(t);
    const int r = t->kernels->panel, pixels = map.height * map.width;
    for (int image = begin; image < end; image++) {
        const float *from = t->pooled_rows + (size_t)image * (size_t)map.channels;
        float *to = vit_convnet_gradient(t, image);
        for (int p = 0; p * r < pixels; p++)
            for (int c = 0; c < map.channels; c++, to += r)
                for (int lane = 0; lane < r; lane++)
                    to[lane] = p * r + lane < pixels ? from[c] / (float)pixels : 0;
    }
}

static void pool_images(void *context, int begin, int end, int thread) {
    const vit_trainer *t = context;
    const int width = t->model->config.width;
    float *rows = vit_scratch(t, thread), *panels = norms_tokens(t) ? t->normed[0] : t->x;
    float *out = t->pooled_rows + (size_t)begin * (size_t)vit_pooled_width(&t->model->config);
    for (int image = begin; image < end; image++)
        for (int is_class = 1; is_class >= 0; is_class--) {
            const vit_transfer tokens = pooled_tokens(t, image, is_class, panels, rows);
            if (!pools(t, is_class))
                continue;
            t->train->to_rows(&tokens);
            memcpy(out, rows, (size_t)width * sizeof *out);
            for (int token = 1; token < tokens.tokens; token++)
                for (int d = 0; d < width; d++)
                    out[d] += rows[(size_t)token * (size_t)width + (size_t)d];
            for (int d = 0; d < width; d++)
                out[d] /= (float)tokens.tokens;
            out += width;
        }
}

/* The gradient of pooled_rows, spread over the tokens of `out`, whose others are 0. */
struct spread_job {
    const vit_trainer *trainer;
    float *out;
};

static void spread_images(void *context, int begin, int end, int thread) {
    const struct spread_job *job = context;
    const vit_trainer *t = job->trainer;
    const int width = t->model->config.width;
    float *rows = vit_scratch(t, thread);
    const float *from = t->pooled_rows + (size_t)begin * (size_t)vit_pooled_width(&t->model->config);
    for (int image = begin; image < end; image++)
        for (int is_class = 1; is_class >= 0; is_class--) {
            const vit_transfer tokens = pooled_tokens(t, image, is_class, job->out, rows);
            if (!pools(t, is_class))
                continue;
            for (int token = 0; token < tokens.tokens; token++)
                for (int d = 0; d < width; d++)
                    rows[(size_t)token * (size_t)width + (size_t)d] = from[d] / (float)tokens.tokens;
            t->train->to_panels(&tokens);
            from += width;
        }
}

const float *vit_final_norm(vit_trainer *t) {
    if (!t->model->config.final_norm)
        return t->x;
    vit_team_run(t->team, t->blocks, 1, final_norm_blocks, t);
    return t->normed[0];
}

void vit_final_norm_backward(vit_trainer *t) {
    const vit_weights *w = &t->model->weights;
    if (t->model->config.final_norm)
        norm_backward(t, t->x, w->norm_weight, w->norm_bias, t->dx[1], t->dx[0]);
}

/* ---- Head ---- */

/* Rows [B,channels] and image panels. */
static vit_transfer images(const vit_trainer *t, float *rows, float *panels, int channels) {
    return (vit_transfer){.panels = panels, .stride = (ptrdiff_t)channels * t->kernels->panel, .rows = rows,
                          .row_stride = channels, .tokens = t->options.batch, .channels = channels};
}

struct head_job {
    const vit_trainer *trainer;
    vit_gemm gemm;
    int backward;
};

static void head_outputs(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct head_job *job = context;
    const vit_trainer *t = job->trainer;
    /* f32 forwards: logits, and the hidden head's tanh, which only these products end with */
    (job->backward ? t->train->gemm_nn : t->f32->gemm_nt)(&job->gemm, begin, end);
}

/* vit_train_linear and vit_train_linear_backward on image panels, by all threads. */
static void head_linear(vit_trainer *t, int backward, const float *x, const float *w, const float *bias, int k, int n,
                        vit_epilogue epilogue, float *y) {
    const ptrdiff_t r = t->kernels->panel;
    const int inputs = backward ? n : k, outputs = backward ? k : n;
    struct head_job job = {t,
                           {.w = w, .bias = bias, .x = x, .y = y, .x_stride = inputs * r, .y_stride = outputs * r,
                            .n = n, .k = k, .panels = t->image_panels, .epilogue = epilogue},
                           backward};
    vit_team_run(t->team, outputs, 4 * t->kernels->row_step, head_outputs, &job);
}

void vit_forward_output(vit_trainer *t) {
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    if (norms_tokens(t))
        vit_final_norm(t);
    vit_team_run(t->team, t->options.batch, 1, is_bit(t) ? pool_maps : pool_images, t);
    const int width = vit_pooled_width(c);
    const vit_transfer pooled = images(t, t->pooled_rows, t->pooled[0], width);
    t->train->to_panels(&pooled);
    const float *features = t->pooled[0];
    if (norms_class(t)) {
        t->kernels->layernorm(features, w->norm_weight, w->norm_bias, c->norm_eps, c->width, t->pooled[1], 0,
                              t->image_panels);
        features = t->pooled[1];
    }
    if (c->pool_norm) {
        t->kernels->layernorm(features, w->pool_norm_weight, w->pool_norm_bias, c->norm_eps, c->width, t->pooled[2], 0,
                              t->image_panels);
        features = t->pooled[2];
    }
    if (c->pre_logits) {
        head_linear(t, 0, features, w->pre_logits_weight, w->pre_logits_bias, width, c->pre_logits,
                    VIT_EPILOGUE_TANH, t->hidden);
        features = t->hidden;
    }
    head_linear(t, 0, features, w->head_weight, w->head_bias, c->pre_logits ? c->pre_logits : width, c->classes,
                VIT_EPILOGUE_STORE, t->scores);
    const vit_transfer logits = images(t, t->logits, t->scores, c->classes);
    t->train->to_rows(&logits);
}

/* Gradients of a linear layer of the head; dx where it is wanted. */
static void head_backward(vit_trainer *t, const float *dy, const float *x, const float *w, const float *bias, int k,
                          int n, float *dx) {
    const vit_product product = {dy, x, vit_gradient(t, w), n, k, t->options.batch, 0};
    vit_products(t, &product, 1);
    t->train->sum_tokens(dy, n, vit_gradient(t, bias), 0, t->image_panels);
    head_linear(t, 1, dy, w, NULL, k, n, VIT_EPILOGUE_STORE, dx);
}

/* dy [image panels of D] becomes the gradient of the norm's input. */
static float *head_norm_backward(vit_trainer *t, const float *x, const float *gain, const float *bias, float *dy) {
    const int width = t->model->config.width;
    float *dx = dy == t->dpooled[0] ? t->dpooled[1] : t->dpooled[0];
    memset(dx, 0, vit_panel_bytes(t, width, t->image_panels));
    const vit_norm_backward b = {.x = x, .gain = gain, .dy = dy, .dx = dx, .dgain = vit_gradient(t, gain),
                                 .dbias = vit_gradient(t, bias), .scratch = t->scratch,
                                 .eps = t->model->config.norm_eps, .width = width};
    t->train->layernorm_backward(&b, 0, t->image_panels);
    return dx;
}

void vit_backward_output(vit_trainer *t) {
    const vit_config *c = &t->model->config;
    const vit_weights *w = &t->model->weights;
    const vit_transfer dlogits = images(t, t->dlogits, t->dscores, c->classes);
    const int width = vit_pooled_width(c);
    float *dpooled = t->dpooled[0];
    const float *features = c->pool_norm ? t->pooled[2] : norms_class(t) ? t->pooled[1] : t->pooled[0];
    t->train->to_panels(&dlogits);
    if (c->pre_logits) {
        head_backward(t, t->dscores, t->hidden, w->head_weight, w->head_bias, c->pre_logits, c->classes, t->dhead);
        const size_t count = vit_panel_bytes(t, c->pre_logits, t->image_panels) / sizeof(float);
        for (size_t i = 0; i < count; i++)
            t->dhead[i] *= 1 - t->hidden[i] * t->hidden[i];
        head_backward(t, t->dhead, features, w->pre_logits_weight, w->pre_logits_bias, width, c->pre_logits,
                      dpooled);
    } else {
        head_backward(t, t->dscores, features, w->head_weight, w->head_bias, width, c->classes, dpooled);
    }
    if (c->pool_norm)
        dpooled = head_norm_backward(t, norms_class(t) ? t->pooled[1] : t->pooled[0], w->pool_norm_weight,
                                     w->pool_norm_bias, dpooled);
    if (norms_class(t))
        dpooled = head_norm_backward(t, t->pooled[0], w->norm_weight, w->norm_bias, dpooled);
    const vit_transfer pooled = images(t, t->pooled_rows, dpooled, width);
    t->train->to_rows(&pooled);
    if (is_bit(t)) {
        vit_team_run(t->team, t->options.batch, 1, spread_maps, t);
        return;
    }
    struct spread_job spread = {t, norms_tokens(t) ? t->dx[1] : t->dx[0]};
    memset(spread.out, 0, vit_panel_bytes(t, c->width, t->panels));
    vit_team_run(t->team, t->options.batch, 1, spread_images, &spread);
    if (norms_tokens(t))
        vit_final_norm_backward(t);
}
