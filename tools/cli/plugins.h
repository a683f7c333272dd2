/* SPDX-License-Identifier: MIT */
/* The plugins of a command: those of --plugin, of NAUHA_PLUGIN_PATH, and those installed.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_PLUGINS_H
#define NAUHA_TOOLS_CLI_PLUGINS_H

#include "nauha/plugin.h"
#include "tools/cli/command.h"

/* Loads the plugins where the command takes any. One that --plugin names must load; what the
 * directories hold besides is left alone, and listed by `nauha analyzers`. Returns an exit code,
 * having said what went wrong. *plugins is released with nauha_plugins_free in any case. */
int nauha__plugins_open(const struct invocation *invocation, struct nauha_plugins **plugins);

#endif
