/* 10 accumulators, 2 vectors of x, a weight and a product in the 16 registers of x86, where engines run this. */
#include "kernels.h"
#include "vec_simd128.h"

#define TABLE vit_kernels_simd128
#define NAME "simd128:5x8"
#define PANEL 8
#define TILE_ROWS 5
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#define TN_ROWS 3
#define TN_COLUMNS 3
#include "gemm.inc"
#include "rows.inc"
