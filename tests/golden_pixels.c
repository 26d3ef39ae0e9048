/* The golden kinds without a model: pictures, and position embeddings on another grid. */
#include "golden.h"

#include "../src/image/image.h"
#include "../src/model/posemb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first `length` characters of a tensor's name as a file name with an ending. */
static const char *file_of(const char *name, size_t length, const char *ending) {
    static char file[256];
    snprintf(file, sizeof file, "%.*s%s", (int)length, name, ending);
    return file;
}

static uint8_t *result_u8(golden *g, int index, int height, int width) {
    return golden_result(g, index, "U8", 3, (int64_t[]){height, width, 3});
}

static float *result_f32(golden *g, int index, int height, int width) {
    return golden_result(g, index, "F32", 3, (int64_t[]){height, width, 3});
}

/* pixels [height,width,3] as a result [3,height,width] */
static void result_chw(golden *g, int index, const float *pixels, int height, int width) {
    float *out = golden_result(g, index, "F32", 3, (int64_t[]){3, height, width});
    size_t count = (size_t)height * (size_t)width;
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++)
            out[c * count + i] = pixels[3 * i + c];
}

static void resize(const golden *g, const vit_image *image, vit_filter filter, int width, int height, uint8_t *out) {
    vit_error error;
    must(vit_resize_u8(image->rgb, image->width, image->height, filter, width, height, out, &g->options.allocator,
                       &error),
         &error);
}

static float *preprocess(const golden *g, const vit_image *image, const vit_preprocess *rules) {
    vit_error error;
    float *out = must_alloc((size_t)rules->height * (size_t)rules->width * 3 * sizeof *out);
    must(vit_image_preprocess(image, rules, rules->height, rules->width, out, &g->options, &error), &error);
    return out;
}

static vit_filter filter_named(const char *name) {
    static const char *const names[] = {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"};
    for (int i = 0; i < 6; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return (vit_filter)i;
    die("no filter is called %s", name);
}

/* ---- preprocess/center_crop: HxW.input, and HxW.to.HxW cropped from it ---- */

void golden_center_crop(golden *g) {
    for (int i = 0; i < golden_count(g); i++) {
        int height, width, out_height, out_width, length = 0;
        const char *name = golden_name(g, i);
        if (sscanf(name, "%dx%d%n", &height, &width, &length) != 2)
            die("%s: %s is no HxW", g->folder, name);
        const vit_tensor_info *input = tensors_find(&g->expected, file_of(name, (size_t)length, ".input"));
        if (!input || input->rank != 3 || input->shape[0] != height || input->shape[1] != width)
            die("%s: %s has no input of its size", g->folder, name);
        const uint8_t *pixels = tensors_data(&g->expected, input);
        if (sscanf(name + length, ".to.%dx%d", &out_height, &out_width) == 2)
            vit_center_crop(pixels, width, height, out_width, out_height, (uint8_t[3]){0},
                            result_u8(g, i, out_height, out_width));
        else
            memcpy(result_u8(g, i, height, width), pixels, input->bytes);
    }
}

/* ---- preprocess/decode: FILE as stored, FILE.exif turned, FILE.high of 16 bits, FILE.FILTER.WxH resized ---- */

/* Length of the file's name in FILE, FILE.exif...: up to the first part that is a known ending. */
static size_t file_length(const char *name) {
    static const char *const endings[] = {".png", ".jpg", ".bmp", ".gif"};
    for (const char *p = name; *p; p++)
        for (int i = 0; i < 4; i++)
            if (strncmp(p, endings[i], 4) == 0 && (p[4] == 0 || p[4] == '.'))
                return (size_t)(p - name) + 4;
    die("%s: no picture's name", name);
}

void golden_decode(golden *g) {
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i);
        size_t length = file_length(name);
        const char *path = path_in(g->folder, file_of(name, length, "")), *variant = name + length;
        vit_error error;
        vit_buffer file = {.allocator = &g->options.allocator};
        vit_image image;
        int orientation, width, height;
        must(vit_read_file(&file, path, g->options.limits.file_bytes, &error), &error);
        vit_status status =
            strcmp(variant, ".exif") == 0
                ? vit_image_decode(&image, path, file.data, file.size, &g->options, &error)
                : vit_image_decode_stored(&image, &orientation, path, file.data, file.size, &g->options, &error);
        vit_buffer_release(&file);
        if (status == VIT_ERR_UNSUPPORTED) {
            fprintf(stderr, "golden: %s\n", error.text);
            continue;
        }
        must(status, &error);
        const char *size = strrchr(variant, '.');
        if (size && sscanf(size, ".%dx%d", &width, &height) == 2)
            resize(g, &image, filter_named(variant + 1), width, height, result_u8(g, i, height, width));
        else
            memcpy(result_u8(g, i, image.height, image.width), image.rgb,
                   (size_t)image.height * (size_t)image.width * 3);
        vit_image_close(&image);
    }
}

/* ---- preprocess/hf_*: IMAGE.HxW.(pil|torchvision|u8) ---- */

void golden_hf(golden *g) {
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *size = strchr(name, '.'), *variant = strrchr(name, '.');
        vit_preprocess rules = {.mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}, .filter = VIT_FILTER_BILINEAR,
                                .crop = VIT_CROP_SQUASH, .crop_pct = 1};
        if (!size || sscanf(size, ".%dx%d", &rules.height, &rules.width) != 2)
            die("%s: %s is no IMAGE.HxW", g->folder, name);
        vit_image image = golden_picture(g, file_of(name, (size_t)(size - name), ".png"));
        if (strcmp(variant, ".u8") == 0) {
            resize(g, &image, rules.filter, rules.width, rules.height, result_u8(g, i, rules.height, rules.width));
        } else if (strcmp(variant, ".pil") == 0) {
            float *pixels = preprocess(g, &image, &rules);
            result_chw(g, i, pixels, rules.height, rules.width);
            free(pixels);
        } else {
            size_t count = (size_t)rules.height * (size_t)rules.width;
            uint8_t *resized = must_alloc(3 * count);
            float *pixels = must_alloc(3 * count * sizeof *pixels);
            torch_resize(image.rgb, image.width, image.height, rules.width, rules.height, resized);
            vit_normalize_u8(resized, count, rules.mean, rules.std, pixels);
            result_chw(g, i, pixels, rules.height, rules.width);
            free(resized);
            free(pixels);
        }
        vit_image_close(&image);
    }
}

/* ---- preprocess/normalise: NAME [3,256], each value of each channel ---- */

void golden_normalise(golden *g) {
    static const struct {
        const char *name;
        float mean[3], std[3];
    } statistics[] = {
        {"half", {0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}},
        {"imagenet", {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}},
        {"clip", {0.48145466f, 0.4578275f, 0.40821073f}, {0.26862954f, 0.26130258f, 0.27577711f}},
    };
    uint8_t values[256][3];
    float out[256][3];
    for (int v = 0; v < 256; v++)
        values[v][0] = values[v][1] = values[v][2] = (uint8_t)v;
    for (size_t s = 0; s < sizeof statistics / sizeof *statistics; s++) {
        int index = golden_find(g, statistics[s].name);
        if (index < 0)
            continue;
        vit_normalize_u8(values[0], 256, statistics[s].mean, statistics[s].std, out[0]);
        float *result = golden_result(g, index, "F32", 2, (int64_t[]){3, 256});
        for (int v = 0; v < 256; v++)
            for (int c = 0; c < 3; c++)
                result[c * 256 + v] = out[v][c];
    }
}

/* ---- preprocess/resize_*: FILTER.WxH of input.png ---- */

void golden_resize(golden *g) {
    vit_image image = golden_picture(g, "input.png");
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *size = strchr(name, '.');
        int width, height;
        if (!size || sscanf(size, ".%dx%d", &width, &height) != 2)
            die("%s: %s is no FILTER.WxH", g->folder, name);
        resize(g, &image, filter_named(name), width, height, result_u8(g, i, height, width));
    }
    vit_image_close(&image);
}

/* ---- preprocess/tf_resize: IMAGE.HxW.(f32|normalised|u8_truncated), pictures of ../timm_eval ---- */

void golden_tf_resize(golden *g) {
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *size = strchr(name, '.'), *variant = strrchr(name, '.');
        vit_preprocess rules = {.mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}, .filter = VIT_FILTER_TF_BILINEAR,
                                .crop = VIT_CROP_SQUASH, .crop_pct = 1};
        if (!size || sscanf(size, ".%dx%d", &rules.height, &rules.width) != 2)
            die("%s: %s is no IMAGE.HxW", g->folder, name);
        vit_image image = golden_picture(g, path_in("../timm_eval", file_of(name, (size_t)(size - name), ".png")));
        size_t count = (size_t)rules.height * (size_t)rules.width * 3;
        float *pixels;
        if (strcmp(variant, ".normalised") == 0) {
            pixels = preprocess(g, &image, &rules);
        } else {
            pixels = must_alloc(count * sizeof *pixels);
            vit_resize_tf(image.rgb, image.width, image.height, rules.width, rules.height, pixels);
        }
        if (strcmp(variant, ".u8_truncated") == 0) {
            uint8_t *out = result_u8(g, i, rules.height, rules.width);
            for (size_t k = 0; k < count; k++)
                out[k] = (uint8_t)pixels[k];
        } else {
            memcpy(result_f32(g, i, rules.height, rules.width), pixels, count * sizeof *pixels);
        }
        free(pixels);
        vit_image_close(&image);
    }
}

/* ---- preprocess/timm_eval: IMAGE.(N|HxW).CROP_PCT.MODE.FILTER.(u8|f32_chw), CROP_PCT with a dot ---- */

void golden_timm_eval(golden *g) {
    for (int i = 0; i < golden_count(g); i++) {
        const char *name = golden_name(g, i), *size = strchr(name, '.'), *variant = strrchr(name, '.');
        vit_preprocess rules = {.mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
        char mode[16], filter[16];
        if (size && sscanf(size, ".%dx%d", &rules.height, &rules.width) == 1)
            rules.width = rules.height;
        if (!size || sscanf(size + 1, "%*[0-9x].%lf.%15[a-z].%15[a-z]", &rules.crop_pct, mode, filter) != 3)
            die("%s: %s is no IMAGE.SIZE.CROP_PCT.MODE.FILTER", g->folder, name);
        rules.filter = filter_named(filter);
        rules.crop = *mode == 's' ? VIT_CROP_SQUASH : *mode == 'b' ? VIT_CROP_BORDER : VIT_CROP_CENTER;
        vit_image image = golden_picture(g, file_of(name, (size_t)(size - name), ".png"));
        float *pixels = preprocess(g, &image, &rules);
        if (strcmp(variant, ".f32_chw") == 0) {
            result_chw(g, i, pixels, rules.height, rules.width);
        } else { /* back to the pixels before normalising: exact once rounded */
            uint8_t *out = result_u8(g, i, rules.height, rules.width);
            for (size_t k = 0; k < (size_t)rules.height * (size_t)rules.width * 3; k++)
                out[k] = (uint8_t)lrintf((pixels[k] * rules.std[k % 3] + rules.mean[k % 3]) * 255);
        }
        free(pixels);
        vit_image_close(&image);
    }
}

/* ---- posemb/resample_*: a table with its class row, by the rules of several programs ---- */

static const struct rule {
    const char *name;
    vit_interpolation how;
} rules[] = {
    {"scipy_zoom_order1", {.corners = 1}},
    {"timm_bicubic_antialias", {.cubic = -0.5, .antialias = 1}},
    {"timm_bilinear_antialias", {.antialias = 1}},
    {"timm_bilinear", {.cubic = 0}},
    {"hf_interpolate_pos_encoding", {.cubic = -0.75}},
};

void golden_posemb(golden *g) {
    tensors input;
    tensors_open(&input, path_in(g->folder, "input.safetensors"), g);
    const vit_tensor_info *table = tensors_find(&input, "pos_embedding"), *from = tensors_find(&input, "old_grid");
    const vit_tensor_info *to = tensors_find(&input, "new_grid");
    if (!table || !from || !to || table->rank != 3 || from->bytes != 8 || to->bytes != 8)
        die("%s: pos_embedding, old_grid or new_grid is missing", g->folder);
    int32_t old_grid[2], new_grid[2];
    memcpy(old_grid, tensors_data(&input, from), 8);
    memcpy(new_grid, tensors_data(&input, to), 8);
    int width = (int)table->shape[2];
    float *rows = must_alloc(table->bytes);
    memcpy(rows, tensors_data(&input, table), table->bytes);
    for (int i = 0; i < golden_count(g); i++) {
        const struct rule *rule = NULL;
        for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
            if (strcmp(golden_name(g, i), rules[k].name) == 0)
                rule = &rules[k];
        if (!rule)
            die("%s: no rule is called %s", g->folder, golden_name(g, i));
        float *out = golden_result(g, i, "F32", 3, (int64_t[]){1, 1 + (int64_t)new_grid[0] * new_grid[1], width});
        memcpy(out, rows, (size_t)width * sizeof *out);
        void *room =
            must_alloc(vit_posemb_bytes(old_grid[0], old_grid[1], width, rule->how, new_grid[0], new_grid[1]));
        vit_posemb_interpolate(rows + width, old_grid[0], old_grid[1], width, rule->how, new_grid[0], new_grid[1],
                               out + width, room);
        free(room);
    }
    free(rows);
    tensors_close(&input);
}
