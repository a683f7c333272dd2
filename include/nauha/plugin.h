/* SPDX-License-Identifier: MIT */
/* Analyzers in shared libraries: finding them, and why one was refused.
 *
 * A plugin is a library with the symbol NAUHA_PLUGIN_SYMBOL, which the macro NAUHA_ANALYZER makes:
 * see docs/writing-analyzers.md.
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

/* NULL when out of memory. Caller owns, release with nauha_plugins_free, which unloads them: after
 * every pipeline they were added to. */
NAUHA_API struct nauha_plugins *nauha_plugins_new(void);
NAUHA_API void nauha_plugins_free(struct nauha_plugins *plugins);

/* Loads one library; one that is loaded already is no error. UNAVAILABLE: it cannot be loaded.
 * INVALID: it has no analyzer, a malformed one, or one whose name is taken. VERSION: of another
 * ABI. */
NAUHA_API enum nauha_status nauha_plugins_load(struct nauha_plugins *plugins, const char *path,
                                               struct nauha_error *err);

/* Loads every *.so of these directories, "DIR:DIR", in the order of their names. What is refused
 * is only noted. A directory that does not exist holds none. NOMEM. */
NAUHA_API enum nauha_status nauha_plugins_search(struct nauha_plugins *plugins,
                                                 const char *directories, struct nauha_error *err);

/* What was found, in the order it was looked at. Strings are borrowed until
 * nauha_plugins_free. */
struct nauha_plugin_info {
    const char *path;
    const struct nauha_analyzer *analyzer; /* NULL: refused */
    const char *reason;                    /* why; "" where it was not */
};
/* False past the end; plugins NULL: there is none. */
NAUHA_API bool nauha_plugins_get(const struct nauha_plugins *plugins, size_t position,
                                 struct nauha_plugin_info *info);

/* Adds all that were not refused to a pipeline; plugins NULL: none. Fails as
 * nauha_pipeline_add_analyzer. */
NAUHA_API enum nauha_status nauha_plugins_add_to(const struct nauha_plugins *plugins,
                                                 struct nauha_pipeline *pipeline,
                                                 struct nauha_error *err);

#ifdef __cplusplus
}
#endif
#endif
