/* How well hidden patches are predicted, beside what needs no network. */
#ifndef VIT_CLI_PATCH_SCORE_H
#define VIT_CLI_PATCH_SCORE_H

#include "../vit_train.h"

#include <signal.h>
#include <stdio.h>

/* Who predicts: the model; the most frequent colour of all these pictures; the mean of a picture's visible patches; the
 * same weighted by distance^-6. */
enum { VIT_CLI_BY_MODEL, VIT_CLI_BY_FREQUENCY, VIT_CLI_BY_MEAN, VIT_CLI_BY_DISTANCE, VIT_CLI_PREDICTORS };

typedef struct vit_cli_patch_scores {
    int pictures, unread; /* scored; that cannot be read */
    double loss;       /* of the model */
    struct {
        double accuracy; /* percent of hidden patches whose 3-bit mean colour is right */
        double error;    /* mean absolute difference to their mean, 0..255 */
    } of[VIT_CLI_PREDICTORS];
} vit_cli_patch_scores;

/* The pictures whose mark [count] is 1, NULL: all, with the share `ratio` of their patches hidden by the seed and the
 * picture's place. session: threads and kernels. stop: non-zero ends it early. 0 and complaints where it fails; pictures
 * that cannot be read are left out, and named, but for those that named [count] has already; NULL: all are named. */
int vit_cli_score_patches(const vit_model *model, const vit_dataset *data, const uint8_t *marks, uint8_t *named, double ratio,
                          int seed, vit_session_options session, const volatile sig_atomic_t *stop, vit_cli_patch_scores *out);

/* Keys and values of a JSON object: "model_accuracy":36.2,"model_color_error":17.6,... */
void vit_cli_write_patch_scores(FILE *out, const vit_cli_patch_scores *scores);
/* A line for each predictor, on stdout. */
void vit_cli_print_patch_scores(const vit_cli_patch_scores *scores);

#endif
