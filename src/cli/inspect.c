#include "inspect.h"

#include "commands.h"
#include "options.h"

#include <string.h>

static const vit_cli_command command = {
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

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} kinds[] = {{"filters", vit_cli_inspect_filters},
             {"positions", vit_cli_inspect_positions},
             {"distance", vit_cli_inspect_distance},
             {"cost", vit_cli_inspect_cost}};

int vit_cli_inspect(int argc, char **argv) {
    static const vit_cli_option none[] = {{0}};
    int count;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && argc > 1; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            return kinds[i].run(argc - 1, argv + 1);
    const int status = vit_cli_parse(&command, none, argc, argv, &count);
    if (status >= 0)
        return status;
    return vit_cli_usage(&command, "'%s': expected filters, positions, distance or cost", argv[0]);
}
