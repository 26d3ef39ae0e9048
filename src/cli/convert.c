#include "commands.h"
#include "model_option.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <stdio.h>

static const vit_cli_command command = {
    .name = "convert",
    .summary = "one GGUF file with everything in it",
    .arguments = "[options] IN OUT.gguf",
    .details = "IN is a weight file or a folder of timm or Hugging Face. OUT holds configuration, preprocessing, "
               "labels and weights, so it needs no other file. Without --type every tensor keeps the type it is "
               "stored in; with one, vectors (norms, biases) stay f32.",
    .examples = "  vit convert vit_tiny/ vit_tiny.gguf\n"
                "  vit convert --type f16 vit_tiny/ vit_tiny_f16.gguf\n"
                "  vit convert --config config.json --labels classes.txt model.safetensors model.gguf\n",
    .least = 2,
    .most = 2,
};

enum { KEEP_TYPE = -1 };

static int show_progress(void *context, uint64_t done, uint64_t total) {
    vit_cli_progress_show(context, (double)done * 1e-6, (double)total * 1e-6);
    return 0;
}

static int is_inside(const char *folder, const char *name, const char *path) {
    char inside[4096];
    int length = snprintf(inside, sizeof inside, "%s/%s", folder, name);
    return length < (int)sizeof inside && vit_cli_same_file(inside, path);
}

static int convert(const vit_model *model, const char *out, vit_dtype type) {
    vit_error error;
    vit_cli_progress progress = vit_cli_progress_start((double)vit_model_bytes(model) * 1e-6, "MB");
    vit_status status = vit_model_save(model, out, type, show_progress, &progress, &error);
    vit_cli_progress_hide(&progress);
    if (status != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return VIT_CLI_FAILED;
    }
    for (int i = 0; i < vit_model_warning_count(model); i++)
        vit_cli_complain("warning: %s", vit_model_warning(model, i));
    vit_cli_line(stdout, "%s: %s, %lld parameters, %lld bytes", out, vit_model_config(model)->architecture,
                 (long long)vit_model_parameters(model), vit_cli_file_size(out));
    return VIT_CLI_OK;
}

int vit_cli_convert(int argc, char **argv) {
    vit_cli_model option = {.raw_weights = 1};
    int count, type = KEEP_TYPE;
    const vit_cli_option options[] = {
        {"type", "f32|f16|bf16", VIT_CLI_CHOICE, &type, 0, 0, "how matrices are stored (default: as in IN)"},
        VIT_CLI_CONFIG_OPTION(option),
        VIT_CLI_LABELS_OPTION(option),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    const char *in = argv[0], *out = argv[1];
    if (!vit_cli_has_extension(out, ".gguf"))
        return vit_cli_usage(&command, "'%s': expected a name that ends in .gguf", out);
    if (vit_cli_same_file(in, out) || is_inside(in, "model.gguf", out))
        return vit_cli_usage(&command, "'%s' is what would be read; give another name to write", out);
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    vit_model *model;
    option.path = in;
    status = vit_cli_model_open(&model, &option, VIT_COMPUTE_F32);
    if (status == VIT_CLI_OK)
        status = convert(model, out, type == KEEP_TYPE ? VIT_DTYPE_OTHER : (vit_dtype)type);
    vit_model_close(model);
    return status;
}
