#include "container.h"

#include "parse.h"
#include "sort.h"
#include "text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 24 /* the fixed header of GGUF; enough to choose a format */

/* ---- what both formats need ---- */

vit_status vit_container_allocate(vit_container *out, const vit_container_sizes *sizes, vit_container_room *room,
                                  const vit_head *head) {
    for (int measured = 0; measured < 2; measured++) {
        out->tensors = vit_arena_take(&out->memory, vit_size_mul(sizes->tensors, sizeof *out->tensors));
        if (sizes->places)
            out->places = vit_arena_take(&out->memory, vit_size_mul(sizes->places, sizeof *out->places));
        out->shards = vit_arena_take(&out->memory, vit_size_mul(sizes->shards, sizeof *out->shards));
        out->metadata = vit_arena_take(&out->memory, vit_size_mul(sizes->metadata, sizeof *out->metadata));
        room->strings = vit_arena_take(&out->memory, vit_size_mul(sizes->strings, sizeof *room->strings));
        room->numbers = vit_arena_take(&out->memory, vit_size_mul(sizes->numbers, sizeof *room->numbers));
        room->text = vit_arena_take(&out->memory, sizes->text);
        if (!measured)
            VIT_TRY(vit_arena_commit(&out->memory, out->allocator, head->name, head->error));
    }
    memset(out->memory.base, 0, out->memory.size);
    out->tensor_count = (int)sizes->tensors;
    out->metadata_count = (int)sizes->metadata;
    return VIT_OK;
}

const char *vit_container_copy(vit_container_room *room, const void *string, size_t length) {
    char *copy = room->text;
    if (length)
        memcpy(copy, string, length);
    copy[length] = 0;
    room->text += length + 1;
    return copy;
}

vit_status vit_check_count(const vit_head *head, uint64_t count, const char *what) {
    uint32_t limit = head->limits->tensors < INT_MAX ? head->limits->tensors : INT_MAX;
    if (count > limit)
        return vit_fail(head->error, VIT_ERR_LIMIT, "%s: %llu %s, the limit is %u (limit tensors)", head->name,
                        (unsigned long long)count, what, limit);
    return VIT_OK;
}

int vit_shape_elements(int rank, const int64_t *shape, uint64_t *count) {
    int64_t product = 1;
    int has_zero = 0;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return 0;
        if (shape[i] == 0)
            has_zero = 1;
        else if (product > INT64_MAX / shape[i])
            return 0;
        else
            product *= shape[i];
    }
    *count = has_zero ? 0 : (uint64_t)product;
    return 1;
}

vit_status vit_check_file_bytes(const vit_container *out, const vit_head *head) {
    unsigned long long end = out->file_bytes, found = head->file_bytes, limit = head->limits->file_bytes;
    if (end > limit)
        return vit_fail(head->error, VIT_ERR_LIMIT,
                        "%s: the tensors end at byte %llu, the limit is %llu (limit file_bytes)", head->name, end,
                        limit);
    if (head->file_bytes == UINT64_MAX)
        return VIT_OK;
    if (found < end)
        return vit_fail(head->error, VIT_ERR_TRUNCATED,
                        "%s: the tensors end at byte %llu, the file has only %llu bytes", head->name, end, found);
    if (found - end > out->padding)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: the tensors end at byte %llu, %llu bytes follow", head->name,
                        end, found - end);
    return VIT_OK;
}

static int compare_places(const void *left, const void *right) {
    const vit_tensor_info *a = left, *b = right;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

void vit_sort_tensors(vit_container *container) {
    vit_sort(container->tensors, (size_t)container->tensor_count, sizeof *container->tensors, compare_places);
}

/* ---- choosing the format ---- */

static int begins_with(const vit_head *head, const char *bytes, size_t length) {
    return head->bytes >= length && memcmp(head->data, bytes, length) == 0;
}

/* UTF-8 without control characters; the last character may be cut. */
static int is_text(const unsigned char *data, size_t bytes) {
    for (size_t at = 0, step; at < bytes; at += step) {
        step = vit_utf8_sequence(data + at, bytes - at);
        if (!step && bytes - at < 4 && data[at] >= 0xc2)
            return 1;
        if (!step || (data[at] < 0x20 && !(data[at] >= '\t' && data[at] <= '\r')) || data[at] == 0x7f)
            return 0;
    }
    return 1;
}

/* What a file that is no weight file is, for people who saved a web page under the name of a model. */
static const char *looks_like(const vit_head *head) {
    static const struct {
        const char *bytes;
        size_t length;
        const char *what;
    } known[] = {
        {"\x89PNG", 4, "a PNG picture"},
        {"\xff\xd8\xff", 3, "a JPEG picture"},
        {"GIF8", 4, "a GIF picture"},
        {"\x93NUMPY", 6, "a npy file"},
        {"\x89HDF", 4, "an HDF5 file"},
        {"\x1f\x8b", 2, "a gzip file"},
        {"%PDF", 4, "a PDF document"},
        {"\x80\2", 2, "a Python pickle, as old PyTorch checkpoints are"},
        {"\x80\3", 2, "a Python pickle"},
        {"\x80\4", 2, "a Python pickle"},
        {"\x80\5", 2, "a Python pickle"},
        {"ggjt", 4, "a GGML file older than GGUF"},
        {"tjgg", 4, "a GGML file older than GGUF"},
        {"lmgg", 4, "a GGML file older than GGUF"},
        {"version https://git-lfs", 23, "a git-lfs pointer; the file itself was not fetched"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (begins_with(head, known[i].bytes, known[i].length))
            return known[i].what;
    size_t looked = head->bytes < 512 ? head->bytes : 512, at = 0;
    if (!is_text(head->data, looked))
        return NULL;
    if (looked >= 3 && memcmp(head->data, "\xef\xbb\xbf", 3) == 0)
        at = 3;
    while (at < looked && (head->data[at] == ' ' || (head->data[at] >= '\t' && head->data[at] <= '\r')))
        at++;
    int first = at < looked ? head->data[at] : 0;
    return first == '<' ? "an HTML or XML page" : first == '{' || first == '[' ? "JSON" : "plain text";
}

/* The length of a possible header has zero bytes, which text has not. One that announces more is taken for safetensors
 * if '{' follows, to be refused for its length. */
static int is_safetensors(const vit_head *head) {
    return head->bytes > 8 && head->data[8] == '{' && !is_text(head->data, 8);
}

static vit_status refuse(const vit_head *head) {
    const char *what = looks_like(head);
    if (what)
        return vit_fail(head->error, VIT_ERR_FORMAT, "%s: neither GGUF, safetensors nor npz: it looks like %s", head->name,
                        what);
    if (head->bytes <= 8)
        return vit_fail(head->error, VIT_ERR_TRUNCATED,
                        "%s: the file ends after %zu bytes, too short for a weight file", head->name, head->bytes);
    uint64_t length = vit_load_u64(head->data);
    if (length <= head->file_bytes - 8 && length <= head->limits->header_bytes)
        return vit_fail(head->error, VIT_ERR_FORMAT,
                        "%s: neither GGUF, safetensors nor npz: expected a header that begins with '{' at byte 8, found "
                        "byte 0x%02x", head->name, head->data[8]);
    return vit_fail(head->error, VIT_ERR_FORMAT,
                    "%s: neither GGUF, safetensors nor npz: it begins with the bytes %02x %02x %02x %02x", head->name,
                    head->data[0], head->data[1], head->data[2], head->data[3]);
}

static vit_status parse(vit_container *out, const vit_head *head, uint64_t *need) {
    if (head->file_bytes == 0)
        return vit_fail(head->error, VIT_ERR_TRUNCATED, "%s: the file is empty", head->name);
    if (head->bytes < FIRST_BYTES && head->bytes < head->file_bytes) {
        *need = head->file_bytes < FIRST_BYTES ? head->file_bytes : FIRST_BYTES;
        return VIT_OK;
    }
    if (begins_with(head, "GGUF", 4))
        return vit_gguf_parse(out, head, need);
    if (is_safetensors(head))
        return vit_safetensors_parse(out, head, need);
    return refuse(head);
}

vit_status vit_container_parse(vit_container *out, const char *name, const void *head, size_t bytes,
                               uint64_t file_bytes, uint64_t *need, const vit_limits *limits,
                               const vit_allocator *allocator, vit_error *error) {
    *out = (vit_container){.allocator = allocator};
    *need = 0;
    if (bytes > file_bytes)
        bytes = (size_t)file_bytes;
    vit_head known = {name, head, bytes, file_bytes, limits, error};
    vit_status status = parse(out, &known, need);
    if (status != VIT_OK || *need)
        vit_container_release(out);
    if (status != VIT_OK)
        *need = 0;
    return status;
}

void vit_container_release(vit_container *container) {
    vit_arena_release(&container->memory, container->allocator);
    *container = (vit_container){0};
}

const char *vit_container_file(const vit_container *container, int tensor, const char *only) {
    for (int i = 0; i < container->shard_count; tensor -= container->shards[i++].tensors)
        if (tensor < container->shards[i].tensors)
            return container->shards[i].file;
    return only;
}

uint64_t vit_container_stored(const vit_container *container, int tensor) {
    return container->places ? container->places[tensor].stored : container->tensors[tensor].bytes;
}

/* ---- reading ---- */

void vit_header_begin(vit_header *header, uint64_t wanted) {
    header->offset = 0;
    header->wanted = wanted;
    header->bytes = (vit_buffer){.allocator = header->allocator};
    header->npz = NULL;
}

vit_status vit_header_read(vit_header *header, vit_container *out, vit_error *error) {
    if (header->npz || vit_npz_begins(header->bytes.data, header->bytes.size))
        return vit_npz_read(header, out, error);
    return vit_container_parse(out, header->name, header->bytes.data, header->bytes.size, header->file_bytes,
                               &header->wanted, header->limits, header->allocator, error);
}

void vit_header_release(vit_header *header) {
    vit_npz_release(header);
    vit_buffer_release(&header->bytes);
}

const vit_metadata *vit_container_get(const vit_container *container, const char *key) {
    for (int i = 0; i < container->metadata_count; i++)
        if (strcmp(container->metadata[i].key, key) == 0)
            return &container->metadata[i];
    return NULL;
}
