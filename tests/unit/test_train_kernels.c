/* The kernels of training beyond the products (test_kernels.c) of every table this host can run: derivatives against
 * finite differences in f64 of the function itself, between NaN fences. */
#include "test.h"

#include "panels.h"

#include <float.h>

#define FOR_TABLES(kernels, train)                                        \
    for (int table = 0; (kernels = vit_kernels_at(table)) != NULL &&      \
                        (train = vit_train_kernels_for(kernels)) != NULL; \
         table++)

/* Derivative of f at x. */
static double slope(double (*f)(double x, void *context), double x, void *context) {
    const double h = 1e-4;
    return (8 * (f(x + h, context) - f(x - h, context)) - (f(x + 2 * h, context) - f(x - 2 * h, context))) / (12 * h);
}

/* ---- Tokens as rows ---- */

static void test_transfers(void) {
    static const int counts[] = {1, 3, 8, 15, 16, 17, 37, 64, 65};
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train)
        for (int first = 0; first < kernels->panel; first += 3)
            for (int n = 0; n < COUNT(counts); n++)
                for (int c = 0; c < COUNT(counts); c++) {
                    const int tokens = counts[n], channels = counts[c], gap = c % 3 * 5;
                    matrix x = matrix_make(kernels->panel, first + tokens, channels, gap);
                    matrix back = matrix_result(kernels->panel, first + tokens, channels, gap);
                    const ptrdiff_t row_stride = channels + gap;
                    buffer rows = buffer_make((size_t)(tokens * row_stride - gap));
                    vit_transfer t = {x.memory.data, x.stride, rows.data, row_stride, first, tokens, channels};
                    train->to_rows(&t);
                    t.panels = back.memory.data;
                    t.stride = back.stride;
                    train->to_panels(&t);
                    int wrong = 0;
                    for (int i = 0; i < x.panels * kernels->panel; i++)
                        for (int j = 0; j < channels; j++)
                            if (i < first || i >= first + tokens)
                                wrong += !is_nan_fill(*at(&back, i, j));
                            else
                                wrong += rows.data[(i - first) * row_stride + j] != *at(&x, i, j) ||
                                         *at(&back, i, j) != *at(&x, i, j);
                    for (int i = 0; i + 1 < tokens; i++)
                        for (int j = channels; j < row_stride; j++)
                            wrong += !is_nan_fill(rows.data[i * row_stride + j]);
                    CHECK(wrong == 0);
                    CHECK(untouched_outside(&back, 0, channels));
                    buffer_free(&rows);
                    matrix_free(&back);
                    matrix_free(&x);
                }
}

static void test_sums(void) {
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train) {
        enum { CHANNELS = 19 };
        matrix x = matrix_make(kernels->panel, 5 * kernels->panel, CHANNELS, 0);
        buffer sums = buffer_noise(CHANNELS), before = buffer_copy(&sums);
        train->sum_tokens(x.memory.data, CHANNELS, sums.data, 1, 4);
        for (int c = 0; c < CHANNELS; c++) {
            double sum = before.data[c];
            for (int t = kernels->panel; t < 4 * kernels->panel; t++)
                sum += *at(&x, t, c);
            CHECK_CLOSE(sums.data[c], sum, 1e-5);
        }
        buffer_free(&before);
        buffer_free(&sums);
        matrix_free(&x);
    }
}

/* ---- LayerNorm ---- */

/* sum of w[c] LayerNorm(x)[c], where channel `channel` of x is replaced. */
struct norm_case {
    const matrix *x, *dy;
    const float *gain;
    int token, channel;
    double eps;
};

static double norm_value(const struct norm_case *n, int channel, double value) {
    return channel == n->channel ? value : *at(n->x, n->token, channel);
}

static double norm_loss(double value, void *context) {
    const struct norm_case *n = context;
    const int width = n->x->channels;
    double mean = 0, variance = 0, loss = 0;
    for (int c = 0; c < width; c++)
        mean += norm_value(n, c, value) / width;
    for (int c = 0; c < width; c++)
        variance += pow(norm_value(n, c, value) - mean, 2) / width;
    for (int c = 0; c < width; c++)
        loss += *at(n->dy, n->token, c) * n->gain[c] * (norm_value(n, c, value) - mean) / sqrt(variance + n->eps);
    return loss;
}

static void check_layernorm(const vit_kernels *kernels, const vit_train_kernels *train, int width, float eps) {
    const int tokens = 3 * kernels->panel - 1;
    matrix x = matrix_make(kernels->panel, tokens, width, 0), dy = matrix_make(kernels->panel, tokens, width, 0);
    matrix dx = matrix_make(kernels->panel, tokens, width, 0);
    for (int c = 0; c < width; c++) { /* a pad lane: finite, without a gradient */
        *at(&x, tokens, c) = *at(&dx, tokens, c) = noise();
        *at(&dy, tokens, c) = 0;
    }
    buffer gain = buffer_noise((size_t)width), sums = buffer_noise(2 * (size_t)width), before = buffer_copy(&sums);
    buffer scratch = buffer_make(2 * (size_t)width * (size_t)kernels->panel), dx_before = buffer_copy(&dx.memory);
    vit_norm_backward b = {.x = x.memory.data, .gain = gain.data, .dy = dy.memory.data, .dx = dx.memory.data,
                           .dgain = sums.data, .dbias = sums.data + width, .scratch = scratch.data, .eps = eps,
                           .width = width};
    train->layernorm_backward(&b, 0, 1);
    train->layernorm_backward(&b, 1, 3);
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < width; c++) {
            struct norm_case n = {&x, &dy, gain.data, t, c, eps};
            const double before = dx_before.data[at(&dx, t, c) - dx.memory.data];
            const double expected = before + slope(norm_loss, *at(&x, t, c), &n);
            CHECK_CLOSE(*at(&dx, t, c), expected, 3e-5 * (1 + fabs(expected)));
        }
    for (int c = 0; c < width; c++) { /* the loss is linear in gain and bias */
        double dgain = before.data[c], dbias = before.data[width + c];
        for (int t = 0; t < tokens; t++) {
            double mean = 0, variance = 0;
            for (int i = 0; i < width; i++)
                mean += *at(&x, t, i) / (double)width;
            for (int i = 0; i < width; i++)
                variance += pow(*at(&x, t, i) - mean, 2) / width;
            dgain += *at(&dy, t, c) * (*at(&x, t, c) - mean) / sqrt(variance + eps);
            dbias += *at(&dy, t, c);
        }
        CHECK_CLOSE(sums.data[c], dgain, 3e-5);
        CHECK_CLOSE(sums.data[width + c], dbias, 3e-5);
    }
    buffer_free(&gain);
    buffer_free(&sums);
    buffer_free(&before);
    buffer_free(&scratch);
    buffer_free(&dx_before);
    matrix_free(&x);
    matrix_free(&dy);
    matrix_free(&dx);
}

static void test_layernorm(void) {
    static const int widths[] = {2, 3, 7, 24, 65};
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train)
        for (int w = 0; w < COUNT(widths); w++) {
            check_layernorm(kernels, train, widths[w], 1e-2f);
            if (widths[w] > 3)
                check_layernorm(kernels, train, widths[w], 1e-6f);
        }
}

/* ---- Activations ---- */

static double activation_value(double x, void *context) {
    switch (*(vit_epilogue *)context) {
    case VIT_EPILOGUE_GELU_ERF: return x * 0.5 * erfc(-x / sqrt(2));
    case VIT_EPILOGUE_GELU_TANH: return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default: return x / (1 + exp(-1.702 * x));
    }
}

static void test_activations(void) {
    static const vit_epilogue epilogues[] = {VIT_EPILOGUE_GELU_ERF, VIT_EPILOGUE_GELU_TANH, VIT_EPILOGUE_GELU_QUICK};
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train)
        for (int e = 0; e < COUNT(epilogues); e++) {
            enum { COUNT_X = 2400 };
            vit_epilogue epilogue = epilogues[e];
            buffer x = buffer_make(COUNT_X), dy = buffer_make(COUNT_X), plain;
            for (int i = 0; i < COUNT_X; i++) {
                x.data[i] = (float)(i - COUNT_X / 2) * 0.01f;
                dy.data[i] = 1;
            }
            x.data[0] = -1e30f;
            x.data[1] = 1e30f;
            plain = buffer_copy(&x);
            train->activation_backward(epilogue, x.data, dy.data, COUNT_X);
            CHECK_CLOSE(dy.data[0], 0, 1e-12);
            CHECK_CLOSE(dy.data[1], 1, 1e-12);
            for (int i = 2; i < COUNT_X; i++) {
                CHECK_CLOSE(x.data[i], activation_value(plain.data[i], &epilogue), 1e-6 + fabs(x.data[i]) * 1e-6);
                CHECK_CLOSE(dy.data[i], slope(activation_value, plain.data[i], &epilogue), 1.5e-6);
            }
            train->activate(epilogue, plain.data, COUNT_X);
            CHECK(same_bits(&plain, &x));
            buffer_free(&x);
            buffer_free(&dy);
            buffer_free(&plain);
        }
}

static double silu(double a, void *value) {
    return a / (1 + exp(-a)) * *(double *)value;
}

static void test_gate(void) {
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train) {
        enum { CHANNELS = 101 };
        const int half = CHANNELS * kernels->panel;
        buffer x = buffer_noise((size_t)(2 * half)), dy = buffer_noise(x.count);
        for (int i = 0; i < half; i++)
            x.data[i] = (float)(i % 997 - 498) * 0.04f;
        buffer before = buffer_copy(&x), d = buffer_copy(&dy), plain = buffer_copy(&x);
        train->gate_backward(x.data, dy.data, CHANNELS);
        kernels->gate(plain.data, CHANNELS);
        for (int i = 0; i < half; i++) {
            double b = before.data[half + i];
            CHECK_CLOSE(dy.data[i], d.data[i] * slope(silu, before.data[i], &b), 2e-6);
            b = 1;
            CHECK_CLOSE(dy.data[half + i], d.data[i] * silu(before.data[i], &b), 1e-5);
        }
        CHECK(same_bits(&plain, &x));
        buffer_free(&x);
        buffer_free(&dy);
        buffer_free(&before);
        buffer_free(&d);
        buffer_free(&plain);
    }
}

/* ---- Softmax ---- */

struct softmax_case {
    const float *s, *dp;
    int keys, panel, key, lane;
    double scale;
};

static double softmax_loss(double value, void *context) {
    const struct softmax_case *c = context;
    double sum = 0, loss = 0;
    for (int t = 0; t < c->keys; t++) {
        double e = exp(c->scale * (t == c->key ? value : c->s[t * c->panel + c->lane]));
        sum += e;
        loss += e * c->dp[t * c->panel + c->lane];
    }
    return loss / sum;
}

static void test_softmax(void) {
    static const int key_counts[] = {1, 2, 3, 9, 65};
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    FOR_TABLES(kernels, train)
        for (int k = 0; k < COUNT(key_counts); k++) {
            const int keys = key_counts[k], panel = kernels->panel;
            buffer s = buffer_noise((size_t)(keys * panel)), dp = buffer_noise(s.count);
            for (size_t i = 0; i < s.count; i++)
                s.data[i] *= 5;
            buffer p = buffer_copy(&s), ds = buffer_copy(&dp);
            const float scale = 0.25f;
            train->softmax(p.data, keys, scale);
            train->softmax_backward(p.data, ds.data, keys, scale);
            for (int lane = 0; lane < panel; lane++) {
                double sum = 0;
                for (int t = 0; t < keys; t++) {
                    struct softmax_case c = {s.data, dp.data, keys, panel, t, lane, scale};
                    sum += p.data[t * panel + lane];
                    CHECK_CLOSE(ds.data[t * panel + lane], slope(softmax_loss, s.data[t * panel + lane], &c), 1e-6);
                }
                CHECK_CLOSE(sum, 1, 1e-6);
            }
            buffer_free(&s);
            buffer_free(&dp);
            buffer_free(&p);
            buffer_free(&ds);
        }
}

TEST_MAIN(TEST(test_transfers), TEST(test_sums), TEST(test_layernorm), TEST(test_activations), TEST(test_gate),
          TEST(test_softmax))
