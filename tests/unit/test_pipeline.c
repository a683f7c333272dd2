/* SPDX-License-Identifier: MIT */
/* Pipelines: live and replayed runs write the same bytes, only what is wanted is decoded, and
 * what does not fit together is refused before anything is written. */
#include "tests/unit/directory.h"
#include "tests/unit/trace_fixture.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "nauha/pipeline.h"
#include "replay/trace/parts.h"

#define STEPS 4u
#define ROWS_PER_STEP 11u
#define KEY "global_step,train_step,epoch,rank,tag,module,slot,call,"

static char trace_path[128];
static struct nauha_names *names;
static struct nauha_trace *trace;

/* Four steps of two modules. Norms of the weights of `a` are 5, 10, 15, 20 and of `b` 13, 26,
 * 39, 52; their updates are an eighth of that. Behind batch_finished comes a probe pass of the same
 * step, with weights a hundred times as large, and activations with the tag of the training. */
static void write_trace(void) {
    struct fixture f;
    fixture_new(&f, trace_path, &(struct fixture_options){.method = NAUHA__CODEC_NONE});
    const uint32_t a = fixture_module(&f, "a", "Linear"), b = fixture_module(&f, "b", "Linear");
    const uint32_t probe = fixture_name(&f, NAUHA__TABLE_TAGS, "probe");
    const uint32_t custom = fixture_kind(&f, "temperature", NAUHA_SCOPE_NETWORK, NAUHA_FORM_TENSOR);
    const int64_t two[] = {2};
    fixture_event(&f, NAUHA_KIND_EPOCH_STARTED, 0);
    for (unsigned step = 0; step < STEPS; step++) {
        const float s = (float)(step + 1), loss = 2.0f / s;
        const float wa[] = {3 * s, -4 * s}, wb[] = {5 * s, 12 * s};
        const float ua[] = {0.375f * s, 0.5f * s}, ub[] = {0.625f * s, 1.5f * s};
        const float pa[] = {300 * s, 400 * s};
        fixture_event(&f, NAUHA_KIND_BATCH_STARTED, step);
        fixture_tensor(&f, NAUHA_KIND_LOSS, NAUHA_NONE, step, NAUHA_DTYPE_F32, 0, NULL, &loss);
        fixture_tensor(&f, (enum nauha_kind)custom, NAUHA_NONE, step, NAUHA_DTYPE_F32, 0, NULL, &s);
        fixture_tensor(&f, NAUHA_KIND_WEIGHTS, a, step, NAUHA_DTYPE_F32, 1, two, wa);
        fixture_tensor(&f, NAUHA_KIND_WEIGHTS, b, step, NAUHA_DTYPE_F32, 1, two, wb);
        fixture_tensor(&f, NAUHA_KIND_WEIGHT_UPDATES, a, step, NAUHA_DTYPE_F32, 1, two, ua);
        fixture_tensor(&f, NAUHA_KIND_WEIGHT_UPDATES, b, step, NAUHA_DTYPE_F32, 1, two, ub);
        fixture_tensor(&f, NAUHA_KIND_ACTIVATIONS, a, step, NAUHA_DTYPE_F32, 1, two, wa);
        fixture_event(&f, NAUHA_KIND_BATCH_FINISHED, step);
        fixture_tensor(&f, NAUHA_KIND_ACTIVATIONS, b, step, NAUHA_DTYPE_F32, 1, two,
                       (const float[]){0, 1});
        fixture_index(
            &f, (struct nauha__index_row){
                    .time_ns = 1000 * step,
                    .global_step = step,
                    .train_step = step,
                    .module = a,
                    .shape = fixture_shape(&f, 1, two),
                    .kind = NAUHA_KIND_WEIGHTS,
                    .tag = (uint16_t)probe,
                    .stream = (uint16_t)fixture_stream_of(NAUHA_DTYPE_F32),
                    .dtype = NAUHA_DTYPE_F32,
                    .flags = NAUHA__ROW_DATA,
                    .offset = fixture_put(&f, fixture_stream_of(NAUHA_DTYPE_F32), pa, sizeof pa)});
    }
    fixture_event(&f, NAUHA_KIND_EPOCH_FINISHED, STEPS - 1);
    fixture_close(&f, "");
}

static int setup(void **state) {
    if (directory_setup(state) != 0)
        return -1;
    snprintf(trace_path, sizeof trace_path, "%s/run.h5", directory);
    write_trace();
    names = nauha_names_new();
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_trace_open(trace_path, names, &trace, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return 0;
}

static int teardown(void **state) {
    nauha_trace_close(trace);
    nauha_names_free(names);
    return directory_teardown(state);
}

/* ---- helpers ---- */

static struct nauha_error err;

static void ok(enum nauha_status status) {
    if (status != NAUHA_OK)
        fail_msg("%s", err.message);
}

static const char *read_file(const char *name) {
    static char texts[2][16384];
    static size_t next;
    char *text = texts[next++ % 2];
    FILE *file = fopen(path_of(name), "r");
    if (!file)
        fail_msg("there is no %s", name);
    text[fread(text, 1, sizeof texts[0] - 1, file)] = 0;
    fclose(file);
    return text;
}

/* A pipeline of these metrics, NULL-terminated, writing to directory/sub. */
static struct nauha_pipeline *pipeline_of(const char *const *specs, const char *sub) {
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    assert_non_null(pipeline);
    for (; *specs; specs++)
        ok(nauha_pipeline_add_metric(pipeline, *specs, &err));
    if (sub)
        ok(nauha_pipeline_add_sink(pipeline, "csv", path_of(sub), &err));
    return pipeline;
}

static void replay_to(const char *const *specs, const char *sub, const char *key,
                      const char *value) {
    struct nauha_pipeline *pipeline = pipeline_of(specs, sub);
    struct nauha_selector *selector = nauha_selector_new();
    if (key)
        ok(nauha_selector_set(selector, key, value, &err));
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, selector, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_selector_free(selector);
    nauha_pipeline_free(pipeline);
}

/* Every message of the trace through nauha_pipeline_publish, as a recorder's tap gives them. */
static void live_to(const char *const *specs, const char *sub) {
    struct nauha_pipeline *pipeline = pipeline_of(specs, sub);
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    enum nauha_status status = NAUHA_OK;
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_cursor_new(trace, NULL, &cursor, &err));
    while ((status = nauha_cursor_next(cursor, &message, &err)) == NAUHA_OK)
        ok(nauha_pipeline_publish(pipeline, message, &err));
    assert_int_equal(status, NAUHA_END);
    nauha_cursor_free(cursor);
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_pipeline_free(pipeline);
}

/* ---- runs ---- */

static void test_replay_writes_norms(void **state) {
    (void)state;
    replay_to((const char *[]){"norm:weights", NULL}, "out", NULL, NULL);
    assert_string_equal(read_file("out/weights_norm2.csv"), KEY "value\n"
                                                                "0,0,0,3,default,a,,0,5\n"
                                                                "0,0,0,3,default,b,,0,13\n"
                                                                "1,1,0,3,default,a,,0,10\n"
                                                                "1,1,0,3,default,b,,0,26\n"
                                                                "2,2,0,3,default,a,,0,15\n"
                                                                "2,2,0,3,default,b,,0,39\n"
                                                                "3,3,0,3,default,a,,0,20\n"
                                                                "3,3,0,3,default,b,,0,52\n");
}

static void test_subsample_and_tag(void **state) {
    (void)state;
    replay_to((const char *[]){"norm:weights:subsample=3", NULL}, "out", NULL, NULL);
    assert_string_equal(read_file("out/weights_norm2.csv"), KEY "value\n"
                                                                "0,0,0,3,default,a,,0,5\n"
                                                                "0,0,0,3,default,b,,0,13\n"
                                                                "3,3,0,3,default,a,,0,20\n"
                                                                "3,3,0,3,default,b,,0,52\n");
    replay_to((const char *[]){"norm:weights:tag=probe:subsample=2", NULL}, "out", NULL, NULL);
    assert_string_equal(read_file("out/weights_norm2.csv"), KEY "value\n"
                                                                "0,0,0,3,probe,a,,0,500\n"
                                                                "2,2,0,3,probe,a,,0,1500\n");
}

static void test_selection(void **state) {
    (void)state;
    replay_to((const char *[]){"ratio:weight_updates,weights", NULL}, "out", "steps", "2:3");
    assert_string_equal(read_file("out/weight_updates_weights_ratio.csv"),
                        KEY "value\n"
                            "2,2,0,3,default,a,,0,0.125\n"
                            "2,2,0,3,default,b,,0,0.125\n");
    replay_to((const char *[]){"norm:weights", NULL}, "out", "modules", "b");
    assert_string_equal(read_file("out/weights_norm2.csv"), KEY "value\n"
                                                                "0,0,0,3,default,b,,0,13\n"
                                                                "1,1,0,3,default,b,,0,26\n"
                                                                "2,2,0,3,default,b,,0,39\n"
                                                                "3,3,0,3,default,b,,0,52\n");
    replay_to((const char *[]){"norm:weights", NULL}, "out", "kinds", "weight_updates");
    assert_string_equal(read_file("out/weights_norm2.csv"), KEY "value\n");
}

/* The rows of a file end like this, one after the other. */
static void assert_values(const char *name, const char *const *ends) {
    const char *at = strchr(read_file(name), '\n') + 1;
    for (; *ends; ends++) {
        const char *line_end = strchr(at, '\n');
        assert_non_null(line_end);
        const size_t length = strlen(*ends);
        if (strncmp(line_end + 1 - length, *ends, length) != 0)
            fail_msg("not %s in %s: %.60s", *ends, name, at);
        at = line_end + 1;
    }
    assert_string_equal(at, "");
}

/* A metric that feeds on another sees whole steps: the probe pass behind batch_finished is none
 * of them. The order of the SPECs does not matter. */
static void test_metrics_feed_on_metrics(void **state) {
    (void)state;
    static const char *const specs[] = {"message_mean:weights_norm2", "norm:weights", NULL};
    replay_to(specs, "out", NULL, NULL);
    assert_values("out/weights_norm2_message_mean.csv",
                  (const char *[]){",0,9\n", ",0,18\n", ",0,27\n", ",0,36\n", NULL});
}

/* batch_finished ends a step although no metric asks for it: what comes behind it, of the same
 * step, is no part of the mean. */
static void test_events_end_steps(void **state) {
    (void)state;
    static const char *const specs[] = {"message_mean:activations_norm2", "norm:activations", NULL};
    static const char *const expected[] = {",0,5\n", ",0,1\n",  ",0,10\n", ",0,1\n", ",0,15\n",
                                           ",0,1\n", ",0,20\n", ",0,1\n",  NULL};
    replay_to(specs, "replayed", NULL, NULL);
    assert_values("replayed/activations_norm2_message_mean.csv", expected);
    replay_to(specs, "chosen", "kinds", "activations");
    assert_values("chosen/activations_norm2_message_mean.csv", expected);
    live_to(specs, "live");
    assert_values("live/activations_norm2_message_mean.csv", expected);
}

static void test_live_and_replayed_are_the_same_bytes(void **state) {
    (void)state;
    static const char *const specs[] = {"message_mean:weights_norm2",
                                        "loss",
                                        "norm:weights",
                                        "ratio:weight_updates,weights:subsample=2",
                                        "histogram:weights:bins=4",
                                        "mean:weights:tag=probe",
                                        "norm:temperature",
                                        "message_mean:weights_mean:tag=probe",
                                        NULL};
    static const char *const series[] = {"weights_norm2_message_mean",
                                         "loss",
                                         "weights_norm2",
                                         "weight_updates_weights_ratio",
                                         "weights_histogram",
                                         "weights_mean",
                                         "temperature_norm2",
                                         "weights_mean_message_mean"};
    live_to(specs, "live");
    replay_to(specs, "replayed", NULL, NULL);
    for (size_t i = 0; i < sizeof series / sizeof *series; i++) {
        char live[128], replayed[128];
        snprintf(live, sizeof live, "live/%s.csv", series[i]);
        snprintf(replayed, sizeof replayed, "replayed/%s.csv", series[i]);
        const char *a = read_file(live), *b = read_file(replayed);
        assert_string_equal(a, b);
        size_t rows = 0;
        for (const char *c = a; *c; c++)
            rows += *c == '\n';
        if (rows < 3)
            fail_msg("%s has %zu rows", series[i], rows);
    }
}

struct progress {
    unsigned calls;
    uint64_t done, total;
};

static void count_progress(void *context, uint64_t done, uint64_t total) {
    struct progress *progress = context;
    progress->calls++;
    assert_true(done >= progress->done && done <= total);
    progress->done = done;
    progress->total = total;
}

static void test_only_what_is_wanted_is_decoded(void **state) {
    (void)state;
    struct nauha__chunk_counts counts;
    struct progress progress = {0};
    struct nauha_pipeline *pipeline = pipeline_of((const char *[]){"norm:inputs", NULL}, "out");
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, count_progress, &progress, &err));
    nauha__chunks_get_counts(trace->chunks, &counts);
    assert_int_equal(counts.decoded, 0);
    assert_true(progress.calls >= 1);
    assert_int_equal(progress.done, 2 + STEPS * ROWS_PER_STEP);
    assert_int_equal(progress.total, 2 + STEPS * ROWS_PER_STEP);
    ok(nauha_pipeline_finish(pipeline, &err));
    assert_string_equal(read_file("out/inputs_norm2.csv"), KEY "value\n");
    nauha_pipeline_free(pipeline);
    replay_to((const char *[]){"norm:weights", NULL}, "out", NULL, NULL);
    nauha__chunks_get_counts(trace->chunks, &counts);
    assert_true(counts.decoded > 0);
}

static enum nauha_status count_bundles(void *context, struct nauha_bundle *bundle,
                                       struct nauha_error *error) {
    (void)error;
    *(unsigned *)context += (unsigned)nauha_bundle_count(bundle);
    return NAUHA_OK;
}

static void test_subscriber_of_ones_own(void **state) {
    (void)state;
    unsigned seen = 0;
    static const char *const kinds[] = {"loss"};
    struct nauha_subscriber *mine = nauha_subscriber_from_function("mine", count_bundles, &seen);
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    ok(nauha_bus_subscribe(nauha_pipeline_bus(pipeline), nauha_subscription_new(kinds, 1), mine,
                           &err));
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    assert_int_equal(seen, STEPS);
    nauha_pipeline_free(pipeline);
    nauha_subscriber_free(mine);
}

static void test_report(void **state) {
    (void)state;
    char report[4096] = "";
    struct nauha_pipeline *pipeline =
        pipeline_of((const char *[]){"norm:weights", "norm:inputs", NULL}, "out");
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_pipeline_report(pipeline, collect, report);
    assert_has(report, "/out/weights_norm2.csv: 8 rows\n");
    assert_has(report, "inputs_norm2: no messages\n");
    nauha_pipeline_free(pipeline);
}

/* ylims= and log= reach the pictures. */
static void test_gnuplot_sink(void **state) {
    (void)state;
    if (system("gnuplot --version >/dev/null 2>&1") != 0)
        skip();
    struct nauha_pipeline *pipeline =
        pipeline_of((const char *[]){"norm:weights:ylims=1:100:log=1", NULL}, NULL);
    ok(nauha_pipeline_add_sink(pipeline, "gnuplot", path_of("out"), &err));
    ok(nauha_pipeline_add_sink(pipeline, "csv", path_of("out"), &err));
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_pipeline_free(pipeline);
    const char *script = read_file("out/weights_norm2.gp");
    assert_has(script, "set yrange [1:100]\n");
    assert_has(script, "set logscale y\n");
    assert_has(script, "title 'b'");
    assert_has(read_file("out/weights_norm2.csv"), "3,3,0,3,default,b,,0,52\n");
    assert_int_equal(access(path_of("out/weights_norm2.svg"), F_OK), 0);
    assert_int_equal(access(path_of("out/weights_norm2.png"), F_OK), 0);
}

/* ---- refusals ---- */

static void refuse_start(const char *const *specs, enum nauha_status code, const char *words) {
    struct nauha_pipeline *pipeline = pipeline_of(specs, "refused");
    assert_int_equal(nauha_pipeline_start(pipeline, &err), code);
    assert_has(err.message, words);
    assert_int_equal(nauha_pipeline_finish(pipeline, &err), NAUHA_STATE);
    assert_string_equal(err.message, "cannot finish after the pipeline has failed");
    nauha_pipeline_free(pipeline);
    assert_int_not_equal(access(path_of("refused"), F_OK), 0);
}

static void test_two_metrics_of_one_series(void **state) {
    (void)state;
    refuse_start((const char *[]){"norm:weights", "norm:weights:subsample=10", NULL}, NAUHA_INVALID,
                 "metric \"norm:weights:subsample=10\": metrics \"norm:weights\" and "
                 "\"norm:weights:subsample=10\" both write the series \"weights_norm2\"");
    refuse_start((const char *[]){"loss", "loss", NULL}, NAUHA_INVALID,
                 "both write the series \"loss\"");
}

static void test_unknown_kinds(void **state) {
    (void)state;
    refuse_start((const char *[]){"norm:wieghts", NULL}, NAUHA_UNKNOWN,
                 "metric \"norm:wieghts\": there is no kind \"wieghts\" (did you mean "
                 "\"weights\"?); kinds: batch_started, ");
    assert_null(strstr(err.message, "wieghts_norm2"));
    refuse_start((const char *[]){"message_mean:weights_norm2", NULL}, NAUHA_UNKNOWN,
                 "no kind \"weights_norm2\" (did you mean \"wieghts_norm2\"?); kinds: ");
}

static void test_unknown_metrics_and_sinks(void **state) {
    (void)state;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "nrom:weights", &err), NAUHA_UNKNOWN);
    assert_has(err.message, "there is no metric \"nrom\" (did you mean \"norm\"?); metrics: ");
    assert_has(err.message, "norm");
    assert_int_equal(nauha_pipeline_add_sink(pipeline, "cvs", directory, &err), NAUHA_UNKNOWN);
    assert_has(err.message,
               "there is no sink \"cvs\" (did you mean \"csv\"?); sinks: csv, gnuplot");
    for (const char *const *sink = nauha_pipeline_sinks(); *sink; sink++)
        assert_has(strstr(err.message, "sinks: "), *sink);
    assert_int_equal(nauha_pipeline_add_sink(pipeline, "gnuplot", NULL, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "sink \"gnuplot\" needs a directory to write to");
    nauha_pipeline_free(pipeline);
    nauha_pipeline_free(NULL);
    assert_string_equal(nauha_pipeline_sinks()[0], "csv");
    assert_string_equal(nauha_pipeline_sinks()[1], "gnuplot");
}

static void test_calls_out_of_order(void **state) {
    (void)state;
    struct nauha_pipeline *pipeline = pipeline_of((const char *[]){"loss", NULL}, "out");
    assert_int_equal(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err), NAUHA_STATE);
    assert_string_equal(err.message, "cannot replay before the pipeline has started");
    assert_int_equal(nauha_pipeline_finish(pipeline, &err), NAUHA_STATE);
    ok(nauha_pipeline_start(pipeline, &err));
    assert_int_equal(nauha_pipeline_start(pipeline, &err), NAUHA_STATE);
    assert_string_equal(err.message, "cannot start while the pipeline is running");
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "loss", &err), NAUHA_STATE);
    assert_int_equal(nauha_pipeline_add_sink(pipeline, "csv", NULL, &err), NAUHA_STATE);
    assert_string_equal(err.message, "cannot add a sink while the pipeline is running");
    ok(nauha_pipeline_finish(pipeline, &err));
    assert_int_equal(nauha_pipeline_finish(pipeline, &err), NAUHA_STATE);
    assert_string_equal(err.message, "cannot finish after the pipeline has finished");
    nauha_pipeline_free(pipeline);
}

static void test_selection_of_what_is_not_there(void **state) {
    (void)state;
    struct nauha_pipeline *pipeline = pipeline_of((const char *[]){"loss", NULL}, NULL);
    struct nauha_selector *selector = nauha_selector_new();
    ok(nauha_selector_set(selector, "kinds", "wieghts", &err));
    ok(nauha_pipeline_start(pipeline, &err));
    assert_int_equal(nauha_pipeline_replay(pipeline, trace, selector, NULL, NULL, &err),
                     NAUHA_UNKNOWN);
    assert_has(err.message, "wieghts");
    nauha_selector_free(selector);
    nauha_pipeline_free(pipeline);
}

static void test_failing_disk_stops_the_run(void **state) {
    (void)state;
    struct rlimit limit, small;
    struct nauha_pipeline *pipeline = pipeline_of((const char *[]){"norm:weights", NULL}, ".");
    ok(nauha_pipeline_start(pipeline, &err));
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 10;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0); /* as a full disk */
    enum nauha_status status = nauha_pipeline_finish(pipeline, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(status, NAUHA_IO);
    assert_has(err.message, "weights_norm2.csv.partial\": File too large");
    nauha_pipeline_free(pipeline);
}

/* ---- a metric that fails ---- */

struct told {
    unsigned times;
    bool goes_on;
    char text[1024];
};

static bool on_failure(void *context, const char *text) {
    struct told *told = context;
    told->times++;
    snprintf(told->text, sizeof told->text, "%s", text);
    return told->goes_on;
}

/* An event has no elements. */
static const char *const failing[] = {"variance:batch_finished", "norm:weights", NULL};
#define FAILURE                                                                                    \
    "failed at step 0, \"batch_finished\" of the network: message \"batch_finished\" is an event " \
    "and has no tensor"

static void test_a_metric_that_fails(void **state) {
    (void)state;
    struct told told = {.goes_on = true};
    char lines[2048] = "";
    struct nauha_metric_info info;
    replay_to((const char *[]){"norm:weights", NULL}, "alone", NULL, NULL);
    struct nauha_pipeline *pipeline = pipeline_of(failing, "beside");
    nauha_pipeline_on_failure(pipeline, on_failure, &told);
    ok(nauha_pipeline_start(pipeline, &err));
    assert_int_equal(nauha_pipeline_failures(pipeline, collect, lines), 0);
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    assert_int_equal(nauha_pipeline_failures(pipeline, collect, lines), 1);
    assert_string_equal(lines, "metric \"variance:batch_finished\" " FAILURE "\n");
    assert_int_equal(told.times, 1);
    assert_string_equal(told.text, "metric \"variance:batch_finished\" " FAILURE);
    assert_true(nauha_pipeline_metric(pipeline, 0, &info));
    assert_string_equal(info.failure, FAILURE);
    assert_true(nauha_pipeline_metric(pipeline, 1, &info));
    assert_null(info.failure);
    nauha_pipeline_free(pipeline);
    assert_string_equal(read_file("beside/weights_norm2.csv"),
                        read_file("alone/weights_norm2.csv"));
    assert_string_equal(read_file("beside/batch_finished_variance.csv"), KEY "value\n");
}

static void test_a_failure_that_ends_the_run(void **state) {
    (void)state;
    struct told told = {.goes_on = false};
    struct nauha_pipeline *pipeline = pipeline_of(failing, "ended");
    nauha_pipeline_on_failure(pipeline, on_failure, &told);
    ok(nauha_pipeline_start(pipeline, &err));
    assert_int_equal(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err), NAUHA_INVALID);
    assert_has(err.message, "subscriber \"variance:batch_finished\": message \"batch_finished\"");
    assert_int_equal(nauha_pipeline_finish(pipeline, &err), NAUHA_STATE);
    nauha_pipeline_free(pipeline);
}

/* ---- an analyzer of the program's own ---- */

static const struct nauha_host *count_host;
static uint32_t count_topic;

static enum nauha_status count_create(const struct nauha_host *host,
                                      const struct nauha_analyzer_config *config, void **self,
                                      struct nauha_error *error) {
    (void)config;
    count_host = host;
    *self = &count_topic;
    return host->register_topic(host, "elements", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, NULL,
                                &count_topic, error);
}

static enum nauha_status count_compute(void *self, struct nauha_bundle *bundle,
                                       struct nauha_error *error) {
    (void)self;
    const struct nauha_message_info *info = count_host->info(count_host->bundle_message(bundle, 0));
    return count_host->publish_scalar(count_host, count_topic, info,
                                      (double)info->bytes / (double)nauha_dtype_size(info->dtype),
                                      error);
}

static void count_destroy(void *self) {
    (void)self;
}

static const struct nauha_analyzer count_analyzer = {.abi = NAUHA_ANALYZER_ABI,
                                                     .size = sizeof(struct nauha_analyzer),
                                                     .name = "elements",
                                                     .summary = "counts elements",
                                                     .formula = "n",
                                                     .min_kinds = 1,
                                                     .max_kinds = 1,
                                                     .create = count_create,
                                                     .compute = count_compute,
                                                     .destroy = count_destroy};

static void test_analyzer_of_ones_own(void **state) {
    (void)state;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    const char *series = NULL, *tag = NULL;
    ok(nauha_pipeline_add_analyzer(pipeline, &count_analyzer, &err));
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &count_analyzer, &err), NAUHA_INVALID);
    assert_has(err.message, "the analyzer \"elements\" exists already");
    assert_int_equal(nauha_pipeline_add_metric(pipeline, "nonsense:weights", &err), NAUHA_UNKNOWN);
    assert_has(err.message, "elements");
    ok(nauha_pipeline_add_metric(pipeline, "elements:weights", &err));
    ok(nauha_pipeline_add_metric(pipeline, "message_mean:elements", &err));
    ok(nauha_pipeline_add_sink(pipeline, "csv", directory, &err));
    ok(nauha_pipeline_start(pipeline, &err));
    assert_int_equal(nauha_pipeline_topics(pipeline), 2);
    assert_string_equal(nauha_names_kind(names, nauha_pipeline_topic(pipeline, 0, &series, &tag)),
                        "elements");
    assert_string_equal(series, "elements");
    assert_string_equal(tag, "default");
    assert_int_equal(nauha_pipeline_topic(pipeline, 2, &series, &tag), NAUHA_NONE);
    ok(nauha_pipeline_replay(pipeline, trace, NULL, NULL, NULL, &err));
    ok(nauha_pipeline_finish(pipeline, &err));
    nauha_pipeline_free(pipeline);
    assert_int_equal(access(path_of("elements.csv"), R_OK), 0);
    assert_int_equal(access(path_of("elements_message_mean.csv"), R_OK), 0);
}

static void test_analyzers_that_do_not_fit(void **state) {
    (void)state;
    struct nauha_pipeline *pipeline = nauha_pipeline_new(names);
    struct nauha_analyzer wrong = count_analyzer;
    wrong.abi++;
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_VERSION);
    assert_has(err.message, "the analyzer has ABI 2");
    wrong = count_analyzer;
    wrong.size += sizeof(void *);
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_VERSION);
    wrong = count_analyzer;
    wrong.size--;
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_INVALID);
    wrong = count_analyzer;
    wrong.size = offsetof(struct nauha_analyzer, lost) - sizeof(void *);
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_INVALID);
    wrong = count_analyzer;
    wrong.name = "a:b";
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_INVALID);
    wrong = count_analyzer;
    wrong.compute = NULL;
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_INVALID);
    wrong = count_analyzer;
    wrong.name = "norm";
    assert_int_equal(nauha_pipeline_add_analyzer(pipeline, &wrong, &err), NAUHA_INVALID);
    wrong = count_analyzer;
    wrong.size = offsetof(struct nauha_analyzer, lost); /* as it was at first */
    ok(nauha_pipeline_add_analyzer(pipeline, &wrong, &err));
    assert_true(nauha_pipeline_has_analyzer(pipeline, &wrong));
    assert_false(nauha_pipeline_has_analyzer(pipeline, &count_analyzer));
    nauha_pipeline_free(pipeline);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_replay_writes_norms),
    RUN(test_subsample_and_tag),
    RUN(test_selection),
    RUN(test_metrics_feed_on_metrics),
    RUN(test_events_end_steps),
    RUN(test_live_and_replayed_are_the_same_bytes),
    RUN(test_only_what_is_wanted_is_decoded),
    RUN(test_subscriber_of_ones_own),
    RUN(test_analyzer_of_ones_own),
    RUN(test_analyzers_that_do_not_fit),
    RUN(test_report),
    RUN(test_gnuplot_sink),
    RUN(test_two_metrics_of_one_series),
    RUN(test_unknown_kinds),
    RUN(test_unknown_metrics_and_sinks),
    RUN(test_calls_out_of_order),
    RUN(test_selection_of_what_is_not_there),
    RUN(test_failing_disk_stops_the_run),
    RUN(test_a_metric_that_fails),
    RUN(test_a_failure_that_ends_the_run),
};

UNIT_MAIN(tests)
