/* SPDX-License-Identifier: MIT */
/* A directory for the files of a test, made before it and removed after it: setup and teardown are
 * for cmocka_unit_test_setup_teardown and the like. */
#ifndef NAUHA_TESTS_DIRECTORY_H
#define NAUHA_TESTS_DIRECTORY_H

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char directory[64];

static inline int setup(void **state) {
    (void)state;
    strcpy(directory, "/tmp/nauha-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static inline int teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

#endif
