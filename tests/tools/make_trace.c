/* SPDX-License-Identifier: MIT */
/* Writes a small synthetic training, the same bytes of data at every run, through the recorder.
 * Usage: make_trace [--steps N] [--modules N] [--rank N] [--pause-us N] [--tell N]
 *                   [--KEY VALUE]... FILE
 * With --tell it waits at every N-th step until all is on file, and prints how many steps that are.
 * KEY is one of nauha_recorder_config_set: codec, kinds, epochs, ...
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/recorder.h"
#include "tests/tools/check.h"

#define STEPS_PER_EPOCH 3
#define BATCH 4
#define FEATURES 3
#define CLASSES 5

/* Deterministic values that look like a training's: between -1 and 1, drifting with the step. */
static void fill(float *values, size_t count, unsigned what, unsigned step) {
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(sin(0.7 * (double)i + 1.3 * what) / (1.0 + 0.1 * step));
}

struct run {
    struct nauha_recorder *recorder;
    struct nauha_error err;
    unsigned modules;
    uint32_t *ids; /* modules linear layers, then a ReLU */
    uint32_t weight, bias;
    float (*weights)[CLASSES * FEATURES];
    float (*biases)[CLASSES];
    struct nauha_parameter *parameters;
};

static const int64_t weight_shape[] = {CLASSES, FEATURES}, bias_shape[] = {CLASSES};

static void set_parameters(struct run *run, unsigned step) {
    for (unsigned m = 0; m < run->modules; m++) {
        fill(run->weights[m], CLASSES * FEATURES, m, step);
        fill(run->biases[m], CLASSES, m + 100, step);
        run->parameters[2 * m] =
            (struct nauha_parameter){run->ids[m],
                                     run->weight,
                                     false,
                                     0,
                                     {run->weights[m], NAUHA_DTYPE_F32, 2, weight_shape, NULL, 0}};
        run->parameters[2 * m + 1] =
            (struct nauha_parameter){run->ids[m],
                                     run->bias,
                                     true,
                                     0,
                                     {run->biases[m], NAUHA_DTYPE_F32, 1, bias_shape, NULL, 0}};
    }
}

static void publish(struct run *run, uint32_t kind, uint32_t module, uint32_t slot, uint32_t ndim,
                    const int64_t *shape, enum nauha_dtype dtype, const void *data) {
    struct nauha_tensor tensor = {data, dtype, ndim, shape, NULL, 0};
    check(nauha_recorder_publish(run->recorder, kind, module, slot, 0, &tensor, &run->err),
          &run->err);
}

static void publish_floats(struct run *run, uint32_t kind, uint32_t module, uint32_t slot,
                           uint32_t ndim, const int64_t *shape, unsigned step) {
    float values[CLASSES * FEATURES * BATCH];
    size_t count = 1;
    for (uint32_t i = 0; i < ndim; i++)
        count *= (size_t)shape[i];
    fill(values, count, kind * 7 + module, step);
    publish(run, kind, module, slot, ndim, shape, NAUHA_DTYPE_F32, values);
}

static void one_step(struct run *run, unsigned step) {
    static const int64_t input[] = {BATCH, FEATURES}, output[] = {BATCH, CLASSES},
                         labels[] = {BATCH};
    set_parameters(run, step);
    check(nauha_recorder_begin_step(run->recorder, run->parameters, 2 * run->modules, &run->err),
          &run->err);
    publish_floats(run, NAUHA_KIND_INPUT_DATA, NAUHA_NONE, 0, 2, input, step);
    for (unsigned m = 0; m <= run->modules; m++)
        publish_floats(run, NAUHA_KIND_ACTIVATIONS, run->ids[m], 0, 2, output, step);
    publish_floats(run, NAUHA_KIND_NETWORK_OUTPUT, NAUHA_NONE, 0, 2, output, step);
    int64_t classes[BATCH];
    for (unsigned i = 0; i < BATCH; i++)
        classes[i] = (i + step) % CLASSES;
    publish(run, NAUHA_KIND_INPUT_LABELS, NAUHA_NONE, 0, 1, labels, NAUHA_DTYPE_I64, classes);
    float loss = 2.0f / (1.0f + (float)step);
    publish(run, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, NULL, NAUHA_DTYPE_F32, &loss);
    for (unsigned m = run->modules + 1; m-- > 0;)
        publish_floats(run, NAUHA_KIND_LAYER_GRADIENTS, run->ids[m], 0, 2, output, step);
    for (unsigned m = run->modules; m-- > 0;) {
        publish_floats(run, NAUHA_KIND_WEIGHT_GRADIENTS, run->ids[m], run->weight, 2, weight_shape,
                       step);
        publish_floats(run, NAUHA_KIND_BIAS_GRADIENTS, run->ids[m], run->bias, 1, bias_shape, step);
    }
    if ((step + 1) % STEPS_PER_EPOCH == 0) {
        set_parameters(run, step + 1);
        check(nauha_recorder_end_step(run->recorder, run->parameters, 2 * run->modules, &run->err),
              &run->err);
        check(nauha_recorder_epoch_finished(run->recorder, &run->err), &run->err);
    }
}

static void name_modules(struct run *run) {
    struct nauha_names *names = nauha_recorder_names(run->recorder);
    for (unsigned m = 0; m < run->modules; m++) {
        char name[32] = "output";
        if (m + 1 < run->modules)
            snprintf(name, sizeof name, run->modules == 2 ? "hidden" : "hidden.%u", m);
        check(nauha_names_add_module(names, name, "Linear", &run->ids[m], &run->err), &run->err);
    }
    check(nauha_names_add_module(names, "activation", "ReLU", &run->ids[run->modules], &run->err),
          &run->err);
    check(nauha_names_add_slot(names, "weight", &run->weight, &run->err), &run->err);
    check(nauha_names_add_slot(names, "bias", &run->bias, &run->err), &run->err);
}

/* Between two steps: as long as a training's would take, and what is certain to be on file. */
static void rest(struct run *run, unsigned step, unsigned pause_us, unsigned tell) {
    if (pause_us)
        usleep(pause_us);
    if (!tell || (step + 1) % tell != 0)
        return;
    check(nauha_recorder_flush(run->recorder, &run->err), &run->err);
    /* Not through stdio, whose calls cannot be watched. */
    char text[16];
    int length = snprintf(text, sizeof text, "%u\n", step + 1);
    if (write(STDOUT_FILENO, text, (size_t)length) != length)
        exit(3);
}

int main(int argc, char **argv) {
    unsigned pause_us = 0, tell = 0;
    struct run run = {.modules = 2, .err = NAUHA_ERROR_INIT};
    unsigned steps = 2 * STEPS_PER_EPOCH;
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    int at = 1;
    for (; at + 2 < argc; at += 2) {
        if (strcmp(argv[at], "--steps") == 0)
            steps = (unsigned)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--modules") == 0)
            run.modules = (unsigned)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--pause-us") == 0)
            pause_us = (unsigned)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--tell") == 0)
            tell = (unsigned)strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--rank") == 0)
            check(nauha_recorder_config_set_rank(config, (uint32_t)strtoul(argv[at + 1], NULL, 10),
                                                 8, &run.err),
                  &run.err);
        else
            check(nauha_recorder_config_set(config, argv[at] + 2, argv[at + 1], &run.err),
                  &run.err);
    }
    if (at + 1 != argc || run.modules < 1)
        return 2;
    check(nauha_recorder_config_describe(config, "model", "synthetic", &run.err), &run.err);
    check(nauha_recorder_open(argv[at], config, &run.recorder, &run.err), &run.err);
    run.ids = calloc(run.modules + 1, sizeof *run.ids);
    run.weights = calloc(run.modules, sizeof *run.weights);
    run.biases = calloc(run.modules, sizeof *run.biases);
    run.parameters = calloc(2 * run.modules, sizeof *run.parameters);
    if (!run.ids || !run.weights || !run.biases || !run.parameters)
        return 3;
    name_modules(&run);
    for (unsigned step = 0; step < steps; step++) {
        one_step(&run, step);
        rest(&run, step, pause_us, tell);
    }
    set_parameters(&run, steps);
    check(nauha_recorder_end_step(run.recorder, run.parameters, 2 * run.modules, &run.err),
          &run.err);
    check(nauha_recorder_close(run.recorder, &run.err), &run.err);
    nauha_recorder_config_free(config);
    free(run.ids);
    free(run.weights);
    free(run.biases);
    free(run.parameters);
    return 0;
}
