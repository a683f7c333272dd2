/* SPDX-License-Identifier: MIT */
/* Compressed or raw, by what waits where; see choice.h. */
#include "recorder/choice.h"

/* One more worker is called for with each 32nd of the buffer that waits, so all of them have work
 * before the processors are too few. */
#define PART_OF_WORKER 32u
/* The disk is too slow when this part of the buffer waits for it: before the writer gives up
 * waiting for it, which it does at an eighth. */
#define PART_OF_DISK 16u

static size_t part(size_t room, size_t divisor, size_t least) {
    return room / divisor > least ? room / divisor : least;
}

bool nauha__choose_raw(struct nauha__choice *choice, const struct nauha__fill *fill) {
    const size_t each = part(fill->room, PART_OF_WORKER, 1);
    const size_t many = each * (fill->workers + 1), few = many / 2;
    const size_t late = part(fill->room, PART_OF_DISK, 1), early = late / 2;
    const bool disk_is_short = fill->encoded > (choice->raw ? late : early);
    const bool processors_are_short = fill->sealed > (choice->raw ? few : many);
    choice->raw = processors_are_short && !disk_is_short;
    return choice->raw;
}
