/* SPDX-License-Identifier: MIT */
/* NAUHA__WIDE before a function: it is compiled twice, and the version for wide vectors is chosen
 * when the program is loaded, where that can be done. Multiplications and additions are not fused,
 * so that results do not depend on the processor. */
#ifndef NAUHA_INTERNAL_WIDE_H
#define NAUHA_INTERNAL_WIDE_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) &&                       \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if __has_attribute(target_clones)
#define NAUHA__WIDE __attribute__((target_clones("avx2", "default")))
#endif
#endif
#if defined(__has_feature) /* clang's way to ask for sanitizers */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef NAUHA__WIDE
#endif
#endif
#ifndef NAUHA__WIDE
#define NAUHA__WIDE
#endif

#endif
