#include "class_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_A_CLASS = -1, MORE_THAN_ONE = -2 };

/* "7", "0007", "0007_cock", "0007-cock.jpg": digits, then the end or one of "_-. ". */
static int leading_index(const char *name, size_t length) {
    size_t digits = 0;
    int index = 0;
    while (digits < length && isdigit((unsigned char)name[digits])) {
        if (index > 99999999)
            return NOT_A_CLASS;
        index = index * 10 + (name[digits++] - '0');
    }
    if (digits == 0 || (digits < length && !memchr("_-. ", name[digits], 4)))
        return NOT_A_CLASS;
    return index;
}

static char plain(char c) {
    return c == '_' ? ' ' : (char)tolower((unsigned char)c);
}

/* Is name[length] one of the names in "tench, Tinca tinca"? Case and '_' for ' ' do not matter. */
static int matches(const char *label, const char *name, size_t length) {
    for (;;) {
        size_t part = strcspn(label, ","), i = 0;
        while (i < part && i < length && plain(label[i]) == plain(name[i]))
            i++;
        if (i == part && i == length)
            return 1;
        label += part;
        if (!*label)
            return 0;
        label += 1 + strspn(label + 1, " ");
    }
}

static int is_equal(const char *label, const char *name, size_t length) {
    return strncmp(label, name, length) == 0 && !label[length];
}

static int find_label(const vit_model *model, const char *name, size_t length, int (*is_it)(const char *, const char *, size_t)) {
    int found = NOT_A_CLASS;
    for (int i = 0; i < vit_model_config(model)->classes; i++) {
        const char *label = vit_model_label(model, i);
        if (label && is_it(label, name, length))
            found = found == NOT_A_CLASS ? i : MORE_THAN_ONE;
    }
    return found;
}

/* A label as it stands; else one that matches. */
static int index_of_label(const vit_model *model, const char *name, size_t length) {
    const int found = find_label(model, name, length, is_equal);
    return found != NOT_A_CLASS ? found : find_label(model, name, length, matches);
}

static int index_of_folder(const vit_model *model, const char *name, size_t length) {
    const int label = index_of_label(model, name, length), index = leading_index(name, length);
    return label >= 0 || index == NOT_A_CLASS ? label : index; /* labels may be numbers that are no indices */
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths are sorted, so those of one folder right below the root stand together. */
static int list_folders(vit_cli_classes *classes, const vit_cli_paths *paths) {
    classes->folders = malloc((paths->count + 1) * sizeof *classes->folders);
    if (!classes->folders)
        return 0;
    for (size_t i = 0; i < paths->count; i++) {
        const char *name = paths->items[i] + classes->root, *slash = strchr(name, '/');
        size_t length = slash ? (size_t)(slash - name) : 0;
        const char *last = classes->count ? classes->folders[classes->count - 1] : "";
        if (!slash || (strncmp(last, name, length) == 0 && !last[length]))
            continue;
        char *copy = strndup(name, length);
        if (!copy)
            return 0;
        classes->folders[classes->count++] = copy;
    }
    qsort(classes->folders, classes->count, sizeof *classes->folders, by_bytes);
    return 1;
}

static void forget_folders(vit_cli_classes *classes) {
    for (size_t i = 0; i < classes->count; i++)
        free(classes->folders[i]);
    free(classes->folders);
    classes->folders = NULL;
    classes->count = 0;
}

int vit_cli_classes_open(vit_cli_classes *classes, const vit_model *model, const char *folder,
                         const vit_cli_paths *paths) {
    size_t length = strlen(folder);
    *classes = (vit_cli_classes){.model = model, .root = length + (length && folder[length - 1] != '/')};
    if (!list_folders(classes, paths)) {
        forget_folders(classes);
        return 0;
    }
    int ranked = classes->count == (size_t)vit_model_config(model)->classes;
    for (size_t i = 0; i < classes->count && ranked; i++)
        ranked = index_of_folder(model, classes->folders[i], strlen(classes->folders[i])) == NOT_A_CLASS;
    if (!ranked)
        forget_folders(classes);
    return 1;
}

void vit_cli_classes_close(vit_cli_classes *classes) {
    forget_folders(classes);
}

int vit_cli_class_of(const vit_cli_classes *classes, const char *path, char *why, size_t size) {
    const char *name = path + classes->root, *slash = strchr(name, '/');
    int index, count = vit_model_config(classes->model)->classes;
    if (slash) {
        size_t length = (size_t)(slash - name);
        index = index_of_folder(classes->model, name, length);
        for (size_t i = 0; i < classes->count; i++)
            if (strncmp(classes->folders[i], name, length) == 0 && !classes->folders[i][length])
                index = (int)i;
        if (index == MORE_THAN_ONE)
            snprintf(why, size, "folder '%.*s' names more than one class; call it by the class index", (int)length,
                     name);
        else if (index < 0)
            snprintf(why, size, "folder '%.*s' is neither a class index nor a label of the model", (int)length, name);
    } else {
        index = leading_index(name, strlen(name));
        if (index < 0)
            snprintf(why, size, "the name does not begin with a class index, as in 0007_cock.jpg");
    }
    if (index >= count) {
        snprintf(why, size, "class %d, the model has %d", index, count);
        return -1;
    }
    return index < 0 ? -1 : index;
}
