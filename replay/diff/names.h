/* SPDX-License-Identifier: MIT */
/* The names of one trace as those of another: kinds, tags and slots by name, modules by name and
 * the maps of names that a user gave.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_DIFF_NAMES_H
#define NAUHA_REPLAY_DIFF_NAMES_H

#include "nauha/names.h"

struct nauha__renames;

/* names are borrowed until nauha__renames_free; maps are copied. INVALID, UNKNOWN: as
 * nauha_diff_new. */
enum nauha_status nauha__renames_new(const struct nauha_names *a, const struct nauha_names *b,
                                     const char *const *maps, size_t count,
                                     struct nauha__renames **renames, struct nauha_error *err);
void nauha__renames_free(struct nauha__renames *renames);

/* The number that an entry of b has in a; NAUHA_NONE where a has none such. */
uint32_t nauha__renames_kind(struct nauha__renames *renames, uint32_t kind_of_b);
uint32_t nauha__renames_tag(struct nauha__renames *renames, uint32_t tag_of_b);
uint32_t nauha__renames_slot(struct nauha__renames *renames, uint32_t slot_of_b);
uint32_t nauha__renames_module(struct nauha__renames *renames, uint32_t module_of_b);

/* As nauha_diff_suggest. */
bool nauha__renames_suggest(struct nauha__renames *renames, char *map, size_t bytes,
                            size_t *modules);

#endif
