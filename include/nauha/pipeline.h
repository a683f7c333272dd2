/* SPDX-License-Identifier: MIT */
/* A pipeline: a bus, the subscribers that SPECs name, and the sinks that write what those
 * publish. Fed by a trace (nauha_pipeline_replay) or live (nauha_pipeline_publish as a
 * recorder's tap): the output is the same, byte for byte.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_PIPELINE_H
#define NAUHA_PIPELINE_H

#include "nauha/analyzer.h"
#include "nauha/finding.h"
#include "nauha/processes.h"
#include "nauha/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_pipeline;

/* names is borrowed until nauha_pipeline_free. NULL when out of memory. */
NAUHA_API struct nauha_pipeline *nauha_pipeline_new(struct nauha_names *names);
NAUHA_API void nauha_pipeline_free(struct nauha_pipeline *pipeline);
/* Borrowed: for subscribers of the caller's own. */
NAUHA_API struct nauha_bus *nauha_pipeline_bus(struct nauha_pipeline *pipeline);

/* How many threads compute at replay, besides the caller's that delivers; 1, the default: that one
 * does all. Metrics that look at each module alone (NAUHA_ANALYZER_PER_MODULE, without
 * step_finished, finish and lost) are shared out between the threads by module, and each thread
 * opens the traces once more. Everything else, subscribers of the caller's own too, runs in the
 * caller's thread, and what is published, its order, reports and errors are the same for any
 * number. Live, and while a trace is followed, there is one thread. */
NAUHA_API void nauha_pipeline_set_workers(struct nauha_pipeline *pipeline, uint32_t workers);

/* The same over several processes, in place of threads. Each of them opens the same traces, in the
 * same order, on names of its own, makes a pipeline of the same metrics and replays it, with the
 * same selection. Process 0 has the sinks and publishes everything, as one process would; in the
 * others the call to replay does the work of their part and publishes nothing, and they are not
 * finished. Where one process fails, so does the call in process 0, with its error. processes is
 * borrowed until nauha_pipeline_free. */
NAUHA_API void nauha_pipeline_set_processes(struct nauha_pipeline *pipeline,
                                            const struct nauha_processes *processes);

/* Adds an analyzer that SPECs may then name, besides those built in; borrowed until
 * nauha_pipeline_free. VERSION: another ABI, or larger than this one's. INVALID: too small, a
 * malformed name or table, a callback missing, or a name that is taken. */
NAUHA_API enum nauha_status nauha_pipeline_add_analyzer(struct nauha_pipeline *pipeline,
                                                        const struct nauha_analyzer *analyzer,
                                                        struct nauha_error *err);

/* Whether SPECs may name this very descriptor. */
NAUHA_API bool nauha_pipeline_has_analyzer(const struct nauha_pipeline *pipeline,
                                           const struct nauha_analyzer *analyzer);

/* The analyzers that SPECs may name, by position; NULL past the end. Borrowed. */
NAUHA_API const struct nauha_analyzer *
nauha_pipeline_analyzer(const struct nauha_pipeline *pipeline, size_t position);

/* Offers analyzers something by a name that they know (nauha_host.service); name and service are
 * borrowed until nauha_pipeline_free. STATE: the pipeline has started. INVALID: the name is taken.
 * LIMIT: four are offered already. */
NAUHA_API enum nauha_status nauha_pipeline_offer(struct nauha_pipeline *pipeline, const char *name,
                                                 const void *service, struct nauha_error *err);

/* For a source that publishes passes anew on the pipeline's bus: recorded and live messages whose
 * tag is not "default" are left out. */
NAUHA_API void nauha_pipeline_set_recomputed(struct nauha_pipeline *pipeline, bool recomputed);

/* Adds the metric of a SPEC. Besides the analyzer's own, every metric takes the keys subsample=N,
 * every=N, tag=T, ylims=LOW:HIGH and log=0|1. UNKNOWN: no such metric or key, listing those there
 * are; INVALID: kinds or values that do not fit, saying what does. Kinds are looked up when the
 * pipeline starts, so the order of metrics that feed on each other does not matter. */
NAUHA_API enum nauha_status nauha_pipeline_add_metric(struct nauha_pipeline *pipeline,
                                                      const char *spec, struct nauha_error *err);

/* The keys every metric takes, for help. */
NAUHA_API const struct nauha_analyzer_parameter *nauha_pipeline_common_keys(size_t *count);

/* Adds a sink by one of the names of nauha_pipeline_sinks: "csv" writes directory/SERIES.csv, one
 * for each topic the metrics publish, with the columns
 *   global_step,train_step,epoch,rank,tag,module,slot,call,value
 * or, for histograms, one row per bin with bin_low,bin_high,count in place of value; "gnuplot"
 * adds SERIES.gp, .svg and .png (csv is then implied); "tensorboard" writes an event file of
 * TensorBoard's in the directory, in directory/RUN where runs are named, and in rankN below that
 * for the ranks of a distributed training, with tags SERIES/MODULE. directory NULL: csv to standard
 * output as one table, with a leading column metric and, where any metric publishes histograms,
 * value and the three columns of bins on every row, empty where they do not apply. The directory is
 * made. Files get their final names when the run has finished; a script SERIES.gp that somebody
 * edited is kept as SERIES.edited.gp. Event files are written in place, and replace those of an
 * earlier run. UNKNOWN: no such sink, listing them. INVALID: no directory, and the sink
 * cannot write to standard output. */
NAUHA_API enum nauha_status nauha_pipeline_add_sink(struct nauha_pipeline *pipeline,
                                                    const char *name, const char *directory,
                                                    struct nauha_error *err);
/* NULL-terminated names of the sinks. */
NAUHA_API const char *const *nauha_pipeline_sinks(void);

/* A fact about the training, for sinks that show them: "model", "resnet". Copied. STATE: the
 * pipeline has started. */
NAUHA_API enum nauha_status nauha_pipeline_describe(struct nauha_pipeline *pipeline,
                                                    const char *key, const char *value,
                                                    struct nauha_error *err);
/* The facts that a trace has, when it was recorded, and of how many ranks; for any one of those
 * that will be replayed. Without this, the time of the first message is taken for now. */
NAUHA_API enum nauha_status nauha_pipeline_describe_trace(struct nauha_pipeline *pipeline,
                                                          const struct nauha_trace *trace,
                                                          struct nauha_error *err);

/* The largest recorded tensor that metrics may have in one piece, "64M"; "0": any. See
 * nauha_bus_set_tensor_limit. INVALID: not a size. */
NAUHA_API enum nauha_status nauha_pipeline_set_tensor_limit(struct nauha_pipeline *pipeline,
                                                            const char *size,
                                                            struct nauha_error *err);

/* Makes the subscriptions and opens the sinks' files; nothing can be added afterwards. Kinds that
 * are in the names by now, from a trace or a front end, are topics. UNKNOWN: a metric's kind is no
 * topic, naming both and listing the topics. INVALID: two metrics write the same series. IO. */
NAUHA_API enum nauha_status nauha_pipeline_start(struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

/* One live message; a nauha_message_fn, with the pipeline as its context. Only events and kinds
 * that some subscription wants reach the bus, as at replay. */
NAUHA_API enum nauha_status nauha_pipeline_publish(void *pipeline, struct nauha_message *message,
                                                   struct nauha_error *err);

/* Feeds the chosen messages of a trace (opened on the pipeline's names) that some subscription
 * wants; the others are not decoded. Events come through whatever kinds are chosen: they end the
 * steps. Damaged messages are left out, and told by nauha_pipeline_report; on a strict bus they are
 * an error (DAMAGED). progress may be NULL; it is called some twenty times a second. */
NAUHA_API enum nauha_status nauha_pipeline_replay(struct nauha_pipeline *pipeline,
                                                  struct nauha_trace *trace,
                                                  const struct nauha_selector *selector,
                                                  nauha_progress_fn progress, void *context,
                                                  struct nauha_error *err);

/* The same for several traces of one training, one of each rank, opened on the pipeline's names:
 * step by step, and within a step rank by rank. A rank whose trace has no messages of a step
 * gives none. INVALID: as nauha_pipeline_check_ranks. */
NAUHA_API enum nauha_status
nauha_pipeline_replay_ranks(struct nauha_pipeline *pipeline, struct nauha_trace *const *traces,
                            size_t count, const struct nauha_selector *selector,
                            nauha_progress_fn progress, void *context, struct nauha_error *err);

/* The same for traces that are being written, until every writer has closed its trace or died; then
 * nauha_trace_get_info tells which. What is computed is what a replay after the end computes. The
 * callback is called some twenty times a second, and with `waiting` whenever all that can be read
 * has been delivered and the sinks' output flushed: then it takes its time, and the traces are
 * looked at again when it returns. It returns false to end. Kinds that a metric names must be in
 * the names at the start. */
typedef bool (*nauha_follow_fn)(void *context, bool waiting, uint64_t done, uint64_t total);
NAUHA_API enum nauha_status nauha_pipeline_follow(struct nauha_pipeline *pipeline,
                                                  struct nauha_trace *const *traces, size_t count,
                                                  const struct nauha_selector *selector,
                                                  nauha_follow_fn callback, void *context,
                                                  struct nauha_error *err);

/* Whether these traces can be replayed together, to be asked before sinks open their files.
 * INVALID: two are of the same rank, or of trainings of different sizes, naming both. */
NAUHA_API enum nauha_status nauha_pipeline_check_ranks(struct nauha_trace *const *traces,
                                                       size_t count, struct nauha_error *err);

/* Ends the run and puts the sinks' files in place. UNAVAILABLE: gnuplot is not installed or
 * failed; CSV files and scripts are in place. After a failed publish or replay do not call this:
 * free the pipeline, and what was written so far stays under its .partial names. */
NAUHA_API enum nauha_status nauha_pipeline_finish(struct nauha_pipeline *pipeline,
                                                  struct nauha_error *err);

/* Whom nauha_pipeline_finish tells, some fifty times a second, how many pictures are drawn and how
 * many are to be; NULL: nobody. Call it when the sinks are added. */
NAUHA_API void nauha_pipeline_watch_finish(struct nauha_pipeline *pipeline,
                                           nauha_progress_fn progress, void *context);

/* Several trainings into the same series, one run after the other, each through a pipeline of its
 * own: metrics begin anew, and names may mean something else. Every run is named before its
 * pipeline starts; each CSV then ends with a column `run`, and pictures have a line for each. The
 * first pipeline is given the sinks; nauha_pipeline_finish_into ends its run and hands them on to
 * the next, which was given the same metrics and has not started (INVALID at its start: they
 * publish other series than before); the last one ends with nauha_pipeline_finish. Pipelines are
 * freed after those that took over from them. name is copied. STATE: called out of this order. */
NAUHA_API enum nauha_status nauha_pipeline_set_run(struct nauha_pipeline *pipeline,
                                                   const char *name, struct nauha_error *err);
NAUHA_API enum nauha_status nauha_pipeline_finish_into(struct nauha_pipeline *pipeline,
                                                       struct nauha_pipeline *next,
                                                       struct nauha_error *err);

/* How many topics the metrics publish, once the pipeline has started, and each one's kind, by
 * position in the order of the metrics; *series is its name in files and tables, *tag that of its
 * messages, both borrowed until nauha_pipeline_free. NAUHA_NONE past the end. */
NAUHA_API size_t nauha_pipeline_topics(const struct nauha_pipeline *pipeline);
NAUHA_API uint32_t nauha_pipeline_topic(const struct nauha_pipeline *pipeline, size_t position,
                                        const char **series, const char **tag);

/* ---- health rules ---- */

/* What the rules among the metrics have found so far, in the order it was first seen. */
NAUHA_API size_t nauha_pipeline_findings(const struct nauha_pipeline *pipeline);
/* False past the end. */
NAUHA_API bool nauha_pipeline_finding(const struct nauha_pipeline *pipeline, size_t position,
                                      struct nauha_finding *finding);

/* Called when something is found for the first time, in the publishing thread; NULL: nobody. */
typedef void (*nauha_finding_fn)(void *context, const struct nauha_finding *finding);
NAUHA_API void nauha_pipeline_on_finding(struct nauha_pipeline *pipeline, nauha_finding_fn fn,
                                         void *context);

/* The metrics in the order they were added; false past the end. Strings are borrowed until
 * nauha_pipeline_free. */
struct nauha_metric_info {
    const char *spec;
    const struct nauha_analyzer *analyzer;
    uint64_t bundles;        /* that came to it so far */
    const char *missing_tag; /* it asks for messages of this tag, and none came; NULL: of all */
    size_t topics;           /* so many of nauha_pipeline_topics are its, behind those before it */
};
NAUHA_API bool nauha_pipeline_metric(const struct nauha_pipeline *pipeline, size_t position,
                                     struct nauha_metric_info *info);

/* Calls line for each file written and for each thing the user should know. */
NAUHA_API void nauha_pipeline_report(const struct nauha_pipeline *pipeline,
                                     void (*line)(void *context, const char *text), void *context);

#ifdef __cplusplus
}
#endif
#endif
