/* dispatch_train.c - the tables for training, apart: programs that do not train have none of it. */
#include "kernels.h"

#include <string.h>

#define F32(symbol, supported)
#define INT8(symbol, supported)
#define TRAIN(symbol, supported) extern const vit_train_kernels symbol;
#include "kernels.def"
#undef TRAIN

const vit_train_kernels *vit_train_kernels_at(int index) {
#define TRAIN(symbol, supported)     \
    if ((supported) && index-- == 0) \
        return &symbol;
#include "kernels.def"
    return NULL;
}

const vit_train_kernels *vit_train_kernels_for(const vit_kernels *kernels) {
    const vit_train_kernels *train;
    for (int i = 0; (train = vit_train_kernels_at(i)) != NULL; i++)
        if (strncmp(train->name, kernels->name, strlen(train->name)) == 0 && kernels->name[strlen(train->name)] == ':')
            break;
    return train;
}
