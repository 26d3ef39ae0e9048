/* From pixels to tokens: patches, positions. */
#include "posemb.h"
#include "stages.h"

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

void vit_run_patch_embed(vit_session *s, int layer) {
    (void)layer;
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    vit_team_run(s->team, s->batch * s->panels, 1, patch_panels, s);
    const int depth = 3 * c->patch_height * c->patch_width, panels = s->batch * s->panels;
    vit_quantize(s, s->wide, depth, panels);
    vit_linear(s, s->wide, &w->patch_weight, w->patch_bias, depth, c->width, VIT_EPILOGUE_STORE, s->x);
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
void vit_run_embed(vit_session *s, int layer) {
    (void)layer;
    if (!s->has_positions)
        make_positions(s);
    s->has_positions = 1;
    vit_team_run(s->team, s->batch * s->panels, 1, embed_panels, s);
}
