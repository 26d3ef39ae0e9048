#include "check.h"
#include "image.h"

#include <string.h>

/* Honest progressive files have ten to twenty. A scan passes over all blocks of a component, even where it has no bytes for
 * them: of the largest picture that is allowed there may be 16 such passes, of smaller ones more. */
enum { MAX_SCANS = 500, PIXELS_OF_BLOCK = 4, FEW_BLOCKS = 1 << 20 };

enum {
    SOF0 = 0xc0, SOF2 = 0xc2, DHT = 0xc4, JPG = 0xc8, DAC = 0xcc, SOF15 = 0xcf, RST0 = 0xd0, RST7 = 0xd7, SOI = 0xd8,
    EOI = 0xd9, SOS = 0xda, DQT = 0xdb, DNL = 0xdc, DRI = 0xdd, APP0 = 0xe0, APP1 = 0xe1, APP15 = 0xef, COM = 0xfe
};

typedef struct jpeg_component {
    int id, h, v, quantizer;
    int started; /* its DC coefficients have come */
} jpeg_component;

typedef struct jpeg_state {
    const char *name;
    const uint8_t *data;
    size_t bytes, at;
    vit_picture *picture;
    const vit_limits *limits;
    vit_error *error;
    int components, progressive, h_max, v_max;
    jpeg_component component[4];
    unsigned quantizers, dc_tables, ac_tables; /* bit i: table i is defined */
    uint32_t restart_interval;
    int scans, has_exif;
    uint64_t blocks; /* that scans pass over */
} jpeg_state;

static vit_status damaged(jpeg_state *s, const char *what) {
    return vit_fail(s->error, VIT_ERR_IMAGE, "%s: damaged JPEG: %s (at byte %zu)", s->name, what, s->at);
}

static vit_status truncated(jpeg_state *s) {
    return vit_fail(s->error, VIT_ERR_TRUNCATED, "%s: the JPEG ends after %zu bytes without its end marker", s->name,
                    s->bytes);
}

static uint32_t read16(const uint8_t *p) {
    return (uint32_t)p[0] << 8 | p[1];
}

/* Moves past the next marker. Before the frame header stray bytes between segments are common and allowed. */
static vit_status next_marker(jpeg_state *s, int *marker) {
    while (s->at < s->bytes && s->data[s->at] != 0xff) {
        if (s->components)
            return damaged(s, "expected a marker");
        s->at++;
    }
    while (s->at < s->bytes && s->data[s->at] == 0xff)
        s->at++;
    if (s->at >= s->bytes)
        return truncated(s);
    *marker = s->data[s->at++];
    return VIT_OK;
}

static vit_status quantization_tables(jpeg_state *s, const uint8_t *p, size_t length) {
    while (length) {
        int wide = p[0] >> 4, table = p[0] & 15;
        size_t size = wide ? 129 : 65;
        if (wide > 1 || table > 3 || length < size)
            return damaged(s, "a bad quantisation table");
        s->quantizers |= 1u << table;
        p += size;
        length -= size;
    }
    return VIT_OK;
}

static vit_status huffman_tables(jpeg_state *s, const uint8_t *p, size_t length) {
    while (length) {
        if (length < 17)
            return damaged(s, "a short Huffman table");
        int is_ac = p[0] >> 4, table = p[0] & 15;
        uint32_t symbols = 0, code = 0;
        for (int bits = 1; bits <= 16; bits++) {
            symbols += p[bits];
            code = code * 2 + p[bits];
            if (code > 1u << bits)
                return damaged(s, "a Huffman table with too many codes");
        }
        if (is_ac > 1 || table > 3 || symbols > 256 || length < 17 + symbols)
            return damaged(s, "a bad Huffman table");
        *(is_ac ? &s->ac_tables : &s->dc_tables) |= 1u << table;
        p += 17 + symbols;
        length -= 17 + symbols;
    }
    return VIT_OK;
}

static vit_status frame_header(jpeg_state *s, int marker, const uint8_t *p, size_t length) {
    if (s->components)
        return damaged(s, "a second frame header");
    if (marker > SOF2)
        return vit_fail(s->error, VIT_ERR_UNSUPPORTED,
                        "%s: is a JPEG of a rare kind (%s), expected baseline or progressive", s->name,
                        marker == 0xc3 ? "lossless" : marker > JPG ? "arithmetic coding" : "hierarchical");
    if (length < 6)
        return damaged(s, "a short frame header");
    if (p[0] != 8)
        return vit_fail(s->error, VIT_ERR_UNSUPPORTED, "%s: is a JPEG of %d bits per sample, expected 8", s->name,
                        p[0]);
    s->picture->height = read16(p + 1);
    s->picture->width = read16(p + 3);
    int components = p[5];
    if ((components != 1 && components != 3 && components != 4) || length != 6 + 3 * (size_t)components)
        return damaged(s, "a frame header of other than 1, 3 or 4 components");
    VIT_TRY(vit_picture_size_check(s->name, s->picture->width, s->picture->height, s->limits, s->error));
    s->progressive = marker == SOF2;
    s->h_max = s->v_max = 1;
    for (int i = 0; i < components; i++) {
        jpeg_component *c = &s->component[i];
        *c = (jpeg_component){p[6 + 3 * i], p[7 + 3 * i] >> 4, p[7 + 3 * i] & 15, p[8 + 3 * i], 0};
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quantizer > 3)
            return damaged(s, "bad sampling factors");
        s->h_max = c->h > s->h_max ? c->h : s->h_max;
        s->v_max = c->v > s->v_max ? c->v : s->v_max;
    }
    s->components = components;
    return VIT_OK;
}

/* The parts of a scan header that tell how much data must follow. */
typedef struct jpeg_scan {
    uint64_t units;      /* MCUs */
    uint64_t least_bits; /* a code of one bit for every block; 0 in progressive AC scans, where runs cover many */
} jpeg_scan;

static vit_status scan_header(jpeg_state *s, const uint8_t *p, size_t length, jpeg_scan *scan) {
    if (!s->components)
        return damaged(s, "a scan before the frame header");
    if (++s->scans > MAX_SCANS)
        return vit_fail(s->error, VIT_ERR_UNSUPPORTED, "%s: the JPEG has more than %d scans, expected as many at most", s->name, MAX_SCANS);
    int count = length ? p[0] : 0;
    if (count < 1 || count > s->components || length != 4 + 2 * (size_t)count)
        return damaged(s, "a bad scan header");
    int first = p[1 + 2 * count], last = p[2 + 2 * count], high = p[3 + 2 * count] >> 4, low = p[3 + 2 * count] & 15;
    int has_dc = first == 0, has_ac = !s->progressive || first > 0;
    if (s->progressive
            ? first > last || last > 63 || (has_dc && last > 0) || (has_ac && count > 1) || high > 13 || low > 13
            : first || high || low)
        return damaged(s, "a bad scan header");
    uint64_t blocks = 0;
    unsigned seen = 0;
    const jpeg_component *only = NULL;
    for (int i = 0; i < count; i++) {
        int which = 0, dc = p[2 + 2 * i] >> 4, ac = p[2 + 2 * i] & 15;
        while (which < s->components && s->component[which].id != p[1 + 2 * i])
            which++;
        if (which == s->components || seen >> which & 1 || dc > 3 || ac > 3)
            return damaged(s, "a scan header with a bad component");
        seen |= 1u << which;
        jpeg_component *c = &s->component[which];
        if ((has_dc && !high && !(s->dc_tables >> dc & 1)) || (has_ac && !(s->ac_tables >> ac & 1)))
            return damaged(s, "a Huffman table is missing");
        if (!(s->quantizers >> c->quantizer & 1))
            return damaged(s, "a quantisation table is missing");
        if ((!has_dc || high) && !c->started)
            return damaged(s, "scans in the wrong order");
        c->started = 1;
        blocks += (uint64_t)(c->h * c->v);
        only = c;
    }
    uint64_t width = s->picture->width, height = s->picture->height;
    uint64_t h_max = (uint64_t)s->h_max, v_max = (uint64_t)s->v_max;
    if (count == 1) { /* not interleaved: the component's own blocks, without padding to whole MCUs */
        uint64_t columns = (width * (uint64_t)only->h + h_max - 1) / h_max;
        uint64_t rows = (height * (uint64_t)only->v + v_max - 1) / v_max;
        scan->units = (columns + 7) / 8 * ((rows + 7) / 8);
        blocks = 1;
    } else {
        scan->units = (width + 8 * h_max - 1) / (8 * h_max) * ((height + 8 * v_max - 1) / (8 * v_max));
    }
    const uint64_t most = s->limits->image_pixels / PIXELS_OF_BLOCK + FEW_BLOCKS;
    s->blocks += scan->units * blocks;
    if (s->blocks > most)
        return vit_fail(s->error, VIT_ERR_LIMIT,
                        "%s: the JPEG's scans pass over %llu blocks, the limit is %llu (limit image_pixels)", s->name,
                        (unsigned long long)s->blocks, (unsigned long long)most);
    scan->least_bits = has_dc ? scan->units * blocks * (uint64_t)(has_dc + has_ac) : 0;
    return VIT_OK;
}

/* Walks the entropy-coded bytes up to the next marker and counts the restart markers in them. */
static vit_status scan_data(jpeg_state *s, const jpeg_scan *scan) {
    size_t begin = s->at, piece = s->at;
    uint64_t restarts = 0, empty_pieces = 0, expected = 0;
    for (;;) {
        const uint8_t *found = memchr(s->data + s->at, 0xff, s->bytes - s->at);
        if (!found)
            return truncated(s);
        size_t marker_at = (size_t)(found - s->data);
        s->at = marker_at;
        while (s->at < s->bytes && s->data[s->at] == 0xff)
            s->at++;
        if (s->at >= s->bytes)
            return truncated(s);
        int marker = s->data[s->at++];
        if (marker == 0)
            continue;
        if (marker < RST0 || marker > RST7) {
            restarts -= marker_at == piece && restarts; /* one right before the end of the scan is harmless */
            s->at = marker_at;
            break;
        }
        empty_pieces += marker_at == piece;
        restarts++;
        piece = s->at;
    }
    if (s->restart_interval && scan->units)
        expected = (scan->units - 1) / s->restart_interval;
    if ((uint64_t)(s->at - begin) * 8 < scan->least_bits || restarts < expected)
        return vit_fail(s->error, VIT_ERR_TRUNCATED, "%s: a scan of the JPEG ends too early, at byte %zu", s->name,
                        s->at);
    if (restarts > expected || empty_pieces)
        return damaged(s, "restart markers in the wrong places");
    return VIT_OK;
}

static vit_status segment(jpeg_state *s, int marker, const uint8_t *p, size_t length) {
    if (marker == DQT)
        return quantization_tables(s, p, length);
    if (marker == DHT)
        return huffman_tables(s, p, length);
    if (marker == DRI) {
        if (length != 2)
            return damaged(s, "a bad restart interval");
        s->restart_interval = read16(p);
        return VIT_OK;
    }
    if (marker == SOS) {
        jpeg_scan scan = {0, 0};
        VIT_TRY(scan_header(s, p, length, &scan));
        return scan_data(s, &scan);
    }
    if (marker == DNL) {
        if (length != 2 || !s->components || read16(p) != s->picture->height)
            return damaged(s, "a number of lines other than the frame header's");
        return VIT_OK;
    }
    if (marker >= SOF0 && marker <= SOF15 && marker != JPG && marker != DAC)
        return frame_header(s, marker, p, length);
    if (marker == APP1 && length >= 6 && memcmp(p, "Exif\0", 5) == 0 && !s->has_exif) {
        s->picture->orientation = vit_exif_orientation(p, length);
        s->has_exif = 1; /* later ones go on with it, and have no directory */
    }
    if ((marker >= APP0 && marker <= APP15) || marker == COM)
        return VIT_OK;
    return damaged(s, "an unknown marker");
}

vit_status vit_jpeg_check(vit_picture *out, const char *name, const uint8_t *data, size_t bytes,
                          const vit_limits *limits, vit_error *error) {
    *out = (vit_picture){.orientation = 1, .most_bytes = SIZE_MAX};
    jpeg_state s = {
        .name = name, .data = data, .bytes = bytes, .at = 2, .picture = out, .limits = limits, .error = error};
    for (;;) {
        int marker = 0;
        VIT_TRY(next_marker(&s, &marker));
        if (marker == EOI)
            break;
        if (marker == 0 || marker == 1 || (marker >= RST0 && marker <= SOI))
            return damaged(&s, "a marker in the wrong place");
        if (bytes - s.at < 2)
            return truncated(&s);
        size_t length = read16(data + s.at);
        if (length < 2)
            return damaged(&s, "a segment shorter than its own length field");
        if (length > bytes - s.at)
            return truncated(&s);
        const uint8_t *content = data + s.at + 2;
        s.at += length;
        VIT_TRY(segment(&s, marker, content, length - 2));
    }
    for (int i = 0; i < s.components; i++)
        if (!s.component[i].started)
            return vit_fail(error, VIT_ERR_TRUNCATED, "%s: the JPEG has no data for component %d of %d", name, i + 1,
                            s.components);
    if (!s.components)
        return damaged(&s, "it holds no picture");
    return VIT_OK;
}
