/* Convolutions are GEMMs: a block of panels of windows is laid out as columns in a thread's scratch memory and met by
 * all rows of the weights while it is in the caches. A convolution of single pixels meets the map itself. */
#include "convolution.h"

#include <math.h>
#include <string.h>

#define BLOCK_BYTES 262144 /* of the columns that a GEMM reads again and again */
#define BLOCK_DEPTH 768    /* of them, as many channels at a time as a GEMM takes */

static int divide_up(int a, int b) {
    return (a + b - 1) / b;
}

static int least(int a, int b) {
    return a < b ? a : b;
}

static int padding_before(int pixels, int windows, int size, int stride, int same) {
    const int total = (windows - 1) * stride + size - pixels;
    return !same ? (size - 1) / 2 : total > 0 ? total / 2 : 0;
}

vit_windows vit_windows_make(int height, int width, int size, int stride, int same) {
    const int rows = divide_up(height, stride), columns = divide_up(width, stride);
    return (vit_windows){height, width, rows, columns, size, stride, padding_before(height, rows, size, stride, same),
                         padding_before(width, columns, size, stride, same)};
}

int vit_map_panels(const vit_kernels *kernels, int height, int width) {
    return divide_up(height * width, kernels->panel);
}

/* Whether a window is its pixel. */
static int is_direct(const vit_windows *w) {
    return w->size == 1 && w->stride == 1;
}

static int depth_of(const vit_windows *w, int channels) {
    return channels * w->size * w->size;
}

/* Panels of windows that are a block, of so many: an even number, for tiles of two. */
static int block_panels(const vit_kernels *kernels, const vit_windows *w, int channels, int panels) {
    const int depth = least(depth_of(w, channels), BLOCK_DEPTH);
    const int fit = BLOCK_BYTES / (depth * kernels->panel * (int)sizeof(float)) / 2 * 2;
    return least(fit, panels);
}

size_t vit_convolution_scratch(const vit_kernels *kernels, const vit_windows *w, int channels, int batch) {
    if (is_direct(w))
        return 0;
    const int panels = vit_map_panels(kernels, w->out_height, w->out_width) * batch;
    return (size_t)block_panels(kernels, w, channels, panels) * (size_t)depth_of(w, channels) * (size_t)kernels->panel;
}

/* ---- Columns: [channels, taps] of a panel of windows, in the order of the weights ---- */

/* The first window of a panel that has not been done, and how many of the panel's lanes follow it in its row. */
typedef struct run {
    int lane, lanes, row, column;
} run;

static int next_run(const vit_windows *w, int panel, int r, run *run) {
    run->lane += run->lanes;
    const int window = panel * r + run->lane, left = w->out_height * w->out_width - window;
    if (run->lane >= r || left <= 0)
        return 0;
    run->row = window / w->out_width;
    run->column = window % w->out_width;
    run->lanes = least(r - run->lane, w->out_width - run->column);
    return 1;
}

/* Lanes [*begin,*end) of a run whose pixel in tap `x` is in the map, if row y of their windows is. */
static int run_inside(const vit_windows *w, const run *run, int y, int x, int *begin, int *end) {
    const int row = run->row * w->stride - w->top + y, column = run->column * w->stride - w->left + x;
    *begin = column < 0 ? least(run->lanes, divide_up(-column, w->stride)) : 0;
    *end = column < w->width ? least(run->lanes, (w->width - 1 - column) / w->stride + 1) : 0;
    if (row < 0 || row >= w->height || *end < *begin)
        *end = *begin;
    return row * w->width + column;
}

/* From pixels [H,W,C]. */
static void pixel_columns(const float *x, const vit_windows *w, int channels, int panel, int r, float *out) {
    memset(out, 0, (size_t)(depth_of(w, channels) * r) * sizeof *out);
    for (run run = {0}; next_run(w, panel, r, &run);)
        for (int tap = 0; tap < w->size * w->size; tap++) {
            int begin, end;
            const ptrdiff_t pixel = run_inside(w, &run, tap / w->size, tap % w->size, &begin, &end);
            for (int c = 0; c < channels; c++) {
                const float *from = x + (pixel + begin * w->stride) * channels + c;
                float *to = out + (c * w->size * w->size + tap) * r + run.lane;
                for (int lane = begin; lane < end; lane++, from += w->stride * channels)
                    to[lane] = *from;
            }
        }
}

int vit_find_places(const vit_windows *w, int channels, int panel, int r, vit_place *places) {
    const int count = w->size * w->size;
    for (int tap = 0; tap < count; tap++) {
        places[tap].missing = (uint32_t)((1ull << r) - 1);
        for (int lane = 0; lane < r; lane++)
            places[tap].at[lane] = 0;
    }
    for (run run = {0}; next_run(w, panel, r, &run);)
        for (int tap = 0; tap < count; tap++) {
            int begin, end;
            const int pixel = run_inside(w, &run, tap / w->size, tap % w->size, &begin, &end);
            const int inside = run.row * w->stride * w->width + run.column * w->stride;
            for (int lane = 0; lane < run.lanes; lane++) {
                const int is_inside = lane >= begin && lane < end;
                const int at = (is_inside ? pixel : inside) + lane * w->stride;
                places[tap].at[run.lane + lane] = (ptrdiff_t)(at / r) * channels * r + at % r;
                places[tap].missing ^= (uint32_t)is_inside << (run.lane + lane);
            }
        }
    return count;
}

/* Windows that are apart: pixel by pixel. Of some of the map's channels, from x on. */
static void apart_columns(const float *x, const vit_windows *w, int channels, int some, int panel, int r, float *out) {
    vit_place places[VIT_MOST_TAPS];
    const int count = vit_find_places(w, channels, panel, r, places);
    for (int c = 0; c < some; c++, x += r)
        for (int tap = 0; tap < count; tap++, out += r) {
            for (int lane = 0; lane < r; lane++)
                out[lane] = x[places[tap].at[lane]];
            for (uint32_t lanes = places[tap].missing; lanes; lanes &= lanes - 1)
                out[__builtin_ctz(lanes)] = 0;
        }
}

/* Windows at every pixel: a tap's pixels are neighbours. */
static void dense_columns(const vit_kernels *kernels, const float *x, const vit_windows *w, int channels, int some,
                          int panel, float *out) {
    vit_tap taps[VIT_MOST_TAPS];
    const int r = kernels->panel, panels = divide_up(w->height * w->width, r), count = w->size * w->size;
    for (int i = 0; i < count; i++)
        taps[i].missing = (uint32_t)((1ull << r) - 1);
    for (run run = {0}; next_run(w, panel, r, &run);)
        for (int i = 0; i < count; i++) {
            int begin, end;
            run_inside(w, &run, i / w->size, i % w->size, &begin, &end);
            taps[i].missing &= ~(uint32_t)(((1ull << (end - begin)) - 1) << (run.lane + begin));
        }
    for (int i = 0; i < count; i++) {
        const int ahead = w->size * panels; /* of the first panel, to stay positive */
        const int pixel = (panel + ahead) * r + (i / w->size - w->top) * w->width + i % w->size - w->left;
        const int p = pixel / r - ahead; /* may be before the map or past it: those lanes are missing */
        taps[i].split = pixel % r;
        taps[i].first = (ptrdiff_t)(p < 0 ? 0 : least(p, panels - 1)) * channels * r + taps[i].split;
        taps[i].second = (ptrdiff_t)(p < -1 ? 0 : least(p + 1, panels - 1)) * channels * r;
    }
    kernels->columns(x, taps, count, some, out);
}

void vit_make_columns(const vit_kernels *kernels, const vit_convolution *c, const float *x, int panel, int first,
                      int some, float *out) {
    const int r = kernels->panel;
    if (c->is_input)
        pixel_columns(x, &c->windows, c->channels, panel, r, out);
    else if (c->windows.stride > 1)
        apart_columns(x + first * r, &c->windows, c->channels, some, panel, r, out);
    else
        dense_columns(kernels, x + first * r, &c->windows, c->channels, some, panel, out);
}

/* ---- The product ---- */

struct convolve_job {
    const vit_session *session;
    const vit_convolution *c;
    const float *x;
    float *y;
    int panels, tokens;        /* of an image's windows; of all images' at once where no panel has pad lanes */
    int block, blocks;         /* panels of a block */
    int part, parts;           /* outputs of a part of the weights */
};

/* Work items: image, block of panels, part of the outputs. */
static void convolve_items(void *context, int begin, int end, int thread) {
    const struct convolve_job *job = context;
    const vit_session *s = job->session;
    const vit_convolution *c = job->c;
    const vit_windows *w = &c->windows;
    const int r = s->kernels->panel, depth = depth_of(w, c->channels);
    const int image_panels = vit_map_panels(s->kernels, w->out_height, w->out_width);
    const int lanes = c->is_input ? w->height * w->width : vit_map_panels(s->kernels, w->height, w->width) * r;
    const size_t map = (size_t)lanes * (size_t)c->channels;
    float *columns = s->scratch + (size_t)thread * s->thread_scratch;
    for (int item = begin; item < end; item++) {
        const int part = item % job->parts * job->part, row = item / job->parts / job->blocks;
        const int first = item / job->parts % job->blocks * job->block, panels = least(job->block, job->panels - first);
        const int from = row * job->panels + first;
        if (!is_direct(w) && (item == begin || part == 0))
            for (int p = 0; p < panels; p++)
                vit_make_columns(s->kernels, c, job->x + (size_t)((from + p) / image_panels) * map,
                                 (from + p) % image_panels, 0, c->channels,
                                 columns + (size_t)p * (size_t)depth * (size_t)r);
        const vit_gemm g = {.w = c->weight,
                            .x = is_direct(w) ? job->x + (size_t)from * (size_t)depth * (size_t)r : columns,
                            .y = job->y + (size_t)from * (size_t)c->outputs * (size_t)r,
                            .x_stride = (ptrdiff_t)depth * r,
                            .y_stride = (ptrdiff_t)c->outputs * r,
                            .n = c->outputs,
                            .k = depth,
                            .panels = panels,
                            .tokens = least(panels * r, job->tokens - first * r),
                            .ahead = 4 * s->kernels->row_step,
                            .epilogue = c->epilogue};
        s->kernels->gemm_nt(&g, part, least(part + job->part, c->outputs));
    }
}

void vit_convolve(vit_session *s, const vit_convolution *c, const float *x, float *y) {
    const vit_windows *w = &c->windows;
    struct convolve_job job = {.session = s, .c = c, .x = x, .y = y, .part = c->outputs, .parts = 1};
    const int windows = w->out_height * w->out_width, spans = windows % s->kernels->panel == 0;
    const int rows = spans ? 1 : s->batch;
    job.panels = vit_map_panels(s->kernels, w->out_height, w->out_width) * (spans ? s->batch : 1);
    job.tokens = windows * (spans ? s->batch : 1);
    job.block = block_panels(s->kernels, w, c->channels, job.panels);
    job.blocks = divide_up(job.panels, job.block);
    /* Each part lays out the columns anew: only where there would be too little for all threads to do. */
    if (s->threads > 1 && job.blocks * rows < 4 * s->threads) {
        const int tiles = divide_up(c->outputs, s->kernels->row_step), parts = 4 * s->threads;
        job.part = divide_up(tiles, parts) * s->kernels->row_step;
        job.parts = divide_up(c->outputs, job.part);
    }
    vit_team_run(s->team, rows * job.blocks * job.parts, 1, convolve_items, &job);
}

/* ---- Pooling ---- */

struct pool_job {
    const vit_session *session;
    const vit_windows *windows;
    int channels, in_panels, out_panels; /* of an image */
    float outside;
    const float *x;
    float *y;
};

/* Work items: image, panel of windows. */
static void pool_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct pool_job *job = context;
    const vit_windows *w = job->windows;
    const int r = job->session->kernels->panel;
    for (int item = begin; item < end; item++) {
        vit_place places[VIT_MOST_TAPS];
        const int panel = item % job->out_panels, windows = w->out_height * w->out_width - panel * r;
        const int count = vit_find_places(w, job->channels, panel, r, places);
        const size_t image = (size_t)(item / job->out_panels) * (size_t)job->in_panels;
        const float *x = job->x + image * (size_t)job->channels * (size_t)r;
        float *y = job->y + (size_t)item * (size_t)job->channels * (size_t)r, outside[VIT_MOST_LANES];
        uint32_t missing = 0;
        for (int i = 0; i < count; i++)
            missing |= places[i].missing;
        for (int lane = 0; lane < r; lane++)
            outside[lane] = lane >= windows ? 0 : missing >> lane & 1 ? job->outside : -INFINITY;
        for (int c = 0; c < job->channels; c++, x += r, y += r)
            for (int lane = 0; lane < r; lane++) {
                float most = outside[lane];
                for (int i = 0; i < count; i++) { /* a missing one is another that counts */
                    const float value = x[places[i].at[lane]];
                    most = most > value ? most : value;
                }
                y[lane] = most;
            }
    }
}

void vit_max_pool(vit_session *s, const vit_windows *w, int channels, float outside, const float *x, float *y) {
    struct pool_job job = {s, w, channels, vit_map_panels(s->kernels, w->height, w->width),
                           vit_map_panels(s->kernels, w->out_height, w->out_width), outside, x, y};
    vit_team_run(s->team, s->batch * job.out_panels, 4, pool_panels, &job);
}

void vit_average_pool(const vit_session *s, const float *x, int pixels, int channels, float *out, int stride) {
    const int r = s->kernels->panel;
    for (int c = 0; c < channels; c++) {
        double sum = 0;
        for (int i = 0; i < pixels; i++)
            sum += x[((size_t)(i / r) * (size_t)channels + (size_t)c) * (size_t)r + (size_t)(i % r)];
        out[(size_t)c * (size_t)stride] = (float)(sum / pixels);
    }
}

/* ---- Normalisation ---- */

struct group_job {
    const vit_session *session;
    const vit_group_norm *g;
};

/* Work items: image, group. */
static void normalize_groups(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct group_job *job = context;
    const vit_kernels *kernels = job->session->kernels;
    const size_t lanes = (size_t)divide_up(job->g->tokens, kernels->panel) * (size_t)kernels->panel;
    const size_t map = lanes * (size_t)job->g->channels;
    for (int item = begin; item < end; item++) {
        const size_t at = (size_t)(item / job->g->groups) * map;
        vit_group_norm g = *job->g;
        g.x += at;
        g.y += at;
        if (g.residual)
            g.residual += at;
        if (g.statistics)
            g.statistics += 2 * (size_t)(item / g.groups) * (size_t)g.groups;
        kernels->groupnorm(&g, item % g.groups, item % g.groups + 1);
    }
}

void vit_group_normalize(vit_session *s, const vit_group_norm *g) {
    struct group_job job = {s, g};
    vit_team_run(s->team, s->batch * g->groups, 1, normalize_groups, &job);
}

void vit_standardize(float *weight, size_t rows, size_t k, vit_standardization rule) {
    for (size_t row = 0; row < rows; row++, weight += k) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < k; i++)
            sum += weight[i];
        const double mean = sum / (double)k;
        for (size_t i = 0; i < k; i++)
            squares += (weight[i] - mean) * (weight[i] - mean);
        const double scale = 1 / (sqrt(squares / (double)k + rule.inside) + rule.outside);
        for (size_t i = 0; i < k; i++)
            weight[i] = (float)((weight[i] - mean) * scale);
    }
}

void vit_standardize_slot(const vit_model *model, const vit_slot *slot) {
    if (slot->is_kernel && !model->options.raw_weights)
        vit_standardize(slot->held.f32, (size_t)slot->shape[0], vit_slot_row(slot),
                        vit_resnet_rules_of(model->config.resnet.kind)->weights);
}
