#include "commands.h"
#include "engine.h"
#include "index_file.h"
#include "json_out.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const vit_cli_command vit_cli_features_command = {
    .name = "features",
    .summary = "feature vectors of pictures, as .npy, safetensors or JSON",
    .arguments = "[options] (--out F.npy | --json) PATH...",
    .details = "A PATH is a JPEG or PNG file, or a folder: every .jpg, .jpeg and .png below it, sorted by path. With "
               "--out the vectors are the rows of one array [pictures, width] of f32, and the paths are printed in "
               "the order of the rows. What was computed is kept in F.npy.part until then: a run that was stopped "
               "goes on where it was. A picture that cannot be read is named on stderr and has no row; exit status 1.",
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
    char *part;        /* where the rows are kept until there are all, or NULL */
    vit_cli_index kept;
} table;

static void print_row(const table *table, const char *path, const float *row) {
    if (!table->json) {
        vit_cli_line(stdout, "%s", path);
        return;
    }
    printf("{\"path\":");
    vit_cli_json_string(stdout, path);
    if (table->out) {
        printf(",\"row\":%zu}\n", table->count);
        return;
    }
    printf(",\"features\":");
    vit_cli_json_floats(row, table->width);
    printf("}\n");
}

/* Paths that fail are released. Returns how many there are; -1 where it makes no sense to go on. */
static int compute_all(table *table, vit_cli_engine *engine, vit_cli_paths *paths) {
    int failed = 0;
    vit_cli_progress progress = vit_cli_progress_start((double)paths->count, "pictures");
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];
        const long long bytes = vit_cli_file_size(path), seconds = vit_cli_file_time(path);
        const int is_kept = table->part && vit_cli_index_knows(&table->kept, path, bytes, seconds);
        vit_error error;
        vit_cli_progress_show(&progress, (double)i, (double)paths->count);
        if (!is_kept && vit_cli_engine_features(engine, path, table->pool, table->row, &error) != VIT_OK) {
            vit_cli_progress_hide(&progress);
            vit_cli_complain("%s", error.text);
            free(paths->items[i]);
            paths->items[i] = NULL;
            failed++;
            continue;
        }
        if (!is_kept && table->part && !vit_cli_index_put(&table->kept, path, bytes, seconds, table->row)) {
            failed = -1;
            break;
        }
        vit_cli_progress_hide(&progress);
        print_row(table, path, table->row);
        table->count++;
        if (!vit_cli_flush()) {
            failed = -1;
            break;
        }
    }
    vit_cli_progress_hide(&progress);
    return failed;
}

/* The kept rows, in the order of the paths, as the file that was asked for. 1, or 0 after a complaint. */
static int write_all(table *table, const vit_cli_paths *paths) {
    vit_cli_vectors vectors;
    int good = vit_cli_vectors_open(&vectors, table->out, table->width);
    for (size_t i = 0; good && i < paths->count; i++) {
        const char *path = paths->items[i];
        if (path && (good = vit_cli_index_read(&table->kept, vit_cli_index_find(&table->kept, path), table->row)))
            vit_cli_vectors_add(&vectors, table->row);
    }
    return vit_cli_vectors_close(&vectors, good);
}

/* Begins or goes on with what is kept of the file that was asked for. */
static int open_part(table *table, const vit_cli_engine *engine) {
    const size_t size = strlen(table->out) + 32;
    table->part = malloc(size);
    if (!table->part) {
        vit_cli_complain("%s: out of memory", table->out);
        return 0;
    }
    snprintf(table->part, size, "%s.part", table->out);
    if (vit_cli_file_size(table->part) > 0 && !vit_cli_is_index(table->part, VIT_CLI_INDEX_IN_FILE)) /* not ours */
        snprintf(table->part, size, "%s.rows%ld.part", table->out, (long)getpid());
    return vit_cli_index_open(&table->kept, table->part, engine, table->pool,
                              VIT_CLI_INDEX_WRITE | VIT_CLI_INDEX_IN_FILE);
}

static int run_features(vit_cli_engine *engine, table *table, int count, char **arguments) {
    vit_cli_paths paths = {0};
    const int status = vit_cli_check_feature(&vit_cli_features_command, engine, table->pool);
    if (status >= 0)
        return status;
    table->width = (size_t)vit_model_feature_width(engine->model, table->pool);
    table->row = malloc(table->width * sizeof *table->row);
    if (!table->row) {
        vit_cli_complain("out of memory for a feature vector");
        return VIT_CLI_FAILED;
    }
    if (table->out && !open_part(table, engine))
        return VIT_CLI_FAILED;
    const int failed = vit_cli_collect_all(&paths, count, arguments);
    const int unread = compute_all(table, engine, &paths);
    int good = unread >= 0;
    if (good && table->out && table->count == 0)
        vit_cli_complain("%s: not written, there is no picture to put into it", table->out);
    else if (good && table->out)
        good = write_all(table, &paths);
    if (good && table->out)
        remove(table->part);
    vit_cli_paths_release(&paths);
    return failed || unread || !good ? VIT_CLI_FAILED : VIT_CLI_OK;
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
    int status = vit_cli_parse(&vit_cli_features_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!table.out && !table.json)
        return vit_cli_usage(&vit_cli_features_command, "say where the vectors go: --out F.npy or --json");
    if (table.out && !vit_cli_vectors_known(table.out))
        return vit_cli_usage(&vit_cli_features_command, "--out '%s': expected a name that ends in .npy or .safetensors", table.out);
    if (table.out && ((status = vit_cli_check_kept(&vit_cli_features_command, table.out, count, argv)) >= 0 ||
                      (status = vit_cli_check_model_kept(&vit_cli_features_command, table.out, &model)) >= 0))
        return status;
    if (table.out && !vit_cli_can_write(table.out))
        return VIT_CLI_FAILED;
    table.pool = (vit_feature)pool;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &vit_cli_features_command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_features(&engine, &table, count, argv);
    vit_cli_engine_close(&engine);
    vit_cli_index_close(&table.kept);
    free(table.part);
    free(table.row);
    return status;
}
