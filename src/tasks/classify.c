#include "top.h"

#include <math.h>

static float largest(const float *logits, int n) {
    float most = -INFINITY;
    for (int i = 0; i < n; i++)
        if (logits[i] > most)
            most = logits[i];
    return most;
}

void vit_softmax(const float *logits, int n, float *out) {
    float most = largest(logits, n);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        out[i] = expf(logits[i] - most);
        sum += out[i];
    }
    for (int i = 0; i < n; i++)
        out[i] = (float)(out[i] / sum);
}

int vit_top_classes(const float *logits, int n, int k, vit_score *top) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count = vit_top_add(top, count, k, (vit_score){i, logits[i]});
    vit_top_sort(top, count);
    float most = largest(logits, n);
    double sum = 0;
    for (int i = 0; i < n && count; i++)
        sum += expf(logits[i] - most);
    for (int i = 0; i < count; i++)
        top[i].score = (float)(expf(top[i].score - most) / sum);
    return count;
}

int vit_is_known(const vit_config *config, float best) {
    return !config->known_percent || best * 100 >= (float)config->known_percent;
}
