#include "vectors.h"

#include "limits.h"
#include "options.h"
#include "paths.h"

#include <string.h>

enum { HEADER = 128 }; /* bytes, whatever the number of rows */

int vit_cli_vectors_known(const char *path) {
    return vit_has_ending(path, ".npy") || vit_has_ending(path, ".safetensors");
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
                             "{\"features\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%llu]}}",
                             rows, columns, (unsigned long long)rows * columns * sizeof(float)));
}

static void write_header(vit_cli_vectors *v) {
    char header[HEADER];
    if (vit_has_ending(v->out.path, ".npy"))
        make_npy(header, v->rows, v->width);
    else
        make_safetensors(header, v->rows, v->width);
    fwrite(header, 1, HEADER, v->out.stream);
}

int vit_cli_vectors_open(vit_cli_vectors *v, const char *path, size_t width) {
    *v = (vit_cli_vectors){.width = width};
    vit_error error;
    if (vit_writer_open(&v->out, path, &vit_cli_options()->allocator, &error) != VIT_OK) {
        vit_cli_complain("%s", error.text);
        return 0;
    }
    write_header(v);
    return 1;
}

void vit_cli_vectors_add(vit_cli_vectors *v, const float *row) {
    fwrite(row, sizeof *row, v->width, v->out.stream);
    v->rows++;
}

int vit_cli_vectors_close(vit_cli_vectors *v, int keep) {
    vit_error error;
    if (keep) {
        if (fseek(v->out.stream, 0, SEEK_SET) == 0) /* keeps what failed before; rewind() would not */
            write_header(v);
        if (vit_writer_commit(&v->out, &error) == VIT_OK)
            return 1;
        vit_cli_complain("%s", error.text);
    }
    vit_writer_cancel(&v->out);
    return 0;
}
