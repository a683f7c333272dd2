/* SPDX-License-Identifier: MIT */
/* Fingerprints: the hash, the statistics and a sample of a tensor's elements, in one reading.
 *
 * Threads: any thread.
 */
#include "nauha/internal/fingerprint.h"

#include <math.h>
#include <string.h>

/* Elements are hashed and summed in pieces that fit the first-level cache, so that they come from
 * memory once. */
#define PIECE ((size_t)NAUHA_PIECE_ELEMENTS)

size_t nauha_fingerprint_samples(uint64_t count) {
    return count < NAUHA_FINGERPRINT_SAMPLES ? (size_t)count : NAUHA_FINGERPRINT_SAMPLES;
}

/* i (count - 1) / 15 without an overflow: count - 1 = 15 a + b. */
uint64_t nauha_fingerprint_position(uint64_t count, size_t i) {
    const uint64_t parts = NAUHA_FINGERPRINT_SAMPLES - 1;
    if (count <= NAUHA_FINGERPRINT_SAMPLES)
        return i;
    return (count - 1) / parts * i + (count - 1) % parts * i / parts;
}

void nauha__fingerprinting_begin(struct nauha__fingerprinting *making, uint64_t count,
                                 struct nauha_fingerprint *out) {
    making->count = count;
    making->sampled = 0;
    making->out = out;
    memset(out, 0, sizeof *out);
    nauha__tensor_hasher_begin(&making->hasher);
    nauha__pass_begin(&making->pass, NAUHA_STATISTICS_ALL);
}

static void sample(struct nauha__fingerprinting *making, const struct nauha_tensor *piece,
                   uint64_t first) {
    const size_t size = nauha_dtype_size(piece->dtype),
                 samples = nauha_fingerprint_samples(making->count);
    const uint64_t end = first + (uint64_t)piece->shape[0];
    for (; making->sampled < samples; making->sampled++) {
        const uint64_t at = nauha_fingerprint_position(making->count, making->sampled);
        if (at >= end)
            return;
        memcpy(&making->out->samples[making->sampled],
               (const unsigned char *)piece->data + (size_t)(at - first) * size, size);
    }
}

void nauha__fingerprinting_add(struct nauha__fingerprinting *making,
                               const struct nauha_tensor *piece, uint64_t first) {
    const size_t size = nauha_dtype_size(piece->dtype), count = (size_t)piece->shape[0];
    sample(making, piece, first);
    for (size_t done = 0; done < count; done += PIECE) {
        const int64_t part = (int64_t)(count - done < PIECE ? count - done : PIECE);
        const struct nauha_tensor now = {.data = (const unsigned char *)piece->data + done * size,
                                         .dtype = piece->dtype,
                                         .ndim = 1,
                                         .shape = &part};
        nauha__tensor_hasher_add(&making->hasher, now.data, (size_t)part * size);
        nauha__pass_add(&making->pass, &now);
    }
}

void nauha__fingerprinting_end(struct nauha__fingerprinting *making) {
    nauha__tensor_hasher_end(&making->hasher, making->out->hash);
    nauha__pass_end(&making->pass, &making->out->stats);
}

void nauha__fingerprint(const struct nauha_tensor *tensor, uint64_t count,
                        struct nauha_fingerprint *out) {
    struct nauha__fingerprinting making;
    const int64_t length = (int64_t)count;
    const struct nauha_tensor flat = {
        .data = tensor->data, .dtype = tensor->dtype, .ndim = 1, .shape = &length};
    nauha__fingerprinting_begin(&making, count, out);
    if (count > 0)
        nauha__fingerprinting_add(&making, &flat, 0);
    nauha__fingerprinting_end(&making);
}

enum nauha_status nauha_tensor_fingerprint(const struct nauha_tensor *tensor,
                                           struct nauha_fingerprint *fingerprint,
                                           struct nauha_error *err) {
    size_t count;
    enum nauha_status status = nauha_tensor_count(tensor, &count, err);
    if (status != NAUHA_OK)
        return status;
    if (tensor->strides)
        return nauha_error_set(err, NAUHA_INVALID, "the tensor is not contiguous");
    nauha__fingerprint(tensor, count, fingerprint);
    return NAUHA_OK;
}

/* ---- differences ---- */

/* |x - y| by the larger of |x|, |y| and `least`. */
static double apart(double x, double y, double least) {
    if (x == y || (isnan(x) && isnan(y)))
        return 0;
    if (!isfinite(x) || !isfinite(y))
        return (double)INFINITY;
    return fabs(x - y) / fmax(fmax(fabs(x), fabs(y)), least);
}

static double samples_apart(const struct nauha_fingerprint *a, const struct nauha_fingerprint *b,
                            enum nauha_dtype dtype, double least) {
    const size_t count = nauha_fingerprint_samples(a->stats.count);
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double x, y;
        nauha_tensor_to_f64(&(struct nauha_tensor){.data = &a->samples[i], .dtype = dtype}, 0, 1,
                            &x);
        nauha_tensor_to_f64(&(struct nauha_tensor){.data = &b->samples[i], .dtype = dtype}, 0, 1,
                            &y);
        largest = fmax(largest, apart(x, y, least));
    }
    return largest;
}

double nauha_fingerprint_difference(const struct nauha_fingerprint *a,
                                    const struct nauha_fingerprint *b, enum nauha_dtype dtype) {
    const struct nauha_stats *of_a = &a->stats, *of_b = &b->stats;
    const double n = (double)of_a->count;
    if (memcmp(a->hash, b->hash, sizeof a->hash) == 0)
        return 0;
    if (of_a->nans != of_b->nans || of_a->infs != of_b->infs)
        return (double)INFINITY;
    const double magnitudes = fmax(of_a->sum_abs, of_b->sum_abs);
    const double largest = fmax(of_a->abs_max, of_b->abs_max);
    const double rms = sqrt(fmax(of_a->sum_squares, of_b->sum_squares) / n);
    const double parts[] = {
        apart(of_a->sum, of_b->sum, magnitudes),
        apart(of_a->sum_abs, of_b->sum_abs, 0),
        apart(sqrt(of_a->sum_squares), sqrt(of_b->sum_squares), 0),
        apart(of_a->min, of_b->min, largest),
        apart(of_a->max, of_b->max, largest),
        apart((double)of_a->zeros, (double)of_b->zeros, n),
        samples_apart(a, b, dtype, rms),
    };
    double most = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        most = fmax(most, parts[i]);
    return most;
}

/* ---- in a trace ---- */

void nauha__fingerprint_pack(const struct nauha_fingerprint *fingerprint,
                             struct nauha__fingerprint_words *words) {
    const struct nauha_stats *stats = &fingerprint->stats;
    *words = (struct nauha__fingerprint_words){.hash = {fingerprint->hash[0], fingerprint->hash[1]},
                                               .zeros = stats->zeros,
                                               .nans = stats->nans,
                                               .infs = stats->infs,
                                               .first_nonfinite = stats->first_nonfinite,
                                               .sum = stats->sum,
                                               .sum_abs = stats->sum_abs,
                                               .sum_squares = stats->sum_squares,
                                               .deviations = stats->deviations,
                                               .third = stats->third,
                                               .fourth = stats->fourth,
                                               .min = stats->min,
                                               .max = stats->max};
    memcpy(words->samples, fingerprint->samples, sizeof words->samples);
}

void nauha__fingerprint_unpack(const struct nauha__fingerprint_words *words, uint64_t count,
                               struct nauha_fingerprint *fingerprint) {
    *fingerprint = (struct nauha_fingerprint){.hash = {words->hash[0], words->hash[1]},
                                              .stats = {.count = count,
                                                        .zeros = words->zeros,
                                                        .nans = words->nans,
                                                        .infs = words->infs,
                                                        .sum = words->sum,
                                                        .sum_abs = words->sum_abs,
                                                        .sum_squares = words->sum_squares,
                                                        .deviations = words->deviations,
                                                        .min = words->min,
                                                        .max = words->max,
                                                        .third = words->third,
                                                        .fourth = words->fourth,
                                                        .first_nonfinite = words->first_nonfinite}};
    nauha__stats_derive(&fingerprint->stats);
    memcpy(fingerprint->samples, words->samples, sizeof words->samples);
}
