/* networks.c - random networks: every f32 kernel table of this host against the scalar one, forward and backward; the bits
 * of one table whatever the batch, the place in it and the threads; and what is checked of any configuration that a file may
 * claim. An input is a list of choices, a byte each. */
#include "fuzz.h"

#include "../../src/kernels/kernels.h"
#include "../../src/model/config.h"
#include "../../src/model/model.h"
#include "../../src/train/trainer.h"

#include <limits.h>
#include <math.h>

typedef struct choices {
    const uint8_t *at, *end;
} choices;

static int choose(choices *c, int count) {
    return c->at < c->end ? *c->at++ % count : 0;
}

/* A ResNet of the hybrid's convolutions, of which only features and a head are left. */
static vit_config bit_of(vit_config hybrid, int kind) {
    vit_config config = {
        .network = VIT_NETWORK_BIT, .classes = hybrid.classes, .patch_height = 1, .patch_width = 1,
        .image_height = hybrid.image_height, .image_width = hybrid.image_width, .norm_eps = hybrid.norm_eps,
        .pool = VIT_POOL_MEAN, .pos_kind = VIT_POS_NONE, .resnet = hybrid.resnet, .architecture = "random"};
    config.resnet.kind = (vit_resnet_kind)(VIT_BIT_TRANSFER + kind);
    config.width = vit_resnet_channels(&config.resnet);
    return config;
}

static vit_config choose_config(choices *c) {
    static const int resnet_layers[] = {0, 0, 0, 1};
    const int head_width = 4 * (1 + choose(c, 5)), patch = 1 + choose(c, 6), side = patch * (1 + choose(c, 5)) + choose(c, 2),
              other = patch * (1 + choose(c, 5));
    vit_config config = {
        .layers = 1 + choose(c, 2), .heads = 1 + choose(c, 3), .mlp_width = 1 + choose(c, 40), .classes = 1 + choose(c, 7),
        .patch_height = patch, .patch_width = patch, .image_height = side, .image_width = other,
        .activation = (vit_activation)choose(c, 3), .mlp = (vit_mlp)choose(c, 2), .norm_eps = 1e-6f,
        .pool = (vit_pool)choose(c, 4), .class_token = choose(c, 2), .registers = choose(c, 3),
        .pos_class = choose(c, 2), .pos_registers = choose(c, 2), .pos_kind = (vit_pos_kind)choose(c, 5),
        .pos_placement = (vit_pos_placement)choose(c, 3), .patch_bias = choose(c, 2), .qkv_bias = choose(c, 2),
        .layer_scale = choose(c, 2), .pre_norm = choose(c, 2), .final_norm = choose(c, 2), .pool_norm = choose(c, 2),
        .pre_logits = choose(c, 3) * 5, .axial = choose(c, 4) == 0, .architecture = "random"};
    config.width = head_width * config.heads;
    if (resnet_layers[choose(c, 4)]) {
        config.resnet = (vit_resnet){.stages = choose(c, 3), .units = {1, 1 + choose(c, 2)}, .stem_width = 32,
                                     .width = 32, .kind = (vit_resnet_kind)choose(c, 2),
                                     .root_size = 2 + choose(c, 6), .root_stride = 1 + choose(c, 2),
                                     .norm_groups = 8 << choose(c, 3)};
        config.patch_height = config.patch_width = 1;
        config.image_height = config.image_width = 24 + 8 * choose(c, 3);
        if (config.resnet.stages && choose(c, 2))
            config = bit_of(config, choose(c, 2));
    }
    config.preprocess = (vit_preprocess){.std = {1, 1, 1}, .crop_pct = 1, .height = config.image_height,
                                         .width = config.image_width};
    return config;
}

/* A good configuration in which some fields are whatever fields.def allows. */
static void check_any(choices *c, const vit_options *options) {
    static const int values[] = {0, 1, 2, 3, 4, 6, 12, 24, 64, 300, 1000, INT_MAX};
    static const float numbers[] = {1, 0.5f, 0, -1, INFINITY, NAN};
    vit_error error = {0};
    vit_config config = {
        .layers = 1, .width = 12, .heads = 2, .mlp_width = 12, .classes = 3, .patch_height = 4, .patch_width = 4,
        .image_height = 8, .image_width = 8, .norm_eps = 1e-6f, .pool = VIT_POOL_MEAN, .pos_kind = VIT_POS_1D,
        .decoder = {.kind = (vit_decoder_kind)choose(c, 3), .layers = 1, .width = 12, .heads = 2, .mlp_width = 12},
        .preprocess = {.std = {1, 1, 1}, .crop_pct = 1, .height = 8, .width = 8}};
    if (choose(c, 8) == 7)
        config.preprocess.std[1] = numbers[choose(c, 6)], config.preprocess.crop_pct = numbers[choose(c, 6)];
    if (choose(c, 8) == 7)
        config.network = VIT_NETWORK_BIT;
    for (int i = 0; i < vit_field_count; i++) {
        const vit_field *field = &vit_fields[i], *first = field;
        while (first->kind == VIT_FIELD_REST)
            first--;
        const int chosen = choose(c, 256);
        int words = 0, value = values[chosen % 12];
        if (chosen < 232)
            continue;
        while (field->words && field->words[words].word)
            words++;
        if (words)
            value = field->words[value % words].value;
        else if (first->kind == VIT_FIELD_FLAG)
            value %= 2;
        else
            value = value < first->least ? first->least : value > first->most ? first->most : value;
        *vit_field_at(&config, field->config) = value;
    }
    fuzz_check_error(vit_config_check(&config, &options->limits, "any", &error), &error);
}

/* Init leaves biases, the class token and the head 0, which would hide errors. */
static void shake(vit_model *model) {
    for (int i = 0; i < model->slot_count; i++)
        for (size_t j = 0; j < model->slots[i].count; j++)
            model->slots[i].held.f32[j] += 0.2f * sinf((float)(j * 7919 % 1009 + (size_t)i));
}

static float pixel(int image, size_t index) {
    return cosf((float)(index * (size_t)(image + 3) % 977));
}

/* |a - b| / |b|, of vectors. */
static double apart(const float *a, const float *b, size_t count) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / (norm + 1e-12));
}

enum { MOST = 1 << 18 };

/* The readable stages of one forward pass, one after the other, of the last image, whose pixels do not depend on the batch. */
static size_t forward(const vit_model *model, vit_session_options options, float *out) {
    vit_session *session;
    vit_error error;
    size_t count = 0;
    if (vit_session_open(&session, model, &options, &error) != VIT_OK)
        return 0;
    const vit_session_info info = vit_session_get_info(session);
    for (int b = 0; b < info.batch; b++)
        for (size_t i = 0; i < (size_t)info.height * (size_t)info.width * 3; i++)
            vit_session_input(session, b)[i] = pixel(info.batch - 1 - b, i);
    vit_session_restart(session);
    for (int stage = 0, more = 1; more; stage++) {
        more = vit_session_advance(session);
        fuzz_expect(more >= 0);
        const vit_stage_info s = vit_session_stage(session, stage);
        size_t values = s.rank > 0;
        for (int d = 0; d < s.rank; d++)
            values *= (size_t)s.shape[d];
        if (!values || count + values > MOST)
            continue;
        static float all[MOST];
        if (vit_session_read(session, all, &error) != VIT_OK)
            continue;
        const size_t one = values / (size_t)s.shape[0];
        memcpy(out + count, all + values - one, one * sizeof *out);
        count += one;
    }
    vit_session_close(session);
    return count;
}

static void compare_forward(const vit_model *model, const char *kernels, int batch, int threads, const float *scalar,
                            size_t count, double tolerance) {
    static float found[MOST], again[MOST];
    vit_session_options options = {.batch = batch, .threads = threads, .kernels = kernels};
    const size_t values = forward(model, options, found);
    fuzz_expect(values == count || batch > 1);
    const double distance = values == count ? apart(found, scalar, count) : 0;
    if (!(distance <= tolerance))
        fuzz_fail("%s is %g from scalar, expected %g at most", kernels, distance, tolerance);
    fuzz_expect(forward(model, (vit_session_options){.batch = batch, .kernels = kernels}, again) == values);
    if (memcmp(found, again, values * sizeof *found) != 0)
        fuzz_fail("%s: %d threads change the bits", kernels, threads);
    if (values == count && forward(model, (vit_session_options){.kernels = kernels}, again) == count &&
        memcmp(found, again, count * sizeof *found) != 0)
        fuzz_fail("%s: a batch of %d changes the bits", kernels, batch);
}

/* All gradients of one batch, of one table; how many, 0 where the network is not trained. */
static size_t backward(const vit_model *model, const char *kernels, int batch, int threads, int recompute, float *out,
                       double *loss) {
    vit_train_options options = vit_default_train_options();
    vit_trainer *trainer;
    vit_train_result result;
    vit_error error;
    options.batch = batch;
    options.threads = threads;
    options.recompute = recompute;
    options.kernels = kernels;
    options.updates = 2;
    if (vit_trainer_open(&trainer, model, &options, &error) != VIT_OK)
        return 0;
    const vit_config *c = vit_model_config(model);
    for (int b = 0; b < batch; b++) {
        for (size_t i = 0; i < (size_t)c->image_height * (size_t)c->image_width * 3; i++)
            vit_trainer_input(trainer, b)[i] = pixel(b, i);
        fuzz_expect(vit_trainer_set_class(trainer, b, b % c->classes, &error) == VIT_OK);
    }
    size_t count = trainer->parameter_count <= MOST ? trainer->parameter_count : 0;
    if (vit_trainer_step(trainer, &result, &error) != VIT_OK)
        count = 0;
    *loss = result.loss;
    memcpy(out, trainer->gradients, count * sizeof *out);
    vit_trainer_close(trainer);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float scalar[MOST], found[MOST], again[MOST];
    choices c = {data, data + size};
    vit_options options = fuzz_options();
    options.allocator = vit_default_options().allocator;
    const vit_config config = choose_config(&c);
    const uint64_t model_seed = 1 + (uint64_t)choose(&c, 100);
    const int batch = 1 + choose(&c, 4), threads = 1 + choose(&c, 3), recompute = choose(&c, 2);
    vit_model *model;
    vit_error error = {0};
    check_any(&(choices){data, data + size}, &options);
    vit_status status = vit_model_init(&model, &config, model_seed, &options, &error);
    fuzz_check_error(status, &error);
    if (status != VIT_OK || vit_model_flops(model, config.image_height, config.image_width) > (config.resnet.stem_width ? 2e7 : 4e6)) {
        vit_model_close(model);
        return 0;
    }
    shake(model);
    const size_t count = forward(model, (vit_session_options){.kernels = "scalar"}, scalar);
    const char *name;
    for (int i = 0; count && (name = vit_kernels_name(i)) && !strchr(name, ','); i++)
        compare_forward(model, name, 1 + choose(&c, 3), threads, scalar, count, 1e-4);
    vit_model_close(model);
    options.raw_weights = 1; /* convolutions are trained as they are stored */
    fuzz_expect(vit_model_init(&model, &config, model_seed, &options, &error) == VIT_OK);
    shake(model);
    double loss, others, again_loss;
    /* a value that rounds to the other side of ReLU, or to another place of the pool, sends its gradient elsewhere */
    const double tolerance = config.resnet.stem_width ? 5e-2 : 1e-3;
    const size_t gradients = backward(model, "scalar", batch, 1, 0, scalar, &loss);
    for (int i = 0; gradients && (name = vit_kernels_name(i)) && !strchr(name, ','); i++) {
        fuzz_expect(backward(model, name, batch, 1, 0, found, &others) == gradients);
        const double distance = apart(found, scalar, gradients);
        if (!(distance <= tolerance) || !(fabs(others - loss) <= 1e-4 * (1 + fabs(loss))))
            fuzz_fail("%s: gradients are %g from scalar, the loss is %g and %g", name, distance, others, loss);
        fuzz_expect(backward(model, name, batch, threads, recompute, again, &again_loss) == gradients);
        if (memcmp(found, again, gradients * sizeof *found) != 0 || others != again_loss)
            fuzz_fail("%s: %d threads or recomputing change the gradients' bits", name, threads);
    }
    vit_model_close(model);
    return 0;
}
