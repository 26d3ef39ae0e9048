/* resnet.h - residual networks: their shapes, and what their sources do differently. */
#ifndef VIT_MODEL_RESNET_H
#define VIT_MODEL_RESNET_H

#include "../vit_tasks.h"
#include "config.h"

/* One residual unit: 1x1, 3x3 with the stride, 1x1, and a shortcut around them. */
typedef struct vit_unit_shape {
    int stage, block;     /* counted from 0, block in its stage */
    int channels, middle; /* of what comes in; between the convolutions. 4 middle go out */
    int stride;
    int projects;         /* 1: the shortcut is a convolution */
} vit_unit_shape;

int vit_unit_count(const vit_resnet *resnet);
vit_unit_shape vit_unit_at(const vit_resnet *resnet, int unit);
/* Channels of the last map; 3 without convolutions. */
int vit_resnet_channels(const vit_resnet *resnet);

/* What names of the stem's weights and the units' begin with. */
const char *vit_stem_name(const vit_config *config);
const char *vit_units_name(const vit_config *config);

/* A weight becomes (w - mean) / (deviation + outside), deviation = sqrt(variance + inside), over all that one output
 * sums up. */
typedef struct vit_standardization {
    double inside, outside;
} vit_standardization;

typedef struct vit_resnet_rules {
    vit_standardization weights;
    float norm_eps;
    int same;           /* padding as little as the size needs, in place of (size - 1) / 2 on each side */
    float pool_outside; /* what the pool sees beyond the map */
} vit_resnet_rules;
const vit_resnet_rules *vit_resnet_rules_of(vit_resnet_kind kind);

/* Of one image of so many pixels. */
double vit_stem_multiply_adds(const vit_config *config, int height, int width);
double vit_unit_multiply_adds(const vit_config *config, int unit, int height, int width);

/* A side of the maps that leave a stage, pixels; of stage -1, the stem's convolution; -2, the input. */
int vit_map_side(const vit_resnet *resnet, int pixels, int stage);

/* Patches of an input of so many pixels. */
int vit_grid_side(const vit_config *config, int pixels, int patch);

#endif
