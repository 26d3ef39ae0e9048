/* Masked prediction: what the encoder sees of a picture, and the decoder that predicts the rest (MAE, SimMIM, the
 * paper's). */
#include "posemb.h"
#include "stages.h"

#include <string.h>

/* ---- Who sees what ---- */

static void see(vit_session *s, int patches) {
    s->tokens = s->prefix + patches;
    s->panels = (s->tokens + s->kernels->panel - 1) / s->kernels->panel;
}

void vit_enter_encoder(vit_session *s) {
    const vit_config *c = &s->model->config;
    s->trunk = (vit_trunk){s->model->weights.blocks, c->width, c->heads, c->mlp_width};
    see(s, s->patches);
}

static void enter_decoder(vit_session *s) {
    const vit_decoder *d = &s->model->config.decoder;
    s->trunk = (vit_trunk){s->model->weights.decoder_blocks, d->width, d->heads, d->mlp_width};
    see(s, s->patches);
}

static int is_hidden(const vit_session *s, int image, int token) {
    return token >= s->prefix && s->hidden_patches[(size_t)image * (size_t)s->patches + (size_t)(token - s->prefix)];
}

vit_status vit_session_hide(vit_session *s, const uint8_t *hidden, vit_error *error) {
    const size_t patches = (size_t)s->patches;
    int visible = s->patches;
    if (!s->masked)
        return vit_fail(error, VIT_ERR_ARGUMENT, "hidden patches: expected a session opened with `masked`");
    for (int image = 0; image < s->batch; image++) {
        int own = 0;
        for (size_t i = 0; i < patches; i++)
            own += !hidden[(size_t)image * patches + i];
        if (s->model->config.decoder.kind == VIT_DECODER_MAE && (own < 1 || (image > 0 && own != visible)))
            return vit_fail(error, VIT_ERR_ARGUMENT,
                            "hidden patches: %d of %d are visible in image %d: expected at least 1, as many in every "
                            "image",
                            own, s->patches, image);
        visible = own;
    }
    for (size_t i = 0; i < patches * (size_t)s->batch; i++)
        s->hidden_patches[i] = hidden[i] != 0;
    s->visible = s->model->config.decoder.kind == VIT_DECODER_MAE ? visible : s->patches;
    vit_stages_make(s, s->stages);
    s->next = 0;
    return VIT_OK;
}

const float *vit_mask_token(const vit_session *s, int image, int token) {
    const int learned = s->masked && s->model->config.decoder.kind != VIT_DECODER_MAE;
    return learned && is_hidden(s, image, token) ? s->model->weights.mask_token : NULL;
}

/* One lane of panels to a lane of others. */
static void copy_lane(const float *from, float *to, int channels, int r) {
    for (int d = 0; d < channels; d++)
        to[(ptrdiff_t)d * r] = from[(ptrdiff_t)d * r];
}

void vit_keep_visible(vit_session *s) {
    const int r = s->kernels->panel, width = s->trunk.width, tokens = s->tokens;
    const size_t panel = (size_t)width * (size_t)r, all = (size_t)s->panels * panel;
    see(s, s->visible);
    const size_t image_floats = (size_t)s->panels * panel;
    memset(s->normed, 0, (size_t)s->batch * image_floats * sizeof *s->normed);
    for (int image = 0; image < s->batch; image++)
        for (int token = 0, kept = 0; token < tokens; token++)
            if (!is_hidden(s, image, token)) {
                copy_lane(s->x + (size_t)image * all + (size_t)(token / r) * panel + token % r,
                          s->normed + (size_t)image * image_floats + (size_t)(kept / r) * panel + kept % r, width, r);
                kept++;
            }
    memcpy(s->x, s->normed, (size_t)s->batch * image_floats * sizeof *s->x);
}

/* ---- The decoder ---- */

size_t vit_decoder_positions_bytes(const vit_session *s) {
    const vit_config *c = &s->model->config;
    return vit_posemb_bytes(1, vit_stored_rows(c) * vit_stored_columns(c), c->decoder.width,
                            vit_interpolation_of(VIT_RESAMPLE_HF), 1, s->patches);
}

/* transformers interpolates the table along the row of all patches, not on their grid. */
static void make_positions(vit_session *s) {
    const vit_config *c = &s->model->config;
    const float *table = s->model->weights.decoder_pos_embed;
    const size_t first = (size_t)c->class_token * (size_t)c->decoder.width;
    memcpy(s->decoder_positions, table, first * sizeof *table);
    vit_posemb_interpolate(table + first, 1, vit_stored_rows(c) * vit_stored_columns(c), c->decoder.width,
                           vit_interpolation_of(VIT_RESAMPLE_HF), 1, s->patches, s->decoder_positions + first, s->wide);
}

/* Tokens of one image in their places again, and the mask token in all others; panels of what the encoder saw. */
static void restore_image(vit_session *s, int image, const float *latent) {
    const int r = s->kernels->panel, width = s->trunk.width;
    int kept = 0;
    for (int token = 0; token < s->panels * r; token++) {
        float *x = s->x + ((size_t)(image * s->panels + token / r) * (size_t)width) * (size_t)r + token % r;
        const int given = token < s->tokens && !is_hidden(s, image, token);
        const float *from = latent + (size_t)(kept / r) * (size_t)(width * r) + kept % r;
        for (int d = 0; d < width; d++) {
            const float value = given ? from[(ptrdiff_t)d * r] : s->model->weights.mask_token[d];
            const size_t at = (size_t)token * (size_t)width + (size_t)d;
            x[(ptrdiff_t)d * r] = token < s->tokens ? value + s->decoder_positions[at] : 0;
        }
        kept += given;
    }
}

void vit_run_decoder_embed(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const vit_tokens latent = {vit_final_tokens(s), c->width, c->width};
    if (!s->has_decoder_positions)
        make_positions(s);
    s->has_decoder_positions = 1;
    vit_quantize(s, latent);
    vit_linear(s, latent, &w->decoder_embed_weight, w->decoder_embed_bias, c->decoder.width, VIT_EPILOGUE_STORE,
               s->wide);
    const size_t image_floats = (size_t)s->panels * (size_t)c->decoder.width * (size_t)s->kernels->panel;
    enter_decoder(s);
    for (int image = 0; image < s->batch; image++)
        restore_image(s, image, s->wide + (size_t)image * image_floats);
}

void vit_run_decoder_norm(vit_session *s, int layer) {
    (void)layer;
    const vit_weights *w = &s->model->weights;
    vit_layernorm(s, s->x, w->decoder_norm_weight, w->decoder_norm_bias, s->trunk.width, s->batch * s->panels,
                  s->normed);
}

void vit_run_prediction(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    const float *tokens = c->decoder.kind == VIT_DECODER_MAE ? s->normed : vit_final_tokens(s);
    vit_linear_f32(s, tokens, w->prediction_weight, w->prediction_bias, s->trunk.width, vit_prediction_values(c), s->batch,
                   s->panels, s->tokens, VIT_EPILOGUE_STORE, s->wide);
}
