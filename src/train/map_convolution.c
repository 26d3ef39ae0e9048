/* Gradients of convolutions. Of their weights: dyT columns, the columns laid out anew. Of their input: where windows
 * are at every pixel, a convolution of dy by the weights turned around; else the columns' gradients, added where the
 * columns came from. */
#include "convnet.h"

#include <math.h>
#include <string.h>

enum { CHUNKS = 16, WEIGHTS = 1 << 20 /* of all chunks, about */, CHANNELS = 32 /* laid out at a time */,
       LANES = 256 /* of columns, so that they stay in a cache */, SCATTERED = 1 << 18 /* gradients of columns at a time, about */,
       GROUP = 8, LEAST_GROUPS = 4, MOST_GROUPS = 16, GROUP_WEIGHTS = 1 << 25 /* of all groups */ };

static int least(int a, int b) {
    return a < b ? a : b;
}

int vit_image_groups(int batch, size_t weights) {
    const size_t fit = GROUP_WEIGHTS / weights;
    const int groups = batch / GROUP;
    return fit < LEAST_GROUPS || groups < LEAST_GROUPS ? 1 : least(groups, fit < MOST_GROUPS ? (int)fit : MOST_GROUPS);
}

int vit_convolution_chunks(const vit_trainer *t, size_t weights) {
    const int most = (int)(WEIGHTS / (weights < WEIGHTS ? weights : WEIGHTS));
    return least(least(most, CHUNKS), t->options.batch);
}

int vit_convolves_back(const vit_map_step *step) {
    return step->x >= 0 && step->windows.stride == 1;
}

static int is_direct(const vit_windows *w) {
    return w->size == 1 && w->stride == 1;
}

/* Panels of the columns' gradients at a time: a product of few lays its weights out for little. */
static int scattered_panels(int depth, int panel) {
    const int fit = SCATTERED / (depth * panel);
    return fit < 1 ? 1 : least(fit, LANES / panel);
}

size_t vit_convolve_backward_scratch(const vit_trainer *t, const vit_windows *w, int channels) {
    const int taps = w->size * w->size, depth = channels * taps, panel = t->kernels->panel;
    const size_t some = (size_t)(least(channels, CHANNELS) * taps) * LANES;
    const size_t scattered = w->stride > 1 ? (size_t)depth * (size_t)(scattered_panels(depth, panel) * panel) : 0;
    return is_direct(w) ? 0 : some > scattered ? some : scattered;
}

/* ---- Weights ---- */

struct convolve_job {
    const vit_trainer *trainer;
    const vit_images *images;         /* NULL: all */
    const vit_map_step *step;
    vit_convolution c;
    int depth, chunks, ranges, range; /* chunks: of the images; range: input channels of one of the ranges */
};

static void standardize_rows(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct convolve_job *job = context;
    const size_t at = (size_t)begin * (size_t)job->depth, count = (size_t)(end - begin);
    float *out = job->step->standard + at;
    memcpy(out, job->step->weight + at, count * (size_t)job->depth * sizeof *out);
    vit_standardize(out, count, (size_t)job->depth,
                    vit_resnet_rules_of(job->trainer->model->config.resnet.kind)->weights);
}

static struct convolve_job job_of(const vit_trainer *t, const vit_images *images, const vit_map_step *step) {
    struct convolve_job job = {.trainer = t, .images = images, .step = step, .c = vit_convolution_of(t, step)};
    job.depth = job.c.channels * step->windows.size * step->windows.size;
    job.chunks = t->convnet->groups == 1 ? step->chunks : 1;
    job.range = least(job.c.channels, CHANNELS);
    job.ranges = vit_parts(job.c.channels, job.range);
    return job;
}

void vit_standardize_step(vit_trainer *t, const vit_map_step *step) {
    struct convolve_job job = job_of(t, NULL, step);
    vit_team_run(t->team, job.c.outputs, 8, standardize_rows, &job);
}

/* [N,C,taps] as [C,N,taps], the taps from the last to the first. Work items: input channels. */
static void turn_channels(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct convolve_job *job = context;
    const size_t taps = (size_t)(job->step->windows.size * job->step->windows.size), depth = (size_t)job->depth;
    float *out = job->step->turned + (size_t)begin * (size_t)job->c.outputs * taps;
    for (size_t c = (size_t)begin; c < (size_t)end; c++)
        for (size_t n = 0; n < (size_t)job->c.outputs; n++)
            for (size_t tap = taps; tap-- > 0;)
                *out++ = job->step->standard[n * depth + c * taps + tap];
}

void vit_turn_step(vit_trainer *t, const vit_map_step *step) {
    struct convolve_job job = job_of(t, NULL, step);
    vit_team_run(t->team, job.c.channels, 8, turn_channels, &job);
}

/* dw += or = of some lanes that lie one after another: panels of dy, and columns of them or the map itself. */
static void multiply(const struct convolve_job *job, const float *dy, const float *x, int x_channels, int columns,
                     int lanes, float *dw, int replaces) {
    const ptrdiff_t r = job->trainer->kernels->panel;
    const vit_gemm_tn g = {.dy = dy, .x = x, .dw = dw, .dy_stride = job->c.outputs * r, .x_stride = x_channels * r,
                           .n = job->c.outputs, .k = job->depth, .tokens = lanes, .replaces = replaces};
    job->trainer->train->gemm_tn(&g, 0, columns);
}

/* Work items: chunk of images, range of input channels. */
static void weight_items(void *context, int begin, int end, int thread) {
    const struct convolve_job *job = context;
    const vit_images *images = job->images;
    const vit_trainer *t = job->trainer;
    const vit_convnet *net = t->convnet;
    const vit_windows *w = &job->step->windows;
    const vit_map *y = &net->maps[job->step->y];
    const int r = t->kernels->panel, taps = w->size * w->size, pixels = y->height * y->width;
    const int panels = vit_map_panels(t->kernels, y->height, y->width), count = images->end - images->begin;
    const size_t x_image = job->c.is_input ? (size_t)(w->height * w->width) * 3
                                           : vit_map_floats(t, &net->maps[job->step->x]);
    const float *input = job->c.is_input ? t->input : net->maps[job->step->x].value;
    for (int item = begin; item < end; item++) {
        const int chunk = item / job->ranges, first = item % job->ranges * job->range;
        const int some = least(job->range, job->c.channels - first), columns = some * taps;
        const int from = images->begin + (int)((int64_t)count * chunk / job->chunks),
                  to = images->begin + (int)((int64_t)count * (chunk + 1) / job->chunks);
        float *dw = job->step->partial + (size_t)(images->group + chunk) * job->step->weights + first * taps;
        float *out = images->scratch + (size_t)thread * t->thread_scratch;
        /* Without pad lanes images are one long row of panels. */
        const int whole = pixels % r == 0, step = whole ? to - from : 1;
        int replaces = !images->adds;
        for (int image = from; image < to; image += step) {
            const float *dy = y->gradient + (size_t)image * vit_map_floats(t, y);
            const float *x = input + (size_t)image * x_image;
            if (is_direct(w) && !job->c.is_input) {
                multiply(job, dy, x + first * r, job->c.channels, columns, whole ? pixels * step : pixels, dw, replaces);
                replaces = 0;
                continue;
            }
            for (int p = 0, some_panels; p < panels * step; p += some_panels) {
                some_panels = least(LANES / r, panels * step - p);
                for (int i = 0; i < some_panels; i++)
                    vit_make_columns(t->kernels, &job->c, x + (size_t)((p + i) / panels) * x_image, (p + i) % panels,
                                     first, some, out + (size_t)i * (size_t)columns * (size_t)r);
                const int lanes = whole ? some_panels * r : least(some_panels * r, pixels - p * r);
                multiply(job, dy + (size_t)p * (size_t)job->c.outputs * (size_t)r, out, columns, columns, lanes, dw, replaces);
                replaces = 0;
            }
        }
    }
}

/* With u = w - mean, d = sqrt(mean(u^2) + inside), s = 1 / (d + outside) and g the gradient of u s:
 * dw = s (g - mean(g)) - u s^2 mean(g u) / d. */
static void standardize_backward(const float *w, const float *g, size_t k, vit_standardization rule, float *dw) {
    double mean = 0, g_mean = 0, squares = 0, product = 0;
    for (size_t i = 0; i < k; i++) {
        mean += w[i];
        g_mean += g[i];
    }
    mean /= (double)k;
    g_mean /= (double)k;
    for (size_t i = 0; i < k; i++) {
        squares += (w[i] - mean) * (w[i] - mean);
        product += (w[i] - mean) * g[i];
    }
    const double d = sqrt(squares / (double)k + rule.inside), s = 1 / (d + rule.outside);
    const double across = d > 0 ? s * s * product / ((double)k * d) : 0; /* a constant w: u is 0 */
    for (size_t i = 0; i < k; i++)
        dw[i] += (float)(s * (g[i] - g_mean) - (w[i] - mean) * across);
}

/* The chunks' sums, row by row, into the gradient of what was standardised. */
static void weight_rows(void *context, int begin, int end, int thread) {
    (void)thread;
    const struct convolve_job *job = context;
    const vit_trainer *t = job->trainer;
    const size_t depth = (size_t)job->depth, all = job->step->weights;
    const vit_standardization rule = vit_resnet_rules_of(t->model->config.resnet.kind)->weights;
    for (size_t row = (size_t)begin; row < (size_t)end; row++) {
        float *sum = job->step->partial + row * depth;
        for (int chunk = 1; chunk < job->step->chunks; chunk++) {
            const float *more = sum + (size_t)chunk * all;
            for (size_t i = 0; i < depth; i++)
                sum[i] += more[i];
        }
        standardize_backward(job->step->weight + row * depth, sum, depth, rule,
                             vit_gradient(t, job->step->weight) + row * depth);
    }
}

/* ---- Input ---- */

static void input_by_convolution(const struct convolve_job *job) {
    const vit_images *images = job->images;
    const vit_trainer *t = images->trainer;
    const vit_windows *w = &job->step->windows;
    const vit_map *x = &t->convnet->maps[job->step->x], *y = &t->convnet->maps[job->step->y];
    const vit_windows back = {w->out_height, w->out_width, w->height, w->width, w->size, 1, w->size - 1 - w->top,
                              w->size - 1 - w->left};
    const vit_convolution c = {back, job->c.outputs, job->c.channels, job->step->turned, 0,
                               job->step->adds ? VIT_EPILOGUE_ADD : VIT_EPILOGUE_STORE};
    vit_session workers = vit_map_workers(images);
    vit_convolve(&workers, &c, y->gradient + (size_t)images->begin * vit_map_floats(t, y),
                 x->gradient + (size_t)images->begin * vit_map_floats(t, x));
}

/* Column gradients of a panel, added where the columns came from in an image's dx. */
static void scatter_panel(const struct convolve_job *job, int panel, const float *columns, float *dx) {
    const int r = job->trainer->kernels->panel;
    vit_place places[VIT_MOST_TAPS];
    const int taps = vit_find_places(&job->step->windows, job->c.channels, panel, r, places);
    for (int c = 0; c < job->c.channels; c++, dx += r)
        for (int tap = 0; tap < taps; tap++, columns += r)
            for (int lane = 0; lane < r; lane++)
                if (!(places[tap].missing >> lane & 1))
                    dx[places[tap].at[lane]] += columns[lane];
}

/* Work items: images. */
static void scatter_images(void *context, int begin, int end, int thread) {
    const struct convolve_job *job = context;
    const vit_images *images = job->images;
    const vit_trainer *t = images->trainer;
    const vit_map *x = &t->convnet->maps[job->step->x], *y = &t->convnet->maps[job->step->y];
    const int r = t->kernels->panel, panels = vit_map_panels(t->kernels, y->height, y->width);
    const int most = scattered_panels(job->depth, r), first = (images->begin + begin) * panels, last = (images->begin + end) * panels;
    const size_t x_image = vit_map_floats(t, x), x_count = (size_t)(end - begin) * x_image;
    float *columns = images->scratch + (size_t)thread * t->thread_scratch;
    if (!job->step->adds)
        memset(x->gradient + (size_t)(images->begin + begin) * x_image, 0, x_count * sizeof *x->gradient);
    for (int p = first, count; p < last; p += count) {
        count = least(last - p, most);
        const vit_gemm g = {.w = job->step->standard, .y = columns, .x = y->gradient + (ptrdiff_t)p * y->channels * r,
                            .x_stride = y->channels * r, .y_stride = job->depth * r, .n = y->channels, .k = job->depth,
                            .panels = count};
        t->train->gemm_nn(&g, 0, job->depth);
        for (int i = 0; i < count; i++)
            scatter_panel(job, (p + i) % panels, columns + (ptrdiff_t)i * job->depth * r,
                          x->gradient + (size_t)((p + i) / panels) * x_image);
    }
}

void vit_convolve_backward(const vit_images *images, const vit_map_step *step) {
    struct convolve_job job = job_of(images->trainer, images, step);
    vit_team_run(images->team, job.chunks * job.ranges, 1, weight_items, &job);
    if (vit_convolves_back(step))
        input_by_convolution(&job);
    else if (step->x >= 0)
        vit_team_run(images->team, images->end - images->begin, 1, scatter_images, &job);
}

void vit_convolve_gradients(vit_trainer *t, const vit_map_step *step) {
    struct convolve_job job = job_of(t, NULL, step);
    vit_team_run(t->team, job.c.outputs, 4, weight_rows, &job);
}
