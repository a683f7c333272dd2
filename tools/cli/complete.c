/* SPDX-License-Identifier: MIT */
/* nauha complete: prints what shells offer while a line is being typed. Shells call it (see
 * tools/completion/). It uses the tables of commands, options and metrics, and the trace that the
 * line names. It prints one line for each word, with the word's meaning after a tab; ":files" or
 * ":directories" asks the shell to complete names of files. It prints no errors, and omits names in
 * a trace that a shell would not read as one plain word. */
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/pipeline.h"
#include "nauha/trace.h"
#include "tools/cli/command.h"
#include "tools/commands/crash.h"
#include "tools/train/train.h"

/* The line typed so far. */
struct line {
    const struct command *command;
    const char *word;          /* the word to complete, or its value after "--option=" */
    const char *before;        /* what precedes that in the same word: "--option=" */
    const char *trace;         /* the first argument; NULL: none yet */
    size_t arguments;          /* number of those before the word */
    struct nauha_names *names; /* of the trace, if there is one */
    struct nauha_trace *opened;
};

/* ---- offering ---- */

/* Offers a word, after what its list has already, if it begins with that. */
static void offer_in(const struct line *line, const char *list, size_t length, const char *word,
                     const char *help) {
    const char *typed = list + length;
    if (strncmp(word, typed, strlen(typed)) == 0)
        printf("%s%.*s%s\t%s\n", line->before, (int)length, list, word, help ? help : "");
}

static void offer(const struct line *line, const char *word, const char *help) {
    offer_in(line, line->word, 0, word, help);
}

/* The number of bytes up to the last separator of a list. */
static size_t listed(const char *list, const char *separators) {
    size_t length = 0;
    for (size_t i = 0; list[i]; i++)
        if (strchr(separators, list[i]))
            length = i + 1;
    return length;
}

/* ---- values out of the trace ---- */

/* Whether every shell takes a name literally, with any open quotes around it. Names that a shell
 * would expand or run are not offered, because the trace may come from somebody else. */
static bool is_plain(const char *name) {
    bool plain = *name != '=';
    for (; *name && plain; name++) {
        const unsigned char c = (unsigned char)*name;
        plain = c >= 0x80 || isalnum(c) || strchr("_-./,:=+@%", c);
    }
    return plain;
}

/* Offers a name of the trace. */
static void offer_name(const struct line *line, size_t length, const char *name, const char *help) {
    if (is_plain(name))
        offer_in(line, line->word, length, name, help);
}

static void open_trace(struct line *line) {
    glob_t found;
    char pattern[4096];
    line->names = nauha_names_new();
    if (!line->trace || !line->names)
        return;
    snprintf(pattern, sizeof pattern, "%s", line->trace);
    if (glob(pattern, GLOB_TILDE, NULL, &found) == 0 && found.gl_pathc > 0) {
        nauha__crash_watch(found.gl_pathv[0]);
        (void)nauha_trace_open(found.gl_pathv[0], line->names, &line->opened, NULL);
    }
    globfree(&found);
}

static void offer_kinds_at(struct line *line, size_t length) {
    for (uint32_t i = 0; i < nauha_names_kinds(line->names); i++) {
        uint64_t messages = 0, bytes = 0;
        char help[64] = "";
        if (line->opened)
            nauha_trace_kind_totals(line->opened, i, &messages, &bytes);
        if (line->opened && !messages)
            continue;
        if (messages)
            snprintf(help, sizeof help, "%llu messages", (unsigned long long)messages);
        offer_name(line, length, nauha_names_kind(line->names, i), help);
    }
}

static void offer_kinds(struct line *line) {
    offer_kinds_at(line, listed(line->word, ","));
}

static void offer_modules(struct line *line) {
    const size_t length = listed(line->word, ",");
    for (uint32_t i = 0; line->opened && i < nauha_names_modules(line->names); i++) {
        const char *name = nauha_names_module(line->names, i);
        const char *class_name = nauha_names_module_class(line->names, i);
        if (name[0])
            offer_name(line, length, name, class_name);
        else
            offer_in(line, line->word, length, "(root)", class_name);
    }
}

static void offer_tags(struct line *line) {
    for (uint32_t i = 0; line->opened && i < nauha_names_tags(line->names); i++)
        offer_name(line, 0, nauha_names_tag(line->names, i), "");
}

/* ---- values out of tables ---- */

static const struct nauha_analyzer *analyzer_named(const char *name, size_t length) {
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(analyzers[i]->name) == length && !strncmp(analyzers[i]->name, name, length))
            return analyzers[i];
    return NULL;
}

/* Which analyzers are offered, and whether those that take kinds get a colon. */
enum { METRICS = 1, RULES = 2, WITH_COLON = 4 };

static void offer_analyzers(struct line *line, size_t length, unsigned which) {
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    for (size_t i = 0; i < count; i++) {
        char word[128];
        const unsigned sort = analyzers[i]->flags & NAUHA_ANALYZER_RULE ? RULES : METRICS;
        snprintf(word, sizeof word, "%s%s", analyzers[i]->name,
                 which & WITH_COLON && analyzers[i]->min_kinds > 0 ? ":" : "");
        if (which & sort)
            offer_in(line, line->word, length, word, analyzers[i]->summary);
    }
}

static void offer_keys(struct line *line, size_t length,
                       const struct nauha_analyzer_parameter *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char word[128];
        snprintf(word, sizeof word, "%s=", rows[i].key);
        offer_in(line, line->word, length, word, rows[i].help);
    }
}

/* NAME:KIND[,KIND...][:key=value...] */
static void offer_spec(struct line *line, unsigned which) {
    const char *colon = strchr(line->word, ':');
    if (!colon) {
        offer_analyzers(line, 0, which | WITH_COLON);
        return;
    }
    const struct nauha_analyzer *analyzer =
        analyzer_named(line->word, (size_t)(colon - line->word));
    size_t count;
    const struct nauha_analyzer_parameter *common = nauha_pipeline_common_keys(&count);
    if (!analyzer)
        return;
    if (analyzer->max_kinds > 0 && !strchr(colon + 1, ':'))
        offer_kinds_at(line, listed(line->word, ":,"));
    if (analyzer->min_kinds > 0 && !strchr(colon + 1, ':'))
        return;
    offer_keys(line, listed(line->word, ":"), analyzer->parameters, analyzer->parameter_count);
    offer_keys(line, listed(line->word, ":"), common, count);
}

static void offer_metrics(struct line *line) {
    offer_spec(line, METRICS);
}

static void offer_rules(struct line *line) {
    offer_spec(line, RULES);
}

static void offer_rule_list(struct line *line) {
    offer_analyzers(line, listed(line->word, ","), RULES);
}

static void offer_analyzer(struct line *line) {
    offer_analyzers(line, 0, METRICS | RULES);
}

static void offer_models(struct line *line) {
    for (int i = 0; i < NAUHA_TRAIN_MODEL_COUNT; i++)
        offer(line, nauha_train_model_name((enum nauha_train_model)i), NULL);
    printf(":files\n");
}

static void offer_sinks(struct line *line) {
    for (const char *const *sink = nauha_pipeline_sinks(); *sink; sink++)
        offer_in(line, line->word, listed(line->word, ","), *sink, NULL);
}

static void offer_codecs(struct line *line) {
    static const char *const codecs[] = {"zstd", "zstd,temporal", "zstd,standard",
                                         "lz4",  "auto",          "none"};
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        offer(line, codecs[i], NULL);
}

static void offer_commands(struct line *line) {
    for (const struct command *const *at = nauha__commands; *at; at++)
        if (!(*at)->hidden)
            offer(line, (*at)->name, (*at)->summary);
}

static void offer_files(struct line *line) {
    (void)line;
    printf(":files\n");
}

static void offer_traces(struct line *line) {
    (void)line;
    printf(":files h5\n");
}

static void offer_directories(struct line *line) {
    (void)line;
    printf(":directories\n");
}

/* Chosen by the placeholder of the value, or by the option's name if the placeholder says too
 * little. */
static const struct {
    const char *option, *value;
    void (*offer)(struct line *line);
} completers[] = {
    {"rule", "SPEC", offer_rules},
    {NULL, "SPEC", offer_metrics},
    {NULL, "RULE[,RULE]", offer_rule_list},
    {NULL, "KIND,...", offer_kinds},
    {NULL, "GLOB,...", offer_modules},
    {NULL, "TAG", offer_tags},
    {NULL, "SINK[,SINK]", offer_sinks},
    {NULL, "CODEC", offer_codecs},
    {NULL, "FILE.pt|NAME", offer_models},
    {NULL, "DIR", offer_directories},
    {NULL, "FILE", offer_files},
    {NULL, "FILE.py:NAME", offer_files},
    {NULL, "FILE.html", offer_files},
    {NULL, "TRACE", offer_traces},
    {NULL, "TRACE...", offer_traces},
    {NULL, "TRACE|DIR...", offer_traces},
    {NULL, "A B", offer_traces},
    {NULL, "DIR|FILE.csv", offer_files},
    {NULL, "[NAME]", offer_analyzer},
    {NULL, "[COMMAND]", offer_commands},
    {NULL, "[--] PROGRAM [ARGUMENT...]", offer_files},
};

static void offer_value(struct line *line, const char *option, const char *value) {
    for (size_t i = 0; i < sizeof completers / sizeof *completers; i++) {
        if (strcmp(completers[i].value, value) == 0 &&
            (!completers[i].option || (option && strcmp(completers[i].option, option) == 0))) {
            completers[i].offer(line);
            return;
        }
    }
    if (!strchr(value, '|'))
        return; /* a number, or any text */
    while (*value) {
        char word[64];
        const size_t length = strcspn(value, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, value);
        offer(line, word, NULL);
        value += length + (value[length] == '|');
    }
}

static void offer_options(struct line *line) {
    const struct nauha_option *option;
    char word[128];
    for (size_t i = 0; (option = nauha__option_at(line->command, i)) != NULL; i++) {
        snprintf(word, sizeof word, "--%s", option->name);
        offer(line, word, option->help);
    }
}

/* ---- the line ---- */

/* The option of a word; *value: the text after its "=", NULL if there is none. */
static const struct nauha_option *option_in(const struct line *line, const char *word,
                                            const char **value) {
    const struct nauha_option *option;
    const size_t length = strcspn(word, "=");
    *value = word[length] ? word + length + 1 : NULL;
    for (size_t i = 0; (option = nauha__option_at(line->command, i)) != NULL; i++) {
        if (strncmp(word, "--", 2) == 0 && strlen(option->name) == length - 2 &&
            strncmp(word + 2, option->name, length - 2) == 0)
            return option;
        if (word[0] == '-' && option->letter && word[1] == option->letter && !word[2])
            return option;
    }
    return NULL;
}

static void complete(struct line *line, const char *const *words, size_t count) {
    const struct nauha_option *waiting = NULL; /* for the value of that option */
    const char *value;
    char before[128];
    for (size_t i = 1; i + 1 < count; i++) {
        if (waiting) {
            waiting = NULL;
        } else if (words[i][0] == '-') {
            waiting = option_in(line, words[i], &value);
            waiting = waiting && waiting->value && !value ? waiting : NULL;
        } else {
            line->trace = line->trace ? line->trace : words[i];
            line->arguments++;
        }
    }
    open_trace(line);
    const struct nauha_option *option = option_in(line, line->word, &value);
    if (waiting) {
        offer_value(line, waiting->name, waiting->value);
    } else if (option && option->value && value) {
        snprintf(before, sizeof before, "--%s=", option->name);
        line->before = before;
        line->word = value;
        offer_value(line, option->name, option->value);
    } else if (line->word[0] == '-') {
        offer_options(line);
    } else if (line->arguments < line->command->max_arguments) {
        offer_value(line, NULL, line->command->arguments);
    }
}

static int run_complete(const struct invocation *invocation) {
    const char *const *words = invocation->arguments;
    const size_t count = invocation->argument_count;
    struct line line = {.word = words[count - 1], .before = ""};
    if (count == 1) {
        offer_commands(&line);
        return EXIT_FINE;
    }
    line.command = nauha__command_find(words[0]);
    if (!line.command)
        return EXIT_FINE;
    complete(&line, words, count);
    nauha_trace_close(line.opened);
    nauha_names_free(line.names);
    return EXIT_FINE;
}

const struct command nauha__command_complete = {
    .name = "complete",
    .summary = "complete a command line, for a shell",
    .arguments = "[--] WORD...",
    .description = "Prints the completions of the last word.",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .hidden = true,
    .runs_arguments = true,
    .groups = {NULL},
    .run = run_complete,
};
