/* SPDX-License-Identifier: MIT */
/* What a recording keeps of each message: its elements, a fingerprint, a hash or nothing.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_KEEPING_H
#define NAUHA_KEEPING_H

#include "nauha/selector.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From little to much. */
enum nauha_grade {
    NAUHA_GRADE_NOTHING,
    NAUHA_GRADE_HASH,
    NAUHA_GRADE_FINGERPRINT,
    NAUHA_GRADE_ELEMENTS
};

struct nauha_keeping;

/* Keeps everything. NULL when out of memory. Caller owns, release with nauha_keeping_free. */
NAUHA_API struct nauha_keeping *nauha_keeping_new(void);
NAUHA_API void nauha_keeping_free(struct nauha_keeping *keeping);
/* NULL when out of memory. Caller owns, release with nauha_keeping_free. */
NAUHA_API struct nauha_keeping *nauha_keeping_copy(const struct nauha_keeping *keeping);

/* The keys keep, full, fingerprint, fingerprint-every, proof-every, flight and flight-after. */
NAUHA_API const struct nauha_option *nauha_keeping_options(size_t *count);

/* Sets one of these keys, or one of a selector, whose messages alone are kept.
 *
 *   keep               everything, proof, fingerprints or hashes: how messages are kept that no
 *                      other key names
 *   full               RULES: messages whose elements are kept. A rule is a list of kinds, or
 *                      "all", which keys of a selector may follow: "weights,biases steps=::100".
 *                      Rules are separated by semicolons. Another value adds further rules.
 *   fingerprint        the same, for messages of which fingerprints are kept; a rule of `full`
 *                      comes before one of `fingerprint`
 *   fingerprint-every  with keep=proof: in every N-th step, fingerprints are kept of what is inside
 *                      the model
 *   proof-every        with keep=proof: only every N-th step can be run again
 *   flight             steps whose elements a recorder holds in memory, see nauha_recorder_dump;
 *                      unless keep is set, it is fingerprints then. 0: none
 *   flight-after       steps that follow a dump and are kept in full, too
 *
 * UNKNOWN: there is no such key. INVALID: the value cannot be parsed; err says what is expected. */
NAUHA_API enum nauha_status nauha_keeping_set(struct nauha_keeping *keeping, const char *key,
                                              const char *value, struct nauha_error *err);

/* As nauha_selector_check and nauha_selector_check_kinds, for the selection and the rules. */
NAUHA_API enum nauha_status nauha_keeping_check(const struct nauha_keeping *keeping,
                                                const struct nauha_names *names,
                                                struct nauha_error *err);
NAUHA_API enum nauha_status nauha_keeping_check_kinds(const struct nauha_keeping *keeping,
                                                      const struct nauha_names *names,
                                                      struct nauha_error *err);

/* With keep=proof: from now on, messages of this kind and module (NAUHA_NONE: of all modules) are
 * kept in full, in steps that are kept, because they cannot be made again by running the step
 * again. The rules of `full` and `fingerprint` have priority. INVALID: the kind is not built in.
 * NOMEM. */
NAUHA_API enum nauha_status nauha_keeping_except(struct nauha_keeping *keeping, uint32_t kind,
                                                 uint32_t module, struct nauha_error *err);

/* How a message is kept. Tensors that take no more room than their fingerprint are kept in full
 * where a fingerprint is asked for; the recorder sees to this. Arguments as those of
 * nauha_selector_accepts, which is as fast. */
NAUHA_API enum nauha_grade nauha_keeping_grade(struct nauha_keeping *keeping,
                                               const struct nauha_names *names, uint32_t kind,
                                               uint32_t module, uint32_t tag, uint64_t global_step,
                                               uint32_t epoch, uint32_t rank);
/* Whether anything of a message is kept, and whether that can be so for a kind. */
NAUHA_API bool nauha_keeping_accepts(struct nauha_keeping *keeping, const struct nauha_names *names,
                                     uint32_t kind, uint32_t module, uint32_t tag,
                                     uint64_t global_step, uint32_t epoch, uint32_t rank);
NAUHA_API bool nauha_keeping_accepts_kind(struct nauha_keeping *keeping,
                                          const struct nauha_names *names, uint32_t kind);

#ifdef __cplusplus
}
#endif
#endif
