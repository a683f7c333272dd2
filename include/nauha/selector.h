/* SPDX-License-Identifier: MIT */
/* Choosing messages: by kind, module, step, epoch, tag and rank. The recorder uses a selector to
 * decide what is stored, the reader to decide what is decoded.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_SELECTOR_H
#define NAUHA_SELECTOR_H

#include "nauha/message.h"
#include "nauha/option.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_selector;

/* Selects everything. NULL when out of memory. Caller owns, release with nauha_selector_free. */
NAUHA_API struct nauha_selector *nauha_selector_new(void);
NAUHA_API void nauha_selector_free(struct nauha_selector *selector);
/* NULL when out of memory. Caller owns. */
NAUHA_API struct nauha_selector *nauha_selector_copy(const struct nauha_selector *selector);

/* The keys: kinds, modules, exclude, steps, epochs, tag, rank. */
NAUHA_API const struct nauha_option *nauha_selector_options(size_t *count);

/* Sets one key from text. "kinds": names with commas; "modules", "exclude": shell patterns with
 * commas, matched against the whole qualified name, where "(root)", or "" alone, means the root
 * module and network messages are never excluded; "steps": A:B[:EVERY] of global steps, half-open,
 * either end may be missing, a single N is N:N+1; "epochs": A:B; "tag": one tag, "rank": one
 * number. UNKNOWN: no such key. INVALID: a value that does not parse, saying what is expected. */
NAUHA_API enum nauha_status nauha_selector_set(struct nauha_selector *selector, const char *key,
                                               const char *value, struct nauha_error *err);

/* Checks that every kind and tag named is known to names and that every module pattern matches
 * at least one of its modules. UNKNOWN otherwise, naming the culprit and listing what there is. */
NAUHA_API enum nauha_status nauha_selector_check(const struct nauha_selector *selector,
                                                 const struct nauha_names *names,
                                                 struct nauha_error *err);

/* Whether a message of these stamps is chosen; module NAUHA_NONE for network messages. Fast: the
 * patterns are matched once per module and remembered, for the names object of the last call. */
NAUHA_API bool nauha_selector_accepts(struct nauha_selector *selector,
                                      const struct nauha_names *names, uint32_t kind,
                                      uint32_t module, uint32_t tag, uint64_t global_step,
                                      uint32_t epoch, uint32_t rank);

/* The same for a part of the stamps: whether any message of this kind, or of this module, or of
 * this global step can be chosen at all. */
NAUHA_API bool nauha_selector_accepts_kind(struct nauha_selector *selector,
                                           const struct nauha_names *names, uint32_t kind);
NAUHA_API bool nauha_selector_accepts_module(struct nauha_selector *selector,
                                             const struct nauha_names *names, uint32_t module);
NAUHA_API bool nauha_selector_accepts_step(const struct nauha_selector *selector,
                                           uint64_t global_step);

#ifdef __cplusplus
}
#endif
#endif
