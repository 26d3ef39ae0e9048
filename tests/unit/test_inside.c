/* Attention maps, distances, position embeddings and filters against plain f64 arithmetic on small models; the linear
 * algebra under them; PNG files. The real model's numbers are checked against the goldens. */
#include "test.h"

#include "../../src/model/model.h"
#include "../../src/tasks/linear_algebra.h"
#include "../../src/vit_tasks.h"

#include <unistd.h>

#define FORWARD "tests/golden/forward/"
#define POSEMB "tests/golden/posemb/"
#define PNG "build/test_inside.png"

static vit_error error;

/* ---- Linear algebra ---- */

enum { N = 37 };

static double noise(int seed) {
    return sin(12.9898 * seed + 0.1) * 4.3;
}

/* Symmetric, with two eigenvalues in common where `twice`. */
static void fill_symmetric(double *a, int twice) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++)
            a[i * N + j] = a[j * N + i] = twice ? i == j ? 2 + i / 2 : 0 : noise(i * N + j);
}

static void check_eigen(const double *a) {
    double used[N * N], values[N], vectors[N * N], work[4 * N];
    memcpy(used, a, sizeof used);
    if (!CHECK(vit_symmetric_eigen(used, N, values, vectors, work)))
        return;
    double worst = 0, crooked = 0;
    for (int k = 0; k < N; k++) {
        CHECK(k == 0 || values[k] <= values[k - 1]);
        for (int i = 0; i < N; i++) {
            double sum = 0, cosine = 0;
            for (int j = 0; j < N; j++) {
                sum += a[i * N + j] * vectors[k * N + j];
                cosine += vectors[i * N + j] * vectors[k * N + j];
            }
            worst = fmax(worst, fabs(sum - values[k] * vectors[k * N + i]));
            crooked = fmax(crooked, fabs(cosine - (i == k)));
        }
    }
    CHECK_CLOSE(worst, 0, 1e-12);
    CHECK_CLOSE(crooked, 0, 1e-13);
}

static void test_eigen(void) {
    double a[N * N], values[N], vectors[N * N], work[4 * N];
    fill_symmetric(a, 0);
    check_eigen(a);
    fill_symmetric(a, 1);
    check_eigen(a);
    memset(a, 0, sizeof a);
    check_eigen(a);
    for (int i = 0; i < N; i++)
        a[i * N + i] = 1e-200 * (i + 1);
    a[1] = a[N] = 1e-200;
    check_eigen(a);
    a[5 * N + 3] = a[3 * N + 5] = NAN;
    CHECK(!vit_symmetric_eigen(a, N, values, vectors, work));
    a[0] = 7;
    CHECK(vit_symmetric_eigen(a, 1, values, vectors, work) && values[0] == 7 && vectors[0] == 1);
}

static void test_cholesky(void) {
    double a[N * N], factor[N * N], x[N * 2];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i * N + j] = i == j ? 1 : 0;
            for (int k = 0; k < N; k++)
                a[i * N + j] += noise(i * N + k) * noise(j * N + k);
        }
    memcpy(factor, a, sizeof a);
    for (int i = 0; i < N * 2; i++)
        x[i] = noise(1000 + i);
    CHECK(vit_cholesky(factor, N));
    vit_cholesky_solve(factor, N, x, 2);
    for (int i = 0; i < N * 2; i++) {
        double sum = 0;
        for (int j = 0; j < N; j++)
            sum += a[i / 2 * N + j] * x[j * 2 + i % 2];
        CHECK_CLOSE(sum, noise(1000 + i), 1e-9);
    }
    a[3 * N + 3] = -1;
    CHECK(!vit_cholesky(a, N));
    a[0] = NAN;
    CHECK(!vit_cholesky(a, N));
}

/* ---- Attention ---- */

/* One pass over two pictures with every layer's attention kept: attention [L][B,H,T,T], the caller's. */
static float *capture(vit_session *session, const vit_config *c, vit_attention **follow, int count) {
    const vit_session_info info = vit_session_get_info(session);
    const size_t layer = (size_t)info.batch * (size_t)c->heads * (size_t)info.tokens * (size_t)info.tokens;
    float *all = malloc((size_t)c->layers * layer * sizeof *all), *next = all;
    for (int b = 0; b < info.batch; b++)
        for (int i = 0; i < info.height * info.width * 3; i++)
            vit_session_input(session, b)[i] = sinf(0.37f * (float)i + (float)b) * 0.9f;
    vit_session_restart(session);
    for (int stage = 0, more = 1; more; stage++) {
        more = vit_session_advance(session);
        for (int i = 0; i < count; i++)
            vit_attention_follow(follow[i]);
        if (strncmp(vit_session_stage(session, stage).name, "attn.", 5) != 0)
            continue;
        CHECK_STATUS(VIT_OK, vit_session_read(session, next, &error));
        next += layer;
    }
    CHECK(next == all + (size_t)c->layers * layer);
    return all;
}

/* rows [T,T] = the product of the first `layers` layers of image 1 */
static void roll_out(const float *attention, const vit_config *c, int tokens, int layers, double *rows) {
    const size_t size = (size_t)tokens * (size_t)tokens;
    double *layer = malloc(size * sizeof *layer), *product = malloc(size * sizeof *product);
    for (size_t i = 0; i < size; i++)
        rows[i] = i % ((size_t)tokens + 1) == 0;
    for (int l = 0; l < layers; l++) {
        const float *image = attention + (size_t)(l * 2 + 1) * (size_t)c->heads * size;
        for (int t = 0; t < tokens; t++) {
            double sum = 0, *row = layer + t * tokens;
            for (int k = 0; k < tokens; k++) {
                row[k] = t == k;
                for (int h = 0; h < c->heads; h++)
                    row[k] += image[(size_t)h * size + (size_t)(t * tokens + k)] / (double)c->heads;
                sum += row[k];
            }
            for (int k = 0; k < tokens; k++)
                row[k] /= sum;
        }
        memset(product, 0, size * sizeof *product);
        for (int t = 0; t < tokens; t++)
            for (int k = 0; k < tokens; k++)
                for (int j = 0; j < tokens; j++)
                    product[t * tokens + j] += layer[t * tokens + k] * rows[k * tokens + j];
        memcpy(rows, product, size * sizeof *rows);
    }
    free(layer);
    free(product);
}

/* The map is row `query` of rows [T,T], or the mean of those of the patches. */
static void check_map(const vit_attention *attention, int patch, const double *rows, int tokens, int first, int mean) {
    float *values = malloc((size_t)(tokens - first) * sizeof *values);
    CHECK_STATUS(VIT_OK, vit_attention_read(attention, patch, values, &error));
    for (int i = first; i < tokens; i++) {
        double sum = 0;
        for (int row = first; row < tokens; row++)
            sum += rows[row * tokens + i] / (tokens - first);
        CHECK_CLOSE(values[i - first], mean ? sum : rows[(patch < 0 ? 0 : first + patch) * tokens + i], 1e-6);
    }
    free(values);
}

static void check_attention(const char *path, int height, int width, int threads, int is_mean) {
    vit_model *model;
    vit_session *session;
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, path, NULL, NULL, &error)))
        return;
    const vit_config *c = vit_model_config(model);
    vit_session_options options = {.height = height, .width = width, .batch = 2, .threads = threads,
                                   .capture_attention = 1};
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error));
    const int tokens = vit_session_get_info(session).tokens, first = c->class_token;
    vit_attention *follow[4];
    const vit_attention_options wanted[4] = {{VIT_ATTENTION_ROLLOUT, -1, 0, 1},
                                             {VIT_ATTENTION_ROLLOUT, 0, 0, 1},
                                             {VIT_ATTENTION_MEAN, -1, 0, 1},
                                             {VIT_ATTENTION_HEAD, 0, c->heads - 1, 1}};
    for (int i = 0; i < 4; i++)
        CHECK_STATUS(VIT_OK, vit_attention_open(&follow[i], session, &wanted[i], &error));
    float value;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_read(follow[0], -1, &value, &error));
    free(capture(session, c, follow, 4));
    float *attention = capture(session, c, follow, 4); /* a second pass begins anew */
    const size_t size = (size_t)tokens * (size_t)tokens;
    double *rows = malloc(size * sizeof *rows);
    for (int i = 0; i < 2; i++) {
        roll_out(attention, c, tokens, i ? 1 : c->layers, rows);
        check_map(follow[i], -1, rows, tokens, first, is_mean);
        check_map(follow[i], tokens - first - 1, rows, tokens, first, 0);
    }
    const float *last = attention + (size_t)((c->layers - 1) * 2 + 1) * (size_t)c->heads * size;
    for (size_t i = 0; i < size; i++) {
        rows[i] = 0;
        for (int h = 0; h < c->heads; h++)
            rows[i] += last[(size_t)h * size + i] / (double)c->heads;
    }
    check_map(follow[2], -1, rows, tokens, first, is_mean);
    for (size_t i = 0; i < size; i++)
        rows[i] = attention[(size_t)(2 * c->heads - 1) * size + i];
    check_map(follow[3], 0, rows, tokens, first, 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_read(follow[3], tokens - first, &value, &error));
    CHECK_MENTIONS(error.text, "patch");
    if (first)
        check_map(follow[3], VIT_QUERY_CLASS, rows, tokens, first, 0);
    else
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_read(follow[3], VIT_QUERY_CLASS, &value, &error));
    check_map(follow[3], VIT_QUERY_MEAN, rows, tokens, first, 1);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_read(follow[3], -4, &value, &error));
    for (int i = 0; i < 4; i++)
        vit_attention_close(follow[i]);
    free(rows);
    free(attention);
    vit_session_close(session);
    vit_model_close(model);
}

static void test_attention(void) {
    check_attention(FORWARD "timm_cls", 0, 0, 1, 0);
    check_attention(FORWARD "timm_cls", 72, 104, 3, 0); /* more than one panel */
    check_attention(FORWARD "timm_gap", 0, 0, 2, 1);
    check_attention(FORWARD "timm_gap_notoken", 8, 8, 1, 1); /* a single patch */
}

static void test_attention_errors(void) {
    vit_model *model;
    vit_session *session;
    vit_attention *attention;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &(vit_session_options){.capture_attention = 1}, &error));
    const struct {
        vit_attention_options options;
        const char *mention;
    } wrong[] = {{{VIT_ATTENTION_MEAN, 2, 0, 0}, "layer 2"},
                 {{VIT_ATTENTION_ROLLOUT, -3, 0, 0}, "layer -3"},
                 {{VIT_ATTENTION_HEAD, 0, 3, 0}, "head 3"},
                 {{VIT_ATTENTION_HEAD, 0, -1, 0}, "head -1"},
                 {{VIT_ATTENTION_MEAN, 0, 0, 1}, "image 1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_open(&attention, session, &wrong[i].options, &error));
        CHECK(attention == NULL);
        CHECK_MENTIONS(error.text, wrong[i].mention);
    }
    CHECK_STATUS(VIT_OK, vit_attention_open(&attention, session, &(vit_attention_options){.layer = -1}, &error));
    CHECK(vit_attention_follow(attention) == 0);
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error)); /* layers went by unseen */
    CHECK(vit_attention_follow(attention) == 0);
    vit_attention_close(attention);
    vit_session_close(session);
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_open(&attention, session, &(vit_attention_options){0}, &error));
    CHECK_MENTIONS(error.text, "capture_attention");
    vit_session_close(session);
    vit_model_close(model);
}

static void test_distance(void) {
    vit_model *model;
    vit_session *session;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    const vit_config *c = vit_model_config(model);
    vit_session_options options = {.height = 16, .width = 40, .batch = 2, .capture_attention = 1};
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error));
    float *attention = capture(session, c, NULL, 0);
    double found[2][3];
    CHECK(vit_attention_distance(session, 0, 0, found[0]) == -1);
    vit_session_restart(session);
    CHECK(vit_attention_distance(session, 0, 0, found[0]) == -1);
    while (vit_attention_distance(session, 1, 0, found[0]) != 1)
        vit_session_advance(session);
    CHECK(vit_attention_distance(session, 2, 0, found[1]) == -1);
    CHECK(vit_attention_distance(session, 1, 1, found[1]) == 1);
    for (int head = 0; head < c->heads; head++) {
        const float *map = attention + ((size_t)(1 * 2 + 1) * (size_t)c->heads + (size_t)head) * 11 * 11;
        double plain = 0, renormalized = 0;
        for (int q = 0; q < 10; q++) {
            double sum = 0, weights = 0;
            for (int k = 0; k < 10; k++) {
                const double weight = map[(1 + q) * 11 + 1 + k];
                sum += weight * 8 * sqrt(pow(q / 5 - k / 5, 2) + pow(q % 5 - k % 5, 2));
                weights += weight;
            }
            plain += sum / 10;
            renormalized += sum / weights / 10;
        }
        CHECK_CLOSE(found[0][head], plain, 1e-6);
        CHECK_CLOSE(found[1][head], renormalized, 1e-6);
    }
    free(attention);
    vit_session_close(session);
    vit_model_close(model);
}

/* ---- Weights ---- */

static void test_positions(void) {
    vit_model *model;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    float out[16 * 16];
    vit_session *session;
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_position_similarity(session, 0, 16, out, &error));
    float some[3 * 16];
    CHECK_STATUS(VIT_OK, vit_position_similarity(session, 5, 8, some, &error));
    CHECK(memcmp(some, out + 5 * 16, sizeof some) == 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_position_similarity(session, 5, 17, some, &error));
    CHECK_STRING(error.text, "position embeddings: patches 5 to 17 of 16");
    const float *rows = model->weights.pos_embed + 36; /* after the class token's */
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            double product = 0, a = 0, b = 0;
            for (int d = 0; d < 36; d++) {
                product += (double)rows[i * 36 + d] * rows[j * 36 + d];
                a += (double)rows[i * 36 + d] * rows[i * 36 + d];
                b += (double)rows[j * 36 + d] * rows[j * 36 + d];
            }
            CHECK_CLOSE(out[i * 16 + j], product / sqrt(a * b), 1e-6);
        }
    vit_session_close(session);
    vit_model_close(model);

    /* sums of a row's and a column's vector: cosines of equal rows are those of equal columns */
    CHECK_STATUS(VIT_OK, vit_model_open(&model, POSEMB "variant_2d/model.safetensors",
                                        POSEMB "variant_2d/case.json", NULL, &error));
    const vit_config *c = vit_model_config(model);
    const int rows_2d = c->image_height / c->patch_height, columns = c->image_width / c->patch_width,
              half = c->width / 2;
    float *both = malloc((size_t)(rows_2d * columns * rows_2d * columns) * sizeof *both);
    const vit_session_options stored = {.height = c->image_height, .width = c->image_width};
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &stored, &error));
    CHECK_STATUS(VIT_OK, vit_position_similarity(session, 0, rows_2d * columns, both, &error));
    double product = 0, one = 0, two = 0;
    for (int d = 0; d < half; d++) { /* patches (0,0) and (1,2) */
        const float *x = model->weights.pos_x, *y = model->weights.pos_y;
        product += (double)x[d] * x[2 * half + d] + (double)y[d] * y[half + d];
        one += (double)x[d] * x[d] + (double)y[d] * y[d];
        two += (double)x[2 * half + d] * x[2 * half + d] + (double)y[half + d] * y[half + d];
    }
    CHECK_CLOSE(both[columns + 2], product / sqrt(one * two), 1e-6);
    free(both);
    vit_session_close(session);
    vit_model_close(model);

    static const char *const without[] = {"variant_none", "variant_relative"};
    for (int i = 0; i < 2; i++) {
        char weights[100], config[100];
        snprintf(weights, sizeof weights, POSEMB "%s/model.safetensors", without[i]);
        snprintf(config, sizeof config, POSEMB "%s/case.json", without[i]);
        CHECK_STATUS(VIT_OK, vit_model_open(&model, weights, config, NULL, &error));
        CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_position_similarity(session, 0, 1, out, &error));
        vit_session_close(session);
        vit_model_close(model);
    }
    CHECK_STATUS(VIT_OK, vit_model_open(&model, POSEMB "variant_every_layer/model.safetensors",
                                        POSEMB "variant_every_layer/case.json", NULL, &error));
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error)); /* leaves the last layer's */
    CHECK_STATUS(VIT_OK, vit_position_similarity(session, 0, 1, out, &error));
    CHECK_CLOSE(out[0], 1, 1e-6);
    CHECK(fabsf(out[1]) < 0.99f);
    vit_session_close(session);
    vit_model_close(model);
}

/* A stem's filters are as large as its windows. */
static void test_stem_filters(void) {
    vit_config c;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&c, "bit_r50x1", &error));
    c.resnet = (vit_resnet){.stages = 1, .units = {1}, .stem_width = 32, .width = 32, .kind = c.resnet.kind,
                            .root_size = 3, .root_stride = 1};
    c.width = 128;
    vit_model *model;
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &c, 3, NULL, &error));
    int shape[3];
    vit_filter_shape(model, shape);
    CHECK(shape[0] == 32 && shape[1] == 3 && shape[2] == 3);
    float components[27], strength, mean[27];
    CHECK_STATUS(VIT_OK, vit_filter_components(model, 1, components, &strength, mean, &error));
    double sum = 0;
    for (int filter = 0; filter < 32; filter++)
        sum += (double)model->weights.stem->weight[filter * 27];
    CHECK_CLOSE(mean[0], sum / 32, 1e-6);
    vit_model_close(model);
}

/* Filters are as far from their mean as the components with their strengths say, along each and in all. */
static void test_filters(void) {
    enum { D = 36, LENGTH = 192 };
    vit_model *model;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    static float components[D * LENGTH], strengths[D], mean[LENGTH];
    CHECK_STATUS(VIT_OK, vit_filter_components(model, D, components, strengths, mean, &error));
    const float *weights = model->weights.patch_weight.f32;
    double all = 0, found = 0;
    for (int k = 0; k < D - 1; k++) { /* the mean takes one away */
        double along = 0, square = 0, largest = 0;
        for (int i = 0; i < D; i++) {
            double product = 0;
            for (int d = 0; d < LENGTH; d++)
                product += ((double)weights[i * LENGTH + d] - mean[d]) * components[k * LENGTH + d];
            along += product * product;
        }
        for (int d = 0; d < LENGTH; d++) {
            square += (double)components[k * LENGTH + d] * components[k * LENGTH + d];
            if (fabs(components[k * LENGTH + d]) > fabs(largest))
                largest = components[k * LENGTH + d];
        }
        CHECK_CLOSE(sqrt(along), strengths[k], 1e-6);
        CHECK_CLOSE(square, 1, 1e-6);
        CHECK(largest > 0 && (k == 0 || strengths[k] <= strengths[k - 1]));
        found += (double)strengths[k] * strengths[k];
    }
    for (int i = 0; i < D * LENGTH; i++)
        all += pow(weights[i] - (double)mean[i % LENGTH], 2);
    CHECK_CLOSE(found, all, 1e-4 * all);
    CHECK_CLOSE(strengths[D - 1], 0, 1e-5);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_filter_components(model, D + 1, components, strengths, mean, &error));
    CHECK_MENTIONS(error.text, "1 to 36");
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_filter_components(model, 0, components, strengths, mean, &error));
    vit_model_close(model);
    vit_options options = vit_default_options();
    options.compute = VIT_COMPUTE_INT8;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, &options, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_filter_components(model, 1, components, strengths, NULL, &error));
    CHECK_MENTIONS(error.text, "int8");
    vit_model_close(model);
}

/* ---- PNG ---- */

static void check_png(int width, int height, int kind) {
    vit_image image, back;
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    uint32_t state = 1;
    for (int i = 0; i < width * height * 3; i++) {
        state = state * 1664525 + 1013904223;
        const int random = (int)(state >> 24);
        const int kinds[] = {77, random, i / 3 % width * 3 + i % 3, i % 4099 ? random % 3 : i};
        pixels[i] = (uint8_t)kinds[kind]; /* flat, noise, a ramp, far repetitions */
    }
    CHECK_STATUS(VIT_OK, vit_image_from_pixels(&image, pixels, width, height, 3, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_image_save(&image, PNG, NULL, &error));
    if (CHECK_STATUS(VIT_OK, vit_image_open(&back, PNG, NULL, &error))) {
        CHECK(back.width == width && back.height == height);
        CHECK(memcmp(back.rgb, pixels, (size_t)width * (size_t)height * 3) == 0);
        vit_image_close(&back);
    }
    vit_image_close(&image);
    free(pixels);
    unlink(PNG);
}

static void test_png(void) {
    static const int sizes[][2] = {{1, 1}, {1, 7}, {300, 1}, {2, 2}, {131, 97}, {500, 400}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < 4; kind++)
            check_png(sizes[i][0], sizes[i][1], kind);
    uint8_t pixel[3] = {1, 2, 3};
    vit_image image = {.width = 1, .height = 1, .rgb = pixel};
    CHECK_STATUS(VIT_ERR_IO, vit_image_save(&image, "build/no such folder/a.png", NULL, &error));
    CHECK_MENTIONS(error.text, "no such folder/a.png");
    image.width = 0;
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_save(&image, PNG, NULL, &error));
    image.width = image.height = 1 << 20;
    CHECK_STATUS(VIT_ERR_LIMIT, vit_image_save(&image, PNG, NULL, &error));
}

TEST_MAIN(TEST(test_eigen), TEST(test_cholesky), TEST(test_attention), TEST(test_attention_errors), TEST(test_distance),
          TEST(test_positions), TEST(test_stem_filters), TEST(test_filters), TEST(test_png))
