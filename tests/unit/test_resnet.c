/* ResNets against a forward pass in doubles: BiT and the convolutional part of hybrids, as each source names its
 * weights and computes. Kernels deviate little and pixels are dim, so that every epsilon shows; sizes are odd, so that paddings
 * do. */
#include "test.h"

#include "../../src/base/rng.h"
#include "../../src/model/session.h"

#include <unistd.h>

enum { WIDTH = 32, GROUPS = 32, D = 8, HEADS = 2, F = 12, CLASSES = 3, BATCH = 2 };

static vit_error error;

/* What SEMANTICS of the sources say. */
static const struct source {
    const char *what;
    int is_bit, is_jax, is_transfer;
    double inside, outside; /* deviation = sqrt(variance + inside) + outside */
    double norm_eps;
    int same;
    double pool_outside;
} sources[] = {
    {"hybrid of vit_jax", 0, 1, 0, 0, 1e-5, 1e-6, 1, -INFINITY},
    {"hybrid of timm", 0, 0, 0, 1e-8, 0, 1e-5, 1, -INFINITY},
    {"BiT of big_transfer", 1, 1, 1, 1e-10, 0, 1e-5, 0, 0},
    {"BiT of timm", 1, 0, 0, 1e-8, 0, 1e-5, 0, 0},
    {"BiT of big_vision", 1, 1, 0, 1e-10, 0, 1e-5, 0, -INFINITY},
};

typedef struct network {
    const struct source *source;
    int stages, units[4], patch;
} network;

/* ---- Weights: a function of timm's names ---- */

static double weight(const char *name, int index) {
    const double unit = (double)vit_random_unit(vit_random_stream(name), (uint64_t)index) - 0.5;
    const int is_kernel = strstr(name, "conv") != NULL;
    if (is_kernel)
        return (float)(2e-4 * unit + 3e-4);
    return (float)(strstr(name, "norm") && strstr(name, "weight") ? 1 + unit : 0.5 * unit);
}

/* The source's name of a convolution or norm of ours. */
static void foreign_name(const struct source *s, const char *own, char out[96]) {
    static const char *const words[][4] = { /* timm's, vit_jax's and big_vision's, big_transfer's */
        {"stem.conv.", "conv_root", "root_block/standardized_conv2d"},
        {"stem.norm.", "gn_root", ""},
        {"conv1.", "conv1", "a/standardized_conv2d"},
        {"conv2.", "conv2", "b/standardized_conv2d_7"},
        {"conv3.", "conv3", "c/standardized_conv2d_12"},
        {"downsample.conv.", "conv_proj", "a/proj/standardized_conv2d_3"},
        {"norm1.", "gn1", "a/group_norm"},
        {"norm2.", "gn2", "b/group_norm"},
        {"norm3.", "gn3", "c/group_norm"},
        {"downsample.norm.", "gn_proj", ""},
        {"norm.", "norm-pre-head", "group_norm"},
        {"head.fc.", "head", "head/conv2d"}};
    int stage, block, end = 0, i = 0;
    if (!s->is_jax) {
        snprintf(out, 96, "%s%s", s->is_bit || strncmp(own, "st", 2) != 0 ? "" : "patch_embed.backbone.", own);
        return;
    }
    strcpy(out, s->is_transfer ? "resnet/" : s->is_bit ? "params/" : "opt/target/");
    if (sscanf(own, "stages.%d.blocks.%d.%n", &stage, &block, &end) == 2)
        snprintf(out + strlen(out), 40, s->is_bit ? "block%d/unit%02d/" : "block%d/unit%d/", stage + 1, block + 1);
    while (strncmp(own + end, words[i][0], strlen(words[i][0])) != 0)
        i++;
    const int is_weight = strstr(own, ".weight") != NULL, is_norm = strstr(words[i][0], "norm") != NULL;
    const char *const ending = !is_weight ? (s->is_transfer && is_norm ? "beta" : "bias")
                               : !is_norm ? "kernel"
                                          : s->is_transfer ? "gamma" : "scale";
    snprintf(out + strlen(out), 60, "%s%s/%s", i == 0 && s->is_bit && !s->is_transfer ? "root_block/" : "",
             words[i][s->is_transfer ? 2 : 1], ending);
}

static void put(vit_tensors_writer *w, const char *name, int rank, const int64_t *shape, const float *values) {
    CHECK_STATUS(VIT_OK, vit_tensors_writer_add(w, name, rank, shape, values, &error));
}

/* A kernel [outputs,inputs,size,size], or with size 0 a vector [outputs]. */
static void add(vit_tensors_writer *w, const struct source *s, const char *own, int outputs, int inputs, int size) {
    char name[96];
    const int area = size ? size * size : 1, depth = size ? inputs * area : 1;
    float *values = malloc((size_t)(outputs * depth) * sizeof *values);
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < depth; i++) {
            const int at = s->is_jax && size ? (i % area * inputs + i / area) * outputs + o : o * depth + i;
            values[at] = (float)weight(own, o * depth + i);
        }
    foreign_name(s, own, name);
    const int64_t vector[] = {outputs}, old[] = {1, 1, 1, outputs}, flat[] = {inputs, outputs};
    const int64_t oihw[] = {outputs, inputs, size, size}, hwio[] = {size, size, inputs, outputs};
    if (!size && s->is_jax && !s->is_transfer && strstr(own, "norm"))
        put(w, name, 4, old, values);
    else if (!size)
        put(w, name, 1, vector, values);
    else if (s->is_jax && !s->is_transfer && strncmp(own, "head", 4) == 0)
        put(w, name, 2, flat, values);
    else
        put(w, name, 4, s->is_jax ? hwio : oihw, values);
    free(values);
}

static void add_norm(vit_tensors_writer *w, const struct source *s, const char *unit, const char *norm, int channels) {
    char name[80];
    snprintf(name, sizeof name, "%s%s.weight", unit, norm);
    add(w, s, name, channels, 0, 0);
    snprintf(name, sizeof name, "%s%s.bias", unit, norm);
    add(w, s, name, channels, 0, 0);
}

static void add_conv(vit_tensors_writer *w, const struct source *s, const char *unit, const char *conv, int outputs,
                     int inputs, int size) {
    char name[80];
    snprintf(name, sizeof name, "%s%s.weight", unit, conv);
    add(w, s, name, outputs, inputs, size);
}

/* A transformer of one layer that does nothing. */
static void add_transformer(vit_tensors_writer *w, const network *n, int channels, int tokens) {
    static float zeros[200000];
    static const struct {
        const char *jax, *timm;
        int rank, jax_shape[4], timm_shape[4];
    } tensors[] = {
        {"cls", "cls_token", 3, {1, 1, D}, {1, 1, D}},
        {"Transformer/encoderblock_0/LayerNorm_0/scale", "blocks.0.norm1.weight", 1, {D}, {D}},
        {"Transformer/encoderblock_0/LayerNorm_0/bias", "blocks.0.norm1.bias", 1, {D}, {D}},
        {"Transformer/encoderblock_0/LayerNorm_2/scale", "blocks.0.norm2.weight", 1, {D}, {D}},
        {"Transformer/encoderblock_0/LayerNorm_2/bias", "blocks.0.norm2.bias", 1, {D}, {D}},
        {"Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel", "blocks.0.mlp.fc1.weight", 2, {D, F}, {F, D}},
        {"Transformer/encoderblock_0/MlpBlock_3/Dense_0/bias", "blocks.0.mlp.fc1.bias", 1, {F}, {F}},
        {"Transformer/encoderblock_0/MlpBlock_3/Dense_1/kernel", "blocks.0.mlp.fc2.weight", 2, {F, D}, {D, F}},
        {"Transformer/encoderblock_0/MlpBlock_3/Dense_1/bias", "blocks.0.mlp.fc2.bias", 1, {D}, {D}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/out/kernel", "blocks.0.attn.proj.weight", 0,
         {HEADS, D / HEADS, D}, {D, D}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/out/bias", "blocks.0.attn.proj.bias", 1, {D}, {D}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel", NULL, 3, {D, HEADS, D / HEADS}, {0}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/key/kernel", NULL, 3, {D, HEADS, D / HEADS}, {0}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/value/kernel", NULL, 3, {D, HEADS, D / HEADS}, {0}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/bias", NULL, 2, {HEADS, D / HEADS}, {0}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/key/bias", NULL, 2, {HEADS, D / HEADS}, {0}},
        {"Transformer/encoderblock_0/MultiHeadDotProductAttention_1/value/bias", NULL, 2, {HEADS, D / HEADS}, {0}},
        {NULL, "blocks.0.attn.qkv.weight", 2, {0}, {3 * D, D}},
        {NULL, "blocks.0.attn.qkv.bias", 1, {0}, {3 * D}},
        {"Transformer/encoder_norm/scale", "norm.weight", 1, {D}, {D}},
        {"Transformer/encoder_norm/bias", "norm.bias", 1, {D}, {D}},
        {"head/kernel", "head.weight", 2, {D, CLASSES}, {CLASSES, D}},
        {"head/bias", "head.bias", 1, {CLASSES}, {CLASSES}},
    };
    const int jax = n->source->is_jax, p = n->patch;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const int rank = tensors[i].rank ? tensors[i].rank : jax ? 3 : 2;
        const char *own = jax ? tensors[i].jax : tensors[i].timm;
        char name[120];
        int64_t shape[4];
        for (int k = 0; k < 4; k++)
            shape[k] = jax ? tensors[i].jax_shape[k] : tensors[i].timm_shape[k];
        snprintf(name, sizeof name, "%s%s", jax ? "opt/target/" : "", own ? own : "");
        if (own)
            put(w, name, rank, shape, zeros);
    }
    float *values = malloc((size_t)(D * channels * p * p) * sizeof *values);
    for (int o = 0; o < D; o++)
        for (int i = 0; i < channels * p * p; i++)
            values[jax ? (i % (p * p) * channels + i / (p * p)) * D + o : o * channels * p * p + i] =
                (float)weight("patch", o * channels * p * p + i);
    put(w, jax ? "opt/target/embedding/kernel" : "patch_embed.proj.weight", 4,
        jax ? (int64_t[]){p, p, channels, D} : (int64_t[]){D, channels, p, p}, values);
    put(w, jax ? "opt/target/embedding/bias" : "patch_embed.proj.bias", 1, (int64_t[]){D}, zeros);
    put(w, jax ? "opt/target/Transformer/posembed_input/pos_embedding" : "pos_embed", 3,
        (int64_t[]){1, tokens, D}, zeros);
    free(values);
}

static int middle_of(int stage) {
    return WIDTH << stage;
}

static void write_model(const network *n, const char *path, int tokens) {
    const struct source *s = n->source;
    vit_tensors_writer *w;
    int channels = WIDTH;
    CHECK_STATUS(VIT_OK, vit_tensors_writer_open(&w, NULL, &error));
    if (n->stages || s->is_jax) {
        add_conv(w, s, "stem.", "conv", WIDTH, 3, 7);
        if (!s->is_bit)
            add_norm(w, s, "stem.", "norm", WIDTH);
    } else { /* timm calls a stem without stages after its layers alone */
        static const int64_t shape[] = {WIDTH, 3, 7, 7}, vector[] = {WIDTH};
        float kernel[WIDTH * 147], gain[WIDTH], bias[WIDTH];
        for (int i = 0; i < WIDTH * 147; i++)
            kernel[i] = (float)weight("stem.conv.weight", i);
        for (int i = 0; i < WIDTH; i++) {
            gain[i] = (float)weight("stem.norm.weight", i);
            bias[i] = (float)weight("stem.norm.bias", i);
        }
        put(w, "patch_embed.backbone.conv.weight", 4, shape, kernel);
        put(w, "patch_embed.backbone.norm.weight", 1, vector, gain);
        put(w, "patch_embed.backbone.norm.bias", 1, vector, bias);
    }
    for (int stage = 0; stage < n->stages; stage++)
        for (int block = 0; block < n->units[stage]; block++) {
            const int middle = middle_of(stage);
            char unit[40];
            snprintf(unit, sizeof unit, "stages.%d.blocks.%d.", stage, block);
            add_norm(w, s, unit, "norm1", s->is_bit ? channels : middle);
            add_conv(w, s, unit, "conv1", middle, channels, 1);
            add_norm(w, s, unit, "norm2", middle);
            add_conv(w, s, unit, "conv2", middle, middle, 3);
            add_norm(w, s, unit, "norm3", s->is_bit ? middle : 4 * middle);
            add_conv(w, s, unit, "conv3", 4 * middle, middle, 1);
            if (!block)
                add_conv(w, s, unit, "downsample.conv", 4 * middle, channels, 1);
            if (!block && !s->is_bit)
                add_norm(w, s, unit, "downsample.norm", 4 * middle);
            channels = 4 * middle;
        }
    if (s->is_bit) {
        add_norm(w, s, "", "norm", channels);
        add_conv(w, s, "", "head.fc", CLASSES, channels, 1);
        add(w, s, "head.fc.bias", CLASSES, 0, 0);
    } else {
        add_transformer(w, n, channels, tokens);
    }
    CHECK_STATUS(VIT_OK, vit_tensors_writer_commit(w, path, &error));
    vit_tensors_writer_close(w);
}

/* ---- The forward pass ---- */

typedef struct map {
    int height, width, channels;
    double *data; /* [H,W,C] */
} map;

static map map_make(int height, int width, int channels) {
    return (map){height, width, channels, calloc((size_t)(height * width * channels), sizeof(double))};
}

static double *pixel(const map *m, int y, int x) {
    return m->data + (ptrdiff_t)(y * m->width + x) * m->channels;
}

static int padding(const struct source *s, int pixels, int size, int stride) {
    const int windows = (pixels + stride - 1) / stride, total = (windows - 1) * stride + size - pixels;
    return !s->same ? size / 2 : total > 0 ? total / 2 : 0;
}

static map convolve(const struct source *s, const map *x, const char *prefix, const char *conv, int outputs, int size,
                    int stride) {
    const int depth = x->channels * size * size, top = padding(s, x->height, size, stride),
              left = padding(s, x->width, size, stride);
    map y = map_make((x->height + stride - 1) / stride, (x->width + stride - 1) / stride, outputs);
    double *w = malloc((size_t)depth * sizeof *w);
    char name[80];
    snprintf(name, sizeof name, "%s%s.weight", prefix, conv);
    for (int o = 0; o < outputs; o++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < depth; i++)
            mean += (w[i] = weight(name, o * depth + i)) / depth;
        for (int i = 0; i < depth; i++)
            variance += (w[i] - mean) * (w[i] - mean) / depth;
        for (int i = 0; i < depth; i++)
            w[i] = (w[i] - mean) / (sqrt(variance + s->inside) + s->outside);
        for (int at = 0; at < y.height * y.width; at++)
            for (int tap = 0; tap < size * size; tap++) {
                const int row = at / y.width * stride + tap / size - top;
                const int column = at % y.width * stride + tap % size - left;
                if (row < 0 || row >= x->height || column < 0 || column >= x->width)
                    continue;
                for (int c = 0; c < x->channels; c++)
                    y.data[at * outputs + o] += w[c * size * size + tap] * pixel(x, row, column)[c];
            }
    }
    free(w);
    return y;
}

static void norm(const struct source *s, map *m, const char *prefix, const char *which, int relu) {
    const int each = m->channels / GROUPS, count = m->height * m->width * each;
    char gain[80], bias[80];
    snprintf(gain, sizeof gain, "%s%s.weight", prefix, which);
    snprintf(bias, sizeof bias, "%s%s.bias", prefix, which);
    for (int group = 0; group < GROUPS; group++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < count; i++)
            mean += m->data[i / each * m->channels + group * each + i % each] / count;
        for (int i = 0; i < count; i++) {
            const double d = m->data[i / each * m->channels + group * each + i % each] - mean;
            variance += d * d / count;
        }
        for (int i = 0; i < count; i++) {
            const int c = group * each + i % each;
            double *v = &m->data[i / each * m->channels + c];
            *v = (*v - mean) / sqrt(variance + s->norm_eps) * weight(gain, c) + weight(bias, c);
            *v = relu && *v < 0 ? 0 : *v;
        }
    }
}

static map copy(const map *m) {
    map c = map_make(m->height, m->width, m->channels);
    memcpy(c.data, m->data, (size_t)(m->height * m->width * m->channels) * sizeof *c.data);
    return c;
}

static map pool(const struct source *s, const map *x) {
    map y = map_make((x->height + 1) / 2, (x->width + 1) / 2, x->channels);
    const int top = padding(s, x->height, 3, 2), left = padding(s, x->width, 3, 2);
    for (int at = 0; at < y.height * y.width; at++)
        for (int c = 0; c < x->channels; c++) {
            double most = -INFINITY;
            for (int tap = 0; tap < 9; tap++) {
                const int row = at / y.width * 2 + tap / 3 - top, column = at % y.width * 2 + tap % 3 - left;
                const int inside = row >= 0 && row < x->height && column >= 0 && column < x->width;
                most = fmax(most, inside ? pixel(x, row, column)[c] : s->pool_outside);
            }
            y.data[at * x->channels + c] = most;
        }
    return y;
}

static void replace(map *m, map by) {
    free(m->data);
    *m = by;
}

static void unit(const struct source *s, map *x, int stage, int block) {
    const int middle = middle_of(stage), stride = stage && !block ? 2 : 1;
    char name[40];
    snprintf(name, sizeof name, "stages.%d.blocks.%d.", stage, block);
    map entry = copy(x);
    if (s->is_bit)
        norm(s, &entry, name, "norm1", 1);
    map shortcut = block ? copy(x) : convolve(s, &entry, name, "downsample.conv", 4 * middle, 1, stride);
    if (!block && !s->is_bit)
        norm(s, &shortcut, name, "downsample.norm", 0);
    map y = convolve(s, &entry, name, "conv1", middle, 1, 1);
    norm(s, &y, name, s->is_bit ? "norm2" : "norm1", 1);
    replace(&y, convolve(s, &y, name, "conv2", middle, 3, stride));
    norm(s, &y, name, s->is_bit ? "norm3" : "norm2", 1);
    replace(&y, convolve(s, &y, name, "conv3", 4 * middle, 1, 1));
    if (!s->is_bit)
        norm(s, &y, name, "norm3", 0);
    for (int i = 0; i < y.height * y.width * y.channels; i++) {
        y.data[i] += shortcut.data[i];
        y.data[i] = !s->is_bit && y.data[i] < 0 ? 0 : y.data[i];
    }
    free(entry.data);
    free(shortcut.data);
    replace(x, y);
}

/* The last map; of BiT, normed. */
static map forward(const network *n, const map *pixels) {
    const struct source *s = n->source;
    map x = convolve(s, pixels, "stem.", "conv", WIDTH, 7, 2);
    if (!s->is_bit)
        norm(s, &x, "stem.", "norm", 1);
    replace(&x, pool(s, &x));
    for (int stage = 0; stage < n->stages; stage++)
        for (int block = 0; block < n->units[stage]; block++)
            unit(s, &x, stage, block);
    if (s->is_bit)
        norm(s, &x, "", "norm", 1);
    return x;
}

/* ---- Comparing ---- */

static void compare(const network *n, const char *what, const char *kernels, const float *found,
                    const double *want, int count) {
    double most = 0, worst = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, fabs(want[i]));
    for (int i = 0; i < count; i++)
        worst = fabs(found[i] - want[i]) <= worst ? worst : fabs(found[i] - want[i]);
    if (!CHECK(worst <= 2e-5 * most))
        printf("    %s, %s, %s: off by %g of %g\n", n->source->what, what, kernels, worst, most);
}

/* Reads the stage of that name in a run. */
static void run_to(vit_session *session, const char *name, float *out) {
    int more = 1;
    vit_session_restart(session);
    for (int i = 0; more > 0; i++) {
        more = vit_session_advance(session);
        if (strcmp(vit_session_stage(session, i).name, name) == 0)
            CHECK_STATUS(VIT_OK, vit_session_read(session, out, &error));
    }
    CHECK(more == 0);
}

static void check_size(const network *n, const vit_model *model, int height, int width) {
    const struct source *s = n->source;
    map pixels[BATCH], last[BATCH];
    for (int b = 0; b < BATCH; b++) {
        pixels[b] = map_make(height, width, 3);
        for (int i = 0; i < height * width * 3; i++)
            pixels[b].data[i] = (float)(2e-3 * ((double)vit_random_unit(77 + (uint64_t)b, (uint64_t)i) - 0.5));
        last[b] = forward(n, &pixels[b]);
    }
    const int channels = last[0].channels, area = last[0].height * last[0].width, p = n->patch;
    const int rows = last[0].height / p, columns = last[0].width / p;
    for (int k = 0; vit_kernels_name(k); k++) {
        if (strchr(vit_kernels_name(k), ','))
            continue;
        vit_session *session;
        vit_session_options options = {.height = height, .width = width, .batch = BATCH, .threads = k + 1,
                                       .kernels = vit_kernels_name(k)};
        if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error)))
            continue;
        CHECK(session->stages[session->stage_count - 1].slots == model->slot_count);
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < height * width * 3; i++)
                vit_session_input(session, b)[i] = (float)pixels[b].data[i];
        char name[16];
        float *found = malloc((size_t)(BATCH * (area * channels + rows * columns * D)) * sizeof *found);
        snprintf(name, sizeof name, s->is_bit ? "norm" : n->stages ? "stage.%d" : "stem", n->stages);
        run_to(session, name, found);
        for (int b = 0; b < BATCH; b++)
            compare(n, name, vit_kernels_name(k), found + b * area * channels, last[b].data, area * channels);
        if (s->is_bit) {
            run_to(session, "features", found);
            for (int b = 0; b < BATCH; b++) {
                double mean[1024] = {0};
                for (int i = 0; i < area * channels; i++)
                    mean[i % channels] += last[b].data[i] / area;
                compare(n, "features", vit_kernels_name(k), found + b * channels, mean, channels);
            }
        } else {
            run_to(session, "patch_embed", found);
            for (int b = 0; b < BATCH; b++) {
                double want[1024] = {0};
                for (int at = 0; at < rows * columns; at++)
                    for (int o = 0; o < D; o++)
                        for (int i = 0; i < channels * p * p; i++) {
                            const int y = at / columns * p + i / p % p, x = at % columns * p + i % p;
                            const double value = pixel(&last[b], y, x)[i / p / p];
                            want[at * D + o] += weight("patch", o * channels * p * p + i) * value;
                        }
                const int count = rows * columns * D;
                compare(n, "patch_embed", vit_kernels_name(k), found + b * count, want, count);
            }
        }
        free(found);
        vit_session_close(session);
    }
    for (int b = 0; b < BATCH; b++) {
        free(pixels[b].data);
        free(last[b].data);
    }
}

static char weights_path[64], saved_path[64], config_path[64];

static vit_status open_model(vit_model **out, const char *path, const char *config, int raw) {
    vit_options options = vit_default_options();
    options.raw_weights = raw;
    vit_status status = vit_model_open(out, path, config, &options, &error);
    if (status != VIT_OK)
        printf("    %s\n", error.text);
    return status;
}

static void check_network(const network *n, int height, int width, int tokens, int odd_height, int odd_width) {
    vit_model *model, *raw, *saved;
    write_model(n, weights_path, tokens);
    FILE *file = fopen(config_path, "w");
    fprintf(file, "{\"heads\":%d,\"image\":[%d,%d],\"gelu\":\"erf\"}", n->source->is_bit ? 1 : HEADS, height, width);
    fclose(file);
    if (CHECK_STATUS(VIT_OK, open_model(&model, weights_path, config_path, 0))) {
        check_size(n, model, height, width);
        check_size(n, model, odd_height, odd_width);
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_save(model, saved_path, &(vit_save_options){.type = VIT_F32}, &error));
        vit_model_close(model);
    }
    if (CHECK_STATUS(VIT_OK, open_model(&raw, weights_path, config_path, 1))) {
        vit_session *session;
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_open(&session, raw, NULL, &error));
        CHECK_STATUS(VIT_OK, vit_model_save(raw, saved_path, &(vit_save_options){.type = VIT_F32}, &error));
        vit_model_close(raw);
        if (CHECK_STATUS(VIT_OK, open_model(&saved, saved_path, NULL, 0))) {
            check_size(n, saved, odd_height, odd_width);
            vit_model_close(saved);
        }
    }
    unlink(weights_path);
    unlink(saved_path);
    unlink(config_path);
}

static void test_networks(void) {
    snprintf(weights_path, sizeof weights_path, "/tmp/vit_test_resnet_%ld.safetensors", (long)getpid());
    snprintf(saved_path, sizeof saved_path, "/tmp/vit_test_resnet_%ld.gguf", (long)getpid());
    snprintf(config_path, sizeof config_path, "/tmp/vit_test_resnet_%ld.json", (long)getpid());
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const network two = {&sources[i], 2, {2, 1}, 1}, one = {&sources[i], 1, {1}, 1};
        check_network(&two, 32, 24, 1 + 4 * 3, 37, 22);
        check_network(&one, 16, 16, 1 + 4 * 4, 9, 1);
        const network stem = {&sources[i], 0, {0}, 3};
        if (!sources[i].is_bit)
            check_network(&stem, 36, 24, 1 + 3 * 2, 27, 50);
    }
}

/* ---- What is refused ---- */

static void test_refusals(void) {
    static const struct {
        const char *what;
        vit_network network;
        vit_resnet resnet;
        int width;
        const char *mentions;
    } cases[] = {
        {"no stages", VIT_NETWORK_BIT, {0, {0}, 64, 64, VIT_BIT_TIMM, 0, 0, 0}, 64, "1 to 4 stages"},
        {"other features", VIT_NETWORK_BIT, {1, {1}, 64, 64, VIT_BIT_TIMM, 0, 0, 0}, 64, "256"},
        {"an empty stage", VIT_NETWORK_BIT, {2, {1, 0}, 64, 64, VIT_BIT_TIMM, 0, 0, 0}, 512, "stage 2"},
        {"no group of 32", VIT_NETWORK_BIT, {1, {1}, 64, 40, VIT_BIT_TIMM, 0, 0, 0}, 160, "multiples of 32"},
        {"no group of 48", VIT_NETWORK_BIT, {1, {1}, 96, 64, VIT_BIT_TIMM, 0, 0, 48}, 256, "multiples of 48"},
        {"windows of a pixel", VIT_NETWORK_BIT, {1, {1}, 64, 64, VIT_BIT_TIMM, 1, 1, 0}, 256, "expected 2 to 7"},
        {"windows too large", VIT_NETWORK_BIT, {1, {1}, 64, 64, VIT_BIT_TIMM, 8, 1, 0}, 256, "resnet.root_size"},
        {"a hybrid's rules", VIT_NETWORK_BIT, {1, {1}, 64, 64, VIT_RESNET_HYBRID_JAX, 0, 0, 0}, 256, "hybrid_jax"},
        {"BiT's rules", VIT_NETWORK_VIT, {1, {1}, 64, 64, VIT_BIT_VISION, 0, 0, 0}, 16, "big_vision"},
        {"too many units", VIT_NETWORK_BIT, {1, {1025}, 64, 64, VIT_BIT_TIMM, 0, 0, 0}, 256, "1025"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_config c = {.network = cases[i].network, .resnet = cases[i].resnet, .width = cases[i].width,
                        .pool = VIT_POOL_MEAN, .patch_height = 1, .patch_width = 1,
                        .image_height = 32, .image_width = 32, .patch_bias = 1};
        vit_model *model;
        c.preprocess = (vit_preprocess){.std = {1, 1, 1}, .crop_pct = 1, .height = 32, .width = 32};
        if (CHECK(vit_model_plan(&model, &c, NULL, &error) != VIT_OK))
            CHECK_MENTIONS(error.text, cases[i].mentions);
        else
            vit_model_close(model);
    }
}

TEST_MAIN(TEST(test_networks), TEST(test_refusals))
