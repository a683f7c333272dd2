/* SPDX-License-Identifier: MIT */
/* The page as a whole, with its head, curves and histograms; see page.h.
 *
 * Threads: the main thread.
 */
#include "tools/report/page.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nauha/version.h"
#include "tools/report/chart.h"
#include "tools/report/html.h"
#include "tools/cli/terminal.h"

const char *page_module(const struct page *page, uint32_t module) {
    const char *name = nauha_names_module(page->opened->names, module);
    return *name ? name : "(root)";
}

void page_count(FILE *out, uint64_t count, const char *noun) {
    char text[32];
    fprintf(out, "%s %s%s", nauha__count_text(count, text), noun, count == 1 ? "" : "s");
}

/* ---- head ---- */

static const char *fact(const struct page *page, const char *wanted) {
    const char *key, *value;
    for (size_t i = 0; nauha_trace_fact(page->opened->trace, i, &key, &value); i++)
        if (strcmp(key, wanted) == 0)
            return value;
    return NULL;
}

static void write_head(const struct page *page) {
    static const char *const keys[] = {"model", "dataset", "optimizer", "framework"};
    FILE *out = page->out;
    /* The policy only forbids what the page does not do: it loads nothing. */
    fputs("<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n" PAGE_MARK "\n"
          "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src"
          " 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
          "<meta name=color-scheme content=\"light dark\">\n"
          "<link rel=icon href=\"data:,\">\n<title>",
          out);
    html_text(out, page->title);
    fprintf(out, " – nauha report</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>",
            report_css);
    html_text(out, page->title);
    fputs("</h1>\n<p class=facts>", out);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = fact(page, keys[i]);
        if (value) {
            fprintf(out, "<span>%s <b>", keys[i]);
            html_text(out, value);
            fputs("</b></span> ", out);
        }
    }
    fputs("</p>\n", out);
    const char *command = fact(page, "command");
    if (command) {
        fputs("<p class=command><code>", out);
        html_text(out, command);
        fputs("</code></p>\n", out);
    }
}

/* ---- tiles ---- */

static void open_tile(FILE *out, const char *name, const char *class) {
    fprintf(out, "<div class=\"tile %s\"><dt>%s</dt><dd>", class, name);
}

static void close_tile(FILE *out, const char *note) {
    fputs("</dd>", out);
    if (note && *note) {
        fputs("<dd class=note>", out);
        html_text(out, note);
        fputs("</dd>", out);
    }
    fputs("</div>\n", out);
}

/* The curve of a series that has one line; NULL if it has none or several. */
static const struct curve *only_curve(const struct page *page, const char *series) {
    const struct topic *topic = collection_find(page->collection, series);
    const struct line *line = NULL;
    for (size_t i = 0; topic && i < topic->count; i++) {
        const bool counts = topic->lines[i].key.tag == 0 || strcmp(series, "loss") != 0;
        if (counts && line)
            return NULL; /* there are several networks or ranks, which the curves show */
        line = counts ? &topic->lines[i] : line;
    }
    return line && line->curve.count + line->curve.odd > 0 ? &line->curve : NULL;
}

/* Writes the last value of a series that has one line. loss: that of the training; NULL for its own
 * tile. If the loss is not finite, a note says so, because other values from the same outputs may
 * be finite and yet mean nothing. */
static void write_last(const struct page *page, const char *series, const char *name,
                       const struct curve *loss) {
    const struct curve *curve = only_curve(page, series);
    char value[32], from[32], note[128] = "";
    if (!curve)
        return;
    const bool odd = !isfinite(curve->last);
    if (odd)
        snprintf(note, sizeof note, "since step %" PRIu64 "; ", curve->odd_since);
    else if (loss && !isfinite(loss->last) && curve->last_step >= loss->odd_since)
        snprintf(note, sizeof note, "the loss is %s since step %" PRIu64 "; ",
                 html_number(loss->last, value), loss->odd_since);
    const size_t used = strlen(note);
    if (curve->count + curve->odd > 1)
        snprintf(note + used, sizeof note - used, "from %s at step %" PRIu64,
                 html_number(curve->first, from), curve->first_step);
    open_tile(page->out, name, odd || used ? "bad" : "");
    fprintf(page->out, "<span data-v=\"%.17g\">%s</span>", nauha__printable(curve->last),
            html_number(curve->last, value));
    close_tile(page->out, note);
}

/* Whether steps have several losses, as of micro-batches; otherwise step_loss says what loss says.
 */
static bool has_steps_of_losses(const struct page *page) {
    const struct topic *topic = collection_find(page->collection, "loss");
    for (size_t i = 0; topic && i < topic->count; i++) {
        if (topic->lines[i].key.tag == 0 && topic->lines[i].key.call > 0)
            return true;
    }
    return false;
}

static void write_tiles(const struct page *page) {
    FILE *out = page->out;
    const struct survey *survey = page->survey;
    struct nauha_trace_info info;
    char text[96], a[32], b[32];
    uint64_t parameters = 0, stored = 0, published = 0, lost = 0;
    bool known = false, complete = true;
    for (uint32_t m = 0; m < nauha_names_modules(page->opened->names); m++)
        parameters += page_parameters(page, m, &known);
    for (size_t i = 0; i < page->opened->trace_count; i++) {
        nauha_trace_get_info(page->opened->traces[i], &info);
        stored += info.bytes_stored;
        published += info.bytes_published;
        lost += info.messages_lost;
        complete = complete && info.complete;
    }
    const size_t findings = nauha_pipeline_findings(page->pipeline);
    fputs("<dl class=tiles>\n", out);
    const char *loss_series = has_steps_of_losses(page) ? "step_loss" : "loss";
    const struct curve *loss = only_curve(page, loss_series);
    write_last(page, loss_series, "Last loss", NULL);
    write_last(page, "train_accuracy", "Training accuracy", loss);
    write_last(page, "test_accuracy", "Test accuracy", loss);
    open_tile(out, "Steps", "");
    fputs(nauha__count_text(survey->messages ? survey->last_step - survey->first_step + 1 : 0, a),
          out);
    snprintf(text, sizeof text, "%" PRIu64 " epoch%s", survey->epoch_count + (survey->messages > 0),
             survey->epoch_count == 0 && survey->messages ? "" : "s");
    close_tile(out, text);
    if (known) {
        open_tile(out, "Parameters", "");
        fputs(nauha__count_text(parameters, a), out);
        close_tile(out, NULL);
    }
    open_tile(out, "Findings", findings ? "bad" : "good");
    fprintf(out, "<a href=\"#health\">%zu</a>", findings);
    close_tile(out, NULL);
    open_tile(out, page->opened->trace_count > 1 ? "Traces" : "Trace", complete ? "" : "bad");
    fputs(nauha__size_text(stored, a), out);
    snprintf(text, sizeof text, "%.0f %% of %s%s",
             published ? 100 * (double)stored / (double)published : 0,
             nauha__size_text(published, b),
             lost       ? ", with losses"
             : complete ? ""
                        : ", incomplete");
    close_tile(out, published ? text : "");
    fputs("</dl>\n</header>\n", out);
}

static void write_navigation(FILE *out) {
    fputs("<nav><a href=\"#curves\">Curves</a> <a href=\"#health\">Health</a> "
          "<a href=\"#modules\">Modules</a> <a href=\"#histograms\">Histograms</a> "
          "<a href=\"#model\">Model</a> <a href=\"#trace\">Trace</a></nav>\n<main>\n",
          out);
}

/* ---- pictures ---- */

static void write_curves(struct page *page, enum nauha_scope scope) {
    size_t drawn = 0;
    fputs("<div class=charts>\n", page->out);
    for (size_t i = 0; i < page->collection->count; i++) {
        const struct topic *topic = &page->collection->topics[i];
        const struct chart chart = {topic, page->survey, page->opened->names};
        if (topic->scope == scope &&
            (strcmp(topic->series, "step_loss") != 0 || has_steps_of_losses(page)))
            drawn += chart_lines(page->out, &chart);
    }
    fputs("</div>\n", page->out);
    if (drawn == 0)
        fprintf(page->out, "<p class=none>The chosen messages have nothing for this: %s.</p>\n",
                scope == NAUHA_SCOPE_NETWORK
                    ? "no loss, and no outputs and labels of a classification"
                    : "no elements of weights, gradients, updates or activations");
}

static void write_histograms(struct page *page) {
    FILE *out = page->out;
    size_t drawn = 0;
    fputs("<section id=histograms>\n<h2>Histograms</h2>\n", out);
    for (size_t i = 0; i < page->collection->count; i++) {
        const struct topic *topic = &page->collection->topics[i];
        const struct chart chart = {topic, page->survey, page->opened->names};
        if (topic->form != NAUHA_FORM_HISTOGRAM || topic->count == 0)
            continue;
        fputs("<details open><summary><h3>", out);
        html_text(out, topic->title);
        fputs("</h3></summary>\n<p class=none>Values upwards, steps to the right; the darker, the "
              "more elements have the value, for each step compared with its commonest one.</p>\n"
              "<div class=ridges>\n",
              out);
        for (size_t j = 0; j < topic->count; j++)
            drawn += chart_ridge(out, &chart, &topic->lines[j], page->pictures++);
        fputs("</div></details>\n", out);
    }
    if (drawn == 0)
        fputs("<p class=none>The chosen messages have no elements of weights or gradients.</p>\n",
              out);
    fputs("</section>\n", out);
}

void page_write(struct page *page) {
    FILE *out = page->out;
    write_head(page);
    write_tiles(page);
    write_navigation(out);
    fputs("<section id=curves>\n<h2>Curves</h2>\n", out);
    write_curves(page, NAUHA_SCOPE_NETWORK);
    fputs("</section>\n", out);
    page_health(page);
    fputs("<section id=modules>\n<h2>Modules over steps</h2>\n", out);
    write_curves(page, NAUHA_SCOPE_MODULE);
    fputs("</section>\n", out);
    write_histograms(page);
    page_model(page);
    page_trace(page);
    char version[64];
    nauha_version(NAUHA_VERSION_LIBRARY, version, sizeof version);
    fprintf(out, "</main>\n<footer>Made by nauha %s with <code>", version);
    html_text(out, page->command);
    fprintf(out,
            "</code></footer>\n<div id=tip role=status "
            "hidden></div>\n<script>\n%s</script>\n</body>\n</html>\n",
            report_js);
}
