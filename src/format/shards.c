#include "shards.h"

#include "parse.h"
#include "sort.h"
#include "text.h"

#include <string.h>

static int compare_strings(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Letters, digits, '.', '_' and '-', none in front of which makes it special: no folder, no drive, no URL. */
static int is_plain(const vit_json *file) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return file->length > 0 && file->length < 200 && strspn(file->string, plain) == file->length &&
           file->string[0] != '.' && file->string[0] != '-';
}

static vit_status list_files(vit_shards *out, const vit_limits *limits, vit_error *error) {
    const vit_json *map = vit_json_get(out->index.root, "weight_map");
    if (!map || map->type != VIT_JSON_OBJECT || !map->length)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: expected an object \"weight_map\" that has tensors", out->name);
    const vit_head head = {.name = out->name, .limits = limits, .error = error};
    VIT_TRY(vit_check_count(&head, map->length, "tensors"));
    VIT_TRY(vit_alloc_for((void **)&out->files, out->allocator, vit_size_mul(map->length, sizeof *out->files), out->name,
                          error));
    size_t count = 0;
    for (const vit_json *entry = map->child; entry; entry = entry->next) {
        if (entry->type != VIT_JSON_STRING || !is_plain(entry))
            return vit_fail(error, VIT_ERR_FORMAT, "%s: tensor \"%s\": \"%s\" is not the name of a file beside the index",
                            out->name, vit_show(entry->key, entry->key_length).text,
                            entry->type == VIT_JSON_STRING ? vit_show(entry->string, entry->length).text : "");
        out->files[count++] = entry->string;
    }
    vit_sort(out->files, count, sizeof *out->files, compare_strings);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || strcmp(out->files[i], out->files[out->count - 1]) != 0)
            out->files[out->count++] = out->files[i];
    size_t bytes = vit_size_mul((size_t)out->count, sizeof *out->parts);
    VIT_TRY(vit_alloc_for((void **)&out->parts, out->allocator, bytes, out->name, error));
    memset(out->parts, 0, bytes);
    return VIT_OK;
}

vit_status vit_shards_open(vit_shards *out, const char *name, const void *json, size_t bytes, const vit_limits *limits,
                           const vit_allocator *allocator, vit_error *error) {
    *out = (vit_shards){.name = name, .allocator = allocator};
    VIT_TRY(vit_json_parse(&out->index, name, json, bytes, limits, allocator, error));
    vit_status status = list_files(out, limits, error);
    if (status != VIT_OK)
        vit_shards_release(out);
    return status;
}

void vit_shards_release(vit_shards *shards) {
    for (int i = 0; i < shards->count && shards->parts; i++)
        vit_container_release(&shards->parts[i]);
    vit_release(shards->allocator, shards->parts);
    vit_release(shards->allocator, shards->files);
    vit_json_release(&shards->index);
    *shards = (vit_shards){0};
}

/* ---- Joining ---- */

typedef struct found {
    const char *tensor, *file;
} found;

static int compare_tensors(const void *left, const void *right) {
    return strcmp(((const found *)left)->tensor, ((const found *)right)->tensor);
}

static const char *file_of(const found *all, size_t count, const char *tensor) {
    size_t low = 0;
    while (count) {
        size_t half = count / 2;
        int order = strcmp(all[low + half].tensor, tensor);
        if (order == 0)
            return all[low + half].file;
        if (order < 0) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return NULL;
}

/* all [count]: tensors of all files; sorted here. */
static vit_status check_places(const vit_shards *shards, found *all, size_t count, vit_error *error) {
    vit_sort(all, count, sizeof *all, compare_tensors);
    for (size_t i = 1; i < count; i++)
        if (compare_tensors(&all[i - 1], &all[i]) == 0)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: tensor \"%s\" is in %s and in %s", shards->name,
                            vit_show(all[i].tensor, strlen(all[i].tensor)).text, all[i - 1].file, all[i].file);
    for (const vit_json *entry = vit_json_get(shards->index.root, "weight_map")->child; entry; entry = entry->next) {
        const char *file = file_of(all, count, entry->key);
        if (!file || strcmp(file, entry->string) != 0)
            return vit_fail(error, VIT_ERR_MISSING_TENSOR, "%s: tensor \"%s\" is not in %s, where it should be",
                            shards->name, vit_show(entry->key, entry->key_length).text, entry->string);
    }
    return VIT_OK;
}

vit_status vit_shards_join(vit_container *out, const vit_shards *shards, const vit_limits *limits, vit_error *error) {
    const vit_head head = {.name = shards->name, .limits = limits, .error = error};
    vit_container_sizes sizes = {.shards = (size_t)shards->count};
    vit_container_room room;
    found *all;
    for (int i = 0; i < shards->count; i++) {
        const vit_container *part = &shards->parts[i];
        if (strcmp(part->format, "safetensors") != 0)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: %s: expected safetensors, found %s", shards->name,
                            shards->files[i], part->format);
        sizes.tensors += (size_t)part->tensor_count;
        sizes.text += strlen(shards->files[i]) + 1;
        for (int t = 0; t < part->tensor_count; t++)
            sizes.text += strlen(part->tensors[t].name) + 1;
    }
    VIT_TRY(vit_check_count(&head, sizes.tensors, "tensors"));
    VIT_TRY(vit_alloc_for((void **)&all, shards->allocator, vit_size_mul(sizes.tensors, sizeof *all), shards->name, error));
    *out = (vit_container){.format = "safetensors", .allocator = shards->allocator};
    vit_status status = vit_container_allocate(out, &sizes, &room, &head);
    if (status == VIT_OK) {
        vit_tensor_info *tensor = out->tensors;
        for (int i = 0; i < shards->count; i++) {
            const vit_container *part = &shards->parts[i];
            out->shards[i] = (vit_shard){.tensors = part->tensor_count, .data_begin = part->data_begin, .file_bytes = part->file_bytes};
            out->shards[i].file = vit_container_copy(&room, shards->files[i], strlen(shards->files[i]));
            for (int t = 0; t < part->tensor_count; t++, tensor++) {
                *tensor = part->tensors[t];
                tensor->name = vit_container_copy(&room, tensor->name, strlen(tensor->name));
                all[tensor - out->tensors] = (found){tensor->name, out->shards[i].file};
            }
        }
        out->shard_count = shards->count;
        status = check_places(shards, all, sizes.tensors, error);
    }
    vit_release(shards->allocator, all);
    if (status != VIT_OK)
        vit_container_release(out);
    return status;
}
