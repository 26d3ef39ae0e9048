/* Memory that cannot be had: of everything that people do, each allocation fails once. Then the call says so, and all that it
 * had is given back; the same call succeeds afterwards. */
#include "test.h"

#include "../../src/vit_train.h"

#include <unistd.h>

#define CLASSIFIER "tests/golden/deit/hf_encoder"
#define PICTURE CLASSIFIER "/picture.png"
#define TIMM "tests/golden/forward/timm_cls"

static vit_error error;

/* ---- An allocator whose call number `fails` fails ---- */

typedef struct heap {
    long calls, fails, blocks;
} heap;

static heap memory;

static void *take(void *context, size_t bytes) {
    heap *h = context;
    void *block = h->calls++ == h->fails ? NULL : malloc(bytes);
    h->blocks += block != NULL;
    return block;
}

static void give(void *context, void *block) {
    ((heap *)context)->blocks--;
    free(block);
}

static vit_options options_with(long fails) {
    vit_options options = vit_default_options();
    memory = (heap){.fails = fails};
    options.allocator = (vit_allocator){take, give, &memory};
    return options;
}

typedef vit_status (*deed)(const vit_options *options);

/* How many allocations the deed makes: as many times it was done with one of them failing. */
static void walk(const char *what, deed deed) {
    for (long n = 0;; n++) {
        const vit_options options = options_with(n);
        error = (vit_error){0};
        const vit_status status = deed(&options);
        int good = CHECK(memory.blocks == 0);
        if (memory.calls <= n) { /* none failed */
            if (CHECK_STATUS(VIT_OK, status) && good)
                printf("%s: %ld allocations\n", what, n);
            else
                printf("%s: %s\n", what, error.text);
            return;
        }
        good &= CHECK_STATUS(VIT_ERR_OUT_OF_MEMORY, status) && CHECK_MENTIONS(error.text, "memory");
        if (!good) {
            printf("%s: allocation %ld, %ld blocks are held: %s\n", what, n, memory.blocks, error.text);
            return;
        }
    }
}

static vit_status first(vit_status a, vit_status b) {
    return a != VIT_OK ? a : b;
}

/* ---- Loading ---- */

static vit_status load(const char *path, const char *config, const vit_options *options) {
    vit_model *model;
    const vit_status status = vit_model_open(&model, path, config, options, &error);
    CHECK((status == VIT_OK) == (model != NULL));
    vit_model_close(model);
    return status;
}

static vit_status load_timm(const vit_options *options) { return load(TIMM, NULL, options); }
static vit_status load_hybrid(const vit_options *options) { return load("tests/golden/hybrid/timm_stem_only", NULL, options); }
static vit_status load_npz(const vit_options *options) {
    return load("tests/golden/bit/big_vision_npz", "tests/golden/bit/big_vision_npz/case.json", options);
}
static vit_status load_integers(const vit_options *options) {
    vit_options integers = *options;
    integers.compute = VIT_COMPUTE_INT8;
    return load(TIMM, NULL, &integers);
}

static void test_load(void) {
    walk("safetensors", load_timm);
    walk("int8", load_integers);
    walk("hybrid", load_hybrid);
    walk("npz", load_npz);
}

/* ---- Pictures and passes ---- */

static vit_status classify_with(const vit_options *options, int capture) {
    vit_model *model = NULL;
    vit_session *session = NULL;
    vit_attention *attention = NULL;
    vit_image image = {0};
    vit_status status = vit_model_open(&model, CLASSIFIER, NULL, options, &error);
    const vit_session_options chosen = {.threads = 2, .batch = 2, .capture_attention = capture};
    if (status == VIT_OK)
        status = vit_session_open(&session, model, &chosen, &error);
    if (status == VIT_OK)
        status = vit_image_open(&image, PICTURE, options, &error);
    if (status == VIT_OK) {
        const vit_preprocess *rules = &vit_model_config(model)->preprocess;
        status = vit_image_preprocess(&image, rules, rules->height, rules->width, vit_session_input(session, 0), options, &error);
    }
    if (status == VIT_OK && capture) {
        const vit_attention_options look = {.method = VIT_ATTENTION_ROLLOUT, .layer = -1};
        status = vit_attention_open(&attention, session, &look, &error);
        vit_session_restart(session);
        while (status == VIT_OK && vit_session_advance(session))
            vit_attention_follow(attention);
    } else if (status == VIT_OK) {
        status = vit_session_run(session, &error);
    }
    vit_attention_close(attention);
    vit_image_close(&image);
    vit_session_close(session);
    vit_model_close(model);
    return status;
}

static vit_status classify(const vit_options *options) { return classify_with(options, 0); }
static vit_status look(const vit_options *options) { return classify_with(options, 1); }

static void test_classify(void) {
    walk("classify", classify);
    walk("attention", look);
}

static vit_status analyse(const vit_options *options) {
    float components[3 * 16 * 16 * 3], strengths[3];
    vit_model *model = NULL;
    vit_session *session = NULL;
    vit_status status = vit_model_open(&model, TIMM, NULL, options, &error);
    int shape[3];
    if (status == VIT_OK)
        vit_filter_shape(model, shape);
    if (status == VIT_OK && CHECK(shape[1] <= 16 && shape[2] <= 16))
        status = vit_filter_components(model, 3, components, strengths, NULL, &error);
    if (status == VIT_OK)
        status = vit_session_open(&session, model, NULL, &error);
    if (status == VIT_OK) {
        const vit_session_info info = vit_session_get_info(session);
        const size_t patches = (size_t)info.grid_height * (size_t)info.grid_width;
        float *cosines = malloc(patches * patches * sizeof *cosines);
        status = vit_position_similarity(session, 0, (int)patches, cosines, &error);
        free(cosines);
    }
    vit_session_close(session);
    vit_model_close(model);
    return status;
}

static void test_analyse(void) {
    walk("inspect", analyse);
}

/* ---- Few-shot ---- */

static vit_status few_shot(const vit_options *options) {
    enum { WIDTH = 5 };
    vit_probe *probe = NULL, *again = NULL;
    void *bytes = NULL;
    size_t size;
    float x[WIDTH], scores[3];
    vit_trial_result trial;
    vit_status status = vit_probe_open(&probe, WIDTH, "backbone", options, &error);
    for (int i = 0; i < 9 && status == VIT_OK; i++) {
        const char *const labels[] = {"a", "b", "c"};
        for (int j = 0; j < WIDTH; j++)
            x[j] = sinf((float)(i * 7 + j * 3));
        status = vit_probe_add(probe, labels[i % 3], x, NULL, &error);
    }
    if (status == VIT_OK)
        status = vit_probe_fit(probe, 0, &error);
    if (status == VIT_OK)
        status = first(vit_probe_score(probe, x, scores, &error), vit_probe_vote(probe, x, 2, scores, &error));
    if (status == VIT_OK)
        status = vit_probe_try(probe, 1, 0, 2, 3, 0, NULL, &trial, &error);
    if (status == VIT_OK)
        status = vit_probe_encode(probe, &bytes, &size, &error);
    if (status == VIT_OK)
        status = vit_probe_decode(&again, "again", bytes, size, options, &error);
    vit_release_bytes(options, bytes);
    vit_probe_close(again);
    vit_probe_close(probe);
    return status;
}

static void test_few_shot(void) {
    walk("few-shot", few_shot);
}

/* ---- Saving ---- */

static vit_status convert_to(const char *ending, vit_dtype type, const vit_options *options) {
    char path[64], part[80];
    vit_model *model;
    const vit_save_options how = {.type = type};
    snprintf(path, sizeof path, "build/test-faults-%ld.%s", (long)getpid(), ending);
    snprintf(part, sizeof part, "%s.part%ld", path, (long)getpid());
    vit_status status = vit_model_open(&model, TIMM, NULL, options, &error);
    if (status == VIT_OK)
        status = vit_model_save(model, path, &how, &error);
    CHECK((access(path, F_OK) == 0) == (status == VIT_OK) && access(part, F_OK) != 0);
    vit_model_close(model);
    if (status == VIT_OK)
        status = load(path, NULL, options);
    remove(path);
    return status;
}

static vit_status convert_gguf(const vit_options *options) { return convert_to("gguf", VIT_Q8_0, options); }
static vit_status convert_safetensors(const vit_options *options) { return convert_to("safetensors", VIT_F16, options); }

static void test_convert(void) {
    walk("convert to GGUF", convert_gguf);
    walk("convert to safetensors", convert_safetensors);
}

/* ---- Masked prediction, training ---- */

static vit_status fill(const vit_options *options) {
    vit_model *model = NULL;
    vit_session *session = NULL;
    vit_status status = vit_model_open(&model, "tests/golden/mae/hf_mae", NULL, options, &error);
    const vit_session_options masked = {.masked = 1};
    if (status == VIT_OK)
        status = vit_session_open(&session, model, &masked, &error);
    if (status == VIT_OK) {
        const vit_session_info info = vit_session_get_info(session);
        const int patches = info.grid_height * info.grid_width;
        uint8_t *hidden = calloc((size_t)patches, 1);
        double loss;
        hidden[0] = 1;
        vit_image picture = {0};
        uint8_t *rgb = calloc((size_t)info.width * (size_t)info.height, 3);
        status = vit_session_hide(session, hidden, &error);
        if (status == VIT_OK)
            status = vit_session_run(session, &error);
        if (status == VIT_OK)
            status = vit_session_masked_loss(session, 0, &loss, &error);
        if (status == VIT_OK)
            status = vit_image_from_pixels(&picture, rgb, info.width, info.height, 3, options, &error);
        if (status == VIT_OK)
            status = vit_session_fill(session, 0, 1, &picture, &error);
        vit_image_close(&picture);
        free(hidden);
        free(rgb);
    }
    vit_session_close(session);
    vit_model_close(model);
    return status;
}

static void test_fill(void) {
    walk("masked prediction", fill);
}

static vit_status train(const vit_options *options) {
    vit_config config;
    vit_model *model = NULL, *adapted = NULL, *snapshot = NULL;
    vit_trainer *trainer = NULL;
    vit_dataset *data = NULL;
    vit_feed *feed = NULL;
    vit_train_options how = vit_default_train_options();
    vit_train_result result;
    const char *text;
    char path[64];
    int bad;
    snprintf(path, sizeof path, "build/test-faults-%ld.state", (long)getpid());
    how.batch = 2;
    how.threads = 2;
    how.polyak = 0.5;
    how.updates = 2;
    CHECK_STATUS(VIT_OK, vit_architecture_config(&config, "vit_tiny_patch16_224", &error));
    config.layers = 1, config.width = 12, config.heads = 1, config.mlp_width = 8, config.classes = 3;
    config.image_height = config.image_width = config.preprocess.height = config.preprocess.width = 32;
    vit_status status = vit_model_init(&model, &config, 1, options, &error);
    if (status == VIT_OK)
        status = vit_model_adapt(&adapted, model, 2, 48, 48, NULL, &error);
    if (status == VIT_OK)
        status = vit_dataset_open(&data, (const char *[]){"build/test-faults-data"}, 1, options, &error);
    if (status == VIT_OK)
        status = vit_trainer_open(&trainer, adapted, &how, &error);
    if (status == VIT_OK) {
        const vit_feed_options feeding = {.augment = vit_default_augment(), .preprocess = config.preprocess, .height = 48,
                                          .width = 48, .batch = 2, .classes = 2};
        status = vit_feed_open(&feed, data, &feeding, &error);
    }
    if (status == VIT_OK)
        status = vit_feed_next(feed, trainer, &bad, &text, &error);
    if (status == VIT_OK)
        status = vit_trainer_step(trainer, &result, &error);
    if (status == VIT_OK)
        status = vit_trainer_save(trainer, path, NULL, &error);
    if (status == VIT_OK)
        status = vit_trainer_load(trainer, path, NULL, &error);
    if (status == VIT_OK)
        status = vit_trainer_snapshot(&snapshot, trainer, &error);
    vit_model_close(snapshot);
    vit_feed_close(feed);
    vit_dataset_close(data);
    vit_trainer_close(trainer);
    vit_model_close(adapted);
    vit_model_close(model);
    remove(path);
    return status;
}

static void test_train(void) {
    CHECK(system("rm -rf build/test-faults-data && mkdir -p build/test-faults-data/a build/test-faults-data/b && "
                 "cp " PICTURE " build/test-faults-data/a/1.png && cp " PICTURE " build/test-faults-data/b/2.png") == 0);
    walk("train", train);
    CHECK(system("rm -rf build/test-faults-data") == 0);
}

TEST_MAIN(TEST(test_load), TEST(test_classify), TEST(test_analyse), TEST(test_few_shot), TEST(test_convert),
          TEST(test_fill), TEST(test_train))
