/* SPDX-License-Identifier: MIT */
/* The network at replay: what the program asks of the module nauha_model.so, which puts recorded
 * parameters back into a model and runs it. The program loads it only for `--model`.
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
    /* What a person should know, without newline. May be NULL. */
    void (*notice)(void *context, const char *text);
    void *context;
};

/* Strings are borrowed for the call. The trace holds the parameters; it and the pipeline are
 * borrowed until close. To be called before the pipeline starts: from then on, as each step ends,
 * the data runs through the model with that step's parameters for every tag other than "default"
 * that some subscription takes, and what it gives is published under that tag. Recorded messages
 * of such tags are left out. IO, FORMAT: model or data cannot be read. INVALID: what does not fit
 * together. Caller owns *model, release with close after the pipeline. */
typedef enum nauha_status (*nauha_model_open_fn)(const struct nauha_model_options *options,
                                                 struct nauha_trace *trace,
                                                 struct nauha_pipeline *pipeline,
                                                 struct nauha_model **model,
                                                 struct nauha_error *err);

struct nauha_model_api {
    nauha_model_open_fn open;
    /* Says through notice what should have come and did not. */
    void (*finish)(struct nauha_model *model);
    void (*close)(struct nauha_model *model);
};
#define NAUHA_MODEL_SYMBOL "nauha_model_module"
NAUHA_API extern const struct nauha_model_api nauha_model_module;

#ifdef __cplusplus
}
#endif
#endif
