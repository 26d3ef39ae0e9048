/* What a training run is made of: recipes, and options that change them. */
#ifndef VIT_CLI_TRAIN_SETTINGS_H
#define VIT_CLI_TRAIN_SETTINGS_H

#include "../vit_train.h"
#include "options.h"

enum { VIT_CLI_LIKE_NETWORK = -1, VIT_CLI_CLASSES_AS_NAMED = -1 };

/* Numbers as options hold them; 0 where the choice is left open. */
typedef struct vit_cli_settings {
    const char *recipe, *arch;
    int layers, width, heads, mlp, patch, size[2];
    int stem_width, stem_size, stem_stride, norm_groups, unit_width, units[4]; /* of the convolutional part */
    const char *units_text;
    int hidden_head;        /* width of the head's hidden layer, or VIT_CLI_LIKE_NETWORK */
    int pool, pos, placement; /* 0 as the network has it; cls, mean; a vit_pos_kind + 1; a vit_pos_placement + 1 */
    double epochs;
    int steps, batch, accumulate;
    int optimizer;          /* adamw, adam, sgd, adam-l2 */
    double rate, final_rate, warmup_epochs, weight_decay, clip, average, smoothing, dropout, drop_path;
    int warmup, schedule, loss;
    int pad, magnitude, operations;
    double crop, flip, erase, mixup, cutmix;
    int bf16_momentum;
    int target;             /* of patches: mean3bit, down4x4, pixels */
    double corrupt, masked, swapped;
} vit_cli_settings;

/* The row of --recipe, whose help, in `help`, lists what there is for the command. */
vit_cli_option vit_cli_recipe_option(vit_cli_settings *s, const char *command, char *help, size_t size);
/* Of the recipe that --recipe among the arguments names, or the plain one of the command. 0 and a complaint if there is
 * no such recipe. */
int vit_cli_settings_begin(vit_cli_settings *out, const char *command, int argc, char **argv);

/* images: of a pass through the data. */
vit_train_options vit_cli_train_options(const vit_cli_settings *s, int images);
vit_augment vit_cli_augment(const vit_cli_settings *s);
/* Reads --units; 0 where it is none. */
int vit_cli_units(vit_cli_settings *s);
#define VIT_CLI_UNITS_EXPECTED "--units '%s': expected 1 to 4 numbers separated by commas"
/* The network that arch and the settings describe. classes: of its head, or VIT_CLI_CLASSES_AS_NAMED. */
vit_status vit_cli_network(const vit_cli_settings *s, int classes, vit_config *out, vit_error *error);
/* The same: -1 to go on, or the exit status after a complaint where there is no such network. */
int vit_cli_check_network(const vit_cli_command *command, const vit_cli_settings *s, int classes, vit_config *out);

/* Rows of an option table: what makes another network of the one that has a name. */
#define VIT_CLI_NETWORK_OPTIONS(s)                                                                                     \
    {"layers", "N", VIT_CLI_INT, &(s).layers, 1, 1024, "instead of the network's"},                                    \
    {"width", "N", VIT_CLI_INT, &(s).width, 1, 65536, "the same"},                                                     \
    {"heads", "N", VIT_CLI_INT, &(s).heads, 1, 1024, "the same"},                                                      \
    {"mlp", "N", VIT_CLI_INT, &(s).mlp, 1, 1 << 20, "the same: width of the hidden layers"},                           \
    {"patch", "N", VIT_CLI_INT, &(s).patch, 1, 1024, "the same: pixels"},                                              \
    {"stem-width", "N", VIT_CLI_INT, &(s).stem_width, 1, 65536, "the same: channels of the first convolution"},        \
    {"stem-size", "N", VIT_CLI_INT, &(s).stem_size, 2, 7, "the same: pixels of its windows"},                          \
    {"stem-stride", "N", VIT_CLI_INT, &(s).stem_stride, 1, 4, "the same: from one window to the next"},                \
    {"unit-width", "N", VIT_CLI_INT, &(s).unit_width, 1, 65536, "the same: channels in the first residual units"},     \
    {"norm-groups", "N", VIT_CLI_INT, &(s).norm_groups, 1, 65536,                                                      \
     "the same: groups of channels that are normalised"},                                                              \
    {"units", "N[,N...]", VIT_CLI_TEXT, &(s).units_text, 0, 0, "the same: residual units of up to 4 stages"},          \
    {"pool", "network|cls|mean", VIT_CLI_CHOICE, &(s).pool, 0, 0, "a class token, or the mean of the patches"},        \
    {"pos", "network|none|1d|2d|relative|sincos2d", VIT_CLI_CHOICE, &(s).pos, 0, 0, "position embeddings"},            \
    {"placement", "network|input|layers|shared", VIT_CLI_CHOICE, &(s).placement, 0, 0,                                 \
     "where they are added: before the first layer, in each (tables of its own), in each (one table)"}
#define VIT_CLI_HEAD_OPTION(s)                                                                                         \
    {"hidden-head", "N", VIT_CLI_INT, &(s).hidden_head, VIT_CLI_LIKE_NETWORK, 65536,                                  \
     "a head with a hidden layer of tanh, as the paper pre-trains; -1: as wide as tokens are"}

/* Rows of an option table: how it is trained. */
#define VIT_CLI_SETTINGS_OPTIONS(s)                                                                                    \
    {"epochs", "N", VIT_CLI_NUMBER, &(s).epochs, 0, 1e6, "passes through the data"},                                   \
    {"steps", "N", VIT_CLI_INT, &(s).steps, 1, 2e9, "updates, instead of epochs"},                                     \
    {"batch", "N", VIT_CLI_INT, &(s).batch, 1, 65536, "pictures at a time"},                                           \
    {"accumulate", "N", VIT_CLI_INT, &(s).accumulate, 1, 1e6, "batches for one update"},                               \
    {"optimizer", "adamw|adam|sgd|adam-l2", VIT_CLI_CHOICE, &(s).optimizer, 0, 0,                                     \
     "weight decay is, with adamw: taken times the rate;\nadam: times the schedule alone, as in the paper's code;\n"      \
     "sgd, adam-l2: added to the gradient"},                                                                          \
    {"momentum-type", "f32|bf16", VIT_CLI_CHOICE, &(s).bf16_momentum, 0, 0, "in which sgd keeps its momentum"},        \
    {"final-lr", "R", VIT_CLI_NUMBER, &(s).final_rate, 0, 1e3, "where the rate ends"},                                 \
    {"schedule", "constant|linear|cosine", VIT_CLI_CHOICE, &(s).schedule, 0, 0, "of the rate, after warm-up"},         \
    {"warmup", "N", VIT_CLI_INT, &(s).warmup, 0, 2e9, "updates while the rate rises from 0"},                          \
    {"warmup-epochs", "N", VIT_CLI_NUMBER, &(s).warmup_epochs, 0, 1e6, "the same in passes through the data"},         \
    {"weight-decay", "W", VIT_CLI_NUMBER, &(s).weight_decay, 0, 1e3, "of weights of linear layers and convolutions"},                   \
    {"clip", "NORM", VIT_CLI_NUMBER, &(s).clip, 0, 1e9, "longest gradient; 0: any"},                                   \
    {"average", "D", VIT_CLI_NUMBER, &(s).average, 0, 0.9999999,                                                      \
     "evaluate and save averages: D x average + (1 - D) x weights after each update; 0: the weights"},      \
    {"dropout", "P", VIT_CLI_NUMBER, &(s).dropout, 0, 0.99, "after positions and linear layers, as in the paper"},     \
    {"drop-path", "P", VIT_CLI_NUMBER, &(s).drop_path, 0, 0.99, "stochastic depth: chance in the last layer"},         \
    {"crop", "S", VIT_CLI_NUMBER, &(s).crop, 0, 1, "random resized crops of at least this part of the picture; 0: none"},  \
    {"pad", "N", VIT_CLI_INT, &(s).pad, 0, 65535, "instead: move the picture by up to so many pixels"},                \
    {"flip", "P", VIT_CLI_NUMBER, &(s).flip, 0, 1, "chance of a mirror image"},                                        \
    {"randaugment", "N", VIT_CLI_INT, &(s).operations, 0, 100, "RandAugment: operations on a picture"},                \
    {"magnitude", "M", VIT_CLI_INT, &(s).magnitude, 0, 30, "how strong they are (default: 9)"},                                     \
    {"erase", "P", VIT_CLI_NUMBER, &(s).erase, 0, 1, "chance of an erased rectangle"},                                 \
    {"mixup", "A", VIT_CLI_NUMBER, &(s).mixup, 0, 100, "mixes pairs of pictures: alpha of the beta distribution"},     \
    {"cutmix", "A", VIT_CLI_NUMBER, &(s).cutmix, 0, 100, "exchanges rectangles between pairs: alpha"}

#endif
