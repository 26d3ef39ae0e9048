/* Every int8 kernel table this host can run against integers and f64, over many shapes: quantised panels, layers and
 * scores. Integers must be equal, whichever table. Buffers lie between NaN fences. */
#include "panels.h"

#include <float.h>
#include <limits.h>

static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 36, 64, 192, 197};
static const int token_counts[] = {1, 2, 7, 8, 9, 16, 17, 31, 33, 197};

#define FOR_TABLES(kernels) \
    for (int table = 0; (kernels = vit_int8_kernels_at(table)) != NULL; table++)

/* The f32 table that goes with it. */
static const vit_kernels *partner(const vit_int8_kernels *kernels) {
    char isa[32];
    snprintf(isa, sizeof isa, "%.*s", (int)strcspn(kernels->name, ","), kernels->name);
    return vit_kernels_find(isa);
}

/* ---- Quantised panels ---- */

/* [panels][columns / depth][R][depth] integers of 4 / depth bytes, between fences, with scales and zero points or sums
 * of every lane. */
typedef struct panels {
    const vit_int8_kernels *kernels;
    int columns, count;
    buffer data, scale, other;
} panels;

static panels panels_make(const vit_int8_kernels *kernels, int channels, int count) {
    panels p = {.kernels = kernels, .columns = (channels + 3) / 4 * 4, .count = count};
    p.data = buffer_make((size_t)count * p.columns * kernels->panel / kernels->depth);
    p.scale = buffer_make((size_t)count * kernels->panel);
    p.other = buffer_make((size_t)count * kernels->panel);
    return p;
}

static void panels_free(panels *p) {
    buffer_free(&p->data);
    buffer_free(&p->scale);
    buffer_free(&p->other);
}

static char *panel_data(const panels *p, int panel) {
    return (char *)p->data.data + (size_t)panel * p->columns * p->kernels->panel * (4 / p->kernels->depth);
}

static int32_t *integers(const panels *p) {
    return (int32_t *)(void *)p->other.data;
}

static int integer(const panels *p, int token, int channel) {
    const int r = p->kernels->panel, depth = p->kernels->depth;
    size_t at = ((size_t)(channel / depth) * r + token % r) * depth + channel % depth;
    const char *data = panel_data(p, token / r);
    if (depth == 4)
        return ((const int8_t *)data)[at];
    int16_t value;
    memcpy(&value, data + 2 * at, sizeof value);
    return value;
}

static void set_integer(panels *p, int token, int channel, int value) {
    const int r = p->kernels->panel, depth = p->kernels->depth;
    size_t at = ((size_t)(channel / depth) * r + token % r) * depth + channel % depth;
    char *data = panel_data(p, token / r);
    int16_t wide = (int16_t)value;
    if (depth == 4)
        data[at] = (char)value;
    else
        memcpy(data + 2 * at, &wide, sizeof wide);
}

static panels quantized(const vit_int8_kernels *kernels, const matrix *x) {
    panels p = panels_make(kernels, x->channels, x->panels);
    for (int i = 0; i < x->panels; i++)
        kernels->quantize(x->memory.data + i * x->stride, x->channels, panel_data(&p, i),
                          p.scale.data + i * kernels->panel, integers(&p) + i * kernels->panel);
    return p;
}

/* Rounds to even, as the kernels' addition does. */
static int rounded(float value) {
    return (int)nearbyintf(value);
}

static void check_quantize(const vit_int8_kernels *kernels, int channels, int tokens, float offset, float spread) {
    matrix x = matrix_make(kernels->panel, tokens, channels, 0);
    for (int t = 0; t < tokens; t++)
        for (int c = 0; c < channels; c++)
            *at(&x, t, c) = t == 1 ? offset : offset + spread * *at(&x, t, c); /* token 1 is constant */
    panels p = quantized(kernels, &x);
    int wrong = 0, far = 0;
    for (int t = 0; t < tokens; t++) {
        float low = 0, high = 0;
        for (int c = 0; c < channels; c++) {
            low = fminf(low, *at(&x, t, c));
            high = fmaxf(high, *at(&x, t, c));
        }
        float range = fmaxf(1e-20f, high - low), inverse = 127 / range;
        int zero = rounded(-(low * inverse));
        wrong += integers(&p)[t] != zero || p.scale.data[t] != range * (1 / 127.0f);
        for (int c = 0; c < p.columns; c++) {
            float value = c < channels ? *at(&x, t, c) : 0;
            int q = integer(&p, t, c), sum = rounded(value * inverse + (float)zero);
            /* the kernels round the sum once, with 1.5 * 2^23 in it; here it is rounded to f32 first: half ways differ */
            float exact = value * inverse, below = floorf(exact);
            int half = fabsf(exact - below - 0.5f) < 1e-4f;
            wrong += c < channels ? (half ? abs(q - sum) > 1 : q != (sum > 127 ? 127 : sum)) : q != 0;
            wrong += q < 0 || q > 127;
            far += c < channels && !(fabsf((float)(q - zero) * p.scale.data[t] - value) <= 0.501f * p.scale.data[t] +
                                                                                             1e-6f * fabsf(value));
        }
    }
    if (!CHECK(wrong == 0 && far == 0))
        printf("%s quantize: %d, far %d of channels=%d tokens=%d offset=%g spread=%g\n", kernels->name, wrong, far,
               channels, tokens, offset, spread);
    panels_free(&p);
    matrix_free(&x);
}

static void check_quantize_keys(const vit_int8_kernels *kernels, int channels, int tokens) {
    matrix x = matrix_make(kernels->panel, tokens, channels, 0);
    panels p = panels_make(kernels, channels, x.panels);
    for (int i = 0; i < x.panels; i++)
        kernels->quantize_keys(x.memory.data + i * x.stride, channels, 0.125f, panel_data(&p, i),
                               p.scale.data + i * kernels->panel, integers(&p) + i * kernels->panel);
    int wrong = 0;
    for (int t = 0; t < tokens; t++) {
        float most = 1e-20f, inverse;
        int sum = 0;
        for (int c = 0; c < channels; c++)
            most = fmaxf(most, fabsf(*at(&x, t, c)));
        inverse = 127 / most;
        for (int c = 0; c < p.columns; c++) {
            int q = integer(&p, t, c);
            wrong += q != (c < channels ? rounded(*at(&x, t, c) * inverse) : 0) || abs(q) > 127;
            sum += q;
        }
        wrong += integers(&p)[t] != sum || p.scale.data[t] != most * (0.125f / 127);
    }
    if (!CHECK(wrong == 0))
        printf("%s quantize_keys: %d of channels=%d tokens=%d\n", kernels->name, wrong, channels, tokens);
    panels_free(&p);
    matrix_free(&x);
}

static void test_quantize(void) {
    const vit_int8_kernels *kernels;
    FOR_TABLES(kernels)
        for (int c = 0; c < COUNT(sizes); c++)
            for (int t = 0; t < COUNT(token_counts); t += 3) {
                check_quantize(kernels, sizes[c], token_counts[t], 0, 1);
                check_quantize(kernels, sizes[c], token_counts[t], 3, 1);
                check_quantize(kernels, sizes[c], token_counts[t], -200, 150);
                check_quantize(kernels, sizes[c], token_counts[t], 0, 0);
                check_quantize(kernels, sizes[c], token_counts[t], 1e-30f, 1e-30f);
                check_quantize_keys(kernels, sizes[c], token_counts[t]);
            }
}

/* A token with NaN or infinity in it has NaN results; its neighbours do not. */
static void test_not_finite(void) {
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const vit_int8_kernels *kernels;
    FOR_TABLES(kernels)
        for (int i = 0; i < COUNT(bad); i++) {
            matrix x = matrix_make(kernels->panel, kernels->panel, 13, 0);
            *at(&x, 2, 1) = -50; /* the least, before what is bad */
            *at(&x, 2, i * 3) = bad[i];
            panels p = quantized(kernels, &x), keys = panels_make(kernels, 13, 1);
            kernels->quantize_keys(x.memory.data, 13, 1, panel_data(&keys, 0), keys.scale.data, integers(&keys));
            for (int t = 0; t < kernels->panel; t++) {
                CHECK(isnan(p.scale.data[t]) == (t == 2) && isnan(keys.scale.data[t]) == (t == 2));
                for (int c = 0; c < 13; c++)
                    CHECK(integer(&p, t, c) >= 0);
            }
            panels_free(&p);
            panels_free(&keys);
            matrix_free(&x);
        }
}

/* ---- Layers ---- */

typedef struct layer {
    int n, k, tokens, extreme, with_bias, gap;
    vit_epilogue epilogue;
} layer;

/* Exact sums, then the layer in f64. */
static void check_layer(const vit_int8_kernels *kernels, layer l) {
    const int columns = (l.k + 3) / 4 * 4, r = kernels->panel, add = l.epilogue == VIT_EPILOGUE_ADD;
    matrix y = add ? matrix_make(r, l.tokens, l.n, l.gap) : matrix_result(r, l.tokens, l.n, l.gap);
    buffer before = buffer_copy(&y.memory), bias = buffer_noise(l.n), w_scale = buffer_noise(l.n);
    buffer weights = buffer_make((size_t)l.n * columns / 4), sums = buffer_make(l.n);
    buffer scratch = buffer_make((kernels->gemm_scratch(l.k) + 3) / 4);
    int8_t *w = (int8_t *)weights.data;
    int32_t *w_sum = (int32_t *)(void *)sums.data;
    panels x = panels_make(kernels, l.k, y.panels);
    memset(x.data.data, 0, x.data.count * sizeof(float));
    for (int n = 0; n < l.n; n++) {
        w_sum[n] = 0;
        for (int c = 0; c < columns; c++)
            w_sum[n] += w[(size_t)n * columns + c] =
                (int8_t)(c >= l.k ? 0 : l.extreme ? (n % 2 ? 127 : -127) : (int)(noise() * 127.99f));
    }
    for (int t = 0; t < y.panels * r; t++) {
        x.scale.data[t] = l.extreme ? 1 : 0.5f + noise() / 4;
        integers(&x)[t] = l.extreme ? 0 : (int)(63 + noise() * 64);
        for (int c = 0; c < l.k; c++)
            set_integer(&x, t, c, l.extreme ? 127 : (int)(63.5f + noise() * 64));
    }
    for (int n = 0; n < l.n && l.extreme; n++)
        w_scale.data[n] = 1;
    vit_int8_gemm g = {.w = w, .w_scale = w_scale.data, .w_sum = w_sum, .bias = l.with_bias ? bias.data : NULL,
                       .x = x.data.data, .x_scale = x.scale.data, .x_zero = integers(&x), .y = y.memory.data,
                       .y_stride = y.stride, .n = l.n, .k = l.k, .panels = y.panels, .epilogue = l.epilogue};
    kernels->gemm(&g, 0, l.n, scratch.data);
    CHECK(add || untouched_outside(&y, 0, l.n));
    int wrong = 0;
    for (int t = 0; t < l.tokens; t++)
        for (int n = 0; n < l.n; n++) {
            int64_t sum = 0;
            for (int c = 0; c < l.k; c++)
                sum += w[(size_t)n * columns + c] * (integer(&x, t, c) - integers(&x)[t]);
            double value = (double)sum * x.scale.data[t] * w_scale.data[n], start = l.with_bias ? bias.data[n] : 0;
            double residual = add ? before.data[at(&y, t, n) - y.memory.data] : 0;
            double tolerance = FLT_EPSILON * (2 * fabs(value) + fabs(start) + fabs(value + start + residual));
            double expected = value + start + residual;
            if (l.epilogue == VIT_EPILOGUE_GELU_ERF) {
                expected *= 0.5 * erfc(-expected / sqrt(2));
                tolerance = 1.13 * tolerance + 5e-7 + 2 * FLT_EPSILON * fabs(expected);
            } else if (l.extreme && !l.with_bias && !add) {
                tolerance = llabs(sum) <= 1 << 24 ? 0 : tolerance; /* the integer itself */
            }
            wrong += !(fabs(*at(&y, t, n) - expected) <= tolerance);
        }
    if (!CHECK(wrong == 0))
        printf("%s gemm: %d of n=%d k=%d tokens=%d epilogue=%d extreme=%d\n", kernels->name, wrong, l.n, l.k, l.tokens,
               (int)l.epilogue, l.extreme);

    /* the same bits in parts, and nothing else written */
    matrix parts = y;
    parts.memory = buffer_copy(&before);
    g.y = parts.memory.data;
    kernels->gemm(&g, l.n / 3, l.n, scratch.data);
    CHECK(add || untouched_outside(&parts, l.n / 3, l.n));
    kernels->gemm(&g, 0, l.n / 3, scratch.data);
    CHECK(same_bits(&parts.memory, &y.memory) && "split over the outputs");
    matrix_free(&parts);
    parts.memory = buffer_copy(&before);
    g.panels = 1;
    for (int p = 0; p < y.panels; p++) {
        g.x = panel_data(&x, p);
        g.x_scale = x.scale.data + p * r;
        g.x_zero = integers(&x) + p * r;
        g.y = parts.memory.data + p * y.stride;
        kernels->gemm(&g, 0, l.n, scratch.data);
    }
    CHECK(same_bits(&parts.memory, &y.memory) && "split over the panels");
    matrix_free(&parts);
    matrix_free(&y);
    panels_free(&x);
    buffer_free(&before);
    buffer_free(&bias);
    buffer_free(&w_scale);
    buffer_free(&weights);
    buffer_free(&sums);
    buffer_free(&scratch);
}

static void test_layers(void) {
    static const vit_epilogue epilogues[] = {VIT_EPILOGUE_STORE, VIT_EPILOGUE_ADD, VIT_EPILOGUE_GELU_ERF};
    const vit_int8_kernels *kernels;
    FOR_TABLES(kernels) {
        int turn = 0;
        for (int n = 0; n < COUNT(sizes); n++)
            for (int k = 0; k < COUNT(sizes); k++)
                for (int t = 0; t < COUNT(token_counts); t++, turn++)
                    check_layer(kernels, (layer){sizes[n], sizes[k], token_counts[t], turn % 5 == 0, turn / 2 % 3 > 0,
                                                 turn % 7 * 3, epilogues[turn % 3]});
        for (int extreme = 0; extreme < 2; extreme++) /* 127 * 127 * 1040 < 2^24 < 127 * 127 * 3072 */
            for (int e = 0; e < COUNT(epilogues); e++) {
                check_layer(kernels, (layer){29, 1040, 33, extreme, 0, 0, epilogues[e]});
                check_layer(kernels, (layer){50, 3072, 33, extreme, 0, 0, epilogues[e]});
            }
    }
}

/* ---- Scores of attention ---- */

static void check_scores(const vit_int8_kernels *kernels, int tokens, int width) {
    const int r = kernels->panel, count = kernels->query_panels;
    matrix q = matrix_make(r, tokens, width, 0), k = matrix_make(r, tokens, width, 0);
    panels queries = quantized(kernels, &q), keys = panels_make(kernels, width, k.panels);
    for (int i = 0; i < k.panels; i++)
        kernels->quantize_keys(k.memory.data + i * k.stride, width, 0.25f, panel_data(&keys, i), keys.scale.data + i * r,
                               integers(&keys) + i * r);
    vit_int8_heads h = {.q = queries.data.data, .k = keys.data.data, .q_scale = queries.scale.data,
                        .q_zero = integers(&queries), .k_scale = keys.scale.data, .k_sum = integers(&keys),
                        .tokens = tokens, .head_width = width};
    const ptrdiff_t stride = (ptrdiff_t)k.panels * r * r;
    buffer scores = buffer_make((size_t)(count * stride)), single = buffer_make((size_t)stride);
    int wrong = 0, same = 1;
    for (int p = 0; p < q.panels; p += tokens > 1000 ? 64 * count : count) { /* of many queries some are looked at */
        int some = q.panels - p < count ? q.panels - p : count;
        kernels->score(&h, p, some, scores.data);
        kernels->score(&h, p, 1, single.data);
        for (int i = 0; i < some * r && p * r + i < tokens; i++)
            for (int key = 0; key < tokens; key++) {
                int64_t sum = 0;
                for (int c = 0; c < width; c++)
                    sum += integer(&keys, key, c) * (integer(&queries, p * r + i, c) - integers(&queries)[p * r + i]);
                double expected = (double)sum * queries.scale.data[p * r + i] * keys.scale.data[key];
                float found = scores.data[i / r * stride + (ptrdiff_t)key * r + i % r];
                wrong += !(fabs(found - expected) <= 2 * FLT_EPSILON * fabs(expected));
                same = same && (i >= r || found == single.data[(ptrdiff_t)key * r + i]);
            }
    }
    CHECK(same);
    if (!CHECK(wrong == 0))
        printf("%s score: %d of tokens=%d width=%d\n", kernels->name, wrong, tokens, width);
    buffer_free(&scores);
    buffer_free(&single);
    panels_free(&queries);
    panels_free(&keys);
    matrix_free(&q);
    matrix_free(&k);
}

static void test_scores(void) {
    static const int widths[] = {1, 3, 8, 12, 16, 64, 80, 128};
    const vit_int8_kernels *kernels;
    FOR_TABLES(kernels)
        for (int t = 0; t < COUNT(token_counts); t++)
            for (int w = 0; w < COUNT(widths); w++)
                check_scores(kernels, token_counts[t], widths[w]);
    FOR_TABLES(kernels) { /* as many as a picture of 1024 x 1024 pixels has */
        check_scores(kernels, 4097, 16);
        check_layer(kernels, (layer){13, 9, 4097, 0, 1, 8, VIT_EPILOGUE_GELU_ERF});
    }
}

/* ---- Tables ---- */

static void test_tables(void) {
    const vit_int8_kernels *kernels;
    const vit_kernels *f32;
    int count = 0;
    FOR_TABLES(kernels) {
        CHECK(partner(kernels) && partner(kernels)->panel == kernels->panel);
        CHECK(vit_int8_kernels_find(kernels->name) == kernels);
        CHECK(kernels->depth == 2 || kernels->depth == 4);
        count++;
    }
    CHECK(count > 0 && vit_int8_kernels_at(count) == NULL);
    for (int i = 0; (f32 = vit_kernels_at(i)) != NULL; i++) {
        const vit_int8_kernels *found = vit_int8_kernels_find(f32->name);
        CHECK(found && found->panel == f32->panel);
        CHECK_STRING(vit_kernels_name(i), f32->name);
    }
    CHECK(vit_int8_kernels_find(NULL) == vit_int8_kernels_find(vit_kernels_at(0)->name));
    char name[64];
    snprintf(name, sizeof name, "%s,abacus", vit_kernels_at(0)->name);
    CHECK(vit_kernels_find(name) == NULL && vit_int8_kernels_find(name) == NULL);
    CHECK(vit_int8_kernels_find("abacus") == NULL && vit_int8_kernels_find("") == NULL);
}

TEST_MAIN(TEST(test_tables), TEST(test_quantize), TEST(test_not_finite), TEST(test_layers), TEST(test_scores))
