/* SPDX-License-Identifier: MIT */
/* nauha ls: the messages of a trace, one a line. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/opened.h"

static const struct nauha_option ls_table[] = {
    {"json", 0, NULL, NULL, "print one JSON object a line"},
    {"limit", 0, "N", NULL, "end after N messages"},
};
OPTION_GROUP(ls_options, "Output", ls_table);

struct listing {
    bool json;
    uint64_t left;
};

/* What stands for an empty module name: the root, or none at all. */
static const char *module_text(const struct nauha_message_info *info) {
    return info->module == NAUHA_NONE ? "-" : info->module_name[0] ? info->module_name : "(root)";
}

static void print_line(struct nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    char shape[512], hash[40];
    printf("%6" PRIu64 " %6" PRIu64 " %5u %-16s %-8s %-20s %-8s %4u %-5s %-16s %" PRIu64, info->seq,
           info->global_step, info->epoch, info->kind_name, info->tag_name, module_text(info),
           info->slot_name[0] ? info->slot_name : "-", info->call,
           info->has_tensor ? nauha_dtype_name(info->dtype) : "-",
           nauha__shape_text(info, shape, sizeof shape), info->bytes);
    if (info->hash_only)
        printf("  %s", nauha__hash_text(message, hash));
    printf("\n");
}

static void print_json(struct nauha_message *message) {
    const struct nauha_message_info *info = nauha_message_info(message);
    char hash[40];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "seq", (double)info->seq);
    cJSON_AddNumberToObject(object, "time_ns", (double)info->time_ns);
    cJSON_AddNumberToObject(object, "step", (double)info->global_step);
    cJSON_AddNumberToObject(object, "train_step", info->train_step);
    cJSON_AddNumberToObject(object, "epoch", info->epoch);
    cJSON_AddNumberToObject(object, "rank", info->rank);
    cJSON_AddStringToObject(object, "kind", info->kind_name);
    cJSON_AddStringToObject(object, "tag", info->tag_name);
    if (info->module == NAUHA_NONE)
        cJSON_AddNullToObject(object, "module");
    else
        cJSON_AddStringToObject(object, "module", info->module_name);
    cJSON_AddStringToObject(object, "class", info->module_class);
    cJSON_AddStringToObject(object, "slot", info->slot_name);
    cJSON_AddNumberToObject(object, "call", info->call);
    if (info->has_tensor) {
        cJSON_AddStringToObject(object, "dtype", nauha_dtype_name(info->dtype));
        cJSON *shape = cJSON_AddArrayToObject(object, "shape");
        for (uint32_t i = 0; i < info->ndim; i++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)info->shape[i]));
    }
    cJSON_AddNumberToObject(object, "bytes", (double)info->bytes);
    if (info->hash_only)
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
        print_json(message);
    else
        print_line(message);
    return !ferror(stdout);
}

int nauha__run_ls(const struct invocation *invocation) {
    int code = EXIT_FINE;
    struct listing listing = {.json = nauha__has(invocation, "json")};
    listing.left = nauha__get_number(invocation, "limit", UINT64_MAX, &code);
    if (code != EXIT_FINE)
        return code;
    struct opened opened;
    code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE) {
        if (!listing.json)
            printf("%6s %6s %5s %-16s %-8s %-20s %-8s %4s %-5s %-16s %s\n", "seq", "step", "epoch",
                   "kind", "tag", "module", "slot", "call", "dtype", "shape", "bytes");
        code = nauha__walk(&opened, list_message, &listing);
    }
    nauha__opened_fini(&opened);
    return code;
}
