#include "least_squares.h"

#include "linear_algebra.h"

#include <math.h>
#include <string.h>

#define CONSTANT_FEATURE 100 /* large, so that the penalty hardly touches the bias */

struct problem {
    int examples, classes_count;
    int columns;         /* D + 1 */
    int side;            /* of the system: D + 1, or N in the dual */
    const int32_t *classes;
    vit_arena memory;
    double *z;           /* [N,D+1] */
    double *across;      /* [D+1,N]: its columns */
    double *gram;        /* [side,side]: ZT Z, or Z ZT; then reflectors */
    double *factor;      /* [side,side] */
    double *solution;    /* [side,K] */
    /* leaving one out, by gram = Q T QT */
    double *turned;      /* [side,N]: QT ZT, or QT */
    double *diagonal, *beside, *scale; /* [side] */
    double *targets;     /* [side,K]: turned Y */
    double *reduced;     /* [side,K] */
    double *row;         /* [N] */
    double *influence;   /* [N] */
    double *fitted;      /* [K,N] */
};

static double *take(struct problem *p, int rows, int columns) {
    return vit_arena_take(&p->memory, vit_size_mul(vit_size_mul((size_t)rows, (size_t)columns), sizeof(double)));
}

static void take_memory(struct problem *p) {
    p->z = take(p, p->examples, p->columns);
    p->across = take(p, p->columns, p->examples);
    p->gram = take(p, p->side, p->side);
    p->factor = take(p, p->side, p->side);
    p->solution = take(p, p->side, p->classes_count);
    p->turned = take(p, p->side, p->examples);
    p->diagonal = take(p, p->side, 1);
    p->beside = take(p, p->side, 1);
    p->scale = take(p, p->side, 1);
    p->targets = take(p, p->side, p->classes_count);
    p->reduced = take(p, p->side, p->classes_count);
    p->row = take(p, p->examples > p->side ? p->examples : p->side, 1);
    p->influence = take(p, p->examples, 1);
    p->fitted = take(p, p->classes_count, p->examples);
}

static int is_dual(const struct problem *p) {
    return p->examples < p->columns;
}

static void standardize(struct problem *p, const float *x, vit_classifier *out) {
    const int width = p->columns - 1;
    memset(out->mean, 0, (size_t)width * sizeof *out->mean);
    memset(out->scale, 0, (size_t)width * sizeof *out->scale);
    for (int i = 0; i < p->examples; i++)
        for (int d = 0; d < width; d++)
            out->mean[d] += (double)x[(size_t)i * (size_t)width + (size_t)d] / p->examples;
    for (int i = 0; i < p->examples; i++)
        for (int d = 0; d < width; d++) {
            const double apart = x[(size_t)i * (size_t)width + (size_t)d] - out->mean[d];
            out->scale[d] += apart * apart / p->examples;
        }
    for (int d = 0; d < width; d++)
        out->scale[d] = sqrt(out->scale[d]) + VIT_LEAST_DEVIATION;
    for (int i = 0; i < p->examples; i++) {
        double *row = p->z + (size_t)i * (size_t)p->columns;
        for (int d = 0; d < width; d++)
            row[d] = (x[(size_t)i * (size_t)width + (size_t)d] - out->mean[d]) / out->scale[d];
        row[width] = CONSTANT_FEATURE;
        for (int d = 0; d < p->columns; d++)
            p->across[(size_t)d * (size_t)p->examples + (size_t)i] = row[d];
    }
}

/* Both triangles. */
static void multiply(struct problem *p) {
    const double *left = is_dual(p) ? p->z : p->across, *right = is_dual(p) ? p->across : p->z;
    const size_t side = (size_t)p->side, inner = (size_t)(is_dual(p) ? p->columns : p->examples);
    memset(p->gram, 0, side * side * sizeof *p->gram);
    for (size_t i = 0; i < side; i++) {
        vit_add_rows(p->gram + i * side, left + i * inner, right, side, (int)inner, (int)i + 1);
        for (size_t j = 0; j < i; j++)
            p->gram[j * side + i] = p->gram[i * side + j];
    }
}

/* out [side,K] = rows [side,N] Y */
static void apply_targets(const struct problem *p, const double *rows, double *out) {
    for (int j = 0; j < p->side; j++, rows += p->examples, out += p->classes_count) {
        double sum = 0;
        memset(out, 0, (size_t)p->classes_count * sizeof *out);
        for (int i = 0; i < p->examples; i++) {
            sum += rows[i];
            out[p->classes[i]] += 2 * rows[i];
        }
        for (int k = 0; k < p->classes_count; k++)
            out[k] -= sum;
    }
}

static double target(const struct problem *p, int example, int k) {
    return p->classes[example] == k ? 1 : -1;
}

/* ---- Leaving one out ---- With the inverse (gram + l2)^-1 = Q L^-T D^-1 L^-1 QT, L D LT the factors of the
 * tridiagonal T + l2, example i has the diagonal element sum_j f_ji^2 / d_j where f = L^-1 QT ZT, row by row. In the
 * primal that is its influence h on its own fit, and without it its residual is (y - fit) / (1 - h); in the dual it is
 * (gram + l2)^-1 alpha over the element. */

static void turn(struct problem *p) {
    vit_tridiagonalize(p->gram, p->side, p->diagonal, p->beside, p->scale, p->row);
    if (is_dual(p)) {
        memset(p->turned, 0, (size_t)p->side * (size_t)p->examples * sizeof *p->turned);
        for (size_t i = 0; i < (size_t)p->side; i++)
            p->turned[i * (size_t)p->side + i] = 1;
    } else {
        memcpy(p->turned, p->across, (size_t)p->side * (size_t)p->examples * sizeof *p->turned);
    }
    vit_reflect(p->gram, p->side, p->scale, p->turned, p->examples, p->row);
    apply_targets(p, p->turned, p->targets);
}

/* influence and fitted (in the dual: alpha) of all examples with this l2 */
static void fit_turned(struct problem *p, double l2) {
    const size_t examples = (size_t)p->examples, classes = (size_t)p->classes_count;
    double before = 0; /* of d */
    memset(p->influence, 0, examples * sizeof *p->influence);
    memset(p->fitted, 0, classes * examples * sizeof *p->fitted);
    for (int j = 0; j < p->side; j++) {
        const double *turned = p->turned + (size_t)j * examples;
        const double l = j ? p->beside[j - 1] / before : 0;
        const double d = p->diagonal[j] + l2 - (j ? l * p->beside[j - 1] : 0);
        const double inverse = 1 / d;
        double *reduced = p->reduced + (size_t)j * classes;
        for (size_t i = 0; i < examples; i++) {
            p->row[i] = turned[i] - (j ? l * p->row[i] : 0);
            p->influence[i] += p->row[i] * p->row[i] * inverse;
        }
        for (size_t k = 0; k < classes; k++) {
            reduced[k] = p->targets[(size_t)j * classes + k] - (j ? l * reduced[(ptrdiff_t)k - (ptrdiff_t)classes] : 0);
            const double share = reduced[k] * inverse;
            vit_add_rows(p->fitted + k * examples, &share, p->row, 0, 1, p->examples);
        }
        before = d;
    }
}

/* How many examples the others are right about, and the squared error of that. */
static int count_right(struct problem *p, double l2, double *error) {
    int right = 0;
    fit_turned(p, l2);
    *error = 0;
    for (int i = 0; i < p->examples; i++) {
        int best = 0;
        double most = -INFINITY;
        for (int k = 0; k < p->classes_count; k++) {
            const double y = target(p, i, k), fitted = p->fitted[(size_t)k * (size_t)p->examples + (size_t)i];
            const double residual = is_dual(p) ? fitted / p->influence[i] : (y - fitted) / (1 - p->influence[i]);
            *error += residual * residual;
            if (y - residual > most) {
                most = y - residual;
                best = k;
            }
        }
        right += best == p->classes[i];
    }
    return right;
}

static int has_single(const struct problem *p) {
    for (int k = 0; k < p->classes_count; k++) {
        int count = 0;
        for (int i = 0; i < p->examples; i++)
            count += p->classes[i] == k;
        if (count == 1)
            return 1;
    }
    return 0;
}

static void choose(struct problem *p, vit_classifier *out, double l2) {
    double least = INFINITY;
    if (l2 == 0 && has_single(p))
        l2 = VIT_L2_BLIND;
    out->l2 = l2;
    turn(p);
    if (l2 > 0) {
        out->right = count_right(p, l2, &least);
        return;
    }
    for (l2 = VIT_L2_LEAST; l2 <= VIT_L2_MOST; l2 *= 4) {
        double error;
        const int right = count_right(p, l2, &error);
        if (error < least || l2 == VIT_L2_LEAST) {
            out->right = right;
            out->l2 = l2;
            least = error;
        }
    }
}

/* ---- Fitting ---- */

static void write_weights(const struct problem *p, vit_classifier *out) {
    const size_t width = (size_t)p->columns - 1, classes = (size_t)p->classes_count;
    for (size_t k = 0; k < classes; k++)
        for (size_t d = 0; d <= width; d++) {
            double sum = 0;
            for (size_t i = 0; is_dual(p) && i < (size_t)p->examples; i++)
                sum += p->across[d * (size_t)p->examples + i] * p->solution[i * classes + k];
            if (!is_dual(p))
                sum = p->solution[d * classes + k];
            if (d < width)
                out->weights[k * width + d] = sum;
            else
                out->bias[k] = sum * CONSTANT_FEATURE;
        }
}

static vit_status solve(struct problem *p, vit_classifier *out, vit_error *error) {
    for (size_t i = 0; i < (size_t)p->side; i++)
        p->factor[i * ((size_t)p->side + 1)] += out->l2;
    if (is_dual(p))
        for (int i = 0; i < p->examples; i++)
            for (int k = 0; k < p->classes_count; k++)
                p->solution[(size_t)i * (size_t)p->classes_count + (size_t)k] = target(p, i, k);
    else
        apply_targets(p, p->across, p->solution);
    if (!vit_cholesky(p->factor, p->side))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: an l2 of %g is too small for these examples", out->l2);
    vit_cholesky_solve(p->factor, p->side, p->solution, p->classes_count);
    write_weights(p, out);
    return VIT_OK;
}

vit_status vit_least_squares(vit_classifier *out, const float *x, const int32_t *classes, int examples, int width,
                             int classes_count, double l2, const vit_allocator *allocator, vit_error *error) {
    struct problem p = {.examples = examples, .classes_count = classes_count, .columns = width + 1, .classes = classes};
    p.side = is_dual(&p) ? examples : p.columns;
    take_memory(&p);
    VIT_TRY(vit_arena_commit(&p.memory, allocator, "few-shot", error));
    take_memory(&p);
    standardize(&p, x, out);
    multiply(&p);
    memcpy(p.factor, p.gram, (size_t)p.side * (size_t)p.side * sizeof *p.factor);
    choose(&p, out, l2);
    vit_status status = solve(&p, out, error);
    vit_arena_release(&p.memory, allocator);
    return status;
}

void vit_classifier_score(const vit_classifier *classifier, const float *x, int width, int classes_count,
                          float *scores) {
    for (int k = 0; k < classes_count; k++) {
        double sum = classifier->bias[k];
        for (int d = 0; d < width; d++)
            sum += (x[d] - classifier->mean[d]) / classifier->scale[d] *
                   classifier->weights[(size_t)k * (size_t)width + (size_t)d];
        scores[k] = (float)sum;
    }
}
