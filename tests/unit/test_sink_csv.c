/* SPDX-License-Identifier: MIT */
/* The csv sink: rows, numbers that read back, quoting, and everything that can go wrong with
 * files; and the reader of what it writes. */
#include "directory.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nauha/internal/message.h"
#include "replay/plot/csv.h"
#include "replay/plot/series.h"
#include "replay/sinks/sink.h"

#define KEY "global_step,train_step,epoch,rank,tag,module,slot,call,"

static const struct nauha__series norm_series = {
    .name = "weights_norm2", .form = NAUHA_FORM_SCALAR, .plot = {.title = "", .y_low = NAN}};
static const struct nauha__series bins_series = {
    .name = "weights_histogram", .form = NAUHA_FORM_HISTOGRAM, .plot = {.title = ""}};

static const struct nauha_message_info stamps = {
    .global_step = 1234567890123,
    .train_step = 7,
    .epoch = 2,
    .rank = 3,
    .call = 1,
    .tag_name = "default",
    .module_name = "features.0",
    .slot_name = "weight",
    .has_tensor = true,
    .dtype = NAUHA_DTYPE_F64,
};

static void *create(const char *where) {
    void *sink = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    if (nauha__sink_csv.create(where, &sink, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
    return sink;
}

static enum nauha_status take(void *sink, size_t series, const struct nauha_message_info *info,
                              const double *data, struct nauha_error *err) {
    struct nauha_message message = {.info = *info, .data = data};
    return nauha__sink_csv.take(sink, series, &message, err);
}

static void take_value(void *sink, size_t series, const struct nauha_message_info *info,
                       double value) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha_message_info whole = *info;
    whole.bytes = sizeof value;
    if (take(sink, series, &whole, &value, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
}

static void take_bins(void *sink, size_t series, const double *data, int64_t bins) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    const int64_t shape[] = {bins, 3};
    struct nauha_message_info info = stamps;
    info.ndim = 2;
    info.shape = shape;
    info.bytes = (uint64_t)bins * 24;
    if (take(sink, series, &info, data, &err) != NAUHA_OK)
        fail_msg("%s", err.message);
}

static void assert_file(const char *name, const char *expected) {
    static char text[8192];
    FILE *file = fopen(path_of(name), "r");
    if (!file)
        fail_msg("there is no %s", name);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_string_equal(text, expected);
}

/* ---- numbers ---- */

static const char *text_of(double value) {
    static char text[NAUHA__DOUBLE_MAX];
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const size_t length = nauha__double_text(value, c, text);
    assert_int_equal(length, strlen(text));
    freelocale(c);
    return text;
}

static void test_numbers_are_short_and_exact(void **state) {
    (void)state;
    assert_string_equal(text_of(0.1), "0.1");
    assert_string_equal(text_of(0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(text_of(1.0 / 3), "0.3333333333333333");
    assert_string_equal(text_of(0), "0");
    assert_string_equal(text_of(-0.0), "-0");
    assert_string_equal(text_of(42), "42");
    assert_string_equal(text_of(1e15), "1000000000000000");
    assert_string_equal(text_of(-9007199254740992.0), "-9007199254740992");
    assert_string_equal(text_of(1e300), "1e+300");
    assert_string_equal(text_of(DBL_MAX), "1.7976931348623157e+308");
    assert_string_equal(text_of(4.9406564584124654e-324), "4.94065645841247e-324");
    assert_string_equal(text_of(NAN), "nan");
    assert_string_equal(text_of(-NAN), "nan");
    assert_string_equal(text_of(INFINITY), "inf");
    assert_string_equal(text_of(-INFINITY), "-inf");
}

static void test_numbers_read_back(void **state) {
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13; /* xorshift64, Marsaglia 2003 */
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value, again;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        again = strtod(text_of(value), NULL);
        assert_memory_equal(&again, &value, sizeof value);
    }
}

/* A host that prints numbers with a comma keeps doing so; the CSV does not. */
static void test_numbers_ignore_the_locale(void **state) {
    (void)state;
    locale_t comma = (locale_t)0;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fi_FI.UTF-8", "fr_FR.UTF-8"};
    for (size_t i = 0; i < 4 && !comma; i++)
        comma = newlocale(LC_ALL_MASK, names[i], (locale_t)0);
    if (!comma)
        skip(); /* no such locale on this machine */
    locale_t before = uselocale(comma);
    char text[32];
    const char *ours = text_of(2.5);
    snprintf(text, sizeof text, "%.1f", 2.5);
    uselocale(before);
    freelocale(comma);
    assert_string_equal(ours, "2.5");
    assert_string_equal(text, "2,5");
}

/* ---- files ---- */

static void test_scalars_in_a_directory(void **state) {
    (void)state;
    char deep[128];
    snprintf(deep, sizeof deep, "%s/a/b/", directory);
    void *sink = create(deep);
    assert_int_equal(nauha__sink_csv.add_series(sink, &norm_series, NULL), NAUHA_OK);
    assert_int_equal(nauha__sink_csv.start(sink, NULL), NAUHA_OK);
    take_value(sink, 0, &stamps, 0.1);
    take_value(sink, 0, &stamps, NAN);
    take_value(sink, 0, &stamps, 3);
    assert_int_equal(access(path_of("a/b/weights_norm2.csv.partial"), F_OK), 0);
    assert_int_not_equal(access(path_of("a/b/weights_norm2.csv"), F_OK), 0);
    assert_int_equal(nauha__sink_csv.finish(sink, NULL), NAUHA_OK);
    nauha__sink_csv.free(sink);
    assert_int_not_equal(access(path_of("a/b/weights_norm2.csv.partial"), F_OK), 0);
    assert_file("a/b/weights_norm2.csv", KEY "value\n"
                                             "1234567890123,7,2,3,default,features.0,weight,1,0.1\n"
                                             "1234567890123,7,2,3,default,features.0,weight,1,nan\n"
                                             "1234567890123,7,2,3,default,features.0,weight,1,3\n");
}

static void test_histograms_in_a_directory(void **state) {
    (void)state;
    const double bins[] = {-1, -0.5, 3, -0.5, 0, 1e10};
    void *sink = create(directory);
    assert_int_equal(nauha__sink_csv.add_series(sink, &norm_series, NULL), NAUHA_OK);
    assert_int_equal(nauha__sink_csv.add_series(sink, &bins_series, NULL), NAUHA_OK);
    assert_int_equal(nauha__sink_csv.start(sink, NULL), NAUHA_OK);
    take_bins(sink, 1, bins, 2);
    assert_int_equal(nauha__sink_csv.finish(sink, NULL), NAUHA_OK);
    nauha__sink_csv.free(sink);
    assert_file("weights_norm2.csv", KEY "value\n");
    assert_file("weights_histogram.csv",
                KEY "bin_low,bin_high,count\n"
                    "1234567890123,7,2,3,default,features.0,weight,1,-1,-0.5,3\n"
                    "1234567890123,7,2,3,default,features.0,weight,1,-0.5,0,10000000000\n");
}

static void test_names_are_quoted_where_needed(void **state) {
    (void)state;
    struct nauha_message_info info = stamps;
    info.module_name = "a,\"b\"";
    info.slot_name = "two\nlines";
    info.tag_name = "plain tag";
    info.global_step = 0;
    void *sink = create(directory);
    assert_int_equal(nauha__sink_csv.add_series(sink, &norm_series, NULL), NAUHA_OK);
    assert_int_equal(nauha__sink_csv.start(sink, NULL), NAUHA_OK);
    take_value(sink, 0, &info, 1);
    assert_int_equal(nauha__sink_csv.finish(sink, NULL), NAUHA_OK);
    nauha__sink_csv.free(sink);
    assert_file("weights_norm2.csv",
                KEY "value\n0,7,2,3,plain tag,\"a,\"\"b\"\"\",\"two\nlines\",1,1\n");
    struct nauha__series_summary summary;
    assert_int_equal(nauha__series_scan(path_of("weights_norm2.csv"), &summary, NULL), NAUHA_OK);
    assert_int_equal(summary.line_count, 1);
    assert_string_equal(summary.lines[0].text[NAUHA__KEY_MODULE], "a,\"b\"");
    assert_string_equal(summary.lines[0].text[NAUHA__KEY_SLOT], "two\nlines");
    nauha__series_fini(&summary);
}

/* Runs a sink on standard output and returns what came out. */
static const char *on_stdout(bool with_histogram) {
    static char text[4096];
    const double bins[] = {0, 1, 5};
    fflush(stdout);
    const int before = dup(STDOUT_FILENO);
    FILE *file = tmpfile();
    dup2(fileno(file), STDOUT_FILENO);
    void *sink = create(NULL);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    if (with_histogram)
        nauha__sink_csv.add_series(sink, &bins_series, NULL);
    nauha__sink_csv.start(sink, NULL);
    take_value(sink, 0, &stamps, 0.5);
    if (with_histogram)
        take_bins(sink, 1, bins, 1);
    enum nauha_status status = nauha__sink_csv.finish(sink, NULL);
    nauha__sink_csv.free(sink);
    dup2(before, STDOUT_FILENO);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    assert_int_equal(status, NAUHA_OK);
    return text;
}

static void test_standard_output(void **state) {
    (void)state;
    assert_string_equal(on_stdout(false),
                        "metric," KEY "value\n"
                        "weights_norm2,1234567890123,7,2,3,default,features.0,weight,1,0.5\n");
    assert_string_equal(
        on_stdout(true),
        "metric," KEY "value,bin_low,bin_high,count\n"
        "weights_norm2,1234567890123,7,2,3,default,features.0,weight,1,0.5,,,\n"
        "weights_histogram,1234567890123,7,2,3,default,features.0,weight,1,,0,1,5\n");
}

/* ---- what can go wrong ---- */

static void test_report(void **state) {
    (void)state;
    char report[1024] = "", expected[1024];
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    nauha__sink_csv.add_series(sink, &bins_series, NULL);
    nauha__sink_csv.start(sink, NULL);
    take_value(sink, 0, &stamps, 1);
    nauha__sink_csv.report(sink, collect, report);
    snprintf(expected, sizeof expected,
             "%s/weights_norm2.csv.partial: not finished\n"
             "%s/weights_histogram.csv.partial: not finished\nweights_histogram: no messages\n",
             directory, directory);
    assert_string_equal(report, expected);
    nauha__sink_csv.finish(sink, NULL);
    report[0] = 0;
    nauha__sink_csv.report(sink, collect, report);
    snprintf(expected, sizeof expected,
             "%s/weights_norm2.csv: 1 row\n"
             "%s/weights_histogram.csv: 0 rows\nweights_histogram: no messages\n",
             directory, directory);
    assert_string_equal(report, expected);
    nauha__sink_csv.free(sink);
}

static void test_unfinished_files_stay_partial(void **state) {
    (void)state;
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    nauha__sink_csv.start(sink, NULL);
    take_value(sink, 0, &stamps, 1);
    nauha__sink_csv.free(sink);
    assert_int_not_equal(access(path_of("weights_norm2.csv"), F_OK), 0);
    assert_file("weights_norm2.csv.partial",
                KEY "value\n1234567890123,7,2,3,default,features.0,weight,1,1\n");
}

static void test_directory_cannot_be_made(void **state) {
    (void)state;
    FILE *file = fopen(path_of("file"), "w");
    fclose(file);
    struct nauha_error err = NAUHA_ERROR_INIT;
    void *sink = create(path_of("file/deeper"));
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_IO);
    assert_non_null(strstr(err.message, "cannot make directory \""));
    assert_non_null(strstr(err.message, "/file/deeper\": Not a directory"));
    nauha__sink_csv.free(sink);
    sink = create(path_of("file"));
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_IO);
    assert_non_null(strstr(err.message, "/file\": Not a directory"));
    nauha__sink_csv.free(sink);
}

static void test_file_cannot_be_made(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(mkdir(path_of("weights_norm2.csv.partial"), 0700), 0);
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_INVALID);
    assert_non_null(strstr(err.message, "/weights_norm2.csv.partial\": it is a directory"));
    nauha__sink_csv.free(sink);
}

static void test_file_cannot_be_renamed(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    nauha__sink_csv.add_series(sink, &bins_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_OK);
    assert_int_equal(mkdir(path_of("weights_norm2.csv"), 0700), 0);
    assert_int_equal(nauha__sink_csv.finish(sink, &err), NAUHA_IO);
    assert_non_null(strstr(err.message, "cannot rename \""));
    assert_file("weights_histogram.csv", KEY "bin_low,bin_high,count\n");
    nauha__sink_csv.free(sink);
}

/* No file may be larger than this: as a full disk. */
static void set_file_limit(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
}

static void test_full_disk(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_OK);
    enum nauha_status status = NAUHA_OK;
    struct nauha_message_info info = stamps;
    info.bytes = 8;
    const double value = 1;
    set_file_limit(1000);
    for (int i = 0; i < 100000 && status == NAUHA_OK; i++)
        status = take(sink, 0, &info, &value, &err);
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(status, NAUHA_IO);
    assert_non_null(strstr(err.message, "cannot write \""));
    assert_non_null(strstr(err.message, "/weights_norm2.csv.partial\": File too large"));
    nauha__sink_csv.free(sink);

    sink = create(directory); /* and found at the end, when little was written */
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    assert_int_equal(nauha__sink_csv.start(sink, &err), NAUHA_OK);
    set_file_limit(10);
    assert_int_equal(nauha__sink_csv.finish(sink, &err), NAUHA_IO);
    set_file_limit(RLIM_INFINITY);
    assert_non_null(strstr(err.message, "File too large"));
    assert_int_not_equal(access(path_of("weights_norm2.csv"), F_OK), 0);
    nauha__sink_csv.free(sink);
}

static void test_wrong_shape(void **state) {
    (void)state;
    struct nauha_error err = NAUHA_ERROR_INIT;
    const double data[] = {1, 2, 3};
    const int64_t shape[] = {3};
    struct nauha_message_info info = stamps;
    info.ndim = 1;
    info.shape = shape;
    info.bytes = 24;
    void *sink = create(directory);
    nauha__sink_csv.add_series(sink, &norm_series, NULL);
    nauha__sink_csv.start(sink, NULL);
    assert_int_equal(take(sink, 0, &info, data, &err), NAUHA_INVALID);
    assert_string_equal(err.message,
                        "a message of \"weights_norm2\" has another shape than its topic");
    nauha__sink_csv.free(sink);
}

/* ---- reading ---- */

static void write_file(const char *name, const char *text, size_t length) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

static void refuse(const char *text, const char *words) {
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__series_summary summary;
    write_file("x.csv", text, strlen(text));
    assert_int_equal(nauha__series_scan(path_of("x.csv"), &summary, &err), NAUHA_FORMAT);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.message);
}

static void test_scan_refuses_what_is_no_series(void **state) {
    (void)state;
    refuse("", "is not a series: its header is not that of a metric");
    refuse("a,b,c\n", "is not a series");
    refuse("metric," KEY "value\n", "is not a series");
    refuse(KEY "value\n1,2,3\n", "row 2 of \"");
    refuse(KEY "value\n1,2,3\n", "has more or fewer fields than the header");
    refuse(KEY "value\n0,0,0,0,default,a,b,0,1\n0,0,0,0,default,a,b,0,x\n", "row 3 of \"");
    refuse(KEY "value\n0,0,0,0,default,a,b,0,x\n", "has no number as its value");
    refuse(KEY "value\n-1,0,0,0,default,a,b,0,1\n",
           "has a step or an epoch that is not a whole number");
    refuse(KEY "value\n0,0,0,0,default,\"a,b,0,1\n", "has a quote that does not close");
    refuse(KEY "bin_low,bin_high,count\n0,0,0,0,d,a,b,0,0,1,1.5\n", "is not a bin");
    refuse("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n", "has too many fields");
    refuse(KEY "value\r0", "has a stray carriage return");
    static char large[NAUHA__CSV_ROW_MAX + 64];
    memset(large, 'x', sizeof large - 1);
    refuse(large, "row 1 of \"");
    refuse(large, "is too long");
    large[NAUHA__CSV_ROW_MAX - 2] = ','; /* the text fits, its zeros do not */
    large[NAUHA__CSV_ROW_MAX - 1] = ',';
    refuse(large, "is too long");
    struct nauha_error err = NAUHA_ERROR_INIT;
    struct nauha__series_summary summary;
    assert_int_equal(nauha__series_scan(path_of("none.csv"), &summary, &err), NAUHA_IO);
    assert_non_null(strstr(err.message, "none.csv\": No such file or directory"));
}

static void test_scan_takes_ranges_and_epochs(void **state) {
    (void)state;
    static const char text[] = KEY "value\r\n"
                                   "10,0,0,0,default,a,,0,2\r\n10,0,0,0,default,b,,0,-4\n"
                                   "30,1,0,0,default,a,,0,nan\n30,1,0,0,default,b,,0,0.5\n"
                                   "60,0,1,0,default,a,,0,8\n60,0,1,0,default,b,,0,inf";
    struct nauha__series_summary summary;
    write_file("x.csv", text, strlen(text));
    assert_int_equal(nauha__series_scan(path_of("x.csv"), &summary, NULL), NAUHA_OK);
    assert_false(summary.histogram);
    assert_int_equal(summary.rows, 6);
    assert_int_equal(summary.line_count, 2);
    assert_int_equal(summary.first_step, 10);
    assert_int_equal(summary.last_step, 60);
    assert_int_equal(summary.stride, 10);
    assert_int_equal(summary.epoch_count, 1);
    assert_int_equal(summary.epochs[0].step, 60);
    assert_int_equal(summary.not_finite, 2);
    assert_int_equal(summary.not_positive, 1);
    assert_true(summary.varies[NAUHA__KEY_MODULE]);
    assert_false(summary.varies[NAUHA__KEY_SLOT]);
    assert_true(summary.lines[0].low == 2 && summary.lines[0].high == 8);
    assert_true(summary.lines[1].low == -4 && summary.lines[1].high == 0.5);
    assert_true(summary.lines[1].low_positive == 0.5);
    nauha__series_fini(&summary);
}

static void test_scan_takes_bins(void **state) {
    (void)state;
    static const char text[] = KEY "bin_low,bin_high,count\n"
                                   "0,0,0,0,d,a,,0,-1,0,5\n0,0,0,0,d,a,,0,0,1,7\n"
                                   "4,0,0,0,d,a,,0,-3,0,2\n4,0,0,0,d,a,,0,0,2,2\n";
    struct nauha__series_summary summary;
    write_file("x.csv", text, strlen(text));
    assert_int_equal(nauha__series_scan(path_of("x.csv"), &summary, NULL), NAUHA_OK);
    assert_true(summary.histogram);
    assert_int_equal(summary.lines[0].rows, 2);
    assert_int_equal(summary.lines[0].elements, 12);
    assert_int_equal(summary.lines[0].fullest, 7);
    assert_true(summary.lines[0].low == -3 && summary.lines[0].high == 2);
    assert_int_equal(summary.stride, 4);
    nauha__series_fini(&summary);
}

#define FILES(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_numbers_are_short_and_exact),
    cmocka_unit_test(test_numbers_read_back),
    cmocka_unit_test(test_numbers_ignore_the_locale),
    FILES(test_scalars_in_a_directory),
    FILES(test_histograms_in_a_directory),
    FILES(test_names_are_quoted_where_needed),
    FILES(test_standard_output),
    FILES(test_report),
    FILES(test_unfinished_files_stay_partial),
    FILES(test_directory_cannot_be_made),
    FILES(test_file_cannot_be_made),
    FILES(test_file_cannot_be_renamed),
    FILES(test_full_disk),
    FILES(test_wrong_shape),
    FILES(test_scan_refuses_what_is_no_series),
    FILES(test_scan_takes_ranges_and_epochs),
    FILES(test_scan_takes_bins),
};

UNIT_MAIN(tests)
