/* Networks against a forward pass in doubles, written down as the papers do it, token by token: kinds and places of
 * position embeddings on their own grid and on another, axial attention, what stands before the patches, pooling. Every
 * model is also saved as GGUF and must give the same bits. */
#include "test.h"

#include "../../src/base/rng.h"

#include <pthread.h>
#include <unistd.h>

enum { D = 16, H = 2, K = D / H, F = 24, P = 4, LAYERS = 2, CLASSES = 3, ROWS = 3, COLUMNS = 4, HIDDEN = 10 };
enum { MOST_TOKENS = 40 };

static vit_error error;

typedef struct network {
    const char *what;
    vit_pos_kind kind;
    vit_pos_placement placement;
    int axial, class_token, dist_token, registers;
    vit_pool pool;
    int pre_logits;
    const char *config; /* what shapes cannot tell, as JSON members */
} network;

/* ---- Weights: a function of their names ---- */

static double weight(const char *name, int index) {
    const float unit = vit_random_unit(vit_random_stream(name), (uint64_t)index) - 0.5f;
    return strstr(name, "norm") && strstr(name, "weight") ? (double)(1 + unit) : (double)(unit * 0.7f);
}

static double block_weight(const network *n, int block, const char *name, int index) {
    char full[64];
    if (n->axial)
        snprintf(full, sizeof full, "blocks.%d.%s.%s", block / 2, block % 2 ? "column" : "row", name);
    else
        snprintf(full, sizeof full, "blocks.%d.%s", block, name);
    return weight(full, index);
}

static int prefix_tokens(const network *n) {
    return n->class_token + n->dist_token + n->registers;
}

static int blocks_of(const network *n) {
    return n->axial ? 2 * LAYERS : LAYERS;
}

static void add(vit_tensors_writer *writer, const char *name, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    const int64_t shape[] = {a, b, c, d};
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= shape[i];
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)weight(name, (int)i);
    CHECK_STATUS(VIT_OK, vit_tensors_writer_add(writer, name, rank, shape, values, &error));
    free(values);
}

static void add_linear(vit_tensors_writer *writer, const char *prefix, const char *layer, int outputs, int inputs) {
    char name[80];
    snprintf(name, sizeof name, "%s%s.weight", prefix, layer);
    add(writer, name, inputs ? 2 : 1, outputs, inputs, 0, 0);
    snprintf(name, sizeof name, "%s%s.bias", prefix, layer);
    add(writer, name, 1, outputs, 0, 0, 0);
}

static void add_positions(vit_tensors_writer *writer, const network *n, const char *prefix) {
    const int rows = n->class_token + n->dist_token;
    char name[80];
    if (n->kind == VIT_POS_1D) {
        snprintf(name, sizeof name, "%spos_embed", prefix);
        add(writer, name, 3, 1, rows + ROWS * COLUMNS, D, 0);
    } else if (n->kind == VIT_POS_2D) {
        snprintf(name, sizeof name, "%spos_x", prefix);
        add(writer, name, 2, COLUMNS, D / 2, 0, 0);
        snprintf(name, sizeof name, "%spos_y", prefix);
        add(writer, name, 2, ROWS, D / 2, 0, 0);
        snprintf(name, sizeof name, "%spos_cls", prefix);
        if (rows)
            add(writer, name, 2, rows, D, 0, 0);
    }
}

static void write_model(const network *n, const char *path) {
    vit_tensors_writer *w;
    char prefix[40], name[80];
    CHECK_STATUS(VIT_OK, vit_tensors_writer_open(&w, NULL, &error));
    add(w, "patch_embed.proj.weight", 4, D, 3, P, P);
    add(w, "patch_embed.proj.bias", 1, D, 0, 0, 0);
    if (n->class_token)
        add(w, "cls_token", 3, 1, 1, D, 0);
    if (n->dist_token)
        add(w, "dist_token", 3, 1, 1, D, 0);
    if (n->registers)
        add(w, "reg_token", 3, 1, n->registers, D, 0);
    if (n->placement != VIT_POS_LAYERS)
        add_positions(w, n, "");
    for (int b = 0; b < blocks_of(n); b++) {
        if (n->axial)
            snprintf(prefix, sizeof prefix, "blocks.%d.%s.", b / 2, b % 2 ? "column" : "row");
        else
            snprintf(prefix, sizeof prefix, "blocks.%d.", b);
        if (n->placement == VIT_POS_LAYERS)
            add_positions(w, n, prefix);
        snprintf(name, sizeof name, "%sattn.rel_embed", prefix);
        if (n->kind == VIT_POS_RELATIVE)
            add(w, name, 2, 2 * (prefix_tokens(n) + ROWS * COLUMNS) - 1, K, 0, 0);
        add_linear(w, prefix, "norm1", D, 0);
        add_linear(w, prefix, "attn.qkv", 3 * D, D);
        add_linear(w, prefix, "attn.proj", D, D);
        add_linear(w, prefix, "norm2", D, 0);
        add_linear(w, prefix, "mlp.fc1", F, D);
        add_linear(w, prefix, "mlp.fc2", D, F);
    }
    add_linear(w, "", "norm", D, 0);
    if (n->pool == VIT_POOL_MAP) {
        add(w, "attn_pool.latent", 3, 1, 1, D, 0);
        add_linear(w, "attn_pool.", "q", D, D);
        add_linear(w, "attn_pool.", "kv", 2 * D, D);
        add_linear(w, "attn_pool.", "proj", D, D);
        add_linear(w, "attn_pool.", "norm", D, 0);
        add_linear(w, "attn_pool.", "mlp.fc1", F, D);
        add_linear(w, "attn_pool.", "mlp.fc2", D, F);
    }
    const int pooled = n->pool == VIT_POOL_CLASS_MEAN ? 2 * D : D;
    if (n->pre_logits)
        add_linear(w, "", "pre_logits.fc", HIDDEN, pooled);
    add_linear(w, "", "head", CLASSES, n->pre_logits ? HIDDEN : pooled);
    CHECK_STATUS(VIT_OK, vit_tensors_writer_commit(w, path, &error));
    vit_tensors_writer_close(w);
}

/* ---- The forward pass ---- */

typedef struct state {
    const network *n;
    int rows, columns, prefix, tokens;
    double x[MOST_TOKENS][D];
} state;

static double gelu(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

/* y = W x + b of a block's layer, or of the network's (block -1), from row `first` on. */
static void layer(const network *n, int block, const char *name, int first, const double *x, int inputs, double *y,
                  int outputs) {
    char w[64], b[64];
    snprintf(w, sizeof w, "%s.weight", name);
    snprintf(b, sizeof b, "%s.bias", name);
    for (int o = 0; o < outputs; o++) {
        const int row = first + o;
        y[o] = block < 0 ? weight(b, row) : block_weight(n, block, b, row);
        for (int i = 0; i < inputs; i++)
            y[o] += x[i] * (block < 0 ? weight(w, row * inputs + i) : block_weight(n, block, w, row * inputs + i));
    }
}

static void norm(const network *n, int block, const char *name, const double *x, double *y) {
    char w[64], b[64];
    double mean = 0, variance = 0;
    snprintf(w, sizeof w, "%s.weight", name);
    snprintf(b, sizeof b, "%s.bias", name);
    for (int d = 0; d < D; d++)
        mean += x[d] / D;
    for (int d = 0; d < D; d++)
        variance += (x[d] - mean) * (x[d] - mean) / D;
    for (int d = 0; d < D; d++) {
        const double gain = block < 0 ? weight(w, d) : block_weight(n, block, w, d);
        const double bias = block < 0 ? weight(b, d) : block_weight(n, block, b, d);
        y[d] = (x[d] - mean) / sqrt(variance + 1e-6) * gain + bias;
    }
}

/* Cell i of an axis of `to` cells lies at *low, and at the next with the share *part, of one of `from`: first and last
 * stay where they are. */
static void locate(int i, int from, int to, int *low, double *part) {
    const double at = to > 1 ? (double)i * (from - 1) / (to - 1) : 0;
    *low = at >= from - 1 ? (from > 1 ? from - 2 : 0) : (int)at;
    *part = from > 1 ? at - *low : 0;
}

static double table(const network *n, int block, const char *name, int index) {
    return block < 0 ? weight(name, index) : block_weight(n, block, name, index);
}

/* Row i of `to` of a table [from,width] from row `first` on, stretched. */
static double stretched(const network *n, int block, const char *name, int first, int i, int from, int to, int width,
                        int d) {
    int low;
    double part;
    locate(i, from, to, &low, &part);
    const double a = table(n, block, name, (first + low) * width + d);
    return part == 0 ? a : a + part * (table(n, block, name, (first + low + 1) * width + d) - a);
}

static double position(const state *s, int block, int token, int d) {
    const network *n = s->n;
    const int own = n->class_token + n->dist_token, patch = token - s->prefix, row = patch / s->columns,
              column = patch % s->columns;
    if (n->kind != VIT_POS_1D && n->kind != VIT_POS_2D)
        return 0;
    if (token < s->prefix)
        return token >= own ? 0 : table(n, block, n->kind == VIT_POS_1D ? "pos_embed" : "pos_cls", token * D + d);
    if (n->kind == VIT_POS_2D)
        return d < D / 2 ? stretched(n, block, "pos_x", 0, column, COLUMNS, s->columns, D / 2, d)
                         : stretched(n, block, "pos_y", 0, row, ROWS, s->rows, D / 2, d - D / 2);
    int y;
    double part;
    locate(row, ROWS, s->rows, &y, &part);
    const double above = stretched(n, block, "pos_embed", own + y * COLUMNS, column, COLUMNS, s->columns, D, d);
    if (part == 0)
        return above;
    return above +
           part *
               (stretched(n, block, "pos_embed", own + (y + 1) * COLUMNS, column, COLUMNS, s->columns, D, d) - above);
}

static void add_all_positions(state *s, int block) {
    for (int t = 0; t < s->tokens; t++)
        for (int d = 0; d < D; d++)
            s->x[t][d] += position(s, block, t, d);
}

static void embed(state *s, const float *pixels) {
    const network *n = s->n;
    for (int t = 0; t < s->tokens; t++) {
        const int patch = t - s->prefix;
        double in[3 * P * P];
        for (int i = 0; i < 3 * P * P && patch >= 0; i++) {
            const int channel = i / (P * P), y = patch / s->columns * P + i / P % P, x = patch % s->columns * P + i % P;
            in[i] = pixels[(y * s->columns * P + x) * 3 + channel];
        }
        if (patch >= 0)
            layer(n, -1, "patch_embed.proj", 0, in, 3 * P * P, s->x[t], D);
        for (int d = 0; d < D && patch < 0; d++)
            s->x[t][d] = t < n->class_token ? weight("cls_token", d)
                         : t < n->class_token + n->dist_token
                             ? weight("dist_token", d)
                             : weight("reg_token", (t - n->class_token - n->dist_token) * D + d);
    }
}

static int attends(const state *s, int block, int query, int key) {
    if (!s->n->axial || query < s->prefix || key < s->prefix)
        return 1;
    query -= s->prefix;
    key -= s->prefix;
    return block % 2 ? query % s->columns == key % s->columns : query / s->columns == key / s->columns;
}

static void run_block(state *s, int block) {
    static double qkv[MOST_TOKENS][3 * D], mixed[MOST_TOKENS][D];
    const network *n = s->n;
    const int stored = n->kind == VIT_POS_RELATIVE ? 2 * (s->prefix + ROWS * COLUMNS) - 1 : 0;
    double normed[D], hidden[F], out[D];
    if (n->placement == VIT_POS_LAYERS)
        add_all_positions(s, block);
    else if (n->placement == VIT_POS_SHARED)
        add_all_positions(s, -1);
    for (int t = 0; t < s->tokens; t++) {
        norm(n, block, "norm1", s->x[t], normed);
        layer(n, block, "attn.qkv", 0, normed, D, qkv[t], 3 * D);
    }
    for (int q = 0; q < s->tokens; q++)
        for (int h = 0; h < H; h++) {
            double scores[MOST_TOKENS], most = -1e300, sum = 0;
            for (int k = 0; k < s->tokens; k++) {
                scores[k] = attends(s, block, q, k) ? 0 : -1e300;
                for (int d = 0; d < K && scores[k] > -1e299; d++) {
                    double key = qkv[k][D + h * K + d];
                    if (stored)
                        key += stretched(n, block, "attn.rel_embed", 0, q - k + s->tokens - 1, stored,
                                         2 * s->tokens - 1, K, d);
                    scores[k] += qkv[q][h * K + d] * key / sqrt(K);
                }
                most = scores[k] > most ? scores[k] : most;
            }
            for (int k = 0; k < s->tokens; k++)
                sum += scores[k] = exp(scores[k] - most);
            for (int d = 0; d < K; d++) {
                mixed[q][h * K + d] = 0;
                for (int k = 0; k < s->tokens; k++)
                    mixed[q][h * K + d] += scores[k] / sum * qkv[k][2 * D + h * K + d];
            }
        }
    for (int t = 0; t < s->tokens; t++) {
        layer(n, block, "attn.proj", 0, mixed[t], D, out, D);
        for (int d = 0; d < D; d++)
            s->x[t][d] += out[d];
        norm(n, block, "norm2", s->x[t], normed);
        layer(n, block, "mlp.fc1", 0, normed, D, hidden, F);
        for (int i = 0; i < F; i++)
            hidden[i] = gelu(hidden[i]);
        layer(n, block, "mlp.fc2", 0, hidden, F, out, D);
        for (int d = 0; d < D; d++)
            s->x[t][d] += out[d];
    }
}

/* Of the patches alone, as timm does it. */
static void map_head(const state *s, double *pooled) {
    double latent[D], query[D], mixed[D], normed[D], hidden[F], out[D], keys[MOST_TOKENS][2 * D];
    for (int d = 0; d < D; d++)
        latent[d] = weight("attn_pool.latent", d);
    layer(s->n, -1, "attn_pool.q", 0, latent, D, query, D);
    for (int t = s->prefix; t < s->tokens; t++)
        layer(s->n, -1, "attn_pool.kv", 0, s->x[t], D, keys[t], 2 * D);
    for (int h = 0; h < H; h++) {
        double scores[MOST_TOKENS], sum = 0;
        for (int t = s->prefix; t < s->tokens; t++) {
            scores[t] = 0;
            for (int d = h * K; d < (h + 1) * K; d++)
                scores[t] += query[d] * keys[t][d] / sqrt(K);
            sum += scores[t] = exp(scores[t]);
        }
        for (int d = h * K; d < (h + 1) * K; d++) {
            mixed[d] = 0;
            for (int t = s->prefix; t < s->tokens; t++)
                mixed[d] += scores[t] / sum * keys[t][D + d];
        }
    }
    layer(s->n, -1, "attn_pool.proj", 0, mixed, D, pooled, D);
    norm(s->n, -1, "attn_pool.norm", pooled, normed);
    layer(s->n, -1, "attn_pool.mlp.fc1", 0, normed, D, hidden, F);
    for (int i = 0; i < F; i++)
        hidden[i] = gelu(hidden[i]);
    layer(s->n, -1, "attn_pool.mlp.fc2", 0, hidden, F, out, D);
    for (int d = 0; d < D; d++)
        pooled[d] += out[d];
}

static void reference(const network *n, int rows, int columns, const float *pixels, double *logits) {
    static state s;
    double pooled[2 * D] = {0}, hidden[HIDDEN], mean[D] = {0};
    s = (state){.n = n, .rows = rows, .columns = columns, .prefix = prefix_tokens(n)};
    s.tokens = s.prefix + rows * columns;
    embed(&s, pixels);
    if (n->placement == VIT_POS_INPUT)
        add_all_positions(&s, -1);
    for (int b = 0; b < blocks_of(n); b++)
        run_block(&s, b);
    for (int t = 0; t < s.tokens; t++) {
        double normed[D];
        norm(n, -1, "norm", s.x[t], normed);
        memcpy(s.x[t], normed, sizeof normed);
        for (int d = 0; d < D && t >= s.prefix; d++)
            mean[d] += normed[d] / (rows * columns);
    }
    memcpy(pooled, n->pool == VIT_POOL_MEAN ? mean : s.x[0], sizeof mean);
    memcpy(pooled + D, mean, sizeof mean);
    if (n->pool == VIT_POOL_MAP)
        map_head(&s, pooled);
    const int width = n->pool == VIT_POOL_CLASS_MEAN ? 2 * D : D;
    if (n->pre_logits)
        layer(n, -1, "pre_logits.fc", 0, pooled, width, hidden, HIDDEN);
    for (int i = 0; i < HIDDEN && n->pre_logits; i++)
        hidden[i] = tanh(hidden[i]);
    layer(n, -1, "head", 0, n->pre_logits ? hidden : pooled, n->pre_logits ? HIDDEN : width, logits, CLASSES);
}

/* ---- The tests ---- */

static void fill(float *pixels, int count, int seed) {
    for (int i = 0; i < count; i++)
        pixels[i] = (float)vit_random_unit((uint64_t)seed, (uint64_t)i) * 2 - 1;
}

/* Logits of two pictures by each of the host's tables; those of `again`, the same model, must be equal to the bit. */
static void check_size(const network *n, const vit_model *model, const vit_model *again, int rows, int columns) {
    const vit_session_options options = {.height = rows * P, .width = columns * P, .batch = 2, .threads = 2};
    const int count = rows * columns * P * P * 3;
    double expected[2][CLASSES];
    float *pixels = malloc((size_t)count * sizeof *pixels);
    for (int i = 0; i < 2; i++) {
        fill(pixels, count, i);
        reference(n, rows, columns, pixels, expected[i]);
    }
    for (int k = 0; vit_kernels_name(k) && !strchr(vit_kernels_name(k), ','); k++) {
        float found[2][2][CLASSES];
        for (int m = 0; m < 2; m++) {
            vit_session *session;
            vit_session_options with = options;
            with.kernels = vit_kernels_name(k);
            if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, m ? again : model, &with, &error)))
                break;
            for (int i = 0; i < 2; i++)
                fill(vit_session_input(session, i), count, i);
            for (int run = 0; run < 2; run++)
                CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
            for (int i = 0; i < 2; i++)
                memcpy(found[m][i], vit_session_logits(session, i), sizeof found[m][i]);
            vit_session_close(session);
        }
        CHECK(memcmp(found[0], found[1], sizeof found[0]) == 0);
        for (int i = 0; i < 2 * CLASSES; i++)
            if (!CHECK_CLOSE(found[0][i / CLASSES][i % CLASSES], expected[i / CLASSES][i % CLASSES], 3e-5))
                printf("    %s, %dx%d patches, %s\n", n->what, rows, columns, vit_kernels_name(k));
    }
    free(pixels);
}

/* Probabilities of each query add up to one, and are 0 where it does not look. */
static void check_attention(const network *n, const vit_model *model) {
    enum { SIDE_ROWS = 5, SIDE_COLUMNS = 2 };
    static float found[H][MOST_TOKENS * MOST_TOKENS];
    const vit_session_options options = {.height = SIDE_ROWS * P, .width = SIDE_COLUMNS * P, .capture_attention = 1};
    const state s = {.n = n, .rows = SIDE_ROWS, .columns = SIDE_COLUMNS, .prefix = prefix_tokens(n)};
    const int tokens = s.prefix + SIDE_ROWS * SIDE_COLUMNS;
    vit_session *session;
    if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error)))
        return;
    fill(vit_session_input(session, 0), SIDE_ROWS * SIDE_COLUMNS * P * P * 3, 0);
    for (int i = 0, block, more = 1; more; i++) {
        more = vit_session_advance(session);
        if (sscanf(vit_session_stage(session, i).name, "attn.%d", &block) != 1)
            continue;
        CHECK_STATUS(VIT_OK, vit_session_read(session, found[0], &error));
        for (int row = 0; row < H * tokens; row++) {
            const float *p = found[0] + row * tokens;
            double sum = 0, elsewhere = 0;
            for (int key = 0; key < tokens; key++)
                *(attends(&s, block, row % tokens, key) ? &sum : &elsewhere) += p[key];
            if (!CHECK_CLOSE(sum, 1, 1e-5) || !CHECK(elsewhere == 0))
                printf("    %s\n", n->what);
        }
    }
    vit_session_close(session);
}

/* With integers the numbers are near. */
static void check_int8(const network *n, const char *saved) {
    vit_options options = vit_default_options();
    vit_model *model;
    vit_session *session;
    double expected[CLASSES];
    options.compute = VIT_COMPUTE_INT8;
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, saved, NULL, &options, &error)))
        return;
    if (CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error))) {
        float *pixels = vit_session_input(session, 0);
        fill(pixels, ROWS * COLUMNS * P * P * 3, 0);
        reference(n, ROWS, COLUMNS, pixels, expected);
        CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
        for (int i = 0; i < CLASSES; i++)
            if (!CHECK_CLOSE(vit_session_logits(session, 0)[i], expected[i], 0.1))
                printf("    %s\n", n->what);
        vit_session_close(session);
    }
    vit_model_close(model);
}

static vit_status open_network(vit_model **out, const network *n, const char *weights) {
    char config[64], json[256];
    snprintf(config, sizeof config, "/tmp/vit_test_networks_%ld.json", (long)getpid());
    snprintf(json, sizeof json, "{\"heads\":%d,\"grid\":[%d,%d],\"patch\":%d,\"ln_eps\":1e-6,\"gelu\":\"erf\"%s}", H,
             ROWS, COLUMNS, P, n->config);
    FILE *file = fopen(config, "w");
    fputs(json, file);
    fclose(file);
    vit_status status = vit_model_open(out, weights, config, NULL, &error);
    if (status != VIT_OK)
        printf("    %s: %s\n", n->what, error.text);
    unlink(config);
    return status;
}

static void test_networks(void) {
    static const network networks[] = {
        {"1-D in every layer", VIT_POS_1D, VIT_POS_LAYERS, 0, 1, 0, 0, VIT_POOL_CLASS, 0, ""},
        {"1-D shared", VIT_POS_1D, VIT_POS_SHARED, 0, 1, 0, 0, VIT_POOL_MEAN, 0,
         ",\"variant\":\"every_layer_shared\",\"pool\":\"mean\""},
        {"2-D", VIT_POS_2D, VIT_POS_INPUT, 0, 1, 0, 0, VIT_POOL_CLASS, 1, ""},
        {"2-D without a class token", VIT_POS_2D, VIT_POS_INPUT, 0, 0, 0, 0, VIT_POOL_MEAN, 0, ""},
        {"2-D in every layer", VIT_POS_2D, VIT_POS_LAYERS, 0, 1, 0, 0, VIT_POOL_CLASS, 0, ""},
        {"relative", VIT_POS_RELATIVE, VIT_POS_INPUT, 0, 1, 0, 0, VIT_POOL_CLASS, 0, ""},
        {"relative, registers", VIT_POS_RELATIVE, VIT_POS_INPUT, 0, 1, 0, 2, VIT_POOL_MAP, 0, ""},
        {"none", VIT_POS_NONE, VIT_POS_INPUT, 0, 0, 0, 0, VIT_POOL_MAP, 0, ",\"variant\":\"none\""},
        {"class token and mean, registers", VIT_POS_1D, VIT_POS_LAYERS, 0, 1, 0, 3, VIT_POOL_CLASS_MEAN, 1,
         ",\"pool\":\"cls_mean\""},
        {"axial", VIT_POS_1D, VIT_POS_SHARED, 1, 0, 0, 0, VIT_POOL_MEAN, 0, ",\"variant\":\"every_layer_shared\""},
        {"axial, class token, registers", VIT_POS_2D, VIT_POS_LAYERS, 1, 1, 0, 9, VIT_POOL_CLASS, 0, ""},
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        const network *n = &networks[i];
        char weights[64], saved[64];
        vit_model *model, *again;
        snprintf(weights, sizeof weights, "/tmp/vit_test_networks_%ld.safetensors", (long)getpid());
        snprintf(saved, sizeof saved, "/tmp/vit_test_networks_%ld.gguf", (long)getpid());
        write_model(n, weights);
        if (CHECK_STATUS(VIT_OK, open_network(&model, n, weights))) {
            CHECK_STATUS(VIT_OK, vit_model_save(model, saved, &(vit_save_options){.type = VIT_F32}, &error));
            if (CHECK_STATUS(VIT_OK, vit_model_open(&again, saved, NULL, NULL, &error))) {
                check_size(n, model, again, ROWS, COLUMNS);
                check_size(n, model, again, 5, 2);
                check_size(n, model, again, 1, 6);
                check_attention(n, model);
                check_int8(n, saved);
                vit_model_close(again);
            }
            vit_model_close(model);
        }
        unlink(weights);
        unlink(saved);
    }
}

/* Attention never holds T x T: what a session takes grows with its tokens, and 1024 pixels a side fit beside the
 * weights into a small part of what a browser gives. */
static void test_memory(void) {
    vit_config config;
    vit_model *model;
    uint64_t bytes[3];
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error));
    if (!CHECK_STATUS(VIT_OK, vit_model_plan(&model, &config, NULL, &error)))
        return;
    for (int i = 0; i < 3; i++) {
        const vit_session_options options = {.height = 512 << i, .width = 512 << i, .kernels = "scalar"};
        bytes[i] = vit_session_bytes(model, &options);
        CHECK(bytes[i] > 0 && (i == 0 || bytes[i] < 4 * bytes[i - 1]));
    }
    CHECK(vit_model_bytes(model) + bytes[1] < 80 << 20);
    vit_model_close(model);
}

/* ---- Two sessions of one model ---- */

enum { PICTURES = 12, FEATURES = 48 };

typedef struct user {
    const vit_model *model;
    int first;
    float features[PICTURES][FEATURES]; /* a new model's head is 0 */
    int failed;
} user;

static void *use(void *context) {
    user *u = context;
    vit_session *session;
    vit_error own;
    const vit_session_options options = {.threads = 2, .batch = 1};
    u->failed = vit_session_open(&session, u->model, &options, &own) != VIT_OK;
    for (int picture = 0; picture < PICTURES && !u->failed; picture++) {
        float *input = vit_session_input(session, 0);
        for (int i = 0; i < 32 * 32 * 3; i++)
            input[i] = vit_random_unit((uint64_t)(u->first + picture), (uint64_t)i) - 0.5f;
        u->failed = vit_session_run(session, &own) != VIT_OK ||
                    vit_session_features(session, 0, VIT_FEATURE_HEAD, u->features[picture], &own) != VIT_OK;
    }
    vit_session_close(session);
    return NULL;
}

/* On two threads, of two helpers each, the answers are those of one session after another. */
static void test_two_users(void) {
    vit_config config;
    vit_model *model;
    if (!CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error)))
        return;
    config.layers = 3;
    config.width = FEATURES;
    config.heads = 3;
    config.mlp_width = 96;
    config.patch_height = config.patch_width = 8;
    config.image_height = config.image_width = config.preprocess.height = config.preprocess.width = 32;
    for (int int8 = 0; int8 < 2; int8++) {
        vit_options options = vit_default_options();
        options.compute = int8 ? VIT_COMPUTE_INT8 : VIT_COMPUTE_F32;
        if (!CHECK_STATUS(VIT_OK, vit_model_init(&model, &config, 1, &options, &error)))
            return;
        user alone[] = {{.model = model}, {.model = model, .first = PICTURES}}, together[2];
        pthread_t threads[2];
        memcpy(together, alone, sizeof together);
        for (int i = 0; i < 2; i++)
            use(&alone[i]);
        for (int i = 0; i < 2; i++)
            CHECK(pthread_create(&threads[i], NULL, use, &together[i]) == 0);
        for (int i = 0; i < 2; i++) {
            CHECK(pthread_join(threads[i], NULL) == 0);
            CHECK(!alone[i].failed && !together[i].failed);
            CHECK(memcmp(alone[i].features, together[i].features, sizeof alone[i].features) == 0);
        }
        CHECK(memcmp(alone[0].features, alone[1].features, sizeof alone[0].features) != 0);
        vit_model_close(model);
    }
}

TEST_MAIN(TEST(test_networks), TEST(test_memory), TEST(test_two_users))
