#include "image.h"

#include <math.h>
#include <string.h>

/* ---- Filters, as Pillow defines them ---- */

#define PI 3.14159265358979323846

enum { PRECISION = 22 };

static double sinc(double x) {
    return x == 0 ? 1 : sin(PI * x) / (PI * x);
}

static double filter_support(vit_filter filter) {
    switch (filter) {
    case VIT_FILTER_BOX: return 0.5;
    case VIT_FILTER_BICUBIC: return 2;
    case VIT_FILTER_LANCZOS: return 3;
    default: return 1;
    }
}

static double filter_value(vit_filter filter, double x) {
    double a = fabs(x);
    switch (filter) {
    case VIT_FILTER_BOX: return x > -0.5 && x <= 0.5 ? 1 : 0;
    case VIT_FILTER_HAMMING: return a == 0 ? 1 : a >= 1 ? 0 : sinc(a) * (0.54f + 0.46f * cos(PI * a));
    case VIT_FILTER_BICUBIC: /* a = -0.5 */
        return a < 1 ? ((-0.5 + 2) * a - (-0.5 + 3)) * a * a + 1 : a < 2 ? (((a - 5) * a + 8) * a - 4) * -0.5 : 0;
    case VIT_FILTER_LANCZOS: return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    default: return a < 1 ? 1 - a : 0;
    }
}

/* ---- One axis: which source pixels make an output pixel ---- */

typedef struct axis {
    int *begin, *count;
    int32_t *weights; /* [outputs][most] */
    int most;         /* taps of any output */
} axis;

/* Taps of an output pixel, at most. */
static int axis_taps(int in, int out, vit_filter filter) {
    if (in == out || filter == VIT_FILTER_NEAREST)
        return 1;
    double scale = (double)in / out, taps = ceil(filter_support(filter) * (scale > 1 ? scale : 1)) * 2 + 1;
    return taps < in ? (int)taps : in;
}

static void axis_take(axis *a, vit_arena *arena, int outputs) {
    size_t n = (size_t)outputs;
    a->begin = vit_arena_take(arena, vit_size_mul(n, sizeof *a->begin));
    a->count = vit_arena_take(arena, vit_size_mul(n, sizeof *a->count));
    a->weights = vit_arena_take(arena, vit_size_mul(vit_size_mul(n, (size_t)a->most), sizeof *a->weights));
}

/* One pixel for each output: copies, since a weight of one is exact. */
static void axis_copies(axis *a, int in, int out, int first, int outputs) {
    double step = (double)in / out, position = step * 0.5; /* added up, not multiplied, as Pillow does */
    for (int i = 0; i < first + outputs; i++, position += step) {
        if (i < first)
            continue;
        int source = in == out ? i : (int)position;
        a->begin[i - first] = source < in ? source : in - 1;
        a->count[i - first] = 1;
        a->weights[i - first] = 1 << PRECISION;
    }
}

/* Outputs first..first+outputs of an axis of `in` pixels resized to `out`. row: room for `most` doubles. */
static void axis_fill(axis *a, int in, int out, vit_filter filter, int first, int outputs, double *row) {
    if (in == out || filter == VIT_FILTER_NEAREST) {
        axis_copies(a, in, out, first, outputs);
        return;
    }
    double scale = (double)in / out, stretch = scale > 1 ? scale : 1, inverse = 1.0 / stretch;
    double support = filter_support(filter) * stretch;
    for (int i = 0; i < outputs; i++) {
        double center = (first + i + 0.5) * scale, sum = 0;
        int begin = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > in ? in : end;
        for (int j = 0; j < end - begin; j++)
            sum += row[j] = filter_value(filter, (j + begin - center + 0.5) * inverse);
        int32_t *weights = a->weights + (size_t)i * (size_t)a->most;
        for (int j = 0; j < end - begin; j++) {
            double weight = sum != 0 ? row[j] / sum : row[j];
            weights[j] = (int32_t)(weight * (1 << PRECISION) + (weight < 0 ? -0.5 : 0.5));
        }
        a->begin[i] = begin;
        a->count[i] = end - begin;
    }
}

/* ---- The two passes ---- */

static uint8_t clip(int32_t sum) {
    int32_t value = sum >> PRECISION;
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* in [.,3] -> out [columns,3] */
static void resize_row(const uint8_t *in, const axis *a, int columns, uint8_t *out) {
    for (int x = 0; x < columns; x++) {
        const int32_t *weights = a->weights + (size_t)x * (size_t)a->most;
        const uint8_t *p = in + 3 * (size_t)a->begin[x];
        int32_t r = 1 << (PRECISION - 1), g = r, b = r;
        for (int i = 0, n = a->count[x]; i < n; i++, p += 3) {
            r += weights[i] * p[0];
            g += weights[i] * p[1];
            b += weights[i] * p[2];
        }
        out[3 * x] = clip(r);
        out[3 * x + 1] = clip(g);
        out[3 * x + 2] = clip(b);
    }
}

static void add_row(int32_t *restrict sums, const uint8_t *restrict row, int32_t weight, size_t length) {
    for (size_t i = 0; i < length; i++)
        sums[i] += weight * row[i];
}

/* Weighted sum of the rows of output y: those of `in`, `stride` bytes apart, counted from row 0 modulo `ring_rows`. */
static void resize_column(const uint8_t *in, size_t stride, size_t ring_rows, const axis *a, int y, int32_t *sums,
                          size_t length, uint8_t *out) {
    const int32_t *weights = a->weights + (size_t)y * (size_t)a->most;
    for (size_t i = 0; i < length; i++)
        sums[i] = 1 << (PRECISION - 1);
    for (int i = 0; i < a->count[y]; i++)
        add_row(sums, in + ((size_t)a->begin[y] + (size_t)i) % ring_rows * stride, weights[i], length);
    for (size_t i = 0; i < length; i++)
        out[i] = clip(sums[i]);
}

typedef struct passes {
    const uint8_t *rgb;
    int width, height, columns, rows; /* of the picture, of what is made */
    axis across, down;
    uint8_t *between; /* what the second pass reads: some rows, not all of them */
    int32_t *sums;
    uint8_t *out;
    size_t stride;
} passes;

/* Rows come out in order, so only the narrowed rows that the current one needs are held, in a ring. */
static void across_then_down(const passes *p) {
    size_t length = 3 * (size_t)p->columns, ring_rows = (size_t)p->down.most;
    int ready = 0; /* source rows before this one are narrowed, or not needed */
    for (int y = 0; y < p->rows; y++) {
        int begin = p->down.begin[y], end = begin + p->down.count[y];
        for (ready = ready < begin ? begin : ready; ready < end; ready++)
            resize_row(p->rgb + 3 * (size_t)p->width * (size_t)ready, &p->across, p->columns,
                       p->between + (size_t)ready % ring_rows * length);
        resize_column(p->between, length, ring_rows, &p->down, y, p->sums, length, p->out + (size_t)y * p->stride);
    }
}

/* Of each row, what lies between the first and the last source pixel that the window needs. */
static void down_then_across(const passes *p) {
    int last = p->columns - 1, first = p->across.begin[0], end = p->across.begin[last] + p->across.count[last];
    size_t row = 3 * (size_t)p->width;
    for (int x = 0; x < p->columns; x++)
        p->across.begin[x] -= first;
    for (int y = 0; y < p->rows; y++) {
        resize_column(p->rgb + 3 * (size_t)first, row, (size_t)p->height, &p->down, y, p->sums,
                      3 * (size_t)(end - first), p->between);
        resize_row(p->between, &p->across, p->columns, p->out + (size_t)y * p->stride);
    }
}

/* Pillow 13 narrows the height first where that spares more; older ones never did. The u8 in between show it. */
static int down_first(int width, int height, const vit_resize_window *w) {
    int64_t removed_rows = (int64_t)height - w->height, removed_columns = (int64_t)width - w->width;
    return removed_rows > 0 && removed_rows > 2 * removed_columns;
}

vit_status vit_resize_u8_window(const uint8_t *rgb, int width, int height, vit_filter filter,
                                const vit_resize_window *window, uint8_t *out, size_t stride,
                                const vit_allocator *allocator, vit_error *error) {
    const vit_resize_window *w = window;
    if (width < 1 || height < 1 || w->width < 1 || w->height < 1 || w->left < 0 || w->top < 0 || w->columns < 1 ||
        w->rows < 1 || w->columns > w->width - w->left || w->rows > w->height - w->top ||
        (unsigned)filter >= VIT_FILTER_TF_BILINEAR)
        return vit_fail(error, VIT_ERR_ARGUMENT, "resize: %d x %d to %d x %d with filter %d is not possible", width,
                        height, w->width, w->height, (int)filter);
    passes p = {.rgb = rgb, .width = width, .height = height, .columns = w->columns, .rows = w->rows, .out = out,
                .stride = stride};
    p.across.most = axis_taps(width, w->width, filter);
    p.down.most = axis_taps(height, w->height, filter);
    int is_down_first = down_first(width, height, w);
    size_t length = vit_size_mul(3, (size_t)(is_down_first ? width : w->columns));
    size_t taps = (size_t)(p.across.most > p.down.most ? p.across.most : p.down.most);
    double *weights = NULL;
    vit_arena arena = {0};
    for (int pass = 0; pass < 2; pass++) { /* measures, then takes */
        axis_take(&p.across, &arena, w->columns);
        axis_take(&p.down, &arena, w->rows);
        p.between = vit_arena_take(&arena, vit_size_mul(length, is_down_first ? 1 : (size_t)p.down.most));
        p.sums = vit_arena_take(&arena, vit_size_mul(length, sizeof *p.sums));
        weights = vit_arena_take(&arena, vit_size_mul(taps, sizeof *weights));
        if (pass == 0)
            VIT_TRY(vit_arena_commit(&arena, allocator, "resizing a picture", error));
    }
    axis_fill(&p.across, width, w->width, filter, w->left, w->columns, weights);
    axis_fill(&p.down, height, w->height, filter, w->top, w->rows, weights);
    if (is_down_first)
        down_then_across(&p);
    else
        across_then_down(&p);
    vit_arena_release(&arena, allocator);
    return VIT_OK;
}

vit_status vit_resize_u8(const uint8_t *rgb, int width, int height, vit_filter filter, int out_width, int out_height,
                         uint8_t *out, const vit_allocator *allocator, vit_error *error) {
    vit_resize_window all = {out_width, out_height, 0, 0, out_width, out_height};
    return vit_resize_u8_window(rgb, width, height, filter, &all, out, 3 * (size_t)(out_width > 0 ? out_width : 0),
                                allocator, error);
}

/* ---- TensorFlow ---- */

typedef struct tf_tap {
    size_t low, high;
    float part; /* of high */
} tf_tap;

static tf_tap tf_position(int index, int in, int out) {
    float position = ((float)index + 0.5f) * ((float)in / (float)out) - 0.5f, low = floorf(position);
    tf_tap tap = {0, 0, position - low};
    tap.low = low > 0 ? (size_t)low : 0;
    tap.high = low + 1 > 0 ? (size_t)(low + 1) : 0;
    tap.low = tap.low < (size_t)in ? tap.low : (size_t)in - 1;
    tap.high = tap.high < (size_t)in ? tap.high : (size_t)in - 1;
    return tap;
}

void vit_resize_tf_window(const uint8_t *rgb, int width, int height, const vit_resize_window *window, float *out,
                          size_t stride) {
    for (int y = 0; y < window->rows; y++) {
        tf_tap v = tf_position(window->top + y, height, window->height);
        const uint8_t *above = rgb + 3 * (size_t)width * v.low, *below = rgb + 3 * (size_t)width * v.high;
        for (int x = 0; x < window->columns; x++) {
            tf_tap h = tf_position(window->left + x, width, window->width);
            for (size_t c = 0; c < 3; c++) {
                float a0 = above[3 * h.low + c], a1 = above[3 * h.high + c], b0 = below[3 * h.low + c];
                float b1 = below[3 * h.high + c], top = a0 + (a1 - a0) * h.part, bottom = b0 + (b1 - b0) * h.part;
                out[(size_t)y * stride + 3 * (size_t)x + c] = top + (bottom - top) * v.part;
            }
        }
    }
}

void vit_resize_tf(const uint8_t *rgb, int width, int height, int out_width, int out_height, float *out) {
    vit_resize_window all = {out_width, out_height, 0, 0, out_width, out_height};
    vit_resize_tf_window(rgb, width, height, &all, out, 3 * (size_t)out_width);
}
