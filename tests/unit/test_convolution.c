/* Convolutions, pools and group norm against f64 references, for every table of kernels, over odd sizes, strides and
 * paddings, with one thread and several. Maps lie between NaN fences; pad lanes hold values near the largest float. */
#include "panels.h"

#include "../../src/model/convolution.h"

#include <float.h>

#define UNIT (FLT_EPSILON / 2)
#define BATCH 2

/* Images [BATCH] of one size, as maps or as pixels [H,W,C]. */
typedef struct maps {
    buffer memory;
    int panel, height, width, channels, is_input;
} maps;

static float *value_at(const maps *m, int image, int y, int x, int c) {
    const int pixel = y * m->width + x, panels = (m->height * m->width + m->panel - 1) / m->panel;
    if (m->is_input)
        return m->memory.data + (ptrdiff_t)(image * m->height * m->width + pixel) * m->channels + c;
    const ptrdiff_t panel = image * panels + pixel / m->panel;
    return m->memory.data + (panel * m->channels + c) * m->panel + pixel % m->panel;
}

static maps maps_make(const vit_kernels *kernels, int height, int width, int channels, int is_input) {
    maps m = {.panel = kernels->panel, .height = height, .width = width, .channels = channels, .is_input = is_input};
    const int lanes = is_input ? height * width : (height * width + m.panel - 1) / m.panel * m.panel;
    m.memory = buffer_make((size_t)(BATCH * lanes * channels));
    for (size_t i = 0; i < m.memory.count; i++)
        m.memory.data[i] = i % 2 ? JUNK : -JUNK;
    for (int b = 0; b < BATCH; b++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < channels; c++)
                    *value_at(&m, b, y, x, c) = noise() + 0.25f;
    return m;
}

typedef struct place {
    vit_session session;
    buffer scratch;
} place;

static void place_open(place *p, const vit_kernels *kernels, int threads, size_t scratch) {
    vit_error error;
    *p = (place){.scratch = buffer_make((size_t)threads * scratch)};
    p->session = (vit_session){.kernels = kernels, .threads = threads, .batch = BATCH, .scratch = p->scratch.data,
                               .thread_scratch = scratch};
    vit_options options = vit_default_options();
    CHECK_STATUS(VIT_OK, vit_team_open(&p->session.team, threads, &options.allocator, &error));
    vit_team_limit(p->session.team, threads);
}

static void place_close(place *p) {
    vit_team_close(p->session.team);
    buffer_free(&p->scratch);
}

/* ---- Convolution ---- */

/* TensorFlow's and PyTorch's definition, in f64; the sum of magnitudes beside it. */
static double convolve_at(const maps *x, const float *weight, int size, int stride, int top, int left, int image,
                          int oy, int ox, double *magnitude) {
    double sum = 0;
    for (int c = 0; c < x->channels; c++)
        for (int ky = 0; ky < size; ky++)
            for (int kx = 0; kx < size; kx++) {
                const int y = oy * stride + ky - top, column = ox * stride + kx - left;
                if (y < 0 || y >= x->height || column < 0 || column >= x->width)
                    continue;
                const double term = (double)weight[(c * size + ky) * size + kx] * *value_at(x, image, y, column, c);
                sum += term;
                *magnitude += fabs(term);
            }
    return sum;
}

static const struct geometry {
    int height, width, channels, outputs, size, stride, is_input;
} geometries[] = {
    {1, 1, 5, 7, 3, 1, 0},    {1, 9, 4, 6, 3, 1, 0},     {9, 1, 3, 14, 3, 1, 0},  {1, 8, 2, 3, 3, 1, 0},
    {7, 7, 6, 13, 3, 1, 0},   {5, 13, 32, 64, 3, 1, 0},  {16, 16, 8, 26, 3, 1, 0}, {14, 15, 7, 20, 3, 2, 0},
    {15, 14, 7, 12, 3, 2, 0}, {2, 3, 4, 4, 3, 2, 0},     {1, 2, 4, 9, 3, 2, 0},   {6, 7, 10, 17, 1, 1, 0},
    {6, 7, 10, 16, 1, 2, 0},  {7, 5, 9, 8, 1, 2, 0},     {23, 38, 3, 64, 7, 2, 1}, {8, 8, 3, 10, 7, 2, 1},
    {3, 2, 3, 5, 7, 2, 1},    {1, 1, 3, 32, 7, 2, 1},    {33, 20, 5, 12, 3, 1, 0}, {20, 20, 70, 30, 3, 1, 0},
    {12, 11, 200, 27, 3, 1, 0}, {20, 19, 300, 20, 1, 1, 0},
};

static void test_one(const vit_kernels *kernels, const struct geometry *g, int same, int threads,
                     vit_epilogue epilogue) {
    maps x = maps_make(kernels, g->height, g->width, g->channels, g->is_input);
    buffer weight = buffer_noise((size_t)(g->outputs * g->channels * g->size * g->size));
    vit_convolution c = {vit_windows_make(g->height, g->width, g->size, g->stride, same), g->channels, g->outputs,
                         weight.data, g->is_input, epilogue};
    maps y = maps_make(kernels, c.windows.out_height, c.windows.out_width, g->outputs, 0);
    buffer before = buffer_copy(&y.memory);
    maps old = y;
    old.memory = before;
    /* SAME: as little as needed, the odd one at the end. */
    const int rows = (g->height + g->stride - 1) / g->stride, columns = (g->width + g->stride - 1) / g->stride;
    const int high = (rows - 1) * g->stride + g->size - g->height;
    const int wide = (columns - 1) * g->stride + g->size - g->width;
    const int top = !same ? g->size / 2 : high > 0 ? high / 2 : 0, left = !same ? g->size / 2 : wide > 0 ? wide / 2 : 0;
    CHECK(y.height == rows && y.width == columns);
    place p;
    place_open(&p, kernels, threads, vit_convolution_scratch(kernels, &c.windows, g->channels, BATCH));
    vit_convolve(&p.session, &c, x.memory.data, y.memory.data);
    place_close(&p);
    double worst = 0;
    for (int b = 0; b < BATCH; b++)
        for (int oy = 0; oy < rows; oy++)
            for (int ox = 0; ox < columns; ox++)
                for (int n = 0; n < g->outputs; n++) {
                    double magnitude = 0;
                    const float *w = weight.data + n * g->channels * g->size * g->size;
                    double want = convolve_at(&x, w, g->size, g->stride, top, left, b, oy, ox, &magnitude);
                    if (epilogue == VIT_EPILOGUE_ADD) {
                        want += *value_at(&old, b, oy, ox, n);
                        magnitude += fabs(want);
                    }
                    const double error = fabs(*value_at(&y, b, oy, ox, n) - want);
                    const double allowed = (g->channels * g->size * g->size + 8) * UNIT * magnitude + FLT_MIN;
                    worst = error <= allowed ? fmax(worst, error / allowed) : INFINITY;
                }
    if (!CHECK(worst <= 1))
        printf("    %s: %dx%dx%d -> %d, %dx%d/%d, same %d, threads %d\n", kernels->name, g->height, g->width,
               g->channels, g->outputs, g->size, g->size, g->stride, same, threads);
    buffer_free(&x.memory);
    buffer_free(&y.memory);
    buffer_free(&before);
    buffer_free(&weight);
}

static void test_convolution(void) {
    const vit_kernels *kernels;
    for (int table = 0; (kernels = vit_kernels_at(table)) != NULL; table++)
        for (int i = 0; i < COUNT(geometries); i++)
            for (int same = 0; same < 2; same++) {
                test_one(kernels, &geometries[i], same, 1, VIT_EPILOGUE_STORE);
                test_one(kernels, &geometries[i], same, 3, VIT_EPILOGUE_ADD);
            }
}

/* The number of threads changes nothing. */
static void test_threads(void) {
    const vit_kernels *kernels = vit_kernels_at(0);
    maps x = maps_make(kernels, 13, 9, 24, 0);
    buffer weight = buffer_noise(70 * 24 * 9);
    vit_convolution c = {vit_windows_make(13, 9, 3, 1, 0), 24, 70, weight.data, 0, VIT_EPILOGUE_STORE};
    maps y[4];
    for (int threads = 1; threads <= 4; threads++) {
        place p;
        y[threads - 1] = maps_make(kernels, 13, 9, 70, 0);
        place_open(&p, kernels, threads, vit_convolution_scratch(kernels, &c.windows, 24, BATCH));
        vit_convolve(&p.session, &c, x.memory.data, y[threads - 1].memory.data);
        place_close(&p);
        for (int i = 0; i < BATCH * 13 * 9 * 70; i++) {
            const int n = i % 70, pixel = i / 70 % (13 * 9), b = i / 70 / (13 * 9);
            const float *one = value_at(&y[0], b, pixel / 9, pixel % 9, n);
            if (*value_at(&y[threads - 1], b, pixel / 9, pixel % 9, n) != *one) {
                CHECK(!"equal bits");
                break;
            }
        }
    }
    for (int i = 0; i < 4; i++)
        buffer_free(&y[i].memory);
    buffer_free(&x.memory);
    buffer_free(&weight);
}

/* ---- Pools ---- */

static void test_max_pool(void) {
    static const int sizes[][2] = {{1, 1}, {2, 2}, {3, 4}, {7, 7}, {8, 9}, {23, 39}};
    const vit_kernels *kernels;
    for (int table = 0; (kernels = vit_kernels_at(table)) != NULL; table++)
        for (int i = 0; i < COUNT(sizes); i++)
            for (int rule = 0; rule < 3; rule++) { /* SAME, pad 1 with zeros, pad 1 with -infinity */
                const int h = sizes[i][0], w = sizes[i][1], channels = 5, out_h = (h + 1) / 2, out_w = (w + 1) / 2;
                const float outside = rule == 1 ? 0 : -INFINITY;
                const vit_windows windows = vit_windows_make(h, w, 3, 2, rule == 0);
                maps x = maps_make(kernels, h, w, channels, 0), y = maps_make(kernels, out_h, out_w, channels, 0);
                for (size_t k = 0; k < x.memory.count; k++) /* all negative: zeros outside win */
                    x.memory.data[k] = x.memory.data[k] == JUNK ? JUNK : -fabsf(x.memory.data[k]);
                const int top = rule ? 1 : h % 2, left = rule ? 1 : w % 2; /* 3/2 SAME lacks (0,1) of an even side */
                place p;
                place_open(&p, kernels, 2, 0);
                vit_max_pool(&p.session, &windows, channels, outside, x.memory.data, y.memory.data);
                place_close(&p);
                int equal = 1;
                for (int b = 0; b < BATCH; b++)
                    for (int o = 0; o < out_h * out_w * channels; o++) {
                        const int c = o % channels, ox = o / channels % out_w, oy = o / channels / out_w;
                        float most = -INFINITY;
                        for (int k = 0; k < 9; k++) {
                            const int iy = oy * 2 + k / 3 - top, ix = ox * 2 + k % 3 - left;
                            const int inside = iy >= 0 && iy < h && ix >= 0 && ix < w;
                            most = fmaxf(most, inside ? *value_at(&x, b, iy, ix, c) : outside);
                        }
                        equal = equal && *value_at(&y, b, oy, ox, c) == most;
                    }
                if (!CHECK(equal))
                    printf("    %s: %dx%d, rule %d\n", kernels->name, h, w, rule);
                for (size_t k = 0; k < y.memory.count; k++)
                    equal = equal && isfinite(y.memory.data[k]);
                CHECK(equal && "pad lanes are finite");
                buffer_free(&x.memory);
                buffer_free(&y.memory);
            }
}

static void test_average_pool(void) {
    const vit_kernels *kernels = vit_kernels_at(0);
    maps x = maps_make(kernels, 5, 7, 6, 0);
    float out[12];
    place p;
    place_open(&p, kernels, 1, 0);
    vit_average_pool(&p.session, x.memory.data, 35, 6, out, 2);
    place_close(&p);
    for (int c = 0; c < 6; c++) {
        double sum = 0;
        for (int i = 0; i < 35; i++)
            sum += *value_at(&x, 0, i / 7, i % 7, c);
        CHECK_CLOSE(out[2 * c], sum / 35, 1e-7);
    }
    buffer_free(&x.memory);
}

/* ---- Group norm ---- */

static void test_group_norm(void) {
    static const int shapes[][4] = { /* height, width, channels, groups */
        {1, 1, 32, 32}, {1, 1, 64, 32}, {3, 5, 96, 32}, {7, 7, 64, 2}, {16, 16, 32, 32}, {5, 1, 7, 1}, {40, 33, 10, 5}};
    const vit_kernels *kernels;
    for (int table = 0; (kernels = vit_kernels_at(table)) != NULL; table++)
        for (int i = 0; i < COUNT(shapes) * 4; i++) {
            const int h = shapes[i / 4][0], w = shapes[i / 4][1];
            const int channels = shapes[i / 4][2], groups = shapes[i / 4][3];
            const int relu = i & 1, with_residual = i >> 1 & 1, each = channels / groups;
            maps x = maps_make(kernels, h, w, channels, 0), residual = maps_make(kernels, h, w, channels, 0), y = x;
            y.memory = buffer_copy(&x.memory);
            buffer gain = buffer_noise((size_t)channels), bias = buffer_noise((size_t)channels);
            const float eps = 1e-5f;
            double statistics[BATCH * 2 * 32];
            const vit_group_norm g = {y.memory.data, gain.data, bias.data, with_residual ? residual.memory.data : NULL,
                                      y.memory.data, statistics, channels, groups, h * w, eps, relu};
            place p;
            place_open(&p, kernels, 2, 0);
            vit_group_normalize(&p.session, &g);
            place_close(&p);
            double worst = 0;
            for (int b = 0; b < BATCH; b++)
                for (int group = 0; group < groups; group++) {
                    double mean = 0, variance = 0, count = (double)h * w * each;
                    for (int k = 0; k < h * w * each; k++)
                        mean += *value_at(&x, b, k / each / w, k / each % w, group * each + k % each) / count;
                    for (int k = 0; k < h * w * each; k++) {
                        const double d = *value_at(&x, b, k / each / w, k / each % w, group * each + k % each) - mean;
                        variance += d * d / count;
                    }
                    CHECK_CLOSE(statistics[2 * (b * groups + group)], mean, 1e-6);
                    CHECK_CLOSE(statistics[2 * (b * groups + group) + 1], variance, 1e-6);
                    for (int k = 0; k < h * w * each; k++) {
                        const int oy = k / each / w, ox = k / each % w, c = group * each + k % each;
                        double want = (*value_at(&x, b, oy, ox, c) - mean) / sqrt(variance + eps);
                        want = want * gain.data[c] + bias.data[c];
                        want += with_residual ? *value_at(&residual, b, oy, ox, c) : 0;
                        want = relu ? fmax(want, 0) : want;
                        worst = fmax(worst, fabs(*value_at(&y, b, oy, ox, c) - want));
                    }
                }
            /* of one value, x - mean is the rounding error of the mean, times 1/sqrt(eps) */
            if (!CHECK_CLOSE(worst, 0, 3e-6 + (h * w * each < 3 ? 1e-7 / sqrt(eps) : 0)))
                printf("    %s: %dx%dx%d in %d groups\n", kernels->name, h, w, channels, groups);
            buffer_free(&x.memory);
            buffer_free(&y.memory);
            buffer_free(&residual.memory);
            buffer_free(&gain);
            buffer_free(&bias);
        }
}

/* ---- Weights ---- */

static void test_standardize(void) {
    static const vit_standardization rules[] = {{0, 1e-5}, {1e-8, 0}, {1e-10, 0}};
    for (int i = 0; i < COUNT(rules); i++) {
        float w[2][27], scale = 1e-4f; /* deviations that epsilons show at */
        double mean = 0, variance = 0;
        for (int k = 0; k < 27; k++) {
            w[0][k] = scale * noise();
            w[1][k] = 3;
            mean += w[0][k] / 27.0;
        }
        float first = w[0][0];
        for (int k = 0; k < 27; k++)
            variance += (w[0][k] - mean) * (w[0][k] - mean) / 27;
        vit_standardize(w[0], 2, 27, rules[i]);
        const double expected = i == 0   ? (first - mean) / (sqrt(variance) + 1e-5)
                                : i == 1 ? (first - mean) / sqrt(variance + 1e-8)
                                         : (first - mean) / sqrt(variance + 1e-10);
        CHECK_CLOSE(w[0][0], expected, 1e-6);
        CHECK(w[1][0] == 0 && w[1][26] == 0);
    }
}

TEST_MAIN(TEST(test_convolution), TEST(test_threads), TEST(test_max_pool), TEST(test_average_pool),
          TEST(test_group_norm), TEST(test_standardize))
