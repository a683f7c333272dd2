/* SPDX-License-Identifier: MIT */
/* A trace that is read while it is written: messages, names and chunks as each flush brings them,
 * and how the writer's end is told. */
#include "tests/unit/recorded.h"

#include <signal.h>
#include <sys/wait.h>

#include "nauha/pipeline.h"

#define BIG 200000 /* floats: several chunks */

/* A trace that is followed, and the walk over it. */
struct reader {
    struct nauha_names *names;
    struct nauha_trace *trace;
    struct nauha_cursor *cursor;
    uint64_t seen, step; /* messages, and the step of the last one */
    bool live;
};

static struct reader follow(const struct nauha_selector *selector) {
    struct reader reader = {.names = nauha_names_new()};
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_trace_open(recorded_path, reader.names, &reader.trace, &err), &err);
    must(nauha_cursor_new(reader.trace, selector, &reader.cursor, &err), &err);
    return reader;
}

static void end(struct reader *reader) {
    nauha_cursor_free(reader->cursor);
    nauha_trace_close(reader->trace);
    nauha_names_free(reader->names);
}

static void refresh(struct reader *reader) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_trace_refresh(reader->trace, &reader->live, &err), &err);
}

static struct nauha_message *next(struct reader *reader) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_message *message = NULL;
    enum nauha_status status = nauha_cursor_next(reader->cursor, &message, &err);
    if (status == NAUHA_END)
        return NULL;
    must(status, &err);
    reader->seen++;
    reader->step = nauha_message_info(message)->global_step;
    return message;
}

/* Every message there is now; tensors are BIG floats or one, all of the value of their step. */
static void walk(struct reader *reader) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    for (struct nauha_message *message; (message = next(reader));) {
        const struct nauha_message_info *info = nauha_message_info(message);
        struct nauha_tensor tensor;
        if (!info->has_tensor)
            continue;
        must(nauha_message_tensor(message, &tensor, &err), &err);
        const float *values = tensor.data;
        for (uint64_t i = 0; i < info->bytes / sizeof *values; i++)
            assert_true(values[i] == (float)info->global_step);
    }
}

static void flush(struct nauha_recorder *recorder) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    must(nauha_recorder_flush(recorder, &err), &err);
}

/* One step: a message of `count` floats that hold the step. */
static void step(struct nauha_recorder *recorder, uint32_t kind, uint32_t module, int64_t count,
                 uint64_t number) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)number;
    const struct nauha_tensor tensor = {
        .data = values, .dtype = NAUHA_DTYPE_F32, .ndim = 1, .shape = &count};
    must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
    publish(recorder, kind, module, &tensor);
    must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    free(values);
}

static const char *const at_request[] = {"flush", "1000", NULL};

static void test_each_flush_brings_its_messages(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(at_request);
    const uint32_t fc = add_module(recorder, "fc");
    step(recorder, NAUHA_KIND_ACTIVATIONS, fc, 1, 0);
    flush(recorder);
    struct reader reader = follow(NULL);
    walk(&reader);
    for (uint64_t i = 1; i < 20; i++) {
        step(recorder, NAUHA_KIND_ACTIVATIONS, fc, i % 2 ? BIG : 1, i);
        refresh(&reader);
        assert_true(reader.live);
        assert_null(next(&reader)); /* not flushed */
        flush(recorder);
        assert_null(next(&reader)); /* not refreshed */
        refresh(&reader);
        walk(&reader);
        assert_int_equal(reader.step, i);
    }
    close_recorder(recorder);
    refresh(&reader);
    walk(&reader);
    assert_false(reader.live);
    struct nauha_trace_info info;
    nauha_trace_get_info(reader.trace, &info);
    assert_true(info.closed);
    assert_int_equal(info.messages, reader.seen);
    assert_int_equal(info.steps, 20);
    end(&reader);
}

static void test_new_names_come_with_their_messages(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(at_request);
    struct reader reader = follow(NULL); /* before anything is in it */
    assert_null(next(&reader));
    for (uint64_t i = 0; i < 40; i++) {
        char name[16];
        uint32_t kind = NAUHA_KIND_ACTIVATIONS;
        snprintf(name, sizeof name, "module%d", (int)i);
        const uint32_t module = add_module(recorder, name);
        if (i % 4 == 3)
            must(nauha_names_add_kind(nauha_recorder_names(recorder), name, NAUHA_SCOPE_MODULE,
                                      NAUHA_FORM_TENSOR, &kind, &err),
                 &err);
        step(recorder, kind, module, (int64_t)i + 1, i);
        flush(recorder);
        refresh(&reader);
        bool found = false;
        for (struct nauha_message *message; (message = next(&reader));) {
            const struct nauha_message_info *info = nauha_message_info(message);
            if (!info->has_tensor)
                continue;
            found = true;
            assert_string_equal(info->module_name, name);
            assert_string_equal(info->kind_name, i % 4 == 3 ? name : "activations");
            assert_int_equal(info->shape[0], i + 1);
            uint64_t messages, bytes;
            nauha_trace_kind_totals(reader.trace, info->kind, &messages, &bytes);
            assert_true(messages > 0);
        }
        assert_true(found);
    }
    close_recorder(recorder);
    end(&reader);
}

/* Pages of the index hold 4096 rows. */
static void test_index_grows_within_and_over_pages(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(at_request);
    const uint32_t fc = add_module(recorder, "fc");
    struct reader reader = follow(NULL);
    uint64_t steps = 0;
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned i = 0; i < 100 * round + 1; i++)
            step(recorder, NAUHA_KIND_ACTIVATIONS, fc, 1, steps++);
        flush(recorder);
        refresh(&reader);
        walk(&reader);
    }
    assert_true(reader.seen > 8192);
    close_recorder(recorder);
    refresh(&reader);
    walk(&reader);
    end(&reader);
    struct recorded whole = read_back();
    assert_int_equal(reader.seen, whole.count);
    forget(&whole);
}

static void test_selection_goes_on(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(at_request);
    const uint32_t fc = add_module(recorder, "fc");
    struct nauha_selector *selector = nauha_selector_new();
    must(nauha_selector_set(selector, "kinds", "activations", &err), &err);
    must(nauha_selector_set(selector, "steps", "5::10", &err), &err);
    struct reader reader = follow(selector);
    for (uint64_t i = 0; i < 100; i++) {
        step(recorder, NAUHA_KIND_ACTIVATIONS, fc, 1, i);
        flush(recorder);
        refresh(&reader);
        struct nauha_message *message = next(&reader);
        assert_int_equal(message != NULL, i % 10 == 5);
        if (message)
            assert_int_equal(nauha_message_info(message)->global_step, i);
        assert_true(!message || !next(&reader));
    }
    close_recorder(recorder);
    end(&reader);
    nauha_selector_free(selector);
}

/* The retained message is loaded again after its chunk has moved in the table. */
static void test_messages_that_are_kept_can_still_be_read(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(at_request);
    const uint32_t fc = add_module(recorder, "fc");
    step(recorder, NAUHA_KIND_WEIGHTS, fc, 100, 0);
    flush(recorder);
    struct reader kept = follow(NULL);
    struct nauha_message *message = NULL;
    do
        message = next(&kept);
    while (message && !nauha_message_info(message)->has_tensor);
    assert_non_null(message);
    for (uint64_t i = 1; i < 10; i++)
        step(recorder, NAUHA_KIND_ACTIVATIONS, fc, BIG, i);
    flush(recorder);
    refresh(&kept);
    struct nauha_tensor tensor;
    must(nauha_message_tensor(message, &tensor, &err), &err);
    assert_true(((const float *)tensor.data)[99] == 0.0f);
    walk(&kept);
    close_recorder(recorder);
    end(&kept);
}

static void test_writer_that_died(void **state) {
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct nauha_recorder *recorder = recorded_open(at_request);
        const uint32_t fc = add_module(recorder, "fc");
        step(recorder, NAUHA_KIND_ACTIVATIONS, fc, 1, 0);
        flush(recorder);
        step(recorder, NAUHA_KIND_ACTIVATIONS, fc, 1, 1);
        if (write(ready[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct reader reader = follow(NULL);
    walk(&reader);
    const uint64_t flushed = reader.seen;
    assert_true(flushed > 0);
    refresh(&reader);
    assert_true(reader.live);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    refresh(&reader);
    assert_false(reader.live);
    walk(&reader);
    assert_int_equal(reader.seen, flushed);
    struct nauha_trace_info info;
    nauha_trace_get_info(reader.trace, &info);
    assert_false(info.closed);
    end(&reader);
    close(ready[0]);
    close(ready[1]);
}

static void test_closed_trace_stays_as_it_is(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    step(recorder, NAUHA_KIND_ACTIVATIONS, add_module(recorder, "fc"), 1, 0);
    close_recorder(recorder);
    struct reader reader = follow(NULL);
    reader.live = true;
    refresh(&reader);
    assert_false(reader.live);
    walk(&reader);
    assert_true(reader.seen > 0);
    end(&reader);
}

/* ---- a pipeline that follows ---- */

/* What a subscriber to activations sees: "STEP" for a message, "|STEP" for the end of a step. */
struct seen {
    char text[4096];
};

static enum nauha_status see(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct seen *seen = self;
    const size_t used = strlen(seen->text);
    (void)err;
    snprintf(seen->text + used, sizeof seen->text - used, " %d",
             (int)nauha_message_info(nauha_bundle_message(bundle, 0))->global_step);
    return NAUHA_OK;
}

static enum nauha_status see_end(void *self, uint64_t number, struct nauha_error *err) {
    struct seen *seen = self;
    const size_t used = strlen(seen->text);
    (void)err;
    snprintf(seen->text + used, sizeof seen->text - used, " |%d", (int)number);
    return NAUHA_OK;
}

/* A training that goes on while its follower waits. */
struct training {
    struct nauha_recorder *recorder;
    uint32_t fc;
    uint64_t steps;
    bool waits_only; /* the follower is to be told to end */
};

static bool train_on(void *context, bool waiting, uint64_t done, uint64_t total) {
    struct training *training = context;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_true(done <= total);
    if (!waiting || !training->recorder)
        return true;
    assert_int_equal(done, total);
    if (training->waits_only)
        return false;
    /* An event of a new kind, behind the end of its step */
    char name[16];
    uint32_t kind;
    snprintf(name, sizeof name, "event%d", (int)training->steps);
    must(nauha_names_add_kind(nauha_recorder_names(training->recorder), name, NAUHA_SCOPE_NETWORK,
                              NAUHA_FORM_EVENT, &kind, &err),
         &err);
    step(training->recorder, NAUHA_KIND_ACTIVATIONS, training->fc, 1, training->steps++);
    publish(training->recorder, kind, NAUHA_NONE, NULL);
    flush(training->recorder);
    if (training->steps == 10) {
        close_recorder(training->recorder);
        training->recorder = NULL;
    }
    return true;
}

/* training NULL: replays what is there. */
static void run(struct training *training, struct seen *seen) {
    static const struct nauha_subscriber_ops ops = {.compute = see, .step_finished = see_end};
    struct nauha_error err = NAUHA_ERROR_INIT;
    const char *kind = "activations";
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    must(nauha_trace_open(recorded_path, names, &trace, &err), &err);
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_subscriber *subscriber = nauha_subscriber_new("seen", &ops, seen);
    seen->text[0] = '\0';
    must(nauha_bus_subscribe(nauha_pipeline_bus(pipeline), nauha_subscription_new(&kind, 1),
                             subscriber, &err),
         &err);
    must(nauha_pipeline_start(pipeline, &err), &err);
    must(training ? nauha_pipeline_follow(pipeline, &trace, 1, NULL, train_on, training, &err)
                  : nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err),
         &err);
    must(nauha_pipeline_finish(pipeline, &err), &err);
    nauha_pipeline_free(pipeline);
    nauha_subscriber_free(subscriber);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_following_delivers_what_a_replay_does(void **state) {
    (void)state;
    struct training training = {.recorder = recorded_open(at_request)};
    struct seen followed, replayed;
    training.fc = add_module(training.recorder, "fc");
    run(&training, &followed);
    assert_int_equal(training.steps, 10);
    run(NULL, &replayed);
    assert_non_null(strstr(followed.text, " 9"));
    assert_string_equal(followed.text, replayed.text);
}

static void test_following_ends_when_told_to(void **state) {
    (void)state;
    struct training training = {.recorder = recorded_open(at_request), .waits_only = true};
    struct seen seen;
    step(training.recorder, NAUHA_KIND_ACTIVATIONS, add_module(training.recorder, "fc"), 1, 0);
    flush(training.recorder);
    run(&training, &seen);
    assert_string_equal(seen.text, " 0 |0");
    close_recorder(training.recorder);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, recorded_setup, recorded_teardown)

static const struct CMUnitTest tests[] = {
    CASE(test_each_flush_brings_its_messages),
    CASE(test_new_names_come_with_their_messages),
    CASE(test_index_grows_within_and_over_pages),
    CASE(test_selection_goes_on),
    CASE(test_messages_that_are_kept_can_still_be_read),
    CASE(test_writer_that_died),
    CASE(test_closed_trace_stays_as_it_is),
    CASE(test_following_delivers_what_a_replay_does),
    CASE(test_following_ends_when_told_to),
};

UNIT_MAIN(tests)
