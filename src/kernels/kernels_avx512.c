/* 24 accumulators, 2 vectors of x and a weight in 32 registers. */
#include "kernels.h"
#include "vec_avx512.h"

#define TABLE vit_kernels_avx512
#define NAME "avx512:12x32"
#define PANEL 16
#define TILE_ROWS 12
#define TILE_PANELS 2
#define ATTEND_ROWS 16
#define TN_ROWS 3
#define TN_COLUMNS 4
#include "gemm.inc"
#include "rows.inc"
