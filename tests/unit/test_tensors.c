/* Named tensors in safetensors files (vit_tensors_...), and labels from a file: the public calls. */
#include "test.h"

#define PATH "build/test_tensors.safetensors"

/* Counts blocks, and gives none after `left` of them. */
typedef struct counted {
    int left, held;
} counted;

static void *counted_alloc(void *context, size_t bytes) {
    counted *counted = context;
    if (counted->left == 0)
        return NULL;
    counted->left--;
    counted->held++;
    return malloc(bytes);
}

static void counted_release(void *context, void *block) {
    ((counted *)context)->held--;
    free(block);
}

static vit_options counted_options(counted *counted) {
    vit_options options = vit_default_options();
    options.allocator = (vit_allocator){counted_alloc, counted_release, counted};
    return options;
}

static void put_file(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    if (CHECK(file != NULL)) {
        CHECK(fwrite(data, 1, bytes, file) == bytes);
        fclose(file);
    }
}

static const float numbers[6] = {1, -2, 0.1f, 3e38f, 1e-45f, -0.0f};
static const int64_t shape[2] = {2, 3};

static vit_status write_two(const char *path, const vit_options *options) {
    vit_error error;
    vit_tensors_writer *writer;
    vit_status status = vit_tensors_writer_open(&writer, options, &error);
    if (status == VIT_OK)
        status = vit_tensors_writer_add(writer, "a \"quoted\" n\xc3\xa4me", 2, shape, numbers, &error);
    if (status == VIT_OK)
        status = vit_tensors_writer_add(writer, "scalar", 0, NULL, numbers, &error);
    if (status == VIT_OK)
        status = vit_tensors_writer_commit(writer, path, &error);
    vit_tensors_writer_close(writer);
    return status;
}

static void test_round_trip(void) {
    vit_error error;
    vit_tensors *tensors;
    CHECK_STATUS(VIT_OK, write_two(PATH, NULL));
    if (!CHECK_STATUS(VIT_OK, vit_tensors_read(&tensors, PATH, NULL, &error)))
        return;
    CHECK(vit_tensors_count(tensors) == 2);
    const vit_tensor_info *first = vit_tensors_info(tensors, 0), *second = vit_tensors_info(tensors, 1);
    CHECK_STRING(first->name, "a \"quoted\" n\xc3\xa4me");
    CHECK(first->rank == 2 && first->shape[0] == 2 && first->shape[1] == 3);
    CHECK(memcmp(vit_tensors_data(tensors, 0), numbers, sizeof numbers) == 0);
    CHECK_STRING(second->name, "scalar");
    CHECK(second->rank == 0 && vit_tensors_data(tensors, 1)[0] == 1);
    vit_tensors_close(tensors);
}

/* Data that is not aligned, 16-bit types, and one that is not read. */
static void test_types(void) {
    static const char header[] = "{\"u\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                 "\"f\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]},"
                                 "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[5,9]},"
                                 "\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[9,11]}}";
    static const unsigned char data[11] = {9, 0, 0, 0x20, 0x40, 0x00, 0x3c, 0x00, 0xc0, 0x40, 0x40};
    unsigned char file[8 + sizeof header - 1 + sizeof data] = {0};
    file[0] = (unsigned char)(sizeof header - 1), file[1] = (unsigned char)((sizeof header - 1) >> 8);
    memcpy(file + 8, header, sizeof header - 1);
    memcpy(file + 8 + sizeof header - 1, data, sizeof data);
    put_file(PATH, file, sizeof file);
    vit_error error;
    vit_tensors *tensors;
    if (!CHECK_STATUS(VIT_OK, vit_tensors_read(&tensors, PATH, NULL, &error)))
        return;
    for (int i = 0; i < vit_tensors_count(tensors); i++) {
        const vit_tensor_info *tensor = vit_tensors_info(tensors, i);
        const float *values = vit_tensors_data(tensors, i);
        switch (tensor->name[0]) {
        case 'u': CHECK(values == NULL && strcmp(tensor->type, "U8") == 0); break;
        case 'f': CHECK(values[0] == 2.5f); break;
        case 'h': CHECK(values[0] == 1 && values[1] == -2); break;
        case 'b': CHECK(values[0] == 3); break;
        default: CHECK(!"a tensor nobody wrote");
        }
    }
    vit_tensors_close(tensors);
    remove(PATH);
}

static void test_errors(void) {
    vit_error error;
    vit_tensors *tensors = (vit_tensors *)&error;
    vit_tensors_writer *writer;
    CHECK_STATUS(VIT_ERR_IO, vit_tensors_read(&tensors, "build/no such file", NULL, &error));
    CHECK(tensors == NULL);
    CHECK_MENTIONS(error.text, "no such file");
    put_file(PATH, "{}", 2);
    CHECK(vit_tensors_read(&tensors, PATH, NULL, &error) != VIT_OK);
    CHECK_MENTIONS(error.text, PATH);
    CHECK(vit_tensors_read(&tensors, "tests/golden/errors/gguf/valid_minimal.gguf", NULL, &error) == VIT_ERR_FORMAT);
    CHECK_MENTIONS(error.text, "GGUF");
    CHECK_STATUS(VIT_OK, vit_tensors_writer_open(&writer, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_tensors_writer_add(writer, "a", 2, shape, numbers, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_tensors_writer_add(writer, "a", 2, shape, numbers, &error));
    CHECK_MENTIONS(error.text, "a: ");
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_tensors_writer_add(writer, "b", 9, shape, numbers, &error));
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_tensors_writer_add(writer, "b", 1, (int64_t[]){-1}, numbers, &error));
    int64_t huge[2] = {(int64_t)1 << 40, (int64_t)1 << 40};
    CHECK_STATUS(VIT_ERR_OUT_OF_MEMORY, vit_tensors_writer_add(writer, "b", 2, huge, numbers, &error));
    CHECK(vit_tensors_writer_commit(writer, "build/no such folder/file", &error) != VIT_OK);
    CHECK_STATUS(VIT_OK, vit_tensors_writer_commit(writer, PATH, &error));
    vit_tensors_writer_close(writer);
    vit_tensors_writer_close(NULL);
    vit_tensors_close(NULL);
    remove(PATH);
}

/* Memory that ends anywhere is an error, and everything is given back. */
static void test_memory(void) {
    vit_error error;
    int writes = 0, reads = 0;
    for (vit_status status = VIT_ERR_OUT_OF_MEMORY; status != VIT_OK && writes < 100; writes++) {
        counted counted = {.left = writes};
        vit_options options = counted_options(&counted);
        status = write_two(PATH, &options);
        CHECK(status == VIT_OK || status == VIT_ERR_OUT_OF_MEMORY);
        CHECK(counted.held == 0);
    }
    for (vit_status status = VIT_ERR_OUT_OF_MEMORY; status != VIT_OK && reads < 100; reads++) {
        counted counted = {.left = reads};
        vit_options options = counted_options(&counted);
        vit_tensors *tensors;
        status = vit_tensors_read(&tensors, PATH, &options, &error);
        CHECK(status == VIT_OK || (status == VIT_ERR_OUT_OF_MEMORY && !tensors));
        vit_tensors_close(tensors);
        CHECK(counted.held == 0);
    }
    CHECK(writes > 4 && writes < 100 && reads > 4 && reads < 100);
    remove(PATH);
}

static void test_labels(void) {
    static const char *const texts[] = {"[\"a\",\"b c\",\"\\u00e4\",\"d\",\"e\",\"f\",\"g\"]",
                                        "a\nb c\n\xc3\xa4\nd\ne\nf\ng\n", "a\r\nb c\r\n\xc3\xa4\r\nd\r\ne\r\nf\r\ng"};
    vit_error error;
    vit_model *model;
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, "tests/golden/forward/timm_cls", NULL, NULL, &error)))
        return;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put_file(PATH, texts[i], strlen(texts[i]));
        CHECK_STATUS(VIT_OK, vit_model_read_labels(model, PATH, NULL, &error));
        CHECK_STRING(vit_model_label(model, 1), "b c");
        CHECK_STRING(vit_model_label(model, 2), "\xc3\xa4");
        CHECK_STRING(vit_model_label(model, 6), "g");
    }
    put_file(PATH, "x\ny\n", 4);
    CHECK_STATUS(VIT_ERR_ARGUMENT, vit_model_read_labels(model, PATH, NULL, &error));
    CHECK_MENTIONS(error.text, PATH);
    put_file(PATH, "[\"x\", 1]", 8);
    CHECK_STATUS(VIT_ERR_FORMAT, vit_model_read_labels(model, PATH, NULL, &error));
    CHECK_MENTIONS(error.text, PATH);
    CHECK_STRING(vit_model_label(model, 1), "b c");
    for (int left = 0; left < 20; left++) {
        counted counted = {.left = left};
        vit_options options = counted_options(&counted);
        put_file(PATH, texts[0], strlen(texts[0]));
        vit_model_read_labels(model, PATH, &options, &error);
        CHECK(counted.held == 0);
    }
    vit_model_close(model);
    remove(PATH);
}

TEST_MAIN(TEST(test_round_trip), TEST(test_types), TEST(test_errors), TEST(test_memory), TEST(test_labels))
