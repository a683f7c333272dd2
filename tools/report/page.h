/* SPDX-License-Identifier: MIT */
/* The page of a report: one HTML file that needs no others.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_PAGE_H
#define NAUHA_TOOLS_REPORT_PAGE_H

#include <stdio.h>

#include "tools/report/collection.h"
#include "tools/report/survey.h"
#include "tools/commands/runs.h"

/* The text near the beginning of a page by which a page of nauha is recognised. */
#define PAGE_MARK "<meta name=generator content=nauha>"

struct page {
    FILE *out;
    const char *title;
    const char *command; /* the command line that made it */
    const struct opened *opened;
    const struct survey *survey;
    const struct collection *collection;
    const struct nauha_pipeline *pipeline;
    size_t metrics; /* number of metrics in the pipeline, before its rules */
    size_t pictures;
};

/* Writes the page. Errors stay in page->out, for ferror. */
void page_write(struct page *page);

/* Write its sections. */
void page_health(struct page *page);
void page_model(struct page *page);
void page_trace(struct page *page);

/* The number of elements of a module's own parameters; *known: the trace has any. */
uint64_t page_parameters(const struct page *page, uint32_t module, bool *known);
/* The name of a module as a reader knows it: "(root)" for the empty one. */
const char *page_module(const struct page *page, uint32_t module);
/* Writes "NUMBER noun" or "NUMBER nouns". */
void page_count(FILE *out, uint64_t count, const char *noun);

/* The stylesheet and the script, which are built into the program. */
extern const char report_css[], report_js[];

#endif
