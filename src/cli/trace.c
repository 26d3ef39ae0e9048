#include "commands.h"
#include "engine.h"
#include "limits.h"
#include "paths.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_trace_command = {
    .name = "trace",
    .summary = "every intermediate result of a forward pass",
    .arguments = "[options] --out T.safetensors (--image I | --input X)",
    .details = "For every tensor NAME.x [B,H,W,3] of X (normalised pixels, f32) it writes f32 NAME.patch_embed "
               "[B,T0,D], NAME.embed [B,T,D], NAME.attn.N [B,H,T,T] and NAME.block.N [B,T,D] of each block, NAME.norm "
               "[B,T,D], NAME.features [B,D], NAME.logits [B,N] and NAME.probs [B,N], and whatever else its network can "
               "show: NAME.pos_embedding [1,T,D], of convolutions the maps [B,h,w,C] NAME.stem and NAME.stage.N, of a BiT "
               "NAME.root and NAME.blockN in the place of tokens. A tensor called x gives names without NAME. The size of the network's input is the tensor's. A picture is preprocessed as the model "
               "says and is written as x.",
    .examples = "  vit trace --model vit.gguf --image photo.jpg --out trace.safetensors\n"
                "  vit trace --model vit_tiny/ --input pixels.safetensors --out trace.safetensors\n",
    .least = 0,
    .most = 0,
};

typedef struct tracer {
    const vit_model *model;
    const vit_cli_run *run;
    vit_session_options options;
    vit_tensors_writer *writer;
} tracer;

static vit_status add(const tracer *tracer, const char *prefix, const char *name, int rank, const int64_t *shape,
                      const float *data, vit_error *error) {
    char full[300];
    if (snprintf(full, sizeof full, "%s%s", prefix, name) >= (int)sizeof full) {
        snprintf(error->text, sizeof error->text, "%.60s...: the name is too long", prefix);
        return error->status = VIT_ERR_LIMIT;
    }
    return vit_tensors_writer_add(tracer->writer, full, rank, shape, data, error);
}

static vit_status add_stage(const tracer *tracer, const vit_session *session, const char *prefix,
                            const vit_stage_info *stage, vit_error *error) {
    int64_t shape[4];
    size_t size = sizeof(float);
    for (int i = 0; i < stage->rank; i++) {
        shape[i] = stage->shape[i];
        size *= (size_t)stage->shape[i];
    }
    float *data = malloc(size);
    if (!data) {
        snprintf(error->text, sizeof error->text, "out of memory: %s%s needs %zu bytes", prefix, stage->name, size);
        return error->status = VIT_ERR_OUT_OF_MEMORY;
    }
    vit_status status = vit_session_read(session, data, error);
    if (status == VIT_OK)
        status = add(tracer, prefix, stage->name, stage->rank, shape, data, error);
    if (status == VIT_OK && strcmp(stage->name, "logits") == 0) {
        for (int64_t i = 0; i < shape[0]; i++)
            vit_probabilities(data + i * shape[1], (int)shape[1], vit_model_config(tracer->model)->multi_label,
                              data + i * shape[1]);
        status = add(tracer, prefix, "probs", stage->rank, shape, data, error);
    }
    free(data);
    return status;
}

static vit_status trace_stages(const tracer *tracer, vit_session *session, const char *prefix, vit_error *error) {
    int index = 0, more;
    vit_session_restart(session);
    do {
        more = vit_session_advance(session);
        vit_stage_info stage = vit_session_stage(session, index++);
        vit_status status = stage.rank ? add_stage(tracer, session, prefix, &stage, error) : VIT_OK;
        if (status != VIT_OK)
            return status;
    } while (more);
    return VIT_OK;
}

/* pixels [B,H,W,3] */
static int trace_pixels(const tracer *tracer, const char *prefix, const int64_t *shape, const float *pixels) {
    vit_error error;
    vit_session *session;
    vit_session_options options = tracer->options;
    options.batch = (int)shape[0];
    options.height = (int)shape[1];
    options.width = (int)shape[2];
    if (vit_session_open(&session, tracer->model, &options, &error) != VIT_OK) {
        if (!*prefix)
            return vit_cli_session_failed(&vit_cli_trace_command, tracer->run, &error);
        vit_cli_complain("%sx: %s", prefix, error.text);
        return VIT_CLI_FAILED;
    }
    size_t image = (size_t)shape[1] * (size_t)shape[2] * 3;
    for (int i = 0; i < options.batch; i++)
        memcpy(vit_session_input(session, i), pixels + (size_t)i * image, image * sizeof *pixels);
    vit_status status = trace_stages(tracer, session, prefix, &error);
    vit_session_close(session);
    if (status == VIT_OK)
        return VIT_CLI_OK;
    return vit_cli_failed(&error);
}

enum { LONGEST_NAME = 255 };

/* Is this tensor called x or NAME.x? */
static int is_input(const char *name) {
    size_t length = strlen(name);
    return length > 0 && name[length - 1] == 'x' && (length == 1 || name[length - 2] == '.');
}

static int usable(const char *path, const vit_tensor_info *tensor, const float *data) {
    size_t length = strlen(tensor->name);
    if (length > LONGEST_NAME) {
        vit_cli_complain("%s: tensor %.60s...x: the name has %zu bytes, at most %d can be traced", path, tensor->name,
                         length, LONGEST_NAME);
        return 0;
    }
    int good = data && tensor->rank == 4 && tensor->shape[3] == 3;
    for (int i = 0; good && i < 4; i++)
        good = tensor->shape[i] > 0 && tensor->shape[i] <= (i ? 65535 : INT_MAX);
    if (!good)
        vit_cli_complain("%s: tensor %s: expected f32 [B,H,W,3], found %s of rank %d or an impossible shape", path,
                         tensor->name, tensor->type, tensor->rank);
    return good;
}

static int trace_file(const tracer *tracer, const char *path) {
    vit_error error;
    vit_tensors *tensors;
    if (vit_tensors_read(&tensors, path, vit_cli_options(), &error) != VIT_OK)
        return vit_cli_failed(&error);
    int status = VIT_CLI_OK, found = 0;
    for (int i = 0; i < vit_tensors_count(tensors) && status == VIT_CLI_OK; i++) {
        char prefix[LONGEST_NAME]; /* the name but for its x */
        const vit_tensor_info *tensor = vit_tensors_info(tensors, i);
        const float *data = vit_tensors_data(tensors, i);
        if (!is_input(tensor->name))
            continue;
        found = 1;
        if (!usable(path, tensor, data)) {
            status = VIT_CLI_FAILED;
            break;
        }
        snprintf(prefix, sizeof prefix, "%.*s", (int)strlen(tensor->name) - 1, tensor->name);
        status = trace_pixels(tracer, prefix, tensor->shape, data);
    }
    vit_tensors_close(tensors);
    if (!found) {
        vit_cli_complain("%s: no tensor called x or NAME.x in this file", path);
        return VIT_CLI_FAILED;
    }
    return status;
}

static int trace_image(const tracer *tracer, const char *path, const vit_preprocess *rules) {
    vit_error error;
    vit_image image;
    if (vit_image_open(&image, path, vit_cli_options(), &error) != VIT_OK)
        return vit_cli_failed(&error);
    int64_t shape[4] = {1, rules->height, rules->width, 3};
    float *pixels = malloc((size_t)rules->height * (size_t)rules->width * 3 * sizeof *pixels);
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    if (pixels)
        status = vit_image_preprocess(&image, rules, rules->height, rules->width, pixels, vit_cli_options(), &error);
    else
        snprintf(error.text, sizeof error.text, "%s: out of memory", path);
    vit_image_close(&image);
    if (status == VIT_OK)
        status = add(tracer, "", "x", 4, shape, pixels, &error);
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    int result = status == VIT_OK ? trace_pixels(tracer, "", shape, pixels) : VIT_CLI_FAILED;
    free(pixels);
    return result;
}

int vit_cli_trace(int argc, char **argv) {
    vit_cli_model model_option = {0};
    vit_cli_run run = {0};
    const char *out = NULL, *image = NULL, *input = NULL;
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model_option),
        {"out", "T.safetensors", VIT_CLI_TEXT, &out, 0, 0, "the file to write"},
        {"image", "I", VIT_CLI_TEXT, &image, 0, 0, "a JPEG or PNG picture"},
        {"input", "X.safetensors", VIT_CLI_TEXT, &input, 0, 0, "pixels as the network sees them"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_trace_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!out || !image == !input)
        return vit_cli_usage(&vit_cli_trace_command, "expected --out, and one of --image and --input");
    if (input && (run.size[0] || run.crop_pct > 0))
        return vit_cli_usage(&vit_cli_trace_command, "--size and --crop-pct are for --image; with --input the tensors give the size");
    if ((status = vit_cli_check_kept(&vit_cli_trace_command, out, 1, (char **)(image ? &image : &input))) >= 0 ||
        (status = vit_cli_check_model_kept(&vit_cli_trace_command, out, &model_option)) >= 0)
        return status;
    vit_error error;
    vit_model *model = NULL;
    tracer tracer = {0};
    status = vit_cli_session_options(&tracer.options, &vit_cli_trace_command, &run);
    if (status >= 0)
        return status;
    tracer.options.capture_attention = 1;
    if (!vit_cli_can_write(out))
        return VIT_CLI_FAILED;
    status = vit_cli_model_open(&model, &model_option, (vit_compute)run.compute);
    if (status == VIT_CLI_OK && vit_tensors_writer_open(&tracer.writer, NULL, &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK) {
        tracer.model = model;
        tracer.run = &run;
        vit_preprocess rules = vit_cli_rules(model, &run);
        status = image ? trace_image(&tracer, image, &rules) : trace_file(&tracer, input);
    }
    if (status == VIT_CLI_OK && vit_tensors_writer_commit(tracer.writer, out, &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        status = VIT_CLI_FAILED;
    }
    vit_tensors_writer_close(tracer.writer);
    vit_model_close(model);
    return status;
}
