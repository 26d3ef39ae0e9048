#include "posemb.h"

#include "model.h"

#include <math.h>
#include <string.h>

/* An axis of the grid: output i is a weighted sum of `count` rows (or columns) from begin[i] on. */
typedef struct axis {
    int *begin, *count;
    double *weights; /* [outputs][most] */
    int most;
} axis;

vit_interpolation vit_interpolation_of(vit_resample rule) {
    switch (rule) {
    case VIT_RESAMPLE_HF: return (vit_interpolation){.cubic = -0.75};
    case VIT_RESAMPLE_BILINEAR: return (vit_interpolation){0};
    case VIT_RESAMPLE_JAX: return (vit_interpolation){.corners = 1};
    default: return (vit_interpolation){.cubic = -0.5, .antialias = 1};
    }
}

/* Cubic convolution with parameter a; linear for a = 0. */
static double kernel(double x, double a) {
    x = fabs(x);
    if (a == 0)
        return x < 1 ? 1 - x : 0;
    return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double kernel_support(vit_interpolation how, int in, int out) {
    return (how.cubic != 0 ? 2 : 1) * (how.antialias && in > out ? (double)in / out : 1);
}

static int axis_taps(int in, int out, vit_interpolation how) {
    double taps = ceil(kernel_support(how, in, out)) * 2 + 1;
    return taps < in ? (int)taps : in;
}

static void fill_antialiased(axis *a, int i, int in, int out, double cubic, double support) {
    double stretch = in > out ? (double)in / out : 1, center = (i + 0.5) * in / out, sum = 0;
    int begin = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    begin = begin < 0 ? 0 : begin;
    end = end > in ? in : end;
    double *weights = a->weights + (size_t)i * (size_t)a->most;
    for (int j = begin; j < end; j++)
        sum += weights[j - begin] = kernel((j - center + 0.5) / stretch, cubic);
    for (int j = begin; j < end; j++)
        weights[j - begin] /= sum;
    a->begin[i] = begin;
    a->count[i] = end - begin;
}

/* The neighbours of a position (in cells) within `reach`; those outside the grid count for its edge. */
static void fill_interpolated(axis *a, int i, int in, double position, double cubic, int reach) {
    int low = (int)floor(position), first = low - reach + 1, last = low + reach;
    int end = last < in ? last : in - 1, begin = first < 0 ? 0 : first < end ? first : end;
    double *weights = a->weights + (size_t)i * (size_t)a->most;
    for (int j = begin; j <= end; j++)
        weights[j - begin] = 0;
    for (int j = first; j <= last; j++)
        weights[(j < begin ? begin : j > end ? end : j) - begin] += kernel(position - j, cubic);
    a->begin[i] = begin;
    a->count[i] = end - begin + 1;
}

static void axis_fill(axis *a, int in, int out, vit_interpolation how) {
    double support = kernel_support(how, in, out);
    for (int i = 0; i < out; i++) {
        double aligned = out > 1 ? (double)i * (in - 1) / (out - 1) : 0;
        if (how.antialias)
            fill_antialiased(a, i, in, out, how.cubic, support);
        else
            fill_interpolated(a, i, in, how.corners ? aligned : (i + 0.5) * in / out - 0.5, how.cubic, (int)support);
    }
}

static void axis_take(axis *a, vit_arena *arena, int outputs) {
    size_t n = (size_t)outputs;
    a->begin = vit_arena_take(arena, vit_size_mul(n, sizeof *a->begin));
    a->count = vit_arena_take(arena, vit_size_mul(n, sizeof *a->count));
    a->weights = vit_arena_take(arena, vit_size_mul(vit_size_mul(n, (size_t)a->most), sizeof *a->weights));
}

/* Sums `taps` rows of `width` floats, `stride` floats apart. sums: room for width doubles. */
static void weighted_sum(const float *in, size_t stride, const double *weights, int taps, int width, double *sums,
                         float *out) {
    for (int d = 0; d < width; d++)
        sums[d] = 0;
    for (int i = 0; i < taps; i++, in += stride)
        for (int d = 0; d < width; d++)
            sums[d] += weights[i] * in[d];
    for (int d = 0; d < width; d++)
        out[d] = (float)sums[d];
}

/* What lies in the room of an interpolation. */
typedef struct workspace {
    axis down, across;
    float *narrowed; /* [rows,out_columns,width] */
    double *sums;    /* [width] */
} workspace;

static workspace take_workspace(vit_arena *arena, int rows, int columns, int width, vit_interpolation how, int out_rows,
                                int out_columns) {
    workspace w = {.down.most = axis_taps(rows, out_rows, how), .across.most = axis_taps(columns, out_columns, how)};
    const size_t row = (size_t)width, narrowed = vit_size_mul(vit_size_mul(row, (size_t)out_columns), (size_t)rows);
    axis_take(&w.down, arena, out_rows);
    axis_take(&w.across, arena, out_columns);
    w.narrowed = vit_arena_take(arena, vit_size_mul(narrowed, sizeof *w.narrowed));
    w.sums = vit_arena_take(arena, vit_size_mul(row, sizeof *w.sums));
    return w;
}

size_t vit_posemb_bytes(int rows, int columns, int width, vit_interpolation how, int out_rows, int out_columns) {
    vit_arena arena = {0};
    take_workspace(&arena, rows, columns, width, how, out_rows, out_columns);
    return arena.used;
}

size_t vit_resample_bytes(const vit_config *c, int rows, int columns, int distances) {
    const vit_interpolation how = vit_interpolation_of(c->pos_resample);
    const int half = c->width / 2;
    if (c->pos_kind == VIT_POS_1D)
        return vit_posemb_bytes(vit_stored_rows(c), vit_stored_columns(c), c->width, how, rows, columns);
    if (c->pos_kind == VIT_POS_2D) {
        const size_t across = vit_posemb_bytes(1, vit_stored_columns(c), half, how, 1, columns),
                     down = vit_posemb_bytes(1, vit_stored_rows(c), half, how, 1, rows);
        return across > down ? across : down;
    }
    if (c->pos_kind == VIT_POS_RELATIVE)
        return vit_posemb_bytes(1, (int)vit_rel_rows(c), c->width / c->heads, how, 1, distances);
    return 0;
}

void vit_posemb_interpolate(const float *table, int rows, int columns, int width, vit_interpolation how, int out_rows,
                            int out_columns, float *out, void *room) {
    const size_t row = (size_t)width, narrowed_row = row * (size_t)out_columns;
    if (rows == out_rows && columns == out_columns) {
        memcpy(out, table, (size_t)rows * narrowed_row * sizeof *out);
        return;
    }
    vit_arena arena = {.base = room, .size = SIZE_MAX};
    workspace w = take_workspace(&arena, rows, columns, width, how, out_rows, out_columns);
    axis_fill(&w.down, rows, out_rows, how);
    axis_fill(&w.across, columns, out_columns, how);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < out_columns; x++)
            weighted_sum(table + ((size_t)y * (size_t)columns + (size_t)w.across.begin[x]) * row, row,
                         w.across.weights + (size_t)x * (size_t)w.across.most, w.across.count[x], width, w.sums,
                         w.narrowed + (size_t)y * narrowed_row + (size_t)x * row);
    for (int y = 0; y < out_rows; y++)
        for (int x = 0; x < out_columns; x++)
            weighted_sum(w.narrowed + (size_t)w.down.begin[y] * narrowed_row + (size_t)x * row, narrowed_row,
                         w.down.weights + (size_t)y * (size_t)w.down.most, w.down.count[y], width, w.sums,
                         out + (size_t)y * narrowed_row + (size_t)x * row);
}

/* ---- Sines and cosines ---- */

/* e^x for -10 <= x <= 0. */
static double exponential(double x) {
    double term = 1, sum = 1;
    for (int i = 1; i < 8; i++)
        sum += term *= x / 1024 / i;
    for (int i = 0; i < 10; i++)
        sum *= sum;
    return sum;
}

/* Channel k of each quarter: sin x, cos x, sin y, cos y of positions in steps of omega, 0 <= omega <= 1, by turning. */
static void sincos_channel(int rows, int columns, int width, double omega, float *out) {
    const int quarter = width / 4;
    double sine = 0, cosine = 0, term = 1, turned_sin = 0, turned_cos = 1;
    for (int i = 0; i < 24; term *= omega / ++i)
        *(i % 2 ? &sine : &cosine) += i % 4 < 2 ? term : -term;
    for (int at = 0; at < rows || at < columns; at++) {
        for (int row = 0; row < rows && at < columns; row++) {
            float *x = out + ((size_t)row * (size_t)columns + (size_t)at) * (size_t)width;
            x[0] = (float)turned_sin;
            x[quarter] = (float)turned_cos;
        }
        for (int column = 0; column < columns && at < rows; column++) {
            float *y = out + ((size_t)at * (size_t)columns + (size_t)column) * (size_t)width + 2 * quarter;
            y[0] = (float)turned_sin;
            y[quarter] = (float)turned_cos;
        }
        const double next = turned_sin * cosine + turned_cos * sine;
        turned_cos = turned_cos * cosine - turned_sin * sine;
        turned_sin = next;
    }
}

void vit_posemb_sincos(int rows, int columns, int width, float *out) {
    const int quarter = width / 4;
    for (int k = 0; k < quarter; k++)
        sincos_channel(rows, columns, width, quarter > 1 ? exponential(-9.210340371976184 * k / (quarter - 1)) : 1, out + k);
}
