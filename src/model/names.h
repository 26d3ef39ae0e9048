/* Foreign names of weights: Hugging Face's, those of vit_jax and big_vision, and big_transfer's. Names that no table knows are ours. */
#ifndef VIT_MODEL_NAMES_H
#define VIT_MODEL_NAMES_H

#include <stddef.h>

typedef struct vit_family vit_family;

/* What one tensor of a file is to us. */
typedef struct vit_name {
    char own[72];             /* our weight's name */
    int part, parts;          /* which of how many equal parts of that weight's rows; 0 of 1: all of them */
    int kernel;               /* 1: its first axes are the layer's inputs (of a convolution: height, width, inputs), the
                               * others outputs */
    int stacked;              /* 1: its first axis goes over all layers; `own` is the first one's */
    const char *rest;         /* our weight that the rows after those of `own` are; NULL: there are none */
    const vit_family *family; /* whose name it was; NULL: ours */
} vit_name;

vit_name vit_translate(const char *foreign);

/* What the family's files call a part of a weight of ours; our own name where there is none (NULL: no family). */
void vit_foreign_name(const vit_family *family, const char *own, int part, char *out, size_t size);

/* Whether it is that of vit_jax and big_vision. */
int vit_family_is_jax(const vit_family *family);
/* big_transfer. */
int vit_family_is_transfer(const vit_family *family);

/* What is special about networks with such a tensor, where running without it would be silently wrong; else NULL. */
const char *vit_foreign_network(const char *name);

/* What follows "PREFIX<layer>." in a tensor's name; NULL if the name does not begin so. */
const char *vit_after_layer(const char *name, const char *prefix, int *layer);

#endif
