/* libc.c - the little of C's library that the modules need: Emscripten's compiler and headers, nothing of its run time.
 *
 * Memory is for the first thread alone: helper threads allocate nothing. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Emscripten's linker wants one. */
void _initialize(void);
void _initialize(void) {}

/* ---- Memory: free blocks in the order of their addresses, the first that fits is taken ---- */

#define PAGE 65536
#define UNIT sizeof(struct block)

extern unsigned char __heap_base;

static struct block {
    size_t units; /* of this block, its header included */
    struct block *next;
    size_t align[2]; /* to 16 bytes */
} *first_free;

/* Memory ends where the free blocks do; what is missing there is asked of the host, no more. */
static int grow(size_t units) {
    static struct block *end;
    struct block **last = &first_free;
    if (!end) {
        struct block *base = (struct block *)(((uintptr_t)&__heap_base + UNIT - 1) / UNIT * UNIT);
        size_t rest = (size_t)__builtin_wasm_memory_size(0) * (PAGE / UNIT) - (uintptr_t)base / UNIT;
        *base = (struct block){.units = rest};
        end = base + rest;
        *last = base;
        if (rest >= units)
            return 1;
    }
    while (*last && (*last)->next)
        last = &(*last)->next;
    int at_end = *last && *last + (*last)->units == end;
    size_t missing = at_end ? units - (*last)->units : units, pages = (missing + PAGE / UNIT - 1) / (PAGE / UNIT);
    const size_t most = UINT32_MAX / PAGE; /* not the last page of 4 GiB: behind it `end` would be 0 */
    if (pages > most - __builtin_wasm_memory_size(0) || __builtin_wasm_memory_grow(0, pages) == (size_t)-1)
        return 0;
    if (at_end) {
        (*last)->units += pages * (PAGE / UNIT);
    } else {
        *end = (struct block){.units = pages * (PAGE / UNIT)};
        if (*last)
            (*last)->next = end;
        else
            *last = end;
    }
    end += pages * (PAGE / UNIT);
    return 1;
}

void *malloc(size_t bytes) {
    if (bytes > (size_t)-2 * PAGE)
        return NULL;
    size_t units = (bytes + UNIT - 1) / UNIT + 1;
    do {
        for (struct block **at = &first_free, *b; (b = *at) != NULL; at = &b->next) {
            if (b->units < units)
                continue;
            struct block *next = b->next;
            if (b->units > units) {
                next = b + units;
                *next = (struct block){.units = b->units - units, .next = b->next};
                b->units = units;
            }
            *at = next;
            return b + 1;
        }
    } while (grow(units));
    return NULL;
}

void free(void *memory) {
    struct block *b = (struct block *)memory - 1, *before = NULL, *after = first_free;
    if (!memory)
        return;
    while (after && after < b) {
        before = after;
        after = after->next;
    }
    b->next = after;
    if (after && b + b->units == after) {
        b->units += after->units;
        b->next = after->next;
    }
    if (before && before + before->units == b) {
        before->units += b->units;
        before->next = b->next;
    } else if (before) {
        before->next = b;
    } else {
        first_free = b;
    }
}

void *calloc(size_t count, size_t bytes) {
    void *memory = malloc(count * bytes);
    return memory ? memset(memory, 0, count * bytes) : NULL;
}

/* ---- Bytes and strings; copies and fills of any size are instructions ---- */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    return __builtin_memcpy(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes) {
    return __builtin_memmove(to, from, bytes);
}

void *memset(void *to, int value, size_t bytes) {
    return __builtin_memset(to, value, bytes);
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const unsigned char *x = a, *y = b;
    for (; bytes; bytes--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memchr(const void *in, int value, size_t bytes) {
    for (const unsigned char *at = in; bytes; bytes--, at++)
        if (*at == (unsigned char)value)
            return (void *)at;
    return NULL;
}

size_t strlen(const char *text) {
    const char *end = text;
    while (*end)
        end++;
    return (size_t)(end - text);
}

int strncmp(const char *a, const char *b, size_t most) {
    for (; most; most--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b) {
    return strncmp(a, b, (size_t)-1);
}

char *strcpy(char *restrict to, const char *restrict from) {
    return memcpy(to, from, strlen(from) + 1);
}

char *strchr(const char *text, int letter) {
    while (*text && *text != (char)letter)
        text++;
    return *text == (char)letter ? (char *)text : NULL;
}

char *strstr(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncmp(text, part, length) == 0)
            return (char *)text;
    return NULL;
}

size_t strcspn(const char *text, const char *stops) {
    const char *at = text;
    while (*at && !strchr(stops, *at))
        at++;
    return (size_t)(at - text);
}

size_t strspn(const char *text, const char *letters) {
    const char *at = text;
    while (*at && strchr(letters, *at))
        at++;
    return (size_t)(at - text);
}

char *strrchr(const char *text, int letter) {
    const char *at = text + strlen(text);
    while (at > text && *at != (char)letter)
        at--;
    return *at == (char)letter ? (char *)at : NULL;
}

/* ---- Formatted text, as far as the library's messages go: %s %c %d %u %x %g and %.0f ---- */

typedef struct printer {
    char *out;
    size_t room, length;
} printer;

static void put(printer *p, const char *text, size_t length) {
    while (length--) {
        if (p->length + 1 < p->room)
            p->out[p->length] = *text;
        p->length++;
        text++;
    }
}

/* Digits before `end`, at least `least` of them. */
static char *digits(char *end, uint64_t value, unsigned base, int least) {
    for (; value || least > 0; value /= base, least--)
        *--end = "0123456789abcdef"[value % base];
    return end;
}

static void put_integer(printer *p, uint64_t value, unsigned base, int width) {
    char buffer[24], *end = buffer + sizeof buffer, *begin = digits(end, value, base, width > 1 ? width : 1);
    put(p, begin, (size_t)(end - begin));
}

/* As %.*g does; of more than 15 significant digits the last may be wrong. */
static void put_double(printer *p, double value, int precision) {
    if (signbit(value))
        put(p, "-", 1);
    value = __builtin_fabs(value);
    if (!isfinite(value)) {
        put(p, isnan(value) ? "nan" : "inf", 3);
        return;
    }
    int exponent = 0;
    if (value > 0) {
        double rounded = 5;
        for (int i = 0; i < precision; i++)
            rounded /= 10; /* half a unit of the last digit, of a value between 1 and 10 */
        for (; value + rounded >= 10; exponent++)
            value /= 10;
        for (; value + rounded < 1; exponent--)
            value *= 10;
    }
    double scaled = value;
    for (int i = 1; i < precision; i++)
        scaled *= 10;
    char buffer[24], *end = buffer + sizeof buffer, *begin = digits(end, (uint64_t)__builtin_rint(scaled), 10, precision);
    while (end > begin + 1 && end[-1] == '0')
        end--;
    int count = (int)(end - begin), scientific = exponent < -4 || exponent >= precision;
    int whole = scientific ? 1 : exponent + 1; /* digits before the point */
    if (whole < 1)
        put(p, "0.000", (size_t)(2 - whole));
    for (int i = 0; i < count || i < whole; i++) {
        if (i == whole && whole > 0)
            put(p, ".", 1);
        put(p, i < count ? begin + i : "0", 1);
    }
    if (scientific) {
        put(p, exponent < 0 ? "e-" : "e+", 2);
        put_integer(p, (uint64_t)(exponent < 0 ? -exponent : exponent), 10, 2);
    }
}

int vsnprintf(char *restrict out, size_t room, const char *restrict format, va_list arguments) {
    printer p = {out, room, 0};
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            put(&p, at, 1);
            continue;
        }
        int width = 0, precision = -1, wide = 0;
        for (; at[1] >= '0' && at[1] <= '9'; at++)
            width = 10 * width + (at[1] - '0');
        if (at[1] == '.') {
            at++;
            precision = 0;
            if (at[1] == '*') {
                at++;
                precision = va_arg(arguments, int);
            }
            for (; at[1] >= '0' && at[1] <= '9'; at++)
                precision = 10 * precision + (at[1] - '0');
        }
        for (; at[1] == 'l' || at[1] == 'z'; at++)
            wide += at[1] == 'l';
        int kind = *++at;
        if (kind == 's') {
            const char *text = va_arg(arguments, const char *);
            size_t length = 0;
            while (length != (size_t)precision && text[length])
                length++;
            put(&p, text, length);
        } else if (kind == 'c') {
            char letter = (char)va_arg(arguments, int);
            put(&p, &letter, 1);
        } else if (kind == 'g') {
            put_double(&p, va_arg(arguments, double), precision < 0 ? 6 : precision);
        } else if (kind == 'f') {
            put_integer(&p, (uint64_t)__builtin_rint(va_arg(arguments, double)), 10, 0);
        } else if (kind == 'd') {
            int64_t value = wide > 1 ? va_arg(arguments, int64_t) : va_arg(arguments, int);
            if (value < 0)
                put(&p, "-", 1);
            put_integer(&p, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, width);
        } else {
            uint64_t value = wide > 1 ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
            put_integer(&p, value, kind == 'x' ? 16 : 10, width);
        }
    }
    if (room)
        out[p.length < room ? p.length : room - 1] = 0;
    return (int)p.length;
}

int snprintf(char *restrict out, size_t room, const char *restrict format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(out, room, format, arguments);
    va_end(arguments);
    return length;
}

/* ---- Numbers ---- */

long lround(double x) {
    return (long)(x + __builtin_copysign(0.5, x));
}

float roundf(float x) {
    return (float)__builtin_trunc(x + __builtin_copysign(0.5, x));
}

long lrintf(float x) {
    return (long)__builtin_rintf(x);
}

/* The next smaller positive number; the library asks for no other. */
double nextafter(double from, double to) {
    (void)to;
    union {
        double number;
        uint64_t bits;
    } u = {from};
    u.bits--;
    return u.number;
}

static double horner(const double *c, int count, double x) {
    double sum = 0;
    while (count--)
        sum = sum * x + c[count];
    return sum;
}

/* What is left of half of log 2 at most, its Taylor series, a power of two. */
double exp(double x) {
    static const double c[] = {1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
                               1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200};
    if (!(x > -708))
        return x < 0 ? 0 : x;
    if (x > 709)
        return __builtin_inf();
    const double k = __builtin_rint(x * 1.4426950408889634);
    union {
        uint64_t bits;
        double number;
    } power = {(uint64_t)(1023 + (int64_t)k) << 52};
    return horner(c, 15, (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10) * power.number;
}

/* Of positive numbers, no subnormal ones: log m of a factor near 1 by the series of s = (m - 1) / (m + 1), and the exponent. */
double log(double x) {
    static const double c[] = {2, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
    if (!(x > 0 && x < __builtin_inf()))
        return x > 0 ? x : x < 0 ? __builtin_nan("") : x == 0 ? -__builtin_inf() : x;
    union {
        double number;
        uint64_t bits;
    } m = {x};
    int k = (int)(m.bits >> 52) - 1023;
    m.bits = (m.bits & 0xfffffffffffffu) | 1023ull << 52;
    if (m.number > 1.4142135623730951) {
        m.number /= 2;
        k++;
    }
    const double s = (m.number - 1) / (m.number + 1);
    return k * 6.93147180369123816490e-01 + (s * horner(c, 11, s * s) + k * 1.90821492927058770002e-10);
}

/* x above -1: log of 1 + x, set right for what the sum lost. */
double log1p(double x) {
    const double sum = 1 + x;
    return sum == 1 ? x : log(sum) * x / (sum - 1);
}

/* Of positive numbers. */
double pow(double x, double y) {
    return x == 0 ? y == 0 : exp(y * log(x));
}

double fmin(double a, double b) {
    return a < b ? a : b;
}

double fmax(double a, double b) {
    return a > b ? a : b;
}

/* Of the small angles that filters ask for: what is left of a quarter turn, musl's polynomials. */
static double wave(double x, int quarter) {
    static const double s[] = {1, -1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
                               2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10};
    static const double c[] = {1, -0.5, 4.16666666666666019037e-02, -1.38888888888741095749e-03,
                               2.48015872894767294178e-05, -2.75573143513906633035e-07, 2.08757232129817482790e-09,
                               -1.13596475577881948265e-11};
    double k = __builtin_rint(x * 0.6366197723675814), r = (x - k * 1.57079632673412561417e+00) - k * 6.07710050650619224932e-11;
    quarter += (int)k;
    double value = quarter & 1 ? horner(c, 8, r * r) : r * horner(s, 7, r * r);
    return quarter & 2 ? -value : value;
}

double sin(double x) {
    return wave(x, 0);
}

double cos(double x) {
    return wave(x, 1);
}

/* What compilers call for a product of two 64-bit numbers. */
__int128 __multi3(__int128 a, __int128 b);
__int128 __multi3(__int128 a, __int128 b) {
    union wide {
        __int128 whole;
        uint64_t half[2];
    } x = {a}, y = {b}, z;
    uint64_t a0 = (uint32_t)x.half[0], a1 = x.half[0] >> 32, b0 = (uint32_t)y.half[0], b1 = y.half[0] >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    z.half[0] = (uint32_t)low | other << 32;
    z.half[1] = a1 * b1 + (middle >> 32) + (other >> 32) + x.half[1] * y.half[0] + x.half[0] * y.half[1];
    return z.whole;
}
