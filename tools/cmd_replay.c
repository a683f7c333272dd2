/* SPDX-License-Identifier: MIT */
/* nauha replay: a trace through metrics. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tools/follow.h"
#include "tools/metrics.h"
#include "tools/opened.h"
#include "tools/terminal.h"

static const struct nauha_option replay_table[] = {
    {"metric", 'm', "SPEC", NULL,
     "a metric to compute; give it once for each; FILE.py:CLASS:KINDS is one in Python"},
    {"output", 'o', "DIR", NULL, "write the series into this directory"},
    {"sink", 0, "SINK[,SINK]", NULL,
     "what to write: csv, gnuplot (default csv,gnuplot with -o, else csv)"},
    {"jobs", 'j', "N", NULL, "compute on so many threads (default: all processors)"},
    {"follow", 0, NULL, NULL,
     "replay a trace while it is being written, to the end of the recording or Ctrl-C"},
    {"strict", 0, NULL, NULL, "fail on a damaged message and on a bundle that stays incomplete"},
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
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    char names[512] = "";
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", analyzers[i]->name);
    }
    return nauha__usage(command, "replay needs --metric SPEC; metrics: %s", names);
}

/* "nauha: run.h5: lost in the recording: 12 activations (buffer full), 3.1 MB; 1 loss (...), 4 B"
 */
static void warn_of_losses(const struct nauha_trace *trace, const struct nauha_names *names,
                           const struct nauha_trace_info *info) {
    const char *reason, *semicolon = "";
    uint32_t kind;
    uint64_t messages, bytes, told = 0;
    char count[32], size[32];
    fprintf(stderr, "nauha: %s: lost in the recording: ", info->path);
    for (size_t i = 0; nauha_trace_loss(trace, i, &kind, &reason, &messages, &bytes); i++) {
        fprintf(stderr, "%s%s %s (%s), %s", semicolon, nauha__count_text(messages, count),
                nauha_names_kind(names, kind), reason, nauha__size_text(bytes, size));
        semicolon = "; ";
        told += messages;
    }
    /* On a full disk there may have been no room to say which. */
    if (told < info->messages_lost)
        fprintf(stderr, "%s%s messages in all, %s", semicolon,
                nauha__count_text(info->messages_lost, count),
                nauha__size_text(info->bytes_lost, size));
    fputc('\n', stderr);
}

/* What a user should know before trusting the numbers. */
static void warn(const struct nauha_trace *trace, const struct nauha_names *names, bool followed) {
    struct nauha_trace_info info;
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
        warn_of_losses(trace, names, &info);
}

static void warn_of_all(const struct opened *opened, const struct invocation *invocation) {
    const bool followed = nauha__has(invocation, "follow");
    for (size_t i = 0; i < opened->trace_count && !invocation->quiet; i++)
        warn(opened->traces[i], opened->names, followed);
}

static enum nauha_status feed(const struct opened *opened, struct nauha_pipeline *pipeline,
                              const struct invocation *invocation, struct nauha_error *err) {
    struct progress progress;
    nauha__progress_begin(&progress, "replaying", "messages", invocation->quiet);
    const enum nauha_status status =
        nauha__has(invocation, "follow")
            ? nauha_pipeline_follow(pipeline, opened->traces, opened->trace_count, opened->selector,
                                    show_and_wait, &progress, err)
            : nauha_pipeline_replay_ranks(pipeline, opened->traces, opened->trace_count,
                                          opened->selector, show_progress, &progress, err);
    nauha__progress_end(&progress);
    return status;
}

/* The processors this process may use; a batch system may have lent it some of the machine's. */
static uint64_t count_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

static int choose_workers(struct nauha_pipeline *pipeline, const struct invocation *invocation) {
    int code = EXIT_FINE;
    const uint64_t workers = nauha__get_number(invocation, "jobs", count_processors(), &code);
    if (code == EXIT_FINE && workers == 0)
        return nauha__usage(invocation->command, "--jobs is 0, and counts from 1");
    nauha_pipeline_set_workers(pipeline, workers > UINT32_MAX ? UINT32_MAX : (uint32_t)workers);
    return code;
}

static int replay(const struct opened *opened, struct nauha_pipeline *pipeline,
                  const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_pipeline_check_ranks(opened->traces, opened->trace_count, &err) != NAUHA_OK)
        return nauha__fail(&err);
    nauha_bus_set_strict(nauha_pipeline_bus(pipeline), nauha__has(invocation, "strict"));
    if (nauha__metrics_start(pipeline, invocation, nauha__get(invocation, "output", NULL), &err) !=
        NAUHA_OK)
        return nauha__fail(&err);
    if (feed(opened, pipeline, invocation, &err) != NAUHA_OK) {
        nauha__fail(&err);
        return EXIT_FAILED; /* the traces are at fault, not the command line */
    }
    /* What is to be said of a trace that was written in the meantime is known only now. */
    if (nauha__has(invocation, "follow") && !nauha__follow_interrupted())
        warn_of_all(opened, invocation);
    return nauha__metrics_finish(pipeline, invocation);
}

int nauha__run_replay(const struct invocation *invocation) {
    struct opened opened;
    if (!nauha__has(invocation, "metric"))
        return usage_without_metric(invocation->command);
    if (!invocation->python && nauha__metrics_need_python(invocation))
        return nauha__metrics_run_python(invocation);
    const bool follows = nauha__has(invocation, "follow");
    if (follows)
        nauha__follow_begin();
    int code = nauha__opened_init(&opened, invocation);
    struct nauha_pipeline *pipeline = code == EXIT_FINE ? nauha_pipeline_new(opened.names) : NULL;
    if (code == EXIT_FINE && !pipeline) {
        fprintf(stderr, "nauha: out of memory\n");
        code = EXIT_FAILED;
    }
    if (code == EXIT_FINE)
        code = choose_workers(pipeline, invocation);
    if (code == EXIT_FINE) {
        if (!follows)
            warn_of_all(&opened, invocation);
        code = replay(&opened, pipeline, invocation);
    }
    nauha_pipeline_free(pipeline);
    nauha__opened_fini(&opened);
    if (follows)
        nauha__follow_end();
    return code;
}
