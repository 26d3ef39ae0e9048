/* index.c - files of the command line's index of features: read, and added to, and the same while one call of the system
 * fails. The checksums of a mutated file's records are made right most times. */
#include "fuzz.h"
#include "mutate.h"

#include "../../src/cli/index_file.h"

#include <errno.h>

/* ---- Calls that fail: the linker sends them here (run.sh) ---- */

static unsigned calls_left; /* until one fails; 0: none does */
static FILE *failed;        /* which could not be read */

static int fails(int reason) {
    if (!calls_left || --calls_left)
        return 0;
    errno = reason;
    return 1;
}

#define FAILING(type, name, parameters, arguments, reason, failure) \
    type __real_##name parameters;                                  \
    type __wrap_##name parameters;                                  \
    type __wrap_##name parameters {                                 \
        return fails(reason) ? (failure) : __real_##name arguments;  \
    }
FAILING(void *, malloc, (size_t bytes), (bytes), ENOMEM, NULL)
FAILING(void *, calloc, (size_t count, size_t bytes), (count, bytes), ENOMEM, NULL)
FAILING(void *, realloc, (void *block, size_t bytes), (block, bytes), ENOMEM, NULL)
FAILING(char *, strdup, (const char *text), (text), ENOMEM, NULL)
FAILING(FILE *, fopen, (const char *path, const char *mode), (path, mode), EIO, NULL)
FAILING(size_t, fread, (void *to, size_t size, size_t count, FILE *file), (to, size, count, file), EIO, (failed = file, 0))
FAILING(size_t, fwrite, (const void *from, size_t size, size_t count, FILE *file), (from, size, count, file), ENOSPC, 0)
FAILING(int, fflush, (FILE *file), (file), ENOSPC, EOF)
FAILING(int, truncate, (const char *path, off_t length), (path, length), EIO, -1)

int __real_ferror(FILE *file);
int __wrap_ferror(FILE *file);
int __wrap_ferror(FILE *file) {
    return file == failed || __real_ferror(file);
}

enum { WIDTH = 4, HEADER = 64, HEAD = 24 };

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, most);
    for (size_t at = HEADER; seed % 8 && at + HEAD <= size;) {
        uint32_t path_bytes;
        memcpy(&path_bytes, data + at + 4, sizeof path_bytes);
        const uint64_t length = HEAD + (uint64_t)path_bytes + WIDTH * sizeof(float);
        if (length > size - at)
            break;
        fuzz_store32(data + at, fuzz_hash(data + at + 4, (size_t)length - 4), 0);
        at += length;
    }
    return size;
}

/* What the features of an index are of. */
static vit_cli_engine engine = {.width = 2, .height = 2, .rules = {.crop_pct = 1}};

static void open_engine(void) {
    static const vit_config config = {
        .layers = 1, .width = WIDTH, .heads = 1, .mlp_width = 4, .patch_height = 2, .patch_width = 2, .image_height = 2,
        .image_width = 2, .norm_eps = 1e-6f, .pool = VIT_POOL_MEAN, .pos_kind = VIT_POS_1D, .architecture = "fuzzed",
        .preprocess = {.std = {1, 1, 1}, .crop_pct = 1, .height = 2, .width = 2}};
    vit_error error;
    if (vit_model_init(&engine.model, &config, 1, NULL, &error) != VIT_OK)
        fuzz_fail("%s", error.text);
}

static void read_vectors(vit_cli_index *index) {
    float vector[WIDTH];
    for (int i = 0; index->in_file && i < index->count; i++)
        fuzz_expect(vit_cli_index_read(index, i, vector));
}

/* What was there is there afterwards, whatever failed. */
static void fail_once(const char *path, int flags, unsigned calls, int opened, int count) {
    const float vector[WIDTH] = {1, 2, 3, 4};
    float read[WIDTH];
    vit_cli_index index;
    calls_left = calls;
    if (vit_cli_index_open(&index, path, &engine, VIT_FEATURE_HEAD, flags)) {
        vit_cli_index_put(&index, "another path", 4, 5, vector);
        for (int i = 0; index.file && index.in_file && i < index.count; i++)
            vit_cli_index_read(&index, i, read);
    }
    vit_cli_index_close(&index);
    calls_left = 0;
    failed = NULL;
    fuzz_expect(vit_cli_index_open(&index, path, &engine, VIT_FEATURE_HEAD, flags) || !opened);
    fuzz_expect(!opened || index.count == count || (index.count == count + 1 && vit_cli_index_find(&index, "another path") >= 0));
    vit_cli_index_close(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_path(".index");
    const float vector[WIDTH] = {1, 2, 3, 4};
    const int flags = size > 3 && data[3] == 'P' ? VIT_CLI_INDEX_IN_FILE : 0;
    vit_cli_index index;
    if (!engine.model)
        open_engine();
    fuzz_write(path, data, size);
    vit_cli_is_index(path, flags);
    const int opened = vit_cli_index_open(&index, path, &engine, VIT_FEATURE_HEAD, flags | VIT_CLI_INDEX_WRITE),
              count = index.count;
    for (int i = 0; i < count; i++)
        fuzz_expect(vit_cli_index_find(&index, index.entries[i].path) == i &&
                    vit_cli_index_knows(&index, index.entries[i].path, index.entries[i].bytes, index.entries[i].seconds));
    if (opened) {
        fuzz_expect(vit_cli_index_put(&index, "a new path", 4, 5, vector));
        read_vectors(&index);
    }
    vit_cli_index_close(&index);
    if (opened) {
        fuzz_expect(vit_cli_index_open(&index, path, &engine, VIT_FEATURE_HEAD, flags | VIT_CLI_INDEX_WRITE));
        fuzz_expect(index.count >= count && index.count <= count + 1 && vit_cli_index_find(&index, "a new path") >= 0);
        read_vectors(&index);
        vit_cli_index_close(&index);
    }
    uint32_t state = fuzz_hash(data, size);
    for (int i = 0; i < 4; i++) {
        fuzz_write(path, data, size);
        fail_once(path, flags | VIT_CLI_INDEX_WRITE, 1 + fuzz_choose(&state, 12 + 6 * (uint32_t)count), opened, count);
    }
    remove(path);
    return 0;
}
