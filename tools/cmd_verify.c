/* SPDX-License-Identifier: MIT */
/* nauha verify: every checksum and bound of a trace. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/opened.h"

static const struct nauha_option verify_table[] = {
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(verify_options, "Output", verify_table);

static void print_finding(void *context, const char *text) {
    cJSON *list = context;
    if (list)
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    else
        printf("%s\n", text);
}

int nauha__run_verify(const struct invocation *invocation) {
    struct opened opened;
    int code = nauha__opened_init(&opened, invocation);
    cJSON *root = code == EXIT_FINE && nauha__has(invocation, "json") ? cJSON_CreateObject() : NULL;
    if (code == EXIT_FINE) {
        struct nauha_error err = NAUHA_ERROR_INIT;
        uint64_t findings = 0;
        cJSON *list = root ? cJSON_AddArrayToObject(root, "findings") : NULL;
        if (nauha_trace_verify(opened.trace, print_finding, list, &findings, &err) != NAUHA_OK) {
            nauha__fail(&err);
            code = EXIT_FAILED;
        } else {
            code = findings ? EXIT_FINDING : EXIT_FINE;
            if (!root && !findings && !invocation->quiet)
                printf("%s: nothing is damaged\n", invocation->arguments[0]);
        }
        if (root) {
            cJSON_AddNumberToObject(root, "count", (double)findings);
            char *text = cJSON_Print(root);
            printf("%s\n", text ? text : "{}");
            cJSON_free(text);
        }
    }
    cJSON_Delete(root);
    nauha__opened_fini(&opened);
    return code;
}
