/* SPDX-License-Identifier: MIT */
/* The names of a recording's file: a trace that is there is kept, and what is no trace stays. */
#include "tests/unit/directory.h"
#include "tests/unit/recorded.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int setup(void **state) {
    if (directory_setup(state) != 0)
        return -1;
    snprintf(recorded_path, sizeof recorded_path, "%s/run.h5", directory);
    return 0;
}

static const char *beside(const char *ending) {
    static char paths[4][160];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s", recorded_path, ending);
    return path;
}

static bool exists(const char *path) {
    struct stat about;
    return lstat(path, &about) == 0;
}

static void begin_step(struct nauha_recorder *recorder) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
}

static void record_steps(struct nauha_recorder *recorder, unsigned steps) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    for (unsigned i = 0; i < steps; i++)
        begin_step(recorder);
    if (steps)
        must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    close_recorder(recorder);
}

static uint64_t steps_in(const char *path) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace;
    struct nauha_trace_info info;
    must(nauha_trace_open(path, names, &trace, &err), &err);
    nauha_trace_get_info(trace, &info);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return info.steps;
}

static enum nauha_status opens(const char *path, struct nauha_error *err) {
    struct nauha_recorder *recorder = NULL;
    *err = (struct nauha_error)NAUHA_ERROR_INIT;
    const enum nauha_status checked = nauha_recorder_check(path, NULL, NULL);
    const enum nauha_status status = nauha_recorder_open(path, NULL, &recorder, err);
    assert_int_equal(checked, status);
    if (status == NAUHA_OK)
        close_recorder(recorder);
    return status;
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_text(const char *path, const char *text) {
    char found[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(found, text);
}

static void test_a_new_recording_has_its_name_at_once(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    assert_true(nauha_recorder_settled(recorder));
    assert_string_equal(nauha_recorder_path(recorder), recorded_path);
    assert_null(nauha_recorder_older(recorder));
    assert_true(exists(recorded_path) && !exists(beside(".untrained")));
    record_steps(recorder, 1);
    assert_int_equal(steps_in(recorded_path), 1);
}

static void test_the_older_trace_is_kept_from_the_first_step_on(void **state) {
    (void)state;
    record_steps(recorded_open(NULL), 5);
    struct nauha_recorder *recorder = recorded_open(NULL);
    begin_step(recorder);
    assert_false(nauha_recorder_settled(recorder));
    assert_int_equal(steps_in(recorded_path), 5);
    assert_string_equal(nauha_recorder_path(recorder), beside(".untrained"));
    begin_step(recorder);
    assert_true(nauha_recorder_settled(recorder));
    assert_string_equal(nauha_recorder_path(recorder), recorded_path);
    assert_string_equal(nauha_recorder_older(recorder), beside(".old"));
    assert_int_equal(steps_in(beside(".old")), 5);
    record_steps(recorder, 1);
    assert_int_equal(steps_in(recorded_path), 3);
    record_steps(recorded_open(NULL), 7); /* a trace at .old makes room for the next */
    assert_int_equal(steps_in(recorded_path), 7);
    assert_int_equal(steps_in(beside(".old")), 3);
    assert_false(exists(beside(".untrained")));
}

static void test_nothing_is_left_of_no_step(void **state) {
    (void)state;
    record_steps(recorded_open(NULL), 5);
    record_steps(recorded_open(NULL), 0);
    struct nauha_recorder *recorder = recorded_open(NULL);
    begin_step(recorder);
    close_recorder(recorder);
    assert_int_equal(steps_in(recorded_path), 5);
    assert_false(exists(beside(".old")) || exists(beside(".untrained")));
}

static void test_messages_without_steps_take_the_name_at_the_end(void **state) {
    (void)state;
    const float loss = 1;
    const struct nauha_tensor tensor = {&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0};
    record_steps(recorded_open(NULL), 5);
    struct nauha_recorder *recorder = recorded_open(NULL);
    publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &tensor);
    assert_int_equal(steps_in(recorded_path), 5);
    close_recorder(recorder);
    assert_int_equal(steps_in(beside(".old")), 5);
    struct recorded got = read_back();
    assert_int_equal(got.count, 1);
    forget(&got);
}

static void test_overwriting_keeps_nothing(void **state) {
    (void)state;
    const char *const overwrite[] = {"overwrite", "yes", NULL};
    record_steps(recorded_open(NULL), 5);
    record_steps(recorded_open(overwrite), 2);
    assert_int_equal(steps_in(recorded_path), 2);
    assert_false(exists(beside(".old")));
    write_text(recorded_path, "not a trace");
    record_steps(recorded_open(overwrite), 0);
    assert_text(recorded_path, "not a trace");
    record_steps(recorded_open(overwrite), 1);
    assert_int_equal(steps_in(recorded_path), 1);
}

static void test_what_is_no_trace_stays(void **state) {
    (void)state;
    struct nauha_error err;
    write_text(recorded_path, "import torch\n");
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "is not a trace of nauha, so it is not replaced"));
    assert_text(recorded_path, "import torch\n");
    write_text(recorded_path, "\x89HDF\r\n\x1a\n of somebody else's");
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    write_text(recorded_path, ""); /* holds nothing */
    record_steps(recorded_open(NULL), 1);
    assert_int_equal(steps_in(recorded_path), 1);
    write_text(beside(".old"), "mine");
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "cannot keep the old trace"));
    assert_text(beside(".old"), "mine");
    unlink(beside(".old"));
    write_text(beside(".untrained"), "mine");
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    assert_text(beside(".untrained"), "mine");
    assert_int_equal(steps_in(recorded_path), 1);
}

static void test_what_is_no_file_stays(void **state) {
    (void)state;
    struct nauha_error err;
    struct stat about;
    assert_int_equal(mkfifo(recorded_path, 0600), 0);
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "a device, a FIFO or a socket; a trace is a regular file"));
    assert_true(lstat(recorded_path, &about) == 0 && S_ISFIFO(about.st_mode));
    unlink(recorded_path);
    assert_int_equal(symlink("nowhere", recorded_path), 0);
    assert_int_equal(opens(recorded_path, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "a symbolic link to a file that does not exist"));
    assert_int_equal(opens("/dev/null", &err), NAUHA_INVALID);
    assert_true(lstat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
}

static void test_a_link_stands_for_what_it_points_at(void **state) {
    (void)state;
    struct stat about;
    char real[160];
    snprintf(real, sizeof real, "%s/real.h5", directory);
    record_steps(recorded_open(NULL), 5);
    assert_int_equal(rename(recorded_path, real), 0);
    assert_int_equal(symlink("real.h5", recorded_path), 0);
    record_steps(recorded_open(NULL), 2);
    assert_true(lstat(recorded_path, &about) == 0 && S_ISLNK(about.st_mode));
    assert_int_equal(steps_in(real), 2);
    snprintf(real, sizeof real, "%s/real.h5.old", directory);
    assert_int_equal(steps_in(real), 5);
}

/* The names that a file has on its way are longer than its own. */
static void test_long_names(void **state) {
    (void)state;
    struct nauha_error err;
    char path[400];
    for (int bytes = 244; bytes <= 255; bytes++) {
        snprintf(path, sizeof path, "%s/%0*d", directory, bytes, 0);
        assert_int_equal(opens(path, &err), bytes <= 245 ? NAUHA_OK : NAUHA_INVALID);
        assert_int_equal(exists(path), bytes <= 245);
    }
    assert_non_null(strstr(err.message, "its name is too long, by 10 bytes"));
}

static void test_another_folder_to_work_in(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder;
    char here[PATH_MAX];
    record_steps(recorded_open(NULL), 5);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(directory), 0);
    must(nauha_recorder_open("run.h5", NULL, &recorder, &err), &err);
    assert_int_equal(chdir(here), 0);
    record_steps(recorder, 2);
    assert_int_equal(steps_in(recorded_path), 2);
    assert_int_equal(steps_in(beside(".old")), 5);
}

static void test_tentative(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    struct nauha_recorder *recorder;
    nauha_recorder_config_set_tentative(config, true);
    must(nauha_recorder_open(recorded_path, config, &recorder, &err), &err);
    record_steps(recorder, 3);
    assert_false(exists(recorded_path) || exists(beside(".untrained")));
    must(nauha_recorder_open(recorded_path, config, &recorder, &err), &err);
    assert_false(exists(recorded_path));
    must(nauha_recorder_settle(recorder, &err), &err);
    must(nauha_recorder_settle(recorder, &err), &err);
    assert_true(exists(recorded_path));
    record_steps(recorder, 3);
    assert_int_equal(steps_in(recorded_path), 3);
    nauha_recorder_config_free(config);
}

static void test_two_recorders_over_one_trace(void **state) {
    (void)state;
    struct nauha_error err;
    record_steps(recorded_open(NULL), 5);
    struct nauha_recorder *first = recorded_open(NULL);
    assert_int_equal(opens(recorded_path, &err), NAUHA_BUSY); /* before its first step */
    begin_step(first);
    begin_step(first);
    assert_int_equal(opens(recorded_path, &err), NAUHA_BUSY); /* and behind it */
    record_steps(first, 1);
    assert_int_equal(steps_in(recorded_path), 3);
}

/* What somebody put there meanwhile stays, and the recording has the name that it began with. */
static void test_a_place_that_is_taken_meanwhile(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    record_steps(recorded_open(NULL), 5);
    struct nauha_recorder *recorder = recorded_open(NULL);
    begin_step(recorder);
    write_text(recorded_path, "mine");
    begin_step(recorder);
    assert_string_equal(nauha_recorder_path(recorder), beside(".untrained"));
    assert_int_equal(nauha_recorder_close(recorder, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "the recording is called"));
    assert_text(recorded_path, "mine");
    assert_int_equal(steps_in(beside(".untrained")), 2);
}

/* One that is killed before its first step leaves the older trace, and the next clears up. */
static void test_killed_before_the_first_step(void **state) {
    (void)state;
    record_steps(recorded_open(NULL), 5);
    pid_t child = fork();
    if (child == 0) {
        begin_step(recorded_open(NULL));
        raise(SIGKILL);
    }
    waitpid(child, NULL, 0);
    assert_int_equal(steps_in(recorded_path), 5);
    assert_true(exists(beside(".untrained")));
    record_steps(recorded_open(NULL), 2);
    assert_int_equal(steps_in(recorded_path), 2);
    assert_int_equal(steps_in(beside(".old")), 5);
    assert_false(exists(beside(".untrained")));
}

/* A program that has closed its standard streams may write to them all the same. */
static void test_no_descriptor_of_a_standard_stream(void **state) {
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            close(fd);
        struct nauha_recorder *recorder = NULL;
        if (nauha_recorder_open(recorded_path, NULL, &recorder, NULL) != NAUHA_OK)
            _exit(2);
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
            if (fcntl(fd, F_GETFD) != -1)
                _exit(3);
        nauha_recorder_begin_step(recorder, NULL, 0, NULL);
        nauha_recorder_end_step(recorder, NULL, 0, NULL);
        _exit(nauha_recorder_close(recorder, NULL) == NAUHA_OK ? 0 : 4);
    }
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(steps_in(recorded_path), 1);
}

#define NAMES(test) cmocka_unit_test_setup_teardown(test, setup, directory_teardown)
static const struct CMUnitTest tests[] = {
    NAMES(test_a_new_recording_has_its_name_at_once),
    NAMES(test_the_older_trace_is_kept_from_the_first_step_on),
    NAMES(test_nothing_is_left_of_no_step),
    NAMES(test_messages_without_steps_take_the_name_at_the_end),
    NAMES(test_overwriting_keeps_nothing),
    NAMES(test_what_is_no_trace_stays),
    NAMES(test_what_is_no_file_stays),
    NAMES(test_a_link_stands_for_what_it_points_at),
    NAMES(test_long_names),
    NAMES(test_another_folder_to_work_in),
    NAMES(test_tentative),
    NAMES(test_two_recorders_over_one_trace),
    NAMES(test_a_place_that_is_taken_meanwhile),
    NAMES(test_killed_before_the_first_step),
    NAMES(test_no_descriptor_of_a_standard_stream),
};

UNIT_MAIN(tests)
