/* The forward pass of a ViT (paper section 3.1) as a list of stages. Each stage is a few regions of work that the team
 * shares; no result crosses a chunk, so the number of threads never changes a bit. */
#include "posemb.h"
#include "session.h"

#include <stdio.h>
#include <string.h>

/* ---- Regions ---- */

/* Bytes of a quantised panel of k channels. */
static size_t quantized_bytes(const vit_session *s, int k) {
    return (size_t)((k + 3) / 4 * 4 / s->int8->depth) * (size_t)s->int8->panel * 4;
}

struct linear_job {
    const vit_session *session;
    vit_gemm f32;       /* of one image */
    vit_int8_gemm int8;
    int images;
};

/* Some rows of weights meet one image after another: they and an image's panels stay in the caches. */
static void f32_rows(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct linear_job *job = context;
    vit_gemm g = job->f32;
    for (int image = 0; image < job->images; image++, g.x += g.panels * g.x_stride, g.y += g.panels * g.y_stride)
        job->session->kernels->gemm_nt(&g, begin, end);
}

static void int8_rows(void *context, int begin, int end, int thread) {
    const struct linear_job *job = context;
    const vit_session *s = job->session;
    const int lanes = s->panels * s->int8->panel;
    vit_int8_gemm g = job->int8;
    for (int image = 0; image < job->images; image++, g.x_scale += lanes, g.x_zero += lanes) {
        s->int8->gemm(&g, begin, end, s->scratch + (size_t)thread * s->thread_scratch);
        g.x = (const char *)g.x + (size_t)s->panels * quantized_bytes(s, g.k);
        g.y += g.panels * g.y_stride;
    }
}

/* y = epilogue(x wT + bias) on dense panels of k and n channels: `panels` of each image, with so many tokens. */
static void linear_f32(vit_session *s, const float *x, const float *weight, const float *bias, int k, int n, int images,
                       int panels, int tokens, vit_epilogue epilogue, float *y) {
    const int chunk = 4 * s->kernels->row_step;
    struct linear_job job = {.session = s,
                             .images = images,
                             .f32 = {.w = weight,
                                     .bias = bias,
                                     .x = x,
                                     .y = y,
                                     .x_stride = (ptrdiff_t)k * s->kernels->panel,
                                     .y_stride = (ptrdiff_t)n * s->kernels->panel,
                                     .n = n,
                                     .k = k,
                                     .panels = panels,
                                     .tokens = tokens,
                                     .ahead = chunk * s->threads,
                                     .epilogue = epilogue}};
    vit_team_run(s->team, n, chunk, f32_rows, &job);
}

/* The same for all tokens by the kernels of the session: x was quantised if those are of int8. */
static void linear(vit_session *s, const float *x, const vit_matrix *weight, const float *bias, int k, int n,
                   vit_epilogue epilogue, float *y) {
    if (!s->int8) {
        linear_f32(s, x, weight->f32, bias, k, n, s->batch, s->panels, s->tokens, epilogue, y);
        return;
    }
    struct linear_job job = {.session = s,
                             .images = s->batch,
                             .int8 = {.w = weight->int8,
                                      .w_scale = weight->scale,
                                      .w_sum = weight->sum,
                                      .bias = bias,
                                      .x = s->quantized.tokens,
                                      .x_scale = s->quantized.scale,
                                      .x_zero = s->quantized.zero,
                                      .y = y,
                                      .y_stride = (ptrdiff_t)n * s->int8->panel,
                                      .n = n,
                                      .k = k,
                                      .panels = s->panels,
                                      .epilogue = epilogue}};
    vit_team_run(s->team, n, 4 * s->int8->row_step, int8_rows, &job);
}

/* Panel p of x, of k channels, for the next linear layer. */
static void quantize_panel(const vit_session *s, const float *x, int k, int p) {
    const size_t r = (size_t)s->int8->panel;
    s->int8->quantize(x + (size_t)p * (size_t)k * r, k, (char *)s->quantized.tokens + (size_t)p * quantized_bytes(s, k),
                      s->quantized.scale + (size_t)p * r, s->quantized.zero + (size_t)p * r);
}

struct quantize_job {
    const vit_session *session;
    const float *x;
    int k;
};

static void quantize_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct quantize_job *job = context;
    for (int p = begin; p < end; p++)
        quantize_panel(job->session, job->x, job->k, p);
}

/* x, dense panels of k channels, for the next linear layer; nothing in f32. */
static void quantize(vit_session *s, const float *x, int k, int panels) {
    struct quantize_job job = {s, x, k};
    if (s->int8)
        vit_team_run(s->team, panels, 2, quantize_panels, &job);
}

struct norm_job {
    const vit_session *session;
    const float *x, *weight, *bias;
    float *y;
    int quantized;
};

static void norm_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct norm_job *job = context;
    const vit_session *s = job->session;
    const vit_config *c = &s->model->config;
    for (int p = begin; p < end; p++) {
        s->kernels->layernorm(job->x, job->weight, job->bias, c->norm_eps, c->width, job->y, p, p + 1);
        if (job->quantized)
            quantize_panel(s, job->y, c->width, p);
    }
}

static void layernorm(vit_session *s, const float *x, const float *weight, const float *bias, int panels, float *y) {
    struct norm_job job = {s, x, weight, bias, y, 0};
    vit_team_run(s->team, panels, 2, norm_panels, &job);
}

/* normed = LayerNorm of the residual stream, for the next linear layer. */
static void normalize(vit_session *s, const float *weight, const float *bias) {
    struct norm_job job = {s, s->x, weight, bias, s->normed, s->int8 != NULL};
    vit_team_run(s->team, s->batch * s->panels, 2, norm_panels, &job);
}

/* ---- Input ---- */

/* The im2col producer: patch pixels in the order of the convolution's weight [3,P,P]. Lanes without a patch are zero.
 */
static void patch_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_session *s = context;
    const vit_config *c = &s->model->config;
    const int r = s->kernels->panel, depth = 3 * c->patch_height * c->patch_width;
    for (int p = begin; p < end; p++) {
        int image = p / s->panels;
        const float *pixels = s->input + (size_t)image * s->height * s->width * 3;
        float *panel = s->wide + (size_t)p * depth * r;
        for (int lane = 0; lane < r; lane++) {
            int patch = p % s->panels * r + lane - c->class_token;
            float *out = panel + lane;
            if (patch < 0 || patch >= s->patches) {
                for (int i = 0; i < depth; i++)
                    out[(size_t)i * r] = 0;
                continue;
            }
            const float *corner = pixels + ((size_t)(patch / s->columns) * c->patch_height * s->width +
                                            (size_t)(patch % s->columns) * c->patch_width) *
                                               3;
            for (int channel = 0; channel < 3; channel++)
                for (int y = 0; y < c->patch_height; y++) {
                    const float *row = corner + (size_t)y * s->width * 3 + channel;
                    for (int x = 0; x < c->patch_width; x++, out += r)
                        *out = row[3 * x];
                }
        }
    }
}

static void run_patch_embed(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    vit_team_run(s->team, s->batch * s->panels, 1, patch_panels, s);
    const int depth = 3 * c->patch_height * c->patch_width, panels = s->batch * s->panels;
    quantize(s, s->wide, depth, panels);
    linear(s, s->wide, &w->patch_weight, w->patch_bias, depth, c->width, VIT_EPILOGUE_STORE, s->x);
}

/* Adds positions; the class token's lane, which has no patch, is replaced; pad lanes become zero. */
static void embed_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_session *s = context;
    const int r = s->kernels->panel, width = s->model->config.width, first_patch = s->model->config.class_token;
    for (int p = begin; p < end; p++)
        for (int lane = 0; lane < r; lane++) {
            int token = p % s->panels * r + lane;
            float *x = s->x + (size_t)p * width * r + lane;
            const float *position = s->positions + (size_t)(token < s->tokens ? token : 0) * width;
            for (int d = 0; d < width; d++, x += r)
                *x = token >= s->tokens ? 0 : token < first_patch ? position[d] : *x + position[d];
        }
}

/* Positions of this grid (paper section 3.2), and the class token's embedding in its row. */
static void make_positions(vit_session *s) {
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const size_t width = (size_t)c->width;
    for (size_t d = 0; d < width && c->class_token; d++)
        s->positions[d] = w->class_token[d] + (c->pos_class ? w->pos_embed[d] : 0);
    vit_posemb_interpolate(w->pos_embed + (size_t)c->pos_class * width, c->image_height / c->patch_height,
                           c->image_width / c->patch_width, c->width, vit_interpolation_of(c->pos_resample), s->rows,
                           s->columns, s->positions + (size_t)c->class_token * width, s->wide);
}

/* The first time, positions are made: a session may be open before they have arrived. */
static void run_embed(vit_session *s, int layer) {
    (void)layer;
    if (!s->has_positions)
        make_positions(s);
    s->has_positions = 1;
    vit_team_run(s->team, s->batch * s->panels, 1, embed_panels, s);
}

/* ---- Blocks: x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x)))) ---- */

static void run_qkv(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width;
    normalize(s, b->norm1_weight, b->norm1_bias);
    linear(s, s->normed, &b->qkv_weight, b->qkv_bias, width, 3 * width, VIT_EPILOGUE_STORE, s->wide);
}

static float softmax_scale(const vit_config *c) {
    return 1.0f / __builtin_sqrtf((float)(c->width / c->heads));
}

/* Work items: image, head, panel. */
static void quantize_heads(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_session *s = context;
    const vit_config *c = &s->model->config;
    const int width = c->width / c->heads;
    const size_t r = (size_t)s->int8->panel, panel = quantized_bytes(s, width);
    for (int item = begin; item < end; item++) {
        const int p = item % s->panels, head = item / s->panels % c->heads, image = item / s->panels / c->heads;
        const float *q = s->wide + ((size_t)(image * s->panels + p) * 3 * (size_t)c->width + (size_t)(head * width)) * r;
        const size_t at = (size_t)item;
        s->int8->quantize(q, width, (char *)s->quantized.q + at * panel, s->quantized.q_scale + at * r,
                          s->quantized.q_zero + at * r);
        s->int8->quantize_keys(q + (size_t)c->width * r, width, softmax_scale(c), (char *)s->quantized.k + at * panel,
                               s->quantized.k_scale + at * r, s->quantized.k_sum + at * r);
    }
}

static void score_int8(const vit_session *s, int image, int head, int query, int count, float *scores) {
    const vit_config *c = &s->model->config;
    const int width = c->width / c->heads, r = s->int8->panel;
    const size_t at = (size_t)(image * c->heads + head) * (size_t)s->panels, lanes = at * (size_t)r;
    const vit_int8_heads heads = {
        .q = (char *)s->quantized.q + at * quantized_bytes(s, width),
        .k = (char *)s->quantized.k + at * quantized_bytes(s, width),
        .q_scale = s->quantized.q_scale + lanes,
        .q_zero = s->quantized.q_zero + lanes,
        .k_scale = s->quantized.k_scale + lanes,
        .k_sum = s->quantized.k_sum + lanes,
        .tokens = s->tokens,
        .head_width = width,
    };
    for (int some; count > 0; count -= some, query += some, scores += (size_t)some * (size_t)(s->panels * r * r)) {
        some = count < s->int8->query_panels ? count : s->int8->query_panels;
        s->int8->score(&heads, query, some, scores);
    }
}

/* Work items: image, head, group of query panels. */
static void attend_items(void *context, int begin, int end, int thread) {
    vit_session *s = context;
    const vit_config *c = &s->model->config;
    const int r = s->kernels->panel, step = s->kernels->query_panels, groups = (s->panels + step - 1) / step;
    for (int item = begin; item < end; item++) {
        const int query = item % groups * step, head = item / groups % c->heads, image = item / groups / c->heads;
        const int count = s->panels - query < step ? s->panels - query : step;
        const vit_attend job = {
            .qkv = s->wide + (size_t)image * s->panels * 3 * c->width * r,
            .out = s->normed + (size_t)image * s->panels * c->width * r,
            .qkv_stride = (ptrdiff_t)3 * c->width * r,
            .out_stride = (ptrdiff_t)c->width * r,
            .tokens = s->tokens,
            .heads = c->heads,
            .head_width = c->width / c->heads,
            .scale = softmax_scale(c),
            .capture = s->attention ? s->attention + (size_t)image * c->heads * s->tokens * s->tokens : NULL,
        };
        float *scores = s->scratch + (size_t)thread * s->thread_scratch;
        if (s->int8)
            score_int8(s, image, head, query, count, scores);
        else
            s->kernels->score(&job, head, query, count, scores);
        s->kernels->mix(&job, head, query, count, scores);
    }
}

static void run_attention(vit_session *s, int layer) {
    (void)layer;
    const int heads = s->batch * s->model->config.heads, step = s->kernels->query_panels;
    if (s->int8)
        vit_team_run(s->team, heads * s->panels, 8, quantize_heads, s);
    vit_team_run(s->team, heads * ((s->panels + step - 1) / step), 1, attend_items, s);
}

static void run_proj(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width, panels = s->batch * s->panels;
    quantize(s, s->normed, width, panels);
    linear(s, s->normed, &b->proj_weight, b->proj_bias, width, width, VIT_EPILOGUE_ADD, s->x);
}

static void run_fc1(vit_session *s, int layer) {
    static const vit_epilogue gelu[] = {[VIT_GELU_ERF] = VIT_EPILOGUE_GELU_ERF,
                                        [VIT_GELU_TANH] = VIT_EPILOGUE_GELU_TANH,
                                        [VIT_GELU_QUICK] = VIT_EPILOGUE_GELU_QUICK};
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    normalize(s, b->norm2_weight, b->norm2_bias);
    linear(s, s->normed, &b->fc1_weight, b->fc1_bias, c->width, c->mlp_width, gelu[c->activation], s->wide);
}

static void run_fc2(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    const int panels = s->batch * s->panels;
    quantize(s, s->wide, c->mlp_width, panels);
    linear(s, s->wide, &b->fc2_weight, b->fc2_bias, c->mlp_width, c->width, VIT_EPILOGUE_ADD, s->x);
}

/* ---- Output ---- */

static void run_norm(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    if (s->model->config.final_norm)
        layernorm(s, s->x, w->norm_weight, w->norm_bias, s->batch * s->panels, s->normed);
}

/* What the final norm leaves: its output, or the residual stream of a network without one. */
static const float *final_tokens(const vit_session *s) {
    return s->model->config.final_norm ? s->normed : s->x;
}

/* One feature of one image: [D] at a stride of `stride` floats. */
static void pool_tokens(const vit_session *s, int image, vit_pool pool, float *out, int stride) {
    const int width = s->model->config.width, r = s->kernels->panel, first = s->model->config.class_token;
    const float *tokens = final_tokens(s);
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

static void run_features(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const int r = s->kernels->panel;
    for (int image = 0; image < s->batch; image++)
        pool_tokens(s, image, c->pool, s->pooled + (size_t)(image / r) * c->width * r + image % r, r);
    if (c->pool_norm)
        layernorm(s, s->pooled, w->pool_norm_weight, w->pool_norm_bias, image_panels(s), s->pooled);
    unpack_images(s, s->pooled, c->width, s->features);
}

static void run_pre_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    linear_f32(s, s->pooled, w->pre_logits_weight, w->pre_logits_bias, c->width, c->pre_logits, 1, image_panels(s),
               s->batch, VIT_EPILOGUE_TANH, s->hidden);
}

static void run_logits(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    linear_f32(s, c->pre_logits ? s->hidden : s->pooled, w->head_weight, w->head_bias,
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

/* ---- The list ---- */

struct stage_list {
    const vit_model *model;
    vit_stage *stages; /* NULL: counting */
    int count;
    int slots; /* read by the stages so far */
    double images;
};

/* layer -1: a stage that is there once, and whose name has no number. multiply_adds: of one image. */
static void add_stage(struct stage_list *list, const char *name, int layer, void (*run)(vit_session *, int),
                      double multiply_adds, vit_view view) {
    while (list->slots < list->model->slot_count && strcmp(list->model->slots[list->slots].stage, name) == 0)
        list->slots++;
    if (list->stages) {
        vit_stage *stage = &list->stages[list->count];
        *stage = (vit_stage){.run = run, .layer = layer, .slots = list->slots,
                             .flops = 2 * list->images * multiply_adds, .view = view};
        if (layer < 0)
            snprintf(stage->name, sizeof stage->name, "%s", name);
        else
            snprintf(stage->name, sizeof stage->name, "%s.%d", name, layer);
    }
    list->count++;
}

int vit_stages_make(vit_session *s, vit_stage *stages) {
    const vit_config *c = &s->model->config;
    const double t = s->tokens, d = c->width, f = c->mlp_width;
    const vit_view none = {0}, tokens = {VIT_VIEW_TOKENS, s->x, 0, s->tokens, c->width};
    const vit_view patches = {VIT_VIEW_TOKENS, s->x, c->class_token, s->patches, c->width};
    const vit_view attention = {s->attention ? VIT_VIEW_ATTENTION : VIT_VIEW_NONE, s->attention, 0, s->tokens, 0};
    const vit_view normed = {VIT_VIEW_TOKENS, final_tokens(s), 0, s->tokens, c->width};
    const vit_view features = {VIT_VIEW_ROWS, s->features, 0, 0, c->width},
                   logits = {VIT_VIEW_ROWS, s->logits, 0, 0, c->classes};
    struct stage_list list = {.model = s->model, .stages = stages, .images = s->batch};

    add_stage(&list, "patch_embed", -1, run_patch_embed, s->patches * d * 3 * c->patch_height * c->patch_width,
              patches);
    add_stage(&list, "embed", -1, run_embed, 0, tokens);
    for (int layer = 0; layer < c->layers; layer++) {
        add_stage(&list, "qkv", layer, run_qkv, t * d * 3 * d, none);
        add_stage(&list, "attn", layer, run_attention, 2 * t * t * d, attention);
        add_stage(&list, "proj", layer, run_proj, t * d * d, none);
        add_stage(&list, "fc1", layer, run_fc1, t * d * f, none);
        add_stage(&list, "block", layer, run_fc2, t * d * f, tokens);
    }
    add_stage(&list, "norm", -1, run_norm, 0, normed);
    add_stage(&list, "features", -1, run_features, 0, features);
    if (c->pre_logits)
        add_stage(&list, "pre_logits", -1, run_pre_logits, d * c->pre_logits, none);
    if (c->classes)
        add_stage(&list, "logits", -1, run_logits, (c->pre_logits ? c->pre_logits : d) * c->classes, logits);
    return list.count;
}
