/* SPDX-License-Identifier: MIT */
/* The configuration of a recording, parsed from the options.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_RECORDER_CONFIG_H
#define NAUHA_RECORDER_CONFIG_H

#include "nauha/internal/codec.h"
#include "nauha/recorder.h"
#include "nauha/keeping.h"

struct nauha__fact {
    char *key;
    char *value;
};

struct nauha_recorder_config {
    struct nauha_keeping *keeping;
    bool inputs; /* the kind "inputs" was named; otherwise front ends leave it out */
    int depth;   /* negative: no limit */
    struct nauha__codec_config codec;
    char codec_text[32];
    uint64_t buffer_bytes;
    bool drop; /* on-full drop */
    double flush_seconds;
    bool flush_sync;      /* fdatasync at every flush */
    uint64_t limit_bytes; /* 0: none */
    unsigned precision;   /* significand bits kept after the point; 0: all */
    uint32_t samples;     /* of a batch; 0: all */
    bool overwrite;       /* an older file at the path is not kept */
    bool tentative;       /* only nauha_recorder_settle gives the file its name */
    uint64_t first_step;  /* of the recording; first_batch counts within first_epoch */
    uint64_t first_epoch, first_batch;
    uint32_t rank, world_size;
    struct nauha__fact *facts;
    size_t fact_count, fact_capacity;
};

/* A deep copy; NULL when out of memory. config NULL: the defaults. */
struct nauha_recorder_config *nauha__config_copy(const struct nauha_recorder_config *config);

/* Checks options against each other. INVALID. */
enum nauha_status nauha__config_check(const struct nauha_recorder_config *config,
                                      struct nauha_error *err);

/* The facts as a JSON object of strings; NULL when out of memory. Caller owns, release with
 * free. */
char *nauha__config_facts_json(const struct nauha_recorder_config *config);

#endif
