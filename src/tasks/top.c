#include "top.h"

#include <math.h>

static int is_better(vit_score a, vit_score b) {
    if (isnan(a.score) != isnan(b.score))
        return isnan(b.score);
    return a.score > b.score || (!(a.score < b.score) && a.index < b.index);
}

static void swap(vit_score *a, vit_score *b) {
    const vit_score kept = *a;
    *a = *b;
    *b = kept;
}

/* top is a heap of `count` but for the one at `place`, which may be too good for its place: the worst is at 0. */
static void sink(vit_score *top, int count, int place) {
    for (;;) {
        int worst = place;
        for (int child = 2 * place + 1; child <= 2 * place + 2 && child < count; child++)
            worst = is_better(top[worst], top[child]) ? child : worst;
        if (worst == place)
            return;
        swap(&top[place], &top[worst]);
        place = worst;
    }
}

int vit_top_add(vit_score *top, int count, int k, vit_score one) {
    if (count < k) {
        int place = count;
        top[place] = one;
        for (; place > 0 && is_better(top[(place - 1) / 2], top[place]); place = (place - 1) / 2)
            swap(&top[place], &top[(place - 1) / 2]);
        return count + 1;
    }
    if (k > 0 && is_better(one, top[0])) {
        top[0] = one;
        sink(top, count, 0);
    }
    return count;
}

void vit_top_sort(vit_score *top, int count) {
    while (count > 1) {
        swap(&top[0], &top[--count]);
        sink(top, count, 0);
    }
}
