/* SPDX-License-Identifier: MIT */
/* The threads that encode blocks; see workers.h.
 *
 * Threads: each worker owns its codec and its spare memory; blocks pass through the buffer's
 * queues.
 */
#include "recorder/workers.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nauha/internal/hash.h"
#include "recorder/thread.h"

static void encode_into(struct nauha__codec *codec, struct nauha__block *block,
                        unsigned char *encoded) {
    const struct nauha__slices slices = {
        .slices = block->slices, .rows = block->rows, .width = block->used / block->item_size};
    if (block->slices > 1)
        nauha__codec_encode_slices(codec, block->item_size, &slices, block->data,
                                   NAUHA__CHUNK_BYTES, encoded, &block->stored,
                                   &block->filter_mask);
    else
        nauha__codec_encode(codec, block->item_size, block->data, NAUHA__CHUNK_BYTES, encoded,
                            &block->stored, &block->filter_mask);
}

/* Whether most of a block is elements: zeros behind them cost no time to compress. */
static bool is_filled(const struct nauha__block *block) {
    const size_t used = block->used * block->rows;
    return used > NAUHA__CHUNK_BYTES / 4 * 3;
}

static void encode(struct nauha__compressor *worker, struct nauha__block *block) {
    if (worker->codec && !(block->raw && is_filled(block))) {
        unsigned char *encoded = worker->spare;
        encode_into(worker->codec, block, encoded);
        worker->spare = block->data;
        block->data = encoded;
    } else {
        block->stored = NAUHA__CHUNK_BYTES;
        block->filter_mask = worker->codec ? NAUHA__MASK_RAW : 0;
    }
    block->hash = nauha__hash64(block->data, block->stored);
}

static struct nauha__block *take(const struct nauha__compressor *worker) {
    return worker->reserve ? nauha__buffer_take_urgent(worker->buffer)
                           : nauha__buffer_take_sealed(worker->buffer);
}

static void *work(void *context) {
    struct nauha__compressor *worker = context;
    struct nauha__block *block;
    while ((block = take(worker))) {
        encode(worker, block);
        nauha__buffer_give_encoded(worker->buffer, block);
    }
    return NULL;
}

/* Unless the policy is passive, OpenMP's threads spin while they wait, and workers of idle priority
 * would hardly ever run. If the policy is passive, workers of normal priority would delay OpenMP's
 * threads when they wake up. */
static bool training_sleeps(void) {
    const char *policy = getenv("OMP_WAIT_POLICY");
    return policy && strcasecmp(policy, "passive") == 0;
}

/* Half of the processors that this process may use, because on two processors a second worker
 * gained nothing. The buffer wakes more than one only if one does not keep up. */
struct nauha__workers_plan nauha__workers_plan(void) {
    cpu_set_t set;
    int processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    size_t count = (size_t)processors / 2;
    if (count < 1)
        count = 1;
    if (count > NAUHA__WORKERS_MAX)
        count = NAUHA__WORKERS_MAX;
    return (struct nauha__workers_plan){.count = count, .idle = training_sleeps()};
}

static int prepare(struct nauha__compressor *worker, const struct nauha__codec_config *codec) {
    if (codec->method == NAUHA__CODEC_NONE)
        return 0;
    worker->codec = nauha__codec_new(codec, NAUHA__CHUNK_BYTES);
    void *spare = NULL;
    if (!worker->codec || posix_memalign(&spare, 64, worker->buffer->block_bytes) != 0)
        return ENOMEM;
    worker->spare = spare;
    return 0;
}

static int start(struct nauha__compressor *worker, bool idle) {
    const struct sched_param none = {.sched_priority = 0};
    int failed = nauha__thread_start(&worker->thread, "nauha-codec", work, worker);
    if (!failed && idle) /* if that is refused, the worker keeps its priority */
        pthread_setschedparam(worker->thread, SCHED_IDLE, &none);
    return failed;
}

enum nauha_status nauha__workers_start(struct nauha__workers *workers, struct nauha__buffer *buffer,
                                       const struct nauha__codec_config *codec,
                                       struct nauha__workers_plan plan, struct nauha_error *err) {
    const size_t all = plan.count + (plan.idle ? 1 : 0);
    if (codec->adaptive)
        nauha__buffer_choose(buffer, plan.count);
    while (workers->count < all) {
        struct nauha__compressor *worker = &workers->list[workers->count];
        const bool reserve = workers->count == plan.count;
        *worker = (struct nauha__compressor){.buffer = buffer, .reserve = reserve};
        int failed = prepare(worker, codec);
        if (!failed)
            failed = start(worker, plan.idle && !reserve);
        if (failed) {
            nauha__codec_free(worker->codec);
            free(worker->spare);
            return nauha_error_set_errno(err, failed, "cannot start a compress worker");
        }
        workers->count++;
    }
    return NAUHA_OK;
}

void nauha__workers_join(struct nauha__workers *workers) {
    for (size_t i = 0; i < workers->count; i++) {
        pthread_join(workers->list[i].thread, NULL);
        nauha__codec_free(workers->list[i].codec);
        free(workers->list[i].spare);
    }
    workers->count = 0;
}
