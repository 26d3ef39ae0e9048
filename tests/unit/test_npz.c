/* npz: DEFLATE, the archive and its members read by ranges; every malformed one is refused, whatever byte is changed. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/container.h"
#include "../../src/format/json.h"
#include "../../src/format/unpack.h"

#define GOLDEN "tests/golden/errors/"

static vit_error error;
static vit_options options;

/* ---- an allocator that counts, and fails on command ---- */

struct counter {
    int blocks, left;
    size_t held, peak;
};

static void *counted_alloc(void *context, size_t bytes) {
    struct counter *counter = context;
    if (counter->left-- <= 0)
        return NULL;
    size_t *block = malloc(bytes + 16);
    block[0] = bytes;
    counter->blocks++;
    counter->held += bytes;
    if (counter->held > counter->peak)
        counter->peak = counter->held;
    return (char *)block + 16;
}

static void counted_release(void *context, void *block) {
    struct counter *counter = context;
    size_t *start = (size_t *)(void *)((char *)block - 16);
    counter->held -= start[0];
    counter->blocks--;
    free(start);
}

static struct counter counter;
static const vit_allocator counted = {counted_alloc, counted_release, &counter};

static void reset(int allocations) {
    counter = (struct counter){.left = allocations};
    options = vit_default_options();
    memset(&error, 0, sizeof error);
}

/* ---- an archive in memory ---- */

/* Values of one tensor through the unpacker, in pieces, into out [bytes] of the tensor. */
static vit_status unpack(const vit_container *container, int tensor, const unsigned char *file, size_t piece,
                         unsigned char *out) {
    static vit_unpacker u;
    const vit_storage *storage = &container->places[tensor];
    uint64_t done = 0;
    vit_unpack_init(&u);
    vit_unpack_begin(&u, "m.npz", &container->tensors[tensor], storage);
    for (uint64_t at = 0; at < storage->stored; at += piece) {
        size_t left = storage->stored - at < piece ? (size_t)(storage->stored - at) : piece, count;
        const unsigned char *data = file + container->tensors[tensor].offset + at, *values;
        for (int more = 1; more;) {
            VIT_TRY(vit_unpack_take(&u, &data, &left, &values, &count, &more, &error));
            memcpy(out + done, values, count);
            done += count;
        }
    }
    return vit_unpack_end(&u, &error);
}

/* Reads an archive and all its values, as whoever can read it anywhere does. */
static vit_status read_all(vit_container *out, const unsigned char *file, size_t bytes, size_t piece) {
    vit_header header = {.name = "m.npz",
                         .file_bytes = bytes,
                         .anywhere = 1,
                         .limits = &options.limits,
                         .allocator = &counted};
    vit_status status = VIT_OK;
    *out = (vit_container){0};
    vit_header_begin(&header, 1);
    while (status == VIT_OK && header.wanted) {
        uint64_t begin = header.offset + header.bytes.size, count = header.wanted - header.bytes.size;
        if (begin > bytes || count > bytes - begin) {
            status = vit_fail(&error, VIT_ERR_TRUNCATED, "m.npz: asks for bytes that are not there");
        } else {
            unsigned char *copy = malloc(count + 1); /* of its size: reading past the end is seen */
            memcpy(copy, file + begin, count);
            status = vit_buffer_append(&header.bytes, copy, (size_t)count, "header", &error);
            free(copy);
            if (status == VIT_OK)
                status = vit_header_read(&header, out, &error);
        }
    }
    vit_header_release(&header);
    for (int i = 0; status == VIT_OK && i < out->tensor_count; i++) {
        if (out->tensors[i].bytes > 1 << 24) {
            status = vit_fail(&error, VIT_ERR_LIMIT, "m.npz: large");
            break;
        }
        unsigned char *values = malloc((size_t)out->tensors[i].bytes + 1);
        status = unpack(out, i, file, piece, values);
        free(values);
    }
    return status;
}

static vit_buffer load(const char *path) {
    static vit_options defaults;
    defaults = vit_default_options();
    vit_buffer buffer = {.allocator = &defaults.allocator};
    vit_error missing;
    if (vit_read_file(&buffer, path, 1 << 30, &missing) != VIT_OK && missing.status != VIT_ERR_TRUNCATED)
        CHECK_STRING(missing.text, "");
    return buffer;
}

static vit_status check_file(const char *path, size_t piece) {
    vit_buffer file = load(path);
    vit_container container;
    reset(1000);
    vit_status status = read_all(&container, file.data, file.size, piece);
    vit_container_release(&container);
    CHECK(counter.blocks == 0);
    vit_buffer_release(&file);
    return status;
}

/* ---- tests ---- */

static void test_goldens(void) {
    vit_buffer text = load(GOLDEN "npz.json");
    vit_json_document cases;
    reset(1000);
    if (!CHECK_STATUS(VIT_OK, vit_json_parse(&cases, "npz.json", text.data, text.size, &options.limits, &options.allocator, &error)))
        return;
    for (const vit_json *entry = cases.root->child; entry; entry = entry->next) {
        char path[300];
        const char *expect = vit_json_get(entry, "expect")->string;
        snprintf(path, sizeof path, GOLDEN "%s", vit_json_get(entry, "file")->string);
        for (size_t piece = 1; piece < 100000; piece *= 37) {
            vit_status status = check_file(path, piece);
            if (!CHECK(strcmp(expect, "either") == 0 || (status == VIT_OK) == (strcmp(expect, "accept") == 0)))
                printf("  %s: expected %s: %s\n", path, expect, error.text);
            if (status != VIT_OK)
                CHECK_MENTIONS(error.text, "m.npz: ");
        }
    }
    vit_json_release(&cases);
    vit_buffer_release(&text);
}

static void test_words(void) {
    static const struct {
        const char *file, *words;
    } cases[] = {
        {"crc_wrong", "tensor \"w\": its checksum (CRC-32) is wrong"},
        {"encrypted", "tensor \"w\": it is encrypted"},
        {"method_lzma", "compression method 14 is not supported"},
        {"npy_object", "tensor \"w\": it holds Python objects (pickle), which are never read"},
        {"npy_structured", "structured types"},
        {"usize_huge", "shape [6,8] of F32 needs 192 bytes, the archive has 4294967152 for it"},
        {"deflate_distance_past_start", "compressed data is damaged"},
        {"duplicate_entry", "tensor \"w\": it is there twice"},
        {"npy_version", "version of npy"},
        {"truncated", "no record of its end"},
        {"zip64_extra_short", "64 bits"},
        {"npy_rank_1000", "more than 8 dimensions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[300];
        snprintf(path, sizeof path, GOLDEN "npz/%s.npz", cases[i].file);
        CHECK(check_file(path, 4096) != VIT_OK);
        CHECK_MENTIONS(error.text, cases[i].words);
    }
}

static void check_tensor(const char *file, const char *type, vit_dtype dtype, int rank, int fortran) {
    char path[300];
    vit_container container;
    snprintf(path, sizeof path, GOLDEN "npz/%s.npz", file);
    vit_buffer bytes = load(path);
    reset(1000);
    if (CHECK_STATUS(VIT_OK, read_all(&container, bytes.data, bytes.size, 100)) && CHECK(container.tensor_count >= 1)) {
        CHECK_STRING(container.tensors[0].type, type);
        CHECK(container.tensors[0].dtype == dtype && container.tensors[0].rank == rank);
        CHECK(container.places[0].fortran == fortran);
    }
    vit_container_release(&container);
    vit_buffer_release(&bytes);
}

static void test_types(void) {
    check_tensor("valid_savez", "F32", VIT_F32, 2, 0);
    check_tensor("valid_fortran", "F32", VIT_F32, 2, 1);
    check_tensor("valid_f8", "F64", VIT_F64, 2, 0);
    check_tensor("valid_f2", "F16", VIT_F16, 2, 0);
    check_tensor("valid_big_endian", "big-endian f4", VIT_DTYPE_OTHER, 2, 0);
    check_tensor("valid_scalar", "F32", VIT_F32, 0, 0);
    check_tensor("valid_one_dim", "F32", VIT_F32, 1, 0);
    check_tensor("valid_v2_header", "F32", VIT_F32, 2, 0);
    check_tensor("npy_complex", "<c8", VIT_DTYPE_OTHER, 1, 0);
}

/* Any byte changed, any length: no crash, and no more memory than the file is worth. */
static void test_damage(void) {
    static const char *const paths[] = {GOLDEN "npz/valid_savez.npz", GOLDEN "npz/valid_savez_compressed.npz",
                                        GOLDEN "npz/valid_zip64_central.npz"};
    for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
        vit_buffer file = load(paths[p]);
        vit_container container;
        for (size_t length = 0; length < file.size; length++) {
            reset(1000);
            CHECK(read_all(&container, file.data, length, 64) != VIT_OK);
            vit_container_release(&container);
            CHECK(counter.blocks == 0);
        }
        static const unsigned char changes[] = {0x01, 0x80, 0xff};
        for (size_t at = 0; at < file.size * 3; at++) {
            unsigned char *byte = &file.data[at / 3];
            *byte ^= changes[at % 3];
            reset(1000);
            read_all(&container, file.data, file.size, 64);
            vit_container_release(&container);
            if (!CHECK(counter.blocks == 0 && counter.peak < 400000))
                printf("  %s: byte %zu ^ %d: %zu bytes\n", paths[p], at / 3, changes[at % 3], counter.peak);
            *byte ^= changes[at % 3];
        }
        vit_buffer_release(&file);
    }
}

/* file with `text` [count] put in at `at`, read; its end record `end` bytes before the end is changed by change, if any. */
static vit_status read_changed(const vit_buffer *file, size_t at, const void *text, size_t count, size_t end, int field,
                               unsigned value) {
    vit_container container;
    unsigned char *copy = malloc(file->size + count);
    memcpy(copy, file->data, at);
    memcpy(copy + at, text, count);
    memcpy(copy + at + count, file->data + at, file->size - at);
    if (field) {
        copy[file->size + count - end + (size_t)field] = (unsigned char)value;
        copy[file->size + count - end + (size_t)field + 1] = (unsigned char)(value >> 8);
    }
    reset(1000);
    vit_status status = read_all(&container, copy, file->size + count, 100);
    vit_container_release(&container);
    CHECK(counter.blocks == 0);
    free(copy);
    return status;
}

/* Archives of which readers could find other members, here and in Python: refused. */
static void test_one_directory(void) {
    enum { END = 22, ENTRIES = 10, SIZE = 12, COMMENT = 20 };
    vit_buffer file = load(GOLDEN "npz/valid_savez.npz");
    const size_t end = file.size - END;
    const unsigned size = file.data[end + SIZE] | (unsigned)file.data[end + SIZE + 1] << 8;
    unsigned char locator[20 + 1] = "PK\6\7";
    CHECK_STATUS(VIT_OK, read_changed(&file, end, "", 0, END, 0, 0));
    CHECK_STATUS(VIT_ERR_FORMAT, read_changed(&file, end, "", 0, END, ENTRIES, 0));
    CHECK_STRING(error.text, "m.npz: ZIP archive: its directory has more than the members that its end record counts");
    CHECK_STATUS(VIT_ERR_FORMAT, read_changed(&file, end, "gap", 3, END, 0, 0));
    CHECK_STRING(error.text, "m.npz: ZIP archive: its directory does not end where its end record begins");
    CHECK_STATUS(VIT_ERR_FORMAT, read_changed(&file, end, "gap", 3, END, SIZE, size + 3));
    CHECK_STATUS(VIT_ERR_FORMAT, read_changed(&file, end, locator, 20, END, SIZE, size + 20));
    CHECK_STRING(error.text, "m.npz: ZIP archive: its 64-bit end record is not where it should be");
    for (unsigned flags = 1; flags <= 0x40; flags *= 2) { /* encrypted, a patch, encrypted in the newer way */
        const size_t entry = end - size;
        CHECK_STATUS(flags & 0x61 ? VIT_ERR_UNSUPPORTED : VIT_OK, read_changed(&file, end, "", 0, file.size - entry, 8, flags));
    }
    for (size_t at = 0; at < end; at++)
        if (memcmp(file.data + at, "\x93NUMPY", 6) == 0) /* version 1.4 */
            CHECK_STATUS(VIT_ERR_UNSUPPORTED, read_changed(&file, end, "", 0, file.size - at, 6, 0x401));
    CHECK_STATUS(VIT_ERR_FORMAT, read_changed(&file, file.size, file.data + end, END, 2 * END, COMMENT, END));
    vit_buffer_release(&file);
}

static void test_out_of_memory(void) {
    vit_buffer file = load(GOLDEN "npz/valid_savez_compressed.npz");
    vit_container container;
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    for (int allocations = 0; allocations < 100 && status != VIT_OK; allocations++) {
        reset(allocations);
        status = read_all(&container, file.data, file.size, 4096);
        vit_container_release(&container);
        CHECK(counter.blocks == 0);
        CHECK(status == VIT_OK || status == VIT_ERR_OUT_OF_MEMORY);
    }
    CHECK(status == VIT_OK);
    vit_buffer_release(&file);
}

static void test_limits(void) {
    vit_buffer file = load(GOLDEN "npz/valid_savez.npz");
    vit_container container;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"limit tensors", "limit header_bytes", "limit file_bytes"};
        reset(1000);
        if (i == 0)
            options.limits.tensors = 0;
        else if (i == 1)
            options.limits.header_bytes = 20;
        else
            options.limits.file_bytes = 100;
        CHECK_STATUS(VIT_ERR_LIMIT, read_all(&container, file.data, file.size, 4096));
        CHECK_MENTIONS(error.text, names[i]);
        vit_container_release(&container);
    }
    vit_buffer_release(&file);
}

/* ---- DEFLATE ---- */

/* Bits of a stream, lowest first. */
struct bits {
    unsigned char data[4096];
    size_t count;
};

static void put(struct bits *b, unsigned value, unsigned count) {
    for (unsigned i = 0; i < count; i++, b->count++)
        b->data[b->count / 8] |= (unsigned char)((value >> i & 1) << b->count % 8);
}

/* A word of a Huffman code: its first bit is its highest. */
static void put_word(struct bits *b, unsigned word, unsigned count) {
    while (count--)
        put(b, word >> count & 1, 1);
}

static vit_inflate_status inflate_all(const struct bits *b, size_t piece, unsigned char *out, size_t *made) {
    static vit_inflate z;
    const size_t bytes = (b->count + 7) / 8;
    size_t at = 0, used, count;
    vit_inflate_status status;
    const unsigned char *part;
    *made = 0;
    vit_inflate_begin(&z);
    do {
        size_t left = bytes - at < piece ? bytes - at : piece;
        unsigned char *copy = malloc(left + 1);
        memcpy(copy, b->data + at, left);
        status = vit_inflate_run(&z, copy, left, &used, &part, &count);
        free(copy);
        at += used;
        memcpy(out + *made, part, count);
        *made += count;
    } while (status == VIT_INFLATE_OUTPUT || (status == VIT_INFLATE_INPUT && at < bytes));
    return status;
}

static void check_inflate(const struct bits *b, vit_inflate_status expected, const char *text, size_t length) {
    static unsigned char out[200000];
    size_t made;
    for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
        CHECK(inflate_all(b, piece, out, &made) == expected);
        if (expected == VIT_INFLATE_END)
            CHECK(made == length && (!text || memcmp(out, text, length) == 0));
    }
}

static void test_stored_blocks(void) {
    struct bits b = {0};
    put(&b, 0, 3);
    put(&b, 0, 5); /* to the byte */
    put(&b, 3, 16);
    put(&b, 0xfffc, 16);
    for (int i = 0; i < 3; i++)
        put(&b, (unsigned)"abc"[i], 8);
    struct bits cut = b, wrong = b;
    put(&b, 1, 3);
    put(&b, 0, 5);
    put(&b, 0, 16);
    put(&b, 0xffff, 16);
    check_inflate(&b, VIT_INFLATE_END, "abc", 3);
    check_inflate(&cut, VIT_INFLATE_INPUT, NULL, 0);
    wrong.data[2] ^= 1;
    check_inflate(&wrong, VIT_INFLATE_BROKEN, NULL, 0);
}

/* The fixed code: "a", then copies of it. */
static void begin_fixed(struct bits *b) {
    *b = (struct bits){0};
    put(b, 3, 3);
    put_word(b, 0x30 + 'a', 8);
}

static void test_fixed_code(void) {
    static char expected[1 + 258 * 200];
    struct bits b;
    memset(expected, 'a', sizeof expected);
    begin_fixed(&b);
    for (int i = 0; i < 200; i++) { /* 258 bytes, one back: past the window's end, too */
        put_word(&b, 0xc0 + 285 - 280, 8);
        put_word(&b, 0, 5);
    }
    put_word(&b, 0, 7);
    check_inflate(&b, VIT_INFLATE_END, expected, sizeof expected);
    begin_fixed(&b); /* two back, where there is one */
    put_word(&b, 1, 7);
    put_word(&b, 1, 5);
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    for (unsigned word = 30; word < 32; word++) { /* distances that do not exist */
        begin_fixed(&b);
        put_word(&b, 1, 7);
        put_word(&b, word, 5);
        check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    }
    begin_fixed(&b); /* a length that does not exist */
    put_word(&b, 0xc0 + 286 - 280, 8);
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
}

static void test_broken_blocks(void) {
    struct bits b = {0};
    put(&b, 7, 3); /* a kind that does not exist */
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    b = (struct bits){0};
    put(&b, 5, 3);
    put(&b, 30, 5); /* 287 literals */
    put(&b, 0, 9);
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    b = (struct bits){0};
    put(&b, 5, 3);
    put(&b, 0, 14);
    for (int i = 0; i < 4; i++)
        put(&b, 1, 3); /* four words of one bit */
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    b = (struct bits){0};
    put(&b, 5, 3);
    put(&b, 0, 14);
    put(&b, 1, 3); /* 16: the length before, of which there is none; 17 likewise one bit */
    put(&b, 1, 3);
    put(&b, 0, 6);
    put_word(&b, 0, 1);
    put(&b, 0, 2);
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
    b = (struct bits){0};
    put(&b, 5, 3);
    put(&b, 0, 14);
    put(&b, 0, 6);
    put(&b, 1, 3); /* 18: many zeros; and 0 */
    put(&b, 1, 3);
    for (int i = 0; i < 2; i++) { /* 138 + 120 zeros: no word ends the block */
        put_word(&b, 1, 1);
        put(&b, i ? 109 : 127, 7);
    }
    check_inflate(&b, VIT_INFLATE_BROKEN, NULL, 0);
}

static void test_crc(void) {
    static vit_crc crc;
    vit_crc_begin(&crc);
    const unsigned char *text = (const unsigned char *)"123456789";
    CHECK(vit_crc_add(&crc, 0, text, 9) == 0xcbf43926);
    CHECK(vit_crc_add(&crc, vit_crc_add(&crc, 0, text, 4), text + 4, 5) == 0xcbf43926);
    CHECK(vit_crc_add(&crc, 0, text, 0) == 0);
}

TEST_MAIN(TEST(test_goldens), TEST(test_words), TEST(test_types), TEST(test_damage), TEST(test_one_directory), TEST(test_out_of_memory),
          TEST(test_limits), TEST(test_stored_blocks), TEST(test_fixed_code), TEST(test_broken_blocks), TEST(test_crc))
