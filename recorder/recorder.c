/* SPDX-License-Identifier: MIT */
/* The recorder: opening and closing it, and the calls that publish messages.
 *
 * Threads: public calls take the publish lock; nauha/recorder.h says what a caller may do.
 */
#include "recorder/recorder_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nauha/internal/clock.h"
#include "nauha/internal/fingerprint.h"

/* ---- forks ---- */

/* A child of fork has the recorder's memory but not its threads, and must not write to the file.
 * A page that the kernel wipes in children tells them apart without asking on every message. */
static bool make_alive(struct nauha_recorder *recorder) {
    recorder->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, recorder->page_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    madvise(page, recorder->page_bytes, MADV_WIPEONFORK);
    recorder->alive = page;
    *recorder->alive = 1;
    return true;
}

static bool is_child(const struct nauha_recorder *recorder) {
    return *recorder->alive == 0;
}

static void lock(struct nauha_recorder *recorder) {
    pthread_mutex_lock(&recorder->writer.publish);
}

static void unlock(struct nauha_recorder *recorder) {
    pthread_mutex_unlock(&recorder->writer.publish);
}

/* ---- opening and closing ---- */

static void free_recorder(struct nauha_recorder *recorder) {
    nauha__held_fini(&recorder->held);
    nauha__held_fini(&recorder->newly_held);
    if (recorder->alive)
        munmap(recorder->alive, recorder->page_bytes);
    nauha_recorder_config_free(recorder->config);
    nauha_names_free(recorder->names);
    free(recorder->scratch);
    nauha__naming_fini(&recorder->naming);
    free(recorder);
}

/* Where the training begins: at its very beginning, or where an earlier one was interrupted. */
static void begin_at(struct nauha_recorder *recorder, const struct nauha_recorder_config *config) {
    recorder->global_step = config->first_step;
    recorder->epoch = (uint32_t)config->first_epoch;
    recorder->train_step = (uint32_t)config->first_batch;
    recorder->epoch_begun = config->first_batch > 0;
}

static enum nauha_status start_writer(struct nauha_recorder *recorder, const char *path,
                                      struct nauha_error *err) {
    enum nauha_status status = nauha__naming_init(&recorder->naming, path, recorder->config, err);
    recorder->path = recorder->naming.path;
    if (status == NAUHA_OK)
        status = nauha__writer_start(&recorder->writer, &recorder->naming, recorder->config,
                                     recorder->names, err);
    if (status == NAUHA_OK)
        nauha__flight_init(&recorder->flight, recorder->config);
    return status;
}

enum nauha_status nauha_recorder_open(const char *path, const struct nauha_recorder_config *config,
                                      struct nauha_recorder **out, struct nauha_error *err) {
    struct nauha_recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory for a recorder");
    recorder->config = nauha__config_copy(config);
    recorder->names = nauha_names_new();
    recorder->started_ns = nauha__now_ns();
    enum nauha_status status = NAUHA_OK;
    if (!recorder->config || !recorder->names || !make_alive(recorder))
        status = nauha_error_set(err, NAUHA_NOMEM, "no memory for a recorder");
    else
        status = nauha__config_check(recorder->config, err);
    if (status == NAUHA_OK && path)
        status = start_writer(recorder, path, err);
    else if (status == NAUHA_OK)
        pthread_mutex_init(&recorder->writer.publish, NULL);
    if (status != NAUHA_OK) {
        free_recorder(recorder);
        return status;
    }
    begin_at(recorder, recorder->config);
    *out = recorder;
    return NAUHA_OK;
}

enum nauha_status nauha_recorder_check(const char *path, const struct nauha_recorder_config *config,
                                       struct nauha_error *err) {
    struct nauha__naming naming;
    struct nauha_recorder_config *defaults = config ? NULL : nauha_recorder_config_new();
    if (!config && !defaults)
        return nauha_error_set(err, NAUHA_NOMEM, "no memory to check \"%s\"", path);
    enum nauha_status status = nauha__config_check(config ? config : defaults, err);
    if (status == NAUHA_OK)
        status = nauha__naming_init(&naming, path, config ? config : defaults, err);
    else
        memset(&naming, 0, sizeof naming);
    if (status == NAUHA_OK)
        status = nauha__naming_check(&naming, err);
    nauha__naming_fini(&naming);
    nauha_recorder_config_free(defaults);
    return status;
}

/* Without steps, a recording gets its name only when it is closed. */
static bool is_worth_its_name(const struct nauha_recorder *recorder) {
    return !recorder->config->tentative && !recorder->any_step && recorder->messages > 0;
}

enum nauha_status nauha_recorder_close(struct nauha_recorder *recorder, struct nauha_error *err) {
    if (!recorder || is_child(recorder))
        return NAUHA_OK; /* a child leaves its parent's recording alone */
    enum nauha_status status = NAUHA_OK;
    if (recorder->path) {
        if (is_worth_its_name(recorder))
            nauha__settle(recorder);
        lock(recorder);
        nauha__flight_answer(&recorder->flight, &recorder->writer, recorder->global_step);
        nauha__flight_fini(&recorder->flight, &recorder->writer.buffer);
        unlock(recorder);
        status = nauha__writer_stop(&recorder->writer, recorder->stored_seq,
                                    nauha__now_ns() - recorder->started_ns, err);
        if (!recorder->naming.settled)
            nauha__naming_remove(&recorder->naming);
        if (status == NAUHA_OK && recorder->naming_error.code != NAUHA_OK) {
            status = recorder->naming_error.code;
            if (err)
                *err = recorder->naming_error;
        }
    } else {
        pthread_mutex_destroy(&recorder->writer.publish);
    }
    free_recorder(recorder);
    return status;
}

/* ---- the file's name ---- */

void nauha__settle(struct nauha_recorder *recorder) {
    if (recorder->path)
        nauha__naming_settle(&recorder->naming, &recorder->naming_error);
}

enum nauha_status nauha_recorder_settle(struct nauha_recorder *recorder, struct nauha_error *err) {
    if (is_child(recorder))
        return NAUHA_OK;
    lock(recorder);
    nauha__settle(recorder);
    const struct nauha_error failure = recorder->naming_error;
    unlock(recorder);
    if (failure.code != NAUHA_OK && err)
        *err = failure;
    return failure.code;
}

bool nauha_recorder_settled(const struct nauha_recorder *recorder) {
    return !recorder->path || recorder->naming.settled;
}

const char *nauha_recorder_path(const struct nauha_recorder *recorder) {
    return recorder->path ? nauha__naming_now(&recorder->naming) : NULL;
}

const char *nauha_recorder_older(const struct nauha_recorder *recorder) {
    return recorder->naming.kept ? recorder->naming.older : NULL;
}

/* ---- asking ---- */

int nauha_recorder_depth(const struct nauha_recorder *recorder) {
    return recorder->config->depth;
}

struct nauha_names *nauha_recorder_names(struct nauha_recorder *recorder) {
    return recorder->names;
}

uint64_t nauha_recorder_global_step(const struct nauha_recorder *recorder) {
    return recorder->global_step;
}

enum nauha_status nauha_recorder_tap(struct nauha_recorder *recorder, nauha_message_fn fn,
                                     void *context, struct nauha_error *err) {
    if (recorder->any_step || recorder->messages)
        return nauha_error_set(err, NAUHA_STATE, "a tap must be set before the first message");
    recorder->tap = fn;
    recorder->tap_context = context;
    return NAUHA_OK;
}

bool nauha_recorder_wants(struct nauha_recorder *recorder, uint32_t kind, uint32_t module) {
    /* What enters a module is mostly the output of another one, so inputs are recorded only on
     * demand. */
    if (is_child(recorder) || (kind == NAUHA_KIND_INPUTS && !recorder->config->inputs))
        return false;
    lock(recorder);
    bool wanted = !recorder->paused &&
                  (nauha__is_tapped(recorder) ||
                   nauha__grade(recorder, kind, module, recorder->tag, recorder->global_step,
                                recorder->epoch, 0) != NAUHA_GRADE_NOTHING);
    unlock(recorder);
    return wanted;
}

void nauha_recorder_pause(struct nauha_recorder *recorder, bool paused) {
    if (is_child(recorder))
        return;
    lock(recorder);
    recorder->paused = paused;
    unlock(recorder);
}

enum nauha_status nauha_recorder_set_tag(struct nauha_recorder *recorder, uint32_t tag,
                                         struct nauha_error *err) {
    if (tag >= nauha_names_tags(recorder->names))
        return nauha_error_set(err, NAUHA_INVALID, "tag number %u is not registered", tag);
    if (is_child(recorder))
        return NAUHA_OK;
    lock(recorder);
    recorder->tag = tag;
    unlock(recorder);
    return NAUHA_OK;
}

/* Reads the counts of the writer. They are read before the others, because a message is counted as
 * published before it is counted as lost. */
static void get_writer_stats(struct nauha__writer *writer, struct nauha_recorder_stats *stats,
                             uint64_t *rows_lost, uint64_t *rows_lost_bytes) {
    stats->bytes_stored = atomic_load(&writer->bytes_stored);
    pthread_mutex_lock(&writer->lock);
    *rows_lost = writer->rows_lost;
    *rows_lost_bytes = writer->rows_lost_bytes;
    for (size_t i = 0; i < writer->loss_count; i++) {
        stats->messages_lost += writer->losses[i].messages;
        stats->bytes_lost += writer->losses[i].bytes;
    }
    pthread_mutex_unlock(&writer->lock);
    pthread_mutex_lock(&writer->buffer.lock);
    stats->blocked_ns = writer->buffer.blocked_ns;
    pthread_mutex_unlock(&writer->buffer.lock);
}

void nauha_recorder_get_stats(struct nauha_recorder *recorder, struct nauha_recorder_stats *stats) {
    uint64_t rows_lost = 0, rows_lost_bytes = 0;
    *stats = (struct nauha_recorder_stats){0};
    if (is_child(recorder))
        return;
    if (recorder->path)
        get_writer_stats(&recorder->writer, stats, &rows_lost, &rows_lost_bytes);
    lock(recorder);
    stats->steps_held = recorder->flight.fits;
    stats->dumps = recorder->flight.dumps;
    stats->messages = recorder->messages - rows_lost;
    stats->bytes_published = recorder->bytes_published - rows_lost_bytes;
    unlock(recorder);
}

enum nauha_status nauha_recorder_failure(struct nauha_recorder *recorder, struct nauha_error *err) {
    if (!recorder->path || !atomic_load(&recorder->writer.failed))
        return NAUHA_OK;
    pthread_mutex_lock(&recorder->writer.lock);
    struct nauha_error failure = recorder->writer.failure;
    pthread_mutex_unlock(&recorder->writer.lock);
    if (err)
        *err = failure;
    return failure.code;
}

enum nauha_status nauha_recorder_flush(struct nauha_recorder *recorder, struct nauha_error *err) {
    if (!recorder->path || is_child(recorder))
        return NAUHA_OK;
    nauha__writer_flush(&recorder->writer);
    return nauha_recorder_failure(recorder, err);
}

/* ---- flight recorder ---- */

/* For a moment only, so that a thread that has the lock already, in the tap, does not wait long. */
#define DUMP_ATTEMPTS 3
#define DUMP_PAUSE_NS 1000000

enum nauha_status nauha_recorder_dump(struct nauha_recorder *recorder, const char *reason,
                                      struct nauha_error *err) {
    if (is_child(recorder))
        return NAUHA_OK;
    if (recorder->flight.steps == 0)
        return nauha_error_set(err, NAUHA_STATE,
                               "no steps are held in memory: set the option flight");
    nauha__flight_ask(&recorder->flight, reason);
    for (int i = 0; i < DUMP_ATTEMPTS; i++) {
        if (pthread_mutex_trylock(&recorder->writer.publish) == 0) {
            nauha__flight_answer(&recorder->flight, &recorder->writer, recorder->global_step);
            unlock(recorder);
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = DUMP_PAUSE_NS}, NULL);
    }
    return NAUHA_OK;
}

/* ---- publishing ---- */

enum nauha_status nauha__outcome(struct nauha_recorder *recorder, enum nauha_status status,
                                 struct nauha_error *err) {
    if (status != NAUHA_OK || !recorder->tap_failed || recorder->tap_told)
        return status;
    recorder->tap_told = true;
    if (err)
        *err = recorder->tap_error;
    return recorder->tap_error.code;
}

enum nauha_status nauha__shape_number(struct nauha_names *names, const struct nauha_tensor *tensor,
                                      uint32_t placement, uint32_t *shape,
                                      struct nauha_error *err) {
    if (placement == 0)
        return nauha_names_add_shape(names, tensor->shape, tensor->ndim, shape, err);
    uint32_t ndim;
    const int64_t *dims = nauha_names_shape(names, placement, &ndim);
    if (!nauha_names_placement(names, placement, NULL))
        return nauha_error_set(err, NAUHA_INVALID, "placement number %u is not registered",
                               placement);
    if (ndim != tensor->ndim || (ndim > 0 && memcmp(dims, tensor->shape, ndim * sizeof *dims) != 0))
        return nauha_error_set(err, NAUHA_INVALID, "placement number %u has another shape",
                               placement);
    *shape = placement;
    return NAUHA_OK;
}

/* Checks that kind, module, slot and tensor fit each other; sets shape and bytes. */
static enum nauha_status check_message(const struct nauha_recorder *recorder, uint32_t placement,
                                       struct nauha__outgoing *out, struct nauha_error *err) {
    struct nauha_names *names = recorder->names;
    if (out->kind >= nauha_names_kinds(names))
        return nauha_error_set(err, NAUHA_INVALID, "kind number %u is not registered", out->kind);
    const char *kind = nauha_names_kind(names, out->kind);
    bool network = nauha_names_kind_scope(names, out->kind) == NAUHA_SCOPE_NETWORK;
    bool event = nauha_names_kind_form(names, out->kind) == NAUHA_FORM_EVENT;
    if (network != (out->module == NAUHA_NONE))
        return nauha_error_set(err, NAUHA_INVALID, "kind \"%s\" %s a module", kind,
                               network ? "does not belong to" : "needs");
    if (!network && out->module >= nauha_names_modules(names))
        return nauha_error_set(err, NAUHA_INVALID, "module number %u is not registered",
                               out->module);
    if (out->slot >= nauha_names_slots(names))
        return nauha_error_set(err, NAUHA_INVALID, "slot number %u is not registered", out->slot);
    if (event != (out->tensor == NULL))
        return nauha_error_set(err, NAUHA_INVALID, "kind \"%s\" %s a tensor", kind,
                               event ? "does not take" : "needs");
    out->shape = NAUHA_NONE;
    if (event)
        return NAUHA_OK;
    size_t count;
    enum nauha_status status = nauha_tensor_count(out->tensor, &count, err);
    if (status != NAUHA_OK)
        return nauha_error_wrap(err, status, "kind \"%s\"", kind);
    out->bytes = count * nauha_dtype_size(out->tensor->dtype);
    if (out->bytes && !out->tensor->data)
        return nauha_error_set(err, NAUHA_INVALID, "the tensor of kind \"%s\" has no data", kind);
    return nauha__shape_number(names, out->tensor, placement, &out->shape, err);
}

enum nauha_status nauha_recorder_publish(struct nauha_recorder *recorder, uint32_t kind,
                                         uint32_t module, uint32_t slot, uint32_t call,
                                         const struct nauha_tensor *tensor,
                                         struct nauha_error *err) {
    return nauha_recorder_publish_shard(recorder, kind, module, slot, call, tensor, 0, err);
}

static enum nauha_status publish(struct nauha_recorder *recorder, struct nauha__outgoing *out,
                                 uint32_t placement, struct nauha_error *err) {
    if (is_child(recorder))
        return NAUHA_OK;
    enum nauha_status status = check_message(recorder, placement, out, err);
    if (status != NAUHA_OK)
        return status;
    if (out->bytes == 0)
        out->print = NULL;
    lock(recorder);
    out->tag = recorder->tag;
    if (!recorder->paused)
        nauha__emit(recorder, out);
    status = nauha__outcome(recorder, NAUHA_OK, err);
    unlock(recorder);
    return status;
}

enum nauha_status nauha_recorder_publish_shard(struct nauha_recorder *recorder, uint32_t kind,
                                               uint32_t module, uint32_t slot, uint32_t call,
                                               const struct nauha_tensor *tensor,
                                               uint32_t placement, struct nauha_error *err) {
    struct nauha__outgoing out = {
        .kind = kind, .module = module, .slot = slot, .call = call, .tensor = tensor};
    return publish(recorder, &out, placement, err);
}

enum nauha_status nauha_recorder_publish_fingerprint(struct nauha_recorder *recorder, uint32_t kind,
                                                     uint32_t module, uint32_t slot, uint32_t call,
                                                     const struct nauha_tensor *form,
                                                     uint32_t placement,
                                                     const uint64_t words[NAUHA_FINGERPRINT_WORDS],
                                                     struct nauha_error *err) {
    struct nauha__fingerprint_words print;
    struct nauha__outgoing out = {
        .kind = kind, .module = module, .slot = slot, .call = call, .print = &print};
    struct nauha_tensor contiguous;
    if (!form)
        return nauha_error_set(err, NAUHA_INVALID, "a fingerprint needs the form of its tensor");
    contiguous = *form;
    contiguous.strides = NULL;
    contiguous.data = &print; /* there are elements, which nobody reads */
    out.tensor = &contiguous;
    memcpy(&print, words, sizeof print);
    return publish(recorder, &out, placement, err);
}

enum nauha_status nauha_recorder_alias(struct nauha_recorder *recorder, uint32_t module,
                                       uint32_t slot, uint32_t alias_module, uint32_t alias_slot,
                                       struct nauha_error *err) {
    uint32_t modules = nauha_names_modules(recorder->names);
    uint32_t slots = nauha_names_slots(recorder->names);
    if (module >= modules || alias_module >= modules || slot >= slots || alias_slot >= slots)
        return nauha_error_set(err, NAUHA_INVALID,
                               "an alias names a module or slot that is not registered");
    if (!recorder->path || is_child(recorder))
        return NAUHA_OK;
    struct nauha__alias_row row = {
        .module = module, .slot = slot, .alias_module = alias_module, .alias_slot = alias_slot};
    lock(recorder);
    enum nauha_status status = nauha__writer_add_alias(&recorder->writer, &row);
    unlock(recorder);
    return status == NAUHA_OK ? status
                              : nauha_error_set(err, status, "no memory for a parameter's alias");
}

enum nauha_status nauha_recorder_except(struct nauha_recorder *recorder, uint32_t kind,
                                        uint32_t module, struct nauha_error *err) {
    lock(recorder);
    const enum nauha_status status =
        nauha_keeping_except(recorder->config->keeping, kind, module, err);
    unlock(recorder);
    return status;
}
