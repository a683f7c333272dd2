/* SPDX-License-Identifier: MIT */
/* Finding modules relative to this code, which may be in the program or in the library for Python.
 * See module.h.
 *
 * Threads: the main thread.
 */
#include "tools/cli/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/path.h"

/* The directory of the program or library that this is part of. */
static void own_directory(char path[PATH_MAX]) {
    Dl_info info;
    nauha__program_directory(path);
    void *here = NULL;
    void *(*self)(const char *, const char *, const char *) = nauha__module_symbol;
    memcpy(&here, &self, sizeof here);
    if (dladdr(here, &info) && info.dli_fname && strstr(info.dli_fname, ".so")) {
        char *slash = realpath(info.dli_fname, path) ? strrchr(path, '/') : path;
        *slash = '\0';
        /* Opens a library again with its symbols visible to the module, because Python loads
         * libraries without that. */
        dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    }
}

/* The first path of a module that exists: in a build tree, installed, or beside the library for
 * Python. */
static bool find_module(const char *directory, const char *name, char *path, size_t size) {
    static const char *const places[] = {"", "../lib/nauha/", "nauha/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        nauha__write_path(path, size, directory, "%s%s", places[i], name);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

void *nauha__module_symbol(const char *name, const char *symbol, const char *what) {
    char directory[PATH_MAX], path[PATH_MAX + 64];
    own_directory(directory);
    const bool there = find_module(directory, name, path, sizeof path);
    void *module = there ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!module) {
        fprintf(stderr, "nauha: %s is not available: ", what);
        if (there)
            fprintf(stderr, "%s\n", dlerror());
        else
            fprintf(stderr, "\"%s\" is neither in \"%s\" nor in \"%s/../lib/nauha\"\n", name,
                    directory, directory);
        fputs("Build nauha with libtorch: \"apt install libtorch-dev\", or set LIBTORCH=DIR, then "
              "run make.\n",
              stderr);
        return NULL;
    }
    void *found = dlsym(module, symbol);
    if (!found)
        fprintf(stderr, "nauha: %s is from another version of this program: install both again\n",
                name);
    return found;
}
