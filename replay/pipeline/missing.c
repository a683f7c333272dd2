/* SPDX-License-Identifier: MIT */
/* See missing.h.
 *
 * Threads: one at a time.
 */
#include "replay/pipeline/missing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nauha/array.h"

#define LAST_TAG 63u

void nauha__came_note(struct nauha__came *came, uint32_t kind, uint32_t tag) {
    const size_t before = came->count;
    if (kind >= came->count && !NAUHA_GROW(came->tags, came->count, (size_t)kind + 1))
        return; /* then less can be explained */
    if (came->count > before)
        memset(came->tags + before, 0, (came->count - before) * sizeof *came->tags);
    came->tags[kind] |= UINT64_C(1) << (tag < LAST_TAG ? tag : LAST_TAG);
}

void nauha__came_fini(struct nauha__came *came) {
    free(came->tags);
}

static uint64_t tags_of(const struct nauha__came *came, uint32_t kind) {
    return kind < came->count ? came->tags[kind] : 0;
}

static void list_tags(FILE *out, uint64_t tags, const struct nauha_names *names) {
    const char *separator = "";
    for (uint32_t tag = 0; tag < LAST_TAG && tag < nauha_names_tags(names); tag++) {
        if (!(tags >> tag & 1))
            continue;
        fprintf(out, "%s\"%s\"", separator, nauha_names_tag(names, tag));
        separator = ", ";
    }
    if (tags >> LAST_TAG)
        fprintf(out, "%sothers", separator);
}

/* False if there is nothing to say. */
static bool explain(FILE *out, const struct nauha__came *came, const struct nauha_names *names,
                    const struct nauha__metric *metric) {
    const struct nauha__spec *spec = metric->spec;
    for (size_t i = 0; i < spec->kind_count; i++) {
        const uint32_t kind = nauha_names_find_kind(names, spec->kinds[i]);
        const uint64_t tags = tags_of(came, kind);
        const uint32_t tag = nauha_names_find_tag(names, spec->tag);
        if (tags == 0) {
            fprintf(out,
                    "it got nothing, because there are no messages of \"%s\" (nauha info shows "
                    "which kinds a trace has)",
                    spec->kinds[i]);
            return true;
        }
        if (strcmp(spec->tag, NAUHA_ALL_TAGS) != 0 && tag < LAST_TAG && !(tags >> tag & 1)) {
            fprintf(out,
                    "it got nothing, because no message of \"%s\" has the tag \"%s\"; they have ",
                    spec->kinds[i], spec->tag);
            list_tags(out, tags, names);
            return true;
        }
    }
    return false;
}

char *nauha__came_explain(const struct nauha__came *came, const struct nauha_names *names,
                          const struct nauha__metric *metric) {
    char *text = NULL;
    size_t size = 0;
    if (metric->bundles > 0 || metric->failure)
        return NULL;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    const bool any = explain(out, came, names, metric);
    if (fclose(out) == 0 && any)
        return text;
    free(text);
    return NULL;
}
