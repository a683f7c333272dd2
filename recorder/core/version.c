/* SPDX-License-Identifier: MIT */
/* The versions of this library and of the libraries that it uses. */
#include "nauha/version.h"

#include <hdf5.h>
#include <lz4.h>
#include <stdio.h>
#include <zstd.h>

const char *nauha_version(enum nauha_versioned of, char *text, size_t bytes) {
    static const char *const names[] = {
#define NAME(name, string) [NAUHA_VERSION_##name] = string,
        NAUHA_VERSIONS(NAME)
#undef NAME
    };
    unsigned major = 0, minor = 0, release = 0;
    switch (of) {
    case NAUHA_VERSION_LIBRARY:
        snprintf(text, bytes, "%s", NAUHA_LIBRARY_VERSION);
        break;
    case NAUHA_VERSION_PLUGIN_ABI:
        snprintf(text, bytes, "%u", NAUHA_ANALYZER_ABI);
        break;
    case NAUHA_VERSION_TRACE_FORMAT:
        snprintf(text, bytes, "%u.%u", NAUHA_FORMAT_MAJOR, NAUHA_FORMAT_MINOR);
        break;
    case NAUHA_VERSION_HDF5:
        H5get_libversion(&major, &minor, &release);
        snprintf(text, bytes, "%u.%u.%u", major, minor, release);
        break;
    case NAUHA_VERSION_ZSTD:
        snprintf(text, bytes, "%s", ZSTD_versionString());
        break;
    case NAUHA_VERSION_LZ4:
        snprintf(text, bytes, "%s", LZ4_versionString());
        break;
    default:
        snprintf(text, bytes, "%s", "");
        return NULL;
    }
    return names[of];
}
