/* 8 accumulators, 2 vectors of x, the weights and a product fit the 16 registers of x86, where engines run this, even
 * with all 4 weights of a step loaded first, as V8 11 and 12 do: 5x8 is 4 % faster in newer engines and half as fast
 * in those. */
#include "kernels.h"
#include "vec_simd128.h"

#define TABLE vit_kernels_simd128
#define NAME "simd128:4x8"
#define PANEL 8
#define TILE_ROWS 4
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#define TN_ROWS 3
#define TN_COLUMNS 3
#include "gemm.inc"
#include "rows.inc"
