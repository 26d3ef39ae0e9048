#include "limits.h"

#include <stdlib.h>
#include <string.h>

static vit_options chosen; /* set while the command line is read, before anything else happens */

const vit_options *vit_cli_options(void) {
    if (!chosen.allocator.alloc)
        chosen = vit_default_options();
    return &chosen;
}

/* 0 where there is no limit of that name, or where it cannot be so large. */
static int set(vit_limits *limits, const char *name, size_t length, uint64_t value) {
    const struct {
        const char *name;
        uint64_t *wide;
        uint32_t *narrow;
    } all[] = {
        {"file_bytes", &limits->file_bytes, NULL},     {"header_bytes", &limits->header_bytes, NULL},
        {"config_bytes", &limits->config_bytes, NULL}, {"image_pixels", &limits->image_pixels, NULL},
        {"image_side", NULL, &limits->image_side},     {"tensors", NULL, &limits->tensors},
        {"json_depth", NULL, &limits->json_depth},     {"tokens", NULL, &limits->tokens},
        {"layers", NULL, &limits->layers},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strlen(all[i].name) != length || memcmp(all[i].name, name, length) != 0)
            continue;
        if (all[i].wide)
            *all[i].wide = value;
        else if (value <= UINT32_MAX)
            *all[i].narrow = (uint32_t)value;
        return all[i].wide || value <= UINT32_MAX;
    }
    return 0;
}

const char *vit_cli_read_limits(const char *text) {
    vit_cli_options();
    for (;;) {
        const size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyz_"),
                     digits = text[name] == '=' ? strspn(text + name + 1, "0123456789") : 0;
        const char *end = text + name + 1 + digits;
        if (digits < 1 || digits > 18 || (*end && *end != ',') ||
            !set(&chosen.limits, text, name, strtoull(text + name + 1, NULL, 10)))
            return text;
        if (!*end)
            return NULL;
        text = end + 1;
    }
}
