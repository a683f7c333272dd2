/* SPDX-License-Identifier: MIT */
/* The streams of a trace: elements out of stored chunks, through a cache of decoded ones.
 *
 * Threads: one at a time.
 */
#include "replay/chunks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "nauha/internal/arithmetic.h"

/* More slots than this are of no use, however small the chunks. */
#define SLOTS_MAX 4096u
#define METHODS (NAUHA__CODEC_ZSTD + 1)

struct stream {
    size_t item_size;
    size_t first, count; /* its chunks, in chunks->entries */
    hid_t dataset;       /* negative until opened */
    enum nauha__codec_method method;
    char *fault;     /* why it cannot be opened, so that no message tries again; NULL: it can */
    bool subtracted; /* derived messages were read from it: whole chunks are needed again */
    bool stale;      /* it has chunks that were written after its dataset was opened */
};

/* One decoded chunk; the slots form a ring in order of use, `head` the latest. */
struct slot {
    unsigned char *data;
    struct nauha__chunk *chunk;
    uint32_t newer, older;
};

struct nauha__chunks {
    hid_t file;
    const char *path;
    size_t chunk_bytes;
    struct stream *streams[NAUHA__NO_STREAM];
    size_t stream_bound; /* past the last stream in use */
    struct nauha__chunk *entries;
    size_t count, capacity;
    uint32_t added; /* rows of the table taken so far */
    bool incomplete;
    struct slot *slots;
    uint32_t slot_count, slot_max, head;
    unsigned char *stored; /* one chunk as it lies in the file */
    size_t stored_max;
    unsigned char *scratch; /* one decoded chunk, for nauha__chunks_check */
    struct nauha__codec *codecs[METHODS];
    struct nauha__chunk_counts counts;
};

/* ---- the chunk table ---- */

struct nauha__chunks *nauha__chunks_new(hid_t file, const char *path, size_t chunk_bytes,
                                        size_t cache_bytes) {
    struct nauha__chunks *chunks = calloc(1, sizeof *chunks);
    if (!chunks)
        return NULL;
    chunks->file = file;
    chunks->path = path;
    chunks->chunk_bytes = chunk_bytes;
    size_t slots = cache_bytes / chunk_bytes;
    /* A difference needs two chunks at a time. */
    chunks->slot_max = slots < 2 ? 2 : slots > SLOTS_MAX ? SLOTS_MAX : (uint32_t)slots;
    chunks->slots = calloc(chunks->slot_max, sizeof *chunks->slots);
    chunks->stored_max = nauha__codec_bound(chunk_bytes);
    chunks->stored = malloc(chunks->stored_max);
    if (!chunks->slots || !chunks->stored) {
        nauha__chunks_free(chunks);
        return NULL;
    }
    return chunks;
}

void nauha__chunks_free(struct nauha__chunks *chunks) {
    if (!chunks)
        return;
    for (size_t i = 0; i < chunks->stream_bound; i++) {
        if (chunks->streams[i] && chunks->streams[i]->dataset >= 0)
            H5Dclose(chunks->streams[i]->dataset);
        if (chunks->streams[i])
            free(chunks->streams[i]->fault);
        free(chunks->streams[i]);
    }
    for (uint32_t i = 0; i < chunks->slot_count; i++)
        free(chunks->slots[i].data);
    for (size_t i = 0; i < METHODS; i++)
        nauha__codec_free(chunks->codecs[i]);
    free(chunks->slots);
    free(chunks->entries);
    free(chunks->stored);
    free(chunks->scratch);
    free(chunks);
}

static enum nauha_status no_memory(const struct nauha__chunks *chunks, struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_NOMEM, "no memory for the chunks of trace \"%s\"",
                           chunks->path);
}

static struct stream *stream_of(const struct nauha__chunks *chunks, uint16_t number) {
    return number == NAUHA__NO_STREAM ? NULL : chunks->streams[number];
}

enum nauha_status nauha__chunks_add_stream(struct nauha__chunks *chunks,
                                           const struct nauha__stream_row *row,
                                           struct nauha_error *err) {
    size_t size = row->item_size;
    if (row->stream == NAUHA__NO_STREAM || (size != 1 && size != 2 && size != 4 && size != 8))
        return nauha_error_set(err, NAUHA_FORMAT,
                               "trace \"%s\" has a stream %u with elements of %zu bytes",
                               chunks->path, row->stream, size);
    struct stream *stream = chunks->streams[row->stream];
    if (!stream) {
        stream = chunks->streams[row->stream] = calloc(1, sizeof *stream);
        if (!stream)
            return no_memory(chunks, err);
        stream->dataset = H5I_INVALID_HID;
        if (chunks->stream_bound <= row->stream)
            chunks->stream_bound = row->stream + 1u;
    }
    stream->item_size = size;
    return NAUHA_OK;
}

enum nauha_status nauha__chunks_add(struct nauha__chunks *chunks,
                                    const struct nauha__chunk_row *row, uint64_t capacity,
                                    struct nauha_error *err) {
    if (chunks->count == chunks->capacity) {
        size_t bytes;
        if (capacity <= chunks->count || capacity > UINT32_MAX ||
            !nauha__mul_size((size_t)capacity, sizeof *chunks->entries, &bytes))
            return nauha_error_set(err, NAUHA_LIMIT, "trace \"%s\" has too many chunks: %" PRIu64,
                                   chunks->path, capacity);
        struct nauha__chunk *entries = realloc(chunks->entries, bytes);
        if (!entries)
            return no_memory(chunks, err);
        chunks->entries = entries;
        chunks->capacity = (size_t)capacity;
    }
    chunks->entries[chunks->count] = (struct nauha__chunk){
        .number = row->number,
        .hash = row->hash,
        .stored = row->stored,
        .filter_mask = row->filter_mask,
        .order = chunks->added++,
        .stream = row->stream,
    };
    chunks->count++;
    struct stream *stream = stream_of(chunks, row->stream);
    if (stream) {
        stream->stale = true;
        free(stream->fault);
        stream->fault = NULL;
    }
    return NAUHA_OK;
}

void nauha__chunks_set_incomplete(struct nauha__chunks *chunks) {
    chunks->incomplete = true;
}

static int compare_chunks(const void *left, const void *right) {
    const struct nauha__chunk *a = left, *b = right;
    if (a->stream != b->stream)
        return a->stream < b->stream ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void nauha__chunks_seal(struct nauha__chunks *chunks) {
    for (size_t i = 0; i < chunks->stream_bound; i++)
        if (chunks->streams[i])
            chunks->streams[i]->first = chunks->streams[i]->count = 0;
    if (chunks->count > 1)
        qsort(chunks->entries, chunks->count, sizeof *chunks->entries, compare_chunks);
    size_t kept = 0;
    for (size_t i = 0; i < chunks->count; i++) {
        const struct nauha__chunk *entry = &chunks->entries[i];
        /* Of the rows of one chunk the last counts. */
        if (i + 1 < chunks->count && entry[1].stream == entry->stream &&
            entry[1].number == entry->number) {
            if (entry->slot)
                chunks->slots[entry->slot - 1].chunk = NULL;
            continue;
        }
        if (entry->slot)
            chunks->slots[entry->slot - 1].chunk = &chunks->entries[kept];
        struct stream *stream = stream_of(chunks, entry->stream);
        if (stream) {
            if (stream->count == 0)
                stream->first = kept;
            stream->count++;
        }
        chunks->entries[kept++] = *entry;
    }
    chunks->count = kept;
}

size_t nauha__chunks_item_size(const struct nauha__chunks *chunks, uint16_t stream) {
    const struct stream *found = stream_of(chunks, stream);
    return found ? found->item_size : 0;
}

uint64_t nauha__chunks_elements(const struct nauha__chunks *chunks, uint16_t stream) {
    size_t item_size = nauha__chunks_item_size(chunks, stream);
    return item_size ? chunks->chunk_bytes / item_size : 0;
}

uint64_t nauha__chunks_extent(const struct nauha__chunks *chunks, uint16_t stream) {
    const struct stream *found = stream_of(chunks, stream);
    if (!found)
        return 0;
    if (chunks->incomplete)
        return UINT64_MAX;
    if (found->count == 0)
        return 0;
    uint64_t last = chunks->entries[found->first + found->count - 1].number;
    uint64_t each = nauha__chunks_elements(chunks, stream);
    return last >= UINT64_MAX / each - 1 ? UINT64_MAX : (last + 1) * each;
}

struct nauha__chunk *nauha__chunks_at(struct nauha__chunks *chunks, size_t position) {
    return position < chunks->count ? &chunks->entries[position] : NULL;
}

struct nauha__chunk *nauha__chunks_find(struct nauha__chunks *chunks, uint16_t stream,
                                        uint64_t number) {
    const struct stream *found = stream_of(chunks, stream);
    if (!found || found->count == 0)
        return NULL;
    struct nauha__chunk *entries = &chunks->entries[found->first];
    /* Without gaps, which is the rule, the number is the position. */
    if (number < found->count && entries[number].number == number)
        return &entries[number];
    size_t low = 0, high = found->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < found->count && entries[low].number == number ? &entries[low] : NULL;
}

void nauha__chunks_get_counts(const struct nauha__chunks *chunks,
                              struct nauha__chunk_counts *counts) {
    *counts = chunks->counts;
}

/* ---- out of the file ---- */

/* The pipeline of a stream is nothing, or sparse, shuffle and a compressor. */
static bool take_filters(hid_t plist, enum nauha__codec_method *method) {
    H5Z_filter_t found[3] = {0};
    int count = H5Pget_nfilters(plist);
    *method = NAUHA__CODEC_NONE;
    if (count != 3)
        return count == 0;
    for (unsigned i = 0; i < 3; i++) {
        unsigned flags = 0, config = 0;
        size_t values = 0;
        found[i] = H5Pget_filter2(plist, i, &flags, &values, NULL, 0, NULL, &config);
    }
    *method = found[2] == (H5Z_filter_t)NAUHA__FILTER_LZ4 ? NAUHA__CODEC_LZ4 : NAUHA__CODEC_ZSTD;
    return found[0] == (H5Z_filter_t)NAUHA__FILTER_SPARSE && found[1] == H5Z_FILTER_SHUFFLE &&
           (found[2] == (H5Z_filter_t)NAUHA__FILTER_ZSTD ||
            found[2] == (H5Z_filter_t)NAUHA__FILTER_LZ4);
}

/* What is wrong with a stream's dataset; NULL: nothing. */
static const char *stream_fault(const struct nauha__chunks *chunks, struct stream *stream,
                                hid_t dataset) {
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
    else if (!take_filters(plist, &stream->method))
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
    struct stream *stream = chunks->streams[number];
    char name[32];
    stream_path(number, name);
    /* Chunks are read whole and kept here: HDF5 need not keep them as well. */
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
            return no_memory(chunks, err);
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
    struct stream *stream = chunks->streams[number];
    char path[32];
    stream_path(number, path);
    enum nauha_status status = nauha__h5_refresh(chunks->file, path, &stream->dataset, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "trace \"%s\"", chunks->path);
    stream->stale = false;
    return NAUHA_OK;
}

static enum nauha_status open_stream(struct nauha__chunks *chunks, uint16_t number,
                                     struct nauha_error *err) {
    struct stream *stream = chunks->streams[number];
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

static enum nauha_status damaged(const struct nauha__chunks *chunks,
                                 const struct nauha__chunk *chunk, const char *how,
                                 struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_DAMAGED,
                           "chunk %" PRIu64 " of stream \"%04u\" in trace \"%s\" %s", chunk->number,
                           chunk->stream, chunks->path, how);
}

/* Fills chunks->stored with what the file holds of a chunk, and checks it against the table. */
static enum nauha_status read_stored(struct nauha__chunks *chunks, const struct nauha__chunk *chunk,
                                     struct nauha_error *err) {
    struct stream *stream = chunks->streams[chunk->stream];
    uint64_t each = chunks->chunk_bytes / stream->item_size;
    if (chunk->number > (UINT64_MAX >> 1) / each)
        return damaged(chunks, chunk, "lies beyond what a file can hold", err);
    hsize_t offset = chunk->number * each;
    hsize_t stored = 0;
    uint32_t mask = 0;
    if (H5Dget_chunk_storage_size(stream->dataset, &offset, &stored) < 0 || stored == 0) {
        H5Eclear2(H5E_DEFAULT);
        return damaged(chunks, chunk, "is missing", err);
    }
    if (stored != chunk->stored || stored > chunks->stored_max)
        return damaged(chunks, chunk, "has another size than /chunks says", err);
    if (H5Dread_chunk(stream->dataset, H5P_DEFAULT, &offset, &mask, chunks->stored) < 0)
        return nauha__h5_error(err, NAUHA_DAMAGED,
                               "chunk %" PRIu64
                               " of stream \"%04u\" in trace \"%s\" cannot be read",
                               chunk->number, chunk->stream, chunks->path);
    if (XXH3_64bits(chunks->stored, (size_t)stored) != chunk->hash)
        return damaged(chunks, chunk, "does not match its checksum", err);
    if (mask != chunk->filter_mask)
        return damaged(chunks, chunk, "has another filter mask than /chunks says", err);
    return NAUHA_OK;
}

/* chunk_bytes bytes into dst. */
static enum nauha_status decode(struct nauha__chunks *chunks, const struct nauha__chunk *chunk,
                                void *dst, struct nauha_error *err) {
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    enum nauha_status status = open_stream(chunks, chunk->stream, err);
    if (status == NAUHA_OK)
        status = read_stored(chunks, chunk, err);
    nauha__h5_quiet_end(&quiet);
    if (status != NAUHA_OK)
        return status;
    const struct stream *stream = chunks->streams[chunk->stream];
    /* A stream without filters holds its chunks as they are. */
    uint32_t mask = stream->method == NAUHA__CODEC_NONE ? NAUHA__MASK_RAW : chunk->filter_mask;
    chunks->counts.decoded++;
    status = nauha__codec_decode(chunks->codecs[stream->method], stream->item_size, mask,
                                 chunks->stored, chunk->stored, dst, chunks->chunk_bytes, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "chunk %" PRIu64 " of stream \"%04u\" in trace \"%s\"",
                                chunk->number, chunk->stream, chunks->path);
    return NAUHA_OK;
}

/* ---- the cache ---- */

static void unlink_slot(struct nauha__chunks *chunks, uint32_t at) {
    struct slot *slots = chunks->slots;
    slots[slots[at].newer].older = slots[at].older;
    slots[slots[at].older].newer = slots[at].newer;
    if (chunks->head == at)
        chunks->head = slots[at].older;
}

/* Puts a slot that is in no ring in front of the latest. */
static void link_front(struct nauha__chunks *chunks, uint32_t at, bool first) {
    struct slot *slots = chunks->slots;
    if (first) {
        slots[at].newer = slots[at].older = at;
    } else {
        uint32_t head = chunks->head, tail = slots[head].newer;
        slots[at].older = head;
        slots[at].newer = tail;
        slots[head].newer = at;
        slots[tail].older = at;
    }
    chunks->head = at;
}

static void touch(struct nauha__chunks *chunks, uint32_t at) {
    if (chunks->head == at)
        return;
    unlink_slot(chunks, at);
    link_front(chunks, at, false);
}

/* A slot to fill, in front of the ring; UINT32_MAX when out of memory. */
static uint32_t take_slot(struct nauha__chunks *chunks) {
    if (chunks->slot_count < chunks->slot_max) {
        uint32_t at = chunks->slot_count;
        unsigned char *data = malloc(chunks->chunk_bytes);
        if (data) {
            chunks->slots[at] = (struct slot){.data = data};
            chunks->slot_count++;
            chunks->counts.cache_bytes += chunks->chunk_bytes;
            link_front(chunks, at, at == 0);
            return at;
        }
        if (chunks->slot_count < 2)
            return UINT32_MAX;
    }
    uint32_t at = chunks->slots[chunks->head].newer;
    touch(chunks, at);
    if (chunks->slots[at].chunk)
        chunks->slots[at].chunk->slot = 0;
    chunks->slots[at].chunk = NULL;
    return at;
}

/* A decoded chunk, borrowed until the call after the next: the one before stays, too. */
static enum nauha_status fetch(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                               const unsigned char **data, struct nauha_error *err) {
    if (chunk->slot) {
        chunks->counts.reused++;
        touch(chunks, chunk->slot - 1);
        *data = chunks->slots[chunk->slot - 1].data;
        return NAUHA_OK;
    }
    uint32_t at = take_slot(chunks);
    if (at == UINT32_MAX)
        return no_memory(chunks, err);
    enum nauha_status status = decode(chunks, chunk, chunks->slots[at].data, err);
    if (status != NAUHA_OK)
        return status;
    chunks->slots[at].chunk = chunk;
    chunk->slot = at + 1;
    *data = chunks->slots[at].data;
    return NAUHA_OK;
}

/* ---- elements ---- */

/* The table has every chunk of a range, so that its size is one the file can have. */
static enum nauha_status check_present(struct nauha__chunks *chunks, uint16_t stream,
                                       uint64_t offset, uint64_t count, struct nauha_error *err) {
    uint64_t each = nauha__chunks_elements(chunks, stream);
    if (each == 0 || count > UINT64_MAX - offset)
        return nauha_error_set(err, NAUHA_DAMAGED, "stream \"%04u\" of trace \"%s\" is not in use",
                               stream, chunks->path);
    for (uint64_t number = offset / each; number <= (offset + count - 1) / each; number++) {
        const struct nauha__chunk missing = {.number = number, .stream = stream};
        if (!nauha__chunks_find(chunks, stream, number))
            return damaged(chunks, &missing, "is not in /chunks", err);
    }
    return NAUHA_OK;
}

static enum nauha_status copy_elements(struct nauha__chunks *chunks,
                                       const struct nauha__range *range, unsigned char *out,
                                       struct nauha_error *err) {
    const struct stream *stream = chunks->streams[range->stream];
    uint64_t each = nauha__chunks_elements(chunks, range->stream);
    for (uint64_t done = 0; done < range->count;) {
        uint64_t at = range->offset + done;
        uint64_t start = at % each;
        uint64_t n = each - start < range->count - done ? each - start : range->count - done;
        struct nauha__chunk *chunk = nauha__chunks_find(chunks, range->stream, at / each);
        unsigned char *dst = out + (size_t)done * stream->item_size;
        const unsigned char *data = NULL;
        bool straight = n == each && !chunk->slot && !stream->subtracted;
        enum nauha_status status =
            straight ? decode(chunks, chunk, dst, err) : fetch(chunks, chunk, &data, err);
        if (status != NAUHA_OK)
            return status;
        if (!straight)
            memcpy(dst, data + (size_t)start * stream->item_size, (size_t)n * stream->item_size);
        done += n;
    }
    return NAUHA_OK;
}

static enum nauha_status subtract_elements(struct nauha__chunks *chunks,
                                           const struct nauha__range *range, unsigned char *out,
                                           struct nauha_error *err) {
    struct stream *stream = chunks->streams[range->stream];
    uint64_t each = nauha__chunks_elements(chunks, range->stream);
    stream->subtracted = true;
    for (uint64_t done = 0; done < range->count;) {
        uint64_t a = range->offset + done, b = range->base + done;
        uint64_t n = range->count - done;
        if (n > each - a % each)
            n = each - a % each;
        if (n > each - b % each)
            n = each - b % each;
        const unsigned char *minuend = NULL, *subtrahend = NULL;
        enum nauha_status status =
            fetch(chunks, nauha__chunks_find(chunks, range->stream, b / each), &subtrahend, err);
        if (status == NAUHA_OK)
            status =
                fetch(chunks, nauha__chunks_find(chunks, range->stream, a / each), &minuend, err);
        if (status != NAUHA_OK)
            return status;
        nauha__subtract(range->dtype, minuend + (size_t)(a % each) * stream->item_size,
                        subtrahend + (size_t)(b % each) * stream->item_size, (size_t)n,
                        out + (size_t)done * stream->item_size);
        done += n;
    }
    return NAUHA_OK;
}

enum nauha_status nauha__chunks_load(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     void **data, struct nauha_error *err) {
    size_t item_size = nauha__chunks_item_size(chunks, range->stream);
    size_t bytes = 0;
    enum nauha_status status = NAUHA_OK;
    if (range->count > 0)
        status = check_present(chunks, range->stream, range->offset, range->count, err);
    if (status == NAUHA_OK && range->count > 0 && range->derived)
        status = check_present(chunks, range->stream, range->base, range->count, err);
    if (status != NAUHA_OK)
        return status;
    if (range->count > SIZE_MAX || !nauha__mul_size((size_t)range->count, item_size, &bytes))
        return no_memory(chunks, err);
    unsigned char *out = malloc(bytes ? bytes : 1);
    if (!out)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for %zu bytes of trace \"%s\"", bytes,
                               chunks->path);
    if (range->count > 0)
        status = range->derived ? subtract_elements(chunks, range, out, err)
                                : copy_elements(chunks, range, out, err);
    if (status != NAUHA_OK) {
        free(out);
        return status;
    }
    *data = out;
    return NAUHA_OK;
}

/* ---- for verify ---- */

enum nauha_status nauha__chunks_check(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                      struct nauha_error *err) {
    if (!stream_of(chunks, chunk->stream)) {
        chunk->damaged = true;
        return damaged(chunks, chunk, "belongs to no stream in use", err);
    }
    if (!chunks->scratch)
        chunks->scratch = malloc(chunks->chunk_bytes);
    if (!chunks->scratch)
        return no_memory(chunks, err);
    enum nauha_status status = decode(chunks, chunk, chunks->scratch, err);
    chunk->damaged = status != NAUHA_OK;
    return status;
}

enum nauha_status nauha__chunks_check_stream(struct nauha__chunks *chunks, uint16_t stream,
                                             struct nauha_error *err) {
    if (!stream_of(chunks, stream))
        return NAUHA_OK;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    enum nauha_status status = open_stream(chunks, stream, err);
    nauha__h5_quiet_end(&quiet);
    return status;
}
