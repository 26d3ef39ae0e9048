/* Weight files: every malformed one is refused, read in pieces or whole, and no change of bytes leads out of bounds. */
#include "test.h"

#include "../../src/base/file.h"
#include "../../src/format/container.h"

#define GOLDEN "tests/golden/errors/"

/* ---- a counting allocator: nothing may leak, and no header may cost much more than its size ---- */

struct counter {
    size_t held, peak;
    int left; /* allocations until it fails */
};

static void *counted_alloc(void *context, size_t bytes) {
    struct counter *counter = context;
    if (counter->left-- <= 0)
        return NULL;
    size_t *block = malloc(bytes + 16);
    block[0] = bytes;
    counter->held += bytes;
    if (counter->held > counter->peak)
        counter->peak = counter->held;
    return (char *)block + 16;
}

static void counted_release(void *context, void *block) {
    size_t *start = (size_t *)(void *)((char *)block - 16);
    ((struct counter *)context)->held -= start[0];
    free(start);
}

static struct counter counter;
static const vit_allocator counted = {counted_alloc, counted_release, &counter};
static vit_error error;
static uint64_t need;

static void reset(int allocations) {
    counter = (struct counter){.left = allocations};
    memset(&error, 0, sizeof error);
}

static vit_status parse(vit_container *out, const char *name, const void *data, size_t bytes, uint64_t file_bytes) {
    static vit_options options;
    options = vit_default_options();
    void *copy = malloc(bytes ? bytes : 1); /* of the exact size: reading past the end is seen */
    if (bytes)
        memcpy(copy, data, bytes);
    vit_status status =
        vit_container_parse(out, name, copy, bytes, file_bytes, &need, &options.limits, &counted, &error);
    free(copy);
    return status;
}

static vit_buffer load(const char *path) {
    static vit_options options;
    options = vit_default_options();
    vit_buffer buffer = {.allocator = &options.allocator};
    vit_status status = vit_read_file(&buffer, path, 1 << 30, &error);
    CHECK(status == VIT_OK || (status == VIT_ERR_TRUNCATED && buffer.size == 0));
    return buffer;
}

/* What every accepted container promises. */
static int is_sound(const vit_container *c, uint64_t file_bytes) {
    uint64_t end = c->data_begin;
    for (int i = 0; i < c->tensor_count; i++) {
        const vit_tensor_info *t = &c->tensors[i];
        if (!t->name || !t->type || t->rank < 0 || t->rank > 8 || t->offset < end)
            return 0;
        end = t->offset + t->bytes;
        int64_t count = 1;
        for (int d = 0; d < t->rank; d++)
            count *= t->shape[d];
        if (t->dtype != VIT_DTYPE_OTHER && t->bytes != (uint64_t)count * (t->dtype == VIT_F32 ? 4 : 2))
            return 0;
    }
    for (int i = 0; i < c->metadata_count; i++) {
        const vit_metadata *m = &c->metadata[i];
        if (!m->key || (m->type == VIT_VALUE_STRING && !m->string))
            return 0;
        for (size_t e = 0; m->type == VIT_VALUE_ARRAY && m->element == VIT_VALUE_STRING && e < m->count; e++)
            if (!m->strings[e])
                return 0;
    }
    return end == c->file_bytes && end <= file_bytes && c->data_begin <= end;
}

static int same_metadata(const vit_metadata *a, const vit_metadata *b) {
    if (strcmp(a->key, b->key) != 0 || a->type != b->type || a->integer != b->integer || a->number != b->number ||
        a->count != b->count || a->element != b->element)
        return 0;
    if (a->type == VIT_VALUE_STRING)
        return strcmp(a->string, b->string) == 0;
    for (size_t i = 0; i < a->count; i++)
        if (a->element == VIT_VALUE_STRING ? strcmp(a->strings[i], b->strings[i]) != 0 : a->numbers[i] != b->numbers[i])
            return 0;
    return 1;
}

static int same(const vit_container *a, const vit_container *b) {
    if (strcmp(a->format, b->format) != 0 || a->tensor_count != b->tensor_count ||
        a->metadata_count != b->metadata_count || a->data_begin != b->data_begin || a->file_bytes != b->file_bytes)
        return 0;
    for (int i = 0; i < a->tensor_count; i++) {
        const vit_tensor_info *s = &a->tensors[i], *t = &b->tensors[i];
        if (strcmp(s->name, t->name) != 0 || strcmp(s->type, t->type) != 0 || s->rank != t->rank ||
            memcmp(s->shape, t->shape, sizeof s->shape) != 0 || s->offset != t->offset || s->bytes != t->bytes)
            return 0;
    }
    for (int i = 0; i < a->metadata_count; i++)
        if (!same_metadata(&a->metadata[i], &b->metadata[i]))
            return 0;
    return 1;
}

/* ---- the golden files ---- */

static vit_json_document cases;

static void load_cases(void) {
    static vit_options options;
    options = vit_default_options();
    if (cases.root)
        return;
    vit_buffer text = load(GOLDEN "containers.json");
    if (!CHECK_STATUS(VIT_OK,
                      vit_json_parse(&cases, "containers.json", text.data, text.size, &options.limits, &options.allocator, &error)))
        exit(1);
    vit_buffer_release(&text);
}

static void golden_path(char path[300], const vit_json *entry) {
    snprintf(path, 300, GOLDEN "%s", vit_json_get(entry, "file")->string);
}

static void test_golden(void) {
    load_cases();
    for (const vit_json *entry = cases.root->child; entry; entry = entry->next) {
        const char *expect = vit_json_get(entry, "expect")->string;
        char path[300];
        golden_path(path, entry);
        vit_buffer file = load(path);
        vit_container container;
        reset(1000);
        vit_status status = parse(&container, path, file.data, file.size, file.size);
        int good = strcmp(expect, "accept") == 0  ? status == VIT_OK
                   : strcmp(expect, "error") == 0 ? status != VIT_OK
                                                  : 1;
        if (!CHECK(good && need == 0))
            printf("  %s (%s): %s, expected: %s\n", path, vit_json_get(entry, "defect")->string, error.text, expect);
        if (status == VIT_OK) {
            CHECK(is_sound(&container, file.size));
        } else {
            CHECK(error.status == status);
            CHECK(strncmp(error.text, path, strlen(path)) == 0);
            CHECK(container.tensors == NULL && container.tensor_count == 0);
        }
        vit_container_release(&container);
        CHECK(counter.held == 0);
        CHECK(counter.peak < 64 * file.size + 4096);

        vit_file *listed;
        CHECK_STATUS(status, vit_file_open(&listed, path, NULL, &error));
        vit_file_close(listed);
        vit_buffer_release(&file);
    }
}

static void for_accepted(void (*run)(const char *path, const vit_buffer *file)) {
    load_cases();
    for (const vit_json *entry = cases.root->child; entry; entry = entry->next) {
        if (strcmp(vit_json_get(entry, "expect")->string, "accept") != 0)
            continue;
        char path[300];
        golden_path(path, entry);
        vit_buffer file = load(path);
        run(path, &file);
        vit_buffer_release(&file);
    }
}

/* ---- cut short, and in pieces ---- */

static void cut(const char *path, const vit_buffer *file) {
    vit_container whole, container;
    reset(1000000);
    CHECK_STATUS(VIT_OK, parse(&whole, path, file->data, file->size, file->size));
    for (size_t bytes = 0; bytes < file->size; bytes++) {
        vit_status status = parse(&container, path, file->data, bytes, bytes); /* the file ends here */
        CHECK(status == VIT_ERR_TRUNCATED || status == VIT_ERR_FORMAT);
        CHECK(need == 0);
        for (int known = 0; known < 2; known++) { /* more will come */
            CHECK_STATUS(VIT_OK, parse(&container, path, file->data, bytes, known ? file->size : UINT64_MAX));
            if (need)
                CHECK(need > bytes && (!known || need <= file->size) && !container.tensors);
            else
                CHECK(bytes >= whole.data_begin && same(&whole, &container));
            vit_container_release(&container);
        }
    }
    vit_container_release(&whole);
    CHECK(counter.held == 0);
}

static void test_cut(void) {
    for_accepted(cut);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % limit;
}

/* As a loader does: bytes come in pieces of at most `most`, and it tries again when what was wanted is there. */
static int feed(vit_container *out, const vit_buffer *file, uint64_t file_bytes, uint32_t most) {
    uint64_t wanted = 0;
    int tries = 0;
    for (size_t bytes = 0; bytes <= file->size; bytes += 1 + random_below(most)) {
        if (bytes < wanted)
            continue;
        tries++;
        if (!CHECK_STATUS(VIT_OK, parse(out, "stream", file->data, bytes, file_bytes)))
            return 0;
        if (!need)
            return tries;
        if (!CHECK(need > bytes))
            return 0;
        wanted = need;
    }
    return CHECK_STATUS(VIT_OK, parse(out, "stream", file->data, file->size, file->size)) ? tries : 0;
}

static void in_pieces(const char *path, const vit_buffer *file) {
    vit_container whole, container;
    reset(1000000);
    parse(&whole, path, file->data, file->size, file->size);
    for (int i = 0; i < 40; i++) {
        int tries = feed(&container, file, i & 1 ? UINT64_MAX : file->size, i < 2 ? 1 : 1 + (uint32_t)i);
        CHECK(tries > 0 && tries < 10);
        CHECK(same(&whole, &container));
        vit_container_release(&container);
    }
    vit_container_release(&whole);
    CHECK(counter.held == 0);
}

static void test_pieces(void) {
    random_state = 1;
    for_accepted(in_pieces);
}

static void put_integer(vit_buffer *buffer, uint64_t value, size_t bytes) {
    unsigned char little[8];
    for (int i = 0; i < 8; i++)
        little[i] = (unsigned char)(value >> 8 * i);
    vit_buffer_append(buffer, little, bytes, "test", &error);
}

static void put_string(vit_buffer *buffer, const char *string) {
    put_integer(buffer, strlen(string), 8);
    vit_buffer_append(buffer, string, strlen(string), "test", &error);
}

/* Many strings: trying again costs as much as the header altogether, not its square. */
static void test_tries_are_few(void) {
    enum { LABELS = 50000 };
    static vit_options options;
    options = vit_default_options();
    vit_buffer file = {.allocator = &options.allocator};
    vit_buffer_append(&file, "GGUF\3\0\0\0", 8, "test", &error);
    put_integer(&file, 0, 8);
    put_integer(&file, 1, 8);
    put_string(&file, "labels");
    put_integer(&file, 9, 4);
    put_integer(&file, 8, 4);
    put_integer(&file, LABELS, 8);
    for (int i = 0; i < LABELS; i++)
        put_string(&file, "label");
    vit_container container;
    reset(1000000);
    int tries = feed(&container, &file, UINT64_MAX, 1000);
    CHECK(tries > 0 && tries <= 24);
    const vit_metadata *labels = vit_container_get(&container, "labels");
    CHECK(labels && labels->count == LABELS && strcmp(labels->strings[LABELS - 1], "label") == 0);
    CHECK(vit_container_get(&container, "label") == NULL);
    CHECK(counter.peak < 4 * file.size);
    vit_container_release(&container);
    vit_buffer_release(&file);
    CHECK(counter.held == 0);
}

/* ---- changed bytes ---- */

/* Whatever the bytes are: a sound container or an error that says something, and nothing is lost. */
static int survives(const void *data, size_t bytes, uint64_t file_bytes) {
    vit_container container;
    reset(1000000);
    vit_status status = parse(&container, "changed", data, bytes, file_bytes);
    int good = status == VIT_OK ? need || is_sound(&container, file_bytes) : error.text[0] && error.status == status;
    vit_container_release(&container);
    return good && counter.held == 0;
}

static void flip_bits(const char *path, const vit_buffer *file) {
    size_t bits = 8 * (file->size < 400 ? file->size : 400);
    int good = 1;
    for (size_t bit = 0; bit < bits; bit++) {
        file->data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        good &= survives(file->data, file->size, file->size);
        good &= survives(file->data, file->size, UINT64_MAX);
        file->data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    if (!CHECK(good))
        printf("  %s\n", path);
}

static void test_bit_flips(void) {
    for_accepted(flip_bits);
}

static void mutate(vit_buffer *file) {
    static const uint64_t numbers[] = {
        0, 1, 7, 0x7f, 0xff, 0x7fffffff, 0xffffffff, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX};
    size_t at = random_below((uint32_t)file->size), bytes = (size_t)1 << random_below(4);
    switch (random_below(5)) {
    case 0: /* a byte */
        file->data[at] = (unsigned char)random_below(256);
        break;
    case 1: /* a number at the edge of its range */
        for (size_t i = 0; i < bytes && at + i < file->size; i++)
            file->data[at + i] = (unsigned char)(numbers[random_below(10)] >> 8 * i);
        break;
    case 2: /* a piece taken out */
        bytes = bytes < file->size - at ? bytes : file->size - at;
        memmove(file->data + at, file->data + at + bytes, file->size - at - bytes);
        file->size -= bytes;
        break;
    case 3: /* a piece copied to elsewhere */
        bytes = 1 + random_below(32);
        for (size_t from = random_below((uint32_t)file->size); bytes-- && at < file->size && from < file->size;)
            file->data[at++] = file->data[from++];
        break;
    default: /* a sign of the syntax */
        file->data[at] = (unsigned char)"{}[]\",:\\u0-.e \n"[random_below(15)];
    }
}

static void mutate_often(const char *path, const vit_buffer *file) {
    static vit_options options;
    options = vit_default_options();
    int good = 1;
    for (int i = 0; i < 1500; i++) {
        vit_buffer changed = {.allocator = &options.allocator};
        vit_buffer_append(&changed, file->data, file->size, "test", &error);
        for (uint32_t changes = 1 + random_below(4); changes-- && changed.size;)
            mutate(&changed);
        good &= survives(changed.data, changed.size, i % 3 ? changed.size : UINT64_MAX);
        vit_buffer_release(&changed);
    }
    if (!CHECK(good))
        printf("  %s\n", path);
}

static void test_mutations(void) {
    random_state = 20;
    for_accepted(mutate_often);
}

/* ---- limits, memory, and files that are something else ---- */

static void starve(const char *path, const vit_buffer *file) {
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    vit_container container;
    for (int allowed = 0; status != VIT_OK && allowed < 100; allowed++) {
        reset(allowed);
        status = parse(&container, path, file->data, file->size, file->size);
        CHECK(status == VIT_OK || status == VIT_ERR_OUT_OF_MEMORY);
        vit_container_release(&container);
        CHECK(counter.held == 0);
    }
    CHECK(status == VIT_OK);
}

static void test_out_of_memory(void) {
    for_accepted(starve);
}

static void check_limit(const char *path, const vit_limits *limits, const char *name) {
    vit_buffer file = load(path);
    vit_container container;
    reset(1000);
    CHECK_STATUS(VIT_ERR_LIMIT, vit_container_parse(&container, path, file.data, file.size, file.size, &need, limits,
                                                    &counted, &error));
    CHECK_MENTIONS(error.text, name);
    CHECK_STATUS(VIT_ERR_LIMIT, vit_container_parse(&container, path, file.data, file.size, UINT64_MAX, &need, limits,
                                                    &counted, &error));
    vit_buffer_release(&file);
}

static void test_limits(void) {
    static const char *const paths[] = {GOLDEN "gguf/valid_array.gguf",
                                        GOLDEN "safetensors/valid_metadata.safetensors"};
    for (int i = 0; i < 2; i++) {
        vit_limits limits = vit_default_options().limits;
        limits.header_bytes = 100;
        check_limit(paths[i], &limits, "header_bytes");
        limits = vit_default_options().limits;
        limits.file_bytes = 300;
        check_limit(paths[i], &limits, "file_bytes");
        limits = vit_default_options().limits;
        limits.tensors = 1; /* two metadata entries */
        check_limit(paths[i], &limits, "limit tensors");
    }
    vit_limits limits = vit_default_options().limits;
    limits.json_depth = 2;
    check_limit(paths[1], &limits, "json_depth");
}

static void check_looks(const char *bytes, size_t length, vit_status expected, const char *words) {
    vit_container container;
    reset(1000);
    CHECK_STATUS(expected, parse(&container, "m.bin", bytes, length, length));
    CHECK_MENTIONS(error.text, words);
    CHECK_MENTIONS(error.text, "m.bin: ");
}

static void test_looks_like(void) {
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } others[] = {
#define OTHER(bytes, words) {bytes, sizeof bytes - 1, words}
        OTHER("<!DOCTYPE html><html><head><title>404 Not Found", "HTML"),
        OTHER("\n\n  <html>\n", "HTML"),
        OTHER("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        OTHER("\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
        OTHER("{\"model_type\": \"vit\", \"hidden_size\": 192}", "JSON"),
        OTHER("         {\"model_type\"}", "JSON"),
        OTHER("Gr\xc3\xbc\xc3\x9f"
              "e aus der Datei, die kein Modell ist",
              "plain text"),
        OTHER("Not", "plain text"),
        OTHER("\x80\2}q\0(X\5\0\0\0stateq\1}q\2", "pickle"),
        OTHER("version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs"),
        OTHER("ggjt\1\0\0\0", "older than GGUF"),
        OTHER("\x10\0\0\0\0\0\0\0[0,1,2,3]       ", "begins with '{'"),
        OTHER("\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef", "de ad be ef"),
#undef OTHER
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_looks(others[i].bytes, others[i].length, VIT_ERR_FORMAT, others[i].words);
    check_looks("", 0, VIT_ERR_TRUNCATED, "empty");
    check_looks("\1\0\0", 3, VIT_ERR_TRUNCATED, "too short");
    check_looks("GGUF\3\0", 6, VIT_ERR_TRUNCATED, "version");
}

static void check_words(const char *path, const char *words) {
    vit_buffer file = load(path);
    vit_container container;
    reset(1000);
    CHECK(parse(&container, "m.bin", file.data, file.size, file.size) != VIT_OK);
    CHECK_STRING(error.text, words);
    vit_buffer_release(&file);
}

static void test_words(void) {
    check_words(GOLDEN "safetensors/shape_mismatch.safetensors",
                "m.bin: tensor \"w\": shape [6,9] of F32 needs 216 bytes, the offsets give 192 bytes");
    check_words(
        GOLDEN "safetensors/hole.safetensors",
        "m.bin: tensor \"b\": its data begins at 12, expected 8 where the one before it ends (there is a hole)");
    check_words(GOLDEN "gguf/overlap.gguf", "m.bin: tensor \"b\" begins at byte 160, inside \"a\", which ends at 352");
    check_words(GOLDEN "gguf/data_short.gguf",
                "m.bin: tensor \"w\": F32 [6,8] ends at byte 320, the file has only 316 bytes");
    check_words(GOLDEN "gguf/q8_0_row_not_32.gguf",
                "m.bin: tensor \"w\": shape [1,33]: rows of Q8_0 must be a multiple of 32 long");
}

/* A name with U+0000 or bytes that are no UTF-8 is refused, not shortened. */
static void test_names(void) {
    static vit_options options;
    options = vit_default_options();
    static const struct {
        const char *bytes;
        size_t length;
    } names[] = {{"a\0b", 3}, {"\xff", 1}, {"a\xc3", 2}, {"\xed\xa0\x80", 3}};
    for (int i = 0; i < 4; i++) {
        vit_buffer file = {.allocator = &options.allocator};
        vit_buffer_append(&file, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24, "test", &error);
        put_integer(&file, names[i].length, 8);
        vit_buffer_append(&file, names[i].bytes, names[i].length, "test", &error);
        put_integer(&file, 4, 4);
        put_integer(&file, 7, 4);
        vit_container container;
        reset(1000);
        CHECK_STATUS(VIT_ERR_FORMAT, parse(&container, "m.gguf", file.data, file.size, file.size));
        CHECK_MENTIONS(error.text, "UTF-8");
        vit_buffer_release(&file);
    }
}

/* A count that Python's reader takes for no integer. */
static void test_negative_zero(void) {
    static const char *const headers[] = {
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-0,4]}}", "{\"w\":{\"dtype\":\"F32\",\"shape\":[-0],\"data_offsets\":[0,0]}}"};
    static vit_options options;
    options = vit_default_options();
    for (int i = 0; i < 2; i++) {
        vit_buffer file = {.allocator = &options.allocator};
        put_integer(&file, strlen(headers[i]), 8);
        vit_buffer_append(&file, headers[i], strlen(headers[i]), "test", &error);
        put_integer(&file, 0, 4);
        vit_container container;
        reset(1000);
        CHECK_STATUS(VIT_ERR_FORMAT, parse(&container, "m.safetensors", file.data, file.size, file.size));
        vit_buffer_release(&file);
    }
}

static void test_release(void) {
    vit_json_release(&cases);
}

TEST_MAIN(TEST(test_golden), TEST(test_cut), TEST(test_pieces), TEST(test_tries_are_few), TEST(test_bit_flips),
          TEST(test_mutations), TEST(test_out_of_memory), TEST(test_limits), TEST(test_looks_like), TEST(test_words),
          TEST(test_names), TEST(test_negative_zero), TEST(test_release))
