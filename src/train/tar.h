/* Members of a tar archive one after another: POSIX ustar, with the long names of GNU and pax. */
#ifndef VIT_TRAIN_TAR_H
#define VIT_TRAIN_TAR_H

#include "../base/file.h"

typedef enum vit_tar_kind { VIT_TAR_FILE, VIT_TAR_LINK, VIT_TAR_OTHER } vit_tar_kind;

typedef struct vit_tar {
    vit_reader file;
    uint64_t at;          /* of the next header */
    vit_buffer extension; /* what an extended header before a member says */
} vit_tar;

enum { VIT_TAR_PATH = 1024 }; /* with its NUL */

typedef struct vit_tar_member {
    vit_tar_kind kind;
    char path[VIT_TAR_PATH];
    uint64_t offset, bytes; /* of its content in the archive */
} vit_tar_member;

vit_status vit_tar_open(vit_tar *t, const char *path, const vit_options *options, vit_error *error);
/* *more is 0 at the end, which may be that of the file: the closing blocks are often missing. Refuses what is no header,
 * members that are longer than the archive, names over 1,023 bytes and extended headers over 1 MiB. */
vit_status vit_tar_next(vit_tar *t, vit_tar_member *member, int *more, vit_error *error);
/* bytes from offset on. */
vit_status vit_tar_read(vit_tar *t, uint64_t offset, void *out, size_t bytes, vit_error *error);
void vit_tar_close(vit_tar *t);

#endif
