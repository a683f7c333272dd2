/* SPDX-License-Identifier: MIT */
/* The facts about the traces themselves; see page.h.
 *
 * Threads: the main thread.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tools/report/html.h"
#include "tools/report/page.h"
#include "tools/cli/terminal.h"

static void row(FILE *out, const char *key, const char *value) {
    fputs("<tr><th scope=row>", out);
    html_text(out, key);
    fputs("</th><td>", out);
    html_text(out, value);
    fputs("</td></tr>\n", out);
}

static void write_facts(FILE *out, const struct nauha_trace *trace,
                        const struct nauha_trace_info *info) {
    const char *key, *value;
    char text[256], a[32], b[32];
    fputs("<div class=scroll tabindex=0 role=region aria-label=\"Facts\"><table class=facts>"
          "<tbody>\n",
          out);
    row(out, "file", info->path);
    for (size_t i = 0; nauha_trace_fact(trace, i, &key, &value); i++)
        row(out, key, value);
    if (*nauha__created_text(info, text))
        row(out, "recorded", text);
    row(out, "state", nauha__state_text(info));
    if (info->failure[0])
        row(out, "failure", info->failure);
    if (info->world_size > 1) {
        snprintf(text, sizeof text, "%" PRIu32 " of %" PRIu32, info->rank, info->world_size);
        row(out, "rank", text);
    }
    snprintf(text, sizeof text, "%" PRIu64 ", from step %" PRIu64, info->steps, info->first_step);
    row(out, "steps", text);
    row(out, "messages", nauha__count_text(info->messages, a));
    row(out, "published", nauha__size_text(info->bytes_published, a));
    row(out, "stored", nauha__stored_text(info, text));
    row(out, "duration", nauha__duration_text((double)info->duration_ns * 1e-9, a));
    if (info->messages_lost)
        snprintf(text, sizeof text, "%s messages, %s", nauha__count_text(info->messages_lost, a),
                 nauha__size_text(info->bytes_lost, b));
    row(out, "lost", info->messages_lost ? text : "nothing");
    fputs("</tbody></table></div>\n", out);
}

static void write_bytes(FILE *out, uint64_t bytes) {
    char text[32];
    html_number_cell(out, bytes ? (double)bytes : (double)NAN,
                     bytes ? nauha__size_text(bytes, text) : NULL);
}

static void write_kinds(const struct page *page, const struct nauha_trace *trace, size_t which) {
    static const struct html_column columns[] = {
        {"Kind", NULL, false},
        {"Messages", NULL, true},
        {"Published", "bytes of their elements", true},
        {"Stored", "bytes they take in the file; updates are computed from weights", true},
    };
    const struct nauha_names *names = page->opened->names;
    FILE *out = page->out;
    char id[32], text[32];
    snprintf(id, sizeof id, "kinds-%zu", which);
    html_table(out, id, "Kinds", columns, sizeof columns / sizeof *columns);
    for (uint32_t kind = 0; kind < nauha_names_kinds(names); kind++) {
        uint64_t messages, bytes;
        nauha_trace_kind_totals(trace, kind, &messages, &bytes);
        if (messages == 0)
            continue;
        fputs("<tr><th scope=row>", out);
        html_text(out, nauha_names_kind(names, kind));
        fputs("</th>", out);
        html_number_cell(out, (double)messages, nauha__count_text(messages, text));
        write_bytes(out, bytes);
        write_bytes(out, nauha_trace_kind_stored(trace, kind));
        fputs("</tr>\n", out);
    }
    html_table_end(out);
}

static void write_losses(const struct page *page, const struct nauha_trace *trace, size_t which) {
    static const struct html_column columns[] = {{"Not kept", NULL, false},
                                                 {"Why", NULL, false},
                                                 {"Messages", NULL, true},
                                                 {"Bytes", NULL, true}};
    FILE *out = page->out;
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    char id[32], text[32];
    if (!nauha_trace_loss(trace, 0, &kind, &reason, &messages, &bytes))
        return;
    snprintf(id, sizeof id, "losses-%zu", which);
    html_table(out, id, "What was not kept", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; nauha_trace_loss(trace, i, &kind, &reason, &messages, &bytes); i++) {
        fputs("<tr><th scope=row>", out);
        html_text(out, nauha_names_kind(page->opened->names, kind));
        fputs("</th><td>", out);
        html_text(out, reason);
        fputs("</td>", out);
        html_number_cell(out, (double)messages, nauha__count_text(messages, text));
        write_bytes(out, bytes);
        fputs("</tr>\n", out);
    }
    html_table_end(out);
}

static void write_dumps(const struct page *page, const struct nauha_trace *trace,
                        const struct nauha_trace_info *info, size_t which) {
    static const struct html_column columns[] = {
        {"In full", NULL, false}, {"Asked for in step", NULL, true}, {"Why", NULL, false}};
    FILE *out = page->out;
    struct nauha_trace_dump dump;
    char text[64];
    if (!nauha_trace_get_dump(trace, 0, &dump))
        return;
    snprintf(text, sizeof text, "dumps-%zu", which);
    html_table(out, text, "What the flight recorder wrote in full", columns,
               sizeof columns / sizeof *columns);
    for (size_t i = 0; nauha_trace_get_dump(trace, i, &dump); i++) {
        fprintf(out, "<tr><th scope=row>%s</th>", nauha__dump_text(info, &dump, text));
        html_number_cell(out, (double)dump.step, nauha__count_text(dump.step, text));
        fputs("<td>", out);
        html_text(out, dump.reason);
        fputs("</td></tr>\n", out);
    }
    html_table_end(out);
}

void page_trace(struct page *page) {
    FILE *out = page->out;
    fprintf(out, "<section id=trace>\n<h2>Trace%s</h2>\n",
            page->opened->trace_count > 1 ? "s" : "");
    for (size_t i = 0; i < page->opened->trace_count; i++) {
        struct nauha_trace_info info;
        nauha_trace_get_info(page->opened->traces[i], &info);
        if (page->opened->trace_count > 1)
            fprintf(out, "<details%s><summary><h3>Rank %" PRIu32 "</h3></summary>\n",
                    i == 0 ? " open" : "", info.rank);
        write_facts(out, page->opened->traces[i], &info);
        write_losses(page, page->opened->traces[i], i);
        write_dumps(page, page->opened->traces[i], &info, i);
        write_kinds(page, page->opened->traces[i], i);
        if (page->opened->trace_count > 1)
            fputs("</details>\n", out);
    }
    fputs("</section>\n", out);
}
