/* SPDX-License-Identifier: MIT */
/* Metrics of the central moments of a message's elements: a row each, below. */
#include "analyzers/support/kinds.h"
#include "analyzers/support/scaled.h"

/* Means of (x - mean)^k, of elements that may have been multiplied by a power of two. */
struct moments {
    double mean, second, third, fourth;
};

typedef double (*value_fn)(const struct moments *moments);

struct moments_metric {
    const struct nauha_host *host;
    value_fn value;
    struct kind_topics topics;
};

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config,
                                const struct kind_topics_plan *plan, value_fn value, void **self,
                                struct nauha_error *err) {
    struct moments_metric *metric = calloc(1, sizeof *metric);
    if (!metric)
        return NAUHA_HOST_NOMEM(host, err);
    metric->host = host;
    metric->value = value;
    enum nauha_status status = kind_topics_register(&metric->topics, host, config, plan, err);
    if (status != NAUHA_OK) {
        free(metric);
        return status;
    }
    *self = metric;
    return NAUHA_OK;
}

struct moment_sums {
    double factor;              /* by which elements are multiplied */
    double mean;                /* of the multiplied elements */
    struct block_sum powers[4]; /* of (x - mean)^(i + 1) */
};

static void add_block(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct moment_sums *sums = context;
    double powers[4][BLOCK];
    for (size_t i = 0; i < n; i++) {
        const double apart = x[i] * sums->factor - sums->mean, square = apart * apart;
        powers[0][i] = apart;
        powers[1][i] = square;
        powers[2][i] = square * apart;
        powers[3][i] = square * square;
    }
    for (size_t k = 0; k < 4; k++)
        block_sum_add(&sums->powers[k], powers[k], n);
}

/* The moments about the mean from those about its rounded value, by the binomial theorem. */
static struct moments moments_of(const struct moment_sums *sums, double n) {
    double m[4];
    for (size_t k = 0; k < 4; k++)
        m[k] = block_sum_total(&sums->powers[k]) / n;
    const double rest = m[0], square = rest * rest;
    return (struct moments){
        .mean = sums->mean,
        .second = m[1] - square,
        .third = m[2] - 3 * rest * m[1] + 2 * square * rest,
        .fourth = m[3] - 4 * rest * m[2] + 6 * square * m[1] - 3 * square * square,
    };
}

/* The moments of the elements times 2^-exponent. */
static enum nauha_status compute_scaled(const struct nauha_host *host,
                                        struct nauha_message *message,
                                        const struct nauha_stats *stats, int exponent,
                                        struct moments *moments, struct nauha_error *err) {
    struct scaled scaled = {.stats = *stats};
    enum nauha_status status = scaled_again(host, message, exponent, &scaled, err);
    struct moment_sums sums = {.factor = scaled_factor(exponent), .mean = scaled.stats.mean};
    if (status == NAUHA_OK)
        status = for_each_block(host, message, add_block, &sums, err);
    if (status == NAUHA_OK)
        *moments = moments_of(&sums, (double)scaled.stats.count);
    return status;
}

/* If fourth powers of float64 over- or underflow, the moments are computed again of scaled
 * elements. */
static enum nauha_status compute_moments(const struct nauha_host *host,
                                         struct nauha_message *message, struct moments *moments,
                                         struct nauha_error *err) {
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_MOMENTS, &stats, err);
    if (status != NAUHA_OK)
        return status;
    const double n = (double)stats->count;
    *moments = (struct moments){.mean = stats->mean,
                                .second = stats->deviations / n,
                                .third = stats->third / n,
                                .fourth = stats->fourth / n};
    const struct nauha_stats found = *stats;
    int exponent = 0;
    if (scaled_is_lost(found.fourth))
        status = scaled_exponent(host, message, &exponent, err);
    return status == NAUHA_OK && exponent != 0
               ? compute_scaled(host, message, &found, exponent, moments, err)
               : status;
}

/* NaN for a tensor that is constant except for the last digits, with the bound that scipy.stats
 * uses: its moments would be nothing but rounding errors. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct moments_metric *metric = self;
    const struct nauha_host *host = metric->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct moments moments;
    enum nauha_status status = compute_moments(host, message, &moments, err);
    if (status != NAUHA_OK)
        return status;
    const double rounding = 1e-15 * moments.mean;
    const bool constant = !(moments.second > rounding * rounding);
    const size_t i = kind_topics_find(&metric->topics, info);
    return host->publish_scalar(host, metric->topics.rows[i].topic, info,
                                constant ? (double)NAN : metric->value(&moments), err);
}

/* ---- the rows ---- */

/* VALUE: an expression of `moments`. */
#define MOMENT(ID, VALUE, TITLE, YLABEL, SUMMARY, FORMULA)                                         \
    static double ID##_value(const struct moments *moments) {                                      \
        return VALUE;                                                                              \
    }                                                                                              \
    static enum nauha_status ID##_create(const struct nauha_host *host,                            \
                                         const struct nauha_analyzer_config *config, void **self,  \
                                         struct nauha_error *err) {                                \
        static const struct kind_topics_plan plan = {.suffix = "_" #ID,                            \
                                                     .scope = NAUHA_SCOPE_MODULE,                  \
                                                     .form = NAUHA_FORM_SCALAR,                    \
                                                     .title = TITLE,                               \
                                                     .ylabel = YLABEL};                            \
        return create(host, config, &plan, ID##_value, self, err);                                 \
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
        .cost = 2,                                                                                 \
    };

MOMENT(skewness, moments->third / (moments->second * sqrt(moments->second)), "Skewness", "skewness",
       "skewness of the distribution of all elements",
       "m3 / m2^(3/2) with m_k = mean((x - mean(x))^k), as scipy.stats.skew with its defaults "
       "(biased); NaN for a constant or empty tensor")

MOMENT(kurtosis, moments->fourth / (moments->second * moments->second) - 3, "Excess kurtosis",
       "excess kurtosis",
       "excess kurtosis of the distribution of all elements (0 for a normal distribution)",
       "m4 / m2^2 - 3 with m_k = mean((x - mean(x))^k), as scipy.stats.kurtosis with its defaults "
       "(Fisher, biased); NaN for a constant or empty tensor")
