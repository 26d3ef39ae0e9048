/* 24 accumulators, 4 vectors of x and a weight in 32 registers. */
#include "kernels.h"
#include "vec_neon.h"

#define TABLE vit_kernels_neon
#define NAME "neon:6x16"
#define PANEL 8
#define TILE_ROWS 6
#define TILE_PANELS 2
#define ATTEND_ROWS 8
#define TN_ROWS 4
#define TN_COLUMNS 4
#include "gemm.inc"
#include "rows.inc"
