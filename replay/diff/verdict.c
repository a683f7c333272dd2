/* SPDX-License-Identifier: MIT */
/* Finding the first message that differs; see nauha/diff.h.
 *
 * Threads: one at a time.
 */
#include "replay/diff/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

struct nauha_reading *nauha_reading_new(const struct nauha_reading_options *options) {
    struct nauha_reading *reading = calloc(1, sizeof *reading);
    if (!reading)
        return NULL;
    reading->name_a = strdup(options->a);
    reading->name_b = strdup(options->b);
    reading->ranks = options->ranks;
    if (!reading->name_a || !reading->name_b) {
        nauha_reading_free(reading);
        return NULL;
    }
    return reading;
}

void nauha_reading_free(struct nauha_reading *reading) {
    if (!reading)
        return;
    free(reading->name_a);
    free(reading->name_b);
    free(reading->now.list);
    free(reading->before.list);
    free(reading);
}

unsigned nauha_diff_stage(const struct nauha_message_info *info) {
    if (strcmp(info->tag_name, "default") != 0)
        return NAUHA__STAGE_OTHER;
    switch (info->kind) {
    case NAUHA_KIND_WEIGHTS:
    case NAUHA_KIND_BIASES:
        return NAUHA__STAGE_PARAMETERS;
    case NAUHA_KIND_INPUT_DATA:
    case NAUHA_KIND_INPUT_LABELS:
        return NAUHA__STAGE_DATA;
    case NAUHA_KIND_INPUTS:
    case NAUHA_KIND_ACTIVATIONS:
    case NAUHA_KIND_NETWORK_OUTPUT:
        return NAUHA__STAGE_FORWARD;
    case NAUHA_KIND_LOSS:
    case NAUHA_KIND_SAMPLES_IN_LOSS:
        return NAUHA__STAGE_LOSS;
    case NAUHA_KIND_OUTPUT_GRADIENTS:
    case NAUHA_KIND_LAYER_GRADIENTS:
    case NAUHA_KIND_WEIGHT_GRADIENTS:
    case NAUHA_KIND_BIAS_GRADIENTS:
        return NAUHA__STAGE_BACKWARD;
    case NAUHA_KIND_BUFFERS:
        return NAUHA__STAGE_BUFFERS;
    case NAUHA_KIND_WEIGHT_UPDATES:
    case NAUHA_KIND_BIAS_UPDATES:
    case NAUHA_KIND_HYPERPARAMETERS:
    case NAUHA_KIND_PARAMETER_GROUPS:
        return NAUHA__STAGE_UPDATES;
    default:
        return NAUHA__STAGE_OTHER;
    }
}

/* Forward passes, losses and backward passes of a step may alternate, and are published as they are
 * computed, so a later pass may depend on them. */
unsigned nauha__reading_place(const struct nauha_message_info *info) {
    const unsigned stage = nauha_diff_stage(info);
    const bool later = stage == NAUHA__STAGE_DATA && info->call > 0;
    return later || stage == NAUHA__STAGE_LOSS || stage == NAUHA__STAGE_BACKWARD
               ? (unsigned)NAUHA__STAGE_FORWARD
               : stage;
}

static bool differs(const struct nauha_pair *pair) {
    return pair->sort == NAUHA_PAIR_VALUES || pair->sort == NAUHA_PAIR_HASH ||
           pair->sort == NAUHA_PAIR_DTYPE || pair->sort == NAUHA_PAIR_SHAPE;
}

bool nauha__reading_same_values(const struct nauha_pair *pair) {
    const double of_a = nauha__last_bit(pair->a->dtype), of_b = nauha__last_bit(pair->b->dtype);
    return pair->sort == NAUHA_PAIR_DTYPE && pair->compared && pair->difference.not_finite == 0 &&
           nauha_difference_relative(&pair->difference) <= (of_a > of_b ? of_a : of_b);
}

static bool note(struct nauha__seen_list *seen, const struct nauha_pair *pair) {
    if (!NAUHA_GROW(seen->list, seen->capacity, seen->count + 1))
        return false;
    seen->list[seen->count++] = (struct nauha__seen){
        .kind = pair->a->kind,
        .module = pair->a->module,
        .is_default = strcmp(pair->a->tag_name, "default") == 0,
        .differs = differs(pair),
        .same_values = nauha__reading_same_values(pair),
    };
    return true;
}

static void begin_step(struct nauha_reading *reading, uint64_t step) {
    struct nauha__seen_list list = reading->before;
    reading->before = reading->now;
    reading->before_step = reading->step;
    reading->now = list;
    reading->now.count = 0;
    reading->step = step;
    reading->backward_seq = UINT64_MAX;
    reading->any_alone = false;
}

/* Keeps the pair with copies of the two stamps; strings and shapes belong to the names objects. */
static void keep(struct nauha_first *first, const struct nauha_pair *pair) {
    first->pair = *pair;
    first->a = *pair->a;
    first->b = *pair->b;
    first->pair.a = &first->a;
    first->pair.b = &first->b;
}

/* A module that runs in only one of the trainings changes everything after it. */
static void note_alone(struct nauha_reading *reading, const struct nauha_pair *pair) {
    const struct nauha_message_info *info = pair->a ? pair->a : pair->b;
    if (reading->any_alone || !reading->any || info->global_step != reading->step ||
        info->kind != NAUHA_KIND_ACTIVATIONS || strcmp(info->tag_name, "default") != 0)
        return;
    reading->any_alone = true;
    reading->alone_in_a = pair->a != NULL;
    reading->alone = *info;
}

enum nauha_status nauha_reading_take(struct nauha_reading *reading, const struct nauha_pair *pair,
                                     struct nauha_error *err) {
    if (reading->decided)
        return NAUHA_OK;
    if (!pair->a || !pair->b) {
        note_alone(reading, pair);
        return NAUHA_OK;
    }
    const uint64_t step = pair->a->global_step;
    if (!reading->any || step != reading->step) {
        reading->decided = reading->found;
        if (reading->decided)
            return NAUHA_OK;
        begin_step(reading, step);
        if (!reading->any)
            reading->first_step = step;
        reading->any = true;
    }
    if (!pair->a->has_tensor || pair->sort == NAUHA_PAIR_DAMAGED || pair->sort == NAUHA_PAIR_SHARDS)
        return NAUHA_OK;
    if (!note(&reading->now, pair))
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to compare two traces");
    const enum nauha__stage stage = (enum nauha__stage)nauha_diff_stage(pair->a);
    if (stage == NAUHA__STAGE_BACKWARD && pair->a->seq < reading->backward_seq)
        reading->backward_seq = pair->a->seq;
    if (!differs(pair) && pair->difference.other_bits > 0 && !reading->any_within) {
        reading->any_within = true;
        reading->within = *pair->a;
    }
    if (!differs(pair) || (reading->found && nauha__reading_place(pair->a) >=
                                                 nauha__reading_place(&reading->first.a)))
        return NAUHA_OK;
    keep(&reading->first, pair);
    reading->found = true;
    reading->stage = stage;
    return NAUHA_OK;
}

size_t nauha__seen_of(const struct nauha__seen_list *seen, uint32_t kind, uint32_t module,
                      size_t *differing) {
    size_t count = 0;
    *differing = 0;
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->list[i].kind != kind || !seen->list[i].is_default ||
            (module != NAUHA__ANY && seen->list[i].module != module))
            continue;
        count++;
        *differing += seen->list[i].differs && !seen->list[i].same_values;
    }
    return count;
}

const struct nauha_first *nauha_reading_first(const struct nauha_reading *reading) {
    return reading->found ? &reading->first : NULL;
}

const char *nauha_reading_text(struct nauha_reading *reading) {
    if (reading->found && !reading->used)
        nauha__reading_explain(reading);
    return reading->text;
}
