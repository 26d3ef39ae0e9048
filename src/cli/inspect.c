#include "inspect.h"

#include "commands.h"
#include "options.h"

#include <string.h>

static const vit_cli_command command = {
    .name = "inspect",
    .summary = "what networks have learnt, and what they cost",
    .arguments = "cost [options] ...",
    .details = "cost: parameters, arithmetic and memory of every network that has a name, as in the paper's figure 5 and "
               "appendix D.5. 'vit inspect KIND --help' says more.",
    .examples = "  vit inspect cost\n",
    .least = 1,
    .most = -1,
};

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} kinds[] = {{"cost", vit_cli_inspect_cost}};

int vit_cli_inspect(int argc, char **argv) {
    static const vit_cli_option none[] = {{0}};
    int count;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && argc > 1; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            return kinds[i].run(argc - 1, argv + 1);
    const int status = vit_cli_parse(&command, none, argc, argv, &count);
    return status >= 0 ? status : vit_cli_usage(&command, "'%s': expected cost", argv[0]);
}
