/* SPDX-License-Identifier: MIT */
/* The model that --model, --data and related options ask for at replay.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_REPLAYED_MODEL_H
#define NAUHA_TOOLS_COMMANDS_REPLAYED_MODEL_H

#include "tools/cli/command.h"
#include "tools/model/model.h"

struct replayed_model {
    const struct nauha_model_api *api; /* NULL: no model was asked for */
    struct nauha_model *model;
    bool quiet;
};

/* Refuses options that do not fit --model, or need it. Prints errors and returns an exit code. */
int nauha__check_model_options(const struct invocation *invocation);

/* To be called before the pipeline starts. Prints errors and returns an exit code. Release with
 * nauha__replayed_model_fini in any case, after the pipeline. */
int nauha__replayed_model_init(struct replayed_model *replayed, const struct invocation *invocation,
                               struct nauha_trace *trace, struct nauha_pipeline *pipeline);
/* To be called when the replay has ended. */
void nauha__replayed_model_finish(const struct replayed_model *replayed);
void nauha__replayed_model_fini(struct replayed_model *replayed);

#endif
