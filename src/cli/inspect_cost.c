#include "../vit_tasks.h"
#include "engine.h"
#include "inspect.h"
#include "json_out.h"
#include "limits.h"
#include "options.h"
#include "progress.h"
#include "train_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vit_cli_command command = {
    .name = "inspect cost",
    .summary = "parameters, arithmetic and memory of networks",
    .arguments = "[options] [NAME...]",
    .details = "Of the networks that are named, or of all that 'vit init --list' prints: parameters; GFLOP of a forward "
               "pass, a multiply-add being two; exaFLOP of pre-training, which is pictures x epochs x three forward "
               "passes, the axis of the paper's figure 5; megabytes of one picture at a time, and the largest batch "
               "that --memory holds, weights included. All of that is computed, at 224x224 pixels if --size says nothing "
               "else. --layers and the like change the networks, as they do for 'vit train'. With --measure random "
               "weights run as well: pictures a second, the fastest of a few passes.",
    .examples = "  vit inspect cost\n"
                "  vit inspect cost --images 1.28e6 --epochs 300 vit_tiny_patch16_224 bit_r50x1\n"
                "  vit inspect cost --measure --threads 1 --csv vit_base_patch16_224\n"
                "  vit inspect cost --layers 4 --width 128 --heads 4 --patch 4 --size 32 --classes 10 vit_tiny_patch16_224\n",
    .least = 0,
    .most = -1,
};

enum { TEXT, JSON, CSV };

typedef struct request {
    double images, epochs, memory; /* epochs 0: the paper's; gigabytes */
    int measure, format, classes;
    vit_cli_settings network; /* what is changed of those that are named */
    vit_cli_run run;
} request;

typedef struct cost {
    const char *name;
    long long parameters;
    double flops, epochs, pretraining; /* of one picture; of all in exaFLOP */
    uint64_t weights, session;         /* bytes */
    int largest;                       /* batch; 0: not even one picture */
    double seconds;                    /* of a picture; 0: not measured */
} cost;

/* Table 6 has these two only for twice as long. */
static double epochs_of(const char *name) {
    return strcmp(name, "vit_huge_patch14_224") == 0 || strcmp(name, "bit_r200x3") == 0 ? 14 : 7;
}

static uint64_t bytes_of(const vit_model *model, vit_session_options options, int batch) {
    options.batch = batch;
    const uint64_t bytes = vit_session_bytes(model, &options);
    return bytes ? vit_model_bytes(model) + bytes : UINT64_MAX;
}

static int largest_batch(const vit_model *model, const vit_session_options *options, double limit) {
    int fits = 0, too_many = 65537;
    while (too_many - fits > 1) {
        const int middle = fits + (too_many - fits) / 2;
        if ((double)bytes_of(model, *options, middle) <= limit)
            fits = middle;
        else
            too_many = middle;
    }
    return fits;
}

/* The fastest pass of those that fit in a second, at least two. */
static vit_status measure(const vit_model *model, const vit_session_options *options, cost *cost, vit_error *error) {
    vit_session *session;
    vit_status status = vit_session_open(&session, model, options, error);
    if (status != VIT_OK)
        return status;
    const double begin = vit_cli_seconds();
    for (int i = 0; i < 2 || (i < 100 && vit_cli_seconds() < begin + 1); i++) {
        const double before = vit_cli_seconds();
        status = vit_session_run(session, error);
        const double time = (vit_cli_seconds() - before) / options->batch;
        if (i == 0 || time < cost->seconds)
            cost->seconds = time;
        if (status == VIT_OK && i == 0)
            vit_session_tune(session);
    }
    vit_session_close(session);
    return status;
}

/* What a session of these options cannot be opened for. */
static vit_status refusal(const vit_model *model, const vit_session_options *options, vit_error *error) {
    vit_session *session;
    const vit_status status = vit_session_open(&session, model, options, error);
    vit_session_close(session);
    return status;
}

static vit_status compute(const vit_model *model, const request *request, const vit_session_options *options,
                          cost *cost, vit_error *error) {
    cost->session = vit_session_bytes(model, options);
    if (!cost->session)
        return refusal(model, options, error);
    cost->parameters = vit_model_parameters(model);
    cost->weights = vit_model_bytes(model);
    cost->flops = vit_model_flops(model, options->height, options->width);
    cost->epochs = request->epochs > 0 ? request->epochs : epochs_of(cost->name);
    cost->pretraining = request->images * cost->epochs * 3 * cost->flops * 1e-18;
    cost->largest = largest_batch(model, options, request->memory * 1e9);
    return VIT_OK;
}

static void print_heading(const request *request, const vit_session_options *options) {
    if (request->format == CSV)
        puts("architecture,parameters,flops,epochs,pretraining_exaflops,weight_bytes,session_bytes,largest_batch,"
             "images_per_second");
    if (request->format != TEXT)
        return;
    printf("%dx%d pixels; %g pictures an epoch; batches that fit in %g GB\n", options->height, options->width,
           request->images, request->memory);
    printf("%-36s %11s %9s %7s %10s %9s %8s%s\n", "architecture", "parameters", "GFLOP", "epochs", "exaFLOP", "MB",
           "batch", request->measure ? "  images/s" : "");
}

static void print_cost(const request *request, const cost *cost) {
    const double rate = cost->seconds > 0 ? 1 / cost->seconds : 0;
    switch (request->format) {
    case TEXT:
        printf("%-36s %11lld %9.3f %7g %10.1f %9.1f %8d", cost->name, cost->parameters, cost->flops * 1e-9,
               cost->epochs, cost->pretraining, (double)(cost->weights + cost->session) * 1e-6, cost->largest);
        if (rate > 0)
            printf(" %9.4g", rate);
        putchar('\n');
        break;
    case CSV:
        printf("%s,%lld,%.0f,%g,%g,%llu,%llu,%d,", cost->name, cost->parameters, cost->flops, cost->epochs,
               cost->pretraining, (unsigned long long)cost->weights, (unsigned long long)cost->session, cost->largest);
        if (rate > 0)
            printf("%.4g", rate);
        putchar('\n');
        break;
    case JSON:
        printf("{\"architecture\":\"%s\",\"parameters\":%lld,\"flops\":%.0f,\"epochs\":", cost->name, cost->parameters,
               cost->flops);
        vit_cli_json_number(cost->epochs);
        printf(",\"pretraining_exaflops\":");
        vit_cli_json_number(cost->pretraining);
        printf(",\"weight_bytes\":%llu,\"session_bytes\":%llu,\"largest_batch\":%d,\"images_per_second\":",
               (unsigned long long)cost->weights, (unsigned long long)cost->session, cost->largest);
        if (rate > 0)
            vit_cli_json_number(rate);
        else
            printf("null");
        printf("}\n");
        break;
    }
    fflush(stdout); /* the next one may take a while */
}

/* One network's line. 0, or the exit status after a complaint. */
static int show_cost(const char *name, const request *request, const vit_session_options *options) {
    vit_options load = *vit_cli_options();
    vit_config config;
    vit_model *model = NULL;
    cost cost = {.name = name};
    vit_error error;
    load.compute = (vit_compute)request->run.compute;
    vit_cli_settings network = request->network;
    network.arch = name;
    vit_status status = vit_cli_network(&network, request->classes, &config, &error);
    if (status == VIT_OK)
        status = vit_model_plan(&model, &config, &load, &error);
    if (status == VIT_OK)
        status = compute(model, request, options, &cost, &error);
    if (status == VIT_OK && request->measure && options->batch <= cost.largest) {
        vit_model_close(model);
        status = vit_model_init(&model, &config, 0, &load, &error);
        if (status == VIT_OK)
            status = measure(model, options, &cost, &error);
    }
    if (status == VIT_OK)
        print_cost(request, &cost);
    else
        vit_cli_complain("%s: %s", name, error.text);
    vit_model_close(model);
    return status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
}

int vit_cli_inspect_cost(int argc, char **argv) {
    request request = {.images = 305e6, .memory = 16, .classes = VIT_CLI_CLASSES_AS_NAMED, .run.size = {224, 224}};
    int json = 0, csv = 0, batch = 1, count, failed = 0;
    const vit_cli_option options[] = {
        {"images", "N", VIT_CLI_NUMBER, &request.images, 1, 1e15,
         "pictures of an epoch of pre-training (default: 305e6, JFT-300M)"},
        {"epochs", "E", VIT_CLI_NUMBER, &request.epochs, 1e-6, 1e9,
         "of pre-training (default: the paper's 7, or 14 where it has no 7)"},
        {"memory", "GB", VIT_CLI_NUMBER, &request.memory, 0.001, 1e6,
         "for weights and a batch (default: 16, of a core of the paper)"},
        {"measure", NULL, VIT_CLI_FLAG, &request.measure, 0, 0, "run each of them that fits in --memory"},
        {"batch", "N", VIT_CLI_INT, &batch, 1, 65536, "pictures at a time (default: 1)"},
        {"json", NULL, VIT_CLI_FLAG, &json, 0, 0, "one object a line"},
        {"csv", NULL, VIT_CLI_FLAG, &csv, 0, 0, "comma-separated, with a heading"},
        {"classes", "N", VIT_CLI_INT, &request.classes, 0, 1000000, "of the head (default: the network's)"},
        VIT_CLI_NETWORK_OPTIONS(request.network),
        VIT_CLI_HEAD_OPTION(request.network),
        {"size", "N|HxW", VIT_CLI_SIZE, request.run.size, 0, 0, "pixels the networks are fed, height x width (default: 224)"},
        VIT_CLI_ARITHMETIC_OPTIONS(request.run),
        {0},
    };
    int status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (json && csv)
        return vit_cli_usage(&command, "--json or --csv, not both");
    if (!vit_cli_units(&request.network))
        return vit_cli_usage(&command, VIT_CLI_UNITS_EXPECTED, request.network.units_text);
    for (int i = 0; i < count; i++) {
        vit_config config;
        if (vit_architecture_config(&config, argv[i], NULL) != VIT_OK)
            return vit_cli_usage(&command, "'%s': no network of this name; 'vit init --list' prints those there are",
                                 argv[i]);
    }
    static const vit_cli_settings unchanged;
    if (memcmp(&request.network, &unchanged, sizeof unchanged) != 0) /* another network: its positions are for that size */
        memcpy(request.network.size, request.run.size, sizeof request.run.size);
    vit_session_options session;
    status = vit_cli_session_options(&session, &command, &request.run);
    if (status >= 0)
        return status;
    session.batch = batch;
    request.format = json ? JSON : csv ? CSV : TEXT;
    print_heading(&request, &session);
    int total = count;
    while (!count && vit_architecture_name(total))
        total++;
    vit_cli_progress progress = vit_cli_progress_start(request.measure ? total : 0, "networks");
    for (int i = 0; i < total; i++) {
        vit_cli_progress_hide(&progress);
        failed |= show_cost(count ? argv[i] : vit_architecture_name(i), &request, &session);
        vit_cli_progress_show(&progress, i + 1, total);
    }
    vit_cli_progress_hide(&progress);
    return failed;
}
