/* Drawing on pictures: areas, lines, discs, text, scales of colour. Coordinates are pixels, y downwards, (0,0) the
 * corner of the first one; what lies outside is not drawn. */
#ifndef VIT_CLI_CANVAS_H
#define VIT_CLI_CANVAS_H

#include "../vit_tasks.h"

typedef uint32_t vit_cli_color; /* 0xRRGGBB */

enum { VIT_CLI_WHITE = 0xffffff, VIT_CLI_INK = 0x24292f, VIT_CLI_GREY = 0x8b949e, VIT_CLI_FAINT = 0xe4e8ec };

/* A picture of one colour, to be closed by vit_image_close; 0 and a complaint where there is no memory. */
int vit_cli_canvas_open(vit_image *canvas, int width, int height, vit_cli_color color);

/* Writes a PNG and closes the canvas; an exit status, after a complaint where there is one. */
int vit_cli_canvas_save(vit_image *canvas, const char *path);

void vit_cli_fill(vit_image *canvas, int x, int y, int width, int height, vit_cli_color color);
/* Smooth, with round ends; width in pixels. */
void vit_cli_stroke(vit_image *canvas, double x0, double y0, double x1, double y1, double width, vit_cli_color color);
void vit_cli_disc(vit_image *canvas, double x, double y, double radius, vit_cli_color color);

/* ASCII in capitals of `size` pixels; y is their foot. anchor: 0, 0.5 or 1 of the text's width lies left of x. */
void vit_cli_text(vit_image *canvas, double x, double y, double size, double anchor, vit_cli_color color,
                  const char *text);
/* The same upwards: y is where `anchor` of it lies below, x its foot. */
void vit_cli_text_upwards(vit_image *canvas, double x, double y, double size, double anchor, vit_cli_color color,
                          const char *text);

/* Colour of a value from 0 to 1: dark blue over green to yellow; or black over red to pale yellow. */
vit_cli_color vit_cli_scale_color(double value);
vit_cli_color vit_cli_heat_color(double value);
/* a, with `share` of b in its place. */
vit_cli_color vit_cli_mix(vit_cli_color a, vit_cli_color b, double share);

/* 1, 2 or 5 times a power of ten, of which about `count` are the range of an axis. */
double vit_cli_tick_step(double range, int count);

#endif
