/* SPDX-License-Identifier: MIT */
/* The options of the built-in training: one table for the command line, its help and the values. */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/nearest.h"
#include "tools/train/train.h"

static const char *const model_names[] = {
#define NAME2(id, name) name,
#define NAME3(id, name, directory) name,
    NAUHA_TRAIN_MODELS(NAME2)};
static const char *const dataset_names[] = {NAUHA_TRAIN_DATASETS(NAME3)};
static const char *const optimizer_names[] = {NAUHA_TRAIN_OPTIMIZERS(NAME2)};
static const char *const directories[] = {
#define DIRECTORY(id, name, directory) directory,
    NAUHA_TRAIN_DATASETS(DIRECTORY)};

#define BAR2(id, name) "|" name
#define BAR3(id, name, directory) "|" name
/* The choices, each after a bar; the first bar is skipped. */
#define CHOICES(list, bar) (&list(bar)[1])

static const struct nauha_option table[] = {
    {"model", 'm', CHOICES(NAUHA_TRAIN_MODELS, BAR2), "alexnetmini", "the network to train"},
    {"dataset", 'd', CHOICES(NAUHA_TRAIN_DATASETS, BAR3), "fashion-mnist",
     "the images to train on"},
    {"data-dir", 0, "DIR", NULL,
     "directory of the dataset; by default that of the Debian package for fashion-mnist, else "
     "data/mnist, data/cifar-10-batches-bin or data/cifar-100-binary"},
    {"batch-size", 'b', "N", "128", "images per step"},
    {"epochs", 'e', "N", "1", "passes through the training set"},
    {"max-steps", 0, "N", "0", "end after N steps; 0 is no limit"},
    {"optimizer", 0, CHOICES(NAUHA_TRAIN_OPTIMIZERS, BAR2), "adam", "the optimizer"},
    {"learning-rate", 0, "X", "0.001", "the optimizer's learning rate"},
    {"exponential-decay", 0, "X", "1", "factor of the learning rate after each epoch"},
    {"test-every", 0, "N", "1",
     "evaluate the test set every N epochs, under the tag \"testing\"; 0 is never"},
    {"test-steps", 0, "N", "0",
     "evaluate the test set also at the beginning of every N-th step; 0 is never"},
    {"probe-every", 0, "N", "0",
     "run a probe at the beginning of every N-th step: a batch of the test set, recorded with its "
     "activations under a tag of its own; 0 is never"},
    {"probe-samples", 0, "N", "256", "a probe is the first N images of the test set"},
    {"probe-tag", 0, "TAG", "svcca_testing", "tag of the probes"},
    {"seed", 's', "N", "0", "seed of the initial weights, the order of images and dropout"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct nauha_option *nauha_train_option_table(size_t *count) {
    *count = COUNT(table);
    return table;
}

/* ---- values ---- */

struct value;
typedef enum nauha_status (*parse_fn)(const struct value *row, const char *key, const char *value,
                                      void *result, struct nauha_error *err);

/* How the value of an option is read, and where it is stored. */
struct value {
    parse_fn parse;
    size_t at;                /* offset in struct nauha_train_options */
    uint64_t low, high;       /* of a number, of a length, of the positions in `names` */
    const char *const *names; /* of a choice */
};

static enum nauha_status parse_choice(const struct value *row, const char *key, const char *value,
                                      void *choice, struct nauha_error *err) {
    char list[256] = "";
    struct nauha_nearest nearest = {.typed = value};
    for (unsigned i = 0; i < row->high; i++) {
        if (strcmp(value, row->names[i]) == 0) {
            memcpy(choice, &i, sizeof i);
            return NAUHA_OK;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", row->names[i]);
        nauha_nearest_try(&nearest, row->names[i]);
    }
    return nauha_error_set(err, NAUHA_INVALID,
                           "\"%s\" is not a value of \"%s\"%s: expected one of %s", value, key,
                           nauha_did_you_mean(&nearest), list);
}

static enum nauha_status parse_count(const struct value *row, const char *key, const char *value,
                                     void *count, struct nauha_error *err) {
    char *end = NULL;
    errno = 0;
    const unsigned long long number =
        value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
    if (!end || *end || errno || number < row->low || number > row->high)
        return nauha_error_set(
            err, NAUHA_INVALID,
            "\"%s\" is not a value of \"%s\": expected a whole number from %llu to %llu", value,
            key, (unsigned long long)row->low, (unsigned long long)row->high);
    *(uint64_t *)count = number;
    return NAUHA_OK;
}

static enum nauha_status parse_positive(const struct value *row, const char *key, const char *value,
                                        void *real, struct nauha_error *err) {
    (void)row;
    char *end = NULL;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || number <= 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a value of \"%s\": expected a number above 0", value,
                               key);
    *(double *)real = number;
    return NAUHA_OK;
}

static enum nauha_status parse_directory(const struct value *row, const char *key,
                                         const char *value, void *directory,
                                         struct nauha_error *err) {
    if (!*value || strlen(value) >= row->high)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a value of \"%s\": expected the name of a directory",
                               *value ? "..." : "", key);
    memcpy(directory, value, strlen(value) + 1);
    return NAUHA_OK;
}

static enum nauha_status parse_tag(const struct value *row, const char *key, const char *value,
                                   void *tag, struct nauha_error *err) {
    if (!*value || strlen(value) > row->high || strcmp(value, "default") == 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%.40s\" is not a value of \"%s\": expected a word of 1 to "
                               "%llu characters other than \"default\"",
                               value, key, (unsigned long long)row->high);
    memcpy(tag, value, strlen(value) + 1);
    return NAUHA_OK;
}

static enum nauha_status unknown_key(const char *key, struct nauha_error *err) {
    char list[256] = "";
    struct nauha_nearest nearest = {.typed = key};
    for (size_t i = 0; i < COUNT(table); i++) {
        nauha_nearest_try(&nearest, table[i].name);
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", table[i].name);
    }
    return nauha_error_set(err, NAUHA_UNKNOWN,
                           "there is no training option \"%s\"%s: expected one of %s", key,
                           nauha_did_you_mean(&nearest), list);
}

#define ROW(member, parse, low, high, names)                                                       \
    { parse, offsetof(struct nauha_train_options, member), low, high, names }

/* Row by row with the table of options above. */
static const struct value values[] = {
    ROW(model, parse_choice, 0, COUNT(model_names), model_names),
    ROW(dataset, parse_choice, 0, COUNT(dataset_names), dataset_names),
    ROW(data_dir, parse_directory, 1, sizeof(((struct nauha_train_options *)0)->data_dir), NULL),
    ROW(batch_size, parse_count, 1, 65536, NULL),
    ROW(epochs, parse_count, 1, 1000000, NULL),
    ROW(max_steps, parse_count, 0, UINT64_MAX, NULL),
    ROW(optimizer, parse_choice, 0, COUNT(optimizer_names), optimizer_names),
    ROW(learning_rate, parse_positive, 0, 0, NULL),
    ROW(exponential_decay, parse_positive, 0, 0, NULL),
    ROW(test_every, parse_count, 0, 1000000, NULL),
    ROW(test_steps, parse_count, 0, UINT64_MAX, NULL),
    ROW(probe_every, parse_count, 0, UINT64_MAX, NULL),
    ROW(probe_samples, parse_count, 1, 1000000, NULL),
    ROW(probe_tag, parse_tag, 1, NAUHA_NAME_MAX, NULL),
    ROW(seed, parse_count, 0, UINT64_MAX, NULL),
};
_Static_assert(COUNT(table) == COUNT(values), "a value for every option");
_Static_assert(sizeof(enum nauha_train_model) == sizeof(unsigned), "parse_choice writes unsigned");

enum nauha_status nauha_train_options_set(struct nauha_train_options *options, const char *key,
                                          const char *value, struct nauha_error *err) {
    for (size_t i = 0; i < COUNT(table); i++) {
        if (strcmp(table[i].name, key) == 0)
            return values[i].parse(&values[i], key, value, (char *)options + values[i].at, err);
    }
    return unknown_key(key, err);
}

void nauha_train_options_init(struct nauha_train_options *options) {
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < COUNT(table); i++)
        if (table[i].fallback)
            (void)nauha_train_options_set(options, table[i].name, table[i].fallback, NULL);
}

/* ---- names ---- */

const char *nauha_train_model_name(enum nauha_train_model model) {
    return (size_t)model < COUNT(model_names) ? model_names[model] : "";
}

const char *nauha_train_dataset_name(enum nauha_train_dataset dataset) {
    return (size_t)dataset < COUNT(dataset_names) ? dataset_names[dataset] : "";
}

const char *nauha_train_optimizer_name(enum nauha_train_optimizer optimizer) {
    return (size_t)optimizer < COUNT(optimizer_names) ? optimizer_names[optimizer] : "";
}

const char *nauha_train_data_dir(const struct nauha_train_options *options) {
    if (options->data_dir[0])
        return options->data_dir;
    return (size_t)options->dataset < COUNT(directories) ? directories[options->dataset] : "";
}
