/* How long few-shot fits and searches take, of features as ViT-Ti's: milliseconds, the least of a few. */
#include "../../src/base/clock.h"
#include "../../src/vit_tasks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 192, CLASSES = 5, EXAMPLES = 500, VECTORS = 100000, RUNS = 8 };

static float noise(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return (float)(*state >> 8) / 8388608.0f - 1;
}

static vit_probe *make_probe(void) {
    vit_probe *probe;
    uint32_t state = 1;
    if (vit_probe_open(&probe, WIDTH, "bench", NULL, NULL) != VIT_OK)
        exit(1);
    for (int i = 0; i < EXAMPLES; i++) {
        float x[WIDTH];
        const char label[2] = {(char)('a' + i % CLASSES)};
        for (int d = 0; d < WIDTH; d++)
            x[d] = 2 * noise(&state) + sinf((float)(d * (i % CLASSES + 1)));
        if (vit_probe_add(probe, label, x, NULL, NULL) != VIT_OK)
            exit(1);
    }
    return probe;
}

static double time_fit(vit_probe *probe, double l2) {
    double least = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        const double begin = vit_now_ms();
        if (vit_probe_fit(probe, l2, NULL) != VIT_OK)
            exit(1);
        least = fmin(least, vit_now_ms() - begin);
    }
    return least;
}

static double time_search(void) {
    float *vectors = malloc((size_t)VECTORS * WIDTH * sizeof *vectors);
    uint32_t state = 2;
    double least = INFINITY;
    vit_score top[10];
    if (!vectors)
        exit(1);
    for (size_t i = 0; i < (size_t)VECTORS * WIDTH; i++)
        vectors[i] = noise(&state);
    for (int run = 0; run < RUNS; run++) {
        const double begin = vit_now_ms();
        if (vit_nearest(vectors, VECTORS, WIDTH, vectors + 77 * WIDTH, 10, top) != 10 || top[0].index != 77)
            exit(1);
        least = fmin(least, vit_now_ms() - begin);
    }
    free(vectors);
    return least;
}

int main(void) {
    vit_probe *probe = make_probe();
    printf("few-shot, %d examples of %d classes, %d wide, given l2: %.2f ms\n", EXAMPLES, CLASSES, WIDTH,
           time_fit(probe, 1024));
    printf("the same, l2 by leave-one-out: %.2f ms\n", time_fit(probe, 0));
    vit_probe_close(probe);
    printf("search, %d vectors of %d: %.2f ms\n", VECTORS, WIDTH, time_search());
    return 0;
}
