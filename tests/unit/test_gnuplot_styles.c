/* SPDX-License-Identifier: MIT */
/* Scripts: axes that fit the values, marks, styles, bands and epochs. */
#include "gnuplot_fixture.h"

/* The script of one line with these values. */
static const char *script_of_values(const char *values, const struct nauha__picture *picture) {
    FILE *file = create_csv("norm.csv", "value");
    char *words = strdup(values);
    int step = 0;
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "), step++)
        fprintf(file, "%d,%d,0,0,default,,,0,%s\n", step, step, word);
    free(words);
    fclose(file);
    return picture_of("norm.csv", picture);
}

static void test_scale_follows_the_values(void **state) {
    (void)state;
    struct nauha__picture picture = {.plot = plain};
    assert_has_not(script_of_values("1 2 500", &picture), "logscale");
    assert_has(script_of_values("1 2 5000", &picture), "set logscale y\n");
    assert_has_not(script_of_values("0 2 5000", &picture), "log10(1"); /* not asked for */
    picture.plot.y_low = 0;
    assert_has_not(script_of_values("1 2 5000", &picture), "logscale");
    picture.plot = plain;
    picture.plot.log_y = true; /* as the norms of gradients have it */
    assert_has_not(script_of_values("1 2 5", &picture), "logscale");
    const char *script = script_of_values("1 2 50", &picture);
    assert_has(script, "set logscale y\n");
    assert_has(script, "set ytics (1, 2, 5, 10, 20, 50)\n");
    picture.scale = NAUHA__SCALE_LINEAR;
    assert_has_not(script_of_values("1 2 50", &picture), "logscale");
    picture.scale = NAUHA__SCALE_LOG;
    assert_has(script_of_values("1 2 3", &picture), "set logscale y\n");
}

/* Zeros and negative values have their place on an axis that is linear around 0. */
static void test_log_axis_with_zeros_and_negatives(void **state) {
    (void)state;
    struct nauha__picture picture = {.plot = plain};
    picture.plot.log_y = true;
    const char *script = script_of_values("0 0.001 1 nan 10", &picture);
    assert_has(script, "threshold = 0.001 #");
    assert_has(script, "set nonlinear y via sgn(y)*log10(1 + abs(y)/threshold)");
    assert_has(script, "set ytics (0, 0.01, 0.1, 1, 10)\n");
    assert_has(script, "set yrange [-0.0003:13]\n");
    assert_has(script, "'crosses at the edge: 1 nan, infinite or huge values; axis logarithmic "
                       "from 0.001 on, linear around 0'");
    assert_has(script, "drawn(v)   = good(v) ? v : NaN");
    assert_has(script, " notitle"); /* a network series has no module to name */
    script = script_of_values("-100 -1 0 1 10", &picture);
    assert_has(script, "set yrange [-130:13]\n");
    assert_has(script, "set ytics (0, 1, -1, 10, -10, -100)\n");
    assert_has_not(script_of_values("0 0 0", &picture), "log10(1");
}

/* What lies on which side, as gnuplot sees it. */
static void test_values_that_are_not_finite_are_marked(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    const char *script = script_of_values("1 nan 3 inf 5 -inf 1e+301 1e+30",
                                          &(struct nauha__picture){.plot = plain});
    assert_has(script, "gone(strcol(9)) ? $1 : NaN):(edge(strcol(9))) axes x1y2");
    FILE *file = fopen(path_of("marks.gp"), "w");
    const char *functions = strstr(script, "set datafile");
    fprintf(file, "csv = 'norm.csv'\n%.*s", (int)(strstr(functions, "set y2range") - functions),
            functions);
    fputs("set table 'marks'\nplot csv skip 1 using (gone(strcol(9)) ? $1 : "
          "NaN):(edge(strcol(9)))\n",
          file);
    fclose(file);
    char command[256];
    snprintf(command, sizeof command, "cd '%s' && gnuplot marks.gp", directory);
    assert_int_equal(system(command), 0);
    const char *marks = read_file("marks");
    assert_has(marks, " 1  0.02 ");
    assert_has(marks, " 3  0.98 ");
    assert_has(marks, " 5  0.02 ");
    assert_has(marks, " 6  0.02 ");
    assert_has_not(marks, " 0  0.02 ");
    assert_has_not(marks, " 7  0.02 ");
}

static void test_styles(void **state) {
    (void)state;
    write_scalars("norm.csv", 20, 5);
    assert_int_equal(count_of(styled("norm.csv", NAUHA__STYLE_PANELS), "set title 'features."), 20);
    const char *script = styled("norm.csv", NAUHA__STYLE_LINES);
    assert_int_equal(count_of(script, " title 'features."), 20);
    assert_has(script, "dt (2,2)"); /* the colours come round for the third time */
    script = styled("norm.csv", NAUHA__STYLE_TOP);
    assert_int_equal(count_of(script, "lc rgb '#c8c8c8'"), 13);
    assert_int_equal(count_of(script, " title 'features."), 7);
    assert_has(script, "title '13 other modules'");
    assert_has(script, "title 'features.19'"); /* the largest */
    assert_has(script, "title 'features.0'");  /* the smallest */
    assert_has(script, "style=top\n");
    script = styled("norm.csv", NAUHA__STYLE_BAND);
    assert_has(script, "title 'range of 20 modules'");
    assert_has(script, "title 'standard deviation'");
    assert_has(styled("norm.csv", NAUHA__STYLE_ROWS), "with boxxyerror lc palette");
    assert_has(styled("norm.csv", NAUHA__STYLE_MAP), "set multiplot"); /* does not fit: auto */
}

/* The numbers of a band against those of arithmetic. */
static void test_band_is_mean_and_deviation(void **state) {
    (void)state;
    if (!have_gnuplot())
        skip();
    FILE *file = create_csv("norm.csv", "value");
    fputs("0,0,0,0,default,a,,0,1\n0,0,0,0,default,b,,0,3\n0,0,0,0,default,c,,0,8\n"
          "1,1,0,0,default,a,,0,2\n1,1,0,0,default,b,,0,2\n1,1,0,0,default,c,,0,nan\n",
          file);
    fclose(file);
    const char *script = styled("norm.csv", NAUHA__STYLE_BAND);
    file = fopen(path_of("band.gp"), "w");
    fprintf(file, "%.*s", (int)(strstr(script, "# ---- axes") - script), script);
    fputs(
        "eval forget\nset table $taken\nplot csv skip 1 using (good($9) ? take(slice($1), $9, $9, "
        "1) : NaN) with table\nunset table\nset print 'band'\n"
        "do for [i = 1:slices] { print sprintf('%g %g %.6f %.6f %g', least[i], most[i], mean(i), "
        "spread(i), number[i]) }\n",
        file);
    fclose(file);
    char command[256];
    snprintf(command, sizeof command, "cd '%s' && gnuplot band.gp", directory);
    assert_int_equal(system(command), 0);
    assert_string_equal(read_file("band"), "1 8 4.000000 2.943920 3\n2 2 2.000000 0.000000 2\n");
}

static void test_hundred_epochs_are_not_a_curtain(void **state) {
    (void)state;
    FILE *file = create_csv("norm.csv", "value");
    for (int step = 0; step < 200; step++)
        fprintf(file, "%d,0,%d,0,default,,,0,1\n", step, step / 2);
    fclose(file);
    const char *script = script_of("norm.csv", &plain);
    assert_has(script, "epochs     = '20 40 60 80 100 120 140 160 180' #");
    assert_has(script, "epoch_tics = \"'epoch 10' 20, '20' 40, ");
}

static const struct CMUnitTest tests[] = {
    FILES(test_scale_follows_the_values),
    FILES(test_log_axis_with_zeros_and_negatives),
    FILES(test_values_that_are_not_finite_are_marked),
    FILES(test_styles),
    FILES(test_band_is_mean_and_deviation),
    FILES(test_hundred_epochs_are_not_a_curtain),
};

UNIT_MAIN(tests)
