/* SPDX-License-Identifier: MIT */
/* The plugins of a command: those that --plugin names, those in NAUHA_PLUGIN_PATH, and the
 * installed ones.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_PLUGINS_H
#define NAUHA_TOOLS_CLI_PLUGINS_H

#include "nauha/plugin.h"
#include "tools/cli/command.h"

/* Loads the plugins, if the command takes any. Each plugin that --plugin names must load; files in
 * the directories that do not load are skipped, and `nauha analyzers` lists them. Prints errors and
 * returns an exit code. Release *plugins with nauha_plugins_free in any case. */
int nauha__plugins_open(const struct invocation *invocation, struct nauha_plugins **plugins);

#endif
