/* SPDX-License-Identifier: MIT */
/* Parsing a command line against the option tables.
 *
 * Threads: the main thread.
 */
#include "tools/cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/nearest.h"
#include "nauha/selector.h"
#include "tools/cli/plugins.h"
#include "tools/cli/terminal.h"

#define OPTIONS_MAX 64
/* getopt returns this plus the position for long options. */
#define LONG_BASE 1000

static const struct nauha_option common_table[] = {
    {"quiet", 'q', NULL, NULL, "print neither progress nor remarks"},
    {"color", 0, "auto|always|never", "auto",
     "use colours; auto uses them on a terminal and respects NO_COLOR and CLICOLOR_FORCE"},
    {"help", 'h', NULL, NULL, "show this help"},
};
OPTION_GROUP(common_options, "Common options", common_table);

const struct option_group nauha__select_options = {"Choosing messages", nauha_selector_options,
                                                   NULL};

/* ---- messages ---- */

static void say_who(void) {
    fflush(stdout); /* if both go to one file, texts stay in the order in which they were printed */
    fprintf(stderr, "%snauha:%s ", nauha__colour(stderr, COLOUR_BAD),
            nauha__colour(stderr, COLOUR_PLAIN));
}

static bool reader_gone;

bool nauha__reader_gone(void) {
    return reader_gone;
}

int nauha__fail(const struct nauha_error *err) {
    if (err->saved_errno == EPIPE) {
        reader_gone = true;
        return EXIT_FAILED;
    }
    say_who();
    fprintf(stderr, "%s\n", err->message);
    return err->code == NAUHA_UNKNOWN || err->code == NAUHA_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int nauha__fail_nomem(void) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    nauha_error_nomem(&err);
    return nauha__fail(&err);
}

int nauha__usage(const struct command *command, const char *format, ...) {
    va_list list;
    va_start(list, format);
    say_who();
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "\nTry \"nauha help%s%s\".\n", command ? " " : "",
            command ? command->name : "");
    return EXIT_USAGE;
}

int nauha__unknown_command(const char *typed) {
    struct nauha_nearest nearest = {.typed = typed};
    for (const struct command *const *at = nauha__commands; *at; at++)
        if (!(*at)->hidden)
            nauha_nearest_try(&nearest, (*at)->name);
    return nauha__usage(NULL, "there is no command \"%s\"%s", typed, nauha_did_you_mean(&nearest));
}

/* ---- options ---- */

/* All options of a command, from all of its tables. */
struct flat {
    const struct nauha_option *rows[OPTIONS_MAX];
    size_t count;
};

bool nauha__takes(const struct option_group *group, const struct nauha_option *row) {
    return !group->except || strcmp(group->except, row->name) != 0;
}

static void add_group(struct flat *flat, const struct option_group *group) {
    size_t count;
    const struct nauha_option *rows = group->rows(&count);
    for (size_t i = 0; i < count && flat->count < OPTIONS_MAX; i++) {
        if (nauha__takes(group, &rows[i]))
            flat->rows[flat->count++] = &rows[i];
    }
}

static struct flat flatten(const struct command *command) {
    struct flat flat = {.count = 0};
    for (size_t i = 0; command->groups[i]; i++)
        add_group(&flat, command->groups[i]);
    add_group(&flat, &nauha__common_options);
    return flat;
}

const struct nauha_option *nauha__option_at(const struct command *command, size_t position) {
    const struct flat flat = flatten(command);
    return position < flat.count ? flat.rows[position] : NULL;
}

static int complain_about_option(const struct command *command, const struct flat *flat,
                                 const char *word) {
    const char *typed = word + strspn(word, "-");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(typed, "="), typed);
    struct nauha_nearest nearest = {.typed = name};
    for (size_t i = 0; i < flat->count && word[0] == '-' && word[1] == '-'; i++)
        nauha_nearest_try(&nearest, flat->rows[i]->name);
    if (nearest.name)
        return nauha__usage(command, "%s has no option \"%s\" (did you mean \"--%s\"?)",
                            command->name, word, nearest.name);
    return nauha__usage(command, "%s has no option \"%s\"", command->name, word);
}

/* Builds the tables of getopt: short letters as they are, long options numbered from LONG_BASE.
 * Options after the first argument belong to the command, too, unless the arguments are another
 * program. */
static void make_getopt(const struct command *command, const struct flat *flat, char *letters,
                        struct option *longs) {
    if (command->runs_arguments)
        *letters++ = '+';
    *letters++ = ':';
    for (size_t i = 0; i < flat->count; i++) {
        const struct nauha_option *row = flat->rows[i];
        longs[i] = (struct option){row->name, row->value ? required_argument : no_argument, NULL,
                                   LONG_BASE + (int)i};
        if (!row->letter)
            continue;
        *letters++ = row->letter;
        if (row->value)
            *letters++ = ':';
    }
    *letters = '\0';
    longs[flat->count] = (struct option){NULL, 0, NULL, 0};
}

static const struct nauha_option *option_of(const struct flat *flat, int code) {
    if (code >= LONG_BASE)
        return flat->rows[code - LONG_BASE];
    for (size_t i = 0; i < flat->count; i++) {
        if (flat->rows[i]->letter == code)
            return flat->rows[i];
    }
    return NULL;
}

static int parse(struct invocation *invocation, int argc, char **argv) {
    const struct command *command = invocation->command;
    const struct flat flat = flatten(command);
    char letters[2 * OPTIONS_MAX + 3];
    struct option longs[OPTIONS_MAX + 1];
    make_getopt(command, &flat, letters, longs);
    optind = 1;
    opterr = 0;
    for (;;) {
        int before = optind;
        int code = getopt_long(argc, argv, letters, longs, NULL);
        if (code < 0)
            break;
        const char *word = argv[optind > before ? optind - 1 : before];
        if (code == ':')
            return nauha__usage(command, "option \"%s\" needs a value", word);
        if (code == '?')
            return complain_about_option(command, &flat, word);
        const struct nauha_option *option = option_of(&flat, code);
        invocation->given[invocation->given_count++] = (struct given){option, optarg};
    }
    invocation->arguments = (const char *const *)argv + optind;
    invocation->argument_count = (size_t)(argc - optind);
    invocation->quiet = nauha__has(invocation, "quiet");
    return EXIT_FINE;
}

static int choose_colours(const struct invocation *invocation) {
    const char *when = nauha__get(invocation, "color", "auto");
    if (nauha__colour_choose(when))
        return EXIT_FINE;
    return nauha__usage(invocation->command,
                        "\"%s\" is not a value of \"color\": expected one of auto, always, never",
                        when);
}

static int check_arguments(const struct invocation *invocation) {
    const struct command *command = invocation->command;
    if (invocation->argument_count < command->min_arguments)
        return nauha__usage(command, "%s needs %s", command->name, command->arguments);
    if (invocation->argument_count > command->max_arguments)
        return nauha__usage(command, "%s does not take \"%s\"", command->name,
                            invocation->arguments[command->max_arguments]);
    return EXIT_FINE;
}

int nauha__command_run(const struct command *command, int argc, char **argv,
                       const struct nauha_python *python) {
    struct invocation invocation = {
        .command = command, .python = python, .argc = argc, .argv = argv};
    invocation.given = calloc((size_t)argc + 1, sizeof *invocation.given);
    if (!invocation.given)
        return nauha__fail_nomem();
    int code = parse(&invocation, argc, argv);
    if (code == EXIT_FINE)
        code = choose_colours(&invocation);
    if (code == EXIT_FINE && nauha__has(&invocation, "help")) {
        nauha__print_command_help(command);
    } else {
        if (code == EXIT_FINE)
            code = check_arguments(&invocation);
        if (code == EXIT_FINE)
            code = nauha__plugins_open(&invocation, &invocation.plugins);
        if (code == EXIT_FINE)
            code = command->run(&invocation);
        nauha_plugins_free(invocation.plugins);
    }
    free(invocation.given);
    return code;
}

/* ---- asking ---- */

const char *nauha__get(const struct invocation *invocation, const char *name,
                       const char *fallback) {
    for (size_t i = invocation->given_count; i-- > 0;) {
        if (strcmp(invocation->given[i].option->name, name) == 0)
            return invocation->given[i].value;
    }
    return fallback;
}

bool nauha__has(const struct invocation *invocation, const char *name) {
    for (size_t i = 0; i < invocation->given_count; i++) {
        if (strcmp(invocation->given[i].option->name, name) == 0)
            return true;
    }
    return false;
}

uint64_t nauha__get_number(const struct invocation *invocation, const char *name, uint64_t fallback,
                           int *code) {
    const char *text = nauha__get(invocation, name, NULL);
    if (!text)
        return fallback;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-') {
        *code =
            nauha__usage(invocation->command, "--%s takes a whole number, not \"%s\"", name, text);
        return fallback;
    }
    return value;
}
