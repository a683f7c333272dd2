/* SPDX-License-Identifier: MIT */
/* Byte planes: plane k holds byte k of every item.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_RECORDER_CORE_CODEC_SHUFFLE_H
#define NAUHA_RECORDER_CORE_CODEC_SHUFFLE_H

#include "nauha/internal/codec.h"

#define NAUHA__ITEM_SIZE_MAX 8u

/* Split `count` items into item_size planes of `count` bytes each, and join such planes to items.
 */
void nauha__split_planes(size_t item_size, const void *items, size_t count,
                         unsigned char *const planes[]);
void nauha__join_planes(size_t item_size, const unsigned char *const planes[], size_t count,
                        void *items);

#endif
