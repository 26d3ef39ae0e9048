/* The golden kinds that look inside the real model: attention, position embeddings, filters. */
#include "golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vit_session *open_capturing(const vit_model *model) {
    vit_error error;
    vit_session *session;
    must(vit_session_open(&session, model, &(vit_session_options){.capture_attention = 1}, &error), &error);
    return session;
}

static void prepare(const golden *g, const vit_model *model, vit_session *session, vit_image image, double crop_pct) {
    vit_error error;
    vit_session_info info = vit_session_get_info(session);
    vit_preprocess rules = vit_model_config(model)->preprocess;
    rules.crop_pct = crop_pct;
    float *input = vit_session_input(session, 0);
    must(vit_image_preprocess(&image, &rules, info.height, info.width, input, &g->options, &error), &error);
    vit_image_close(&image);
    vit_session_restart(session);
}

static vit_attention *attention_of(vit_session *session, vit_attention_method method, int head) {
    vit_error error;
    vit_attention *attention;
    vit_attention_options options = {.method = method, .layer = -1, .head = head};
    must(vit_attention_open(&attention, session, &options, &error), &error);
    return attention;
}

/* real/rollout: PHOTO.png holds the very pixels. PHOTO.rollout [h,w], PHOTO.cls_attn_last [H,h,w] */
void golden_rollout(golden *g) {
    vit_error error;
    vit_model *model = open_real_model(g);
    vit_session *session = open_capturing(model);
    const vit_session_info info = vit_session_get_info(session);
    const int heads = vit_model_config(model)->heads;
    vit_attention *rollout = attention_of(session, VIT_ATTENTION_ROLLOUT, 0);
    for (int i = 0; i < golden_count(g); i++) {
        const char *dot = strchr(golden_name(g, i), '.');
        if (!dot || strcmp(dot, ".rollout") != 0)
            continue;
        char photo[32], name[64];
        snprintf(photo, sizeof photo, "%.*s", (int)(dot - golden_name(g, i)), golden_name(g, i));
        snprintf(name, sizeof name, "%s.png", photo);
        prepare(g, model, session, golden_picture(g, name), 1);
        vit_attention *each[16];
        for (int h = 0; h < heads; h++)
            each[h] = attention_of(session, VIT_ATTENTION_HEAD, h);
        for (int more = 1; more;) {
            more = vit_session_advance(session);
            vit_attention_follow(rollout);
            for (int h = 0; h < heads; h++)
                vit_attention_follow(each[h]);
        }
        int64_t shape[3] = {heads, info.grid_height, info.grid_width};
        must(vit_attention_read(rollout, -1, golden_result(g, i, "F32", 2, shape + 1), &error), &error);
        snprintf(name, sizeof name, "%s.cls_attn_last", photo);
        float *last = golden_result(g, golden_find(g, name), "F32", 3, shape);
        for (int h = 0; h < heads; h++) {
            must(vit_attention_read(each[h], -1, last + h * info.grid_height * info.grid_width, &error), &error);
            vit_attention_close(each[h]);
        }
    }
    vit_attention_close(rollout);
    vit_session_close(session);
    vit_model_close(model);
}

/* The photographs that the case was made of. */
static const char *const distance_photos[] = {"0007", "0047", "0087", "0127", "0167", "0207", "0247",
                                              "0287", "0327", "0367", "0407", "0447", "0487", "0527",
                                              "0567", "0607", "0647", "0687", "0727", "0767"};

enum { PHOTOS = sizeof distance_photos / sizeof *distance_photos };

/* Distances of all layers' heads [L,H] in one photograph, times `share`, are added to `out`; either may be NULL. */
static void add_distances(vit_session *session, int heads, double share, float *plain, float *renormalized) {
    double found[64];
    vit_session_restart(session);
    for (int more = 1; more;) {
        more = vit_session_advance(session);
        float *const sums[] = {plain, renormalized};
        for (int r = 0; r < 2; r++) {
            int layer = vit_attention_distance(session, 0, r, found);
            for (int h = 0; h < heads && layer >= 0 && sums[r]; h++)
                sums[r][layer * heads + h] += (float)(share * found[h]);
        }
    }
}

void golden_attention_distance(golden *g) {
    vit_model *model = open_real_model(g);
    vit_session *session = open_capturing(model);
    const vit_config *c = vit_model_config(model);
    const vit_session_info info = vit_session_get_info(session);
    const int64_t shape[2] = {c->layers, c->heads}, patches = info.grid_height * info.grid_width;
    float *plain = golden_result(g, golden_find(g, "mean_distance"), "F32", 2, shape);
    float *renormalized = golden_result(g, golden_find(g, "mean_distance_renormalised"), "F32", 2, shape);
    float *first = golden_result(g, golden_find(g, "first_image"), "F32", 2, shape);
    float *table = golden_result(g, golden_find(g, "distances"), "F32", 2, (int64_t[]){patches, patches});
    for (int i = 0; i < c->layers * c->heads; i++)
        plain[i] = renormalized[i] = first[i] = 0;
    for (int photo = 0; photo < PHOTOS; photo++) {
        prepare(g, model, session, open_photo(g, distance_photos[photo]), c->preprocess.crop_pct);
        add_distances(session, c->heads, 1.0 / PHOTOS, plain, renormalized);
        if (photo == 0)
            add_distances(session, c->heads, 1, first, NULL);
    }
    for (int64_t a = 0; a < patches; a++)
        for (int64_t b = 0; b < patches; b++)
            *table++ = (float)hypot((double)(a / info.grid_width - b / info.grid_width) * c->patch_height,
                                    (double)(a % info.grid_width - b % info.grid_width) * c->patch_width);
    vit_session_close(session);
    vit_model_close(model);
}

void golden_posemb_similarity(golden *g) {
    vit_error error;
    vit_model *model = open_real_model(g);
    const vit_config *c = vit_model_config(model);
    const int64_t rows = c->image_height / c->patch_height, columns = c->image_width / c->patch_width;
    float *out = golden_result(g, golden_find(g, "similarity"), "F32", 4, (int64_t[]){rows, columns, rows, columns});
    vit_session *session = open_session(model, 0, 0);
    must(vit_position_similarity(session, 0, (int)(rows * columns), out, &error), &error);
    vit_session_close(session);
    vit_model_close(model);
}

void golden_filter_pca(golden *g) {
    enum { SHOWN = 28 };
    vit_error error;
    vit_model *model = open_real_model(g);
    const vit_config *c = vit_model_config(model);
    const int64_t shape[4] = {SHOWN, 3, c->patch_height, c->patch_width}, length = 3 * shape[2] * shape[3];
    float *components = must_alloc((size_t)((SHOWN + 1) * length) * sizeof *components);
    float *strengths = golden_result(g, golden_find(g, "singular_values"), "F32", 1, (int64_t[]){SHOWN + 1});
    float *gaps = golden_result(g, golden_find(g, "relative_gap"), "F32", 1, (int64_t[]){SHOWN});
    float *mean = golden_result(g, golden_find(g, "mean_filter"), "F32", 3, shape + 1);
    must(vit_filter_components(model, SHOWN + 1, components, strengths, mean, &error), &error);
    memcpy(golden_result(g, golden_find(g, "components"), "F32", 4, shape), components,
           (size_t)(SHOWN * length) * sizeof *components);
    for (int i = 0; i < SHOWN; i++)
        gaps[i] = (strengths[i] - strengths[i + 1]) / strengths[i];
    free(components);
    vit_model_close(model);
}
