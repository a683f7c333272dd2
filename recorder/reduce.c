/* SPDX-License-Identifier: MIT */
/* Leaving out samples and bits; see reduce.h.
 *
 * Threads: any thread.
 */
#include "recorder/reduce.h"

#include <string.h>

static bool has_samples(uint32_t kind) {
    return kind == NAUHA_KIND_INPUT_DATA || kind == NAUHA_KIND_INPUT_LABELS ||
           kind == NAUHA_KIND_INPUTS || kind == NAUHA_KIND_ACTIVATIONS ||
           kind == NAUHA_KIND_LAYER_GRADIENTS || kind == NAUHA_KIND_NETWORK_OUTPUT ||
           kind == NAUHA_KIND_OUTPUT_GRADIENTS;
}

/* The rows of a shard that are among the first ones of the whole. */
static void cut_placement(struct nauha_placement *placement, int64_t samples, int64_t *rows,
                          struct nauha__reduced *room) {
    memcpy(room->whole, placement->shape, placement->ndim * sizeof *room->whole);
    memcpy(room->offset, placement->offset, placement->ndim * sizeof *room->offset);
    room->whole[0] = samples;
    if (room->offset[0] > samples)
        room->offset[0] = samples;
    if (*rows > samples - room->offset[0])
        *rows = samples - room->offset[0];
    placement->shape = room->whole;
    placement->offset = room->offset;
}

bool nauha__reduce_samples(uint32_t kind, uint32_t samples, struct nauha_placement *placement,
                           struct nauha_tensor *tensor, struct nauha__reduced *room) {
    if (samples == 0 || !has_samples(kind) || tensor->ndim == 0 || (placement && placement->flat))
        return false;
    if ((placement ? placement->shape : tensor->shape)[0] <= (int64_t)samples)
        return false;
    memcpy(room->shape, tensor->shape, tensor->ndim * sizeof *room->shape);
    if (placement)
        cut_placement(placement, (int64_t)samples, &room->shape[0], room);
    else
        room->shape[0] = samples;
    tensor->shape = room->shape;
    return true;
}

unsigned nauha__reduce_bits(uint32_t kind, unsigned precision, enum nauha_dtype dtype) {
    bool rounded = (has_samples(kind) && kind != NAUHA_KIND_INPUT_LABELS) ||
                   kind == NAUHA_KIND_WEIGHT_GRADIENTS || kind == NAUHA_KIND_BIAS_GRADIENTS;
    bool real = dtype == NAUHA_DTYPE_F32 || dtype == NAUHA_DTYPE_F64;
    return rounded && real ? precision : 0;
}

/* Adding just below half of the last bit kept, and that bit, carries as rounding to nearest even
 * does; a NaN keeps its upper bits and is made quiet, so that it does not become infinite. */
#define DEFINE_ROUND(type, significand, infinity)                                                  \
    static void round_##type(type *items, size_t count, unsigned bits) {                           \
        const unsigned drop = (significand)-bits;                                                  \
        const type kept = (type)(~(type)0 << drop), half = (type)(((type)1 << (drop - 1)) - 1);    \
        const type quiet = (type)1 << ((significand)-1);                                           \
        for (size_t i = 0; i < count; i++) {                                                       \
            type value = items[i];                                                                 \
            bool nan = (value & ~((type)1 << (sizeof(type) * 8 - 1))) > (infinity);                \
            type rounded = (value + half + (value >> drop & 1)) & kept;                            \
            items[i] = nan ? ((value & kept) | quiet) : rounded;                                   \
        }                                                                                          \
    }

DEFINE_ROUND(uint32_t, 23, 0x7f800000u)
DEFINE_ROUND(uint64_t, 52, 0x7ff0000000000000u)

void nauha__round(enum nauha_dtype dtype, unsigned bits, void *elements, size_t count) {
    if (dtype == NAUHA_DTYPE_F32)
        round_uint32_t(elements, count, bits);
    else if (dtype == NAUHA_DTYPE_F64)
        round_uint64_t(elements, count, bits);
}
