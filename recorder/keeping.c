/* SPDX-License-Identifier: MIT */
/* How each message is kept: the rules, and what they leave open.
 *
 * Threads: one at a time.
 */
#include "nauha/keeping.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/parse.h"
#include "recorder/keeping.h"

enum keep { EVERYTHING, PROOF, FINGERPRINTS, HASHES, KEEPS };

static const char *const keeps[KEEPS] = {
    [EVERYTHING] = "everything",
    [PROOF] = "proof",
    [FINGERPRINTS] = "fingerprints",
    [HASHES] = "hashes",
};

struct rules {
    struct nauha_selector **list;
    size_t count, capacity;
    char *text; /* as given, for the facts; NULL: none were given */
};

struct nauha_keeping {
    struct nauha_selector *selector;
    enum keep keep;
    bool keep_given;
    struct rules full, fingerprint;
    uint64_t fingerprint_every, proof_every; /* steps */
    uint64_t flight, flight_after;           /* steps; 0 for flight: there is no flight recorder */
    uint64_t *exceptions; /* the kinds that cannot be made again, as bits: of all modules, and
                             then of each */
    size_t exception_count, exception_capacity;
};

static const struct nauha_option options[] = {
    {"keep", 0, "everything|proof|fingerprints|hashes", "everything",
     "what to keep of tensors: their elements; what it takes to run each step again with the "
     "model, "
     "and to prove that it is the same (PyTorch in Python only); their statistics, hashes and a "
     "few "
     "elements; their hashes"},
    {"full", 0, "KIND,...", NULL,
     "keep the elements of these kinds, whatever --keep says; KEY=VALUE behind them chooses "
     "modules, "
     "exclude, steps, epochs, tag or rank, as in --full 'activations steps=::100 modules=conv*'"},
    {"fingerprint", 0, "KIND,...", NULL,
     "keep only fingerprints of these kinds; --full has priority"},
    {"fingerprint-every", 0, "N", "10",
     "with --keep proof, steps from one to the next in which fingerprints of activations and their "
     "gradients are kept"},
    {"proof-every", 0, "N", "1", "with --keep proof, steps from one that is kept to the next"},
    {"flight", 0, "K", "0",
     "flight recorder: hold the last K steps in memory, and write them in full only when a rule "
     "finds "
     "something, a loss is not finite, an exception ends the training, or SIGUSR1 arrives; of "
     "other "
     "steps keep fingerprints, unless --keep says hashes"},
    {"flight-after", 0, "N", "1", "steps that are written in full after those of --flight"},
};
enum { OPTIONS = sizeof options / sizeof *options };

const struct nauha_option *nauha_keeping_options(size_t *count) {
    *count = OPTIONS;
    return options;
}

/* ---- the object ---- */

/* Makes room for this many exceptions, the new ones empty. */
static bool exceptions_grow(struct nauha_keeping *keeping, size_t count) {
    if (count <= keeping->exception_count)
        return true;
    if (!NAUHA_GROW(keeping->exceptions, keeping->exception_capacity, count))
        return false;
    memset(keeping->exceptions + keeping->exception_count, 0,
           (count - keeping->exception_count) * sizeof *keeping->exceptions);
    keeping->exception_count = count;
    return true;
}

static void rules_free(struct rules *rules) {
    for (size_t i = 0; i < rules->count; i++)
        nauha_selector_free(rules->list[i]);
    free(rules->list);
    free(rules->text);
    *rules = (struct rules){0};
}

static bool rules_copy(struct rules *to, const struct rules *from) {
    *to = (struct rules){0};
    if (!NAUHA_GROW(to->list, to->capacity, from->count))
        return false;
    for (; to->count < from->count; to->count++)
        if (!(to->list[to->count] = nauha_selector_copy(from->list[to->count])))
            return false;
    return !from->text || (to->text = strdup(from->text));
}

struct nauha_keeping *nauha_keeping_new(void) {
    struct nauha_keeping *keeping = calloc(1, sizeof *keeping);
    if (!keeping)
        return NULL;
    keeping->fingerprint_every = 10;
    keeping->proof_every = 1;
    keeping->flight_after = 1;
    keeping->selector = nauha_selector_new();
    if (keeping->selector)
        return keeping;
    nauha_keeping_free(keeping);
    return NULL;
}

void nauha_keeping_free(struct nauha_keeping *keeping) {
    if (!keeping)
        return;
    nauha_selector_free(keeping->selector);
    rules_free(&keeping->full);
    rules_free(&keeping->fingerprint);
    free(keeping->exceptions);
    free(keeping);
}

struct nauha_keeping *nauha_keeping_copy(const struct nauha_keeping *keeping) {
    struct nauha_keeping *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->keep = keeping->keep;
    copy->fingerprint_every = keeping->fingerprint_every;
    copy->proof_every = keeping->proof_every;
    copy->keep_given = keeping->keep_given;
    copy->flight = keeping->flight;
    copy->flight_after = keeping->flight_after;
    copy->selector = nauha_selector_copy(keeping->selector);
    bool good = copy->selector != NULL;
    good = good && exceptions_grow(copy, keeping->exception_count);
    if (good && copy->exceptions)
        memcpy(copy->exceptions, keeping->exceptions,
               keeping->exception_count * sizeof *copy->exceptions);
    if (good && rules_copy(&copy->full, &keeping->full) &&
        rules_copy(&copy->fingerprint, &keeping->fingerprint))
        return copy;
    nauha_keeping_free(copy);
    return NULL;
}

/* ---- keys ---- */

static enum nauha_status set_keep(struct nauha_keeping *keeping, const char *value,
                                  struct nauha_error *err) {
    for (size_t i = 0; i < KEEPS; i++) {
        if (strcmp(keeps[i], value) != 0)
            continue;
        keeping->keep = (enum keep)i;
        keeping->keep_given = true;
        return NAUHA_OK;
    }
    return nauha_error_set(err, NAUHA_INVALID,
                           "\"%s\" is none of everything, proof, fingerprints, hashes", value);
}

static enum nauha_status set_steps(uint64_t *steps, int64_t least, const char *value,
                                   struct nauha_error *err) {
    int64_t number;
    if (nauha__parse_i64(value, &number, NULL) != NAUHA_OK || number < least)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a number of steps: %" PRId64 " or more", value,
                               least);
    *steps = (uint64_t)number;
    return NAUHA_OK;
}

/* One word of a rule: the kinds, or KEY=VALUE. */
static enum nauha_status set_word(struct nauha_selector *selector, bool first, char *word,
                                  struct nauha_error *err) {
    char *equals = strchr(word, '=');
    if (first && equals)
        return nauha_error_set(err, NAUHA_INVALID,
                               "a rule begins with its kinds, or with all, not with \"%s\"", word);
    if (first)
        return strcmp(word, "all") == 0 ? NAUHA_OK
                                        : nauha_selector_set(selector, "kinds", word, err);
    if (!equals)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not KEY=VALUE, as in steps=::100",
                               word);
    *equals = '\0';
    return nauha_selector_set(selector, word, equals + 1, err);
}

/* text is changed. */
static enum nauha_status add_rule(struct rules *rules, char *text, struct nauha_error *err) {
    struct nauha_selector *selector = nauha_selector_new();
    if (!selector || !NAUHA_GROW(rules->list, rules->capacity, rules->count + 1)) {
        nauha_selector_free(selector);
        return nauha_error_nomem(err);
    }
    enum nauha_status status = NAUHA_OK;
    char *rest = text, *word;
    bool first = true;
    for (; status == NAUHA_OK && (word = strsep(&rest, " \t\n"));) {
        if (!word[0])
            continue;
        status = set_word(selector, first, word, err);
        first = false;
    }
    if (status == NAUHA_OK && first)
        status = nauha_error_set(err, NAUHA_INVALID, "a rule is empty: KIND,... or all");
    if (status == NAUHA_OK)
        rules->list[rules->count++] = selector;
    else
        nauha_selector_free(selector);
    return status;
}

static enum nauha_status add_rules(struct rules *rules, const char *value,
                                   struct nauha_error *err) {
    char *copy = strdup(value), *rest = copy, *rule, *text = NULL;
    enum nauha_status status = copy ? NAUHA_OK : nauha_error_nomem(err);
    while (status == NAUHA_OK && (rule = strsep(&rest, ";")))
        status = add_rule(rules, rule, err);
    free(copy);
    if (status == NAUHA_OK && asprintf(&text, "%s%s%s", rules->text ? rules->text : "",
                                       rules->text ? "; " : "", value) < 0)
        status = nauha_error_nomem(err);
    if (status == NAUHA_OK) {
        free(rules->text);
        rules->text = text;
    }
    return status;
}

enum nauha_status nauha_keeping_set(struct nauha_keeping *keeping, const char *key,
                                    const char *value, struct nauha_error *err) {
    enum nauha_status status;
    if (strcmp(key, "keep") == 0)
        status = set_keep(keeping, value, err);
    else if (strcmp(key, "full") == 0)
        status = add_rules(&keeping->full, value, err);
    else if (strcmp(key, "fingerprint") == 0)
        status = add_rules(&keeping->fingerprint, value, err);
    else if (strcmp(key, "fingerprint-every") == 0)
        status = set_steps(&keeping->fingerprint_every, 1, value, err);
    else if (strcmp(key, "proof-every") == 0)
        status = set_steps(&keeping->proof_every, 1, value, err);
    else if (strcmp(key, "flight") == 0)
        status = set_steps(&keeping->flight, 0, value, err);
    else if (strcmp(key, "flight-after") == 0)
        status = set_steps(&keeping->flight_after, 0, value, err);
    else
        return nauha_selector_set(keeping->selector, key, value, err);
    return status == NAUHA_OK ? status : nauha_error_wrap(err, status, "option \"%s\"", key);
}

typedef enum nauha_status (*check_fn)(const struct nauha_selector *selector,
                                      const struct nauha_names *names, struct nauha_error *err);

static enum nauha_status check_rules(const struct rules *rules, const char *key, check_fn check,
                                     const struct nauha_names *names, struct nauha_error *err) {
    for (size_t i = 0; i < rules->count; i++) {
        enum nauha_status status = check(rules->list[i], names, err);
        if (status != NAUHA_OK)
            return nauha_error_wrap(err, status, "option \"%s\"", key);
    }
    return NAUHA_OK;
}

static enum nauha_status check_all(const struct nauha_keeping *keeping, check_fn check,
                                   const struct nauha_names *names, struct nauha_error *err) {
    enum nauha_status status = check(keeping->selector, names, err);
    if (status == NAUHA_OK)
        status = check_rules(&keeping->full, "full", check, names, err);
    return status == NAUHA_OK ? check_rules(&keeping->fingerprint, "fingerprint", check, names, err)
                              : status;
}

enum nauha_status nauha_keeping_check(const struct nauha_keeping *keeping,
                                      const struct nauha_names *names, struct nauha_error *err) {
    return check_all(keeping, nauha_selector_check, names, err);
}

enum nauha_status nauha_keeping_check_kinds(const struct nauha_keeping *keeping,
                                            const struct nauha_names *names,
                                            struct nauha_error *err) {
    return check_all(keeping, nauha_selector_check_kinds, names, err);
}

/* ---- what cannot be made again ---- */

static size_t place_of(uint32_t module) {
    return module == NAUHA_NONE ? 0 : (size_t)module + 1;
}

static bool is_exception(const struct nauha_keeping *keeping, uint32_t kind, uint32_t module) {
    const size_t place = place_of(module);
    if (keeping->exception_count == 0 || kind >= 64)
        return false;
    const uint64_t kinds = keeping->exceptions[0] |
                           (place < keeping->exception_count ? keeping->exceptions[place] : 0);
    return kinds >> kind & 1;
}

enum nauha_status nauha_keeping_except(struct nauha_keeping *keeping, uint32_t kind,
                                       uint32_t module, struct nauha_error *err) {
    const size_t place = place_of(module);
    if (kind >= 64)
        return nauha_error_set(err, NAUHA_INVALID, "a kind that is registered is not made again");
    if (!exceptions_grow(keeping, place + 1))
        return nauha_error_nomem(err);
    keeping->exceptions[place] |= UINT64_C(1) << kind;
    return NAUHA_OK;
}

/* ---- grades ---- */

/* The outside of a step, which it takes to run the step again, is kept in full. A step that gives
 * the same gradients of all parameters has run the same inside, so fingerprints of these are
 * enough (hashes could not tell a step that is close, on another processor, from a wrong one), and
 * fingerprints of what lies between are kept now and then. */
static enum nauha_grade grade_for_proof(const struct nauha_keeping *keeping, uint32_t kind,
                                        uint64_t step) {
    const bool kept = step % keeping->proof_every == 0;
    switch (kind) {
    case NAUHA_KIND_BATCH_STARTED:
    case NAUHA_KIND_BATCH_FINISHED:
    case NAUHA_KIND_EPOCH_STARTED:
    case NAUHA_KIND_EPOCH_FINISHED:
    case NAUHA_KIND_LOSS:
    case NAUHA_KIND_SAMPLES_IN_LOSS:
        return NAUHA_GRADE_ELEMENTS;
    case NAUHA_KIND_WEIGHT_GRADIENTS:
    case NAUHA_KIND_BIAS_GRADIENTS:
        return kept ? NAUHA_GRADE_FINGERPRINT : NAUHA_GRADE_NOTHING;
    case NAUHA_KIND_ACTIVATIONS:
    case NAUHA_KIND_LAYER_GRADIENTS:
    case NAUHA_KIND_INPUTS:
        return kept && step / keeping->proof_every % keeping->fingerprint_every == 0
                   ? NAUHA_GRADE_FINGERPRINT
                   : NAUHA_GRADE_NOTHING;
    case NAUHA_KIND_WEIGHT_UPDATES:
    case NAUHA_KIND_BIAS_UPDATES: /* differences of values that are kept, or are not */
        if (keeping->proof_every > 1)
            return kept ? NAUHA_GRADE_FINGERPRINT : NAUHA_GRADE_NOTHING;
        return NAUHA_GRADE_ELEMENTS;
    default:
        return kept ? NAUHA_GRADE_ELEMENTS : NAUHA_GRADE_NOTHING;
    }
}

/* What is kept of messages that no rule names. */
static enum keep keep_of(const struct nauha_keeping *keeping) {
    return keeping->flight > 0 && !keeping->keep_given ? FINGERPRINTS : keeping->keep;
}

static bool any_accepts(struct rules *rules, const struct nauha_names *names, uint32_t kind,
                        uint32_t module, uint32_t tag, uint64_t step, uint32_t epoch,
                        uint32_t rank) {
    for (size_t i = 0; i < rules->count; i++)
        if (nauha_selector_accepts(rules->list[i], names, kind, module, tag, step, epoch, rank))
            return true;
    return false;
}

enum nauha_grade nauha_keeping_grade(struct nauha_keeping *keeping, const struct nauha_names *names,
                                     uint32_t kind, uint32_t module, uint32_t tag,
                                     uint64_t global_step, uint32_t epoch, uint32_t rank) {
    if (!nauha_selector_accepts(keeping->selector, names, kind, module, tag, global_step, epoch,
                                rank))
        return NAUHA_GRADE_NOTHING;
    if (any_accepts(&keeping->full, names, kind, module, tag, global_step, epoch, rank))
        return NAUHA_GRADE_ELEMENTS;
    if (any_accepts(&keeping->fingerprint, names, kind, module, tag, global_step, epoch, rank))
        return NAUHA_GRADE_FINGERPRINT;
    if (kind == NAUHA_KIND_HYPERPARAMETERS || kind == NAUHA_KIND_PARAMETER_GROUPS)
        return NAUHA_GRADE_ELEMENTS; /* a few numbers and words, which mean little as a hash */
    switch (keep_of(keeping)) {
    case PROOF:
        if (global_step % keeping->proof_every == 0 && is_exception(keeping, kind, module))
            return NAUHA_GRADE_ELEMENTS;
        return grade_for_proof(keeping, kind, global_step);
    case FINGERPRINTS:
        return NAUHA_GRADE_FINGERPRINT;
    case HASHES:
        return NAUHA_GRADE_HASH;
    default:
        return NAUHA_GRADE_ELEMENTS;
    }
}

bool nauha_keeping_accepts(struct nauha_keeping *keeping, const struct nauha_names *names,
                           uint32_t kind, uint32_t module, uint32_t tag, uint64_t global_step,
                           uint32_t epoch, uint32_t rank) {
    return nauha_keeping_grade(keeping, names, kind, module, tag, global_step, epoch, rank) !=
           NAUHA_GRADE_NOTHING;
}

bool nauha_keeping_accepts_kind(struct nauha_keeping *keeping, const struct nauha_names *names,
                                uint32_t kind) {
    return nauha_selector_accepts_kind(keeping->selector, names, kind);
}

bool nauha__keeping_is_proof(const struct nauha_keeping *keeping) {
    return keeping->keep == PROOF;
}

uint64_t nauha__keeping_flight(const struct nauha_keeping *keeping, uint64_t *after) {
    *after = keeping->flight_after;
    return keeping->flight;
}

enum nauha_status nauha__keeping_check_flight(const struct nauha_keeping *keeping,
                                              struct nauha_error *err) {
    if (keeping->flight == 0)
        return NAUHA_OK;
    if (keeping->keep == PROOF)
        return nauha_error_set(err, NAUHA_INVALID,
                               "option \"flight\": with keep=proof any step can be run again, so "
                               "there is nothing to hold in memory");
    if (keep_of(keeping) == EVERYTHING && keeping->fingerprint.count == 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "option \"flight\": with keep=everything all steps are written in "
                               "full: leave it out, or name kinds with the option fingerprint");
    return NAUHA_OK;
}

/* ---- facts ---- */

static bool add_number(cJSON *facts, const char *key, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return cJSON_AddStringToObject(facts, key, text);
}

bool nauha__keeping_add_facts(const struct nauha_keeping *keeping, cJSON *facts) {
    const enum keep keep = keep_of(keeping);
    if (keep != EVERYTHING && !cJSON_AddStringToObject(facts, "keep", keeps[keep]))
        return false;
    if (keeping->full.text && !cJSON_AddStringToObject(facts, "full", keeping->full.text))
        return false;
    if (keeping->fingerprint.text &&
        !cJSON_AddStringToObject(facts, "fingerprint", keeping->fingerprint.text))
        return false;
    if (keeping->flight > 0)
        return add_number(facts, "flight", keeping->flight) &&
               add_number(facts, "flight_after", keeping->flight_after);
    return keep != PROOF || (add_number(facts, "fingerprint_every", keeping->fingerprint_every) &&
                             add_number(facts, "proof_every", keeping->proof_every));
}
