/* Diagrams: two axes with a grid, points and lines between them. */
#ifndef VIT_CLI_CHART_H
#define VIT_CLI_CHART_H

#include "canvas.h"

typedef struct vit_cli_axis {
    const char *label;
    double least, most;
    const double *ticks; /* where there is a number; NULL: at round ones */
    int tick_count;
    int is_log;          /* equal steps are equal factors */
} vit_cli_axis;

typedef struct vit_cli_chart {
    vit_image canvas;
    vit_cli_axis x, y;
    int legends;         /* entries so far */
} vit_cli_chart;

/* A canvas with title, axes and grid; 0 and a complaint where there is no memory. To be closed by vit_image_close of
 * its canvas. */
int vit_cli_chart_open(vit_cli_chart *chart, const char *title, vit_cli_axis x, vit_cli_axis y);
void vit_cli_chart_point(vit_cli_chart *chart, double x, double y, double radius, vit_cli_color color);
void vit_cli_chart_line(vit_cli_chart *chart, double x0, double y0, double x1, double y1, double width,
                       vit_cli_color color);
/* What a colour means: a line below the title. */
void vit_cli_chart_legend(vit_cli_chart *chart, vit_cli_color color, const char *text);

#endif
