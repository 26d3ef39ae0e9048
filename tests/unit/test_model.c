/* Models and sessions: loading in pieces, errors, memory, and the guarantees of a forward pass. The numbers themselves
 * are checked against the goldens (tests/check_goldens.py). */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/container.h"
#include "../../src/model/model.h"
#include "../../src/vit_tasks.h"

#include <unistd.h>

#define FORWARD "tests/golden/forward/"
#define ERRORS "tests/golden/errors/models/"

static vit_error error;

/* ---- An allocator that counts, and fails on command ---- */

struct counts {
    long live, made, fail_at; /* fail_at: the allocation that fails, counted from 1; 0: none */
};

static void *counting_alloc(void *context, size_t bytes) {
    struct counts *counts = context;
    if (++counts->made == counts->fail_at)
        return NULL;
    counts->live++;
    return malloc(bytes);
}

static void counting_release(void *context, void *block) {
    struct counts *counts = context;
    counts->live--;
    free(block);
}

static vit_options counting_options(struct counts *counts) {
    vit_options options = vit_default_options();
    options.allocator = (vit_allocator){counting_alloc, counting_release, counts};
    return options;
}

/* ---- Pictures without files: smooth, and different for every seed ---- */

static void fill_input(float *pixels, int height, int width, int seed) {
    for (int i = 0; i < height * width * 3; i++)
        pixels[i] = sinf(0.37f * (float)i + (float)seed) * 0.9f;
}

static float *run_logits(const vit_model *model, vit_session_options options, int seed, int index) {
    int classes = vit_model_config(model)->classes;
    float *out = malloc((size_t)classes * sizeof *out);
    vit_session *session;
    if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &options, &error)))
        return out;
    vit_session_info info = vit_session_get_info(session);
    for (int b = 0; b < info.batch; b++)
        fill_input(vit_session_input(session, b), info.height, info.width, b == index ? seed : 100 + b);
    CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
    memcpy(out, vit_session_logits(session, index), (size_t)classes * sizeof *out);
    vit_session_close(session);
    return out;
}

static void check_same_logits(const vit_model *model, vit_session_options a, int a_index, vit_session_options b,
                              int b_index) {
    float *one = run_logits(model, a, 7, a_index), *two = run_logits(model, b, 7, b_index);
    CHECK(memcmp(one, two, (size_t)vit_model_config(model)->classes * sizeof *one) == 0);
    free(one);
    free(two);
}

/* Names, stored types and every bit. */
static int same_weights(const vit_model *a, const vit_model *b) {
    int same = a->slot_count == b->slot_count;
    for (int i = 0; i < a->slot_count && same; i++) {
        const vit_slot *one = &a->slots[i], *two = &b->slots[i];
        same = strcmp(one->name, two->name) == 0 && one->count == two->count && one->stored == two->stored &&
               memcmp(one->held.f32, two->held.f32, one->count * sizeof(float)) == 0;
    }
    return same;
}

/* ---- Tests ---- */

static void test_configuration(void) {
    vit_model *model;
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error)))
        return;
    const vit_config *c = vit_model_config(model);
    CHECK(c->layers == 2 && c->width == 36 && c->heads == 3 && c->mlp_width == 80 && c->classes == 7);
    CHECK(c->patch_height == 8 && c->image_height == 32 && c->image_width == 32);
    CHECK(c->class_token && c->pos_class && c->qkv_bias && c->final_norm && !c->pool_norm);
    CHECK(c->activation == VIT_GELU_ERF && c->pos_resample == VIT_RESAMPLE_TIMM && c->pool == VIT_POOL_CLASS);
    CHECK_CLOSE(c->norm_eps, 1e-6, 1e-12);
    CHECK(c->preprocess.filter == VIT_FILTER_BICUBIC && c->preprocess.crop == VIT_CROP_CENTER &&
          c->preprocess.crop_pct == 0.9);
    CHECK_STRING(c->architecture, "vit_tiny_patch16_224");
    CHECK(vit_model_label(model, 0) == NULL);
    CHECK(vit_model_parameters(model) == 30623);
    vit_model_close(model);

    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "hf_vit/model.safetensors", NULL, NULL, &error)))
        return;
    c = vit_model_config(model);
    CHECK_CLOSE(c->norm_eps, 1e-12, 1e-18);
    CHECK(c->pos_resample == VIT_RESAMPLE_HF && c->preprocess.crop == VIT_CROP_SQUASH &&
          c->preprocess.filter == VIT_FILTER_BILINEAR);
    CHECK_STRING(vit_model_label(model, 6), "LABEL_6");
    CHECK(vit_model_label(model, 7) == NULL && vit_model_label(model, -1) == NULL);
    vit_model_close(model);
}

/* The same bytes in pieces of 1, 2, 3, ... bytes and at once must give the same model. */
static void test_pieces(void) {
    vit_allocator allocator = vit_default_options().allocator;
    vit_buffer weights = {.allocator = &allocator}, config = {.allocator = &allocator};
    CHECK_STATUS(VIT_OK, vit_read_file(&weights, FORWARD "timm_f16/model.safetensors", 1 << 24, &error));
    CHECK_STATUS(VIT_OK, vit_read_file(&config, FORWARD "timm_f16/config.json", 1 << 24, &error));
    vit_model *whole, *model;
    CHECK_STATUS(VIT_OK, vit_model_open(&whole, FORWARD "timm_f16", NULL, NULL, &error));
    for (size_t piece = 1; piece < 3000; piece = piece * 2 + 1) {
        vit_loader *loader;
        CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "stream", NULL, &error));
        CHECK_STATUS(VIT_OK, vit_loader_config(loader, "config.json", config.data, config.size, &error));
        vit_status status = VIT_OK;
        for (size_t at = 0; at < weights.size && status == VIT_OK; at += piece)
            status = vit_loader_push(loader, weights.data + at, weights.size - at < piece ? weights.size - at : piece,
                                     &error);
        CHECK_STATUS(VIT_OK, status);
        if (CHECK_STATUS(VIT_OK, vit_loader_finish(loader, &model, &error))) {
            CHECK(same_weights(model, whole));
            vit_model_close(model);
        }
        vit_loader_close(loader);
    }
    /* Every stream that ends early says so. */
    for (size_t end = 0; end < weights.size; end += end < 64 ? 1 : 997) {
        vit_loader *loader;
        CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "stream", NULL, &error));
        CHECK_STATUS(VIT_OK, vit_loader_config(loader, "config.json", config.data, config.size, &error));
        vit_status status = vit_loader_push(loader, weights.data, end, &error);
        if (status == VIT_OK)
            status = vit_loader_finish(loader, &model, &error);
        CHECK(status == VIT_ERR_TRUNCATED || (end < 9 && status != VIT_OK));
        CHECK_MENTIONS(error.text, "stream");
        vit_loader_close(loader);
    }
    /* And a stream that goes on is refused. */
    vit_loader *loader;
    CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "stream", NULL, &error));
    CHECK_STATUS(VIT_OK, vit_loader_config(loader, "config.json", config.data, config.size, &error));
    CHECK_STATUS(VIT_OK, vit_loader_push(loader, weights.data, weights.size, &error));
    CHECK(vit_loader_push(loader, "x", 1, &error) != VIT_OK);
    vit_loader_close(loader);
    vit_model_close(whole);
    vit_buffer_release(&weights);
    vit_buffer_release(&config);
}

/* Bytes of the file after which a stage can run: the ends of the tensors it reads. */
static uint64_t bytes_needed(const vit_model *model, const char *stage) {
    static const struct {
        const char *stage, *tensors[2];
    } reads[] = {{"patch_embed", {"patch_embed."}}, {"pos_embedding", {"pos_embed"}}, {"embed", {"cls_token"}},
                 {"qkv.", {"norm1.", "attn.qkv."}}, {"proj.", {"attn.proj."}},
                 {"fc1.", {"norm2.", "mlp.fc1."}},  {"block.", {"mlp.fc2."}},
                 {"norm", {"norm."}},               {"head_input", {"fc_norm."}},
                 {"logits", {"head."}}};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        size_t length = strlen(reads[i].stage);
        if (strncmp(stage, reads[i].stage, length) != 0 || (stage[length] && stage[length - 1] != '.'))
            continue;
        for (int k = 0; k < 2 && reads[i].tensors[k]; k++) {
            char prefix[64], block[32] = "";
            if (stage[length])
                snprintf(block, sizeof block, "blocks.%s.", stage + length);
            snprintf(prefix, sizeof prefix, "%s%s", block, reads[i].tensors[k]);
            for (int t = 0; t < vit_model_tensor_count(model); t++) {
                const vit_tensor_info *tensor = vit_model_tensor(model, t);
                if (strncmp(tensor->name, prefix, strlen(prefix)) == 0 && tensor->offset + tensor->bytes > bytes)
                    bytes = tensor->offset + tensor->bytes;
            }
        }
    }
    return bytes;
}

/* A session is opened as soon as there is a model, and every stage runs with the byte that completes its weights. */
static void check_stages_while_loading(const vit_buffer *file, const char *config) {
    vit_session_options options = {.height = 40, .width = 24, .threads = 2};
    vit_loader *loader;
    vit_model *model;
    vit_session *session = NULL;
    CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "stream", NULL, &error));
    if (config)
        CHECK_STATUS(VIT_OK, vit_loader_config(loader, "config.json", config, strlen(config), &error));
    int stage = 0, more = 1;
    uint64_t ready = 0;
    for (size_t at = 0; at < file->size; at++) {
        if (!CHECK_STATUS(VIT_OK, vit_loader_push(loader, file->data + at, 1, &error)))
            break;
        if (!session && vit_loader_model(loader)) {
            CHECK_STATUS(VIT_OK, vit_session_open(&session, vit_loader_model(loader), &options, &error));
            fill_input(vit_session_input(session, 0), 40, 24, 7);
        }
        while (session && more && (more = vit_session_advance(session)) >= 0) {
            uint64_t needed = bytes_needed(vit_loader_model(loader), vit_session_stage(session, stage++).name);
            ready = needed > ready ? needed : ready;
            CHECK(ready == 0 || ready == at + 1);
            ready = at + 1;
        }
        if (more < 0 && at % 4096 == 0)
            CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_run(session, &error));
    }
    CHECK(more == 0 && stage == vit_session_stage_count(session));
    CHECK_STATUS(VIT_OK, vit_loader_finish(loader, &model, &error));
    vit_loader_close(loader);
    float *logits = run_logits(model, options, 7, 0);
    CHECK(memcmp(logits, vit_session_logits(session, 0), 7 * sizeof *logits) == 0);
    free(logits);
    vit_session_close(session);
    vit_model_close(model);
}

static void test_stages_while_loading(void) {
    static const char *const cases[] = {"timm_cls", "timm_gap", "timm_f16"};
    vit_allocator allocator = vit_default_options().allocator;
    char path[256], saved[64];
    snprintf(saved, sizeof saved, "/tmp/vit_test_stages_%ld.gguf", (long)getpid());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_buffer file = {.allocator = &allocator}, config = {.allocator = &allocator};
        vit_model *model;
        snprintf(path, sizeof path, FORWARD "%s/config.json", cases[i]);
        CHECK_STATUS(VIT_OK, vit_read_file(&config, path, 1 << 24, &error));
        snprintf(path, sizeof path, FORWARD "%s/model.safetensors", cases[i]);
        CHECK_STATUS(VIT_OK, vit_read_file(&file, path, 1 << 24, &error));
        check_stages_while_loading(&file, (char *)config.data);
        vit_buffer_release(&file);
        vit_buffer_release(&config);
        snprintf(path, sizeof path, FORWARD "%s", cases[i]);
        CHECK_STATUS(VIT_OK, vit_model_open(&model, path, NULL, NULL, &error));
        CHECK_STATUS(VIT_OK, vit_model_save(model, saved, &(vit_save_options){.type = VIT_DTYPE_OTHER}, &error));
        vit_model_close(model);
        CHECK_STATUS(VIT_OK, vit_read_file(&file, saved, 1 << 24, &error));
        check_stages_while_loading(&file, NULL);
        vit_buffer_release(&file);
    }
    remove(saved);
}

static void test_saving(void) {
    static const char *const cases[] = {"timm_cls",       "timm_gap", "timm_gap_notoken",
                                        "timm_bf16",      "timm_f16", "timm_no_embed_class",
                                        "timm_noqkvbias", "hf_vit",   "hf_vit_noqkvbias"};
    const vit_allocator allocator = vit_default_options().allocator;
    char path[256], saved[64];
    snprintf(saved, sizeof saved, "/tmp/vit_test_model_%ld.gguf", (long)getpid());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_model *model, *again;
        snprintf(path, sizeof path, FORWARD "%s", cases[i]);
        if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, path, NULL, NULL, &error)))
            continue;
        CHECK_STATUS(VIT_OK, vit_model_save(model, saved, &(vit_save_options){.type = VIT_DTYPE_OTHER}, &error));
        if (CHECK_STATUS(VIT_OK, vit_model_open(&again, saved, NULL, NULL, &error))) {
            CHECK(memcmp(&model->config, &again->config, sizeof model->config) == 0);
            CHECK(same_weights(model, again));
            vit_model_close(again);
        }
        const vit_save_options options = {.type = VIT_DTYPE_OTHER};
        vit_buffer file = {.allocator = &allocator};
        void *bytes;
        size_t size;
        CHECK_STATUS(VIT_OK, vit_read_file(&file, saved, 1 << 24, &error));
        CHECK_STATUS(VIT_OK, vit_model_encode(model, &options, &bytes, &size, &error));
        CHECK(size == file.size && memcmp(bytes, file.data, size) == 0);
        vit_release_bytes(NULL, bytes);
        vit_buffer_release(&file);
        vit_model_close(model);
    }
    vit_model *model;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    CHECK_STATUS(VIT_ERR_IO, vit_model_save(model, "/no/such/folder/x.gguf", &(vit_save_options){.type = VIT_F32}, &error));
    CHECK_MENTIONS(error.text, "/no/such/folder/x.gguf");
    vit_model_close(model);
    remove(saved);
}

/* What golden/errors/errors.json expects of each folder, and what the message must name. */
static void test_broken_models(void) {
    static const struct {
        const char *folder, *mention; /* mention NULL: must load */
    } cases[] = {{"valid", NULL},
                 {"unexpected_tensor", NULL},
                 {"nan_weight", NULL},
                 {"image_not_multiple", NULL},
                 {"config_not_utf8", NULL},
                 {"missing_tensor", "is missing"},
                 {"wrong_shape", "expected shape"},
                 {"wrong_dtype_i32", "I32"},
                 {"pos_embed_not_square", "position_embeddings"},
                 {"heads_0", "num_attention_heads"},
                 {"heads_3", "3 heads"},
                 {"patch_0", "patch_size"},
                 {"patch_negative", "patch_size"},
                 {"layers_1e9", "num_hidden_layers"},
                 {"layers_negative", "num_hidden_layers"},
                 {"hidden_2e31", "hidden_size"},
                 {"eps_string", "layer_norm_eps"},
                 {"eps_negative", "layer_norm_eps"},
                 {"act_unknown", "swishy"},
                 {"config_truncated", "config.json"},
                 {"config_depth_bomb", "config.json"}};
    char path[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_model *model;
        snprintf(path, sizeof path, ERRORS "%s", cases[i].folder);
        vit_status status = vit_model_open(&model, path, NULL, NULL, &error);
        if (!cases[i].mention) {
            if (!CHECK_STATUS(VIT_OK, status))
                printf("  %s: %s\n", path, error.text);
        } else if (CHECK(status != VIT_OK && model == NULL)) {
            CHECK_MENTIONS(error.text, cases[i].mention);
            CHECK_MENTIONS(error.text, cases[i].folder);
        } else {
            printf("  %s\n", path);
        }
        vit_model_close(model);
    }
    vit_model *model;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, ERRORS "nan_weight", NULL, NULL, &error));
    CHECK(vit_model_warning_count(model) == 2);
    CHECK_MENTIONS(vit_model_warning(model, 0), "no preprocessor_config.json");
    CHECK_MENTIONS(vit_model_warning(model, 1), "NaN");
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, vit_model_open(&model, ERRORS "unexpected_tensor", NULL, NULL, &error));
    int unused = 0;
    for (int i = 0; i < vit_model_tensor_count(model); i++)
        unused += !vit_model_tensor(model, i)->used;
    CHECK(unused == 1);
    vit_model_close(model);
}

static void test_wrong_places(void) {
    vit_model *model;
    CHECK_STATUS(VIT_ERR_IO, vit_model_open(&model, "no/such/model", NULL, NULL, &error));
    CHECK_MENTIONS(error.text, "no/such/model");
    CHECK_STATUS(VIT_ERR_IO, vit_model_open(&model, "tests/unit", NULL, NULL, &error));
    CHECK_MENTIONS(error.text, "model.safetensors");
    CHECK_STATUS(VIT_ERR_FORMAT, vit_model_open(&model, "tests/unit/test_model.c", NULL, NULL, &error));
    CHECK_STATUS(VIT_ERR_IO, vit_model_open(&model, FORWARD "timm_cls", "no/such/config.json", NULL, &error));
    CHECK_STATUS(VIT_ERR_CONFIG,
                 vit_model_open(&model, FORWARD "timm_cls", FORWARD "hf_vit/preprocessor_config.json", NULL, &error));
    CHECK_MENTIONS(error.text, "heads");
}

/* A loader with these texts as config.json and preprocessor_config.json (NULL: none), and the weights of a case. */
static vit_status load_with(const char *folder, const char *config, const char *preprocessor, vit_model **model) {
    vit_allocator allocator = vit_default_options().allocator;
    vit_buffer weights = {.allocator = &allocator};
    char path[256];
    snprintf(path, sizeof path, FORWARD "%s/model.safetensors", folder);
    *model = NULL;
    vit_loader *loader;
    CHECK_STATUS(VIT_OK, vit_read_file(&weights, path, 1 << 24, &error));
    CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "weights", NULL, &error));
    vit_status status = VIT_OK;
    if (config)
        status = vit_loader_config(loader, "config.json", config, strlen(config), &error);
    if (status == VIT_OK && preprocessor)
        status = vit_loader_config(loader, "preprocessor", preprocessor, strlen(preprocessor), &error);
    if (status == VIT_OK)
        status = vit_loader_push(loader, weights.data, weights.size, &error);
    if (status == VIT_OK)
        status = vit_loader_finish(loader, model, &error);
    vit_loader_close(loader);
    vit_buffer_release(&weights);
    return status;
}

#define TIMM_BEGIN "{\"architecture\":\"vit_tiny_patch16_224\",\"global_pool\":\"token\","
#define TIMM_SIZE "\"model_args\":{\"img_size\":32}"
#define HF_CONFIG                                                                                   \
    "{\"model_type\":\"vit\",\"hidden_size\":36,\"num_hidden_layers\":2,\"num_attention_heads\":3," \
    "\"intermediate_size\":80,\"image_size\":32,\"patch_size\":8}"
#define PREPROCESSOR(rest) "{\"image_processor_type\":\"ViTImageProcessor\"," rest "}"

static void test_odd_configurations(void) {
    static const struct {
        const char *folder, *config, *preprocessor, *mention; /* mention NULL: must load */
    } cases[] = {
        {"timm_cls", TIMM_BEGIN TIMM_SIZE "}", NULL, NULL},
        {"timm_cls", TIMM_BEGIN "\"model_args\":[null]}", NULL, "model_args"},
        {"timm_cls", TIMM_BEGIN "\"model_args\":\"x\"}", NULL, "model_args"},
        {"timm_cls", TIMM_BEGIN "\"pretrained_cfg\":[1,2]," TIMM_SIZE "}", NULL, "pretrained_cfg"},
        {"timm_cls", TIMM_BEGIN "\"model_args\":{\"img_size\":32,\"init_values\":1e-5}}", NULL, "ls1.gamma"},
        {"timm_cls", TIMM_BEGIN "\"model_args\":{\"img_size\":32,\"in_chans\":1}}", NULL, "in_chans"},
        {"timm_cls", TIMM_BEGIN "\"pretrained_cfg\":{\"input_size\":[3,4,4]}," TIMM_SIZE "}", NULL, "4x4"},
        {"timm_cls", TIMM_BEGIN "\"pretrained_cfg\":{\"std\":[0.5,0,0.5]}," TIMM_SIZE "}", NULL, "deviation"},
        {"timm_cls", TIMM_BEGIN "\"pretrained_cfg\":{\"crop_pct\":1.5}," TIMM_SIZE "}", NULL, "crop_pct"},
        {"timm_cls", "{\"architecture\":\"resnet50\"}", NULL, "resnet50"},
        {"timm_cls", "[]", NULL, "object"},
        {"timm_cls", "{}", NULL, "not a model configuration"},
        {"timm_cls", NULL, NULL, "heads"},
        {"hf_vit", HF_CONFIG, NULL, NULL},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"height\":48,\"width\":40}"), NULL},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"shortest_edge\":40},\"do_center_crop\":true,\"crop_size\":32"),
         NULL},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"shortest_edge\":20},\"do_center_crop\":true,\"crop_size\":32"),
         "crop_size"},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"longest_edge\":32}"), "longest_edge"},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"shortest_edge\":32}"), "shortest_edge"},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":{\"height\":32}"), "height and width"},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":65535"), "65535x65535"},
        {"hf_vit", HF_CONFIG, PREPROCESSOR("\"size\":32,\"do_resize\":false"), "do_resize"},
        {"hf_vit", HF_CONFIG,
         PREPROCESSOR("\"size\":{\"height\":40,\"width\":50},\"do_center_crop\":true,\"crop_size\":32"),
         "do_center_crop"},
        {"hf_vit", "{\"model_type\":\"swin\"}", NULL, "swin"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_model *model;
        vit_status status = load_with(cases[i].folder, cases[i].config, cases[i].preprocessor, &model);
        if (!cases[i].mention && !CHECK_STATUS(VIT_OK, status))
            printf("  %s: %s\n", cases[i].config, error.text);
        else if (cases[i].mention && CHECK(status != VIT_OK))
            CHECK_MENTIONS(error.text, cases[i].mention);
        else if (cases[i].mention)
            printf("  %s %s\n", cases[i].config, cases[i].preprocessor);
        vit_model_close(model);
    }

    vit_model *model;
    CHECK_STATUS(VIT_OK, load_with("hf_vit", HF_CONFIG, cases[15].preprocessor, &model));
    const vit_preprocess *p = &vit_model_config(model)->preprocess;
    CHECK(p->crop == VIT_CROP_SHORT_FLOOR && p->height == 32 && p->width == 32 && floor(32 / p->crop_pct) == 40);
    vit_model_close(model);
    CHECK_STATUS(VIT_OK,
                 load_with("timm_cls",
                           TIMM_BEGIN "\"label_names\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]," TIMM_SIZE "}",
                           NULL, &model));
    CHECK_STRING(vit_model_label(model, 6), "g");
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, load_with("timm_cls", TIMM_BEGIN "\"label_names\":[\"a\"]," TIMM_SIZE "}", NULL, &model));
    CHECK(vit_model_label(model, 0) == NULL && vit_model_warning_count(model) == 1);
    vit_model_close(model);
}

static void test_no_allocation_in_a_forward_pass(void) {
    struct counts counts = {0};
    vit_options options = counting_options(&counts);
    vit_model *model;
    vit_session *session;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, &options, &error));
    for (int threads = 1; threads <= 3; threads++) {
        vit_session_options sizes = {.height = 24, .width = 40, .batch = 2, .threads = threads, .capture_attention = 1};
        if (!CHECK_STATUS(VIT_OK, vit_session_open(&session, model, &sizes, &error)))
            continue;
        long before = counts.made;
        for (int i = 0; i < 3; i++)
            CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
        CHECK(counts.made == before);
        CHECK(vit_session_bytes(model, &sizes) == vit_session_get_info(session).bytes);
        vit_session_close(session);
    }
    vit_model_close(model);
    CHECK(counts.live == 0);
}

/* Each allocation of load, session, run and save fails once: an error comes back, nothing stays behind. */
static void test_every_allocation_fails_once(void) {
    long made = 1;
    for (long fail_at = 1; fail_at <= made; fail_at++) {
        struct counts counts = {.fail_at = fail_at};
        vit_options options = counting_options(&counts);
        vit_model *model;
        vit_session *session = NULL;
        vit_status status = vit_model_open(&model, FORWARD "hf_vit", NULL, &options, &error);
        if (status == VIT_OK)
            status = vit_session_open(&session, model, NULL, &error);
        if (status == VIT_OK)
            status = vit_model_save(model, "/dev/null.gguf", &(vit_save_options){.type = VIT_F32}, &error);
        CHECK(counts.made < fail_at || status != VIT_OK);
        vit_session_close(session);
        vit_model_close(model);
        CHECK(counts.live == 0);
        if (counts.made >= fail_at)
            made = fail_at + 1;
    }
    CHECK(made > 20);
}

static void test_fifty_loads_and_aborts(void) {
    struct counts counts = {0};
    vit_options options = counting_options(&counts);
    vit_allocator allocator = vit_default_options().allocator;
    vit_buffer weights = {.allocator = &allocator};
    CHECK_STATUS(VIT_OK, vit_read_file(&weights, FORWARD "timm_cls/model.safetensors", 1 << 24, &error));
    for (int i = 0; i < 50; i++) {
        vit_loader *loader;
        CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "aborted", &options, &error));
        vit_loader_push(loader, weights.data, weights.size * (size_t)i / 50, &error);
        vit_loader_close(loader);
        CHECK(counts.live == 0);
        vit_model *model;
        vit_session *session;
        CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, &options, &error));
        CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
        CHECK_STATUS(VIT_OK, vit_session_run(session, &error));
        vit_session_close(session);
        vit_model_close(model);
        CHECK(counts.live == 0);
    }
    vit_buffer_release(&weights);
}

static void open_both(vit_model *models[2], const char *path) {
    vit_options options = vit_default_options();
    for (int compute = VIT_COMPUTE_F32; compute <= VIT_COMPUTE_INT8; compute++) {
        options.compute = (vit_compute)compute;
        CHECK_STATUS(VIT_OK, vit_model_open(&models[compute], path, NULL, &options, &error));
    }
}

/* Names of tables of integers have a comma. */
static vit_compute computes(const char *kernels) {
    return strchr(kernels, ',') ? VIT_COMPUTE_INT8 : VIT_COMPUTE_F32;
}

static void test_bits_do_not_depend_on_threads_or_batch(void) {
    static const char *const cases[] = {"timm_cls", "timm_gap", "hf_vit"};
    char path[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vit_model *models[2]; /* by vit_compute */
        snprintf(path, sizeof path, FORWARD "%s", cases[i]);
        open_both(models, path);
        for (int table = 0; vit_kernels_name(table); table++) {
            const vit_model *model = models[computes(vit_kernels_name(table))];
            vit_session_options one = {.kernels = vit_kernels_name(table), .height = 40, .width = 24}, other = one;
            other.threads = 4;
            check_same_logits(model, one, 0, other, 0);
            other.batch = 3;
            check_same_logits(model, one, 0, other, 2);
            other.batch = 17;
            check_same_logits(model, one, 0, other, 9);
        }
        vit_model_close(models[0]);
        vit_model_close(models[1]);
    }
}

/* All tables compute the same network; scalar is the reference, and the first of integers that of the others. */
static void test_tables_agree(void) {
    vit_model *models[2];
    open_both(models, FORWARD "timm_cls");
    float *expected[2] = {run_logits(models[0], (vit_session_options){.kernels = "scalar"}, 3, 0)};
    for (int table = 0; vit_kernels_name(table); table++) {
        const char *const name = vit_kernels_name(table);
        const vit_compute compute = computes(name);
        float *found = run_logits(models[compute], (vit_session_options){.kernels = name}, 3, 0);
        for (int i = 0; i < 7; i++) {
            CHECK_CLOSE(found[i], expected[0][i], compute == VIT_COMPUTE_INT8 ? 0.1 : 2e-5);
            if (expected[compute] && !CHECK_CLOSE(found[i], expected[compute][i], 2e-5))
                puts(name);
        }
        if (expected[compute])
            free(found);
        else
            expected[compute] = found;
    }
    free(expected[0]);
    free(expected[1]);
    vit_session *session;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_open(&session, models[0], &(vit_session_options){.kernels = "z80"}, &error));
    CHECK_MENTIONS(error.text, "z80");
    vit_model_close(models[0]);
    vit_model_close(models[1]);
}

static void test_stages(void) {
    vit_model *model;
    vit_session *session;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, FORWARD "timm_cls", NULL, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_session_open(&session, model, NULL, &error));
    double flops = 0;
    int stages = vit_session_stage_count(session), ran = 0;
    CHECK(stages == 3 + 2 * 5 + 4);
    fill_input(vit_session_input(session, 0), 32, 32, 1);
    do {
        flops += vit_session_stage(session, ran++).flops;
    } while (vit_session_advance(session));
    CHECK(ran == stages && vit_session_advance(session) == 0);
    CHECK_CLOSE(flops, vit_model_flops(model, 32, 32), 1);
    CHECK_STRING(vit_session_stage(session, 0).name, "patch_embed");
    CHECK_STRING(vit_session_stage(session, 4).name, "attn.0");
    CHECK(vit_session_stage(session, 4).rank == 0 && vit_session_stage(session, -1).rank == 0);
    CHECK(vit_session_input(session, 1) == NULL && vit_session_logits(session, 1) == NULL);
    float features[36], mean[36], cls[36];
    CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_HEAD, features, &error));
    CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_CLASS, cls, &error));
    CHECK_STATUS(VIT_OK, vit_session_features(session, 0, VIT_FEATURE_MEAN, mean, &error));
    CHECK(memcmp(features, cls, sizeof cls) == 0 && memcmp(features, mean, sizeof mean) != 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_session_features(session, 1, VIT_FEATURE_HEAD, features, &error));
    vit_session_close(session);

    static const vit_session_options wrong[] = {{.height = 4, .width = 32},
                                                {.height = -8},
                                                {.batch = -1},
                                                {.threads = -1},
                                                {.height = 60000, .width = 60000},
                                                {.height = 70000, .width = 8},
                                                {.batch = 65537}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK(vit_session_open(&session, model, &wrong[i], &error) != VIT_OK && session == NULL);
        CHECK(vit_session_bytes(model, &wrong[i]) == 0);
    }
    vit_model_close(model);
}

static void test_top_classes(void) {
    const float logits[] = {1, 5, NAN, 5, -INFINITY, 2};
    vit_score top[8];
    CHECK(vit_top_classes(logits, 6, 8, 0, top) == 6);
    const int order[] = {1, 3, 5, 0, 4, 2};
    for (int i = 0; i < 6; i++)
        CHECK(top[i].index == order[i]);
    CHECK(vit_top_classes(logits, 6, 0, 0, top) == 0 && vit_top_classes(logits, 0, 3, 0, top) == 0);
    const float plain[] = {0, logf(3)};
    CHECK(vit_top_classes(plain, 2, 1, 0, top) == 1 && top[0].index == 1);
    CHECK_CLOSE(top[0].score, 0.75, 1e-6);
    float each[2];
    CHECK(vit_top_classes(plain, 2, 2, 1, top) == 2 && top[0].index == 1 && top[1].score == 0.5f);
    vit_probabilities(plain, 2, 1, each);
    CHECK_CLOSE(top[0].score, 0.75, 1e-6);
    CHECK(each[0] == 0.5f && each[1] == top[0].score);
    enum { MANY = 500 }; /* all orders of equals, any k: as sorted */
    float many[MANY];
    vit_score best[MANY];
    for (int i = 0; i < MANY; i++)
        many[i] = (float)(i * 7919 % 131);
    for (int k = 1; k <= MANY; k += 37) {
        CHECK(vit_top_classes(many, MANY, k, 0, best) == k);
        for (int i = 0; i < k; i++) {
            int better = 0;
            for (int j = 0; j < MANY; j++)
                better += many[j] > many[best[i].index] || (many[j] == many[best[i].index] && j < best[i].index);
            if (!CHECK(better == i))
                return;
        }
    }
}

TEST_MAIN(TEST(test_configuration), TEST(test_pieces), TEST(test_stages_while_loading), TEST(test_saving), TEST(test_broken_models),
          TEST(test_wrong_places), TEST(test_odd_configurations), TEST(test_no_allocation_in_a_forward_pass),
          TEST(test_every_allocation_fails_once), TEST(test_fifty_loads_and_aborts),
          TEST(test_bits_do_not_depend_on_threads_or_batch), TEST(test_tables_agree), TEST(test_stages),
          TEST(test_top_classes))
