/* A model with a session and preprocessing: what every command that looks at pictures shares. */
#ifndef VIT_CLI_ENGINE_H
#define VIT_CLI_ENGINE_H

#include "../vit_tasks.h"
#include "model_option.h"

typedef struct vit_cli_run {
    int size[2];         /* height, width; 0: the model's */
    double crop_pct;     /* 0: the model's */
    int threads;         /* 0: one for each processor, at most 8 */
    const char *kernels; /* NULL: VIT_KERNELS, else the best */
    int compute;         /* a vit_compute */
    int capture_attention, masked;
} vit_cli_run;

/* Rows of an option table. */
#define VIT_CLI_RUN_OPTIONS(run)                                                                    \
    {"size", "N|HxW", VIT_CLI_SIZE, (run).size, 0, 0,                                               \
     "pixels the network is fed, height x width (default: the model's)"},                           \
    VIT_CLI_ARITHMETIC_OPTIONS(run)
#define VIT_CLI_ARITHMETIC_OPTIONS(run)                                                             \
    {"threads", "N", VIT_CLI_INT, &(run).threads, 1, 256,                                           \
     "default: one for each processor, at most 8"},                                                 \
    {"kernels", "NAME", VIT_CLI_TEXT, &(run).kernels, 0, 0,                                         \
     "one of those 'vit version' lists (default: VIT_KERNELS in the environment, else the fastest)"}, \
    {"compute", "f32|int8", VIT_CLI_CHOICE, &(run).compute, 0, 0, "arithmetic (default: f32)"}
#define VIT_CLI_CROP_OPTION(run)                                                                    \
    {"crop-pct", "F", VIT_CLI_NUMBER, &(run).crop_pct, 0.01, 1,                                     \
     "share of the picture's short side that is looked at (default: the model's)"}

#define VIT_CLI_POOL_OPTION(pool)                                \
    {"pool", "head|cls|mean", VIT_CLI_CHOICE, &(pool), 0, 0,     \
     "what the head sees (default), the class token, the mean of the patches"}

typedef struct vit_cli_engine {
    vit_model *model;
    vit_session *session;
    vit_preprocess rules;
    int height, width;
    int compute; /* a vit_compute */
    int runs;
} vit_cli_engine;

/* 0, or the exit status after a complaint; close in any case. */
int vit_cli_engine_open(vit_cli_engine *engine, const vit_cli_command *command, const vit_cli_model *model,
                        const vit_cli_run *run);
void vit_cli_engine_close(vit_cli_engine *engine);

/* What the run options ask of a session. -1 to go on, or the exit status. */
int vit_cli_session_options(vit_session_options *options, const vit_cli_command *command, const vit_cli_run *run);
/* The model's preprocessing with what the run options change. */
vit_preprocess vit_cli_rules(const vit_model *model, const vit_cli_run *run);
/* Exit status for an error of vit_session_open: a usage error if the size was asked for by --size. */
int vit_cli_session_failed(const vit_cli_command *command, const vit_cli_run *run, const vit_error *error);

/* -1 to go on, or the exit status: --pool asks for what the model does not have. */
int vit_cli_check_feature(const vit_cli_command *command, const vit_cli_engine *engine, vit_feature feature);

/* Decodes and preprocesses a picture into the session. */
vit_status vit_cli_engine_prepare(vit_cli_engine *engine, const char *path, vit_error *error);
/* The same, and runs it. */
vit_status vit_cli_engine_run(vit_cli_engine *engine, const char *path, vit_error *error);
/* The same of a decoded one. */
vit_status vit_cli_engine_see(vit_cli_engine *engine, const vit_image *image, vit_error *error);
/* The same, and its features: row [vit_model_feature_width()]. */
vit_status vit_cli_engine_features(vit_cli_engine *engine, const char *path, vit_feature feature, float *row,
                                   vit_error *error);

#endif
