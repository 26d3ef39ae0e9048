/* Attention maps: of a head, of a layer, and rolled out over layers (Abnar and Zuidema; figure 6 of the paper). */
#include "../model/session.h"
#include "../vit_tasks.h"

#include <string.h>

struct vit_attention {
    vit_session *session;
    vit_attention_options options;
    int expected;    /* the layer that must come next */
    int complete;
    vit_arena arena;
    float *layer;    /* [T,T]: what is asked for; of a rollout, this layer's mean over heads with the identity in it */
    float *product;  /* rollout: layers so far, panels of columns [ceil(T/R)][T rows][R]; NULL otherwise */
    float *previous; /* the same without the last layer */
};

static size_t panel_floats(const vit_session *s) {
    return vit_size_mul((size_t)s->panels * (size_t)s->kernels->panel, (size_t)s->tokens);
}

static void take_memory(vit_attention *a) {
    const vit_session *s = a->session;
    const size_t tokens = (size_t)s->tokens;
    a->layer = vit_arena_take(&a->arena, vit_size_mul(vit_size_mul(tokens, tokens), sizeof *a->layer));
    if (a->options.method == VIT_ATTENTION_ROLLOUT) {
        a->product = vit_arena_take(&a->arena, vit_size_mul(panel_floats(s), sizeof *a->product));
        a->previous = vit_arena_take(&a->arena, vit_size_mul(panel_floats(s), sizeof *a->previous));
    }
}

/* The product of no layers. */
static void set_identity(vit_attention *a) {
    const size_t tokens = (size_t)a->session->tokens, r = (size_t)a->session->kernels->panel;
    memset(a->product, 0, panel_floats(a->session) * sizeof *a->product);
    for (size_t t = 0; t < tokens; t++)
        a->product[(t / r * tokens + t) * r + t % r] = 1;
}

vit_status vit_attention_open(vit_attention **out, vit_session *session, const vit_attention_options *options,
                              vit_error *error) {
    const vit_config *c = &session->model->config;
    const int layers = c->network == VIT_NETWORK_VIT ? vit_block_count(c) : 0;
    vit_attention *a, planned = {.session = session, .options = *options};
    *out = NULL;
    if (layers == 0)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: this network has none");
    if (options->layer < 0)
        planned.options.layer += layers;
    if (planned.options.layer < 0 || planned.options.layer >= layers)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: layer %d, this model has %d: 0 to %d, negative: from the end",
                        options->layer, layers, layers - 1);
    if (options->method == VIT_ATTENTION_HEAD && (options->head < 0 || options->head >= c->heads))
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: head %d, this model has %d: 0 to %d", options->head,
                        c->heads, c->heads - 1);
    if (options->image < 0 || options->image >= session->batch)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: image %d of a batch of %d", options->image,
                        session->batch);
    if (!session->attention)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: the session was opened without capture_attention");
    if (session->masked)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: not of a session that hides patches");
    VIT_TRY(vit_alloc_for((void **)&a, &session->allocator, sizeof *a, "attention", error));
    *a = planned;
    take_memory(a);
    vit_status status = vit_arena_commit(&a->arena, &session->allocator, "attention", error);
    if (status != VIT_OK) {
        vit_attention_close(a);
        return status;
    }
    take_memory(a);
    if (a->product)
        set_identity(a); /* the session may be within a pass */
    *out = a;
    return VIT_OK;
}

void vit_attention_close(vit_attention *a) {
    if (!a)
        return;
    vit_allocator allocator = a->session->allocator;
    vit_arena_release(&a->arena, &allocator);
    vit_release(&allocator, a);
}

/* out = mean of heads [H,T,T] */
static void mean_of_heads(const float *heads, int count, size_t size, float *out) {
    memcpy(out, heads, size * sizeof *out);
    for (int h = 1; h < count; h++)
        for (size_t i = 0; i < size; i++)
            out[i] += heads[(size_t)h * size + i];
    for (size_t i = 0; i < size; i++)
        out[i] /= (float)count;
}

/* The residual connection carries every token on: rows of A + I, each divided by its sum. */
static void add_residual(float *layer, int tokens) {
    for (int t = 0; t < tokens; t++, layer += tokens) {
        double sum = 0;
        layer[t] += 1;
        for (int i = 0; i < tokens; i++)
            sum += layer[i];
        for (int i = 0; i < tokens; i++)
            layer[i] = (float)(layer[i] / sum);
    }
}

/* Rows of the layer times the columns of the product so far: a linear layer whose tokens are those columns. */
static void multiply_rows(void *context, int begin, int end, int thread) {
    (void)thread;
    const vit_attention *a = context;
    const vit_session *s = a->session;
    const ptrdiff_t stride = (ptrdiff_t)s->tokens * s->kernels->panel;
    const vit_gemm product = {
        .w = a->layer,
        .x = a->previous,
        .y = a->product,
        .x_stride = stride,
        .y_stride = stride,
        .n = s->tokens,
        .k = s->tokens,
        .panels = s->panels,
        .epilogue = VIT_EPILOGUE_STORE,
    };
    s->kernels->gemm_nt(&product, begin, end);
}

static void multiply(vit_attention *a) {
    const vit_session *s = a->session;
    float *product = a->product;
    a->product = a->previous;
    a->previous = product;
    vit_team_run(s->team, s->tokens, 4 * s->kernels->row_step, multiply_rows, a);
}

int vit_attention_follow(vit_attention *a) {
    const vit_session *s = a->session;
    const vit_stage *stage = s->next ? &s->stages[s->next - 1] : NULL;
    const int is_rollout = a->product != NULL;
    if (s->next <= 1) { /* a new pass */
        a->expected = 0;
        a->complete = 0;
        if (is_rollout)
            set_identity(a);
    }
    if (a->complete || !stage || stage->view.kind != VIT_VIEW_ATTENTION ||
        stage->layer != (is_rollout ? a->expected : a->options.layer))
        return a->complete;
    const size_t size = (size_t)s->tokens * (size_t)s->tokens;
    const int heads = s->model->config.heads;
    const float *attention = s->attention + (size_t)a->options.image * (size_t)heads * size;
    if (a->options.method == VIT_ATTENTION_HEAD)
        memcpy(a->layer, attention + (size_t)a->options.head * size, size * sizeof *a->layer);
    else
        mean_of_heads(attention, heads, size, a->layer);
    if (is_rollout) {
        add_residual(a->layer, s->tokens);
        multiply(a);
    }
    a->expected++;
    return a->complete = stage->layer == a->options.layer;
}

/* What query row `row` gives to token `token`. */
static float weight(const vit_attention *a, int row, int token) {
    const size_t r = (size_t)a->session->kernels->panel, tokens = (size_t)a->session->tokens, query = (size_t)row,
                 key = (size_t)token;
    return a->product ? a->product[(key / r * tokens + query) * r + key % r] : a->layer[query * tokens + key];
}

/* The class token looks for what the answer is made of. In a hybrid each patch has seen much of the picture already. */
static int default_query(const vit_config *c) {
    const int has_class = c->pool == VIT_POOL_CLASS || c->pool == VIT_POOL_CLASS_MEAN;
    return has_class && !c->resnet.stem_width ? VIT_QUERY_CLASS : VIT_QUERY_MEAN;
}

vit_status vit_attention_read(const vit_attention *a, int query, float *values, vit_error *error) {
    const vit_session *s = a->session;
    const int first = s->prefix;
    if (query == VIT_QUERY_DEFAULT)
        query = default_query(&s->model->config);
    if (!a->complete)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: layer %d has not run", a->options.layer);
    if (query >= s->patches || query < VIT_QUERY_MEAN)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: patch %d, there are %d", query, s->patches);
    if (query == VIT_QUERY_CLASS && !s->model->config.class_token)
        return vit_fail(error, VIT_ERR_ARGUMENT, "attention: this model has no class token");
    for (int i = 0; i < s->patches; i++) {
        double sum = 0;
        for (int row = 0; query == VIT_QUERY_MEAN && row < s->patches; row++)
            sum += weight(a, first + row, first + i);
        values[i] = query == VIT_QUERY_MEAN ? (float)(sum / s->patches)
                                            : weight(a, query == VIT_QUERY_CLASS ? 0 : first + query, first + i);
    }
    return VIT_OK;
}
