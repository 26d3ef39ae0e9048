#include "save.h"

#include "interrupt.h"
#include "limits.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <string.h>

const vit_dtype vit_cli_types[] = {VIT_F32, VIT_F16, VIT_BF16, VIT_Q8_0, VIT_Q4_0, VIT_DTYPE_OTHER};

static int has_blocks(vit_dtype type) {
    return type == VIT_Q8_0 || type == VIT_Q4_0;
}

int vit_cli_check_output(const vit_cli_command *command, const char *out, vit_dtype type) {
    const int is_safetensors = vit_has_ending(out, ".safetensors");
    if (!vit_has_ending(out, ".gguf") && !is_safetensors)
        return vit_cli_usage(command, "'%s': expected a name that ends in .gguf or .safetensors", out);
    if (is_safetensors && has_blocks(type))
        return vit_cli_usage(command, "'%s': q8_0 and q4_0 are types of GGUF", out);
    return -1;
}

static int show_progress(void *context, uint64_t done, uint64_t total) {
    vit_cli_progress_show(context, (double)done * 1e-6, (double)total * 1e-6);
    return vit_cli_interrupted;
}

/* What was to be blocks and is not. */
static void complain_about_rest(const char *out) {
    vit_error error;
    vit_file *file;
    int count = 0;
    const vit_tensor_info *first = NULL;
    if (vit_file_open(&file, out, vit_cli_options(), &error) != VIT_OK)
        return;
    for (int i = 0; i < vit_file_tensor_count(file); i++) {
        const vit_tensor_info *tensor = vit_file_tensor(file, i);
        const size_t length = strlen(tensor->name);
        if (tensor->dtype != VIT_F32 || tensor->rank < 2 || length < 7 ||
            strcmp(tensor->name + length - 7, ".weight") != 0)
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

int vit_cli_save(const vit_model *model, const char *out, vit_dtype type, vit_rounding rounding) {
    vit_error error;
    vit_cli_progress progress = vit_cli_progress_start((double)vit_model_bytes(model) * 1e-6, "MB");
    const vit_save_options options = {type, rounding, show_progress, &progress};
    vit_cli_catch_interrupts();
    const vit_status status = vit_model_save(model, out, &options, &error);
    vit_cli_progress_hide(&progress);
    vit_cli_release_interrupts(); /* what was written is removed, or in its place */
    if (status != VIT_OK)
        return vit_cli_failed(&error);
    if (has_blocks(type))
        complain_about_rest(out);
    vit_cli_line(stdout, "%s: %s, %lld parameters, %lld bytes", out, vit_model_config(model)->architecture,
                 (long long)vit_model_parameters(model), vit_cli_file_size(out));
    return VIT_CLI_OK;
}
