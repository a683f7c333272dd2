/* SPDX-License-Identifier: MIT */
/* nauha check: applies the health rules to a trace. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/plugin.h"
#include "tools/commands/json.h"
#include "tools/commands/opened.h"
#include "tools/commands/rules.h"
#include "tools/cli/terminal.h"
#include "tools/cli/text.h"

static const struct nauha_option check_table[] = {
    {"rule", 0, "SPEC", NULL,
     "check this rule, NAME[:KIND,...][:key=value...], instead of all rules; may be repeated"},
    RESUME_OPTION,
    {"json", 0, NULL, NULL, "print a JSON object"},
};
OPTION_GROUP(check_options, "Rules", check_table);

struct check {
    struct opened opened;
    struct nauha_pipeline *pipeline;
    struct progress progress;
    cJSON *unchecked; /* {"rule", "reason"} */
    cJSON *failed;    /* the same */
};

/* ---- which rules ---- */

/* How the tensors of a kind are kept, over all traces. False: there are none. */
static bool count_kept(const struct check *check, const char *name,
                       uint64_t kept[NAUHA_KEPT_COUNT]) {
    const uint32_t kind = nauha_names_find_kind(check->opened.names, name);
    uint64_t all = 0;
    memset(kept, 0, NAUHA_KEPT_COUNT * sizeof *kept);
    if (kind == NAUHA_NONE ||
        !nauha_selector_accepts_kind(check->opened.selector, check->opened.names, kind))
        return false;
    for (size_t i = 0; i < check->opened.trace_count; i++) {
        uint64_t of_trace[NAUHA_KEPT_COUNT];
        nauha_trace_kind_kept(check->opened.traces[i], kind, of_trace);
        for (size_t how = 0; how < NAUHA_KEPT_COUNT; how++) {
            kept[how] += of_trace[how];
            all += of_trace[how];
        }
    }
    return all > 0;
}

/* Dumps of a flight recorder have elements of some steps, which are the ones to look into. */
static bool has_dump(const struct check *check) {
    struct nauha_trace_dump dump;
    for (size_t i = 0; i < check->opened.trace_count; i++)
        if (nauha_trace_get_dump(check->opened.traces[i], 0, &dump))
            return true;
    return false;
}

static bool has_kind(void *context, const struct nauha_analyzer *rule, const char *name) {
    uint64_t kept[NAUHA_KEPT_COUNT];
    if (!count_kept(context, name, kept))
        return false;
    if (kept[NAUHA_KEPT_ELEMENTS] > 0 && has_dump(context))
        return true;
    return kept[NAUHA_KEPT_HASH] == 0 &&
           (kept[NAUHA_KEPT_FINGERPRINT] == 0 || (rule->flags & NAUHA_ANALYZER_STATISTICS));
}

/* Why a rule cannot run on a kind of which there are messages; NULL: it can. */
static const char *what_is_missing(const struct nauha_analyzer *rule,
                                   const uint64_t kept[NAUHA_KEPT_COUNT]) {
    if (kept[NAUHA_KEPT_HASH] > 0)
        return kept[NAUHA_KEPT_ELEMENTS] > 0 ? "only hashes were recorded of some of them"
                                             : "only hashes were recorded";
    if (kept[NAUHA_KEPT_FINGERPRINT] > 0 && !(rule->flags & NAUHA_ANALYZER_STATISTICS))
        return "it needs elements, and only fingerprints were recorded";
    return NULL;
}

static void add_reason(cJSON *list, const char *rule, const char *reason) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "rule", rule);
    cJSON_AddStringToObject(object, "reason", reason);
    cJSON_AddItemToArray(list, object);
}

static void without_kinds(void *context, const char *rule) {
    struct check *check = context;
    char reason[256] = "";
    const struct nauha_analyzer *analyzer = NULL;
    for (size_t i = 0; (analyzer = nauha_pipeline_analyzer(check->pipeline, i)) != NULL; i++)
        if (strcmp(analyzer->name, rule) == 0)
            break;
    for (const char *const *kind = analyzer ? analyzer->default_kinds : NULL; kind && *kind;
         kind++) {
        const size_t used = strlen(reason);
        uint64_t kept[NAUHA_KEPT_COUNT];
        const bool any = count_kept(check, *kind, kept);
        const char *missing = any ? what_is_missing(analyzer, kept) : NULL;
        if (missing) {
            snprintf(reason, sizeof reason, "%s: %s", *kind, missing);
            break;
        }
        if (!any)
            snprintf(reason + used, sizeof reason - used, "%s%s", used ? ", " : "no ", *kind);
    }
    if (!reason[0])
        snprintf(reason, sizeof reason, "it needs a kind: --rule %.80s:KIND", rule);
    add_reason(check->unchecked, rule, reason);
}

static enum nauha_status add_rules(struct check *check, const struct invocation *invocation,
                                   struct nauha_error *err) {
    if (!nauha__has(invocation, "rule"))
        return nauha__rules_add_all(check->pipeline, has_kind, without_kinds, check, err);
    return nauha__rules_add_given(check->pipeline, invocation, err);
}

/* ---- what was found ---- */

/* Numbers that JSON has no way to write become texts. */
static void add_number(cJSON *object, const char *key, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(object, key, value);
    else
        cJSON_AddStringToObject(object, key, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static cJSON *to_json(const struct nauha_finding *finding) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "rule", finding->rule);
    cJSON_AddStringToObject(object, "spec", finding->spec);
    if (finding->module)
        cJSON_AddStringToObject(object, "module", finding->module);
    else
        cJSON_AddNullToObject(object, "module");
    cJSON_AddStringToObject(object, "class", finding->module_class);
    cJSON_AddStringToObject(object, "slot", finding->slot);
    cJSON_AddStringToObject(object, "kind", finding->kind);
    cJSON_AddStringToObject(object, "tag", finding->tag);
    nauha__json_add_whole(object, "rank", finding->rank);
    nauha__json_add_whole(object, "first_step", finding->first_step);
    nauha__json_add_whole(object, "last_step", finding->last_step);
    nauha__json_add_whole(object, "count", finding->count);
    cJSON_AddStringToObject(object, "measure", finding->measure);
    add_number(object, "value", finding->value);
    add_number(object, "worst", finding->worst);
    nauha__json_add_whole(object, "worst_step", finding->worst_step);
    add_number(object, "threshold", finding->threshold);
    cJSON_AddStringToObject(object, "meaning", finding->meaning);
    return object;
}

/* Tells apart the rules that saw something, those that saw nothing, and those that failed. */
static size_t sort_rules(struct check *check, cJSON *checked) {
    struct nauha_metric_info info;
    size_t count = 0;
    for (size_t i = 0; nauha_pipeline_metric(check->pipeline, i, &info); i++) {
        char reason[300];
        if (info.failure) {
            add_reason(check->failed, info.analyzer->name, info.failure);
        } else if (info.missing_tag) {
            const bool any = strcmp(info.missing_tag, NAUHA_ALL_TAGS) == 0;
            snprintf(reason, sizeof reason, "no messages%s%.200s", any ? "" : " with the tag ",
                     any ? "" : info.missing_tag);
            add_reason(check->unchecked, info.analyzer->name, reason);
        } else {
            cJSON_AddItemToArray(checked, cJSON_CreateString(info.spec));
            count++;
        }
    }
    return count;
}

static void print_json(const struct check *check, cJSON *checked) {
    cJSON *root = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(root, "findings");
    struct nauha_finding finding;
    for (size_t i = 0; nauha_pipeline_finding(check->pipeline, i, &finding); i++)
        cJSON_AddItemToArray(list, to_json(&finding));
    nauha__json_add_whole(root, "count", nauha_pipeline_findings(check->pipeline));
    cJSON_AddItemReferenceToObject(root, "checked", checked);
    cJSON_AddItemReferenceToObject(root, "unchecked", check->unchecked);
    cJSON_AddItemReferenceToObject(root, "failed", check->failed);
    char *text = cJSON_Print(root);
    printf("%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(root);
}

/* "not checked: RULE (REASON), RULE (REASON)", on standard error. */
static void print_reasons(const char *heading, const cJSON *reasons) {
    const cJSON *entry = NULL;
    char *text = NULL;
    size_t bytes;
    FILE *list = open_memstream(&text, &bytes);
    const char *comma = heading;
    fflush(stdout);
    cJSON_ArrayForEach(entry, reasons) {
        if (!list)
            break;
        fprintf(list, "%s%s (%s)", comma,
                cJSON_GetObjectItemCaseSensitive(entry, "rule")->valuestring,
                cJSON_GetObjectItemCaseSensitive(entry, "reason")->valuestring);
        comma = ", ";
    }
    if (list && fclose(list) == 0 && *text) {
        nauha__text_wrap(stderr, text, 2, 0, nauha__prose_width(stderr));
        fputc('\n', stderr);
    }
    free(text);
}

static void print_dumps(const struct check *check) {
    for (size_t i = 0; i < check->opened.trace_count; i++) {
        const struct nauha_trace *trace = check->opened.traces[i];
        struct nauha_trace_info info;
        struct nauha_trace_dump dump;
        char steps[64];
        nauha_trace_get_info(trace, &info);
        for (size_t j = 0; nauha_trace_get_dump(trace, j, &dump); j++)
            printf("%s in full, because of step %" PRIu64 ": %s\n",
                   nauha__dump_text(&info, &dump, steps), dump.step, dump.reason);
    }
}

static void print_summary(const struct check *check, const struct invocation *invocation,
                          size_t checked) {
    const size_t findings = nauha_pipeline_findings(check->pipeline);
    if (findings == 0 && checked > 0)
        printf("%s: %zu rule%s checked, %snothing found%s\n", invocation->arguments[0], checked,
               checked == 1 ? "" : "s", nauha__colour(stdout, COLOUR_GOOD),
               nauha__colour(stdout, COLOUR_PLAIN));
    print_dumps(check);
    print_reasons("not checked: ", check->unchecked);
}

static void print_line(void *context, const char *text) {
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static int tell(struct check *check, const struct invocation *invocation) {
    cJSON *checked = cJSON_CreateArray();
    const size_t count = sort_rules(check, checked);
    if (nauha__has(invocation, "json"))
        print_json(check, checked);
    else
        nauha__findings_print(stdout, check->pipeline);
    if (!nauha__has(invocation, "json") && !invocation->quiet)
        print_summary(check, invocation, count);
    if (!invocation->quiet)
        nauha_pipeline_report(check->pipeline, print_line, NULL);
    cJSON_Delete(checked);
    if (cJSON_GetArraySize(check->failed) > 0) {
        print_reasons("nauha: not judged: ", check->failed);
        return EXIT_PARTLY;
    }
    if (count == 0)
        return nauha__usage(
            invocation->command, "no rule was checked: \"%s\" has no messages for any rule%s",
            invocation->arguments[0],
            nauha__selects(invocation) ? " among those that the options choose" : "");
    return nauha_pipeline_findings(check->pipeline) > 0 ? EXIT_FINDING : EXIT_FINE;
}

/* ---- the command ---- */

static void show_progress(void *context, uint64_t done, uint64_t total) {
    nauha__progress_show(context, done, total, NULL);
}

static int run(struct check *check, const struct invocation *invocation) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct opened *opened = &check->opened;
    enum nauha_status status =
        nauha_pipeline_check_ranks(opened->traces, opened->trace_count, &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_describe_trace(check->pipeline, opened->trace, &err);
    if (status == NAUHA_OK)
        status = nauha_plugins_add_to(invocation->plugins, check->pipeline, &err);
    if (status == NAUHA_OK)
        status = add_rules(check, invocation, &err);
    if (status == NAUHA_OK)
        status = nauha_pipeline_start(check->pipeline, &err);
    if (status != NAUHA_OK)
        return nauha__fail(&err);
    nauha__progress_begin(&check->progress, "checking", "messages", invocation->quiet);
    status = nauha_pipeline_replay_ranks(check->pipeline, opened->traces, opened->trace_count,
                                         opened->selector, show_progress, &check->progress, &err);
    nauha__progress_end(&check->progress);
    if (status == NAUHA_OK)
        status = nauha_pipeline_finish(check->pipeline, &err);
    if (status != NAUHA_OK) {
        nauha__fail(&err);
        return EXIT_FAILED; /* the traces are at fault, not the command line */
    }
    return tell(check, invocation);
}

static int run_check(const struct invocation *invocation) {
    struct check check = {.unchecked = cJSON_CreateArray(), .failed = cJSON_CreateArray()};
    int code = nauha__opened_init(&check.opened, invocation);
    if (code == EXIT_FINE) {
        check.pipeline = nauha_pipeline_new(check.opened.names);
        code = check.pipeline ? run(&check, invocation) : nauha__fail_nomem();
    }
    nauha_pipeline_free(check.pipeline);
    nauha__opened_fini(&check.opened);
    cJSON_Delete(check.unchecked);
    cJSON_Delete(check.failed);
    return code;
}

const struct command nauha__command_check = {
    .name = "check",
    .summary = "look for problems of a training with health rules",
    .arguments = "TRACE...",
    .description =
        "Checks a trace with health rules, which find gradients that vanish or explode, dead "
        "layers, steps too large or too small, a loss that does not fall, overfitting, and more. "
        "A finding names the module, the steps, the value, the threshold and the usual cause. By "
        "default all rules are checked whose inputs were recorded. \"nauha analyzers NAME\" "
        "explains a rule. The exit code is 1 if a rule found something, 2 if there was nothing to "
        "check, for example because the options choose no messages, and 4 if a rule failed: it is "
        "then not judged, but all others are.",
    .examples = "nauha check run.h5\n"
                "nauha check run.h5 --rule vanishing_gradient:threshold=1e-9 --rule dead_relu\n"
                "nauha check run.h5 --exclude 'frozen.*' --steps 100: --json",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .groups = {&nauha__check_options, &nauha__select_options, &nauha__plugin_options},
    .run = run_check,
};
