/* SPDX-License-Identifier: MIT */
/* Loading the module that runs models, and the options that it gets; see replayed_model.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/replayed_model.h"

#include <stdio.h>
#include <string.h>

#include "tools/cli/module.h"
#include "tools/commands/python_model.h"

#define MODULE "nauha_model.so"

static const struct nauha_option model_table[] = {
    {"model", 0, "FILE.pt|NAME", NULL,
     "put the recorded parameters of each step into this model and run it, for metrics of tags "
     "such as testing, and for hessian_eig; a TorchScript file, or a model of \"nauha train\". "
     "FILE.py:NAME: run the recorded steps again with this model in Python, for metrics of what "
     "was not recorded in full"},
    {"tolerance", 0, "X", "0.001",
     "with a model in Python: the largest difference of a tensor's elements from the recorded ones "
     "that is no error, relative to its largest element"},
    {"data", 0, "DIR", NULL,
     "data to run the model on: a directory with inputs.npy and labels.npy, or with a dataset of "
     "\"nauha train\" (default: the data named in the trace)"},
    {"dataset", 0, "NAME", NULL,
     "the dataset in that directory (default: the one named in the trace)"},
    {"split", 0, "train|test", "test", "the part of the dataset"},
    {"samples", 0, "N", "0", "use only the first N samples; 0 is all"},
    {"batch-size", 0, "N", "128", "samples per batch"},
    {"loss", 0, "cross_entropy|nll|mse", NULL,
     "the loss function (default: mse if the labels are floating-point, else cross_entropy)"},
};
OPTION_GROUP(model_options, "Model", model_table);

static void tell(void *context, const char *text) {
    const struct replayed_model *replayed = context;
    if (!replayed->quiet)
        fprintf(stderr, "nauha: %s\n", text);
}

/* Checks that a value is one of three words; NULL is allowed. */
static bool is_one_of(const char *value, const char *a, const char *b, const char *c) {
    return !value || strcmp(value, a) == 0 || strcmp(value, b) == 0 || strcmp(value, c) == 0;
}

static int take_options(const struct invocation *invocation, struct nauha_model_options *options) {
    int code = EXIT_FINE;
    const char *split = nauha__get(invocation, "split", "test");
    options->model = nauha__get(invocation, "model", NULL);
    options->data = nauha__get(invocation, "data", NULL);
    options->dataset = nauha__get(invocation, "dataset", NULL);
    options->loss = nauha__get(invocation, "loss", NULL);
    options->training_set = strcmp(split, "train") == 0;
    options->samples = nauha__get_number(invocation, "samples", 0, &code);
    options->batch_size = nauha__get_number(invocation, "batch-size", 128, &code);
    if (code != EXIT_FINE)
        return code;
    if (!is_one_of(split, "train", "test", "test"))
        return nauha__usage(invocation->command,
                            "\"%s\" is not a value of \"split\": expected train or test", split);
    if (!is_one_of(options->loss, "cross_entropy", "nll", "mse"))
        return nauha__usage(
            invocation->command,
            "\"%s\" is not a value of \"loss\": expected one of cross_entropy, nll, mse",
            options->loss);
    if (options->batch_size == 0)
        return nauha__usage(invocation->command,
                            "\"0\" is not a value of \"batch-size\": expected 1 or more");
    return EXIT_FINE;
}

enum { TOLERANCE = 1, DATA }; /* rows: of a model in Python; the first of all other models */

/* Refuses the options from a row on. */
static int refuse_from(const struct invocation *invocation, size_t first, const char *why) {
    for (size_t i = first; i < sizeof model_table / sizeof *model_table; i++) {
        if (nauha__has(invocation, model_table[i].name))
            return nauha__usage(invocation->command, "--%s %s", model_table[i].name, why);
    }
    return EXIT_FINE;
}

int nauha__check_model_options(const struct invocation *invocation) {
    if (!nauha__has(invocation, "model"))
        return refuse_from(invocation, TOLERANCE, "needs --model");
    if (nauha__has_python_model(invocation))
        return refuse_from(invocation, DATA, "cannot be used with a model in Python");
    if (nauha__has(invocation, model_table[TOLERANCE].name))
        return nauha__usage(invocation->command, "--%s needs a model in Python",
                            model_table[TOLERANCE].name);
    return EXIT_FINE;
}

int nauha__replayed_model_init(struct replayed_model *replayed, const struct invocation *invocation,
                               struct nauha_trace *trace, struct nauha_pipeline *pipeline) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_model_options options = {.notice = tell, .context = replayed};
    *replayed = (struct replayed_model){.quiet = invocation->quiet};
    if (!nauha__has(invocation, "model"))
        return EXIT_FINE;
    int code = take_options(invocation, &options);
    if (code != EXIT_FINE)
        return code;
    replayed->api = nauha__module_symbol(MODULE, NAUHA_MODEL_SYMBOL, "--model");
    if (!replayed->api)
        return EXIT_FAILED;
    return replayed->api->open(&options, trace, pipeline, &replayed->model, &err) == NAUHA_OK
               ? EXIT_FINE
               : nauha__fail(&err);
}

void nauha__replayed_model_finish(const struct replayed_model *replayed) {
    if (replayed->model)
        replayed->api->finish(replayed->model);
}

void nauha__replayed_model_fini(struct replayed_model *replayed) {
    if (replayed->model)
        replayed->api->close(replayed->model);
}
