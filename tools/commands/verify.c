/* SPDX-License-Identifier: MIT */
/* nauha verify: checks every checksum and bound of a trace, and runs its steps again. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/commands/json.h"
#include "tools/commands/metrics.h"
#include "tools/commands/opened.h"
#include "tools/commands/python_model.h"
#include "tools/cli/terminal.h"

static const struct nauha_option verify_table[] = {
    {"model", 0, "FILE.py:NAME", NULL,
     "run the recorded steps again with this model, and compare what comes of it; NAME is a "
     "module, or a function that returns one or several"},
    {"tolerance", 0, "X", "0.001",
     "with --model: the largest difference of a tensor's elements, relative to its largest "
     "element, that counts as close"},
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(verify_options, "Verify", verify_table);

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

static int check_usage(const struct invocation *invocation) {
    if (nauha__has(invocation, "model") && !nauha__has_python_model(invocation))
        return nauha__usage(invocation->command, "\"%s\" is not a model: expected FILE.py:NAME",
                            nauha__get(invocation, "model", ""));
    if (nauha__has(invocation, "model"))
        return EXIT_FINE;
    if (nauha__has(invocation, "tolerance") || nauha__selects(invocation))
        return nauha__usage(invocation->command,
                            "--tolerance and the selection of messages need --model");
    return EXIT_FINE;
}

/* Looks for damage. */
static int check_damage(const struct invocation *invocation, const struct opened *opened,
                        cJSON *root) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    uint64_t findings = 0;
    struct verifying verifying = {.list = root ? cJSON_AddArrayToObject(root, "findings") : NULL};
    nauha__progress_begin(&verifying.progress, "verifying", "chunks", invocation->quiet);
    const enum nauha_status status = nauha_trace_verify(opened->trace, print_finding, show_progress,
                                                        &verifying, &findings, &err);
    nauha__progress_end(&verifying.progress);
    if (status != NAUHA_OK)
        return nauha__fail(&err);
    const uint64_t later = nauha_trace_later_verified(opened->trace);
    if (root) {
        nauha__json_add_whole(root, "count", findings);
        nauha__json_add_whole(root, "later_verified", later);
        return findings ? EXIT_FINDING : EXIT_FINE;
    }
    if (!findings && !invocation->quiet)
        printf("%s: %snothing is damaged%s\n", invocation->arguments[0],
               nauha__colour(stdout, COLOUR_GOOD), nauha__colour(stdout, COLOUR_PLAIN));
    if (later && !invocation->quiet)
        printf("%" PRIu64 " message%s whose elements were written later %s equal to %s\n", later,
               later > 1 ? "s" : "", later > 1 ? "are" : "is",
               later > 1 ? "their fingerprints or hashes" : "its fingerprint or hash");
    return findings ? EXIT_FINDING : EXIT_FINE;
}

static void take_report(void *context, const char *text) {
    if (context)
        cJSON_AddRawToObject(context, "proof", text);
    else
        printf("%s\n", text);
}

/* Runs the steps again. */
static int check_model(const struct invocation *invocation, cJSON *root) {
    bool same = false;
    fflush(stdout); /* the model may print, too */
    const int code = nauha__run_python_model(invocation, invocation->arguments[0], NULL, NULL,
                                             root != NULL, take_report, root, &same);
    return code == EXIT_FINE && !same ? EXIT_FINDING : code;
}

static int run_verify(const struct invocation *invocation) {
    struct opened opened;
    int code = check_usage(invocation);
    if (code != EXIT_FINE)
        return code;
    if (nauha__has_python_model(invocation) && !invocation->python)
        return nauha__metrics_run_python(invocation);
    code = nauha__opened_init(&opened, invocation);
    if (code == EXIT_FINE && nauha__has(invocation, "model"))
        code = nauha__load_python_model(invocation);
    cJSON *root = code == EXIT_FINE && nauha__has(invocation, "json") ? cJSON_CreateObject() : NULL;
    if (code == EXIT_FINE)
        code = check_damage(invocation, &opened, root);
    if (code == EXIT_FINE && nauha__has(invocation, "model"))
        code = check_model(invocation, root);
    if (root && code != EXIT_FAILED && code != EXIT_USAGE) {
        char *text = cJSON_Print(root);
        printf("%s\n", text ? text : "{}");
        cJSON_free(text);
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
        "which messages are lost. The exit code is 1 if anything is damaged. With --model, it then "
        "runs the recorded steps again, under the Python that has PyTorch (NAUHA_PYTHON, or "
        "python3), and holds every message that this makes against the recorded one: with the "
        "same hash it is proven, within the tolerance it is close. If any is not the same, it says "
        "which is the first and what that may mean, and the exit code is 1.",
    .examples = "nauha verify run.h5\n"
                "nauha verify run.h5 --model net.py:build\n"
                "nauha verify run.h5 --model net.py:build --steps ::100 --json",
    .min_arguments = 1,
    .max_arguments = 1,
    .groups = {&nauha__verify_options, &nauha__select_options},
    .run = run_verify,
};
