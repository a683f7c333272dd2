/* SPDX-License-Identifier: MIT */
/* Drawing pictures under temporary names; see pictures.h. */
#include "replay/plot/pictures.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/path.h"
#include "nauha/output.h"

/* The end of a complete file of each kind; gnuplot may write a line break after it. */
static const struct ending {
    const char *extension;
    const char *text;
    size_t bytes;
} endings[] = {{"svg", "</svg>", 6}, {"png", "IEND\xae\x42\x60\x82", 8}, {"pdf", "%%EOF", 5}};
#define ENDINGS (sizeof endings / sizeof *endings)
enum { TAIL = 16 };

static bool is_drawn(const struct ending *ending, const char *term) {
    return term ? strcmp(ending->extension, term) == 0 : strcmp(ending->extension, "pdf") != 0;
}

static bool is_whole(const char *path, const struct ending *ending) {
    char tail[TAIL];
    FILE *file = fopen(path, "re");
    size_t got = 0;
    if (file && fseek(file, -(long)sizeof tail, SEEK_END) == 0)
        got = fread(tail, 1, sizeof tail, file);
    if (file)
        fclose(file);
    return memmem(tail, got, ending->text, ending->bytes) != NULL;
}

static enum nauha_status clear(const char *path, const char *partial, struct nauha_error *err) {
    const struct nauha_output_request place = {.path = path, .named_by_us = true};
    const struct nauha_output_request beside = {.path = partial, .named_by_us = true};
    enum nauha_status status = nauha_output_check(&place, err);
    if (status == NAUHA_OK)
        status = nauha_output_check(&beside, err);
    if (status == NAUHA_OK && unlink(partial) != 0 && errno != ENOENT)
        status = nauha_error_set_errno(err, errno, "cannot remove \"%s\"", partial);
    return status;
}

/* A script that a user edited may draw straight to the final name, or elsewhere. */
static enum nauha_status place(const char *path, const char *partial, const struct ending *ending,
                               struct nauha_error *err) {
    const bool beside = access(partial, F_OK) == 0;
    const char *drawn = beside ? partial : path;
    if (!beside && access(path, F_OK) != 0)
        return NAUHA_OK;
    if (!is_whole(drawn, ending)) {
        unlink(drawn);
        return nauha_error_set(err, NAUHA_IO,
                               "cannot write \"%s\": gnuplot has not written all of it; is the "
                               "disk full?",
                               path);
    }
    if (beside && rename(partial, path) != 0)
        return nauha_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"", partial, path);
    return NAUHA_OK;
}

static enum nauha_status each(const char *directory, const char *stem, const char *term, bool drawn,
                              struct nauha_error *err) {
    enum nauha_status first = NAUHA_OK;
    for (size_t i = 0; i < ENDINGS; i++) {
        char *partial = NULL;
        if (!is_drawn(&endings[i], term))
            continue;
        char *path = nauha__path(directory, "%s.%s", stem, endings[i].extension);
        if (!path)
            return nauha_error_nomem(err);
        if (asprintf(&partial, "%s" NAUHA__BESIDE_SUFFIX, path) < 0) {
            free(path);
            return nauha_error_nomem(err);
        }
        struct nauha_error *to = first == NAUHA_OK ? err : NULL;
        enum nauha_status status =
            drawn ? place(path, partial, &endings[i], to) : clear(path, partial, to);
        first = first == NAUHA_OK ? status : first;
        free(path);
        free(partial);
    }
    return first;
}

enum nauha_status nauha__pictures_clear(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err) {
    return each(directory, stem, term, false, err);
}

enum nauha_status nauha__pictures_place(const char *directory, const char *stem, const char *term,
                                        struct nauha_error *err) {
    return each(directory, stem, term, true, err);
}
