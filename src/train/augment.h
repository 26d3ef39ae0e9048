/* Augmentation of one picture, and of a batch. Every choice is a function of a key. */
#ifndef VIT_TRAIN_AUGMENT_H
#define VIT_TRAIN_AUGMENT_H

#include "../vit_train.h"

/* Numbers of one key, one after another. */
typedef struct vit_dice {
    uint64_t key, next;
} vit_dice;

double vit_dice_unit(vit_dice *dice);           /* [0,1) */
uint32_t vit_dice_below(vit_dice *dice, uint32_t count);
double vit_dice_beta(vit_dice *dice, double alpha); /* of Beta(alpha, alpha) */

/* out [height,width,3], normalised. */
vit_status vit_augment_picture(const vit_feed_options *o, const vit_image *image, uint64_t key, float *out,
                               const vit_options *options, vit_error *error);

/* The operations of RandAugment by torchvision's names and order, on pixels [height,width,3] in place. scratch: as
 * large. magnitude: torchvision's, of the operation's own unit. */
typedef enum vit_op {
    VIT_OP_IDENTITY, VIT_OP_SHEAR_X, VIT_OP_SHEAR_Y, VIT_OP_TRANSLATE_X, VIT_OP_TRANSLATE_Y, VIT_OP_ROTATE,
    VIT_OP_BRIGHTNESS, VIT_OP_COLOR, VIT_OP_CONTRAST, VIT_OP_SHARPNESS, VIT_OP_POSTERIZE, VIT_OP_SOLARIZE,
    VIT_OP_AUTO_CONTRAST, VIT_OP_EQUALIZE, VIT_OPS
} vit_op;
void vit_op_apply(vit_op op, double magnitude, uint8_t *pixels, int height, int width, uint8_t *scratch);
/* What `level` of 0..30 means to an operation; *is_signed: it may as well be negative. */
double vit_op_magnitude(vit_op op, int level, int height, int width, int *is_signed);

/* Mixes the images and targets of a batch in place: image i with image batch - 1 - i (timm's). */
void vit_mix_batch(const vit_feed_options *o, uint64_t key, float *input, float *targets);

#endif
