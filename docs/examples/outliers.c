/* A metric for nauha, as a plugin: which fraction of a tensor lies far from its mean.
 *
 *     cc -O2 $(pkg-config --cflags nauha-plugin) outliers.c -o outliers.so -lm
 *     nauha replay run.h5 --plugin ./outliers.so --metric outliers:weights:sigmas=4
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <nauha/analyzer.h>

/* One metric that a user asked for. */
struct outliers {
    const struct nauha_host *host; /* what nauha offers: see struct nauha_host */
    double sigmas;
    uint32_t topic;
};

/* Called once, with the kinds and parameters of the SPEC. */
static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    char name[512];
    struct outliers *outliers = calloc(1, sizeof *outliers);
    if (!outliers)
        return NAUHA_HOST_NOMEM(host, err);
    outliers->host = host;
    outliers->sigmas = config->values[0].real; /* in the order of the table below */
    snprintf(name, sizeof name, "%s_outliers", config->kinds[0]);
    enum nauha_status status = host->register_topic(host, name, NAUHA_SCOPE_MODULE,
                                                    NAUHA_FORM_SCALAR, NULL, &outliers->topic, err);
    if (status != NAUHA_OK) {
        free(outliers);
        return status;
    }
    *self = outliers;
    return NAUHA_OK;
}

/* What a walk over a tensor needs to know and finds out. */
struct count {
    const struct nauha_host *host;
    double low, high;
    uint64_t outside;
};

/* A tensor comes in pieces, so that it may be larger than memory. */
static enum nauha_status count_piece(void *context, const struct nauha_tensor *piece,
                                     uint64_t first, struct nauha_error *err) {
    struct count *count = context;
    double x[1024];
    const size_t n = (size_t)piece->shape[0];
    (void)first;
    (void)err;
    for (size_t done = 0; done < n; done += 1024) {
        const size_t take = n - done < 1024 ? n - done : 1024;
        count->host->to_f64(piece, done, take, x); /* whatever type it has */
        for (size_t i = 0; i < take; i++)
            count->outside += x[i] < count->low || x[i] > count->high;
    }
    return NAUHA_OK;
}

/* Called for each message. Errors are returned, never printed. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct outliers *outliers = self;
    const struct nauha_host *host = outliers->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_stats *stats;
    enum nauha_status status = host->stats(message, &stats, err); /* shared by all metrics */
    if (status != NAUHA_OK)
        return status;
    const double sigma = sqrt(stats->deviations / (double)stats->count);
    struct count count = {host, stats->mean - outliers->sigmas * sigma,
                          stats->mean + outliers->sigmas * sigma, 0};
    status = host->for_each_piece(message, count_piece, &count, err);
    if (status != NAUHA_OK)
        return status;
    return host->publish_scalar(host, outliers->topic, host->info(message),
                                (double)count.outside / (double)stats->count, err);
}

/* key, type, default, least and greatest value, help */
static const struct nauha_analyzer_parameter parameters[] = {
    {"sigmas", NAUHA_PARAMETER_REAL, "3", 0, (double)INFINITY,
     "standard deviations from the mean that are not far"},
};

NAUHA_ANALYZER(outliers) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "outliers",
    .summary = "fraction of the elements that lie far from the mean",
    .formula = "count(|x - mean| > sigmas * sqrt(sum((x - mean)^2) / n)) / n",
    .flags = NAUHA_ANALYZER_PER_MODULE,
    .min_kinds = 1,
    .max_kinds = 1,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = free,
};
