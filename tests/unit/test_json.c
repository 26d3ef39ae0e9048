/* JSON: what RFC 8259 allows is read exactly, the rest is refused with its place. */
#include "test.h"

#include "../../src/format/decimal.h"
#include "../../src/format/json.h"

#include <limits.h>
#include <locale.h>

static vit_error error;
static vit_json_document document;

static vit_status parse_bytes(const void *text, size_t bytes, uint32_t depth) {
    static vit_options options;
    options = vit_default_options();
    options.limits.json_depth = depth;
    /* a copy of the exact size, so that reading past the end is seen */
    void *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, text, bytes);
    vit_status status = vit_json_parse(&document, "t.json", copy, bytes, &options.limits, &options.allocator, &error);
    free(copy);
    return status;
}

static const vit_json *parse(const char *text) {
    if (!CHECK_STATUS(VIT_OK, parse_bytes(text, strlen(text), 64))) {
        printf("  %s\n  %s\n", text, error.text);
        static const vit_json none;
        return &none;
    }
    return document.root;
}

static double number(const char *text) {
    double value = parse(text)->number;
    vit_json_release(&document);
    return value;
}

static void test_tree(void) {
    const vit_json *root = parse(" {\"a\" : [1, -2.5 ,\"x\", true,false,null, [], {}],\r\n\t\"b\":{\"c\":\"\"}} ");
    CHECK(root->type == VIT_JSON_OBJECT && root->length == 2);
    const vit_json *a = vit_json_get(root, "a");
    if (!CHECK(a && a->type == VIT_JSON_ARRAY && a->length == 8))
        return;
    static const vit_json_type types[] = {VIT_JSON_NUMBER, VIT_JSON_NUMBER, VIT_JSON_STRING, VIT_JSON_TRUE,
                                          VIT_JSON_FALSE,  VIT_JSON_NULL,   VIT_JSON_ARRAY,  VIT_JSON_OBJECT};
    const vit_json *item = a->child;
    for (int i = 0; i < 8; i++, item = item->next)
        CHECK(item && item->type == types[i]);
    CHECK(item == NULL);
    CHECK(a->child->is_integer && a->child->magnitude == 1);
    CHECK(!a->child->next->is_integer && a->child->next->number == -2.5);
    CHECK(vit_json_get(root, "c") == NULL);
    CHECK(vit_json_get(a, "a") == NULL);
    CHECK(vit_json_get(NULL, "a") == NULL);
    const vit_json *c = vit_json_get(vit_json_get(root, "b"), "c");
    CHECK(c && c->length == 0 && c->string[0] == 0);
    vit_json_release(&document);
    parse("\xef\xbb\xbf[]");
    vit_json_release(&document);
}

static void test_strings(void) {
    const vit_json *root = parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\xc3\xa9\x7f\"");
    CHECK_STRING(root->string, "\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9\x7f");
    vit_json_release(&document);
    root = parse("{\"a\\u0000b\":\"c\\u0000\"}");
    CHECK(root->child->key_length == 3 && memcmp(root->child->key, "a\0b", 4) == 0);
    CHECK(root->child->length == 2 && memcmp(root->child->string, "c\0", 3) == 0);
    CHECK(vit_json_get(root, "a") == NULL);
    vit_json_release(&document);
}

static void test_integers(void) {
    static const struct {
        const char *text;
        int is_integer;
        uint64_t magnitude;
        double number;
    } cases[] = {
        {"0", 1, 0, 0},
        {"-0", 1, 0, 0},
        {"9007199254740993", 1, 9007199254740993u, 9007199254740992.0},
        {"9223372036854775807", 1, INT64_MAX, 0x1p63},
        {"18446744073709551615", 1, UINT64_MAX, 0x1p64},
        {"18446744073709551616", 0, 0, 0x1p64},
        {"-9223372036854775808", 1, (uint64_t)1 << 63, -0x1p63},
        {"-9223372036854775809", 0, 0, -0x1p63},
        {"1.0", 0, 0, 1},
        {"1e2", 0, 0, 100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vit_json *root = parse(cases[i].text);
        CHECK(root->is_integer == cases[i].is_integer && root->magnitude == cases[i].magnitude);
        CHECK(root->number == cases[i].number);
        vit_json_release(&document);
    }
}

static void check_doubles(void) {
    CHECK(number("0.1") == 0.1);
    CHECK(number("-12.5E+3") == -12500.0);
    CHECK(number("100.25") == 100.25);
    CHECK(number("10.5e-1") == 1.05);
    CHECK(number("0.000000e5") == 0);
    CHECK(number("0e999999999999999999999") == 0);
    CHECK(number("1e-999999999999999999999") == 0);
    CHECK(number("1e-6") == 1e-6);
    CHECK(number("1.7976931348623157e308") == 1.7976931348623157e308);
    CHECK(number("17976931348623157e292") == 1.7976931348623157e308);
    CHECK(number("4.9e-324") == 4.9e-324);
    CHECK(number("2.2250738585072011e-308") == 2.2250738585072011e-308);
    CHECK(number("0.00000000000000000000000000000000000000123456789e40") == 12.3456789);
    CHECK(number("1.00000000000000011102230246251565404236316680908203125") == 1); /* halfway: to even */
}

/* A digit after a thousand zeros decides a tie. */
static void test_doubles(void) {
    check_doubles();
    char text[1200] = "1.00000000000000011102230246251565404236316680908203125";
    size_t length = strlen(text);
    memset(text + length, '0', 1000);
    strcpy(text + length + 1000, "1");
    CHECK(number(text) == 1 + 0x1p-52);
    memset(text, '0', sizeof text);
    memcpy(text, "123.", 4);
    strcpy(text + 1100, "e1");
    CHECK(number(text) == 1230);
    memset(text, '7', 300);
    strcpy(text + 300, "e-299");
    CHECK(number(text) == 7.77777777777777777777777777);
    /* a host program may have set a locale with a decimal comma */
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "de_DE.utf8"};
    for (size_t i = 0; i < sizeof locales / sizeof *locales; i++)
        if (setlocale(LC_ALL, locales[i]))
            check_doubles();
    setlocale(LC_ALL, "C");
}

static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* Against the C library's strtod: random digits, printed doubles of every size, and the numbers halfway between two. */
static void test_decimals(void) {
    char digits[VIT_DECIMAL_DIGITS + 1], text[VIT_DECIMAL_DIGITS + 32], printed[1200];
    int wrong = 0;
    for (int i = 0; i < 200000; i++) {
        union {
            uint64_t bits;
            double number;
        } u = {random_bits() >> 1}, next;
        int count = 0;
        long exponent = 0;
        if (i % 4 == 0) {
            count = 1 + (int)(random_bits() % (i % 64 ? 40 : VIT_DECIMAL_DIGITS));
            for (int k = 0; k < count; k++)
                digits[k] = (char)('0' + random_bits() % 10);
            digits[0] |= 1;
            exponent = (long)(random_bits() % 700) - 350 - count / 2;
        } else {
            if (i % 4 == 1)
                u.bits &= ~(0x7feull << 52); /* below the normal ones or just above */
            next.bits = u.bits + 1;
            if (!isfinite(next.number))
                continue;
            if (i % 64 == 3)
                snprintf(printed, sizeof printed, "%.780Le", ((long double)u.number + (long double)next.number) / 2);
            else
                snprintf(printed, sizeof printed, "%.*e", (int)(random_bits() % 20), u.number);
            for (const char *c = printed; *c != 'e'; c++)
                if (*c != '.' && (count || *c != '0'))
                    digits[count++] = *c;
            exponent = atol(strchr(printed, 'e') + 1) - (long)(strchr(printed, 'e') - printed) + 1 + !!strchr(printed, '.');
        }
        digits[count] = 0;
        snprintf(text, sizeof text, "%se%ld", count ? digits : "0", exponent);
        double found = vit_decimal(digits, count, exponent), wanted = strtod(text, NULL);
        if (memcmp(&found, &wanted, sizeof found) != 0 && wrong++ < 10)
            printf("%s: %.17g, expected %.17g\n", text, found, wanted);
    }
    CHECK(wrong == 0);
}

static void test_refused(void) {
    static const char *const cases[] = {
        "", " ", "\n", "{", "[", "}", "]", "[1,]", "[,1]", "[1 2]", "[1}", "{\"a\":1]", "{\"a\":1,}", "{,}", "{1:2}",
        "{\"a\"}", "{\"a\" 1}", "{\"a\":}", "{a:1}", "{\"a\":1 \"b\":2}", "01", "-01", "1.", ".5", "-", "--1", "+1",
        "1e", "1e+", "1.e1", "0x10", "1_0", "NaN", "nan", "Infinity", "-Infinity", "tru", "True", "nul", "nulll",
        "'a'", "\"a", "\"\t\"", "\"\n\"", "\"\\x\"", "\"\\", "\"\\\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"",
        "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"\x80\"", "\"\xff\"",
        "\"\xc0\x80\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf0\x80\x80\x80\"", "\"\xf4\x90\x80\x80\"",
        "\"\xc3\"", "\"\xe2\x82", "[1] 2", "1 1", "{} {}", "// 1\n1", "/**/1", "1e309", "-1e309",
        "1e999999999999999999999", "\xef\xbb\xbf", "{\"a\":1,\"a\":2}", "{\"a\":1,\"b\":2,\"\\u0061\":3}",
        "[{\"\":1,\"\":2}]", "\xa0""1", "\f1",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(&error, 0, sizeof error);
        if (!CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes(cases[i], strlen(cases[i]), 64)))
            printf("  %s\n", cases[i]);
        CHECK(document.root == NULL && document.blocks == NULL);
        CHECK(strncmp(error.text, "t.json: line ", 13) == 0);
        vit_json_release(&document);
    }
    CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes("1\0", 2, 64));
    CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes("\"a\0\"", 4, 64));
}

static void check_message(const char *text, const char *message) {
    parse_bytes(text, strlen(text), 3);
    CHECK_STRING(error.text, message);
}

static void test_messages(void) {
    check_message("{\n  \"a\": 1,\n  \"\xc3\xa9\": x}", "t.json: line 3, column 8: expected a value, found 'x'");
    check_message("[1, 2", "t.json: line 1, column 6: expected ',' or ']', the text ends");
    check_message("{\"a\": \"\\ud800\"}", "t.json: line 1, column 8: a surrogate escape without its other half");
    check_message("[\"\xff\"]", "t.json: line 1, column 3: a string that is not UTF-8");
    check_message("[[[[]]]]", "t.json: line 1, column 4: nested deeper than 3 levels (limit json_depth)");
    check_message("{\"k\":1,\n\"k\":2}", "t.json: line 2, column 6: the object that ends here has the key \"k\" twice");
    check_message("[\x01]", "t.json: line 1, column 2: expected a value, found byte 0x01");
}

/* Nothing recurses: a million levels are no more than a limit. */
static void test_depth(void) {
    enum { LEVELS = 1000000 };
    char *text = malloc(2 * LEVELS);
    memset(text, '[', LEVELS);
    memset(text + LEVELS, ']', LEVELS);
    CHECK_STATUS(VIT_ERR_LIMIT, parse_bytes(text, 2 * LEVELS, 64));
    CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes(text, 2 * LEVELS - 1, UINT32_MAX));
    CHECK_STATUS(VIT_OK, parse_bytes(text, 2 * LEVELS, LEVELS));
    vit_json_release(&document);
    CHECK_STATUS(VIT_OK, parse_bytes("[[{}]]", 6, 3));
    vit_json_release(&document);
    CHECK_STATUS(VIT_ERR_LIMIT, parse_bytes("[[{}]]", 6, 2));
    free(text);
}

/* 200,000 keys of one length: a search that compares all pairs would not come back. */
static void test_many_keys(void) {
    enum { KEYS = 200000 };
    char *text = malloc(KEYS * 13 + 2), *at = text;
    for (int i = 0; i < KEYS; i++)
        at += sprintf(at, "%c\"k%06d\":1", i ? ',' : '{', (int)(i * 7919LL % KEYS));
    strcpy(at, "}");
    size_t bytes = (size_t)(at + 1 - text);
    CHECK_STATUS(VIT_OK, parse_bytes(text, bytes, 64));
    CHECK(document.root && document.root->length == KEYS);
    CHECK(vit_json_get(document.root, "k199999") != NULL);
    vit_json_release(&document);
    memcpy(at - 10, "k000000", 7); /* the last key is now the first one's */
    CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes(text, bytes, 64));
    CHECK_MENTIONS(error.text, "\"k000000\" twice");
    free(text);
}

/* No more values than the tensors that are allowed can need. */
static void test_many_values(void) {
    vit_options options = vit_default_options();
    const size_t values = 70000;
    vit_buffer text = {.allocator = &options.allocator};
    for (size_t i = 0; i < values; i++)
        CHECK_STATUS(VIT_OK, vit_buffer_append(&text, i ? ",1" : "[1", 2, "text", &error));
    CHECK_STATUS(VIT_OK, vit_buffer_append(&text, "]", 1, "text", &error));
    options.limits.tensors = 10;
    CHECK_STATUS(VIT_ERR_LIMIT,
                 vit_json_parse(&document, "t.json", text.data, text.size, &options.limits, &options.allocator, &error));
    CHECK_MENTIONS(error.text, "t.json: more values than 10 tensors can need (limit tensors)");
    options.limits.tensors = 1000;
    CHECK_STATUS(VIT_OK,
                 vit_json_parse(&document, "t.json", text.data, text.size, &options.limits, &options.allocator, &error));
    CHECK(document.root->length == values);
    vit_json_release(&document);
    vit_buffer_release(&text);
}

static const char sample[] =
    "{\"a\": [1, -2.5e-3, \"x\\u00e9\\ud83d\\ude00\xc3\xa9\", true, false, null], \"b\": {\"c\": {}}}";

static void test_prefixes(void) {
    for (size_t bytes = 0; bytes < sizeof sample - 1; bytes++)
        CHECK_STATUS(VIT_ERR_FORMAT, parse_bytes(sample, bytes, 64));
}

struct scarce {
    int left, held;
};

static void *scarce_alloc(void *context, size_t bytes) {
    struct scarce *scarce = context;
    if (scarce->left-- <= 0)
        return NULL;
    scarce->held++;
    return malloc(bytes);
}

static void scarce_release(void *context, void *block) {
    ((struct scarce *)context)->held--;
    free(block);
}

static void test_out_of_memory(void) {
    const vit_limits limits = vit_default_options().limits;
    vit_status status = VIT_ERR_OUT_OF_MEMORY;
    for (int allowed = 0; status != VIT_OK && allowed < 100; allowed++) {
        struct scarce scarce = {allowed, 0};
        vit_allocator allocator = {scarce_alloc, scarce_release, &scarce};
        status = vit_json_parse(&document, "t.json", sample, sizeof sample - 1, &limits, &allocator, &error);
        CHECK(status == VIT_OK || status == VIT_ERR_OUT_OF_MEMORY);
        vit_json_release(&document);
        CHECK(scarce.held == 0);
    }
    CHECK(status == VIT_OK);
}

TEST_MAIN(TEST(test_tree), TEST(test_strings), TEST(test_integers), TEST(test_doubles), TEST(test_decimals),
          TEST(test_refused), TEST(test_messages), TEST(test_depth), TEST(test_many_keys), TEST(test_many_values), TEST(test_prefixes), TEST(test_out_of_memory))
