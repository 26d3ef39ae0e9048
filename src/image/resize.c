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
    case VIT_FILTER_HAMMING: return a == 0 ? 1 : a >= 1 ? 0 : sinc(a) * (0.54 + 0.46 * cos(PI * a));
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

/* Rows come out in order, so only the narrowed rows that the current one needs are held, in a ring. */
static void resize_rows(const uint8_t *rgb, int width, const axis *h, const axis *v, int columns, int rows, uint8_t *ring,
                        int32_t *sums, uint8_t *out, size_t stride) {
    size_t length = 3 * (size_t)columns, ring_rows = (size_t)v->most;
    int ready = rows ? v->begin[0] : 0; /* source rows before this one are narrowed, or not needed */
    for (int y = 0; y < rows; y++) {
        int begin = v->begin[y], end = begin + v->count[y];
        for (ready = ready < begin ? begin : ready; ready < end; ready++)
            resize_row(rgb + 3 * (size_t)width * (size_t)ready, h, columns, ring + (size_t)ready % ring_rows * length);
        for (size_t i = 0; i < length; i++)
            sums[i] = 1 << (PRECISION - 1);
        const int32_t *weights = v->weights + (size_t)y * (size_t)v->most;
        for (int row = begin; row < end; row++)
            add_row(sums, ring + (size_t)row % ring_rows * length, weights[row - begin], length);
        for (size_t i = 0; i < length; i++)
            out[(size_t)y * stride + i] = clip(sums[i]);
    }
}

vit_status vit_resize_u8_window(const uint8_t *rgb, int width, int height, vit_filter filter,
                                const vit_resize_window *window, uint8_t *out, size_t stride,
                                const vit_allocator *allocator, vit_error *error) {
    const vit_resize_window *w = window;
    if (width < 1 || height < 1 || w->width < 1 || w->height < 1 || w->left < 0 || w->top < 0 || w->columns < 1 ||
        w->rows < 1 || w->columns > w->width - w->left || w->rows > w->height - w->top ||
        (unsigned)filter >= VIT_FILTER_TF_BILINEAR)
        return vit_fail(error, VIT_ERR_ARGUMENT, "resize: %d x %d to %d x %d with filter %d is not possible", width, height,
                        w->width, w->height, (int)filter);
    axis h = {.most = axis_taps(width, w->width, filter)}, v = {.most = axis_taps(height, w->height, filter)};
    size_t length = vit_size_mul(3, (size_t)w->columns);
    uint8_t *ring = NULL;
    int32_t *sums = NULL;
    double *row = NULL;
    vit_arena arena = {0};
    for (int pass = 0; pass < 2; pass++) { /* measures, then takes */
        axis_take(&h, &arena, w->columns);
        axis_take(&v, &arena, w->rows);
        ring = vit_arena_take(&arena, vit_size_mul(length, (size_t)v.most));
        sums = vit_arena_take(&arena, vit_size_mul(length, sizeof *sums));
        row = vit_arena_take(&arena, vit_size_mul((size_t)(h.most > v.most ? h.most : v.most), sizeof *row));
        if (pass == 0)
            VIT_TRY(vit_arena_commit(&arena, allocator, "resizing a picture", error));
    }
    axis_fill(&h, width, w->width, filter, w->left, w->columns, row);
    axis_fill(&v, height, w->height, filter, w->top, w->rows, row);
    resize_rows(rgb, width, &h, &v, w->columns, w->rows, ring, sums, out, stride);
    vit_arena_release(&arena, allocator);
    return VIT_OK;
}

vit_status vit_resize_u8(const uint8_t *rgb, int width, int height, vit_filter filter, int out_width, int out_height,
                         uint8_t *out, const vit_allocator *allocator, vit_error *error) {
    vit_resize_window all = {out_width, out_height, 0, 0, out_width, out_height};
    return vit_resize_u8_window(rgb, width, height, filter, &all, out, 3 * (size_t)(out_width > 0 ? out_width : 0), allocator,
                                error);
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
