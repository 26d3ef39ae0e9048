#include "model_option.h"

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

int vit_cli_check_model_kept(const vit_cli_command *command, const char *out, const vit_cli_model *options) {
    const char *path = vit_cli_model_path(options);
    char *const files[] = {(char *)options->config, (char *)options->labels, path && vit_cli_is_weights(path, out) ? (char *)out : NULL};
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
        return VIT_CLI_USAGE;
    }
    vit_status status = path ? vit_model_open(out, path, options->config, &load, &error)
                                 : vit_cli_default_open(out, options->otherwise, &load, &error);
    if (status == VIT_OK)
        status = set_labels(*out, options->labels, &error);
    if (status == VIT_OK)
        return VIT_CLI_OK;
    vit_cli_complain("%s", error.text);
    vit_model_close(*out);
    *out = NULL;
    return VIT_CLI_FAILED;
}
