/* SPDX-License-Identifier: MIT */
/* The recorder: takes the messages of a running training and writes them to a trace.
 *
 * The calling thread stamps a message, copies its tensor into a bounded buffer and goes on;
 * worker threads compress, one writer thread owns the file. A recorder never exits, prints or
 * installs signal handlers. When the file cannot be written any more it keeps the first error,
 * counts what it could not keep, and lets the training go on: nauha_recorder_failure tells.
 *
 * A step looks like this:
 *
 *     nauha_recorder_begin_step(r, parameters, n, err);   epoch_started, batch_started
 *     nauha_recorder_publish(r, NAUHA_KIND_ACTIVATIONS, module, 0, 0, &tensor, err);  ...
 *     nauha_recorder_end_step(r, parameters_now, n, err);  weights, biases, their updates,
 *                                                          batch_finished
 *
 * begin_step ends an open step first, taking the same parameters as the values after it, so a
 * front end that only sees forwards calls begin_step alone.
 *
 * Threads: any thread may publish; calls are serialised inside.
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

/* Defaults as the option table says. NULL when out of memory. Caller owns, release with
 * nauha_recorder_config_free. */
NAUHA_API struct nauha_recorder_config *nauha_recorder_config_new(void);
NAUHA_API void nauha_recorder_config_free(struct nauha_recorder_config *config);

/* The recorder's own keys: depth, codec, buffer, on-full, flush, hash, limit, ... Those of a
 * selector (nauha_selector_options) are taken as well: they choose what is stored. */
NAUHA_API const struct nauha_option *nauha_recorder_options(size_t *count);

/* Sets one key from text. UNKNOWN: no such key, listing the keys. INVALID: a value that does not
 * parse, saying what is expected. */
NAUHA_API enum nauha_status nauha_recorder_config_set(struct nauha_recorder_config *config,
                                                      const char *key, const char *value,
                                                      struct nauha_error *err);

/* Free-form facts about the run, kept in the trace as they are ("model", "command", ...). Copied;
 * an equal key is replaced. */
NAUHA_API enum nauha_status nauha_recorder_config_describe(struct nauha_recorder_config *config,
                                                           const char *key, const char *value,
                                                           struct nauha_error *err);
/* The facts by position; false past the end. Borrowed until the next call that changes config. */
NAUHA_API bool nauha_recorder_config_fact(const struct nauha_recorder_config *config,
                                          size_t position, const char **key, const char **value);
/* This process's place in a data-parallel training; 0 of 1 by default. */
NAUHA_API enum nauha_status nauha_recorder_config_set_rank(struct nauha_recorder_config *config,
                                                           uint32_t rank, uint32_t world_size,
                                                           struct nauha_error *err);

/* Tentative: the file gets its name by nauha_recorder_settle alone, and without it close leaves
 * none: for a front end that cannot know yet whether what it sees is a training. */
NAUHA_API void nauha_recorder_config_set_tentative(struct nauha_recorder_config *config,
                                                   bool tentative);

/* Opens a recording. config is copied and may be NULL: defaults. path NULL: nothing is stored,
 * messages only reach the tap. Caller owns *recorder, release with nauha_recorder_close.
 *
 * What is at path stays until the recording has something to put in its place. Where there is
 * nothing, or an empty file, the file has its name when this returns, so that readers can follow
 * it. Where there is a trace, the file is called PATH.untrained until its first step has ended (a
 * recording without steps: until it is closed); then the trace that was there is renamed PATH.old,
 * in the place of an older one, unless the option "overwrite" is on. A recording that comes to no
 * step leaves nothing but that trace; one that was killed may leave PATH.untrained, which the next
 * replaces. A path that is a link stands for what it points at.
 *
 * INVALID: at path is no trace, and "overwrite" is off; or no regular file; or at PATH.old there is
 * no trace; or the name is too long for these. BUSY: a recorder is writing it. IO, NOMEM. */
NAUHA_API enum nauha_status nauha_recorder_open(const char *path,
                                                const struct nauha_recorder_config *config,
                                                struct nauha_recorder **recorder,
                                                struct nauha_error *err);

/* What nauha_recorder_open would refuse at once, for programs that have long to go until then. It
 * leaves nothing. */
NAUHA_API enum nauha_status nauha_recorder_check(const char *path,
                                                 const struct nauha_recorder_config *config,
                                                 struct nauha_error *err);

/* Gives the file its name now. Once is enough. After a failure the recording goes on, under the
 * name that the file has; close returns it again. */
NAUHA_API enum nauha_status nauha_recorder_settle(struct nauha_recorder *recorder,
                                                  struct nauha_error *err);
/* Whether the file has its name: also where nothing is stored. */
NAUHA_API bool nauha_recorder_settled(const struct nauha_recorder *recorder);
/* The file's absolute name, as of now; NULL: there is none. Borrowed until close. */
NAUHA_API const char *nauha_recorder_path(const struct nauha_recorder *recorder);
/* The absolute name that a trace which was there has been kept under; NULL: none was. Borrowed
 * until close. */
NAUHA_API const char *nauha_recorder_older(const struct nauha_recorder *recorder);

/* How deep front ends descend into a model; negative: all the way. */
NAUHA_API int nauha_recorder_depth(const struct nauha_recorder *recorder);

/* The names of this run; borrowed until close. Kinds added here before the first message get
 * streams of their own, later ones work too. */
NAUHA_API struct nauha_names *nauha_recorder_names(struct nauha_recorder *recorder);

/* Hands every published message, whole and exact, whether or not the trace takes it and whatever
 * it leaves out (options "kinds", "steps", "samples", "precision", "hash" and the like), to fn, in
 * the publishing thread; fn must not call the recorder. Weights, biases and updates come at the end
 * of their step with the values of the model. Call before the first message. A failure of fn is
 * returned from the publishing call, which stores what it was to store all the same; fn is not
 * called again. */
NAUHA_API enum nauha_status nauha_recorder_tap(struct nauha_recorder *recorder, nauha_message_fn fn,
                                               void *context, struct nauha_error *err);

/* Whether a message of this kind and module (NAUHA_NONE for network messages) would be stored or
 * tapped in the step that is open now, so that a front end can skip the work of producing it.
 * False while paused, and for kind "inputs" unless the option "kinds" names it. */
NAUHA_API bool nauha_recorder_wants(struct nauha_recorder *recorder, uint32_t kind,
                                    uint32_t module);

/* Paused: steps are counted, nothing is published. */
NAUHA_API void nauha_recorder_pause(struct nauha_recorder *recorder, bool paused);

/* The tag of the messages that follow; 0 is "default". */
NAUHA_API enum nauha_status nauha_recorder_set_tag(struct nauha_recorder *recorder, uint32_t tag,
                                                   struct nauha_error *err);

/* A parameter's value: `bias` says whether it counts as biases or as weights. */
struct nauha_parameter {
    uint32_t module;
    uint32_t slot;
    bool bias;
    struct nauha_tensor tensor;
};

/* Begins the next step: publishes epoch_started in the first step of an epoch, then
 * batch_started, and keeps a copy of the parameters as they are for this step's forward. */
NAUHA_API enum nauha_status nauha_recorder_begin_step(struct nauha_recorder *recorder,
                                                      const struct nauha_parameter *parameters,
                                                      size_t count, struct nauha_error *err);

/* Ends the open step with the parameters' values after it: publishes weights and biases as they
 * were at begin_step, then weight_updates and bias_updates (after minus before, in the tensor's
 * own type; only where a parameter of that module and slot was there before, with the same type
 * and shape), then batch_finished. Without an open step: nothing. */
NAUHA_API enum nauha_status nauha_recorder_end_step(struct nauha_recorder *recorder,
                                                    const struct nauha_parameter *parameters,
                                                    size_t count, struct nauha_error *err);

/* Publishes epoch_finished, stamped with the last step, and starts the next epoch with the next
 * step. STATE: a step is open. */
NAUHA_API enum nauha_status nauha_recorder_epoch_finished(struct nauha_recorder *recorder,
                                                          struct nauha_error *err);

/* Publishes one message. module is NAUHA_NONE exactly for network kinds; tensor is NULL exactly
 * for events; it is borrowed for the call. Not selected: nothing, NAUHA_OK. Blocks while the
 * buffer is full (on-full block). INVALID: kind, module or slot not in names, or a tensor that
 * is malformed. Problems of the file are not reported here: see nauha_recorder_failure. */
NAUHA_API enum nauha_status nauha_recorder_publish(struct nauha_recorder *recorder, uint32_t kind,
                                                   uint32_t module, uint32_t slot, uint32_t call,
                                                   const struct nauha_tensor *tensor,
                                                   struct nauha_error *err);

/* Another place where the same parameter is used (shared weights): recorded once, under
 * (module, slot), and known to readers as (alias_module, alias_slot) too. */
NAUHA_API enum nauha_status nauha_recorder_alias(struct nauha_recorder *recorder, uint32_t module,
                                                 uint32_t slot, uint32_t alias_module,
                                                 uint32_t alias_slot, struct nauha_error *err);

/* The stamps of the step that is open or was last. */
NAUHA_API uint64_t nauha_recorder_global_step(const struct nauha_recorder *recorder);

/* What has become of the messages so far. After nauha_recorder_flush, whether that fails or not, a
 * reader finds just those that are not lost. */
struct nauha_recorder_stats {
    uint64_t messages;        /* taken in and not lost */
    uint64_t bytes_published; /* the bytes of their elements */
    uint64_t bytes_stored;    /* what chunks take in the file, as of the last flush */
    uint64_t messages_lost;
    uint64_t bytes_lost;
    uint64_t blocked_ns; /* time publishers waited for the buffer */
};
NAUHA_API void nauha_recorder_get_stats(struct nauha_recorder *recorder,
                                        struct nauha_recorder_stats *stats);

/* NAUHA_OK, or the code of the first thing that made the recorder stop storing, with the text in
 * *err. Cheap enough to ask every step. */
NAUHA_API enum nauha_status nauha_recorder_failure(struct nauha_recorder *recorder,
                                                   struct nauha_error *err);

/* Waits until everything published so far is on file and visible to readers. */
NAUHA_API enum nauha_status nauha_recorder_flush(struct nauha_recorder *recorder,
                                                 struct nauha_error *err);

/* Ends the recording and frees the recorder, also on failure. A step left open is dropped back
 * to what was published of it: call end_step first. Returns the first failure of the recording.
 * NULL is fine. */
NAUHA_API enum nauha_status nauha_recorder_close(struct nauha_recorder *recorder,
                                                 struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
