/* SPDX-License-Identifier: MIT */
/* Names, for caches that refer to a names object. */
#ifndef NAUHA_INTERNAL_NAMES_H
#define NAUHA_INTERNAL_NAMES_H

#include "nauha/names.h"

/* A number that distinguishes this names object from an earlier one at the same address. Any
 * thread. */
uint64_t nauha__names_stamp(const struct nauha_names *names);

/* The number of the shape of the whole to which a shard's shape belongs; NAUHA_NONE if it is not
 * the shape of a shard. It is less than the shard's. Any thread. */
uint32_t nauha__names_whole(const struct nauha_names *names, uint32_t id);

#endif
