#include "session.h"

#include "../base/clock.h"
#include "convolution.h"
#include "stages.h"

#include <stdio.h>
#include <string.h>

/* ---- Opening ---- */

static int option(int value, int otherwise) {
    return value ? value : otherwise;
}

static size_t max3(size_t a, size_t b, size_t c) {
    size_t most = a > b ? a : b;
    return most > c ? most : c;
}

/* Inputs of the layer that has most. */
static int deepest(const vit_config *c) {
    const size_t pixels =
        (size_t)vit_resnet_channels(&c->resnet) * (size_t)c->patch_height * (size_t)c->patch_width;
    return (int)max3(max3((size_t)c->width, (size_t)c->mlp_width, pixels), (size_t)c->decoder.width,
                     (size_t)c->decoder.mlp_width);
}

/* Of two trunks, the channels of the wider one. */
static size_t widest(const vit_config *c) {
    return max3((size_t)c->width, (size_t)c->decoder.width, 0);
}

void vit_session_name_kernels(vit_session *s) {
    snprintf(s->kernels_name, sizeof s->kernels_name, "%s%s", s->kernels->name,
             s->int8 ? strchr(s->int8->name, ',') : "");
}

/* Other kernels of those that are allowed, where they have the same panels. */
static void begin_with(vit_session *s, const char *name) {
    const vit_kernels *kernels = name ? vit_kernels_find(name) : NULL;
    if (!kernels || kernels->panel != s->kernels->panel || !vit_kernels_allows(s->allowed, kernels->name))
        return;
    const vit_int8_kernels *int8 = s->int8 ? vit_int8_kernels_find(name) : NULL;
    if (s->int8 && !vit_kernels_allows(s->allowed, int8->name))
        return;
    s->kernels = kernels;
    s->int8 = int8;
}

/* Sizes from the options; everything that later arithmetic relies on is checked here. */
static vit_status plan(vit_session *s, const vit_model *model, const vit_session_options *options, vit_error *error) {
    static const vit_session_options none;
    const vit_config *c = &model->config;
    if (!options)
        options = &none;
    *s = (vit_session){.model = model, .allocator = model->options.allocator};
    s->kernels = vit_kernels_find(options->kernels);
    if (!s->kernels)
        return vit_fail(error, VIT_ERR_ARGUMENT, "kernels \"%.40s\": not known, or this host lacks them",
                        options->kernels);
    if (model->options.compute == VIT_COMPUTE_INT8)
        s->int8 = vit_int8_kernels_find(options->kernels);
    snprintf(s->allowed, sizeof s->allowed, "%s", options->kernels ? options->kernels : "");
    begin_with(s, options->first);
    vit_session_name_kernels(s);
    s->height = option(options->height, c->preprocess.height);
    s->width = option(options->width, c->preprocess.width);
    s->batch = option(options->batch, 1);
    if (options->batch < 0 || options->threads < 0 || s->batch > 65536 || options->threads > 1024)
        return vit_fail(error, VIT_ERR_ARGUMENT, "session: batch %d and threads %d: expected 1 to 65536 and 1 to 1024",
                        s->batch, options->threads);
    const int cell = vit_resnet_stride(&c->resnet);
    if (s->height < 1 || s->width < 1 || s->height > 65535 || s->width > 65535 ||
        !(s->rows = vit_grid_side(c, s->height, c->patch_height)) ||
        !(s->columns = vit_grid_side(c, s->width, c->patch_width)))
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "input size %dx%d: expected at least one patch of %dx%d and at most 65535x65535", s->height,
                        s->width, cell * (c->patch_height - 1) + 1, cell * (c->patch_width - 1) + 1);
    if (c->resnet.stem_width && model->options.raw_weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "session: the convolutions are held as stored (raw_weights): expected "
                        "them standardised");
    if (c->resnet.stem_width && (uint64_t)s->height * (uint64_t)s->width * (uint64_t)s->batch > INT32_MAX / 4)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "input size %dx%d, batch %d: too many pixels for convolutions: at most %d", s->height, s->width,
                        s->batch, INT32_MAX / 4);
    s->prefix = vit_prefix_tokens(c);
    uint64_t tokens = (uint64_t)s->rows * (uint64_t)s->columns + (uint64_t)s->prefix;
    if (tokens > model->options.limits.tokens)
        return vit_fail(error, VIT_ERR_LIMIT, "input size %dx%d: %llu tokens, the limit is %u (limit tokens)",
                        s->height, s->width, (unsigned long long)tokens, model->options.limits.tokens);
    if (tokens * (uint64_t)s->batch > INT32_MAX / 4)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "input size %dx%d, batch %d: %llu tokens, the most are %d", s->height,
                        s->width, s->batch, (unsigned long long)(tokens * (uint64_t)s->batch), INT32_MAX / 4);
    s->tokens = (int)tokens;
    s->patches = s->tokens - s->prefix;
    s->visible = s->patches;
    s->masked = options->masked != 0;
    if (s->masked && c->decoder.kind == VIT_DECODER_NONE)
        return vit_fail(error, VIT_ERR_ARGUMENT, "session: this model has no decoder to predict hidden patches with");
    s->panels = (s->tokens + s->kernels->panel - 1) / s->kernels->panel;
    s->thread_scratch = vit_attention_scratch(s, options->capture_attention);
    if (s->int8 && deepest(c) > INT32_MAX / (127 * 127))
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "a layer of %d inputs as int8: at most %d, or sums would overflow: load "
                        "the model as f32", deepest(c), INT32_MAX / (127 * 127));
    if (s->int8)
        s->thread_scratch = max3(s->thread_scratch, s->int8->gemm_scratch(deepest(c)) / sizeof(float),
                                 s->int8->gemm_scratch(VIT_TRIAL_DEPTH) / sizeof(float));
    if (c->resnet.stem_width)
        s->thread_scratch = max3(s->thread_scratch, vit_measure_maps(s).scratch, 0);
    return VIT_OK;
}

/* Floats of the buffer that holds one layer's widest channels, and the embed stage's workspace before that. */
static size_t wide_floats(const vit_session *s, size_t lanes) {
    const vit_config *c = &s->model->config;
    const size_t layers = max3(3 * widest(c), (size_t)deepest(c), (size_t)vit_fc1_rows(c));
    const size_t channels = max3(layers, s->masked ? (size_t)vit_prediction_values(c) : 0, 0);
    const size_t decoder = s->masked && c->decoder.width ? vit_decoder_positions_bytes(s) / sizeof(float) + 1 : 0;
    return max3(vit_size_mul(lanes, channels), vit_positions_bytes(s) / sizeof(float) + 1, decoder);
}

static void take_quantized(vit_session *s, size_t lanes) {
    const vit_config *c = &s->model->config;
    const size_t bytes = 4 / (size_t)s->int8->depth, own_heads = c->decoder.heads ? (size_t)c->decoder.heads : 1;
    const size_t head_lanes = vit_size_mul(lanes, max3((size_t)c->heads, own_heads, 0));
    const size_t head_width = max3((size_t)(c->width / c->heads), (size_t)c->decoder.width / own_heads, 0);
    s->quantized.tokens = vit_arena_take(&s->arena, vit_size_mul(lanes, vit_int8_columns((size_t)deepest(c)) * bytes));
    s->quantized.scale = vit_arena_floats(&s->arena, lanes, 1, 1);
    s->quantized.zero = vit_arena_take(&s->arena, vit_size_mul(lanes, sizeof(int32_t)));
    s->quantized.q = vit_arena_take(&s->arena, vit_size_mul(head_lanes, vit_int8_columns(head_width) * bytes));
    s->quantized.k = vit_arena_take(&s->arena, vit_size_mul(head_lanes, vit_int8_columns(head_width) * bytes));
    s->quantized.q_scale = vit_arena_floats(&s->arena, head_lanes, 1, 1);
    s->quantized.k_scale = vit_arena_floats(&s->arena, head_lanes, 1, 1);
    s->quantized.q_zero = vit_arena_take(&s->arena, vit_size_mul(head_lanes, sizeof(int32_t)));
    s->quantized.k_sum = vit_arena_take(&s->arena, vit_size_mul(head_lanes, sizeof(int32_t)));
}

/* Takes every buffer from the arena: first to measure, then for real. */
static void take_buffers(vit_session *s, int threads, int capture) {
    const vit_config *c = &s->model->config;
    vit_arena *arena = &s->arena;
    const size_t r = (size_t)s->kernels->panel, width = (size_t)c->width, batch = (size_t)s->batch,
                 classes = (size_t)c->classes;
    const size_t lanes = batch * (size_t)s->panels * r, image_lanes = (batch + r - 1) / r * r;
    s->stages = vit_arena_take(arena, (size_t)s->stage_count * sizeof *s->stages);
    s->input = vit_arena_floats(arena, batch, (size_t)s->height * (size_t)s->width, 3);
    if (c->resnet.stem_width) {
        const vit_map_sizes sizes = vit_measure_maps(s);
        s->maps.main = vit_arena_floats(arena, sizes.main, 1, 1);
        s->maps.side = vit_arena_floats(arena, sizes.side, 1, 1);
        s->maps.wide = vit_arena_floats(arena, sizes.wide, 1, 1);
        s->maps.narrow = vit_arena_floats(arena, sizes.narrow, 1, 1);
    }
    if (c->pos_kind == VIT_POS_RELATIVE)
        s->positions = vit_arena_floats(arena, 2 * (size_t)s->tokens - 1, (size_t)(c->width / c->heads), 1);
    else if (c->pos_kind != VIT_POS_NONE)
        s->positions = vit_arena_floats(arena, (size_t)s->tokens, width, 1);
    if (c->network == VIT_NETWORK_VIT) {
        s->x = vit_arena_floats(arena, lanes, widest(c), 1);
        s->normed = vit_arena_floats(arena, lanes, widest(c), 1);
        s->wide = vit_arena_floats(arena, wide_floats(s, lanes), 1, 1);
    }
    s->scratch = vit_arena_floats(arena, (size_t)threads, s->thread_scratch, 1);
    if (s->masked)
        s->hidden_patches = vit_arena_take(arena, vit_size_mul(batch, (size_t)s->patches));
    if (s->masked && c->decoder.width)
        s->decoder_positions = vit_arena_floats(arena, (size_t)s->tokens, (size_t)c->decoder.width, 1);
    s->pooled = vit_arena_floats(arena, image_lanes, (size_t)vit_pooled_width(c), 1);
    s->features = vit_arena_floats(arena, batch, max3((size_t)vit_pooled_width(c), (size_t)vit_feature_width(c), 0), 1);
    if (c->pool == VIT_POOL_MAP) {
        s->map.query = vit_arena_floats(arena, width, r, 1);
        s->map.attention = vit_arena_floats(arena, batch, (size_t)c->heads, (size_t)s->patches);
        s->map.mixed = vit_arena_floats(arena, image_lanes, width, 1);
        s->map.hidden = vit_arena_floats(arena, image_lanes, (size_t)c->mlp_width, 1);
    }
    if (c->pre_logits || c->projection)
        s->hidden = vit_arena_floats(arena, image_lanes, (size_t)vit_feature_width(c), 1);
    if (c->head_dist)
        s->pooled_dist = vit_arena_floats(arena, image_lanes, width, 1);
    if (c->head_dist && classes)
        s->dist_logits = vit_arena_floats(arena, batch, classes, 1);
    if (classes) {
        s->scores = vit_arena_floats(arena, image_lanes, classes, 1);
        s->logits = vit_arena_floats(arena, batch, classes, 1);
    }
    if (s->int8 && c->network == VIT_NETWORK_VIT)
        take_quantized(s, lanes);
    if (vit_session_has_choice(s))
        s->trial = vit_arena_take(arena, vit_trial_bytes());
    if (capture)
        s->attention = vit_arena_floats(arena, vit_size_mul(batch, (size_t)c->heads), (size_t)s->tokens, (size_t)s->tokens);
}

uint64_t vit_session_bytes(const vit_model *model, const vit_session_options *options) {
    vit_session s;
    if (plan(&s, model, options, NULL) != VIT_OK)
        return 0;
    s.stage_count = vit_stages_make(&s, NULL);
    take_buffers(&s, options && options->threads ? options->threads : 1, options && options->capture_attention);
    return s.arena.used == SIZE_MAX ? 0 : s.arena.used + sizeof s;
}

double vit_model_flops(const vit_model *model, int height, int width) {
    vit_session s;
    const vit_session_options options = {.height = height, .width = width};
    if (plan(&s, model, &options, NULL) != VIT_OK)
        return 0;
    vit_stages_make(&s, NULL);
    return s.flops;
}

static vit_status allocate(vit_session *s, const vit_session_options *options, vit_error *error) {
    int capture = options && options->capture_attention;
    VIT_TRY(vit_team_open(&s->team, options ? option(options->threads, 1) : 1, &s->allocator, error));
    int threads = vit_team_threads(s->team);
    s->pace = vit_pace_make(threads, vit_block_count(&s->model->config));
    s->stage_count = vit_stages_make(s, NULL);
    take_buffers(s, threads, capture);
    VIT_TRY(vit_arena_commit(&s->arena, &s->allocator, "the session", error));
    memset(s->arena.base, 0, s->arena.size); /* lanes without a token or an image stay finite */
    take_buffers(s, threads, capture);
    vit_stages_make(s, s->stages);
    return VIT_OK;
}

vit_status vit_session_open(vit_session **out, const vit_model *model, const vit_session_options *options,
                            vit_error *error) {
    *out = NULL;
    vit_session planned, *s;
    VIT_TRY(plan(&planned, model, options, error));
    VIT_TRY(vit_alloc_for((void **)&s, &planned.allocator, sizeof *s, "the session", error));
    *s = planned;
    vit_status status = allocate(s, options, error);
    if (status != VIT_OK) {
        vit_session_close(s);
        return status;
    }
    *out = s;
    return VIT_OK;
}

void vit_session_close(vit_session *s) {
    if (!s)
        return;
    vit_allocator allocator = s->allocator;
    vit_team_close(s->team);
    vit_arena_release(&s->arena, &allocator);
    vit_release(&allocator, s);
}

/* ---- Running ---- */

float *vit_session_input(vit_session *s, int index) {
    return index >= 0 && index < s->batch ? s->input + (size_t)index * s->height * s->width * 3 : NULL;
}

void vit_session_restart(vit_session *s) {
    s->next = 0;
}

int vit_session_advance(vit_session *s) {
    if (s->next >= s->stage_count)
        return 0;
    vit_stage *stage = &s->stages[s->next];
    if (stage->slots > s->model->ready_slots)
        return -1;
    if (s->next++ == 0 && vit_team_complete(s->team))
        vit_pace_begin(&s->pace);
    s->threads = vit_pace_threads(&s->pace, stage->layer);
    vit_team_limit(s->team, s->threads);
    double begin = vit_now_ms();
    stage->run(s, stage->index);
    stage->milliseconds = vit_now_ms() - begin;
    vit_pace_note(&s->pace, stage->layer, stage->milliseconds);
    if (s->next == s->stage_count)
        vit_pace_end(&s->pace);
    return s->next < s->stage_count;
}

vit_status vit_session_run(vit_session *s, vit_error *error) {
    int more = 1;
    vit_session_restart(s);
    while (more > 0)
        more = vit_session_advance(s);
    if (more < 0)
        return vit_fail(error, VIT_ERR_ARGUMENT, "stage %s: its weights have not arrived", s->stages[s->next].name);
    return VIT_OK;
}

const float *vit_session_logits(const vit_session *s, int index) {
    return s->logits && index >= 0 && index < s->batch ? s->logits + (size_t)index * s->model->config.classes : NULL;
}

/* ---- Looking inside ---- */

int vit_session_stage_count(const vit_session *s) {
    return s->stage_count;
}

vit_stage_info vit_session_stage(const vit_session *s, int index) {
    if (index < 0 || index >= s->stage_count)
        return (vit_stage_info){.name = ""};
    const vit_stage *stage = &s->stages[index];
    const vit_view *view = &stage->view;
    vit_stage_info info = {.name = stage->name, .milliseconds = stage->milliseconds, .flops = stage->flops};
    switch (view->kind) {
    case VIT_VIEW_NONE:
        break;
    case VIT_VIEW_TOKENS:
        info.rank = 3;
        memcpy(info.shape, (int[]){s->batch, view->count, view->channels}, 3 * sizeof(int));
        break;
    case VIT_VIEW_MAP:
        info.rank = 4;
        memcpy(info.shape, (int[]){s->batch, view->count, view->first, view->channels}, 4 * sizeof(int));
        break;
    case VIT_VIEW_ATTENTION:
        info.rank = 4;
        memcpy(info.shape, (int[]){s->batch, s->model->config.heads, view->count, view->channels}, 4 * sizeof(int));
        break;
    case VIT_VIEW_TABLE:
        info.rank = 3;
        memcpy(info.shape, (int[]){1, view->count, view->channels}, 3 * sizeof(int));
        break;
    case VIT_VIEW_ROWS:
        info.rank = 2;
        memcpy(info.shape, (int[]){s->batch, view->channels}, 2 * sizeof(int));
        break;
    }
    return info;
}

/* Panels -> [B,count,channels]. */
static void unpack_tokens(const vit_session *s, const vit_view *view, float *out) {
    const int r = s->kernels->panel, channels = view->channels, is_map = view->kind == VIT_VIEW_MAP;
    const int end = is_map ? view->first * view->count : view->first + view->count;
    for (int image = 0; image < s->batch; image++)
        for (int t = is_map ? 0 : view->first; t < end; t++) {
            const size_t panel = (size_t)image * (size_t)((end + r - 1) / r) + (size_t)(t / r);
            const float *lane = view->data + panel * (size_t)channels * (size_t)r + t % r;
            for (int i = 0; i < channels; i++)
                *out++ = lane[(size_t)i * r];
        }
}

vit_status vit_session_read(const vit_session *s, float *out, vit_error *error) {
    const vit_stage *stage = s->next ? &s->stages[s->next - 1] : NULL;
    if (!stage || stage->view.kind == VIT_VIEW_NONE)
        return vit_fail(error, VIT_ERR_ARGUMENT, "stage %s: has no result to read", stage ? stage->name : "(none)");
    const vit_stage_info info = vit_session_stage(s, s->next - 1);
    size_t count = 1;
    for (int i = 0; i < info.rank; i++)
        count *= (size_t)info.shape[i];
    if (stage->view.kind == VIT_VIEW_TOKENS || stage->view.kind == VIT_VIEW_MAP)
        unpack_tokens(s, &stage->view, out);
    else
        memcpy(out, stage->view.data, count * sizeof *out);
    return VIT_OK;
}

vit_session_info vit_session_get_info(const vit_session *s) {
    return (vit_session_info){.height = s->height,
                              .width = s->width,
                              .grid_height = s->rows,
                              .grid_width = s->columns,
                              .tokens = s->prefix + s->patches,
                              .batch = s->batch,
                              .threads = vit_team_threads(s->team),
                              .kernels = s->kernels_name,
                              .bytes = s->arena.size + sizeof *s};
}
