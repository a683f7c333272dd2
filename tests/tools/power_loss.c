/* SPDX-License-Identifier: MIT */
/* A library to preload: notes what a program does to one file, in a log from which the states can
 * be made that a loss of power may leave; see tests/integration/test_power_loss.py.
 *
 * NAUHA_POWER_LOSS_FILE: the file; NAUHA_POWER_LOSS_LOG: the log, of records
 *   kind u8 ('w'rite, 't'runcate, 's'ync done, 'o'utput: what the program said), offset u64,
 *   bytes u64, then that many bytes of data for 'w' and 'o'
 *
 * Threads: any thread; the log has the order in which the calls returned.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static struct {
    ssize_t (*pwrite)(int fd, const void *data, size_t bytes, off_t offset);
    ssize_t (*write)(int fd, const void *data, size_t bytes);
    int (*ftruncate)(int fd, off_t length);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    long (*sysconf)(int name);
} real;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *watched;
static int log_fd = -1;

static void begin(void) {
    static const struct {
        const char *name;
        void *function;
    } calls[] = {{"pwrite", &real.pwrite},       {"write", &real.write},
                 {"ftruncate", &real.ftruncate}, {"fdatasync", &real.fdatasync},
                 {"fsync", &real.fsync},         {"sysconf", &real.sysconf}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *found = dlsym(RTLD_NEXT, calls[i].name);
        if (!found)
            abort();
        memcpy(calls[i].function, &found, sizeof found);
    }
    const char *log = getenv("NAUHA_POWER_LOSS_LOG");
    watched = getenv("NAUHA_POWER_LOSS_FILE");
    if (log && watched)
        log_fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

static void put(const void *data, size_t bytes) {
    for (const char *from = data; bytes > 0;) {
        ssize_t done = real.write(log_fd, from, bytes);
        if (done < 0)
            abort();
        from += done;
        bytes -= (size_t)done;
    }
}

static void note(char kind, uint64_t offset, const void *data, size_t bytes) {
    pthread_mutex_lock(&lock);
    put(&kind, sizeof kind);
    put(&offset, sizeof offset);
    put(&(uint64_t){bytes}, sizeof(uint64_t));
    put(data, bytes);
    pthread_mutex_unlock(&lock);
}

/* By what it is, not by its name: descriptors are duplicated, and a trace is set up as .untrained.
 */
static int is_watched(int fd) {
    struct stat here, there;
    char untrained[4096];
    pthread_once(&once, begin);
    if (log_fd < 0 || fstat(fd, &here) != 0)
        return 0;
    snprintf(untrained, sizeof untrained, "%s.untrained", watched);
    return (stat(untrained, &there) == 0 || stat(watched, &there) == 0) &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* A machine without memory for a page cache: the recorder writes past it from the start. */
EXPORTED long sysconf(int name) {
    pthread_once(&once, begin);
    return name == _SC_PHYS_PAGES ? 0 : real.sysconf(name);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
    int wanted = is_watched(fd);
    ssize_t done = real.pwrite(fd, data, bytes, offset);
    if (wanted && done > 0)
        note('w', (uint64_t)offset, data, (size_t)done);
    return done;
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t offset) {
    return pwrite(fd, data, bytes, offset);
}

EXPORTED ssize_t write(int fd, const void *data, size_t bytes) {
    pthread_once(&once, begin);
    off_t offset = is_watched(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t done = real.write(fd, data, bytes);
    if (offset >= 0 && done > 0)
        note('w', (uint64_t)offset, data, (size_t)done);
    else if (log_fd >= 0 && fd == STDOUT_FILENO && done > 0)
        note('o', 0, data, (size_t)done);
    return done;
}

EXPORTED int ftruncate(int fd, off_t length) {
    int wanted = is_watched(fd);
    int status = real.ftruncate(fd, length);
    if (wanted && status == 0)
        note('t', (uint64_t)length, NULL, 0);
    return status;
}

EXPORTED int ftruncate64(int fd, off_t length) {
    return ftruncate(fd, length);
}

EXPORTED int fdatasync(int fd) {
    int wanted = is_watched(fd);
    int status = real.fdatasync(fd);
    if (wanted && status == 0)
        note('s', 0, NULL, 0);
    return status;
}

EXPORTED int fsync(int fd) {
    int wanted = is_watched(fd);
    int status = real.fsync(fd);
    if (wanted && status == 0)
        note('s', 0, NULL, 0);
    return status;
}
