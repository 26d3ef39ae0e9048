/* vit.h - Vision Transformers ("An Image is Worth 16x16 Words") in portable C: load and run.
 *
 *     vit_error error;
 *     vit_model *model;
 *     vit_session *session;
 *     if (vit_model_open(&model, "vit.gguf", NULL, NULL, &error)) { puts(error.text); return 1; }
 *     if (vit_session_open(&session, model, NULL, &error)) ...
 *     memcpy(vit_session_input(session, 0), pixels, ...);          // [H,W,3] normalised f32
 *     vit_session_run(session, &error);
 *     const float *logits = vit_session_logits(session, 0);        // [N]
 *     vit_session_close(session);
 *     vit_model_close(model);
 *
 * A model holds weights and configuration, never changes, and may be shared between threads. A session is one inference
 * timeline: it owns every byte that changes, for one input size and batch. Pictures and tasks are in vit_tasks.h.
 *
 * Letters, here and in every file: B batch, T tokens, T0 patch tokens, D width, H heads, K head width,
 * F MLP width, P patch side, N classes, L layers.
 *
 * Errors: calls that can fail return a vit_status (VIT_OK is 0) and write a sentence that names the thing, what was expected
 * and what was found into *error, the caller's, or NULL. On failure every out parameter is NULL, and nothing leaks. Closing
 * NULL is allowed. */
#ifndef VIT_H
#define VIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VIT_VERSION "0.1.0"

/* ---- Errors ---- */

/* name, pinned value, the code JavaScript users see */
#define VIT_STATUS_LIST(X)                    \
    X(OK, 0, "ok")                            \
    X(ERR_ARGUMENT, 1, "argument")            \
    X(ERR_OUT_OF_MEMORY, 2, "out-of-memory")  \
    X(ERR_IO, 3, "io")                        \
    X(ERR_TRUNCATED, 4, "truncated")          \
    X(ERR_FORMAT, 5, "format")                \
    X(ERR_UNSUPPORTED, 6, "unsupported")      \
    X(ERR_SHAPE, 7, "shape")                  \
    X(ERR_MISSING_TENSOR, 8, "missing-tensor") \
    X(ERR_CONFIG, 9, "config")                \
    X(ERR_IMAGE, 10, "image")                 \
    X(ERR_LIMIT, 11, "limit")                 \
    X(ERR_CANCELLED, 12, "cancelled")

typedef enum vit_status {
#define VIT_STATUS_ENUM(name, value, code) VIT_##name = value,
    VIT_STATUS_LIST(VIT_STATUS_ENUM)
#undef VIT_STATUS_ENUM
} vit_status;

typedef struct vit_error {
    vit_status status;
    char text[500];
} vit_error;

/* "out-of-memory" and so on; "unknown" for a value not in the list. */
const char *vit_status_name(vit_status status);

/* ---- Options ---- */

/* All memory comes from here. alloc returns NULL on failure; the block is aligned to 16 bytes. */
typedef struct vit_allocator {
    void *(*alloc)(void *context, size_t bytes);
    void (*release)(void *context, void *block);
    void *context;
} vit_allocator;

/* What a hostile input may cost. Each limit is named in the error it causes. */
typedef struct vit_limits {
    uint64_t file_bytes;    /* largest weight or picture file that is read         (8 GiB) */
    uint64_t header_bytes;  /* largest header of a weight file                    (32 MiB) */
    uint64_t config_bytes;  /* largest config.json or other JSON beside it         (8 MiB) */
    uint64_t image_pixels;  /* largest picture, width x height; 16 bits count twice (100 M) */
    uint32_t image_side;    /* largest width or height of a picture               (65,535) */
    uint32_t tensors;       /* most tensors or metadata entries in a file        (100,000) */
    uint32_t json_depth;    /* deepest nesting of a JSON text                         (64) */
    uint32_t tokens;        /* most tokens of one image in a session              (65,536) */
    uint32_t layers;        /* most layers of a model                              (1,024) */
} vit_limits;

/* Of linear layers before the head and scores of attention; the rest is f32. INT8: weights are 8-bit integers with a scale
 * for each output channel, activations are rounded to 7 bits with a scale and a zero point for each token. */
typedef enum vit_compute { VIT_COMPUTE_F32, VIT_COMPUTE_INT8 } vit_compute;

typedef struct vit_options {
    vit_limits limits;
    vit_allocator allocator;
    vit_compute compute; /* of models that are loaded with these options */
    int raw_weights;     /* 1: kernels of convolutions stay as stored, not standardised: to be saved, not to be run */
} vit_options;

/* Safe defaults and the C allocator. Wherever options may be NULL these are used. */
vit_options vit_default_options(void);

/* ---- Configuration: what a checkpoint means; travels inside GGUF, or comes from config.json ---- */

typedef enum vit_activation { VIT_GELU_ERF, VIT_GELU_TANH, VIT_GELU_QUICK } vit_activation;

/* A Vision Transformer, with a ResNet in front of it or not; a ResNetV2 with group norm. */
typedef enum vit_network { VIT_NETWORK_VIT, VIT_NETWORK_BIT } vit_network;

/* How the token sequence becomes one feature vector. */
typedef enum vit_pool {
    VIT_POOL_CLASS,     /* the class token */
    VIT_POOL_MEAN,      /* mean of the patch tokens ("GAP", appendix D.3) */
    VIT_POOL_MAP,       /* a learned query attends to all tokens, then an MLP (big_vision, SigLIP) */
    VIT_POOL_CLASS_MEAN /* the class token, then the mean of the patch tokens: [2D] (DINOv2) */
} vit_pool;

/* Position embeddings (appendix D.4): what they are, and where they are added. */
typedef enum vit_pos_kind {
    VIT_POS_NONE,
    VIT_POS_1D,       /* a row for each token */
    VIT_POS_2D,       /* pos_x [columns,D/2] and pos_y [rows,D/2], side by side; pos_cls [1,D] */
    VIT_POS_RELATIVE, /* rel_embed [2T-1,D/H] of each layer: a query also meets the row of its distance to the key */
    VIT_POS_SINCOS2D  /* computed (big_vision) */
} vit_pos_kind;
/* Before the first layer; before every layer, each with a table of its own; before every layer, all with one. */
typedef enum vit_pos_placement { VIT_POS_INPUT, VIT_POS_LAYERS, VIT_POS_SHARED } vit_pos_placement;

typedef enum vit_mlp { VIT_MLP_PLAIN, VIT_MLP_SWIGLU /* fc1 [2F,D], the gate first */ } vit_mlp;

/* Whose convolutions: fixes standardisation of weights, epsilons and padding. */
typedef enum vit_resnet_kind { VIT_RESNET_HYBRID_JAX, VIT_RESNET_HYBRID_TIMM, VIT_BIT_TRANSFER, VIT_BIT_TIMM,
                               VIT_BIT_VISION } vit_resnet_kind;
typedef struct vit_resnet {
    int stages, units[4];  /* how many, and residual units in each; 0: the stem alone */
    int stem_width, width; /* channels of the stem, 0: no convolutional part; the middle ones of the first stage */
    vit_resnet_kind kind;
    int root_size, root_stride, norm_groups; /* of the stem's convolution; of a norm's channels; 0: 7, 2 and 32 */
} vit_resnet;

/* From tokens to hidden patches: a network that only visible tokens enter (MAE); or a layer, where a learned token stands
 * for hidden ones: to pixels (SimMIM), or (appendix B.1.2) to the mean of 512 colours, those of 4x4 cells, or pixels. */
typedef enum vit_decoder_kind { VIT_DECODER_NONE, VIT_DECODER_MAE, VIT_DECODER_SIMMIM, VIT_DECODER_MEAN3BIT,
                                VIT_DECODER_DOWN4X4, VIT_DECODER_REGRESSION } vit_decoder_kind;
typedef struct vit_decoder {
    vit_decoder_kind kind;
    int layers, width, heads, mlp_width; /* of MAE */
    int norm_pixels;                     /* 1: pixels are predicted as they are in patches of mean 0 and variance 1 */
} vit_decoder;

/* Interpolation of position embeddings to another grid: the rule of the checkpoint's source. */
typedef enum vit_resample {
    VIT_RESAMPLE_TIMM,     /* bicubic a=-0.5 with antialias, Pillow's weights: timm resample_abs_pos_embed */
    VIT_RESAMPLE_HF,       /* bicubic a=-0.75, half-pixel, no antialias: transformers interpolate_pos_encoding */
    VIT_RESAMPLE_BILINEAR, /* bilinear, half-pixel, no antialias: timm's npz loader */
    VIT_RESAMPLE_JAX       /* bilinear, corner-aligned: vit_jax and big_vision, scipy zoom(order=1) */
} vit_resample;

/* Pillow's filters, plus TensorFlow's bilinear without antialias (f32 in between). */
typedef enum vit_filter {
    VIT_FILTER_NEAREST, VIT_FILTER_BOX, VIT_FILTER_BILINEAR, VIT_FILTER_HAMMING, VIT_FILTER_BICUBIC,
    VIT_FILTER_LANCZOS, VIT_FILTER_TF_BILINEAR
} vit_filter;

typedef enum vit_crop {
    VIT_CROP_CENTER, /* short side to floor(size / crop_pct), then the middle (timm) */
    VIT_CROP_SQUASH, /* both sides to the size, aspect ratio lost (Hugging Face ViT; timm's squash) */
    VIT_CROP_BORDER, /* long side to fit, padded with the mean (timm's border) */
    VIT_CROP_SHORT_FLOOR, /* short side to floor(least side / crop_pct), then the middle, its offset rounded down (HF) */
    VIT_CROP_SQUASH_FLOOR /* squash with such a middle */
} vit_crop;

typedef struct vit_preprocess {
    float mean[3], std[3];    /* of pixels in 0..1 */
    vit_filter filter;
    vit_crop crop;
    double crop_pct;          /* 0 < crop_pct <= 1 */
    int height, width;        /* what the network is fed by default, pixels */
} vit_preprocess;

typedef struct vit_config {
    vit_network network;
    int layers, width, heads, mlp_width, classes; /* L, D, H, F, N; classes 0: no head */
    int patch_height, patch_width;                /* pixels; behind a ResNet: of its last map */
    int image_height, image_width;                /* pixels: the size position embeddings are stored for */
    vit_activation activation;
    vit_mlp mlp;
    float norm_eps;                               /* of every LayerNorm */
    vit_pool pool;
    int class_token, dist_token, registers;       /* how many, 0 or 1 of the first two; before the patches, in this order */
    int pos_class, pos_registers;                 /* 1: the position table begins with rows of the first two, of registers */
    vit_pos_kind pos_kind;
    vit_pos_placement pos_placement;
    vit_resample pos_resample;
    int patch_bias, qkv_bias;                     /* 1: there is one */
    int layer_scale;                              /* 1: branches are scaled before they are added: ls1.gamma, ls2.gamma */
    int pre_norm, final_norm;                     /* 1: LayerNorm over the tokens before the first layer, before pooling */
    int pool_norm;                                /* 1: LayerNorm after pooling (timm's fc_norm) */
    int pre_logits;                               /* width of the hidden layer with tanh before the head; 0: none */
    int head_dist;                                /* 1: logits are the mean with head_dist's, of the distillation token */
    int projection;                               /* width of a linear layer without bias after pooling (CLIP); 0: none */
    int axial;                                    /* 1: a layer is two blocks, attention in rows, then in columns */
    vit_resnet resnet;
    vit_decoder decoder;
    vit_preprocess preprocess;
    int multi_label;                              /* 1: scores are sigmoids, each of its own logit, not one softmax */
    int known_percent;                            /* a picture with a lower best score is of no class; 0: nobody knows */
    char architecture[64];                        /* e.g. "vit_tiny_patch16_224"; for people */
    char label_set[32];                           /* "imagenet-1k" where the source says so and names no labels */
} vit_config;

/* ---- Weight files ---- */

typedef enum vit_dtype { VIT_F32, VIT_F16, VIT_BF16, VIT_F64, VIT_Q8_0, VIT_Q4_0, VIT_DTYPE_OTHER } vit_dtype;

typedef struct vit_tensor_info {
    const char *name;     /* as the file has it; lives as long as its owner */
    const char *type;     /* the file's own word: "F32", "BF16", "Q8_0", ... */
    vit_dtype dtype;
    int rank;
    int64_t shape[8];     /* slowest dimension first */
    uint64_t offset;      /* of the data, from the start of the file */
    uint64_t bytes;
    int used;             /* set by an import: 1 if the model took it */
} vit_tensor_info;

/* ---- Models ---- */

typedef struct vit_model vit_model;

/* Opens a weight file, or a folder with model.gguf, model.safetensors, model.safetensors.index.json and its files, or
 * model.npz; config.json and, unless it is timm's, processor_config.json or else preprocessor_config.json beside it are read,
 * but not beside what says all itself: a GGUF, or what vit_model_save() wrote. config_path, if not NULL, is read instead of
 * that config.json, and overrides such a file: timm's, Hugging Face's, or a golden case.json's keys. One copy of weights is held. */
vit_status vit_model_open(vit_model **out, const char *path, const char *config_path, const vit_options *options,
                          vit_error *error);
void vit_model_close(vit_model *model);

/* The same from a stream. Configs first (any number, later ones win), then bytes in any pieces, then finish, which hands the
 * model over; close frees the loader, whether or not it finished. After a failed call only close is useful. Bytes are
 * pushed; or space() says where the next may be written without a copy, and how many at most (at least 1), and commit() that
 * the first so many of them are there.
 *
 * Weights in several files: index() takes model.safetensors.index.json before any bytes. Before the first byte of a file,
 * source() may say its size (else UINT64_MAX) and whether it can be read anywhere. next() says which bytes are wanted: of the
 * file of that name (NULL: the only one), from offset on; 0 when all have come. Of several files come first all headers, then
 * the rest of each, in that order. An npz that cannot be read anywhere is held as a whole until finish.
 *
 * The model exists once all headers have arrived: vit_loader_model() is NULL until then. Sessions may be opened on it and
 * advanced between two pieces; it becomes finish's model. Close them before the loader where it does not finish. */
typedef struct vit_loader vit_loader;
vit_status vit_loader_open(vit_loader **out, const char *name, const vit_options *options, vit_error *error);
vit_status vit_loader_config(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error);
vit_status vit_loader_index(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error);
void vit_loader_source(vit_loader *loader, uint64_t file_bytes, int anywhere);
int vit_loader_next(const vit_loader *loader, const char **file, uint64_t *offset);
vit_status vit_loader_push(vit_loader *loader, const void *data, size_t bytes, vit_error *error);
vit_status vit_loader_space(vit_loader *loader, void **space, size_t *bytes, vit_error *error);
vit_status vit_loader_commit(vit_loader *loader, size_t bytes, vit_error *error);
const vit_model *vit_loader_model(const vit_loader *loader);
vit_status vit_loader_finish(vit_loader *loader, vit_model **out, vit_error *error);
void vit_loader_close(vit_loader *loader);

const vit_config *vit_model_config(const vit_model *model);
/* Values of what the head sees. */
int vit_feature_width(const vit_config *config);
int64_t vit_model_parameters(const vit_model *model);
uint64_t vit_model_bytes(const vit_model *model);                     /* for weights */
const char *vit_model_label(const vit_model *model, int class_index); /* NULL where there is none */
/* Multiply-adds x 2 of one forward pass of one image: the sum of a session's stages. 0 if that size is not possible. */
double vit_model_flops(const vit_model *model, int height, int width);
/* Tensors of the file in file order, with `used`; and warnings ("blocks.0.norm1.weight holds NaN"). */
int vit_model_tensor_count(const vit_model *model);
const vit_tensor_info *vit_model_tensor(const vit_model *model, int index);
int vit_model_warning_count(const vit_model *model);
const char *vit_model_warning(const vit_model *model, int index);

/* ---- Sessions ---- */

typedef struct vit_session vit_session;

typedef struct vit_session_options {
    int height, width;       /* pixels; 0: the model's preprocess size. A remainder of the patch is dropped */
    int batch;               /* images per run; 0: 1 */
    int threads;             /* at most; fewer work while that is faster. 0: 1 */
    int masked;              /* 1: hidden patches are predicted (vit_session_hide); there are no features then */
    int capture_attention;   /* 1: stage attn.N can be read: [B,H,T,T], costs B*H*T*T floats */
    const char *kernels;     /* ISA[:TILE][,INT8[:TILE]]: "scalar", "avx2:6x16", "avx2,vnni", ...; NULL: the best
                              * for this host */
    const char *first;       /* of those, the ones to begin with: an earlier session's info.kernels. NULL: no wish */
} vit_session_options;

/* Bytes a session of these options will hold, before anything is allocated; 0 if the options are not possible. */
uint64_t vit_session_bytes(const vit_model *model, const vit_session_options *options);
/* The model must outlive the session. Allocates once; running allocates nothing. Uses the model's allocator. */
vit_status vit_session_open(vit_session **out, const vit_model *model, const vit_session_options *options,
                            vit_error *error);
void vit_session_close(vit_session *session);

/* Where to write image `index` of the batch: [height,width,3] normalised f32, owned by the session. */
float *vit_session_input(vit_session *session, int index);

/* The whole forward pass. VIT_ERR_ARGUMENT while weights are missing. */
vit_status vit_session_run(vit_session *session, vit_error *error);

/* Times the tiles and int8 products that give the same bits and that `kernels` left open, for 1 to 3 ms, and keeps the
 * fastest. For after a first run and again after some: engines compile well what has run. 1 if it changed something. */
int vit_session_tune(vit_session *session);

/* The same in steps, for progress, cancelling and looking inside: restart() goes back to the first stage;
 * advance() runs the next one and returns 1 while stages remain, 0 after the last, -1 where nothing was run because the
 * stage's weights have not all arrived. */
void vit_session_restart(vit_session *session);
int vit_session_advance(vit_session *session);

/* A stage: its name (trace names where its result can be read: patch_embed, embed, attn.N, block.N, norm, features, logits
 * and others, see stages.c; qkv.N, proj.N, fc1.N where it cannot), time of its last run, and the result's shape. */
typedef struct vit_stage_info {
    const char *name;
    double milliseconds;
    double flops;
    int rank;              /* 0: not readable */
    int shape[4];          /* with B first; pos_embedding: 1 */
} vit_stage_info;
int vit_session_stage_count(const vit_session *session);
vit_stage_info vit_session_stage(const vit_session *session, int index);
/* Result of the stage that ran last, row-major f32 into out (the product of its shape). VIT_ERR_ARGUMENT if it has
 * none. */
vit_status vit_session_read(const vit_session *session, float *out, vit_error *error);

/* After the last stage; owned by the session, valid until the next run. NULL without a head. [N] */
const float *vit_session_logits(const vit_session *session, int index);

typedef enum vit_feature { VIT_FEATURE_HEAD, VIT_FEATURE_CLASS, VIT_FEATURE_MEAN } vit_feature;
/* Features of one image: what the head sees, the class token after the final norm, or the mean of the patch tokens
 * after it. out: [vit_feature_width] or [D], caller's. VIT_ERR_ARGUMENT for the class token of a model without one. */
vit_status vit_session_features(const vit_session *session, int index, vit_feature feature, float *out,
                                vit_error *error);

typedef struct vit_session_info {
    int height, width, grid_height, grid_width, tokens, batch, threads;
    const char *kernels;      /* "avx512:12x32", or "avx512:12x32,vnni:12x32" where integers are computed with */
    uint64_t bytes;
} vit_session_info;
vit_session_info vit_session_get_info(const vit_session *session);

#ifdef __cplusplus
}
#endif
#endif
