/* SPDX-License-Identifier: MIT */
/* Fingerprints of tensors: what a trace can hold in place of the elements.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_FINGERPRINT_H
#define NAUHA_FINGERPRINT_H

#include "nauha/message.h"
#include "nauha/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NAUHA_FINGERPRINT_SAMPLES 16u

struct nauha_fingerprint {
    uint64_t hash[2];         /* as nauha_tensor_hash */
    struct nauha_stats stats; /* all of them */
    /* Elements at the positions of nauha_fingerprint_position, their bits in the lower bytes. */
    uint64_t samples[NAUHA_FINGERPRINT_SAMPLES];
};

/* How many samples the fingerprint of a tensor of `count` elements has: 16, or count if that is
 * less. */
NAUHA_API size_t nauha_fingerprint_samples(uint64_t count);
/* The row-major position of sample i in a tensor of `count` elements: floor(i (count - 1) / 15),
 * from the first to the last element, or i if there are no more than 16. */
NAUHA_API uint64_t nauha_fingerprint_position(uint64_t count, size_t i);

/* The fingerprint of the elements of a contiguous tensor. INVALID: it is not contiguous, or is
 * malformed. */
NAUHA_API enum nauha_status nauha_tensor_fingerprint(const struct nauha_tensor *tensor,
                                                     struct nauha_fingerprint *fingerprint,
                                                     struct nauha_error *err);

/* The greatest relative difference between the statistics and samples of two tensors with the same
 * number of elements and the same type: of sums and the mean by the mean magnitude, of extremes by
 * the largest magnitude, of samples by themselves or, if that is more, by the root mean square, and
 * of zeros by the number of elements. 0 if the hashes are equal; infinite if the numbers of NaN or
 * infinite elements differ, or samples that are not finite. */
NAUHA_API double nauha_fingerprint_difference(const struct nauha_fingerprint *a,
                                              const struct nauha_fingerprint *b,
                                              enum nauha_dtype dtype);

/* The fingerprint that was recorded, or that of the elements if these were recorded. INVALID: an
 * event. UNAVAILABLE: only the hash was recorded. Else fails as nauha_message_for_each_piece. */
NAUHA_API enum nauha_status nauha_message_fingerprint(struct nauha_message *message,
                                                      struct nauha_fingerprint *fingerprint,
                                                      struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
