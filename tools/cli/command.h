/* SPDX-License-Identifier: MIT */
/* Commands as rows of a table: what they are called, take and print. Parsing, help, man pages and
 * completion use this table.
 *
 * Threads: the main thread.
 */
#ifndef NAUHA_TOOLS_CLI_COMMAND_H
#define NAUHA_TOOLS_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nauha/option.h"
#include "nauha/status.h"

enum exit_code {
    EXIT_FINE = 0,
    EXIT_FINDING = 1,
    EXIT_USAGE = 2,
    EXIT_FAILED = 3,
    EXIT_PARTLY = 4 /* a metric or rule failed, and all else is complete */
};

/* A group of options, which help lists under one heading. */
struct option_group {
    const char *title;
    const struct nauha_option *(*rows)(size_t *count);
    const char *except; /* the one row that is not an option of the command; NULL: none */
};

/* Whether a row of a group is an option of the commands with this group. */
bool nauha__takes(const struct option_group *group, const struct nauha_option *row);

struct invocation;

struct command {
    const char *name;
    const char *summary;     /* one line, no capital, no full stop */
    const char *arguments;   /* "TRACE", "DIR|FILE.csv"; "" for none */
    const char *description; /* paragraphs, for help and man page */
    const char *examples;    /* lines, each a command; NULL for none */
    size_t min_arguments, max_arguments;
    bool hidden;                          /* not listed in help */
    bool runs_arguments;                  /* the arguments are a program and its own arguments */
    const struct option_group *groups[8]; /* NULL-terminated; without the common group */
    int (*run)(const struct invocation *invocation);
};

/* One option as the user gave it. */
struct given {
    const struct nauha_option *option;
    const char *value; /* NULL for a switch */
};

struct nauha_plugins;
struct nauha_python;

struct invocation {
    const struct command *command;
    struct nauha_plugins *plugins;     /* NULL: the command takes no plugins */
    const struct nauha_python *python; /* runs metrics in Python; NULL: not under Python */
    int argc;
    char **argv; /* the command line, from the command's name on */
    const char *const *arguments;
    size_t argument_count;
    struct given *given;
    size_t given_count;
    bool quiet;
};

/* All commands, NULL-terminated. Each is nauha__command_NAME in a file of its own. */
extern const struct command *const nauha__commands[];
const struct command *nauha__command_find(const char *name);

/* The options that every command takes, and those that select messages. */
extern const struct option_group nauha__common_options;
extern const struct option_group nauha__select_options;

/* An option of a command by position, the common ones included; NULL past the last. */
const struct nauha_option *nauha__option_at(const struct command *command, size_t position);

/* Parses argv (from the command's name on) and runs the command; python may be NULL. Returns the
 * exit code. */
int nauha__command_run(const struct command *command, int argc, char **argv,
                       const struct nauha_python *python);

/* The last value given for an option, or `fallback`. */
const char *nauha__get(const struct invocation *invocation, const char *name, const char *fallback);
bool nauha__has(const struct invocation *invocation, const char *name);
/* The value of an option as a whole number, or `fallback`. If it is not a number, prints an error
 * and sets *code to EXIT_USAGE. */
uint64_t nauha__get_number(const struct invocation *invocation, const char *name, uint64_t fallback,
                           int *code);

/* Prints "nauha: MESSAGE" and returns an exit code: EXIT_USAGE if a name or value that the user
 * gave was wrong, else EXIT_FAILED. If the error is a closed pipe, prints nothing. */
int nauha__fail(const struct nauha_error *err);
/* The same for lack of memory. */
int nauha__fail_nomem(void);
/* Whether nauha__fail was called for a closed pipe: the reader of the output, as in `nauha replay
 * ... | head`, has ended, which is not a failure. */
bool nauha__reader_gone(void);
/* Prints "nauha: ..." and how to get help; returns EXIT_USAGE. */
int nauha__usage(const struct command *command, const char *format, ...) NAUHA_PRINTF(2, 3);

/* Prints that there is no such command, and which one may have been meant; returns EXIT_USAGE. */
int nauha__unknown_command(const char *typed);

/* Print the help of a command, the help of the program to a FILE, and the man page of a command. */
void nauha__print_command_help(const struct command *command);
void nauha__print_help(void *stream);
void nauha__print_man_page(const struct command *command);

/* Defined in tools/cli/plugins.c and tools/commands/replayed_model.c. */
extern const struct option_group nauha__plugin_options, nauha__model_options;

/* Defines an option group from a table of rows in the same file. */
#define OPTION_GROUP(id, heading, table)                                                           \
    static const struct nauha_option *id##_rows(size_t *count) {                                   \
        *count = sizeof(table) / sizeof *(table);                                                  \
        return table;                                                                              \
    }                                                                                              \
    const struct option_group nauha__##id = {heading, id##_rows, NULL}

#endif
