#include "patch_score.h"

#include "limits.h"
#include "options.h"
#include "text_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 16, BINS = 8 };

typedef struct work {
    const vit_config *config;
    vit_session *session;
    int rows, columns, patches, height, width;
    uint8_t *hidden;                /* [BATCH,T0] */
    uint8_t *rgb;                   /* [H,W,3] */
    float *noise, *colors, *means;  /* [T0], [T0,3] predicted, [T0,3] true */
    float *probabilities;
    int32_t *labels, *truth;        /* [T0] */
    double *weights;                /* [rows,columns]: by distance */
    int64_t counted;                /* hidden patches */
    int64_t frequency[VIT_COLORS], hits[VIT_COLORS]; /* of all patches, of hidden ones */
    double bin_errors[3][BINS];     /* if all were of the middle of a bin */
    vit_cli_patch_scores *out;      /* sums */
} work;

static int make(work *w, const vit_model *model, const vit_session_options *options) {
    vit_error error;
    if (vit_session_open(&w->session, model, options, &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return 0;
    }
    const vit_session_info info = vit_session_get_info(w->session);
    w->rows = info.grid_height;
    w->columns = info.grid_width;
    w->height = info.height;
    w->width = info.width;
    w->patches = w->rows * w->columns;
    const size_t patches = (size_t)w->patches;
    w->hidden = calloc(BATCH * patches, 1);
    w->rgb = malloc((size_t)w->height * (size_t)w->width * 3);
    w->noise = malloc(patches * sizeof *w->noise);
    w->colors = malloc(3 * patches * sizeof *w->colors);
    w->means = malloc(3 * patches * sizeof *w->means);
    w->probabilities = malloc(patches * sizeof *w->probabilities);
    w->labels = malloc(patches * sizeof *w->labels);
    w->truth = malloc(patches * sizeof *w->truth);
    w->weights = malloc(patches * sizeof *w->weights);
    if (!w->hidden || !w->rgb || !w->noise || !w->colors || !w->means || !w->probabilities || !w->labels || !w->truth ||
        !w->weights) {
        vit_cli_complain("out of memory for %d patches", w->patches);
        return 0;
    }
    for (int i = 0; i < w->patches; i++) {
        const double down = i / w->columns, across = i % w->columns;
        w->weights[i] = i ? pow(down * down + across * across, -3) : 0;
    }
    return 1;
}

static void release(work *w) {
    vit_session_close(w->session);
    free(w->hidden);
    free(w->rgb);
    free(w->noise);
    free(w->colors);
    free(w->means);
    free(w->probabilities);
    free(w->labels);
    free(w->truth);
    free(w->weights);
}

static void note(work *w, int predictor, int label, const double rgb[3], int patch) {
    w->out->of[predictor].accuracy += label == w->truth[patch];
    for (int c = 0; c < 3; c++)
        w->out->of[predictor].error += fabs(rgb[c] - w->means[3 * patch + c]) / 3;
}

/* Mean of the visible patches, weighted by distance to a patch; patch -1: all alike. Grey where none is visible. */
static void visible_mean(const work *w, const uint8_t *hidden, int patch, double rgb[3]) {
    double weights = 0, sums[3] = {0};
    for (int i = 0; i < w->patches; i++) {
        const int down = abs(i / w->columns - patch / w->columns), across = abs(i % w->columns - patch % w->columns);
        const double weight = hidden[i] ? 0 : patch < 0 ? 1 : w->weights[down * w->columns + across];
        weights += weight;
        for (int c = 0; c < 3; c++)
            sums[c] += weight * w->means[3 * i + c];
    }
    for (int c = 0; c < 3; c++)
        rgb[c] = weights > 0 ? sums[c] / weights : 127.5;
}

/* What the patches of the picture in w->rgb are. */
static void find_truth(work *w) {
    const vit_config *c = w->config;
    const int ph = c->patch_height, pw = c->patch_width;
    vit_patch_colors(c, w->rgb, w->height, w->width, 1, w->truth);
    for (int i = 0; i < 3 * w->patches; i++) {
        int64_t sum = 0;
        for (int j = 0; j < ph * pw; j++) {
            const int y = i / 3 / w->columns * ph + j / pw, x = i / 3 % w->columns * pw + j % pw;
            sum += w->rgb[((size_t)y * (size_t)w->width + (size_t)x) * 3 + (size_t)(i % 3)];
        }
        w->means[i] = (float)((double)sum / (ph * pw));
    }
}

static vit_status score_image(work *w, int image, vit_error *error) {
    const uint8_t *hidden = w->hidden + image * w->patches;
    const size_t values = (size_t)w->height * (size_t)w->width * 3;
    double loss, mean[3];
    vit_status status = vit_session_colors(w->session, image, w->colors, w->labels, w->probabilities, error);
    if (status == VIT_OK)
        status = vit_session_masked_loss(w->session, image, &loss, error);
    if (status != VIT_OK)
        return status;
    vit_colors_from_pixels(&w->config->preprocess, vit_session_input(w->session, image), values, w->rgb);
    find_truth(w);
    visible_mean(w, hidden, -1, mean);
    w->out->loss += loss;
    w->out->pictures++;
    for (int i = 0; i < w->patches; i++) {
        w->frequency[w->truth[i]]++;
        if (!hidden[i])
            continue;
        double near[3], own[3];
        visible_mean(w, hidden, i, near);
        for (int c = 0; c < 3; c++) {
            own[c] = w->colors[3 * i + c];
            for (int bin = 0; bin < BINS; bin++)
                w->bin_errors[c][bin] += fabs(32 * bin + 15.5 - w->means[3 * i + c]) / 3;
        }
        w->counted++;
        w->hits[w->truth[i]]++;
        note(w, VIT_CLI_BY_MODEL, w->labels[i], own, i);
        note(w, VIT_CLI_BY_MEAN, vit_color_label(mean), mean, i);
        note(w, VIT_CLI_BY_DISTANCE, vit_color_label(near), near, i);
    }
    return VIT_OK;
}

static vit_status run(work *w, int filled, vit_error *error) {
    for (int i = filled; i < BATCH; i++) /* all of a batch hide equally many */
        memcpy(w->hidden + i * w->patches, w->hidden, (size_t)w->patches);
    vit_status status = vit_session_hide(w->session, w->hidden, error);
    if (status == VIT_OK)
        status = vit_session_run(w->session, error);
    for (int i = 0; i < filled && status == VIT_OK; i++)
        status = score_image(w, i, error);
    return status;
}

static void finish(work *w) {
    int common = 0;
    for (int i = 1; i < VIT_COLORS; i++)
        common = w->frequency[i] > w->frequency[common] ? i : common;
    w->out->of[VIT_CLI_BY_FREQUENCY].accuracy = (double)w->hits[common];
    for (int c = 0; c < 3; c++)
        w->out->of[VIT_CLI_BY_FREQUENCY].error += w->bin_errors[c][common >> (6 - 3 * c) & 7];
    w->out->loss /= w->out->pictures ? w->out->pictures : 1;
    for (int i = 0; i < VIT_CLI_PREDICTORS; i++) {
        w->out->of[i].accuracy *= w->counted ? 100.0 / (double)w->counted : 0;
        w->out->of[i].error /= w->counted ? (double)w->counted : 1;
    }
}

int vit_cli_score_patches(const vit_model *model, const vit_dataset *data, const uint8_t *marks, uint8_t *named, double ratio,
                          int seed, vit_session_options session, const volatile sig_atomic_t *stop, vit_cli_patch_scores *out) {
    vit_error error;
    const vit_config *c = vit_model_config(model);
    const int count = vit_dataset_count(data);
    work w = {.config = c, .out = out};
    vit_status status = VIT_OK;
    *out = (vit_cli_patch_scores){0};
    session.batch = BATCH;
    session.masked = 1;
    int good = make(&w, model, &session);
    for (int i = 0, filled = 0; i < count && good && !*stop; i++) {
        vit_image image;
        if (!marks || marks[i] == 1) {
            if (vit_dataset_picture(data, i, &image, &error) != VIT_OK) {
                out->unread++;
                if (!named || !named[i])
                    vit_cli_complain("%s", error.text);
                if (named)
                    named[i] = 1;
            } else {
                status = vit_image_preprocess(&image, &c->preprocess, w.height, w.width,
                                              vit_session_input(w.session, filled), vit_cli_options(), &error);
                vit_image_close(&image);
                vit_patch_noise((uint64_t)seed << 32 | (uint64_t)i, w.noise, w.patches);
                vit_hide_by_noise(w.noise, w.patches, vit_visible_patches(w.patches, ratio),
                                  w.hidden + filled++ * w.patches);
            }
        }
        if (status == VIT_OK && filled && (filled == BATCH || i + 1 == count)) {
            status = run(&w, filled, &error);
            filled = 0;
        }
        if (status != VIT_OK) {
            vit_cli_complain("%s", error.text);
            good = 0;
        }
    }
    if (good)
        finish(&w);
    release(&w);
    return good;
}

void vit_cli_write_patch_scores(FILE *out, const vit_cli_patch_scores *scores) {
    static const char *const keys[] = {"model", "frequent", "mean", "distance"};
    for (int i = 0; i < VIT_CLI_PREDICTORS; i++)
        fprintf(out, "%s\"%s_accuracy\":%.4f,\"%s_color_error\":%.4f", i ? "," : "", keys[i], scores->of[i].accuracy, keys[i],
                scores->of[i].error);
}

void vit_cli_print_patch_scores(const vit_cli_patch_scores *scores) {
    static const char *const names[] = {"the model", "the most frequent colour", "the mean of what is visible",
                                        "that mean, by distance^-6"};
    for (int i = 0; i < VIT_CLI_PREDICTORS; i++)
        vit_cli_line(stdout, "  %-28s %6.2f %% of hidden colours, error %6.2f", names[i], scores->of[i].accuracy,
                     scores->of[i].error);
}
