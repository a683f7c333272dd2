/* SPDX-License-Identifier: MIT */
/* The plugins of a command; see plugins.h.
 *
 * Threads: the main thread.
 */
#include "tools/cli/plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/path.h"

static const struct nauha_option plugin_table[] = {
    {"plugin", 0, "FILE", NULL,
     "load the analyzer in this shared library; may be repeated. Plugins in "
     "PREFIX/lib/nauha/plugins and in the directories of NAUHA_PLUGIN_PATH, separated by colons, "
     "are loaded automatically"},
};
OPTION_GROUP(plugin_options, "Plugins", plugin_table);

/* The folder in which `make install` puts plugins, relative to the program. */
static void installed_directory(char *directory, size_t bytes) {
    char program[PATH_MAX];
    nauha__program_directory(program);
    nauha__write_path(directory, bytes, program, "../lib/nauha/plugins");
}

static bool takes_plugins(const struct command *command) {
    for (size_t i = 0; command->groups[i]; i++) {
        if (command->groups[i] == &nauha__plugin_options)
            return true;
    }
    return false;
}

int nauha__plugins_open(const struct invocation *invocation, struct nauha_plugins **plugins) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    char installed[4200];
    const char *path = getenv("NAUHA_PLUGIN_PATH");
    *plugins = NULL;
    if (!takes_plugins(invocation->command))
        return EXIT_FINE;
    *plugins = nauha_plugins_new();
    enum nauha_status status = *plugins ? NAUHA_OK : nauha_error_nomem(&err);
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        if (invocation->given[i].option == plugin_table)
            status = nauha_plugins_load(*plugins, invocation->given[i].value, &err);
    }
    if (status == NAUHA_OK && path)
        status = nauha_plugins_search(*plugins, path, &err);
    installed_directory(installed, sizeof installed);
    if (status == NAUHA_OK)
        status = nauha_plugins_search(*plugins, installed, &err);
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}
