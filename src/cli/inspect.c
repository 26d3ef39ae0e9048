#include "inspect.h"

#include "commands.h"
#include "options.h"

const vit_cli_command vit_cli_inspect_command = {
    .name = "inspect",
    .summary = "what networks have learnt, and what they cost",
    .arguments = "filters|positions|distance|cost [options] ...",
    .details = "filters: what the first layer looks for; positions: which places are alike to a network; distance: how "
               "far each head looks; those are the paper's figure 7. cost: parameters, arithmetic and memory of every "
               "network that has a name, as in the paper's figure 5 and appendix D.5. 'vit inspect KIND --help' says "
               "more.",
    .examples = "  vit inspect filters --model vit.gguf --out filters.png\n"
                "  vit inspect positions --model vit.gguf --out positions.png\n"
                "  vit inspect distance --model vit.gguf --out distance.png photos/\n"
                "  vit inspect cost\n",
    .least = 1,
    .most = -1,
};

int vit_cli_inspect(int argc, char **argv) {
    static const vit_cli_subcommand kinds[] = {{"filters", vit_cli_inspect_filters},
                                               {"positions", vit_cli_inspect_positions},
                                               {"distance", vit_cli_inspect_distance},
                                               {"cost", vit_cli_inspect_cost},
                                               {0}};
    return vit_cli_run_kind(&vit_cli_inspect_command, kinds, argc, argv);
}
