/* Loading weights from npz and from several files: as a stream and read anywhere, whatever the order and packing of values, the model is the one
 * that a safetensors file gives, to the bit. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/inflate.h"
#include "../../src/model/convert.h"
#include "../../src/model/model.h"
#include "../../src/model/quantize.h"

#include <unistd.h>

#define CASE "tests/golden/forward/timm_cls"

static vit_error error;
static vit_options options;
static vit_buffer weights, config;
static vit_container source; /* of weights */

static void load_weights(const char *path) {
    uint64_t need;
    options = vit_default_options();
    weights.allocator = config.allocator = &options.allocator;
    CHECK_STATUS(VIT_OK, vit_read_file(&weights, path, 1 << 26, &error));
    CHECK_STATUS(VIT_OK, vit_container_parse(&source, "w", weights.data, weights.size, weights.size, &need,
                                             &options.limits, &options.allocator, &error));
}

static void load_case(void) {
    load_weights(CASE "/model.safetensors");
    CHECK_STATUS(VIT_OK, vit_read_file(&config, CASE "/config.json", 1 << 24, &error));
}

static void release_case(void) {
    vit_container_release(&source);
    vit_buffer_release(&weights);
    vit_buffer_release(&config);
}

/* ---- an archive as numpy writes it ---- */

enum { FORTRAN = 1, DEFLATED = 2 };

static void put(vit_buffer *out, const void *data, size_t bytes) {
    if (vit_buffer_append(out, data, bytes, "npz", &error) != VIT_OK)
        CHECK_STRING(error.text, "");
}

static void put_number(vit_buffer *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        put(out, &(unsigned char){(unsigned char)(value >> 8 * i)}, 1);
}

/* A member's bytes: npy header, then f32 values. */
static void put_npy(vit_buffer *out, const vit_tensor_info *tensor, int kind) {
    char header[300];
    int used = snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': %s, 'shape': (", kind & FORTRAN ? "True" : "False");
    for (int i = 0; i < tensor->rank; i++)
        used += snprintf(header + used, sizeof header - (size_t)used, "%lld,", (long long)tensor->shape[i]);
    used += snprintf(header + used, sizeof header - (size_t)used, "), }\n");
    put(out, "\x93NUMPY\1\0", 8);
    put_number(out, (uint64_t)used, 2);
    put(out, header, (size_t)used);
    const unsigned char *values = weights.data + tensor->offset;
    size_t count = (size_t)tensor->bytes / 4, index[8] = {0};
    for (size_t n = 0; n < count; n++) {
        size_t at = 0;
        for (int d = 0; d < tensor->rank; d++)
            at = at * (size_t)tensor->shape[d] + index[d];
        put(out, values + 4 * (kind & FORTRAN ? at : n), 4);
        for (int d = 0; d < tensor->rank && ++index[d] == (size_t)tensor->shape[d]; d++)
            index[d] = 0;
    }
}

/* Stored blocks of DEFLATE, of at most 1000 bytes. */
static void put_deflated(vit_buffer *out, const vit_buffer *in) {
    for (size_t at = 0; at < in->size; at += 1000) {
        size_t bytes = in->size - at < 1000 ? in->size - at : 1000;
        put_number(out, at + bytes == in->size, 1);
        put_number(out, bytes, 2);
        put_number(out, ~bytes, 2);
        put(out, in->data + at, bytes);
    }
}

/* damage: the member whose last byte is changed, -1: none. */
static vit_buffer make_npz(int kind, int damage) {
    static vit_crc crc;
    vit_buffer out = {.allocator = &options.allocator}, directory = {.allocator = &options.allocator};
    vit_crc_begin(&crc);
    for (int i = 0; i < source.tensor_count; i++) {
        const vit_tensor_info *tensor = &source.tensors[i];
        vit_buffer npy = {.allocator = &options.allocator}, packed = {.allocator = &options.allocator};
        char name[120];
        int length = snprintf(name, sizeof name, "%s.npy", tensor->name);
        put_npy(&npy, tensor, kind);
        const uint64_t sum = vit_crc_add(&crc, 0, npy.data, npy.size), local = out.size;
        if (i == damage)
            npy.data[npy.size - 1] ^= 1;
        if (kind & DEFLATED)
            put_deflated(&packed, &npy);
        const vit_buffer *stored = kind & DEFLATED ? &packed : &npy;
        put(&out, "PK\3\4\x2d\0\0\0", 8);
        put_number(&out, kind & DEFLATED ? 8 : 0, 2);
        put_number(&out, 0, 4);
        put_number(&out, sum, 4);
        put_number(&out, UINT32_MAX, 4);
        put_number(&out, UINT32_MAX, 4);
        put_number(&out, (uint64_t)length, 2);
        put_number(&out, 20, 2);
        put(&out, name, (size_t)length);
        put(&out, "\1\0\x10\0", 4);
        put_number(&out, npy.size, 8);
        put_number(&out, stored->size, 8);
        put(&out, stored->data, stored->size);
        put(&directory, "PK\1\2\x2d\3\x2d\0\0\0", 10);
        put_number(&directory, kind & DEFLATED ? 8 : 0, 2);
        put_number(&directory, 0, 4);
        put_number(&directory, sum, 4);
        put_number(&directory, stored->size, 4);
        put_number(&directory, npy.size, 4);
        put_number(&directory, (uint64_t)length, 2);
        put_number(&directory, 0, 8);
        put_number(&directory, 0, 4);
        put_number(&directory, local, 4);
        put(&directory, name, (size_t)length);
        vit_buffer_release(&npy);
        vit_buffer_release(&packed);
    }
    const size_t begin = out.size;
    put(&out, directory.data, directory.size);
    put(&out, "PK\5\6\0\0\0\0", 8);
    put_number(&out, (uint64_t)source.tensor_count, 2);
    put_number(&out, (uint64_t)source.tensor_count, 2);
    put_number(&out, directory.size, 4);
    put_number(&out, begin, 4);
    put_number(&out, 0, 2);
    vit_buffer_release(&directory);
    return out;
}

/* ---- loading ---- */

static vit_status begin(vit_loader **loader) {
    VIT_TRY(vit_loader_open(loader, "m", &options, &error));
    return vit_loader_config(*loader, "config.json", config.data, config.size, &error);
}

static vit_status load_stream(vit_model **out, const vit_buffer *file, size_t piece, int known) {
    vit_loader *loader;
    vit_status status = begin(&loader);
    *out = NULL;
    if (known)
        vit_loader_source(loader, file->size, 0);
    for (size_t at = 0; at < file->size && status == VIT_OK; at += piece)
        status = vit_loader_push(loader, file->data + at, file->size - at < piece ? file->size - at : piece, &error);
    if (status == VIT_OK)
        status = vit_loader_finish(loader, out, &error);
    vit_loader_close(loader);
    return status;
}

/* Counts how many bytes were read. */
static vit_status load_anywhere(vit_model **out, const vit_buffer *file, size_t piece, size_t *read) {
    vit_loader *loader;
    const char *name;
    uint64_t offset;
    vit_status status = begin(&loader);
    *out = NULL;
    *read = 0;
    vit_loader_source(loader, file->size, 1);
    while (status == VIT_OK && vit_loader_next(loader, &name, &offset)) {
        void *space;
        size_t room;
        status = vit_loader_space(loader, &space, &room, &error);
        if (status != VIT_OK || !CHECK(room > 0 && offset + room <= file->size))
            break;
        room = room < piece ? room : piece;
        memcpy(space, file->data + offset, room);
        *read += room;
        status = vit_loader_commit(loader, room, &error);
    }
    if (status == VIT_OK)
        status = vit_loader_finish(loader, out, &error);
    vit_loader_close(loader);
    return status;
}

static int same_matrix(const vit_slot *a, const vit_slot *b) {
    if (a->held.f32)
        return memcmp(a->held.f32, b->held.f32, a->count * sizeof(float)) == 0;
    const size_t rows = (size_t)a->shape[0], columns = (vit_slot_row(a) + 3) / 4 * 4;
    return memcmp(a->held.int8, b->held.int8, rows * columns) == 0 &&
           memcmp(a->held.scale, b->held.scale, rows * sizeof(float)) == 0 &&
           memcmp(a->held.sum, b->held.sum, rows * sizeof(int32_t)) == 0;
}

static int same_model(const vit_model *a, const vit_model *b) {
    int same = a && b && a->slot_count == b->slot_count;
    for (int i = 0; same && i < a->slot_count; i++)
        same = same_matrix(&a->slots[i], &b->slots[i]);
    return same;
}

static void test_npz(void) {
    load_case();
    for (int compute = VIT_COMPUTE_F32; compute <= VIT_COMPUTE_INT8; compute++) {
        vit_model *expected, *model;
        options.compute = (vit_compute)compute;
        CHECK_STATUS(VIT_OK, load_stream(&expected, &weights, 1 << 20, 0));
        for (int kind = 0; kind < 4; kind++) {
            vit_buffer file = make_npz(kind, -1);
            size_t read;
            for (size_t piece = 7; piece < 1 << 20; piece *= 97) {
                if (!CHECK_STATUS(VIT_OK, load_stream(&model, &file, piece, piece & 1)))
                    puts(error.text);
                CHECK(same_model(model, expected));
                vit_model_close(model);
                CHECK_STATUS(VIT_OK, load_anywhere(&model, &file, piece, &read));
                CHECK(same_model(model, expected) && read < 3 * file.size);
                vit_model_close(model);
            }
            vit_buffer_release(&file);
        }
        vit_model_close(expected);
    }
    release_case();
}

static void test_damaged_npz(void) {
    load_case();
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < source.tensor_count; i += 5) {
            vit_buffer file = make_npz(kind, i);
            vit_model *model;
            size_t read;
            CHECK_STATUS(VIT_ERR_FORMAT, load_stream(&model, &file, 1000, 0));
            CHECK(model == NULL);
            CHECK_STATUS(VIT_ERR_FORMAT, load_anywhere(&model, &file, 1000, &read));
            CHECK_MENTIONS(error.text, "checksum");
            CHECK_MENTIONS(error.text, source.tensors[i].name);
            vit_buffer_release(&file);
        }
        vit_buffer file = make_npz(kind, -1);
        for (size_t end = 0; end < file.size; end += 1 + file.size / 50) {
            vit_model *model;
            const vit_buffer cut = {.data = file.data, .size = end};
            CHECK(load_stream(&model, &cut, 1000, 0) == VIT_ERR_TRUNCATED || end < 9);
            CHECK(model == NULL);
        }
        vit_buffer_release(&file);
    }
    release_case();
}

/* ---- several files ---- */

/* Half of the tensors as a safetensors file: those of even or odd number. */
static vit_buffer make_shard(int odd) {
    vit_buffer out = {.allocator = &options.allocator}, body = {.allocator = &options.allocator};
    vit_buffer header = {.allocator = &options.allocator};
    for (int i = odd; i < source.tensor_count; i += 2) {
        const vit_tensor_info *tensor = &source.tensors[i];
        char text[300];
        int used = snprintf(text, sizeof text, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[", i == odd ? '{' : ',', tensor->name);
        for (int d = 0; d < tensor->rank; d++)
            used += snprintf(text + used, sizeof text - (size_t)used, "%s%lld", d ? "," : "", (long long)tensor->shape[d]);
        used += snprintf(text + used, sizeof text - (size_t)used, "],\"data_offsets\":[%zu,%zu]}", body.size,
                         body.size + (size_t)tensor->bytes);
        put(&header, text, (size_t)used);
        put(&body, weights.data + tensor->offset, (size_t)tensor->bytes);
    }
    put(&header, "}", 1);
    put_number(&out, header.size, 8);
    put(&out, header.data, header.size);
    put(&out, body.data, body.size);
    vit_buffer_release(&header);
    vit_buffer_release(&body);
    return out;
}

static vit_status load_shards(vit_model **out, const vit_buffer files[2], const char *index, size_t piece, int anywhere) {
    vit_loader *loader;
    const char *name;
    uint64_t offset, read[2] = {0, 0};
    vit_status status = begin(&loader);
    *out = NULL;
    if (status == VIT_OK)
        status = vit_loader_index(loader, "index", index, strlen(index), &error);
    while (status == VIT_OK && vit_loader_next(loader, &name, &offset)) {
        void *space;
        size_t room;
        const int which = name[0] - 'a';
        if (anywhere && !offset)
            vit_loader_source(loader, files[which].size, 1);
        if (!anywhere) /* a stream is enough */
            CHECK(offset == read[which]);
        status = vit_loader_space(loader, &space, &room, &error);
        if (status != VIT_OK || offset >= files[which].size)
            break;
        room = room < piece ? room : piece;
        if (room > files[which].size - offset)
            room = (size_t)(files[which].size - offset);
        memcpy(space, files[which].data + offset, room);
        read[which] = offset + room;
        status = vit_loader_commit(loader, room, &error);
    }
    if (status == VIT_OK)
        status = vit_loader_finish(loader, out, &error);
    vit_loader_close(loader);
    return status;
}

static void test_shards(void) {
    vit_model *expected, *model;
    char index[8000];
    load_case();
    int used = snprintf(index, sizeof index, "{\"weight_map\":{");
    for (int i = 0; i < source.tensor_count; i++)
        used += snprintf(index + used, sizeof index - (size_t)used, "%s\"%s\":\"%c.safetensors\"", i ? "," : "",
                         source.tensors[i].name, "ab"[i % 2]);
    snprintf(index + used, sizeof index - (size_t)used, "}}");
    vit_buffer files[2] = {make_shard(0), make_shard(1)};
    CHECK_STATUS(VIT_OK, load_stream(&expected, &weights, 1 << 20, 0));
    for (int anywhere = 0; anywhere < 2; anywhere++)
        for (size_t piece = 5; piece < 1 << 18; piece *= 77) {
            CHECK_STATUS(VIT_OK, load_shards(&model, files, index, piece, anywhere));
            CHECK(same_model(model, expected));
            vit_model_close(model);
        }
    for (int which = 0; which < 2; which++) { /* cut */
        const size_t whole = files[which].size;
        for (files[which].size = 0; files[which].size < whole; files[which].size += 1 + whole / 60)
            CHECK(load_shards(&model, files, index, 1000, 0) == VIT_ERR_TRUNCATED);
        files[which].size = whole;
    }
    vit_model_close(expected);
    for (int i = 0; i < 2; i++)
        vit_buffer_release(&files[i]);
    release_case();
}

/* ---- memory ---- */

struct memory {
    size_t held, peak;
};

static void *counted_alloc(void *context, size_t bytes) {
    struct memory *memory = context;
    size_t *block = malloc(bytes + 16);
    block[0] = bytes;
    memory->held += bytes;
    memory->peak = memory->held > memory->peak ? memory->held : memory->peak;
    return (char *)block + 16;
}

static void counted_release(void *context, void *block) {
    size_t *start = (size_t *)(void *)((char *)block - 16);
    ((struct memory *)context)->held -= start[0];
    free(start);
}

/* What a load needs at its worst: the weights as they are computed with, the largest tensor where values are put into another
 * order first, and less than 1 MB. */
static void check_memory(const char *path, const char *config_path, vit_compute compute, int reordered) {
    struct memory memory = {0, 0};
    vit_options counting = vit_default_options();
    vit_model *model;
    counting.allocator = (vit_allocator){counted_alloc, counted_release, &memory};
    counting.compute = compute;
    if (!CHECK_STATUS(VIT_OK, vit_model_open(&model, path, config_path, &counting, &error))) {
        puts(error.text);
        return;
    }
    size_t largest = 0;
    for (int i = 0; i < model->slot_count; i++)
        largest = model->slots[i].count * sizeof(float) > largest ? model->slots[i].count * sizeof(float) : largest;
    const size_t most = (size_t)vit_model_bytes(model) + (reordered ? largest : 0) + (1 << 20);
    if (!CHECK(memory.peak <= most))
        printf("  %s: %zu bytes, expected at most %zu\n", path, memory.peak, most);
    vit_model_close(model);
    CHECK(memory.held == 0);
}

/* As a stream: the file as well. */
static void check_held(const vit_buffer *file, vit_compute compute) {
    struct memory memory = {0, 0};
    const vit_options kept = options;
    vit_model *model;
    options.allocator = (vit_allocator){counted_alloc, counted_release, &memory};
    options.compute = compute;
    if (CHECK_STATUS(VIT_OK, load_stream(&model, file, 100000, 0))) {
        CHECK(memory.peak <= (size_t)vit_model_bytes(model) + file->size + (5 << 19));
        vit_model_close(model);
    }
    CHECK(memory.held == 0);
    options = kept;
}

static void test_memory(void) {
    const char *folder = getenv("TMPDIR");
    char gguf[300], safetensors[300], npz[300], config_path[300];
    vit_config network;
    vit_model *model;
    const char *const stem = folder ? folder : "/tmp";
    snprintf(gguf, sizeof gguf, "%s/vit-%ld-memory.gguf", stem, (long)getpid());
    snprintf(safetensors, sizeof safetensors, "%s/vit-%ld-memory.safetensors", stem, (long)getpid());
    snprintf(npz, sizeof npz, "%s/vit-%ld-memory.npz", stem, (long)getpid());
    snprintf(config_path, sizeof config_path, "%s/vit-%ld-memory.json", stem, (long)getpid());
    CHECK_STATUS(VIT_OK, vit_architecture_config(&network, "vit_tiny_patch16_224", &error));
    network.layers = 4;
    CHECK_STATUS(VIT_OK, vit_model_init(&model, &network, 1, NULL, &error));
    CHECK_STATUS(VIT_OK, vit_model_save(model, gguf, &(vit_save_options){.type = VIT_Q8_0}, &error));
    CHECK_STATUS(VIT_OK, vit_model_save(model, safetensors, &(vit_save_options){.type = VIT_F32}, &error));
    vit_model_close(model);
    FILE *file = fopen(config_path, "wb");
    fputs("{\"architecture\":\"vit_tiny_patch16_224\",\"model_args\":{\"depth\":4}}", file);
    fclose(file);
    for (int compute = VIT_COMPUTE_F32; compute <= VIT_COMPUTE_INT8; compute++) {
        check_memory(gguf, NULL, (vit_compute)compute, 0);
        check_memory(safetensors, NULL, (vit_compute)compute, 0);
        load_weights(safetensors);
        CHECK_STATUS(VIT_OK, vit_read_file(&config, config_path, 1 << 20, &error));
        for (int kind = 0; kind < 4; kind++) {
            vit_buffer archive = make_npz(kind, -1);
            file = fopen(npz, "wb");
            CHECK(fwrite(archive.data, 1, archive.size, file) == archive.size);
            fclose(file);
            if (kind == 0)
                check_held(&archive, (vit_compute)compute);
            vit_buffer_release(&archive);
            check_memory(npz, config_path, (vit_compute)compute, kind & FORTRAN && compute == VIT_COMPUTE_INT8);
        }
        release_case();
    }
    unlink(gguf);
    unlink(safetensors);
    unlink(npz);
    unlink(config_path);
}

/* Layers that are stacked in one tensor, transposed or not, in both orders: [L,A,B] to slots [B,A]. */
static void test_scattered(void) {
    vit_scatter s = {.rank = 3, .size = {2, 3, 4}, .stride = {12, 1, 3}};
    float values[24], out[24], whole[24];
    for (int i = 0; i < 24; i++)
        values[i] = (float)i;
    vit_scatter at_once = s;
    vit_scatter_values(&at_once, whole, values, 24);
    for (int l = 0; l < 2; l++)
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 4; b++)
                CHECK(whole[l * 12 + b * 3 + a] == (float)(l * 12 + a * 4 + b));
    for (int piece = 1; piece < 12; piece++) {
        vit_scatter part = s;
        for (int at = 0; at < 24; at += piece)
            vit_scatter_values(&part, out, values + at, (size_t)(24 - at < piece ? 24 - at : piece));
        CHECK(memcmp(out, whole, sizeof out) == 0);
    }
}

/* NaN and infinities become integers as well: any, but no undefined behaviour. */
static void test_nonfinite(void) {
    static const float rows[][4] = {{NAN, 1, -2, 3}, {INFINITY, 1, -INFINITY, 0}, {1e-45f, -1e-45f, 0, 0}, {3e38f, -3e38f, 1, 0}};
    unsigned char bytes[34];
    float scale, block[32];
    int32_t sum;
    int8_t q[4];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vit_quantize_row(rows[i], 4, q, &scale, &sum);
        CHECK(sum == q[0] + q[1] + q[2] + q[3]);
        for (int k = 0; k < 32; k++)
            block[k] = rows[i][k % 4];
        for (int rounding = 0; rounding < 2; rounding++) {
            vit_quantize_blocks(bytes, block, 32, VIT_Q8_0, (vit_rounding)rounding);
            vit_quantize_blocks(bytes, block, 32, VIT_Q4_0, (vit_rounding)rounding);
        }
    }
    vit_quantize_row(rows[0], 4, q, &scale, &sum);
    CHECK(q[0] == 0 && q[3] == 127);
}

/* As many as a uint32_t holds are as many as there are. */
static void test_json_depth_is_one_rule(void) {
    static const char deep[] = "{\"architecture\":\"vit_tiny_patch16_224\",\"a\":[[[[1]]]]}";
    for (int i = 0; i < 2; i++) {
        vit_options options = vit_default_options();
        vit_loader *loader;
        options.limits.json_depth = i ? 4 : UINT32_MAX;
        CHECK_STATUS(VIT_OK, vit_loader_open(&loader, "m.gguf", &options, &error));
        CHECK_STATUS(i ? VIT_ERR_LIMIT : VIT_OK, vit_loader_config(loader, "config.json", deep, sizeof deep - 1, &error));
        if (i)
            CHECK_MENTIONS(error.text, "(limit json_depth)");
        vit_loader_close(loader);
    }
}

TEST_MAIN(TEST(test_npz), TEST(test_damaged_npz), TEST(test_shards), TEST(test_memory), TEST(test_scattered), TEST(test_nonfinite),
          TEST(test_json_depth_is_one_rule))
