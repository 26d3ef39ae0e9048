#include "decimal.h"

#include <math.h>

#define WORDS 256 /* 801 digits, shifted for the largest divisor that does not make them 0 */
#define CHUNK 9   /* decimal digits that a word holds */

typedef struct big {
    uint32_t word[WORDS]; /* little-endian */
    int words;            /* in use; the last is not 0 */
} big;

static const uint32_t powers[CHUNK + 1] = {1,      10,      100,      1000,      10000,
                                           100000, 1000000, 10000000, 100000000, 1000000000};

static void multiply_add(big *n, uint32_t factor, uint32_t carry) {
    uint64_t sum = carry;
    for (int i = 0; i < n->words; i++, sum >>= 32) {
        sum += (uint64_t)n->word[i] * factor;
        n->word[i] = (uint32_t)sum;
    }
    if (sum)
        n->word[n->words++] = (uint32_t)sum;
}

/* Returns the remainder. */
static uint32_t divide(big *n, uint32_t divisor) {
    uint64_t rest = 0;
    for (int i = n->words; i-- > 0;) {
        rest = rest << 32 | n->word[i];
        n->word[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (n->words && !n->word[n->words - 1])
        n->words--;
    return (uint32_t)rest;
}

static int bit(const big *n, int at) {
    return at >= 0 && n->word[at / 32] >> at % 32 & 1;
}

static double power_of_two(int exponent) {
    union {
        uint64_t bits;
        double number;
    } power = {exponent < -1022 ? (uint64_t)1 << (exponent + 1074) : (uint64_t)(exponent + 1023) << 52};
    return power.number;
}

/* n / 2^shift, of at least 65 bits, rounded to the bits that a double of this size has; sticky: there is a bit more. */
static double round_to_double(const big *n, int shift, int sticky) {
    int bits = 32 * n->words;
    while (!bit(n, bits - 1))
        bits--;
    int first = bits - 1 - shift, precision = first >= -1022 ? 53 : first + 1075, cut = bits - precision;
    uint64_t mantissa = 0;
    if (first > 1023)
        return INFINITY;
    if (precision < 0)
        return 0;
    for (int i = bits - 1; i >= cut; i--)
        mantissa = 2 * mantissa + (uint64_t)bit(n, i);
    for (int i = 0; i < cut - 1; i++)
        sticky |= bit(n, i);
    if (bit(n, cut - 1) && (sticky || mantissa & 1))
        mantissa++;
    return (double)mantissa * power_of_two(cut - shift);
}

double vit_decimal(const char *digits, int count, int64_t exponent) {
    if (!count || count + exponent < -330)
        return 0;
    if (count + exponent > 310)
        return INFINITY;
    if (count <= 15 && exponent >= -22 && exponent <= 22) { /* both are exact doubles: one rounding */
        double number = 0, power = 1;
        for (int i = 0; i < count; i++)
            number = 10 * number + (digits[i] - '0');
        for (int64_t i = exponent < 0 ? -exponent : exponent; i > 0; i--)
            power *= 10;
        return exponent < 0 ? number / power : number * power;
    }
    big n = {.words = 0};
    int sticky = 0, shift_words = 3;
    for (int i = 0; i < count; i++)
        multiply_add(&n, 10, (uint32_t)(digits[i] - '0'));
    for (; exponent > 0; exponent--)
        multiply_add(&n, 10, 0);
    shift_words += (int)(-exponent / 8); /* each digit divided away takes less than 4 bits */
    for (int i = n.words; i-- > 0;)
        n.word[i + shift_words] = n.word[i];
    for (int i = 0; i < shift_words; i++)
        n.word[i] = 0;
    n.words += shift_words;
    for (; exponent < 0; exponent += CHUNK)
        sticky |= divide(&n, powers[exponent < -CHUNK ? CHUNK : -exponent]) != 0;
    return round_to_double(&n, 32 * shift_words, sticky);
}
