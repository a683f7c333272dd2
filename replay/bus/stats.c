/* SPDX-License-Identifier: MIT */
/* The statistics of a message: computed from its elements, or those of its fingerprint.
 *
 * Threads: one at a time per message.
 */
#include <stdlib.h>

#include "nauha/bus.h"
#include "nauha/internal/message.h"
#include "nauha/internal/statistics.h"

static enum nauha_status add_piece(void *context, const struct nauha_tensor *piece, uint64_t first,
                                   struct nauha_error *err) {
    (void)first;
    (void)err;
    nauha__pass_add(context, piece);
    return NAUHA_OK;
}

/* Merges the results of a pass into what was known before. */
static void add_known(const struct nauha_stats *found, unsigned which, struct nauha_stats *known) {
    known->count = found->count;
    if (which & NAUHA_STATISTICS_ZEROS)
        known->zeros = found->zeros;
    if (which & NAUHA_STATISTICS_RANGE) {
        known->nans = found->nans;
        known->infs = found->infs;
        known->min = found->min;
        known->max = found->max;
        known->abs_max = found->abs_max;
        known->first_nonfinite = found->first_nonfinite;
    }
    if (which & NAUHA_STATISTICS_SUM) {
        known->sum = found->sum;
        known->mean = found->mean;
    }
    if (which & NAUHA_STATISTICS_SUM_ABS)
        known->sum_abs = found->sum_abs;
    if (which & NAUHA_STATISTICS_SUM_SQUARES)
        known->sum_squares = found->sum_squares;
    if (which & NAUHA_STATISTICS_DEVIATIONS)
        known->deviations = found->deviations;
    if (which & NAUHA_STATISTICS_MOMENTS) {
        known->third = found->third;
        known->fourth = found->fourth;
    }
}

static enum nauha_status make_room(struct nauha_message *message, struct nauha_error *err) {
    if (!message->stats)
        message->stats = calloc(1, sizeof *message->stats);
    return message->stats ? NAUHA_OK : nauha_error_nomem(err);
}

static enum nauha_status take_fingerprint(struct nauha_message *message, struct nauha_error *err) {
    const struct nauha_fingerprint *print = NULL;
    enum nauha_status status = nauha__message_kept_fingerprint(message, &print, err);
    if (status == NAUHA_OK)
        status = make_room(message, err);
    if (status == NAUHA_OK) {
        *message->stats = print->stats;
        message->known = NAUHA_STATISTICS_ALL;
    }
    return status;
}

static enum nauha_status compute(struct nauha_message *message, unsigned which,
                                 struct nauha_error *err) {
    struct nauha__pass pass;
    struct nauha_stats found;
    nauha__pass_begin(&pass, (which | message->expected.statistics) & ~message->known);
    enum nauha_status status = nauha_message_for_each_piece(message, add_piece, &pass, err);
    if (status == NAUHA_OK)
        status = make_room(message, err);
    if (status != NAUHA_OK)
        return status;
    nauha__pass_end(&pass, &found);
    add_known(&found, pass.which, message->stats);
    message->known |= pass.which;
    return NAUHA_OK;
}

enum nauha_status nauha_message_stats_of(struct nauha_message *message, unsigned which,
                                         const struct nauha_stats **stats,
                                         struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    message->asked.statistics |= which;
    if (!message->stats || (which & ~message->known))
        status = message->info.kept == NAUHA_KEPT_FINGERPRINT ? take_fingerprint(message, err)
                                                              : compute(message, which, err);
    *stats = message->stats;
    return status;
}

enum nauha_status nauha_message_stats(struct nauha_message *message,
                                      const struct nauha_stats **stats, struct nauha_error *err) {
    return nauha_message_stats_of(message, NAUHA_STATISTICS_ALL, stats, err);
}

static enum nauha_status add_powers_of_piece(void *context, const struct nauha_tensor *piece,
                                             uint64_t first, struct nauha_error *err) {
    (void)first;
    (void)err;
    nauha__add_powers(context, piece);
    return NAUHA_OK;
}

enum nauha_status nauha_message_sum_powers(struct nauha_message *message, double p, double *sum,
                                           struct nauha_error *err) {
    struct nauha__power_sum powers = {.p = p};
    enum nauha_status status =
        nauha_message_for_each_piece(message, add_powers_of_piece, &powers, err);
    if (status == NAUHA_OK)
        *sum = nauha__total_powers(&powers);
    return status;
}
