/* SPDX-License-Identifier: MIT */
/* Rule: tensors that stay the same over several steps. Memory: a sample and a hash are kept of each
 * tensor. If the sample stays the same while the bits change, all elements are kept, until the
 * tensor changes beyond the tolerance. */
#include <math.h>

#include "analyzers/support/keys.h"
#include "analyzers/support/rule.h"

#define SAMPLE 256u
#define BLOCK 1024u

/* A tensor as it was when it last changed. */
struct anchor {
    uint64_t count, hash;
    enum nauha_dtype dtype;
    size_t sampled;
    double sample[SAMPLE]; /* elements, evenly spaced */
    double *copy;          /* all elements; NULL: not kept */
    uint64_t steps;        /* number of steps in a row in which it was the same; 0: it is new */
    bool known;
};

struct unchanged_tensor {
    struct rule rule;
    struct key_table keys; /* values: struct anchor */
    int64_t steps;
    double rtol, atol;
};

static void anchor_fini(void *anchor) {
    free(((struct anchor *)anchor)->copy);
}

static void destroy(void *self) {
    struct unchanged_tensor *unchanged = self;
    key_table_fini(&unchanged->keys, anchor_fini);
    free(unchanged);
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static const struct kind_topics_plan plan = {.suffix = "_unchanged_tensor",
                                                 .scope = NAUHA_SCOPE_MODULE,
                                                 .form = NAUHA_FORM_SCALAR,
                                                 .title = "Steps without a change",
                                                 .ylabel = "steps"};
    enum nauha_status status =
        rule_create(host, config, &plan, sizeof(struct unchanged_tensor), self, err);
    if (status != NAUHA_OK)
        return status;
    struct unchanged_tensor *unchanged = *self;
    unchanged->keys.state_bytes = sizeof(struct anchor);
    unchanged->steps = config->values[0].integer;
    unchanged->rtol = config->values[1].real;
    unchanged->atol = config->values[2].real;
    return NAUHA_OK;
}

/* numpy.isclose(now, before): a NaN is close to nothing. */
static bool is_close(const struct unchanged_tensor *unchanged, double now, double before) {
    return now == before ||
           (isfinite(before) &&
            fabs(now - before) <= unchanged->atol + unchanged->rtol * fabs(before));
}

/* ---- one pass over a tensor ---- */

struct look {
    const struct unchanged_tensor *unchanged;
    const double *before; /* elements to compare with, or NULL */
    double *copy;         /* where to copy the elements, or NULL */
    struct anchor now;
    uint64_t stride;
    bool nan, close;
};

/* FNV-1a over 64-bit words: the elements as doubles, which represent all types exactly. */
static uint64_t hash_word(uint64_t hash, double x) {
    uint64_t word;
    memcpy(&word, &x, sizeof word);
    return (hash ^ word) * UINT64_C(0x100000001b3);
}

static enum nauha_status look_at_piece(void *context, const struct nauha_tensor *piece,
                                       uint64_t first, struct nauha_error *err) {
    struct look *look = context;
    struct anchor *now = &look->now;
    const size_t n = (size_t)piece->shape[0];
    double block[BLOCK];
    (void)err;
    for (size_t done = 0; done < n; done += BLOCK) {
        const size_t take = n - done < BLOCK ? n - done : BLOCK;
        look->unchanged->rule.host->to_f64(piece, done, take, block);
        for (size_t i = 0; i < take; i++) {
            const uint64_t at = first + done + i;
            now->hash = hash_word(now->hash, block[i]);
            look->nan = look->nan || isnan(block[i]);
            if (now->sampled < SAMPLE && at == now->sampled * look->stride)
                now->sample[now->sampled++] = block[i];
            if (look->before)
                look->close = look->close && is_close(look->unchanged, block[i], look->before[at]);
            if (look->copy)
                look->copy[at] = block[i];
        }
    }
    return NAUHA_OK;
}

static enum nauha_status look_at(const struct unchanged_tensor *unchanged,
                                 struct nauha_message *message, uint64_t count,
                                 const double *before, double *copy, struct look *look,
                                 struct nauha_error *err) {
    *look = (struct look){.unchanged = unchanged,
                          .before = before,
                          .copy = copy,
                          .now = {.count = count,
                                  .hash = UINT64_C(0xcbf29ce484222325),
                                  .dtype = unchanged->rule.host->info(message)->dtype,
                                  .known = true},
                          .stride = count / SAMPLE + 1,
                          .close = true};
    return unchanged->rule.host->for_each_piece(message, look_at_piece, look, err);
}

/* The same of a tensor without elements: only the hash tells whether it is the same. */
static enum nauha_status look_at_fingerprint(const struct unchanged_tensor *unchanged,
                                             struct nauha_message *message, uint64_t count,
                                             struct look *look, struct nauha_error *err) {
    const struct nauha_host *host = unchanged->rule.host;
    const struct nauha_stats *stats = NULL;
    uint64_t hash[2];
    enum nauha_status status = host->stats_of(message, NAUHA_STATISTICS_RANGE, &stats, err);
    if (status == NAUHA_OK)
        status = host->hash(message, hash, err);
    if (status == NAUHA_OK)
        *look = (struct look){.unchanged = unchanged,
                              .now = {.count = count,
                                      .hash = hash[0],
                                      .dtype = host->info(message)->dtype,
                                      .known = true},
                              .nan = stats->nans > 0,
                              .close = true};
    return status;
}

/* ---- messages ---- */

static bool sample_is_close(const struct unchanged_tensor *unchanged, const struct anchor *anchor,
                            const struct anchor *now) {
    if (!anchor->known || anchor->count != now->count || anchor->dtype != now->dtype)
        return false;
    for (size_t i = 0; i < now->sampled; i++) {
        if (!is_close(unchanged, now->sample[i], anchor->sample[i]))
            return false;
    }
    return true;
}

/* Makes the present tensor the one with which later ones are compared. */
static void drop_anchor(struct anchor *anchor, const struct anchor *now, double *copy) {
    free(anchor->copy);
    *anchor = *now;
    anchor->copy = copy;
}

/* The sample is the same but the bits are not: from now on all elements have to be compared, for
 * which a copy is kept. */
static enum nauha_status keep_copy(const struct unchanged_tensor *unchanged,
                                   struct nauha_message *message, struct anchor *anchor,
                                   struct nauha_error *err) {
    struct look look;
    const uint64_t count = anchor->count;
    double *copy = count <= SIZE_MAX / sizeof *copy ? malloc((size_t)count * sizeof *copy) : NULL;
    if (!copy)
        return NAUHA_HOST_NOMEM(unchanged->rule.host, err);
    enum nauha_status status = look_at(unchanged, message, count, NULL, copy, &look, err);
    if (status == NAUHA_OK)
        drop_anchor(anchor, &look.now, copy);
    else
        free(copy);
    return status;
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    struct unchanged_tensor *unchanged = self;
    const struct nauha_host *host = unchanged->rule.host;
    struct nauha_message *message = host->bundle_message(bundle, 0);
    const struct nauha_message_info *info = host->info(message);
    struct anchor *anchor = key_table_get(&unchanged->keys, key_of(info, info->kind));
    uint64_t count = 1;
    for (uint32_t d = 0; d < info->ndim; d++)
        count *= (uint64_t)info->shape[d];
    if (!anchor)
        return NAUHA_HOST_NOMEM(host, err);
    if (count == 0)
        return NAUHA_OK;
    const bool compares = anchor->copy && anchor->count == count && anchor->dtype == info->dtype;
    const bool elements = info->kept == NAUHA_KEPT_ELEMENTS;
    struct look look;
    enum nauha_status status =
        elements
            ? look_at(unchanged, message, count, compares ? anchor->copy : NULL, NULL, &look, err)
            : look_at_fingerprint(unchanged, message, count, &look, err);
    if (status != NAUHA_OK)
        return status;
    if (look.nan || !look.close || !sample_is_close(unchanged, anchor, &look.now))
        drop_anchor(anchor, &look.now, NULL);
    else if ((compares && elements) || anchor->hash == look.now.hash)
        anchor->steps++;
    else if (!elements)
        drop_anchor(anchor, &look.now, NULL);
    else
        status = keep_copy(unchanged, message, anchor, err);
    if (look.nan)
        anchor->known = false;
    if (status == NAUHA_OK)
        status = rule_publish(&unchanged->rule, info, (double)anchor->steps, err);
    if (status != NAUHA_OK || anchor->steps < (uint64_t)unchanged->steps)
        return status;
    return host->finding(
        host, info, (double)anchor->steps, (double)unchanged->steps, "steps without a change",
        "this tensor stays the same from step to step: it is frozen or was not given to the "
        "optimizer, the learning rate is 0 or far too low, or no gradients reach it",
        err);
}

static const char *const kinds[] = {"weights", "network_output", NULL};

static const struct nauha_analyzer_parameter parameters[] = {
    {"steps", NAUHA_PARAMETER_INTEGER, "3", 1, 9007199254740992.0,
     "number of steps in a row without a change"},
    {"rtol", NAUHA_PARAMETER_REAL, "1e-5", 0, 1, "relative tolerance"},
    {"atol", NAUHA_PARAMETER_REAL, "1e-8", 0, (double)INFINITY, "absolute tolerance"},
};

NAUHA_ANALYZER(unchanged_tensor) = {
    .abi = NAUHA_ANALYZER_ABI,
    .size = sizeof(struct nauha_analyzer),
    .name = "unchanged_tensor",
    .summary = "a tensor stays the same over several steps",
    .formula =
        "|x - y| <= atol + rtol |y| for all elements, in `steps` steps in a row; y is the "
        "tensor when it last changed (SageMaker Debugger: UnchangedTensor). Of fingerprints, "
        "the hashes are compared",
    .flags = NAUHA_ANALYZER_RULE | NAUHA_ANALYZER_PER_MODULE | NAUHA_ANALYZER_TRAINED |
             NAUHA_ANALYZER_STATISTICS,
    .min_kinds = 1,
    .max_kinds = KINDS_MAX,
    .default_kinds = kinds,
    .parameters = parameters,
    .parameter_count = sizeof parameters / sizeof *parameters,
    .create = create,
    .compute = compute,
    .destroy = destroy,
};
