/* Tests of the network that a training run has come to. */
#ifndef VIT_CLI_TRAIN_TEST_H
#define VIT_CLI_TRAIN_TEST_H

#include "patch_score.h"
#include "train_run.h"

typedef struct vit_cli_test {
    double accuracy; /* percent of the pictures that are right, of hidden patches whose colours are; NAN: no picture could be read */
    double loss;
    vit_cli_patch_scores patches; /* of a model that predicts them, else 0 pictures */
} vit_cli_test;

typedef enum vit_cli_tested {
    VIT_CLI_TESTED,
    VIT_CLI_TEST_STOPPED,  /* by a signal */
    VIT_CLI_TEST_FAILED,   /* after a complaint */
    VIT_CLI_TEST_DIVERGED, /* the same: outputs are not finite */
} vit_cli_tested;

/* The network as it would be saved, on the run's pictures to test on. named [their count]: those that could not be read, which
 * are complained about once. */
vit_cli_tested vit_cli_train_test(const vit_cli_training *run, const vit_trainer *trainer, int64_t update, uint8_t *named,
                                  vit_cli_test *out);

void vit_cli_complain_diverged(int64_t update);

#endif
