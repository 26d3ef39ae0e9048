/* Threads: a fixed team that runs one job at a time, cut into dynamic chunks. A team of one runs jobs where it is called, also
 * within others' and by several at once. */
#ifndef VIT_BASE_THREADS_H
#define VIT_BASE_THREADS_H

#include "memory.h"

typedef struct vit_team vit_team;

/* A team of `threads`, the caller included; 1 starts none. In builds without threads it is always 1. Fewer than
 * asked for may start; vit_team_threads says how many there are. */
vit_status vit_team_open(vit_team **out, int threads, const vit_allocator *allocator, vit_error *error);
void vit_team_close(vit_team *team);
int vit_team_threads(const vit_team *team);
/* Whether all of them are there: some start late. */
int vit_team_complete(vit_team *team);
/* From now on `threads` of them work, at most all; the others sleep. */
void vit_team_limit(vit_team *team, int threads);

/* Runs job(context, begin, end, thread) over 0..count in chunks, each chunk once, and returns when all are done. thread
 * is 0..limit-1: the index of per-thread scratch memory. Which thread gets which chunk varies; results must
 * not depend on it. */
typedef void (*vit_job)(void *context, int begin, int end, int thread);
void vit_team_run(vit_team *team, int count, int chunk, vit_job job, void *context);

#endif
