/* SPDX-License-Identifier: MIT */
/* Descriptors of analyzers from outside: they are checked before anything in them is used.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_REPLAY_PIPELINE_DESCRIPTOR_H
#define NAUHA_REPLAY_PIPELINE_DESCRIPTOR_H

#include "nauha/analyzer.h"

/* Checks a descriptor and makes a complete copy of it: members that an older one lacks are NULL,
 * missing texts "". What the copy points to still belongs to the analyzer. VERSION: the descriptor
 * has another ABI, or is larger than this program's. INVALID: anything else is wrong with it. */
enum nauha_status nauha__descriptor_take(const struct nauha_analyzer *given,
                                         struct nauha_analyzer *copy, struct nauha_error *err);

/* Fails with INVALID if a built-in analyzer has this name. */
enum nauha_status nauha__descriptor_check_name(const char *name, struct nauha_error *err);

#endif
