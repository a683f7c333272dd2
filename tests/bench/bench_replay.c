/* SPDX-License-Identifier: MIT */
/* What reading a trace costs one processor, step by step: decoding its elements, reading each of
 * them once as well, the norm of every message; and what is left of that where little is asked for.
 *
 * Usage: bench_replay [--rounds N] [--once MEASURE] TRACE...
 *        bench_replay --many N TRACE
 * Measures take turns, and the fastest of their rounds is shown: CPU time, which other programs
 * disturb less than the clock. --once takes one of them and prints its seconds alone; --many writes
 * a trace of N small messages first, and measures opening it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nauha/pipeline.h"
#include "nauha/recorder.h"

struct bench {
    const char *path;
    struct nauha_error err;
    uint64_t messages, bytes;
    uint64_t bits; /* of all elements, so that they are read */
};

static void must(struct bench *bench, enum nauha_status status) {
    if (status == NAUHA_OK)
        return;
    fprintf(stderr, "bench_replay: %s\n", bench->err.message);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
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

/* ---- decoding ---- */

static enum nauha_status pass(void *context, const struct nauha_tensor *piece, uint64_t first,
                              struct nauha_error *err) {
    (void)context;
    (void)piece;
    (void)first;
    (void)err;
    return NAUHA_OK;
}

/* As fast as memory gives them: eight independent sums of eight bytes. */
static enum nauha_status read_once(void *context, const struct nauha_tensor *piece, uint64_t first,
                                   struct nauha_error *err) {
    (void)first;
    (void)err;
    struct bench *bench = context;
    const size_t bytes = (size_t)piece->shape[0] * nauha_dtype_size(piece->dtype);
    const char *data = piece->data;
    uint64_t lanes[8] = {0}, words[8];
    for (size_t i = 0; i + sizeof words <= bytes; i += sizeof words) {
        memcpy(words, data + i, sizeof words);
        for (size_t j = 0; j < 8; j++)
            lanes[j] += words[j];
    }
    for (size_t j = 0; j < 8; j++)
        bench->bits += lanes[j];
    return NAUHA_OK;
}

static void walk(struct bench *bench, nauha_piece_fn fn) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    must(bench, nauha_trace_open(bench->path, names, &trace, &bench->err));
    must(bench, nauha_cursor_new(trace, NULL, &cursor, &bench->err));
    bench->messages = bench->bytes = 0;
    for (;;) {
        const enum nauha_status status = nauha_cursor_next(cursor, &message, &bench->err);
        if (status == NAUHA_END)
            break;
        must(bench, status);
        const struct nauha_message_info *info = nauha_message_info(message);
        bench->messages++;
        if (!info->has_tensor)
            continue;
        must(bench, nauha_message_for_each_piece(message, fn, bench, &bench->err));
        bench->bytes += info->bytes;
    }
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void decode(struct bench *bench) {
    walk(bench, pass);
}

static void decode_and_read(struct bench *bench) {
    walk(bench, read_once);
}

/* ---- metrics ---- */

/* A metric of every kind of the trace that has tensors: "norm:order=1". */
static void add_for_all(struct bench *bench, struct nauha_pipeline *pipeline,
                        const struct nauha_trace *trace, struct nauha_names *names,
                        const char *metric) {
    char spec[2048] = "";
    const char *keys = strchr(metric, ':');
    char separator = ':';
    size_t length = (size_t)snprintf(spec, sizeof spec, "%.*s", (int)strcspn(metric, ":"), metric);
    for (uint32_t kind = 0; kind < nauha_names_kinds(names); kind++) {
        uint64_t messages = 0, bytes = 0;
        nauha_trace_kind_totals(trace, kind, &messages, &bytes);
        if (bytes == 0)
            continue;
        length += (size_t)snprintf(spec + length, sizeof spec - length, "%c%s", separator,
                                   nauha_names_kind(names, kind));
        separator = ',';
    }
    snprintf(spec + length, sizeof spec - length, "%s", keys ? keys : "");
    must(bench, nauha_pipeline_add_metric(pipeline, spec, &bench->err));
}

/* Metrics with kinds are taken as they are: "mean:loss"; NULL ends the list. */
static void replay(struct bench *bench, const char *const *metrics, const char *key,
                   const char *chosen) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_selector *selector = nauha_selector_new();
    struct nauha_trace *trace = NULL;
    must(bench, nauha_trace_open(bench->path, names, &trace, &bench->err));
    for (; *metrics; metrics++) {
        const char *keys = strchr(*metrics, ':');
        if (keys && !strchr(keys, '='))
            must(bench, nauha_pipeline_add_metric(pipeline, *metrics, &bench->err));
        else
            add_for_all(bench, pipeline, trace, names, *metrics);
    }
    if (key)
        must(bench, nauha_selector_set(selector, key, chosen, &bench->err));
    must(bench, nauha_pipeline_start(pipeline, &bench->err));
    must(bench, nauha_pipeline_replay(pipeline, trace, selector, NULL, NULL, &bench->err));
    must(bench, nauha_pipeline_finish(pipeline, &bench->err));
    nauha_selector_free(selector);
    nauha_pipeline_free(pipeline);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void norms(struct bench *bench) {
    replay(bench, (const char *const[]){"norm", NULL}, NULL, NULL);
}

static void four_norms(struct bench *bench) {
    replay(bench,
           (const char *const[]){"norm", "norm:order=1", "norm:order=inf", "norm:order=0", NULL},
           NULL, NULL);
}

static void statistics(struct bench *bench) {
    replay(
        bench,
        (const char *const[]){"norm", "norm:order=1", "norm:order=inf", "mean", "variance", NULL},
        NULL, NULL);
}

/* ---- little of a trace ---- */

static void open_only(struct bench *bench) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    must(bench, nauha_trace_open(bench->path, names, &trace, &bench->err));
    nauha_trace_close(trace);
    nauha_names_free(names);
}

static void one_kind(struct bench *bench) {
    replay(bench, (const char *const[]){"norm:loss", NULL}, NULL, NULL);
}

static void last_step(struct bench *bench) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_trace_info info;
    char steps[64];
    must(bench, nauha_trace_open(bench->path, names, &trace, &bench->err));
    nauha_trace_get_info(trace, &info);
    const unsigned long long last = info.first_step + (info.steps ? info.steps - 1 : 0);
    nauha_trace_close(trace);
    nauha_names_free(names);
    snprintf(steps, sizeof steps, "%llu:%llu", last, last + 1);
    replay(bench, (const char *const[]){"norm", NULL}, "steps", steps);
}

/* The module whose weights are the smallest. */
static void small_module(struct bench *bench) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    char smallest[512] = "";
    uint64_t bytes = UINT64_MAX, step = UINT64_MAX;
    must(bench, nauha_trace_open(bench->path, names, &trace, &bench->err));
    must(bench, nauha_cursor_new(trace, NULL, &cursor, &bench->err));
    while (nauha_cursor_next(cursor, &message, &bench->err) == NAUHA_OK) {
        const struct nauha_message_info *info = nauha_message_info(message);
        step = step == UINT64_MAX ? info->global_step : step;
        if (info->global_step != step)
            break;
        if (info->kind != NAUHA_KIND_WEIGHTS || info->bytes >= bytes)
            continue;
        bytes = info->bytes;
        snprintf(smallest, sizeof smallest, "%s", info->module_name);
    }
    const bool found = bytes != UINT64_MAX;
    nauha_cursor_free(cursor);
    nauha_trace_close(trace);
    nauha_names_free(names);
    /* Where there are no weights, there is nothing to measure. */
    if (found)
        replay(bench, (const char *const[]){"norm:weights,weight_gradients", NULL}, "modules",
               smallest);
}

/* ---- measuring ---- */

static const struct measure {
    const char *name;
    void (*run)(struct bench *bench);
} measures[] = {
    {"decode", decode},
    {"decode and read", decode_and_read},
    {"norm", norms},
    {"norms of 4 orders", four_norms},
    {"3 norms, mean, variance", statistics},
    {"open", open_only},
    {"the loss alone", one_kind},
    {"a small module", small_module},
    {"the last step", last_step},
};
#define MEASURES (sizeof measures / sizeof *measures)
enum { READ = 1, NORM = 2 };

static double take(const struct measure *measure, struct bench *bench) {
    const double start = now();
    measure->run(bench);
    return now() - start;
}

static int once(const char *name, const char *path) {
    struct bench bench = {.path = path, .err = NAUHA_ERROR_INIT};
    for (size_t i = 0; i < MEASURES; i++) {
        if (strcmp(measures[i].name, name) != 0)
            continue;
        printf("%.6f\n", take(&measures[i], &bench));
        return 0;
    }
    fprintf(stderr, "bench_replay: no measure \"%s\"\n", name);
    return 2;
}

static void compare(const char *path, unsigned rounds) {
    struct bench bench = {.path = path, .err = NAUHA_ERROR_INIT};
    double best[MEASURES];
    for (size_t i = 0; i < MEASURES; i++)
        best[i] = (double)INFINITY;
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < MEASURES; i++)
            best[i] = fmin(best[i], take(&measures[i], &bench));
    }
    printf("%s: %llu messages, %.0f MB\n", path, (unsigned long long)bench.messages,
           (double)bench.bytes / 1e6);
    printf("  %-24s %10s %8s %16s %10s\n", "", "ms of CPU", "GB/s", "decode and read", "norm");
    for (size_t i = 0; i < MEASURES; i++)
        printf("  %-24s %10.1f %8.2f %16.3f %10.4f\n", measures[i].name, best[i] * 1e3,
               (double)bench.bytes / best[i] / 1e9, best[i] / best[READ], best[i] / best[NORM]);
}

/* ---- many messages ---- */

enum { PER_STEP = 200 };

static void write_many(struct bench *bench, unsigned long messages) {
    struct nauha_recorder *recorder = NULL;
    const float data[4] = {1, 2, 3, 4};
    const int64_t shape[] = {4};
    const struct nauha_tensor tensor = {data, NAUHA_DTYPE_F32, 1, shape, NULL, 0};
    uint32_t modules[PER_STEP];
    must(bench, nauha_recorder_open(bench->path, NULL, &recorder, &bench->err));
    for (unsigned i = 0; i < PER_STEP; i++) {
        char name[32];
        snprintf(name, sizeof name, "layers.%u", i);
        must(bench, nauha_names_add_module(nauha_recorder_names(recorder), name, "Linear",
                                           &modules[i], &bench->err));
    }
    for (unsigned long i = 0; i < messages; i += PER_STEP) {
        must(bench, nauha_recorder_begin_step(recorder, NULL, 0, &bench->err));
        for (unsigned j = 0; j < PER_STEP; j++)
            must(bench, nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS, modules[j], 0, 0,
                                               &tensor, &bench->err));
        must(bench, nauha_recorder_end_step(recorder, NULL, 0, &bench->err));
    }
    must(bench, nauha_recorder_close(recorder, &bench->err));
}

static void measure_many(const char *path, unsigned long messages) {
    struct bench bench = {.path = path, .err = NAUHA_ERROR_INIT};
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    struct nauha_trace_info info;
    write_many(&bench, messages);
    const double before = resident_mb(), start = now();
    must(&bench, nauha_trace_open(path, names, &trace, &bench.err));
    const double opened = now();
    nauha_trace_get_info(trace, &info);
    printf("%llu messages: opened in %.1f ms, counted in %.1f ms, with %.1f MB of memory\n",
           (unsigned long long)info.messages, (opened - start) * 1e3, (now() - opened) * 1e3,
           resident_mb() - before);
    nauha_trace_close(trace);
    nauha_names_free(names);
    compare(path, 1);
    unlink(path);
}

int main(int argc, char **argv) {
    unsigned rounds = 3;
    int at = 1;
    if (at + 1 < argc && strcmp(argv[at], "--rounds") == 0) {
        rounds = (unsigned)atoi(argv[at + 1]);
        at += 2;
    }
    if (at + 2 < argc && strcmp(argv[at], "--once") == 0)
        return once(argv[at + 1], argv[at + 2]);
    if (at + 2 < argc && strcmp(argv[at], "--many") == 0) {
        measure_many(argv[at + 2], strtoul(argv[at + 1], NULL, 10));
        return 0;
    }
    for (; at < argc; at++)
        compare(argv[at], rounds);
    return 0;
}
