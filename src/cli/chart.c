#include "chart.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH = 960, HEIGHT = 640, LEFT = 92, RIGHT = 32, TOP = 100, BOTTOM = 76, LETTER = 13, TITLE = 17 };

/* 0 to 1 along the axis. */
static double along(const vit_cli_axis *axis, double value) {
    return axis->is_log ? log(value / axis->least) / log(axis->most / axis->least)
                        : (value - axis->least) / (axis->most - axis->least);
}

static double place_x(const vit_cli_chart *chart, double x) {
    return LEFT + along(&chart->x, x) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const vit_cli_chart *chart, double y) {
    return HEIGHT - BOTTOM - along(&chart->y, y) * (HEIGHT - TOP - BOTTOM);
}

static void draw_tick(vit_cli_chart *chart, int is_x, double value) {
    char text[32];
    snprintf(text, sizeof text, "%g", fabs(value) < 1e-12 ? 0 : value);
    if (is_x) {
        const double x = place_x(chart, value);
        vit_cli_stroke(&chart->canvas, x, TOP, x, HEIGHT - BOTTOM, 1, VIT_CLI_FAINT);
        vit_cli_text(&chart->canvas, x, HEIGHT - BOTTOM + 24, LETTER, 0.5, VIT_CLI_INK, text);
    } else {
        const double y = place_y(chart, value);
        vit_cli_stroke(&chart->canvas, LEFT, y, WIDTH - RIGHT, y, 1, VIT_CLI_FAINT);
        vit_cli_text(&chart->canvas, LEFT - 10, y + LETTER / 2.0, LETTER, 1, VIT_CLI_INK, text);
    }
}

/* The ticks that were asked for, or about seven at multiples of 1, 2 or 5 times a power of ten. */
static void draw_ticks(vit_cli_chart *chart, int is_x) {
    const vit_cli_axis *axis = is_x ? &chart->x : &chart->y;
    for (int i = 0; axis->ticks && i < axis->tick_count; i++)
        draw_tick(chart, is_x, axis->ticks[i]);
    if (axis->ticks)
        return;
    const double step = vit_cli_tick_step(axis->most - axis->least, 7);
    const double first = ceil(axis->least / step - 1e-9), last = floor(axis->most / step + 1e-9);
    for (int i = 0; i <= (int)(last - first); i++)
        draw_tick(chart, is_x, (first + i) * step);
}

int vit_cli_chart_open(vit_cli_chart *chart, const char *title, vit_cli_axis x, vit_cli_axis y) {
    *chart = (vit_cli_chart){.x = x, .y = y};
    if (!vit_cli_canvas_open(&chart->canvas, WIDTH, HEIGHT, VIT_CLI_WHITE))
        return 0;
    draw_ticks(chart, 1);
    draw_ticks(chart, 0);
    vit_cli_stroke(&chart->canvas, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, 1.5, VIT_CLI_INK);
    vit_cli_stroke(&chart->canvas, LEFT, TOP, LEFT, HEIGHT - BOTTOM, 1.5, VIT_CLI_INK);
    vit_cli_text(&chart->canvas, LEFT, 40, TITLE, 0, VIT_CLI_INK, title);
    vit_cli_text(&chart->canvas, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 20, LETTER, 0.5, VIT_CLI_INK, x.label);
    vit_cli_text_upwards(&chart->canvas, 28, (TOP + HEIGHT - BOTTOM) / 2.0, LETTER, 0.5, VIT_CLI_INK, y.label);
    return 1;
}

void vit_cli_chart_point(vit_cli_chart *chart, double x, double y, double radius, vit_cli_color color) {
    vit_cli_disc(&chart->canvas, place_x(chart, x), place_y(chart, y), radius, color);
}

void vit_cli_chart_line(vit_cli_chart *chart, double x0, double y0, double x1, double y1, double width,
                       vit_cli_color color) {
    vit_cli_stroke(&chart->canvas, place_x(chart, x0), place_y(chart, y0), place_x(chart, x1), place_y(chart, y1), width,
                   color);
}

void vit_cli_chart_legend(vit_cli_chart *chart, vit_cli_color color, const char *text) {
    const double x = LEFT + 6 + 220.0 * chart->legends++;
    vit_cli_disc(&chart->canvas, x, 70, 6, color);
    vit_cli_text(&chart->canvas, x + 14, 76, LETTER, 0, VIT_CLI_INK, text);
}
