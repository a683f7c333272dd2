/* SPDX-License-Identifier: MIT */
/* Descriptors of analyzers that come from outside: checked before anything in them is used.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PIPELINE_DESCRIPTOR_H
#define NAUHA_REPLAY_PIPELINE_DESCRIPTOR_H

#include "nauha/analyzer.h"

/* Checks a descriptor and makes a full-sized copy of it, in which what it is too old to have is
 * NULL and texts that may be missing are "". What it points to stays the analyzer's. VERSION:
 * another ABI, or larger than ours. INVALID: anything else that is wrong with it. */
enum nauha_status nauha__descriptor_take(const struct nauha_analyzer *given,
                                         struct nauha_analyzer *copy, struct nauha_error *err);

/* INVALID where an analyzer of this name is built in. */
enum nauha_status nauha__descriptor_check_name(const char *name, struct nauha_error *err);

#endif
