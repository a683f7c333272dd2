/* SPDX-License-Identifier: MIT */
/* Pipelines from the command line; see metrics.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/metrics.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/plugin.h"
#include "tools/cli/program.h"
#include "tools/commands/python_package.h"
#include "tools/commands/rules.h"
#include "tools/cli/terminal.h"

/* ---- metrics in Python ---- */

/* The colon after the file name of "FILE.py:CLASS:..."; NULL if it is not such a SPEC. A ".py"
 * after the first colon belongs to the value of a key. */
static const char *end_of_file_name(const char *spec) {
    const char *colon = strchr(spec, ':');
    return colon && colon - spec > 3 && memcmp(colon - 3, ".py", 3) == 0 ? colon : NULL;
}

bool nauha__metrics_need_python(const struct invocation *invocation) {
    for (size_t i = 0; i < invocation->given_count; i++) {
        const struct given *given = &invocation->given[i];
        if (strcmp(given->option->name, "metric") == 0 && end_of_file_name(given->value))
            return true;
    }
    return false;
}

int nauha__metrics_run_python(const struct invocation *invocation) {
    char directory[4096];
    const char *python = getenv("NAUHA_PYTHON");
    python = python && *python ? python : "python3";
    if (!nauha__python_directory(directory, sizeof directory))
        return EXIT_FAILED;
    const size_t count = (size_t)invocation->argc;
    const char **words = calloc(count + 4, sizeof *words);
    if (!words || !nauha__python_path_prepend(directory)) {
        free(words);
        return nauha__fail_nomem();
    }
    words[0] = python;
    words[1] = "-m";
    words[2] = "nauha";
    memcpy(words + 3, invocation->argv, count * sizeof *words);
    execvp(python, (char *const *)words);
    fprintf(stderr,
            "nauha: metrics and models in Python need \"%s\", which cannot be run: %s\nTo use "
            "another Python, "
            "set NAUHA_PYTHON.\n",
            python, strerror(errno));
    free(words);
    return EXIT_FAILED;
}

/* Makes Python load the class, and adds its metric with the rest of the SPEC: CLASS:KINDS:... */
static enum nauha_status add_python_metric(struct nauha_pipeline *pipeline,
                                           const struct nauha_python *python, const char *spec,
                                           struct nauha_error *err) {
    const char *class = end_of_file_name(spec) + 1;
    const struct nauha_analyzer *analyzer = python->find(python->context, spec, err);
    if (!analyzer)
        return err->code != NAUHA_OK
                   ? err->code
                   : nauha_error_set(err, NAUHA_SUBSCRIBER, "Python has no metric \"%s\"", spec);
    enum nauha_status status = nauha_pipeline_has_analyzer(pipeline, analyzer)
                                   ? NAUHA_OK
                                   : nauha_pipeline_add_analyzer(pipeline, analyzer, err);
    return status == NAUHA_OK ? nauha_pipeline_add_metric(pipeline, class, err) : status;
}

/* ---- from the command line ---- */

static enum nauha_status add_metrics(struct nauha_pipeline *pipeline,
                                     const struct invocation *invocation, struct nauha_error *err) {
    enum nauha_status status = nauha_plugins_add_to(invocation->plugins, pipeline, err);
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        const char *spec = invocation->given[i].value;
        if (strcmp(invocation->given[i].option->name, "metric") != 0)
            continue;
        if (!end_of_file_name(spec))
            status = nauha_pipeline_add_metric(pipeline, spec, err);
        else if (invocation->python)
            status = add_python_metric(pipeline, invocation->python, spec, err);
        else
            status = nauha_error_set(
                err, NAUHA_INVALID,
                "\"%s\": metrics in Python can only be computed by \"nauha replay\"", spec);
    }
    return status;
}

static enum nauha_status add_sinks(struct nauha_pipeline *pipeline, const char *names,
                                   const char *directory, struct nauha_error *err) {
    char *list = strdup(names), *rest = NULL;
    if (!list)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (char *name = strtok_r(list, ",", &rest); name && status == NAUHA_OK;
         name = strtok_r(NULL, ",", &rest))
        status = nauha_pipeline_add_sink(pipeline, name, directory, err);
    free(list);
    return status;
}

enum nauha_status nauha__metrics_check(const struct invocation *invocation,
                                       struct nauha_error *err) {
    struct nauha_names *names = nauha_names_new();
    struct nauha_pipeline *pipeline = names ? nauha_pipeline_new(names) : NULL;
    enum nauha_status status =
        pipeline ? add_metrics(pipeline, invocation, err) : nauha_error_nomem(err);
    if (status == NAUHA_OK)
        status = nauha__rules_add_given(pipeline, invocation, err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_start(pipeline, err);
    nauha_pipeline_free(pipeline);
    nauha_names_free(names);
    return status;
}

enum nauha_status nauha__metrics_start(struct nauha_pipeline *pipeline,
                                       const struct invocation *invocation, const char *directory,
                                       struct nauha_error *err) {
    const char *sinks = nauha__get(invocation, "sink", directory ? "csv,gnuplot" : "csv");
    const char *limit = nauha__get(invocation, "tensor-limit", "64M");
    enum nauha_status status = nauha_pipeline_set_tensor_limit(pipeline, limit, err);
    if (status == NAUHA_OK)
        status = add_metrics(pipeline, invocation, err);
    if (status == NAUHA_OK)
        status = nauha__rules_add_given(pipeline, invocation, err);
    /* The values that rules measure are written if the user asked for series. */
    if (status == NAUHA_OK && (directory || nauha__has(invocation, "metric")))
        status = add_sinks(pipeline, sinks, directory, err);
    return status == NAUHA_OK ? nauha_pipeline_start(pipeline, err) : status;
}

enum nauha_status nauha__metrics_start_part(struct nauha_pipeline *pipeline,
                                            const struct invocation *invocation,
                                            struct nauha_error *err) {
    enum nauha_status status = add_metrics(pipeline, invocation, err);
    return status == NAUHA_OK ? nauha_pipeline_start(pipeline, err) : status;
}

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static void print_failure(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "nauha: %s\n", text);
}

int nauha__metrics_tell_failures(const struct nauha_pipeline *pipeline, int code) {
    const size_t failed = nauha_pipeline_failures(pipeline, print_failure, NULL);
    return failed > 0 && (code == EXIT_FINE || code == EXIT_FINDING) ? EXIT_PARTLY : code;
}

static void show_drawing(void *context, uint64_t done, uint64_t total) {
    nauha__progress_show(context, done, total, NULL);
}

int nauha__metrics_finish(struct nauha_pipeline *pipeline, const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct progress progress;
    int code = EXIT_FINE;
    nauha__progress_begin(&progress, "drawing", "pictures", invocation->quiet);
    nauha_pipeline_watch_finish(pipeline, show_drawing, &progress);
    const enum nauha_status status = nauha_pipeline_finish(pipeline, &err);
    nauha_pipeline_watch_finish(pipeline, NULL, NULL);
    nauha__progress_end(&progress);
    if (status != NAUHA_OK) {
        nauha__fail(&err);
        code = EXIT_FAILED;
    }
    if (!invocation->quiet)
        nauha_pipeline_report(pipeline, print_line, NULL);
    return code;
}

/* ---- threads ---- */

/* The processors that this process may use: a batch system may have given it only some. */
static uint64_t count_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint64_t)CPU_COUNT(&set) : 1;
}

int nauha__choose_workers(struct nauha_pipeline *pipeline, const struct invocation *invocation) {
    int code = EXIT_FINE;
    const uint64_t workers = nauha__get_number(invocation, "jobs", count_processors(), &code);
    if (code == EXIT_FINE && workers == 0)
        return nauha__usage(invocation->command, "--jobs is 0: it must be 1 or more");
    nauha_pipeline_set_workers(pipeline, workers > UINT32_MAX ? UINT32_MAX : (uint32_t)workers);
    return code;
}
