/* Attention of one head of one image, forward and backward, by the three products of linear layers: keys and values are
 * rows [T,K] and stand where weights stand, queries are panels. With S = q kT, P = softmax(scale S), o = P v, and
 * gradients do of o:
 *     dv = PT do     dP = do vT     dS = scale P (dP - sum(P dP))     dq = dS k     dk = dST q
 * Scores are [keys][R] for a few panels of queries at a time, and are computed again for the gradients: nothing is
 * T x T. */
#include "trainer.h"

#include <math.h>
#include <string.h>

#define GROUP 4 /* panels of queries at a time */

enum { Q, K, V }; /* parts of qkv, D channels each */

/* A thread's memory, and whose turn it is. */
typedef struct head {
    const vit_trainer *t;
    int image, index;
    int width;                      /* K */
    int panels;                     /* of the image's queries */
    float scale;
    float *q, *k, *v, *o;           /* rows [T,K]; o: output, or its gradient */
    float *dq, *dk, *dv;            /* rows */
    float *q_panels, *o_panels;     /* [panels][K][R] */
    float *p, *dp;                  /* [GROUP][T][R] */
    float *group;                   /* [GROUP][K][R] */
    const float *rel;               /* relative positions [2T-1,K], row (query - key) + T-1; NULL: none */
    float *drel, *room;             /* of this head's; [T + R - 1][R] */
} head;

static float *take(float **at, size_t count) {
    float *piece = *at;
    *at += (count + 15) / 16 * 16;
    return piece;
}

static head head_of(const vit_trainer *t, int item, float *scratch, size_t *floats) {
    const vit_config *c = &t->model->config;
    const size_t r = (size_t)t->kernels->panel;
    head h = {.t = t, .image = item / c->heads, .index = item % c->heads, .width = c->width / c->heads};
    const size_t rows = (size_t)t->tokens * (size_t)h.width;
    float *at = scratch;
    h.panels = (t->tokens + (int)r - 1) / (int)r;
    h.scale = 1 / sqrtf((float)h.width);
    float **of_rows[] = {&h.q, &h.k, &h.v, &h.o, &h.dq, &h.dk, &h.dv};
    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        *of_rows[i] = take(&at, rows);
    h.q_panels = take(&at, (size_t)h.panels * (size_t)h.width * r);
    h.o_panels = take(&at, (size_t)h.panels * (size_t)h.width * r);
    h.p = take(&at, GROUP * (size_t)t->tokens * r);
    h.dp = take(&at, GROUP * (size_t)t->tokens * r);
    h.group = take(&at, GROUP * (size_t)h.width * r);
    h.room = take(&at, ((size_t)t->tokens + r - 1) * r);
    *floats = (size_t)(at - scratch);
    return h;
}

size_t vit_train_attention_scratch(const vit_trainer *t) {
    size_t floats;
    float none;
    head_of(t, 0, &none, &floats);
    return floats;
}

/* The image's tokens of this head's channels in panels of `parts` times D channels. */
static vit_transfer tokens_of(const head *h, const float *panels, int parts, int part, float *rows) {
    const int r = h->t->kernels->panel, width = h->t->model->config.width, lane = h->image * h->t->tokens;
    return (vit_transfer){
        .panels = vit_panel(h->t, (float *)panels, parts * width, lane / r) + (part * width + h->index * h->width) * r,
        .stride = (ptrdiff_t)parts * width * r,
        .rows = rows,
        .row_stride = h->width,
        .first = lane % r,
        .tokens = h->t->tokens,
        .channels = h->width,
    };
}

static void read_rows(const head *h, const float *panels, int parts, int part, float *rows) {
    const vit_transfer t = tokens_of(h, panels, parts, part, rows);
    h->t->train->to_rows(&t);
}

static void write_rows(const head *h, float *rows, int parts, int part, float *panels) {
    const vit_transfer t = tokens_of(h, panels, parts, part, rows);
    h->t->train->to_panels(&t);
}

/* Rows from token `first` on, as panels that begin with it; or the other way. */
static vit_transfer aligned(const head *h, float *rows, int first, int tokens, float *panels) {
    return (vit_transfer){
        .panels = panels,
        .stride = (ptrdiff_t)h->width * h->t->kernels->panel,
        .rows = rows + (ptrdiff_t)first * h->width,
        .row_stride = h->width,
        .tokens = tokens,
        .channels = h->width,
    };
}

static void make_panels(const head *h, float *rows, float *panels) {
    const vit_transfer t = aligned(h, rows, 0, h->t->tokens, panels);
    h->t->train->to_panels(&t);
}

/* Tokens that `count` panels from `panel` on hold. */
static int tokens_in(const head *h, int panel, int count) {
    const int r = h->t->kernels->panel, left = h->t->tokens - panel * r;
    return left < count * r ? left : count * r;
}

static int group_at(const head *h, int panel) {
    return h->panels - panel < GROUP ? h->panels - panel : GROUP;
}

/* ---- Relative positions: a query meets T rows of the table, neighbouring queries' begin one apart ---- */

/* Row of the table that a panel's scores begin with, and how many. */
static vit_gemm distances_of(const head *h, int panel) {
    const ptrdiff_t r = h->t->kernels->panel;
    return (vit_gemm){.w = h->rel + panel * r * h->width, .n = h->t->tokens + tokens_in(h, panel, 1) - 1, .k = h->width,
                      .panels = 1};
}

/* Of the scores' part of key and lane, where its distance is in the room. */
static float *at_distance(const head *h, int key, int lane) {
    const int r = h->t->kernels->panel;
    return h->room + (ptrdiff_t)(lane - key + h->t->tokens - 1) * r + lane;
}

static void add_distances(const head *h, int panel, float *scores) {
    const vit_trainer *t = h->t;
    const int r = t->kernels->panel, queries = tokens_in(h, panel, 1);
    vit_gemm g = distances_of(h, panel);
    g.x = vit_panel(t, h->q_panels, h->width, panel);
    g.y = h->room;
    t->kernels->gemm_nt(&g, 0, g.n);
    for (int key = 0; key < t->tokens; key++)
        for (int lane = 0; lane < queries; lane++)
            scores[key * r + lane] += *at_distance(h, key, lane);
}

/* drel += dsT q, and dq [K][R] += ds rel. */
static void distances_backward(const head *h, int panel, const float *ds, float *dq) {
    const vit_trainer *t = h->t;
    const ptrdiff_t r = t->kernels->panel;
    const int queries = tokens_in(h, panel, 1);
    vit_gemm g = distances_of(h, panel);
    memset(h->room, 0, (size_t)g.n * (size_t)r * sizeof *h->room);
    for (int key = 0; key < t->tokens; key++)
        for (int lane = 0; lane < queries; lane++)
            *at_distance(h, key, lane) = ds[key * r + lane];
    const vit_gemm_tn product = {.dy = h->room, .x = vit_panel(t, h->q_panels, h->width, panel),
                                 .dw = h->drel + panel * r * h->width, .dy_stride = g.n * r, .x_stride = h->width * r,
                                 .n = g.n, .k = h->width, .tokens = queries};
    t->train->gemm_tn(&product, 0, h->width);
    g.x = h->room;
    g.y = dq;
    g.epilogue = VIT_EPILOGUE_ADD;
    t->train->gemm_nn(&g, 0, h->width);
}

/* Attention of one layer. */
struct heads_job {
    const vit_trainer *trainer;
    const vit_kept *kept;
    const float *rel; /* its table of distances, or NULL */
};

static struct heads_job heads_of(const vit_trainer *t, int layer) {
    return (struct heads_job){t, &t->kept[layer], t->model->weights.blocks[layer].rel_embed};
}

/* The gradient of a layer's table: heads and images add up in their order. */
static void sum_distances(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct heads_job *job = context;
    const vit_trainer *t = job->trainer;
    float *gradient = vit_gradient(t, job->rel);
    const vit_config *c = &t->model->config;
    const size_t width = (size_t)(c->width / c->heads), count = (2 * (size_t)t->tokens - 1) * width;
    for (int head = 0; head < t->options.batch * c->heads; head++)
        for (size_t i = (size_t)begin * width; i < (size_t)end * width; i++)
            gradient[i] += t->distances[(size_t)head * count + i];
}

/* ---- One head ---- */

/* p = softmax(scale q kT) for `count` panels of queries. */
static void probabilities(const head *h, int panel, int count) {
    const vit_trainer *t = h->t;
    vit_train_linear(t, vit_panel(t, h->q_panels, h->width, panel), h->width, h->k, NULL, h->width, t->tokens, count,
               VIT_EPILOGUE_STORE, h->p);
    for (int i = 0; i < count; i++) {
        if (h->rel)
            add_distances(h, panel + i, vit_panel(t, h->p, t->tokens, i));
        t->train->softmax(vit_panel(t, h->p, t->tokens, i), t->tokens, h->scale);
    }
}

/* rows of these queries = weights rows_of_keys, where weights [keys][R] are of the group. */
static void mix(const head *h, float *weights, const float *rows_of_keys, int panel, int count, int is_gradient,
                float *rows) {
    const vit_trainer *t = h->t;
    vit_train_linear_backward(t, weights, rows_of_keys, h->width, t->tokens, count, h->width, h->group);
    for (int i = 0; i < count && h->rel && is_gradient; i++)
        distances_backward(h, panel + i, vit_panel(t, weights, t->tokens, i), vit_panel(t, h->group, h->width, i));
    const vit_transfer back =
        aligned(h, rows, panel * t->kernels->panel, tokens_in(h, panel, count), h->group);
    t->train->to_rows(&back);
}

static void forward_heads(void *context, int begin, int end, int thread) {
    const struct heads_job *job = context;
    const vit_trainer *t = job->trainer;
    const vit_kept *kept = job->kept;
    size_t floats;
    for (int item = begin; item < end; item++) {
        head h = head_of(t, item, vit_scratch(t, thread), &floats);
        h.rel = job->rel;
        read_rows(&h, kept->qkv, 3, Q, h.q);
        read_rows(&h, kept->qkv, 3, K, h.k);
        read_rows(&h, kept->qkv, 3, V, h.v);
        make_panels(&h, h.q, h.q_panels);
        for (int panel = 0, count; panel < h.panels; panel += count) {
            count = group_at(&h, panel);
            probabilities(&h, panel, count);
            mix(&h, h.p, h.v, panel, count, 0, h.o);
        }
        write_rows(&h, h.o, 1, 0, kept->mixed);
    }
}

/* dw [T,K] += weightsT x over the group's queries. */
static void gather(const head *h, const float *weights, const float *x, int panel, int count, float *dw) {
    const vit_trainer *t = h->t;
    const ptrdiff_t r = t->kernels->panel;
    const vit_gemm_tn g = {.dy = weights, .x = vit_panel(t, (float *)x, h->width, panel), .dw = dw,
                           .dy_stride = t->tokens * r, .x_stride = h->width * r, .n = t->tokens, .k = h->width,
                           .tokens = tokens_in(h, panel, count)};
    t->train->gemm_tn(&g, 0, h->width);
}

static void backward_heads(void *context, int begin, int end, int thread) {
    const struct heads_job *job = context;
    const vit_trainer *t = job->trainer;
    const vit_kept *kept = job->kept;
    size_t floats;
    for (int item = begin; item < end; item++) {
        head h = head_of(t, item, vit_scratch(t, thread), &floats);
        h.rel = job->rel;
        if (h.rel) {
            const size_t count = (2 * (size_t)t->tokens - 1) * (size_t)h.width;
            h.drel = t->distances + (size_t)item * count;
            memset(h.drel, 0, count * sizeof *h.drel);
        }
        read_rows(&h, kept->qkv, 3, Q, h.q);
        read_rows(&h, kept->qkv, 3, K, h.k);
        read_rows(&h, kept->qkv, 3, V, h.v);
        read_rows(&h, t->dmixed, 1, 0, h.o);
        make_panels(&h, h.q, h.q_panels);
        make_panels(&h, h.o, h.o_panels);
        memset(h.dk, 0, (size_t)t->tokens * (size_t)h.width * sizeof *h.dk);
        memset(h.dv, 0, (size_t)t->tokens * (size_t)h.width * sizeof *h.dv);
        for (int panel = 0, count; panel < h.panels; panel += count) {
            count = group_at(&h, panel);
            probabilities(&h, panel, count);
            gather(&h, h.p, h.o_panels, panel, count, h.dv);
            vit_train_linear(t, vit_panel(t, h.o_panels, h.width, panel), h.width, h.v, NULL, h.width, t->tokens, count,
                       VIT_EPILOGUE_STORE, h.dp);
            for (int i = 0; i < count; i++)
                t->train->softmax_backward(vit_panel(t, h.p, t->tokens, i), vit_panel(t, h.dp, t->tokens, i), t->tokens,
                                           h.scale);
            gather(&h, h.dp, h.q_panels, panel, count, h.dk);
            mix(&h, h.dp, h.k, panel, count, 1, h.dq);
        }
        write_rows(&h, h.dq, 3, Q, t->dqkv);
        write_rows(&h, h.dk, 3, K, t->dqkv);
        write_rows(&h, h.dv, 3, V, t->dqkv);
    }
}

void vit_train_attention_forward(vit_trainer *t, int layer) {
    struct heads_job job = heads_of(t, layer);
    vit_team_run(t->team, t->options.batch * t->model->config.heads, 1, forward_heads, &job);
}

void vit_train_attention_backward(vit_trainer *t, int layer) {
    struct heads_job job = heads_of(t, layer);
    vit_team_run(t->team, t->options.batch * t->model->config.heads, 1, backward_heads, &job);
    if (job.rel)
        vit_team_run(t->team, 2 * t->tokens - 1, 8, sum_distances, &job);
}
