/* SPDX-License-Identifier: MIT */
/* Shards: their placements in the names, recorded and read back, and what a damaged or hostile
 * table of placements does. */
#include "tests/unit/recorded.h"
#include "tests/unit/trace_fixture.h"

static const int64_t whole_shape[] = {5, 3};

static enum nauha_status add(struct nauha_names *names, int64_t rows, int64_t first, uint32_t *id,
                             struct nauha_error *err) {
    const int64_t shape[] = {rows, 3}, offset[] = {first, 0};
    const struct nauha_placement placement = {.ndim = 2, .shape = whole_shape, .offset = offset};
    return nauha_names_add_placement(names, shape, 2, &placement, id, err);
}

/* ---- names ---- */

static void test_shards_of_one_shape_have_numbers_of_their_own(void **state) {
    (void)state;
    struct nauha_names *names = nauha_names_new();
    const int64_t local[] = {2, 3};
    uint32_t first, second, again, plain, whole, ndim;
    struct nauha_placement placement;
    assert_int_equal(add(names, 2, 0, &first, NULL), NAUHA_OK);
    assert_int_equal(add(names, 2, 2, &second, NULL), NAUHA_OK);
    assert_int_equal(add(names, 2, 0, &again, NULL), NAUHA_OK);
    assert_int_equal(nauha_names_add_shape(names, local, 2, &plain, NULL), NAUHA_OK);
    assert_int_equal(nauha_names_add_shape(names, whole_shape, 2, &whole, NULL), NAUHA_OK);
    assert_int_equal(whole, 0);
    assert_int_not_equal(first, 0);
    assert_int_equal(first, again);
    assert_int_not_equal(first, second);
    assert_int_not_equal(first, plain);
    assert_int_not_equal(second, plain);
    assert_memory_equal(nauha_names_shape(names, second, &ndim), local, sizeof local);
    assert_int_equal(ndim, 2);
    assert_true(nauha_names_placement(names, second, &placement));
    assert_int_equal(placement.ndim, 2);
    assert_memory_equal(placement.shape, whole_shape, sizeof whole_shape);
    assert_int_equal(placement.offset[0], 2);
    assert_int_equal(placement.offset[1], 0);
    assert_false(placement.flat);
    assert_int_equal(placement.summands, 0);
    assert_false(nauha_names_placement(names, plain, &placement));
    assert_false(nauha_names_placement(names, whole, NULL));
    assert_false(nauha_names_placement(names, NAUHA_NONE, NULL));
    nauha_names_free(names);
}

static void test_summands_have_numbers_of_their_own(void **state) {
    (void)state;
    struct nauha_names *names = nauha_names_new();
    const int64_t offset[] = {0, 0};
    struct nauha_placement placement = {.ndim = 2, .shape = whole_shape, .offset = offset};
    uint32_t id[4];
    for (uint32_t i = 0; i < 4; i++) {
        placement.summand = i == 3 ? 0 : i;
        placement.summands = i == 3 ? 1 : 3; /* the only summand is the whole */
        assert_int_equal(nauha_names_add_placement(names, whole_shape, 2, &placement, &id[i], NULL),
                         NAUHA_OK);
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(id[i], id[j]);
    }
    assert_true(nauha_names_placement(names, id[2], &placement));
    assert_int_equal(placement.summand, 2);
    assert_int_equal(placement.summands, 3);
    assert_true(nauha_names_placement(names, id[3], &placement));
    assert_int_equal(placement.summands, 0);
    nauha_names_free(names);
}

static void test_what_does_not_lie_in_the_whole_is_refused(void **state) {
    (void)state;
    static const struct {
        int64_t shape[2], offset[2], whole[3];
        uint32_t ndim, whole_ndim;
        bool flat, good;
    } cases[] = {
        {{5, 3}, {0, 0}, {5, 3}, 2, 2, false, true},
        {{0, 3}, {5, 0}, {5, 3}, 2, 2, false, true}, /* empty, at the end */
        {{1, 3}, {5, 0}, {5, 3}, 2, 2, false, false},
        {{5, 3}, {1, 0}, {5, 3}, 2, 2, false, false},
        {{2, 3}, {-1, 0}, {5, 3}, 2, 2, false, false},
        {{2, 3}, {INT64_MAX, 0}, {5, 3}, 2, 2, false, false},
        {{INT64_MAX, 1}, {1, 0}, {5, 3}, 2, 2, false, false},
        {{-1, 3}, {0, 0}, {5, 3}, 2, 2, false, false},
        {{2, 3}, {0, 0}, {5, -3}, 2, 2, false, false},
        {{2, 3}, {0, 0}, {5, 3, 1}, 2, 3, false, false},
        {{7, 0}, {8, 0}, {5, 3}, 1, 2, true, true},
        {{0, 0}, {15, 0}, {5, 3}, 1, 2, true, true},
        {{8, 0}, {8, 0}, {5, 3}, 1, 2, true, false},
        {{5, 3}, {0, 0}, {5, 3}, 2, 2, true, false}, /* flat, but with two dimensions */
        {{1, 0}, {0, 0}, {0, 0}, 1, 0, true, true},
        {{0, 0}, {0, 0}, {0, 0}, 0, 0, false, true},
        {{1, 1}, {0, 0}, {INT64_MAX, INT64_MAX}, 2, 2, false, false}, /* too many elements */
    };
    struct nauha_names *names = nauha_names_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct nauha_placement placement = {.ndim = cases[i].whole_ndim,
                                                  .shape = cases[i].whole,
                                                  .offset = cases[i].offset,
                                                  .flat = cases[i].flat};
        uint32_t id = NAUHA_NONE;
        const enum nauha_status status =
            nauha_names_add_placement(names, cases[i].shape, cases[i].ndim, &placement, &id, NULL);
        if (status != (cases[i].good ? NAUHA_OK : NAUHA_INVALID))
            fail_msg("case %zu", i);
    }
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint32_t id;
    assert_int_equal(add(names, 4, 2, &id, &err), NAUHA_INVALID);
    assert_string_equal(err.message,
                        "a shard of length 4 at 2 does not lie in the whole of length 5");
    nauha_names_free(names);
}

/* ---- recorded and read back ---- */

static const struct nauha_message_info *find(const struct recorded *got, const char *kind,
                                             uint64_t step) {
    for (size_t i = 0; i < got->count; i++)
        if (strcmp(got->messages[i].info.kind_name, kind) == 0 &&
            got->messages[i].info.global_step == step)
            return &got->messages[i].info;
    fail_msg("there is no message of kind %s", kind);
    return NULL;
}

static void assert_placed(const struct recorded *got, const char *kind, uint64_t step, int64_t rows,
                          int64_t first) {
    struct nauha_placement placement;
    const struct nauha_message_info *info = find(got, kind, step);
    assert_int_equal(info->shape[0], rows);
    assert_int_not_equal(info->placement, 0);
    assert_true(nauha_names_placement(got->names, info->placement, &placement));
    assert_memory_equal(placement.shape, whole_shape, sizeof whole_shape);
    assert_int_equal(placement.offset[0], first);
}

static void test_parameters_and_messages_keep_their_placement(void **state) {
    (void)state;
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct nauha_names *names = nauha_recorder_names(recorder);
    struct nauha_error err = NAUHA_ERROR_INIT;
    const uint32_t module = add_module(recorder, "layer");
    float values[6] = {1, 2, 3, 4, 5, 6};
    const int64_t shape[] = {2, 3}, none[] = {0, 3};
    const struct nauha_tensor tensor = {values, NAUHA_DTYPE_F32, 2, shape, NULL, 0};
    const struct nauha_tensor empty = {NULL, NAUHA_DTYPE_F32, 2, none, NULL, 0};
    uint32_t low, high, end;
    must(add(names, 2, 0, &low, &err), &err);
    must(add(names, 2, 3, &high, &err), &err);
    must(add(names, 0, 5, &end, &err), &err);
    struct nauha_parameter parameter = {.module = module, .placement = high, .tensor = tensor};
    for (int step = 0; step < 2; step++) {
        must(nauha_recorder_begin_step(recorder, &parameter, 1, &err), &err);
        must(nauha_recorder_publish_shard(recorder, NAUHA_KIND_WEIGHT_GRADIENTS, module, 0, 0,
                                          &tensor, low, &err),
             &err);
        must(nauha_recorder_publish_shard(recorder, NAUHA_KIND_BUFFERS, module, 0, 0, &empty, end,
                                          &err),
             &err);
        publish(recorder, NAUHA_KIND_ACTIVATIONS, module, &tensor);
        values[0] += 1;
        must(nauha_recorder_end_step(recorder, &parameter, 1, &err), &err);
        must(nauha_recorder_flush(recorder, &err), &err);
    }
    assert_int_equal(nauha_recorder_publish_shard(recorder, NAUHA_KIND_BUFFERS, module, 0, 0,
                                                  &tensor, end, &err),
                     NAUHA_INVALID);
    assert_string_equal(err.message, "placement number 3 has another shape");
    assert_int_equal(
        nauha_recorder_publish_shard(recorder, NAUHA_KIND_BUFFERS, module, 0, 0, &tensor, 77, &err),
        NAUHA_INVALID);
    assert_string_equal(err.message, "placement number 77 is not registered");
    close_recorder(recorder);
    struct recorded got = read_back();
    for (uint64_t step = 0; step < 2; step++) {
        assert_placed(&got, "weights", step, 2, 3);
        assert_placed(&got, "weight_updates", step, 2, 3);
        assert_placed(&got, "weight_gradients", step, 2, 0);
        assert_placed(&got, "buffers", step, 0, 5);
        assert_int_equal(find(&got, "activations", step)->placement, 0);
    }
    forget(&got);
}

/* Of a batch of 5 in two shards, 3 samples are kept: all of the first shard, and one of the second.
 */
static void test_samples_are_those_of_the_whole(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = recorded_open((const char *const[]){"samples", "3", NULL});
    const uint32_t module = add_module(recorder, "layer");
    static const struct {
        int64_t rows, first, kept;
        const char *kind;
        uint32_t number;
    } cases[] = {{2, 0, 2, "network_output", NAUHA_KIND_NETWORK_OUTPUT},
                 {3, 2, 1, "activations", NAUHA_KIND_ACTIVATIONS},
                 {1, 4, 0, "layer_gradients", NAUHA_KIND_LAYER_GRADIENTS}};
    const float values[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        uint32_t id;
        const int64_t shape[] = {cases[i].rows, 3};
        const struct nauha_tensor tensor = {values, NAUHA_DTYPE_F32, 2, shape, NULL, 0};
        must(add(nauha_recorder_names(recorder), cases[i].rows, cases[i].first, &id, &err), &err);
        must(nauha_recorder_publish_shard(recorder, cases[i].number, i ? module : NAUHA_NONE, 0, 0,
                                          &tensor, id, &err),
             &err);
    }
    must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    close_recorder(recorder);
    struct recorded got = read_back();
    for (size_t i = 0; i < 3; i++) {
        struct nauha_placement placement;
        const struct nauha_message_info *info = find(&got, cases[i].kind, 0);
        assert_int_equal(info->shape[0], cases[i].kept);
        assert_int_equal(info->bytes, cases[i].kept * 3 * 4);
        assert_true(nauha_names_placement(got.names, info->placement, &placement));
        assert_int_equal(placement.shape[0], 3);
        assert_int_equal(placement.shape[1], 3);
    }
    forget(&got);
}

/* ---- what a file may hold ---- */

/* A trace with one message of shape 1, the shape of a shard of shape 0. Returns what the reader
 * says of the message: NAUHA_OK and its placement, or why it is left out. */
static enum nauha_status read_one(struct nauha__placement_row *rows, size_t count,
                                  uint32_t reserved, bool closed, uint64_t *findings,
                                  struct nauha_error *err) {
    const char *path = fixture_path("placements.h5");
    struct fixture f;
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    struct nauha__shape_row local = {.ndim = 2, .reserved = reserved, .dims = {0, 3}};
    fixture_shape(&f, 2, whole_shape);
    fixture_row(&f, NAUHA__TABLE_SHAPES, &local);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].checksum != 1)
            nauha__row_seal(nauha__table(NAUHA__TABLE_PLACEMENTS), &rows[i]);
        fixture_append(&f, NAUHA__TABLE_PLACEMENTS, &rows[i], 1);
    }
    struct nauha__index_row row = {.module = UINT32_MAX,
                                   .kind = NAUHA_KIND_LOSS,
                                   .shape = 1,
                                   .stream = NAUHA__NO_STREAM,
                                   .flags = NAUHA__ROW_DATA};
    fixture_row(&f, NAUHA__TABLE_INDEX, &row);
    fixture_close(&f, closed ? "" : NULL);
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    must(nauha_trace_open(path, names, &trace, err), err);
    must(nauha_trace_verify(trace, NULL, NULL, NULL, findings, err), err);
    must(nauha_cursor_new(trace, NULL, &cursor, err), err);
    enum nauha_status status = nauha_cursor_next(cursor, &message, err);
    if (status == NAUHA_OK && reserved)
        assert_true(nauha_names_placement(names, nauha_message_info(message)->placement, NULL));
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return status;
}

static void test_a_shard_without_a_sound_placement_is_left_out(void **state) {
    (void)state;
    struct nauha__placement_row good = {.shape = 1, .whole = 0, .offset = {5, 0}};
    static const struct {
        const char *what;
        struct nauha__placement_row row;
    } bad[] = {
        {"outside", {.shape = 1, .offset = {6, 0}}},
        {"negative", {.shape = 1, .offset = {-1, 0}}},
        {"overflowing", {.shape = 1, .offset = {INT64_MAX, INT64_MAX}}},
        {"flat with two dimensions", {.shape = 1, .flags = NAUHA__PLACEMENT_FLAT}},
        {"unknown flags", {.shape = 1, .flags = 2}},
        {"no such summand", {.shape = 1, .summand = 2, .summands = 2}},
        {"a summand of none", {.shape = 1, .summand = 1}},
        {"all flags", {.shape = 1, .flags = UINT32_MAX}},
        {"a part of itself", {.shape = 1, .whole = 1}},
        {"no such whole", {.shape = 1, .whole = 77}},
        {"no such shape", {.shape = 77}},
        {"a shape that is no shard's", {.shape = 0}},
        {"checksum", {.shape = 1, .checksum = 1}},
    };
    uint64_t findings;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(read_one(&good, 1, NAUHA__SHAPE_PLACED, true, &findings, &err), NAUHA_OK);
    assert_int_equal(findings, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nauha__placement_row row = bad[i].row;
        if (read_one(&row, 1, NAUHA__SHAPE_PLACED, true, &findings, &err) != NAUHA_DAMAGED)
            fail_msg("%s is taken", bad[i].what);
        assert_non_null(strstr(err.message, "is a shard, whose place is not in /placements"));
        if (findings != 2)
            fail_msg("%s: %d findings", bad[i].what, (int)findings);
        /* the sound row counts, wherever it is */
        struct nauha__placement_row both[] = {bad[i].row, good};
        assert_int_equal(read_one(both, 2, NAUHA__SHAPE_PLACED, true, &findings, &err), NAUHA_OK);
        assert_int_equal(findings, 1);
    }
    assert_int_equal(read_one(NULL, 0, NAUHA__SHAPE_PLACED, true, &findings, &err), NAUHA_DAMAGED);
    struct nauha__placement_row twice[] = {good, good};
    assert_int_equal(read_one(twice, 2, NAUHA__SHAPE_PLACED, true, &findings, &err), NAUHA_OK);
    assert_int_equal(findings, 1);
    /* a row for a shape that says that it is not a shard's */
    assert_int_equal(read_one(&good, 1, 0, true, &findings, &err), NAUHA_OK);
    assert_int_equal(findings, 1);
    /* A recorder may still write what a row refers to. */
    struct nauha__placement_row later = {.shape = 77};
    assert_int_equal(read_one(&later, 1, 0, false, &findings, &err), NAUHA_OK);
    assert_int_equal(findings, 0);
}

/* Traces before 1.2 have no table of placements. */
static void test_older_traces_lack_the_table(void **state) {
    (void)state;
    const char *path = fixture_path("older.h5");
    struct fixture f;
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    fixture_new(
        &f, path,
        &(struct fixture_options){.minor = 1, .without_table = NAUHA__TABLE_PLACEMENTS + 1});
    fixture_close(&f, NULL);
    must(nauha_trace_open(path, names, &trace, &err), &err);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_shards_of_one_shape_have_numbers_of_their_own),
    cmocka_unit_test(test_summands_have_numbers_of_their_own),
    cmocka_unit_test(test_what_does_not_lie_in_the_whole_is_refused),
    cmocka_unit_test_setup_teardown(test_parameters_and_messages_keep_their_placement,
                                    recorded_setup, recorded_teardown),
    cmocka_unit_test_setup_teardown(test_samples_are_those_of_the_whole, recorded_setup,
                                    recorded_teardown),
    cmocka_unit_test(test_a_shard_without_a_sound_placement_is_left_out),
    cmocka_unit_test(test_older_traces_lack_the_table),
};

UNIT_MAIN_THEN(tests, fixture_clean())
