/* What a network has learnt: figure 7 of the paper. */
#include "../model/session.h"
#include "../vit_tasks.h"
#include "linear_algebra.h"

#include <math.h>
#include <string.h>

/* ---- How far heads look ---- */

int vit_attention_distance(const vit_session *s, int image, int renormalize, double *out) {
    const vit_stage *stage = s->next ? &s->stages[s->next - 1] : NULL;
    const vit_config *c = &s->model->config;
    const int first = s->prefix, stride = vit_resnet_stride(&c->resnet);
    if (!stage || stage->view.kind != VIT_VIEW_ATTENTION || s->masked || image < 0 || image >= s->batch)
        return -1;
    const float *row = s->attention + (size_t)image * (size_t)c->heads * (size_t)s->tokens * (size_t)s->tokens;
    for (int head = 0; head < c->heads; head++) {
        double total = 0;
        for (int query = 0; query < s->tokens; query++, row += s->tokens) {
            double sum = 0, weights = 0;
            for (int key = 0; query >= first && key < s->patches; key++) {
                const double down = (key / s->columns - (query - first) / s->columns) * c->patch_height,
                             across = (key % s->columns - (query - first) % s->columns) * c->patch_width;
                sum += row[first + key] * sqrt(down * down + across * across) * stride;
                weights += row[first + key];
            }
            total += !renormalize ? sum : weights > 0 ? sum / weights : 0;
        }
        out[head] = total / s->patches;
    }
    return stage->layer;
}

/* ---- Position embeddings ---- */

/* Runs stages until the session has the positions of its input, or of its first layer. */
static vit_status make_positions(vit_session *s, vit_error *error) {
    const vit_pos_kind kind = s->model->config.pos_kind;
    if (!s->positions || kind == VIT_POS_NONE || kind == VIT_POS_RELATIVE)
        return vit_fail(error, VIT_ERR_ARGUMENT, "position embeddings: this model has none for each patch");
    if (!s->has_positions)
        vit_session_restart(s);
    for (int more = 1; !s->has_positions && (s->next == 0 || s->stages[s->next - 1].layer < 0);) {
        if (more <= 0)
            return vit_fail(error, VIT_ERR_ARGUMENT, "position embeddings: their weights have not arrived");
        more = vit_session_advance(s);
    }
    return VIT_OK;
}

vit_status vit_position_similarity(vit_session *s, int begin, int end, float *out, vit_error *error) {
    const size_t width = (size_t)s->model->config.width, count = (size_t)s->patches;
    double *unit;
    if (begin < 0 || begin > end || (size_t)end > count)
        return vit_fail(error, VIT_ERR_ARGUMENT, "position embeddings: patches %d to %d of %zu", begin, end, count);
    VIT_TRY(make_positions(s, error));
    const float *rows = s->positions + (size_t)s->prefix * width;
    VIT_TRY(vit_alloc_for((void **)&unit, &s->allocator, vit_size_mul(vit_size_mul(count, width), sizeof *unit),
                          "position embeddings", error));
    for (size_t i = 0; i < count; i++) {
        double square = 0;
        for (size_t d = 0; d < width; d++)
            square += (double)rows[i * width + d] * rows[i * width + d];
        for (size_t d = 0; d < width; d++)
            unit[i * width + d] = square > 0 ? rows[i * width + d] / sqrt(square) : 0;
    }
    for (size_t i = (size_t)begin; i < (size_t)end; i++)
        for (size_t j = 0; j < count; j++)
            *out++ = (float)vit_dot(unit + i * width, unit + j * width, (int)width);
    vit_release(&s->allocator, unit);
    return VIT_OK;
}

/* ---- Filters of the first layer ---- */

/* What the components are computed in. */
struct filters {
    vit_arena memory;
    int count, length;  /* filters, weights in each */
    double *centred;    /* [count,length] */
    double *mean;       /* [length] */
    double *gram;       /* [side,side]: products of filters, or of weights, whichever are fewer */
    double *values, *vectors, *work;
};

static int side_of(const struct filters *f) {
    return f->count < f->length ? f->count : f->length;
}

static double *take(struct filters *f, size_t rows, size_t columns) {
    return vit_arena_take(&f->memory, vit_size_mul(vit_size_mul(rows, columns), sizeof(double)));
}

static void take_filters(struct filters *f) {
    const size_t side = (size_t)side_of(f);
    f->centred = take(f, (size_t)f->count, (size_t)f->length);
    f->mean = take(f, (size_t)f->length, 1);
    f->gram = take(f, side, side);
    f->values = take(f, side, 1);
    f->vectors = take(f, side, side);
    f->work = take(f, side, 4);
}

static void centre(struct filters *f, const float *weights) {
    const size_t length = (size_t)f->length, count = (size_t)f->count;
    memset(f->mean, 0, length * sizeof *f->mean);
    for (size_t i = 0; i < count * length; i++)
        f->mean[i % length] += weights[i];
    for (size_t i = 0; i < length; i++)
        f->mean[i] /= (double)count;
    for (size_t i = 0; i < count * length; i++)
        f->centred[i] = weights[i] - f->mean[i % length];
}

static void multiply(struct filters *f) {
    const size_t count = (size_t)f->count, length = (size_t)f->length, side = (size_t)side_of(f);
    memset(f->gram, 0, side * side * sizeof *f->gram);
    if (side == length) { /* sum over filters of x xT */
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < length; j++)
                vit_add_rows(f->gram + j * side, f->centred + i * length + j, f->centred + i * length, 0, 1, f->length);
        return;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < length; k++)
                sum += f->centred[i * length + k] * f->centred[j * length + k];
            f->gram[i * side + j] = f->gram[j * side + i] = sum;
        }
}

/* The unit vector in the space of filters, its entry of largest magnitude positive. */
static void write_component(struct filters *f, int index, double *row, float *out) {
    const size_t length = (size_t)f->length, side = (size_t)side_of(f);
    const double *vector = f->vectors + (size_t)index * side;
    if (side == length) {
        memcpy(row, vector, length * sizeof *row);
    } else { /* a mixture of filters */
        memset(row, 0, length * sizeof *row);
        vit_add_rows(row, vector, f->centred, length, f->count, f->length);
    }
    double square = 0, largest = 0;
    for (size_t i = 0; i < length; i++) {
        square += row[i] * row[i];
        if (fabs(row[i]) > fabs(largest))
            largest = row[i];
    }
    const double scale = square > 0 ? copysign(1 / sqrt(square), largest) : 0;
    for (size_t i = 0; i < length; i++)
        out[i] = (float)(row[i] * scale);
}

static vit_status compute(struct filters *f, const float *weights, int count, float *components, float *strengths,
                          float *mean, vit_error *error) {
    centre(f, weights);
    for (int i = 0; mean && i < f->length; i++)
        mean[i] = (float)f->mean[i];
    multiply(f);
    if (!vit_symmetric_eigen(f->gram, side_of(f), f->values, f->vectors, f->work))
        return vit_fail(error, VIT_ERR_ARGUMENT, "filters of the patch embedding: not all of them are finite numbers");
    for (int i = 0; i < count; i++) {
        strengths[i] = (float)sqrt(f->values[i] > 0 ? f->values[i] : 0);
        write_component(f, i, f->mean, components + (size_t)i * (size_t)f->length);
    }
    return VIT_OK;
}

void vit_filter_shape(const vit_model *model, int shape[3]) {
    const vit_config *c = &model->config;
    const int is_resnet = c->resnet.stem_width > 0;
    shape[0] = is_resnet ? c->resnet.stem_width : c->width;
    shape[1] = is_resnet ? vit_root_size(&c->resnet) : c->patch_height;
    shape[2] = is_resnet ? vit_root_size(&c->resnet) : c->patch_width;
}

vit_status vit_filter_components(const vit_model *model, int count, float *components, float *strengths, float *mean,
                                 vit_error *error) {
    const vit_weights *w = &model->weights;
    const float *weights = model->config.resnet.stem_width ? w->stem->weight : w->patch_weight.f32;
    int shape[3];
    vit_filter_shape(model, shape);
    struct filters f = {.count = shape[0], .length = 3 * shape[1] * shape[2]};
    if (!weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "filters of the patch embedding: the model was loaded for int8");
    if (count < 1 || count > side_of(&f))
        return vit_fail(error, VIT_ERR_ARGUMENT, "%d principal components: this model has 1 to %d", count, side_of(&f));
    take_filters(&f);
    VIT_TRY(vit_arena_commit(&f.memory, &model->options.allocator, "principal components", error));
    take_filters(&f);
    vit_status status = compute(&f, weights, count, components, strengths, mean, error);
    vit_arena_release(&f.memory, &model->options.allocator);
    return status;
}
