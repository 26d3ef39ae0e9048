/* A probe inside the library: examples by class, and the classifier that was fitted to them. */
#ifndef VIT_TASKS_PROBE_H
#define VIT_TASKS_PROBE_H

#include "../vit_tasks.h"
#include "least_squares.h"

struct vit_probe {
    vit_allocator allocator;
    char backbone[32];
    int width;                 /* D */
    char **labels;             /* [classes] */
    int *counts;               /* [classes]: examples of each */
    int classes, class_room;
    float *features;           /* [examples,D] */
    int32_t *example_classes;  /* [examples] */
    int32_t *ids;              /* [examples], growing */
    int examples, example_room, next_id;
    int fitted;
    vit_classifier fit;        /* cut from fit_memory */
    vit_arena fit_memory;
};

/* A class without examples: the next thing is to add one. */
vit_status vit_probe_add_class(vit_probe *probe, const char *label, vit_error *error);
/* vit_probe_add for a class that is there. */
vit_status vit_probe_add_to(vit_probe *probe, int class_index, const float *features, int *id, vit_error *error);
/* Room for the classifier of the present classes; what was fitted is gone. */
vit_status vit_probe_make_classifier(vit_probe *probe, vit_error *error);
/* VIT_ERR_ARGUMENT while it is not fitted. */
vit_status vit_probe_check_fitted(const vit_probe *probe, vit_error *error);

/* Whether the classifier's numbers are such as fitting gives and a file may hold. */
int vit_probe_is_sound(const vit_probe *probe);

#endif
