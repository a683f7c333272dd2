/* SPDX-License-Identifier: MIT */
/* The program as a function, with metrics that its host finds: here in C, in the Python package in
 * Python. */
#include "tests/unit/directory.h"
#include "tests/unit/recorded.h"

#include <signal.h>

#include "nauha/pipeline.h"
#include "tools/cli/program.h"

#define STEPS 4u

/* ---- a metric: the value of a scalar, times a key ---- */

struct times {
    const struct nauha_host *host;
    int64_t by;
    uint32_t topic;
};

static unsigned instances;

static enum nauha_status times_create(const struct nauha_host *host,
                                      const struct nauha_analyzer_config *config, void **self,
                                      struct nauha_error *err) {
    struct times *times = calloc(1, sizeof *times);
    char name[64];
    assert_non_null(times);
    times->host = host;
    times->by = config->values[0].integer;
    *self = times;
    instances++;
    snprintf(name, sizeof name, "%s_times_%d", config->kinds[0], (int)times->by);
    return host->register_topic(host, name, NAUHA_SCOPE_NETWORK, NAUHA_FORM_SCALAR, NULL,
                                &times->topic, err);
}

static enum nauha_status times_compute(void *self, struct nauha_bundle *bundle,
                                       struct nauha_error *err) {
    struct times *times = self;
    const struct nauha_host *host = times->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = nauha_message_stats(message, &stats, err);
    return status == NAUHA_OK ? host->publish_scalar(host, times->topic, host->info(message),
                                                     stats->sum * (double)times->by, err)
                              : status;
}

static void times_destroy(void *self) {
    free(self);
    instances--;
}

static const struct nauha_analyzer_parameter times_keys[] = {
    {"by", NAUHA_PARAMETER_INTEGER, "2", 0, 100, "what to multiply with"}};

static const struct nauha_analyzer times_analyzer = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "Times",
    .summary = "multiplies",
    .formula = "x * by",
    .min_kinds = 1,
    .max_kinds = 1,
    .parameters = times_keys,
    .parameter_count = 1,
    .create = times_create,
    .compute = times_compute,
    .destroy = times_destroy,
};

/* ---- the host ---- */

struct host {
    const struct nauha_analyzer *found;
    enum nauha_status fails; /* where nothing is found */
    unsigned asked;
    char last[256];
};

static const struct nauha_analyzer *find(void *context, const char *spec, struct nauha_error *err) {
    struct host *host = context;
    host->asked++;
    snprintf(host->last, sizeof host->last, "%s", spec);
    if (host->fails != NAUHA_OK)
        nauha_error_set(err, host->fails, "the module has no such class");
    return host->found;
}

static int run_as(struct host *host, const char *const *words) {
    char *argv[24] = {"nauha", "replay", recorded_path, "-q", "--sink", "csv", "-o", directory};
    int argc = 8;
    const struct nauha_python python = {.find = find, .context = host};
    for (; *words; words++)
        argv[argc++] = (char *)*words;
    return nauha_main(argc, argv, &python);
}

#define RUN_AS(host, ...) run_as(host, (const char *const[]){__VA_ARGS__, NULL})

/* The last column of a series, as text with spaces. */
static const char *values_of(const char *series) {
    static char text[512];
    char path[160], line[256];
    snprintf(path, sizeof path, "%s/%s.csv", directory, series);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("no file %s", path);
    text[0] = '\0';
    for (unsigned row = 0; fgets(line, sizeof line, file); row++) {
        line[strcspn(line, "\n")] = '\0';
        if (row > 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? " " : "",
                     strrchr(line, ',') + 1);
    }
    fclose(file);
    return text;
}

static int setup(void **state) {
    recorded_setup(state);
    if (directory_setup(state) != 0)
        return -1;
    struct nauha_recorder *recorder = recorded_open(NULL);
    struct nauha_error err = NAUHA_ERROR_INIT;
    for (unsigned step = 0; step < STEPS; step++) {
        const float value = (float)(step + 1);
        const struct nauha_tensor loss = {.data = &value, .dtype = NAUHA_DTYPE_F32};
        must(nauha_recorder_begin_step(recorder, NULL, 0, &err), &err);
        publish(recorder, NAUHA_KIND_LOSS, NAUHA_NONE, &loss);
        must(nauha_recorder_end_step(recorder, NULL, 0, &err), &err);
    }
    close_recorder(recorder);
    return 0;
}

static int teardown(void **state) {
    assert_int_equal(instances, 0);
    return directory_teardown(state) | recorded_teardown(state);
}

/* ---- tests ---- */

static void test_a_class_is_a_metric(void **state) {
    (void)state;
    struct host host = {&times_analyzer, NAUHA_OK, 0, ""};
    assert_int_equal(RUN_AS(&host, "--metric", "some/my_module.py:Times:loss:by=3:subsample=2"), 0);
    assert_int_equal(host.asked, 1);
    assert_string_equal(host.last, "some/my_module.py:Times:loss:by=3:subsample=2");
    assert_string_equal(values_of("loss_times_3"), "3 9");
}

/* One descriptor, an instance for each SPEC; what is built in goes with it, and feeds on it. */
static void test_a_class_named_twice(void **state) {
    (void)state;
    struct host host = {&times_analyzer, NAUHA_OK, 0, ""};
    assert_int_equal(RUN_AS(&host, "-m", "my_module.py:Times:loss", "-m", "loss", "-m",
                            "my_module.py:Times:loss_times_2:by=10"),
                     0);
    assert_int_equal(host.asked, 2);
    assert_string_equal(values_of("loss_times_2"), "2 4 6 8");
    assert_string_equal(values_of("loss_times_2_times_10"), "20 40 60 80");
    assert_string_equal(values_of("loss"), "1 2 3 4");
}

static void test_what_is_no_class(void **state) {
    (void)state;
    struct host host = {NULL, NAUHA_UNKNOWN, 0, ""};
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Nope:loss"), 2);
    host.fails = NAUHA_IO;
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Nope:loss"), 3);
    host.fails = NAUHA_OK;
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Nope:loss"), 3);
    assert_int_equal(host.asked, 3);
}

static void test_classes_that_do_not_fit(void **state) {
    (void)state;
    struct nauha_analyzer wrong = times_analyzer;
    struct host host = {&wrong, NAUHA_OK, 0, ""};
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Times:loss:of=3"), 2);
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Times"), 2);
    wrong.name = "norm";
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:norm:loss"), 2);
    wrong.name = "Times";
    wrong.abi++;
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Times:loss"), 3);
}

/* Only what the SPEC begins with is a file. */
static void test_other_specs_are_not_asked_for(void **state) {
    (void)state;
    struct host host = {NULL, NAUHA_UNKNOWN, 0, ""};
    assert_int_equal(RUN_AS(&host, "--metric", "loss"), 0);
    assert_int_equal(RUN_AS(&host, "--metric", "loss:tag=a.py:log=1"), 0);
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py"), 2);
    assert_int_equal(RUN_AS(&host, "--metric", ".py:Times:loss"), 2);
    assert_int_equal(host.asked, 0);
}

/* Python's handler only takes a note, and the replay would go on. */
static void note(int number) {
    (void)number;
}

static void test_interrupts_end_a_hosted_program(void **state) {
    (void)state;
    struct host host = {&times_analyzer, NAUHA_OK, 0, ""};
    signal(SIGINT, note);
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Times:loss"), 0);
    assert_ptr_equal(signal(SIGINT, SIG_IGN), SIG_DFL);
    assert_int_equal(RUN_AS(&host, "--metric", "my_module.py:Times:loss"), 0);
    assert_ptr_equal(signal(SIGINT, SIG_DFL), SIG_IGN);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    RUN(test_a_class_is_a_metric),
    RUN(test_a_class_named_twice),
    RUN(test_what_is_no_class),
    RUN(test_classes_that_do_not_fit),
    RUN(test_other_specs_are_not_asked_for),
    RUN(test_interrupts_end_a_hosted_program),
};

UNIT_MAIN(tests)
