/* SPDX-License-Identifier: MIT */
/* nauha info: what is in a trace. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/commands/json.h"
#include "tools/commands/opened.h"
#include "tools/cli/table.h"

static const struct nauha_option info_table[] = {
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(info_options, "Output", info_table);

/* ---- as text ---- */

static void line(struct table *table, const char *label, enum colour colour, const char *format,
                 ...) NAUHA_PRINTF(4, 5);

static void line(struct table *table, const char *label, enum colour colour, const char *format,
                 ...) {
    char text[9000];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    nauha__table_cell(table, COLOUR_DIM, "%s", label);
    nauha__table_cell(table, colour, "%s", text);
}

static void add_totals(struct table *table, const struct nauha_trace_info *info, uint32_t modules) {
    char created[64], stored[128], a[32], b[32];
    if (*nauha__created_text(info, created))
        line(table, "recorded", COLOUR_PLAIN, "%s", created);
    line(table, "state", info->complete ? COLOUR_GOOD : COLOUR_BAD, "%s", nauha__state_text(info));
    if (info->failure[0])
        line(table, "failure", COLOUR_BAD, "%s", info->failure);
    if (info->world_size > 1)
        line(table, "rank", COLOUR_PLAIN, "%u of %u", info->rank, info->world_size);
    line(table, "steps", COLOUR_PLAIN, "%" PRIu64 " in %u %s%s", info->steps, info->epochs,
         info->epochs == 1 ? "epoch" : "epochs", info->first_step ? ", not from step 0" : "");
    line(table, "modules", COLOUR_PLAIN, "%u", modules);
    line(table, "messages", COLOUR_PLAIN, "%s", nauha__count_text(info->messages, a));
    line(table, "published", COLOUR_PLAIN, "%s", nauha__size_text(info->bytes_published, a));
    line(table, "stored", COLOUR_PLAIN, "%s", nauha__stored_text(info, stored));
    line(table, "duration", COLOUR_PLAIN, "%s",
         nauha__duration_text((double)info->duration_ns * 1e-9, a));
    if (info->messages_lost)
        line(table, "lost", COLOUR_BAD, "%s messages, %s",
             nauha__count_text(info->messages_lost, a), nauha__size_text(info->bytes_lost, b));
}

static const char *const codings[NAUHA_CODING_COUNT] = {
    [NAUHA_CODING_RAW] = "raw",
    [NAUHA_CODING_COMPRESSED] = "compressed",
    [NAUHA_CODING_SPARSE] = "sparse",
    [NAUHA_CODING_TEMPORAL] = "temporal",
};

/* How the elements were written: "120 compressed (9 MB), 30 raw (7.9 MB)". */
static void add_chunks(struct table *table, const struct nauha_trace *trace) {
    struct nauha_trace_chunks chunks;
    char text[256] = "none", count[32], size[32];
    size_t used = 0;
    nauha_trace_get_chunks(trace, &chunks);
    for (size_t i = 0; i < NAUHA_CODING_COUNT; i++)
        if (chunks.chunks[i] > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %s (%s)",
                                     used ? ", " : "", nauha__count_text(chunks.chunks[i], count),
                                     codings[i], nauha__size_text(chunks.bytes[i], size));
    line(table, "chunks", COLOUR_PLAIN, "%s", text);
    if (chunks.direct_known && chunks.direct_bytes > 0)
        line(table, "written", COLOUR_PLAIN, "%s past the page cache, the rest through it",
             nauha__size_text(chunks.direct_bytes, size));
    else if (chunks.direct_known)
        line(table, "written", COLOUR_PLAIN, "through the page cache");
}

static void print_facts(const struct opened *opened, const struct nauha_trace_info *info) {
    static const struct column columns[] = {{.head = NULL}, {.flags = TABLE_WRAP}};
    const char *key, *value;
    struct table *table = nauha__table_new(stdout, columns, 2, 0);
    line(table, "trace", COLOUR_BOLD, "%s", info->path);
    for (size_t i = 0; nauha_trace_fact(opened->trace, i, &key, &value); i++)
        line(table, key, COLOUR_PLAIN, "%s", value);
    add_totals(table, info, nauha_names_modules(opened->names));
    add_chunks(table, opened->trace);
    nauha__table_end(table);
}

/* How the tensors of a kind are kept, if not all are kept in full. */
static const char *kept_text(const struct nauha_trace *trace, uint32_t kind, char text[96]) {
    static const char *const words[NAUHA_KEPT_COUNT] = {
        [NAUHA_KEPT_ELEMENTS] = "in full",
        [NAUHA_KEPT_HASH] = "hashes",
        [NAUHA_KEPT_FINGERPRINT] = "fingerprints",
    };
    uint64_t kept[NAUHA_KEPT_COUNT], all = 0;
    char count[32];
    size_t used = 0;
    text[0] = '\0';
    nauha_trace_kind_kept(trace, kind, kept);
    for (size_t i = 0; i < NAUHA_KEPT_COUNT; i++)
        all += kept[i];
    if (kept[NAUHA_KEPT_ELEMENTS] == all)
        return text;
    for (size_t i = 0; i < NAUHA_KEPT_COUNT; i++) {
        if (kept[i] == all)
            snprintf(text, 96, "%s", words[i]);
        else if (kept[i] > 0)
            used += (size_t)snprintf(text + used, 96 - used, "%s%s %s", used ? ", " : "",
                                     nauha__count_text(kept[i], count), words[i]);
    }
    return text;
}

static void print_kinds(const struct opened *opened) {
    static const struct column columns[] = {{"kind", TABLE_CUT, 0},
                                            {"messages", TABLE_RIGHT, 0},
                                            {"bytes", TABLE_RIGHT, 0},
                                            {"shards", TABLE_RIGHT | TABLE_OPTIONAL, 0},
                                            {"kept", TABLE_OPTIONAL, 0}};
    char a[32], b[32], kept[96];
    struct table *table = nauha__table_new(stdout, columns, 5, 0);
    for (uint32_t kind = 0; kind < nauha_names_kinds(opened->names); kind++) {
        uint64_t messages, bytes;
        nauha_trace_kind_totals(opened->trace, kind, &messages, &bytes);
        if (!messages)
            continue;
        nauha__table_cell(table, COLOUR_NAME, "%s", nauha_names_kind(opened->names, kind));
        nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__count_text(messages, a));
        nauha__table_cell(table, COLOUR_PLAIN, "%s", bytes ? nauha__size_text(bytes, b) : "-");
        const uint64_t shards = nauha_trace_kind_shards(opened->trace, kind);
        nauha__table_cell(table, COLOUR_PLAIN, "%s", shards ? nauha__count_text(shards, a) : "");
        nauha__table_cell(table, COLOUR_PLAIN, "%s", kept_text(opened->trace, kind, kept));
    }
    printf("\n");
    nauha__table_end(table);
}

static void print_losses(const struct opened *opened) {
    static const struct column columns[] = {{"lost", TABLE_CUT, 0},
                                            {"messages", TABLE_RIGHT, 0},
                                            {"bytes", TABLE_RIGHT, 0},
                                            {"why", TABLE_WRAP, 0}};
    uint32_t kind;
    const char *reason;
    uint64_t messages, bytes;
    char a[32], b[32];
    if (!nauha_trace_loss(opened->trace, 0, &kind, &reason, &messages, &bytes))
        return;
    struct table *table = nauha__table_new(stdout, columns, 4, 0);
    for (size_t i = 0; nauha_trace_loss(opened->trace, i, &kind, &reason, &messages, &bytes); i++) {
        nauha__table_cell(table, COLOUR_BAD, "%s", nauha_names_kind(opened->names, kind));
        nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__count_text(messages, a));
        nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__size_text(bytes, b));
        nauha__table_cell(table, COLOUR_PLAIN, "%s", reason);
    }
    printf("\n");
    nauha__table_end(table);
}

static void print_dumps(const struct nauha_trace *trace, const struct nauha_trace_info *info) {
    static const struct column columns[] = {
        {"in full", 0, 0}, {"asked for in", 0, 0}, {"because", TABLE_WRAP, 0}};
    struct nauha_trace_dump dump;
    char text[64];
    if (!nauha_trace_get_dump(trace, 0, &dump))
        return;
    struct table *table = nauha__table_new(stdout, columns, 3, 0);
    for (size_t i = 0; nauha_trace_get_dump(trace, i, &dump); i++) {
        nauha__table_cell(table, COLOUR_BOLD, "%s", nauha__dump_text(info, &dump, text));
        nauha__table_cell(table, COLOUR_PLAIN, "step %" PRIu64, dump.step);
        nauha__table_cell(table, COLOUR_PLAIN, "%s", dump.reason);
    }
    printf("\n");
    nauha__table_end(table);
}

static void print_text(const struct opened *opened, const struct nauha_trace_info *info) {
    print_facts(opened, info);
    print_kinds(opened);
    print_losses(opened);
    print_dumps(opened->trace, info);
}

/* ---- as JSON ---- */

static cJSON *totals_json(uint64_t messages, uint64_t bytes) {
    cJSON *object = cJSON_CreateObject();
    nauha__json_add_whole(object, "messages", messages);
    nauha__json_add_whole(object, "bytes", bytes);
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

static cJSON *chunks_json(const struct nauha_trace *trace) {
    struct nauha_trace_chunks chunks;
    cJSON *object = cJSON_CreateObject();
    nauha_trace_get_chunks(trace, &chunks);
    for (size_t i = 0; i < NAUHA_CODING_COUNT; i++) {
        cJSON *coding = cJSON_AddObjectToObject(object, codings[i]);
        nauha__json_add_whole(coding, "chunks", chunks.chunks[i]);
        nauha__json_add_whole(coding, "bytes", chunks.bytes[i]);
    }
    return object;
}

static cJSON *dumps_json(const struct nauha_trace *trace) {
    cJSON *dumps = cJSON_CreateArray();
    struct nauha_trace_dump dump;
    for (size_t i = 0; nauha_trace_get_dump(trace, i, &dump); i++) {
        cJSON *object = cJSON_CreateObject();
        nauha__json_add_whole(object, "step", dump.step);
        nauha__json_add_whole(object, "first_step", dump.first_step);
        nauha__json_add_whole(object, "last_step", dump.last_step);
        cJSON_AddStringToObject(object, "reason", dump.reason);
        cJSON_AddItemToArray(dumps, object);
    }
    return dumps;
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
    nauha__json_add_signed(root, "created_ns", info->created_ns);
    nauha__json_add_whole(root, "duration_ns", info->duration_ns);
    nauha__json_add_whole(root, "rank", info->rank);
    nauha__json_add_whole(root, "world_size", info->world_size);
    nauha__json_add_whole(root, "steps", info->steps);
    nauha__json_add_whole(root, "first_step", info->first_step);
    nauha__json_add_whole(root, "epochs", info->epochs);
    nauha__json_add_whole(root, "messages", info->messages);
    nauha__json_add_whole(root, "bytes_published", info->bytes_published);
    nauha__json_add_whole(root, "bytes_stored", info->bytes_stored);
    struct nauha_trace_chunks chunks;
    nauha_trace_get_chunks(opened->trace, &chunks);
    if (chunks.direct_known)
        nauha__json_add_whole(root, "bytes_direct", chunks.direct_bytes);
    cJSON_AddItemToObject(root, "chunks", chunks_json(opened->trace));
    nauha__json_add_whole(root, "lost", info->messages_lost);
    nauha__json_add_whole(root, "bytes_lost", info->bytes_lost);
    cJSON_AddItemToObject(root, "losses", losses_json(opened));
    struct nauha_trace_dump dump;
    if (nauha_trace_get_dump(opened->trace, 0, &dump))
        cJSON_AddItemToObject(root, "dumps", dumps_json(opened->trace));
    cJSON *facts = cJSON_AddObjectToObject(root, "facts");
    const char *key, *value;
    for (size_t i = 0; nauha_trace_fact(opened->trace, i, &key, &value); i++)
        cJSON_AddStringToObject(facts, key, value);
    cJSON *kinds = cJSON_AddObjectToObject(root, "kinds");
    for (uint32_t kind = 0; kind < nauha_names_kinds(opened->names); kind++) {
        uint64_t messages, bytes;
        nauha_trace_kind_totals(opened->trace, kind, &messages, &bytes);
        if (!messages)
            continue;
        cJSON *totals = totals_json(messages, bytes);
        const uint64_t shards = nauha_trace_kind_shards(opened->trace, kind);
        if (shards)
            nauha__json_add_whole(totals, "shards", shards);
        uint64_t kept[NAUHA_KEPT_COUNT];
        nauha_trace_kind_kept(opened->trace, kind, kept);
        if (kept[NAUHA_KEPT_HASH])
            nauha__json_add_whole(totals, "hashes", kept[NAUHA_KEPT_HASH]);
        if (kept[NAUHA_KEPT_FINGERPRINT])
            nauha__json_add_whole(totals, "fingerprints", kept[NAUHA_KEPT_FINGERPRINT]);
        cJSON_AddItemToObject(kinds, nauha_names_kind(opened->names, kind), totals);
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

static int run_info(const struct invocation *invocation) {
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

const struct command nauha__command_info = {
    .name = "info",
    .summary = "describe what a trace contains",
    .arguments = "TRACE",
    .description = "Prints what was recorded: steps, epochs, kinds, messages, bytes published and "
                   "stored, messages lost, and whether the recording is complete or was cut off.",
    .examples = "nauha info run.h5\nnauha info --json run.h5",
    .min_arguments = 1,
    .max_arguments = 1,
    .groups = {&nauha__info_options},
    .run = run_info,
};
