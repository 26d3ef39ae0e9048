/* Every kernel table this host can run against f64 references, over many shapes. All buffers lie between NaN fences,
 * gaps of strided matrices are NaN too, and pad lanes hold values near the largest float: whatever is read from a
 * wrong place shows in a result, whatever is written to one is found. */
#include "test.h"

#include "panels.h"

#include "../../src/base/half.h"

#include <float.h>

#define UNIT (FLT_EPSILON / 2) /* largest relative error of one rounding */

static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 36, 64, 80, 192, 197};
static const int token_counts[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 197};

#define FOR_TABLES(kernels) \
    for (int table = 0; (kernels = vit_kernels_at(table)) != NULL; table++)

/* ---- Tolerance ----
 * A sum of n products, in any order, fused or not, is off by at most (n + 2) UNIT sum |a||b| to first order: each term
 * passes its own rounding and at most n additions; what else is added (bias, residual, K blocks) is in `magnitude`,
 * and costs the few more roundings of the constant. */
static double sum_tolerance(int terms, double magnitude) {
    return (terms + 8) * UNIT * magnitude + FLT_MIN;
}

/* ---- Activations ---- */

static double reference_activation(vit_epilogue epilogue, double x) {
    switch (epilogue) {
    case VIT_EPILOGUE_GELU_ERF: return x * 0.5 * erfc(-x / sqrt(2));
    case VIT_EPILOGUE_GELU_TANH: return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case VIT_EPILOGUE_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case VIT_EPILOGUE_TANH: return tanh(x);
    default: return x;
    }
}

static double ulp(double value) {
    float rounded = fabsf((float)value);
    return nextafterf(rounded, INFINITY) - rounded;
}

/* values[count] through an epilogue of gemm_nt: one input with weight 1. */
static void apply(const vit_kernels *kernels, vit_epilogue epilogue, float *values, int count) {
    const float one = 1;
    int panel = kernels->panel;
    buffer x = buffer_make((size_t)(count + panel - 1) / panel * panel), y = buffer_make(x.count);
    for (size_t i = 0; i < x.count; i++)
        x.data[i] = i < (size_t)count ? values[i] : 0;
    vit_gemm g = {.w = &one, .x = x.data, .y = y.data, .x_stride = panel, .y_stride = panel, .n = 1, .k = 1,
                  .panels = (int)x.count / panel, .epilogue = epilogue};
    kernels->gemm_nt(&g, 0, 1);
    memcpy(values, y.data, count * sizeof(float));
    buffer_free(&x);
    buffer_free(&y);
}

/* Largest errors over a dense grid: 2^20 points of [-8,8], and magnitudes from 2^-40 to 2^40. */
static void test_activation_accuracy(void) {
    static const struct {
        vit_epilogue epilogue;
        const char *name;
        double absolute;       /* on [-8,8] */
        double ulps;           /* for x > 0; of tanh, for all x */
    } bounds[] = {
        {VIT_EPILOGUE_GELU_ERF, "gelu erf", 5e-7, 2},
        {VIT_EPILOGUE_GELU_TANH, "gelu tanh", 1e-6, 2},
        {VIT_EPILOGUE_GELU_QUICK, "gelu quick", 1e-6, 2},
        {VIT_EPILOGUE_TANH, "tanh", 5e-7, 3},
    };
    enum { CHUNK = 1 << 12, CHUNKS = 1 << 8 };
    static float x[CHUNK], y[CHUNK];
    const vit_kernels *kernels;
    FOR_TABLES(kernels)
        for (int b = 0; b < COUNT(bounds); b++) {
            double absolute = 0, ulps = 0, beyond = 0;
            for (int chunk = 0; chunk < CHUNKS + 20; chunk++) {
                for (int i = 0; i < CHUNK; i++) {
                    double step = (double)chunk * CHUNK + i;
                    x[i] = chunk < CHUNKS ? (float)(step / (CHUNKS * CHUNK) * 16 - 8)
                                          : ldexpf(noise(), 4 * (chunk - CHUNKS) - 40);
                }
                memcpy(y, x, sizeof y);
                apply(kernels, bounds[b].epilogue, y, CHUNK);
                for (int i = 0; i < CHUNK; i++) {
                    double expected = reference_activation(bounds[b].epilogue, x[i]), error = fabs(y[i] - expected);
                    if (fabs(x[i]) <= 8 || x[i] < 0)
                        absolute = fmax(absolute, error);
                    if (x[i] > 0 || bounds[b].epilogue == VIT_EPILOGUE_TANH)
                        ulps = fmax(ulps, error / ulp(expected));
                    if (x[i] > 8)
                        beyond = fmax(beyond, error / fabs(expected));
                }
            }
            if (!CHECK(absolute <= bounds[b].absolute && ulps <= bounds[b].ulps && beyond <= FLT_EPSILON) ||
                getenv("VIT_TEST_VERBOSE"))
                printf("%s %s: absolute error %.3g, %.2f ulp, %.2g beyond 8\n", kernels->name, bounds[b].name, absolute,
                       ulps, beyond);
        }
}

static void test_activation_limits(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels)
        for (int e = VIT_EPILOGUE_GELU_ERF; e <= VIT_EPILOGUE_TANH; e++) {
            float x[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 0, -0.0f, 40, -40, FLT_MIN, -200, 1e-40f};
            apply(kernels, e, x, COUNT(x));
            int gelu = e != VIT_EPILOGUE_TANH;
            CHECK(x[0] == (gelu ? INFINITY : 1));
            CHECK_CLOSE(x[1], gelu ? 0 : -1, 1e-14);
            CHECK(isnan(x[2]));
            CHECK(x[3] == (gelu ? 3e38f : 1));
            CHECK_CLOSE(x[4], gelu ? 0 : -1, 1e-14);
            CHECK(x[5] == 0 && x[6] == 0);
            CHECK(x[7] == (gelu ? 40 : 1));
            CHECK_CLOSE(x[8], gelu ? 0 : -1, 1e-14);
            CHECK_CLOSE(x[9], gelu ? FLT_MIN / 2 : FLT_MIN, FLT_MIN * FLT_EPSILON);
            CHECK_CLOSE(x[10], gelu ? 0 : -1, 1e-14);
            CHECK(x[11] >= 0 && x[11] <= FLT_MIN);
        }
}

static void test_gate(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels)
        for (int c = 0; c < COUNT(sizes); c++) {
            const int channels = sizes[c], tokens = kernels->panel;
            matrix x = matrix_make(kernels->panel, tokens, 2 * channels, 0);
            for (int i = 0; i < channels; i++)
                *at(&x, i % tokens, i) *= ldexpf(1, i % 12 - 4);
            if (channels > 8) {
                *at(&x, 0, 0) = -INFINITY;
                *at(&x, 1, 1) = NAN;
                *at(&x, 2, 2) = 3e38f;
            }
            buffer before = buffer_copy(&x.memory);
            kernels->gate(x.memory.data, channels);
            int wrong = 0;
            for (size_t i = 0; i < x.memory.count / 2; i++) {
                double a = before.data[i], expected = a / (1 + exp(-a)) * before.data[i + x.memory.count / 2];
                expected = isinf(a) ? 0 : expected;
                const double tolerance = 4 * UNIT * fabs(expected) + 1e-36;
                wrong += isnan(a) ? !isnan(x.memory.data[i]) : !(fabs(x.memory.data[i] - expected) <= tolerance);
            }
            for (size_t i = x.memory.count / 2; i < x.memory.count; i++)
                wrong += x.memory.data[i] != before.data[i];
            if (!CHECK(wrong == 0))
                printf("%s gate: %d of %d channels\n", kernels->name, wrong, channels);
            buffer_free(&before);
            matrix_free(&x);
        }
}

/* ---- Products of f32 and of bfloat16 factors ---- */

typedef struct products {
    const char *name;
    int panel, is_bf16;
    void (*gemm_nt)(const vit_gemm *g, int begin, int end);
    void (*gemm_nn)(const vit_gemm *g, int begin, int end);
    void (*gemm_tn)(const vit_gemm_tn *g, int begin, int end);
} products;

static products products_of(const vit_kernels *kernels) {
    const vit_train_kernels *train = vit_train_kernels_for(kernels);
    return (products){kernels->name, kernels->panel, 0, kernels->gemm_nt, train->gemm_nn, train->gemm_tn};
}

static int products_at(int index, products *out) {
    int f32 = 0;
    while (vit_kernels_at(f32))
        f32++;
    if (index < f32) {
        *out = products_of(vit_kernels_at(index));
        return 1;
    }
    const vit_bf16_kernels *bf16 = vit_bf16_kernels_at(index - f32);
    if (bf16)
        *out = (products){bf16->name, bf16->panel, 1, bf16->gemm_nt, bf16->gemm_nn, bf16->gemm_tn};
    return bf16 != NULL;
}

#define FOR_PRODUCTS(kernels) \
    for (int table = 0; products_at(table, &kernels); table++)

static double factor(const products *kernels, float value) {
    return kernels->is_bf16 ? vit_f32_from_bf16(vit_bf16_from_f32(value)) : value;
}

/* ---- gemm_nt and gemm_nn ---- */

/* One linear layer of one shape. transposed: gemm_nn, where x has the n channels and y the k. */
typedef struct layer {
    int n, k, tokens, transposed, with_bias, gap;
    vit_epilogue epilogue;
} layer;

static void check_layer(const products *kernels, layer l) {
    int outputs = l.transposed ? l.k : l.n, depth = l.transposed ? l.n : l.k;
    void (*run)(const vit_gemm *, int, int) =
        l.transposed ? kernels->gemm_nn : kernels->gemm_nt;
    if (kernels->is_bf16 && l.epilogue != VIT_EPILOGUE_ADD)
        l.epilogue = VIT_EPILOGUE_STORE;
    buffer w = buffer_noise((size_t)l.n * l.k), bias = buffer_noise(outputs);
    matrix x = matrix_make(kernels->panel, l.tokens, depth, l.gap), y;
    int add = l.epilogue == VIT_EPILOGUE_ADD;
    y = add ? matrix_make(kernels->panel, l.tokens, outputs, 2 * l.gap)
            : matrix_result(kernels->panel, l.tokens, outputs, 2 * l.gap);
    buffer before = buffer_copy(&y.memory);
    vit_gemm g = {.w = w.data, .bias = l.with_bias ? bias.data : NULL, .x = x.memory.data, .y = y.memory.data,
                  .x_stride = x.stride, .y_stride = y.stride, .n = l.n, .k = l.k, .panels = x.panels,
                  .epilogue = l.epilogue};
    run(&g, 0, outputs);
    CHECK(add || untouched_outside(&y, 0, outputs));

    int with_bias = l.with_bias && !l.transposed, wrong = 0;
    for (int t = 0; t < l.tokens; t++)
        for (int o = 0; o < outputs; o++) {
            double start = with_bias ? bias.data[o] : 0, sum = start, magnitude = fabs(start);
            const float *from = at(&x, t, 0);
            for (int i = 0; i < depth; i++) {
                double product = factor(kernels, l.transposed ? w.data[(size_t)i * l.k + o] : w.data[(size_t)o * l.k + i]) *
                                 factor(kernels, from[(ptrdiff_t)i * kernels->panel]);
                sum += product;
                magnitude += fabs(product);
            }
            ptrdiff_t place = at(&y, t, o) - y.memory.data;
            double residual = add ? before.data[place] : 0;
            double tolerance = sum_tolerance(depth, magnitude + fabs(residual));
            if (l.epilogue > VIT_EPILOGUE_ADD) /* no slope exceeds 1.13; the rest is test_activation_accuracy's */
                tolerance = 1.13 * tolerance + 5e-7 + 2 * FLT_EPSILON * magnitude;
            double expected = reference_activation(l.epilogue, sum) + residual;
            wrong += !(fabs(y.memory.data[place] - expected) <= tolerance);
        }
    if (!CHECK(wrong == 0))
        printf("%s gemm_%s: %d of n=%d k=%d tokens=%d epilogue=%d bias=%d\n", kernels->name, l.transposed ? "nn" : "nt",
               wrong, l.n, l.k, l.tokens, (int)l.epilogue, with_bias);

    /* the same bits in parts, */
    matrix parts = y;
    parts.memory = buffer_copy(&before);
    g.y = parts.memory.data;
    int cuts[] = {0, outputs / 3, outputs / 2, outputs};
    for (int i = 0; i < 3; i++)
        run(&g, cuts[i], cuts[i + 1]);
    CHECK(same_bits(&parts.memory, &y.memory) && "split over the outputs");
    matrix_free(&parts);
    /* one panel at a time, */
    parts.memory = buffer_copy(&before);
    g.panels = 1;
    for (int p = 0; p < x.panels; p++) {
        g.x = x.memory.data + p * x.stride;
        g.y = parts.memory.data + p * y.stride;
        run(&g, 0, outputs);
    }
    CHECK(same_bits(&parts.memory, &y.memory) && "split over the panels");
    matrix_free(&parts);
    /* where lanes without a token may be left out, of one image or of images of three tokens, */
    for (int image = 0; image < 2; image++) {
        parts.memory = buffer_copy(&before);
        g = (vit_gemm){.w = w.data, .bias = g.bias, .x = x.memory.data, .y = parts.memory.data, .x_stride = x.stride,
                       .y_stride = y.stride, .n = l.n, .k = l.k, .panels = x.panels, .ahead = 5,
                       .tokens = image ? 3 : l.tokens, .epilogue = l.epilogue};
        run(&g, 0, outputs);
        int same = 1;
        for (int t = 0; t < l.tokens; t++)
            for (int o = 0; o < outputs && (!image || t % kernels->panel < 3); o++)
                same = same && *at(&parts, t, o) == *at(&y, t, o);
        CHECK(same && "lanes left out");
        matrix_free(&parts);
    }
    /* and nothing else when only a part is asked for */
    if (!add) {
        parts.memory = buffer_copy(&before);
        g.y = parts.memory.data;
        g.panels = 1;
        run(&g, cuts[1], cuts[2]);
        parts.panels = 1;
        CHECK(untouched_outside(&parts, cuts[1], cuts[2]));
        matrix_free(&parts);
    }
    matrix_free(&x);
    matrix_free(&y);
    buffer_free(&before);
    buffer_free(&w);
    buffer_free(&bias);
}

static void test_layers(void) {
    products kernels;
    FOR_PRODUCTS(kernels) {
        int turn = 0;
        for (int n = 0; n < COUNT(sizes); n++)
            for (int k = 0; k < COUNT(sizes); k++)
                for (int t = 0; t < COUNT(token_counts); t++, turn++)
                    check_layer(&kernels, (layer){sizes[n], sizes[k], token_counts[t], turn % 2, turn / 2 % 3 > 0,
                                                 turn % 5 * 3, turn % (VIT_EPILOGUE_TANH + 1)});
    }
}

/* Contractions longer than a block, with every epilogue. */
static void test_long_layers(void) {
    static const int lengths[] = {767, 768, 769, 1537};
    products kernels;
    FOR_PRODUCTS(kernels)
        for (int i = 0; i < COUNT(lengths); i++)
            for (int e = 0; e <= VIT_EPILOGUE_TANH; e++)
                for (int transposed = 0; transposed < 2; transposed++) {
                    layer l = {.n = 29, .k = 29, .tokens = 33, .transposed = transposed, .with_bias = 1, .epilogue = e};
                    *(transposed ? &l.n : &l.k) = lengths[i];
                    check_layer(&kernels, l);
                }
    FOR_PRODUCTS(kernels) { /* rows that lie on the same lines of a cache; of 11, cut at less than a tile */
        check_layer(&kernels, (layer){.n = 29, .k = 2048, .tokens = 6 * kernels.panel - 1, .with_bias = 1});
        check_layer(&kernels, (layer){.n = 11, .k = 1024, .tokens = 6 * kernels.panel - 1, .with_bias = 1});
    }
}

/* ---- gemm_tn ---- */

static void check_gradient(const products *kernels, int n, int k, int tokens, int gap) {
    matrix dy = matrix_make(kernels->panel, tokens, n, gap), x = matrix_make(kernels->panel, tokens, k, 2 * gap);
    buffer dw = buffer_noise((size_t)n * k), before = buffer_copy(&dw);
    vit_gemm_tn g = {.dy = dy.memory.data, .x = x.memory.data, .dw = dw.data, .dy_stride = dy.stride,
                     .x_stride = x.stride, .n = n, .k = k, .tokens = tokens};
    kernels->gemm_tn(&g, 0, k);
    int wrong = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < k; j++) {
            double sum = before.data[i * k + j], magnitude = fabs(sum);
            for (int t = 0; t < tokens; t++) {
                double product = factor(kernels, *at(&dy, t, i)) * factor(kernels, *at(&x, t, j));
                sum += product;
                magnitude += fabs(product);
            }
            wrong += !(fabs(dw.data[i * k + j] - sum) <= sum_tolerance(tokens, magnitude));
        }
    if (!CHECK(wrong == 0))
        printf("%s gemm_tn: %d of n=%d k=%d tokens=%d\n", kernels->name, wrong, n, k, tokens);
    buffer parts = buffer_copy(&before), replaced = buffer_copy(&before);
    g.dw = parts.data;
    kernels->gemm_tn(&g, 0, k / 3);
    kernels->gemm_tn(&g, k / 3, k);
    CHECK(same_bits(&parts, &dw) && "split over the columns");
    memset(parts.data, 0, (size_t)n * k * sizeof(float));
    kernels->gemm_tn(&g, 0, k);
    g.dw = replaced.data;
    g.replaces = 1;
    kernels->gemm_tn(&g, 0, k);
    CHECK(same_bits(&replaced, &parts) && "replaced");
    g.dw = parts.data;
    g.replaces = 0;
    memcpy(parts.data, before.data, (size_t)n * k * sizeof(float));
    g.n = n / 2;
    kernels->gemm_tn(&g, 0, k);
    g.dy += g.n * kernels->panel;
    g.dw += g.n * k;
    g.n = n - g.n;
    kernels->gemm_tn(&g, 0, k);
    CHECK(same_bits(&parts, &dw) && "split over the rows");
    buffer_free(&replaced);
    buffer_free(&parts);
    buffer_free(&before);
    buffer_free(&dw);
    matrix_free(&x);
    matrix_free(&dy);
}

static void test_gradients(void) {
    products kernels;
    FOR_PRODUCTS(kernels)
        for (int n = 0; n < COUNT(sizes); n++)
            for (int k = 0; k < COUNT(sizes); k++)
                check_gradient(&kernels, sizes[n], sizes[k], token_counts[(n + 3 * k) % COUNT(token_counts)], n % 3 * 8);
    FOR_PRODUCTS(kernels) { /* more rows and tokens than are laid out at a time */
        check_gradient(&kernels, 300, 40, 1100, 8);
        for (int transposed = 0; transposed < 2; transposed++)
            check_layer(&kernels, (layer){.n = 70, .k = 90, .tokens = 603, .transposed = transposed, .with_bias = 1, .gap = 8});
    }
}

/* ---- Layer normalisation ---- */

static void check_layernorm(const vit_kernels *kernels, int width, int tokens, float eps, float offset, float spread) {
    matrix x = matrix_make(kernels->panel, tokens, width, 0), y = matrix_result(kernels->panel, tokens, width, 0);
    buffer gain = buffer_noise(width), bias = buffer_noise(width);
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < width; c++)
            *at(&x, t, c) = offset + spread * *at(&x, t, c);
    kernels->layernorm(x.memory.data, gain.data, bias.data, eps, width, y.memory.data, 0, x.panels / 2);
    CHECK(x.panels < 2 || isnan(*at(&y, x.panels / 2 * kernels->panel, 0)));
    kernels->layernorm(x.memory.data, gain.data, bias.data, eps, width, y.memory.data, x.panels / 2, x.panels);
    int wrong = 0;
    for (int t = 0; t < tokens; t++) {
        double mean = 0, size = 0, variance = 0;
        for (int c = 0; c < width; c++) {
            mean += *at(&x, t, c) / (double)width;
            size = fmax(size, fabs(*at(&x, t, c)));
        }
        for (int c = 0; c < width; c++)
            variance += pow(*at(&x, t, c) - mean, 2) / width;
        double scale = 1 / sqrt(variance + eps);
        /* the mean is off by `shift`, which reaches each difference and, through the sum of squares, the scale */
        double shift = sum_tolerance(width, size), relative = (width + 16) * UNIT + pow(shift * scale, 2);
        for (int c = 0; c < width; c++) {
            double normal = (*at(&x, t, c) - mean) * scale, expected = normal * gain.data[c] + bias.data[c];
            double tolerance = fabs(gain.data[c]) * (fabs(normal) * relative + shift * scale * (1 + fabs(normal))) +
                               4 * UNIT * (fabs(expected) + fabs(bias.data[c]));
            wrong += !(fabs(*at(&y, t, c) - expected) <= tolerance);
        }
    }
    if (!CHECK(wrong == 0))
        printf("%s layernorm: %d of width=%d tokens=%d\n", kernels->name, wrong, width, tokens);
    kernels->layernorm(x.memory.data, gain.data, bias.data, eps, width, x.memory.data, 0, x.panels);
    int same = 1;
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < width; c++)
            same = same && *at(&x, t, c) == *at(&y, t, c);
    CHECK(same && "in place");
    buffer_free(&gain);
    buffer_free(&bias);
    matrix_free(&x);
    matrix_free(&y);
}

static void test_layernorm(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels)
        for (int w = 0; w < COUNT(sizes); w++)
            for (int t = 0; t < COUNT(token_counts); t++) {
                check_layernorm(kernels, sizes[w], token_counts[t], 1e-6f, 0, 1);
                check_layernorm(kernels, sizes[w], token_counts[t], 1e-12f, 100, 1);
                check_layernorm(kernels, sizes[w], token_counts[t], 1e-5f, -3, 1e4f);
            }
}

/* ---- Attention ---- */

/* Floats that the scores of `count` panels of queries take. */
static size_t score_floats(const vit_kernels *kernels, int tokens, int count) {
    return (size_t)((tokens + kernels->panel - 1) / kernels->panel * kernels->panel * kernels->panel * count);
}

/* One head of all panels, `count` at a time. */
static void attend(const vit_kernels *kernels, const vit_attend *a, int head, int count, float *scores) {
    int panels = (a->tokens + kernels->panel - 1) / kernels->panel;
    for (int p = 0; p < panels; p += count) {
        int some = panels - p < count ? panels - p : count;
        kernels->score(a, head, p, some, scores);
        kernels->mix(a, head, p, some, scores);
    }
}

static void check_attention(const vit_kernels *kernels, int tokens, int heads, int width, float scale, int gap) {
    const int panel = kernels->panel, channels = heads * width;
    matrix qkv = matrix_make(panel, tokens, 3 * channels, gap), out = matrix_result(panel, tokens, channels, 3 * gap);
    buffer scratch = buffer_make(score_floats(kernels, tokens, kernels->query_panels));
    const int every = tokens > 1000 ? 211 : 1; /* of many queries some are looked at, without capture */
    buffer capture = buffer_make(every > 1 ? 0 : (size_t)heads * tokens * tokens);
    double *p = malloc(tokens * sizeof(double));
    vit_attend a = {.qkv = qkv.memory.data, .out = out.memory.data, .qkv_stride = qkv.stride, .out_stride = out.stride,
                    .tokens = tokens, .heads = heads, .head_width = width, .scale = scale,
                    .capture = every > 1 ? NULL : capture.data};
    for (int h = heads - 1; h >= 0; h--) {
        for (size_t i = 0; i < scratch.count; i++)
            scratch.data[i] = nan_fill();
        attend(kernels, &a, h, kernels->query_panels, scratch.data);
    }
    CHECK(untouched_outside(&out, 0, channels));

    int wrong = 0, wrong_capture = 0;
    for (int h = 0; h < heads; h++)
        for (int t = 0; t < tokens; t += every) {
            double top = -INFINITY, sum = 0, largest = 0;
            for (int key = 0; key < tokens; key++) {
                double magnitude = 0;
                p[key] = 0;
                for (int c = 0; c < width; c++) {
                    int channel = h * width + c;
                    double product = (double)scale * *at(&qkv, t, channel) * *at(&qkv, key, channels + channel);
                    p[key] += product;
                    magnitude += fabs(product);
                }
                top = fmax(top, p[key]);
                largest = fmax(largest, magnitude);
            }
            for (int key = 0; key < tokens; key++)
                sum += p[key] = exp(p[key] - top);
            /* a score is off by `shift`, and so is the maximum; that, the rounding of their difference and of e^x, and
             * the sum of the denominator are the relative error of a probability */
            double shift = sum_tolerance(width, largest) + 2 * UNIT * largest;
            double relative = 4 * shift + (tokens + 16) * UNIT;
            for (int key = 0; key < tokens; key++) {
                p[key] /= sum;
                if (every > 1)
                    continue;
                double found = capture.data[((size_t)h * tokens + t) * tokens + key];
                wrong_capture += !(fabs(found - p[key]) <= relative * p[key] + FLT_MIN);
            }
            for (int c = 0; c < width; c++) {
                double expected = 0, magnitude = 0;
                for (int key = 0; key < tokens; key++) {
                    double product = p[key] * *at(&qkv, key, 2 * channels + h * width + c);
                    expected += product;
                    magnitude += fabs(product);
                }
                double tolerance = relative * magnitude + sum_tolerance(tokens, magnitude);
                wrong += !(fabs(*at(&out, t, h * width + c) - expected) <= tolerance);
            }
        }
    if (!CHECK(wrong == 0 && wrong_capture == 0))
        printf("%s attend: %d outputs, %d probabilities of tokens=%d heads=%d width=%d scale=%g\n", kernels->name,
               wrong, wrong_capture, tokens, heads, width, scale);

    /* one head and panel alone, without capture: the same bits, and nothing else written */
    matrix again = matrix_result(panel, tokens, channels, 3 * gap);
    int head = heads / 2, query_panel = out.panels - 1, same = 1;
    a.out = again.memory.data;
    a.capture = NULL;
    kernels->score(&a, head, query_panel, 1, scratch.data);
    kernels->mix(&a, head, query_panel, 1, scratch.data);
    CHECK(untouched_outside(&again, head * width, head * width + width));
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < width; c++) {
            float found = *at(&again, t, head * width + c);
            same = same && (t / panel < query_panel ? is_nan_fill(found) : found == *at(&out, t, head * width + c));
        }
    CHECK(same);
    free(p);
    buffer_free(&scratch);
    buffer_free(&capture);
    matrix_free(&again);
    matrix_free(&out);
    matrix_free(&qkv);
}

/* As many tokens as a picture of 1024 x 1024 pixels has. */
static void test_many_tokens(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels) {
        check_attention(kernels, 4097, 2, 16, 0.25f, 8);
        const products p = products_of(kernels);
        check_layer(&p, (layer){.n = 13, .k = 9, .tokens = 4097, .with_bias = 1, .epilogue = VIT_EPILOGUE_GELU_ERF});
        check_layernorm(kernels, 13, 4097, 1e-6f, 0, 1);
    }
}

static void test_attention(void) {
    static const int widths[] = {1, 3, 8, 12, 16, 64, 80, 128};
    const vit_kernels *kernels;
    FOR_TABLES(kernels)
        for (int t = 0; t < COUNT(token_counts); t++)
            for (int w = 0; w < COUNT(widths); w++)
                check_attention(kernels, token_counts[t], 1 + (t + w) % 4, widths[w], 1 / sqrtf((float)widths[w]),
                                (t + w) % 3 * 5);
}

/* Scores hundreds apart: probabilities are exactly 1 and 0, and a value under probability 0 does not count at all. */
static void test_attention_saturates(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels) {
        enum { TOKENS = 19 };
        matrix qkv = matrix_make(kernels->panel, TOKENS, 3, 0), out = matrix_result(kernels->panel, TOKENS, 1, 0);
        buffer scratch = buffer_make(score_floats(kernels, TOKENS, 1)), capture = buffer_make(TOKENS * TOKENS);
        for (int t = 0; t < TOKENS; t++) {
            *at(&qkv, t, 0) = 1;
            *at(&qkv, t, 1) = t == 11 ? -100 : -300 - 1e30f * (float)(t % 3);
        }
        vit_attend a = {.qkv = qkv.memory.data, .out = out.memory.data, .qkv_stride = qkv.stride,
                        .out_stride = out.stride, .tokens = TOKENS, .heads = 1, .head_width = 1, .scale = 1,
                        .capture = capture.data};
        attend(kernels, &a, 0, 1, scratch.data);
        for (int t = 0; t < TOKENS; t++) {
            CHECK(*at(&out, t, 0) == *at(&qkv, 11, 2));
            for (int key = 0; key < TOKENS; key++)
                CHECK(capture.data[t * TOKENS + key] == (key == 11));
        }
        buffer_free(&scratch);
        buffer_free(&capture);
        matrix_free(&qkv);
        matrix_free(&out);
    }
}

/* e^x for x <= 0, as the ratio of two probabilities: scores are 0 and x. Each is e^x with one more rounding. */
static void test_exponential_accuracy(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels) {
        enum { TOKENS = 512, RUNS = 400 };
        matrix qkv = matrix_make(kernels->panel, TOKENS, 3, 0), out = matrix_result(kernels->panel, TOKENS, 1, 0);
        buffer scratch = buffer_make(score_floats(kernels, TOKENS, 1)), capture = buffer_make(TOKENS * TOKENS);
        vit_attend a = {.qkv = qkv.memory.data, .out = out.memory.data, .qkv_stride = qkv.stride,
                        .out_stride = out.stride, .tokens = TOKENS, .heads = 1, .head_width = 1, .scale = 1,
                        .capture = capture.data};
        double worst = 0;
        for (int t = 0; t < TOKENS; t++)
            *at(&qkv, t, 0) = 1;
        for (int run = 0; run < RUNS; run++) {
            for (int t = 0; t < TOKENS; t++)
                *at(&qkv, t, 1) = t ? -75.0f * (float)((t - 1) * RUNS + run) / (float)(TOKENS * RUNS) : 0;
            kernels->score(&a, 0, 0, 1, scratch.data);
            kernels->mix(&a, 0, 0, 1, scratch.data);
            for (int t = 1; t < TOKENS; t++) {
                double ratio = (double)capture.data[t] / capture.data[0], expected = exp(*at(&qkv, t, 1));
                worst = fmax(worst, fabs(ratio / expected - 1));
            }
        }
        if (!CHECK(worst <= 4 * UNIT + 2 * UNIT) || getenv("VIT_TEST_VERBOSE"))
            printf("%s e^x: relative error %.3g\n", kernels->name, worst);
        buffer_free(&scratch);
        buffer_free(&capture);
        matrix_free(&qkv);
        matrix_free(&out);
    }
}

/* ---- Tables ---- */

static void test_tables(void) {
    const vit_kernels *kernels;
    int count = 0;
    FOR_TABLES(kernels) {
        char isa[32];
        snprintf(isa, sizeof isa, "%.*s", (int)strcspn(kernels->name, ":"), kernels->name);
        CHECK(vit_kernels_find(kernels->name) == kernels);
        CHECK(vit_kernels_find(isa) && strncmp(vit_kernels_find(isa)->name, isa, strlen(isa)) == 0);
        CHECK_STRING(vit_kernels_name(table), kernels->name);
        CHECK(kernels->panel >= 4 && kernels->row_step >= 1);
        CHECK(kernels->query_panels == 1 || kernels->query_panels == 2);
        CHECK(vit_train_kernels_for(kernels) != NULL);
        CHECK(vit_kernels_peak(kernels->name) > 0);
        count++;
    }
    CHECK(count > 0);
    CHECK(vit_kernels_at(count) == NULL);
    CHECK(vit_kernels_find(NULL) == vit_kernels_at(0));
    CHECK(vit_kernels_find("abacus") == NULL && vit_kernels_find("") == NULL && vit_kernels_find("scal") == NULL);
    CHECK(vit_kernels_peak("abacus") == 0);
}

/* What this host lacks is tested nowhere here, and that is said. */
#define F32(symbol, supported) extern const vit_kernels symbol;
#define INT8(symbol, supported) extern const vit_int8_kernels symbol;
#define TRAIN(symbol, supported) extern const vit_train_kernels symbol;
#define BF16(symbol, supported) extern const vit_bf16_kernels symbol;
#include "../../src/kernels/kernels.def"
#undef F32
#undef INT8
#undef TRAIN
#undef BF16

#define SEEK(at, symbol)                                                        \
    for (int i = 0; at(i) != &symbol; i++)                                      \
        if (!at(i)) {                                                           \
            puts("skipped: " #symbol ", which this processor does not support"); \
            break;                                                              \
        }

static void test_what_is_missing(void) {
#define F32(symbol, supported) SEEK(vit_kernels_at, symbol)
#define INT8(symbol, supported) SEEK(vit_int8_kernels_at, symbol)
#define TRAIN(symbol, supported) SEEK(vit_train_kernels_at, symbol)
#define BF16(symbol, supported) SEEK(vit_bf16_kernels_at, symbol)
#include "../../src/kernels/kernels.def"
}

/* Tiles of one instruction set give the same bits, so that choosing the faster changes no result. */
static void test_tiles_agree(void) {
    const vit_kernels *kernels;
    FOR_TABLES(kernels) {
        char isa[32];
        snprintf(isa, sizeof isa, "%.*s", (int)strcspn(kernels->name, ":"), kernels->name);
        const vit_kernels *best = vit_kernels_find(isa);
        CHECK(best->panel == kernels->panel);
        enum { N = 27, K = 900, PANELS = 3 };
        int panel = kernels->panel;
        buffer w = buffer_noise(N * K), bias = buffer_noise(N), x = buffer_noise((size_t)PANELS * K * panel);
        buffer y = buffer_make((size_t)PANELS * N * panel), expected = buffer_make(y.count);
        vit_gemm g = {.w = w.data, .bias = bias.data, .x = x.data, .y = y.data, .x_stride = K * panel,
                      .y_stride = N * panel, .n = N, .k = K, .panels = PANELS, .epilogue = VIT_EPILOGUE_GELU_ERF};
        kernels->gemm_nt(&g, 0, N);
        g.y = expected.data;
        best->gemm_nt(&g, 0, N);
        CHECK(same_bits(&y, &expected));
        buffer_free(&w);
        buffer_free(&bias);
        buffer_free(&x);
        buffer_free(&y);
        buffer_free(&expected);
    }
}

TEST_MAIN(TEST(test_tables), TEST(test_tiles_agree), TEST(test_activation_accuracy), TEST(test_activation_limits),
          TEST(test_gate), TEST(test_layers), TEST(test_long_layers), TEST(test_gradients), TEST(test_layernorm),
          TEST(test_what_is_missing), TEST(test_attention), TEST(test_many_tokens), TEST(test_attention_saturates), TEST(test_exponential_accuracy))
