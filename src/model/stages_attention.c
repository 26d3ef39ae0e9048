/* Attention: softmax(q kT / sqrt(K)) v, in full, with relative positions, or along rows and columns. */
#include "stages.h"

#include <string.h>

float vit_softmax_scale(int head_width) {
    return 1.0f / __builtin_sqrtf((float)head_width);
}

/* Work items: image, head, panel. */
static void quantize_heads(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_session *s = context;
    const vit_trunk *t = &s->trunk;
    const int width = t->width / t->heads;
    const size_t r = (size_t)s->int8->panel, panel = vit_quantized_bytes(s, width);
    for (int item = begin; item < end; item++) {
        const int p = item % s->panels, head = item / s->panels % t->heads, image = item / s->panels / t->heads;
        const float *q =
            s->wide + ((size_t)(image * s->panels + p) * 3 * (size_t)t->width + (size_t)(head * width)) * r;
        const size_t at = (size_t)item;
        s->int8->quantize(q, width, (char *)s->quantized.q + at * panel, s->quantized.q_scale + at * r,
                          s->quantized.q_zero + at * r);
        s->int8->quantize_keys(q + (size_t)t->width * r, width, vit_softmax_scale(width),
                               (char *)s->quantized.k + at * panel, s->quantized.k_scale + at * r,
                               s->quantized.k_sum + at * r);
    }
}

static void score_int8(const vit_session *s, int image, int head, int query, int count, float *scores) {
    const vit_trunk *t = &s->trunk;
    const int width = t->width / t->heads, r = s->int8->panel;
    const size_t at = (size_t)(image * t->heads + head) * (size_t)s->panels, lanes = at * (size_t)r;
    const vit_int8_heads heads = {
        .q = (char *)s->quantized.q + at * vit_quantized_bytes(s, width),
        .k = (char *)s->quantized.k + at * vit_quantized_bytes(s, width),
        .q_scale = s->quantized.q_scale + lanes,
        .q_zero = s->quantized.q_zero + lanes,
        .k_scale = s->quantized.k_scale + lanes,
        .k_sum = s->quantized.k_sum + lanes,
        .tokens = s->tokens,
        .head_width = width,
    };
    for (int some; count > 0; count -= some, query += some, scores += (size_t)some * (size_t)(s->panels * r * r)) {
        some = count < s->int8->query_panels ? count : s->int8->query_panels;
        s->int8->score(&heads, query, some, scores);
    }
}

/* Products of a panel of queries with the table of distances are added to its scores: row q - k + T-1 for query q and
 * key k. room: [T + R - 1][R] floats. */
static void add_relative(const vit_session *s, const vit_attend *a, int head, int query, float *scores, float *room) {
    const int r = s->kernels->panel, first = query * r, queries = s->tokens - first < r ? s->tokens - first : r;
    const vit_gemm g = {.w = s->positions + (size_t)first * (size_t)a->head_width,
                        .x = a->qkv + query * a->qkv_stride + (ptrdiff_t)head * a->head_width * r,
                        .y = room,
                        .n = s->tokens + queries - 1,
                        .k = a->head_width,
                        .panels = 1};
    s->kernels->gemm_nt(&g, 0, g.n);
    for (int key = 0; key < s->tokens; key++)
        for (int lane = 0; lane < queries; lane++)
            scores[(size_t)key * r + lane] += a->scale * room[(size_t)(lane - key + s->tokens - 1) * r + lane];
}

static vit_attend attend_image(const vit_session *s, int image) {
    const vit_trunk *t = &s->trunk;
    const int r = s->kernels->panel;
    return (vit_attend){
        .qkv = s->wide + (size_t)image * s->panels * 3 * t->width * r,
        .out = s->normed + (size_t)image * s->panels * t->width * r,
        .qkv_stride = (ptrdiff_t)3 * t->width * r,
        .out_stride = (ptrdiff_t)t->width * r,
        .tokens = s->tokens,
        .heads = t->heads,
        .head_width = t->width / t->heads,
        .scale = vit_softmax_scale(t->width / t->heads),
        .capture = s->attention && t->blocks == s->model->weights.blocks
                       ? s->attention + (size_t)image * t->heads * s->tokens * s->tokens
                       : NULL,
    };
}

/* Work items: image, head, group of query panels. */
static void attend_items(void *context, int begin, int end, int thread) {
    vit_session *s = context;
    const vit_trunk *t = &s->trunk;
    const int step = s->kernels->query_panels, groups = (s->panels + step - 1) / step;
    const size_t panel = (size_t)s->panels * s->kernels->panel * s->kernels->panel;
    for (int item = begin; item < end; item++) {
        const int query = item % groups * step, head = item / groups % t->heads, image = item / groups / t->heads;
        const int count = s->panels - query < step ? s->panels - query : step;
        const vit_attend job = attend_image(s, image);
        float *scores = s->scratch + (size_t)thread * s->thread_scratch;
        if (s->int8)
            score_int8(s, image, head, query, count, scores);
        else
            s->kernels->score(&job, head, query, count, scores);
        for (int p = 0; p < count && s->model->config.pos_kind == VIT_POS_RELATIVE; p++)
            add_relative(s, &job, head, query + p, scores + p * panel, scores + step * panel);
        s->kernels->mix(&job, head, query, count, scores);
    }
}

/* ---- Axial attention (appendix D.6): within rows or columns, and with the tokens before the patches ---- */

/* One head of the tokens of a line, gathered: panels of 3K and of K channels. */
typedef struct line {
    int tokens, panels; /* those before the patches, then the line's patches */
    int first, step;    /* the patches' places among the image's tokens */
    float *qkv, *out, *scores, *capture;
} line;

/* Its memory is a thread's scratch: scores are of two panels of queries, which every table can do with. */
static line take_line(const vit_session *s, int column, int at, int capture, vit_arena *arena) {
    const vit_config *c = &s->model->config;
    const size_t r = (size_t)s->kernels->panel, width = (size_t)(c->width / c->heads);
    line l = {.tokens = s->prefix + (column ? s->rows : s->columns),
              .first = s->prefix + (column ? at : at * s->columns),
              .step = column ? s->columns : 1};
    l.panels = (l.tokens + (int)r - 1) / (int)r;
    const size_t lanes = (size_t)l.panels * r;
    l.qkv = vit_arena_take(arena, vit_size_mul(lanes, 3 * width * sizeof(float)));
    l.out = vit_arena_take(arena, vit_size_mul(lanes, width * sizeof(float)));
    l.scores = vit_arena_take(arena, vit_size_mul(lanes, 2 * r * sizeof(float)));
    if (capture)
        l.capture = vit_arena_take(arena, vit_size_mul((size_t)l.tokens * sizeof(float), (size_t)l.tokens));
    return l;
}

/* The image's token that is the line's i-th. */
static int line_token(const vit_session *s, const line *l, int i) {
    return i < s->prefix ? i : l->first + (i - s->prefix) * l->step;
}

static void gather(const vit_session *s, const vit_attend *a, int head, const line *l) {
    const int r = s->kernels->panel, width = a->head_width;
    memset(l->qkv, 0, (size_t)l->panels * 3 * (size_t)(width * r) * sizeof(float));
    for (int i = 0; i < l->tokens; i++) {
        const int token = line_token(s, l, i);
        const float *from = a->qkv + token / r * a->qkv_stride + (ptrdiff_t)head * width * r + token % r;
        float *to = l->qkv + (size_t)(i / r * 3 * width * r) + i % r;
        for (int part = 0; part < 3; part++, from += (ptrdiff_t)a->heads * width * r)
            for (int d = 0; d < width; d++, to += r)
                *to = from[(ptrdiff_t)d * r];
    }
}

/* The outputs of the line's patches, and their rows of the captured probabilities. */
static void scatter(const vit_session *s, const vit_attend *a, int head, const line *l) {
    const int r = s->kernels->panel, width = a->head_width;
    for (int i = s->prefix; i < l->tokens; i++) {
        const int token = line_token(s, l, i);
        const float *from = l->out + (size_t)(i / r * width * r) + i % r;
        float *to = a->out + token / r * a->out_stride + (ptrdiff_t)head * width * r + token % r;
        for (int d = 0; d < width; d++)
            to[(ptrdiff_t)d * r] = from[(ptrdiff_t)d * r];
        if (!a->capture)
            continue;
        float *row = a->capture + ((size_t)head * (size_t)s->tokens + (size_t)token) * (size_t)s->tokens;
        memset(row, 0, (size_t)s->tokens * sizeof *row);
        for (int k = 0; k < l->tokens; k++)
            row[line_token(s, l, k)] = l->capture[(size_t)i * (size_t)l->tokens + (size_t)k];
    }
}

static void attend(const vit_session *s, const vit_attend *a, int head, int panels, float *scores) {
    for (int query = 0, count; query < panels; query += count) {
        count = panels - query < s->kernels->query_panels ? panels - query : s->kernels->query_panels;
        s->kernels->score(a, head, query, count, scores);
        s->kernels->mix(a, head, query, count, scores);
    }
}

struct axial_job {
    vit_session *session;
    int column; /* 1: attention within columns */
};

/* Work items: image, head. Tokens before the patches attend to all. */
static void attend_lines(void *context, int begin, int end, int thread) {
    const struct axial_job *job = context;
    const vit_session *s = job->session;
    const vit_trunk *t = &s->trunk;
    float *scratch = s->scratch + (size_t)thread * s->thread_scratch;
    for (int item = begin; item < end; item++) {
        const int head = item % t->heads, r = s->kernels->panel;
        const vit_attend a = attend_image(s, item / t->heads);
        attend(s, &a, head, (s->prefix + r - 1) / r, scratch);
        for (int at = 0; at < (job->column ? s->columns : s->rows); at++) {
            vit_arena arena = {.base = (unsigned char *)scratch, .size = SIZE_MAX};
            const line l = take_line(s, job->column, at, a.capture != NULL, &arena);
            const vit_attend b = {.qkv = l.qkv,
                                  .out = l.out,
                                  .qkv_stride = (ptrdiff_t)3 * a.head_width * r,
                                  .out_stride = (ptrdiff_t)a.head_width * r,
                                  .tokens = l.tokens,
                                  .heads = 1,
                                  .head_width = a.head_width,
                                  .scale = a.scale,
                                  .capture = l.capture};
            gather(s, &a, head, &l);
            attend(s, &b, 0, l.panels, l.scores);
            scatter(s, &a, head, &l);
        }
    }
}

/* ---- */

size_t vit_attention_scratch(const vit_session *s, int capture) {
    const size_t r = (size_t)s->kernels->panel, panel = vit_size_mul((size_t)s->panels, r * r);
    size_t floats = vit_size_mul(panel, 2);
    if (s->model->config.pos_kind == VIT_POS_RELATIVE)
        floats = vit_size_add(floats, panel + r * r);
    for (int column = 0; column < 2 && s->model->config.axial; column++) {
        vit_arena arena = {0};
        take_line(s, column, 0, capture, &arena);
        floats = arena.used / sizeof(float) > floats ? arena.used / sizeof(float) : floats;
    }
    return floats;
}

void vit_run_attention(vit_session *s, int layer) {
    const int heads = s->batch * s->trunk.heads, step = s->kernels->query_panels;
    if (s->model->config.axial) {
        struct axial_job job = {s, layer % 2};
        vit_team_run(s->team, heads, 1, attend_lines, &job);
        return;
    }
    if (s->int8)
        vit_team_run(s->team, heads * s->panels, 8, quantize_heads, s);
    vit_team_run(s->team, heads * ((s->panels + step - 1) / step), 1, attend_items, s);
}
