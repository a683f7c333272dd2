/* SPDX-License-Identifier: MIT */
/* The options of a recording, as the commands that record take them.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_RECORDING_H
#define NAUHA_TOOLS_RECORDING_H

#include "tools/command.h"

/* Whether it is one of the recorder's own or of the selection: a key of
 * nauha_recorder_config_set. */
bool nauha__is_recording_option(const struct nauha_option *option);

/* UNKNOWN: --kinds names a kind that no training publishes, listing those there are. */
enum nauha_status nauha__check_recorded_kinds(const struct invocation *invocation,
                                              struct nauha_error *err);

#endif
