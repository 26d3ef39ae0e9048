/* int8 for the AVX2 tables, on processors whose AVX has a dot product. */
#include "kernels.h"
#include "vec_avx2.h"

#define PANEL 8
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_avxvnni_6x16
#define NAME "avx2,vnni:6x16"
#define DOT ivec_dot4
#define TILE_ROWS 6
#define TILE_PANELS 2
#include "int8_table.inc"
