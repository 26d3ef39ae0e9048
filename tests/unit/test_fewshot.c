/* Few-shot probes: closed forms against brute force, examples and classes that come and go, files. The fit's numbers
 * are checked against the goldens. */
#include "test.h"

#include "../../src/base/clock.h"
#include "../../src/base/memory.h"
#include "../../src/tasks/least_squares.h"
#include "../../src/vit_tasks.h"

#include <unistd.h>

#define PATH "build/test_fewshot.safetensors"

static vit_error error;

/* Values around a centre of the class, the same for the same seed. */
static void fill(float *x, int32_t *classes, int examples, int width, int classes_count, double spread) {
    uint32_t state = 12345;
    for (int i = 0; i < examples; i++) {
        classes[i] = i * 7 % classes_count;
        for (int d = 0; d < width; d++) {
            state = state * 1664525 + 1013904223;
            x[i * width + d] = (float)(sin(classes[i] * 2.1 + d) + spread * ((state >> 8) / 8388608.0 - 1) + 0.5);
        }
    }
}

/* ---- Leaving one out ---- */

enum { MOST = 48 };

/* Gauss on [n,n+k], the slow way. */
static void solve(double *a, int n, int k) {
    const int stride = n + k;
    for (int c = 0; c < n; c++) {
        int pivot = c;
        for (int r = c; r < n; r++)
            pivot = fabs(a[r * stride + c]) > fabs(a[pivot * stride + c]) ? r : pivot;
        for (int j = 0; j < stride; j++) {
            double kept = a[c * stride + j];
            a[c * stride + j] = a[pivot * stride + j];
            a[pivot * stride + j] = kept;
        }
        for (int r = 0; r < n; r++) {
            const double factor = r == c ? 0 : a[r * stride + c] / a[c * stride + c];
            for (int j = 0; j < stride; j++)
                a[r * stride + j] -= factor * a[c * stride + j];
        }
    }
    for (int c = 0; c < n; c++)
        for (int j = n; j < stride; j++)
            a[c * stride + j] /= a[c * stride + c];
}

/* How many of the examples a fit without them is right about; mean and scale are of all. */
static int brute_force(const float *x, const int32_t *classes, int examples, int width, int count,
                       const vit_classifier *all, double l2, double *error) {
    static double z[MOST][MOST], a[MOST * (MOST + 8)];
    int right = 0;
    *error = 0;
    for (int i = 0; i < examples; i++) {
        for (int d = 0; d < width; d++)
            z[i][d] = (x[i * width + d] - all->mean[d]) / all->scale[d];
        z[i][width] = 100;
    }
    for (int out = 0; out < examples; out++) {
        const int side = width + 1, stride = side + count;
        for (int r = 0; r < side; r++)
            for (int c = 0; c < stride; c++) {
                double sum = r == c ? l2 : 0;
                for (int i = 0; i < examples; i++)
                    sum += i == out ? 0 : z[i][r] * (c < side ? z[i][c] : classes[i] == c - side ? 1 : -1);
                a[r * stride + c] = sum;
            }
        solve(a, side, count);
        int best = 0;
        double most = -1e300;
        for (int k = 0; k < count; k++) {
            double score = 0;
            for (int r = 0; r < side; r++)
                score += z[out][r] * a[r * stride + side + k];
            *error += pow(score - (classes[out] == k ? 1 : -1), 2);
            if (score > most) {
                most = score;
                best = k;
            }
        }
        right += best == classes[out];
    }
    return right;
}

static void check_leave_one_out(int examples, int width, int classes_count, double spread) {
    float x[MOST * MOST];
    int32_t classes[MOST];
    double room[2 * MOST + 8 * MOST + 8];
    vit_classifier fit = {room, room + MOST, room + 2 * MOST, room + 2 * MOST + 8 * MOST, 0, 0};
    const vit_allocator allocator = vit_default_options().allocator;
    int right_then = -1, most = 0;
    double least = INFINITY, best = 0;
    fill(x, classes, examples, width, classes_count, spread);
    for (double l2 = VIT_L2_LEAST; l2 <= VIT_L2_MOST; l2 *= 4) {
        CHECK_STATUS(VIT_OK,
                     vit_least_squares(&fit, x, classes, examples, width, classes_count, l2, &allocator, &error));
        CHECK(fit.l2 == l2);
        double squares;
        const int right = brute_force(x, classes, examples, width, classes_count, &fit, l2, &squares);
        if (!CHECK(fit.right == right))
            printf("%d examples, %d wide, l2 %g: %d right, brute force %d\n", examples, width, l2, fit.right, right);
        most = right > most ? right : most;
        if (squares < least) {
            least = squares;
            best = l2;
            right_then = right;
        }
    }
    CHECK_STATUS(VIT_OK, vit_least_squares(&fit, x, classes, examples, width, classes_count, 0, &allocator, &error));
    CHECK(fit.l2 == best && fit.right == right_then);
    CHECK(most < examples || spread < 2); /* the case is a hard one */
}

static void test_leave_one_out(void) {
    check_leave_one_out(40, 6, 3, 3);   /* primal */
    check_leave_one_out(40, 6, 3, 6);
    check_leave_one_out(21, 20, 2, 4);  /* as many examples as columns */
    check_leave_one_out(20, 20, 2, 4);  /* one fewer: dual */
    check_leave_one_out(15, 31, 5, 3);
    check_leave_one_out(4, 10, 2, 1);
}

/* ---- Probes ---- */

enum { WIDTH = 12 };

static const char *const names[] = {"rose", "t\xc3\xbclip", "a \"quoted\"\nname"};

static vit_probe *make_probe(int examples, float x[][WIDTH], int32_t *classes) {
    vit_probe *probe;
    fill(x[0], classes, examples, WIDTH, 3, 1.5);
    CHECK_STATUS(VIT_OK, vit_probe_open(&probe, WIDTH, "0123456789abcdef-head", NULL, &error));
    for (int i = 0; i < examples; i++) {
        int id;
        CHECK_STATUS(VIT_OK, vit_probe_add(probe, names[classes[i]], x[i], &id, &error));
        CHECK(id == i);
    }
    return probe;
}

static void check_same_scores(const vit_probe *a, const vit_probe *b, float x[][WIDTH], int count) {
    for (int i = 0; i < count; i++) {
        float one[8], two[8];
        const int classes = vit_probe_get_info(a).classes;
        CHECK_STATUS(VIT_OK, vit_probe_score(a, x[i], one, &error));
        CHECK_STATUS(VIT_OK, vit_probe_score(b, x[i], two, &error));
        CHECK(memcmp(one, two, (size_t)classes * sizeof *one) == 0);
    }
}

static void test_probe(void) {
    float x[40][WIDTH], scores[8];
    int32_t classes[40];
    vit_probe *probe = make_probe(30, x, classes);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_score(probe, x[0], scores, &error));
    CHECK_MENTIONS(error.text, "not fitted");
    vit_probe *empty = make_probe(0, x, classes);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_score(empty, x[0], scores, &error));
    CHECK_MENTIONS(error.text, "no examples");
    vit_probe_close(empty);
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 0, &error));
    vit_probe_info info = vit_probe_get_info(probe);
    CHECK(info.fitted && info.classes == 3 && info.examples == 30 && info.width == WIDTH && info.right > 20);
    CHECK_STRING(info.backbone, "0123456789abcdef-head");
    CHECK_STRING(vit_probe_label(probe, 1), names[classes[1]]);
    CHECK(vit_probe_label(probe, 3) == NULL && vit_probe_label(probe, -1) == NULL && vit_probe_count(probe, 3) == 0);
    CHECK(vit_probe_count(probe, 0) == 10);
    int right = 0;
    for (int i = 0; i < 30; i++) {
        CHECK_STATUS(VIT_OK, vit_probe_score(probe, x[i], scores, &error));
        int best = 0;
        for (int k = 1; k < 3; k++)
            best = scores[k] > scores[best] ? k : best;
        right += strcmp(vit_probe_label(probe, best), names[classes[i]]) == 0;
    }
    CHECK(right >= 29);

    /* examples that go leave what there would be without them */
    CHECK_STATUS(VIT_OK, vit_probe_remove(probe, 29, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_remove(probe, 29, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_remove(probe, -1, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_score(probe, x[0], scores, &error));
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 4, &error));
    float again[40][WIDTH];
    vit_probe *fewer = make_probe(29, again, classes);
    CHECK_STATUS(VIT_OK, vit_probe_fit(fewer, 4, &error));
    check_same_scores(probe, fewer, x, 30);
    vit_probe_close(fewer);

    /* classes too; ids go on */
    CHECK_STATUS(VIT_OK, vit_probe_remove_class(probe, names[classes[0]], &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_remove_class(probe, names[classes[0]], &error));
    info = vit_probe_get_info(probe);
    CHECK(info.classes == 2 && info.examples == 19 && !info.fitted);
    CHECK_STRING(vit_probe_label(probe, 0), names[classes[1]]);
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 4, &error));
    CHECK_STATUS(VIT_OK, vit_probe_open(&fewer, WIDTH, "b", NULL, &error));
    for (int i = 0; i < 29; i++)
        if (classes[i] != classes[0])
            CHECK_STATUS(VIT_OK, vit_probe_add(fewer, names[classes[i]], x[i], NULL, &error));
    CHECK_STATUS(VIT_OK, vit_probe_fit(fewer, 4, &error));
    check_same_scores(probe, fewer, x, 30);
    vit_probe_close(fewer);
    int id;
    CHECK_STATUS(VIT_OK, vit_probe_add(probe, "new", x[0], &id, &error));
    CHECK(id == 30 && vit_probe_get_info(probe).classes == 3);

    /* what is done to a copy leaves the probe; both go on alike */
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 4, &error));
    CHECK_STATUS(VIT_OK, vit_probe_copy(&fewer, probe, &error));
    CHECK(!vit_probe_get_info(fewer).fitted);
    CHECK_STATUS(VIT_OK, vit_probe_fit(fewer, 4, &error));
    check_same_scores(probe, fewer, x, 30);
    CHECK_STATUS(VIT_OK, vit_probe_add(fewer, "other", x[1], &id, &error));
    CHECK(id == 31);
    CHECK_STATUS(VIT_OK, vit_probe_remove(fewer, 30, &error));
    CHECK_STRING(vit_probe_label(fewer, 2), "other");
    CHECK_STRING(vit_probe_label(probe, 2), "new");
    CHECK(vit_probe_get_info(probe).fitted && vit_probe_get_info(probe).examples == 20);
    vit_probe_close(fewer);
    CHECK_STATUS(VIT_OK, vit_probe_remove(probe, 30, &error));
    CHECK(vit_probe_get_info(probe).classes == 2); /* a class goes with its last example */
    vit_probe_close(probe);
}

static void test_probe_errors(void) {
    vit_probe *probe;
    float x[WIDTH] = {0}, scores[4];
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_open(&probe, 0, "b", NULL, &error));
    CHECK(probe == NULL);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_open(&probe, 4, "a text of more than thirty-one letters", NULL, &error));
    CHECK_STATUS(VIT_OK, vit_probe_open(&probe, WIDTH, "b", NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_fit(probe, 0, &error));
    CHECK_MENTIONS(error.text, "no examples");
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_vote(probe, x, 1, scores, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_add(probe, "", x, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_add(probe, "\xff", x, NULL, &error));
    CHECK_MENTIONS(error.text, "UTF-8");
    x[3] = NAN;
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_add(probe, "a", x, NULL, &error));
    CHECK_MENTIONS(error.text, "feature 3");
    CHECK(vit_probe_get_info(probe).classes == 0);
    x[3] = 0;
    CHECK_STATUS(VIT_OK, vit_probe_add(probe, "a", x, NULL, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_fit(probe, -1, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_fit(probe, INFINITY, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_fit(probe, NAN, &error));
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 0, &error)); /* one example, one class */
    CHECK(vit_probe_get_info(probe).l2 == 1024);
    CHECK_STATUS(VIT_OK, vit_probe_score(probe, x, scores, &error));
    CHECK(scores[0] > 0);
    void *bytes;
    size_t size;
    CHECK_STATUS(VIT_OK, vit_probe_add(probe, "a", x, NULL, &error)); /* the same again: no deviation */
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_encode(probe, &bytes, &size, &error));
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 1e-3, &error));
    CHECK_STATUS(VIT_OK, vit_probe_score(probe, x, scores, &error));
    CHECK_CLOSE(scores[0], 1, 1e-6);
    vit_probe_close(probe);
    vit_probe_close(NULL);
}

static void test_vote(void) {
    float x[40][WIDTH], scores[4];
    int32_t classes[40];
    vit_probe *probe = make_probe(30, x, classes);
    for (int neighbours = 1; neighbours <= 40; neighbours += 13) {
        CHECK_STATUS(VIT_OK, vit_probe_vote(probe, x[35 % 30], neighbours, scores, &error));
        double cosines[30], expected[3] = {0}, all = 0;
        int order[30];
        for (int i = 0; i < 30; i++) {
            double ab = 0, aa = 0, bb = 0;
            for (int d = 0; d < WIDTH; d++) {
                ab += (double)x[5][d] * x[i][d];
                aa += (double)x[5][d] * x[5][d];
                bb += (double)x[i][d] * x[i][d];
            }
            cosines[i] = ab / sqrt(aa * bb);
            int place = i;
            for (; place > 0 && cosines[i] > cosines[order[place - 1]]; place--)
                order[place] = order[place - 1];
            order[place] = i;
        }
        for (int i = 0; i < neighbours && i < 30; i++) {
            const double votes = exp(cosines[order[i]] / 0.07);
            for (int k = 0; k < 3; k++)
                expected[k] += strcmp(vit_probe_label(probe, k), names[classes[order[i]]]) == 0 ? votes : 0;
            all += votes;
        }
        for (int k = 0; k < 3; k++)
            CHECK_CLOSE(scores[k], expected[k] / all, 1e-5);
    }
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_vote(probe, x[0], 0, scores, &error));
    vit_probe_close(probe);
}

/* ---- Trials ---- */

static void test_trials(void) {
    float x[40][WIDTH];
    int32_t classes[40];
    vit_probe *probe = make_probe(40, x, classes), *drawn;
    int chosen[15], other[15], seen[40] = {0};
    vit_trial_result result, same;
    for (int repeat = 0; repeat < 30; repeat++) {
        CHECK_STATUS(VIT_OK, vit_probe_try(probe, 5, 2, 3, 9, repeat, chosen, &result, &error));
        CHECK(result.others == 25 && result.l2 == 2);
        CHECK_STATUS(VIT_OK, vit_probe_open(&drawn, WIDTH, "b", NULL, &error));
        int is_chosen[40] = {0}, right = 0, right_by_votes = 0;
        for (int i = 0; i < 15; i++) {
            CHECK_STATUS(VIT_OK, vit_probe_add(drawn, names[classes[chosen[i]]], x[chosen[i]], NULL, &error));
            is_chosen[chosen[i]]++;
            seen[chosen[i]]++;
        }
        CHECK_STATUS(VIT_OK, vit_probe_fit(drawn, 2, &error));
        CHECK(vit_probe_count(drawn, 0) == 5 && vit_probe_count(drawn, 1) == 5 && vit_probe_count(drawn, 2) == 5);
        for (int i = 0; i < 40; i++) {
            float scores[2][3];
            CHECK(is_chosen[i] <= 1);
            if (is_chosen[i])
                continue;
            CHECK_STATUS(VIT_OK, vit_probe_score(drawn, x[i], scores[0], &error));
            CHECK_STATUS(VIT_OK, vit_probe_vote(drawn, x[i], 3, scores[1], &error));
            int best[2] = {0, 0};
            for (int way = 0; way < 2; way++)
                for (int k = 1; k < 3; k++)
                    best[way] = scores[way][k] > scores[way][best[way]] ? k : best[way];
            right += strcmp(vit_probe_label(drawn, best[0]), names[classes[i]]) == 0;
            right_by_votes += strcmp(vit_probe_label(drawn, best[1]), names[classes[i]]) == 0;
        }
        CHECK(right == result.right && right_by_votes == result.right_by_votes);
        vit_probe_close(drawn);
    }
    for (int i = 0; i < 40; i++) /* 11 times expected, deviation 2.6 */
        CHECK(seen[i] >= 3 && seen[i] <= 21);
    CHECK_STATUS(VIT_OK, vit_probe_try(probe, 5, 2, 3, 9, 29, other, &same, &error));
    CHECK(memcmp(chosen, other, sizeof chosen) == 0 && memcmp(&result, &same, sizeof same) == 0);
    CHECK_STATUS(VIT_OK, vit_probe_try(probe, 5, 2, 3, 10, 29, other, &same, &error));
    CHECK(memcmp(chosen, other, sizeof chosen) != 0);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_try(probe, 13, 2, 3, 9, 0, NULL, &same, &error));
    CHECK_MENTIONS(error.text, "13 shots leave none");
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_try(probe, 0, 2, 3, 9, 0, NULL, &same, &error));
    CHECK_STATUS(VIT_OK, vit_probe_try(probe, 12, 0, 3, 9, 0, NULL, &same, &error));
    CHECK(same.others == 4 && same.l2 > 0);
    vit_probe_close(probe);
}

/* ---- Files ---- */

static void test_file(void) {
    float x[40][WIDTH];
    int32_t classes[40];
    vit_probe *probe = make_probe(30, x, classes), *loaded;
    CHECK_STATUS(VIT_OK, vit_probe_remove(probe, 0, &error)); /* now the first class is not that of the first example */
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 0, &error));
    CHECK_STATUS(VIT_OK, vit_probe_save(probe, PATH, &error));
    if (CHECK_STATUS(VIT_OK, vit_probe_load(&loaded, PATH, NULL, &error))) {
        vit_probe_info a = vit_probe_get_info(probe), b = vit_probe_get_info(loaded);
        CHECK(b.fitted && a.l2 == b.l2 && a.right == b.right && a.classes == b.classes && a.examples == b.examples);
        CHECK_STRING(b.backbone, a.backbone);
        for (int k = 0; k < 3; k++)
            CHECK_STRING(vit_probe_label(loaded, k), vit_probe_label(probe, k));
        check_same_scores(probe, loaded, x, 30);
        CHECK_STATUS(VIT_OK, vit_probe_add(probe, "new", x[3], NULL, &error)); /* both go on alike */
        CHECK_STATUS(VIT_OK, vit_probe_add(loaded, "new", x[3], NULL, &error));
        CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 0, &error));
        CHECK_STATUS(VIT_OK, vit_probe_fit(loaded, 0, &error));
        check_same_scores(probe, loaded, x, 30);
        vit_probe_close(loaded);
    }
    vit_probe_close(probe);
    CHECK_STATUS(VIT_ERR_IO, vit_probe_load(&loaded, "build/no such file", NULL, &error));
    unlink(PATH);
}

/* Every byte of a file is changed, and every length tried: an error or a probe that can be used, and nothing else. */
/* Whatever is fitted can be saved and is read again. */
static void test_large_features(void) {
    static const float scales[] = {1, 1e9f, 1e11f, 1e20f, 3e37f};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        float x[6][WIDTH];
        int32_t classes[6];
        vit_probe *probe = make_probe(6, x, classes), *large = NULL, *again = NULL;
        void *bytes;
        size_t size;
        CHECK_STATUS(VIT_OK, vit_probe_open(&large, WIDTH, "test", NULL, &error));
        for (int i = 0; i < 6; i++) {
            for (int d = 0; d < WIDTH; d++)
                x[i][d] *= scales[s];
            CHECK_STATUS(VIT_OK, vit_probe_add(large, names[classes[i]], x[i], NULL, &error));
        }
        if (scales[s] > 1e10f) {
            CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_fit(large, 1, &error));
            CHECK_MENTIONS(error.text, "too large");
            CHECK_STATUS(VIT_ERR_ARGUMENT, vit_probe_encode(large, &bytes, &size, &error));
        } else {
            CHECK_STATUS(VIT_OK, vit_probe_fit(large, 1, &error));
            CHECK_STATUS(VIT_OK, vit_probe_encode(large, &bytes, &size, &error));
            CHECK_STATUS(VIT_OK, vit_probe_decode(&again, "large", bytes, size, NULL, &error));
            vit_release_bytes(NULL, bytes);
        }
        vit_probe_close(again);
        vit_probe_close(large);
        vit_probe_close(probe);
    }
}

static void test_hostile_files(void) {
    float x[8][WIDTH], scores[3];
    int32_t classes[8];
    vit_probe *probe = make_probe(8, x, classes), *loaded;
    void *bytes;
    size_t size;
    CHECK_STATUS(VIT_OK, vit_probe_fit(probe, 1, &error));
    CHECK_STATUS(VIT_OK, vit_probe_encode(probe, &bytes, &size, &error));
    unsigned char *copy = malloc(size);
    for (size_t length = 0; length < size; length += length < 900 ? 1 : 17) {
        memcpy(copy, bytes, length);
        CHECK(vit_probe_decode(&loaded, "f", copy, length, NULL, &error) != VIT_OK && loaded == NULL);
    }
    int refused = 0;
    for (size_t at = 0; at < size; at++) {
        memcpy(copy, bytes, size);
        copy[at] ^= at % 3 == 0 ? 0xff : at % 3 == 1 ? 0x01 : 0x40;
        if (vit_probe_decode(&loaded, "f", copy, size, NULL, &error) != VIT_OK) {
            CHECK(loaded == NULL && error.text[0]);
            refused++;
            continue;
        }
        if (vit_probe_get_info(loaded).classes <= 3 && vit_probe_get_info(loaded).width == WIDTH)
            CHECK_STATUS(VIT_OK, vit_probe_score(loaded, x[0], scores, &error));
        vit_probe_close(loaded);
    }
    CHECK(refused > 500);
    free(copy);
    vit_release_bytes(NULL, bytes);
    vit_probe_close(probe);
}

/* ---- Backbones ---- */

static void test_backbone(void) {
    char one[32], other[32];
    vit_model *model;
    vit_options int8 = vit_default_options();
    int8.compute = VIT_COMPUTE_INT8;
    CHECK_STATUS(VIT_OK, vit_model_open(&model, "tests/golden/forward/timm_cls", NULL, NULL, &error));
    vit_model_backbone(model, &vit_model_config(model)->preprocess, VIT_FEATURE_HEAD, one);
    CHECK(strlen(one) == 21 && strcmp(one + 16, "-head") == 0);
    vit_model_backbone(model, &vit_model_config(model)->preprocess, VIT_FEATURE_MEAN, other);
    CHECK(memcmp(one, other, 17) == 0 && strcmp(other + 17, "mean") == 0);
    for (int i = 0; i < 4; i++) {
        vit_preprocess rules = vit_model_config(model)->preprocess;
        *(int *[]){&rules.height, &rules.width, (int *)&rules.filter, (int *)&rules.crop}[i] += 1;
        vit_model_backbone(model, &rules, VIT_FEATURE_HEAD, other);
        CHECK(strcmp(one, other) != 0);
    }
    CHECK_STATUS(VIT_OK, vit_model_save(model, "build/test_fewshot.gguf", &(vit_save_options){.type = VIT_F16}, &error));
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, vit_model_open(&model, "tests/golden/forward/timm_cls", NULL, &int8, &error));
    vit_model_backbone(model, &vit_model_config(model)->preprocess, VIT_FEATURE_HEAD, other);
    CHECK_STRING(other, one); /* whatever it is computed with */
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, vit_model_open(&model, "build/test_fewshot.gguf", NULL, NULL, &error));
    vit_model_backbone(model, &vit_model_config(model)->preprocess, VIT_FEATURE_HEAD, other);
    CHECK_STRING(other, one); /* and however it is stored */
    vit_model_close(model);
    CHECK_STATUS(VIT_OK, vit_model_open(&model, "tests/golden/forward/timm_no_embed_class", NULL, NULL, &error));
    vit_model_backbone(model, &vit_model_config(model)->preprocess, VIT_FEATURE_HEAD, other);
    CHECK(strcmp(one, other) != 0);
    vit_model_close(model);
    unlink("build/test_fewshot.gguf");
}

TEST_MAIN(TEST(test_leave_one_out), TEST(test_probe), TEST(test_probe_errors), TEST(test_large_features), TEST(test_vote), TEST(test_trials),
          TEST(test_file), TEST(test_hostile_files), TEST(test_backbone))
