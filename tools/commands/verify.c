/* SPDX-License-Identifier: MIT */
/* nauha verify: checks every checksum and bound of a trace. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/commands/json.h"
#include "tools/commands/opened.h"
#include "tools/cli/terminal.h"

static const struct nauha_option verify_table[] = {
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(verify_options, "Output", verify_table);

struct verifying {
    cJSON *list; /* NULL: findings are printed */
    struct progress progress;
};

static void print_finding(void *context, const char *text) {
    struct verifying *verifying = context;
    if (verifying->list) {
        cJSON_AddItemToArray(verifying->list, cJSON_CreateString(text));
    } else {
        nauha__progress_clear(&verifying->progress);
        printf("%s%s%s\n", nauha__colour(stdout, COLOUR_BAD), text,
               nauha__colour(stdout, COLOUR_PLAIN));
    }
}

static void show_progress(void *context, uint64_t done, uint64_t total) {
    struct verifying *verifying = context;
    nauha__progress_show(&verifying->progress, done, total, NULL);
}

static int run_verify(const struct invocation *invocation) {
    struct opened opened;
    int code = nauha__opened_init(&opened, invocation);
    cJSON *root = code == EXIT_FINE && nauha__has(invocation, "json") ? cJSON_CreateObject() : NULL;
    if (code == EXIT_FINE) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        uint64_t findings = 0;
        struct verifying verifying = {.list =
                                          root ? cJSON_AddArrayToObject(root, "findings") : NULL};
        nauha__progress_begin(&verifying.progress, "verifying", "chunks", invocation->quiet);
        const enum nauha_status status = nauha_trace_verify(
            opened.trace, print_finding, show_progress, &verifying, &findings, &err);
        nauha__progress_end(&verifying.progress);
        if (status != NAUHA_OK) {
            nauha__fail(&err);
            code = EXIT_FAILED;
        } else {
            code = findings ? EXIT_FINDING : EXIT_FINE;
            if (!root && !findings && !invocation->quiet)
                printf("%s: %snothing is damaged%s\n", invocation->arguments[0],
                       nauha__colour(stdout, COLOUR_GOOD), nauha__colour(stdout, COLOUR_PLAIN));
        }
        if (root) {
            nauha__json_add_whole(root, "count", findings);
            char *text = cJSON_Print(root);
            printf("%s\n", text ? text : "{}");
            cJSON_free(text);
        }
    }
    cJSON_Delete(root);
    nauha__opened_fini(&opened);
    return code;
}

const struct command nauha__command_verify = {
    .name = "verify",
    .summary = "check a trace for damage",
    .arguments = "TRACE",
    .description =
        "Reads a whole trace, checks every checksum and bound, and lists what is damaged and "
        "which messages are lost. The exit code is 1 if anything is damaged.",
    .examples = "nauha verify run.h5",
    .min_arguments = 1,
    .max_arguments = 1,
    .groups = {&nauha__verify_options},
    .run = run_verify,
};
