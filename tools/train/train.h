/* SPDX-License-Identifier: MIT */
/* The interface of the module nauha_train.so, the built-in training. The program loads it, and
 * libtorch with it, only for `nauha train`, and finds the function under the symbol
 * NAUHA_TRAIN_SYMBOL.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_TOOLS_TRAIN_TRAIN_H
#define NAUHA_TOOLS_TRAIN_TRAIN_H

#include <signal.h>

#include "nauha/option.h"
#include "nauha/recorder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(ID, "name") */
#define NAUHA_TRAIN_MODELS(X)                                                                      \
    X(ALEXNETMINI, "alexnetmini")                                                                  \
    X(FC, "fc")                                                                                    \
    X(VGG, "vgg")                                                                                  \
    X(RESNET, "resnet")                                                                            \
    X(DENSENET, "densenet")

/* X(ID, "name", "default directory") */
#define NAUHA_TRAIN_DATASETS(X)                                                                    \
    X(FASHION_MNIST, "fashion-mnist", "/usr/share/datasets/fashion-mnist")                         \
    X(MNIST, "mnist", "data/mnist")                                                                \
    X(CIFAR10, "cifar10", "data/cifar-10-batches-bin")                                             \
    X(CIFAR100, "cifar100", "data/cifar-100-binary")

/* X(ID, "name") */
#define NAUHA_TRAIN_OPTIMIZERS(X)                                                                  \
    X(SGD, "sgd")                                                                                  \
    X(ADAM, "adam")                                                                                \
    X(ADAMW, "adamw")                                                                              \
    X(RMSPROP, "rmsprop")

#define NAUHA_TRAIN_ENUM2(id, name) NAUHA_TRAIN_##id,
#define NAUHA_TRAIN_ENUM3(id, name, directory) NAUHA_TRAIN_##id,
enum nauha_train_model { NAUHA_TRAIN_MODELS(NAUHA_TRAIN_ENUM2) NAUHA_TRAIN_MODEL_COUNT };
enum nauha_train_dataset { NAUHA_TRAIN_DATASETS(NAUHA_TRAIN_ENUM3) NAUHA_TRAIN_DATASET_COUNT };
enum nauha_train_optimizer {
    NAUHA_TRAIN_OPTIMIZERS(NAUHA_TRAIN_ENUM2) NAUHA_TRAIN_OPTIMIZER_COUNT
};
#undef NAUHA_TRAIN_ENUM2
#undef NAUHA_TRAIN_ENUM3

struct nauha_train_progress {
    uint64_t step;  /* steps done */
    uint64_t steps; /* steps there will be */
    uint32_t epoch; /* 0-based */
    uint32_t epochs;
    double loss;          /* of the latest batch */
    double accuracy;      /* of the latest batch, 0 to 1 */
    double test_accuracy; /* of the latest test pass; NaN before the first */
    double seconds;       /* since the first step began */
};

struct nauha_train_options {
    /* Set by nauha_train_options_init and nauha_train_options_set. */
    enum nauha_train_model model;
    enum nauha_train_dataset dataset;
    enum nauha_train_optimizer optimizer;
    char data_dir[4096]; /* "": the dataset's default */
    uint64_t batch_size;
    uint64_t epochs;
    uint64_t max_steps;   /* 0: no limit */
    uint64_t test_every;  /* epochs between test passes, 0: none */
    uint64_t test_steps;  /* steps between further ones, 0: none */
    uint64_t probe_every; /* steps between probes, 0: none */
    uint64_t probe_samples;
    char probe_tag[128];
    uint64_t seed;
    double learning_rate;
    double exponential_decay; /* the learning rate is multiplied by it after each epoch */

    /* Set by the program. */
    struct nauha_recorder *recorder; /* borrowed; NULL: no recording */
    /* Called when dataset and model are ready, before the first step: opens *recorder. So a wrong
     * option does not replace an older trace. A failure ends the training. May be NULL. */
    enum nauha_status (*begin)(void *context, struct nauha_recorder **recorder,
                               struct nauha_error *err);
    /* Read at every step; the training ends in good order once it is not 0. May be NULL. */
    const volatile sig_atomic_t *stop;
    /* Called a few times a second and after the last step. May be NULL. */
    void (*progress)(void *context, const struct nauha_train_progress *progress);
    /* A message for the user, without newline. May be NULL. */
    void (*notice)(void *context, const char *text);
    void *context;
};

struct nauha_train_result {
    uint64_t steps;
    uint64_t epochs;      /* completed */
    double loss;          /* of the last batch; NaN without one */
    double accuracy;      /* over the training set of the last completed epoch; NaN without one */
    double test_accuracy; /* of the last test pass; NaN without one */
    double seconds;       /* from the first step to the last, test passes included */
    bool stopped;         /* by the stop flag */
};

/* ---- options: tools/commands/train_options.c, in the program; exported for the module ---- */

/* The TRAINING options, which are the keys of nauha_train_options_set. */
NAUHA_API const struct nauha_option *nauha_train_option_table(size_t *count);

/* Sets the defaults of the table, and clears what the program sets. */
NAUHA_API void nauha_train_options_init(struct nauha_train_options *options);

/* Sets one key from text. UNKNOWN: there is no such key; the error lists those that there are.
 * INVALID: the value cannot be parsed; the error says what is expected. */
NAUHA_API enum nauha_status nauha_train_options_set(struct nauha_train_options *options,
                                                    const char *key, const char *value,
                                                    struct nauha_error *err);

/* The names as on the command line, and the directory in use. */
NAUHA_API const char *nauha_train_model_name(enum nauha_train_model model);
NAUHA_API const char *nauha_train_dataset_name(enum nauha_train_dataset dataset);
NAUHA_API const char *nauha_train_optimizer_name(enum nauha_train_optimizer optimizer);
NAUHA_API const char *nauha_train_data_dir(const struct nauha_train_options *options);

/* ---- the training: in the module ---- */

typedef enum nauha_status (*nauha_train_run_fn)(const struct nauha_train_options *options,
                                                struct nauha_train_result *result,
                                                struct nauha_error *err);
#define NAUHA_TRAIN_SYMBOL "nauha_train_run"

/* Trains. IO, FORMAT: the dataset cannot be read; the error names the file. INVALID: options do not
 * fit together. A failure of the recorder does not end the training; nauha_recorder_failure reports
 * it. *result is what was reached, also on failure. */
NAUHA_API enum nauha_status nauha_train_run(const struct nauha_train_options *options,
                                            struct nauha_train_result *result,
                                            struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
