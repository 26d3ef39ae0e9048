#include "commands.h"
#include "engine.h"
#include "limits.h"
#include "paths.h"
#include "text_out.h"
#include "train_run.h"
#include "train_settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUN_DETAILS                                                                                                 \
    "The run's folder gets run.json (what all options came to), log.jsonl, model.gguf, best.gguf (of runs that are tested) and "           \
    "state.safetensors, from which --resume goes on as " \
    "if nothing had happened; Ctrl-C saves. A picture that cannot be read is named and passed over. The same seed " \
    "gives the same model, whatever the threads."
#define DATA_DETAILS                                                                                                \
    "DATA has a folder for each class (ImageFolder), or is a .tar file of such, or WebDataset's shards (KEY.jpg "   \
    "beside KEY.cls), or a folder with .tar files; of several, all pictures are taken. Classes are in the order " \
    "of their names, numbers first and by their value. " RUN_DETAILS

const vit_cli_command vit_cli_train_command = {
    .name = "train",
    .summary = "trains a network on pictures, from scratch",
    .arguments = "[options] --out DIR DATA...",
    .details = DATA_DETAILS,
    .examples = "  vit train --recipe cifar10-vit --val cifar10/test --out run cifar10/train\n"
                "  vit train --arch vit_tiny_patch16_224 --size 64 --patch 8 --epochs 50 --out run photos/\n"
                "  vit train --recipe cifar10-vit --val cifar10/test --out run --resume cifar10/train\n"
                "  vit train --size 64 --patch 8 --out run shards/train-*.tar\n"
                "  vit train --recipe paper-imagenet --show\n"
                "  vit plot run/log.jsonl --out run.svg\n",
    .most = -1,
};

const vit_cli_command vit_cli_finetune_command = {
    .name = "finetune",
    .summary = "trains a trained network on other pictures",
    .arguments = "[options] --model FILE|DIR --out DIR DATA...",
    .details = "The head is replaced by one of zeros for the classes of DATA; positions are interpolated for --size. "
               DATA_DETAILS,
    .examples = "  vit finetune --model vit_tiny/ --val cifar10/test --epochs 3 --out run cifar10/train\n"
                "  vit finetune --model vit_tiny/ --freeze patch_embed,blocks,norm,pos,cls --out run photos/\n"
                "  vit finetune --model vit_tiny/ --lr 0.003,0.01,0.03 --holdout 0.02 --out run photos/\n",
    .most = -1,
};

const vit_cli_command vit_cli_pretrain_command = {
    .name = "pretrain",
    .summary = "trains a network to fill in pictures, without labels",
    .arguments = "[options] --out DIR DATA...",
    .details = "Masked patch prediction (the paper's appendix B.1.2): part of the patches of each picture is corrupted, "
               "and their colours are predicted: the mean in 3 bits, that of 4x4 cells, or the pixels. Tests hide half of "
               "the patches and say how many colours are right and how far off they are, for the model and for what needs "
               "no network. The model is for 'vit masked' and 'vit finetune'. DATA is a folder of pictures, which may "
               "lie in folders of it, a .tar file of them, or a folder with .tar files; several are taken as one. " RUN_DETAILS,
    .examples = "  vit pretrain --recipe tiny-imagenet --val tiny/val --out run tiny/train\n"
                "  vit masked --model run/best.gguf --out filled.png photo.jpg\n"
                "  vit finetune --model run/best.gguf --val cifar10/test --out tuned cifar10/train\n",
    .most = -1,
};

enum { MOST_RATES = 32, MOST_OPTIONS = 80, FEW_UPDATES = 20, SHOWN_CLASSES = 5 };

typedef struct request {
    const vit_cli_command *command;
    vit_cli_settings settings;
    vit_cli_model model;
    vit_cli_run run;
    vit_cli_record record;
    vit_cli_texts val;
    const char *out, *rates_text, *freeze;
    double rates[MOST_RATES];
    double holdout, evaluate, save_minutes;
    int seed, subset, loaders, resume, show, bf16, recompute, rate_count;
    char recipes[1000], rate[32]; /* texts of the table below, and of a recipe's rate */
    vit_cli_option options[MOST_OPTIONS];
} request;

/* What the options open. */
typedef struct material {
    vit_dataset *data, *test;
    vit_model *model;
    const char **labels;
    int *test_classes; /* as classes of data */
    uint8_t *held_out;
} material;

static int make_folder(const char *path) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && vit_is_folder(path)))
        return 1;
    vit_cli_complain("%s: cannot be made: %s", path, strerror(errno));
    return 0;
}

/* Those to test on, by their names, which may be fewer. Both are in the same order. */
static int find_classes(material *m, const vit_cli_texts *val) {
    const int count = vit_dataset_classes(m->data), tested = vit_dataset_classes(m->test);
    m->test_classes = malloc((size_t)tested * sizeof *m->test_classes);
    if (!m->test_classes) {
        vit_cli_complain("out of memory for the names of classes");
        return 0;
    }
    for (int i = 0, at = 0; i < tested; i++, at++) {
        const char *name = vit_dataset_class_name(m->test, i);
        while (at < count && strcmp(vit_dataset_class_name(m->data, at), name) != 0)
            at++;
        if (at == count) {
            vit_cli_complain("--val %s%s: other classes than those of the pictures to train on: '%s' is none of those %d", val->items[0],
                             val->count > 1 ? ", ..." : "", name, count);
            return 0;
        }
        m->test_classes[i] = at;
    }
    return 1;
}

static int open_pictures(const request *r, material *m) {
    vit_error error;
    vit_status (*open)(vit_dataset **, const char *const *, int, const vit_options *, vit_error *) =
        r->command == &vit_cli_pretrain_command ? vit_dataset_open_unlabelled : vit_dataset_open;
    if (open(&m->data, r->record.data, r->record.data_count, vit_cli_options(), &error) != VIT_OK ||
        (r->val.count && open(&m->test, r->val.items, r->val.count, vit_cli_options(), &error) != VIT_OK))
        return vit_cli_failed(&error);
    if (m->test && r->command != &vit_cli_pretrain_command && !find_classes(m, &r->val))
        return VIT_CLI_FAILED;
    const int count = vit_dataset_count(m->data), classes = vit_dataset_classes(m->data);
    m->labels = malloc((size_t)classes * sizeof *m->labels);
    m->held_out = calloc((size_t)count, 1);
    if (!m->labels || !m->held_out) {
        vit_cli_complain("out of memory for the names of classes");
        return VIT_CLI_FAILED;
    }
    for (int i = 0; i < classes; i++)
        m->labels[i] = vit_dataset_class_name(m->data, i);
    vit_train_hold_out(m->held_out, count, r->holdout, (uint64_t)r->seed);
    if (r->subset)
        vit_train_subset(m->held_out, count, r->subset, (uint64_t)r->seed);
    return VIT_CLI_OK;
}

static int open_model(const request *r, material *m) {
    const vit_cli_settings *s = &r->settings;
    const int classes = vit_dataset_classes(m->data);
    vit_options options = *vit_cli_options();
    vit_config config;
    vit_error error;
    options.raw_weights = 1;
    if (r->command == &vit_cli_finetune_command) {
        vit_model *base;
        vit_cli_model named = r->model;
        named.raw_weights = 1;
        const int status = vit_cli_model_open(&base, &named, VIT_COMPUTE_F32);
        if (status != VIT_CLI_OK)
            return status;
        const vit_status adapted =
            vit_model_adapt(&m->model, base, classes, s->size[0], s->size[1], m->labels, &error);
        vit_model_close(base);
        return adapted == VIT_OK ? VIT_CLI_OK : vit_cli_failed(&error);
    }
    if (r->command == &vit_cli_pretrain_command) {
        if (vit_cli_network(s, 0, &config, &error) != VIT_OK)
            return vit_cli_failed(&error);
        config.decoder.kind = (vit_decoder_kind)(VIT_DECODER_MEAN3BIT + s->target);
        if (vit_model_init(&m->model, &config, (uint64_t)r->seed, &options, &error) != VIT_OK)
            return vit_cli_failed(&error);
        return VIT_CLI_OK;
    }
    if (vit_cli_network(s, classes, &config, &error) != VIT_OK ||
        vit_model_init(&m->model, &config, (uint64_t)r->seed, &options, &error) != VIT_OK ||
        vit_model_set_labels(m->model, m->labels, classes, &error) != VIT_OK)
        return vit_cli_failed(&error);
    return VIT_CLI_OK;
}

static void close_material(material *m) {
    vit_model_close(m->model);
    vit_dataset_close(m->data);
    vit_dataset_close(m->test);
    free(m->labels);
    free(m->test_classes);
    free(m->held_out);
}

/* "3 classes (cat, dog, ...)" */
static void list_classes(char *out, size_t size, const vit_dataset *data) {
    const int count = vit_dataset_classes(data);
    size_t used = (size_t)snprintf(out, size, ", %d classes (", count);
    for (int i = 0; i < count; i++) {
        const char *name = i < SHOWN_CLASSES ? vit_dataset_class_name(data, i) : "...";
        used += (size_t)snprintf(out + used, size - used, "%s%.20s", i ? ", " : "", name);
        if (i == SHOWN_CLASSES)
            break;
    }
    snprintf(out + used, size - used, ")");
}

static void introduce(const request *r, const material *m) {
    const vit_config *c = vit_model_config(m->model);
    char classes[200] = "";
    vit_cli_tell_left_out(m->data, r->command != &vit_cli_pretrain_command);
    if (m->test)
        vit_cli_tell_left_out(m->test, r->command != &vit_cli_pretrain_command);
    if (r->subset > vit_dataset_count(m->data))
        vit_cli_complain("--subset %d: there are %d pictures", r->subset, vit_dataset_count(m->data));
    if (c->classes == 1)
        vit_cli_complain("the pictures are of one class: there is nothing to tell it from");
    if (c->classes)
        list_classes(classes, sizeof classes, m->data);
    vit_cli_line(stderr, "vit: %s, %lld parameters, %dx%d pixels%s", c->architecture,
                 (long long)vit_model_parameters(m->model), c->image_height, c->image_width, classes);
}

/* Of a run on so many pictures. An average must outlive the first weights, in which the head is 0: no more than a part of it is
 * theirs. The paper's recipes for fine-tuning leave them 13 %. */
static vit_train_options options_for(const request *r, int pictures) {
    const double part = r->command == &vit_cli_finetune_command ? 1.0 / 5 : 1.0 / 20;
    vit_train_options o = vit_cli_train_options(&r->settings, pictures);
    const double most = pow(part, 1 / (double)o.updates);
    if (o.polyak > most)
        o.polyak = most;
    return o;
}

static void introduce_run(const request *r, const material *m, int pictures, const vit_cli_training *t) {
    const uint64_t bytes = vit_trainer_bytes(m->model, &t->options);
    char memory[32] = ""; /* it may be more than can be counted */
    if (bytes)
        snprintf(memory, sizeof memory, ", %.0f MB", (double)bytes * 1e-6);
    vit_cli_line(stderr, "vit: %d pictures to train on, %lld updates of %lld pictures%s", pictures,
                 (long long)t->options.updates, (long long)t->options.batch * t->options.accumulate, memory);
    if (t->options.polyak < r->settings.average)
        vit_cli_complain("--average %g is too long for so few updates: %.4g is taken", r->settings.average, t->options.polyak);
    if (t->options.updates < FEW_UPDATES)
        vit_cli_complain("%lld update%s will hardly teach it: more --epochs, a smaller --batch or --accumulate make more", (long long)t->options.updates,
                         t->options.updates == 1 ? "" : "s");
    if (t->options.warmup >= t->options.updates && t->options.warmup > 0)
        vit_cli_complain("the warm-up of %lld updates does not end before the run: the rate never reaches %g",
                         (long long)t->options.warmup, t->options.rate);
}

/* Where one of the rates is tried: 0 where the path is too long. */
static int trial_folder(char *out, size_t size, const request *r, int rate) {
    return snprintf(out, size, "%s/rate-%.9g", r->out, r->rates[rate]) < (int)size;
}

/* A trial is a run in a folder of its own, so it can be gone on with. */
static int try_rate(vit_cli_training *run, const request *r, int rate, double *accuracy) {
    char folder[4096];
    double begun;
    vit_cli_training trial = *run;
    trial.options.rate = r->rates[rate];
    trial.folder = folder;
    trial.is_trial = 1;
    if (!trial_folder(folder, sizeof folder, r, rate)) {
        vit_cli_complain("%.100s...: the path is too long", r->out);
        return VIT_CLI_FAILED;
    }
    if (!make_folder(folder))
        return VIT_CLI_FAILED;
    const int status = vit_cli_train_begun(folder, r->resume, &begun);
    return status == VIT_CLI_OK ? vit_cli_train_run(&trial, accuracy) : status;
}

/* The rate that does best on the pictures held out, each tried for the whole length. */
static int try_rates(vit_cli_training *run, const request *r) {
    double best = -1, chosen = 0;
    for (int i = 0; i < r->rate_count; i++) {
        double accuracy;
        const int status = try_rate(run, r, i, &accuracy);
        if (status != VIT_CLI_OK)
            return status;
        if (isnan(accuracy))
            vit_cli_line(stdout, "rate %g: diverged", r->rates[i]);
        else
            vit_cli_line(stdout, "rate %g: %.2f %% of the pictures held out", r->rates[i], accuracy);
        if (accuracy > best) {
            best = accuracy;
            chosen = r->rates[i];
        }
    }
    if (best < 0) {
        vit_cli_complain("none of the rates %s can be used", r->rates_text);
        return VIT_CLI_FAILED;
    }
    run->options.rate = chosen;
    vit_cli_line(stdout, "rate %g is chosen", chosen);
    return VIT_CLI_OK;
}

/* Meanwhile no other run may begin in the folder. */
static int choose_rate(vit_cli_training *run, const request *r) {
    char path[4096];
    snprintf(path, sizeof path, "%s/" VIT_CLI_LOG, r->out);
    FILE *log = fopen(path, "a");
    if (!log) {
        vit_cli_complain("%s: cannot be written: %s", path, strerror(errno));
        return VIT_CLI_FAILED;
    }
    const int status = vit_cli_lock(log, path) ? try_rates(run, r) : VIT_CLI_FAILED;
    fclose(log);
    return status;
}

/* The one that was chosen when the run was begun. */
static int resume_rate(vit_cli_training *run, const request *r, double begun) {
    run->options.rate = begun;
    for (int i = 0; i < r->rate_count; i++)
        if (r->rates[i] == begun)
            return VIT_CLI_OK;
    vit_cli_complain("%s: the run was begun with rate %g, which is none of %s", r->out, begun, r->rates_text);
    return VIT_CLI_FAILED;
}

/* Once the rate is chosen, those held out are trained on too (appendix B.1.1 of the paper). pictures: how many then. */
static void train_on_all(vit_cli_training *run, const request *r, material *m, int pictures) {
    const vit_train_options whole = options_for(r, pictures);
    for (int i = 0; i < vit_dataset_count(m->data); i++)
        m->held_out[i] = m->held_out[i] == 1 ? 0 : m->held_out[i];
    run->tests_held_out = 0;
    run->options.updates = whole.updates;
    run->options.warmup = whole.warmup;
    run->options.polyak = whole.polyak;
    introduce_run(r, m, pictures, run);
}

/* What a run is made of. begun: as of vit_cli_train_begun(). */
static int open_material(const request *r, material *m, double *begun) {
    vit_error error;
    int status = vit_cli_train_begun(r->out, r->resume, begun);
    if (status == VIT_CLI_OK)
        status = open_pictures(r, m);
    if (status == VIT_CLI_OK)
        status = open_model(r, m);
    if (status == VIT_CLI_OK && vit_train_check_freeze(m->model, r->freeze, &error) != VIT_OK)
        status = vit_cli_failed(&error);
    return status;
}

static int train(const request *r, const vit_session_options *session, material *m) {
    double begun;
    int status = open_material(r, m, &begun);
    if (status != VIT_CLI_OK)
        return status;
    int held = 0, left_out = 0;
    for (int i = 0; i < vit_dataset_count(m->data); i++) {
        held += m->held_out[i] == 1;
        left_out += m->held_out[i] != 0;
    }
    vit_cli_training run = {
        .model = m->model,
        .data = m->data,
        .test = m->test,
        .test_classes = m->test_classes,
        .held_out = m->held_out,
        .tests_held_out = held > 0,
        .options = options_for(r, vit_dataset_count(m->data) - left_out),
        .augment = vit_cli_augment(&r->settings),
        .loaders = r->loaders,
        .evaluate_epochs = r->evaluate,
        .save_seconds = r->save_minutes * 60,
        .folder = r->out,
        .record = &r->record,
    };
    run.options.threads = session->threads;
    run.options.kernels = session->kernels;
    run.options.seed = (uint64_t)r->seed;
    run.options.bf16 = r->bf16;
    run.options.recompute = r->recompute;
    run.options.freeze = r->freeze;
    if (r->rate_count > 1 && !held) {
        vit_cli_complain("--holdout %g leaves no picture to choose a rate by", r->holdout);
        return VIT_CLI_FAILED;
    }
    status = vit_cli_train_check(&run);
    if (status != VIT_CLI_OK)
        return status;
    if (!make_folder(r->out)) /* nothing of what cannot begin is left */
        return VIT_CLI_FAILED;
    if (r->holdout > 0 && !held)
        vit_cli_complain("--holdout %g of %d pictures is none", r->holdout, vit_dataset_count(m->data));
    introduce(r, m);
    introduce_run(r, m, vit_dataset_count(m->data) - left_out, &run);
    double accuracy;
    if (r->rate_count > 1) {
        const vit_dataset *test = run.test;
        run.test = NULL; /* choosing looks at no test picture */
        status = begun > 0 ? resume_rate(&run, r, begun) : choose_rate(&run, r);
        run.test = test;
        if (status == VIT_CLI_OK && !r->subset) /* which are so many, whatever they are for */
            train_on_all(&run, r, m, vit_dataset_count(m->data) - left_out + held);
    }
    if (status == VIT_CLI_OK)
        status = vit_cli_train_run(&run, &accuracy);
    for (int i = 0; r->rate_count > 1 && i < r->rate_count && status == VIT_CLI_OK; i++) {
        char folder[4096];
        if (trial_folder(folder, sizeof folder, r, i))
            vit_cli_train_forget(folder);
    }
    return status;
}

/* The command's table. */
static void make_options(request *r) {
    const int is_new = r->command != &vit_cli_finetune_command, is_pretrain = r->command == &vit_cli_pretrain_command;
    vit_cli_settings *s = &r->settings;
    const vit_cli_option network[] = {
        {"arch", "NAME", VIT_CLI_TEXT, &s->arch, 0, 0, "which network ('vit init --list')"},
        VIT_CLI_NETWORK_OPTIONS(*s),
    };
    const vit_cli_option head[] = {VIT_CLI_HEAD_OPTION(*s)};
    const vit_cli_option classes[] = {
        {"loss", "softmax|sigmoid", VIT_CLI_CHOICE, &s->loss, 0, 0, "cross-entropy of which probabilities"},
        {"label-smoothing", "E", VIT_CLI_NUMBER, &s->smoothing, 0, 1, "part of the target that all classes share"},
    };
    const vit_cli_option patches[] = {
        {"target", "mean3bit|down4x4|pixels", VIT_CLI_CHOICE, &s->target, 0, 0,
         "what is predicted of a patch: its mean colour of 3 bits, those of 4x4 cells, its pixels"},
        {"corrupt", "R", VIT_CLI_NUMBER, &s->corrupt, 0.01, 1, "share of the patches that are corrupted (default: 0.5)"},
        {"corrupt-masked", "R", VIT_CLI_NUMBER, &s->masked, 0, 1,
         "share of those that become the mask token (default: 0.8)"},
        {"corrupt-swapped", "R", VIT_CLI_NUMBER, &s->swapped, 0, 1,
         "share of those that get another patch's embedding (default: 0.1); the others are kept as they are"},
    };
    const vit_cli_option base[] = {
        VIT_CLI_MODEL_OPTIONS(r->model),
        {"freeze", "NAMES", VIT_CLI_TEXT, &r->freeze, 0, 0,
         "weights that stay as they are: beginnings of their names, up to a . or _, separated by commas"},
    };
    const vit_cli_option shared[] = {
        {"out", "DIR", VIT_CLI_TEXT, &r->out, 0, 0, "the run's folder; made if it is not there"},
        {"val", "DATA", VIT_CLI_TEXTS, &r->val, 0, 0, "pictures to test on, in folders of the same names; may be there several times"},
        {"holdout", "F", VIT_CLI_NUMBER, &r->holdout, 0, 0.9, "do not train on this part of DATA; what is tested on without --val"},
        {"subset", "N", VIT_CLI_INT, &r->subset, 1, 2147483647, "train on so many pictures of DATA, chosen by the seed"},
        {"size", "N|HxW", VIT_CLI_SIZE, s->size, 0, 0, "pixels the network is fed"},
        {"lr", "R[,R...]", VIT_CLI_TEXT, &r->rates_text, 0, 0,
         "the highest rate; of several, the best on the pictures held out, each tried for the whole length in a folder of its own (rate-R); then all are trained on (with --subset: those that were)"},
        vit_cli_recipe_option(s, r->command->name, r->recipes, sizeof r->recipes),
        VIT_CLI_SETTINGS_OPTIONS(*s),
        {"seed", "N", VIT_CLI_INT, &r->seed, 0, 2147483647, "of weights, order, augmentation and dropout (default: 0)"},
        {"eval-epochs", "N", VIT_CLI_NUMBER, &r->evaluate, 0, 1e6, "passes between tests; 0: at the end (default: 1)"},
        {"save-minutes", "N", VIT_CLI_NUMBER, &r->save_minutes, 0, 1e6, "between checkpoints, at most (default: 5)"},
        {"show", NULL, VIT_CLI_FLAG, &r->show, 0, 0, "print what all options come to, those of the recipe too, and end"},
        {"resume", NULL, VIT_CLI_FLAG, &r->resume, 0, 0, "go on with the run in the folder, if there is one"},
        {"bf16", NULL, VIT_CLI_FLAG, &r->bf16, 0, 0, "products of bfloat16 factors with sums in f32: faster; for processors with AMX"},
        {"recompute", NULL, VIT_CLI_FLAG, &r->recompute, 0, 0, "less memory, a third more time"},
        {"loaders", "N", VIT_CLI_INT, &r->loaders, 0, 64, "threads that read pictures ahead (default: 1)"},
        {"threads", "N", VIT_CLI_INT, &r->run.threads, 1, 256, "default: one for each processor, at most 8"},
        {"kernels", "NAME", VIT_CLI_TEXT, &r->run.kernels, 0, 0, "one of those 'vit version' lists (default: VIT_KERNELS in the environment, else the fastest)"},
    };
    const struct {
        const vit_cli_option *rows;
        size_t bytes;
    } tables[] = {
        {is_new ? network : base, is_new ? sizeof network : sizeof base},
        {head, is_new && !is_pretrain ? sizeof head : 0},
        {is_pretrain ? patches : classes, is_pretrain ? sizeof patches : sizeof classes},
        {shared, sizeof shared},
    };
    _Static_assert((sizeof network + sizeof patches + sizeof shared) / sizeof *shared < MOST_OPTIONS, "they and the end of a table");
    size_t rows = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        memcpy(r->options + rows, tables[i].rows, tables[i].bytes);
        rows += tables[i].bytes / sizeof *shared;
    }
    r->options[rows] = (vit_cli_option){0};
}

/* -1 to go on, or the exit status. */
static int read_rates(request *r) {
    snprintf(r->rate, sizeof r->rate, "%.9g", r->settings.rate);
    if (!r->rates_text)
        r->rates_text = r->rate;
    r->rate_count = vit_cli_numbers(r->rates_text, 1e-30, 1e6, r->rates, MOST_RATES);
    if (!r->rate_count)
        return vit_cli_usage(r->command, "--lr '%s': expected a rate above 0, or several separated by commas", r->rates_text);
    for (int i = 1; i < r->rate_count; i++)
        for (int j = 0; j < i; j++)
            if (r->rates[i] == r->rates[j])
                return vit_cli_usage(r->command, "--lr '%s': %g is there twice", r->rates_text, r->rates[i]);
    r->settings.rate = r->rates[0];
    return -1;
}

/* -1 where what is tested on is not trained on, or the exit status. */
static int check_apart(const request *r) {
    for (int i = 0; i < r->val.count; i++)
        for (int j = 0; j < r->record.data_count; j++)
            if (vit_cli_overlap(r->val.items[i], r->record.data[j]))
                return vit_cli_usage(r->command, "--val '%s' shares pictures with DATA '%s': expected others to test on (--holdout 0.1 keeps a tenth of DATA)",
                                     r->val.items[i], r->record.data[j]);
    return -1;
}

static int run(const vit_cli_command *command, int argc, char **argv) {
    request whole = {.command = command, .evaluate = 1, .save_minutes = 5, .loaders = 1}, *r = &whole;
    int count;
    vit_cli_settings *s = &r->settings;
    if (!vit_cli_settings_begin(s, r->command->name, argc, argv))
        return VIT_CLI_USAGE;
    make_options(r);
    int status = vit_cli_parse(r->command, r->options, argc, argv, &count);
    if (status >= 0)
        return status;
    r->record = (vit_cli_record){r->command->name, r->options, (const char *const *)argv, count};
    if (!vit_cli_units(s))
        return vit_cli_usage(r->command, VIT_CLI_UNITS_EXPECTED, s->units_text);
    status = read_rates(r);
    if (status >= 0)
        return status;
    if (s->batch < 2 && (s->mixup > 0 || s->cutmix > 0))
        return vit_cli_usage(r->command, "--mixup and --cutmix need a --batch of 2 pictures or more");
    if (r->rate_count > 1 && !(r->holdout > 0))
        return vit_cli_usage(r->command, "--lr with several rates needs --holdout");
    vit_session_options session;
    vit_config config;
    status = vit_cli_session_options(&session, r->command, &r->run);
    if (status < 0 && r->command != &vit_cli_finetune_command)
        status = vit_cli_check_network(r->command, s, 1, &config);
    if (status >= 0)
        return status;
    r->model.path = vit_cli_model_path(&r->model); /* for the record, which VIT_MODEL is not in */
    if (r->show) {
        vit_cli_record_write(stdout, &r->record);
        return VIT_CLI_OK;
    }
    if (!count)
        return vit_cli_usage(r->command, "expected DATA, the pictures");
    if (!r->out)
        return vit_cli_usage(r->command, "expected --out DIR, the run's folder");
    status = check_apart(r);
    if (status >= 0)
        return status;
    material m = {0};
    const int result = train(r, &session, &m);
    close_material(&m);
    return result;
}

int vit_cli_train(int argc, char **argv) {
    return run(&vit_cli_train_command, argc, argv);
}

int vit_cli_finetune(int argc, char **argv) {
    return run(&vit_cli_finetune_command, argc, argv);
}

int vit_cli_pretrain(int argc, char **argv) {
    return run(&vit_cli_pretrain_command, argc, argv);
}
