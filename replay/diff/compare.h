/* SPDX-License-Identifier: MIT */
/* Comparing tensors of which no more than pieces are held.
 *
 * Threads: one at a time per message.
 */
#ifndef NAUHA_REPLAY_DIFF_COMPARE_H
#define NAUHA_REPLAY_DIFF_COMPARE_H

#include "nauha/compare.h"
#include "nauha/message.h"

/* All pieces but the last have a multiple of these elements, so that sums come out the same however
 * tensors are cut. */
#define NAUHA__COMPARE_BLOCK 512u

/* Adds `count` elements of each, the first of which is element `first`, to a difference that began
 * as {.count = all elements, .first = all elements}. Contiguous. */
void nauha__compare_piece(const struct nauha_tensor *a, const struct nauha_tensor *b,
                          const struct nauha_tolerance *tolerance, uint64_t first, size_t count,
                          struct nauha_difference *difference);

/* What nauha_compare makes of the elements of two messages with as many elements. first_a, first_b:
 * the first elements that differ as text, where some do. Fails as nauha_message_tensor does. */
enum nauha_status nauha__compare_messages(struct nauha_message *a, struct nauha_message *b,
                                          const struct nauha_tolerance *tolerance,
                                          struct nauha_difference *difference, char first_a[40],
                                          char first_b[40], struct nauha_error *err);

#endif
