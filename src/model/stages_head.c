/* From tokens to features and logits. */
#include "stages.h"

#include "../base/exponential.h"

#include <math.h>
#include <string.h>

void vit_run_norm(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    if (s->model->config.final_norm)
        vit_layernorm(s, s->x, w->norm_weight, w->norm_bias, s->model->config.width, s->batch * s->panels, s->normed);
}

const float *vit_final_tokens(const vit_session *s) {
    return s->model->config.final_norm ? s->normed : s->x;
}

/* The class token or the mean of the patches of one image: [D] at a stride of `stride` floats. */
static void pool_tokens(const vit_session *s, int image, vit_pool pool, float *out, int stride) {
    const int width = s->model->config.width, r = s->kernels->panel;
    const float *tokens = vit_final_tokens(s);
    for (int d = 0; d < width; d++)
        out[(size_t)d * stride] =
            pool == VIT_POOL_CLASS ? vit_token_lane(s, tokens, image, 0, width)[(size_t)d * r] : 0;
    if (pool == VIT_POOL_CLASS)
        return;
    for (int t = s->prefix; t < s->tokens; t++) {
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

/* A channel of panels of one vector an image. */
static float *image_lane(const vit_session *s, float *panels, int image, int channels, int channel) {
    const int r = s->kernels->panel;
    return panels + ((size_t)(image / r) * (size_t)channels + (size_t)channel) * (size_t)r + image % r;
}

/* y = epilogue(x wT + bias) on panels of one vector an image. */
static void image_linear(vit_session *s, const float *x, const float *weight, const float *bias, int k, int n,
                         vit_epilogue epilogue, float *y) {
    vit_linear_f32(s, x, weight, bias, k, n, 1, image_panels(s), s->batch, epilogue, y);
}

/* ---- Attention pooling (big_vision's MAPHead, timm's AttentionPoolLatent) ---- */

static void softmax(float *x, int count) {
    float most = x[0], sum = 0;
    for (int i = 1; i < count; i++)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < count; i++)
        sum += x[i] = vit_expf(x[i] - most);
    for (int i = 0; i < count; i++)
        x[i] /= sum;
}

/* Work items: image, head. The learned query meets all patches. */
static void pool_heads(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_session *s = context;
    const vit_config *c = &s->model->config;
    const int r = s->kernels->panel, width = c->width / c->heads;
    for (int item = begin; item < end; item++) {
        const int image = item / c->heads, first = item % c->heads * width;
        const float *query = s->map.query + (size_t)first * r;
        float *weights = s->map.attention + (size_t)item * s->patches;
        float *out = s->map.mixed + ((size_t)(image / r) * c->width + (size_t)first) * r + image % r;
        for (int t = 0; t < s->patches; t++) {
            const float *key = vit_token_lane(s, s->wide, image, s->prefix + t, 2 * c->width) + (size_t)first * r;
            float sum = 0;
            for (int d = 0; d < width; d++)
                sum += query[(size_t)d * r] * key[(size_t)d * r];
            weights[t] = sum * vit_softmax_scale(width);
        }
        softmax(weights, s->patches);
        for (int d = 0; d < width; d++)
            out[(size_t)d * r] = 0;
        for (int t = 0; t < s->patches; t++) {
            const float *value =
                vit_token_lane(s, s->wide, image, s->prefix + t, 2 * c->width) + (size_t)(c->width + first) * r;
            for (int d = 0; d < width; d++)
                out[(size_t)d * r] += weights[t] * value[(size_t)d * r];
        }
    }
}

void vit_run_map_attention(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const int r = s->kernels->panel;
    for (int d = 0; d < c->width; d++)
        s->map.mixed[(size_t)d * r] = w->map_latent[d];
    vit_linear_f32(s, s->map.mixed, w->map_q_weight, w->map_q_bias, c->width, c->width, 1, 1, 1, VIT_EPILOGUE_STORE,
                   s->map.query);
    vit_linear_f32(s, vit_final_tokens(s), w->map_kv_weight, w->map_kv_bias, c->width, 2 * c->width, s->batch,
                   s->panels, s->tokens, VIT_EPILOGUE_STORE, s->wide);
    vit_team_run(s->team, s->batch * c->heads, 1, pool_heads, s);
}

/* pooled = y + MLP(LayerNorm(y)), y the projection of what attention mixed. */
static void map_mlp(vit_session *s) {
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    image_linear(s, s->map.mixed, w->map_proj_weight, w->map_proj_bias, c->width, c->width, VIT_EPILOGUE_STORE,
                 s->pooled);
    vit_layernorm(s, s->pooled, w->map_norm_weight, w->map_norm_bias, c->width, image_panels(s), s->map.mixed);
    image_linear(s, s->map.mixed, w->map_fc1_weight, w->map_fc1_bias, c->width, c->mlp_width,
                 vit_gelu_epilogue(c->activation), s->map.hidden);
    image_linear(s, s->map.hidden, w->map_fc2_weight, w->map_fc2_bias, c->mlp_width, c->width, VIT_EPILOGUE_ADD,
                 s->pooled);
}

/* ---- Features and logits ---- */

void vit_run_head_input(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const int r = s->kernels->panel, width = vit_pooled_width(c);
    for (int image = 0; image < s->batch && c->pool != VIT_POOL_MAP; image++) {
        float *pooled = s->pooled + (size_t)(image / r) * width * r + image % r;
        if (c->network == VIT_NETWORK_BIT) {
            vit_average_map(s, image, pooled, r);
            continue;
        }
        pool_tokens(s, image, c->pool == VIT_POOL_MEAN ? VIT_POOL_MEAN : VIT_POOL_CLASS, pooled, r);
        if (c->pool == VIT_POOL_CLASS_MEAN)
            pool_tokens(s, image, VIT_POOL_MEAN, pooled + (size_t)c->width * r, r);
    }
    if (c->pool == VIT_POOL_MAP)
        map_mlp(s);
    for (int image = 0; image < s->batch && c->head_dist; image++) {
        const float *token = vit_token_lane(s, vit_final_tokens(s), image, 1, c->width);
        for (int d = 0; d < c->width; d++)
            *image_lane(s, s->pooled_dist, image, c->width, d) = token[(size_t)d * r];
    }
    if (c->pool_norm)
        vit_layernorm(s, s->pooled, w->pool_norm_weight, w->pool_norm_bias, width, image_panels(s), s->pooled);
    unpack_images(s, s->pooled, width, s->features);
}

/* The hidden layer before the head: as it is, to be looked at, and then with its tanh. */
static void run_hidden(vit_session *s, vit_epilogue epilogue) {
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    image_linear(s, s->pooled, w->pre_logits_weight, w->pre_logits_bias, vit_pooled_width(c), c->pre_logits, epilogue,
                 s->hidden);
    unpack_images(s, s->hidden, c->pre_logits, s->features);
}

void vit_run_pre_logits(vit_session *s, int layer) {
    (void)layer;
    run_hidden(s, VIT_EPILOGUE_STORE);
}

/* What the head sees. A distilled model has two heads for two tokens: their mean, as in timm. */
void vit_run_features(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    if (c->pre_logits)
        run_hidden(s, VIT_EPILOGUE_TANH);
    if (c->projection) {
        image_linear(s, s->pooled, s->model->weights.projection, NULL, vit_pooled_width(c), c->projection,
                     VIT_EPILOGUE_STORE, s->hidden);
        unpack_images(s, s->hidden, c->projection, s->features);
    }
    for (int i = 0; c->head_dist && i < s->batch * c->width; i++)
        s->features[i] = (s->features[i] + *image_lane(s, s->pooled_dist, i / c->width, c->width, i % c->width)) / 2;
}

static void run_head(vit_session *s, const float *x, const float *weight, const float *bias, float *logits) {
    const vit_config *c = &s->model->config;
    image_linear(s, x, weight, bias, vit_feature_width(c), c->classes, VIT_EPILOGUE_STORE, s->scores);
    unpack_images(s, s->scores, c->classes, logits);
}

void vit_run_class_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    run_head(s, s->hidden ? s->hidden : s->pooled, w->head_weight, w->head_bias, s->logits);
}

void vit_run_dist_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    run_head(s, s->pooled_dist, w->head_dist_weight, w->head_dist_bias, s->dist_logits);
}

void vit_run_mean_logits(vit_session *s, int layer) {
    (void)layer;
    for (size_t i = 0; i < (size_t)s->batch * (size_t)s->model->config.classes; i++)
        s->logits[i] = (s->logits[i] + s->dist_logits[i]) / 2;
}

vit_status vit_session_features(const vit_session *s, int index, vit_feature feature, float *out, vit_error *error) {
    const vit_config *c = &s->model->config;
    if (s->masked)
        return vit_fail(error, VIT_ERR_ARGUMENT, "features: there are none in a session opened with `masked`");
    if (index < 0 || index >= s->batch)
        return vit_fail(error, VIT_ERR_ARGUMENT, "features: image %d of a batch of %d", index, s->batch);
    if (feature == VIT_FEATURE_CLASS && !c->class_token)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "features: this model has no class token: use the head's features or the mean");
    if (feature == VIT_FEATURE_HEAD || c->network == VIT_NETWORK_BIT)
        memcpy(out, s->features + (size_t)index * vit_feature_width(c), (size_t)vit_feature_width(c) * sizeof *out);
    else
        pool_tokens(s, index, feature == VIT_FEATURE_CLASS ? VIT_POOL_CLASS : VIT_POOL_MEAN, out, 1);
    return VIT_OK;
}
