/* SPDX-License-Identifier: MIT */
/* nauha replay: computes metrics from a trace. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands/distributed.h"
#include "tools/commands/follow.h"
#include "tools/commands/metrics.h"
#include "tools/commands/python_model.h"
#include "tools/commands/replayed_model.h"
#include "tools/commands/runs.h"
#include "tools/cli/terminal.h"

static const struct nauha_option replay_table[] = {
    {"metric", 'm', "SPEC", NULL,
     "compute this metric; may be repeated; FILE.py:CLASS:KINDS is a metric in Python"},
    {"output", 'o', "DIR", NULL, "write the series to this directory"},
    {"sink", 0, "SINK[,SINK]", "csv,gnuplot with -o, else csv", "formats of the series"},
    {"jobs", 'j', "N", NULL, "use N threads (default: one per processor)"},
    {"follow", 0, NULL, NULL,
     "replay a trace while it is being written, until the recording ends or you press Ctrl-C"},
    RESUME_OPTION,
    {"tensor-limit", 0, "SIZE", NULL,
     "largest tensor for metrics that need all its elements in memory; 0 is no limit (default "
     "64M). Other metrics take tensors of any size"},
    {"strict", 0, NULL, NULL,
     "end at the first error of a metric, and fail if a message is damaged, or if a metric does "
     "not "
     "get all kinds that it needs for a module and step"},
};
OPTION_GROUP(replay_options, "Replay", replay_table);

static void show_progress(void *context, uint64_t done, uint64_t total) {
    nauha__progress_show(context, done, total, NULL);
}

static bool show_and_wait(void *context, bool waiting, uint64_t done, uint64_t total) {
    nauha__progress_show(context, done, total, waiting ? ", waiting for more" : NULL);
    return waiting ? nauha__follow_wait() : !nauha__follow_interrupted();
}

static int usage_without_metric(const struct command *command) {
    size_t count, bytes;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    char *names = NULL;
    FILE *list = open_memstream(&names, &bytes);
    for (size_t i = 0; list && i < count; i++) {
        if (!(analyzers[i]->flags & NAUHA_ANALYZER_RULE))
            fprintf(list, "%s%s", i ? ", " : "", analyzers[i]->name);
    }
    const bool listed = list && fclose(list) == 0;
    const int code = nauha__usage(command, "replay needs --metric SPEC; metrics: %s",
                                  listed ? names : "see nauha analyzers");
    free(names);
    return code;
}

/* Prints what a user should know before trusting the values. */
static void warn(const struct nauha_trace *trace, const struct nauha_names *names, bool followed) {
    struct nauha_trace_info info;
    nauha_trace_get_head(trace, &info);
    if (!info.closed)
        nauha_trace_get_info(trace, &info);
    const uint64_t last_step = info.first_step + (info.steps ? info.steps - 1 : 0);
    if (!info.closed && followed)
        fprintf(stderr, "nauha: %s: the recording was cut off after step %" PRIu64 "\n", info.path,
                last_step);
    else if (!info.closed)
        fprintf(stderr,
                "nauha: %s was cut off, or is still being written, after step %" PRIu64 "\n",
                info.path, last_step);
    if (info.failure[0])
        fprintf(stderr, "nauha: %s: the recorder had to stop: %s\n", info.path, info.failure);
    if (info.messages_lost)
        nauha__warn_of_losses(trace, names, &info);
}

static void warn_of_all(const struct opened *opened, const struct invocation *invocation) {
    const bool followed = nauha__has(invocation, "follow");
    for (size_t i = 0; i < opened->trace_count && !invocation->quiet; i++)
        warn(opened->traces[i], opened->names, followed);
}

static void print_report(void *context, const char *text) {
    const struct invocation *invocation = context;
    if (!invocation->quiet)
        fprintf(stderr, "nauha: %s\n", text);
}

/* Feeds the pipeline with a trace and what its steps make when they are run again. */
static int feed_made(const struct opened *opened, struct nauha_pipeline *pipeline,
                     const struct invocation *invocation) {
    struct nauha_trace_info info;
    bool same = false;
    nauha_trace_get_info(opened->trace, &info);
    return nauha__run_python_model(invocation, info.path, opened->names, pipeline, false,
                                   print_report, (void *)invocation, &same);
}

static enum nauha_status feed(const struct opened *opened, struct nauha_pipeline *pipeline,
                              const char *what, const struct invocation *invocation,
                              struct nauha_error *err) {
    struct progress progress;
    nauha__progress_begin(&progress, what, "messages", invocation->quiet);
    const enum nauha_status status =
        nauha__has(invocation, "follow")
            ? nauha_pipeline_follow(pipeline, opened->traces, opened->trace_count, opened->selector,
                                    show_and_wait, &progress, err)
            : nauha_pipeline_replay_ranks(pipeline, opened->traces, opened->trace_count,
                                          opened->selector, show_progress, &progress, err);
    nauha__progress_end(&progress);
    return status;
}

/* A pipeline for each run. All are kept to the end, because the sinks are passed from one to the
 * next. */
struct replay {
    const struct invocation *invocation;
    struct runs runs;
    struct nauha_pipeline **pipelines;
    struct replayed_model model; /* of the only run */
    struct distributed distributed;
    bool helps; /* another process writes the output and the messages */
};

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

/* Ends the previous run, whose sinks this pipeline takes over. */
static int follow_on(struct replay *replay, size_t which, struct nauha_error *err) {
    struct nauha_pipeline *before = replay->pipelines[which - 1];
    if (!replay->helps &&
        nauha_pipeline_finish_into(before, replay->pipelines[which], err) != NAUHA_OK) {
        nauha__fail(err);
        return EXIT_FAILED;
    }
    nauha__opened_close(&replay->runs.list[which - 1].opened);
    if (!replay->invocation->quiet && !replay->helps)
        nauha_pipeline_report(before, print_line, NULL);
    return EXIT_FINE;
}

static int make_pipeline(struct replay *replay, size_t which, struct nauha_error *err) {
    const struct invocation *invocation = replay->invocation;
    const struct run *run = &replay->runs.list[which];
    struct nauha_pipeline *pipeline = nauha_pipeline_new(run->opened.names);
    replay->pipelines[which] = pipeline;
    if (!pipeline) {
        nauha_error_nomem(err);
        return nauha__fail(err);
    }
    nauha_bus_set_strict(nauha_pipeline_bus(pipeline), nauha__has(invocation, "strict"));
    nauha_pipeline_set_processes(pipeline, replay->distributed.processes);
    if (replay->runs.count > 1 && nauha_pipeline_set_run(pipeline, run->name, err) != NAUHA_OK)
        return nauha__fail(err);
    if (nauha_pipeline_describe_trace(pipeline, run->opened.trace, err) != NAUHA_OK)
        return nauha__fail(err);
    int code = nauha__choose_workers(pipeline, invocation);
    if (code == EXIT_FINE && which > 0)
        code = follow_on(replay, which, err);
    if (code == EXIT_FINE && !nauha__has_python_model(invocation))
        code = nauha__replayed_model_init(&replay->model, invocation, run->opened.trace, pipeline);
    if (code != EXIT_FINE)
        return code;
    const enum nauha_status status =
        replay->helps ? nauha__metrics_start_part(pipeline, invocation, err)
                      : nauha__metrics_start(pipeline, invocation,
                                             nauha__get(invocation, "output", NULL), err);
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(err);
}

static int replay_run(struct replay *replay, size_t which) {
    const struct invocation *invocation = replay->invocation;
    struct opened *opened = &replay->runs.list[which].opened;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char what[96] = "replaying";
    if (replay->runs.count > 1)
        snprintf(what, sizeof what, "replaying %.80s", replay->runs.list[which].name);
    const int code =
        nauha__distributed_agree(&replay->distributed, make_pipeline(replay, which, &err));
    if (code != EXIT_FINE)
        return code;
    if (nauha__has_python_model(invocation))
        return feed_made(opened, replay->pipelines[which], invocation);
    if (feed(opened, replay->pipelines[which], what, invocation, &err) == NAUHA_OK)
        return EXIT_FINE;
    nauha__fail(&err);
    /* The traces caused the error, not the command line. If this process only computes, the process
     * that prints has been informed and ends all of them, because they may be waiting for each
     * other. */
    if (!replay->helps)
        nauha__distributed_abort(&replay->distributed, EXIT_FAILED);
    return EXIT_FAILED;
}

static int replay_runs(struct replay *replay) {
    const struct invocation *invocation = replay->invocation;
    const bool follows = nauha__has(invocation, "follow");
    int code = EXIT_FINE;
    for (size_t i = 0; i < replay->runs.count && !follows; i++)
        warn_of_all(&replay->runs.list[i].opened, invocation);
    for (size_t i = 0; i < replay->runs.count && code == EXIT_FINE; i++) {
        code = replay_run(replay, i);
        /* What a writer has added to a trace is known only now. */
        if (code == EXIT_FINE && follows && !nauha__follow_interrupted())
            warn_of_all(&replay->runs.list[i].opened, invocation);
    }
    if (code == EXIT_FINE)
        nauha__replayed_model_finish(&replay->model);
    if (code == EXIT_FINE && !replay->helps)
        code = nauha__metrics_finish(replay->pipelines[replay->runs.count - 1], invocation);
    for (size_t i = 0; i < replay->runs.count && replay->pipelines[i]; i++)
        code = nauha__metrics_tell_failures(replay->pipelines[i], code);
    return code;
}

static int check_usage(const struct invocation *invocation, bool distributed) {
    if (!nauha__has(invocation, "metric"))
        return usage_without_metric(invocation->command);
    if (distributed && nauha__metrics_need_python(invocation))
        return nauha__usage(invocation->command,
                            "metrics in Python cannot be computed by several processes");
    if (distributed && nauha__has(invocation, "follow"))
        return nauha__usage(invocation->command, "--follow cannot be used with several processes");
    if (distributed && nauha__has(invocation, "jobs"))
        return nauha__usage(
            invocation->command,
            "--jobs cannot be used with several processes: mpirun -n sets their number");
    if (distributed && nauha__has(invocation, "model"))
        return nauha__usage(invocation->command, "--model cannot be used with several processes");
    if (nauha__has_python_model(invocation) && nauha__has(invocation, "follow"))
        return nauha__usage(invocation->command, "--follow cannot be used with a model in Python");
    return nauha__check_model_options(invocation);
}

/* Checks everything that can be refused before anything is written. */
static int prepare(struct replay *replay) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    int code = check_usage(replay->invocation, replay->distributed.processes != NULL);
    if (code == EXIT_FINE)
        code = nauha__runs_init(&replay->runs, replay->invocation);
    if (code == EXIT_FINE && replay->runs.count > 1 && nauha__has(replay->invocation, "model"))
        code = nauha__usage(replay->invocation->command,
                            "--model takes the traces of one training only");
    if (code == EXIT_FINE && nauha__has_python_model(replay->invocation) &&
        replay->runs.list[0].opened.trace_count > 1)
        code = nauha__usage(replay->invocation->command,
                            "a model in Python takes the trace of one process only");
    if (code == EXIT_FINE && nauha__has_python_model(replay->invocation))
        code = nauha__load_python_model(replay->invocation);
    for (size_t i = 0; i < replay->runs.count && code == EXIT_FINE; i++) {
        const struct opened *opened = &replay->runs.list[i].opened;
        if (nauha_pipeline_check_ranks(opened->traces, opened->trace_count, &err) != NAUHA_OK)
            code = nauha__fail(&err);
    }
    if (code != EXIT_FINE)
        return code;
    replay->pipelines = calloc(replay->runs.count, sizeof *replay->pipelines);
    return replay->pipelines ? EXIT_FINE : nauha__fail_nomem();
}

static int run_replay(const struct invocation *invocation) {
    struct replay replay = {.invocation = invocation};
    const bool follows = nauha__has(invocation, "follow");
    if (!invocation->python && !nauha__distributed_started() &&
        (nauha__metrics_need_python(invocation) || nauha__has_python_model(invocation)))
        return nauha__metrics_run_python(invocation);
    int code = nauha__distributed_begin(&replay.distributed);
    if (code != EXIT_FINE)
        return code;
    replay.helps = replay.distributed.processes && replay.distributed.processes->rank > 0;
    if (follows)
        nauha__follow_begin();
    code = nauha__distributed_agree(&replay.distributed, prepare(&replay));
    if (code == EXIT_FINE)
        code = replay_runs(&replay);
    for (size_t i = replay.runs.count; replay.pipelines && i-- > 0;)
        nauha_pipeline_free(replay.pipelines[i]);
    free(replay.pipelines);
    nauha__replayed_model_fini(&replay.model);
    nauha__runs_fini(&replay.runs);
    if (follows)
        nauha__follow_end();
    nauha__distributed_end(&replay.distributed);
    return code;
}

const struct command nauha__command_replay = {
    .name = "replay",
    .summary = "compute metrics from a trace",
    .arguments = "TRACE|DIR...",
    .description =
        "Computes metrics from the messages of a trace, in the order in which they were "
        "published. A SPEC, NAME:KIND[,KIND...][:key=value...], names a metric; \"nauha "
        "analyzers\" lists the metrics. Only messages that a metric needs are decompressed. With "
        "-o, each series is written to DIR/TOPIC.csv. The gnuplot sink adds TOPIC.gp, TOPIC.svg "
        "and TOPIC.png; with the tensorboard sink, DIR is a TensorBoard log directory. Without "
        "-o, all series go to standard output as CSV whose first column is the metric. The traces "
        "of the ranks of one training are replayed together: step by step, and within a step rank "
        "by rank. Traces of different trainings, or all traces of a directory, are replayed one "
        "training after the other; the last column of the CSV is then the name of the run, and "
        "pictures have a line for each run. With --resume, they are one training that was "
        "interrupted and resumed, and steps that it repeated are those of the later trace. Under "
        "mpirun or srun, the processes divide the "
        "modules among themselves, and the first process writes the same output as a single one. "
        "With --follow, replay reads a recording that is still being written; the results are "
        "those of a replay after its end. With --model, replay puts the recorded parameters of "
        "each step into the network and runs it, for test_accuracy, hessian_eig and all metrics "
        "of tags other than \"default\"; a model in Python runs the recorded steps again, for "
        "metrics of "
        "what was not recorded in full. A metric that fails is named at the end, with the step "
        "and "
        "the message at which it failed; its series end there, all others are complete, and the "
        "exit "
        "code is 4.",
    .examples =
        "nauha replay run.h5 --metric loss --metric ratio:weight_updates,weights -o series\n"
        "nauha replay run.h5 --metric norm:layer_gradients:order=inf --steps 100:200\n"
        "nauha replay run.h5 --metric loss --follow\n"
        "nauha replay run.h5 --model alexnetmini --metric test_accuracy:every=100\n"
        "nauha replay run.h5 --model net.pt --data testset --metric hessian_eig:k=5:every=500\n"
        "nauha replay run.h5 --model net.py:build --metric histogram:activations --steps ::100\n"
        "nauha replay run.rank*.h5 --metric norm:weight_gradients -o series\n"
        "nauha replay a.h5 b.h5 --resume --metric loss\n"
        "nauha replay sweep --metric loss -o compared",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__replay_options, &nauha__model_options, &nauha__select_options,
               &nauha__plugin_options},
    .run = run_replay,
};
