/* Named networks: how many parameters each has, that all begin the same everywhere, that small ones run. */
#include "test.h"

#include "../../src/base/half.h"
#include "../../src/base/rng.h"
#include "../../src/model/model.h"

static vit_error error;

/* Counted on timm 1.0.31's classes with as many classes (on torch's meta device); those that timm has no name for, on
 * the same classes with the paper's sizes (ResNetV2, HybridEmbed, VisionTransformer; an axial one has two of its blocks a
 * layer); masked autoencoders on transformers' ViTMAEForPreTraining. */
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
    {"axial_vit_b_32", 173278696},
    {"axial_vit_b_16", 171622120},
    {"vit_tiny_r_s16_p8_224", 6337704},
    {"vit_tiny_r_s16_p8_384", 6355944},
    {"vit_small_r26_s32_224", 36431912},
    {"vit_small_r26_s32_384", 36468392},
    {"vit_base_r26_s32_224", 101383976},
    {"vit_base_r50_s16_224", 98659112},
    {"vit_base_r50_s16_384", 98950952},
    {"vit_large_r50_s32_224", 328994856},
    {"vit_large_r50_s32_384", 329092136},
    {"r50_vit_b_32", 110945832},
    {"r50_vit_b_16", 98659112},
    {"r50_vit_l_32", 328994856},
    {"r50_vit_l_16", 316483624},
    {"bit_r50x1", 25549352},
    {"bit_r50x2", 97988712},
    {"bit_r50x3", 217319080},
    {"bit_r101x1", 44541480},
    {"bit_r101x3", 387934888},
    {"bit_r152x1", 60185128},
    {"bit_r152x2", 236335208},
    {"bit_r152x4", 936533224},
    {"bit_r200x3", 568633000},
    {"resnetv2_50x1_bit", 25549352},
    {"resnetv2_50x3_bit", 217319080},
    {"resnetv2_101x1_bit", 44541480},
    {"resnetv2_101x3_bit", 387934888},
    {"resnetv2_152x2_bit", 236335208},
    {"resnetv2_152x4_bit", 936533224},
    {"deit_tiny_patch16_224", 5717416},
    {"deit_small_patch16_224", 22050664},
    {"deit_base_patch16_224", 86567656},
    {"deit_base_patch16_384", 86859496},
    {"deit_tiny_distilled_patch16_224", 5910800},
    {"deit_small_distilled_patch16_224", 22436432},
    {"deit_base_distilled_patch16_224", 87338192},
    {"deit_base_distilled_patch16_384", 87630032},
    {"deit3_small_patch16_224", 22059496},
    {"deit3_small_patch16_384", 22205416},
    {"deit3_medium_patch16_224", 38849512},
    {"deit3_base_patch16_224", 86585320},
    {"deit3_base_patch16_384", 86877160},
    {"deit3_large_patch16_224", 304374760},
    {"deit3_large_patch16_384", 304763880},
    {"deit3_huge_patch14_224", 632126440},
    {"vit_small_patch14_dinov2", 22056192},
    {"vit_base_patch14_dinov2", 86579712},
    {"vit_large_patch14_dinov2", 304367616},
    {"vit_giant_patch14_dinov2", 1136479232},
    {"vit_small_patch14_reg4_dinov2", 22057344},
    {"vit_base_patch14_reg4_dinov2", 86582016},
    {"vit_large_patch14_reg4_dinov2", 304370688},
    {"vit_giant_patch14_reg4_dinov2", 1136483840},
    {"vit_base_patch32_clip_224", 88225000},
    {"vit_base_patch16_clip_224", 86568424},
    {"vit_large_patch14_clip_224", 304204776},
    {"vit_large_patch14_clip_336", 304532456},
    {"vit_huge_patch14_clip_224", 632047080},
    {"vit_giant_patch14_clip_224", 1012646656},
    {"vit_base_patch32_clip_quickgelu_224", 87849728},
    {"vit_base_patch16_clip_quickgelu_224", 86193152},
    {"vit_large_patch14_clip_quickgelu_224", 303966976},
    {"vit_large_patch14_clip_quickgelu_336", 304294656},
    {"vit_huge_patch14_clip_quickgelu_224", 632077824},
    {"vit_base_patch32_siglip_256", 94552320},
    {"vit_base_patch16_siglip_224", 92884224},
    {"vit_base_patch16_siglip_256", 92930304},
    {"vit_base_patch16_siglip_384", 93176064},
    {"vit_base_patch16_siglip_512", 93520128},
    {"vit_large_patch16_siglip_256", 315956224},
    {"vit_large_patch16_siglip_384", 316283904},
    {"vit_large_patch16_siglip_512", 316742656},
    {"vit_so400m_patch14_siglip_224", 427680704},
    {"vit_so400m_patch14_siglip_384", 428225600},
    {"vit_so400m_patch16_siglip_256", 427888064},
    {"vit_so400m_patch16_siglip_384", 428256704},
    {"vit_so400m_patch16_siglip_512", 428772800},
    {"mae_vit_base_patch16", 111907840},
    {"mae_vit_large_patch16", 329541888},
    {"mae_vit_huge_patch14", 657074508},
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

static int64_t parameters_without_head(const char *name) {
    vit_config config;
    vit_model *model;
    if (vit_architecture_config(&config, name, &error) != VIT_OK)
        return 0;
    config.classes = config.head_dist = 0;
    if (vit_model_plan(&model, &config, NULL, &error) != VIT_OK)
        return 0;
    const int64_t parameters = vit_model_parameters(model);
    vit_model_close(model);
    return parameters;
}

/* What is built the same is found, under the first of its names. */
static void test_built_the_same(void) {
    vit_config config;
    for (int i = 0; i < COUNTED; i++) {
        CHECK_STATUS(VIT_OK, vit_architecture_config(&config, counted[i].name, &error));
        config.classes = 17;
        config.activation = VIT_GELU_TANH;
        const char *name = vit_architecture_of(&config);
        if (CHECK(name != NULL) && !CHECK(parameters_without_head(name) == parameters_without_head(counted[i].name)))
            puts(name);
    }
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_base_patch16_384", &error));
    CHECK_STRING(vit_architecture_of(&config), "vit_base_patch16_384");
    config.image_width = 368;
    CHECK_STRING(vit_architecture_of(&config), "vit_base_patch16_224");
    config.mlp_width++;
    CHECK(vit_architecture_of(&config) == NULL);
}

/* Counted by torch's FlopCounterMode on timm's classes. */
static void test_flops(void) {
    static const struct {
        const char *name;
        int size;
        double flops;
    } table[] = {
        {"vit_tiny_patch16_224", 224, 2507366400},
        {"vit_huge_patch14_224", 224, 334590218240},
        {"axial_vit_b_16", 224, 67392540672}, /* 24 blocks of 197 tokens, each of which meets 15, the class token all */
        {"vit_tiny_r_s16_p8_224", 224, 867363840},
        {"vit_small_r26_s32_224", 224, 6927702016},
        {"vit_base_r50_s16_224", 224, 43070717952},
        {"vit_large_r50_s32_224", 224, 38826590208},
        {"resnetv2_50x1_bit", 224, 8178368512},
        {"resnetv2_152x4_bit", 480, 1678508032000},
        {"deit_tiny_distilled_patch16_224", 224, 2522007552},
        {"vit_small_patch14_reg4_dinov2", 518, 93765657600},
        {"vit_giant_patch14_dinov2", 518, 3566685917184},
        {"vit_base_patch32_clip_quickgelu_224", 224, 8817623040},
        {"vit_base_patch16_siglip_224", 224, 35416584192},
        {"vit_so400m_patch14_siglip_384", 384, 670346449920},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        vit_config config;
        vit_model *model;
        if (!CHECK_STATUS(VIT_OK, vit_architecture_config(&config, table[i].name, &error)) ||
            !CHECK_STATUS(VIT_OK, vit_model_plan(&model, &config, NULL, &error)))
            continue;
        if (!CHECK_CLOSE(vit_model_flops(model, table[i].size, table[i].size), table[i].flops, 0))
            puts(table[i].name);
        vit_model_close(model);
    }
}

/* Table 6 of the paper: exaFLOP of pre-training on JFT, 305 M pictures, three forward passes a picture. */
static void test_pretraining(void) {
    static const struct {
        const char *name;
        int epochs;
        double exaflops;
    } table[] = {{"vit_base_patch32_224", 7, 55},    {"vit_base_patch16_224", 7, 224},
                 {"vit_large_patch32_224", 7, 196},  {"vit_large_patch16_224", 7, 783},
                 {"vit_large_patch16_224", 14, 1567}, {"vit_huge_patch14_224", 14, 4262},
                 {"bit_r50x1", 7, 50},              {"bit_r50x2", 7, 199},              {"bit_r101x1", 7, 96},
                 {"bit_r152x1", 7, 141},            {"bit_r152x2", 7, 563},             {"bit_r200x3", 14, 3306},
                 {"r50_vit_b_32", 7, 106},          {"r50_vit_b_16", 7, 274},           {"r50_vit_l_32", 7, 246},
                 {"r50_vit_l_16", 7, 859}};
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

/* Of the bits of every weight, in whatever order they stand. */
static uint64_t digest(const vit_model *model) {
    uint64_t all = 0;
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t j = 0; j < slot->count; j++)
            hash = (hash ^ vit_bits_from_f32(slot->held.f32[j])) * 0x100000001b3u;
        all ^= hash;
    }
    return all;
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
    if (!CHECK(digest(model) == 0x3e9dcd99a28e9b42))
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
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_save(plan, "build/plan.gguf", &(vit_save_options){.type = VIT_F32}, &error));
    CHECK_MENTIONS(error.text, "not all there");
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

/* What would be run as another network than it says. */
static void test_refused(void) {
    vit_config config;
    vit_model *plan;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error));
    config.network = (vit_network)2;
    CHECK_STATUS(VIT_ERR_CONFIG, vit_model_plan(&plan, &config, NULL, &error));
    CHECK_MENTIONS(error.text, "network 2");
    config.network = VIT_NETWORK_VIT;
    config.patch_height = config.image_height = config.preprocess.height = 32128; /* 3 * 32128 * 44561 = 2^32 + 128 */
    config.patch_width = config.image_width = config.preprocess.width = 44561;
    CHECK_STATUS(VIT_ERR_CONFIG, vit_model_plan(&plan, &config, NULL, &error));
    CHECK_MENTIONS(error.text, "32128x44561");
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "axial_vit_b_32", &error));
    config.pos_kind = VIT_POS_RELATIVE;
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, vit_model_plan(&plan, &config, NULL, &error));
    CHECK_MENTIONS(error.text, "axial attention with relative positions");
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_small_patch14_reg4_dinov2", &error));
    config.pos_registers = 1;
    config.pos_class = 0;
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, vit_model_plan(&plan, &config, NULL, &error));
    CHECK_MENTIONS(error.text, "position embeddings of the registers");
}

/* Sums of int8 products are 32 bits wide; a layer may also be smaller than the one that kernels are chosen with. */
static void test_int8_depth(void) {
    vit_options options = vit_default_options();
    vit_config config;
    vit_model *model;
    vit_session *session;
    options.compute = VIT_COMPUTE_INT8;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error));
    config.layers = 1;
    config.width = config.heads = 2;
    config.image_height = config.image_width = config.preprocess.height = config.preprocess.width = 4;
    config.patch_height = config.patch_width = 2;
    static const int widths[] = {2, 133144, 133145};
    for (int i = 0; i < 3; i++) {
        config.mlp_width = widths[i];
        if (!CHECK_STATUS(VIT_OK, vit_model_init(&model, &config, 1, &options, &error)))
            return;
        const vit_status status = vit_session_open(&session, model, NULL, &error);
        if (i == 2) {
            CHECK_STATUS(VIT_ERR_UNSUPPORTED, status);
            CHECK_MENTIONS(error.text, "a layer of 133145 inputs as int8");
        } else if (CHECK_STATUS(VIT_OK, status)) {
            vit_session_tune(session);
            CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
            vit_session_close(session);
        }
        vit_model_close(model);
    }
}

/* Whatever a configuration says, it is refused or its costs are numbers. */
static void test_any_configuration(void) {
    static const int values[] = {-1, 0, 1, 2, 3, 7, 16, 32, 64, 100, 1000, 4096, 65535, 65536, 1 << 20, INT32_MAX};
    int planned = 0, refused = 0;
    for (uint64_t round = 0; round < 4000; round++) {
        vit_config config;
        vit_model *model;
        const uint64_t key = vit_random_key(1, round);
        const char *name = vit_architecture_name((int)vit_random_below(key, 0, COUNTED));
        vit_architecture_config(&config, name, &error);
        for (uint32_t i = 0; i <= round % 3; i++) {
            const vit_field *field = &vit_fields[vit_random_below(key, 2 * i + 1, (uint32_t)vit_field_count)];
            *vit_field_at(&config, field->config) = values[vit_random_below(key, 2 * i + 2, sizeof values / sizeof *values)];
        }
        if (vit_model_plan(&model, &config, NULL, &error) != VIT_OK) {
            refused += error.text[0] != 0 && model == NULL;
            continue;
        }
        planned++;
        const double flops = vit_model_flops(model, 64, 48);
        if (vit_model_parameters(model) <= 0 || !(flops >= 0 && flops < 1e30) ||
            vit_model_bytes(model) < (uint64_t)vit_model_parameters(model))
            CHECK(!"its costs are numbers");
        vit_session_bytes(model, &(vit_session_options){.height = 64, .width = 48, .batch = 3, .capture_attention = 1});
        vit_model_close(model);
    }
    CHECK(planned > 500 && refused > 500 && planned + refused == 4000);
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

TEST_MAIN(TEST(test_parameters), TEST(test_built_the_same), TEST(test_flops), TEST(test_pretraining),
          TEST(test_beginning), TEST(test_plan), TEST(test_refused), TEST(test_int8_depth), TEST(test_any_configuration),
          TEST(test_runs))
