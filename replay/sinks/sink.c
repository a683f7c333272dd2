/* SPDX-License-Identifier: MIT */
/* What sinks have in common; see sink.h. */
#include "replay/sinks/sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum nauha_status nauha__series_check(const char *series, enum nauha_form form,
                                      const struct nauha_tensor *tensor, struct nauha_error *err) {
    const bool fits = form == NAUHA_FORM_HISTOGRAM ? tensor->ndim == 2 && tensor->shape[1] == 3
                                                   : tensor->ndim == 0;
    if (tensor->dtype == NAUHA_DTYPE_F64 && fits)
        return NAUHA_OK;
    return nauha_error_set(err, NAUHA_INVALID, "a message of \"%s\" has not the shape of its topic",
                           series);
}

char *nauha__path(const char *directory, const char *name, const char *suffix) {
    char *path = NULL;
    return asprintf(&path, "%s/%s%s", directory, name, suffix) < 0 ? NULL : path;
}

enum nauha_status nauha__make_directory(const char *path, struct nauha_error *err) {
    char *copy = strdup(path);
    if (!copy)
        return nauha_error_set(err, NAUHA_NOMEM, "out of memory");
    enum nauha_status status = NAUHA_OK;
    for (char *slash = copy; status == NAUHA_OK && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = 0;
        if (copy[0] && mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = nauha_error_set_errno(err, errno, "cannot make directory \"%s\"", copy);
        if (slash)
            *slash = '/';
    }
    struct stat info;
    if (status == NAUHA_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status = nauha_error_set_errno(err, ENOTDIR, "cannot make directory \"%s\"", path);
    free(copy);
    return status;
}
