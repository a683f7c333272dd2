/* SPDX-License-Identifier: MIT */
/* Metrics that are one expression of a message's statistics: a row for each, below. */
#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

typedef double (*value_fn)(const struct nauha_stats *stats);

struct statistic {
    const struct nauha_host *host;
    unsigned which; /* of enum nauha_statistics: those that `value` uses */
    int power;      /* elements multiplied by two multiply the value by 2^power */
    value_fn value;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config,
                                const struct kind_topics_plan *plan, unsigned which, int power,
                                value_fn value, void **self, struct nauha_error *err) {
    struct statistic *statistic = calloc(1, sizeof *statistic);
    if (!statistic)
        return NAUHA_HOST_NOMEM(host, err);
    statistic->host = host;
    statistic->which = which;
    statistic->power = power;
    statistic->value = value;
    enum nauha_status status = kind_topics_register(&statistic->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(statistic);
        return status;
    }
    *self = statistic;
    return NAUHA_OK;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct statistic *statistic = self;
    const struct nauha_host *host = statistic->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct scaled scaled;
    enum nauha_status status = scaled_stats(host, message, statistic->which, &scaled, err);
    if (status != NAUHA_OK)
        return status;
    const size_t i = kind_topics_find(&statistic->topics, info);
    return host->publish_scalar(
        host, statistic->topics.rows[i].topic, info,
        ldexp(statistic->value(&scaled.stats), statistic->power * scaled.exponent), err);
}

/* Extremes are those of NumPy. */
static double unless_nan(const struct nauha_stats *stats, double value) {
    return stats->nans > 0 ? (double)NAN : value;
}

/* ---- the rows ---- */

/* VALUE: an expression of `stats`; WHICH and POWER: see struct statistic. */
#define STATISTIC(ID, VALUE, WHICH, POWER, TITLE, YLABEL, LOG_Y, SUMMARY, FORMULA)                 \
    static double ID##_value(const struct nauha_stats *stats) {                                    \
        return VALUE;                                                                              \
    }                                                                                              \
    static enum nauha_status ID##_create(const struct nauha_host *host,                            \
                                         const struct nauha_analyzer_config *config, void **self,  \
                                         struct nauha_error *err) {                                \
        static const struct kind_topics_plan plan = {.suffix = "_" #ID,                            \
                                                     .scope = NAUHA_SCOPE_MODULE,                  \
                                                     .form = NAUHA_FORM_SCALAR,                    \
                                                     .title = TITLE,                               \
                                                     .ylabel = YLABEL,                             \
                                                     .log_y = LOG_Y};                              \
        return create(host, config, &plan, NAUHA_STATISTICS_##WHICH, POWER, ID##_value, self,      \
                      err);                                                                        \
    }                                                                                              \
    NAUHA_ANALYZER(ID) = {                                                                         \
        .abi = NAUHA_ANALYZER_ABI,                                                                 \
        .size = sizeof(struct nauha_analyzer),                                                     \
        .name = #ID,                                                                               \
        .summary = SUMMARY,                                                                        \
        .formula = FORMULA,                                                                        \
        .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND | NAUHA_ANALYZER_STATISTICS,  \
        .min_kinds = 1,                                                                            \
        .max_kinds = KINDS_MAX,                                                                    \
        .create = ID##_create,                                                                     \
        .compute = compute,                                                                        \
        .destroy = free,                                                                           \
    };

STATISTIC(mean, stats->mean, SUM, 1, "Mean", "mean", false, "mean of all elements",
          "sum(x) / n; NaN for an empty tensor")

STATISTIC(sum, stats->sum, SUM, 1, "Sum", "sum", false, "sum of all elements", "sum(x)")

STATISTIC(variance, stats->count > 1 ? stats->deviations / (double)(stats->count - 1) : (double)NAN,
          DEVIATIONS, 2, "Variance", "variance", false, "unbiased variance of all elements",
          "sum((x - mean(x))^2) / (n - 1); NaN for fewer than two elements")

STATISTIC(min, unless_nan(stats, stats->min), RANGE, 1, "Minimum", "minimum", false,
          "smallest element",
          "min(x), as numpy.min; NaN if an element is NaN, and for an empty tensor")

STATISTIC(max, unless_nan(stats, stats->max), RANGE, 1, "Maximum", "maximum", false,
          "largest element",
          "max(x), as numpy.max; NaN if an element is NaN, and for an empty tensor")

STATISTIC(absmax, unless_nan(stats, stats->abs_max), RANGE, 1, "Largest magnitude", "magnitude",
          true, "largest magnitude of all elements",
          "max(|x|); NaN if an element is NaN, and for an empty tensor")

STATISTIC(rms, sqrt(stats->sum_squares / (double)stats->count), SUM_SQUARES, 1, "Root mean square",
          "rms", true, "root mean square of all elements",
          "sqrt(sum(x^2) / n); NaN for an empty tensor")
