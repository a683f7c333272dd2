/* SPDX-License-Identifier: MIT */
/* What every unit test starts with: cmocka and its main. */
#ifndef NAUHA_TESTS_UNIT_H
#define NAUHA_TESTS_UNIT_H

/* clang-format off: cmocka wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

/* The program runs `tests`, or those that CMOCKA_TEST_FILTER (`make test F=`) matches, and ends
 * with a statement. */
#define UNIT_MAIN_THEN(tests, statement)                                                           \
    int main(void) {                                                                               \
        const char *filter = getenv("CMOCKA_TEST_FILTER");                                         \
        if (filter)                                                                                \
            cmocka_set_test_filter(filter);                                                        \
        int failed = cmocka_run_group_tests(tests, NULL, NULL);                                    \
        statement;                                                                                 \
        return failed;                                                                             \
    }
#define UNIT_MAIN(tests) UNIT_MAIN_THEN(tests, (void)0)

static inline void assert_has(const char *text, const char *words) {
    if (!strstr(text, words))
        fail_msg("\"%s\" is not in:\n%s", words, text);
}

/* Appends a line to the text that `context` is: what reports are told to. */
static inline void collect(void *context, const char *line) {
    strcat((char *)context, line);
    strcat((char *)context, "\n");
}

#endif
