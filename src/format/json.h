/* JSON (RFC 8259), strictly: UTF-8 checked, depth limited, duplicate keys refused. Parses into one tree. */
#ifndef VIT_FORMAT_JSON_H
#define VIT_FORMAT_JSON_H

#include "../base/memory.h"

typedef enum vit_json_type {
    VIT_JSON_NULL, VIT_JSON_FALSE, VIT_JSON_TRUE, VIT_JSON_NUMBER, VIT_JSON_STRING, VIT_JSON_ARRAY, VIT_JSON_OBJECT
} vit_json_type;

typedef struct vit_json {
    vit_json_type type;
    int is_integer;             /* a number written without '.', 'e', and in the range of int64_t or uint64_t */
    double number;
    uint64_t magnitude;         /* of an integer, exact; negative: number < 0 */
    const char *string;         /* decoded, NUL-terminated; length may be larger if it holds U+0000 */
    size_t length;              /* of the string, or the number of children */
    const char *key;            /* of a member of an object; key_length as for string */
    size_t key_length;
    struct vit_json *child, *next; /* first child, next sibling, in file order */
} vit_json;

typedef struct vit_json_document {
    vit_json *root;
    struct vit_json_block *blocks;
    const vit_allocator *allocator;
} vit_json_document;

/* name is used in errors ("config.json: line 3, column 7: expected ..."). A byte-order mark is accepted. The text is
 * not needed afterwards. No deeper than json_depth, and no more values than `tensors` of them can need. The allocator must outlive the document. */
vit_status vit_json_parse(vit_json_document *out, const char *name, const void *text, size_t bytes,
                          const vit_limits *limits, const vit_allocator *allocator, vit_error *error);
void vit_json_release(vit_json_document *document);

/* Member of an object; NULL if object is NULL, no object, or has none. */
const vit_json *vit_json_get(const vit_json *object, const char *key);

/* Appends a string with its quotes. */
vit_status vit_json_put_string(vit_buffer *out, const char *string, vit_error *error);

#endif
