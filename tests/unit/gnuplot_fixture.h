/* SPDX-License-Identifier: MIT */
/* A directory with CSVs of series, and the scripts that are made of them. */
#ifndef NAUHA_TESTS_GNUPLOT_FIXTURE_H
#define NAUHA_TESTS_GNUPLOT_FIXTURE_H

#include "tests/unit/directory.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/plotting.h"
#include "replay/plot/gnuplot.h"
#include "replay/plot/script.h"
#include "replay/sinks/sink.h"

#define KEY "global_step,train_step,epoch,rank,tag,module,slot,call,"

static inline bool have_gnuplot(void) {
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

static inline FILE *create_csv(const char *name, const char *columns) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fprintf(file, KEY "%s\n", columns);
    return file;
}

/* `modules` lines of `steps` steps, ten steps an epoch. */
static inline void write_scalars(const char *name, unsigned modules, unsigned steps) {
    FILE *file = create_csv(name, "value");
    for (unsigned step = 0; step < steps; step++) {
        for (unsigned m = 0; m < modules; m++)
            fprintf(file, "%u,%u,%u,0,default,features.%u,weight,0,%.17g\n", step, step % 10,
                    step / 10, m, exp(-(double)step / 30) * (m + 1) * (1 + 0.2 * sin(step * 7.0)));
    }
    fclose(file);
}

static inline void write_bins(const char *name, unsigned modules, unsigned steps) {
    FILE *file = create_csv(name, "bin_low,bin_high,count");
    for (unsigned step = 0; step < steps; step++) {
        for (unsigned m = 0; m < modules; m++) {
            for (int bin = 0; bin < 8; bin++)
                fprintf(file, "%u,%u,0,0,default,fc%u,weight,0,%d,%d,%d\n", step, step, m, bin - 4,
                        bin - 3, 100 / (1 + abs(bin - 4)));
        }
    }
    fclose(file);
}

static inline char *read_file(const char *name) {
    static char text[1 << 20];
    FILE *file = fopen(path_of(name), "r");
    if (!file)
        fail_msg("there is no %s", name);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static inline off_t size_of(const char *name) {
    struct stat info;
    return stat(path_of(name), &info) == 0 ? info.st_size : -1;
}

static inline void assert_has_not(const char *text, const char *words) {
    if (strstr(text, words))
        fail_msg("\"%s\" is in:\n%s", words, text);
}

static const struct nauha_plot plain = {
    .title = "Norm", .xlabel = "step", .ylabel = "L2 norm", .y_low = NAN, .y_high = NAN};

/* The script of a CSV, without its seal. */
static inline const char *picture_of(const char *csv, const struct nauha__picture *picture) {
    static char text[1 << 20];
    struct nauha__series_summary summary;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha__series_scan(path_of(csv), &summary, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    FILE *out = fmemopen(text, sizeof text, "w");
    nauha__gnuplot_script(out, "norm", picture, &summary);
    fclose(out);
    nauha__series_fini(&summary);
    return text;
}

static inline const char *script_of(const char *csv, const struct nauha_plot *plot) {
    return picture_of(csv, &(struct nauha__picture){.plot = *plot});
}

static inline const char *styled(const char *csv, enum nauha__style style) {
    return picture_of(csv, &(struct nauha__picture){.plot = plain, .style = style});
}

static inline size_t count_of(const char *text, const char *words) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, words)); at += strlen(words))
        count++;
    return count;
}

#define FILES(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

#endif
