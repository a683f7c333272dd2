/* SPDX-License-Identifier: MIT */
/* Commands as table rows: what they are called, take and print. The table drives parsing, help,
 * man pages and completion.
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

enum exit_code { EXIT_FINE = 0, EXIT_FINDING = 1, EXIT_USAGE = 2, EXIT_FAILED = 3 };

/* Options under one heading. */
struct option_group {
    const char *title;
    const struct nauha_option *(*rows)(size_t *count);
    const char *except; /* the one row that is no option of the command; NULL: all rows are */
};

/* Whether a row of a group is an option of the command. */
bool nauha__takes(const struct option_group *group, const struct nauha_option *row);

struct invocation;

struct command {
    const char *name;
    const char *summary;     /* one line, no capital, no full stop */
    const char *arguments;   /* "TRACE", "DIR|FILE.csv"; "" for none */
    const char *description; /* paragraphs, for help and man page */
    const char *examples;    /* lines, each a command; NULL for none */
    size_t min_arguments, max_arguments;
    bool hidden;         /* not for people: in no help */
    bool runs_arguments; /* they are a program and its own arguments, options included */
    const struct option_group *groups[6]; /* NULL-terminated; "common" comes by itself */
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
    struct nauha_plugins *plugins;     /* of a command that takes any; NULL: it does not */
    const struct nauha_python *python; /* what runs metrics in Python; NULL: this is no Python */
    int argc;
    char **argv; /* the command line, from the command's name on */
    const char *const *arguments;
    size_t argument_count;
    struct given *given;
    size_t given_count;
    bool quiet;
};

/* The commands, NULL-terminated. Each is nauha__command_NAME, in a file of its own. */
extern const struct command *const nauha__commands[];
const struct command *nauha__command_find(const char *name);

/* The options of a group, and those every command takes. */
extern const struct option_group nauha__common_options;
extern const struct option_group nauha__select_options;

/* The options of a command, the common ones included, by position; NULL past the end. */
const struct nauha_option *nauha__option_at(const struct command *command, size_t position);

/* Parses argv (from the command's name on) and runs the command; python may be NULL. Returns the
 * exit code. */
int nauha__command_run(const struct command *command, int argc, char **argv,
                       const struct nauha_python *python);

/* The last value given for an option, or `fallback`. */
const char *nauha__get(const struct invocation *invocation, const char *name, const char *fallback);
bool nauha__has(const struct invocation *invocation, const char *name);
/* A whole number; on a bad one says so, and *code is EXIT_USAGE. */
uint64_t nauha__get_number(const struct invocation *invocation, const char *name, uint64_t fallback,
                           int *code);

/* Prints "nauha: MESSAGE" and returns the exit code that fits: usage where a name or value of the
 * user's was wrong, failure otherwise. */
int nauha__fail(const struct nauha_error *err);
/* The same, of memory that could not be had. */
int nauha__fail_nomem(void);
/* Whether nauha__fail was told, and kept it to itself, that a reader of what is printed has seen
 * enough, as in `nauha replay ... | head`: that is no failure. */
bool nauha__reader_gone(void);
/* Prints "nauha: ..." and where to find help; returns EXIT_USAGE. */
int nauha__usage(const struct command *command, const char *format, ...) NAUHA_PRINTF(2, 3);

/* Says that there is no such command, and which may have been meant; returns EXIT_USAGE. */
int nauha__unknown_command(const char *typed);

/* Prints the help of one command, or of all; and as a man page. */
void nauha__print_command_help(const struct command *command);
void nauha__print_help(void *stream);
void nauha__print_man_page(const struct command *command);

/* Of tools/cli/plugins.c and tools/commands/replayed_model.c. */
extern const struct option_group nauha__plugin_options, nauha__model_options;

/* Defines an option group from a table of rows in the same file. */
#define OPTION_GROUP(id, heading, table)                                                           \
    static const struct nauha_option *id##_rows(size_t *count) {                                   \
        *count = sizeof(table) / sizeof *(table);                                                  \
        return table;                                                                              \
    }                                                                                              \
    const struct option_group nauha__##id = {heading, id##_rows, NULL}

#endif
