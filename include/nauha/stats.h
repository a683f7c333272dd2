/* SPDX-License-Identifier: MIT */
/* One-pass statistics of a tensor, shared by the metrics that need them.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_STATS_H
#define NAUHA_STATS_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements are taken as doubles. Sums are accumulated in double in blocks that are combined
 * pairwise, so that the error does not grow with the number of elements. A NaN or infinity
 * anywhere shows in the sums as IEEE arithmetic has it, and in `nans` and `infs`. */
struct nauha_stats {
    uint64_t count;
    uint64_t zeros;
    uint64_t nans;
    uint64_t infs;
    double sum;
    double sum_abs;
    double sum_squares;
    double mean;       /* NaN where count is 0 */
    double deviations; /* sum of (x - mean)^2, by Chan, Golub and LeVeque's update (1979) */
    double min;        /* of the non-NaN elements; NaN where there is none */
    double max;
    double abs_max;
};

/* Groups of them, by what it takes to compute them. */
enum nauha_statistics {
    NAUHA_STATISTICS_ZEROS = 1u << 0,
    NAUHA_STATISTICS_RANGE = 1u << 1, /* min, max, abs_max, nans, infs */
    NAUHA_STATISTICS_SUM = 1u << 2,   /* and mean */
    NAUHA_STATISTICS_SUM_ABS = 1u << 3,
    NAUHA_STATISTICS_SUM_SQUARES = 1u << 4,
    NAUHA_STATISTICS_DEVIATIONS = 1u << 5,
    NAUHA_STATISTICS_ALL = (1u << 6) - 1
};

/* All of them. tensor is contiguous. */
NAUHA_API void nauha_stats_compute(const struct nauha_tensor *tensor, struct nauha_stats *stats);

/* Sum of |x|^p for any p > 0. */
NAUHA_API double nauha_stats_sum_powers(const struct nauha_tensor *tensor, double p);

#ifdef __cplusplus
}
#endif
#endif
