/* The trainer: gradients of whole networks against differences of the loss, steps that depend on nothing but their
 * inputs, what is refused. Gradients of small networks against PyTorch and JAX are in the goldens. */
#include "trainers.h"

static vit_config small(void) {
    vit_config c;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&c, "vit_tiny_patch16_224", &error));
    c.layers = 2;
    c.width = 24;
    c.heads = 3;
    c.mlp_width = 40;
    c.classes = 5;
    c.patch_height = c.patch_width = 4;
    c.image_height = c.preprocess.height = 12;
    c.image_width = c.preprocess.width = 20;
    return c;
}

static int same(const vit_trainer *a, const vit_trainer *b) {
    return memcmp(a->parameters, b->parameters, a->parameter_count * sizeof(float)) == 0;
}

/* ---- Gradients ---- */

static void test_networks(void) {
    vit_config c = small();
    check_slots(&c, options_of(3), "class token");
    vit_train_options o = options_of(3);
    o.loss = VIT_LOSS_SIGMOID;
    check_slots(&c, o, "sigmoid");
    o = options_of(3);
    o.dropout = 0.3f;
    o.drop_path = 0.5f;
    o.label_smoothing = 0.2f;
    check_slots(&c, o, "dropout");
    c.pre_logits = 11;
    c.activation = VIT_GELU_TANH;
    check_slots(&c, options_of(2), "hidden layer in the head");
    c = small();
    c.pool = VIT_POOL_MEAN;
    c.activation = VIT_GELU_QUICK;
    c.qkv_bias = 0;
    check_slots(&c, options_of(3), "mean");
    c.class_token = c.pos_class = 0;
    check_slots(&c, options_of(3), "mean without class token");
    c.final_norm = 0;
    c.pool_norm = 1;
    c.pos_kind = VIT_POS_NONE;
    check_slots(&c, options_of(17), "norm after pooling, no positions");
    c = small();
    c.mlp = VIT_MLP_SWIGLU;
    check_slots(&c, options_of(3), "SwiGLU");
    c.layer_scale = 1;
    check_slots(&c, o, "SwiGLU, LayerScale and dropout");
    c = small();
    c.layer_scale = 1;
    check_slots(&c, options_of(3), "LayerScale");
    c.pool = VIT_POOL_CLASS_MEAN;
    c.pre_norm = 1;
    check_slots(&c, o, "LayerScale behind dropout, class token and mean, a norm before the layers");
    c = small();
    c.pos_kind = VIT_POS_2D;
    c.registers = 2;
    check_slots(&c, options_of(3), "2-D positions, registers");
    c.pos_placement = VIT_POS_LAYERS;
    check_slots(&c, options_of(2), "2-D positions of every layer");
    c = small();
    c.pos_placement = VIT_POS_SHARED;
    check_slots(&c, options_of(3), "shared positions");
    c.pos_placement = VIT_POS_LAYERS;
    vit_train_options recompute = options_of(3);
    recompute.recompute = 1;
    check_slots(&c, recompute, "positions of every layer");
    c.pos_placement = VIT_POS_INPUT;
    c.pos_kind = VIT_POS_SINCOS2D;
    c.pos_class = 0;
    check_slots(&c, options_of(2), "computed positions");
    c.pos_kind = VIT_POS_RELATIVE;
    check_slots(&c, options_of(3), "relative positions");
    c = small();
    c.pos_class = 0;
    c.pool_norm = 1;
    check_slots(&c, options_of(2), "class token without a position, both norms");
}

/* ---- Attention in doubles ---- */

/* Of a whole batch: qkv [B][T][3D], rel [2T-1,K] or NULL, what attention gives, and g: the gradient of that [B][T][D]. */
typedef struct attention {
    const vit_trainer *t;
    double *qkv, *rel, *mixed, *g;
} attention;

static double *numbers_of(size_t count, const float *from) {
    double *out = malloc(count * sizeof *out);
    for (size_t i = 0; i < count; i++)
        out[i] = from[i];
    return out;
}

/* Element i of [B][T][channels] in dense panels. */
static float *in_panels(const vit_trainer *t, float *panels, int channels, size_t i) {
    const int r = t->kernels->panel, lane = (int)(i / (size_t)channels);
    return vit_panel(t, panels, channels, lane / r) + i % (size_t)channels * (size_t)r + lane % r;
}

static double *unpack(const vit_trainer *t, float *panels, int channels) {
    double *out = malloc((size_t)(t->lanes * channels) * sizeof *out);
    for (size_t i = 0; i < (size_t)(t->lanes * channels); i++)
        out[i] = *in_panels(t, panels, channels, i);
    return out;
}

/* Fills mixed; returns sum(mixed * g). */
static double attend(const attention *a) {
    const vit_config *c = &a->t->model->config;
    const int tokens = a->t->tokens, d = c->width, k = d / c->heads;
    double *p = malloc((size_t)tokens * sizeof *p), objective = 0;
    for (int item = 0; item < a->t->options.batch * c->heads * tokens; item++) {
        const int image = item / (c->heads * tokens), first = item / tokens % c->heads * k, query = item % tokens;
        const double *rows = a->qkv + image * tokens * 3 * d + first, *q = rows + query * 3 * d;
        double most = -INFINITY, total = 0;
        for (int key = 0; key < tokens; key++) {
            p[key] = 0;
            for (int i = 0; i < k; i++)
                p[key] += q[i] * (rows[key * 3 * d + d + i] + (a->rel ? a->rel[(query - key + tokens - 1) * k + i] : 0));
            p[key] /= sqrt(k);
            most = fmax(most, p[key]);
        }
        for (int key = 0; key < tokens; key++)
            total += p[key] = exp(p[key] - most);
        for (int i = 0; i < k; i++) {
            const size_t at = (size_t)((image * tokens + query) * d + first + i);
            a->mixed[at] = 0;
            for (int key = 0; key < tokens; key++)
                a->mixed[at] += p[key] / total * rows[key * 3 * d + 2 * d + i];
            objective += a->mixed[at] * a->g[at];
        }
    }
    free(p);
    return objective;
}

/* Some of the numbers, each moved a little, against what the gradient says. */
static void check_differences(const attention *a, double *numbers, const double *gradient, size_t count, const char *what) {
    for (size_t i = 0; i < 24; i++) {
        const size_t at = (i * 7919 + 3) % count;
        const double was = numbers[at], h = 1e-5;
        numbers[at] = was + h;
        const double above = attend(a);
        numbers[at] = was - h;
        const double slope = (above - attend(a)) / (2 * h);
        numbers[at] = was;
        if (!CHECK_CLOSE(gradient[at], slope, 2e-5 * fabs(slope) + 4e-6))
            printf("%s, element %zu of %zu\n", what, at, count);
    }
}

static void check_attention(const vit_config *c, int batch, const char *what) {
    enum { LAYER = 1 };
    vit_model *model = model_of(c);
    vit_trainer *t = trainer_of(model, options_of(batch));
    const int d = c->width;
    const size_t tokens = (size_t)t->lanes, distances = (2 * (size_t)t->tokens - 1) * (size_t)(d / c->heads);
    const float *rel = t->model->weights.blocks[LAYER].rel_embed;
    step(t, 0);
    for (size_t i = 0; i < tokens * 3 * (size_t)d; i++)
        *in_panels(t, t->kept[LAYER].qkv, 3 * d, i) = 2 * sinf((float)(i * 7919 % 100003));
    for (size_t i = 0; i < tokens * (size_t)d; i++)
        *in_panels(t, t->dmixed, d, i) = cosf((float)(i * 6007 % 100003));
    memset(t->gradients, 0, t->parameter_count * sizeof(float));
    vit_train_attention_forward(t, LAYER);
    vit_train_attention_backward(t, LAYER);
    attention a = {t, unpack(t, t->kept[LAYER].qkv, 3 * d), rel ? numbers_of(distances, rel) : NULL,
                   malloc(tokens * (size_t)d * sizeof(double)), unpack(t, t->dmixed, d)};
    attend(&a);
    double off = 0;
    for (size_t i = 0; i < tokens * (size_t)d; i++)
        off = fmax(off, fabs(a.mixed[i] - *in_panels(t, t->kept[LAYER].mixed, d, i)));
    if (!CHECK(off < 2e-6))
        printf("%s: attention is off by %g\n", what, off);
    double *gradient = unpack(t, t->dqkv, 3 * d);
    check_differences(&a, a.qkv, gradient, tokens * 3 * (size_t)d, what);
    free(gradient);
    if (rel) {
        gradient = numbers_of(distances, vit_gradient(t, rel));
        check_differences(&a, a.rel, gradient, distances, "relative positions");
        free(gradient);
    }
    double *const all[] = {a.qkv, a.rel, a.mixed, a.g};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    vit_trainer_close(t);
    vit_model_close(model);
}

static void test_attention(void) {
    vit_config c = small();
    check_attention(&c, 3, "attention");
    c.pos_kind = VIT_POS_RELATIVE;
    c.pos_class = 0;
    check_attention(&c, 2, "attention with relative positions");
    c.image_height = c.preprocess.height = 40;
    c.image_width = c.preprocess.width = 60;
    check_attention(&c, 2, "attention of many tokens");
}

/* ---- What a step depends on ---- */

static void test_same_bits(void) {
    vit_config c = small();
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(9);
    o.dropout = 0.1f;
    o.drop_path = 0.1f;
    o.polyak = 0.9;
    o.clip_norm = 1;
    vit_trainer *one = trainer_of(model, o);
    o.threads = 3;
    vit_trainer *three = trainer_of(model, o);
    o.recompute = 1;
    vit_trainer *again = trainer_of(model, o);
    for (int turn = 0; turn < 3; turn++) {
        const vit_train_result a = step(one, turn), b = step(three, turn), d = step(again, turn);
        CHECK(a.loss == b.loss && a.gradient_norm == b.gradient_norm && same(one, three));
        CHECK(a.loss == d.loss && a.gradient_norm == d.gradient_norm && same(one, again));
        CHECK(a.update == turn + 1);
    }
    CHECK(vit_trainer_average(one) && !memcmp(one->average->slots[0].held.f32, three->average->slots[0].held.f32,
                                              one->parameter_count * sizeof(float)));
    vit_trainer_close(one);
    vit_trainer_close(three);
    vit_trainer_close(again);
    vit_model_close(model);
}

/* Gradients of products of bfloat16 factors point where those of f32 do; where there are no such products, open says so. */
static void test_bf16(void) {
    vit_config c = small();
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(9);
    vit_trainer *exact = trainer_of(model, o), *rounded = NULL;
    o.bf16 = 1;
    const vit_bf16_kernels *products = vit_bf16_kernels_at(0);
    if (!products || products->panel != exact->kernels->panel) {
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&rounded, model, &o, &error));
        CHECK_MENTIONS(error.text, "bfloat16");
        puts("skipped: products of bfloat16 (this processor has no AMX)");
    } else {
        rounded = trainer_of(model, o);
        o.threads = 3;
        vit_trainer *again = trainer_of(model, o);
        step(exact, 0);
        step(rounded, 0);
        step(again, 0);
        double dot = 0, squares[2] = {0};
        for (size_t i = 0; i < exact->parameter_count; i++) {
            dot += (double)exact->gradients[i] * rounded->gradients[i];
            squares[0] += (double)exact->gradients[i] * exact->gradients[i];
            squares[1] += (double)rounded->gradients[i] * rounded->gradients[i];
        }
        const double cosine = dot / sqrt(squares[0] * squares[1]);
        CHECK(cosine > 0.9998 && cosine < 0.9999999);
        CHECK(same(rounded, again));
        o.kernels = "scalar";
        vit_trainer *none = NULL;
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&none, model, &o, &error));
        CHECK_MENTIONS(error.text, "scalar");
        vit_trainer_close(again);
    }
    vit_trainer_close(exact);
    vit_trainer_close(rounded);
    vit_model_close(model);
}

/* A trainer that loads another's state goes on as that one would have. */
static void test_state(void) {
    static const char path[] = "build/test_train_state.safetensors";
    vit_config c = small();
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(3);
    o.dropout = 0.2f;
    o.polyak = 0.9;
    o.schedule = VIT_SCHEDULE_COSINE;
    vit_trainer *whole = trainer_of(model, o), *part = trainer_of(model, o), *rest = trainer_of(model, o);
    const int64_t note[8] = {1, 2, 3, 4, 5, 6, 7, -8};
    int64_t found[8];
    for (int turn = 0; turn < 4; turn++)
        step(whole, turn);
    step(part, 0);
    step(part, 1);
    CHECK_STATUS(VIT_OK, vit_trainer_save(part, path, note, &error));
    step(rest, 5);
    CHECK_STATUS(VIT_OK, vit_trainer_load(rest, path, found, &error));
    CHECK(!memcmp(note, found, sizeof note) && vit_trainer_updates(rest) == 2);
    step(rest, 2);
    step(rest, 3);
    CHECK(same(whole, rest) && !memcmp(whole->average->slots[0].held.f32, rest->average->slots[0].held.f32,
                                       whole->parameter_count * sizeof(float)));
    vit_trainer_close(rest);

    o.optimizer = VIT_OPTIMIZER_SGD;
    rest = trainer_of(model, o);
    CHECK_STATUS(VIT_ERR_SHAPE, vit_trainer_load(rest, path, NULL, &error));
    vit_trainer_close(rest);
    o.optimizer = VIT_OPTIMIZER_ADAM;
    o.seed = 1;
    rest = trainer_of(model, o);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_load(rest, path, NULL, &error));
    CHECK_MENTIONS(error.text, "seed");
    CHECK_STATUS(VIT_ERR_IO, vit_trainer_load(rest, "build/no such file", NULL, &error));
    CHECK_STATUS(VIT_ERR_IO, vit_trainer_save(rest, "build/no such folder/state", NULL, &error));
    vit_trainer_close(rest);
    vit_trainer_close(whole);
    vit_trainer_close(part);
    vit_model_close(model);
    remove(path);
}

/* Frozen weights stay; the others of a smaller head, of other positions, are learnt. */
static void test_adapted(void) {
    vit_config c = small();
    c.pre_logits = 8;
    vit_model *model = model_of(&c), *adapted = NULL;
    const char *const labels[] = {"one", "other"};
    CHECK_STATUS(VIT_OK, vit_model_adapt(&adapted, model, 2, 16, 24, labels, &error));
    const vit_config *now = vit_model_config(adapted);
    CHECK(now->classes == 2 && now->pre_logits == 0 && now->image_height == 16 && now->preprocess.width == 24);
    CHECK_STRING(vit_model_label(adapted, 1), "other");
    CHECK(adapted->weights.head_weight[3] == 0);
    CHECK(adapted->weights.blocks[1].fc1_bias[7] == model->weights.blocks[1].fc1_bias[7]);
    CHECK(adapted->weights.pos_embed[5] == model->weights.pos_embed[5] && adapted->weights.pos_embed[24 * 24] != 0);
    vit_train_options o = options_of(2);
    o.freeze = "blocks.0.,head.bias";
    vit_trainer *t = trainer_of(adapted, o);
    step(t, 0);
    step(t, 1);
    for (int i = 0; i < t->model->slot_count; i++) {
        const vit_slot *slot = &t->model->slots[i];
        const int moved = memcmp(slot->held.f32, adapted->slots[i].held.f32, slot->count * sizeof(float)) != 0;
        const int frozen = strncmp(slot->name, "blocks.0.", 9) == 0 || strcmp(slot->name, "head.bias") == 0;
        if (!CHECK(moved != frozen))
            puts(slot->name);
    }
    vit_trainer_close(t);
    CHECK_STATUS(VIT_OK, vit_train_check_freeze(adapted, o.freeze, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_train_check_freeze(adapted, "blocks,block.1", &error));
    CHECK_MENTIONS(error.text, "freeze: no weight's name begins with \"block.1\"");
    vit_model *none;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_adapt(&none, model, 0, 0, 0, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_adapt(&none, model, 2, 3, 300, NULL, &error));
    CHECK_MENTIONS(error.text, "image 3x300 is smaller than a patch");
    vit_config fed = model->config; /* with pictures of another size than its positions */
    vit_model *odd, *even;
    fed.preprocess.height = 2 * fed.image_height;
    fed.preprocess.width = 3 * fed.image_width;
    CHECK_STATUS(VIT_OK, vit_model_init(&odd, &fed, 1, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_model_adapt(&even, odd, 2, 0, 0, NULL, &error));
    CHECK(even->config.image_height == fed.preprocess.height && even->config.image_width == fed.preprocess.width);
    vit_model_close(even);
    vit_model_close(odd);
    vit_model_close(adapted);
    vit_model_close(model);
}

static void features_of(const vit_model *model, int height, int width, float *out) {
    const vit_session_options o = {.batch = 1, .height = height, .width = width};
    vit_session *session = NULL;
    if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &o, &error)))
        return;
    for (int i = 0; i < height * width * 3; i++)
        vit_session_input(session, 0)[i] = cosf((float)(i % 977));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_HEAD, out, &error));
    vit_session_close(session);
}

/* A model that is adapted to another size sees there what a session of that size sees, by every rule of interpolation. */
static void check_size(vit_config c, int height, int width, const char *what) {
    for (int rule = VIT_RESAMPLE_TIMM; rule <= VIT_RESAMPLE_JAX; rule++) {
        float wanted[24], found[24];
        vit_model *adapted = NULL;
        c.pos_resample = (vit_resample)rule;
        vit_model *model = model_of(&c);
        features_of(model, height, width, wanted);
        if (CHECK_STATUS(VIT_OK, vit_model_adapt(&adapted, model, 2, height, width, NULL, &error))) {
            CHECK(adapted->config.image_height == height && adapted->config.image_width == width);
            features_of(adapted, height, width, found);
            if (!CHECK(memcmp(wanted, found, sizeof wanted) == 0))
                printf("%s at %dx%d by rule %d: %g, a session has %g\n", what, height, width, rule, found[0], wanted[0]);
        }
        vit_model_close(adapted);
        vit_model_close(model);
    }
}

static void check_sizes(const vit_config *c, const char *what) {
    check_size(*c, 160, 4, what); /* tall and narrow, wide and low, as many patches as before, fewer */
    check_size(*c, 4, 160, what);
    check_size(*c, 20, 12, what);
    check_size(*c, 8, 8, what);
}

static void test_adapted_positions(void) {
    vit_config c = small();
    check_sizes(&c, "1-D");
    c.registers = 2;
    c.pos_registers = 1;
    check_sizes(&c, "1-D with registers' rows");
    c = small();
    c.pos_placement = VIT_POS_SHARED;
    check_sizes(&c, "1-D shared");
    c.pos_placement = VIT_POS_LAYERS;
    check_sizes(&c, "1-D of every layer");
    c.pos_kind = VIT_POS_2D;
    check_sizes(&c, "2-D of every layer");
    c.pos_placement = VIT_POS_INPUT;
    check_sizes(&c, "2-D");
    c.pos_kind = VIT_POS_RELATIVE;
    check_sizes(&c, "relative");
    c.pool = VIT_POOL_MEAN;
    c.class_token = c.pos_class = 0;
    check_sizes(&c, "relative without a class token");
    c.pos_kind = VIT_POS_1D;
    check_sizes(&c, "1-D without a class token");
    c.pos_kind = VIT_POS_2D;
    check_sizes(&c, "2-D without a class token");
    c.pos_kind = VIT_POS_SINCOS2D;
    check_sizes(&c, "computed");
    c.pos_kind = VIT_POS_NONE;
    check_sizes(&c, "none");
}

/* Gradients that only frozen weights would have are not made, and change nothing that is trained. */
static void test_frozen_part(void) {
    static const struct {
        const char *freeze;
        int first;
    } cases[] = {{"patch_embed,pos_,cls_token,blocks.0.", 1}, {"patch_embed,pos_,cls_token", 0}, {"pos_,cls_token", -1},
                 {"patch_embed,pos_,cls_token,blocks,norm", 2}};
    vit_config c = small();
    vit_model *model = model_of(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int recompute = 0; recompute < 2; recompute++) {
            vit_train_options o = options_of(3);
            o.freeze = cases[i].freeze;
            o.recompute = recompute;
            o.clip_norm = 1;
            vit_trainer *less = trainer_of(model, o), *all = trainer_of(model, o);
            CHECK(less->first_trained == cases[i].first);
            all->first_trained = -1;
            for (int turn = 0; turn < 2; turn++)
                CHECK(step(less, turn).gradient_norm == step(all, turn).gradient_norm);
            CHECK(same(less, all) && memcmp(less->parameters, model->slots[0].held.f32, model->weight_arena.size) != 0);
            vit_trainer_close(less);
            vit_trainer_close(all);
        }
    vit_model_close(model);
}

/* Half batches whose gradients are gathered move parameters as the whole batch does. */
static void test_accumulation(void) {
    vit_config c = small();
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(4);
    vit_trainer *whole = trainer_of(model, o);
    o.batch = 2;
    o.accumulate = 2;
    vit_trainer *halves = trainer_of(model, o);
    step(whole, 0);
    const int pixels = c.image_height * c.image_width * 3;
    for (int half = 0; half < 2; half++) {
        vit_train_result r;
        for (int i = 0; i < 2; i++) {
            memcpy(vit_trainer_input(halves, i), vit_trainer_input(whole, 2 * half + i), (size_t)pixels * sizeof(float));
            memcpy(vit_trainer_target(halves, i), vit_trainer_target(whole, 2 * half + i), 5 * sizeof(float));
        }
        CHECK_STATUS(VIT_OK, vit_trainer_step(halves, &r, &error));
        CHECK(r.updated == half);
    }
    for (size_t i = 0; i < whole->parameter_count; i++)
        if (!CHECK_CLOSE(halves->gradients[i], whole->gradients[i], 1e-5 + 1e-4 * fabs(whole->gradients[i])))
            break;
    vit_trainer_close(whole);
    vit_trainer_close(halves);
    vit_model_close(model);
}

/* A session of the trained model computes what the trainer does. */
static void check_session(const vit_config *c, const char *what) {
    vit_model *model = model_of(c);
    vit_trainer *t = trainer_of(model, options_of(3));
    vit_session *session;
    vit_session_options so = {.batch = 3};
    double worst = 0;
    step(t, 0);
    CHECK_STATUS(VIT_OK, vit_session_open(&session, vit_trainer_model(t), &so, &error));
    feed(t, 1);
    memcpy(vit_session_input(session, 0), vit_trainer_input(t, 0),
           3 * (size_t)(c->image_height * c->image_width * 3) * sizeof(float));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    step(t, 1);
    for (int i = 0; i < 3; i++)
        for (int n = 0; n < c->classes; n++)
            worst = fmax(worst, fabs(vit_trainer_logits(t, i)[n] - vit_session_logits(session, i)[n]));
    if (!CHECK(worst <= 2e-5))
        printf("%s: a logit differs by %g\n", what, worst);
    vit_session_close(session);
    vit_trainer_close(t);
    vit_model_close(model);
}

static void test_session_agrees(void) {
    vit_config c = small();
    check_session(&c, "class token");
    c.mlp = VIT_MLP_SWIGLU;
    check_session(&c, "SwiGLU");
    c = small();
    c.layer_scale = c.pre_norm = 1;
    c.pool = VIT_POOL_CLASS_MEAN;
    check_session(&c, "LayerScale, class token and mean, a norm before the layers");
    c = small();
    c.registers = 3;
    c.pos_kind = VIT_POS_2D;
    check_session(&c, "2-D positions, registers");
    c.pos_placement = VIT_POS_SHARED;
    check_session(&c, "shared 2-D positions");
    c.pos_kind = VIT_POS_RELATIVE;
    check_session(&c, "relative positions");
    c.pos_kind = VIT_POS_1D;
    c.pos_placement = VIT_POS_LAYERS;
    check_session(&c, "positions of every layer");
    c.pos_placement = VIT_POS_INPUT;
    c.pool = VIT_POOL_MEAN;
    c.class_token = c.pos_class = 0;
    check_session(&c, "mean");
    c.pos_kind = VIT_POS_SINCOS2D;
    c.final_norm = 0;
    c.pool_norm = 1;
    check_session(&c, "computed positions, norm after pooling");
}

/* ---- Memory ---- */

static int allocations;

static void *counting_alloc(void *context, size_t bytes) {
    (void)context;
    allocations++;
    return malloc(bytes);
}

static void counting_release(void *context, void *block) {
    (void)context;
    free(block);
}

static void test_no_allocation_in_a_step(void) {
    vit_config c = small();
    vit_model *model = NULL;
    vit_options options = vit_default_options();
    options.allocator = (vit_allocator){counting_alloc, counting_release, NULL};
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &c, 7, &options, &error));
    vit_trainer *t = trainer_of(model, options_of(3));
    const int before = allocations;
    step(t, 0);
    CHECK(allocations == before);
    vit_train_options o = options_of(3);
    const uint64_t bytes = vit_trainer_bytes(model, &o);
    CHECK(bytes >= t->arena.size + model->weight_arena.size && bytes <= t->arena.size + model->weight_arena.size + 4096);
    vit_trainer_close(t);
    vit_model *plan;
    CHECK_STATUS(VIT_OK, vit_model_plan(&plan, &c, NULL, &error));
    CHECK(vit_trainer_bytes(plan, &o) == bytes);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, plan, &o, &error));
    CHECK_MENTIONS(error.text, "not all there");
    vit_model *adapted;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_adapt(&adapted, plan, 3, 0, 0, NULL, &error));
    vit_model_close(plan);
    vit_model_close(model);
}

/* ---- Learning, and refusing ---- */

static void test_it_learns(void) {
    vit_config c = small();
    vit_model *model = NULL;
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &c, 1, NULL, &error));
    vit_train_options o = options_of(5);
    o.updates = 101;
    o.rate = 1e-2;
    vit_trainer *t = trainer_of(model, o);
    const double first = step(t, 0).loss;
    CHECK_CLOSE(first, log(5), 1e-6);
    vit_train_result last = {0};
    for (int i = 0; i < 100; i++)
        last = step(t, 0);
    CHECK(last.loss < 0.1 && last.correct == 5);
    vit_trainer_close(t);
    vit_model_close(model);
}

static void test_refusals(void) {
    vit_config c = small();
    vit_model *model = model_of(&c);
    vit_trainer *t;
    vit_train_result r;
    vit_train_options o = options_of(0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "batch");
    CHECK(!t && !vit_trainer_bytes(model, &o));
    o = options_of(1);
    o.dropout = NAN;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "dropout");
    o = options_of(1);
    o.dropout = o.drop_path = 0.999f; /* as far as floats reach */
    o.beta1 = o.beta2 = 0.9999999f;
    o.clip_norm = 1e30f;
    CHECK_STATUS(VIT_OK, vit_train_check(model, &o, &error));
    o.clip_norm = 2e30f;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_train_check(model, &o, &error));
    CHECK_MENTIONS(error.text, "gradient norm");
    o = options_of(1);
    o.kernels = "abacus";
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    model->config.axial = 1;
    o = options_of(1);
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "axial attention");
    model->config.axial = 0;
    const float epsilon = model->config.norm_eps;
    model->config.norm_eps = 0;
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "epsilon");
    model->config.norm_eps = epsilon;
    model->config.known_percent = 70; /* of weights that are not the trained ones */
    t = trainer_of(model, options_of(2));
    CHECK(vit_trainer_model(t)->config.known_percent == 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_set_class(t, 0, 5, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_set_class(t, 2, 0, &error));
    CHECK(!vit_trainer_input(t, 2) && !vit_trainer_target(t, -1));
    float *copy = malloc(t->parameter_count * sizeof *copy);
    memcpy(copy, t->parameters, t->parameter_count * sizeof *copy);
    feed(t, 0);
    vit_trainer_input(t, 1)[5] = NAN;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_step(t, &r, &error));
    CHECK_MENTIONS(error.text, "loss");
    CHECK(!memcmp(copy, t->parameters, t->parameter_count * sizeof *copy));
    free(copy);
    vit_trainer_close(t);
    vit_model_close(model);
}

static void test_schedules(void) {
    vit_train_options o = options_of(1);
    o.rate = 2;
    o.warmup = 4;
    o.updates = 12;
    CHECK_CLOSE(vit_train_rate(&o, 0), 0, 0);
    CHECK_CLOSE(vit_train_rate(&o, 1), 0.5, 1e-12);
    CHECK_CLOSE(vit_train_rate(&o, 11), 2, 1e-12);
    o.schedule = VIT_SCHEDULE_COSINE;
    CHECK_CLOSE(vit_train_rate(&o, 8), 1, 1e-12);
    CHECK_CLOSE(vit_train_rate(&o, 12), 0, 1e-12);
    o.schedule = VIT_SCHEDULE_LINEAR;
    o.final_rate = 1;
    CHECK_CLOSE(vit_train_rate(&o, 6), 1.75, 1e-12);
    CHECK_CLOSE(vit_train_rate(&o, 100), 1, 1e-12);
    o.warmup = 0;
    CHECK_CLOSE(vit_train_rate(&o, 0), 2, 1e-12);
}

TEST_MAIN(TEST(test_networks), TEST(test_attention), TEST(test_same_bits), TEST(test_bf16), TEST(test_state), TEST(test_adapted), TEST(test_adapted_positions), TEST(test_frozen_part),
          TEST(test_accumulation),
          TEST(test_session_agrees), TEST(test_no_allocation_in_a_step), TEST(test_it_learns), TEST(test_refusals),
          TEST(test_schedules))
