/* SPDX-License-Identifier: MIT */
/* Verify finds each kind of damage, names it, and says which messages it costs. */
#include "tests/unit/trace_fixture.h"

#include "nauha/internal/tensor_hash.h"
#include "replay/trace/parts.h"

struct findings {
    char text[64][1400];
    size_t told;
};

static void take(void *context, const char *text) {
    struct findings *findings = context;
    if (findings->told < 64)
        snprintf(findings->text[findings->told], sizeof findings->text[0], "%s", text);
    findings->told++;
}

/* Verifies a file into findings; returns the count. */
static uint64_t verify(const char *path, struct findings *findings) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint64_t count = 99;
    findings->told = 0;
    if (nauha_trace_open(path, names, &trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    if (nauha_trace_verify(trace, take, NULL, findings, &count, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    nauha_trace_close(trace);
    nauha_names_free(names);
    return count;
}

/* Exactly one finding, holding the text. */
static void must_find(const char *path, const char *text) {
    struct findings findings;
    uint64_t count = verify(path, &findings);
    if (count != 1 || findings.told != 1 || !strstr(findings.text[0], text))
        fail_msg("wanted \"%s\", got %d: %s", text, (int)count, findings.text[0]);
}

#define ELEMENTS 16
#define CHUNK_BYTES (ELEMENTS * sizeof(float))

/* Six weights of one chunk each; update n is weights n + 1 minus weights n. */
static void write_updates(struct fixture *f, const char *path) {
    fixture_new(f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = CHUNK_BYTES});
    uint32_t module = fixture_module(f, "features.0", "Conv2d");
    uint32_t shape = fixture_shape(f, 1, (const int64_t[]){ELEMENTS});
    for (uint64_t step = 0; step < 6; step++) {
        float data[ELEMENTS];
        for (size_t i = 0; i < ELEMENTS; i++)
            data[i] = (float)(1000 + 100 * step + i);
        struct nauha__index_row row = {.global_step = step,
                                       .module = module,
                                       .shape = shape,
                                       .kind = NAUHA_KIND_WEIGHTS,
                                       .stream = 2,
                                       .dtype = NAUHA_DTYPE_F32,
                                       .flags = NAUHA__ROW_DATA};
        row.offset = fixture_put(f, 2, data, sizeof data);
        fixture_index(f, row);
        if (step == 5)
            break;
        row.kind = NAUHA_KIND_WEIGHT_UPDATES;
        row.flags |= NAUHA__ROW_DERIVED;
        row.base = row.offset;
        row.offset += ELEMENTS;
        fixture_index(f, row);
    }
}

/* Three messages of which hashes were recorded, and their elements later: those of the second are
 * other ones, and the third's place is beyond the stream. */
static void check_later_elements(const char *failure, unsigned findings_expected) {
    const char *path = fixture_path("later.h5");
    struct fixture f;
    struct findings findings;
    struct nauha_error err = NAUHA_ERROR_INIT;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = CHUNK_BYTES});
    const uint32_t module = fixture_module(&f, "features.0", "Conv2d");
    const uint32_t shape = fixture_shape(&f, 1, (const int64_t[]){ELEMENTS});
    struct nauha__elements_row later[3];
    for (uint64_t step = 0; step < 3; step++) {
        float data[ELEMENTS];
        uint64_t hash[2];
        for (size_t i = 0; i < ELEMENTS; i++)
            data[i] = (float)(1000 + 100 * step + i);
        nauha__tensor_hash(data, sizeof data, hash);
        data[3] += step == 1 ? 0.5f : 0.0f;
        later[step] = (struct nauha__elements_row){
            .seq = step, .offset = fixture_put(&f, 2, data, sizeof data), .stream = 2};
        later[step].offset += step == 2 ? ELEMENTS : 0;
        nauha__row_seal(nauha__table(NAUHA__TABLE_ELEMENTS), &later[step]);
        fixture_index(&f, (struct nauha__index_row){.seq = step,
                                                    .global_step = step,
                                                    .module = module,
                                                    .shape = shape,
                                                    .kind = NAUHA_KIND_ACTIVATIONS,
                                                    .stream = NAUHA__NO_STREAM,
                                                    .offset = hash[0],
                                                    .base = hash[1],
                                                    .dtype = NAUHA_DTYPE_F32,
                                                    .flags = NAUHA__ROW_DATA | NAUHA__ROW_HASH});
    }
    fixture_append(&f, NAUHA__TABLE_ELEMENTS, later, 3);
    fixture_close(&f, failure);
    assert_int_equal(verify(path, &findings), findings_expected);
    assert_non_null(strstr(findings.text[0],
                           "elements of activations of \"features.0\", step 1 (index row 1), which "
                           "were written later, are not those of its hash"));
    if (findings_expected == 2)
        assert_non_null(strstr(findings.text[1],
                               "step 2 (index row 2), which were written later, are "
                               "not where \"/elements\" says"));
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    uint64_t count = 0;
    assert_int_equal(nauha_trace_open(path, names, &trace, &err), NAUHA_OK);
    assert_int_equal(nauha_trace_later_verified(trace), 0);
    assert_int_equal(nauha_trace_verify(trace, NULL, NULL, NULL, &count, &err), NAUHA_OK);
    assert_int_equal(nauha_trace_later_verified(trace), 1);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_elements_that_were_written_later(void **state) {
    (void)state;
    check_later_elements("", 2);
    /* A recorder that stopped in the middle of a dump wrote a part of them. */
    check_later_elements("no room", 1);
    check_later_elements(NULL, 1);
}

static void test_a_sound_trace(void **state) {
    (void)state;
    struct fixture f;
    struct findings findings;
    const char *path = fixture_path("sound.h5");
    write_updates(&f, path);
    fixture_close(&f, "");
    assert_int_equal(verify(path, &findings), 0);
    assert_int_equal(findings.told, 0);
    path = fixture_path("cut.h5");
    write_updates(&f, path);
    fixture_close(&f, NULL);
    assert_int_equal(verify(path, &findings), 0);
}

static void test_damaged_chunk_names_its_messages(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("chunk.h5");
    write_updates(&f, path);
    fixture_close(&f, "");
    float pattern[2] = {1203, 1204};
    fixture_flip_at(path, pattern, sizeof pattern, 0, 1);
    must_find(path, "chunk 2 of stream \"0002\"");
    must_find(path, "does not match its checksum");
    must_find(path, "it hits weight_updates of \"features.0\", step 1 (index row 3); weights of "
                    "\"features.0\", step 2 (index row 4); weight_updates of \"features.0\", step "
                    "2 (index row 5)");
}

static void test_many_hits_are_counted(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("hits.h5");
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = CHUNK_BYTES});
    double value = 1234.5;
    for (uint64_t step = 0; step < 8; step++) {
        value += 1;
        fixture_tensor(&f, NAUHA_KIND_LOSS, NAUHA_NONE, step, NAUHA_DTYPE_F64, 0, NULL, &value);
    }
    fixture_close(&f, "");
    value = 1239.5;
    fixture_flip_at(path, &value, sizeof value, 0, 0);
    must_find(path, "it hits loss, step 0 (index row 0); loss, step 1 (index row 1); loss, step 2 "
                    "(index row 2) and 5 more");
    /* The messages themselves fail, each saying what it is. */
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    struct nauha_tensor tensor;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_trace_open(path, names, &trace, &err), NAUHA_OK);
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, &err), NAUHA_OK);
    assert_int_equal(nauha_cursor_next(cursor, &message, &err), NAUHA_OK);
    assert_int_equal(nauha_message_tensor(message, &tensor, &err), NAUHA_DAMAGED);
    assert_non_null(strstr(err.message, "reading \"loss\" of step 0: chunk 0 of stream \"0003\""));
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_missing_chunk(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("missing.h5");
    write_updates(&f, path);
    struct nauha__index_row row = {.global_step = 6,
                                   .kind = NAUHA_KIND_LOSS,
                                   .module = NAUHA_NONE,
                                   .stream = 2,
                                   .offset = ELEMENTS * 7, /* chunk 7; there is none of number 6 */
                                   .flags = NAUHA__ROW_DATA};
    struct nauha__chunk_row chunk = {.number = 8, .stored = 5, .stream = 2};
    fixture_index(&f, row);
    fixture_row(&f, NAUHA__TABLE_CHUNKS, &chunk);
    fixture_close(&f, "");
    struct findings findings;
    assert_int_equal(verify(path, &findings), 2);
    assert_non_null(strstr(findings.text[0], "loss, step 6 (index row 11) lies in chunks that are "
                                             "not in \"/chunks\""));
    assert_non_null(strstr(findings.text[1], "chunk 8 of stream \"0002\""));
    assert_non_null(strstr(findings.text[1], "is missing; no message lies there"));
}

static void test_index_rows(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("rows.h5");
    write_updates(&f, path);
    struct nauha__index_row row = {.seq = 11, .global_step = 6, .kind = 0, .module = NAUHA_NONE};
    nauha__row_seal(nauha__table(NAUHA__TABLE_INDEX), &row);
    row.call++;
    fixture_append(&f, NAUHA__TABLE_INDEX, &row, 1);
    fixture_event(&f, NAUHA_KIND_BATCH_STARTED, 6);
    fixture_close(&f, "");
    must_find(path, "index row 11 does not match its checksum");

    path = fixture_path("step.h5");
    write_updates(&f, path);
    fixture_event(&f, NAUHA_KIND_BATCH_STARTED, 3);
    fixture_close(&f, "");
    must_find(path, "index row 11 is of step 3, the one before of step 5");
}

static void put_event(struct fixture *f, uint64_t seq) {
    struct nauha__index_row row = {.seq = seq, .module = NAUHA_NONE, .stream = NAUHA__NO_STREAM};
    fixture_row(f, NAUHA__TABLE_INDEX, &row);
}

static void test_sequence(void **state) {
    (void)state;
    static const struct {
        uint64_t seq[5];
        uint64_t lost;
        uint64_t findings;
        const char *text;
    } cases[] = {
        {{0, 1, 2, 3, 4}, 0, 0, ""},
        {{0, 1, 5, 6, 7}, 0, 1, "3 messages are missing before index row 2"},
        {{0, 1, 5, 6, 7}, 3, 0, ""},
        {{0, 1, 5, 6, 7}, 2, 1, "3 messages are missing before index row 2"},
        {{2, 3, 4, 5, 6}, 0, 1, "2 messages are missing before index row 0"},
        {{0, 2, 4, 6, 8}, 0, 4, "1 messages are missing before index row 1"},
        {{0, 1, 1, 2, 3}, 0, 1, "index row 2 has sequence number 1, the one before 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        const char *path = fixture_path("sequence.h5");
        fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
        for (size_t n = 0; n < 5; n++)
            put_event(&f, cases[i].seq[n]);
        struct nauha__loss_row loss = {.reason = "buffer full", .messages = cases[i].lost};
        fixture_row(&f, NAUHA__TABLE_LOSSES, &loss);
        fixture_close(&f, "");
        struct findings findings = {.told = 0};
        assert_int_equal(verify(path, &findings), cases[i].findings);
        if (!strstr(findings.text[0], cases[i].text))
            fail_msg("case %d: %s", (int)i, findings.text[0]);
    }
}

/* One damaged row of each table: opening works, verify names it, and only messages that need it
 * are lost. */
static void test_table_rows(void **state) {
    (void)state;
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        if (id == NAUHA__TABLE_INDEX)
            continue;
        struct fixture f;
        const char *path = fixture_path("table.h5");
        fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
        put_event(&f, 0);
        unsigned char row[2048];
        const struct nauha__table *table = nauha__table((enum nauha__table_id)id);
        memset(row, 'x', table->row_size);
        uint32_t number = fixture_append(&f, (enum nauha__table_id)id, row, 1);
        put_event(&f, 1);
        fixture_close(&f, id == NAUHA__TABLE_END ? NULL : "");
        char text[80];
        snprintf(text, sizeof text, "row %u of table \"%s\" is damaged", number, table->path);
        must_find(path, text);
    }
}

/* Rows whose checksum is right and whose text or numbers make no sense. */
static void test_table_rows_without_sense(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("sense.h5");
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    struct nauha__text_row text;
    memset(&text, 'x', sizeof text); /* no zero at its end */
    fixture_row(&f, NAUHA__TABLE_SLOTS, &text);
    fixture_row(&f, NAUHA__TABLE_TAGS, &text);
    struct nauha__module_row module = {.name = "m"};
    memset(module.class_name, 'x', sizeof module.class_name);
    fixture_row(&f, NAUHA__TABLE_MODULES, &module);
    struct nauha__shape_row shape = {.ndim = NAUHA_MAX_NDIM + 1};
    fixture_row(&f, NAUHA__TABLE_SHAPES, &shape);
    struct nauha__loss_row loss = {.kind = 99};
    fixture_row(&f, NAUHA__TABLE_LOSSES, &loss);
    fixture_close(&f, "");
    struct findings findings;
    assert_int_equal(verify(path, &findings), 5);
    assert_string_equal(findings.text[0], "row 0 of table \"/modules\" is damaged");
    assert_string_equal(findings.text[1], "row 1 of table \"/slots\" is damaged");
    assert_string_equal(findings.text[2], "row 1 of table \"/tags\" is damaged");
    assert_string_equal(findings.text[3], "row 0 of table \"/shapes\" is damaged");
    assert_string_equal(findings.text[4], "row 0 of table \"/losses\" is damaged");
}

static void test_end_disagrees(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("end.h5");
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    put_event(&f, 0);
    struct nauha__end_row row = {.closed = 1, .messages = 2};
    fixture_row(&f, NAUHA__TABLE_END, &row);
    fixture_close(&f, NULL);
    must_find(path, "the recorder closed the trace with 2 messages, \"/index\" has 1");
}

/* Where much is damaged, the first of it is told and all of it counted. */
static void test_findings_are_bounded(void **state) {
    (void)state;
    struct fixture f;
    struct findings findings;
    const char *path = fixture_path("many.h5");
    fixture_new(&f, path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    struct nauha__index_row rows[500] = {{.seq = 7}};
    fixture_append(&f, NAUHA__TABLE_INDEX, rows, 500);
    fixture_close(&f, "");
    assert_int_equal(verify(path, &findings), 500);
    assert_int_equal(findings.told, 101);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_sound_trace),
    cmocka_unit_test(test_elements_that_were_written_later),
    cmocka_unit_test(test_damaged_chunk_names_its_messages),
    cmocka_unit_test(test_many_hits_are_counted),
    cmocka_unit_test(test_missing_chunk),
    cmocka_unit_test(test_index_rows),
    cmocka_unit_test(test_sequence),
    cmocka_unit_test(test_table_rows),
    cmocka_unit_test(test_table_rows_without_sense),
    cmocka_unit_test(test_end_disagrees),
    cmocka_unit_test(test_findings_are_bounded),
};

UNIT_MAIN_THEN(tests, fixture_clean())
