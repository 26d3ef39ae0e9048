/* How many of its threads a session lets work: as many as help, by the times of its own passes. Other programs may have
 * the cores, and which ones changes; results have the same bits with any number. */
#ifndef VIT_MODEL_PACE_H
#define VIT_MODEL_PACE_H

/* All layers are the same work. Now and then some of a pass have twice or half as many threads as the others; if they were
 * faster, all have from then on: fewer, if that was seen twice in a row, since a moment's disturbance looks the same. */
typedef struct vit_pace {
    int threads;            /* there are */
    int best;               /* that layers have */
    int layers;
    int probed, probe;      /* the layer that has `probe` threads instead, if they are fewer; probe 0: none in this pass */
    int down;               /* whether the next probe is of fewer */
    int doubts;             /* probes in a row that fewer have won */
    int wait, interval;     /* passes to the next probe; between probes, the longer the less they change */
    double probe_ms, others_ms;
} vit_pace;

vit_pace vit_pace_make(int threads, int layers);
void vit_pace_begin(vit_pace *pace);
/* For the next stage of a layer; layer -1: of none. */
int vit_pace_threads(const vit_pace *pace, int layer);
void vit_pace_note(vit_pace *pace, int layer, double milliseconds);
/* A pass that is not finished is begun again without it. */
void vit_pace_end(vit_pace *pace);

#endif
