/* How fast the kernels are: GFLOP/s (of int8: Gop/s) of every table at the shapes of ViT-Ti, S and B with 197 tokens, one
 * thread, and the share of what a register-only loop of multiply-adds reaches, measured alongside.
 *
 *     kernels [--json] [--seconds S] [--model Ti|S|B]...
 *     kernels --peak
 *
 * --json prints one object a line; --seconds is how long each measurement runs (0.3); --peak prints, in GFLOP/s, the
 * best loop of all tables and nothing else. The best run counts: other work on the machine only ever makes a run
 * longer. Pad lanes are not counted as work. */
#include "../../src/base/clock.h"
#include "../../src/kernels/kernels.h"
#include "../../src/vit_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 197, HEAD_WIDTH = 64, WIDEST = 768, MODELS = 3, MOST_PANEL = 32 };

static const struct {
    const char *name;
    int width;
} models[MODELS] = {{"Ti", 192}, {"S", 384}, {"B", 768}};

/* A table of each kind, of one instruction set: f32 always, the others where it is their turn. */
static const vit_kernels *f32;
static const vit_int8_kernels *int8;
static const vit_train_kernels *train;

/* What runs. The matrices are the largest that are needed, with the same few values again and again. */
static int panel, panels, width, n, k;
static vit_epilogue epilogue;
static float *w, *gradient, *x, *y, *scores;
static int8_t *integers;   /* weights */
static char *quantized;    /* panels */
static char *scratch;
static int32_t *whole;     /* sums of rows, zero points */

static int json, chosen[MODELS];
static double seconds = 0.3;

static void *room(size_t bytes) {
    void *block = calloc(1, bytes);
    if (!block) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return block;
}

static vit_gemm layer(int from, int to) {
    return (vit_gemm){.w = w, .bias = w, .x = x, .y = y, .x_stride = (ptrdiff_t)from * panel,
                      .y_stride = (ptrdiff_t)to * panel, .n = n, .k = k, .panels = panels, .tokens = TOKENS,
                      .epilogue = epilogue};
}

static void run_gemm(void) {
    vit_gemm g = layer(k, n);
    f32->gemm_nt(&g, 0, n);
}

static void run_nn(void) {
    vit_gemm g = layer(n, k);
    train->gemm_nn(&g, 0, k);
}

static void run_tn(void) {
    vit_gemm_tn g = {.dy = x, .x = y, .dw = gradient, .dy_stride = (ptrdiff_t)n * panel, .x_stride = (ptrdiff_t)k * panel,
                     .n = n, .k = k, .tokens = TOKENS};
    train->gemm_tn(&g, 0, k);
}

static void run_int8_gemm(void) {
    vit_int8_gemm g = {.w = integers, .w_scale = w, .w_sum = whole, .bias = w, .x = quantized, .x_scale = x,
                       .x_zero = whole, .y = y, .y_stride = (ptrdiff_t)n * panel, .n = n, .k = k, .panels = panels,
                       .epilogue = epilogue};
    int8->gemm(&g, 0, n, scratch);
}

static void run_quantize(void) {
    for (int i = 0; i < panels; i++)
        int8->quantize(x + (ptrdiff_t)i * k * panel, k, quantized, gradient, whole);
}

static int group(int query, int most) {
    return panels - query < most ? 1 : most;
}

static vit_attend attention(void) {
    return (vit_attend){.qkv = x, .out = y, .qkv_stride = 3 * (ptrdiff_t)width * panel,
                        .out_stride = (ptrdiff_t)width * panel, .tokens = TOKENS, .heads = width / HEAD_WIDTH,
                        .head_width = HEAD_WIDTH, .scale = 0.125f};
}

static void run_score(void) {
    vit_attend a = attention();
    for (int h = 0; h < a.heads; h++)
        for (int q = 0, count; q < panels; q += count)
            f32->score(&a, h, q, count = group(q, f32->query_panels), scores);
}

/* Softmax in place makes other scores the next time, as quickly. */
static void run_mix(void) {
    vit_attend a = attention();
    for (int h = 0; h < a.heads; h++)
        for (int q = 0, count; q < panels; q += count)
            f32->mix(&a, h, q, count = group(q, f32->query_panels), scores);
}

static void run_int8_score(void) {
    vit_int8_heads h = {.q = quantized, .k = quantized, .q_scale = x, .q_zero = whole, .k_scale = x, .k_sum = whole,
                        .tokens = TOKENS, .head_width = HEAD_WIDTH};
    for (int head = 0; head < width / HEAD_WIDTH; head++)
        for (int q = 0, count; q < panels; q += count)
            int8->score(&h, q, count = group(q, int8->query_panels), scores);
}

static void run_layernorm(void) {
    f32->layernorm(x, w, w, 1e-6f, width, y, 0, panels);
}

/* Long enough for the coarse clocks of browsers: a million are about 3 milliseconds. */
static double peak_now(int iterations) {
    float sink;
    double start = vit_now_ms(), flops = f32->peak(iterations, &sink);
    return flops / (vit_now_ms() - start) * 1e-6;
}

static void measure(const char *table, const char *model, const char *operation, void (*run)(void), double flops) {
    double best = 1e30, peak = 0, begin = vit_now_ms();
    while (vit_now_ms() - begin < seconds * 1e3) {
        double rate = peak_now(300000), start = vit_now_ms();
        run();
        double elapsed = vit_now_ms() - start;
        best = elapsed < best ? elapsed : best;
        peak = rate > peak ? rate : peak;
    }
    double rate = flops / best * 1e-6;
    if (json)
        printf("{\"kernels\":\"%s\",\"model\":\"%s\",\"operation\":\"%s\",\"ms\":%.5f,\"gflops\":%.2f,\"peak\":%.2f}\n",
               table, model, operation, best, rate, peak);
    else
        printf("%-22s %-3s %-10s %9.4f ms %7.1f GFLOP/s %5.1f %% of %.1f\n", table, model, operation, best, rate,
               100 * rate / peak, peak);
    fflush(stdout);
}

/* The four layers of a block. */
static void measure_layers(const char *table, const char *model, void (*run)(void)) {
    double square = 2.0 * TOKENS * width * width;
    n = 3 * width, k = width, epilogue = VIT_EPILOGUE_STORE;
    measure(table, model, "qkv", run, 3 * square);
    n = width, epilogue = VIT_EPILOGUE_ADD;
    measure(table, model, "proj", run, square);
    n = 4 * width, epilogue = VIT_EPILOGUE_GELU_ERF;
    measure(table, model, "fc1+gelu", run, 4 * square);
    n = width, k = 4 * width, epilogue = VIT_EPILOGUE_ADD;
    memset(y, 0, (size_t)panels * panel * n * sizeof *y); /* the sums of many runs stay small */
    measure(table, model, "fc2", run, 4 * square);
}

static void bench_f32(const char *model) {
    double products = 2.0 * TOKENS * TOKENS * width;
    measure_layers(f32->name, model, run_gemm);
    measure(f32->name, model, "score", run_score, products);
    measure(f32->name, model, "mix", run_mix, products);
    measure(f32->name, model, "layernorm", run_layernorm, 8.0 * TOKENS * width);
}

static void bench_int8(const char *model) {
    measure_layers(int8->name, model, run_int8_gemm);
    measure(int8->name, model, "score", run_int8_score, 2.0 * TOKENS * TOKENS * width);
    k = width;
    measure(int8->name, model, "quantize", run_quantize, 4.0 * TOKENS * width);
}

static void bench_train(const char *model) {
    char name[64];
    snprintf(name, sizeof name, "%s,train", train->name);
    n = 4 * width, k = width, epilogue = VIT_EPILOGUE_STORE;
    measure(name, model, "nn fc1", run_nn, 8.0 * TOKENS * width * width);
    measure(name, model, "tn fc1", run_tn, 8.0 * TOKENS * width * width);
}

static void bench(void (*table)(const char *model), int of_panel) {
    panel = of_panel;
    panels = (TOKENS + panel - 1) / panel;
    for (int m = 0; m < MODELS; m++) {
        width = models[m].width;
        if (chosen[m])
            table(models[m].name);
    }
}

/* The best f32 table of the instruction set that another table is for. */
static const vit_kernels *partner(const char *name) {
    char isa[32];
    snprintf(isa, sizeof isa, "%.*s", (int)strcspn(name, ",:"), name);
    const vit_kernels *kernels = vit_kernels_find(isa);
    return kernels ? kernels : vit_kernels_at(0);
}

static void bench_all(void) {
    size_t rows = (TOKENS + MOST_PANEL - 1) / MOST_PANEL * MOST_PANEL, activations = rows * 4 * WIDEST;
    size_t weights = (size_t)4 * WIDEST * WIDEST;
    w = room(weights * sizeof *w);
    gradient = room(weights * sizeof *gradient);
    x = room(activations * sizeof *x);
    y = room(activations * sizeof *y);
    scores = room(4 * rows * MOST_PANEL * sizeof *scores);
    integers = room(weights);
    quantized = room(2 * activations); /* 16 bits each at most */
    whole = room(4 * WIDEST * sizeof *whole);
    for (size_t i = 0; i < weights; i++) {
        w[i] = (float)(i * 2654435761u % 1000) * 1e-4f - 0.05f;
        integers[i] = (int8_t)(i * 2654435761u % 255 - 127);
    }
    for (size_t i = 0; i < activations; i++)
        x[i] = y[i] = (float)(i * 2654435761u % 1000) * 2e-3f - 1;

    for (int i = 0; (f32 = vit_kernels_at(i)) != NULL; i++)
        bench(bench_f32, f32->panel);
    for (int i = 0; (int8 = vit_int8_kernels_at(i)) != NULL; i++) {
        f32 = partner(int8->name);
        scratch = room(int8->gemm_scratch(4 * WIDEST) + 1);
        bench(bench_int8, int8->panel);
        free(scratch);
    }
    for (int i = 0; (train = vit_train_kernels_at(i)) != NULL; i++) {
        f32 = partner(train->name);
        bench(bench_train, f32->panel);
    }
    void *const blocks[] = {w, gradient, x, y, scores, integers, quantized, whole};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
}

static void print_peak(void) {
    double best = 0;
    for (int i = 0; (f32 = vit_kernels_at(i)) != NULL; i++)
        for (int run = 0; run < 20; run++) {
            double peak = peak_now(3000000);
            best = peak > best ? peak : best;
        }
    printf("%.2f\n", best);
}

static int usage(void) {
    fputs("usage: kernels [--json] [--seconds S] [--model Ti|S|B]... | --peak\n", stderr);
    return 2;
}

int main(int count, char **arguments) {
    int some = 0;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--peak") == 0) {
            print_peak();
            return 0;
        } else if (strcmp(arguments[i], "--json") == 0) {
            json = 1;
        } else if (strcmp(arguments[i], "--seconds") == 0 && i + 1 < count) {
            seconds = atof(arguments[++i]);
        } else if (strcmp(arguments[i], "--model") == 0 && i + 1 < count) {
            int m = 0;
            while (m < MODELS && strcmp(models[m].name, arguments[i + 1]) != 0)
                m++;
            if (m == MODELS)
                return usage();
            chosen[m] = some = 1;
            i++;
        } else {
            return usage();
        }
    }
    for (int m = 0; !some && m < MODELS; m++)
        chosen[m] = 1;
    bench_all();
    return 0;
}
