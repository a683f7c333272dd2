/* SPDX-License-Identifier: MIT */
/* What publishing costs the training's thread through the C API: time for each small message, at
 * growing numbers of messages and of modules; the copy of large tensors beside a plain memcpy; and
 * the memory that all of it takes.
 *
 * Argument: where the trace is written (default: a file in /tmp).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "nauha/recorder.h"

enum { SMALL = 16, LARGE = 1 << 20, LARGE_MESSAGES = 2000, PER_STEP = 500, BUFFER_MB = 64 };

struct bench {
    const char *path;
    struct nauha_recorder *recorder;
    struct nauha_error err;
    uint32_t *modules;
    size_t module_count;
};

static void must(struct bench *bench, enum nauha_status status) {
    if (status == NAUHA_OK)
        return;
    fprintf(stderr, "bench_publish: %s\n", bench->err.message);
    unlink(bench->path);
    exit(1);
}

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double resident_mb(void) {
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void open_bench(struct bench *bench, size_t modules) {
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    char buffer[16];
    snprintf(buffer, sizeof buffer, "%dM", BUFFER_MB);
    unlink(bench->path);
    must(bench, nauha_recorder_config_set(config, "buffer", buffer, &bench->err));
    must(bench, nauha_recorder_open(bench->path, config, &bench->recorder, &bench->err));
    nauha_recorder_config_free(config);
    bench->modules = calloc(modules, sizeof *bench->modules);
    bench->module_count = modules;
    for (size_t i = 0; i < modules; i++) {
        char name[32];
        snprintf(name, sizeof name, "layers.%zu", i);
        must(bench, nauha_names_add_module(nauha_recorder_names(bench->recorder), name, "Linear",
                                           &bench->modules[i], &bench->err));
    }
}

static void close_bench(struct bench *bench) {
    must(bench, nauha_recorder_close(bench->recorder, &bench->err));
    free(bench->modules);
    unlink(bench->path);
}

static void publish(struct bench *bench, size_t i, const struct nauha_tensor *tensor) {
    if (i % PER_STEP == 0)
        must(bench, nauha_recorder_begin_step(bench->recorder, NULL, 0, &bench->err));
    must(bench, nauha_recorder_publish(bench->recorder, NAUHA_KIND_ACTIVATIONS,
                                       bench->modules[i % bench->module_count], 0, 0, tensor,
                                       &bench->err));
}

static void small(struct bench *bench, size_t messages, size_t modules) {
    float values[SMALL];
    const int64_t shape[] = {SMALL};
    const struct nauha_tensor tensor = {.data = values, .ndim = 1, .shape = shape};
    for (int i = 0; i < SMALL; i++)
        values[i] = (float)(i + 1) / 3;
    double before = resident_mb();
    open_bench(bench, modules);
    double wall = now(CLOCK_MONOTONIC), thread = now(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < messages; i++)
        publish(bench, i, &tensor);
    thread = now(CLOCK_THREAD_CPUTIME_ID) - thread;
    wall = now(CLOCK_MONOTONIC) - wall;
    double resident = resident_mb() - before;
    printf("%10zu %8zu %14.2f %14.2f %12.0f\n", messages, modules, thread / (double)messages * 1e6,
           wall / (double)messages * 1e6, resident);
    fflush(stdout);
    close_bench(bench);
}

/* Thread time of publishing large tensors, and of memcpy of the same into as much memory as the
 * buffer has, block by block. */
static void large(struct bench *bench) {
    enum { SOURCES = 32, BLOCK = 256 * 1024, ROOM = BUFFER_MB << 20 };
    float *sources = malloc((size_t)SOURCES * LARGE);
    char *room = malloc(ROOM);
    const int64_t shape[] = {LARGE / sizeof(float)};
    uint64_t seed = 42;
    for (size_t i = 0; i < (size_t)SOURCES * LARGE / sizeof(float); i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sources[i] = (float)(int64_t)seed * 1e-19f;
    }
    memset(room, 1, ROOM);
    open_bench(bench, 1);
    double copied = 0, published = 0;
    for (size_t i = 0, at = 0; i < LARGE_MESSAGES; i++) {
        const char *source = (const char *)sources + i % SOURCES * LARGE;
        if (i % SOURCES == 0) /* what is measured is the copy, not the wait for a full buffer */
            must(bench, nauha_recorder_flush(bench->recorder, &bench->err));
        double begin = now(CLOCK_THREAD_CPUTIME_ID);
        for (size_t done = 0; done < LARGE; done += BLOCK, at = (at + BLOCK) % ROOM)
            memcpy(room + at, source + done, BLOCK);
        double middle = now(CLOCK_THREAD_CPUTIME_ID);
        publish(bench, i,
                &(struct nauha_tensor){.data = sources + (i + SOURCES / 2) % SOURCES *
                                                             (LARGE / sizeof(float)),
                                       .ndim = 1,
                                       .shape = shape});
        copied += middle - begin;
        published += now(CLOCK_THREAD_CPUTIME_ID) - middle;
    }
    printf("tensors of 1 MB: memcpy %.0f us, publish %.0f us of the thread's time: %.2f\n",
           copied / LARGE_MESSAGES * 1e6, published / LARGE_MESSAGES * 1e6, published / copied);
    close_bench(bench);
    free(sources);
    free(room);
}

int main(int argc, char **argv) {
    char fallback[64];
    snprintf(fallback, sizeof fallback, "/tmp/nauha-bench-%d.h5", (int)getpid());
    struct bench bench = {.path = argc > 1 ? argv[1] : fallback};
    printf("messages of %zu bytes, buffer %d MB\n%10s %8s %14s %14s %12s\n", SMALL * sizeof(float),
           BUFFER_MB, "messages", "modules", "thread us each", "wall us each", "memory MB");
    small(&bench, 10000, 10); /* the first recording of a process also loads what it needs */
    for (size_t messages = 10000; messages <= 10000000; messages *= 10)
        small(&bench, messages, 10);
    small(&bench, 1000000, 5000);
    large(&bench);
    return 0;
}
