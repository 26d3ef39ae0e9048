/* Pictures in a folder with a folder for each class (ImageFolder), or in .tar files (WebDataset's shards, or a packed
 * ImageFolder). Only their places are held: a tar is read once for its headers and then at random. */
#include "dataset.h"

#include "../base/file.h"
#include "../format/sort.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEEPEST = 64 /* levels of folders */, LONGEST_CLASS = 255 };

/* ---- Building the list ---- */

static vit_status add_text(vit_dataset *d, const char *text, uint32_t *at, vit_error *error) {
    if (d->texts.size > UINT32_MAX - 65536)
        return vit_fail(error, VIT_ERR_LIMIT, "%.200s: too many pictures", text);
    *at = (uint32_t)d->texts.size;
    return vit_buffer_append(&d->texts, text, strlen(text) + 1, "names of pictures", error);
}

static const char *class_name(const vit_dataset *d, int index) {
    return vit_dataset_text(d, ((const uint32_t *)(const void *)d->classes.data)[index]);
}

/* The slot of a class, or the free one where it belongs. */
static int32_t *slot_of(const vit_dataset *d, const char *name, size_t length) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    for (;; hash++) {
        int32_t *slot = &d->slots[hash & (uint32_t)(d->slot_count - 1)];
        const char *other = *slot ? class_name(d, *slot - 1) : NULL;
        if (!other || (strncmp(other, name, length) == 0 && !other[length]))
            return slot;
    }
}

/* The table stays half empty. */
static vit_status make_slots(vit_dataset *d, vit_error *error) {
    if (d->class_count < d->slot_count / 2)
        return VIT_OK;
    int32_t *before = d->slots, *slots;
    const int count = d->slot_count ? 2 * d->slot_count : 64;
    if (count > INT32_MAX / 4)
        return vit_fail(error, VIT_ERR_LIMIT, "too many classes");
    const size_t bytes = (size_t)count * sizeof *slots;
    VIT_TRY(vit_alloc_for((void **)&slots, &d->options.allocator, bytes, "names of classes", error));
    memset(slots, 0, bytes);
    d->slots = slots;
    d->slot_count = count;
    for (int i = 0; i < d->class_count; i++)
        *slot_of(d, class_name(d, i), strlen(class_name(d, i))) = i + 1;
    vit_release(&d->options.allocator, before);
    return VIT_OK;
}

/* The class of that name, which is cut if it is longer than any; a new one if there is none yet. */
static vit_status class_of(vit_dataset *d, const char *name, size_t length, int32_t *out, vit_error *error) {
    char text[LONGEST_CLASS + 1];
    uint32_t at;
    length = length < LONGEST_CLASS ? length : LONGEST_CLASS;
    VIT_TRY(make_slots(d, error));
    int32_t *slot = slot_of(d, name, length);
    if (!*slot) {
        snprintf(text, sizeof text, "%.*s", (int)length, name);
        VIT_TRY(add_text(d, text, &at, error));
        VIT_TRY(vit_buffer_append(&d->classes, &at, sizeof at, "names of classes", error));
        *slot = ++d->class_count;
    }
    *out = *slot - 1;
    return VIT_OK;
}

static vit_status add_entry(vit_dataset *d, vit_entry entry, const char *path, vit_error *error) {
    if (d->count == INT32_MAX)
        return vit_fail(error, VIT_ERR_LIMIT, "%.200s: too many pictures", path);
    VIT_TRY(add_text(d, path, &entry.path, error));
    d->count++;
    return vit_buffer_append(&d->entries, &entry, sizeof entry, "the list of pictures", error);
}

static int has_ending(const char *path, const char *ending) {
    const size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcasecmp(path + length - tail, ending) == 0;
}

static int is_picture(const char *path) {
    return has_ending(path, ".jpg") || has_ending(path, ".jpeg") || has_ending(path, ".png");
}

/* The folder a picture lies in: "train/airplane/1.jpg" -> airplane. 0 letters where it is in none. */
static size_t folder_of(const char *path, const char **name) {
    const char *end = strrchr(path, '/');
    const char *begin = end;
    while (begin && begin > path && begin[-1] != '/')
        begin--;
    *name = begin;
    return begin ? (size_t)(end - begin) : 0;
}

/* ---- Folders ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static vit_status add_archive(vit_dataset *d, const char *path, vit_error *error);

/* What is in a folder, by name; class: of what is below, NULL at the top, where folders are classes. */
static vit_status add_folder(vit_dataset *d, const char *path, const char *class, int depth, vit_error *error) {
    vit_buffer names = {.allocator = &d->options.allocator};
    DIR *folder = depth < DEEPEST ? opendir(path) : NULL;
    if (!folder)
        return vit_fail(error, VIT_ERR_IO, "%.300s: cannot read the folder: %s", path,
                        depth < DEEPEST ? strerror(errno) : "folders are nested too deep");
    vit_status status = VIT_OK;
    for (struct dirent *entry; errno = 0, status == VIT_OK && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            status = vit_buffer_append(&names, entry->d_name, strlen(entry->d_name) + 1, "names in a folder", error);
    if (status == VIT_OK && errno)
        status = vit_fail(error, VIT_ERR_IO, "%.300s: cannot read the folder: %s", path, strerror(errno));
    closedir(folder);
    size_t count = 0;
    char **sorted = NULL;
    for (size_t i = 0; i < names.size; i++)
        count += !names.data[i];
    if (status == VIT_OK)
        status = vit_alloc_for((void **)&sorted, &d->options.allocator, count * sizeof *sorted, "names in a folder",
                               error);
    if (status == VIT_OK) {
        char *at = (char *)names.data;
        for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
            sorted[i] = at;
        vit_sort(sorted, count, sizeof *sorted, by_name);
    }
    for (size_t i = 0; i < count && status == VIT_OK; i++) {
        char below[4096];
        struct stat kind = {0};
        if (snprintf(below, sizeof below, "%s/%s", path, sorted[i]) >= (int)sizeof below) {
            status = vit_fail(error, VIT_ERR_IO, "%.300s: the path is too long", below);
        } else if (stat(below, &kind) != 0 && errno != ENOENT) { /* links may lead nowhere */
            status = vit_fail(error, VIT_ERR_IO, "%.300s: cannot read: %s", below, strerror(errno));
        } else if (S_ISDIR(kind.st_mode)) {
            status = add_folder(d, below, class ? class : sorted[i], depth + 1, error);
        } else if ((class || d->unlabelled) && is_picture(below)) {
            vit_entry entry = {.archive = -1};
            const char *own = class ? class : "";
            status = class_of(d, own, strlen(own), &entry.class_index, error);
            if (status == VIT_OK)
                status = add_entry(d, entry, below, error);
        } else if (has_ending(below, ".tar")) {
            status = add_archive(d, below, error);
        }
    }
    vit_release(&d->options.allocator, sorted);
    vit_buffer_release(&names);
    return status;
}

/* ---- Archives (POSIX ustar, with GNU's and pax's long names) ---- */

enum { TAR_BLOCK = 512 };

/* An octal number, or GNU's binary one. UINT64_MAX where there is none. */
static uint64_t tar_number(const unsigned char *field, int length) {
    uint64_t value = 0;
    if (field[0] & 0x80) {
        for (int i = 1; i < length; i++)
            value = value << 8 | field[i];
        return field[0] == 0x80 && value <= INT64_MAX ? value : UINT64_MAX;
    }
    int i = 0;
    while (i < length && field[i] == ' ')
        i++;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    return value <= INT64_MAX ? value : UINT64_MAX;
}

static int tar_sum_holds(const unsigned char *header) {
    uint64_t sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return sum == tar_number(header + 148, 8);
}

/* pax: lines "LENGTH key=value\n"; the value of path. */
static void pax_path(const char *text, size_t bytes, char *out, size_t size) {
    for (size_t at = 0; at < bytes;) {
        char *end;
        const size_t length = strtoul(text + at, &end, 10), skip = (size_t)(end - text) - at;
        if (length == 0 || length > bytes - at || skip + 1 >= length)
            return;
        if (length > skip + 6 && strncmp(end, " path=", 6) == 0)
            snprintf(out, size, "%.*s", (int)(length - skip - 7), end + 6);
        at += length;
    }
}

typedef struct tar {
    vit_reader file;
    uint64_t at;           /* of the next header */
    char name[1024];       /* of a long name that precedes its header */
    char key[1024];        /* WebDataset: the last picture's path to the first dot of its name */
    int picture;           /* its entry, -1: none */
    int32_t number;        /* of KEY.cls, if that came first; -1: none */
    char number_key[1024];
} tar;

static vit_status tar_read(tar *t, uint64_t offset, void *out, size_t bytes, vit_error *error) {
    size_t got;
    VIT_TRY(vit_reader_at(&t->file, offset, out, bytes, &got, error));
    if (got != bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within a file at %llu", t->file.name,
                        (unsigned long long)offset);
    return VIT_OK;
}

static size_t key_length(const char *path) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return (size_t)(name - path) + strcspn(name, ".");
}

static int same_key(const char *path, const char *key) {
    const size_t length = key_length(path);
    return strlen(key) == length && strncmp(path, key, length) == 0;
}

static vit_status name_class(vit_dataset *d, int entry, int32_t number, vit_error *error) {
    char text[16];
    const int length = snprintf(text, sizeof text, "%d", (int)number);
    return class_of(d, text, (size_t)length, &((vit_entry *)(void *)d->entries.data)[entry].class_index, error);
}

static vit_status tar_member(vit_dataset *d, tar *t, const char *path, uint64_t bytes, vit_error *error) {
    if (has_ending(path, ".cls")) {
        char text[16] = "";
        char *end;
        if (bytes >= sizeof text)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: %.200s: expected a class number", t->file.name, path);
        VIT_TRY(tar_read(t, t->at, text, (size_t)bytes, error));
        const long number = strtol(text, &end, 10);
        if (end == text || number < 0 || number > 99999999)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: %.200s: expected a class number", t->file.name, path);
        if (t->picture >= 0 && same_key(path, t->key))
            return name_class(d, t->picture, (int32_t)number, error);
        t->number = (int32_t)number;
        snprintf(t->number_key, sizeof t->number_key, "%.*s", (int)key_length(path), path);
        return VIT_OK;
    }
    if (!is_picture(path))
        return VIT_OK;
    vit_entry entry = {.offset = t->at, .bytes = bytes, .archive = d->archive_count - 1, .class_index = -1};
    t->picture = d->count;
    snprintf(t->key, sizeof t->key, "%.*s", (int)key_length(path), path);
    VIT_TRY(add_entry(d, entry, path, error));
    if (t->number >= 0 && same_key(path, t->number_key))
        VIT_TRY(name_class(d, t->picture, t->number, error));
    t->number = -1;
    return VIT_OK;
}

static vit_status scan_tar(vit_dataset *d, tar *t, vit_error *error) {
    unsigned char h[TAR_BLOCK];
    for (;;) {
        char path[1024];
        if (t->at == t->file.size)
            return VIT_OK; /* the closing blocks are often missing */
        VIT_TRY(tar_read(t, t->at, h, sizeof h, error));
        if (!h[0])
            return VIT_OK;
        const uint64_t bytes = tar_number(h + 124, 12);
        if (!tar_sum_holds(h))
            return vit_fail(error, VIT_ERR_FORMAT, "%s: no tar header at %llu", t->file.name, (unsigned long long)t->at);
        t->at += TAR_BLOCK;
        if (bytes > t->file.size - t->at)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within the file that begins at %llu", t->file.name,
                            (unsigned long long)t->at);
        if (t->name[0])
            snprintf(path, sizeof path, "%s", t->name);
        else if (h[345] && memcmp(h + 257, "ustar", 5) == 0)
            snprintf(path, sizeof path, "%.155s/%.100s", (const char *)h + 345, (const char *)h);
        else
            snprintf(path, sizeof path, "%.100s", (const char *)h);
        if (h[156] == 'L' || h[156] == 'x') {
            char text[4097] = "";
            const size_t length = bytes < sizeof text - 1 ? (size_t)bytes : sizeof text - 1;
            VIT_TRY(tar_read(t, t->at, text, length, error));
            if (h[156] == 'L')
                snprintf(t->name, sizeof t->name, "%.1000s", text);
            else
                pax_path(text, length, t->name, sizeof t->name);
        } else {
            t->name[0] = 0;
            if (h[156] == '0' || !h[156])
                VIT_TRY(tar_member(d, t, path, bytes, error));
        }
        t->at += (bytes + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
}

static vit_status add_archive(vit_dataset *d, const char *path, vit_error *error) {
    uint32_t at;
    tar t = {.picture = -1, .number = -1};
    const int first = d->count;
    VIT_TRY(add_text(d, path, &at, error));
    VIT_TRY(vit_buffer_append(&d->archives, &at, sizeof at, "the list of archives", error));
    d->archive_count++;
    VIT_TRY(vit_reader_open(&t.file, path, d->options.limits.file_bytes, error));
    vit_status status = scan_tar(d, &t, error);
    vit_reader_close(&t.file);
    for (int i = first; i < d->count && status == VIT_OK; i++) { /* those without KEY.cls: by their folder */
        vit_entry *entry = (vit_entry *)(void *)d->entries.data + i;
        const char *name, *picture = vit_dataset_text(d, entry->path);
        const size_t length = folder_of(picture, &name);
        if (entry->class_index >= 0)
            continue;
        if (!length && !d->unlabelled)
            return vit_fail(error, VIT_ERR_FORMAT,
                            "%.200s: %.200s lies in no folder that names its class, and has no .cls", path, picture);
        char copy[256]; /* texts may move */
        snprintf(copy, sizeof copy, "%.*s", (int)length, name);
        int32_t class_index;
        status = class_of(d, copy, strlen(copy), &class_index, error);
        ((vit_entry *)(void *)d->entries.data)[i].class_index = class_index;
    }
    return status;
}

/* ---- Classes in the order of their names; numbers by value ---- */

typedef struct named {
    const char *name;
    uint32_t at;
    int32_t before;
} named;

static int by_class(const void *a, const void *b) {
    const char *left = ((const named *)a)->name, *right = ((const named *)b)->name;
    const size_t digits_left = strspn(left, "0123456789"), digits_right = strspn(right, "0123456789");
    if (!left[digits_left] && !right[digits_right] && digits_left != digits_right)
        return digits_left < digits_right ? -1 : 1;
    return strcmp(left, right);
}

static vit_status sort_classes(vit_dataset *d, vit_error *error) {
    const size_t count = (size_t)d->class_count;
    named *order;
    int32_t *after;
    uint32_t *texts = (uint32_t *)(void *)d->classes.data;
    VIT_TRY(vit_alloc_for((void **)&order, &d->options.allocator, vit_size_mul(count, sizeof *order + sizeof *after),
                          "names of classes", error));
    after = (int32_t *)(void *)(order + count);
    for (size_t i = 0; i < count; i++)
        order[i] = (named){vit_dataset_text(d, texts[i]), texts[i], (int32_t)i};
    vit_sort(order, count, sizeof *order, by_class);
    for (size_t i = 0; i < count; i++) {
        texts[i] = order[i].at;
        after[order[i].before] = (int32_t)i;
    }
    for (int i = 0; i < d->count; i++) {
        vit_entry *entry = (vit_entry *)(void *)d->entries.data + i;
        entry->class_index = after[entry->class_index];
    }
    vit_release(&d->options.allocator, order);
    return VIT_OK;
}

/* ---- Calls ---- */

static vit_status fill(vit_dataset *d, const char *path, vit_error *error) {
    if (vit_is_folder(path))
        VIT_TRY(add_folder(d, path, NULL, 0, error));
    else if (has_ending(path, ".tar"))
        VIT_TRY(add_archive(d, path, error));
    else
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "%.300s: expected a folder %s, or a .tar file", path,
                        d->unlabelled ? "of pictures" : "with a folder for each class");
    if (!d->count)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "%.300s: no picture (.jpg, .jpeg, .png)%s", path,
                        d->unlabelled ? "" : " in a folder that names its class");
    return sort_classes(d, error);
}

static vit_status open_dataset(vit_dataset **out, const char *path, int unlabelled, const vit_options *options,
                               vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_dataset *d;
    *out = NULL;
    VIT_TRY(vit_alloc_for((void **)&d, &chosen.allocator, sizeof *d, "the list of pictures", error));
    *d = (vit_dataset){.options = chosen, .unlabelled = unlabelled};
    vit_buffer *buffers[] = {&d->entries, &d->texts, &d->archives, &d->classes};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffers[i]->allocator = &d->options.allocator;
    const vit_status status = fill(d, path, error);
    if (status != VIT_OK) {
        vit_dataset_close(d);
        return status;
    }
    *out = d;
    return VIT_OK;
}

vit_status vit_dataset_open(vit_dataset **out, const char *path, const vit_options *options, vit_error *error) {
    return open_dataset(out, path, 0, options, error);
}

vit_status vit_dataset_open_unlabelled(vit_dataset **out, const char *path, const vit_options *options,
                                       vit_error *error) {
    return open_dataset(out, path, 1, options, error);
}

void vit_dataset_close(vit_dataset *d) {
    if (!d)
        return;
    const vit_allocator allocator = d->options.allocator;
    vit_buffer_release(&d->entries);
    vit_buffer_release(&d->texts);
    vit_buffer_release(&d->archives);
    vit_buffer_release(&d->classes);
    vit_release(&allocator, d->slots);
    vit_release(&allocator, d);
}

int vit_dataset_class(const vit_dataset *d, int index) {
    return index >= 0 && index < d->count ? vit_dataset_entry(d, index)->class_index : -1;
}

vit_status vit_dataset_picture(const vit_dataset *d, int index, vit_image *out, vit_error *error) {
    vit_buffer file = {.allocator = &d->options.allocator};
    char name[300];
    vit_dataset_name(d, index, name, sizeof name);
    vit_status status = vit_dataset_read(d, index, &file, error);
    if (status == VIT_OK)
        status = vit_image_decode(out, name, file.data, file.size, &d->options, error);
    vit_buffer_release(&file);
    return status;
}

int vit_dataset_count(const vit_dataset *d) {
    return d->count;
}

int vit_dataset_classes(const vit_dataset *d) {
    return d->class_count;
}

const char *vit_dataset_class_name(const vit_dataset *d, int index) {
    return index >= 0 && index < d->class_count
               ? vit_dataset_text(d, ((const uint32_t *)(const void *)d->classes.data)[index])
               : NULL;
}

static const char *archive_path(const vit_dataset *d, int index) {
    return vit_dataset_text(d, ((const uint32_t *)(const void *)d->archives.data)[index]);
}

void vit_dataset_name(const vit_dataset *d, int index, char *out, size_t size) {
    const vit_entry *entry = vit_dataset_entry(d, index);
    const char *path = vit_dataset_text(d, entry->path);
    if (entry->archive < 0)
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s: %s", archive_path(d, entry->archive), path);
}

vit_status vit_dataset_read(const vit_dataset *d, int index, vit_buffer *buffer, vit_error *error) {
    const vit_entry *entry = vit_dataset_entry(d, index);
    const char *path = vit_dataset_text(d, entry->path);
    vit_reader file;
    size_t got = 0;
    if (entry->archive < 0)
        return vit_read_file(buffer, path, d->options.limits.file_bytes, error);
    if (!entry->bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: %.200s is empty", archive_path(d, entry->archive), path);
    VIT_TRY(vit_buffer_reserve(buffer, (size_t)entry->bytes, path, error));
    VIT_TRY(vit_reader_open(&file, archive_path(d, entry->archive), d->options.limits.file_bytes, error));
    vit_status status =
        vit_reader_at(&file, entry->offset, buffer->data + buffer->size, (size_t)entry->bytes, &got, error);
    if (status == VIT_OK && got != entry->bytes)
        status = vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within %.200s", file.name, path);
    vit_reader_close(&file);
    buffer->size += got;
    return status;
}
