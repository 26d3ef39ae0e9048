/* NumPy's .npy format, version 1.0. */
#ifndef VIT_CLI_NPY_H
#define VIT_CLI_NPY_H

#include <stddef.h>

/* Writes data [rows,columns] f32 under a temporary name and renames it. 1, or 0 and a complaint. */
int vit_cli_npy_write(const char *path, const float *data, size_t rows, size_t columns);

#endif
