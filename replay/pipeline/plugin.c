/* SPDX-License-Identifier: MIT */
/* Loading analyzers; see nauha/plugin.h. */
#include "nauha/plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/array.h"
#include "nauha/internal/path.h"
#include "replay/pipeline/descriptor.h"

struct plugin {
    char *path;
    void *library;                      /* NULL: refused */
    const struct nauha_analyzer *given; /* part of the library */
    struct nauha_error refusal; /* its message says why the library was refused; "" if it was not */
};

struct nauha_plugins {
    struct plugin *list;
    size_t count, capacity;
};

struct nauha_plugins *nauha_plugins_new(void) {
    return calloc(1, sizeof(struct nauha_plugins));
}

void nauha_plugins_free(struct nauha_plugins *plugins) {
    if (!plugins)
        return;
    for (size_t i = 0; i < plugins->count; i++) {
        if (plugins->list[i].library)
            dlclose(plugins->list[i].library);
        free(plugins->list[i].path);
    }
    free(plugins->list);
    free(plugins);
}

/* ---- one library ---- */

/* Whether the name is that of a built-in analyzer, or of one in another plugin. */
static enum nauha_status check_name(const struct nauha_plugins *plugins, const char *name,
                                    struct nauha_error *err) {
    for (size_t i = 0; i < plugins->count; i++) {
        const struct plugin *other = &plugins->list[i];
        if (other->library && strcmp(other->given->name, name) == 0)
            return nauha_error_set(err, NAUHA_INVALID,
                                   "the analyzer \"%s\" is already loaded from \"%s\"", name,
                                   other->path);
    }
    return nauha__descriptor_check_name(name, err);
}

static bool is_loaded(const struct nauha_plugins *plugins, const struct nauha_analyzer *given) {
    for (size_t i = 0; i < plugins->count; i++) {
        if (plugins->list[i].library && plugins->list[i].given == given)
            return true;
    }
    return false;
}

/* Whether the file of a library is too short for one of its segments: the loader maps segments
 * without a check, and the process would die when it accesses memory past the end. Files that are
 * not libraries are left to the loader. */
static bool is_cut_short(int fd, const struct stat *about) {
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    const uint64_t bytes = (uint64_t)about->st_size;
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof segment)
        return false;
    for (uint64_t i = 0; i < head.e_phnum; i++) {
        const uint64_t at = head.e_phoff + i * sizeof segment;
        if (at > bytes || pread(fd, &segment, sizeof segment, (off_t)at) != (ssize_t)sizeof segment)
            return true;
        if (segment.p_type == PT_LOAD &&
            (segment.p_offset > bytes || segment.p_filesz > bytes - segment.p_offset))
            return true;
    }
    return false;
}

static enum nauha_status check_length(const char *file, struct nauha_error *err) {
    struct stat about;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool cut =
        fd >= 0 && fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && is_cut_short(fd, &about);
    if (fd >= 0)
        close(fd);
    return cut ? nauha_error_set(err, NAUHA_UNAVAILABLE,
                                 "cannot be loaded: the file is truncated; build or copy it again")
               : NAUHA_OK;
}

/* Opens the library and checks its analyzers; *library is NULL if all of them are known already. */
static enum nauha_status open_library(const struct nauha_plugins *plugins, const char *path,
                                      void **library, const struct nauha_analyzer **given,
                                      struct nauha_error *err) {
    struct nauha_analyzer copy;
    char file[PATH_MAX];
    /* Without a slash, dlopen would search the system's directories. */
    if (snprintf(file, sizeof file, "%s%s", strchr(path, '/') ? "" : "./", path) >=
        (int)sizeof file)
        return nauha_error_set(err, NAUHA_INVALID, "its path has more than %d bytes", PATH_MAX);
    if (check_length(file, err) != NAUHA_OK)
        return NAUHA_UNAVAILABLE;
    *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!*library)
        return nauha_error_set(err, NAUHA_UNAVAILABLE, "cannot be loaded: %s", dlerror());
    *given = dlsym(*library, NAUHA_PLUGIN_SYMBOL);
    enum nauha_status status =
        *given ? NAUHA_OK
               : nauha_error_set(err, NAUHA_INVALID,
                                 "it contains no analyzer: the symbol \"%s\" is missing; use "
                                 "NAUHA_ANALYZER and compile with -DNAUHA_PLUGIN",
                                 NAUHA_PLUGIN_SYMBOL);
    if (status == NAUHA_OK && is_loaded(plugins, *given)) {
        dlclose(*library);
        *library = NULL;
        return NAUHA_OK;
    }
    if (status == NAUHA_OK)
        status = nauha__descriptor_take(*given, &copy, err);
    if (status == NAUHA_OK)
        status = check_name(plugins, copy.name, err);
    if (status == NAUHA_OK)
        return NAUHA_OK;
    dlclose(*library);
    *library = NULL;
    return status;
}

/* Loads a library, and remembers the result. */
static enum nauha_status look_at(struct nauha_plugins *plugins, const char *path,
                                 struct nauha_error *err) {
    struct plugin plugin = {0};
    if (!NAUHA_GROW(plugins->list, plugins->capacity, plugins->count + 1) ||
        !(plugin.path = strdup(path)))
        return nauha_error_nomem(err);
    const enum nauha_status status =
        open_library(plugins, path, &plugin.library, &plugin.given, &plugin.refusal);
    if (status == NAUHA_OK && !plugin.library) {
        free(plugin.path);
        return NAUHA_OK;
    }
    plugins->list[plugins->count++] = plugin;
    return status == NAUHA_OK ? NAUHA_OK
                              : nauha_error_set(err, status, "%s", plugin.refusal.message);
}

enum nauha_status nauha_plugins_load(struct nauha_plugins *plugins, const char *path,
                                     struct nauha_error *err) {
    enum nauha_status status = look_at(plugins, path, err);
    return status == NAUHA_OK ? NAUHA_OK : nauha_error_wrap(err, status, "plugin \"%s\"", path);
}

/* ---- directories ---- */

static int is_library(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

static enum nauha_status search_directory(struct nauha_plugins *plugins, const char *directory,
                                          struct nauha_error *err) {
    struct dirent **entries = NULL;
    const int count = scandir(directory, &entries, is_library, alphasort);
    enum nauha_status status = NAUHA_OK;
    for (int i = 0; i < count; i++) {
        char *path = nauha__path(directory, "%s", entries[i]->d_name);
        if (!path)
            status = nauha_error_nomem(err);
        if (status == NAUHA_OK && look_at(plugins, path, err) == NAUHA_NOMEM)
            status = NAUHA_NOMEM; /* all else is noted there */
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

enum nauha_status nauha_plugins_search(struct nauha_plugins *plugins, const char *directories,
                                       struct nauha_error *err) {
    char *list = strdup(directories), *rest = NULL;
    if (!list)
        return nauha_error_nomem(err);
    enum nauha_status status = NAUHA_OK;
    for (char *directory = strtok_r(list, ":", &rest); directory && status == NAUHA_OK;
         directory = strtok_r(NULL, ":", &rest))
        status = search_directory(plugins, directory, err);
    free(list);
    return status;
}

/* ---- what was found ---- */

bool nauha_plugins_get(const struct nauha_plugins *plugins, size_t position,
                       struct nauha_plugin_info *info) {
    if (!plugins || position >= plugins->count)
        return false;
    const struct plugin *plugin = &plugins->list[position];
    *info = (struct nauha_plugin_info){.path = plugin->path,
                                       .analyzer = plugin->library ? plugin->given : NULL,
                                       .reason = plugin->refusal.message};
    return true;
}

enum nauha_status nauha_plugins_add_to(const struct nauha_plugins *plugins,
                                       struct nauha_pipeline *pipeline, struct nauha_error *err) {
    enum nauha_status status = NAUHA_OK;
    for (size_t i = 0; plugins && i < plugins->count && status == NAUHA_OK; i++) {
        const struct plugin *plugin = &plugins->list[i];
        if (plugin->library && !nauha_pipeline_has_analyzer(pipeline, plugin->given))
            status = nauha_pipeline_add_analyzer(pipeline, plugin->given, err);
    }
    return status;
}
