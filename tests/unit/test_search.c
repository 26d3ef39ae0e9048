/* The nearest of many vectors. */
#include "test.h"

#include "../../src/vit_tasks.h"

enum { COUNT = 500, WIDTH = 37, MOST = 600 };

static float vectors[COUNT][WIDTH], query[WIDTH];

static void fill(void) {
    uint32_t state = 7;
    for (int i = 0; i < COUNT * WIDTH; i++) {
        state = state * 1664525 + 1013904223;
        vectors[i / WIDTH][i % WIDTH] = (float)(state >> 8) / 8388608.0f - 1;
    }
    for (int i = 0; i < WIDTH; i++)
        query[i] = sinf((float)i);
    memcpy(vectors[301], vectors[300], sizeof vectors[300]);
    memcpy(vectors[17], vectors[300], sizeof vectors[300]);
    memset(vectors[5], 0, sizeof vectors[5]);
}

static void test_unit(void) {
    fill();
    for (int i = 0; i < COUNT; i++) {
        double square = 0;
        float before = vectors[i][3];
        vit_make_unit(vectors[i], WIDTH);
        for (int d = 0; d < WIDTH; d++)
            square += (double)vectors[i][d] * vectors[i][d];
        CHECK_CLOSE(square, i == 5 ? 0 : 1, 1e-6);
        CHECK(before == 0 || (before > 0) == (vectors[i][3] > 0));
    }
    float large[2] = {3e38f, 0};
    vit_make_unit(large, 2);
    CHECK_CLOSE(large[0], 1, 1e-6);
}

static void test_nearest(void) {
    static const int tops[] = {1, 2, 7, 499, 500, MOST};
    static vit_score top[MOST];
    fill();
    for (size_t t = 0; t < sizeof tops / sizeof *tops; t++) {
        const int expected = tops[t] < COUNT ? tops[t] : COUNT;
        CHECK(vit_nearest(vectors[0], COUNT, WIDTH, query, tops[t], top) == expected);
        char seen[COUNT] = {0};
        for (int i = 0; i < expected; i++) {
            double product = 0;
            for (int d = 0; d < WIDTH; d++)
                product += (double)vectors[top[i].index][d] * query[d];
            CHECK_CLOSE(top[i].score, product, 1e-5);
            CHECK(!seen[top[i].index]++);
            CHECK(i == 0 || top[i].score < top[i - 1].score ||
                  (top[i].score == top[i - 1].score && top[i].index > top[i - 1].index));
        }
        for (int i = 0; i < COUNT; i++) { /* none that is better was left out */
            double product = 0;
            for (int d = 0; d < WIDTH; d++)
                product += (double)vectors[i][d] * query[d];
            CHECK(seen[i] || product <= top[expected - 1].score + 1e-5);
        }
    }
    CHECK(vit_nearest(vectors[0], COUNT, WIDTH, vectors[300], 2, top) == 2); /* of three equals the first two */
    CHECK(top[0].index == 17 && top[1].index == 300);
    CHECK(vit_nearest(vectors[0], COUNT, WIDTH, query, 0, top) == 0);
    CHECK(vit_nearest(vectors[0], 0, WIDTH, query, 3, top) == 0);
}

TEST_MAIN(TEST(test_unit), TEST(test_nearest))
