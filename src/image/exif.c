#include "image.h"

#include <string.h>

enum { ORIENTATION = 0x0112, TYPE_SHORT = 3 };

static uint32_t read16(const uint8_t *p, int big) {
    return big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read32(const uint8_t *p, int big) {
    return big ? read16(p, 1) << 16 | read16(p + 2, 1) : read16(p + 2, 0) << 16 | read16(p, 0);
}

/* Only the first directory (the picture's own) is looked at, and no pointer in it is followed. */
int vit_exif_orientation(const uint8_t *data, size_t bytes) {
    if (bytes >= 6 && memcmp(data, "Exif\0", 5) == 0) {
        data += 6;
        bytes -= 6;
    }
    if (bytes < 8)
        return 1;
    int big = memcmp(data, "MM\0*", 4) == 0;
    if (!big && memcmp(data, "II*\0", 4) != 0)
        return 1;
    size_t at = read32(data + 4, big);
    if (at > bytes - 2)
        return 1;
    uint32_t entries = read16(data + at, big);
    at += 2;
    for (uint32_t i = 0; i < entries && bytes - at >= 12; i++, at += 12) {
        const uint8_t *entry = data + at;
        if (read16(entry, big) != ORIENTATION)
            continue;
        uint32_t value = read16(entry + 8, big);
        int usable = read16(entry + 2, big) == TYPE_SHORT && read32(entry + 4, big) == 1;
        return usable && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
