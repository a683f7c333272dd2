/* SPDX-License-Identifier: MIT */
/* Replays on several threads: what is published, in which order, reported and refused is what one
 * thread publishes, reports and refuses. */
#include "tests/unit/directory.h"
#include "tests/unit/trace_fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "nauha/pipeline.h"

#define STEPS 12u
#define MODULES 5u
#define ELEMENTS 700u
#define DAMAGED_STEP 7u
#define DAMAGED_ROW_STEP 9u

static char paths[2][128];
static struct nauha_error err;

static void ok(enum nauha_status status) {
    if (status != NAUHA_OK)
        fail_msg("%s", err.message);
}

/* ---- traces ---- */

static void tensor_of(float *values, uint32_t rank, unsigned kind, unsigned module, unsigned step) {
    for (unsigned i = 0; i < ELEMENTS; i++)
        values[i] = (float)(1 + rank) + 16.0f * (float)kind + 256.0f * (float)module +
                    4096.0f * (float)step + (float)(i % 7) / 8;
}

/* Tensors that lie across chunks, of modules in another order each step; module 3 has no biases,
 * and module 1 none in step 4. */
static void write_trace(const char *path, uint32_t rank) {
    struct fixture f;
    fixture_new(&f, path,
                &(struct fixture_options){.method = NAUHA__CODEC_NONE, .chunk_bytes = 4096});
    hid_t attribute = H5Aopen(f.file, "rank", H5P_DEFAULT);
    assert_true(H5Awrite(attribute, H5T_NATIVE_UINT32, &rank) >= 0);
    H5Aclose(attribute);
    uint32_t modules[MODULES];
    const int64_t dims[] = {ELEMENTS};
    for (unsigned i = 0; i < MODULES; i++) {
        char name[16];
        snprintf(name, sizeof name, "layer.%u", i);
        modules[i] = fixture_module(&f, name, "Linear");
    }
    static const enum nauha_kind kinds[] = {NAUHA_KIND_WEIGHTS, NAUHA_KIND_BIASES,
                                            NAUHA_KIND_ACTIVATIONS};
    float values[ELEMENTS];
    for (unsigned step = 0; step < STEPS; step++) {
        const float loss = 1.0f / (float)(step + 1);
        fixture_event(&f, NAUHA_KIND_BATCH_STARTED, step);
        fixture_tensor(&f, NAUHA_KIND_LOSS, NAUHA_NONE, step, NAUHA_DTYPE_F32, 0, NULL, &loss);
        for (unsigned kind = 0; kind < 3; kind++)
            for (unsigned i = 0; i < MODULES; i++) {
                const unsigned module = (i + step) % MODULES;
                if (kind == 1 && (module == 3 || (module == 1 && step == 4)))
                    continue;
                tensor_of(values, rank, kind, module, step);
                fixture_tensor(&f, kinds[kind], modules[module], step, NAUHA_DTYPE_F32, 1, dims,
                               values);
            }
        if (step % 3 != 2) /* else the next step's first message ends it */
            fixture_event(&f, NAUHA_KIND_BATCH_FINISHED, step);
    }
    fixture_close(&f, "");
}

/* A chunk of the first trace, and a row of its index. */
static void damage(void) {
    float values[ELEMENTS];
    tensor_of(values, 0, 0, 2, DAMAGED_STEP);
    fixture_flip_at(paths[0], values, 64, 0, 3);
    const uint64_t stamps[] = {1000 * DAMAGED_ROW_STEP, DAMAGED_ROW_STEP}; /* time and step */
    fixture_flip_at(paths[0], stamps, sizeof stamps, 2, sizeof stamps);
}

static int setup(void **state) {
    if (directory_setup(state) != 0)
        return -1;
    for (uint32_t rank = 0; rank < 2; rank++) {
        snprintf(paths[rank], sizeof paths[0], "%s/rank%u.h5", directory, rank);
        write_trace(paths[rank], rank);
    }
    return 0;
}

/* ---- an analyzer that shows where it runs ---- */

static pthread_t main_thread;
static atomic_uint instances, calls_elsewhere, calls_here;
static atomic_uint fails_at_step;    /* of layer.2; UINT_MAX: never */
static atomic_bool fails_everywhere; /* of every layer */

struct probe {
    const struct nauha_host *host;
    uint32_t scalar, histogram;
};

static enum nauha_status probe_create(const struct nauha_host *host,
                                      const struct nauha_analyzer_config *config, void **self,
                                      struct nauha_error *error) {
    (void)config;
    struct probe *probe = calloc(1, sizeof *probe);
    assert_non_null(probe);
    probe->host = host;
    enum nauha_status status = host->register_topic(host, "probe", NAUHA_SCOPE_MODULE,
                                                    NAUHA_FORM_SCALAR, NULL, &probe->scalar, error);
    if (status == NAUHA_OK)
        status = host->register_topic(host, "probe_bins", NAUHA_SCOPE_MODULE, NAUHA_FORM_HISTOGRAM,
                                      NULL, &probe->histogram, error);
    instances++;
    *self = probe;
    return status;
}

/* Publishes twice and then a histogram; fails after the first publication where it is told to. */
static enum nauha_status probe_compute(void *self, struct nauha_bundle *bundle,
                                       struct nauha_error *error) {
    struct probe *probe = self;
    const struct nauha_host *host = probe->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    if (pthread_equal(pthread_self(), main_thread))
        calls_here++;
    else
        calls_elsewhere++;
    enum nauha_status status = host->stats(message, &stats, error);
    if (status == NAUHA_OK)
        status = host->publish_scalar(host, probe->scalar, info, stats->sum, error);
    if (status == NAUHA_OK && info->global_step == fails_at_step &&
        (fails_everywhere || strcmp(info->module_name, "layer.2") == 0))
        status = nauha_error_set(error, NAUHA_LIMIT, "%s is enough", info->module_name);
    if (status == NAUHA_OK)
        status = host->publish_scalar(host, probe->scalar, info, stats->max, error);
    const double edges[] = {0, 0.5, stats ? stats->max : 0, 1e9};
    const uint64_t counts[] = {info->seq, 2, 3};
    if (status == NAUHA_OK)
        status = host->publish_histogram(host, probe->histogram, info, edges, counts, 3, error);
    return status;
}

static enum nauha_status probe_finish(void *self, struct nauha_error *error) {
    (void)self;
    (void)error;
    return NAUHA_OK;
}

static struct nauha_analyzer probe_analyzer(uint32_t flags, bool finishes) {
    return (struct nauha_analyzer){
        .abi = NAUHA_ANALYZER_ABI,
        .size = sizeof(struct nauha_analyzer),
        .name = "probe",
        .summary = "shows where it runs",
        .formula = "none",
        .flags = flags,
        .min_kinds = 1,
        .max_kinds = 4,
        .create = probe_create,
        .compute = probe_compute,
        .finish = finishes ? probe_finish : NULL,
        .destroy = free,
    };
}

/* ---- runs ---- */

/* Everything that one run shows. */
struct shown {
    char *text;
    size_t size;
    FILE *file;
};

static enum nauha_status show(void *context, struct nauha_bundle *bundle,
                              struct nauha_error *error) {
    struct shown *shown = context;
    struct nauha_message *message = nauha_bundle_message(bundle, 0);
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    double values[9] = {0};
    enum nauha_status status = nauha_message_tensor(message, &tensor, error);
    if (status != NAUHA_OK)
        return status;
    const size_t count = info->bytes / sizeof(double);
    nauha_tensor_to_f64(&tensor, 0, count, values);
    fprintf(shown->file,
            "%" PRIu64 " %s %" PRIu64 "/%" PRIu32 " rank %" PRIu32 " %s[%s] \"%s\":", info->seq,
            info->kind_name, info->global_step, info->train_step, info->rank, info->module_name,
            info->module_class, info->tag_name);
    for (size_t i = 0; i < count; i++)
        fprintf(shown->file, " %.17g", values[i]);
    fputc('\n', shown->file);
    return NAUHA_OK;
}

static void show_line(void *context, const char *text) {
    const struct shown *shown = context;
    fprintf(shown->file, "%s\n", text);
}

struct plan {
    const char *const *specs; /* NULL-terminated */
    const struct nauha_analyzer *analyzer;
    size_t traces;
    const char *key, *value; /* of the selector; NULL: everything */
    bool strict;
    const struct nauha_processes *processes;
};

static struct nauha_subscriber *show_all(struct nauha_pipeline *pipeline, struct shown *shown) {
    struct nauha_subscriber *subscriber = nauha_subscriber_from_function("show", show, shown);
    const char *series, *tag;
    for (size_t i = 0; i < nauha_pipeline_topics(pipeline); i++) {
        const uint32_t kind = nauha_pipeline_topic(pipeline, i, &series, &tag);
        struct nauha_bus *bus = nauha_pipeline_bus(pipeline);
        const char *name = nauha_names_kind(nauha_bus_names(bus), kind);
        ok(nauha_bus_subscribe(bus, nauha_subscription_new(&name, 1), subscriber, &err));
    }
    return subscriber;
}

/* What is published, in order, the error where there is one, the failures and the report. Caller
 * frees. */
static char *run(const struct plan *plan, uint32_t workers) {
    struct shown shown = {0};
    struct nauha_trace *traces[2];
    struct nauha_names *names = nauha_names_new();
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_selector *selector = nauha_selector_new();
    shown.file = open_memstream(&shown.text, &shown.size);
    if (!plan->processes) {
        instances = calls_here = calls_elsewhere = 0;
        main_thread = pthread_self();
    }
    for (size_t i = 0; i < plan->traces; i++)
        ok(nauha_trace_open(paths[i], names, &traces[i], &err));
    if (plan->analyzer)
        ok(nauha_pipeline_add_analyzer(pipeline, plan->analyzer, &err));
    for (const char *const *spec = plan->specs; *spec; spec++)
        ok(nauha_pipeline_add_metric(pipeline, *spec, &err));
    if (plan->key)
        ok(nauha_selector_set(selector, plan->key, plan->value, &err));
    nauha_bus_set_strict(nauha_pipeline_bus(pipeline), plan->strict);
    nauha_pipeline_set_workers(pipeline, workers);
    nauha_pipeline_set_processes(pipeline, plan->processes);
    ok(nauha_pipeline_start(pipeline, &err));
    struct nauha_subscriber *subscriber = show_all(pipeline, &shown);
    struct nauha_error failure = NAUHA_ERROR_INIT;
    enum nauha_status status =
        nauha_pipeline_replay_ranks(pipeline, traces, plan->traces, selector, NULL, NULL, &failure);
    if (status == NAUHA_OK && !(plan->processes && plan->processes->rank > 0))
        status = nauha_pipeline_finish(pipeline, &failure);
    if (status != NAUHA_OK)
        fprintf(shown.file, "error %d: %s\n", (int)status, failure.message);
    nauha_pipeline_failures(pipeline, show_line, &shown);
    nauha_pipeline_report(pipeline, show_line, &shown);
    nauha_pipeline_free(pipeline);
    nauha_subscriber_free(subscriber);
    nauha_selector_free(selector);
    for (size_t i = 0; i < plan->traces; i++)
        nauha_trace_close(traces[i]);
    nauha_names_free(names);
    fclose(shown.file);
    return shown.text;
}

/* The same for every number of workers; returns what one thread shows. Caller frees. */
static char *same_for_all(const struct plan *plan) {
    char *alone = run(plan, 1);
    assert_int_equal(calls_elsewhere, 0);
    for (uint32_t workers = 2; workers <= 16; workers *= 2) {
        char *together = run(plan, workers);
        assert_string_equal(together, alone);
        free(together);
    }
    return alone;
}

/* ---- tests ---- */

static const char *const many[] = {"norm:weights",
                                   "ratio:biases,weights",
                                   "histogram:activations:bins=3",
                                   "mean:weights,activations",
                                   "loss",
                                   "norm:activations:subsample=3:order=1",
                                   "message_mean:biases_weights_ratio",
                                   "variance:loss",
                                   NULL};

static void test_the_same_rows_in_the_same_order(void **state) {
    (void)state;
    for (size_t traces = 1; traces <= 2; traces++) {
        char *text = same_for_all(&(struct plan){.specs = many, .traces = traces});
        assert_has(text, "biases_weights_ratio_message_mean");
        assert_has(text, " of module \"layer.1\" dropped, without \"biases\"");
        free(text);
    }
}

static void test_selections(void **state) {
    (void)state;
    free(same_for_all(
        &(struct plan){.specs = many, .traces = 2, .key = "modules", .value = "layer.1,layer.3"}));
    free(
        same_for_all(&(struct plan){.specs = many, .traces = 2, .key = "steps", .value = "3:9:2"}));
    free(same_for_all(&(struct plan){.specs = many, .traces = 2, .key = "rank", .value = "1"}));
}

static void test_workers_compute(void **state) {
    (void)state;
    const struct nauha_analyzer analyzer = probe_analyzer(NAUHA_ANALYZER_PER_MODULE, false);
    fails_at_step = UINT32_MAX;
    const struct plan plan = {.specs = (const char *const[]){"probe:weights,activations", NULL},
                              .analyzer = &analyzer,
                              .traces = 1};
    free(same_for_all(&plan));
    free(run(&plan, 3));
    assert_int_equal(calls_here, 0);
    assert_int_equal(calls_elsewhere, 2 * STEPS * MODULES);
    assert_int_equal(instances, 1 + 3);
}

/* Kinds that a metric takes one by one can be had by more threads than there are modules. */
static void test_kinds_are_shared_out(void **state) {
    (void)state;
    fails_at_step = UINT32_MAX;
    for (unsigned per_kind = 0; per_kind < 2; per_kind++) {
        const struct nauha_analyzer analyzer = probe_analyzer(
            NAUHA_ANALYZER_PER_MODULE | (per_kind ? NAUHA_ANALYZER_PER_KIND : 0), false);
        const struct plan plan = {.specs = (const char *const[]){"probe:weights,activations", NULL},
                                  .analyzer = &analyzer,
                                  .traces = 1};
        free(same_for_all(&plan));
        free(run(&plan, 2 * MODULES));
        assert_int_equal(instances, 1 + (1 + per_kind) * MODULES);
        assert_int_equal(calls_elsewhere, 2 * STEPS * MODULES);
    }
}

/* One that looks at all modules together, or has something to say at the end, is one instance. */
static void test_others_run_where_they_did(void **state) {
    (void)state;
    fails_at_step = UINT32_MAX;
    for (int finishes = 0; finishes < 2; finishes++) {
        const struct nauha_analyzer analyzer =
            probe_analyzer(finishes ? NAUHA_ANALYZER_PER_MODULE : 0, finishes);
        const struct plan plan = {.specs =
                                      (const char *const[]){"probe:weights", "norm:weights", NULL},
                                  .analyzer = &analyzer,
                                  .traces = 1};
        free(same_for_all(&plan));
        free(run(&plan, 4));
        assert_int_equal(calls_here, STEPS * MODULES);
        assert_int_equal(calls_elsewhere, 0);
        assert_int_equal(instances, 1);
    }
}

static size_t count_of(const char *text, const char *words) {
    size_t count = 0;
    while ((text = strstr(text, words)) != NULL) {
        count++;
        text += strlen(words);
    }
    return count;
}

static void test_a_failing_analyzer(void **state) {
    (void)state;
    const struct nauha_analyzer analyzer = probe_analyzer(NAUHA_ANALYZER_PER_MODULE, false);
    struct plan plan = {.specs = (const char *const[]){"norm:weights", "probe:weights", NULL},
                        .analyzer = &analyzer,
                        .traces = 2};
    fails_at_step = 5;
    char *text = same_for_all(&plan);
    assert_has(text, "\nmetric \"probe:weights\" failed at step 5, \"weights\" of module "
                     "\"layer.2\": layer.2 is enough\n");
    assert_int_equal(count_of(text, " weights_norm2 "), 2 * STEPS * MODULES);
    /* Steps 0 to 4 of both ranks; of rank 0 also layer.0, layer.1 and half of layer.2. */
    assert_int_equal(count_of(text, " probe_bins "), 2 * 5 * MODULES + 2);
    assert_int_equal(count_of(text, " probe "), 2 * (2 * 5 * MODULES + 2) + 1);
    free(text);
    plan.strict = true;
    text = same_for_all(&plan);
    assert_has(text, "\nerror 11: subscriber \"probe:weights\": layer.2 is enough\n");
    assert_null(strstr(text, "failed"));
    free(text);
}

/* Each worker's instance fails by itself, and only the first failure counts. */
static void test_all_instances_fail(void **state) {
    (void)state;
    const struct nauha_analyzer analyzer = probe_analyzer(NAUHA_ANALYZER_PER_MODULE, false);
    fails_at_step = 5;
    fails_everywhere = true;
    char *text = same_for_all(
        &(struct plan){.specs = (const char *const[]){"probe:weights", "norm:weights", NULL},
                       .analyzer = &analyzer,
                       .traces = 2});
    fails_everywhere = false;
    assert_has(text, "failed at step 5, \"weights\" of module \"layer.0\": layer.0 is enough\n");
    assert_int_equal(count_of(text, "failed"), 1);
    assert_int_equal(count_of(text, " weights_norm2 "), 2 * STEPS * MODULES);
    assert_int_equal(count_of(text, " probe_bins "), 2 * 5 * MODULES);
    free(text);
}

static void test_damage(void **state) {
    (void)state;
    damage();
    char *text = same_for_all(&(struct plan){.specs = many, .traces = 2});
    assert_has(text, "\n4 damaged messages were left out:\n"); /* three lie in the chunk */
    assert_has(text, "index row");
    assert_has(text, "does not match its checksum");
    free(text);
    text = same_for_all(
        &(struct plan){.specs = (const char *const[]){"norm:weights", "mean:activations", NULL},
                       .traces = 2,
                       .strict = true});
    assert_has(text, "does not match its checksum");
    assert_null(strstr(text, "left out"));
    free(text);
}

static void test_strict_bundles(void **state) {
    (void)state;
    char *text = same_for_all(&(struct plan){.specs = many, .traces = 2, .strict = true});
    assert_has(text, "bundle of module \"layer.1\" in step 4 was incomplete, without \"biases\"");
    free(text);
}

/* The paths are gone by the time more handles are wanted: one thread does it all. */
static void test_traces_that_cannot_be_opened_again(void **state) {
    (void)state;
    struct nauha_names *names = nauha_names_new();
    struct nauha_trace *trace = NULL;
    const struct nauha_analyzer analyzer = probe_analyzer(NAUHA_ANALYZER_PER_MODULE, false);
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    fails_at_step = UINT32_MAX;
    calls_here = calls_elsewhere = 0;
    main_thread = pthread_self();
    ok(nauha_trace_open(paths[0], names, &trace, &err));
    unlink(paths[0]);
    ok(nauha_pipeline_add_analyzer(pipeline, &analyzer, &err));
    ok(nauha_pipeline_add_metric(pipeline, "probe:weights", &err));
    nauha_pipeline_set_workers(pipeline, 4);
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    assert_int_equal(calls_here, STEPS * MODULES);
    assert_int_equal(calls_elsewhere, 0);
    nauha_pipeline_free(pipeline);
    nauha_trace_close(trace);
    nauha_names_free(names);
}

/* ---- processes: threads that share nothing but pipes ---- */

#define PROCESSES 4u

struct process {
    struct nauha_processes processes;
    int pipes[PROCESSES][2]; /* to process 0, by sender */
    unsigned char *bytes[PROCESSES];
    struct plan plan;
    char *shown;
};

/* False: nobody reads any more. */
static bool write_all(int file, const void *bytes, size_t size) {
    for (const char *at = bytes; size > 0;) {
        const ssize_t written = write(file, at, size);
        if (written <= 0)
            return false;
        at += written;
        size -= (size_t)written;
    }
    return true;
}

static void read_all(int file, void *bytes, size_t size) {
    for (char *at = bytes; size > 0;) {
        const ssize_t got = read(file, at, size);
        assert_true(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

static enum nauha_status pipe_send(void *context, const void *bytes, size_t size,
                                   struct nauha_error *error) {
    struct process *process = context;
    const int file = process->pipes[process->processes.rank][1];
    return write_all(file, &size, sizeof size) && write_all(file, bytes, size)
               ? NAUHA_OK
               : nauha_error_set(error, NAUHA_IO, "process 0 has gone");
}

static enum nauha_status pipe_receive(void *context, uint32_t from, const unsigned char **bytes,
                                      size_t *size, struct nauha_error *error) {
    (void)error;
    struct process *process = context;
    read_all(process->pipes[from][0], size, sizeof *size);
    free(process->bytes[from]);
    process->bytes[from] = malloc(*size ? *size : 1);
    read_all(process->pipes[from][0], process->bytes[from], *size);
    *bytes = process->bytes[from];
    return NAUHA_OK;
}

static void *run_process(void *context) {
    struct process *process = context;
    process->plan.processes = &process->processes;
    process->shown = run(&process->plan, 1);
    return NULL;
}

/* What process 0 of so many shows, the last of which may have a plan of its own. Caller frees. */
static char *run_processes(const struct plan *plan, uint32_t count, const struct plan *last) {
    struct process processes[PROCESSES] = {0};
    pthread_t threads[PROCESSES];
    int pipes[PROCESSES][2];
    signal(SIGPIPE, SIG_IGN);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(pipe(pipes[i]), 0);
    for (uint32_t i = 0; i < count; i++) {
        processes[i].processes =
            (struct nauha_processes){i, count, &processes[i], pipe_send, pipe_receive};
        memcpy(processes[i].pipes, pipes, sizeof pipes);
        processes[i].plan = i == count - 1 ? *last : *plan;
    }
    for (uint32_t i = 1; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_process, &processes[i]), 0);
    run_process(&processes[0]);
    for (uint32_t i = 0; i < count; i++) /* whoever still sends is told that nobody reads */
        close(pipes[i][0]);
    for (uint32_t i = 1; i < count; i++) {
        pthread_join(threads[i], NULL);
        free(processes[i].shown);
    }
    for (uint32_t i = 0; i < count; i++) {
        close(pipes[i][1]);
        for (uint32_t j = 0; j < count; j++)
            free(processes[i].bytes[j]);
    }
    return processes[0].shown;
}

static void test_processes(void **state) {
    (void)state;
    damage();
    const struct plan plan = {.specs = many, .traces = 2};
    char *alone = run(&plan, 1);
    for (uint32_t count = 1; count <= PROCESSES; count++) {
        char *together = run_processes(&plan, count, &plan);
        assert_string_equal(together, alone);
        free(together);
    }
    free(alone);
}

static void test_processes_that_do_not_agree(void **state) {
    (void)state;
    const struct plan plan = {.specs = (const char *const[]){"norm:weights", NULL}, .traces = 2};
    const struct plan fewer = {.specs = plan.specs, .traces = 1};
    char *text = run_processes(&plan, 3, &fewer);
    assert_has(text, "process 2 does not replay the same traces and metrics as process 0");
    free(text);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, directory_teardown)
static const struct CMUnitTest tests[] = {
    RUN(test_the_same_rows_in_the_same_order),
    RUN(test_selections),
    RUN(test_workers_compute),
    RUN(test_kinds_are_shared_out),
    RUN(test_others_run_where_they_did),
    RUN(test_a_failing_analyzer),
    RUN(test_all_instances_fail),
    RUN(test_damage),
    RUN(test_strict_bundles),
    RUN(test_traces_that_cannot_be_opened_again),
    RUN(test_processes),
    RUN(test_processes_that_do_not_agree),
};

UNIT_MAIN(tests)
