/* The convolutional part of a network as a list of steps over maps, run forwards and backwards. Maps are as in
 * model/convolution.h, each image of the batch at a panel border; pad lanes of gradients are 0.
 *
 * Of small networks a thread takes a group of images through all steps, a few at a time, so that maps are in its cache
 * where the next step reads them; of large ones all threads share a step. Sums over images are made in chunks (those groups,
 * or parts of the batch) of a number that depends on shapes alone, and then over the chunks in order. */
#ifndef VIT_TRAIN_CONVNET_H
#define VIT_TRAIN_CONVNET_H

#include "trainer.h"

#include "../model/convolution.h"

/* [B] maps [H,W,C] in panels. A norm's output shares its gradient's memory with its input where only it reads that. */
typedef struct vit_map {
    int height, width, channels;
    float *value, *gradient;
    int is_written; /* by the backward pass as it is planned: what comes next adds */
} vit_map;

typedef enum vit_map_kind { VIT_MAP_CONVOLVE, VIT_MAP_NORMALIZE, VIT_MAP_POOL, VIT_MAP_PASS } vit_map_kind;

/* y of x; indices of maps, -1: of x, the pixels; of residual, none. */
typedef struct vit_map_step {
    vit_map_kind kind;
    int x, y;
    vit_windows windows;                /* of a convolution or pool */
    const float *weight, *gain, *bias;  /* parameters */
    float *standard;                    /* the weight as standardised for this step */
    float *turned;                      /* that for the gradient of x: [C,N,taps], windows turned around */
    size_t weights;
    int chunks;                         /* of images */
    float *partial;                     /* [chunks][N,K]: gradients of `standard` */
    float *sums;                        /* [groups][2C]: gradients of gain and bias */
    double *statistics;                 /* [B][norm's groups][2]: of its forward pass */
    int residual, relu;                 /* of a norm */
    int adds_value;                     /* y has a value that this adds to */
    int adds, residual_adds;            /* the same of the gradients of x and residual */
} vit_map_step;

struct vit_convnet {
    vit_map *maps;
    vit_map_step *steps;
    int map_count, step_count, last; /* last: the map that the network goes on from */
    int groups;                      /* of images; 1: all threads share each step */
    float *image_sums;               /* [B][most 2C]: of a norm */
    size_t image_sums_stride;
};

/* Images [begin,end) of the batch, and the threads that take them through the steps. */
typedef struct vit_images {
    vit_trainer *trainer;
    int begin, end, group;
    int adds;       /* 1: gradients of parameters to those of the group's images before */
    vit_team *team;
    float *scratch; /* of its threads */
} vit_images;

/* What the functions of model/convolution.h need of a session, which the trainer lends them. */
vit_session vit_map_workers(const vit_images *images);
/* Of an image, in a map's values or gradients. */
size_t vit_map_floats(const vit_trainer *t, const vit_map *map);

/* map_convolution.c, map_steps.c: the gradients of a step's input, and chunks or groups of those of its parameters; */
void vit_convolve_backward(const vit_images *images, const vit_map_step *step);
void vit_normalize_backward(const vit_images *images, const vit_map_step *step);
void vit_pool_backward(const vit_images *images, const vit_map_step *step);
/* then the sums of all of them, by all threads. */
void vit_convolve_gradients(vit_trainer *t, const vit_map_step *step);
void vit_normalize_gradients(vit_trainer *t, const vit_map_step *step);
/* standard = the standardised weight, [N,C,size,size] of this step; turned = that, turned around. By all threads. */
void vit_standardize_step(vit_trainer *t, const vit_map_step *step);
void vit_turn_step(vit_trainer *t, const vit_map_step *step);
/* How many groups a batch is for a network with so many weights of convolutions; chunks of a step's images. */
int vit_image_groups(int batch, size_t weights);
int vit_convolution_chunks(const vit_trainer *t, size_t weights);
/* Whether the gradient of the step's input is a convolution with the turned weights. */
int vit_convolves_back(const vit_map_step *step);
/* What the scratch memory of a thread takes. */
size_t vit_convolve_backward_scratch(const vit_trainer *t, const vit_windows *windows, int channels);
vit_convolution vit_convolution_of(const vit_trainer *t, const vit_map_step *step);

#endif
