#include "kernels.h"
#include "vec_simd128.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

/* 8 accumulators, 2 vectors of x, the weights and a product fit the 16 registers of x86, where engines run this, even
 * with all 4 weights of a step loaded first, as V8 11 and 12 do. */
#define TABLE vit_kernels_simd128_4x8
#define NAME "simd128:4x8"
#define TILE_ROWS 4
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#include "gemm_table.inc"

/* For engines that load a weight when it is due. */
#define TABLE vit_kernels_simd128_5x8
#define NAME "simd128:5x8"
#define TILE_ROWS 5
#define TILE_PANELS 1
#define ATTEND_ROWS 5
#include "gemm_table.inc"

#define DEPTH 2
#include "int8.inc"

#define TABLE vit_int8_simd128_4x8
#define NAME "simd128,dot:4x8"
#define DOT ivec_dot2
#define TILE_ROWS 4
#define TILE_PANELS 1
#include "int8_table.inc"

#define TABLE vit_train_simd128
#define NAME "simd128"
#define TILE_ROWS 4
#define TILE_PANELS 1
#include "train.inc"
