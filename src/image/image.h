/* Pixels: EXIF orientation, resizing as Pillow does it, cropping, normalising. The public calls (vit_image_...) are in
 * vit_tasks.h; these are the pieces, for the golden tests and for tasks. All images are 8-bit RGB [H,W,3], dense. */
#ifndef VIT_IMAGE_IMAGE_H
#define VIT_IMAGE_IMAGE_H

#include "../base/memory.h"
#include "../vit_tasks.h"

/* 1..8 from the EXIF block of a JPEG or the eXIf chunk of a PNG; 1 where there is none or it is damaged. Never reads
 * outside data, never loops. */
int vit_exif_orientation(const uint8_t *data, size_t bytes);

/* Source box [left,top,left+width,top+height) of an image resized to out_width x out_height, Pillow's resize(box=None):
 * fixed-point weights of 22 bits, horizontal pass first, u8 in between, an axis of unchanged size is skipped. Any filter but
 * VIT_FILTER_TF_BILINEAR. out [out_height,out_width,3], caller's. */
vit_status vit_resize_u8(const uint8_t *rgb, int width, int height, vit_filter filter, int out_width, int out_height,
                         uint8_t *out, const vit_allocator *allocator, vit_error *error);
/* tf.image.resize, bilinear, half-pixel, no antialias, f32 0..255 out. */
void vit_resize_tf(const uint8_t *rgb, int width, int height, int out_width, int out_height, float *out);
/* torchvision CenterCrop: offset int(round((n - c) / 2)), half to even; smaller images are padded with `fill` first. */
void vit_center_crop(const uint8_t *rgb, int width, int height, int out_width, int out_height, const uint8_t fill[3],
                     uint8_t *out);
/* (u8 / 255 - mean) / std in f32, in torchvision's order of operations. pixels [count,3], out [count,3]. */
void vit_normalize_u8(const uint8_t *pixels, size_t count, const float mean[3], const float std[3], float *out);

#endif
