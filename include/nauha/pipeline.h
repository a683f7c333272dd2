/* SPDX-License-Identifier: MIT */
/* A pipeline: a bus, the metrics on it, which SPECs name, and the sinks, which write what the
 * metrics publish. Its messages come from a trace (nauha_pipeline_replay) or from a running
 * training (nauha_pipeline_publish as the tap of a recorder), with the same output, byte for byte.
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

/* names is borrowed until nauha_pipeline_free. NULL when out of memory. Caller owns, release with
 * nauha_pipeline_free. */
NAUHA_API struct nauha_pipeline *nauha_pipeline_new(struct nauha_names *names);
NAUHA_API void nauha_pipeline_free(struct nauha_pipeline *pipeline);
/* The bus, to which the caller may add subscribers; borrowed until nauha_pipeline_free. */
NAUHA_API struct nauha_bus *nauha_pipeline_bus(struct nauha_pipeline *pipeline);

/* Sets the number of worker threads of a replay; 1, the default: the calling thread does all the
 * work. The workers compute the metrics that look at each module alone (see
 * NAUHA_ANALYZER_PER_MODULE), each for a part of the modules, and each opens the traces once more.
 * Everything else runs in the calling thread, and results, their order, reports and errors do not
 * depend on the number. A live run and nauha_pipeline_follow use the calling thread only. */
NAUHA_API void nauha_pipeline_set_workers(struct nauha_pipeline *pipeline, uint32_t workers);

/* Uses several processes instead of threads. Each of them opens the same traces in the same order
 * on its own names, creates a pipeline with the same metrics, and replays the same selection.
 * Process 0 has the sinks and publishes all results, as a single process would. In the others the
 * call to replay computes a part of the results and publishes nothing; do not call
 * nauha_pipeline_finish there. If a process fails, the call in process 0 fails with its error.
 * processes is borrowed until nauha_pipeline_free. */
NAUHA_API void nauha_pipeline_set_processes(struct nauha_pipeline *pipeline,
                                            const struct nauha_processes *processes);

/* Adds an analyzer to the built-in ones, so that SPECs can name it. It is borrowed until
 * nauha_pipeline_free. VERSION: its ABI is another one, or its descriptor is larger than that of
 * this library. INVALID: the descriptor is too small or malformed, or its name is taken. STATE: the
 * pipeline has started. */
NAUHA_API enum nauha_status nauha_pipeline_add_analyzer(struct nauha_pipeline *pipeline,
                                                        const struct nauha_analyzer *analyzer,
                                                        struct nauha_error *err);

/* Whether this descriptor is built in or was added. */
NAUHA_API bool nauha_pipeline_has_analyzer(const struct nauha_pipeline *pipeline,
                                           const struct nauha_analyzer *analyzer);

/* The analyzers that SPECs can name, by position; NULL past the end. Borrowed until
 * nauha_pipeline_free. */
NAUHA_API const struct nauha_analyzer *
nauha_pipeline_analyzer(const struct nauha_pipeline *pipeline, size_t position);

/* Offers a service to the analyzers, which ask for it by its name (nauha_host.service). name and
 * service are borrowed until nauha_pipeline_free. STATE: the pipeline has started. INVALID: the
 * name is taken. LIMIT: there are four services already. */
NAUHA_API enum nauha_status nauha_pipeline_offer(struct nauha_pipeline *pipeline, const char *name,
                                                 const void *service, struct nauha_error *err);

/* Ignores messages of the trace or the training whose tag is not "default", because another source
 * computes those passes again and publishes them on the pipeline's bus. */
NAUHA_API void nauha_pipeline_set_recomputed(struct nauha_pipeline *pipeline, bool recomputed);

/* Adds the metric of a SPEC. Besides the keys of its analyzer, every metric accepts subsample=N,
 * every=N, tag=T, ylims=LOW:HIGH and log=0|1. Kinds are looked up when the pipeline starts, so that
 * metrics which read each other's results may be added in any order. UNKNOWN: there is no such
 * analyzer or key; err lists those there are. INVALID: the kinds or values do not fit; err says
 * which do. STATE: the pipeline has started. */
NAUHA_API enum nauha_status nauha_pipeline_add_metric(struct nauha_pipeline *pipeline,
                                                      const char *spec, struct nauha_error *err);

/* The keys that every metric accepts, for help. */
NAUHA_API const struct nauha_analyzer_parameter *nauha_pipeline_common_keys(size_t *count);

/* Adds a sink, which writes files to a directory that is made if it does not exist:
 *
 *   csv          SERIES.csv for each topic that the metrics publish, with the columns
 *                global_step,train_step,epoch,rank,tag,module,slot,call,value; for histograms one
 *                row per bin, with bin_low,bin_high,count in place of value
 *   gnuplot      the CSV files, and a script SERIES.gp and pictures SERIES.svg and SERIES.png
 *   tensorboard  an event file of TensorBoard with the tags SERIES/MODULE; in the subdirectory RUN
 *                if runs are named, and below that in rankN for each rank of a distributed training
 *
 * With directory NULL, csv writes a single table to standard output, with a first column metric; if
 * a metric publishes histograms, each row has value and the three columns of bins, of which those
 * that do not apply are empty. CSV files and scripts get their final names when the run has
 * finished; a script that somebody edited is kept as SERIES.edited.gp. Event files have their final
 * names at once, and replace those of an earlier run. UNKNOWN: there is no such sink; err lists
 * them. INVALID: the sink needs a directory. STATE: the pipeline has started. */
NAUHA_API enum nauha_status nauha_pipeline_add_sink(struct nauha_pipeline *pipeline,
                                                    const char *name, const char *directory,
                                                    struct nauha_error *err);
/* The names of the sinks, ending with NULL. */
NAUHA_API const char *const *nauha_pipeline_sinks(void);

/* Adds a fact about the training, such as "model" and "resnet", for sinks that show facts. Copied.
 * STATE: the pipeline has started. */
NAUHA_API enum nauha_status nauha_pipeline_describe(struct nauha_pipeline *pipeline,
                                                    const char *key, const char *value,
                                                    struct nauha_error *err);
/* Adds the facts of a trace, its date and the number of ranks. Call it for one of the traces that
 * will be replayed. Without it, sinks that need a date assume that the training begins now. */
NAUHA_API enum nauha_status nauha_pipeline_describe_trace(struct nauha_pipeline *pipeline,
                                                          const struct nauha_trace *trace,
                                                          struct nauha_error *err);

/* Sets the size, such as "64M", of the largest recorded tensor that metrics can read as a whole;
 * "0": no limit. See nauha_bus_set_tensor_limit. INVALID: not a size. */
NAUHA_API enum nauha_status nauha_pipeline_set_tensor_limit(struct nauha_pipeline *pipeline,
                                                            const char *size,
                                                            struct nauha_error *err);

/* Creates the metrics, subscribes them and opens the files of the sinks; afterwards nothing can be
 * added. All kinds that are in the names at this time become topics. UNKNOWN: a kind of a metric is
 * not a topic; err lists the topics. INVALID: two metrics write the same series, or a metric reads
 * its own results. IO. */
NAUHA_API enum nauha_status nauha_pipeline_start(struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

/* Publishes a live message: a nauha_message_fn whose context is the pipeline. As at replay, only
 * events and kinds that have a subscription reach the bus. */
NAUHA_API enum nauha_status nauha_pipeline_publish(void *pipeline, struct nauha_message *message,
                                                   struct nauha_error *err);

/* Publishes a message that was made again at replay: these elements, contiguous, with the stamps of
 * a recorded message, or of one that is like it. kind, tag, module and slot in *stamps are numbers
 * of the pipeline's names; its strings, and what it says of the tensor, are ignored. All is
 * borrowed for the call. Fails as nauha_pipeline_publish. */
NAUHA_API enum nauha_status nauha_pipeline_publish_made(struct nauha_pipeline *pipeline,
                                                        const struct nauha_message_info *stamps,
                                                        const struct nauha_tensor *tensor,
                                                        struct nauha_error *err);

/* Publishes the selected messages of a trace, which was opened on the pipeline's names. Messages
 * that have no subscription are not decoded. Events are published whatever kinds are selected,
 * because they end the steps. Damaged messages are left out, and nauha_pipeline_report says so; on
 * a strict bus they are an error (DAMAGED). progress is called at most twenty times a second and
 * may be NULL. */
NAUHA_API enum nauha_status nauha_pipeline_replay(struct nauha_pipeline *pipeline,
                                                  struct nauha_trace *trace,
                                                  const struct nauha_selector *selector,
                                                  nauha_progress_fn progress, void *context,
                                                  struct nauha_error *err);

/* The same for the traces of the ranks of one training, all opened on the pipeline's names: step by
 * step, and within a step rank by rank. INVALID: as nauha_pipeline_check_ranks. */
NAUHA_API enum nauha_status
nauha_pipeline_replay_ranks(struct nauha_pipeline *pipeline, struct nauha_trace *const *traces,
                            size_t count, const struct nauha_selector *selector,
                            nauha_progress_fn progress, void *context, struct nauha_error *err);

/* The same for traces that are being written, until every writer has closed its trace or died;
 * nauha_trace_get_info tells which. The results are those of a replay after the end. The callback
 * is called at most twenty times a second, and also, with `waiting` true, whenever all messages
 * have been delivered and the output of the sinks is flushed. It should then sleep for a while:
 * when it returns, the traces are read again. It returns false to end the call. The kinds that
 * metrics name must be in the names when the pipeline starts. */
typedef bool (*nauha_follow_fn)(void *context, bool waiting, uint64_t done, uint64_t total);
NAUHA_API enum nauha_status nauha_pipeline_follow(struct nauha_pipeline *pipeline,
                                                  struct nauha_trace *const *traces, size_t count,
                                                  const struct nauha_selector *selector,
                                                  nauha_follow_fn callback, void *context,
                                                  struct nauha_error *err);

/* Checks that traces can be replayed together. Call it before nauha_pipeline_start. INVALID: two of
 * them have the same rank and were not given to nauha_trace_join, or have different numbers of
 * ranks; err names both. */
NAUHA_API enum nauha_status nauha_pipeline_check_ranks(struct nauha_trace *const *traces,
                                                       size_t count, struct nauha_error *err);

/* Ends the run and gives the sinks' files their final names. Do not call it after a publish or a
 * replay that failed, but free the pipeline: the files then keep their names SERIES.csv.partial.
 * UNAVAILABLE: gnuplot is not installed or failed; CSV files and scripts are complete. */
NAUHA_API enum nauha_status nauha_pipeline_finish(struct nauha_pipeline *pipeline,
                                                  struct nauha_error *err);

/* Sets the function that nauha_pipeline_finish calls some fifty times a second, with the number of
 * pictures that are drawn and of all; NULL: none. Call it after the sinks are added. */
NAUHA_API void nauha_pipeline_watch_finish(struct nauha_pipeline *pipeline,
                                           nauha_progress_fn progress, void *context);

/* Several trainings can write the same series, one after the other. Each has its own pipeline, with
 * its own names, and a name of its run, which is set before the pipeline starts; name is copied.
 * Each CSV then ends with a column `run`, and pictures have a line for each run. Sinks are added to
 * the first pipeline. nauha_pipeline_finish_into ends its run and hands the sinks over to `next`,
 * which has the same metrics and has not started; if its metrics write other series, its start
 * fails (INVALID). The last pipeline ends with nauha_pipeline_finish. Free a pipeline after the one
 * that took over its sinks. STATE: called in another order. */
NAUHA_API enum nauha_status nauha_pipeline_set_run(struct nauha_pipeline *pipeline,
                                                   const char *name, struct nauha_error *err);
NAUHA_API enum nauha_status nauha_pipeline_finish_into(struct nauha_pipeline *pipeline,
                                                       struct nauha_pipeline *next,
                                                       struct nauha_error *err);

/* The number of topics that the metrics publish, after the pipeline has started; and the kind of
 * each, by position in the order of the metrics, NAUHA_NONE past the end. *series is its name in
 * files and tables, *tag the tag of its messages; both are borrowed until nauha_pipeline_free. */
NAUHA_API size_t nauha_pipeline_topics(const struct nauha_pipeline *pipeline);
NAUHA_API uint32_t nauha_pipeline_topic(const struct nauha_pipeline *pipeline, size_t position,
                                        const char **series, const char **tag);

/* ---- health rules ---- */

/* The number of findings of the rules among the metrics so far. */
NAUHA_API size_t nauha_pipeline_findings(const struct nauha_pipeline *pipeline);
/* A finding by position, in the order in which they were first reported; false past the end. */
NAUHA_API bool nauha_pipeline_finding(const struct nauha_pipeline *pipeline, size_t position,
                                      struct nauha_finding *finding);

/* Sets the function that is called, in the publishing thread, when a finding is reported for the
 * first time; NULL: none. */
typedef void (*nauha_finding_fn)(void *context, const struct nauha_finding *finding);
NAUHA_API void nauha_pipeline_on_finding(struct nauha_pipeline *pipeline, nauha_finding_fn fn,
                                         void *context);

/* ---- failures of metrics ---- */

/* A metric or rule that fails is ended: it receives nothing more, what it has published stays, and
 * all others go on. Metrics that read its results go on with what there was. But on a strict bus,
 * and where a trace cannot be read or a sink cannot be written, the call that fails is the
 * pipeline's.
 *
 * Calls line, unless it is NULL, once for each metric that has failed, in the order of the metrics:
 * `metric "loss" failed at step 3, "loss" of the network: WHY`. Returns how many there are. */
NAUHA_API size_t nauha_pipeline_failures(const struct nauha_pipeline *pipeline,
                                         void (*line)(void *context, const char *text),
                                         void *context);

/* Sets the function that is called, in the publishing thread, when a metric fails, with the line of
 * nauha_pipeline_failures; NULL: none. True: the others go on; false: the publishing call fails. */
typedef bool (*nauha_failure_fn)(void *context, const char *text);
NAUHA_API void nauha_pipeline_on_failure(struct nauha_pipeline *pipeline, nauha_failure_fn fn,
                                         void *context);

/* What is known of a metric. Strings are borrowed until nauha_pipeline_free. */
struct nauha_metric_info {
    const char *spec;
    const struct nauha_analyzer *analyzer;
    uint64_t bundles;        /* that it has received so far */
    const char *missing_tag; /* a tag of which it wants messages and has received none; or NULL */
    const char *failure;     /* "failed at step 3, ...: WHY"; NULL: it has not failed */
    size_t topics;           /* how many of nauha_pipeline_topics it publishes */
};
/* The metrics by position, in the order in which they were added; false past the end. */
NAUHA_API bool nauha_pipeline_metric(const struct nauha_pipeline *pipeline, size_t position,
                                     struct nauha_metric_info *info);

/* Calls line for each remark to the user after a run: those of metrics, such as that there is no
 * accuracy for the labels of a regression, and those of nauha_bus_report. */
NAUHA_API void nauha_pipeline_remarks(const struct nauha_pipeline *pipeline,
                                      void (*line)(void *context, const char *text), void *context);
/* Calls line for each file that was written and for each remark to the user. */
NAUHA_API void nauha_pipeline_report(const struct nauha_pipeline *pipeline,
                                     void (*line)(void *context, const char *text), void *context);

#ifdef __cplusplus
}
#endif
#endif
