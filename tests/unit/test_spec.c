/* SPDX-License-Identifier: MIT */
/* SPECs against descriptors: what is taken, and what is said of the rest. */
#include "unit.h"

#include <math.h>
#include <string.h>

#include "replay/pipeline/spec.h"

static const struct nauha_analyzer_parameter norm_parameters[] = {
    {"order", NAUHA_PARAMETER_REAL, "2", 0, INFINITY, "p of the norm"},
};
static const struct nauha_analyzer norm = {
    .name = "norm",
    .min_kinds = 1,
    .max_kinds = 1,
    .parameters = norm_parameters,
    .parameter_count = 1,
};
static const struct nauha_analyzer ratio = {.name = "ratio", .min_kinds = 2, .max_kinds = 2};
static const char *const loss_kinds[] = {"loss", NULL};
static const struct nauha_analyzer loss = {.name = "loss", .default_kinds = loss_kinds};
static const char *const probe_kinds[] = {"activations", NULL};
static const struct nauha_analyzer_parameter probe_parameters[] = {
    {"tag", NAUHA_PARAMETER_TEXT, "probe", 0, 0, "tag of the probe passes"},
    {"range", NAUHA_PARAMETER_RANGE, ":", 0, 0, "values to look at"},
    {"count", NAUHA_PARAMETER_INTEGER, NULL, 1, 64, "how many"},
};
static const struct nauha_analyzer probe = {
    .name = "probe",
    .min_kinds = 1,
    .max_kinds = 3,
    .default_kinds = probe_kinds,
    .parameters = probe_parameters,
    .parameter_count = 3,
};
static const struct nauha_analyzer_parameter parts_parameters[] = {
    {"q", NAUHA_PARAMETER_LIST, "5,50", 0, 100, "parts"},
    {"at", NAUHA_PARAMETER_LIST, "1", -INFINITY, INFINITY, "places"},
};
static const struct nauha_analyzer parts = {
    .name = "parts",
    .default_kinds = loss_kinds,
    .parameters = parts_parameters,
    .parameter_count = 2,
};
static const struct nauha_analyzer *const analyzers[] = {&norm, &ratio, &loss, &probe, &parts};

static struct nauha_names *names;

static int setup(void **state) {
    (void)state;
    names = nauha_names_new();
    return names ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    nauha_names_free(names);
    return 0;
}

static struct nauha__spec *parse(const char *text) {
    struct nauha__spec *spec = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    enum nauha_status status = nauha__spec_parse(text, analyzers, 5, names, &spec, &err);
    if (status != NAUHA_OK)
        fail_msg("\"%s\": %s", text, err.message);
    return spec;
}

static void refuse(const char *text, enum nauha_status code, const char *words) {
    struct nauha__spec *spec = NULL;
    struct nauha_error err = NAUHA_ERROR_INIT;
    assert_int_equal(nauha__spec_parse(text, analyzers, 5, names, &spec, &err), code);
    assert_int_equal(err.code, code);
    assert_null(spec);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" is not in \"%s\"", words, err.message);
    assert_int_equal(nauha__spec_parse(text, analyzers, 5, names, &spec, NULL), code);
}

static void test_defaults(void **state) {
    (void)state;
    struct nauha__spec *spec = parse("norm:weights");
    assert_ptr_equal(spec->analyzer, &norm);
    assert_string_equal(spec->text, "norm:weights");
    assert_int_equal(spec->kind_count, 1);
    assert_string_equal(spec->kinds[0], "weights");
    assert_true(spec->values[0].real == 2);
    assert_int_equal(spec->subsample, 1);
    assert_string_equal(spec->tag, "default");
    assert_false(spec->has_ylims);
    assert_int_equal(spec->log, -1);
    nauha__spec_free(spec);
    spec = parse("loss");
    assert_int_equal(spec->kind_count, 1);
    assert_string_equal(spec->kinds[0], "loss");
    nauha__spec_free(spec);
    nauha__spec_free(NULL);
}

static void test_every_key(void **state) {
    (void)state;
    struct nauha__spec *spec =
        parse("norm:layer_gradients:order=inf:subsample=10:tag=testing:ylims=-1.5:2e3:log=1");
    assert_true(isinf(spec->values[0].real));
    assert_int_equal(spec->subsample, 10);
    assert_string_equal(spec->tag, "testing");
    assert_true(spec->has_ylims);
    assert_true(spec->y_low == -1.5 && spec->y_high == 2000);
    assert_int_equal(spec->log, 1);
    nauha__spec_free(spec);
    spec = parse("ratio:weight_updates,weights:log=0");
    assert_int_equal(spec->kind_count, 2);
    assert_string_equal(spec->kinds[1], "weights");
    assert_int_equal(spec->log, 0);
    nauha__spec_free(spec);
}

static void test_ranges_have_two_ends_or_one(void **state) {
    (void)state;
    struct nauha__spec *spec = parse("loss:ylims=:4");
    assert_true(isnan(spec->y_low) && spec->y_high == 4);
    nauha__spec_free(spec);
    spec = parse("loss:ylims=0:");
    assert_true(spec->y_low == 0 && isnan(spec->y_high));
    nauha__spec_free(spec);
    spec = parse("probe:count=3:range=-1:1:ylims=0:1");
    assert_true(spec->values[1].range.low == -1 && spec->values[1].range.high == 1);
    assert_int_equal(spec->values[2].integer, 3);
    assert_true(spec->y_high == 1);
    nauha__spec_free(spec);
    refuse("loss:ylims=1:1", NAUHA_INVALID, "key \"ylims\" takes LOW:HIGH with LOW below HIGH");
    refuse("loss:ylims=5", NAUHA_INVALID, "not \"5\"");
    refuse("loss:ylims=0:1:2", NAUHA_INVALID, "\"2\" is not of the form key=value");
    refuse("loss:ylims=nan:1", NAUHA_INVALID, "not \"nan:1\"");
    refuse("loss:ylims=0:inf", NAUHA_INVALID, "not \"0:inf\"");
}

static void test_own_tag_has_its_own_fallback(void **state) {
    (void)state;
    struct nauha__spec *spec = parse("probe:count=3");
    assert_string_equal(spec->tag, "probe");
    assert_string_equal(spec->kinds[0], "activations");
    nauha__spec_free(spec);
    spec = parse("probe:inputs,activations:tag=a:b:count=3");
    assert_string_equal(spec->tag, "a:b");
    assert_string_equal(spec->values[0].text, "a:b");
    assert_int_equal(spec->kind_count, 2);
    nauha__spec_free(spec);
}

static void test_lists(void **state) {
    (void)state;
    struct nauha__spec *spec = parse("parts");
    assert_int_equal(spec->values[0].list.count, 2);
    assert_true(spec->values[0].list.items[0] == 5 && spec->values[0].list.items[1] == 50);
    assert_int_equal(spec->values[1].list.count, 1);
    nauha__spec_free(spec);
    spec = parse("parts:at=-1e3,inf,0.5,-inf:q=100:subsample=3");
    assert_int_equal(spec->values[1].list.count, 4);
    assert_true(spec->values[1].list.items[0] == -1000 && isinf(spec->values[1].list.items[1]));
    assert_true(spec->values[1].list.items[2] == 0.5 && spec->values[1].list.items[3] < -1e308);
    assert_true(spec->values[0].list.items[0] == 100);
    assert_int_equal(spec->subsample, 3);
    nauha__spec_free(spec);
    refuse("parts:q=", NAUHA_INVALID,
           "takes numbers from 0 to 100 with commas between them, not \"\"");
    refuse("parts:q=1,,2", NAUHA_INVALID, "key \"q\" takes numbers from 0 to 100");
    refuse("parts:q=1,2,", NAUHA_INVALID, "not \"\"");
    refuse("parts:q=1,two,3", NAUHA_INVALID, "not \"two\"");
    refuse("parts:q=1,101", NAUHA_INVALID, "not \"101\"");
    refuse("parts:q=1,nan", NAUHA_INVALID, "not \"nan\"");
    refuse("parts:q=1:2", NAUHA_INVALID, "\"2\" is not of the form key=value");
    refuse("parts:q=1:at=2:q=3", NAUHA_INVALID, "key \"q\" is given twice");
}

static void test_unknown_names_list_the_known(void **state) {
    (void)state;
    refuse("nrom:weights", NAUHA_UNKNOWN,
           "metric \"nrom:weights\": there is no metric \"nrom\" (did you mean \"norm\"?); "
           "metrics: norm, ratio, loss, probe, parts");
    refuse("", NAUHA_UNKNOWN, "there is no metric \"\"; metrics: norm");
    refuse("norm:weights:ordr=1", NAUHA_UNKNOWN,
           "metric \"norm\" has no key \"ordr\" (did you mean \"order\"?); keys: order (p of the "
           "norm), subsample (take only");
    refuse("loss:=1", NAUHA_UNKNOWN, "no key \"\"");
}

static void test_kinds_must_fit(void **state) {
    (void)state;
    refuse("norm", NAUHA_INVALID,
           "metric \"norm\" takes 1 kind, as in \"norm:weights\", and got 0; kinds: batch_started");
    refuse("norm:weights,biases", NAUHA_INVALID, "takes 1 kind, as in");
    refuse("ratio:weights", NAUHA_INVALID,
           "takes 2 kinds, as in \"ratio:weight_updates,weights\", and got 1");
    refuse("ratio:weights,weights", NAUHA_INVALID, "kind \"weights\" is given twice");
    refuse("ratio:weights,", NAUHA_INVALID, "a kind is empty");
    refuse("norm::order=1", NAUHA_INVALID, "a kind is empty");
    refuse("loss:weights", NAUHA_INVALID, "metric \"loss\" takes no kinds, and got \"weights\"");
    refuse("probe:a,b,c,d:count=1", NAUHA_INVALID, "takes 1 to 3 kinds and got 4");
    refuse("norm:order=1:weights", NAUHA_INVALID, "\"weights\" is not of the form key=value");
}

static void test_values_must_fit(void **state) {
    (void)state;
    refuse("norm:weights:order=-1", NAUHA_INVALID,
           "key \"order\" takes a number from 0 to inf, not \"-1\"");
    refuse("norm:weights:order=nan", NAUHA_INVALID, "not \"nan\"");
    refuse("norm:weights:order=2x", NAUHA_INVALID, "not \"2x\"");
    refuse("norm:weights:order=", NAUHA_INVALID, "not \"\"");
    refuse("norm:weights:subsample=0", NAUHA_INVALID,
           "key \"subsample\" takes a whole number from 1 to 9007199254740992, not \"0\"");
    refuse("norm:weights:subsample=1.5", NAUHA_INVALID, "not \"1.5\"");
    refuse("norm:weights:log=2", NAUHA_INVALID, "from 0 to 1");
    refuse("norm:weights:tag=", NAUHA_INVALID, "key \"tag\" is empty");
    refuse("norm:weights:log=1:log=1", NAUHA_INVALID, "key \"log\" is given twice");
    refuse("probe:count=65", NAUHA_INVALID, "from 1 to 64");
    refuse("probe", NAUHA_INVALID, "metric \"probe\" needs the key count (how many)");
}

static void test_endless_specs_are_refused(void **state) {
    (void)state;
    char *text = malloc(400000);
    strcpy(text, "norm:weights");
    for (size_t i = 0; i < 20000; i++)
        strcat(text + strlen("norm:weights") + i * 8, ":order=1");
    refuse(text, NAUHA_INVALID, "more than 256 keys");
    memset(text, ',', 300000);
    text[300000] = 0;
    memcpy(text, "ratio:", 6);
    refuse(text, NAUHA_INVALID, "a kind is empty");
    free(text);
}

static void test_list_ends_in_dots(void **state) {
    (void)state;
    struct nauha__list list = NAUHA__LIST_INIT;
    for (int i = 0; i < 1000; i++)
        nauha__list_add(&list, "word%d", i);
    assert_true(strlen(list.text) < sizeof list.text);
    assert_memory_equal(list.text, "word0, word1, ", 14);
    assert_string_equal(list.text + strlen(list.text) - 5, ", ...");
}

static void test_common_keys_have_help(void **state) {
    (void)state;
    size_t count = 0;
    const struct nauha_analyzer_parameter *keys = nauha__spec_common_keys(&count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++)
        assert_true(strlen(keys[i].help) > 0 && keys[i].fallback);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
    cmocka_unit_test_setup_teardown(test_every_key, setup, teardown),
    cmocka_unit_test_setup_teardown(test_ranges_have_two_ends_or_one, setup, teardown),
    cmocka_unit_test_setup_teardown(test_own_tag_has_its_own_fallback, setup, teardown),
    cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
    cmocka_unit_test_setup_teardown(test_unknown_names_list_the_known, setup, teardown),
    cmocka_unit_test_setup_teardown(test_kinds_must_fit, setup, teardown),
    cmocka_unit_test_setup_teardown(test_values_must_fit, setup, teardown),
    cmocka_unit_test_setup_teardown(test_endless_specs_are_refused, setup, teardown),
    cmocka_unit_test(test_list_ends_in_dots),
    cmocka_unit_test(test_common_keys_have_help),
};

UNIT_MAIN(tests)
