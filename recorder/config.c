/* SPDX-License-Identifier: MIT */
/* The recorder's options: one table, parsed from text. */
#include "recorder/config.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/parse.h"
#include "nauha/nearest.h"
#include "recorder/keeping.h"

#define BUFFER_MIN (1u << 20)
#define FIRST_STEP_MAX (INT64_C(1) << 53) /* exact in JSON */

/* ---- one setter per option ---- */

typedef enum nauha_status (*set_fn)(struct nauha_recorder_config *config, const char *value,
                                    struct nauha_error *err);

static enum nauha_status set_depth(struct nauha_recorder_config *config, const char *value,
                                   struct nauha_error *err) {
    int64_t depth;
    if (strcmp(value, "all") == 0) {
        config->depth = -1;
        return NAUHA_OK;
    }
    enum nauha_status status = nauha__parse_i64(value, &depth, err);
    if (status != NAUHA_OK)
        return status;
    config->depth = depth < 0 ? -1 : depth > INT32_MAX ? INT32_MAX : (int)depth;
    return NAUHA_OK;
}

static enum nauha_status set_codec(struct nauha_recorder_config *config, const char *value,
                                   struct nauha_error *err) {
    enum nauha_status status = nauha__codec_parse(value, &config->codec, err);
    if (status == NAUHA_OK)
        snprintf(config->codec_text, sizeof config->codec_text, "%s", value);
    return status;
}

static enum nauha_status set_buffer(struct nauha_recorder_config *config, const char *value,
                                    struct nauha_error *err) {
    uint64_t bytes;
    enum nauha_status status = nauha__parse_size(value, &bytes, err);
    if (status != NAUHA_OK)
        return status;
    if (bytes < BUFFER_MIN || bytes > SIZE_MAX / 2)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a buffer size: at least 1M",
                               value);
    config->buffer_bytes = bytes;
    return NAUHA_OK;
}

static enum nauha_status set_on_full(struct nauha_recorder_config *config, const char *value,
                                     struct nauha_error *err) {
    if (strcmp(value, "block") != 0 && strcmp(value, "drop") != 0)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is neither block nor drop", value);
    config->drop = value[0] == 'd';
    return NAUHA_OK;
}

static enum nauha_status set_flush(struct nauha_recorder_config *config, const char *value,
                                   struct nauha_error *err) {
    char number[64];
    const char *comma = strchr(value, ',');
    size_t length = comma ? (size_t)(comma - value) : strlen(value);
    double seconds = 0;
    bool sync = comma && strcmp(comma, ",sync") == 0;
    bool good = length > 0 && length < sizeof number && (!comma || sync);
    if (good) {
        memcpy(number, value, length);
        number[length] = '\0';
        good = nauha__parse_real(number, &seconds, NULL) == NAUHA_OK && isfinite(seconds) &&
               seconds > 0 && seconds <= 86400;
    }
    if (!good)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a flush interval: seconds above 0, as in 0.5, or "
                               "1,sync to survive a power loss",
                               value);
    config->flush_seconds = seconds;
    config->flush_sync = sync;
    return NAUHA_OK;
}

static enum nauha_status set_limit(struct nauha_recorder_config *config, const char *value,
                                   struct nauha_error *err) {
    return nauha__parse_size(value, &config->limit_bytes, err);
}

static const struct {
    const char *name;
    unsigned bits;
} precisions[] = {{"full", 0}, {"bf16", 7}, {"fp16", 10}};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static enum nauha_status set_precision(struct nauha_recorder_config *config, const char *value,
                                       struct nauha_error *err) {
    for (size_t i = 0; i < PRECISIONS; i++) {
        if (strcmp(precisions[i].name, value) != 0)
            continue;
        config->precision = precisions[i].bits;
        return NAUHA_OK;
    }
    return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is none of full, bf16, fp16", value);
}

static enum nauha_status set_samples(struct nauha_recorder_config *config, const char *value,
                                     struct nauha_error *err) {
    int64_t samples = 0;
    bool all = strcmp(value, "all") == 0;
    if (!all &&
        (nauha__parse_i64(value, &samples, NULL) != NAUHA_OK || samples < 1 || samples > INT32_MAX))
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a number of samples: 1 or more, or all", value);
    config->samples = (uint32_t)samples;
    return NAUHA_OK;
}

static enum nauha_status parse_switch(const char *value, bool *on, struct nauha_error *err) {
    if (value && strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is neither yes nor no", value);
    *on = !value || value[0] == 'y';
    return NAUHA_OK;
}

static enum nauha_status set_overwrite(struct nauha_recorder_config *config, const char *value,
                                       struct nauha_error *err) {
    return parse_switch(value, &config->overwrite, err);
}

/* A number from which the recording counts. */
static enum nauha_status parse_first(const char *value, int64_t most, uint64_t *first,
                                     struct nauha_error *err) {
    int64_t number;
    if (nauha__parse_i64(value, &number, NULL) != NAUHA_OK || number < 0 || number > most)
        return nauha_error_set(err, NAUHA_INVALID, "\"%s\" is not a number from 0 to %" PRId64,
                               value, most);
    *first = (uint64_t)number;
    return NAUHA_OK;
}

static enum nauha_status set_first_step(struct nauha_recorder_config *config, const char *value,
                                        struct nauha_error *err) {
    return parse_first(value, FIRST_STEP_MAX, &config->first_step, err);
}

static enum nauha_status set_first_epoch(struct nauha_recorder_config *config, const char *value,
                                         struct nauha_error *err) {
    return parse_first(value, INT32_MAX, &config->first_epoch, err);
}

static enum nauha_status set_first_batch(struct nauha_recorder_config *config, const char *value,
                                         struct nauha_error *err) {
    return parse_first(value, INT32_MAX, &config->first_batch, err);
}

/* Row by row with the setters below. */
static const struct nauha_option options[] = {
    {"depth", 0, "N", "all", "record modules down to this level of nesting"},
    {"codec", 0, "CODEC", "zstd",
     "compression: zstd, zstd:LEVEL, lz4 or none; auto is zstd for as much as the processors have "
     "time for, and none for the rest; zstd,temporal stores parameters smaller, by predicting them "
     "from earlier steps; zstd,standard uses only filters that are registered with HDF5"},
    {"buffer", 0, "SIZE", "256M", "memory for tensors that are not yet written"},
    {"on-full", 0, "block|drop", "block",
     "when the buffer is full, block the training or drop messages"},
    {"flush", 0, "SECONDS[,sync]", "1",
     "interval after which all messages so far can be read; sync also forces them to disk"},
    {"precision", 0, "full|bf16|fp16", "full",
     "round activations and gradients to this precision, stored as f32; parameters stay exact"},
    {"samples", 0, "K", "all",
     "record only the first K samples of each batch, in inputs, outputs, activations and their "
     "gradients"},
    {"limit", 0, "SIZE", "0",
     "stop recording before the trace becomes larger than this; 0 is no limit"},
    {"overwrite", 0, NULL, NULL,
     "replace an existing file of any type; without this option only a trace is replaced, and "
     "renamed to TRACE.old"},
    {"first-step", 0, "N", "0",
     "number of the first step, for a training that goes on from a checkpoint"},
    {"first-epoch", 0, "N", "0", "number of the epoch in which it begins"},
    {"first-batch", 0, "N", "0",
     "number of its first step within this epoch, if it begins in the middle of one"},
};
static const set_fn setters[] = {set_depth,     set_codec,      set_buffer,      set_on_full,
                                 set_flush,     set_precision,  set_samples,     set_limit,
                                 set_overwrite, set_first_step, set_first_epoch, set_first_batch};
#define OPTIONS (sizeof options / sizeof options[0])
_Static_assert(OPTIONS == sizeof setters / sizeof setters[0], "a setter for every option");

const struct nauha_option *nauha_recorder_options(size_t *count) {
    *count = OPTIONS;
    return options;
}

/* The options of other objects of a configuration. */
static const struct nauha_option *(*const tables[])(size_t *count) = {
    nauha_selector_options, nauha_keeping_options, nauha_recorder_options};
enum { TABLES = sizeof tables / sizeof *tables };

static enum nauha_status unknown_key(const char *key, struct nauha_error *err) {
    char known[800] = "";
    struct nauha_nearest nearest = {.typed = key};
    for (size_t table = 0; table < TABLES; table++) {
        size_t count;
        const struct nauha_option *rows = tables[table](&count);
        for (size_t i = 0; i < count; i++) {
            size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", rows[i].name);
            nauha_nearest_try(&nearest, rows[i].name);
        }
    }
    return nauha_error_set(err, NAUHA_UNKNOWN, "there is no recording option \"%s\"%s; options: %s",
                           key, nauha_did_you_mean(&nearest), known);
}

static bool has_row(const struct nauha_option *(*table)(size_t *count), const char *name) {
    size_t count;
    const struct nauha_option *rows = table(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return true;
    return false;
}

/* Whether a comma-separated list has this word. */
static bool lists(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        at += strspn(at, " ");
        if (strncmp(at, word, length) == 0 && strchr(", ", at[length]))
            return true;
    }
    return false;
}

enum nauha_status nauha_recorder_config_set(struct nauha_recorder_config *config, const char *key,
                                            const char *value, struct nauha_error *err) {
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, key) != 0)
            continue;
        enum nauha_status status = setters[i](config, value, err);
        return status == NAUHA_OK ? status : nauha_error_wrap(err, status, "option \"%s\"", key);
    }
    if (!has_row(nauha_selector_options, key) && !has_row(nauha_keeping_options, key))
        return unknown_key(key, err);
    enum nauha_status status = nauha_keeping_set(config->keeping, key, value, err);
    if (status == NAUHA_OK && strcmp(key, "kinds") == 0)
        config->inputs = lists(value, "inputs");
    return status;
}

/* ---- the object ---- */

struct nauha_recorder_config *nauha_recorder_config_new(void) {
    struct nauha_recorder_config *config = calloc(1, sizeof *config);
    if (!config)
        return NULL;
    config->world_size = 1;
    config->keeping = nauha_keeping_new();
    bool good = config->keeping != NULL;
    for (size_t i = 0; good && i < OPTIONS; i++)
        good = !options[i].value || setters[i](config, options[i].fallback, NULL) == NAUHA_OK;
    if (good)
        return config;
    nauha_recorder_config_free(config);
    return NULL;
}

void nauha_recorder_config_free(struct nauha_recorder_config *config) {
    if (!config)
        return;
    nauha_keeping_free(config->keeping);
    for (size_t i = 0; i < config->fact_count; i++) {
        free(config->facts[i].key);
        free(config->facts[i].value);
    }
    free(config->facts);
    free(config);
}

enum nauha_status nauha_recorder_config_describe(struct nauha_recorder_config *config,
                                                 const char *key, const char *value,
                                                 struct nauha_error *err) {
    char *text = strdup(value);
    for (size_t i = 0; text && i < config->fact_count; i++) {
        if (strcmp(config->facts[i].key, key) == 0) {
            free(config->facts[i].value);
            config->facts[i].value = text;
            return NAUHA_OK;
        }
    }
    const bool room =
        text && NAUHA_GROW(config->facts, config->fact_capacity, config->fact_count + 1);
    char *name = room ? strdup(key) : NULL;
    if (!name) {
        free(text);
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for fact \"%s\"", key);
    }
    config->facts[config->fact_count++] = (struct nauha__fact){name, text};
    return NAUHA_OK;
}

bool nauha_recorder_config_fact(const struct nauha_recorder_config *config, size_t position,
                                const char **key, const char **value) {
    if (position >= config->fact_count)
        return false;
    *key = config->facts[position].key;
    *value = config->facts[position].value;
    return true;
}

enum nauha_status nauha_recorder_config_set_rank(struct nauha_recorder_config *config,
                                                 uint32_t rank, uint32_t world_size,
                                                 struct nauha_error *err) {
    if (rank >= world_size)
        return nauha_error_set(err, NAUHA_INVALID, "rank %u is not below the world size %u", rank,
                               world_size);
    config->rank = rank;
    config->world_size = world_size;
    return NAUHA_OK;
}

void nauha_recorder_config_set_tentative(struct nauha_recorder_config *config, bool tentative) {
    config->tentative = tentative;
}

struct nauha_recorder_config *nauha__config_copy(const struct nauha_recorder_config *config) {
    struct nauha_recorder_config *copy = nauha_recorder_config_new();
    if (!copy || !config)
        return copy;
    nauha_keeping_free(copy->keeping);
    *copy = *config;
    copy->facts = NULL;
    copy->fact_count = copy->fact_capacity = 0;
    copy->keeping = nauha_keeping_copy(config->keeping);
    bool good = copy->keeping != NULL;
    for (size_t i = 0; good && i < config->fact_count; i++)
        good = nauha_recorder_config_describe(copy, config->facts[i].key, config->facts[i].value,
                                              NULL) == NAUHA_OK;
    if (good)
        return copy;
    nauha_recorder_config_free(copy);
    return NULL;
}

enum nauha_status nauha__config_check(const struct nauha_recorder_config *config,
                                      struct nauha_error *err) {
    const bool reduced = config->samples > 0 || config->precision > 0;
    if (reduced && nauha__keeping_is_proof(config->keeping))
        return nauha_error_set(err, NAUHA_INVALID,
                               "option \"keep\": proof needs all of the inputs, so it excludes the "
                               "options samples and precision");
    return nauha__keeping_check_flight(config->keeping, err);
}

/* The precision and the number of samples to which the tensors in the trace were reduced are facts
 * about it. */
static bool add_reductions(cJSON *object, const struct nauha_recorder_config *config) {
    char samples[16];
    for (size_t i = 0; i < PRECISIONS; i++)
        if (config->precision && precisions[i].bits == config->precision &&
            !cJSON_AddStringToObject(object, "precision", precisions[i].name))
            return false;
    snprintf(samples, sizeof samples, "%u", config->samples);
    if (config->samples && !cJSON_AddStringToObject(object, "samples", samples))
        return false;
    return nauha__keeping_add_facts(config->keeping, object);
}

char *nauha__config_facts_json(const struct nauha_recorder_config *config) {
    cJSON *object = cJSON_CreateObject();
    char *text = NULL;
    for (size_t i = 0; object && i < config->fact_count; i++) {
        if (!cJSON_AddStringToObject(object, config->facts[i].key, config->facts[i].value))
            goto out;
    }
    if (object && add_reductions(object, config))
        text = cJSON_PrintUnformatted(object);
out:
    cJSON_Delete(object);
    return text;
}
