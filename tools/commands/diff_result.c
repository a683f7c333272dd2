/* SPDX-License-Identifier: MIT */
/* Counting what two traces have in common, and what only one of them has; see diff_result.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/diff_result.h"

#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool side_init(struct only_side *side, const struct nauha_names *names) {
    side->kind_count = nauha_names_kinds(names);
    side->module_count = nauha_names_modules(names);
    side->kinds = calloc(side->kind_count + 1, sizeof *side->kinds);
    side->has_alone = calloc(side->module_count + 1, sizeof *side->has_alone);
    side->has_both = calloc(side->module_count + 1, sizeof *side->has_both);
    return side->kinds && side->has_alone && side->has_both;
}

bool diff_result_init(struct diff_result *result) {
    const struct nauha_reading_options options = {
        .a = result->name_a, .b = result->name_b, .ranks = result->ranks};
    nauha_trace_get_info(result->a.trace, &result->info_a);
    nauha_trace_get_info(result->b.trace, &result->info_b);
    result->reading = nauha_reading_new(&options);
    return side_init(&result->only_a, result->a.names) &&
           side_init(&result->only_b, result->b.names) && result->reading;
}

static void side_fini(struct only_side *side) {
    free(side->kinds);
    free(side->has_alone);
    free(side->has_both);
}

void diff_result_fini(struct diff_result *result) {
    side_fini(&result->only_a);
    side_fini(&result->only_b);
    growth_fini(&result->growth);
    nauha_reading_free(result->reading);
}

/* ---- steps ---- */

static void end_step_of_side(struct diff_result *result, struct only_side *side,
                             const struct only_side *other) {
    /* A step without any message in the other trace is counted as a missing step, not as many
     * missing messages. */
    const bool lacks = side->in_step > 0 && other->in_step == 0 && result->in_step == 0;
    if (lacks && side->steps++ == 0)
        side->first_step = result->step;
    for (uint32_t i = 0; i < side->kind_count; i++) {
        struct only_kind *kind = &side->kinds[i];
        if (kind->in_step && !lacks) {
            if (kind->messages == 0)
                kind->first_step = result->step;
            kind->messages += kind->in_step;
        }
        kind->in_step = 0;
    }
}

static void end_step(struct diff_result *result) {
    end_step_of_side(result, &result->only_a, &result->only_b);
    end_step_of_side(result, &result->only_b, &result->only_a);
    result->only_a.in_step = result->only_b.in_step = result->in_step = 0;
}

static void note_module(struct only_side *side, const struct nauha_message_info *info, bool both) {
    if (info->module < side->module_count)
        (both ? side->has_both : side->has_alone)[info->module] = true;
}

static void take_alone(struct only_side *side, const struct nauha_message_info *info) {
    side->in_step++;
    if (info->kind < side->kind_count)
        side->kinds[info->kind].in_step++;
    note_module(side, info, false);
}

enum nauha_status diff_result_take(struct diff_result *result, const struct nauha_pair *pair,
                                   struct nauha_error *err) {
    const struct nauha_message_info *info = pair->a ? pair->a : pair->b;
    if (result->any && info->global_step != result->step)
        end_step(result);
    result->any = true;
    result->step = info->global_step;
    if (!pair->a || !pair->b) {
        take_alone(pair->a ? &result->only_a : &result->only_b, info);
        return nauha_reading_take(result->reading, pair, err);
    }
    result->in_step++;
    note_module(&result->only_a, pair->a, true);
    note_module(&result->only_b, pair->b, true);
    if (pair->sort == NAUHA_PAIR_DAMAGED) {
        if (result->damaged++ == 0)
            snprintf(result->damage, sizeof result->damage, "%s", pair->damage.message);
        return NAUHA_OK;
    }
    if (pair->sort == NAUHA_PAIR_SHARDS) {
        result->shards++;
        return NAUHA_OK;
    }
    if (pair->a->has_tensor || pair->b->has_tensor) {
        result->compared++;
        result->differing += pair->sort != NAUHA_PAIR_EQUAL;
        result->within += pair->sort == NAUHA_PAIR_EQUAL &&
                          (pair->difference.other_bits > 0 || !isnan(pair->apart));
        result->unmeasured += pair->a->kept == NAUHA_KEPT_HASH || pair->b->kept == NAUHA_KEPT_HASH;
        result->hashes +=
            pair->a->kept != NAUHA_KEPT_ELEMENTS || pair->b->kept != NAUHA_KEPT_ELEMENTS;
        if (!growth_take(&result->growth, pair))
            return nauha_error_nomem(err);
    }
    return nauha_reading_take(result->reading, pair, err);
}

void diff_result_end(struct diff_result *result) {
    if (result->any)
        end_step(result);
}

static bool has_alone(const struct only_side *side) {
    bool any = side->steps > 0;
    for (uint32_t i = 0; i < side->kind_count && !any; i++)
        any = side->kinds[i].messages > 0;
    return any;
}

bool diff_result_only(const struct diff_result *result) {
    return has_alone(&result->only_a) || has_alone(&result->only_b);
}
