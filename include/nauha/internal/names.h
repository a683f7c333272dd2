/* SPDX-License-Identifier: MIT */
/* What caches over a names object need beyond its public side. */
#ifndef NAUHA_INTERNAL_NAMES_H
#define NAUHA_INTERNAL_NAMES_H

#include "nauha/names.h"

/* Tells this names object from an earlier one that lay at the same address. Any thread. */
uint64_t nauha__names_stamp(const struct nauha_names *names);

#endif
