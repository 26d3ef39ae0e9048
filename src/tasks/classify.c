#include "top.h"

#include "../base/exponential.h"

#include <math.h>

static float largest(const float *logits, int n) {
    float most = -INFINITY;
    for (int i = 0; i < n; i++)
        if (logits[i] > most)
            most = logits[i];
    return most;
}

typedef struct scores {
    int multi_label;
    float most; /* of softmax: the largest logit, and the sum over all behind it */
    double sum;
} scores;

static scores scores_of(const float *logits, int n, int multi_label) {
    scores s = {.multi_label = multi_label};
    if (multi_label)
        return s;
    s.most = largest(logits, n);
    for (int i = 0; i < n; i++)
        s.sum += vit_expf(logits[i] - s.most);
    return s;
}

static float score(const scores *s, float logit) {
    return s->multi_label ? 1 / (1 + vit_expf(-logit)) : (float)(vit_expf(logit - s->most) / s->sum);
}

void vit_probabilities(const float *logits, int n, int multi_label, float *out) {
    const scores s = scores_of(logits, n, multi_label);
    for (int i = 0; i < n; i++)
        out[i] = score(&s, logits[i]);
}

int vit_top_classes(const float *logits, int n, int k, int multi_label, vit_score *top) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count = vit_top_add(top, count, k, (vit_score){i, logits[i]});
    vit_top_sort(top, count);
    const scores s = scores_of(logits, count ? n : 0, multi_label);
    for (int i = 0; i < count; i++)
        top[i].score = score(&s, top[i].score);
    return count;
}

int vit_is_known(const vit_config *config, float best) {
    return !config->known_percent || best * 100 >= (float)config->known_percent;
}
