/* A session inside the library: buffers of one input size and batch, and the stages built from the configuration. */
#ifndef VIT_MODEL_SESSION_H
#define VIT_MODEL_SESSION_H

#include "../base/threads.h"
#include "../kernels/kernels.h"
#include "model.h"
#include "pace.h"

/* What a stage leaves behind that can be read, and where. */
typedef enum vit_view_kind {
    VIT_VIEW_NONE, VIT_VIEW_TOKENS, VIT_VIEW_MAP, VIT_VIEW_ATTENTION, VIT_VIEW_TABLE, VIT_VIEW_ROWS
} vit_view_kind;

typedef struct vit_view {
    vit_view_kind kind;
    const float *data;  /* TOKENS, MAP: panels [B*P][channels][R]; ATTENTION: [B,H,count,channels];
                         * TABLE: [1,count,channels]; ROWS: [B,channels] */
    int first, count;   /* TOKENS: of each image's tokens. MAP: columns and rows of pixels */
    int channels;
} vit_view;

typedef struct vit_stage {
    char name[24];
    void (*run)(vit_session *session, int index);
    int index; /* of the layer or residual unit */
    int layer; /* -1: none */
    int slots; /* of the model, in forward order: those that it and the stages before it read */
    double flops, milliseconds;
    vit_view view;
} vit_stage;

/* A stack of blocks: the encoder's, or a decoder's. */
typedef struct vit_trunk {
    const vit_block *blocks;
    int width, heads, mlp_width; /* D, H, F */
} vit_trunk;

struct vit_session {
    const vit_model *model;
    vit_allocator allocator;
    const vit_kernels *kernels;
    const vit_int8_kernels *int8;     /* NULL: all is f32 */
    char kernels_name[64];            /* of both */
    char allowed[64];                 /* what the options say of kernels, "" for nothing */
    struct vit_trial *trial;          /* where tuning tries them; NULL: there is no choice */
    vit_team *team;
    vit_pace pace;
    int threads;                      /* of the team that the present stage has */
    vit_arena arena;
    int height, width, rows, columns; /* pixels; patches */
    int patches, prefix, tokens, panels; /* of one image: T0, tokens before the patches, T, P = ceil(T/R) */
    vit_trunk trunk;                  /* that runs; tokens and panels are those that it sees */
    int masked, visible;              /* 1: hidden patches are predicted; patches that are not hidden, of each image */
    int batch;
    size_t thread_scratch;            /* floats a thread: scores of two panels of queries, or wide rows of weights */

    float *input;      /* [B,height,width,3] */
    float *positions;  /* [T,D], for this grid; of relative ones the layer's [2T-1,K]; or NULL */
    int has_positions;
    struct {           /* maps, where there are convolutions */
        float *main;   /* what a residual unit starts from, and what it makes of it */
        float *side;   /* its shortcut, or the main one normalised; the stem's convolution */
        float *wide, *narrow; /* between its convolutions, before the stride and after it */
    } maps;
    uint8_t *hidden_patches; /* [B,T0], or NULL */
    float *decoder_positions; /* [T,D'], or NULL; made by the first run */
    int has_decoder_positions;
    float *x;          /* panels [B*P][D][R]: the residual stream; D here and below is the larger one of two trunks */
    float *normed;     /* panels of D: LayerNorm's output; attention's output */
    float *wide;       /* panels of max(3D, F (SwiGLU: 2F), 3*patch pixels): im2col patches, then qkv, then the MLP's
                        * hidden layer; what positions are made in */
    struct {           /* what int8 kernels read, or NULL */
        void *tokens;  /* quantised panels of the widest layer's inputs */
        float *scale;  /* [B*P*R], and so the zero points */
        int32_t *zero;
        void *q, *k;   /* [B,H] quantised panels of K */
        float *q_scale, *k_scale; /* [B,H,P*R], and so zero points and sums */
        int32_t *q_zero, *k_sum;
    } quantized;
    float *attention;  /* [B,H,T,T] of the layer that ran last, or NULL */
    float *scratch;    /* [threads][thread_scratch] */
    float *pooled;     /* panels [ceil(B/R)][pooled width][R]: one vector an image */
    struct {           /* of attention pooling, or NULL */
        float *query;  /* one panel of D */
        float *attention;       /* [B,H,1,T0] */
        float *mixed, *hidden;  /* panels of D and F, one vector an image */
    } map;
    float *pooled_dist; /* panels of D: the distillation token, or NULL */
    float *hidden;     /* panels of pre_logits, or of a projection; or NULL */
    float *scores;     /* panels of N, or NULL */
    float *features;   /* [B, feature width]; before, what it is made of */
    float *logits;     /* [B,N], or NULL */
    float *dist_logits; /* [B,N] of the distillation token, or NULL */

    vit_stage *stages; /* [stage_count] */
    int stage_count, next;
    double flops;      /* of all of them */
};

/* tune.c's memory, and whether there is anything to tune. */
enum { VIT_TRIAL_DEPTH = 192 }; /* inputs of its layer */
size_t vit_trial_bytes(void);
int vit_session_has_choice(const vit_session *session);
/* Writes kernels_name. */
void vit_session_name_kernels(vit_session *session);

/* One token of panels [B*P][channels][R]: its channels lie R floats apart. */
static inline const float *vit_token_lane(const vit_session *s, const float *panels, int image, int token,
                                          int channels) {
    int r = s->kernels->panel;
    return panels + (size_t)(image * s->panels + token / r) * channels * r + token % r;
}

/* The stages of a ViT, in order, and the session's flops; NULL: only counts. */
int vit_stages_make(vit_session *session, vit_stage *stages);

#endif
