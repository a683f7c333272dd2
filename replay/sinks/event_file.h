/* SPDX-License-Identifier: MIT */
/* TensorBoard's event files: records, each with its length and checksums, in TFRecord framing.
 *
 * Threads: any thread; an object has one owner.
 */
#ifndef NAUHA_REPLAY_SINKS_EVENT_FILE_H
#define NAUHA_REPLAY_SINKS_EVENT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nauha/status.h"

struct nauha__event_file;

/* CRC-32C (Castagnoli), as RFC 3720 has it; "123456789" gives 0xe3069283. */
uint32_t nauha__crc32c(const void *data, size_t size);

/* Creates a new file in an existing directory, and removes those that nauha made there before;
 * files of other programs stay. The file gets a new name, because a running TensorBoard has the old
 * one open. IO. Caller owns *file, release with nauha__event_file_close. */
enum nauha_status nauha__event_file_create(const char *directory, struct nauha__event_file **file,
                                           struct nauha_error *err);

/* Appends one record. IO. */
enum nauha_status nauha__event_file_append(struct nauha__event_file *file, const void *record,
                                           size_t size, struct nauha_error *err);
/* Makes what was appended visible to other programs. IO. */
enum nauha_status nauha__event_file_flush(struct nauha__event_file *file, struct nauha_error *err);
/* Closes and frees file, also on failure; NULL is allowed. IO: the last records are not in the
 * file. */
enum nauha_status nauha__event_file_close(struct nauha__event_file *file, struct nauha_error *err);

#endif
