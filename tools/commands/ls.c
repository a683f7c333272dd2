/* SPDX-License-Identifier: MIT */
/* nauha ls: lists the messages of a trace, one on each line. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/commands/json.h"
#include "tools/commands/opened.h"
#include "tools/cli/table.h"

static const struct nauha_option ls_table[] = {
    {"json", 0, NULL, NULL, "print one JSON object per line"},
    {"limit", 0, "N", NULL, "stop after N messages"},
};
OPTION_GROUP(ls_options, "Output", ls_table);

struct listing {
    const struct opened *opened;
    struct table *table; /* of text */
    bool json;
    uint64_t left;
};

/* What is printed for an empty module name: the root module, or no module. */
static const char *module_text(const struct nauha_message_info *info) {
    return info->module == NAUHA_NONE ? "-" : info->module_name[0] ? info->module_name : "(root)";
}

static const struct column columns[] = {
    {"seq", TABLE_RIGHT, 0},
    {"step", TABLE_RIGHT, 0},
    {"epoch", TABLE_RIGHT, 3},
    {"kind", TABLE_CUT, 0},
    {"tag", TABLE_CUT, 4},
    {"module", TABLE_CUT, 0},
    {"slot", TABLE_CUT, 2},
    {"call", TABLE_RIGHT, 5},
    {"dtype", 0, 1},
    {"shape", 0, 0},
    {"bytes", TABLE_RIGHT, 1},
    {"kept", TABLE_OPTIONAL, 6},
    {"hash", TABLE_OPTIONAL, 7},
    {"rank", TABLE_RIGHT | TABLE_OPTIONAL, 8},
    {"shard of", TABLE_OPTIONAL, 9},
};
/* By enum nauha_kept. */
static const char *const kept_words[NAUHA_KEPT_COUNT] = {"", "hash", "fingerprint"};
#define COLUMNS (sizeof columns / sizeof *columns)

static void add_line(const struct listing *listing, struct nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    struct table *table = listing->table;
    char shape[512], hash[40], shard[1200];
    nauha__table_cell(table, COLOUR_PLAIN, "%" PRIu64, info->seq);
    nauha__table_cell(table, COLOUR_PLAIN, "%" PRIu64, info->global_step);
    nauha__table_cell(table, COLOUR_DIM, "%u", info->epoch);
    nauha__table_cell(table, COLOUR_NAME, "%s", info->kind_name);
    nauha__table_cell(table, COLOUR_DIM, "%s", info->tag_name);
    nauha__table_cell(table, COLOUR_BOLD, "%s", module_text(info));
    nauha__table_cell(table, COLOUR_PLAIN, "%s", info->slot_name[0] ? info->slot_name : "-");
    nauha__table_cell(table, COLOUR_DIM, "%u", info->call);
    nauha__table_cell(table, COLOUR_DIM, "%s",
                      info->has_tensor ? nauha_dtype_name(info->dtype) : "-");
    nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__shape_text(info, shape, sizeof shape));
    nauha__table_cell(table, COLOUR_PLAIN, "%" PRIu64, info->bytes);
    nauha__table_cell(table, COLOUR_DIM, "%s", kept_words[info->kept]);
    nauha__table_cell(table, COLOUR_DIM, "%s",
                      info->kept != NAUHA_KEPT_ELEMENTS ? nauha__hash_text(message, hash) : "");
    if (listing->opened->trace_count > 1)
        nauha__table_cell(table, COLOUR_DIM, "%u", info->rank);
    else
        nauha__table_cell(table, COLOUR_DIM, "%s", "");
    nauha__table_cell(table, COLOUR_DIM, "%s",
                      nauha__shard_text(listing->opened->names, info, shard, sizeof shard));
}

static void add_numbers(cJSON *object, const char *name, const int64_t *numbers, uint32_t count) {
    cJSON *list = cJSON_AddArrayToObject(object, name);
    for (uint32_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, nauha__json_signed(numbers[i]));
}

static void add_placement(cJSON *object, const struct nauha_names *names, uint32_t number) {
    struct nauha_placement placement;
    if (!nauha_names_placement(names, number, &placement))
        return;
    cJSON *shard = cJSON_AddObjectToObject(object, "placement");
    add_numbers(shard, "shape", placement.shape, placement.ndim);
    add_numbers(shard, "offset", placement.offset, placement.flat ? 1 : placement.ndim);
    cJSON_AddBoolToObject(shard, "flat", placement.flat);
    nauha__json_add_whole(shard, "summand", placement.summand);
    nauha__json_add_whole(shard, "summands", placement.summands);
}

static void print_json(const struct nauha_names *names, struct nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    char hash[40];
    cJSON *object = cJSON_CreateObject();
    nauha__json_add_whole(object, "seq", info->seq);
    nauha__json_add_whole(object, "time_ns", info->time_ns);
    nauha__json_add_whole(object, "step", info->global_step);
    nauha__json_add_whole(object, "train_step", info->train_step);
    nauha__json_add_whole(object, "epoch", info->epoch);
    nauha__json_add_whole(object, "rank", info->rank);
    cJSON_AddStringToObject(object, "kind", info->kind_name);
    cJSON_AddStringToObject(object, "tag", info->tag_name);
    if (info->module == NAUHA_NONE)
        cJSON_AddNullToObject(object, "module");
    else
        cJSON_AddStringToObject(object, "module", info->module_name);
    cJSON_AddStringToObject(object, "class", info->module_class);
    cJSON_AddStringToObject(object, "slot", info->slot_name);
    nauha__json_add_whole(object, "call", info->call);
    if (info->has_tensor) {
        cJSON_AddStringToObject(object, "dtype", nauha_dtype_name(info->dtype));
        add_numbers(object, "shape", info->shape, info->ndim);
        add_placement(object, names, info->placement);
    }
    nauha__json_add_whole(object, "bytes", info->bytes);
    if (info->kept != NAUHA_KEPT_ELEMENTS)
        cJSON_AddStringToObject(object, "kept", kept_words[info->kept]);
    if (info->kept != NAUHA_KEPT_ELEMENTS)
        cJSON_AddStringToObject(object, "hash", nauha__hash_text(message, hash));
    char *text = cJSON_PrintUnformatted(object);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(object);
}

static bool list_message(void *context, struct nauha_message *message) {
    struct listing *listing = context;
    if (listing->left-- == 0)
        return false;
    if (listing->json)
        print_json(listing->opened->names, message);
    else
        add_line(listing, message);
    return !ferror(stdout);
}

static int run_ls(const struct invocation *invocation) {
    int code = EXIT_FINE;
    struct listing listing = {.json = nauha__has(invocation, "json")};
    listing.left = nauha__get_number(invocation, "limit", UINT64_MAX, &code);
    if (code != EXIT_FINE)
        return code;
    struct opened opened;
    listing.opened = &opened;
    code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE) {
        if (!listing.json)
            listing.table = nauha__table_new(stdout, columns, COLUMNS, 0);
        code = nauha__walk(&opened, list_message, &listing);
        if (!listing.json)
            nauha__table_end(listing.table);
    }
    nauha__opened_fini(&opened);
    return code;
}

const struct command nauha__command_ls = {
    .name = "ls",
    .summary = "list the messages of a trace",
    .arguments = "TRACE...",
    .description = "Lists messages, one per line, in the order of replay. Updates, which a trace "
                   "stores as differences, are included. The traces of the ranks of one training "
                   "are listed together; shards that they hold of a tensor are then one message.",
    .examples = "nauha ls run.h5 --steps 3 --modules 'features.*'\n"
                "nauha ls run.rank*.h5 --kinds weights",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__ls_options, &nauha__select_options},
    .run = run_ls,
};
