/* The golden kinds with a model: forward passes of small models, and the real one on photographs. */
#include "golden.h"

#include "../src/format/json.h"
#include "../src/model/posemb.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* ---- forward/... and others: every stage of NAME.x through the model, as `vit trace`; picture.x is made of
 * picture.png where there is one ---- */

static int find_stage(const golden *g, const char *prefix, const char *stage) {
    char name[300];
    snprintf(name, sizeof name, "%s%s", prefix, stage);
    return golden_find(g, name);
}

static void store(golden *g, const char *prefix, const vit_session *session, const vit_stage_info *stage) {
    vit_error error;
    int64_t shape[4];
    int index = find_stage(g, prefix, stage->name);
    for (int i = 0; i < stage->rank; i++)
        shape[i] = stage->shape[i];
    if (stage->rank && index >= 0)
        must(vit_session_read(session, golden_result(g, index, "F32", stage->rank, shape), &error), &error);
    index = find_stage(g, prefix, "probs");
    if (strcmp(stage->name, "logits") == 0 && index >= 0) {
        float *probs = golden_result(g, index, "F32", stage->rank, shape);
        must(vit_session_read(session, probs, &error), &error);
        for (int64_t b = 0; b < shape[0]; b++)
            vit_probabilities(probs + b * shape[1], (int)shape[1], 0, probs + b * shape[1]);
    }
}

static void forward(golden *g, const vit_model *model, const char *prefix, const vit_tensor_info *x,
                    const float *pixels) {
    vit_error error;
    vit_session *session;
    vit_session_options options = {.batch = (int)x->shape[0], .height = (int)x->shape[1], .width = (int)x->shape[2],
                                   .capture_attention = 1};
    must(vit_session_open(&session, model, &options, &error), &error);
    size_t image = (size_t)(options.height * options.width) * 3;
    for (int b = 0; b < options.batch; b++)
        memcpy(vit_session_input(session, b), pixels + (size_t)b * image, image * sizeof *pixels);
    vit_session_restart(session);
    for (int i = 0, more = 1; more; i++) {
        more = vit_session_advance(session);
        vit_stage_info stage = vit_session_stage(session, i);
        store(g, prefix, session, &stage);
    }
    vit_session_close(session);
}

/* picture.png as the model preprocesses it: [1,height,width,3], the caller's */
static float *preprocess_picture(golden *g, const vit_model *model, const vit_tensor_info *x) {
    vit_error error;
    const vit_preprocess *rules = &vit_model_config(model)->preprocess;
    const size_t bytes = (size_t)(rules->height * rules->width) * 3 * sizeof(float);
    float *pixels = must_alloc(bytes);
    vit_image image = golden_picture(g, "picture.png");
    if (x->shape[1] != rules->height || x->shape[2] != rules->width)
        die("%s: the picture becomes %d x %d, expected %d x %d", g->folder, rules->height, rules->width,
            (int)x->shape[1], (int)x->shape[2]);
    must(vit_image_preprocess(&image, rules, rules->height, rules->width, pixels, &g->options, &error), &error);
    memcpy(golden_result(g, golden_find(g, "picture.x"), "F32", 4, x->shape), pixels, bytes);
    vit_image_close(&image);
    return pixels;
}

void golden_forward(golden *g) {
    vit_error error;
    vit_model *model;
    vit_tensors *input;
    const char *config = path_in(g->folder, "case.json");
    if (!vit_file_exists(config))
        config = NULL;
    const char *weights = config ? path_in(g->folder, "model.safetensors") : g->folder;
    if (!vit_file_exists(path_in(g->folder, "model.safetensors")))
        weights = path_in(g->folder, "model.npz");
    must(vit_model_open(&model, weights, config, &g->options, &error), &error);
    must(vit_tensors_read(&input, path_in(g->folder, "input.safetensors"), &g->options, &error), &error);
    for (int i = 0; i < vit_tensors_count(input); i++) {
        const vit_tensor_info *x = vit_tensors_info(input, i);
        size_t length = strlen(x->name);
        char prefix[256];
        if (x->rank != 4 || x->shape[3] != 3 || length >= sizeof prefix || x->name[length - 1] != 'x')
            die("%s: %s is no pixels [B,H,W,3]", g->folder, x->name);
        snprintf(prefix, sizeof prefix, "%.*s", (int)length - 1, x->name);
        float *picture = NULL;
        if (strcmp(prefix, "picture.") == 0)
            picture = preprocess_picture(g, model, x);
        forward(g, model, prefix, x, picture ? picture : vit_tensors_data(input, i));
        free(picture);
    }
    vit_tensors_close(input);
    vit_model_close(model);
}

/* ---- real/...: the ImageNet ViT-Ti/16 ---- */

const char *data_path(const golden *g, const char *file) {
    const char *data = getenv("VIT_DATA"), *beside = path_in(g->folder, "../../../data");
    if (data && *data)
        return path_in(path_in(data, "data"), file);
    FILE *config = fopen(path_in(beside, "vit_tiny_patch16_224/config.json"), "rb");
    if (!config)
        return path_in("../shared/data", file);
    fclose(config);
    return path_in(beside, file);
}

vit_model *open_real_model(const golden *g) {
    vit_error error;
    vit_model *model;
    must(vit_model_open(&model, data_path(g, "vit_tiny_patch16_224"), NULL, &g->options, &error), &error);
    return model;
}

vit_session *open_session(const vit_model *model, int height, int width) {
    vit_error error;
    vit_session *session;
    vit_session_options options = {.height = height, .width = width};
    must(vit_session_open(&session, model, &options, &error), &error);
    return session;
}

static const float *run(const golden *g, const vit_model *model, vit_session *session, const vit_image *image,
                        double crop_pct) {
    vit_error error;
    vit_session_info info = vit_session_get_info(session);
    vit_preprocess rules = vit_model_config(model)->preprocess;
    rules.crop_pct = crop_pct;
    must(vit_image_preprocess(image, &rules, info.height, info.width, vit_session_input(session, 0), &g->options,
                              &error),
         &error);
    must(vit_session_run(session, &error), &error);
    return vit_session_logits(session, 0);
}

/* Stores what of PHOTO.(logits|logits_f64|features) the case wants. */
static void store_photo(golden *g, const vit_model *model, vit_session *session, const char *photo) {
    static const char *const suffixes[] = {"logits", "logits_f64", "features"};
    const vit_config *config = vit_model_config(model);
    for (int s = 0; s < 3; s++) {
        char name[64];
        vit_error error;
        snprintf(name, sizeof name, "%s.%s", photo, suffixes[s]);
        int index = golden_find(g, name), is_features = s == 2;
        if (index < 0)
            continue;
        int64_t count = is_features ? config->width : config->classes;
        float *out = golden_result(g, index, "F32", 1, &count);
        if (is_features)
            must(vit_session_features(session, 0, VIT_FEATURE_HEAD, out, &error), &error);
        else
            memcpy(out, vit_session_logits(session, 0), (size_t)count * sizeof *out);
    }
}

/* real/pixels_...: PHOTO.png holds the very pixels, so nothing is resized. */
void golden_real_pixels(golden *g) {
    vit_model *model = open_real_model(g);
    DIR *folder = opendir(g->folder);
    if (!folder)
        die("%s: cannot be listed", g->folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char photo[32];
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".png") != 0 || ending - entry->d_name >= (int)sizeof photo)
            continue;
        snprintf(photo, sizeof photo, "%.*s", (int)(ending - entry->d_name), entry->d_name);
        vit_image image = golden_picture(g, entry->d_name);
        vit_session *session = open_session(model, image.height, image.width);
        run(g, model, session, &image, 1);
        store_photo(g, model, session, photo);
        vit_session_close(session);
        vit_image_close(&image);
    }
    closedir(folder);
    vit_model_close(model);
}

vit_image open_photo(const golden *g, const char *start) {
    vit_error error;
    vit_image image = {0};
    const char *folder_path = data_path(g, "imagenet_50");
    DIR *folder = opendir(folder_path);
    if (!folder)
        die("%s: cannot be listed", folder_path);
    for (struct dirent *entry; !image.rgb && (entry = readdir(folder));)
        if (strncmp(entry->d_name, start, strlen(start)) == 0)
            must(vit_image_open(&image, path_in(folder_path, entry->d_name), &g->options, &error), &error);
    closedir(folder);
    if (!image.rgb)
        die("%s: no photo starts with %s", folder_path, start);
    return image;
}

/* The stored position embeddings on a 24 x 24 grid, their first 16 channels. */
static void store_posemb(golden *g, int index) {
    enum { OLD = 14, NEW = 24, KEPT = 16 };
    tensors file;
    tensors_open(&file, path_in(data_path(g, "vit_tiny_patch16_224"), "model.safetensors"), g);
    const vit_tensor_info *table = tensors_find(&file, "pos_embed");
    if (!table || table->dtype != VIT_F32 || table->rank != 3 || table->shape[1] != 1 + OLD * OLD)
        die("the model has no pos_embed [1,%d,D] in f32", 1 + OLD * OLD);
    size_t width = (size_t)table->shape[2];
    float *rows = must_alloc(table->bytes), *grid = must_alloc(NEW * NEW * width * sizeof *grid);
    memcpy(rows, tensors_data(&file, table), table->bytes);
    vit_interpolation how = vit_interpolation_of(VIT_RESAMPLE_TIMM);
    void *room = must_alloc(vit_posemb_bytes(OLD, OLD, (int)width, how, NEW, NEW));
    vit_posemb_interpolate(rows + width, OLD, OLD, (int)width, how, NEW, NEW, grid, room);
    float *out = golden_result(g, index, "F32", 3, (int64_t[]){1, 1 + NEW * NEW, KEPT});
    memcpy(out, rows, KEPT * sizeof *out);
    for (size_t i = 0; i < NEW * NEW; i++)
        memcpy(out + KEPT * (i + 1), grid + width * i, KEPT * sizeof *out);
    free(room);
    free(rows);
    free(grid);
    tensors_close(&file);
}

/* real/logits_50: all photos of files.json at the model's own size, one row each. */
static void all_photos(golden *g, const vit_model *model) {
    enum { TOP = 5 };
    vit_error error;
    const vit_config *config = vit_model_config(model);
    vit_buffer text = {.allocator = &g->options.allocator};
    vit_json_document list;
    const char *path = path_in(g->folder, "files.json");
    must(vit_read_file(&text, path, g->options.limits.config_bytes, &error), &error);
    must(vit_json_parse(&list, path, text.data, text.size, &g->options.limits, &g->options.allocator, &error), &error);
    int64_t count = (int64_t)list.root->length, classes = config->classes, width = config->width;
    float *logits = golden_result(g, golden_find(g, "logits"), "F32", 2, (int64_t[]){count, classes});
    float *features = golden_result(g, golden_find(g, "features"), "F32", 2, (int64_t[]){count, width});
    float *margin = golden_result(g, golden_find(g, "margin"), "F32", 1, (int64_t[]){count});
    int32_t *labels = golden_result(g, golden_find(g, "labels"), "I32", 1, (int64_t[]){count});
    int32_t *top5 = golden_result(g, golden_find(g, "top5"), "I32", 2, (int64_t[]){count, TOP});
    vit_session *session = open_session(model, 0, 0);
    int64_t row = 0;
    for (const vit_json *file = list.root->child; file; file = file->next, row++) {
        vit_score top[TOP];
        vit_image image = open_photo(g, file->string);
        memcpy(logits + row * classes, run(g, model, session, &image, config->preprocess.crop_pct),
               (size_t)classes * sizeof *logits);
        must(vit_session_features(session, 0, VIT_FEATURE_HEAD, features + row * width, &error), &error);
        vit_top_classes(logits + row * classes, (int)classes, TOP, 0, top);
        for (int k = 0; k < TOP; k++)
            top5[row * TOP + k] = top[k].index;
        margin[row] = logits[row * classes + top[0].index] - logits[row * classes + top[1].index];
        labels[row] = atoi(file->string);
        vit_image_close(&image);
    }
    vit_session_close(session);
    vit_json_release(&list);
    vit_buffer_release(&text);
}

/* real/logits_N: PHOTO.logits at N x N, nothing cropped off the short side. */
void golden_real_photos(golden *g) {
    vit_model *model = open_real_model(g);
    if (golden_find(g, "logits") >= 0) {
        all_photos(g, model);
        vit_model_close(model);
        return;
    }
    int size = atoi(strrchr(g->folder, '_') + 1);
    vit_session *session = open_session(model, size, size);
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *dot = strchr(name, '.');
        if (!dot) {
            store_posemb(g, i);
            continue;
        }
        char photo[32];
        snprintf(photo, sizeof photo, "%.*s", (int)(dot - name), name);
        vit_image image = open_photo(g, photo);
        run(g, model, session, &image, 1);
        store_photo(g, model, session, photo);
        vit_image_close(&image);
    }
    vit_session_close(session);
    vit_model_close(model);
}
