/* SPDX-License-Identifier: MIT */
/* The page of a report: one HTML file with everything in it.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_PAGE_H
#define NAUHA_TOOLS_REPORT_PAGE_H

#include <stdio.h>

#include "tools/report/collection.h"
#include "tools/report/survey.h"
#include "tools/commands/runs.h"

/* Tells a page of ours from others, near its beginning. */
#define PAGE_MARK "<meta name=generator content=nauha>"

struct page {
    FILE *out;
    const char *title;
    const char *command; /* what made it */
    const struct opened *opened;
    const struct survey *survey;
    const struct collection *collection;
    const struct nauha_pipeline *pipeline;
    size_t metrics; /* of the pipeline, before its rules */
    size_t pictures;
};

/* Errors stay in page->out, for ferror. */
void page_write(struct page *page);

/* Its sections. */
void page_health(struct page *page);
void page_model(struct page *page);
void page_trace(struct page *page);

/* Elements of a module's own parameters; *known: there are any in the trace. */
uint64_t page_parameters(const struct page *page, uint32_t module, bool *known);
/* The name as a reader knows it: "(root)" for the empty one. */
const char *page_module(const struct page *page, uint32_t module);
/* "NUMBER noun" or "NUMBER nouns". */
void page_count(FILE *out, uint64_t count, const char *noun);

/* What the stylesheet and the script consist of, built in. */
extern const char report_css[], report_js[];

#endif
