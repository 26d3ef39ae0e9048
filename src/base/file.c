#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static vit_status fail_errno(vit_error *error, const char *path, const char *what) {
    if (errno == ENOENT)
        return vit_fail(error, VIT_ERR_IO, "%s: no such file", path);
    return vit_fail(error, VIT_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

int vit_has_ending(const char *path, const char *ending) {
    const size_t length = strlen(path), least = strlen(ending);
    for (size_t i = 0; length > least && ending[i]; i++) {
        const char c = path[length - least + i];
        if ((c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c) != ending[i])
            return 0;
    }
    return length > least;
}

int vit_is_picture_path(const char *path) {
    return vit_has_ending(path, ".jpg") || vit_has_ending(path, ".jpeg") || vit_has_ending(path, ".png");
}

int vit_is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int vit_level_enter(vit_level *level, const char *path, const vit_level *above) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return 0;
    *level = (vit_level){above, (uint64_t)status.st_dev, (uint64_t)status.st_ino, above ? above->depth + 1 : 0};
    for (; above; above = above->above)
        if (above->device == level->device && above->inode == level->inode)
            return 0;
    return 1;
}

int vit_file_exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? !S_ISDIR(status.st_mode) : errno != ENOENT && errno != ENOTDIR;
}

static vit_status open_within(vit_reader *reader, const char *path, uint64_t limit, const char *limit_name,
                              vit_error *error) {
    *reader = (vit_reader){0};
    size_t length = strlen(path), room = sizeof reader->name - 1;
    size_t kept = length < room ? length : room;
    memcpy(reader->name, path + length - kept, kept + 1);
    struct stat status;
    if (stat(path, &status) != 0)
        return fail_errno(error, path, "cannot open");
    if (S_ISDIR(status.st_mode))
        return vit_fail(error, VIT_ERR_IO, "%s: is a folder, expected a file", path);
    if (!S_ISREG(status.st_mode))
        return vit_fail(error, VIT_ERR_IO, "%s: is not a regular file", path);
    if (status.st_size == 0)
        return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the file is empty", path);
    if ((uint64_t)status.st_size > limit)
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %llu bytes, the limit is %llu (limit %s)", path,
                        (unsigned long long)status.st_size, (unsigned long long)limit, limit_name);
    reader->size = (uint64_t)status.st_size;
    reader->stream = fopen(path, "rb");
    if (!reader->stream)
        return fail_errno(error, path, "cannot open");
    return VIT_OK;
}

vit_status vit_reader_open(vit_reader *reader, const char *path, uint64_t limit, vit_error *error) {
    return open_within(reader, path, limit, "file_bytes", error);
}

vit_status vit_reader_read(vit_reader *reader, void *out, size_t bytes, size_t *got, vit_error *error) {
    *got = fread(out, 1, bytes, reader->stream);
    while (*got < bytes && ferror(reader->stream)) {
        if (errno != EINTR)
            return fail_errno(error, reader->name, "cannot read");
        clearerr(reader->stream);
        *got += fread((char *)out + *got, 1, bytes - *got, reader->stream);
    }
    reader->position += *got;
    return VIT_OK;
}

vit_status vit_reader_at(vit_reader *reader, uint64_t offset, void *out, size_t bytes, size_t *got, vit_error *error) {
    if (offset != reader->position && fseeko(reader->stream, (off_t)offset, SEEK_SET) != 0)
        return fail_errno(error, reader->name, "cannot read");
    reader->position = offset;
    return vit_reader_read(reader, out, bytes, got, error);
}

vit_status vit_reader_rest(vit_reader *reader, vit_buffer *buffer, const char *name, vit_error *error) {
    unsigned char piece[65536];
    if (reader->size > reader->position && reader->size < SIZE_MAX) /* its memory does not grow by doubling */
        VIT_TRY(vit_buffer_reserve(buffer, (size_t)(reader->size - reader->position), name, error));
    for (size_t got = 1; got;) {
        VIT_TRY(vit_reader_read(reader, piece, sizeof piece, &got, error));
        if (got)
            VIT_TRY(vit_buffer_append(buffer, piece, got, name, error));
    }
    return VIT_OK;
}

void vit_reader_close(vit_reader *reader) {
    if (reader->stream)
        fclose(reader->stream);
    reader->stream = NULL;
}

static vit_status read_within(vit_buffer *buffer, const char *path, uint64_t limit, const char *limit_name,
                              vit_error *error) {
    vit_reader reader;
    vit_status status = open_within(&reader, path, limit, limit_name, error);
    if (status == VIT_OK)
        status = vit_reader_rest(&reader, buffer, path, error);
    vit_reader_close(&reader);
    return status;
}

vit_status vit_read_file(vit_buffer *buffer, const char *path, uint64_t limit, vit_error *error) {
    return read_within(buffer, path, limit, "file_bytes", error);
}

vit_status vit_read_config(vit_buffer *buffer, const char *path, uint64_t limit, vit_error *error) {
    return read_within(buffer, path, limit, "config_bytes", error);
}

enum { MOST_LINKS = 40 };

int vit_follow_links(char place[VIT_LONGEST_PATH], const char *path) {
    char target[VIT_LONGEST_PATH];
    const size_t whole = strlen(path);
    if (whole >= VIT_LONGEST_PATH)
        return 0;
    memcpy(place, path, whole + 1);
    for (int i = 0; i < MOST_LINKS; i++) {
        const ssize_t length = readlink(place, target, sizeof target);
        const char *name = strrchr(place, '/');
        const size_t folder = length > 0 && target[0] != '/' && name ? (size_t)(name + 1 - place) : 0;
        if (length <= 0)
            return 1;
        if (folder + (size_t)length >= VIT_LONGEST_PATH)
            return 0;
        memcpy(place + folder, target, (size_t)length);
        place[folder + (size_t)length] = 0;
    }
    return 1;
}

vit_status vit_writer_open(vit_writer *writer, const char *path, const vit_allocator *allocator, vit_error *error) {
    *writer = (vit_writer){.allocator = *allocator};
    char place[VIT_LONGEST_PATH];
    if (vit_follow_links(place, path))
        path = place;
    const size_t length = strlen(path);
    struct stat before;
    const int is_there = stat(path, &before) == 0;
    if (!is_there && errno == ELOOP)
        return vit_fail(error, VIT_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    if (is_there && !S_ISREG(before.st_mode))
        return vit_fail(error, VIT_ERR_IO, "%s: cannot write: is %s, expected a file", path,
                        S_ISDIR(before.st_mode) ? "a folder" : "not a regular file");
    VIT_TRY(vit_alloc_for((void **)&writer->path, allocator, 2 * length + 32, path, error));
    memcpy(writer->path, path, length + 1);
    writer->temporary = writer->path + length + 1;
    snprintf(writer->temporary, length + 31, "%s.part%ld", path, (long)getpid());
    remove(writer->temporary); /* of a process that was killed, or a link to elsewhere */
    writer->stream = fopen(writer->temporary, "wbx");
    if (!writer->stream) {
        vit_status status = vit_fail(error, VIT_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        vit_release(allocator, writer->path);
        writer->path = NULL;
        return status;
    }
#ifndef __wasi__ /* which has no modes */
    if (is_there)
        (void)!fchmod(fileno(writer->stream), before.st_mode & 07777); /* who may read it stays so */
#endif
    return VIT_OK;
}

vit_status vit_writer_write(vit_writer *writer, const void *data, size_t bytes, vit_error *error) {
    if (fwrite(data, 1, bytes, writer->stream) != bytes)
        return fail_errno(error, writer->path, "cannot write");
    writer->size += bytes;
    return VIT_OK;
}

vit_status vit_writer_commit(vit_writer *writer, vit_error *error) {
    int failed = ferror(writer->stream) || fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0;
    failed |= fclose(writer->stream) != 0;
    writer->stream = NULL;
    if (failed || rename(writer->temporary, writer->path) != 0) {
        vit_status status = fail_errno(error, writer->path, "cannot write");
        vit_writer_cancel(writer);
        return status;
    }
    vit_release(&writer->allocator, writer->path);
    writer->path = NULL;
    return VIT_OK;
}

void vit_writer_cancel(vit_writer *writer) {
    if (!writer->path)
        return;
    if (writer->stream)
        fclose(writer->stream);
    writer->stream = NULL;
    remove(writer->temporary);
    vit_release(&writer->allocator, writer->path);
    writer->path = NULL;
}
