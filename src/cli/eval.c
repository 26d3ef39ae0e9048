#include "class_names.h"
#include "commands.h"
#include "engine.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>

static const vit_cli_command command = {
    .name = "eval",
    .summary = "accuracy on a folder of pictures named by class",
    .arguments = "[options] FOLDER",
    .details = "The class of a picture is said by the folder right below FOLDER in which it lies: a class index (7, "
               "0007_cock), or a label of the model (cock; case and _ for a space do not matter). Where there are "
               "exactly as many such folders as classes and no name can be read so (n01440764, ...), their sorted "
               "order is the order of the classes. The name of a picture right in FOLDER begins with the class index: "
               "0007_cock.jpg. A picture that cannot be read or has no class is named on stderr and left out; exit "
               "status 1.",
    .examples = "  vit eval --model vit.gguf imagenet/val\n"
                "  vit eval --model vit_tiny/ --json photos/\n",
    .least = 1,
    .most = 1,
};

typedef struct tally {
    int images, top1, top5, skipped;
} tally;

/* A score that is not a number says nothing, so it is never right. */
static void judge(tally *tally, const vit_score *top, int count, int class_index) {
    tally->images++;
    for (int i = 0; i < count; i++) {
        int right = top[i].index == class_index && isfinite(top[i].score);
        tally->top1 += right && i == 0;
        tally->top5 += right;
    }
}

static void eval_all(vit_cli_engine *engine, const vit_cli_classes *classes, const vit_cli_paths *paths, tally *tally) {
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    for (size_t i = 0; i < paths->count; i++) {
        vit_error error;
        vit_score top[5];
        char why[300];
        int class_index = vit_cli_class_of(classes, paths->items[i], why, sizeof why);
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        if (class_index >= 0 && vit_cli_engine_run(engine, paths->items[i], &error) == VIT_OK) {
            int classes_count = vit_model_config(engine->model)->classes;
            int count = vit_top_classes(vit_session_logits(engine->session, 0), classes_count, 5, top);
            judge(tally, top, count, class_index);
            continue;
        }
        tally->skipped++;
        vit_cli_progress_hide(&progress);
        if (class_index < 0)
            vit_cli_complain("%s: %s", paths->items[i], why);
        else
            vit_cli_complain("%s", error.text);
    }
    vit_cli_progress_hide(&progress);
}

static int eval_folder(vit_cli_engine *engine, const char *folder, int json) {
    vit_cli_paths paths = {0};
    vit_cli_classes classes;
    tally tally = {0};
    if (!vit_cli_is_folder(folder)) {
        vit_cli_complain("%s: %s, expected a folder", folder,
                         vit_cli_file_size(folder) < 0 ? "no such folder" : "is a file");
        return VIT_CLI_FAILED;
    }
    tally.skipped = vit_cli_collect(&paths, folder);
    if (!vit_cli_classes_open(&classes, engine->model, folder, &paths))
        vit_cli_complain("out of memory for the names of classes");
    else
        eval_all(engine, &classes, &paths, &tally);
    vit_cli_classes_close(&classes);
    vit_cli_paths_release(&paths);
    if (tally.images == 0) {
        vit_cli_complain("%s: no picture could be judged", folder);
        return VIT_CLI_FAILED;
    }
    double top1 = 100.0 * tally.top1 / tally.images, top5 = 100.0 * tally.top5 / tally.images;
    if (json)
        printf("{\"images\":%d,\"top1\":%.6g,\"top5\":%.6g}\n", tally.images, top1, top5);
    else
        printf("%d pictures  top-1 %.2f %%  top-5 %.2f %%\n", tally.images, top1, top5);
    if (tally.skipped)
        vit_cli_complain("%d left out", tally.skipped);
    return tally.skipped ? VIT_CLI_FAILED : VIT_CLI_OK;
}

int vit_cli_eval(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    int json = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        VIT_CLI_LABELS_OPTION(model),
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object: {\"images\", \"top1\", \"top5\"}, in percent"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &command, &model, &run);
    if (status == VIT_CLI_OK && vit_model_config(engine.model)->classes == 0) {
        vit_cli_complain("the model has no classification head, so there is nothing to judge");
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK)
        status = eval_folder(&engine, argv[0], json);
    vit_cli_engine_close(&engine);
    return status;
}
