/* The steps of the convolutional part: stem and residual units, before activation in BiT, after it in hybrids. */
#include "convnet.h"

#include <string.h>

enum { INPUT = -1, NONE = -1, AT_ONCE = 8 /* images, of a group */ };

/* What is planned: first only to measure. */
typedef struct plan {
    vit_trainer *t;
    vit_convnet *net;
    int is_real;
    size_t lent;                /* floats of a thread */
    size_t weights, norms;      /* of all convolutions; gains and biases of all norms */
    size_t most_weights, most_partial, widest_norm;
} plan;

static float *take(plan *p, size_t count) {
    return vit_arena_take(&p->t->arena, vit_size_mul(count, sizeof(float)));
}

size_t vit_map_floats(const vit_trainer *t, const vit_map *map) {
    const size_t lanes = (size_t)vit_map_panels(t->kernels, map->height, map->width) * (size_t)t->kernels->panel;
    return vit_size_mul(lanes, (size_t)map->channels);
}

vit_session vit_map_workers(const vit_images *images) {
    const vit_trainer *t = images->trainer;
    return (vit_session){.kernels = t->kernels, .team = images->team, .threads = vit_team_threads(images->team),
                         .batch = images->end - images->begin, .scratch = images->scratch,
                         .thread_scratch = t->thread_scratch};
}

static int make_map(plan *p, vit_map map, int shares) {
    const size_t count = vit_size_mul(vit_map_floats(p->t, &map), (size_t)p->t->options.batch);
    map.value = take(p, count);
    if (shares == NONE)
        map.gradient = take(p, count);
    else if (p->is_real)
        map.gradient = p->net->maps[shares].gradient;
    if (p->is_real)
        p->net->maps[p->net->map_count] = map;
    return p->net->map_count++;
}

static void add_step(plan *p, vit_map_step step) {
    if (p->is_real)
        p->net->steps[p->net->step_count] = step;
    p->net->step_count++;
}

static vit_map after(vit_windows w, int channels) {
    return (vit_map){.height = w.out_height, .width = w.out_width, .channels = channels};
}

/* A convolution of x, `channels` wide, into a map of its own or, to add to what is there, into y. */
static int convolve(plan *p, int x, int y, vit_windows w, const float *weight, int channels, int outputs) {
    const size_t weights = (size_t)outputs * (size_t)channels * (size_t)(w.size * w.size);
    const vit_windows back = vit_windows_make(w.out_height, w.out_width, w.size, 1, 0);
    vit_map_step step = {.kind = VIT_MAP_CONVOLVE, .x = x, .windows = w, .weight = weight, .weights = weights,
                         .adds_value = y != NONE};
    step.standard = take(p, weights);
    p->weights += weights;
    p->most_weights = vit_larger(p->most_weights, weights);
    p->most_partial = vit_larger(p->most_partial, weights * (size_t)vit_convolution_chunks(p->t, weights));
    p->lent = vit_larger(p->lent, vit_convolution_scratch(p->t->kernels, &w, channels, p->t->options.batch));
    p->lent = vit_larger(p->lent, vit_convolution_scratch(p->t->kernels, &back, outputs, p->t->options.batch));
    p->lent = vit_larger(p->lent, vit_convolve_backward_scratch(p->t, &w, channels));
    step.y = step.adds_value ? y : make_map(p, after(w, outputs), NONE);
    add_step(p, step);
    return step.y;
}

/* shares: 1 where nothing else reads x. */
static int normalize(plan *p, int x, vit_windows at, const float *gain, const float *bias, int channels, int residual,
                     int relu, int shares) {
    const vit_map map = {.height = at.height, .width = at.width, .channels = channels};
    p->norms += 2 * (size_t)channels;
    p->widest_norm = vit_larger(p->widest_norm, 2 * (size_t)channels);
    const size_t numbers = 2 * (size_t)vit_norm_groups(&p->t->model->config.resnet) * (size_t)p->t->options.batch;
    double *statistics = vit_arena_take(&p->t->arena, numbers * sizeof *statistics);
    const int y = make_map(p, map, shares ? x : NONE);
    add_step(p, (vit_map_step){.kind = VIT_MAP_NORMALIZE, .x = x, .y = y, .gain = gain, .bias = bias,
                               .statistics = statistics, .residual = residual, .relu = relu});
    return y;
}

/* ResNet v1.5, as vit_run_unit. */
static int add_unit(plan *p, const vit_unit_shape *u, const vit_unit *w, vit_windows windows, vit_windows pixel,
                    vit_windows in, vit_windows out, int x) {
    const int middle = u->middle, wide = 4 * middle;
    int y = convolve(p, x, NONE, in, w->conv1_weight, u->channels, middle), shortcut = x;
    y = normalize(p, y, in, w->norm1_weight, w->norm1_bias, middle, NONE, 1, 1);
    y = convolve(p, y, NONE, windows, w->conv2_weight, middle, middle);
    y = normalize(p, y, out, w->norm2_weight, w->norm2_bias, middle, NONE, 1, 1);
    if (u->projects) {
        shortcut = convolve(p, x, NONE, pixel, w->shortcut_weight, u->channels, wide);
        shortcut = normalize(p, shortcut, out, w->shortcut_norm_weight, w->shortcut_norm_bias, wide, NONE, 0, 1);
    }
    y = convolve(p, y, NONE, out, w->conv3_weight, middle, wide);
    return normalize(p, y, out, w->norm3_weight, w->norm3_bias, wide, shortcut, 1, 1);
}

/* ResNet v2, as vit_run_unit_v2. */
static int add_unit_v2(plan *p, const vit_unit_shape *u, const vit_unit *w, vit_windows windows, vit_windows pixel,
                       vit_windows in, vit_windows out, int x) {
    const int middle = u->middle, wide = 4 * middle;
    const int a = normalize(p, x, in, w->norm1_weight, w->norm1_bias, u->channels, NONE, 1, u->projects);
    int sum;
    if (u->projects) {
        sum = convolve(p, a, NONE, pixel, w->shortcut_weight, u->channels, wide);
    } else {
        sum = make_map(p, after(out, wide), NONE);
        add_step(p, (vit_map_step){.kind = VIT_MAP_PASS, .x = x, .y = sum});
    }
    int y = convolve(p, a, NONE, in, w->conv1_weight, u->channels, middle);
    y = normalize(p, y, in, w->norm2_weight, w->norm2_bias, middle, NONE, 1, 1);
    y = convolve(p, y, NONE, windows, w->conv2_weight, middle, middle);
    y = normalize(p, y, out, w->norm3_weight, w->norm3_bias, middle, NONE, 1, 1);
    return convolve(p, y, sum, out, w->conv3_weight, middle, wide);
}

static int adds(vit_map *map) {
    return map->is_written++ > 0;
}

/* The backward pass in its order: the first gradient of a map is stored, the others are added. */
static void find_additions(vit_convnet *net) {
    for (int i = net->step_count - 1; i >= 0; i--) {
        vit_map_step *step = &net->steps[i];
        step->residual_adds = step->residual != NONE && step->kind == VIT_MAP_NORMALIZE &&
                              adds(&net->maps[step->residual]);
        step->adds = step->x != INPUT && adds(&net->maps[step->x]);
    }
}

/* What the backward pass works in: of every convolution where groups of images go through all steps, else of one after the
 * other. */
static void take_backward(plan *p) {
    vit_convnet *net = p->net;
    net->groups = vit_image_groups(p->t->options.batch, p->weights);
    const int shared = net->groups == 1;
    net->image_sums = take(p, vit_size_mul((size_t)p->t->options.batch, p->widest_norm));
    net->image_sums_stride = p->widest_norm;
    float *partial = take(p, shared ? p->most_partial : vit_size_mul((size_t)net->groups, p->weights));
    float *sums = take(p, vit_size_mul((size_t)net->groups, p->norms));
    float *turned = take(p, shared ? p->most_weights : p->weights);
    for (int i = 0; i < net->step_count && p->is_real; i++) {
        vit_map_step *step = &net->steps[i];
        if (step->kind == VIT_MAP_CONVOLVE) {
            step->chunks = shared ? vit_convolution_chunks(p->t, step->weights) : net->groups;
            step->partial = partial;
            partial += shared ? 0 : (size_t)net->groups * step->weights;
            step->turned = turned;
            turned += shared ? 0 : step->weights;
        } else if (step->kind == VIT_MAP_NORMALIZE) {
            step->sums = sums;
            sums += 2 * (size_t)net->groups * (size_t)net->maps[step->y].channels;
        }
    }
}

size_t vit_convnet_take(vit_trainer *t) {
    const vit_config *c = &t->model->config;
    const vit_resnet *r = &c->resnet;
    const vit_weights *w = &t->model->weights;
    const int units = vit_unit_count(r), is_bit = c->network == VIT_NETWORK_BIT,
              same = vit_resnet_rules_of(r->kind)->same;
    vit_convnet *net = vit_arena_take(&t->arena, sizeof *net), measured = {0};
    const int most = 4 + 9 * units;
    vit_map *maps = vit_arena_take(&t->arena, vit_size_mul((size_t)most, sizeof *maps));
    vit_map_step *steps = vit_arena_take(&t->arena, vit_size_mul((size_t)most, sizeof *steps));
    plan p = {.t = t, .net = &measured, .is_real = t->arena.base != NULL};
    if (p.is_real) {
        *net = (vit_convnet){.maps = maps, .steps = steps};
        p.net = net;
    }
    const vit_windows root = vit_windows_make(c->image_height, c->image_width, vit_root_size(r), vit_root_stride(r),
                                              same),
                      pool = vit_windows_make(root.out_height, root.out_width, 3, 2, same);
    int x = convolve(&p, INPUT, NONE, root, w->stem->weight, 3, r->stem_width);
    if (!is_bit)
        x = normalize(&p, x, pool, w->stem->norm_weight, w->stem->norm_bias, r->stem_width, NONE, 1, 1);
    const int pooled = make_map(&p, after(pool, r->stem_width), NONE);
    add_step(&p, (vit_map_step){.kind = VIT_MAP_POOL, .x = x, .y = pooled, .windows = pool});
    x = pooled;
    vit_windows last = vit_windows_make(pool.out_height, pool.out_width, 1, 1, 0);
    for (int i = 0; i < units; i++) {
        const vit_unit_shape u = vit_unit_at(r, i);
        const vit_windows windows = vit_windows_make(last.height, last.width, 3, u.stride, same),
                          pixel = vit_windows_make(last.height, last.width, 1, u.stride, same), in = last;
        last = vit_windows_make(windows.out_height, windows.out_width, 1, 1, 0);
        x = (is_bit ? add_unit_v2 : add_unit)(&p, &u, &w->units[i], windows, pixel, in, last, x);
    }
    if (is_bit)
        x = normalize(&p, x, last, w->norm_weight, w->norm_bias, c->width, NONE, 1, 1);
    p.net->last = x;
    take_backward(&p);
    t->convnet = net;
    if (p.is_real)
        find_additions(net);
    return p.lent;
}

/* ---- The last map ---- */

static const vit_map *last_map(const vit_trainer *t) {
    return &t->convnet->maps[t->convnet->last];
}

const float *vit_convnet_map(const vit_trainer *t, int image) {
    return last_map(t)->value + (size_t)image * vit_map_floats(t, last_map(t));
}

float *vit_convnet_gradient(const vit_trainer *t, int image) {
    return last_map(t)->gradient + (size_t)image * vit_map_floats(t, last_map(t));
}

vit_map_shape vit_convnet_shape(const vit_trainer *t) {
    const vit_map *map = last_map(t);
    return (vit_map_shape){map->height, map->width, map->channels, vit_map_floats(t, map)};
}

/* ---- A pass ---- */

vit_convolution vit_convolution_of(const vit_trainer *t, const vit_map_step *step) {
    const vit_map *maps = t->convnet->maps;
    return (vit_convolution){step->windows, step->x < 0 ? 3 : maps[step->x].channels, maps[step->y].channels,
                             step->standard, step->x < 0, step->adds_value ? VIT_EPILOGUE_ADD : VIT_EPILOGUE_STORE};
}

/* Where a map's values, or gradients, are of the first of the images. */
static float *first_of(const vit_images *images, const vit_map *map, float *values) {
    return values + (size_t)images->begin * vit_map_floats(images->trainer, map);
}

static size_t floats_of(const vit_images *images, const vit_map *map) {
    return (size_t)(images->end - images->begin) * vit_map_floats(images->trainer, map);
}

static const float *values_of(const vit_images *images, int map) {
    const vit_trainer *t = images->trainer;
    const vit_config *c = &t->model->config;
    if (map == INPUT)
        return t->input + (size_t)images->begin * (size_t)c->image_height * (size_t)c->image_width * 3;
    return first_of(images, &t->convnet->maps[map], t->convnet->maps[map].value);
}

static void run_step(const vit_images *images, const vit_map_step *step) {
    const vit_trainer *t = images->trainer;
    const vit_resnet *r = &t->model->config.resnet;
    const vit_resnet_rules *rules = vit_resnet_rules_of(r->kind);
    const vit_map *map = &t->convnet->maps[step->y];
    const float *x = values_of(images, step->x);
    float *y = first_of(images, map, map->value);
    vit_session workers = vit_map_workers(images);
    if (step->kind == VIT_MAP_CONVOLVE) {
        const vit_convolution c = vit_convolution_of(t, step);
        vit_convolve(&workers, &c, x, y);
    } else if (step->kind == VIT_MAP_NORMALIZE) {
        const int groups = vit_norm_groups(r);
        const vit_group_norm g = {x, step->gain, step->bias,
                                  step->residual == NONE ? NULL : values_of(images, step->residual), y,
                                  step->statistics + 2 * (size_t)images->begin * (size_t)groups, map->channels, groups,
                                  map->height * map->width, rules->norm_eps, step->relu};
        vit_group_normalize(&workers, &g);
    } else if (step->kind == VIT_MAP_POOL) {
        vit_max_pool(&workers, &step->windows, map->channels, rules->pool_outside, x, y);
    } else {
        memcpy(y, x, floats_of(images, map) * sizeof *y);
    }
}

static void run_steps(const vit_images *images) {
    for (int i = 0; i < images->trainer->convnet->step_count; i++)
        run_step(images, &images->trainer->convnet->steps[i]);
}

static void pass_backward(const vit_images *images, const vit_map_step *step) {
    const vit_map *x = &images->trainer->convnet->maps[step->x], *y = &images->trainer->convnet->maps[step->y];
    const size_t count = floats_of(images, y);
    float *dx = first_of(images, x, x->gradient);
    const float *dy = first_of(images, y, y->gradient);
    if (!step->adds)
        memcpy(dx, dy, count * sizeof *dx);
    for (size_t i = 0; i < count && step->adds; i++)
        dx[i] += dy[i];
}

static void turn_weights(vit_trainer *t, const vit_map_step *step) {
    if (step->kind == VIT_MAP_CONVOLVE && vit_convolves_back(step))
        vit_turn_step(t, step);
}

/* The gradients of a step's parameters, of their chunks. */
static void sum_gradients(vit_trainer *t, const vit_map_step *step) {
    if (step->kind == VIT_MAP_CONVOLVE)
        vit_convolve_gradients(t, step);
    else if (step->kind == VIT_MAP_NORMALIZE)
        vit_normalize_gradients(t, step);
}

static void run_steps_backward(const vit_images *images) {
    vit_trainer *t = images->trainer;
    const int shared = t->convnet->groups == 1;
    for (int i = t->convnet->step_count - 1; i >= 0; i--) {
        const vit_map_step *step = &t->convnet->steps[i];
        if (shared)
            turn_weights(t, step);
        switch (step->kind) {
        case VIT_MAP_CONVOLVE: vit_convolve_backward(images, step); break;
        case VIT_MAP_NORMALIZE: vit_normalize_backward(images, step); break;
        case VIT_MAP_POOL: vit_pool_backward(images, step); break;
        case VIT_MAP_PASS: pass_backward(images, step); break;
        }
        if (shared)
            sum_gradients(t, step);
    }
}

struct pass_job {
    vit_trainer *trainer;
    void (*pass)(const vit_images *images);
};

/* Work items: groups of images. */
static void pass_groups(void *context, int begin, int end, int thread) {
    const struct pass_job *job = context;
    vit_trainer *t = job->trainer;
    const int64_t batch = t->options.batch;
    const int groups = t->convnet->groups;
    for (int group = begin; group < end; group++) {
        vit_images images = {t, (int)(batch * group / groups), 0, group, 0, groups == 1 ? t->team : t->alone,
                             vit_scratch(t, thread)};
        const int last = (int)(batch * (group + 1) / groups), most = groups == 1 ? last : AT_ONCE;
        for (; images.begin < last; images.begin = images.end, images.adds = 1) {
            images.end = last - images.begin > most ? images.begin + most : last;
            job->pass(&images);
        }
    }
}

static void run_groups(struct pass_job *job) {
    vit_trainer *t = job->trainer;
    if (t->convnet->groups == 1)
        pass_groups(job, 0, 1, 0); /* whose steps are the team's */
    else
        vit_team_run(t->team, t->convnet->groups, 1, pass_groups, job);
}

void vit_convnet_forward(vit_trainer *t) {
    struct pass_job job = {t, run_steps};
    for (int i = 0; i < t->convnet->step_count; i++)
        if (t->convnet->steps[i].kind == VIT_MAP_CONVOLVE)
            vit_standardize_step(t, &t->convnet->steps[i]);
    run_groups(&job);
}

void vit_convnet_backward(vit_trainer *t) {
    struct pass_job job = {t, run_steps_backward};
    const int count = t->convnet->groups > 1 ? t->convnet->step_count : 0;
    for (int i = 0; i < count; i++)
        turn_weights(t, &t->convnet->steps[i]);
    run_groups(&job);
    for (int i = 0; i < count; i++)
        sum_gradients(t, &t->convnet->steps[i]);
}
