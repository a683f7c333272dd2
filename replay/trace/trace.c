/* SPDX-License-Identifier: MIT */
/* Opening a trace, and answering what is in it.
 *
 * Threads: one at a time per trace.
 */
#include "nauha/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/fingerprint.h"
#include "replay/trace/file_driver.h"
#include "replay/trace/parts.h"

/* Takes some 2 ms in all. */
#define READ_ATTEMPTS 21u

/* ---- the file ---- */

static uint64_t get_u64(const unsigned char *bytes) {
    uint64_t value = 0;
    for (size_t i = 8; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* Looks at the HDF5 superblock (HDF5 file format specification, II.A, versions 2 and 3): the
 * signature, the flags of a file open for writing, and the size the file should have. */
static enum nauha_status check_superblock(struct nauha_trace *trace, struct nauha_error *err) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    enum { VERSION = 8, OFFSET_SIZE = 9, FLAGS = 11, END = 28, BYTES = 48 };
    unsigned char block[BYTES];
    ssize_t got = pread(trace->fd, block, sizeof block, 0);
    if (got < 0)
        return nauha_error_set_errno(err, errno, "cannot read trace \"%s\"", trace->path);
    if (got == 0)
        return nauha_error_set(err, NAUHA_FORMAT, "trace \"%s\" is empty", trace->path);
    if ((size_t)got < sizeof signature || memcmp(block, signature, sizeof signature) != 0)
        return nauha_error_set(err, NAUHA_FORMAT, "\"%s\" is not an HDF5 file", trace->path);
    if ((size_t)got < sizeof block)
        return nauha_error_set(err, NAUHA_FORMAT, "trace \"%s\" is truncated after %zd bytes",
                               trace->path, got);
    enum { OPEN_FOR_WRITING = 1, OPEN_FOR_SWMR = 4 };
    trace->open_for_swmr = block[VERSION] >= 3 && (block[FLAGS] & OPEN_FOR_SWMR);
    bool closed = block[VERSION] < 3 || block[FLAGS] == 0;
    if (!closed && (block[FLAGS] & OPEN_FOR_WRITING) && !(block[FLAGS] & OPEN_FOR_SWMR))
        return nauha_error_set(
            err, NAUHA_BUSY,
            "trace \"%s\" is empty: its recorder is still creating it, or was killed while it did",
            trace->path);
    uint64_t file_bytes = nauha__trace_file_bytes(trace);
    if (block[VERSION] >= 2 && block[OFFSET_SIZE] == 8 && closed &&
        get_u64(block + END) > file_bytes)
        return nauha_error_set(err, NAUHA_FORMAT,
                               "trace \"%s\" is truncated: it has %" PRIu64 " of %" PRIu64 " bytes",
                               trace->path, file_bytes, get_u64(block + END));
    return NAUHA_OK;
}

static enum nauha_status open_plain(struct nauha_trace *trace, struct nauha_error *err) {
    /* NONBLOCK: a FIFO without a writer is refused, and not waited for. */
    trace->fd = open(trace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (trace->fd < 0)
        return nauha_error_set_errno(err, errno, "cannot open trace \"%s\"", trace->path);
    struct stat status;
    if (fstat(trace->fd, &status) != 0)
        return nauha_error_set_errno(err, errno, "cannot open trace \"%s\"", trace->path);
    if (S_ISDIR(status.st_mode))
        return nauha_error_set_errno(err, EISDIR, "cannot open trace \"%s\"", trace->path);
    if (!S_ISREG(status.st_mode))
        return nauha_error_set(err, NAUHA_IO, "cannot open trace \"%s\": not a regular file",
                               trace->path);
    return check_superblock(trace, err);
}

/* A file that a writer has open, or left open when it died, opens for SWMR reading only. */
static enum nauha_status open_hdf5(struct nauha_trace *trace, struct nauha_error *err) {
    hid_t access = nauha__file_driver_access(&trace->driver);
    if (access < 0)
        return nauha__h5_error(err, NAUHA_NOMEM, "cannot open trace \"%s\"", trace->path);
    trace->file = H5Fopen(trace->path, H5F_ACC_RDONLY, access);
    if (trace->file < 0) {
        /* HDF5 reads metadata whose checksum does not match again, because a writer may be changing
         * them. It doubles its pause each time, beginning with 1 ns, so its default of 100 attempts
         * would never end. */
        H5Pset_metadata_read_attempts(access, READ_ATTEMPTS);
        trace->file = H5Fopen(trace->path, H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access);
        H5Pset_metadata_read_attempts(access, 1);
    }
    enum nauha_status status = NAUHA_OK;
    if (trace->file < 0) {
        /* Opens it once more to get the reason: the last error only says that no writer has the
         * file. */
        if (!trace->open_for_swmr) {
            H5Eclear2(H5E_DEFAULT);
            trace->file = H5Fopen(trace->path, H5F_ACC_RDONLY, access);
        }
        if (trace->file < 0)
            status =
                nauha__h5_error(err, NAUHA_FORMAT, "cannot open trace \"%s\" as HDF5", trace->path);
    }
    H5Pclose(access);
    return status;
}

static void release(struct nauha_trace *trace) {
    nauha__index_free(trace->index);
    nauha__chunks_free(trace->chunks);
    if (trace->file >= 0)
        H5Fclose(trace->file);
    if (trace->driver >= 0)
        H5FDunregister(trace->driver);
    if (trace->fd >= 0)
        close(trace->fd);
    for (size_t i = 0; i < trace->fact_count; i++) {
        free(trace->facts[i].key);
        free(trace->facts[i].value);
    }
    free(trace->facts);
    free(trace->codec);
    free(trace->kinds.numbers);
    free(trace->modules.numbers);
    free(trace->slots.numbers);
    free(trace->tags.numbers);
    free(trace->shapes.shapes);
    free(trace->shapes.waiting);
    free(trace->losses);
    free(trace->elements);
    free(trace->dumps);
    if (trace->totals)
        free(trace->totals->kinds);
    free(trace->totals);
    free(trace->path);
    free(trace);
}

/* ---- elements on demand ---- */

/* The range of the elements of a row, or of its fingerprint. */
static enum nauha_status find_range(struct nauha_trace *trace,
                                    const struct nauha_message_info *info, uint64_t number,
                                    struct nauha__range *range, struct nauha_error *err) {
    const struct nauha__index_row *row = NULL;
    enum nauha__row_fault fault = number < nauha__index_rows(trace->index)
                                      ? nauha__index_get(trace->index, number, &row)
                                      : NAUHA__ROW_FAULT_UNREADABLE;
    if (fault != NAUHA__ROW_FAULT_NONE)
        return nauha_error_set(err, NAUHA_DAMAGED, "index row %" PRIu64 " of trace \"%s\" %s",
                               number, trace->path, nauha__row_fault_text(fault));
    if (nauha__trace_row_bytes(trace, row) != info->bytes)
        return nauha_error_set(err, NAUHA_INVALID,
                               "message is not the one of index row %" PRIu64 " of trace \"%s\"",
                               number, trace->path);
    *range = (struct nauha__range){
        .stream = row->stream,
        .dtype =
            row->flags & NAUHA__ROW_FINGERPRINT ? NAUHA_DTYPE_I64 : (enum nauha_dtype)row->dtype,
        .derived = (row->flags & NAUHA__ROW_DERIVED) != 0,
        .offset = row->offset,
        .base = row->base,
        .count = nauha__trace_row_items(trace, row),
    };
    return NAUHA_OK;
}

static enum nauha_status load(void *context, const struct nauha_message_info *info, uint64_t number,
                              void **data, struct nauha_error *err) {
    struct nauha_trace *trace = context;
    struct nauha__range range;
    enum nauha_status status = find_range(trace, info, number, &range, err);
    return status == NAUHA_OK ? nauha__chunks_load(trace->chunks, &range, data, err) : status;
}

static enum nauha_status visit(void *context, const struct nauha_message_info *info,
                               uint64_t number, bool again, nauha_piece_fn fn, void *fn_context,
                               struct nauha_error *err) {
    struct nauha_trace *trace = context;
    struct nauha__range range;
    enum nauha_status status = find_range(trace, info, number, &range, err);
    return status == NAUHA_OK
               ? nauha__chunks_visit(trace->chunks, &range, again, fn, fn_context, err)
               : status;
}

static enum nauha_status read_part(void *context, const struct nauha_message_info *info,
                                   uint64_t number, uint64_t first, uint64_t count, void *out,
                                   struct nauha_error *err) {
    struct nauha_trace *trace = context;
    struct nauha__range range;
    enum nauha_status status = find_range(trace, info, number, &range, err);
    return status == NAUHA_OK ? nauha__chunks_read(trace->chunks, &range, first, count, out, err)
                              : status;
}

static enum nauha_status read_fingerprint(void *context, const struct nauha_message_info *info,
                                          uint64_t number, struct nauha_fingerprint *fingerprint,
                                          struct nauha_error *err) {
    struct nauha_trace *trace = context;
    struct nauha__range range;
    struct nauha__fingerprint_words words;
    enum nauha_status status = find_range(trace, info, number, &range, err);
    if (status == NAUHA_OK)
        status = nauha__chunks_read(trace->chunks, &range, 0, range.count, &words, err);
    if (status == NAUHA_OK)
        nauha__fingerprint_unpack(&words, info->bytes / nauha_dtype_size(info->dtype), fingerprint);
    return status;
}

/* ---- opening ---- */

static enum nauha_status open_contents(struct nauha_trace *trace, struct nauha_error *err) {
    enum nauha_status status = nauha__trace_read_attributes(trace, err);
    if (status != NAUHA_OK)
        return status;
    /* The end is read first: if the writer has closed the trace, everything that is read later is
     * complete. The index is read next: what its rows refer to was written before them, so it is
     * there even if a writer goes on. */
    status = nauha__trace_read_end(trace, err);
    if (status != NAUHA_OK)
        return status;
    hid_t dataset = H5I_INVALID_HID;
    uint64_t rows = 0;
    status = nauha__trace_open_table(trace, NAUHA__TABLE_INDEX, &dataset, &rows, err);
    if (status != NAUHA_OK)
        return status;
    trace->tables[NAUHA__TABLE_INDEX].rows = rows;
    trace->index = nauha__index_new(trace, dataset, rows);
    trace->chunks = nauha__chunks_new(trace->file, trace->fd, trace->path,
                                      (size_t)trace->chunk_bytes, NAUHA__CHUNK_CACHE_BYTES);
    trace->totals = calloc(1, sizeof *trace->totals);
    if (!trace->index || !trace->chunks || !trace->totals)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", trace->path);
    status = nauha__trace_read_tables(trace, err);
    if (status == NAUHA_OK)
        status = nauha__trace_reset_totals(trace, err);
    trace->opened = status == NAUHA_OK;
    return status;
}

enum nauha_status nauha_trace_open(const char *path, struct nauha_names *names,
                                   struct nauha_trace **trace, struct nauha_error *err) {
    struct nauha_trace *opened = calloc(1, sizeof *opened);
    if (!opened || !(opened->path = strdup(path))) {
        free(opened);
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", path);
    }
    opened->fd = -1;
    opened->file = opened->driver = H5I_INVALID_HID;
    opened->names = names;
    opened->source = (struct nauha__source){.load = load,
                                            .visit = visit,
                                            .read = read_part,
                                            .fingerprint = read_fingerprint,
                                            .context = opened};
    enum nauha_status status = open_plain(opened, err);
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    if (status == NAUHA_OK)
        status = open_hdf5(opened, err);
    if (status == NAUHA_OK)
        status = open_contents(opened, err);
    /* What cannot be read may have been added by a later version. */
    if (status == NAUHA_FORMAT && opened->format_minor > NAUHA_FORMAT_MINOR)
        nauha_error_wrap(err, status,
                         "format version %" PRIu32 ".%" PRIu32 " is newer than this "
                         "program's %u.%u",
                         opened->format_major, opened->format_minor, NAUHA_FORMAT_MAJOR,
                         NAUHA_FORMAT_MINOR);
    if (status != NAUHA_OK)
        release(opened);
    nauha__h5_quiet_end(&quiet);
    if (status == NAUHA_OK)
        *trace = opened;
    return status;
}

void nauha_trace_close(struct nauha_trace *trace) {
    if (!trace)
        return;
    struct nauha__h5_quiet quiet;
    nauha__h5_quiet_begin(&quiet);
    release(trace);
    nauha__h5_quiet_end(&quiet);
}

/* ---- what is in it ---- */

static void count_row(const struct nauha_trace *trace, const struct nauha__index_row *row,
                      struct nauha__trace_totals *totals) {
    uint64_t bytes = nauha__trace_row_bytes(trace, row);
    bool first = totals->messages == 0;
    if (first || row->global_step < totals->first_step)
        totals->first_step = row->global_step;
    if (first || row->global_step > totals->last_step)
        totals->last_step = row->global_step;
    if (first || row->epoch < totals->first_epoch)
        totals->first_epoch = row->epoch;
    if (first || row->epoch > totals->last_epoch)
        totals->last_epoch = row->epoch;
    totals->last_time = row->time_ns;
    totals->messages++;
    totals->bytes += bytes;
    totals->kinds[row->kind].messages++;
    totals->kinds[row->kind].bytes += bytes;
    if (row->flags & NAUHA__ROW_DATA)
        totals->kinds[row->kind].kept[nauha__row_kept(row)]++;
    totals->kinds[row->kind].shards +=
        (row->flags & NAUHA__ROW_DATA) && trace->shapes.shapes[row->shape].local != NAUHA_NONE;
}

enum nauha_status nauha__trace_reset_totals(struct nauha_trace *trace, struct nauha_error *err) {
    struct nauha__trace_totals *totals = trace->totals;
    free(totals->kinds);
    *totals = (struct nauha__trace_totals){
        .kinds = calloc(trace->kinds.count ? trace->kinds.count : 1, sizeof *totals->kinds)};
    return totals->kinds
               ? NAUHA_OK
               : nauha_error_set(err, NAUHA_NOMEM, "no memory to open trace \"%s\"", trace->path);
}

/* Damaged rows are not counted, because replay does not publish them. */
static const struct nauha__trace_totals *count_rows(const struct nauha_trace *trace) {
    struct nauha__trace_totals *totals = trace->totals;
    if (totals->counted)
        return totals;
    uint64_t rows = nauha__index_rows(trace->index);
    for (uint64_t i = 0; i < rows; i++) {
        const struct nauha__index_row *row = NULL;
        enum nauha__row_fault fault = nauha__index_get(trace->index, i, &row);
        if (fault == NAUHA__ROW_FAULT_NONE)
            count_row(trace, row, totals);
        else if (fault == NAUHA__ROW_FAULT_UNREADABLE)
            i = nauha__index_page_end(trace->index, i) - 1;
    }
    totals->counted = true;
    return totals;
}

void nauha_trace_get_head(const struct nauha_trace *trace, struct nauha_trace_info *info) {
    *info = (struct nauha_trace_info){
        .path = trace->path,
        .format_major = trace->format_major,
        .format_minor = trace->format_minor,
        .rank = trace->rank,
        .world_size = trace->world_size,
        .created_ns = trace->created_ns,
        .codec = trace->codec,
        .closed = trace->closed,
        .failure = trace->failure,
        .bytes_stored = nauha__trace_file_bytes(trace),
    };
    for (size_t i = 0; i < trace->loss_count; i++) {
        info->messages_lost += trace->losses[i].messages;
        info->bytes_lost += trace->losses[i].bytes;
    }
    /* On a full disk, there may have been room only for the number of lost messages, not for their
     * kinds. */
    if (trace->end_messages_lost > info->messages_lost) {
        info->messages_lost = trace->end_messages_lost;
        info->bytes_lost = trace->end_bytes_lost;
    }
    info->complete = trace->closed && !trace->failure[0] && info->messages_lost == 0;
}

void nauha_trace_get_info(const struct nauha_trace *trace, struct nauha_trace_info *info) {
    const struct nauha__trace_totals *totals = count_rows(trace);
    const bool any = totals->messages > 0;
    nauha_trace_get_head(trace, info);
    info->messages = totals->messages;
    info->steps = any ? totals->last_step - totals->first_step + 1 : 0;
    info->first_step = totals->first_step;
    info->epochs = any ? totals->last_epoch - totals->first_epoch + 1 : 0;
    info->bytes_published = totals->bytes;
    info->duration_ns = totals->last_time;
}

bool nauha_trace_fact(const struct nauha_trace *trace, size_t position, const char **key,
                      const char **value) {
    if (position >= trace->fact_count)
        return false;
    *key = trace->facts[position].key;
    *value = trace->facts[position].value;
    return true;
}

void nauha_trace_kind_totals(const struct nauha_trace *trace, uint32_t kind, uint64_t *messages,
                             uint64_t *bytes) {
    *messages = *bytes = 0;
    if (kind == NAUHA_NONE)
        return;
    const struct nauha__trace_totals *totals = count_rows(trace);
    for (uint32_t i = 0; i < trace->kinds.count; i++) {
        if (trace->kinds.numbers[i] != kind)
            continue;
        *messages += totals->kinds[i].messages;
        *bytes += totals->kinds[i].bytes;
    }
}

uint64_t nauha_trace_kind_shards(const struct nauha_trace *trace, uint32_t kind) {
    const struct nauha__trace_totals *totals = count_rows(trace);
    uint64_t shards = 0;
    for (uint32_t i = 0; i < trace->kinds.count && kind != NAUHA_NONE; i++)
        shards += trace->kinds.numbers[i] == kind ? totals->kinds[i].shards : 0;
    return shards;
}

void nauha_trace_kind_kept(const struct nauha_trace *trace, uint32_t kind,
                           uint64_t kept[NAUHA_KEPT_COUNT]) {
    const struct nauha__trace_totals *totals = count_rows(trace);
    memset(kept, 0, NAUHA_KEPT_COUNT * sizeof *kept);
    for (uint32_t i = 0; i < trace->kinds.count && kind != NAUHA_NONE; i++)
        for (size_t how = 0; how < NAUHA_KEPT_COUNT; how++)
            kept[how] += trace->kinds.numbers[i] == kind ? totals->kinds[i].kept[how] : 0;
}

uint64_t nauha_trace_kind_stored(const struct nauha_trace *trace, uint32_t kind) {
    uint64_t stored = 0;
    for (uint32_t i = 0; i < trace->kinds.count; i++)
        if (kind != NAUHA_NONE && trace->kinds.numbers[i] == kind)
            stored += nauha__chunks_stored(trace->chunks, (uint16_t)i);
    return kind == NAUHA_NONE ? nauha__chunks_stored(trace->chunks, UINT16_MAX) : stored;
}

/* The first version whose writers note what they wrote past the page cache. */
#define DIRECT_SINCE 5u

void nauha_trace_get_chunks(const struct nauha_trace *trace, struct nauha_trace_chunks *chunks) {
    const uint64_t all = nauha__trace_file_bytes(trace), direct = trace->end_direct << 20;
    *chunks = (struct nauha_trace_chunks){.direct_bytes = direct < all ? direct : all,
                                          .direct_known =
                                              trace->closed && trace->format_minor >= DIRECT_SINCE};
    nauha__chunks_count_codings(trace->chunks, chunks);
}

bool nauha_trace_get_dump(const struct nauha_trace *trace, size_t position,
                          struct nauha_trace_dump *dump) {
    if (position >= trace->dump_count)
        return false;
    const struct nauha__trace_dump *found = &trace->dumps[position];
    *dump = (struct nauha_trace_dump){.step = found->step,
                                      .first_step = found->first_step,
                                      .last_step = found->last_step,
                                      .reason = found->reason};
    return true;
}

bool nauha_trace_loss(const struct nauha_trace *trace, size_t position, uint32_t *kind,
                      const char **reason, uint64_t *messages, uint64_t *bytes) {
    if (position >= trace->loss_count)
        return false;
    const struct nauha__trace_loss *loss = &trace->losses[position];
    *kind = loss->kind;
    *reason = loss->reason;
    *messages = loss->messages;
    *bytes = loss->bytes;
    return true;
}
