/* Dropout (where the paper puts it) and stochastic depth. Every chance is a function of seed, batch, place, token and
 * channel, so it is the same in the backward pass, for any number of threads, on any host. */
#include "trainer.h"

#include "../base/rng.h"

#include <math.h>

/* What stochastic depth multiplies a branch of an image by: 0, or 1 / (1 - rate). */
static float path(const vit_trainer *t, uint64_t key, int layer, int image) {
    const int layers = t->model->config.layers;
    const float rate = layers > 1 ? t->options.drop_path * (float)layer / (float)(layers - 1) : t->options.drop_path;
    if (rate <= 0)
        return 1;
    return vit_random_unit(key, (uint64_t)image) < rate ? 0 : 1 / (1 - rate);
}

void vit_drop(const vit_trainer *t, vit_site site, int layer, float *x, int channels, int begin, int count) {
    enum { FOUR = 4 }; /* neighbouring tokens, whose chances are the 16-bit parts of one number */
    const int r = t->kernels->panel, is_branch = site == VIT_SITE_PROJ || site == VIT_SITE_FC2;
    const uint64_t batch = vit_random_key(t->options.seed, (uint64_t)t->batches);
    const uint64_t key = vit_random_key(batch, (uint64_t)(4 * layer + site)), path_key = vit_random_key(key, 1);
    const uint32_t dropped = (uint32_t)lrintf(t->options.dropout * 65536);
    const float scale = 65536 / (65536 - (float)dropped);
    for (int p = 0; p < count; p++)
        for (int lane = 0; lane < r; lane += FOUR) {
            float *at = x + (size_t)p * (size_t)channels * (size_t)r + lane, factor[FOUR];
            const int token = (begin + p) * r + lane;
            for (int i = 0; i < FOUR; i++)
                factor[i] = scale * (is_branch ? path(t, path_key, layer, (token + i) / t->tokens) : 1);
            for (int c = 0; c < channels; c++, at += r) {
                if (t->keep) {
                    for (int i = 0; i < FOUR && token + i < t->lanes; i++)
                        at[i] *= factor[i] * t->keep(t->keep_context, site, layer, token + i, c);
                    continue;
                }
                const uint64_t index = (uint64_t)(token / FOUR) * (uint64_t)channels + (uint64_t)c;
                const uint64_t chances = vit_random_bits(key, index);
                for (int i = 0; i < FOUR; i++)
                    at[i] = (uint32_t)(chances >> 16 * i & 0xffff) < dropped ? 0 : at[i] * factor[i];
            }
        }
}
