#include "tar.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, LONGEST_EXTENSION = 1 << 20 };

/* What extended headers say of the member after them. */
typedef struct extended {
    int has_path, has_bytes;
    char path[1024];
    uint64_t bytes;
} extended;

/* An octal number, or GNU's binary one. UINT64_MAX where there is none. */
static uint64_t number(const unsigned char *field, int length) {
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

static int sum_holds(const unsigned char *header) {
    uint64_t sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return sum == number(header + 148, 8);
}

static vit_status set_path(const vit_tar *t, extended *e, const char *path, size_t length, vit_error *error) {
    if (length >= sizeof e->path)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: %.60s...: a name of %zu bytes, expected at most %zu", t->file.name, path,
                        length, sizeof e->path - 1);
    memcpy(e->path, path, length);
    e->path[length] = 0;
    e->has_path = 1;
    return VIT_OK;
}

/* pax: lines "LENGTH key=value\n"; text ends with 0 after its bytes. */
static vit_status read_pax(const vit_tar *t, extended *e, const char *text, size_t bytes, vit_error *error) {
    for (size_t at = 0; at < bytes;) {
        char *key;
        const size_t length = strtoul(text + at, &key, 10), skip = (size_t)(key - text) - at;
        if (length > bytes - at || skip + 2 > length)
            return vit_fail(error, VIT_ERR_FORMAT, "%s: no line of a pax header at %llu", t->file.name,
                            (unsigned long long)(t->at + at));
        const size_t rest = length - skip - 1; /* without the line's end */
        if (rest >= 6 && strncmp(key, " path=", 6) == 0)
            VIT_TRY(set_path(t, e, key + 6, rest - 6, error));
        if (rest >= 6 && strncmp(key, " size=", 6) == 0) {
            e->bytes = strtoull(key + 6, NULL, 10);
            e->has_bytes = 1;
        }
        at += length;
    }
    return VIT_OK;
}

static vit_status read_extended(vit_tar *t, extended *e, int type, uint64_t bytes, vit_error *error) {
    if (bytes > LONGEST_EXTENSION)
        return vit_fail(error, VIT_ERR_UNSUPPORTED, "%s: an extended header of %llu bytes at %llu, expected at most %d", t->file.name,
                        (unsigned long long)bytes, (unsigned long long)t->at, LONGEST_EXTENSION);
    t->extension.size = 0;
    VIT_TRY(vit_buffer_reserve(&t->extension, (size_t)bytes + 1, "an extended header", error));
    char *text = (char *)t->extension.data;
    VIT_TRY(vit_tar_read(t, t->at, text, (size_t)bytes, error));
    text[bytes] = 0;
    return type == 'L' ? set_path(t, e, text, strlen(text), error) : read_pax(t, e, text, (size_t)bytes, error);
}

vit_status vit_tar_open(vit_tar *t, const char *path, const vit_options *options, vit_error *error) {
    *t = (vit_tar){.extension = {.allocator = &options->allocator}};
    return vit_reader_open(&t->file, path, options->limits.file_bytes, error);
}

vit_status vit_tar_next(vit_tar *t, vit_tar_member *m, int *more, vit_error *error) {
    unsigned char h[BLOCK];
    extended e = {0};
    for (*more = 0; t->at != t->file.size;) {
        VIT_TRY(vit_tar_read(t, t->at, h, sizeof h, error));
        if (!h[0])
            return VIT_OK;
        const int type = h[156], is_extended = type == 'L' || type == 'x';
        uint64_t bytes = e.has_bytes && !is_extended ? e.bytes : number(h + 124, 12);
        if (!sum_holds(h))
            return vit_fail(error, VIT_ERR_FORMAT, "%s: no tar header at %llu", t->file.name, (unsigned long long)t->at);
        t->at += BLOCK;
        if (type >= '1' && type <= '6') /* links, devices and folders have no content, whatever they say */
            bytes = 0;
        if (bytes > t->file.size - t->at)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within the file that begins at %llu", t->file.name,
                            (unsigned long long)t->at);
        if (is_extended) {
            VIT_TRY(read_extended(t, &e, type, bytes, error));
        } else {
            m->kind = type == '0' || !type ? VIT_TAR_FILE : type == '1' || type == '2' ? VIT_TAR_LINK : VIT_TAR_OTHER;
            m->offset = t->at;
            m->bytes = bytes;
            if (e.has_path)
                memcpy(m->path, e.path, sizeof m->path);
            else if (h[345] && memcmp(h + 257, "ustar", 6) == 0)
                snprintf(m->path, sizeof m->path, "%.155s/%.100s", (const char *)h + 345, (const char *)h);
            else
                snprintf(m->path, sizeof m->path, "%.100s", (const char *)h);
        }
        t->at += (bytes + BLOCK - 1) / BLOCK * BLOCK;
        if (!is_extended) {
            *more = 1;
            return VIT_OK;
        }
    }
    return VIT_OK;
}

vit_status vit_tar_read(vit_tar *t, uint64_t offset, void *out, size_t bytes, vit_error *error) {
    size_t got;
    VIT_TRY(vit_reader_at(&t->file, offset, out, bytes, &got, error));
    if (got != bytes)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: ends within a file at %llu", t->file.name,
                        (unsigned long long)offset);
    return VIT_OK;
}

void vit_tar_close(vit_tar *t) {
    vit_reader_close(&t->file);
    vit_buffer_release(&t->extension);
}
