/* What the writers write, the reader and the public listing read back; files appear whole or not at all. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/container.h"
#include "../../src/format/gguf.h"
#include "../../src/format/safetensors.h"

#include <unistd.h>

static vit_error error;
static vit_options options;
static char path[300];
static vit_buffer file;
static vit_container container;

static void begin(const char *name) {
    const char *folder = getenv("TMPDIR");
    options = vit_default_options();
    snprintf(path, sizeof path, "%s/vit-%ld-%s", folder ? folder : "/tmp", (long)getpid(), name);
    file = (vit_buffer){.allocator = &options.allocator};
}

static void end(void) {
    vit_container_release(&container);
    vit_buffer_release(&file);
    CHECK(unlink(path) == 0);
}

static int read_back(void) {
    uint64_t need;
    vit_buffer_release(&file);
    if (CHECK_STATUS(VIT_OK, vit_read_file(&file, path, 1 << 20, &error)) &&
        CHECK_STATUS(VIT_OK, vit_container_parse(&container, path, file.data, file.size, file.size, &need,
                                                 &options.limits, &options.allocator, &error)))
        return 1;
    printf("  %s\n", error.text);
    return 0;
}

static const float matrix[2][3] = {{1, 2, 3}, {4, 5, -6.5f}};
static const uint16_t halves[5] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000};
static const int64_t matrix_shape[] = {2, 3}, halves_shape[] = {5}, kernel_shape[] = {1, 3, 2, 1},
                     empty_shape[] = {0, 7};
static const float norms[] = {1e-6f, 0.5f, 16777216};
static const uint32_t sizes[] = {384, 224, 4294967295u};
static const char *const labels[] = {"tench", "gr\xc3\xbc\xc3\x9f", "", "line\nbreak", "\"quoted\""};

static void write_gguf(vit_gguf_writer *writer) {
    CHECK_STATUS(VIT_OK, vit_gguf_open(writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_string(writer, "general.architecture", "vit", &error));
    CHECK_STATUS(VIT_OK, vit_gguf_uint(writer, "vit.block_count", 4000000000u, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_float(writer, "vit.attention.layer_norm_epsilon", 1e-6f, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_bool(writer, "vit.qkv_bias", 1, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_bool(writer, "vit.pool_norm", 0, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_floats(writer, "vit.preprocess.mean", norms, 3, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_uints(writer, "vit.image_size", sizes, 3, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_strings(writer, "vit.labels", labels, 5, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_strings(writer, "vit.none", NULL, 0, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_tensor(writer, "matrix", VIT_F32, 2, matrix_shape, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_tensor(writer, "halves", VIT_F16, 1, halves_shape, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_tensor(writer, "kernel", VIT_BF16, 4, kernel_shape, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_header(writer, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, matrix, 10, &error)); /* in pieces of any size */
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, (const char *)matrix + 10, sizeof matrix - 10, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, NULL, 0, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, halves, sizeof halves, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, NULL, 0, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, matrix, 12, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_data(writer, NULL, 0, &error));
}

static void check_tensor(int index, const char *name, const char *type, vit_dtype dtype, int rank, const int64_t *shape,
                         const void *data, uint64_t bytes) {
    if (!CHECK(index < container.tensor_count))
        return;
    const vit_tensor_info *tensor = &container.tensors[index];
    CHECK_STRING(tensor->name, name);
    CHECK_STRING(tensor->type, type);
    CHECK(tensor->dtype == dtype && tensor->rank == rank && tensor->bytes == bytes);
    CHECK(memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape) == 0);
    if (bytes && CHECK(tensor->offset + bytes <= file.size))
        CHECK(memcmp(file.data + tensor->offset, data, (size_t)bytes) == 0);
}

static void check_metadata(void) {
    const vit_metadata *entry = vit_container_get(&container, "vit.block_count");
    CHECK(entry && entry->type == VIT_VALUE_INTEGER && entry->integer == 4000000000 && entry->number == 4e9);
    entry = vit_container_get(&container, "vit.attention.layer_norm_epsilon");
    CHECK(entry && entry->type == VIT_VALUE_FLOAT && entry->number == (double)1e-6f);
    entry = vit_container_get(&container, "vit.qkv_bias");
    CHECK(entry && entry->type == VIT_VALUE_BOOL && entry->integer == 1);
    entry = vit_container_get(&container, "vit.pool_norm");
    CHECK(entry && entry->type == VIT_VALUE_BOOL && entry->integer == 0);
    entry = vit_container_get(&container, "vit.preprocess.mean");
    CHECK(entry && entry->type == VIT_VALUE_ARRAY && entry->element == VIT_VALUE_FLOAT && entry->count == 3);
    for (int i = 0; entry && i < 3; i++)
        CHECK(entry->numbers[i] == (double)norms[i]);
    entry = vit_container_get(&container, "vit.image_size");
    CHECK(entry && entry->element == VIT_VALUE_INTEGER && entry->count == 3 && entry->numbers[2] == 4294967295.0);
    entry = vit_container_get(&container, "vit.labels");
    CHECK(entry && entry->element == VIT_VALUE_STRING && entry->count == 5);
    for (int i = 0; entry && i < 5; i++)
        CHECK_STRING(entry->strings[i], labels[i]);
    entry = vit_container_get(&container, "vit.none");
    CHECK(entry && entry->type == VIT_VALUE_ARRAY && entry->count == 0);
}

static void check_listing(void) {
    static const char *const expected[][2] = {
        {"general.architecture", "vit"},
        {"vit.block_count", "4000000000"},
        {"vit.attention.layer_norm_epsilon", "1e-06"},
        {"vit.qkv_bias", "true"},
        {"vit.pool_norm", "false"},
        {"vit.preprocess.mean", "[3] 1e-06, 0.5, 16777216"},
        {"vit.image_size", "[3] 384, 224, 4294967295"},
        {"vit.labels", "[5] tench, gr\xc3\xbc\xc3\x9f, , ..."},
        {"vit.none", "[0]"},
    };
    vit_file *listed;
    if (!CHECK_STATUS(VIT_OK, vit_file_open(&listed, path, NULL, &error)))
        return;
    CHECK_STRING(vit_file_format(listed), "GGUF");
    CHECK(vit_file_metadata_count(listed) == 9 && vit_file_tensor_count(listed) == 3);
    for (int i = 0; i < 9; i++) {
        const char *key, *value;
        vit_file_metadata(listed, i, &key, &value);
        CHECK_STRING(key, expected[i][0]);
        CHECK_STRING(value, expected[i][1]);
    }
    CHECK_STRING(vit_file_tensor(listed, 2)->name, "kernel");
    CHECK(vit_file_tensor(listed, 3) == NULL && vit_file_tensor(listed, -1) == NULL);
    vit_file_close(listed);
}

static void test_gguf(void) {
    vit_gguf_writer writer;
    begin("written.gguf");
    write_gguf(&writer);
    CHECK(!vit_file_exists(path));
    CHECK_STATUS(VIT_OK, vit_gguf_commit(&writer, &error));
    vit_gguf_cancel(&writer);
    if (read_back()) {
        CHECK_STRING(container.format, "GGUF");
        CHECK(container.tensor_count == 3 && container.data_begin % 32 == 0 && file.size % 32 == 0);
        check_tensor(0, "matrix", "F32", VIT_F32, 2, matrix_shape, matrix, sizeof matrix);
        check_tensor(1, "halves", "F16", VIT_F16, 1, halves_shape, halves, sizeof halves);
        check_tensor(2, "kernel", "BF16", VIT_BF16, 4, kernel_shape, matrix, 12);
        check_metadata();
        check_listing();
    }
    end();
}

static void test_gguf_without_tensors(void) {
    vit_gguf_writer writer;
    begin("empty.gguf");
    CHECK_STATUS(VIT_OK, vit_gguf_open(&writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_header(&writer, &error));
    CHECK_STATUS(VIT_OK, vit_gguf_commit(&writer, &error));
    vit_gguf_cancel(&writer);
    if (read_back())
        CHECK(container.tensor_count == 0 && container.metadata_count == 0);
    end();
}

static void test_gguf_refuses(void) {
    vit_gguf_writer writer;
    begin("refused.gguf");
    write_gguf(&writer);
    CHECK_STATUS(VIT_OK, vit_gguf_data(&writer, matrix, 4, &error)); /* more than was described */
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_gguf_commit(&writer, &error));
    vit_gguf_cancel(&writer);
    CHECK_STATUS(VIT_OK, vit_gguf_open(&writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_gguf_string(&writer, "key", "\xff", &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_gguf_tensor(&writer, "t", VIT_F32, 5, kernel_shape, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_gguf_tensor(&writer, "t", VIT_DTYPE_OTHER, 1, kernel_shape, &error));
    vit_gguf_cancel(&writer);
    vit_gguf_cancel(&writer);
    CHECK(!vit_file_exists(path));
    CHECK_STATUS(VIT_ERR_IO, vit_gguf_open(&writer, "/nonexistent/folder/x.gguf", &options.allocator, &error));
    vit_gguf_cancel(&writer);
}

static void test_safetensors(void) {
    static const char *const name = "odd \"name\" \\ \x01 gr\xc3\xbc\xc3\x9f";
    vit_safetensors_writer writer;
    begin("written.safetensors");
    CHECK_STATUS(VIT_OK, vit_safetensors_open(&writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_tensor(&writer, name, "F32", 2, matrix_shape, sizeof matrix, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_tensor(&writer, "empty", "F32", 2, empty_shape, 0, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_tensor(&writer, "halves", "F16", 1, halves_shape, sizeof halves, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_tensor(&writer, "scalar", "U8", 0, NULL, 1, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_header(&writer, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_data(&writer, matrix, sizeof matrix, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_data(&writer, halves, sizeof halves, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_safetensors_commit(&writer, &error)); /* a byte is missing */
    CHECK_STATUS(VIT_OK, vit_safetensors_data(&writer, "\7", 1, &error));
    CHECK_STATUS(VIT_OK, vit_safetensors_commit(&writer, &error));
    vit_safetensors_cancel(&writer);
    if (read_back()) {
        CHECK(container.tensor_count == 4 && container.data_begin % 64 == 0);
        check_tensor(0, name, "F32", VIT_F32, 2, matrix_shape, matrix, sizeof matrix);
        check_tensor(1, "empty", "F32", VIT_F32, 2, empty_shape, NULL, 0);
        check_tensor(2, "halves", "F16", VIT_F16, 1, halves_shape, halves, sizeof halves);
        check_tensor(3, "scalar", "U8", VIT_DTYPE_OTHER, 0, empty_shape, "\7", 1);
    }
    end();
}

static void test_safetensors_refuses(void) {
    vit_safetensors_writer writer;
    begin("refused.safetensors");
    CHECK_STATUS(VIT_OK, vit_safetensors_open(&writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_safetensors_tensor(&writer, "\xc3", "F32", 1, halves_shape, 20, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_safetensors_tensor(&writer, "t", "F32", 9, halves_shape, 20, &error));
    vit_safetensors_cancel(&writer);
    CHECK(!vit_file_exists(path));
}

/* Every scalar type, in a version 2 file: bits, how they are listed. */
static void test_value_types(void) {
    static const struct {
        unsigned type;
        const char *bits;
        size_t bytes;
        const char *text;
    } values[] = {
        {0, "\xc8", 1, "200"},
        {1, "\x9c", 1, "-100"},
        {2, "\x60\xea", 2, "60000"},
        {3, "\xd0\x8a", 2, "-30000"},
        {4, "\0\0\0\xff", 4, "4278190080"},
        {5, "\xff\xff\xff\xff", 4, "-1"},
        {6, "\xcd\xcc\xcc\x3d", 4, "0.1"},
        {6, "\0\0\x80\x7f", 4, "inf"},
        {7, "\1", 1, "true"},
        {7, "\0", 1, "false"},
        {10, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, "9223372036854775807"},
        {10, "\5\0\0\0\0\0\0\x80", 8, "9223372036854775813"},
        {10, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "18446744073709551615"},
        {11, "\0\0\0\0\0\0\0\x80", 8, "-9223372036854775808"},
        {12, "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8, "0.1"},
        {12, "\x18\x2d\x44\x54\xfb\x21\x09\x40", 8, "3.141592653589793"},
    };
    enum { COUNT = sizeof values / sizeof *values };
    begin("types.gguf");
    vit_buffer_append(&file, "GGUF\2\0\0\0\0\0\0\0\0\0\0\0", 16, "test", &error);
    vit_buffer_append(&file, (const char[8]){COUNT}, 8, "test", &error);
    for (int i = 0; i < COUNT; i++) {
        const char key[9] = {1, 0, 0, 0, 0, 0, 0, 0, (char)('a' + i)}, type[4] = {(char)values[i].type};
        vit_buffer_append(&file, key, 9, "test", &error);
        vit_buffer_append(&file, type, 4, "test", &error);
        vit_buffer_append(&file, values[i].bits, values[i].bytes, "test", &error);
    }
    vit_writer writer;
    CHECK_STATUS(VIT_OK, vit_writer_open(&writer, path, &options.allocator, &error));
    CHECK_STATUS(VIT_OK, vit_writer_write(&writer, file.data, file.size, &error));
    CHECK_STATUS(VIT_OK, vit_writer_commit(&writer, &error));
    vit_file *listed;
    if (CHECK_STATUS(VIT_OK, vit_file_open(&listed, path, NULL, &error))) {
        for (int i = 0; i < COUNT; i++) {
            const char *key, *value;
            vit_file_metadata(listed, i, &key, &value);
            CHECK_STRING(value, values[i].text);
        }
        vit_file_close(listed);
    } else {
        puts(error.text);
    }
    end();
}

TEST_MAIN(TEST(test_gguf), TEST(test_gguf_without_tensors), TEST(test_gguf_refuses), TEST(test_safetensors),
          TEST(test_safetensors_refuses), TEST(test_value_types))
