/* Training of networks with convolutions: every step over maps against differences of the same step in doubles, whole
 * networks against differences of the loss, and that neither threads nor sessions see anything else. */
#include "test.h"

#include "../../src/train/convnet.h"

#include <math.h>

enum { BATCH = 2 };

static vit_error error;

static vit_config small(const char *name, vit_resnet_kind kind, int height, int width) {
    vit_config c;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&c, name, &error));
    const int is_bit = c.network == VIT_NETWORK_BIT;
    c.resnet = (vit_resnet){.stages = 2, .units = {2, 1}, .stem_width = 32, .width = 32, .kind = kind};
    c.width = is_bit ? 256 : 24;
    if (!is_bit) {
        c.layers = 1;
        c.heads = 3;
        c.mlp_width = 40;
        c.patch_height = c.patch_width = 1;
    }
    c.classes = 5;
    c.image_height = c.preprocess.height = height;
    c.image_width = c.preprocess.width = width;
    return c;
}

static float noise(size_t i) {
    return sinf((float)(i * 7919 % 10007) * 0.37f);
}

static vit_trainer *trainer_with(const vit_config *c, int threads, int batch, int bf16) {
    vit_options options = vit_default_options();
    options.raw_weights = 1;
    vit_model *model = NULL;
    vit_trainer *t = NULL;
    if (!CHECK_STATUS(VIT_OK, vit_model_init(&model, c, 7, &options, &error)))
        puts(error.text);
    for (int i = 0; model && i < model->slot_count; i++)
        for (size_t j = 0; j < model->slots[i].count; j++)
            model->slots[i].held.f32[j] += 0.2f * noise(j + 31 * (size_t)i);
    vit_train_options o = vit_default_train_options();
    o.batch = batch;
    o.threads = threads;
    o.bf16 = bf16;
    o.updates = 10;
    o.schedule = VIT_SCHEDULE_CONSTANT;
    if (!CHECK_STATUS(VIT_OK, vit_trainer_open(&t, model, &o, &error)))
        puts(error.text);
    CHECK(vit_trainer_bytes(model, &o) >= t->arena.size);
    vit_model_close(model);
    return t;
}

static vit_trainer *trainer_of(const vit_config *c, int threads, int batch) {
    return trainer_with(c, threads, batch, 0);
}

static vit_train_result step(vit_trainer *t, int turn) {
    const vit_config *c = &t->model->config;
    const size_t pixels = (size_t)(c->image_height * c->image_width * 3);
    vit_train_result r = {0};
    for (int i = 0; i < t->options.batch; i++) {
        for (size_t j = 0; j < pixels; j++)
            vit_trainer_input(t, i)[j] = noise(j * (size_t)(i + 3) + (size_t)turn);
        CHECK_STATUS(VIT_OK, vit_trainer_set_class(t, i, (i + turn) % c->classes, &error));
    }
    if (!CHECK_STATUS(VIT_OK, vit_trainer_step(t, &r, &error)))
        puts(error.text);
    return r;
}

/* ---- Steps in doubles ---- */

/* A step's inputs, one of which is moved a little. */
typedef struct doubles {
    const vit_trainer *t;
    const vit_map_step *step;
    double *x, *residual, *weight, *gain, *bias; /* x, residual: [B][pixels][C] */
    double *y;
} doubles;

static size_t lane_of(const vit_trainer *t, const vit_map *map, int image, int pixel, int channel) {
    const int r = t->kernels->panel;
    return (size_t)image * vit_map_floats(t, map) + (size_t)((pixel / r * map->channels + channel) * r + pixel % r);
}

static size_t values_of(const vit_map *map) {
    return (size_t)(BATCH * map->height * map->width * map->channels);
}

/* [B][pixels][C] of a map's values. */
static double *unpack(const vit_trainer *t, const vit_map *map, const float *from) {
    double *out = malloc(values_of(map) * sizeof *out), *at = out;
    for (int image = 0; image < BATCH; image++)
        for (int pixel = 0; pixel < map->height * map->width; pixel++)
            for (int c = 0; c < map->channels; c++)
                *at++ = from[lane_of(t, map, image, pixel, c)];
    return out;
}

static double *widen(const float *from, size_t count) {
    double *out = malloc(count * sizeof *out);
    for (size_t i = 0; i < count; i++)
        out[i] = from[i];
    return out;
}

static void convolve(const doubles *d, int channels, int outputs) {
    const vit_windows *w = &d->step->windows;
    const vit_standardization rule = vit_resnet_rules_of(d->t->model->config.resnet.kind)->weights;
    const int k = channels * w->size * w->size;
    for (int n = 0; n < outputs; n++) {
        const double *row = d->weight + n * k;
        double mean = 0, variance = 0;
        for (int i = 0; i < k; i++)
            mean += row[i] / k;
        for (int i = 0; i < k; i++)
            variance += (row[i] - mean) * (row[i] - mean) / k;
        const double scale = 1 / (sqrt(variance + rule.inside) + rule.outside);
        for (int at = 0; at < BATCH * w->out_height * w->out_width; at++) {
            const int window = at % (w->out_height * w->out_width), image = at / (w->out_height * w->out_width);
            double sum = 0;
            for (int tap = 0; tap < w->size * w->size; tap++) {
                const int y = window / w->out_width * w->stride - w->top + tap / w->size,
                          x = window % w->out_width * w->stride - w->left + tap % w->size;
                for (int c = 0; c < channels && y >= 0 && y < w->height && x >= 0 && x < w->width; c++)
                    sum += d->x[((image * w->height + y) * w->width + x) * channels + c] *
                           (row[c * w->size * w->size + tap] - mean);
            }
            d->y[at * outputs + n] = sum * scale;
        }
    }
}

static void normalize(const doubles *d, int channels, int pixels) {
    const int groups = vit_norm_groups(&d->t->model->config.resnet), some = channels / groups;
    for (int item = 0; item < BATCH * groups; item++) {
        const int image = item / groups, first = item % groups * some;
        double mean = 0, variance = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < pixels * some; i++) {
                const double v = d->x[(image * pixels + i / some) * channels + first + i % some];
                if (pass)
                    variance += (v - mean) * (v - mean) / (pixels * some);
                else
                    mean += v / (pixels * some);
            }
        const double scale = 1 / sqrt(variance + vit_resnet_rules_of(d->t->model->config.resnet.kind)->norm_eps);
        for (int i = 0; i < pixels * some; i++) {
            const int c = first + i % some, at = (image * pixels + i / some) * channels + c;
            const double v = (d->x[at] - mean) * scale * d->gain[c] + d->bias[c] + (d->residual ? d->residual[at] : 0);
            d->y[at] = d->step->relu && v < 0 ? 0 : v;
        }
    }
}

static void pool(const doubles *d, int channels) {
    const vit_windows *w = &d->step->windows;
    for (int i = 0; i < BATCH * w->out_height * w->out_width * channels; i++) {
        const int c = i % channels, window = i / channels % (w->out_height * w->out_width);
        const int image = i / channels / (w->out_height * w->out_width);
        double most = -INFINITY;
        for (int tap = 0; tap < 9; tap++) {
            const int y = window / w->out_width * 2 - w->top + tap / 3,
                      x = window % w->out_width * 2 - w->left + tap % 3;
            const int is_inside = y >= 0 && y < w->height && x >= 0 && x < w->width;
            most = fmax(most, is_inside ? d->x[((image * w->height + y) * w->width + x) * channels + c]
                                        : (double)vit_resnet_rules_of(d->t->model->config.resnet.kind)->pool_outside);
        }
        d->y[i] = most;
    }
}

/* The sum of what the step gives times g. */
static double objective(const doubles *d, const double *g) {
    const vit_map *maps = d->t->convnet->maps, *y = &maps[d->step->y];
    const int channels = d->step->x < 0 ? 3 : maps[d->step->x].channels;
    double sum = 0;
    switch (d->step->kind) {
    case VIT_MAP_CONVOLVE: convolve(d, channels, y->channels); break;
    case VIT_MAP_NORMALIZE: normalize(d, channels, y->height * y->width); break;
    case VIT_MAP_POOL: pool(d, channels); break;
    case VIT_MAP_PASS: memcpy(d->y, d->x, values_of(y) * sizeof *d->y); break;
    }
    for (size_t i = 0; i < values_of(y); i++)
        sum += d->y[i] * g[i];
    return sum;
}

/* Some of the numbers that the step reads, each moved by h. */
static void check_numbers(const doubles *d, const double *g, double *numbers, size_t count, const double *gradient,
                          const char *what, int step) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    CHECK(largest > 0);
    for (int i = 0; i < 12; i++) {
        const size_t at = (size_t)i * 7919 % count;
        const double was = numbers[at], h = 1e-6;
        numbers[at] = was + h;
        const double above = objective(d, g);
        numbers[at] = was - h;
        const double slope = (above - objective(d, g)) / (2 * h);
        numbers[at] = was;
        if (!CHECK(fabs(slope - gradient[at]) <= 2e-5 * largest + 1e-6))
            printf("step %d: %s %zu: the slope is %g, its gradient says %g\n", step, what, at, slope, gradient[at]);
    }
}

static void check_parameter(const doubles *d, const double *g, double *numbers, const float *parameter, size_t count,
                            const char *what, int step) {
    double *gradient = widen(vit_gradient(d->t, parameter), count);
    check_numbers(d, g, numbers, count, gradient, what, step);
    free(gradient);
}

static void check_map(const doubles *d, const double *g, double *numbers, int map, const char *what, int step) {
    const vit_map *m = &d->t->convnet->maps[map];
    double *gradient = unpack(d->t, m, m->gradient);
    check_numbers(d, g, numbers, values_of(m), gradient, what, step);
    free(gradient);
}

static void check_step(vit_trainer *t, int index) {
    const vit_map *maps = t->convnet->maps;
    const vit_images images = {.trainer = t, .end = BATCH, .team = t->team, .scratch = t->scratch};
    vit_map_step alone = t->convnet->steps[index];
    const vit_map *y = &maps[alone.y], *x = alone.x < 0 ? NULL : &maps[alone.x];
    const size_t image_pixels = (size_t)(t->model->config.image_height * t->model->config.image_width * 3);
    alone.adds = alone.residual_adds = 0;
    memset(y->gradient, 0, BATCH * vit_map_floats(t, y) * sizeof(float));
    memset(t->gradients, 0, t->parameter_count * sizeof(float));
    for (int i = 0; i < BATCH * y->height * y->width; i++)
        for (int c = 0; c < y->channels; c++)
            y->gradient[lane_of(t, y, i / (y->height * y->width), i % (y->height * y->width), c)] =
                noise((size_t)(i * y->channels + c) * 3);
    const size_t weights = alone.weight ? (size_t)(y->channels * (x ? x->channels : 3) * alone.windows.size *
                                                   alone.windows.size) : 0;
    const size_t channels = (size_t)y->channels;
    double *g = unpack(t, y, y->gradient);
    doubles d = {t, &alone, .y = malloc(values_of(y) * sizeof(double))};
    d.x = x ? unpack(t, x, x->value) : widen(t->input, BATCH * image_pixels);
    if (alone.weight) {
        d.weight = widen(alone.weight, weights);
        if (vit_convolves_back(&alone))
            vit_turn_step(t, &alone);
        vit_convolve_backward(&images, &alone);
        vit_convolve_gradients(t, &alone);
        check_parameter(&d, g, d.weight, alone.weight, weights, "weight", index);
    } else if (alone.gain) {
        d.gain = widen(alone.gain, channels);
        d.bias = widen(alone.bias, channels);
        d.residual = alone.residual < 0 ? NULL : unpack(t, &maps[alone.residual], maps[alone.residual].value);
        vit_normalize_backward(&images, &alone);
        vit_normalize_gradients(t, &alone);
        check_parameter(&d, g, d.gain, alone.gain, channels, "gain", index);
        check_parameter(&d, g, d.bias, alone.bias, channels, "bias", index);
        if (d.residual)
            check_map(&d, g, d.residual, alone.residual, "residual", index);
    } else if (alone.kind == VIT_MAP_POOL) {
        vit_pool_backward(&images, &alone);
    }
    if (x && alone.kind != VIT_MAP_PASS)
        check_map(&d, g, d.x, alone.x, "x", index);
    double *const all[] = {d.x, d.residual, d.weight, d.gain, d.bias, d.y, g};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void check_steps(const vit_config *c) {
    vit_trainer *t = trainer_of(c, 1, BATCH);
    t->options.rate = 0;
    step(t, 0);
    vit_convnet_forward(t);
    for (int i = 0; i < t->convnet->step_count; i++)
        check_step(t, i);
    vit_trainer_close(t);
}

/* ---- Whole networks ---- */

/* All parameters moved along their gradient: the loss moves by its square. */
static void check_slope(const vit_config *c, const char *what) {
    vit_trainer *t = trainer_of(c, 1, 3);
    double loss[2];
    t->options.rate = 0;
    const double norm = step(t, 0).gradient_norm;
    float *direction = malloc(2 * t->parameter_count * sizeof *direction), *were = direction + t->parameter_count;
    memcpy(direction, t->gradients, t->parameter_count * sizeof *direction);
    memcpy(were, t->parameters, t->parameter_count * sizeof *direction);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < t->parameter_count; i++)
            t->parameters[i] = were[i] + (side ? 1e-3f : -1e-3f) * direction[i] / (float)norm;
        loss[side] = step(t, 0).loss;
    }
    const double slope = (loss[1] - loss[0]) / 2e-3;
    if (!CHECK(fabs(slope - norm) <= 2e-2 * norm))
        printf("%s: the loss moves by %g, the gradient says %g\n", what, slope, norm);
    free(direction);
    vit_trainer_close(t);
}

static void check_threads(const vit_config *c, int batch, int bf16) {
    vit_trainer *one = trainer_with(c, 1, batch, bf16);
    for (int threads = 2; threads <= 3; threads++) {
        vit_trainer *t = trainer_with(c, threads, batch, bf16),
                    *again = threads == 2 ? one : trainer_with(c, 1, batch, bf16);
        for (int turn = 0; turn < 2; turn++) {
            const vit_train_result a = step(again, turn), b = step(t, turn);
            CHECK(a.loss == b.loss && a.gradient_norm == b.gradient_norm);
        }
        CHECK(!memcmp(again->parameters, t->parameters, t->parameter_count * sizeof(float)));
        if (again != one)
            vit_trainer_close(again);
        vit_trainer_close(t);
    }
    vit_trainer_close(one);
}

/* Of a batch whose images go through the steps in groups, the gradient is the mean of those of its parts. */
static void check_groups(const vit_config *c) {
    enum { PARTS = 4, PART = 9 };
    const size_t pixels = (size_t)(c->image_height * c->image_width * 3);
    vit_trainer *whole = trainer_of(c, 1, PARTS * PART), *part = trainer_of(c, 1, PART);
    double *sum = calloc(whole->parameter_count, sizeof *sum), squares = 0, off = 0;
    CHECK(whole->convnet->groups > 1 && part->convnet->groups == 1);
    part->options.rate = 0;
    step(whole, 0);
    vit_train_result r;
    for (int i = 0; i < PARTS; i++) {
        for (int j = 0; j < PART; j++) {
            memcpy(vit_trainer_input(part, j), vit_trainer_input(whole, i * PART + j), pixels * sizeof(float));
            CHECK_STATUS(VIT_OK, vit_trainer_set_class(part, j, (i * PART + j) % c->classes, &error));
        }
        CHECK_STATUS(VIT_OK, vit_trainer_step(part, &r, &error));
        for (size_t j = 0; j < part->parameter_count; j++)
            sum[j] += part->gradients[j] / PARTS;
    }
    for (size_t j = 0; j < whole->parameter_count; j++) {
        squares += sum[j] * sum[j];
        off += (sum[j] - whole->gradients[j]) * (sum[j] - whole->gradients[j]);
    }
    CHECK(off <= 1e-9 * squares);
    free(sum);
    vit_trainer_close(whole);
    vit_trainer_close(part);
}

static void check_session(const vit_config *c) {
    vit_trainer *t = trainer_of(c, 1, BATCH);
    vit_model *model = NULL;
    vit_session *session;
    const vit_session_options so = {.batch = BATCH};
    const size_t pixels = (size_t)(c->image_height * c->image_width * 3);
    step(t, 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_open(&session, vit_trainer_model(t), &so, &error));
    CHECK_STATUS(VIT_OK, vit_trainer_snapshot(&model, t, &error));
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &so, &error));
    step(t, 1);
    memcpy(vit_session_input(session, 0), vit_trainer_input(t, 0), BATCH * pixels * sizeof(float));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    for (int i = 0; i < BATCH * c->classes; i++)
        CHECK_CLOSE(vit_trainer_logits(t, 0)[i], vit_session_logits(session, 0)[i], 1e-4);
    vit_session_close(session);
    vit_model_close(model);
    vit_trainer_close(t);
}

static void test_stored_weights_are_needed(void) {
    const vit_config c = small("vit_tiny_r_s16_p8_224", VIT_RESNET_HYBRID_TIMM, 32, 32);
    const vit_train_options o = vit_default_train_options();
    vit_model *model = NULL;
    vit_trainer *t;
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &c, 7, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "raw_weights");
    vit_model_close(model);
}

static void test_networks(void) {
    static const struct {
        const char *name;
        vit_resnet_kind kind;
        int height, width, root_size, root_stride, norm_groups;
    } networks[] = {
        {"vit_tiny_r_s16_p8_224", VIT_RESNET_HYBRID_JAX, 33, 26, 0, 0, 0},
        {"vit_tiny_r_s16_p8_224", VIT_RESNET_HYBRID_TIMM, 16, 16, 3, 1, 8},
        {"bit_r50x1", VIT_BIT_TRANSFER, 27, 38, 0, 0, 0},
        {"bit_r50x1", VIT_BIT_TIMM, 32, 32, 0, 0, 16},
        {"bit_r50x1", VIT_BIT_VISION, 17, 15, 5, 1, 1},
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        vit_config c = small(networks[i].name, networks[i].kind, networks[i].height, networks[i].width);
        c.resnet.root_size = networks[i].root_size;
        c.resnet.root_stride = networks[i].root_stride;
        c.resnet.norm_groups = networks[i].norm_groups;
        check_steps(&c);
        check_slope(&c, vit_resnet_name(networks[i].kind));
        check_threads(&c, 5, 0);
        check_threads(&c, 37, 0);
        if (vit_bf16_kernels_at(0) && vit_bf16_kernels_at(0)->panel == vit_kernels_at(0)->panel)
            check_threads(&c, 37, 1);
        check_groups(&c);
        check_session(&c);
        if (c.network == VIT_NETWORK_VIT) {
            c.resnet.stages = 0;
            c.resnet.units[0] = c.resnet.units[1] = c.resnet.width = 0;
            c.patch_height = 3;
            c.patch_width = 2;
            check_slope(&c, "stem alone");
        }
    }
}

TEST_MAIN(TEST(test_networks), TEST(test_stored_weights_are_needed))
