/* Blocks: x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x)))), or fc2(silu(gate) * value) of two halves of
 * fc1; each branch times a vector with LayerScale. */
#include "stages.h"

void vit_run_qkv(vit_session *s, int layer) {
    const vit_block *b = &s->trunk.blocks[layer];
    if (s->trunk.blocks == s->model->weights.blocks)
        vit_enter_layer(s, layer);
    const vit_tokens x = vit_normalize(s, b->norm1_weight, b->norm1_bias);
    vit_linear(s, x, &b->qkv_weight, b->qkv_bias, 3 * s->trunk.width, VIT_EPILOGUE_STORE, s->wide);
}

/* ---- The ends of the branches ---- */

struct add_job {
    const vit_session *session;
    const float *branch, *scale;
};

/* x += scale * branch */
static void add_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct add_job *job = context;
    const size_t r = (size_t)job->session->kernels->panel, width = (size_t)job->session->trunk.width;
    for (size_t p = (size_t)begin; p < (size_t)end; p++) {
        float *x = job->session->x + p * width * r;
        const float *branch = job->branch + p * width * r;
        for (size_t d = 0; d < width; d++)
            for (size_t lane = 0; lane < r; lane++)
                x[d * r + lane] += job->scale[d] * branch[d * r + lane];
    }
}

/* x += the linear layer of y, scaled where there is LayerScale: then the layer goes through `room`, panels of D
 * channels. */
static void add_branch(vit_session *s, vit_tokens y, const vit_matrix *weight, const float *bias, const float *scale,
                       float *room) {
    struct add_job job = {s, room, scale};
    vit_quantize(s, y);
    vit_linear(s, y, weight, bias, s->trunk.width, scale ? VIT_EPILOGUE_STORE : VIT_EPILOGUE_ADD, scale ? room : s->x);
    if (scale)
        vit_team_run(s->team, s->batch * s->panels, 2, add_panels, &job);
}

void vit_run_proj(vit_session *s, int layer) {
    const vit_block *b = &s->trunk.blocks[layer];
    const int width = s->trunk.width;
    add_branch(s, (vit_tokens){s->normed, width, width}, &b->proj_weight, b->proj_bias, b->scale1, s->wide);
}

static void gate_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_session *s = context;
    const int hidden = s->trunk.mlp_width;
    for (int p = begin; p < end; p++)
        s->kernels->gate(s->wide + (size_t)p * 2 * (size_t)hidden * (size_t)s->kernels->panel, hidden);
}

vit_epilogue vit_gelu_epilogue(vit_activation activation) {
    static const vit_epilogue gelu[] = {[VIT_GELU_ERF] = VIT_EPILOGUE_GELU_ERF,
                                        [VIT_GELU_TANH] = VIT_EPILOGUE_GELU_TANH,
                                        [VIT_GELU_QUICK] = VIT_EPILOGUE_GELU_QUICK};
    return gelu[activation];
}

void vit_run_fc1(vit_session *s, int layer) {
    const vit_block *b = &s->trunk.blocks[layer];
    const vit_config *c = &s->model->config;
    const int hidden = s->trunk.mlp_width;
    const vit_tokens x = vit_normalize(s, b->norm2_weight, b->norm2_bias);
    if (c->mlp == VIT_MLP_PLAIN) {
        vit_linear(s, x, &b->fc1_weight, b->fc1_bias, hidden, vit_gelu_epilogue(c->activation), s->wide);
        return;
    }
    vit_linear(s, x, &b->fc1_weight, b->fc1_bias, 2 * hidden, VIT_EPILOGUE_STORE, s->wide);
    vit_team_run(s->team, s->batch * s->panels, 1, gate_panels, s);
}

void vit_run_fc2(vit_session *s, int layer) {
    const vit_block *b = &s->trunk.blocks[layer];
    const int hidden = s->trunk.mlp_width, gated = s->model->config.mlp == VIT_MLP_SWIGLU;
    add_branch(s, (vit_tokens){s->wide, gated ? 2 * hidden : hidden, hidden}, &b->fc2_weight, b->fc2_bias, b->scale2,
               s->normed);
}
