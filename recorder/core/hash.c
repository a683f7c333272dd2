/* SPDX-License-Identifier: MIT */
/* Hashes by the library; see hash.h. */
#include "nauha/internal/hash.h"

#include <xxhash.h>

/* On x86 libxxhash can be built to look at the processor, and hashes four times as fast then where
 * that has AVX2. Where it was built without, these are not there. */
__attribute__((weak)) XXH64_hash_t XXH3_64bits_dispatch(const void *bytes, size_t count);
__attribute__((weak)) XXH128_hash_t XXH3_128bits_dispatch(const void *bytes, size_t count);

uint64_t nauha__hash64(const void *bytes, size_t count) {
    return XXH3_64bits_dispatch ? XXH3_64bits_dispatch(bytes, count) : XXH3_64bits(bytes, count);
}

void nauha__hash128(const void *bytes, size_t count, uint64_t hash[2]) {
    XXH128_hash_t value =
        XXH3_128bits_dispatch ? XXH3_128bits_dispatch(bytes, count) : XXH3_128bits(bytes, count);
    hash[0] = value.low64;
    hash[1] = value.high64;
}

struct nauha__hashing *nauha__hashing_new(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state)
        XXH3_128bits_reset(state);
    return (struct nauha__hashing *)state;
}

void nauha__hashing_add(struct nauha__hashing *hashing, const void *bytes, size_t count) {
    XXH3_128bits_update((XXH3_state_t *)hashing, bytes, count);
}

void nauha__hashing_end(struct nauha__hashing *hashing, uint64_t hash[2]) {
    const XXH128_hash_t value = XXH3_128bits_digest((XXH3_state_t *)hashing);
    hash[0] = value.low64;
    hash[1] = value.high64;
    XXH3_freeState((XXH3_state_t *)hashing);
}
