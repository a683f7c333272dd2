/* SPDX-License-Identifier: MIT */
/* The program as a function: finds the command and runs it. */
#include "tools/program.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tools/command.h"

static const char *command_name(size_t position) {
    return nauha__commands[position].name;
}

static int unknown_command(const char *typed) {
    const char *nearest = nauha__nearest(typed, command_name);
    if (nearest)
        return nauha__usage(NULL, "there is no command \"%s\"; did you mean \"%s\"?", typed,
                            nearest);
    return nauha__usage(NULL, "there is no command \"%s\"", typed);
}

int nauha_main(int argc, char **argv, const struct nauha_python *python) {
    /* A reader that has seen enough, as in `nauha ls run.h5 | head`, is no failure to report. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        nauha__print_help(stderr);
        return EXIT_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0) {
        printf("nauha %s\n", NAUHA_PROGRAM_VERSION);
        return EXIT_FINE;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        nauha__print_help(stdout);
        return EXIT_FINE;
    }
    const struct command *command = nauha__command_find(first);
    return command ? nauha__command_run(command, argc - 1, argv + 1, python)
                   : unknown_command(first);
}
