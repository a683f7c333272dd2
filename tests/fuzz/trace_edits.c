/* SPDX-License-Identifier: MIT */
/* Applies the edits of an input to a sound trace, through HDF5: rows, how many there are, root
 * attributes, stored chunks. Rows are sealed again, so that their contents get past the checksums,
 * unless the edit says not to. */
#include "tests/fuzz/fuzz_trace.h"

#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "nauha/internal/h5.h"

#define EDITS_MAX 16u
#define ROWS_MAX 12000u
#define UNSEALED 0x80u

/* An edit as it lies in the input, little-endian, without padding; blob_bytes follow. */
enum { EDIT_WHAT, EDIT_TABLE, EDIT_ROW, EDIT_FIELD = 4, EDIT_MODE, EDIT_VALUE, EDIT_BLOB = 14 };
#define EDIT_BYTES 15u

enum what { SET_FIELD, ADD_TO_FIELD, COPY_ROW, SET_ROWS, SET_ATTRIBUTE, SET_CHUNK, PATCH_CHUNK };
#define WHATS 7u

struct edit {
    enum what what;
    bool sealed;
    unsigned table; /* or stream */
    unsigned row;   /* or chunk */
    unsigned field; /* or attribute */
    unsigned mode;
    uint64_t value;
    const uint8_t *blob;
    size_t blob_bytes;
};

/* ---- rows ---- */

struct open_table {
    const struct nauha__table *about;
    hid_t dataset, type;
    hsize_t rows;
};

static struct open_table open_table(hid_t file, enum nauha__table_id id) {
    struct open_table table = {.about = nauha__table(id)};
    table.dataset = H5Dopen2(file, table.about->path, H5P_DEFAULT);
    table.type = nauha__h5_row_type(table.about);
    hid_t space = H5Dget_space(table.dataset);
    fuzz_require(table.type >= 0 && H5Sget_simple_extent_dims(space, &table.rows, NULL) == 1);
    H5Sclose(space);
    return table;
}

static void close_table(struct open_table *table) {
    H5Tclose(table->type);
    H5Dclose(table->dataset);
}

static void move_row(const struct open_table *table, hsize_t number, bool write, void *row) {
    const hsize_t one = 1;
    hid_t memory = H5Screate_simple(1, &one, NULL), space = H5Dget_space(table->dataset);
    fuzz_require(H5Sselect_hyperslab(space, H5S_SELECT_SET, &number, NULL, &one, NULL) >= 0);
    herr_t moved = write ? H5Dwrite(table->dataset, table->type, memory, space, H5P_DEFAULT, row)
                         : H5Dread(table->dataset, table->type, memory, space, H5P_DEFAULT, row);
    fuzz_require(moved >= 0);
    H5Sclose(space);
    H5Sclose(memory);
}

static void edit_number(unsigned char *field, size_t bytes, const struct edit *edit) {
    uint64_t value = 0;
    memcpy(&value, field, bytes);
    value = edit->what == SET_FIELD ? edit->value : value + (uint64_t)(int8_t)edit->value;
    memcpy(field, &value, bytes);
}

/* The blob, then zeros or, in an odd mode, the blob again and again. */
static void edit_text(unsigned char *field, size_t bytes, const struct edit *edit) {
    memset(field, 0, bytes);
    size_t wanted = edit->mode % 2 || edit->blob_bytes > bytes ? bytes : edit->blob_bytes;
    for (size_t i = 0; i < wanted && edit->blob_bytes > 0; i++)
        field[i] = edit->blob[i % edit->blob_bytes];
}

/* All but the checksum, or that too where it is not to be right. */
static void edit_field(const struct nauha__table *about, unsigned char *row,
                       const struct edit *edit) {
    const struct nauha__field *field =
        &about->fields[edit->field % (about->field_count - edit->sealed)];
    unsigned char *at = row + field->offset;
    switch (field->type) {
    case NAUHA__FIELD_TEXT:
        edit_text(at, field->length, edit);
        break;
    case NAUHA__FIELD_DIMS:
        edit_number(at + edit->mode % NAUHA_MAX_NDIM * sizeof(int64_t), sizeof(int64_t), edit);
        break;
    default:
        edit_number(at, (size_t)1 << (field->type - NAUHA__FIELD_U8), edit);
    }
}

static void edit_table(hid_t file, enum nauha__table_id id, const struct edit *edit) {
    struct open_table table = open_table(file, id);
    unsigned char row[sizeof(struct nauha__end_row)];
    fuzz_require(table.about->row_size <= sizeof row);
    if (edit->what == SET_ROWS) {
        hsize_t rows = edit->value % ROWS_MAX;
        fuzz_require(H5Dset_extent(table.dataset, &rows) >= 0);
    } else if (table.rows > 0) {
        hsize_t number = edit->row % table.rows;
        bool copied = edit->what == COPY_ROW;
        move_row(&table, copied ? edit->value % table.rows : number, false, row);
        if (!copied)
            edit_field(table.about, row, edit);
        if (edit->sealed)
            nauha__row_seal(table.about, row);
        move_row(&table, number, true, row);
    }
    close_table(&table);
}

/* ---- attributes ---- */

/* What an attribute becomes: nothing; texts; whole numbers; and what is neither one of these. */
enum { NO_ATTRIBUTE, FIXED_TEXT, VARIABLE_TEXT, NUMBERS };

static hid_t number_type(unsigned mode) {
    const hid_t types[] = {H5T_STD_U32LE, H5T_STD_I64LE,  H5T_STD_U64LE,  H5T_STD_I8LE,
                           H5T_STD_U64BE, H5T_IEEE_F64LE, H5T_STD_REF_OBJ};
    return types[mode % (sizeof types / sizeof *types)];
}

static void edit_attribute(hid_t file, const struct edit *edit) {
    static const char *const names[] = {"format",     "format_major", "format_minor", "rank",
                                        "world_size", "created_ns",   "chunk_bytes",  "codec",
                                        "facts",      "hash"};
    const char *name = names[edit->field % (sizeof names / sizeof *names)];
    char text[256] = "", *pointer = text;
    memcpy(text, edit->blob, edit->blob_bytes);
    uint64_t numbers[2] = {edit->value, 0};
    if (H5Aexists(file, name) > 0)
        H5Adelete(file, name);
    unsigned form = edit->mode % 4;
    if (form == NO_ATTRIBUTE)
        return;
    const void *value = form == NUMBERS         ? (const void *)numbers
                        : form == VARIABLE_TEXT ? (const void *)&pointer
                                                : text;
    hid_t type = H5Tcopy(form == NUMBERS ? number_type(edit->mode / 4) : H5T_C_S1);
    if (form != NUMBERS)
        H5Tset_size(type, form == VARIABLE_TEXT  ? H5T_VARIABLE
                          : edit->blob_bytes > 0 ? edit->blob_bytes
                                                 : 1);
    const hsize_t two = 2;
    hid_t space = edit->mode < 0xc0   ? H5Screate(H5S_SCALAR)
                  : edit->mode < 0xe0 ? H5Screate_simple(1, &two, NULL)
                                      : H5Screate(H5S_NULL);
    /* Two texts would need two values: left unwritten. */
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (edit->mode < 0xc0 || form == NUMBERS)
        H5Awrite(attribute, type, value);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* ---- chunks ---- */

/* Makes the rows of a chunk in /chunks say what is stored of it. */
static void note_chunk(hid_t file, const struct nauha__chunk_row *chunk) {
    struct open_table table = open_table(file, NAUHA__TABLE_CHUNKS);
    for (hsize_t i = 0; i < table.rows; i++) {
        struct nauha__chunk_row row;
        move_row(&table, i, false, &row);
        if (row.stream != chunk->stream || row.number != chunk->number)
            continue;
        row.hash = chunk->hash;
        row.stored = chunk->stored;
        row.filter_mask = chunk->filter_mask;
        nauha__row_seal(table.about, &row);
        move_row(&table, i, true, &row);
    }
    close_table(&table);
}

/* Puts the blob where a chunk is, or into what is stored there, with a filter mask. */
static void edit_chunk(hid_t file, const struct edit *edit) {
    unsigned char stored[2 * FUZZ_CHUNK_BYTES];
    char name[32];
    unsigned stream = edit->table % 4;
    snprintf(name, sizeof name, NAUHA__STREAM_GROUP "/%04u", stream);
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
    hsize_t each = FUZZ_CHUNK_BYTES >> stream, extent = 0, bytes = 0;
    H5Sget_simple_extent_dims(space, &extent, NULL);
    H5Sclose(space);
    struct nauha__chunk_row row = {.number = extent ? edit->row % (extent / each) : 0,
                                   .filter_mask = edit->mode % 8,
                                   .stream = (uint16_t)stream};
    hsize_t offset = row.number * each;
    H5Dget_chunk_storage_size(dataset, &offset, &bytes);
    if (edit->what == PATCH_CHUNK && bytes > 0 && bytes <= FUZZ_CHUNK_BYTES) {
        H5Dread_chunk(dataset, H5P_DEFAULT, &offset, &row.filter_mask, stored);
        size_t at = (size_t)(edit->value % bytes);
        memcpy(stored + at, edit->blob, edit->blob_bytes);
        bytes = at + edit->blob_bytes > bytes ? at + edit->blob_bytes : bytes;
    } else {
        bytes = edit->blob_bytes;
        memcpy(stored, edit->blob, edit->blob_bytes);
    }
    if (extent > 0 && bytes > 0) {
        H5Dwrite_chunk(dataset, H5P_DEFAULT, row.filter_mask, &offset, bytes, stored);
        row.hash = XXH3_64bits(stored, bytes);
        row.stored = (uint32_t)bytes;
        if (edit->sealed)
            note_chunk(file, &row);
    }
    H5Dclose(dataset);
}

/* ---- an input ---- */

/* Takes the next edit; false: there is none. */
static bool next_edit(const uint8_t **data, size_t *size, struct edit *edit) {
    const uint8_t *at = *data;
    if (*size < EDIT_BYTES)
        return false;
    *edit = (struct edit){.what = (enum what)((at[EDIT_WHAT] & ~UNSEALED) % WHATS),
                          .sealed = !(at[EDIT_WHAT] & UNSEALED),
                          .table = at[EDIT_TABLE],
                          .row = at[EDIT_ROW] | (unsigned)at[EDIT_ROW + 1] << 8,
                          .field = at[EDIT_FIELD],
                          .mode = at[EDIT_MODE],
                          .blob = at + EDIT_BYTES,
                          .blob_bytes = at[EDIT_BLOB]};
    memcpy(&edit->value, at + EDIT_VALUE, sizeof edit->value);
    *data += EDIT_BYTES;
    *size -= EDIT_BYTES;
    if (edit->blob_bytes > *size)
        edit->blob_bytes = *size;
    *data += edit->blob_bytes;
    *size -= edit->blob_bytes;
    return true;
}

static void apply(const struct fuzz_target *target, hid_t file, const struct edit *edit) {
    if (edit->what <= SET_ROWS)
        edit_table(file, target->tables[edit->table % target->table_count], edit);
    else if (edit->what == SET_ATTRIBUTE && target->attributes)
        edit_attribute(file, edit);
    else if (edit->what > SET_ATTRIBUTE && target->chunks)
        edit_chunk(file, edit);
}

/* HDF5 wants a file with a name: in memory where there is such a place. */
static char path[] = "/dev/shm/nauha-fuzz-XXXXXX";

static void remove_file(void) {
    unlink(path);
}

static int make_file(void) {
    int fd = mkstemp(path);
    if (fd < 0) {
        memcpy(path, "/var/tmp/", strlen("/dev/shm/"));
        fd = mkstemp(path);
    }
    fuzz_require(fd >= 0 && atexit(remove_file) == 0);
    return fd;
}

static void apply_all(const struct fuzz_target *target, const uint8_t *data, size_t size) {
    struct edit edit;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, access);
    H5Pclose(access);
    fuzz_require(file >= 0);
    for (size_t i = 0; i < EDITS_MAX && next_edit(&data, &size, &edit); i++)
        apply(target, file, &edit);
    fuzz_require(H5Fclose(file) >= 0);
    H5Eclear2(H5E_DEFAULT);
}

void fuzz_trace(const struct fuzz_target *target, const uint8_t *data, size_t size) {
    static int fd = -1;
    if (size == 0)
        return;
    if (fd < 0) {
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        fd = make_file();
    }
    size_t bytes;
    const unsigned char *trace = fuzz_template((enum nauha__codec_method)(data[0] % 4 % 3),
                                               target->long_index && (data[0] & 12) == 12, &bytes);
    fuzz_require(ftruncate(fd, (off_t)bytes) == 0 && pwrite(fd, trace, bytes, 0) == (ssize_t)bytes);
    apply_all(target, data + 1, size - 1);
    fuzz_walk(path, data[0] / FUZZ_SELECTORS);
}
