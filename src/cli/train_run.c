#include "train_run.h"

#include "../base/hash.h"
#include "interrupt.h"
#include "limits.h"
#include "paths.h"
#include "progress.h"
#include "text_out.h"
#include "train_test.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE "state.safetensors" /* of the files of a run, the longest name */
#define MODEL "model.gguf"
#define BEST "best.gguf"

static const char *const made[] = {STATE, MODEL, BEST, VIT_CLI_RECORD};

enum { INTERRUPTED = 130 };

/* What a state's note says: so much of the log belongs to it, and settings it was made with. */
enum { NOTE_LOG, NOTE_BEST, NOTE_UPDATES, NOTE_IMAGES, NOTE_BATCH, NOTE_RATE, NOTE_SETTINGS, NOTE_ACCURACY, NOTES };

/* Since the last line of the log. */
typedef struct sums {
    double loss;
    int64_t correct, seen;
    int batches;
} sums;

typedef struct progress {
    const vit_cli_training *run;
    vit_trainer *trainer;
    vit_feed *feed;
    FILE *log;
    int images;                   /* of a pass */
    double began, saved;          /* seconds */
    double before;                /* that a run which goes on had taken already */
    double line_began;            /* when training went on after the last line of the log, and from which update */
    int64_t line_update;
    int64_t first, batches;       /* update that this process began with, batches it has made */
    double best, accuracy;        /* percent; -1: none yet */
    int is_due;                   /* an evaluation that was interrupted */
    int has_diverged;
    vit_cli_test test;            /* the last */
    sums now, settled;            /* settled: as of the last update */
    uint8_t *named;               /* of the pictures to test on: those that could not be read */
    int64_t bad;
    vit_cli_progress bar;
    vit_train_result last;
} progress;

static int path_in(char *out, size_t size, const char *folder, const char *name) {
    return snprintf(out, size, "%s/%s", folder, name) < (int)size;
}

static double epochs_at(const progress *p, double update) {
    const vit_train_options *o = &p->run->options;
    return update * o->batch * o->accumulate / p->images;
}

/* ---- The bar ---- */

static void show(progress *p) {
    const vit_train_options *o = &p->run->options;
    const double now = vit_cli_seconds();
    char text[160];
    const double updates = (double)p->first + (double)p->batches / o->accumulate;
    const double rate = (double)p->batches * o->batch / (now - p->began);
    const int64_t left = (int64_t)((now - p->began) / (double)p->batches * ((double)o->updates - updates) * o->accumulate);
    snprintf(text, sizeof text, "epoch %.2f of %.4g  loss %.3f  %.1f %%  %.0f images/s  %lld:%02d:%02d left", epochs_at(p, updates),
             epochs_at(p, (double)o->updates), p->now.batches ? p->now.loss / p->now.batches : p->last.loss,
             p->now.seen ? 100.0 * (double)p->now.correct / (double)p->now.seen : 0, rate, (long long)left / 3600,
             (int)(left / 60 % 60), (int)(left % 60));
    vit_cli_progress_text(&p->bar, updates / (double)o->updates, text);
}

/* ---- Files ---- */

/* Training goes on, after a line of the log or what else took time. */
static void time_line(progress *p) {
    p->line_began = vit_cli_seconds();
    p->line_update = p->last.update;
}

/* A line of the log; 0 where it cannot be written. */
static int log_step(progress *p) {
    const double now = vit_cli_seconds();
    if (!p->log || !p->now.batches)
        return 1;
    fprintf(p->log,
            "{\"update\":%lld,\"epoch\":%.4f,\"loss\":%.6g,\"accuracy\":%.4f,\"rate\":%.6g,\"gradient_norm\":%.6g,"
            "\"images_per_second\":%.1f,\"seconds\":%.1f,\"bad_images\":%lld}\n",
            (long long)p->last.update, epochs_at(p, p->last.update), p->now.loss / p->now.batches,
            p->now.seen ? 100.0 * (double)p->now.correct / (double)p->now.seen : 0, p->last.rate, p->last.gradient_norm,
            (double)(p->last.update - p->line_update) * p->run->options.batch * p->run->options.accumulate /
                (now - p->line_began),
            p->before + now - p->began, (long long)p->bad);
    p->now = p->settled = (sums){0};
    time_line(p);
    return fflush(p->log) == 0;
}

static int log_evaluation(progress *p) {
    vit_cli_line(stdout, "epoch %.2f  update %lld  %s accuracy %.2f %%  loss %.4f", epochs_at(p, p->last.update),
                 (long long)p->last.update, p->run->test ? "test" : "held-out", p->accuracy, p->test.loss);
    if (p->test.patches.pictures)
        vit_cli_print_patch_scores(&p->test.patches);
    fflush(stdout);
    if (!p->log)
        return 1;
    fprintf(p->log, "{\"update\":%lld,\"epoch\":%.4f,\"test_accuracy\":%.4f,\"test_loss\":%.6g,\"seconds\":%.1f",
            (long long)p->last.update, epochs_at(p, p->last.update), p->accuracy, p->test.loss,
            p->before + vit_cli_seconds() - p->began);
    if (p->test.patches.pictures) {
        fputc(',', p->log);
        vit_cli_write_patch_scores(p->log, &p->test.patches);
    }
    fputs("}\n", p->log);
    return fflush(p->log) == 0;
}

/* What a complaint says of the state that was there before. */
static const char *kept(const progress *p) {
    char path[4096];
    path_in(path, sizeof path, p->run->folder, STATE);
    return access(path, F_OK) == 0 ? "; the last checkpoint is kept" : "";
}

static int complain_log(const progress *p) {
    vit_cli_complain("%s/" VIT_CLI_LOG ": cannot be written: %s%s", p->run->folder, strerror(errno), kept(p));
    return VIT_CLI_FAILED;
}

/* What else changes the course of a run, as one number. */
static int64_t settings_of(const vit_cli_training *run) {
    const vit_train_options *o = &run->options;
    const vit_augment *a = &run->augment;
    const double values[] = {
        o->accumulate, o->loss, (double)o->label_smoothing, (double)o->dropout, (double)o->drop_path, o->optimizer,
        (double)o->momentum, o->bf16, o->momentum_bf16, (double)o->weight_decay, o->decay, o->decay_matrices,
        (double)o->clip_norm, o->schedule, o->final_rate, (double)o->warmup, (double)o->corrupt,
        (double)o->corrupt_masked, (double)o->corrupt_swapped, o->polyak, a->crop_scale[0], a->crop_scale[1],
        a->crop_ratio[0], a->crop_ratio[1], a->pad, a->filter, (double)a->flip, a->random_ops, a->random_magnitude,
        (double)a->erase, a->erase_scale[0], a->erase_scale[1], a->erase_ratio[0], a->erase_ratio[1],
        (double)a->mixup, (double)a->cutmix,
    };
    const vit_config *c = vit_model_config(run->model);
    const vit_preprocess *r = &c->preprocess;
    const double network[] = {
        c->heads, c->pool, c->class_token, c->pos_kind, c->pos_placement, c->pos_class, c->patch_height, c->patch_width,
        c->image_height, c->image_width, (double)c->norm_eps, c->activation, c->resnet.norm_groups, c->resnet.root_size,
        c->resnet.root_stride, c->decoder.kind, (double)r->mean[0], (double)r->mean[1], (double)r->mean[2],
        (double)r->std[0], (double)r->std[1], (double)r->std[2], r->filter, r->crop, r->crop_pct,
    };
    uint64_t hash = vit_hash(vit_hash(VIT_HASH_BEGIN, values, sizeof values), network, sizeof network);
    hash = vit_hash(hash, o->freeze ? o->freeze : "", o->freeze ? strlen(o->freeze) : 0);
    const uint64_t data[] = {vit_dataset_hash(run->data), run->test ? vit_dataset_hash(run->test) : 0};
    hash = vit_hash(vit_hash(hash, data, sizeof data), run->held_out, (size_t)vit_dataset_count(run->data));
    return (int64_t)hash;
}

static void describe(const progress *p, int64_t note[NOTES]) {
    memset(note, 0, NOTES * sizeof *note);
    note[NOTE_LOG] = p->log ? (int64_t)ftell(p->log) : 0;
    memcpy(&note[NOTE_BEST], &p->best, sizeof p->best);
    note[NOTE_UPDATES] = p->run->options.updates;
    note[NOTE_IMAGES] = p->images;
    note[NOTE_BATCH] = (int64_t)p->run->options.batch * p->run->options.accumulate;
    memcpy(&note[NOTE_RATE], &p->run->options.rate, sizeof p->run->options.rate);
    note[NOTE_SETTINGS] = settings_of(p->run);
    const double accuracy = p->is_due ? (double)NAN : p->accuracy;
    memcpy(&note[NOTE_ACCURACY], &accuracy, sizeof accuracy);
}

static int save_model(progress *p, const char *name) {
    char path[4096];
    vit_error error;
    const vit_model *average = vit_trainer_average(p->trainer);
    const vit_save_options options = {.type = VIT_F32};
    path_in(path, sizeof path, p->run->folder, name);
    if (vit_model_save(average ? average : vit_trainer_model(p->trainer), path, &options, &error) == VIT_OK)
        return VIT_CLI_OK;
    vit_cli_complain("%s%s", error.text, kept(p));
    return VIT_CLI_FAILED;
}

/* State and model, each whole or not at all: the state that was there stays until the new one is. */
static int save(progress *p) {
    char path[4096];
    int64_t note[NOTES];
    vit_error error;
    vit_cli_progress_hide(&p->bar);
    if (!log_step(p))
        return complain_log(p);
    if (p->last.update > p->first && vit_trainer_check(p->trainer, &error) != VIT_OK) {
        p->has_diverged = 1;
        vit_cli_complain_diverged(p->last.update);
        return VIT_CLI_FAILED;
    }
    fsync(fileno(p->log)); /* whose length the state says */
    p->saved = vit_cli_seconds();
    describe(p, note);
    path_in(path, sizeof path, p->run->folder, STATE);
    if (vit_trainer_save(p->trainer, path, note, &error) != VIT_OK) {
        vit_cli_complain("%s%s", error.text, kept(p));
        return VIT_CLI_FAILED;
    }
    return save_model(p, MODEL);
}

/* Bytes of a log up to the end of its last whole line. */
static int64_t whole_lines(const char *log) {
    int64_t whole = 0, at = 0;
    FILE *file = fopen(log, "rb");
    for (int c; file && (c = getc(file)) != EOF;) {
        at++;
        if (c == '\n')
            whole = at;
    }
    if (file)
        fclose(file);
    return whole;
}

static int cut_log(progress *p, const char *log, int64_t bytes) {
    const int64_t there = vit_cli_file_size(log);
    if (there < bytes) {
        vit_cli_complain("%s: has %lld of the %lld bytes that the run had written: the rest of its curve is lost", log,
                         (long long)there, (long long)bytes);
        bytes = whole_lines(log);
    }
    return truncate(log, (off_t)bytes) != 0 || fseek(p->log, 0, SEEK_END) != 0 ? complain_log(p) : VIT_CLI_OK;
}

/* What the last line of a log says of how long its run has taken; 0 where it says nothing. */
static double seconds_of(const char *log) {
    static const char name[] = "\"seconds\":";
    char end[4096 + 1];
    double seconds = 0;
    FILE *file = fopen(log, "rb");
    if (!file)
        return 0;
    if (fseek(file, -(long)(sizeof end - 1), SEEK_END) != 0)
        rewind(file);
    end[fread(end, 1, sizeof end - 1, file)] = 0;
    fclose(file);
    for (const char *at = end; (at = strstr(at, name)) != NULL; at += sizeof name - 1)
        seconds = strtod(at + sizeof name - 1, NULL);
    return seconds;
}

static int differs(const progress *p) {
    char record[4096];
    path_in(record, sizeof record, p->run->folder, VIT_CLI_RECORD);
    vit_cli_record_compare(record, p->run->record);
    return VIT_CLI_FAILED;
}

/* Goes on from the state in the folder. */
static int resume(progress *p, const char *state, const char *log) {
    int64_t note[NOTES], now[NOTES];
    vit_error error;
    vit_cli_line(stderr, "vit: going on from %s", state);
    if (vit_trainer_load(p->trainer, state, note, &error) != VIT_OK) {
        vit_cli_failed(&error);
        return differs(p);
    }
    describe(p, now);
    for (int i = NOTE_UPDATES; i <= NOTE_SETTINGS; i++)
        if (note[i] != now[i]) {
            vit_cli_complain("%s: the run was begun with other %s: it cannot go on with these", state,
                             i == NOTE_SETTINGS ? "settings of loss, optimiser, schedule, arithmetic, augmentation or network, or with other "
                                                  "pictures, in another order, held out or to test on"
                                                : "pictures, batches, length or rate");
            return differs(p);
        }
    memcpy(&p->best, &note[NOTE_BEST], sizeof p->best);
    memcpy(&p->accuracy, &note[NOTE_ACCURACY], sizeof p->accuracy);
    p->is_due = isnan(p->accuracy);
    const int status = cut_log(p, log, note[NOTE_LOG]);
    p->before = seconds_of(log);
    return status;
}

/* Whether the log, and what else stands without a state, is nothing that would be missed. A run that goes on may have been
 * killed before it had a state: it began its log, or kept the best model of a first evaluation. */
static int is_free(const char *folder, int resume) {
    static const char begins[] = "{\"update\":";
    char log[4096], model[4096], best[4096], line[sizeof begins] = "";
    path_in(log, sizeof log, folder, VIT_CLI_LOG);
    FILE *file = fopen(log, "rb");
    const size_t got = file ? fread(line, 1, sizeof begins - 1, file) : 0;
    if (file)
        fclose(file);
    path_in(model, sizeof model, folder, MODEL);
    path_in(best, sizeof best, folder, BEST);
    const int has_model = access(model, F_OK) == 0, has_best = access(best, F_OK) == 0;
    const int may_begin = !has_model && memcmp(line, begins, got) == 0;
    if (may_begin && (resume || (!has_best && !got)))
        return 1;
    vit_cli_complain("%s holds %s, but no state of a run to go on with: %schoose another folder", folder,
                     has_model || has_best ? "a model" : may_begin ? "a log" : "a log that is not of vit",
                     may_begin ? "--resume begins again, or " : "");
    return 0;
}

void vit_cli_train_forget(const char *folder) {
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[4096];
        if (path_in(path, sizeof path, folder, made[i]))
            remove(path);
    }
}

int vit_cli_train_begun(const char *folder, int resume, double *rate) {
    char state[4096];
    int64_t note[NOTES];
    vit_error error;
    *rate = 0;
    if (!path_in(state, sizeof state, folder, STATE)) {
        vit_cli_complain("%.100s...: the path is too long", folder);
        return VIT_CLI_FAILED;
    }
    if (access(state, F_OK) != 0)
        return is_free(folder, resume) ? VIT_CLI_OK : VIT_CLI_FAILED;
    if (!resume) {
        vit_cli_complain("%s holds a run: --resume goes on with it, or choose another folder", folder);
        return VIT_CLI_FAILED;
    }
    if (vit_trainer_note(state, vit_cli_options(), note, &error) != VIT_OK)
        return vit_cli_failed(&error);
    memcpy(rate, &note[NOTE_RATE], sizeof *rate);
    return VIT_CLI_OK;
}

/* What a process that was killed left of a file it was writing; no other one writes here now. */
static void remove_parts(const char *folder) {
    DIR *names = opendir(folder);
    for (const struct dirent *entry; names && (entry = readdir(names));) {
        char path[4096];
        const char *part = strstr(entry->d_name, ".part");
        int is_ours = 0;
        for (size_t i = 0; part && i < sizeof made / sizeof *made; i++)
            is_ours |= strncmp(entry->d_name, made[i], strlen(made[i])) == 0 && part == entry->d_name + strlen(made[i]);
        if (is_ours && part[5 + strspn(part + 5, "0123456789")] == 0 && path_in(path, sizeof path, folder, entry->d_name))
            remove(path);
    }
    if (names)
        closedir(names);
}

static int open_files(progress *p) {
    char state[4096], log[4096], record[4096];
    const char *folder = p->run->folder;
    path_in(state, sizeof state, folder, STATE);
    path_in(record, sizeof record, folder, VIT_CLI_RECORD);
    path_in(log, sizeof log, folder, VIT_CLI_LOG);
    const int begun = access(state, F_OK) == 0;
    p->log = fopen(log, "a");
    if (!p->log)
        return complain_log(p);
    if (!vit_cli_lock(p->log, log))
        return VIT_CLI_FAILED;
    remove_parts(folder);
    if (begun)
        return resume(p, state, log);
    const int status = cut_log(p, log, 0);
    return status == VIT_CLI_OK ? vit_cli_record_save(record, p->run->record) : status;
}

/* ---- The run ---- */

static int evaluate_and_note(progress *p) {
    if (!p->run->test && !p->run->tests_held_out)
        return VIT_CLI_OK;
    vit_cli_progress_hide(&p->bar);
    if (!log_step(p))
        return complain_log(p);
    const vit_cli_tested end = vit_cli_train_test(p->run, p->trainer, p->last.update, p->named, &p->test);
    p->is_due = end == VIT_CLI_TEST_STOPPED;
    p->has_diverged |= end == VIT_CLI_TEST_DIVERGED;
    if (end != VIT_CLI_TESTED)
        return p->is_due ? VIT_CLI_OK : VIT_CLI_FAILED;
    const double accuracy = p->test.accuracy;
    if (isnan(accuracy) && p->run->is_trial) {
        vit_cli_complain("no picture that is held out can be read, so no rate can be chosen");
        return VIT_CLI_FAILED;
    }
    if (isnan(accuracy)) {
        vit_cli_complain("no picture to test on can be read: the run goes on without");
        return VIT_CLI_OK;
    }
    p->accuracy = accuracy;
    if (!log_evaluation(p))
        return complain_log(p);
    if (accuracy <= p->best)
        return VIT_CLI_OK;
    p->best = accuracy;
    return save_model(p, BEST);
}

static void complain_pictures(progress *p, const char *text, int bad, const char *then) {
    int named = 0;
    vit_cli_progress_hide(&p->bar);
    for (const char *line = text; *line; named++) {
        const size_t length = strcspn(line, "\n");
        vit_cli_complain("%.*s%s", (int)length, line, then);
        line += length + (line[length] == '\n');
    }
    if (named < bad)
        vit_cli_complain("and %d more pictures that cannot be used", bad - named);
    p->bad += bad;
}

/* One batch; and what is due after an update. */
static int batch(progress *p) {
    const vit_cli_training *run = p->run;
    vit_error error;
    int bad = 0;
    const char *text;
    vit_status done = vit_feed_next(p->feed, p->trainer, &bad, &text, &error);
    if (bad)
        complain_pictures(p, text, bad, done == VIT_OK ? "; the next picture takes its place" : "");
    if (done == VIT_OK) {
        done = vit_trainer_step(p->trainer, &p->last, &error);
        p->has_diverged = done == VIT_ERR_ARGUMENT;
    }
    if (done != VIT_OK) {
        vit_cli_progress_hide(&p->bar);
        return vit_cli_failed(&error);
    }
    p->now.loss += p->last.loss;
    p->now.batches++;
    p->now.correct += p->last.correct;
    p->now.seen += p->last.predictions;
    p->batches++;
    show(p);
    if (!p->last.updated)
        return VIT_CLI_OK;
    p->settled = p->now;
    const int64_t update = p->last.update;
    if (update % (run->options.accumulate < 50 ? 50 / run->options.accumulate : 1) == 0 && !log_step(p))
        return complain_log(p);
    const double every = run->evaluate_epochs;
    const int at_end = update >= run->options.updates;
    if (at_end || (every > 0 && floor(epochs_at(p, update) / every) > floor(epochs_at(p, update - 1) / every))) {
        int status = evaluate_and_note(p);
        if (status == VIT_CLI_OK)
            status = save(p);
        time_line(p);
        return status;
    }
    if (vit_cli_seconds() - p->saved <= run->save_seconds)
        return VIT_CLI_OK;
    const int status = save(p);
    time_line(p);
    return status;
}

static int stopped(const progress *p) {
    vit_cli_line(stderr, "vit: stopped at update %lld; --resume goes on", (long long)p->last.update);
    return INTERRUPTED;
}

static vit_feed_options feed_options(const vit_cli_training *run) {
    const vit_config *c = vit_model_config(run->model);
    return (vit_feed_options){.augment = run->augment, .preprocess = c->preprocess, .height = c->image_height,
                              .width = c->image_width, .batch = run->options.batch, .classes = c->classes,
                              .threads = run->loaders, .seed = run->options.seed, .held_out = run->held_out};
}

static int run_batches(progress *p) {
    const vit_cli_training *run = p->run;
    vit_error error;
    vit_feed_options options = feed_options(run);
    options.first = p->first * run->options.accumulate;
    if (vit_feed_open(&p->feed, run->data, &options, &error) != VIT_OK)
        return vit_cli_failed(&error);
    int status = VIT_CLI_OK;
    p->saved = vit_cli_seconds();
    time_line(p);
    while (status == VIT_CLI_OK && p->last.update < run->options.updates) {
        status = batch(p);
        if (status == VIT_CLI_OK && vit_cli_interrupted) {
            p->now = p->settled; /* what came after the last update is done again */
            status = save(p);
            status = status == VIT_CLI_OK ? stopped(p) : status;
        }
    }
    vit_cli_progress_hide(&p->bar);
    vit_feed_close(p->feed);
    return status;
}

static int pictures_of(const vit_cli_training *run) {
    int count = 0;
    for (int i = 0; i < vit_dataset_count(run->data); i++)
        count += !run->held_out[i];
    return count;
}

static int go_on(progress *p) {
    vit_cli_catch_interrupts();
    int status = open_files(p);
    p->first = p->last.update = vit_trainer_updates(p->trainer);
    p->began = vit_cli_seconds();
    p->bar = vit_cli_progress_start((double)p->run->options.updates * p->run->options.accumulate, "batches");
    const int is_over = p->first >= p->run->options.updates;
    if (status == VIT_CLI_OK && p->is_due) { /* it was interrupted */
        status = evaluate_and_note(p);
        if (status == VIT_CLI_OK)
            status = vit_cli_interrupted ? stopped(p) : save(p);
    }
    if (status == VIT_CLI_OK)
        status = is_over ? save_model(p, MODEL) : run_batches(p); /* it may have ended before that */
    if (p->log && fclose(p->log) != 0 && status == VIT_CLI_OK)
        status = complain_log(p);
    return status;
}

int vit_cli_train_check(const vit_cli_training *run) {
    const vit_feed_options feed = feed_options(run);
    vit_error error;
    if (vit_train_check(run->model, &run->options, &error) == VIT_OK && vit_feed_check(run->data, &feed, &error) == VIT_OK)
        return VIT_CLI_OK;
    return vit_cli_failed(&error);
}

int vit_cli_train_run(const vit_cli_training *run, double *accuracy) {
    progress p = {.run = run, .best = -1, .accuracy = -1, .images = pictures_of(run)};
    vit_error error;
    int status = VIT_CLI_FAILED;
    *accuracy = -1;
    p.named = calloc((size_t)vit_dataset_count(run->test ? run->test : run->data), 1);
    if (!p.named) {
        vit_cli_complain("out of memory for the names of pictures to test on");
    } else if (vit_trainer_open(&p.trainer, run->model, &run->options, &error) != VIT_OK) {
        vit_cli_failed(&error);
    } else {
        status = go_on(&p);
        *accuracy = p.has_diverged ? (double)NAN : p.accuracy;
    }
    vit_trainer_close(p.trainer);
    free(p.named);
    return p.has_diverged && run->is_trial ? VIT_CLI_OK : status;
}
