#include "canvas.h"

#include "options.h"

#include <math.h>
#include <string.h>

int vit_cli_canvas_open(vit_image *canvas, int width, int height, vit_cli_color color) {
    *canvas = (vit_image){.width = width, .height = height, .allocator = vit_default_options().allocator};
    if (width > 0 && height > 0 && (size_t)width <= SIZE_MAX / 3 / (size_t)height)
        canvas->rgb = canvas->allocator.alloc(canvas->allocator.context, (size_t)width * (size_t)height * 3);
    if (!canvas->rgb) {
        vit_cli_complain("out of memory for a picture of %dx%d", width, height);
        return 0;
    }
    vit_cli_fill(canvas, 0, 0, width, height, color);
    return 1;
}

static void put(uint8_t *pixel, vit_cli_color color) {
    for (int i = 0; i < 3; i++)
        pixel[i] = (uint8_t)(color >> (16 - 8 * i));
}

static uint8_t *pixel_at(vit_image *canvas, int x, int y) {
    return canvas->rgb + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3;
}

static int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

/* From 0 to most, whatever the number. */
static int pixel_of(double place, int most) {
    return place > 0 ? place < most ? (int)place : most : 0;
}

int vit_cli_canvas_save(vit_image *canvas, const char *path) {
    vit_error error;
    const vit_status status = vit_image_save(canvas, path, NULL, &error);
    if (status != VIT_OK)
        vit_cli_complain("%s", error.text);
    vit_image_close(canvas);
    return status == VIT_OK ? VIT_CLI_OK : VIT_CLI_FAILED;
}

void vit_cli_fill(vit_image *canvas, int x, int y, int width, int height, vit_cli_color color) {
    const int left = clamp(x, 0, canvas->width), right = clamp(x + width, 0, canvas->width),
              top = clamp(y, 0, canvas->height), bottom = clamp(y + height, 0, canvas->height);
    for (y = top; y < bottom; y++)
        for (x = left; x < right; x++)
            put(pixel_at(canvas, x, y), color);
}

static double unit(double value) {
    return value > 0 ? value < 1 ? value : 1 : 0;
}

vit_cli_color vit_cli_mix(vit_cli_color a, vit_cli_color b, double share) {
    vit_cli_color mixed = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        const double from = a >> shift & 255, to = b >> shift & 255;
        mixed |= (vit_cli_color)(from + (to - from) * unit(share) + 0.5) << shift;
    }
    return mixed;
}

void vit_cli_stroke(vit_image *canvas, double x0, double y0, double x1, double y1, double width, vit_cli_color color) {
    const double reach = width / 2 + 1, dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    const int left = pixel_of(floor(fmin(x0, x1) - reach), canvas->width), right = pixel_of(ceil(fmax(x0, x1) + reach), canvas->width),
              top = pixel_of(floor(fmin(y0, y1) - reach), canvas->height), bottom = pixel_of(ceil(fmax(y0, y1) + reach), canvas->height);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            const double px = x + 0.5 - x0, py = y + 0.5 - y0;
            const double along = square > 0 ? unit((px * dx + py * dy) / square) : 0;
            const double share = unit(width / 2 + 0.5 - hypot(px - along * dx, py - along * dy));
            uint8_t *pixel = pixel_at(canvas, x, y);
            if (share > 0)
                put(pixel, vit_cli_mix((vit_cli_color)pixel[0] << 16 | (vit_cli_color)pixel[1] << 8 | pixel[2], color,
                                       share));
        }
}

void vit_cli_disc(vit_image *canvas, double x, double y, double radius, vit_cli_color color) {
    vit_cli_stroke(canvas, x, y, x, y, 2 * radius, color);
}

/* ---- Text ---- */

/* What a pen does for the characters ' ' to '~': points "xy" of lines, a blank lifts the pen. x from 0 to 4, y from 0
 * (top of capitals) over 2 (of small letters) and 6 (foot) to 8. */
static const char *const glyphs[] = {
    "", "0004 0606", "0001 2021", "1016 3036 0242 0444", "", "0640 0010110100 3545463635", "", "0001",
    "10020416", "00121406", "2024 0343", "0444 2226", "0607", "0434", "0606", "0640",
    "103041453616050110", "012026", "01103041420646", "0110304142334445361605 1333", "36300444",
    "400003334445361605", "4130100105163645443303", "004016", "103041423313020110 1304051636454433",
    "0516364541301001021343", "0303 0606", "0303 0607", "400346", "0343 0545", "004306", "01103041422324 2626",
    "", "062046 1434", "06003041423303 3344453606", "4130100105163645", "06003041453606", "40000646 0333",
    "400006 0333", "41301001051636454323", "0006 4046 0343", "0006", "4045361605", "0006 4004 1346", "000646",
    "0600234046", "06004640", "103041453616050110", "06003041423303", "103041453616050110 3446",
    "06003041423303 2346", "413010010213334445361605", "0040 2026", "000516364540", "002640", "0016233640",
    "0046 4006", "002340 2326", "00400646", "20000626", "0046", "00202606", "022042", "0747",
    "0011", "12324346 441405163645", "0006 0312324345361605", "4332120305163645", "4046 4332120305163645",
    "04444332120305163645", "30201116 0232", "4332120305163645 4247381807", "0006 0312324346", "0206 0000",
    "121708 1010", "0006 3204 1336", "0006", "0206 03122326 23324346", "0206 0312324346", "123243453616050312",
    "0208 0312324345361605", "4248 4332120305163645", "0206 031232", "43321203143445361605", "10152636 0232",
    "0205163645 4246", "022642", "0216233642", "0246 4206", "0226 4218", "02420646", "20110304142526", "0008",
    "00112324141506", "04133342",
};

static const char *glyph(char c) {
    return c >= ' ' && c <= '~' ? glyphs[c - ' '] : glyphs['?' - ' '];
}

/* In sixths of a capital's height, with the gap after it. */
static int advance(char c) {
    int width = c == ' ' ? 1 : 0;
    for (const char *at = glyph(c); *at; at += at[0] == ' ' ? 1 : 2)
        if (*at != ' ' && at[0] - '0' > width)
            width = at[0] - '0';
    return width + 2;
}

static double text_width(double size, const char *text) {
    int width = 0;
    for (; *text; text++)
        width += advance(*text) - (text[1] ? 0 : 2);
    return width * size / 6;
}

/* From (x, y) along (along_x, along_y), a sixth of a capital's height; down is to the right of that. */
static void write_text(vit_image *canvas, double x, double y, double along_x, double along_y, vit_cli_color color,
                       const char *text) {
    const double pen = fmax(1, hypot(along_x, along_y) * 0.75);
    for (; *text; text++) {
        const char *from = NULL;
        for (const char *at = glyph(*text); *at; at += *at == ' ' ? 1 : 2) {
            if (*at == ' ') {
                from = NULL;
                continue;
            }
            const char *begin = from ? from : at;
            const double x0 = begin[0] - '0', y0 = begin[1] - '6', x1 = at[0] - '0', y1 = at[1] - '6';
            if (from || !at[2] || at[2] == ' ')
                vit_cli_stroke(canvas, x + x0 * along_x - y0 * along_y, y + x0 * along_y + y0 * along_x,
                               x + x1 * along_x - y1 * along_y, y + x1 * along_y + y1 * along_x, pen, color);
            from = at;
        }
        x += advance(*text) * along_x;
        y += advance(*text) * along_y;
    }
}

void vit_cli_text(vit_image *canvas, double x, double y, double size, double anchor, vit_cli_color color,
                  const char *text) {
    write_text(canvas, x - anchor * text_width(size, text), y, size / 6, 0, color, text);
}

void vit_cli_text_upwards(vit_image *canvas, double x, double y, double size, double anchor, vit_cli_color color,
                          const char *text) {
    write_text(canvas, x, y + anchor * text_width(size, text), 0, -size / 6, color, text);
}

/* ---- Colours ---- */

static vit_cli_color between(const vit_cli_color *colors, int count, double value) {
    const double place = unit(value) * (count - 1);
    const int index = clamp((int)place, 0, count - 2);
    return vit_cli_mix(colors[index], colors[index + 1], place - index);
}

vit_cli_color vit_cli_scale_color(double value) {
    static const vit_cli_color colors[] = {0x2a1252, 0x39437f, 0x2c6f8e, 0x24978a, 0x55bd68, 0xb4d735, 0xfbe934};
    return between(colors, sizeof colors / sizeof *colors, value);
}

vit_cli_color vit_cli_heat_color(double value) {
    static const vit_cli_color colors[] = {0x05040f, 0x3b0f52, 0x84206b, 0xcb4149, 0xf37b1c, 0xfbb61a, 0xfcf3a8};
    return between(colors, sizeof colors / sizeof *colors, value);
}

double vit_cli_tick_step(double range, int count) {
    const double power = pow(10, floor(log10(range / count))), part = range / count / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}
