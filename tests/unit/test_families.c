/* Checkpoints of timm and Hugging Face: what their configurations mean, and networks that predict hidden patches.
 * Numbers are compared in tests/check_goldens.py. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/model/model.h"
#include "../../src/vit_tasks.h"

#define GOLDEN "tests/golden/"
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static vit_error error;

static vit_status claims_of(const char *text, vit_claims *claims) {
    const vit_allocator allocator = vit_default_options().allocator;
    const vit_limits limits = vit_default_options().limits;
    vit_json_document json;
    CHECK_STATUS(VIT_OK, vit_json_parse(&json, "text", text, strlen(text), &limits, &allocator, &error));
    vit_claims_init(claims);
    const vit_status status = vit_claims_from_json(claims, "text", json.root, &allocator, &error);
    vit_json_release(&json);
    vit_claims_release(claims, &allocator);
    return status;
}

/* ---- timm ---- */

/* One row of timm_architectures.json (make/timm_architectures.py says what is in it). */
static void check_architecture(const vit_json *row) {
    char text[128];
    vit_claims c;
    const vit_json *name = row->child, *heads = name->next;
    snprintf(text, sizeof text, "{\"architecture\":\"%s\"}", name->string);
    const vit_status status = claims_of(text, &c);
    if (!heads) {
        if (!CHECK_STATUS(VIT_ERR_UNSUPPORTED, status))
            printf("  %s\n", name->string);
        CHECK_MENTIONS(error.text, name->string);
        return;
    }
    const vit_json *activation = heads->next, *eps = activation->next, *bias = eps->next, *norm = bias->next;
    const int has_norm = norm->type == VIT_JSON_TRUE, is_distilled = norm->next->type == VIT_JSON_TRUE;
    if (!CHECK(status == VIT_OK && c.heads == heads->number && c.norm_eps == eps->number &&
               strcmp(vit_activation_name((vit_activation)c.activation), activation->string) == 0 &&
               c.qkv_bias == (bias->type == VIT_JSON_TRUE) && (c.final_norm != 0) == has_norm &&
               (c.head_dist == 1) == is_distilled && (c.dist_token == 1) == is_distilled))
        printf("  %s\n", name->string);
}

static void test_architectures(void) {
    const vit_allocator allocator = vit_default_options().allocator;
    const vit_limits limits = vit_default_options().limits;
    vit_buffer text = {.allocator = &allocator};
    vit_json_document json;
    CHECK_STATUS(VIT_OK, vit_read_file(&text, GOLDEN "timm_architectures.json", 1 << 20, &error));
    CHECK_STATUS(VIT_OK, vit_json_parse(&json, "names", text.data, text.size, &limits, &allocator, &error));
    CHECK(json.root->length == 179);
    for (const vit_json *row = json.root->child; row; row = row->next)
        check_architecture(row);
    vit_json_release(&json);
    vit_buffer_release(&text);
    vit_claims claims;
    CHECK_STATUS(VIT_ERR_UNSUPPORTED,
                 claims_of("{\"architecture\":\"vit_medium_patch16_rope_reg1_gap_256\"}", &claims));
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, claims_of("{\"architecture\":\"samvit_base_patch16\"}", &claims));
    CHECK_STATUS(VIT_OK, claims_of("{\"architecture\":\"vit_base_patch16_224\",\"model_args\":{"
                                   "\"act_layer\":\"gelu_tanh\",\"reg_tokens\":4,\"no_embed_class\":true,"
                                   "\"init_values\":1e-5,\"pre_norm\":true,"
                                   "\"final_norm\":false,\"num_heads\":8}}", &claims));
    CHECK(claims.activation == VIT_GELU_TANH && claims.registers == 4 && claims.pos_class == 0 &&
          claims.pos_registers == 0 && claims.layer_scale == 1 && claims.pre_norm == 1 && claims.final_norm == 0 &&
          claims.heads == 8);
    CHECK_STATUS(VIT_ERR_UNSUPPORTED, claims_of("{\"architecture\":\"vit_base_patch16_224\",\"model_args\":{"
                                                "\"qk_norm\":true}}", &claims));
    CHECK_MENTIONS(error.text, "qk_norm");
    static const char *const positions[] = {"learn", "none", "", "rope"};
    for (int i = 0; i < 4; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"architecture\":\"vit_base_patch16_224\",\"model_args\":{\"pos_embed\":\"%s\"}}",
                 positions[i]);
        CHECK_STATUS(i < 3 ? VIT_OK : VIT_ERR_UNSUPPORTED, claims_of(text, &claims));
        CHECK(i == 3 || claims.pos_kind == (i ? VIT_POS_NONE : VIT_UNSET));
    }
}

/* ---- Hugging Face ---- */

static void test_model_types(void) {
    static const struct {
        const char *text;
        int patch, activation, class_token, dist_token, registers, pool, resample, layer_scale, pre_norm;
        double eps;
        int mlp_width;
    } known[] = {
        {"{\"model_type\":\"vit\"}", 16, VIT_GELU_ERF, 1, 0, 0, VIT_POOL_CLASS, VIT_RESAMPLE_HF, VIT_UNSET, VIT_UNSET,
         1e-12, 3072},
        {"{\"model_type\":\"deit\"}", 16, VIT_GELU_ERF, 1, 1, 0, VIT_POOL_CLASS, VIT_RESAMPLE_HF, VIT_UNSET, VIT_UNSET,
         1e-12, 3072},
        {"{\"model_type\":\"vit_msn\"}", 16, VIT_GELU_ERF, 1, 0, 0, VIT_POOL_CLASS, VIT_RESAMPLE_HF, VIT_UNSET,
         VIT_UNSET, 1e-6, 3072},
        {"{\"model_type\":\"vit_mae\",\"architectures\":[\"ViTMAEForPreTraining\"]}", 16, VIT_GELU_ERF, 1, 0, 0,
         VIT_POOL_CLASS, VIT_RESAMPLE_HF, VIT_UNSET, VIT_UNSET, 1e-12, 3072},
        {"{\"model_type\":\"dinov2\"}", 14, VIT_GELU_ERF, 1, 0, 0, VIT_UNSET, VIT_RESAMPLE_HF, 1, VIT_UNSET, 1e-6,
         3072},
        {"{\"model_type\":\"dinov2\",\"hidden_size\":1536,\"use_swiglu_ffn\":true,\"architectures\":[\"Dinov2Model\"]}",
         14, VIT_GELU_ERF, 1, 0, 0, VIT_POOL_CLASS, VIT_RESAMPLE_HF, 1, VIT_UNSET, 1e-6, 4096},
        {"{\"model_type\":\"dinov2_with_registers\",\"architectures\":[\"Dinov2WithRegistersForImageClassification\"]}",
         16, VIT_GELU_ERF, 1, 0, 4, VIT_POOL_CLASS_MEAN, VIT_RESAMPLE_TIMM, 1, VIT_UNSET, 1e-6, 3072},
        {"{\"model_type\":\"clip\"}", 32, VIT_GELU_QUICK, 1, 0, 0, VIT_POOL_CLASS, VIT_RESAMPLE_HF, VIT_UNSET, 1, 1e-5,
         3072},
        {"{\"model_type\":\"clip_vision_model\",\"patch_size\":14}", 14, VIT_GELU_QUICK, 1, 0, 0, VIT_POOL_CLASS,
         VIT_RESAMPLE_HF, VIT_UNSET, 1, 1e-5, 3072},
        {"{\"model_type\":\"siglip\",\"vision_config\":{\"model_type\":\"siglip_vision_model\"}}", 16, VIT_GELU_TANH, 0,
         0, 0, VIT_POOL_MAP, VIT_RESAMPLE_HF, VIT_UNSET, VIT_UNSET, 1e-6, 3072},
        {"{\"model_type\":\"siglip\",\"architectures\":[\"SiglipForImageClassification\"],\"vision_config\":{"
         "\"patch_size\":14,\"intermediate_size\":4304}}", 14, VIT_GELU_TANH, 0, 0, 0, VIT_POOL_MEAN, VIT_RESAMPLE_HF,
         VIT_UNSET, VIT_UNSET, 1e-6, 4304},
    };
    for (int i = 0; i < COUNT(known); i++) {
        vit_claims c;
        CHECK_STATUS(VIT_OK, claims_of(known[i].text, &c));
        if (!CHECK(c.patch_height == known[i].patch && c.activation == known[i].activation &&
                   c.class_token == known[i].class_token && c.dist_token == known[i].dist_token &&
                   c.registers == known[i].registers && c.pool == known[i].pool &&
                   c.pos_resample == known[i].resample && c.layer_scale == known[i].layer_scale &&
                   c.pre_norm == known[i].pre_norm &&
                   c.norm_eps == known[i].eps && c.mlp_width == known[i].mlp_width && c.layers == 12 &&
                   c.image_width == 224))
            printf("  %s\n", known[i].text);
    }
    vit_claims c;
    CHECK_STATUS(VIT_OK, claims_of("{\"model_type\":\"clip\",\"architectures\":[\"CLIPForImageClassification\"]}", &c));
    CHECK(c.pool == VIT_POOL_MEAN && c.final_norm == 0 && c.projection == 0);
    CHECK_STATUS(VIT_OK, claims_of("{\"model_type\":\"vit_mae\",\"architectures\":[\"ViTMAEForPreTraining\"],"
                                   "\"norm_pix_loss\":true}", &c));
    CHECK(c.decoder_kind == VIT_DECODER_MAE && c.decoder_layers == 8 && c.decoder_width == 512 &&
          c.decoder_heads == 16 && c.decoder_mlp_width == 2048 && c.decoder_norm_pixels == 1);
    static const struct {
        const char *text, *mention;
    } refused[] = {
        {"{\"model_type\":\"siglip2\"}", "siglip2"},
        {"{\"model_type\":\"dinov3_vit\"}", "dinov3_vit"},
        {"{\"model_type\":\"clip\",\"vision_config\":[]}", "vision_config"},
        {"{\"model_type\":\"clip\",\"vision_config\":{\"hidden_act\":\"relu\"}}", "hidden_act"},
        {"{\"model_type\":\"vit\",\"pooler_act\":\"gelu\"}", "pooler_act"},
        {"{\"model_type\":\"vit\",\"architectures\":[\"ViTForMaskedImageModeling\"],\"encoder_stride\":32}",
         "encoder_stride"},
        {"{\"model_type\":\"deit\",\"architectures\":[\"DeiTForMaskedImageModeling\"]}", "DeiTForMaskedImageModeling"},
        {"{\"model_type\":\"dinov2\",\"mlp_ratio\":1e9}", "mlp_ratio"},
    };
    for (int i = 0; i < COUNT(refused); i++) {
        CHECK(claims_of(refused[i].text, &c) != VIT_OK);
        CHECK_MENTIONS(error.text, refused[i].mention);
    }
}

/* ---- preprocessor_config.json ---- */

static void test_processors(void) {
    static const struct {
        const char *text;
        int filter, crop, edge, height, width;
        double mean, std;
    } known[] = {
        {"{\"image_processor_type\":\"ViTImageProcessor\"}", VIT_FILTER_BILINEAR, VIT_CROP_SQUASH, 224, 224, 224, 0.5,
         0.5},
        {"{\"image_processor_type\":\"ViTImageProcessorFast\",\"size\":384}", VIT_FILTER_BILINEAR, VIT_CROP_SQUASH, 384,
         384, 384, 0.5, 0.5},
        {"{\"feature_extractor_type\":\"DeiTFeatureExtractor\"}", VIT_FILTER_BICUBIC, VIT_CROP_SQUASH_FLOOR, 256, 224,
         224, 0.5, 0.5},
        {"{\"image_processor_type\":\"DeiTImageProcessor\",\"do_center_crop\":false}", VIT_FILTER_BICUBIC,
         VIT_CROP_SQUASH, 256, 256, 256, 0.5, 0.5},
        {"{\"feature_extractor_type\":\"CLIPFeatureExtractor\",\"size\":240,\"crop_size\":200}", VIT_FILTER_BICUBIC,
         VIT_CROP_SHORT_FLOOR, 240, 200, 200, 0.48145466, 0.26862954},
        {"{\"image_processor_type\":\"BitImageProcessor\",\"size\":{\"shortest_edge\":256},\"image_mean\":"
         "[0.485,0.456,0.406],\"image_std\":[0.229,0.224,0.225]}", VIT_FILTER_BICUBIC, VIT_CROP_SHORT_FLOOR, 256, 224,
         224, 0.485, 0.229},
        {"{\"image_processor_type\":\"CLIPImageProcessor\",\"crop_size\":{\"height\":160,\"width\":224}}",
         VIT_FILTER_BICUBIC, VIT_CROP_SHORT_FLOOR, 224, 160, 224, 0.48145466, 0.26862954},
        {"{\"image_processor_type\":\"SiglipImageProcessor\",\"do_rescale\":false,\"do_normalize\":false}",
         VIT_FILTER_BICUBIC, VIT_CROP_SQUASH, 224, 224, 224, 0, 1 / 255.0},
    };
    vit_claims c;
    for (int i = 0; i < COUNT(known); i++) {
        CHECK_STATUS(VIT_OK, claims_of(known[i].text, &c));
        const int least = c.input_height < c.input_width ? c.input_height : c.input_width;
        if (!CHECK(c.filter == known[i].filter && c.crop == known[i].crop && c.input_height == known[i].height &&
                   c.input_width == known[i].width && floor(least / c.crop_pct) == known[i].edge &&
                   fabs(c.mean[0] - known[i].mean) < 1e-6 && fabs(c.std[0] - known[i].std) < 1e-6))
            printf("  %s\n", known[i].text);
    }
    static const struct {
        const char *text, *mention;
    } refused[] = {
        {"{\"image_processor_type\":\"ConvNextImageProcessor\",\"crop_pct\":0.9}", "ConvNextImageProcessor"},
        {"{\"image_processor_type\":\"ViTImageProcessor\",\"do_pad\":true}", "do_pad"},
        {"{\"image_processor_type\":\"SiglipImageProcessor\",\"size\":224}", "shortest_edge"},
        {"{\"image_processor_type\":\"ViTImageProcessor\",\"do_center_crop\":true}", "crop_size"},
        {"{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":{}}", "shortest_edge"},
    };
    for (int i = 0; i < COUNT(refused); i++) {
        CHECK(claims_of(refused[i].text, &c) != VIT_OK);
        CHECK_MENTIONS(error.text, refused[i].mention);
    }
}

/* Half a pixel: torchvision and timm round to even, Hugging Face crops further to the left, and pads more there. */
static void test_half_pixels(void) {
    static const struct {
        vit_crop crop;
        int height, width;        /* of the input, from 9 x 10 pixels whose value is 10 x + y */
        int padded, first;        /* columns of padding on the left; the value of the first pixel after them */
        double crop_pct;
    } cases[] = {
        {VIT_CROP_CENTER, 9, 7, 0, 20, 1},       {VIT_CROP_SHORT_FLOOR, 9, 7, 0, 10, 7 / 9.0},
        {VIT_CROP_SHORT_FLOOR, 9, 15, 3, 0, 1},  {VIT_CROP_SQUASH_FLOOR, 9, 10, 0, 0, 1},
    };
    uint8_t rgb[9 * 10 * 3];
    for (int i = 0; i < COUNT(rgb); i++)
        rgb[i] = (uint8_t)(i / 3 % 10 * 10 + i / 30);
    vit_image image;
    CHECK_STATUS(VIT_OK, vit_image_from_pixels(&image, rgb, 10, 9, 3, NULL, &error));
    for (int i = 0; i < COUNT(cases); i++) {
        float out[9 * 15 * 3];
        const vit_preprocess rules = {.std = {1, 1, 1}, .filter = VIT_FILTER_NEAREST, .crop = cases[i].crop,
                                      .crop_pct = cases[i].crop_pct};
        CHECK_STATUS(VIT_OK, vit_image_preprocess(&image, &rules, cases[i].height, cases[i].width, out, NULL, &error));
        for (int x = 0; x < cases[i].padded; x++)
            CHECK(out[3 * x] == 0);
        CHECK_CLOSE(out[3 * cases[i].padded] * 255, cases[i].first, 1e-4);
        CHECK_CLOSE(out[3 * cases[i].padded + 3] * 255, cases[i].first + 10, 1e-4);
    }
    vit_image_close(&image);
}

/* ---- Masks and patches ---- */

static int shown(const uint8_t *hidden, int n) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += !hidden[i];
    return count;
}

static void test_masks(void) {
    CHECK(vit_visible_patches(196, 0.75) == 49 && vit_visible_patches(16, 0.75) == 4);
    CHECK(vit_visible_patches(10, 0.6) == 4 && vit_visible_patches(7, 0) == 7);
    CHECK(vit_visible_patches(7, 1) == 0 && vit_visible_patches(7, 2) == 0);
    const float noise[] = {0.5f, -1, 0.25f, 0.5f, -0.0f, 3e38f, 0.25f, 0.75f};
    uint8_t hidden[8];
    const uint8_t of_four[] = {1, 0, 0, 1, 0, 1, 0, 1}, of_three[] = {1, 0, 0, 1, 0, 1, 1, 1};
    vit_hide_by_noise(noise, 8, 4, hidden);
    CHECK(memcmp(hidden, of_four, 8) == 0);
    vit_hide_by_noise(noise, 8, 3, hidden);
    CHECK(memcmp(hidden, of_three, 8) == 0);
    const float equal[8] = {0};
    for (int visible = 0; visible <= 8; visible++) {
        vit_hide_by_noise(noise, 8, visible, hidden);
        CHECK(shown(hidden, 8) == visible);
        vit_hide_by_noise(equal, 8, visible, hidden);
        CHECK(shown(hidden, visible) == visible && shown(hidden, 8) == visible);
    }
}

static void test_patches(void) {
    enum { HEIGHT = 7, WIDTH = 10 };
    float pixels[HEIGHT * WIDTH * 3], back[HEIGHT * WIDTH * 3], patches[2 * 2 * 3 * 3 * 4];
    for (int i = 0; i < COUNT(pixels); i++) {
        pixels[i] = (float)i;
        back[i] = -1;
    }
    vit_config config = {.patch_height = 3, .patch_width = 4, .decoder.kind = VIT_DECODER_MAE};
    for (int planes = 0; planes < 2; planes++) {
        config.decoder.kind = planes ? VIT_DECODER_SIMMIM : VIT_DECODER_MAE;
        vit_patch_pixels(&config, pixels, HEIGHT, WIDTH, patches);
        /* patch 3, row 1, column 2, channel 2 */
        const int within = planes ? 2 * 12 + 1 * 4 + 2 : (1 * 4 + 2) * 3 + 2;
        CHECK(patches[3 * 36 + within] == pixels[((3 + 1) * WIDTH + 4 + 2) * 3 + 2]);
        vit_unpatch_pixels(&config, patches, HEIGHT, WIDTH, back);
        for (int i = 0; i < COUNT(pixels); i++)
            CHECK(back[i] == (i / 3 / WIDTH < 6 && i / 3 % WIDTH < 8 ? pixels[i] : -1));
    }
    float rows[2][4] = {{1, 2, 3, 4}, {5, 5, 5, 5}};
    vit_normalize_patches(rows[0], 2, 4);
    CHECK_CLOSE(rows[0][3], 1.5 / sqrt(5.0 / 3 + 1e-6), 1e-6);
    CHECK(rows[1][0] == 0);
}

/* ---- Sessions that predict ---- */

enum { SIDE = 32, PATCHES = 16, VALUES = 192 };

static void fill(float *pixels, int seed) {
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixels[i] = sinf(0.37f * (float)i + (float)seed) * 0.9f;
}

/* Predictions [batch,PATCHES,VALUES] with so many threads, all of them one row of `hidden`. */
static void predict(const vit_model *model, const uint8_t *hidden, int batch, int threads, int seed, float *out) {
    vit_session *session;
    vit_session_options options = {.batch = batch, .threads = threads, .masked = 1, .capture_attention = batch == 1};
    uint8_t all[4 * PATCHES];
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error));
    for (int b = 0; b < batch; b++) {
        fill(vit_session_input(session, b), seed + b);
        memcpy(all + b * PATCHES, hidden, PATCHES);
    }
    CHECK_STATUS(VIT_OK, vit_session_hide(session, all, &error));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    CHECK_STATUS(VIT_OK, vit_session_read(session, out, &error));
    CHECK(vit_session_logits(session, 0) == NULL);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_features(session, 0, VIT_FEATURE_MEAN, out, &error));
    CHECK(vit_session_get_info(session).tokens == PATCHES + 1);
    CHECK(vit_session_bytes(model, &options) == vit_session_get_info(session).bytes);
    vit_session_close(session);
}

static void check_predictions(const char *folder, vit_compute compute, double tolerance, const float *expected) {
    static float a[4 * PATCHES * VALUES], b[4 * PATCHES * VALUES];
    vit_options options = vit_default_options();
    vit_model *model;
    uint8_t hidden[PATCHES];
    options.compute = compute;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, folder, NULL, &options, &error));
    for (int i = 0; i < PATCHES; i++)
        hidden[i] = i % 3 != 1;
    predict(model, hidden, 1, 1, 5, a);
    for (int i = 0; expected && i < PATCHES * VALUES; i++)
        CHECK_CLOSE(a[i], expected[i], tolerance);
    predict(model, hidden, 3, 2, 3, b); /* the third picture is the one before */
    CHECK(memcmp(a, b + 2 * PATCHES * VALUES, PATCHES * VALUES * sizeof *a) == 0);
    vit_model_close(model);
}

/* What the pixels of a hidden patch are changes nothing; those of a visible one do. */
static void check_hidden(const vit_model *model, int patch, int is_hidden) {
    static float before[PATCHES * VALUES], after[PATCHES * VALUES];
    vit_session *session;
    uint8_t hidden[PATCHES] = {0};
    for (int i = 0; i < PATCHES; i++)
        hidden[i] = i % 4 != 2;
    CHECK(hidden[patch] == is_hidden);
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &(vit_session_options){.masked = 1}, &error));
    CHECK_STATUS(VIT_OK, vit_session_hide(session, hidden, &error));
    float *pixels = vit_session_input(session, 0);
    fill(pixels, 1);
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    CHECK_STATUS(VIT_OK, vit_session_read(session, before, &error));
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 3 * 8; x++)
            pixels[((patch / 4 * 8 + y) * SIDE + patch % 4 * 8) * 3 + x] += 1;
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    CHECK_STATUS(VIT_OK, vit_session_read(session, after, &error));
    CHECK((memcmp(before, after, sizeof before) == 0) == is_hidden);
    vit_session_close(session);
}

static void test_predictions(void) {
    static const char *const folders[] = {GOLDEN "mae/hf_mae", GOLDEN "mae/hf_simmim"};
    for (int i = 0; i < COUNT(folders); i++) {
        static float expected[PATCHES * VALUES];
        uint8_t hidden[PATCHES];
        vit_model *model;
        for (int p = 0; p < PATCHES; p++)
            hidden[p] = p % 3 != 1;
        CHECK_STATUS(VIT_OK, vit_model_open(&model, folders[i], NULL, NULL, &error));
        predict(model, hidden, 1, 1, 5, expected);
        check_hidden(model, 3, 1);
        check_hidden(model, 6, 0);
        vit_model_close(model);
        check_predictions(folders[i], VIT_COMPUTE_F32, 0, expected);
        check_predictions(folders[i], VIT_COMPUTE_INT8, 0.2, expected);
    }
}

/* What the head sees of one picture. */
static int features(const char *folder, vit_compute compute, float *out) {
    vit_options options = vit_default_options();
    vit_model *model;
    vit_session *session;
    options.compute = compute;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, folder, NULL, &options, &error));
    const vit_session_options size = {.height = SIDE, .width = SIDE};
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &size, &error));
    fill(vit_session_input(session, 0), 2);
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_HEAD, out, &error));
    const int width = vit_feature_width(vit_model_config(model));
    vit_session_close(session);
    vit_model_close(model);
    return width;
}

static void test_integers(void) {
    static const char *const folders[] = {
        GOLDEN "clip/hf_vision",   GOLDEN "clip/hf_projection",         GOLDEN "siglip/hf_vision",
        GOLDEN "dinov2/hf_dinov2", GOLDEN "dinov2/hf_dinov2_swiglu",    GOLDEN "dinov2/hf_dinov2_registers",
        GOLDEN "deit/timm_deit3",  GOLDEN "deit/timm_distilled_features", GOLDEN "vit/hf_pooler",
        GOLDEN "vit/timm_reg_gap", GOLDEN "mae/hf_mae",                 GOLDEN "msn/hf_msn"};
    for (int i = 0; i < COUNT(folders); i++) {
        float f32[64], int8[64];
        double products = 0, squares[2] = {0};
        const int width = features(folders[i], VIT_COMPUTE_F32, f32);
        CHECK(width <= 64 && features(folders[i], VIT_COMPUTE_INT8, int8) == width);
        for (int d = 0; d < width; d++) {
            products += (double)f32[d] * int8[d];
            squares[0] += (double)f32[d] * f32[d];
            squares[1] += (double)int8[d] * int8[d];
        }
        const double cosine = products / sqrt(squares[0] * squares[1]);
        if (!CHECK(cosine > 0.998 && memcmp(f32, int8, (size_t)width * sizeof *f32) != 0))
            printf("  %s: cosine %.5f\n", folders[i], cosine);
    }
}

static void test_masks_refused(void) {
    vit_model *model;
    vit_session *session;
    uint8_t hidden[2 * PATCHES] = {1};
    CHECK_STATUS(VIT_OK, vit_model_open(&model, GOLDEN "dino/hf_dino", NULL, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_open(&session, model, &(vit_session_options){.masked = 1}, &error));
    CHECK_MENTIONS(error.text, "decoder");
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, vit_model_open(&model, GOLDEN "mae/hf_mae", NULL, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_hide(session, hidden, &error));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    vit_session_close(session);
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &(vit_session_options){.masked = 1, .batch = 2}, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_hide(session, hidden, &error));
    CHECK_MENTIONS(error.text, "image 1");
    memset(hidden, 1, sizeof hidden);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_hide(session, hidden, &error));
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error)); /* with what was hidden before: nothing */
    vit_session_close(session);
    CHECK_STATUS(VIT_OK, vit_session_open(
                             &session, model, &(vit_session_options){.masked = 1, .capture_attention = 1}, &error));
    vit_attention *attention;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_attention_open(&attention, session, &(vit_attention_options){.layer = -1}, &error));
    CHECK_MENTIONS(error.text, "hides patches");
    vit_session_close(session);
    vit_model_close(model);
}

TEST_MAIN(TEST(test_architectures), TEST(test_model_types), TEST(test_processors), TEST(test_half_pixels), TEST(test_masks), TEST(test_patches),
          TEST(test_predictions), TEST(test_integers), TEST(test_masks_refused))
