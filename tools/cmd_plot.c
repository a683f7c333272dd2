/* SPDX-License-Identifier: MIT */
/* nauha plot: pictures of replayed series, through gnuplot. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nauha/plotting.h"
#include "tools/command.h"

static const struct nauha_option plot_table[] = {
    {"term", 0, "dumb|png|svg|pdf|x11|qt", NULL,
     "how to draw: dumb draws in the terminal; by default SVG and PNG files are made"},
};
OPTION_GROUP(plot_options, "Output", plot_table);

static int plot_file(const char *path, const char *term, bool quiet) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_plot_csv(path, term, &err);
    if (status == NAUHA_END) {
        fprintf(stderr, "nauha: \"%s\" has no rows, nothing to draw\n", path);
        return EXIT_FINE;
    }
    if (status != NAUHA_OK)
        return nauha__fail(&err);
    bool makes_file = !term || !strcmp(term, "svg") || !strcmp(term, "png") || !strcmp(term, "pdf");
    int stem = (int)strlen(path) - 4;
    if (!quiet && makes_file && !term)
        fprintf(stderr, "%.*s.svg\n%.*s.png\n", stem, path, stem, path);
    else if (!quiet && makes_file)
        fprintf(stderr, "%.*s.%s\n", stem, path, term);
    return EXIT_FINE;
}

static int is_csv(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".csv") == 0;
}

static int plot_directory(const char *directory, const char *term, bool quiet) {
    struct dirent **entries;
    int count = scandir(directory, &entries, is_csv, alphasort);
    if (count < 0) {
        fprintf(stderr, "nauha: cannot read directory \"%s\": %s\n", directory, strerror(errno));
        return EXIT_FAILED;
    }
    int code = EXIT_FINE;
    if (count == 0) {
        fprintf(stderr, "nauha: no series (.csv) in \"%s\"\n", directory);
        code = EXIT_FAILED;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        int drawn = plot_file(path, term, quiet);
        code = drawn > code ? drawn : code;
        free(entries[i]);
    }
    free(entries);
    return code;
}

int nauha__run_plot(const struct invocation *invocation) {
    const char *path = invocation->arguments[0];
    const char *term = nauha__get(invocation, "term", NULL);
    struct stat about;
    if (stat(path, &about) != 0) {
        fprintf(stderr, "nauha: cannot open \"%s\": %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    return S_ISDIR(about.st_mode) ? plot_directory(path, term, invocation->quiet)
                                  : plot_file(path, term, invocation->quiet);
}
