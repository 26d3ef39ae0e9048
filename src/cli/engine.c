#include "engine.h"

#include "limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_THREADS 8 /* by default: more rarely help one picture */

static int default_threads(void) {
#ifdef _SC_NPROCESSORS_ONLN
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > MOST_THREADS ? MOST_THREADS : (int)online;
#else
    return 1;
#endif
}

int vit_cli_session_options(vit_session_options *options, const vit_cli_command *command, const vit_cli_run *run) {
    const char *environment = getenv("VIT_KERNELS");
    const char *kernels = run->kernels ? run->kernels : environment && *environment ? environment : NULL;
    if (kernels && !vit_kernels_known(kernels))
        return vit_cli_usage(command, "kernels '%s': not known, or this host lacks them; see 'vit version'", kernels);
    *options = (vit_session_options){
        .height = run->size[0],
        .width = run->size[1],
        .threads = run->threads ? run->threads : default_threads(),
        .kernels = kernels,
        .capture_attention = run->capture_attention,
        .masked = run->masked,
    };
    return -1;
}

vit_preprocess vit_cli_rules(const vit_model *model, const vit_cli_run *run) {
    vit_preprocess rules = vit_model_config(model)->preprocess;
    if (run->crop_pct > 0)
        rules.crop_pct = run->crop_pct;
    if (run->size[0]) {
        rules.height = run->size[0];
        rules.width = run->size[1];
    }
    return rules;
}

int vit_cli_session_failed(const vit_cli_command *command, const vit_cli_run *run, const vit_error *error) {
    if (error->status == VIT_ERR_ARGUMENT && run->size[0])
        return vit_cli_usage(command, "%s", error->text);
    vit_cli_complain("%s", error->text);
    return VIT_CLI_FAILED;
}

int vit_cli_engine_open(vit_cli_engine *engine, const vit_cli_command *command, const vit_cli_model *model,
                        const vit_cli_run *run) {
    vit_session_options options;
    vit_error error;
    *engine = (vit_cli_engine){.compute = run->compute};
    int status = vit_cli_session_options(&options, command, run);
    if (status >= 0)
        return status;
    status = vit_cli_model_open(&engine->model, model, (vit_compute)run->compute);
    if (status)
        return status;
    engine->rules = vit_cli_rules(engine->model, run);
    if (vit_session_open(&engine->session, engine->model, &options, &error) != VIT_OK)
        return vit_cli_session_failed(command, run, &error);
    vit_session_info info = vit_session_get_info(engine->session);
    engine->height = info.height;
    engine->width = info.width;
    return VIT_CLI_OK;
}

void vit_cli_engine_close(vit_cli_engine *engine) {
    vit_session_close(engine->session);
    vit_model_close(engine->model);
}

int vit_cli_check_feature(const vit_cli_command *command, const vit_cli_engine *engine, vit_feature feature) {
    if (feature == VIT_FEATURE_CLASS && !vit_model_config(engine->model)->class_token)
        return vit_cli_usage(command, "--pool cls: this model has no class token; use head or mean");
    return -1;
}

static vit_status prepare(vit_cli_engine *engine, const vit_image *image, vit_error *error) {
    return vit_image_preprocess(image, &engine->rules, engine->height, engine->width, vit_session_input(engine->session, 0),
                                vit_cli_options(), error);
}

static vit_status run(vit_cli_engine *engine, vit_error *error) {
    const vit_status status = vit_session_run(engine->session, error);
    if (engine->runs++ == 0) /* there may be more pictures */
        vit_session_tune(engine->session);
    return status;
}

vit_status vit_cli_engine_prepare(vit_cli_engine *engine, const char *path, vit_error *error) {
    vit_image image;
    vit_status status = vit_image_open(&image, path, vit_cli_options(), error);
    if (status == VIT_OK)
        status = prepare(engine, &image, error);
    vit_image_close(&image);
    return status;
}

vit_status vit_cli_engine_run(vit_cli_engine *engine, const char *path, vit_error *error) {
    const vit_status status = vit_cli_engine_prepare(engine, path, error);
    return status == VIT_OK ? run(engine, error) : status;
}

vit_status vit_cli_engine_see(vit_cli_engine *engine, const vit_image *image, vit_error *error) {
    const vit_status status = prepare(engine, image, error);
    return status == VIT_OK ? run(engine, error) : status;
}

vit_status vit_cli_engine_features(vit_cli_engine *engine, const char *path, vit_feature feature, float *row,
                                   vit_error *error) {
    vit_status status = vit_cli_engine_run(engine, path, error);
    if (status == VIT_OK)
        status = vit_session_features(engine->session, 0, feature, row, error);
    for (int i = 0; status == VIT_OK && i < vit_model_feature_width(engine->model, feature); i++)
        if (!isfinite(row[i])) {
            snprintf(error->text, sizeof error->text, "%.300s: the model's features for it are not finite numbers", path);
            status = error->status = VIT_ERR_FORMAT;
        }
    return status;
}
