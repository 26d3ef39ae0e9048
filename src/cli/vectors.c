#include "vectors.h"

#include "options.h"
#include "paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 128 }; /* bytes, whatever the number of rows */

int vit_cli_vectors_known(const char *path) {
    return vit_cli_has_extension(path, ".npy") || vit_cli_has_extension(path, ".safetensors");
}

/* Spaces to the end of the header, whose first bytes are there. */
static void pad(char *header, int length) {
    memset(header + length, ' ', (size_t)(HEADER - length));
}

/* Magic, version 1.0, length of the text, the text. */
static void make_npy(char *header, size_t rows, size_t columns) {
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    pad(header, 10 + snprintf(header + 10, HEADER - 10,
                              "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns));
    header[HEADER - 1] = '\n';
}

/* Length of the text, the text. */
static void make_safetensors(char *header, size_t rows, size_t columns) {
    memcpy(header, "\x78\0\0\0\0\0\0\0", 8);
    pad(header, 8 + snprintf(header + 8, HEADER - 8,
                             "{\"features\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]}}", rows,
                             columns, rows * columns * sizeof(float)));
}

static void write_header(vit_cli_vectors *v) {
    char header[HEADER];
    if (vit_cli_has_extension(v->path, ".npy"))
        make_npy(header, v->rows, v->width);
    else
        make_safetensors(header, v->rows, v->width);
    v->failed |= fwrite(header, 1, HEADER, v->file) != HEADER;
}

int vit_cli_vectors_open(vit_cli_vectors *v, const char *path, size_t width) {
    const size_t size = strlen(path) + 32;
    *v = (vit_cli_vectors){.path = path, .temporary = malloc(size), .width = width};
    if (!v->temporary) {
        vit_cli_complain("%s: out of memory", path);
        return 0;
    }
    snprintf(v->temporary, size, "%s.part%ld", path, (long)getpid());
    remove(v->temporary); /* of a process that was killed, or a link to elsewhere */
    v->file = fopen(v->temporary, "wbx");
    if (!v->file) {
        vit_cli_complain("%s: cannot write: %s", path, strerror(errno));
        return 0;
    }
    write_header(v);
    return 1;
}

void vit_cli_vectors_add(vit_cli_vectors *v, const float *row) {
    v->failed |= fwrite(row, sizeof *row, v->width, v->file) != v->width;
    v->rows++;
}

int vit_cli_vectors_close(vit_cli_vectors *v, int keep) {
    int good = keep && v->file;
    if (good) {
        v->failed |= fseek(v->file, 0, SEEK_SET) != 0;
        write_header(v);
        v->failed |= fflush(v->file) != 0 || fsync(fileno(v->file)) != 0;
    }
    if (v->file)
        v->failed |= fclose(v->file) != 0;
    if (good && (v->failed || rename(v->temporary, v->path) != 0)) {
        vit_cli_complain("%s: cannot write: %s", v->path, strerror(errno));
        good = 0;
    }
    if (v->file && !good)
        remove(v->temporary);
    free(v->temporary);
    return good;
}
