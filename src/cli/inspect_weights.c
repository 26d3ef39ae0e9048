/* `vit inspect filters` and `vit inspect positions`: figure 7, left and centre. */
#include "canvas.h"
#include "engine.h"
#include "inspect.h"
#include "json_out.h"
#include "paths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MARGIN = 24, LETTER = 13 };

/* What both are asked. */
typedef struct request {
    const char *out;
    int json;
} request;

/* -1 to go on, or the exit status. */
static int check(const vit_cli_command *command, const request *request) {
    if (!request->out && !request->json)
        return vit_cli_usage(command, "say where it goes: --out O.png or --json");
    return vit_cli_check_png(command, request->out);
}

/* ---- filters ---- */

static const vit_cli_command filters_command = {
    .name = "inspect filters",
    .summary = "what the first layer looks for",
    .arguments = "[options] (--out O.png | --json)",
    .details = "The principal components of the filters of the patch embedding, or of the first convolution of a "
               "ResNet, about their mean: strongest first, grey where a component is 0.",
    .examples = "  vit inspect filters --model vit.gguf --out filters.png\n",
    .least = 0,
    .most = 0,
};

/* One component [3,height,width], its strongest value as far from grey as can be. */
static void draw_filter(vit_image *canvas, const float *filter, int height, int width, int x, int y, int times) {
    float most = 0;
    for (int i = 0; i < 3 * height * width; i++)
        most = fmaxf(most, fabsf(filter[i]));
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++) {
            vit_cli_color color = 0;
            for (int c = 0; c < 3; c++) {
                const double value = most > 0 ? filter[(c * height + row) * width + column] / most : 0;
                color = color << 8 | (vit_cli_color)(127.5 + 127.5 * value + 0.5);
            }
            vit_cli_fill(canvas, x + column * times, y + row * times, times, times, color);
        }
}

static int draw_filters(const float *components, int count, int height, int width, const char *path) {
    enum { COLUMNS = 7, GAP = 8, SIDE = 96 };
    const int longer = height > width ? height : width, times = longer < SIDE ? SIDE / longer : 1,
              columns = count < COLUMNS ? count : COLUMNS, rows = (count + columns - 1) / columns;
    const int step_x = width * times + GAP, step_y = height * times + GAP;
    vit_image canvas;
    if (!vit_cli_canvas_open(&canvas, 2 * MARGIN + columns * step_x - GAP, 2 * MARGIN + rows * step_y - GAP,
                             VIT_CLI_WHITE))
        return VIT_CLI_FAILED;
    for (int i = 0; i < count; i++)
        draw_filter(&canvas, components + (size_t)i * 3 * (size_t)height * (size_t)width, height, width,
                    MARGIN + i % columns * step_x, MARGIN + i / columns * step_y, times);
    return vit_cli_canvas_save(&canvas, path);
}

static int run_filters(const vit_model *model, int count, const request *request) {
    int shape[3];
    vit_error error;
    vit_filter_shape(model, shape);
    const int most = shape[0] < 3 * shape[1] * shape[2] ? shape[0] : 3 * shape[1] * shape[2];
    count = count ? count : most < 28 ? most : 28;
    if (count > most)
        return vit_cli_usage(&filters_command, "--count %d: this model has %d components", count, most);
    const size_t length = 3 * (size_t)shape[1] * (size_t)shape[2];
    float *components = malloc((size_t)count * (length + 1) * sizeof *components),
          *strengths = components ? components + (size_t)count * length : NULL;
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    snprintf(error.text, sizeof error.text, "out of memory for %d components", count);
    if (components)
        status = vit_filter_components(model, count, components, strengths, NULL, &error);
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    int result = status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
    if (result == VIT_CLI_OK && request->out)
        result = draw_filters(components, count, shape[1], shape[2], request->out);
    if (result == VIT_CLI_OK && request->json) {
        printf("{\"filters\":%d,\"shape\":[3,%d,%d],\"strengths\":", shape[0], shape[1], shape[2]);
        vit_cli_json_floats(strengths, (size_t)count);
        printf(",\"components\":[");
        for (int i = 0; i < count; i++) {
            if (i)
                putchar(',');
            vit_cli_json_floats(components + (size_t)i * length, length);
        }
        printf("]}\n");
    }
    free(components);
    return result;
}

int vit_cli_inspect_filters(int argc, char **argv) {
    vit_cli_model option = {0};
    request request = {0};
    int components = 0, count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(option),
        {"count", "N", VIT_CLI_INT, &components, 1, 100000, "how many components (default: 28)"},
        {"out", "O.png", VIT_CLI_TEXT, &request.out, 0, 0, "the picture to write"},
        {"json", NULL, VIT_CLI_FLAG, &request.json, 0, 0,
         "one object: {\"filters\", \"shape\", \"strengths\", \"components\"}"},
        {0},
    };
    int status = vit_cli_parse(&filters_command, options, argc, argv, &count);
    if (status < 0)
        status = check(&filters_command, &request);
    if (status >= 0)
        return status;
    vit_model *model;
    status = vit_cli_model_open(&model, &option, VIT_COMPUTE_F32);
    if (status == VIT_CLI_OK)
        status = run_filters(model, components, &request);
    vit_model_close(model);
    return status;
}

/* ---- positions ---- */

static const vit_cli_command positions_command = {
    .name = "inspect positions",
    .summary = "which places a network takes to be alike",
    .arguments = "[options] (--out O.png | --json)",
    .details = "The cosine of the position embedding of each patch with those of all: one small map for each patch, "
               "where it stands. At the size that they are stored for, or another by --size.",
    .examples = "  vit inspect positions --model vit.gguf --out positions.png\n",
    .least = 0,
    .most = 0,
};

/* The colours of [least,most], from below. */
static void draw_scale(vit_image *canvas, int x, int top, int bottom, double least, double most) {
    char text[16];
    for (int y = top; y < bottom; y++)
        vit_cli_fill(canvas, x, y, 16, 1, vit_cli_scale_color((bottom - 1.0 - y) / (bottom - 1 - top)));
    for (int i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, "%.2f", least + (most - least) * i / 4);
        vit_cli_text(canvas, x + 24, bottom - (bottom - top) * i / 4.0 + (i == 4 ? LETTER : i == 0 ? 0 : LETTER / 2.0),
                     LETTER, 0, VIT_CLI_INK, text);
    }
}

static int draw_positions(const float *cosines, int rows, int columns, const char *path) {
    enum { SIDE = 840, LEFT = 64, BOTTOM = 64, RIGHT = 100 };
    const int patches = rows * columns, longer = rows > columns ? rows : columns;
    int cell = SIDE / (longer * (longer + 1));
    cell = cell < 1 ? 1 : cell > 24 ? 24 : cell;
    const int gap = cell < 4 ? 2 : cell, step_x = columns * cell + gap, step_y = rows * cell + gap;
    const int right = LEFT + columns * step_x - gap, bottom = MARGIN + rows * step_y - gap;
    float least = 1;
    for (size_t i = 0; i < (size_t)patches * (size_t)patches; i++)
        least = fminf(least, cosines[i]);
    vit_image canvas;
    if (!vit_cli_canvas_open(&canvas, right + RIGHT, bottom + BOTTOM, VIT_CLI_WHITE))
        return VIT_CLI_FAILED;
    for (int patch = 0; patch < patches; patch++)
        for (int other = 0; other < patches; other++) {
            const double cosine = cosines[(size_t)patch * (size_t)patches + (size_t)other];
            vit_cli_fill(&canvas, LEFT + patch % columns * step_x + other % columns * cell,
                         MARGIN + patch / columns * step_y + other / columns * cell, cell, cell,
                         vit_cli_scale_color(least < 1 ? (cosine - least) / (1 - least) : 1));
        }
    for (int column = 0; column < columns; column += 1 + columns / 16) {
        char text[16];
        snprintf(text, sizeof text, "%d", column + 1);
        vit_cli_text(&canvas, LEFT + column * step_x + columns * cell / 2.0, bottom + 8 + LETTER, LETTER, 0.5,
                     VIT_CLI_INK, text);
    }
    for (int row = 0; row < rows; row += 1 + rows / 16) {
        char text[16];
        snprintf(text, sizeof text, "%d", row + 1);
        vit_cli_text(&canvas, LEFT - 8, MARGIN + row * step_y + (rows * cell + LETTER) / 2.0, LETTER, 1, VIT_CLI_INK,
                     text);
    }
    vit_cli_text(&canvas, (LEFT + right) / 2.0, bottom + BOTTOM - 12, LETTER, 0.5, VIT_CLI_INK, "column of the patch");
    vit_cli_text_upwards(&canvas, 24, (MARGIN + bottom) / 2.0, LETTER, 0.5, VIT_CLI_INK, "row of the patch");
    draw_scale(&canvas, right + 20, MARGIN, bottom, least, 1);
    return vit_cli_canvas_save(&canvas, path);
}

static int run_positions(vit_session *session, const request *request) {
    enum { MOST_DRAWN = 64 };
    const vit_session_info info = vit_session_get_info(session);
    const size_t patches = (size_t)info.grid_height * (size_t)info.grid_width;
    vit_error error;
    if (request->out && (info.grid_height > MOST_DRAWN || info.grid_width > MOST_DRAWN)) {
        vit_cli_complain("%s: a grid of %dx%d patches is more than can be drawn (%d)", request->out, info.grid_height,
                         info.grid_width, MOST_DRAWN);
        return VIT_CLI_FAILED;
    }
    float *cosines =
        patches <= SIZE_MAX / sizeof *cosines / patches ? malloc(patches * patches * sizeof *cosines) : NULL;
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    snprintf(error.text, sizeof error.text, "out of memory for %zu patches", patches);
    if (cosines)
        status = vit_position_similarity(session, 0, (int)patches, cosines, &error);
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    int result = status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
    if (result == VIT_CLI_OK && request->out)
        result = draw_positions(cosines, info.grid_height, info.grid_width, request->out);
    if (result == VIT_CLI_OK && request->json) {
        printf("{\"grid\":[%d,%d],\"similarity\":[", info.grid_height, info.grid_width);
        for (size_t patch = 0; patch < patches; patch++) {
            if (patch)
                putchar(',');
            vit_cli_json_floats(cosines + patch * patches, patches);
        }
        printf("]}\n");
    }
    free(cosines);
    return result;
}

int vit_cli_inspect_positions(int argc, char **argv) {
    vit_cli_model option = {0};
    request request = {0};
    vit_cli_run run = {0};
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(option),
        {"size", "N|HxW", VIT_CLI_SIZE, run.size, 0, 0,
         "pixels of an input, for its grid (default: as they are stored)"},
        {"out", "O.png", VIT_CLI_TEXT, &request.out, 0, 0, "the picture to write"},
        {"json", NULL, VIT_CLI_FLAG, &request.json, 0, 0,
         "one object: {\"grid\": [rows, columns], \"similarity\": a row for each patch}"},
        {0},
    };
    int status = vit_cli_parse(&positions_command, options, argc, argv, &count);
    if (status < 0)
        status = check(&positions_command, &request);
    if (status >= 0)
        return status;
    vit_model *model;
    vit_session *session = NULL;
    vit_error error;
    status = vit_cli_model_open(&model, &option, VIT_COMPUTE_F32);
    if (status == VIT_CLI_OK) {
        const vit_config *config = vit_model_config(model);
        const vit_session_options wanted = {.height = run.size[0] ? run.size[0] : config->image_height,
                                            .width = run.size[1] ? run.size[1] : config->image_width};
        if (vit_session_open(&session, model, &wanted, &error) != VIT_OK)
            status = vit_cli_session_failed(&positions_command, &run, &error);
    }
    if (status == VIT_CLI_OK)
        status = run_positions(session, &request);
    vit_session_close(session);
    vit_model_close(model);
    return status;
}
