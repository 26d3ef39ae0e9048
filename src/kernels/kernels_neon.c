#include "kernels.h"
#include "vec_neon.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

/* 24 accumulators, 4 vectors of x and a weight in 32 registers. */
#define TABLE vit_kernels_neon_6x16
#define NAME "neon:6x16"
#define TILE_ROWS 6
#define TILE_PANELS 2
#define ATTEND_ROWS 6
#include "gemm_table.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_neon_pairs_4x16
#define NAME "neon,pairs:4x16"
#define DOT ivec_dot4
#define TILE_ROWS 4
#define TILE_PANELS 2
#include "int8_table.inc"

#define TABLE vit_train_neon
#define NAME "neon"
#define TILE_ROWS 6
#define TILE_PANELS 2
#include "train.inc"
