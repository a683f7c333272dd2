/* SPDX-License-Identifier: MIT */
/* Comparing tensors of which only pieces are in memory.
 *
 * Threads: one at a time per message.
 */
#ifndef NAUHA_REPLAY_DIFF_COMPARE_H
#define NAUHA_REPLAY_DIFF_COMPARE_H

#include "nauha/compare.h"
#include "nauha/message.h"

/* The number of elements in every piece but the last is a multiple of this, so that sums are the
 * same wherever tensors are cut. */
#define NAUHA__COMPARE_BLOCK 512u

/* Compares `count` elements of a and b, both contiguous, and adds the result to `difference`, which
 * began as {.count = all elements, .first = all elements}. first: the number of the piece's first
 * element in the whole tensor. */
void nauha__compare_piece(const struct nauha_tensor *a, const struct nauha_tensor *b,
                          const struct nauha_tolerance *tolerance, uint64_t first, size_t count,
                          struct nauha_difference *difference);

/* The value of the last bit of a number near 1 of this type; 0 for integers. */
double nauha__last_bit(enum nauha_dtype dtype);

/* The difference of fingerprints that a tolerance allows: that of its relative part. */
double nauha__fingerprint_tolerance(const struct nauha_tolerance *tolerance,
                                    enum nauha_dtype dtype);
/* Takes all elements as within the tolerance if the difference is one of rounding. */
void nauha__compare_rounding(const struct nauha_tolerance *tolerance, enum nauha_dtype a,
                             enum nauha_dtype b, struct nauha_difference *difference);

/* Compares the elements of two messages, which have the same number of them, as nauha_compare does.
 * first_a and first_b receive the first elements that differ, as text; they are unchanged if none
 * do. Fails as nauha_message_tensor does. */
enum nauha_status nauha__compare_messages(struct nauha_message *a, struct nauha_message *b,
                                          const struct nauha_tolerance *tolerance,
                                          struct nauha_difference *difference, char first_a[40],
                                          char first_b[40], struct nauha_error *err);

#endif
