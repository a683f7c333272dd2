/* SPDX-License-Identifier: MIT */
/* nauha analyzers: lists the metrics, and what each takes. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "nauha/nearest.h"
#include "nauha/plugin.h"
#include "tools/cli/command.h"
#include "tools/cli/table.h"
#include "tools/cli/text.h"

static const struct nauha_option analyzers_table[] = {
    {"json", 0, NULL, NULL, "print a JSON array"},
};
OPTION_GROUP(analyzers_options, "Output", analyzers_table);

/* "ratio:KIND,KIND", "norm:KIND[,KIND...]", "loss", "all_zero[:KIND...]" */
static void spec_form(const struct nauha_analyzer *analyzer, char *text, size_t bytes) {
    snprintf(text, bytes, "%s", analyzer->name);
    if (analyzer->default_kinds && analyzer->max_kinds > 0) {
        snprintf(text, bytes, "%s[:KIND...]", analyzer->name);
        return;
    }
    for (uint32_t i = 0; i < analyzer->min_kinds; i++) {
        size_t used = strlen(text);
        snprintf(text + used, bytes - used, i ? ",KIND" : ":KIND");
    }
    size_t used = strlen(text);
    if (analyzer->max_kinds > analyzer->min_kinds)
        snprintf(text + used, bytes - used, analyzer->min_kinds ? "[,KIND...]" : "[:KIND...]");
}

/* An analyzer, and its file; "" if it is built in. A plugin that was refused has no analyzer. */
struct entry {
    const struct nauha_analyzer *analyzer;
    const char *path, *reason;
};

/* The analyzer at a position, built-in ones first; false after the last one. */
static bool entry_at(const struct nauha_plugins *plugins, size_t position, struct entry *entry) {
    size_t count;
    struct nauha_plugin_info info;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    if (position < count) {
        *entry = (struct entry){analyzers[position], "", ""};
        return true;
    }
    if (!nauha_plugins_get(plugins, position - count, &info))
        return false;
    *entry = (struct entry){info.analyzer, info.path, info.reason};
    return true;
}

static bool find(const struct nauha_plugins *plugins, const char *name, struct entry *entry) {
    for (size_t i = 0; entry_at(plugins, i, entry); i++) {
        if (entry->analyzer && strcmp(entry->analyzer->name, name) == 0)
            return true;
    }
    return false;
}

/* ---- as text ---- */

static bool is_metric(const struct entry *entry) {
    return entry->analyzer && !entry->path[0] && !(entry->analyzer->flags & NAUHA_ANALYZER_RULE);
}

static bool is_metric_of_any_kind(const struct entry *entry) {
    return is_metric(entry) && entry->analyzer->min_kinds > 0;
}

static bool is_metric_of_its_own_kinds(const struct entry *entry) {
    return is_metric(entry) && entry->analyzer->min_kinds == 0;
}

static bool is_rule(const struct entry *entry) {
    return entry->analyzer && !entry->path[0] && entry->analyzer->flags & NAUHA_ANALYZER_RULE;
}

static bool is_plugin(const struct entry *entry) {
    return entry->analyzer && entry->path[0];
}

static const struct column list_columns[] = {{.head = NULL}, {.flags = TABLE_WRAP}};

static void print_some(const struct nauha_plugins *plugins, const char *heading,
                       bool (*wanted)(const struct entry *entry)) {
    struct entry entry;
    char form[128];
    struct table *table = NULL;
    for (size_t i = 0; entry_at(plugins, i, &entry); i++) {
        if (!wanted(&entry))
            continue;
        if (!table) {
            nauha__heading(stdout, heading);
            table = nauha__table_new(stdout, list_columns, 2, 2);
        }
        spec_form(entry.analyzer, form, sizeof form);
        nauha__table_cell(table, COLOUR_NAME, "%s", form);
        nauha__table_cell(table, COLOUR_PLAIN, "%s%s%s%s",
                          entry.analyzer->summary ? entry.analyzer->summary : "",
                          entry.path[0] ? " (" : "", entry.path, entry.path[0] ? ")" : "");
    }
    if (table)
        nauha__table_end(table);
}

static void print_refused(const struct nauha_plugins *plugins) {
    struct entry entry;
    for (size_t i = 0; entry_at(plugins, i, &entry); i++) {
        if (!entry.analyzer)
            fprintf(stderr, "refused: %s: %s\n", entry.path, entry.reason);
    }
}

static void print_list(const struct nauha_plugins *plugins) {
    printf("\"nauha analyzers NAME\" explains one of them.\n");
    print_some(plugins, "Metrics of the kinds you name", is_metric_of_any_kind);
    print_some(plugins, "Metrics of kinds of their own", is_metric_of_its_own_kinds);
    print_some(plugins, "Health rules, which nauha check runs", is_rule);
    print_some(plugins, "From plugins", is_plugin);
}

static void print_parameters(const char *heading, const struct nauha_analyzer_parameter *rows,
                             size_t count) {
    static const char *const types[] = {"N", "X", "LOW:HIGH", "TEXT", "X[,X...]"};
    if (count == 0)
        return;
    nauha__heading(stdout, heading);
    struct table *table = nauha__table_new(stdout, list_columns, 2, 2);
    for (size_t i = 0; i < count; i++) {
        const bool fallback = rows[i].fallback && rows[i].fallback[0];
        nauha__table_cell(table, COLOUR_NAME, "%s=%s", rows[i].key, types[rows[i].type]);
        nauha__table_cell(table, COLOUR_PLAIN, "%s%s%s%s", rows[i].help,
                          fallback ? " (default " : "", fallback ? rows[i].fallback : "",
                          fallback ? ")" : "");
    }
    nauha__table_end(table);
}

static void print_one(const struct nauha_analyzer *analyzer) {
    char form[128];
    size_t common_count;
    const struct nauha_analyzer_parameter *common = nauha_pipeline_common_keys(&common_count);
    spec_form(analyzer, form, sizeof form);
    printf("%s%s[:key=value...]%s\n\n%s.\n", nauha__colour(stdout, COLOUR_BOLD), form,
           nauha__colour(stdout, COLOUR_PLAIN), analyzer->summary ? analyzer->summary : "");
    if (analyzer->formula && analyzer->formula[0]) {
        printf("\n");
        nauha__text_wrap(stdout, analyzer->formula, 0, 0, nauha__prose_width(stdout));
        printf("\n");
    }
    if (analyzer->default_kinds) {
        printf("\nkinds:");
        for (const char *const *kind = analyzer->default_kinds; *kind; kind++)
            printf(" %s", *kind);
        printf("\n");
    }
    if (analyzer->flags & NAUHA_ANALYZER_STATISTICS)
        printf("\nGives the same results where only fingerprints were recorded (--keep).\n");
    print_parameters("Keys", analyzer->parameters, analyzer->parameter_count);
    print_parameters("Keys of every metric", common, common_count);
}

/* ---- as JSON ---- */

static cJSON *to_json(const struct entry *entry) {
    const struct nauha_analyzer *analyzer = entry->analyzer;
    static const char *const types[] = {"integer", "real", "range", "text", "list"};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", analyzer->name);
    cJSON_AddStringToObject(object, "summary", analyzer->summary ? analyzer->summary : "");
    cJSON_AddStringToObject(object, "formula", analyzer->formula ? analyzer->formula : "");
    cJSON_AddBoolToObject(object, "rule", (analyzer->flags & NAUHA_ANALYZER_RULE) != 0);
    cJSON_AddBoolToObject(object, "fingerprints",
                          (analyzer->flags & NAUHA_ANALYZER_STATISTICS) != 0);
    cJSON_AddStringToObject(object, "plugin", entry->path);
    cJSON_AddNumberToObject(object, "min_kinds", analyzer->min_kinds);
    cJSON_AddNumberToObject(object, "max_kinds", analyzer->max_kinds);
    cJSON *kinds = cJSON_AddArrayToObject(object, "default_kinds");
    for (const char *const *kind = analyzer->default_kinds; kind && *kind; kind++)
        cJSON_AddItemToArray(kinds, cJSON_CreateString(*kind));
    cJSON *parameters = cJSON_AddArrayToObject(object, "parameters");
    for (size_t i = 0; i < analyzer->parameter_count; i++) {
        const struct nauha_analyzer_parameter *row = &analyzer->parameters[i];
        cJSON *parameter = cJSON_CreateObject();
        cJSON_AddStringToObject(parameter, "key", row->key);
        cJSON_AddStringToObject(parameter, "type", types[row->type]);
        if (row->fallback)
            cJSON_AddStringToObject(parameter, "default", row->fallback);
        cJSON_AddStringToObject(parameter, "help", row->help);
        cJSON_AddItemToArray(parameters, parameter);
    }
    return object;
}

static void print_json(const struct nauha_plugins *plugins, const struct entry *one) {
    struct entry entry;
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; entry_at(plugins, i, &entry); i++) {
        if (entry.analyzer && (!one->analyzer || one->analyzer == entry.analyzer))
            cJSON_AddItemToArray(array, to_json(&entry));
    }
    char *text = cJSON_Print(array);
    printf("%s\n", text ? text : "[]");
    cJSON_free(text);
    cJSON_Delete(array);
}

/* ---- the command ---- */

static int unknown(const struct command *command, const struct nauha_plugins *plugins,
                   const char *typed) {
    char names[1024] = "";
    struct nauha_nearest nearest = {.typed = typed};
    struct entry entry;
    for (size_t i = 0; entry_at(plugins, i, &entry); i++) {
        const size_t used = strlen(names);
        if (!entry.analyzer)
            continue;
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", entry.analyzer->name);
        nauha_nearest_try(&nearest, entry.analyzer->name);
    }
    return nauha__usage(command, "there is no metric \"%s\"%s; metrics: %s", typed,
                        nauha_did_you_mean(&nearest), names);
}

static int run_analyzers(const struct invocation *invocation) {
    const struct nauha_plugins *plugins = invocation->plugins;
    struct entry one = {NULL, "", ""};
    if (invocation->argument_count > 0 && !find(plugins, invocation->arguments[0], &one))
        return unknown(invocation->command, plugins, invocation->arguments[0]);
    if (nauha__has(invocation, "json"))
        print_json(plugins, &one);
    else if (one.analyzer)
        print_one(one.analyzer);
    else
        print_list(plugins);
    if (!one.analyzer)
        print_refused(plugins);
    return EXIT_FINE;
}

const struct command nauha__command_analyzers = {
    .name = "analyzers",
    .summary = "list the metrics and health rules, or explain one",
    .arguments = "[NAME]",
    .description = "Lists the metrics and health rules, those that are built in and those of "
                   "plugins. For each plugin that was found but cannot be used, it says why. With "
                   "a name, it explains that metric: formula, kinds and keys.",
    .examples = "nauha analyzers\nnauha analyzers norm",
    .max_arguments = 1,
    .groups = {&nauha__analyzers_options, &nauha__plugin_options},
    .run = run_analyzers,
};
