/* Sorting in place, O(n log n) for every input, without allocating: libc's qsort promises neither. Not stable. */
#ifndef VIT_FORMAT_SORT_H
#define VIT_FORMAT_SORT_H

#include <stddef.h>

void vit_sort(void *items, size_t count, size_t item_bytes, int (*compare)(const void *, const void *));

#endif
