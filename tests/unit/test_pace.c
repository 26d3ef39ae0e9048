/* How many threads a session uses, on machines whose times are made up. */
#include "test.h"

#include "../../src/model/pace.h"

enum { LAYERS = 12 };

/* Passes on a machine where a layer takes milliseconds[threads] of one stage; returns how many of its layers had other
 * than `best` threads at the end. */
static int run(vit_pace *pace, const double *milliseconds, int passes) {
    int others = 0;
    for (int pass = 0; pass < passes; pass++) {
        vit_pace_begin(pace);
        for (int layer = 0; layer < LAYERS; layer++) {
            int threads = vit_pace_threads(pace, layer);
            CHECK(threads >= 1 && threads <= pace->threads);
            others += threads != pace->best;
            vit_pace_note(pace, layer, milliseconds[threads]);
        }
        vit_pace_note(pace, -1, 1e6);
        vit_pace_end(pace);
    }
    return others;
}

static void test_two_threads(void) {
    static const double idle[] = {0, 2, 1.05}, busy[] = {0, 2, 2.6}, even[] = {0, 2, 2};
    vit_pace pace = vit_pace_make(2, LAYERS);
    CHECK(run(&pace, idle, 1) == 0 && "no probe in the first pass");
    CHECK(run(&pace, idle, 1000) < 50 && "probes are rare");
    CHECK(pace.best == 2);
    run(&pace, even, 100);
    CHECK(pace.best == 2 && "nothing changes without a gain");
    run(&pace, busy, 40);
    CHECK(pace.best == 1 && "the other core is busy");
    run(&pace, idle, 40);
    CHECK(pace.best == 2 && "the other core is free again");

    pace = vit_pace_make(2, LAYERS);
    run(&pace, busy, 3);
    CHECK(pace.best == 1 && "busy from the start: the first calls decide");

    pace = vit_pace_make(2, LAYERS);
    run(&pace, idle, 1);
    run(&pace, busy, 1);
    run(&pace, idle, 1);
    CHECK(pace.best == 2 && "a disturbance of one pass changes nothing");
}

static void test_many_threads(void) {
    double times[13];
    for (int useful = 1; useful <= 12; useful++) {
        for (int threads = 1; threads <= 12; threads++)
            times[threads] = threads <= useful ? 12.0 / threads : 12.0 / useful * (1 + 0.2 * (threads - useful));
        vit_pace pace = vit_pace_make(12, LAYERS);
        run(&pace, times, 200);
        int best = pace.best;
        CHECK(times[best] <= 2 * 12.0 / useful);
        CHECK(best == 12 || times[best * 2 > 12 ? 12 : best * 2] >= 0.95 * times[best]);
        CHECK(best == 1 || times[best / 2] >= 0.95 * times[best]);
    }
}

static void test_no_choice(void) {
    static const double times[] = {0, 1, 1};
    vit_pace alone = vit_pace_make(1, LAYERS), single = vit_pace_make(2, 1);
    CHECK(run(&alone, times, 100) == 0 && alone.best == 1);
    for (int pass = 0; pass < 100; pass++) {
        vit_pace_begin(&single);
        CHECK(vit_pace_threads(&single, 0) == 2);
        vit_pace_note(&single, 0, 1);
        vit_pace_end(&single);
    }
}

/* A pass that ends in the middle says nothing. */
static void test_cancelled(void) {
    static const double busy[] = {0, 2, 2.6};
    vit_pace pace = vit_pace_make(2, LAYERS);
    run(&pace, busy, 1);
    for (int pass = 0; pass < 100; pass++) {
        vit_pace_begin(&pace);
        CHECK(pace.probe == 1);
        for (int layer = 0; layer < 6; layer++)
            vit_pace_note(&pace, layer, vit_pace_threads(&pace, layer));
    }
    CHECK(pace.best == 2);
    run(&pace, busy, 100);
    CHECK(pace.best == 1);
}

TEST_MAIN(TEST(test_two_threads), TEST(test_many_threads), TEST(test_no_choice), TEST(test_cancelled))
