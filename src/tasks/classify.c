#include "../vit_tasks.h"

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

/* Whether class a belongs before class b: higher logit, then lower index; NaN last. */
static int before(const float *logits, int a, int b) {
    if (isnan(logits[a]) || isnan(logits[b]))
        return isnan(logits[a]) == isnan(logits[b]) ? a < b : isnan(logits[b]);
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

int vit_top_classes(const float *logits, int n, int k, vit_score *top) {
    int count = 0;
    for (int i = 0; i < n && k > 0; i++) {
        if (count == k && !before(logits, i, top[count - 1].index))
            continue;
        int place = count < k ? count++ : count - 1;
        for (; place > 0 && before(logits, i, top[place - 1].index); place--)
            top[place] = top[place - 1];
        top[place].index = i;
    }
    float most = largest(logits, n);
    double sum = 0;
    for (int i = 0; i < n && count; i++)
        sum += expf(logits[i] - most);
    for (int i = 0; i < count; i++)
        top[i].score = (float)(expf(logits[top[i].index] - most) / sum);
    return count;
}

int vit_is_known(const vit_config *config, float best) {
    return !config->known_percent || best * 100 >= (float)config->known_percent;
}
