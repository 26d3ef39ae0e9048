/* The golden kinds of training: loss and gradients of one batch, and ten steps of an optimiser. */
#include "golden.h"

#include "../src/format/json.h"
#include "../src/model/names.h"
#include "../src/train/augment.h"
#include "../src/train/trainer.h"

#include <stdlib.h>
#include <string.h>

typedef struct training {
    golden *g;
    vit_model *model;
    tensors input;
    vit_buffer text;
    vit_json_document settings; /* case.json */
} training;

static training training_open(golden *g) {
    vit_error error;
    training t = {.g = g, .text = {.allocator = &g->options.allocator}};
    const char *config = path_in(g->folder, "case.json");
    const char *file = path_in(g->folder, "model.npz");
    if (!vit_file_exists(file))
        file = path_in(g->folder, "model.safetensors");
    vit_options options = g->options;
    options.raw_weights = 1;
    must(vit_model_open(&t.model, file, config, &options, &error), &error);
    tensors_open(&t.input, path_in(g->folder, "input.safetensors"), g);
    if (t.model->config.network == VIT_NETWORK_BIT) { /* no file of its says for which pictures it is */
        const vit_tensor_info *x = tensors_find(&t.input, "x");
        t.model->config.image_height = (int)x->shape[1];
        t.model->config.image_width = (int)x->shape[2];
    }
    must(vit_read_file(&t.text, config, 1 << 20, &error), &error);
    must(vit_json_parse(&t.settings, config, t.text.data, t.text.size, &g->options.limits, &g->options.allocator, &error), &error);
    return t;
}

static void training_close(training *t) {
    vit_json_release(&t->settings);
    vit_buffer_release(&t->text);
    tensors_close(&t->input);
    vit_model_close(t->model);
}

static double setting(const training *t, const char *key, double otherwise) {
    const vit_json *value = vit_json_get(t->settings.root, key);
    return value ? value->number : otherwise;
}

static const vit_tensor_info *input_of(const training *t, const char *name) {
    const vit_tensor_info *info = tensors_find(&t->input, name);
    if (!info)
        die("%s: input.safetensors has no %s", t->g->folder, name);
    return info;
}

/* Batch `index` of x [.., B,H,W,3] and y [.., B], or the multi-hot target [B,N], to the trainer. */
static void feed(const training *t, vit_trainer *trainer, int index) {
    vit_error error;
    const int batch = trainer->options.batch, classes = t->model->config.classes;
    const vit_config *c = &t->model->config;
    const size_t pixels = (size_t)batch * (size_t)c->image_height * (size_t)c->image_width * 3;
    const float *x = tensors_data(&t->input, input_of(t, "x"));
    const int32_t *y = tensors_data(&t->input, input_of(t, "y"));
    const vit_tensor_info *target = tensors_find(&t->input, "target");
    memcpy(vit_trainer_input(trainer, 0), x + (size_t)index * pixels, pixels * sizeof *x);
    for (int i = 0; i < batch; i++)
        must(vit_trainer_set_class(trainer, i, y[index * batch + i], &error), &error);
    if (target)
        memcpy(vit_trainer_target(trainer, 0), tensors_data(&t->input, target),
               (size_t)batch * (size_t)classes * sizeof(float));
}

static float *result_like(golden *g, int index) {
    const vit_tensor_info *info = &g->expected.header.tensors[index];
    return golden_result(g, index, "F32", info->rank, info->shape);
}

static void store_value(golden *g, const char *name, double value) {
    if (golden_find(g, name) >= 0)
        *result_like(g, golden_find(g, name)) = (float)value;
}

/* A part of our rows [N,K], or [N,C,H,W], as a kernel of flax: [K,N], or [H,W,C,N]. */
static void to_kernel(const float *rows, const vit_slot *slot, size_t outputs, float *out) {
    const size_t inputs = vit_slot_row(slot), channels = slot->rank == 4 ? (size_t)slot->shape[1] : 1;
    for (size_t i = 0; i < inputs; i++)
        for (size_t o = 0; o < outputs; o++)
            out[i * outputs + o] = rows[o * inputs + (slot->rank == 4 ? i % channels * (inputs / channels) + i / channels : i)];
}

/* What lies at `values`, laid out as the parameters are, of every parameter that is expected under PREFIX.name, as its
 * file lays it out. */
static void store_parameters(golden *g, const vit_trainer *trainer, const char *prefix, const float *values) {
    const size_t length = strlen(prefix);
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i);
        if (strncmp(name, prefix, length) != 0 || name[length] != '.')
            continue;
        const vit_name translated = vit_translate(name + length + 1);
        char within[128];
        snprintf(within, sizeof within, "%s%s", vit_units_name(&trainer->model->config), translated.own);
        const vit_slot *slot = vit_model_slot(trainer->model, translated.own);
        slot = slot ? slot : vit_model_slot(trainer->model, within);
        if (!slot)
            die("%s: no weight is called %s", g->folder, name);
        const size_t rows = (size_t)slot->shape[0] / (size_t)translated.parts, count = slot->count / (size_t)translated.parts;
        const float *from = values + (slot->held.f32 - trainer->parameters) + (size_t)translated.part * count;
        float *out = result_like(g, i);
        if (translated.kernel)
            to_kernel(from, slot, rows, out);
        else
            memcpy(out, from, count * sizeof *out);
    }
}

/* mask.NAME of the input [B,T,C], by site. */
static float given_mask(void *context, vit_site site, int layer, int lane, int channel) {
    static const char *const names[] = {"mask.pos_drop", "mask.blocks.%d.attn.proj_drop", "mask.blocks.%d.mlp.drop1",
                                        "mask.blocks.%d.mlp.drop2"};
    const training *t = context;
    char name[64];
    if (site == VIT_SITE_POSITIONS)
        snprintf(name, sizeof name, "%s", names[site]);
    else
        snprintf(name, sizeof name, names[site], layer);
    const vit_tensor_info *info = input_of(t, name);
    const uint8_t *mask = tensors_data(&t->input, info);
    return mask[(size_t)lane * (size_t)info->shape[2] + (size_t)channel];
}

void golden_gradients(golden *g) {
    vit_error error;
    vit_trainer *trainer;
    vit_train_result result;
    training t = training_open(g);
    vit_train_options options = vit_default_train_options();
    options.batch = (int)input_of(&t, "x")->shape[0];
    options.rate = 0;
    options.dropout = (float)setting(&t, "dropout", 0);
    if (strstr(g->folder, "smooth"))
        options.label_smoothing = 0.1f;
    if (strstr(g->folder, "sigmoid"))
        options.loss = VIT_LOSS_SIGMOID;
    must(vit_trainer_open(&trainer, t.model, &options, &error), &error);
    if (options.dropout > 0) {
        trainer->keep = given_mask;
        trainer->keep_context = &t;
    }
    feed(&t, trainer, 0);
    must(vit_trainer_step(trainer, &result, &error), &error);
    store_value(g, "loss", result.loss);
    memcpy(result_like(g, golden_find(g, "logits")), vit_trainer_logits(trainer, 0),
           (size_t)options.batch * (size_t)t.model->config.classes * sizeof(float));
    store_parameters(g, trainer, "grad", trainer->gradients);
    vit_trainer_close(trainer);
    training_close(&t);
}

static vit_train_options options_of_steps(const training *t) {
    const char *folder = t->g->folder;
    vit_train_options options = vit_default_train_options();
    options.batch = (int)input_of(t, "x")->shape[1];
    options.updates = (int64_t)setting(t, "steps", 0);
    options.warmup = (int64_t)setting(t, "warmup", 0);
    options.rate = setting(t, "lr", 0);
    options.decay_matrices = 0;
    if (strstr(folder, "bigvision")) {
        options.weight_decay = (float)setting(t, "wd", 0);
        options.decay = VIT_DECAY_SCHEDULE;
        options.decay_matrices = 1;
        options.clip_norm = 1;
    }
    if (strstr(folder, "sigmoid"))
        options.loss = VIT_LOSS_SIGMOID;
    options.momentum_bf16 = strstr(folder, "bf16") != NULL;
    if (strstr(folder, "sgd")) {
        options.optimizer = VIT_OPTIMIZER_SGD;
        options.clip_norm = 1;
    }
    if (strstr(folder, "adam_l2")) {
        options.weight_decay = 0.1f;
        options.decay = VIT_DECAY_GRADIENT;
    }
    if (strstr(folder, "adamw")) {
        options.weight_decay = 0.1f;
        options.clip_norm = 1;
    }
    return options;
}

/* All steps, with parameters averaged by `polyak`; stored under "polyak_..." where that is expected. */
static void run_steps(training *t, double polyak, const char *name) {
    vit_error error;
    vit_trainer *trainer;
    golden *g = t->g;
    vit_train_options options = options_of_steps(t);
    options.polyak = polyak;
    must(vit_trainer_open(&trainer, t->model, &options, &error), &error);
    float *losses = NULL, *rates = NULL, *norms = NULL;
    if (!name) {
        losses = result_like(g, golden_find(g, "losses"));
        rates = result_like(g, golden_find(g, golden_find(g, "lrs") >= 0 ? "lrs" : "schedule_mult"));
        norms = result_like(g, golden_find(g, "grad_norms"));
    }
    for (int step = 0; step < options.updates; step++) {
        vit_train_result result;
        feed(t, trainer, step);
        must(vit_trainer_step(trainer, &result, &error), &error);
        if (name)
            continue;
        if (step == 0)
            store_parameters(g, trainer, "grad", trainer->gradients);
        losses[step] = (float)result.loss;
        rates[step] = (float)(golden_find(g, "lrs") >= 0 ? result.rate : result.rate / options.rate);
        norms[step] = (float)result.gradient_norm;
    }
    store_parameters(g, trainer, name ? name : "final", name ? trainer->average->slots[0].held.f32 : trainer->parameters);
    vit_trainer_close(trainer);
}

void golden_steps(golden *g) {
    training t = training_open(g);
    run_steps(&t, 0, NULL);
    if (strstr(g->folder, "steps_sgd")) {
        run_steps(&t, 0.9999, "polyak_0.9999");
        run_steps(&t, 0.9, "polyak_0.9");
    }
    training_close(&t);
}

/* augment/randaugment: OPERATION.LEVEL, or a bare OPERATION where there are no levels. */
void golden_randaugment(golden *g) {
    static const char *const names[] = {"Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate",
                                        "Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast",
                                        "Equalize"};
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *x = tensors_find(&input, "x");
    const int height = (int)x->shape[0], width = (int)x->shape[1];
    uint8_t *scratch = must_alloc((size_t)x->bytes);
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *dot = strchr(name, '.');
        const size_t length = dot ? (size_t)(dot - name) : strlen(name);
        int op = 0, is_signed;
        while (op < VIT_OPS && (strncmp(names[op], name, length) != 0 || names[op][length]))
            op++;
        if (op == VIT_OPS)
            die("%s: no operation is called %s", g->folder, name);
        const int level = dot ? atoi(dot + 1) : 0;
        const double magnitude = vit_op_magnitude((vit_op)op, abs(level), height, width, &is_signed);
        uint8_t *out = golden_result(g, i, "U8", 3, x->shape);
        memcpy(out, tensors_data(&input, x), (size_t)x->bytes);
        vit_op_apply((vit_op)op, level < 0 ? -magnitude : magnitude, out, height, width, scratch);
    }
    free(scratch);
    tensors_close(&input);
}
