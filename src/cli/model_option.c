#include "model_option.h"

#include "../base/file.h"
#include "limits.h"
#include "paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const imagenet_1k[] = {
#include "imagenet_labels.inc" /* made from wasm/imagenet_labels.json by build.sh */
};

enum { IMAGENET_1K_CLASSES = sizeof imagenet_1k / sizeof *imagenet_1k };

static vit_status set_labels(vit_model *model, const char *file, vit_error *error) {
    const vit_config *config = vit_model_config(model);
    if (file)
        return vit_model_read_labels(model, file, vit_cli_options(), error);
    if (!vit_model_label(model, 0) && strcmp(config->label_set, "imagenet-1k") == 0 &&
        config->classes == IMAGENET_1K_CLASSES)
        return vit_model_set_labels(model, imagenet_1k, IMAGENET_1K_CLASSES, error);
    return VIT_OK;
}

const char *vit_cli_model_path(const vit_cli_model *options) {
    const char *path = options->path ? options->path : getenv("VIT_MODEL");
    return path && *path ? path : NULL;
}

static int is_inside(const char *folder, const char *name, const char *path) {
    char inside[4096];
    int length = snprintf(inside, sizeof inside, "%s/%s", folder, name);
    return length < (int)sizeof inside && vit_cli_same_file(inside, path);
}

/* Whether the index of shards names the file `out`, which stands beside it. */
static int is_shard(const char *index, const char *out) {
    const char *name = strrchr(out, '/'), *slash = strrchr(index, '/');
    char folder[4096], quoted[300];
    vit_buffer text = {.allocator = &vit_cli_options()->allocator};
    vit_error ignored; /* whoever reads the model will say it */
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - index) : 1, slash ? index : ".");
    const int length = snprintf(quoted, sizeof quoted, "\"%s\"", name ? name + 1 : out);
    const int found = length < (int)sizeof quoted && is_inside(folder, name ? name + 1 : out, out) &&
                      vit_read_config(&text, index, vit_cli_options()->limits.config_bytes, &ignored) == VIT_OK &&
                      text.data && memmem(text.data, text.size, quoted, (size_t)length) != NULL;
    vit_buffer_release(&text);
    return found;
}

/* Whether writing `out` would replace weights that are read as the model `in`: a file, an index of several, or a folder. */
static int is_weights(const char *in, const char *out) {
    static const char *const names[] = {"model.gguf", "model.safetensors", "model.npz", "model.safetensors.index.json"};
    char index[4096];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_inside(in, names[i], out))
            return 1;
    snprintf(index, sizeof index, "%s%s", in, vit_has_ending(in, ".index.json") ? "" : "/model.safetensors.index.json");
    return vit_cli_same_file(in, out) || is_shard(index, out);
}

int vit_cli_check_model_kept(const vit_cli_command *command, const char *out, const vit_cli_model *options) {
    const char *path = vit_cli_model_path(options);
    char *const files[] = {(char *)options->config, (char *)options->labels, path && is_weights(path, out) ? (char *)out : NULL};
    return vit_cli_check_kept(command, out, 3, files);
}

int vit_cli_model_open(vit_model **out, const vit_cli_model *options, vit_compute compute) {
    const char *path = vit_cli_model_path(options);
    vit_options load = *vit_cli_options();
    vit_error error;
    load.compute = compute;
    load.raw_weights = options->raw_weights;
    *out = NULL;
    if (options->path && !*options->path) {
        vit_cli_complain("the name of the model is empty, expected a file or a folder");
        return VIT_CLI_FAILED;
    }
    if (!path && options->config) {
        vit_cli_complain("--config %s is of a model: give --model FILE|DIR too", options->config);
        return VIT_CLI_FAILED;
    }
    vit_status status = path ? vit_model_open(out, path, options->config, &load, &error)
                                 : vit_cli_default_open(out, options->otherwise, &load, &error);
    if (status == VIT_OK)
        status = set_labels(*out, options->labels, &error);
    if (status != VIT_OK) {
        vit_cli_complain("%s", error.text);
        vit_model_close(*out);
        *out = NULL;
        return VIT_CLI_FAILED;
    }
    for (int i = 0; !options->tells_warnings && i < vit_model_warning_count(*out); i++)
        vit_cli_complain("warning: %s", vit_model_warning(*out, i));
    return VIT_CLI_OK;
}
