/* The golden kind mpp: targets of masked patch prediction; loss and gradients of a given corruption. */
#include "golden.h"

#include "../src/train/trainer.h"

#include <stdlib.h>
#include <string.h>

static float *floats_like(golden *g, int index) {
    const vit_tensor_info *info = &g->expected.header.tensors[index];
    return golden_result(g, index, "F32", info->rank, info->shape);
}

static const void *input_data(const golden *g, const tensors *input, const char *name) {
    const vit_tensor_info *info = tensors_find(input, name);
    if (!info)
        die("%s: input.safetensors has no %s", g->folder, name);
    return tensors_data(input, info);
}

/* The labels of the vit-pytorch package: bins of 31.875 whose upper edge is theirs, R + 8 G + 64 B. Means in f32, as it
 * has them. */
static void other_labels(const vit_config *c, const uint8_t *rgb, int height, int width, int32_t *labels) {
    const int ph = c->patch_height, pw = c->patch_width, columns = width / pw;
    for (int patch = 0; patch < height / ph * columns; patch++) {
        labels[patch] = 0;
        for (int channel = 2; channel >= 0; channel--) {
            int sum = 0, bin = 0;
            for (int i = 0; i < ph * pw; i++)
                sum += rgb[((patch / columns * ph + i / pw) * width + patch % columns * pw + i % pw) * 3 + channel];
            while (bin < 7 && (double)sum / (ph * pw) > 31.875 * (bin + 1))
                bin++;
            labels[patch] = 8 * labels[patch] + bin;
        }
    }
}

void golden_patch_targets(golden *g) {
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *image = tensors_find(&input, "image");
    const char *side = strrchr(g->folder, 'p');
    vit_config c = {0};
    if (!image || !side)
        die("%s: expected an image, and a folder named ..._pN", g->folder);
    c.patch_height = c.patch_width = atoi(side + 1);
    const int height = (int)image->shape[0], width = (int)image->shape[1];
    const int patches = height / c.patch_height * (width / c.patch_width);
    const uint8_t *rgb = tensors_data(&input, image);
    vit_patch_colors(&c, rgb, height, width, 1,
                     golden_result(g, golden_find(g, "mean3bit"), "I32", 1, (int64_t[]){patches}));
    other_labels(&c, rgb, height, width,
                 golden_result(g, golden_find(g, "vit_pytorch_mean3bit"), "I32", 1, (int64_t[]){patches}));
    if (golden_find(g, "down4x4_3bit") >= 0)
        vit_patch_colors(&c, rgb, height, width, 4,
                         golden_result(g, golden_find(g, "down4x4_3bit"), "I32", 2, (int64_t[]){patches, 16}));
    tensors_close(&input);
}

/* Tokens of patches of the last forward pass, [B,T0,D]. */
static void store_patches(golden *g, const vit_trainer *t, const float *panels, const char *name) {
    const int r = t->kernels->panel, width = t->model->config.width, count = t->options.batch * t->patches;
    float *out = floats_like(g, golden_find(g, name));
    for (int i = 0; i < count * width; i++) {
        const int patch = i / width, lane = patch / t->patches * t->tokens + t->prefix + patch % t->patches;
        out[i] = panels[(lane / r * width + i % width) * r + lane % r];
    }
}

/* Embeddings are what stands before the first layer, less the positions. */
static void store_embeddings(golden *g, const vit_trainer *t) {
    const int width = t->model->config.width;
    const vit_tensor_info *info = &g->expected.header.tensors[golden_find(g, "embed_corrupted")];
    store_patches(g, t, t->kept[0].x, "embed_corrupted");
    float *out = g->results[golden_find(g, "embed_corrupted")].data;
    for (int64_t i = 0; i < info->shape[0] * info->shape[1] * width; i++)
        out[i] -= t->positions[(t->prefix + i / width % t->patches) * width + i % width];
}

/* Predictions of the corrupted patches: scores, which the trainer overwrites by their gradients, once more. */
static void store_predictions(golden *g, vit_trainer *t) {
    const int index = golden_find(g, "predictions_corrupted"), values = vit_prediction_values(&t->model->config);
    const vit_weights *w = &t->model->weights;
    const int r = t->kernels->panel, width = t->model->config.width;
    if (index < 0)
        return;
    float *out = floats_like(g, index);
    for (int i = 0; i < t->chosen_count * values; i++) {
        const int chosen = i / values;
        double sum = w->prediction_bias[i % values];
        for (int d = 0; d < width; d++)
            sum += (double)w->prediction_weight[(i % values) * width + d] *
                   t->chunk_x[(chosen / r * width + d) * r + chosen % r];
        out[i] = (float)sum;
    }
}

void golden_patch_loss(golden *g) {
    vit_error error;
    vit_model *model;
    vit_trainer *t;
    vit_train_result result;
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    must(vit_model_open(&model, path_in(g->folder, "model.safetensors"), path_in(g->folder, "case.json"), &g->options, &error),
         &error);
    vit_train_options options = vit_default_train_options();
    options.batch = (int)tensors_find(&input, "x")->shape[0];
    options.rate = 0;
    must(vit_trainer_open(&t, model, &options, &error), &error);
    const vit_config *c = &model->config;
    const size_t patches = (size_t)(options.batch * t->patches);
    memcpy(t->input, input_data(g, &input, "x"),
           (size_t)options.batch * (size_t)c->image_height * (size_t)c->image_width * 3 * sizeof(float));
    const int32_t *kinds = input_data(g, &input, "kind");
    for (size_t i = 0; i < patches; i++)
        t->kinds[i] = (uint8_t)kinds[i];
    memcpy(t->sources, input_data(g, &input, "source"), patches * sizeof *t->sources);
    t->corruption_is_given = 1;
    must(vit_trainer_step(t, &result, &error), &error);
    floats_like(g, golden_find(g, "loss"))[0] = (float)result.loss;
    store_embeddings(g, t);
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i);
        const vit_slot *slot = strncmp(name, "grad.", 5) == 0 ? vit_model_slot(t->model, name + 5) : NULL;
        if (slot)
            memcpy(floats_like(g, i), vit_gradient(t, slot->held.f32), slot->count * sizeof(float));
    }
    store_predictions(g, t);
    store_patches(g, t, vit_final_norm(t), "norm_patches");
    vit_trainer_close(t);
    vit_model_close(model);
    tensors_close(&input);
}
