/* Layers on token panels, which stages are made of: linear, LayerNorm, quantisation. */
#include "stages.h"

size_t vit_quantized_bytes(const vit_session *s, int k) {
    return vit_int8_columns((size_t)k) / (size_t)s->int8->depth * (size_t)s->int8->panel * 4;
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
        g.x = (const char *)g.x + (size_t)s->panels * vit_quantized_bytes(s, g.k);
        g.y += g.panels * g.y_stride;
    }
}

static void linear_f32(vit_session *s, vit_tokens x, const float *weight, const float *bias, int n, int images,
                       int panels, int tokens, vit_epilogue epilogue, float *y) {
    const int chunk = 4 * s->kernels->row_step;
    struct linear_job job = {.session = s,
                             .images = images,
                             .f32 = {.w = weight,
                                     .bias = bias,
                                     .x = x.x,
                                     .y = y,
                                     .x_stride = (ptrdiff_t)x.channels * s->kernels->panel,
                                     .y_stride = (ptrdiff_t)n * s->kernels->panel,
                                     .n = n,
                                     .k = x.k,
                                     .panels = panels,
                                     .tokens = tokens,
                                     .ahead = chunk * s->threads,
                                     .epilogue = epilogue}};
    vit_team_run(s->team, n, chunk, f32_rows, &job);
}

void vit_linear_f32(vit_session *s, const float *x, const float *weight, const float *bias, int k, int n, int images,
                    int panels, int tokens, vit_epilogue epilogue, float *y) {
    linear_f32(s, (vit_tokens){x, k, k}, weight, bias, n, images, panels, tokens, epilogue, y);
}

void vit_linear(vit_session *s, vit_tokens x, const vit_matrix *weight, const float *bias, int n, vit_epilogue epilogue,
                float *y) {
    if (!s->int8) {
        linear_f32(s, x, weight->f32, bias, n, s->batch, s->panels, s->tokens, epilogue, y);
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
                                      .k = x.k,
                                      .panels = s->panels,
                                      .epilogue = epilogue}};
    vit_team_run(s->team, n, 4 * s->int8->row_step, int8_rows, &job);
}

/* Panel p of x, for the next linear layer. */
static void quantize_panel(const vit_session *s, vit_tokens x, int p) {
    const size_t r = (size_t)s->int8->panel, at = (size_t)p;
    s->int8->quantize(x.x + at * (size_t)x.channels * r, x.k,
                      (char *)s->quantized.tokens + at * vit_quantized_bytes(s, x.k), s->quantized.scale + at * r,
                      s->quantized.zero + at * r);
}

struct quantize_job {
    const vit_session *session;
    vit_tokens x;
};

static void quantize_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct quantize_job *job = context;
    for (int p = begin; p < end; p++)
        quantize_panel(job->session, job->x, p);
}

void vit_quantize(vit_session *s, vit_tokens x) {
    struct quantize_job job = {s, x};
    if (s->int8)
        vit_team_run(s->team, s->batch * s->panels, 2, quantize_panels, &job);
}

struct norm_job {
    const vit_session *session;
    const float *x, *weight, *bias;
    int width;
    float *y;
    int quantized;
};

static void norm_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct norm_job *job = context;
    const vit_session *s = job->session;
    for (int p = begin; p < end; p++) {
        s->kernels->layernorm(job->x, job->weight, job->bias, s->model->config.norm_eps, job->width, job->y, p, p + 1);
        if (job->quantized)
            quantize_panel(s, (vit_tokens){job->y, job->width, job->width}, p);
    }
}

void vit_layernorm(vit_session *s, const float *x, const float *weight, const float *bias, int width, int panels,
                   float *y) {
    struct norm_job job = {s, x, weight, bias, width, y, 0};
    vit_team_run(s->team, panels, 2, norm_panels, &job);
}

vit_tokens vit_normalize(vit_session *s, const float *weight, const float *bias) {
    const int width = s->trunk.width;
    struct norm_job job = {s, s->x, weight, bias, width, s->normed, s->int8 != NULL};
    vit_team_run(s->team, s->batch * s->panels, 2, norm_panels, &job);
    return (vit_tokens){s->normed, width, width};
}
