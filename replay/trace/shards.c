/* SPDX-License-Identifier: MIT */
/* Shards of tensors, put together; see shards.h.
 *
 * Threads: one at a time.
 */
#include "replay/trace/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"
#include "nauha/internal/arithmetic.h"
#include "nauha/internal/names.h"

#define NOBODY UINT32_MAX
/* Elements of a whole that are in memory while it is visited piece by piece. */
#define VISITED (16 * NAUHA_PIECE_ELEMENTS)

struct item {
    struct nauha_message message;
    uint32_t next; /* shard of the same bucket, added later; NOBODY: none */
    bool done;     /* delivered, or part of a whole */
};

/* A shard of a whole. Its elements are in the order that they have in the whole. */
struct piece {
    uint32_t item;
    struct nauha_placement placement;
    uint64_t count; /* elements */
};

struct whole {
    size_t first, count; /* in `pieces`: by summand, each with the pieces of one after the other */
};

struct nauha__shards {
    const struct nauha_names *names;
    struct nauha__source source; /* of the wholes; its context is this */
    struct item *items;
    size_t count, capacity;
    size_t next; /* items before it have been delivered */
    struct piece *pieces;
    size_t piece_count, piece_capacity;
    struct whole *wholes;
    size_t whole_count, whole_capacity;
    uint32_t *buckets; /* the first shard; NULL: to be filled */
    size_t bucket_count, bucket_capacity;
    bool sorted;
    struct nauha_message given; /* the whole that is borrowed */
};

/* ---- where elements lie ---- */

static uint64_t product(const int64_t *dims, uint32_t first, uint32_t ndim) {
    uint64_t count = 1;
    for (uint32_t i = first; i < ndim; i++)
        count *= (uint64_t)dims[i];
    return count;
}

/* How many elements of a piece lie before element `at` of the whole. */
static uint64_t count_before(const struct piece *piece, const int64_t *dims, uint64_t at) {
    const struct nauha_placement *p = &piece->placement;
    uint64_t before = 0, each = piece->count, stride = product(p->shape, 0, p->ndim);
    if (p->flat) {
        const uint64_t first = (uint64_t)p->offset[0];
        return at <= first ? 0 : at - first < each ? at - first : each;
    }
    if (at >= stride)
        return each;
    for (uint32_t i = 0; i < p->ndim; i++) {
        stride /= (uint64_t)p->shape[i];
        each /= (uint64_t)dims[i];
        const int64_t row = (int64_t)(at / stride) - p->offset[i];
        at %= stride;
        if (row < 0)
            return before;
        if (row >= dims[i])
            return before + (uint64_t)dims[i] * each;
        before += (uint64_t)row * each;
    }
    return before;
}

/* How many elements of a piece follow each other in the whole. */
static uint64_t run_length(const struct piece *piece, const int64_t *dims) {
    const struct nauha_placement *p = &piece->placement;
    uint64_t run = 1;
    if (p->flat)
        return piece->count;
    for (uint32_t i = p->ndim; i-- > 0;) {
        run *= (uint64_t)dims[i];
        if (dims[i] != p->shape[i])
            break;
    }
    return run;
}

/* The number in the whole of an element of a piece. */
static uint64_t position_of(const struct piece *piece, const int64_t *dims, uint64_t element) {
    const struct nauha_placement *p = &piece->placement;
    uint64_t position = 0, each = piece->count;
    if (p->flat)
        return (uint64_t)p->offset[0] + element;
    for (uint32_t i = 0; i < p->ndim; i++) {
        each /= (uint64_t)dims[i];
        position = position * (uint64_t)p->shape[i] + (uint64_t)p->offset[i] + element / each;
        element %= each;
    }
    return position;
}

/* ---- reading a whole ---- */

static const struct nauha_message *message_of(const struct nauha__shards *shards,
                                              const struct piece *piece) {
    return &shards->items[piece->item].message;
}

static enum nauha_status read_stored(const struct nauha_message *message, uint64_t first,
                                     uint64_t count, void *out, struct nauha_error *err) {
    return message->source->read(message->source->context, &message->info, message->row, first,
                                 count, out, err);
}

/* Puts the elements [first, first + count) of a piece, which `from` holds, to their places in
 * `out`, which begins with element `base` of the whole: copies them or, from the second summand on,
 * adds them. */
static void spread(const struct nauha_message *message, const struct piece *piece, uint64_t first,
                   uint64_t count, const unsigned char *from, uint64_t base, unsigned char *out) {
    const size_t size = nauha_dtype_size(message->info.dtype);
    const uint64_t run = run_length(piece, message->info.shape), end = first + count;
    while (first < end) {
        const uint64_t left = run - first % run, n = left < end - first ? left : end - first;
        unsigned char *to =
            out + (size_t)(position_of(piece, message->info.shape, first) - base) * size;
        if (piece->placement.summand > 0)
            nauha__add(message->info.dtype, to, from, (size_t)n, to);
        else
            memcpy(to, from, (size_t)n * size);
        from += (size_t)n * size;
        first += n;
    }
}

static enum nauha_status read_piece(const struct nauha_message *message, const struct piece *piece,
                                    uint64_t base, uint64_t end, unsigned char *out,
                                    struct nauha_error *err) {
    const int64_t *dims = message->info.shape;
    const size_t size = nauha_dtype_size(message->info.dtype);
    const uint64_t first = count_before(piece, dims, base);
    const uint64_t count = count_before(piece, dims, end) - first;
    if (count == 0)
        return NAUHA_OK;
    if (piece->placement.summand == 0 && run_length(piece, dims) == piece->count)
        return read_stored(message, first, count,
                           out + (size_t)(position_of(piece, dims, first) - base) * size, err);
    unsigned char *memory = malloc((size_t)count * size);
    if (!memory)
        return nauha_error_nomem(err);
    enum nauha_status status = read_stored(message, first, count, memory, err);
    if (status == NAUHA_OK)
        spread(message, piece, first, count, memory, base, out);
    free(memory);
    return status;
}

static enum nauha_status read_whole(void *context, const struct nauha_message_info *info,
                                    uint64_t row, uint64_t first, uint64_t count, void *out,
                                    struct nauha_error *err) {
    const struct nauha__shards *shards = context;
    (void)info;
    if (row >= shards->whole_count)
        return nauha_error_set(err, NAUHA_STATE, "the shards of a tensor are no longer there");
    const struct whole *whole = &shards->wholes[row];
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; i < whole->count && status == NAUHA_OK; i++) {
        const struct piece *piece = &shards->pieces[whole->first + i];
        status = read_piece(message_of(shards, piece), piece, first, first + count, out, err);
    }
    return status;
}

static enum nauha_status load_whole(void *context, const struct nauha_message_info *info,
                                    uint64_t row, void **data, struct nauha_error *err) {
    const uint64_t count = info->bytes / nauha_dtype_size(info->dtype);
    *data = malloc(info->bytes ? (size_t)info->bytes : 1);
    if (!*data)
        return nauha_error_nomem(err);
    enum nauha_status status = read_whole(context, info, row, 0, count, *data, err);
    if (status != NAUHA_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

static enum nauha_status visit_whole(void *context, const struct nauha_message_info *info,
                                     uint64_t row, bool again, nauha_piece_fn fn, void *fn_context,
                                     struct nauha_error *err) {
    const uint64_t all = info->bytes / nauha_dtype_size(info->dtype);
    const uint64_t most = all < VISITED ? all : VISITED;
    (void)again;
    void *memory = malloc(most ? (size_t)most * nauha_dtype_size(info->dtype) : 1);
    if (!memory)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (uint64_t first = 0; first < all && status == NAUHA_OK; first += most) {
        const int64_t length = (int64_t)(all - first < most ? all - first : most);
        const struct nauha_tensor tensor = {
            .data = memory, .dtype = info->dtype, .ndim = 1, .shape = &length};
        status = read_whole(context, info, row, first, (uint64_t)length, memory, err);
        if (status == NAUHA_OK)
            status = fn(fn_context, &tensor, first, err);
    }
    free(memory);
    return status;
}

bool nauha__shards_is_whole(const struct nauha_message *message) {
    return message->source && message->source->visit == visit_whole;
}

const struct nauha_message *nauha__shards_stored(const struct nauha_message *message) {
    if (!nauha__shards_is_whole(message))
        return message;
    const struct nauha__shards *shards = message->source->context;
    const struct whole *whole = &shards->wholes[message->row];
    return whole->count ? message_of(shards, &shards->pieces[whole->first]) : message;
}

/* ---- life ---- */

struct nauha__shards *nauha__shards_new(const struct nauha_names *names) {
    struct nauha__shards *shards = calloc(1, sizeof *shards);
    if (!shards)
        return NULL;
    shards->names = names;
    shards->source = (struct nauha__source){
        .load = load_whole, .visit = visit_whole, .read = read_whole, .context = shards};
    return shards;
}

void nauha__shards_clear(struct nauha__shards *shards) {
    nauha__message_fini(&shards->given);
    for (size_t i = 0; i < shards->count; i++)
        nauha__message_fini(&shards->items[i].message);
    shards->count = shards->next = shards->piece_count = shards->whole_count = 0;
    shards->sorted = false;
}

void nauha__shards_free(struct nauha__shards *shards) {
    if (!shards)
        return;
    nauha__shards_clear(shards);
    free(shards->items);
    free(shards->pieces);
    free(shards->wholes);
    free(shards->buckets);
    free(shards);
}

enum nauha_status nauha__shards_add(struct nauha__shards *shards,
                                    const struct nauha_message *message, struct nauha_error *err) {
    if (shards->count >= NOBODY || !NAUHA_GROW(shards->items, shards->capacity, shards->count + 1))
        return nauha_error_nomem(err);
    struct item *item = &shards->items[shards->count];
    *item = (struct item){.next = NOBODY};
    enum nauha_status status = nauha__message_retain(message, &item->message, err);
    shards->count += status == NAUHA_OK;
    return status;
}

/* ---- which shards belong together ---- */

static bool is_shard(const struct item *item) {
    return !item->done && item->message.info.placement != 0 &&
           item->message.info.kept == NAUHA_KEPT_ELEMENTS;
}

static bool same_tensor(const struct nauha_message_info *a, const struct nauha_message_info *b) {
    return a->kind == b->kind && a->tag == b->tag && a->module == b->module && a->slot == b->slot &&
           a->call == b->call;
}

static size_t bucket_of(const struct nauha__shards *shards, const struct nauha_message_info *info) {
    const uint32_t numbers[] = {info->kind, info->tag, info->module, info->slot, info->call};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        hash = (hash ^ numbers[i]) * 0x9e3779b97f4a7c15u;
    return (size_t)(hash ^ hash >> 32) & (shards->bucket_count - 1);
}

/* Buckets hold the shards in the order in which they were added. */
static bool fill_buckets(struct nauha__shards *shards) {
    shards->bucket_count = 64; /* a power of two */
    while (shards->bucket_count < shards->count)
        shards->bucket_count *= 2;
    if (!NAUHA_GROW(shards->buckets, shards->bucket_capacity, shards->bucket_count))
        return false;
    for (size_t i = 0; i < shards->bucket_count; i++)
        shards->buckets[i] = NOBODY;
    for (size_t i = shards->count; i-- > 0;) {
        struct item *item = &shards->items[i];
        if (!is_shard(item))
            continue;
        uint32_t *bucket = &shards->buckets[bucket_of(shards, &item->message.info)];
        item->next = *bucket;
        *bucket = (uint32_t)i;
    }
    return shards->sorted = true;
}

static uint64_t count_of(const struct nauha_message_info *info) {
    return info->bytes / nauha_dtype_size(info->dtype);
}

/* Whether a shard is among the pieces from `first` on: ranks may hold the same one. */
static bool is_known(const struct nauha__shards *shards, size_t first, uint32_t placement) {
    for (size_t i = first; i < shards->piece_count; i++)
        if (message_of(shards, &shards->pieces[i])->info.placement == placement)
            return true;
    return false;
}

static enum nauha_status add_piece(struct nauha__shards *shards, size_t first, uint32_t number,
                                   struct nauha_error *err) {
    const struct nauha_message_info *info = &shards->items[number].message.info;
    if (info->bytes == 0 || is_known(shards, first, info->placement))
        return NAUHA_OK;
    if (!NAUHA_GROW(shards->pieces, shards->piece_capacity, shards->piece_count + 1))
        return nauha_error_nomem(err);
    struct piece *piece = &shards->pieces[shards->piece_count++];
    piece->item = number;
    piece->count = count_of(info);
    nauha_names_placement(shards->names, info->placement, &piece->placement);
    return NAUHA_OK;
}

static int by_summand(const void *left, const void *right) {
    const struct piece *a = left, *b = right;
    if (a->placement.summand != b->placement.summand)
        return a->placement.summand < b->placement.summand ? -1 : 1;
    return a->item < b->item ? -1 : a->item > b->item;
}

/* ---- whether they make up a whole ---- */

static bool overlap(const struct piece *a, const int64_t *dims_a, const struct piece *b,
                    const int64_t *dims_b) {
    const uint32_t ndim = a->placement.flat ? 1 : a->placement.ndim;
    for (uint32_t i = 0; i < ndim; i++) {
        const int64_t of_a = a->placement.offset[i], of_b = b->placement.offset[i];
        if (of_a + dims_a[i] <= of_b || of_b + dims_b[i] <= of_a)
            return false;
    }
    return true;
}

/* Whether the pieces [first, end) are of one summand, and each element is in exactly one. */
static bool is_complete(const struct nauha__shards *shards, size_t first, size_t end,
                        uint64_t elements) {
    uint64_t count = 0;
    for (size_t i = first; i < end; i++) {
        const struct piece *piece = &shards->pieces[i];
        for (size_t j = first; j < i; j++)
            if (overlap(piece, message_of(shards, piece)->info.shape, &shards->pieces[j],
                        message_of(shards, &shards->pieces[j])->info.shape))
                return false;
        count += piece->count;
    }
    return count == elements;
}

/* The text of what is wrong with the pieces from `first` on; NULL: they make up the whole. */
static const char *fault_of(struct nauha__shards *shards, size_t first, uint32_t number) {
    const struct nauha_message_info *info = &shards->items[number].message.info;
    struct nauha_placement p;
    nauha_names_placement(shards->names, info->placement, &p);
    const uint64_t elements = product(p.shape, 0, p.ndim);
    if (elements > SIZE_MAX / nauha_dtype_size(info->dtype))
        return "has more elements than memory can hold";
    if (elements == 0)
        return NULL;
    qsort(shards->pieces + first, shards->piece_count - first, sizeof *shards->pieces, by_summand);
    size_t at = first;
    for (uint32_t summand = 0; summand == 0 || summand < p.summands; summand++) {
        const size_t begin = at;
        while (at < shards->piece_count && shards->pieces[at].placement.summand == summand)
            at++;
        if (!is_complete(shards, begin, at, elements))
            return "is not whole: shards of it are missing";
    }
    return NULL;
}

static bool fits(const struct nauha__shards *shards, const struct nauha_message_info *a,
                 const struct nauha_message_info *b) {
    struct nauha_placement of_a, of_b;
    nauha_names_placement(shards->names, a->placement, &of_a);
    nauha_names_placement(shards->names, b->placement, &of_b);
    return a->dtype == b->dtype && of_a.flat == of_b.flat && of_a.summands == of_b.summands &&
           nauha__names_whole(shards->names, a->placement) ==
               nauha__names_whole(shards->names, b->placement);
}

static enum nauha_status refuse(const struct nauha_message_info *info, size_t ranks,
                                const char *fault, struct nauha_error *err) {
    char module[400] = "";
    if (info->module != NAUHA_NONE)
        snprintf(module, sizeof module, " of module \"%s\"", info->module_name);
    return nauha_error_set(
        err, NAUHA_DAMAGED, "\"%s\"%s of step %" PRIu64 ", of which %zu rank%s shards, %s",
        info->kind_name, module, info->global_step, ranks, ranks == 1 ? " has" : "s have", fault);
}

/* Takes the shards of one tensor, one from each rank, beginning with that of item `number`. */
static enum nauha_status gather(struct nauha__shards *shards, uint32_t number,
                                struct nauha_error *err) {
    const struct nauha_message_info *info = &shards->items[number].message.info;
    const size_t first = shards->piece_count;
    const char *fault = NULL;
    uint32_t rank = 0;
    size_t ranks = 0;
    enum nauha_status status = NAUHA_OK;
    for (uint32_t i = number; i != NOBODY && status == NAUHA_OK; i = shards->items[i].next) {
        struct item *item = &shards->items[i];
        const struct nauha_message_info *other = &item->message.info;
        if (item->done || !same_tensor(info, other) || (ranks > 0 && other->rank == rank))
            continue;
        rank = other->rank;
        ranks++;
        item->done = true;
        if (!fits(shards, info, other))
            fault = "consists of shards that do not fit together";
        status = add_piece(shards, first, i, err);
    }
    if (status == NAUHA_OK && !fault)
        fault = fault_of(shards, first, number);
    if (status == NAUHA_OK && fault) {
        shards->piece_count = first;
        return refuse(info, ranks, fault, err);
    }
    if (status != NAUHA_OK ||
        !NAUHA_GROW(shards->wholes, shards->whole_capacity, shards->whole_count + 1))
        return nauha_error_nomem(err);
    shards->wholes[shards->whole_count++] =
        (struct whole){.first = first, .count = shards->piece_count - first};
    return NAUHA_OK;
}

/* ---- delivering ---- */

static enum nauha_status give_whole(struct nauha__shards *shards, uint32_t number,
                                    struct nauha_message **message, struct nauha_error *err) {
    enum nauha_status status = gather(shards, number, err);
    if (status != NAUHA_OK)
        return status;
    struct nauha_placement placement;
    struct nauha_message *given = &shards->given;
    given->info = shards->items[number].message.info;
    nauha_names_placement(shards->names, given->info.placement, &placement);
    given->info.ndim = placement.ndim;
    given->info.shape = placement.shape;
    given->info.bytes =
        product(placement.shape, 0, placement.ndim) * nauha_dtype_size(given->info.dtype);
    given->info.placement = 0;
    given->source = &shards->source;
    given->row = shards->whole_count - 1;
    *message = given;
    return NAUHA_OK;
}

/* Frees what was read of a message. What it is, and where its elements lie, is still needed. */
static void release(struct nauha_message *message) {
    free(message->owned);
    free(message->stats);
    message->data = message->owned = NULL;
    message->stats = NULL;
    message->known = 0;
}

enum nauha_status nauha__shards_next(struct nauha__shards *shards, struct nauha_message **message,
                                     struct nauha_error *err) {
    nauha__message_fini(&shards->given);
    if (shards->next > 0)
        release(&shards->items[shards->next - 1].message);
    if (!shards->sorted && !fill_buckets(shards))
        return nauha_error_nomem(err);
    while (shards->next < shards->count) {
        const uint32_t number = (uint32_t)shards->next++;
        struct item *item = &shards->items[number];
        if (item->done)
            continue;
        if (is_shard(item))
            return give_whole(shards, number, message, err);
        item->done = true;
        *message = &item->message;
        return NAUHA_OK;
    }
    return NAUHA_END;
}
