/* 12 accumulators, 2 vectors of x and a weight in the 16 registers of x86, where engines run this: for current V8 and
 * SpiderMonkey. */
#include "kernels.h"
#include "vec_relaxed.h"

#define TABLE vit_kernels_relaxed_6x8
#define NAME "relaxed:6x8"
#define PANEL 8
#define TILE_ROWS 6
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#define TN_ROWS 3
#define TN_COLUMNS 4
#include "gemm.inc"
#include "rows.inc"
