/* SPDX-License-Identifier: MIT */
/* nauha train: runs and records the built-in training. Only this file loads the module with
 * libtorch for it. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/output.h"
#include "nauha/recorder.h"
#include "nauha/selector.h"
#include "tools/commands/estimate.h"
#include "tools/commands/metrics.h"
#include "tools/cli/module.h"
#include "tools/cli/path.h"
#include "tools/commands/recording.h"
#include "tools/commands/rules.h"
#include "tools/cli/terminal.h"
#include "tools/train/train.h"

#define MODULE "nauha_train.so"

static const struct nauha_option train_output_table[] = {
    {"output", 'o', "TRACE", NULL, "write the trace to this file"},
    {"estimate", 0, "STEPS", NULL,
     "do not record; train STEPS steps and print what recording would cost"},
    {"metric", 0, "SPEC", NULL, "compute this metric during the training; may be repeated"},
    {"live", 0, "DIR", NULL,
     "write the series of --metric to this directory; they include messages that are not recorded"},
    {"sink", 0, "SINK[,SINK]", "csv,gnuplot with --live, else csv", "formats of the series"},
    {"rule", 0, "SPEC", NULL, "check this health rule during the training; may be repeated"},
    {"stop-on", 0, "RULE[,RULE]", NULL,
     "end the training when one of these rules finds something; a rule has its default thresholds "
     "unless --rule sets them"},
};
OPTION_GROUP(train_output_options, "Output", train_output_table);

/* Set by the signal handler, which can reach nothing else. */
static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
    stop_signal = number;
}

static volatile sig_atomic_t dump_asked;

static void on_dump_signal(int number) {
    (void)number;
    dump_asked = 1;
}

/* Takes the place of a signal number if a health rule ended the training. */
enum { STOP_BY_RULE = -1 };

struct session {
    const struct invocation *invocation;
    struct nauha_recorder_config *config;
    struct nauha_recorder *recorder;
    struct nauha_pipeline *pipeline;
    struct progress progress;
    char stopped_by[64]; /* a rule of --stop-on that has a finding */
    const char *trace;   /* NULL: nothing is stored */
};

/* ---- the module ---- */

static nauha_train_run_fn find_training(void) {
    void *symbol = nauha__module_symbol(MODULE, NAUHA_TRAIN_SYMBOL, "train");
    nauha_train_run_fn run;
    memcpy(&run, &symbol, sizeof run);
    return run;
}

/* ---- options ---- */

/* Passes each option to the table to which it belongs. */
static enum nauha_status take_options(const struct invocation *invocation, struct session *session,
                                      struct nauha_train_options *options,
                                      struct nauha_error *err) {
    size_t training_count;
    const struct nauha_option *training = nauha_train_option_table(&training_count);
    enum nauha_status status = nauha__check_recorded_kinds(invocation, err);
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        const struct given *given = &invocation->given[i];
        const char *name = given->option->name;
        if (given->option >= training && given->option < training + training_count)
            status = nauha_train_options_set(options, name, given->value, err);
        else if (strcmp(name, "keep") == 0 && strcmp(given->value, "proof") == 0)
            status = nauha_error_set(err, NAUHA_INVALID,
                                     "--keep proof is for trainings in Python: nauha record, or "
                                     "nauha.Exporter(keep=\"proof\")");
        else if (nauha__is_recording_option(given->option))
            status = nauha_recorder_config_set(session->config, name, given->value, err);
    }
    return status;
}

static enum nauha_status describe_number(struct nauha_recorder_config *config, const char *key,
                                         double value, struct nauha_error *err) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    return nauha_recorder_config_describe(config, key, text, err);
}

/* Facts about what is trained, and how to repeat it. */
static enum nauha_status describe(const struct invocation *invocation, struct session *session,
                                  const struct nauha_train_options *options,
                                  struct nauha_error *err) {
    struct nauha_recorder_config *config = session->config;
    char command[8192] = "nauha";
    for (int i = 0; i < invocation->argc; i++) {
        size_t used = strlen(command);
        snprintf(command + used, sizeof command - used, " %s", invocation->argv[i]);
    }
    enum nauha_status status = nauha_recorder_config_describe(
        config, "model", nauha_train_model_name(options->model), err);
    if (status == NAUHA_OK)
        status = nauha_recorder_config_describe(config, "dataset",
                                                nauha_train_dataset_name(options->dataset), err);
    if (status == NAUHA_OK)
        status = nauha_recorder_config_describe(
            config, "optimizer", nauha_train_optimizer_name(options->optimizer), err);
    if (status == NAUHA_OK)
        status = describe_number(config, "learning rate", options->learning_rate, err);
    if (status == NAUHA_OK)
        status = describe_number(config, "batch size", (double)options->batch_size, err);
    if (status == NAUHA_OK)
        status = describe_number(config, "seed", (double)options->seed, err);
    if (status == NAUHA_OK)
        status = nauha_recorder_config_describe(config, "command", command, err);
    return status;
}

/* ---- while it trains ---- */

static void on_progress(void *context, const struct nauha_train_progress *now) {
    struct session *session = context;
    char extra[128];
    snprintf(extra, sizeof extra, "  loss %.4f, accuracy %.1f %%", nauha__printable(now->loss),
             100 * nauha__printable(now->accuracy));
    nauha__progress_show(&session->progress, now->step, now->steps, extra);
    if (dump_asked && session->recorder) {
        dump_asked = 0;
        nauha_recorder_dump(session->recorder, "SIGUSR1", NULL);
    }
}

static void on_notice(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "nauha: %s\n", text);
}

/* Called in the thread of the training. */
static void on_finding(void *context, const struct nauha_finding *finding) {
    struct session *session = context;
    char reason[128];
    snprintf(reason, sizeof reason, "rule %s", finding->rule);
    nauha_recorder_dump(session->recorder, reason, NULL); /* if there is a flight recorder */
    if (session->stopped_by[0] || !nauha__rules_stop_on(session->invocation, finding->rule))
        return;
    snprintf(session->stopped_by, sizeof session->stopped_by, "%s", finding->rule);
    if (!stop_signal)
        stop_signal = STOP_BY_RULE;
}

static bool checks_rules(const struct invocation *invocation) {
    return nauha__has(invocation, "rule") || nauha__has(invocation, "stop-on");
}

/* ---- the summary ---- */

static void print_summary(const struct nauha_train_result *result, const char *trace,
                          const struct nauha_recorder_stats *stats) {
    char a[32], b[32], c[32];
    fprintf(stderr, "%" PRIu64 " steps in %s, loss %.4f", result->steps,
            nauha__duration_text(result->seconds, a), nauha__printable(result->loss));
    if (!isnan(result->accuracy))
        fprintf(stderr, ", training accuracy %.1f %%", 100 * result->accuracy);
    if (!isnan(result->test_accuracy))
        fprintf(stderr, ", test accuracy %.1f %%", 100 * result->test_accuracy);
    fprintf(stderr, "\n");
    if (!trace)
        return;
    fprintf(stderr, "%s: %s messages, %s published, %s stored", trace,
            nauha__count_text(stats->messages, a), nauha__size_text(stats->bytes_published, b),
            nauha__size_text(stats->bytes_stored, c));
    if (stats->messages_lost)
        fprintf(stderr, "; %s messages, %s, lost", nauha__count_text(stats->messages_lost, a),
                nauha__size_text(stats->bytes_lost, b));
    fprintf(stderr, "\n");
}

/* Reports the new name of an older trace. */
static void tell_older(const struct session *session) {
    const char *older = nauha_recorder_older(session->recorder);
    if (older && !session->invocation->quiet)
        fprintf(stderr, "nauha: the previous trace is kept as %s\n", older);
}

/* ---- putting it together ---- */

static enum nauha_status describe_pipeline(const struct session *session, struct nauha_error *err) {
    const char *key, *value;
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0;
         status == NAUHA_OK && nauha_recorder_config_fact(session->config, i, &key, &value); i++)
        status = nauha_pipeline_describe(session->pipeline, key, value, err);
    return status;
}

/* Opens the recording and the live metrics after the training has been checked. */
static enum nauha_status begin(void *context, struct nauha_recorder **recorder,
                               struct nauha_error *err) {
    struct session *session = context;
    const struct invocation *invocation = session->invocation;
    const char *trace = session->trace;
    bool live = nauha__has(invocation, "metric") || checks_rules(invocation);
    if (!trace && !live)
        return NAUHA_OK;
    enum nauha_status status = nauha_recorder_open(trace, session->config, &session->recorder, err);
    *recorder = session->recorder;
    if (status != NAUHA_OK || !live)
        return status;
    session->pipeline = nauha_pipeline_new(nauha_recorder_names(session->recorder));
    if (!session->pipeline)
        return nauha_error_nomem(err);
    nauha_pipeline_on_finding(session->pipeline, on_finding, session);
    status = describe_pipeline(session, err);
    if (status == NAUHA_OK)
        status = nauha__metrics_start(session->pipeline, invocation,
                                      nauha__get(invocation, "live", NULL), err);
    if (status == NAUHA_OK)
        status =
            nauha_recorder_tap(session->recorder, nauha_pipeline_publish, session->pipeline, err);
    return status;
}

/* Prints the findings of the rules, and whether one ended the training. Returns an exit code. */
static int tell_findings(const struct session *session) {
    if (!session->pipeline || nauha_pipeline_findings(session->pipeline) == 0)
        return EXIT_FINE;
    nauha__findings_print(stderr, session->pipeline);
    if (session->stopped_by[0])
        fprintf(stderr, "nauha: ended by the rule %s\n", session->stopped_by);
    return EXIT_FINDING;
}

/* Closes the recording and, if the training succeeded, finishes the live metrics. */
static int close_session(struct session *session, const struct invocation *invocation,
                         const struct nauha_train_result *result, bool trained) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder_stats stats = {0};
    int code = EXIT_FINE;
    /* The pipeline borrows the names of the recorder, so it is freed first. */
    if (session->pipeline && trained)
        code = nauha__metrics_finish(session->pipeline, invocation);
    if (code == EXIT_FINE && checks_rules(invocation))
        code = tell_findings(session);
    if (session->pipeline)
        code = nauha__metrics_tell_failures(session->pipeline, code);
    nauha_pipeline_free(session->pipeline);
    if (session->recorder) {
        nauha__progress_begin(&session->progress, "", "", invocation->quiet);
        nauha__progress_say(&session->progress, "writing the rest of the trace");
        nauha_recorder_flush(session->recorder, NULL);
        nauha_recorder_get_stats(session->recorder, &stats);
        tell_older(session);
        if (nauha_recorder_close(session->recorder, &err) != NAUHA_OK)
            code = EXIT_FAILED;
        nauha__progress_end(&session->progress);
    }
    if (trained && !invocation->quiet)
        print_summary(result, nauha__get(invocation, "output", NULL), &stats);
    if (err.code != NAUHA_OK)
        fprintf(stderr, "nauha: %s is not complete: %s\n", session->trace, err.message);
    return code;
}

static int train(const struct invocation *invocation, struct session *session,
                 struct nauha_train_options *options, nauha_train_run_fn run) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_train_result result = {0};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (nauha__has(invocation, "flight"))
        sigaction(SIGUSR1,
                  &(struct sigaction){.sa_handler = on_dump_signal, .sa_flags = SA_RESTART}, NULL);
    nauha__progress_begin(&session->progress, "training", "steps", invocation->quiet);
    bool trained = run(options, &result, &err) == NAUHA_OK;
    nauha__progress_end(&session->progress);
    int code = trained ? EXIT_FINE : nauha__fail(&err);
    int closed = close_session(session, invocation, &result, trained);
    code = code != EXIT_FINE ? code : closed;
    if (stop_signal > 0 && code != EXIT_USAGE && code != EXIT_FAILED) {
        fprintf(stderr, "nauha: ended by signal %d; the recording is complete up to here\n",
                (int)stop_signal);
        code = 128 + stop_signal;
    }
    return code;
}

/* The recording must not replace the files of the data set. */
static enum nauha_status check_trace(const char *trace, const struct nauha_recorder_config *config,
                                     const char *data, struct nauha_error *err) {
    enum nauha_status status = nauha__recording_check(trace, config, NULL, 0, err);
    struct dirent *entry;
    DIR *folder = opendir(data);
    while (status == NAUHA_OK && folder && (entry = readdir(folder))) {
        char path[4096 + sizeof entry->d_name];
        const char *const input = path;
        nauha__write_path(path, sizeof path, data, "%s", entry->d_name);
        const struct nauha_output_request spared = {trace, .inputs = &input, .input_count = 1};
        status = nauha_output_check(&spared, err);
    }
    if (folder)
        closedir(folder);
    return status;
}

static int run_session(const struct invocation *invocation, const char *trace, uint64_t estimate) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_train_options options;
    struct session session = {
        .invocation = invocation, .config = nauha_recorder_config_new(), .trace = trace};
    nauha_train_options_init(&options);
    options.begin = begin;
    options.stop = &stop_signal;
    options.progress = on_progress;
    options.notice = invocation->quiet ? NULL : on_notice;
    options.context = &session;
    enum nauha_status status = session.config ? take_options(invocation, &session, &options, &err)
                                              : nauha_error_nomem(&err);
    if (estimate) {
        options.max_steps = estimate;
        options.test_every = 0;
    }
    if (status == NAUHA_OK)
        status = nauha__metrics_check(invocation, &err);
    if (status == NAUHA_OK)
        status = describe(invocation, &session, &options, &err);
    if (status == NAUHA_OK && trace && !estimate)
        status = check_trace(trace, session.config, nauha_train_data_dir(&options), &err);
    int code = status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
    nauha_train_run_fn run = code == EXIT_FINE ? find_training() : NULL;
    if (code == EXIT_FINE)
        code = run ? train(invocation, &session, &options, run) : EXIT_FAILED;
    nauha_recorder_config_free(session.config);
    return code;
}

static int run_train(const struct invocation *invocation) {
    char folder[1024], trace[sizeof folder + 16];
    uint64_t steps = 0;
    int code = EXIT_FINE;
    if (!nauha__estimate_wanted(invocation, &steps, &code))
        return run_session(invocation, nauha__get(invocation, "output", NULL), 0);
    if (code != EXIT_FINE)
        return code;
    if (!nauha__estimate_folder(folder, sizeof folder))
        return EXIT_FAILED;
    nauha__write_path(trace, sizeof trace, folder, "sample.h5");
    code = run_session(invocation, trace, steps);
    if (code == EXIT_FINE)
        code = nauha__estimate_print(invocation, trace, folder);
    nauha__estimate_remove(folder);
    return code;
}

static const struct option_group training_options = {"Training", nauha_train_option_table, NULL};
/* --epochs of a training is the number of its epochs, not a selection */
static const struct option_group recorded_options = {"Choosing what is recorded",
                                                     nauha_selector_options, "epochs"};

const struct command nauha__command_train = {
    .name = "train",
    .summary = "train a built-in network with libtorch and record it",
    .arguments = "",
    .description =
        "Trains a small network on images and writes every message of the training to a trace "
        "(-o). Without -o nothing is recorded, which gives a baseline for the cost of recording. "
        "--metric computes the metrics of \"nauha replay\" during the training and writes them to "
        "the directory of --live, or to standard output. --rule checks health rules during the "
        "training and prints their findings at the end; --stop-on ends the training when a rule "
        "finds something. The exit code is 1 if a rule found something, and 4 if a metric or rule "
        "failed, which does not end the training.",
    .examples = "nauha train -o run.h5 --batch-size 32 --max-steps 200\n"
                "nauha train -o run.h5 --model resnet --kinds weights,weight_updates,loss\n"
                "nauha train -o run.h5 --metric loss --metric norm:weights --live series\n"
                "nauha train --metric loss --live logs/run1 --sink tensorboard\n"
                "nauha train -o run.h5 --stop-on exploding_tensor,loss_not_decreasing",
    .groups = {&nauha__train_output_options, &training_options, &nauha__keeping_options,
               &nauha__recording_options, &recorded_options, &nauha__plugin_options},
    .run = run_train,
};
