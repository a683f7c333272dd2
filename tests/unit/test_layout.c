/* SPDX-License-Identifier: MIT */
/* The tables of a trace: sizes and offsets are the file format, so they are literals here. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "nauha/internal/h5.h"
#include "nauha/internal/layout.h"

struct field {
    const char *name;
    size_t offset, size;
};

/* A name per column of a row; the last row of each ends the list. */
static const struct {
    enum nauha__table_id id;
    const char *path;
    size_t row_size;
    struct field fields[18];
} expected[] = {
    {NAUHA__TABLE_INDEX,
     "/index",
     76,
     {{"seq", 0, 8},
      {"time_ns", 8, 8},
      {"global_step", 16, 8},
      {"offset", 24, 8},
      {"base", 32, 8},
      {"train_step", 40, 4},
      {"epoch", 44, 4},
      {"module", 48, 4},
      {"slot", 52, 4},
      {"call", 56, 4},
      {"shape", 60, 4},
      {"kind", 64, 2},
      {"tag", 66, 2},
      {"stream", 68, 2},
      {"dtype", 70, 1},
      {"flags", 71, 1},
      {"checksum", 72, 4}}},
    {NAUHA__TABLE_CHUNKS,
     "/chunks",
     32,
     {{"number", 0, 8},
      {"hash", 8, 8},
      {"stored", 16, 4},
      {"filter_mask", 20, 4},
      {"stream", 24, 2},
      {"reserved", 26, 2},
      {"checksum", 28, 4}}},
    {NAUHA__TABLE_STREAMS_USED,
     "/streams_used",
     12,
     {{"stream", 0, 2},
      {"kind", 2, 2},
      {"item_size", 4, 1},
      {"big", 5, 1},
      {"slices", 6, 2},
      {"checksum", 8, 4}}},
    {NAUHA__TABLE_KINDS,
     "/kinds",
     136,
     {{"name", 0, 128},
      {"scope", 128, 1},
      {"form", 129, 1},
      {"reserved", 130, 2},
      {"checksum", 132, 4}}},
    {NAUHA__TABLE_MODULES,
     "/modules",
     388,
     {{"name", 0, 256}, {"class_name", 256, 128}, {"checksum", 384, 4}}},
    {NAUHA__TABLE_SLOTS, "/slots", 132, {{"name", 0, 128}, {"checksum", 128, 4}}},
    {NAUHA__TABLE_TAGS, "/tags", 132, {{"name", 0, 128}, {"checksum", 128, 4}}},
    {NAUHA__TABLE_SHAPES,
     "/shapes",
     268,
     {{"ndim", 0, 4}, {"reserved", 4, 4}, {"dims", 8, 256}, {"checksum", 264, 4}}},
    {NAUHA__TABLE_PLACEMENTS,
     "/placements",
     284,
     {{"shape", 0, 4},
      {"whole", 4, 4},
      {"flags", 8, 4},
      {"summand", 12, 4},
      {"summands", 16, 4},
      {"reserved", 20, 4},
      {"offset", 24, 256},
      {"checksum", 280, 4}}},
    {NAUHA__TABLE_ALIASES,
     "/aliases",
     20,
     {{"module", 0, 4},
      {"slot", 4, 4},
      {"alias_module", 8, 4},
      {"alias_slot", 12, 4},
      {"checksum", 16, 4}}},
    {NAUHA__TABLE_LOSSES,
     "/losses",
     92,
     {{"kind", 0, 2},
      {"reserved", 2, 2},
      {"reserved2", 4, 4},
      {"reason", 8, 64},
      {"messages", 72, 8},
      {"bytes", 80, 8},
      {"checksum", 88, 4}}},
    {NAUHA__TABLE_ELEMENTS,
     "/elements",
     24,
     {{"seq", 0, 8},
      {"offset", 8, 8},
      {"stream", 16, 2},
      {"reserved", 18, 2},
      {"checksum", 20, 4}}},
    {NAUHA__TABLE_DUMPS,
     "/dumps",
     232,
     {{"step", 0, 8},
      {"first_step", 8, 8},
      {"last_step", 16, 8},
      {"reason", 24, 200},
      {"reserved", 224, 4},
      {"checksum", 228, 4}}},
    {NAUHA__TABLE_END,
     "/end",
     556,
     {{"closed", 0, 4},
      {"reserved", 4, 4},
      {"messages", 8, 8},
      {"time_ns", 16, 8},
      {"messages_lost", 24, 8},
      {"bytes_lost", 32, 8},
      {"failure", 40, 512},
      {"checksum", 552, 4}}},
};
enum { TABLES = sizeof expected / sizeof *expected };

static size_t count_fields(size_t table) {
    size_t count = 0;
    while (count < 18 && expected[table].fields[count].name)
        count++;
    return count;
}

static void test_constants(void **state) {
    (void)state;
    assert_int_equal(NAUHA__TABLE_COUNT, TABLES);
    assert_int_equal(NAUHA__CHUNK_BYTES, 262144);
    assert_int_equal(NAUHA__BIG_BYTES, 16384);
    assert_int_equal(NAUHA__ROW_DATA, 1);
    assert_int_equal(NAUHA__ROW_DERIVED, 2);
    assert_int_equal(NAUHA__NO_STREAM, 65535);
    assert_string_equal(NAUHA__FORMAT_NAME, "nauha-trace");
}

static void test_structs(void **state) {
    (void)state;
    assert_int_equal(sizeof(struct nauha__index_row), 76);
    assert_int_equal(offsetof(struct nauha__index_row, flags), 71);
    assert_int_equal(sizeof(struct nauha__chunk_row), 32);
    assert_int_equal(sizeof(struct nauha__stream_row), 12);
    assert_int_equal(sizeof(struct nauha__kind_row), 136);
    assert_int_equal(sizeof(struct nauha__module_row), 388);
    assert_int_equal(sizeof(struct nauha__text_row), 132);
    assert_int_equal(sizeof(struct nauha__shape_row), 268);
    assert_int_equal(sizeof(struct nauha__alias_row), 20);
    assert_int_equal(sizeof(struct nauha__loss_row), 92);
    assert_int_equal(sizeof(struct nauha__end_row), 556);
}

static size_t bytes_of(const struct nauha__field *field) {
    switch (field->type) {
    case NAUHA__FIELD_U8:
        return 1;
    case NAUHA__FIELD_U16:
        return 2;
    case NAUHA__FIELD_U32:
        return 4;
    case NAUHA__FIELD_U64:
        return 8;
    case NAUHA__FIELD_TEXT:
        return field->length;
    case NAUHA__FIELD_DIMS:
        return field->length * 8;
    }
    return 0;
}

static void test_fields(void **state) {
    (void)state;
    for (size_t t = 0; t < TABLES; t++) {
        const struct nauha__table *table = nauha__table(expected[t].id);
        assert_string_equal(table->path, expected[t].path);
        assert_int_equal(table->row_size, expected[t].row_size);
        assert_true(table->chunk_rows > 0 && table->chunk_rows * table->row_size <= 256 * 1024);
        assert_int_equal(table->field_count, count_fields(t));
        for (size_t f = 0; f < table->field_count; f++) {
            assert_string_equal(table->fields[f].name, expected[t].fields[f].name);
            assert_int_equal(table->fields[f].offset, expected[t].fields[f].offset);
            assert_int_equal(bytes_of(&table->fields[f]), expected[t].fields[f].size);
        }
    }
}

static void test_h5_types(void **state) {
    (void)state;
    for (size_t t = 0; t < TABLES; t++) {
        hid_t row = nauha__h5_row_type(nauha__table(expected[t].id));
        assert_true(row >= 0);
        assert_int_equal(H5Tget_size(row), expected[t].row_size);
        assert_int_equal(H5Tget_nmembers(row), count_fields(t));
        for (unsigned f = 0; f < count_fields(t); f++) {
            const struct field *field = &expected[t].fields[f];
            char *name = H5Tget_member_name(row, f);
            hid_t type = H5Tget_member_type(row, f);
            assert_string_equal(name, field->name);
            assert_int_equal(H5Tget_member_offset(row, f), field->offset);
            assert_int_equal(H5Tget_size(type), field->size);
            switch (H5Tget_class(type)) {
            case H5T_INTEGER:
                assert_int_equal(H5Tget_sign(type), H5T_SGN_NONE);
                assert_true(field->size == 1 || H5Tget_order(type) == H5T_ORDER_LE);
                break;
            case H5T_STRING:
                assert_int_equal(H5Tget_strpad(type), H5T_STR_NULLPAD);
                assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
                break;
            default:
                assert_int_equal(H5Tget_class(type), H5T_ARRAY);
                hid_t item = H5Tget_super(type);
                assert_true(H5Tequal(item, H5T_STD_I64LE) > 0);
                H5Tclose(item);
            }
            H5Tclose(type);
            H5free_memory(name);
        }
        H5Tclose(row);
    }
}

/* One row through a file and back, byte for byte. */
static void test_rows_survive_a_file(void **state) {
    (void)state;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 16, 0);
    hid_t file = H5Fcreate("layout-in-memory.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    assert_true(file >= 0);
    for (size_t t = 0; t < TABLES; t++) {
        const struct nauha__table *table = nauha__table(expected[t].id);
        unsigned char in[556], out[556];
        for (size_t i = 0; i < sizeof in; i++)
            in[i] = (unsigned char)(i * 37 + t + 1);
        memset(out, 0, sizeof out);
        hid_t row = nauha__h5_row_type(table);
        hsize_t one = 1;
        hid_t space = H5Screate_simple(1, &one, NULL);
        hid_t set =
            H5Dcreate2(file, table->path, row, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(set >= 0);
        assert_true(H5Dwrite(set, row, H5S_ALL, H5S_ALL, H5P_DEFAULT, in) >= 0);
        assert_true(H5Dread(set, row, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
        assert_memory_equal(in, out, table->row_size);
        H5Dclose(set);
        H5Sclose(space);
        H5Tclose(row);
    }
    H5Fclose(file);
    H5Pclose(access);
}

/* XXH32 with seed 0, by python3-xxhash: xxhash.xxh32(bytes(range(128))).hexdigest() */
static void test_checksum_is_xxh32(void **state) {
    (void)state;
    struct nauha__text_row row;
    for (size_t i = 0; i < sizeof row.name; i++)
        row.name[i] = (char)i;
    nauha__row_seal(nauha__table(NAUHA__TABLE_TAGS), &row);
    assert_int_equal(row.checksum, 0x6D6194B7u);
}

/* Any byte, and any bit of it, of a sealed row. */
static void test_any_flipped_bit_is_found(void **state) {
    (void)state;
    for (size_t t = 0; t < TABLES; t++) {
        const struct nauha__table *table = nauha__table(expected[t].id);
        unsigned char row[556];
        for (size_t i = 0; i < sizeof row; i++)
            row[i] = (unsigned char)(i * 11 + 3);
        nauha__row_seal(table, row);
        assert_true(nauha__row_intact(table, row));
        for (size_t bit = 0; bit < table->row_size * 8; bit++) {
            row[bit / 8] ^= (unsigned char)(1u << bit % 8);
            assert_false(nauha__row_intact(table, row));
            row[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        assert_true(nauha__row_intact(table, row));
        /* Nothing behind the row was touched. */
        if (table->row_size < sizeof row)
            assert_int_equal(row[table->row_size], (unsigned char)(table->row_size * 11 + 3));
    }
}

/* A row that was never written is not intact. */
static void test_zeros_are_not_a_row(void **state) {
    (void)state;
    static const unsigned char zeros[556];
    for (size_t t = 0; t < TABLES; t++)
        assert_false(nauha__row_intact(nauha__table(expected[t].id), zeros));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_constants),
    cmocka_unit_test(test_structs),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_h5_types),
    cmocka_unit_test(test_rows_survive_a_file),
    cmocka_unit_test(test_checksum_is_xxh32),
    cmocka_unit_test(test_any_flipped_bit_is_found),
    cmocka_unit_test(test_zeros_are_not_a_row),
};
UNIT_MAIN(tests)
