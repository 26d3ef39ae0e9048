/* The golden kind fewshot/...: x and classes y of examples, x_test; with each l2 of 2^E the classifier and what it
 * says. */
#include "golden.h"

#include "../src/tasks/least_squares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const vit_tensor_info *must_find(const tensors *file, const char *name) {
    const vit_tensor_info *tensor = tensors_find(file, name);
    if (!tensor)
        die("input.safetensors has no %s", name);
    return tensor;
}

/* The tensor PREFIX.NAME of f32, if the case wants it; from values [rows,columns], or transposed. */
static void store(golden *g, const char *prefix, const char *name, const double *values, int64_t rows, int64_t columns,
                  int transpose) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const int64_t shape[2] = {transpose ? columns : rows, transpose ? rows : columns};
    const int is_vector = rows == 1;
    float *out = golden_result(g, golden_find(g, full), "F32", is_vector ? 1 : 2, is_vector ? shape + 1 : shape);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            out[transpose ? j * rows + i : i * columns + j] = (float)values[i * columns + j];
}

static void store_answers(golden *g, const char *prefix, const vit_classifier *fit, const float *x, int64_t count,
                          int width, int classes) {
    char name[64];
    snprintf(name, sizeof name, "%sscores", prefix);
    float *scores = golden_result(g, golden_find(g, name), "F32", 2, (int64_t[]){count, classes});
    snprintf(name, sizeof name, "%spred", prefix);
    int32_t *pred = golden_result(g, golden_find(g, name), "I32", 1, &count);
    for (int64_t i = 0; i < count; i++, scores += classes) {
        vit_classifier_score(fit, x + i * width, width, classes, scores);
        pred[i] = 0;
        for (int k = 1; k < classes; k++)
            pred[i] = scores[k] > scores[pred[i]] ? k : pred[i];
    }
}

void golden_fewshot(golden *g) {
    vit_error error;
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *x = must_find(&input, "x"), *tests = must_find(&input, "x_test");
    const int32_t *y = tensors_data(&input, must_find(&input, "y"));
    const int examples = (int)x->shape[0], width = (int)x->shape[1];
    int classes = 0;
    for (int i = 0; i < examples; i++)
        classes = y[i] >= classes ? y[i] + 1 : classes;
    double *room = must_alloc((size_t)(2 * width + classes * (width + 1)) * sizeof *room);
    vit_classifier fit = {.mean = room, .scale = room + width, .weights = room + 2 * width,
                          .bias = room + 2 * width + classes * width};
    for (int i = 0; i < golden_count(g); i++) {
        const char *dot = strchr(golden_name(g, i), '.');
        if (!dot || strcmp(dot, ".scores") != 0)
            continue;
        char prefix[32];
        snprintf(prefix, sizeof prefix, "%.*s", (int)(dot - golden_name(g, i)) + 1, golden_name(g, i));
        must(vit_least_squares(&fit, tensors_data(&input, x), y, examples, width, classes,
                               ldexp(1, atoi(strchr(prefix, '^') + 1)), &g->options.allocator, &error),
             &error);
        store(g, prefix, "weights", fit.weights, classes, width, 1);
        store(g, prefix, "bias", fit.bias, 1, classes, 0);
        store_answers(g, prefix, &fit, tensors_data(&input, tests), tests->shape[0], width, classes);
    }
    store(g, "", "mean", fit.mean, 1, width, 0);
    store(g, "", "std_plus_1e-5", fit.scale, 1, width, 0);
    free(room);
    tensors_close(&input);
}
