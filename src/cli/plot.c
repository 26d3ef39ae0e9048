/* vit plot: the curves of training runs, as SVG or PNG. */
#include "../base/file.h"
#include "../base/utf8.h"
#include "canvas.h"
#include "commands.h"
#include "limits.h"
#include "options.h"
#include "paths.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const vit_cli_command vit_cli_plot_command = {
    .name = "plot",
    .summary = "curves of training runs",
    .arguments = "[options] --out O.svg|O.png RUN.jsonl...",
    .details = "Loss and accuracy over the passes through the data, of the training pictures (thin, with what "
               "augmentation and dropout make of them) and of the test (thick), for each log that 'vit train' has "
               "written. Lines of a log that cannot be read are counted and left out.",
    .examples = "  vit plot run/log.jsonl --out run.png\n"
                "  vit plot --title 'position embeddings' none/log.jsonl learnt/log.jsonl --out positions.svg\n",
    .least = 1,
    .most = -1,
};

enum { LOSS, ACCURACY, TEST_LOSS, TEST_ACCURACY, SERIES };

static const char *const keys[SERIES] = {"\"loss\"", "\"accuracy\"", "\"test_loss\"", "\"test_accuracy\""};
static const vit_cli_color colors[] = {0x2f6fb0, 0xd1652a, 0x3d8c40, 0x8a4fa3, 0xb8872b, 0x4a4a4a};

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
    at += strlen(key);
    at += strspn(at, " \t");
    if (*at++ != ':')
        return 0;
    *out = strtod(at, &end);
    return end > at && fabs(*out) <= 1e300; /* ranges of them are numbers too */
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
        if (number_of(line, "\"epoch\"", &epoch))
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
        vit_cli_complain("%s: %d line%s left out: no epoch and value in %s", path, left_out,
                         left_out == 1 ? "" : "s", left_out == 1 ? "it" : "them");
    if (curves[LOSS].count + curves[TEST_LOSS].count)
        return VIT_CLI_OK;
    vit_cli_complain("%s: no loss in it; expected a log.jsonl of 'vit train'", path);
    return VIT_CLI_FAILED;
}

/* ---- Drawing ---- */

/* What is drawn on: text in svg, or else a picture with SCALE pixels for each unit. */
typedef struct sheet {
    FILE *svg;
    vit_image png;
} sheet;

enum { SCALE = 2, TEXT = 9 /* capitals of a font of 13 */ };

static double place_x(const panel *p, double x) {
    return p->left + p->width * x / p->x_most;
}

static double place_y(const panel *p, double y) {
    return p->top + p->height * (1 - (y - p->least) / (p->most - p->least));
}

static void draw_line(sheet *s, double x0, double y0, double x1, double y1, double width, vit_cli_color color) {
    if (s->svg)
        fprintf(s->svg, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#%06x\" stroke-width=\"%g\"/>\n", x0, y0, x1, y1,
                (unsigned)color, width);
    else
        vit_cli_stroke(&s->png, SCALE * x0, SCALE * y0, SCALE * x1, SCALE * y1, SCALE * width, color);
}

/* anchor: 0, 0.5 or 1 of the text's width lies left of x; large: a title. */
static void draw_text(sheet *s, double x, double y, double anchor, int large, const char *text) {
    if (!s->svg) {
        vit_cli_text(&s->png, SCALE * x, SCALE * y, SCALE * TEXT * (large ? 1.4 : 1), anchor, VIT_CLI_INK, text);
        return;
    }
    fprintf(s->svg, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, large ? " font-size=\"18\"" : "",
            anchor > 0.5 ? " text-anchor=\"end\"" : anchor > 0 ? " text-anchor=\"middle\"" : "");
    for (size_t length; *text; text += length ? length : 1) {
        length = vit_utf8_sequence((const unsigned char *)text, 4);
        switch (*text) {
        case '&': fputs("&amp;", s->svg); break;
        case '<': fputs("&lt;", s->svg); break;
        case '>': fputs("&gt;", s->svg); break;
        default:
            if (length == 0 || strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0) /* no XML has those */
                fputc('?', s->svg);
            else if (length == 1 && (*text < 32 || *text == 127))
                fputc(' ', s->svg);
            else
                fwrite(text, 1, length, s->svg);
        }
    }
    fputs("</text>\n", s->svg);
}

static void draw_frame(sheet *s, const panel *p, const char *label) {
    char text[32];
    const double step_y = vit_cli_tick_step(p->most - p->least, 5), step_x = vit_cli_tick_step(p->x_most, 5), right = p->left + p->width,
                 foot = p->top + p->height;
    const double first = ceil(p->least / step_y), last = floor(p->most / step_y + 1e-9);
    for (int i = 0; i <= (int)(last - first); i++) {
        const double y = (first + i) * step_y;
        draw_line(s, p->left, place_y(p, y), right, place_y(p, y), 1, 0xdddddd);
        snprintf(text, sizeof text, "%.6g", fabs(y) < step_y * 1e-9 ? 0 : y);
        draw_text(s, p->left - 8, place_y(p, y) + 4, 1, 0, text);
    }
    for (int i = 0; i <= (int)(p->x_most / step_x + 1e-9); i++) {
        const double x = i * step_x;
        draw_line(s, place_x(p, x), p->top, place_x(p, x), foot, 1, 0xeeeeee);
        snprintf(text, sizeof text, "%.6g", x);
        draw_text(s, place_x(p, x), foot + 18, 0.5, 0, text);
    }
    draw_line(s, p->left, p->top, right, p->top, 1, VIT_CLI_GREY);
    draw_line(s, right, p->top, right, foot, 1, VIT_CLI_GREY);
    draw_line(s, right, foot, p->left, foot, 1, VIT_CLI_GREY);
    draw_line(s, p->left, foot, p->left, p->top, 1, VIT_CLI_GREY);
    draw_text(s, p->left, p->top - 8, 0, 0, label);
}

/* Of a single point a dot. */
static void draw_curve(sheet *s, const panel *p, const curve *c, vit_cli_color color, double width) {
    if (s->svg && c->count)
        fprintf(s->svg, "<polyline fill=\"none\" stroke-linecap=\"round\" stroke=\"#%06x\" stroke-width=\"%g\" points=\"",
                (unsigned)color, width);
    for (size_t i = 0; i < c->count; i++) {
        const double *point = &c->points[2 * i], *before = i ? point - 2 : point;
        const double x = place_x(p, point[0]), y = place_y(p, point[1]);
        if (s->svg)
            fprintf(s->svg, "%.1f,%.1f ", x, y);
        else
            draw_line(s, place_x(p, before[0]), place_y(p, before[1]), x, y, width, color);
    }
    if (s->svg && c->count == 1)
        fprintf(s->svg, "%.1f,%.1f", place_x(p, c->points[0]), place_y(p, c->points[1]));
    if (s->svg && c->count)
        fputs("\"/>\n", s->svg);
}

static void widen(panel *p, const curve *c) {
    for (size_t i = 0; i < c->count; i++) {
        p->x_most = fmax(p->x_most, c->points[2 * i]);
        p->least = fmin(p->least, c->points[2 * i + 1]);
        p->most = fmax(p->most, c->points[2 * i + 1]);
    }
}

enum { WIDTH = 940, HEIGHT = 430, LEGEND = 20 /* for each run */ };

static void draw(sheet *s, const char *title, curve (*runs)[SERIES], char **names, int count) {
    panel loss = {.left = 70, .top = 70, .width = 380, .height = 300, .least = 1e300, .most = -1e300};
    panel accuracy = {.left = 530, .top = 70, .width = 380, .height = 300, .least = 0, .most = 1};
    for (int i = 0; i < count; i++) {
        widen(&loss, &runs[i][LOSS]);
        widen(&loss, &runs[i][TEST_LOSS]);
        widen(&accuracy, &runs[i][ACCURACY]);
        widen(&accuracy, &runs[i][TEST_ACCURACY]);
    }
    loss.least = fmin(loss.least, loss.most - fmax(1e-6, 1e-6 * fabs(loss.most)));
    loss.x_most = accuracy.x_most = fmax(fmax(loss.x_most, accuracy.x_most), 1e-6);
    draw_text(s, 70, 32, 0, 1, title);
    draw_frame(s, &loss, "loss");
    draw_frame(s, &accuracy, "accuracy, %");
    for (int i = 0; i < count; i++) {
        const vit_cli_color color = colors[i % COLORS], faint = vit_cli_mix(VIT_CLI_WHITE, color, 0.6);
        const double y = HEIGHT - 16 + LEGEND * i;
        char legend[700], last[64] = "";
        const curve *test = &runs[i][TEST_ACCURACY];
        draw_curve(s, &loss, &runs[i][LOSS], faint, 1);
        draw_curve(s, &accuracy, &runs[i][ACCURACY], faint, 1);
        draw_curve(s, &loss, &runs[i][TEST_LOSS], color, 2.5);
        draw_curve(s, &accuracy, test, color, 2.5);
        draw_line(s, 70, y, 94, y, 4, color);
        if (test->count)
            snprintf(last, sizeof last, ": test accuracy %.2f %%", test->points[2 * test->count - 1]);
        snprintf(legend, sizeof legend, "%.600s%s", names[i], last);
        draw_text(s, 102, y + 4, 0, 0, legend);
    }
    draw_text(s, WIDTH - 30, 408, 1, 0, "epochs; thin: training, thick: test");
}

/* An exit status, after a complaint where there is one. */
static int write_svg(const char *path, const char *title, curve (*runs)[SERIES], char **names, int count) {
    vit_writer out;
    vit_error error;
    vit_status status = vit_writer_open(&out, path, &vit_cli_options()->allocator, &error);
    if (status == VIT_OK) {
        sheet s = {.svg = out.stream};
        fprintf(out.stream,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
                "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                WIDTH, HEIGHT + LEGEND * count);
        draw(&s, title, runs, names, count);
        fputs("</svg>\n", out.stream);
        status = vit_writer_commit(&out, &error);
    }
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    return status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
}

static int write_png(const char *path, const char *title, curve (*runs)[SERIES], char **names, int count) {
    sheet s = {0};
    if (!vit_cli_canvas_open(&s.png, SCALE * WIDTH, SCALE * (HEIGHT + LEGEND * count), VIT_CLI_WHITE))
        return VIT_CLI_FAILED;
    draw(&s, title, runs, names, count);
    return vit_cli_canvas_save(&s.png, path);
}

int vit_cli_plot(int argc, char **argv) {
    const char *path = NULL, *title = "training";
    int count, status;
    const vit_cli_option options[] = {
        {"out", "O.svg|O.png", VIT_CLI_TEXT, &path, 0, 0, "the file to write"},
        {"title", "TEXT", VIT_CLI_TEXT, &title, 0, 0, "above the curves"},
        {0},
    };
    status = vit_cli_parse(&vit_cli_plot_command, options, argc, argv, &count);
    if (status >= 0)
        return status;
    const int is_svg = path && vit_has_ending(path, ".svg");
    if (!is_svg && (!path || !vit_has_ending(path, ".png")))
        return vit_cli_usage(&vit_cli_plot_command, "expected --out and a name that ends in .svg or .png");
    if ((status = vit_cli_check_kept(&vit_cli_plot_command, path, count, argv)) >= 0)
        return status;
    if (!vit_cli_can_write(path))
        return VIT_CLI_FAILED;
    curve(*runs)[SERIES] = calloc((size_t)count, sizeof *runs);
    status = runs ? VIT_CLI_OK : VIT_CLI_FAILED;
    if (!runs)
        vit_cli_complain("out of memory");
    for (int i = 0; i < count && status == VIT_CLI_OK; i++)
        status = read_log(argv[i], runs[i]);
    if (status == VIT_CLI_OK)
        status = (is_svg ? write_svg : write_png)(path, title, runs, argv, count);
    for (int i = 0; i < count && runs; i++)
        for (int s = 0; s < SERIES; s++)
            free(runs[i][s].points);
    free(runs);
    return status;
}
