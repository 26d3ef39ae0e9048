#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "limits.h"
#include "machine.h"
#include "progress.h"
#include "text_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_bench_command = {
    .name = "bench",
    .summary = "times of a forward pass on this machine",
    .arguments = "[options]",
    .details = "Runs the network a few times to warm up, then --runs times. The stages are those of the fastest run; "
               "the share is of what multiply-adds in registers reach on as many threads. With --image decoding and "
               "resizing are timed too.",
    .examples = "  vit bench --model vit.gguf --threads 1\n"
                "  vit bench --model vit.gguf --image photo.jpg --runs 50 --json\n",
    .least = 0,
    .most = 0,
};

enum { WARM_UP = 3, MOST_GROUPS = 64 };

/* Stages of one kind: qkv.0, qkv.1, ... */
typedef struct group {
    char name[32];
    double milliseconds, flops;
} group;

typedef struct report {
    char command_line[500];
    const char *image;
    int runs;
    double fastest, median;             /* milliseconds */
    double *stages;                     /* milliseconds of each in the fastest run */
    group groups[MOST_GROUPS];
    int group_count;
    double flops, peak;                 /* of a pass; per second, all threads */
    double decode, preprocess;          /* fastest, milliseconds */
    int image_width, image_height;
} report;

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Repeatable numbers in [-1,1]: what they are does not change the time. */
static void fill_input(vit_session *session) {
    vit_session_info info = vit_session_get_info(session);
    float *input = vit_session_input(session, 0);
    uint32_t state = 1;
    for (size_t i = 0; i < (size_t)info.height * (size_t)info.width * 3; i++) {
        state = state * 1664525u + 1013904223u;
        input[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

static vit_status time_image(const vit_cli_engine *engine, report *report, vit_error *error) {
    for (int i = 0; i < report->runs; i++) {
        vit_image image;
        double begin = vit_cli_seconds();
        vit_status status = vit_image_open(&image, report->image, vit_cli_options(), error);
        if (status != VIT_OK)
            return status;
        double decoded = vit_cli_seconds();
        report->image_width = image.width;
        report->image_height = image.height;
        status = vit_image_preprocess(&image, &engine->rules, engine->height, engine->width,
                                      vit_session_input(engine->session, 0), vit_cli_options(), error);
        double done = vit_cli_seconds();
        vit_image_close(&image);
        if (status != VIT_OK)
            return status;
        if (i == 0 || (decoded - begin) * 1e3 < report->decode)
            report->decode = (decoded - begin) * 1e3;
        if (i == 0 || (done - decoded) * 1e3 < report->preprocess)
            report->preprocess = (done - decoded) * 1e3;
    }
    return VIT_OK;
}

static vit_status time_runs(vit_session *session, report *report, double *times, vit_error *error) {
    int stages = vit_session_stage_count(session);
    vit_cli_progress progress = vit_cli_progress_start(report->runs, "runs");
    for (int i = -WARM_UP; i < report->runs; i++) {
        double begin = vit_cli_seconds();
        vit_status status = vit_session_run(session, error);
        double time = (vit_cli_seconds() - begin) * 1e3;
        if (status != VIT_OK)
            return status;
        if (i < 0) {
            vit_session_tune(session);
            continue;
        }
        times[i] = time;
        if (i == 0 || time < report->fastest) {
            report->fastest = time;
            for (int j = 0; j < stages; j++)
                report->stages[j] = vit_session_stage(session, j).milliseconds;
        }
        vit_cli_progress_show(&progress, i + 1, report->runs);
    }
    vit_cli_progress_hide(&progress);
    qsort(times, (size_t)report->runs, sizeof *times, by_value);
    int middle = report->runs / 2;
    report->median = report->runs % 2 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
    return VIT_OK;
}

static void group_stages(const vit_session *session, report *report) {
    for (int i = 0; i < vit_session_stage_count(session); i++) {
        vit_stage_info stage = vit_session_stage(session, i);
        int length = (int)strcspn(stage.name, "."), g = 0;
        while (g < report->group_count &&
               (strncmp(report->groups[g].name, stage.name, (size_t)length) != 0 || report->groups[g].name[length]))
            g++;
        if (g == MOST_GROUPS || length >= (int)sizeof report->groups[g].name)
            continue;
        group *group = &report->groups[g];
        if (g == report->group_count) {
            report->group_count++;
            memcpy(group->name, stage.name, (size_t)length); /* the rest is zero */
        }
        group->milliseconds += report->stages[i];
        group->flops += stage.flops;
        report->flops += stage.flops;
    }
}

static double per_second(double flops, double milliseconds) {
    return milliseconds > 0 ? flops / milliseconds * 1e-6 : 0; /* GFLOP/s */
}

static double share(const report *report) {
    return report->peak > 0 ? 100 * per_second(report->flops, report->fastest) / report->peak : 0;
}

static void print_text(const vit_cli_engine *engine, const report *report, const char *machine) {
    vit_session_info info = vit_session_get_info(engine->session);
    vit_cli_line(stdout, "$ %s", report->command_line);
    vit_cli_line(stdout, "%s, %dx%d pixels, %d tokens", vit_model_config(engine->model)->architecture, info.height,
                 info.width, info.tokens);
    printf("%s; kernels %s, %d thread%s\n", machine, info.kernels, info.threads, info.threads > 1 ? "s" : "");
    if (report->image)
        vit_cli_line(stdout, "%s, %dx%d: decode %.2f ms, resize %.2f ms", report->image, report->image_width,
                     report->image_height, report->decode, report->preprocess);
    printf("forward: min %.2f ms, median %.2f ms of %d runs, %.1f GFLOP/s, %.0f %% of %.1f\n", report->fastest,
           report->median, report->runs, per_second(report->flops, report->fastest), share(report), report->peak);
    printf("%-16s %9s %7s %9s\n", "stage", "ms", "share", "GFLOP/s");
    for (int i = 0; i < report->group_count; i++) {
        const group *group = &report->groups[i];
        printf("%-16s %9.3f %5.1f %% %9.1f\n", group->name, group->milliseconds,
               report->fastest > 0 ? 100 * group->milliseconds / report->fastest : 0,
               per_second(group->flops, group->milliseconds));
    }
}

static void print_field(const char *key, double value) {
    printf(",\"%s\":", key);
    vit_cli_json_number(value);
}

static void print_json(const vit_cli_engine *engine, const report *report, const char *machine) {
    vit_session_info info = vit_session_get_info(engine->session);
    printf("{\"command\":");
    vit_cli_json_string(stdout, report->command_line);
    printf(",\"architecture\":");
    vit_cli_json_string(stdout, vit_model_config(engine->model)->architecture);
    printf(",\"machine\":");
    vit_cli_json_string(stdout, machine);
    printf(",\"kernels\":");
    vit_cli_json_string(stdout, info.kernels);
    printf(",\"threads\":%d,\"input\":[%d,%d],\"tokens\":%d,\"runs\":%d", info.threads, info.height, info.width,
           info.tokens, report->runs);
    print_field("min_ms", report->fastest);
    print_field("median_ms", report->median);
    print_field("flops", report->flops);
    print_field("gflops", per_second(report->flops, report->fastest));
    print_field("peak_gflops", report->peak);
    if (report->image) {
        printf(",\"image\":{\"path\":");
        vit_cli_json_string(stdout, report->image);
        printf(",\"width\":%d,\"height\":%d", report->image_width, report->image_height);
        print_field("decode_ms", report->decode);
        print_field("resize_ms", report->preprocess);
        printf("}");
    }
    printf(",\"stages\":[");
    for (int i = 0; i < report->group_count; i++) {
        printf("%s{\"name\":", i ? "," : "");
        vit_cli_json_string(stdout, report->groups[i].name);
        print_field("ms", report->groups[i].milliseconds);
        print_field("gflops", per_second(report->groups[i].flops, report->groups[i].milliseconds));
        printf("}");
    }
    printf("]}\n");
}

/* As it was typed, but for quotes; cut if it is long. */
static void write_command_line(report *report, int argc, char **argv) {
    size_t room = sizeof report->command_line, used = (size_t)snprintf(report->command_line, room, "vit");
    for (int i = 0; i < argc && used < room; i++)
        used += (size_t)snprintf(report->command_line + used, room - used, " %s", argv[i]);
}

static int run_bench(vit_cli_engine *engine, report *report, int json) {
    vit_error error;
    char machine[400];
    double *times = malloc((size_t)report->runs * sizeof *times);
    vit_session_info info = vit_session_get_info(engine->session);
    report->stages = malloc((size_t)vit_session_stage_count(engine->session) * sizeof *report->stages);
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    snprintf(error.text, sizeof error.text, "out of memory for the times of %d runs", report->runs);
    fill_input(engine->session);
    if (times && report->stages)
        status = report->image ? time_image(engine, report, &error) : VIT_OK;
    if (status == VIT_OK)
        status = time_runs(engine->session, report, times, &error);
    if (status == VIT_OK) {
        group_stages(engine->session, report);
        report->peak = vit_kernels_peak(info.kernels) * info.threads;
        vit_cli_machine(machine, sizeof machine);
        if (json)
            print_json(engine, report, machine);
        else
            print_text(engine, report, machine);
    } else {
        vit_cli_complain("%s", error.text);
    }
    free(times);
    free(report->stages);
    return status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
}

int vit_cli_bench(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {0};
    report report = {.runs = 20};
    int json = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"runs", "N", VIT_CLI_INT, &report.runs, 1, 100000, "timed runs (default: 20)"},
        {"image", "I", VIT_CLI_TEXT, &report.image, 0, 0, "time decoding and resizing of this picture too"},
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object"},
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    write_command_line(&report, argc, argv);
    int status = vit_cli_parse(&vit_cli_bench_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &vit_cli_bench_command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_bench(&engine, &report, json);
    vit_cli_engine_close(&engine);
    return status;
}
