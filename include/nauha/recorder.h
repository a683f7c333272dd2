/* SPDX-License-Identifier: MIT */
/* The recorder: it takes the messages of a running training and writes them to a trace.
 *
 * The publishing thread stamps a message and copies its tensor into a bounded buffer. Worker
 * threads compress, and one writer thread owns the file. A recorder never exits, prints or installs
 * signal handlers. If it cannot write the file any more, it keeps the first error, which
 * nauha_recorder_failure returns, counts the messages that are lost, and lets the training go on.
 *
 * The calls of a step, and the messages that they publish:
 *
 *     nauha_recorder_begin_step(r, parameters, n, err);   epoch_started, batch_started
 *     nauha_recorder_publish(r, NAUHA_KIND_ACTIVATIONS, module, 0, 0, &tensor, err);  ...
 *     nauha_recorder_end_step(r, parameters_now, n, err);  weights, biases, their updates,
 *                                                          batch_finished
 *
 * begin_step first ends a step that is open, with the same parameters as the values after it. A
 * front end that observes only forward passes therefore need not call end_step.
 *
 * Threads: any thread; a lock serializes the calls. In a child process made by fork, all calls have
 * no effect: only the parent records.
 */
#ifndef NAUHA_RECORDER_H
#define NAUHA_RECORDER_H

#include "nauha/message.h"
#include "nauha/option.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_recorder;
struct nauha_recorder_config;

/* A configuration with the defaults of the option table. NULL when out of memory. Caller owns,
 * release with nauha_recorder_config_free. */
NAUHA_API struct nauha_recorder_config *nauha_recorder_config_new(void);
NAUHA_API void nauha_recorder_config_free(struct nauha_recorder_config *config);

/* The table of the recorder's own keys, such as codec, buffer and hash. The keys of a selector
 * (nauha_selector_options) are accepted as well: they select the messages that are stored. */
NAUHA_API const struct nauha_option *nauha_recorder_options(size_t *count);

/* Sets a key. UNKNOWN: there is no such key; err lists the keys. INVALID: the value cannot be
 * parsed; err says what is expected. */
NAUHA_API enum nauha_status nauha_recorder_config_set(struct nauha_recorder_config *config,
                                                      const char *key, const char *value,
                                                      struct nauha_error *err);

/* Adds a fact about the run, any key and value, such as "model" and "resnet", which the trace
 * keeps. Copied. A fact with the same key is replaced. */
NAUHA_API enum nauha_status nauha_recorder_config_describe(struct nauha_recorder_config *config,
                                                           const char *key, const char *value,
                                                           struct nauha_error *err);
/* The facts, by position; false past the end. Borrowed until the next call that changes config. */
NAUHA_API bool nauha_recorder_config_fact(const struct nauha_recorder_config *config,
                                          size_t position, const char **key, const char **value);
/* The rank of this process in a data-parallel training, and the number of ranks; 0 and 1 by
 * default. INVALID: rank is not below world_size. */
NAUHA_API enum nauha_status nauha_recorder_config_set_rank(struct nauha_recorder_config *config,
                                                           uint32_t rank, uint32_t world_size,
                                                           struct nauha_error *err);

/* A tentative recording gets its name only by nauha_recorder_settle; without that call, close
 * removes the file. For front ends that do not know yet whether what they observe is a training. */
NAUHA_API void nauha_recorder_config_set_tentative(struct nauha_recorder_config *config,
                                                   bool tentative);

/* Opens a recording. config is copied; NULL means the defaults. With path NULL nothing is stored,
 * and messages reach only the tap. Caller owns *recorder, release with nauha_recorder_close.
 *
 * If there is no file at path, or an empty one, the trace has its name when this call returns, so
 * that readers can follow it. If there is a trace at path, it stays until the first step of the new
 * recording has ended (without steps, until the recording is closed). Until then the new trace is
 * called PATH.untrained; then the earlier trace is renamed to PATH.old, where it replaces an older
 * one, or, if the option "overwrite" is on, is replaced itself. A recording that ends before its
 * first step does leaves only the earlier trace. One that is killed may leave PATH.untrained, which
 * the next one replaces. If path is a link, all this applies to its target.
 *
 * INVALID: the file at path is not a trace, and "overwrite" is off; path is not a regular file; the
 * file at PATH.old is not a trace; or path is too long. BUSY: another recorder writes to path. IO,
 * NOMEM. */
NAUHA_API enum nauha_status nauha_recorder_open(const char *path,
                                                const struct nauha_recorder_config *config,
                                                struct nauha_recorder **recorder,
                                                struct nauha_error *err);

/* Fails if nauha_recorder_open would refuse path at this moment, and changes nothing: for programs
 * that work for a long time before they open the recording. */
NAUHA_API enum nauha_status nauha_recorder_check(const char *path,
                                                 const struct nauha_recorder_config *config,
                                                 struct nauha_error *err);

/* Gives the file its name now. If that fails, the recording goes on under the name that the file
 * has, and nauha_recorder_close returns the error again. */
NAUHA_API enum nauha_status nauha_recorder_settle(struct nauha_recorder *recorder,
                                                  struct nauha_error *err);
/* Whether the file has its name; true if nothing is stored. */
NAUHA_API bool nauha_recorder_settled(const struct nauha_recorder *recorder);
/* The present absolute name of the file; NULL if nothing is stored. Borrowed until close. */
NAUHA_API const char *nauha_recorder_path(const struct nauha_recorder *recorder);
/* The absolute name to which an earlier trace was renamed, or NULL. Borrowed until close. */
NAUHA_API const char *nauha_recorder_older(const struct nauha_recorder *recorder);

/* The option "depth": how many levels of a model front ends record; negative: all. */
NAUHA_API int nauha_recorder_depth(const struct nauha_recorder *recorder);

/* The names of this run, borrowed until close. Kinds may be added at any time; those that are added
 * before the first message get streams of their own. */
NAUHA_API struct nauha_names *nauha_recorder_names(struct nauha_recorder *recorder);

/* Calls fn in the publishing thread for every published message, with all its elements, whatever
 * the options leave out of the trace ("kinds", "steps", "samples", "precision", "hash" and the
 * like). fn must not call the recorder. Weights, biases and updates reach it at the end of their
 * step. If fn fails, the publishing call stores its message all the same and then returns the error
 * of fn, once; fn is not called again. STATE: after the first message. */
NAUHA_API enum nauha_status nauha_recorder_tap(struct nauha_recorder *recorder, nauha_message_fn fn,
                                               void *context, struct nauha_error *err);

/* Whether a message of this kind and module (NAUHA_NONE for messages of the network), published
 * now, would be stored or reach the tap, so that a front end need not produce others. False while
 * paused, and for the kind "inputs" unless the option "kinds" names it. */
NAUHA_API bool nauha_recorder_wants(struct nauha_recorder *recorder, uint32_t kind,
                                    uint32_t module);

/* While paused, the recorder counts steps but publishes nothing. */
NAUHA_API void nauha_recorder_pause(struct nauha_recorder *recorder, bool paused);

/* Sets the tag of the messages that follow; 0 is "default". INVALID: not a tag of the names. */
NAUHA_API enum nauha_status nauha_recorder_set_tag(struct nauha_recorder *recorder, uint32_t tag,
                                                   struct nauha_error *err);

/* The value of a parameter; `bias` says whether its kind is biases or weights. Fields that a
 * program does not know are 0: begin with {0}. */
struct nauha_parameter {
    uint32_t module;
    uint32_t slot;
    bool bias;
    uint32_t placement; /* 0: the tensor is whole. Else it is a shard, with the placement that has
                           this number, see nauha_names_add_placement; so is its update */
    struct nauha_tensor tensor;
};

/* Begins the next step: copies the parameters, which have the values of this step's forward pass,
 * and publishes epoch_started in the first step of an epoch, then batch_started. */
NAUHA_API enum nauha_status nauha_recorder_begin_step(struct nauha_recorder *recorder,
                                                      const struct nauha_parameter *parameters,
                                                      size_t count, struct nauha_error *err);

/* Ends the open step; `parameters` have their values after it. Publishes weights and biases as they
 * were at begin_step, then weight_updates and bias_updates, then batch_finished. An update is the
 * value after the step minus the value before, computed in the element type of the tensor; a
 * parameter has one if begin_step was given one with the same module, slot, type, shape and
 * placement. Has no effect without an open step. */
NAUHA_API enum nauha_status nauha_recorder_end_step(struct nauha_recorder *recorder,
                                                    const struct nauha_parameter *parameters,
                                                    size_t count, struct nauha_error *err);

/* Publishes epoch_finished, stamped with the last step; the next step begins a new epoch. Has no
 * effect if the epoch has no steps. STATE: a step is open. */
NAUHA_API enum nauha_status nauha_recorder_epoch_finished(struct nauha_recorder *recorder,
                                                          struct nauha_error *err);

/* Publishes a message. module is NAUHA_NONE for kinds of network scope, tensor is NULL for events,
 * and neither otherwise. tensor is borrowed for the call. A message that is not selected is no
 * error. The call blocks while the buffer is full, if the option "on-full" is "block". INVALID: the
 * names lack kind, module or slot, or the tensor is malformed. Errors of the file are not returned
 * here; see nauha_recorder_failure. */
NAUHA_API enum nauha_status nauha_recorder_publish(struct nauha_recorder *recorder, uint32_t kind,
                                                   uint32_t module, uint32_t slot, uint32_t call,
                                                   const struct nauha_tensor *tensor,
                                                   struct nauha_error *err);

#define NAUHA_FINGERPRINT_WORDS 30u

/* The same for a tensor whose elements are not in this memory, but have a fingerprint: made on a
 * GPU, for example. form: its type and shape; data and strides are not looked at. placement: 0, or
 * as below. words: the fingerprint as docs/format.md has it, of the elements that would be stored:
 * the options "samples" and "precision" are the caller's. The trace then has the hash or the
 * fingerprint, also where elements were asked for; the tap gets no message, and a flight recorder
 * holds no elements. INVALID: as above. */
NAUHA_API enum nauha_status nauha_recorder_publish_fingerprint(
    struct nauha_recorder *recorder, uint32_t kind, uint32_t module, uint32_t slot, uint32_t call,
    const struct nauha_tensor *form, uint32_t placement,
    const uint64_t words[NAUHA_FINGERPRINT_WORDS], struct nauha_error *err);

/* The same for a shard of a tensor that several ranks hold together. placement: its number, see
 * nauha_names_add_placement; 0: the tensor is whole. INVALID also if there is no such placement, or
 * it is one of another shape. */
NAUHA_API enum nauha_status
nauha_recorder_publish_shard(struct nauha_recorder *recorder, uint32_t kind, uint32_t module,
                             uint32_t slot, uint32_t call, const struct nauha_tensor *tensor,
                             uint32_t placement, struct nauha_error *err);

/* Says that a shared parameter, which is recorded as (module, slot), is also known as
 * (alias_module, alias_slot). INVALID: the names lack one of them. NOMEM. */
NAUHA_API enum nauha_status nauha_recorder_alias(struct nauha_recorder *recorder, uint32_t module,
                                                 uint32_t slot, uint32_t alias_module,
                                                 uint32_t alias_slot, struct nauha_error *err);

/* nauha_keeping_except for the messages of a recorder. NOMEM. Any thread. */
NAUHA_API enum nauha_status nauha_recorder_except(struct nauha_recorder *recorder, uint32_t kind,
                                                  uint32_t module, struct nauha_error *err);

/* The number of the open step or, if none is open, of the last one. */
NAUHA_API uint64_t nauha_recorder_global_step(const struct nauha_recorder *recorder);

/* Counts of the messages so far. After nauha_recorder_flush, even if it failed, a reader finds
 * exactly the messages that are not counted as lost. */
struct nauha_recorder_stats {
    uint64_t messages;        /* selected and not lost */
    uint64_t bytes_published; /* uncompressed bytes of their elements */
    uint64_t bytes_stored;    /* bytes of all chunks in the file, as of the last flush */
    uint64_t messages_lost;
    uint64_t bytes_lost;
    uint64_t blocked_ns; /* for which publishing threads waited for room in the buffer */
    uint64_t steps_held; /* how many steps of the option "flight" there was room for */
    uint64_t dumps;      /* how often they were written, see nauha_recorder_dump */
};
NAUHA_API void nauha_recorder_get_stats(struct nauha_recorder *recorder,
                                        struct nauha_recorder_stats *stats);

/* Returns the error that made the recorder stop storing, or NAUHA_OK. Cheap enough to be called in
 * every step. */
NAUHA_API enum nauha_status nauha_recorder_failure(struct nauha_recorder *recorder,
                                                   struct nauha_error *err);

/* Writes the elements of the steps that the option "flight" holds in memory, and keeps those of the
 * open step and of the next ones ("flight-after") in full; has no effect in those. reason: for the
 * trace; up to 199 bytes are kept. The recorder does the same by itself when a loss is not finite
 * after one that was. Any thread, also from the tap: if another call has the recorder at this
 * moment, that call or the next one writes them. Not from a signal handler. STATE: the option is
 * not set. */
NAUHA_API enum nauha_status nauha_recorder_dump(struct nauha_recorder *recorder, const char *reason,
                                                struct nauha_error *err);

/* Waits until all messages published so far are in the file and visible to readers. Fails as
 * nauha_recorder_failure. */
NAUHA_API enum nauha_status nauha_recorder_flush(struct nauha_recorder *recorder,
                                                 struct nauha_error *err);

/* Ends the recording and frees the recorder, also on failure. Of a step that is still open the
 * trace keeps what was published, without its parameters: call end_step first. Returns the first
 * error of the recording. NULL is allowed. */
NAUHA_API enum nauha_status nauha_recorder_close(struct nauha_recorder *recorder,
                                                 struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
