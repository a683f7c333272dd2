/* SPDX-License-Identifier: MIT */
/* What a recording says about how it was kept.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_RECORDER_KEEPING_H
#define NAUHA_RECORDER_KEEPING_H

#include <cjson/cJSON.h>

#include "nauha/keeping.h"

/* Whether steps are to be run again, for which nothing may be missing. */
bool nauha__keeping_is_proof(const struct nauha_keeping *keeping);

/* How many steps a flight recorder holds (0: there is none), and how many it writes after them. */
uint64_t nauha__keeping_flight(const struct nauha_keeping *keeping, uint64_t *after);
/* INVALID: there is nothing for a flight recorder to hold. */
enum nauha_status nauha__keeping_check_flight(const struct nauha_keeping *keeping,
                                              struct nauha_error *err);

/* Adds what differs from keeping everything to the facts of a trace. False: out of memory. */
bool nauha__keeping_add_facts(const struct nauha_keeping *keeping, cJSON *facts);

#endif
