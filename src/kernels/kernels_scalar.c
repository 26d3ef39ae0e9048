/* Plain C, for hosts without any of the others: 8 accumulators hide the latency of an addition. */
#include "kernels.h"
#include "vec_scalar.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

#define TABLE vit_kernels_scalar_1x8
#define NAME "scalar:1x8"
#define TILE_ROWS 1
#define TILE_PANELS 1
#define ATTEND_ROWS 1
#include "gemm_table.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_scalar_1x8
#define NAME "scalar,dot:1x8"
#define DOT ivec_dot4
#define TILE_ROWS 1
#define TILE_PANELS 1
#include "int8_table.inc"

#define TABLE vit_train_scalar
#define NAME "scalar"
#define TILE_ROWS 1
#define TILE_PANELS 1
#include "train.inc"
