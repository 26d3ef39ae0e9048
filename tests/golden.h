/* golden.h - what build/golden and the files of its kinds share. A case is a folder with inputs and
 * expected.safetensors; a kind computes the tensors named in that file from the inputs beside it. */
#ifndef VIT_TESTS_GOLDEN_H
#define VIT_TESTS_GOLDEN_H

#include "../src/base/file.h"
#include "../src/format/container.h"
#include "../src/vit_tasks.h"

#include <stdio.h>

/* A safetensors file in memory. */
typedef struct tensors {
    vit_buffer file;
    vit_container header;
} tensors;

typedef struct result {
    const char *type; /* "F32", "U8", "I32"; NULL: not computed */
    int rank;
    int64_t shape[8];
    void *data;
} result;

typedef struct golden {
    const char *folder;   /* of the case */
    vit_options options;
    tensors expected;
    result *results;      /* one for each expected tensor */
} golden;

/* Prints "golden: ..." and exits 1. */
_Noreturn void die(const char *format, ...) VIT_PRINTF(1, 2);
/* Dies with the error's text unless status is VIT_OK. */
void must(vit_status status, const vit_error *error);
/* malloc that dies instead of returning NULL. */
void *must_alloc(size_t bytes);

/* "folder/file", in one of a few buffers that take turns. */
const char *path_in(const char *folder, const char *file);

void tensors_open(tensors *out, const char *path, const golden *g);
void tensors_close(tensors *t);
/* NULL where there is none. */
const vit_tensor_info *tensors_find(const tensors *t, const char *name);
const void *tensors_data(const tensors *t, const vit_tensor_info *info);

int golden_count(const golden *g);
const char *golden_name(const golden *g, int index);
/* Index of the expected tensor of that name; -1 where there is none. */
int golden_find(const golden *g, const char *name);
/* Room for the result of that index, to be filled by the caller. */
void *golden_result(golden *g, int index, const char *type, int rank, const int64_t *shape);

/* Pictures as stored in the file, decoded; dies if that fails. */
vit_image golden_picture(const golden *g, const char *file);

/* $VIT_DATA/data/...; by default that beside the folder of the case's golden files, or in ../shared */
const char *data_path(const golden *g, const char *file);
/* The ImageNet ViT-Ti/16; a session of it, on one picture of height x width or (0) the model's size; a photograph of
 * imagenet_50 whose name starts so. Each dies where that fails. */
vit_model *open_real_model(const golden *g);
vit_session *open_session(const vit_model *model, int height, int width);
vit_image open_photo(const golden *g, const char *start);

/* The kinds: golden_pixels.c, golden_model.c, golden_masked.c, golden_patches.c, golden_inside.c, golden_fewshot.c, golden_train.c,
 * golden_gguf.c */
void golden_center_crop(golden *g);
void golden_decode(golden *g);
void golden_hf(golden *g);
void golden_normalise(golden *g);
void golden_resize(golden *g);
void golden_tf_resize(golden *g);
void golden_timm_eval(golden *g);
void golden_posemb(golden *g);
void golden_forward(golden *g);
void golden_masked(golden *g);
void golden_patch_targets(golden *g);
void golden_patch_loss(golden *g);
void golden_real_pixels(golden *g);
void golden_real_photos(golden *g);
void golden_fewshot(golden *g);
void golden_rollout(golden *g);
void golden_attention_distance(golden *g);
void golden_posemb_similarity(golden *g);
void golden_filter_pca(golden *g);
void golden_randaugment(golden *g);
void golden_gradients(golden *g);
void golden_steps(golden *g);
void golden_gguf_types(golden *g);
void golden_gguf_quantise(golden *g);

/* golden_torch.c: torchvision's resize of u8 tensors, bilinear with antialias. out [out_height,out_width,3] */
void torch_resize(const uint8_t *rgb, int width, int height, int out_width, int out_height, uint8_t *out);

#endif
