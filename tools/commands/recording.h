/* SPDX-License-Identifier: MIT */
/* The options of a recording, as the commands that record take them.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RECORDING_H
#define NAUHA_TOOLS_COMMANDS_RECORDING_H

#include "nauha/recorder.h"
#include "tools/cli/command.h"

extern const struct option_group nauha__recording_options;

/* Whether it is one of the recorder's own or of the selection: a key of
 * nauha_recorder_config_set. */
bool nauha__is_recording_option(const struct nauha_option *option);

/* UNKNOWN: --kinds names a kind that no training publishes, listing those there are. */
enum nauha_status nauha__check_recorded_kinds(const struct invocation *invocation,
                                              struct nauha_error *err);

/* Whether a recording can begin, before there is anything else to do. inputs: files that are read,
 * and so never replaced. INVALID, BUSY, IO, NOMEM. */
enum nauha_status nauha__recording_check(const char *trace,
                                         const struct nauha_recorder_config *config,
                                         const char *const *inputs, size_t input_count,
                                         struct nauha_error *err);

#endif
