/* SPDX-License-Identifier: MIT */
/* How the elements of two messages differ, read piece by piece; see compare.h.
 *
 * Threads: one at a time per message.
 */
#include <stdlib.h>
#include <string.h>

#include "nauha/internal/message.h"
#include "replay/diff/compare.h"

/* Elements of each message that are held: a megabyte at most. */
#define PIECE ((size_t)256 * NAUHA__COMPARE_BLOCK)

struct operand {
    struct nauha_message *message;
    void *memory;
    int64_t held; /* elements */
    struct nauha_tensor piece;
};

struct operands {
    struct operand a, b;
    uint64_t count;
    uint64_t first; /* first element of the piece that is held; UINT64_MAX: none is */
};

static bool make_room(struct operand *operand, struct nauha_message *message, uint64_t count) {
    const size_t most = count < PIECE ? (size_t)count : PIECE;
    operand->message = message;
    operand->memory = malloc(most ? most * nauha_dtype_size(message->info.dtype) : 1);
    operand->piece = (struct nauha_tensor){
        .data = operand->memory, .dtype = message->info.dtype, .ndim = 1, .shape = &operand->held};
    return operand->memory != NULL;
}

/* Reads the piece that begins at element `first`. */
static enum nauha_status hold(struct operands *operands, uint64_t first, struct nauha_error *err) {
    const uint64_t left = operands->count - first, n = left < PIECE ? left : PIECE;
    struct operand *a = &operands->a, *b = &operands->b;
    if (operands->first == first)
        return NAUHA_OK;
    operands->first = UINT64_MAX;
    a->held = b->held = (int64_t)n;
    enum nauha_status status = nauha_message_read(a->message, first, n, a->memory, err);
    if (status == NAUHA_OK)
        status = nauha_message_read(b->message, first, n, b->memory, err);
    if (status == NAUHA_OK)
        operands->first = first;
    return status;
}

/* Whether all bits are equal. This only reads the elements; sums are computed only of tensors that
 * differ. */
static enum nauha_status compare_bits(struct operands *operands, bool *equal,
                                      struct nauha_error *err) {
    const struct nauha_tensor *a = &operands->a.piece, *b = &operands->b.piece;
    enum nauha_status status = NAUHA_OK;
    *equal = a->dtype == b->dtype || operands->count == 0;
    for (uint64_t first = 0; first < operands->count && *equal; first += PIECE) {
        status = hold(operands, first, err);
        if (status != NAUHA_OK)
            return status;
        *equal =
            memcmp(a->data, b->data, (size_t)operands->a.held * nauha_dtype_size(a->dtype)) == 0;
    }
    return status;
}

static enum nauha_status compare_values(struct operands *operands,
                                        const struct nauha_tolerance *tolerance,
                                        struct nauha_difference *difference, char first_a[40],
                                        char first_b[40], struct nauha_error *err) {
    for (uint64_t first = 0; first < operands->count; first += PIECE) {
        const uint64_t before = difference->differing;
        enum nauha_status status = hold(operands, first, err);
        if (status != NAUHA_OK)
            return status;
        const struct nauha_tensor *a = &operands->a.piece, *b = &operands->b.piece;
        nauha__compare_piece(a, b, tolerance, first, (size_t)operands->a.held, difference);
        if (before == 0 && difference->differing > 0) {
            nauha_element_text(a, (size_t)(difference->first - first), first_a);
            nauha_element_text(b, (size_t)(difference->first - first), first_b);
        }
    }
    return NAUHA_OK;
}

enum nauha_status nauha__compare_messages(struct nauha_message *a, struct nauha_message *b,
                                          const struct nauha_tolerance *tolerance,
                                          struct nauha_difference *difference, char first_a[40],
                                          char first_b[40], struct nauha_error *err) {
    struct operands operands = {.count = a->info.bytes / nauha_dtype_size(a->info.dtype),
                                .first = UINT64_MAX};
    bool equal = false;
    *difference = (struct nauha_difference){.count = operands.count, .first = operands.count};
    const bool room =
        make_room(&operands.a, a, operands.count) && make_room(&operands.b, b, operands.count);
    enum nauha_status status =
        room ? compare_bits(&operands, &equal, err)
             : nauha_error_set(err, NAUHA_NOMEM, "no memory to compare two traces");
    if (status == NAUHA_OK && !equal)
        status = compare_values(&operands, tolerance, difference, first_a, first_b, err);
    if (status == NAUHA_OK)
        nauha__compare_rounding(tolerance, a->info.dtype, b->info.dtype, difference);
    free(operands.a.memory);
    free(operands.b.memory);
    return status;
}
