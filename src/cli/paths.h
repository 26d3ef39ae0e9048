/* Pictures from files and folders, and checks of paths. */
#ifndef VIT_CLI_PATHS_H
#define VIT_CLI_PATHS_H

#include "../base/file.h"
#include "../vit_train.h"
#include "options.h"

#include <stddef.h>
#include <stdio.h>

typedef struct vit_cli_paths {
    char **items;
    size_t count, capacity;
} vit_cli_paths;

/* A file is taken as it is; a folder gives every picture below it by extension (.jpg, .jpeg, .png in any case), sorted
 * by the bytes of the path; hidden names and links to folders are passed over. What cannot be read, and a folder
 * without any picture, is named on stderr; returns how many such complaints there were. */
int vit_cli_collect(vit_cli_paths *paths, const char *path);
/* The same of folders of classes, as 'vit train' takes them: links to folders are followed, but for those to a folder above. */
int vit_cli_collect_classes(vit_cli_paths *paths, const char *path);
/* The first of several. */
int vit_cli_collect_all(vit_cli_paths *paths, int count, char **arguments);
void vit_cli_paths_release(vit_cli_paths *paths);

/* Complains of what was found and is not taken, if there is any. */
void vit_cli_tell_left_out(const vit_dataset *data, int has_classes);

/* Whether names right in a folder end so. */
int vit_cli_holds(const char *folder, const char *extension);
/* Whether two paths are the same file or folder, or one is a folder that the other lies in. */
int vit_cli_overlap(const char *a, const char *b);
/* Nothing whose reading may wait or never end. */
int vit_cli_is_file(const char *path);
int vit_cli_same_file(const char *a, const char *b);
/* Bytes of a file, -1 where there is none. */
long long vit_cli_file_size(const char *path);
/* When it was changed, in seconds; 0 where there is none. */
long long vit_cli_file_time(const char *path);
/* 0 and a complaint if a file of this name can surely not be written: asked before long work. */
int vit_cli_can_write(const char *path);
/* Keeps other programs of this kind from the file until it is closed, where the system has such locks; 0 and a complaint
 * where another one has it. */
int vit_cli_lock(FILE *file, const char *path);
/* For --out of a picture, or NULL: -1 to go on, or the exit status after a complaint about its name or place. */
int vit_cli_check_png(const vit_cli_command *command, const char *path);
/* The same where writing `out`, or NULL, would replace one of the files that are read: inputs [count], or pictures in folders
 * that are among them. NULLs are passed over. */
int vit_cli_check_kept(const vit_cli_command *command, const char *out, int count, char *const *inputs);

#endif
