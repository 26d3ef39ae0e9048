#include "pace.h"

enum { LONGEST_WAIT = 32 };

/* The first pass is not like others: its memory is new, and an engine may still be compiling. */
vit_pace vit_pace_make(int threads, int layers) {
    return (vit_pace){.threads = threads, .best = threads, .layers = layers, .wait = 1, .interval = 1};
}

void vit_pace_begin(vit_pace *p) {
    p->probe = 0;
    p->probe_ms = p->others_ms = 0;
    if (p->threads == 1 || p->layers < 2 || p->wait > 0)
        return;
    p->down = p->best == 1 ? 0 : p->best == p->threads || p->doubts ? 1 : !p->down;
    p->probe = p->down ? p->best / 2 : p->best * 2 < p->threads ? p->best * 2 : p->threads;
    p->probed = (p->probed + 1) % p->layers;
}

/* Fewer threads show in one layer; more have to wake up and to find a core, so they get half of the pass. */
static int probes(const vit_pace *p, int layer) {
    return p->probe && (p->down ? layer == p->probed : layer >= p->layers / 2);
}

int vit_pace_threads(const vit_pace *p, int layer) {
    return probes(p, layer) ? p->probe : p->best;
}

void vit_pace_note(vit_pace *p, int layer, double milliseconds) {
    if (layer >= 0)
        *(probes(p, layer) ? &p->probe_ms : &p->others_ms) += milliseconds;
}

void vit_pace_end(vit_pace *p) {
    if (!p->probe) {
        p->wait--;
        return;
    }
    const int others = p->down ? p->layers - 1 : p->layers / 2;
    if (p->probe_ms * others < 0.95 * p->others_ms * (p->layers - others)) {
        p->interval = 1;
        if (!p->down || p->doubts) {
            p->best = p->probe;
            p->doubts = 0;
        } else {
            p->doubts = 1;
        }
    } else {
        p->doubts = 0;
        p->interval = p->interval < LONGEST_WAIT ? 2 * p->interval : LONGEST_WAIT;
    }
    p->wait = p->interval - 1;
}
