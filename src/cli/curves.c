/* vit plot: the curves of training runs, as SVG. */
#include "commands.h"
#include "options.h"
#include "paths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vit_cli_command command = {
    .name = "plot",
    .summary = "curves of training runs",
    .arguments = "[options] --out O.svg RUN.jsonl...",
    .details = "Loss and accuracy over the passes through the data, of the training pictures (thin, with what "
               "augmentation and dropout make of them) and of the test (thick), for each log that 'vit train' has "
               "written. Lines of a log that cannot be read are counted and left out.",
    .examples = "  vit plot run/log.jsonl --out run.svg\n"
                "  vit plot --title 'position embeddings' none/log.jsonl learnt/log.jsonl --out positions.svg\n",
    .least = 1,
    .most = -1,
};

enum { LOSS, ACCURACY, TEST_LOSS, TEST_ACCURACY, SERIES };

static const char *const keys[SERIES] = {"\"loss\":", "\"accuracy\":", "\"test_loss\":", "\"test_accuracy\":"};
static const char *const colors[] = {"#2f6fb0", "#d1652a", "#3d8c40", "#8a4fa3", "#b8872b", "#4a4a4a"};

enum { COLORS = sizeof colors / sizeof *colors };

/* Of one run and one kind of value: pairs of epoch and value. */
typedef struct curve {
    double *points;
    size_t count, capacity;
} curve;

typedef struct panel {
    double left, top, width, height; /* of the frame */
    double x_most, least, most;
} panel;

static int add(curve *c, double x, double y) {
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 256;
        double *points = realloc(c->points, 2 * capacity * sizeof *points);
        if (!points)
            return 0;
        c->points = points;
        c->capacity = capacity;
    }
    c->points[2 * c->count] = x;
    c->points[2 * c->count++ + 1] = y;
    return 1;
}

/* The number behind a key of a line; 0 if there is none. */
static int number_of(const char *line, const char *key, double *out) {
    const char *at = strstr(line, key);
    char *end;
    if (!at)
        return 0;
    *out = strtod(at + strlen(key), &end);
    return end > at + strlen(key) && isfinite(*out);
}

static int read_log(const char *path, curve curves[SERIES]) {
    char line[4096];
    int left_out = 0;
    FILE *file = vit_cli_is_file(path) ? fopen(path, "r") : NULL;
    if (!file) {
        vit_cli_complain("%s: cannot be read; expected a log.jsonl of 'vit train'", path);
        return VIT_CLI_FAILED;
    }
    while (fgets(line, sizeof line, file)) {
        double epoch, value;
        int found = 0;
        if (number_of(line, "\"epoch\":", &epoch))
            for (int s = 0; s < SERIES; s++)
                if (number_of(line, keys[s], &value)) {
                    found = 1;
                    if (!add(&curves[s], epoch, value)) {
                        fclose(file);
                        vit_cli_complain("out of memory for %s", path);
                        return VIT_CLI_FAILED;
                    }
                }
        left_out += !found;
    }
    fclose(file);
    if (left_out)
        vit_cli_complain("%s: %d lines left out: no epoch and value in them", path, left_out);
    if (curves[LOSS].count + curves[TEST_LOSS].count)
        return VIT_CLI_OK;
    vit_cli_complain("%s: no loss in it; expected a log.jsonl of 'vit train'", path);
    return VIT_CLI_FAILED;
}

/* ---- Drawing ---- */

static double place_x(const panel *p, double x) {
    return p->left + p->width * x / p->x_most;
}

static double place_y(const panel *p, double y) {
    return p->top + p->height * (1 - (y - p->least) / (p->most - p->least));
}

/* 1, 2 or 5 times a power of ten, about a fifth of the range. */
static double step_of(double range) {
    const double power = pow(10, floor(log10(range / 5))), part = range / 5 / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void write_text(FILE *out, double x, double y, const char *style, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, style);
    for (const char *c = text; *c; c++)
        switch (*c) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        default: fputc((unsigned char)*c < 32 ? ' ' : *c, out);
        }
    fputs("</text>\n", out);
}

static void draw_frame(FILE *out, const panel *p, const char *label) {
    char text[32];
    const double step_y = step_of(p->most - p->least), step_x = step_of(p->x_most);
    for (double y = ceil(p->least / step_y) * step_y; y <= p->most + step_y * 1e-9; y += step_y) {
        fprintf(out, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", p->left, place_y(p, y), p->left + p->width);
        snprintf(text, sizeof text, "%.6g", fabs(y) < step_y * 1e-9 ? 0 : y);
        write_text(out, p->left - 8, place_y(p, y) + 4, " text-anchor=\"end\"", text);
    }
    for (double x = 0; x <= p->x_most * (1 + 1e-9); x += step_x) {
        fprintf(out, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#eee\"/>\n", place_x(p, x), p->top, p->top + p->height);
        snprintf(text, sizeof text, "%.6g", x);
        write_text(out, place_x(p, x), p->top + p->height + 18, " text-anchor=\"middle\"", text);
    }
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"#888\"/>\n", p->left,
            p->top, p->width, p->height);
    write_text(out, p->left, p->top - 8, " font-weight=\"bold\"", label);
}

static void draw_curve(FILE *out, const panel *p, const curve *c, const char *color, double width, double opacity) {
    if (!c->count)
        return;
    fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" stroke-opacity=\"%g\" points=\"", color,
            width, opacity);
    for (size_t i = 0; i < c->count; i++)
        fprintf(out, "%.1f,%.1f ", place_x(p, c->points[2 * i]), place_y(p, c->points[2 * i + 1]));
    fputs("\"/>\n", out);
}

static void widen(panel *p, const curve *c) {
    for (size_t i = 0; i < c->count; i++) {
        p->x_most = fmax(p->x_most, c->points[2 * i]);
        p->least = fmin(p->least, c->points[2 * i + 1]);
        p->most = fmax(p->most, c->points[2 * i + 1]);
    }
}

static void draw(FILE *out, const char *title, curve (*runs)[SERIES], char **names, int count) {
    panel loss = {.left = 70, .top = 70, .width = 380, .height = 300, .least = 1e300, .most = -1e300};
    panel accuracy = {.left = 530, .top = 70, .width = 380, .height = 300, .least = 0, .most = 1};
    for (int i = 0; i < count; i++) {
        widen(&loss, &runs[i][LOSS]);
        widen(&loss, &runs[i][TEST_LOSS]);
        widen(&accuracy, &runs[i][ACCURACY]);
        widen(&accuracy, &runs[i][TEST_ACCURACY]);
    }
    loss.least = fmin(loss.least, loss.most - 1e-6);
    loss.x_most = accuracy.x_most = fmax(fmax(loss.x_most, accuracy.x_most), 1e-6);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"940\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            430 + 20 * count);
    write_text(out, 70, 32, " font-size=\"18\"", title);
    draw_frame(out, &loss, "loss");
    draw_frame(out, &accuracy, "accuracy, %");
    for (int i = 0; i < count; i++) {
        const char *color = colors[i % COLORS];
        char legend[700], last[64] = "";
        const curve *test = &runs[i][TEST_ACCURACY];
        draw_curve(out, &loss, &runs[i][LOSS], color, 1, 0.6);
        draw_curve(out, &accuracy, &runs[i][ACCURACY], color, 1, 0.6);
        draw_curve(out, &loss, &runs[i][TEST_LOSS], color, 2.5, 1);
        draw_curve(out, &accuracy, test, color, 2.5, 1);
        fprintf(out, "<rect x=\"70\" y=\"%d\" width=\"24\" height=\"4\" fill=\"%s\"/>\n", 412 + 20 * i, color);
        if (test->count)
            snprintf(last, sizeof last, ": test accuracy %.2f %%", test->points[2 * test->count - 1]);
        snprintf(legend, sizeof legend, "%.600s%s", names[i], last);
        write_text(out, 102, 418 + 20 * i, "", legend);
    }
    write_text(out, 870, 408, " text-anchor=\"end\"", "epochs; thin: training, thick: test");
    fputs("</svg>\n", out);
}

/* An exit status, after a complaint where there is one. */
static int write_plot(const char *path, const char *title, curve (*runs)[SERIES], char **names, int count) {
    const size_t room = strlen(path) + sizeof ".part";
    char *temporary = malloc(room);
    FILE *out = NULL;
    if (temporary) {
        snprintf(temporary, room, "%s.part", path);
        out = fopen(temporary, "w");
    }
    int failed = !out;
    if (out) {
        draw(out, title, runs, names, count);
        failed = ferror(out);
        failed |= fclose(out) != 0;
        if (failed || rename(temporary, path) != 0) {
            failed = 1;
            remove(temporary);
        }
    }
    free(temporary);
    if (failed)
        vit_cli_complain("%s: cannot be written", path);
    return failed ? VIT_CLI_FAILED : VIT_CLI_OK;
}

int vit_cli_plot(int argc, char **argv) {
    const char *path = NULL, *title = "training";
    int count, status;
    const vit_cli_option options[] = {
        {"out", "O.svg", VIT_CLI_TEXT, &path, 0, 0, "the file to write"},
        {"title", "TEXT", VIT_CLI_TEXT, &title, 0, 0, "above the curves"},
        {0},
    };
    status = vit_cli_parse(&command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    if (!path || !vit_cli_has_extension(path, ".svg"))
        return vit_cli_usage(&command, "expected --out and a name that ends in .svg");
    if (!vit_cli_can_write(path))
        return VIT_CLI_FAILED;
    curve(*runs)[SERIES] = calloc((size_t)count, sizeof *runs);
    status = runs ? VIT_CLI_OK : VIT_CLI_FAILED;
    if (!runs)
        vit_cli_complain("out of memory");
    for (int i = 0; i < count && status == VIT_CLI_OK; i++)
        status = read_log(argv[i], runs[i]);
    if (status == VIT_CLI_OK)
        status = write_plot(path, title, runs, argv, count);
    for (int i = 0; i < count && runs; i++)
        for (int s = 0; s < SERIES; s++)
            free(runs[i][s].points);
    free(runs);
    return status;
}
