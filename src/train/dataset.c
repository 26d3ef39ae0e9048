/* Pictures in a folder with a folder for each class (ImageFolder), or in .tar files (WebDataset's shards, or a packed
 * ImageFolder). Only their places are held: a tar is read once for its headers and then at random. */
#include "dataset.h"

#include "../base/file.h"
#include "../base/hash.h"
#include "../format/sort.h"
#include "../format/text.h"
#include "../image/image.h"
#include "tar.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEEPEST = 64 /* levels of folders */, LONGEST_CLASS = 255 };

static const uint64_t IS_LINK = UINT64_MAX, IS_NAMELESS = UINT64_MAX - 1; /* where the offset of a member would be */

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

/* The slot of a class, or the free one where it belongs. Each process has its own hash, so that names of hostile archives
 * do not all want one slot. */
static int32_t *slot_of(const vit_dataset *d, const char *name, size_t length) {
    for (uint64_t hash = vit_hash((uintptr_t)d, name, length);; hash++) {
        int32_t *slot = &d->slots[hash & (uint64_t)(d->slot_count - 1)];
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
    if (!d->unlabelled && !vit_utf8_name(name, length))
        return vit_fail(error, VIT_ERR_FORMAT, "%s: the name of the class is not UTF-8", vit_show(name, length).text);
    length = length < LONGEST_CLASS ? length : vit_utf8_prefix(name, LONGEST_CLASS);
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

/* The folder a picture lies in: "train/airplane/1.jpg" -> airplane. 0 letters where it is in none. */
static size_t folder_of(const char *path, const char **name) {
    const char *end = strrchr(path, '/');
    const char *begin = end;
    while (begin && begin > path && begin[-1] != '/')
        begin--;
    *name = begin ? begin : path;
    return begin ? (size_t)(end - begin) : 0;
}

static const char *archive_path(const vit_dataset *d, int index) {
    return vit_dataset_text(d, ((const uint32_t *)(const void *)d->archives.data)[index]);
}

/* archive: -1 where there is none. */
static vit_status pass_over(vit_dataset *d, int archive, const char *path, vit_error *error) {
    char name[VIT_LONGEST_PATH + VIT_TAR_PATH + 2];
    if (d->passed_over++)
        return VIT_OK;
    snprintf(name, sizeof name, "%s%s%s", archive < 0 ? "" : archive_path(d, archive), archive < 0 ? "" : ": ", path);
    return add_text(d, name, &d->passed_first, error);
}

/* ---- Folders ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static vit_status add_archive(vit_dataset *d, const char *path, vit_error *error);

static vit_status add_folder(vit_dataset *d, const char *path, const char *class, const vit_level *here, vit_error *error);

/* Whether it can be told what is there; a link that leads nowhere, or in a circle, is a file without content. */
static int look_at(const char *path, struct stat *kind) {
    struct stat link;
    if (stat(path, kind) == 0)
        return 1;
    const int why = errno, is_link = lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
    memset(kind, 0, sizeof *kind);
    errno = why;
    return is_link || why == ENOENT;
}

/* One of what is in a folder. class: of the folder, NULL at the top, where folders are classes. */
static vit_status add_file(vit_dataset *d, const char *path, const char *name, const char *class, const vit_level *here,
                           vit_error *error) {
    const int before = d->count;
    struct stat kind;
    vit_level level;
    if (!look_at(path, &kind))
        return vit_fail(error, VIT_ERR_IO, "%.300s: cannot read: %s", path, strerror(errno));
    if (S_ISDIR(kind.st_mode)) {
        if (!vit_level_enter(&level, path, here))
            return VIT_OK;
        VIT_TRY(add_folder(d, path, class ? class : name, &level, error));
        if (class || d->unlabelled || d->count > before || d->empty++)
            return VIT_OK;
        return add_text(d, path, &d->empty_first, error);
    }
    if ((class || d->unlabelled) && vit_is_picture_path(path)) {
        vit_entry entry = {.archive = -1, .bytes = (uint64_t)kind.st_size};
        const char *own = class ? class : "";
        VIT_TRY(class_of(d, own, strlen(own), &entry.class_index, error));
        return add_entry(d, entry, path, error);
    }
    if (vit_has_ending(path, ".tar"))
        return add_archive(d, path, error);
    return class || d->unlabelled || vit_is_picture_path(path) ? pass_over(d, -1, path, error) : VIT_OK;
}

/* What is in a folder, by name. */
static vit_status add_folder(vit_dataset *d, const char *path, const char *class, const vit_level *here, vit_error *error) {
    vit_buffer names = {.allocator = &d->options.allocator};
    DIR *folder = here->depth < DEEPEST ? opendir(path) : NULL;
    if (!folder)
        return vit_fail(error, VIT_ERR_IO, "%.300s: cannot read the folder: %s", path,
                        here->depth < DEEPEST ? strerror(errno) : "folders are nested too deep");
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
        char below[VIT_LONGEST_PATH];
        if (snprintf(below, sizeof below, "%s/%s", path, sorted[i]) >= (int)sizeof below)
            status = vit_fail(error, VIT_ERR_IO, "%.300s: the path is too long", below);
        else
            status = add_file(d, below, sorted[i], class, here, error);
    }
    vit_release(&d->options.allocator, sorted);
    vit_buffer_release(&names);
    return status;
}

/* ---- Archives ---- */

/* WebDataset: files side by side whose paths begin alike, up to a dot, belong together. */
typedef struct shard {
    vit_tar tar;
    int first;                     /* of the shard's entries */
    char key[VIT_TAR_PATH];        /* of the last .cls: its path up to that */
    char class[LONGEST_CLASS + 1]; /* what it says, "": there was none yet */
} shard;

static int has_key(const shard *s, const char *path) {
    const size_t length = strlen(s->key);
    return strncmp(path, s->key, length) == 0 && path[length] == '.';
}

/* The class of the last pictures, as far as they have the key. */
static vit_status name_class(vit_dataset *d, const shard *s, vit_error *error) {
    for (int i = d->count - 1; s->class[0] && i >= s->first; i--) {
        const vit_entry *entry = vit_dataset_entry(d, i);
        int32_t class_index;
        if (entry->class_index >= 0 || !has_key(s, vit_dataset_text(d, entry->path)))
            break;
        VIT_TRY(class_of(d, s->class, strlen(s->class), &class_index, error));
        ((vit_entry *)(void *)d->entries.data)[i].class_index = class_index;
    }
    return VIT_OK;
}

/* A number, however it is written, or a name. */
static vit_status read_class(shard *s, const vit_tar_member *m, vit_error *error) {
    char text[LONGEST_CLASS + 1] = "";
    if (m->bytes < sizeof text)
        VIT_TRY(vit_tar_read(&s->tar, m->offset, text, (size_t)m->bytes, error));
    char *begin = text + strspn(text, " \t\r\n"), *end = begin + strlen(begin);
    while (end > begin && strchr(" \t\r\n", end[-1]))
        *--end = 0;
    if (!*begin || strlen(text) + 1 < (size_t)m->bytes || !vit_utf8_name(begin, strlen(begin)))
        return vit_fail(error, VIT_ERR_FORMAT, "%s: %.200s: expected the number or the name of a class", s->tar.file.name, m->path);
    const size_t digits = strspn(begin, "0123456789");
    while (digits > 1 && !begin[digits] && *begin == '0' && begin[1])
        begin++;
    snprintf(s->class, sizeof s->class, "%s", begin);
    return VIT_OK;
}

/* Pictures by name that are not read. */
static int is_other_picture(const char *path) {
    static const char *const endings[] = {".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jxl", ".jp2", ".ppm"};
    int found = 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        found |= vit_has_ending(path, endings[i]);
    return found;
}

static vit_status add_member(vit_dataset *d, shard *s, const vit_tar_member *m, vit_error *error) {
    const char *path = m->path;
    while (path[0] == '/' || (path[0] == '.' && path[1] == '/')) /* of `tar -P`, and of `tar -C folder .` */
        path++;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const int is_class = !d->unlabelled && m->kind == VIT_TAR_FILE && vit_has_ending(path, ".cls");
    if (name[0] == '.' || m->kind == VIT_TAR_OTHER)
        return VIT_OK;
    if (!is_class && !vit_is_picture_path(path))
        return is_other_picture(path) ? pass_over(d, d->archive_count - 1, path, error) : VIT_OK;
    const vit_entry entry = {.offset = m->kind == VIT_TAR_LINK ? IS_LINK : m->offset, .bytes = m->bytes,
                             .archive = d->archive_count - 1, .class_index = -1};
    if (is_class) {
        snprintf(s->key, sizeof s->key, "%.*s", (int)(strlen(path) - strlen(".cls")), path);
        VIT_TRY(read_class(s, m, error));
    } else {
        VIT_TRY(add_entry(d, entry, path, error));
    }
    return name_class(d, s, error);
}

/* Where .cls files name classes, a picture that has none and lies in no folder cannot be used. */
static void mark_nameless(vit_dataset *d, int first) {
    vit_entry *entries = (vit_entry *)(void *)d->entries.data;
    int by_key = 0;
    for (int i = first; i < d->count; i++)
        by_key |= entries[i].class_index >= 0;
    for (int i = first; i < d->count && by_key; i++)
        if (entries[i].class_index < 0 && !strchr(vit_dataset_text(d, entries[i].path), '/')) {
            entries[i].offset = IS_NAMELESS;
            entries[i].class_index = 0;
        }
}

static vit_status add_archive(vit_dataset *d, const char *path, vit_error *error) {
    uint32_t at;
    const int first = d->count;
    shard s = {.first = first};
    vit_tar_member member;
    int more = 1;
    VIT_TRY(add_text(d, path, &at, error));
    VIT_TRY(vit_buffer_append(&d->archives, &at, sizeof at, "the list of archives", error));
    d->archive_count++;
    vit_status status = vit_tar_open(&s.tar, path, &d->options, error);
    while (status == VIT_OK && more) {
        status = vit_tar_next(&s.tar, &member, &more, error);
        if (status == VIT_OK && more)
            status = add_member(d, &s, &member, error);
    }
    vit_tar_close(&s.tar);
    mark_nameless(d, first);
    return status;
}

/* ---- Classes of what lies in archives, as if all were unpacked in one place ---- */

/* Whether a folder of `path` ends after its first `length` bytes, which `other` has too. */
static int shares_folder(const char *path, const char *other, size_t length) {
    return path[length - 1] == '/' && strncmp(path, other, length) == 0;
}

/* Bytes of the folders that all pictures without a class have in common, the last slash too. */
static size_t common_folders(const vit_dataset *d) {
    const char *common = NULL;
    size_t shared = 0;
    for (int i = 0; i < d->count; i++) {
        const vit_entry *entry = vit_dataset_entry(d, i);
        const char *path = vit_dataset_text(d, entry->path), *slash = strrchr(path, '/');
        if (entry->class_index >= 0)
            continue;
        if (!common) {
            common = path;
            shared = slash ? (size_t)(slash + 1 - path) : 0;
        }
        while (shared && !shares_folder(common, path, shared))
            shared--;
    }
    return shared;
}

/* Pictures without .cls are of the class that a folder names: the one right below those that all have in common, or the last
 * of these where all lie in it. A picture right in it is passed over where others lie deeper. */
static vit_status name_by_folders(vit_dataset *d, vit_error *error) {
    const size_t shared = common_folders(d);
    const int before = d->count;
    vit_entry *entries = (vit_entry *)(void *)d->entries.data;
    int deeper = 0, kept = 0;
    for (int i = 0; i < d->count; i++)
        deeper |= entries[i].class_index < 0 && strchr(vit_dataset_text(d, entries[i].path) + shared, '/');
    for (int i = 0; i < before; i++) {
        vit_entry entry = entries[i];
        if (entry.class_index < 0) {
            const char *path = vit_dataset_text(d, entry.path), *name = path + shared, *end = strchr(name, '/');
            const size_t length = end ? (size_t)(end - name) : deeper ? 0 : folder_of(path, &name);
            if (!length && !d->unlabelled && deeper) {
                VIT_TRY(pass_over(d, entry.archive, path, error));
                continue;
            }
            if (!length && !d->unlabelled)
                return vit_fail(error, VIT_ERR_FORMAT,
                                "%.200s: %.200s lies in no folder that names its class, and no .cls stands beside it (WebDataset keeps the files of a key together)",
                                archive_path(d, entry.archive), path);
            VIT_TRY(class_of(d, name, length, &entry.class_index, error));
        }
        entries[kept++] = entry;
    }
    d->count = kept;
    if (before && !kept)
        return vit_fail(error, VIT_ERR_FORMAT, "%.200s: no picture lies in a folder that names its class, and no .cls stands beside one",
                        archive_path(d, entries[0].archive));
    return VIT_OK;
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
    const int is_left = !left[digits_left], is_right = !right[digits_right]; /* whether they are numbers, which come first */
    if (is_left != is_right)
        return is_right - is_left;
    if (is_left && digits_left != digits_right)
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

static vit_status add_path(vit_dataset *d, const char *path, vit_error *error) {
    const int before = d->count;
    vit_level top;
    if (vit_level_enter(&top, path, NULL))
        VIT_TRY(add_folder(d, path, NULL, &top, error));
    else if (vit_has_ending(path, ".tar"))
        VIT_TRY(add_archive(d, path, error));
    else
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "%.300s: expected a folder %s, or a .tar file", path,
                        d->unlabelled ? "of pictures" : "with a folder for each class");
    if (d->count == before)
        return vit_fail(error, VIT_ERR_ARGUMENT,
                        "%.300s: no picture (.jpg, .jpeg, .png)%s", path,
                        d->unlabelled ? "" : " in a folder that names its class");
    return VIT_OK;
}

static vit_status open_dataset(vit_dataset **out, const char *const *paths, int count, int unlabelled,
                               const vit_options *options, vit_error *error) {
    const vit_options chosen = options ? *options : vit_default_options();
    vit_dataset *d;
    *out = NULL;
    VIT_TRY(vit_alloc_for((void **)&d, &chosen.allocator, sizeof *d, "the list of pictures", error));
    *d = (vit_dataset){.options = chosen, .unlabelled = unlabelled};
    vit_buffer *buffers[] = {&d->entries, &d->texts, &d->archives, &d->classes};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffers[i]->allocator = &d->options.allocator;
    vit_status status = VIT_OK;
    for (int i = 0; i < count && status == VIT_OK; i++)
        status = add_path(d, paths[i], error);
    if (status == VIT_OK)
        status = name_by_folders(d, error);
    if (status == VIT_OK)
        status = sort_classes(d, error);
    if (status != VIT_OK) {
        vit_dataset_close(d);
        return status;
    }
    *out = d;
    return VIT_OK;
}

vit_status vit_dataset_open(vit_dataset **out, const char *const *paths, int count, const vit_options *options,
                            vit_error *error) {
    return open_dataset(out, paths, count, 0, options, error);
}

vit_status vit_dataset_open_unlabelled(vit_dataset **out, const char *const *paths, int count, const vit_options *options,
                                       vit_error *error) {
    return open_dataset(out, paths, count, 1, options, error);
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

uint64_t vit_dataset_hash(const vit_dataset *d) {
    uint64_t hash = VIT_HASH_BEGIN;
    for (int i = 0; i < d->class_count; i++)
        hash = vit_hash(hash, class_name(d, i), strlen(class_name(d, i)) + 1);
    for (int i = 0; i < d->count; i++) {
        const vit_entry *entry = vit_dataset_entry(d, i);
        const char *path = vit_dataset_text(d, entry->path), *slash = strrchr(path, '/'), *name;
        const int64_t numbers[] = {entry->class_index, (int64_t)entry->bytes};
        if (!folder_of(path, &name))
            name = slash ? slash : path;
        hash = vit_hash(vit_hash(hash, numbers, sizeof numbers), name, strlen(name));
    }
    return hash;
}

int vit_dataset_passed_over(const vit_dataset *d, const char **first) {
    *first = d->passed_over ? vit_dataset_text(d, d->passed_first) : NULL;
    return d->passed_over;
}

int vit_dataset_empty_folders(const vit_dataset *d, const char **first) {
    *first = d->empty ? vit_dataset_text(d, d->empty_first) : NULL;
    return d->empty;
}

void vit_dataset_name(const vit_dataset *d, int index, char *out, size_t size) {
    const vit_entry *entry = vit_dataset_entry(d, index);
    const char *path = vit_dataset_text(d, entry->path);
    if (entry->archive < 0)
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s: %s", archive_path(d, entry->archive), path);
}

/* The first `bytes` of a file in an archive, of which that much is. */
static vit_status read_member(const vit_dataset *d, const vit_entry *entry, size_t bytes, vit_buffer *buffer,
                              vit_error *error) {
    const char *path = vit_dataset_text(d, entry->path);
    vit_reader file;
    size_t got = 0;
    if (entry->offset == IS_LINK)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: %.200s is a link, expected the picture itself",
                        archive_path(d, entry->archive), path);
    if (entry->offset == IS_NAMELESS)
        return vit_fail(error, VIT_ERR_FORMAT, "%s: %.200s has no .cls beside it and lies in no folder that names its class",
                        archive_path(d, entry->archive), path);
    if (!entry->bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: %.200s is empty", archive_path(d, entry->archive), path);
    VIT_TRY(vit_picture_bytes_check(path, entry->bytes, &d->options.limits, error));
    VIT_TRY(vit_buffer_reserve(buffer, bytes, path, error));
    VIT_TRY(vit_reader_open(&file, archive_path(d, entry->archive), d->options.limits.file_bytes, error));
    vit_status status = vit_reader_at(&file, entry->offset, buffer->data + buffer->size, bytes, &got, error);
    if (status == VIT_OK && got != bytes)
        status = vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within %.200s", file.name, path);
    vit_reader_close(&file);
    buffer->size += got;
    return status;
}

vit_status vit_dataset_read(const vit_dataset *d, int index, vit_buffer *buffer, vit_error *error) {
    const vit_entry *entry = vit_dataset_entry(d, index);
    return entry->archive < 0 ? vit_read_file(buffer, vit_dataset_text(d, entry->path), d->options.limits.file_bytes, error)
                              : read_member(d, entry, (size_t)entry->bytes, buffer, error);
}

vit_status vit_dataset_picture(const vit_dataset *d, int index, vit_image *out, vit_error *error) {
    enum { HEAD = 1024 };
    const vit_entry *entry = vit_dataset_entry(d, index);
    if (entry->archive < 0)
        return vit_image_open(out, vit_dataset_text(d, entry->path), &d->options, error);
    vit_buffer file = {.allocator = &d->options.allocator};
    char name[300];
    vit_dataset_name(d, index, name, sizeof name);
    /* what is no picture may be gigabytes */
    vit_status status = read_member(d, entry, entry->bytes < HEAD ? (size_t)entry->bytes : HEAD, &file, error);
    if (status == VIT_OK)
        status = vit_picture_start_check(name, file.data, file.size, error);
    file.size = 0;
    if (status == VIT_OK)
        status = vit_dataset_read(d, index, &file, error);
    if (status == VIT_OK)
        status = vit_image_decode(out, name, file.data, file.size, &d->options, error);
    vit_buffer_release(&file);
    return status;
}
