/* SPDX-License-Identifier: MIT */
/* The walk over two traces side by side; see nauha/diff.h.
 *
 * Threads: one at a time per trace.
 */
#include "nauha/diff.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/message.h"
#include "replay/diff/compare.h"
#include "replay/diff/names.h"
#include "replay/trace/shards.h"

#define NOBODY UINT32_MAX

struct walk {
    struct nauha_diff_side side;
    struct nauha_cursor *cursor;
    struct nauha_selector *selector; /* NULL: everything */
    struct nauha_message *next; /* borrowed from the cursor; NULL: not read yet, or at the end */
    bool ended;
    uint32_t rank; /* the lowest */
};

/* What two messages must have in common to be partners; numbers are those of a's names. */
struct key {
    uint32_t kind, tag, module, slot, call;
};

/* A message of b that waits for its partner. Its elements are read only when the partner comes. */
struct waiting {
    struct nauha_message message;
    struct key key;
    uint32_t next; /* of the same bucket; NOBODY: the last */
    bool done;
    bool unknown; /* a does not have the name, so there is no partner */
};

/* The phases of a step: it begins, the messages of b are read, the partner of each message of a is
 * looked up, and the remaining messages of b are reported. A damaged row of an index is reported in
 * between, without a change of the phase. */
enum phase { BETWEEN_STEPS, TAKING_IN, COMPARING, LEFT_OVER };

struct nauha_diff {
    struct walk a, b;
    struct nauha__renames *renames;
    bool renamed; /* by maps: what holds names of parameters cannot be compared */
    const struct nauha_tolerance *tolerance;
    enum phase phase;
    uint64_t step;
    struct waiting *waiting; /* the messages of b in this step, in order of publication */
    size_t count, capacity;
    size_t left; /* those before this one are done */
    uint32_t *buckets;
    size_t bucket_count; /* a power of two */
    struct nauha_pair pair;
};

/* ---- making and freeing ---- */

static enum nauha_status no_memory(struct nauha_error *err) {
    return nauha_error_set(err, NAUHA_NOMEM, "no memory to compare two traces");
}

/* The words of a selection are looked up in the names of both traces. */
static enum nauha_status check_selector(const struct nauha_diff *diff,
                                        const struct nauha_selector *selector,
                                        struct nauha_error *err) {
    struct nauha_names *both = nauha_names_new();
    if (!both)
        return no_memory(err);
    const struct nauha_names *sides[] = {diff->a.side.names, diff->b.side.names};
    uint32_t id;
    for (size_t s = 0; s < 2; s++) {
        const struct nauha_names *names = sides[s];
        /* A name that exists already with other attributes is no error here. */
        for (uint32_t i = 0; i < nauha_names_kinds(names); i++)
            nauha_names_add_kind(both, nauha_names_kind(names, i), nauha_names_kind_scope(names, i),
                                 nauha_names_kind_form(names, i), &id, NULL);
        for (uint32_t i = 0; i < nauha_names_tags(names); i++)
            nauha_names_add_tag(both, nauha_names_tag(names, i), &id, NULL);
        for (uint32_t i = 0; i < nauha_names_modules(names); i++)
            nauha_names_add_module(both, nauha_names_module(names, i),
                                   nauha_names_module_class(names, i), &id, NULL);
    }
    enum nauha_status status = nauha_selector_check(selector, both, err);
    nauha_names_free(both);
    return status;
}

/* renamed: the selector may have other names than the side. */
static enum nauha_status start(struct walk *walk, const struct nauha_diff_side *side,
                               const struct nauha_selector *selector, bool renamed,
                               struct nauha_error *err) {
    walk->side = *side;
    if (selector && !(walk->selector = nauha_selector_copy(selector)))
        return no_memory(err);
    /* Shards that are missing in messages that are not selected are no damage. */
    if (renamed || !selector || nauha_selector_check(selector, side->names, NULL) != NAUHA_OK)
        selector = NULL;
    struct nauha_trace_info info;
    nauha_trace_get_head(side->trace, &info);
    walk->rank = info.rank;
    return side->ranks
               ? nauha_cursor_new_ranks(side->ranks, side->rank_count, selector, &walk->cursor, err)
               : nauha_cursor_new(side->trace, NULL, &walk->cursor, err);
}

enum nauha_status nauha_diff_new(const struct nauha_diff_side *a, const struct nauha_diff_side *b,
                                 const struct nauha_diff_options *options, struct nauha_diff **out,
                                 struct nauha_error *err) {
    struct nauha_diff *diff = calloc(1, sizeof *diff);
    if (!diff)
        return no_memory(err);
    diff->tolerance = options->tolerance;
    diff->renamed = options->map_count > 0;
    enum nauha_status status = nauha__renames_new(a->names, b->names, options->maps,
                                                  options->map_count, &diff->renames, err);
    if (status == NAUHA_OK)
        status = start(&diff->a, a, options->selector, false, err);
    if (status == NAUHA_OK)
        status = start(&diff->b, b, options->selector, options->map_count > 0, err);
    if (status == NAUHA_OK && options->selector)
        status = check_selector(diff, options->selector, err);
    if (status != NAUHA_OK) {
        nauha_diff_free(diff);
        return status;
    }
    *out = diff;
    return NAUHA_OK;
}

static void forget_step(struct nauha_diff *diff) {
    for (size_t i = 0; i < diff->count; i++)
        nauha__message_fini(&diff->waiting[i].message);
    diff->count = diff->left = 0;
}

void nauha_diff_free(struct nauha_diff *diff) {
    if (!diff)
        return;
    forget_step(diff);
    free(diff->waiting);
    free(diff->buckets);
    nauha_cursor_free(diff->a.cursor);
    nauha_cursor_free(diff->b.cursor);
    nauha_selector_free(diff->a.selector);
    nauha_selector_free(diff->b.selector);
    nauha__renames_free(diff->renames);
    free(diff);
}

void nauha_diff_progress(const struct nauha_diff *diff, uint64_t *done, uint64_t *total) {
    uint64_t more_done, more;
    nauha_cursor_progress(diff->a.cursor, done, total);
    nauha_cursor_progress(diff->b.cursor, &more_done, &more);
    *done += more_done;
    *total += more;
}

bool nauha_diff_suggest(const struct nauha_diff *diff, char *map, size_t bytes, size_t *modules) {
    return nauha__renames_suggest(diff->renames, map, bytes, modules);
}

/* ---- fetching ---- */

static struct key key_of_b(struct nauha_diff *diff, const struct nauha_message_info *info) {
    return (struct key){
        .kind = nauha__renames_kind(diff->renames, info->kind),
        .tag = nauha__renames_tag(diff->renames, info->tag),
        .module = nauha__renames_module(diff->renames, info->module),
        .slot = nauha__renames_slot(diff->renames, info->slot),
        .call = info->call,
    };
}

static bool is_unknown(const struct key *key, const struct nauha_message_info *info) {
    return key->kind == NAUHA_NONE || key->tag == NAUHA_NONE || key->slot == NAUHA_NONE ||
           (key->module == NAUHA_NONE && info->module != NAUHA_NONE);
}

/* The modules of b are selected by the names that they have in a, if they have one. */
static bool is_chosen(struct nauha_diff *diff, struct walk *walk,
                      const struct nauha_message_info *info) {
    if (diff->renamed && info->kind == NAUHA_KIND_PARAMETER_GROUPS)
        return false;
    if (!walk->selector)
        return true;
    if (walk == &diff->b) {
        const struct key key = key_of_b(diff, info);
        if (!is_unknown(&key, info))
            return nauha_selector_accepts(diff->a.selector, diff->a.side.names, key.kind,
                                          key.module, key.tag, info->global_step, info->epoch,
                                          info->rank);
    }
    return nauha_selector_accepts(walk->selector, walk->side.names, info->kind, info->module,
                                  info->tag, info->global_step, info->epoch, info->rank);
}

static enum nauha_status fetch(struct nauha_diff *diff, struct walk *walk,
                               struct nauha_error *err) {
    while (!walk->next && !walk->ended) {
        struct nauha_message *message;
        enum nauha_status status = nauha_cursor_next(walk->cursor, &message, err);
        if (status == NAUHA_END) {
            walk->ended = true;
            return NAUHA_OK;
        }
        if (status != NAUHA_OK)
            return status;
        if (walk->side.ranks && message->info.rank != walk->rank &&
            !nauha__shards_is_whole(message))
            continue;
        if (is_chosen(diff, walk, nauha_message_info(message)))
            walk->next = message;
    }
    return NAUHA_OK;
}

static enum nauha_status keep(struct nauha_diff *diff, struct nauha_error *err) {
    if (diff->count == NOBODY || !NAUHA_GROW(diff->waiting, diff->capacity, diff->count + 1))
        return no_memory(err);
    struct waiting *waiting = &diff->waiting[diff->count];
    *waiting = (struct waiting){.next = NOBODY};
    enum nauha_status status = nauha__message_retain(diff->b.next, &waiting->message, err);
    if (status != NAUHA_OK)
        return status;
    const struct nauha_message_info *info = &waiting->message.info;
    waiting->key = key_of_b(diff, info);
    waiting->unknown = is_unknown(&waiting->key, info);
    diff->count++;
    diff->b.next = NULL;
    return NAUHA_OK;
}

/* ---- matching ---- */

static size_t bucket_of(const struct nauha_diff *diff, const struct key *key) {
    uint64_t hash = key->kind;
    hash = hash * 0x9e3779b97f4a7c15u + key->module;
    hash = hash * 0x9e3779b97f4a7c15u + key->slot;
    hash = hash * 0x9e3779b97f4a7c15u + key->call;
    hash = hash * 0x9e3779b97f4a7c15u + key->tag;
    return (size_t)(hash ^ hash >> 32) & (diff->bucket_count - 1);
}

/* Buckets hold their messages in order of publication. */
static enum nauha_status fill_buckets(struct nauha_diff *diff, struct nauha_error *err) {
    size_t wanted = 128; /* doubling keeps it a power of two */
    while (wanted < 2 * diff->count)
        wanted *= 2;
    if (!NAUHA_GROW(diff->buckets, diff->bucket_count, wanted))
        return no_memory(err);
    for (size_t i = 0; i < diff->bucket_count; i++)
        diff->buckets[i] = NOBODY;
    for (size_t i = diff->count; i-- > 0;) {
        struct waiting *waiting = &diff->waiting[i];
        if (waiting->unknown)
            continue;
        uint32_t *bucket = &diff->buckets[bucket_of(diff, &waiting->key)];
        waiting->next = *bucket;
        *bucket = (uint32_t)i;
    }
    return NAUHA_OK;
}

static bool is_partner(const struct waiting *waiting, const struct key *key) {
    return !waiting->done && !waiting->unknown && waiting->key.kind == key->kind &&
           waiting->key.tag == key->tag && waiting->key.module == key->module &&
           waiting->key.slot == key->slot && waiting->key.call == key->call;
}

static struct waiting *find_partner(struct nauha_diff *diff,
                                    const struct nauha_message_info *info) {
    const struct key key = {info->kind, info->tag, info->module, info->slot, info->call};
    if (diff->count == 0)
        return NULL;
    uint32_t at = diff->buckets[bucket_of(diff, &key)];
    while (at != NOBODY && !is_partner(&diff->waiting[at], &key))
        at = diff->waiting[at].next;
    return at == NOBODY ? NULL : &diff->waiting[at];
}

/* ---- comparing ---- */

static bool same_shape(const struct nauha_message_info *a, const struct nauha_message_info *b) {
    return a->ndim == b->ndim &&
           (a->ndim == 0 || memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) == 0);
}

/* Whether two messages are the same part of a tensor, or both are whole. */
static bool same_place(const struct nauha_diff *diff, const struct nauha_message_info *a,
                       const struct nauha_message_info *b) {
    struct nauha_placement of_a, of_b;
    const bool shard = nauha_names_placement(diff->a.side.names, a->placement, &of_a);
    if (shard != nauha_names_placement(diff->b.side.names, b->placement, &of_b) || !shard)
        return a->placement == 0 && b->placement == 0;
    const size_t numbers = of_a.flat ? 1 : of_a.ndim;
    return of_a.flat == of_b.flat && of_a.summand == of_b.summand &&
           of_a.summands == of_b.summands && of_a.ndim == of_b.ndim &&
           memcmp(of_a.shape, of_b.shape, of_a.ndim * sizeof *of_a.shape) == 0 &&
           memcmp(of_a.offset, of_b.offset, numbers * sizeof *of_a.offset) == 0 && same_shape(a, b);
}

/* Errors such as NOMEM end the walk; a damaged message is a finding. */
static enum nauha_status take_failure(struct nauha_pair *pair, enum nauha_status status,
                                      const struct nauha_error *reason, struct nauha_error *err) {
    if (status != NAUHA_DAMAGED && status != NAUHA_FORMAT)
        return nauha_error_set(err, status, "%s", reason->message);
    pair->sort = NAUHA_PAIR_DAMAGED;
    pair->damage = *reason;
    return NAUHA_OK;
}

/* By how much tensors with different hashes differ, as far as their fingerprints show it. */
static enum nauha_status compare_fingerprints(struct nauha_diff *diff, struct nauha_message *a,
                                              struct nauha_message *b, struct nauha_error *reason) {
    struct nauha_pair *pair = &diff->pair;
    struct nauha_fingerprint of_a, of_b;
    if (a->info.kept == NAUHA_KEPT_HASH || b->info.kept == NAUHA_KEPT_HASH)
        return NAUHA_OK;
    enum nauha_status status = nauha_message_fingerprint(a, &of_a, reason);
    if (status == NAUHA_OK)
        status = nauha_message_fingerprint(b, &of_b, reason);
    if (status != NAUHA_OK)
        return status;
    pair->apart = nauha_fingerprint_difference(&of_a, &of_b, a->info.dtype);
    if (diff->tolerance &&
        pair->apart <= nauha__fingerprint_tolerance(diff->tolerance, a->info.dtype))
        pair->sort = NAUHA_PAIR_EQUAL;
    return NAUHA_OK;
}

/* The function by which two messages have a hash each, or can be given one; else OTHER. */
static enum nauha_hash common_hash(const struct nauha_message_info *a,
                                   const struct nauha_message_info *b) {
    const enum nauha_hash function =
        (enum nauha_hash)(a->kept == NAUHA_KEPT_ELEMENTS ? b->hash : a->hash);
    const bool common = b->kept == NAUHA_KEPT_ELEMENTS || b->hash == function;
    return common ? function : NAUHA_HASH_OTHER;
}

/* Tensors without elements and with hashes of different functions: they may be equal or not, and
 * only a tolerance gives their statistics the last word. */
static enum nauha_status compare_unlike_hashes(struct nauha_diff *diff, struct nauha_message *a,
                                               struct nauha_message *b, struct nauha_error *err) {
    struct nauha_pair *pair = &diff->pair;
    struct nauha_error reason = NAUHA_ERROR_INIT;
    const bool hash = a->info.kept == NAUHA_KEPT_HASH || b->info.kept == NAUHA_KEPT_HASH;
    if (hash || !diff->tolerance)
        return nauha_error_set(
            err, NAUHA_UNAVAILABLE,
            "\"%s\" of step %" PRIu64
            " cannot be compared: one trace has hashes of the function %s, "
            "the other of %s, and there are no elements to compute them from: record one again%s",
            a->info.kind_name, a->info.global_step, nauha_hash_name((enum nauha_hash)a->info.hash),
            nauha_hash_name((enum nauha_hash)b->info.hash),
            hash ? "" : ", or compare statistics, with a tolerance");
    pair->sort = NAUHA_PAIR_HASH;
    enum nauha_status status = compare_fingerprints(diff, a, b, &reason);
    return status == NAUHA_OK ? status : take_failure(pair, status, &reason, err);
}

static enum nauha_status compare_hashes(struct nauha_diff *diff, struct nauha_message *a,
                                        struct nauha_message *b, struct nauha_error *err) {
    struct nauha_pair *pair = &diff->pair;
    const enum nauha_hash function = common_hash(&a->info, &b->info);
    struct nauha_error reason = NAUHA_ERROR_INIT;
    uint64_t of_a[2], of_b[2];
    if (a->info.dtype != b->info.dtype) {
        pair->sort = NAUHA_PAIR_DTYPE;
        return NAUHA_OK;
    }
    if (function == NAUHA_HASH_OTHER)
        return compare_unlike_hashes(diff, a, b, err);
    enum nauha_status status = nauha_message_hash_by(a, function, of_a, &reason);
    if (status == NAUHA_OK)
        status = nauha_message_hash_by(b, function, of_b, &reason);
    if (status == NAUHA_OK && memcmp(of_a, of_b, sizeof of_a) != 0) {
        pair->sort = NAUHA_PAIR_HASH;
        status = compare_fingerprints(diff, a, b, &reason);
    }
    return status == NAUHA_OK ? status : take_failure(pair, status, &reason, err);
}

static enum nauha_status compare_elements(struct nauha_diff *diff, struct nauha_message *a,
                                          struct nauha_message *b, struct nauha_error *err) {
    struct nauha_pair *pair = &diff->pair;
    struct nauha_error reason = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha__compare_messages(a, b, diff->tolerance, &pair->difference,
                                                       pair->first_a, pair->first_b, &reason);
    if (status != NAUHA_OK)
        return take_failure(pair, status, &reason, err);
    pair->compared = true;
    /* With a tolerance, only the values count. */
    if (a->info.dtype != b->info.dtype && (!diff->tolerance || pair->difference.differing))
        pair->sort = NAUHA_PAIR_DTYPE;
    else if (pair->difference.differing)
        pair->sort = NAUHA_PAIR_VALUES;
    return NAUHA_OK;
}

static enum nauha_status compare(struct nauha_diff *diff, struct nauha_message *a,
                                 struct nauha_message *b, struct nauha_error *err) {
    struct nauha_pair *pair = &diff->pair;
    pair->sort = NAUHA_PAIR_EQUAL;
    pair->apart = (double)NAN;
    if (!a->info.has_tensor && !b->info.has_tensor)
        return NAUHA_OK;
    if (!same_place(diff, &a->info, &b->info)) {
        pair->sort = NAUHA_PAIR_SHARDS;
        return NAUHA_OK;
    }
    if (a->info.has_tensor != b->info.has_tensor || !same_shape(&a->info, &b->info)) {
        pair->sort = NAUHA_PAIR_SHAPE;
        return NAUHA_OK;
    }
    return a->info.kept == NAUHA_KEPT_ELEMENTS && b->info.kept == NAUHA_KEPT_ELEMENTS
               ? compare_elements(diff, a, b, err)
               : compare_hashes(diff, a, b, err);
}

/* ---- the walk ---- */

static uint64_t step_of(const struct walk *walk) {
    return walk->next ? walk->next->info.global_step : UINT64_MAX;
}

static enum nauha_status begin_step(struct nauha_diff *diff, struct nauha_error *err) {
    enum nauha_status status = fetch(diff, &diff->a, err);
    if (status == NAUHA_OK)
        status = fetch(diff, &diff->b, err);
    if (status != NAUHA_OK)
        return status;
    if (!diff->a.next && !diff->b.next)
        return NAUHA_END;
    diff->step = step_of(&diff->a) < step_of(&diff->b) ? step_of(&diff->a) : step_of(&diff->b);
    return NAUHA_OK;
}

/* Reads all messages of b in the step. */
static enum nauha_status take_in(struct nauha_diff *diff, struct nauha_error *err) {
    enum nauha_status status = fetch(diff, &diff->b, err);
    while (status == NAUHA_OK && step_of(&diff->b) == diff->step && diff->b.next) {
        status = keep(diff, err);
        if (status == NAUHA_OK)
            status = fetch(diff, &diff->b, err);
    }
    return status == NAUHA_OK ? fill_buckets(diff, err) : status;
}

/* Reads the next message of a in the step; *pair is NULL if there is none. */
static enum nauha_status next_of_a(struct nauha_diff *diff, const struct nauha_pair **pair,
                                   struct nauha_error *err) {
    *pair = NULL;
    enum nauha_status status = fetch(diff, &diff->a, err);
    if (status != NAUHA_OK || !diff->a.next || step_of(&diff->a) != diff->step)
        return status;
    struct nauha_message *message = diff->a.next;
    diff->a.next = NULL; /* borrowed from its cursor until the next call */
    struct waiting *partner = find_partner(diff, &message->info);
    diff->pair =
        (struct nauha_pair){.sort = NAUHA_PAIR_ONLY_A, .apart = (double)NAN, .a = &message->info};
    if (partner) {
        partner->done = true;
        diff->pair.b = &partner->message.info;
        status = compare(diff, message, &partner->message, err);
    }
    *pair = &diff->pair;
    return status;
}

/* Reports the next message of b that found no partner. */
static const struct nauha_pair *next_left(struct nauha_diff *diff) {
    while (diff->left < diff->count && diff->waiting[diff->left].done)
        diff->left++;
    if (diff->left == diff->count)
        return NULL;
    diff->pair = (struct nauha_pair){.sort = NAUHA_PAIR_ONLY_B,
                                     .apart = (double)NAN,
                                     .b = &diff->waiting[diff->left++].message.info};
    return &diff->pair;
}

enum nauha_status nauha_diff_next(struct nauha_diff *diff, const struct nauha_pair **pair,
                                  struct nauha_error *err) {
    for (;;) {
        enum nauha_status status = NAUHA_OK;
        switch (diff->phase) {
        case BETWEEN_STEPS:
            status = begin_step(diff, err);
            diff->phase = status == NAUHA_OK ? TAKING_IN : BETWEEN_STEPS;
            break;
        case TAKING_IN:
            status = take_in(diff, err);
            diff->phase = status == NAUHA_OK ? COMPARING : TAKING_IN;
            break;
        case COMPARING:
            status = next_of_a(diff, pair, err);
            if (status == NAUHA_OK && *pair)
                return status;
            diff->phase = status == NAUHA_OK ? LEFT_OVER : COMPARING;
            break;
        case LEFT_OVER:
            *pair = next_left(diff);
            if (*pair)
                return NAUHA_OK;
            forget_step(diff);
            diff->phase = BETWEEN_STEPS;
        }
        if (status != NAUHA_OK)
            return status;
    }
}
