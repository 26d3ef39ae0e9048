#include "fewshot.h"

#include "paths.h"
#include "chart.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const vit_cli_command command = {
    .name = "fewshot eval",
    .summary = "how many are right after a few examples",
    .arguments = "[options] DIR",
    .details = "Every folder right below DIR is a class. So many pictures of each class as --shots says are drawn at "
               "random, the classifier of 'fewshot fit' is fitted to them and asked about all others; again and again. "
               "Prints mean and standard deviation of the accuracy in percent, and those of a vote of the nearest "
               "examples. A picture that cannot be read is named on stderr and left out; exit status 1.",
    .examples = "  vit fewshot eval --model vit.gguf flowers/\n"
                "  vit fewshot eval --model vit.gguf --shots 1,5,10 --repeats 50 --out curve.png flowers/\n",
    .least = 1,
    .most = 1,
};

enum { MOST_SHOTS = 32 };

typedef struct study {
    const char *shots_text, *out;
    int repeats, seed, neighbours, json;
    double l2;
    int shots[MOST_SHOTS], shots_count;
} study;

/* Mean and deviation of percentages. */
typedef struct summary {
    double sum, squares;
    int count;
} summary;

typedef struct point {
    double mean[2], deviation[2]; /* of the classifier, of the votes */
} point;

static void note(summary *s, double percent) {
    s->sum += percent;
    s->squares += percent * percent;
    s->count++;
}

static double mean_of(const summary *s) {
    return s->sum / s->count;
}

static double deviation_of(const summary *s) {
    const double variance = s->squares / s->count - mean_of(s) * mean_of(s);
    return variance > 0 ? sqrt(variance) : 0;
}

/* Those of 1, 2, 5, 10, ... that leave pictures to judge by. */
static void default_shots(study *study, int smallest) {
    static const int usual[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (usual[i] < smallest)
            study->shots[study->shots_count++] = usual[i];
}

static void print_trial(const int *chosen, int count, const vit_trial_result *result, int first) {
    printf("%s{\"right\":%d,\"right_by_votes\":%d,\"others\":%d,\"l2\":%.17g,\"rows\":[", first ? "" : ",",
           result->right, result->right_by_votes, result->others, result->l2);
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? "," : "", chosen[i]);
    printf("]}");
}

static vit_status try_shots(const study *study, const vit_probe *probe, int shots, int *chosen, point *out,
                            vit_error *error) {
    const int count = shots * vit_probe_get_info(probe).classes;
    summary ways[2] = {{0}};
    if (study->json)
        printf("{\"shots\":%d,\"trials\":[", shots);
    for (int repeat = 0; repeat < study->repeats; repeat++) {
        vit_trial_result result;
        vit_status status = vit_probe_try(probe, shots, study->l2, study->neighbours, (uint64_t)study->seed, repeat,
                                          chosen, &result, error);
        if (status != VIT_OK) {
            if (study->json)
                printf("]}\n"); /* whole all the same, for who reads lines */
            return status;
        }
        note(&ways[0], 100.0 * result.right / result.others);
        note(&ways[1], 100.0 * result.right_by_votes / result.others);
        if (study->json)
            print_trial(chosen, count, &result, repeat == 0);
    }
    for (int way = 0; way < 2; way++) {
        out->mean[way] = mean_of(&ways[way]);
        out->deviation[way] = deviation_of(&ways[way]);
    }
    if (study->json)
        printf("],\"accuracy\":%.6g,\"deviation\":%.6g,\"votes\":{\"accuracy\":%.6g,\"deviation\":%.6g}}\n",
               out->mean[0], out->deviation[0], out->mean[1], out->deviation[1]);
    else
        printf("%5d  %7.2f +- %5.2f  %7.2f +- %5.2f\n", shots, out->mean[0], out->deviation[0], out->mean[1],
               out->deviation[1]);
    fflush(stdout);
    return VIT_OK;
}

static int draw(const study *study, const point *points, const vit_probe_info *info) {
    static const vit_cli_color colors[] = {0xcb4149, 0x2c6f8e};
    static const char *const names[] = {"linear classifier", "nearest examples"};
    double ticks[MOST_SHOTS], least = 100;
    char title[96];
    vit_cli_chart chart;
    for (int i = 0; i < study->shots_count; i++) {
        ticks[i] = study->shots[i];
        for (int way = 0; way < 2; way++)
            least = fmin(least, points[i].mean[way] - points[i].deviation[way]);
    }
    snprintf(title, sizeof title, "Few-shot accuracy: %d classes, %d pictures, %d draws each", info->classes,
             info->examples, study->repeats);
    double first = ticks[0], last = ticks[0];
    for (int i = 1; i < study->shots_count; i++) {
        first = fmin(first, ticks[i]);
        last = fmax(last, ticks[i]);
    }
    const vit_cli_axis x = {"examples of each class", first / 1.2, last * 1.2, ticks, study->shots_count, 1};
    const vit_cli_axis y = {.label = "accuracy, %", .least = fmax(0, floor(least / 10) * 10), .most = 100};
    if (!vit_cli_chart_open(&chart, title, x, y.least < 100 ? y : (vit_cli_axis){y.label, 90, 100, NULL, 0, 0}))
        return VIT_CLI_FAILED;
    for (int way = 1; way >= 0; way--) {
        for (int i = 0; i < study->shots_count; i++) {
            const double mean = points[i].mean[way], deviation = points[i].deviation[way];
            vit_cli_chart_line(&chart, ticks[i], fmax(mean - deviation, 0), ticks[i], fmin(mean + deviation, 100), 2,
                              vit_cli_mix(colors[way], VIT_CLI_WHITE, 0.5));
            if (i)
                vit_cli_chart_line(&chart, ticks[i - 1], points[i - 1].mean[way], ticks[i], mean, 2.5, colors[way]);
            vit_cli_chart_point(&chart, ticks[i], mean, 5, colors[way]);
        }
    }
    for (int way = 0; way < 2; way++)
        vit_cli_chart_legend(&chart, colors[way], names[way]);
    return vit_cli_canvas_save(&chart.canvas, study->out);
}

static int run_study(study *study, const vit_probe *probe) {
    const vit_probe_info info = vit_probe_get_info(probe);
    point points[MOST_SHOTS];
    vit_error error;
    int smallest = info.classes ? vit_probe_count(probe, 0) : 0, most = 0;
    for (int k = 1; k < info.classes; k++)
        smallest = vit_probe_count(probe, k) < smallest ? vit_probe_count(probe, k) : smallest;
    if (info.classes < 2 || smallest < 2) {
        vit_cli_complain("expected two classes or more with two pictures or more each, found %d with at least %d",
                         info.classes, smallest);
        return VIT_CLI_FAILED;
    }
    if (!study->shots_count)
        default_shots(study, smallest);
    for (int i = 0; i < study->shots_count; i++)
        most = study->shots[i] > most ? study->shots[i] : most;
    if (most >= smallest)
        return vit_cli_usage(&command, "--shots %d: the smallest class has %d pictures, and one must be left", most,
                             smallest);
    int *chosen = malloc((size_t)most * (size_t)info.classes * sizeof *chosen);
    vit_status status = chosen ? VIT_OK : VIT_ERR_OUT_OF_MEMORY;
    if (!chosen)
        snprintf(error.text, sizeof error.text, "out of memory");
    if (!study->json && status == VIT_OK)
        printf("shots  linear            nearest %d\n", study->neighbours);
    for (int i = 0; i < study->shots_count && status == VIT_OK; i++)
        status = try_shots(study, probe, study->shots[i], chosen, &points[i], &error);
    free(chosen);
    if (status != VIT_OK)
        return vit_cli_failed(&error);
    return study->out ? draw(study, points, &info) : VIT_CLI_OK;
}

int vit_cli_fewshot_eval(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    study study = {.repeats = 20, .neighbours = 5};
    int count, pool = 0;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"shots", "K,K,...", VIT_CLI_TEXT, &study.shots_text, 0, 0,
         "examples of each class (default: 1,2,5,10,... as far as there are pictures)"},
        {"repeats", "R", VIT_CLI_INT, &study.repeats, 1, 100000, "draws for each number of shots (default: 20)"},
        {"seed", "N", VIT_CLI_INT, &study.seed, 0, 2147483647, "of the draws (default: 0)"},
        {"l2", "X", VIT_CLI_NUMBER, &study.l2, 1e-12, 1e12, "the penalty (default: by leave-one-out, each time)"},
        {"neighbours", "K", VIT_CLI_INT, &study.neighbours, 1, 100000, "that vote, for comparison (default: 5)"},
        VIT_CLI_POOL_OPTION(pool),
        {"out", "O.png", VIT_CLI_TEXT, &study.out, 0, 0, "draw the accuracies"},
        {"json", NULL, VIT_CLI_FLAG, &study.json, 0, 0,
         "one object for each number of shots: {\"shots\", \"trials\": [{\"right\", \"right_by_votes\", \"others\", "
         "\"l2\", \"rows\"}], \"accuracy\", \"deviation\", \"votes\"}; rows are those of 'vit features DIR'"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (study.shots_text)
        study.shots_count = vit_cli_integers(study.shots_text, 1, 1000000, study.shots, MOST_SHOTS);
    if (study.shots_text && !study.shots_count)
        return vit_cli_usage(&command, "--shots '%s': expected up to %d whole numbers, as in 1,5,10", study.shots_text,
                             MOST_SHOTS);
    if ((status = vit_cli_check_png(&command, study.out)) >= 0 || (status = vit_cli_check_kept(&command, study.out, 1, argv)) >= 0)
        return status;
    vit_cli_engine engine;
    vit_probe *probe = NULL;
    int failed = 0;
    status = vit_cli_engine_open(&engine, &command, &model, &run);
    if (status == VIT_CLI_OK)
        status = vit_cli_probe_open(&probe, &command, &engine, (vit_feature)pool);
    if (status == VIT_CLI_OK) {
        failed = vit_cli_probe_add_folder(probe, &engine, (vit_feature)pool, argv[0]);
        status = run_study(&study, probe);
    }
    vit_probe_close(probe);
    vit_cli_engine_close(&engine);
    return status == VIT_CLI_OK && failed ? VIT_CLI_FAILED : status;
}
