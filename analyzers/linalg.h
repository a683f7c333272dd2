/* SPDX-License-Identifier: MIT */
/* For analyzers that need linear algebra: finding nauha_linalg.so, when the first of them is made.
 *
 * Threads: any thread.
 */
#ifndef NAUHA_ANALYZERS_LINALG_H
#define NAUHA_ANALYZERS_LINALG_H

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzers/linalg/linalg.h"
#include "nauha/analyzer.h"

/* The directory of the program or library that this code is in, with its slash; "" if unknown. */
static inline void linalg_own_directory(char *directory, size_t size) {
    static const char here = 0;
    Dl_info info;
    void *found = NULL;
    directory[0] = '\0';
    if (!dladdr1(&here, &info, &found, RTLD_DL_LINKMAP))
        return;
    /* The program itself has no name. */
    const struct link_map *map = found;
    char *path = realpath(map->l_name[0] ? map->l_name : "/proc/self/exe", NULL);
    char *slash = path ? strrchr(path, '/') : NULL;
    if (slash) {
        slash[1] = '\0';
        if (strlen(path) < size)
            strcpy(directory, path);
    }
    free(path);
}

/* Stays loaded once it is: what another instance finds again. */
static inline void *linalg_open(void) {
    /* Of a build or a package of Python; of an installed program, library, Python's program. */
    static const char *const places[] = {"", "../lib/nauha/", "nauha/", "../"};
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    char directory[PATH_MAX], path[PATH_MAX + 64];
    linalg_own_directory(directory, sizeof directory);
    for (size_t i = 0; directory[0] && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s" LINALG_MODULE, directory, places[i]);
        void *module = dlopen(path, flags);
        if (module)
            return module;
    }
    return dlopen(LINALG_MODULE, flags);
}

/* *linalg stays valid. UNAVAILABLE: it is not there, or of another version. */
static inline enum nauha_status linalg_load(const struct nauha_host *host,
                                            const struct linalg **linalg, struct nauha_error *err) {
    void *module = linalg_open();
    if (!module)
        return host->fail(err, NAUHA_UNAVAILABLE,
                          "linear algebra is not available: %s; it needs a build with OpenBLAS "
                          "(Debian's libopenblas-serial-dev)",
                          dlerror());
    const struct linalg *found = dlsym(module, LINALG_SYMBOL);
    const bool fits = found && found->abi == LINALG_ABI && found->size >= sizeof *found;
    dlclose(module);
    if (!fits)
        return host->fail(err, NAUHA_VERSION, "\"%s\" does not belong to this program",
                          LINALG_MODULE);
    *linalg = found;
    return NAUHA_OK;
}

#endif
