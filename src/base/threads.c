#include "threads.h"

#ifdef VIT_THREADS
#include <pthread.h>
#include <stdatomic.h>

/* A forward pass is about a hundred short jobs: waiting threads spin for 20 to 50 us before they sleep. Where relax() is an
 * instruction it takes tens of cycles; WebAssembly has none. */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__)
#define SPINS 1500
#else
#define SPINS 20000
#endif
#define CLOSED (1 << 30)

struct vit_team {
    vit_allocator allocator;
    int threads; /* in the team, the caller included */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_int generation; /* counts jobs; a change starts the team */
    atomic_int sleepers;
    atomic_int next;   /* first index nobody has taken */
    atomic_int inside; /* helpers in the job, and CLOSED while none may enter */
    atomic_int quit;
    int count, chunk;
    vit_job job;
    void *context;
    struct member {
        pthread_t thread;
        struct vit_team *team;
        int index;
    } members[];
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_chunks(vit_team *team, int thread) {
    for (;;) {
        int begin = atomic_fetch_add_explicit(&team->next, team->chunk, memory_order_relaxed);
        if (begin >= team->count)
            return;
        int end = begin + team->chunk < team->count ? begin + team->chunk : team->count;
        team->job(team->context, begin, end, thread);
    }
}

static void *member_main(void *argument) {
    struct member *member = argument;
    vit_team *team = member->team;
    for (int seen = 0;;) {
        int spins = 0;
        while (atomic_load_explicit(&team->generation, memory_order_acquire) == seen) {
            if (++spins < SPINS) {
                relax();
                continue;
            }
            pthread_mutex_lock(&team->mutex);
            atomic_fetch_add(&team->sleepers, 1);
            while (atomic_load(&team->generation) == seen)
                pthread_cond_wait(&team->wake, &team->mutex);
            atomic_fetch_sub(&team->sleepers, 1);
            pthread_mutex_unlock(&team->mutex);
        }
        seen = atomic_load_explicit(&team->generation, memory_order_acquire);
        if (atomic_load(&team->quit))
            return NULL;
        if (!(atomic_fetch_add_explicit(&team->inside, 1, memory_order_acquire) & CLOSED))
            take_chunks(team, member->index);
        atomic_fetch_sub_explicit(&team->inside, 1, memory_order_release);
    }
}

static void start_generation(vit_team *team) {
    atomic_fetch_add(&team->generation, 1);
    if (atomic_load(&team->sleepers)) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->mutex);
    }
}

vit_status vit_team_open(vit_team **out, int threads, const vit_allocator *allocator, vit_error *error) {
    *out = NULL;
    if (threads < 1)
        threads = 1;
    vit_team *team;
    VIT_TRY(vit_alloc_for((void **)&team, allocator, sizeof *team + (size_t)threads * sizeof team->members[0],
                          "threads", error));
    *team = (vit_team){.allocator = *allocator, .threads = 1, .inside = CLOSED};
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    for (int i = 1; i < threads; i++) {
        struct member *member = &team->members[i];
        *member = (struct member){.team = team, .index = i};
        if (pthread_create(&member->thread, NULL, member_main, member) != 0)
            break;
        team->threads++;
    }
    *out = team;
    return VIT_OK;
}

void vit_team_close(vit_team *team) {
    if (!team)
        return;
    atomic_store(&team->quit, 1);
    start_generation(team);
    for (int i = 1; i < team->threads; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    vit_allocator allocator = team->allocator;
    vit_release(&allocator, team);
}

void vit_team_run(vit_team *team, int count, int chunk, vit_job job, void *context) {
    if (team->threads == 1 || count <= chunk) {
        if (count > 0)
            job(context, 0, count, 0);
        return;
    }
    team->count = count;
    team->chunk = chunk;
    team->job = job;
    team->context = context;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    atomic_fetch_and_explicit(&team->inside, ~CLOSED, memory_order_release);
    start_generation(team);
    take_chunks(team, 0);
    /* A helper whose core is busy with other work is not waited for: it comes too late, and finds the door closed. */
    atomic_fetch_or_explicit(&team->inside, CLOSED, memory_order_acquire);
    while (atomic_load_explicit(&team->inside, memory_order_acquire) != CLOSED)
        relax();
}

#else /* one thread: WASI, and pages that are not cross-origin isolated */

struct vit_team {
    vit_allocator allocator;
};

vit_status vit_team_open(vit_team **out, int threads, const vit_allocator *allocator, vit_error *error) {
    (void)threads;
    VIT_TRY(vit_alloc_for((void **)out, allocator, sizeof **out, "threads", error));
    (*out)->allocator = *allocator;
    return VIT_OK;
}

void vit_team_close(vit_team *team) {
    if (team) {
        vit_allocator allocator = team->allocator;
        vit_release(&allocator, team);
    }
}

void vit_team_run(vit_team *team, int count, int chunk, vit_job job, void *context) {
    (void)team;
    (void)chunk;
    if (count > 0)
        job(context, 0, count, 0);
}
#endif

int vit_team_threads(const vit_team *team) {
#ifdef VIT_THREADS
    return team->threads;
#else
    (void)team;
    return 1;
#endif
}
