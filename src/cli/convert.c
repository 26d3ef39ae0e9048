#include "commands.h"
#include "model_option.h"
#include "paths.h"
#include "save.h"

const vit_cli_command vit_cli_convert_command = {
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

int vit_cli_convert(int argc, char **argv) {
    vit_cli_model option = {.raw_weights = 1};
    int count, type = VIT_CLI_KEEP_TYPE, rounding = VIT_ROUNDING_SEARCH, known_percent = -1;
    const vit_cli_option options[] = {
        VIT_CLI_TYPE_OPTION(type, "how matrices are stored (default: as in IN)"),
        {"rounding", "search|plain", VIT_CLI_CHOICE, &rounding, 0, 0,
         "of q8_0 and q4_0: the scale of least squared error for every block (default), or as ggml rounds"},
        {"known-percent", "N", VIT_CLI_INT, &known_percent, 0, 100,
         "a picture whose best score is lower shows none of the classes ('vit eval --unknown' tells; 0: never)"},
        VIT_CLI_CONFIG_OPTION(option),
        VIT_CLI_LABELS_OPTION(option),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_convert_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    const char *in = argv[0], *out = argv[1];
    status = vit_cli_check_output(&vit_cli_convert_command, out, vit_cli_types[type]);
    if (status >= 0)
        return status;
    option.path = in;
    if ((status = vit_cli_check_model_kept(&vit_cli_convert_command, out, &option)) >= 0)
        return status;
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    vit_model *model;
    status = vit_cli_model_open(&model, &option, VIT_COMPUTE_F32);
    if (status == VIT_CLI_OK && known_percent >= 0)
        vit_model_set_known_percent(model, known_percent);
    if (status == VIT_CLI_OK)
        status = vit_cli_save(model, out, vit_cli_types[type], (vit_rounding)rounding);
    vit_model_close(model);
    return status;
}
