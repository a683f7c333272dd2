/* SPDX-License-Identifier: MIT */
/* nauha plot: pictures of replayed series, through gnuplot. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nauha/plotting.h"
#include "tools/cli/command.h"
#include "tools/cli/path.h"
#include "tools/cli/terminal.h"

static const struct nauha_option plot_table[] = {
    {"term", 0, "dumb|png|svg|pdf|x11|qt", NULL,
     "output of gnuplot: dumb prints characters, x11 and qt open a window, others write a file "
     "(default: SVG and PNG files)"},
    {"size", 0, "COLUMNSxLINES", NULL,
     "size with --term dumb, in characters (default: that of the terminal, else 80x24)"},
    {"style", 0, "auto|lines|top|panels|band|rows|map", NULL,
     "lines: all modules in one frame; top: the largest and smallest in colour, the others grey; "
     "panels: a frame for each module; band: mean, standard deviation and range; rows: a heat map "
     "with a row for each module; map: histograms as heat maps; auto: depends on the number of "
     "modules (default: that of the script, else auto)"},
    {"scale", 0, "linear|log|auto", NULL,
     "scale of the y axis; auto: logarithmic if values span decades (default: that of the script, "
     "else auto)"},
};
OPTION_GROUP(plot_options, "Output", plot_table);

/* Prints the names of the files that were created; stem: their path without ".svg" and the like. */
static void tell(const char *stem, int length, const struct nauha_drawing *drawing, bool quiet) {
    if (quiet || !nauha_plot_makes_files(drawing->term))
        return;
    if (drawing->term)
        fprintf(stderr, "%.*s.%s\n", length, stem, drawing->term);
    else
        fprintf(stderr, "%.*s.svg\n%.*s.png\n", length, stem, length, stem);
}

static int plot_file(const char *path, const struct nauha_drawing *drawing, bool quiet) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_plot_csv_as(path, drawing, &err);
    if (status == NAUHA_END) {
        fprintf(stderr, "nauha: nothing to draw: \"%s\" has no rows\n", path);
        return EXIT_FINE;
    }
    if (status != NAUHA_OK)
        return nauha__fail(&err);
    tell(path, (int)strlen(path) - 4, drawing, quiet);
    return EXIT_FINE;
}

static int plot_overview(const char *directory, const struct nauha_drawing *drawing, bool quiet) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_plot_overview(directory, drawing, &err);
    if (status != NAUHA_OK && status != NAUHA_END)
        return nauha__fail(&err);
    char path[4096];
    if (status == NAUHA_OK && nauha__write_path(path, sizeof path, directory, "overview"))
        tell(path, (int)strlen(path), drawing, quiet);
    return EXIT_FINE;
}

static int is_csv(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".csv") == 0;
}

static int plot_directory(const char *directory, const struct nauha_drawing *drawing, bool quiet) {
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
        nauha__write_path(path, sizeof path, directory, "%s", entries[i]->d_name);
        /* A wrong option is wrong for all series, and is reported once. */
        int drawn = code == EXIT_USAGE ? code : plot_file(path, drawing, quiet);
        code = drawn > code || drawn == EXIT_USAGE ? drawn : code;
        free(entries[i]);
    }
    free(entries);
    /* In a text terminal, the overview would repeat all pictures. */
    if (code == EXIT_FINE && nauha_plot_makes_files(drawing->term))
        code = plot_overview(directory, drawing, quiet);
    return code;
}

/* "80x24", or the size of the terminal that standard output is. */
static int take_size(const struct invocation *invocation, struct nauha_drawing *drawing) {
    const char *text = nauha__get(invocation, "size", NULL);
    char rest;
    if (!text) {
        nauha__terminal_size(&drawing->columns, &drawing->lines);
        return EXIT_FINE;
    }
    if (!drawing->term || strcmp(drawing->term, "dumb") != 0)
        return nauha__usage(invocation->command, "--size is only for --term dumb");
    if (text[strspn(text, "0123456789x")] || strlen(text) > 9 ||
        sscanf(text, "%ux%u%c", &drawing->columns, &drawing->lines, &rest) != 2 ||
        drawing->columns < 20 || drawing->columns > 1000 || drawing->lines < 8 ||
        drawing->lines > 1000)
        return nauha__usage(invocation->command,
                            "\"%s\" is not a value of \"size\": expected COLUMNSxLINES from 20x8 "
                            "to 1000x1000, such as 120x40",
                            text);
    return EXIT_FINE;
}

static int run_plot(const struct invocation *invocation) {
    const char *path = invocation->arguments[0];
    struct nauha_drawing drawing = {.term = nauha__get(invocation, "term", NULL),
                                    .style = nauha__get(invocation, "style", NULL),
                                    .scale = nauha__get(invocation, "scale", NULL)};
    struct stat about;
    int code = take_size(invocation, &drawing);
    if (code != EXIT_FINE)
        return code;
    if (stat(path, &about) != 0) {
        fprintf(stderr, "nauha: cannot open \"%s\": %s\n", path, strerror(errno));
        return EXIT_FAILED;
    }
    drawing.lenient = S_ISDIR(about.st_mode);
    return drawing.lenient ? plot_directory(path, &drawing, invocation->quiet)
                           : plot_file(path, &drawing, invocation->quiet);
}

const struct command nauha__command_plot = {
    .name = "plot",
    .summary = "draw replayed series with gnuplot",
    .arguments = "DIR|FILE.csv",
    .description =
        "Draws the series in a CSV file, or all series in a directory, that replay or train has "
        "written. A gnuplot script TOPIC.gp that you have edited is run unchanged.",
    .examples = "nauha plot series\nnauha plot series/loss.csv --term dumb",
    .min_arguments = 1,
    .max_arguments = 1,
    .groups = {&nauha__plot_options},
    .run = run_plot,
};
