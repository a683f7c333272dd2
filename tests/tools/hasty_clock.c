/* SPDX-License-Identifier: MIT */
/* A library to preload: each reading of the monotonic clock is a second later than the one before,
 * so that whatever a program does takes it long, however fast the machine is.
 *
 * Threads: any thread.
 */
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *time) {
    static atomic_long readings;
    const long failed = syscall(SYS_clock_gettime, clock, time);
    if (failed == 0 && clock == CLOCK_MONOTONIC)
        time->tv_sec += atomic_fetch_add(&readings, 1);
    return (int)failed;
}
