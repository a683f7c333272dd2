/* SPDX-License-Identifier: MIT */
/* The versions of nauha: what raises which is in docs/versions.md.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_VERSION_H
#define NAUHA_VERSION_H

#include <stddef.h>

#include "nauha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of analyzers in shared libraries: a plugin of another one is refused. */
#define NAUHA_ANALYZER_ABI 1u

/* Of the traces that are written. Those of another major version are refused, those of any minor
 * version are read. */
#define NAUHA_FORMAT_MAJOR 1u
#define NAUHA_FORMAT_MINOR 1u

/* X(NAME, "name"): what has a version. That of the library itself is in the file VERSION. */
#define NAUHA_VERSIONS(X)                                                                          \
    X(LIBRARY, "nauha")                                                                            \
    X(PLUGIN_ABI, "plugin ABI")                                                                    \
    X(TRACE_FORMAT, "trace format")                                                                \
    X(HDF5, "HDF5")                                                                                \
    X(ZSTD, "zstd")                                                                                \
    X(LZ4, "lz4")

enum nauha_versioned {
#define NAUHA_VERSION_ENUM(name, text) NAUHA_VERSION_##name,
    NAUHA_VERSIONS(NAUHA_VERSION_ENUM)
#undef NAUHA_VERSION_ENUM
};

/* "1.10.8" into text, cut to fit its bytes: of other libraries the version that is loaded, which
 * may be later than the one that was compiled with. Returns "HDF5", ...; NULL for no such thing,
 * where text becomes "". */
NAUHA_API const char *nauha_version(enum nauha_versioned of, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
