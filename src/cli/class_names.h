/* Which class a picture's path says it shows. */
#ifndef VIT_CLI_CLASS_NAMES_H
#define VIT_CLI_CLASS_NAMES_H

#include "../vit_tasks.h"
#include "paths.h"

typedef struct vit_cli_classes {
    const vit_model *model;
    size_t root;        /* length of the folder's part of every path, with its slash */
    char **folders;     /* names of the folders right below, sorted; NULL unless there is one for each class and none of
                         * them can be read as a class: then their order is that of the classes */
    size_t count;
} vit_cli_classes;

/* Looks at all paths below folder. 0 when memory is short. */
int vit_cli_classes_open(vit_cli_classes *classes, const vit_model *model, const char *folder,
                         const vit_cli_paths *paths);
void vit_cli_classes_close(vit_cli_classes *classes);

/* The class, or -1 and the reason in why. */
int vit_cli_class_of(const vit_cli_classes *classes, const char *path, char *why, size_t size);

#endif
