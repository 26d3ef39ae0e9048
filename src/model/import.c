/* From a container of foreign tensors to slots of our own: names, axes, and which of them there must be. */
#include "convert.h"
#include "import.h"

#include <stdio.h>
#include <string.h>

static void swap(int64_t *a, int64_t *b) {
    const int64_t kept = *a;
    *a = *b;
    *b = kept;
}

static void see_own(const vit_tensor_info *tensor, vit_own_tensor *own) {
    own->name = vit_translate(tensor->name);
    const int skip = own->name.stacked && tensor->rank;
    int64_t *const shape = own->shape;
    own->rank = tensor->rank - skip;
    memcpy(shape, tensor->shape + skip, (size_t)own->rank * sizeof *shape);
    if (own->name.kernel && own->rank == 4) { /* [H,W,I,O] -> [O,I,H,W] */
        swap(&shape[0], &shape[3]);
        swap(&shape[1], &shape[2]);
        swap(&shape[2], &shape[3]);
    } else if (own->name.kernel && own->rank == 2) {
        swap(&shape[0], &shape[1]);
    }
}

/* Numbers and words that still nobody has claimed are 0: such a part is not there. */
static void fill_config(vit_config *config, const vit_claims *claims) {
    vit_preprocess *p = &config->preprocess;
    for (int i = 0; i < vit_field_count; i++) {
        const int claim = *vit_field_at(claims, vit_fields[i].claim);
        *vit_field_at(config, vit_fields[i].config) = claim != VIT_UNSET ? claim : 0;
    }
    config->network = claims->network;
    config->norm_eps = (float)claims->norm_eps;
    memcpy(p->mean, claims->mean, sizeof p->mean);
    memcpy(p->std, claims->std, sizeof p->std);
    p->crop_pct = claims->crop_pct;
    snprintf(config->architecture, sizeof config->architecture, "%s", claims->architecture);
    snprintf(config->label_set, sizeof config->label_set, "%s", config->classes == 1000 ? claims->label_set : "");
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

/* Where one tensor's axes go in a slot of the shape [rank]; 0 if they do not fit. */
static int place_axes(const vit_own_tensor *own, const vit_tensor_info *tensor, int rank, const int64_t *shape,
                      size_t *stride) {
    const int skip = own->name.stacked, count = tensor->rank - skip;
    const int64_t *dims = tensor->shape + skip;
    int64_t outputs = rank ? shape[0] : 1, inputs = 1, step = 1;
    if (rank == 4 && count == 4 && own->name.kernel) {
        const size_t steps[] = {(size_t)shape[3], 1, (size_t)(shape[2] * shape[3]),
                                (size_t)(shape[1] * shape[2] * shape[3])};
        memcpy(stride + skip, steps, sizeof steps);
        return same_shape(own->rank, own->shape, rank, shape);
    }
    for (int i = 1; i < rank; i++)
        inputs *= shape[i];
    if (!own->name.kernel) {
        for (int i = count; i-- > 0; step *= dims[i])
            stride[skip + i] = (size_t)step;
        /* A convolution may be a matrix: blocks of 32 need long rows. */
        return (rank == 1 && vit_family_is_jax(own->name.family)) || (rank == 4 && count == 2 && dims[0] == outputs)
                   ? step == outputs * inputs
                   : same_shape(count, dims, rank, shape);
    }
    /* From the last axis on, so many as make up the outputs; then the inputs. */
    int axis = count;
    for (; axis > 0 && step < outputs; step *= dims[axis])
        stride[skip + --axis] = (size_t)(step * inputs);
    if (step != outputs)
        return 0;
    for (step = 1; axis-- > 0; step *= dims[axis])
        stride[skip + axis] = (size_t)step;
    return step == inputs;
}

static vit_status wrong_shape(const vit_import_job *in, const vit_own_tensor *own, const vit_tensor_info *tensor,
                              int rank, const int64_t *shape) {
    char expected[100], found[160];
    int64_t foreign[4];
    for (int i = 0; i < rank; i++)
        foreign[i] = shape[own->name.kernel ? (i + (rank == 4 ? 2 : 1)) % rank : i];
    if (own->name.kernel && rank == 4)
        swap(&foreign[2], &foreign[3]);
    shape_text(rank, foreign, expected, sizeof expected);
    shape_text(tensor->rank, tensor->shape, found, sizeof found);
    return vit_fail(in->error, VIT_ERR_SHAPE, "%s: tensor \"%.120s\": expected shape %s%s, found %s", in->file,
                    tensor->name, expected, own->name.stacked ? " for each layer" : "", found);
}

/* Slots of as many layers as a tensor's first axis counts; `step` from one to the next. */
static vit_status stack_slots(const vit_import_job *in, const vit_own_tensor *own, const vit_tensor_info *tensor,
                              int *step) {
    const int layers = in->model->config.layers;
    char second[sizeof own->name.own];
    int first;
    const char *rest = vit_after_layer(own->name.own, "blocks.", &first);
    *step = 1;
    if (!rest || !tensor->rank || tensor->shape[0] != layers)
        return vit_fail(in->error, VIT_ERR_SHAPE,
                        "%s: tensor \"%.120s\": expected a first axis of %d layers, found %lld", in->file, tensor->name,
                        layers, tensor->rank ? (long long)tensor->shape[0] : 0);
    snprintf(second, sizeof second, "blocks.1.%s", rest);
    if (layers > 1)
        *step = (int)(vit_model_slot(in->model, second) - vit_model_slot(in->model, own->name.own));
    return VIT_OK;
}

static vit_status bind_tensor(const vit_import_job *in, int index, vit_target *target) {
    vit_tensor_info *tensor = &in->model->container.tensors[index];
    const vit_own_tensor *own = &in->own[index];
    vit_slot *slot = vit_model_slot(in->model, own->name.own);
    *target = (vit_target){0};
    if (!slot) {
        const char *what = vit_foreign_network(tensor->name);
        if (what)
            return vit_fail(in->error, VIT_ERR_UNSUPPORTED, "%s: tensor \"%.120s\": networks with %s are not supported",
                            in->file, tensor->name, what);
        return VIT_OK;
    }
    if (own->name.stacked)
        VIT_TRY(stack_slots(in, own, tensor, &target->layer_slots));
    int64_t shape[4];
    memcpy(shape, slot->shape, sizeof shape);
    shape[0] /= own->name.parts;
    target->rest = own->name.rest ? vit_model_slot(in->model, own->name.rest) : NULL;
    if (target->rest)
        shape[0] += target->rest->shape[0];
    if (!place_axes(own, tensor, slot->rank, shape, target->stride))
        return wrong_shape(in, own, tensor, slot->rank, shape);
    if (tensor->dtype == VIT_DTYPE_OTHER)
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                        "%s: tensor \"%.120s\": type %s is not supported (F32, F16, BF16, Q8_0 and Q4_0 are)", in->file,
                        tensor->name, tensor->type);
    if (target->rest && in->model->container.places && in->model->container.places[index].fortran)
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED,
                        "%s: tensor \"%.120s\": several weights in one, in Fortran's order, are not supported", in->file,
                        tensor->name);
    target->scattered = own->name.kernel || own->name.stacked;
    if (target->scattered && vit_block_values(tensor->dtype) > 1)
        return vit_fail(in->error, VIT_ERR_UNSUPPORTED, "%s: tensor \"%.120s\": blocks of type %s cannot be transposed",
                        in->file, tensor->name, tensor->type);
    target->slot = slot;
    target->count = slot->count / (size_t)own->name.parts;
    target->offset = (size_t)own->name.part * target->count;
    tensor->used = 1;
    if (target->rest) {
        target->rest->stored = tensor->dtype;
        target->rest->bound += target->rest->count;
    }
    const unsigned parts = own->name.parts > 1 ? 1u << own->name.part : ~0u;
    for (int layer = 0; layer < (own->name.stacked ? in->model->config.layers : 1);
         layer++, slot += target->layer_slots) {
        if (slot->parts & parts)
            return vit_fail(in->error, VIT_ERR_FORMAT,
                            "%s: tensor \"%.120s\": the same weight is there under another name", in->file,
                            tensor->name);
        slot->parts |= parts;
        slot->stored = tensor->dtype;
        slot->bound += target->count;
    }
    return VIT_OK;
}

static vit_status check_complete(const vit_import_job *in) {
    for (int i = 0; i < in->model->slot_count; i++) {
        const vit_slot *slot = &in->model->slots[i];
        if (slot->bound == slot->count)
            continue;
        char missing[120], shape[100];
        int part = 0;
        while (slot->parts >> part & 1)
            part++;
        vit_foreign_name(in->family, slot->name, part, missing, sizeof missing);
        shape_text(slot->rank, slot->shape, shape, sizeof shape);
        return vit_fail(in->error, VIT_ERR_MISSING_TENSOR, "%s: tensor \"%s\" is missing (%s %s)", in->file, missing,
                        slot->name, shape);
    }
    return VIT_OK;
}

static vit_status take_labels(vit_model *model, const char *name, const vit_claims *claims, vit_error *error) {
    if (*claims->labels_fault)
        return vit_model_warn(model, error, "%s: class names are not used", claims->labels_fault);
    if (!claims->label_count || !model->config.classes)
        return VIT_OK;
    if (claims->label_count != model->config.classes)
        return vit_model_warn(model, error, "%s: %d class names for %d classes: not used", name, claims->label_count,
                              model->config.classes);
    return vit_model_set_labels(model, (const char *const *)claims->labels, claims->label_count, error);
}

/* What a config given beside such a file claims overrides the file's own claims. */
static vit_status take_metadata(vit_model *model, const char *name, vit_claims *claims, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    vit_claims given = *claims;
    vit_claims_init(claims);
    vit_status status = vit_claims_from_metadata(claims, name, &model->container, &model->options, error);
    if (status == VIT_OK)
        vit_claims_override(claims, &given, allocator);
    vit_claims_release(&given, allocator);
    return status;
}

static vit_status import_named(vit_import_job *in, vit_target *targets) {
    vit_model *model = in->model;
    int of_block = 0;
    for (int i = 0; i < model->container.tensor_count; i++) {
        see_own(&model->container.tensors[i], &in->own[i]);
        const vit_name *own = &in->own[i].name;
        const int is_block = strncmp(own->own, "blocks.", 7) == 0;
        if (own->family && (!in->family || (is_block && !of_block))) {
            in->family = own->family;
            of_block = is_block;
        }
    }
    vit_place_convolutions(in);
    VIT_TRY(vit_settle_claims(in));
    fill_config(&model->config, in->claims);
    VIT_TRY(vit_config_check(&model->config, &model->options.limits, in->file, in->error));
    VIT_TRY(vit_model_make_slots(model, in->error));
    vit_import_job one = *in; /* of several files */
    for (int i = 0; i < model->container.tensor_count; i++) {
        one.file = vit_container_file(&model->container, i, in->file);
        VIT_TRY(bind_tensor(&one, i, &targets[i]));
    }
    return check_complete(in);
}

vit_status vit_import(vit_model *model, const char *name, vit_claims *claims, vit_target *targets, vit_error *error) {
    const vit_allocator *allocator = &model->options.allocator;
    vit_import_job in = {.model = model, .file = name, .claims = claims, .error = error};
    if (vit_has_own_config(&model->container))
        VIT_TRY(take_metadata(model, name, claims, error));
    const size_t bytes = vit_size_mul((size_t)model->container.tensor_count, sizeof *in.own);
    VIT_TRY(vit_alloc_for((void **)&in.own, allocator, bytes, "the names of tensors", error));
    vit_status status = import_named(&in, targets);
    vit_release(allocator, in.own);
    const char *convention = claims->source == VIT_SOURCE_TIMM ? ", timm"
                             : claims->source == VIT_SOURCE_HF ? ", Hugging Face"
                             : vit_speaks_jax(&in)             ? ", JAX"
                                                               : "";
    snprintf(model->source, sizeof model->source, "%s%s", model->container.format, convention);
    return status == VIT_OK ? take_labels(model, name, claims, error) : status;
}
