/* 12 accumulators, 2 vectors of x and a weight in 16 registers. */
#include "kernels.h"
#include "vec_avx2.h"

#define TABLE vit_kernels_avx2
#define NAME "avx2:6x16"
#define PANEL 8
#define TILE_ROWS 6
#define TILE_PANELS 2
#define ATTEND_ROWS 8
#define TN_ROWS 3
#define TN_COLUMNS 4
#include "gemm.inc"
#include "rows.inc"
