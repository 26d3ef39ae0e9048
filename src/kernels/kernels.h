/* kernels.h - arithmetic on token panels: one table of functions for each instruction set and tile.
 *
 * A panel matrix holds T tokens of C channels as [ceil(T/R)][C][R] f32: R tokens lie side by side and are the vector
 * dimension, R = kernels->panel. Weights stay row-major [N,K], as files have them, and are the splat operand: nothing
 * is packed. The last panel is padded to R lanes; what pad lanes hold is finite but means nothing. Each image of a
 * batch starts at a panel border. Nothing is read or written outside the matrices as described, ever.
 *
 * Every body is written once (gemm.inc, rows.inc) over the vocabulary of vec_<isa>.h; kernels_<isa>.c includes both.
 * kernels.def lists every table; dispatch, tests and bench include it, so none exists untested. */
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

/* The three products of a linear layer y = x wT + bias and of its backward pass. Panel matrices may be part of wider
 * ones: stride is the distance in floats between the starts of two panels (channels * R where they are dense). */
typedef struct vit_gemm {
    const float *w;      /* [N,K] row-major */
    const float *bias;   /* [N], or NULL */
    const float *x;      /* panels of K channels; of N channels in gemm_nn */
    float *y;            /* panels of N channels; of K channels in gemm_nn; unused in gemm_tn */
    ptrdiff_t x_stride, y_stride;
    int n, k;            /* N outputs, K inputs of the layer */
    int panels;
    vit_epilogue epilogue;
} vit_gemm;

/* dW[N,K] += dYT X over all tokens: tokens is how many lanes of all panels count (pad lanes of the last do not). */
typedef struct vit_gemm_tn {
    const float *dy;     /* panels of N channels */
    const float *x;      /* panels of K channels */
    float *dw;           /* [N,K] row-major, added to */
    ptrdiff_t dy_stride, x_stride;
    int n, k;
    int tokens;          /* ceil(tokens / R) panels */
} vit_gemm_tn;

/* softmax(scale * q kT) v for one head and one panel of queries of one image. q, k and v are column blocks of one panel
 * matrix, as the fused qkv layer writes it: head h has q at channel h*K, k at D + h*K, v at 2D + h*K (K = head width,
 * D = heads * K). */
typedef struct vit_attend {
    const float *qkv;    /* panels of the image */
    float *out;          /* panels of D channels; head h writes channels h*K.. */
    ptrdiff_t qkv_stride, out_stride;
    int tokens, heads, head_width;
    float scale;
    float *capture;      /* [H,T,T] softmax probabilities of this image, query-major, or NULL */
} vit_attend;

typedef struct vit_kernels {
    const char *name;    /* "relaxed:6x8" */
    int panel;           /* R, tokens per panel: 8 or 16 */
    int row_step;        /* outputs that chunks of gemm_nt should be a multiple of */

    /* y = epilogue(x wT + bias): rows [begin,end) of w, i.e. output channels, of every panel. */
    void (*gemm_nt)(const vit_gemm *g, int begin, int end);
    /* y = epilogue(x w): x has N channels, y has K; output channels [begin,end) of K. bias is ignored. The dX
     * product. */
    void (*gemm_nn)(const vit_gemm *g, int begin, int end);
    /* rows [begin,end) of dw. */
    void (*gemm_tn)(const vit_gemm_tn *g, int begin, int end);

    /* y = (x - mean) / sqrt(var + eps) * gain + bias over the channels of each token, panels [begin,end). Population
     * variance in two passes. x and y: dense panels of `width` channels, may be the same. */
    void (*layernorm)(const float *x, const float *gain, const float *bias, float eps, int width, float *y, int begin,
                      int end);
    /* scratch: attend_scratch(tokens) floats, one per thread. */
    void (*attend)(const vit_attend *a, int head, int query_panel, float *scratch);
    size_t (*attend_scratch)(int tokens);

    /* Runs `iterations` rounds of register-only multiply-adds; returns how many flops that was. For the peak. */
    double (*peak)(int iterations, float *sink);
} vit_kernels;

/* Tables this host can run, best first; NULL past the end. */
const vit_kernels *vit_kernels_at(int index);
/* By name; "isa" alone finds its best tile; NULL name: the best of all. NULL if there is none or the host lacks it. */
const vit_kernels *vit_kernels_find(const char *name);

#endif
