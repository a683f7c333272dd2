/* SPDX-License-Identifier: MIT */
/* Records tensors that are too large to be read whole: the weights of one layer, in two steps, with
 * the updates between them, and its activations. Element i is (i / 64 % 7 + step) where i is a
 * multiple of 64, else 0.
 * Usage: make_huge MEGABYTES FILE [LAST]
 * LAST is what the last element of the weights is at step 0, in place of 0.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nauha/recorder.h"
#include "tests/tools/check.h"

#define STRIDE 64u
#define COLUMNS 1000

static void fill(float *values, size_t count, unsigned step) {
    for (size_t i = 0; i < count; i += STRIDE)
        values[i] = (float)(i / STRIDE % 7 + step);
}

int main(int argc, char **argv) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_recorder *recorder = NULL;
    if (argc != 3 && argc != 4)
        return 2;
    const size_t count = strtoul(argv[1], NULL, 10) * 1000000 / sizeof(float);
    float *values = calloc(count, sizeof *values);
    if (!values)
        return 3;
    check(nauha_recorder_open(argv[2], NULL, &recorder, &err), &err);
    struct nauha_names *names = nauha_recorder_names(recorder);
    const int64_t shape[] = {(int64_t)(count / COLUMNS), COLUMNS};
    const struct nauha_tensor tensor = {values, NAUHA_DTYPE_F32, 2, shape, NULL, 0};
    struct nauha_parameter parameter = {.bias = false, .tensor = tensor};
    check(nauha_names_add_module(names, "layer", "Linear", &parameter.module, &err), &err);
    check(nauha_names_add_slot(names, "weight", &parameter.slot, &err), &err);
    for (unsigned step = 0; step < 2; step++) {
        fill(values, count, step);
        values[count - 1] = argc == 4 && step == 0 ? strtof(argv[3], NULL) : 0;
        check(nauha_recorder_begin_step(recorder, &parameter, 1, &err), &err);
        values[count - 1] = 0;
        check(nauha_recorder_publish(recorder, NAUHA_KIND_ACTIVATIONS, parameter.module, 0, 0,
                                     &tensor, &err),
              &err);
        fill(values, count, step + 1);
        check(nauha_recorder_end_step(recorder, &parameter, 1, &err), &err);
    }
    check(nauha_recorder_close(recorder, &err), &err);
    free(values);
    return 0;
}
