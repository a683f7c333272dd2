/* SPDX-License-Identifier: MIT */
/* Clocks in nanoseconds.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_INTERNAL_CLOCK_H
#define NAUHA_INTERNAL_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NAUHA__SECOND_NS 1000000000u

static inline uint64_t nauha__clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * NAUHA__SECOND_NS + (uint64_t)time.tv_nsec;
}

/* The monotonic clock. A condition variable with a deadline on this clock must be initialized with
 * CLOCK_MONOTONIC. */
static inline uint64_t nauha__now_ns(void) {
    return nauha__clock_ns(CLOCK_MONOTONIC);
}

/* The wall clock: since 1970-01-01 UTC. */
static inline int64_t nauha__wall_ns(void) {
    return (int64_t)nauha__clock_ns(CLOCK_REALTIME);
}

/* A time of one of these clocks, for pthread_cond_timedwait. */
static inline struct timespec nauha__timespec(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / NAUHA__SECOND_NS),
                             .tv_nsec = (long)(ns % NAUHA__SECOND_NS)};
}

#endif
