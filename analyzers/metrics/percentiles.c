/* SPDX-License-Identifier: MIT */
/* Percentiles of all elements, exact, without a copy of them. Doubles are mapped to integers of the
 * same order, their keys. A pass over the elements counts them in buckets of keys. The next pass
 * divides those buckets that hold a wanted element, and so on until the elements left are few
 * enough to be sorted, or are all equal. */
#include "analyzers/support/blocks.h"
#include "analyzers/support/kinds.h"

#define PERCENTILES_MAX 32u
#define BUCKETS 4096u
/* At most so many elements are sorted. */
#define SORTED_MAX 1024u

/* The wanted elements: one on each side of each percentile. */
#define WANTED_MAX (2 * PERCENTILES_MAX)

struct bucket {
    uint64_t count;
    uint64_t low, high; /* the smallest and the largest key in it */
};

/* The elements whose keys are from low to high, which include wanted ones. */
struct interval {
    uint64_t low, high;
    uint64_t below; /* number of smaller elements */
    uint64_t count;
    unsigned shift; /* from a key to its bucket */
    size_t filled;
    struct bucket *buckets; /* if count > SORTED_MAX */
    uint64_t *sorted;       /* otherwise; the keys */
};

struct percentiles {
    const struct nauha_host *host;
    size_t count;
    double percents[PERCENTILES_MAX];
    struct kind_topics *topics; /* one for each of percents */
    size_t wanted;
    uint64_t ranks[WANTED_MAX]; /* ranks of the wanted elements */
    double found[WANTED_MAX];
    size_t open;
    struct interval intervals[WANTED_MAX], next[WANTED_MAX];
    /* BUCKETS for each interval; intervals that are sorted use them for their keys */
    struct bucket *space;
};

static void destroy(void *self) {
    struct percentiles *percentiles = self;
    free(percentiles->topics);
    free(percentiles->space);
    free(percentiles);
}

static enum nauha_status register_topics(struct percentiles *percentiles,
                                         const struct nauha_analyzer_config *config,
                                         struct nauha_error *err) {
    for (size_t i = 0; i < percentiles->count; i++) {
        char suffix[48], note[48];
        snprintf(suffix, sizeof suffix, "_p%g", percentiles->percents[i]);
        snprintf(note, sizeof note, " (%g %%)", percentiles->percents[i]);
        const struct kind_topics_plan plan = {.suffix = suffix,
                                              .scope = NAUHA_SCOPE_MODULE,
                                              .form = NAUHA_FORM_SCALAR,
                                              .title = "Percentile",
                                              .note = note,
                                              .ylabel = "value"};
        enum nauha_status status =
            kind_topics_register(&percentiles->topics[i], percentiles->host, config, &plan, err);
        if (status != NAUHA_OK)
            return status;
    }
    return NAUHA_OK;
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    const size_t count = config->values[0].list.count;
    if (count > PERCENTILES_MAX)
        return host->fail(err, NAUHA_INVALID, "key \"q\" has %zu percentiles, more than %u", count,
                          PERCENTILES_MAX);
    struct percentiles *percentiles = calloc(1, sizeof *percentiles);
    if (!percentiles)
        return NAUHA_HOST_NOMEM(host, err);
    percentiles->host = host;
    percentiles->count = count;
    memcpy(percentiles->percents, config->values[0].list.items,
           count * sizeof *percentiles->percents);
    percentiles->topics = calloc(count, sizeof *percentiles->topics);
    percentiles->space = calloc(2 * count * BUCKETS, sizeof *percentiles->space);
    enum nauha_status status = percentiles->topics && percentiles->space
                                   ? register_topics(percentiles, config, err)
                                   : NAUHA_HOST_NOMEM(host, err);
    if (status != NAUHA_OK) {
        destroy(percentiles);
        return status;
    }
    *self = percentiles;
    return NAUHA_OK;
}

/* ---- keys ---- */

/* IEEE numbers of one sign are ordered as their bits are. -0 is 0. */
static uint64_t key_of(double x) {
    uint64_t bits;
    x += 0.0;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static double number_of(uint64_t key) {
    const uint64_t bits = key >> 63 ? key & ~((uint64_t)1 << 63) : ~key;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int compare_keys(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ---- one pass ---- */

static void add_to_interval(struct interval *interval, uint64_t key) {
    if (interval->sorted) {
        /* A tensor that changed since the last pass must not write past the end. */
        if (interval->filled < interval->count)
            interval->sorted[interval->filled++] = key;
        return;
    }
    struct bucket *bucket = &interval->buckets[(key - interval->low) >> interval->shift];
    if (bucket->count++ == 0)
        bucket->low = bucket->high = key;
    bucket->low = key < bucket->low ? key : bucket->low;
    bucket->high = key > bucket->high ? key : bucket->high;
}

/* Intervals are in ascending order, and few. */
static void add_block(void *context, const double *x, size_t n, uint64_t first) {
    (void)first;
    struct percentiles *percentiles = context;
    for (size_t i = 0; i < n; i++) {
        const uint64_t key = key_of(x[i]);
        size_t at = 0;
        while (at < percentiles->open && key > percentiles->intervals[at].high)
            at++;
        if (at < percentiles->open && key >= percentiles->intervals[at].low)
            add_to_interval(&percentiles->intervals[at], key);
    }
}

/* Stores x as the element of those wanted ranks that are among the `count` ranks from `below`
 * on. */
static size_t resolve(struct percentiles *percentiles, uint64_t below, uint64_t count, double x) {
    size_t wanted = 0;
    for (size_t i = 0; i < percentiles->wanted; i++) {
        if (percentiles->ranks[i] < below || percentiles->ranks[i] - below >= count)
            continue;
        percentiles->found[i] = x;
        wanted++;
    }
    return wanted;
}

/* Evaluates what a pass has counted in an interval; makes intervals of its buckets that hold wanted
 * elements. */
static void close_interval(struct percentiles *percentiles, struct interval *interval,
                           size_t *opened) {
    uint64_t below = interval->below;
    if (interval->sorted) {
        qsort(interval->sorted, interval->filled, sizeof *interval->sorted, compare_keys);
        for (size_t i = 0; i < interval->filled; i++)
            resolve(percentiles, below + i, 1, number_of(interval->sorted[i]));
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        const struct bucket *bucket = &interval->buckets[i];
        if (bucket->count == 0)
            continue;
        const size_t wanted = resolve(percentiles, below, bucket->count, number_of(bucket->low));
        if (wanted > 0 && bucket->low < bucket->high)
            percentiles->next[(*opened)++] = (struct interval){
                .low = bucket->low, .high = bucket->high, .below = below, .count = bucket->count};
        below += bucket->count;
    }
}

/* Allocates the memory of intervals[i]. */
static void prepare_interval(struct percentiles *percentiles, size_t i) {
    struct interval *interval = &percentiles->intervals[i];
    struct bucket *space = percentiles->space + i * BUCKETS;
    interval->filled = 0;
    if (interval->count <= SORTED_MAX) {
        interval->sorted = &space->count;
        return;
    }
    interval->buckets = space;
    memset(space, 0, BUCKETS * sizeof *space);
    while ((interval->high - interval->low) >> interval->shift >= BUCKETS)
        interval->shift++;
}

/* Finds the elements of the wanted ranks. */
static enum nauha_status select_elements(struct percentiles *percentiles,
                                         struct nauha_message *message,
                                         const struct nauha_stats *stats, struct nauha_error *err) {
    percentiles->open = 1;
    percentiles->intervals[0] = (struct interval){
        .low = key_of(stats->min), .high = key_of(stats->max), .count = stats->count};
    while (percentiles->open > 0) {
        for (size_t i = 0; i < percentiles->open; i++)
            prepare_interval(percentiles, i);
        enum nauha_status status =
            for_each_block(percentiles->host, message, add_block, percentiles, err);
        if (status != NAUHA_OK)
            return status;
        size_t opened = 0;
        for (size_t i = 0; i < percentiles->open; i++)
            close_interval(percentiles, &percentiles->intervals[i], &opened);
        memcpy(percentiles->intervals, percentiles->next, opened * sizeof *percentiles->next);
        percentiles->open = opened;
    }
    return NAUHA_OK;
}

/* ---- the percentile ---- */

/* Interpolates as numpy.percentile does. Equal neighbours are not subtracted, nor those of which
 * one has the weight 1, nor those whose difference overflows. */
static double between(double a, double b, double weight) {
    const double apart = b - a;
    if (a == b || weight == 0)
        return a;
    if (!isfinite(apart))
        return a * (1 - weight) + b * weight;
    return weight < 0.5 ? a + apart * weight : b - apart * (1 - weight);
}

/* The position among n elements, from 0, as numpy.percentile computes it. */
static double place_of(double percent, uint64_t n) {
    return (double)(n - 1) * (percent / 100);
}

static void want_neighbours(struct percentiles *percentiles, uint64_t n) {
    percentiles->wanted = 2 * percentiles->count;
    for (size_t i = 0; i < percentiles->count; i++) {
        const double place = place_of(percentiles->percents[i], n);
        const uint64_t rank = place < (double)(n - 1) ? (uint64_t)place : n - 1;
        percentiles->ranks[2 * i] = rank;
        percentiles->ranks[2 * i + 1] = rank + 1 < n ? rank + 1 : n - 1;
    }
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct percentiles *percentiles = self;
    const struct nauha_host *host = percentiles->host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    const struct nauha_stats *stats = NULL;
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status != NAUHA_OK)
        return status;
    const bool none = stats->count == 0 || stats->nans > 0;
    if (!none) {
        want_neighbours(percentiles, stats->count);
        status = select_elements(percentiles, message, stats, err);
    }
    for (size_t i = 0; i < percentiles->count && status == NAUHA_OK; i++) {
        double value = (double)NAN;
        if (!none) {
            const double place = place_of(percentiles->percents[i], stats->count);
            value = between(percentiles->found[2 * i], percentiles->found[2 * i + 1],
                            place - floor(place));
        }
        struct kind_topics *topics = &percentiles->topics[i];
        status = host->publish_scalar(host, topics->rows[kind_topics_find(topics, info)].topic,
                                      info, value, err);
    }
    return status;
}

static const struct nauha_analyzer_parameter parameters[] = {
    {"q", NAUHA_PARAMETER_LIST, "1,5,50,95,99", 0, 100, "percentages; each has its own topic"},
};

NAUHA_ANALYZER(percentiles) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "percentiles",
    .summary = "percentiles of all elements",
    .formula = "numpy.percentile of the elements as float64, interpolated linearly; NaN if an "
               "element is NaN, and for an empty tensor",
    .flags = NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_PER_KIND,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
    .cost = 65,
};
