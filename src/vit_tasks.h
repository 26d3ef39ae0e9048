/* vit_tasks.h - what people do with a Vision Transformer: pictures in, answers out. See vit.h for models,
 * sessions, letters and error rules. */
#ifndef VIT_TASKS_H
#define VIT_TASKS_H

#include "vit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives back bytes that vit_probe_encode() or vit_model_encode() made with an allocator: options has that one, NULL: the default. */
void vit_release_bytes(const vit_options *options, void *bytes);

/* ---- Pictures ---- */

/* 8-bit RGB, rows top to bottom: rgb [height,width,3], owned by the image. */
typedef struct vit_image {
    int width, height;
    uint8_t *rgb;
    vit_allocator allocator;
} vit_image;

/* Decodes JPEG or PNG (other formats are refused by name) to 8-bit RGB: grey and palette are widened, alpha is
 * dropped, 16 bits keep the high byte, CMYK is converted; EXIF orientation is applied. What JPEG leaves to the decoder is as
 * Pillow (libjpeg-turbo) has it. name is used in errors.
 * Limits: image_side, image_pixels. A truncated JPEG is an error (VIT_ERR_TRUNCATED), not half a picture. */
vit_status vit_image_decode(vit_image *out, const char *name, const void *data, size_t bytes,
                            const vit_options *options, vit_error *error);
/* Reads the file and decodes it. A folder, a missing or an empty file is an error that says so. */
vit_status vit_image_open(vit_image *out, const char *path, const vit_options *options, vit_error *error);
/* Copies pixels that are already decoded: channels is 3 or 4 (alpha is dropped). */
vit_status vit_image_from_pixels(vit_image *out, const uint8_t *pixels, int width, int height, int channels,
                                 const vit_options *options, vit_error *error);
/* Whether it is of a size that the limits allow, before its pixels are anywhere: VIT_ERR_LIMIT if not. */
vit_status vit_image_check_size(int width, int height, const vit_options *options, vit_error *error);
/* Leaves it empty. */
void vit_image_close(vit_image *image);
/* Writes a PNG under a temporary name that is renamed. VIT_ERR_LIMIT for more than 1 GiB of pixels or none. */
vit_status vit_image_save(const vit_image *image, const char *path, const vit_options *options, vit_error *error);

/* Resizes, crops and normalises one picture as the rules say, for a network input of height x width:
 * out [height,width,3] f32, caller's. Bit-exact with Pillow + torchvision for 8-bit RGB (see golden preprocess).
 * Takes its scratch memory from options' allocator and gives it back. */
vit_status vit_image_preprocess(const vit_image *image, const vit_preprocess *rules, int height, int width,
                                float *out, const vit_options *options, vit_error *error);

/* ---- Where a network looks ---- */

typedef enum vit_attention_method {
    VIT_ATTENTION_ROLLOUT, /* over layers: the product of (A + I) / 2, A the mean over heads (figure 6) */
    VIT_ATTENTION_MEAN,    /* of one layer: the mean over its heads */
    VIT_ATTENTION_HEAD     /* of one head of one layer */
} vit_attention_method;

typedef struct vit_attention_options {
    vit_attention_method method;
    int layer;             /* from 0; of a rollout the last one. Negative: from the end, -1 is the last */
    int head;              /* from 0 */
    int image;             /* of the session's batch */
} vit_attention_options;

/* Follows a session that was opened with capture_attention, not masked, which must outlive it. Holds T x T floats, three times that
 * for a rollout, whatever the number of layers. */
typedef struct vit_attention vit_attention;
vit_status vit_attention_open(vit_attention **out, vit_session *session, const vit_attention_options *options,
                              vit_error *error);
void vit_attention_close(vit_attention *attention);
/* To be called after every vit_session_advance() since vit_session_restart(). 1 once the layer has come: the map is
 * there and the rest of the pass need not be run. Allocates nothing. */
int vit_attention_follow(vit_attention *attention);
/* Whose attention: a patch, 0 and up, row by row, or one of these. */
enum {
    VIT_QUERY_DEFAULT = -1, /* the class token where features are of it, except in hybrids; else the mean of patches */
    VIT_QUERY_CLASS = -2,   /* the class token; VIT_ERR_ARGUMENT in a model without one */
    VIT_QUERY_MEAN = -3     /* the mean over all patches */
};
/* Shares of that attention which go to each patch: values [grid height, grid width], caller's; their sum is 1 less what
 * goes to other tokens. */
vit_status vit_attention_read(const vit_attention *attention, int query, float *values, vit_error *error);

/* ---- What a network has learnt (figure 7) ---- */

/* After the advance of an attention stage of such a session: out [H] = mean over query patches of the
 * distance in pixels to the patches they look at, weighted by attention. renormalize: 1 = weights of a query's patches
 * are made to sum to 1, 0 = as they are. Returns the layer, or -1 after any other stage. */
int vit_attention_distance(const vit_session *session, int image, int renormalize, double *out);

/* Cosines of the position embeddings of patches begin to end (exclusive) with those of all: out [end-begin,T0], caller's,
 * row by row of the session's grid; of the first layer where each has its own. Begins a pass, unless one has come so far.
 * VIT_ERR_ARGUMENT where there are none, or only of distances, and for patches that are not there. */
vit_status vit_position_similarity(vit_session *session, int begin, int end, float *out, vit_error *error);

/* Filters of the patch embedding, or of the first convolution of a ResNet: how many, height, width; each has 3
 * channels. */
void vit_filter_shape(const vit_model *model, int shape[3]);
/* Principal components of these about their mean, strongest first: components [count,3,height,width], unit vectors
 * whose entry of largest magnitude is positive; strengths [count], singular values; mean [3,height,width] or NULL. 1
 * <= count <= min(filters, 3 height width). VIT_ERR_ARGUMENT where they are integers: a ViT of VIT_COMPUTE_INT8. */
vit_status vit_filter_components(const vit_model *model, int count, float *components, float *strengths, float *mean,
                                 vit_error *error);

/* ---- Few-shot classification ---- */

/* Identifies what features come of: a hash of the network's shape, its vectors (norms and biases; not the head's) and the
 * rules by which pictures are fed, which is the same for any storage and compute type, and the word of `feature`. out: at
 * least 32 bytes. */
void vit_model_backbone(const vit_model *model, const vit_preprocess *rules, vit_feature feature, char out[32]);

/* Numbers in such a feature vector. */
int vit_model_feature_width(const vit_model *model, vit_feature feature);

/* Examples, each the features of a picture and a label, and a linear classifier of them. */
typedef struct vit_probe vit_probe;

typedef struct vit_probe_info {
    const char *backbone;  /* vit_model_backbone of the features */
    int width;             /* of a feature vector: D below */
    int classes, examples; /* K, N */
    int fitted;            /* 1: vit_probe_fit was called since the last change */
    double l2;             /* of that fit */
    int right;             /* of the N examples, how many are right when they are left out of it */
} vit_probe_info;

vit_status vit_probe_open(vit_probe **out, int width, const char *backbone, const vit_options *options,
                          vit_error *error);
/* The same examples by the same numbers, not fitted: what is tried on the copy changes nothing. */
vit_status vit_probe_copy(vit_probe **out, const vit_probe *probe, vit_error *error);
void vit_probe_close(vit_probe *probe);
/* Which features of the model, fed by these rules, its examples are. VIT_ERR_ARGUMENT where they are those of another
 * network or of pictures fed otherwise; name, of the probe, is used in the error. */
vit_status vit_probe_feature(const vit_probe *probe, const vit_model *model, const vit_preprocess *rules, const char *name,
                             vit_feature *out, vit_error *error);
/* Owned by the probe, until its next change. */
vit_probe_info vit_probe_get_info(const vit_probe *probe);
/* Of a class, in the order in which they were first seen; NULL past the last. */
const char *vit_probe_label(const vit_probe *probe, int class_index);
/* Examples of a class. */
int vit_probe_count(const vit_probe *probe, int class_index);

/* Adds an example, and with its first one a class. features [D], copied, finite; label UTF-8, not empty. *id, if not
 * NULL, names the example from now on: they count up. */
vit_status vit_probe_add(vit_probe *probe, const char *label, const float *features, int *id, vit_error *error);
/* Removes an example; its class too if it was the last. VIT_ERR_ARGUMENT if there is none of that name. */
vit_status vit_probe_remove(vit_probe *probe, int id, vit_error *error);
vit_status vit_probe_remove_class(vit_probe *probe, const char *label, vit_error *error);

/* Least squares to -1 and 1 with penalty l2, as big_vision's few-shot evaluation has it: features are standardised
 * with the mean and population deviation of the examples, and there is a constant one of 100. l2 0: of 2^-10, 2^-8 ...
 * 2^14 the one with the least squared error when each example is left out, in closed form, the standardisation held
 * fixed; 2^10 where a class has a single example. */
vit_status vit_probe_fit(vit_probe *probe, double l2, vit_error *error);
/* scores [K] of features [D]: near 1 for its class, near -1 for others. VIT_ERR_ARGUMENT while it is not fitted. */
vit_status vit_probe_score(const vit_probe *probe, const float *features, float *scores, vit_error *error);
/* The same by the `neighbours` nearest examples by cosine: each class's share of their votes, weighted by
 * exp(cosine / 0.07). Needs no fit. */
vit_status vit_probe_vote(const vit_probe *probe, const float *features, int neighbours, float *scores,
                          vit_error *error);

/* k-shot accuracy: fits `shots` examples of each class, drawn by seed and repeat, and counts how many of the others are
 * right, and how many by the votes of `neighbours`. chosen, if not NULL: the ids of those drawn, [K * shots]. */
typedef struct vit_trial_result {
    int others, right, right_by_votes;
    double l2;
} vit_trial_result;
vit_status vit_probe_try(const vit_probe *probe, int shots, double l2, int neighbours, uint64_t seed, int repeat,
                         int *chosen, vit_trial_result *out, vit_error *error);

/* A safetensors file with examples, labels and classifier, in memory or on disk; the same for every host. *bytes is to
 * be released by vit_release_bytes(). VIT_ERR_ARGUMENT while it is not fitted. */
vit_status vit_probe_encode(const vit_probe *probe, void **bytes, size_t *size, vit_error *error);
vit_status vit_probe_decode(vit_probe **out, const char *name, const void *bytes, size_t size,
                            const vit_options *options, vit_error *error);
vit_status vit_probe_save(const vit_probe *probe, const char *path, vit_error *error);
vit_status vit_probe_load(vit_probe **out, const char *path, const vit_options *options, vit_error *error);

/* ---- Classification ---- */

typedef struct vit_score {
    int index;      /* class */
    float score;    /* probability */
} vit_score;

/* The k likeliest classes of logits [n], best first, ties by lower index; scores are as vit_probabilities() has them. top
 * [k], caller's. Returns how many were written: min(k, n). NaN logits sort last. */
int vit_top_classes(const float *logits, int n, int k, int multi_label, vit_score *top);
/* Whether a picture with this best score shows one of the model's classes, as far as the model can tell: 1 unless its
 * known_percent says that pictures of something else score so. */
int vit_is_known(const vit_config *config, float best);
/* Of logits [n], into out [n] (may be the same): softmax over all, or for multi_label (of vit_config) a sigmoid of each. */
void vit_probabilities(const float *logits, int n, int multi_label, float *out);

/* ---- Masked prediction ---- */

/* Noise of a seed for n patches: the same on every host. */
void vit_patch_noise(uint64_t seed, float *noise, int n);
/* The nearest 8-bit colours of normalised values, interleaved by channel: rgb [count]. */
void vit_colors_from_pixels(const vit_preprocess *preprocess, const float *pixels, size_t count, uint8_t *rgb);
/* Targets of the paper's appendix B.1.2, of a picture rgb [height,width,3]: each patch is averaged to cells x cells (1 or 4,
 * which divides the patch's sides) and each mean floored to 3 bits: labels [T0, cells cells], 64 R + 8 G + B. */
void vit_patch_colors(const vit_config *config, const uint8_t *rgb, int height, int width, int cells, int32_t *labels);
/* The same label, one of VIT_COLORS, of a mean colour in 0..255 that may be off by rounding. */
enum { VIT_COLORS = 512 };
int vit_color_label(const double rgb[3]);

/* Hides patches of a session opened with `masked` from the network: hidden [B,T0], 1 where one is hidden; at first
 * none is. Of a masked autoencoder as many must be visible in every image, at least one: else VIT_ERR_ARGUMENT. The
 * last stage, "prediction", can then be read: pixels [B,T0,3*P*P] of all patches, as vit_patch_pixels orders them; or of
 * mean3bit and down4x4 scores of 512 colours for each cell, [B,T0,512] or [B,T0,16*512]. */
vit_status vit_session_hide(vit_session *session, const uint8_t *hidden, vit_error *error);
/* How many of n patches stay visible when the share `ratio` is hidden: int(n (1 - ratio)), as in MAE. */
int vit_visible_patches(int n, double ratio);
/* Hides all but the `visible` patches with the least noise [n], of equal ones the first: hidden [n]. */
void vit_hide_by_noise(const float *noise, int n, int visible, uint8_t *hidden);
/* Pixels [H,W,3] <-> patches [T0,3*P*P] in the order of the model's predictions (of MAE row, column, channel; of SimMIM
 * channel, row, column). What is left of a remainder of the patch stays as it is. */
void vit_patch_pixels(const vit_config *config, const float *pixels, int height, int width, float *patches);
void vit_unpatch_pixels(const vit_config *config, const float *patches, int height, int width, float *pixels);
/* What was predicted of an image, once all stages have run. Each is [T0], caller's: colors [T0,3], 0 to 255, the means of
 * patches, predicted of hidden ones (of scores the mean over their softmax), the input's of others; labels, their 3-bit
 * colours, of scores of one cell the likeliest; probabilities, of the likeliest colour (of cells their mean), 1 of visible
 * patches, NaN where pixels are predicted. */
vit_status vit_session_colors(const vit_session *session, int image, float *colors, int32_t *labels, float *probabilities,
                              vit_error *error);
/* Fills in hidden patches of a picture whose whole, squeezed, was the session's input: as predicted, each cell of one
 * colour; or smooth, between the centres of cells. Of decoder.norm_pixels means and deviations are guessed from visible
 * patches. */
vit_status vit_session_fill(const vit_session *session, int image, int smooth, vit_image *picture, vit_error *error);
/* On average over the hidden patches of an image and their cells or pixels: cross-entropy, or the squared difference of
 * normalised pixels. What the paper's models are trained with. */
vit_status vit_session_masked_loss(const vit_session *session, int image, double *loss, vit_error *error);
/* To mean 0 and variance 1, each patch for itself: (x - mean) / sqrt(var + 1e-6), var over n - 1. patches [count,n] */
void vit_normalize_patches(float *patches, int count, int n);

/* ---- Words of configurations ---- */

/* As GGUF files have them: "gelu", "cls", "timm", "bicubic", "center". */
/* What becomes tokens: "vit": patches of the picture; "hybrid": cells of what convolutions make of it; "resnet": nothing. */
const char *vit_network_name(const vit_config *config);
const char *vit_activation_name(vit_activation activation);
const char *vit_pool_name(vit_pool pool);
const char *vit_resample_name(vit_resample resample);
const char *vit_filter_name(vit_filter filter);
const char *vit_crop_name(vit_crop crop);
const char *vit_resnet_name(vit_resnet_kind kind);
const char *vit_decoder_name(vit_decoder_kind kind);

/* ---- Search ---- */

/* Makes x [width] a vector of length 1, unless all of it is 0. */
void vit_make_unit(float *x, int width);
/* The k of vectors [count,width] whose product with query [width] is largest, best first, ties by lower index: of unit
 * vectors the score is their cosine. top [k], caller's. Returns how many were written: min(k, count). */
int vit_nearest(const float *vectors, int count, int width, const float *query, int k, vit_score *top);

/* ---- Models: labels, saving ---- */

/* What may be changed of a model, before it is shared. Names for the N classes, e.g. read from a labels file; copied.
 * VIT_ERR_ARGUMENT if count is not N. */
vit_status vit_model_set_labels(vit_model *model, const char *const *labels, int count, vit_error *error);
/* The same from a file: a JSON array of strings if it begins with '[', else text with one name a line. */
vit_status vit_model_read_labels(vit_model *model, const char *path, const vit_options *options, vit_error *error);
/* The known_percent of its configuration, 0 to 100. */
void vit_model_set_known_percent(vit_model *model, int percent);

/* Returning non-zero cancels. */
typedef int (*vit_progress)(void *context, uint64_t done, uint64_t total);

/* How Q8_0 and Q4_0 are made of floats: with the scale of every block of 32 that has the least squared error, or with the
 * one that puts its largest value on the largest integer, as ggml does. */
typedef enum vit_rounding { VIT_ROUNDING_SEARCH, VIT_ROUNDING_PLAIN } vit_rounding;

/* type: VIT_F32, VIT_F16, VIT_BF16, VIT_Q8_0, VIT_Q4_0, or VIT_DTYPE_OTHER to keep the type that each tensor was stored in
 * (of blocks: F32). It is that of matrices: vectors stay F32 (with VIT_DTYPE_OTHER as stored), and with blocks position tables
 * and the patch embedding of a ViT without convolutions as well, and matrices whose rows are no multiple of 32. A convolution
 * of a ResNet is a matrix there, [O,I*h*w]. */
typedef struct vit_save_options {
    vit_dtype type;
    vit_rounding rounding;
    vit_progress progress; /* may be NULL */
    void *context;         /* progress's */
} vit_save_options;

/* Writes a file with everything in it: configuration, preprocessing, labels, tensors in forward order under timm's names.
 * The name's ending says which: .safetensors (not with blocks; the configuration is text in its metadata), else GGUF.
 * VIT_ERR_ARGUMENT for a model of VIT_COMPUTE_INT8, one with convolutions that was loaded without raw_weights, and a type
 * that such a file does not hold. It is written under a temporary name and renamed. */
vit_status vit_model_save(const vit_model *model, const char *path, const vit_save_options *options, vit_error *error);
/* The GGUF file as bytes, which the model's allocator releases (vit_release_bytes). */
vit_status vit_model_encode(const vit_model *model, const vit_save_options *options, void **bytes, size_t *size,
                            vit_error *error);

/* ---- Networks by name, and models that come from no file ---- */

/* The paper's networks and timm's: "vit_tiny_patch16_224", "vit_half_patch16_224", ...; NULL past the end. */
const char *vit_architecture_name(int index);
/* What the name says, with 1000 classes unless it is a network for features. VIT_ERR_ARGUMENT for an unknown name. */
vit_status vit_architecture_config(vit_config *out, const char *name, vit_error *error);
/* The name of the network that is built the same, of the same picture size if there is one; NULL where there is
 * none. */
const char *vit_architecture_of(const vit_config *config);

/* A model without weights: parameters, bytes and flops can be asked, and what sessions take; none can run. The
 * configuration is checked (VIT_ERR_CONFIG, VIT_ERR_LIMIT, VIT_ERR_UNSUPPORTED). */
vit_status vit_model_plan(vit_model **out, const vit_config *config, const vit_options *options, vit_error *error);
/* A model with random weights, as the paper's code begins: Glorot-uniform in attention and MLP, LeCun-normal in
 * convolutions and hidden layers of the head, positions and extra tokens of deviation 0.02, the class token and the
 * head zero; but the last norms of a hybrid's residual units are 1, not 0. A weight depends on the seed, its name and its shape: it is the same on every host. */
vit_status vit_model_init(vit_model **out, const vit_config *config, uint64_t seed, const vit_options *options,
                          vit_error *error);

/* ---- Models and weight files, looked at ---- */

/* The format of the file, and whose conventions hold: "safetensors, timm", "GGUF"; "initialised". */
const char *vit_model_source(const vit_model *model);
/* What a configuration says, one entry after the other, by the keys of GGUF without "vit.": value is JSON (a number,
 * true, "1d", [224,224]). 0 past the end. */
enum { VIT_CONFIG_VALUE = 64 };
int vit_config_entry(const vit_config *config, int index, const char **key, char value[VIT_CONFIG_VALUE]);
/* Side of the windows of a stem's convolution, their stride, and the groups of channels that are normalised, at every
 * width: 7, 2 and 32 where the configuration leaves them 0. */
int vit_root_size(const vit_resnet *resnet);
int vit_root_stride(const vit_resnet *resnet);
int vit_norm_groups(const vit_resnet *resnet);
/* Pixels of the input that one of the last map stands for along each side; 1 without convolutions. */
int vit_resnet_stride(const vit_resnet *resnet);

/* The header of any readable container (GGUF, safetensors, npz): what `vit info FILE` lists. Of an npz all bytes are
 * read, to compare its checksums. */
typedef struct vit_file vit_file;
vit_status vit_file_open(vit_file **out, const char *path, const vit_options *options, vit_error *error);
void vit_file_close(vit_file *file);
const char *vit_file_format(const vit_file *file);                 /* "GGUF", "safetensors", "npz" */
int vit_file_tensor_count(const vit_file *file);
const vit_tensor_info *vit_file_tensor(const vit_file *file, int index);
int vit_file_metadata_count(const vit_file *file);
/* Key and value as text (arrays shortened); valid until the file is closed. */
void vit_file_metadata(const vit_file *file, int index, const char **key, const char **value);

/* ---- Named tensors in safetensors files: inputs and results of `vit trace` ---- */

/* A whole file in memory. Read as f32: of F32, F16 and BF16 tensors; others are listed without data. */
typedef struct vit_tensors vit_tensors;
vit_status vit_tensors_read(vit_tensors **out, const char *path, const vit_options *options, vit_error *error);
void vit_tensors_close(vit_tensors *tensors);
int vit_tensors_count(const vit_tensors *tensors);
const vit_tensor_info *vit_tensors_info(const vit_tensors *tensors, int index);
/* Row-major f32, owned by tensors; NULL where the type is another. */
const float *vit_tensors_data(const vit_tensors *tensors, int index);

/* Collects copies of f32 tensors; commit writes the file (under a temporary name that is renamed), close frees the
 * writer whether or not it was written. */
typedef struct vit_tensors_writer vit_tensors_writer;
vit_status vit_tensors_writer_open(vit_tensors_writer **out, const vit_options *options, vit_error *error);
/* shape [rank], data [product of shape] are the caller's. VIT_ERR_ARGUMENT for a name that is there already. */
vit_status vit_tensors_writer_add(vit_tensors_writer *writer, const char *name, int rank, const int64_t *shape,
                                  const float *data, vit_error *error);
vit_status vit_tensors_writer_commit(vit_tensors_writer *writer, const char *path, vit_error *error);
void vit_tensors_writer_close(vit_tensors_writer *writer);

/* ---- Kernels ---- */

/* Kernel tables this host can run, best first, f32's before int8's ("avx512,vnni:12x32"); NULL past the end. */
const char *vit_kernels_name(int index);
/* Whether a session would take this name. */
int vit_kernels_known(const char *name);
/* Times a register-only multiply-add loop of the named table: GFLOP/s of one core, the ceiling for `bench`. */
double vit_kernels_peak(const char *name);

#ifdef __cplusplus
}
#endif
#endif
