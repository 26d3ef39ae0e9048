/* Pictures before they are decoded: what the headers say, and whether all the data is there. The decoder behind is
 * lenient (it returns half a JPEG as success) and allocates what a header asks for, so everything is checked here
 * first. */
#ifndef VIT_IMAGE_CHECK_H
#define VIT_IMAGE_CHECK_H

#include "../base/status.h"

typedef struct vit_picture {
    uint32_t width, height;
    int orientation;        /* EXIF, 1..8 */
    size_t most_bytes;      /* no block a decoder asks for may be larger */
    size_t palette_at;      /* PNG: offset of a PLTE chunk with fewer entries than its indices can name; else 0 */
    uint32_t palette_bytes; /* of that chunk's data */
} vit_picture;

/* data starts with the format's signature. Errors: VIT_ERR_TRUNCATED, VIT_ERR_IMAGE (damaged), VIT_ERR_UNSUPPORTED,
 * VIT_ERR_LIMIT. */
vit_status vit_jpeg_check(vit_picture *out, const char *name, const uint8_t *data, size_t bytes,
                          const vit_limits *limits, vit_error *error);
vit_status vit_png_check(vit_picture *out, const char *name, const uint8_t *data, size_t bytes,
                         const vit_limits *limits, vit_error *error);

/* Width and height against image_side and image_pixels; zero is damage. */
vit_status vit_picture_size_check(const char *name, uint32_t width, uint32_t height, const vit_limits *limits,
                                  vit_error *error);
/* CRC-32 as PNG has it, over `bytes` of data. */
uint32_t vit_png_crc(const uint8_t *data, size_t bytes);

#endif
