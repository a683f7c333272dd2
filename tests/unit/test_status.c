/* SPDX-License-Identifier: MIT */
/* Status texts and the error context. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "nauha/status.h"

static void test_texts(void **state) {
    (void)state;
    assert_string_equal(nauha_status_text(NAUHA_OK), "success");
    assert_string_equal(nauha_status_text(NAUHA_NOMEM), "out of memory");
    assert_string_equal(nauha_status_text(NAUHA_SUBSCRIBER), "a subscriber failed");
    assert_string_equal(nauha_status_text((enum nauha_status)(NAUHA_SUBSCRIBER + 1)),
                        "unknown status");
    assert_string_equal(nauha_status_text((enum nauha_status) - 1), "unknown status");
}

static void test_set(void **state) {
    (void)state;
    struct nauha_error err = {NAUHA_IO, EACCES, "old"};
    errno = EBUSY;
    assert_int_equal(nauha_error_set(&err, NAUHA_FORMAT, "row %d of \"%s\" is broken", 7, "/index"),
                     NAUHA_FORMAT);
    assert_int_equal(err.code, NAUHA_FORMAT);
    assert_int_equal(err.saved_errno, 0);
    assert_string_equal(err.message, "row 7 of \"/index\" is broken");
    assert_int_equal(errno, EBUSY);
    assert_int_equal(nauha_error_set(NULL, NAUHA_LIMIT, "nobody listens"), NAUHA_LIMIT);
}

static void test_nomem(void **state) {
    (void)state;
    struct nauha_error err = {NAUHA_IO, EACCES, "old"};
    assert_int_equal(nauha_error_nomem(&err), NAUHA_NOMEM);
    assert_int_equal(err.code, NAUHA_NOMEM);
    assert_int_equal(err.saved_errno, 0);
    assert_string_equal(err.message, "out of memory");
    assert_int_equal(nauha_error_nomem(NULL), NAUHA_NOMEM);
}

static void test_set_errno(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_error_set_errno(&err, ENOENT, "opening \"%s\"", "run.h5"), NAUHA_IO);
    assert_int_equal(err.saved_errno, ENOENT);
    assert_string_equal(err.message, "opening \"run.h5\": No such file or directory");
    assert_int_equal(nauha_error_set_errno(&err, ENOMEM, "mapping"), NAUHA_NOMEM);
    assert_string_equal(err.message, "mapping: Cannot allocate memory");
    assert_int_equal(nauha_error_set_errno(NULL, ENOENT, "opening"), NAUHA_IO);
    assert_int_equal(nauha_error_set_errno(NULL, ENOMEM, "mapping"), NAUHA_NOMEM);
}

static void test_wrap(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    nauha_error_set_errno(&err, EIO, "reading chunk 3");
    assert_int_equal(nauha_error_wrap(&err, NAUHA_DAMAGED, "replaying \"%s\"", "a.h5"), NAUHA_IO);
    assert_int_equal(err.saved_errno, EIO);
    assert_string_equal(err.message, "replaying \"a.h5\": reading chunk 3: Input/output error");
    assert_int_equal(nauha_error_wrap(NULL, NAUHA_DAMAGED, "replaying"), NAUHA_DAMAGED);
}

static void test_wrap_of_silence(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_error_wrap(&err, NAUHA_SUBSCRIBER, "metric \"norm\""), NAUHA_SUBSCRIBER);
    assert_int_equal(err.code, NAUHA_SUBSCRIBER);
    assert_string_equal(err.message, "metric \"norm\": a subscriber failed");
}

static void test_arguments_from_the_message(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    nauha_error_set(&err, NAUHA_IO, "inner");
    nauha_error_set(&err, NAUHA_FORMAT, "outer of %s", err.message);
    assert_string_equal(err.message, "outer of inner");
    nauha_error_wrap(&err, NAUHA_FORMAT, "(%s)", err.message);
    assert_string_equal(err.message, "(outer of inner): outer of inner");
}

static void test_long_messages_are_cut(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    nauha_error_set(&err, NAUHA_IO, "%s", text);
    assert_int_equal(strlen(err.message), 1023);
    assert_string_equal(err.message + 1019, "x...");
    nauha_error_wrap(&err, NAUHA_IO, "front");
    assert_int_equal(strlen(err.message), 1023);
    assert_memory_equal(err.message, "front: xxx", 10);
    assert_string_equal(err.message + 1019, "x...");

    /* 1023 bytes fit exactly. */
    text[1023] = '\0';
    nauha_error_set(&err, NAUHA_IO, "%s", text);
    assert_string_equal(err.message, text);
    text[1023] = 'x';

    /* Never through the middle of a character: U+00E4 is two bytes. */
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA4", 2);
    for (size_t shift = 0; shift < 2; shift++) {
        nauha_error_set(&err, NAUHA_IO, "%s%s", shift ? "_" : "", text);
        size_t length = strlen(err.message);
        assert_in_range(length, 1022, 1023);
        assert_string_equal(err.message + length - 3, "...");
        assert_int_equal((length - 3 - shift) % 2, 0);
    }
}

static void test_no_terminal_obeys_a_message(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    nauha_error_set(&err, NAUHA_FORMAT, "\"%s\"", "a\x1b]0;owned\a\r\x7f\xC2\x9bm\xFF\xC3");
    assert_string_equal(err.message, "\"a?]0;owned?????m??\"");
    nauha_error_wrap(&err, NAUHA_FORMAT,
                     "in gr\xC3\xB6\xC3\x9F"
                     "e,\n\tline two, \b");
    assert_string_equal(err.message, "in gr\xC3\xB6\xC3\x9F"
                                     "e,\n\tline two, ?: \"a?]0;owned?????m??\"");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_texts),
    cmocka_unit_test(test_set),
    cmocka_unit_test(test_nomem),
    cmocka_unit_test(test_set_errno),
    cmocka_unit_test(test_wrap),
    cmocka_unit_test(test_wrap_of_silence),
    cmocka_unit_test(test_arguments_from_the_message),
    cmocka_unit_test(test_long_messages_are_cut),
    cmocka_unit_test(test_no_terminal_obeys_a_message),
};
UNIT_MAIN(tests)
