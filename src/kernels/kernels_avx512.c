#include "kernels.h"
#include "vec_avx512.h"

#define PANEL 16
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

/* 24 accumulators, 2 vectors of x and a weight in 32 registers. */
#define TABLE vit_kernels_avx512_12x32
#define NAME "avx512:12x32"
#define TILE_ROWS 12
#define TILE_PANELS 2
#define ATTEND_ROWS 8
#define LOW_ROWS 8
#include "gemm_table.inc"

#define TABLE vit_train_avx512
#define NAME "avx512"
#define TILE_ROWS 12
#define TILE_PANELS 2
#include "train.inc"
