/* Choosing among kernels that give the same bits by timing them, on a small layer that stays in L1. */
#include "session.h"

#include "../base/clock.h"

#include <string.h>

/* Tiles of every shape take part: outputs and panels are left over from the full ones. */
enum { N = 27, K = VIT_TRIAL_DEPTH, PANELS = 3, HEAD_WIDTH = 64, MOST_PANEL = 16, MOST_LANES = PANELS * MOST_PANEL };
#define ROUND_MS 0.15
#define ROUNDS 3
#define MARGIN 1.06 /* that a change must bring: what times vary by */

/* A layer for both kinds of kernels, a head's scores for those of int8, and the results. */
struct vit_trial {
    float w[N * K], x[MOST_LANES * K];
    int8_t w_int8[N * K];
    union {
        int8_t of4[MOST_LANES * K];
        int16_t of2[MOST_LANES * K];
    } x_int8;
    float scale[MOST_LANES]; /* of tokens, and of outputs */
    int32_t zero[MOST_LANES], sum[MOST_LANES];
    struct {
        float y[MOST_LANES * N], scores[PANELS * MOST_LANES * MOST_PANEL];
    } found, expected;
};

size_t vit_trial_bytes(void) {
    return sizeof(struct vit_trial);
}

static void fill(struct vit_trial *t, int depth) {
    uint32_t state = 1;
    for (int i = 0; i < MOST_LANES * K; i++) {
        state = state * 1664525u + 1013904223u;
        const int value = (int)(state >> 25); /* 0..127 */
        t->x[i] = (float)value / 64 - 1;
        if (depth == 2)
            t->x_int8.of2[i] = (int16_t)value;
        else
            t->x_int8.of4[i] = (int8_t)value;
        if (i < N * K) {
            t->w[i] = t->x[i] / 8;
            t->w_int8[i] = (int8_t)(2 * value - 127);
        }
    }
    for (int i = 0; i < MOST_LANES; i++) {
        t->scale[i] = 1;
        t->zero[i] = i;
    }
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++)
            t->sum[n] += t->w_int8[n * K + k];
}

/* All of it by one table, of f32 or int8. */
static void run(const vit_session *s, struct vit_trial *t, const vit_kernels *f32, const vit_int8_kernels *int8) {
    const ptrdiff_t r = s->kernels->panel;
    if (f32) {
        const vit_gemm g = {.w = t->w, .x = t->x, .y = t->found.y, .x_stride = K * r, .y_stride = N * r, .n = N, .k = K,
                            .panels = PANELS};
        f32->gemm_nt(&g, 0, N);
        return;
    }
    const vit_int8_gemm g = {.w = t->w_int8, .w_scale = t->scale, .w_sum = t->sum, .x = &t->x_int8, .x_scale = t->scale,
                             .x_zero = t->zero, .y = t->found.y, .y_stride = N * r, .n = N, .k = K, .panels = PANELS};
    const vit_int8_heads h = {.q = &t->x_int8, .k = &t->x_int8, .q_scale = t->scale, .q_zero = t->zero,
                              .k_scale = t->scale, .k_sum = t->sum, .tokens = PANELS * (int)r,
                              .head_width = HEAD_WIDTH};
    int8->gemm(&g, 0, N, s->scratch);
    for (int query = 0, count; query < PANELS; query += count) {
        count = PANELS - query < int8->query_panels ? 1 : int8->query_panels;
        int8->score(&h, query, count, t->found.scores + query * PANELS * r * r);
    }
}

/* Runs a millisecond: from a tick of the clock, which may be coarse, to one at least ROUND_MS later; 0 where results are
 * not the expected. */
static double rate(const vit_session *s, struct vit_trial *t, const vit_kernels *f32, const vit_int8_kernels *int8) {
    double begin = vit_now_ms(), now = begin;
    for (int i = 0; now == begin && i < 1000; i++) {
        run(s, t, f32, int8);
        now = vit_now_ms();
    }
    int count = 0;
    for (begin = now; now - begin < ROUND_MS; now = vit_now_ms(), count += 4) {
        for (int i = 0; i < 4; i++)
            run(s, t, f32, int8);
        if (memcmp(&t->found, &t->expected, sizeof t->found) != 0)
            return 0;
    }
    return count / (now - begin);
}

/* The index of the table that is fastest, of those of the session's instruction set that it may choose, or that of the one
 * in use. All must give what the first of them gives: engines have had faults. */
static int fastest(const vit_session *s, int of_int8) {
    struct vit_trial *t = s->trial;
    double best = 0, used = 0;
    int chosen = -1, current = -1, first = 1;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0;; i++) {
            const vit_kernels *f32 = of_int8 ? NULL : vit_kernels_at(i);
            const vit_int8_kernels *int8 = of_int8 ? vit_int8_kernels_at(i) : NULL;
            if (!f32 && !int8)
                break;
            const char *name = f32 ? f32->name : int8->name;
            if (!vit_kernels_same_isa(name, s->kernels->name) || !vit_kernels_allows(s->allowed, name))
                continue;
            if (first) {
                run(s, t, f32, int8);
                t->expected = t->found;
                first = 0;
            }
            const double speed = rate(s, t, f32, int8);
            if (f32 ? f32 == s->kernels : int8 == s->int8) {
                current = i;
                used = speed > used ? speed : used;
            }
            if (speed > best) {
                best = speed;
                chosen = i;
            }
        }
    return best > MARGIN * used ? chosen : current;
}

int vit_session_tune(vit_session *s) {
    const vit_kernels *kernels = s->kernels;
    const vit_int8_kernels *int8 = s->int8;
    if (!s->trial)
        return 0;
    memset(s->trial, 0, sizeof *s->trial);
    fill(s->trial, int8 ? int8->depth : 4);
    s->kernels = vit_kernels_at(fastest(s, 0));
    if (int8)
        s->int8 = vit_int8_kernels_at(fastest(s, 1));
    vit_session_name_kernels(s);
    return s->kernels != kernels || s->int8 != int8;
}

int vit_session_has_choice(const vit_session *s) {
    int f32 = 0, int8 = 0;
    for (int i = 0; vit_kernels_name(i); i++)
        if (vit_kernels_same_isa(vit_kernels_name(i), s->kernels->name) && vit_kernels_allows(s->allowed, vit_kernels_name(i)))
            strchr(vit_kernels_name(i), ',') ? int8++ : f32++;
    return f32 > 1 || (s->int8 && int8 > 1);
}
