/* SPDX-License-Identifier: MIT */
/* Pipelines from the command line; see metrics.h.
 *
 * Threads: the main thread.
 */
#include "tools/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum nauha_status add_metrics(struct nauha_pipeline *pipeline,
                                     const struct invocation *invocation, struct nauha_error *err) {
    for (size_t i = 0; i < invocation->given_count; i++) {
        if (strcmp(invocation->given[i].option->name, "metric") != 0)
            continue;
        enum nauha_status status =
            nauha_pipeline_add_metric(pipeline, invocation->given[i].value, err);
        if (status != NAUHA_OK)
            return status;
    }
    return NAUHA_OK;
}

static enum nauha_status add_sinks(struct nauha_pipeline *pipeline, const char *names,
                                   const char *directory, struct nauha_error *err) {
    char *list = strdup(names), *rest = NULL;
    if (!list)
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
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
    enum nauha_status status = pipeline ? add_metrics(pipeline, invocation, err)
                                        : nauha_error_set(err, NAUHA_NOMEM, "out of memory");
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
    enum nauha_status status = add_metrics(pipeline, invocation, err);
    if (status == NAUHA_OK)
        status = add_sinks(pipeline, sinks, directory, err);
    return status == NAUHA_OK ? nauha_pipeline_start(pipeline, err) : status;
}

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

int nauha__metrics_finish(struct nauha_pipeline *pipeline, const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    int code = EXIT_FINE;
    if (nauha_pipeline_finish(pipeline, &err) != NAUHA_OK) {
        nauha__fail(&err);
        code = EXIT_FAILED;
    }
    if (!invocation->quiet)
        nauha_pipeline_report(pipeline, print_line, NULL);
    return code;
}
