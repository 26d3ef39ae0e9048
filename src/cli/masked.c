#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "limits.h"
#include "patch_score.h"
#include "paths.h"
#include "text_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_masked_command = {
    .name = "masked",
    .summary = "fills in hidden parts of a picture",
    .arguments = "[options] (--out O.png | --json) IMAGE, or --score DATA",
    .details = "Hides patches of a picture, by chance or as a mask says, and has the model say which colours belong there: a "
               "model of 'vit pretrain', a masked autoencoder, or SimMIM. The whole picture is squeezed to the size that "
               "the network is fed; what is written has the picture's own size and keeps all that is not hidden. The same "
               "seed hides the same patches on every machine. --json prints the grid, the mask, and for each patch its "
               "mean colour and the probability of the likeliest one (1 where it is visible, null where pixels are "
               "predicted). --score says how many colours of hidden patches are right in all pictures of DATA, a folder as "
               "of 'vit pretrain', and how far off they are, beside what needs no network; these are fed as the model "
               "says, which may crop them, and --json prints pictures, loss, and NAME_accuracy and NAME_color_error of "
               "model, frequent, mean and distance; "
               "a picture that cannot be read is named on stderr and left out, exit status 1.",
    .examples = "  vit masked --model masked.gguf --ratio 0.75 --seed 3 --out filled.png photo.jpg\n"
                "  vit masked --model masked.gguf --mask painted.png --out filled.png --json photo.jpg\n"
                "  vit masked --model masked.gguf --ratio 0.75 --score tiny/val\n",
    .least = 0,
    .most = 1,
};

typedef struct request {
    double ratio;       /* below 0: the model's */
    int seed, json, raw;
    const char *mask, *out, *score;
} request;

/* Patches and what is said of them. */
typedef struct patches {
    int rows, columns, count;
    uint8_t *hidden;
    float *noise, *colors, *probabilities;
    int32_t *labels;
} patches;

static int make_patches(patches *p, const vit_session_info *info) {
    p->rows = info->grid_height;
    p->columns = info->grid_width;
    p->count = p->rows * p->columns;
    const size_t count = (size_t)p->count;
    p->hidden = calloc(count, 1);
    p->noise = malloc(count * sizeof *p->noise);
    p->colors = malloc(3 * count * sizeof *p->colors);
    p->probabilities = malloc(count * sizeof *p->probabilities);
    p->labels = malloc(count * sizeof *p->labels);
    if (p->hidden && p->noise && p->colors && p->probabilities && p->labels)
        return 1;
    vit_cli_complain("out of memory for %d patches", p->count);
    return 0;
}

static void release_patches(patches *p) {
    free(p->hidden);
    free(p->noise);
    free(p->colors);
    free(p->probabilities);
    free(p->labels);
}

/* What part `index` of `parts` is of so many pixels: at least one of them. */
static void part_of(int index, int parts, int pixels, int *begin, int *end) {
    *begin = (int)((int64_t)index * pixels / parts);
    *end = (int)(((int64_t)(index + 1) * pixels + parts - 1) / parts);
}

/* A patch is hidden where any pixel of the mask over it is bright. */
static vit_status read_mask(const char *path, patches *p, vit_error *error) {
    vit_image mask;
    const vit_status status = vit_image_open(&mask, path, vit_cli_options(), error);
    if (status != VIT_OK)
        return status;
    for (int patch = 0; patch < p->count; patch++) {
        int top, bottom, left, right;
        part_of(patch / p->columns, p->rows, mask.height, &top, &bottom);
        part_of(patch % p->columns, p->columns, mask.width, &left, &right);
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++) {
                const uint8_t *rgb = mask.rgb + ((size_t)y * (size_t)mask.width + (size_t)x) * 3;
                p->hidden[patch] |= rgb[0] + rgb[1] + rgb[2] >= 3 * 128;
            }
    }
    vit_image_close(&mask);
    return VIT_OK;
}

static void print(const patches *p, const char *path) {
    printf("{\"path\":");
    vit_cli_json_string(stdout, path);
    printf(",\"grid\":[%d,%d],\"mask\":[", p->rows, p->columns);
    for (int i = 0; i < p->count; i++)
        printf(i ? ",%d" : "%d", p->hidden[i]);
    printf("],\"colors\":[");
    for (int i = 0; i < p->count; i++)
        printf("%s[%d,%d,%d]", i ? "," : "", (int)(p->colors[3 * i] + 0.5f), (int)(p->colors[3 * i + 1] + 0.5f),
               (int)(p->colors[3 * i + 2] + 0.5f));
    printf("],\"probabilities\":");
    vit_cli_json_floats(p->probabilities, (size_t)p->count);
    printf("}\n");
}

/* The whole picture, squeezed. */
static vit_status prepare(vit_cli_engine *engine, const vit_image *image, vit_error *error) {
    engine->rules.crop = VIT_CROP_SQUASH;
    engine->rules.crop_pct = 1;
    return vit_image_preprocess(image, &engine->rules, engine->height, engine->width,
                                vit_session_input(engine->session, 0), vit_cli_options(), error);
}

static double ratio_of(const request *r, const vit_model *model) {
    return r->ratio >= 0 ? r->ratio : vit_model_config(model)->decoder.kind == VIT_DECODER_MAE ? 0.75 : 0.5;
}

static int predict(vit_cli_engine *engine, const request *r, patches *p, vit_image *image, const char *path) {
    vit_error error;
    vit_patch_noise((uint64_t)r->seed, p->noise, p->count);
    vit_hide_by_noise(p->noise, p->count, r->mask ? p->count : vit_visible_patches(p->count, ratio_of(r, engine->model)), p->hidden);
    if ((r->mask && read_mask(r->mask, p, &error) != VIT_OK) || prepare(engine, image, &error) != VIT_OK ||
        vit_session_hide(engine->session, p->hidden, &error) != VIT_OK ||
        vit_session_run(engine->session, &error) != VIT_OK ||
        vit_session_colors(engine->session, 0, p->colors, p->labels, p->probabilities, &error) != VIT_OK)
        return vit_cli_failed(&error);
    if (r->out && (vit_session_fill(engine->session, 0, !r->raw, image, &error) != VIT_OK ||
                   vit_image_save(image, r->out, NULL, &error) != VIT_OK))
        return vit_cli_failed(&error);
    if (r->json)
        print(p, path);
    return VIT_CLI_OK;
}

static int run_masked(vit_cli_engine *engine, const request *r, const char *path) {
    const vit_session_info info = vit_session_get_info(engine->session);
    vit_image image;
    vit_error error;
    patches p = {0};
    if (vit_image_open(&image, path, vit_cli_options(), &error) != VIT_OK)
        return vit_cli_failed(&error);
    const int status = make_patches(&p, &info) ? predict(engine, r, &p, &image, path) : VIT_CLI_FAILED;
    release_patches(&p);
    vit_image_close(&image);
    return status;
}

static int score(const request *r, const vit_cli_model *options, const vit_cli_run *run) {
    static const volatile sig_atomic_t never;
    vit_session_options session;
    vit_cli_patch_scores scores;
    vit_dataset *data = NULL;
    vit_model *model = NULL;
    vit_error error;
    int status = vit_cli_session_options(&session, &vit_cli_masked_command, run);
    if (status < 0)
        status = vit_cli_model_open(&model, options, (vit_compute)run->compute);
    if (status == VIT_CLI_OK && vit_dataset_open_unlabelled(&data, &r->score, 1, vit_cli_options(), &error) != VIT_OK)
        status = vit_cli_failed(&error);
    if (status == VIT_CLI_OK &&
        !vit_cli_score_patches(model, data, NULL, NULL, ratio_of(r, model), r->seed, session, &never, &scores))
        status = VIT_CLI_FAILED;
    if (status == VIT_CLI_OK && scores.pictures == 0) {
        vit_cli_complain("%s: no picture could be scored", r->score);
        status = VIT_CLI_FAILED;
    }
    if (status == VIT_CLI_OK && r->json) {
        printf("{\"pictures\":%d,\"loss\":%.6g,", scores.pictures, scores.loss);
        vit_cli_write_patch_scores(stdout, &scores);
        printf("}\n");
    } else if (status == VIT_CLI_OK) {
        vit_cli_line(stdout, "%d picture%s, loss %.4f", scores.pictures, scores.pictures == 1 ? "" : "s", scores.loss);
        vit_cli_print_patch_scores(&scores);
    }
    if (status == VIT_CLI_OK && scores.unread)
        status = VIT_CLI_FAILED;
    vit_dataset_close(data);
    vit_model_close(model);
    return status;
}

int vit_cli_masked(int argc, char **argv) {
    vit_cli_model model = {.otherwise = VIT_CLI_MASKED};
    vit_cli_run run = {.masked = 1};
    request r = {.ratio = -1};
    int count;
    const vit_cli_option options[] = {
        VIT_CLI_MODEL_OPTIONS(model),
        {"ratio", "R", VIT_CLI_NUMBER, &r.ratio, 0, 1,
         "share of the patches that is hidden (default: 0.5; 0.75 of a masked autoencoder)"},
        {"seed", "N", VIT_CLI_INT, &r.seed, 0, 2147483647, "which ones (default: 0)"},
        {"mask", "M.png", VIT_CLI_TEXT, &r.mask, 0, 0,
         "instead: hides the patches where this picture, laid over the other, is bright"},
        {"out", "O.png", VIT_CLI_TEXT, &r.out, 0, 0, "the picture with its holes filled"},
        {"raw", NULL, VIT_CLI_FLAG, &r.raw, 0, 0, "predicted colours with hard edges; otherwise they blend into one another"},
        {"score", "DATA", VIT_CLI_TEXT, &r.score, 0, 0, "instead of a picture: how well all of these are predicted"},
        {"json", NULL, VIT_CLI_FLAG, &r.json, 0, 0, "prints mask, colours and probabilities, or what --score says"},
        VIT_CLI_RUN_OPTIONS(run),
        {0},
    };
    int status = vit_cli_parse(&vit_cli_masked_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (r.score && (count || r.out || r.mask || r.raw))
        return vit_cli_usage(&vit_cli_masked_command, "--score goes with --ratio, --seed and --json, not with a picture");
    if (r.score)
        return score(&r, &model, &run);
    if (!count)
        return vit_cli_usage(&vit_cli_masked_command, "expected a picture, or --score DATA");
    if (!r.out && !r.json)
        return vit_cli_usage(&vit_cli_masked_command, "expected --out O.png, --json, or both");
    if (r.mask && r.ratio >= 0)
        return vit_cli_usage(&vit_cli_masked_command, "--mask and --ratio: expected one of them");
    if (vit_is_folder(argv[0])) {
        vit_cli_complain("%s: is a folder, expected one picture", argv[0]);
        return VIT_CLI_FAILED;
    }
    if ((status = vit_cli_check_png(&vit_cli_masked_command, r.out)) >= 0 ||
        (status = vit_cli_check_kept(&vit_cli_masked_command, r.out, 1, argv)) >= 0 ||
        (status = vit_cli_check_kept(&vit_cli_masked_command, r.out, 1, (char **)&r.mask)) >= 0)
        return status;
    vit_cli_engine engine;
    status = vit_cli_engine_open(&engine, &vit_cli_masked_command, &model, &run);
    if (status == VIT_CLI_OK)
        status = run_masked(&engine, &r, argv[0]);
    vit_cli_engine_close(&engine);
    return status;
}
