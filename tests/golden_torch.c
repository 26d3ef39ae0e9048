/* torchvision's resize of u8 tensors (bilinear, antialias), which transformers uses by default: like Pillow, but with
 * 16-bit weights whose precision is chosen by the largest of them. The product resizes as Pillow does; this is here to
 * tell that apart from an error. */
#include "golden.h"

#include <math.h>
#include <stdlib.h>

typedef struct torch_axis {
    int *begin, *count;
    int16_t *weights; /* [outputs][most] */
    int most, precision;
} torch_axis;

static torch_axis axis_open(int in, int out) {
    double scale = (double)in / out, stretch = scale > 1 ? scale : 1, largest = 0;
    torch_axis a = {.most = (int)ceil(stretch) * 2 + 1};
    size_t n = (size_t)out, taps = n * (size_t)a.most;
    double *weights = must_alloc(taps * sizeof *weights);
    a.begin = must_alloc(n * sizeof *a.begin);
    a.count = must_alloc(n * sizeof *a.count);
    a.weights = must_alloc(taps * sizeof *a.weights);
    for (int i = 0; i < out; i++) {
        double center = scale * (i + 0.5), sum = 0, *row = weights + (size_t)i * (size_t)a.most;
        int begin = (int)(center - stretch + 0.5), end = (int)(center + stretch + 0.5);
        begin = begin < 0 ? 0 : begin;
        end = end > in ? in : end;
        for (int j = begin; j < end; j++) {
            double distance = fabs((j - center + 0.5) / stretch);
            sum += row[j - begin] = distance < 1 ? 1 - distance : 0;
        }
        for (int j = 0; j < end - begin; j++) {
            row[j] /= sum;
            largest = row[j] > largest ? row[j] : largest;
        }
        a.begin[i] = begin;
        a.count[i] = end - begin;
    }
    while (a.precision < 22 && (int)(0.5 + largest * (1 << (a.precision + 1))) < 1 << 15)
        a.precision++;
    for (int i = 0; i < out; i++)
        for (int j = 0; j < a.count[i]; j++) {
            size_t at = (size_t)i * (size_t)a.most + (size_t)j;
            a.weights[at] = (int16_t)(0.5 + weights[at] * (1 << a.precision));
        }
    free(weights);
    return a;
}

/* count sums, `step` apart in and out, along an axis of samples that are `stride` apart. */
static void axis_apply(const torch_axis *a, const uint8_t *in, size_t stride, int out_length, uint8_t *out) {
    for (int i = 0; i < out_length; i++) {
        const int16_t *weights = a->weights + (size_t)i * (size_t)a->most;
        int sum = 1 << (a->precision - 1);
        for (int j = 0; j < a->count[i]; j++)
            sum += weights[j] * in[(size_t)(a->begin[i] + j) * stride];
        sum >>= a->precision;
        out[(size_t)i * stride] = sum < 0 ? 0 : sum > 255 ? 255 : (uint8_t)sum;
    }
}

static void axis_close(torch_axis *a) {
    free(a->begin);
    free(a->count);
    free(a->weights);
}

void torch_resize(const uint8_t *rgb, int width, int height, int out_width, int out_height, uint8_t *out) {
    torch_axis across = axis_open(width, out_width), down = axis_open(height, out_height);
    size_t row = 3 * (size_t)width, out_row = 3 * (size_t)out_width;
    uint8_t *narrowed = must_alloc((size_t)height * out_row);
    for (int y = 0; y < height; y++)
        for (size_t c = 0; c < 3; c++)
            axis_apply(&across, rgb + (size_t)y * row + c, 3, out_width, narrowed + (size_t)y * out_row + c);
    for (size_t x = 0; x < out_row; x++)
        axis_apply(&down, narrowed + x, out_row, out_height, out + x);
    free(narrowed);
    axis_close(&across);
    axis_close(&down);
}
