/* SPDX-License-Identifier: MIT */
/* Creating the trace's HDF5 objects and adding to them; see docs/format.md.
 *
 * Threads: only the writer thread.
 */
#include "recorder/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/internal/clock.h"

/* ---- creating ---- */

static bool put_attribute(hid_t file, const char *name, hid_t stored, hid_t memory,
                          const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = space < 0 ? H5I_INVALID_HID
                                : H5Acreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    bool good = attribute >= 0 && H5Awrite(attribute, memory, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    return good;
}

static bool put_text(hid_t file, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    bool good = type >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0 &&
                H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
                put_attribute(file, name, type, type, text);
    if (type >= 0)
        H5Tclose(type);
    return good;
}

static bool put_u32(hid_t file, const char *name, uint32_t value) {
    return put_attribute(file, name, H5T_STD_U32LE, H5T_NATIVE_UINT32, &value);
}

static bool put_attributes(hid_t file, const struct nauha_recorder_config *config) {
    int64_t created = nauha__wall_ns();
    uint64_t chunk_bytes = NAUHA__CHUNK_BYTES;
    char *facts = nauha__config_facts_json(config);
    bool good = facts && put_text(file, "format", NAUHA__FORMAT_NAME) &&
                put_u32(file, "format_major", NAUHA_FORMAT_MAJOR) &&
                put_u32(file, "format_minor", NAUHA_FORMAT_MINOR) &&
                put_u32(file, "rank", config->rank) &&
                put_u32(file, "world_size", config->world_size) &&
                put_attribute(file, "created_ns", H5T_STD_I64LE, H5T_NATIVE_INT64, &created) &&
                put_text(file, "codec", config->codec_text) &&
                put_text(file, "hash", nauha_hash_name(NAUHA_HASH_SUMS)) &&
                put_text(file, "facts", facts) &&
                put_attribute(file, "chunk_bytes", H5T_STD_U64LE, H5T_NATIVE_UINT64, &chunk_bytes);
    free(facts);
    return good;
}

/* One of ours, shuffle, and what compresses: a chunk's filter mask says which it has skipped. */
static bool set_filters(hid_t plist, const struct nauha__codec_config *codec, size_t item_size,
                        uint16_t slices) {
    if (codec->method == NAUHA__CODEC_NONE)
        return true;
    bool lz4 = codec->method == NAUHA__CODEC_LZ4, sliced = slices > 1;
    const unsigned ours[] = {(unsigned)item_size, NAUHA__CHUNK_BYTES, slices}, level = 1;
    return H5Pset_filter(plist,
                         (H5Z_filter_t)(sliced ? NAUHA__FILTER_TEMPORAL : NAUHA__FILTER_SPARSE),
                         H5Z_FLAG_OPTIONAL, sliced ? 3 : 2, ours) >= 0 &&
           H5Pset_shuffle(plist) >= 0 &&
           H5Pset_filter(plist, (H5Z_filter_t)(lz4 ? NAUHA__FILTER_LZ4 : NAUHA__FILTER_ZSTD),
                         H5Z_FLAG_OPTIONAL, lz4 ? 0 : 1, &level) >= 0;
}

/* A growing one-dimensional dataset. codec NULL: unfiltered. */
static hid_t make_dataset(hid_t file, const char *path, hid_t type, hsize_t chunk,
                          const struct nauha__codec_config *codec, uint16_t slices) {
    hsize_t none = 0, unlimited = H5S_UNLIMITED;
    hid_t dataset = H5I_INVALID_HID;
    hid_t space = H5Screate_simple(1, &none, &unlimited);
    hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    bool good = space >= 0 && create >= 0 && access >= 0 && H5Pset_chunk(create, 1, &chunk) >= 0 &&
                H5Pset_fill_time(create, H5D_FILL_TIME_NEVER) >= 0;
    if (good && codec)
        good = set_filters(create, codec, H5Tget_size(type), slices) &&
               H5Pset_chunk_cache(access, 0, 0, 1) >= 0;
    if (good)
        dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, create, access);
    if (access >= 0)
        H5Pclose(access);
    if (create >= 0)
        H5Pclose(create);
    if (space >= 0)
        H5Sclose(space);
    return dataset;
}

static hid_t element_type(uint8_t item_size) {
    return item_size == 1   ? H5T_STD_U8LE
           : item_size == 2 ? H5T_STD_U16LE
           : item_size == 4 ? H5T_STD_U32LE
                            : H5T_STD_U64LE;
}

static bool make_streams(struct nauha__file *file, const struct nauha__codec_config *codec) {
    hid_t group =
        H5Gcreate2(file->file, NAUHA__STREAM_GROUP, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool good = group >= 0;
    uint16_t count = codec->temporal ? NAUHA__STREAMS : NAUHA__PLAIN_STREAMS;
    for (uint16_t i = 0; good && i < count; i++) {
        char name[8];
        struct nauha__stream_shape shape = nauha__stream_shape(i);
        snprintf(name, sizeof name, "%04u", i);
        file->streams[i] = make_dataset(group, name, element_type(shape.item_size),
                                        NAUHA__CHUNK_BYTES / shape.item_size, codec, shape.slices);
        good = file->streams[i] >= 0;
    }
    if (group >= 0)
        H5Gclose(group);
    return good;
}

static bool make_tables(struct nauha__file *file) {
    for (int id = 0; id < NAUHA__TABLE_COUNT; id++) {
        const struct nauha__table *table = nauha__table((enum nauha__table_id)id);
        file->row_types[id] = nauha__h5_row_type(table);
        if (file->row_types[id] < 0)
            return false;
        file->tables[id] =
            make_dataset(file->file, table->path, file->row_types[id], table->chunk_rows, NULL, 1);
        if (file->tables[id] < 0)
            return false;
    }
    return true;
}

static enum nauha_status create_file(struct nauha__file *file, const struct nauha__naming *naming,
                                     struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    hid_t access = nauha__disk_access(&file->disk, &file->driver);
    if (access >= 0)
        file->file = H5Fcreate(naming->beside, H5F_ACC_EXCL, H5P_DEFAULT, access);
    if (file->file < 0 && file->disk.error)
        status = nauha_error_set_errno(err, file->disk.error, "cannot create trace \"%s\"",
                                       naming->path);
    else if (file->file < 0) /* before another call overwrites errno */
        status = nauha__h5_error(err, NAUHA_IO, "cannot create trace \"%s\"", naming->path);
    if (access >= 0)
        H5Pclose(access);
    return status;
}

/* Describes an error, with the error of the disk if there was one. */
static enum nauha_status write_error(const struct nauha__file *file, const char *what,
                                     struct nauha_error *err) {
    enum nauha_status status =
        nauha__h5_error(err, NAUHA_IO, "cannot %s trace \"%s\"", what, file->path);
    if (!file->disk.error)
        return status;
    return nauha_error_set_errno(err, file->disk.error, "cannot %s trace \"%s\"", what, file->path);
}

/* Whether a call succeeded, and no write to the disk has failed. */
static bool went_well(const struct nauha__file *file, bool good) {
    return good && file->disk.error == 0;
}

/* The same, after all pending data have been passed to the system. */
static bool settled_well(struct nauha__file *file, bool good) {
    nauha__disk_settle(&file->disk);
    return went_well(file, good);
}

/* The row of /end stands there from the start, so that it can be overwritten in place. */
static bool place_end(struct nauha__file *file) {
    struct nauha__end_row row = {.closed = 0};
    hsize_t first = 0, bytes;
    unsigned mask;
    haddr_t address;
    hid_t end = file->tables[NAUHA__TABLE_END];
    if (nauha__file_append(file, NAUHA__TABLE_END, &row, 1, NULL) != NAUHA_OK ||
        H5Dflush(end) < 0 || H5Dget_chunk_info_by_coord(end, &first, &mask, &address, &bytes) < 0 ||
        address == HADDR_UNDEF)
        return false;
    file->end_address = address;
    return true;
}

/* The compressed chunks come ready made, so the filters themselves are not needed: HDF5 need not
 * search for them, which would take a millisecond a stream. */
static bool make_objects(struct nauha__file *file, const struct nauha_recorder_config *config) {
    unsigned loading = 0;
    bool known = H5PLget_loading_state(&loading) >= 0 && H5PLset_loading_state(0) >= 0;
    bool good = put_attributes(file->file, config) && make_streams(file, &config->codec) &&
                make_tables(file) && place_end(file) && H5Fflush(file->file, H5F_SCOPE_GLOBAL) >= 0;
    /* This reads back what has been written. If that fails, HDF5 no longer knows what is open. */
    good = settled_well(file, good) && H5Fstart_swmr_write(file->file) >= 0;
    if (known)
        H5PLset_loading_state(loading);
    return settled_well(file, good);
}

enum nauha_status nauha__file_create(struct nauha__file *file, struct nauha__naming *naming,
                                     const struct nauha_recorder_config *config,
                                     struct nauha_error *err) {
    memset(file, 0, sizeof *file);
    file->file = file->driver = H5I_INVALID_HID;
    file->fd = file->disk.fd = -1;
    for (size_t i = 0; i < NAUHA__STREAMS; i++)
        file->streams[i] = H5I_INVALID_HID;
    for (size_t i = 0; i < NAUHA__TABLE_COUNT; i++)
        file->tables[i] = file->row_types[i] = H5I_INVALID_HID;
    file->path = naming->path;
    file->sync = config->flush_sync;
    enum nauha_status status = nauha__naming_clear(naming, err);
    if (status == NAUHA_OK)
        status = create_file(file, naming, err);
    if (status != NAUHA_OK)
        goto out;
    file->fd = fcntl(file->disk.fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (file->fd < 0)
        status = nauha_error_set_errno(err, errno, "cannot create trace \"%s\"", file->path);
    else
        status = nauha__naming_take(naming, file->fd, err);
    if (status == NAUHA_OK && !make_objects(file, config))
        status = write_error(file, "set up", err);
    if (status == NAUHA_OK)
        status = nauha__file_sync(file, err);
    if (status == NAUHA_OK && !naming->waits)
        status = nauha__naming_settle(naming, err);
out:
    if (status != NAUHA_OK) {
        nauha__file_close(file, NULL, NULL);
        nauha__naming_remove(naming);
    }
    return status;
}

/* ---- adding ---- */

enum nauha_status nauha__file_write_chunk(struct nauha__file *file,
                                          const struct nauha__block *block,
                                          struct nauha_error *err) {
    hid_t dataset = file->streams[block->stream];
    hsize_t each = NAUHA__CHUNK_BYTES / block->item_size;
    hsize_t offset = block->number * each, extent = offset + each;
    bool good = true;
    if (block->number >= file->chunks[block->stream]) {
        good = H5Dset_extent(dataset, &extent) >= 0;
        file->chunks[block->stream] = block->number + 1;
    }
    file->dirty[block->stream] = true;
    good = good && H5Dwrite_chunk(dataset, H5P_DEFAULT, block->filter_mask, &offset, block->stored,
                                  block->data) >= 0;
    return went_well(file, good) ? NAUHA_OK : write_error(file, "write to", err);
}

enum nauha_status nauha__file_append(struct nauha__file *file, enum nauha__table_id table,
                                     void *rows, size_t count, struct nauha_error *err) {
    const struct nauha__table *about = nauha__table(table);
    for (size_t i = 0; i < count; i++)
        nauha__row_seal(about, (unsigned char *)rows + i * about->row_size);
    hsize_t first = file->rows[table], more = count, extent = first + more;
    if (H5Dset_extent(file->tables[table], &extent) < 0)
        return write_error(file, "write to", err);
    hid_t target = H5Dget_space(file->tables[table]);
    hid_t memory = H5Screate_simple(1, &more, NULL);
    bool good = target >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(target, H5S_SELECT_SET, &first, NULL, &more, NULL) >= 0 &&
                H5Dwrite(file->tables[table], file->row_types[table], memory, target, H5P_DEFAULT,
                         rows) >= 0;
    enum nauha_status status =
        went_well(file, good) ? NAUHA_OK : write_error(file, "write to", err);
    if (target >= 0)
        H5Sclose(target);
    if (memory >= 0)
        H5Sclose(memory);
    if (good)
        file->rows[table] = extent;
    return status;
}

enum nauha_status nauha__file_flush_streams(struct nauha__file *file, struct nauha_error *err) {
    for (size_t i = 0; i < NAUHA__STREAMS; i++) {
        if (file->dirty[i] && !settled_well(file, H5Dflush(file->streams[i]) >= 0))
            return write_error(file, "flush", err);
        file->dirty[i] = false;
    }
    return NAUHA_OK;
}

enum nauha_status nauha__file_flush_table(struct nauha__file *file, enum nauha__table_id table,
                                          struct nauha_error *err) {
    bool good = H5Dflush(file->tables[table]) >= 0;
    return settled_well(file, good) ? NAUHA_OK : write_error(file, "flush", err);
}

enum nauha_status nauha__file_flush(struct nauha__file *file, struct nauha_error *err) {
    bool good = H5Fflush(file->file, H5F_SCOPE_GLOBAL) >= 0;
    return settled_well(file, good) ? NAUHA_OK : write_error(file, "flush", err);
}

enum nauha_status nauha__file_sync(const struct nauha__file *file, struct nauha_error *err) {
    if (file->sync && fdatasync(file->fd) != 0)
        return nauha_error_set_errno(err, errno, "cannot sync trace \"%s\"", file->path);
    return NAUHA_OK;
}

static bool write_end(const struct nauha__file *file, struct nauha__end_row *end) {
    const uint64_t direct = (file->disk.direct + (1u << 20) - 1) >> 20;
    end->reserved = direct < UINT32_MAX ? (uint32_t)direct : UINT32_MAX;
    nauha__row_seal(nauha__table(NAUHA__TABLE_END), end);
    return pwrite(file->fd, end, sizeof *end, (off_t)file->end_address) == (ssize_t)sizeof *end;
}

enum nauha_status nauha__file_close(struct nauha__file *file, struct nauha__end_row *end,
                                    struct nauha_error *err) {
    bool good = true;
    int failed_before = file->disk.error;
    for (size_t i = 0; i < NAUHA__STREAMS; i++)
        good = (file->streams[i] < 0 || H5Dclose(file->streams[i]) >= 0) && good;
    for (size_t i = 0; i < NAUHA__TABLE_COUNT; i++) {
        good = (file->tables[i] < 0 || H5Dclose(file->tables[i]) >= 0) && good;
        if (file->row_types[i] >= 0)
            H5Tclose(file->row_types[i]);
    }
    good = (file->file < 0 || H5Fclose(file->file) >= 0) && good;
    if (file->driver >= 0)
        H5FDunregister(file->driver);
    /* An earlier failure of the disk has already been reported. */
    good = good && (failed_before || !file->disk.error);
    enum nauha_status status = good ? NAUHA_OK : write_error(file, "close", err);
    if (end && !write_end(file, end) && status == NAUHA_OK)
        status = nauha_error_set_errno(err, errno, "cannot close trace \"%s\"", file->path);
    if (end && status == NAUHA_OK)
        status = nauha__file_sync(file, err);
    if (file->fd >= 0)
        close(file->fd);
    return status;
}
