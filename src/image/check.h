/* The decoders of decode.c. Files are checked as a whole, headers and whether all the data is there, before anything is
 * decoded or allocated. */
#ifndef VIT_IMAGE_CHECK_H
#define VIT_IMAGE_CHECK_H

#include "../base/memory.h"

typedef struct vit_picture {
    uint32_t width, height;
    int orientation; /* EXIF, 1..8 */
} vit_picture;

/* data starts with the format's signature. *rgb [height,width,3]: the caller's, of options' allocator. Errors:
 * VIT_ERR_TRUNCATED, VIT_ERR_IMAGE (damaged), VIT_ERR_UNSUPPORTED, VIT_ERR_LIMIT, VIT_ERR_OUT_OF_MEMORY. */
vit_status vit_jpeg_decode(uint8_t **rgb, vit_picture *picture, const char *name, const uint8_t *data, size_t bytes,
                           const vit_options *options, vit_error *error);
vit_status vit_png_decode(uint8_t **rgb, vit_picture *picture, const char *name, const uint8_t *data, size_t bytes,
                          const vit_options *options, vit_error *error);

/* Width and height against image_side and image_pixels; zero is damage. */
vit_status vit_picture_size_check(const char *name, uint32_t width, uint32_t height, const vit_limits *limits,
                                  vit_error *error);
/* CRC-32 as PNG has it, over `bytes` of data. */
uint32_t vit_png_crc(const uint8_t *data, size_t bytes);

#endif
