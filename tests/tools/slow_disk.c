/* SPDX-License-Identifier: MIT */
/* Preloaded into a program: a disk that takes NAUHA_SLOW_DISK megabytes a second. What is written
 * at once beyond that waits until it would be written, as on a disk without a page cache.
 *
 * Threads: any thread.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

/* Smaller writes, such as those of a terminal, are left alone. */
#define LEAST 65536u

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Waits until the disk has taken these bytes after all those before. */
static void take(size_t bytes) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static double free_at;
    const char *rate = getenv("NAUHA_SLOW_DISK");
    const double speed = rate ? atof(rate) * 1e6 : 0;
    if (bytes < LEAST || speed <= 0)
        return;
    pthread_mutex_lock(&lock);
    const double now = seconds();
    free_at = (free_at > now ? free_at : now) + (double)bytes / speed;
    const double wait = free_at - now;
    pthread_mutex_unlock(&lock);
    nanosleep(&(struct timespec){(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)}, NULL);
}

__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *bytes, size_t count,
                                                      off_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next)
        next = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    take(count);
    return next(fd, bytes, count, offset);
}

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *bytes, size_t count,
                                                        off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}
