/* The model inside the library: configuration, weights, and the slots that bind one to the other. */
#ifndef VIT_MODEL_MODEL_H
#define VIT_MODEL_MODEL_H

#include "../vit_tasks.h"
#include "../base/memory.h"
#include "../format/container.h"
#include "config.h"
#include "resnet.h"

/* A weight [N,K] row-major: f32, or integers for int8 kernels (kernels.h) when the model computes so. */
typedef struct vit_matrix {
    float *f32;
    int8_t *int8;  /* [N, ceil(K/4) * 4] */
    float *scale;  /* [N] */
    int32_t *sum;  /* [N] */
} vit_matrix;

/* Row-major; NULL where the configuration has no such weight. */
typedef struct vit_block {
    float *pos_embed, *pos_x, *pos_y, *pos_cls; /* as in vit_weights, of this layer alone */
    float *norm1_weight, *norm1_bias;     /* [D] */
    vit_matrix qkv_weight;                /* [3D,D]: rows of q, then k, then v; inside each, head by head */
    float *qkv_bias;                      /* [3D] */
    float *rel_embed;                     /* [2T-1,K] of the stored grid: row (query - key) + T-1, for all heads */
    vit_matrix proj_weight;               /* [D,D] */
    float *proj_bias;                     /* [D] */
    float *scale1;                        /* [D]: LayerScale of attention */
    float *norm2_weight, *norm2_bias;     /* [D] */
    vit_matrix fc1_weight;                /* [F,D]; SwiGLU [2F,D] */
    float *fc1_bias;                      /* [F]; [2F] */
    vit_matrix fc2_weight;                /* [D,F] */
    float *fc2_bias;                      /* [D] */
    float *scale2;                        /* [D]: of the MLP */
} vit_block;

/* Convolutions without bias [out,in,height,width], standardised; the gain and bias of group norms [C]. */
typedef struct vit_stem {
    float *weight;                        /* [C,3,7,7] */
    float *norm_weight, *norm_bias;
} vit_stem;

typedef struct vit_unit {
    float *shortcut_weight;
    float *shortcut_norm_weight, *shortcut_norm_bias;
    float *norm1_weight, *norm1_bias;     /* before the convolution of this number in BiT, after it in a hybrid */
    float *conv1_weight;
    float *norm2_weight, *norm2_bias;
    float *conv2_weight;
    float *norm3_weight, *norm3_bias;
    float *conv3_weight;
} vit_unit;

typedef struct vit_weights {
    vit_stem *stem;                       /* [1], where there are convolutions */
    vit_unit *units;                      /* [vit_unit_count()] */
    vit_matrix patch_weight;              /* [D,3,P,P]; of a hybrid's last map [D,C,P,P] */
    float *patch_bias;                    /* [D] */
    float *class_token, *dist_token;      /* [D] */
    float *registers;                     /* [registers,D] */
    float *pos_embed;                     /* [vit_pos_rows,D]: tokens before the patches, then the stored grid */
    float *pos_x, *pos_y, *pos_cls;       /* [columns,D/2], [rows,D/2] of the stored grid; [1 or 2,D] */
    float *pre_norm_weight, *pre_norm_bias; /* [D] */
    float *norm_weight, *norm_bias;       /* [D] */
    float *map_latent;                    /* [D]: the learned query of attention pooling, and its layers */
    float *map_q_weight, *map_q_bias;     /* [D,D], [D] */
    float *map_kv_weight, *map_kv_bias;   /* [2D,D], [2D] */
    float *map_proj_weight, *map_proj_bias, *map_norm_weight, *map_norm_bias; /* [D,D], [D], [D], [D] */
    float *map_fc1_weight, *map_fc1_bias, *map_fc2_weight, *map_fc2_bias;     /* [F,D], [F], [D,F], [D] */
    float *pool_norm_weight, *pool_norm_bias; /* of the pooled vector */
    float *pre_logits_weight, *pre_logits_bias; /* [pre_logits,D], [pre_logits] */
    float *projection;                    /* [projection,D] */
    float *head_weight, *head_bias;       /* [N,vit_feature_width], [N] */
    float *head_dist_weight, *head_dist_bias; /* the same, of the distillation token */
    float *mask_token;                    /* [D]; of MAE [D'], D' being the decoder's width */
    vit_matrix decoder_embed_weight;      /* [D',D] */
    float *decoder_embed_bias, *decoder_pos_embed; /* [D'], [class token and stored grid,D'] */
    vit_block *decoder_blocks;
    float *decoder_norm_weight, *decoder_norm_bias; /* [D'] */
    float *prediction_weight, *prediction_bias; /* [vit_prediction_values, D' or D], [vit_prediction_values] */
    vit_block *blocks;                    /* [L] */
} vit_weights;

/* The tables of positions of the input, layer -1, or of a layer; NULL where there is none. */
typedef struct vit_tables {
    float *embed, *x, *y, *cls; /* pos_embed, ... */
} vit_tables;

static inline vit_tables vit_tables_of(const vit_weights *w, int layer) {
    const vit_block *b = layer < 0 ? NULL : &w->blocks[layer];
    return b ? (vit_tables){b->pos_embed, b->pos_x, b->pos_y, b->pos_cls}
             : (vit_tables){w->pos_embed, w->pos_x, w->pos_y, w->pos_cls};
}

/* One weight of one layer: its name and shape by the configuration, its place in memory, how it was stored. */
typedef struct vit_slot {
    char name[72];
    const char *stage;    /* that reads it, without the layer's number */
    int layer;            /* that number; -1 where there is none */
    int rank;
    int64_t shape[4];
    size_t count;         /* of values */
    int is_matrix;        /* what int8 kernels read as integers */
    int is_kernel;        /* standardised once it has arrived */
    void *field;          /* of the weights: a float pointer, or a vit_matrix where it is one */
    vit_matrix held;      /* f32, or integers */
    size_t arrived;       /* of count, while it is loaded */
    size_t bound;         /* of count, those that a tensor of the file is for */
    unsigned parts;       /* bit by bit, which parts of it those are */
    vit_dtype stored;
    int nonfinite;        /* a NaN or infinity was seen while loading */
} vit_slot;

struct vit_model {
    vit_options options;
    vit_config config;
    char source[48];      /* file format, whose conventions */
    vit_weights weights;
    vit_slot *slots;      /* in forward order */
    vit_slot **slots_by_name;
    int slot_count;
    int ready_slots;      /* how many, from the first on, have arrived: a stage runs once those up to its last have */
    vit_arena slot_arena, weight_arena;
    vit_container container; /* what the file held */
    char **labels;        /* [N], in one block with their texts, or NULL */
    char **warnings;
    int warning_count;
};

/* The grid of patches that positions are stored for. */
static inline int vit_stored_rows(const vit_config *c) {
    return vit_grid_side(c, c->image_height, c->patch_height);
}
static inline int vit_stored_columns(const vit_config *c) {
    return vit_grid_side(c, c->image_width, c->patch_width);
}
/* Tokens before the patches: class token, distillation token, registers. */
static inline int vit_prefix_tokens(const vit_config *c) {
    return c->class_token + c->dist_token + c->registers;
}
/* Those of them that the position table has rows for. */
static inline int vit_pos_prefix(const vit_config *c) {
    return (c->pos_class ? c->class_token + c->dist_token : 0) + (c->pos_registers ? c->registers : 0);
}
/* Rows of a 1-D position table. */
static inline int64_t vit_pos_rows(const vit_config *c) {
    return (int64_t)vit_stored_rows(c) * vit_stored_columns(c) + vit_pos_prefix(c);
}
/* Rows of a table of distances between tokens. */
static inline int64_t vit_rel_rows(const vit_config *c) {
    return 2 * ((int64_t)vit_stored_rows(c) * vit_stored_columns(c) + vit_prefix_tokens(c)) - 1;
}
/* Whether position tables of a kind stand where `layers` says: in the layers, or before them. */
static inline int vit_has_positions(const vit_config *c, vit_pos_kind kind, int layers) {
    return c->pos_kind == kind && (c->pos_placement == VIT_POS_LAYERS) == layers;
}
/* Whether there are positions to add, made before the first layer. */
static inline int vit_positions_before_layers(const vit_config *c) {
    return c->pos_kind != VIT_POS_NONE && c->pos_kind != VIT_POS_RELATIVE && c->pos_placement != VIT_POS_LAYERS;
}
/* Blocks of attention and MLP: an axial layer has two. */
static inline int vit_block_count(const vit_config *c) {
    return c->axial ? 2 * c->layers : c->layers;
}
/* What the i-th of them is called in its layer. */
static inline const char *vit_axis_name(const vit_config *c, int i) {
    return !c->axial ? "" : i % 2 ? "column." : "row.";
}
/* What the blocks of a decoder are made by. */
static inline vit_config vit_decoder_config(const vit_config *c) {
    vit_config own = *c;
    own.layers = c->decoder.kind == VIT_DECODER_MAE ? c->decoder.layers : 0;
    own.width = c->decoder.width;
    own.heads = c->decoder.heads;
    own.mlp_width = c->decoder.mlp_width;
    own.layer_scale = 0;
    own.pos_kind = VIT_POS_NONE;
    return own;
}
/* Pixels of a patch. */
static inline int vit_patch_values(const vit_config *c) {
    return 3 * c->patch_height * c->patch_width;
}
/* Whether it predicts patches as the paper does, and by the colours of how many cells along each side: 0 by pixels. */
static inline int vit_is_patch_predictor(const vit_config *c) {
    return c->decoder.kind >= VIT_DECODER_MEAN3BIT;
}
static inline int vit_color_cells(const vit_config *c) {
    return c->decoder.kind == VIT_DECODER_MEAN3BIT ? 1 : c->decoder.kind == VIT_DECODER_DOWN4X4 ? 4 : 0;
}
/* Values that are predicted of a patch: scores of its cells' colours, or its pixels. */
static inline int vit_prediction_values(const vit_config *c) {
    const int cells = vit_color_cells(c);
    return cells ? cells * cells * VIT_COLORS : vit_patch_values(c);
}
/* Outputs of an MLP's first layer. */
static inline int64_t vit_fc1_rows(const vit_config *c) {
    return c->mlp == VIT_MLP_SWIGLU ? 2 * (int64_t)c->mlp_width : c->mlp_width;
}
/* Values of the vector that comes out of pooling. */
static inline int vit_pooled_width(const vit_config *c) {
    return c->pool == VIT_POOL_CLASS_MEAN ? 2 * c->width : c->width;
}
/* Whether a network of this configuration can be made and run; name is for errors. */
vit_status vit_config_check(const vit_config *config, const vit_limits *limits, const char *name, vit_error *error);
/* Makes the slots of a configuration: names, shapes, counts; memory for weights is measured, not yet taken. */
vit_status vit_model_make_slots(vit_model *model, vit_error *error);
/* Memory for all slots, and pointers to it in slots and weights. */
vit_status vit_model_alloc_weights(vit_model *model, vit_error *error);
vit_slot *vit_model_slot(vit_model *model, const char *name);
vit_status vit_model_warn(vit_model *model, vit_error *error, const char *format, ...) VIT_PRINTF(3, 4);

/* Values of a row: all that one output of a layer sums up. */
static inline size_t vit_slot_row(const vit_slot *slot) {
    return slot->shape[0] ? slot->count / (size_t)slot->shape[0] : 0;
}

/* Where one tensor of the file goes: `count` values at offset of a slot. slot NULL: nowhere.
 * In the tensor's own order, the last dimension the fastest; or, where `scattered`, its value at index i to the sum of
 * i * stride from offset on. Which order the file itself is in (npz may have Fortran's) does not matter here.
 * layer_slots not 0: the first dimension counts layers; that of layer l goes to slot[l * layer_slots], `count` values
 * to each, scattered by the strides of the other dimensions. */
typedef struct vit_target {
    vit_slot *slot;
    size_t offset, count;
    int scattered;
    size_t stride[8];
    int layer_slots;
    vit_slot *rest; /* values past `count` go here, from its beginning; NULL: there are none. Not where scattered */
} vit_target;

/* Reads the configuration out of claims, tensor names and shapes; makes the model's slots; gives every tensor of the
 * container its target (targets [tensor_count], caller's). Every weight must be there with the right shape. Fills
 * model->config, slots, labels, container's `used`. */
vit_status vit_import(vit_model *model, const char *name, vit_claims *claims, vit_target *targets, vit_error *error);

#endif
