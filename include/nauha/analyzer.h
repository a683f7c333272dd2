/* SPDX-License-Identifier: MIT */
/* The analyzer ABI: what a metric declares, and what its host offers it.
 *
 * An analyzer is a constant descriptor, struct nauha_analyzer. The host parses a SPEC
 * (NAME:KIND[,KIND...][:key=value...]) with the descriptor, creates an instance, subscribes it to
 * the kinds and calls its `compute` with bundles of messages. The instance publishes its results
 * through the host. It calls no functions of nauha but those in struct nauha_host, so that the same
 * source can be built in or loaded as a plugin.
 *
 * Threads: an instance is called by one thread at a time.
 */
#ifndef NAUHA_ANALYZER_H
#define NAUHA_ANALYZER_H

#include <stddef.h>

#include "nauha/bus.h"
#include "nauha/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NAUHA_ANALYZER_ABI stays the same while functions are added at the end of struct nauha_host,
 * members at the end of struct nauha_analyzer, and constants at the end of enums. The other structs
 * do not change. A host accepts a descriptor with its own ABI number that is not larger than the
 * host's struct nauha_analyzer; members that the descriptor lacks count as NULL or 0. */

/* True if the host has this function. An older host may lack `subscribe` and what follows it. */
#define NAUHA_HOST_HAS(host, function)                                                             \
    ((host)->size >= offsetof(struct nauha_host, function) + sizeof((host)->function))

/* ---- what the host offers ---- */

struct nauha_host {
    uint32_t abi;
    uint32_t size; /* sizeof(struct nauha_host) of the host */
    void *context; /* for the host only */

    /* Registers a topic that this instance publishes; call it in `create`. form is SCALAR or
     * HISTOGRAM. plot is copied and may be NULL; the keys ylims= and log= of the SPEC override it.
     * INVALID: another form, or a series name that is no file name or is taken. */
    enum nauha_status (*register_topic)(const struct nauha_host *host, const char *name,
                                        enum nauha_scope scope, enum nauha_form form,
                                        const struct nauha_plot *plot, uint32_t *topic,
                                        struct nauha_error *err);
    /* As nauha_bus_publish_scalar and nauha_bus_publish_histogram. */
    enum nauha_status (*publish_scalar)(const struct nauha_host *host, uint32_t topic,
                                        const struct nauha_message_info *stamps, double value,
                                        struct nauha_error *err);
    enum nauha_status (*publish_histogram)(const struct nauha_host *host, uint32_t topic,
                                           const struct nauha_message_info *stamps,
                                           const double *edges, const uint64_t *counts, size_t bins,
                                           struct nauha_error *err);

    /* As nauha_bundle_count, nauha_bundle_message, nauha_message_info, nauha_message_tensor,
     * nauha_message_stats, nauha_stats_sum_powers and nauha_tensor_to_f64. */
    size_t (*bundle_count)(const struct nauha_bundle *bundle);
    struct nauha_message *(*bundle_message)(struct nauha_bundle *bundle, size_t position);
    const struct nauha_message_info *(*info)(const struct nauha_message *message);
    enum nauha_status (*tensor)(struct nauha_message *message, struct nauha_tensor *tensor,
                                struct nauha_error *err);
    enum nauha_status (*stats)(struct nauha_message *message, const struct nauha_stats **stats,
                               struct nauha_error *err);
    double (*sum_powers)(const struct nauha_tensor *tensor, double p);
    void (*to_f64)(const struct nauha_tensor *tensor, size_t first, size_t n, double *out);
    /* Sets the error and returns its code, as in `return host->fail(err, NAUHA_INVALID, "...")`. */
    enum nauha_status (*fail)(struct nauha_error *err, enum nauha_status code, const char *format,
                              ...) NAUHA_PRINTF(3, 4);
    /* As nauha_message_for_each_piece: visits the elements piece by piece, so that a metric can
     * reduce a tensor that `tensor` refuses because of its size. */
    enum nauha_status (*for_each_piece)(struct nauha_message *message, nauha_piece_fn fn,
                                        void *context, struct nauha_error *err);
    /* As nauha_message_sum_powers: the sum of |x|^p of a tensor of any size, p > 0. */
    enum nauha_status (*sum_powers_of)(struct nauha_message *message, double p, double *sum,
                                       struct nauha_error *err);

    /* In `create` only: subscribes `compute` also to these kinds with this tag (NULL: that of the
     * SPEC), in addition to the kinds of the SPEC. subsample= and every= of the SPEC apply. The
     * kind and tag in a message's info tell which subscription it belongs to. Strings are copied.
     * STATE: not in `create`. */
    enum nauha_status (*subscribe)(const struct nauha_host *host, const char *const *kinds,
                                   size_t count, const char *tag, bool synchronized,
                                   struct nauha_error *err);
    /* For rules (NAUHA_ANALYZER_RULE): reports that `value`, measured at these stamps, is beyond
     * `threshold`. `measure` names the quantity ("mean |gradient|"); `meaning` is one sentence with
     * the usual cause. Both are copied. Findings with the same measure, meaning, kind, tag, module,
     * slot and rank become one struct nauha_finding. STATE: the analyzer is not a rule. */
    enum nauha_status (*finding)(const struct nauha_host *host,
                                 const struct nauha_message_info *stamps, double value,
                                 double threshold, const char *measure, const char *meaning,
                                 struct nauha_error *err);
    /* As nauha_message_stats_of: computes only the groups in `which`, a set of enum
     * nauha_statistics. The other fields, except count, are unspecified. */
    enum nauha_status (*stats_of)(struct nauha_message *message, unsigned which,
                                  const struct nauha_stats **stats, struct nauha_error *err);

    /* Returns a service of the host by its name, such as the network (nauha/network.h), or NULL if
     * the host does not have it. It stays valid as long as the host. */
    const void *(*service)(const struct nauha_host *host, const char *name);

    /* Tells the user why the instance ignored some messages, which is not an error. The host prints
     * the first remark of an instance after the run, with its SPEC. text is copied. The remarks of
     * instances that run in worker threads or other processes (see NAUHA_ANALYZER_PER_MODULE) are
     * not printed. */
    void (*remark)(const struct nauha_host *host, const char *text);

    /* As nauha_message_hash. */
    enum nauha_status (*hash)(struct nauha_message *message, uint64_t hash[2],
                              struct nauha_error *err);
};

/* What an analyzer returns when it is out of memory. */
#define NAUHA_HOST_NOMEM(host, err) (host)->fail((err), NAUHA_NOMEM, "out of memory")

/* ---- what an analyzer declares ---- */

enum nauha_parameter_type {
    NAUHA_PARAMETER_INTEGER,
    NAUHA_PARAMETER_REAL,  /* also "inf" and "-inf" */
    NAUHA_PARAMETER_RANGE, /* LOW:HIGH with LOW < HIGH; an end that is left out is NaN */
    NAUHA_PARAMETER_TEXT,
    NAUHA_PARAMETER_LIST /* one or more REALs, separated by commas */
};

/* One key that the analyzer accepts; the host checks type and bounds. */
struct nauha_analyzer_parameter {
    const char *key;
    enum nauha_parameter_type type;
    const char *fallback; /* default as text; NULL: the SPEC must give a value */
    double low, high;     /* inclusive bounds of an INTEGER, a REAL and each item of a LIST */
    const char *help;
};

/* The value of one parameter. */
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
    const char *const *kinds; /* those of the SPEC, or the descriptor's defaults */
    size_t kind_count;
    const union nauha_value *values; /* one for each row of `parameters`, in the same order */
};

enum nauha_analyzer_flags {
    /* A bundle holds one message of every kind, all of the same step and key (tag, module, slot,
     * call, rank). Without this flag, a bundle holds a single message. */
    NAUHA_ANALYZER_SYNCHRONIZED = 1u << 0,
    /* The result for a module never depends on messages of another module. A replay on several
     * threads then creates an instance in each thread and gives each of them a part of the modules,
     * provided that the analyzer has no step_finished, finish and lost, does not call `subscribe`
     * and is not a rule. */
    NAUHA_ANALYZER_PER_MODULE = 1u << 1,
    /* A health rule: it reports findings, and `nauha check` runs it, by default on those of its
     * default_kinds that the trace has (a synchronized rule needs all of them). */
    NAUHA_ANALYZER_RULE = 1u << 2,
    /* The result for a kind never depends on messages of another kind either, so that threads may
     * also divide the kinds of a module among them. Not to be combined with SYNCHRONIZED. */
    NAUHA_ANALYZER_PER_KIND = 1u << 3,
    /* A rule that expects parameters to change: its findings about parameters that the training
     * froze on purpose are left out. They are those of the fact "frozen" (docs/messages.md). */
    NAUHA_ANALYZER_TRAINED = 1u << 4,
    /* It asks for statistics and hashes alone, so that it gives the same results where a trace has
     * fingerprints in place of elements. */
    NAUHA_ANALYZER_STATISTICS = 1u << 5
};

struct nauha_analyzer {
    uint32_t abi;  /* NAUHA_ANALYZER_ABI */
    uint32_t size; /* sizeof(struct nauha_analyzer) */
    const char *name;
    const char *summary; /* one sentence, no full stop */
    const char *formula; /* the definition and its source, for help and docs */
    uint32_t flags;
    uint32_t min_kinds, max_kinds;    /* how many kinds a SPEC gives; both 0: default_kinds only */
    const char *const *default_kinds; /* ends with NULL; NULL: none, the SPEC must give kinds */
    const struct nauha_analyzer_parameter *parameters;
    size_t parameter_count;

    /* Creates an instance and registers the topics that it publishes. config is borrowed for the
     * call; host stays valid until `destroy` returns. If create fails, destroy is not called. */
    enum nauha_status (*create)(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err);
    /* compute, step_finished, finish and lost are called like the callbacks of the same names in
     * struct nauha_subscriber_ops, nauha/bus.h. */
    enum nauha_status (*compute)(void *self, struct nauha_bundle *bundle, struct nauha_error *err);
    enum nauha_status (*step_finished)(void *self, uint64_t global_step,
                                       struct nauha_error *err);      /* may be NULL */
    enum nauha_status (*finish)(void *self, struct nauha_error *err); /* may be NULL */
    void (*destroy)(void *self);
    enum nauha_status (*lost)(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err); /* may be NULL */
    /* The approximate time of `compute` per byte of its messages, as a multiple of the time of the
     * metric `norm`; 0 means 1. Replay uses it only to divide the work among threads. */
    uint32_t cost;
};

/* The source of a metric ends with NAUHA_ANALYZER(norm) = {...}. This defines nauha_analyzer_norm
 * or, compiled with -DNAUHA_PLUGIN, the symbol that the host looks up in a plugin. */
#ifdef NAUHA_PLUGIN
#define NAUHA_ANALYZER(id) NAUHA_API const struct nauha_analyzer nauha_plugin_analyzer
#else
#define NAUHA_ANALYZER(id) const struct nauha_analyzer nauha_analyzer_##id
#endif
#define NAUHA_PLUGIN_SYMBOL "nauha_plugin_analyzer"

/* The built-in analyzers, *count of them. */
NAUHA_API const struct nauha_analyzer *const *nauha_builtin_analyzers(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
