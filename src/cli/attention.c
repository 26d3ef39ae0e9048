#include "canvas.h"
#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "limits.h"
#include "paths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_attention_command = {
    .name = "attention",
    .summary = "where a network looks, laid over the picture",
    .arguments = "[options] (--out O.png | --json) IMAGE",
    .details = "Shows what of the picture the class token attends to; in a hybrid, or a model whose answer is not made "
               "of the class token, what all patches attend to on average. rollout follows the attention through all "
               "layers (or up to --layer), mean is the mean over the heads of one layer, head is one head of it. The "
               "picture is the part that the network saw; brighter is more. With --json also or only the shares "
               "themselves, row by row.",
    .examples = "  vit attention --model vit.gguf --out look.png photo.jpg\n"
                "  vit attention --model vit.gguf --method head --layer 11 --head 2 --json photo.jpg\n",
    .least = 1,
    .most = 1,
};

static const char *const method_names[] = {"rollout", "mean", "head"};

typedef struct look {
    vit_attention_options options;
    int query;           /* whose attention */
    const char *out;     /* file, or NULL */
    int json;
    int rows, columns;
    float *values;       /* [rows,columns] */
} look;

/* Values between the centres of patches: x and y from 0 to 1. */
static double interpolate(const look *look, double x, double y) {
    const double column = fmin(fmax(x * look->columns - 0.5, 0), look->columns - 1),
                 row = fmin(fmax(y * look->rows - 0.5, 0), look->rows - 1);
    const int left = (int)column, top = (int)row, right = left + 1 < look->columns ? left + 1 : left,
              bottom = top + 1 < look->rows ? top + 1 : top;
    const float *above = look->values + top * look->columns, *below = look->values + bottom * look->columns;
    const double across = column - left, down = row - top;
    return (1 - down) * ((1 - across) * above[left] + across * above[right]) +
           down * ((1 - across) * below[left] + across * below[right]);
}

/* What the network saw, at a higher resolution where the picture has it: [height,width,3] in 0..1. */
static vit_status see(const vit_cli_engine *engine, const char *path, int height, int width, float *pixels,
                      vit_error *error) {
    vit_image image;
    vit_status status = vit_image_open(&image, path, vit_cli_options(), error);
    if (status != VIT_OK)
        return status;
    status = vit_image_preprocess(&image, &engine->rules, height, width, pixels, vit_cli_options(), error);
    vit_image_close(&image);
    for (size_t i = 0; status == VIT_OK && i < (size_t)height * (size_t)width * 3; i++)
        pixels[i] = pixels[i] * engine->rules.std[i % 3] + engine->rules.mean[i % 3];
    return status;
}

static int by_value(const void *a, const void *b) {
    const float left = *(const float *)a, right = *(const float *)b;
    return (left > right) - (left < right);
}

/* Few patches often have most of the attention: all above 97 % of the others are as bright, so that the rest can be
 * told apart. sorted: [rows,columns] */
static double brightest(const look *look, float *sorted) {
    const int count = look->rows * look->columns;
    memcpy(sorted, look->values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return sorted[(count - 1) * 97 / 100];
}

/* Dark and grey where nothing is looked at, in its own colours and warm where much is. */
static void overlay(const look *look, double most, const float *pixels, vit_image *out) {
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            const size_t at = ((size_t)y * (size_t)out->width + (size_t)x) * 3;
            const double value = interpolate(look, (x + 0.5) / out->width, (y + 0.5) / out->height),
                         share = most > 0 ? fmin(value / most, 1) : 0,
                         grey = 0.3 * pixels[at] + 0.59 * pixels[at + 1] + 0.11 * pixels[at + 2];
            const vit_cli_color heat = vit_cli_heat_color(share);
            for (int c = 0; c < 3; c++) {
                const double color = (grey + (pixels[at + (size_t)c] - grey) * share) * (0.3 + 0.7 * share),
                             warm = (heat >> (16 - 8 * c) & 255) / 255.0, mixed = color + (warm - color) * 0.35;
                out->rgb[at + (size_t)c] = (uint8_t)(fmin(fmax(mixed, 0), 1) * 255 + 0.5);
            }
        }
}

static int draw(const vit_cli_engine *engine, const look *look, const char *path) {
    enum { SIDE = 448 }; /* pixels that are pleasant to look at */
    const int shorter = engine->height < engine->width ? engine->height : engine->width,
              times = shorter < SIDE ? (SIDE + shorter - 1) / shorter : 1;
    const int height = engine->height * times, width = engine->width * times;
    vit_image out;
    vit_error error;
    if (!vit_cli_canvas_open(&out, width, height, VIT_CLI_WHITE))
        return VIT_CLI_FAILED;
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    float *pixels = malloc((size_t)width * (size_t)height * 3 * sizeof *pixels);
    snprintf(error.text, sizeof error.text, "%s: out of memory", path);
    const double most = pixels ? brightest(look, pixels) : 0; /* which has room to sort in */
    if (pixels)
        status = see(engine, path, height, width, pixels, &error);
    if (status == VIT_OK) {
        overlay(look, most, pixels, &out);
        status = vit_image_save(&out, look->out, NULL, &error);
    }
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    free(pixels);
    vit_image_close(&out);
    return status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
}

static void print(const look *look, const char *path) {
    printf("{\"path\":");
    vit_cli_json_string(stdout, path);
    printf(",\"method\":\"%s\",\"grid\":[%d,%d],\"values\":", method_names[look->options.method], look->rows,
           look->columns);
    vit_cli_json_floats(look->values, (size_t)look->rows * (size_t)look->columns);
    printf("}\n");
}

/* Runs the network as far as it takes. */
static vit_status compute(vit_cli_engine *engine, look *look, vit_attention *attention, const char *path,
                          vit_error *error) {
    vit_status status = vit_cli_engine_prepare(engine, path, error);
    vit_session_restart(engine->session);
    while (status == VIT_OK && vit_session_advance(engine->session) > 0 && !vit_attention_follow(attention))
        ;
    return status == VIT_OK ? vit_attention_read(attention, look->query, look->values, error) : status;
}

static int run_attention(vit_cli_engine *engine, look *look, const char *path) {
    const vit_session_info info = vit_session_get_info(engine->session);
    vit_error error;
    look->rows = info.grid_height;
    look->columns = info.grid_width;
    if (look->query >= look->rows * look->columns)
        return vit_cli_usage(&vit_cli_attention_command, "--patch %d: there are patches 0 to %d", look->query,
                             look->rows * look->columns - 1);
    if (look->query == VIT_QUERY_CLASS && !vit_model_config(engine->model)->class_token)
        return vit_cli_usage(&vit_cli_attention_command, "--query cls: this model has no class token; use mean");
    if (vit_is_folder(path)) {
        vit_cli_complain("%s: is a folder, expected one picture", path);
        return VIT_CLI_FAILED;
    }
    vit_attention *attention;
    if (vit_attention_open(&attention, engine->session, &look->options, &error) != VIT_OK) {
        if (error.status == VIT_ERR_ARGUMENT)
            return vit_cli_usage(&vit_cli_attention_command, "%s", error.text);
        return vit_cli_failed(&error);
    }
    look->values = malloc((size_t)look->rows * (size_t)look->columns * sizeof *look->values);
    vit_status status = look->values ? compute(engine, look, attention, path, &error) : VIT_ERR_OUT_OF_MEMORY;
    vit_attention_close(attention);
    if (status != VIT_OK) {
        vit_cli_complain("%s", look->values ? error.text : "out of memory");
        return VIT_CLI_FAILED;
    }
    if (look->out && draw(engine, look, path) != VIT_CLI_OK)
        return VIT_CLI_FAILED;
    if (look->json)
        print(look, path);
    return VIT_CLI_OK;
}

int vit_cli_attention(int argc, char **argv) {
    vit_cli_model model = {0};
    vit_cli_run run = {.capture_attention = 1};
    look look = {.options = {.layer = -1}, .query = VIT_QUERY_DEFAULT};
    int count, method = -1, head = -1, query = -1, patch = -1;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"method", "rollout|mean|head", VIT_CLI_CHOICE, &method, 0, 0,
         "default: rollout, or head where --head is given"},
        {"layer", "L", VIT_CLI_INT, &look.options.layer, -65535, 65535, "from 0; negative: from the end (default: -1)"},
        {"head", "H", VIT_CLI_INT, &head, 0, 65535, "from 0"},
        {"query", "cls|mean", VIT_CLI_CHOICE, &query, 0, 0,
         "whose attention: the class token's, or the mean of all patches"},
        {"patch", "N", VIT_CLI_INT, &patch, 0, 1 << 30, "or that of this patch, from 0, row by row"},
        {"out", "O.png", VIT_CLI_TEXT, &look.out, 0, 0, "the picture to write"},
        {"json", NULL, VIT_CLI_FLAG, &look.json, 0, 0,
         "one object: {\"path\", \"method\", \"grid\": [rows, columns], \"values\"}"},
        VIT_CLI_CROP_OPTION(run),
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_attention_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!look.out && !look.json)
        return vit_cli_usage(&vit_cli_attention_command, "say where the attention goes: --out O.png or --json");
    if (method >= 0 && method != VIT_ATTENTION_HEAD && head >= 0)
        return vit_cli_usage(&vit_cli_attention_command, "--head %d does not go with --method %s", head, method_names[method]);
    if (method == VIT_ATTENTION_HEAD && head < 0)
        return vit_cli_usage(&vit_cli_attention_command, "--method head needs --head H");
    if (query >= 0 && patch >= 0)
        return vit_cli_usage(&vit_cli_attention_command, "--query and --patch do not go together");
    if ((status = vit_cli_check_png(&vit_cli_attention_command, look.out)) >= 0 ||
        (status = vit_cli_check_kept(&vit_cli_attention_command, look.out, 1, argv)) >= 0)
        return status;
    look.options.method = head >= 0 ? VIT_ATTENTION_HEAD : method < 0 ? VIT_ATTENTION_ROLLOUT : (vit_attention_method)method;
    look.options.head = head >= 0 ? head : 0;
    look.query = patch >= 0 ? patch : query == 0 ? VIT_QUERY_CLASS : query == 1 ? VIT_QUERY_MEAN : VIT_QUERY_DEFAULT;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &vit_cli_attention_command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_attention(&engine, &look, argv[0]);
    vit_cli_engine_close(&engine);
    free(look.values);
    return status;
}
