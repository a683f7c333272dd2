/* SPDX-License-Identifier: MIT */
/* nauha info: what is in a trace. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tools/opened.h"
#include "tools/terminal.h"

static const struct nauha_option info_table[] = {
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(info_options, "Output", info_table);

static double ratio_of(const struct nauha_trace_info *info) {
    return info->bytes_published ? (double)info->bytes_stored / (double)info->bytes_published : 0;
}

/* ---- as text ---- */

static void line(const char *label, const char *text) {
    printf("%s%-10s%s %s\n", nauha__colour(stdout, COLOUR_DIM), label,
           nauha__colour(stdout, COLOUR_PLAIN), text);
}

static void print_totals(const struct nauha_trace_info *info, uint32_t modules) {
    char text[256], a[32], b[32];
    time_t created = (time_t)(info->created_ns / 1000000000);
    struct tm when;
    if (gmtime_r(&created, &when) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &when))
        line("recorded", text);
    snprintf(text, sizeof text, "%s%s%s",
             nauha__colour(stdout, info->complete ? COLOUR_GOOD : COLOUR_BAD),
             nauha__state_text(info), nauha__colour(stdout, COLOUR_PLAIN));
    line("state", text);
    if (info->failure[0])
        line("failure", info->failure);
    if (info->world_size > 1) {
        snprintf(text, sizeof text, "%u of %u", info->rank, info->world_size);
        line("rank", text);
    }
    snprintf(text, sizeof text, "%" PRIu64 " in %u %s%s", info->steps, info->epochs,
             info->epochs == 1 ? "epoch" : "epochs", info->first_step ? ", not from step 0" : "");
    line("steps", text);
    snprintf(text, sizeof text, "%u", modules);
    line("modules", text);
    line("messages", nauha__count_text(info->messages, text));
    snprintf(text, sizeof text, "%s", nauha__size_text(info->bytes_published, a));
    line("published", text);
    snprintf(text, sizeof text, "%s with %s, %.2f of what was published",
             nauha__size_text(info->bytes_stored, a), info->codec, ratio_of(info));
    line("stored", text);
    line("duration", nauha__duration_text((double)info->duration_ns * 1e-9, a));
    if (info->messages_lost) {
        snprintf(text, sizeof text, "%s%s messages, %s%s", nauha__colour(stdout, COLOUR_BAD),
                 nauha__count_text(info->messages_lost, a), nauha__size_text(info->bytes_lost, b),
                 nauha__colour(stdout, COLOUR_PLAIN));
        line("lost", text);
    }
}

static void print_kinds(const struct opened *opened) {
    char a[32], b[32];
    printf("\n%s%-18s %12s %12s%s\n", nauha__colour(stdout, COLOUR_BOLD), "kind", "messages",
           "bytes", nauha__colour(stdout, COLOUR_PLAIN));
    for (uint32_t kind = 0; kind < nauha_names_kinds(opened->names); kind++) {
        uint64_t messages, bytes;
        nauha_trace_kind_totals(opened->trace, kind, &messages, &bytes);
        if (messages)
            printf("%-18s %12s %12s\n", nauha_names_kind(opened->names, kind),
                   nauha__count_text(messages, a), bytes ? nauha__size_text(bytes, b) : "-");
    }
}

static void print_losses(const struct opened *opened) {
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    char a[32], b[32];
    for (size_t i = 0; nauha_trace_loss(opened->trace, i, &kind, &reason, &messages, &bytes); i++)
        printf("%slost%s %s: %s messages, %s (%s)\n", nauha__colour(stdout, COLOUR_BAD),
               nauha__colour(stdout, COLOUR_PLAIN), nauha_names_kind(opened->names, kind),
               nauha__count_text(messages, a), nauha__size_text(bytes, b), reason);
}

static void print_text(const struct opened *opened, const struct nauha_trace_info *info) {
    const char *key, *value;
    line("trace", info->path);
    for (size_t i = 0; nauha_trace_fact(opened->trace, i, &key, &value); i++)
        line(key, value);
    print_totals(info, nauha_names_modules(opened->names));
    print_kinds(opened);
    print_losses(opened);
}

/* ---- as JSON ---- */

static cJSON *totals_json(uint64_t messages, uint64_t bytes) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "messages", (double)messages);
    cJSON_AddNumberToObject(object, "bytes", (double)bytes);
    return object;
}

static cJSON *losses_json(const struct opened *opened) {
    cJSON *losses = cJSON_CreateArray();
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    for (size_t i = 0; nauha_trace_loss(opened->trace, i, &kind, &reason, &messages, &bytes); i++) {
        cJSON *loss = totals_json(messages, bytes);
        cJSON_AddStringToObject(loss, "kind", nauha_names_kind(opened->names, kind));
        cJSON_AddStringToObject(loss, "reason", reason);
        cJSON_AddItemToArray(losses, loss);
    }
    return losses;
}

static void print_json(const struct opened *opened, const struct nauha_trace_info *info) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "path", info->path);
    char version[32];
    snprintf(version, sizeof version, "%u.%u", info->format_major, info->format_minor);
    cJSON_AddStringToObject(root, "format", version);
    cJSON_AddStringToObject(root, "codec", info->codec);
    cJSON_AddBoolToObject(root, "complete", info->complete);
    cJSON_AddBoolToObject(root, "closed", info->closed);
    cJSON_AddStringToObject(root, "failure", info->failure);
    cJSON_AddNumberToObject(root, "created_ns", (double)info->created_ns);
    cJSON_AddNumberToObject(root, "duration_ns", (double)info->duration_ns);
    cJSON_AddNumberToObject(root, "rank", info->rank);
    cJSON_AddNumberToObject(root, "world_size", info->world_size);
    cJSON_AddNumberToObject(root, "steps", (double)info->steps);
    cJSON_AddNumberToObject(root, "first_step", (double)info->first_step);
    cJSON_AddNumberToObject(root, "epochs", info->epochs);
    cJSON_AddNumberToObject(root, "messages", (double)info->messages);
    cJSON_AddNumberToObject(root, "bytes_published", (double)info->bytes_published);
    cJSON_AddNumberToObject(root, "bytes_stored", (double)info->bytes_stored);
    cJSON_AddNumberToObject(root, "lost", (double)info->messages_lost);
    cJSON_AddNumberToObject(root, "bytes_lost", (double)info->bytes_lost);
    cJSON_AddItemToObject(root, "losses", losses_json(opened));
    cJSON *facts = cJSON_AddObjectToObject(root, "facts");
    const char *key, *value;
    for (size_t i = 0; nauha_trace_fact(opened->trace, i, &key, &value); i++)
        cJSON_AddStringToObject(facts, key, value);
    cJSON *kinds = cJSON_AddObjectToObject(root, "kinds");
    for (uint32_t kind = 0; kind < nauha_names_kinds(opened->names); kind++) {
        uint64_t messages, bytes;
        nauha_trace_kind_totals(opened->trace, kind, &messages, &bytes);
        if (messages)
            cJSON_AddItemToObject(kinds, nauha_names_kind(opened->names, kind),
                                  totals_json(messages, bytes));
    }
    cJSON *modules = cJSON_AddArrayToObject(root, "modules");
    for (uint32_t module = 0; module < nauha_names_modules(opened->names); module++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", nauha_names_module(opened->names, module));
        cJSON_AddStringToObject(entry, "class", nauha_names_module_class(opened->names, module));
        cJSON_AddItemToArray(modules, entry);
    }
    char *text = cJSON_Print(root);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(root);
}

int nauha__run_info(const struct invocation *invocation) {
    struct opened opened;
    int code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE) {
        struct nauha_trace_info info;
        nauha_trace_get_info(opened.trace, &info);
        if (nauha__has(invocation, "json"))
            print_json(&opened, &info);
        else
            print_text(&opened, &info);
    }
    nauha__opened_fini(&opened);
    return code;
}
