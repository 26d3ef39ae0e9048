/* kernels.h - arithmetic on token panels: tables of functions for each instruction set and tile.
 *
 * A panel matrix holds T tokens of C channels as [ceil(T/R)][C][R] f32: R tokens lie side by side and are the vector
 * dimension, R = kernels->panel. Weights stay row-major [N,K], as files have them, and are the splat operand: no copy of
 * them is kept. The last panel is padded to R lanes; what pad lanes hold is finite but means nothing. Each image of a
 * batch starts at a panel border. Nothing is read or written outside the matrices as described, ever.
 *
 * Every body is written once (tile.inc, rows.inc, gemm.inc, int8.inc, train.inc) over the vocabulary of vec_<isa>.h;
 * kernels_<isa>.c includes them, once a tile where an instruction set has several; kernels_amx.c has bodies of its own.
 * kernels.def lists every table for dispatch, which tests and bench walk, so none exists untested. */
#ifndef VIT_KERNELS_KERNELS_H
#define VIT_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* What happens to a tile of a GEMM's result while it is in L1. */
typedef enum vit_epilogue {
    VIT_EPILOGUE_STORE,
    VIT_EPILOGUE_ADD,        /* y += result: residual connections, gradient accumulation */
    VIT_EPILOGUE_GELU_ERF,
    VIT_EPILOGUE_GELU_TANH,
    VIT_EPILOGUE_GELU_QUICK, /* x * sigmoid(1.702 x) */
    VIT_EPILOGUE_TANH
} vit_epilogue;

/* K rounded up to the groups of 4 that int8 kernels read. */
static inline size_t vit_int8_columns(size_t k) {
    return (k + 3) / 4 * 4;
}

/* ---- f32 ---- */

/* A linear layer y = x wT + bias, and the product of its backward pass that has the same form. Panel matrices may be
 * part of wider ones: stride is the distance in floats between the starts of two panels (channels * R where they are
 * dense). */
typedef struct vit_gemm {
    const float *w;      /* [N,K] row-major */
    const float *bias;   /* [N], or NULL */
    const float *x;      /* panels of K channels; of N channels in gemm_nn */
    float *y;            /* panels of N channels; of K channels in gemm_nn */
    ptrdiff_t x_stride, y_stride;
    int n, k;            /* N outputs, K inputs of the layer */
    int panels;
    int tokens;          /* of an image, which are ceil(tokens / R) of the panels; gemm_nt may leave out lanes without a
                          * token. 0: every lane counts */
    int ahead;           /* outputs from some to those that the same thread does next, whose weights gemm_nt asks the
                          * memory for meanwhile; 0: not known */
    vit_epilogue epilogue;
} vit_gemm;

/* Group norm of an image: y = relu((x - mean) / sqrt(var + eps) * gain + bias + residual), mean and population variance of
 * a group of neighbouring channels over all tokens, in two passes. Dense panels of C channels; y may be x or residual. */
typedef struct vit_group_norm {
    const float *x;
    const float *gain, *bias; /* [C] */
    const float *residual;    /* NULL: none */
    float *y;                 /* pad lanes become 0 */
    double *statistics;       /* [groups][2]: gets mean and variance, for the gradient; NULL: not wanted */
    int channels, groups;     /* C, a multiple of groups */
    int tokens;
    float eps;
    int relu;                 /* 0: without it */
} vit_group_norm;

/* One pixel of the windows that a convolution at every pixel has around a panel of them: R neighbours of the map, the
 * first R - split of them in one panel, the others in another. */
typedef struct vit_tap {
    ptrdiff_t first, second; /* where they are in their panels' first channel: the first of them, and lane 0 */
    int split;               /* 0 to R - 1 */
    uint32_t missing;        /* lanes that are outside the map: what is there becomes 0 */
} vit_tap;

/* softmax(scale * q kT) v for one head and a group of panels of queries of one image. q, k and v are column blocks of
 * one panel matrix, as the fused qkv layer writes it: head h has q at channel h*K, k at D + h*K, v at 2D + h*K (K =
 * head width, D = heads * K). */
typedef struct vit_attend {
    const float *qkv;    /* panels of the image */
    float *out;          /* panels of D channels; head h writes channels h*K.. */
    ptrdiff_t qkv_stride, out_stride;
    int tokens, heads, head_width;
    float scale;
    float *capture;      /* [H,T,T] softmax probabilities of this image, query-major, or NULL */
} vit_attend;

typedef struct vit_kernels {
    const char *name;    /* "relaxed:6x8": the instruction set, and outputs x tokens of a tile */
    int panel;           /* R, tokens per panel: 8 or 16 */
    int row_step;        /* outputs that chunks of gemm_nt should be a multiple of */
    int query_panels;    /* that attention takes at a time, at most */

    /* y = epilogue(x wT + bias): rows [begin,end) of w, i.e. output channels, of every panel. */
    void (*gemm_nt)(const vit_gemm *g, int begin, int end);
    /* SwiGLU, of one panel of 2 * channels: the first half becomes silu(first half) * second half; silu(x) = x sigmoid(x). */
    void (*gate)(float *x, int channels);
    /* y = (x - mean) / sqrt(var + eps) * gain + bias over the channels of each token, panels [begin,end). Population
     * variance in two passes. x and y: dense panels of `width` channels, may be the same. */
    void (*layernorm)(const float *x, const float *gain, const float *bias, float eps, int width, float *y, int begin,
                      int end);
    /* Groups [begin,end). */
    void (*groupnorm)(const vit_group_norm *g, int begin, int end);
    /* The columns of a panel of windows, out [channels][taps][R], of panels x with so many channels. */
    void (*columns)(const float *x, const vit_tap *taps, int count, int channels, float *out);
    /* Attention of the query panels [query, query + count), count <= query_panels: the scores go to `scores`, [count]
     * [ceil(T/R) * R keys][R] floats, one such block a thread; then mix makes softmax and output of them. */
    void (*score)(const vit_attend *a, int head, int query, int count, float *scores);
    void (*mix)(const vit_attend *a, int head, int query, int count, float *scores);

    /* Runs `iterations` rounds of register-only multiply-adds; returns how many flops that was. For the peak. */
    double (*peak)(int iterations, float *sink);
} vit_kernels;

/* ---- int8 ----
 * Weights are signed 8-bit integers per output channel, w = w_scale q, |q| <= 127. Activations are unsigned 7-bit
 * integers per token, x = x_scale (u - zero), 0 <= u, zero <= 127. Sums are exact in 32 bits (K < 130,000), so every
 * table gives the same integers: no product of instructions that saturate in 16 bits ever does. */

/* Quantised panels: K channels as [ceil(K/4) * 4 / depth][R][depth]; R lanes of `depth` neighbouring channels, 4 bytes a
 * lane in all. Channels past K are 0. Scales and zero points lie apart, [panels * R]. */
typedef struct vit_int8_gemm {
    const int8_t *w;        /* [N, ceil(K/4) * 4] row-major; columns past K are 0 */
    const float *w_scale;   /* [N] */
    const int32_t *w_sum;   /* [N]: of the row's integers */
    const float *bias;      /* [N], or NULL */
    const void *x;          /* dense quantised panels of K channels */
    const float *x_scale;
    const int32_t *x_zero;
    float *y;               /* panels of N channels */
    ptrdiff_t y_stride;
    int n, k, panels;
    vit_epilogue epilogue;
} vit_int8_gemm;

/* One head's queries and keys of an image, quantised panel by panel: what score takes instead of f32's. */
typedef struct vit_int8_heads {
    const void *q, *k;           /* dense quantised panels of K channels */
    const float *q_scale;
    const int32_t *q_zero;
    const float *k_scale;        /* times the softmax's scale */
    const int32_t *k_sum;
    int tokens, head_width;
} vit_int8_heads;

typedef struct vit_int8_kernels {
    const char *name;    /* "relaxed,dot:6x8": for the f32 tables of this instruction set */
    int panel, row_step, query_panels;
    int depth;           /* 4, or 2 where the integers are 16 bits wide */

    /* One panel of k channels. zero-range tokens are exact; NaN makes the token's scale NaN. */
    void (*quantize)(const float *x, int k, void *q, float *scale, int32_t *zero);
    /* The same symmetrically, as keys are: |q| <= 127, scale times `factor`, and the sum of each token's integers. */
    void (*quantize_keys)(const float *x, int k, float factor, void *q, float *scale, int32_t *sum);
    /* Like gemm_nt. scratch: gemm_scratch(k) bytes, one such block a thread. */
    void (*gemm)(const vit_int8_gemm *g, int begin, int end, void *scratch);
    size_t (*gemm_scratch)(int k);
    /* Like score. */
    void (*score)(const vit_int8_heads *h, int query, int count, float *scores);
} vit_int8_kernels;

/* ---- Training ---- */

/* dW[N,K] += dYT X over all tokens: tokens is how many lanes of all panels count (pad lanes of the last do not). A part
 * of the rows is another dy, dw and n. */
typedef struct vit_gemm_tn {
    const float *dy;     /* panels of N channels */
    const float *x;      /* panels of K channels */
    float *dw;           /* [N,K] row-major */
    ptrdiff_t dy_stride, x_stride;
    int n, k;
    int tokens;          /* ceil(tokens / R) panels */
    int replaces;        /* what dw holds, instead of being added to it */
} vit_gemm_tn;

/* Some tokens, the first of which is lane `first` of panels, and the same tokens as rows: [tokens][row_stride], of which
 * `channels` count. Whichever is written, nothing else of it is. */
typedef struct vit_transfer {
    float *panels;
    ptrdiff_t stride;
    float *rows;
    ptrdiff_t row_stride;
    int first, tokens, channels;
} vit_transfer;

/* dx += the gradient of a LayerNorm's input, dgain and dbias [width] += those of its parameters. x, dy and dx: dense
 * panels; dy of pad lanes is 0. scratch: [2 * width * R] */
typedef struct vit_norm_backward {
    const float *x, *gain, *dy;
    float *dx, *dgain, *dbias, *scratch;
    float eps;
    int width;
} vit_norm_backward;

/* The gradient of a group norm's input, of an image as in vit_group_norm. */
typedef struct vit_group_backward {
    const float *x, *y;   /* y: what relu gave; NULL: there was none */
    const double *statistics; /* [groups][2]: as groupnorm found them */
    const float *gain;
    float *dy;            /* becomes that before relu; pad lanes are 0 */
    float *dx;            /* may be dy */
    float *dresidual;     /* gets dy before relu, or NULL */
    float *sums;          /* [2,C]: become the gradients of gain and bias */
    int channels, groups, tokens;
    float eps;
    int adds, residual_adds; /* to what dx and dresidual hold, instead of replacing it */
} vit_group_backward;

/* For the f32 tables of the instruction set that is its name. */
typedef struct vit_train_kernels {
    const char *name;
    /* y = epilogue(x w): x has N channels, y has K; output channels [begin,end) of K. bias is ignored. The dX
     * product. */
    void (*gemm_nn)(const vit_gemm *g, int begin, int end);
    /* Columns [begin,end) of dw. */
    void (*gemm_tn)(const vit_gemm_tn *g, int begin, int end);
    void (*to_rows)(const vit_transfer *t);
    void (*to_panels)(const vit_transfer *t);
    /* sums[channels] += the sums over all lanes of dense panels [begin,end). */
    void (*sum_tokens)(const float *x, int channels, float *sums, int begin, int end);
    /* Panels [begin,end). */
    void (*layernorm_backward)(const vit_norm_backward *b, int begin, int end);
    /* Groups [begin,end). */
    void (*groupnorm_backward)(const vit_group_backward *b, int begin, int end);
    /* `count` values, a multiple of R: x = epilogue(x); the same with dy times the derivative at the x that was. GELUs. */
    void (*activate)(vit_epilogue epilogue, float *x, size_t count);
    void (*activation_backward)(vit_epilogue epilogue, float *x, float *dy, size_t count);
    /* A panel of 2 * channels, as before gate: the first half of x becomes what gate makes of it, dy, of which the first
     * half is the gradient of that, the gradient of x. */
    void (*gate_backward)(float *x, float *dy, int channels);
    /* One panel of queries, [keys][R]: scores become p = softmax(scale s), scale > 0; dp, its gradient, that of s. */
    void (*softmax)(float *s, int keys, float scale);
    void (*softmax_backward)(const float *p, float *dp, int keys, float scale);
} vit_train_kernels;

/* Training's products, their factors rounded to bfloat16 (to nearest even), their sums in f32: an eighth of the time and
 * less. Of epilogues, STORE and ADD. */
typedef struct vit_bf16_kernels {
    const char *name;
    int panel, row_step;
    void (*gemm_nt)(const vit_gemm *g, int begin, int end);
    void (*gemm_nn)(const vit_gemm *g, int begin, int end);
    void (*gemm_tn)(const vit_gemm_tn *g, int begin, int end);
} vit_bf16_kernels;

/* ---- Tables that this host can run, best first; NULL past the end ---- */

const vit_kernels *vit_kernels_at(int index);
const vit_int8_kernels *vit_int8_kernels_at(int index);
const vit_train_kernels *vit_train_kernels_at(int index);
const vit_bf16_kernels *vit_bf16_kernels_at(int index);

/* name is ISA[:TILE][,INT8[:TILE]], e.g. "relaxed", "relaxed:6x8", "relaxed,i16pair", "relaxed:6x16,dot:6x16"; what is
 * left out is the best, and NULL the best of all. NULL if there is none or the host lacks it. */
const vit_kernels *vit_kernels_find(const char *name);
const vit_int8_kernels *vit_int8_kernels_find(const char *name);
/* Whether the choice of a name takes in this table, of f32 or int8, by its name. */
int vit_kernels_allows(const char *name, const char *table);
/* Whether two names begin with the same instruction set. */
int vit_kernels_same_isa(const char *a, const char *b);
/* The ones for the instruction set of an f32 table; NULL if there are none. */
const vit_train_kernels *vit_train_kernels_for(const vit_kernels *kernels);

#endif
