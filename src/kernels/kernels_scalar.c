/* Plain C, for hosts without any of the others: 8 accumulators hide the latency of an addition. */
#include "kernels.h"
#include "vec_scalar.h"

#define TABLE vit_kernels_scalar
#define NAME "scalar:1x8"
#define PANEL 8
#define TILE_ROWS 1
#define TILE_PANELS 1
#define ATTEND_ROWS 1
#define TN_ROWS 2
#define TN_COLUMNS 3
#include "gemm.inc"
#include "rows.inc"
