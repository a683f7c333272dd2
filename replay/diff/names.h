/* SPDX-License-Identifier: MIT */
/* Translating the names of trace b to those of trace a: kinds, tags and slots by name, modules by
 * name and by the mappings that the user gave.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_REPLAY_DIFF_NAMES_H
#define NAUHA_REPLAY_DIFF_NAMES_H

#include "nauha/names.h"

struct nauha__renames;

/* a and b are borrowed until nauha__renames_free, maps are copied. INVALID, UNKNOWN: as
 * nauha_diff_new. Release with nauha__renames_free. */
enum nauha_status nauha__renames_new(const struct nauha_names *a, const struct nauha_names *b,
                                     const char *const *maps, size_t count,
                                     struct nauha__renames **renames, struct nauha_error *err);
void nauha__renames_free(struct nauha__renames *renames);

/* The number in a of an entry of b; NAUHA_NONE if a has no such entry. */
uint32_t nauha__renames_kind(struct nauha__renames *renames, uint32_t kind_of_b);
uint32_t nauha__renames_tag(struct nauha__renames *renames, uint32_t tag_of_b);
uint32_t nauha__renames_slot(struct nauha__renames *renames, uint32_t slot_of_b);
uint32_t nauha__renames_module(struct nauha__renames *renames, uint32_t module_of_b);

/* As nauha_diff_suggest. */
bool nauha__renames_suggest(struct nauha__renames *renames, char *map, size_t bytes,
                            size_t *modules);

#endif
