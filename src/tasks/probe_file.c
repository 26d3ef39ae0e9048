/* Probes as safetensors: examples [N,D], classes [N], and mean, scale [D], weights [K,D], bias [K] of the classifier
 * in f64; in the metadata what they are of, and the labels. */
#include "probe.h"

#include "../base/file.h"
#include "../format/container.h"
#include "../format/safetensors.h"
#include "../format/sort.h"
#include "../format/text.h"

#include <stdio.h>
#include <string.h>

#define FORMAT "vit few-shot 1"

enum { TENSORS = 8, FIXED_PAIRS = 2 };

typedef struct part {
    const char *name, *type;
    int rank;
    int64_t shape[2];
    void *data;
    size_t bytes;
} part;

static void list_parts(vit_probe *probe, part parts[TENSORS]) {
    const int64_t n = probe->examples, d = probe->width, k = probe->classes;
    const part list[TENSORS] = {
        {"examples", "F32", 2, {n, d}, probe->features, 4 * (size_t)n * (size_t)d},
        {"classes", "I32", 1, {n}, probe->example_classes, 4 * (size_t)n},
        {"mean", "F64", 1, {d}, probe->fit.mean, 8 * (size_t)d},
        {"scale", "F64", 1, {d}, probe->fit.scale, 8 * (size_t)d},
        {"weights", "F64", 2, {k, d}, probe->fit.weights, 8 * (size_t)k * (size_t)d},
        {"bias", "F64", 1, {k}, probe->fit.bias, 8 * (size_t)k},
        {"l2", "F64", 1, {1}, &probe->fit.l2, 8},
        {"leave_one_out_right", "I32", 1, {1}, &probe->fit.right, 4},
    };
    memcpy(parts, list, sizeof list);
}

/* ---- Writing ---- */

static vit_status put_metadata(vit_safetensors_writer *writer, const vit_probe *probe, vit_error *error) {
    const size_t count = FIXED_PAIRS + (size_t)probe->classes;
    const char *(*pairs)[2];
    char(*keys)[24];
    VIT_TRY(vit_alloc_for((void **)&pairs, &probe->allocator, count * (sizeof *pairs + sizeof *keys), "few-shot",
                          error));
    keys = (char(*)[24])(pairs + count);
    const char *fixed[FIXED_PAIRS][2] = {{"format", FORMAT}, {"backbone", probe->backbone}};
    memcpy(pairs, fixed, sizeof fixed);
    for (int k = 0; k < probe->classes; k++) {
        snprintf(keys[k], sizeof keys[k], "label.%d", k);
        pairs[FIXED_PAIRS + k][0] = keys[k];
        pairs[FIXED_PAIRS + k][1] = probe->labels[k];
    }
    vit_status status = vit_safetensors_metadata(writer, (int)count, (const char *const(*)[2])pairs, error);
    vit_release(&probe->allocator, pairs);
    return status;
}

static vit_status write_probe(vit_safetensors_writer *writer, const vit_probe *probe, vit_error *error) {
    part parts[TENSORS];
    list_parts((vit_probe *)probe, parts); /* which are only read */
    VIT_TRY(put_metadata(writer, probe, error));
    for (int i = 0; i < TENSORS; i++)
        VIT_TRY(vit_safetensors_tensor(writer, parts[i].name, parts[i].type, parts[i].rank, parts[i].shape,
                                       parts[i].bytes, error));
    VIT_TRY(vit_safetensors_header(writer, error));
    for (int i = 0; i < TENSORS; i++)
        VIT_TRY(vit_safetensors_data(writer, parts[i].data, parts[i].bytes, error));
    return VIT_OK;
}

vit_status vit_probe_encode(const vit_probe *probe, void **bytes, size_t *size, vit_error *error) {
    vit_buffer out = {.allocator = &probe->allocator};
    vit_safetensors_writer writer;
    *bytes = NULL;
    *size = 0;
    VIT_TRY(vit_probe_check_fitted(probe, error));
    vit_safetensors_begin(&writer, &out);
    vit_status status = write_probe(&writer, probe, error);
    vit_safetensors_end(&writer);
    if (status != VIT_OK) {
        vit_buffer_release(&out);
        return status;
    }
    *bytes = out.data;
    *size = out.size;
    return VIT_OK;
}

void vit_release_bytes(const vit_options *options, void *bytes) {
    const vit_allocator allocator = options ? options->allocator : vit_default_options().allocator;
    vit_release(&allocator, bytes);
}

vit_status vit_probe_save(const vit_probe *probe, const char *path, vit_error *error) {
    void *bytes;
    size_t size;
    vit_writer writer;
    VIT_TRY(vit_probe_encode(probe, &bytes, &size, error));
    vit_status status = vit_writer_open(&writer, path, &probe->allocator, error);
    if (status == VIT_OK) {
        status = vit_writer_write(&writer, bytes, size, error);
        if (status == VIT_OK)
            status = vit_writer_commit(&writer, error);
        vit_writer_cancel(&writer);
    }
    vit_release(&probe->allocator, bytes);
    return status;
}

/* ---- Reading ---- */

static const char *text_of(const vit_container *file, const char *key) {
    const vit_metadata *entry = vit_container_get(file, key);
    return entry && entry->type == VIT_VALUE_STRING ? entry->string : NULL;
}

static const vit_tensor_info *find(const vit_container *file, const char *name) {
    for (int i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

static vit_status check_format(const vit_container *file, const char *name, vit_error *error) {
    const char *format = text_of(file, "format");
    if (strcmp(file->format, "safetensors") != 0 || !format || strcmp(format, FORMAT) != 0 ||
        !text_of(file, "backbone"))
        return vit_fail(error, VIT_ERR_FORMAT, "%s: is not a few-shot file of this version", name);
    return VIT_OK;
}

/* Copies the data of every part to its place in the probe. */
static vit_status read_parts(vit_probe *probe, const vit_container *file, const char *name,
                             const unsigned char *bytes, vit_error *error) {
    part parts[TENSORS];
    list_parts(probe, parts);
    for (int i = 0; i < TENSORS; i++) {
        const vit_tensor_info *tensor = find(file, parts[i].name);
        if (!tensor)
            return vit_fail(error, VIT_ERR_MISSING_TENSOR, "%s: tensor %s is missing", name, parts[i].name);
        if (strcmp(tensor->type, parts[i].type) != 0 || tensor->rank != parts[i].rank ||
            memcmp(tensor->shape, parts[i].shape, (size_t)tensor->rank * sizeof *tensor->shape) != 0)
            return vit_fail(error, VIT_ERR_SHAPE, "%s: tensor %s is %s %s, expected %s %s", name, parts[i].name,
                            tensor->type, vit_show_shape(tensor->rank, tensor->shape).text, parts[i].type,
                            vit_show_shape(parts[i].rank, parts[i].shape).text);
        memcpy(parts[i].data, bytes + tensor->offset, parts[i].bytes);
    }
    return VIT_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* label.0, label.1, ..., in whatever order they stand. */
static vit_status read_labels(vit_probe *probe, const vit_container *file, const char *name, vit_error *error) {
    const size_t count = (size_t)file->metadata_count;
    const char **labels;
    VIT_TRY(vit_alloc_for((void **)&labels, &probe->allocator, 2 * (count + 1) * sizeof *labels, name, error));
    memset(labels, 0, 2 * (count + 1) * sizeof *labels);
    for (size_t i = 0; i < count; i++) {
        const vit_metadata *entry = &file->metadata[i];
        size_t number = 0;
        if (strncmp(entry->key, "label.", 6) != 0 || entry->type != VIT_VALUE_STRING)
            continue;
        const char *digit = entry->key + 6;
        const int is_number = *digit != '0' || !digit[1]; /* as it is written */
        while (*digit >= '0' && *digit <= '9' && number < count)
            number = 10 * number + (size_t)(*digit++ - '0');
        if (is_number && digit > entry->key + 6 && !*digit && number < count)
            labels[number] = entry->string;
    }
    vit_status status = VIT_OK;
    size_t used = 0;
    for (; labels[used] && status == VIT_OK; used++)
        status = vit_probe_add_class(probe, labels[used], error);
    const char **sorted = labels + count + 1;
    memcpy(sorted, labels, used * sizeof *sorted);
    vit_sort(sorted, used, sizeof *sorted, by_text);
    for (size_t k = 1; k < used && status == VIT_OK; k++)
        if (strcmp(sorted[k - 1], sorted[k]) == 0)
            status = vit_fail(error, VIT_ERR_FORMAT, "%s: label \"%s\" is there twice", name,
                              vit_show(sorted[k], strlen(sorted[k])).text);
    vit_release(&probe->allocator, labels);
    return status;
}

/* Adding the examples one by one checks them and counts. */
static vit_status read_examples(vit_probe *probe, const vit_container *file, const char *name,
                                const unsigned char *bytes, vit_error *error) {
    const vit_tensor_info *examples = find(file, "examples"), *classes = find(file, "classes");
    if (strcmp(examples->type, "F32") != 0 || strcmp(classes->type, "I32") != 0 || classes->rank != 1 ||
        classes->shape[0] != examples->shape[0])
        return vit_fail(error, VIT_ERR_SHAPE, "%s: examples %s %s and classes %s %s do not go together", name,
                        examples->type, vit_show_shape(examples->rank, examples->shape).text, classes->type,
                        vit_show_shape(classes->rank, classes->shape).text);
    float *row;
    VIT_TRY(vit_alloc_for((void **)&row, &probe->allocator, (size_t)probe->width * sizeof *row, name, error));
    vit_status status = VIT_OK;
    for (int64_t i = 0; i < examples->shape[0] && status == VIT_OK; i++) {
        int32_t class_index;
        memcpy(&class_index, bytes + classes->offset + (size_t)i * 4, 4);
        memcpy(row, bytes + examples->offset + (size_t)i * (size_t)probe->width * 4, (size_t)probe->width * 4);
        if (class_index < 0 || class_index >= probe->classes)
            status = vit_fail(error, VIT_ERR_FORMAT, "%s: example %lld is of class %d, there are %d labels", name,
                              (long long)i, (int)class_index, probe->classes);
        else
            status = vit_probe_add_to(probe, class_index, row, NULL, error);
    }
    vit_release(&probe->allocator, row);
    for (int k = 0; k < probe->classes && status == VIT_OK; k++)
        if (probe->counts[k] == 0)
            status = vit_fail(error, VIT_ERR_FORMAT, "%s: label %d, \"%s\", has no example of its own", name, k,
                              vit_show(probe->labels[k], strlen(probe->labels[k])).text);
    return status;
}

static vit_status read_probe(vit_probe **out, const vit_container *file, const char *name, const unsigned char *bytes,
                             const vit_options *options, vit_error *error) {
    VIT_TRY(check_format(file, name, error));
    const vit_tensor_info *examples = find(file, "examples");
    if (!examples || !find(file, "classes"))
        return vit_fail(error, VIT_ERR_MISSING_TENSOR, "%s: tensor %s is missing", name,
                        examples ? "classes" : "examples");
    if (examples->rank != 2 || examples->shape[0] < 1 || examples->shape[1] < 1 || examples->shape[1] > 1 << 20)
        return vit_fail(error, VIT_ERR_SHAPE, "%s: tensor examples is %s, expected [N,D]", name,
                        vit_show_shape(examples->rank, examples->shape).text);
    VIT_TRY(vit_probe_open(out, (int)examples->shape[1], text_of(file, "backbone"), options, error));
    vit_probe *probe = *out;
    VIT_TRY(read_labels(probe, file, name, error));
    VIT_TRY(read_examples(probe, file, name, bytes, error));
    VIT_TRY(vit_probe_make_classifier(probe, error));
    VIT_TRY(read_parts(probe, file, name, bytes, error));
    if (!vit_probe_is_sound(probe))
        return vit_fail(error, VIT_ERR_FORMAT, "%s: the classifier holds numbers that none can have", name);
    probe->fitted = 1;
    return VIT_OK;
}

vit_status vit_probe_decode(vit_probe **out, const char *name, const void *bytes, size_t size,
                            const vit_options *options, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_container file;
    uint64_t need;
    *out = NULL;
    VIT_TRY(vit_container_parse(&file, name, bytes, size, size, &need, &chosen.limits, &chosen.allocator, error));
    vit_status status = need ? vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within its header", name)
                             : read_probe(out, &file, name, bytes, options, error);
    vit_container_release(&file);
    if (status != VIT_OK) {
        vit_probe_close(*out);
        *out = NULL;
    }
    return status;
}

vit_status vit_probe_load(vit_probe **out, const char *path, const vit_options *options, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_buffer file = {.allocator = &chosen.allocator};
    *out = NULL;
    vit_status status = vit_read_file(&file, path, chosen.limits.file_bytes, error);
    if (status == VIT_OK)
        status = vit_probe_decode(out, path, file.data, file.size, options, error);
    vit_buffer_release(&file);
    return status;
}
