/* SPDX-License-Identifier: MIT */
/* The recorder when something goes wrong: full buffers and disks, limits, other writers, forks,
 * kills. The training's calls never fail for it. */
#include "tests/unit/recorded.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ELEMENTS = 1 << 20 };
static float noise[ELEMENTS];
static const int64_t noise_shape[] = {ELEMENTS};
static const struct nauha_tensor big = {noise, NAUHA_DTYPE_F32, 1, noise_shape, NULL, 0};

static int make_noise(void **state) {
    uint64_t x = 88172645463325252u; /* Marsaglia's xorshift64 */
    for (size_t i = 0; i < ELEMENTS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        noise[i] = (float)(int32_t)x;
    }
    return recorded_setup(state);
}

static void publish_big(struct nauha_recorder *recorder, int times) {
    uint32_t module = add_module(recorder, "m");
    for (int i = 0; i < times; i++)
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &big);
}

/* ---- the buffer ---- */

static void test_tensors_larger_than_the_buffer(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open((const char *const[]){"buffer", "1M", NULL});
    publish_big(recorder, 8);
    struct nauha_recorder_stats stats;
    nauha_recorder_get_stats(recorder, &stats);
    assert_int_equal(stats.messages, 8);
    assert_true(stats.blocked_ns > 0);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 8);
    for (size_t i = 0; i < got.count; i++)
        assert_memory_equal(got.messages[i].data, noise, sizeof noise);
    assert_true(got.info.complete);
    forget(&got);
}

static void test_dropping_is_counted(void **state) {
    (void)state;
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"buffer", "1M", "on-full", "drop", NULL});
    publish_big(recorder, 5); /* each is larger than the buffer */
    const float loss = 1;
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE,
            &(struct nauha_tensor){&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0});
    assert_int_equal(nauha_recorder_failure(recorder, NULL), NAUHA_OK);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 1);
    assert_int_equal(got.messages[0].info.seq, 5); /* the gap tells as well */
    assert_false(got.info.complete);
    assert_int_equal(got.info.messages_lost, 5);
    assert_int_equal(got.info.bytes_lost, 5 * sizeof noise);
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    assert_true(nauha_trace_loss(got.trace, 0, &kind, &reason, &messages, &bytes));
    assert_int_equal(kind, NAUHA_KIND_ACTIVATIONS);
    assert_string_equal(reason, "buffer full");
    assert_int_equal(messages, 5);
    forget(&got);
}

/* ---- the file ---- */

/* Steps of events, a small parameter and a few modules: rows and names more than elements. */
static void record_small(struct nauha_recorder *recorder, unsigned steps) {
    static float weight[256];
    static const int64_t count = 256;
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_parameter parameter = {
        .module = add_module(recorder, "small"),
        .slot = add_slot(recorder, "weight"),
        .tensor = {.data = weight, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = &count}};
    for (unsigned step = 0; step < steps; step++) {
        char name[32];
        snprintf(name, sizeof name, "module%u", step % 500);
        add_module(recorder, name);
        weight[step % 256] += 0.001f * (float)step;
        must(nauha_recorder_begin_step(recorder, &parameter, 1, &err), &err);
    }
}

static void test_limit(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"limit", "8M", "buffer", "1M", NULL});
    publish_big(recorder, 20);
    assert_int_equal(nauha_recorder_failure(recorder, &err), NAUHA_LIMIT);
    assert_string_equal(err.message, "recording stopped at its limit of 8388608 bytes");
    assert_int_equal(nauha_recorder_close(recorder, &err), NAUHA_LIMIT);
    struct recorded got = read_back();
    assert_in_range(got.count, 1, 3); /* of 4 MB each */
    for (size_t i = 0; i < got.count; i++)
        assert_memory_equal(got.messages[i].data, noise, sizeof noise);
    assert_int_equal(got.count + got.info.messages_lost, 20);
    assert_true(got.info.closed);
    assert_string_equal(got.info.failure, "recording stopped at its limit of 8388608 bytes");
    forget(&got);
}

/* Whatever is recorded, and however large the buffer is, the file ends within its limit, and not
 * far below it. */
static void test_no_limit_is_passed(void **state) {
    (void)state;
    static const char *const codecs[] = {"none", "zstd", "zstd,temporal"};
    static const char *const limits[] = {"1M", "2M", "3M", "5M", "9M"};
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            struct nauha_error err = NAUHA_ERROR_INIT;
            struct stat about;
            struct nauha_recorder *recorder = recorded_open((const char *const[]){
                "limit", limits[l], "codec", codecs[c], "flush", l % 2 ? "0.01" : "3600", NULL});
            record_small(recorder, 3000);
            publish_big(recorder, 3);
            assert_int_equal(nauha_recorder_close(recorder, &err), NAUHA_LIMIT);
            assert_int_equal(stat(recorded_path, &about), 0);
            int64_t limit = (int64_t)(limits[l][0] - '0') << 20;
            assert_true(about.st_size <= limit);
            if (limit > 3 << 20)
                assert_true(about.st_size > limit - (2 << 20));
            struct recorded got = read_back();
            assert_true(got.info.closed && got.info.messages_lost > 0);
            forget(&got);
        }
    }
}

/* Messages without a tensor have rows only, of which no chunk asks whether there is room. */
static void test_rows_keep_to_the_limit(void **state) {
    (void)state;
    for (unsigned often = 0; often < 2; often++) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        struct stat about;
        struct nauha_recorder *recorder = recorded_open(
            (const char *const[]){"limit", "1M", "flush", often ? "0.01" : "3600", NULL});
        for (unsigned step = 0; step < 20000; step++)
            must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
        assert_int_equal(nauha_recorder_close(recorder, &err), NAUHA_LIMIT);
        assert_int_equal(stat(recorded_path, &about), 0);
        assert_in_range(about.st_size, 1 << 19, 1 << 20);
        struct recorded got = read_back();
        assert_true(got.info.closed && got.info.messages_lost > 0);
        assert_true(got.count > 1000);
        forget(&got);
    }
}

/* A disk that is full after the first flush. */
static void test_full_disk(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct nauha_recorder *recorder = recorded_open((const char *const[]){"buffer", "1M", NULL});
    publish_big(recorder, 2);
    must(nauha_recorder_flush(recorder, &err), &err);
    limit = before;
    limit.rlim_cur = 12 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    publish_big(recorder, 10); /* every call returns NAUHA_OK */
    assert_int_equal(nauha_recorder_flush(recorder, &err), NAUHA_IO);
    assert_non_null(strstr(err.message, "cannot write to trace"));
    assert_non_null(strstr(err.message, "File too large"));
    publish_big(recorder, 1);
    assert_int_equal(nauha_recorder_close(recorder, NULL), NAUHA_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    struct recorded got = read_back();
    assert_int_equal(got.count, 2);
    assert_memory_equal(got.messages[1].data, noise, sizeof noise);
    assert_int_equal(got.info.messages_lost, 11);
    assert_true(got.info.closed);
    assert_false(got.info.complete);
    assert_non_null(strstr(got.info.failure, "File too large"));
    forget(&got);
}

static void test_places_that_cannot_be_written(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = NULL;
    assert_int_equal(nauha_recorder_open("/nonexistent/run.h5", NULL, &recorder, &err), NAUHA_IO);
    assert_string_equal(err.message,
                        "cannot create trace \"/nonexistent/run.h5\": No such file or directory");
    assert_int_equal(nauha_recorder_open("/tmp", NULL, &recorder, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "cannot create trace \"/tmp\": it is a directory; a trace is "
                                     "a regular file");
    assert_null(recorder);
}

static void test_an_older_file_is_replaced_and_its_readers_keep_it(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    publish_big(recorder, 1);
    close_recorder(recorder);
    struct recorded old = read_back();
    recorder = recorded_open((const char *const[]){"overwrite", "yes", NULL});
    publish_big(recorder, 2);
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(old.count, 1);
    assert_int_equal(got.count, 2);
    forget(&got);
    forget(&old);
}

static void test_a_vanished_directory(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    publish_big(recorder, 1);
    unlink(recorded_path);
    publish_big(recorder, 1);
    must(nauha_recorder_close(recorder, &err), &err); /* the file lives as long as it is open */
}

/* ---- other processes ---- */

static void test_second_writer(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL), *second = NULL;
    publish_big(recorder, 1);
    assert_int_equal(nauha_recorder_open(recorded_path, NULL, &second, &err), NAUHA_BUSY);
    assert_non_null(strstr(err.message, "is being written by another recorder"));
    /* The child needs HDF5, which the parent's writer is busy with as it forks. */
    for (int i = 0; i < 20; i++) {
        publish_big(recorder, 1);
        pid_t child = fork();
        if (child == 0) {
            struct nauha_recorder *other = NULL;
            alarm(20);
            _exit(nauha_recorder_open(recorded_path, NULL, &other, NULL) == NAUHA_BUSY ? 7 : 1);
        }
        int ended;
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 7);
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    assert_int_equal(got.count, 21);
    assert_true(got.info.complete);
    forget(&got);
}

/* A child of the training, such as a data loader, has the recorder in its memory. */
static void test_fork(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(NULL);
    uint32_t module = add_module(recorder, "m");
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &big);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        bool good = true;
        for (int i = 0; i < 100; i++)
            good = good && nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS, module, 0, 0,
                                                  &big, NULL) == NAUHA_OK;
        good = good && nauha_recorder_begin_step(recorder, NULL, 0, NULL) == NAUHA_OK;
        good = good && nauha_recorder_end_step(recorder, NULL, 0, NULL) == NAUHA_OK;
        good = good && nauha_recorder_epoch_finished(recorder, NULL) == NAUHA_OK;
        good = good && nauha_recorder_flush(recorder, NULL) == NAUHA_OK;
        good = good && !nauha_recorder_wants(recorder, NAUHA_KIND_LOSS, NAUHA_NONE);
        good = good && nauha_recorder_close(recorder, NULL) == NAUHA_OK;
        _exit(good ? 7 : 1);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 7);
    publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &big);
    must(nauha_recorder_close(recorder, &err), &err);
    struct recorded got = read_back();
    assert_int_equal(got.count, 2);
    assert_memory_equal(got.messages[1].data, noise, sizeof noise);
    assert_true(got.info.complete);
    forget(&got);
}

/* A child that ends as programs do has HDF5 close the files that it inherited. */
static void test_children_that_exit(void **state) {
    (void)state;
    enum { CHILDREN = 20 };
    struct nauha_recorder *recorder = recorded_open((const char *const[]){"flush", "0.01", NULL});
    uint32_t module = add_module(recorder, "m");
    for (int i = 0; i < CHILDREN; i++) {
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &big);
        if (i % 2)
            nauha_recorder_flush(recorder, NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            usleep(20000);        /* meanwhile the parent goes on */
            close(STDERR_FILENO); /* a sanitizer takes what the parent has for leaks */
            exit(0);
        }
        for (int j = 0; j < 5; j++)
            publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &big);
        nauha_recorder_flush(recorder, NULL);
        int ended;
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(WIFEXITED(ended));
    }
    close_recorder(recorder);
    struct recorded got = read_back();
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint64_t findings;
    must(nauha_trace_verify(got.trace, NULL, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    assert_int_equal(got.count, 6 * CHILDREN);
    for (size_t i = 0; i < got.count; i++)
        assert_memory_equal(got.messages[i].data, noise, sizeof noise);
    assert_true(got.info.complete);
    forget(&got);
}

static void record_until_killed(int tell) {
    struct nauha_recorder *recorder =
        recorded_open((const char *const[]){"flush", "0.02", "buffer", "2M", NULL});
    uint32_t module = add_module(recorder, "m");
    const int64_t shape[] = {1000};
    static float values[1000];
    for (uint64_t i = 0;; i++) {
        for (int j = 0; j < 1000; j++)
            values[j] = (float)i;
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module,
                &(struct nauha_tensor){values, NAUHA_DTYPE_F32, 1, shape, NULL, 0});
        if (i == 99) {
            nauha_recorder_flush(recorder, NULL);
            if (write(tell, "x", 1) != 1)
                _exit(1);
        }
    }
}

/* Killed at moments that differ, each recording holds everything up to its last flush. */
static void test_kill(void **state) {
    (void)state;
    for (unsigned round = 0; round < 12; round++) {
        int flushed[2];
        char byte;
        unlink(recorded_path);
        assert_int_equal(pipe(flushed), 0);
        pid_t child = fork();
        if (child == 0)
            record_until_killed(flushed[1]);
        close(flushed[1]); /* so that a child that dies early ends the read */
        assert_int_equal(read(flushed[0], &byte, 1), 1);
        usleep(round * 7919u);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(flushed[0]);
        struct recorded got = read_back();
        assert_false(got.info.closed);
        assert_true(got.count >= 100);
        for (size_t i = 0; i < got.count; i++) {
            float values[1000];
            memcpy(values, got.messages[i].data, sizeof values);
            assert_int_equal(got.messages[i].info.seq, i);
            assert_float_equal(values[0], (float)i, 0);
            assert_float_equal(values[999], (float)i, 0);
        }
        uint64_t findings;
        struct nauha_error err = NAUHA_ERROR_INIT;
        must(nauha_trace_verify(got.trace, NULL, NULL, NULL, &findings, &err), &err);
        assert_int_equal(findings, 0);
        forget(&got);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_noise, recorded_teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_tensors_larger_than_the_buffer),
    TEST(test_dropping_is_counted),
    TEST(test_limit),
    TEST(test_no_limit_is_passed),
    TEST(test_rows_keep_to_the_limit),
    TEST(test_full_disk),
    TEST(test_places_that_cannot_be_written),
    TEST(test_an_older_file_is_replaced_and_its_readers_keep_it),
    TEST(test_a_vanished_directory),
    TEST(test_second_writer),
    TEST(test_fork),
    TEST(test_children_that_exit),
    TEST(test_kill),
};
UNIT_MAIN(tests)
