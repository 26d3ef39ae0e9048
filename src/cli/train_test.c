#include "train_test.h"

#include "interrupt.h"
#include "limits.h"
#include "progress.h"

#include <math.h>
#include <stdlib.h>

enum { TEST_BATCH = 32 };

/* What a test has come to whose loss is that. */
static vit_cli_tested ended(double loss, int64_t update) {
    if (!isfinite(loss)) {
        vit_cli_complain_diverged(update);
        return VIT_CLI_TEST_DIVERGED;
    }
    return vit_cli_interrupted ? VIT_CLI_TEST_STOPPED : VIT_CLI_TESTED;
}

static vit_cli_tested test_patches(const vit_cli_training *run, const vit_model *model, int64_t update, uint8_t *named,
                                   vit_cli_test *out) {
    const vit_session_options options = {.threads = run->options.threads, .kernels = run->options.kernels};
    if (!vit_cli_score_patches(model, run->test ? run->test : run->data, run->test ? NULL : run->held_out, named, 0.5, 0,
                               options, &vit_cli_interrupted, &out->patches))
        return VIT_CLI_TEST_FAILED;
    out->loss = out->patches.loss;
    out->accuracy = out->patches.pictures ? out->patches.of[VIT_CLI_BY_MODEL].accuracy : (double)NAN;
    return ended(out->loss, update);
}

/* A picture into its place in a batch; where it cannot be read, 0, and a complaint the first time. */
static int take_picture(const vit_config *c, const vit_dataset *data, int index, uint8_t *named, float *input,
                        vit_cli_progress *bar) {
    vit_image image;
    vit_error error;
    vit_status status = vit_dataset_picture(data, index, &image, &error);
    if (status == VIT_OK) {
        status = vit_image_preprocess(&image, &c->preprocess, c->image_height, c->image_width, input, vit_cli_options(), &error);
        vit_image_close(&image);
    }
    if (status != VIT_OK && !named[index]) {
        vit_cli_progress_hide(bar);
        vit_cli_complain("%s", error.text);
    }
    named[index] |= status != VIT_OK;
    return status == VIT_OK;
}

/* The run's loss of one picture, without what softens its labels. room: [classes] */
static double loss_of(vit_loss loss, const float *logits, int classes, int class, float *room) {
    double sum = 0;
    if (loss == VIT_LOSS_SOFTMAX) {
        vit_probabilities(logits, classes, 0, room);
        return -log((double)room[class] + 1e-30);
    }
    for (int i = 0; i < classes; i++) {
        const double x = i == class ? -(double)logits[i] : (double)logits[i];
        sum += fmax(x, 0) + log1p(exp(-fabs(x)));
    }
    return sum;
}

typedef struct tested {
    int pictures, right;
    double loss; /* the sum of theirs */
} tested;

/* All pictures to test on; 0 and a complaint where the network fails. room: [classes] */
static int test_all(const vit_cli_training *run, vit_session *session, uint8_t *named, float *room, tested *out) {
    const vit_config *c = vit_model_config(run->model);
    const vit_dataset *data = run->test ? run->test : run->data;
    const int all = vit_dataset_count(data), classes = c->classes;
    int class_of[TEST_BATCH], filled = 0, tests = 0, seen = 0;
    vit_error error;
    for (int i = 0; i < all; i++)
        tests += run->test || run->held_out[i] == 1;
    vit_cli_progress bar = vit_cli_progress_start(tests, "pictures to test on");
    for (int i = 0; i < all && !vit_cli_interrupted; i++) {
        if (run->test || run->held_out[i] == 1) {
            if (take_picture(c, data, i, named, vit_session_input(session, filled), &bar))
                class_of[filled++] = run->test ? run->test_classes[vit_dataset_class(data, i)] : vit_dataset_class(data, i);
            vit_cli_progress_show(&bar, ++seen, tests);
        }
        if (filled < TEST_BATCH && (i + 1 < all || !filled))
            continue;
        if (vit_session_run(session, &error) != VIT_OK) {
            vit_cli_progress_hide(&bar);
            vit_cli_complain("%s", error.text);
            return 0;
        }
        for (int j = 0; j < filled; j++) {
            vit_score top;
            const float *logits = vit_session_logits(session, j);
            vit_top_classes(logits, classes, 1, c->multi_label, &top);
            out->right += top.index == class_of[j];
            out->loss += loss_of(run->options.loss, logits, classes, class_of[j], room);
        }
        out->pictures += filled;
        filled = 0;
    }
    vit_cli_progress_hide(&bar);
    return 1;
}

static vit_cli_tested test_classes(const vit_cli_training *run, const vit_trainer *trainer, int64_t update, uint8_t *named,
                                   vit_cli_test *out) {
    const vit_config *c = vit_model_config(run->model);
    const vit_session_options options = {.batch = TEST_BATCH, .height = c->image_height, .width = c->image_width,
                                         .threads = run->options.threads, .kernels = run->options.kernels};
    vit_model *model = NULL;
    vit_session *session = NULL;
    vit_error error = {.text = "out of memory"};
    tested sums = {0};
    float *room = malloc((size_t)c->classes * sizeof *room);
    const int is_open = room && vit_trainer_snapshot(&model, trainer, &error) == VIT_OK &&
                        vit_session_open(&session, model, &options, &error) == VIT_OK;
    if (!is_open)
        vit_cli_complain("%s", error.text);
    const int is_good = is_open && test_all(run, session, named, room, &sums);
    vit_session_close(session);
    vit_model_close(model);
    free(room);
    if (!is_good)
        return VIT_CLI_TEST_FAILED;
    out->loss = sums.pictures ? sums.loss / sums.pictures : 0;
    out->accuracy = sums.pictures ? 100.0 * sums.right / sums.pictures : (double)NAN;
    return ended(sums.loss, update);
}

vit_cli_tested vit_cli_train_test(const vit_cli_training *run, const vit_trainer *trainer, int64_t update, uint8_t *named,
                                  vit_cli_test *out) {
    const vit_model *average = vit_trainer_average(trainer);
    *out = (vit_cli_test){0};
    if (vit_model_config(run->model)->decoder.kind != VIT_DECODER_NONE)
        return test_patches(run, average ? average : vit_trainer_model(trainer), update, named, out);
    return test_classes(run, trainer, update, named, out);
}

void vit_cli_complain_diverged(int64_t update) {
    vit_cli_complain("the network's outputs after update %lld are not finite numbers: a lower --lr may do; nothing is saved of it, "
                     "what was saved before is kept", (long long)update);
}
