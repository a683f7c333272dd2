/* SPDX-License-Identifier: MIT */
/* Statistics of a tensor, computed in one pass over its elements.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_STATS_H
#define NAUHA_STATS_H

#include "nauha/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements are converted to double. Sums are computed in double over blocks, whose sums are added
 * pairwise, so that the rounding error grows only with the logarithm of their number. NaN and
 * infinite elements count in `nans` and `infs`, and enter the sums as in IEEE arithmetic. */
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
    double min;        /* min, max and abs_max ignore NaN elements; NaN if there are no others */
    double max;
    double abs_max;
    double third, fourth;     /* sums of (x - mean)^3 and (x - mean)^4, by Pébay's update (2008) */
    uint64_t first_nonfinite; /* position of the first NaN or infinity; UINT64_MAX: there is none */
};

/* The fields above in groups that are computed together; count is always computed. */
enum nauha_statistics {
    NAUHA_STATISTICS_ZEROS = 1u << 0,
    NAUHA_STATISTICS_RANGE = 1u << 1, /* min, max, abs_max, nans, infs, first_nonfinite */
    NAUHA_STATISTICS_SUM = 1u << 2,   /* sum, mean */
    NAUHA_STATISTICS_SUM_ABS = 1u << 3,
    NAUHA_STATISTICS_SUM_SQUARES = 1u << 4,
    NAUHA_STATISTICS_DEVIATIONS = 1u << 5,
    NAUHA_STATISTICS_MOMENTS = 1u << 6, /* third, fourth */
    NAUHA_STATISTICS_ALL = (1u << 7) - 1
};

/* Computes all statistics of a contiguous tensor. */
NAUHA_API void nauha_stats_compute(const struct nauha_tensor *tensor, struct nauha_stats *stats);

/* The sum of |x|^p over the elements of a contiguous tensor, p > 0. */
NAUHA_API double nauha_stats_sum_powers(const struct nauha_tensor *tensor, double p);

#ifdef __cplusplus
}
#endif
#endif
