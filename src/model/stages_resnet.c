/* The convolutional part: stem and residual units, before activation in BiT, after it in hybrids. */
#include "convolution.h"
#include "stages.h"

#include <string.h>

/* ---- Sizes ---- */

static int is_same(const vit_session *s) {
    return vit_resnet_rules_of(s->model->config.resnet.kind)->same;
}

/* Windows on the maps of a stage, stage -1 being the stem's convolution, -2 the input. */
static vit_windows windows_on(const vit_session *s, int stage, int size, int stride) {
    return vit_windows_make(vit_map_side(&s->model->config.resnet, s->height, stage),
                            vit_map_side(&s->model->config.resnet, s->width, stage), size, stride, is_same(s));
}

static vit_windows root_windows(const vit_session *s) {
    const vit_resnet *r = &s->model->config.resnet;
    return windows_on(s, -2, vit_root_size(r), vit_root_stride(r));
}

/* Windows of a unit on what comes in. */
static vit_windows unit_windows(const vit_session *s, const vit_unit_shape *u, int size) {
    return windows_on(s, u->stride > 1 ? u->stage - 1 : u->stage, size, u->stride);
}

static size_t map_floats(const vit_session *s, int height, int width, int channels) {
    const size_t lanes = vit_size_mul((size_t)vit_map_panels(s->kernels, height, width), (size_t)s->kernels->panel);
    return vit_size_mul(vit_size_mul(lanes, (size_t)channels), (size_t)s->batch);
}

static void grow(size_t *most, size_t size) {
    *most = size > *most ? size : *most;
}

vit_map_sizes vit_measure_maps(const vit_session *s) {
    const vit_resnet *r = &s->model->config.resnet;
    const vit_windows stem = root_windows(s), pool = windows_on(s, -1, 3, 2);
    vit_map_sizes sizes = {.side = map_floats(s, stem.out_height, stem.out_width, r->stem_width),
                           .main = map_floats(s, pool.out_height, pool.out_width, r->stem_width),
                           .scratch = vit_convolution_scratch(s->kernels, &stem, 3, s->batch)};
    for (int i = 0; i < vit_unit_count(r); i++) {
        const vit_unit_shape u = vit_unit_at(r, i);
        const vit_windows w = unit_windows(s, &u, 3), shortcut = unit_windows(s, &u, 1);
        grow(&sizes.main, map_floats(s, w.out_height, w.out_width, 4 * u.middle));
        grow(&sizes.side, map_floats(s, w.out_height, w.out_width, 4 * u.middle));
        grow(&sizes.side, map_floats(s, w.height, w.width, u.channels));
        grow(&sizes.wide, map_floats(s, w.height, w.width, u.middle));
        grow(&sizes.narrow, map_floats(s, w.out_height, w.out_width, u.middle));
        grow(&sizes.scratch, vit_convolution_scratch(s->kernels, &w, u.middle, s->batch));
        grow(&sizes.scratch, vit_convolution_scratch(s->kernels, &shortcut, u.channels, s->batch));
    }
    return sizes;
}

/* ---- Stages ---- */

static void group_norm(vit_session *s, const float *x, const float *weight, const float *bias, int channels, int pixels,
                       const float *residual, int relu, float *y) {
    const vit_group_norm g = {x, weight, bias, residual, y, NULL, channels, vit_norm_groups(&s->model->config.resnet),
                              pixels, vit_resnet_rules_of(s->model->config.resnet.kind)->norm_eps, relu};
    vit_group_normalize(s, &g);
}

void vit_run_conv_root(vit_session *s, int index) {
    (void)index;
    const vit_convolution c = {root_windows(s), 3, s->model->config.resnet.stem_width,
                               s->model->weights.stem->weight, 1, VIT_EPILOGUE_STORE};
    vit_convolve(s, &c, s->input, s->maps.side);
}

void vit_run_stem(vit_session *s, int index) {
    (void)index;
    const vit_config *c = &s->model->config;
    const vit_stem *stem = s->model->weights.stem;
    const vit_windows pool = windows_on(s, -1, 3, 2);
    if (stem->norm_weight)
        group_norm(s, s->maps.side, stem->norm_weight, stem->norm_bias, c->resnet.stem_width, pool.height * pool.width,
                   NULL, 1, s->maps.side);
    vit_max_pool(s, &pool, c->resnet.stem_width, vit_resnet_rules_of(c->resnet.kind)->pool_outside, s->maps.side,
                 s->maps.main);
}

/* What both kinds of units share. */
typedef struct unit_run {
    vit_unit_shape shape;
    const vit_unit *weights;
    vit_convolution shortcut, conv1, conv2, conv3;
    int pixels_in, pixels_out;
} unit_run;

static unit_run start_unit(const vit_session *s, int index) {
    unit_run u = {.shape = vit_unit_at(&s->model->config.resnet, index), .weights = &s->model->weights.units[index]};
    const int middle = u.shape.middle, channels = u.shape.channels;
    const vit_windows w = unit_windows(s, &u.shape, 3), pixel = unit_windows(s, &u.shape, 1),
                      in = vit_windows_make(w.height, w.width, 1, 1, 0),
                      out = vit_windows_make(w.out_height, w.out_width, 1, 1, 0);
    u.shortcut = (vit_convolution){pixel, channels, 4 * middle, u.weights->shortcut_weight, 0, VIT_EPILOGUE_STORE};
    u.conv1 = (vit_convolution){in, channels, middle, u.weights->conv1_weight, 0, VIT_EPILOGUE_STORE};
    u.conv2 = (vit_convolution){w, middle, middle, u.weights->conv2_weight, 0, VIT_EPILOGUE_STORE};
    u.conv3 = (vit_convolution){out, middle, 4 * middle, u.weights->conv3_weight, 0, VIT_EPILOGUE_STORE};
    u.pixels_in = w.height * w.width;
    u.pixels_out = w.out_height * w.out_width;
    return u;
}

/* ResNet v1.5: x = relu(norm3(conv3(relu(norm2(conv2(relu(norm1(conv1(x)))))))) + shortcut(x)) */
void vit_run_unit(vit_session *s, int index) {
    const unit_run u = start_unit(s, index);
    const vit_unit *w = u.weights;
    const int middle = u.shape.middle;
    float *main = s->maps.main, *side = s->maps.side, *wide = s->maps.wide, *narrow = s->maps.narrow;
    vit_convolve(s, &u.conv1, main, wide);
    group_norm(s, wide, w->norm1_weight, w->norm1_bias, middle, u.pixels_in, NULL, 1, wide);
    vit_convolve(s, &u.conv2, wide, narrow);
    group_norm(s, narrow, w->norm2_weight, w->norm2_bias, middle, u.pixels_out, NULL, 1, narrow);
    if (u.shape.projects) {
        vit_convolve(s, &u.shortcut, main, side);
        group_norm(s, side, w->shortcut_norm_weight, w->shortcut_norm_bias, 4 * middle, u.pixels_out, NULL, 0, main);
    }
    vit_convolve(s, &u.conv3, narrow, side);
    group_norm(s, side, w->norm3_weight, w->norm3_bias, 4 * middle, u.pixels_out, main, 1, main);
}

/* ResNet v2: a = relu(norm1(x)), x = conv3(relu(norm3(conv2(relu(norm2(conv1(a))))))) + (x, or the shortcut of a) */
void vit_run_unit_v2(vit_session *s, int index) {
    unit_run u = start_unit(s, index);
    const vit_unit *w = u.weights;
    const int middle = u.shape.middle;
    float *main = s->maps.main, *side = s->maps.side, *wide = s->maps.wide, *narrow = s->maps.narrow;
    group_norm(s, main, w->norm1_weight, w->norm1_bias, u.shape.channels, u.pixels_in, NULL, 1, side);
    if (u.shape.projects)
        vit_convolve(s, &u.shortcut, side, main);
    vit_convolve(s, &u.conv1, side, wide);
    group_norm(s, wide, w->norm2_weight, w->norm2_bias, middle, u.pixels_in, NULL, 1, wide);
    vit_convolve(s, &u.conv2, wide, narrow);
    group_norm(s, narrow, w->norm3_weight, w->norm3_bias, middle, u.pixels_out, NULL, 1, narrow);
    u.conv3.epilogue = VIT_EPILOGUE_ADD;
    vit_convolve(s, &u.conv3, narrow, main);
}

/* BiT's last norm, with its activation. */
void vit_run_map_norm(vit_session *s, int index) {
    (void)index;
    const vit_weights *w = &s->model->weights;
    group_norm(s, s->maps.main, w->norm_weight, w->norm_bias, s->model->config.width, s->patches, NULL, 1,
               s->maps.side);
}

/* ---- From the last map on ---- */

static int last_stage(const vit_config *c) {
    return c->resnet.stages ? c->resnet.stages - 1 : 0;
}

void vit_average_map(const vit_session *s, int image, float *out, int stride) {
    const int width = s->model->config.width;
    const size_t map = (size_t)vit_map_panels(s->kernels, s->rows, s->columns) * (size_t)(width * s->kernels->panel);
    vit_average_pool(s, s->maps.side + (size_t)image * map, s->patches, width, out, stride);
}

/* Work items: panels of tokens. Patches of the last map in the order of the weight [C,P,P]; other lanes are zero. */
void vit_map_patches(void *context, int begin, int end, int thread) {
    (void)thread;
    vit_session *s = context;
    const vit_config *c = &s->model->config;
    const int r = s->kernels->panel, channels = vit_resnet_channels(&c->resnet);
    const int area = c->patch_height * c->patch_width;
    const int height = vit_map_side(&c->resnet, s->height, last_stage(c)),
              width = vit_map_side(&c->resnet, s->width, last_stage(c));
    const size_t depth = (size_t)channels * (size_t)area;
    for (int p = begin; p < end; p++) {
        const size_t image = (size_t)(p / s->panels) * (size_t)vit_map_panels(s->kernels, height, width);
        const float *map = s->maps.main + image * (size_t)channels * (size_t)r;
        float *panel = s->wide + (size_t)p * depth * (size_t)r;
        memset(panel, 0, depth * (size_t)r * sizeof *panel);
        for (int lane = 0; lane < r; lane++) {
            const int patch = p % s->panels * r + lane - s->prefix;
            for (int i = 0; i < area && patch >= 0 && patch < s->patches; i++) {
                const int row = patch / s->columns * c->patch_height + i / c->patch_width;
                const int pixel = row * width + patch % s->columns * c->patch_width + i % c->patch_width;
                const float *from = map + (size_t)(pixel / r) * (size_t)(channels * r) + pixel % r;
                float *out = panel + i * r + lane;
                for (int channel = 0; channel < channels; channel++, from += r, out += area * r)
                    *out = *from;
            }
        }
    }
}

vit_view vit_map_view(const vit_session *s, const float *map, int stage, int channels) {
    const vit_resnet *r = &s->model->config.resnet;
    return (vit_view){VIT_VIEW_MAP, map, vit_map_side(r, s->width, stage), vit_map_side(r, s->height, stage), channels};
}
