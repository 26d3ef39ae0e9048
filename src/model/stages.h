/* What the files of stages share. Each stage is a few regions of work that the team shares; no result crosses a chunk,
 * so the number of threads never changes a bit. */
#ifndef VIT_MODEL_STAGES_H
#define VIT_MODEL_STAGES_H

#include "session.h"

/* ---- Layers: stages_layer.c ---- */

/* Bytes of a quantised panel of k channels. */
size_t vit_quantized_bytes(const vit_session *s, int k);
/* y = epilogue(x wT + bias) on dense panels of k and n channels: `panels` of each image, with so many tokens. */
void vit_linear_f32(vit_session *s, const float *x, const float *weight, const float *bias, int k, int n, int images,
                    int panels, int tokens, vit_epilogue epilogue, float *y);
/* Panels of all tokens, of whose channels a linear layer reads the first k. */
typedef struct vit_tokens {
    const float *x;
    int channels, k;
} vit_tokens;
/* The same for all tokens by the kernels of the session: x was quantised if those are of int8. */
void vit_linear(vit_session *s, vit_tokens x, const vit_matrix *weight, const float *bias, int n, vit_epilogue epilogue,
                float *y);
/* x for the next linear layer; nothing in f32. */
void vit_quantize(vit_session *s, vit_tokens x);
/* Of dense panels of `width` channels. */
void vit_layernorm(vit_session *s, const float *x, const float *weight, const float *bias, int width, int panels,
                   float *y);
/* normed = LayerNorm of the residual stream, for the next linear layer; returns it. */
vit_tokens vit_normalize(vit_session *s, const float *weight, const float *bias);

/* ---- Stages ---- */

/* stages_resnet.c */
void vit_run_conv_root(vit_session *s, int index);
void vit_run_stem(vit_session *s, int index);
void vit_run_unit(vit_session *s, int index);
void vit_run_unit_v2(vit_session *s, int index);
void vit_run_map_norm(vit_session *s, int index);
vit_view vit_map_view(const vit_session *s, const float *map, int stage, int channels);
/* Mean over the normed last map of an image: [D] at a stride of `stride` floats. */
void vit_average_map(const vit_session *s, int image, float *out, int stride);
/* A job that fills `wide` with patches of the last map. */
void vit_map_patches(void *session, int begin, int end, int thread);
/* stages_input.c */
/* Bytes of the session's wide buffer that making positions works in. */
size_t vit_positions_bytes(const vit_session *s);
/* At the input of a layer: adds its positions, or makes its table of distances in the session's positions. */
void vit_enter_layer(vit_session *s, int layer);
void vit_run_patch_embed(vit_session *s, int layer);
void vit_run_positions(vit_session *s, int layer);
void vit_run_embed(vit_session *s, int layer);
/* stages_block.c */
vit_epilogue vit_gelu_epilogue(vit_activation activation);
void vit_run_qkv(vit_session *s, int layer);
/* stages_attention.c */
/* Floats a thread works in. */
size_t vit_attention_scratch(const vit_session *s, int capture);
float vit_softmax_scale(int head_width);
void vit_run_attention(vit_session *s, int layer);
/* stages_block.c */
void vit_run_proj(vit_session *s, int layer);
void vit_run_fc1(vit_session *s, int layer);
void vit_run_fc2(vit_session *s, int layer);
/* stages_head.c */
/* What the final norm leaves: its output, or the residual stream of a network without one. */
const float *vit_final_tokens(const vit_session *s);
void vit_run_norm(vit_session *s, int layer);
void vit_run_map_attention(vit_session *s, int layer);
void vit_run_head_input(vit_session *s, int layer);
void vit_run_features(vit_session *s, int layer);
void vit_run_pre_logits(vit_session *s, int layer);
void vit_run_class_logits(vit_session *s, int layer);
void vit_run_dist_logits(vit_session *s, int layer);
void vit_run_mean_logits(vit_session *s, int layer);
/* stages_decoder.c */
/* The encoder, seeing all patches. */
void vit_enter_encoder(vit_session *s);
/* Bytes of the session's wide buffer that making the decoder's positions works in. */
size_t vit_decoder_positions_bytes(const vit_session *s);
/* The token that stands in for a hidden patch; NULL where the token is none. */
const float *vit_mask_token(const vit_session *s, int image, int token);
/* Of the embedded tokens, those of hidden patches leave. */
void vit_keep_visible(vit_session *s);
void vit_run_decoder_embed(vit_session *s, int layer);
void vit_run_decoder_norm(vit_session *s, int layer);
void vit_run_prediction(vit_session *s, int layer);

#endif
