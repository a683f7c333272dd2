/* SPDX-License-Identifier: MIT */
/* Hashes, computed by the xxHash library; see nauha/internal/hash.h. */
#include "nauha/internal/hash.h"

#include <xxhash.h>

/* On x86, libxxhash can be built to choose its code by the processor, and then hashes four times as
 * fast with AVX2. A libxxhash that was built otherwise does not have these functions. */
__attribute__((weak)) XXH64_hash_t XXH3_64bits_dispatch(const void *bytes, size_t count);
__attribute__((weak)) XXH128_hash_t XXH3_128bits_dispatch(const void *bytes, size_t count);
__attribute__((weak)) XXH_errorcode XXH3_128bits_update_dispatch(XXH3_state_t *state,
                                                                 const void *bytes, size_t count);

uint64_t nauha__hash64(const void *bytes, size_t count) {
    return XXH3_64bits_dispatch ? XXH3_64bits_dispatch(bytes, count) : XXH3_64bits(bytes, count);
}

void nauha__hash128(const void *bytes, size_t count, uint64_t hash[2]) {
    XXH128_hash_t value =
        XXH3_128bits_dispatch ? XXH3_128bits_dispatch(bytes, count) : XXH3_128bits(bytes, count);
    hash[0] = value.low64;
    hash[1] = value.high64;
}

static XXH3_state_t *state_of(struct nauha__hasher *hasher) {
    return (XXH3_state_t *)(void *)hasher;
}

struct nauha__hasher *nauha__hasher_new(void) {
    return (struct nauha__hasher *)(void *)XXH3_createState();
}

void nauha__hasher_free(struct nauha__hasher *hasher) {
    if (hasher)
        XXH3_freeState(state_of(hasher));
}

void nauha__hasher_begin(struct nauha__hasher *hasher) {
    XXH3_128bits_reset(state_of(hasher));
}

void nauha__hasher_add(struct nauha__hasher *hasher, const void *bytes, size_t count) {
    if (XXH3_128bits_update_dispatch)
        XXH3_128bits_update_dispatch(state_of(hasher), bytes, count);
    else
        XXH3_128bits_update(state_of(hasher), bytes, count);
}

void nauha__hasher_end(const struct nauha__hasher *hasher, uint64_t hash[2]) {
    XXH128_hash_t value = XXH3_128bits_digest((const XXH3_state_t *)(const void *)hasher);
    hash[0] = value.low64;
    hash[1] = value.high64;
}
