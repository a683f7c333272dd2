/* SPDX-License-Identifier: MIT */
/* The parts of a flush: it takes over what was published, and writes it in an order that keeps the
 * file of a killed recording readable.
 *
 * Threads: the writer thread, except where it says otherwise.
 */
#ifndef NAUHA_RECORDER_FLUSH_H
#define NAUHA_RECORDER_FLUSH_H

#include "recorder/writer.h"

/* Notes a chunk that was written: its row of /chunks, and that index rows may refer to it. NOMEM.
 */
enum nauha_status nauha__flush_note_chunk(struct nauha__writer *writer,
                                          const struct nauha__block *block,
                                          struct nauha_error *err);

/* How many bytes the limit on the file's size leaves for chunks, beside what is in the file and the
 * tables of everything published so far; UINT64_MAX without a limit. */
uint64_t nauha__flush_room(const struct nauha__writer *writer);

/* Seals the open blocks and takes over the published rows and names; publish lock held. */
void nauha__flush_begin(struct nauha__writer *writer);

/* Called when all chunks of the flush are written: writes the tables, the rows and the file's
 * metadata. Rows beyond the limit and, after a failure, rows whose data are not in the file are
 * counted as lost. */
void nauha__flush_commit(struct nauha__writer *writer);

/* After the last flush: writes the losses, then closes the file with its row of /end. */
void nauha__flush_end(struct nauha__writer *writer);

/* Keeps the first failure; from then on nothing is stored. */
void nauha__writer_fail(struct nauha__writer *writer, const struct nauha_error *err);

/* Sets the error that says that the recording has reached its limit; returns NAUHA_LIMIT. */
enum nauha_status nauha__writer_limit_error(const struct nauha__writer *writer,
                                            struct nauha_error *err);

#endif
