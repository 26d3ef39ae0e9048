/* GGUF, versions 2 and 3, little-endian: magic, version, counts; metadata entries; tensor descriptions; padding to the
 * alignment; data. Offsets of tensors count from the end of the padding; dimensions are stored fastest first.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block sizes: ggml-common.h there.
 *
 * The header is walked twice by the same code: first to check it and to count what it needs, then to fill the one block
 * of memory that was counted. A header that is not complete yet costs no allocation. */
#include "gguf.h"

#include "../base/half.h"
#include "parse.h"
#include "sort.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

#define LEAST_ENTRY_BYTES 13  /* of metadata: length of the key, no key, type, one byte */
#define LEAST_TENSOR_BYTES 24 /* length of the name, no name, rank, no dimension, type, offset */

struct block_type {
    uint32_t id;
    const char *name;
    unsigned values, bytes; /* of one block */
    vit_dtype dtype;
};

#define OTHER VIT_DTYPE_OTHER
static const struct block_type block_types[] = {
    {0, "F32", 1, 4, VIT_F32}, {1, "F16", 1, 2, VIT_F16}, {2, "Q4_0", 32, 18, VIT_Q4_0}, {3, "Q4_1", 32, 20, OTHER},
    {6, "Q5_0", 32, 22, OTHER}, {7, "Q5_1", 32, 24, OTHER}, {8, "Q8_0", 32, 34, VIT_Q8_0}, {9, "Q8_1", 32, 36, OTHER},
    {10, "Q2_K", 256, 84, OTHER}, {11, "Q3_K", 256, 110, OTHER}, {12, "Q4_K", 256, 144, OTHER},
    {13, "Q5_K", 256, 176, OTHER}, {14, "Q6_K", 256, 210, OTHER}, {15, "Q8_K", 256, 292, OTHER},
    {16, "IQ2_XXS", 256, 66, OTHER}, {17, "IQ2_XS", 256, 74, OTHER}, {18, "IQ3_XXS", 256, 98, OTHER},
    {19, "IQ1_S", 256, 50, OTHER}, {20, "IQ4_NL", 32, 18, OTHER}, {21, "IQ3_S", 256, 110, OTHER},
    {22, "IQ2_S", 256, 82, OTHER}, {23, "IQ4_XS", 256, 136, OTHER}, {24, "I8", 1, 1, OTHER}, {25, "I16", 1, 2, OTHER},
    {26, "I32", 1, 4, OTHER}, {27, "I64", 1, 8, OTHER}, {28, "F64", 1, 8, OTHER}, {29, "IQ1_M", 256, 56, OTHER},
    {30, "BF16", 1, 2, VIT_BF16}, {34, "TQ1_0", 256, 54, OTHER}, {35, "TQ2_0", 256, 66, OTHER},
    {39, "MXFP4", 32, 17, OTHER}, {40, "NVFP4", 64, 36, OTHER}, {41, "Q1_0", 128, 18, OTHER},
};
#undef OTHER

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, VALUE_TYPES };

static const struct {
    vit_value_type type;
    unsigned bytes; /* 0: no fixed size */
} value_types[VALUE_TYPES] = {
    [U8] = {VIT_VALUE_INTEGER, 1},  [I8] = {VIT_VALUE_INTEGER, 1},  [U16] = {VIT_VALUE_INTEGER, 2},
    [I16] = {VIT_VALUE_INTEGER, 2}, [U32] = {VIT_VALUE_INTEGER, 4}, [I32] = {VIT_VALUE_INTEGER, 4},
    [F32] = {VIT_VALUE_FLOAT, 4},   [BOOL] = {VIT_VALUE_BOOL, 1},   [STRING] = {VIT_VALUE_STRING, 0},
    [ARRAY] = {VIT_VALUE_ARRAY, 0}, [U64] = {VIT_VALUE_INTEGER, 8}, [I64] = {VIT_VALUE_INTEGER, 8},
    [F64] = {VIT_VALUE_FLOAT, 8},
};

typedef struct walk {
    const vit_head *head;
    vit_container *out;
    uint64_t at;
    uint64_t need;  /* where the bytes of the head end too early: how many would do for the next step */
    int filling;    /* 0: the first walk, which counts */
    vit_container_sizes sizes;
    vit_container_room room;
    uint64_t alignment;
    /* for errors: what is being read */
    const char *part; /* "metadata entry", "tensor" */
    int index;
    const unsigned char *name; /* NULL before it is known */
    size_t name_length;
} walk;

static vit_status fail(const walk *w, vit_status status, const char *what) {
    if (!w->part)
        return vit_fail(w->head->error, status, "%s: %s", w->head->name, what);
    if (!w->name)
        return vit_fail(w->head->error, status, "%s: %s %d: %s", w->head->name, w->part, w->index, what);
    return vit_fail(w->head->error, status, "%s: %s \"%s\": %s", w->head->name, w->part,
                    vit_show(w->name, w->name_length).text, what);
}

static uint64_t times(uint64_t count, uint64_t bytes) {
    return count > UINT64_MAX / bytes ? UINT64_MAX : count * bytes;
}

/* bytes of `what` must fit in what the file and the limit leave. UINT64_MAX never fits, as the magic came before. */
static vit_status require(const walk *w, uint64_t bytes, const char *what) {
    char text[200];
    uint64_t left = w->head->file_bytes - w->at;
    if (bytes > left) {
        snprintf(text, sizeof text, "%s needs %llu bytes at byte %llu, %llu are left in the file", what,
                 (unsigned long long)bytes, (unsigned long long)w->at, (unsigned long long)left);
        return fail(w, VIT_ERR_TRUNCATED, text);
    }
    if (w->at + bytes > w->head->limits->header_bytes) {
        snprintf(text, sizeof text, "%s needs %llu bytes at byte %llu, the limit is %llu (limit header_bytes)", what,
                 (unsigned long long)bytes, (unsigned long long)w->at,
                 (unsigned long long)w->head->limits->header_bytes);
        return fail(w, VIT_ERR_LIMIT, text);
    }
    return VIT_OK;
}

/* VIT_ERR_TRUNCATED with need set is no error: the head is to grow. */
static vit_status take(walk *w, uint64_t bytes, const char *what, const unsigned char **data) {
    VIT_TRY(require(w, bytes, what));
    if (w->at + bytes > w->head->bytes) {
        w->need = w->at + bytes;
        return VIT_ERR_TRUNCATED;
    }
    *data = w->head->data + w->at;
    w->at += bytes;
    return VIT_OK;
}

static vit_status take_u32(walk *w, const char *what, uint32_t *value) {
    const unsigned char *data;
    VIT_TRY(take(w, 4, what, &data));
    *value = vit_load_u32(data);
    return VIT_OK;
}

static vit_status take_u64(walk *w, const char *what, uint64_t *value) {
    const unsigned char *data;
    VIT_TRY(take(w, 8, what, &data));
    *value = vit_load_u64(data);
    return VIT_OK;
}

/* *string is NULL in the first walk. */
static vit_status take_string(walk *w, const char *what, const char **string, int is_name) {
    const unsigned char *data;
    uint64_t length;
    VIT_TRY(take_u64(w, what, &length));
    VIT_TRY(take(w, length, what, &data));
    if (is_name) {
        w->name = data;
        w->name_length = (size_t)length;
    }
    *string = NULL;
    if (w->filling) {
        *string = vit_container_copy(&w->room, data, (size_t)length);
        return VIT_OK;
    }
    w->sizes.text += (size_t)length + 1;
    if (!vit_utf8_name(data, (size_t)length))
        return fail(w, VIT_ERR_FORMAT, "expected UTF-8 without U+0000");
    return VIT_OK;
}

static void load_scalar(uint32_t type, const unsigned char *at, vit_metadata *out) {
    uint64_t bits = 0;
    unsigned bytes = value_types[type].bytes;
    for (unsigned i = bytes; i-- > 0;)
        bits = bits << 8 | at[i];
    if (type == I8 || type == I16 || type == I32) {
        uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
        bits = (bits ^ sign) - sign;
    }
    out->type = value_types[type].type;
    if (type == F32) {
        out->number = vit_f32_from_bits((uint32_t)bits);
    } else if (type == F64) {
        memcpy(&out->number, &bits, sizeof out->number);
    } else {
        memcpy(&out->integer, &bits, sizeof out->integer);
        if (type == U64 && out->integer < 0) {
            out->type = VIT_VALUE_FLOAT;
            out->number = (double)bits;
            return;
        }
        if (type == BOOL)
            out->integer = bits != 0;
        out->number = (double)out->integer;
    }
}

static vit_status check_value_type(const walk *w, uint32_t type, const char *of) {
    char text[80];
    if (type < VALUE_TYPES)
        return VIT_OK;
    snprintf(text, sizeof text, "unknown type %u of %s", type, of);
    return fail(w, VIT_ERR_UNSUPPORTED, text);
}

static vit_status walk_array(walk *w, vit_metadata *entry) {
    uint32_t type;
    uint64_t count;
    const unsigned char *data;
    VIT_TRY(take_u32(w, "the type of an array", &type));
    VIT_TRY(check_value_type(w, type, "array elements"));
    if (type == ARRAY)
        return fail(w, VIT_ERR_UNSUPPORTED, "arrays inside arrays are not supported");
    VIT_TRY(take_u64(w, "the length of an array", &count));
    entry->element = value_types[type].type;
    if (type == STRING) {
        VIT_TRY(require(w, times(count, 8), "an array of strings"));
        const char **strings = w->room.strings;
        for (uint64_t i = 0; i < count; i++) {
            const char *string;
            VIT_TRY(take_string(w, "a string", &string, 0));
            if (w->filling)
                strings[i] = string;
        }
        w->sizes.strings += (size_t)count;
        if (w->filling) {
            entry->strings = strings;
            w->room.strings += count;
        }
    } else {
        VIT_TRY(take(w, times(count, value_types[type].bytes), "an array", &data));
        w->sizes.numbers += (size_t)count;
        if (w->filling) {
            entry->numbers = w->room.numbers;
            for (uint64_t i = 0; i < count; i++) {
                vit_metadata scalar = {0};
                load_scalar(type, data + i * value_types[type].bytes, &scalar);
                *w->room.numbers++ = scalar.number;
            }
        }
    }
    entry->count = (size_t)count;
    return VIT_OK;
}

static int name_is(const walk *w, const char *name) {
    return w->name_length == strlen(name) && memcmp(w->name, name, w->name_length) == 0;
}

static vit_status walk_metadata(walk *w, vit_metadata *entry) {
    uint32_t type;
    const unsigned char *data;
    VIT_TRY(take_string(w, "a key", &entry->key, 1));
    VIT_TRY(take_u32(w, "a type", &type));
    VIT_TRY(check_value_type(w, type, "a value"));
    entry->type = value_types[type].type;
    if (name_is(w, "general.alignment") && type != U32)
        return fail(w, VIT_ERR_FORMAT, "expected a value of type 4 (u32)");
    if (type == STRING)
        return take_string(w, "a string", &entry->string, 0);
    if (type == ARRAY)
        return walk_array(w, entry);
    VIT_TRY(take(w, value_types[type].bytes, "a value", &data));
    load_scalar(type, data, entry);
    if (name_is(w, "general.alignment")) {
        w->alignment = (uint64_t)entry->integer;
        if (!w->alignment || w->alignment & (w->alignment - 1)) {
            char text[80];
            snprintf(text, sizeof text, "expected a power of two, found %llu", (unsigned long long)w->alignment);
            return fail(w, VIT_ERR_FORMAT, text);
        }
    }
    return VIT_OK;
}

static vit_status set_size(walk *w, const struct block_type *type, vit_tensor_info *tensor) {
    char text[280];
    uint64_t count;
    vit_shown_shape shape = vit_show_shape(tensor->rank, tensor->shape);
    if (!vit_shape_elements(tensor->rank, tensor->shape, &count) || count / type->values > UINT64_MAX / type->bytes) {
        snprintf(text, sizeof text, "shape %s is too large", shape.text);
        return fail(w, VIT_ERR_FORMAT, text);
    }
    int64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    if (row % type->values) {
        snprintf(text, sizeof text, "shape %s: rows of %s must be a multiple of %u long", shape.text, type->name,
                 type->values);
        return fail(w, VIT_ERR_FORMAT, text);
    }
    tensor->type = type->name;
    tensor->dtype = type->dtype;
    tensor->bytes = count / type->values * type->bytes;
    return VIT_OK;
}

/* tensor->offset counts from the start of the data until that is known. */
static vit_status walk_tensor(walk *w, vit_tensor_info *tensor) {
    char text[120];
    uint32_t rank, id;
    VIT_TRY(take_string(w, "a name", &tensor->name, 1));
    VIT_TRY(take_u32(w, "the number of dimensions", &rank));
    uint32_t most = sizeof tensor->shape / sizeof *tensor->shape;
    if (rank > most) {
        snprintf(text, sizeof text, "%u dimensions, at most %u are supported", rank, most);
        return fail(w, VIT_ERR_UNSUPPORTED, text);
    }
    tensor->rank = (int)rank;
    for (uint32_t i = rank; i-- > 0;) {
        uint64_t side;
        VIT_TRY(take_u64(w, "a dimension", &side));
        if (side > INT64_MAX) {
            snprintf(text, sizeof text, "a dimension of %llu is too large", (unsigned long long)side);
            return fail(w, VIT_ERR_FORMAT, text);
        }
        tensor->shape[i] = (int64_t)side;
    }
    VIT_TRY(take_u32(w, "a type", &id));
    VIT_TRY(take_u64(w, "an offset", &tensor->offset));
    for (size_t i = 0; i < sizeof block_types / sizeof *block_types; i++)
        if (block_types[i].id == id)
            return set_size(w, &block_types[i], tensor);
    snprintf(text, sizeof text, "unknown tensor type %u", id);
    return fail(w, VIT_ERR_UNSUPPORTED, text);
}

static vit_status check_version(const walk *w, uint32_t version) {
    char text[80];
    if (version == 2 || version == 3)
        return VIT_OK;
    if (version && !(version & 0xffff))
        return fail(w, VIT_ERR_UNSUPPORTED, "a big-endian GGUF file; only little-endian ones are supported");
    snprintf(text, sizeof text, "GGUF version %u, expected 2 or 3", version);
    return fail(w, VIT_ERR_UNSUPPORTED, text);
}

static vit_status walk_header(walk *w) {
    uint32_t version;
    uint64_t tensors, entries;
    const unsigned char *skipped;
    w->at = 4; /* the magic */
    w->part = NULL;
    w->alignment = 32;
    VIT_TRY(take_u32(w, "the version", &version));
    VIT_TRY(check_version(w, version));
    VIT_TRY(take_u64(w, "the number of tensors", &tensors));
    VIT_TRY(take_u64(w, "the number of metadata entries", &entries));
    VIT_TRY(vit_check_count(w->head, tensors, "tensors"));
    VIT_TRY(vit_check_count(w->head, entries, "metadata entries"));
    VIT_TRY(require(w, entries * LEAST_ENTRY_BYTES + tensors * LEAST_TENSOR_BYTES, "a header of so many entries"));
    w->sizes.tensors = (size_t)tensors;
    w->sizes.metadata = (size_t)entries;
    for (int i = 0; i < (int)entries; i++) {
        vit_metadata entry = {0};
        w->part = "metadata entry";
        w->index = i;
        w->name = NULL;
        VIT_TRY(walk_metadata(w, &entry));
        if (w->filling)
            w->out->metadata[i] = entry;
    }
    for (int i = 0; i < (int)tensors; i++) {
        vit_tensor_info tensor = {0};
        w->part = "tensor";
        w->index = i;
        w->name = NULL;
        VIT_TRY(walk_tensor(w, &tensor));
        if (w->filling)
            w->out->tensors[i] = tensor;
    }
    w->part = NULL;
    return take(w, tensors ? -w->at & (w->alignment - 1) : 0, "padding", &skipped);
}

static int compare_keys(const void *left, const void *right) {
    return strcmp((*(const vit_metadata *const *)left)->key, (*(const vit_metadata *const *)right)->key);
}

static vit_status refuse_duplicate_keys(const vit_container *out, const vit_head *head) {
    const vit_metadata **sorted;
    size_t count = (size_t)out->metadata_count;
    VIT_TRY(
        vit_alloc_for((void **)&sorted, out->allocator, vit_size_mul(count, sizeof *sorted), head->name, head->error));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &out->metadata[i];
    vit_sort(sorted, count, sizeof *sorted, compare_keys);
    const char *twice = NULL;
    for (size_t i = 1; i < count && !twice; i++)
        if (compare_keys(&sorted[i - 1], &sorted[i]) == 0)
            twice = sorted[i]->key;
    vit_release(out->allocator, sorted);
    if (twice)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: the metadata key \"%s\" is there twice", head->name,
                        vit_show(twice, strlen(twice)).text);
    return VIT_OK;
}

static int compare_names(const void *left, const void *right) {
    return strcmp(((const vit_tensor_info *)left)->name, ((const vit_tensor_info *)right)->name);
}

static vit_status refuse_duplicate_names(vit_container *out, const vit_head *head) {
    vit_sort(out->tensors, (size_t)out->tensor_count, sizeof *out->tensors, compare_names);
    for (int i = 1; i < out->tensor_count; i++)
        if (compare_names(&out->tensors[i - 1], &out->tensors[i]) == 0)
            return vit_fail(head->error, VIT_ERR_FORMAT, "%s: the tensor \"%s\" is there twice", head->name,
                            vit_show(out->tensors[i].name, strlen(out->tensors[i].name)).text);
    return VIT_OK;
}

/* Offsets aligned, no overflow, no overlap; holes are allowed. */
static vit_status place_tensors(vit_container *out, const walk *w) {
    const vit_head *head = w->head;
    out->file_bytes = out->data_begin;
    for (int i = 0; i < out->tensor_count; i++) {
        vit_tensor_info *tensor = &out->tensors[i];
        unsigned long long offset = tensor->offset, bytes = tensor->bytes;
        vit_shown name = vit_show(tensor->name, strlen(tensor->name));
        if (offset & (w->alignment - 1))
            return vit_fail(head->error, VIT_ERR_FORMAT,
                            "%s: tensor \"%s\": offset %llu is not a multiple of the alignment %llu", head->name,
                            name.text, offset, (unsigned long long)w->alignment);
        if (offset > UINT64_MAX - out->data_begin || bytes > UINT64_MAX - out->data_begin - offset)
            return vit_fail(head->error, VIT_ERR_FORMAT,
                            "%s: tensor \"%s\": %llu bytes at offset %llu are past any file", head->name, name.text,
                            bytes, offset);
        tensor->offset += out->data_begin;
        if (head->file_bytes < tensor->offset + bytes)
            return vit_fail(head->error, VIT_ERR_TRUNCATED,
                            "%s: tensor \"%s\": %s %s ends at byte %llu, the file has only %llu bytes", head->name,
                            name.text, tensor->type, vit_show_shape(tensor->rank, tensor->shape).text,
                            (unsigned long long)tensor->offset + bytes, (unsigned long long)head->file_bytes);
    }
    vit_sort_tensors(out);
    for (int i = 0; i < out->tensor_count; i++) {
        vit_tensor_info *tensor = &out->tensors[i];
        if (tensor->offset < out->file_bytes)
            return vit_fail(
                head->error, VIT_ERR_FORMAT, "%s: tensor \"%s\" begins at byte %llu, inside \"%s\", which ends at %llu",
                head->name, vit_show(tensor->name, strlen(tensor->name)).text, (unsigned long long)tensor->offset,
                vit_show(tensor[-1].name, strlen(tensor[-1].name)).text, (unsigned long long)out->file_bytes);
        out->file_bytes = tensor->offset + tensor->bytes;
    }
    out->padding = -out->file_bytes & (w->alignment - 1);
    return vit_check_file_bytes(out, head);
}

/* Twice what is there, so that trying again and again stays linear in the size of the header. */
static uint64_t more(const vit_head *head, uint64_t need) {
    uint64_t most = head->file_bytes < head->limits->header_bytes ? head->file_bytes : head->limits->header_bytes;
    uint64_t twice = 2 * (uint64_t)head->bytes < most ? 2 * (uint64_t)head->bytes : most;
    return need > twice ? need : twice;
}

vit_status vit_gguf_parse(vit_container *out, const vit_head *head, uint64_t *need) {
    walk w = {.head = head, .out = out};
    vit_status status = walk_header(&w);
    if (w.need) {
        *need = more(head, w.need);
        return VIT_OK;
    }
    VIT_TRY(status);
    VIT_TRY(vit_container_allocate(out, &w.sizes, &w.room, head));
    w.filling = 1;
    VIT_TRY(walk_header(&w));
    out->format = "GGUF";
    out->data_begin = w.at;
    VIT_TRY(refuse_duplicate_keys(out, head));
    VIT_TRY(refuse_duplicate_names(out, head));
    return place_tensors(out, &w);
}
