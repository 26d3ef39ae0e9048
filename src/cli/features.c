#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "npy.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"

#include <stdio.h>
#include <stdlib.h>

static const vit_cli_command command = {
    .name = "features",
    .summary = "feature vectors of pictures, as .npy or JSON",
    .arguments = "[options] (--out F.npy | --json) PATH...",
    .details = "A PATH is a JPEG or PNG file, or a folder: every .jpg, .jpeg and .png below it, sorted by path. With "
               "--out the vectors are the rows of one array [pictures, width] of f32, and the paths are printed in "
               "the order of the rows. A picture that cannot be read is named on stderr and has no row; exit status "
               "1.",
    .examples = "  vit features --model vit.gguf --out photos.npy photos/ > photos.txt\n"
                "  vit features --model vit.gguf --pool mean --json photo.jpg\n",
    .least = 1,
    .most = -1,
};

typedef struct table {
    const char *out;   /* file, or NULL */
    int json;
    vit_feature pool;
    float *rows;       /* [capacity, width]; without a file only the first is used */
    size_t count, capacity, width;
} table;

static int make_room(table *table) {
    if (table->count < table->capacity)
        return 1;
    size_t capacity = table->capacity ? table->capacity * 2 : 64;
    float *rows = capacity <= SIZE_MAX / sizeof *rows / table->width
                      ? realloc(table->rows, capacity * table->width * sizeof *rows)
                      : NULL;
    if (!rows) {
        vit_cli_complain("out of memory for %zu feature vectors", capacity);
        return 0;
    }
    table->rows = rows;
    table->capacity = capacity;
    return 1;
}

static void print_row(const table *table, const char *path, const float *row) {
    if (!table->json) {
        vit_cli_line(stdout, "%s", path);
        return;
    }
    printf("{\"path\":");
    vit_cli_json_string(path);
    if (table->out) {
        printf(",\"row\":%zu}\n", table->count);
        return;
    }
    printf(",\"features\":[");
    for (size_t i = 0; i < table->width; i++) {
        if (i)
            putchar(',');
        vit_cli_json_float(row[i]);
    }
    printf("]}\n");
}

/* Returns how many pictures failed. */
static int compute_all(vit_cli_engine *engine, const vit_cli_paths *paths, table *table) {
    int failed = 0;
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    for (size_t i = 0; i < paths->count; i++) {
        vit_error error;
        if (!make_room(table))
            return failed + 1;
        float *row = table->rows + table->count * table->width;
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        vit_status status = vit_cli_engine_run(engine, paths->items[i], &error);
        if (status == VIT_OK)
            status = vit_session_features(engine->session, 0, table->pool, row, &error);
        if (status != VIT_OK) {
            vit_cli_progress_hide(&progress);
            vit_cli_complain("%s", error.text);
            failed++;
            continue;
        }
        if (!table->out)
            vit_cli_progress_hide(&progress);
        print_row(table, paths->items[i], row);
        if (table->out)
            table->count++;
    }
    vit_cli_progress_hide(&progress);
    return failed;
}

static int run_features(vit_cli_engine *engine, table *table, int count, char **arguments) {
    vit_cli_paths paths = {0};
    const vit_config *config = vit_model_config(engine->model);
    if (table->pool == VIT_FEATURE_CLASS && !config->class_token)
        return vit_cli_usage(&command, "--pool cls: this model has no class token; use head or mean");
    table->width = (size_t)(table->pool == VIT_FEATURE_HEAD ? vit_feature_width(config) : config->width);
    int failed = 0;
    for (int i = 0; i < count; i++)
        failed += vit_cli_collect(&paths, arguments[i]);
    failed += compute_all(engine, &paths, table);
    vit_cli_paths_release(&paths);
    if (table->out && table->count == 0) {
        vit_cli_complain("%s: not written, there is no picture to put into it", table->out);
        failed++;
    } else if (table->out && !vit_cli_npy_write(table->out, table->rows, table->count, table->width)) {
        failed++;
    }
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

int vit_cli_features(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    table table = {0};
    int count, pool = 0;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"pool", "head|cls|mean", VIT_CLI_CHOICE, &pool, 0, 0,
         "what the head sees (default), the class token, the mean of the patches"},
        {"out", "F.npy", VIT_CLI_TEXT, &table.out, 0, 0, "write one array with a row for each picture"},
        {"json", NULL, VIT_CLI_FLAG, &table.json, 0, 0,
         "one object a line: {\"path\", \"features\"}; with --out {\"path\", \"row\"}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!table.out && !table.json)
        return vit_cli_usage(&command, "say where the vectors go: --out F.npy or --json");
    if (table.out && !vit_cli_has_extension(table.out, ".npy"))
        return vit_cli_usage(&command, "--out '%s': expected a name that ends in .npy", table.out);
    if (table.out && !vit_cli_can_write(table.out))
        return VIT_CLI_FAILED;
    table.pool = (vit_feature)pool;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_features(&engine, &table, count, argv);
    vit_cli_engine_close(&engine);
    free(table.rows);
    return status;
}
