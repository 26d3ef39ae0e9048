/* What files of vit_jax and big_vision mean, and what is said of those that are wrong. That they compute the right
 * numbers is checked against the goldens. The files are safetensors here: names and axes do not depend on the
 * container. */
#include "test.h"

#include <unistd.h>

enum { D = 12, H = 3, K = 4, F = 20, LAYERS = 2, CLASSES = 4, PATCH = 4, TOKENS = 1 + 3 * 3 };

static vit_error error;
static char path[64], config_path[64];

/* A change to the file: tensors whose name contains `without` are left out; `renamed` is called `as`; `wrong` gets a
 * shape with its first two dimensions exchanged. */
typedef struct change {
    const char *without, *renamed, *as, *wrong;
    int stacked;
} change;

static void add(vit_tensors_writer *writer, const change *change, const char *name, int rank, int64_t a, int64_t b,
                int64_t c, int64_t d) {
    static float values[4096];
    int64_t shape[] = {a, b, c, d};
    if (change->without && strstr(name, change->without))
        return;
    if (change->renamed && strcmp(name, change->renamed) == 0)
        name = change->as;
    if (change->wrong && strcmp(name, change->wrong) == 0) {
        shape[0] = b;
        shape[1] = a;
    }
    CHECK_STATUS(VIT_OK, vit_tensors_writer_add(writer, name, rank, shape, values, &error));
}

static void add_block(vit_tensors_writer *w, const change *change, const char *prefix, int layers) {
    static const char *const parts[] = {"query", "key", "value"};
    char name[120];
    const int64_t l = layers ? layers : 1;
    const int more = layers > 0;
#define ADD(text, rank, a, b, c)                                                                                       \
    do {                                                                                                               \
        snprintf(name, sizeof name, "%s%s", prefix, text);                                                             \
        if (more)                                                                                                      \
            add(w, change, name, rank + 1, l, a, b, c);                                                                \
        else                                                                                                           \
            add(w, change, name, rank, a, b, c, 0);                                                                    \
    } while (0)
    ADD("LayerNorm_0/scale", 1, D, 0, 0);
    ADD("LayerNorm_0/bias", 1, D, 0, 0);
    for (int i = 0; i < 3; i++) {
        char part[64];
        snprintf(part, sizeof part, "MultiHeadDotProductAttention_1/%s/kernel", parts[i]);
        ADD(part, 3, D, H, K);
        snprintf(part, sizeof part, "MultiHeadDotProductAttention_1/%s/bias", parts[i]);
        ADD(part, 2, H, K, 0);
    }
    ADD("MultiHeadDotProductAttention_1/out/kernel", 3, H, K, D);
    ADD("MultiHeadDotProductAttention_1/out/bias", 1, D, 0, 0);
    ADD("LayerNorm_2/scale", 1, D, 0, 0);
    ADD("LayerNorm_2/bias", 1, D, 0, 0);
    ADD("MlpBlock_3/Dense_0/kernel", 2, D, F, 0);
    ADD("MlpBlock_3/Dense_0/bias", 1, F, 0, 0);
    ADD("MlpBlock_3/Dense_1/kernel", 2, F, D, 0);
    ADD("MlpBlock_3/Dense_1/bias", 1, D, 0, 0);
#undef ADD
}

static void write_file(const change *change) {
    vit_tensors_writer *w;
    CHECK_STATUS(VIT_OK, vit_tensors_writer_open(&w, NULL, &error));
    add(w, change, "embedding/kernel", 4, PATCH, PATCH, 3, D);
    add(w, change, "embedding/bias", 1, D, 0, 0, 0);
    add(w, change, "cls", 3, 1, 1, D, 0);
    add(w, change, "Transformer/posembed_input/pos_embedding", 3, 1, TOKENS, D, 0);
    if (change->stacked)
        add_block(w, change, "Transformer/encoderblock/", change->stacked);
    for (int i = 0; i < LAYERS && !change->stacked; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "Transformer/encoderblock_%d/", i);
        add_block(w, change, prefix, 0);
    }
    add(w, change, "Transformer/encoder_norm/scale", 1, D, 0, 0, 0);
    add(w, change, "Transformer/encoder_norm/bias", 1, D, 0, 0, 0);
    add(w, change, "head/kernel", 2, D, CLASSES, 0, 0);
    add(w, change, "head/bias", 1, CLASSES, 0, 0, 0);
    CHECK_STATUS(VIT_OK, vit_tensors_writer_commit(w, path, &error));
    vit_tensors_writer_close(w);
}

static vit_status open_file(vit_model **out, const change *change, const char *config) {
    write_file(change);
    if (config) {
        FILE *file = fopen(config_path, "w");
        fputs(config, file);
        fclose(file);
    }
    vit_status status = vit_model_open(out, path, config ? config_path : NULL, NULL, &error);
    unlink(path);
    unlink(config_path);
    return status;
}

static void test_rules(void) {
    static const change changes[] = {{0}, {.stacked = LAYERS}};
    vit_model *model;
    for (int i = 0; i < 2; i++) {
        if (!CHECK_STATUS(VIT_OK, open_file(&model, &changes[i], NULL)))
            continue;
        const vit_config *c = vit_model_config(model);
        CHECK(c->layers == LAYERS && c->width == D && c->heads == H && c->mlp_width == F && c->classes == CLASSES);
        CHECK(c->patch_height == PATCH && c->patch_width == PATCH && c->qkv_bias);
        CHECK(c->activation == VIT_GELU_TANH && c->norm_eps == 1e-6f && c->pos_resample == VIT_RESAMPLE_JAX);
        CHECK(c->preprocess.filter == VIT_FILTER_TF_BILINEAR && c->preprocess.crop == VIT_CROP_SQUASH);
        CHECK(c->preprocess.mean[0] == 0.5f && c->preprocess.std[2] == 0.5f);
        CHECK(c->pool == VIT_POOL_CLASS && c->class_token && c->pos_class && c->image_height == 3 * PATCH);
        vit_model_close(model);
    }
}

/* timm reads the same file with other rules; its config.json says that they are meant. */
static void test_timm_rules(void) {
    vit_model *model;
    const change none = {0};
    const char *config = "{\"architecture\":\"vit_tiny_patch16_224\",\"num_classes\":4,\"model_args\":{\"img_size\":12,"
                         "\"patch_size\":4,\"embed_dim\":12,\"depth\":2,\"num_heads\":3}}";
    if (CHECK_STATUS(VIT_OK, open_file(&model, &none, config))) {
        const vit_config *c = vit_model_config(model);
        CHECK(c->activation == VIT_GELU_ERF && c->norm_eps == 1e-6f && c->pos_resample == VIT_RESAMPLE_BILINEAR);
        CHECK(c->preprocess.filter == VIT_FILTER_BICUBIC && c->preprocess.crop == VIT_CROP_CENTER);
        vit_model_close(model);
    }
}

static void test_errors(void) {
    static const struct {
        change change;
        const char *config;
        vit_status status;
        const char *mentions[3];
    } wrong[] = {
        {{.without = "encoderblock_1/MultiHeadDotProductAttention_1/value/kernel"},
         NULL,
         VIT_ERR_MISSING_TENSOR,
         {"Transformer/encoderblock_1/MultiHeadDotProductAttention_1/value/kernel", "blocks.1.attn.qkv.weight"}},
        {{.without = "embedding/bias"}, NULL, VIT_ERR_MISSING_TENSOR, {"\"embedding/bias\"", "patch_embed.proj.bias"}},
        {{.wrong = "Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel"},
         NULL,
         VIT_ERR_SHAPE,
         {"MlpBlock_3/Dense_0/kernel", "[12,20]", "[20,12]"}},
        {{.wrong = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/out/kernel"}, NULL, VIT_OK, {""}},
        {{.wrong = "Transformer/encoderblock_1/MultiHeadDotProductAttention_1/key/kernel"},
         NULL,
         VIT_ERR_SHAPE,
         {"MultiHeadDotProductAttention_1/key/kernel", "[3,12,4]"}},
        {{.stacked = 3, .wrong = "Transformer/encoderblock/LayerNorm_0/scale"},
         NULL,
         VIT_ERR_SHAPE,
         {"encoderblock/LayerNorm_0/scale", "[12] for each layer", "[12,3]"}},
        {{.renamed = "Transformer/encoderblock_0/LayerNorm_2/bias",
          .as = "Transformer/encoderblock_0/LayerNorm_1/scale"},
         NULL,
         VIT_ERR_FORMAT,
         {"another name"}},
        {{0}, "{\"heads\":4}", VIT_ERR_CONFIG, {"4", "3"}},
        {{0}, "{\"heads\":3,\"depth\":3}", VIT_ERR_MISSING_TENSOR, {"Transformer/encoderblock_2/"}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        vit_model *model;
        CHECK_STATUS(wrong[i].status, open_file(&model, &wrong[i].change, wrong[i].config));
        CHECK((model != NULL) == (wrong[i].status == VIT_OK));
        for (int k = 0; k < 3 && wrong[i].mentions[k]; k++)
            if (*wrong[i].mentions[k])
                CHECK_MENTIONS(error.text, wrong[i].mentions[k]);
        vit_model_close(model);
    }
}

int main(int count, char **arguments) {
    static const test_case cases[] = {TEST(test_rules), TEST(test_timm_rules), TEST(test_errors)};
    snprintf(path, sizeof path, "/tmp/vit_test_import_%ld.safetensors", (long)getpid());
    snprintf(config_path, sizeof config_path, "/tmp/vit_test_import_%ld.json", (long)getpid());
    return test_main(count, arguments, cases, (int)(sizeof cases / sizeof *cases));
}
