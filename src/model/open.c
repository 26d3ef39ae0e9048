/* Models from files: which ones a path means, and their bytes for the loader. */
#include "../base/file.h"
#include "../vit.h"

#include <stdio.h>
#include <string.h>

#define INDEX "model.safetensors.index.json"

/* folder/name into out, or VIT_ERR_ARGUMENT if it does not fit. */
static vit_status join(char *out, size_t size, const char *folder, const char *name, vit_error *error) {
    if (snprintf(out, size, "%s/%s", folder, name) >= (int)size)
        return vit_fail(error, VIT_ERR_ARGUMENT, "%.100s...: the path is too long", folder);
    return VIT_OK;
}

typedef vit_status (*take_json)(vit_loader *loader, const char *name, const void *json, size_t bytes, vit_error *error);

/* *has, where it is not NULL: whether the text has this key. */
static vit_status json_file(vit_loader *loader, const char *path, take_json take, const char *key, int *has,
                            const vit_options *options, vit_error *error) {
    vit_buffer text = {.allocator = &options->allocator};
    vit_status status = vit_read_config(&text, path, options->limits.config_bytes, error);
    if (status == VIT_OK)
        status = take(loader, path, text.data, text.size, error);
    if (status == VIT_OK && has)
        *has = memmem(text.data, text.size, key, strlen(key)) != NULL;
    vit_buffer_release(&text);
    return status;
}

/* All bytes that the loader wants, of the file at path, or of those in a folder that it names. */
static vit_status weight_files(vit_loader *loader, const char *path, const char *folder, const vit_options *options,
                               vit_error *error) {
    char one_of_several[4096 + 256];
    vit_reader reader = {0};
    const char *file, *open = NULL;
    void *space;
    uint64_t offset;
    size_t room, got = 1;
    vit_status status = VIT_OK;
    while (status == VIT_OK && got && vit_loader_next(loader, &file, &offset)) {
        if (!reader.stream || file != open) {
            vit_reader_close(&reader);
            open = file;
            if (file)
                status = join(one_of_several, sizeof one_of_several, folder, file, error);
            if (status == VIT_OK)
                status = vit_reader_open(&reader, file ? one_of_several : path, options->limits.file_bytes, error);
            if (status == VIT_OK)
                vit_loader_source(loader, reader.size, 1);
            continue;
        }
        status = vit_loader_space(loader, &space, &room, error);
        if (status == VIT_OK)
            status = vit_reader_at(&reader, offset, space, room, &got, error);
        if (status == VIT_OK && got)
            status = vit_loader_commit(loader, got, error);
    }
    vit_reader_close(&reader);
    return status;
}

/* The weight file of a folder, or the folder of a weight file. */
static vit_status locate(const char *path, char weights[4096], char folder[4096], vit_error *error) {
    static const char *const names[] = {"model.gguf", "model.safetensors", INDEX, "model.npz"};
    if (!vit_is_folder(path)) {
        const char *slash = strrchr(path, '/');
        if (snprintf(weights, 4096, "%s", path) >= 4096)
            return vit_fail(error, VIT_ERR_ARGUMENT, "%.100s...: the path is too long", path);
        snprintf(folder, 4096, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        return VIT_OK;
    }
    snprintf(folder, 4096, "%s", path);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        VIT_TRY(join(weights, 4096, path, names[i], error));
        if (vit_file_exists(weights))
            return VIT_OK;
    }
    return vit_fail(error, VIT_ERR_IO, "%s: the folder has no model.gguf, model.safetensors or model.npz", path);
}

/* Such a file says everything itself; what lies beside it may belong to another: GGUF, and safetensors as vit_model_save()
 * writes it. */
static int says_all(const char *path) {
    static const char own[] = "{\"__metadata__\":{\"format\":\"pt\",\"vit.config\":";
    char head[8 + sizeof own] = {0};
    vit_reader file;
    size_t got = 0;
    vit_error ignored; /* whoever reads the weights will say it */
    if (vit_reader_open(&file, path, UINT64_MAX, &ignored) == VIT_OK)
        vit_reader_read(&file, head, sizeof head, &got, &ignored);
    vit_reader_close(&file);
    return got >= 4 && (memcmp(head, "GGUF", 4) == 0 || memcmp(head + 8, own, sizeof own - 1) == 0);
}

static vit_status load_all(vit_loader *loader, const char *weights, const char *folder, const char *config_path,
                           const vit_options *options, vit_model **out, vit_error *error) {
    char beside[4096 + 32];
    /* What says how pictures are fed: timm's config.json, else as transformers looks for it. */
    static const struct {
        const char *name, *key;
    } configs[] = {{"config.json", "\"pretrained_cfg\""},
                   {"processor_config.json", "\"image_processor\""},
                   {"preprocessor_config.json", ""}};
    const int alone = says_all(weights);
    int enough = 0;
    for (int i = 0; i < 3 && !enough; i++) {
        const int is_given = i == 0 && config_path;
        VIT_TRY(join(beside, sizeof beside, folder, configs[i].name, error));
        if (is_given || (!alone && vit_file_exists(beside)))
            VIT_TRY(json_file(loader, is_given ? config_path : beside, vit_loader_config, configs[i].key, &enough, options,
                              error));
    }
    if (vit_has_ending(weights, ".safetensors.index.json"))
        VIT_TRY(json_file(loader, weights, vit_loader_index, "", NULL, options, error));
    VIT_TRY(weight_files(loader, weights, folder, options, error));
    return vit_loader_finish(loader, out, error);
}

vit_status vit_model_open(vit_model **out, const char *path, const char *config_path, const vit_options *options,
                          vit_error *error) {
    *out = NULL;
    char weights[4096], folder[4096];
    const vit_options chosen = options ? *options : vit_default_options();
    VIT_TRY(locate(path, weights, folder, error));
    vit_loader *loader;
    VIT_TRY(vit_loader_open(&loader, weights, &chosen, error));
    vit_status status = load_all(loader, weights, folder, config_path, &chosen, out, error);
    vit_loader_close(loader);
    return status;
}
