/* SPDX-License-Identifier: MIT */
/* Scripts and pictures: what stands in a script, what gnuplot makes of it, whose edits survive,
 * and what is said when something is missing. */
#include "gnuplot_fixture.h"

#include <sched.h>

/* ---- scripts ---- */

static void test_script_of_lines(void **state) {
    (void)state;
    struct nauha_plot plot = plain;
    plot.title = "It's a \"norm\"\n(p = 2)";
    plot.log_y = true;
    plot.y_low = 0.001;
    write_scalars("norm.csv", 10, 25);
    const char *script = script_of("norm.csv", &plot);
    assert_has(script, "main_title = 'It''s a \"norm\"?(p = 2)'\n");
    assert_has(script, "x_label    = 'step'\n");
    assert_has(script, "y_label    = 'L2 norm'\n");
    assert_has(script, "csv        = output.'.csv'\n");
    assert_has(script, "epochs     = '10 20' #");
    assert_has(script, "epoch_tics = \"'epoch 1' 10, '2' 20\" #");
    assert_has(script, "set datafile separator comma\n");
    assert_has(script, "is(module) = strcol(6) eq module\n");
    assert_has(script, "set logscale y\n");
    assert_has(script, "set yrange [0.001:");
    assert_has(script, "set xrange [0:24]\n");
    assert_has(script, "every 10::9 using (mean_step($1)):(is('features.9') ? drawn($9) : NaN)");
    assert_has(script, "title 'features.9'\n");
    assert_has(script, "set key outside right");
    assert_has(script, "dt (7,3)"); /* the eighth line and those after it */
    assert_has_not(script, "multiplot");
}

static void test_steps_start_at_zero_where_that_is_near(void **state) {
    (void)state;
    FILE *file = create_csv("norm.csv", "value");
    fputs("10,0,0,0,default,,,0,1\n20,1,0,0,default,,,0,5\n", file);
    fclose(file);
    assert_has(script_of("norm.csv", &plain), "set xrange [0:20]\n");
    file = create_csv("norm.csv", "value");
    fputs("11,0,0,0,default,,,0,1\n20,1,0,0,default,,,0,5\n", file);
    fclose(file);
    assert_has(script_of("norm.csv", &plain), "set xrange [11:20]\n");
    file = create_csv("norm.csv", "value");
    fputs("11,0,0,0,default,,,0,1\n", file);
    fclose(file);
    assert_has(script_of("norm.csv", &plain), "set xrange [11-0.5:11+0.5]\n");
}

static void test_script_of_one_long_line(void **state) {
    (void)state;
    write_scalars("norm.csv", 1, 2000);
    const char *script = script_of("norm.csv", &plain);
    assert_has(script, "window     = 20 #");
    assert_has(script, "title 'every value'");
    assert_has(script, "mean of %d steps");
    assert_has_not(script, "is(");
    assert_has(script, "set logscale y\n"); /* exp(-2000/30) is small */
    assert_has_not(picture_of("norm.csv", &(struct nauha__picture){.plot = plain,
                                                                   .scale = NAUHA__SCALE_LINEAR}),
                   "set logscale");
}

static void test_script_of_many_lines(void **state) {
    (void)state;
    write_scalars("norm.csv", 13, 5);
    const char *script = script_of("norm.csv", &plain);
    assert_has(script, "set multiplot layout 4,4 ");
    assert_has(script, "set title 'features.12'");
    write_scalars("norm.csv", 61, 5);
    script = script_of("norm.csv", &plain);
    assert_has_not(script, "multiplot");
    assert_has(script, "'features.60' 60)\nset yrange [61-0.5:-0.5]\n");
    assert_has(script, "with boxxyerror lc palette");
    FILE *file = create_csv("norm.csv", "value"); /* not every line in every step */
    for (int m = 0; m < 61; m++)
        fprintf(file, "0,0,0,0,default,m%d,,0,%d\n", m, m);
    fputs("1,1,0,0,default,m5,,0,1\n", file);
    fclose(file);
    script = script_of("norm.csv", &plain);
    assert_has(script, "title '54 other modules'");
    assert_has(script, "title 'm60'");
    assert_has(script, "title 'm0'");
    assert_has_not(script, "title 'm48'");
    assert_has_not(script, "skip 1 every");
}

static void test_legend_tells_lines_apart(void **state) {
    (void)state;
    FILE *file = create_csv("norm.csv", "value");
    fputs("0,0,0,0,default,,weight,0,1\n0,0,0,1,default,rnn,weight,0,1\n"
          "0,0,0,0,testing,rnn,bias,2,1\n",
          file);
    fclose(file);
    const char *script = script_of("norm.csv", &plain);
    assert_has(script, "is(module, slot, call, tag, rank) =");
    assert_has(script, "title '(root) weight call 0 (default) rank 0'");
    assert_has(script, "title 'rnn weight call 0 (default) rank 1'");
    assert_has(script, "is('rnn', 'bias', '2', 'testing', '0')");
}

static void test_strange_names_do_no_harm(void **state) {
    (void)state;
    FILE *file = create_csv("norm.csv", "value");
    fputs("0,0,0,0,default,\"a\n'; system('touch harm'); '\",,0,1\n"
          "0,0,0,0,default,\"x,1\",,0,2\n0,0,0,0,default,\"x,2\",,0,3\n"
          "0,0,0,0,default,it's `touch harm`,,0,4\n0,0,0,0,default,\"q,1\",,0,5\n",
          file);
    fclose(file);
    const char *script = script_of("norm.csv", &plain);
    assert_has_not(script, "system"); /* a line break cannot be matched: not drawn */
    assert_has_not(script, "'x,1'");  /* both look like "x" to gnuplot */
    assert_has(script, "title 'it''s `touch harm`'");
    assert_has(script, "same(strcol(6), module)");
    assert_has(script, "title 'q,1'");
    if (!have_gnuplot())
        skip();
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_plot_csv(path_of("norm.csv"), NULL, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(size_of("harm"), -1);
    assert_has(read_file("norm.svg"), "q,1");
}

static void test_script_of_histograms(void **state) {
    (void)state;
    struct nauha_plot plot = plain;
    plot.y_low = -2;
    write_bins("norm.csv", 3, 6);
    const char *script = script_of("norm.csv", &plot);
    assert_has(script, "set multiplot layout 2,2 ");
    assert_has(script, "set cblabel 'share of elements'");
    assert_has(script, "set title 'fc2'");
    assert_has(script, "set yrange [-2:4.16]\n"); /* 2 % above the highest bin of 8 */
    assert_has(script, "every      = 1 #");
    write_bins("norm.csv", 1, 400);
    script = script_of("norm.csv", &plain);
    assert_has_not(script, "multiplot");
    assert_has(script, "every      = 3 #"); /* 400 steps in at most 150 slices */
    write_bins("norm.csv", 61, 2);
    script = script_of("norm.csv", &plain);
    assert_has(script, "title main_title.' (the first 60 of 61)' font");
    assert_has(script, "set title 'fc59'");
    assert_has_not(script, "set title 'fc60'");
}

/* What is drawn is read once, and each plot reads what it draws. */
static void test_histograms_read_what_they_draw(void **state) {
    (void)state;
    write_bins("norm.csv", 61, 40);
    const char *script = script_of("norm.csv", &plain);
    assert_has(script, "is('fc59') ? ");
    assert_has_not(script, "is('fc60')");
    assert_has(script, "$panel59 using");
    assert_has_not(script, "plot $bins using (drawn");
    const char *picture = strstr(script, "set multiplot");
    assert_non_null(picture);
    assert_has_not(picture, "strcol(");
}

/* ---- pictures ---- */

static void plot_ok(const char *csv, const char *term) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha_plot_csv(path_of(csv), term, &err) != NAUHA_OK)
        fail_msg("%s: %s", csv, err.message);
}

/* Width and height of a PNG, from its IHDR chunk. */
static void assert_png(const char *name, unsigned width, unsigned height) {
    const unsigned char *png = (const unsigned char *)read_file(name);
    assert_true(size_of(name) > 3000);
    assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(png[18] << 8 | png[19], width);
    assert_int_equal(png[22] << 8 | png[23], height);
}

static void test_pictures(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    write_scalars("a.csv", 1, 1);
    write_scalars("b.csv", 10, 600);
    write_scalars("c.csv", 40, 30);
    write_scalars("d.csv", 70, 30);
    write_bins("e.csv", 1, 1);
    write_bins("f.csv", 4, 30);
    for (char name[] = "a.csv"; name[0] <= 'f'; name[0]++)
        plot_ok(name, NULL);
    assert_png("a.png", 1100, 560);
    assert_png("b.png", 1100, 560);
    assert_png("c.png", 1500, 140 + 8 * 150);
    assert_png("d.png", 1300, 140 + 70 * 14);
    assert_png("e.png", 1000, 560);
    assert_png("f.png", 1200, 150 + 2 * 290);
    for (char name[] = "b.svg"; name[0] <= 'f'; name[0]++) {
        const char *svg = read_file(name);
        assert_has(svg, "<svg");
        assert_has(svg, "</svg>");
        assert_true(strlen(svg) > 10000);
    }
    assert_has(read_file("b.svg"), "features.9");
    assert_has(read_file("c.svg"), "features.39");
    assert_has(read_file("d.svg"), "features.69");
    assert_has(read_file("f.svg"), "fc3");
    assert_has(read_file("f.svg"), "share of elements");
}

/* A script stands for itself: gnuplot alone, in that directory, makes the same pictures. */
static void test_script_stands_alone(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    write_scalars("b.csv", 4, 50);
    plot_ok("b.csv", "svg");
    const off_t size = size_of("b.svg");
    assert_true(size > 0);
    assert_int_equal(size_of("b.png"), -1);
    char command[256];
    snprintf(command, sizeof command, "cd '%s' && rm b.svg && gnuplot b.gp", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(size_of("b.svg"), size);
    assert_true(size_of("b.png") > 3000);
}

static void test_nothing_to_see_is_drawn_too(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    FILE *file = create_csv("nan.csv", "value");
    for (int step = 0; step < 5; step++)
        fprintf(file, "%d,0,0,0,default,fc,,0,nan\n", step);
    fclose(file);
    file = create_csv("zero.csv", "bin_low,bin_high,count");
    fputs("0,0,0,0,default,fc,,0,0,1,0\n0,0,0,0,default,fc,,0,1,2,0\n", file);
    fclose(file);
    plot_ok("nan.csv", NULL);
    plot_ok("zero.csv", NULL);
    assert_has(read_file("nan.svg"), "no finite value");
    assert_true(size_of("zero.png") > 3000);
}

static void test_terminal(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    write_scalars("b.csv", 2, 30);
    fflush(stdout);
    const int before = dup(STDOUT_FILENO);
    FILE *file = fopen(path_of("screen"), "w");
    dup2(fileno(file), STDOUT_FILENO);
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_plot_csv(path_of("b.csv"), "dumb", &err);
    dup2(before, STDOUT_FILENO);
    close(before);
    fclose(file);
    assert_int_equal(status, NAUHA_OK);
    assert_has(read_file("screen"), "features.1");
    assert_true(strlen(read_file("screen")) > 1000);
    assert_int_equal(size_of("b.gp"), -1);
    assert_int_equal(size_of("b.svg"), -1);
}

/* ---- scripts that are there already ---- */

static void test_texts_outlive_a_new_csv(void **state) {
    (void)state;
    struct nauha_plot plot = plain;
    plot.title = "Norm of 'weights'";
    plot.y_low = -1.5;
    plot.log_y = true;
    struct nauha__series_summary summary;
    write_scalars("norm.csv", 2, 30);
    assert_int_equal(nauha__series_scan(path_of("norm.csv"), &summary, NULL), NAUHA_OK);
    const struct nauha__picture picture = {plot, NAUHA__SCALE_LOG, NAUHA__STYLE_TOP};
    assert_int_equal(nauha__script_write(path_of("norm.gp"), "norm", &picture, &summary, NULL),
                     NAUHA_OK);
    nauha__series_fini(&summary);
    struct nauha__script_texts texts;
    assert_int_equal(nauha__script_inspect(path_of("norm.gp"), &texts), NAUHA__SCRIPT_OURS);
    assert_string_equal(texts.picture.plot.title, "Norm of 'weights'");
    assert_string_equal(texts.picture.plot.xlabel, "step");
    assert_string_equal(texts.picture.plot.ylabel, "L2 norm");
    assert_int_equal(texts.picture.scale, NAUHA__SCALE_LOG);
    assert_int_equal(texts.picture.style, NAUHA__STYLE_TOP);
    assert_true(texts.picture.plot.y_low == -1.5);
    assert_true(isnan(texts.picture.plot.y_high));
    assert_true(texts.picture.plot.log_y);
    if (!have_gnuplot())
        skip();
    write_scalars("norm.csv", 3, 30);
    plot_ok("norm.csv", NULL);
    assert_has(read_file("norm.gp"), "main_title = 'Norm of ''weights'''\n");
    assert_has(read_file("norm.gp"), "title 'features.2'");
    assert_has(read_file("norm.gp"), "set logscale y");
}

static void test_edited_scripts_run_as_they_are(void **state) {
    (void)state;
    assert_int_equal(nauha__script_inspect(path_of("norm.gp"), NULL), NAUHA__SCRIPT_NONE);
    if (!have_gnuplot())
        skip();
    write_scalars("norm.csv", 2, 30);
    plot_ok("norm.csv", NULL);
    FILE *file = fopen(path_of("norm.gp"), "r+");
    fseek(file, 0, SEEK_END);
    fputs("# mine\n", file);
    fclose(file);
    assert_int_equal(nauha__script_inspect(path_of("norm.gp"), NULL), NAUHA__SCRIPT_EDITED);
    write_scalars("norm.csv", 3, 30);
    plot_ok("norm.csv", NULL);
    assert_has(read_file("norm.gp"), "# mine\n");
    assert_has_not(read_file("norm.svg"), "features.2");
}

/* ---- errors ---- */

static void refuse(const char *csv, const char *term, enum nauha_status code, const char *words) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha_plot_csv(path_of(csv), term, &err), code);
    assert_int_equal(err.code, code);
    assert_has(err.message, words);
}

static void test_refusals(void **state) {
    (void)state;
    refuse("none.csv", NULL, NAUHA_IO, "none.csv\": No such file or directory");
    refuse("norm.txt", NULL, NAUHA_INVALID, "norm.txt\" does not end in \".csv\"");
    refuse(".csv", NULL, NAUHA_INVALID, "does not end in");
    fclose(create_csv("norm.csv", "value"));
    refuse("norm.csv", NULL, NAUHA_END, "norm.csv\" has no rows to draw");
    write_scalars("norm.csv", 1, 3);
    refuse("norm.csv", "dumb'; system('touch harm'); '", NAUHA_INVALID,
           "there is no terminal \"dumb'; ");
    refuse("norm.csv", "", NAUHA_INVALID,
           "there is no terminal \"\"; terminals: dumb, png, svg, pdf, x11 and qt");
    assert_int_equal(mkdir(path_of("norm.gp"), 0700), 0);
    refuse("norm.csv", "", NAUHA_INVALID, "there is no terminal");
    if (!have_gnuplot())
        skip();
    assert_int_equal(rmdir(path_of("norm.gp")), 0);
    refuse("norm.csv", "nosuchterm", NAUHA_INVALID, "there is no terminal \"nosuchterm\"");
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_drawing drawing = {.style = "map"};
    assert_int_equal(nauha_plot_csv_as(path_of("norm.csv"), &drawing, &err), NAUHA_INVALID);
    assert_has(err.message, "it holds scalars, drawn as lines, top, panels, band or rows");
    drawing.style = "pie";
    assert_int_equal(nauha_plot_csv_as(path_of("norm.csv"), &drawing, &err), NAUHA_INVALID);
    assert_has(err.message, "there is no style \"pie\"; styles: auto, lines, top");
    drawing = (struct nauha_drawing){.scale = "cubic"};
    assert_int_equal(nauha_plot_csv_as(path_of("norm.csv"), &drawing, &err), NAUHA_INVALID);
    assert_has(err.message, "there is no scale \"cubic\"; scales: auto, linear, log");
    if (system("gnuplot -e 'print GPVAL_TERMINALS' 2>&1 | grep -qw qt") == 0)
        skip();
    refuse("norm.csv", "qt", NAUHA_UNAVAILABLE,
           "this gnuplot cannot draw to \"qt\": install the package gnuplot-qt");
}

/* PATH without gnuplot stands for a machine without it. */
static void test_missing_gnuplot(void **state) {
    (void)state;
    const char *found = getenv("PATH");
    char *path = strdup(found ? found : "");
    write_scalars("norm.csv", 2, 30);
    setenv("PATH", directory, 1);
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha_plot_csv(path_of("norm.csv"), NULL, &err);
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(status, NAUHA_UNAVAILABLE);
    assert_has(err.message, "gnuplot is not installed: install the package gnuplot (Debian and "
                            "Ubuntu: gnuplot-nox), then run \"gnuplot ./norm.gp\" in \"");
    assert_true(size_of("norm.gp") > 1000);
}

/* ---- the sink ---- */

static void test_sink(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    const struct nauha__series norm = {.name = "norm", .form = NAUHA_FORM_SCALAR, .plot = plain};
    const struct nauha__series none = {.name = "none", .form = NAUHA_FORM_SCALAR, .plot = plain};
    void *sink = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    char report[2048] = "", expected[2048];
    assert_int_equal(nauha__sink_gnuplot.create(NULL, &sink, &err), NAUHA_INVALID);
    assert_string_equal(err.message, "sink \"gnuplot\" needs a directory to write to");
    assert_int_equal(nauha__sink_gnuplot.create(directory, &sink, &err), NAUHA_OK);
    assert_int_equal(nauha__sink_gnuplot.add_series(sink, &norm, &err), NAUHA_OK);
    assert_int_equal(nauha__sink_gnuplot.add_series(sink, &none, &err), NAUHA_OK);
    assert_int_equal(nauha__sink_gnuplot.start(sink, &err), NAUHA_OK);
    write_scalars("norm.csv", 2, 30);
    fclose(create_csv("none.csv", "value"));
    FILE *file = fopen(path_of("norm.gp"), "w");
    fputs("# my own\n", file);
    fclose(file);
    assert_int_equal(nauha__sink_gnuplot.finish(sink, &err), NAUHA_OK);
    nauha__sink_gnuplot.report(sink, collect, report);
    nauha__sink_gnuplot.free(sink);
    snprintf(expected, sizeof expected,
             "%s/norm.svg, .png and .gp\n%s/norm.edited.gp: the script you had edited\n"
             "none: nothing to draw\n",
             directory, directory);
    assert_string_equal(report, expected);
    assert_string_equal(read_file("norm.edited.gp"), "# my own\n");
    assert_has(read_file("norm.gp"), "main_title = 'Norm'\n");
    assert_png("norm.png", 1100, 560);
    assert_int_equal(size_of("none.gp"), -1);
}

/* A module of which no drawn slice has bins has an empty panel. */
static void test_histograms_between_slices(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    FILE *file = create_csv("norm.csv", "bin_low,bin_high,count");
    for (int step = 0; step < 400; step++) {
        fprintf(file, "%d,%d,0,0,default,a,,0,0,1,5\n", step, step);
        if (step == 1)
            fputs("1,1,0,0,default,b,,0,0,1,5\n", file);
    }
    fclose(file);
    plot_ok("norm.csv", NULL);
    assert_has(read_file("norm.gp"), "every      = 3 #");
    assert_true(size_of("norm.png") > 3000);
}

/* A gnuplot that ends well when another one has begun, within a minute. */
static void make_waiting_gnuplot(void) {
    mkdir(path_of("bin"), 0777);
    FILE *file = fopen(path_of("bin/gnuplot"), "w");
    fputs("#!/bin/sh\n: >begun.$$\nfor i in $(seq 600); do\n"
          "    [ $(ls begun.* | wc -l) -ge 2 ] && exit 0\n    sleep 0.1\ndone\nexit 1\n",
          file);
    fclose(file);
    chmod(path_of("bin/gnuplot"), 0777);
}

static void watch(void *context, uint64_t done, uint64_t total) {
    uint64_t *before = context;
    assert_true(done >= *before && done <= total);
    assert_int_equal(total, 3);
    *before = done;
}

static void test_pictures_are_drawn_side_by_side(void **state) {
    (void)state;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < 2)
        skip();
    const char *found = getenv("PATH");
    char *path = strdup(found ? found : ""), both[8192];
    const struct nauha__series series[] = {
        {.name = "norm", .form = NAUHA_FORM_SCALAR, .plot = plain},
        {.name = "mean", .form = NAUHA_FORM_SCALAR, .plot = plain}};
    void *sink = NULL;
    uint64_t done = 0;
    struct nauha_error err = NAUHA_ERROR_INIT;
    make_waiting_gnuplot();
    write_scalars("norm.csv", 2, 30);
    write_scalars("mean.csv", 2, 30);
    assert_int_equal(nauha__sink_gnuplot.create(directory, &sink, &err), NAUHA_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(nauha__sink_gnuplot.add_series(sink, &series[i], &err), NAUHA_OK);
    assert_int_equal(nauha__sink_gnuplot.start(sink, &err), NAUHA_OK);
    nauha__sink_gnuplot.watch(sink, watch, &done);
    snprintf(both, sizeof both, "%s:%s", path_of("bin"), path);
    setenv("PATH", both, 1);
    const enum nauha_status status = nauha__sink_gnuplot.finish(sink, &err);
    setenv("PATH", path, 1);
    free(path);
    if (status != NAUHA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(done, 3);
    nauha__sink_gnuplot.free(sink);
}

static const struct CMUnitTest tests[] = {
    FILES(test_script_of_lines),
    FILES(test_steps_start_at_zero_where_that_is_near),
    FILES(test_script_of_one_long_line),
    FILES(test_script_of_many_lines),
    FILES(test_legend_tells_lines_apart),
    FILES(test_strange_names_do_no_harm),
    FILES(test_script_of_histograms),
    FILES(test_histograms_read_what_they_draw),
    FILES(test_histograms_between_slices),
    FILES(test_pictures),
    FILES(test_script_stands_alone),
    FILES(test_nothing_to_see_is_drawn_too),
    FILES(test_terminal),
    FILES(test_texts_outlive_a_new_csv),
    FILES(test_edited_scripts_run_as_they_are),
    FILES(test_refusals),
    FILES(test_missing_gnuplot),
    FILES(test_sink),
    FILES(test_pictures_are_drawn_side_by_side),
};

UNIT_MAIN(tests)
