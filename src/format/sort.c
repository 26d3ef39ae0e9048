#include "sort.h"

static void swap(unsigned char *a, unsigned char *b, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        unsigned char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Lets the item at root sink to its place in the heap of `count` items (children of i: 2i+1 and 2i+2). */
static void sink(unsigned char *items, size_t root, size_t count, size_t bytes,
                 int (*compare)(const void *, const void *)) {
    while (root < count / 2) {
        size_t child = 2 * root + 1;
        if (child + 1 < count && compare(items + child * bytes, items + (child + 1) * bytes) < 0)
            child++;
        if (compare(items + root * bytes, items + child * bytes) >= 0)
            return;
        swap(items + root * bytes, items + child * bytes, bytes);
        root = child;
    }
}

void vit_sort(void *items, size_t count, size_t item_bytes, int (*compare)(const void *, const void *)) {
    unsigned char *first = items;
    for (size_t i = count / 2; i-- > 0;)
        sink(first, i, count, item_bytes, compare);
    for (size_t last = count; last-- > 1;) {
        swap(first, first + last * item_bytes, item_bytes);
        sink(first, 0, last, item_bytes, compare);
    }
}
