/* The options that name a model: --model, --config, --labels, and VIT_MODEL in the environment. */
#ifndef VIT_CLI_MODEL_OPTION_H
#define VIT_CLI_MODEL_OPTION_H

#include "../vit_tasks.h"
#include "default_model.h"
#include "options.h"

typedef struct vit_cli_model {
    const char *path, *config, *labels;
    vit_cli_default otherwise; /* the built-in model that stands in for path */
    int raw_weights;   /* as in vit_options */
    int tells_warnings; /* 1: the caller shows what is to be said of the model */
} vit_cli_model;

/* Rows of an option table. */
#define VIT_CLI_CONFIG_OPTION(model)                                            \
    {"config", "FILE.json", VIT_CLI_TEXT, &(model).config, 0, 0,                \
     "what the weights mean, instead of the config.json beside them"}
#define VIT_CLI_LABELS_OPTION(model)                                            \
    {"labels", "FILE", VIT_CLI_TEXT, &(model).labels, 0, 0,                     \
     "names of the classes: a JSON array of strings, or text with one a line"}
#define VIT_CLI_MODEL_OPTIONS(model)                                            \
    {"model", "FILE|DIR", VIT_CLI_TEXT, &(model).path, 0, 0,                    \
     "weights (.gguf, .safetensors), or a folder with weights and config.json " \
     "(default: VIT_MODEL in the environment, else the model in this program)"},                                \
    VIT_CLI_CONFIG_OPTION(model)

/* -1 to go on, or the exit status after a complaint: writing `out` would replace a file of that model. */
int vit_cli_check_model_kept(const vit_cli_command *command, const char *out, const vit_cli_model *options);
/* Where the model is: --model or VIT_MODEL; NULL: in this program. */
const char *vit_cli_model_path(const vit_cli_model *options);
/* Opens the model the options name, with labels; warns of what is odd about it. 0, or the exit status after a complaint. */
int vit_cli_model_open(vit_model **out, const vit_cli_model *options, vit_compute compute);

#endif
