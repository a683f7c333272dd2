/* SPDX-License-Identifier: MIT */
/* Outputs: what they replace, and that only whole files come into place. */
#include "directory.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "nauha/output.h"

static const struct nauha_output_form form = {
    .noun = "a page", .start = "<page>", .start_bytes = 6, .mark = "ours", .within = 20};

static void put(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_holds(const char *name, const char *text) {
    char found[128] = "";
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, text);
}

static bool is_there(const char *name) {
    struct stat about;
    return lstat(path_of(name), &about) == 0;
}

/* Writes "new" under a request and returns what came of it. */
static enum nauha_status write_new(const struct nauha_output_request *request) {
    struct nauha_output output;
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_output_open(&output, request, &err);
    assert_int_equal(nauha_output_check(request, NULL), status);
    if (status != NAUHA_OK)
        return status;
    fputs("new", output.stream);
    return nauha_output_finish(&output, &err);
}

static void test_forms(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool is;
    } cases[] = {{"", true},
                 {"<page> ours", true},
                 {"<page>      12345ours", false}, /* past the first 20 bytes */
                 {"<page>", false},
                 {"<pag", false},
                 {"ours <page>", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct nauha_output_request request = {.path = path_of("file"), .form = &form};
        put("file", cases[i].text);
        assert_int_equal(nauha_output_is(request.path, &form), cases[i].is);
        assert_int_equal(write_new(&request), cases[i].is ? NAUHA_OK : NAUHA_INVALID);
        assert_holds("file", cases[i].is ? "new" : cases[i].text);
        assert_false(is_there("file.partial"));
    }
    assert_false(nauha_output_is(path_of("nothing"), &form));
    assert_false(nauha_output_is(directory, &form));
}

static void test_overwriting(void **state) {
    (void)state;
    put("file", "somebody's");
    const char *path = path_of("file"), *const inputs[] = {path_of("other"), path};
    struct nauha_output_request request = {.path = path, .form = &form, .overwrite = true};
    assert_int_equal(write_new(&request), NAUHA_OK);
    assert_holds("file", "new");
    put("file", "somebody's");
    request.inputs = inputs;
    request.input_count = 2;
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    assert_int_equal(symlink("file", path_of("link")), 0);
    request.path = path_of("link");
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    assert_int_equal(link(path_of("file"), path_of("second name")), 0);
    request.path = path_of("second name");
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    assert_holds("file", "somebody's");
}

static void test_links(void **state) {
    (void)state;
    put("file", "somebody's");
    assert_int_equal(symlink("file", path_of("link")), 0);
    struct nauha_output_request request = {.path = path_of("link"), .named_by_us = true};
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    request.named_by_us = false;
    assert_int_equal(write_new(&request), NAUHA_OK);
    assert_holds("file", "new");
    assert_int_equal(unlink(path_of("file")), 0); /* the link points nowhere now */
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    assert_false(is_there("file"));
}

static void test_what_is_left_beside(void **state) {
    (void)state;
    put("victim", "somebody's");
    put("file.partial", "left");
    const struct nauha_output_request request = {.path = path_of("file")};
    assert_int_equal(write_new(&request), NAUHA_OK);
    assert_int_equal(symlink("victim", path_of("file.partial")), 0);
    struct nauha_output output;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_output_open(&output, &request, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "/file.partial\": it is a link"));
    assert_holds("victim", "somebody's");
    assert_holds("file", "new");
}

static void test_giving_up(void **state) {
    (void)state;
    put("file", "before");
    const struct nauha_output_request request = {.path = path_of("file")};
    struct nauha_output output;
    assert_int_equal(nauha_output_open(&output, &request, NULL), NAUHA_OK);
    fputs("half", output.stream);
    nauha_output_drop(&output);
    nauha_output_drop(&output);
    assert_false(is_there("file.partial"));
    assert_int_equal(nauha_output_open(&output, &request, NULL), NAUHA_OK);
    fputs("half", output.stream);
    nauha_output_leave(&output);
    assert_holds("file.partial", "half");
    assert_holds("file", "before");
}

/* The reason is known at the end, also of a write that failed long before. */
static void test_full_disk(void **state) {
    (void)state;
    put("file", "before");
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 10;
    signal(SIGXFSZ, SIG_IGN);
    static const char block[100000];
    for (size_t size = 11; size <= sizeof block; size *= 7) {
        const struct nauha_output_request request = {.path = path_of("file")};
        struct nauha_output output;
        struct nauha_error err = NAUHA_ERROR_INIT;
        assert_int_equal(nauha_output_open(&output, &request, &err), NAUHA_OK);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        fwrite(block, 1, size, output.stream);
        enum nauha_status status = nauha_output_finish(&output, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(status, NAUHA_IO);
        assert_non_null(strstr(err.message, "/file.partial\": File too large"));
        assert_holds("file", "before");
        assert_false(is_there("file.partial"));
    }
}

static void test_sockets_and_devices(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path_of("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    struct nauha_output_request request = {.path = path_of("socket"), .overwrite = true};
    assert_int_equal(write_new(&request), NAUHA_INVALID);
    request.path = "/dev/null";
    assert_int_equal(write_new(&request), NAUHA_OK);
    request.named_by_us = true;
    assert_int_equal(write_new(&request), NAUHA_INVALID);
}

#define FILES(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
static const struct CMUnitTest tests[] = {
    FILES(test_forms),
    FILES(test_overwriting),
    FILES(test_links),
    FILES(test_what_is_left_beside),
    FILES(test_giving_up),
    FILES(test_full_disk),
    FILES(test_sockets_and_devices),
};

UNIT_MAIN(tests)
