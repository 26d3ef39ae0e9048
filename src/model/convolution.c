/* Convolutions are GEMMs: a block of panels of windows is laid out as columns in a thread's scratch memory and met by all
 * rows of the weights while it is in the caches. A convolution of single pixels meets the map itself. */
#include "convolution.h"

#include <math.h>
#include <string.h>

#define MOST_LANES 16
#define MOST_TAPS 49       /* pixels of a window: 7 x 7 */
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

/* Panels of windows that are a block: an even number, for tiles of two. */
static int block_panels(const vit_kernels *kernels, const vit_windows *w, int channels) {
    const int depth = least(depth_of(w, channels), BLOCK_DEPTH);
    const int fit = BLOCK_BYTES / (depth * kernels->panel * (int)sizeof(float)) / 2 * 2;
    return least(fit, vit_map_panels(kernels, w->out_height, w->out_width));
}

size_t vit_convolution_scratch(const vit_kernels *kernels, const vit_windows *w, int channels) {
    if (is_direct(w))
        return 0;
    return (size_t)block_panels(kernels, w, channels) * (size_t)depth_of(w, channels) * (size_t)kernels->panel;
}

/* ---- Columns: [channels, taps] of a panel of windows, in the order of the weights ---- */

/* Where the pixel of one tap is in each window of a panel. */
typedef struct tap {
    uint32_t missing;        /* lanes whose pixel is outside the map */
    ptrdiff_t at[MOST_LANES]; /* of its first channel; of missing ones, of some other pixel */
} tap;

/* Returns how many taps. Lanes past the last window get what the map has where it would be, or miss it. */
static int find_taps(const vit_windows *w, int channels, int is_input, int panel, int r, tap *taps) {
    int count = 0, row[MOST_LANES], column[MOST_LANES];
    for (int lane = 0; lane < r; lane++) {
        const int window = panel * r + lane;
        row[lane] = window / w->out_width * w->stride - w->top;
        column[lane] = window % w->out_width * w->stride - w->left;
    }
    for (int y = 0; y < w->size; y++)
        for (int x = 0; x < w->size; x++) {
            tap *t = &taps[count++];
            t->missing = 0;
            for (int lane = 0; lane < r; lane++) {
                const int inside = (unsigned)(row[lane] + y) < (unsigned)w->height &&
                                   (unsigned)(column[lane] + x) < (unsigned)w->width;
                const int pixel = inside ? (row[lane] + y) * w->width + column[lane] + x : 0;
                t->missing |= (uint32_t)!inside << lane;
                t->at[lane] = is_input ? (ptrdiff_t)pixel * channels : (ptrdiff_t)(pixel / r) * channels * r + pixel % r;
            }
        }
    return count;
}

static void clear_lanes(float *out, uint32_t lanes) {
    for (; lanes; lanes &= lanes - 1)
        out[__builtin_ctz(lanes)] = 0;
}

/* Pixel by pixel. step: floats from one channel to the next. */
static void gather(const float *x, const tap *taps, int count, int channels, int step, int r, float *out) {
    for (int c = 0; c < channels; c++, x += step)
        for (int i = 0; i < count; i++, out += r) {
            for (int lane = 0; lane < r; lane++)
                out[lane] = x[taps[i].at[lane]];
            clear_lanes(out, taps[i].missing);
        }
}

/* Windows at every pixel: a tap's pixels are neighbours, in one panel of the map and the next. */
static void shift(const float *x, const vit_windows *w, const tap *taps, int count, int channels, int panel, int r,
                  float *out) {
    const int panels = divide_up(w->height * w->width, r);
    ptrdiff_t first[MOST_TAPS], second[MOST_TAPS]; /* where the first lane is, and lane 0 of the next panel */
    int split[MOST_TAPS];                          /* lanes that are in the next panel */
    for (int i = 0; i < count; i++) {
        const int pixel = panel * r + (i / w->size - w->top) * w->width + i % w->size - w->left + w->size * panels * r;
        const int p = pixel / r - w->size * panels; /* may be before the map or past it: those lanes are missing */
        split[i] = pixel % r;
        first[i] = (ptrdiff_t)(p < 0 ? 0 : p < panels ? p : panels - 1) * channels * r + split[i];
        second[i] = (ptrdiff_t)(p + 1 < 0 ? 0 : p + 1 < panels ? p + 1 : panels - 1) * channels * r;
    }
    /* Whole vectors: what the first copy reads of the channel after, the second overwrites; what that writes past its own
     * end, the next tap's first does. */
    for (int c = 0; c < channels - 1; c++, x += r)
        for (int i = 0; i < count; i++, out += r) {
            for (int l = 0; l < r; l += 8)
                memcpy(out + l, x + first[i] + l, 8 * sizeof *out);
            for (int l = 0; l < r && split[i]; l += 8)
                memcpy(out + r - split[i] + l, x + second[i] + l, 8 * sizeof *out);
            clear_lanes(out, taps[i].missing);
        }
    for (int i = 0; i < count; i++, out += r) {
        memcpy(out, x + first[i], (size_t)(r - split[i]) * sizeof *out);
        memcpy(out + r - split[i], x + second[i], (size_t)split[i] * sizeof *out);
        clear_lanes(out, taps[i].missing);
    }
}

/* ---- The product ---- */

struct convolve_job {
    const vit_session *session;
    const vit_convolution *c;
    const float *x;
    float *y;
    int panels, block, blocks; /* of an image's windows; panels of a block */
    int part, parts;           /* outputs of a part of the weights */
};

/* Work items: image, block of panels, part of the outputs. */
static void convolve_items(void *context, int begin, int end, int thread) {
    const struct convolve_job *job = context;
    const vit_session *s = job->session;
    const vit_convolution *c = job->c;
    const vit_windows *w = &c->windows;
    const int r = s->kernels->panel, depth = depth_of(w, c->channels);
    const size_t map = (size_t)(c->is_input ? w->height * w->width : vit_map_panels(s->kernels, w->height, w->width) * r) *
                       (size_t)c->channels;
    float *columns = s->scratch + (size_t)thread * s->thread_scratch;
    for (int item = begin; item < end; item++) {
        const int part = item % job->parts * job->part, image = item / job->parts / job->blocks;
        const int first = item / job->parts % job->blocks * job->block, panels = least(job->block, job->panels - first);
        const float *x = job->x + (size_t)image * map;
        if (!is_direct(w) && (item == begin || part == 0))
            for (int p = 0; p < panels; p++) {
                tap taps[MOST_TAPS];
                const int count = find_taps(w, c->channels, c->is_input, first + p, r, taps);
                float *out = columns + (size_t)p * (size_t)depth * (size_t)r;
                if (c->is_input || w->stride > 1)
                    gather(x, taps, count, c->channels, c->is_input ? 1 : r, r, out);
                else
                    shift(x, w, taps, count, c->channels, first + p, r, out);
            }
        const vit_gemm g = {.w = c->weight,
                            .x = is_direct(w) ? x + (size_t)first * (size_t)depth * (size_t)r : columns,
                            .y = job->y + (size_t)(image * job->panels + first) * (size_t)c->outputs * (size_t)r,
                            .x_stride = (ptrdiff_t)depth * r,
                            .y_stride = (ptrdiff_t)c->outputs * r,
                            .n = c->outputs,
                            .k = depth,
                            .panels = panels,
                            .tokens = least(panels * r, w->out_height * w->out_width - first * r),
                            .ahead = 4 * s->kernels->row_step,
                            .epilogue = c->epilogue};
        s->kernels->gemm_nt(&g, part, least(part + job->part, c->outputs));
    }
}

void vit_convolve(vit_session *s, const vit_convolution *c, const float *x, float *y) {
    const vit_windows *w = &c->windows;
    struct convolve_job job = {s, c, x, y, vit_map_panels(s->kernels, w->out_height, w->out_width), 0, 0, c->outputs, 1};
    job.block = block_panels(s->kernels, w, c->channels);
    job.blocks = divide_up(job.panels, job.block);
    /* Each part lays out the columns anew: only where there would be too little for all threads to do. */
    if (s->threads > 1 && job.blocks * s->batch < 4 * s->threads) {
        const int tiles = divide_up(c->outputs, s->kernels->row_step), parts = 4 * s->threads;
        job.part = divide_up(tiles, parts) * s->kernels->row_step;
        job.parts = divide_up(c->outputs, job.part);
    }
    vit_team_run(s->team, s->batch * job.blocks * job.parts, 1, convolve_items, &job);
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

/* Work items: image, panel of windows. NaN passes. */
static void pool_panels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct pool_job *job = context;
    const vit_windows *w = job->windows;
    const int r = job->session->kernels->panel;
    for (int item = begin; item < end; item++) {
        tap taps[MOST_TAPS];
        const int panel = item % job->out_panels, left = w->out_height * w->out_width - panel * r;
        const int count = find_taps(w, job->channels, 0, panel, r, taps);
        const size_t image = (size_t)(item / job->out_panels) * (size_t)job->in_panels;
        const float *x = job->x + image * (size_t)job->channels * (size_t)r;
        float *y = job->y + (size_t)item * (size_t)job->channels * (size_t)r;
        for (int c = 0; c < job->channels; c++, x += r, y += r)
            for (int lane = 0; lane < r; lane++) {
                float most = lane < left ? -INFINITY : 0;
                for (int i = 0; i < count && lane < left; i++) {
                    const float value = taps[i].missing >> lane & 1 ? job->outside : x[taps[i].at[lane]];
                    most = value > most || value != value ? value : most;
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
    const size_t map = (size_t)divide_up(job->g->tokens, kernels->panel) * (size_t)job->g->channels * (size_t)kernels->panel;
    for (int item = begin; item < end; item++) {
        const size_t at = (size_t)(item / job->g->groups) * map;
        vit_group_norm g = *job->g;
        g.x += at;
        g.y += at;
        if (g.residual)
            g.residual += at;
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
