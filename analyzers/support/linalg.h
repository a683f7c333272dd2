/* SPDX-License-Identifier: MIT */
/* For analyzers that need linear algebra: loading nauha_linalg.so when the first of them is
 * created.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_SUPPORT_LINALG_H
#define NAUHA_ANALYZERS_SUPPORT_LINALG_H

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzers/linalg/linalg.h"
#include "nauha/analyzer.h"

/* The directory of a file, with a slash at its end; "" if there is no such file. */
static inline void linalg_directory(const char *file, char *directory, size_t size) {
    char *path = realpath(file, NULL);
    char *slash = path ? strrchr(path, '/') : NULL;
    directory[0] = '\0';
    if (slash && (size_t)(slash + 1 - path) < size) {
        slash[1] = '\0';
        strcpy(directory, path);
    }
    free(path);
}

/* Loads the module from a place relative to a file; NULL if it is in none. */
static inline void *linalg_open_near(const char *file, int flags) {
    /* In this order: beside the file (a build tree, the Python package, other modules); in
     * lib/nauha for an installed program; in nauha for a library in lib, and in ../nauha for one in
     * lib/TRIPLET; one folder up for Python's own program. */
    static const char *const places[] = {"", "../lib/nauha/", "nauha/", "../nauha/", "../"};
    char directory[PATH_MAX], path[PATH_MAX + 64];
    void *module = NULL;
    linalg_directory(file, directory, sizeof directory);
    for (size_t i = 0; directory[0] && !module && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s" LINALG_MODULE, directory, places[i]);
        module = dlopen(path, flags);
    }
    return module;
}

/* Loads the module from a place near the library that contains this code, near the program, or
 * where the system searches. It stays loaded, so that other instances find it again. */
static inline void *linalg_open(void) {
    static const char here = 0;
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    Dl_info info;
    void *module = NULL, *found = NULL;
    if (dladdr1(&here, &info, &found, RTLD_DL_LINKMAP)) {
        const struct link_map *map = found;
        module = map->l_name[0] ? linalg_open_near(map->l_name, flags) : NULL;
    }
    if (!module)
        module = linalg_open_near("/proc/self/exe", flags);
    return module ? module : dlopen(LINALG_MODULE, flags);
}

/* Loads the module. *linalg stays valid until the process ends. UNAVAILABLE: there is no such
 * module, or it has another version. */
static inline enum nauha_status linalg_load(const struct nauha_host *host,
                                            const struct linalg **linalg, struct nauha_error *err) {
    void *module = linalg_open();
    if (!module)
        return host->fail(err, NAUHA_UNAVAILABLE,
                          "linear algebra is not available: %s; it needs a build with OpenBLAS "
                          "(Debian's libopenblas-pthread-dev)",
                          dlerror());
    const struct linalg *found = dlsym(module, LINALG_SYMBOL);
    const bool fits = found && found->abi == LINALG_ABI && found->size >= sizeof *found;
    const char *unusable = fits ? found->unusable() : NULL;
    dlclose(module);
    if (!fits)
        return host->fail(err, NAUHA_VERSION, "\"%s\" does not belong to this program",
                          LINALG_MODULE);
    if (unusable)
        return host->fail(err, NAUHA_UNAVAILABLE, "linear algebra is not available: \"%s\": %s",
                          LINALG_MODULE, unusable);
    *linalg = found;
    return NAUHA_OK;
}

#endif
