/* exports.c - the C library as flat functions for module.mjs, over vit.h and vit_tasks.h alone: all but exports_load.c's. */
#include "exports.h"

#include <stdio.h>
#include <string.h>

static void close_session(engine *e) {
    vit_attention_close(e->attention);
    vit_session_close(e->session);
    e->attention = NULL;
    e->session = NULL;
}

/* Gives back all but the engine itself and its probes, which come before, and returns how many blocks are still held: 0 unless something leaks. */
EMSCRIPTEN_KEEPALIVE int vit_js_reset(engine *e) {
    close_session(e);
    return engine_reset(e);
}

/* Labels as one text, a class a line. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_set_labels(engine *e, char *text, int count) {
    const char **labels = engine_lines(e, text, count);
    if (!labels)
        return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: labels");
    vit_status status = vit_model_set_labels(e->loaded, labels, count, &e->error);
    vit_js_free(e, labels);
    return status;
}

/* ---- What was loaded ---- */

/* text as a JSON string into out, which holds 6 bytes for each of text's and 3 more; bytes below 32 are escaped. */
static void quote(char *out, const char *text) {
    *out++ = '"';
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 32 || *c == '"' || *c == '\\')
            out += snprintf(out, 7, "\\u%04x", *c);
        else
            *out++ = (char)*c;
    }
    strcpy(out, "\"");
}

/* Side in pixels of what one token sees, whose patch is so many cells of the last map of a convolutional part; of a
 * ResNet, which has no patches, of one such cell. */
static int pixels_of(const vit_config *c, int patch) {
    return vit_resnet_stride(&c->resnet) * (patch ? patch : 1);
}

/* The model as JSON. */
EMSCRIPTEN_KEEPALIVE const char *vit_js_describe(engine *e) {
    const vit_config *c = vit_model_config(e->model);
    char architecture[6 * sizeof c->architecture + 3], label_set[6 * sizeof c->label_set + 3];
    quote(architecture, c->architecture);
    quote(label_set, c->label_set);
    snprintf(e->text, sizeof e->text,
             "{\"architecture\":%s,\"network\":\"%s\",\"labelSet\":%s,\"parameters\":%lld,\"weights\":%llu,\"classes\":%d,\"width\":%d,"
             "\"features\":%d,\"layers\":%d,\"heads\":%d,\"decoder\":\"%s\",\"knownScore\":%g,\"warnings\":%d,\"input\":{\"height\":%d,\"width\":%d,\"patch\":[%d,%d],\"mean\":[%.9g,%.9g,%.9g],"
             "\"std\":[%.9g,%.9g,%.9g],\"filter\":\"%s\",\"crop\":\"%s\",\"cropPct\":%.9g}}",
             architecture, vit_network_name(c), label_set, (long long)vit_model_parameters(e->model),
             (unsigned long long)vit_model_bytes(e->model), c->classes, c->width, vit_feature_width(c),
             c->axial ? 2 * c->layers : c->layers, c->heads, vit_decoder_name(c->decoder.kind),
             c->known_percent / 100.0, vit_model_warning_count(e->model), e->rules.height, e->rules.width,
             pixels_of(c, c->patch_height), pixels_of(c, c->patch_width),
             e->rules.mean[0], e->rules.mean[1], e->rules.mean[2], e->rules.std[0], e->rules.std[1], e->rules.std[2],
             vit_filter_name(e->rules.filter), vit_crop_name(e->rules.crop), e->rules.crop_pct);
    return e->text;
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_label(const engine *e, int index) {
    return vit_model_label(e->model, index);
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_warning(const engine *e, int index) {
    return vit_model_warning(e->model, index);
}

/* Other rules than the model's for pictures: 0 leaves a value as it is. */
EMSCRIPTEN_KEEPALIVE void vit_js_rules(engine *e, int height, int width, double crop_pct) {
    if (height)
        e->rules.height = height;
    if (width)
        e->rules.width = width;
    if (crop_pct > 0)
        e->rules.crop_pct = crop_pct;
}

/* ---- Pictures into the session's input ---- */

EMSCRIPTEN_KEEPALIVE void vit_js_image_close(engine *e) {
    vit_image_close(&e->image);
}

/* Closes the picture, whatever comes of it. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_preprocess(engine *e, int index) {
    vit_status status =
        vit_image_preprocess(&e->image, &e->rules, e->opened.height, e->opened.width,
                             vit_session_input(e->session, index), &e->options, &e->error);
    vit_js_image_close(e);
    return status;
}

/* The whole picture, squeezed, into the session's only image; it stays, to be filled in. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_squeeze(engine *e) {
    vit_preprocess rules = e->rules;
    rules.crop = VIT_CROP_SQUASH;
    rules.crop_pct = 1;
    return vit_image_preprocess(&e->image, &rules, e->opened.height, e->opened.width, vit_session_input(e->session, 0),
                                &e->options, &e->error);
}

/* A picture of the session's only image. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_image_of_input(engine *e) {
    const size_t values = 3 * (size_t)e->opened.height * (size_t)e->opened.width;
    uint8_t *rgb = vit_js_alloc(e, values);
    if (!rgb)
        return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: the picture");
    vit_colors_from_pixels(&e->rules, vit_session_input(e->session, 0), values, rgb);
    vit_status status =
        vit_image_from_pixels(&e->image, rgb, e->opened.width, e->opened.height, 3, &e->options, &e->error);
    vit_js_free(e, rgb);
    return status;
}

/* module.mjs reads it. */
EMSCRIPTEN_KEEPALIVE const vit_image *vit_js_image(const engine *e) {
    return &e->image;
}

/* ---- Running ---- */

/* Keeps the session where it is already the one wanted. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_session(engine *e, int height, int width, int batch, int threads,
                                               const char *kernels, int capture, int masked) {
    const vit_session_options *o = &e->opened;
    if (e->session && o->height == height && o->width == width && o->batch == batch && o->threads == threads &&
        o->capture_attention == capture && o->masked == masked)
        return VIT_OK;
    if (e->session)
        snprintf(e->tuned, sizeof e->tuned, "%s", vit_session_get_info(e->session).kernels);
    close_session(e);
    snprintf(e->kernels, sizeof e->kernels, "%s", kernels);
    e->opened = (vit_session_options){.height = height, .width = width, .batch = batch, .threads = threads,
                                      .capture_attention = capture, .masked = masked,
                                      .kernels = e->kernels[0] ? e->kernels : NULL,
                                      .first = e->tuned[0] ? e->tuned : NULL};
    return vit_session_open(&e->session, e->model, o, &e->error);
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_session_describe(engine *e) {
    vit_session_info info = vit_session_get_info(e->session);
    snprintf(e->text, sizeof e->text, "{\"kernels\":\"%s\",\"threads\":%d,\"bytes\":%llu,\"grid\":[%d,%d]}", info.kernels,
             info.threads, (unsigned long long)info.bytes, info.grid_height, info.grid_width);
    return e->text;
}

EMSCRIPTEN_KEEPALIVE int vit_js_tune(engine *e) {
    return e->session ? vit_session_tune(e->session) : 0;
}

EMSCRIPTEN_KEEPALIVE float *vit_js_input(engine *e, int index) {
    return vit_session_input(e->session, index);
}

EMSCRIPTEN_KEEPALIVE void vit_js_restart(engine *e) {
    vit_session_restart(e->session);
}

EMSCRIPTEN_KEEPALIVE int vit_js_advance(engine *e) {
    return vit_session_advance(e->session);
}

/* Milliseconds of the last run: of the head, or of all before it. */
EMSCRIPTEN_KEEPALIVE double vit_js_time(engine *e, int of_head) {
    double sum = 0;
    for (int i = 0; i < vit_session_stage_count(e->session); i++) {
        vit_stage_info stage = vit_session_stage(e->session, i);
        if ((strcmp(stage.name, "logits") == 0) == of_head)
            sum += stage.milliseconds;
    }
    return sum;
}

/* NULL for a model without a head. */
EMSCRIPTEN_KEEPALIVE const float *vit_js_logits(engine *e, int index) {
    return vit_session_logits(e->session, index);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_features(engine *e, int index, int feature, float *out) {
    return vit_session_features(e->session, index, (vit_feature)feature, out, &e->error);
}

EMSCRIPTEN_KEEPALIVE int vit_js_top(engine *e, int index, int k, vit_score *top) {
    const vit_config *c = vit_model_config(e->model);
    return vit_top_classes(vit_session_logits(e->session, index), c->classes, k, c->multi_label, top);
}

/* ---- Looking inside ---- */

/* Of the session's only image, which captures attention. Replaces the one before. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_attention_open(engine *e, int method, int layer, int head) {
    const vit_attention_options options = {.method = (vit_attention_method)method, .layer = layer, .head = head};
    vit_attention_close(e->attention);
    return vit_attention_open(&e->attention, e->session, &options, &e->error);
}

EMSCRIPTEN_KEEPALIVE int vit_js_attention_follow(engine *e) {
    return vit_attention_follow(e->attention);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_attention_read(engine *e, int query, float *values) {
    return vit_attention_read(e->attention, query, values, &e->error);
}

/* After vit_js_advance() in such a session, as vit_attention_distance() has it: out [heads]. */
EMSCRIPTEN_KEEPALIVE int vit_js_distance(const engine *e, int renormalize, double *out) {
    return vit_attention_distance(e->session, 0, renormalize, out);
}

EMSCRIPTEN_KEEPALIVE void vit_js_filter_shape(const engine *e, int shape[3]) {
    vit_filter_shape(e->model, shape);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_filters(engine *e, int count, float *components, float *strengths,
                                               float *mean) {
    return vit_filter_components(e->model, count, components, strengths, mean, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_positions(engine *e, int begin, int end, float *out) {
    return vit_position_similarity(e->session, begin, end, out, &e->error);
}

/* ---- Masked prediction, of the session's only image ---- */

/* Hides the patches that are marked in hidden [T0]; where they are not given by hand, seed draws that share first. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_hide(engine *e, uint8_t *hidden, int by_hand, double ratio, int seed) {
    const vit_session_info info = vit_session_get_info(e->session);
    const int patches = info.grid_height * info.grid_width;
    float *noise = by_hand ? NULL : vit_js_alloc(e, (size_t)patches * sizeof *noise);
    if (!by_hand && !noise)
        return engine_fail(e, VIT_ERR_OUT_OF_MEMORY, "out of memory: a mask");
    if (noise) {
        vit_patch_noise((uint64_t)seed, noise, patches);
        vit_hide_by_noise(noise, patches, vit_visible_patches(patches, ratio), hidden);
        vit_js_free(e, noise);
    }
    return vit_session_hide(e->session, hidden, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_colors(engine *e, float *colors, int32_t *labels, float *probabilities) {
    return vit_session_colors(e->session, 0, colors, labels, probabilities, &e->error);
}

/* The picture's hidden patches. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_fill(engine *e, int smooth) {
    return vit_session_fill(e->session, 0, smooth, &e->image, &e->error);
}

/* ---- Few-shot: probes are JavaScript's to close ---- */

typedef struct opened_probe { /* module.mjs reads it */
    vit_probe *probe;
    vit_feature feature; /* of the model, which its examples are */
} opened_probe;

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_open(engine *e, int feature, opened_probe *out) {
    char backbone[32];
    vit_model_backbone(e->model, &e->rules, (vit_feature)feature, backbone);
    out->feature = (vit_feature)feature;
    return vit_probe_open(&out->probe, vit_model_feature_width(e->model, out->feature), backbone, &e->options, &e->error);
}

/* A file's; of another network it is refused. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_decode(engine *e, const char *name, const void *bytes, size_t size,
                                                    opened_probe *out) {
    vit_status status = vit_probe_decode(&out->probe, name, bytes, size, &e->options, &e->error);
    if (status == VIT_OK)
        status = vit_probe_feature(out->probe, e->model, &e->rules, name, &out->feature, &e->error);
    if (status != VIT_OK)
        vit_probe_close(out->probe);
    return status;
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_copy(engine *e, const vit_probe *probe, vit_probe **out) {
    return vit_probe_copy(out, probe, &e->error);
}

EMSCRIPTEN_KEEPALIVE void vit_js_probe_close(engine *e, vit_probe *probe) {
    (void)e;
    vit_probe_close(probe);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_add(engine *e, vit_probe *probe, const char *label, const float *features,
                                                 int *id) {
    return vit_probe_add(probe, label, features, id, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_remove(engine *e, vit_probe *probe, int id) {
    return vit_probe_remove(probe, id, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_remove_class(engine *e, vit_probe *probe, const char *label) {
    return vit_probe_remove_class(probe, label, &e->error);
}

/* Without examples there is nothing to fit. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_fit(engine *e, vit_probe *probe, double l2) {
    return vit_probe_get_info(probe).examples ? vit_probe_fit(probe, l2, &e->error) : VIT_OK;
}

EMSCRIPTEN_KEEPALIVE void vit_js_probe_info(const engine *e, const vit_probe *probe, vit_probe_info *out) {
    (void)e;
    *out = vit_probe_get_info(probe);
}

EMSCRIPTEN_KEEPALIVE const char *vit_js_probe_label(const engine *e, const vit_probe *probe, int class_index) {
    (void)e;
    return vit_probe_label(probe, class_index);
}

EMSCRIPTEN_KEEPALIVE int vit_js_probe_count(const engine *e, const vit_probe *probe, int class_index) {
    (void)e;
    return vit_probe_count(probe, class_index);
}

/* By the classifier, or by the votes of so many neighbours. */
EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_score(engine *e, const vit_probe *probe, const float *features,
                                                   int neighbours, float *scores) {
    return neighbours ? vit_probe_vote(probe, features, neighbours, scores, &e->error)
                      : vit_probe_score(probe, features, scores, &e->error);
}

EMSCRIPTEN_KEEPALIVE vit_status vit_js_probe_encode(engine *e, const vit_probe *probe, engine_bytes *out) {
    return vit_probe_encode(probe, &out->bytes, &out->size, &e->error);
}
