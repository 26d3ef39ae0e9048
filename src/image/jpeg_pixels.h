/* The pixels of a JPEG whose structure jpeg.c has checked. */
#ifndef VIT_IMAGE_JPEG_PIXELS_H
#define VIT_IMAGE_JPEG_PIXELS_H

#include "../base/memory.h"
#include "huffman.h"

typedef struct vit_jpeg_component {
    int id, h, v, quantizer; /* of the frame header; h and v divide the largest ones */
    int started;             /* its DC coefficients have come */
    /* what the decoder makes */
    int width, height;       /* samples */
    int columns, rows;       /* blocks, whole MCUs */
    int dc;                  /* of the block before */
    uint8_t *samples;        /* [8 * rows,8 * columns] */
    int16_t *coefficients;   /* [rows,columns,64], progressive ones */
} vit_jpeg_component;

typedef struct vit_jpeg_pixels {
    vit_jpeg_component *component; /* jpeg.c's */
    int components, progressive, h_max, v_max;
    int width, height;
    uint16_t quantizer[4][64]; /* in the order of the block */
    vit_huffman code[2][4];    /* DC and AC */
    int is_jfif, transform;    /* transform: Adobe's, -1 where there is none */
    vit_arena memory;
} vit_jpeg_pixels;

typedef struct vit_jpeg_scan {
    int components;
    struct {
        vit_jpeg_component *component;
        int dc, ac; /* codes */
    } part[4];
    int first, last, high, low; /* coefficients and their bits, progressive */
    int units_across, units_down;
    uint32_t restart_interval;
} vit_jpeg_scan;

/* Where coefficient i stands in its block. */
int vit_jpeg_place(int i);
/* Takes the memory for the frame, once its header is known. */
vit_status vit_jpeg_begin(vit_jpeg_pixels *j, const vit_allocator *allocator, const char *what, vit_error *error);
/* data: the entropy-coded bytes and what follows, to end. 0: they are damaged. */
int vit_jpeg_decode_scan(vit_jpeg_pixels *j, const vit_jpeg_scan *scan, const uint8_t *data, const uint8_t *end);
/* After the last scan: rgb [height,width,3]; line: room for 4 * (width + 3) bytes. */
void vit_jpeg_finish(vit_jpeg_pixels *j, uint8_t *rgb, uint8_t *line);

#endif
