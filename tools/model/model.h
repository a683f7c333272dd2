/* SPDX-License-Identifier: MIT */
/* The interface of the module nauha_model.so, which puts recorded parameters back into a model and
 * runs it at replay. The program loads the module only for `--model`.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_TOOLS_MODEL_MODEL_H
#define NAUHA_TOOLS_MODEL_MODEL_H

#include "nauha/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_model;

struct nauha_model_options {
    const char *model;   /* a TorchScript file, or the name of a model of `nauha train` */
    const char *data;    /* directory; NULL: where the dataset lies by default */
    const char *dataset; /* of `nauha train`; NULL: as the trace says, or NumPy files in `data` */
    const char *loss;    /* "cross_entropy", "nll" or "mse"; NULL: as the labels suggest */
    bool training_set;   /* of the dataset; else its test set */
    uint64_t samples;    /* the first so many of the data; 0: all */
    uint64_t batch_size; /* at least 1 */
    /* A message for the user, without newline. May be NULL. */
    void (*notice)(void *context, const char *text);
    void *context;
};

/* Opens a model; to be called before the pipeline starts. Strings are borrowed for the call; the
 * trace, which holds the parameters, and the pipeline until close. When a step ends, the data runs
 * through the model with the parameters of that step, once for every tag other than "default" that
 * a subscription takes, and the results are published under that tag. Recorded messages with such
 * tags are left out. IO, FORMAT: the model or the data cannot be read. INVALID: they do not fit
 * together. Caller owns *model, release with close after the pipeline. */
typedef enum nauha_status (*nauha_model_open_fn)(const struct nauha_model_options *options,
                                                 struct nauha_trace *trace,
                                                 struct nauha_pipeline *pipeline,
                                                 struct nauha_model **model,
                                                 struct nauha_error *err);

struct nauha_model_api {
    nauha_model_open_fn open;
    /* Reports through notice which expected messages did not come. */
    void (*finish)(struct nauha_model *model);
    void (*close)(struct nauha_model *model);
};
#define NAUHA_MODEL_SYMBOL "nauha_model_module"
NAUHA_API extern const struct nauha_model_api nauha_model_module;

#ifdef __cplusplus
}
#endif
#endif
