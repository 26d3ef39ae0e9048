#include "unpack.h"
#include "text.h"

#include <string.h>

void vit_unpack_init(vit_unpacker *u) {
    vit_crc_begin(&u->crc);
}

void vit_unpack_begin(vit_unpacker *u, const char *file, const vit_tensor_info *tensor, const vit_storage *storage) {
    u->file = file;
    u->tensor = tensor;
    u->storage = storage;
    u->status = VIT_INFLATE_INPUT;
    u->unpacked = 0;
    u->sum = 0;
    if (storage->deflated)
        vit_inflate_begin(&u->inflate);
}

static vit_status fail(const vit_unpacker *u, const char *what, vit_error *error) {
    return vit_fail(error, VIT_ERR_FORMAT, "%s: tensor \"%s\": %s", u->file,
                    vit_show(u->tensor->name, strlen(u->tensor->name)).text, what);
}

vit_status vit_unpack_take(vit_unpacker *u, const unsigned char **data, size_t *bytes, const unsigned char **values,
                           size_t *count, int *more, vit_error *error) {
    size_t used = *bytes;
    *values = *data;
    *count = used;
    if (u->storage->deflated)
        u->status = vit_inflate_run(&u->inflate, *data, *bytes, &used, values, count);
    *data += used;
    *bytes -= used;
    *more = u->status == VIT_INFLATE_OUTPUT;
    if (u->status == VIT_INFLATE_BROKEN)
        return fail(u, "its compressed data is damaged", error);
    if (*count > u->storage->header + u->tensor->bytes - u->unpacked)
        return fail(u, "it unpacks to more bytes than the archive announces", error);
    u->sum = vit_crc_add(&u->crc, u->sum, *values, *count);
    size_t before = u->unpacked < u->storage->header ? (size_t)(u->storage->header - u->unpacked) : 0;
    if (before > *count)
        before = *count;
    u->unpacked += *count;
    *values += before;
    *count -= before;
    return VIT_OK;
}

vit_status vit_unpack_end(const vit_unpacker *u, vit_error *error) {
    if (u->unpacked != u->storage->header + u->tensor->bytes || (u->storage->deflated && u->status != VIT_INFLATE_END))
        return fail(u, "its compressed data ends early", error);
    if (u->sum != u->storage->crc)
        return fail(u, "its checksum (CRC-32) is wrong: the file is damaged", error);
    return VIT_OK;
}
