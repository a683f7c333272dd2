/* SPDX-License-Identifier: MIT */
/* nauha report: writes one page about a training. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/output.h"
#include "nauha/plugin.h"
#include "tools/commands/metrics.h"
#include "tools/report/page.h"
#include "tools/report/plan.h"
#include "tools/commands/rules.h"
#include "tools/cli/terminal.h"

static const struct nauha_option report_table[] = {
    {"output", 'o', "FILE.html", NULL,
     "write the page to this file; - is standard output (default: beside the trace, run.html for "
     "run.h5)"},
    {"overwrite", 0, NULL, NULL,
     "replace an existing file of any type; without this option only a report is replaced"},
    {"metric", 'm', "SPEC", NULL,
     "show this metric, too; it replaces a default series of the same topic; may be repeated"},
    {"rule", 0, "SPEC", NULL, "check this health rule instead of all rules; may be repeated"},
    RESUME_OPTION,
    {"title", 0, "TEXT", NULL, "heading of the page (default: the name of the trace)"},
    {"jobs", 'j', "N", NULL, "use N threads (default: one per processor)"},
};
OPTION_GROUP(report_options, "Report", report_table);

static const struct nauha_output_form report_form = {.noun = "a report of nauha",
                                                     .start = "<!DOCTYPE html>",
                                                     .start_bytes = 15,
                                                     .mark = PAGE_MARK,
                                                     .within = 512};

struct report {
    const struct invocation *invocation;
    char *path; /* of the page; NULL: standard output */
    struct runs runs;
    const struct opened *opened; /* of the only run */
    struct nauha_pipeline *pipeline;
    struct survey survey;
    struct collection collection;
    size_t metrics;
};

/* ---- computing ---- */

static bool has_kind(void *context, const struct nauha_analyzer *rule, const char *name) {
    const struct report *report = context;
    const uint32_t kind = nauha_names_find_kind(report->opened->names, name);
    return kind != NAUHA_NONE && survey_serves(&report->survey, rule, kind);
}

/* The page lists the rules that had nothing to examine. */
static void without_kinds(void *context, const char *rule) {
    (void)context;
    (void)rule;
}

static enum nauha_status add_rules(struct report *report, struct nauha_error *err) {
    return nauha__has(report->invocation, "rule")
               ? nauha__rules_add_given(report->pipeline, report->invocation, err)
               : nauha__rules_add_all(report->pipeline, has_kind, without_kinds, report, err);
}

/* Checks everything that can be refused before the replay. */
static int prepare(struct report *report) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct opened *opened = report->opened;
    int code = nauha__choose_workers(report->pipeline, report->invocation);
    if (code != EXIT_FINE)
        return code;
    enum nauha_status status =
        nauha_pipeline_check_ranks(opened->traces, opened->trace_count, &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_describe_trace(report->pipeline, opened->trace, &err);
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
    return EXIT_FAILED; /* the traces caused the error, not the command line */
}

/* ---- writing ---- */

/* The command line as the user typed it. */
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

static void write_page(const struct report *report, FILE *out) {
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
    page_write(&page);
    free(command);
}

static struct nauha_output_request request(const struct report *report) {
    return (struct nauha_output_request){.path = report->path,
                                         .form = &report_form,
                                         .overwrite = nauha__has(report->invocation, "overwrite"),
                                         .inputs = (const char *const *)report->runs.paths,
                                         .input_count = report->runs.path_count};
}

static int write_file(const struct report *report) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_output_request wanted = request(report);
    struct nauha_output output;
    enum nauha_status status = nauha_output_open(&output, &wanted, &err);
    if (status == NAUHA_OK) {
        write_page(report, output.stream);
        status = nauha_output_finish(&output, &err);
    }
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}

/* "runs/run.html" for "runs/run.h5"; for several ranks, the common part of their names. */
static char *default_path(const struct report *report) {
    const char *first = report->runs.paths[0], *slash = strrchr(first, '/');
    char *path = NULL;
    const int length = slash ? (int)(slash + 1 - first) : 0;
    return asprintf(&path, "%.*s%s.html", length, first, report->runs.list[0].name) < 0 ? NULL
                                                                                        : path;
}

/* Chooses the path of the page early, so that a wrong one is refused at once. */
static int choose_path(struct report *report) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const char *given = nauha__get(report->invocation, "output", NULL);
    if (given && strcmp(given, "-") == 0)
        return EXIT_FINE;
    report->path = given ? strdup(given) : default_path(report);
    if (!report->path)
        return nauha__fail_nomem();
    const struct nauha_output_request wanted = request(report);
    return nauha_output_check(&wanted, &err) == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}

static int write_report(const struct report *report) {
    if (!report->path) {
        write_page(report, stdout);
        return EXIT_FINE;
    }
    const int code = write_file(report);
    if (code == EXIT_FINE && !report->invocation->quiet) {
        const size_t findings = nauha_pipeline_findings(report->pipeline);
        fprintf(stderr, "%s: %zu finding%s\n", report->path, findings, findings == 1 ? "" : "s");
    }
    return code;
}

/* ---- the command ---- */

static int run(struct report *report) {
    if (report->runs.count > 1)
        return nauha__usage(
            report->invocation->command,
            "a report shows one training, or all its ranks, but these are %zu trainings: use "
            "\"nauha diff\" to compare two, or \"nauha replay\" to draw them together",
            report->runs.count);
    report->opened = &report->runs.list[0].opened;
    report->pipeline = nauha_pipeline_new(report->opened->names);
    if (!report->pipeline)
        return nauha__fail_nomem();
    int code = choose_path(report);
    if (code == EXIT_FINE)
        code = prepare(report);
    if (code == EXIT_FINE)
        code = compute(report);
    return code == EXIT_FINE ? write_report(report) : code;
}

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static int run_report(const struct invocation *invocation) {
    struct report report = {.invocation = invocation};
    int code = nauha__runs_init(&report.runs, invocation);
    if (code == EXIT_FINE)
        code = run(&report);
    if (code == EXIT_FINE && !invocation->quiet)
        nauha_pipeline_report(report.pipeline, print_line, NULL);
    if (report.pipeline)
        code = nauha__metrics_tell_failures(report.pipeline, code);
    nauha_pipeline_free(report.pipeline);
    collection_fini(&report.collection);
    survey_fini(&report.survey);
    free(report.path);
    nauha__runs_fini(&report.runs);
    return code;
}

const struct command nauha__command_report = {
    .name = "report",
    .summary = "make one HTML page about a training",
    .arguments = "TRACE...",
    .description =
        "Writes one HTML file that needs no other file and no network. It shows what was trained, "
        "its curves, the findings of the health rules, a table of the modules, histograms over "
        "steps, and facts of the trace. Click on the header of a table to sort it. The traces of "
        "the ranks of one training make one page: curves of the network have a line for each "
        "rank, and those of modules one line for all ranks. The exit code is 0 even if rules "
        "found something; use \"nauha check\" in scripts. A metric or rule that fails is named on "
        "the "
        "page, and the exit code is then 4.",
    .examples = "nauha report run.h5\n"
                "nauha report run.h5 -o report.html --metric spectral_norm:weights:subsample=10\n"
                "nauha report run.h5 --steps 1000: --modules 'features.*'\n"
                "nauha report run.rank*.h5 -o report.html",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__report_options, &nauha__select_options, &nauha__plugin_options},
    .run = run_report,
};
