/* SPDX-License-Identifier: MIT */
/* The list of commands, in the order in which help lists them.
 *
 * Threads: constant.
 */
#include <string.h>

#include "tools/cli/command.h"

#define COMMANDS(X)                                                                                \
    X(record)                                                                                      \
    X(train)                                                                                       \
    X(replay)                                                                                      \
    X(info)                                                                                        \
    X(ls)                                                                                          \
    X(cat)                                                                                         \
    X(diff)                                                                                        \
    X(plot)                                                                                        \
    X(verify)                                                                                      \
    X(check)                                                                                       \
    X(report)                                                                                      \
    X(analyzers)                                                                                   \
    X(help)                                                                                        \
    X(complete)

#define DECLARE(id) extern const struct command nauha__command_##id;
COMMANDS(DECLARE)
#undef DECLARE

const struct command *const nauha__commands[] = {
#define ROW(id) &nauha__command_##id,
    COMMANDS(ROW)
#undef ROW
        NULL};

const struct command *nauha__command_find(const char *name) {
    for (const struct command *const *command = nauha__commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0)
            return *command;
    }
    return NULL;
}
