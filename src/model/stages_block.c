/* Blocks: x += proj(attention(norm1(x))); x += fc2(gelu(fc1(norm2(x)))). */
#include "stages.h"

void vit_run_qkv(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width;
    vit_enter_layer(s, layer);
    vit_normalize(s, b->norm1_weight, b->norm1_bias);
    vit_linear(s, s->normed, &b->qkv_weight, b->qkv_bias, width, 3 * width, VIT_EPILOGUE_STORE, s->wide);
}

void vit_run_proj(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const int width = s->model->config.width, panels = s->batch * s->panels;
    vit_quantize(s, s->normed, width, panels);
    vit_linear(s, s->normed, &b->proj_weight, b->proj_bias, width, width, VIT_EPILOGUE_ADD, s->x);
}

vit_epilogue vit_gelu_epilogue(const vit_config *c) {
    static const vit_epilogue gelu[] = {[VIT_GELU_ERF] = VIT_EPILOGUE_GELU_ERF,
                                        [VIT_GELU_TANH] = VIT_EPILOGUE_GELU_TANH,
                                        [VIT_GELU_QUICK] = VIT_EPILOGUE_GELU_QUICK};
    return gelu[c->activation];
}

void vit_run_fc1(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    vit_normalize(s, b->norm2_weight, b->norm2_bias);
    vit_linear(s, s->normed, &b->fc1_weight, b->fc1_bias, c->width, c->mlp_width, vit_gelu_epilogue(c), s->wide);
}

void vit_run_fc2(vit_session *s, int layer) {
    const vit_block *b = &s->model->weights.blocks[layer];
    const vit_config *c = &s->model->config;
    const int panels = s->batch * s->panels;
    vit_quantize(s, s->wide, c->mlp_width, panels);
    vit_linear(s, s->wide, &b->fc2_weight, b->fc2_bias, c->mlp_width, c->width, VIT_EPILOGUE_ADD, s->x);
}
