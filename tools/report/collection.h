/* SPDX-License-Identifier: MIT */
/* What the metrics of a report publish, kept until the page is written.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_REPORT_COLLECTION_H
#define NAUHA_TOOLS_REPORT_COLLECTION_H

#include "nauha/pipeline.h"
#include "tools/report/curves.h"

/* How many calls of a network's function in one step are distinguished, such as the losses of two
 * networks. */
#define COLLECTION_CALLS 8u

/* One line, or one picture of a histogram. The messages of a module form one line, whatever their
 * rank and call. */
struct line {
    struct line_key {
        uint32_t module, slot, tag, call, rank;
    } key;
    struct curve curve;
    struct ridge ridge;
};

/* What is published as one topic. */
struct topic {
    struct collection *collection;
    struct nauha_subscriber *subscriber;
    const char *series; /* borrowed from the pipeline */
    uint32_t kind;
    enum nauha_form form;
    enum nauha_scope scope;
    char *title, *ylabel;
    double y_low, y_high; /* NaN: free */
    bool log;
    struct line *lines; /* sorted by collection_sort */
    size_t count, capacity;
    struct found *found;
};

struct collection {
    struct topic *topics;
    size_t count;
    uint64_t origin; /* first step */
};

/* Subscribes to what the first `metrics` metrics of a started pipeline publish. INVALID: two of
 * them publish the same series. Release with collection_fini after the pipeline is freed. */
enum nauha_status collection_init(struct collection *collection, struct nauha_pipeline *pipeline,
                                  size_t metrics, uint64_t first_step, struct nauha_error *err);
void collection_fini(struct collection *collection);
/* Sorts the lines in the order of modules; to be called once everything has been published. */
void collection_sort(struct collection *collection);
/* The topic of a series; NULL: there is none. */
const struct topic *collection_find(const struct collection *collection, const char *series);

#endif
