/* vit_train.h - training Vision Transformers: gradients, optimisers, schedules. See vit.h for models, letters and error
 * rules.
 *
 *     vit_train_options options = vit_default_train_options();
 *     options.batch = 128;
 *     options.updates = 1000;                                      // the length of the schedule
 *     vit_trainer_open(&trainer, model, &options, &error);
 *     while (vit_trainer_updates(trainer) < options.updates) {
 *         memcpy(vit_trainer_input(trainer, i), pixels, ...);      // [H,W,3] normalised f32, each of the batch
 *         vit_trainer_set_class(trainer, i, label, &error);
 *         vit_trainer_step(trainer, &result, &error);
 *     }
 *     vit_model_save(vit_trainer_model(trainer), "trained.gguf", &(vit_save_options){.type = VIT_F32}, &error);
 *
 * A trainer owns all parameters in one array, their gradients and the state of the optimiser. A step allocates nothing.
 * Results depend on neither the number of threads nor anything else but the inputs, the options and the kernels. */
#ifndef VIT_TRAIN_H
#define VIT_TRAIN_H

#include "vit_tasks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Mean over the batch of the cross-entropy with the target, of the softmax of the logits; or of the sum over the classes
 * of those of their sigmoids (big_vision's). */
typedef enum vit_loss { VIT_LOSS_SOFTMAX, VIT_LOSS_SIGMOID } vit_loss;

typedef enum vit_optimizer {
    VIT_OPTIMIZER_ADAM, /* bias-corrected, epsilon outside the root */
    VIT_OPTIMIZER_SGD   /* v = momentum v + g; p -= rate v */
} vit_optimizer;

/* What weight_decay w does. "Weight decay" names different things; the paper's code does the last. */
typedef enum vit_decay {
    VIT_DECAY_GRADIENT,   /* g += w p: torch.optim.Adam and SGD */
    VIT_DECAY_RATE,       /* p -= rate w p: AdamW */
    VIT_DECAY_SCHEDULE    /* p -= schedule w p, where rate = base rate x schedule: big_vision */
} vit_decay;

/* Of the rate, after a linear warm-up. */
typedef enum vit_schedule { VIT_SCHEDULE_CONSTANT, VIT_SCHEDULE_LINEAR, VIT_SCHEDULE_COSINE } vit_schedule;

typedef struct vit_train_options {
    int batch;              /* images of a step (1) */
    int accumulate;         /* steps whose gradients are averaged for one update (1) */
    int threads;            /* (1) */
    const char *kernels;    /* as of sessions; NULL: the best */
    int bf16;               /* 1: products take bfloat16 factors and add in f32 (the head's, forwards, stays f32): other bits.
                             * VIT_ERR_ARGUMENT on processors without AMX (0) */
    int recompute;          /* 1: a layer's activations are computed again for its gradients: less memory, 4/3 the time */
    uint64_t seed;          /* of dropout and stochastic depth (0) */

    vit_loss loss;          /* (softmax) */
    float label_smoothing;  /* e: targets become (1 - e) target + e / N (0) */
    float dropout;          /* after adding positions, and every linear layer of a block but qkv (0) */
    float drop_path;        /* stochastic depth: the rate of the last layer's branches; linear from 0 at the first (0) */

    vit_optimizer optimizer; /* (Adam) */
    float beta1, beta2, epsilon; /* of Adam (0.9, 0.999, 1e-8) */
    float momentum;         /* of SGD (0.9) */
    int momentum_bf16;      /* 1: v is rounded to bfloat16 between steps, as the paper's code does */
    float weight_decay;     /* (0) */
    vit_decay decay;        /* (rate) */
    int decay_matrices;     /* 1: only weights of linear layers and convolutions, no biases, norms, embeddings (1) */
    float clip_norm;        /* the gradient is scaled down to this norm; 0: never (0) */

    vit_schedule schedule;  /* (cosine) */
    double rate;            /* the highest (1e-3) */
    double final_rate;      /* where the schedule ends (0) */
    int64_t warmup, updates; /* updates: how many; the first has rate 0 if there is a warm-up (0, 1) */
    const char *freeze;     /* weights that stay as they are: beginnings of names up to a . or _, with commas between ("blocks.0,norm");
                             * read while opening. NULL: none */
    float corrupt;          /* of models that predict patches (decoder mean3bit, down4x4, regression), the share of each
                             * picture's patches that are corrupted and predicted (0.5) */
    float corrupt_masked, corrupt_swapped; /* the shares of those that become the mask token, that get another patch's
                             * embedding; the others are kept as they are (0.8, 0.1) */
    double polyak;          /* D: the average of parameters becomes D average + (1 - D) parameters; 0: none (0) */
} vit_train_options;

vit_train_options vit_default_train_options(void);

/* A model to fine-tune: that of `from` with a new head of zeros for `classes` classes, without pre_logits, and positions
 * interpolated for pictures of height x width (0: those of the model's preprocessing). labels [classes], or NULL. */
vit_status vit_model_adapt(vit_model **out, const vit_model *from, int classes, int height, int width,
                           const char *const *labels, vit_error *error);

typedef struct vit_trainer vit_trainer;

/* Whether such a trainer can be: VIT_ERR_UNSUPPORTED names what of the network cannot be trained, VIT_ERR_ARGUMENT what option is
 * out of its range. Allocates nothing. */
vit_status vit_train_check(const vit_model *model, const vit_train_options *options, vit_error *error);
/* Starts from the weights of `model`, which is copied and may be closed. height and width are those the model's positions
 * are stored for. */
vit_status vit_trainer_open(vit_trainer **out, const vit_model *model, const vit_train_options *options,
                            vit_error *error);
void vit_trainer_close(vit_trainer *trainer);
/* Bytes that open allocates; 0 if the options are not possible. */
uint64_t vit_trainer_bytes(const vit_model *model, const vit_train_options *options);

/* Where to write image `index` of the batch, [H,W,3] normalised f32, and its target, [N]: probabilities, or for the
 * sigmoid loss any numbers of 0..1. NULL if there is no such index. */
float *vit_trainer_input(vit_trainer *trainer, int index);
float *vit_trainer_target(vit_trainer *trainer, int index);
/* Target 1 for one class, 0 for the others. */
vit_status vit_trainer_set_class(vit_trainer *trainer, int index, int class_index, vit_error *error);

typedef struct vit_train_result {
    double loss;            /* mean over the batch, before the update */
    int correct, predictions; /* images whose highest logit has the highest target, of all; or colours of corrupted patches
                             * that are right (of pixels, of their mean), of all */
    int updated;            /* 1: parameters moved; then */
    double rate;            /*   by this rate, */
    double gradient_norm;   /*   before clipping */
    int64_t update;         /* updates so far */
} vit_train_result;

/* Gradients of one batch, and an update when `accumulate` of them are there. VIT_ERR_ARGUMENT if loss or gradient is not
 * finite; parameters have not moved then. */
vit_status vit_trainer_step(vit_trainer *trainer, vit_train_result *result, vit_error *error);
/* Whether the network, as it is after a step, says numbers of that step's images: VIT_ERR_ARGUMENT if it does not. */
vit_status vit_trainer_check(vit_trainer *trainer, vit_error *error);
/* After a step: [N] logits of one image. */
const float *vit_trainer_logits(const vit_trainer *trainer, int index);

/* The network as it is now: for saving, and for sessions (opened before or after steps, not run during one), but of one with
 * convolutions, which a session takes as vit_trainer_snapshot() makes it. Owned by the trainer. */
const vit_model *vit_trainer_model(const vit_trainer *trainer);
/* The one with averaged parameters; NULL without polyak. */
const vit_model *vit_trainer_average(const vit_trainer *trainer);
/* VIT_ERR_ARGUMENT for the first of the beginnings (vit_train_options.freeze) that no weight of the model has, which a
 * trainer passes over, and where nothing is left to train. */
vit_status vit_train_check_freeze(const vit_model *model, const char *freeze, vit_error *error);
/* The rate of an update, counted from 0. */
double vit_train_rate(const vit_train_options *options, int64_t update);

/* How many updates there were. */
int64_t vit_trainer_updates(const vit_trainer *trainer);

/* A copy of the average, or of the model where there is none, as a session runs it: the convolutions, which trainers hold
 * as stored, standardised. The caller's to close. */
vit_status vit_trainer_snapshot(vit_model **out, const vit_trainer *trainer, vit_error *error);

/* All state, at an update: the file appears when it is complete. Load wants a trainer of the same network; it then goes
 * on as the saved one would have, to the bit. VIT_ERR_SHAPE for one of another network or optimiser, VIT_ERR_ARGUMENT for
 * another seed: the trainer stays as it was; after VIT_ERR_IO it is of no more use. `note` [8] is the caller's, kept in the file. */
vit_status vit_trainer_save(const vit_trainer *trainer, const char *path, const int64_t *note, vit_error *error);
vit_status vit_trainer_load(vit_trainer *trainer, const char *path, int64_t *note, vit_error *error);
vit_status vit_trainer_note(const char *path, const vit_options *options, int64_t *note, vit_error *error); /* the file's, alone */

/* ---- Pictures to train on ---- */

/* Of each of `count` paths: a folder that has a folder for each class (ImageFolder), or .tar files: below the folder, or one
 * of its own. A tar's pictures are of the class whose number or name KEY.cls beside KEY.jpg holds (WebDataset), else of the
 * folder right below those that all archives' pictures have in common. Classes are in the order of their names, numbers first
 * and by their value. Only places are held; pictures are read when their turn comes. */
typedef struct vit_dataset vit_dataset;
vit_status vit_dataset_open(vit_dataset **out, const char *const *paths, int count, const vit_options *options,
                            vit_error *error);
/* The same where classes do not matter: pictures right in the folder, or in no folder of a tar, are of the class "". */
vit_status vit_dataset_open_unlabelled(vit_dataset **out, const char *const *paths, int count, const vit_options *options,
                                       vit_error *error);
void vit_dataset_close(vit_dataset *dataset);
int vit_dataset_count(const vit_dataset *dataset);
/* One picture, decoded; its class. */
vit_status vit_dataset_picture(const vit_dataset *dataset, int index, vit_image *out, vit_error *error);
int vit_dataset_class(const vit_dataset *dataset, int index);
int vit_dataset_classes(const vit_dataset *dataset);
const char *vit_dataset_class_name(const vit_dataset *dataset, int index); /* NULL past the end */
/* A number of the names of pictures and of their folders, in their order, of their sizes, and of the classes. */
uint64_t vit_dataset_hash(const vit_dataset *dataset);
/* How many files are not taken, as they have another ending or lie in no folder that names a class; the first of them to *first. */
int vit_dataset_passed_over(const vit_dataset *dataset, const char **first);
/* The same of folders right below that name a class and have no picture. */
int vit_dataset_empty_folders(const vit_dataset *dataset, const char **first);

/* Marks with 1 that part of `count` pictures, by chance of the seed, the others with 0. */
void vit_train_hold_out(uint8_t *marks, int count, double part, uint64_t seed);
/* Leaves `keep` pictures of those marked 0, by chance of the seed; marks the others of them with 2. */
void vit_train_subset(uint8_t *marks, int count, int keep, uint64_t seed);

/* What happens to a picture before it is trained on. */
typedef struct vit_augment {
    double crop_scale[2], crop_ratio[2]; /* random resized crop: share of the area, width to height; {0}: none, framed as for a test (0) */
    int pad;             /* else: framed as for a test, mirrored by so many pixels at its edges, cropped anywhere */
    vit_filter filter;   /* of crops (bilinear) */
    float flip;          /* chance of a mirror image (0) */
    int random_ops, random_magnitude; /* RandAugment: how many operations, how strong of 0..30 (0) */
    float erase;         /* chance of a rectangle of the mean colour (0) */
    double erase_scale[2], erase_ratio[2]; /* its share of the area, height to width (0.02..0.33, 0.3..3.3) */
    float mixup, cutmix; /* alpha of the beta distribution; with both, either for each batch (0) */
} vit_augment;
vit_augment vit_default_augment(void);

/* Batches for a trainer, made by threads ahead of it: shuffled anew for every pass through the data. What sample number s
 * is depends on seed and s alone. */
typedef struct vit_feed vit_feed;
typedef struct vit_feed_options {
    vit_augment augment;
    vit_preprocess preprocess; /* mean, std; and with no augmentation all of it */
    int height, width, batch;
    int classes;               /* 0: of a model that predicts patches */
    int threads;               /* that make batches; 0: none, they are made when they are asked for */
    uint64_t seed;
    const uint8_t *held_out;   /* [vit_dataset_count]: not 0 for pictures that are left out; NULL: none. Read while
                                * opening */
    int64_t first;             /* the first batch */
} vit_feed_options;
/* One picture as a feed of those options makes it, [height,width,3] into out: what is done to it is a function of seed and
 * number. options: of the picture. */
vit_status vit_feed_picture(const vit_feed_options *feed, const vit_image *image, uint64_t number, float *out,
                            const vit_options *options, vit_error *error);
/* Whether these options can be: VIT_ERR_ARGUMENT names what is out of its range. Allocates nothing. */
vit_status vit_feed_check(const vit_dataset *dataset, const vit_feed_options *options, vit_error *error);
/* The dataset stays the caller's, and open until the feed is closed. */
vit_status vit_feed_open(vit_feed **out, const vit_dataset *dataset, const vit_feed_options *options, vit_error *error);
void vit_feed_close(vit_feed *feed);
/* Pictures of a pass. */
int vit_feed_count(const vit_feed *feed);
/* The next batch into the trainer's inputs and targets. A picture that cannot be used is replaced by the next of the
 * pass. *bad: how many were found to be such for the first time; *text: NULL, or lines about them, with 0 at the end,
 * fewer than *bad if they are very many, valid until the next call. */
vit_status vit_feed_next(vit_feed *feed, vit_trainer *trainer, int *bad, const char **text, vit_error *error);

#ifdef __cplusplus
}
#endif
#endif
