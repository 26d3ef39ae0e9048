/* `vit inspect distance`: figure 7, right. */
#include "engine.h"
#include "inspect.h"
#include "json_out.h"
#include "paths.h"
#include "chart.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vit_cli_command command = {
    .name = "inspect distance",
    .summary = "how far each head looks",
    .arguments = "[options] (--out O.png | --json) PATH...",
    .details = "For each head of each layer the distance in pixels between a patch and those it attends to, weighted "
               "by the attention, mean over all patches and pictures. A PATH is a picture, or a folder of them. "
               "Attention that goes to the class token counts as no distance, or is left out by --renormalize. A "
               "picture that cannot be read is named on stderr and left out; exit status 1.",
    .examples = "  vit inspect distance --model vit.gguf --out distance.png photos/\n",
    .least = 1,
    .most = -1,
};

typedef struct study {
    const char *out;
    int json, renormalize;
    int layers, heads, pictures;
    double *sums;      /* [layers,heads]: of all pictures, then their means */
    double *picture;   /* [layers,heads]: of one */
} study;

/* Layers that a pass has. */
static int count_layers(const vit_session *session) {
    int layers = 0;
    for (int i = 0; i < vit_session_stage_count(session); i++)
        layers += strncmp(vit_session_stage(session, i).name, "attn.", 5) == 0;
    return layers;
}

static vit_status add_picture(study *study, vit_cli_engine *engine, const char *path, vit_error *error) {
    const vit_status status = vit_cli_engine_prepare(engine, path, error);
    if (status != VIT_OK)
        return status;
    vit_session_restart(engine->session);
    for (int seen = 0, more = 1; more > 0 && seen < study->layers;) {
        more = vit_session_advance(engine->session);
        seen += vit_attention_distance(engine->session, 0, study->renormalize,
                                       study->picture + seen * study->heads) >= 0;
    }
    for (int i = 0; i < study->layers * study->heads; i++)
        study->sums[i] += study->picture[i];
    study->pictures++;
    return VIT_OK;
}

static int add_all(study *study, vit_cli_engine *engine, int count, char **arguments) {
    vit_cli_paths paths = {0};
    vit_error error;
    int failed = vit_cli_collect_all(&paths, count, arguments);
    vit_cli_progress progress = vit_cli_progress_start((double)paths.count, "pictures");
    for (size_t i = 0; i < paths.count; i++) {
        vit_cli_progress_show(&progress, (double)i, (double)paths.count);
        if (add_picture(study, engine, paths.items[i], &error) == VIT_OK)
            continue;
        vit_cli_progress_hide(&progress);
        vit_cli_complain("%s", error.text);
        failed++;
    }
    vit_cli_progress_hide(&progress);
    vit_cli_paths_release(&paths);
    return failed;
}

static void print(const study *study) {
    printf("{\"pictures\":%d,\"renormalized\":%s,\"distance\":[", study->pictures,
           study->renormalize ? "true" : "false");
    for (int layer = 0; layer < study->layers; layer++) {
        printf("%s[", layer ? "," : "");
        for (int head = 0; head < study->heads; head++) {
            if (head)
                putchar(',');
            vit_cli_json_float((float)study->sums[layer * study->heads + head]);
        }
        putchar(']');
    }
    printf("]}\n");
}

static int draw(const study *study) {
    double most = 0;
    char title[96];
    vit_cli_chart chart;
    for (int i = 0; i < study->layers * study->heads; i++)
        most = fmax(most, study->sums[i]);
    snprintf(title, sizeof title, "How far heads look: mean of %d picture%s", study->pictures,
             study->pictures == 1 ? "" : "s");
    const vit_cli_axis x = {.label = "layer", .least = 0, .most = study->layers + 1},
                       y = {.label = "mean attention distance, pixels", .least = 0, .most = most > 0 ? most * 1.08 : 1};
    if (!vit_cli_chart_open(&chart, title, x, y))
        return VIT_CLI_FAILED;
    for (int layer = 0; layer < study->layers; layer++) {
        const double *heads = study->sums + layer * study->heads;
        double mean[2] = {0};
        for (int next = 0; next < 2 && layer + next < study->layers; next++)
            for (int head = 0; head < study->heads; head++)
                mean[next] += heads[next * study->heads + head] / study->heads;
        if (layer + 1 < study->layers)
            vit_cli_chart_line(&chart, layer + 1, mean[0], layer + 2, mean[1], 2, VIT_CLI_GREY);
    }
    for (int i = 0; i < study->layers * study->heads; i++)
        vit_cli_chart_point(&chart, 1 + i / study->heads, study->sums[i], 5,
                           vit_cli_scale_color((i % study->heads + 0.5) / study->heads));
    vit_cli_chart_legend(&chart, vit_cli_scale_color(0.5), "a head");
    vit_cli_chart_legend(&chart, VIT_CLI_GREY, "mean of the layer");
    return vit_cli_canvas_save(&chart.canvas, study->out);
}

static int run_study(study *study, vit_cli_engine *engine, int count, char **arguments) {
    study->layers = count_layers(engine->session);
    study->heads = vit_model_config(engine->model)->heads;
    if (study->layers == 0) {
        vit_cli_complain("this network has no attention");
        return VIT_CLI_FAILED;
    }
    study->sums = calloc((size_t)study->layers * (size_t)study->heads, 2 * sizeof *study->sums);
    if (!study->sums) {
        vit_cli_complain("out of memory");
        return VIT_CLI_FAILED;
    }
    study->picture = study->sums + study->layers * study->heads;
    const int failed = add_all(study, engine, count, arguments);
    if (study->pictures == 0) {
        vit_cli_complain("there is no picture to look at");
        return VIT_CLI_FAILED;
    }
    for (int i = 0; i < study->layers * study->heads; i++)
        study->sums[i] /= study->pictures;
    if (study->json)
        print(study);
    const int status = study->out ? draw(study) : VIT_CLI_OK;
    return failed ? VIT_CLI_FAILED : status;
}

int vit_cli_inspect_distance(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {.capture_attention = 1};
    study study = {0};
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"renormalize", NULL, VIT_CLI_FLAG, &study.renormalize, 0, 0,
         "divide by the attention that goes to patches at all"},
        {"out", "O.png", VIT_CLI_TEXT, &study.out, 0, 0, "the diagram to write"},
        {"json", NULL, VIT_CLI_FLAG, &study.json, 0, 0,
         "one object: {\"pictures\", \"renormalized\", \"distance\": heads of each layer}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!study.out && !study.json)
        return vit_cli_usage(&command, "say where it goes: --out O.png or --json");
    if ((status = vit_cli_check_png(&command, study.out)) >= 0 || (status = vit_cli_check_kept(&command, study.out, count, argv)) >= 0)
        return status;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_study(&study, &engine, count, argv);
    vit_cli_engine_close(&engine);
    free(study.sums);
    return status;
}
