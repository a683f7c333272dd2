/* SPDX-License-Identifier: MIT */
/* Recordings with temporal coding: every value of every parameter comes back, whatever cuts the
 * runs short, and reading in order decodes a chunk once. */
#include "tests/unit/recorded.h"

#include "recorder/buffer.h"
#include "replay/trace/parts.h"
#include "tests/unit/codec_data.h"

enum { PARAMETERS = 8, MOST = 90 * 1000 };

/* A parameter whose first dimension may be strided over. */
struct value {
    enum nauha_dtype dtype;
    bool bias, strided;
    int64_t count;
};

static const struct value values[PARAMETERS] = {
    {NAUHA_DTYPE_F32, false, false, 6},     {NAUHA_DTYPE_F32, true, false, 3},
    {NAUHA_DTYPE_F32, false, false, MOST},  {NAUHA_DTYPE_F64, false, false, 5000},
    {NAUHA_DTYPE_BF16, false, true, 40001}, {NAUHA_DTYPE_I8, true, false, 9},
    {NAUHA_DTYPE_F32, true, true, 12345},   {NAUHA_DTYPE_F32, false, false, 0},
};

struct net {
    unsigned char *memory[PARAMETERS];
    struct nauha_parameter parameters[PARAMETERS];
};

/* Element i of a parameter at a step: a straight course, with steps of every size. */
static void put_element(const struct value *value, size_t number, uint64_t step, size_t i,
                        unsigned char *at) {
    double start = (double)((i * 2654435761u + number) % 1000) / 500 - 1;
    double speed = ((double)((i * 40503u) % 97) - 48) * 1e-4;
    data_put(at, nauha_dtype_size(value->dtype), start + speed * (double)step);
}

static void net_init(struct net *net, struct nauha_recorder *recorder) {
    static const int64_t two = 2;
    for (size_t p = 0; p < PARAMETERS; p++) {
        char name[16];
        snprintf(name, sizeof name, "layer%zu", p);
        size_t size = nauha_dtype_size(values[p].dtype);
        net->memory[p] = calloc((size_t)values[p].count * 2 + 1, size);
        assert_non_null(net->memory[p]);
        net->parameters[p] =
            (struct nauha_parameter){.module = add_module(recorder, name),
                                     .slot = add_slot(recorder, values[p].bias ? "bias" : "weight"),
                                     .bias = values[p].bias,
                                     .tensor = {.data = net->memory[p],
                                                .dtype = values[p].dtype,
                                                .ndim = 1,
                                                .shape = &values[p].count,
                                                .strides = values[p].strided ? &two : NULL}};
    }
}

static void net_set(struct net *net, uint64_t step) {
    for (size_t p = 0; p < PARAMETERS; p++) {
        size_t size = nauha_dtype_size(values[p].dtype), stride = values[p].strided ? 2 : 1;
        for (size_t i = 0; i < (size_t)values[p].count; i++)
            put_element(&values[p], p, step, i, net->memory[p] + i * stride * size);
    }
}

static void net_fini(struct net *net) {
    for (size_t p = 0; p < PARAMETERS; p++)
        free(net->memory[p]);
}

/* What happens to a recording between its steps. */
struct course {
    unsigned steps;
    unsigned flush_every; /* 0: by time alone */
    unsigned fewer_every; /* a step with the first parameters alone; 0: never */
    bool explicit_ends;
};

static void record(const char *const *options, const struct course *course) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open(options);
    struct net net;
    net_init(&net, recorder);
    for (unsigned step = 0; step < course->steps; step++) {
        bool fewer = course->fewer_every && step % course->fewer_every == course->fewer_every - 1;
        net_set(&net, step);
        must(nauha_recorder_begin_step(recorder, net.parameters, fewer ? 3 : PARAMETERS, &err),
             &err);
        if (course->flush_every && step % course->flush_every == 0)
            must(nauha_recorder_flush(recorder, &err), &err);
        if (course->explicit_ends) {
            net_set(&net, step + 1);
            must(nauha_recorder_end_step(recorder, net.parameters, PARAMETERS, &err), &err);
        }
    }
    net_set(&net, course->steps);
    must(nauha_recorder_end_step(recorder, net.parameters, PARAMETERS, &err), &err);
    close_recorder(recorder);
    net_fini(&net);
}

static void check_message(const struct recorded_message *message, unsigned char *expected) {
    size_t p = (size_t)(message->info.module_name[5] - '0');
    const struct value *value = &values[p];
    size_t size = nauha_dtype_size(value->dtype);
    if (strstr(message->info.kind_name, "updates") != NULL)
        return; /* differences of what is compared here: test_recorder */
    assert_int_equal(message->info.bytes, (size_t)value->count * size);
    for (size_t i = 0; i < (size_t)value->count; i++)
        put_element(value, p, message->info.global_step, i, expected + i * size);
    if (message->info.bytes)
        assert_memory_equal(message->data, expected, message->info.bytes);
}

static void fail_at_finding(void *context, const char *text) {
    (void)context;
    fail_msg("%s", text);
}

/* Compares all there is; returns how many parameters' values that was. */
static size_t check_all(void) {
    struct recorded got = read_back();
    struct nauha_error err = NAUHA_ERROR_INIT;
    unsigned char *expected = malloc(MOST * 8);
    uint64_t findings = 0;
    size_t count = 0;
    assert_non_null(expected);
    for (size_t i = 0; i < got.count; i++) {
        if (!got.messages[i].info.has_tensor)
            continue;
        check_message(&got.messages[i], expected);
        count += strstr(got.messages[i].info.kind_name, "updates") == NULL;
    }
    must(nauha_trace_verify(got.trace, fail_at_finding, NULL, NULL, &findings, &err), &err);
    assert_int_equal(findings, 0);
    free(expected);
    forget(&got);
    return count;
}

static void test_values_come_back(void **state) {
    (void)state;
    static const char *const codecs[] = {"zstd,temporal", "lz4,temporal"};
    static const struct course courses[] = {
        {.steps = 37},
        {.steps = 20, .flush_every = 3},
        {.steps = 20, .explicit_ends = true},
    };
    for (size_t c = 0; c < 2; c++) {
        for (size_t i = 0; i < sizeof courses / sizeof *courses; i++) {
            record((const char *const[]){"codec", codecs[c], "flush", "3600", NULL}, &courses[i]);
            assert_int_equal(check_all(), courses[i].steps * PARAMETERS);
        }
    }
}

static void test_parameters_that_come_and_go(void **state) {
    (void)state;
    const struct course course = {.steps = 21, .fewer_every = 4};
    record((const char *const[]){"codec", "zstd,temporal", "flush", "3600", NULL}, &course);
    assert_int_equal(check_all(), 21 * PARAMETERS - 5 * (PARAMETERS - 3));
}

/* From rows that fit sixteen times into a quarter of the buffer to those that do not fit twice, and
 * a buffer that the runs could fill. */
static void test_any_buffer(void **state) {
    (void)state;
    static const char *const buffers[] = {"1M", "4M", "6M", "12M", "64M"};
    const struct course course = {.steps = 18};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        record((const char *const[]){"codec", "zstd,temporal", "buffer", buffers[i], "flush",
                                     "0.01", NULL},
               &course);
        assert_int_equal(check_all(), course.steps * PARAMETERS);
    }
}

/* What is not dropped is right. */
static void test_dropping(void **state) {
    (void)state;
    const struct course course = {.steps = 40};
    record((const char *const[]){"codec", "zstd,temporal", "buffer", "5M", "on-full", "drop", NULL},
           &course);
    assert_in_range(check_all(), 1, course.steps * PARAMETERS);
}

static uint64_t file_bytes(void) {
    struct recorded got = read_back();
    uint64_t bytes = got.info.bytes_stored;
    forget(&got);
    return bytes;
}

static void test_it_is_smaller(void **state) {
    (void)state;
    const struct course course = {.steps = 32};
    record((const char *const[]){"flush", "3600", "kinds", "weights,biases", NULL}, &course);
    uint64_t plain = file_bytes();
    record((const char *const[]){"codec", "zstd,temporal", "flush", "3600", "kinds",
                                 "weights,biases", NULL},
           &course);
    assert_true(file_bytes() < plain * 2 / 3);
}

/* Step by step every chunk is decoded once, and updates need no more. */
static void test_reading_in_order(void **state) {
    (void)state;
    const struct course course = {.steps = 32};
    record((const char *const[]){"codec", "zstd,temporal", "flush", "3600", NULL}, &course);
    struct recorded got = read_back();
    struct nauha__chunk_counts counts;
    size_t chunks = 0;
    nauha__chunks_get_counts(got.trace->chunks, &counts);
    while (nauha__chunks_at(got.trace->chunks, chunks))
        chunks++;
    assert_true(chunks > 8);
    assert_int_equal(counts.decoded, chunks);
    forget(&got);
}

static void test_streams_are_told_apart(void **state) {
    (void)state;
    size_t sliced = 0;
    for (uint16_t i = 0; i < NAUHA__STREAMS; i++) {
        struct nauha__stream_shape shape = nauha__stream_shape(i);
        assert_true(shape.item_size > 0);
        assert_int_equal(shape.slices > 1, i >= NAUHA__PLAIN_STREAMS);
        assert_int_equal(NAUHA__CHUNK_BYTES / shape.item_size % shape.slices, 0);
        sliced += shape.slices > 1;
    }
    assert_int_equal(sliced, NAUHA__SLICED_STREAMS);
    assert_int_equal(nauha__stream_shape(NAUHA__STREAMS).item_size, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recorded_setup, recorded_teardown)

static const struct CMUnitTest tests[] = {
    TEST(test_values_come_back),
    TEST(test_parameters_that_come_and_go),
    TEST(test_any_buffer),
    TEST(test_dropping),
    TEST(test_it_is_smaller),
    TEST(test_reading_in_order),
    TEST(test_streams_are_told_apart),
};

UNIT_MAIN(tests)
