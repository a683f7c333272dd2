/* SPDX-License-Identifier: MIT */
/* Running recorded steps again with a model in Python; see python_model.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/python_model.h"

#include <cjson/cJSON.h>
#include <string.h>

bool nauha__has_python_model(const struct invocation *invocation) {
    const char *model = nauha__get(invocation, "model", NULL);
    return model && strstr(model, ".py:") != NULL;
}

/* The options that select messages, as a JSON object of texts. NULL when out of memory. */
static char *selection_text(const struct invocation *invocation) {
    size_t count;
    const struct nauha_option *rows = nauha__select_options.rows(&count);
    cJSON *selection = cJSON_CreateObject();
    for (size_t i = 0; selection && i < count; i++) {
        const char *value = nauha__get(invocation, rows[i].name, NULL);
        if (value && nauha__takes(&nauha__select_options, &rows[i]))
            cJSON_AddStringToObject(selection, rows[i].name, value);
    }
    char *text = selection ? cJSON_PrintUnformatted(selection) : NULL;
    cJSON_Delete(selection);
    return text;
}

int nauha__load_python_model(const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const struct nauha_python *python = invocation->python;
    return python->load(python->context, nauha__get(invocation, "model", ""), &err) == NAUHA_OK
               ? EXIT_FINE
               : nauha__fail(&err);
}

int nauha__run_python_model(const struct invocation *invocation, const char *trace,
                            struct nauha_names *names, struct nauha_pipeline *pipeline, bool json,
                            void (*take)(void *context, const char *text), void *context,
                            bool *same) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    char *selection = selection_text(invocation);
    if (!selection)
        return nauha__fail_nomem();
    const struct nauha_remaking remaking = {
        .model = nauha__get(invocation, "model", ""),
        .trace = trace,
        .selection = selection,
        .tolerance = nauha__get(invocation, "tolerance", NULL),
        .names = names,
        .pipeline = pipeline,
        .json = json,
        .take = take,
        .context = context,
    };
    const enum nauha_status status =
        invocation->python->remake(invocation->python->context, &remaking, same, &err);
    cJSON_free(selection);
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}
