/* SPDX-License-Identifier: MIT */
/* The options of the built-in training: one table for the command line, its help and the values. */
#include <errno.h>
#include <math.h>
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
/* The choices with bars between them; the first bar is skipped. */
#define CHOICES(list, bar) (&list(bar)[1])

static const struct nauha_option table[] = {
    {"model", 'm', CHOICES(NAUHA_TRAIN_MODELS, BAR2), "alexnetmini", "the network to train"},
    {"dataset", 'd', CHOICES(NAUHA_TRAIN_DATASETS, BAR3), "fashion-mnist",
     "the images to train it on"},
    {"data-dir", 0, "DIR", NULL,
     "directory of the dataset's files; by default Debian's for fashion-mnist, else data/mnist, "
     "data/cifar-10-batches-bin or data/cifar-100-binary"},
    {"batch-size", 'b', "N", "128", "images per step"},
    {"epochs", 'e', "N", "1", "how often to go through the training set"},
    {"max-steps", 0, "N", "0", "end after this many steps, 0 for no such limit"},
    {"optimizer", 0, CHOICES(NAUHA_TRAIN_OPTIMIZERS, BAR2), "adam", "how to step"},
    {"learning-rate", 0, "X", "0.001", "the optimizer's learning rate"},
    {"exponential-decay", 0, "X", "1", "what the learning rate is multiplied by after each epoch"},
    {"test-every", 0, "N", "1",
     "epochs between passes over the test set, published under the tag \"testing\", 0 for none"},
    {"test-steps", 0, "N", "0",
     "steps between further passes over the test set, each as its step begins, 0 for none"},
    {"probe-every", 0, "N", "0",
     "steps between probes: a batch of the test set is run as the step begins, and published with "
     "its activations under a tag of its own; 0 for none"},
    {"probe-samples", 0, "N", "256", "images of a probe, the first of the test set"},
    {"probe-tag", 0, "TAG", "svcca_testing", "the tag of probes"},
    {"seed", 's', "N", "0", "seed of the initial weights, the order of images and dropout"},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct nauha_option *nauha_train_option_table(size_t *count) {
    *count = COUNT(table);
    return table;
}

/* ---- values ---- */

static enum nauha_status parse_choice(const char *key, const char *value, const char *const *names,
                                      size_t count, size_t *choice, struct nauha_error *err) {
    char list[256] = "";
    struct nauha_nearest nearest = {.typed = value};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, names[i]) == 0) {
            *choice = i;
            return NAUHA_OK;
        }
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        nauha_nearest_try(&nearest, names[i]);
    }
    return nauha_error_set(err, NAUHA_INVALID,
                           "\"%s\" is not a value of \"%s\"%s: expected one of %s", value, key,
                           nauha_did_you_mean(&nearest), list);
}

static enum nauha_status parse_count(const char *key, const char *value, uint64_t low,
                                     uint64_t high, uint64_t *count, struct nauha_error *err) {
    char *end = NULL;
    errno = 0;
    const unsigned long long number =
        value[0] >= '0' && value[0] <= '9' ? strtoull(value, &end, 10) : 0;
    if (!end || *end || errno || number < low || number > high)
        return nauha_error_set(
            err, NAUHA_INVALID,
            "\"%s\" is not a value of \"%s\": expected a whole number from %llu to %llu", value,
            key, (unsigned long long)low, (unsigned long long)high);
    *count = number;
    return NAUHA_OK;
}

static enum nauha_status parse_positive(const char *key, const char *value, double *real,
                                        struct nauha_error *err) {
    char *end = NULL;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || number <= 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a value of \"%s\": expected a number above 0", value,
                               key);
    *real = number;
    return NAUHA_OK;
}

static enum nauha_status parse_directory(struct nauha_train_options *options, const char *value,
                                         struct nauha_error *err) {
    if (!*value || strlen(value) >= sizeof options->data_dir)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%s\" is not a value of \"data-dir\": expected the name of a "
                               "directory",
                               *value ? "..." : "");
    memcpy(options->data_dir, value, strlen(value) + 1);
    return NAUHA_OK;
}

static enum nauha_status parse_tag(struct nauha_train_options *options, const char *value,
                                   struct nauha_error *err) {
    if (!*value || strlen(value) > NAUHA_NAME_MAX || strcmp(value, "default") == 0)
        return nauha_error_set(err, NAUHA_INVALID,
                               "\"%.40s\" is not a value of \"probe-tag\": expected a word of 1 to "
                               "%u characters other than \"default\"",
                               value, NAUHA_NAME_MAX);
    memcpy(options->probe_tag, value, strlen(value) + 1);
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
                           "unknown training option \"%s\"%s: expected one of %s", key,
                           nauha_did_you_mean(&nearest), list);
}

enum nauha_status nauha_train_options_set(struct nauha_train_options *options, const char *key,
                                          const char *value, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    size_t choice = 0;
    if (strcmp(key, "model") == 0) {
        status = parse_choice(key, value, model_names, COUNT(model_names), &choice, err);
        if (status == NAUHA_OK)
            options->model = (enum nauha_train_model)choice;
    } else if (strcmp(key, "dataset") == 0) {
        status = parse_choice(key, value, dataset_names, COUNT(dataset_names), &choice, err);
        if (status == NAUHA_OK)
            options->dataset = (enum nauha_train_dataset)choice;
    } else if (strcmp(key, "optimizer") == 0) {
        status = parse_choice(key, value, optimizer_names, COUNT(optimizer_names), &choice, err);
        if (status == NAUHA_OK)
            options->optimizer = (enum nauha_train_optimizer)choice;
    } else if (strcmp(key, "data-dir") == 0) {
        status = parse_directory(options, value, err);
    } else if (strcmp(key, "batch-size") == 0) {
        status = parse_count(key, value, 1, 65536, &options->batch_size, err);
    } else if (strcmp(key, "epochs") == 0) {
        status = parse_count(key, value, 1, 1000000, &options->epochs, err);
    } else if (strcmp(key, "max-steps") == 0) {
        status = parse_count(key, value, 0, UINT64_MAX, &options->max_steps, err);
    } else if (strcmp(key, "learning-rate") == 0) {
        status = parse_positive(key, value, &options->learning_rate, err);
    } else if (strcmp(key, "exponential-decay") == 0) {
        status = parse_positive(key, value, &options->exponential_decay, err);
    } else if (strcmp(key, "test-every") == 0) {
        status = parse_count(key, value, 0, 1000000, &options->test_every, err);
    } else if (strcmp(key, "test-steps") == 0) {
        status = parse_count(key, value, 0, UINT64_MAX, &options->test_steps, err);
    } else if (strcmp(key, "probe-every") == 0) {
        status = parse_count(key, value, 0, UINT64_MAX, &options->probe_every, err);
    } else if (strcmp(key, "probe-samples") == 0) {
        status = parse_count(key, value, 1, 1000000, &options->probe_samples, err);
    } else if (strcmp(key, "probe-tag") == 0) {
        status = parse_tag(options, value, err);
    } else if (strcmp(key, "seed") == 0) {
        status = parse_count(key, value, 0, UINT64_MAX, &options->seed, err);
    } else {
        status = unknown_key(key, err);
    }
    return status;
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
