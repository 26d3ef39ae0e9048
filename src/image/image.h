/* Pixels: EXIF orientation, resizing as Pillow does it, cropping, normalising. The public calls (vit_image_...) are in
 * vit_tasks.h; these are the pieces, for the golden tests and for tasks. All images are 8-bit RGB [H,W,3], dense. */
#ifndef VIT_IMAGE_IMAGE_H
#define VIT_IMAGE_IMAGE_H

#include "../base/memory.h"
#include "../vit_tasks.h"

/* vit_image_decode without applying the EXIF orientation, which is told instead: 1..8. */
vit_status vit_image_decode_stored(vit_image *out, int *orientation, const char *name, const void *data, size_t bytes,
                                   const vit_options *options, vit_error *error);

/* 1..8 from the content of a JPEG's EXIF segment (with or without "Exif\0\0") or of a PNG's eXIf chunk; 1 where there
 * is none or it is damaged. Never reads outside data, never loops. */
int vit_exif_orientation(const uint8_t *data, size_t bytes);

/* A part of a resized picture: what Pillow's resize(box=None) to width x height gives in [left, left+columns) x
 * [top, top+rows). Only that part is computed. */
typedef struct vit_resize_window {
    int width, height; /* of the whole resized picture */
    int left, top, columns, rows;
} vit_resize_window;

/* As Pillow 13: fixed-point weights of 22 bits, u8 between the passes, horizontal first unless the height shrinks by
 * more than twice as many pixels as the width. Any filter but VIT_FILTER_TF_BILINEAR. out: the window's rows, each
 * [columns,3], `stride` bytes apart; caller's. */
vit_status vit_resize_u8_window(const uint8_t *rgb, int width, int height, vit_filter filter,
                                const vit_resize_window *window, uint8_t *out, size_t stride,
                                const vit_allocator *allocator, vit_error *error);
/* The whole picture: out [out_height,out_width,3]. */
vit_status vit_resize_u8(const uint8_t *rgb, int width, int height, vit_filter filter, int out_width, int out_height,
                         uint8_t *out, const vit_allocator *allocator, vit_error *error);
/* tf.image.resize, bilinear, half-pixel, no antialias, f32 0..255; stride in floats. */
void vit_resize_tf_window(const uint8_t *rgb, int width, int height, const vit_resize_window *window, float *out,
                          size_t stride);
void vit_resize_tf(const uint8_t *rgb, int width, int height, int out_width, int out_height, float *out);
/* torchvision CenterCrop: offset int(round((n - c) / 2)), half to even; smaller images are padded with `fill` first. */
void vit_center_crop(const uint8_t *rgb, int width, int height, int out_width, int out_height, const uint8_t fill[3],
                     uint8_t *out);
/* (u8 / 255 - mean) / std in f32, in torchvision's order of operations. pixels [count,3], out [count,3]. */
void vit_normalize_u8(const uint8_t *pixels, size_t count, const float mean[3], const float std[3], float *out);

/* Refuses files of more bytes than a picture may have. */
vit_status vit_picture_bytes_check(const char *name, uint64_t bytes, const vit_limits *limits, vit_error *error);
/* Refuses what does not begin as a JPEG or PNG does, and says what it is; head: its first bytes, at most 1024 count. */
vit_status vit_picture_start_check(const char *name, const void *head, size_t bytes, vit_error *error);

/* Where preprocessing puts a picture: which part of which resized picture goes where in the network's input. */
typedef struct vit_placement {
    vit_resize_window window;
    int out_left, out_top; /* of the window in the input; what it leaves free is filled */
} vit_placement;

/* width x height of the picture; out_height x out_width of the input. VIT_ERR_ARGUMENT for rules that make no sense,
 * VIT_ERR_LIMIT where the resized picture would have sides beyond 2^31. */
vit_status vit_place(vit_placement *out, int width, int height, const vit_preprocess *rules, int out_height,
                     int out_width, vit_error *error);

/* A picture as preprocessing places it, before it is normalised: out [height,width,3]. VIT_FILTER_TF_BILINEAR, which has no
 * 8-bit steps, counts as VIT_FILTER_BILINEAR. */
vit_status vit_frame_u8(const vit_image *image, const vit_preprocess *rules, int height, int width, uint8_t *out,
                        const vit_allocator *allocator, vit_error *error);

#endif
