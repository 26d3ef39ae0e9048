/* From a JPEG's coefficients to RGB with libjpeg's numbers, to the bit, as Pillow gets them: the slow integer transform (Loeffler,
 * Ligtenberg and Moschytz 1989), chroma between its samples by a triangle filter, colours in fixed point. The signatures are those
 * of stb_image, in which they take the place of its own. */
#ifndef VIT_IMAGE_JPEG_SAMPLES_H
#define VIT_IMAGE_JPEG_SAMPLES_H

#include <stdint.h>

/* Coefficients [8][8] to samples; stride: bytes to the next row of them. */
void vit_jpeg_block(uint8_t *out, int stride, short data[64]);

/* One row of samples of chroma for pixels: for twice as many; for one of two rows; for both. near: the row of samples that covers
 * the pixels, far: the one beyond, above or below; width: samples in a row. Return out. */
uint8_t *vit_jpeg_wider(uint8_t *out, uint8_t *near, uint8_t *far, int width, int times);
uint8_t *vit_jpeg_taller(uint8_t *out, uint8_t *near, uint8_t *far, int width, int times);
uint8_t *vit_jpeg_wider_taller(uint8_t *out, uint8_t *near, uint8_t *far, int width, int times);

/* `count` pixels to RGB, `step` bytes each: of 4 the last is 255. */
void vit_jpeg_colors(uint8_t *out, const uint8_t *y, const uint8_t *cb, const uint8_t *cr, int count, int step);

#endif
