/* From tokens to features and logits. */
#include "stages.h"

#include <string.h>

void vit_run_norm(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    if (s->model->config.final_norm)
        vit_layernorm(s, s->x, w->norm_weight, w->norm_bias, s->batch * s->panels, s->normed);
}

/* What the final norm leaves: its output, or the residual stream of a network without one. */
const float *vit_final_tokens(const vit_session *s) {
    return s->model->config.final_norm ? s->normed : s->x;
}

/* One feature of one image: [D] at a stride of `stride` floats. */
static void pool_tokens(const vit_session *s, int image, vit_pool pool, float *out, int stride) {
    const int width = s->model->config.width, r = s->kernels->panel, first = s->model->config.class_token;
    const float *tokens = vit_final_tokens(s);
    for (int d = 0; d < width; d++)
        out[(size_t)d * stride] = pool == VIT_POOL_CLASS ? vit_token_lane(s, tokens, image, 0, width)[(size_t)d * r] : 0;
    if (pool == VIT_POOL_CLASS)
        return;
    for (int t = first; t < s->tokens; t++) {
        const float *token = vit_token_lane(s, tokens, image, t, width);
        for (int d = 0; d < width; d++)
            out[(size_t)d * stride] += token[(size_t)d * r];
    }
    for (int d = 0; d < width; d++)
        out[(size_t)d * stride] /= (float)s->patches;
}

static int image_panels(const vit_session *s) {
    return (s->batch + s->kernels->panel - 1) / s->kernels->panel;
}

/* Panels of one vector an image -> rows [B,channels]. */
static void unpack_images(const vit_session *s, const float *panels, int channels, float *out) {
    const int r = s->kernels->panel;
    for (int image = 0; image < s->batch; image++)
        for (int i = 0; i < channels; i++)
            out[(size_t)image * channels + i] = panels[((size_t)(image / r) * channels + i) * r + image % r];
}

void vit_run_features(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const int r = s->kernels->panel;
    for (int image = 0; image < s->batch; image++)
        pool_tokens(s, image, c->pool, s->pooled + (size_t)(image / r) * c->width * r + image % r, r);
    if (c->pool_norm)
        vit_layernorm(s, s->pooled, w->pool_norm_weight, w->pool_norm_bias, image_panels(s), s->pooled);
    unpack_images(s, s->pooled, c->width, s->features);
}

void vit_run_pre_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    vit_linear_f32(s, s->pooled, w->pre_logits_weight, w->pre_logits_bias, c->width, c->pre_logits, 1, image_panels(s),
               s->batch, VIT_EPILOGUE_TANH, s->hidden);
}

void vit_run_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    vit_linear_f32(s, c->pre_logits ? s->hidden : s->pooled, w->head_weight, w->head_bias,
               c->pre_logits ? c->pre_logits : c->width, c->classes, 1, image_panels(s), s->batch,
               VIT_EPILOGUE_STORE, s->scores);
    unpack_images(s, s->scores, c->classes, s->logits);
}

vit_status vit_session_features(const vit_session *s, int index, vit_feature feature, float *out, vit_error *error) {
    const vit_config *c = &s->model->config;
    if (index < 0 || index >= s->batch)
        return vit_fail(error, VIT_ERR_ARGUMENT, "features: image %d of a batch of %d", index, s->batch);
    if (feature == VIT_FEATURE_CLASS && !c->class_token)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "features: this model has no class token: use the head's features or the mean");
    if (feature == VIT_FEATURE_HEAD)
        memcpy(out, s->features + (size_t)index * c->width, (size_t)c->width * sizeof *out);
    else
        pool_tokens(s, index, feature == VIT_FEATURE_CLASS ? VIT_POOL_CLASS : VIT_POOL_MEAN, out, 1);
    return VIT_OK;
}
