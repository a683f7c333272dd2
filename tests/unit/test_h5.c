/* SPDX-License-Identifier: MIT */
/* HDF5's errors as ours, and the host's handler left alone. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "nauha/internal/h5.h"

static unsigned printed;

static herr_t host_handler(hid_t stack, void *data) {
    (void)stack;
    ++*(unsigned *)data;
    return 0;
}

static herr_t old_host_handler(void *data) {
    ++*(unsigned *)data;
    return 0;
}

static void fail_once(void) {
    assert_true(H5Fopen("/nonexistent/run.h5", H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
}

static void test_quiet_keeps_the_handler(void **state) {
    (void)state;
    printed = 0;
    assert_true(H5Eset_auto2(H5E_DEFAULT, host_handler, &printed) >= 0);
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    fail_once();
    assert_int_equal(printed, 0);
    /* Nested: a layer that is called by another. */
    struct nauha__h5_quiet inner;
    nauha__h5_quiet_begin(&inner);
    nauha__h5_quiet_end(&inner);
    fail_once();
    assert_int_equal(printed, 0);
    nauha__h5_quiet_end(&quiet);
    H5E_auto2_t function = NULL;
    void *data = NULL;
    assert_true(H5Eget_auto2(H5E_DEFAULT, &function, &data) >= 0);
    assert_true(function == host_handler);
    assert_ptr_equal(data, &printed);
    fail_once();
    assert_int_equal(printed, 1);
}

static void test_quiet_keeps_a_handler_of_old(void **state) {
    (void)state;
    printed = 0;
    assert_true(H5Eset_auto1(old_host_handler, &printed) >= 0);
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    fail_once();
    assert_int_equal(printed, 0);
    nauha__h5_quiet_end(&quiet);
    unsigned is_v2 = 1;
    H5Eauto_is_v2(H5E_DEFAULT, &is_v2);
    assert_int_equal(is_v2, 0);
    fail_once();
    assert_int_equal(printed, 1);
    assert_true(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0);
}

static void test_system_error(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    fail_once();
    assert_int_equal(nauha__h5_error(&err, NAUHA_IO, "opening \"%s\"", "run.h5"), NAUHA_IO);
    assert_string_equal(err.message,
                        "opening \"run.h5\": unable to open file: No such file or directory");
    assert_int_equal(err.code, NAUHA_IO);
    assert_int_equal(err.saved_errno, ENOENT);
    assert_int_equal(H5Eget_num(H5E_DEFAULT), 0);
    nauha__h5_quiet_end(&quiet);
}

static void test_library_error(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__h5_quiet quiet;
    char path[] = "/tmp/nauha-test-h5-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "not HDF5 at all", 15), 15);
    close(file);
    nauha__h5_quiet_begin(&quiet);
    assert_true(H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    assert_int_equal(nauha__h5_error(&err, NAUHA_FORMAT, "opening \"x.h5\""), NAUHA_FORMAT);
    nauha__h5_quiet_end(&quiet);
    unlink(path);
    /* The innermost record, not "unable to open file" of the outermost; versions word it
     * differently. */
    assert_memory_equal(err.message, "opening \"x.h5\": ", 16);
    assert_non_null(strstr(err.message, "signature"));
    assert_null(strstr(err.message, "unable to open file"));
    assert_int_equal(err.saved_errno, 0);
}

/* A file that another process writes: callers tell it by errno. */
static void test_locked_file(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__h5_quiet quiet;
    char path[] = "/tmp/nauha-test-h5-XXXXXX";
    int lock = mkstemp(path);
    assert_true(lock >= 0);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    H5Fclose(file);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    nauha__h5_quiet_begin(&quiet);
    assert_true(H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT) < 0);
    assert_int_equal(nauha__h5_error(&err, NAUHA_BUSY, "opening \"x.h5\""), NAUHA_BUSY);
    nauha__h5_quiet_end(&quiet);
    close(lock);
    unlink(path);
    assert_string_equal(err.message, "opening \"x.h5\": unable to lock file: Resource temporarily "
                                     "unavailable");
    assert_int_equal(err.saved_errno, EAGAIN);
    assert_int_equal(err.code, NAUHA_BUSY);
}

static void test_nothing_on_the_stack(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    H5Eclear2(H5E_DEFAULT);
    assert_int_equal(nauha__h5_error(&err, NAUHA_NOMEM, "making a type"), NAUHA_NOMEM);
    assert_string_equal(err.message, "making a type");
    assert_int_equal(err.code, NAUHA_NOMEM);
    /* A code of ours stays, whatever errno says. */
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    fail_once();
    assert_int_equal(nauha__h5_error(&err, NAUHA_FORMAT, "opening"), NAUHA_FORMAT);
    assert_int_equal(err.code, NAUHA_FORMAT);
    fail_once();
    assert_int_equal(nauha__h5_error(NULL, NAUHA_BUSY, "opening"), NAUHA_BUSY);
    assert_int_equal(H5Eget_num(H5E_DEFAULT), 0);
    nauha__h5_quiet_end(&quiet);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_quiet_keeps_the_handler),
    cmocka_unit_test(test_quiet_keeps_a_handler_of_old),
    cmocka_unit_test(test_system_error),
    cmocka_unit_test(test_library_error),
    cmocka_unit_test(test_locked_file),
    cmocka_unit_test(test_nothing_on_the_stack),
};
UNIT_MAIN(tests)
