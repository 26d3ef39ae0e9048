#include "kernels.h"
#include "vec_avx2.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

/* 12 accumulators, 2 vectors of x and a weight in 16 registers. */
#define TABLE vit_kernels_avx2_6x16
#define NAME "avx2:6x16"
#define TILE_ROWS 6
#define TILE_PANELS 2
#define ATTEND_ROWS 6
#include "gemm_table.inc"

#define DEPTH 4
#include "int8.inc"

/* A product needs a register for its pairs and one of ones. */
#define TABLE vit_int8_avx2_pairs_4x16
#define NAME "avx2,pairs:4x16"
#define DOT ivec_dot4
#define TILE_ROWS 4
#define TILE_PANELS 2
#include "int8_table.inc"

#define TABLE vit_train_avx2
#define NAME "avx2"
#define TILE_ROWS 6
#define TILE_PANELS 2
#include "train.inc"
