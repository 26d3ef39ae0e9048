/* From a container of foreign tensors to slots of our own: names, layouts, and what only shapes tell. */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Names ---- */

/* Hugging Face's names (transformers 5 still writes these old ones) and ours. part: which third of qkv, or -1. */
static const struct hf_name {
    const char *hf, *ours;
    int part;
} hf_names[] = {{"embeddings.cls_token", "cls_token", -1},
                {"embeddings.position_embeddings", "pos_embed", -1},
                {"embeddings.patch_embeddings.projection", "patch_embed.proj", -1},
                {"layernorm", "norm", -1},
                {"classifier", "head", -1},
                {0}},
  hf_block_names[] = {{"layernorm_before", "norm1", -1},
                      {"attention.attention.query", "attn.qkv", 0},
                      {"attention.attention.key", "attn.qkv", 1},
                      {"attention.attention.value", "attn.qkv", 2},
                      {"attention.output.dense", "attn.proj", -1},
                      {"layernorm_after", "norm2", -1},
                      {"intermediate.dense", "mlp.fc1", -1},
                      {"output.dense", "mlp.fc2", -1},
                      {0}};

/* name is base, base.weight or base.bias: the ending; else NULL. */
static const char *ending_after(const char *name, const char *base) {
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0)
        return NULL;
    const char *ending = name + length;
    return !*ending || strcmp(ending, ".weight") == 0 || strcmp(ending, ".bias") == 0 ? ending : NULL;
}

typedef struct own_name {
    char name[64];
    int part; /* -1: the whole weight */
} own_name;

/* Our name for a tensor of the file; names that are not Hugging Face's are ours already. */
static own_name translate(const char *name) {
    own_name own = {.part = -1};
    const char *plain = strncmp(name, "vit.", 4) == 0 ? name + 4 : name, *ending;
    const struct hf_name *entry = hf_names;
    char prefix[32] = "";
    int layer;
    const char *in_layer = vit_after_layer(plain, "encoder.layer.", &layer);
    if (in_layer) {
        snprintf(prefix, sizeof prefix, "blocks.%d.", layer);
        plain = in_layer;
        entry = hf_block_names;
    }
    for (; entry->hf; entry++)
        if ((ending = ending_after(plain, entry->hf))) {
            snprintf(own.name, sizeof own.name, "%s%s%s", prefix, entry->ours, ending);
            own.part = entry->part;
            return own;
        }
    snprintf(own.name, sizeof own.name, "%s", name);
    return own;
}

/* What the file would have called a part of a slot, for the error that it is missing. */
static void foreign_name(const char *own, int part, int is_hf, char *out, size_t size) {
    int layer;
    const struct hf_name *entry = hf_names;
    const char *rest = own, *in_layer = vit_after_layer(own, "blocks.", &layer), *ending;
    snprintf(out, size, "%s", own);
    if (!is_hf)
        return;
    if (in_layer) {
        rest = in_layer;
        entry = hf_block_names;
    }
    for (; entry->hf; entry++)
        if ((entry->part < 0 || entry->part == part) && (ending = ending_after(rest, entry->ours))) {
            if (in_layer)
                snprintf(out, size, "vit.encoder.layer.%d.%s%s", layer, entry->hf, ending);
            else
                snprintf(out, size, "%s%s%s", strcmp(entry->hf, "classifier") ? "vit." : "", entry->hf, ending);
            return;
        }
}

/* Weights of networks that resemble ours but compute something else: running without them would be silently wrong. */
static const char *foreign_network(const char *name) {
    static const struct {
        const char *part, *what;
    } known[] = {{".ls1.", "LayerScale"},
                 {".ls2.", "LayerScale"},
                 {".layer_scale", "LayerScale"},
                 {"reg_token", "register tokens"},
                 {"register_tokens", "register tokens"},
                 {"dist_token", "a distillation token"},
                 {"distillation_token", "a distillation token"},
                 {"norm_pre.", "a norm before the blocks"},
                 {".q_norm.", "query-key norms"},
                 {".k_norm.", "query-key norms"},
                 {"attn_pool.", "attention pooling"},
                 {"rel_pos", "relative positions"},
                 {"rel_embed", "relative positions"},
                 {"patch_embed.backbone.", "a convolutional backbone"},
                 {".mlp.norm.", "a norm inside the MLP"},
                 {".mlp.w12.", "SwiGLU"},
                 {".weights_in.", "SwiGLU"},
                 {".mlp.fc1_g.", "SwiGLU"},
                 {"decoder.", "a decoder"},
                 {"pos_x", "2-D positions"},
                 {"pos_y", "2-D positions"},
                 {".pos_embed", "positions in every layer"},
                 {0}};
    for (int i = 0; known[i].part; i++)
        if (strstr(name, known[i].part))
            return known[i].what;
    return NULL;
}

/* ---- What shapes tell ---- */

static const vit_tensor_info *find(const vit_container *container, const char *own) {
    for (int i = 0; i < container->tensor_count; i++)
        if (strcmp(translate(container->tensors[i].name).name, own) == 0)
            return &container->tensors[i];
    return NULL;
}

static int count_layers(const vit_container *container) {
    int layers = 0, layer;
    for (int i = 0; i < container->tensor_count; i++)
        if (vit_after_layer(translate(container->tensors[i].name).name, "blocks.", &layer) && layer >= layers)
            layers = layer + 1;
    return layers;
}

/* Dimension of a tensor as an int; 0 where there is none or it is not sane. */
static int dimension(const vit_tensor_info *tensor, int rank, int index) {
    if (!tensor || tensor->rank != rank || tensor->shape[index] < 1 || tensor->shape[index] > 1 << 24)
        return 0;
    return (int)tensor->shape[index];
}

/* Outputs of a linear layer: by its bias, whose shape cannot be transposed, or else by its weight. */
static int outputs(const vit_container *container, const char *layer) {
    char name[64];
    snprintf(name, sizeof name, "%s.bias", layer);
    int count = dimension(find(container, name), 1, 0);
    snprintf(name, sizeof name, "%s.weight", layer);
    return count ? count : dimension(find(container, name), 2, 0);
}

static int either(int claim, int otherwise) {
    return claim != VIT_UNSET ? claim : otherwise;
}

static void fill_preprocess(vit_config *c, const vit_claims *claims) {
    vit_preprocess *p = &c->preprocess;
    int hf = claims->source == VIT_SOURCE_HF;
    for (int i = 0; i < 3; i++) {
        p->mean[i] = claims->has_mean ? claims->mean[i] : 0.5f;
        p->std[i] = claims->has_std ? claims->std[i] : 0.5f;
    }
    p->filter = (vit_filter)either(claims->filter, hf ? VIT_FILTER_BILINEAR : VIT_FILTER_BICUBIC);
    p->crop = (vit_crop)either(claims->crop, hf ? VIT_CROP_SQUASH : VIT_CROP_CENTER);
    p->crop_pct = claims->crop_pct > 0 ? claims->crop_pct : hf ? 1 : 0.9;
    p->height = either(claims->input_height, c->image_height);
    p->width = either(claims->input_width, c->image_width);
}

/* Claims first; where there are none, shapes; then the default of the source's own code. */
static vit_status fill_config(vit_model *model, const char *name, const vit_claims *claims, vit_error *error) {
    const vit_container *container = &model->container;
    vit_config *c = &model->config;
    const vit_tensor_info *patch = find(container, "patch_embed.proj.weight");
    const vit_tensor_info *positions = find(container, "pos_embed");
    if (!patch && !find(container, "blocks.0.norm1.weight"))
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: not a Vision Transformer: it has neither patch_embed.proj.weight (timm) nor "
                        "vit.embeddings.patch_embeddings.projection.weight (Hugging Face)",
                        name);

    int width = outputs(container, "blocks.0.norm1"), classes = outputs(container, "head");
    c->width = either(claims->width, width ? width : dimension(patch, 4, 0));
    c->patch_height = either(claims->patch_height, dimension(patch, 4, 2));
    c->patch_width = either(claims->patch_width, dimension(patch, 4, 3));
    c->layers = either(claims->layers, count_layers(container));
    c->mlp_width = either(claims->mlp_width, outputs(container, "blocks.0.mlp.fc1"));
    c->heads = claims->heads;
    c->classes = classes                 ? either(claims->classes, classes)
                 : claims->classes > 0   ? claims->classes /* claimed, so its absence will be an error */
                 : claims->has_head == 1 ? claims->label_count + !claims->label_count
                                         : 0;
    c->class_token = either(claims->class_token, find(container, "cls_token") != NULL);
    c->pos_class = either(claims->pos_class, c->class_token) && c->class_token;
    c->qkv_bias = either(claims->qkv_bias, find(container, "blocks.0.attn.qkv.bias") != NULL);
    c->pool_norm = find(container, "fc_norm.weight") != NULL;
    c->final_norm = find(container, "norm.weight") != NULL || !c->pool_norm;
    c->pre_logits = outputs(container, "pre_logits.fc");
    c->activation = (vit_activation)either(claims->activation, VIT_GELU_ERF);
    c->norm_eps = claims->norm_eps >= 0 ? (float)claims->norm_eps : 1e-6f;
    c->pool = (vit_pool)either(claims->pool, c->class_token ? VIT_POOL_CLASS : VIT_POOL_MEAN);
    c->pos_resample = (vit_resample)either(claims->pos_resample,
                                           claims->source == VIT_SOURCE_HF ? VIT_RESAMPLE_HF : VIT_RESAMPLE_TIMM);
    c->image_height = claims->image_height;
    c->image_width = claims->image_width;
    if (c->image_height == VIT_UNSET) { /* no claim: a square grid of as many patches as the table has rows */
        int side = (int)lround(sqrt((double)(dimension(positions, 3, 1) - c->pos_class)));
        c->image_height = side * c->patch_height;
        c->image_width = side * c->patch_width;
    }
    fill_preprocess(c, claims);
    snprintf(c->architecture, sizeof c->architecture, "%s", claims->architecture);
    snprintf(c->label_set, sizeof c->label_set, "%s", c->classes == 1000 ? claims->label_set : "");
    return VIT_OK;
}

static vit_status check_config(const vit_model *model, const char *name, vit_error *error) {
    const vit_config *c = &model->config;
    const vit_limits *limits = &model->options.limits;
    if (c->heads == VIT_UNSET)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: the number of attention heads is in no tensor's shape: a config.json is needed beside the "
                        "file, or given with it",
                        name);
    if (c->layers < 1 || c->width < 1 || c->mlp_width < 1 || c->patch_height < 1 || c->patch_width < 1)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: layers %d, width %d, MLP width %d, patch %dx%d: each must be at least 1", name, c->layers,
                        c->width, c->mlp_width, c->patch_height, c->patch_width);
    if ((uint32_t)c->layers > limits->layers)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %d layers, the limit is %u (limit layers)", name, c->layers,
                        limits->layers);
    if (c->heads < 1 || c->width % c->heads)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: width %d is not divisible by %d heads", name, c->width, c->heads);
    if (c->image_height < c->patch_height || c->image_width < c->patch_width)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: image %dx%d is smaller than a patch of %dx%d", name,
                        c->image_height, c->image_width, c->patch_height, c->patch_width);
    if (vit_pos_rows(c) > limits->tokens)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %lld tokens, the limit is %u (limit tokens)", name,
                        (long long)vit_pos_rows(c), limits->tokens);
    if (c->pool == VIT_POOL_CLASS && !c->class_token)
        return vit_fail(error, VIT_ERR_CONFIG, "%s: pooling takes the class token, but there is none", name);
    const vit_preprocess *p = &c->preprocess;
    if (p->height < c->patch_height || p->width < c->patch_width ||
        (uint64_t)(p->height / c->patch_height) * (uint64_t)(p->width / c->patch_width) >= limits->tokens)
        return vit_fail(error, VIT_ERR_CONFIG,
                        "%s: input of %dx%d pixels: expected at least one patch of %dx%d and fewer than %u patches",
                        name, p->height, p->width, c->patch_height, c->patch_width, limits->tokens);
    if (!(p->crop_pct > 0 && p->crop_pct <= 1))
        return vit_fail(error, VIT_ERR_CONFIG, "%s: crop_pct %g: expected more than 0 and at most 1", name,
                        p->crop_pct);
    for (int i = 0; i < 3; i++)
        if (!(fabsf(c->preprocess.std[i]) > 0) || !isfinite(c->preprocess.mean[i]) || !isfinite(c->preprocess.std[i]))
            return vit_fail(error, VIT_ERR_CONFIG, "%s: pixel mean %g and standard deviation %g cannot be used", name,
                            c->preprocess.mean[i], c->preprocess.std[i]);
    return VIT_OK;
}

/* ---- Tensors to slots ---- */

static void shape_text(int rank, const int64_t *shape, char *out, size_t size) {
    int used = snprintf(out, size, "[");
    for (int i = 0; i < rank && used < (int)size - 24; i++)
        used += snprintf(out + used, size - (size_t)used, i ? ",%lld" : "%lld", (long long)shape[i]);
    snprintf(out + used, size - (size_t)used, "]");
}

/* Equal but for leading dimensions of 1, which GGUF writers may drop. */
static int same_shape(int rank, const int64_t *shape, int other_rank, const int64_t *other) {
    while (rank && shape[0] == 1)
        shape++, rank--;
    while (other_rank && other[0] == 1)
        other++, other_rank--;
    return rank == other_rank && memcmp(shape, other, (size_t)rank * sizeof *shape) == 0;
}

static vit_status bind_tensor(vit_model *model, const char *name, vit_tensor_info *tensor, vit_target *target,
                              vit_error *error) {
    own_name own = translate(tensor->name);
    vit_slot *slot = vit_model_slot(model, own.name);
    *target = (vit_target){0};
    if (!slot) {
        const char *what = foreign_network(tensor->name);
        if (what)
            return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: tensor \"%.120s\": networks with %s are not supported",
                            name, tensor->name, what);
        return VIT_OK;
    }
    int64_t shape[4];
    memcpy(shape, slot->shape, sizeof shape);
    if (own.part >= 0)
        shape[0] /= 3;
    if (!same_shape(tensor->rank, tensor->shape, slot->rank, shape)) {
        char expected[100], found[160];
        shape_text(slot->rank, shape, expected, sizeof expected);
        shape_text(tensor->rank, tensor->shape, found, sizeof found);
        return vit_fail(error, VIT_ERR_SHAPE, "%s: tensor \"%.120s\": expected shape %s, found %s", name, tensor->name,
                        expected, found);
    }
    if (tensor->dtype == VIT_DTYPE_OTHER)
        return vit_fail(error, VIT_ERR_UNSUPPORTED,
                        "%s: tensor \"%.120s\": type %s is not supported (F32, F16, BF16 and Q8_0 are)", name, tensor->name,
                        tensor->type);
    int parts = own.part < 0 ? VIT_ALL_PARTS : 1 << own.part;
    if (slot->parts & parts)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: tensor \"%.120s\": the same weight is there under another name",
                        name, tensor->name);
    slot->parts |= parts;
    slot->stored = tensor->dtype;
    tensor->used = 1;
    target->slot = slot;
    target->count = own.part < 0 ? slot->count : slot->count / 3;
    target->offset = own.part < 0 ? 0 : (size_t)own.part * target->count;
    return VIT_OK;
}

static vit_status check_complete(const vit_model *model, const char *name, int is_hf, vit_error *error) {
    for (int i = 0; i < model->slot_count; i++) {
        const vit_slot *slot = &model->slots[i];
        if (slot->parts == VIT_ALL_PARTS)
            continue;
        char missing[120], shape[100];
        int part = slot->parts & 1 ? (slot->parts & 2 ? 2 : 1) : 0;
        foreign_name(slot->name, part, is_hf, missing, sizeof missing);
        shape_text(slot->rank, slot->shape, shape, sizeof shape);
        return vit_fail(error, VIT_ERR_MISSING_TENSOR, "%s: tensor \"%s\" is missing (%s %s)", name, missing,
                        slot->name, shape);
    }
    return VIT_OK;
}

static vit_status take_labels(vit_model *model, const char *name, vit_claims *claims, vit_error *error) {
    if (!claims->label_count || !model->config.classes)
        return VIT_OK;
    if (claims->label_count != model->config.classes)
        return vit_model_warn(model, error, "%s: %d class names for %d classes: not used", name, claims->label_count,
                              model->config.classes);
    model->labels = claims->labels;
    claims->labels = NULL;
    claims->label_count = 0;
    return VIT_OK;
}

vit_status vit_import(vit_model *model, const char *name, vit_claims *claims, vit_target *targets, vit_error *error) {
    vit_container *container = &model->container;
    if (strcmp(container->format, "GGUF") == 0) {
        /* What a config given beside a GGUF claims overrides the file's own claims. */
        vit_claims given = *claims;
        vit_claims_init(claims);
        vit_status status = vit_claims_from_gguf(claims, name, container, &model->options.allocator, error);
        if (status == VIT_OK)
            vit_claims_override(claims, &given, &model->options.allocator);
        vit_claims_release(&given, &model->options.allocator);
        VIT_TRY(status);
    }
    VIT_TRY(fill_config(model, name, claims, error));
    VIT_TRY(check_config(model, name, error));
    VIT_TRY(vit_model_make_slots(model, error));
    for (int i = 0; i < container->tensor_count; i++)
        VIT_TRY(bind_tensor(model, name, &container->tensors[i], &targets[i], error));
    VIT_TRY(check_complete(model, name, claims->source == VIT_SOURCE_HF, error));
    return take_labels(model, name, claims, error);
}
