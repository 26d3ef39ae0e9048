/* What a network predicts of hidden patches, as colours and as a picture. */
#include "../base/exponential.h"
#include "../model/session.h"
#include "../vit_tasks.h"

#include <math.h>
#include <string.h>

/* One image of a session whose last stage has run. A patch is cells of one colour each: those that are predicted, or
 * its pixels. */
typedef struct view {
    const vit_session *s;
    const vit_config *c;
    int image;
    int is_scores;
    int cell_rows, cell_columns; /* of a patch */
    int cell_height, cell_width; /* pixels */
    double *scales;              /* [T0,2] means and deviations of visible patches; NULL: nobody asks */
} view;

static vit_status look(view *v, const vit_session *s, int image, vit_error *error) {
    const vit_config *c = &s->model->config;
    const int cells = vit_color_cells(c);
    if (!s->masked || s->next < s->stage_count || image < 0 || image >= s->batch)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "predicted patches of image %d: expected a session opened with `masked`, of more images, that has run",
                        image);
    *v = (view){s, c, image, cells > 0, cells ? cells : c->patch_height, cells ? cells : c->patch_width, 1, 1, NULL};
    v->cell_height = c->patch_height / v->cell_rows;
    v->cell_width = c->patch_width / v->cell_columns;
    return VIT_OK;
}

static int is_hidden(const view *v, int patch) {
    return v->s->hidden_patches[(size_t)v->image * (size_t)v->s->patches + (size_t)patch];
}

/* To 0..255. */
static float clamp(double value) {
    return value > 0 ? value < 255 ? (float)value : 255 : 0;
}

/* Of 0..255. */
static float level(const view *v, float value, int channel) {
    const vit_preprocess *p = &v->c->preprocess;
    return (value * p->std[channel] + p->mean[channel]) * 255;
}

/* A pixel of a patch as the network is fed with it. */
static float input_at(const view *v, int patch, int y, int x, int channel) {
    const vit_session *s = v->s;
    const size_t row = (size_t)(patch / s->columns * v->c->patch_height + y),
                 column = (size_t)(patch % s->columns * v->c->patch_width + x);
    return s->input[(((size_t)v->image * (size_t)s->height + row) * (size_t)s->width + column) * 3 + (size_t)channel];
}

/* ---- Scores of colours ---- */

static float center(int label, int channel) {
    return 32 * (float)(label >> (6 - 3 * channel) & 7) + 15.5f;
}

/* Softmax of the scores of a cell: its mean colour; the likeliest one, and its probability. Returns the sum of
 * exponentials less the highest score, which goes to *top. */
static double read_scores(const view *v, int patch, int cell, float rgb[3], int *label, float *probability, float *top) {
    const int r = v->s->kernels->panel;
    const float *z = vit_token_lane(v->s, v->s->wide, v->image, v->s->prefix + patch, vit_prediction_values(v->c)) +
                     (ptrdiff_t)cell * VIT_COLORS * r;
    double sum = 0, mean[3] = {0};
    *label = 0;
    for (int k = 1; k < VIT_COLORS; k++)
        *label = z[k * r] > z[*label * r] ? k : *label;
    *top = z[*label * r];
    for (int k = 0; k < VIT_COLORS; k++) {
        const double e = vit_expf(z[k * r] - *top);
        sum += e;
        for (int channel = 0; channel < 3; channel++)
            mean[channel] += e * center(k, channel);
    }
    for (int channel = 0; channel < 3; channel++)
        rgb[channel] = clamp(mean[channel] / sum);
    *probability = (float)(1 / sum);
    return sum;
}

/* ---- Pixels ---- */

static float pixel_at(const view *v, int patch, int y, int x, int channel) {
    const int at = y * v->c->patch_width + x, pixels = v->c->patch_height * v->c->patch_width;
    const int value = v->c->decoder.kind == VIT_DECODER_SIMMIM ? channel * pixels + at : 3 * at + channel;
    return vit_token_lane(v->s, v->s->wide, v->image, v->s->prefix + patch,
                          vit_prediction_values(v->c))[(ptrdiff_t)value * v->s->kernels->panel];
}

/* Makes v->scales, which the caller releases, where predictions are of patches of mean 0 and variance 1. */
static vit_status find_scales(view *v, vit_error *error) {
    const int values = vit_patch_values(v->c), row = 3 * v->c->patch_width;
    if (!v->c->decoder.norm_pixels)
        return VIT_OK;
    VIT_TRY(vit_alloc_for((void **)&v->scales, &v->s->allocator, (size_t)v->s->patches * 2 * sizeof *v->scales,
                          "means of patches", error));
    for (int patch = 0; patch < v->s->patches; patch++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < values && !is_hidden(v, patch); i++) {
            const double value = input_at(v, patch, i / row, i % row / 3, i % 3);
            sum += value;
            squares += value * value;
        }
        const double mean = sum / values, variance = squares / values - mean * mean;
        v->scales[2 * patch] = mean;
        v->scales[2 * patch + 1] = sqrt(variance > 0 ? variance : 0);
    }
    return VIT_OK;
}

/* Mean and deviation of a hidden patch, of those of visible ones, weighted by distance^-6: its prediction says neither. */
static void guess_scale(const view *v, int patch, float *mean, float *deviation) {
    const int columns = v->s->columns;
    double weights = 0, means = 0, deviations = 0;
    for (int other = 0; other < v->s->patches; other++) {
        const double dy = other / columns - patch / columns, dx = other % columns - patch % columns,
                     squared = dy * dy + dx * dx, weight = 1 / (squared * squared * squared);
        if (is_hidden(v, other))
            continue;
        weights += weight;
        means += weight * v->scales[2 * other];
        deviations += weight * v->scales[2 * other + 1];
    }
    *mean = weights > 0 ? (float)(means / weights) : 0;
    *deviation = weights > 0 ? (float)(deviations / weights) : 1;
}

/* ---- Cells ---- */

/* Colours of a patch's cells, 0..255, [rows,columns,3] with `stride` floats from row to row; predicted ones of a hidden
 * patch. Returns the probability of the likeliest colours, on average; NaN where pixels are predicted. */
static float patch_cells(const view *v, int patch, float *out, size_t stride) {
    float mean = 0, deviation = 1, probability, top;
    double probabilities = 0;
    int label;
    const int hidden = is_hidden(v, patch), cells = v->cell_rows * v->cell_columns;
    if (hidden && v->c->decoder.norm_pixels)
        guess_scale(v, patch, &mean, &deviation);
    for (int cell = 0; cell < cells; cell++) {
        const int row = cell / v->cell_columns, column = cell % v->cell_columns;
        float *rgb = out + (size_t)row * stride + (size_t)column * 3;
        if (hidden && v->is_scores) {
            read_scores(v, patch, cell, rgb, &label, &probability, &top);
            probabilities += probability;
            continue;
        }
        for (int channel = 0; channel < 3; channel++) {
            double sum = 0;
            for (int i = 0; i < v->cell_height * v->cell_width && !hidden; i++)
                sum += input_at(v, patch, row * v->cell_height + i / v->cell_width,
                                column * v->cell_width + i % v->cell_width, channel);
            const double value = hidden ? (double)pixel_at(v, patch, row, column, channel) * deviation + mean
                                        : sum / (v->cell_height * v->cell_width);
            rgb[channel] = clamp(level(v, (float)value, channel));
        }
    }
    return !hidden ? 1 : v->is_scores ? (float)(probabilities / cells) : NAN;
}

vit_status vit_session_colors(const vit_session *s, int image, float *colors, int32_t *labels, float *probabilities,
                              vit_error *error) {
    const vit_allocator *allocator = &s->allocator;
    view v;
    float *cells;
    VIT_TRY(look(&v, s, image, error));
    const int count = v.cell_rows * v.cell_columns;
    VIT_TRY(vit_alloc_for((void **)&cells, allocator, (size_t)count * 3 * sizeof *cells, "colours of a patch", error));
    const vit_status status = find_scales(&v, error);
    for (int patch = 0; patch < s->patches && status == VIT_OK; patch++) {
        double mean[3] = {0};
        probabilities[patch] = patch_cells(&v, patch, cells, (size_t)v.cell_columns * 3);
        for (int i = 0; i < 3 * count; i++)
            mean[i % 3] += (double)cells[i] / count;
        for (int channel = 0; channel < 3; channel++)
            colors[3 * patch + channel] = (float)mean[channel];
        labels[patch] = vit_color_label(mean);
        if (v.is_scores && count == 1 && is_hidden(&v, patch)) {
            float top, rgb[3], probability;
            read_scores(&v, patch, 0, rgb, &labels[patch], &probability, &top);
        }
    }
    vit_release(allocator, v.scales);
    vit_release(allocator, cells);
    return status;
}

/* ---- Loss ---- */

static double cell_loss(const view *v, int patch, int cell) {
    const int row = cell / v->cell_columns * v->cell_height, column = cell % v->cell_columns * v->cell_width,
              count = v->cell_height * v->cell_width;
    int label = 0, best;
    float rgb[3], probability, top;
    for (int channel = 0; channel < 3; channel++) {
        int64_t sum = 0;
        for (int i = 0; i < count; i++)
            sum += (int64_t)(clamp(level(v, input_at(v, patch, row + i / v->cell_width, column + i % v->cell_width, channel),
                                         channel)) +
                             0.5f);
        label = 8 * label + (int)(sum / (32 * (int64_t)count));
    }
    const double rest = log(read_scores(v, patch, cell, rgb, &best, &probability, &top));
    const float *z = vit_token_lane(v->s, v->s->wide, v->image, v->s->prefix + patch, vit_prediction_values(v->c));
    return top + rest - z[(ptrdiff_t)(cell * VIT_COLORS + label) * v->s->kernels->panel];
}

vit_status vit_session_masked_loss(const vit_session *s, int image, double *loss, vit_error *error) {
    view v;
    double sum = 0;
    int64_t terms = 0;
    VIT_TRY(look(&v, s, image, error));
    VIT_TRY(find_scales(&v, error));
    const int cells = v.cell_rows * v.cell_columns;
    for (int patch = 0; patch < s->patches; patch++) {
        float mean = 0, deviation = 1;
        if (is_hidden(&v, patch) && v.c->decoder.norm_pixels)
            guess_scale(&v, patch, &mean, &deviation);
        for (int cell = 0; cell < cells && is_hidden(&v, patch); cell++)
            for (int channel = 0; channel < (v.is_scores ? 1 : 3); channel++, terms++) {
                const int y = cell / v.cell_columns, x = cell % v.cell_columns;
                const double difference = v.is_scores ? 0
                                                      : (double)pixel_at(&v, patch, y, x, channel) * deviation + mean -
                                                            input_at(&v, patch, y, x, channel);
                sum += v.is_scores ? cell_loss(&v, patch, cell) : difference * difference;
            }
    }
    vit_release(&s->allocator, v.scales);
    *loss = terms ? sum / (double)terms : 0;
    return VIT_OK;
}

/* ---- A picture ---- */

/* Cells of the whole grid. */
typedef struct raster {
    float *rgb; /* [rows,columns,3] */
    int rows, columns;
} raster;

static const float *raster_at(const raster *r, int row, int column) {
    row = row < 0 ? 0 : row < r->rows ? row : r->rows - 1;
    column = column < 0 ? 0 : column < r->columns ? column : r->columns - 1;
    return r->rgb + ((size_t)row * (size_t)r->columns + (size_t)column) * 3;
}

/* At y and x in cells; between the centres of cells where it is smooth. */
static void sample(const raster *r, double y, double x, int smooth, uint8_t *out) {
    const double top = floor(y - 0.5), left = floor(x - 0.5), down = smooth ? y - 0.5 - top : 0,
                 across = smooth ? x - 0.5 - left : 0;
    const int row = (int)(smooth ? top : floor(y)), column = (int)(smooth ? left : floor(x));
    for (int channel = 0; channel < 3; channel++) {
        const double above = (1 - across) * raster_at(r, row, column)[channel] + across * raster_at(r, row, column + 1)[channel],
                     below = (1 - across) * raster_at(r, row + 1, column)[channel] +
                             across * raster_at(r, row + 1, column + 1)[channel];
        out[channel] = (uint8_t)((1 - down) * above + down * below + 0.5);
    }
}

vit_status vit_session_fill(const vit_session *s, int image, int smooth, vit_image *picture, vit_error *error) {
    view v;
    raster r;
    VIT_TRY(look(&v, s, image, error));
    r.rows = s->rows * v.cell_rows;
    r.columns = s->columns * v.cell_columns;
    const size_t bytes = vit_size_mul(vit_size_mul((size_t)r.rows, (size_t)r.columns), 3 * sizeof *r.rgb);
    VIT_TRY(vit_alloc_for((void **)&r.rgb, &s->allocator, bytes, "the filling", error));
    const vit_status status = find_scales(&v, error);
    for (int patch = 0; patch < s->patches && status == VIT_OK; patch++) {
        const size_t row = (size_t)(patch / s->columns * v.cell_rows), column = (size_t)(patch % s->columns * v.cell_columns);
        patch_cells(&v, patch, r.rgb + (row * (size_t)r.columns + column) * 3, (size_t)r.columns * 3);
    }
    for (int y = 0; y < picture->height && status == VIT_OK; y++)
        for (int x = 0; x < picture->width; x++) {
            const double row = (y + 0.5) * s->height / picture->height / v.c->patch_height,
                         column = (x + 0.5) * s->width / picture->width / v.c->patch_width;
            if (row < s->rows && column < s->columns && is_hidden(&v, (int)row * s->columns + (int)column))
                sample(&r, row * v.cell_rows, column * v.cell_columns, smooth,
                       picture->rgb + ((size_t)y * (size_t)picture->width + (size_t)x) * 3);
        }
    vit_release(&s->allocator, v.scales);
    vit_release(&s->allocator, r.rgb);
    return status;
}
