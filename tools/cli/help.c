/* SPDX-License-Identifier: MIT */
/* nauha help: help texts and man pages, made from the table of commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/pipeline.h"
#include "nauha/version.h"
#include "tools/cli/command.h"
#include "tools/cli/table.h"
#include "tools/cli/text.h"

/* The width of help that is not printed to a terminal. */
#define WIDTH 92
#define OPTION_COLUMN 30

static const struct nauha_option help_table[] = {
    {"man", 0, NULL, NULL, "print the man page, as roff"},
    {"commands", 0, NULL, NULL, "print only the names of the commands"},
};
OPTION_GROUP(help_options, "Output", help_table);

/* ---- as text ---- */

/* "-o, --output FILE" */
static void option_form(const struct nauha_option *option, char *text, size_t bytes) {
    char letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(text, bytes, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
}

/* ": csv, gnuplot, tensorboard", which follows the help of an option whose value names sinks. */
static void value_names(const struct nauha_option *option, char *text, size_t bytes) {
    size_t used = 0;
    text[0] = '\0';
    if (!option->value || strcmp(option->value, "SINK[,SINK]") != 0)
        return;
    for (const char *const *name = nauha_pipeline_sinks(); *name && used < bytes; name++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? ", " : ": ", *name);
}

static void option_text(const struct nauha_option *option, char *text, size_t bytes) {
    char names[256];
    value_names(option, names, sizeof names);
    if (option->fallback)
        snprintf(text, bytes, "%s%s (default %s)", option->help, names, option->fallback);
    else
        snprintf(text, bytes, "%s%s", option->help, names);
}

static int width(void) {
    const int terminal = nauha__prose_width(stdout);
    return terminal ? terminal : WIDTH;
}

static void print_group(const struct option_group *group) {
    size_t count;
    const struct nauha_option *rows = group->rows(&count);
    /* On a narrow screen, texts need most of the width. */
    const int limit = width(), column = limit < 2 * OPTION_COLUMN ? 8 : OPTION_COLUMN;
    nauha__heading(stdout, group->title);
    for (size_t i = 0; i < count; i++) {
        char form[256], text[512];
        if (!nauha__takes(group, &rows[i]))
            continue;
        option_form(&rows[i], form, sizeof form);
        option_text(&rows[i], text, sizeof text);
        printf("  %s%s%s", nauha__colour(stdout, COLOUR_NAME), form,
               nauha__colour(stdout, COLOUR_PLAIN));
        int used = 2 + (int)strlen(form);
        if (used + 2 > column) {
            printf("\n");
            used = 0;
        }
        printf("%*s", column - used, "");
        nauha__text_wrap(stdout, text, column, column, limit);
        printf("\n");
    }
}

static void print_usage_line(FILE *stream, const struct command *command) {
    /* Options after the name of another program belong to that program. */
    const bool first = command->runs_arguments;
    fprintf(stream, "usage: nauha %s%s%s%s%s\n", command->name, first ? " [options]" : "",
            command->arguments[0] ? " " : "", command->arguments, first ? "" : " [options]");
}

void nauha__print_command_help(const struct command *command) {
    print_usage_line(stdout, command);
    printf("\n");
    nauha__text_wrap(stdout, command->description, 0, 0, width());
    printf("\n");
    for (size_t i = 0; command->groups[i]; i++)
        print_group(command->groups[i]);
    print_group(&nauha__common_options);
    if (!command->examples)
        return;
    nauha__heading(stdout, "Examples");
    for (const char *line = command->examples; *line;) {
        int length = (int)strcspn(line, "\n");
        printf("  %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
}

void nauha__print_help(void *stream) {
    FILE *out = stream;
    fprintf(out, "nauha records neural-network trainings and computes metrics from the "
                 "recordings.\n\nusage: nauha COMMAND [arguments] [options]\n\n");
    static const struct column columns[] = {{.head = NULL}, {.flags = TABLE_WRAP}};
    struct table *table = nauha__table_new(out, columns, 2, 2);
    for (const struct command *const *at = nauha__commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        nauha__table_cell(table, COLOUR_NAME, "%s", (*at)->name);
        nauha__table_cell(table, COLOUR_PLAIN, "%s", (*at)->summary);
    }
    nauha__table_end(table);
    fprintf(out, "\nType \"nauha help COMMAND\" for the options of a command.\n");
}

/* ---- as roff ---- */

/* Prints text with roff's special characters escaped. */
static void put_roff(const char *text) {
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            fputc(*text, stdout);
        line_start = *text == '\n';
    }
}

static void put_roff_option(const struct nauha_option *option) {
    char text[512];
    printf(".TP\n");
    if (option->letter)
        printf("\\fB\\-%c\\fR, ", option->letter);
    printf("\\fB\\-\\-");
    put_roff(option->name);
    printf("\\fR");
    if (option->value) {
        printf(" \\fI");
        put_roff(option->value);
        printf("\\fR");
    }
    printf("\n");
    option_text(option, text, sizeof text);
    put_roff(text);
    printf("\n");
}

static void put_roff_group(const struct option_group *group) {
    size_t count;
    const struct nauha_option *rows = group->rows(&count);
    printf(".SS %s\n", group->title);
    for (size_t i = 0; i < count; i++) {
        if (nauha__takes(group, &rows[i]))
            put_roff_option(&rows[i]);
    }
}

/* Prints .TH, whose footer has the version of the page. */
static void put_roff_title(const char *title) {
    char version[32];
    nauha_version(NAUHA_VERSION_LIBRARY, version, sizeof version);
    printf(".TH \"");
    put_roff(title);
    printf("\" 1 \"\" \"nauha %s\" \"User Commands\"\n", version);
}

static void print_program_page(void) {
    put_roff_title("NAUHA");
    printf(".SH NAME\nnauha \\- a tape recorder for neural\\-network training\n");
    printf(".SH SYNOPSIS\n.B nauha\n.I COMMAND\n[arguments] [options]\n");
    printf(".SH DESCRIPTION\nnauha records the messages of a training (activations, gradients, "
           "weights, updates, loss, labels) into a compressed HDF5 trace, and replays traces "
           "through the same metrics that run live.\n.SH COMMANDS\n");
    for (const struct command *const *at = nauha__commands; *at; at++) {
        if ((*at)->hidden)
            continue;
        printf(".TP\n\\fBnauha\\-%s\\fR(1)\n", (*at)->name);
        put_roff((*at)->summary);
        printf("\n");
    }
    printf(
        ".SH EXIT STATUS\n0: success. 1: something was found, such as damage by verify. 2: the "
        "command line is wrong. 3: failure. 4: a metric or rule failed; the results of all others "
        "are complete.\n");
}

void nauha__print_man_page(const struct command *command) {
    char title[64];
    snprintf(title, sizeof title, "NAUHA-%s", command->name);
    for (char *c = title; *c; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    put_roff_title(title);
    printf(".SH NAME\nnauha\\-%s \\- ", command->name);
    put_roff(command->summary);
    printf("\n.SH SYNOPSIS\n.B nauha %s\n", command->name);
    if (command->runs_arguments)
        printf("[options]\n");
    if (command->arguments[0])
        printf(".I %s\n", command->arguments);
    printf("%s.SH DESCRIPTION\n", command->runs_arguments ? "" : "[options]\n");
    put_roff(command->description);
    printf("\n.SH OPTIONS\n");
    for (size_t i = 0; command->groups[i]; i++)
        put_roff_group(command->groups[i]);
    put_roff_group(&nauha__common_options);
    if (command->examples) {
        printf(".SH EXAMPLES\n.nf\n");
        put_roff(command->examples);
        printf("\n.fi\n");
    }
    printf(".SH SEE ALSO\n.BR nauha (1)\n");
}

/* ---- the command ---- */

static int run_help(const struct invocation *invocation) {
    if (nauha__has(invocation, "commands")) {
        for (const struct command *const *at = nauha__commands; *at; at++)
            if (!(*at)->hidden)
                printf("%s\n", (*at)->name);
        return EXIT_FINE;
    }
    bool man = nauha__has(invocation, "man");
    if (invocation->argument_count == 0) {
        if (man)
            print_program_page();
        else
            nauha__print_help(stdout);
        return EXIT_FINE;
    }
    const struct command *command = nauha__command_find(invocation->arguments[0]);
    if (!command)
        return nauha__unknown_command(invocation->arguments[0]);
    if (man)
        nauha__print_man_page(command);
    else
        nauha__print_command_help(command);
    return EXIT_FINE;
}

const struct command nauha__command_help = {
    .name = "help",
    .summary = "explain the program or one command",
    .arguments = "[COMMAND]",
    .description = "Explains a command. Without one, lists the commands.",
    .examples = "nauha help replay",
    .max_arguments = 1,
    .groups = {&nauha__help_options},
    .run = run_help,
};
