#include "replace.h"

#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int vit_cli_replace_open(vit_cli_replace *r, const char *path) {
    const size_t size = strlen(path) + 32;
    *r = (vit_cli_replace){.path = path, .temporary = malloc(size)};
    if (!r->temporary) {
        vit_cli_complain("%s: out of memory", path);
        return 0;
    }
    snprintf(r->temporary, size, "%s.part%ld", path, (long)getpid());
    remove(r->temporary); /* of a process that was killed, or a link to elsewhere */
    r->file = fopen(r->temporary, "wbx");
    if (!r->file)
        vit_cli_complain("%s: cannot write: %s", path, strerror(errno));
    return r->file != NULL;
}

int vit_cli_replace_close(vit_cli_replace *r, int keep) {
    int good = keep && r->file;
    if (r->file) {
        int failed = ferror(r->file) || (good && (fflush(r->file) != 0 || fsync(fileno(r->file)) != 0));
        failed |= fclose(r->file) != 0;
        if (good && (failed || rename(r->temporary, r->path) != 0)) {
            vit_cli_complain("%s: cannot write: %s", r->path, strerror(errno));
            good = 0;
        }
        if (!good)
            remove(r->temporary);
    }
    free(r->temporary);
    *r = (vit_cli_replace){0};
    return good;
}
