/* Decimal numbers to doubles, the same on every host and in every locale. */
#ifndef VIT_FORMAT_DECIMAL_H
#define VIT_FORMAT_DECIMAL_H

#include <stdint.h>

#define VIT_DECIMAL_DIGITS 801 /* at most */

/* The double nearest to an integer of `count` digits times 10^exponent, ties to even; infinity where none is near.
 * The first of '0'..'9' is not '0'; no digits are 0. */
double vit_decimal(const char *digits, int count, int64_t exponent);

#endif
