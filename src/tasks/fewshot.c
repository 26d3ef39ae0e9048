/* Few-shot classification: a probe's examples and classes come and go, its classifier is fitted in closed form. */
#include "probe.h"

#include "../base/exponential.h"
#include "../base/rng.h"
#include "../format/text.h"

#include <math.h>
#include <string.h>

#define VOTE_TEMPERATURE 0.07 /* of the cosine, as DINO's evaluation by neighbours has it */

/* ---- Examples ---- */

vit_status vit_probe_open(vit_probe **out, int width, const char *backbone, const vit_options *options,
                          vit_error *error) {
    const vit_allocator allocator = options ? options->allocator : vit_default_options().allocator;
    vit_probe *probe;
    *out = NULL;
    if (width < 1 || width > 1 << 20 || strlen(backbone) >= sizeof probe->backbone ||
        !vit_utf8_name(backbone, strlen(backbone)))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: features of width %d from \"%.40s\"", width, backbone);
    VIT_TRY(vit_alloc_for((void **)&probe, &allocator, sizeof *probe, "few-shot", error));
    *probe = (vit_probe){.allocator = allocator, .width = width};
    strcpy(probe->backbone, backbone);
    *out = probe;
    return VIT_OK;
}

void vit_probe_close(vit_probe *probe) {
    if (!probe)
        return;
    vit_allocator allocator = probe->allocator;
    for (int k = 0; k < probe->classes; k++)
        vit_release(&allocator, probe->labels[k]);
    vit_release(&allocator, probe->labels);
    vit_release(&allocator, probe->counts);
    vit_release(&allocator, probe->features);
    vit_release(&allocator, probe->example_classes);
    vit_release(&allocator, probe->ids);
    vit_arena_release(&probe->fit_memory, &allocator);
    vit_release(&allocator, probe);
}

vit_probe_info vit_probe_get_info(const vit_probe *probe) {
    return (vit_probe_info){.backbone = probe->backbone,
                            .width = probe->width,
                            .classes = probe->classes,
                            .examples = probe->examples,
                            .fitted = probe->fitted,
                            .l2 = probe->fit.l2,
                            .right = probe->fit.right};
}

static int is_class(const vit_probe *probe, int class_index) {
    return class_index >= 0 && class_index < probe->classes;
}

const char *vit_probe_label(const vit_probe *probe, int class_index) {
    return is_class(probe, class_index) ? probe->labels[class_index] : NULL;
}

int vit_probe_count(const vit_probe *probe, int class_index) {
    return is_class(probe, class_index) ? probe->counts[class_index] : 0;
}

/* The class of a label, -1 where there is none. */
static int find_class(const vit_probe *probe, const char *label) {
    int k = probe->classes - 1;
    while (k >= 0 && strcmp(probe->labels[k], label) != 0)
        k--;
    return k;
}

/* *array of `count` pieces of `bytes` moves to a block with room for `room`. */
static vit_status grow(vit_probe *probe, void **array, int count, int room, size_t bytes, vit_error *error) {
    void *grown;
    VIT_TRY(vit_alloc_for(&grown, &probe->allocator, vit_size_mul((size_t)room, bytes), "few-shot", error));
    if (count)
        memcpy(grown, *array, (size_t)count * bytes);
    vit_release(&probe->allocator, *array);
    *array = grown;
    return VIT_OK;
}

static vit_status make_room(vit_probe *probe, vit_error *error) {
    const size_t row = (size_t)probe->width * sizeof *probe->features;
    if (probe->classes == probe->class_room) {
        const int room = probe->class_room ? 2 * probe->class_room : 8;
        VIT_TRY(grow(probe, (void **)&probe->labels, probe->classes, room, sizeof *probe->labels, error));
        VIT_TRY(grow(probe, (void **)&probe->counts, probe->classes, room, sizeof *probe->counts, error));
        probe->class_room = room;
    }
    if (probe->examples == probe->example_room) {
        const int room = probe->example_room ? 2 * probe->example_room : 16, count = probe->examples;
        if (room > INT32_MAX / 4)
            return vit_fail(error, VIT_ERR_LIMIT, "few-shot: more than %d examples", count);
        VIT_TRY(grow(probe, (void **)&probe->features, count, room, row, error));
        VIT_TRY(grow(probe, (void **)&probe->example_classes, count, room, sizeof *probe->example_classes, error));
        VIT_TRY(grow(probe, (void **)&probe->ids, count, room, sizeof *probe->ids, error));
        probe->example_room = room;
    }
    return VIT_OK;
}

vit_status vit_probe_add_class(vit_probe *probe, const char *label, vit_error *error) {
    const size_t bytes = strlen(label) + 1;
    char *copy;
    if (!*label || !vit_utf8_name(label, bytes - 1))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: the label \"%s\" is %s", vit_show(label, bytes - 1).text,
                        *label ? "not UTF-8" : "empty");
    VIT_TRY(make_room(probe, error));
    VIT_TRY(vit_alloc_for((void **)&copy, &probe->allocator, bytes, "few-shot", error));
    memcpy(copy, label, bytes);
    probe->labels[probe->classes] = copy;
    probe->counts[probe->classes++] = 0;
    return VIT_OK;
}

static vit_status check_features(const vit_probe *probe, const char *label, const float *features, vit_error *error) {
    for (int d = 0; d < probe->width; d++)
        if (!isfinite(features[d]))
            return vit_fail(error, VIT_ERR_ARGUMENT,
                            "few-shot: feature %d of an example of \"%s\" is not a finite number", d, vit_show(label, strlen(label)).text);
    return VIT_OK;
}

vit_status vit_probe_add_to(vit_probe *probe, int class_index, const float *features, int *id, vit_error *error) {
    VIT_TRY(check_features(probe, probe->labels[class_index], features, error));
    if (probe->next_id == INT32_MAX)
        return vit_fail(error, VIT_ERR_LIMIT, "few-shot: no more examples can be named");
    VIT_TRY(make_room(probe, error));
    memcpy(probe->features + (size_t)probe->examples * (size_t)probe->width, features,
           (size_t)probe->width * sizeof *features);
    probe->example_classes[probe->examples] = class_index;
    probe->ids[probe->examples++] = probe->next_id;
    probe->counts[class_index]++;
    probe->fitted = 0;
    if (id)
        *id = probe->next_id;
    probe->next_id++;
    return VIT_OK;
}

vit_status vit_probe_add(vit_probe *probe, const char *label, const float *features, int *id, vit_error *error) {
    int class_index = find_class(probe, label);
    if (class_index < 0) {
        VIT_TRY(check_features(probe, label, features, error));
        VIT_TRY(vit_probe_add_class(probe, label, error));
        class_index = probe->classes - 1;
    }
    return vit_probe_add_to(probe, class_index, features, id, error);
}

/* Takes out a class that has no examples. */
static void drop_class(vit_probe *probe, int class_index) {
    vit_release(&probe->allocator, probe->labels[class_index]);
    probe->classes--;
    for (int k = class_index; k < probe->classes; k++) {
        probe->labels[k] = probe->labels[k + 1];
        probe->counts[k] = probe->counts[k + 1];
    }
    for (int i = 0; i < probe->examples; i++)
        probe->example_classes[i] -= probe->example_classes[i] > class_index;
}

/* Takes out the examples of that id or class (whichever is not negative), and classes that have no more. */
static int drop(vit_probe *probe, int id, int class_index) {
    const size_t row = (size_t)probe->width;
    int kept = 0, dropped = 0;
    for (int i = 0; i < probe->examples; i++) {
        if (probe->ids[i] == id || probe->example_classes[i] == class_index) {
            probe->counts[probe->example_classes[i]]--;
            dropped++;
            continue;
        }
        memmove(probe->features + (size_t)kept * row, probe->features + (size_t)i * row, row * sizeof *probe->features);
        probe->example_classes[kept] = probe->example_classes[i];
        probe->ids[kept++] = probe->ids[i];
    }
    probe->examples = kept;
    probe->fitted &= !dropped;
    for (int k = probe->classes - 1; k >= 0; k--)
        if (probe->counts[k] == 0)
            drop_class(probe, k);
    return dropped;
}

vit_status vit_probe_remove(vit_probe *probe, int id, vit_error *error) {
    if (id < 0 || !drop(probe, id, -1))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: there is no example %d", id);
    return VIT_OK;
}

vit_status vit_probe_remove_class(vit_probe *probe, const char *label, vit_error *error) {
    const int class_index = find_class(probe, label);
    if (class_index < 0)
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: there is no class \"%s\"",
                        vit_show(label, strlen(label)).text);
    drop(probe, -1, class_index);
    return VIT_OK;
}

static vit_status copy_examples(vit_probe *to, const vit_probe *from, vit_error *error) {
    for (int k = 0; k < from->classes; k++)
        VIT_TRY(vit_probe_add_class(to, from->labels[k], error));
    for (int i = 0; i < from->examples; i++) {
        to->next_id = from->ids[i];
        VIT_TRY(vit_probe_add_to(to, from->example_classes[i], from->features + (size_t)i * (size_t)from->width, NULL, error));
    }
    to->next_id = from->next_id;
    return VIT_OK;
}

vit_status vit_probe_copy(vit_probe **out, const vit_probe *probe, vit_error *error) {
    vit_options options = vit_default_options();
    options.allocator = probe->allocator;
    VIT_TRY(vit_probe_open(out, probe->width, probe->backbone, &options, error));
    const vit_status status = copy_examples(*out, probe, error);
    if (status != VIT_OK) {
        vit_probe_close(*out);
        *out = NULL;
    }
    return status;
}

/* ---- The classifier ---- */

static void take_classifier(vit_probe *probe) {
    const size_t width = (size_t)probe->width * sizeof(double), classes = (size_t)probe->classes;
    probe->fit.mean = vit_arena_take(&probe->fit_memory, width);
    probe->fit.scale = vit_arena_take(&probe->fit_memory, width);
    probe->fit.weights = vit_arena_take(&probe->fit_memory, vit_size_mul(classes, width));
    probe->fit.bias = vit_arena_take(&probe->fit_memory, classes * sizeof(double));
}

vit_status vit_probe_make_classifier(vit_probe *probe, vit_error *error) {
    vit_arena_release(&probe->fit_memory, &probe->allocator);
    probe->fitted = 0;
    take_classifier(probe);
    VIT_TRY(vit_arena_commit(&probe->fit_memory, &probe->allocator, "few-shot", error));
    take_classifier(probe);
    return VIT_OK;
}

/* So that no score of features in use overflows. */
#define LARGEST 1e10

static int all_within(const double *values, size_t count, double least, double most) {
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= least && values[i] <= most))
            return 0;
    return 1;
}

int vit_probe_is_sound(const vit_probe *probe) {
    const vit_classifier *fit = &probe->fit;
    const size_t width = (size_t)probe->width, classes = (size_t)probe->classes;
    return fit->l2 > 0 && isfinite(fit->l2) && fit->right >= 0 && fit->right <= probe->examples &&
           all_within(fit->mean, width, -LARGEST, LARGEST) && all_within(fit->scale, width, VIT_LEAST_DEVIATION / 2, LARGEST) &&
           all_within(fit->weights, classes * width, -LARGEST, LARGEST) && all_within(fit->bias, classes, -LARGEST, LARGEST);
}

vit_status vit_probe_fit(vit_probe *probe, double l2, vit_error *error) {
    if (probe->examples == 0)
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: there are no examples to fit");
    if (!(l2 >= 0) || !isfinite(l2))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: l2 %g: expected a positive number, or 0 to choose one", l2);
    VIT_TRY(vit_probe_make_classifier(probe, error));
    VIT_TRY(vit_least_squares(&probe->fit, probe->features, probe->example_classes, probe->examples, probe->width,
                              probe->classes, l2, &probe->allocator, error));
    if (!vit_probe_is_sound(probe))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: the examples' features are too large for a classifier of numbers up to %g", LARGEST);
    probe->fitted = 1;
    return VIT_OK;
}

vit_status vit_probe_check_fitted(const vit_probe *probe, vit_error *error) {
    if (probe->fitted)
        return VIT_OK;
    return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: %s",
                    probe->examples ? "the examples have changed and were not fitted since" : "there are no examples");
}

vit_status vit_probe_score(const vit_probe *probe, const float *features, float *scores, vit_error *error) {
    VIT_TRY(vit_probe_check_fitted(probe, error));
    vit_classifier_score(&probe->fit, features, probe->width, probe->classes, scores);
    return VIT_OK;
}

/* ---- Neighbours ---- */

static double cosine(const float *a, const float *b, int width) {
    double product = 0, aa = 0, bb = 0;
    for (int d = 0; d < width; d++) {
        product += (double)a[d] * b[d];
        aa += (double)a[d] * a[d];
        bb += (double)b[d] * b[d];
    }
    return aa > 0 && bb > 0 ? product / sqrt(aa * bb) : 0;
}

struct neighbour {
    double cosine;
    int class_index;
};

/* nearest [at most `neighbours`], best first; equals in the order of the examples */
static int insert(struct neighbour *nearest, int count, int neighbours, struct neighbour one) {
    int place = count < neighbours ? count++ : neighbours;
    for (; place > 0 && one.cosine > nearest[place - 1].cosine; place--)
        if (place < neighbours)
            nearest[place] = nearest[place - 1];
    if (place < neighbours)
        nearest[place] = one;
    return count;
}

/* Votes of the examples i with drawn[i] != 0, or of all. nearest: room for `neighbours`. */
static void vote(const vit_probe *probe, const float *features, int neighbours, const unsigned char *drawn,
                 struct neighbour *nearest, float *scores) {
    int count = 0;
    double all = 0;
    for (int i = 0; i < probe->examples; i++)
        if (!drawn || drawn[i])
            count = insert(nearest, count, neighbours,
                           (struct neighbour){cosine(features, probe->features + (size_t)i * (size_t)probe->width,
                                                     probe->width),
                                              probe->example_classes[i]});
    memset(scores, 0, (size_t)probe->classes * sizeof *scores);
    for (int i = 0; i < count; i++) {
        const float votes = vit_expf((float)((nearest[i].cosine - nearest[0].cosine) / VOTE_TEMPERATURE));
        scores[nearest[i].class_index] += votes;
        all += votes;
    }
    for (int k = 0; k < probe->classes; k++)
        scores[k] = (float)(scores[k] / all);
}

vit_status vit_probe_vote(const vit_probe *probe, const float *features, int neighbours, float *scores,
                          vit_error *error) {
    struct neighbour *nearest;
    if (probe->examples == 0 || neighbours < 1)
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: %d neighbours of %d examples", neighbours, probe->examples);
    if (neighbours > probe->examples)
        neighbours = probe->examples;
    VIT_TRY(vit_alloc_for((void **)&nearest, &probe->allocator, (size_t)neighbours * sizeof *nearest, "few-shot",
                          error));
    vote(probe, features, neighbours, NULL, nearest, scores);
    vit_release(&probe->allocator, nearest);
    return VIT_OK;
}

/* ---- k-shot trials ---- */

/* Memory of a trial. */
struct trial {
    vit_arena memory;
    unsigned char *drawn;      /* [examples]: 1 for those that are fitted */
    float *features;           /* [classes * shots,D] of them */
    int32_t *classes;          /* [classes * shots] */
    float *scores;             /* [classes] */
    struct neighbour *nearest; /* [neighbours] */
    vit_classifier fit;
};

static void take_trial(struct trial *t, const vit_probe *probe, int shots, int neighbours) {
    const size_t drawn = vit_size_mul((size_t)probe->classes, (size_t)shots), width = (size_t)probe->width,
                 classes = (size_t)probe->classes;
    t->drawn = vit_arena_take(&t->memory, (size_t)probe->examples);
    t->features = vit_arena_take(&t->memory, vit_size_mul(vit_size_mul(drawn, width), sizeof *t->features));
    t->classes = vit_arena_take(&t->memory, vit_size_mul(drawn, sizeof *t->classes));
    t->scores = vit_arena_take(&t->memory, classes * sizeof *t->scores);
    t->nearest = vit_arena_take(&t->memory, (size_t)neighbours * sizeof *t->nearest);
    t->fit.mean = vit_arena_take(&t->memory, width * sizeof(double));
    t->fit.scale = vit_arena_take(&t->memory, width * sizeof(double));
    t->fit.weights = vit_arena_take(&t->memory, vit_size_mul(classes, width * sizeof(double)));
    t->fit.bias = vit_arena_take(&t->memory, classes * sizeof(double));
}

/* `shots` of each class, each set of them as likely: class after class, in the order of the examples. */
static int draw(struct trial *t, const vit_probe *probe, int shots, uint64_t key, int *chosen) {
    const size_t width = (size_t)probe->width;
    int count = 0;
    memset(t->drawn, 0, (size_t)probe->examples);
    for (int k = 0; k < probe->classes; k++) {
        const uint64_t stream = vit_random_key(key, (uint64_t)k);
        int left = probe->counts[k], wanted = shots;
        for (int i = 0; i < probe->examples; i++) {
            if (probe->example_classes[i] != k)
                continue;
            /* an example is taken with the share of those wanted among those left */
            if ((int)vit_random_below(stream, (uint64_t)left, (uint32_t)left) < wanted) {
                t->drawn[i] = 1;
                memcpy(t->features + (size_t)count * width, probe->features + (size_t)i * width,
                       width * sizeof *t->features);
                if (chosen)
                    chosen[count] = probe->ids[i];
                t->classes[count++] = k;
                wanted--;
            }
            left--;
        }
    }
    return count;
}

/* The first of the highest. */
static int best_class(const vit_probe *probe, const float *scores) {
    int best = 0;
    for (int k = 1; k < probe->classes; k++)
        best = scores[k] > scores[best] ? k : best;
    return best;
}

static vit_status run_trial(struct trial *t, const vit_probe *probe, int shots, double l2, int neighbours, uint64_t key,
                            int *chosen, vit_trial_result *out, vit_error *error) {
    const int count = draw(t, probe, shots, key, chosen);
    VIT_TRY(vit_least_squares(&t->fit, t->features, t->classes, count, probe->width, probe->classes, l2,
                              &probe->allocator, error));
    *out = (vit_trial_result){.l2 = t->fit.l2};
    for (int i = 0; i < probe->examples; i++) {
        const float *features = probe->features + (size_t)i * (size_t)probe->width;
        if (t->drawn[i])
            continue;
        out->others++;
        vit_classifier_score(&t->fit, features, probe->width, probe->classes, t->scores);
        out->right += best_class(probe, t->scores) == probe->example_classes[i];
        vote(probe, features, neighbours, t->drawn, t->nearest, t->scores);
        out->right_by_votes += best_class(probe, t->scores) == probe->example_classes[i];
    }
    return VIT_OK;
}

vit_status vit_probe_try(const vit_probe *probe, int shots, double l2, int neighbours, uint64_t seed, int repeat,
                         int *chosen, vit_trial_result *out, vit_error *error) {
    struct trial t = {0};
    if (probe->classes == 0 || shots < 1 || neighbours < 1 || neighbours > 1 << 20 || !(l2 >= 0) || !isfinite(l2))
        return vit_fail(error, VIT_ERR_ARGUMENT, "few-shot: %d shots and %d neighbours of %d classes, l2 %g", shots,
                        neighbours, probe->classes, l2);
    for (int k = 0; k < probe->classes; k++)
        if (probe->counts[k] <= shots)
            return vit_fail(error, VIT_ERR_ARGUMENT,
                            "few-shot: class \"%s\" has %d examples: %d shots leave none to be judged",
                            vit_show(probe->labels[k], strlen(probe->labels[k])).text, probe->counts[k], shots);
    take_trial(&t, probe, shots, neighbours);
    VIT_TRY(vit_arena_commit(&t.memory, &probe->allocator, "few-shot", error));
    take_trial(&t, probe, shots, neighbours);
    const uint64_t key = vit_random_key(vit_random_key(seed, (uint64_t)shots), (uint64_t)repeat);
    vit_status status = run_trial(&t, probe, shots, l2, neighbours, key, chosen, out, error);
    vit_arena_release(&t.memory, &probe->allocator);
    return status;
}
