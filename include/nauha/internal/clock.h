/* SPDX-License-Identifier: MIT */
/* The clocks, in nanoseconds.
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

/* Never runs backwards. Condition variables that are waited on until a moment of it have it as
 * their clock. */
static inline uint64_t nauha__now_ns(void) {
    return nauha__clock_ns(CLOCK_MONOTONIC);
}
/* Since 1970. */
static inline int64_t nauha__wall_ns(void) {
    return (int64_t)nauha__clock_ns(CLOCK_REALTIME);
}

/* A moment as pthread_cond_timedwait takes it. */
static inline struct timespec nauha__timespec(uint64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / NAUHA__SECOND_NS),
                             .tv_nsec = (long)(ns % NAUHA__SECOND_NS)};
}

#endif
