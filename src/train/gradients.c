/* Gradients of weights, as a list of products whose parts threads share: each part is some rows and columns of one of
 * them, over all tokens. */
#include "trainer.h"

#define ROWS 384   /* of a part: what a thread reads of dy stays in its cache */
#define COLUMNS 96 /* a multiple of every table's tile */

struct products_job {
    vit_trainer *trainer;
    const vit_product *products;
};

static void run_part(const vit_trainer *t, const vit_product *p, int part) {
    const ptrdiff_t r = t->kernels->panel;
    const int across = vit_parts(p->k, COLUMNS), row = part / across * ROWS, column = part % across * COLUMNS;
    const vit_gemm_tn g = {
        .dy = p->dy + row * r,
        .x = p->x,
        .dw = p->dw + (ptrdiff_t)row * p->k,
        .dy_stride = p->n * r,
        .x_stride = (p->channels ? p->channels : p->k) * r,
        .n = p->n - row < ROWS ? p->n - row : ROWS,
        .k = p->k,
        .tokens = p->lanes,
    };
    t->train->gemm_tn(&g, column, p->k - column < COLUMNS ? p->k : column + COLUMNS);
}

static void run_parts(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct products_job *job = context;
    for (int part = begin; part < end; part++) {
        const vit_product *p = job->products;
        int left = part;
        for (int count; left >= (count = vit_parts(p->n, ROWS) * vit_parts(p->k, COLUMNS)); p++)
            left -= count;
        run_part(job->trainer, p, left);
    }
}

void vit_products(vit_trainer *t, const vit_product *products, int count) {
    struct products_job job = {t, products};
    int all = 0;
    for (int i = 0; i < count; i++)
        all += vit_parts(products[i].n, ROWS) * vit_parts(products[i].k, COLUMNS);
    vit_team_run(t->team, all, 1, run_parts, &job);
}
