#include "json.h"

#include "decimal.h"
#include "sort.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_NODES 16384 /* in a block: what is left over stays small */
/* A tensor of safetensors is at most 15 values (8 dimensions); the rest is for what else stands in small files. */
#define NODES_PER_TENSOR 16
#define NODES_BESIDE 65536

struct vit_json_block {
    _Alignas(8) struct vit_json_block *next; /* what follows holds doubles */
};

typedef struct parser {
    vit_json_document *out;
    const char *name;
    const vit_limits *limits;
    const unsigned char *text;
    size_t size, at;
    char *strings;        /* where the next decoded string goes */
    vit_json *nodes;      /* free nodes of the last block */
    size_t nodes_left, nodes_block;
    uint64_t nodes_allowed;
    const vit_json **members; /* scratch for the search for duplicate keys */
    size_t members_room;
    vit_error *error;
} parser;

static vit_status take_block(parser *p, size_t bytes, void **data) {
    struct vit_json_block *block;
    VIT_TRY(vit_alloc_for((void **)&block, p->out->allocator, vit_size_add(bytes, sizeof *block), p->name, p->error));
    block->next = p->out->blocks;
    p->out->blocks = block;
    *data = block + 1;
    return VIT_OK;
}

static vit_status new_node(parser *p, vit_json **node) {
    if (!p->nodes_allowed--)
        return vit_fail(p->error, VIT_ERR_LIMIT, "%s: more values than %u tensors can need (limit tensors)", p->name,
                        p->limits->tensors);
    if (!p->nodes_left) {
        p->nodes_block = !p->nodes_block ? 16 : p->nodes_block < MOST_NODES ? 2 * p->nodes_block : MOST_NODES;
        VIT_TRY(take_block(p, vit_size_mul(p->nodes_block, sizeof(vit_json)), (void **)&p->nodes));
        p->nodes_left = p->nodes_block;
    }
    *node = p->nodes++;
    p->nodes_left--;
    **node = (vit_json){0};
    return VIT_OK;
}

/* "config.json: line 3, column 7: what"; columns count characters. */
static vit_status fail_at(parser *p, vit_status status, size_t at, const char *what) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < p->size; i++) {
        if (p->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((p->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return vit_fail(p->error, status, "%s: line %zu, column %zu: %s", p->name, line, column, what);
}

static vit_status fail_expected(parser *p, const char *expected) {
    char what[160];
    if (p->at >= p->size) {
        snprintf(what, sizeof what, "expected %s, the text ends", expected);
    } else {
        unsigned char found = p->text[p->at];
        if (found > 0x20 && found < 0x7f)
            snprintf(what, sizeof what, "expected %s, found '%c'", expected, found);
        else
            snprintf(what, sizeof what, "expected %s, found byte 0x%02x", expected, found);
    }
    return fail_at(p, VIT_ERR_FORMAT, p->at, what);
}

static void skip_space(parser *p) {
    while (p->at < p->size && (p->text[p->at] == ' ' || p->text[p->at] == '\n' || p->text[p->at] == '\t' ||
                               p->text[p->at] == '\r'))
        p->at++;
}

static int take(parser *p, char wanted) {
    if (p->at >= p->size || p->text[p->at] != (unsigned char)wanted)
        return 0;
    p->at++;
    return 1;
}

static int take_word(parser *p, const char *word) {
    size_t length = strlen(word);
    if (p->size - p->at < length || memcmp(p->text + p->at, word, length) != 0)
        return 0;
    p->at += length;
    return 1;
}

/* Four hexadecimal digits; -1 if they are not there. */
static long take_hex(parser *p) {
    long value = 0;
    if (p->size - p->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = p->text[p->at + i];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    p->at += 4;
    return value;
}

static char *put_utf8(char *out, long code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

static vit_status parse_escape(parser *p, char **out) {
    size_t begin = p->at - 1;
    int c = p->at < p->size ? p->text[p->at] : 0;
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) {
        p->at++;
        *(*out)++ = values[letter - letters];
        return VIT_OK;
    }
    if (!take(p, 'u'))
        return fail_at(p, VIT_ERR_FORMAT, begin, "unknown escape in a string");
    long code = take_hex(p);
    if (code < 0)
        return fail_at(p, VIT_ERR_FORMAT, begin, "expected four hexadecimal digits after \\u");
    if (code >= 0xd800 && code < 0xe000) {
        long low = code < 0xdc00 && take_word(p, "\\u") ? take_hex(p) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return fail_at(p, VIT_ERR_FORMAT, begin, "a surrogate escape without its other half");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, code);
    return VIT_OK;
}

/* Decoded text is never longer than its source, and the NUL fits where a quote was: all strings together fit in as many
 * bytes as the whole text has. */
static vit_status parse_string(parser *p, const char **string, size_t *length) {
    char *out = p->strings;
    p->at++;
    for (;;) {
        if (p->at >= p->size)
            return fail_expected(p, "the end of a string");
        unsigned char c = p->text[p->at];
        if (c == '"')
            break;
        if (c < 0x20)
            return fail_at(p, VIT_ERR_FORMAT, p->at, "a control character inside a string");
        if (c == '\\') {
            p->at++;
            VIT_TRY(parse_escape(p, &out));
            continue;
        }
        size_t step = vit_utf8_sequence(p->text + p->at, p->size - p->at);
        if (!step)
            return fail_at(p, VIT_ERR_FORMAT, p->at, "a string that is not UTF-8");
        memcpy(out, p->text + p->at, step);
        out += step;
        p->at += step;
    }
    p->at++;
    *string = p->strings;
    *length = (size_t)(out - p->strings);
    *out = 0;
    p->strings = out + 1;
    return VIT_OK;
}

static size_t skip_digits(parser *p) {
    size_t begin = p->at;
    while (p->at < p->size && p->text[p->at] >= '0' && p->text[p->at] <= '9')
        p->at++;
    return p->at - begin;
}

/* The double nearest to a number of valid syntax. 768 digits decide every double; the rest only matters as "not zero". */
static double read_double(const unsigned char *text, size_t size) {
    char digits[VIT_DECIMAL_DIGITS];
    size_t at = 0;
    int64_t exponent = 0;
    int used = 0, after_point = 0, rest = 0, negative = text[at] == '-';
    for (at += (size_t)negative; at < size && (text[at] | 32) != 'e'; at++) {
        if (text[at] == '.') {
            after_point = 1;
            continue;
        }
        exponent -= after_point;
        if (used < VIT_DECIMAL_DIGITS - 1) {
            if (used || text[at] != '0')
                digits[used++] = (char)text[at];
        } else {
            exponent++;
            rest |= text[at] != '0';
        }
    }
    if (rest) {
        digits[used++] = '1';
        exponent--;
    }
    if (at < size) {
        int64_t written = 0;
        int below_one = text[++at] == '-';
        at += below_one || text[at] == '+';
        for (; at < size; at++)
            if (written < 1000000000000)
                written = written * 10 + (text[at] - '0');
        exponent += below_one ? -written : written;
    }
    double value = vit_decimal(digits, used, exponent);
    return negative ? -value : value;
}

static vit_status parse_number(parser *p, vit_json *node) {
    size_t begin = p->at;
    int negative = take(p, '-');
    size_t whole = p->at;
    if (!take(p, '0') && !skip_digits(p))
        return fail_expected(p, "a digit");
    size_t whole_end = p->at;
    if (take(p, '.') && !skip_digits(p))
        return fail_expected(p, "a digit after the decimal point");
    if (p->at < p->size && (p->text[p->at] | 32) == 'e') {
        p->at++;
        if (!take(p, '-'))
            take(p, '+');
        if (!skip_digits(p))
            return fail_expected(p, "a digit of the exponent");
    }
    node->type = VIT_JSON_NUMBER;
    if (p->at == whole_end) {
        uint64_t magnitude = 0;
        size_t i = whole;
        for (; i < whole_end; i++) {
            unsigned digit = p->text[i] - '0';
            if (magnitude > (UINT64_MAX - digit) / 10)
                break;
            magnitude = magnitude * 10 + digit;
        }
        if (i == whole_end && (!negative || magnitude <= (uint64_t)1 << 63)) {
            node->is_integer = 1;
            node->magnitude = magnitude;
            node->number = negative ? -(double)magnitude : (double)magnitude;
            return VIT_OK;
        }
    }
    node->number = read_double(p->text + begin, p->at - begin);
    if (isinf(node->number))
        return fail_at(p, VIT_ERR_FORMAT, begin, "a number too large for a double");
    return VIT_OK;
}

/* Scalars are complete afterwards; of an array or object only the opening bracket is read. */
static vit_status parse_value(parser *p, vit_json *node) {
    int c = p->at < p->size ? p->text[p->at] : 0;
    if (c == '"') {
        node->type = VIT_JSON_STRING;
        return parse_string(p, &node->string, &node->length);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return parse_number(p, node);
    if (take(p, '{'))
        node->type = VIT_JSON_OBJECT;
    else if (take(p, '['))
        node->type = VIT_JSON_ARRAY;
    else if (take_word(p, "null"))
        node->type = VIT_JSON_NULL;
    else if (take_word(p, "true"))
        node->type = VIT_JSON_TRUE;
    else if (take_word(p, "false"))
        node->type = VIT_JSON_FALSE;
    else
        return fail_expected(p, "a value");
    return VIT_OK;
}

static vit_status parse_key(parser *p, vit_json *node) {
    if (p->at >= p->size || p->text[p->at] != '"')
        return fail_expected(p, "a key in double quotes");
    VIT_TRY(parse_string(p, &node->key, &node->key_length));
    skip_space(p);
    if (!take(p, ':'))
        return fail_expected(p, "':' after the key");
    skip_space(p);
    return VIT_OK;
}

static int compare_keys(const void *left, const void *right) {
    const vit_json *a = *(const vit_json *const *)left, *b = *(const vit_json *const *)right;
    if (a->key_length != b->key_length)
        return a->key_length < b->key_length ? -1 : 1;
    return memcmp(a->key, b->key, a->key_length);
}

static vit_status refuse_duplicates(parser *p, const vit_json *object) {
    if (object->length > p->members_room) {
        vit_release(p->out->allocator, p->members);
        p->members = NULL;
        p->members_room = 0;
        VIT_TRY(vit_alloc_for((void **)&p->members, p->out->allocator, vit_size_mul(object->length, sizeof *p->members),
                              p->name, p->error));
        p->members_room = object->length;
    }
    size_t count = 0;
    for (const vit_json *member = object->child; member; member = member->next)
        p->members[count++] = member;
    vit_sort(p->members, count, sizeof *p->members, compare_keys);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&p->members[i - 1], &p->members[i]) == 0) {
            char what[160];
            snprintf(what, sizeof what, "the object that ends here has the key \"%s\" twice",
                     vit_show(p->members[i]->key, p->members[i]->key_length).text);
            return fail_at(p, VIT_ERR_FORMAT, p->at - 1, what);
        }
    return VIT_OK;
}

/* No recursion: while an array or object is open its `next` is the one around it, and its `child` the last of a ring of
 * children. */
static vit_status parse_tree(parser *p) {
    const uint32_t max_depth = p->limits->json_depth;
    vit_json *open = NULL, *node = NULL;
    uint32_t depth = 0;
    for (;;) {
        VIT_TRY(new_node(p, &node));
        skip_space(p);
        if (open && open->type == VIT_JSON_OBJECT)
            VIT_TRY(parse_key(p, node));
        VIT_TRY(parse_value(p, node));
        if (node->type == VIT_JSON_ARRAY || node->type == VIT_JSON_OBJECT) {
            if (depth >= max_depth) {
                char what[80];
                snprintf(what, sizeof what, "nested deeper than %u levels (limit json_depth)", max_depth);
                return fail_at(p, VIT_ERR_LIMIT, p->at - 1, what);
            }
            skip_space(p);
            if (!take(p, node->type == VIT_JSON_ARRAY ? ']' : '}')) {
                node->next = open;
                open = node;
                depth++;
                continue;
            }
        }
        for (;;) {
            if (!open) {
                p->out->root = node;
                skip_space(p);
                return p->at < p->size ? fail_expected(p, "the end of the text") : VIT_OK;
            }
            node->next = open->child ? open->child->next : node;
            if (open->child)
                open->child->next = node;
            open->child = node;
            open->length++;
            skip_space(p);
            if (take(p, ','))
                break;
            int is_array = open->type == VIT_JSON_ARRAY;
            if (!take(p, is_array ? ']' : '}'))
                return fail_expected(p, is_array ? "',' or ']'" : "',' or '}'");
            vit_json *closed = open;
            open = closed->next;
            closed->child = node->next;
            closed->next = node->next = NULL;
            depth--;
            if (!is_array)
                VIT_TRY(refuse_duplicates(p, closed));
            node = closed;
        }
    }
}

vit_status vit_json_parse(vit_json_document *out, const char *name, const void *text, size_t bytes,
                          const vit_limits *limits, const vit_allocator *allocator, vit_error *error) {
    *out = (vit_json_document){.allocator = allocator};
    parser p = {.out = out, .name = name, .limits = limits, .text = text, .size = bytes, .error = error,
                .nodes_allowed = (uint64_t)limits->tensors * NODES_PER_TENSOR + NODES_BESIDE};
    take_word(&p, "\xef\xbb\xbf");
    vit_status status = take_block(&p, bytes, (void **)&p.strings);
    if (status == VIT_OK)
        status = parse_tree(&p);
    vit_release(allocator, p.members);
    if (status != VIT_OK)
        vit_json_release(out);
    return status;
}

void vit_json_release(vit_json_document *document) {
    while (document->blocks) {
        struct vit_json_block *block = document->blocks;
        document->blocks = block->next;
        vit_release(document->allocator, block);
    }
    document->root = NULL;
}

const vit_json *vit_json_get(const vit_json *object, const char *key) {
    if (!object || object->type != VIT_JSON_OBJECT)
        return NULL;
    size_t length = strlen(key);
    for (const vit_json *member = object->child; member; member = member->next)
        if (member->key_length == length && memcmp(member->key, key, length) == 0)
            return member;
    return NULL;
}

vit_status vit_json_put_string(vit_buffer *out, const char *string, vit_error *error) {
    VIT_TRY(vit_buffer_append(out, "\"", 1, "JSON", error));
    for (const char *at = string; *at; at++) {
        char escaped[8] = {*at};
        if (*at == '"' || *at == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *at);
        else if ((unsigned char)*at < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", *at);
        VIT_TRY(vit_buffer_append(out, escaped, strlen(escaped), "JSON", error));
    }
    return vit_buffer_append(out, "\"", 1, "JSON", error);
}
