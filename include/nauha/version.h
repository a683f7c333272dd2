/* SPDX-License-Identifier: MIT */
/* The versions of nauha; docs/versions.md says which changes raise which version.
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

/* The ABI of analyzers. A plugin with another number is refused. */
#define NAUHA_ANALYZER_ABI 1u

/* The format of the traces that are written. Traces of another major version are refused; those of
 * any minor version are read. */
#define NAUHA_FORMAT_MAJOR 1u
#define NAUHA_FORMAT_MINOR 5u

/* X(NAME, "name"): the things that have a version. That of the library is in the file VERSION. */
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

/* Writes the version, such as "1.10.8", to text, cut to fit its `bytes`. For other libraries it is
 * the version that is loaded, which may be later than the one compiled with. Returns the name, such
 * as "HDF5"; NULL for a value outside the enum, with "" in text. */
NAUHA_API const char *nauha_version(enum nauha_versioned of, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
