#include "threads.h"

#ifdef VIT_THREADS
#include <stdatomic.h>
#ifndef __wasm__
#include <pthread.h>
#endif

/* A forward pass is about a hundred short jobs: waiting threads spin for 20 to 50 us before they sleep. Where relax() is an
 * instruction it takes tens of cycles; WebAssembly has none. */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
#define SPINS 1500
#else
#define SPINS 20000
#endif
#define CLOSED (1 << 30)

/* The helpers and the job that they are at. */
typedef struct crew {
    atomic_int generation; /* counts jobs; a change starts the helpers */
    atomic_int sleepers;
    atomic_int next;       /* first index nobody has taken */
    atomic_int inside;     /* helpers in the job, and CLOSED while none may enter */
    atomic_int quit;
    atomic_int helpers;    /* that have come */
    int threads;           /* that the job may have, the caller included */
    int count, chunk;
    vit_job job;
    void *context;
#ifndef __wasm__
    pthread_mutex_t mutex;
    pthread_cond_t wake;
#endif
} crew;

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- Sleeping, until there is another job than the one seen ---- */

#ifdef __wasm__
static void sleep_after(crew *c, int seen) {
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(&c->generation) == seen)
        __builtin_wasm_memory_atomic_wait32((int *)&c->generation, seen, -1);
    atomic_fetch_sub(&c->sleepers, 1);
}

static void wake_all(crew *c) {
    __builtin_wasm_memory_atomic_notify((int *)&c->generation, ~0u);
}
#else
static void sleep_after(crew *c, int seen) {
    pthread_mutex_lock(&c->mutex);
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(&c->generation) == seen)
        pthread_cond_wait(&c->wake, &c->mutex);
    atomic_fetch_sub(&c->sleepers, 1);
    pthread_mutex_unlock(&c->mutex);
}

static void wake_all(crew *c) {
    pthread_mutex_lock(&c->mutex);
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}
#endif

/* ---- Working ---- */

static void take_chunks(crew *c, int thread) {
    for (;;) {
        int begin = atomic_fetch_add_explicit(&c->next, c->chunk, memory_order_relaxed);
        if (begin >= c->count)
            return;
        int end = begin + c->chunk < c->count ? begin + c->chunk : c->count;
        c->job(c->context, begin, end, thread);
    }
}

/* What a helper does until the crew quits. One that comes late begins with the next job. */
static void help(crew *c, int thread) {
    atomic_fetch_add(&c->helpers, 1);
    for (int seen = 0, left_out = 0;;) {
        int spins = left_out ? SPINS : 0;
        while (atomic_load_explicit(&c->generation, memory_order_acquire) == seen) {
            if (++spins < SPINS)
                relax();
            else
                sleep_after(c, seen);
        }
        seen = atomic_load_explicit(&c->generation, memory_order_acquire);
        if (atomic_load(&c->quit))
            return;
        left_out = 0;
        if (!(atomic_fetch_add_explicit(&c->inside, 1, memory_order_acquire) & CLOSED)) {
            left_out = thread >= c->threads;
            if (!left_out)
                take_chunks(c, thread);
        }
        atomic_fetch_sub_explicit(&c->inside, 1, memory_order_release);
    }
}

static void start_generation(crew *c) {
    atomic_fetch_add(&c->generation, 1);
    if (atomic_load(&c->sleepers))
        wake_all(c);
}

static void run(crew *c, int threads, int count, int chunk, vit_job job, void *context) {
    c->threads = threads;
    c->count = count;
    c->chunk = chunk;
    c->job = job;
    c->context = context;
    atomic_store_explicit(&c->next, 0, memory_order_relaxed);
    atomic_fetch_and_explicit(&c->inside, ~CLOSED, memory_order_release);
    start_generation(c);
    take_chunks(c, 0);
    /* A helper whose core is busy with other work is not waited for: it comes too late, and finds the door closed. */
    atomic_fetch_or_explicit(&c->inside, CLOSED, memory_order_acquire);
    while (atomic_load_explicit(&c->inside, memory_order_acquire) != CLOSED)
        relax();
}

/* ---- Teams ---- */

#ifdef __wasm__
/* Here the host starts the helpers, and ends them: they outlive teams, and some may never come. */
struct vit_team {
    vit_allocator allocator;
    int threads, limit;
};

static crew all = {.inside = CLOSED};

/* The host calls it on each thread that it has started, numbered from 1. It does not return. */
__attribute__((export_name("vit_js_help"))) void vit_js_help(int thread) {
    help(&all, thread);
}

static crew *crew_of(vit_team *team) {
    (void)team;
    return &all;
}

static void start(vit_team *team, int threads) {
    team->threads = threads;
}

static void stop(vit_team *team) {
    (void)team;
}
#else
/* Of a helper: products lay out 300 kB there, and some systems give 128 kB. */
#define STACK (2 << 20)

struct vit_team {
    vit_allocator allocator;
    int threads, limit;
    crew crew;
    struct member {
        pthread_t thread;
        struct vit_team *team;
        int index;
    } members[];
};

static crew *crew_of(vit_team *team) {
    return &team->crew;
}

static void *member_main(void *argument) {
    struct member *member = argument;
    help(&member->team->crew, member->index);
    return NULL;
}

static void start(vit_team *team, int threads) {
    team->crew.inside = CLOSED;
    pthread_mutex_init(&team->crew.mutex, NULL);
    pthread_cond_init(&team->crew.wake, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    for (team->threads = 1; team->threads < threads; team->threads++) {
        struct member *member = &team->members[team->threads];
        *member = (struct member){.team = team, .index = team->threads};
        if (pthread_create(&member->thread, &attributes, member_main, member) != 0)
            break;
    }
    pthread_attr_destroy(&attributes);
}

static void stop(vit_team *team) {
    atomic_store(&team->crew.quit, 1);
    start_generation(&team->crew);
    for (int i = 1; i < team->threads; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->crew.wake);
    pthread_mutex_destroy(&team->crew.mutex);
}
#endif
#else /* one thread: WASI, and pages that are not cross-origin isolated */

struct vit_team {
    vit_allocator allocator;
};
#endif

vit_status vit_team_open(vit_team **out, int threads, const vit_allocator *allocator, vit_error *error) {
    *out = NULL;
    if (threads < 1)
        threads = 1;
    vit_team *team;
    size_t size = sizeof *team;
#if defined(VIT_THREADS) && !defined(__wasm__)
    size += (size_t)threads * sizeof team->members[0];
#endif
    VIT_TRY(vit_alloc_for((void **)&team, allocator, size, "threads", error));
    *team = (vit_team){.allocator = *allocator};
#ifdef VIT_THREADS
    start(team, threads);
    team->limit = team->threads;
#endif
    *out = team;
    return VIT_OK;
}

void vit_team_close(vit_team *team) {
    if (!team)
        return;
#ifdef VIT_THREADS
    stop(team);
#endif
    vit_allocator allocator = team->allocator;
    vit_release(&allocator, team);
}

void vit_team_run(vit_team *team, int count, int chunk, vit_job job, void *context) {
    (void)team;
    (void)chunk;
#ifdef VIT_THREADS
    if (team->limit > 1 && count > chunk) {
        run(crew_of(team), team->limit, count, chunk, job, context);
        return;
    }
#endif
    if (count > 0)
        job(context, 0, count, 0);
}

int vit_team_threads(const vit_team *team) {
#ifdef VIT_THREADS
    return team->threads;
#else
    (void)team;
    return 1;
#endif
}

int vit_team_complete(vit_team *team) {
#ifdef VIT_THREADS
    return atomic_load(&crew_of(team)->helpers) >= team->threads - 1;
#else
    (void)team;
    return 1;
#endif
}

void vit_team_limit(vit_team *team, int threads) {
#ifdef VIT_THREADS
    team->limit = threads;
#else
    (void)team;
    (void)threads;
#endif
}
