/* SPDX-License-Identifier: MIT */
/* How many elements are NaN or infinite, and where the first of them is. */
#include <math.h>
#include "analyzers/support/kinds.h"

#define DIMS_MAX 8u

struct nonfinite {
    const struct nauha_host *host;
    struct kind_topics nans, infs, first;
    size_t dims;
    struct kind_topics positions[DIMS_MAX]; /* indices of the first one, in `dims` dimensions */
};

static enum nauha_status register_topics(struct nonfinite *nonfinite,
                                         const struct nauha_analyzer_config *config,
                                         struct nauha_error *err) {
    const struct nauha_host *host = nonfinite->host;
    static const struct kind_topics_plan nans = {.suffix = "_nans",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "NaN elements",
                                                 .ylabel = "elements",
                                                 .axis = KIND_AXIS_COUNT};
    static const struct kind_topics_plan infs = {.suffix = "_infs",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Infinite elements",
                                                 .ylabel = "elements",
                                                 .axis = KIND_AXIS_COUNT};
    static const struct kind_topics_plan first = {.suffix = "_first_nonfinite",
                                                  .scope = NAUHA_SCOPE_MODULE,
                                                  .form = NAUHA_FORM_SCALAR,
                                                  .title = "First element that is not finite",
                                                  .ylabel = "index (row-major)",
                                                  .axis = KIND_AXIS_COUNT};
    enum nauha_status status = kind_topics_register(&nonfinite->nans, host, config, &nans, err);
    if (status == NAUHA_OK)
        status = kind_topics_register(&nonfinite->infs, host, config, &infs, err);
    if (status == NAUHA_OK)
        status = kind_topics_register(&nonfinite->first, host, config, &first, err);
    for (size_t d = 0; d < nonfinite->dims && status == NAUHA_OK; d++) {
        char suffix[48], note[48];
        snprintf(suffix, sizeof suffix, "_first_nonfinite_dim%zu", d);
        snprintf(note, sizeof note, ", dimension %zu", d);
        const struct kind_topics_plan position = {.suffix = suffix,
                                                  .scope = NAUHA_SCOPE_MODULE,
                                                  .form = NAUHA_FORM_SCALAR,
                                                  .title = "First element that is not finite",
                                                  .note = note,
                                                  .ylabel = "index",
                                                  .axis = KIND_AXIS_COUNT};
        status = kind_topics_register(&nonfinite->positions[d], host, config, &position, err);
    }
    return status;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    struct nonfinite *nonfinite = calloc(1, sizeof *nonfinite);
    if (!nonfinite)
        return NAUHA_HOST_NOMEM(host, err);
    nonfinite->host = host;
    nonfinite->dims = (size_t)config->values[0].integer;
    enum nauha_status status = register_topics(nonfinite, config, err);
    if (status != NAUHA_OK) {
        free(nonfinite);
        return status;
    }
    *self = nonfinite;
    return NAUHA_OK;
}

static enum nauha_status publish_first(struct nonfinite *nonfinite,
                                       const struct nauha_message_info *info, uint64_t at,
                                       struct nauha_error *err) {
    const struct nauha_host *host = nonfinite->host;
    const size_t i = kind_topics_find(&nonfinite->first, info);
    enum nauha_status status =
        host->publish_scalar(host, nonfinite->first.rows[i].topic, info, (double)at, err);
    uint64_t inner = 1;
    for (uint32_t d = info->ndim; d > 0 && status == NAUHA_OK; d--) {
        const uint64_t length = (uint64_t)info->shape[d - 1];
        if (d - 1 < nonfinite->dims)
            status = host->publish_scalar(host, nonfinite->positions[d - 1].rows[i].topic, info,
                                          (double)(at / inner % length), err);
        inner *= length;
    }
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct nonfinite *nonfinite = self;
    const struct nauha_host *host = nonfinite->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&nonfinite->nans, info);
    status =
        host->publish_scalar(host, nonfinite->nans.rows[i].topic, info, (double)stats->nans, err);
    if (status == NAUHA_OK)
        status = host->publish_scalar(host, nonfinite->infs.rows[i].topic, info,
                                      (double)stats->infs, err);
    if (status == NAUHA_OK && stats->first_nonfinite != UINT64_MAX)
        status = publish_first(nonfinite, info, stats->first_nonfinite, err);
    return status;
}

static const struct nauha_analyzer_parameter parameters[] = {
    {"dims", NAUHA_PARAMETER_INTEGER, "0", 0, DIMS_MAX,
     "also publish the index of the first such element along each of the first N dimensions"},
};

NAUHA_ANALYZER(nonfinite) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "nonfinite",
    .summary = "number of NaN and of infinite elements, and where the first of them is",
    .formula = "count(isnan(x)), count(|x| == inf), and if there is such an element, the row-major "
               "index of the first one, counted from 0 (numpy.unravel_index converts it)",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND | NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
