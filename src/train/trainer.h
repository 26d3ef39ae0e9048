/* A trainer inside the library.
 *
 * Tokens of all images of a batch stand one after another in dense token panels (kernels.h), image by image, without
 * padding between them: lane i of a matrix is token i % T of image i / T. Everything but attention works on blocks of
 * `block` panels, which are the unit that threads share; sums over tokens are made block by block and then over the
 * blocks in order, so the number of threads changes nothing. Attention takes one head of one image at a time. */
#ifndef VIT_TRAIN_TRAINER_H
#define VIT_TRAIN_TRAINER_H

#include "../base/threads.h"
#include "../kernels/kernels.h"
#include "../model/model.h"
#include "../vit_train.h"

/* What the forward pass of a layer leaves for its backward pass. */
typedef struct vit_kept {
    float *x;       /* D: the residual stream where the layer begins */
    float *qkv;     /* 3D */
    float *mixed;   /* D: attention's heads, before proj */
    float *middle;  /* D: the residual stream after attention */
    float *hidden;  /* what fc1 gives; the backward pass makes of it what fc2 takes, the first F channels */
} vit_kept;

/* Of a block of panels, [.. of the parameter]: the sums over its tokens. */
typedef struct vit_sums {
    int fc2_bias, fc1_bias, norm2, proj_bias, scale1, scale2, qkv_bias, norm1; /* where each begins; norms: gain, bias */
    int count;
} vit_sums;

/* A part of the parameters that is updated in one go. */
typedef struct vit_piece {
    size_t begin, count;
    int decays, frozen;
    double squares; /* of its gradient */
} vit_piece;

/* The convolutional part: convnet.h. */
typedef struct vit_convnet vit_convnet;

/* Where dropout is. */
typedef enum vit_site { VIT_SITE_POSITIONS, VIT_SITE_PROJ, VIT_SITE_HIDDEN, VIT_SITE_FC2 } vit_site;

struct vit_trainer {
    vit_train_options options;
    vit_allocator allocator;
    const vit_kernels *kernels;
    const vit_train_kernels *train;
    const vit_kernels *f32;     /* kernels, but for the products where those are of bfloat16 */
    const vit_bf16_kernels *products; /* those, or NULL */
    vit_kernels lent_kernels;   /* with them: what kernels and train are then */
    vit_train_kernels lent_train;
    vit_team *team, *alone;     /* alone: of one thread, for work that it does within a job of the team */
    vit_arena arena;
    vit_model *model, *average; /* average: NULL without one */
    float *parameters;          /* the model's weights, all of them, and padding that stays 0 */
    size_t parameter_count;
    float *gradients, *first, *second; /* [parameter_count]; second: NULL of SGD */
    vit_piece *pieces;
    int piece_count;

    int rows, columns, patches, tokens; /* patches and tokens of an image: T0, T */
    int prefix;                         /* tokens before the patches */
    int lanes, panels;                  /* tokens of the batch, and their panels */
    int block, blocks;                  /* panels of a block, and how many blocks there are */
    int image_panels;                   /* of one vector an image */
    size_t thread_scratch;              /* floats a thread */
    int drops;                          /* whether there is dropout or stochastic depth */
    int first_trained;                  /* the layer where the backward pass ends, -1: with what comes before them */
    int apart;                          /* whether what a branch adds is not just what its linear layer gives */
    int64_t batches, updates;           /* so far */

    float *input;                       /* [B,H,W,3] */
    /* Of models that predict patches; else NULL. `chosen` are the corrupted ones, patch i of image b being b T0 + i. */
    int cells;                          /* colours of a patch */
    uint8_t *kinds, *rgb;               /* [B,T0] of vit_patch_kind; [B,H,W,3]: the input */
    int32_t *sources, *labels;          /* [B,T0]: whose embedding a patch gets; [B,T0,cells] */
    int32_t *chosen;                    /* [chosen_count] */
    int chosen_count;
    double *patch_loss;                 /* [chosen_count], and colours that are right */
    int *patch_right;
    float *chunk_x, *chunk_y, *chunk_dx; /* panels of D, of what is predicted, of D: as many chosen as the head takes at once */
    float *targets;                     /* [B,N] */
    vit_convnet *convnet;               /* or NULL */
    float *pixels;                      /* panels of C P P: the patches; of maps, then their gradients */
    float *positions, *dpositions;      /* [T,D]: of the input or the present layer */
    float *distances;                   /* [B H][2T-1,K]: gradients of relative positions, by head; else NULL */
    vit_kept *kept;                     /* [L]; all the same buffers but for x where they are recomputed */
    float *x;                           /* panels of D: the residual stream after the last layer */
    float *normed[2];                   /* panels of D: norm1's and norm2's output, for the gradients of weights */
    float *dx[3];                       /* panels of D: the residual stream's gradient: after, within, before a layer */
    float *branch[2];                   /* panels of D: that of proj's and fc2's output where they stand apart, or NULL */
    float *embedded;                    /* panels of D: tokens before the norm before the layers, or NULL */
    float *dqkv, *dmixed, *dhidden;     /* panels of 3D, of D, and of what fc1 gives */
    float *sums;                        /* [blocks][vit_sums.count] */
    float *pooled[3], *dpooled[2];      /* image panels of D: as pooled, behind the final norm, behind pool_norm */
    float *pooled_rows;                 /* [B,D] */
    float *hidden, *dhead;              /* image panels of pre_logits, or NULL; of the head's inputs */
    float *scores, *dscores;            /* image panels of N */
    float *logits;                      /* [B,N], then their gradients in dlogits */
    float *dlogits;
    float *scratch;                     /* [threads][thread_scratch] */

    int corruption_is_given;            /* for tests: kinds and sources are the caller's */
    /* For tests: 0 or 1 for an element that dropout would choose by chance; NULL: by chance. */
    float (*keep)(void *context, vit_site site, int layer, int lane, int channel);
    void *keep_context;
};

/* What the network sees of a patch. */
enum vit_patch_kind { VIT_PATCH_WHOLE, VIT_PATCH_MASKED, VIT_PATCH_SWAPPED, VIT_PATCH_KEPT };

/* An option that is a number: VIT_ERR_ARGUMENT names the first that is out of its range, or NaN. */
typedef struct vit_range {
    const char *name;
    double value, least, most;
} vit_range;
vit_status vit_check_ranges(const vit_range *ranges, size_t count, vit_error *error);

static inline size_t vit_larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* How many parts of `size` hold `count`. */
static inline int vit_parts(int count, int size) {
    return (count + size - 1) / size;
}

vit_sums vit_sums_of(const vit_config *config);

static inline float *vit_scratch(const vit_trainer *t, int thread) {
    return t->scratch + (size_t)thread * t->thread_scratch;
}

/* The gradient of a parameter. */
static inline float *vit_gradient(const vit_trainer *t, const float *parameter) {
    return t->gradients + (parameter - t->parameters);
}

/* Panels of `channels` from panel p on. */
static inline float *vit_panel(const vit_trainer *t, float *panels, int channels, int p) {
    return panels + (size_t)p * (size_t)channels * (size_t)t->kernels->panel;
}

static inline size_t vit_panel_bytes(const vit_trainer *t, int channels, int count) {
    return (size_t)count * (size_t)channels * (size_t)t->kernels->panel * sizeof(float);
}

/* One block: its first panel and how many. */
typedef struct vit_span {
    int begin, count;
} vit_span;

static inline vit_span vit_span_of(const vit_trainer *t, int block) {
    const int begin = block * t->block;
    return (vit_span){begin, t->panels - begin < t->block ? t->panels - begin : t->block};
}

/* blocks.c: y = x wT + bias on `count` panels, and dx = dy w. All are dense, but those of x and dx may have more
 * channels than the layer's k, which come after them. */
void vit_train_linear(const vit_trainer *t, const float *x, int channels, const float *w, const float *bias, int k,
                      int n, int count, vit_epilogue epilogue, float *y);
void vit_train_linear_backward(const vit_trainer *t, const float *dy, const float *w, int k, int n, int count,
                               int channels, float *dx);
/* again: the layer's x is there, with its positions. */
void vit_forward_layer(vit_trainer *t, int layer, int again);
/* dx[0] -> dx[2], gradients of the layer's parameters. */
void vit_backward_layer(vit_trainer *t, int layer);
/* dx = dy + the gradient of LayerNorm(x)'s input, for `count` panels; sums [2D] += those of its gain and bias.
 * scratch: [2D][R] */
void vit_norm_backward_panels(const vit_trainer *t, const float *x, const float *gain, const float *dnormed, int count,
                              const float *dy, float *sums, float *scratch, float *dx);
/* A parameter's gradient += the sums of all blocks, in their order; none if there is no such parameter. */
void vit_add_sums(const vit_trainer *t, int at, int count, const float *parameter);

/* attention.c: kept->qkv -> kept->mixed; dmixed -> dqkv. */
void vit_train_attention_forward(vit_trainer *t, int layer);
void vit_train_attention_backward(vit_trainer *t, int layer);
size_t vit_train_attention_scratch(const vit_trainer *t);

/* gradients.c: dw += dyT x on dense panels, for a list of products that threads share. */
typedef struct vit_product {
    const float *dy, *x;
    float *dw;
    int n, k, lanes;
    int channels; /* of x's panels, the first k of which count; 0: k */
} vit_product;
void vit_products(vit_trainer *t, const vit_product *products, int count);

/* dropout.c: x, `count` panels of which the first is panel `begin` of the batch, times 0 or 1 / (1 - rate). */
void vit_drop(const vit_trainer *t, vit_site site, int layer, float *x, int channels, int begin, int count);

/* positions.c */
int vit_has_table(const vit_config *config); /* whether there are positions to add to tokens */
void vit_make_positions(vit_trainer *t, int layer);
void vit_add_positions(const vit_trainer *t, vit_span span, float *x); /* x: of the span */
/* Gradients of a layer's tables; of what tokens begin with: class token, registers, the patches' bias, the input's
 * tables. */
void vit_positions_backward(vit_trainer *t, int layer, const float *dx);
void vit_tokens_backward(vit_trainer *t, const float *dx);

/* convnet.c: takes its buffers from the arena, returns the floats that a thread needs. Pixels to the last map; the
 * gradient of that to those of all convolutions and norms. */
size_t vit_convnet_take(vit_trainer *t);
void vit_convnet_forward(vit_trainer *t);
void vit_convnet_backward(vit_trainer *t);
/* The last map and its gradient, of one image. */
typedef struct vit_map_shape {
    int height, width, channels;
    size_t floats; /* of an image */
} vit_map_shape;
vit_map_shape vit_convnet_shape(const vit_trainer *t);
const float *vit_convnet_map(const vit_trainer *t, int image);
float *vit_convnet_gradient(const vit_trainer *t, int image);

/* ends.c: pixels to tokens, tokens to logits, and back. */
void vit_forward_input(vit_trainer *t);
void vit_backward_input(vit_trainer *t);
void vit_forward_output(vit_trainer *t);
void vit_backward_output(vit_trainer *t);
/* Of all tokens, where there is one: returns them, normed. Its gradient: dx[1] -> dx[0]. */
const float *vit_final_norm(vit_trainer *t);
void vit_final_norm_backward(vit_trainer *t);

/* patches.c: the prediction of corrupted patches, in the place of pooling and head. */
int vit_patch_chunk(const vit_config *config, int panel); /* panels of chosen patches that the head takes at once */
/* Chooses what the next forward pass sees of which patch; labels of all. */
void vit_corrupt(vit_trainer *t);
/* The patch of the image whose pixels a token is made of; below 0: of none. */
int vit_patch_source(const vit_trainer *t, int lane);
/* Loss, right colours and all gradients from the last layer's output on, of which dx[0] goes back; times scale. */
double vit_patch_loss_backward(vit_trainer *t, double scale, vit_train_result *result);
/* dx[0] of the input's tokens. */
void vit_mask_token_backward(vit_trainer *t);

/* loss.c: loss of the logits and their gradient times `scale`. */
double vit_loss_backward(vit_trainer *t, double scale, int *correct);

/* adapt.c: a model of a configuration with all weights 0, for others' to be copied to. */
vit_status vit_model_empty(vit_model **out, const vit_config *config, const vit_options *options, vit_error *error);
/* A model of the same network with weights of its own, the same ones; standardised where the options have them so. */
vit_status vit_model_copy(vit_model **out, const vit_model *from, const vit_options *options, vit_error *error);

/* optimizer.c */
void vit_make_pieces(vit_trainer *t); /* counts where pieces is NULL */
/* The first layer whose weights are not all frozen, L if there is none; -1: what comes before the layers is trained. */
int vit_first_trained(const vit_trainer *t);
double vit_gradient_norm(vit_trainer *t);
void vit_update(vit_trainer *t, double norm);

#endif
