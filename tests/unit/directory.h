/* SPDX-License-Identifier: MIT */
/* A directory for the files of a test, made before it and removed after it: setup and teardown are
 * for cmocka_unit_test_setup_teardown and the like. */
#ifndef NAUHA_TESTS_DIRECTORY_H
#define NAUHA_TESTS_DIRECTORY_H

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static char directory[64];

static inline int directory_setup(void **state) {
    (void)state;
    strcpy(directory, "/tmp/nauha-test-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static inline int directory_teardown(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

/* The path of a file in it; up to 4 at a time. */
static inline const char *path_of(const char *name) {
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

#endif
