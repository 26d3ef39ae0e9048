#include "kernels.h"
#include "vec_relaxed.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

/* 12 accumulators, 2 vectors of x and a weight in the 16 registers of x86, where engines run this: for current V8 and
 * SpiderMonkey. */
#define TABLE vit_kernels_relaxed_6x8
#define NAME "relaxed:6x8"
#define TILE_ROWS 6
#define TILE_PANELS 1
#define ATTEND_ROWS 6
#include "gemm_table.inc"

/* For engines that merge neighbouring vectors into ones of 256 bits; others spill it. */
#define TABLE vit_kernels_relaxed_6x16
#define NAME "relaxed:6x16"
#define TILE_ROWS 6
#define TILE_PANELS 2
#define ATTEND_ROWS 6
#include "gemm_table.inc"

/* For engines that spill 6x8: V8 11 and 12 (Node 20 and 22) and wasmtime. */
#define TABLE vit_kernels_relaxed_4x8
#define NAME "relaxed:4x8"
#define TILE_ROWS 4
#define TILE_PANELS 1
#define ATTEND_ROWS 4
#include "gemm_table.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_relaxed_dot_6x8
#define NAME "relaxed,dot:6x8"
#define DOT ivec_dot4
#define TILE_ROWS 6
#define TILE_PANELS 1
#include "int8_table.inc"

#define TABLE vit_int8_relaxed_dot_6x16
#define NAME "relaxed,dot:6x16"
#define DOT ivec_dot4
#define TILE_ROWS 6
#define TILE_PANELS 2
#include "int8_table.inc"

/* A product needs a register for its pairs. */
#define TABLE vit_int8_relaxed_pairs_4x8
#define NAME "relaxed,pairs:4x8"
#define DOT ivec_dot4_pairs
#define TILE_ROWS 4
#define TILE_PANELS 1
#include "int8_table.inc"

#define TABLE vit_train_relaxed
#define NAME "relaxed"
#define TILE_ROWS 6
#define TILE_PANELS 1
#include "train.inc"
