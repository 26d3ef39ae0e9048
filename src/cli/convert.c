#include "commands.h"
#include "model_option.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <stdio.h>
#include <string.h>

static const vit_cli_command command = {
    .name = "convert",
    .summary = "one file with everything in it, GGUF or safetensors",
    .arguments = "[options] IN OUT.gguf|OUT.safetensors",
    .details = "IN is a weight file, or a folder of timm or Hugging Face. OUT holds configuration, preprocessing, "
               "labels and weights under timm's names, so it needs no other file. Without --type every tensor keeps the "
               "type it is stored in (of q8_0 and q4_0: f32); with one, vectors (norms, biases) stay f32. q8_0 and q4_0 "
               "are for GGUF: blocks of 32 integers with a scale. They are made of matrices whose rows are multiples of "
               "32; what stays f32 is said.",
    .examples = "  vit convert vit_tiny/ vit_tiny.gguf\n"
                "  vit convert --type q8_0 vit_tiny/ vit_tiny_q8_0.gguf\n"
                "  vit convert ViT-B_16.npz vit_base.safetensors\n"
                "  vit convert --config config.json --labels classes.txt model.safetensors model.gguf\n",
    .least = 2,
    .most = 2,
};

/* Of --type; the default is none of them. */
static const vit_dtype types[] = {VIT_F32, VIT_F16, VIT_BF16, VIT_Q8_0, VIT_Q4_0, VIT_DTYPE_OTHER};
enum { KEEP_TYPE = 5 };

static int show_progress(void *context, uint64_t done, uint64_t total) {
    vit_cli_progress_show(context, (double)done * 1e-6, (double)total * 1e-6);
    return 0;
}

static int is_inside(const char *folder, const char *name, const char *path) {
    char inside[4096];
    int length = snprintf(inside, sizeof inside, "%s/%s", folder, name);
    return length < (int)sizeof inside && vit_cli_same_file(inside, path);
}

/* What was to be blocks and is not. */
static void complain_about_rest(const char *out) {
    vit_error error;
    vit_file *file;
    int count = 0;
    const vit_tensor_info *first = NULL;
    if (vit_file_open(&file, out, NULL, &error) != VIT_OK)
        return;
    for (int i = 0; i < vit_file_tensor_count(file); i++) {
        const vit_tensor_info *tensor = vit_file_tensor(file, i);
        const size_t length = strlen(tensor->name);
        if (tensor->dtype != VIT_F32 || tensor->rank < 2 || length < 7 || strcmp(tensor->name + length - 7, ".weight") != 0)
            continue;
        first = first ? first : tensor;
        count++;
    }
    if (count)
        vit_cli_complain("%s: %d weight%s stay%s F32, no matri%s with rows of a multiple of 32 values: %s%s", out, count,
                         count == 1 ? "" : "s", count == 1 ? "s" : "", count == 1 ? "x" : "ces", first->name,
                         count == 1 ? "" : ", ...");
    vit_file_close(file);
}

static int convert(const vit_model *model, const char *out, vit_dtype type, int rounding) {
    vit_error error;
    vit_cli_progress progress = vit_cli_progress_start((double)vit_model_bytes(model) * 1e-6, "MB");
    const vit_save_options options = {type, (vit_rounding)rounding, show_progress, &progress};
    vit_status status = vit_model_save(model, out, &options, &error);
    vit_cli_progress_hide(&progress);
    if (status != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return VIT_CLI_FAILED;
    }
    for (int i = 0; i < vit_model_warning_count(model); i++)
        vit_cli_complain("warning: %s", vit_model_warning(model, i));
    if (type == VIT_Q8_0 || type == VIT_Q4_0)
        complain_about_rest(out);
    vit_cli_line(stdout, "%s: %s, %lld parameters, %lld bytes", out, vit_model_config(model)->architecture,
                 (long long)vit_model_parameters(model), vit_cli_file_size(out));
    return VIT_CLI_OK;
}

/* Whether writing `out` would replace what is read from `in`. */
static int is_read(const char *in, const char *out) {
    static const char *const names[] = {"model.gguf", "model.safetensors", "model.npz"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_inside(in, names[i], out))
            return 1;
    const char *name = strrchr(out, '/');
    return vit_cli_same_file(in, out) || (vit_cli_has_extension(out, ".safetensors") && is_inside(in, name ? name + 1 : out, out));
}

int vit_cli_convert(int argc, char **argv) {
    vit_cli_model option = {.raw_weights = 1};
    int count, type = KEEP_TYPE, rounding = VIT_ROUNDING_SEARCH;
    const vit_cli_option options[] = {
        {"type", "f32|f16|bf16|q8_0|q4_0", VIT_CLI_CHOICE, &type, 0, 0, "how matrices are stored (default: as in IN)"},
        {"rounding", "search|plain", VIT_CLI_CHOICE, &rounding, 0, 0,
         "of q8_0 and q4_0: the scale of least squared error for every block (default), or as ggml rounds"},
        VIT_CLI_CONFIG_OPTION(option),
        VIT_CLI_LABELS_OPTION(option),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    const char *in = argv[0], *out = argv[1];
    const int is_safetensors = vit_cli_has_extension(out, ".safetensors");
    if (!vit_cli_has_extension(out, ".gguf") && !is_safetensors)
        return vit_cli_usage(&command, "'%s': expected a name that ends in .gguf or .safetensors", out);
    if (is_safetensors && (types[type] == VIT_Q8_0 || types[type] == VIT_Q4_0))
        return vit_cli_usage(&command, "'%s': q8_0 and q4_0 are types of GGUF", out);
    if (is_read(in, out))
        return vit_cli_usage(&command, "'%s' is what would be read; give another name to write", out);
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    vit_model *model;
    option.path = in;
    status = vit_cli_model_open(&model, &option, VIT_COMPUTE_F32);
    if (status == VIT_CLI_OK)
        status = convert(model, out, types[type], rounding);
    vit_model_close(model);
    return status;
}
