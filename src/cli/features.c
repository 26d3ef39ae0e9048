#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

static const vit_cli_command command = {
    .name = "features",
    .summary = "feature vectors of pictures, as .npy, safetensors or JSON",
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
    float *row;        /* [width] */
    size_t count, width;
    vit_cli_vectors vectors; /* that file */
} table;

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
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        if (vit_cli_engine_features(engine, paths->items[i], table->pool, table->row, &error) != VIT_OK) {
            vit_cli_progress_hide(&progress);
            vit_cli_complain("%s", error.text);
            failed++;
            continue;
        }
        if (!table->out)
            vit_cli_progress_hide(&progress);
        print_row(table, paths->items[i], table->row);
        if (table->out)
            vit_cli_vectors_add(&table->vectors, table->row);
        table->count++;
    }
    vit_cli_progress_hide(&progress);
    return failed;
}

static int run_features(vit_cli_engine *engine, table *table, int count, char **arguments) {
    vit_cli_paths paths = {0};
    const int status = vit_cli_check_feature(&command, engine, table->pool);
    if (status >= 0)
        return status;
    table->width = (size_t)vit_cli_feature_width(engine, table->pool);
    table->row = malloc(table->width * sizeof *table->row);
    if (!table->row) {
        vit_cli_complain("out of memory for a feature vector");
        return VIT_CLI_FAILED;
    }
    if (table->out && !vit_cli_vectors_open(&table->vectors, table->out, table->width)) {
        vit_cli_vectors_close(&table->vectors, 0);
        return VIT_CLI_FAILED;
    }
    int failed = 0;
    for (int i = 0; i < count; i++)
        failed += vit_cli_collect(&paths, arguments[i]);
    failed += compute_all(engine, &paths, table);
    vit_cli_paths_release(&paths);
    if (table->out && table->count == 0)
        vit_cli_complain("%s: not written, there is no picture to put into it", table->out);
    if (table->out && !vit_cli_vectors_close(&table->vectors, table->count > 0))
        failed++;
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

int vit_cli_features(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    table table = {0};
    int count, pool = 0;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        VIT_CLI_POOL_OPTION(pool),
        {"out", "F.npy", VIT_CLI_TEXT, &table.out, 0, 0,
         "write one array with a row for each picture; F.safetensors will do as well"},
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
    if (table.out && !vit_cli_vectors_known(table.out))
        return vit_cli_usage(&command, "--out '%s': expected a name that ends in .npy or .safetensors", table.out);
    if (table.out && !vit_cli_can_write(table.out))
        return VIT_CLI_FAILED;
    table.pool = (vit_feature)pool;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_features(&engine, &table, count, argv);
    vit_cli_engine_close(&engine);
    free(table.row);
    return status;
}
