/* SPDX-License-Identifier: MIT */
/* Whole numbers in JSON; see json.h.
 *
 * Threads: any thread.
 */
#include "tools/commands/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

struct cJSON *nauha__json_whole(uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return cJSON_CreateRaw(text);
}

struct cJSON *nauha__json_signed(int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return cJSON_CreateRaw(text);
}

void nauha__json_add_whole(struct cJSON *object, const char *name, uint64_t value) {
    cJSON_AddItemToObject(object, name, nauha__json_whole(value));
}

void nauha__json_add_signed(struct cJSON *object, const char *name, int64_t value) {
    cJSON_AddItemToObject(object, name, nauha__json_signed(value));
}
