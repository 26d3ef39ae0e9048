/* Masked patch prediction: which patches are corrupted, gradients against differences of the loss, that a step depends on
 * nothing else, and that a session predicts what the trainer learns. Targets and gradients are in the goldens too. */
#include "trainers.h"

static vit_config small(vit_decoder_kind kind) {
    vit_config c;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&c, "vit_tiny_patch16_224", &error));
    c.layers = 2;
    c.width = 24;
    c.heads = 3;
    c.mlp_width = 40;
    c.classes = 0;
    c.patch_height = 4;
    c.patch_width = 8;
    c.image_height = c.preprocess.height = 16;
    c.image_width = c.preprocess.width = 40;
    c.decoder.kind = kind;
    return c;
}

/* ---- Gradients ---- */

static void test_gradients(void) {
    vit_train_options o = options_of(3);
    o.corrupt_masked = 0.4f;
    o.corrupt_swapped = 0.4f;
    vit_config c = small(VIT_DECODER_MEAN3BIT);
    check_slots(&c, o, "mean colours");
    c.class_token = c.pos_class = 0;
    c.pool = VIT_POOL_MEAN;
    c.registers = 2;
    check_slots(&c, o, "registers");
    c = small(VIT_DECODER_DOWN4X4);
    o.dropout = 0.2f;
    check_slots(&c, o, "4x4 colours, dropout");
    c = small(VIT_DECODER_REGRESSION);
    o.corrupt = 1;
    o.recompute = 1;
    check_slots(&c, o, "pixels, all corrupted");
    c.final_norm = 0;
    check_slots(&c, o, "without a last norm");
}

/* ---- Corruption ---- */

static void test_corruption(void) {
    const vit_config c = small(VIT_DECODER_MEAN3BIT);
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(500);
    vit_trainer *t = trainer_of(model, o);
    CHECK(step(t, 0).predictions == 500 * 10); /* half of 20 patches */
    int counts[4] = {0}, sources[20] = {0}, own = 0;
    for (int i = 0; i < 500 * 20; i++) {
        counts[t->kinds[i]]++;
        own += t->sources[i] == i % 20;
        sources[t->sources[i]]++;
    }
    CHECK(counts[VIT_PATCH_WHOLE] == 5000 && own == 0);
    CHECK(abs(counts[VIT_PATCH_MASKED] - 4000) < 120 && abs(counts[VIT_PATCH_SWAPPED] - 500) < 90 &&
          abs(counts[VIT_PATCH_KEPT] - 500) < 90);
    for (int i = 0; i < 20; i++)
        CHECK(abs(sources[i] - 500) < 120);
    uint8_t first[20 * 500];
    memcpy(first, t->kinds, sizeof first);
    step(t, 0);
    CHECK(memcmp(first, t->kinds, sizeof first) != 0);
    t->batches = 0;
    step(t, 0);
    CHECK(memcmp(first, t->kinds, sizeof first) == 0);
    vit_trainer_close(t);
    vit_model_close(model);
}

/* Numbers that any host must give. */
static void test_noise(void) {
    static const float expected[] = {0.747690797f, 0.154785395f, 0.885153294f, 0.173365831f, 0.439165831f};
    float noise[5];
    uint8_t hidden[5];
    vit_patch_noise(3, noise, 5);
    vit_hide_by_noise(noise, 5, vit_visible_patches(5, 0.5), hidden);
    for (int i = 0; i < 5; i++)
        CHECK(noise[i] == expected[i] && hidden[i] == (i % 2 == 0));
}

/* ---- Steps ---- */

static void test_threads(void) {
    const vit_config c = small(VIT_DECODER_MEAN3BIT);
    vit_model *model = model_of(&c);
    vit_train_options o = options_of(9);
    o.rate = 1e-3;
    o.accumulate = 2;
    vit_trainer *one = trainer_of(model, o);
    o.threads = 3;
    vit_trainer *three = trainer_of(model, o);
    for (int i = 0; i < 6; i++)
        CHECK(step(one, 0).loss == step(three, 0).loss);
    CHECK(memcmp(one->parameters, three->parameters, one->parameter_count * sizeof(float)) == 0);
    CHECK(memcmp(one->parameters, model->slots[0].held.f32, one->parameter_count * sizeof(float)) != 0);
    vit_trainer_close(one);
    vit_trainer_close(three);
    vit_model_close(model);
}

/* It learns one batch by heart, of hidden patches as well, and a saved model predicts what the trainer's does. */
static void test_learning(void) {
    const vit_config c = small(VIT_DECODER_MEAN3BIT);
    vit_model *model = model_of(&c), *loaded = NULL;
    vit_train_options o = options_of(2);
    o.rate = 3e-3;
    vit_trainer *t = trainer_of(model, o);
    const double before = step(t, 0).loss;
    vit_train_result r = {0};
    for (int i = 0; i < 120; i++)
        r = step(t, 0);
    CHECK(r.loss < before / 4 && r.correct > r.predictions / 2);
    const vit_save_options save = {.type = VIT_F32};
    CHECK_STATUS(VIT_OK, vit_model_save(vit_trainer_model(t), "build/patches.gguf", &save, &error));
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&loaded, "build/patches.gguf", NULL, NULL, &error)))
        puts(error.text);
    CHECK(vit_model_config(loaded)->decoder.kind == VIT_DECODER_MEAN3BIT);
    const vit_model *models[] = {vit_trainer_model(t), loaded};
    static float scores[2][20 * 512];
    for (int i = 0; i < 2; i++) {
        vit_session *s = NULL;
        uint8_t hidden[20] = {[3] = 1, [11] = 1};
        CHECK_STATUS(VIT_OK, vit_session_open(&s, models[i], &(vit_session_options){.masked = 1}, &error));
        memcpy(vit_session_input(s, 0), vit_trainer_input(t, 0), sizeof(float) * 16 * 40 * 3);
        CHECK_STATUS(VIT_OK, vit_session_hide(s, hidden, &error));
        CHECK_STATUS(VIT_OK, vit_session_run(s, &error));
        CHECK_STATUS(VIT_OK, vit_session_read(s, scores[i], &error));
        vit_session_close(s);
    }
    CHECK(memcmp(scores[0], scores[1], sizeof scores[0]) == 0);
    vit_model_close(loaded);
    CHECK_STATUS(VIT_OK, vit_model_adapt(&loaded, vit_trainer_model(t), 3, 0, 0, NULL, &error));
    CHECK(vit_model_config(loaded)->decoder.kind == VIT_DECODER_NONE && !vit_model_slot(loaded, "mask_token"));
    vit_model_close(loaded);
    vit_trainer_close(t);
    vit_model_close(model);
}

static void test_refusals(void) {
    vit_config c = small(VIT_DECODER_DOWN4X4);
    vit_model *model;
    vit_trainer *t;
    c.patch_width = 5;
    CHECK_STATUS(VIT_ERR_CONFIG, vit_model_init(&model, &c, 0, NULL, &error));
    CHECK_MENTIONS(error.text, "4x5");
    c = small(VIT_DECODER_MEAN3BIT);
    c.classes = 3;
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &c, 0, NULL, &error));
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, vit_trainer_open(&t, model, NULL, &error));
    CHECK_MENTIONS(error.text, "classes");
    vit_model_close(model);
    model = model_of(&(vit_config[]){small(VIT_DECODER_MEAN3BIT)}[0]);
    vit_train_options o = options_of(1);
    o.corrupt = 1.5f;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    o = options_of(1);
    o.corrupt_masked = 0.7f;
    o.corrupt_swapped = 0.4f; /* more than there are */
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_trainer_open(&t, model, &o, &error));
    CHECK_MENTIONS(error.text, "share of other patches");
    o.corrupt_swapped = 0.3f;
    o.corrupt = 0; /* nothing to learn from, and nothing that is not finite */
    t = trainer_of(model, o);
    CHECK(step(t, 0).loss == 0);
    vit_trainer_close(t);
    vit_model_close(model);
}

TEST_MAIN(TEST(test_gradients), TEST(test_corruption), TEST(test_noise), TEST(test_threads), TEST(test_learning),
          TEST(test_refusals))
