/* A training run: steps, log, checkpoints, evaluation. */
#ifndef VIT_CLI_TRAIN_RUN_H
#define VIT_CLI_TRAIN_RUN_H

#include "../vit_train.h"
#include "train_record.h"

#define VIT_CLI_LOG "log.jsonl" /* of what a run's folder holds */

typedef struct vit_cli_training {
    const vit_model *model;       /* where it begins; has the labels */
    const vit_dataset *data, *test; /* test: what it is evaluated on; NULL: the held-out part of data, if any */
    const int *test_classes;      /* those of test as classes of data */
    const uint8_t *held_out;      /* [pictures of data]: 0 those to train on, 1 those to test on */
    int tests_held_out;           /* whether there are any of the latter */
    vit_train_options options;
    vit_augment augment;
    int loaders;
    double evaluate_epochs;       /* how often; 0: at the end */
    double save_seconds;          /* how often, besides */
    const char *folder;
    const vit_cli_record *record;
    int is_trial;                 /* that it diverges is no failure */
} vit_cli_training;

/* Whether there is a run in the folder that may go on: its rate to *rate, 0 where there is none. Exit status; one that is there
 * without `resume` is complained about. */
int vit_cli_train_begun(const char *folder, int resume, double *rate);
/* Whether network and options are such as can be trained with; exit status, after a complaint if not. */
int vit_cli_train_check(const vit_cli_training *run);
/* Trains. *accuracy: of the last evaluation, in percent, -1 without one, NAN where loss or gradient were no numbers any more,
 * which is no failure of a trial. Exit status; complaints are made. */
int vit_cli_train_run(const vit_cli_training *run, double *accuracy);
/* Removes what a run has written to its folder, but for its log. */
void vit_cli_train_forget(const char *folder);

#endif
