/* Cross-entropies, their gradients, and how many images are right; in f64, image by image. */
#include "trainer.h"

#include <math.h>

/* Loss of one image and d = its gradient: sum over classes of -y log softmax(z), y smoothed. */
static double softmax_loss(const float *z, const float *target, int n, double smoothing, float *d, double scale) {
    double top = z[0], sum = 0, loss = 0, mass = 0;
    for (int i = 1; i < n; i++)
        top = z[i] > top ? z[i] : top;
    for (int i = 0; i < n; i++)
        sum += exp(z[i] - top);
    const double log_sum = top + log(sum);
    for (int i = 0; i < n; i++) {
        const double y = (1 - smoothing) * target[i] + smoothing / n;
        mass += y;
        loss += y * (log_sum - z[i]);
    }
    for (int i = 0; i < n; i++) {
        const double y = (1 - smoothing) * target[i] + smoothing / n;
        d[i] = (float)(scale * (mass * exp(z[i] - log_sum) - y));
    }
    return loss;
}

/* Sum over classes of log(1 + e^z) - y z. */
static double sigmoid_loss(const float *z, const float *target, int n, double smoothing, float *d, double scale) {
    double loss = 0;
    for (int i = 0; i < n; i++) {
        const double y = (1 - smoothing) * target[i] + smoothing / n;
        const double e = exp(-fabs((double)z[i])), positive = 1 / (1 + e);
        loss += (z[i] > 0 ? z[i] : 0) + log1p(e) - y * z[i];
        d[i] = (float)(scale * ((z[i] >= 0 ? positive : 1 - positive) - y));
    }
    return loss;
}

static int highest(const float *values, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        best = values[i] > values[best] ? i : best;
    return best;
}

double vit_loss_backward(vit_trainer *t, double scale, int *correct) {
    const int n = t->model->config.classes, batch = t->options.batch;
    double loss = 0;
    *correct = 0;
    for (int image = 0; image < batch; image++) {
        const size_t at = (size_t)image * (size_t)n;
        const float *z = t->logits + at, *target = t->targets + at;
        loss += (t->options.loss == VIT_LOSS_SOFTMAX ? softmax_loss : sigmoid_loss)(
            z, target, n, t->options.label_smoothing, t->dlogits + at, scale / batch);
        *correct += target[highest(z, n)] == target[highest(target, n)];
    }
    return loss / batch;
}
