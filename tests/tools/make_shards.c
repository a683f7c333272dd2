/* SPDX-License-Identifier: MIT */
/* Writes a small synthetic training as one process would record it, and as ranks would that hold
 * shards of its parameters: STEM.h5, and STEM.rank0.h5 and so on.
 * Usage: make_shards LAYOUT RANKS STEM [--KEY VALUE]...
 * LAYOUT: rows, columns, mesh (both), flat (ranges of the flattened elements), hybrid (rows, each
 * held by two ranks), partial (summands), partial_rows (summands in rows), replicated.
 * KEY is one of nauha_recorder_config_set. With --lose R, rank R has no gradients in the second
 * step. With --noise X, the ranks' elements differ by X times their value from those of the single
 * process.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/recorder.h"
#include "tests/tools/check.h"

#define STEPS 3
#define PARAMETERS 3
#define MOST 3000

static const struct {
    const char *module, *slot;
    bool bias;
    uint32_t ndim;
    int64_t shape[3];
} parameters[PARAMETERS] = {{"layer", "weight", false, 3, {5, 67, 7}},
                            {"layer", "bias", true, 1, {5}},
                            {"scale", "weight", false, 2, {13, 3}}};

struct layout {
    const char *name;
    int ranks, rank; /* rank -1: all in one process */
    double noise;
};

static bool is(const struct layout *layout, const char *name) {
    return strcmp(layout->name, name) == 0;
}

/* Part `part` of `parts` of a length, as torch.chunk divides it: the last parts may be empty. */
static void cut(int64_t length, int part, int parts, int64_t *first, int64_t *count) {
    const int64_t each = (length + parts - 1) / parts;
    *first = each * part < length ? each * part : length;
    *count = length - *first < each ? length - *first : each;
}

/* The shard of a rank. */
static void place(const struct layout *layout, const int64_t *whole, uint32_t ndim, int64_t *shape,
                  int64_t *offset, struct nauha_placement *placement) {
    const int half = layout->ranks / 2, rank = layout->rank;
    *placement = (struct nauha_placement){.ndim = ndim, .shape = whole, .offset = offset};
    memset(offset, 0, ndim * sizeof *offset);
    memcpy(shape, whole, ndim * sizeof *shape);
    if (rank < 0)
        return;
    if (is(layout, "rows"))
        cut(whole[0], rank, layout->ranks, &offset[0], &shape[0]);
    if (is(layout, "columns"))
        cut(whole[ndim - 1], rank, layout->ranks, &offset[ndim - 1], &shape[ndim - 1]);
    if (is(layout, "mesh"))
        cut(whole[0], rank / half, 2, &offset[0], &shape[0]);
    if (is(layout, "mesh") && ndim > 1)
        cut(whole[1], rank % half, half, &offset[1], &shape[1]);
    if (is(layout, "hybrid") || is(layout, "partial_rows"))
        cut(whole[0], rank % half, half, &offset[0], &shape[0]);
    if (is(layout, "partial") || is(layout, "partial_rows")) {
        placement->summand = (uint32_t)(is(layout, "partial") ? rank : rank / half);
        placement->summands = (uint32_t)(is(layout, "partial") ? layout->ranks : 2);
    }
    if (is(layout, "flat")) {
        int64_t count = 1;
        for (uint32_t i = 0; i < ndim; i++)
            count *= whole[i];
        placement->flat = true;
        cut(count + 2, rank, layout->ranks, &offset[0], &shape[0]);
        if (offset[0] > count)
            offset[0] = count;
        if (shape[0] > count - offset[0])
            shape[0] = count - offset[0];
    }
}

/* Element `at` of a whole, or of a summand. Sums of these numbers are exact in f32. */
static float value(const struct layout *layout, unsigned what, unsigned step, int64_t at,
                   uint32_t summand) {
    if (layout->name[0] != 'p')
        return (float)(sin(0.7 * (double)at + 1.3 * what) / (1.0 + 0.1 * step));
    return (float)((at * 37 + what * 11 + step * 5 + summand * 101) % 257 - 128) / 64;
}

/* The elements that a process holds. */
static size_t fill(const struct layout *layout, unsigned what, unsigned step, const int64_t *shape,
                   const struct nauha_placement *placement, float *out) {
    size_t count = 1;
    const uint32_t ndim = placement->flat ? 1 : placement->ndim;
    const uint32_t summands = is(layout, "partial") ? (uint32_t)layout->ranks : 2;
    for (uint32_t i = 0; i < ndim; i++)
        count *= (size_t)shape[i];
    for (size_t i = 0; i < count; i++) {
        int64_t at = 0, left = (int64_t)i, each = (int64_t)count;
        for (uint32_t d = 0; d < ndim; d++) {
            each /= shape[d];
            at = at * (placement->flat ? 0 : placement->shape[d]) + placement->offset[d] +
                 left / each;
            left %= each;
        }
        out[i] = value(layout, what, step, at, placement->summand);
        for (uint32_t s = 1; layout->rank < 0 && layout->name[0] == 'p' && s < summands; s++)
            out[i] += value(layout, what, step, at, s);
        if (layout->rank >= 0)
            out[i] = (float)(out[i] * (1 + (at % 2 ? layout->noise : -layout->noise)));
    }
    return count;
}

struct process {
    struct nauha_recorder *recorder;
    struct nauha_error err;
    struct layout layout;
    uint32_t modules[PARAMETERS], slots[PARAMETERS];
    int64_t shapes[PARAMETERS][3], offsets[PARAMETERS][3];
    struct nauha_placement placements[PARAMETERS];
    uint32_t numbers[PARAMETERS];
    float values[PARAMETERS][MOST];
    struct nauha_parameter list[PARAMETERS];
};

static void name_all(struct process *process) {
    struct nauha_names *names = nauha_recorder_names(process->recorder);
    for (unsigned i = 0; i < PARAMETERS; i++) {
        check(nauha_names_add_module(names, parameters[i].module, "Linear", &process->modules[i],
                                     &process->err),
              &process->err);
        check(nauha_names_add_slot(names, parameters[i].slot, &process->slots[i], &process->err),
              &process->err);
        place(&process->layout, parameters[i].shape, parameters[i].ndim, process->shapes[i],
              process->offsets[i], &process->placements[i]);
        if (process->layout.rank >= 0)
            check(nauha_names_add_placement(names, process->shapes[i],
                                            process->placements[i].flat ? 1 : parameters[i].ndim,
                                            &process->placements[i], &process->numbers[i],
                                            &process->err),
                  &process->err);
    }
}

static void set_parameters(struct process *process, unsigned step, unsigned what) {
    for (unsigned i = 0; i < PARAMETERS; i++) {
        fill(&process->layout, what + i, step, process->shapes[i], &process->placements[i],
             process->values[i]);
        process->list[i] = (struct nauha_parameter){
            .module = process->modules[i],
            .slot = process->slots[i],
            .bias = parameters[i].bias,
            .placement = process->numbers[i],
            .tensor = {process->values[i], NAUHA_DTYPE_F32,
                       process->placements[i].flat ? 1 : parameters[i].ndim, process->shapes[i],
                       NULL, 0}};
    }
}

static void one_step(struct process *process, unsigned step, bool lost) {
    const float loss = 1.0f / (float)(step + 2);
    const struct nauha_tensor scalar = {&loss, NAUHA_DTYPE_F32, 0, NULL, NULL, 0};
    set_parameters(process, step, 0);
    check(nauha_recorder_begin_step(process->recorder, process->list, PARAMETERS, &process->err),
          &process->err);
    check(nauha_recorder_publish(process->recorder, NAUHA_KIND_LOSS, NAUHA_NONE, 0, 0, &scalar,
                                 &process->err),
          &process->err);
    set_parameters(process, step, 50);
    for (unsigned i = 0; i < PARAMETERS && !lost; i++)
        check(nauha_recorder_publish_shard(
                  process->recorder,
                  parameters[i].bias ? NAUHA_KIND_BIAS_GRADIENTS : NAUHA_KIND_WEIGHT_GRADIENTS,
                  process->modules[i], process->slots[i], 0, &process->list[i].tensor,
                  process->numbers[i], &process->err),
              &process->err);
    set_parameters(process, step + 1, 0);
    check(nauha_recorder_end_step(process->recorder, process->list, PARAMETERS, &process->err),
          &process->err);
}

static void record(struct layout layout, const char *path, int lose, char **options, int count) {
    struct process *process = calloc(1, sizeof *process);
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    if (!process || !config)
        exit(3);
    process->layout = layout;
    for (int i = 0; i + 1 < count; i += 2)
        if (strcmp(options[i], "--lose") != 0 && strcmp(options[i], "--noise") != 0)
            check(nauha_recorder_config_set(config, options[i] + 2, options[i + 1], &process->err),
                  &process->err);
    if (layout.rank >= 0)
        check(nauha_recorder_config_set_rank(config, (uint32_t)layout.rank, (uint32_t)layout.ranks,
                                             &process->err),
              &process->err);
    check(nauha_recorder_open(path, config, &process->recorder, &process->err), &process->err);
    nauha_recorder_config_free(config);
    name_all(process);
    for (unsigned step = 0; step < STEPS; step++)
        one_step(process, step, step == 1 && layout.rank == lose);
    check(nauha_recorder_close(process->recorder, &process->err), &process->err);
    free(process);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    const int ranks = atoi(argv[2]);
    int lose = -2;
    char path[4096];
    double noise = 0;
    for (int i = 4; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--lose") == 0)
            lose = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--noise") == 0)
            noise = strtod(argv[i + 1], NULL);
    }
    for (int rank = -1; rank < ranks; rank++) {
        struct layout layout = {argv[1], ranks, rank, noise};
        if (rank < 0)
            snprintf(path, sizeof path, "%s.h5", argv[3]);
        else
            snprintf(path, sizeof path, "%s.rank%d.h5", argv[3], rank);
        record(layout, path, lose, argv + 4, argc - 4);
    }
    return 0;
}
