/* SPDX-License-Identifier: MIT */
/* Reading elements from the streams of a trace; see chunks.h.
 *
 * Threads: one at a time.
 */
#include "replay/trace/chunks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "replay/trace/chunks_parts.h"

/* A difference needs two chunks at a time, while the visitor may hold a third. */
#define SLOTS_MIN 3u
/* Size of a buffer for pieces from several chunks: a multiple of NAUHA_PIECE_ELEMENTS of any
 * type. */
#define STAGING_BYTES ((size_t)8 * NAUHA_PIECE_ELEMENTS)

/* ---- the chunk table ---- */

static uint32_t count_slots(size_t chunk_bytes, size_t cache_bytes) {
    const size_t slots = cache_bytes / chunk_bytes;
    if (slots < SLOTS_MIN)
        return SLOTS_MIN;
    return slots > NAUHA__SLOTS_MAX ? NAUHA__SLOTS_MAX : (uint32_t)slots;
}

void nauha__chunks_limit_cache(struct nauha__chunks *chunks, size_t cache_bytes) {
    uint32_t most = count_slots(chunks->chunk_bytes, cache_bytes);
    if (most < chunks->slot_count)
        most = chunks->slot_count;
    if (most < chunks->slot_max)
        chunks->slot_max = most;
}

struct nauha__chunks *nauha__chunks_new(hid_t file, int fd, const char *path, size_t chunk_bytes,
                                        size_t cache_bytes) {
    struct nauha__chunks *chunks = calloc(1, sizeof *chunks);
    if (!chunks)
        return NULL;
    chunks->file = file;
    chunks->fd = fd;
    chunks->path = path;
    chunks->chunk_bytes = chunk_bytes;
    chunks->slot_max = count_slots(chunk_bytes, cache_bytes);
    chunks->stored_max = nauha__codec_bound(chunk_bytes);
    chunks->stored = malloc(chunks->stored_max);
    if (!NAUHA_GROW(chunks->slots, chunks->slot_capacity, chunks->slot_max) || !chunks->stored) {
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
    for (size_t i = 0; i < NAUHA__CODEC_METHODS; i++)
        nauha__codec_free(chunks->codecs[i]);
    free(chunks->slots);
    free(chunks->entries);
    free(chunks->stored);
    free(chunks->scratch);
    free(chunks->staging);
    free(chunks);
}

static struct nauha__trace_stream *stream_of(const struct nauha__chunks *chunks, uint16_t number) {
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
    uint16_t slices = row->slices ? row->slices : 1;
    if (chunks->chunk_bytes / size % slices != 0)
        return nauha_error_set(err, NAUHA_FORMAT,
                               "trace \"%s\" has a stream %u with %u slices per chunk",
                               chunks->path, row->stream, slices);
    struct nauha__trace_stream *stream = chunks->streams[row->stream];
    if (!stream) {
        stream = chunks->streams[row->stream] = calloc(1, sizeof *stream);
        if (!stream)
            return nauha__chunks_no_memory(chunks, err);
        stream->dataset = H5I_INVALID_HID;
        if (chunks->stream_bound <= row->stream)
            chunks->stream_bound = row->stream + 1u;
    }
    stream->item_size = size;
    stream->slices = slices;
    stream->kind = row->kind;
    return NAUHA_OK;
}

enum nauha_status nauha__chunks_add(struct nauha__chunks *chunks,
                                    const struct nauha__chunk_row *row, uint64_t capacity,
                                    struct nauha_error *err) {
    if (capacity <= chunks->count || capacity > UINT32_MAX)
        return nauha_error_set(err, NAUHA_LIMIT, "trace \"%s\" has too many chunks: %" PRIu64,
                               chunks->path, capacity);
    if (!NAUHA_GROW(chunks->entries, chunks->capacity, (size_t)capacity))
        return nauha__chunks_no_memory(chunks, err);
    chunks->entries[chunks->count] = (struct nauha__chunk){
        .number = row->number,
        .hash = row->hash,
        .stored = row->stored,
        .filter_mask = row->filter_mask,
        .order = chunks->added++,
        .stream = row->stream,
    };
    chunks->count++;
    struct nauha__trace_stream *stream = stream_of(chunks, row->stream);
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

/* Compares chunks of one stream. */
static int compare_chunks(const void *left, const void *right) {
    const struct nauha__chunk *a = left, *b = right;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Sorts by stream, and keeps the order within a stream. */
static enum nauha_status sort_by_stream(struct nauha__chunks *chunks, struct nauha_error *err) {
    enum { STREAMS = UINT16_MAX + 1 };
    struct nauha__chunk *sorted = malloc(chunks->capacity * sizeof *sorted);
    uint32_t *next = calloc(STREAMS + 1, sizeof *next);
    if (!next || !sorted) {
        free(next);
        free(sorted);
        return nauha__chunks_no_memory(chunks, err);
    }
    for (size_t i = 0; i < chunks->count; i++)
        next[chunks->entries[i].stream + 1]++;
    for (size_t stream = 1; stream <= STREAMS; stream++)
        next[stream] += next[stream - 1];
    for (size_t i = 0; i < chunks->count; i++)
        sorted[next[chunks->entries[i].stream]++] = chunks->entries[i];
    free(next);
    free(chunks->entries);
    chunks->entries = sorted;
    return NAUHA_OK;
}

/* Sorts by stream and number; rows of the same number keep their order. The writer stores the
 * chunks of a stream mostly in their order, so there is little to do within a stream. */
static enum nauha_status sort_chunks(struct nauha__chunks *chunks, struct nauha_error *err) {
    if (chunks->count == 0)
        return NAUHA_OK;
    const enum nauha_status status = sort_by_stream(chunks, err);
    if (status != NAUHA_OK)
        return status;
    size_t first = 0;
    bool ordered = true;
    for (size_t i = 1; i <= chunks->count; i++) {
        const struct nauha__chunk *entries = chunks->entries;
        if (i < chunks->count && entries[i].stream == entries[first].stream) {
            ordered = ordered && compare_chunks(&entries[i - 1], &entries[i]) <= 0;
            continue;
        }
        if (!ordered)
            qsort(&chunks->entries[first], i - first, sizeof *chunks->entries, compare_chunks);
        first = i;
        ordered = true;
    }
    return NAUHA_OK;
}

/* The number of the element after the last one of a chunk. */
static uint64_t end_of(const struct nauha__chunks *chunks, const struct nauha__chunk *chunk) {
    uint64_t each = nauha__chunks_elements(chunks, chunk->stream);
    return chunk->number >= UINT64_MAX / each - 1 ? UINT64_MAX : (chunk->number + 1) * each;
}

enum nauha_status nauha__chunks_seal(struct nauha__chunks *chunks, struct nauha_error *err) {
    const enum nauha_status status = sort_chunks(chunks, err);
    if (status != NAUHA_OK)
        return status;
    for (size_t i = 0; i < chunks->stream_bound; i++)
        if (chunks->streams[i])
            chunks->streams[i]->first = chunks->streams[i]->count = chunks->streams[i]->extent = 0;
    size_t kept = 0;
    for (size_t i = 0; i < chunks->count; i++) {
        const struct nauha__chunk *entry = &chunks->entries[i];
        /* Of several rows of a chunk, the last one counts. */
        if (i + 1 < chunks->count && entry[1].stream == entry->stream &&
            entry[1].number == entry->number) {
            if (entry->slot)
                chunks->slots[entry->slot - 1].chunk = NULL;
            continue;
        }
        if (entry->slot)
            chunks->slots[entry->slot - 1].chunk = &chunks->entries[kept];
        struct nauha__trace_stream *stream = stream_of(chunks, entry->stream);
        if (stream) {
            if (stream->count == 0)
                stream->first = kept;
            stream->count++;
            stream->extent = end_of(chunks, entry);
        }
        chunks->entries[kept++] = *entry;
    }
    chunks->count = kept;
    return NAUHA_OK;
}

size_t nauha__chunks_item_size(const struct nauha__chunks *chunks, uint16_t stream) {
    const struct nauha__trace_stream *found = stream_of(chunks, stream);
    return found ? found->item_size : 0;
}

uint64_t nauha__chunks_elements(const struct nauha__chunks *chunks, uint16_t stream) {
    size_t item_size = nauha__chunks_item_size(chunks, stream);
    return item_size ? chunks->chunk_bytes / item_size : 0;
}

uint64_t nauha__chunks_extent(const struct nauha__chunks *chunks, uint16_t stream) {
    const struct nauha__trace_stream *found = stream_of(chunks, stream);
    if (!found)
        return 0;
    if (chunks->incomplete)
        return UINT64_MAX;
    return found->extent;
}

static uint64_t slice_of(const struct nauha__chunks *chunks, uint16_t stream) {
    const struct nauha__trace_stream *found = stream_of(chunks, stream);
    return found ? nauha__chunks_elements(chunks, stream) / found->slices : 1;
}

/* The position of element n of a range that begins at `offset`. */
static uint64_t position(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                         uint64_t n) {
    return nauha__slice_position(offset, n, nauha__chunks_elements(chunks, stream),
                                 slice_of(chunks, stream));
}

bool nauha__chunks_reach(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                         uint64_t count) {
    uint64_t extent = nauha__chunks_extent(chunks, stream);
    if (offset >= extent || count > UINT64_MAX / 2)
        return false;
    uint64_t slice = slice_of(chunks, stream), more = (offset % slice + count - 1) / slice;
    if (more > (extent - offset) / nauha__chunks_elements(chunks, stream))
        return false;
    uint64_t last = position(chunks, stream, offset, count - 1);
    return last >= offset && last < extent;
}

uint64_t nauha__chunks_last(const struct nauha__chunks *chunks, uint16_t stream, uint64_t offset,
                            uint64_t count) {
    return position(chunks, stream, offset, count - 1) / nauha__chunks_elements(chunks, stream);
}

uint64_t nauha__chunks_stored(const struct nauha__chunks *chunks, uint16_t kind) {
    uint64_t stored = 0;
    for (size_t i = 0; i < chunks->count; i++) {
        const struct nauha__trace_stream *stream = stream_of(chunks, chunks->entries[i].stream);
        if (stream && stream->kind == kind)
            stored += chunks->entries[i].stored;
    }
    return stored;
}

/* The mask of a chunk without filters is 0. */
static enum nauha_coding coding_of(const struct nauha__chunks *chunks,
                                   const struct nauha__chunk *chunk) {
    const struct nauha__trace_stream *stream = stream_of(chunks, chunk->stream);
    if (chunk->filter_mask == 0 || chunk->filter_mask == NAUHA__MASK_RAW)
        return NAUHA_CODING_RAW;
    if (chunk->filter_mask & NAUHA__SKIP_OURS)
        return NAUHA_CODING_COMPRESSED;
    return stream && stream->slices > 1 ? NAUHA_CODING_TEMPORAL : NAUHA_CODING_SPARSE;
}

void nauha__chunks_count_codings(const struct nauha__chunks *chunks,
                                 struct nauha_trace_chunks *totals) {
    for (size_t i = 0; i < chunks->count; i++) {
        const enum nauha_coding coding = coding_of(chunks, &chunks->entries[i]);
        totals->chunks[coding]++;
        totals->bytes[coding] += chunks->entries[i].stored;
    }
}

size_t nauha__chunks_count(const struct nauha__chunks *chunks) {
    return chunks->count;
}

struct nauha__chunk *nauha__chunks_at(struct nauha__chunks *chunks, size_t position) {
    return position < chunks->count ? &chunks->entries[position] : NULL;
}

struct nauha__chunk *nauha__chunks_find(struct nauha__chunks *chunks, uint16_t stream,
                                        uint64_t number) {
    const struct nauha__trace_stream *found = stream_of(chunks, stream);
    if (!found || found->count == 0)
        return NULL;
    struct nauha__chunk *entries = &chunks->entries[found->first];
    /* Normally there are no gaps, and the number is the position. */
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

/* ---- elements ---- */

/* The table has every chunk of a range, so the range is not larger than the file can be. */
static enum nauha_status check_present(struct nauha__chunks *chunks, uint16_t stream,
                                       uint64_t offset, uint64_t count, struct nauha_error *err) {
    uint64_t each = nauha__chunks_elements(chunks, stream);
    if (each == 0 || count > UINT64_MAX - offset)
        return nauha_error_set(err, NAUHA_DAMAGED, "stream \"%04u\" of trace \"%s\" is not in use",
                               stream, chunks->path);
    if (!nauha__chunks_reach(chunks, stream, offset, count)) {
        uint64_t end = nauha__chunks_extent(chunks, stream);
        const struct nauha__chunk beyond = {.number = (offset > end ? offset : end) / each,
                                            .stream = stream};
        return nauha__chunks_damaged(chunks, &beyond, "is not in /chunks", err);
    }
    uint64_t last = nauha__chunks_last(chunks, stream, offset, count);
    for (uint64_t number = offset / each; number <= last; number++) {
        const struct nauha__chunk missing = {.number = number, .stream = stream};
        if (!nauha__chunks_find(chunks, stream, number))
            return nauha__chunks_damaged(chunks, &missing, "is not in /chunks", err);
    }
    return NAUHA_OK;
}

/* Messages are stored in a stream in the order in which they were published, so readers in that
 * order are done with a chunk when they have read its last elements. */
static bool is_spent(const struct nauha__trace_stream *stream, bool last, bool again) {
    return last && !again && !stream->subtracted;
}

static enum nauha_status copy_elements(struct nauha__chunks *chunks,
                                       const struct nauha__range *range, bool again,
                                       unsigned char *out, struct nauha_error *err) {
    const struct nauha__trace_stream *stream = chunks->streams[range->stream];
    uint64_t each = nauha__chunks_elements(chunks, range->stream);
    uint64_t slice = slice_of(chunks, range->stream);
    for (uint64_t done = 0; done < range->count;) {
        uint64_t at = position(chunks, range->stream, range->offset, done);
        uint64_t start = at % each, left = slice - at % slice;
        uint64_t n = left < range->count - done ? left : range->count - done;
        struct nauha__chunk *chunk = nauha__chunks_find(chunks, range->stream, at / each);
        unsigned char *dst = out + (size_t)done * stream->item_size;
        const unsigned char *data = NULL;
        bool straight = n == each && !chunk->slot && !stream->subtracted;
        enum nauha_status status = straight ? nauha__chunk_decode(chunks, chunk, dst, err)
                                            : nauha__chunk_fetch(chunks, chunk, &data, err);
        if (status != NAUHA_OK)
            return status;
        if (!straight) {
            memcpy(dst, data + (size_t)start * stream->item_size, (size_t)n * stream->item_size);
            nauha__chunk_unpin(chunks, nauha__chunk_pin(chunks),
                               is_spent(stream, start + n == each, again));
        }
        done += n;
    }
    return NAUHA_OK;
}

static enum nauha_status subtract_elements(struct nauha__chunks *chunks,
                                           const struct nauha__range *range, unsigned char *out,
                                           struct nauha_error *err) {
    struct nauha__trace_stream *stream = chunks->streams[range->stream];
    uint64_t each = nauha__chunks_elements(chunks, range->stream);
    uint64_t slice = slice_of(chunks, range->stream);
    stream->subtracted = true;
    for (uint64_t done = 0; done < range->count;) {
        uint64_t a = position(chunks, range->stream, range->offset, done);
        uint64_t b = position(chunks, range->stream, range->base, done);
        uint64_t n = range->count - done;
        if (n > slice - a % slice)
            n = slice - a % slice;
        if (n > slice - b % slice)
            n = slice - b % slice;
        const unsigned char *minuend = NULL, *subtrahend = NULL;
        enum nauha_status status = nauha__chunk_fetch(
            chunks, nauha__chunks_find(chunks, range->stream, b / each), &subtrahend, err);
        if (status == NAUHA_OK)
            status = nauha__chunk_fetch(chunks, nauha__chunks_find(chunks, range->stream, a / each),
                                        &minuend, err);
        if (status != NAUHA_OK)
            return status;
        nauha__subtract(range->dtype, minuend + (size_t)(a % each) * stream->item_size,
                        subtrahend + (size_t)(b % each) * stream->item_size, (size_t)n,
                        out + (size_t)done * stream->item_size);
        done += n;
    }
    return NAUHA_OK;
}

static enum nauha_status check_range(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    if (range->count > 0)
        status = check_present(chunks, range->stream, range->offset, range->count, err);
    if (status == NAUHA_OK && range->count > 0 && range->derived)
        status = check_present(chunks, range->stream, range->base, range->count, err);
    return status;
}

static enum nauha_status make_elements(struct nauha__chunks *chunks,
                                       const struct nauha__range *range, bool again,
                                       unsigned char *out, struct nauha_error *err) {
    return range->derived ? subtract_elements(chunks, range, out, err)
                          : copy_elements(chunks, range, again, out, err);
}

enum nauha_status nauha__chunks_load(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     void **data, struct nauha_error *err) {
    size_t item_size = nauha__chunks_item_size(chunks, range->stream);
    size_t bytes = 0;
    enum nauha_status status = check_range(chunks, range, err);
    if (status != NAUHA_OK)
        return status;
    if (range->count > SIZE_MAX || !nauha__mul_size((size_t)range->count, item_size, &bytes))
        return nauha__chunks_no_memory(chunks, err);
    unsigned char *out = malloc(bytes ? bytes : 1);
    if (!out)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for %zu bytes of trace \"%s\"", bytes,
                               chunks->path);
    if (range->count > 0)
        status = make_elements(chunks, range, false, out, err);
    if (status != NAUHA_OK) {
        free(out);
        return status;
    }
    *data = out;
    return NAUHA_OK;
}

/* Copies n elements of a range, all of which exist. */
static struct nauha__range part_of(const struct nauha__chunks *chunks,
                                   const struct nauha__range *range, uint64_t first, uint64_t n) {
    struct nauha__range part = *range;
    part.offset = position(chunks, range->stream, range->offset, first);
    part.base = position(chunks, range->stream, range->base, first);
    part.count = n;
    return part;
}

enum nauha_status nauha__chunks_read(struct nauha__chunks *chunks, const struct nauha__range *range,
                                     uint64_t first, uint64_t count, void *out,
                                     struct nauha_error *err) {
    /* First checks that the file has the whole range, but not chunk by chunk, because this is
     * called for each of many parts. */
    const bool there =
        nauha__chunks_reach(chunks, range->stream, range->offset, range->count) &&
        (!range->derived || nauha__chunks_reach(chunks, range->stream, range->base, range->count));
    const struct nauha__range part = part_of(chunks, range, first, count);
    enum nauha_status status = check_range(chunks, there ? &part : range, err);
    return status == NAUHA_OK && there ? make_elements(chunks, &part, true, out, err) : status;
}

/* ---- pieces ---- */

struct visit {
    struct nauha__chunks *chunks;
    const struct nauha__range *range;
    nauha_piece_fn fn;
    void *context;
    unsigned char *staging; /* NULL until it is needed */
    bool again;
};

static enum nauha_status hand_over(const struct visit *visit, const void *data, uint64_t done,
                                   uint64_t n, struct nauha_error *err) {
    const int64_t length = (int64_t)n;
    const struct nauha_tensor piece = {
        .data = data, .dtype = visit->range->dtype, .ndim = 1, .shape = &length};
    return visit->fn(visit->context, &piece, done, err);
}

/* Reads n elements that are not contiguous in a decoded chunk. */
static enum nauha_status hand_over_made(struct visit *visit, uint64_t done, uint64_t n,
                                        struct nauha_error *err) {
    struct nauha__chunks *chunks = visit->chunks;
    if (!visit->staging) {
        visit->staging = chunks->staging ? chunks->staging : malloc(STAGING_BYTES);
        chunks->staging = NULL;
    }
    if (!visit->staging)
        return nauha__chunks_no_memory(chunks, err);
    const struct nauha__range part = part_of(chunks, visit->range, done, n);
    enum nauha_status status = make_elements(chunks, &part, visit->again, visit->staging, err);
    return status == NAUHA_OK ? hand_over(visit, visit->staging, done, n, err) : status;
}

/* Visits n elements of one chunk. */
static enum nauha_status hand_over_chunk(struct visit *visit, uint64_t done, uint64_t n,
                                         struct nauha_error *err) {
    struct nauha__chunks *chunks = visit->chunks;
    const uint16_t number = visit->range->stream;
    const struct nauha__trace_stream *stream = chunks->streams[number];
    const uint64_t each = nauha__chunks_elements(chunks, number);
    const uint64_t at = position(chunks, number, visit->range->offset, done);
    struct nauha__chunk *chunk = nauha__chunks_find(chunks, number, at / each);
    const bool spent = is_spent(stream, at % each + n == each, visit->again);
    const unsigned char *data = NULL;
    enum nauha_status status = nauha__chunk_fetch(chunks, chunk, &data, err);
    if (status != NAUHA_OK)
        return status;
    const uint32_t pinned = nauha__chunk_pin(chunks);
    status = hand_over(visit, data + (size_t)(at % each) * stream->item_size, done, n, err);
    nauha__chunk_unpin(chunks, pinned, spent);
    return status;
}

static enum nauha_status visit_pieces(struct visit *visit, struct nauha_error *err) {
    const struct nauha__range *range = visit->range;
    const uint64_t slice = slice_of(visit->chunks, range->stream);
    const uint64_t made = STAGING_BYTES / nauha_dtype_size(range->dtype);
    enum nauha_status status = NAUHA_OK;
    for (uint64_t done = 0, n = 0; done < range->count && status == NAUHA_OK; done += n) {
        const uint64_t left = range->count - done;
        const uint64_t in_slice = slice - (range->offset + done) % slice;
        n = in_slice < left ? in_slice - in_slice % NAUHA_PIECE_ELEMENTS : left;
        if (!range->derived && n > 0) {
            status = hand_over_chunk(visit, done, n, err);
            continue;
        }
        n = range->derived ? made : NAUHA_PIECE_ELEMENTS;
        n = n < left ? n : left;
        status = hand_over_made(visit, done, n, err);
    }
    return status;
}

enum nauha_status nauha__chunks_visit(struct nauha__chunks *chunks,
                                      const struct nauha__range *range, bool again,
                                      nauha_piece_fn fn, void *context, struct nauha_error *err) {
    struct visit visit = {
        .chunks = chunks, .range = range, .fn = fn, .context = context, .again = again};
    enum nauha_status status = check_range(chunks, range, err);
    if (status == NAUHA_OK)
        status = visit_pieces(&visit, err);
    if (visit.staging) {
        free(chunks->staging);
        chunks->staging = visit.staging;
    }
    return status;
}

/* ---- for verify ---- */

enum nauha_status nauha__chunks_check(struct nauha__chunks *chunks, struct nauha__chunk *chunk,
                                      struct nauha_error *err) {
    if (!stream_of(chunks, chunk->stream)) {
        chunk->damaged = true;
        return nauha__chunks_damaged(chunks, chunk, "belongs to no stream in use", err);
    }
    if (!chunks->scratch)
        chunks->scratch = malloc(chunks->chunk_bytes);
    if (!chunks->scratch)
        return nauha__chunks_no_memory(chunks, err);
    enum nauha_status status = nauha__chunk_decode(chunks, chunk, chunks->scratch, err);
    chunk->damaged = status != NAUHA_OK;
    return status;
}

enum nauha_status nauha__chunks_check_stream(struct nauha__chunks *chunks, uint16_t stream,
                                             struct nauha_error *err) {
    if (!stream_of(chunks, stream))
        return NAUHA_OK;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    enum nauha_status status = nauha__chunk_open_stream(chunks, stream, err);
    nauha__h5_quiet_end(&quiet);
    return status;
}
