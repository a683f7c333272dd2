/* SPDX-License-Identifier: MIT */
/* The options of a recording, as the commands that record take them.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_RECORDING_H
#define NAUHA_TOOLS_COMMANDS_RECORDING_H

#include "nauha/recorder.h"
#include "tools/cli/command.h"

extern const struct option_group nauha__recording_options, nauha__keeping_options;

/* Whether an option belongs to the recorder or the selection, so that it is a key of
 * nauha_recorder_config_set. */
bool nauha__is_recording_option(const struct nauha_option *option);

/* Checks --kinds. UNKNOWN: it names a kind that no training publishes; the error lists those that
 * there are. */
enum nauha_status nauha__check_recorded_kinds(const struct invocation *invocation,
                                              struct nauha_error *err);

/* Checks, before anything else is done, that a recording can begin. inputs: files that are read,
 * which a recording never replaces. INVALID, BUSY, IO, NOMEM. */
enum nauha_status nauha__recording_check(const char *trace,
                                         const struct nauha_recorder_config *config,
                                         const char *const *inputs, size_t input_count,
                                         struct nauha_error *err);

#endif
