/* SPDX-License-Identifier: MIT */
/* Traces cut short, with bytes changed anywhere, and left behind by a writer that was killed: an
 * error, DAMAGED or the right data, never anything else. */
#include "tests/unit/trace_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "replay/trace/parts.h"

#define STEPS 12u
#define ELEMENTS 50u
#define PER_STEP 4u

static float value(uint64_t step, uint64_t i) {
    return (float)(step * 1000 + i);
}

/* Each step: batch_started, weights, weight_updates (derived, the last one all zeros), loss. */
static void write_steps(struct fixture *f, uint64_t steps) {
    uint32_t module = fixture_module(f, "features.0", "Conv2d");
    uint32_t shapes[2] = {fixture_shape(f, 1, (const int64_t[]){ELEMENTS}),
                          fixture_shape(f, 0, NULL)};
    uint64_t *offsets = calloc(steps, sizeof *offsets);
    for (uint64_t step = 0; step < steps; step++) {
        float weights[ELEMENTS];
        for (uint64_t i = 0; i < ELEMENTS; i++)
            weights[i] = value(step, i);
        offsets[step] = fixture_put(f, 2, weights, sizeof weights);
    }
    for (uint64_t step = 0; step < steps; step++) {
        double loss = 1.0 / (double)(step + 1);
        struct nauha__index_row row = {.global_step = step,
                                       .module = module,
                                       .shape = shapes[0],
                                       .kind = NAUHA_KIND_WEIGHTS,
                                       .stream = 2,
                                       .dtype = NAUHA_DTYPE_F32,
                                       .offset = offsets[step],
                                       .flags = NAUHA__ROW_DATA};
        fixture_event(f, NAUHA_KIND_BATCH_STARTED, step);
        fixture_index(f, row);
        row.kind = NAUHA_KIND_WEIGHT_UPDATES;
        row.flags |= NAUHA__ROW_DERIVED;
        row.base = offsets[step];
        row.offset = offsets[step + 1 < steps ? step + 1 : step];
        fixture_index(f, row);
        row = (struct nauha__index_row){.global_step = step,
                                        .module = NAUHA_NONE,
                                        .shape = shapes[1],
                                        .kind = NAUHA_KIND_LOSS,
                                        .stream = 3,
                                        .dtype = NAUHA_DTYPE_F64,
                                        .flags = NAUHA__ROW_DATA};
        row.offset = fixture_put(f, 3, &loss, sizeof loss);
        fixture_index(f, row);
    }
    free(offsets);
}

/* Whether a message that was read is what was written under its seq. */
static void check_message(struct nauha_message *message, const struct nauha_tensor *tensor,
                          uint64_t steps) {
    const struct nauha_message_info *info = nauha_message_info(message);
    static const uint32_t kinds[PER_STEP] = {NAUHA_KIND_BATCH_STARTED, NAUHA_KIND_WEIGHTS,
                                             NAUHA_KIND_WEIGHT_UPDATES, NAUHA_KIND_LOSS};
    uint64_t step = info->seq / PER_STEP;
    assert_true(step < steps);
    assert_int_equal(info->global_step, step);
    assert_int_equal(info->kind, kinds[info->seq % PER_STEP]);
    if (info->kind == NAUHA_KIND_LOSS) {
        assert_true(*(const double *)tensor->data == 1.0 / (double)(step + 1));
    } else if (info->kind != NAUHA_KIND_BATCH_STARTED) {
        assert_string_equal(info->module_name, "features.0");
        assert_int_equal(info->bytes, ELEMENTS * sizeof(float));
        for (uint64_t i = 0; i < ELEMENTS; i++) {
            float expected = info->kind == NAUHA_KIND_WEIGHTS ? value(step, i)
                             : step + 1 < steps               ? 1000.0f
                                                              : 0.0f;
            assert_true(((const float *)tensor->data)[i] == expected);
        }
    }
}

struct outcome {
    bool opened;
    uint64_t good, bad, findings;
    struct nauha_error err;
};

static bool is_failure(enum nauha_status status) {
    return status == NAUHA_IO || status == NAUHA_FORMAT || status == NAUHA_VERSION ||
           status == NAUHA_DAMAGED || status == NAUHA_BUSY || status == NAUHA_INVALID;
}

/* Reads everything there is to read. */
static struct outcome read_all(const char *path, uint64_t steps) {
    struct outcome outcome = {.err = NAUHA_ERROR_INIT};
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    enum nauha_status status = nauha_trace_open(path, names, &trace, &outcome.err);
    if (status != NAUHA_OK) {
        assert_true(is_failure(status));
        assert_true(strlen(outcome.err.message) > 10);
        nauha_names_free(names);
        assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
        return outcome;
    }
    outcome.opened = true;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, NULL), NAUHA_OK);
    while ((status = nauha_cursor_next(cursor, &message, &outcome.err)) != NAUHA_END) {
        struct nauha_tensor tensor = {.data = NULL};
        if (status == NAUHA_OK && nauha_message_info(message)->has_tensor)
            status = nauha_message_tensor(message, &tensor, &outcome.err);
        if (status == NAUHA_OK) {
            check_message(message, &tensor, steps);
            outcome.good++;
        } else {
            assert_true(is_failure(status));
            outcome.bad++;
        }
    }
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(nauha_trace_verify(trace, NULL, NULL, NULL, &outcome.findings, NULL),
                     NAUHA_OK);
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    return outcome;
}

static const char *write_trace(const char *name, bool swmr) {
    const char *path = fixture_path(name);
    struct fixture f;
    fixture_new(
        &f, path,
        &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = 512, .swmr = swmr});
    write_steps(&f, STEPS);
    fixture_close(&f, "");
    return path;
}

/* What a killed writer leaves: a file open for SWMR whose rows up to the last flush are there.
 * Returns its path. */
static const char *write_and_die(const char *name) {
    const char *path = fixture_path(name);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fixture f;
        fixture_new(&f, path,
                    &(struct fixture_options){
                        .method = NAUHA__CODEC_ZSTD, .chunk_bytes = 512, .swmr = true});
        write_steps(&f, STEPS);
        fixture_flush(&f);
        float more[ELEMENTS] = {1};
        for (int i = 0; i < 40; i++)
            fixture_put(&f, 2, more, sizeof more);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return path;
}

static void test_sound_to_begin_with(void **state) {
    (void)state;
    for (int swmr = 0; swmr < 2; swmr++) {
        struct outcome outcome = read_all(write_trace("sound.h5", swmr), STEPS);
        assert_true(outcome.opened);
        assert_int_equal(outcome.good, STEPS * PER_STEP);
        assert_int_equal(outcome.bad, 0);
        assert_int_equal(outcome.findings, 0);
    }
}

static void test_writer_was_killed(void **state) {
    (void)state;
    const char *path = write_and_die("killed.h5");
    struct outcome outcome = read_all(path, STEPS);
    if (!outcome.opened)
        fail_msg("%s", outcome.err.message);
    assert_int_equal(outcome.good, STEPS * PER_STEP);
    assert_int_equal(outcome.bad, 0);
    assert_int_equal(outcome.findings, 0);
    /* Locks that the environment asks for change nothing. */
    setenv("HDF5_USE_FILE_LOCKING", "TRUE", 1);
    assert_true(read_all(path, STEPS).opened);
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    assert_true(read_all(path, STEPS).opened);
    unsetenv("HDF5_USE_FILE_LOCKING");
}

/* A writer at work: what is flushed can be read, and stays what it was while rows are added. */
static void test_while_it_is_written(void **state) {
    (void)state;
    const char *path = fixture_path("live.h5");
    int to_child[2], to_parent[2];
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    char byte = 0;
    if (child == 0) {
        struct fixture f;
        fixture_new(&f, path,
                    &(struct fixture_options){
                        .method = NAUHA__CODEC_ZSTD, .chunk_bytes = 512, .swmr = true});
        write_steps(&f, STEPS);
        fixture_flush(&f);
        _exit(write(to_parent[1], "x", 1) == 1 && read(to_child[0], &byte, 1) == 1 &&
                      (fixture_event(&f, NAUHA_KIND_BATCH_STARTED, STEPS), fixture_flush(&f), 1) &&
                      write(to_parent[1], "x", 1) == 1 && read(to_child[0], &byte, 1) == 1
                  ? 0
                  : 1);
    }
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    struct outcome outcome = read_all(path, STEPS);
    assert_int_equal(outcome.good, STEPS * PER_STEP);
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_trace_open(path, names, &trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(write(to_child[1], "x", 1), 1);
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages, STEPS * PER_STEP);
    assert_false(info.closed);
    nauha_trace_close(trace);
    assert_int_equal(nauha_trace_open(path, names, &trace, &err), NAUHA_OK);
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages, STEPS * PER_STEP + 1);
    nauha_trace_close(trace);
    nauha_names_free(names);
    assert_int_equal(write(to_child[1], "x", 1), 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(to_child[i]);
        close(to_parent[i]);
    }
}

/* As when a trace is compared with itself. */
static void test_open_twice(void **state) {
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        const char *path = dead ? write_and_die("twice.h5") : write_trace("twice.h5", true);
        struct nauha_names *names = nauha_names_new();
        struct nauha_trace *first = NULL;
        struct nauha_error err = NAUHA_ERROR_INIT;
        if (nauha_trace_open(path, names, &first, &err) != NAUHA_OK)
            fail_msg("%s", err.message);
        struct nauha_trace *second = NULL;
        if (nauha_trace_open(path, names, &second, &err) != NAUHA_OK)
            fail_msg("%s", err.message);
        nauha_trace_close(first);
        struct nauha_trace_info info;
        nauha_trace_get_info(second, &info);
        assert_int_equal(info.messages, STEPS * PER_STEP);
        nauha_trace_close(second);
        nauha_names_free(names);
        assert_string_equal(err.message, "");
    }
}

/* A writer that died before readers were let in. */
static void test_killed_without_swmr(void **state) {
    (void)state;
    const char *path = fixture_path("busy.h5");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fixture f;
        fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
        write_steps(&f, 2);
        fixture_flush(&f);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct outcome outcome = read_all(path, 2);
    assert_false(outcome.opened);
    assert_int_equal(outcome.err.code, NAUHA_BUSY);
    assert_non_null(strstr(outcome.err.message, "its recorder is still creating it"));
}

/* Where a trace was cut, opening fails or the rest is right. */
static void truncate_everywhere(const char *path, const char *cut) {
    size_t bytes;
    unsigned char *data = fixture_slurp(path, &bytes);
    for (size_t i = 0; i < 120; i++) {
        size_t length = i < 60 ? i * 17 : bytes - 1 - (i - 60) * (bytes / 61);
        fixture_spill(cut, data, length);
        struct outcome outcome = read_all(cut, STEPS);
        if (outcome.opened && outcome.findings == 0)
            assert_int_equal(outcome.good, STEPS * PER_STEP);
    }
    free(data);
}

static void test_cut_short(void **state) {
    (void)state;
    const char *cut = fixture_path("short.h5");
    const char *path = write_trace("whole.h5", false);
    truncate_everywhere(path, cut);
    /* A closed file says how long it should be. */
    size_t bytes;
    unsigned char *data = fixture_slurp(path, &bytes);
    char text[64];
    fixture_spill(cut, data, bytes - 1);
    snprintf(text, sizeof text, "is truncated: it has %zu of %zu bytes", bytes - 1, bytes);
    struct outcome outcome = read_all(cut, STEPS);
    assert_false(outcome.opened);
    assert_int_equal(outcome.err.code, NAUHA_FORMAT);
    assert_non_null(strstr(outcome.err.message, text));
    fixture_spill(cut, data, 40);
    outcome = read_all(cut, STEPS);
    assert_non_null(strstr(outcome.err.message, "is truncated after 40 bytes"));
    free(data);
    truncate_everywhere(write_and_die("dead.h5"), cut);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One to four bytes changed, anywhere or where the file is not empty. */
static void flip_bytes(const char *path, uint64_t seed, size_t rounds) {
    size_t bytes;
    unsigned char *data = fixture_slurp(path, &bytes);
    unsigned char *changed = malloc(bytes);
    const char *flipped = fixture_path("flipped.h5");
    uint64_t random = seed, damaged = 0;
    for (size_t round = 0; round < rounds; round++) {
        memcpy(changed, data, bytes);
        for (size_t n = 1 + round % 4; n > 0; n--) {
            size_t at = (size_t)(next_random(&random) % bytes);
            while (round % 3 != 0 && data[at] == 0)
                at = (size_t)(next_random(&random) % bytes);
            changed[at] ^= (unsigned char)(1 + next_random(&random) % 255);
        }
        fixture_spill(flipped, changed, bytes);
        struct outcome outcome = read_all(flipped, STEPS);
        damaged += !outcome.opened || outcome.bad > 0 || outcome.findings > 0;
        /* What verify lets pass is all there. */
        if (outcome.opened && outcome.findings == 0)
            assert_int_equal(outcome.good, STEPS * PER_STEP);
    }
    /* The changes were not all to padding. */
    assert_true(damaged > rounds / 4);
    free(changed);
    free(data);
}

static void test_changed_bytes(void **state) {
    (void)state;
    flip_bytes(write_trace("closed.h5", false), 0x9E3779B97F4A7C15u, 400);
}

static void test_changed_bytes_of_a_dead_writers_file(void **state) {
    (void)state;
    flip_bytes(write_and_die("dead.h5"), 0xD1B54A32D192ED03u, 200);
}

/* A changed byte in one chunk costs the messages there and no others. */
static void test_damage_costs_what_it_hits(void **state) {
    (void)state;
    const char *path = fixture_path("one.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = 512});
    write_steps(&f, STEPS);
    fixture_close(&f, "");
    double loss = 1.0 / 3;
    fixture_flip_at(path, &loss, sizeof loss, 0, 3);
    struct outcome outcome = read_all(path, STEPS);
    assert_int_equal(outcome.bad, STEPS); /* all losses lie in one chunk */
    assert_int_equal(outcome.good, STEPS * (PER_STEP - 1));
    assert_int_equal(outcome.findings, 1);
    fixture_flip_at(path, "features.0", 11, 0, 2);
    outcome = read_all(path, STEPS);
    assert_int_equal(outcome.bad, STEPS * 3); /* and weights and updates need the name */
    assert_int_equal(outcome.good, STEPS);
}

/* HDF5 leaks where it gives up on damaged metadata, and then cannot close itself at exit. */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

int main(void) {
    H5dont_atexit();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_to_begin_with),
        cmocka_unit_test(test_writer_was_killed),
        cmocka_unit_test(test_while_it_is_written),
        cmocka_unit_test(test_open_twice),
        cmocka_unit_test(test_killed_without_swmr),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_changed_bytes_of_a_dead_writers_file),
        cmocka_unit_test(test_damage_costs_what_it_hits),
    };
    const char *filter = getenv("CMOCKA_TEST_FILTER");
    if (filter)
        cmocka_set_test_filter(filter);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fixture_clean();
    return failed;
}
