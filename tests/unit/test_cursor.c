/* SPDX-License-Identifier: MIT */
/* Walking a trace: order, contents bit for bit, selection, and what is not decoded. */
#include "tests/unit/trace_fixture.h"

#include "replay/trace/parts.h"

static struct nauha_names *names;
static struct nauha_trace *trace;
static struct nauha_cursor *cursor;

static void open_trace(const char *path) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    names = nauha_names_new();
    if (nauha_trace_open(path, names, &trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
}

/* key NULL: no selector. */
static void walk(const char *key, const char *value, const char *key2, const char *value2) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_selector *selector = key ? nauha_selector_new() : NULL;
    nauha_cursor_free(cursor);
    cursor = NULL;
    if (key && nauha_selector_set(selector, key, value, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    if (key2 && nauha_selector_set(selector, key2, value2, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    if (nauha_cursor_new(trace, selector, &cursor, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    nauha_selector_free(selector);
}

static struct nauha_message *next(void) {
    struct nauha_message *message = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_cursor_next(cursor, &message, &err);
    if (status != NAUHA_OK && status != NAUHA_END)
        fail_msg("%s", err.message);
    return status == NAUHA_OK ? message : NULL;
}

static void close_trace(void) {
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    cursor = NULL;
}

static uint64_t decoded(void) {
    struct nauha__chunk_counts counts;
    nauha__chunks_get_counts(trace->chunks, &counts);
    return counts.decoded;
}

/* The tensor must be these bytes. */
static void check_tensor(struct nauha_message *message, const void *expected, size_t bytes) {
    struct nauha_tensor tensor;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_non_null(message);
    if (nauha_message_tensor(message, &tensor, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(nauha_message_info(message)->bytes, bytes);
    if (bytes)
        assert_memory_equal(tensor.data, expected, bytes);
}

static void test_every_dtype_bit_for_bit(void **state) {
    (void)state;
    const char *path = fixture_path("dtypes.h5");
    struct fixture f;
    unsigned char bytes[8 * 35 + 2];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = 128});
    uint32_t module = fixture_module(&f, "m", "Linear");
    for (int dtype = 0; dtype < NAUHA_DTYPE_COUNT; dtype++)
        fixture_tensor(&f, NAUHA_KIND_WEIGHTS, module, (uint64_t)dtype, (enum nauha_dtype)dtype, 3,
                       (const int64_t[]){5, 1, 7}, bytes + dtype % 3);
    fixture_close(&f, "");
    open_trace(path);
    walk(NULL, NULL, NULL, NULL);
    for (int dtype = 0; dtype < NAUHA_DTYPE_COUNT; dtype++) {
        struct nauha_message *message = next();
        const struct nauha_message_info *info = nauha_message_info(message);
        assert_int_equal(info->seq, dtype);
        assert_int_equal(info->dtype, dtype);
        assert_int_equal(info->ndim, 3);
        assert_int_equal(info->shape[0], 5);
        assert_int_equal(info->shape[1], 1);
        assert_int_equal(info->shape[2], 7);
        check_tensor(message, bytes + dtype % 3, 35 * nauha_dtype_size((enum nauha_dtype)dtype));
    }
    assert_null(next());
    assert_null(next());
    close_trace();
}

static void test_stamps_and_names(void **state) {
    (void)state;
    const char *path = fixture_path("stamps.h5");
    struct fixture f;
    float one = 1;
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    uint32_t tag = fixture_name(&f, NAUHA__TABLE_TAGS, "testing");
    uint32_t slot = fixture_name(&f, NAUHA__TABLE_SLOTS, "in_proj_weight");
    fixture_module(&f, "", "Net");
    uint32_t module = fixture_module(&f, "attention", "MultiheadAttention");
    uint32_t kind = fixture_kind(&f, "my.topic", NAUHA_SCOPE_MODULE, NAUHA_FORM_TENSOR);
    uint32_t shape = fixture_shape(&f, 0, NULL);
    uint64_t offset = fixture_put(&f, 2, &one, sizeof one);
    fixture_index(&f, (struct nauha__index_row){.time_ns = 123456789012,
                                                .global_step = 70,
                                                .train_step = 20,
                                                .epoch = 1,
                                                .offset = offset,
                                                .module = module,
                                                .slot = slot,
                                                .call = 2,
                                                .shape = shape,
                                                .kind = (uint16_t)kind,
                                                .tag = (uint16_t)tag,
                                                .stream = 2,
                                                .dtype = NAUHA_DTYPE_F32,
                                                .flags = NAUHA__ROW_DATA});
    fixture_event(&f, NAUHA_KIND_BATCH_FINISHED, 70);
    fixture_close(&f, "");
    open_trace(path);
    walk(NULL, NULL, NULL, NULL);
    struct nauha_message *message = next();
    const struct nauha_message_info *info = nauha_message_info(message);
    assert_int_equal(info->seq, 0);
    assert_int_equal(info->time_ns, 123456789012);
    assert_int_equal(info->global_step, 70);
    assert_int_equal(info->train_step, 20);
    assert_int_equal(info->epoch, 1);
    assert_int_equal(info->rank, 3);
    assert_int_equal(info->call, 2);
    assert_int_equal(info->kind, NAUHA_KIND_BUILTIN_COUNT);
    assert_string_equal(info->kind_name, "my.topic");
    assert_string_equal(info->tag_name, "testing");
    assert_string_equal(info->module_name, "attention");
    assert_string_equal(info->module_class, "MultiheadAttention");
    assert_string_equal(info->slot_name, "in_proj_weight");
    assert_true(info->has_tensor);
    assert_int_equal(info->ndim, 0);
    assert_int_equal(info->bytes, 4);
    check_tensor(message, &one, 4);
    uint64_t done, total;
    nauha_cursor_progress(cursor, &done, &total);
    assert_int_equal(done, 1);
    assert_int_equal(total, 2);
    message = next();
    info = nauha_message_info(message);
    assert_false(info->has_tensor);
    assert_int_equal(info->module, NAUHA_NONE);
    assert_string_equal(info->module_name, "");
    struct nauha_tensor tensor;
    assert_int_equal(nauha_message_tensor(message, &tensor, NULL), NAUHA_INVALID);
    close_trace();
}

static void test_big_small_and_empty(void **state) {
    (void)state;
    const char *path = fixture_path("sizes.h5");
    struct fixture f;
    enum { BIG = 300000 };
    float *big = malloc(BIG * sizeof *big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (float)i;
    int64_t small = -5;
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_ZSTD});
    fixture_tensor(&f, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, 0, NAUHA_DTYPE_F32, 2,
                   (const int64_t[]){3, BIG / 3}, big);
    fixture_tensor(&f, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, 1, NAUHA_DTYPE_F32, 2,
                   (const int64_t[]){0, 28}, NULL);
    fixture_tensor(&f, NAUHA_KIND_INPUT_LABELS, NAUHA_NONE, 1, NAUHA_DTYPE_I64, 0, NULL, &small);
    fixture_tensor(&f, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, 2, NAUHA_DTYPE_F32, 1,
                   (const int64_t[]){BIG}, big);
    fixture_close(&f, "");
    open_trace(path);
    walk(NULL, NULL, NULL, NULL);
    check_tensor(next(), big, BIG * sizeof *big);
    struct nauha_message *message = next();
    check_tensor(message, NULL, 0);
    assert_true(nauha_message_info(message)->has_tensor);
    assert_int_equal(nauha_message_info(message)->ndim, 2);
    assert_int_equal(nauha_message_info(message)->shape[1], 28);
    check_tensor(next(), &small, sizeof small);
    check_tensor(next(), big, BIG * sizeof *big);
    assert_null(next());
    close_trace();
    free(big);
}

/* One module whose parameter goes through `before` and `after`; the update is the difference. */
static void check_derived(enum nauha_dtype dtype, const void *before, const void *after,
                          const void *difference, int64_t count) {
    const char *path = fixture_path("derived.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = 64});
    uint32_t module = fixture_module(&f, "m", "Linear");
    size_t bytes = (size_t)count * nauha_dtype_size(dtype);
    unsigned char filler[24] = {0};
    unsigned stream = fixture_stream_of(dtype);
    struct nauha__index_row first =
        fixture_tensor(&f, NAUHA_KIND_WEIGHTS, module, 0, dtype, 1, &count, before);
    fixture_put(&f, stream, filler, sizeof filler); /* so that the two lie differently in chunks */
    struct nauha__index_row update = first;
    update.kind = NAUHA_KIND_WEIGHT_UPDATES;
    update.flags |= NAUHA__ROW_DERIVED;
    update.base = first.offset;
    update.offset = fixture_put(&f, stream, after, bytes);
    fixture_index(&f, update);
    fixture_close(&f, "");
    open_trace(path);
    walk(NULL, NULL, NULL, NULL);
    check_tensor(next(), before, bytes);
    struct nauha_message *message = next();
    assert_string_equal(nauha_message_info(message)->kind_name, "weight_updates");
    check_tensor(message, difference, bytes);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.bytes_published, 2 * bytes);
    close_trace();
}

static void test_derived_updates(void **state) {
    (void)state;
    float before[40], after[40], difference[40];
    for (int i = 0; i < 40; i++) {
        before[i] = (float)i * 0.5f;
        after[i] = (float)(i * i);
        difference[i] = (float)(i * i) - (float)i * 0.5f; /* exact */
    }
    check_derived(NAUHA_DTYPE_F32, before, after, difference, 40);
    check_derived(NAUHA_DTYPE_F64, (const double[]){1e300, 0.5}, (const double[]){2e300, -0.25},
                  (const double[]){1e300, -0.75}, 2);
    check_derived(NAUHA_DTYPE_I8, (const int8_t[]){1, -128, 5}, (const int8_t[]){-128, 127, 7},
                  (const int8_t[]){127, -1, 2}, 3);
    check_derived(NAUHA_DTYPE_I64, (const int64_t[]){1}, (const int64_t[]){INT64_MIN},
                  (const int64_t[]){INT64_MAX}, 1);
    /* 1.0 - 0.5 = 0.5; in f16 2049 is no number: 2050 - 1 = 2049 rounds to 2048. */
    check_derived(NAUHA_DTYPE_F16, (const uint16_t[]){0x3800, 0x3C00},
                  (const uint16_t[]){0x3C00, 0x6801}, (const uint16_t[]){0x3800, 0x6800}, 2);
    /* bf16 has 8 bits of mantissa: 258 - 1 = 257 is halfway and rounds to the even 256. */
    check_derived(NAUHA_DTYPE_BF16, (const uint16_t[]){0x3F00, 0x3F80},
                  (const uint16_t[]){0x3F80, 0x4381}, (const uint16_t[]){0x3F00, 0x4380}, 2);
}

/* Four steps of two modules over two epochs: weights, activations, loss; one testing pass. */
static const char *write_steps(void) {
    const char *path = fixture_path("steps.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_ZSTD, .chunk_bytes = 64});
    uint32_t modules[2] = {fixture_module(&f, "features.0", "Conv2d"),
                           fixture_module(&f, "classifier", "Linear")};
    uint32_t testing = fixture_name(&f, NAUHA__TABLE_TAGS, "testing");
    uint32_t shape = fixture_shape(&f, 1, (const int64_t[]){16}); /* one chunk a message */
    for (uint64_t step = 0; step < 4; step++) {
        struct nauha__index_row row = {.global_step = step,
                                       .epoch = (uint32_t)(step / 2),
                                       .shape = shape,
                                       .stream = 2,
                                       .dtype = NAUHA_DTYPE_F32,
                                       .flags = NAUHA__ROW_DATA};
        float data[16] = {(float)step};
        static const uint16_t kinds[] = {NAUHA_KIND_ACTIVATIONS, NAUHA_KIND_WEIGHTS};
        for (size_t k = 0; k < 2; k++)
            for (size_t m = 0; m < 2; m++) {
                row.kind = kinds[k];
                row.module = modules[m];
                row.offset = fixture_put(&f, 2, data, sizeof data);
                fixture_index(&f, row);
            }
        row.kind = NAUHA_KIND_LOSS;
        row.module = NAUHA_NONE;
        row.tag = (uint16_t)(step == 3 ? testing : 0);
        row.offset = fixture_put(&f, 2, data, sizeof data);
        fixture_index(&f, row);
    }
    fixture_close(&f, "");
    return path;
}

/* Walks with a selection, loads everything, and checks which sequence numbers come; only their
 * chunks may be decoded. */
static void check_selection(const char *key, const char *value, const char *key2,
                            const char *value2, const char *expected) {
    open_trace(write_steps());
    walk(key, value, key2, value2);
    char got[256] = "";
    uint64_t count = 0;
    struct nauha_message *message;
    while ((message = next())) {
        struct nauha_tensor tensor;
        assert_int_equal(nauha_message_tensor(message, &tensor, NULL), NAUHA_OK);
        assert_true(((const float *)tensor.data)[0] ==
                    (float)nauha_message_info(message)->global_step);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", count ? " " : "",
                 (int)nauha_message_info(message)->seq);
        count++;
    }
    assert_string_equal(got, expected);
    assert_int_equal(decoded(), count);
    uint64_t done, total;
    nauha_cursor_progress(cursor, &done, &total);
    assert_int_equal(done, 20);
    assert_int_equal(total, 20);
    close_trace();
}

static void test_selection_by_each_key(void **state) {
    (void)state;
    check_selection("kinds", "weights", NULL, NULL, "2 3 7 8 12 13 17 18");
    check_selection("kinds", "loss,weights", "steps", "1", "7 8 9");
    check_selection("modules", "features.*", NULL, NULL, "0 2 4 5 7 9 10 12 14 15 17 19");
    check_selection("exclude", "features.*", "kinds", "activations", "1 6 11 16");
    check_selection("steps", "1:3", NULL, NULL, "5 6 7 8 9 10 11 12 13 14");
    check_selection("steps", "3:", NULL, NULL, "15 16 17 18 19");
    check_selection("steps", "0:4:3", NULL, NULL, "0 1 2 3 4 15 16 17 18 19");
    check_selection("steps", "9:", NULL, NULL, "");
    check_selection("epochs", "1:2", "kinds", "loss", "14 19");
    check_selection("tag", "testing", NULL, NULL, "19");
    check_selection("rank", "3", "kinds", "loss", "4 9 14 19");
    check_selection("rank", "0", NULL, NULL, "");
}

static void test_unknown_selection(void **state) {
    (void)state;
    open_trace(write_steps());
    struct nauha_selector *selector = nauha_selector_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_selector_set(selector, "modules", "feature.*", &err), NAUHA_OK);
    assert_int_equal(nauha_cursor_new(trace, selector, &cursor, &err), NAUHA_UNKNOWN);
    assert_non_null(strstr(err.message, "feature.*"));
    assert_null(cursor);
    nauha_selector_free(selector);
    close_trace();
}

/* Nobody asks for a tensor: nothing is decoded. Retained messages load later. */
static void test_lazy_and_retained(void **state) {
    (void)state;
    open_trace(write_steps());
    walk("kinds", "weights", NULL, NULL);
    struct nauha_message kept = {.row = 0};
    assert_int_equal(nauha__message_retain(next(), &kept, NULL), NAUHA_OK);
    while (next())
        ;
    assert_int_equal(decoded(), 0);
    float expected[16] = {0};
    check_tensor(&kept, expected, sizeof expected);
    assert_int_equal(decoded(), 1);
    nauha__message_fini(&kept);
    close_trace();
}

/* A jump over many steps reads a few pages of the index only. */
static void test_jump_to_a_step(void **state) {
    (void)state;
    enum { ROWS = 300000, BATCH = 10000 };
    const char *path = fixture_path("jump.h5");
    struct fixture f;
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    struct nauha__index_row *rows = calloc(BATCH, sizeof *rows);
    for (uint64_t i = 0; i < ROWS; i++) {
        rows[i % BATCH] = (struct nauha__index_row){.seq = i,
                                                    .global_step = i / 3,
                                                    .kind = NAUHA_KIND_BATCH_STARTED,
                                                    .module = NAUHA_NONE,
                                                    .stream = NAUHA__NO_STREAM};
        nauha__row_seal(nauha__table(NAUHA__TABLE_INDEX), &rows[i % BATCH]);
        if (i % BATCH == BATCH - 1)
            fixture_append(&f, NAUHA__TABLE_INDEX, rows, BATCH);
    }
    free(rows);
    fixture_close(&f, "");
    open_trace(path);
    walk("steps", "90000:90002", NULL, NULL);
    for (uint64_t seq = 270000; seq < 270006; seq++)
        assert_int_equal(nauha_message_info(next())->seq, seq);
    assert_null(next());
    assert_in_range(nauha__index_pages_read(trace->index), 1, 12);
    walk("steps", "::30000", NULL, NULL);
    for (uint64_t i = 0; i < 12; i++)
        assert_int_equal(nauha_message_info(next())->global_step, i / 3 * 30000);
    assert_null(next());
    close_trace();
}

/* Damaged rows are named and passed; the others are there. */
static void test_damaged_rows(void **state) {
    (void)state;
    const char *path = fixture_path("damaged.h5");
    struct fixture f;
    float data[4] = {1, 2, 3, 4};
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = 64});
    uint32_t module = fixture_module(&f, "m", "Linear");
    struct nauha__index_row good = fixture_tensor(&f, NAUHA_KIND_WEIGHTS, module, 0,
                                                  NAUHA_DTYPE_F32, 1, (const int64_t[]){4}, data);
    uint32_t huge = fixture_shape(&f, 2, (const int64_t[]){INT64_MAX / 2, 2});
    uint32_t negative = fixture_shape(&f, 1, (const int64_t[]){-1});
    uint32_t empty = fixture_shape(&f, 1, (const int64_t[]){0});
    static const char *const texts[] = {"flags",
                                        "names a kind",
                                        "names a tag",
                                        "names a module",
                                        "names a slot",
                                        "element type",
                                        "names a shape",
                                        "names a shape",
                                        "more elements",
                                        "names a stream",
                                        "names a stream",
                                        "beyond the chunks",
                                        "beyond the chunks",
                                        "flags",
                                        "flags",
                                        "flags",
                                        "names a stream"};
    enum { BAD = sizeof texts / sizeof *texts };
    struct nauha__index_row bad[BAD];
    for (size_t i = 0; i < BAD; i++)
        bad[i] = good;
    bad[0].flags = 16 | NAUHA__ROW_DATA;
    bad[1].kind = NAUHA_KIND_BUILTIN_COUNT;
    bad[2].tag = 1;
    bad[3].module = 1;
    bad[4].slot = 1;
    bad[5].dtype = NAUHA_DTYPE_COUNT;
    bad[6].shape = 99;
    bad[7].shape = negative;
    bad[8].shape = huge;
    bad[9].stream = 3;
    bad[10].stream = NAUHA__NO_STREAM;
    bad[11].offset = UINT64_MAX;
    bad[12].flags |= NAUHA__ROW_DERIVED;
    bad[12].base = 13;
    bad[13].flags |= NAUHA__ROW_FINGERPRINT | NAUHA__ROW_DERIVED;
    bad[14].flags = NAUHA__ROW_FINGERPRINT;
    bad[15].flags |= NAUHA__ROW_FINGERPRINT;
    bad[15].shape = empty;
    bad[16].flags |= NAUHA__ROW_FINGERPRINT; /* in a stream of another item size */
    for (size_t i = 0; i < BAD; i++)
        fixture_index(&f, bad[i]);
    struct nauha__index_row unsealed = good;
    fixture_append(&f, NAUHA__TABLE_INDEX, &unsealed, 1);
    unsealed.call++;
    fixture_append(&f, NAUHA__TABLE_INDEX, &unsealed, 1);
    fixture_index(&f, good);
    fixture_close(&f, "");
    open_trace(path);
    walk(NULL, NULL, NULL, NULL);
    check_tensor(next(), data, sizeof data);
    for (size_t i = 0; i < BAD + 2; i++) {
        struct nauha_message *message = NULL;
        struct nauha_error err = NAUHA_ERROR_INIT;
        char text[64];
        assert_int_equal(nauha_cursor_next(cursor, &message, &err), NAUHA_DAMAGED);
        snprintf(text, sizeof text, "index row %zu of trace", i + 1);
        assert_non_null(strstr(err.message, text));
        if (!strstr(err.message, i < BAD ? texts[i] : "checksum"))
            fail_msg("row %zu: %s", i + 1, err.message);
    }
    check_tensor(next(), data, sizeof data);
    assert_null(next());
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages, 2);
    close_trace();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_dtype_bit_for_bit),
    cmocka_unit_test(test_stamps_and_names),
    cmocka_unit_test(test_big_small_and_empty),
    cmocka_unit_test(test_derived_updates),
    cmocka_unit_test(test_selection_by_each_key),
    cmocka_unit_test(test_unknown_selection),
    cmocka_unit_test(test_lazy_and_retained),
    cmocka_unit_test(test_jump_to_a_step),
    cmocka_unit_test(test_damaged_rows),
};

UNIT_MAIN_THEN(tests, fixture_clean())
