/* SPDX-License-Identifier: MIT */
/* How the tools of the tests fail. */
#ifndef NAUHA_TESTS_TOOLS_CHECK_H
#define NAUHA_TESTS_TOOLS_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nauha/status.h"

/* Ends the program where a call failed. */
static inline void check(enum nauha_status status, const struct nauha_error *err) {
    if (status != NAUHA_OK) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, err->message);
        exit(3);
    }
}

#endif
