/* How fast the kernels are: GFLOP/s of each table at the shapes of ViT-Ti, S and B with 197 tokens, one thread, and
 * the share of what the table's own register-only loop reaches, measured alongside.
 *
 *     kernels [--json] [--seconds S] [TABLE...]
 *
 * --json prints one object a line; --seconds is how long each measurement runs (0.3); TABLE is as in vit bench
 * --kernels. The best run counts: other work on the machine only ever makes a run longer. Pad lanes are not counted
 * as work. */
#include "../../src/base/clock.h"
#include "../../src/kernels/kernels.h"
#include "../../src/vit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 197, HEAD_WIDTH = 64, WIDEST = 768 };

static const struct {
    const char *name;
    int width;
} models[] = {{"Ti", 192}, {"S", 384}, {"B", 768}};

static struct {
    const vit_kernels *kernels;
    int panels, width, n, k;
    float *w, *w_gradient, *x, *y, *scratch;
} job;

static int json;
static double seconds = 0.3;

static void run_nt(void) {
    int panel = job.kernels->panel;
    vit_gemm g = {.w = job.w, .bias = job.w, .x = job.x, .y = job.y, .x_stride = (ptrdiff_t)job.k * panel,
                  .y_stride = (ptrdiff_t)job.n * panel, .n = job.n, .k = job.k, .panels = job.panels};
    job.kernels->gemm_nt(&g, 0, job.n);
}

static void run_gelu(void) {
    int panel = job.kernels->panel;
    vit_gemm g = {.w = job.w, .bias = job.w, .x = job.x, .y = job.y, .x_stride = (ptrdiff_t)job.k * panel,
                  .y_stride = (ptrdiff_t)job.n * panel, .n = job.n, .k = job.k, .panels = job.panels,
                  .epilogue = VIT_EPILOGUE_GELU_ERF};
    job.kernels->gemm_nt(&g, 0, job.n);
}

static void run_nn(void) {
    int panel = job.kernels->panel;
    vit_gemm g = {.w = job.w, .x = job.x, .y = job.y, .x_stride = (ptrdiff_t)job.n * panel,
                  .y_stride = (ptrdiff_t)job.k * panel, .n = job.n, .k = job.k, .panels = job.panels};
    vit_train_kernels_for(job.kernels)->gemm_nn(&g, 0, job.k);
}

static void run_tn(void) {
    int panel = job.kernels->panel;
    vit_gemm_tn g = {.dy = job.x, .x = job.y, .dw = job.w_gradient, .dy_stride = (ptrdiff_t)job.n * panel,
                     .x_stride = (ptrdiff_t)job.k * panel, .n = job.n, .k = job.k, .tokens = TOKENS};
    vit_train_kernels_for(job.kernels)->gemm_tn(&g, 0, job.n);
}

static void run_attention(void) {
    int panel = job.kernels->panel;
    vit_attend a = {.qkv = job.x, .out = job.y, .qkv_stride = 3 * (ptrdiff_t)job.width * panel,
                    .out_stride = (ptrdiff_t)job.width * panel, .tokens = TOKENS, .heads = job.width / HEAD_WIDTH,
                    .head_width = HEAD_WIDTH, .scale = 0.125f};
    for (int h = 0; h < a.heads; h++)
        for (int q = 0, count; q < job.panels; q += count) {
            count = job.panels - q < job.kernels->query_panels ? 1 : job.kernels->query_panels;
            job.kernels->score(&a, h, q, count, job.scratch);
            job.kernels->mix(&a, h, q, count, job.scratch);
        }
}

static void run_layernorm(void) {
    job.kernels->layernorm(job.x, job.w, job.w, 1e-6f, job.width, job.y, 0, job.panels);
}

static double peak_now(void) {
    float sink;
    double start = vit_now_ms(), flops = job.kernels->peak(100000, &sink);
    return flops / (vit_now_ms() - start) * 1e-6;
}

static void measure(const char *model, const char *operation, void (*run)(void), double flops) {
    double best = 1e30, peak = 0, begin = vit_now_ms();
    while (vit_now_ms() - begin < seconds * 1e3) {
        double rate = peak_now(), start = vit_now_ms();
        run();
        double elapsed = vit_now_ms() - start;
        best = elapsed < best ? elapsed : best;
        peak = rate > peak ? rate : peak;
    }
    double rate = flops / best * 1e-6;
    if (json)
        printf("{\"kernels\":\"%s\",\"model\":\"%s\",\"operation\":\"%s\",\"n\":%d,\"k\":%d,\"ms\":%.5f,"
               "\"gflops\":%.2f,\"peak\":%.2f}\n", job.kernels->name, model, operation, job.n, job.k, best, rate, peak);
    else
        printf("%-14s %-3s %-10s %9.4f ms %7.1f GFLOP/s %5.1f %% of %.1f\n", job.kernels->name, model, operation, best,
               rate, 100 * rate / peak, peak);
    fflush(stdout);
}

static void bench(const vit_kernels *kernels) {
    job.kernels = kernels;
    job.panels = (TOKENS + kernels->panel - 1) / kernels->panel;
    size_t activations = (size_t)job.panels * kernels->panel * 4 * WIDEST, weights = (size_t)4 * WIDEST * WIDEST;
    job.w = malloc(weights * sizeof(float));
    job.w_gradient = calloc(weights, sizeof(float));
    job.x = malloc(activations * sizeof(float));
    job.y = malloc(activations * sizeof(float));
    job.scratch = malloc(2 * (size_t)job.panels * kernels->panel * kernels->panel * sizeof(float));
    if (!job.w || !job.w_gradient || !job.x || !job.y || !job.scratch) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    for (size_t i = 0; i < weights; i++)
        job.w[i] = (float)(i * 2654435761u % 1000) * 1e-4f - 0.05f;
    for (size_t i = 0; i < activations; i++)
        job.x[i] = job.y[i] = (float)(i * 2654435761u % 1000) * 2e-3f - 1;

    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        const char *name = models[m].name;
        int d = models[m].width;
        double square = 2.0 * TOKENS * d * d;
        job.width = d;
        job.n = 3 * d, job.k = d;
        measure(name, "nt qkv", run_nt, 3 * square);
        job.n = d;
        measure(name, "nt proj", run_nt, square);
        job.n = 4 * d;
        measure(name, "nt fc1", run_nt, 4 * square);
        measure(name, "fc1+gelu", run_gelu, 4 * square);
        measure(name, "nn fc1", run_nn, 4 * square);
        measure(name, "tn fc1", run_tn, 4 * square);
        job.n = d, job.k = 4 * d;
        measure(name, "nt fc2", run_nt, 4 * square);
        measure(name, "attention", run_attention, 4.0 * TOKENS * TOKENS * d);
        measure(name, "layernorm", run_layernorm, 8.0 * TOKENS * d);
    }
    free(job.w);
    free(job.w_gradient);
    free(job.x);
    free(job.y);
    free(job.scratch);
}

int main(int count, char **arguments) {
    int i = 1;
    for (; i < count && arguments[i][0] == '-'; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            json = 1;
        } else if (strcmp(arguments[i], "--seconds") == 0 && i + 1 < count) {
            seconds = atof(arguments[++i]);
        } else {
            fputs("usage: kernels [--json] [--seconds S] [TABLE...]\n", stderr);
            return 2;
        }
    }
    if (i == count)
        for (int table = 0; vit_kernels_at(table); table++)
            bench(vit_kernels_at(table));
    for (; i < count; i++) {
        const vit_kernels *kernels = vit_kernels_find(arguments[i]);
        if (!kernels) {
            fprintf(stderr, "%s: this host has no such kernels\n", arguments[i]);
            return 1;
        }
        bench(kernels);
    }
    return 0;
}
