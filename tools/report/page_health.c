/* SPDX-License-Identifier: MIT */
/* The findings of the rules, and the numbers of each module; see page.h.
 *
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/analyzer.h"
#include "tools/report/chart.h"
#include "tools/report/html.h"
#include "tools/report/page.h"
#include "tools/commands/rules.h"
#include "tools/cli/terminal.h"

/* Number of places of one finding that are listed. */
#define PLACES 300u

/* ---- findings ---- */

static const struct html_column place_columns[] = {
    {"Place", NULL, false},
    {"Kind", NULL, false},
    {"From step", NULL, true},
    {"To step", NULL, true},
    {"Times", NULL, true},
    {"What", NULL, false},
    {"At first", "value when it was first found", true},
    {"Worst", "farthest beyond the threshold", true},
    {"Threshold", NULL, true},
};

static void write_place(const struct page *page, const struct nauha_finding *finding) {
    FILE *out = page->out;
    char place[512], text[32];
    fputs("<tr>\n<th scope=row>", out);
    html_text(out, nauha__place_text(finding, page->opened->trace_count > 1, place, sizeof place));
    fputs("</th><td>", out);
    html_text(out, finding->kind);
    fputs("</td>", out);
    const uint64_t counts[] = {finding->first_step, finding->last_step, finding->count};
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%" PRIu64, counts[i]);
        html_number_cell(out, (double)counts[i], text);
    }
    fputs("<td>", out);
    html_text(out, finding->measure);
    fputs("</td>", out);
    html_number_cell(out, finding->value, html_number(finding->value, text));
    html_number_cell(out, finding->worst, html_number(finding->worst, text));
    html_number_cell(out, finding->threshold, html_number(finding->threshold, text));
    fputs("</tr>", out);
}

/* Writes the sentence of the finding at `position`, and all places to which it applies. */
static void write_group(const struct page *page, size_t position) {
    FILE *out = page->out;
    struct nauha_finding head, finding;
    char id[32];
    size_t count = 0;
    nauha_pipeline_finding(page->pipeline, position, &head);
    for (size_t i = position; nauha_pipeline_finding(page->pipeline, i, &finding); i++)
        count += nauha__same_sentence(&head, &finding);
    fprintf(out, "<details class=finding%s><summary><b class=bad>", count <= 12 ? " open" : "");
    html_text(out, head.rule);
    fputs("</b> ", out);
    html_text(out, head.meaning);
    fprintf(out, " <span class=dim>(%zu place%s)</span></summary>\n", count, count == 1 ? "" : "s");
    snprintf(id, sizeof id, "finding-%zu", position);
    html_table(out, id, "Places", place_columns, sizeof place_columns / sizeof *place_columns);
    count = 0;
    for (size_t i = position; nauha_pipeline_finding(page->pipeline, i, &finding); i++)
        if (nauha__same_sentence(&head, &finding) && count++ < PLACES)
            write_place(page, &finding);
    html_table_end(out);
    if (count > PLACES)
        fprintf(out, "<p class=none>And %zu more: <code>nauha check --json</code> lists all.</p>",
                count - PLACES);
    fputs("</details>\n", out);
}

static void write_findings(const struct page *page) {
    for (size_t i = nauha__next_sentence(page->pipeline, 0); i != SIZE_MAX;
         i = nauha__next_sentence(page->pipeline, i + 1))
        write_group(page, i);
}

/* ---- rules ---- */

/* Whether the pipeline has a rule; *missing_tag: it has, but there were no messages for it. */
static bool is_checked(const struct page *page, const char *rule, const char **missing_tag) {
    struct nauha_metric_info info;
    for (size_t i = page->metrics; nauha_pipeline_metric(page->pipeline, i, &info); i++)
        if (strcmp(info.analyzer->name, rule) == 0) {
            *missing_tag = info.missing_tag;
            return true;
        }
    return false;
}

static void write_reason(const struct page *page, const struct nauha_analyzer *rule) {
    const struct nauha_names *names = page->opened->names;
    const char *separator = "no elements of ";
    for (const char *const *kind = rule->default_kinds; kind && *kind; kind++) {
        const uint32_t number = nauha_names_find_kind(names, *kind);
        if (number != NAUHA_NONE && survey_serves(page->survey, rule, number))
            continue;
        fputs(separator, page->out);
        html_text(page->out, *kind);
        separator = ", ";
    }
}

static void write_unchecked(const struct page *page) {
    const struct nauha_analyzer *rule;
    FILE *out = page->out;
    const char *separator = "Not checked: ";
    for (size_t i = 0; (rule = nauha_pipeline_analyzer(page->pipeline, i)) != NULL; i++) {
        const char *missing_tag = NULL;
        if (!(rule->flags & NAUHA_ANALYZER_RULE) ||
            (is_checked(page, rule->name, &missing_tag) && !missing_tag))
            continue;
        fputs(separator, out);
        html_text(out, rule->name);
        fputs(" (", out);
        if (missing_tag && strcmp(missing_tag, NAUHA_ALL_TAGS) == 0)
            fputs("no messages", out);
        else if (missing_tag)
            html_format(out, "no messages with the tag %s", missing_tag);
        else
            write_reason(page, rule);
        fputs(")", out);
        separator = ", ";
    }
    fputs(*separator == ',' ? "." : "", out);
}

static void write_line(void *context, const char *text) {
    FILE *out = context;
    fputs("<li>", out);
    html_text(out, text);
    fputs("</li>", out);
}

static void write_failure(void *context, const char *text) {
    FILE *out = context;
    fputs("<li><b class=bad>Not complete</b>: ", out);
    html_text(out, text);
    fputs("</li>", out);
}

static void write_rules(const struct page *page) {
    struct nauha_metric_info info;
    FILE *out = page->out;
    size_t checked = 0;
    for (size_t i = page->metrics; nauha_pipeline_metric(page->pipeline, i, &info); i++)
        checked += !info.missing_tag && !info.failure;
    fputs("<p class=none>", out);
    page_count(out, checked, "rule");
    fputs(nauha_pipeline_findings(page->pipeline) ? " checked. " : " checked, nothing found. ",
          out);
    if (checked > 0 || nauha_pipeline_findings(page->pipeline) == 0)
        write_unchecked(page);
    fputs("</p>\n<ul class=none>", out);
    nauha_pipeline_failures(page->pipeline, write_failure, out);
    nauha_pipeline_report(page->pipeline, write_line, out);
    fputs("</ul>\n", out);
}

/* ---- modules ---- */

/* Which series are columns of the table; the value is the last one. */
static const struct column_of {
    const char *series;
    struct html_column column;
} measures[] = {
    {"weights_norm2", {"‖weights‖", "L2 norm of its weights, at the last step", true}},
    {"weight_gradients_norm2",
     {"‖gradients‖", "L2 norm of their gradients, at the last step", true}},
    {"weight_updates_weights_ratio",
     {"Update / weights", "L2 norm of the last update over that of the weights", true}},
    {"activations_rms", {"Output", "root mean square of its output, at the last step", true}},
    {"activations_zeros", {"Zeros", "fraction of its output that is 0, at the last step", true}},
    {"layer_gradients_rms",
     {"Output gradient", "root mean square of the gradient of its output, at the last step", true}},
};
#define MEASURES (sizeof measures / sizeof *measures)

/* The line of a module that has the largest last value, if it has several tensors; NULL if there is
 * none. */
static const struct line *line_of(const struct topic *topic, uint32_t module) {
    const struct line *found = NULL;
    for (size_t i = 0; topic && i < topic->count; i++) {
        const struct line *line = &topic->lines[i];
        if (line->key.module != module || line->key.tag != 0)
            continue;
        if (!found || line->curve.last > found->curve.last || isnan(line->curve.last))
            found = line;
    }
    return found;
}

static bool is_here(const struct nauha_finding *finding, const struct page *page, uint32_t module) {
    return finding->module &&
           strcmp(finding->module, nauha_names_module(page->opened->names, module)) == 0;
}

static void write_badges(const struct page *page, uint32_t module) {
    struct nauha_finding finding, other;
    FILE *out = page->out;
    size_t all = 0;
    for (size_t i = 0; nauha_pipeline_finding(page->pipeline, i, &finding); i++)
        all += is_here(&finding, page, module);
    fprintf(out, "<td data-v=%zu>", all);
    for (size_t i = 0; nauha_pipeline_finding(page->pipeline, i, &finding); i++) {
        size_t count = 0;
        bool skip = !is_here(&finding, page, module);
        for (size_t j = 0; !skip && nauha_pipeline_finding(page->pipeline, j, &other); j++) {
            const bool same =
                is_here(&other, page, module) && strcmp(other.rule, finding.rule) == 0;
            skip = same && j < i;
            count += same;
        }
        if (skip)
            continue;
        fputs("<span class=badge>", out);
        html_text(out, finding.rule);
        if (count > 1)
            fprintf(out, " ×%zu", count);
        fputs("</span> ", out);
    }
    fputs(all ? "</td>" : "<span class=good>none</span></td>", out);
}

static void write_module(const struct page *page, uint32_t module,
                         const struct topic *const topics[MEASURES]) {
    FILE *out = page->out;
    fprintf(out, "<tr data-m=%" PRIu32 "><th scope=row>", module);
    html_text(out, page_module(page, module));
    fputs("</th><td>", out);
    html_text(out, nauha_names_module_class(page->opened->names, module));
    fputs("</td>", out);
    write_badges(page, module);
    for (size_t i = 0; i < MEASURES; i++) {
        const struct line *line = line_of(topics[i], module);
        char text[32];
        if (!topics[i])
            continue;
        if (!line) {
            html_number_cell(out, (double)NAN, NULL);
            continue;
        }
        const double last = line->curve.last;
        fprintf(out, "<td class=n data-v=\"%.17g\">%s", nauha__printable(last),
                html_number(last, text));
        chart_spark(out, &line->curve);
        fputs("</td>", out);
    }
    fputs("</tr>\n", out);
}

/* Whether there is a value to show for a module. */
static bool has_numbers(const struct page *page, uint32_t module,
                        const struct topic *const topics[MEASURES]) {
    struct nauha_finding finding;
    for (size_t i = 0; i < MEASURES; i++)
        if (line_of(topics[i], module))
            return true;
    for (size_t i = 0; nauha_pipeline_finding(page->pipeline, i, &finding); i++)
        if (is_here(&finding, page, module))
            return true;
    return false;
}

static void write_modules(const struct page *page) {
    struct html_column columns[3 + MEASURES] = {
        {"Module", NULL, false}, {"Class", NULL, false}, {"Findings", NULL, true}};
    const struct topic *topics[MEASURES];
    size_t count = 3, rows = 0;
    const uint32_t modules = nauha_names_modules(page->opened->names);
    for (size_t i = 0; i < MEASURES; i++) {
        topics[i] = collection_find(page->collection, measures[i].series);
        if (topics[i] && topics[i]->count > 0)
            columns[count++] = measures[i].column;
        else
            topics[i] = NULL;
    }
    for (uint32_t m = 0; m < modules; m++)
        rows += has_numbers(page, m, topics);
    if (rows == 0)
        return;
    html_table(page->out, "health-table", "Modules and their health", columns, count);
    for (uint32_t m = 0; m < modules; m++)
        if (has_numbers(page, m, topics))
            write_module(page, m, topics);
    html_table_end(page->out);
}

void page_health(struct page *page) {
    fputs("<section id=health>\n<h2>Health</h2>\n", page->out);
    write_findings(page);
    write_rules(page);
    write_modules(page);
    fputs("</section>\n", page->out);
}
