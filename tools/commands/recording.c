/* SPDX-License-Identifier: MIT */
/* The options of a recording; see recording.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/recording.h"

#include <string.h>

#include "nauha/keeping.h"
#include "nauha/output.h"

const struct option_group nauha__recording_options = {"Recording", nauha_recorder_options, NULL};
const struct option_group nauha__keeping_options = {"Keeping", nauha_keeping_options, NULL};

static bool is_row(const struct nauha_option *(*table)(size_t *count),
                   const struct nauha_option *option) {
    size_t count;
    const struct nauha_option *rows = table(&count);
    return option >= rows && option < rows + count;
}

bool nauha__is_recording_option(const struct nauha_option *option) {
    return is_row(nauha_recorder_options, option) || is_row(nauha_selector_options, option) ||
           is_row(nauha_keeping_options, option);
}

enum nauha_status nauha__check_recorded_kinds(const struct invocation *invocation,
                                              struct nauha_error *err) {
    struct nauha_names *builtin = nauha_names_new();
    struct nauha_keeping *keeping = nauha_keeping_new();
    enum nauha_status status = builtin && keeping ? NAUHA_OK : nauha_error_nomem(err);
    for (size_t i = 0; i < invocation->given_count && status == NAUHA_OK; i++) {
        const struct given *given = &invocation->given[i];
        if (strcmp(given->option->name, "kinds") == 0 ||
            is_row(nauha_keeping_options, given->option))
            status = nauha_keeping_set(keeping, given->option->name, given->value, err);
    }
    if (status == NAUHA_OK)
        status = nauha_keeping_check_kinds(keeping, builtin, err);
    nauha_keeping_free(keeping);
    nauha_names_free(builtin);
    return status;
}

enum nauha_status nauha__recording_check(const char *trace,
                                         const struct nauha_recorder_config *config,
                                         const char *const *inputs, size_t input_count,
                                         struct nauha_error *err) {
    const struct nauha_output_request spared = {
        .path = trace, .inputs = inputs, .input_count = input_count};
    enum nauha_status status = nauha_output_check(&spared, err);
    return status == NAUHA_OK ? nauha_recorder_check(trace, config, err) : status;
}
