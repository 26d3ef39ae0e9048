#include "index_file.h"

#include "../base/hash.h"
#include "options.h"
#include "paths.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file: a header, then records, little-endian. A record: its head, path_bytes of the path, [width] f32. */
typedef struct header {
    char magic[8];
    uint32_t width, arithmetic;
    char backbone[32];
    uint32_t size[2]; /* of the network's input: height, width */
    double crop_pct;
} header;

typedef struct record {
    uint32_t checksum;   /* of all that follows */
    uint32_t path_bytes;
    int64_t bytes, seconds;
} record;

static const char *const MAGIC[] = {"VITINDX1", "VITPART1"}; /* the second where vectors stay in the file */

enum { LONGEST_PATH = 65536 };

/* FNV-1a. */
static uint32_t checksum_of(uint32_t hash, const void *data, size_t bytes) {
    for (const unsigned char *at = data, *end = at + bytes; at < end; at++)
        hash = (hash ^ *at) * 16777619u;
    return hash;
}

static uint32_t checksum_of_record(const record *head, const char *path, const float *vector, int width) {
    uint32_t hash = checksum_of(2166136261u, &head->path_bytes, sizeof *head - offsetof(record, path_bytes));
    return checksum_of(checksum_of(hash, path, head->path_bytes), vector, (size_t)width * sizeof *vector);
}

/* ---- In memory ---- */

/* Each process has its own hash, so that paths of a hostile index do not all want one slot. */
static uint32_t place_of(const vit_cli_index *index, const char *path) {
    const uint64_t hash = vit_hash((uintptr_t)index, path, strlen(path));
    return (uint32_t)(hash ^ hash >> 32) & (uint32_t)(index->slot_count - 1);
}

/* The slot of a path, or the free one where it belongs. */
static int *slot_of(const vit_cli_index *index, const char *path) {
    uint32_t place = place_of(index, path);
    while (index->slots[place] && strcmp(index->entries[index->slots[place] - 1].path, path) != 0)
        place = (place + 1) & (uint32_t)(index->slot_count - 1);
    return &index->slots[place];
}

int vit_cli_index_find(const vit_cli_index *index, const char *path) {
    return index->slot_count ? *slot_of(index, path) - 1 : -1;
}

int vit_cli_index_knows(const vit_cli_index *index, const char *path, long long bytes, long long seconds) {
    const int found = vit_cli_index_find(index, path);
    return found >= 0 && index->entries[found].bytes == bytes && index->entries[found].seconds == seconds;
}

/* Room for one more; the table stays half empty. */
static int make_room(vit_cli_index *index) {
    if (index->count < index->room)
        return 1;
    const int room = index->room ? 2 * index->room : 64;
    const size_t width = index->in_file ? 0 : (size_t)index->width;
    vit_cli_entry *entries = NULL;
    float *vectors = NULL;
    int *slots = NULL;
    if (room <= INT_MAX / 4 && (!width || (size_t)room <= SIZE_MAX / sizeof *vectors / width)) {
        entries = realloc(index->entries, (size_t)room * sizeof *entries);
        index->entries = entries ? entries : index->entries;
        vectors = width ? realloc(index->vectors, (size_t)room * width * sizeof *vectors) : NULL;
        index->vectors = vectors ? vectors : index->vectors;
        slots = calloc((size_t)room * 2, sizeof *slots);
    }
    if (!entries || (width && !vectors) || !slots) {
        free(slots);
        vit_cli_complain("out of memory for %d feature vectors", index->count + 1);
        return 0;
    }
    free(index->slots);
    index->slots = slots;
    index->slot_count = 2 * room;
    index->room = room;
    for (int i = 0; i < index->count; i++)
        *slot_of(index, index->entries[i].path) = i + 1;
    return 1;
}

/* In memory, of a record at index->end of the file. path is taken over. */
static int remember(vit_cli_index *index, char *path, long long bytes, long long seconds, const float *vector) {
    int found = vit_cli_index_find(index, path);
    if (found < 0 && !make_room(index)) {
        free(path);
        return 0;
    }
    if (found < 0) {
        found = index->count;
        index->entries[index->count++].path = path;
        *slot_of(index, path) = index->count;
    } else {
        free(path);
    }
    index->entries[found].bytes = bytes;
    index->entries[found].seconds = seconds;
    index->entries[found].at = index->end;
    if (!index->in_file)
        memcpy(index->vectors + (size_t)found * (size_t)index->width, vector, (size_t)index->width * sizeof *vector);
    return 1;
}

/* ---- Reading ---- */

int vit_cli_is_index(const char *path, int flags) {
    char magic[8];
    FILE *file = vit_cli_is_file(path) ? fopen(path, "rb") : NULL;
    const int is = file && fread(magic, 1, sizeof magic, file) == sizeof magic && memcmp(magic, MAGIC[flags / VIT_CLI_INDEX_IN_FILE], 8) == 0;
    if (file)
        fclose(file);
    return is;
}

static int cannot_read(const vit_cli_index *index) {
    vit_cli_complain("%s: cannot read: %s", index->path, strerror(errno));
    return -1;
}

static int is_regular(const vit_cli_index *index) {
    const int is = vit_cli_is_file(index->path);
    if (!is)
        vit_cli_complain("%s: is not a regular file", index->path);
    return is;
}

static int damaged(const vit_cli_index *index, long long at) {
    vit_cli_complain("%s: is damaged at byte %lld", index->path, at);
    return -1;
}

/* Whether a whole record begins anywhere in the `left` bytes behind the head that was read at `at`: then what is wrong there is
 * no end that was not written. */
static int record_follows(const vit_cli_index *index, FILE *file, long long at, long long left) {
    const size_t row = (size_t)index->width * sizeof(float), size = (size_t)left - sizeof(record);
    unsigned char *rest = malloc(size ? size : 1);
    float *vector = malloc(row);
    int follows = !rest || !vector || fseeko(file, (off_t)at + (off_t)sizeof(record), SEEK_SET) != 0 || fread(rest, 1, size, file) != size;
    for (size_t i = 0; !follows && i + sizeof(record) + row < size; i++) {
        record head;
        memcpy(&head, rest + i, sizeof head);
        if (head.path_bytes == 0 || head.path_bytes > size - i - sizeof head - row)
            continue;
        const char *path = (const char *)rest + i + sizeof head;
        if (memchr(path, 0, head.path_bytes)) /* soon found where there are many heads */
            continue;
        memcpy(vector, path + head.path_bytes, row);
        follows = head.checksum == checksum_of_record(&head, path, vector, index->width);
    }
    free(rest);
    free(vector);
    return follows;
}

/* One record at the file's place, which is `at`, of `left` bytes. Its length; 0 where the rest of the file is a record
 * that was not wholly written; -1 after a complaint. vector: room for one, path: for the longest. */
static long long read_record(const vit_cli_index *index, FILE *file, long long at, long long left, record *head,
                             char *path, float *vector) {
    const long long row = (long long)index->width * (long long)sizeof *vector;
    if (left < (long long)sizeof *head)
        return 0;
    if (fread(head, sizeof *head, 1, file) != 1)
        return cannot_read(index);
    const long long length = (long long)sizeof *head + head->path_bytes + row;
    if (head->path_bytes == 0 || head->path_bytes >= LONGEST_PATH)
        return damaged(index, at);
    if (length > left)
        return record_follows(index, file, at, left) ? damaged(index, at) : 0;
    if (fread(path, head->path_bytes, 1, file) != 1 || fread(vector, (size_t)row, 1, file) != 1)
        return cannot_read(index);
    if (head->checksum != checksum_of_record(head, path, vector, index->width) || memchr(path, 0, head->path_bytes))
        return length == left ? 0 : damaged(index, at);
    for (int i = 0; i < index->width; i++)
        if (!isfinite(vector[i]))
            return damaged(index, at);
    path[head->path_bytes] = 0;
    return length;
}

static header header_of(const vit_cli_index *index) {
    header head = {.width = (uint32_t)index->width,
                   .arithmetic = index->arithmetic,
                   .size = {(uint32_t)index->size[0], (uint32_t)index->size[1]},
                   .crop_pct = index->crop_pct};
    memcpy(head.magic, MAGIC[index->in_file], sizeof head.magic);
    memcpy(head.backbone, index->backbone, sizeof head.backbone);
    return head;
}

/* 1 where the features are of the index's kind; 0 where the file is to be begun anew; -1 after a complaint. */
static int read_header(const vit_cli_index *index, FILE *file, int writable) {
    header head = {0};
    const header wanted = header_of(index);
    const size_t got = fread(&head, 1, sizeof head, file);
    const int is_whole = got == sizeof head, is_same = memcmp(&head, &wanted, got) == 0;
    if (ferror(file))
        return cannot_read(index);
    if (is_whole && is_same)
        return 1;
    if (index->in_file || (writable && is_same)) /* its program was stopped while it was made */
        return 0;
    if (!is_whole || memcmp(head.magic, wanted.magic, sizeof head.magic) != 0)
        vit_cli_complain("%s: is not a feature index", index->path);
    else if (memcmp(head.backbone, index->backbone, sizeof head.backbone) != 0 || head.width != wanted.width)
        vit_cli_complain("%s: was made with another network, preprocessing or --pool: %.31s, this one is %.31s", index->path,
                         memchr(head.backbone, 0, sizeof head.backbone) ? head.backbone : "?", index->backbone);
    else
        vit_cli_complain("%s: was made with --size %ux%u --crop-pct %g, this is %dx%d and %g", index->path,
                         head.size[0], head.size[1], head.crop_pct, index->size[0], index->size[1], index->crop_pct);
    return -1;
}

/* Sets index->end: where the records end that are whole; 0 where there is no file, or one to begin anew. */
static int read_all(vit_cli_index *index, int writable) {
    const long long size = vit_cli_file_size(index->path);
    if (size < 0)
        return 1;
    if (!index->file && !is_regular(index))
        return 0;
    FILE *file = index->file ? index->file : fopen(index->path, "rb");
    record head;
    char *path = malloc(LONGEST_PATH);
    float *vector = malloc((size_t)index->width * sizeof *vector);
    int good = file && path && vector;
    if (!good)
        vit_cli_complain("%s: cannot read: %s", index->path, file ? "out of memory" : strerror(errno));
    const int known = good ? read_header(index, file, writable) : -1;
    good = known >= 0;
    index->end = known > 0 ? (long long)sizeof(header) : 0;
    for (long long length = known; good && length > 0 && index->end < size;) {
        length = read_record(index, file, index->end, size - index->end, &head, path, vector);
        char *copy = length > 0 ? strdup(path) : NULL;
        if (length > 0 && !copy)
            vit_cli_complain("%s: out of memory", index->path);
        good = length == 0 || (copy && remember(index, copy, head.bytes, head.seconds, vector));
        index->end += good ? length : 0;
    }
    free(path);
    free(vector);
    if (file && file != index->file)
        fclose(file);
    return good;
}

/* ---- Writing ---- */

/* What was written in part is cut off again. */
static int cannot_write(vit_cli_index *index) {
    vit_cli_complain("%s: cannot write: %s", index->path, strerror(errno));
    if (index->file) {
        fclose(index->file); /* which may write more of it */
        index->file = NULL;
        if (truncate(index->path, index->end) != 0)
            vit_cli_complain("%s: cannot be cut: %s", index->path, strerror(errno)); /* the next run does */
    }
    return 0;
}

/* Before it is read, so that nothing changes between. */
static int open_file(vit_cli_index *index) {
    if (vit_cli_file_size(index->path) >= 0 && !is_regular(index))
        return 0;
    index->file = fopen(index->path, "a+b");
    return index->file ? vit_cli_lock(index->file, index->path) : cannot_write(index);
}

/* What is not whole is cut off; the header of one to begin anew. */
static int make_ready(vit_cli_index *index) {
    if (index->end < vit_cli_file_size(index->path) && truncate(index->path, index->end) != 0)
        return cannot_write(index);
    const header head = header_of(index);
    if (fseeko(index->file, 0, SEEK_END) != 0 ||
        (index->end == 0 && (fwrite(&head, sizeof head, 1, index->file) != 1 || fflush(index->file) != 0)))
        return cannot_write(index);
    index->end = index->end ? index->end : (long long)sizeof head;
    return 1;
}

/* Of compute and of how weights are stored. */
static uint32_t arithmetic_of(const vit_cli_engine *engine) {
    uint32_t hash = checksum_of(2166136261u, &engine->compute, sizeof engine->compute);
    for (int i = 0; i < vit_model_tensor_count(engine->model); i++)
        hash = checksum_of(hash, &vit_model_tensor(engine->model, i)->dtype, sizeof(vit_dtype));
    return hash;
}

int vit_cli_index_open(vit_cli_index *index, const char *path, const vit_cli_engine *engine, vit_feature feature,
                       int flags) {
    *index = (vit_cli_index){
        .path = path,
        .size = {engine->height, engine->width},
        .crop_pct = engine->rules.crop_pct,
        .width = vit_model_feature_width(engine->model, feature),
        .in_file = (flags & VIT_CLI_INDEX_IN_FILE) != 0,
        .arithmetic = flags & VIT_CLI_INDEX_IN_FILE ? arithmetic_of(engine) : 0,
    };
    vit_preprocess rules = engine->rules;
    rules.height = rules.width = 0; /* which the header has, as crop_pct, to say what is other */
    rules.crop_pct = 0;
    vit_model_backbone(engine->model, &rules, feature, index->backbone);
    const int writable = flags & VIT_CLI_INDEX_WRITE;
    return !path || ((!writable || open_file(index)) && read_all(index, writable) && (!writable || make_ready(index)));
}

void vit_cli_index_close(vit_cli_index *index) {
    for (int i = 0; i < index->count; i++)
        free(index->entries[i].path);
    free(index->entries);
    free(index->vectors);
    free(index->slots);
    if (index->file)
        fclose(index->file);
    *index = (vit_cli_index){0};
}

/* As one piece, so that the system gets it whole. Its length, or 0 after a complaint. */
static long long append(vit_cli_index *index, const char *path, long long bytes, long long seconds, const float *vector) {
    record head = {.path_bytes = (uint32_t)strlen(path), .bytes = bytes, .seconds = seconds};
    const size_t row = (size_t)index->width * sizeof *vector, length = sizeof head + head.path_bytes + row;
    unsigned char *piece = malloc(length);
    if (!piece) {
        vit_cli_complain("%s: out of memory", index->path);
        return 0;
    }
    head.checksum = checksum_of_record(&head, path, vector, index->width);
    memcpy(piece, &head, sizeof head);
    memcpy(piece + sizeof head, path, head.path_bytes);
    memcpy(piece + sizeof head + head.path_bytes, vector, row);
    const int good = fseeko(index->file, 0, SEEK_END) == 0 && fwrite(piece, length, 1, index->file) == 1 &&
                     fflush(index->file) == 0;
    free(piece);
    return good ? (long long)length : cannot_write(index);
}

int vit_cli_index_put(vit_cli_index *index, const char *path, long long bytes, long long seconds, const float *vector) {
    const size_t length = strlen(path);
    char *copy = length > 0 && length < LONGEST_PATH ? strdup(path) : NULL;
    if (!copy) {
        vit_cli_complain("%.300s: %s", path, length < LONGEST_PATH ? "out of memory" : "the path is too long");
        return 0;
    }
    const int has_file = index->file != NULL; /* which is closed where it cannot be written */
    const long long written = has_file ? append(index, path, bytes, seconds, vector) : 0;
    if (has_file && !written) {
        free(copy);
        return 0;
    }
    const int good = remember(index, copy, bytes, seconds, vector);
    index->end += written;
    return good;
}

int vit_cli_index_read(vit_cli_index *index, int entry, float *vector) {
    const vit_cli_entry *wanted = &index->entries[entry];
    record head;
    char *path = malloc(LONGEST_PATH);
    if (!path) {
        vit_cli_complain("%s: out of memory", index->path);
        return 0;
    }
    const int good = fseeko(index->file, wanted->at, SEEK_SET) == 0 &&
                     read_record(index, index->file, wanted->at, index->end - wanted->at, &head, path, vector) > 0 &&
                     strcmp(path, wanted->path) == 0;
    if (!good)
        damaged(index, wanted->at);
    free(path);
    return good;
}
