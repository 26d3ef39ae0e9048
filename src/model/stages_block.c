/* Blocks: x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x)))). */
#include "stages.h"

void vit_run_qkv(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width;
    vit_normalize(s, b->norm1_weight, b->norm1_bias);
    vit_linear(s, s->normed, &b->qkv_weight, b->qkv_bias, width, 3 * width, VIT_EPILOGUE_STORE, s->wide);
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
    const size_t r = (size_t)s->int8->panel, panel = vit_quantized_bytes(s, width);
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
        .q = (char *)s->quantized.q + at * vit_quantized_bytes(s, width),
        .k = (char *)s->quantized.k + at * vit_quantized_bytes(s, width),
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

void vit_run_attention(vit_session *s, int layer) {
    (void)layer;
    const int heads = s->batch * s->model->config.heads, step = s->kernels->query_panels;
    if (s->int8)
        vit_team_run(s->team, heads * s->panels, 8, quantize_heads, s);
    vit_team_run(s->team, heads * ((s->panels + step - 1) / step), 1, attend_items, s);
}

void vit_run_proj(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width, panels = s->batch * s->panels;
    vit_quantize(s, s->normed, width, panels);
    vit_linear(s, s->normed, &b->proj_weight, b->proj_bias, width, width, VIT_EPILOGUE_ADD, s->x);
}

void vit_run_fc1(vit_session *s, int layer) {
    static const vit_epilogue gelu[] = {[VIT_GELU_ERF] = VIT_EPILOGUE_GELU_ERF,
                                        [VIT_GELU_TANH] = VIT_EPILOGUE_GELU_TANH,
                                        [VIT_GELU_QUICK] = VIT_EPILOGUE_GELU_QUICK};
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    vit_normalize(s, b->norm2_weight, b->norm2_bias);
    vit_linear(s, s->normed, &b->fc1_weight, b->fc1_bias, c->width, c->mlp_width, gelu[c->activation], s->wide);
}

void vit_run_fc2(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    const int panels = s->batch * s->panels;
    vit_quantize(s, s->wide, c->mlp_width, panels);
    vit_linear(s, s->wide, &b->fc2_weight, b->fc2_bias, c->mlp_width, c->width, VIT_EPILOGUE_ADD, s->x);
}
