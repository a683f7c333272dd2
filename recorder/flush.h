/* SPDX-License-Identifier: MIT */
/* The parts of a flush: taking over what was published, and writing it in the order that makes a
 * killed recording readable.
 *
 * Threads: the writer thread, except where it says otherwise.
 */
#ifndef NAUHA_RECORDER_FLUSH_H
#define NAUHA_RECORDER_FLUSH_H

#include "recorder/writer.h"

/* Remembers a chunk that was written, for /chunks and for which rows are whole. NOMEM. */
enum nauha_status nauha__flush_note_chunk(struct nauha__writer *writer,
                                          const struct nauha__block *block,
                                          struct nauha_error *err);

/* Bytes that the limit leaves beside the file and the tables of all that was published up to now;
 * UINT64_MAX without a limit. */
uint64_t nauha__flush_room(const struct nauha__writer *writer);

/* Seals what lies half full and takes over rows and names; publish lock held. */
void nauha__flush_begin(struct nauha__writer *writer);

/* All chunks of the flush are written: tables, rows, and the file's metadata. Rows beyond the limit
 * and, after a failure, those whose data are not in the file are counted as lost. */
void nauha__flush_commit(struct nauha__writer *writer);

/* After the last flush: the losses, then closes the file with its /end row. */
void nauha__flush_end(struct nauha__writer *writer);

/* Latches the first failure; nothing is stored from then on. */
void nauha__writer_fail(struct nauha__writer *writer, const struct nauha_error *err);

/* NAUHA_LIMIT, and what to say of it. */
enum nauha_status nauha__writer_limit_error(const struct nauha__writer *writer,
                                            struct nauha_error *err);

#endif
