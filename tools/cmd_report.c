/* SPDX-License-Identifier: MIT */
/* nauha report: one page about a training. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/plugin.h"
#include "tools/metrics.h"
#include "tools/report/page.h"
#include "tools/report/plan.h"
#include "tools/rules.h"
#include "tools/terminal.h"

static const struct nauha_option report_table[] = {
    {"output", 'o', "FILE.html", NULL,
     "the page; - for standard output (default: beside the trace, run.h5 gives run.html)"},
    {"metric", 'm', "SPEC", NULL,
     "a series to show besides those that are always there, or in the place of one of them; give "
     "it once for each"},
    {"rule", 0, "SPEC", NULL,
     "a health rule to check, instead of all of them; give it once for each"},
    {"title", 0, "TEXT", NULL, "the page's heading (default: the trace's name)"},
    {"jobs", 'j', "N", NULL, "compute on so many threads (default: all processors)"},
};
OPTION_GROUP(report_options, "Report", report_table);

struct report {
    const struct invocation *invocation;
    struct runs runs;
    const struct opened *opened; /* of the only run */
    struct nauha_pipeline *pipeline;
    struct survey survey;
    struct collection collection;
    size_t metrics;
};

/* ---- computing ---- */

static bool has_kind(void *context, const char *name) {
    const struct report *report = context;
    const uint32_t kind = nauha_names_find_kind(report->opened->names, name);
    return kind != NAUHA_NONE && survey_has_elements(&report->survey, kind);
}

/* The page says itself which rules have nothing to look at. */
static void without_kinds(void *context, const char *rule) {
    (void)context;
    (void)rule;
}

static enum nauha_status add_rules(struct report *report, struct nauha_error *err) {
    return nauha__has(report->invocation, "rule")
               ? nauha__rules_add_given(report->pipeline, report->invocation, err)
               : nauha__rules_add_all(report->pipeline, has_kind, without_kinds, report, err);
}

/* All that can be refused before the replay. */
static int prepare(struct report *report) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct opened *opened = report->opened;
    int code = nauha__choose_workers(report->pipeline, report->invocation);
    if (code != EXIT_FINE)
        return code;
    enum nauha_status status =
        nauha_pipeline_check_ranks(opened->traces, opened->trace_count, &err);
    if (status == NAUHA_OK)
        status = survey_init(&report->survey, opened, &err);
    if (status == NAUHA_OK)
        status = nauha_plugins_add_to(report->invocation->plugins, report->pipeline, &err);
    if (status == NAUHA_OK)
        status =
            plan_add(report->pipeline, report->invocation, &report->survey, &report->metrics, &err);
    if (status == NAUHA_OK)
        status = add_rules(report, &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_start(report->pipeline, &err);
    if (status == NAUHA_OK)
        status = collection_init(&report->collection, report->pipeline, report->metrics,
                                 report->survey.first_step, &err);
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}

static void show_progress(void *context, uint64_t done, uint64_t total) {
    nauha__progress_show(context, done, total, NULL);
}

static int compute(struct report *report) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct progress progress;
    nauha__progress_begin(&progress, "reporting", "messages", report->invocation->quiet);
    enum nauha_status status = nauha_pipeline_replay_ranks(
        report->pipeline, report->opened->traces, report->opened->trace_count,
        report->opened->selector, show_progress, &progress, &err);
    nauha__progress_end(&progress);
    if (status == NAUHA_OK)
        status = nauha_pipeline_finish(report->pipeline, &err);
    if (status == NAUHA_OK) {
        collection_sort(&report->collection);
        return EXIT_FINE;
    }
    nauha__fail(&err);
    return EXIT_FAILED; /* the traces are at fault, not the command line */
}

/* ---- writing ---- */

/* The command line as one typed it. */
static char *command_text(const struct invocation *invocation) {
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    fputs("nauha", out);
    for (int i = 0; i < invocation->argc; i++)
        fprintf(out, " %s", invocation->argv[i]);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static int write_failed(const char *path) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    nauha_error_set_errno(&err, errno ? errno : EIO, "cannot write \"%s\"", path);
    nauha__fail(&err);
    return EXIT_FAILED;
}

static int write_page(const struct report *report, FILE *out, const char *path) {
    char *command = command_text(report->invocation);
    struct page page = {
        .out = out,
        .title = nauha__get(report->invocation, "title", report->runs.list[0].name),
        .command = command ? command : "nauha report",
        .opened = report->opened,
        .survey = &report->survey,
        .collection = &report->collection,
        .pipeline = report->pipeline,
        .metrics = report->metrics,
    };
    errno = 0;
    page_write(&page);
    free(command);
    return fflush(out) != 0 || ferror(out) ? write_failed(path) : EXIT_FINE;
}

/* Under another name until it is whole, so that a page that was there stays. */
static int write_file(const struct report *report, const char *path) {
    char *partial = NULL;
    int code = EXIT_FAILED;
    if (asprintf(&partial, "%s.partial", path) < 0) {
        fprintf(stderr, "nauha: out of memory\n");
        return EXIT_FAILED;
    }
    FILE *out = fopen(partial, "we");
    if (out) {
        code = write_page(report, out, partial);
        if (fclose(out) != 0 && code == EXIT_FINE)
            code = write_failed(partial);
        if (code == EXIT_FINE && rename(partial, path) != 0)
            code = write_failed(path);
        if (code != EXIT_FINE)
            unlink(partial);
    } else {
        write_failed(partial);
    }
    free(partial);
    return code;
}

/* "runs/run.html" for "runs/run.h5"; of several ranks the name that they have in common. */
static char *default_path(const struct report *report) {
    const char *first = report->runs.paths[0], *slash = strrchr(first, '/');
    char *path = NULL;
    const int length = slash ? (int)(slash + 1 - first) : 0;
    return asprintf(&path, "%.*s%s.html", length, first, report->runs.list[0].name) < 0 ? NULL
                                                                                        : path;
}

static int write_report(const struct report *report) {
    const char *given = nauha__get(report->invocation, "output", NULL);
    if (given && strcmp(given, "-") == 0)
        return write_page(report, stdout, "standard output");
    char *path = given ? strdup(given) : default_path(report);
    int code = EXIT_FAILED;
    if (path)
        code = write_file(report, path);
    else
        fprintf(stderr, "nauha: out of memory\n");
    if (code == EXIT_FINE && !report->invocation->quiet) {
        const size_t findings = nauha_pipeline_findings(report->pipeline);
        fprintf(stderr, "%s: %zu finding%s\n", path, findings, findings == 1 ? "" : "s");
    }
    free(path);
    return code;
}

/* ---- the command ---- */

static int run(struct report *report) {
    if (report->runs.count > 1)
        return nauha__usage(report->invocation->command,
                            "a report is of one training, or of all its ranks; these are %zu: "
                            "\"nauha diff\" compares two, \"nauha replay\" draws them together",
                            report->runs.count);
    report->opened = &report->runs.list[0].opened;
    report->pipeline = nauha_pipeline_new(report->opened->names);
    if (!report->pipeline) {
        fprintf(stderr, "nauha: out of memory\n");
        return EXIT_FAILED;
    }
    int code = prepare(report);
    if (code == EXIT_FINE)
        code = compute(report);
    return code == EXIT_FINE ? write_report(report) : code;
}

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

int nauha__run_report(const struct invocation *invocation) {
    struct report report = {.invocation = invocation};
    int code = nauha__runs_init(&report.runs, invocation);
    if (code == EXIT_FINE)
        code = run(&report);
    if (code == EXIT_FINE && !invocation->quiet)
        nauha_pipeline_report(report.pipeline, print_line, NULL);
    nauha_pipeline_free(report.pipeline);
    collection_fini(&report.collection);
    survey_fini(&report.survey);
    nauha__runs_fini(&report.runs);
    return code;
}
