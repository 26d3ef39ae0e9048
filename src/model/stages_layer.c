/* Layers on token panels, which stages are made of: linear, LayerNorm, quantisation. */
#include "stages.h"

/* Bytes of a quantised panel of k channels. */
size_t vit_quantized_bytes(const vit_session *s, int k) {
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
        g.x = (const char *)g.x + (size_t)s->panels * vit_quantized_bytes(s, g.k);
        g.y += g.panels * g.y_stride;
    }
}

/* y = epilogue(x wT + bias) on dense panels of k and n channels: `panels` of each image, with so many tokens. */
void vit_linear_f32(vit_session *s, const float *x, const float *weight, const float *bias, int k, int n, int images,
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
void vit_linear(vit_session *s, const float *x, const vit_matrix *weight, const float *bias, int k, int n,
                   vit_epilogue epilogue, float *y) {
    if (!s->int8) {
        vit_linear_f32(s, x, weight->f32, bias, k, n, s->batch, s->panels, s->tokens, epilogue, y);
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
    s->int8->quantize(x + (size_t)p * (size_t)k * r, k, (char *)s->quantized.tokens + (size_t)p * vit_quantized_bytes(s, k),
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
void vit_quantize(vit_session *s, const float *x, int k, int panels) {
    struct quantize_job job = {s, x, k};
    if (s->int8)
        vit_team_run(s->team, panels, 2, quantize_panels, &job);
}

struct norm_job {
    const vit_session *session;
    const float *x, *weight, *bias;
    float *y;
    int width, quantized;
};

static void norm_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct norm_job *job = context;
    const vit_session *s = job->session;
    for (int p = begin; p < end; p++) {
        s->kernels->layernorm(job->x, job->weight, job->bias, s->model->config.norm_eps, job->width, job->y, p, p + 1);
        if (job->quantized)
            quantize_panel(s, job->y, job->width, p);
    }
}

void vit_layernorm(vit_session *s, const float *x, const float *weight, const float *bias, int width, int panels,
                   float *y) {
    struct norm_job job = {s, x, weight, bias, y, width, 0};
    vit_team_run(s->team, panels, 2, norm_panels, &job);
}

/* normed = LayerNorm of the residual stream, for the next linear layer. */
void vit_normalize(vit_session *s, const float *weight, const float *bias) {
    struct norm_job job = {s, s->x, weight, bias, s->normed, s->model->config.width, s->int8 != NULL};
    vit_team_run(s->team, s->batch * s->panels, 2, norm_panels, &job);
}
