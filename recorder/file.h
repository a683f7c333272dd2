/* SPDX-License-Identifier: MIT */
/* The trace as an HDF5 file that is being written. All objects are created first; then the file
 * switches to SWMR (single writer, multiple readers), and from then on only chunks and rows are
 * added.
 *
 * Threads: the writer thread alone.
 */
#ifndef NAUHA_RECORDER_FILE_H
#define NAUHA_RECORDER_FILE_H

#include "nauha/internal/h5.h"
#include "recorder/buffer.h"
#include "recorder/config.h"
#include "recorder/disk.h"
#include "recorder/naming.h"

struct nauha__file {
    const char *path;     /* what the recording is to be called */
    int fd;               /* open during the recording: holds the lock, writes /end */
    bool sync;            /* whether flushes reach the disk itself */
    uint64_t end_address; /* where the row of /end lies in the file */
    struct nauha__disk disk;
    hid_t driver;
    hid_t file;
    hid_t streams[NAUHA__STREAMS];
    uint64_t chunks[NAUHA__STREAMS]; /* extent, in chunks */
    bool dirty[NAUHA__STREAMS];      /* since the last flush */
    hid_t tables[NAUHA__TABLE_COUNT];
    hid_t row_types[NAUHA__TABLE_COUNT];
    uint64_t rows[NAUHA__TABLE_COUNT];
};

/* Creates the file under its first name (see naming.h); on failure no file is left. naming is
 * borrowed until nauha__file_close. BUSY, INVALID, IO, NOMEM. */
enum nauha_status nauha__file_create(struct nauha__file *file, struct nauha__naming *naming,
                                     const struct nauha_recorder_config *config,
                                     struct nauha_error *err);

/* Writes an encoded block as its chunk. IO. */
enum nauha_status nauha__file_write_chunk(struct nauha__file *file,
                                          const struct nauha__block *block,
                                          struct nauha_error *err);

/* Appends rows, sealing each with its checksum. IO. */
enum nauha_status nauha__file_append(struct nauha__file *file, enum nauha__table_id table,
                                     void *rows, size_t count, struct nauha_error *err);

/* Make the streams, one table, or the rest of the file's metadata visible to readers. IO. */
enum nauha_status nauha__file_flush_streams(struct nauha__file *file, struct nauha_error *err);
enum nauha_status nauha__file_flush_table(struct nauha__file *file, enum nauha__table_id table,
                                          struct nauha_error *err);
enum nauha_status nauha__file_flush(struct nauha__file *file, struct nauha_error *err);
/* Waits until the flushed data would survive a loss of power, if the configuration asks for it. IO.
 */
enum nauha_status nauha__file_sync(const struct nauha__file *file, struct nauha_error *err);

/* Closes what is open, also after a failure, and then overwrites the row of /end in place, which
 * works on a full disk. end NULL: the row stays as it is. IO: the last bytes could not be written.
 */
enum nauha_status nauha__file_close(struct nauha__file *file, struct nauha__end_row *end,
                                    struct nauha_error *err);

#endif
