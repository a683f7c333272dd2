/* SPDX-License-Identifier: MIT */
/* Plugins: analyzers in shared libraries.
 *
 * A plugin is a library with the symbol NAUHA_PLUGIN_SYMBOL, which the macro NAUHA_ANALYZER
 * defines; see docs/writing-analyzers.md.
 *
 * Threads: one at a time.
 */
#ifndef NAUHA_PLUGIN_H
#define NAUHA_PLUGIN_H

#include "nauha/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

struct nauha_plugins;

/* NULL when out of memory. Caller owns, release with nauha_plugins_free after all pipelines to
 * which the plugins were added: it unloads them. */
NAUHA_API struct nauha_plugins *nauha_plugins_new(void);
NAUHA_API void nauha_plugins_free(struct nauha_plugins *plugins);

/* Loads a library. UNAVAILABLE: it cannot be loaded. INVALID: it has no analyzer, a malformed one,
 * or one whose name is taken. VERSION: as nauha_pipeline_add_analyzer. It is no error to load a
 * library again. */
NAUHA_API enum nauha_status nauha_plugins_load(struct nauha_plugins *plugins, const char *path,
                                               struct nauha_error *err);

/* Loads every *.so in these directories, given as "DIR:DIR", in the order of their names. Libraries
 * that are refused, and directories that do not exist, are no error. NOMEM. */
NAUHA_API enum nauha_status nauha_plugins_search(struct nauha_plugins *plugins,
                                                 const char *directories, struct nauha_error *err);

/* A library that was loaded or refused. Strings are borrowed until nauha_plugins_free. */
struct nauha_plugin_info {
    const char *path;
    const struct nauha_analyzer *analyzer; /* NULL: refused */
    const char *reason;                    /* why it was refused, or "" */
};
/* The libraries by position, in the order in which they were tried; false past the end, or if
 * plugins is NULL. */
NAUHA_API bool nauha_plugins_get(const struct nauha_plugins *plugins, size_t position,
                                 struct nauha_plugin_info *info);

/* Adds all loaded analyzers to a pipeline; none if plugins is NULL. Fails as
 * nauha_pipeline_add_analyzer. */
NAUHA_API enum nauha_status nauha_plugins_add_to(const struct nauha_plugins *plugins,
                                                 struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
