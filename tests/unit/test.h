/* test.h - a test program: checks that count, test functions, one closing line.
 *
 *     #include "test.h"
 *
 *     static void test_addition(void) {
 *         CHECK(1 + 1 == 2);
 *         CHECK_CLOSE(0.1 + 0.2, 0.3, 1e-12);
 *         CHECK_STATUS(VIT_ERR_IO, vit_read_file(&buffer, "no such file", 100, &error));
 *     }
 *
 *     TEST_MAIN(TEST(test_addition))
 *
 * A failed check prints where it stands and what was found, and the program goes on; it ends with "N passed, M failed" and
 * exits 1 if M > 0. Arguments choose tests by a part of their names. Checks are for one thread. */
#ifndef VIT_TESTS_UNIT_TEST_H
#define VIT_TESTS_UNIT_TEST_H

#include "../../src/vit_tasks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
} test_case;

static int test_passed, test_failed;

/* Counts; a failure prints the place and leaves the line open for what was found. */
static inline int test_count(int good, const char *file, int line, const char *text) {
    if (good) {
        test_passed++;
        return 1;
    }
    test_failed++;
    printf("%s:%d: %s", file, line, text);
    return 0;
}

static inline int test_check(int good, const char *file, int line, const char *text) {
    if (!test_count(good, file, line, text))
        puts(" does not hold");
    return good;
}

/* Equal values are close, infinities included; NaN is close to nothing. */
static inline int test_close(double found, double expected, double tolerance, const char *file, int line,
                             const char *text) {
    int good = found == expected || fabs(found - expected) <= tolerance;
    if (!test_count(good, file, line, text))
        printf(" is %.9g, expected %.9g within %.3g\n", found, expected, tolerance);
    return good;
}

static inline int test_string(const char *found, const char *expected, const char *file, int line, const char *text) {
    int good = found && expected ? strcmp(found, expected) == 0 : found == expected;
    if (!test_count(good, file, line, text))
        printf(" is \"%s\", expected \"%s\"\n", found ? found : "(null)", expected ? expected : "(null)");
    return good;
}

static inline int test_status(vit_status found, vit_status expected, const char *file, int line, const char *text) {
    if (!test_count(found == expected, file, line, text))
        printf(" gives %s, expected %s\n", vit_status_name(found), vit_status_name(expected));
    return found == expected;
}

/* Each gives 1 where it held, so that `if (!CHECK(p)) return;` guards what follows. */
#define CHECK(condition) test_check((condition) != 0, __FILE__, __LINE__, #condition)
#define CHECK_CLOSE(found, expected, tolerance) test_close(found, expected, tolerance, __FILE__, __LINE__, #found)
#define CHECK_STRING(found, expected) test_string(found, expected, __FILE__, __LINE__, #found)
#define CHECK_STATUS(expected, call) test_status(call, expected, __FILE__, __LINE__, #call)
/* The text of a vit_error names what it should. */
#define CHECK_MENTIONS(text, part) test_mentions(text, part, __FILE__, __LINE__)

static inline int test_mentions(const char *text, const char *part, const char *file, int line) {
    int good = strstr(text, part) != NULL;
    if (!test_count(good, file, line, "the text"))
        printf(" \"%s\" does not mention \"%s\"\n", text, part);
    return good;
}

static inline int test_main(int count, char **arguments, const test_case *cases, int cases_count) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out before a crash */
    for (int i = 0; i < cases_count; i++) {
        int chosen = count < 2;
        for (int a = 1; a < count; a++)
            chosen = chosen || strstr(cases[i].name, arguments[a]);
        if (!chosen)
            continue;
        int failed_before = test_failed;
        cases[i].run();
        if (test_failed > failed_before)
            printf("%s: %d failed\n", cases[i].name, test_failed - failed_before);
    }
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0;
}

#define TEST(function) {#function, function}
#define TEST_MAIN(...)                                                                                 \
    int main(int count, char **arguments) {                                                            \
        static const test_case cases[] = {__VA_ARGS__};                                                \
        return test_main(count, arguments, cases, (int)(sizeof cases / sizeof *cases));                \
    }

#endif
