/* How fast a training step is (forward, backward, AdamW; f32, or products of bfloat16), and what memory it takes: three networks with random
 * weights on random pictures.
 *
 *     train [--threads N] [--steps N] [--kernels NAME] [--bf16] [--recompute] [ti16_224_b32|d192_l9_p4_32_b128|hybrid_32_b128]
 *
 * One JSON object a line, with the words that the comparison with PyTorch prints: the best of the steps counts, since
 * other work on the machine only ever makes one longer; cpu_ms is what its threads worked. */
#include "../../src/base/clock.h"
#include "../../src/vit_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    int batch, size, patch, layers, classes;
    int is_hybrid; /* the small hybrid of peers/train_torch.py */
} cases[] = {
    {"ti16_224_b32", 32, 224, 16, 12, 1000, 0},
    {"d192_l9_p4_32_b128", 128, 32, 4, 9, 10, 0},
    {"hybrid_32_b128", 128, 32, 1, 5, 10, 1},
};

enum { CASES = sizeof cases / sizeof *cases };

static vit_error error;

static void must(vit_status status) {
    if (status == VIT_OK)
        return;
    fprintf(stderr, "train: %s\n", error.text);
    exit(1);
}

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void measure(int which, vit_train_options options, int steps) {
    vit_config c;
    vit_model *model, *plan;
    vit_trainer *trainer;
    double best = 1e300, cpu = 1e300;
    must(vit_architecture_config(&c, "vit_tiny_patch16_224", &error));
    c.layers = cases[which].layers;
    c.classes = cases[which].classes;
    c.patch_height = c.patch_width = cases[which].patch;
    c.image_height = c.image_width = c.preprocess.height = c.preprocess.width = cases[which].size;
    if (cases[which].is_hybrid) {
        c.resnet = (vit_resnet){.stages = 2, .units = {2, 2}, .stem_width = 64, .width = 32, .root_size = 3,
                                .root_stride = 1, .kind = VIT_RESNET_HYBRID_TIMM};
        c.width = 128;
        c.heads = 4;
        c.mlp_width = 256;
        c.pool = VIT_POOL_MEAN;
        c.class_token = c.pos_class = 0;
    }
    options.batch = cases[which].batch;
    vit_options stored = vit_default_options();
    stored.raw_weights = 1;
    must(vit_model_init(&model, &c, 0, &stored, &error));
    must(vit_trainer_open(&trainer, model, &options, &error));
    const size_t values = (size_t)options.batch * (size_t)c.image_height * (size_t)c.image_width * 3;
    for (size_t i = 0; i < values; i++)
        vit_trainer_input(trainer, 0)[i] = (float)(i * 2654435761u % 1000) * 2e-3f - 1;
    for (int i = 0; i < options.batch; i++)
        must(vit_trainer_set_class(trainer, i, i % c.classes, &error));
    for (int i = 0; i < steps; i++) {
        vit_train_result result;
        const double start = vit_now_ms(), cpu_start = cpu_ms();
        must(vit_trainer_step(trainer, &result, &error));
        const double elapsed = vit_now_ms() - start, cpu_elapsed = cpu_ms() - cpu_start;
        best = elapsed < best ? elapsed : best;
        cpu = cpu_elapsed < cpu ? cpu_elapsed : cpu;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    must(vit_model_plan(&plan, &c, NULL, &error)); /* as sessions run it */
    const double flops = 3 * vit_model_flops(plan, c.image_height, c.image_width) * options.batch;
    printf("{\"case\":\"%s\",\"products\":\"%s\",\"threads\":%d,\"min_ms\":%.1f,\"cpu_ms\":%.1f,\"images_per_s\":%.1f,\"gflops\":%.1f,"
           "\"planned_mb\":%.0f,\"peak_rss_mb\":%ld}\n",
           cases[which].name, options.bf16 ? "bf16" : "f32", options.threads, best, cpu, options.batch * 1e3 / best, flops / best * 1e-6,
           (double)vit_trainer_bytes(model, &options) * 1e-6, usage.ru_maxrss / 1024);
    fflush(stdout);
    vit_trainer_close(trainer);
    vit_model_close(model);
    vit_model_close(plan);
}

int main(int count, char **arguments) {
    vit_train_options options = vit_default_train_options();
    int steps = 10, chosen[CASES] = {0}, some = 0;
    options.weight_decay = 0.1f;
    options.decay_matrices = 0;
    options.updates = 1000;
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? arguments[i + 1] : "";
        if (strcmp(arguments[i], "--threads") == 0)
            options.threads = atoi(value), i++;
        else if (strcmp(arguments[i], "--steps") == 0)
            steps = atoi(value), i++;
        else if (strcmp(arguments[i], "--kernels") == 0)
            options.kernels = value, i++;
        else if (strcmp(arguments[i], "--bf16") == 0)
            options.bf16 = 1;
        else if (strcmp(arguments[i], "--recompute") == 0)
            options.recompute = 1;
        else
            for (int c = 0; c < CASES; c++)
                if (strcmp(arguments[i], cases[c].name) == 0)
                    chosen[c] = some = 1;
    }
    for (int c = 0; c < CASES; c++)
        if (chosen[c] || !some)
            measure(c, options, steps);
    return 0;
}
