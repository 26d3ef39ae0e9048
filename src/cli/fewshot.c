#include "fewshot.h"

#include "commands.h"
#include "json_out.h"
#include "limits.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What all of them share ---- */

int vit_cli_probe_open(vit_probe **out, const vit_cli_command *command, const vit_cli_engine *engine,
                       vit_feature feature) {
    char backbone[32];
    vit_error error;
    *out = NULL;
    const int status = vit_cli_check_feature(command, engine, feature);
    if (status >= 0)
        return status;
    vit_model_backbone(engine->model, &engine->rules, feature, backbone);
    if (vit_probe_open(out, vit_model_feature_width(engine->model, feature), backbone, vit_cli_options(), &error) == VIT_OK)
        return VIT_CLI_OK;
    return vit_cli_failed(&error);
}

/* The name of the folder right below the root in which a picture lies; NULL if it lies in the root. The caller's. */
static char *label_of(const char *path, size_t root) {
    const char *name = path + root, *slash = strchr(name, '/');
    return slash ? strndup(name, (size_t)(slash - name)) : NULL;
}

static vit_status add_picture(vit_probe *probe, vit_cli_engine *engine, vit_feature feature, const char *path,
                              size_t root, float *row, vit_error *error) {
    char *label = label_of(path, root);
    vit_status status = label ? vit_cli_engine_features(engine, path, feature, row, error) : VIT_ERR_ARGUMENT;
    if (!label)
        snprintf(error->text, sizeof error->text, "%.300s: lies in no folder that names its class", path);
    if (status == VIT_OK)
        status = vit_probe_add(probe, label, row, NULL, error);
    free(label);
    return status;
}

int vit_cli_probe_add_folder(vit_probe *probe, vit_cli_engine *engine, vit_feature feature, const char *folder) {
    vit_cli_paths paths = {0};
    vit_error error;
    float *row = malloc((size_t)vit_model_feature_width(engine->model, feature) * sizeof *row);
    if (!row || !vit_is_folder(folder)) {
        vit_cli_complain("%s: %s", folder,
                         !row ? "out of memory" : vit_cli_file_size(folder) < 0 ? "no such folder"
                                                                              : "is a file, expected a folder");
        free(row);
        return 1;
    }
    int failed = vit_cli_collect_classes(&paths, folder);
    const size_t length = strlen(folder), root = length + (folder[length - 1] != '/');
    vit_cli_progress progress = vit_cli_progress_start((double)paths.count, "pictures");
    for (size_t i = 0; i < paths.count; i++) {
        vit_cli_progress_show(&progress, (double)i, (double)paths.count);
        if (add_picture(probe, engine, feature, paths.items[i], root, row, &error) == VIT_OK)
            continue;
        vit_cli_progress_hide(&progress);
        vit_cli_complain("%s", error.text);
        failed++;
    }
    vit_cli_progress_hide(&progress);
    vit_cli_paths_release(&paths);
    free(row);
    return failed;
}

/* The kind of features that a probe is of; -1 and a complaint if they are of another network. */
static int feature_of(const vit_probe *probe, const vit_cli_engine *engine, const char *path) {
    vit_feature feature;
    vit_error error;
    if (vit_probe_feature(probe, engine->model, &engine->rules, path, &feature, &error) == VIT_OK)
        return (int)feature;
    vit_cli_complain("%s", error.text);
    return -1;
}

static vit_probe *load(const char *path) {
    vit_probe *probe;
    vit_error error;
    if (vit_probe_load(&probe, path, vit_cli_options(), &error) != VIT_OK)
        vit_cli_complain("%s", error.text);
    return probe;
}

/* ---- fit ---- */

static const vit_cli_command fit_command = {
    .name = "fewshot fit",
    .summary = "a classifier from a few pictures of each class",
    .arguments = "[options] --out P DIR",
    .details = "Every folder right below DIR is a class, the pictures in it are its examples. Fits a linear classifier "
               "to their features, writes it to P and says how many examples it would have got right without them "
               "(leave-one-out). A picture that cannot be read is named on stderr and left out; exit status 1.",
    .examples = "  vit fewshot fit --model vit.gguf --out flowers.probe flowers/\n"
                "  vit fewshot fit --model vit.gguf --add flowers.probe --out more.probe trees/\n",
    .least = 1,
    .most = 1,
};

static void report_fit(const vit_probe *probe, int json) {
    const vit_probe_info info = vit_probe_get_info(probe);
    const double percent = 100.0 * info.right / info.examples;
    if (!json) {
        printf("%d class%s, %d example%s  l2 %g  leave-one-out %.2f %%\n", info.classes, info.classes == 1 ? "" : "es",
               info.examples, info.examples == 1 ? "" : "s", info.l2, percent);
        return;
    }
    printf("{\"examples\":%d,\"l2\":%.17g,\"leave_one_out\":%.6g,\"classes\":[", info.examples, info.l2, percent);
    for (int k = 0; k < info.classes; k++) {
        printf("%s{\"label\":", k ? "," : "");
        vit_cli_json_string(stdout, vit_probe_label(probe, k));
        printf(",\"examples\":%d}", vit_probe_count(probe, k));
    }
    printf("]}\n");
}

static int fit(vit_probe *probe, vit_cli_engine *engine, vit_feature feature, const char *folder, double l2,
               const char *out, int json) {
    vit_error error;
    const int failed = vit_cli_probe_add_folder(probe, engine, feature, folder);
    if (vit_probe_get_info(probe).examples == 0) {
        vit_cli_complain("%s: not written, there is no example to learn from", out);
        return VIT_CLI_FAILED;
    }
    if (vit_probe_fit(probe, l2, &error) != VIT_OK || vit_probe_save(probe, out, &error) != VIT_OK)
        return vit_cli_failed(&error);
    report_fit(probe, json);
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

static int run_fit(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    const char *out = NULL, *add = NULL;
    int count, json = 0, pool = -1;
    double l2 = 0;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"out", "P", VIT_CLI_TEXT, &out, 0, 0, "the file to write (safetensors)"},
        {"add", "P", VIT_CLI_TEXT, &add, 0, 0, "begin with the examples of this file"},
        {"l2", "X", VIT_CLI_NUMBER, &l2, 1e-12, 1e12,
         "the penalty (default: the power of 4 from 2^-10 to 2^14 that is best by leave-one-out)"},
        VIT_CLI_POOL_OPTION(pool),
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object: {\"examples\", \"l2\", \"leave_one_out\", \"classes\"}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&fit_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!out)
        return vit_cli_usage(&fit_command, "say where the classifier goes: --out P");
    if (add && pool >= 0)
        return vit_cli_usage(&fit_command, "--pool does not go with --add, whose file says it");
    if ((status = vit_cli_check_kept(&fit_command, out, 1, argv)) >= 0 ||
        (status = vit_cli_check_model_kept(&fit_command, out, &model)) >= 0)
        return status;
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    vit_cli_engine engine;
    vit_probe *probe = NULL;
    int feature = pool < 0 ? VIT_FEATURE_HEAD : pool;
    status = vit_cli_engine_open(&engine, &fit_command, &model, &run);
    if (status == VIT_CLI_OK && add) {
        probe = load(add);
        feature = probe ? feature_of(probe, &engine, add) : -1;
        status = feature < 0 ? VIT_CLI_FAILED : VIT_CLI_OK;
    } else if (status == VIT_CLI_OK) {
        status = vit_cli_probe_open(&probe, &fit_command, &engine, (vit_feature)feature);
    }
    if (status == VIT_CLI_OK)
        status = fit(probe, &engine, (vit_feature)feature, argv[0], l2, out, json);
    vit_probe_close(probe);
    vit_cli_engine_close(&engine);
    return status;
}

/* ---- predict ---- */

static const vit_cli_command predict_command = {
    .name = "fewshot predict",
    .summary = "which of the learnt classes pictures are of",
    .arguments = "[options] --probe P PATH...",
    .details = "A PATH is a JPEG or PNG file, or a folder: every picture below it, sorted by path. The score is near 1 "
               "for the class of a picture and near -1 for others; with --neighbours it is the share of the votes of "
               "the nearest examples. A picture that cannot be read is named on stderr; exit status 1.",
    .examples = "  vit fewshot predict --model vit.gguf --probe flowers.probe new.jpg\n"
                "  vit fewshot predict --model vit.gguf --probe flowers.probe --json --top 1 new/\n",
    .least = 1,
    .most = -1,
};

typedef struct prediction {
    const vit_probe *probe;
    vit_feature feature;
    int top, neighbours, json;
    float *features, *scores;
    vit_score *best; /* [classes]: their order */
} prediction;

static void print_prediction(const prediction *p, const char *path) {
    const int classes = vit_probe_get_info(p->probe).classes, shown = vit_top_classes(p->scores, classes, p->top, 0, p->best);
    if (!p->json)
        vit_cli_line(stdout, "%s", path);
    else
        fputs("{\"path\":", stdout);
    if (p->json)
        vit_cli_json_string(stdout, path);
    fputs(p->json ? ",\"top\":[" : "", stdout);
    for (int i = 0; i < shown; i++) {
        const int best = p->best[i].index;
        const char *label = vit_probe_label(p->probe, best);
        if (!p->json) {
            vit_cli_line(stdout, "  %7.4f  %s", (double)p->scores[best], label);
            continue;
        }
        printf("%s{\"index\":%d,\"label\":", i ? "," : "", best);
        vit_cli_json_string(stdout, label);
        fputs(",\"score\":", stdout);
        vit_cli_json_float(p->scores[best]);
        putchar('}');
    }
    fputs(p->json ? "]}\n" : "", stdout);
}

static vit_status predict_one(const prediction *p, vit_cli_engine *engine, const char *path, vit_error *error) {
    const vit_status status = vit_cli_engine_features(engine, path, p->feature, p->features, error);
    if (status != VIT_OK)
        return status;
    return p->neighbours ? vit_probe_vote(p->probe, p->features, p->neighbours, p->scores, error)
                         : vit_probe_score(p->probe, p->features, p->scores, error);
}

static int predict_all(prediction *p, vit_cli_engine *engine, int count, char **arguments) {
    const vit_probe_info info = vit_probe_get_info(p->probe);
    vit_cli_paths paths = {0};
    int failed = 0;
    p->features = malloc((size_t)info.width * sizeof *p->features);
    p->scores = malloc((size_t)info.classes * sizeof *p->scores);
    p->best = malloc((size_t)info.classes * sizeof *p->best);
    if (!p->features || !p->scores || !p->best) {
        vit_cli_complain("out of memory for %d classes", info.classes);
        return VIT_CLI_FAILED;
    }
    failed += vit_cli_collect_all(&paths, count, arguments);
    vit_cli_progress progress = vit_cli_progress_start((double)paths.count, "pictures");
    for (size_t i = 0; i < paths.count; i++) {
        vit_error error;
        vit_cli_progress_show(&progress, (double)i, (double)paths.count);
        const vit_status status = predict_one(p, engine, paths.items[i], &error);
        vit_cli_progress_hide(&progress);
        if (status == VIT_OK)
            print_prediction(p, paths.items[i]);
        else
            vit_cli_complain("%s", error.text);
        failed += status != VIT_OK;
    }
    vit_cli_paths_release(&paths);
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

static int run_predict(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    prediction p = {.top = 5};
    const char *path = NULL;
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"probe", "P", VIT_CLI_TEXT, &path, 0, 0, "what 'vit fewshot fit' wrote"},
        {"top", "K", VIT_CLI_INT, &p.top, 1, 100000, "how many classes to print (default: 5)"},
        {"neighbours", "K", VIT_CLI_INT, &p.neighbours, 1, 100000,
         "let this many nearest examples vote, instead of the linear classifier"},
        {"json", NULL, VIT_CLI_FLAG, &p.json, 0, 0,
         "one object a line: {\"path\", \"top\": [{\"index\", \"label\", \"score\"}]}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&predict_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!path)
        return vit_cli_usage(&predict_command, "say what was learnt: --probe P");
    vit_probe *probe = load(path);
    if (!probe)
        return VIT_CLI_FAILED;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &predict_command, &model, &run);
    if (status == VIT_CLI_OK) {
        const int feature = feature_of(probe, &engine, path);
        p.probe = probe;
        p.feature = (vit_feature)feature;
        status = feature < 0 ? VIT_CLI_FAILED : predict_all(&p, &engine, count, argv);
    }
    vit_cli_engine_close(&engine);
    vit_probe_close(probe);
    free(p.features);
    free(p.scores);
    free(p.best);
    return status;
}

/* ---- fewshot ---- */

const vit_cli_command vit_cli_fewshot_command = {
    .name = "fewshot",
    .summary = "classes learnt from a few pictures of each, in no time",
    .arguments = "fit|predict|eval [options] ...",
    .details = "fit learns from a folder of folders of pictures, predict tells which class others are of, eval "
               "measures how good it is with few examples. 'vit fewshot KIND --help' says more.",
    .examples = "  vit fewshot fit --model vit.gguf --out flowers.probe flowers/\n"
                "  vit fewshot predict --model vit.gguf --probe flowers.probe new.jpg\n"
                "  vit fewshot eval --model vit.gguf --out curve.png flowers/\n",
    .least = 1,
    .most = -1,
};

int vit_cli_fewshot(int argc, char **argv) {
    static const vit_cli_subcommand kinds[] = {{"fit", run_fit},
                                               {"predict", run_predict},
                                               {"eval", vit_cli_fewshot_eval},
                                               {0}};
    return vit_cli_run_kind(&vit_cli_fewshot_command, kinds, argc, argv);
}
