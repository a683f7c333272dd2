/* SPDX-License-Identifier: MIT */
/* A plugin that is wrong in the way that it is compiled for:
 *
 *   -DABI=N -DSIZE=N   what the descriptor says of itself
 *   -DNAME='"x"'       its name
 *   -DFAIL=WHERE       the callback that fails: FAIL_CREATE, ...
 *   -DWORD='"..."'     what it says then; without, it says nothing
 *   -DKINDS=NULL       without kinds of its own
 *   -DTAKES=N          how many kinds a SPEC has to give
 *   -DFLAGS=N -DTYPE=N -DCOMPUTE=NULL -DPARAMETERS=N
 */
#include <stdlib.h>

#include "nauha/analyzer.h"

#define FAIL_NOWHERE 0
#define FAIL_CREATE 1
#define FAIL_COMPUTE 2
#define FAIL_STEP_FINISHED 3
#define FAIL_FINISH 4
#define FAIL_LOST 5

#ifndef ABI
#define ABI NAUHA_ANALYZER_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(struct nauha_analyzer)
#endif
#ifndef NAME
#define NAME "odd"
#endif
#ifndef FAIL
#define FAIL FAIL_NOWHERE
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef TYPE
#define TYPE NAUHA_PARAMETER_INTEGER
#endif
#ifndef COMPUTE
#define COMPUTE compute
#endif
#ifndef KINDS
#define KINDS kinds
#endif
#ifndef TAKES
#define TAKES 0
#endif
#ifndef PARAMETERS
#define PARAMETERS 1
#endif

struct odd {
    const struct nauha_host *host;
    uint32_t topic;
};

static enum nauha_status outcome(const struct nauha_host *host, int where,
                                 struct nauha_error *err) {
    if (where != FAIL)
        return NAUHA_OK;
#ifdef WORD
    return host->fail(err, NAUHA_INVALID, "%s", WORD);
#else
    (void)host;
    (void)err;
    return NAUHA_END;
#endif
}

static enum nauha_status create(const struct nauha_host *host,
                                const struct nauha_analyzer_config *config, void **self,
                                struct nauha_error *err) {
    static struct odd odd;
    (void)config;
    odd.host = host;
    *self = &odd;
    enum nauha_status status = outcome(host, FAIL_CREATE, err);
    if (status != NAUHA_OK)
        return status;
    return host->register_topic(host, "odd_sum", NAUHA_SCOPE_MODULE, NAUHA_FORM_SCALAR, NULL,
                                &odd.topic, err);
}

static enum nauha_status compute(void *self, struct nauha_bundle *bundle, struct nauha_error *err) {
    const struct odd *odd = self;
    struct nauha_message *message = odd->host->bundle_message(bundle, 0);
    const struct nauha_stats *stats;
    enum nauha_status status = outcome(odd->host, FAIL_COMPUTE, err);
    if (status == NAUHA_OK)
        status = odd->host->stats(message, &stats, err);
    if (status != NAUHA_OK)
        return status;
    return odd->host->publish_scalar(odd->host, odd->topic, odd->host->info(message), stats->sum,
                                     err);
}

static enum nauha_status step_finished(void *self, uint64_t global_step, struct nauha_error *err) {
    (void)global_step;
    return outcome(((struct odd *)self)->host, FAIL_STEP_FINISHED, err);
}

static enum nauha_status finish(void *self, struct nauha_error *err) {
    return outcome(((struct odd *)self)->host, FAIL_FINISH, err);
}

static enum nauha_status lost(void *self, const char *kind, uint64_t messages, uint64_t bytes,
                              struct nauha_error *err) {
    (void)kind;
    (void)messages;
    (void)bytes;
    return outcome(((struct odd *)self)->host, FAIL_LOST, err);
}

static void destroy(void *self) {
    (void)self;
}

static const char *const kinds[] = {"weights", NULL};
static const struct nauha_analyzer_parameter parameters[] = {
    {"n", (enum nauha_parameter_type)TYPE, "1", 0, 10, "a number"},
};

/* `compute` may be unused where COMPUTE names another. */
extern enum nauha_status (*const odd_compute)(void *, struct nauha_bundle *, struct nauha_error *);
enum nauha_status (*const odd_compute)(void *, struct nauha_bundle *,
                                       struct nauha_error *) = compute;

NAUHA_ANALYZER(odd) = {
    .abi = ABI,
    .size = SIZE,
    .name = NAME,
    .flags = FLAGS,
    .min_kinds = TAKES,
    .max_kinds = TAKES,
    .default_kinds = KINDS,
    .parameters = parameters,
    .parameter_count = PARAMETERS,
    .create = create,
    .compute = COMPUTE,
    .step_finished = step_finished,
    .finish = finish,
    .destroy = destroy,
    .lost = lost,
};
