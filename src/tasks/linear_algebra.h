/* Dense linear algebra in f64, matrices row-major: what least squares and principal components need. */
#ifndef VIT_TASKS_LINEAR_ALGEBRA_H
#define VIT_TASKS_LINEAR_ALGEBRA_H

#include <stddef.h>

/* Of x [n] and y [n]. */
double vit_dot(const double *x, const double *y, int n);
/* y [n] += a0 x0 + a1 x1 + ...: `count` rows of x [count, stride], a [count]. */
void vit_add_rows(double *y, const double *a, const double *x, size_t stride, int count, int n);

/* a [n,n], symmetric and positive definite, of which the lower triangle is read, becomes its Cholesky factor L (there).
 * 0 if it is not positive definite. */
int vit_cholesky(double *a, int n);
/* x [n,columns] becomes the solution of L LT x = x. */
void vit_cholesky_solve(const double *l, int n, double *x, int columns);

/* a [n,n] symmetric = Q T QT, T tridiagonal with `diagonal` [n] and `beside` [n, the last unused]. Row k of a then
 * holds the reflector H_k = I - scale[k] v vT with v at columns k+1 and up; Q = H_0 H_1 ... work: [n]. */
void vit_tridiagonalize(double *a, int n, double *diagonal, double *beside, double *scale, double *work);
/* x [n,columns] becomes QT x. work: [columns]. */
void vit_reflect(const double *a, int n, const double *scale, double *x, int columns, double *work);

/* Eigenvalues of a [n,n] symmetric, largest first, and their unit vectors as the rows of `vectors` [n,n]. a is used up;
 * work: [4n]. 0 if an eigenvalue did not converge: a holds a NaN or an infinity. */
int vit_symmetric_eigen(double *a, int n, double *values, double *vectors, double *work);

#endif
