/* A transformer block (paper section 3.1) and its gradients: x += proj(attention(norm1(x))), then
 * x += fc2(gelu(fc1(norm2(x)))). All of it but attention passes over the tokens in blocks that stay in a core's cache
 * from norm to residual. */
#include "trainer.h"

#include "../model/stages.h"

#include <string.h>

/* ---- Linear layers, by the thread that calls ---- */

void vit_train_linear(const vit_trainer *t, const float *x, int channels, const float *w, const float *bias, int k,
                      int n, int count, vit_epilogue epilogue, float *y) {
    const ptrdiff_t r = t->kernels->panel;
    const vit_gemm g = {.w = w, .bias = bias, .x = x, .y = y, .x_stride = channels * r, .y_stride = n * r, .n = n,
                        .k = k, .panels = count, .epilogue = epilogue};
    t->kernels->gemm_nt(&g, 0, n);
}

void vit_train_linear_backward(const vit_trainer *t, const float *dy, const float *w, int k, int n, int count,
                               int channels, float *dx) {
    const ptrdiff_t r = t->kernels->panel;
    const vit_gemm g = {.w = w, .x = dy, .y = dx, .x_stride = n * r, .y_stride = channels * r, .n = n, .k = k,
                        .panels = count};
    t->train->gemm_nn(&g, 0, k);
}

vit_sums vit_sums_of(const vit_config *c) {
    vit_sums s = {.fc2_bias = 0};
    s.fc1_bias = s.fc2_bias + c->width;
    s.norm2 = s.fc1_bias + (int)vit_fc1_rows(c);
    s.proj_bias = s.norm2 + 2 * c->width;
    s.scale1 = s.proj_bias + c->width;
    s.scale2 = s.scale1 + c->width;
    s.qkv_bias = s.scale2 + c->width;
    s.norm1 = s.qkv_bias + 3 * c->width;
    s.count = s.norm1 + 2 * c->width;
    return s;
}

/* ---- Work on blocks of panels ---- */

struct layer_job {
    vit_trainer *trainer;
    int layer;
    int adds_positions;
};

static void for_blocks(vit_trainer *t, int layer, vit_job job) {
    struct layer_job context = {t, layer, 0};
    vit_team_run(t->team, t->blocks, 1, job, &context);
}

static void layernorm(const vit_trainer *t, const float *x, const float *gain, const float *bias, int count, float *y) {
    const vit_config *c = &t->model->config;
    t->kernels->layernorm(x, gain, bias, c->norm_eps, c->width, y, 0, count);
}

/* ---- Forward ---- */

static void qkv_blocks(void *context, int begin, int end, int thread) {
    const struct layer_job *job = context;
    const vit_trainer *t = job->trainer;
    const int width = t->model->config.width;
    const vit_block *w = &t->model->weights.blocks[job->layer];
    const vit_kept *kept = &t->kept[job->layer];
    float *normed = vit_scratch(t, thread);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        if (job->adds_positions)
            vit_add_positions(t, s, vit_panel(t, kept->x, width, s.begin));
        layernorm(t, vit_panel(t, kept->x, width, s.begin), w->norm1_weight, w->norm1_bias, s.count, normed);
        vit_train_linear(t, normed, width, w->qkv_weight.f32, w->qkv_bias, width, 3 * width, s.count,
                         VIT_EPILOGUE_STORE, vit_panel(t, kept->qkv, 3 * width, s.begin));
    }
}

/* What a branch adds to the residual stream: scale (input wT + bias), of which some is dropped. */
typedef struct branch {
    vit_site site;
    int layer, k, channels;        /* channels: of the input's panels, the first k of which count */
    const float *w, *bias, *scale; /* scale: of LayerScale, or NULL */
} branch;

static branch attention_branch(const vit_trainer *t, int layer) {
    const vit_block *w = &t->model->weights.blocks[layer];
    const int width = t->model->config.width;
    return (branch){VIT_SITE_PROJ, layer, width, width, w->proj_weight.f32, w->proj_bias, w->scale1};
}

static branch mlp_branch(const vit_trainer *t, int layer) {
    const vit_block *w = &t->model->weights.blocks[layer];
    const vit_config *c = &t->model->config;
    const int channels = (int)vit_fc1_rows(c);
    return (branch){VIT_SITE_FC2, layer, c->mlp_width, channels, w->fc2_weight.f32, w->fc2_bias, w->scale2};
}

/* Panels of D, times a factor for each channel. */
static void scale_channels(const vit_trainer *t, const float *scale, int count, float *x) {
    const int r = t->kernels->panel, width = t->model->config.width;
    for (int p = 0; p < count; p++)
        for (int d = 0; d < width; d++)
            for (int lane = 0; lane < r; lane++, x++)
                *x *= scale[d];
}

/* y = x + the branch; in one go where it does not stand apart. */
static void residual(const vit_trainer *t, branch b, vit_span s, const float *x, const float *input, float *scratch,
                     float *y) {
    const int width = t->model->config.width;
    const size_t bytes = vit_panel_bytes(t, width, s.count);
    memcpy(y, x, bytes);
    if (!t->apart) {
        vit_train_linear(t, input, b.channels, b.w, b.bias, b.k, width, s.count, VIT_EPILOGUE_ADD, y);
        return;
    }
    vit_train_linear(t, input, b.channels, b.w, b.bias, b.k, width, s.count, VIT_EPILOGUE_STORE, scratch);
    if (b.scale)
        scale_channels(t, b.scale, s.count, scratch);
    if (t->drops)
        vit_drop(t, b.site, b.layer, scratch, width, s.begin, s.count);
    for (size_t i = 0; i < bytes / sizeof *y; i++)
        y[i] += scratch[i];
}

/* What fc2 takes of what fc1 gives, with what is dropped; both panels of fc1's outputs. */
static void activate(const vit_trainer *t, int layer, vit_span s, const float *hidden, float *out) {
    const vit_config *c = &t->model->config;
    const int rows = (int)vit_fc1_rows(c);
    const size_t bytes = vit_panel_bytes(t, rows, s.count);
    memcpy(out, hidden, bytes);
    if (c->mlp == VIT_MLP_PLAIN)
        t->train->activate(vit_gelu_epilogue(c->activation), out, bytes / sizeof *out);
    else
        for (int p = 0; p < s.count; p++)
            t->kernels->gate(vit_panel(t, out, rows, p), c->mlp_width);
    if (t->options.dropout > 0)
        vit_drop(t, VIT_SITE_HIDDEN, layer, out, rows, s.begin, s.count);
}

/* hidden becomes what fc2 takes, and dhidden, that one's gradient, its own. */
static void activate_backward(const vit_trainer *t, int layer, vit_span s, float *hidden, float *dhidden) {
    const vit_config *c = &t->model->config;
    const int rows = (int)vit_fc1_rows(c);
    if (t->options.dropout > 0)
        vit_drop(t, VIT_SITE_HIDDEN, layer, dhidden, rows, s.begin, s.count);
    if (c->mlp == VIT_MLP_PLAIN)
        t->train->activation_backward(vit_gelu_epilogue(c->activation), hidden, dhidden,
                                      vit_panel_bytes(t, rows, s.count) / sizeof *hidden);
    else
        for (int p = 0; p < s.count; p++)
            t->train->gate_backward(vit_panel(t, hidden, rows, p), vit_panel(t, dhidden, rows, p), c->mlp_width);
    if (t->options.dropout > 0)
        vit_drop(t, VIT_SITE_HIDDEN, layer, hidden, rows, s.begin, s.count);
}

static void mlp_blocks(void *context, int begin, int end, int thread) {
    const struct layer_job *job = context;
    const vit_trainer *t = job->trainer;
    const vit_config *c = &t->model->config;
    const vit_block *w = &t->model->weights.blocks[job->layer];
    const vit_kept *kept = &t->kept[job->layer];
    const int rows = (int)vit_fc1_rows(c);
    float *next = job->layer + 1 < c->layers ? t->kept[job->layer + 1].x : t->x;
    float *normed = vit_scratch(t, thread), *gelu = vit_panel(t, normed, c->width, t->block);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        float *middle = vit_panel(t, kept->middle, c->width, s.begin);
        float *hidden = vit_panel(t, kept->hidden, rows, s.begin);
        residual(t, attention_branch(t, job->layer), s, vit_panel(t, kept->x, c->width, s.begin),
                 vit_panel(t, kept->mixed, c->width, s.begin), normed, middle);
        layernorm(t, middle, w->norm2_weight, w->norm2_bias, s.count, normed);
        vit_train_linear(t, normed, c->width, w->fc1_weight.f32, w->fc1_bias, c->width, rows, s.count,
                         VIT_EPILOGUE_STORE, hidden);
        activate(t, job->layer, s, hidden, gelu);
        residual(t, mlp_branch(t, job->layer), s, middle, gelu, normed, vit_panel(t, next, c->width, s.begin));
    }
}

static int has_own_positions(const vit_config *c) {
    return vit_has_table(c) && c->pos_placement != VIT_POS_INPUT;
}

void vit_forward_layer(vit_trainer *t, int layer, int again) {
    struct layer_job job = {t, layer, !again && has_own_positions(&t->model->config)};
    if (job.adds_positions && t->model->config.pos_placement == VIT_POS_LAYERS)
        vit_make_positions(t, layer);
    vit_team_run(t->team, t->blocks, 1, qkv_blocks, &job);
    vit_train_attention_forward(t, layer);
    for_blocks(t, layer, mlp_blocks);
}

/* ---- Backward ---- */

void vit_norm_backward_panels(const vit_trainer *t, const float *x, const float *gain, const float *dnormed, int count,
                              const float *dy, float *sums, float *scratch, float *dx) {
    const vit_config *c = &t->model->config;
    if (dx != dy)
        memcpy(dx, dy, vit_panel_bytes(t, c->width, count));
    const vit_norm_backward b = {.x = x, .gain = gain, .dy = dnormed, .dx = dx, .dgain = sums, .dbias = sums + c->width,
                                 .scratch = scratch, .eps = c->norm_eps, .width = c->width};
    t->train->layernorm_backward(&b, 0, count);
}

/* The gradient of a branch's linear layer: dx itself where it does not stand apart, else in `out`. sums [D] += that of
 * its scale, for which its output is computed again of its input: scratch, panels of D. */
static float *branch_gradient(const vit_trainer *t, branch b, vit_span s, const float *input, float *dx, float *sums,
                              float *scratch, float *out) {
    const int width = t->model->config.width;
    if (!t->apart)
        return vit_panel(t, dx, width, s.begin);
    const size_t bytes = vit_panel_bytes(t, width, s.count);
    out = vit_panel(t, out, width, s.begin);
    memcpy(out, vit_panel(t, dx, width, s.begin), bytes);
    if (t->drops)
        vit_drop(t, b.site, b.layer, out, width, s.begin, s.count);
    if (!b.scale)
        return out;
    vit_train_linear(t, input, b.channels, b.w, b.bias, b.k, width, s.count, VIT_EPILOGUE_STORE, scratch);
    for (size_t i = 0; i < bytes / sizeof *out; i++)
        scratch[i] *= out[i];
    t->train->sum_tokens(scratch, width, sums, 0, s.count);
    scale_channels(t, b.scale, s.count, out);
    return out;
}

/* Down to the gradient of attention's output. */
static void mlp_backward_blocks(void *context, int begin, int end, int thread) {
    const struct layer_job *job = context;
    const vit_trainer *t = job->trainer;
    const vit_config *c = &t->model->config;
    const int d = c->width, rows = (int)vit_fc1_rows(c);
    const vit_sums at = vit_sums_of(c);
    const vit_block *w = &t->model->weights.blocks[job->layer];
    const vit_kept *kept = &t->kept[job->layer];
    float *dnormed = vit_scratch(t, thread), *scratch = vit_panel(t, dnormed, d, t->block);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        float *sums = t->sums + (size_t)b * (size_t)at.count;
        memset(sums, 0, (size_t)at.qkv_bias * sizeof *sums);
        float *hidden = vit_panel(t, kept->hidden, rows, s.begin), *dhidden = vit_panel(t, t->dhidden, rows, s.begin);
        float *middle = vit_panel(t, kept->middle, d, s.begin), *dmiddle = vit_panel(t, t->dx[1], d, s.begin);
        if (w->scale2)
            activate(t, job->layer, s, hidden, scratch);
        const float *dy = branch_gradient(t, mlp_branch(t, job->layer), s, scratch, t->dx[0], sums + at.scale2, dnormed,
                                          t->branch[1]);
        t->train->sum_tokens(dy, d, sums + at.fc2_bias, 0, s.count);
        vit_train_linear_backward(t, dy, w->fc2_weight.f32, c->mlp_width, d, s.count, rows, dhidden);
        activate_backward(t, job->layer, s, hidden, dhidden);
        t->train->sum_tokens(dhidden, rows, sums + at.fc1_bias, 0, s.count);
        vit_train_linear_backward(t, dhidden, w->fc1_weight.f32, d, rows, s.count, d, dnormed);
        layernorm(t, middle, w->norm2_weight, w->norm2_bias, s.count, vit_panel(t, t->normed[1], d, s.begin));
        vit_norm_backward_panels(t, middle, w->norm2_weight, dnormed, s.count, vit_panel(t, t->dx[0], d, s.begin),
                                 sums + at.norm2, scratch, dmiddle);
        const float *dproj = branch_gradient(t, attention_branch(t, job->layer), s,
                                             vit_panel(t, kept->mixed, d, s.begin), t->dx[1], sums + at.scale1, dnormed,
                                             t->branch[0]);
        t->train->sum_tokens(dproj, d, sums + at.proj_bias, 0, s.count);
        vit_train_linear_backward(t, dproj, w->proj_weight.f32, d, d, s.count, d,
                                  vit_panel(t, t->dmixed, d, s.begin));
    }
}

static void qkv_backward_blocks(void *context, int begin, int end, int thread) {
    const struct layer_job *job = context;
    const vit_trainer *t = job->trainer;
    const int d = t->model->config.width;
    const vit_sums at = vit_sums_of(&t->model->config);
    const vit_block *w = &t->model->weights.blocks[job->layer];
    float *dnormed = vit_scratch(t, thread), *scratch = vit_panel(t, dnormed, d, t->block);
    for (int b = begin; b < end; b++) {
        const vit_span s = vit_span_of(t, b);
        float *sums = t->sums + (size_t)b * (size_t)at.count;
        memset(sums + at.qkv_bias, 0, (size_t)(at.count - at.qkv_bias) * sizeof *sums);
        const float *x = vit_panel(t, t->kept[job->layer].x, d, s.begin);
        const float *dqkv = vit_panel(t, t->dqkv, 3 * d, s.begin);
        t->train->sum_tokens(dqkv, 3 * d, sums + at.qkv_bias, 0, s.count);
        vit_train_linear_backward(t, dqkv, w->qkv_weight.f32, d, 3 * d, s.count, d, dnormed);
        layernorm(t, x, w->norm1_weight, w->norm1_bias, s.count, vit_panel(t, t->normed[0], d, s.begin));
        vit_norm_backward_panels(t, x, w->norm1_weight, dnormed, s.count, vit_panel(t, t->dx[1], d, s.begin),
                                 sums + at.norm1, scratch, vit_panel(t, t->dx[2], d, s.begin));
    }
}

void vit_add_sums(const vit_trainer *t, int at, int count, const float *parameter) {
    if (!parameter)
        return;
    float *gradient = vit_gradient(t, parameter);
    const int all = vit_sums_of(&t->model->config).count;
    for (int b = 0; b < t->blocks; b++)
        for (int i = 0; i < count; i++)
            gradient[i] += t->sums[(size_t)b * (size_t)all + (size_t)(at + i)];
}

void vit_backward_layer(vit_trainer *t, int layer) {
    const vit_config *c = &t->model->config;
    const int d = c->width, f = c->mlp_width, rows = (int)vit_fc1_rows(c);
    const vit_sums at = vit_sums_of(&t->model->config);
    const vit_block *w = &t->model->weights.blocks[layer];
    const vit_kept *kept = &t->kept[layer];
    for_blocks(t, layer, mlp_backward_blocks);
    vit_train_attention_backward(t, layer);
    for_blocks(t, layer, qkv_backward_blocks);
    const vit_product products[] = {
        {t->apart ? t->branch[1] : t->dx[0], kept->hidden, vit_gradient(t, w->fc2_weight.f32), d, f, t->lanes, rows},
        {t->dhidden, t->normed[1], vit_gradient(t, w->fc1_weight.f32), rows, d, t->lanes, 0},
        {t->dqkv, t->normed[0], vit_gradient(t, w->qkv_weight.f32), 3 * d, d, t->lanes, 0},
        {t->apart ? t->branch[0] : t->dx[1], kept->mixed, vit_gradient(t, w->proj_weight.f32), d, d, t->lanes, 0},
    };
    vit_products(t, products, 4);
    vit_add_sums(t, at.fc2_bias, d, w->fc2_bias);
    vit_add_sums(t, at.fc1_bias, rows, w->fc1_bias);
    vit_add_sums(t, at.norm2, d, w->norm2_weight);
    vit_add_sums(t, at.norm2 + d, d, w->norm2_bias);
    vit_add_sums(t, at.proj_bias, d, w->proj_bias);
    vit_add_sums(t, at.scale1, d, w->scale1);
    vit_add_sums(t, at.scale2, d, w->scale2);
    /* the keys' bias moves all scores of a query alike: its gradient is 0, and rounding's would be blown up by Adam */
    vit_add_sums(t, at.qkv_bias, d, w->qkv_bias);
    vit_add_sums(t, at.qkv_bias + 2 * d, d, w->qkv_bias ? w->qkv_bias + 2 * d : NULL);
    vit_add_sums(t, at.norm1, d, w->norm1_weight);
    vit_add_sums(t, at.norm1 + d, d, w->norm1_bias);
    if (has_own_positions(&t->model->config))
        vit_positions_backward(t, layer, t->dx[2]);
}
