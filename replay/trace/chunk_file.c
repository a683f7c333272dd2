/* SPDX-License-Identifier: MIT */
/* Opening the datasets of the streams, and reading chunks from the file.
 *
 * Threads: one at a time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nauha/internal/h5_driver.h"
#include "nauha/internal/hash.h"
#include "replay/trace/chunks_parts.h"
#include "replay/trace/file_driver.h"

/* ---- errors ---- */

enum nauha_status nauha__chunks_no_memory(const struct nauha__chunks *chunks,
                                          struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_NOMEM, "no memory for the chunks of trace \"%s\"",
                           chunks->path);
}

enum nauha_status nauha__chunks_damaged(const struct nauha__chunks *chunks,
                                        const struct nauha__chunk *chunk, const char *how,
                                        struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_DAMAGED,
                           "chunk %" PRIu64 " of stream \"%04u\" in trace \"%s\" %s", chunk->number,
                           chunk->stream, chunks->path, how);
}

/* ---- datasets ---- */

/* Whether the filters of a stream are none, or one of nauha's own, shuffle and a compressor. */
static bool take_filters(hid_t plist, uint16_t slices, enum nauha__codec_method *method) {
    H5Z_filter_t found[3] = {0};
    int count = H5Pget_nfilters(plist);
    H5Z_filter_t ours = (H5Z_filter_t)(slices > 1 ? NAUHA__FILTER_TEMPORAL : NAUHA__FILTER_SPARSE);
    *method = NAUHA__CODEC_NONE;
    if (count != 3)
        return count == 0;
    for (unsigned i = 0; i < 3; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        found[i] = H5Pget_filter2(plist, i, &flags, &values, NULL, 0, NULL, &config);
    }
    *method = found[2] == (H5Z_filter_t)NAUHA__FILTER_LZ4 ? NAUHA__CODEC_LZ4 : NAUHA__CODEC_ZSTD;
    return found[0] == ours && found[1] == H5Z_FILTER_SHUFFLE &&
           (found[2] == (H5Z_filter_t)NAUHA__FILTER_ZSTD ||
            found[2] == (H5Z_filter_t)NAUHA__FILTER_LZ4);
}

/* What is wrong with a stream's dataset; NULL: nothing. */
static const char *stream_fault(const struct nauha__chunks *chunks,
                                struct nauha__trace_stream *stream, hid_t dataset) {
    const char *fault = NULL;
    hsize_t elements = 0;
    hid_t type = H5Dget_type(dataset);
    hid_t space = H5Dget_space(dataset);
    hid_t plist = H5Dget_create_plist(dataset);
    if (type < 0 || space < 0 || plist < 0)
        fault = "cannot be described";
    else if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) != stream->item_size)
        fault = "has elements of another size than /streams_used says";
    else if (H5Sget_simple_extent_ndims(space) != 1)
        fault = "is not one-dimensional";
    else if (H5Pget_layout(plist) != H5D_CHUNKED || H5Pget_chunk(plist, 1, &elements) != 1 ||
             elements != chunks->chunk_bytes / stream->item_size)
        fault = "has chunks of another size than the trace says";
    else if (!take_filters(plist, stream->slices, &stream->method))
        fault = "has filters that are not known";
    if (plist >= 0)
        H5Pclose(plist);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return fault;
}

static void stream_path(uint16_t number, char path[32]) {
    snprintf(path, 32, NAUHA__STREAM_GROUP "/%04u", number);
}

static enum nauha_status open_dataset(struct nauha__chunks *chunks, uint16_t number,
                                      struct nauha_error *err) {
    struct nauha__trace_stream *stream = chunks->streams[number];
    char name[32];
    stream_path(number, name);
    /* Chunks are read whole and cached here, so HDF5 need not cache them. */
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    hid_t dataset = H5I_INVALID_HID;
    if (access >= 0 && H5Pset_chunk_cache(access, 0, 0, 0) >= 0)
        dataset = H5Dopen2(chunks->file, name, access);
    if (access >= 0)
        H5Pclose(access);
    if (dataset < 0)
        return nauha__h5_error(err, NAUHA_FORMAT, "cannot open \"%s\" of trace \"%s\"", name,
                               chunks->path);
    const char *fault = stream_fault(chunks, stream, dataset);
    if (!fault && !chunks->codecs[stream->method]) {
        struct nauha__codec_config config = {.method = stream->method};
        chunks->codecs[stream->method] = nauha__codec_new(&config, chunks->chunk_bytes);
        if (!chunks->codecs[stream->method]) {
            H5Dclose(dataset);
            return nauha__chunks_no_memory(chunks, err);
        }
    }
    if (fault) {
        H5Eclear2(H5E_DEFAULT);
        H5Dclose(dataset);
        return nauha_error_set(err, NAUHA_FORMAT, "\"%s\" of trace \"%s\" %s", name, chunks->path,
                               fault);
    }
    stream->dataset = dataset;
    stream->stale = false;
    return NAUHA_OK;
}

static enum nauha_status refresh_dataset(struct nauha__chunks *chunks, uint16_t number,
                                         struct nauha_error *err) {
    struct nauha__trace_stream *stream = chunks->streams[number];
    char path[32];
    stream_path(number, path);
    enum nauha_status status = nauha__h5_refresh(chunks->file, path, &stream->dataset, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "trace \"%s\"", chunks->path);
    stream->stale = false;
    return NAUHA_OK;
}

enum nauha_status nauha__chunk_open_stream(struct nauha__chunks *chunks, uint16_t number,
                                           struct nauha_error *err) {
    struct nauha__trace_stream *stream = chunks->streams[number];
    if (stream->dataset >= 0)
        return stream->stale ? refresh_dataset(chunks, number, err) : NAUHA_OK;
    if (stream->fault)
        return nauha_error_set(err, NAUHA_FORMAT, "%s", stream->fault);
    struct nauha_error reason = NAUHA_ERROR_INIT;
    enum nauha_status status = open_dataset(chunks, number, &reason);
    if (status == NAUHA_FORMAT)
        stream->fault = strdup(reason.message);
    return status == NAUHA_OK ? status : nauha_error_set(err, status, "%s", reason.message);
}

/* ---- chunks ---- */

/* The position of a chunk, if the file and the table agree about it. */
static enum nauha_status find_stored(const struct nauha__chunks *chunks,
                                     const struct nauha__chunk *chunk,
                                     struct nauha__chunk_place *place, struct nauha_error *err) {
    const struct nauha__trace_stream *stream = chunks->streams[chunk->stream];
    uint64_t each = chunks->chunk_bytes / stream->item_size;
    if (chunk->number > (UINT64_MAX >> 1) / each)
        return nauha__chunks_damaged(chunks, chunk, "lies beyond what a file can hold", err);
    if (!nauha__file_driver_find(chunks->file, stream->dataset, chunk->number * each,
                                 chunks->stored, place)) {
        H5Eclear2(H5E_DEFAULT);
        return nauha__chunks_damaged(chunks, chunk, "is missing", err);
    }
    if (place->bytes != chunk->stored || place->bytes > chunks->stored_max)
        return nauha__chunks_damaged(chunks, chunk, "has another size than /chunks says", err);
    if (place->filter_mask != chunk->filter_mask)
        return nauha__chunks_damaged(chunks, chunk, "has another filter mask than /chunks says",
                                     err);
    return NAUHA_OK;
}

/* Reads the stored bytes of a chunk to chunks->stored, and checks them against the table. */
static enum nauha_status read_stored(struct nauha__chunks *chunks, const struct nauha__chunk *chunk,
                                     struct nauha_error *err) {
    struct nauha__chunk_place place;
    enum nauha_status status = find_stored(chunks, chunk, &place, err);
    if (status != NAUHA_OK)
        return status;
    ssize_t got = nauha__h5_read(chunks->fd, place.address, (size_t)place.bytes, chunks->stored);
    if (got < 0)
        return nauha_error_set(err, NAUHA_DAMAGED,
                               "chunk %" PRIu64
                               " of stream \"%04u\" in trace \"%s\" cannot be read: %s",
                               chunk->number, chunk->stream, chunks->path, strerror(errno));
    if ((uint64_t)got < place.bytes)
        return nauha__chunks_damaged(chunks, chunk, "lies beyond the end of the file", err);
    if (nauha__hash64(chunks->stored, (size_t)place.bytes) != chunk->hash)
        return nauha__chunks_damaged(chunks, chunk, "does not match its checksum", err);
    return NAUHA_OK;
}

static enum nauha_status open_and_read(struct nauha__chunks *chunks,
                                       const struct nauha__chunk *chunk, struct nauha_error *err) {
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    enum nauha_status status = nauha__chunk_open_stream(chunks, chunk->stream, err);
    if (status == NAUHA_OK)
        status = read_stored(chunks, chunk, err);
    nauha__h5_quiet_end(&quiet);
    return status;
}

/* In a stream without filters, chunks are stored as they are. */
static uint32_t mask_of(const struct nauha__trace_stream *stream,
                        const struct nauha__chunk *chunk) {
    return stream->method == NAUHA__CODEC_NONE ? NAUHA__MASK_RAW : chunk->filter_mask;
}

enum nauha_status nauha__chunk_decode(struct nauha__chunks *chunks,
                                      const struct nauha__chunk *chunk, void *dst,
                                      struct nauha_error *err) {
    enum nauha_status status = open_and_read(chunks, chunk, err);
    if (status != NAUHA_OK)
        return status;
    const struct nauha__trace_stream *stream = chunks->streams[chunk->stream];
    chunks->counts.decoded++;
    status = nauha__codec_decode(chunks->codecs[stream->method], stream->item_size, stream->slices,
                                 mask_of(stream, chunk), chunks->stored, chunk->stored, dst,
                                 chunks->chunk_bytes, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "chunk %" PRIu64 " of stream \"%04u\" in trace \"%s\"",
                                chunk->number, chunk->stream, chunks->path);
    return NAUHA_OK;
}

enum nauha_status nauha__chunks_count_coded(struct nauha__chunks *chunks,
                                            const struct nauha__chunk *chunk, uint64_t *bytes,
                                            struct nauha_error *err) {
    enum nauha_status status = open_and_read(chunks, chunk, err);
    if (status != NAUHA_OK)
        return status;
    const struct nauha__trace_stream *stream = chunks->streams[chunk->stream];
    *bytes = nauha__codec_coded_bytes(stream->method, mask_of(stream, chunk), chunks->stored,
                                      chunk->stored);
    return NAUHA_OK;
}
