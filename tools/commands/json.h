/* SPDX-License-Identifier: MIT */
/* Whole numbers in JSON. cJSON stores numbers as doubles, which hold whole numbers only up to 2^53,
 * and prints at most 17 digits. So times in nanoseconds, steps and sizes are written digit by
 * digit.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_TOOLS_COMMANDS_JSON_H
#define NAUHA_TOOLS_COMMANDS_JSON_H

#include <stdint.h>

struct cJSON;

/* NULL when out of memory. Caller owns, release with cJSON_Delete. */
struct cJSON *nauha__json_whole(uint64_t value);
struct cJSON *nauha__json_signed(int64_t value);

void nauha__json_add_whole(struct cJSON *object, const char *name, uint64_t value);
void nauha__json_add_signed(struct cJSON *object, const char *name, int64_t value);

#endif
