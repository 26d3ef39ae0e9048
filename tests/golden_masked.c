/* The golden kind mae/hf_...: masked autoencoders and SimMIM, by noise or by a mask. */
#include "golden.h"

#include "../src/format/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct masked {
    golden *g;
    const vit_model *model;
    const vit_config *config;
    int batch, height, width, patches, values;
    uint8_t *hidden;     /* [B,T0] */
    int *order;          /* [B,T0]: patches by noise */
    const float *pixels; /* [B,H,W,3] */
    float *targets, *prediction; /* [B,T0,3*P*P] */
} masked;

static float *floats(masked *m, const char *name, int rank, const int64_t *shape) {
    return golden_result(m->g, golden_find(m->g, name), "F32", rank, shape);
}

static double mask_ratio(const golden *g) {
    vit_error error;
    vit_buffer text = {.allocator = &g->options.allocator};
    vit_json_document config;
    const char *path = path_in(g->folder, "config.json");
    must(vit_read_file(&text, path, g->options.limits.config_bytes, &error), &error);
    must(vit_json_parse(&config, path, text.data, text.size, &g->options.limits, &g->options.allocator, &error), &error);
    const vit_json *ratio = vit_json_get(config.root, "mask_ratio");
    const double value = ratio ? ratio->number : 0.75;
    vit_json_release(&config);
    vit_buffer_release(&text);
    return value;
}

/* Indices by rising noise. */
static void sort_noise(const float *noise, int n, int *order) {
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0 && noise[order[at - 1]] > noise[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

static void mask_by_noise(masked *m, const float *noise) {
    const int n = m->patches, visible = vit_visible_patches(n, mask_ratio(m->g));
    const int64_t shape[] = {m->batch, n};
    int32_t *restore = golden_result(m->g, golden_find(m->g, "ids_restore"), "I32", 2, shape);
    float *mask = floats(m, "mask", 2, shape);
    for (int b = 0; b < m->batch; b++) {
        sort_noise(noise + b * n, n, m->order + b * n);
        vit_hide_by_noise(noise + b * n, n, visible, m->hidden + b * n);
        for (int i = 0; i < n; i++) {
            restore[b * n + m->order[b * n + i]] = i;
            mask[b * n + i] = m->hidden[b * n + i];
        }
    }
}

/* The encoder's tokens are in the order of patches, those expected in that of noise. */
static void store_latent(masked *m, const vit_session *session, const vit_stage_info *stage) {
    vit_error error;
    const int tokens = stage->shape[1], width = stage->shape[2];
    const size_t row = (size_t)width * sizeof(float);
    float *found = must_alloc((size_t)(m->batch * tokens) * row);
    float *latent = floats(m, "latent", 3, (int64_t[]){m->batch, tokens, width});
    must(vit_session_read(session, found, &error), &error);
    for (int b = 0; b < m->batch; b++) {
        const float *from = found + b * tokens * width;
        float *to = latent + b * tokens * width;
        memcpy(to, from, row);
        for (int i = 1; i < tokens; i++) {
            const int patch = m->order[b * m->patches + i - 1];
            int rank = 1;
            for (int p = 0; p < patch; p++)
                rank += !m->hidden[b * m->patches + p];
            memcpy(to + i * width, from + rank * width, row);
        }
    }
    free(found);
}

static void predict(masked *m) {
    vit_error error;
    vit_session *session;
    const vit_session_options options = {.batch = m->batch, .height = m->height, .width = m->width, .masked = 1,
                                         .capture_attention = 1};
    const size_t image = (size_t)(m->height * m->width) * 3;
    must(vit_session_open(&session, m->model, &options, &error), &error);
    for (int b = 0; b < m->batch; b++)
        memcpy(vit_session_input(session, b), m->pixels + (size_t)b * image, image * sizeof(float));
    must(vit_session_hide(session, m->hidden, &error), &error);
    for (int i = 0, more = 1; more; i++) {
        more = vit_session_advance(session);
        const vit_stage_info stage = vit_session_stage(session, i);
        if (strcmp(stage.name, "norm") == 0 && golden_find(m->g, "latent") >= 0)
            store_latent(m, session, &stage);
    }
    must(vit_session_read(session, m->prediction, &error), &error);
    vit_session_close(session);
}

/* Mean over pixels of the squared error, then over hidden patches. */
static double squared_loss(const masked *m) {
    double sum = 0, hidden = 0;
    for (int p = 0; p < m->batch * m->patches; p++) {
        double patch = 0;
        for (int i = 0; i < m->values; i++)
            patch += pow(m->prediction[p * m->values + i] - m->targets[p * m->values + i], 2) / m->values;
        sum += m->hidden[p] * patch;
        hidden += m->hidden[p];
    }
    return sum / hidden;
}

/* |error| over the pixels that are hidden, as ViTForMaskedImageModeling weighs them. */
static double absolute_loss(const masked *m) {
    double sum = 0, pixels = 0;
    for (int p = 0; p < m->batch * m->patches; p++) {
        pixels += m->hidden[p] * m->values / 3;
        for (int i = 0; i < m->values; i++)
            sum += m->hidden[p] * fabs(m->prediction[p * m->values + i] - m->targets[p * m->values + i]);
    }
    return sum / (pixels + 1e-5) / 3;
}

static void store(masked *m, float *image, const char *name) {
    const int64_t shape[] = {m->batch, m->height, m->width, 3};
    float *out = floats(m, name, 4, shape);
    memcpy(out, image, (size_t)(m->batch * m->height * m->width) * 3 * sizeof *out);
}

static void evaluate(masked *m) {
    const int is_mae = m->config->decoder.kind == VIT_DECODER_MAE, count = m->batch * m->patches * m->values;
    const int image = 3 * m->height * m->width, row = m->patches * m->values;
    float *restored = must_alloc((size_t)(m->batch * image) * sizeof *restored);
    for (int b = 0; b < m->batch; b++) {
        vit_patch_pixels(m->config, m->pixels + b * image, m->height, m->width, m->targets + b * row);
        vit_unpatch_pixels(m->config, m->prediction + b * row, m->height, m->width, restored + b * image);
    }
    store(m, restored, is_mae ? "image_from_prediction" : "reconstruction");
    free(restored);
    if (is_mae) {
        const int64_t shape[] = {m->batch, m->patches, m->values};
        memcpy(floats(m, "prediction", 3, shape), m->prediction, (size_t)count * sizeof(float));
        memcpy(floats(m, "target_patches", 3, shape), m->targets, (size_t)count * sizeof(float));
    }
    if (m->config->decoder.norm_pixels)
        vit_normalize_patches(m->targets, m->batch * m->patches, m->values);
    floats(m, "loss", 1, (int64_t[]){1})[0] = (float)(is_mae ? squared_loss(m) : absolute_loss(m));
}

void golden_masked(golden *g) {
    vit_error error;
    vit_model *model;
    tensors input;
    must(vit_model_open(&model, g->folder, NULL, &g->options, &error), &error);
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *x = tensors_find(&input, "x"), *noise = tensors_find(&input, "noise"),
                          *mask = tensors_find(&input, "mask");
    if (!x || x->rank != 4 || (!noise && !mask))
        die("%s: expected pixels x and noise or mask", g->folder);
    masked m = {.g = g,
                .model = model,
                .config = vit_model_config(model),
                .batch = (int)x->shape[0],
                .height = (int)x->shape[1],
                .width = (int)x->shape[2],
                .pixels = tensors_data(&input, x)};
    m.values = 3 * m.config->patch_height * m.config->patch_width;
    m.patches = m.height / m.config->patch_height * (m.width / m.config->patch_width);
    const size_t patches = (size_t)(m.batch * m.patches);
    m.hidden = must_alloc(patches);
    m.order = must_alloc(patches * sizeof *m.order);
    m.targets = must_alloc(patches * (size_t)m.values * sizeof(float));
    m.prediction = must_alloc(patches * (size_t)m.values * sizeof(float));
    if (noise)
        mask_by_noise(&m, tensors_data(&input, noise));
    else
        memcpy(m.hidden, tensors_data(&input, mask), patches);
    predict(&m);
    evaluate(&m);
    free(m.hidden);
    free(m.order);
    free(m.targets);
    free(m.prediction);
    tensors_close(&input);
    vit_model_close(model);
}
