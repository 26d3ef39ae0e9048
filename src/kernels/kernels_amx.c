/* kernels_amx.c - products of bfloat16 factors in x86's matrix registers (AMX): 16 rows of 64 bytes each.
 *
 * C[16 rows][16 floats] += A[16 rows][DEPTH] B[DEPTH / 2 pairs][16][2], sums in f32. With panels of 16 tokens, C is as it
 * stands in memory: outputs by tokens of a panel, or rows and columns of dW. Only A and B are laid out anew, rounded to
 * nearest even; denormal factors and sums count as 0. Every element sees the same operations in the same order, whatever part of
 * a product is asked for. */
#include "kernels.h"
#include "vec_avx512.h"

#define PANEL 16
#include "tile.inc"

#include <string.h>

enum {
    DEPTH = 32,   /* of the contraction in a register */
    LAID = 16,   /* registers' depths that are laid out at a time */
    MOST = LAID * DEPTH,
    PANELS = 16,  /* of tokens that are laid out for all outputs */
    ROW_TILES = 16 /* of dW whose gradients are laid out for all columns */
};

typedef uint16_t tile[16][DEPTH];

static int least(int a, int b) {
    return a < b ? a : b;
}

static const struct {
    uint8_t palette, start_row, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} whole_tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

/* ---- Laying out ---- */

static inline __mmask16 first_lanes(int count) {
    return (__mmask16)(count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1);
}

/* The first `count` floats, as many as are left of 16; nothing past them is read. */
static inline __m512 load(const float *p, int count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
}

/* 32 in a row. */
static inline __m512i join(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 16 pairs. */
static inline __m512i pair(__m512 even, __m512 odd) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                           5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, join(even, odd));
}

/* Pairs of 16 rows become rows of 16 pairs. */
static inline void store_turned(__m512i *rows, tile out) {
    vec_transpose((vec *)rows);
    for (int i = 0; i < 16; i++)
        _mm512_store_si512(out[i], rows[i]);
}

/* Here and below, where `whole` is 1 registers are filled, and nothing is masked. */

/* Registers of 32 channels of a panel: pairs of them. */
INLINE void lay_channels(const float *x, int count, int whole, tile out) {
    for (int i = 0; i < 16; i++, x += 2 * PANEL)
        _mm512_store_si512(out[i], pair(load(x, whole || count > 2 * i ? 16 : 0),
                                        load(x + PANEL, whole || count > 2 * i + 1 ? 16 : 0)));
}

static void lay_panel(const float *x, int count, tile *out) {
    for (; count >= DEPTH; count -= DEPTH, x += DEPTH * PANEL)
        lay_channels(x, DEPTH, 1, *out++);
    if (count)
        lay_channels(x, count, 0, *out);
}

/* Up to 16 rows of w, `row` floats apart, of `count` columns. */
static void lay_rows(const float *w, ptrdiff_t row, int rows, int count, tile *out) {
    for (int i = 0; i < 16; i++, w += row) {
        int k = 0;
        for (; i < rows && k <= count - DEPTH; k += DEPTH)
            _mm512_store_si512(out[k / DEPTH][i], join(_mm512_loadu_ps(w + k), _mm512_loadu_ps(w + k + 16)));
        for (; k < count; k += DEPTH) {
            const int left = i < rows ? count - k : 0;
            _mm512_store_si512(out[k / DEPTH][i], join(load(w + k, left), load(w + k + 16, left - 16)));
        }
    }
}

/* Up to 16 columns of w as rows, of `count` of its rows. */
INLINE void lay_pairs_of_rows(const float *w, ptrdiff_t row, int columns, int count, int whole, tile out) {
    __m512i pairs[16];
    UNROLL for (int i = 0; i < 16; i++, w += 2 * row)
        pairs[i] = pair(load(w, whole ? 16 : count > 2 * i ? columns : 0),
                        load(w + row, whole ? 16 : count > 2 * i + 1 ? columns : 0));
    store_turned(pairs, out);
}

static void lay_columns(const float *w, ptrdiff_t row, int columns, int count, tile *out) {
    for (; columns == 16 && count >= DEPTH; count -= DEPTH, w += DEPTH * row)
        lay_pairs_of_rows(w, row, 16, DEPTH, 1, *out++);
    for (; count > 0; count -= DEPTH, w += DEPTH * row)
        lay_pairs_of_rows(w, row, columns, count, 0, *out++);
}

/* 32 tokens of a channel, which are in two panels. */
INLINE __m512i tokens_of(const float *x, ptrdiff_t stride, int tokens) {
    return join(load(x, tokens), load(x + stride, tokens - PANEL));
}

/* Up to 16 channels of `count` tokens. */
static void lay_tokens(const float *x, ptrdiff_t stride, int channels, int count, tile *out) {
    for (; channels == 16 && count >= DEPTH; count -= DEPTH, x += 2 * stride, out++)
        for (int i = 0; i < 16; i++)
            _mm512_store_si512((*out)[i], tokens_of(x + i * PANEL, stride, DEPTH));
    for (; count > 0; count -= DEPTH, x += 2 * stride, out++)
        for (int i = 0; i < 16; i++)
            _mm512_store_si512((*out)[i], tokens_of(x + i * PANEL, stride, i < channels ? count : 0));
}

/* The same as pairs of tokens. */
INLINE void lay_turned_tokens(const float *x, ptrdiff_t stride, int channels, int count, int whole, tile out) {
    __m512i rows[16];
    UNROLL for (int i = 0; i < 16; i++)
        rows[i] = tokens_of(x + i * PANEL, stride, whole ? DEPTH : i < channels ? count : 0);
    store_turned(rows, out);
}

static void lay_token_pairs(const float *x, ptrdiff_t stride, int channels, int count, tile *out) {
    for (; channels == 16 && count >= DEPTH; count -= DEPTH, x += 2 * stride)
        lay_turned_tokens(x, stride, 16, DEPTH, 1, *out++);
    for (; count > 0; count -= DEPTH, x += 2 * stride)
        lay_turned_tokens(x, stride, channels, count, 0, *out++);
}

/* ---- Products ---- */

/* Up to 2 x 2 tiles of a result. */
typedef struct result {
    float *at;                         /* its first element */
    ptrdiff_t row, down, right;        /* floats to the next row, to the tiles below and beside */
    int rows, columns;                 /* that are there, of 32 x 32 */
    int adds;                          /* to what is there; else it begins with */
    const float *bias;                 /* that of each row, or 0 where NULL */
} result;

/* Tile (i, j) of a result, of which what is there counts. */
static int rows_of(const result *r, int i) {
    return least(r->rows - 16 * i, 16);
}

static int columns_of(const result *r, int j) {
    return least(r->columns - 16 * j, 16);
}

static float *tile_at(const result *r, int i, int j) {
    return r->at + i * r->down + j * r->right;
}

static int is_in_place(const result *r, int i, int j) {
    return rows_of(r, i) == 16 && columns_of(r, j) == 16;
}

/* What a tile begins with. */
static void begin_tile(const result *r, int i, int j, float begin[16][16]) {
    memset(begin, 0, 16 * sizeof *begin);
    for (int row = 0; row < rows_of(r, i); row++) {
        __m512 sum = r->adds ? load(tile_at(r, i, j) + row * r->row, columns_of(r, j)) : _mm512_setzero_ps();
        _mm512_store_ps(begin[row], r->bias ? _mm512_add_ps(sum, _mm512_set1_ps(r->bias[16 * i + row])) : sum);
    }
}

static void end_tile(const result *r, int i, int j, float end[16][16]) {
    for (int row = 0; row < rows_of(r, i); row++)
        _mm512_mask_storeu_ps(tile_at(r, i, j) + row * r->row, first_lanes(columns_of(r, j)), _mm512_load_ps(end[row]));
}

#define BEGIN(c, i, j)                                                    \
    if (is_in_place(r, i, j) && r->adds && !r->bias) {                    \
        _tile_loadd(c, tile_at(r, i, j), r->row * 4);                     \
    } else if (!r->adds && !r->bias) {                                    \
        _tile_zero(c);                                                    \
    } else {                                                              \
        begin_tile(r, i, j, part);                                        \
        FENCE(); /* of tiles that are loaded GCC does not know where from */ \
        _tile_loadd(c, part, 64);                                         \
        FENCE();                                                          \
    }
#define END(c, i, j)                                                      \
    if (is_in_place(r, i, j)) {                                           \
        _tile_stored(c, tile_at(r, i, j), r->row * 4);                    \
    } else {                                                              \
        _tile_stored(c, part, 64);                                        \
        end_tile(r, i, j, part);                                          \
    }

/* Of those that the result has: register, row and column. */
#define EACH_TILE(DO)       \
    DO(0, 0, 0)             \
    if (beside) {           \
        DO(1, 0, 1)         \
    }                       \
    if (below) {            \
        DO(2, 1, 0)         \
    }                       \
    if (below && beside) {  \
        DO(3, 1, 1)         \
    }

/* r += a b: a of two rows of tiles, b of two columns, each `apart` tiles from one to the other. */
static void multiply_tiles(const result *r, const tile *a, const tile *b, int apart, int steps) {
    _Alignas(64) float part[16][16];
    const int below = r->rows > 16, beside = r->columns > 16;
    FENCE();
    EACH_TILE(BEGIN)
    for (int s = 0; s < steps; s++) {
        _tile_loadd(4, a[s], 64);
        _tile_loadd(6, b[s], 64);
        _tile_dpbf16ps(0, 4, 6);
        if (beside) {
            _tile_loadd(7, b[apart + s], 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (below) {
            _tile_loadd(5, a[apart + s], 64);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (below && beside)
            _tile_dpbf16ps(3, 5, 7);
    }
    EACH_TILE(END)
}

/* y = x a, where rows of a are laid out by `lay` from where w has them. */
typedef void lay_function(const float *w, ptrdiff_t row, int rows, int count, tile *out);

static void gemm(const vit_gemm *g, int begin, int end, int depth, ptrdiff_t next_output, ptrdiff_t next_input,
                 const float *bias, lay_function *lay) {
    _Alignas(64) tile a[2 * LAID], b[PANELS * LAID];
    _tile_loadconfig(&whole_tiles);
    for (int k = 0; k < depth; k += MOST) {
        const int count = least(depth - k, MOST), steps = (count + DEPTH - 1) / DEPTH;
        for (int p = 0; p < g->panels; p += PANELS) {
            const int panels = least(g->panels - p, PANELS);
            for (int i = 0; i < panels; i++)
                lay_panel(g->x + (p + i) * g->x_stride + (ptrdiff_t)k * PANEL, count, b + i * LAID);
            for (int n = begin; n < end; n += 32) {
                for (int i = 0; i < 2 && n + 16 * i < end; i++)
                    lay(g->w + (n + 16 * i) * next_output + k * next_input, g->k, least(end - n - 16 * i, 16), count,
                        a + i * LAID);
                for (int i = 0; i < panels; i += 2)
                    multiply_tiles(&(result){.at = g->y + (p + i) * g->y_stride + (ptrdiff_t)n * PANEL, .row = PANEL,
                                       .down = 16 * PANEL, .right = g->y_stride, .rows = least(end - n, 32),
                                       .columns = 16 * least(panels - i, 2), .adds = k > 0 || g->epilogue == VIT_EPILOGUE_ADD,
                                       .bias = k == 0 && bias ? bias + n : NULL},
                             a, b + i * LAID, LAID, steps);
            }
        }
    }
    _tile_release();
}

static void gemm_nt(const vit_gemm *g, int begin, int end) {
    gemm(g, begin, end, g->k, g->k, 1, g->bias, lay_rows);
}

static void gemm_nn(const vit_gemm *g, int begin, int end) {
    gemm(g, begin, end, g->n, 1, g->k, NULL, lay_columns);
}

static void gemm_tn(const vit_gemm_tn *g, int begin, int end) {
    _Alignas(64) tile a[ROW_TILES * LAID], b[2 * LAID];
    _tile_loadconfig(&whole_tiles);
    for (int t = 0; t < g->tokens; t += MOST) {
        const int count = least(g->tokens - t, MOST), steps = (count + DEPTH - 1) / DEPTH;
        for (int first = 0; first < g->n; first += 16 * ROW_TILES) {
            const int rows = least(g->n - first, 16 * ROW_TILES);
            for (int n = 0; n < rows; n += 16)
                lay_tokens(g->dy + t / PANEL * g->dy_stride + (ptrdiff_t)(first + n) * PANEL, g->dy_stride,
                           least(rows - n, 16), count, a + n / 16 * LAID);
            for (int k = begin; k < end; k += 32) {
                for (int j = 0; j < 2 && k + 16 * j < end; j++)
                    lay_token_pairs(g->x + t / PANEL * g->x_stride + (ptrdiff_t)(k + 16 * j) * PANEL, g->x_stride,
                                    least(end - k - 16 * j, 16), count, b + j * LAID);
                for (int n = 0; n < rows; n += 32)
                    multiply_tiles(&(result){.at = g->dw + (ptrdiff_t)(first + n) * g->k + k, .row = g->k, .down = 16 * g->k,
                                       .right = 16, .rows = least(rows - n, 32), .columns = least(end - k, 32), .adds = t > 0 || !g->replaces},
                             a + n / 16 * LAID, b, LAID, steps);
            }
        }
    }
    _tile_release();
}

const vit_bf16_kernels vit_bf16_amx = {"amx", PANEL, 32, gemm_nt, gemm_nn, gemm_tn};
