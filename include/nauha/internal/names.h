/* SPDX-License-Identifier: MIT */
/* Names, for caches that refer to a names object. */
#ifndef NAUHA_INTERNAL_NAMES_H
#define NAUHA_INTERNAL_NAMES_H

#include "nauha/names.h"

/* A number that distinguishes this names object from an earlier one at the same address. Any
 * thread. */
uint64_t nauha__names_stamp(const struct nauha_names *names);

#endif
