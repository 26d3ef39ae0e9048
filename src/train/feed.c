/* Batches ahead of a trainer. Sample s of all is picture s of the passes through the data, each pass in an order of its
 * own; threads make samples in turn into a ring of batches. */
#include "augment.h"
#include "dataset.h"
#include "trainer.h"

#include "../base/rng.h"

#include <stdio.h>
#include <string.h>
#if defined(VIT_THREADS) && !defined(__wasm__)
#define FEED_THREADS
#include <pthread.h>
#endif

#define AHEAD 3 /* batches */

typedef struct slot {
    float *input, *targets;
    int done, bad;
    vit_status status;  /* of the last sample that could not be made at all */
    char failure[400];  /* what that says */
    char text[4096];    /* lines about pictures that are bad, as many as have room */
} slot;

struct vit_feed {
    const vit_dataset *dataset;
    vit_feed_options options;
    vit_allocator allocator;
    vit_arena arena;
    int32_t *chosen;    /* [count]: pictures that take part */
    uint8_t *known_bad; /* of each picture of the dataset: it was found bad */
    int count;
    slot slots[AHEAD];
    int slot_count;
    int64_t batch;      /* the next that is asked for */
    char text[4096];    /* of the batch that was given last */
#ifdef FEED_THREADS
    pthread_mutex_t mutex;
    pthread_cond_t made, asked;
    pthread_t *threads;
    int thread_count, quit;
    int64_t sample;     /* the next to make */
#endif
};

/* Place `position` of 0..count-1 in a random order: a Feistel network on numbers of an even number of bits, walked until
 * it comes back below count. */
static int shuffled(uint64_t key, int position, int count) {
    int half = 1;
    while ((int64_t)1 << 2 * half < count)
        half++;
    const uint32_t mask = (1u << half) - 1;
    uint32_t value = (uint32_t)position;
    do {
        uint32_t left = value >> half, right = value & mask;
        for (int round = 0; round < 6; round++) {
            const uint32_t next = left ^ ((uint32_t)(vit_random_bits(key, (uint64_t)round << 32 | right) >> 32) & mask);
            left = right;
            right = next;
        }
        value = left << half | right;
    } while (value >= (uint32_t)count);
    return (int)value;
}

/* One picture of the dataset into `out`; 0 and error where it cannot be used. */
static int make_picture(const vit_feed *f, int index, uint64_t key, float *out, vit_error *error) {
    vit_image image;
    if (vit_dataset_picture(f->dataset, index, &image, error) != VIT_OK)
        return 0;
    const vit_status status = vit_augment_picture(&f->options, &image, key, out, &f->dataset->options, error);
    vit_image_close(&image);
    return status == VIT_OK;
}

static void lock(vit_feed *f) {
#ifdef FEED_THREADS
    pthread_mutex_lock(&f->mutex);
#else
    (void)f;
#endif
}

static void unlock(vit_feed *f) {
#ifdef FEED_THREADS
    pthread_mutex_unlock(&f->mutex);
#else
    (void)f;
#endif
}

/* Names and counts a picture the first time. */
static void note_bad(vit_feed *f, slot *s, int index, const char *text) {
    lock(f);
    if (!f->known_bad[index]) {
        const size_t used = strlen(s->text), room = sizeof s->text - used;
        f->known_bad[index] = 1;
        s->bad++;
        if (snprintf(s->text + used, room, "%s%.390s", used ? "\n" : "", text) >= (int)room)
            s->text[used] = 0;
    }
    unlock(f);
}

static int is_bad(vit_feed *f, int index) {
    lock(f);
    const int bad = f->known_bad[index];
    unlock(f);
    return bad;
}

/* Sample `number` of all, as image `place` of a slot. */
static vit_status make_sample(vit_feed *f, int64_t number, slot *s, int place, vit_error *error) {
    const vit_feed_options *o = &f->options;
    const size_t pixels = (size_t)o->height * (size_t)o->width * 3;
    float *target = s->targets + (size_t)place * (size_t)o->classes;
    const uint64_t pass = (uint64_t)(number / f->count), order = vit_random_key(o->seed, 2 * pass);
    for (int tries = 0; tries < f->count; tries++) {
        const int position = (int)((number + tries) % f->count), index = f->chosen[shuffled(order, position, f->count)];
        const uint64_t key = vit_random_key(vit_random_key(o->seed, 2 * pass + 1), (uint64_t)position);
        if (is_bad(f, index))
            continue;
        if (!make_picture(f, index, key, s->input + (size_t)place * pixels, error)) {
            if (error->status == VIT_ERR_OUT_OF_MEMORY)
                return error->status; /* the picture is good: passing it over would change what a seed means */
            note_bad(f, s, index, error->text);
            continue;
        }
        memset(target, 0, (size_t)o->classes * sizeof *target);
        if (o->classes)
            target[vit_dataset_entry(f->dataset, index)->class_index] = 1;
        return VIT_OK;
    }
    return vit_fail(error, VIT_ERR_FORMAT, "none of the %d pictures can be used", f->count);
}

static void note_done(slot *s, vit_status status, const vit_error *error) {
    s->done++;
    if (status != VIT_OK) {
        s->status = status;
        snprintf(s->failure, sizeof s->failure, "%.390s", error->text);
    }
}

/* ---- Threads ---- */

#ifdef FEED_THREADS
static void *work(void *context) {
    vit_feed *f = context;
    const int batch = f->options.batch;
    pthread_mutex_lock(&f->mutex);
    for (;;) {
        while (!f->quit && f->sample >= (f->batch + f->slot_count) * batch)
            pthread_cond_wait(&f->asked, &f->mutex);
        if (f->quit)
            break;
        const int64_t number = f->sample++;
        slot *s = &f->slots[number / batch % f->slot_count];
        pthread_mutex_unlock(&f->mutex);
        vit_error error = {0};
        const vit_status status = make_sample(f, number, s, (int)(number % batch), &error);
        pthread_mutex_lock(&f->mutex);
        note_done(s, status, &error);
        if (s->done == batch)
            pthread_cond_signal(&f->made);
    }
    pthread_mutex_unlock(&f->mutex);
    return NULL;
}

static void start(vit_feed *f) {
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->made, NULL);
    pthread_cond_init(&f->asked, NULL);
    f->sample = f->batch * f->options.batch;
    while (f->thread_count < f->options.threads &&
           pthread_create(&f->threads[f->thread_count], NULL, work, f) == 0)
        f->thread_count++;
}

static void stop(vit_feed *f) {
    pthread_mutex_lock(&f->mutex);
    f->quit = 1;
    pthread_cond_broadcast(&f->asked);
    pthread_mutex_unlock(&f->mutex);
    for (int i = 0; i < f->thread_count; i++)
        pthread_join(f->threads[i], NULL);
    pthread_cond_destroy(&f->made);
    pthread_cond_destroy(&f->asked);
    pthread_mutex_destroy(&f->mutex);
}
#endif

/* The slot of the next batch, complete. */
static slot *wait_for_batch(vit_feed *f) {
    slot *s = &f->slots[f->batch % f->slot_count];
#ifdef FEED_THREADS
    if (f->thread_count) {
        pthread_mutex_lock(&f->mutex);
        while (s->done < f->options.batch)
            pthread_cond_wait(&f->made, &f->mutex);
        pthread_mutex_unlock(&f->mutex);
        return s;
    }
#endif
    for (int i = 0; i < f->options.batch; i++) {
        vit_error error = {0};
        const vit_status status = make_sample(f, f->batch * f->options.batch + i, s, i, &error);
        note_done(s, status, &error);
    }
    return s;
}

static void give_back(vit_feed *f, slot *s) {
    lock(f);
    s->done = s->bad = 0;
    s->status = VIT_OK;
    s->text[0] = 0;
    f->batch++;
#ifdef FEED_THREADS
    pthread_cond_broadcast(&f->asked);
#endif
    unlock(f);
}

/* ---- Calls ---- */

static void take_buffers(vit_feed *f) {
    const vit_feed_options *o = &f->options;
    const size_t batch = (size_t)o->batch, pixels = (size_t)o->height * (size_t)o->width * 3;
    f->chosen = vit_arena_take(&f->arena, vit_size_mul((size_t)f->dataset->count, sizeof *f->chosen));
    f->known_bad = vit_arena_take(&f->arena, (size_t)f->dataset->count);
    for (int i = 0; i < f->slot_count; i++) {
        f->slots[i].input = vit_arena_take(&f->arena, vit_size_mul(vit_size_mul(batch, pixels), sizeof(float)));
        f->slots[i].targets =
            vit_arena_take(&f->arena, vit_size_mul(vit_size_mul(batch, (size_t)o->classes), sizeof(float)));
    }
#ifdef FEED_THREADS
    f->threads = vit_arena_take(&f->arena, vit_size_mul((size_t)o->threads, sizeof *f->threads));
#endif
}

vit_status vit_feed_check(const vit_dataset *d, const vit_feed_options *o, vit_error *error) {
    const vit_augment *a = &o->augment;
    const vit_range ranges[] = {
        {"batch", o->batch, 1, 65536},
        {"classes", o->classes, o->classes ? d->class_count : 0, 1e9},
        {"height", o->height, 1, 65535},
        {"width", o->width, 1, 65535},
        {"threads", o->threads, 0, 256},
        {"first batch", (double)o->first, 0, 1e12},
        {"smallest crop", a->crop_scale[0], 0, a->crop_scale[1]},
        {"largest crop", a->crop_scale[1], 0, 1},
        {"narrowest crop", a->crop_ratio[0], 1e-3, a->crop_ratio[1]},
        {"widest crop", a->crop_ratio[1], 1e-3, 1e3},
        {"padding", a->pad, 0, o->height < o->width ? o->height : o->width},
        {"flip", a->flip, 0, 1},
        {"number of random operations", a->random_ops, 0, 100},
        {"magnitude of random operations", a->random_magnitude, 0, 30},
        {"chance of erasing", a->erase, 0, 1},
        {"smallest erased part", a->erase_scale[0], 0, a->erase_scale[1]},
        {"largest erased part", a->erase_scale[1], 0, 1},
        {"lowest erased part", a->erase_ratio[0], 1e-3, a->erase_ratio[1]},
        {"highest erased part", a->erase_ratio[1], 1e-3, 1e3},
        {"mixup", a->mixup, 0, 1e3},
        {"cutmix", a->cutmix, 0, 1e3},
    };
    VIT_TRY(vit_check_ranges(ranges, sizeof ranges / sizeof *ranges, error));
    for (int i = 0; i < d->count; i++)
        if (!o->held_out || !o->held_out[i])
            return VIT_OK;
    return vit_fail(error, VIT_ERR_ARGUMENT, "no picture is left to train on");
}

vit_status vit_feed_open(vit_feed **out, const vit_dataset *dataset, const vit_feed_options *options, vit_error *error) {
    const vit_allocator *allocator = &dataset->options.allocator;
    vit_feed *f;
    *out = NULL;
    VIT_TRY(vit_feed_check(dataset, options, error));
    VIT_TRY(vit_alloc_for((void **)&f, allocator, sizeof *f, "batches", error));
    *f = (vit_feed){.dataset = dataset, .options = *options, .allocator = *allocator, .batch = options->first};
    f->slot_count = options->threads ? AHEAD : 1;
    take_buffers(f);
    const vit_status status = vit_arena_commit(&f->arena, allocator, "batches", error);
    if (status != VIT_OK) {
        vit_release(allocator, f);
        return status;
    }
    take_buffers(f);
    memset(f->known_bad, 0, (size_t)dataset->count);
    for (int i = 0; i < dataset->count; i++)
        if (!options->held_out || !options->held_out[i])
            f->chosen[f->count++] = i;
    f->options.held_out = NULL;
#ifdef FEED_THREADS
    start(f);
#endif
    *out = f;
    return VIT_OK;
}

void vit_feed_close(vit_feed *f) {
    if (!f)
        return;
    const vit_allocator allocator = f->allocator;
#ifdef FEED_THREADS
    stop(f);
#endif
    vit_arena_release(&f->arena, &allocator);
    vit_release(&allocator, f);
}

void vit_train_hold_out(uint8_t *marks, int count, double part, uint64_t seed) {
    const uint64_t key = vit_random_key(seed, vit_random_stream("held out"));
    for (int i = 0; i < count; i++)
        marks[i] = vit_random_unit(key, (uint64_t)i) < part;
}

void vit_train_subset(uint8_t *marks, int count, int keep, uint64_t seed) {
    const uint64_t key = vit_random_key(seed, vit_random_stream("subset"));
    uint32_t left = 0, wanted = keep > 0 ? (uint32_t)keep : 0;
    for (int i = 0; i < count; i++)
        left += !marks[i];
    for (int i = 0; i < count; i++) {
        if (marks[i])
            continue;
        if (vit_random_below(key, (uint64_t)i, left--) < wanted) /* of those left, each is as likely */
            wanted--;
        else
            marks[i] = 2;
    }
}

int vit_feed_count(const vit_feed *f) {
    return f->count;
}

vit_status vit_feed_next(vit_feed *f, vit_trainer *trainer, int *bad, const char **text, vit_error *error) {
    const vit_feed_options *o = &f->options;
    const size_t pixels = (size_t)o->height * (size_t)o->width * 3;
    const vit_config *c = &vit_trainer_model(trainer)->config;
    if (trainer->options.batch != o->batch || c->image_height != o->height || c->image_width != o->width ||
        c->classes != o->classes)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "batches of %d pictures of %dx%d and %d classes do not fit the trainer's", o->batch, o->height,
                        o->width, o->classes);
    slot *s = wait_for_batch(f);
    *bad = s->bad;
    *text = s->bad ? f->text : NULL;
    memcpy(f->text, s->text, sizeof f->text);
    const vit_status status = s->status;
    if (status != VIT_OK) {
        vit_fail(error, status, "%s", s->failure);
    } else {
        vit_mix_batch(o, vit_random_key(vit_random_key(o->seed, vit_random_stream("mix")), (uint64_t)f->batch), s->input, s->targets);
        memcpy(vit_trainer_input(trainer, 0), s->input, (size_t)o->batch * pixels * sizeof(float));
        memcpy(vit_trainer_target(trainer, 0), s->targets, (size_t)o->batch * (size_t)o->classes * sizeof(float));
    }
    give_back(f, s);
    return status;
}
