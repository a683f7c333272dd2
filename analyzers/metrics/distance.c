/* SPDX-License-Identifier: MIT */
/* How far a tensor has come from the first one of its key, such as weights from where they were
 * initialised. */
#include "analyzers/support/kept.h"

struct distance {
    const struct nauha_host *host;
    struct kind_topics absolute, relative;
    struct kept_tensors first;
};

static void destroy(void *self) {
    struct distance *distance = self;
    kept_tensors_fini(&distance->first);
    free(distance);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan absolute = {.suffix = "_distance",
                                                     .scope = NAUHA_SCOPE_MODULE,
                                                     .form = NAUHA_FORM_SCALAR,
                                                     .title = "Distance from the start",
                                                     .ylabel = "L2 distance"};
    static const struct kind_topics_plan relative = {.suffix = "_relative_distance",
                                                     .scope = NAUHA_SCOPE_MODULE,
                                                     .form = NAUHA_FORM_SCALAR,
                                                     .title = "Relative distance from the start",
                                                     .ylabel =
                                                         "L2 distance / L2 norm at the start"};
    struct distance *distance = calloc(1, sizeof *distance);
    if (!distance)
        return NAUHA_HOST_NOMEM(host, err);
    distance->host = host;
    kept_tensors_init(&distance->first, host, config->values[0].integer);
    enum nauha_status status =
        kind_topics_register(&distance->absolute, host, config, &absolute, err);
    if (status == NAUHA_OK)
        status = kind_topics_register(&distance->relative, host, config, &relative, err);
    if (status != NAUHA_OK) {
        destroy(distance);
        return status;
    }
    *self = distance;
    return NAUHA_OK;
}

/* Sums over differences, which are multiplied by 2^-exponent. */
struct differences {
    int exponent;
    double factor;
    struct block_sum squares;
    double largest; /* magnitude */
};

static void add_squares(void *context, const double *x, const double *earlier, size_t n) {
    struct differences *differences = context;
    double squares[BLOCK];
    for (size_t i = 0; i < n; i++) {
        const double apart = x[i] * differences->factor - earlier[i] * differences->factor;
        squares[i] = apart * apart;
    }
    block_sum_add(&differences->squares, squares, n);
}

static void find_largest(void *context, const double *x, const double *earlier, size_t n) {
    struct differences *differences = context;
    for (size_t i = 0; i < n; i++) {
        const double apart = fabs(x[i] * differences->factor - earlier[i] * differences->factor);
        if (!(apart <= differences->largest))
            differences->largest = apart;
    }
}

static enum nauha_status subtract(struct distance *distance, const struct kept *first,
                                  struct nauha_message *message, int exponent,
                                  struct differences *differences, struct nauha_error *err) {
    *differences = (struct differences){.exponent = exponent, .factor = scaled_factor(exponent)};
    return kept_tensors_compare(&distance->first, first, message, add_squares, differences, err);
}

/* Computes the differences of float64 again, scaled, after their squares over- or underflowed. */
static enum nauha_status subtract_scaled(struct distance *distance, const struct kept *first,
                                         struct nauha_message *message,
                                         struct differences *differences, struct nauha_error *err) {
    struct differences halves = {.factor = 0.5}; /* halves, whose difference cannot overflow */
    enum nauha_status status =
        kept_tensors_compare(&distance->first, first, message, find_largest, &halves, err);
    if (status != NAUHA_OK || !(halves.largest > 0 && isfinite(halves.largest)))
        return status;
    const int exponent = ilogb(halves.largest) + 1;
    return subtract(distance, first, message, exponent > -1000 ? exponent : -1000, differences,
                    err);
}

static enum nauha_status publish(struct distance *distance, const struct nauha_message_info *info,
                                 const struct differences *differences, const struct kept *first,
                                 struct nauha_error *err) {
    const struct nauha_host *host = distance->host;
    const double value = sqrt(block_sum_total(&differences->squares));
    const double relative = value / sqrt(first->squares.stats.sum_squares);
    const size_t i = kind_topics_find(&distance->absolute, info);
    enum nauha_status status = host->publish_scalar(host, distance->absolute.rows[i].topic, info,
                                                    ldexp(value, differences->exponent), err);
    if (status == NAUHA_OK)
        status = host->publish_scalar(
            host, distance->relative.rows[i].topic, info,
            ldexp(relative, differences->exponent - first->squares.exponent), err);
    return status;
}

/* If the shape differs from that of the first tensor, the distance starts anew from this one. */
static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct distance *distance = self;
    const struct nauha_host *host = distance->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct kept *first = kept_tensors_get(&distance->first, info);
    if (!first)
        return NAUHA_HOST_NOMEM(host, err);
    if (!kept_is_alike(first, info)) {
        struct scaled squares;
        enum nauha_status status =
            scaled_stats(host, message, NAUHA_STATISTICS_SUM_SQUARES, &squares, err);
        if (status == NAUHA_OK)
            status = kept_tensors_keep(&distance->first, first, message, &squares, err);
        if (status != NAUHA_OK)
            return status;
    }
    struct differences differences;
    enum nauha_status status = subtract(distance, first, message, 0, &differences, err);
    if (status == NAUHA_OK && info->dtype == NAUHA_DTYPE_F64 &&
        scaled_is_lost(block_sum_total(&differences.squares)))
        status = subtract_scaled(distance, first, message, &differences, err);
    return status == NAUHA_OK ? publish(distance, info, &differences, first, err) : status;
}

static const struct nauha_analyzer_parameter parameters[] = {KEPT_PARAMETER};

NAUHA_ANALYZER(distance) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "distance",
    .summary = "distance of a tensor from its first value, absolute and relative",
    .formula =
        "|x_t - x_0|_2, and |x_t - x_0|_2 / |x_0|_2, where x_0 is the first value that is replayed",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
    .cost = 10,
};
