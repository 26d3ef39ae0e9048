/* int8 for the AVX-512 tables, on processors that have a dot product. */
#include "kernels.h"
#include "vec_avx512.h"

#define PANEL 16
#include "tile.inc"
#include "rows.inc"
#include "gemm.inc"

#define DEPTH 4
#include "int8.inc"

#define TABLE vit_int8_avx512vnni_12x32
#define NAME "avx512,vnni:12x32"
#define DOT ivec_dot4
#define TILE_ROWS 12
#define TILE_PANELS 2
#include "int8_table.inc"
