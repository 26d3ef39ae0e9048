/* vit_tasks.h - what people do with a Vision Transformer: pictures in, answers out. See vit.h for models,
 * sessions, letters and error rules. */
#ifndef VIT_TASKS_H
#define VIT_TASKS_H

#include "vit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Pictures ---- */

/* 8-bit RGB, rows top to bottom: rgb [height,width,3], owned by the image. */
typedef struct vit_image {
    int width, height;
    uint8_t *rgb;
    vit_allocator allocator;
} vit_image;

/* Decodes JPEG or PNG (other formats are refused by name) to 8-bit RGB: grey and palette are widened, alpha is
 * dropped, 16 bits keep the high byte, CMYK is converted; EXIF orientation is applied. name is used in errors.
 * Limits: image_side, image_pixels. A truncated JPEG is an error (VIT_ERR_TRUNCATED), not half a picture. */
vit_status vit_image_decode(vit_image *out, const char *name, const void *data, size_t bytes,
                            const vit_options *options, vit_error *error);
/* Reads the file and decodes it. A folder, a missing or an empty file is an error that says so. */
vit_status vit_image_open(vit_image *out, const char *path, const vit_options *options, vit_error *error);
/* Wraps or copies pixels that are already decoded: channels is 3 or 4 (alpha is dropped). */
vit_status vit_image_from_pixels(vit_image *out, const uint8_t *pixels, int width, int height, int channels,
                                 const vit_options *options, vit_error *error);
void vit_image_close(vit_image *image);

/* Resizes, crops and normalises one picture as the rules say, for a network input of height x width:
 * out [height,width,3] f32, caller's. Bit-exact with Pillow + torchvision for 8-bit RGB (see golden preprocess).
 * Takes its scratch memory from options' allocator and gives it back. */
vit_status vit_image_preprocess(const vit_image *image, const vit_preprocess *rules, int height, int width,
                                float *out, const vit_options *options, vit_error *error);

/* ---- Classification ---- */

typedef struct vit_score {
    int index;      /* class */
    float score;    /* softmax probability */
} vit_score;

/* The k likeliest classes of logits [n], best first, ties by lower index; scores are softmax over all n. top [k],
 * caller's. Returns how many were written: min(k, n). NaN logits sort last. */
int vit_top_classes(const float *logits, int n, int k, vit_score *top);
/* Softmax of logits [n] into out [n] (may be the same). */
void vit_softmax(const float *logits, int n, float *out);

#ifdef __cplusplus
}
#endif
#endif
