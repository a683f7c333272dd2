/* SPDX-License-Identifier: MIT */
/* The analyzer ABI: what one metric tells its host and what the host offers it.
 *
 * An analyzer is one descriptor. The host parses SPECs (NAME:KIND[,KIND...][:key=value...])
 * against it, makes the subscription, and calls it with bundles; the analyzer publishes through
 * the host. It calls nothing of nauha but the functions in struct nauha_host, so the same source
 * is built in or loaded as a plugin.
 *
 * Threads: one instance is called from one thread at a time.
 */
#ifndef NAUHA_ANALYZER_H
#define NAUHA_ANALYZER_H

#include <stddef.h>

#include "nauha/bus.h"
#include "nauha/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What may change without another NAUHA_ANALYZER_ABI: functions are added at the end of struct
 * nauha_host, members at the end of struct nauha_analyzer, constants at the end of enums. The other
 * structs stay as they are. A host takes descriptors of its number that are as large as its own or
 * smaller (what they lack is NULL), and refuses all others, saying why. */

/* Whether a host is new enough to have a function: those from `subscribe` on may be missing. */
#define NAUHA_HOST_HAS(host, function)                                                             \
    ((host)->size >= offsetof(struct nauha_host, function) + sizeof((host)->function))

/* ---- what the host offers ---- */

struct nauha_host {
    uint32_t abi;
    uint32_t size; /* sizeof(struct nauha_host) of the host */
    void *context; /* the host's */

    /* Registers a topic this instance publishes. `plot` may be NULL; the user's ylims= and log=
     * keys replace what it says. */
    enum nauha_status (*register_topic)(const struct nauha_host *host, const char *name,
                                        enum nauha_scope scope, enum nauha_form form,
                                        const struct nauha_plot *plot, uint32_t *topic,
                                        struct nauha_error *err);
    enum nauha_status (*publish_scalar)(const struct nauha_host *host, uint32_t topic,
                                        const struct nauha_message_info *stamps, double value,
                                        struct nauha_error *err);
    enum nauha_status (*publish_histogram)(const struct nauha_host *host, uint32_t topic,
                                           const struct nauha_message_info *stamps,
                                           const double *edges, const uint64_t *counts, size_t bins,
                                           struct nauha_error *err);

    size_t (*bundle_count)(const struct nauha_bundle *bundle);
    struct nauha_message *(*bundle_message)(struct nauha_bundle *bundle, size_t position);
    const struct nauha_message_info *(*info)(const struct nauha_message *message);
    enum nauha_status (*tensor)(struct nauha_message *message, struct nauha_tensor *tensor,
                                struct nauha_error *err);
    enum nauha_status (*stats)(struct nauha_message *message, const struct nauha_stats **stats,
                               struct nauha_error *err);
    double (*sum_powers)(const struct nauha_tensor *tensor, double p);
    void (*to_f64)(const struct nauha_tensor *tensor, size_t first, size_t n, double *out);
    /* Sets the error and returns its code: `return host->fail(err, NAUHA_INVALID, "...")`. */
    enum nauha_status (*fail)(struct nauha_error *err, enum nauha_status code, const char *format,
                              ...) NAUHA_PRINTF(3, 4);
    /* Visits the elements in order, in pieces of one dimension that are each a multiple of
     * NAUHA_PIECE_ELEMENTS long but for the last: how a metric reduces a tensor that `tensor` may
     * refuse for its size. See nauha_message_for_each_piece. */
    enum nauha_status (*for_each_piece)(struct nauha_message *message, nauha_piece_fn fn,
                                        void *context, struct nauha_error *err);
    /* Sum of |x|^p over the elements, for any p > 0; as sum_powers, of tensors of any size. */
    enum nauha_status (*sum_powers_of)(struct nauha_message *message, double p, double *sum,
                                       struct nauha_error *err);

    /* In `create` only: bundles of these kinds and this tag come to `compute`, too, besides those
     * of the SPEC, and with its subsampling; info's kind and tag tell them apart. Strings are
     * copied. STATE: not in `create`. */
    enum nauha_status (*subscribe)(const struct nauha_host *host, const char *const *kinds,
                                   size_t count, const char *tag, bool synchronized,
                                   struct nauha_error *err);
    /* For rules (NAUHA_ANALYZER_RULE): what was measured at these stamps is beyond what it may be.
     * `measure` says what that is ("mean |gradient|"), `meaning`, one sentence, what it usually
     * comes from. Both are copied. Findings that agree in them and in kind, tag, module, slot and
     * rank are told as one, with its first and last step. STATE: the analyzer is no rule. */
    enum nauha_status (*finding)(const struct nauha_host *host,
                                 const struct nauha_message_info *stamps, double value,
                                 double threshold, const char *measure, const char *meaning,
                                 struct nauha_error *err);
    /* As `stats`, but only what is asked for, of enum nauha_statistics, is certain to be set
     * besides the count. See nauha_message_stats_of. */
    enum nauha_status (*stats_of)(struct nauha_message *message, unsigned which,
                                  const struct nauha_stats **stats, struct nauha_error *err);

    /* What the host has besides messages, by name, such as the network (nauha/network.h); NULL
     * where it does not have it. Stays valid as the host does. */
    const void *(*service)(const struct nauha_host *host, const char *name);

    /* Why nothing is made of some messages, which is no failure: told once, with the metric's
     * SPEC, after the run. The first counts; the text is copied. Of an analyzer that several
     * threads share out it is not heard. */
    void (*remark)(const struct nauha_host *host, const char *text);
};

/* What an analyzer returns that finds no memory. */
#define NAUHA_HOST_NOMEM(host, err) (host)->fail((err), NAUHA_NOMEM, "out of memory")

/* ---- what an analyzer tells ---- */

enum nauha_parameter_type {
    NAUHA_PARAMETER_INTEGER,
    NAUHA_PARAMETER_REAL,  /* also "inf" and "-inf" */
    NAUHA_PARAMETER_RANGE, /* LOW:HIGH, either end may be missing (NaN) */
    NAUHA_PARAMETER_TEXT,
    NAUHA_PARAMETER_LIST /* one or more REALs with commas between them */
};

/* One key the analyzer takes; the host validates type and bounds. */
struct nauha_analyzer_parameter {
    const char *key;
    enum nauha_parameter_type type;
    const char *fallback; /* default as text; NULL for none: must be given */
    double low, high;     /* bounds of INTEGER, REAL and the items of LIST, inclusive */
    const char *help;
};

/* A value of one parameter, in the order of the descriptor's table. */
union nauha_value {
    int64_t integer;
    double real;
    struct {
        double low, high;
    } range;
    const char *text; /* borrowed until `create` returns */
    struct {
        const double *items; /* borrowed until `create` returns */
        size_t count;
    } list;
};

struct nauha_analyzer_config {
    const char *const *kinds; /* as the SPEC gave them, or the descriptor's defaults */
    size_t kind_count;
    const union nauha_value *values;
};

enum nauha_analyzer_flags {
    /* all kinds of one key and step come as one bundle; else each message alone */
    NAUHA_ANALYZER_SYNCHRONIZED = 1u << 0,
    /* What is computed for one module never depends on another's messages. Where the analyzer also
     * publishes in compute alone (no step_finished, finish, lost), subscribes to nothing more and
     * is no rule, a replay on several threads makes an instance in each of them, for some modules.
     */
    NAUHA_ANALYZER_PER_MODULE = 1u << 1,
    /* a health rule: reports findings, and is run by `nauha check`, by default on those of its
     * default_kinds that a trace has (all of them, where it is synchronized) */
    NAUHA_ANALYZER_RULE = 1u << 2,
    /* Nor does what is computed for one kind depend on another's messages: threads may share out
     * the kinds of a module, too. Not together with SYNCHRONIZED. */
    NAUHA_ANALYZER_PER_KIND = 1u << 3
};

struct nauha_analyzer {
    uint32_t abi;  /* NAUHA_ANALYZER_ABI */
    uint32_t size; /* sizeof(struct nauha_analyzer) */
    const char *name;
    const char *summary; /* one sentence, no full stop */
    const char *formula; /* the definition and its source, for help and docs */
    uint32_t flags;
    uint32_t min_kinds, max_kinds;    /* kinds the SPEC must give; both 0: fixed by default_kinds */
    const char *const *default_kinds; /* NULL-terminated; NULL where the SPEC gives them */
    const struct nauha_analyzer_parameter *parameters;
    size_t parameter_count;

    /* Makes an instance: registers the topics it publishes. host stays valid for its life. */
    enum nauha_status (*create)(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err);
    enum nauha_status (*compute)(void *self, struct nauha_bundle *bundle, struct nauha_error *err);
    enum nauha_status (*step_finished)(void *self, uint64_t global_step,
                                       struct nauha_error *err);      /* may be NULL */
    enum nauha_status (*finish)(void *self, struct nauha_error *err); /* may be NULL */
    void (*destroy)(void *self);
    /* As a subscriber's of nauha/bus.h; may be NULL */
    enum nauha_status (*lost)(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err);
    /* What `compute` costs for a byte of its messages, about, by what a norm costs; 0: as much.
     * Threads share out their work by it, and nothing else depends on it. */
    uint32_t cost;
};

/* A metric's source ends with NAUHA_ANALYZER(norm) = {...}; built in, it defines
 * nauha_analyzer_norm; built with -DNAUHA_PLUGIN, the symbol that the host looks up. */
#ifdef NAUHA_PLUGIN
#define NAUHA_ANALYZER(id) NAUHA_API const struct nauha_analyzer nauha_plugin_analyzer
#else
#define NAUHA_ANALYZER(id) const struct nauha_analyzer nauha_analyzer_##id
#endif
#define NAUHA_PLUGIN_SYMBOL "nauha_plugin_analyzer"

/* The analyzers built in; the table ends at *count. */
NAUHA_API const struct nauha_analyzer *const *nauha_builtin_analyzers(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
