#include "linear_algebra.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Loops over columns are what vectors are made of; nothing is summed along them. */
void vit_add_rows(double *restrict y, const double *restrict a, const double *restrict x, size_t stride, int count,
                  int n) {
    for (; count >= 4; count -= 4, a += 4, x += 4 * stride) {
        const double *x1 = x + stride, *x2 = x1 + stride, *x3 = x2 + stride, a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
        for (int i = 0; i < n; i++)
            y[i] += a0 * x[i] + a1 * x1[i] + (a2 * x2[i] + a3 * x3[i]);
    }
    for (; count > 0; count--, a++, x += stride)
        for (int i = 0; i < n; i++)
            y[i] += *a * x[i];
}

double vit_dot(const double *x, const double *y, int n) {
    double sum[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int lane = 0; lane < 4; lane++)
            sum[lane] += x[i + lane] * y[i + lane];
    for (; i < n; i++)
        sum[0] += x[i] * y[i];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

int vit_cholesky(double *a, int n) {
    for (int i = 0; i < n; i++) {
        double *row = a + (size_t)i * (size_t)n;
        for (int j = 0; j < i; j++) {
            const double *other = a + (size_t)j * (size_t)n;
            row[j] = (row[j] - vit_dot(row, other, j)) / other[j];
        }
        double square = row[i] - vit_dot(row, row, i);
        if (!(square > 0) || !isfinite(square))
            return 0;
        row[i] = sqrt(square);
    }
    return 1;
}

void vit_cholesky_solve(const double *l, int n, double *x, int columns) {
    for (int i = 0; i < n; i++) {
        const double *row = l + (size_t)i * (size_t)n;
        for (int c = 0; c < columns; c++) {
            double sum = x[(size_t)i * (size_t)columns + (size_t)c];
            for (int j = 0; j < i; j++)
                sum -= row[j] * x[(size_t)j * (size_t)columns + (size_t)c];
            x[(size_t)i * (size_t)columns + (size_t)c] = sum / row[i];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        const double *row = l + (size_t)i * (size_t)n;
        double *solved = x + (size_t)i * (size_t)columns;
        for (int c = 0; c < columns; c++)
            solved[c] /= row[i];
        for (int j = 0; j < i; j++)
            for (int c = 0; c < columns; c++)
                x[(size_t)j * (size_t)columns + (size_t)c] -= row[j] * solved[c];
    }
}

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* Makes x [n] the v of H = I - scale v vT that maps it to (result, 0, ...). */
static double make_reflector(double *x, int n, double *result) {
    double largest = 0;
    for (int i = 0; i < n; i++)
        largest = larger(largest, fabs(x[i]));
    double rest = 0;
    for (int i = 1; i < n; i++)
        rest += x[i] / (largest > 0 ? largest : 1) * (x[i] / (largest > 0 ? largest : 1));
    *result = x[0];
    if (rest == 0)
        return 0;
    const double first = x[0] / largest, length = copysign(sqrt(first * first + rest), first);
    *result = -length * largest;
    for (int i = 0; i < n; i++)
        x[i] /= largest;
    x[0] += length;
    return 2 / (x[0] * x[0] + rest);
}

void vit_tridiagonalize(double *a, int n, double *diagonal, double *beside, double *scale, double *work) {
    const size_t stride = (size_t)n;
    for (int k = 0; k < n; k++) {
        const int rest = n - k - 1;
        double *v = a + (size_t)k * stride + k + 1, *block = v + stride, *w = work;
        diagonal[k] = v[-1];
        beside[k] = scale[k] = 0;
        if (rest == 0)
            break;
        scale[k] = make_reflector(v, rest, &beside[k]);
        if (scale[k] == 0)
            continue;
        /* block -= v wT + w vT with w = p - (scale/2 pTv) v, p = scale block v */
        memset(w, 0, (size_t)rest * sizeof *w);
        vit_add_rows(w, v, block, stride, rest, rest);
        const double half = scale[k] / 2 * vit_dot(w, v, rest);
        for (int i = 0; i < rest; i++)
            w[i] = scale[k] * (w[i] - half * v[i]);
        for (int i = 0; i < rest; i++) {
            double *row = block + (size_t)i * stride;
            const double vi = v[i], wi = w[i];
            for (int j = 0; j < rest; j++)
                row[j] -= vi * w[j] + wi * v[j];
        }
    }
}

/* x [rows,columns] becomes (I - scale v vT) x */
static void reflect(const double *v, double scale, double *x, int rows, int columns, double *work) {
    if (scale == 0)
        return;
    memset(work, 0, (size_t)columns * sizeof *work);
    vit_add_rows(work, v, x, (size_t)columns, rows, columns);
    for (int i = 0; i < rows; i++, x += columns) {
        const double factor = scale * v[i];
        for (int j = 0; j < columns; j++)
            x[j] -= factor * work[j];
    }
}

void vit_reflect(const double *a, int n, const double *scale, double *x, int columns, double *work) {
    for (int k = 0; k + 1 < n; k++)
        reflect(a + (size_t)k * (size_t)n + k + 1, scale[k], x + (size_t)(k + 1) * (size_t)columns, n - k - 1, columns,
                work);
}

/* sqrt(a^2 + b^2), whatever their size */
static double length_of(double a, double b) {
    const double most = larger(fabs(a), fabs(b));
    return most > 0 ? most * sqrt(a / most * (a / most) + b / most * (b / most)) : most;
}

/* Turns rows `one` and `two` of length n. */
static void rotate(double *one, double *two, double c, double s, int n) {
    for (int i = 0; i < n; i++) {
        const double x = one[i], y = two[i];
        one[i] = c * x - s * y;
        two[i] = s * x + c * y;
    }
}

/* Implicit QL steps with Wilkinson's shift until `beside` is nothing; rows of `vectors` turn along. */
static int diagonalize(double *diagonal, double *beside, double *vectors, int n) {
    enum { MOST_STEPS = 60 };
    for (int l = 0; l < n; l++)
        for (int step = 0;; step++) {
            int m = l; /* where the matrix falls apart */
            while (m + 1 < n && !(fabs(beside[m]) <= DBL_EPSILON * (fabs(diagonal[m]) + fabs(diagonal[m + 1]))))
                m++;
            if (m == l)
                break;
            if (step == MOST_STEPS)
                return 0;
            double g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]);
            double r = length_of(g, 1), s = 1, c = 1, p = 0;
            int i = m - 1;
            g = diagonal[m] - diagonal[l] + beside[l] / (g + copysign(r, g));
            for (; i >= l; i--) {
                const double f = s * beside[i], b = c * beside[i];
                r = length_of(f, g);
                beside[i + 1] = r;
                if (r == 0) {
                    diagonal[i + 1] -= p;
                    break;
                }
                s = f / r;
                c = g / r;
                g = diagonal[i + 1] - p;
                r = (diagonal[i] - g) * s + 2 * c * b;
                p = s * r;
                diagonal[i + 1] = g + p;
                g = c * r - b;
                rotate(vectors + (size_t)i * (size_t)n, vectors + (size_t)(i + 1) * (size_t)n, c, s, n);
            }
            beside[m] = 0;
            if (i >= l)
                continue; /* it fell apart below m */
            diagonal[l] -= p;
            beside[l] = g;
        }
    return 1;
}

static void swap(double *one, double *two, int n) {
    for (int i = 0; i < n; i++) {
        const double x = one[i];
        one[i] = two[i];
        two[i] = x;
    }
}

int vit_symmetric_eigen(double *a, int n, double *values, double *vectors, double *work) {
    const size_t stride = (size_t)n;
    double *beside = work, *scale = work + n;
    vit_tridiagonalize(a, n, values, beside, scale, work + 2 * n);
    memset(vectors, 0, stride * stride * sizeof *vectors);
    for (size_t i = 0; i < stride; i++)
        vectors[i * stride + i] = 1;
    vit_reflect(a, n, scale, vectors, n, work + 2 * n); /* rows of QT turn into the eigenvectors */
    if (!diagonalize(values, beside, vectors, n))
        return 0;
    for (int i = 0; i < n; i++) {
        int most = i;
        for (int j = i + 1; j < n; j++)
            most = values[j] > values[most] ? j : most;
        swap(&values[i], &values[most], 1);
        if (most != i)
            swap(vectors + (size_t)i * stride, vectors + (size_t)most * stride, n);
    }
    return 1;
}
