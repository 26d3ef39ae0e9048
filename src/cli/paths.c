#include "paths.h"

#include "options.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifndef __wasi__
#include <sys/file.h>
#endif

#define DEEPEST 64 /* levels of folders */

int vit_cli_is_file(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

int vit_cli_holds(const char *folder, const char *extension) {
    DIR *stream = opendir(folder);
    int holds = 0;
    for (struct dirent *entry; stream && !holds && (entry = readdir(stream));)
        holds = entry->d_name[0] != '.' && vit_has_ending(entry->d_name, extension);
    if (stream)
        closedir(stream);
    return holds;
}

int vit_cli_same_file(const char *a, const char *b) {
    struct stat left, right;
    return stat(a, &left) == 0 && stat(b, &right) == 0 && left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

long long vit_cli_file_size(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (long long)status.st_size : -1;
}

long long vit_cli_file_time(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (long long)status.st_mtime : 0;
}

int vit_cli_can_write(const char *path) {
    char place[VIT_LONGEST_PATH];
    struct stat status;
    const int is_short = vit_follow_links(place, path), is_there = is_short && stat(place, &status) == 0;
    const char *why = NULL;
    if (is_there && S_ISDIR(status.st_mode)) {
        vit_cli_complain("%s: is a folder, expected the name of a file to write", path);
        return 0;
    }
    if (!is_short)
        why = "the path is too long";
    else if (is_there && !S_ISREG(status.st_mode))
        why = "is not a regular file";
    else if (!is_there && errno == ELOOP)
        why = strerror(errno);
    else {
        char *slash = strrchr(place, '/');
        strcpy(slash ? slash + (slash == place) : place, slash ? "" : "."); /* its folder */
        why = !vit_is_folder(place) ? "no such folder" : access(place, W_OK) != 0 ? strerror(errno) : NULL;
    }
    if (why)
        vit_cli_complain("%s: cannot write: %s", path, why);
    return !why;
}

int vit_cli_lock(FILE *file, const char *path) {
#ifndef __wasi__
    if (flock(fileno(file), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        vit_cli_complain("%s: another vit is writing it", path);
        return 0;
    }
#else
    (void)file, (void)path;
#endif
    return 1;
}

/* Takes the path over, or says that memory is short. */
static int add(vit_cli_paths *paths, char *path) {
    if (path && paths->count == paths->capacity) {
        size_t capacity = paths->capacity ? paths->capacity * 2 : 64;
        char **items = realloc(paths->items, capacity * sizeof *items);
        if (items) {
            paths->items = items;
            paths->capacity = capacity;
        } else {
            free(path);
            path = NULL;
        }
    }
    if (!path) {
        vit_cli_complain("out of memory for the list of pictures");
        return 1;
    }
    paths->items[paths->count++] = path;
    return 0;
}

static char *join(const char *folder, const char *name) {
    size_t length = strlen(folder), size = length + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
    return path;
}

static int walk(vit_cli_paths *paths, const char *folder, const vit_level *here, int follows) {
    DIR *stream = here->depth < DEEPEST ? opendir(folder) : NULL;
    if (!stream) {
        vit_cli_complain("%s: cannot read the folder: %s", folder,
                         here->depth < DEEPEST ? strerror(errno) : "folders are nested too deep");
        return 1;
    }
    int complaints = 0;
    vit_level level;
    for (struct dirent *entry; errno = 0, (entry = readdir(stream));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = join(folder, entry->d_name);
        struct stat status;
        if (path && lstat(path, &status) != 0) {
            vit_cli_complain("%s: cannot read: %s", path, strerror(errno));
            complaints++;
            free(path);
        } else if (path && (S_ISDIR(status.st_mode) || (follows && S_ISLNK(status.st_mode))) && vit_level_enter(&level, path, here)) {
            complaints += walk(paths, path, &level, follows);
            free(path);
        } else if (!path || (vit_is_picture_path(entry->d_name) && !vit_is_folder(path))) {
            complaints += add(paths, path);
        } else {
            free(path);
        }
    }
    if (errno) {
        vit_cli_complain("%s: cannot read the folder: %s", folder, strerror(errno));
        complaints++;
    }
    closedir(stream);
    return complaints;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int collect(vit_cli_paths *paths, const char *path, int follows) {
    vit_level top;
    if (!vit_level_enter(&top, path, NULL))
        return add(paths, strdup(path));
    size_t before = paths->count;
    int complaints = walk(paths, path, &top, follows);
    if (paths->count > before)
        qsort(paths->items + before, paths->count - before, sizeof *paths->items, by_bytes);
    else if (!complaints) {
        vit_cli_complain("%s: no picture (.jpg, .jpeg, .png) in this folder", path);
        complaints = 1;
    }
    return complaints;
}

int vit_cli_collect(vit_cli_paths *paths, const char *path) {
    return collect(paths, path, 0);
}

int vit_cli_collect_classes(vit_cli_paths *paths, const char *path) {
    return collect(paths, path, 1);
}

int vit_cli_collect_all(vit_cli_paths *paths, int count, char **arguments) {
    int complaints = 0;
    for (int i = 0; i < count; i++)
        complaints += vit_cli_collect(paths, arguments[i]);
    return complaints;
}

void vit_cli_paths_release(vit_cli_paths *paths) {
    for (size_t i = 0; i < paths->count; i++)
        free(paths->items[i]);
    free(paths->items);
    *paths = (vit_cli_paths){0};
}

void vit_cli_tell_left_out(const vit_dataset *data, int has_classes) {
    const char *first;
    const int passed_over = vit_dataset_passed_over(data, &first);
    if (passed_over)
        vit_cli_complain("%d file%s passed over, not .jpg, .jpeg or .png%s; the first: %s", passed_over,
                         passed_over == 1 ? " is" : "s are", has_classes ? " in a folder that names a class" : "", first);
    const int empty = vit_dataset_empty_folders(data, &first);
    if (empty)
        vit_cli_complain("%d folder%s no picture (.jpg, .jpeg, .png) and %s no class; the first: %s", empty,
                         empty == 1 ? " has" : "s have", empty == 1 ? "is" : "are", first);
}

/* Whether a folder above `path` is `folder`. */
static int is_below(const char *path, const char *folder) {
    const char *slash = strrchr(path, '/');
    const size_t size = strlen(path) + 3 * DEEPEST + 4;
    char *above = malloc(size);
    int found = 0;
    if (above && vit_is_folder(path)) /* which a link may be, that leads elsewhere */
        snprintf(above, size, "%s/..", path);
    else if (above)
        snprintf(above, size, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    for (int level = 0; above && !(found = vit_cli_same_file(above, folder)) && level < DEEPEST; level++)
        strcat(above, "/..");
    free(above);
    return found;
}

int vit_cli_overlap(const char *a, const char *b) {
    return vit_cli_same_file(a, b) || (vit_is_folder(b) && is_below(a, b)) || (vit_is_folder(a) && is_below(b, a));
}

int vit_cli_check_kept(const vit_cli_command *command, const char *out, int count, char *const *inputs) {
    const int is_picture = out && vit_is_picture_path(out) && vit_cli_is_file(out);
    for (int i = 0; out && i < count; i++)
        if (inputs[i] && (vit_cli_same_file(inputs[i], out) || (is_picture && vit_is_folder(inputs[i]) && is_below(out, inputs[i]))))
            return vit_cli_usage(command, "'%s' is what would be read; give another name to write", out);
    return -1;
}

int vit_cli_check_png(const vit_cli_command *command, const char *path) {
    if (path && !vit_has_ending(path, ".png"))
        return vit_cli_usage(command, "--out '%s': expected a name that ends in .png", path);
    return path && !vit_cli_can_write(path) ? VIT_CLI_FAILED : -1;
}
