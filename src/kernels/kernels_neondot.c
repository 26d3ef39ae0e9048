/* int8 for the NEON tables, on processors that have a dot product. */
#include "kernels.h"
#include "vec_neon.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_neondot_6x16
#define NAME "neon,dot:6x16"
#define DOT ivec_dot4
#define TILE_ROWS 6
#define TILE_PANELS 2
#include "int8_table.inc"
