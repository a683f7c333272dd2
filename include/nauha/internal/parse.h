/* SPDX-License-Identifier: MIT */
/* Parsing numbers, independently of the locale.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_PARSE_H
#define NAUHA_INTERNAL_PARSE_H

#include <stdint.h>

#include "nauha/status.h"

/* Parses a size such as "4096", "256M" or "1.5G" into bytes; K, M, G and T are powers of 1024.
 * INVALID. */
enum nauha_status nauha__parse_size(const char *text, uint64_t *bytes, struct nauha_error *err);
/* Parse a decimal number, which must be the whole text; a real may also be "inf" or "-inf".
 * INVALID. */
enum nauha_status nauha__parse_u64(const char *text, uint64_t *value, struct nauha_error *err);
enum nauha_status nauha__parse_i64(const char *text, int64_t *value, struct nauha_error *err);
enum nauha_status nauha__parse_real(const char *text, double *value, struct nauha_error *err);

#endif
