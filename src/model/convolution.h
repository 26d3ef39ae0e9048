/* convolution.h - convolutions, pooling and group norm on feature maps.
 *
 * A map [H,W,C] is a matrix of token panels whose tokens are the pixels, row by row: [ceil(H*W / R)][C][R], each image
 * of a batch at a panel border. What pad lanes hold is finite. */
#ifndef VIT_MODEL_CONVOLUTION_H
#define VIT_MODEL_CONVOLUTION_H

#include "resnet.h"
#include "session.h"

/* Square windows over a map. There are ceil(size / stride) of them along each side, whatever the padding. */
typedef struct vit_windows {
    int height, width;         /* of the map, pixels */
    int out_height, out_width; /* how many windows */
    int size, stride;
    int top, left;             /* pixels that the first ones lack */
} vit_windows;

/* Padding by (size - 1) / 2 on each side, or SAME: as little as the size of the map needs, the odd one after it. */
vit_windows vit_windows_make(int height, int width, int size, int stride, int same);

/* Without bias. */
typedef struct vit_convolution {
    vit_windows windows;
    int channels, outputs;
    const float *weight; /* [outputs,channels,size,size] */
    int is_input;        /* x is the session's pixels [B,H,W,channels] instead of maps */
    vit_epilogue epilogue;
} vit_convolution;

/* Where each tap of a panel's windows is in a map's first channel; those outside it are missing, their place is some
 * other pixel's of the same window. Lanes past the last window miss all. */
enum { VIT_MOST_LANES = 16, VIT_MOST_TAPS = 49 /* pixels of a window: 7 x 7 */ };
typedef struct vit_place {
    uint32_t missing;
    ptrdiff_t at[VIT_MOST_LANES];
} vit_place;
/* places: [size * size]; returns how many. */
int vit_find_places(const vit_windows *windows, int channels, int panel, int r, vit_place *places);
/* What the product of a panel of windows takes: [some][taps][R], in the order of the weights, of that many channels of
 * an image x from `first` on, which are all where x is the input. */
void vit_make_columns(const vit_kernels *kernels, const vit_convolution *c, const float *x, int panel, int first,
                      int some, float *out);

/* Panels of an image's map, and floats of memory that a thread needs for a convolution. */
int vit_map_panels(const vit_kernels *kernels, int height, int width);
size_t vit_convolution_scratch(const vit_kernels *kernels, const vit_windows *windows, int channels, int batch);

/* Floats of the session's maps, for its whole batch, and of the scratch memory of a thread. */
typedef struct vit_map_sizes {
    size_t main, side, wide, narrow, scratch;
} vit_map_sizes;
vit_map_sizes vit_measure_maps(const vit_session *session);

/* Of every image of the session's batch, by its team and in its scratch memory. */
void vit_convolve(vit_session *session, const vit_convolution *c, const float *x, float *y);
/* Maxima over the windows; pixels that a window lacks are `outside`. */
void vit_max_pool(vit_session *session, const vit_windows *windows, int channels, float outside, const float *x,
                  float *y);
/* g is of the first image. */
void vit_group_normalize(vit_session *session, const vit_group_norm *g);
/* Means of all pixels, out [channels] at a stride of `stride` floats. */
void vit_average_pool(const vit_session *session, const float *x, int pixels, int channels, float *out, int stride);

/* Rows of weights [rows,k], in place. */
void vit_standardize(float *weight, size_t rows, size_t k, vit_standardization rule);
/* A slot whose values are all there, if it is a kernel, unless the model holds those as stored. */
void vit_standardize_slot(const vit_model *model, const vit_slot *slot);

#endif
