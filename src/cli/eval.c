#include "../vit_train.h"
#include "class_names.h"
#include "commands.h"
#include "engine.h"
#include "limits.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_eval_command = {
    .name = "eval",
    .summary = "accuracy on a folder of pictures named by class",
    .arguments = "[options] FOLDER|FILE.tar...",
    .details = "The class of a picture is said by the folder right below FOLDER in which it lies: a class index (7, "
               "0007_cock), or a label of the model (cock; case and _ for a space do not matter). Where there are "
               "exactly as many such folders as classes and none of their names can be read that way (n01440764, ...), their sorted "
               "order is the order of the classes. The name of a picture right in FOLDER begins with the class index: "
               "0007_cock.jpg. Archives of pictures (.tar, or a folder of them), and several arguments, are taken as 'vit train' "
               "takes them. A picture that cannot be read or has no class is named on stderr and left out; exit status 1. "
               "With --unknown it is also measured how well the best score tells these pictures from ones of other things: "
               "AUROC is how often one of these has the higher score, and a score is proposed for 'vit convert --known-percent'.",
    .examples = "  vit eval --model vit.gguf imagenet/val\n"
                "  vit eval --model vit_tiny/ --json photos/\n"
                "  vit eval --model animals.gguf --unknown furniture/ animals/\n",
    .least = 1,
    .most = -1,
};

typedef struct tally {
    int images, top1, top5, skipped;
    float *scores; /* the best of each, [images] */
} tally;

/* A score that is not a number says nothing, so it is never right. */
static void judge(tally *tally, const vit_score *top, int count, int class_index) {
    tally->scores[tally->images++] = isfinite(top->score) ? top->score : 0;
    for (int i = 0; i < count; i++) {
        int right = top[i].index == class_index && isfinite(top[i].score);
        tally->top1 += right && i == 0;
        tally->top5 += right;
    }
}

/* Pictures of files; or of archives, whose paths are CLASS/NUMBER then. */
typedef struct pictures {
    vit_cli_paths paths;
    vit_dataset *archives; /* NULL: files */
} pictures;

static int list_archives(pictures *p, const char *const *data, int count, int is_known) {
    vit_error error;
    if ((is_known ? vit_dataset_open : vit_dataset_open_unlabelled)(&p->archives, data, count, vit_cli_options(), &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return 0;
    }
    vit_cli_tell_left_out(p->archives, is_known);
    const size_t pictures = (size_t)vit_dataset_count(p->archives);
    p->paths.items = calloc(pictures, sizeof *p->paths.items);
    for (; p->paths.items && p->paths.count < pictures; p->paths.count++) {
        const char *class = vit_dataset_class_name(p->archives, vit_dataset_class(p->archives, (int)p->paths.count));
        const size_t size = strlen(class) + 16;
        char *path = p->paths.items[p->paths.count] = malloc(size);
        if (!path)
            break;
        snprintf(path, size, "%s/%zu", class, p->paths.count);
    }
    if (p->paths.count == pictures)
        return 1;
    vit_cli_complain("out of memory for the pictures of %s", data[0]);
    return 0;
}

static vit_status see(vit_cli_engine *engine, const pictures *p, size_t i, vit_error *error) {
    vit_image image;
    if (!p->archives)
        return vit_cli_engine_run(engine, p->paths.items[i], error);
    vit_status status = vit_dataset_picture(p->archives, (int)i, &image, error);
    if (status == VIT_OK) {
        status = vit_cli_engine_see(engine, &image, error);
        vit_image_close(&image);
    }
    return status;
}

/* classes NULL: the pictures are of none. */
static void eval_all(vit_cli_engine *engine, const vit_cli_classes *classes, const pictures *pictures, tally *tally) {
    const vit_cli_paths *paths = &pictures->paths;
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    char why[300], told[sizeof why] = "";
    for (size_t i = 0; i < paths->count; i++) {
        vit_error error;
        vit_score top[5];
        const int class_index = classes ? vit_cli_class_of(classes, paths->items[i], why, sizeof why) : 0;
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        if (class_index >= 0 && see(engine, pictures, i, &error) == VIT_OK) {
            const vit_config *config = vit_model_config(engine->model);
            int count = vit_top_classes(vit_session_logits(engine->session, 0), config->classes, 5, config->multi_label, top);
            judge(tally, top, count, class_index);
            continue;
        }
        tally->skipped++;
        vit_cli_progress_hide(&progress);
        if (class_index >= 0)
            vit_cli_complain("%s", error.text);
        else if (!pictures->archives)
            vit_cli_complain("%s: %s", paths->items[i], why);
        else if (strcmp(why, told) != 0) { /* of pictures that have no names here: once for a class */
            vit_cli_complain("%s", why);
            strcpy(told, why);
        }
    }
    vit_cli_progress_hide(&progress);
}

static int eval_pictures(vit_cli_engine *engine, const char *data, const pictures *pictures, int is_known, tally *tally) {
    vit_cli_classes classes = {0};
    int status = VIT_CLI_FAILED;
    tally->scores = malloc((pictures->paths.count + 1) * sizeof *tally->scores);
    if (!tally->scores || (is_known && !vit_cli_classes_open(&classes, engine->model, pictures->archives ? "" : data, &pictures->paths)))
        vit_cli_complain("out of memory for the pictures of %s", data);
    else {
        eval_all(engine, is_known ? &classes : NULL, pictures, tally);
        if (tally->images)
            status = VIT_CLI_OK;
        else
            vit_cli_complain("%s: no picture could be judged", data);
    }
    if (is_known)
        vit_cli_classes_close(&classes);
    return status;
}

/* Every picture below a folder, or in archives, of the model's classes or of something else; several are taken as 'vit
 * train' takes them. 0, or the exit status; tally's scores are freed by the caller. */
static int eval_data(vit_cli_engine *engine, const char *const *all, int count, int is_known, tally *tally) {
    pictures pictures = {0};
    int status = VIT_CLI_FAILED, is_there = 1;
    *tally = (struct tally){0};
    const char *data = all[0];
    const int is_folder = vit_is_folder(data);
    if (count > 1) {
        is_there = list_archives(&pictures, all, count, is_known);
    } else if (is_folder ? vit_cli_holds(data, ".tar") : vit_has_ending(data, ".tar") && vit_cli_is_file(data)) {
        is_there = list_archives(&pictures, all, 1, is_known);
    } else if (!is_folder) {
        vit_cli_complain("%s: %s, expected a folder or a .tar file", data, vit_cli_file_size(data) < 0 ? "no such folder" : "is a file");
        is_there = 0;
    } else {
        tally->skipped = vit_cli_collect_classes(&pictures.paths, data);
    }
    if (is_there)
        status = eval_pictures(engine, data, &pictures, is_known, tally);
    vit_cli_paths_release(&pictures.paths);
    vit_dataset_close(pictures.archives);
    return status;
}

static int compare_scores(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* How well the best score tells known pictures from others; sorts the scores. */
typedef struct separation {
    double auroc;    /* how often a known picture has the higher score; equal ones count half */
    int percent;     /* the highest that 95 % of the known pictures reach */
    double rejected; /* percent of the others that stay below */
} separation;

static separation separate(tally *known, tally *others) {
    separation s = {0};
    double sum = 0;
    int below = 0, equal = 0;
    qsort(known->scores, (size_t)known->images, sizeof *known->scores, compare_scores);
    qsort(others->scores, (size_t)others->images, sizeof *others->scores, compare_scores);
    for (int i = 0; i < known->images; i++) {
        while (below < others->images && others->scores[below] < known->scores[i])
            below++;
        for (equal = 0; below + equal < others->images && others->scores[below + equal] == known->scores[i];)
            equal++;
        sum += below + equal / 2.0;
    }
    s.auroc = sum / known->images / others->images;
    s.percent = (int)(100 * known->scores[known->images / 20]);
    while (s.rejected < others->images && others->scores[(int)s.rejected] * 100 < (float)s.percent)
        s.rejected++;
    s.rejected *= 100.0 / others->images;
    return s;
}

static void print_json(const tally *known, const tally *others, const separation *s) {
    printf("{\"images\":%d,\"top1\":%.6g,\"top5\":%.6g", known->images, 100.0 * known->top1 / known->images,
           100.0 * known->top5 / known->images);
    if (others->images)
        printf(",\"unknown\":%d,\"auroc\":%.4f,\"known_percent\":%d,\"rejected\":%.6g", others->images, s->auroc,
               s->percent, s->rejected);
    printf("}\n");
}

static void print_text(const tally *known, const tally *others, const separation *s) {
    printf("%d pictures  top-1 %.2f %%  top-5 %.2f %%\n", known->images, 100.0 * known->top1 / known->images,
           100.0 * known->top5 / known->images);
    if (others->images)
        printf("%d of other things  AUROC %.4f; --known-percent %d keeps 95 %% of the first and rejects %.2f %% of these\n",
               others->images, s->auroc, s->percent, s->rejected);
}

static int eval(vit_cli_engine *engine, const char *const *data, int count, const char *unknown, int json) {
    tally known, others = {0};
    separation s = {0};
    int status = eval_data(engine, data, count, 1, &known);
    if (status == VIT_CLI_OK && unknown)
        status = eval_data(engine, &unknown, 1, 0, &others);
    if (status == VIT_CLI_OK && unknown)
        s = separate(&known, &others);
    if (status == VIT_CLI_OK)
        (json ? print_json : print_text)(&known, &others, &s);
    if (known.skipped + others.skipped) {
        vit_cli_complain("%d left out", known.skipped + others.skipped);
        status = VIT_CLI_FAILED;
    }
    free(known.scores);
    free(others.scores);
    return status;
}

int vit_cli_eval(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    const char *unknown = NULL;
    int json = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        VIT_CLI_LABELS_OPTION(model),
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object: {\"images\", \"top1\", \"top5\"}, in percent; with --unknown also {\"unknown\" (pictures), \"auroc\", "
         "\"known_percent\", \"rejected\"}"},
        {"unknown", "FOLDER", VIT_CLI_TEXT, &unknown, 0, 0, "pictures of none of the classes"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_eval_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &vit_cli_eval_command, &model, &run);
    if (status == VIT_CLI_OK && vit_model_config(engine.model)->classes == 0) {
        vit_cli_complain("the model has no classification head, so there is nothing to judge");
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK)
        status = eval(&engine, (const char *const *)argv, count, unknown, json);
    vit_cli_engine_close(&engine);
    return status;
}
