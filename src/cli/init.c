#include "commands.h"
#include "json_out.h"
#include "limits.h"
#include "paths.h"
#include "save.h"
#include "train_settings.h"

#include <stdio.h>
#include <string.h>

const vit_cli_command vit_cli_init_command = {
    .name = "init",
    .summary = "a new model with random weights",
    .arguments = "--arch NAME [options] OUT.gguf|OUT.safetensors, or --list",
    .details = "The weights are those that the paper's code begins with: uniform ones of Glorot in attention and MLP, "
               "truncated normal ones of LeCun in convolutions, positions of deviation 0.02, a head of zeros; only a "
               "hybrid's residual units begin with a last norm of 1, not of 0. The same "
               "seed gives the same file on every machine. Names are timm's where timm has the network; --list prints "
               "them all.",
    .examples = "  vit init --list\n"
                "  vit init --arch vit_tiny_patch16_224 tiny.gguf\n"
                "  vit init --arch vit_small_patch16_224 --size 64 --classes 10 --seed 7 small.gguf\n"
                "  vit init --arch vit_tiny_patch16_224 --size 32 --patch 4 --layers 6 --pos 2d small.gguf\n",
    .least = 0,
    .most = 1,
};

typedef struct request {
    vit_cli_settings network;
    int classes, seed, type;
} request;

static int list(int json) {
    vit_config config;
    vit_model *model;
    vit_error error;
    for (int i = 0; vit_architecture_name(i); i++) {
        if (vit_architecture_config(&config, vit_architecture_name(i), &error) != VIT_OK ||
            vit_model_plan(&model, &config, vit_cli_options(), &error) != VIT_OK)
            return vit_cli_failed(&error);
        const long long parameters = (long long)vit_model_parameters(model);
        if (json)
            printf("{\"architecture\":\"%s\",\"parameters\":%lld,\"input\":[%d,%d],\"classes\":%d}\n",
                   config.architecture, parameters, config.image_height, config.image_width, config.classes);
        else
            printf("%-38s %11lld parameters\n", config.architecture, parameters);
        vit_model_close(model);
    }
    return VIT_CLI_OK;
}

static int init(const request *request, const char *out) {
    vit_config config;
    vit_model *model;
    vit_error error;
    vit_options options = *vit_cli_options();
    options.raw_weights = 1; /* to be saved */
    int status = vit_cli_check_network(&vit_cli_init_command, &request->network, request->classes, &config);
    if (status >= 0)
        return status;
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    if (vit_model_init(&model, &config, (uint64_t)request->seed, &options, &error) != VIT_OK)
        return vit_cli_failed(&error);
    status = vit_cli_save(model, out, vit_cli_types[request->type], VIT_ROUNDING_PLAIN);
    vit_model_close(model);
    return status;
}

int vit_cli_init(int argc, char **argv) {
    request request = {.classes = VIT_CLI_CLASSES_AS_NAMED};
    vit_cli_settings *network = &request.network;
    int show = 0, json = 0, count;
    const vit_cli_option options[] = {
        {"arch", "NAME", VIT_CLI_TEXT, &network->arch, 0, 0, "which network"},
        {"list", NULL, VIT_CLI_FLAG, &show, 0, 0, "the names there are, with their parameters; nothing is written"},
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "with --list: one object a line"},
        {"classes", "N", VIT_CLI_INT, &request.classes, 0, 1000000,
         "of the head; 0: none (default: 1000, or none where the network is one for features)"},
        {"size", "N|HxW", VIT_CLI_SIZE, network->size, 0, 0,
         "pixels of its pictures, height x width (default: as the name says)"},
        VIT_CLI_NETWORK_OPTIONS(*network),
        VIT_CLI_HEAD_OPTION(*network),
        {"seed", "N", VIT_CLI_INT, &request.seed, 0, 2147483647, "default: 0"},
        VIT_CLI_TYPE_OPTION(request.type, "how matrices are stored (default: f32)"),
        {0},
    };
    const int status = vit_cli_parse(&vit_cli_init_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    static const vit_cli_settings unsaid;
    if (show && !count && request.classes < 0 && memcmp(network, &unsaid, sizeof unsaid) == 0)
        return list(json);
    if (show || json)
        return vit_cli_usage(&vit_cli_init_command, "--list goes with --json alone, and --json with --list");
    if (!network->arch || !count)
        return vit_cli_usage(&vit_cli_init_command, "expected --arch NAME and a file to write, or --list");
    if (!vit_cli_units(network))
        return vit_cli_usage(&vit_cli_init_command, VIT_CLI_UNITS_EXPECTED, network->units_text);
    const int wrong = vit_cli_check_output(&vit_cli_init_command, argv[0], vit_cli_types[request.type]);
    return wrong >= 0 ? wrong : init(&request, argv[0]);
}
