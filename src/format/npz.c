/* npz: a ZIP archive whose members are npy files, stored or deflated (APPNOTE.TXT of PKWARE, sections 4.3 to 4.5;
 * numpy.lib.format). What is true of a member stands in the directory at the archive's end: numpy writes 0xffffffff for
 * the sizes in front of it. So the end is read first, then the directory, then the head of every member, which has its
 * type and shape; a member's values are read by whoever wants them. */
#include "inflate.h"
#include "parse.h"
#include "sort.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum {
    END_BYTES = 22,      /* of the end record; a comment of up to 65535 follows */
    LOCATOR_BYTES = 20,  /* of what may stand before it: where a second, 64-bit end record is, */
    END64_BYTES = 56,
    ENTRY_BYTES = 46,    /* of an entry of the directory, then name, extra fields and comment */
    LOCAL_BYTES = 30,    /* of what stands before a member, then name and extra fields */
    FIRST_BYTES = 1024,  /* of a member: most heads are shorter */
    PREFIX_BYTES = 12    /* of npy: what tells how long its header is, at most */
};

typedef struct member {
    vit_tensor_info tensor;  /* offset: of the local header, until that was read */
    vit_storage place;
    const unsigned char *name; /* in directory */
    size_t name_length;
    uint64_t unpacked;       /* bytes, announced */
    char type[24];
} member;

struct vit_npz {
    enum { AT_END, AT_END64, AT_DIRECTORY, AT_MEMBERS } state;
    uint64_t entries, others; /* in the directory; that are no npy files */
    uint64_t directory_at;
    vit_buffer directory;
    member *members;          /* in the order of the file */
    int count, next;          /* next: whose head is being read */
    vit_buffer unpacked;      /* the head of a deflated member */
    vit_inflate inflate;
};

int vit_npz_begins(const void *data, size_t bytes) {
    return bytes >= 4 && (memcmp(data, "PK\3\4", 4) == 0 || memcmp(data, "PK\5\6", 4) == 0);
}

void vit_npz_release(vit_header *header) {
    struct vit_npz *npz = header->npz;
    header->npz = NULL;
    if (!npz)
        return;
    vit_buffer_release(&npz->directory);
    vit_buffer_release(&npz->unpacked);
    vit_release(header->allocator, npz->members);
    vit_release(header->allocator, npz);
}

static void want(vit_header *header, uint64_t offset, uint64_t bytes) {
    header->offset = offset;
    header->wanted = bytes;
    header->bytes.size = 0;
}

static vit_status fail_archive(const vit_header *header, vit_status status, const char *what, vit_error *error) {
    return vit_fail(error, status, "%s: ZIP archive: %s", header->name, what);
}

static vit_status fail_member(const vit_header *header, const member *m, vit_status status, const char *what,
                              vit_error *error) {
    return vit_fail(error, status, "%s: tensor \"%s\": %s", header->name, vit_show(m->name, m->name_length).text, what);
}

/* ---- The end ---- */

static vit_status want_directory(vit_header *header, uint64_t entries, uint64_t bytes, uint64_t offset, uint64_t end,
                                 vit_error *error) {
    struct vit_npz *npz = header->npz;
    const vit_head head = {.name = header->name, .limits = header->limits, .error = error};
    if (offset > end || bytes > end - offset)
        return fail_archive(header, VIT_ERR_TRUNCATED, "its directory does not lie inside the file", error);
    if (bytes != end - offset) /* Python reads what lies right before the end record */
        return fail_archive(header, VIT_ERR_FORMAT, "its directory does not end where its end record begins", error);
    if (bytes > header->limits->header_bytes)
        return fail_archive(header, VIT_ERR_LIMIT, "its directory is too large (limit header_bytes)", error);
    VIT_TRY(vit_check_count(&head, entries, "members"));
    if (entries > bytes / ENTRY_BYTES)
        return fail_archive(header, VIT_ERR_TRUNCATED, "its directory is too short for its members", error);
    npz->entries = entries;
    npz->directory_at = offset;
    npz->state = AT_DIRECTORY;
    want(header, offset, bytes);
    return VIT_OK;
}

static vit_status read_end(vit_header *header, vit_error *error) {
    const unsigned char *data = header->bytes.data;
    const size_t size = header->bytes.size;
    size_t at = size < END_BYTES ? 0 : size - END_BYTES + 1;
    while (at-- > 0)
        if (memcmp(data + at, "PK\5\6", 4) == 0) /* the last, as Python has it */
            break;
    if (at == SIZE_MAX || vit_load_u16(data + at + 20) != size - END_BYTES - at)
        return fail_archive(header, VIT_ERR_TRUNCATED, "no record of its end: the file is cut off, or no archive", error);
    const unsigned char *end = data + at;
    const uint64_t disk = vit_load_u16(end + 4), entries = vit_load_u16(end + 10), bytes = vit_load_u32(end + 12),
                   offset = vit_load_u32(end + 16);
    const int has64 = at >= LOCATOR_BYTES && memcmp(end - LOCATOR_BYTES, "PK\6\7", 4) == 0;
    if (has64) {
        uint64_t end64 = vit_load_u64(end - LOCATOR_BYTES + 8), before = header->offset + at - LOCATOR_BYTES;
        if (end64 > before || before - end64 != END64_BYTES)
            return fail_archive(header, VIT_ERR_FORMAT, "its 64-bit end record is not where it should be", error);
        header->npz->state = AT_END64;
        want(header, end64, END64_BYTES);
        return VIT_OK;
    }
    if (disk)
        return fail_archive(header, VIT_ERR_UNSUPPORTED, "archives in several parts are not supported", error);
    return want_directory(header, entries, bytes, offset, header->offset + at, error);
}

static vit_status read_end64(vit_header *header, vit_error *error) {
    const unsigned char *end = header->bytes.data;
    if (memcmp(end, "PK\6\6", 4) != 0)
        return fail_archive(header, VIT_ERR_FORMAT, "its 64-bit end record is not where it should be", error);
    if (vit_load_u32(end + 16))
        return fail_archive(header, VIT_ERR_UNSUPPORTED, "archives in several parts are not supported", error);
    return want_directory(header, vit_load_u64(end + 32), vit_load_u64(end + 40), vit_load_u64(end + 48),
                          header->offset, error);
}

/* ---- The directory ---- */

/* Numbers that need 64 bits stand in an extra field, in this order. 0 if one of them does not. */
static int read_extra64(const unsigned char *extra, size_t length, uint64_t *numbers[3]) {
    while (length >= 4) {
        size_t size = vit_load_u16(extra + 2);
        if (size > length - 4)
            return 0;
        if (vit_load_u16(extra) == 1) {
            const unsigned char *at = extra + 4;
            for (int i = 0; i < 3; i++) {
                if (*numbers[i] != 0xffffffff)
                    continue;
                if (size < 8)
                    return 0;
                *numbers[i] = vit_load_u64(at);
                at += 8;
                size -= 8;
            }
            return 1;
        }
        extra += 4 + size;
        length -= 4 + size;
    }
    return 0;
}

static vit_status read_entry(vit_header *header, const unsigned char *entry, member *m, vit_error *error) {
    char text[120];
    const struct vit_npz *npz = header->npz;
    const uint32_t flags = vit_load_u16(entry + 8), method = vit_load_u16(entry + 10);
    uint64_t stored = vit_load_u32(entry + 20), unpacked = vit_load_u32(entry + 24), local = vit_load_u32(entry + 42);
    uint64_t *numbers[3] = {&unpacked, &stored, &local};
    m->name = entry + ENTRY_BYTES;
    m->name_length = vit_load_u16(entry + 28) - 4;
    if (!vit_utf8_name(m->name, m->name_length))
        return fail_member(header, m, VIT_ERR_FORMAT, "the name is not UTF-8", error);
    if ((unpacked == 0xffffffff || stored == 0xffffffff || local == 0xffffffff) &&
        !read_extra64(entry + ENTRY_BYTES + vit_load_u16(entry + 28), vit_load_u16(entry + 30), numbers))
        return fail_member(header, m, VIT_ERR_FORMAT, "its sizes want 64 bits, but are not there in 64 bits", error);
    if (flags & 0x61) /* in either way, or a patch */
        return fail_member(header, m, VIT_ERR_UNSUPPORTED, "it is encrypted", error);
    if (method != 0 && method != 8) {
        snprintf(text, sizeof text, "compression method %u is not supported (0, stored, and 8, deflated, are)", method);
        return fail_member(header, m, VIT_ERR_UNSUPPORTED, text, error);
    }
    if (stored > npz->directory_at || local > npz->directory_at - stored ||
        npz->directory_at - stored - local < LOCAL_BYTES + m->name_length + 4) {
        snprintf(text, sizeof text, "%llu bytes at byte %llu do not lie before the directory, which begins at %llu",
                 (unsigned long long)stored, (unsigned long long)local, (unsigned long long)npz->directory_at);
        return fail_member(header, m, VIT_ERR_TRUNCATED, text, error);
    }
    if (method == 0 && stored != unpacked)
        return fail_member(header, m, VIT_ERR_FORMAT, "it is stored as it is, but its two sizes differ", error);
    m->tensor.offset = local;
    m->unpacked = unpacked;
    m->place = (vit_storage){.stored = stored, .crc = vit_load_u32(entry + 16), .deflated = method == 8};
    return VIT_OK;
}

static int compare_names(const void *left, const void *right) {
    const member *a = left, *b = right;
    size_t shorter = a->name_length < b->name_length ? a->name_length : b->name_length;
    int order = memcmp(a->name, b->name, shorter);
    return order ? order : (a->name_length > b->name_length) - (a->name_length < b->name_length);
}

static int compare_offsets(const void *left, const void *right) {
    const member *a = left, *b = right;
    return (a->tensor.offset > b->tensor.offset) - (a->tensor.offset < b->tensor.offset);
}

static void want_member(vit_header *header, uint64_t bytes) {
    struct vit_npz *npz = header->npz;
    if (npz->next == npz->count) {
        want(header, 0, 0);
        return;
    }
    const uint64_t offset = npz->members[npz->next].tensor.offset, left = npz->directory_at - offset;
    want(header, offset, bytes < left ? bytes : left);
}

static vit_status read_directory(vit_header *header, vit_error *error) {
    struct vit_npz *npz = header->npz;
    npz->directory = header->bytes;
    header->bytes = (vit_buffer){.allocator = header->allocator};
    VIT_TRY(vit_alloc_for((void **)&npz->members, header->allocator,
                          vit_size_mul((size_t)npz->entries, sizeof *npz->members), header->name, error));
    size_t at = 0, left;
    uint64_t unpacked = 0;
    for (uint64_t i = 0; i < npz->entries; i++) {
        const unsigned char *entry = npz->directory.data + at;
        left = npz->directory.size - at;
        if (left < ENTRY_BYTES || memcmp(entry, "PK\1\2", 4) != 0)
            return fail_archive(header, VIT_ERR_FORMAT, "its directory has fewer members than its end record says", error);
        const size_t name = vit_load_u16(entry + 28),
                     bytes = ENTRY_BYTES + name + vit_load_u16(entry + 30) + vit_load_u16(entry + 32);
        if (bytes > left)
            return fail_archive(header, VIT_ERR_TRUNCATED, "an entry of its directory goes past the directory's end", error);
        at += bytes;
        if (name < 4 || memcmp(entry + ENTRY_BYTES + name - 4, ".npy", 4) != 0) {
            npz->others++;
            continue;
        }
        member *m = &npz->members[npz->count++];
        memset(m, 0, sizeof *m);
        VIT_TRY(read_entry(header, entry, m, error));
        unpacked += m->unpacked < UINT64_MAX - unpacked ? m->unpacked : UINT64_MAX - unpacked;
    }
    if (unpacked > header->limits->file_bytes) /* before any is unpacked */
        return vit_fail(error, VIT_ERR_LIMIT, "%s: %llu bytes when unpacked, the limit is %llu (limit file_bytes)",
                        header->name, (unsigned long long)unpacked, (unsigned long long)header->limits->file_bytes);
    if (at != npz->directory.size)
        return fail_archive(header, VIT_ERR_FORMAT, "its directory has more than the members that its end record counts", error);
    if (npz->others && !npz->count)
        return fail_archive(header, VIT_ERR_UNSUPPORTED,
                            "none of its members is a npy file; PyTorch checkpoints are not supported", error);
    vit_sort(npz->members, (size_t)npz->count, sizeof *npz->members, compare_names);
    for (int i = 1; i < npz->count; i++)
        if (compare_names(&npz->members[i - 1], &npz->members[i]) == 0)
            return fail_member(header, &npz->members[i], VIT_ERR_FORMAT, "it is there twice", error);
    vit_sort(npz->members, (size_t)npz->count, sizeof *npz->members, compare_offsets);
    npz->state = AT_MEMBERS;
    want_member(header, FIRST_BYTES);
    return VIT_OK;
}

/* ---- npy ---- */

/* The header of npy is a literal of Python: {'descr': '<f4', 'fortran_order': False, 'shape': (6, 8), }. */
typedef struct literal {
    const unsigned char *at, *end;
} literal;

static int next_char(literal *l) {
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\n' || *l->at == '\t' || *l->at == '\r'))
        l->at++;
    return l->at < l->end ? *l->at : -1;
}

static int skip(literal *l, int c) {
    if (next_char(l) != c)
        return 0;
    l->at++;
    return 1;
}

static int word(literal *l, const char *text) {
    size_t length = strlen(text);
    next_char(l);
    if ((size_t)(l->end - l->at) < length || memcmp(l->at, text, length) != 0)
        return 0;
    l->at += length;
    return 1;
}

/* Between quotes; 0 if there is none, or it does not fit. */
static int quoted(literal *l, char *out, size_t size) {
    int quote = next_char(l);
    size_t length = 0;
    if (quote != '\'' && quote != '"')
        return 0;
    for (l->at++; l->at < l->end && *l->at != quote; l->at++) {
        if (length + 1 == size || *l->at < 0x20 || *l->at > 0x7e)
            return 0;
        out[length++] = (char)*l->at;
    }
    out[length] = 0;
    return skip(l, quote);
}

static int digit(const literal *l) {
    return l->at < l->end && *l->at >= '0' && *l->at <= '9';
}

/* Where the literal begins, and its bytes; data: the first PREFIX_BYTES of a member. */
static size_t npy_begin(const unsigned char *data) {
    return data[6] == 1 ? 10 : 12;
}

static size_t npy_length(const unsigned char *data) {
    return data[6] == 1 ? vit_load_u16(data + 8) : vit_load_u32(data + 8);
}

/* NULL, or what is wrong. */
static const char *read_shape(literal *l, vit_tensor_info *tensor) {
    static const char expected[] = "the shape is not a tuple of numbers";
    int comma = 1;
    if (!skip(l, '('))
        return expected;
    while (!skip(l, ')')) {
        next_char(l);
        if (!comma || !digit(l))
            return expected;
        if (tensor->rank == (int)(sizeof tensor->shape / sizeof *tensor->shape))
            return "more than 8 dimensions are not supported";
        int64_t side = 0;
        for (; digit(l); l->at++) {
            if (side > (INT64_MAX - 9) / 10)
                return "a dimension is too large";
            side = side * 10 + (*l->at - '0');
        }
        if (l->at < l->end && *l->at == 'L') /* Python 2 */
            l->at++;
        tensor->shape[tensor->rank++] = side;
        comma = skip(l, ',');
    }
    return tensor->rank == 1 && !comma ? expected : NULL;
}

static const char *read_literal(literal l, member *m, char descr[16]) {
    char key[16];
    int seen = 0;
    if (!skip(&l, '{'))
        return "its npy header is not a dictionary";
    while (!skip(&l, '}')) {
        if (!quoted(&l, key, sizeof key) || !skip(&l, ':'))
            return "its npy header cannot be read";
        if (strcmp(key, "descr") == 0 && !(seen & 1)) {
            seen |= 1;
            if (next_char(&l) == '[')
                return "structured types are not supported";
            if (!quoted(&l, descr, 16))
                return "its type cannot be read";
        } else if (strcmp(key, "fortran_order") == 0 && !(seen & 2)) {
            seen |= 2;
            m->place.fortran = word(&l, "True");
            if (!m->place.fortran && !word(&l, "False"))
                return "fortran_order is neither True nor False";
        } else if (strcmp(key, "shape") == 0 && !(seen & 4)) {
            seen |= 4;
            const char *wrong = read_shape(&l, &m->tensor);
            if (wrong)
                return wrong;
        } else {
            return "its npy header has an unknown key, or one twice";
        }
        if (!skip(&l, ',') && next_char(&l) != '}')
            return "its npy header cannot be read";
    }
    if (next_char(&l) != -1)
        return "something follows its npy header";
    return seen == 7 ? NULL : "its npy header lacks one of descr, fortran_order and shape";
}

/* Bytes of a value, 0 where the type is not known. Word and dtype are set. */
static uint64_t read_type(const char *descr, member *m) {
    static const struct {
        const char *descr, *type;
        vit_dtype dtype;
    } known[] = {
        {"<f4", "F32", VIT_F32}, {"<f2", "F16", VIT_F16}, {"<f8", "F64", VIT_F64},
        {"<V2", "BF16", VIT_BF16}, {"|V2", "BF16", VIT_BF16}, /* as numpy writes JAX's */
    };
    uint64_t size = 0;
    if (!descr[0] || !strchr("<>|=", descr[0]) || !descr[1] || !strchr("biufcSUVmM", descr[1]))
        return 0;
    for (const char *at = descr + 2; *at; at++) {
        if (*at < '0' || *at > '9' || size > 99999)
            return 0;
        size = size * 10 + (uint64_t)(*at - '0');
    }
    snprintf(m->type, sizeof m->type, "%s%s", descr[0] == '>' ? "big-endian " : "", descr + (descr[0] == '>'));
    m->tensor.dtype = VIT_DTYPE_OTHER;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].descr, descr) == 0) {
            snprintf(m->type, sizeof m->type, "%s", known[i].type);
            m->tensor.dtype = known[i].dtype;
        }
    return descr[1] == 'U' ? 4 * size : size;
}

/* header [length]: npy's, whole; prefix: what came before it. */
static vit_status read_npy(const vit_header *header, member *m, const unsigned char *text, size_t length, size_t prefix,
                           vit_error *error) {
    char descr[16] = "", message[260];
    uint64_t count, size;
    const char *wrong = read_literal((literal){text, text + length}, m, descr);
    if (wrong)
        return fail_member(header, m, VIT_ERR_FORMAT, wrong, error);
    if (strchr(descr, 'O'))
        return fail_member(header, m, VIT_ERR_UNSUPPORTED,
                           "it holds Python objects (pickle), which are never read", error);
    if (!(size = read_type(descr, m))) {
        snprintf(message, sizeof message, "unknown type \"%s\"", descr);
        return fail_member(header, m, VIT_ERR_UNSUPPORTED, message, error);
    }
    vit_shown_shape shape = vit_show_shape(m->tensor.rank, m->tensor.shape);
    if (!vit_shape_elements(m->tensor.rank, m->tensor.shape, &count) || count > INT64_MAX / size) {
        snprintf(message, sizeof message, "shape %s is too large", shape.text);
        return fail_member(header, m, VIT_ERR_FORMAT, message, error);
    }
    m->place.header = (uint32_t)(prefix + length);
    m->tensor.bytes = count * size;
    if (m->unpacked - m->place.header != m->tensor.bytes) {
        snprintf(message, sizeof message, "shape %s of %s needs %llu bytes, the archive has %llu for it", shape.text,
                 m->type, (unsigned long long)m->tensor.bytes, (unsigned long long)(m->unpacked - m->place.header));
        return fail_member(header, m, m->unpacked - m->place.header < m->tensor.bytes ? VIT_ERR_TRUNCATED : VIT_ERR_FORMAT,
                           message, error);
    }
    if (m->tensor.rank < 2)
        m->place.fortran = 0;
    return VIT_OK;
}

/* The beginning of a deflated member's bytes: its npy header, or as much of it as data [bytes] gives. */
static vit_status unpack_head(vit_header *header, const member *m, const unsigned char *data, size_t bytes,
                              vit_error *error) {
    struct vit_npz *npz = header->npz;
    vit_inflate_status status;
    size_t wanted = PREFIX_BYTES;
    npz->unpacked.allocator = header->allocator;
    npz->unpacked.size = 0;
    vit_inflate_begin(&npz->inflate);
    do {
        size_t used, count;
        const unsigned char *out;
        status = vit_inflate_run(&npz->inflate, data, bytes, &used, &out, &count);
        VIT_TRY(vit_buffer_append(&npz->unpacked, out, count, header->name, error));
        data += used;
        bytes -= used;
        if (npz->unpacked.size >= PREFIX_BYTES)
            wanted = npy_begin(npz->unpacked.data) + npy_length(npz->unpacked.data);
    } while (status == VIT_INFLATE_OUTPUT && npz->unpacked.size < wanted && wanted <= PREFIX_BYTES + header->limits->header_bytes);
    if (status == VIT_INFLATE_BROKEN)
        return fail_member(header, m, VIT_ERR_FORMAT, "its compressed data is damaged", error);
    return VIT_OK;
}

/* The head of the next member. */
static vit_status read_member(vit_header *header, vit_error *error) {
    struct vit_npz *npz = header->npz;
    member *m = &npz->members[npz->next];
    const unsigned char *data = header->bytes.data;
    size_t size = header->bytes.size;
    const size_t begin = LOCAL_BYTES + (size_t)vit_load_u16(data + 26) + vit_load_u16(data + 28);
    const uint64_t local = m->tensor.offset, left = npz->directory_at - local;
    if (memcmp(data, "PK\3\4", 4) != 0)
        return fail_member(header, m, VIT_ERR_FORMAT, "the archive has no such member where its directory says", error);
    if (vit_load_u16(data + 26) != m->name_length + 4)
        return fail_member(header, m, VIT_ERR_FORMAT, "the archive's directory has another name for it", error);
    if (begin > left || m->place.stored > left - begin)
        return fail_member(header, m, VIT_ERR_TRUNCATED, "its data goes past the archive's end", error);
    const uint64_t all = begin + m->place.stored;
    size_t needed = begin + PREFIX_BYTES;
    if (size >= begin) {
        if (memcmp(data + LOCAL_BYTES, m->name, m->name_length + 4) != 0)
            return fail_member(header, m, VIT_ERR_FORMAT, "the archive's directory has another name for it", error);
        data += begin;
        size = (size < all ? size : (size_t)all) - begin;
        if (m->place.deflated) {
            VIT_TRY(unpack_head(header, m, data, size, error));
            data = npz->unpacked.data;
            size = npz->unpacked.size;
        }
        if (size >= PREFIX_BYTES) {
            const size_t prefix = npy_begin(data), length = npy_length(data);
            if (memcmp(data, "\x93NUMPY", 6) != 0)
                return fail_member(header, m, VIT_ERR_FORMAT, "it is not an npy file", error);
            if (data[6] < 1 || data[6] > 3 || data[7])
                return fail_member(header, m, VIT_ERR_UNSUPPORTED, "its version of npy is not 1.0, 2.0 or 3.0", error);
            if (m->unpacked < prefix || length > m->unpacked - prefix)
                return fail_member(header, m, VIT_ERR_TRUNCATED, "its npy header is longer than the member", error);
            if (length > header->limits->header_bytes)
                return fail_member(header, m, VIT_ERR_LIMIT, "its npy header is too long (limit header_bytes)", error);
            if (size >= prefix + length) {
                VIT_TRY(read_npy(header, m, data + prefix, length, prefix, error));
                m->tensor.offset = local + begin;
                npz->next++;
                want_member(header, FIRST_BYTES);
                return VIT_OK;
            }
            needed = begin + prefix + length;
        }
    }
    if (header->bytes.size >= all)
        return fail_member(header, m, VIT_ERR_TRUNCATED, "it ends inside its npy header", error);
    uint64_t twice = 2 * (uint64_t)header->bytes.size;
    want_member(header, needed > twice ? needed : twice < all ? twice : all);
    return VIT_OK;
}

/* ---- The whole ---- */

static vit_status fill(vit_header *header, vit_container *out, vit_error *error) {
    const struct vit_npz *npz = header->npz;
    const vit_head head = {.name = header->name, .file_bytes = header->file_bytes, .limits = header->limits, .error = error};
    vit_container_sizes sizes = {.tensors = (size_t)npz->count, .places = (size_t)npz->count};
    vit_container_room room;
    uint64_t end = 0;
    for (int i = 0; i < npz->count; i++) {
        const member *m = &npz->members[i];
        sizes.text += m->name_length + 1 + strlen(m->type) + 1;
        if (m->tensor.offset < end)
            return fail_member(header, m, VIT_ERR_FORMAT, "it begins inside the member before it", error);
        end = m->tensor.offset + m->place.stored;
    }
    *out = (vit_container){.format = "npz", .allocator = header->allocator, .file_bytes = end};
    VIT_TRY(vit_container_allocate(out, &sizes, &room, &head));
    for (int i = 0; i < npz->count; i++) {
        const member *m = &npz->members[i];
        out->tensors[i] = m->tensor;
        out->tensors[i].name = vit_container_copy(&room, m->name, m->name_length);
        out->tensors[i].type = vit_container_copy(&room, m->type, strlen(m->type));
        out->places[i] = m->place;
    }
    return VIT_OK;
}

vit_status vit_npz_read(vit_header *header, vit_container *out, vit_error *error) {
    if (!header->anywhere) {
        header->wanted = UINT64_MAX;
        return VIT_OK;
    }
    if (!header->npz) {
        VIT_TRY(vit_alloc_for((void **)&header->npz, header->allocator, sizeof *header->npz, header->name, error));
        memset(header->npz, 0, offsetof(struct vit_npz, inflate));
        const uint64_t most = END_BYTES + 65535 + LOCATOR_BYTES, bytes = header->file_bytes < most ? header->file_bytes : most;
        want(header, header->file_bytes - bytes, bytes);
        return VIT_OK;
    }
    if (header->bytes.size < header->wanted)
        return fail_archive(header, VIT_ERR_TRUNCATED, "the file ends early", error);
    switch (header->npz->state) {
    case AT_END:
        VIT_TRY(read_end(header, error));
        break;
    case AT_END64:
        VIT_TRY(read_end64(header, error));
        break;
    case AT_DIRECTORY:
        VIT_TRY(read_directory(header, error));
        break;
    case AT_MEMBERS:
        VIT_TRY(read_member(header, error));
        break;
    }
    if (header->npz->state == AT_MEMBERS && header->npz->next == header->npz->count)
        return fill(header, out, error);
    return header->wanted ? VIT_OK : vit_npz_read(header, out, error); /* the directory of an empty archive */
}
