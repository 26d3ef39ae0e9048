/* The best of scores that come one after another, in O(log k) for each. */
#ifndef VIT_TASKS_TOP_H
#define VIT_TASKS_TOP_H

#include "../vit_tasks.h"

/* Adds one to the best so far, top [k], in no order; `count` are there. Higher scores are better, then lower indices; NaN
 * is worst. Returns how many are there now. */
int vit_top_add(vit_score *top, int count, int k, vit_score one);
/* Best first. */
void vit_top_sort(vit_score *top, int count);

#endif
