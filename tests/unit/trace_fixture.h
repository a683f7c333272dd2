/* SPDX-License-Identifier: MIT */
/* Writes small traces with plain HDF5 calls, from layout.h alone: what reader tests read. Damage is
 * made by writing rows, attributes and chunks that no recorder would. */
#ifndef NAUHA_TESTS_TRACE_FIXTURE_H
#define NAUHA_TESTS_TRACE_FIXTURE_H

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "nauha/internal/codec.h"
#include "nauha/internal/h5.h"
#include "nauha/trace.h"

/* Stream n of these holds elements of 1 << n bytes. */
#define FIXTURE_STREAMS 4u

struct fixture_options {
    enum nauha__codec_method method;
    uint64_t chunk_bytes; /* 0: as recorders do */
    bool swmr;
    const char *format; /* NULL: the right one */
    uint32_t major;     /* 0: the right one */
    uint32_t minor;     /* 0: ours */
    const char *facts;  /* NULL: {"model": "fc", "optimizer": "sgd"} */
    int without_table;  /* a table to leave out, plus one */
    const char *without_attribute;
};

struct fixture_stream {
    hid_t dataset;
    size_t item_size;
    unsigned char *open; /* the chunk being filled */
    size_t fill;
    uint64_t chunks;
    bool used;
};

struct fixture {
    hid_t file;
    hid_t tables[NAUHA__TABLE_COUNT];
    hid_t types[NAUHA__TABLE_COUNT];
    uint64_t rows[NAUHA__TABLE_COUNT];
    struct fixture_stream streams[FIXTURE_STREAMS];
    enum nauha__codec_method method;
    struct nauha__codec *codec;
    uint64_t chunk_bytes;
};

/* A path of its own in a directory that stays for the program's life; up to 8 at a time. */
static inline const char *fixture_path(const char *name) {
    static char home[64], paths[8][128];
    static unsigned next;
    if (!home[0]) {
        snprintf(home, sizeof home, "/tmp/nauha-test-XXXXXX");
        assert_non_null(mkdtemp(home));
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", home, name);
    unlink(path);
    return path;
}

/* The directory with all that is in it. */
static inline void fixture_clean(void) {
    char command[160];
    const char *path = fixture_path("x");
    snprintf(command, sizeof command, "rm -rf '%.*s'", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(system(command), 0);
}

static inline void fixture_text(hid_t file, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    assert_true(H5Tset_size(type, strlen(text) + 1) >= 0);
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static inline void fixture_integer(hid_t file, const char *name, hid_t type, int64_t value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

static inline hid_t fixture_dataset(hid_t file, const char *path, hid_t type, hsize_t chunk,
                                    enum nauha__codec_method method) {
    hsize_t none = 0, unlimited = H5S_UNLIMITED;
    hid_t space = H5Screate_simple(1, &none, &unlimited);
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(plist, 1, &chunk) >= 0);
    if (method != NAUHA__CODEC_NONE) {
        unsigned filter = method == NAUHA__CODEC_LZ4 ? NAUHA__FILTER_LZ4 : NAUHA__FILTER_ZSTD;
        const unsigned sparse[] = {(unsigned)H5Tget_size(type),
                                   (unsigned)(chunk * H5Tget_size(type))};
        assert_true(H5Pset_filter(plist, (H5Z_filter_t)NAUHA__FILTER_SPARSE, H5Z_FLAG_OPTIONAL, 2,
                                  sparse) >= 0);
        assert_true(H5Pset_shuffle(plist) >= 0);
        assert_true(H5Pset_filter(plist, (H5Z_filter_t)filter, H5Z_FLAG_OPTIONAL, 0, NULL) >= 0);
    }
    hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Pclose(plist);
    H5Sclose(space);
    return dataset;
}

static inline void fixture_attributes(struct fixture *f, const struct fixture_options *options) {
    const char *without = options->without_attribute ? options->without_attribute : "";
    if (strcmp(without, "format") != 0)
        fixture_text(f->file, "format", options->format ? options->format : NAUHA__FORMAT_NAME);
    if (strcmp(without, "codec") != 0)
        fixture_text(f->file, "codec", (const char *[]){"none", "lz4", "zstd"}[options->method]);
    if (strcmp(without, "hash") != 0)
        fixture_text(f->file, "hash", "sums");
    if (strcmp(without, "facts") != 0)
        fixture_text(f->file, "facts",
                     options->facts ? options->facts
                                    : "{\"model\": \"fc\", \"optimizer\": \"sgd\"}");
    const struct {
        const char *name;
        hid_t type;
        int64_t value;
    } numbers[] = {
        {"format_major", H5T_STD_U32LE, options->major ? options->major : NAUHA_FORMAT_MAJOR},
        {"format_minor", H5T_STD_U32LE, options->minor ? options->minor : NAUHA_FORMAT_MINOR},
        {"rank", H5T_STD_U32LE, 3},
        {"world_size", H5T_STD_U32LE, 8},
        {"created_ns", H5T_STD_I64LE, 1700000000000000000},
        {"chunk_bytes", H5T_STD_U64LE, (int64_t)f->chunk_bytes},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(without, numbers[i].name) != 0)
            fixture_integer(f->file, numbers[i].name, numbers[i].type, numbers[i].value);
}

/* Appends rows as they are, without touching their checksums; returns the first one's number. */
static inline uint32_t fixture_append(struct fixture *f, enum nauha__table_id id, const void *rows,
                                      hsize_t count) {
    hsize_t first = f->rows[id], extent = first + count;
    assert_true(H5Dset_extent(f->tables[id], &extent) >= 0);
    hid_t file = H5Dget_space(f->tables[id]);
    hid_t memory = H5Screate_simple(1, &count, NULL);
    assert_true(H5Sselect_hyperslab(file, H5S_SELECT_SET, &first, NULL, &count, NULL) >= 0);
    assert_true(H5Dwrite(f->tables[id], f->types[id], memory, file, H5P_DEFAULT, rows) >= 0);
    H5Sclose(memory);
    H5Sclose(file);
    f->rows[id] = extent;
    return (uint32_t)first;
}

/* Seals a row and appends it. */
static inline uint32_t fixture_row(struct fixture *f, enum nauha__table_id id, void *row) {
    nauha__row_seal(nauha__table(id), row);
    return fixture_append(f, id, row, 1);
}

static inline uint32_t fixture_kind(struct fixture *f, const char *name, enum nauha_scope scope,
                                    enum nauha_form form) {
    struct nauha__kind_row row = {.scope = (uint8_t)scope, .form = (uint8_t)form};
    memcpy(row.name, name, strlen(name));
    return fixture_row(f, NAUHA__TABLE_KINDS, &row);
}

static inline uint32_t fixture_module(struct fixture *f, const char *name, const char *class_name) {
    struct nauha__module_row row = {.name = ""};
    memcpy(row.name, name, strlen(name));
    memcpy(row.class_name, class_name, strlen(class_name));
    return fixture_row(f, NAUHA__TABLE_MODULES, &row);
}

/* id: NAUHA__TABLE_SLOTS or NAUHA__TABLE_TAGS. */
static inline uint32_t fixture_name(struct fixture *f, enum nauha__table_id id, const char *name) {
    struct nauha__text_row row = {.name = ""};
    memcpy(row.name, name, strlen(name));
    return fixture_row(f, id, &row);
}

static inline uint32_t fixture_shape(struct fixture *f, uint32_t ndim, const int64_t *dims) {
    struct nauha__shape_row row = {.ndim = ndim};
    if (ndim)
        memcpy(row.dims, dims, ndim * sizeof *dims);
    return fixture_row(f, NAUHA__TABLE_SHAPES, &row);
}

/* An empty trace: the built-in kinds, the slot "", the tag "default". */
static inline void fixture_new(struct fixture *f, const char *path,
                               const struct fixture_options *options) {
    memset(f, 0, sizeof *f);
    f->method = options->method;
    f->chunk_bytes = options->chunk_bytes ? options->chunk_bytes : NAUHA__CHUNK_BYTES;
    const struct nauha__codec_config config = {.method = f->method};
    f->codec = nauha__codec_new(&config, f->chunk_bytes);
    assert_non_null(f->codec);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    f->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    assert_true(f->file >= 0);
    fixture_attributes(f, options);
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        const struct nauha__table *table = nauha__table((enum nauha__table_id)id);
        f->tables[id] = H5I_INVALID_HID;
        f->types[id] = nauha__h5_row_type(table);
        if (id + 1 != options->without_table)
            f->tables[id] = fixture_dataset(f->file, table->path, f->types[id], table->chunk_rows,
                                            NAUHA__CODEC_NONE);
    }
    hid_t group = H5Gcreate2(f->file, NAUHA__STREAM_GROUP, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    const hid_t types[FIXTURE_STREAMS] = {H5T_STD_U8LE, H5T_STD_U16LE, H5T_STD_U32LE,
                                          H5T_STD_U64LE};
    for (unsigned i = 0; i < FIXTURE_STREAMS; i++) {
        char name[32];
        snprintf(name, sizeof name, NAUHA__STREAM_GROUP "/%04u", i);
        struct fixture_stream *stream = &f->streams[i];
        stream->item_size = (size_t)1 << i;
        stream->dataset =
            fixture_dataset(f->file, name, types[i], f->chunk_bytes / stream->item_size, f->method);
        stream->open = calloc(1, f->chunk_bytes);
    }
    if (options->swmr)
        assert_true(H5Fstart_swmr_write(f->file) >= 0);
    if (options->without_table == NAUHA__TABLE_KINDS + 1)
        return;
#define FIXTURE_KIND(id, name, scope, form)                                                        \
    fixture_kind(f, name, NAUHA_SCOPE_##scope, NAUHA_FORM_##form);
    NAUHA_KINDS(FIXTURE_KIND)
#undef FIXTURE_KIND
    if (options->without_table != NAUHA__TABLE_SLOTS + 1)
        fixture_name(f, NAUHA__TABLE_SLOTS, "");
    if (options->without_table != NAUHA__TABLE_TAGS + 1)
        fixture_name(f, NAUHA__TABLE_TAGS, "default");
}

/* Writes the open chunk of a stream, padded with zeros. */
static inline void fixture_seal(struct fixture *f, unsigned number) {
    struct fixture_stream *stream = &f->streams[number];
    if (stream->fill == 0)
        return;
    memset(stream->open + stream->fill, 0, f->chunk_bytes - stream->fill);
    unsigned char *stored = malloc(nauha__codec_bound(f->chunk_bytes));
    size_t bytes = 0;
    uint32_t mask = 0;
    nauha__codec_encode(f->codec, stream->item_size, stream->open, f->chunk_bytes, stored, &bytes,
                        &mask);
    hsize_t each = f->chunk_bytes / stream->item_size;
    hsize_t offset = stream->chunks * each, extent = offset + each;
    assert_true(H5Dset_extent(stream->dataset, &extent) >= 0);
    assert_true(H5Dwrite_chunk(stream->dataset, H5P_DEFAULT, mask, &offset, bytes, stored) >= 0);
    if (!stream->used) {
        struct nauha__stream_row row = {.stream = (uint16_t)number,
                                        .kind = UINT16_MAX,
                                        .item_size = (uint8_t)stream->item_size};
        fixture_row(f, NAUHA__TABLE_STREAMS_USED, &row);
        stream->used = true;
    }
    struct nauha__chunk_row row = {.number = stream->chunks,
                                   .hash = XXH3_64bits(stored, bytes),
                                   .stored = (uint32_t)bytes,
                                   .filter_mask = mask,
                                   .stream = (uint16_t)number};
    fixture_row(f, NAUHA__TABLE_CHUNKS, &row);
    free(stored);
    stream->chunks++;
    stream->fill = 0;
}

/* Puts elements behind those that are there; returns the number of the first. */
static inline uint64_t fixture_put(struct fixture *f, unsigned number, const void *data,
                                   size_t bytes) {
    struct fixture_stream *stream = &f->streams[number];
    uint64_t first = (stream->chunks * f->chunk_bytes + stream->fill) / stream->item_size;
    for (const unsigned char *from = data; bytes > 0;) {
        size_t n = f->chunk_bytes - stream->fill < bytes ? f->chunk_bytes - stream->fill : bytes;
        memcpy(stream->open + stream->fill, from, n);
        stream->fill += n;
        from += n;
        bytes -= n;
        if (stream->fill == f->chunk_bytes)
            fixture_seal(f, number);
    }
    return first;
}

static inline unsigned fixture_stream_of(enum nauha_dtype dtype) {
    return (unsigned)__builtin_ctzl(nauha_dtype_size(dtype));
}

/* Appends an index row whose seq is its number. */
static inline uint32_t fixture_index(struct fixture *f, struct nauha__index_row row) {
    row.seq = f->rows[NAUHA__TABLE_INDEX];
    return fixture_row(f, NAUHA__TABLE_INDEX, &row);
}

static inline uint32_t fixture_event(struct fixture *f, enum nauha_kind kind, uint64_t step) {
    return fixture_index(f, (struct nauha__index_row){.global_step = step,
                                                      .kind = (uint16_t)kind,
                                                      .module = NAUHA_NONE,
                                                      .stream = NAUHA__NO_STREAM});
}

/* A tensor message with its elements; the row is returned for derived ones and changes. */
static inline struct nauha__index_row fixture_tensor(struct fixture *f, enum nauha_kind kind,
                                                     uint32_t module, uint64_t step,
                                                     enum nauha_dtype dtype, uint32_t ndim,
                                                     const int64_t *dims, const void *data) {
    size_t bytes = nauha_dtype_size(dtype);
    for (uint32_t i = 0; i < ndim; i++)
        bytes *= (size_t)dims[i];
    unsigned stream = fixture_stream_of(dtype);
    struct nauha__index_row row = {
        .time_ns = 1000 * step,
        .global_step = step,
        .train_step = (uint32_t)step,
        .module = module,
        .shape = fixture_shape(f, ndim, dims),
        .kind = (uint16_t)kind,
        .stream = bytes ? (uint16_t)stream : NAUHA__NO_STREAM,
        .dtype = (uint8_t)dtype,
        .flags = NAUHA__ROW_DATA,
    };
    if (bytes)
        row.offset = fixture_put(f, stream, data, bytes);
    row.seq = fixture_index(f, row);
    return row;
}

/* The order that writers keep to: chunks and tables before the index. */
static inline void fixture_flush(struct fixture *f) {
    for (unsigned i = 0; i < FIXTURE_STREAMS; i++) {
        fixture_seal(f, i);
        H5Dflush(f->streams[i].dataset);
    }
    for (int id = NAUHA__TABLE_COUNT; id-- > 0;)
        if (f->tables[id] >= 0)
            H5Dflush(f->tables[id]);
    assert_true(H5Fflush(f->file, H5F_SCOPE_GLOBAL) >= 0);
}

/* failure: NULL for a trace that was cut off, "" for a complete one. */
static inline void fixture_close(struct fixture *f, const char *failure) {
    for (unsigned i = 0; i < FIXTURE_STREAMS; i++) {
        fixture_seal(f, i);
        H5Dclose(f->streams[i].dataset);
        free(f->streams[i].open);
    }
    if (failure) {
        struct nauha__end_row row = {.closed = 1, .messages = f->rows[NAUHA__TABLE_INDEX]};
        memcpy(row.failure, failure, strlen(failure));
        fixture_row(f, NAUHA__TABLE_END, &row);
    }
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        if (f->tables[id] >= 0)
            H5Dclose(f->tables[id]);
        H5Tclose(f->types[id]);
    }
    assert_true(H5Fclose(f->file) >= 0);
    nauha__codec_free(f->codec);
}

/* ---- damaging files ---- */

static inline size_t fixture_file_bytes(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

static inline unsigned char *fixture_slurp(const char *path, size_t *bytes) {
    *bytes = fixture_file_bytes(path);
    unsigned char *data = malloc(*bytes ? *bytes : 1);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

static inline void fixture_spill(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

/* Changes every bit of one byte at the n-th place (from 0) where `pattern` stands in the file. */
static inline void fixture_flip_at(const char *path, const void *pattern, size_t pattern_bytes,
                                   size_t n, size_t skip) {
    size_t bytes;
    unsigned char *data = fixture_slurp(path, &bytes);
    unsigned char *at = data;
    for (size_t i = 0; i <= n; i++) {
        at = memmem(at, (size_t)(data + bytes - at), pattern, pattern_bytes);
        assert_non_null(at);
        at += i < n;
    }
    at[skip] = (unsigned char)~at[skip];
    fixture_spill(path, data, bytes);
    free(data);
}

#endif
