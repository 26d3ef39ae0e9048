#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const vit_cli_command vit_cli_classify_command = {
    .name = "classify",
    .summary = "what is in pictures: the likeliest classes and scores",
    .arguments = "[options] PATH...",
    .details = "A PATH is a JPEG or PNG file, or a folder: every .jpg, .jpeg and .png below it, sorted by path. "
               "Scores are probabilities that sum up to 1, or of a model for several labels a picture, or for one class, each "
               "its own. A model may know which scores are too low for a picture of its "
               "classes: that is said, and is \"known\" in JSON. A picture that cannot be read is named on stderr, the others are "
               "processed, and the exit status is 1.",
    .examples = "  vit classify --model vit_tiny/ photo.jpg\n"
                "  vit classify --model vit.gguf --top 1 --json photos/ > classes.jsonl\n"
                "  vit classify --model vit.gguf --size 384 --crop-pct 1 photo.jpg\n",
    .least = 1,
    .most = -1,
};

static void print_text(const vit_model *model, const char *path, const vit_score *top, int count) {
    const vit_config *config = vit_model_config(model);
    vit_cli_line(stdout, "%s", path);
    if (!vit_is_known(config, top->score))
        printf("  none of the %d classes that the model knows, the closest are\n", config->classes);
    for (int i = 0; i < count; i++) {
        const char *label = vit_model_label(model, top[i].index);
        if (label)
            vit_cli_line(stdout, "  %.4f  %s", (double)top[i].score, label);
        else
            printf("  %.4f  class %d\n", (double)top[i].score, top[i].index);
    }
}

static void print_json(const vit_model *model, const char *path, const vit_score *top, int count) {
    printf("{\"path\":");
    vit_cli_json_string(stdout, path);
    printf(",\"top\":[");
    for (int i = 0; i < count; i++) {
        printf("%s{\"index\":%d,\"label\":", i ? "," : "", top[i].index);
        vit_cli_json_string(stdout, vit_model_label(model, top[i].index));
        printf(",\"score\":");
        vit_cli_json_float(top[i].score);
        printf("}");
    }
    printf("]");
    if (vit_model_config(model)->known_percent)
        printf(",\"known\":%s", vit_is_known(vit_model_config(model), top->score) ? "true" : "false");
    printf("}\n");
}

/* Returns how many pictures failed. */
static int classify_all(vit_cli_engine *engine, const vit_cli_paths *paths, vit_score *top, int k, int json) {
    const vit_config *config = vit_model_config(engine->model);
    int failed = 0;
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    for (size_t i = 0; i < paths->count; i++) {
        vit_error error;
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        vit_status status = vit_cli_engine_run(engine, paths->items[i], &error);
        vit_cli_progress_hide(&progress);
        if (status != VIT_OK) {
            vit_cli_complain("%s", error.text);
            failed++;
            continue;
        }
        int count = vit_top_classes(vit_session_logits(engine->session, 0), config->classes, k, config->multi_label, top);
        if (!isfinite(top->score)) {
            vit_cli_complain("%s: the model's scores for it are not finite numbers", paths->items[i]);
            failed++;
            continue;
        }
        if (json)
            print_json(engine->model, paths->items[i], top, count);
        else
            print_text(engine->model, paths->items[i], top, count);
        if (!vit_cli_flush())
            break;
    }
    return failed;
}

int vit_cli_classify(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    int k = 5, json = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        VIT_CLI_LABELS_OPTION(model),
        {"top", "K", VIT_CLI_INT, &k, 1, 100000, "how many classes to show (default: 5)"},
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0,
         "one object a line: {\"path\", \"top\": [{\"index\", \"label\", \"score\"}]}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_classify_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    vit_cli_engine engine;
    vit_cli_paths paths = {0};
    vit_score *top = malloc((size_t)k * sizeof *top);
    status = vit_cli_engine_open(&engine, &vit_cli_classify_command, &model, &run);
    if (status == VIT_CLI_OK && !top) {
        vit_cli_complain("out of memory for the best %d classes", k);
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK && vit_model_config(engine.model)->classes == 0) {
        vit_cli_complain("the model has no classification head; 'vit features' can use it");
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK) {
        int failed = vit_cli_collect_all(&paths, count, argv);
        failed += classify_all(&engine, &paths, top, k, json);
        status = failed ? VIT_CLI_FAILED : VIT_CLI_OK;
    }
    vit_cli_paths_release(&paths);
    vit_cli_engine_close(&engine);
    free(top);
    return status;
}
