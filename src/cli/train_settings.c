#include "train_settings.h"

#include "limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADAMW, ADAM, SGD, ADAM_L2 };
enum { CLASS_TOKEN = 1, MEAN = 2 };

/* The paper's tables 3 and 4 (batches of 4096 and 512 as 32 pictures at a time), and ours. */
static const struct recipe {
    const char *name, *command, *what;
    vit_cli_settings settings;
} recipes[] = {
    {"plain", "train", "a ViT-Ti/16 with AdamW",
     {.arch = "vit_tiny_patch16_224", .epochs = 30, .batch = 64, .accumulate = 1, .rate = 1e-3, .warmup_epochs = 1,
      .weight_decay = 0.05, .clip = 1, .schedule = VIT_SCHEDULE_COSINE, .smoothing = 0.1, .crop = 0.35, .flip = 0.5}},
    {"cifar10-vit", "train", "a small pure ViT for 32x32 pictures",
     {.arch = "vit_tiny_patch16_224", .layers = 7, .width = 128, .heads = 4, .mlp = 256, .patch = 4, .size = {32, 32},
      .pool = MEAN, .epochs = 70, .batch = 128, .accumulate = 1, .rate = 1.5e-3, .warmup_epochs = 3, .weight_decay = 0.05,
      .clip = 1, .average = 0.9995, .schedule = VIT_SCHEDULE_COSINE, .smoothing = 0.1, .pad = 4, .flip = 0.5,
      .operations = 1}},
    {"cifar10-hybrid", "train", "a small hybrid for 32x32 pictures",
     {.arch = "vit_tiny_r_s16_p8_224", .layers = 1, .width = 192, .heads = 6, .mlp = 384, .patch = 1, .size = {32, 32},
      .stem_width = 64, .stem_size = 3, .stem_stride = 1, .unit_width = 32, .units_text = "2,2,2", .norm_groups = 8, .pool = MEAN,
      .epochs = 110, .batch = 64, .accumulate = 1, .optimizer = SGD, .rate = 0.1, .warmup_epochs = 1, .weight_decay = 2e-4,
      .clip = 1, .average = 0.999, .schedule = VIT_SCHEDULE_LINEAR, .smoothing = 0.1, .pad = 4, .flip = 0.5, .erase = 0.25, .cutmix = 0.3}},
    {"paper-imagenet", "train", "table 3: ViT on ImageNet, 300 epochs",
     {.arch = "vit_base_patch16_224", .hidden_head = VIT_CLI_LIKE_NETWORK, .epochs = 300, .batch = 32, .accumulate = 128, .rate = 3e-3, .warmup = 10000,
      .weight_decay = 0.3, .clip = 1, .schedule = VIT_SCHEDULE_COSINE, .dropout = 0.1, .crop = 0.05, .flip = 0.5}},
    {"paper-imagenet21k", "train", "table 3: ViT-B on ImageNet-21k, 90 epochs",
     {.arch = "vit_base_patch16_224", .hidden_head = VIT_CLI_LIKE_NETWORK, .epochs = 90, .batch = 32, .accumulate = 128, .rate = 1e-3, .warmup = 10000,
      .weight_decay = 0.03, .final_rate = 1e-5, .schedule = VIT_SCHEDULE_LINEAR, .dropout = 0.1, .crop = 0.05, .flip = 0.5}},
    {"paper-jft", "train", "table 3: on JFT-300M, rate and epochs by --arch (ViT-B: 7)",
     {.arch = "vit_base_patch16_224", .hidden_head = VIT_CLI_LIKE_NETWORK, .epochs = 7, .batch = 32, .accumulate = 128, .rate = 8e-4, .warmup = 10000,
      .weight_decay = 0.1, .final_rate = 1e-5, .schedule = VIT_SCHEDULE_LINEAR, .crop = 0.05, .flip = 0.5}},
    {"plain", "finetune", "SGD with momentum, as the paper fine-tunes",
     {.epochs = 5, .batch = 32, .accumulate = 4, .optimizer = SGD, .rate = 0.01, .warmup_epochs = 0.3, .clip = 1,
      .schedule = VIT_SCHEDULE_COSINE, .crop = 0.35, .flip = 0.5}},
    {"paper-imagenet", "finetune", "table 4: ImageNet, 20,000 steps (rates 0.003, 0.01, 0.03, 0.06; --size 512 for L/16, 518 for H/14)",
     {.steps = 20000, .batch = 32, .accumulate = 16, .optimizer = SGD, .bf16_momentum = 1, .rate = 0.03, .warmup = 500,
      .clip = 1, .average = 0.9999, .size = {384, 384}, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.05, .flip = 0.5}},
    {"paper-cifar", "finetune", "table 4: CIFAR-10 and 100, 10,000 steps (rates 0.001, 0.003, 0.01, 0.03)",
     {.steps = 10000, .batch = 32, .accumulate = 16, .optimizer = SGD, .bf16_momentum = 1, .rate = 0.01, .warmup = 500,
      .clip = 1, .size = {384, 384}, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.05, .flip = 0.5}},
    {"paper-small", "finetune", "table 4: Pets and Flowers, 500 steps (rates 0.001, 0.003, 0.01, 0.03)",
     {.steps = 500, .batch = 32, .accumulate = 16, .optimizer = SGD, .bf16_momentum = 1, .rate = 0.01, .warmup = 100,
      .clip = 1, .size = {384, 384}, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.05, .flip = 0.5}},
    {"paper-vtab", "finetune", "table 4: VTAB, 2,500 steps",
     {.steps = 2500, .batch = 32, .accumulate = 16, .optimizer = SGD, .bf16_momentum = 1, .rate = 0.01, .warmup = 200,
      .clip = 1, .size = {384, 384}, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.05, .flip = 0.5}},
    {"plain", "pretrain", "a ViT-Ti/16 with AdamW",
     {.arch = "vit_tiny_patch16_224", .epochs = 30, .batch = 64, .accumulate = 1, .rate = 1e-3, .warmup_epochs = 1,
      .weight_decay = 0.05, .clip = 1, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.35, .flip = 0.5, .corrupt = 0.5}},
    {"paper", "pretrain", "appendix B.1.2: ViT-B/16, 14 epochs of JFT-300M, a million steps",
     {.arch = "vit_base_patch16_224", .steps = 1000000, .batch = 32, .accumulate = 128, .optimizer = ADAM, .rate = 2e-4,
      .warmup = 10000, .schedule = VIT_SCHEDULE_COSINE, .crop = 0.05, .flip = 0.5, .corrupt = 0.5}},
    {"tiny-imagenet", "pretrain", "a small ViT with patches of 4 for 64x64 pictures",
     {.arch = "vit_tiny_patch16_224", .layers = 6, .width = 128, .heads = 4, .mlp = 512, .patch = 4, .size = {64, 64},
      .pool = MEAN, .epochs = 20, .batch = 64, .accumulate = 1, .rate = 1e-3, .warmup_epochs = 0.5, .weight_decay = 0.05,
      .clip = 1, .average = 0.999, .schedule = VIT_SCHEDULE_COSINE, .flip = 0.5, .corrupt = 0.5}},
};

enum { RECIPES = sizeof recipes / sizeof *recipes };

/* Table 3 on JFT-300M, where it is not ViT-B's: by the beginning of the network's name. */
static const struct {
    const char *arch;
    double rate, epochs;
} jft[] = {
    {"vit_large_patch32", 6e-4, 7}, {"vit_large_patch16", 4e-4, 7}, {"vit_huge_patch14", 3e-4, 14}, {"bit_r50", 1e-3, 7},
    {"bit_r101", 8e-4, 7}, {"bit_r152", 6e-4, 7}, {"resnetv2_50", 1e-3, 7}, {"resnetv2_101", 8e-4, 7}, {"resnetv2_152", 6e-4, 7}, {"r50_vit_l_32", 2e-4, 7}, {"r50_vit_l_16", 4e-4, 7},
    {"vit_large_r50_s32", 2e-4, 7},
};

vit_cli_option vit_cli_recipe_option(vit_cli_settings *s, const char *command, char *help, size_t size) {
    size_t length = (size_t)snprintf(help, size, "settings to begin with; other options change them:");
    for (int i = 0; i < RECIPES; i++)
        if (strcmp(recipes[i].command, command) == 0 && length < size)
            length += (size_t)snprintf(help + length, size - length, "\n%s: %s", recipes[i].name, recipes[i].what);
    return (vit_cli_option){"recipe", "NAME", VIT_CLI_TEXT, &s->recipe, 0, 0, help};
}

/* What follows the option where it is given last, NULL: it is not. */
static const char *value_of(int argc, char **argv, const char *option) {
    const size_t length = strlen(option);
    const char *value = NULL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], option, length) == 0 && (!argv[i][length] || argv[i][length] == '='))
            value = argv[i][length] ? argv[i] + length + 1 : i + 1 < argc ? argv[i + 1] : "";
    return value;
}

/* What a recipe makes of its own network, for another to be as its name says. */
static void forget_network(vit_cli_settings *s) {
    s->layers = s->width = s->heads = s->mlp = s->patch = s->pool = 0;
    s->stem_width = s->stem_size = s->stem_stride = s->norm_groups = s->unit_width = 0;
    s->units_text = NULL;
}

/* Two options that say the same in other words: what a recipe says gives way. 0 and a complaint where both are there. */
static int say_once(vit_cli_settings *s, int argc, char **argv) {
    const struct {
        const char *option, *other;
        void *value; /* of the other */
        size_t bytes;
    } pairs[] = {
        {"--epochs", "--steps", &s->steps, sizeof s->steps},
        {"--steps", "--epochs", &s->epochs, sizeof s->epochs},
        {"--warmup-epochs", "--warmup", &s->warmup, sizeof s->warmup},
        {"--warmup", "--warmup-epochs", &s->warmup_epochs, sizeof s->warmup_epochs},
        {"--crop", "--pad", &s->pad, sizeof s->pad},
        {"--pad", "--crop", &s->crop, sizeof s->crop},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *given = value_of(argc, argv, pairs[i].option), *other = value_of(argc, argv, pairs[i].other);
        if (!given)
            continue;
        if (other && strtod(given, NULL) != 0 && strtod(other, NULL) != 0) {
            vit_cli_complain("%s and %s set the same thing: give one of them", pairs[i].option, pairs[i].other);
            return 0;
        }
        memset(pairs[i].value, 0, pairs[i].bytes);
    }
    return 1;
}

int vit_cli_settings_begin(vit_cli_settings *out, const char *command, int argc, char **argv) {
    const int wants_help = value_of(argc, argv, "--help") || value_of(argc, argv, "-h");
    const char *given = value_of(argc, argv, "--recipe"), *name = given && !wants_help ? given : "plain";
    for (int i = 0; i < RECIPES; i++)
        if (strcmp(recipes[i].command, command) == 0 && strcmp(recipes[i].name, name) == 0) {
            *out = recipes[i].settings;
            out->masked = vit_default_train_options().corrupt_masked;
            out->swapped = vit_default_train_options().corrupt_swapped;
            out->magnitude = 9; /* torchvision's */
            const char *arch = value_of(argc, argv, "--arch");
            if (arch)
                forget_network(out);
            for (size_t j = 0; arch && strcmp(name, "paper-jft") == 0 && j < sizeof jft / sizeof *jft; j++)
                if (strncmp(arch, jft[j].arch, strlen(jft[j].arch)) == 0) {
                    out->rate = jft[j].rate;
                    out->epochs = jft[j].epochs;
                }
            return wants_help || say_once(out, argc, argv);
        }
    vit_cli_complain("%s: no recipe '%s'; there are:", command, name);
    for (int i = 0; i < RECIPES; i++)
        if (strcmp(recipes[i].command, command) == 0)
            fprintf(stderr, "  %-18s %s\n", recipes[i].name, recipes[i].what);
    return 0;
}

/* At most 2^31. */
static int64_t updates(double epochs, int images, const vit_cli_settings *s) {
    const double count = ceil(epochs * images / ((double)s->batch * s->accumulate));
    return count > 2147483647 ? 2147483647 : (int64_t)count;
}

vit_train_options vit_cli_train_options(const vit_cli_settings *s, int images) {
    vit_train_options o = vit_default_train_options();
    o.batch = s->batch;
    o.accumulate = s->accumulate;
    o.loss = (vit_loss)s->loss;
    o.label_smoothing = (float)s->smoothing;
    o.dropout = (float)s->dropout;
    o.drop_path = (float)s->drop_path;
    o.optimizer = s->optimizer == SGD ? VIT_OPTIMIZER_SGD : VIT_OPTIMIZER_ADAM;
    o.decay = s->optimizer == ADAMW ? VIT_DECAY_RATE : s->optimizer == ADAM ? VIT_DECAY_SCHEDULE : VIT_DECAY_GRADIENT;
    o.momentum_bf16 = s->bf16_momentum;
    o.weight_decay = (float)s->weight_decay;
    o.clip_norm = (float)s->clip;
    o.schedule = (vit_schedule)s->schedule;
    o.rate = s->rate;
    o.final_rate = s->final_rate;
    o.updates = s->steps ? s->steps : updates(s->epochs, images, s);
    o.polyak = s->average;
    o.corrupt = (float)s->corrupt;
    o.corrupt_masked = (float)s->masked;
    o.corrupt_swapped = (float)s->swapped;
    if (o.updates < 1)
        o.updates = 1;
    const int64_t warmup = updates(s->warmup_epochs, images, s); /* of few pictures may be all updates: most learn then */
    o.warmup = s->warmup ? s->warmup : warmup < o.updates / 2 ? warmup : o.updates / 2;
    return o;
}

vit_augment vit_cli_augment(const vit_cli_settings *s) {
    vit_augment a = vit_default_augment();
    if (s->crop > 0 && !s->pad) {
        a.crop_scale[0] = s->crop;
        a.crop_scale[1] = 1;
    }
    a.pad = s->pad;
    a.flip = (float)s->flip;
    a.random_ops = s->operations;
    a.random_magnitude = s->magnitude;
    a.erase = (float)s->erase;
    a.mixup = (float)s->mixup;
    a.cutmix = (float)s->cutmix;
    return a;
}

static void set(int *field, int value) {
    if (value)
        *field = value;
}

int vit_cli_units(vit_cli_settings *s) {
    return !s->units_text || vit_cli_integers(s->units_text, 1, 1000, s->units, 4) > 0;
}

static vit_status refuse(const vit_config *c, const char *what, vit_error *error) {
    snprintf(error->text, sizeof error->text, "%s, which %s does not have", what, c->architecture);
    return error->status = VIT_ERR_CONFIG;
}

vit_status vit_cli_network(const vit_cli_settings *s, int classes, vit_config *c, vit_error *error) {
    const vit_status status = vit_architecture_config(c, s->arch, error);
    if (status != VIT_OK)
        return status;
    if (!c->resnet.stem_width && (s->stem_width || s->stem_size || s->stem_stride || s->norm_groups || s->unit_width || s->units[0]))
        return refuse(c, "--stem-width, --stem-size, --stem-stride, --norm-groups, --unit-width and --units are for convolutions", error);
    if (c->network == VIT_NETWORK_BIT && (s->layers || s->width || s->heads || s->mlp || s->hidden_head > 0 || s->patch || s->pool || s->pos || s->placement))
        return refuse(c, "--layers, --width, --heads, --mlp, --hidden-head, --patch, --pool, --pos and --placement are for networks with tokens", error);
    set(&c->layers, s->layers);
    set(&c->width, s->width);
    set(&c->heads, s->heads);
    set(&c->mlp_width, s->mlp ? s->mlp : s->width ? 4 * s->width : 0);
    set(&c->patch_height, s->patch);
    set(&c->patch_width, s->patch);
    if (s->size[0]) {
        c->image_height = c->preprocess.height = s->size[0];
        c->image_width = c->preprocess.width = s->size[1];
    }
    set(&c->resnet.stem_width, s->stem_width);
    set(&c->resnet.root_size, s->stem_size);
    set(&c->resnet.root_stride, s->stem_stride);
    set(&c->resnet.norm_groups, s->norm_groups);
    set(&c->resnet.width, s->unit_width);
    if (s->units[0]) {
        memcpy(c->resnet.units, s->units, sizeof s->units);
        c->resnet.stages = 0;
        while (c->resnet.stages < 4 && s->units[c->resnet.stages])
            c->resnet.stages++;
    }
    if (c->network == VIT_NETWORK_BIT)
        c->width = 4 * c->resnet.width << (c->resnet.stages ? c->resnet.stages - 1 : 0);
    if (s->size[0] && s->size[0] < 128)
        c->preprocess.crop_pct = 1; /* small pictures are taken whole */
    if (s->pool == MEAN) {
        c->pool = VIT_POOL_MEAN;
        c->class_token = c->pos_class = 0;
    } else if (s->pool == CLASS_TOKEN) {
        c->pool = VIT_POOL_CLASS;
        c->class_token = c->pos_class = 1;
    }
    if (s->pos) {
        c->pos_kind = (vit_pos_kind)(s->pos - 1);
        c->pos_class &= c->pos_kind == VIT_POS_1D || c->pos_kind == VIT_POS_2D;
        if (c->pos_kind != VIT_POS_1D) /* tables along one axis */
            c->pos_resample = VIT_RESAMPLE_JAX;
    }
    if (s->placement)
        c->pos_placement = (vit_pos_placement)(s->placement - 1);
    c->classes = classes < 0 ? c->classes : classes;
    if (c->network == VIT_NETWORK_VIT)
        set(&c->pre_logits, s->hidden_head == VIT_CLI_LIKE_NETWORK ? c->width : s->hidden_head);
    const char *kind = c->resnet.stem_width ? "hybrid" : "vit";
    if (c->network == VIT_NETWORK_BIT) {
        if (s->units[0] || s->unit_width || s->stem_width)
            snprintf(c->architecture, sizeof c->architecture, "bit_d%d_%d", c->width, c->image_height);
    } else if (s->layers || s->width || s->patch || s->units[0]) {
        snprintf(c->architecture, sizeof c->architecture, "%s_d%d_l%d_patch%d_%d", kind, c->width, c->layers,
                 c->patch_height, c->image_height);
    }
    return VIT_OK;
}

static int unknown_architecture(const vit_cli_command *command, const char *name) {
    vit_cli_guess guess = {.name = name, .within = 4};
    for (int i = 0; vit_architecture_name(i); i++)
        vit_cli_guess_try(&guess, vit_architecture_name(i));
    if (guess.nearest)
        return vit_cli_usage(command, "architecture '%s' is not known; did you mean '%s'?", name, guess.nearest);
    return vit_cli_usage(command, "architecture '%s' is not known; 'vit init --list' prints those that are", name);
}

int vit_cli_check_network(const vit_cli_command *command, const vit_cli_settings *s, int classes, vit_config *out) {
    vit_model *plan;
    vit_error error;
    if (vit_architecture_config(out, s->arch, &error) != VIT_OK)
        return unknown_architecture(command, s->arch);
    if (vit_cli_network(s, classes, out, &error) == VIT_OK && vit_model_plan(&plan, out, vit_cli_options(), &error) == VIT_OK) {
        vit_model_close(plan);
        return -1;
    }
    if (error.status == VIT_ERR_CONFIG || error.status == VIT_ERR_UNSUPPORTED) /* sizes that do not fit together */
        return vit_cli_usage(command, "%s", error.text);
    return vit_cli_failed(&error);
}
