/* SPDX-License-Identifier: MIT */
/* Text to numbers, the same in every locale.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_PARSE_H
#define NAUHA_INTERNAL_PARSE_H

#include <stdint.h>

#include "nauha/status.h"

/* "256M", "1.5G", "4096": bytes, in powers of 1024. INVALID. */
enum nauha_status nauha__parse_size(const char *text, uint64_t *bytes, struct nauha_error *err);
/* Whole numbers and reals without anything behind them. INVALID. */
enum nauha_status nauha__parse_u64(const char *text, uint64_t *value, struct nauha_error *err);
enum nauha_status nauha__parse_i64(const char *text, int64_t *value, struct nauha_error *err);
enum nauha_status nauha__parse_real(const char *text, double *value, struct nauha_error *err);

#endif
