/* SPDX-License-Identifier: MIT */
/* nauha analyzers: the metrics there are, and what each takes. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "nauha/pipeline.h"
#include "tools/command.h"
#include "tools/terminal.h"

static const struct nauha_option analyzers_table[] = {
    {"json", 0, NULL, NULL, "print a JSON array"},
};
OPTION_GROUP(analyzers_options, "Output", analyzers_table);

/* "ratio:KIND,KIND", "norm:KIND[,KIND...]", "loss" */
static void spec_form(const struct nauha_analyzer *analyzer, char *text, size_t bytes) {
    snprintf(text, bytes, "%s", analyzer->name);
    for (uint32_t i = 0; i < analyzer->min_kinds; i++) {
        size_t used = strlen(text);
        snprintf(text + used, bytes - used, i ? ",KIND" : ":KIND");
    }
    size_t used = strlen(text);
    if (analyzer->max_kinds > analyzer->min_kinds)
        snprintf(text + used, bytes - used, analyzer->min_kinds ? "[,KIND...]" : "[:KIND...]");
}

static const char *analyzer_name(size_t position) {
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    return position < count ? analyzers[position]->name : NULL;
}

static const struct nauha_analyzer *find(const char *name) {
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(analyzers[i]->name, name) == 0)
            return analyzers[i];
    }
    return NULL;
}

/* ---- as text ---- */

static void print_list(void) {
    size_t count;
    char form[128];
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    for (size_t i = 0; i < count; i++) {
        spec_form(analyzers[i], form, sizeof form);
        printf("%s%-30s%s %s\n", nauha__colour(stdout, COLOUR_BOLD), form,
               nauha__colour(stdout, COLOUR_PLAIN), analyzers[i]->summary);
    }
}

static void print_parameters(const char *heading, const struct nauha_analyzer_parameter *rows,
                             size_t count) {
    static const char *const types[] = {"N", "X", "LOW:HIGH", "TEXT", "X[,X...]"};
    if (count == 0)
        return;
    printf("\n%s%s%s\n", nauha__colour(stdout, COLOUR_BOLD), heading,
           nauha__colour(stdout, COLOUR_PLAIN));
    for (size_t i = 0; i < count; i++) {
        char form[64];
        snprintf(form, sizeof form, "%s=%s", rows[i].key, types[rows[i].type]);
        printf("  %-18s %s", form, rows[i].help);
        if (rows[i].fallback && rows[i].fallback[0])
            printf(" (default %s)", rows[i].fallback);
        printf("\n");
    }
}

static void print_one(const struct nauha_analyzer *analyzer) {
    char form[128];
    size_t common_count;
    const struct nauha_analyzer_parameter *common = nauha_pipeline_common_keys(&common_count);
    spec_form(analyzer, form, sizeof form);
    printf("%s%s[:key=value...]%s\n\n%s.\n", nauha__colour(stdout, COLOUR_BOLD), form,
           nauha__colour(stdout, COLOUR_PLAIN), analyzer->summary);
    if (analyzer->formula)
        printf("\n%s\n", analyzer->formula);
    if (analyzer->default_kinds) {
        printf("\nkinds:");
        for (const char *const *kind = analyzer->default_kinds; *kind; kind++)
            printf(" %s", *kind);
        printf("\n");
    }
    print_parameters("Keys", analyzer->parameters, analyzer->parameter_count);
    print_parameters("Keys of every metric", common, common_count);
}

/* ---- as JSON ---- */

static cJSON *to_json(const struct nauha_analyzer *analyzer) {
    static const char *const types[] = {"integer", "real", "range", "text", "list"};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", analyzer->name);
    cJSON_AddStringToObject(object, "summary", analyzer->summary);
    cJSON_AddStringToObject(object, "formula", analyzer->formula ? analyzer->formula : "");
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

static void print_json(const struct nauha_analyzer *one) {
    size_t count;
    const struct nauha_analyzer *const *analyzers = nauha_builtin_analyzers(&count);
    cJSON *array = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        if (!one || one == analyzers[i])
            cJSON_AddItemToArray(array, to_json(analyzers[i]));
    }
    char *text = cJSON_Print(array);
    printf("%s\n", text ? text : "[]");
    cJSON_free(text);
    cJSON_Delete(array);
}

/* ---- the command ---- */

static int unknown(const struct command *command, const char *typed) {
    char names[512] = "";
    for (size_t i = 0; analyzer_name(i); i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", analyzer_name(i));
    }
    const char *nearest = nauha__nearest(typed, analyzer_name);
    return nauha__usage(command, "there is no metric \"%s\"%s%s%s; metrics: %s", typed,
                        nearest ? ", did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "", names);
}

int nauha__run_analyzers(const struct invocation *invocation) {
    const struct nauha_analyzer *one = NULL;
    if (invocation->argument_count > 0) {
        one = find(invocation->arguments[0]);
        if (!one)
            return unknown(invocation->command, invocation->arguments[0]);
    }
    if (nauha__has(invocation, "json"))
        print_json(one);
    else if (one)
        print_one(one);
    else
        print_list();
    return EXIT_FINE;
}
