/* A trainer: its memory, and a step. */
#include "trainer.h"

#include <math.h>
#include <string.h>

vit_train_options vit_default_train_options(void) {
    return (vit_train_options){.batch = 1, .accumulate = 1, .threads = 1, .loss = VIT_LOSS_SOFTMAX, .beta1 = 0.9f,
                               .beta2 = 0.999f, .epsilon = 1e-8f, .momentum = 0.9f, .decay = VIT_DECAY_RATE,
                               .decay_matrices = 1, .schedule = VIT_SCHEDULE_COSINE, .rate = 1e-3, .updates = 1,
                               .corrupt = 0.5f, .corrupt_masked = 0.8f, .corrupt_swapped = 0.1f};
}

/* ---- What can be trained ---- */

static vit_status check_network(const vit_model *model, vit_error *error) {
    const vit_config *c = &model->config;
    const struct {
        int present;
        const char *what;
    } parts[] = {
        {c->pool == VIT_POOL_MAP, "attention pooling"},
        {c->pool == VIT_POOL_CLASS_MEAN && (c->pool_norm || !c->final_norm), "this pooling and these norms"},
        {c->dist_token || c->head_dist, "a distillation token"},
        {c->projection, "a projection"},
        {c->axial, "axial attention"},
        {!(c->norm_eps > 0), "norms whose epsilon is 0"},
        {c->decoder.kind != VIT_DECODER_NONE && !vit_is_patch_predictor(c), "a decoder of pixels"},
        {vit_is_patch_predictor(c) && c->classes, "both patches and classes to predict"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].present)
            return vit_fail(error, VIT_ERR_UNSUPPORTED, "a network with %s cannot be trained yet", parts[i].what);
    if (c->resnet.stem_width && !model->options.raw_weights)
        return vit_fail(error, VIT_ERR_ARGUMENT, "the convolutions were standardised when they were loaded: expected "
                        "them as stored (raw_weights) to train them");
    if (model->options.compute != VIT_COMPUTE_F32)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "the model is held as int8: load it as f32 to train it");
    if (!c->classes && !vit_is_patch_predictor(c))
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "the model has no head to train with");
    return VIT_OK;
}

vit_status vit_check_ranges(const vit_range *ranges, size_t count, vit_error *error) {
    for (const vit_range *r = ranges; r < ranges + count; r++)
        if (!(r->value >= r->least && r->value <= r->most))
            return vit_fail(error, VIT_ERR_ARGUMENT, "%s is %g: expected %g to %g", r->name, r->value, r->least, r->most);
    return VIT_OK;
}

static vit_status check_options(const vit_train_options *o, vit_error *error) {
    const vit_range ranges[] = { /* limits of floats are floats: 0.999f is above 0.999 */
        {"batch", o->batch, 1, 65536},
        {"accumulate", o->accumulate, 1, 1 << 20},
        {"threads", o->threads, 1, 1024},
        {"label smoothing", o->label_smoothing, 0, 1},
        {"dropout", o->dropout, 0, 0.999f},
        {"stochastic depth", o->drop_path, 0, 0.999f},
        {"beta1", o->beta1, 0, 0.9999999f},
        {"beta2", o->beta2, 0, 0.9999999f},
        {"epsilon", o->epsilon, 0, 1},
        {"momentum", o->momentum, 0, 1},
        {"weight decay", o->weight_decay, 0, 1e6},
        {"gradient norm", o->clip_norm, 0, 1e30f},
        {"rate", o->rate, 0, 1e6},
        {"final rate", o->final_rate, 0, 1e6},
        {"warm-up", (double)o->warmup, 0, 1e15},
        {"updates", (double)o->updates, 1, 1e15},
        {"averaging", o->polyak, 0, 0.9999999},
        {"corrupted share", o->corrupt, 0, 1},
        {"share of the mask token", o->corrupt_masked, 0, 1},
        {"share of other patches", o->corrupt_swapped, 0, 1.0 - o->corrupt_masked + 1e-6}, /* both as float32 */
    };
    return vit_check_ranges(ranges, sizeof ranges / sizeof *ranges, error);
}

/* ---- Memory ---- */

static const vit_bf16_kernels *bf16_products(int panel) {
    const vit_bf16_kernels *products;
    for (int i = 0; (products = vit_bf16_kernels_at(i)) != NULL; i++)
        if (products->panel == panel)
            break;
    return products;
}

/* Tables of its own, whose products those are. */
static void use_products(vit_trainer *t, const vit_bf16_kernels *products) {
    t->lent_kernels = *t->kernels;
    t->lent_kernels.row_step = products->row_step;
    t->lent_kernels.gemm_nt = products->gemm_nt;
    t->lent_train = *t->train;
    t->lent_train.gemm_nn = products->gemm_nn;
    t->lent_train.gemm_tn = products->gemm_tn;
    t->kernels = &t->lent_kernels;
    t->train = &t->lent_train;
}

static vit_status plan(vit_trainer *t, const vit_model *model, const vit_train_options *options, vit_error *error) {
    const vit_config *c = &model->config;
    VIT_TRY(check_network(model, error));
    VIT_TRY(check_options(options, error));
    *t = (vit_trainer){.options = *options, .allocator = model->options.allocator};
    t->kernels = vit_kernels_find(options->kernels);
    t->train = t->kernels ? vit_train_kernels_for(t->kernels) : NULL;
    if (!t->train)
        return vit_fail(error, VIT_ERR_ARGUMENT, "kernels \"%.40s\": not known, or this host lacks them",
                        options->kernels ? options->kernels : "");
    t->f32 = t->kernels;
    if (options->bf16 && !(t->products = bf16_products(t->f32->panel)))
        return vit_fail(error, VIT_ERR_ARGUMENT, "bfloat16 products: this host or build has no instructions for them (AMX), or "
                        "kernels \"%.40s\" go with none", t->kernels->name);
    t->drops = options->dropout > 0 || options->drop_path > 0;
    t->apart = t->drops || c->layer_scale;
    t->rows = vit_grid_side(c, c->image_height, c->patch_height);
    t->columns = vit_grid_side(c, c->image_width, c->patch_width);
    t->patches = t->rows * t->columns;
    t->prefix = vit_prefix_tokens(c);
    t->tokens = t->patches + t->prefix;
    if ((uint64_t)t->tokens * (uint64_t)options->batch > INT32_MAX / 64)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "a batch of %d with %d tokens each: too many to train on", options->batch,
                        t->tokens);
    if (c->resnet.stem_width && (uint64_t)c->image_height * (uint64_t)c->image_width * (uint64_t)options->batch > INT32_MAX / 4)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "a batch of %d pictures of %dx%d: too many pixels for convolutions: at most %d",
                        options->batch, c->image_height, c->image_width, INT32_MAX / 4);
    const int r = t->kernels->panel;
    t->lanes = c->network == VIT_NETWORK_BIT ? 0 : t->tokens * options->batch; /* a BiT has no tokens */
    t->panels = (t->lanes + r - 1) / r;
    t->image_panels = (options->batch + r - 1) / r;
    /* Blocks of up to 128 tokens, fewer where there would be too few blocks to share. Never a matter of threads. */
    t->block = t->panels / 32 * r > 128 ? 128 / r : t->panels / 32 > 2 ? t->panels / 32 : 2;
    t->blocks = (t->panels + t->block - 1) / t->block;
    return VIT_OK;
}

static void take_patches(vit_trainer *t) {
    const vit_config *c = &t->model->config;
    const size_t r = (size_t)t->kernels->panel, width = (size_t)c->width, all = (size_t)t->options.batch * (size_t)t->patches;
    const size_t lanes = (size_t)vit_patch_chunk(c, t->kernels->panel) * r;
    t->cells = vit_color_cells(c) * vit_color_cells(c);
    t->kinds = vit_arena_take(&t->arena, all);
    t->rgb = vit_arena_take(&t->arena,
                            vit_size_mul((size_t)t->options.batch, 3 * (size_t)c->image_height * (size_t)c->image_width));
    t->sources = vit_arena_take(&t->arena, vit_size_mul(all, sizeof *t->sources));
    t->labels = vit_arena_take(&t->arena, vit_size_mul(all, (size_t)t->cells * sizeof *t->labels));
    t->chosen = vit_arena_take(&t->arena, vit_size_mul(all, sizeof *t->chosen));
    t->patch_loss = vit_arena_take(&t->arena, vit_size_mul(all, sizeof *t->patch_loss));
    t->patch_right = vit_arena_take(&t->arena, vit_size_mul(all, sizeof *t->patch_right));
    t->chunk_x = vit_arena_floats(&t->arena, lanes, width, 1);
    t->chunk_dx = vit_arena_floats(&t->arena, lanes, width, 1);
    t->chunk_y = vit_arena_floats(&t->arena, lanes, (size_t)vit_prediction_values(c), 1);
    t->thread_scratch = vit_larger(t->thread_scratch, 2 * r * (size_t)t->cells);
}

static void take_kept(vit_trainer *t, size_t lanes) {
    const vit_config *c = &t->model->config;
    const size_t width = (size_t)c->width;
    t->kept = vit_arena_take(&t->arena, vit_size_mul((size_t)c->layers, sizeof *t->kept));
    vit_kept kept = {0};
    for (int layer = 0; layer < c->layers; layer++) {
        if (layer == 0 || !t->options.recompute) {
            kept.qkv = vit_arena_floats(&t->arena, lanes, 3 * width, 1);
            kept.mixed = vit_arena_floats(&t->arena, lanes, width, 1);
            kept.middle = vit_arena_floats(&t->arena, lanes, width, 1);
            kept.hidden = vit_arena_floats(&t->arena, lanes, (size_t)vit_fc1_rows(c), 1);
        }
        kept.x = vit_arena_floats(&t->arena, lanes, width, 1);
        if (t->arena.base)
            t->kept[layer] = kept;
    }
}

/* Takes every buffer from the arena: first to measure, then for real. */
static void take_buffers(vit_trainer *t, int threads) {
    const vit_config *c = &t->model->config;
    vit_arena *arena = &t->arena;
    const size_t r = (size_t)t->kernels->panel, width = (size_t)c->width, batch = (size_t)t->options.batch;
    const size_t lanes = (size_t)t->panels * r, images = (size_t)t->image_panels * r, classes = (size_t)c->classes;
    t->gradients = vit_arena_floats(arena, t->parameter_count, 1, 1);
    t->first = vit_arena_floats(arena, t->parameter_count, 1, 1);
    if (t->options.optimizer == VIT_OPTIMIZER_ADAM)
        t->second = vit_arena_floats(arena, t->parameter_count, 1, 1);
    t->pieces = NULL;
    vit_make_pieces(t);
    t->pieces = vit_arena_take(arena, (size_t)t->piece_count * sizeof *t->pieces);
    t->input = vit_arena_floats(arena, batch, (size_t)c->image_height * (size_t)c->image_width, 3);
    t->targets = vit_arena_floats(arena, batch, classes, 1);
    t->pixels = vit_arena_floats(arena, lanes, (size_t)vit_resnet_channels(&c->resnet),
                     (size_t)c->patch_height * (size_t)c->patch_width);
    t->positions = vit_arena_floats(arena, (size_t)t->tokens, width, 1);
    t->dpositions = vit_arena_floats(arena, (size_t)t->tokens, width, 1);
    if (c->pos_kind == VIT_POS_RELATIVE)
        t->distances = vit_arena_floats(arena, vit_size_mul(batch, (size_t)c->heads), 2 * (size_t)t->tokens - 1,
                            width / (size_t)c->heads);
    take_kept(t, lanes);
    t->x = vit_arena_floats(arena, lanes, width, 1);
    for (int i = 0; i < 2; i++)
        t->normed[i] = vit_arena_floats(arena, lanes, width, 1);
    for (int i = 0; i < 3; i++)
        t->dx[i] = vit_arena_floats(arena, lanes, width, 1);
    for (int i = 0; i < 2 && t->apart; i++)
        t->branch[i] = vit_arena_floats(arena, lanes, width, 1);
    if (c->pre_norm)
        t->embedded = vit_arena_floats(arena, lanes, width, 1);
    t->dqkv = vit_arena_floats(arena, lanes, 3 * width, 1);
    t->dmixed = vit_arena_floats(arena, lanes, width, 1);
    t->dhidden = vit_arena_floats(arena, lanes, (size_t)vit_fc1_rows(c), 1);
    t->sums = vit_arena_floats(arena, (size_t)t->blocks, (size_t)vit_sums_of(c).count, 1);
    const size_t features = (size_t)vit_pooled_width(c);
    for (int i = 0; i < 3; i++)
        t->pooled[i] = vit_arena_floats(arena, images, features, 1);
    for (int i = 0; i < 2; i++)
        t->dpooled[i] = vit_arena_floats(arena, images, features, 1);
    t->pooled_rows = vit_arena_floats(arena, batch, features, 1);
    if (c->pre_logits) {
        t->hidden = vit_arena_floats(arena, images, (size_t)c->pre_logits, 1);
        t->dhead = vit_arena_floats(arena, images, (size_t)c->pre_logits, 1);
    }
    t->scores = vit_arena_floats(arena, images, classes, 1);
    t->dscores = vit_arena_floats(arena, images, classes, 1);
    t->logits = vit_arena_floats(arena, batch, classes, 1);
    t->dlogits = vit_arena_floats(arena, batch, classes, 1);
    const size_t block = (size_t)t->block * r * (width + (size_t)vit_fc1_rows(c)) + 2 * width * r;
    t->thread_scratch = c->heads ? vit_larger(vit_train_attention_scratch(t), block) : block;
    t->thread_scratch = vit_larger(t->thread_scratch, (size_t)t->tokens * 2 * width);
    if (c->resnet.stem_width)
        t->thread_scratch = vit_larger(t->thread_scratch, vit_convnet_take(t));
    if (vit_is_patch_predictor(c))
        take_patches(t);
    t->scratch = vit_arena_floats(arena, (size_t)threads, t->thread_scratch, 1);
}

static vit_status allocate(vit_trainer *t, const vit_model *model, vit_error *error) {
    VIT_TRY(vit_model_copy(&t->model, model, &model->options, error));
    t->model->config.multi_label = t->options.loss == VIT_LOSS_SIGMOID;
    t->model->config.known_percent = 0; /* it was measured with the weights before */
    if (t->options.polyak > 0)
        VIT_TRY(vit_model_copy(&t->average, t->model, &model->options, error));
    t->parameters = t->model->slots[0].held.f32;
    t->parameter_count = t->model->weight_arena.size / sizeof(float);
    VIT_TRY(vit_team_open(&t->team, t->options.threads, &t->allocator, error));
    VIT_TRY(vit_team_open(&t->alone, 1, &t->allocator, error));
    const int threads = vit_team_threads(t->team);
    take_buffers(t, threads);
    VIT_TRY(vit_arena_commit(&t->arena, &t->allocator, "the trainer", error));
    memset(t->arena.base, 0, t->arena.size); /* moments begin at 0, lanes without a token stay finite */
    take_buffers(t, threads);
    vit_make_pieces(t);
    t->first_trained = vit_first_trained(t);
    return VIT_OK;
}

vit_status vit_train_check(const vit_model *model, const vit_train_options *options, vit_error *error) {
    vit_trainer planned;
    return plan(&planned, model, options, error);
}

vit_status vit_trainer_open(vit_trainer **out, const vit_model *model, const vit_train_options *options,
                            vit_error *error) {
    const vit_train_options defaults = vit_default_train_options();
    vit_trainer planned, *t;
    *out = NULL;
    VIT_TRY(plan(&planned, model, options ? options : &defaults, error));
    VIT_TRY(vit_alloc_for((void **)&t, &planned.allocator, sizeof *t, "the trainer", error));
    *t = planned;
    if (t->products)
        use_products(t, t->products);
    vit_status status = allocate(t, model, error);
    if (status != VIT_OK) {
        vit_trainer_close(t);
        return status;
    }
    *out = t;
    return VIT_OK;
}

void vit_trainer_close(vit_trainer *t) {
    if (!t)
        return;
    const vit_allocator allocator = t->allocator;
    vit_team_close(t->team);
    vit_team_close(t->alone);
    vit_arena_release(&t->arena, &allocator);
    vit_model_close(t->model);
    vit_model_close(t->average);
    vit_release(&allocator, t);
}

uint64_t vit_trainer_bytes(const vit_model *model, const vit_train_options *options) {
    const vit_train_options defaults = vit_default_train_options();
    vit_trainer t;
    if (!options)
        options = &defaults;
    if (plan(&t, model, options, NULL) != VIT_OK)
        return 0;
    t.model = (vit_model *)model; /* only looked at */
    t.parameters = model->slots[0].held.f32;
    t.parameter_count = (size_t)(vit_model_bytes(model) / sizeof(float));
    take_buffers(&t, options->threads);
    const uint64_t models = vit_model_bytes(model) * (options->polyak > 0 ? 2 : 1);
    return t.arena.used == SIZE_MAX ? 0 : t.arena.used + models;
}

/* ---- A step ---- */

float *vit_trainer_input(vit_trainer *t, int index) {
    const vit_config *c = &t->model->config;
    return index >= 0 && index < t->options.batch
               ? t->input + (size_t)index * (size_t)c->image_height * (size_t)c->image_width * 3
               : NULL;
}

float *vit_trainer_target(vit_trainer *t, int index) {
    const size_t classes = (size_t)t->model->config.classes;
    return index >= 0 && index < t->options.batch ? t->targets + (size_t)index * classes : NULL;
}

vit_status vit_trainer_set_class(vit_trainer *t, int index, int class_index, vit_error *error) {
    const int classes = t->model->config.classes;
    float *target = vit_trainer_target(t, index);
    if (!target || class_index < 0 || class_index >= classes)
        return vit_fail(error, VIT_ERR_ARGUMENT, "image %d of a batch of %d is of class %d of %d", index,
                        t->options.batch, class_index, classes);
    memset(target, 0, (size_t)classes * sizeof *target);
    target[class_index] = 1;
    return VIT_OK;
}

const float *vit_trainer_logits(const vit_trainer *t, int index) {
    return index >= 0 && index < t->options.batch ? t->logits + (size_t)index * (size_t)t->model->config.classes : NULL;
}

const vit_model *vit_trainer_model(const vit_trainer *t) {
    return t->model;
}

const vit_model *vit_trainer_average(const vit_trainer *t) {
    return t->average;
}

int64_t vit_trainer_updates(const vit_trainer *t) {
    return t->updates;
}

static void forward(vit_trainer *t) {
    if (t->convnet)
        vit_convnet_forward(t);
    vit_forward_input(t);
    for (int layer = 0; layer < t->model->config.layers; layer++)
        vit_forward_layer(t, layer, 0);
    if (!t->kinds)
        vit_forward_output(t);
}

static void backward(vit_trainer *t) {
    const int layers = t->model->config.layers;
    if (!t->kinds)
        vit_backward_output(t);
    for (int layer = layers - 1; layer >= 0 && layer >= t->first_trained; layer--) {
        if (t->options.recompute && layer < layers - 1)
            vit_forward_layer(t, layer, 1);
        vit_backward_layer(t, layer);
        float *before = t->dx[2];
        t->dx[2] = t->dx[0];
        t->dx[0] = before;
    }
    if (t->first_trained >= 0)
        return;
    vit_backward_input(t);
    if (t->convnet)
        vit_convnet_backward(t);
}

/* Logits; of models that predict patches, what their heads are made of. */
vit_status vit_trainer_check(vit_trainer *t, vit_error *error) {
    const vit_config *c = &t->model->config;
    forward(t);
    const int r = t->kernels->panel;
    int is_finite = 1;
    for (int i = 0; i < t->options.batch * c->classes; i++)
        is_finite &= isfinite(t->logits[i]) != 0;
    for (int lane = 0; lane < t->lanes && t->kinds; lane++)
        for (int d = 0; d < c->width; d++)
            is_finite &= isfinite(vit_panel(t, t->x, c->width, lane / r)[d * r + lane % r]) != 0;
    if (!is_finite)
        return vit_fail(error, VIT_ERR_ARGUMENT, "the network's outputs after update %lld are not finite numbers",
                        (long long)t->updates);
    return VIT_OK;
}

vit_status vit_trainer_step(vit_trainer *t, vit_train_result *result, vit_error *error) {
    const int accumulate = t->options.accumulate, turn = (int)(t->batches % accumulate);
    *result = (vit_train_result){.update = t->updates, .predictions = t->options.batch};
    forward(t);
    if (turn == 0)
        memset(t->gradients, 0, t->parameter_count * sizeof *t->gradients);
    result->loss = t->kinds ? vit_patch_loss_backward(t, 1.0 / accumulate, result)
                            : vit_loss_backward(t, 1.0 / accumulate, &result->correct);
    if (!isfinite(result->loss))
        return vit_fail(error, VIT_ERR_ARGUMENT, "the loss of update %lld is %g: a lower rate or clipping may help",
                        (long long)t->updates, fabs(result->loss));
    backward(t);
    t->batches++;
    if (turn + 1 < accumulate)
        return VIT_OK;
    result->gradient_norm = vit_gradient_norm(t);
    if (!isfinite(result->gradient_norm)) {
        t->batches -= accumulate; /* it is made again: what is random in it is of its number */
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "the gradient of update %lld is not finite: a lower rate or clipping may help",
                        (long long)t->updates);
    }
    result->rate = vit_train_rate(&t->options, t->updates);
    vit_update(t, result->gradient_norm);
    result->updated = 1;
    result->update = t->updates;
    return VIT_OK;
}
