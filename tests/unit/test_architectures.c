/* Named networks: how many parameters each has, that all begin the same everywhere, that small ones run. */
#include "test.h"

#include "../../src/model/model.h"

static vit_error error;

/* Counted on timm 1.0.31's classes with as many classes (on torch's meta device); those that timm has no name for, on the
 * same classes with the paper's sizes (ResNetV2, HybridEmbed, VisionTransformer). */
static const struct {
    const char *name;
    int64_t parameters;
} counted[] = {
    {"vit_tiny_patch16_224", 5717416},
    {"vit_tiny_patch16_384", 5790376},
    {"vit_small_patch32_224", 22878952},
    {"vit_small_patch32_384", 22915432},
    {"vit_small_patch16_224", 22050664},
    {"vit_small_patch16_384", 22196584},
    {"vit_small_patch8_224", 22055272},
    {"vit_half_patch32_224", 22878952},
    {"vit_half_patch16_224", 22050664},
    {"vit_base_patch32_224", 88224232},
    {"vit_base_patch32_384", 88297192},
    {"vit_base_patch16_224", 86567656},
    {"vit_base_patch16_384", 86859496},
    {"vit_base_patch8_224", 86576872},
    {"vit_large_patch32_224", 306535400},
    {"vit_large_patch32_384", 306632680},
    {"vit_large_patch16_224", 304326632},
    {"vit_large_patch16_384", 304715752},
    {"vit_large_patch14_224", 304203752},
    {"vit_huge_patch14_224", 632045800},
    {"vit_giant_patch14_224", 1012611432},
    {"vit_gigantic_patch14_224", 1844440680},
    {"deit_tiny_patch16_224", 5717416},
    {"deit_small_patch16_224", 22050664},
    {"deit_base_patch16_224", 86567656},
    {"deit_base_patch16_384", 86859496},
};

enum { COUNTED = sizeof counted / sizeof *counted };

static void test_parameters(void) {
    vit_config config;
    vit_model *model;
    for (int i = 0; i < COUNTED; i++) {
        CHECK_STRING(vit_architecture_name(i), counted[i].name);
        if (!CHECK_STATUS(VIT_OK, vit_architecture_config(&config, counted[i].name, &error)))
            continue;
        CHECK_STRING(config.architecture, counted[i].name);
        if (!CHECK_STATUS(VIT_OK, vit_model_plan(&model, &config, NULL, &error))) {
            puts(error.text);
            continue;
        }
        if (!CHECK(vit_model_parameters(model) == counted[i].parameters))
            printf("%s: %lld, expected %lld\n", counted[i].name, (long long)vit_model_parameters(model),
                   (long long)counted[i].parameters);
        CHECK(vit_model_bytes(model) >= 4 * (uint64_t)counted[i].parameters &&
              vit_model_bytes(model) < 4 * (uint64_t)counted[i].parameters + 64 * 2000);
        vit_model_close(model);
    }
    CHECK(vit_architecture_name(COUNTED) == NULL && vit_architecture_name(-1) == NULL);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_architecture_config(&config, "vit_tiny_patch16_225", &error));
    CHECK_MENTIONS(error.text, "vit_tiny_patch16_225");
}

/* Table 6 of the paper: exaFLOP of pre-training on JFT, 305 M pictures, three forward passes a picture. */
static void test_pretraining(void) {
    static const struct {
        const char *name;
        int epochs;
        double exaflops;
    } table[] = {{"vit_base_patch32_224", 7, 55},   {"vit_base_patch16_224", 7, 224},   {"vit_large_patch32_224", 7, 196},
                 {"vit_large_patch16_224", 7, 783}, {"vit_large_patch16_224", 14, 1567}, {"vit_huge_patch14_224", 14, 4262}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        vit_config config;
        vit_model *model;
        if (!CHECK_STATUS(VIT_OK, vit_architecture_config(&config, table[i].name, &error)) ||
            !CHECK_STATUS(VIT_OK, vit_model_plan(&model, &config, NULL, &error)))
            continue;
        const double found = 305e6 * table[i].epochs * 3 * vit_model_flops(model, 224, 224) * 1e-18;
        if (!CHECK_CLOSE(found / table[i].exaflops, 1, 0.06))
            puts(table[i].name);
        vit_model_close(model);
    }
}

static vit_model *small_model(uint64_t seed, vit_compute compute) {
    vit_config config;
    vit_model *model;
    vit_options options = vit_default_options();
    options.compute = compute;
    if (!CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error)))
        return NULL;
    config.layers = 2;
    config.image_height = config.image_width = config.preprocess.height = config.preprocess.width = 32;
    return CHECK_STATUS(VIT_OK, vit_model_init(&model, &config, seed, &options, &error)) ? model : NULL;
}

/* FNV-1a over the bits of every weight. */
static uint64_t digest(const vit_model *model) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        for (size_t j = 0; j < slot->count; j++) {
            uint32_t bits;
            memcpy(&bits, &slot->held.f32[j], sizeof bits);
            hash = (hash ^ bits) * 0x100000001b3u;
        }
    }
    return hash;
}

static double deviation(vit_model *model, const char *name) {
    const vit_slot *slot = vit_model_slot(model, name);
    double sum = 0;
    for (size_t i = 0; i < slot->count; i++)
        sum += (double)slot->held.f32[i] * slot->held.f32[i];
    return sqrt(sum / (double)slot->count);
}

static void test_beginning(void) {
    vit_model *model = small_model(3, VIT_COMPUTE_F32), *other = small_model(4, VIT_COMPUTE_F32);
    if (!model || !other)
        return;
    if (!CHECK(digest(model) == 0xf34711ebcd088ffb))
        printf("0x%llx\n", (unsigned long long)digest(model));
    CHECK(digest(other) != digest(model));
    CHECK_CLOSE(deviation(model, "blocks.0.attn.qkv.weight"), sqrt(1.0 / 192), 0.001); /* each third [192,192] */
    CHECK_CLOSE(deviation(model, "blocks.1.mlp.fc1.weight"), sqrt(2.0 / (192 + 768)), 0.001);
    CHECK_CLOSE(deviation(model, "patch_embed.proj.weight"), sqrt(1.0 / 768), 0.001);
    CHECK_CLOSE(deviation(model, "pos_embed"), 0.02, 0.002);
    CHECK(deviation(model, "head.weight") == 0 && deviation(model, "cls_token") == 0);
    CHECK(deviation(model, "blocks.1.norm2.weight") == 1 && deviation(model, "norm.bias") == 0);
    vit_model_close(model);
    vit_model_close(other);
}

/* Without weights there are sizes and costs, and sessions that say what is missing. */
static void test_plan(void) {
    vit_config config;
    vit_model *plan;
    vit_session *session;
    vit_model *model = small_model(3, VIT_COMPUTE_F32);
    if (!model || !CHECK_STATUS(VIT_OK, vit_model_plan(&plan, vit_model_config(model), NULL, &error)))
        return;
    CHECK(vit_model_bytes(plan) == vit_model_bytes(model));
    CHECK(vit_session_bytes(plan, NULL) == vit_session_bytes(model, NULL) && vit_session_bytes(plan, NULL) > 0);
    CHECK(vit_model_flops(plan, 32, 32) == vit_model_flops(model, 32, 32));
    CHECK(vit_model_flops(plan, 8, 32) == 0);
    if (CHECK_STATUS(VIT_OK, vit_session_open(&session, plan, NULL, &error))) {
        double flops = 0;
        for (int i = 0; i < vit_session_stage_count(session); i++)
            flops += vit_session_stage(session, i).flops;
        CHECK(flops == vit_model_flops(plan, 32, 32));
        CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_run(session, &error));
        vit_session_close(session);
    }
    vit_model_close(plan);
    config = *vit_model_config(model);
    config.heads = 5;
    CHECK_STATUS(VIT_ERR_CONFIG, vit_model_plan(&plan, &config, NULL, &error));
    CHECK(plan == NULL);
    vit_model_close(model);
}

/* What is initialised runs, in f32 and in integers, to nearly the same features. */
static void test_runs(void) {
    float features[2][192];
    for (int compute = 0; compute < 2; compute++) {
        vit_model *model = small_model(3, (vit_compute)compute);
        vit_session *session;
        if (!model || !CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error)))
            return;
        for (int i = 0; i < 32 * 32 * 3; i++)
            vit_session_input(session, 0)[i] = (float)(i % 17) / 8 - 1;
        CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
        CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_HEAD, features[compute], &error));
        CHECK(vit_session_logits(session, 0)[7] == 0); /* the head is zero */
        vit_session_close(session);
        vit_model_close(model);
    }
    double worst = 0, most = 0;
    for (int i = 0; i < 192; i++) {
        worst = fmax(worst, fabs(features[0][i] - features[1][i]));
        most = fmax(most, fabs(features[0][i]));
    }
    CHECK(most > 0.5 && worst > 0 && worst < 0.1 * most);
}

TEST_MAIN(TEST(test_parameters), TEST(test_pretraining), TEST(test_beginning), TEST(test_plan), TEST(test_runs))
