/* SPDX-License-Identifier: MIT */
/* Opening traces: what is in them, and what a file that is none is told. */
#include "tests/unit/trace_fixture.h"

#include "replay/trace/parts.h"

static const struct fixture_options plain = {.method = NAUHA__CODEC_NONE};

/* Three steps: batch_started, weights [2, 3] of features.0, loss. */
static void write_three_steps(struct fixture *f) {
    uint32_t module = fixture_module(f, "features.0", "Conv2d");
    for (uint64_t step = 5; step < 8; step++) {
        float weights[6] = {1, 2, 3, 4, 5, (float)step};
        double loss = 0.5 * (double)step;
        fixture_event(f, NAUHA_KIND_BATCH_STARTED, step);
        fixture_tensor(f, NAUHA_KIND_WEIGHTS, module, step, NAUHA_DTYPE_F32, 2,
                       (const int64_t[]){2, 3}, weights);
        fixture_tensor(f, NAUHA_KIND_LOSS, NAUHA_NONE, step, NAUHA_DTYPE_F64, 0, NULL, &loss);
    }
}

static struct nauha_trace *must_open(const char *path, struct nauha_names *names) {
    struct nauha_trace *trace = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_trace_open(path, names, &trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return trace;
}

/* Opening must fail with this code and a message that holds the text. */
static void must_refuse(const char *path, enum nauha_status code, const char *text) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_trace_open(path, names, &trace, &err), code);
    assert_int_equal(err.code, code);
    assert_null(trace);
    if (!strstr(err.message, text))
        fail_msg("\"%s\" is not in: %s", text, err.message);
    assert_non_null(strstr(err.message, path));
    assert_null(strchr(err.message, '\n'));
    nauha_names_free(names);
}

static void test_info_of_a_complete_trace(void **state) {
    (void)state;
    const char *path = fixture_path("complete.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    write_three_steps(&f);
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_string_equal(info.path, path);
    assert_int_equal(info.format_major, 1);
    assert_int_equal(info.format_minor, NAUHA_FORMAT_MINOR);
    assert_int_equal(info.rank, 3);
    assert_int_equal(info.world_size, 8);
    assert_true(info.created_ns == 1700000000000000000);
    assert_string_equal(info.codec, "none");
    assert_true(info.complete);
    assert_true(info.closed);
    assert_string_equal(info.failure, "");
    assert_int_equal(info.messages, 9);
    assert_int_equal(info.steps, 3);
    assert_int_equal(info.first_step, 5);
    assert_int_equal(info.epochs, 1);
    assert_int_equal(info.bytes_published, 3 * (6 * 4 + 8));
    assert_int_equal(info.bytes_stored, fixture_file_bytes(path));
    assert_int_equal(info.duration_ns, 7000);
    assert_int_equal(info.messages_lost, 0);
    uint64_t messages, bytes;
    nauha_trace_kind_totals(trace, NAUHA_KIND_WEIGHTS, &messages, &bytes);
    assert_int_equal(messages, 3);
    assert_int_equal(bytes, 72);
    nauha_trace_kind_totals(trace, NAUHA_KIND_BATCH_STARTED, &messages, &bytes);
    assert_int_equal(messages, 3);
    assert_int_equal(bytes, 0);
    nauha_trace_kind_totals(trace, NAUHA_KIND_BIASES, &messages, &bytes);
    assert_int_equal(messages, 0);
    nauha_trace_kind_totals(trace, NAUHA_NONE, &messages, &bytes);
    assert_int_equal(messages, 0);
    assert_string_equal(nauha_names_module_class(names, 0), "Conv2d");
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_facts_in_order(void **state) {
    (void)state;
    const char *path = fixture_path("facts.h5");
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.facts = "{\"b\": \"1 \\u00e9\", \"a\": \"\"}"});
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    const char *key, *value;
    assert_true(nauha_trace_fact(trace, 0, &key, &value));
    assert_string_equal(key, "b");
    assert_string_equal(value, "1 \xc3\xa9");
    assert_true(nauha_trace_fact(trace, 1, &key, &value));
    assert_string_equal(key, "a");
    assert_string_equal(value, "");
    assert_false(nauha_trace_fact(trace, 2, &key, &value));
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* Texts of variable length, as other writers make them. */
static void test_texts_of_variable_length(void **state) {
    (void)state;
    const char *path = fixture_path("variable.h5");
    struct fixture f;
    fixture_new(&f, path, &(struct fixture_options){.without_attribute = "codec"});
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    assert_true(H5Tset_size(type, H5T_VARIABLE) >= 0);
    hid_t attribute = H5Acreate2(f.file, "codec", type, space, H5P_DEFAULT, H5P_DEFAULT);
    const char *text = "zstd";
    assert_true(H5Awrite(attribute, type, &text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_string_equal(info.codec, "zstd");
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* Attributes of another class, or of more values than one, are refused before they are read. */
static void test_attributes_of_another_form(void **state) {
    (void)state;
    static const char *const names[] = {"rank", "codec", "created_ns", "facts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = fixture_path("attribute.h5");
        struct fixture f;
        fixture_new(&f, path, &(struct fixture_options){.without_attribute = names[i]});
        hsize_t many = 1000;
        hid_t space = H5Screate_simple(1, &many, NULL);
        hid_t attribute = H5Acreate2(f.file, names[i], i % 2 ? H5T_C_S1 : H5T_STD_U64LE, space,
                                     H5P_DEFAULT, H5P_DEFAULT);
        assert_true(attribute >= 0);
        H5Aclose(attribute);
        H5Sclose(space);
        fixture_close(&f, "");
        char text[80];
        snprintf(text, sizeof text, "attribute \"%s\" of trace", names[i]);
        must_refuse(path, NAUHA_FORMAT, text);
        must_refuse(path, NAUHA_FORMAT, i % 2 ? "is not one text" : "is not one whole number");
    }
}

static void put_loss(struct fixture *f, enum nauha_kind kind, const char *reason, uint64_t messages,
                     uint64_t bytes) {
    struct nauha__loss_row row = {.kind = (uint16_t)kind, .messages = messages, .bytes = bytes};
    memcpy(row.reason, reason, strlen(reason));
    fixture_row(f, NAUHA__TABLE_LOSSES, &row);
}

static void test_losses_last_row_counts(void **state) {
    (void)state;
    const char *path = fixture_path("losses.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    put_loss(&f, NAUHA_KIND_WEIGHTS, "buffer full", 1, 10);
    put_loss(&f, NAUHA_KIND_ACTIVATIONS, "buffer full", 2, 20);
    put_loss(&f, NAUHA_KIND_WEIGHTS, "write failed", 3, 30);
    put_loss(&f, NAUHA_KIND_WEIGHTS, "buffer full", 4, 40);
    fixture_close(&f, "disk full");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages_lost, 4 + 2 + 3);
    assert_int_equal(info.bytes_lost, 90);
    assert_true(info.closed);
    assert_false(info.complete);
    assert_string_equal(info.failure, "disk full");
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    assert_true(nauha_trace_loss(trace, 0, &kind, &reason, &messages, &bytes));
    assert_int_equal(kind, NAUHA_KIND_WEIGHTS);
    assert_string_equal(reason, "buffer full");
    assert_int_equal(messages, 4);
    assert_int_equal(bytes, 40);
    assert_true(nauha_trace_loss(trace, 2, &kind, &reason, &messages, &bytes));
    assert_string_equal(reason, "write failed");
    assert_false(nauha_trace_loss(trace, 3, &kind, &reason, &messages, &bytes));
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_without_end_it_was_cut_off(void **state) {
    (void)state;
    const char *path = fixture_path("cut.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    write_three_steps(&f);
    fixture_close(&f, NULL);
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_false(info.closed);
    assert_false(info.complete);
    assert_int_equal(info.messages, 9);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_empty_trace(void **state) {
    (void)state;
    const char *path = fixture_path("empty.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_true(info.complete);
    assert_int_equal(info.messages, 0);
    assert_int_equal(info.steps, 0);
    assert_int_equal(info.epochs, 0);
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, NULL), NAUHA_OK);
    assert_int_equal(nauha_cursor_next(cursor, &message, NULL), NAUHA_END);
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* A names object that knows other things already: the trace's numbers are translated. */
static void test_shared_names(void **state) {
    (void)state;
    const char *path = fixture_path("shared.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    write_three_steps(&f);
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    uint32_t id;
    assert_int_equal(nauha_names_add_module(names, "other", "Linear", &id, NULL), NAUHA_OK);
    assert_int_equal(nauha_names_add_shape(names, (const int64_t[]){9}, 1, &id, NULL), NAUHA_OK);
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, NULL), NAUHA_OK);
    assert_int_equal(nauha_cursor_next(cursor, &message, NULL), NAUHA_OK);
    assert_int_equal(nauha_cursor_next(cursor, &message, NULL), NAUHA_OK);
    const struct nauha_message_info *info = nauha_message_info(message);
    assert_int_equal(info->module, 1);
    assert_string_equal(info->module_name, "features.0");
    assert_int_equal(info->ndim, 2);
    assert_int_equal(info->shape[1], 3);
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);

    names = nauha_names_new();
    assert_int_equal(nauha_names_add_module(names, "features.0", "Linear", &id, NULL), NAUHA_OK);
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_trace_open(path, names, &trace, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "features.0"));
    assert_non_null(strstr(err.message, path));
    nauha_names_free(names);
}

static void test_files_that_are_no_trace(void **state) {
    (void)state;
    must_refuse(fixture_path("missing.h5"), NAUHA_IO, "No such file or directory");
    must_refuse("/tmp", NAUHA_IO, "Is a directory");
    must_refuse("/dev/null", NAUHA_IO, "not a regular file");
    const char *path = fixture_path("nothing.h5");
    fixture_spill(path, "", 0);
    must_refuse(path, NAUHA_FORMAT, "is empty");
    path = fixture_path("text.h5");
    fixture_spill(path, "global_step,value\n1,2\n", 22);
    must_refuse(path, NAUHA_FORMAT, "is not an HDF5 file");
    path = fixture_path("fifo.h5");
    assert_int_equal(mkfifo(path, 0600), 0);
    must_refuse(path, NAUHA_IO, "not a regular file");
    path = fixture_path("other.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    must_refuse(path, NAUHA_FORMAT, "is an HDF5 file but not a nauha trace");
    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        must_refuse(path, NAUHA_IO, "Permission denied");
    }
}

static void test_formats(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("format.h5");
    fixture_new(&f, path, &(struct fixture_options){.format = "diary"});
    fixture_close(&f, "");
    must_refuse(path, NAUHA_FORMAT, "has format \"diary\", but this program reads \"nauha-trace\"");
    path = fixture_path("major.h5");
    fixture_new(&f, path, &(struct fixture_options){.major = 2});
    fixture_close(&f, "");
    must_refuse(path, NAUHA_VERSION,
                "has format version 2.5, but this program reads 1.x: use a newer nauha");
    path = fixture_path("minor.h5");
    fixture_new(&f, path,
                &(struct fixture_options){.minor = 9, .without_table = NAUHA__TABLE_SLOTS + 1});
    fixture_close(&f, "");
    must_refuse(path, NAUHA_FORMAT, "format version 1.9 is newer than this program's 1.5: trace");
    must_refuse(path, NAUHA_FORMAT, "has no table \"/slots\"");
    path = fixture_path("chunks.h5");
    fixture_new(&f, path, &(struct fixture_options){.chunk_bytes = 32});
    fixture_close(&f, "");
    must_refuse(path, NAUHA_FORMAT, "chunks of 32 bytes");
    static const char *const facts[][2] = {{"[1]", "is not a JSON object"},
                                           {"{", "is not a JSON object"},
                                           {"{\"lr\": 1}", "fact \"lr\""}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        path = fixture_path("facts.h5");
        fixture_new(&f, path, &(struct fixture_options){.facts = facts[i][0]});
        fixture_close(&f, "");
        must_refuse(path, NAUHA_FORMAT, facts[i][1]);
    }
}

static void test_missing_parts_are_named(void **state) {
    (void)state;
    static const char *const attributes[] = {"format_major", "format_minor", "rank",
                                             "world_size",   "created_ns",   "codec",
                                             "facts",        "chunk_bytes",  "hash"};
    struct fixture f;
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const char *path = fixture_path("attribute.h5");
        fixture_new(&f, path, &(struct fixture_options){.without_attribute = attributes[i]});
        fixture_close(&f, NULL);
        char text[64];
        snprintf(text, sizeof text, "has no attribute \"%s\"", attributes[i]);
        must_refuse(path, NAUHA_FORMAT, text);
    }
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        const char *path = fixture_path("table.h5");
        fixture_new(&f, path, &(struct fixture_options){.without_table = id + 1});
        fixture_close(&f, NULL);
        char text[64];
        snprintf(text, sizeof text, "has no table \"%s\"",
                 nauha__table((enum nauha__table_id)id)->path);
        must_refuse(path, NAUHA_FORMAT, text);
    }
}

static void replace_table(const char *path, const char *table, hid_t type, hsize_t rows,
                          bool two_dimensional) {
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    hsize_t dims[2] = {rows, 2}, most[2] = {H5S_UNLIMITED, 2}, chunk[2] = {4, 2};
    hid_t space = H5Screate_simple(two_dimensional ? 2 : 1, dims, most);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(plist, two_dimensional ? 2 : 1, chunk);
    assert_true(H5Ldelete(file, table, H5P_DEFAULT) >= 0);
    hid_t dataset = H5Dcreate2(file, table, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Dclose(dataset);
    H5Pclose(plist);
    H5Sclose(space);
    H5Fclose(file);
}

/* Writers of version 1.0 had no slices in /streams_used, but zeros in reserve. */
static void test_a_field_that_was_in_reserve(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("reserve.h5");
    fixture_new(&f, path, &plain);
    write_three_steps(&f);
    fixture_close(&f, "");
    const struct nauha__table *table = nauha__table(NAUHA__TABLE_STREAMS_USED);
    struct nauha__field fields[6];
    assert_int_equal(table->field_count, 6);
    memcpy(fields, table->fields, sizeof fields);
    assert_string_equal(fields[4].name, "slices");
    fields[4].name = "reserved";
    struct nauha__table earlier = *table;
    earlier.fields = fields;

    struct nauha__stream_row rows[2];
    hid_t type = nauha__h5_row_type(table);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = H5Dopen2(file, table->path, H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset);
    assert_int_equal(H5Sget_simple_extent_npoints(space), 2);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
    H5Sclose(space);
    H5Dclose(dataset);
    H5Fclose(file);
    H5Tclose(type);
    type = nauha__h5_row_type(&earlier);
    replace_table(path, table->path, type, 2, false);
    file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    dataset = H5Dopen2(file, table->path, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    H5Tclose(type);

    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    struct nauha_tensor tensor;
    assert_int_equal(nauha_cursor_new(trace, NULL, &cursor, NULL), NAUHA_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(nauha_cursor_next(cursor, &message, NULL), NAUHA_OK);
    assert_int_equal(nauha_message_tensor(message, &tensor, NULL), NAUHA_OK);
    assert_memory_equal(tensor.data, ((const float[]){1, 2, 3, 4, 5, 5}), 6 * sizeof(float));
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void test_tables_of_another_form(void **state) {
    (void)state;
    struct fixture f;
    const char *path = fixture_path("form.h5");
    fixture_new(&f, path, &plain);
    fixture_close(&f, "");
    replace_table(path, "/tags", H5T_STD_U32LE, 0, false);
    must_refuse(path, NAUHA_FORMAT, "table \"/tags\" of trace");
    hid_t type = nauha__h5_row_type(nauha__table(NAUHA__TABLE_TAGS));
    replace_table(path, "/tags", type, 0, true);
    must_refuse(path, NAUHA_FORMAT, "is not one-dimensional");
    replace_table(path, "/tags", type, (hsize_t)1 << 60, false);
    must_refuse(path, NAUHA_FORMAT, "has more rows than the file can hold: 1152921504606846976");
    H5Tclose(type);
    /* The same size, another name. */
    const struct nauha__table *table = nauha__table(NAUHA__TABLE_TAGS);
    struct nauha__field fields[2];
    memcpy(fields, table->fields, sizeof fields);
    fields[0].name = "title";
    struct nauha__table other = *table;
    other.fields = fields;
    type = nauha__h5_row_type(&other);
    replace_table(path, "/tags", type, 0, false);
    must_refuse(path, NAUHA_FORMAT, "table \"/tags\" of trace");
    must_refuse(path, NAUHA_FORMAT, "has other fields");
    H5Tclose(type);
    /* Something else under the name. */
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Ldelete(file, "/tags", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "/tags", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Fclose(file);
    must_refuse(path, NAUHA_FORMAT, "cannot open table \"/tags\"");
}

/* The host's HDF5 error handler is left as it was. */
static herr_t host_handler(hid_t stack, void *data) {
    (void)stack;
    ++*(int *)data;
    return 0;
}

static void test_the_hosts_error_handler_stays(void **state) {
    (void)state;
    int calls = 0;
    H5E_auto2_t before, now;
    void *before_data, *now_data;
    H5Eget_auto2(H5E_DEFAULT, &before, &before_data);
    H5Eset_auto2(H5E_DEFAULT, host_handler, &calls);
    const char *path = fixture_path("other.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    must_refuse(path, NAUHA_FORMAT, "not a nauha trace");
    H5Eget_auto2(H5E_DEFAULT, &now, &now_data);
    H5Eset_auto2(H5E_DEFAULT, before, before_data);
    assert_true(now == host_handler && now_data == &calls);
    assert_int_equal(calls, 0);
}

/* A million rows: opening reads none of them, and the pages do not grow with their number. */
static void test_long_index_is_not_read_whole(void **state) {
    (void)state;
    enum { ROWS = 1000000, BATCH = 10000 };
    const char *path = fixture_path("long.h5");
    struct fixture f;
    fixture_new(&f, path, &plain);
    struct nauha__index_row *rows = calloc(BATCH, sizeof *rows);
    for (uint64_t i = 0; i < ROWS; i++) {
        struct nauha__index_row *row = &rows[i % BATCH];
        *row = (struct nauha__index_row){.seq = i,
                                         .global_step = i / 100,
                                         .epoch = (uint32_t)(i / 500000),
                                         .kind = NAUHA_KIND_BATCH_STARTED,
                                         .module = NAUHA_NONE,
                                         .stream = NAUHA__NO_STREAM};
        nauha__row_seal(nauha__table(NAUHA__TABLE_INDEX), row);
        if (i % BATCH == BATCH - 1)
            fixture_append(&f, NAUHA__TABLE_INDEX, rows, BATCH);
    }
    free(rows);
    fixture_close(&f, "");
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = must_open(path, names);
    struct nauha_trace_info head;
    nauha_trace_get_head(trace, &head);
    assert_true(head.closed);
    assert_int_equal(head.world_size, 8);
    assert_int_equal(head.messages, 0);
    assert_int_equal(nauha__index_pages_read(trace->index), 0);
    /* Of 245 pages, a binary search looks at 8 and at the one it ends in. */
    assert_int_equal(nauha__index_find_step(trace->index, 0, 7777), 777700);
    assert_in_range(nauha__index_pages_read(trace->index), 1, 10);
    struct nauha_trace_info info;
    nauha_trace_get_info(trace, &info);
    assert_int_equal(info.messages, ROWS);
    assert_int_equal(info.steps, ROWS / 100);
    assert_int_equal(info.epochs, 2);
    /* The pass is made once. */
    uint64_t pages = nauha__index_pages_read(trace->index);
    assert_in_range(pages, 245, 260);
    nauha_trace_get_info(trace, &info);
    assert_int_equal(nauha__index_pages_read(trace->index), pages);
    assert_int_equal(nauha__index_find_step(trace->index, 777701, 7777), 777701);
    assert_int_equal(nauha__index_find_step(trace->index, 0, 1000000), ROWS);
    nauha_trace_close(trace);
    nauha_names_free(names);
    unlink(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_info_of_a_complete_trace),
    cmocka_unit_test(test_facts_in_order),
    cmocka_unit_test(test_texts_of_variable_length),
    cmocka_unit_test(test_attributes_of_another_form),
    cmocka_unit_test(test_losses_last_row_counts),
    cmocka_unit_test(test_without_end_it_was_cut_off),
    cmocka_unit_test(test_empty_trace),
    cmocka_unit_test(test_shared_names),
    cmocka_unit_test(test_files_that_are_no_trace),
    cmocka_unit_test(test_formats),
    cmocka_unit_test(test_missing_parts_are_named),
    cmocka_unit_test(test_a_field_that_was_in_reserve),
    cmocka_unit_test(test_tables_of_another_form),
    cmocka_unit_test(test_the_hosts_error_handler_stays),
    cmocka_unit_test(test_long_index_is_not_read_whole),
};

UNIT_MAIN_THEN(tests, fixture_clean())
