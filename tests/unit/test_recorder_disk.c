/* SPDX-License-Identifier: MIT */
/* The recorder on a disk that fails, or is lost, at each of its calls in turn: what the recorder
 * tells is what a reader finds. */
#include "tests/unit/recorded.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "nauha/internal/layout.h"

/* ---- the disk ---- */

enum { NEVER = INT_MAX };
static atomic_int writes_left = NEVER, syncs_left = NEVER; /* that go well */
static atomic_bool dies, end_fails;

/* Those of the C library give way to these. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    const bool failed = writes_left != NEVER && atomic_fetch_sub(&writes_left, 1) <= 0;
    if (failed && dies)
        kill(getpid(), SIGKILL);
    if (failed || (end_fails && count == sizeof(struct nauha__end_row))) {
        errno = ENOSPC;
        return -1;
    }
    return (ssize_t)syscall(SYS_pwrite64, fd, bytes, count, offset);
}

int fdatasync(int fd) {
    (void)fd;
    if (syncs_left != NEVER && atomic_fetch_sub(&syncs_left, 1) == 0) {
        errno = EIO;
        return -1;
    }
    return 0;
}

/* ---- recordings ---- */

enum { ROUNDS = 4, EACH = 5, ALL = ROUNDS * (EACH + 1), ELEMENTS = 30000 };
static float elements[ELEMENTS];

static void record(struct nauha_recorder *recorder) {
    const int64_t shape[] = {ELEMENTS};
    const struct nauha_tensor tensor = {elements, NAUHA_DTYPE_F32, 1, shape, NULL, 0};
    const float loss = 1;
    uint32_t module = add_module(recorder, "m");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++) {
            elements[i] = (float)round;
            publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
        }
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE,
                &(struct nauha_tensor){&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0});
        nauha_recorder_flush(recorder, NULL);
    }
}

static struct nauha_recorder *open_recorder(const char *flush) {
    return recorded_open((const char *const[]){"codec", "none", "flush", flush, NULL});
}

/* Closes the recorder and reads what there is; true where nothing had failed. */
static bool is_as_told(struct nauha_recorder *recorder) {
    struct nauha_recorder_stats stats;
    nauha_recorder_get_stats(recorder, &stats);
    const bool good = nauha_recorder_close(recorder, NULL) == NAUHA_OK;
    writes_left = syncs_left = NEVER;
    struct recorded got = read_back();
    assert_int_equal(got.count, stats.messages);
    assert_int_equal(got.info.bytes_published, stats.bytes_published);
    assert_int_equal(stats.messages + stats.messages_lost, ALL);
    assert_true(stats.bytes_stored >= stats.bytes_published);
    assert_true(stats.bytes_stored <= got.info.bytes_stored);
    if (got.info.closed)
        assert_int_equal(got.info.messages_lost, stats.messages_lost);
    assert_true(got.info.complete || !good);
    forget(&got);
    return good;
}

static void test_writes_that_fail(void **state) {
    (void)state;
    bool good = false;
    for (int n = 0; !good; n++) {
        struct nauha_recorder *recorder = open_recorder("1000");
        writes_left = n; /* and none after those, as on a full disk */
        record(recorder);
        good = is_as_told(recorder);
        assert_true(n < 1000);
    }
}

static void test_a_sync_that_fails(void **state) {
    (void)state;
    bool good = false;
    for (int n = 0; !good; n++) {
        struct nauha_recorder *recorder = open_recorder("1000,sync");
        syncs_left = n; /* and those after it go well again */
        record(recorder);
        good = is_as_told(recorder);
        assert_true(n < 1000);
    }
}

/* As on a full disk that copies what is overwritten: btrfs. */
static void test_an_end_that_cannot_be_written(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = open_recorder("1000");
    record(recorder);
    end_fails = true;
    enum nauha_status status = nauha_recorder_close(recorder, &err);
    end_fails = false;
    assert_int_equal(status, NAUHA_IO);
    assert_non_null(strstr(err.message, "cannot close trace"));
    assert_non_null(strstr(err.message, "No space left on device"));
    struct recorded got = read_back();
    assert_int_equal(got.count, ALL);
    assert_false(got.info.closed);
    assert_false(got.info.complete);
    assert_int_equal(got.info.messages_lost, 0);
    uint64_t findings;
    must(nauha_trace_verify(got.trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    forget(&got);
}

/* Killed at each write of its set-up, a recorder leaves no file, or an empty trace, or one of which
 * a reader says why it holds nothing. */
static void test_kills_during_set_up(void **state) {
    (void)state;
    int set_up = 0;
    for (int n = 0; !set_up; n++) {
        unlink(recorded_path);
        pid_t child = fork();
        if (child == 0) {
            dies = true;
            writes_left = n;
            recorded_open(NULL);
            _exit(0);
        }
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        set_up = WIFEXITED(how);
        assert_true(set_up || WTERMSIG(how) == SIGKILL);
        struct nauha_names *names = nauha_names_new();
        struct nauha_trace *trace = NULL;
        struct nauha_trace_info info;
        struct nauha_error err = NAUHA_ERROR_INIT;
        if (nauha_trace_open(recorded_path, names, &trace, &err) == NAUHA_OK) {
            nauha_trace_get_info(trace, &info);
            assert_false(info.closed);
            assert_int_equal(info.messages, 0);
        } else if (!strstr(err.message, "No such file") && !strstr(err.message, "is empty") &&
                   !strstr(err.message, "is empty: its recorder is still creating it")) {
            fail_msg("after %d writes: %s", n, err.message);
        }
        nauha_trace_close(trace);
        nauha_names_free(names);
        assert_true(n < 10000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_writes_that_fail),
        TEST(test_a_sync_that_fails),
        TEST(test_an_end_that_cannot_be_written),
        TEST(test_kills_during_set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
