/* SPDX-License-Identifier: MIT */
/* Estimating the size of a recording; see estimate.h.
 *
 * How much each kind takes is read from the sample. For options that change how elements are
 * stored, the messages of the sample are recorded again, with and without these options, to a file
 * that is then removed.
 */
#include "tools/commands/estimate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nauha/array.h"
#include "nauha/recorder.h"
#include "nauha/trace.h"
#include "tools/commands/recording.h"
#include "tools/cli/path.h"
#include "tools/cli/table.h"

/* Number of steps that the estimate is for if the command line does not say how many there will
 * be. */
#define STEPS_ESTIMATED 1000u

/* ---- the sample through a recorder ---- */

/* The parameters of one step, copied. */
struct values {
    struct nauha_parameter *list;
    int64_t (*shapes)[NAUHA_MAX_NDIM];
    size_t count, capacity, shape_capacity;
};

struct copy {
    struct nauha_cursor *parameters, *others;
    struct nauha_message *parameter; /* the next message; NULL: there is none */
    struct nauha_recorder *recorder;
    const struct nauha_names *names; /* of the trace */
    struct values values;
};

static void clear(struct values *values) {
    for (size_t i = 0; i < values->count; i++)
        nauha_memory_free((void *)values->list[i].tensor.data);
    values->count = 0;
}

/* Translates the module and the slot of a message to the recorder's own numbers. */
static enum nauha_status name(struct nauha_recorder *recorder,
                              const struct nauha_message_info *info, uint32_t *module,
                              uint32_t *slot, struct nauha_error *err) {
    struct nauha_names *names = nauha_recorder_names(recorder);
    *module = NAUHA_NONE;
    enum nauha_status status = nauha_names_add_slot(names, info->slot_name, slot, err);
    if (status == NAUHA_OK && info->module != NAUHA_NONE)
        status = nauha_names_add_module(names, info->module_name, info->module_class, module, err);
    return status;
}

static enum nauha_status next(struct nauha_cursor *cursor, struct nauha_message **message,
                              struct nauha_error *err) {
    enum nauha_status status = nauha_cursor_next(cursor, message, err);
    if (status != NAUHA_OK)
        *message = NULL;
    return status == NAUHA_END ? NAUHA_OK : status;
}

static enum nauha_status take_value(struct copy *copy, struct nauha_error *err) {
    struct values *values = &copy->values;
    const struct nauha_message_info *info = nauha_message_info(copy->parameter);
    if (!NAUHA_GROW(values->list, values->capacity, values->count + 1) ||
        !NAUHA_GROW(values->shapes, values->shape_capacity, values->count + 1))
        return nauha_error_nomem(err);
    struct nauha_parameter *parameter = &values->list[values->count];
    *parameter = (struct nauha_parameter){.bias = info->kind == NAUHA_KIND_BIASES};
    enum nauha_status status = nauha_message_take(copy->parameter, &parameter->tensor, err);
    if (status != NAUHA_OK)
        return status;
    memcpy(values->shapes[values->count++], parameter->tensor.shape,
           parameter->tensor.ndim * sizeof *parameter->tensor.shape);
    return name(copy->recorder, info, &parameter->module, &parameter->slot, err);
}

/* Begins the recorder's next step with the values that the trace has at the end of `step`. */
static enum nauha_status begin_step(struct copy *copy, uint64_t step, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    clear(&copy->values);
    while (status == NAUHA_OK && copy->parameter &&
           nauha_message_info(copy->parameter)->global_step <= step) {
        status = take_value(copy, err);
        if (status == NAUHA_OK)
            status = next(copy->parameters, &copy->parameter, err);
    }
    for (size_t i = 0; i < copy->values.count; i++)
        copy->values.list[i].tensor.shape = copy->values.shapes[i];
    if (status == NAUHA_OK)
        status =
            nauha_recorder_begin_step(copy->recorder, copy->values.list, copy->values.count, err);
    return status;
}

static bool comes_with_steps(uint32_t kind) {
    return kind == NAUHA_KIND_WEIGHTS || kind == NAUHA_KIND_BIASES ||
           kind == NAUHA_KIND_WEIGHT_UPDATES || kind == NAUHA_KIND_BIAS_UPDATES;
}

static enum nauha_status publish(struct copy *copy, struct nauha_message *message,
                                 struct nauha_error *err) {
    const struct nauha_message_info *info = nauha_message_info(message);
    struct nauha_tensor tensor;
    uint32_t module = 0, slot = 0, kind = 0;
    enum nauha_status status = name(copy->recorder, info, &module, &slot, err);
    if (status == NAUHA_OK)
        status = nauha_names_add_kind(nauha_recorder_names(copy->recorder), info->kind_name,
                                      nauha_names_kind_scope(copy->names, info->kind),
                                      nauha_names_kind_form(copy->names, info->kind), &kind, err);
    if (status == NAUHA_OK)
        status = nauha_message_tensor(message, &tensor, err);
    if (status == NAUHA_OK)
        status =
            nauha_recorder_publish(copy->recorder, kind, module, slot, info->call, &tensor, err);
    return status;
}

static enum nauha_status copy_messages(struct copy *copy, struct nauha_error *err) {
    uint64_t step = UINT64_MAX;
    struct nauha_message *message = NULL;
    enum nauha_status status = next(copy->parameters, &copy->parameter, err);
    if (status == NAUHA_OK)
        status = next(copy->others, &message, err);
    while (status == NAUHA_OK && message) {
        const struct nauha_message_info *info = nauha_message_info(message);
        if (step != info->global_step)
            status = begin_step(copy, step = info->global_step, err);
        if (status == NAUHA_OK && info->has_tensor && !comes_with_steps(info->kind))
            status = publish(copy, message, err);
        if (status == NAUHA_OK)
            status = next(copy->others, &message, err);
    }
    return status == NAUHA_OK ? nauha_recorder_flush(copy->recorder, err) : status;
}

/* The two cursors that a copy needs. */
static enum nauha_status walk(struct nauha_trace *trace, struct copy *copy,
                              struct nauha_error *err) {
    struct nauha_selector *selector = nauha_selector_new();
    if (!selector)
        return nauha_error_nomem(err);
    enum nauha_status status = nauha_selector_set(selector, "kinds", "weights,biases", err);
    if (status == NAUHA_OK)
        status = nauha_cursor_new(trace, selector, &copy->parameters, err);
    if (status == NAUHA_OK)
        status = nauha_cursor_new(trace, NULL, &copy->others, err);
    nauha_selector_free(selector);
    return status;
}

/* ---- options ---- */

struct sample {
    const struct invocation *invocation;
    struct nauha_names *names;
    struct nauha_trace *trace;
    struct nauha_trace_info info;
    uint64_t wanted; /* number of steps that the estimate is for */
    char path[4096]; /* path for copies */
};

/* The options of the recording, and one more. */
static enum nauha_status configure(const struct sample *sample, const char *key, const char *value,
                                   struct nauha_recorder_config *config, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < sample->invocation->given_count && status == NAUHA_OK; i++) {
        const struct given *given = &sample->invocation->given[i];
        /* The sample contains only what was selected. */
        if (nauha__is_recording_option(given->option) &&
            strcmp(given->option->name, "steps") != 0 && strcmp(given->option->name, "limit") != 0)
            status = nauha_recorder_config_set(config, given->option->name, given->value, err);
    }
    return status == NAUHA_OK ? nauha_recorder_config_set(config, key, value, err) : status;
}

/* Measures what the elements of the sample take with one more option. */
static enum nauha_status measure(const struct sample *sample, const char *key, const char *value,
                                 uint64_t *stored, struct nauha_error *err) {
    struct copy copy = {.names = sample->names};
    struct nauha_recorder_stats stats = {0};
    struct nauha_recorder_config *config = nauha_recorder_config_new();
    enum nauha_status status =
        config ? configure(sample, key, value, config, err) : nauha_error_nomem(err);
    if (status == NAUHA_OK)
        status = walk(sample->trace, &copy, err);
    if (status == NAUHA_OK)
        status = nauha_recorder_open(sample->path, config, &copy.recorder, err);
    if (status == NAUHA_OK) {
        status = copy_messages(&copy, err);
        nauha_recorder_get_stats(copy.recorder, &stats);
        *stored = stats.bytes_stored;
        nauha_recorder_close(copy.recorder, NULL);
        unlink(sample->path);
    }
    clear(&copy.values);
    free(copy.values.list);
    free(copy.values.shapes);
    nauha_cursor_free(copy.parameters);
    nauha_cursor_free(copy.others);
    nauha_recorder_config_free(config);
    return status;
}

/* ---- telling ---- */

static uint64_t per_step(const struct sample *sample, uint64_t total) {
    return total / sample->info.steps;
}

/* Extrapolates a total of the sample to all steps. */
static uint64_t in_all(const struct sample *sample, double total) {
    return (uint64_t)(total / (double)sample->info.steps * (double)sample->wanted);
}

static void add_row(struct table *table, const struct sample *sample, const char *what,
                    uint64_t messages, uint64_t bytes, uint64_t stored) {
    char text[32];
    nauha__table_cell(table, COLOUR_NAME, "%s", what);
    nauha__table_cell(table, COLOUR_PLAIN, "%s",
                      nauha__count_text(per_step(sample, messages), text));
    nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__size_text(per_step(sample, bytes), text));
    nauha__table_cell(table, COLOUR_PLAIN, "%s", nauha__size_text(per_step(sample, stored), text));
}

/* Prints a row for each kind; returns what all kinds store. */
static uint64_t tell_kinds(const struct sample *sample) {
    static const struct column columns[] = {{"a step of", TABLE_CUT, 0},
                                            {"messages", TABLE_RIGHT, 1},
                                            {"published", TABLE_RIGHT, 0},
                                            {"stored", TABLE_RIGHT, 0}};
    struct table *table = nauha__table_new(stdout, columns, 4, 0);
    uint64_t all = 0;
    for (uint32_t kind = 0; kind < nauha_names_kinds(sample->names); kind++) {
        uint64_t messages = 0, bytes = 0, stored = 0;
        nauha_trace_kind_totals(sample->trace, kind, &messages, &bytes);
        stored = nauha_trace_kind_stored(sample->trace, kind);
        all += stored;
        if (bytes)
            add_row(table, sample, nauha_names_kind(sample->names, kind), messages, bytes, stored);
    }
    all += nauha_trace_kind_stored(sample->trace, NAUHA_NONE);
    add_row(table, sample, "all of it", sample->info.messages, sample->info.bytes_published, all);
    nauha__table_end(table);
    return all;
}

static void tell_option(const struct sample *sample, const char *option, double stored) {
    char size[32];
    printf("  %-12s %s\n", nauha__size_text(in_all(sample, stored), size), option);
}

static const struct {
    const char *option;
    uint32_t kinds[8]; /* those that are stored; NAUHA_NONE ends the list */
} selections[] = {
    {"--kinds weights,weight_updates,weight_gradients,biases,bias_updates,bias_gradients,loss",
     {NAUHA_KIND_WEIGHTS, NAUHA_KIND_WEIGHT_GRADIENTS, NAUHA_KIND_BIASES, NAUHA_KIND_BIAS_GRADIENTS,
      NAUHA_KIND_LOSS, NAUHA_NONE}},
    {"--kinds weights,weight_updates,biases,bias_updates,loss",
     {NAUHA_KIND_WEIGHTS, NAUHA_KIND_BIASES, NAUHA_KIND_LOSS, NAUHA_NONE}},
    {"--kinds activations,layer_gradients,loss",
     {NAUHA_KIND_ACTIVATIONS, NAUHA_KIND_LAYER_GRADIENTS, NAUHA_KIND_LOSS, NAUHA_NONE}},
};

static const struct {
    const char *key, *value;
} variants[] = {{"precision", "bf16"}, {"samples", "4"}, {"codec", "zstd,temporal"}};

static enum nauha_status tell_options(const struct sample *sample, uint64_t all,
                                      struct nauha_error *err) {
    uint64_t plain = 0;
    printf("\n%" PRIu64 " steps with\n", sample->wanted);
    tell_option(sample, "--steps ::10", (double)all / 10);
    const bool chosen = nauha__has(sample->invocation, "kinds");
    for (size_t i = 0; i < sizeof selections / sizeof *selections && !chosen; i++) {
        uint64_t stored = 0;
        for (const uint32_t *kind = selections[i].kinds; *kind != NAUHA_NONE; kind++)
            stored += nauha_trace_kind_stored(sample->trace, *kind);
        if (stored && stored < all)
            tell_option(sample, selections[i].option, (double)stored);
    }
    enum nauha_status status = measure(sample, "depth", "all", &plain, err);
    for (size_t i = 0; i < sizeof variants / sizeof *variants && status == NAUHA_OK; i++) {
        uint64_t stored = 0;
        char option[64];
        if (nauha__has(sample->invocation, variants[i].key))
            continue;
        status = measure(sample, variants[i].key, variants[i].value, &stored, err);
        snprintf(option, sizeof option, "--%s %s", variants[i].key, variants[i].value);
        if (status == NAUHA_OK && plain && stored < plain - plain / 50)
            tell_option(sample, option, (double)all * (double)stored / (double)plain);
    }
    return status;
}

static int tell(const struct sample *sample) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    char size[32], time[32];
    if (sample->info.steps == 0) {
        fprintf(stderr, "nauha: cannot estimate, because no step was recorded\n");
        return EXIT_FAILED;
    }
    uint64_t all = tell_kinds(sample);
    printf("\n%" PRIu64 " steps of this, from a sample of %" PRIu64
           ": %s on disk; a step took %s, recorded\n",
           sample->wanted, sample->info.steps, nauha__size_text(in_all(sample, (double)all), size),
           nauha__duration_text(
               (double)sample->info.duration_ns * 1e-9 / (double)sample->info.steps, time));
    enum nauha_status status = all ? tell_options(sample, all, &err) : NAUHA_OK;
    return status == NAUHA_OK ? EXIT_FINE : nauha__fail(&err);
}

/* ---- the sample ---- */

bool nauha__estimate_wanted(const struct invocation *invocation, uint64_t *steps, int *code) {
    static const char *const senseless[] = {"output", "steps", "limit"};
    if (!nauha__has(invocation, "estimate"))
        return false;
    *steps = nauha__get_number(invocation, "estimate", 0, code);
    if (*code == EXIT_FINE && *steps == 0)
        *code = nauha__usage(invocation->command, "--estimate takes a number of steps above 0");
    for (size_t i = 0; i < sizeof senseless / sizeof *senseless && *code == EXIT_FINE; i++)
        if (nauha__has(invocation, senseless[i]))
            *code = nauha__usage(invocation->command, "--estimate keeps no file: leave out --%s",
                                 senseless[i]);
    return true;
}

bool nauha__estimate_folder(char *folder, size_t bytes) {
    const char *temporary = getenv("TMPDIR");
    nauha__write_path(folder, bytes, temporary && *temporary ? temporary : "/tmp",
                      "nauha-estimate-XXXXXX");
    if (mkdtemp(folder))
        return true;
    fprintf(stderr, "nauha: cannot make \"%s\": %s\n", folder, strerror(errno));
    return false;
}

void nauha__estimate_remove(const char *folder) {
    DIR *open = opendir(folder);
    struct dirent *entry;
    while (open && (entry = readdir(open)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(open), entry->d_name, 0);
    if (open)
        closedir(open);
    rmdir(folder);
}

int nauha__estimate_print(const struct invocation *invocation, const char *trace,
                          const char *folder) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct sample sample = {.invocation = invocation, .names = nauha_names_new()};
    nauha__write_path(sample.path, sizeof sample.path, folder, "estimate-copy.h5");
    enum nauha_status status = sample.names
                                   ? nauha_trace_open(trace, sample.names, &sample.trace, &err)
                                   : nauha_error_nomem(&err);
    int code = EXIT_FINE;
    sample.wanted = nauha__get_number(invocation, "max-steps", 0, &code);
    sample.wanted = sample.wanted ? sample.wanted : STEPS_ESTIMATED;
    if (status == NAUHA_OK) {
        nauha_trace_get_info(sample.trace, &sample.info);
        code = tell(&sample);
    } else {
        code = nauha__fail(&err);
    }
    nauha_trace_close(sample.trace);
    nauha_names_free(sample.names);
    return code;
}
