/* SPDX-License-Identifier: MIT */
/* Selecting messages by kind, module, step, epoch, tag and rank: at the recorder those that are
 * stored, at the reader those that are replayed.
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

/* A selector that selects everything. NULL when out of memory. Caller owns, release with
 * nauha_selector_free. */
NAUHA_API struct nauha_selector *nauha_selector_new(void);
NAUHA_API void nauha_selector_free(struct nauha_selector *selector);
/* NULL when out of memory. Caller owns, release with nauha_selector_free. */
NAUHA_API struct nauha_selector *nauha_selector_copy(const struct nauha_selector *selector);

/* The keys: kinds, modules, exclude, steps, epochs, tag, rank. */
NAUHA_API const struct nauha_option *nauha_selector_options(size_t *count);

/* Sets a key; a message must fit all keys that are set.
 *
 *   kinds    names, separated by commas
 *   modules  shell patterns (fnmatch), separated by commas, for the whole qualified name, such as
 *            "layer1.0.conv1"; "(root)", or an empty value, means the root module. Messages of the
 *            network as a whole fit always.
 *   exclude  the same, for modules to leave out
 *   steps    A:B or A:B:EVERY of global steps, B excluded; A and B may be left out; N means N:N+1
 *   epochs   A:B or N, as for steps
 *   tag      one tag
 *   rank     one number
 *
 * UNKNOWN: there is no such key. INVALID: the value cannot be parsed; err says what is expected. */
NAUHA_API enum nauha_status nauha_selector_set(struct nauha_selector *selector, const char *key,
                                               const char *value, struct nauha_error *err);

/* Checks that names has every kind and tag that the selector names, and a module for every pattern.
 * UNKNOWN: it has not; err says which is missing and lists those there are. */
NAUHA_API enum nauha_status nauha_selector_check(const struct nauha_selector *selector,
                                                 const struct nauha_names *names,
                                                 struct nauha_error *err);

/* The same, for kinds and the tag alone. */
NAUHA_API enum nauha_status nauha_selector_check_kinds(const struct nauha_selector *selector,
                                                       const struct nauha_names *names,
                                                       struct nauha_error *err);

/* Whether a message is selected; module is NAUHA_NONE for messages of the network. The call is
 * fast: the selector matches the patterns once per module, and remembers the results for the names
 * object of the last call. */
NAUHA_API bool nauha_selector_accepts(struct nauha_selector *selector,
                                      const struct nauha_names *names, uint32_t kind,
                                      uint32_t module, uint32_t tag, uint64_t global_step,
                                      uint32_t epoch, uint32_t rank);

/* Whether any message of this kind, of this module, of this global step, or of this rank can be
 * selected. */
NAUHA_API bool nauha_selector_accepts_kind(struct nauha_selector *selector,
                                           const struct nauha_names *names, uint32_t kind);
NAUHA_API bool nauha_selector_accepts_module(struct nauha_selector *selector,
                                             const struct nauha_names *names, uint32_t module);
NAUHA_API bool nauha_selector_accepts_step(const struct nauha_selector *selector,
                                           uint64_t global_step);
NAUHA_API bool nauha_selector_accepts_rank(const struct nauha_selector *selector, uint32_t rank);

#ifdef __cplusplus
}
#endif
#endif
