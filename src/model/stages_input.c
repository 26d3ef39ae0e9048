/* From pixels to tokens: patches, positions. */
#include "posemb.h"
#include "stages.h"

#include <string.h>

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
            int patch = p % s->panels * r + lane - s->prefix;
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
    vit_enter_encoder(s);
    vit_team_run(s->team, s->batch * s->panels, 1, c->resnet.stem_width ? vit_map_patches : patch_panels, s);
    const int depth = vit_resnet_channels(&c->resnet) * c->patch_height * c->patch_width;
    const vit_tokens pixels = {s->wide, depth, depth};
    vit_quantize(s, pixels);
    vit_linear(s, pixels, &w->patch_weight, w->patch_bias, c->width, VIT_EPILOGUE_STORE, s->x);
}

/* ---- Positions ---- */

/* What making positions works in, besides their place. */
typedef struct workspace {
    float *x, *y; /* [columns,D/2], [rows,D/2] */
    void *room;
} workspace;

static workspace take_workspace(const vit_session *s, vit_arena *arena) {
    const vit_config *c = &s->model->config;
    const size_t half = (size_t)c->width / 2;
    workspace w = {0};
    if (c->pos_kind == VIT_POS_2D) {
        w.x = vit_arena_take(arena, vit_size_mul((size_t)s->columns * sizeof(float), half));
        w.y = vit_arena_take(arena, vit_size_mul((size_t)s->rows * sizeof(float), half));
    }
    w.room = vit_arena_take(arena, vit_resample_bytes(c, s->rows, s->columns, 2 * s->tokens - 1));
    return w;
}

size_t vit_positions_bytes(const vit_session *s) {
    vit_arena arena = {0};
    take_workspace(s, &arena);
    return arena.used;
}

/* [columns,D/2] and [rows,D/2] side by side. */
static void combine(const vit_session *s, const float *x, const float *y, float *out) {
    const size_t half = (size_t)s->model->config.width / 2;
    for (int row = 0; row < s->rows; row++)
        for (int column = 0; column < s->columns; column++, out += 2 * half) {
            memcpy(out, x + (size_t)column * half, half * sizeof *out);
            memcpy(out + half, y + (size_t)row * half, half * sizeof *out);
        }
}

/* Fills the session's positions for this grid (paper section 3.2, appendix D.4). */
static void make_positions(vit_session *s, vit_tables t) {
    const vit_config *c = &s->model->config;
    const vit_interpolation how = vit_interpolation_of(c->pos_resample);
    const size_t width = (size_t)c->width, prefix = (size_t)vit_pos_prefix(c);
    const int rows = vit_stored_rows(c), columns = vit_stored_columns(c), half = c->width / 2;
    float *patches = s->positions + (size_t)s->prefix * width;
    vit_arena arena = {.base = (unsigned char *)s->wide, .size = SIZE_MAX};
    const workspace w = take_workspace(s, &arena);
    if (c->pos_kind == VIT_POS_SINCOS2D) {
        vit_posemb_sincos(s->rows, s->columns, c->width, patches);
        return;
    }
    if (prefix)
        memcpy(s->positions, c->pos_kind == VIT_POS_1D ? t.embed : t.cls, prefix * width * sizeof(float));
    if (c->pos_kind == VIT_POS_1D) {
        vit_posemb_interpolate(t.embed + prefix * width, rows, columns, c->width, how, s->rows, s->columns, patches,
                               w.room);
        return;
    }
    vit_posemb_interpolate(t.x, 1, columns, half, how, 1, s->columns, w.x, w.room);
    vit_posemb_interpolate(t.y, 1, rows, half, how, 1, s->rows, w.y, w.room);
    combine(s, w.x, w.y, patches);
}

/* Once: a session may be open before their weights have arrived. */
void vit_run_positions(vit_session *s, int layer) {
    (void)layer;
    if (!s->has_positions)
        make_positions(s, vit_tables_of(&s->model->weights, -1));
    s->has_positions = 1;
}

static void add_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_session *s = context;
    const int r = s->kernels->panel, width = s->model->config.width;
    for (int p = begin; p < end; p++)
        for (int lane = 0; lane < r; lane++) {
            const int token = p % s->panels * r + lane;
            float *x = s->x + (size_t)p * width * r + lane;
            for (int d = 0; d < width && token < s->tokens; d++, x += r)
                *x += s->positions[(size_t)token * width + d];
        }
}

void vit_enter_layer(vit_session *s, int layer) {
    const vit_config *c = &s->model->config;
    const vit_block *b = &s->model->weights.blocks[layer];
    const int stored = (int)vit_rel_rows(c), rows = 2 * s->tokens - 1;
    if (c->pos_kind == VIT_POS_RELATIVE) {
        vit_arena arena = {.base = (unsigned char *)s->wide, .size = SIZE_MAX};
        vit_posemb_interpolate(b->rel_embed, 1, stored, c->width / c->heads, vit_interpolation_of(c->pos_resample), 1,
                               rows, s->positions, take_workspace(s, &arena).room);
        return;
    }
    if (c->pos_placement == VIT_POS_LAYERS && s->positions)
        make_positions(s, vit_tables_of(&s->model->weights, layer));
    if (c->pos_placement != VIT_POS_INPUT && s->positions)
        vit_team_run(s->team, s->batch * s->panels, 1, add_panels, s);
}

/* ---- Tokens ---- */

/* The embedding of a token before the patches. */
static const float *prefix_token(const vit_session *s, int token) {
    const vit_config *c = &s->model->config;
    const vit_weights *w = &s->model->weights;
    if (token < c->class_token)
        return w->class_token;
    if (token < c->class_token + c->dist_token)
        return w->dist_token;
    return w->registers + (size_t)(token - c->class_token - c->dist_token) * (size_t)c->width;
}

/* Lanes of tokens before the patches and of masked ones get their embeddings, pad lanes become zero. */
static void embed_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_session *s = context;
    const int r = s->kernels->panel, width = s->model->config.width;
    for (int p = begin; p < end; p++)
        for (int lane = 0; lane < r; lane++) {
            const int token = p % s->panels * r + lane;
            float *x = s->x + (size_t)p * width * r + lane;
            const float *given = token < s->prefix   ? prefix_token(s, token)
                                 : token < s->tokens ? vit_mask_token(s, p / s->panels, token)
                                                     : NULL;
            if (!given && token < s->tokens)
                continue;
            for (int d = 0; d < width; d++, x += r)
                *x = given ? given[d] : 0;
        }
}

void vit_run_embed(vit_session *s, int layer) {
    (void)layer;
    vit_team_run(s->team, s->batch * s->panels, 1, embed_panels, s);
    if (vit_positions_before_layers(&s->model->config) && s->model->config.pos_placement == VIT_POS_INPUT)
        vit_team_run(s->team, s->batch * s->panels, 1, add_panels, s);
    if (s->visible < s->patches)
        vit_keep_visible(s);
    if (s->model->config.pre_norm)
        vit_layernorm(s, s->x, s->model->weights.pre_norm_weight, s->model->weights.pre_norm_bias, s->trunk.width,
                      s->batch * s->panels, s->x);
}
