/* SPDX-License-Identifier: MIT */
/* Opening the traces that a command line names; see opened.h.
 *
 * Threads: the main thread.
 */
#include "tools/commands/opened.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nauha/version.h"
#include "tools/commands/crash.h"
#include "tools/commands/follow.h"
#include "tools/cli/terminal.h"

static bool is_selection(const struct nauha_option *option) {
    size_t count;
    const struct nauha_option *rows = nauha_selector_options(&count);
    return option >= rows && option < rows + count;
}

enum nauha_status nauha__apply_selection(struct nauha_selector *selector,
                                         const struct invocation *invocation,
                                         struct nauha_error *err) {
    for (size_t i = 0; i < invocation->given_count; i++) {
        const struct given *given = &invocation->given[i];
        if (!is_selection(given->option))
            continue;
        enum nauha_status status =
            nauha_selector_set(selector, given->option->name, given->value, err);
        if (status != NAUHA_OK)
            return status;
    }
    return NAUHA_OK;
}

void nauha__note_newer_format(const struct nauha_trace *trace,
                              const struct invocation *invocation) {
    struct nauha_trace_info info;
    nauha_trace_get_head(trace, &info);
    if (info.format_minor > NAUHA_FORMAT_MINOR && !invocation->quiet)
        fprintf(stderr,
                "nauha: \"%s\" has format version %u.%u, newer than %u.%u of this program: "
                "anything new in it is ignored\n",
                info.path, info.format_major, info.format_minor, NAUHA_FORMAT_MAJOR,
                NAUHA_FORMAT_MINOR);
}

/* ---- selections that choose nothing ---- */

bool nauha__selects(const struct invocation *invocation) {
    for (size_t i = 0; i < invocation->given_count; i++)
        if (is_selection(invocation->given[i].option))
            return true;
    return false;
}

bool nauha__has_chosen(const struct nauha_trace *trace, const struct nauha_selector *selector) {
    struct nauha_cursor *cursor = NULL;
    struct nauha_message *message = NULL;
    /* The command reports what cannot be read. */
    const bool any =
        nauha_cursor_new((struct nauha_trace *)trace, selector, &cursor, NULL) != NAUHA_OK ||
        nauha_cursor_next(cursor, &message, NULL) != NAUHA_END;
    nauha_cursor_free(cursor);
    return any;
}

static void list_kinds(const struct nauha_trace *trace, const struct nauha_names *names, char *text,
                       size_t bytes) {
    const char *comma = "";
    for (uint32_t kind = 0; kind < nauha_names_kinds(names); kind++) {
        uint64_t messages, size;
        const size_t used = strlen(text);
        nauha_trace_kind_totals(trace, kind, &messages, &size);
        if (messages == 0)
            continue;
        snprintf(text + used, bytes - used, "%s%s", comma, nauha_names_kind(names, kind));
        comma = ", ";
    }
}

int nauha__nothing_chosen(const struct invocation *invocation, const struct nauha_trace *trace,
                          const struct nauha_names *names) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_trace_info info;
    char given[300] = "", kinds[500] = "";
    nauha_trace_get_info(trace, &info);
    for (size_t i = 0; i < invocation->given_count; i++) {
        const struct given *one = &invocation->given[i];
        const size_t used = strlen(given);
        if (is_selection(one->option))
            snprintf(given + used, sizeof given - used, "%s--%s %.80s", used ? " " : "",
                     one->option->name, one->value);
    }
    if (nauha__has(invocation, "kinds"))
        list_kinds(trace, names, kinds, sizeof kinds);
    nauha_error_set(&err, NAUHA_UNKNOWN,
                    "\"%s\" chooses no message of \"%.200s\", which has steps %" PRIu64
                    " to %" PRIu64 " in %u epoch%s, rank %u%s%s",
                    given, info.path, info.first_step,
                    info.first_step + (info.steps ? info.steps - 1 : 0), info.epochs,
                    info.epochs == 1 ? "" : "s", info.rank, kinds[0] ? ", and the kinds " : "",
                    kinds);
    return nauha__fail(&err);
}

/* Says the same of traces that are read together. */
static int check_chosen(const struct opened *opened, const struct invocation *invocation) {
    if (!nauha__selects(invocation))
        return EXIT_FINE;
    for (size_t i = 0; i < opened->trace_count; i++)
        if (nauha__has_chosen(opened->traces[i], opened->selector))
            return EXIT_FINE;
    return nauha__nothing_chosen(invocation, opened->trace, opened->names);
}

/* ---- opening ---- */

int nauha__opened_init(struct opened *opened, const struct invocation *invocation) {
    const int code =
        nauha__opened_paths(opened, invocation, invocation->arguments, invocation->argument_count);
    return code == EXIT_FINE ? check_chosen(opened, invocation) : code;
}

int nauha__opened_paths(struct opened *opened, const struct invocation *invocation,
                        const char *const *paths, size_t count) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status (*open)(const char *, struct nauha_names *, struct nauha_trace **,
                              struct nauha_error *) =
        nauha__has(invocation, "follow") ? nauha__follow_open : nauha_trace_open;
    *opened = (struct opened){.names = nauha_names_new(), .selector = nauha_selector_new()};
    opened->traces = calloc(count, sizeof *opened->traces);
    if (!opened->names || !opened->selector || !opened->traces)
        return nauha__fail_nomem();
    if (nauha__apply_selection(opened->selector, invocation, &err) != NAUHA_OK)
        return nauha__fail(&err);
    for (size_t i = 0; i < count; i++) {
        nauha__crash_watch(paths[i]);
        if (open(paths[i], opened->names, &opened->traces[i], &err) != NAUHA_OK) {
            nauha__fail(&err);
            return EXIT_FAILED; /* the file caused the error, not the command line */
        }
        nauha__note_newer_format(opened->traces[i], invocation);
        opened->trace_count++;
    }
    opened->trace = opened->traces[0];
    if (nauha__has(invocation, "resume") &&
        nauha_trace_join(opened->traces, count, &err) != NAUHA_OK)
        return nauha__fail(&err);
    if (nauha_selector_check(opened->selector, opened->names, &err) != NAUHA_OK)
        return nauha__fail(&err);
    return EXIT_FINE;
}

void nauha__opened_close(struct opened *opened) {
    for (size_t i = 0; i < opened->trace_count; i++)
        nauha_trace_close(opened->traces[i]);
    opened->trace_count = 0;
    opened->trace = NULL;
}

void nauha__opened_fini(struct opened *opened) {
    nauha__opened_close(opened);
    free(opened->traces);
    nauha_selector_free(opened->selector);
    nauha_names_free(opened->names);
}

int nauha__walk(const struct opened *opened,
                bool (*each)(void *context, struct nauha_message *message), void *context) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_cursor *cursor = NULL;
    if (nauha_cursor_new_ranks(opened->traces, opened->trace_count, opened->selector, &cursor,
                               &err) != NAUHA_OK)
        return nauha__fail(&err);
    int code = EXIT_FINE;
    for (;;) {
        struct nauha_message *message;
        enum nauha_status status = nauha_cursor_next(cursor, &message, &err);
        if (status == NAUHA_END)
            break;
        if (status != NAUHA_OK) {
            code = nauha__fail(&err);
            if (status == NAUHA_DAMAGED)
                continue;
            break;
        }
        if (!each(context, message))
            break;
    }
    nauha_cursor_free(cursor);
    return code;
}

/* Appends numbers in brackets. */
static void add_numbers(const int64_t *numbers, uint32_t count, char *text, size_t bytes) {
    for (uint32_t i = 0; i <= count; i++) {
        const size_t used = strlen(text);
        if (i == count)
            snprintf(text + used, bytes - used, count ? "]" : "[]");
        else
            snprintf(text + used, bytes - used, "%c%" PRId64, i ? ',' : '[', numbers[i]);
    }
}

const char *nauha__shape_text(const struct nauha_message_info *info, char *text, size_t bytes) {
    snprintf(text, bytes, "%s", info->has_tensor ? "" : "-");
    if (info->has_tensor)
        add_numbers(info->shape, info->ndim, text, bytes);
    return text;
}

const char *nauha__shard_text(const struct nauha_names *names,
                              const struct nauha_message_info *info, char *text, size_t bytes) {
    struct nauha_placement placement;
    text[0] = '\0';
    if (!nauha_names_placement(names, info->placement, &placement))
        return text;
    add_numbers(placement.shape, placement.ndim, text, bytes);
    size_t used = strlen(text);
    if (placement.flat)
        snprintf(text + used, bytes - used, " from element %" PRId64, placement.offset[0]);
    else
        snprintf(text + used, bytes - used, " at ");
    if (!placement.flat)
        add_numbers(placement.offset, placement.ndim, text, bytes);
    used = strlen(text);
    if (placement.summands)
        snprintf(text + used, bytes - used, ", summand %u of %u", placement.summand + 1,
                 placement.summands);
    return text;
}

const char *nauha__hash_text(struct nauha_message *message, char text[40]) {
    uint64_t hash[2] = {0, 0};
    nauha_message_hash(message, hash, NULL);
    snprintf(text, 40, "%016" PRIx64 "%016" PRIx64, hash[1], hash[0]);
    return text;
}

const char *nauha__state_text(const struct nauha_trace_info *info) {
    return info->complete     ? "complete"
           : !info->closed    ? "cut off: its writer has not closed it (still running, or killed)"
           : info->failure[0] ? "incomplete: the recorder had to stop"
                              : "incomplete: messages were lost";
}

void nauha__warn_of_losses(const struct nauha_trace *trace, const struct nauha_names *names,
                           const struct nauha_trace_info *info) {
    const char *reason, *semicolon = "";
    uint32_t kind;
    uint64_t messages, bytes, listed = 0;
    char count[32], size[32];
    fprintf(stderr, "nauha: %s: messages were lost in the recording: ", info->path);
    for (size_t i = 0; nauha_trace_loss(trace, i, &kind, &reason, &messages, &bytes); i++) {
        fprintf(stderr, "%s%s %s (%s), %s", semicolon, nauha__count_text(messages, count),
                nauha_names_kind(names, kind), reason, nauha__size_text(bytes, size));
        semicolon = "; ";
        listed += messages;
    }
    /* On a full disk, the recorder may have been unable to write which messages were lost. */
    if (listed < info->messages_lost)
        fprintf(stderr, "%s%s messages in all, %s", semicolon,
                nauha__count_text(info->messages_lost, count),
                nauha__size_text(info->bytes_lost, size));
    fputc('\n', stderr);
}

const char *nauha__created_text(const struct nauha_trace_info *info, char text[64]) {
    const time_t created = (time_t)(info->created_ns / 1000000000);
    struct tm when;
    if (!gmtime_r(&created, &when) || !strftime(text, 64, "%Y-%m-%d %H:%M:%S UTC", &when))
        text[0] = '\0';
    return text;
}

const char *nauha__stored_text(const struct nauha_trace_info *info, char text[128]) {
    char size[32];
    const double part =
        info->bytes_published ? (double)info->bytes_stored / (double)info->bytes_published : 0;
    snprintf(text, 128,
             part < 0.095 ? "%s with %s, %.1g of what was published"
                          : "%s with %s, %.2f of what was published",
             nauha__size_text(info->bytes_stored, size), info->codec, part);
    return text;
}

const char *nauha__dump_text(const struct nauha_trace_info *info,
                             const struct nauha_trace_dump *dump, char text[64]) {
    const uint64_t end = info->first_step + info->steps - 1;
    const uint64_t first = dump->first_step < dump->step ? dump->first_step : dump->step;
    const uint64_t last = dump->last_step < end ? dump->last_step : end;
    if (first >= last)
        snprintf(text, 64, "step %" PRIu64, first);
    else
        snprintf(text, 64, "steps %" PRIu64 " to %" PRIu64, first, last);
    return text;
}
