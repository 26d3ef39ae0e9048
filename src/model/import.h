/* What the files of an import share: the tensors of a file under our names, and what is claimed of them. */
#ifndef VIT_MODEL_IMPORT_H
#define VIT_MODEL_IMPORT_H

#include "model.h"
#include "names.h"

/* A tensor of the file under our name and in our axes, that of layers left out. */
typedef struct vit_own_tensor {
    vit_name name;
    int rank;
    int64_t shape[8];
} vit_own_tensor;

typedef struct vit_import_job {
    vit_model *model;
    const char *file;         /* its name */
    vit_claims *claims;
    vit_own_tensor *own;      /* [tensor_count] */
    const vit_family *family; /* of the first block that has one, else of the first tensor */
    vit_error *error;
} vit_import_job;

/* settle.c: whether the file is vit_jax's or big_vision's, and no config says that it is meant for timm or Hugging
 * Face's code. */
int vit_speaks_jax(const vit_import_job *in);
/* settle.c: own names of convolutions, which in JAX's files are the same in a hybrid and in BiT. */
void vit_place_convolutions(const vit_import_job *in);
/* settle.c: what nobody has claimed, from names and shapes; then the default of the source's own code. */
vit_status vit_settle_claims(const vit_import_job *in);

#endif
