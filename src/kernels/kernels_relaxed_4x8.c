/* The tile for engines that spill 6x8 to memory: V8 11 and 12 (Node 20 and 22) and wasmtime. Same bits as 6x8. */
#include "kernels.h"
#include "vec_relaxed.h"

#define TABLE vit_kernels_relaxed_4x8
#define NAME "relaxed:4x8"
#define PANEL 8
#define TILE_ROWS 4
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#define TN_ROWS 3
#define TN_COLUMNS 4
#include "gemm.inc"
#include "rows.inc"
