#include "commands.h"
#include "engine.h"
#include "index_file.h"
#include "json_out.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_search_command = {
    .name = "search",
    .summary = "the pictures that look most like others",
    .arguments = "[options] INDEX|FOLDER [QUERY...]",
    .details = "Prints for each QUERY, a picture or a folder of them, the pictures below FOLDER whose features are "
               "nearest by cosine, the best first; QUERY itself is left out. With --index the features of FOLDER are "
               "kept in a file: pictures that are new or have changed are added to it, one by one, so that a run which "
               "was stopped goes on where it was. An INDEX made so can be searched without the pictures, also for those that were "
               "deleted since; with FOLDER and --index only what is there is found. A picture "
               "that cannot be read is named on stderr; exit status 1.",
    .examples = "  vit search --model vit.gguf photos/ like_this.jpg\n"
                "  vit search --model vit.gguf --index photos.index photos/\n"
                "  vit search --model vit.gguf photos.index like_this.jpg\n",
    .least = 1,
    .most = -1,
};

typedef struct search {
    vit_cli_engine engine;
    vit_cli_index index;
    const char *file;    /* of the index, or NULL */
    vit_feature feature;
    int top, json;
    float *query;        /* [width] */
    float *vectors;      /* [count,width] of what is searched, */
    int *entries;        /* [count] the entries these are of; */
    int count;           /* without a folder both are NULL: all of the index */
} search;

/* The unit vector of a picture, in search->query. */
static vit_status embed(search *search, const char *path, vit_error *error) {
    const vit_status status =
        vit_cli_engine_features(&search->engine, path, search->feature, search->query, error);
    if (status != VIT_OK)
        return status;
    vit_make_unit(search->query, search->index.width);
    for (int i = 0; i < search->index.width; i++)
        if (!isfinite(search->query[i])) {
            snprintf(error->text, sizeof error->text, "%.300s: feature %d is not a finite number", path, i);
            return error->status = VIT_ERR_ARGUMENT;
        }
    return VIT_OK;
}

/* Embeds what is new. Returns how many pictures failed; -1 where it makes no sense to go on. */
static int add_pictures(search *search, const vit_cli_paths *paths) {
    int failed = 0;
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];
        const long long bytes = vit_cli_file_size(path), seconds = vit_cli_file_time(path);
        vit_error error;
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        if (vit_cli_index_knows(&search->index, path, bytes, seconds))
            continue;
        if (embed(search, path, &error) != VIT_OK) {
            vit_cli_progress_hide(&progress);
            vit_cli_complain("%s", error.text);
            failed++;
        } else if (!vit_cli_index_put(&search->index, path, bytes, seconds, search->query)) {
            failed = -1;
            break;
        }
    }
    vit_cli_progress_hide(&progress);
    return failed;
}

/* Of the pictures that are in the folder, what the index has. */
static int choose(search *search, const vit_cli_paths *paths) {
    const size_t width = (size_t)search->index.width;
    if (paths->count < SIZE_MAX / sizeof *search->vectors / width)
        search->vectors = malloc((paths->count + 1) * width * sizeof *search->vectors);
    search->entries = malloc((paths->count + 1) * sizeof *search->entries);
    if (!search->vectors || !search->entries) {
        vit_cli_complain("out of memory for %zu feature vectors", paths->count);
        return 0;
    }
    for (size_t i = 0; i < paths->count; i++) {
        const int found = vit_cli_index_find(&search->index, paths->items[i]);
        if (found < 0)
            continue;
        memcpy(search->vectors + (size_t)search->count * width, search->index.vectors + (size_t)found * width,
               width * sizeof *search->vectors);
        search->entries[search->count++] = found;
    }
    return 1;
}

/* What is searched: a folder's pictures, or an index. Returns how many pictures failed, -1 on failure. */
static int gather(search *search, const char *place, int is_folder, int has_queries) {
    vit_cli_paths paths = {0};
    if (!is_folder) {
        search->count = search->index.count;
        return 0;
    }
    int failed = vit_cli_collect(&paths, place);
    const int added = add_pictures(search, &paths);
    failed = added < 0 || (has_queries && !choose(search, &paths)) ? -1 : failed + added;
    vit_cli_paths_release(&paths);
    return failed;
}

static void print(const search *search, const char *query, const vit_score *nearest, int count) {
    if (search->json) {
        printf("{\"path\":");
        vit_cli_json_string(stdout, query);
        printf(",\"nearest\":[");
    } else {
        vit_cli_line(stdout, "%s", query);
    }
    for (int i = 0, shown = 0; i < count && shown < search->top; i++) {
        const int entry = search->entries ? search->entries[nearest[i].index] : nearest[i].index;
        const char *path = search->index.entries[entry].path;
        if (strcmp(path, query) == 0 || vit_cli_same_file(path, query))
            continue;
        if (search->json) {
            printf("%s{\"path\":", shown ? "," : "");
            vit_cli_json_string(stdout, path);
            printf(",\"score\":");
            vit_cli_json_float(nearest[i].score);
            putchar('}');
        } else {
            vit_cli_line(stdout, "  %7.4f  %s", (double)nearest[i].score, path);
        }
        shown++;
    }
    fputs(search->json ? "]}\n" : "", stdout);
}

/* Returns how many queries failed. */
static int answer(search *search, const vit_cli_paths *queries) {
    enum { SPARE = 4 }; /* names by which the query itself may be there */
    const int most = search->top + SPARE;
    const float *vectors = search->vectors ? search->vectors : search->index.vectors;
    vit_score *nearest = malloc((size_t)most * sizeof *nearest);
    int failed = 0;
    if (!nearest) {
        vit_cli_complain("out of memory for %d results", most);
        return 1;
    }
    for (size_t i = 0; i < queries->count; i++) {
        vit_error error;
        if (embed(search, queries->items[i], &error) != VIT_OK) {
            vit_cli_complain("%s", error.text);
            failed++;
            continue;
        }
        print(search, queries->items[i], nearest,
              vit_nearest(vectors, search->count, search->index.width, search->query, most, nearest));
    }
    free(nearest);
    return failed;
}

static int run_search(search *search, const char *place, int is_folder, int count, char **arguments) {
    vit_cli_paths queries = {0};
    const int width = vit_model_feature_width(search->engine.model, search->feature);
    search->query = malloc((size_t)width * sizeof *search->query);
    if (!search->query) {
        vit_cli_complain("out of memory for a feature vector");
        return VIT_CLI_FAILED;
    }
    if (!vit_cli_index_open(&search->index, is_folder ? search->file : place, &search->engine, search->feature,
                            is_folder ? VIT_CLI_INDEX_WRITE : 0))
        return VIT_CLI_FAILED;
    int failed = gather(search, place, is_folder, count > 0);
    if (failed >= 0)
        failed += vit_cli_collect_all(&queries, count, arguments);
    if (failed >= 0)
        failed += answer(search, &queries);
    vit_cli_paths_release(&queries);
    if (failed >= 0 && count == 0 && !search->json)
        printf("%s: %d pictures\n", search->file, search->index.count);
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

int vit_cli_search(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    search search = {.top = 5};
    int count, pool = 0;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"index", "F", VIT_CLI_TEXT, &search.file, 0, 0, "where the features of FOLDER are kept"},
        {"top", "K", VIT_CLI_INT, &search.top, 1, 100000, "how many pictures to print (default: 5)"},
        VIT_CLI_POOL_OPTION(pool),
        {"json", NULL, VIT_CLI_FLAG, &search.json, 0, 0,
         "one object a line: {\"path\", \"nearest\": [{\"path\", \"score\"}]}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_search_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    const char *place = argv[0];
    const int is_folder = vit_is_folder(place);
    if (count == 1 && !(is_folder && search.file))
        return vit_cli_usage(&vit_cli_search_command, "'%s': expected a QUERY, or a FOLDER and --index", place);
    if (!is_folder && search.file)
        return vit_cli_usage(&vit_cli_search_command, "--index goes with a FOLDER; '%s' is %s", place,
                             vit_cli_file_size(place) < 0 ? "not there" : "a file");
    if (!is_folder && !vit_cli_is_index(place, 0)) {
        vit_cli_complain("%s: %s", place,
                         vit_cli_file_size(place) < 0 ? "no such file or folder" : "is not a feature index");
        return VIT_CLI_FAILED;
    }
    if (search.file && !vit_cli_can_write(search.file))
        return VIT_CLI_FAILED;
    search.feature = (vit_feature)pool;
    status = vit_cli_engine_open(&search.engine, &vit_cli_search_command, &model, &run);
    if (status == VIT_CLI_OK && (status = vit_cli_check_feature(&vit_cli_search_command, &search.engine, search.feature)) < 0)
        status = run_search(&search, place, is_folder, count - 1, argv + 1);
    vit_cli_index_close(&search.index);
    vit_cli_engine_close(&search.engine);
    free(search.query);
    free(search.vectors);
    free(search.entries);
    return status;
}
