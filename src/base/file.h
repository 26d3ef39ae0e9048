/* Files: reading within a limit, writing under a temporary name that is renamed when complete. */
#ifndef VIT_BASE_FILE_H
#define VIT_BASE_FILE_H

#include "memory.h"

#include <stdio.h>

typedef struct vit_reader {
    FILE *stream;
    char name[256];   /* for errors: the path, its end if it is long */
    uint64_t size, position;
} vit_reader;

/* Refuses folders, missing and empty files, and files over limit bytes (file_bytes), each with its own sentence. */
vit_status vit_reader_open(vit_reader *reader, const char *path, uint64_t limit, vit_error *error);
/* Up to bytes into out; *got is 0 at the end of the file. */
vit_status vit_reader_read(vit_reader *reader, void *out, size_t bytes, size_t *got, vit_error *error);
/* The same from offset on. */
vit_status vit_reader_at(vit_reader *reader, uint64_t offset, void *out, size_t bytes, size_t *got, vit_error *error);
/* What is left, appended to buffer. name: for errors. */
vit_status vit_reader_rest(vit_reader *reader, vit_buffer *buffer, const char *name, vit_error *error);
void vit_reader_close(vit_reader *reader);
/* The whole file appended to buffer. */
vit_status vit_read_file(vit_buffer *buffer, const char *path, uint64_t limit, vit_error *error);
/* The same of a file whose limit is config_bytes. */
vit_status vit_read_config(vit_buffer *buffer, const char *path, uint64_t limit, vit_error *error);

enum { VIT_LONGEST_PATH = 4096 };
/* Where the links of `path` lead, which need not exist. 0: the path is too long. */
int vit_follow_links(char place[VIT_LONGEST_PATH], const char *path);

/* The file appears under its own name only when commit succeeds and nothing failed that was written to its stream; cancel
 * (and a failed write) removes what was written. Where the name is a link's, the file it leads to is replaced. After an
 * error only cancel is useful; cancel after commit does nothing. */
typedef struct vit_writer {
    FILE *stream;
    char *path, *temporary;
    uint64_t size;
    vit_allocator allocator;
} vit_writer;

vit_status vit_writer_open(vit_writer *writer, const char *path, const vit_allocator *allocator, vit_error *error);
vit_status vit_writer_write(vit_writer *writer, const void *data, size_t bytes, vit_error *error);
vit_status vit_writer_commit(vit_writer *writer, vit_error *error);
void vit_writer_cancel(vit_writer *writer);

/* ending: in lower case, which path need not be; something stands before it. */
int vit_has_ending(const char *path, const char *ending);
/* .jpg, .jpeg or .png, by the name. */
int vit_is_picture_path(const char *path);
int vit_is_folder(const char *path);
/* A folder that is read and those it was reached through, by what they are: a link to one of them would lead on without end. */
typedef struct vit_level {
    const struct vit_level *above; /* NULL: none */
    uint64_t device, inode;
    int depth;                     /* of them */
} vit_level;
/* 0 where `path` is no folder, or one of those. */
int vit_level_enter(vit_level *level, const char *path, const vit_level *above);
/* Also where it cannot be told: whoever opens it will say why. */
int vit_file_exists(const char *path);

#endif
