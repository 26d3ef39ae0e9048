#include "npy.h"

#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Magic, version, length of the text, the text padded with spaces to a multiple of 64 bytes. */
static int write_header(FILE *file, size_t rows, size_t columns) {
    char header[129];
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length = snprintf(header + 10, sizeof header - 10,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);
    memset(header + 10 + length, ' ', (size_t)(117 - length));
    header[127] = '\n';
    return fwrite(header, 1, 128, file) == 128;
}

int vit_cli_npy_write(const char *path, const float *data, size_t rows, size_t columns) {
    size_t size = strlen(path) + 32;
    char *temporary = malloc(size);
    if (!temporary) {
        vit_cli_complain("%s: out of memory", path);
        return 0;
    }
    snprintf(temporary, size, "%s.part%ld", path, (long)getpid());
    FILE *file = fopen(temporary, "wb");
    int good = file && write_header(file, rows, columns) &&
               fwrite(data, columns * sizeof *data, rows, file) == rows && fflush(file) == 0;
    if (file && fclose(file) != 0)
        good = 0;
    good = good && rename(temporary, path) == 0;
    if (!good) {
        vit_cli_complain("%s: cannot write: %s", path, strerror(errno));
        if (file)
            remove(temporary);
    }
    free(temporary);
    return good;
}
