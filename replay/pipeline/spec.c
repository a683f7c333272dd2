/* SPDX-License-Identifier: MIT */
/* Parsing SPECs: the text is split at its colons once, and every piece is checked against tables.
 */
#include "replay/pipeline/spec.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/parse.h"
#include "nauha/nearest.h"

#define MAX_WORDS 256u

enum common_key { KEY_SUBSAMPLE, KEY_EVERY, KEY_TAG, KEY_YLIMS, KEY_LOG, KEY_COUNT };

/* ylims and log have no default here: by default the metric's plot configuration counts. */
static const struct nauha_analyzer_parameter common_keys[KEY_COUNT] = {
    [KEY_SUBSAMPLE] = {"subsample", NAUHA_PARAMETER_INTEGER, "1", 1, 9007199254740992.0,
                       "take only every N-th message of each tensor"},
    [KEY_EVERY] = {"every", NAUHA_PARAMETER_INTEGER, "1", 1, 9007199254740992.0,
                   "take only steps whose number is a multiple of N"},
    [KEY_TAG] = {"tag", NAUHA_PARAMETER_TEXT, "default", 0, 0,
                 "take messages with this tag, or with any: *; default is the training"},
    [KEY_YLIMS] = {"ylims", NAUHA_PARAMETER_RANGE, ":", 0, 0,
                   "limits of the y axis of the plot; either may be missing"},
    [KEY_LOG] = {"log", NAUHA_PARAMETER_INTEGER, "", 0, 1,
                 "1: logarithmic y axis, 0: linear; by default the metric chooses"},
};

const struct nauha_analyzer_parameter *nauha__spec_common_keys(size_t *count) {
    *count = KEY_COUNT;
    return common_keys;
}

void nauha__spec_free(struct nauha__spec *spec) {
    if (!spec)
        return;
    free(spec->text);
    free(spec->words);
    free(spec->kinds);
    for (size_t i = 0; spec->values && i < spec->analyzer->parameter_count; i++) {
        if (spec->analyzer->parameters[i].type == NAUHA_PARAMETER_LIST)
            free((double *)spec->values[i].list.items);
    }
    free(spec->values);
    free(spec);
}

/* ---- lists for messages ---- */

void nauha__list_add(struct nauha__list *list, const char *format, ...) {
    if (list->full)
        return;
    char word[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(word, sizeof word, format, arguments);
    va_end(arguments);
    const size_t room = sizeof list->text - list->length;
    const size_t need = strlen(word) + 2;
    if (need + sizeof ", ..." > room) {
        list->full = true;
        snprintf(list->text + list->length, room, ", ...");
        return;
    }
    list->length +=
        (size_t)snprintf(list->text + list->length, room, "%s%s", list->length ? ", " : "", word);
}

static void list_topics(struct nauha__list *list, const struct nauha_names *names) {
    for (uint32_t kind = 0; kind < nauha_names_kinds(names); kind++)
        nauha__list_add(list, "%s", nauha_names_kind(names, kind));
}

static void list_keys(struct nauha__list *list, struct nauha_nearest *nearest,
                      const struct nauha_analyzer *analyzer) {
    for (size_t i = 0; i < analyzer->parameter_count + KEY_COUNT; i++) {
        const struct nauha_analyzer_parameter *row =
            i < analyzer->parameter_count ? &analyzer->parameters[i]
                                          : &common_keys[i - analyzer->parameter_count];
        nauha__list_add(list, "%s (%s)", row->key, row->help);
        nauha_nearest_try(nearest, row->key);
    }
}

/* ---- values ---- */

static enum nauha_status parse_integer(const struct nauha_analyzer_parameter *row, const char *text,
                                       union nauha_value *value, struct nauha_error *err) {
    if (nauha__parse_i64(text, &value->integer, NULL) == NAUHA_OK &&
        (double)value->integer >= row->low && (double)value->integer <= row->high)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "key \"%s\" takes a whole number from %.16g to %.16g, not \"%s\"",
                           row->key, row->low, row->high, text);
}

static enum nauha_status parse_real(const struct nauha_analyzer_parameter *row, const char *text,
                                    union nauha_value *value, struct nauha_error *err) {
    if (nauha__parse_real(text, &value->real, NULL) == NAUHA_OK && value->real >= row->low &&
        value->real <= row->high)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID,
                           "key \"%s\" takes a number from %g to %g, not \"%s\"", row->key,
                           row->low, row->high, text);
}

/* One end of a range: NaN where it is missing. */
static bool parse_end(const char *text, size_t length, double *value) {
    char copy[64];
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    *value = NAN;
    return length == 0 || (nauha__parse_real(copy, value, NULL) == NAUHA_OK && isfinite(*value));
}

static enum nauha_status parse_range(const struct nauha_analyzer_parameter *row, const char *text,
                                     union nauha_value *value, struct nauha_error *err) {
    const char *colon = strchr(text, ':');
    if (colon && parse_end(text, (size_t)(colon - text), &value->range.low) &&
        parse_end(colon + 1, strlen(colon + 1), &value->range.high) &&
        !(value->range.low >= value->range.high))
        return NAUHA_OK;
    return nauha_error_set(
        err, NAUHA_INVALID,
        "key \"%s\" takes LOW:HIGH with LOW below HIGH, of which either may be missing, not \"%s\"",
        row->key, text);
}

/* One item of a list, which ends at its comma. */
static enum nauha_status parse_item(const struct nauha_analyzer_parameter *row, const char *text,
                                    double *item, struct nauha_error *err) {
    char copy[64];
    const size_t length = strcspn(text, ",");
    if (length < sizeof copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
        if (nauha__parse_real(copy, item, NULL) == NAUHA_OK && *item >= row->low &&
            *item <= row->high)
            return NAUHA_OK;
    }
    return nauha_error_set(err, NAUHA_INVALID,
                           "key \"%s\" takes numbers from %g to %g with commas between them, not "
                           "\"%.*s\"",
                           row->key, row->low, row->high, (int)(length < 80 ? length : 80), text);
}

/* The items become the spec's. */
static enum nauha_status parse_list(const struct nauha_analyzer_parameter *row, const char *text,
                                    union nauha_value *value, struct nauha_error *err) {
    size_t count = 1;
    for (const char *comma = strchr(text, ','); comma; comma = strchr(comma + 1, ','))
        count++;
    double *items = calloc(count, sizeof *items);
    if (!items)
        return nauha_error_nomem(err);
    for (size_t i = 0; i < count; i++, text += strcspn(text, ",") + 1) {
        enum nauha_status status = parse_item(row, text, &items[i], err);
        if (status != NAUHA_OK) {
            free(items);
            return status;
        }
    }
    value->list.items = items;
    value->list.count = count;
    return NAUHA_OK;
}

static enum nauha_status parse_value(const struct nauha_analyzer_parameter *row, const char *text,
                                     union nauha_value *value, struct nauha_error *err) {
    switch (row->type) {
    case NAUHA_PARAMETER_INTEGER:
        return parse_integer(row, text, value, err);
    case NAUHA_PARAMETER_REAL:
        return parse_real(row, text, value, err);
    case NAUHA_PARAMETER_RANGE:
        return parse_range(row, text, value, err);
    case NAUHA_PARAMETER_LIST:
        return parse_list(row, text, value, err);
    case NAUHA_PARAMETER_TEXT:
        break;
    }
    value->text = text;
    return NAUHA_OK;
}

/* ---- keys ---- */

static const struct nauha_analyzer_parameter *
find_parameter(const struct nauha_analyzer_parameter *rows, size_t count, const char *key,
               size_t *position) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].key, key) == 0) {
            *position = i;
            return &rows[i];
        }
    }
    return NULL;
}

static void set_common(struct nauha__spec *spec, size_t key, const union nauha_value *value) {
    switch ((enum common_key)key) {
    case KEY_SUBSAMPLE:
        spec->subsample = (uint64_t)value->integer;
        break;
    case KEY_EVERY:
        spec->every = (uint64_t)value->integer;
        break;
    case KEY_TAG:
        spec->tag = value->text;
        break;
    case KEY_YLIMS:
        spec->has_ylims = true;
        spec->y_low = value->range.low;
        spec->y_high = value->range.high;
        break;
    case KEY_LOG:
        spec->log = (int)value->integer;
        break;
    case KEY_COUNT:
        break;
    }
}

/* Reads one key=value. `given` has a flag for each key; the analyzer's own keys come first. */
static enum nauha_status take_key(struct nauha__spec *spec, const char *key, const char *text,
                                  bool *given, struct nauha_error *err) {
    const struct nauha_analyzer *analyzer = spec->analyzer;
    size_t position = 0;
    union nauha_value value;
    const struct nauha_analyzer_parameter *row =
        find_parameter(analyzer->parameters, analyzer->parameter_count, key, &position);
    const bool own = row != NULL;
    if (!own)
        row = find_parameter(common_keys, KEY_COUNT, key, &position);
    if (!row) {
        struct nauha__list list = NAUHA__LIST_INIT;
        struct nauha_nearest nearest = {.typed = key};
        list_keys(&list, &nearest, analyzer);
        return nauha_error_set(err, NAUHA_UNKNOWN, "metric \"%s\" has no key \"%s\"%s; keys: %s",
                               analyzer->name, key, nauha_did_you_mean(&nearest), list.text);
    }
    bool *flag = &given[own ? position : analyzer->parameter_count + position];
    if (*flag)
        return nauha_error_set(err, NAUHA_INVALID, "key \"%s\" is given twice", key);
    *flag = true;
    enum nauha_status status = parse_value(row, text, &value, err);
    if (status != NAUHA_OK)
        return status;
    if (own)
        spec->values[position] = value;
    else
        set_common(spec, position, &value);
    return NAUHA_OK;
}

/* Sets defaults of keys that were not given, and the common keys that the analyzer has in its own
 * table. */
static enum nauha_status complete_keys(struct nauha__spec *spec, const bool *given,
                                       struct nauha_error *err) {
    const struct nauha_analyzer *analyzer = spec->analyzer;
    for (size_t i = 0; i < analyzer->parameter_count; i++) {
        const struct nauha_analyzer_parameter *row = &analyzer->parameters[i];
        if (!given[i]) {
            if (!row->fallback)
                return nauha_error_set(err, NAUHA_INVALID, "metric \"%s\" needs the key %s (%s)",
                                       analyzer->name, row->key, row->help);
            enum nauha_status status = parse_value(row, row->fallback, &spec->values[i], err);
            if (status != NAUHA_OK)
                return nauha_error_wrap(err, status, "default of metric \"%s\"", analyzer->name);
        }
        size_t common = 0;
        const struct nauha_analyzer_parameter *same =
            find_parameter(common_keys, KEY_COUNT, row->key, &common);
        if (same && same->type == row->type)
            set_common(spec, common, &spec->values[i]);
    }
    if (!spec->tag[0])
        return nauha_error_set(err, NAUHA_INVALID, "key \"tag\" is empty");
    return NAUHA_OK;
}

/* ---- kinds ---- */

static enum nauha_status check_kind_count(const struct nauha__spec *spec,
                                          const struct nauha_names *names,
                                          struct nauha_error *err) {
    const struct nauha_analyzer *analyzer = spec->analyzer;
    if (spec->kind_count >= analyzer->min_kinds && spec->kind_count <= analyzer->max_kinds)
        return NAUHA_OK;
    struct nauha__list list = NAUHA__LIST_INIT;
    list_topics(&list, names);
    if (analyzer->min_kinds == analyzer->max_kinds)
        return nauha_error_set(err, NAUHA_INVALID,
                               "metric \"%s\" takes %u kind%s, as in \"%s:%s\", and got %zu; "
                               "kinds: %s",
                               analyzer->name, analyzer->min_kinds,
                               analyzer->min_kinds == 1 ? "" : "s", analyzer->name,
                               analyzer->min_kinds == 1 ? "weights" : "weight_updates,weights",
                               spec->kind_count, list.text);
    return nauha_error_set(
        err, NAUHA_INVALID, "metric \"%s\" takes %u to %u kinds and got %zu; kinds: %s",
        analyzer->name, analyzer->min_kinds, analyzer->max_kinds, spec->kind_count, list.text);
}

/* text: the second word of the SPEC, NULL if it has no kinds; it is cut at its commas in place. */
static enum nauha_status take_kinds(struct nauha__spec *spec, char *text,
                                    const struct nauha_names *names, struct nauha_error *err) {
    const struct nauha_analyzer *analyzer = spec->analyzer;
    if (!text && analyzer->default_kinds) {
        for (; analyzer->default_kinds[spec->kind_count]; spec->kind_count++)
            spec->kinds[spec->kind_count] = analyzer->default_kinds[spec->kind_count];
        return NAUHA_OK;
    }
    if (text && analyzer->max_kinds == 0)
        return nauha_error_set(err, NAUHA_INVALID, "metric \"%s\" takes no kinds, and got \"%s\"",
                               analyzer->name, text);
    while (text) {
        char *comma = strchr(text, ',');
        if (comma)
            *comma = 0;
        if (!text[0])
            return nauha_error_set(err, NAUHA_INVALID, "a kind is empty");
        for (size_t i = 0; i < spec->kind_count; i++) {
            if (strcmp(spec->kinds[i], text) == 0)
                return nauha_error_set(err, NAUHA_INVALID, "kind \"%s\" is given twice", text);
        }
        spec->kinds[spec->kind_count++] = text;
        text = comma ? comma + 1 : NULL;
    }
    return check_kind_count(spec, names, err);
}

/* ---- the whole ---- */

/* Whether a word without '=' continues the value before it: ranges contain a colon, and texts
 * may. */
static bool value_goes_on(const struct nauha_analyzer *analyzer, const char *key_and_value) {
    char key[64];
    const size_t length = strcspn(key_and_value, "=");
    if (length >= sizeof key)
        return false;
    memcpy(key, key_and_value, length);
    key[length] = 0;
    size_t position = 0;
    const struct nauha_analyzer_parameter *row =
        find_parameter(analyzer->parameters, analyzer->parameter_count, key, &position);
    if (!row)
        row = find_parameter(common_keys, KEY_COUNT, key, &position);
    return row && (row->type == NAUHA_PARAMETER_TEXT ||
                   (row->type == NAUHA_PARAMETER_RANGE && !strchr(key_and_value, ':')));
}

/* Cuts spec->words after the name into the kinds (NULL: none) and key=value words, in place. */
static enum nauha_status cut_words(const struct nauha__spec *spec, char *rest, char **kinds,
                                   char **words, size_t *count, struct nauha_error *err) {
    *kinds = NULL;
    *count = 0;
    for (bool first = true; rest; first = false) {
        char *word = rest;
        char *colon = strchr(word, ':');
        rest = colon ? colon + 1 : NULL;
        if (colon)
            *colon = 0;
        if (strchr(word, '=')) {
            if (*count == MAX_WORDS)
                return nauha_error_set(err, NAUHA_INVALID, "more than %u keys", MAX_WORDS);
            words[(*count)++] = word;
        } else if (first) {
            *kinds = word;
        } else if (*count > 0 && value_goes_on(spec->analyzer, words[*count - 1])) {
            word[-1] = ':'; /* the zero between the words is a colon again */
        } else {
            return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not of the form key=value", word);
        }
    }
    return NAUHA_OK;
}

static enum nauha_status parse_words(struct nauha__spec *spec, char *rest,
                                     const struct nauha_names *names, struct nauha_error *err) {
    char *kinds, *words[MAX_WORDS];
    size_t count = 0;
    enum nauha_status status = cut_words(spec, rest, &kinds, words, &count, err);
    if (status == NAUHA_OK)
        status = take_kinds(spec, kinds, names, err);
    bool *given = calloc(spec->analyzer->parameter_count + KEY_COUNT, sizeof *given);
    if (!given)
        return nauha_error_nomem(err);
    for (size_t i = 0; i < count && status == NAUHA_OK; i++) {
        char *equals = strchr(words[i], '=');
        *equals = 0;
        status = take_key(spec, words[i], equals + 1, given, err);
    }
    if (status == NAUHA_OK)
        status = complete_keys(spec, given, err);
    free(given);
    return status;
}

static enum nauha_status find_analyzer(struct nauha__spec *spec, const char *name,
                                       const struct nauha_analyzer *const *analyzers, size_t count,
                                       struct nauha_error *err) {
    struct nauha__list list = NAUHA__LIST_INIT;
    struct nauha_nearest nearest = {.typed = name};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(analyzers[i]->name, name) == 0) {
            spec->analyzer = analyzers[i];
            return NAUHA_OK;
        }
        nauha__list_add(&list, "%s", analyzers[i]->name);
        nauha_nearest_try(&nearest, analyzers[i]->name);
    }
    return nauha_error_set(err, NAUHA_UNKNOWN, "there is no metric \"%s\"%s; metrics: %s", name,
                           nauha_did_you_mean(&nearest), list.text);
}

/* Room for as many kinds as the text can contain or the descriptor has as defaults. */
static enum nauha_status allocate(struct nauha__spec *spec, struct nauha_error *err) {
    size_t kinds = 1;
    for (const char *c = spec->text; *c; c++)
        kinds += *c == ',';
    size_t defaults = 0;
    while (spec->analyzer->default_kinds && spec->analyzer->default_kinds[defaults])
        defaults++;
    spec->kinds = calloc(kinds > defaults ? kinds : defaults, sizeof *spec->kinds);
    spec->values = calloc(spec->analyzer->parameter_count + 1, sizeof *spec->values);
    if (!spec->kinds || !spec->values)
        return nauha_error_nomem(err);
    return NAUHA_OK;
}

enum nauha_status nauha__spec_parse(const char *text, const struct nauha_analyzer *const *analyzers,
                                    size_t analyzer_count, const struct nauha_names *names,
                                    struct nauha__spec **out, struct nauha_error *err) {
    struct nauha__spec *spec = calloc(1, sizeof *spec);
    if (!spec || !(spec->text = strdup(text)) || !(spec->words = strdup(text))) {
        nauha__spec_free(spec);
        return nauha_error_nomem(err);
    }
    spec->subsample = spec->every = 1;
    spec->tag = common_keys[KEY_TAG].fallback;
    spec->y_low = spec->y_high = NAN;
    spec->log = -1;
    char *rest = strchr(spec->words, ':');
    if (rest)
        *rest++ = 0;
    enum nauha_status status = find_analyzer(spec, spec->words, analyzers, analyzer_count, err);
    if (status == NAUHA_OK)
        status = allocate(spec, err);
    if (status == NAUHA_OK)
        status = parse_words(spec, rest, names, err);
    if (status != NAUHA_OK) {
        nauha__spec_free(spec);
        return nauha_error_wrap(err, status, "metric \"%.200s\"", text);
    }
    *out = spec;
    return NAUHA_OK;
}
