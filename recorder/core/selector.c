/* SPDX-License-Identifier: MIT */
/* Choosing messages by kind, module, step, epoch, tag and rank.
 *
 * Threads: one at a time.
 */
#include "nauha/selector.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/parse.h"
#include "nauha/nearest.h"
#include "nauha/internal/names.h"

static const char root_name[] = "(root)";

static const struct nauha_option options[] = {
    {"kinds", 0, "KIND,...", NULL, "only messages of these kinds"},
    {"modules", 0, "GLOB,...", NULL,
     "only modules whose names match one of these shell patterns; (root) is the whole model"},
    {"exclude", 0, "GLOB,...", NULL, "only modules whose names match none of these shell patterns"},
    {"steps", 0, "A:B[:EVERY]", NULL,
     "only global steps from A up to, but not including, B; with EVERY, only every EVERY-th of "
     "them"},
    {"epochs", 0, "A:B", NULL, "only epochs from A up to, but not including, B"},
    {"tag", 0, "TAG", NULL, "only messages with this tag"},
    {"rank", 0, "RANK", NULL, "only messages of this data-parallel rank"},
};

/* Words one after the other, each with its terminating zero. */
struct words {
    char *text; /* owned */
    size_t bytes;
    size_t count; /* 0: no restriction */
};

/* Half-open; last is UINT64_MAX if the range has no end. */
struct range {
    uint64_t first, last, every;
};

/* The remembered answers of a slow test for the numbers below count, one byte for each. */
struct answers {
    uint8_t *known; /* owned */
    uint32_t count;
    size_t capacity;
};

enum tested { KIND, MODULE, TAG, TESTED };

struct nauha_selector {
    struct words kinds, modules, exclude, tag;
    struct range steps, epochs;
    bool has_rank;
    uint32_t rank;

    /* The names object that the answers are for. */
    const struct nauha_names *names;
    uint64_t stamp;
    struct answers answers[TESTED];
};

/* ---- words ---- */

static void words_free(struct words *words) {
    free(words->text);
    *words = (struct words){NULL, 0, 0};
}

static bool words_copy(struct words *to, const struct words *from) {
    *to = *from;
    to->text = malloc(from->bytes ? from->bytes : 1);
    if (!to->text)
        return false;
    if (from->bytes > 0)
        memcpy(to->text, from->text, from->bytes);
    return true;
}

static const char *words_next(const char *word) {
    return word + strlen(word) + 1;
}

/* Splits text at commas. An empty word is allowed only if it is the whole text and may_be_empty is
 * set, because a stray comma must not select the root module. */
static enum nauha_status words_parse(struct words *words, const char *key, const char *text,
                                     bool may_be_empty, struct nauha_error *err) {
    bool whole = text[0] == '\0' && may_be_empty;
    bool hole =
        text[0] == ',' || text[0] == '\0' || strstr(text, ",,") || text[strlen(text) - 1] == ',';
    if (hole && !whole)
        return nauha_error_set(err, NAUHA_INVALID, "%s \"%s\" has an empty item%s", key, text,
                               may_be_empty ? "; the root module is \"(root)\"" : "");
    struct words copy = {strdup(text), strlen(text) + 1, 1};
    if (!copy.text)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for %s \"%s\"", key, text);
    for (char *c = copy.text; *c; c++)
        if (*c == ',') {
            *c = '\0';
            copy.count++;
        }
    words_free(words);
    *words = copy;
    return NAUHA_OK;
}

static bool words_contain(const struct words *words, const char *name) {
    const char *word = words->text;
    for (size_t i = 0; i < words->count; i++, word = words_next(word))
        if (strcmp(word, name) == 0)
            return true;
    return false;
}

static bool pattern_matches(const char *pattern, const char *name) {
    if (strcmp(pattern, root_name) == 0)
        pattern = "";
    return fnmatch(pattern, name, 0) == 0;
}

static bool words_match(const struct words *words, const char *name) {
    const char *word = words->text;
    for (size_t i = 0; i < words->count; i++, word = words_next(word))
        if (pattern_matches(word, name))
            return true;
    return false;
}

/* ---- ranges ---- */

static bool range_has(const struct range *range, uint64_t number) {
    if (number < range->first || (number >= range->last && range->last != UINT64_MAX))
        return false;
    return range->every == 1 || (number - range->first) % range->every == 0;
}

/* Reads one number of a range from [text, end); *number stays as it is if there is none. */
static bool range_number(const char *text, const char *end, uint64_t most, uint64_t *number) {
    char digits[24];
    size_t length = (size_t)(end - text);
    if (length == 0)
        return true;
    if (length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    return nauha__parse_u64(digits, number, NULL) == NAUHA_OK && *number <= most;
}

/* Reads A:B, or A:B:EVERY if has_every is set; a single N is N:N+1. Numbers go up to `most`. */
static enum nauha_status range_parse(struct range *range, const char *key, const char *text,
                                     bool has_every, uint64_t most, struct nauha_error *err) {
    struct range parsed = {0, UINT64_MAX, 1};
    const char *first_end = text + strcspn(text, ":");
    bool good = text[0] != '\0' && range_number(text, first_end, most, &parsed.first);
    if (good && !*first_end) {
        parsed.last = parsed.first + 1;
    } else if (good) {
        const char *last = first_end + 1;
        const char *last_end = last + strcspn(last, ":");
        const char *every = last_end + 1;
        good = range_number(last, last_end, most, &parsed.last);
        if (good && *last_end)
            good = has_every && *every &&
                   range_number(every, text + strlen(text), most, &parsed.every);
    }
    if (!good)
        return nauha_error_set(err, NAUHA_INVALID,
                               "%s \"%s\" is not of the form %s with whole numbers up to %" PRIu64,
                               key, text, has_every ? "A:B[:EVERY]" : "A:B", most);
    if (parsed.every == 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "%s \"%s\" has an EVERY of 0: it must be 1 or more", key, text);
    if (parsed.first >= parsed.last)
        return nauha_error_set(err, NAUHA_INVALID,
                               "%s \"%s\" is empty: the range ends before its second number", key,
                               text);
    *range = parsed;
    return NAUHA_OK;
}

/* ---- life ---- */

struct nauha_selector *nauha_selector_new(void) {
    struct nauha_selector *selector = calloc(1, sizeof *selector);
    if (!selector)
        return NULL;
    selector->steps = selector->epochs = (struct range){0, UINT64_MAX, 1};
    return selector;
}

/* Must be called after every change of the selection. */
static void forget_answers(struct nauha_selector *selector) {
    for (size_t i = 0; i < TESTED; i++)
        selector->answers[i].count = 0;
}

void nauha_selector_free(struct nauha_selector *selector) {
    if (!selector)
        return;
    words_free(&selector->kinds);
    words_free(&selector->modules);
    words_free(&selector->exclude);
    words_free(&selector->tag);
    for (size_t i = 0; i < TESTED; i++)
        free(selector->answers[i].known);
    free(selector);
}

struct nauha_selector *nauha_selector_copy(const struct nauha_selector *selector) {
    struct nauha_selector *copy = nauha_selector_new();
    if (!copy)
        return NULL;
    copy->steps = selector->steps;
    copy->epochs = selector->epochs;
    copy->has_rank = selector->has_rank;
    copy->rank = selector->rank;
    if (words_copy(&copy->kinds, &selector->kinds) &&
        words_copy(&copy->modules, &selector->modules) &&
        words_copy(&copy->exclude, &selector->exclude) && words_copy(&copy->tag, &selector->tag))
        return copy;
    nauha_selector_free(copy);
    return NULL;
}

const struct nauha_option *nauha_selector_options(size_t *count) {
    *count = sizeof options / sizeof *options;
    return options;
}

static enum nauha_status set_tag(struct nauha_selector *selector, const char *value,
                                 struct nauha_error *err) {
    if (!value[0])
        return nauha_error_set(err, NAUHA_INVALID, "tag is empty");
    struct words tag = {strdup(value), strlen(value) + 1, 1};
    if (!tag.text)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for tag \"%s\"", value);
    words_free(&selector->tag);
    selector->tag = tag;
    return NAUHA_OK;
}

static enum nauha_status set_rank(struct nauha_selector *selector, const char *value,
                                  struct nauha_error *err) {
    uint64_t rank = 0;
    if (nauha__parse_u64(value, &rank, NULL) != NAUHA_OK || rank > UINT32_MAX)
        return nauha_error_set(err, NAUHA_INVALID, "rank \"%s\" is not a whole number up to %u",
                               value, UINT32_MAX);
    selector->has_rank = true;
    selector->rank = (uint32_t)rank;
    return NAUHA_OK;
}

enum nauha_status nauha_selector_set(struct nauha_selector *selector, const char *key,
                                     const char *value, struct nauha_error *err) {
    if (!value)
        return nauha_error_set(err, NAUHA_INVALID, "selection \"%s\" has no value", key);
    forget_answers(selector);
    if (strcmp(key, "kinds") == 0)
        return words_parse(&selector->kinds, key, value, false, err);
    if (strcmp(key, "modules") == 0)
        return words_parse(&selector->modules, key, value, true, err);
    if (strcmp(key, "exclude") == 0)
        return words_parse(&selector->exclude, key, value, true, err);
    if (strcmp(key, "steps") == 0)
        return range_parse(&selector->steps, key, value, true, UINT64_MAX - 1, err);
    if (strcmp(key, "epochs") == 0)
        return range_parse(&selector->epochs, key, value, false, UINT32_MAX, err);
    if (strcmp(key, "tag") == 0)
        return set_tag(selector, value, err);
    if (strcmp(key, "rank") == 0)
        return set_rank(selector, value, err);
    return nauha_error_set(err, NAUHA_UNKNOWN,
                           "selection \"%s\" is unknown; selections: kinds, modules, exclude, "
                           "steps, epochs, tag, rank",
                           key);
}

/* ---- checking against names ---- */

enum {
    LISTED_MAX = 20
}; /* at most so many modules are listed; kinds and tags as far as they fit */

/* Lists names in text, with commas, in the order of their numbers. */
static void list_names(char *text, size_t size, const struct nauha_names *names, uint32_t count,
                       uint32_t most,
                       const char *(*name_of)(const struct nauha_names *, uint32_t)) {
    size_t used = 0;
    uint32_t listed = 0;
    text[0] = '\0';
    for (; listed < count && listed < most; listed++) {
        const char *name = name_of(names, listed);
        name = name[0] ? name : root_name;
        const char *comma = listed > 0 ? ", " : "";
        /* The words at the end need room. */
        if (used + strlen(comma) + strlen(name) + sizeof " and 4294967295 more" > size)
            break;
        used += (size_t)snprintf(text + used, size - used, "%s%s", comma, name);
    }
    if (count == 0)
        snprintf(text, size, "none");
    else if (listed < count)
        snprintf(text + used, size - used, "%s%u%s", listed > 0 ? " and " : "", count - listed,
                 listed > 0 ? " more" : "");
}

/* Refuses a name. format: for the name, a suggestion of the nearest one, and a list of those that
 * exist. */
static enum nauha_status unknown(struct nauha_error *err, const char *format, const char *typed,
                                 const struct nauha_names *names, uint32_t count, uint32_t most,
                                 const char *(*name_of)(const struct nauha_names *, uint32_t)) {
    char list[700];
    struct nauha_nearest nearest = {.typed = typed};
    list_names(list, sizeof list, names, count, most, name_of);
    for (uint32_t i = 0; i < count; i++)
        nauha_nearest_try(&nearest, name_of(names, i));
    return nauha_error_set(err, NAUHA_UNKNOWN, format, typed[0] ? typed : root_name,
                           nauha_did_you_mean(&nearest), list);
}

static enum nauha_status check_patterns(const struct words *patterns,
                                        const struct nauha_names *names, struct nauha_error *err) {
    uint32_t modules = nauha_names_modules(names);
    const char *pattern = patterns->text;
    for (size_t i = 0; i < patterns->count; i++, pattern = words_next(pattern)) {
        uint32_t module = 0;
        while (module < modules && !pattern_matches(pattern, nauha_names_module(names, module)))
            module++;
        if (module < modules)
            continue;
        return unknown(err, "no module matches \"%s\"%s; there are %s", pattern, names, modules,
                       LISTED_MAX, nauha_names_module);
    }
    return NAUHA_OK;
}

enum nauha_status nauha_selector_check_kinds(const struct nauha_selector *selector,
                                             const struct nauha_names *names,
                                             struct nauha_error *err) {
    const char *kind = selector->kinds.text;
    for (size_t i = 0; i < selector->kinds.count; i++, kind = words_next(kind))
        if (nauha_names_find_kind(names, kind) == NAUHA_NONE)
            return unknown(err, "kind \"%s\" is unknown%s; there are %s", kind, names,
                           nauha_names_kinds(names), UINT32_MAX, nauha_names_kind);
    if (selector->tag.count > 0 && nauha_names_find_tag(names, selector->tag.text) == NAUHA_NONE)
        return unknown(err, "tag \"%s\" is unknown%s; there are %s", selector->tag.text, names,
                       nauha_names_tags(names), UINT32_MAX, nauha_names_tag);
    return NAUHA_OK;
}

enum nauha_status nauha_selector_check(const struct nauha_selector *selector,
                                       const struct nauha_names *names, struct nauha_error *err) {
    enum nauha_status status = nauha_selector_check_kinds(selector, names, err);
    if (status == NAUHA_OK)
        status = check_patterns(&selector->modules, names, err);
    return status == NAUHA_OK ? check_patterns(&selector->exclude, names, err) : status;
}

/* ---- choosing ---- */

static bool test(const struct nauha_selector *selector, const struct nauha_names *names,
                 enum tested what, uint32_t id) {
    if (what == KIND)
        return words_contain(&selector->kinds, nauha_names_kind(names, id));
    if (what == TAG)
        return words_contain(&selector->tag, nauha_names_tag(names, id));
    const char *module = nauha_names_module(names, id);
    return (selector->modules.count == 0 || words_match(&selector->modules, module)) &&
           !words_match(&selector->exclude, module);
}

static uint32_t count_names(const struct nauha_names *names, enum tested what) {
    return what == KIND     ? nauha_names_kinds(names)
           : what == MODULE ? nauha_names_modules(names)
                            : nauha_names_tags(names);
}

/* Extends the answers to all names that exist now. Names never change, so earlier answers stay
 * valid. */
static bool learn(struct nauha_selector *selector, const struct nauha_names *names,
                  enum tested what) {
    struct answers *answers = &selector->answers[what];
    uint32_t count = count_names(names, what);
    if (!NAUHA_GROW(answers->known, answers->capacity, count))
        return false;
    for (uint32_t id = answers->count; id < count; id++)
        answers->known[id] = test(selector, names, what, id);
    if (count > answers->count)
        answers->count = count;
    return true;
}

/* Compares the stamp as well as the address, because a later names object may have the address of a
 * freed one. */
static void follow_names(struct nauha_selector *selector, const struct nauha_names *names) {
    uint64_t stamp = nauha__names_stamp(names);
    if (selector->names == names && selector->stamp == stamp)
        return;
    selector->names = names;
    selector->stamp = stamp;
    forget_answers(selector);
}

static bool answer(struct nauha_selector *selector, const struct nauha_names *names,
                   enum tested what, uint32_t id) {
    struct answers *answers = &selector->answers[what];
    if (id < answers->count)
        return answers->known[id];
    if (learn(selector, names, what) && id < answers->count)
        return answers->known[id];
    /* Out of memory, or a number that does not exist yet: the answer is not remembered. */
    return test(selector, names, what, id);
}

/* The count of a loss comes with it, since the loss means little without. */
static bool accepts_kind(struct nauha_selector *selector, const struct nauha_names *names,
                         uint32_t kind) {
    return selector->kinds.count == 0 || answer(selector, names, KIND, kind) ||
           (kind == NAUHA_KIND_SAMPLES_IN_LOSS && answer(selector, names, KIND, NAUHA_KIND_LOSS));
}

static bool accepts_module(struct nauha_selector *selector, const struct nauha_names *names,
                           uint32_t module) {
    return module == NAUHA_NONE || (selector->modules.count == 0 && selector->exclude.count == 0) ||
           answer(selector, names, MODULE, module);
}

bool nauha_selector_accepts(struct nauha_selector *selector, const struct nauha_names *names,
                            uint32_t kind, uint32_t module, uint32_t tag, uint64_t global_step,
                            uint32_t epoch, uint32_t rank) {
    if (!range_has(&selector->steps, global_step) || !range_has(&selector->epochs, epoch) ||
        !nauha_selector_accepts_rank(selector, rank))
        return false;
    follow_names(selector, names);
    return accepts_kind(selector, names, kind) && accepts_module(selector, names, module) &&
           (selector->tag.count == 0 || answer(selector, names, TAG, tag));
}

bool nauha_selector_accepts_kind(struct nauha_selector *selector, const struct nauha_names *names,
                                 uint32_t kind) {
    follow_names(selector, names);
    return accepts_kind(selector, names, kind);
}

bool nauha_selector_accepts_module(struct nauha_selector *selector, const struct nauha_names *names,
                                   uint32_t module) {
    follow_names(selector, names);
    return accepts_module(selector, names, module);
}

bool nauha_selector_accepts_step(const struct nauha_selector *selector, uint64_t global_step) {
    return range_has(&selector->steps, global_step);
}

bool nauha_selector_accepts_rank(const struct nauha_selector *selector, uint32_t rank) {
    return !selector->has_rank || rank == selector->rank;
}
